
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What the module itself asks a backend, with the credential of a request that
 * needs to know it.
 */

#ifndef _NGX_MCP_ASK_H_INCLUDED_
#define _NGX_MCP_ASK_H_INCLUDED_


#include "ngx_mcp_discovered.h"
#include "ngx_mcp_task.h"


typedef struct ngx_mcp_ask_s  ngx_mcp_ask_t;


/* what the backend has answered */

typedef struct {
    ngx_str_t               response;    /* JSON-RPC response, or empty */
    ngx_uint_t              status;      /* HTTP status of the backend itself,
                                            or 0 */
    ngx_str_t               challenge;   /* of a 401 or 403, may be empty */
    ngx_mcp_discovered_t    discovered;  /* set by keep() */
    unsigned                known:1;     /* discovered is set */
} ngx_mcp_ask_answer_t;


typedef struct {
    u_char                 *key;         /* of NGX_MCP_DIGEST_LEN bytes, of a
                                            user: one question with a keep()
                                            runs for it in a worker */
    u_char                 *site;        /* that of the site, for keep() */
    ngx_str_t               method;
    ngx_str_t               params;      /* raw */
    ngx_array_t            *headers;     /* mcp-*, of ngx_keyval_t */
    ngx_uint_t              probe;       /* the backend may not know the
                                            method */

    /*
     * Runs once when the question has ended, whether or not anybody still
     * waits: keeps in the zone what is known now.  It allocates from pool.
     */

    void                  (*keep)(u_char *key, u_char *site,
                                ngx_mcp_ask_answer_t *answer,
                                ngx_pool_t *pool);
} ngx_mcp_ask_args_t;


/* a request that waits; in its pool */

typedef struct {
    ngx_queue_t             queue;       /* in ask->waiters */
    ngx_mcp_ask_t          *ask;         /* NULL: not waiting */
    ngx_http_request_t     *request;
    ngx_mcp_ask_answer_t   *answer;      /* while resume() runs; NULL: none,
                                            the worker stops */
} ngx_mcp_ask_waiter_t;


/*
 * Asks the backend of r, or joins the same question of the same user, whose
 * calls it may wait for, and suspends r until resume(), which calls
 * ngx_mcp_ask_answer() first.  Bytes of the arguments
 * are copied.  The waiter is zeroed and in the pool of r.
 *
 * Returns NGX_DONE: r waits; NGX_BUSY: the limits of the user do not allow
 * another call, the headers are too large, or the worker stops; NGX_ERROR:
 * memory is short.
 */

ngx_int_t ngx_mcp_ask(ngx_http_request_t *r, ngx_mcp_ask_args_t *args,
    ngx_mcp_ask_waiter_t *waiter, ngx_mcp_resume_pt resume);

/*
 * Returns the answer, which is valid until resume() returns, or NULL.
 */

ngx_mcp_ask_answer_t *ngx_mcp_ask_answer(ngx_mcp_ask_waiter_t *waiter);


#endif /* _NGX_MCP_ASK_H_INCLUDED_ */
