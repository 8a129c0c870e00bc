
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

/* those of NGX_MCP_JSONRPC_HAS_* are keys, too */

#define NGX_MCP_JSONRPC_ANSWER_JSONRPC   0x0001
#define NGX_MCP_JSONRPC_ANSWER_ID        0x0002
#define NGX_MCP_JSONRPC_ANSWER_RESULT    0x0004
#define NGX_MCP_JSONRPC_ANSWER_ERROR     0x0008
#define NGX_MCP_JSONRPC_ANSWER_MESSAGE   0x0010
#define NGX_MCP_JSONRPC_ANSWER_EXC_TYPE  0x0020
#define NGX_MCP_JSONRPC_ANSWER_IS_ERROR  0x0040
#define NGX_MCP_JSONRPC_ANSWER_CODE      0x2000
#define NGX_MCP_JSONRPC_ANSWER_DATA      0x4000

#define NGX_MCP_JSONRPC_ANSWER_OUTCOME    (NGX_MCP_JSONRPC_ANSWER_RESULT      \
                                           |NGX_MCP_JSONRPC_ANSWER_ERROR)

#define NGX_MCP_JSONRPC_ANSWER_ONCE       (NGX_MCP_JSONRPC_ANSWER_ID          \
                                           |NGX_MCP_JSONRPC_ANSWER_OUTCOME)

#define NGX_MCP_JSONRPC_ANSWER_ENVELOPE   (NGX_MCP_JSONRPC_ANSWER_JSONRPC     \
                                           |NGX_MCP_JSONRPC_ANSWER_ONCE)

#define NGX_MCP_JSONRPC_ANSWER_IN_RESULT  (NGX_MCP_JSONRPC_HAS_TYPE           \
                                           |NGX_MCP_JSONRPC_HAS_TTL           \
                                           |NGX_MCP_JSONRPC_HAS_CACHE_SCOPE   \
                                           |NGX_MCP_JSONRPC_HAS_META)

#define NGX_MCP_JSONRPC_ANSWER_IN_ERROR   (NGX_MCP_JSONRPC_ANSWER_CODE        \
                                           |NGX_MCP_JSONRPC_ANSWER_MESSAGE    \
                                           |NGX_MCP_JSONRPC_ANSWER_DATA)


static void ngx_mcp_jsonrpc_answer_take(ngx_mcp_jsonrpc_answer_t *answer,
    ngx_mcp_jsonrpc_answer_envelope_t *e, ngx_str_t *body);
static void ngx_mcp_jsonrpc_answer_take_result(
    ngx_mcp_jsonrpc_result_t *result, ngx_mcp_jsonrpc_answer_result_t *found,
    ngx_str_t *body);
static void ngx_mcp_jsonrpc_answer_take_error(ngx_mcp_jsonrpc_error_t *err,
    ngx_mcp_jsonrpc_answer_error_t *found, ngx_str_t *body);
static void ngx_mcp_jsonrpc_answer_bytes(ngx_str_t *bytes,
    ngx_mcp_jsonrpc_answer_range_t *range, ngx_str_t *body);
static ngx_int_t ngx_mcp_jsonrpc_answer_value(ngx_mcp_json_scan_t *s,
    ngx_uint_t type, ngx_str_t *raw);
static void ngx_mcp_jsonrpc_answer_envelope(
    ngx_mcp_jsonrpc_answer_envelope_t *e, ngx_mcp_json_scan_t *s,
    ngx_uint_t outer, ngx_uint_t type, ngx_str_t *raw);
static void ngx_mcp_jsonrpc_answer_object(
    ngx_mcp_jsonrpc_answer_envelope_t *e, ngx_mcp_json_scan_t *s,
    ngx_mcp_json_level_t *l, ngx_str_t *raw);
static void ngx_mcp_jsonrpc_answer_member(
    ngx_mcp_jsonrpc_answer_envelope_t *e, ngx_mcp_json_scan_t *s,
    ngx_mcp_json_level_t *l, ngx_uint_t type, ngx_str_t *raw);
static void ngx_mcp_jsonrpc_answer_result(
    ngx_mcp_jsonrpc_answer_result_t *result, ngx_mcp_json_scan_t *s,
    ngx_mcp_json_level_t *l, ngx_uint_t type, ngx_str_t *raw);
static void ngx_mcp_jsonrpc_answer_result_member(
    ngx_mcp_jsonrpc_answer_result_t *result, ngx_mcp_json_scan_t *s,
    ngx_mcp_json_level_t *l, ngx_uint_t type, ngx_str_t *raw);
static void ngx_mcp_jsonrpc_answer_error(ngx_mcp_jsonrpc_answer_error_t *err,
    ngx_mcp_json_scan_t *s, ngx_mcp_json_level_t *l, ngx_uint_t type,
    ngx_str_t *raw);
static void ngx_mcp_jsonrpc_answer_error_member(
    ngx_mcp_jsonrpc_answer_error_t *err, ngx_mcp_json_scan_t *s,
    ngx_mcp_json_level_t *l, ngx_uint_t type, ngx_str_t *raw);
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
    { ngx_string("resultType"), NGX_MCP_JSONRPC_HAS_TYPE },
    { ngx_string("ttlMs"), NGX_MCP_JSONRPC_HAS_TTL },
    { ngx_string("cacheScope"), NGX_MCP_JSONRPC_HAS_CACHE_SCOPE },
    { ngx_string("_meta"), NGX_MCP_JSONRPC_HAS_META },
    { ngx_string("io.modelcontextprotocol/serverInfo"),
      NGX_MCP_JSONRPC_HAS_SERVER_INFO },
    { ngx_string("code"), NGX_MCP_JSONRPC_ANSWER_CODE },
    { ngx_string("data"), NGX_MCP_JSONRPC_ANSWER_DATA },
    { ngx_string("uri"), NGX_MCP_JSONRPC_HAS_URI },
    { ngx_null_string, 0 }
};


/* of these names, from the first answer on */

static uint64_t   ngx_mcp_jsonrpc_answer_filter;

static ngx_str_t  ngx_mcp_jsonrpc_answer_version = ngx_string("\"2.0\"");
static ngx_str_t  ngx_mcp_jsonrpc_answer_complete = ngx_string("complete");


void
ngx_mcp_jsonrpc_answer_begin(ngx_mcp_jsonrpc_answer_scan_t *scan,
    ngx_pool_t *pool)
{
    if (ngx_mcp_jsonrpc_answer_filter == 0) {
        ngx_mcp_jsonrpc_answer_filter =
                        ngx_mcp_json_scan_filter(ngx_mcp_jsonrpc_answer_names);
    }

    scan->json.names = ngx_mcp_jsonrpc_answer_names;
    scan->json.filter = ngx_mcp_jsonrpc_answer_filter;
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
        ngx_mcp_jsonrpc_answer_take_result(&answer->result, &scan->value, body);
        answer->value = answer->result.raw;
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
    answer->tool_error = e->result.is_error;

    if (e->error) {
        ngx_mcp_jsonrpc_answer_take_error(&answer->err, &e->err, body);

    } else {
        ngx_mcp_jsonrpc_answer_take_result(&answer->result, &e->result, body);
    }
}


static void
ngx_mcp_jsonrpc_answer_take_result(ngx_mcp_jsonrpc_result_t *result,
    ngx_mcp_jsonrpc_answer_result_t *found, ngx_str_t *body)
{
    ngx_mcp_jsonrpc_answer_bytes(&result->raw, &found->raw, body);
    ngx_mcp_jsonrpc_answer_bytes(&result->meta, &found->meta, body);

    result->has = found->has;
    result->object = found->object;
    result->incomplete = found->incomplete;
}


static void
ngx_mcp_jsonrpc_answer_take_error(ngx_mcp_jsonrpc_error_t *err,
    ngx_mcp_jsonrpc_answer_error_t *found, ngx_str_t *body)
{
    ngx_mcp_jsonrpc_answer_bytes(&err->raw, &found->raw, body);
    ngx_mcp_jsonrpc_answer_bytes(&err->code, &found->code, body);
    ngx_mcp_jsonrpc_answer_bytes(&err->data, &found->data, body);

    err->has = found->has;
    err->valid = found->valid;
    err->data_object = found->data_object;
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
            ngx_mcp_jsonrpc_answer_result(&scan->value, s, &l[2], type, raw);

        } else if (s->depth == 2
                   && (l[2].key & NGX_MCP_JSONRPC_ANSWER_IN_RESULT))
        {
            ngx_mcp_jsonrpc_answer_result_member(&scan->value, s, &l[2], type,
                                                 raw);
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
    ngx_mcp_json_level_t  *l;

    l = &s->level[outer];

    switch (s->depth - outer) {

    case 0:

        if (type == NGX_MCP_JSON_OBJECT) {
            ngx_mcp_jsonrpc_answer_object(e, s, l, raw);
        }

        return;

    case 1:
        ngx_mcp_jsonrpc_answer_member(e, s, l, type, raw);
        return;

    case 2:

        if (l[2].key == 0) {
            return;
        }

        if (l[1].key == NGX_MCP_JSONRPC_ANSWER_RESULT) {
            ngx_mcp_jsonrpc_answer_result_member(&e->result, s, &l[2], type,
                                                 raw);

        } else if (l[1].key == NGX_MCP_JSONRPC_ANSWER_ERROR) {
            ngx_mcp_jsonrpc_answer_error_member(&e->err, s, &l[2], type, raw);
        }

        return;

    default:
        return;
    }
}


static void
ngx_mcp_jsonrpc_answer_object(ngx_mcp_jsonrpc_answer_envelope_t *e,
    ngx_mcp_json_scan_t *s, ngx_mcp_json_level_t *l, ngx_str_t *raw)
{
    ngx_uint_t  outcome;

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
}


static void
ngx_mcp_jsonrpc_answer_member(ngx_mcp_jsonrpc_answer_envelope_t *e,
    ngx_mcp_json_scan_t *s, ngx_mcp_json_level_t *l, ngx_uint_t type,
    ngx_str_t *raw)
{
    switch (l[1].key) {

    case NGX_MCP_JSONRPC_ANSWER_JSONRPC:
        e->version = ngx_mcp_jsonrpc_same_id(raw,
                                           &ngx_mcp_jsonrpc_answer_version);
        return;

    case NGX_MCP_JSONRPC_ANSWER_ID:
        ngx_mcp_jsonrpc_answer_range(type == NGX_MCP_JSON_NULL ? &e->null_id
                                                               : &e->id,
                                     s, raw);
        return;

    case NGX_MCP_JSONRPC_ANSWER_RESULT:
        ngx_mcp_jsonrpc_answer_result(&e->result, s, &l[2], type, raw);
        return;

    case NGX_MCP_JSONRPC_ANSWER_ERROR:
        ngx_mcp_jsonrpc_answer_error(&e->err, s, &l[2], type, raw);
        return;

    default:
        return;
    }
}


/* "l" has the keys of its members, if it is an object */

static void
ngx_mcp_jsonrpc_answer_result(ngx_mcp_jsonrpc_answer_result_t *result,
    ngx_mcp_json_scan_t *s, ngx_mcp_json_level_t *l, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_mcp_jsonrpc_answer_range(&result->raw, s, raw);

    if (type != NGX_MCP_JSON_OBJECT) {
        return;
    }

    result->object = 1;
    result->has |= l->seen & NGX_MCP_JSONRPC_ANSWER_IN_RESULT;

    /* parsers may differ in which _meta they read */

    if (l->twice & NGX_MCP_JSONRPC_HAS_META) {
        result->meta.len = 0;
    }
}


/* "l" has the key of the member, and behind it those of its members */

static void
ngx_mcp_jsonrpc_answer_result_member(ngx_mcp_jsonrpc_answer_result_t *result,
    ngx_mcp_json_scan_t *s, ngx_mcp_json_level_t *l, ngx_uint_t type,
    ngx_str_t *raw)
{
    switch (l->key) {

    case NGX_MCP_JSONRPC_ANSWER_IS_ERROR:
        result->is_error = (type == NGX_MCP_JSON_TRUE);
        return;

    case NGX_MCP_JSONRPC_HAS_TYPE:

        if (type != NGX_MCP_JSON_STRING
            || !ngx_mcp_json_text_equals(raw, &ngx_mcp_jsonrpc_answer_complete))
        {
            result->incomplete = 1;
        }

        return;

    case NGX_MCP_JSONRPC_HAS_META:

        if (type == NGX_MCP_JSON_OBJECT) {
            ngx_mcp_jsonrpc_answer_range(&result->meta, s, raw);
            result->has |= l[1].seen & NGX_MCP_JSONRPC_HAS_SERVER_INFO;
        }

        return;

    default:
        return;
    }
}


/* "l" as in ngx_mcp_jsonrpc_answer_result() */

static void
ngx_mcp_jsonrpc_answer_error(ngx_mcp_jsonrpc_answer_error_t *err,
    ngx_mcp_json_scan_t *s, ngx_mcp_json_level_t *l, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_mcp_jsonrpc_answer_range(&err->raw, s, raw);

    err->valid = type == NGX_MCP_JSON_OBJECT
                 && err->code.len
                 && err->message
                 && !(l->twice & NGX_MCP_JSONRPC_ANSWER_IN_ERROR);
}


/* "l" as in ngx_mcp_jsonrpc_answer_result_member() */

static void
ngx_mcp_jsonrpc_answer_error_member(ngx_mcp_jsonrpc_answer_error_t *err,
    ngx_mcp_json_scan_t *s, ngx_mcp_json_level_t *l, ngx_uint_t type,
    ngx_str_t *raw)
{
    switch (l->key) {

    case NGX_MCP_JSONRPC_ANSWER_CODE:

        if (type == NGX_MCP_JSON_NUMBER) {
            ngx_mcp_jsonrpc_answer_range(&err->code, s, raw);
        }

        return;

    case NGX_MCP_JSONRPC_ANSWER_MESSAGE:
        err->message = (type == NGX_MCP_JSON_STRING);
        return;

    case NGX_MCP_JSONRPC_ANSWER_DATA:
        ngx_mcp_jsonrpc_answer_range(&err->data, s, raw);

        if (type == NGX_MCP_JSON_OBJECT) {
            err->data_object = 1;
            err->has = l[1].seen & NGX_MCP_JSONRPC_HAS_URI;
        }

        return;

    default:
        return;
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
