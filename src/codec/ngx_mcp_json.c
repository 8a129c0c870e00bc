
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * One walk over JSON by yajl, which reports values as raw byte ranges.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_json_alloc.h"
#include "ngx_mcp_json.h"
#include "ngx_mcp_json_text.h"


static u_char *ngx_mcp_json_skip(u_char *p, u_char *last);
static int ngx_mcp_json_null(void *data);
static int ngx_mcp_json_boolean(void *data, int value);
static int ngx_mcp_json_number(void *data, const char *value, size_t len);
static int ngx_mcp_json_string(void *data, const u_char *value, size_t len);
static int ngx_mcp_json_start_map(void *data);
static int ngx_mcp_json_map_key(void *data, const u_char *key, size_t len);
static int ngx_mcp_json_end_map(void *data);
static int ngx_mcp_json_start_array(void *data);
static int ngx_mcp_json_end_array(void *data);
static int ngx_mcp_json_scalar(ngx_mcp_json_walk_t *w, ngx_uint_t type);
static int ngx_mcp_json_open(ngx_mcp_json_walk_t *w, ngx_uint_t type);
static int ngx_mcp_json_close(ngx_mcp_json_walk_t *w, ngx_uint_t type);


/* yajl passes numbers as text: none overflows or loses digits */

static yajl_callbacks  ngx_mcp_json_callbacks = {
    ngx_mcp_json_null,
    ngx_mcp_json_boolean,
    NULL,
    NULL,
    ngx_mcp_json_number,
    ngx_mcp_json_string,
    ngx_mcp_json_start_map,
    ngx_mcp_json_map_key,
    ngx_mcp_json_end_map,
    ngx_mcp_json_start_array,
    ngx_mcp_json_end_array
};


ngx_int_t
ngx_mcp_json_walk(ngx_mcp_json_walk_t *w)
{
    u_char                    *p, *last;
    yajl_status                status;
    ngx_mcp_json_alloc_t       arena;

    w->text = *w->body;

    /* RFC 8259, 8.1: a byte order mark may be ignored */

    if (w->text.len >= 3 && ngx_memcmp(w->text.data, "\xef\xbb\xbf", 3) == 0) {
        w->text.data += 3;
        w->text.len -= 3;
    }

    if (w->text.len == 0 || ngx_mcp_json_text_check(&w->text) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_mcp_json_alloc_init(&arena, w->text.len) != NGX_OK) {
        return NGX_ERROR;
    }

    w->yajl = yajl_alloc(&ngx_mcp_json_callbacks, &arena.funcs, w);

    status = yajl_parse(w->yajl, w->text.data, w->text.len);

    if (status == yajl_status_ok) {
        w->ended = 1;
        status = yajl_complete_parse(w->yajl);
    }

    yajl_free(w->yajl);
    ngx_mcp_json_alloc_free(&arena);

    if (w->failed) {
        return NGX_ERROR;
    }

    if (status != yajl_status_ok) {
        return NGX_DECLINED;
    }

    /* yajl accepts an unterminated string behind the value */

    last = w->text.data + w->text.len;
    p = ngx_mcp_json_skip(w->text.data + w->mark, last);

    return (p == last) ? NGX_OK : NGX_DECLINED;
}


static u_char *
ngx_mcp_json_skip(u_char *p, u_char *last)
{
    while (p < last && (*p == ' ' || *p == '\t' || *p == CR || *p == LF)) {
        p++;
    }

    return p;
}


static int
ngx_mcp_json_null(void *data)
{
    return ngx_mcp_json_scalar(data, NGX_MCP_JSON_NULL);
}


static int
ngx_mcp_json_boolean(void *data, int value)
{
    return ngx_mcp_json_scalar(data,
                               value ? NGX_MCP_JSON_TRUE
                                              : NGX_MCP_JSON_FALSE);
}


static int
ngx_mcp_json_number(void *data, const char *value, size_t len)
{
    return ngx_mcp_json_scalar(data, NGX_MCP_JSON_NUMBER);
}


static int
ngx_mcp_json_string(void *data, const u_char *value, size_t len)
{
    return ngx_mcp_json_scalar(data, NGX_MCP_JSON_STRING);
}


static int
ngx_mcp_json_start_map(void *data)
{
    return ngx_mcp_json_open(data, NGX_MCP_JSON_OBJECT);
}


static int
ngx_mcp_json_map_key(void *data, const u_char *key, size_t len)
{
    ngx_conf_bitmask_t    *name;
    ngx_mcp_json_walk_t   *w = data;
    ngx_mcp_json_level_t  *l;

    w->mark = yajl_get_bytes_consumed(w->yajl);

    if (w->depth >= NGX_MCP_JSON_LEVELS) {
        return 1;
    }

    l = &w->level[w->depth];
    l->key = 0;

    for (name = w->names; name->name.len; name++) {

        if (name->name.len == len
            && ngx_memcmp(name->name.data, key, len) == 0)
        {
            l->key = name->mask;
            l->twice |= l->seen & l->key;
            l->seen |= l->key;
            break;
        }
    }

    return 1;
}


static int
ngx_mcp_json_end_map(void *data)
{
    return ngx_mcp_json_close(data, NGX_MCP_JSON_OBJECT);
}


static int
ngx_mcp_json_start_array(void *data)
{
    return ngx_mcp_json_open(data, NGX_MCP_JSON_ARRAY);
}


static int
ngx_mcp_json_end_array(void *data)
{
    return ngx_mcp_json_close(data, NGX_MCP_JSON_ARRAY);
}


static int
ngx_mcp_json_scalar(ngx_mcp_json_walk_t *w, ngx_uint_t type)
{
    u_char     *p, *end;
    ngx_str_t   raw;

    p = w->text.data + w->mark;

    /*
     * A number at the end of the body is reported by yajl_complete_parse(),
     * whose offset belongs to another buffer.
     */

    w->mark = w->ended ? w->text.len : yajl_get_bytes_consumed(w->yajl);

    if (w->depth >= NGX_MCP_JSON_LEVELS) {
        return 1;
    }

    end = w->text.data + w->mark;

    p = ngx_mcp_json_skip(p, end);

    if (*p == ':' || *p == ',') {
        p = ngx_mcp_json_skip(p + 1, end);
    }

    raw.len = end - p;
    raw.data = p;

    if (w->value(w, type, &raw) != NGX_OK) {
        w->failed = 1;
        return 0;
    }

    return 1;
}


static int
ngx_mcp_json_open(ngx_mcp_json_walk_t *w, ngx_uint_t type)
{
    if (w->depth == w->max_depth) {
        return 0;
    }

    if (w->depth == 0) {
        w->top = type;
    }

    w->mark = yajl_get_bytes_consumed(w->yajl);

    if (w->depth < NGX_MCP_JSON_LEVELS) {
        w->level[w->depth].start = w->mark - 1;
    }

    w->depth++;

    if (w->depth < NGX_MCP_JSON_LEVELS) {
        ngx_memzero(&w->level[w->depth], sizeof(ngx_mcp_json_level_t));
    }

    return 1;
}


static int
ngx_mcp_json_close(ngx_mcp_json_walk_t *w, ngx_uint_t type)
{
    ngx_str_t  raw;

    w->mark = yajl_get_bytes_consumed(w->yajl);
    w->depth--;

    if (w->depth >= NGX_MCP_JSON_LEVELS) {
        return 1;
    }

    raw.data = w->text.data + w->level[w->depth].start;
    raw.len = w->mark - w->level[w->depth].start;

    if (w->value(w, type, &raw) != NGX_OK) {
        w->failed = 1;
        return 0;
    }

    return 1;
}
