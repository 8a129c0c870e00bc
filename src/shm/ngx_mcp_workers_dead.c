
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Dead workers: how they are found, and the ids of those that were.
 *
 * A dead worker is found by a refused wake-up for a message (ngx_mcp_inbox.c),
 * by a new worker that gets its process slot, or by the sweep of each worker.
 *
 * The worker that finds it frees its record, session records and inbox entries,
 * and keeps its id until the bus has deleted its key in Redis.
 */

#include "ngx_mcp_workers_dead.h"
#include "ngx_mcp_workers.h"
#include "ngx_mcp_wakeup.h"


/*
 * The bus takes these ids every second and deletes the keys in Redis.  A key
 * that is not deleted expires after 15 seconds.
 */

#define NGX_MCP_WORKERS_DEAD_MAX     16

/* by how many others a worker is probed each second */

#define NGX_MCP_WORKERS_DEAD_PROBES  2


static void ngx_mcp_workers_dead_add(u_char *id);
static ngx_int_t ngx_mcp_workers_dead_next(ngx_mcp_zone_t *zone, ngx_uint_t n,
    u_char *id, ngx_pid_t *pid);
static ngx_uint_t ngx_mcp_workers_dead_check(u_char *id, ngx_pid_t pid);


static u_char      ngx_mcp_workers_dead_ids[NGX_MCP_WORKERS_DEAD_MAX]
                                           [NGX_MCP_WORKER_ID_LEN];
static ngx_uint_t  ngx_mcp_workers_ndead;


void
ngx_mcp_workers_dead_predecessor_locked(ngx_mcp_zone_t *zone)
{
    ngx_queue_t       *q, *next;
    ngx_mcp_worker_t  *worker;

    for (q = ngx_queue_head(&zone->root->workers);
         q != ngx_queue_sentinel(&zone->root->workers);
         q = next)
    {
        next = ngx_queue_next(q);

        worker = ngx_queue_data(q, ngx_mcp_worker_t, queue);

        if (worker->slot == ngx_process_slot) {
            ngx_mcp_workers_dead_add(worker->id);
            ngx_mcp_workers_free_locked(zone, worker);
        }
    }
}


void
ngx_mcp_workers_dead_locked(ngx_mcp_zone_t *zone, u_char *id)
{
    ngx_queue_t       *q;
    ngx_mcp_worker_t  *worker;

    for (q = ngx_queue_head(&zone->root->workers);
         q != ngx_queue_sentinel(&zone->root->workers);
         q = ngx_queue_next(q))
    {
        worker = ngx_queue_data(q, ngx_mcp_worker_t, queue);

        if (ngx_memcmp(worker->id, id, NGX_MCP_WORKER_ID_LEN) == 0
            && worker != ngx_mcp_workers_self())
        {
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "mcp sse: worker process %P is dead, its sessions "
                          "are dropped", worker->pid);

            ngx_mcp_workers_dead_add(worker->id);
            ngx_mcp_workers_free_locked(zone, worker);
            return;
        }
    }
}


static void
ngx_mcp_workers_dead_add(u_char *id)
{
    if (ngx_mcp_workers_ndead < NGX_MCP_WORKERS_DEAD_MAX) {
        ngx_memcpy(ngx_mcp_workers_dead_ids[ngx_mcp_workers_ndead++], id,
                   NGX_MCP_WORKER_ID_LEN);
    }
}


u_char *
ngx_mcp_workers_dead_id(void)
{
    return ngx_mcp_workers_ndead
           ? ngx_mcp_workers_dead_ids[ngx_mcp_workers_ndead - 1] : NULL;
}


void
ngx_mcp_workers_dead_forget(void)
{
    ngx_mcp_workers_ndead--;
}


/*
 * Finds dead workers that nothing else finds: a worker that was killed while it
 * shut down has no successor, and there may be no messages for its sessions.
 *
 * Each worker probes the next ones in the list, so that each one is probed by
 * NGX_MCP_WORKERS_DEAD_PROBES others.  In the place of a dead one, the one
 * behind it is probed.
 */

void
ngx_mcp_workers_dead_probe(ngx_mcp_zone_t *zone)
{
    u_char      id[NGX_MCP_WORKER_ID_LEN];
    ngx_pid_t   pid;
    ngx_uint_t  n;

    n = 0;

    while (n < NGX_MCP_WORKERS_DEAD_PROBES
           && ngx_mcp_workers_dead_next(zone, n, id, &pid) == NGX_OK)
    {
        if (!ngx_mcp_workers_dead_check(id, pid)) {
            n++;
            continue;
        }

        ngx_mcp_zone_lock(zone);
        ngx_mcp_workers_dead_locked(zone, id);
        ngx_mcp_zone_unlock(zone);
    }
}


/*
 * Finds the n-th worker behind this one; the list is a ring.  Returns NGX_OK,
 * or NGX_DECLINED if there are not as many.
 */

static ngx_int_t
ngx_mcp_workers_dead_next(ngx_mcp_zone_t *zone, ngx_uint_t n, u_char *id,
    ngx_pid_t *pid)
{
    ngx_queue_t       *q, *self;
    ngx_mcp_worker_t  *worker;

    ngx_mcp_zone_lock(zone);

    self = &ngx_mcp_workers_self()->queue;

    for (q = ngx_queue_next(self); q != self; q = ngx_queue_next(q)) {

        if (q == ngx_queue_sentinel(&zone->root->workers) || n--) {
            continue;
        }

        worker = ngx_queue_data(q, ngx_mcp_worker_t, queue);

        *pid = worker->no_socket ? worker->pid : 0;
        ngx_memcpy(id, worker->id, NGX_MCP_WORKER_ID_LEN);

        ngx_mcp_zone_unlock(zone);

        return NGX_OK;
    }

    ngx_mcp_zone_unlock(zone);

    return NGX_DECLINED;
}


/*
 * "pid" is set for a worker without a socket.  If another process has got the
 * pid by now, the dead worker is not found, and its sessions stay.
 */

static ngx_uint_t
ngx_mcp_workers_dead_check(u_char *id, ngx_pid_t pid)
{
    if (pid) {
        return kill(pid, 0) == -1 && ngx_errno == NGX_ESRCH;
    }

    return ngx_mcp_wakeup_send(id, ngx_cycle->log) == NGX_DECLINED;
}


/*
 * A pid alone proves nothing: it may belong to another process by now, and
 * EPERM says only that some process has it.  The socket of a worker proves that
 * the worker lives.  Only a process without a record (it starts, or exits) or
 * without a socket is judged by its pid.
 */

ngx_uint_t
ngx_mcp_workers_dead_holder(ngx_mcp_zone_t *zone, ngx_pid_t pid)
{
    u_char             id[NGX_MCP_WORKER_ID_LEN];
    ngx_uint_t         i, found;
    ngx_mcp_worker_t  *worker;

    /* this process does not hold it: a dead one had the same pid */

    if (pid == ngx_pid) {
        return 1;
    }

    found = 0;
    worker = zone->root->worker_slots;

    for (i = 0; i < zone->root->nworker_slots; i++) {

        if (worker[i].pid != pid || worker[i].no_socket) {
            continue;
        }

        found = 1;
        ngx_memcpy(id, worker[i].id, NGX_MCP_WORKER_ID_LEN);

        if (ngx_mcp_wakeup_send(id, ngx_cycle->log) != NGX_DECLINED) {
            return 0;
        }
    }

    return found || (kill(pid, 0) == -1 && ngx_errno == NGX_ESRCH);
}
