
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A second, strict parser of the protocol of Redis (RESP2).
 */

#include "resp.h"


static fuzz_resp_e fuzz_resp_item(fuzz_resp_t *m, int64_t *elements);
static fuzz_resp_e fuzz_resp_bulk(fuzz_resp_t *m, int64_t len);
static fuzz_resp_e fuzz_resp_line(fuzz_resp_t *m, ngx_str_t *line);
static ngx_uint_t fuzz_resp_number(ngx_str_t *line, int64_t *n);


fuzz_resp_e
fuzz_resp_parse(fuzz_resp_t *m)
{
    int64_t       left[FUZZ_RESP_DEPTH + 1], elements;
    ngx_str_t     line;
    ngx_uint_t    depth;
    fuzz_resp_e   rc;

    depth = 0;

    for ( ;; ) {
        elements = 0;

        if (depth > FUZZ_RESP_DEPTH && m->pos < m->last && *m->pos == '*') {

            /* hiredis parses the line first */

            m->pos++;
            rc = fuzz_resp_line(m, &line);

            return (rc == FUZZ_RESP_OK) ? FUZZ_RESP_LIMIT
                                        : FUZZ_RESP_INVALID;
        }

        rc = fuzz_resp_item(m, &elements);

        if (rc != FUZZ_RESP_OK) {
            return rc;
        }

        if (elements) {
            left[depth++] = elements;
            continue;
        }

        while (depth && --left[depth - 1] == 0) {
            depth--;
        }

        if (depth == 0) {
            return FUZZ_RESP_OK;
        }
    }
}


static fuzz_resp_e
fuzz_resp_item(fuzz_resp_t *m, int64_t *elements)
{
    u_char        type;
    int64_t       n;
    ngx_str_t     line;
    fuzz_resp_e   rc;

    if (m->pos == m->last) {
        return FUZZ_RESP_END;
    }

    type = *m->pos++;

    if (type == '\0' || strchr("+-:$*", type) == NULL) {
        return FUZZ_RESP_INVALID;
    }

    rc = fuzz_resp_line(m, &line);

    if (rc != FUZZ_RESP_OK) {
        return rc;
    }

    if (type != '+' && type != '-' && !fuzz_resp_number(&line, &n)) {
        return FUZZ_RESP_INVALID;
    }

    if (type == '$' && n >= 0) {
        return fuzz_resp_bulk(m, n);
    }

    if (type == '$' || type == '*') {

        if (n < -1 || n > FUZZ_RESP_ELEMENTS) {
            return FUZZ_RESP_LIMIT;
        }

        if (n == -1) {
            type = 'n';
            line.len = 0;

        } else {
            *elements = n;
        }
    }

    m->out = fuzz_resp_put(m->out, type, line.data, line.len);

    return FUZZ_RESP_OK;
}


static fuzz_resp_e
fuzz_resp_bulk(fuzz_resp_t *m, int64_t len)
{
    u_char  *start;

    if (len > 512 * 1024 * 1024) {
        return FUZZ_RESP_INVALID;
    }

    if (m->last - m->pos < len + 2) {
        return FUZZ_RESP_END;
    }

    start = m->pos;
    m->pos += len + 2;

    if (start[len] != CR || start[len + 1] != LF) {
        return FUZZ_RESP_INVALID;
    }

    m->out = fuzz_resp_put(m->out, '$', start, len);

    return FUZZ_RESP_OK;
}


static fuzz_resp_e
fuzz_resp_line(fuzz_resp_t *m, ngx_str_t *line)
{
    line->data = m->pos;

    while (m->pos < m->last && *m->pos != CR && *m->pos != LF) {
        m->pos++;
    }

    line->len = m->pos - line->data;

    if (m->last - m->pos < 2) {
        return (m->pos < m->last && *m->pos == LF)
               ? FUZZ_RESP_INVALID : FUZZ_RESP_END;
    }

    if (m->pos[0] != CR || m->pos[1] != LF) {
        return FUZZ_RESP_INVALID;
    }

    m->pos += 2;

    return FUZZ_RESP_OK;
}


/*
 * A number as Redis prints it.
 */

static ngx_uint_t
fuzz_resp_number(ngx_str_t *line, int64_t *n)
{
    u_char  printed[NGX_INT64_LEN], text[NGX_INT64_LEN + 1];

    if (line->len == 0 || line->len >= NGX_INT64_LEN) {
        return 0;
    }

    (void) ngx_cpystrn(text, line->data, line->len + 1);

    *n = strtoll((char *) text, NULL, 10);

    return (size_t) (ngx_sprintf(printed, "%L", *n) - printed) == line->len
           && ngx_memcmp(printed, line->data, line->len) == 0;
}


u_char *
fuzz_resp_put(u_char *p, u_char type, u_char *text, size_t len)
{
    p = ngx_sprintf(p, "%c%uz ", type, len);

    return len ? ngx_cpymem(p, text, len) : p;
}
