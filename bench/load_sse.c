
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Parser of event streams and of JSON-RPC answers.
 *
 * An event is collected in the parser's buffer, which the next event reuses.
 */

#include "load_sse.h"


static void load_sse_append(load_sse_t *s, const char *p, size_t n);
static void load_sse_dispatch(load_sse_t *s);
static char *load_sse_value(char *line, const char *name);
static const char *load_sse_string(const char *p, const char *last);
static void load_sse_member(const char *key, size_t len, const char *value,
    load_answer_t *answer);


void
load_sse_feed(load_sse_t *s, const char *p, size_t n)
{
    size_t       size;
    const char  *lf;

    while (n) {
        lf = memchr(p, '\n', n);
        size = lf ? (size_t) (lf - p) : n;

        load_sse_append(s, p, size);

        if (lf == NULL) {
            return;
        }

        p += size + 1;
        n -= size + 1;

        if (s->len == s->line) {
            load_sse_dispatch(s);
            s->len = 0;

        } else if (s->buf[s->line] == ':') {
            s->comments++;
            s->len = s->line;

        } else {
            s->buf[s->len++] = '\0';
        }

        s->line = s->len;
    }
}


/* keeps room for the zero at the end of the line */

static void
load_sse_append(load_sse_t *s, const char *p, size_t n)
{
    if (s->len + n + 1 > s->size) {
        s->size = 2 * (s->len + n + 1);
        s->buf = realloc(s->buf, s->size);

        if (s->buf == NULL) {
            load_fatal("no memory for an event of %zu bytes", s->len + n);
        }
    }

    memcpy(s->buf + s->len, p, n);
    s->len += n;
}


/* the module sends one data line per event; the last of several is used */

static void
load_sse_dispatch(load_sse_t *s)
{
    char  *p, *value, *name, *text;

    name = NULL;
    text = NULL;

    for (p = s->buf; p < s->buf + s->len; p += strlen(p) + 1) {

        value = load_sse_value(p, "event");
        name = value ? value : name;

        value = load_sse_value(p, "data");
        text = value ? value : text;
    }

    if (text) {
        s->event(s->data, name ? name : "message", text, strlen(text));
    }
}


static char *
load_sse_value(char *line, const char *name)
{
    size_t  len;

    len = strlen(name);

    if (strncmp(line, name, len) != 0 || line[len] != ':') {
        return NULL;
    }

    line += len + 1;

    return (*line == ' ') ? line + 1 : line;
}


void
load_sse_answer(const char *p, size_t len, load_answer_t *answer)
{
    size_t       size;
    unsigned     depth;
    const char  *last, *key;

    memset(answer, 0, sizeof(load_answer_t));

    depth = 0;
    last = p + len;

    while (p < last) {

        if (*p == '{' || *p == '[') {
            depth++;

        } else if (*p == '}' || *p == ']') {
            depth--;

        } else if (*p == '"') {
            key = p + 1;
            p = load_sse_string(key, last);
            size = (size_t) (p - key);

            if (depth == 1 && p + 1 < last && p[1] == ':') {
                load_sse_member(key, size, p + 2, answer);
            }
        }

        p++;
    }
}


/*
 * Returns the quote that ends a string: one after an even number of
 * backslashes.  Answers are long strings, and a slow client would leave the
 * server idle between them.
 */

static const char *
load_sse_string(const char *p, const char *last)
{
    const char  *quote, *escape;

    while (p < last) {
        quote = memchr(p, '"', (size_t) (last - p));

        if (quote == NULL) {
            break;
        }

        for (escape = quote; escape > p && escape[-1] == '\\'; escape--) {
            /* void */
        }

        if ((quote - escape) % 2 == 0) {
            return quote;
        }

        p = quote + 1;
    }

    return last;
}


static void
load_sse_member(const char *key, size_t len, const char *value,
    load_answer_t *answer)
{
    char  *end;

    if (len == 2 && strncmp(key, "id", 2) == 0) {
        answer->id = strtoull(value, &end, 10);
        answer->has_id = (end != value);

    } else if (len == 5 && strncmp(key, "error", 5) == 0) {
        answer->error = 1;

    } else if (len == 6 && strncmp(key, "method", 6) == 0) {
        answer->method = 1;
    }
}
