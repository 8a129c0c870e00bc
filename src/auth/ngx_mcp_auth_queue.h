
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The queue of look-ups of this worker: served in turn by client address,
 * bounded.
 */

#ifndef _NGX_MCP_AUTH_QUEUE_H_INCLUDED_
#define _NGX_MCP_AUTH_QUEUE_H_INCLUDED_


#include "ngx_mcp.h"


/* docs/PROTOCOL.md 2.21: look-ups that wait in a worker */

#define NGX_MCP_AUTH_QUEUE_MAX  1024


typedef struct ngx_mcp_auth_queue_client_s  ngx_mcp_auth_queue_client_t;


/* an entry, embedded in a look-up; zeroed by its owner */

typedef struct {
    ngx_queue_t                     queue;      /* of its client */
    ngx_mcp_auth_queue_client_t    *client;     /* NULL: does not wait */
} ngx_mcp_auth_queue_entry_t;


/*
 * Adds an entry for the client with that address; NULL is one client as well.
 * "known" entries are served before all others.  If the queue is full, the
 * newest entry of the longest queue of a client is taken out: of those that are
 * not known, if there are any.
 *
 * Returns NGX_OK, with *victim set to the entry that was taken out, or NULL;
 * NGX_BUSY if that would be this one; NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_auth_queue_add(ngx_mcp_auth_queue_entry_t *entry,
    struct sockaddr *address, ngx_uint_t known,
    ngx_mcp_auth_queue_entry_t **victim);

/*
 * Takes out the entry whose turn it is, or returns NULL; takes out an entry, if
 * it waits; returns the number of entries.
 */

ngx_mcp_auth_queue_entry_t *ngx_mcp_auth_queue_next(void);
void ngx_mcp_auth_queue_remove(ngx_mcp_auth_queue_entry_t *entry);
ngx_uint_t ngx_mcp_auth_queue_length(void);


#endif /* _NGX_MCP_AUTH_QUEUE_H_INCLUDED_ */
