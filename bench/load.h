
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Common declarations of the load generator, a standalone program that uses
 * libc only.  Times are in nanoseconds of CLOCK_MONOTONIC.
 */

#ifndef _LOAD_H_INCLUDED_
#define _LOAD_H_INCLUDED_


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/types.h>


#define LOAD_OK      0
#define LOAD_ERROR  -1

#define LOAD_SEC    1000000000LL
#define LOAD_MSEC   1000000LL


typedef int64_t  load_nsec_t;


/* prints "load: MESSAGE" to stderr and exits with code 2 */

void load_fatal(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

/* returns zeroed memory, which is never freed; exits if there is none */

void *load_alloc(size_t size);

/* returns the current time */

load_nsec_t load_now(void);


#endif /* _LOAD_H_INCLUDED_ */
