
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Requests in flight of Streamable HTTP, for all workers: within a session an
 * id must not be used by two requests at a time.
 */

#ifndef _NGX_MCP_IN_FLIGHT_H_INCLUDED_
#define _NGX_MCP_IN_FLIGHT_H_INCLUDED_


#include "ngx_mcp_zone.h"


/*
 * The id of a request, in the memory of its worker.  It is made for a request
 * that is about to be dispatched, in the list of the sink, and then belongs to
 * the task of that request.
 */

typedef struct {
    ngx_queue_t              siblings;     /* in sink->in_flight, until taken */
    ngx_queue_t              queue;        /* of this worker, if entered */
    u_char                   key[NGX_MCP_DIGEST_LEN];
    void                    *record;       /* in the zone; NULL: not entered,
                                              or the zone is in recovery */
    unsigned                 entered:1;
    unsigned                 used:1;       /* another request has the id */
} ngx_mcp_in_flight_t;


/*
 * Makes an id with that key (NGX_MCP_DIGEST_LEN bytes) at the end of the list
 * "ids", which owns it.  Returns NGX_OK, or NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_in_flight_add(ngx_queue_t *ids, u_char *key);

/*
 * Enters the ids of the list, or marks those that are in flight already as
 * used.  Notes "n" messages for the session with the key "session" in the same
 * section, see ngx_mcp_registry_active().  Returns NGX_OK; NGX_DECLINED: the
 * zone is full or has too many ids; NGX_AGAIN: the zone is in recovery.  If not
 * NGX_OK, the caller frees the list.
 */

ngx_int_t ngx_mcp_in_flight_enter(ngx_queue_t *ids, u_char *session,
    ngx_uint_t n);

/*
 * Takes the first id out of the list, if there is one; the caller owns it.
 */

ngx_mcp_in_flight_t *ngx_mcp_in_flight_take(ngx_queue_t *ids);

/*
 * The request has ended, or is not run: frees its id, which may be NULL; or all
 * ids of a list.
 */

void ngx_mcp_in_flight_free(ngx_mcp_in_flight_t *id);
void ngx_mcp_in_flight_free_all(ngx_queue_t *ids);

/*
 * Frees what a worker that is dead or exits has entered.
 */

void ngx_mcp_in_flight_drop_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_worker_t *worker);

/*
 * Recovery of the zone: this worker forgets its pointers into the old pool;
 * and enters its ids again, while there is room.
 */

void ngx_mcp_in_flight_release_locked(void);
void ngx_mcp_in_flight_restore_locked(ngx_mcp_zone_t *zone);


#endif /* _NGX_MCP_IN_FLIGHT_H_INCLUDED_ */
