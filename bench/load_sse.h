
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Parser of event streams and of JSON-RPC answers.
 */

#ifndef _LOAD_SSE_H_INCLUDED_
#define _LOAD_SSE_H_INCLUDED_


#include "load.h"


typedef struct {
    /* handler of an event; name and text are valid until it returns */
    void      (*event)(void *data, const char *name, const char *text,
                       size_t len);
    void       *data;

    uint64_t    comments;

    char       *buf;
    size_t      size;
    size_t      len;
    size_t      line;             /* start of the current line */
} load_sse_t;


typedef struct {
    uint64_t    id;
    unsigned    has_id:1;         /* the id is a number */
    unsigned    error:1;
    unsigned    method:1;         /* a request or notification */
} load_answer_t;


/* parses the next bytes; the buffer grows to the largest event */

void load_sse_feed(load_sse_t *s, const char *p, size_t n);

/* reads the members of the outermost object, without validating the JSON */

void load_sse_answer(const char *p, size_t len, load_answer_t *answer);


#endif /* _LOAD_SSE_H_INCLUDED_ */
