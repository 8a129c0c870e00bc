
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The ids of calls, by which Frappe names a call in what it publishes: the
 * value of the header X-MCP-Call.
 *
 * An id is the name of the worker's channel, ngx_mcp_events_name(), and 24
 * random letters, 120 bits.  Only the worker that runs the call knows it, and
 * with it whose call it is, and of which site.
 */

#ifndef _NGX_MCP_CALL_ID_H_INCLUDED_
#define _NGX_MCP_CALL_ID_H_INCLUDED_


#include "ngx_mcp_events.h"


#define NGX_MCP_CALL_ID_RANDOM  24     /* letters, a multiple of 8 */

#define NGX_MCP_CALL_ID_LEN                                                   \
    (NGX_MCP_EVENTS_NAME_LEN + NGX_MCP_CALL_ID_RANDOM)


/* embedded in its owner */

typedef struct {
    ngx_rbtree_node_t   node;
    void               *data;          /* of the owner; NULL: not entered */
    u_char              text[NGX_MCP_CALL_ID_LEN];
} ngx_mcp_call_id_t;


/* in init_process */

void ngx_mcp_call_id_init(void);

/*
 * Makes an id and enters it, until ngx_mcp_call_id_leave(), which may be called
 * without it.  Returns NGX_OK, or NGX_ERROR: there are no random bytes.
 */

ngx_int_t ngx_mcp_call_id_enter(ngx_mcp_call_id_t *id, void *data);
void ngx_mcp_call_id_leave(ngx_mcp_call_id_t *id);

/*
 * Returns whether a text is the id of a call of this worker, by its first
 * characters; finds the data of the owner, or NULL: no such call, or it has
 * ended.
 */

ngx_uint_t ngx_mcp_call_id_is_own(ngx_str_t *text);
void *ngx_mcp_call_id_find(ngx_str_t *text);


#endif /* _NGX_MCP_CALL_ID_H_INCLUDED_ */
