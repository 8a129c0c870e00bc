
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Parses the answer of Frappe: a JSON-RPC response, one under "message",
 * another value under "message", or an error of Frappe.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_json.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_jsonrpc.h"
#include "ngx_mcp_jsonrpc_answer.h"


#define NGX_MCP_JSONRPC_ANSWER_MAX_DEPTH  512     /* containers in an answer */

#define NGX_MCP_JSONRPC_ANSWER_JSONRPC   0x0001
#define NGX_MCP_JSONRPC_ANSWER_ID        0x0002
#define NGX_MCP_JSONRPC_ANSWER_RESULT    0x0004
#define NGX_MCP_JSONRPC_ANSWER_ERROR     0x0008
#define NGX_MCP_JSONRPC_ANSWER_MESSAGE   0x0010
#define NGX_MCP_JSONRPC_ANSWER_EXC_TYPE  0x0020
#define NGX_MCP_JSONRPC_ANSWER_IS_ERROR  0x0040

#define NGX_MCP_JSONRPC_ANSWER_OUTCOME    (NGX_MCP_JSONRPC_ANSWER_RESULT      \
                                           |NGX_MCP_JSONRPC_ANSWER_ERROR)

#define NGX_MCP_JSONRPC_ANSWER_ONCE       (NGX_MCP_JSONRPC_ANSWER_ID          \
                                           |NGX_MCP_JSONRPC_ANSWER_OUTCOME)

#define NGX_MCP_JSONRPC_ANSWER_ENVELOPE   (NGX_MCP_JSONRPC_ANSWER_JSONRPC     \
                                           |NGX_MCP_JSONRPC_ANSWER_ONCE)


typedef struct {
    ngx_str_t                           object;
    ngx_str_t                           id;
    ngx_str_t                           null_id;

    unsigned                            version:1;
    unsigned                            response:1;
    unsigned                            ambiguous:1;
    unsigned                            error:1;
    unsigned                            tool_error:1;
} ngx_mcp_jsonrpc_answer_envelope_t;


typedef struct {
    ngx_mcp_jsonrpc_answer_envelope_t   top;
    ngx_mcp_jsonrpc_answer_envelope_t   inner;   /* under "message" */
    ngx_str_t                           value;
    ngx_str_t                           exc_type;
    ngx_uint_t                          twice;   /* repeated keys at the top */
} ngx_mcp_jsonrpc_answer_scan_t;


static void ngx_mcp_jsonrpc_answer_take(ngx_mcp_jsonrpc_answer_t *answer,
    ngx_mcp_jsonrpc_answer_envelope_t *e);
static ngx_int_t ngx_mcp_jsonrpc_answer_value(ngx_mcp_json_walk_t *w,
    ngx_uint_t type, ngx_str_t *raw);
static void ngx_mcp_jsonrpc_answer_envelope(
    ngx_mcp_jsonrpc_answer_envelope_t *e, ngx_mcp_json_level_t *l,
    ngx_uint_t depth, ngx_uint_t type, ngx_str_t *raw);
static ngx_int_t ngx_mcp_jsonrpc_string_value(ngx_mcp_json_walk_t *w,
    ngx_uint_t type, ngx_str_t *raw);


static ngx_conf_bitmask_t  ngx_mcp_jsonrpc_answer_names[] = {
    { ngx_string("jsonrpc"), NGX_MCP_JSONRPC_ANSWER_JSONRPC },
    { ngx_string("id"), NGX_MCP_JSONRPC_ANSWER_ID },
    { ngx_string("result"), NGX_MCP_JSONRPC_ANSWER_RESULT },
    { ngx_string("error"), NGX_MCP_JSONRPC_ANSWER_ERROR },
    { ngx_string("message"), NGX_MCP_JSONRPC_ANSWER_MESSAGE },
    { ngx_string("exc_type"), NGX_MCP_JSONRPC_ANSWER_EXC_TYPE },
    { ngx_string("isError"), NGX_MCP_JSONRPC_ANSWER_IS_ERROR },
    { ngx_null_string, 0 }
};


static ngx_str_t  ngx_mcp_jsonrpc_answer_version = ngx_string("\"2.0\"");


ngx_int_t
ngx_mcp_jsonrpc_answer_scan(ngx_pool_t *pool, ngx_str_t *body,
    ngx_mcp_jsonrpc_answer_t *answer)
{
    ngx_int_t                      rc;
    ngx_mcp_json_walk_t            w;
    ngx_mcp_jsonrpc_answer_scan_t  found;

    ngx_memzero(answer, sizeof(ngx_mcp_jsonrpc_answer_t));
    ngx_memzero(&w, sizeof(ngx_mcp_json_walk_t));
    ngx_memzero(&found, sizeof(ngx_mcp_jsonrpc_answer_scan_t));

    w.pool = pool;
    w.body = body;
    w.names = ngx_mcp_jsonrpc_answer_names;
    w.value = ngx_mcp_jsonrpc_answer_value;
    w.data = &found;
    w.max_depth = NGX_MCP_JSONRPC_ANSWER_MAX_DEPTH;

    rc = ngx_mcp_json_walk(&w);
    if (rc != NGX_OK) {
        return rc;
    }

    answer->exc_type = found.exc_type;

    if (found.top.response) {
        ngx_mcp_jsonrpc_answer_take(answer, &found.top);
        return NGX_OK;
    }

    /* with two members "message" it is unknown which one is the answer */

    if (found.twice & NGX_MCP_JSONRPC_ANSWER_MESSAGE) {
        return NGX_OK;
    }

    if (found.inner.response) {
        ngx_mcp_jsonrpc_answer_take(answer, &found.inner);
        return NGX_OK;
    }

    if (!found.inner.ambiguous) {
        answer->value = found.value;
    }

    return NGX_OK;
}


ngx_int_t
ngx_mcp_jsonrpc_string(ngx_pool_t *pool, ngx_str_t *body, const char *name,
    ngx_str_t *value)
{
    ngx_int_t            rc;
    ngx_str_t            raw, decoded;
    ngx_conf_bitmask_t   names[2];
    ngx_mcp_json_walk_t  w;

    ngx_str_null(&raw);
    ngx_memzero(&w, sizeof(ngx_mcp_json_walk_t));
    ngx_memzero(names, sizeof(names));

    names[0].name.len = ngx_strlen(name);
    names[0].name.data = (u_char *) name;
    names[0].mask = 1;

    w.body = body;
    w.names = names;
    w.value = ngx_mcp_jsonrpc_string_value;
    w.data = &raw;
    w.max_depth = NGX_MCP_JSONRPC_ANSWER_MAX_DEPTH;

    rc = ngx_mcp_json_walk(&w);
    if (rc != NGX_OK) {
        return rc;
    }

    if (raw.len <= 2) {
        return NGX_DECLINED;
    }

    if (ngx_mcp_json_text_decode(pool, &raw, &decoded) != NGX_OK) {
        return NGX_ERROR;
    }

    if (decoded.data != raw.data + 1) {
        *value = decoded;
        return NGX_OK;
    }

    value->len = decoded.len;
    value->data = ngx_pstrdup(pool, &decoded);

    return (value->data == NULL) ? NGX_ERROR : NGX_OK;
}


static void
ngx_mcp_jsonrpc_answer_take(ngx_mcp_jsonrpc_answer_t *answer,
    ngx_mcp_jsonrpc_answer_envelope_t *e)
{
    answer->object = e->object;
    answer->id = e->id;
    answer->null_id = e->null_id;
    answer->response = 1;
    answer->error = e->error;
    answer->tool_error = e->tool_error;
}


static ngx_int_t
ngx_mcp_jsonrpc_answer_value(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_mcp_json_level_t           *l;
    ngx_mcp_jsonrpc_answer_scan_t  *found;

    found = w->data;
    l = w->level;

    ngx_mcp_jsonrpc_answer_envelope(&found->top, l, w->depth, type, raw);

    if (w->depth == 0) {

        if (type == NGX_MCP_JSON_OBJECT) {
            found->twice = l[1].twice;
        }

        return NGX_OK;
    }

    if (l[1].key == NGX_MCP_JSONRPC_ANSWER_MESSAGE) {

        ngx_mcp_jsonrpc_answer_envelope(&found->inner, l + 1, w->depth - 1,
                                        type, raw);
        if (w->depth == 1) {
            found->value = *raw;
        }

        return NGX_OK;
    }

    if (w->depth == 1
        && l[1].key == NGX_MCP_JSONRPC_ANSWER_EXC_TYPE
        && type == NGX_MCP_JSON_STRING)
    {
        return ngx_mcp_json_text_decode(w->pool, raw, &found->exc_type);
    }

    return NGX_OK;
}


/* l[0] is the level of the possible response; "depth" is relative to it */

static void
ngx_mcp_jsonrpc_answer_envelope(ngx_mcp_jsonrpc_answer_envelope_t *e,
    ngx_mcp_json_level_t *l, ngx_uint_t depth, ngx_uint_t type, ngx_str_t *raw)
{
    ngx_uint_t  outcome;

    if (depth == 0 && type == NGX_MCP_JSON_OBJECT) {

        outcome = l[1].seen & NGX_MCP_JSONRPC_ANSWER_OUTCOME;

        e->object = *raw;
        e->error = (outcome == NGX_MCP_JSONRPC_ANSWER_ERROR);
        e->response = e->version
                      && !(l[1].twice & NGX_MCP_JSONRPC_ANSWER_ENVELOPE)
                      && (outcome == NGX_MCP_JSONRPC_ANSWER_RESULT
                          || outcome == NGX_MCP_JSONRPC_ANSWER_ERROR);

        /* a response, but parsers may differ in how they read it */

        e->ambiguous = (l[1].seen & NGX_MCP_JSONRPC_ANSWER_JSONRPC)
                       && (l[1].twice & NGX_MCP_JSONRPC_ANSWER_ONCE);
        return;
    }

    if (depth == 1 && l[1].key == NGX_MCP_JSONRPC_ANSWER_JSONRPC) {
        e->version = ngx_mcp_jsonrpc_same_id(raw,
                                           &ngx_mcp_jsonrpc_answer_version);
        return;
    }

    if (depth == 1 && l[1].key == NGX_MCP_JSONRPC_ANSWER_ID) {

        if (type == NGX_MCP_JSON_NULL) {
            e->null_id = *raw;

        } else {
            e->id = *raw;
        }

        return;
    }

    if (depth == 2
        && l[1].key == NGX_MCP_JSONRPC_ANSWER_RESULT
        && l[2].key == NGX_MCP_JSONRPC_ANSWER_IS_ERROR)
    {
        e->tool_error = (type == NGX_MCP_JSON_TRUE);
    }
}


/* a repeated member has no value: it may be the name of a user */

static ngx_int_t
ngx_mcp_jsonrpc_string_value(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_str_t  *value;

    value = w->data;

    if (w->depth == 1 && w->level[1].key) {

        if (type == NGX_MCP_JSON_STRING && !w->level[1].twice) {
            *value = *raw;

        } else {
            ngx_str_null(value);
        }
    }

    return NGX_OK;
}
