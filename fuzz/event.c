
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Framing of events (codec/ngx_mcp_event.c): a parser of event streams, written
 * from the HTML standard, 9.2.6, reads back exactly the data that went in.
 *
 * The input is the data of events, cut at FUZZ_END_OF_FIELD.  CR and LF in it
 * become blanks, as ngx_mcp_jsonrpc_one_line() does, and if it was JSON, it
 * still is, with the same values.  U+0085, U+2028 and U+2029 become escapes, so
 * that the stream has none of them and the decoded data is the same.
 */

#include "fuzz.h"
#include "ngx_mcp_event.h"
#include "ngx_mcp_jsonrpc.h"


/* a parser of event streams */

typedef struct {
    ngx_str_t     type;
    ngx_str_t     data;        /* in "buffer" */
    u_char       *buffer;
    size_t        n;           /* events dispatched */
    ngx_str_t    *expected;    /* data of the events */
} event_parser_t;


static ngx_str_t event_one_line(fuzz_input_t *in, ngx_str_t *data);
static void event_same_values(strict_json_t *a, strict_json_t *b);
static ngx_str_t event_escaped(fuzz_input_t *in, ngx_str_t *data);
static void event_add(fuzz_input_t *in, ngx_str_t *stream, ngx_str_t *data);
static void event_parse(event_parser_t *parser, ngx_str_t *stream);
static void event_line(event_parser_t *parser, u_char *p, u_char *last);
static void event_dispatch(event_parser_t *parser);
static void event_format(fuzz_input_t *in, ngx_str_t *text, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          n, room;
    ngx_str_t       text, stream, expected[8];
    fuzz_input_t    in;
    event_parser_t  parser;

    fuzz_begin(&in, data, size);
    ngx_memzero(&parser, sizeof(event_parser_t));

    room = fuzz_number(&in, 255);

    stream.len = 0;
    stream.data = fuzz_alloc(&in, 6 * size + 8 * 64);

    for (n = 0; n < 8; n++) {
        text = (n == 7) ? fuzz_rest(&in) : fuzz_field(&in);

        text = event_one_line(&in, &text);
        expected[n] = event_escaped(&in, &text);

        event_add(&in, &stream, &text);
        event_format(&in, &text, room);
    }

    parser.expected = expected;
    parser.buffer = fuzz_alloc(&in, stream.len + 8);

    event_parse(&parser, &stream);

    if (parser.n != 8) {
        fuzz_fail("each event is read: %zu", parser.n);
    }

    fuzz_end(&in);

    return 0;
}


static ngx_str_t
event_one_line(fuzz_input_t *in, ngx_str_t *data)
{
    size_t         i;
    ngx_str_t      line;
    strict_json_t  before, after;

    line = fuzz_copy(in, data->data, data->len);

    ngx_mcp_jsonrpc_one_line(&line);

    for (i = 0; i < line.len; i++) {
        if (line.data[i] == CR || line.data[i] == LF) {
            fuzz_fail("one line has no CR or LF");
        }
    }

    if (strict_json_parse(&before, data->data, data->len)) {

        if (!strict_json_parse(&after, line.data, line.len)) {
            fuzz_fail("JSON in one line is JSON");
        }

        event_same_values(&before, &after);
        strict_json_free(&after);
    }

    strict_json_free(&before);

    return line;
}


static void
event_same_values(strict_json_t *a, strict_json_t *b)
{
    size_t           i;
    strict_value_t  *v, *w;

    if (a->n != b->n) {
        fuzz_fail("JSON in one line has the same number of values");
    }

    for (i = 0; i < a->n; i++) {
        v = &a->values[i];
        w = &b->values[i];

        if (v->type != w->type || v->start != w->start || v->end != w->end
            || (v->type < STRICT_OBJECT
                && memcmp(a->text + v->start, b->text + v->start,
                          v->end - v->start) != 0))
        {
            fuzz_fail("JSON in one line has the same values");
        }
    }
}


/* the data that a client gets */

static ngx_str_t
event_escaped(fuzz_input_t *in, ngx_str_t *data)
{
    size_t     i, n, k;
    ngx_str_t  s;

    static const struct {
        const char  *bytes;
        const char  *escape;
    } separators[] = {
        { "\xc2\x85", "\\u0085" },
        { "\xe2\x80\xa8", "\\u2028" },
        { "\xe2\x80\xa9", "\\u2029" }
    };

    s.len = 0;
    s.data = fuzz_alloc(in, 6 * data->len + 1);

    for (i = 0; i < data->len; i += n) {
        n = 1;

        for (k = 0; k < 3; k++) {
            if (data->len - i >= strlen(separators[k].bytes)
                && memcmp(data->data + i, separators[k].bytes,
                          strlen(separators[k].bytes)) == 0)
            {
                n = strlen(separators[k].bytes);
                memcpy(s.data + s.len, separators[k].escape, 6);
                s.len += 6;
            }
        }

        if (n == 1) {
            s.data[s.len++] = data->data[i];
        }
    }

    return s;
}


static void
event_add(fuzz_input_t *in, ngx_str_t *stream, ngx_str_t *data)
{
    ngx_str_t         found, expected;
    ngx_mcp_event_t  *ev;

    ev = ngx_mcp_event_alloc(data->len, in->log);
    if (ev == NULL) {
        fuzz_fail("there is memory for an event");
    }

    if ((size_t) (ev->end - ev->pos) != data->len) {
        fuzz_fail("an event has the room that was asked for");
    }

    ev->last = ngx_cpymem(ev->last, data->data, data->len);

    ev = ngx_mcp_event_frame(ev, in->log);
    if (ev == NULL) {
        fuzz_fail("there is memory for an escaped event");
    }

    ngx_mcp_event_data(ev, &found);
    expected = event_escaped(in, data);

    if (!fuzz_same(&found, &expected)) {
        fuzz_fail("the data of an event is what was framed");
    }

    memcpy(stream->data + stream->len, ev->pos, ev->last - ev->pos);
    stream->len += ev->last - ev->pos;

    ngx_free(ev);
}


/* lines end with CR LF, LF or CR; the rest without an end is ignored */

static void
event_parse(event_parser_t *parser, ngx_str_t *stream)
{
    u_char  *p, *line, *last;

    p = stream->data;
    last = p + stream->len;

    if (stream->len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
        p += 3;
    }

    for (line = p; p < last; p++) {

        if (*p != CR && *p != LF) {
            continue;
        }

        event_line(parser, line, p);

        if (*p == CR && p + 1 < last && p[1] == LF) {
            p++;
        }

        line = p + 1;
    }

    if (line != last) {
        fuzz_fail("the stream ends behind a line");
    }
}


static void
event_line(event_parser_t *parser, u_char *p, u_char *last)
{
    u_char     *colon;
    ngx_str_t   name, value;

    if (p == last) {
        event_dispatch(parser);
        return;
    }

    colon = memchr(p, ':', last - p);

    name.data = p;
    name.len = (colon ? colon : last) - p;

    value.data = colon ? colon + 1 : last;

    if (value.data < last && *value.data == ' ') {
        value.data++;
    }

    value.len = last - value.data;

    if (name.len == 5 && memcmp(name.data, "event", 5) == 0) {
        parser->type = value;

    } else if (name.len == 4 && memcmp(name.data, "data", 4) == 0) {
        memcpy(parser->buffer + parser->data.len, value.data, value.len);
        parser->data.len += value.len;
        parser->buffer[parser->data.len++] = LF;

    } else {
        fuzz_fail("the stream has no other field: %.*s", (int) name.len,
                  name.data);
    }
}


static void
event_dispatch(event_parser_t *parser)
{
    static ngx_str_t  message = ngx_string("message");

    /* an event whose data buffer is empty is not dispatched */

    if (parser->data.len) {
        parser->data.data = parser->buffer;
        parser->data.len--;

        if (parser->n == 8
            || !fuzz_same(&parser->data, &parser->expected[parser->n]))
        {
            fuzz_fail("event %zu has the data that was sent", parser->n);
        }

        if (!fuzz_same(&parser->type, &message)) {
            fuzz_fail("the type of an event is \"message\"");
        }

        parser->n++;
    }

    parser->data.len = 0;
    parser->type.len = 0;
}


/* what does not fit is cut off */

static void
event_format(fuzz_input_t *in, ngx_str_t *text, size_t size)
{
    ngx_str_t         found;
    ngx_mcp_event_t  *ev;

    ev = ngx_mcp_event_format(size, in->log, "%V", text);
    if (ev == NULL) {
        fuzz_fail("there is memory for a formatted event");
    }

    found.data = ev->pos;
    found.len = ev->last - ev->pos;

    if (found.len != ngx_min(size, text->len)
        || (found.len && memcmp(found.data, text->data, found.len) != 0))
    {
        fuzz_fail("a formatted event has the text, cut at its size");
    }

    ngx_free(ev);
}
