
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Reads what Frappe publishes.
 *
 * The results point into the caller's bytes or are in its pool.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_json.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_jsonrpc.h"
#include "ngx_mcp_log_level.h"
#include "ngx_mcp_pushed.h"


/* members of the message */

#define NGX_MCP_PUSHED_SITE         0x00001
#define NGX_MCP_PUSHED_CALL         0x00002
#define NGX_MCP_PUSHED_USER         0x00004
#define NGX_MCP_PUSHED_METHOD       0x00008
#define NGX_MCP_PUSHED_PARAMS       0x00010
#define NGX_MCP_PUSHED_REPLY        0x00020

#define NGX_MCP_PUSHED_IN_MESSAGE   0x0003f

/* members of params */

#define NGX_MCP_PUSHED_IN_PROGRESS  0x00040
#define NGX_MCP_PUSHED_TOTAL        0x00080
#define NGX_MCP_PUSHED_TEXT         0x00100   /* "message" */
#define NGX_MCP_PUSHED_LEVEL        0x00200
#define NGX_MCP_PUSHED_DATA         0x00400
#define NGX_MCP_PUSHED_URI          0x00800
#define NGX_MCP_PUSHED_ID           0x01000   /* "elicitationId" */
#define NGX_MCP_PUSHED_MODE         0x02000
#define NGX_MCP_PUSHED_MESSAGES     0x04000
#define NGX_MCP_PUSHED_TOOLS_OF     0x08000   /* "tools" */
#define NGX_MCP_PUSHED_CHOICE       0x10000   /* "toolChoice" */
#define NGX_MCP_PUSHED_CONTEXT      0x20000   /* "includeContext" */

#define NGX_MCP_PUSHED_IN_PARAMS    0x3ffc0

/* no type of JSON: the member may be of any */

#define NGX_MCP_PUSHED_ANY          0


typedef struct {
    ngx_str_t                  name;
    ngx_uint_t                 needs;      /* members of params */
} ngx_mcp_pushed_kind_t;


typedef struct {
    ngx_uint_t                 member;
    ngx_uint_t                 type;       /* ngx_mcp_json_type_e */
    ngx_uint_t                 methods;    /* bits of those that read it */
} ngx_mcp_pushed_member_t;


typedef struct {
    ngx_mcp_pushed_t          *pushed;
    ngx_str_t                  method;     /* decoded */
    ngx_uint_t                 seen;       /* members, of any type */
    ngx_uint_t                 wrong;      /* of these, of another type */
    ngx_uint_t                 repeated;
} ngx_mcp_pushed_scan_t;


static ngx_int_t ngx_mcp_pushed_value(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw);
static ngx_int_t ngx_mcp_pushed_of_message(ngx_mcp_json_walk_t *w,
    ngx_uint_t type, ngx_str_t *raw);
static ngx_int_t ngx_mcp_pushed_of_params(ngx_mcp_json_walk_t *w,
    ngx_uint_t type, ngx_str_t *raw);
static ngx_int_t ngx_mcp_pushed_check(ngx_mcp_pushed_scan_t *scan);
static ngx_uint_t ngx_mcp_pushed_method(ngx_str_t *name);
static ngx_uint_t ngx_mcp_pushed_addressed(ngx_mcp_pushed_t *pushed);
static ngx_uint_t ngx_mcp_pushed_has_params(ngx_mcp_pushed_scan_t *scan);
static ngx_uint_t ngx_mcp_pushed_is_reply(ngx_str_t *reply);


/* in the order of ngx_mcp_pushed_method_e */

static ngx_mcp_pushed_kind_t  ngx_mcp_pushed_kinds[] = {
    { ngx_string("notifications/progress"), NGX_MCP_PUSHED_IN_PROGRESS },
    { ngx_string("notifications/message"),
      NGX_MCP_PUSHED_LEVEL|NGX_MCP_PUSHED_DATA },
    { ngx_string("notifications/tools/list_changed"), 0 },
    { ngx_string("notifications/prompts/list_changed"), 0 },
    { ngx_string("notifications/resources/list_changed"), 0 },
    { ngx_string("notifications/resources/updated"), NGX_MCP_PUSHED_URI },
    { ngx_string("notifications/elicitation/complete"), NGX_MCP_PUSHED_ID },
    { ngx_string("elicitation/create"), NGX_MCP_PUSHED_TEXT },
    { ngx_string("sampling/createMessage"), NGX_MCP_PUSHED_MESSAGES },
    { ngx_string("roots/list"), 0 },
    { ngx_null_string, 0 }
};


static ngx_mcp_pushed_member_t  ngx_mcp_pushed_members[] = {
    { NGX_MCP_PUSHED_IN_PROGRESS, NGX_MCP_JSON_NUMBER,
      1 << NGX_MCP_PUSHED_PROGRESS },
    { NGX_MCP_PUSHED_TOTAL, NGX_MCP_JSON_NUMBER,
      1 << NGX_MCP_PUSHED_PROGRESS },
    { NGX_MCP_PUSHED_TEXT, NGX_MCP_JSON_STRING,
      1 << NGX_MCP_PUSHED_PROGRESS | 1 << NGX_MCP_PUSHED_ELICIT },
    { NGX_MCP_PUSHED_LEVEL, NGX_MCP_JSON_STRING,
      1 << NGX_MCP_PUSHED_MESSAGE },
    { NGX_MCP_PUSHED_DATA, NGX_MCP_PUSHED_ANY, 1 << NGX_MCP_PUSHED_MESSAGE },
    { NGX_MCP_PUSHED_URI, NGX_MCP_JSON_STRING, 1 << NGX_MCP_PUSHED_UPDATED },
    { NGX_MCP_PUSHED_ID, NGX_MCP_JSON_STRING, 1 << NGX_MCP_PUSHED_COMPLETE },
    { NGX_MCP_PUSHED_MODE, NGX_MCP_JSON_STRING, 1 << NGX_MCP_PUSHED_ELICIT },
    { NGX_MCP_PUSHED_MESSAGES, NGX_MCP_JSON_ARRAY,
      1 << NGX_MCP_PUSHED_SAMPLE },
    { NGX_MCP_PUSHED_TOOLS_OF, NGX_MCP_PUSHED_ANY,
      1 << NGX_MCP_PUSHED_SAMPLE },
    { NGX_MCP_PUSHED_CHOICE, NGX_MCP_PUSHED_ANY, 1 << NGX_MCP_PUSHED_SAMPLE },
    { NGX_MCP_PUSHED_CONTEXT, NGX_MCP_JSON_STRING,
      1 << NGX_MCP_PUSHED_SAMPLE },
    { 0, 0, 0 }
};


static ngx_conf_bitmask_t  ngx_mcp_pushed_names[] = {
    { ngx_string("site"), NGX_MCP_PUSHED_SITE },
    { ngx_string("call"), NGX_MCP_PUSHED_CALL },
    { ngx_string("user"), NGX_MCP_PUSHED_USER },
    { ngx_string("method"), NGX_MCP_PUSHED_METHOD },
    { ngx_string("params"), NGX_MCP_PUSHED_PARAMS },
    { ngx_string("reply"), NGX_MCP_PUSHED_REPLY },
    { ngx_string("progress"), NGX_MCP_PUSHED_IN_PROGRESS },
    { ngx_string("total"), NGX_MCP_PUSHED_TOTAL },
    { ngx_string("message"), NGX_MCP_PUSHED_TEXT },
    { ngx_string("level"), NGX_MCP_PUSHED_LEVEL },
    { ngx_string("data"), NGX_MCP_PUSHED_DATA },
    { ngx_string("uri"), NGX_MCP_PUSHED_URI },
    { ngx_string("elicitationId"), NGX_MCP_PUSHED_ID },
    { ngx_string("mode"), NGX_MCP_PUSHED_MODE },
    { ngx_string("messages"), NGX_MCP_PUSHED_MESSAGES },
    { ngx_string("tools"), NGX_MCP_PUSHED_TOOLS_OF },
    { ngx_string("toolChoice"), NGX_MCP_PUSHED_CHOICE },
    { ngx_string("includeContext"), NGX_MCP_PUSHED_CONTEXT },
    { ngx_null_string, 0 }
};


static ngx_str_t  ngx_mcp_pushed_url = ngx_string("url");
static ngx_str_t  ngx_mcp_pushed_none = ngx_string("none");


ngx_int_t
ngx_mcp_pushed_parse(ngx_pool_t *pool, ngx_str_t *bytes,
    ngx_mcp_pushed_t *pushed)
{
    ngx_int_t              rc;
    ngx_mcp_json_walk_t    w;
    ngx_mcp_pushed_scan_t  scan;

    ngx_memzero(pushed, sizeof(ngx_mcp_pushed_t));
    ngx_memzero(&w, sizeof(ngx_mcp_json_walk_t));
    ngx_memzero(&scan, sizeof(ngx_mcp_pushed_scan_t));

    scan.pushed = pushed;

    w.pool = pool;
    w.body = bytes;
    w.names = ngx_mcp_pushed_names;
    w.value = ngx_mcp_pushed_value;
    w.data = &scan;
    w.max_depth = NGX_MCP_JSONRPC_MAX_DEPTH;

    rc = ngx_mcp_json_walk(&w);

    if (rc != NGX_OK) {
        return rc;
    }

    if (w.top != NGX_MCP_JSON_OBJECT) {
        return NGX_DECLINED;
    }

    rc = ngx_mcp_pushed_check(&scan);

    if (rc == NGX_OK) {
        ngx_mcp_jsonrpc_one_line(&pushed->params);
    }

    return rc;
}


static ngx_int_t
ngx_mcp_pushed_value(ngx_mcp_json_walk_t *w, ngx_uint_t type, ngx_str_t *raw)
{
    ngx_mcp_pushed_scan_t  *scan;

    scan = w->data;

    switch (w->depth) {

    case 0:

        if (type == NGX_MCP_JSON_OBJECT) {
            scan->repeated |= w->level[1].twice & NGX_MCP_PUSHED_IN_MESSAGE;
        }

        return NGX_OK;

    case 1:
        return ngx_mcp_pushed_of_message(w, type, raw);

    case 2:

        if (w->level[1].key == NGX_MCP_PUSHED_PARAMS) {
            return ngx_mcp_pushed_of_params(w, type, raw);
        }

        return NGX_OK;

    default:
        return NGX_OK;
    }
}


static ngx_int_t
ngx_mcp_pushed_of_message(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_uint_t              member;
    ngx_str_t              *text;
    ngx_mcp_pushed_t       *pushed;
    ngx_mcp_pushed_scan_t  *scan;

    scan = w->data;
    pushed = scan->pushed;
    member = w->level[1].key & NGX_MCP_PUSHED_IN_MESSAGE;

    scan->seen |= member;

    switch (member) {

    case NGX_MCP_PUSHED_PARAMS:

        if (type != NGX_MCP_JSON_OBJECT) {
            scan->wrong |= member;
            return NGX_OK;
        }

        scan->repeated |= w->level[2].twice & NGX_MCP_PUSHED_IN_PARAMS;
        pushed->params = *raw;
        return NGX_OK;

    case NGX_MCP_PUSHED_SITE:
        text = &pushed->to.site;
        break;

    case NGX_MCP_PUSHED_CALL:
        text = &pushed->to.call;
        break;

    case NGX_MCP_PUSHED_USER:
        text = &pushed->to.user;
        break;

    case NGX_MCP_PUSHED_METHOD:
        pushed->raw_method = *raw;
        text = &scan->method;
        break;

    case NGX_MCP_PUSHED_REPLY:
        text = &pushed->reply;
        break;

    default:
        return NGX_OK;
    }

    if (type != NGX_MCP_JSON_STRING) {
        scan->wrong |= member;
        return NGX_OK;
    }

    return ngx_mcp_json_text_decode(w->pool, raw, text);
}


/*
 * Takes a member of params; whether the method reads it is checked later, since
 * "method" may follow.
 */

static ngx_int_t
ngx_mcp_pushed_of_params(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_uint_t                member;
    ngx_mcp_pushed_t         *pushed;
    ngx_mcp_pushed_scan_t    *scan;
    ngx_mcp_pushed_member_t  *m;

    scan = w->data;
    pushed = scan->pushed;
    member = w->level[2].key & NGX_MCP_PUSHED_IN_PARAMS;

    scan->seen |= member;

    for (m = ngx_mcp_pushed_members; m->member; m++) {

        if (m->member == member
            && m->type != NGX_MCP_PUSHED_ANY
            && m->type != type)
        {
            scan->wrong |= member;
            return NGX_OK;
        }
    }

    switch (member) {

    case NGX_MCP_PUSHED_IN_PROGRESS:
        pushed->progress = *raw;
        return NGX_OK;

    case NGX_MCP_PUSHED_TOTAL:
        pushed->total = *raw;
        return NGX_OK;

    case NGX_MCP_PUSHED_TEXT:
        pushed->message = *raw;
        return NGX_OK;

    case NGX_MCP_PUSHED_LEVEL:
        return ngx_mcp_json_text_decode(w->pool, raw, &pushed->level);

    case NGX_MCP_PUSHED_URI:
        pushed->raw_uri = *raw;
        return ngx_mcp_json_text_decode(w->pool, raw, &pushed->uri);

    case NGX_MCP_PUSHED_MODE:
        pushed->url = ngx_mcp_json_text_equals(raw, &ngx_mcp_pushed_url);
        return NGX_OK;

    case NGX_MCP_PUSHED_TOOLS_OF:
    case NGX_MCP_PUSHED_CHOICE:
        pushed->tools = 1;
        return NGX_OK;

    case NGX_MCP_PUSHED_CONTEXT:
        pushed->context = !ngx_mcp_json_text_equals(raw,
                                                    &ngx_mcp_pushed_none);
        return NGX_OK;

    default:
        return NGX_OK;
    }
}


static ngx_int_t
ngx_mcp_pushed_check(ngx_mcp_pushed_scan_t *scan)
{
    ngx_uint_t         question;
    ngx_mcp_pushed_t  *pushed;

    pushed = scan->pushed;

    if (scan->repeated
        || (scan->wrong & NGX_MCP_PUSHED_IN_MESSAGE)
        || pushed->raw_method.data == NULL
        || !ngx_mcp_pushed_addressed(pushed))
    {
        return NGX_DECLINED;
    }

    pushed->method = ngx_mcp_pushed_method(&scan->method);

    if (ngx_mcp_pushed_kinds[pushed->method].name.len == 0) {
        return NGX_ABORT;
    }

    question = (pushed->method >= NGX_MCP_PUSHED_ELICIT);

    if ((question || pushed->method == NGX_MCP_PUSHED_PROGRESS)
        && pushed->to.call.data == NULL)
    {
        return NGX_DECLINED;
    }

    if (question ? !ngx_mcp_pushed_is_reply(&pushed->reply)
                 : pushed->reply.data != NULL)
    {
        return NGX_DECLINED;
    }

    return ngx_mcp_pushed_has_params(scan) ? NGX_OK : NGX_DECLINED;
}


static ngx_uint_t
ngx_mcp_pushed_method(ngx_str_t *name)
{
    ngx_uint_t  i;
    ngx_str_t  *known;

    for (i = 0; ngx_mcp_pushed_kinds[i].name.len; i++) {
        known = &ngx_mcp_pushed_kinds[i].name;

        if (known->len == name->len
            && ngx_strncmp(known->data, name->data, name->len) == 0)
        {
            break;
        }
    }

    return i;
}


/*
 * Returns whether it is known whom the message is for, in strings that fit into
 * a log.
 */

static ngx_uint_t
ngx_mcp_pushed_addressed(ngx_mcp_pushed_t *pushed)
{
    ngx_mcp_pushed_address_t  *to;

    to = &pushed->to;

    if (to->site.len == 0 || (to->call.data && to->user.data)) {
        return 0;
    }

    if ((to->call.data && to->call.len == 0)
        || (to->user.data && to->user.len == 0))
    {
        return 0;
    }

    return ngx_mcp_json_text_one_line(&to->site)
           && ngx_mcp_json_text_one_line(&to->call)
           && ngx_mcp_json_text_one_line(&to->user);
}


/*
 * Returns whether params have what the method needs, and all that it reads is
 * of the right type.
 */

static ngx_uint_t
ngx_mcp_pushed_has_params(ngx_mcp_pushed_scan_t *scan)
{
    ngx_uint_t                needs;
    ngx_mcp_pushed_t         *pushed;
    ngx_mcp_pushed_member_t  *m;

    pushed = scan->pushed;
    needs = ngx_mcp_pushed_kinds[pushed->method].needs;

    if ((scan->seen & needs) != needs) {
        return 0;
    }

    for (m = ngx_mcp_pushed_members; m->member; m++) {

        if ((m->methods & (1 << pushed->method))
            && (scan->wrong & m->member))
        {
            return 0;
        }
    }

    return pushed->method != NGX_MCP_PUSHED_MESSAGE
           || ngx_mcp_log_level(&pushed->level) != NGX_MCP_LOG_UNKNOWN;
}


static ngx_uint_t
ngx_mcp_pushed_is_reply(ngx_str_t *reply)
{
    u_char  *p, *last;

    if (reply->len < NGX_MCP_PUSHED_MIN_REPLY
        || reply->len > NGX_MCP_PUSHED_MAX_REPLY)
    {
        return 0;
    }

    last = reply->data + reply->len;

    for (p = reply->data; p < last; p++) {

        if ((*p < '0' || *p > '9') && (*p < 'A' || *p > 'Z')
            && (*p < 'a' || *p > 'z') && *p != '-' && *p != '_')
        {
            return 0;
        }
    }

    return 1;
}
