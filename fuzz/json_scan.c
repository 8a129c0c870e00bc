
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The scanner of JSON in pieces (codec/ngx_mcp_json_scan.c): wherever a text is
 * cut, and wherever its pieces are in memory, it accepts what the walk by yajl
 * accepts (which json.c compares with a strict parser), and reports the same
 * values, keys and repeated keys in the same order.  It knows whether there
 * are line breaks between tokens, and characters that end lines.
 *
 * The numbers at the end of the input are the lengths of the pieces.
 */

#include "fuzz.h"
#include "ngx_mcp_json.h"
#include "ngx_mcp_json_scan.h"


#define JSON_SCAN_MAX_PIECE  40


/* what was reported, as one hash */

typedef struct {
    uint64_t   hash;
    size_t     n;
} json_scan_log_t;


static ngx_int_t json_scan_walked(ngx_mcp_json_walk_t *w, ngx_uint_t type,
    ngx_str_t *raw);
static ngx_int_t json_scan_scanned(ngx_mcp_json_scan_t *s, ngx_uint_t type,
    ngx_str_t *raw);
static void json_scan_log(json_scan_log_t *log, ngx_uint_t type, size_t start,
    size_t len, ngx_uint_t depth, ngx_mcp_json_level_t *level);
static void json_scan_add(json_scan_log_t *log, uint64_t n);
static ngx_int_t json_scan_pieces(fuzz_input_t *in, ngx_mcp_json_scan_t *s,
    ngx_str_t *body);
static void json_scan_lines(ngx_mcp_json_scan_t *s, ngx_str_t *body);


static ngx_conf_bitmask_t  json_scan_names[] = {
    { ngx_string("a"), 0x01 },
    { ngx_string("id"), 0x02 },
    { ngx_null_string, 0 }
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t             walked, scanned;
    ngx_str_t             body;
    fuzz_input_t          in, pieces;
    json_scan_log_t       walk_log, scan_log;
    ngx_mcp_json_walk_t   w;
    ngx_mcp_json_scan_t   s;

    fuzz_begin(&in, data, size);

    pieces = in;
    body = fuzz_rest(&in);

    ngx_memzero(&w, sizeof(ngx_mcp_json_walk_t));
    ngx_memzero(&s, sizeof(ngx_mcp_json_scan_t));
    ngx_memzero(&walk_log, sizeof(json_scan_log_t));
    ngx_memzero(&scan_log, sizeof(json_scan_log_t));

    w.pool = in.pool;
    w.body = &body;
    w.names = json_scan_names;
    w.value = json_scan_walked;
    w.data = &walk_log;
    w.max_depth = NGX_MCP_JSON_SCAN_MAX_DEPTH;

    s.names = json_scan_names;
    s.filter = ngx_mcp_json_scan_filter(json_scan_names);
    s.value = json_scan_scanned;
    s.data = &scan_log;

    walked = ngx_mcp_json_walk(&w);
    scanned = json_scan_pieces(&pieces, &s, &body);

    if (walked != scanned) {
        fuzz_fail("both accept the text: walk %ld, scan %ld", (long) walked,
                  (long) scanned);
    }

    if (walked == NGX_OK) {

        if (walk_log.n != scan_log.n || walk_log.hash != scan_log.hash) {
            fuzz_fail("both report the same: %zu, %zu", walk_log.n, scan_log.n);
        }

        json_scan_lines(&s, &body);
    }

    fuzz_end(&in);

    return 0;
}


static ngx_int_t
json_scan_walked(ngx_mcp_json_walk_t *w, ngx_uint_t type, ngx_str_t *raw)
{
    json_scan_log(w->data, type, raw->data - w->body->data, raw->len, w->depth,
                  w->level);
    return NGX_OK;
}


static ngx_int_t
json_scan_scanned(ngx_mcp_json_scan_t *s, ngx_uint_t type, ngx_str_t *raw)
{
    json_scan_log(s->data, type, raw->data - s->text.data, raw->len, s->depth,
                  s->level);
    return NGX_OK;
}


static void
json_scan_log(json_scan_log_t *log, ngx_uint_t type, size_t start, size_t len,
    ngx_uint_t depth, ngx_mcp_json_level_t *level)
{
    ngx_uint_t  i;

    json_scan_add(log, type);
    json_scan_add(log, start);
    json_scan_add(log, len);
    json_scan_add(log, depth);

    for (i = 1; i <= depth; i++) {
        json_scan_add(log, level[i].key);
        json_scan_add(log, level[i].seen);
        json_scan_add(log, level[i].twice);
    }

    if (type == NGX_MCP_JSON_OBJECT && depth + 1 < NGX_MCP_JSON_LEVELS) {
        json_scan_add(log, level[depth + 1].seen);
        json_scan_add(log, level[depth + 1].twice);
    }

    log->n++;
}


static void
json_scan_add(json_scan_log_t *log, uint64_t n)
{
    log->hash = (log->hash ^ n) * 0x100000001b3 + 1;
}


/* each piece is a copy of its own, so that nothing can be read behind it */

static ngx_int_t
json_scan_pieces(fuzz_input_t *in, ngx_mcp_json_scan_t *s, ngx_str_t *body)
{
    size_t     len;
    ngx_int_t  rc;
    ngx_str_t  text;

    for (len = 0; len < body->len; /* void */ ) {
        len += 1 + fuzz_number(in, JSON_SCAN_MAX_PIECE - 1);
        len = ngx_min(len, body->len);

        text = fuzz_copy(in, body->data, len);

        rc = ngx_mcp_json_scan(s, &text, 0);

        if (rc == NGX_OK) {
            fuzz_fail("only the end of the text ends the scan");
        }

        if (rc != NGX_AGAIN) {
            return rc;
        }
    }

    return ngx_mcp_json_scan(s, body, 1);
}


/* in valid JSON line breaks are between tokens, other separators in strings */

static void
json_scan_lines(ngx_mcp_json_scan_t *s, ngx_str_t *body)
{
    u_char      *p, *last;
    ngx_uint_t   breaks, separators;

    breaks = 0;
    separators = 0;
    last = body->data + body->len;

    for (p = body->data; p < last; p++) {

        if (*p == CR || *p == LF) {
            breaks = 1;
        }

        if ((last - p >= 2 && memcmp(p, "\xc2\x85", 2) == 0)
            || (last - p >= 3 && memcmp(p, "\xe2\x80", 2) == 0
                && (p[2] == 0xa8 || p[2] == 0xa9)))
        {
            separators++;
        }
    }

    if (s->separators != separators || (s->breaks && !breaks)) {
        fuzz_fail("separators: %zu, %zu; line breaks: %d, %zu",
                  (size_t) s->separators, (size_t) separators,
                  (int) s->breaks, (size_t) breaks);
    }
}
