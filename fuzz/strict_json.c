
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A second JSON parser, by the grammars of RFC 8259 and RFC 3629.
 */

#include <stdlib.h>
#include <string.h>

#include "strict_json.h"


typedef struct {
    strict_json_t  *json;
    size_t          pos;
    size_t          container;    /* the innermost open one */
    size_t          depth;
    size_t          key_start;    /* of the value that comes next */
    size_t          key_end;
} strict_state_t;


static void strict_space(strict_state_t *s);
static int strict_take(strict_state_t *s, char c);
static int strict_value(strict_state_t *s);
static int strict_scalar(strict_state_t *s);
static int strict_behind_value(strict_state_t *s);
static int strict_key(strict_state_t *s);
static int strict_string(strict_state_t *s);
static int strict_escape(strict_state_t *s);
static int strict_number(strict_state_t *s);
static int strict_digits(strict_state_t *s);
static int strict_word(strict_state_t *s, const char *word);
static void strict_add(strict_state_t *s, strict_type_e type, size_t start);


/* JSON-text = ws value ws */

int
strict_json_parse(strict_json_t *j, const uint8_t *text, size_t len)
{
    int             rc;
    strict_state_t  s;

    memset(j, 0, sizeof(strict_json_t));
    memset(&s, 0, sizeof(strict_state_t));

    j->text = text;
    j->len = len;

    s.json = j;
    s.container = STRICT_NONE;

    do {
        strict_space(&s);

        rc = strict_value(&s);

        /* 1: a container has begun, and the next is a value of it */

    } while (rc == 1 || (rc == 0 && (rc = strict_behind_value(&s)) == 1));

    return rc == 0 && s.pos == len;
}


void
strict_json_free(strict_json_t *j)
{
    free(j->values);
    j->values = NULL;
}


static void
strict_space(strict_state_t *s)
{
    while (s->pos < s->json->len
           && strchr(" \t\r\n", s->json->text[s->pos])
           && s->json->text[s->pos])
    {
        s->pos++;
    }
}


static int
strict_take(strict_state_t *s, char c)
{
    if (s->pos == s->json->len || s->json->text[s->pos] != (uint8_t) c) {
        return 0;
    }

    s->pos++;

    return 1;
}


/* returns 0 behind a value, 1 before the first value of a container, or -1 */

static int
strict_value(strict_state_t *s)
{
    int            empty;
    size_t         start;
    strict_type_e  type;

    start = s->pos;

    if (strict_take(s, '{')) {
        type = STRICT_OBJECT;

    } else if (strict_take(s, '[')) {
        type = STRICT_ARRAY;

    } else {
        return strict_scalar(s);
    }

    strict_add(s, type, start);

    s->container = s->json->n - 1;
    s->depth++;

    if (s->depth > s->json->deepest) {
        s->json->deepest = s->depth;
    }

    strict_space(s);

    empty = s->pos < s->json->len
            && s->json->text[s->pos] == (type == STRICT_OBJECT ? '}' : ']');

    if (empty) {
        return 0;
    }

    if (type == STRICT_OBJECT) {
        return strict_key(s) ? 1 : -1;
    }

    return 1;
}


static int
strict_scalar(strict_state_t *s)
{
    int            ok;
    size_t         start;
    strict_type_e  type;

    start = s->pos;

    if (start == s->json->len) {
        return -1;
    }

    switch (s->json->text[start]) {

    case '"':
        type = STRICT_STRING;
        ok = strict_string(s);
        break;

    case 'n':
        type = STRICT_NULL;
        ok = strict_word(s, "null");
        break;

    case 't':
        type = STRICT_TRUE;
        ok = strict_word(s, "true");
        break;

    case 'f':
        type = STRICT_FALSE;
        ok = strict_word(s, "false");
        break;

    default:
        type = STRICT_NUMBER;
        ok = strict_number(s);
    }

    if (!ok) {
        return -1;
    }

    strict_add(s, type, start);
    s->json->values[s->json->n - 1].end = s->pos;

    return 0;
}


/*
 * Closes the containers that end here.  Returns 0 if the outermost value has
 * ended, 1 before the next value of a container, or -1.
 */

static int
strict_behind_value(strict_state_t *s)
{
    int              is_object;
    strict_value_t  *c;

    for ( ;; ) {
        strict_space(s);

        if (s->container == STRICT_NONE) {
            return 0;
        }

        c = &s->json->values[s->container];
        is_object = (c->type == STRICT_OBJECT);

        if (strict_take(s, is_object ? '}' : ']')) {
            c->end = s->pos;
            s->container = c->parent;
            s->depth--;
            continue;
        }

        if (!strict_take(s, ',')) {
            return -1;
        }

        strict_space(s);

        return (!is_object || strict_key(s)) ? 1 : -1;
    }
}


/* string ws : */

static int
strict_key(strict_state_t *s)
{
    size_t  start;

    start = s->pos;

    if (!strict_string(s)) {
        return 0;
    }

    s->key_start = start;
    s->key_end = s->pos;

    strict_space(s);

    return strict_take(s, ':');
}


static int
strict_string(strict_state_t *s)
{
    size_t          n;
    const uint8_t  *p, *last;

    if (!strict_take(s, '"')) {
        return 0;
    }

    last = s->json->text + s->json->len;

    while (s->pos < s->json->len) {

        if (strict_take(s, '"')) {
            return 1;
        }

        if (strict_take(s, '\\')) {

            if (!strict_escape(s)) {
                return 0;
            }

            continue;
        }

        p = s->json->text + s->pos;
        n = strict_utf8(p, last);

        if (n == 0 || *p < 0x20) {
            return 0;
        }

        s->pos += n;
    }

    return 0;
}


static int
strict_escape(strict_state_t *s)
{
    uint8_t   c;
    uint32_t  value;

    if (s->pos == s->json->len) {
        return 0;
    }

    c = s->json->text[s->pos++];

    if (c == 'u') {

        if (s->json->len - s->pos < 4
            || !strict_hex(s->json->text + s->pos, &value))
        {
            return 0;
        }

        s->pos += 4;

        return 1;
    }

    return c && strchr("\"\\/bfnrt", c) != NULL;
}


/* [ - ] ( 0 / 1-9 *DIGIT ) [ . 1*DIGIT ] [ e [ - / + ] 1*DIGIT ] */

static int
strict_number(strict_state_t *s)
{
    (void) strict_take(s, '-');

    if (!strict_take(s, '0') && !strict_digits(s)) {
        return 0;
    }

    if (strict_take(s, '.') && !strict_digits(s)) {
        return 0;
    }

    if (strict_take(s, 'e') || strict_take(s, 'E')) {

        if (!strict_take(s, '-')) {
            (void) strict_take(s, '+');
        }

        return strict_digits(s);
    }

    return 1;
}


static int
strict_digits(strict_state_t *s)
{
    size_t  start;

    start = s->pos;

    while (s->pos < s->json->len
           && s->json->text[s->pos] >= '0' && s->json->text[s->pos] <= '9')
    {
        s->pos++;
    }

    return s->pos > start;
}


static int
strict_word(strict_state_t *s, const char *word)
{
    size_t  len;

    len = strlen(word);

    if (s->json->len - s->pos < len
        || memcmp(s->json->text + s->pos, word, len) != 0)
    {
        return 0;
    }

    s->pos += len;

    return 1;
}


static void
strict_add(strict_state_t *s, strict_type_e type, size_t start)
{
    strict_json_t   *j;
    strict_value_t  *v;

    j = s->json;

    if (j->n == j->size) {
        j->size = j->size ? 2 * j->size : 16;

        v = realloc(j->values, j->size * sizeof(strict_value_t));
        if (v == NULL) {
            abort();
        }

        j->values = v;
    }

    v = &j->values[j->n++];

    v->type = type;
    v->start = start;
    v->end = start;
    v->key_start = s->key_start;
    v->key_end = s->key_end;
    v->parent = s->container;
    v->depth = s->depth;

    s->key_start = 0;
    s->key_end = 0;
}


size_t
strict_json_member(const strict_json_t *j, size_t object, const char *name,
    size_t *count)
{
    size_t                 i, n, found, depth;
    const strict_value_t  *v;

    n = 0;
    found = STRICT_NONE;
    depth = j->values[object].depth;

    for (i = object + 1; i < j->n && j->values[i].depth > depth; i++) {
        v = &j->values[i];

        if (v->parent == object
            && strict_json_is(j, v->key_start, v->key_end, name))
        {
            found = i;
            n++;
        }
    }

    if (count) {
        *count = n;
    }

    return found;
}


int
strict_json_is(const strict_json_t *j, size_t start, size_t end,
    const char *value)
{
    int       is;
    size_t    len;
    uint8_t  *d;

    if (end - start < 2 || j->text[start] != '"') {
        return 0;
    }

    d = malloc(end - start);
    if (d == NULL) {
        abort();
    }

    len = strict_json_decode(j->text + start + 1, j->text + end - 1, d);

    is = (len == strlen(value) && memcmp(d, value, len) == 0);

    free(d);

    return is;
}
