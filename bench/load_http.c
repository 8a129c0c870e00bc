
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Parser of HTTP/1.1 responses.
 *
 * The parser is embedded in the object of its connection.  It keeps the
 * current header line, truncated to the size of the buffer.
 */

#include "load_http.h"

#include <strings.h>


enum {
    load_http_first = 0,
    load_http_header,
    load_http_body,
    load_http_chunk_size,
    load_http_chunk,
    load_http_chunk_end,
    load_http_trailer,
    load_http_done
};


static int load_http_line(load_http_t *h);
static int load_http_status(load_http_t *h);
static void load_http_field(load_http_t *h);
static int load_http_headers_end(load_http_t *h);
static size_t load_http_bytes(load_http_t *h, const char *p, size_t n);
static void load_http_end(load_http_t *h);


void
load_http_reset(load_http_t *h)
{
    h->state = load_http_first;
    h->status = 0;
    h->left = 0;
    h->length = 0;
    h->chunked = 0;
    h->last = 0;
    h->done = 0;
    h->events = 0;
    h->len = 0;
    h->worker[0] = '\0';
    h->session[0] = '\0';
}


int
load_http_feed(load_http_t *h, const char *p, size_t n)
{
    size_t       size;
    const char  *end;

    end = p + n;

    while (p < end) {

        if (h->state == load_http_done) {
            return LOAD_ERROR;
        }

        if (h->state == load_http_body || h->state == load_http_chunk) {
            size = load_http_bytes(h, p, (size_t) (end - p));
            p += size;
            continue;
        }

        if (*p != '\n') {
            if (h->len < sizeof(h->line) - 1) {
                h->line[h->len++] = *p;
            }

            p++;
            continue;
        }

        p++;

        if (load_http_line(h) != LOAD_OK) {
            return LOAD_ERROR;
        }
    }

    return LOAD_OK;
}


/* handles a complete line: status line, header, chunk size, trailer */

static int
load_http_line(load_http_t *h)
{
    char  *end;

    if (h->len && h->line[h->len - 1] == '\r') {
        h->len--;
    }

    h->line[h->len] = '\0';

    switch (h->state) {

    case load_http_first:
        return load_http_status(h);

    case load_http_header:
        if (h->len == 0) {
            return load_http_headers_end(h);
        }

        load_http_field(h);
        break;

    case load_http_chunk_size:
        h->left = strtoull(h->line, &end, 16);
        if (end == h->line) {
            return LOAD_ERROR;
        }

        h->state = h->left ? load_http_chunk : load_http_trailer;
        break;

    case load_http_chunk_end:
        h->state = load_http_chunk_size;
        break;

    default: /* load_http_trailer */
        if (h->len == 0) {
            load_http_end(h);
        }
    }

    h->len = 0;

    return LOAD_OK;
}


static int
load_http_status(load_http_t *h)
{
    if (h->len < 12 || strncmp(h->line, "HTTP/1.", 7) != 0) {
        return LOAD_ERROR;
    }

    h->last = (h->line[7] == '0');

    /* negative until the headers are complete */

    h->status = -(int) strtol(h->line + 9, NULL, 10);
    h->state = load_http_header;
    h->len = 0;

    return LOAD_OK;
}


static void
load_http_field(load_http_t *h)
{
    char  *value;

    value = strchr(h->line, ':');
    if (value == NULL) {
        return;
    }

    *value++ = '\0';
    value += strspn(value, " ");

    if (strcasecmp(h->line, "Content-Length") == 0) {
        h->left = strtoull(value, NULL, 10);
        h->length = 1;

    } else if (strcasecmp(h->line, "Transfer-Encoding") == 0) {
        h->chunked = 1;

    } else if (strcasecmp(h->line, "Connection") == 0) {
        h->last = (strcasecmp(value, "close") == 0);

    } else if (strcasecmp(h->line, "Content-Type") == 0) {
        h->events = (strncasecmp(value, "text/event-stream", 17) == 0);

    } else if (strcasecmp(h->line, "Mcp-Session-Id") == 0) {
        (void) snprintf(h->session, sizeof(h->session), "%.127s", value);

    } else if (strcasecmp(h->line, h->header) == 0) {
        (void) snprintf(h->worker, sizeof(h->worker), "%.31s", value);
    }
}


static int
load_http_headers_end(load_http_t *h)
{
    h->status = -h->status;
    h->len = 0;

    if (h->chunked) {
        h->state = load_http_chunk_size;

    } else if ((h->length && h->left == 0) || h->status == 204) {
        load_http_end(h);

    } else {
        h->state = load_http_body;
    }

    return LOAD_OK;
}


/* a body without a length ends with the connection */

static size_t
load_http_bytes(load_http_t *h, const char *p, size_t n)
{
    if (h->state == load_http_body && !h->length) {
        h->body(h->data, p, n);
        return n;
    }

    if (n > h->left) {
        n = (size_t) h->left;
    }

    h->left -= n;
    h->body(h->data, p, n);

    if (h->left == 0) {
        if (h->state == load_http_chunk) {
            h->state = load_http_chunk_end;

        } else {
            load_http_end(h);
        }
    }

    return n;
}


static void
load_http_end(load_http_t *h)
{
    h->state = load_http_done;
    h->done = 1;
}
