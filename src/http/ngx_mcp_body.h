
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Reads the body of a POST into memory, with a limit of the module.
 */

#ifndef _NGX_MCP_BODY_H_INCLUDED_
#define _NGX_MCP_BODY_H_INCLUDED_


#include "ngx_mcp_ctx.h"


/*
 * Runs once: when ctx->body->text is complete (status 0), is longer than the
 * limit (NGX_HTTP_REQUEST_ENTITY_TOO_LARGE), its chunks are malformed
 * (NGX_HTTP_BAD_REQUEST), or the unfinished bodies of its user take too much
 * memory (NGX_HTTP_TOO_MANY_REQUESTS).  Returns the code with which the request
 * is finalized.
 */

typedef ngx_int_t (*ngx_mcp_body_pt)(ngx_http_request_t *r, ngx_int_t status);


typedef struct ngx_mcp_body_user_s  ngx_mcp_body_user_t;


/* in the pool of its request */

struct ngx_mcp_body_s {
    ngx_str_t             text;
    size_t                capacity;   /* of text, bytes */
    size_t                max;
    ngx_mcp_body_pt       done;
    ngx_mcp_body_user_t  *user;       /* or NULL: not counted for its user */
    size_t                counted;    /* bytes, of user->size */
    unsigned              foreign:1;  /* another module has read the body */
};


/*
 * Reads the body of r, at most "max" bytes, into ctx->body->text, which is in
 * r's pool, and runs done(), maybe before this returns.  Returns the code that
 * the content handler returns, or with which the request is finalized.
 */

ngx_int_t ngx_mcp_body_read(ngx_http_request_t *r, size_t max,
    ngx_mcp_body_pt done);


#endif /* _NGX_MCP_BODY_H_INCLUDED_ */
