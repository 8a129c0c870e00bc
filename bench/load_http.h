
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Parser of HTTP/1.1 responses.
 */

#ifndef _LOAD_HTTP_H_INCLUDED_
#define _LOAD_HTTP_H_INCLUDED_


#include "load.h"


typedef struct {
    /* handler of the body, called with the chunked coding removed */
    void        (*body)(void *data, const char *p, size_t n);
    void         *data;

    /* name of the header that names the worker */
    const char   *header;

    unsigned      state;
    int           status;
    uint64_t      left;

    unsigned      length:1;
    unsigned      chunked:1;
    unsigned      last:1;         /* the server closes the connection */
    unsigned      done:1;
    unsigned      events:1;       /* text/event-stream */

    size_t        len;
    char          line[512];
    char          worker[32];
    char          session[128];   /* Mcp-Session-Id */
} load_http_t;


/* prepares for the next response; keeps body, data and header */

void load_http_reset(load_http_t *h);

/*
 * Parses the next bytes.  h->status is positive when the headers are complete,
 * h->done is set when the response is.  LOAD_ERROR: the bytes are not HTTP, or
 * follow the end of the response.
 */

int load_http_feed(load_http_t *h, const char *p, size_t n);


#endif /* _LOAD_HTTP_H_INCLUDED_ */
