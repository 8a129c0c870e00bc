
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Writes answers of the backend in their modern form.
 *
 * What is to change is collected first, in the order of the text: then the
 * answer is copied once.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_jsonrpc.h"
#include "ngx_mcp_modern_answer.h"


/* at most: 4 for the id, and 6 in a result or 4 in an error */

#define NGX_MCP_MODERN_EDITS  10

/* codes of errors that a server of the modern era must not send */

#define NGX_MCP_MODERN_NO_RESOURCE   (-32002)
#define NGX_MCP_MODERN_NEEDS_URL     (-32042)
#define NGX_MCP_MODERN_CLOSED_FIRST  (-32019)    /* to -32000 */
#define NGX_MCP_MODERN_CLOSED_LAST   (-32000)


/* text is put in the place of "len" bytes at pos */

typedef struct {
    u_char                      *pos;
    size_t                       len;
    ngx_str_t                    text;
} ngx_mcp_modern_edit_t;


typedef struct {
    ngx_str_t                    source;
    ngx_uint_t                   n;
    ngx_mcp_modern_edit_t        edits[NGX_MCP_MODERN_EDITS];
} ngx_mcp_modern_text_t;


/* a result that clients may keep, and for how long */

typedef struct {
    ngx_str_t                    method;
    ngx_str_t                    ttl;
} ngx_mcp_modern_ttl_t;


static void ngx_mcp_modern_id(ngx_mcp_modern_text_t *t,
    ngx_mcp_jsonrpc_answer_t *answer, ngx_str_t *id);
static void ngx_mcp_modern_result(ngx_mcp_modern_text_t *t,
    ngx_mcp_jsonrpc_result_t *result, ngx_mcp_modern_request_t *request);
static void ngx_mcp_modern_server_info(ngx_mcp_modern_text_t *t,
    ngx_mcp_jsonrpc_result_t *result, ngx_str_t *info);
static ngx_str_t *ngx_mcp_modern_ttl(ngx_mcp_modern_request_t *request);
static ngx_int_t ngx_mcp_modern_code(ngx_mcp_jsonrpc_error_t *err,
    ngx_int_t *code);
static ngx_int_t ngx_mcp_modern_refusal(ngx_mcp_modern_text_t *t,
    ngx_mcp_jsonrpc_error_t *err, ngx_int_t code, ngx_str_t *uri);
static void ngx_mcp_modern_uri(ngx_mcp_modern_text_t *t,
    ngx_mcp_jsonrpc_error_t *err, ngx_str_t *uri);
static void ngx_mcp_modern_edit(ngx_mcp_modern_text_t *t, u_char *pos,
    size_t len, ngx_str_t *text);
static void ngx_mcp_modern_members(ngx_mcp_modern_text_t *t,
    ngx_str_t *object);
static ngx_mcp_event_t *ngx_mcp_modern_write(ngx_mcp_modern_text_t *t,
    ngx_log_t *log);
static void ngx_mcp_modern_sort(ngx_mcp_modern_text_t *t);


/* MCP 2026-07-28, Caching: results that have ttlMs and cacheScope */

static ngx_mcp_modern_ttl_t  ngx_mcp_modern_ttls[] = {
    { ngx_string("tools/list"), ngx_string("\"ttlMs\":60000,") },
    { ngx_string("prompts/list"), ngx_string("\"ttlMs\":60000,") },
    { ngx_string("resources/list"), ngx_string("\"ttlMs\":60000,") },
    { ngx_string("resources/templates/list"), ngx_string("\"ttlMs\":60000,") },
    { ngx_string("resources/read"), ngx_string("\"ttlMs\":0,") },
    { ngx_string("server/discover"), ngx_string("\"ttlMs\":600000,") },
    { ngx_null_string, ngx_null_string }
};

static ngx_str_t  ngx_mcp_modern_no_ttl = ngx_string("\"ttlMs\":0,");
static ngx_str_t  ngx_mcp_modern_type =
    ngx_string("\"resultType\":\"complete\",");
static ngx_str_t  ngx_mcp_modern_cache_scope =
    ngx_string("\"cacheScope\":\"private\",");
static ngx_str_t  ngx_mcp_modern_meta =
    ngx_string("\"_meta\":{\"io.modelcontextprotocol/serverInfo\":");
static ngx_str_t  ngx_mcp_modern_info =
    ngx_string("\"io.modelcontextprotocol/serverInfo\":");
static ngx_str_t  ngx_mcp_modern_data_uri = ngx_string("\"data\":{\"uri\":");
static ngx_str_t  ngx_mcp_modern_object_uri = ngx_string("{\"uri\":");
static ngx_str_t  ngx_mcp_modern_only_uri = ngx_string("\"uri\":");
static ngx_str_t  ngx_mcp_modern_response =
    ngx_string("{\"jsonrpc\":\"2.0\",\"id\":");
static ngx_str_t  ngx_mcp_modern_response_result = ngx_string(",\"result\":");
static ngx_str_t  ngx_mcp_modern_only_id = ngx_string("\"id\":");
static ngx_str_t  ngx_mcp_modern_comma = ngx_string(",");
static ngx_str_t  ngx_mcp_modern_end = ngx_string("}");
static ngx_str_t  ngx_mcp_modern_end_comma = ngx_string("},");
static ngx_str_t  ngx_mcp_modern_params = ngx_string("-32602");
static ngx_str_t  ngx_mcp_modern_internal = ngx_string("-32603");


ngx_uint_t
ngx_mcp_modern_answer_valid(ngx_mcp_jsonrpc_answer_t *answer)
{
    ngx_int_t  code;

    return answer->error ? ngx_mcp_modern_code(&answer->err, &code) == NGX_OK
                         : answer->result.object;
}


ngx_int_t
ngx_mcp_modern_answer(ngx_mcp_jsonrpc_answer_t *answer,
    ngx_mcp_modern_request_t *request, ngx_mcp_event_t **ev, ngx_int_t *code,
    ngx_log_t *log)
{
    ngx_mcp_modern_text_t  t;

    *code = 0;

    t.source = answer->response ? answer->object : answer->value;
    t.n = 0;

    ngx_mcp_modern_id(&t, answer, &request->id);

    if (answer->error) {
        (void) ngx_mcp_modern_code(&answer->err, code);
        *code = ngx_mcp_modern_refusal(&t, &answer->err, *code, &request->uri);

    } else if (!answer->result.incomplete) {
        ngx_mcp_modern_result(&t, &answer->result, request);
    }

    if (t.n == 0) {
        return NGX_DECLINED;
    }

    if (answer->breaks) {
        ngx_mcp_jsonrpc_one_line(&t.source);
    }

    *ev = ngx_mcp_modern_write(&t, log);

    return *ev ? NGX_OK : NGX_ERROR;
}


/*
 * The id of the request for a response that has none, or null, or a response
 * around a value.
 */

static void
ngx_mcp_modern_id(ngx_mcp_modern_text_t *t, ngx_mcp_jsonrpc_answer_t *answer,
    ngx_str_t *id)
{
    u_char  *p;

    p = t->source.data;

    if (!answer->response) {
        ngx_mcp_modern_edit(t, p, 0, &ngx_mcp_modern_response);
        ngx_mcp_modern_edit(t, p, 0, id);
        ngx_mcp_modern_edit(t, p, 0, &ngx_mcp_modern_response_result);
        ngx_mcp_modern_edit(t, p + t->source.len, 0, &ngx_mcp_modern_end);

    } else if (answer->null_id.data) {
        ngx_mcp_modern_edit(t, answer->null_id.data, answer->null_id.len, id);

    } else if (answer->id.data == NULL) {
        ngx_mcp_modern_edit(t, p + 1, 0, &ngx_mcp_modern_only_id);
        ngx_mcp_modern_edit(t, p + 1, 0, id);
        ngx_mcp_modern_edit(t, p + 1, 0, &ngx_mcp_modern_comma);
    }
}


static void
ngx_mcp_modern_result(ngx_mcp_modern_text_t *t,
    ngx_mcp_jsonrpc_result_t *result, ngx_mcp_modern_request_t *request)
{
    u_char     *p;
    ngx_str_t  *ttl;

    p = result->raw.data + 1;

    if (!(result->has & NGX_MCP_JSONRPC_HAS_TYPE)) {
        ngx_mcp_modern_edit(t, p, 0, &ngx_mcp_modern_type);
    }

    ttl = ngx_mcp_modern_ttl(request);

    if (ttl && !(result->has & NGX_MCP_JSONRPC_HAS_TTL)) {
        ngx_mcp_modern_edit(t, p, 0, ttl);
    }

    if (ttl && !(result->has & NGX_MCP_JSONRPC_HAS_CACHE_SCOPE)) {
        ngx_mcp_modern_edit(t, p, 0, &ngx_mcp_modern_cache_scope);
    }

    if (request->server_info.len && !(result->has & NGX_MCP_JSONRPC_HAS_META)) {
        ngx_mcp_modern_edit(t, p, 0, &ngx_mcp_modern_meta);
        ngx_mcp_modern_edit(t, p, 0, &request->server_info);
        ngx_mcp_modern_edit(t, p, 0, &ngx_mcp_modern_end_comma);
    }

    /* where there are none, resultType was added */

    ngx_mcp_modern_members(t, &result->raw);

    if (request->server_info.len && result->meta.data) {
        ngx_mcp_modern_server_info(t, result, &request->server_info);
    }
}


/*
 * Puts the server's name into the _meta that a result has.
 */

static void
ngx_mcp_modern_server_info(ngx_mcp_modern_text_t *t,
    ngx_mcp_jsonrpc_result_t *result, ngx_str_t *info)
{
    u_char  *p;

    if (result->has & NGX_MCP_JSONRPC_HAS_SERVER_INFO) {
        return;
    }

    p = result->meta.data + 1;

    ngx_mcp_modern_edit(t, p, 0, &ngx_mcp_modern_info);
    ngx_mcp_modern_edit(t, p, 0, info);
    ngx_mcp_modern_edit(t, p, 0, &ngx_mcp_modern_comma);

    ngx_mcp_modern_members(t, &result->meta);
}


/*
 * Returns NULL for a method whose results are not kept.  What a retry brings is
 * the answer to what the user has said, not for another time.
 */

static ngx_str_t *
ngx_mcp_modern_ttl(ngx_mcp_modern_request_t *request)
{
    ngx_mcp_modern_ttl_t  *ttl;

    for (ttl = ngx_mcp_modern_ttls; ttl->method.len; ttl++) {

        if (ttl->method.len == request->method.len
            && ngx_memcmp(ttl->method.data, request->method.data,
                          request->method.len)
               == 0)
        {
            return request->retry ? &ngx_mcp_modern_no_ttl : &ttl->ttl;
        }
    }

    return NULL;
}


/*
 * Reads the code of an error.  One with more than seven digits is cut: it is
 * none of those that the module knows.  Returns NGX_DECLINED if the error is
 * not one of JSON-RPC.
 */

static ngx_int_t
ngx_mcp_modern_code(ngx_mcp_jsonrpc_error_t *err, ngx_int_t *code)
{
    u_char     *p, *last;
    ngx_int_t   n;

    if (!err->valid) {
        return NGX_DECLINED;
    }

    p = err->code.data;
    last = p + err->code.len;

    if (*p == '-') {
        p++;
    }

    for (n = 0; p < last; p++) {

        if (*p < '0' || *p > '9') {
            return NGX_DECLINED;
        }

        if (n < 1000000) {
            n = n * 10 + (*p - '0');
        }
    }

    *code = (err->code.data[0] == '-') ? -n : n;

    return NGX_OK;
}


/*
 * Returns the code that the client gets.
 */

static ngx_int_t
ngx_mcp_modern_refusal(ngx_mcp_modern_text_t *t, ngx_mcp_jsonrpc_error_t *err,
    ngx_int_t code, ngx_str_t *uri)
{
    if (code == NGX_MCP_MODERN_NO_RESOURCE) {
        ngx_mcp_modern_edit(t, err->code.data, err->code.len,
                            &ngx_mcp_modern_params);

        if (uri->data && !(err->has & NGX_MCP_JSONRPC_HAS_URI)) {
            ngx_mcp_modern_uri(t, err, uri);
        }

        return NGX_MCP_ERR_INVALID_PARAMS;
    }

    if (code == NGX_MCP_MODERN_NEEDS_URL
        || (code >= NGX_MCP_MODERN_CLOSED_FIRST
            && code <= NGX_MCP_MODERN_CLOSED_LAST))
    {
        ngx_mcp_modern_edit(t, err->code.data, err->code.len,
                            &ngx_mcp_modern_internal);

        return NGX_MCP_ERR_INTERNAL;
    }

    return code;
}


/*
 * Puts the URI into the data of an error; data that is no object is replaced.
 */

static void
ngx_mcp_modern_uri(ngx_mcp_modern_text_t *t, ngx_mcp_jsonrpc_error_t *err,
    ngx_str_t *uri)
{
    u_char  *p;

    if (err->data.data == NULL) {
        p = err->raw.data + 1;

        ngx_mcp_modern_edit(t, p, 0, &ngx_mcp_modern_data_uri);
        ngx_mcp_modern_edit(t, p, 0, uri);
        ngx_mcp_modern_edit(t, p, 0, &ngx_mcp_modern_end_comma);

        return;
    }

    if (!err->data_object) {
        p = err->data.data + err->data.len;

        ngx_mcp_modern_edit(t, err->data.data, err->data.len,
                            &ngx_mcp_modern_object_uri);
        ngx_mcp_modern_edit(t, p, 0, uri);
        ngx_mcp_modern_edit(t, p, 0, &ngx_mcp_modern_end);

        return;
    }

    p = err->data.data + 1;

    ngx_mcp_modern_edit(t, p, 0, &ngx_mcp_modern_only_uri);
    ngx_mcp_modern_edit(t, p, 0, uri);
    ngx_mcp_modern_edit(t, p, 0, &ngx_mcp_modern_comma);

    ngx_mcp_modern_members(t, &err->data);
}


static void
ngx_mcp_modern_edit(ngx_mcp_modern_text_t *t, u_char *pos, size_t len,
    ngx_str_t *text)
{
    ngx_mcp_modern_edit_t  *edit;

    edit = &t->edits[t->n++];

    edit->pos = pos;
    edit->len = len;
    edit->text = *text;
}


/*
 * The last edit has put a comma in front of the members of the object: takes it
 * away if there are none.
 */

static void
ngx_mcp_modern_members(ngx_mcp_modern_text_t *t, ngx_str_t *object)
{
    u_char  *p;

    p = object->data + 1;

    while (*p == ' ' || *p == '\t' || *p == CR || *p == LF) {
        p++;
    }

    if (*p == '}') {
        t->edits[t->n - 1].text.len--;
    }
}


static ngx_mcp_event_t *
ngx_mcp_modern_write(ngx_mcp_modern_text_t *t, ngx_log_t *log)
{
    u_char                 *p;
    size_t                  size;
    ngx_uint_t              i;
    ngx_mcp_event_t        *ev;
    ngx_mcp_modern_edit_t  *edit;

    ngx_mcp_modern_sort(t);

    size = t->source.len;

    for (i = 0; i < t->n; i++) {
        size += t->edits[i].text.len - t->edits[i].len;
    }

    ev = ngx_mcp_event_alloc(size, log);
    if (ev == NULL) {
        return NULL;
    }

    p = t->source.data;

    for (i = 0; i < t->n; i++) {
        edit = &t->edits[i];

        ev->last = ngx_cpymem(ev->last, p, edit->pos - p);
        ev->last = ngx_cpymem(ev->last, edit->text.data, edit->text.len);

        p = edit->pos + edit->len;
    }

    ev->last = ngx_cpymem(ev->last, p, t->source.data + t->source.len - p);

    return ngx_mcp_event_frame(ev, log);
}


/*
 * Sorts the edits by their place; those at one place keep their order.
 */

static void
ngx_mcp_modern_sort(ngx_mcp_modern_text_t *t)
{
    ngx_uint_t             i, k;
    ngx_mcp_modern_edit_t  edit;

    for (i = 1; i < t->n; i++) {
        edit = t->edits[i];

        for (k = i; k && t->edits[k - 1].pos > edit.pos; k--) {
            t->edits[k] = t->edits[k - 1];
        }

        t->edits[k] = edit;
    }
}
