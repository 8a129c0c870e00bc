
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


static void ngx_mcp_jsonrpc_answer_take(ngx_mcp_jsonrpc_answer_t *answer,
    ngx_mcp_jsonrpc_answer_envelope_t *e, ngx_str_t *body);
static void ngx_mcp_jsonrpc_answer_bytes(ngx_str_t *bytes,
    ngx_mcp_jsonrpc_answer_range_t *range, ngx_str_t *body);
static ngx_int_t ngx_mcp_jsonrpc_answer_value(ngx_mcp_json_scan_t *s,
    ngx_uint_t type, ngx_str_t *raw);
static void ngx_mcp_jsonrpc_answer_envelope(
    ngx_mcp_jsonrpc_answer_envelope_t *e, ngx_mcp_json_scan_t *s,
    ngx_uint_t outer, ngx_uint_t type, ngx_str_t *raw);
static void ngx_mcp_jsonrpc_answer_range(ngx_mcp_jsonrpc_answer_range_t *range,
    ngx_mcp_json_scan_t *s, ngx_str_t *raw);
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


void
ngx_mcp_jsonrpc_answer_begin(ngx_mcp_jsonrpc_answer_scan_t *scan,
    ngx_pool_t *pool)
{
    ngx_memzero(scan, sizeof(ngx_mcp_jsonrpc_answer_scan_t));

    scan->json.names = ngx_mcp_jsonrpc_answer_names;
    scan->json.value = ngx_mcp_jsonrpc_answer_value;
    scan->json.data = scan;
    scan->pool = pool;
    scan->rc = NGX_AGAIN;
}


void
ngx_mcp_jsonrpc_answer_more(ngx_mcp_jsonrpc_answer_scan_t *scan,
    ngx_str_t *body)
{
    if (scan->rc == NGX_AGAIN) {
        scan->rc = ngx_mcp_json_scan(&scan->json, body, 0);
    }
}


ngx_int_t
ngx_mcp_jsonrpc_answer_end(ngx_mcp_jsonrpc_answer_scan_t *scan,
    ngx_str_t *body, ngx_mcp_jsonrpc_answer_t *answer)
{
    ngx_memzero(answer, sizeof(ngx_mcp_jsonrpc_answer_t));

    if (scan->rc == NGX_AGAIN) {
        scan->rc = ngx_mcp_json_scan(&scan->json, body, 1);
    }

    if (scan->rc != NGX_OK) {
        return scan->rc;
    }

    answer->exc_type = scan->exc_type;
    answer->breaks = scan->json.breaks;
    answer->separators = (scan->json.separators != 0);

    if (scan->top.response) {
        ngx_mcp_jsonrpc_answer_take(answer, &scan->top, body);
        return NGX_OK;
    }

    /* with two members "message" it is unknown which one is the answer */

    if (scan->twice & NGX_MCP_JSONRPC_ANSWER_MESSAGE) {
        return NGX_OK;
    }

    if (scan->inner.response) {
        ngx_mcp_jsonrpc_answer_take(answer, &scan->inner, body);
        return NGX_OK;
    }

    if (!scan->inner.ambiguous) {
        ngx_mcp_jsonrpc_answer_bytes(&answer->value, &scan->value, body);
    }

    return NGX_OK;
}


ngx_int_t
ngx_mcp_jsonrpc_string(ngx_pool_t *pool, ngx_str_t *body, const char *name,
    ngx_str_t *value)
{
    ngx_int_t            rc;
    ngx_str_t            raw;
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

    return ngx_mcp_json_text_copy(pool, &raw, value);
}


static void
ngx_mcp_jsonrpc_answer_take(ngx_mcp_jsonrpc_answer_t *answer,
    ngx_mcp_jsonrpc_answer_envelope_t *e, ngx_str_t *body)
{
    ngx_mcp_jsonrpc_answer_bytes(&answer->object, &e->object, body);
    ngx_mcp_jsonrpc_answer_bytes(&answer->id, &e->id, body);
    ngx_mcp_jsonrpc_answer_bytes(&answer->null_id, &e->null_id, body);

    answer->response = 1;
    answer->error = e->error;
    answer->tool_error = e->tool_error;
}


static void
ngx_mcp_jsonrpc_answer_bytes(ngx_str_t *bytes,
    ngx_mcp_jsonrpc_answer_range_t *range, ngx_str_t *body)
{
    if (range->len) {
        bytes->len = range->len;
        bytes->data = body->data + range->start;
    }
}


static ngx_int_t
ngx_mcp_jsonrpc_answer_value(ngx_mcp_json_scan_t *s, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_mcp_json_level_t           *l;
    ngx_mcp_jsonrpc_answer_scan_t  *scan;

    scan = s->data;
    l = s->level;

    ngx_mcp_jsonrpc_answer_envelope(&scan->top, s, 0, type, raw);

    if (s->depth == 0) {

        if (type == NGX_MCP_JSON_OBJECT) {
            scan->twice = l[1].twice;
        }

        return NGX_OK;
    }

    if (l[1].key == NGX_MCP_JSONRPC_ANSWER_MESSAGE) {

        ngx_mcp_jsonrpc_answer_envelope(&scan->inner, s, 1, type, raw);

        if (s->depth == 1) {
            ngx_mcp_jsonrpc_answer_range(&scan->value, s, raw);
        }

        return NGX_OK;
    }

    if (s->depth == 1
        && l[1].key == NGX_MCP_JSONRPC_ANSWER_EXC_TYPE
        && type == NGX_MCP_JSON_STRING)
    {
        return ngx_mcp_json_text_copy(scan->pool, raw, &scan->exc_type);
    }

    return NGX_OK;
}


/* "outer" is the number of containers around the possible response */

static void
ngx_mcp_jsonrpc_answer_envelope(ngx_mcp_jsonrpc_answer_envelope_t *e,
    ngx_mcp_json_scan_t *s, ngx_uint_t outer, ngx_uint_t type, ngx_str_t *raw)
{
    ngx_uint_t             depth, outcome;
    ngx_mcp_json_level_t  *l;

    l = &s->level[outer];
    depth = s->depth - outer;

    if (depth == 0 && type == NGX_MCP_JSON_OBJECT) {

        outcome = l[1].seen & NGX_MCP_JSONRPC_ANSWER_OUTCOME;

        ngx_mcp_jsonrpc_answer_range(&e->object, s, raw);

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
        ngx_mcp_jsonrpc_answer_range(type == NGX_MCP_JSON_NULL ? &e->null_id
                                                               : &e->id,
                                     s, raw);
        return;
    }

    if (depth == 2
        && l[1].key == NGX_MCP_JSONRPC_ANSWER_RESULT
        && l[2].key == NGX_MCP_JSONRPC_ANSWER_IS_ERROR)
    {
        e->tool_error = (type == NGX_MCP_JSON_TRUE);
    }
}


static void
ngx_mcp_jsonrpc_answer_range(ngx_mcp_jsonrpc_answer_range_t *range,
    ngx_mcp_json_scan_t *s, ngx_str_t *raw)
{
    range->start = raw->data - s->text.data;
    range->len = raw->len;
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
