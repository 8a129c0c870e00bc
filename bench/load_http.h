
/*
 * The parser of HTTP/1.1 responses.
 */

#ifndef _LOAD_HTTP_H_INCLUDED_
#define _LOAD_HTTP_H_INCLUDED_


#include "load.h"


typedef struct {
    /* gets the bytes of the body, without those of the transfer coding */
    void        (*body)(void *data, const char *p, size_t n);
    void         *data;

    /* name of the header whose value says which worker answers */
    const char   *header;

    unsigned      state;
    int           status;
    uint64_t      left;

    unsigned      length:1;
    unsigned      chunked:1;
    unsigned      last:1;         /* the connection is to be closed */
    unsigned      done:1;

    size_t        len;
    char          line[512];
    char          worker[32];
} load_http_t;


/* makes it ready for a response; body, data and header stay */

void load_http_reset(load_http_t *h);

/*
 * Takes the next bytes.  h->status is set when the headers are complete,
 * h->done when the response is.  LOAD_ERROR: not HTTP, or bytes after the end.
 */

int load_http_feed(load_http_t *h, const char *p, size_t n);


#endif /* _LOAD_HTTP_H_INCLUDED_ */
