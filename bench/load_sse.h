
/*
 * The parser of event streams, and what a JSON-RPC message is.
 */

#ifndef _LOAD_SSE_H_INCLUDED_
#define _LOAD_SSE_H_INCLUDED_


#include "load.h"


typedef struct {
    /* an event is complete; name and text live until it returns */
    void      (*event)(void *data, const char *name, const char *text,
                       size_t len);
    void       *data;

    uint64_t    comments;

    char       *buf;
    size_t      size;
    size_t      len;
    size_t      line;             /* where the line that is read begins */
} load_sse_t;


typedef struct {
    uint64_t    id;
    unsigned    has_id:1;         /* a number: ours are */
    unsigned    error:1;
    unsigned    method:1;         /* not an answer */
} load_answer_t;


/* takes the next bytes; its buffer grows with the largest event */

void load_sse_feed(load_sse_t *s, const char *p, size_t n);

/* reads the members of the outermost object; not a check of its JSON */

void load_sse_answer(const char *p, size_t len, load_answer_t *answer);


#endif /* _LOAD_SSE_H_INCLUDED_ */
