
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A configuration that is being read, for setters of directives.
 */

#ifndef _FUZZ_CONF_H_INCLUDED_
#define _FUZZ_CONF_H_INCLUDED_


#include "request.h"


/*
 * Makes *cf a configuration in the pool of the input, with a directive "name"
 * that has no arguments yet.
 */

void fuzz_conf(fuzz_input_t *in, ngx_conf_t *cf, const char *name);

/*
 * Adds an argument, of which it takes a copy with a NUL behind it; all lines of
 * a text.  The first argument of a directive is its name.
 */

void fuzz_conf_arg(ngx_conf_t *cf, ngx_str_t *arg);
void fuzz_conf_lines(ngx_conf_t *cf, ngx_str_t *text);

/*
 * Adds an argument with the formats of ngx_sprintf(), up to 32768 bytes.
 */

void fuzz_conf_format(ngx_conf_t *cf, const char *fmt, ...);


#endif /* _FUZZ_CONF_H_INCLUDED_ */
