
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What calls and look-ups have found out of Frappe, for /health.
 */

#ifndef _NGX_MCP_BACKEND_H_INCLUDED_
#define _NGX_MCP_BACKEND_H_INCLUDED_


#include "ngx_mcp.h"


typedef enum {
    NGX_MCP_BACKEND_CALL = 0,
    NGX_MCP_BACKEND_LOOKUP,
    NGX_MCP_BACKEND_KINDS
} ngx_mcp_backend_kind_e;


/*
 * Of all workers, in the root of the zone: a change needs another
 * NGX_MCP_ZONE_MAGIC.  Unix seconds; 0: never.
 */

typedef struct {
    ngx_atomic_t   good_since;    /* the first good one in a row */
    ngx_atomic_t   good;          /* the last good one */
    ngx_atomic_t   bad_since;     /* the first bad one after that */
    ngx_atomic_t   bad;           /* the last bad one */
} ngx_mcp_backend_t;


typedef struct {
    const char    *status;        /* "unknown", "healthy", "failing" */
    time_t         since;         /* 0: unknown */
    unsigned       all_failed:1;  /* all calls, or all look-ups, of the last
                                     NGX_MCP_BACKEND_WINDOW seconds */
} ngx_mcp_backend_state_t;


/*
 * Notes the end of a call or look-up, an ngx_mcp_backend_kind_e: whether there
 * was a usable answer.
 */

void ngx_mcp_backend_note(ngx_uint_t kind, ngx_uint_t good);

/*
 * Sets *state to what is known.  Frappe is failing if no call, or no look-up,
 * was good for NGX_MCP_BACKEND_WINDOW seconds and the last one was bad.
 */

void ngx_mcp_backend_state(ngx_mcp_backend_state_t *state);


#endif /* _NGX_MCP_BACKEND_H_INCLUDED_ */
