
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Capabilities that the module adds to those of the backend.
 *
 * A scan finds the places of an answer where something is inserted or replaced,
 * in the order of the text; then the answer is copied around them.
 */

#include "ngx_mcp_capabilities.h"
#include "ngx_mcp_json_scan.h"


#define NGX_MCP_CAPABILITIES_RESULT        0x0001
#define NGX_MCP_CAPABILITIES_CAPABILITIES  0x0002
#define NGX_MCP_CAPABILITIES_TOOLS         0x0004
#define NGX_MCP_CAPABILITIES_PROMPTS       0x0008
#define NGX_MCP_CAPABILITIES_RESOURCES     0x0010
#define NGX_MCP_CAPABILITIES_LOGGING       0x0020
#define NGX_MCP_CAPABILITIES_LIST_CHANGED  0x0040
#define NGX_MCP_CAPABILITIES_SUBSCRIBE     0x0080

#define NGX_MCP_CAPABILITIES_LISTS                                            \
    (NGX_MCP_CAPABILITIES_TOOLS|NGX_MCP_CAPABILITIES_PROMPTS                  \
     |NGX_MCP_CAPABILITIES_RESOURCES)

/* logging, three lists, and whether there are updates of resources */

#define NGX_MCP_CAPABILITIES_MAX_EDITS     5


typedef struct {
    size_t                      start;     /* offset of what is replaced */
    size_t                      len;
    const char                 *text;      /* instead */
    unsigned                    comma:1;   /* another member follows */
} ngx_mcp_capabilities_edit_t;


typedef struct {
    ngx_mcp_capabilities_edit_t  edits[NGX_MCP_CAPABILITIES_MAX_EDITS];
    ngx_uint_t                   nedits;
    ngx_uint_t                   first;     /* edit of the current list */
    ngx_uint_t                   has;       /* members of it that are true or
                                               become so */
    unsigned                     twice:1;
} ngx_mcp_capabilities_scan_t;


static ngx_int_t ngx_mcp_capabilities_value(ngx_mcp_json_scan_t *s,
    ngx_uint_t type, ngx_str_t *raw);
static void ngx_mcp_capabilities_member(ngx_mcp_json_scan_t *s,
    ngx_uint_t type, ngx_str_t *raw);
static void ngx_mcp_capabilities_list(ngx_mcp_json_scan_t *s, ngx_uint_t type,
    ngx_str_t *raw);
static void ngx_mcp_capabilities_all(ngx_mcp_json_scan_t *s, ngx_uint_t type,
    ngx_str_t *raw);
static void ngx_mcp_capabilities_insert(ngx_mcp_json_scan_t *s,
    ngx_str_t *object, const char *text);
static void ngx_mcp_capabilities_edit(ngx_mcp_json_scan_t *s, size_t start,
    size_t len, const char *text, ngx_uint_t comma);
static void ngx_mcp_capabilities_copy(ngx_mcp_capabilities_scan_t *scan,
    ngx_str_t *answer, ngx_str_t *dst);


static ngx_conf_bitmask_t  ngx_mcp_capabilities_names[] = {
    { ngx_string("result"), NGX_MCP_CAPABILITIES_RESULT },
    { ngx_string("capabilities"), NGX_MCP_CAPABILITIES_CAPABILITIES },
    { ngx_string("tools"), NGX_MCP_CAPABILITIES_TOOLS },
    { ngx_string("prompts"), NGX_MCP_CAPABILITIES_PROMPTS },
    { ngx_string("resources"), NGX_MCP_CAPABILITIES_RESOURCES },
    { ngx_string("logging"), NGX_MCP_CAPABILITIES_LOGGING },
    { ngx_string("listChanged"), NGX_MCP_CAPABILITIES_LIST_CHANGED },
    { ngx_string("subscribe"), NGX_MCP_CAPABILITIES_SUBSCRIBE },
    { ngx_null_string, 0 }
};


ngx_int_t
ngx_mcp_capabilities_add(ngx_str_t *answer, ngx_str_t *dst)
{
    ngx_mcp_json_scan_t          s;
    ngx_mcp_capabilities_scan_t  scan;

    ngx_memzero(&scan, sizeof(ngx_mcp_capabilities_scan_t));
    ngx_memzero(&s, sizeof(ngx_mcp_json_scan_t));

    s.names = ngx_mcp_capabilities_names;
    s.filter = ngx_mcp_json_scan_filter(ngx_mcp_capabilities_names);
    s.value = ngx_mcp_capabilities_value;
    s.data = &scan;

    if (ngx_mcp_json_scan(&s, answer, 1) != NGX_OK
        || scan.twice
        || scan.nedits == 0)
    {
        return NGX_DECLINED;
    }

    ngx_mcp_capabilities_copy(&scan, answer, dst);

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_capabilities_value(ngx_mcp_json_scan_t *s, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_mcp_json_level_t         *l;
    ngx_mcp_capabilities_scan_t  *scan;

    l = s->level;
    scan = s->data;

    switch (s->depth) {

    case 0:

        if (type == NGX_MCP_JSON_OBJECT) {
            scan->twice |= (l[1].twice & NGX_MCP_CAPABILITIES_RESULT) != 0;
        }

        break;

    case 1:

        if (l[1].key == NGX_MCP_CAPABILITIES_RESULT
            && type == NGX_MCP_JSON_OBJECT)
        {
            scan->twice |= (l[2].twice & NGX_MCP_CAPABILITIES_CAPABILITIES)
                           != 0;
        }

        break;

    default:

        if (l[1].key != NGX_MCP_CAPABILITIES_RESULT
            || l[2].key != NGX_MCP_CAPABILITIES_CAPABILITIES)
        {
            break;
        }

        if (s->depth == 2) {
            ngx_mcp_capabilities_all(s, type, raw);

        } else if (l[3].key & NGX_MCP_CAPABILITIES_LISTS) {

            if (s->depth == 3) {
                ngx_mcp_capabilities_list(s, type, raw);

            } else if (s->depth == 4) {
                ngx_mcp_capabilities_member(s, type, raw);
            }
        }
    }

    return NGX_OK;
}


/*
 * A member of tools, prompts or resources.
 */

static void
ngx_mcp_capabilities_member(ngx_mcp_json_scan_t *s, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_uint_t                    key;
    ngx_mcp_capabilities_scan_t  *scan;

    scan = s->data;
    key = s->level[4].key;

    if (key != NGX_MCP_CAPABILITIES_LIST_CHANGED
        && (key != NGX_MCP_CAPABILITIES_SUBSCRIBE
            || s->level[3].key != NGX_MCP_CAPABILITIES_RESOURCES))
    {
        return;
    }

    scan->has |= key;

    if (type != NGX_MCP_JSON_TRUE) {
        ngx_mcp_capabilities_edit(s, raw->data - s->text.data, raw->len,
                                  "true", 0);
    }
}


/*
 * The end of tools, prompts or resources.
 */

static void
ngx_mcp_capabilities_list(ngx_mcp_json_scan_t *s, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_mcp_capabilities_scan_t  *scan;

    scan = s->data;

    if (type != NGX_MCP_JSON_OBJECT) {
        return;
    }

    scan->twice |= (s->level[4].twice & (NGX_MCP_CAPABILITIES_LIST_CHANGED
                                         |NGX_MCP_CAPABILITIES_SUBSCRIBE))
                   != 0;

    if (!(scan->has & NGX_MCP_CAPABILITIES_LIST_CHANGED)) {
        ngx_mcp_capabilities_insert(s, raw, "\"listChanged\":true");
    }

    if (s->level[3].key == NGX_MCP_CAPABILITIES_RESOURCES
        && !(scan->has & NGX_MCP_CAPABILITIES_SUBSCRIBE))
    {
        ngx_mcp_capabilities_insert(s, raw, "\"subscribe\":true");
    }

    scan->has = 0;
    scan->first = scan->nedits;
}


/*
 * The end of the capabilities.
 */

static void
ngx_mcp_capabilities_all(ngx_mcp_json_scan_t *s, ngx_uint_t type,
    ngx_str_t *raw)
{
    ngx_mcp_capabilities_scan_t  *scan;

    scan = s->data;

    if (type != NGX_MCP_JSON_OBJECT) {
        return;
    }

    scan->twice |= (s->level[3].twice & NGX_MCP_CAPABILITIES_LISTS) != 0;

    if (!(s->level[3].seen & NGX_MCP_CAPABILITIES_LOGGING)) {
        scan->first = 0;
        ngx_mcp_capabilities_insert(s, raw, "\"logging\":{}");
    }
}


/*
 * Inserts a member at the beginning of an object: before the edits that were
 * found inside of it.
 */

static void
ngx_mcp_capabilities_insert(ngx_mcp_json_scan_t *s, ngx_str_t *object,
    const char *text)
{
    u_char                       *p;
    ngx_uint_t                    i;
    ngx_mcp_capabilities_edit_t   last;
    ngx_mcp_capabilities_scan_t  *scan;

    scan = s->data;

    p = object->data + 1;

    while (*p == ' ' || *p == '\t' || *p == CR || *p == LF) {
        p++;
    }

    ngx_mcp_capabilities_edit(s, object->data + 1 - s->text.data, 0, text,
                              *p != '}' || scan->nedits > scan->first);

    if (scan->twice) {
        return;
    }

    last = scan->edits[scan->nedits - 1];

    for (i = scan->nedits - 1; i > scan->first; i--) {
        scan->edits[i] = scan->edits[i - 1];
    }

    scan->edits[i] = last;
}


/*
 * There are more only if a member is repeated.
 */

static void
ngx_mcp_capabilities_edit(ngx_mcp_json_scan_t *s, size_t start, size_t len,
    const char *text, ngx_uint_t comma)
{
    ngx_mcp_capabilities_edit_t  *edit;
    ngx_mcp_capabilities_scan_t  *scan;

    scan = s->data;

    if (scan->nedits == NGX_MCP_CAPABILITIES_MAX_EDITS) {
        scan->twice = 1;
        return;
    }

    edit = &scan->edits[scan->nedits++];

    edit->start = start;
    edit->len = len;
    edit->text = text;
    edit->comma = comma;
}


static void
ngx_mcp_capabilities_copy(ngx_mcp_capabilities_scan_t *scan,
    ngx_str_t *answer, ngx_str_t *dst)
{
    u_char                       *p;
    size_t                        done;
    ngx_uint_t                    i;
    ngx_mcp_capabilities_edit_t  *edit;

    p = dst->data;
    done = 0;

    for (i = 0; i < scan->nedits; i++) {
        edit = &scan->edits[i];

        p = ngx_cpymem(p, answer->data + done, edit->start - done);
        p = ngx_cpymem(p, edit->text, ngx_strlen(edit->text));

        if (edit->comma) {
            *p++ = ',';
        }

        done = edit->start + edit->len;
    }

    p = ngx_cpymem(p, answer->data + done, answer->len - done);

    dst->len = p - dst->data;
}
