
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What the targets share: a pool for each input, a reader that cuts an input
 * into fields, and the report of a broken property.
 */

#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "strict_json.h"


/* bytes that end a field; they never occur in UTF-8 */

#define FUZZ_END_OF_FIELD  0xff


typedef struct {
    ngx_pool_t   *pool;
    ngx_log_t    *log;         /* logs nothing */
    u_char       *pos;         /* what is left of the input: [pos, last) */
    u_char       *last;
} fuzz_input_t;


/*
 * The entry point of a target: called by libFuzzer with each input.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * Begins an input: copies it to a new pool, and with the first one prepares
 * nginx's globals (ngx_cycle, ngx_pagesize, the clock).  Each allocation of the
 * pool is a malloc() of its own, so that AddressSanitizer sees its bounds.
 */

void fuzz_begin(fuzz_input_t *in, const uint8_t *data, size_t size);

/*
 * Ends an input and frees its pool.
 */

void fuzz_end(fuzz_input_t *in);

/*
 * Returns a number from 0 to max, taken from the end of the input so that its
 * beginning stays readable; 0 if nothing is left.
 */

ngx_uint_t fuzz_number(fuzz_input_t *in, ngx_uint_t max);

/*
 * Return a copy, in the pool and of exactly its size, of the bytes up to
 * FUZZ_END_OF_FIELD or the end of the input; or of all that is left.
 */

ngx_str_t fuzz_field(fuzz_input_t *in);
ngx_str_t fuzz_rest(fuzz_input_t *in);

/*
 * Returns a copy of "len" bytes in the pool, of exactly that size.
 */

ngx_str_t fuzz_copy(fuzz_input_t *in, const u_char *data, size_t len);

/*
 * Returns "size" bytes of the pool.  Never fails.
 */

void *fuzz_alloc(fuzz_input_t *in, size_t size);

/*
 * Returns whether both strings have the same bytes.
 */

ngx_uint_t fuzz_same(const ngx_str_t *a, const ngx_str_t *b);

/*
 * Returns the body without the byte order mark in front that RFC 8259, 8.1,
 * allows to ignore.
 */

ngx_str_t fuzz_json_text(ngx_str_t *body);

/*
 * Returns the index of the member, or STRICT_NONE, also if "object" is that or
 * no object; sets *repeated if the object has more than one of that name.
 */

size_t fuzz_json_member(const strict_json_t *j, size_t object,
    const char *name, ngx_uint_t *repeated);

/*
 * Return the value i: its bytes in the text; or, of a string, what it is when
 * it is decoded, in the pool.
 */

ngx_str_t fuzz_json_raw(const strict_json_t *j, size_t i);
ngx_str_t fuzz_json_decoded(fuzz_input_t *in, const strict_json_t *j, size_t i);

/*
 * Returns JSON in one line, also for those who end lines at U+0085, U+2028 and
 * U+2029: these become escapes, CR and LF become blanks.
 */

ngx_str_t fuzz_one_line(fuzz_input_t *in, const u_char *p, size_t len);

/*
 * Returns whether two raw values of JSON are equal strings or equal integers:
 * these have one form in JSON, but 0, which can be -0.
 */

ngx_uint_t fuzz_same_id(fuzz_input_t *in, const ngx_str_t *a,
    const ngx_str_t *b);

/*
 * Reports a property unless it holds, and ends the process.
 */

void fuzz_check(ngx_uint_t holds, const char *property);

/*
 * Reports a property that does not hold, with the formats of printf(), and
 * ends the process.
 */

void fuzz_fail(const char *property, ...)
    __attribute__((format(printf, 1, 2), noreturn));


#endif /* _FUZZ_H_INCLUDED_ */
