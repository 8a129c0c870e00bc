
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What the targets share.
 */

#include "fuzz.h"


static void fuzz_init(void);


/* read by the sanitizers */

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);


static ngx_log_t        fuzz_log;
static ngx_open_file_t  fuzz_log_file;
static ngx_cycle_t      fuzz_cycle;


const char *
__asan_default_options(void)
{
    return "detect_stack_use_after_return=1:handle_abort=1"
           ":allocator_may_return_null=1:strict_string_checks=1";
}


const char *
__ubsan_default_options(void)
{
    return "print_stacktrace=1";
}


static void
fuzz_init(void)
{
    if (ngx_cycle == &fuzz_cycle) {
        return;
    }

    /* level 0 is below all levels: nothing is written */

    fuzz_log_file.fd = STDERR_FILENO;
    fuzz_log.file = &fuzz_log_file;
    fuzz_log.log_level = 0;

    fuzz_cycle.log = &fuzz_log;
    ngx_cycle = &fuzz_cycle;

    /* of ngx_os_init(), which also needs the arguments of main() */

    ngx_pid = ngx_getpid();
    ngx_pagesize = getpagesize();
    ngx_cacheline_size = NGX_CPU_CACHE_LINE;
    ngx_ncpu = 1;

    ngx_time_init();

    if (ngx_strerror_init() != NGX_OK) {
        fuzz_fail("there is memory for the texts of errors");
    }
}


void
fuzz_begin(fuzz_input_t *in, const uint8_t *data, size_t size)
{
    ngx_str_t  copy;

    fuzz_init();

    in->log = &fuzz_log;

    in->pool = ngx_create_pool(1024, in->log);
    if (in->pool == NULL) {
        fuzz_fail("there is memory for a pool");
    }

    copy = fuzz_copy(in, data, size);

    in->pos = copy.data;
    in->last = copy.data + copy.len;
}


void
fuzz_end(fuzz_input_t *in)
{
    ngx_destroy_pool(in->pool);
}


ngx_uint_t
fuzz_number(fuzz_input_t *in, ngx_uint_t max)
{
    ngx_uint_t  n, range;

    n = 0;

    for (range = max; range && in->pos < in->last; range >>= 8) {
        n = (n << 8) | *--in->last;
    }

    return (max + 1 == 0) ? n : n % (max + 1);
}


ngx_str_t
fuzz_field(fuzz_input_t *in)
{
    u_char     *p;
    ngx_str_t   field;

    for (p = in->pos; p < in->last; p++) {
        if (*p == FUZZ_END_OF_FIELD) {
            break;
        }
    }

    field = fuzz_copy(in, in->pos, p - in->pos);

    in->pos = (p < in->last) ? p + 1 : p;

    return field;
}


ngx_str_t
fuzz_rest(fuzz_input_t *in)
{
    ngx_str_t  rest;

    rest = fuzz_copy(in, in->pos, in->last - in->pos);

    in->pos = in->last;

    return rest;
}


ngx_str_t
fuzz_copy(fuzz_input_t *in, const u_char *data, size_t len)
{
    ngx_str_t  s;

    s.len = len;
    s.data = fuzz_alloc(in, len);

    if (len) {
        ngx_memcpy(s.data, data, len);
    }

    return s;
}


void *
fuzz_alloc(fuzz_input_t *in, size_t size)
{
    void  *p;

    p = ngx_pnalloc(in->pool, size);
    if (p == NULL) {
        fuzz_fail("there is memory in the pool");
    }

    return p;
}


ngx_uint_t
fuzz_same(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || ngx_memcmp(a->data, b->data, a->len) == 0);
}


ngx_str_t
fuzz_json_text(ngx_str_t *body)
{
    ngx_str_t  text;

    text = *body;

    if (text.len >= 3 && ngx_memcmp(text.data, "\xef\xbb\xbf", 3) == 0) {
        text.data += 3;
        text.len -= 3;
    }

    return text;
}


size_t
fuzz_json_member(const strict_json_t *j, size_t object, const char *name,
    ngx_uint_t *repeated)
{
    size_t  i, n;

    if (object == STRICT_NONE || j->values[object].type != STRICT_OBJECT) {
        return STRICT_NONE;
    }

    i = strict_json_member(j, object, name, &n);

    *repeated |= (n > 1);

    return i;
}


ngx_str_t
fuzz_json_raw(const strict_json_t *j, size_t i)
{
    ngx_str_t  s;

    s.data = (u_char *) j->text + j->values[i].start;
    s.len = j->values[i].end - j->values[i].start;

    return s;
}


ngx_str_t
fuzz_json_decoded(fuzz_input_t *in, const strict_json_t *j, size_t i)
{
    ngx_str_t  s, raw;

    raw = fuzz_json_raw(j, i);

    s.data = fuzz_alloc(in, raw.len);
    s.len = strict_json_decode(raw.data + 1, raw.data + raw.len - 1, s.data);

    return s;
}


ngx_str_t
fuzz_one_line(fuzz_input_t *in, const u_char *p, size_t len)
{
    size_t     i;
    ngx_str_t  s;

    s.len = 0;
    s.data = fuzz_alloc(in, 6 * len + 1);

    for (i = 0; i < len; /* void */ ) {

        if (len - i >= 2 && memcmp(p + i, "\xc2\x85", 2) == 0) {
            memcpy(s.data + s.len, "\\u0085", 6);
            s.len += 6;
            i += 2;

        } else if (len - i >= 3 && memcmp(p + i, "\xe2\x80", 2) == 0
                   && (p[i + 2] == 0xa8 || p[i + 2] == 0xa9))
        {
            memcpy(s.data + s.len, p[i + 2] == 0xa8 ? "\\u2028" : "\\u2029", 6);
            s.len += 6;
            i += 3;

        } else {
            s.data[s.len++] = (p[i] == CR || p[i] == LF) ? ' ' : p[i];
            i++;
        }
    }

    return s;
}


ngx_uint_t
fuzz_same_id(fuzz_input_t *in, const ngx_str_t *a, const ngx_str_t *b)
{
    ngx_str_t      x[2];
    ngx_uint_t     i, is_string[2];
    strict_json_t  j;

    x[0] = *a;
    x[1] = *b;

    for (i = 0; i < 2; i++) {

        if (!strict_json_parse(&j, x[i].data, x[i].len)) {
            fuzz_fail("an id is JSON");
        }

        is_string[i] = (j.values[0].type == STRICT_STRING);

        if (is_string[i]) {
            x[i] = fuzz_json_decoded(in, &j, 0);

        } else if (x[i].len == 2 && ngx_memcmp(x[i].data, "-0", 2) == 0) {
            ngx_str_set(&x[i], "0");
        }

        strict_json_free(&j);
    }

    return is_string[0] == is_string[1] && fuzz_same(&x[0], &x[1]);
}


void
fuzz_check(ngx_uint_t holds, const char *property)
{
    if (!holds) {
        fuzz_fail("%s", property);
    }
}


void
fuzz_fail(const char *property, ...)
{
    va_list  args;

    (void) fprintf(stderr, "\nfuzz: this does not hold: ");

    va_start(args, property);
    (void) vfprintf(stderr, property, args);
    va_end(args);

    (void) fprintf(stderr, "\n");

    abort();
}
