
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Parses and validates JSON-RPC 2.0 messages of clients; builds errors.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_json.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_jsonrpc.h"


/*
 * The longest id, raw bytes with quotes.  Ids are bounded since they are kept
 * as long as their calls, and compared with each other.
 */

#define NGX_MCP_JSONRPC_MAX_ID_LEN  4096

#define NGX_MCP_KEY_JSONRPC     0x0001
#define NGX_MCP_KEY_ID          0x0002
#define NGX_MCP_KEY_METHOD      0x0004
#define NGX_MCP_KEY_PARAMS      0x0008
#define NGX_MCP_KEY_RESULT      0x0010
#define NGX_MCP_KEY_ERROR       0x0020
#define NGX_MCP_KEY_NAME        0x0040
#define NGX_MCP_KEY_REQUEST_ID  0x0080
#define NGX_MCP_KEY_META        0x0100
#define NGX_MCP_KEY_TOKEN       0x0200
#define NGX_MCP_KEY_VERSION     0x0400

#define NGX_MCP_KEYS_OUTCOME      (NGX_MCP_KEY_RESULT                         \
                                   |NGX_MCP_KEY_ERROR)

#define NGX_MCP_KEYS_ENVELOPE     (NGX_MCP_KEY_JSONRPC                        \
                                   |NGX_MCP_KEY_ID                            \
                                   |NGX_MCP_KEY_METHOD                        \
                                   |NGX_MCP_KEY_PARAMS                        \
                                   |NGX_MCP_KEYS_OUTCOME)

#define NGX_MCP_KEYS_IN_PARAMS    (NGX_MCP_KEY_NAME                           \
                                   |NGX_MCP_KEY_REQUEST_ID                    \
                                   |NGX_MCP_KEY_META)

#define NGX_MCP_KEYS_IN_META      (NGX_MCP_KEY_TOKEN                          \
                                   |NGX_MCP_KEY_VERSION)


typedef struct {
    ngx_array_t                 *messages;
    ngx_mcp_jsonrpc_message_t    message;

    unsigned                     version:1;
    unsigned                     invalid:1;
} ngx_mcp_jsonrpc_scan_t;


static ngx_int_t ngx_mcp_jsonrpc_message(ngx_mcp_json_walk_t *w,
    ngx_uint_t type, ngx_str_t *raw);
static ngx_int_t ngx_mcp_jsonrpc_message_member(ngx_mcp_json_walk_t *w,
    ngx_mcp_json_level_t *l, ngx_uint_t type, ngx_str_t *raw);
static ngx_int_t ngx_mcp_jsonrpc_params_member(ngx_mcp_json_walk_t *w,
    ngx_mcp_json_level_t *l, ngx_uint_t type, ngx_str_t *raw);
static void ngx_mcp_jsonrpc_meta_member(ngx_mcp_jsonrpc_message_t *m,
    ngx_uint_t key, ngx_uint_t type, ngx_str_t *raw);
static ngx_int_t ngx_mcp_jsonrpc_message_end(ngx_mcp_jsonrpc_scan_t *scan,
    ngx_mcp_json_level_t *l, ngx_uint_t type);
static ngx_uint_t ngx_mcp_jsonrpc_classify(ngx_str_t *method, ngx_uint_t seen);
static ngx_uint_t ngx_mcp_jsonrpc_is_id(ngx_uint_t type, ngx_str_t *raw);
static ngx_uint_t ngx_mcp_jsonrpc_integer(ngx_str_t *raw, ngx_str_t *digits);


static ngx_conf_bitmask_t  ngx_mcp_jsonrpc_names[] = {
    { ngx_string("jsonrpc"), NGX_MCP_KEY_JSONRPC },
    { ngx_string("id"), NGX_MCP_KEY_ID },
    { ngx_string("method"), NGX_MCP_KEY_METHOD },
    { ngx_string("params"), NGX_MCP_KEY_PARAMS },
    { ngx_string("result"), NGX_MCP_KEY_RESULT },
    { ngx_string("error"), NGX_MCP_KEY_ERROR },
    { ngx_string("name"), NGX_MCP_KEY_NAME },
    { ngx_string("requestId"), NGX_MCP_KEY_REQUEST_ID },
    { ngx_string("_meta"), NGX_MCP_KEY_META },
    { ngx_string("progressToken"), NGX_MCP_KEY_TOKEN },
    { ngx_string("io.modelcontextprotocol/protocolVersion"),
      NGX_MCP_KEY_VERSION },
    { ngx_null_string, 0 }
};


static ngx_str_t  ngx_mcp_jsonrpc_version = ngx_string("\"2.0\"");


ngx_int_t
ngx_mcp_jsonrpc_scan(ngx_pool_t *pool, ngx_str_t *body, ngx_array_t **messages,
    ngx_uint_t *batch)
{
    ngx_int_t               rc;
    ngx_mcp_json_walk_t     w;
    ngx_mcp_jsonrpc_scan_t  scan;

    ngx_memzero(&w, sizeof(ngx_mcp_json_walk_t));
    ngx_memzero(&scan, sizeof(ngx_mcp_jsonrpc_scan_t));

    scan.messages = ngx_array_create(pool, 1,
                                     sizeof(ngx_mcp_jsonrpc_message_t));
    if (scan.messages == NULL) {
        return NGX_ERROR;
    }

    w.pool = pool;
    w.body = body;
    w.names = ngx_mcp_jsonrpc_names;
    w.value = ngx_mcp_jsonrpc_message;
    w.data = &scan;
    w.max_depth = NGX_MCP_JSONRPC_MAX_DEPTH;

    rc = ngx_mcp_json_walk(&w);

    *batch = (w.top == NGX_MCP_JSON_ARRAY);

    if (rc == NGX_DECLINED) {
        return NGX_MCP_ERR_PARSE;
    }

    if (rc == NGX_OK && (scan.invalid || scan.messages->nelts == 0)) {
        return NGX_MCP_ERR_INVALID_REQUEST;
    }

    if (rc == NGX_OK) {
        *messages = scan.messages;
    }

    return rc;
}


ngx_uint_t
ngx_mcp_jsonrpc_same_id(ngx_str_t *a, ngx_str_t *b)
{
    ngx_str_t   x, y;
    ngx_uint_t  negative;

    if (a->len == 0 || b->len == 0) {
        return 0;
    }

    if (a->data[0] == '"') {
        return ngx_mcp_json_text_same(a, b);
    }

    if (!ngx_mcp_jsonrpc_integer(a, &x) || !ngx_mcp_jsonrpc_integer(b, &y)) {
        return 0;
    }

    if (x.len != y.len || ngx_memcmp(x.data, y.data, x.len) != 0) {
        return 0;
    }

    negative = (a->data[0] == '-');

    /* zero has no digits left: -0 equals 0 */

    return x.len == 0 || negative == (ngx_uint_t) (b->data[0] == '-');
}


ngx_int_t
ngx_mcp_jsonrpc_id_value(ngx_pool_t *pool, ngx_str_t *id, ngx_str_t *kind,
    ngx_str_t *value)
{
    if (id->data[0] == '"') {
        ngx_str_set(kind, "string");

        return ngx_mcp_json_text_decode(pool, id, value);
    }

    (void) ngx_mcp_jsonrpc_integer(id, value);

    /* zero has no digits left: -0 equals 0 */

    if (id->data[0] == '-' && value->len) {
        ngx_str_set(kind, "negative");

    } else {
        ngx_str_set(kind, "positive");
    }

    return NGX_OK;
}


void
ngx_mcp_jsonrpc_one_line(ngx_str_t *json)
{
    u_char  *p, *last;

    last = json->data + json->len;

    for (p = json->data; p < last; p++) {
        if (*p == CR || *p == LF) {
            *p = ' ';
        }
    }
}


u_char *
ngx_mcp_jsonrpc_error(u_char *p, ngx_str_t *id, ngx_int_t code,
    const char *message, ngx_str_t *data)
{
    static ngx_str_t  null = ngx_string("null");

    p = ngx_sprintf(p, "{\"jsonrpc\":\"2.0\",\"id\":%V,\"error\":{\"code\":%i,"
                    "\"message\":\"%s\"", id ? id : &null, code, message);

    if (data && data->len) {
        p = ngx_sprintf(p, ",\"data\":%V", data);
    }

    *p++ = '}';
    *p++ = '}';

    return p;
}


size_t
ngx_mcp_jsonrpc_error_size(ngx_str_t *id, const char *message, ngx_str_t *data)
{
    return sizeof("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":,"
                  "\"message\":\"\",\"data\":}}") - 1
           + (id ? id->len : 0) + NGX_INT_T_LEN + ngx_strlen(message)
           + (data ? data->len : 0);
}


/* an invalid message does not end the walk: a parse error has precedence */

static ngx_int_t
ngx_mcp_jsonrpc_message(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_uint_t               base;
    ngx_mcp_json_level_t    *l;
    ngx_mcp_jsonrpc_scan_t  *scan;

    scan = w->data;

    base = (w->top == NGX_MCP_JSON_ARRAY);
    l = &w->level[base];

    if (scan->invalid || w->depth < base) {
        return NGX_OK;
    }

    switch (w->depth - base) {

    case 0:
        return ngx_mcp_jsonrpc_message_end(scan, l, type);

    case 1:
        return ngx_mcp_jsonrpc_message_member(w, l, type, raw);

    case 2:
        if (l[1].key == NGX_MCP_KEY_PARAMS) {
            return ngx_mcp_jsonrpc_params_member(w, l, type, raw);
        }

        return NGX_OK;

    case 3:
        if (l[1].key == NGX_MCP_KEY_PARAMS && l[2].key == NGX_MCP_KEY_META) {
            ngx_mcp_jsonrpc_meta_member(&scan->message, l[3].key, type, raw);
        }

        return NGX_OK;

    default:
        return NGX_OK;
    }
}


static ngx_int_t
ngx_mcp_jsonrpc_message_member(ngx_mcp_json_walk_t *w, ngx_mcp_json_level_t *l,
    ngx_uint_t type, ngx_str_t *raw)
{
    ngx_mcp_jsonrpc_message_t  *m;
    ngx_mcp_jsonrpc_scan_t     *scan;

    scan = w->data;
    m = &scan->message;

    switch (l[1].key) {

    case NGX_MCP_KEY_JSONRPC:
        scan->version = ngx_mcp_jsonrpc_same_id(raw, &ngx_mcp_jsonrpc_version);
        return NGX_OK;

    case NGX_MCP_KEY_ID:
        m->id = *raw;
        scan->invalid = !ngx_mcp_jsonrpc_is_id(type, raw);
        return NGX_OK;

    case NGX_MCP_KEY_METHOD:

        if (type != NGX_MCP_JSON_STRING || raw->len == 2) {
            scan->invalid = 1;
            return NGX_OK;
        }

        m->raw_method = *raw;

        return ngx_mcp_json_text_decode(w->pool, raw, &m->method);

    case NGX_MCP_KEY_PARAMS:
        m->params = *raw;
        scan->invalid = (type != NGX_MCP_JSON_OBJECT
                         && type != NGX_MCP_JSON_ARRAY)
                        || (l[2].twice & NGX_MCP_KEYS_IN_PARAMS);
        return NGX_OK;

    case NGX_MCP_KEY_RESULT:
        m->result = *raw;
        return NGX_OK;

    case NGX_MCP_KEY_ERROR:
        m->error = *raw;
        return NGX_OK;

    default:
        return NGX_OK;
    }
}


/*
 * The module and the backend must read the same values from params.  JSON
 * parsers differ in which of two equal names they use, so that a repeated one
 * makes the message invalid.
 */

static ngx_int_t
ngx_mcp_jsonrpc_params_member(ngx_mcp_json_walk_t *w, ngx_mcp_json_level_t *l,
    ngx_uint_t type, ngx_str_t *raw)
{
    ngx_mcp_jsonrpc_message_t  *m;
    ngx_mcp_jsonrpc_scan_t     *scan;

    scan = w->data;
    m = &scan->message;

    switch (l[2].key) {

    case NGX_MCP_KEY_NAME:

        if (type != NGX_MCP_JSON_STRING) {
            return NGX_OK;
        }

        return ngx_mcp_json_text_decode(w->pool, raw, &m->name);

    case NGX_MCP_KEY_REQUEST_ID:

        if (ngx_mcp_jsonrpc_is_id(type, raw)) {
            m->request_id = *raw;
        }

        return NGX_OK;

    case NGX_MCP_KEY_META:
        scan->invalid = type == NGX_MCP_JSON_OBJECT
                        && (l[3].twice & NGX_MCP_KEYS_IN_META);
        return NGX_OK;

    default:
        return NGX_OK;
    }
}


static void
ngx_mcp_jsonrpc_meta_member(ngx_mcp_jsonrpc_message_t *m, ngx_uint_t key,
    ngx_uint_t type, ngx_str_t *raw)
{
    switch (key) {

    case NGX_MCP_KEY_TOKEN:

        if (ngx_mcp_jsonrpc_is_id(type, raw)) {
            m->token = *raw;
        }

        return;

    case NGX_MCP_KEY_VERSION:
        m->version = *raw;
        return;

    default:
        return;
    }
}


static ngx_int_t
ngx_mcp_jsonrpc_message_end(ngx_mcp_jsonrpc_scan_t *scan,
    ngx_mcp_json_level_t *l, ngx_uint_t type)
{
    ngx_mcp_jsonrpc_message_t  *m;

    m = &scan->message;

    if (type == NGX_MCP_JSON_OBJECT
        && scan->version
        && !(l[1].twice & NGX_MCP_KEYS_ENVELOPE)
        && scan->messages->nelts < NGX_MCP_JSONRPC_MAX_BATCH)
    {
        m->type = ngx_mcp_jsonrpc_classify(&m->method, l[1].seen);
    }

    if (m->type == 0) {
        scan->invalid = 1;
        return NGX_OK;
    }

    m = ngx_array_push(scan->messages);
    if (m == NULL) {
        return NGX_ERROR;
    }

    *m = scan->message;

    /* the next message of a batch begins empty */

    ngx_memzero(&scan->message, sizeof(ngx_mcp_jsonrpc_message_t));
    scan->version = 0;

    return NGX_OK;
}


static ngx_uint_t
ngx_mcp_jsonrpc_classify(ngx_str_t *method, ngx_uint_t seen)
{
    size_t      len;
    ngx_uint_t  outcome;

    outcome = seen & NGX_MCP_KEYS_OUTCOME;

    if (seen & NGX_MCP_KEY_METHOD) {

        if (outcome) {
            return 0;
        }

        if (seen & NGX_MCP_KEY_ID) {
            return NGX_MCP_JSONRPC_REQUEST;
        }

        len = sizeof("notifications/") - 1;

        if (method->len >= len
            && ngx_memcmp(method->data, "notifications/", len) == 0)
        {
            return NGX_MCP_JSONRPC_NOTIFICATION;
        }

        return 0;
    }

    if (!(seen & NGX_MCP_KEY_ID)
        || outcome == 0
        || outcome == NGX_MCP_KEYS_OUTCOME)
    {
        return 0;
    }

    return NGX_MCP_JSONRPC_RESPONSE;
}


static ngx_uint_t
ngx_mcp_jsonrpc_is_id(ngx_uint_t type, ngx_str_t *raw)
{
    ngx_str_t  digits;

    if (type == NGX_MCP_JSON_STRING) {
        return raw->len <= NGX_MCP_JSONRPC_MAX_ID_LEN;
    }

    return type == NGX_MCP_JSON_NUMBER
           && raw->len <= NGX_MCP_JSONRPC_MAX_ID_LEN
           && ngx_mcp_jsonrpc_integer(raw, &digits);
}


/* sets "digits" to those without leading zeros; zero has none */

static ngx_uint_t
ngx_mcp_jsonrpc_integer(ngx_str_t *raw, ngx_str_t *digits)
{
    u_char  *p, *last;

    p = raw->data;
    last = raw->data + raw->len;

    if (p < last && *p == '-') {
        p++;
    }

    if (p == last) {
        return 0;
    }

    while (p < last && *p == '0') {
        p++;
    }

    digits->len = last - p;
    digits->data = p;

    for ( /* void */ ; p < last; p++) {
        if (*p < '0' || *p > '9') {
            return 0;
        }
    }

    return 1;
}
