
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Command line options.
 */

#ifndef _LOAD_CONF_H_INCLUDED_
#define _LOAD_CONF_H_INCLUDED_


#include "load.h"
#include "load_conn.h"


/* of MCP, in the handshake and in MCP-Protocol-Version */

#define LOAD_CONF_VERSION  "2025-06-18"


/* what a message is */

enum {
    load_conf_sse = 0,            /* HTTP+SSE: a 202, and an event */
    load_conf_mcp,                /* Streamable HTTP */
    load_conf_post                /* any POST and its response */
};


typedef struct {
    load_target_t   *streams;
    unsigned         nstreams;
    load_target_t   *posts;
    unsigned         nposts;

    unsigned         kind;
    const char      *uri;         /* of streams; NULL: none are opened */
    const char      *post_uri;    /* NULL: that of the endpoint event */
    const char      *host;        /* NULL: address of the target */
    const char      *credential;
    const char      *header;
    char            *body;        /* @ID@ is replaced by the id */

    unsigned         fixed:1;     /* the id of all messages is 1 */
    unsigned         initialize:1;
    unsigned         tls:1;

    unsigned         sessions;
    unsigned         connections;
    unsigned         outstanding;
    double           rate;        /* messages per second; 0: closed loop */
    double           pipe_rate;   /* writes per second; 0: no pipe */

    load_nsec_t      warm_up;
    load_nsec_t      duration;
    load_nsec_t      timeout;     /* for answers, after the end */

    const char      *pids;
    const char      *masters;
} load_conf_t;


/* parses the command line; exits if it is invalid, and after -h */

void load_conf_read(load_conf_t *conf, int argc, char **argv);


#endif /* _LOAD_CONF_H_INCLUDED_ */
