
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A scanner of JSON for texts that come in pieces.
 *
 * Most bytes of a large answer are in one string, so that the loop over plain
 * characters, ngx_mcp_json_text_plain(), decides how fast it is.
 *
 * A text may end anywhere.  Strings, numbers and literals are continued where
 * they were left; an escape or a character of several bytes that is not
 * complete is left for the next piece.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_json_number.h"
#include "ngx_mcp_json_scan.h"
#include "ngx_mcp_json_text.h"


/* what is expected next, or what is being read */

typedef enum {
    NGX_MCP_JSON_SCAN_TEXT = 0,      /* the beginning of the text */
    NGX_MCP_JSON_SCAN_VALUE,
    NGX_MCP_JSON_SCAN_FIRST_VALUE,   /* or the end of the array */
    NGX_MCP_JSON_SCAN_KEY,
    NGX_MCP_JSON_SCAN_FIRST_KEY,     /* or the end of the object */
    NGX_MCP_JSON_SCAN_COLON,
    NGX_MCP_JSON_SCAN_COMMA,         /* or the end of the container */
    NGX_MCP_JSON_SCAN_DONE,          /* the end of the text */

    NGX_MCP_JSON_SCAN_STRING,
    NGX_MCP_JSON_SCAN_NUMBER,
    NGX_MCP_JSON_SCAN_LITERAL
} ngx_mcp_json_scan_state_e;


/*
 * A bit for the first character and the length of a name.  The factor keeps the
 * names that an answer has apart from those that are looked for.
 */

#define ngx_mcp_json_scan_bit(p, len)                                         \
    ((uint64_t) 1 << ((p)[0] + 12 * (len)) % 64)


static ngx_int_t ngx_mcp_json_scan_text(ngx_mcp_json_scan_t *s, u_char **pos,
    u_char *end);
static ngx_int_t ngx_mcp_json_scan_token(ngx_mcp_json_scan_t *s, u_char **pos,
    u_char *end);
static u_char *ngx_mcp_json_scan_blanks(ngx_mcp_json_scan_t *s, u_char *p,
    u_char *end);
static ngx_int_t ngx_mcp_json_scan_comma(ngx_mcp_json_scan_t *s, u_char **pos);
static ngx_int_t ngx_mcp_json_scan_value(ngx_mcp_json_scan_t *s, u_char **pos);
static ngx_int_t ngx_mcp_json_scan_string(ngx_mcp_json_scan_t *s,
    u_char **pos, u_char *end);
static ngx_int_t ngx_mcp_json_scan_escape(u_char **pos, u_char *end);
static ngx_int_t ngx_mcp_json_scan_character(ngx_mcp_json_scan_t *s,
    u_char **pos, u_char *end);
static ngx_int_t ngx_mcp_json_scan_number(ngx_mcp_json_scan_t *s,
    u_char **pos, u_char *end);
static ngx_int_t ngx_mcp_json_scan_literal(ngx_mcp_json_scan_t *s,
    u_char **pos, u_char *end);
static void ngx_mcp_json_scan_key(ngx_mcp_json_scan_t *s, u_char *end);
static ngx_int_t ngx_mcp_json_scan_ended(ngx_mcp_json_scan_t *s,
    ngx_uint_t type, u_char *end);
static ngx_int_t ngx_mcp_json_scan_open(ngx_mcp_json_scan_t *s,
    ngx_uint_t array);
static ngx_int_t ngx_mcp_json_scan_close(ngx_mcp_json_scan_t *s, u_char **pos,
    ngx_uint_t type);


uint64_t
ngx_mcp_json_scan_filter(ngx_conf_bitmask_t *names)
{
    uint64_t  filter;

    for (filter = 0; names->name.len; names++) {
        filter |= ngx_mcp_json_scan_bit(names->name.data, names->name.len);
    }

    return filter;
}


ngx_int_t
ngx_mcp_json_scan(ngx_mcp_json_scan_t *s, ngx_str_t *text, ngx_uint_t last)
{
    u_char     *p, *end;
    ngx_int_t   rc;

    s->text = *text;

    p = text->data + s->offset;
    end = text->data + text->len;

    do {

        switch (s->state) {

        case NGX_MCP_JSON_SCAN_TEXT:
            rc = ngx_mcp_json_scan_text(s, &p, end);
            break;

        case NGX_MCP_JSON_SCAN_STRING:
            rc = ngx_mcp_json_scan_string(s, &p, end);
            break;

        case NGX_MCP_JSON_SCAN_NUMBER:
            rc = ngx_mcp_json_scan_number(s, &p, end);
            break;

        case NGX_MCP_JSON_SCAN_LITERAL:
            rc = ngx_mcp_json_scan_literal(s, &p, end);
            break;

        default:
            rc = ngx_mcp_json_scan_token(s, &p, end);
        }

    } while (rc == NGX_OK);

    s->offset = p - text->data;

    if (rc != NGX_AGAIN || !last) {
        return rc;
    }

    /* nothing but the end of the text tells that such a number is complete */

    if (s->depth == 0
        && s->state == NGX_MCP_JSON_SCAN_NUMBER
        && ngx_mcp_json_number_ended(s->number))
    {
        return ngx_mcp_json_scan_ended(s, NGX_MCP_JSON_NUMBER, end);
    }

    return (s->state == NGX_MCP_JSON_SCAN_DONE) ? NGX_OK : NGX_DECLINED;
}


/* RFC 8259, 8.1: a byte order mark may be ignored */

static ngx_int_t
ngx_mcp_json_scan_text(ngx_mcp_json_scan_t *s, u_char **pos, u_char *end)
{
    u_char  *p;

    p = *pos;

    if (p == end) {
        return NGX_AGAIN;
    }

    if (p[0] == 0xef) {

        if (end - p < 3) {
            return NGX_AGAIN;
        }

        if (p[1] != 0xbb || p[2] != 0xbf) {
            return NGX_DECLINED;
        }

        *pos = p + 3;
    }

    s->state = NGX_MCP_JSON_SCAN_VALUE;

    return NGX_OK;
}


/* skips blanks and reads one token, or the first character of a longer one */

static ngx_int_t
ngx_mcp_json_scan_token(ngx_mcp_json_scan_t *s, u_char **pos, u_char *end)
{
    u_char  *p;

    p = ngx_mcp_json_scan_blanks(s, *pos, end);

    *pos = p;

    if (p == end) {
        return NGX_AGAIN;
    }

    switch (s->state) {

    case NGX_MCP_JSON_SCAN_FIRST_VALUE:

        if (*p == ']') {
            return ngx_mcp_json_scan_close(s, pos, NGX_MCP_JSON_ARRAY);
        }

        return ngx_mcp_json_scan_value(s, pos);

    case NGX_MCP_JSON_SCAN_VALUE:
        return ngx_mcp_json_scan_value(s, pos);

    case NGX_MCP_JSON_SCAN_FIRST_KEY:

        if (*p == '}') {
            return ngx_mcp_json_scan_close(s, pos, NGX_MCP_JSON_OBJECT);
        }

        /* fall through */

    case NGX_MCP_JSON_SCAN_KEY:
        s->key = 1;
        return (*p == '"') ? ngx_mcp_json_scan_value(s, pos) : NGX_DECLINED;

    case NGX_MCP_JSON_SCAN_COLON:
        *pos = p + 1;
        s->state = NGX_MCP_JSON_SCAN_VALUE;
        return (*p == ':') ? NGX_OK : NGX_DECLINED;

    case NGX_MCP_JSON_SCAN_COMMA:
        return ngx_mcp_json_scan_comma(s, pos);

    default: /* NGX_MCP_JSON_SCAN_DONE */
        return NGX_DECLINED;
    }
}


static u_char *
ngx_mcp_json_scan_blanks(ngx_mcp_json_scan_t *s, u_char *p, u_char *end)
{
    for ( /* void */ ; p < end; p++) {

        if (*p == CR || *p == LF) {
            s->breaks |= (s->depth != 0);

        } else if (*p != ' ' && *p != '\t') {
            break;
        }
    }

    return p;
}


static ngx_int_t
ngx_mcp_json_scan_comma(ngx_mcp_json_scan_t *s, u_char **pos)
{
    u_char      ch;
    ngx_uint_t  array;

    ch = **pos;
    array = s->array[(s->depth - 1) / 8] >> (s->depth - 1) % 8 & 1;

    if (ch == ',') {
        (*pos)++;
        s->state = array ? NGX_MCP_JSON_SCAN_VALUE : NGX_MCP_JSON_SCAN_KEY;
        return NGX_OK;
    }

    if (array) {
        return (ch == ']')
               ? ngx_mcp_json_scan_close(s, pos, NGX_MCP_JSON_ARRAY)
               : NGX_DECLINED;
    }

    return (ch == '}') ? ngx_mcp_json_scan_close(s, pos, NGX_MCP_JSON_OBJECT)
                       : NGX_DECLINED;
}


static ngx_int_t
ngx_mcp_json_scan_value(ngx_mcp_json_scan_t *s, u_char **pos)
{
    u_char  *p;

    p = *pos;
    *pos = p + 1;

    s->start = p - s->text.data;

    switch (*p) {

    case '"':
        s->escaped = 0;
        s->state = NGX_MCP_JSON_SCAN_STRING;
        return NGX_OK;

    case '{':
    case '[':
        return ngx_mcp_json_scan_open(s, *p == '[');

    case 't':
        s->type = NGX_MCP_JSON_TRUE;
        s->literal = "rue";
        break;

    case 'f':
        s->type = NGX_MCP_JSON_FALSE;
        s->literal = "alse";
        break;

    case 'n':
        s->type = NGX_MCP_JSON_NULL;
        s->literal = "ull";
        break;

    default:
        s->number = ngx_mcp_json_number_next(NGX_MCP_JSON_NUMBER_NONE, *p);
        s->state = NGX_MCP_JSON_SCAN_NUMBER;
        return (s->number == NGX_MCP_JSON_NUMBER_NONE) ? NGX_DECLINED : NGX_OK;
    }

    s->state = NGX_MCP_JSON_SCAN_LITERAL;

    return NGX_OK;
}


/* RFC 8259, 7 */

static ngx_int_t
ngx_mcp_json_scan_string(ngx_mcp_json_scan_t *s, u_char **pos, u_char *end)
{
    u_char     *p;
    ngx_int_t   rc;

    p = *pos;
    rc = NGX_OK;

    while (rc == NGX_OK) {

        p = ngx_mcp_json_text_plain(p, end);

        if (p == end) {
            rc = NGX_AGAIN;

        } else if (*p == '"') {
            break;

        } else if (*p == '\\') {
            s->escaped = 1;
            rc = ngx_mcp_json_scan_escape(&p, end);

        } else if (*p >= 0x80) {
            rc = ngx_mcp_json_scan_character(s, &p, end);

        } else {
            rc = NGX_DECLINED;
        }
    }

    if (rc != NGX_OK) {
        *pos = p;
        return rc;
    }

    *pos = ++p;

    if (s->key) {
        ngx_mcp_json_scan_key(s, p);
        return NGX_OK;
    }

    return ngx_mcp_json_scan_ended(s, NGX_MCP_JSON_STRING, p);
}


/* the grammar allows lone surrogates */

static ngx_int_t
ngx_mcp_json_scan_escape(u_char **pos, u_char *end)
{
    u_char  *p;

    p = *pos;

    if (end - p < 2) {
        return NGX_AGAIN;
    }

    switch (p[1]) {

    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        *pos = p + 2;
        return NGX_OK;

    case 'u':

        if (end - p < 6) {
            return NGX_AGAIN;
        }

        *pos = p + 6;

        return (ngx_hextoi(p + 2, 4) == NGX_ERROR) ? NGX_DECLINED : NGX_OK;

    default:
        return NGX_DECLINED;
    }
}


/* characters that are not ASCII, up to the next one that is */

static ngx_int_t
ngx_mcp_json_scan_character(ngx_mcp_json_scan_t *s, u_char **pos, u_char *end)
{
    u_char    *p;
    uint32_t   c;

    for (p = *pos; p < end && *p >= 0x80; *pos = p) {

        c = ngx_mcp_json_text_utf8(&p, end);

        if (c == NGX_MCP_JSON_TEXT_INVALID) {
            p = *pos;

            return (end - p < (p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2))
                   ? NGX_AGAIN : NGX_DECLINED;
        }

        if (c == 0x85 || c == 0x2028 || c == 0x2029) {
            s->separators++;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_json_scan_number(ngx_mcp_json_scan_t *s, u_char **pos, u_char *end)
{
    u_char      *p;
    ngx_uint_t   next;

    for (p = *pos; p < end; p++) {

        next = ngx_mcp_json_number_next(s->number, *p);

        if (next == NGX_MCP_JSON_NUMBER_NONE) {
            *pos = p;

            return ngx_mcp_json_number_ended(s->number)
                   ? ngx_mcp_json_scan_ended(s, NGX_MCP_JSON_NUMBER, p)
                   : NGX_DECLINED;
        }

        s->number = next;
    }

    *pos = p;

    return NGX_AGAIN;
}


static ngx_int_t
ngx_mcp_json_scan_literal(ngx_mcp_json_scan_t *s, u_char **pos, u_char *end)
{
    u_char  *p;

    for (p = *pos; p < end && *s->literal; p++) {

        if (*p != (u_char) *s->literal++) {
            return NGX_DECLINED;
        }
    }

    *pos = p;

    return *s->literal ? NGX_AGAIN : ngx_mcp_json_scan_ended(s, s->type, p);
}


/* the name of a member, which ends before "end" with its quote */

static void
ngx_mcp_json_scan_key(ngx_mcp_json_scan_t *s, u_char *end)
{
    ngx_str_t              raw;
    ngx_conf_bitmask_t    *name;
    ngx_mcp_json_level_t  *l;

    s->key = 0;
    s->state = NGX_MCP_JSON_SCAN_COLON;

    if (s->depth >= NGX_MCP_JSON_LEVELS) {
        return;
    }

    raw.data = s->text.data + s->start;
    raw.len = end - raw.data;

    l = &s->level[s->depth];
    l->key = 0;

    /* an empty name begins with its quote */

    if (!s->escaped
        && !(s->filter & ngx_mcp_json_scan_bit(raw.data + 1, raw.len - 2)))
    {
        return;
    }

    for (name = s->names; name->name.len; name++) {

        if (s->escaped
            ? ngx_mcp_json_text_equals(&raw, &name->name)
            : name->name.len == raw.len - 2
              && ngx_memcmp(name->name.data, raw.data + 1, raw.len - 2) == 0)
        {
            l->key = name->mask;
            l->twice |= l->seen & l->key;
            l->seen |= l->key;
            break;
        }
    }
}


static ngx_int_t
ngx_mcp_json_scan_ended(ngx_mcp_json_scan_t *s, ngx_uint_t type, u_char *end)
{
    ngx_str_t  raw;

    s->state = s->depth ? NGX_MCP_JSON_SCAN_COMMA : NGX_MCP_JSON_SCAN_DONE;

    if (s->depth >= NGX_MCP_JSON_LEVELS) {
        return NGX_OK;
    }

    raw.data = s->text.data + s->start;
    raw.len = end - raw.data;

    return s->value(s, type, &raw);
}


static ngx_int_t
ngx_mcp_json_scan_open(ngx_mcp_json_scan_t *s, ngx_uint_t array)
{
    u_char  *bits, bit;

    if (s->depth == NGX_MCP_JSON_SCAN_MAX_DEPTH) {
        return NGX_DECLINED;
    }

    bits = &s->array[s->depth / 8];
    bit = (u_char) (1 << s->depth % 8);

    *bits = (u_char) (array ? *bits | bit : *bits & ~bit);

    s->state = array ? NGX_MCP_JSON_SCAN_FIRST_VALUE
                     : NGX_MCP_JSON_SCAN_FIRST_KEY;

    if (s->depth < NGX_MCP_JSON_LEVELS) {
        s->level[s->depth].start = s->start;
    }

    s->depth++;

    if (s->depth < NGX_MCP_JSON_LEVELS) {
        ngx_memzero(&s->level[s->depth], sizeof(ngx_mcp_json_level_t));
    }

    return NGX_OK;
}


/* the bracket at *pos closes a container of the type that is open */

static ngx_int_t
ngx_mcp_json_scan_close(ngx_mcp_json_scan_t *s, u_char **pos, ngx_uint_t type)
{
    (*pos)++;
    s->depth--;

    if (s->depth < NGX_MCP_JSON_LEVELS) {
        s->start = s->level[s->depth].start;
    }

    return ngx_mcp_json_scan_ended(s, type, *pos);
}
