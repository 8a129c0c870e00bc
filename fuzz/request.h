
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A request of a client, for targets that read one, and headers.
 */

#ifndef _FUZZ_REQUEST_H_INCLUDED_
#define _FUZZ_REQUEST_H_INCLUDED_


#include "fuzz.h"
#include "ngx_mcp_ctx.h"


/*
 * Makes a request without headers in the pool of the input: with a connection,
 * the context and the configuration of the location, both zeroed, and
 * $scheme, "https" if "tls" is set.
 */

ngx_http_request_t *fuzz_request(fuzz_input_t *in, ngx_uint_t tls);

/*
 * Returns "size" bytes of the pool, zeroed.  Never fails.
 */

void *fuzz_request_alloc(ngx_pool_t *pool, size_t size);

/*
 * Adds a header for each line "NAME: VALUE" of "text", as nginx would take it
 * from a client: other lines, and a Host that nginx refuses, are skipped.
 */

void fuzz_request_headers(ngx_http_request_t *r, ngx_str_t *text);

/*
 * Takes the next line of "text", without LF; bytes that a header of a client
 * cannot have, NUL and CR, end it.  Returns 0 at the end.
 */

ngx_uint_t fuzz_request_line(ngx_str_t *text, ngx_str_t *line);

/*
 * The value of the only header of the response with a name.  Checks that there
 * is one, and that it is one line.
 */

ngx_str_t fuzz_request_answer(ngx_http_request_t *r, const char *name);

/*
 * A second reading of the values of a header, by RFC 9110: "lines" gets each
 * line without blanks around it, "members" those of the list of 5.6.1, both as
 * arrays of ngx_str_t.
 */

void fuzz_request_values(ngx_http_request_t *r, const char *name,
    ngx_array_t *lines, ngx_array_t *members);

/*
 * The value of a header that has one, by these (ngx_mcp_header_value()).
 */

ngx_int_t fuzz_request_value(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);

/*
 * Whether all bytes are visible ASCII characters; whether a text is this one,
 * without case.
 */

ngx_uint_t fuzz_request_visible(ngx_str_t *s);
ngx_uint_t fuzz_request_is(ngx_str_t *s, const char *text);


#endif /* _FUZZ_REQUEST_H_INCLUDED_ */
