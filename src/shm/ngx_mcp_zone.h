
/*
 * The root of the shared zone: layout, keys, counters, the lock.
 *
 * The zone is a directory and a letter box.  Everything in it is reached
 * from the root and only touched under the pool's mutex, except for the
 * atomics.
 */

#ifndef _NGX_MCP_ZONE_H_INCLUDED_
#define _NGX_MCP_ZONE_H_INCLUDED_


#include "ngx_mcp.h"
#include "ngx_mcp_counters.h"


#define NGX_MCP_ZONE_MAGIC  0x4d43503d      /* of this layout */

#define NGX_MCP_MAX_WORKERS  256   /* workers, of all generations */


/*
 * Where the repair of a damaged zone stands, for a worker and, as the least of
 * its workers' values, for the zone: see _repair.c.
 */

typedef enum {
    NGX_MCP_ZONE_DIRTY = 0,            /* it may hold what is in the heap */
    NGX_MCP_ZONE_RESET,                /* it holds nothing; the heap is new */
    NGX_MCP_ZONE_READY                 /* its sessions are registered */
} ngx_mcp_zone_state_e;


/* a worker, made by itself in init_process; id is drawn after fork */

typedef struct {
    ngx_queue_t            queue;        /* in zone->workers or free_peers */
    u_char                 id[NGX_MCP_WORKER_ID_LEN];
    ngx_pid_t              pid;          /* 0: free */
    ngx_int_t              slot;
    ngx_uint_t             phase;
    ngx_msec_t             wake_at;      /* of the last datagram; 0: none
                                            since it last took its inboxes */
    ngx_queue_t            records;      /* its sessions */
    ngx_queue_t            ready;        /* those of them with news */
    ngx_queue_t            taken;        /* entries it has taken out */
    ngx_queue_t            filling;      /* entries it produces */

    ngx_uint_t             posted;       /* messages in its inboxes */

    ngx_atomic_t           streams;
    ngx_atomic_t           pending;      /* that it has and has not started */
    ngx_atomic_t           held;         /* POSTs it holds */
    ngx_atomic_t           calls;        /* that run */
    ngx_atomic_t           redis;        /* NGX_MCP_REDIS_*, or 0 */
    ngx_uint_t             announcement_read; /* number of the last one */

    unsigned               no_socket:1;  /* it has no socket to be woken by */
} ngx_mcp_worker_t;


/* the sessions of one user of one site; gone with the last of them */

typedef struct {
    ngx_rbtree_node_t      node;
    u_char                 key[NGX_MCP_DIGEST_LEN];
    ngx_queue_t            records;
    ngx_uint_t             count;
} ngx_mcp_user_record_t;


/* a session, or what is left of it for the time of grace */

typedef struct {
    ngx_rbtree_node_t      node;         /* in zone->records while listed */
    u_char                 key[NGX_MCP_DIGEST_LEN];
    u_char                 credential[NGX_MCP_DIGEST_LEN];
    ngx_mcp_worker_t      *owner;        /* NULL: a tombstone */
    ngx_mcp_user_record_t  *user;        /* NULL: does not count any more */
    ngx_queue_t            queue;        /* in owner->records or
                                            zone->tombstones */
    ngx_queue_t            ready;        /* in owner->ready if has_news */
    ngx_queue_t            users;        /* in user->records */
    ngx_queue_t            inbox;        /* of entries */
    ngx_atomic_t           bytes;        /* accepted and not started */
    ngx_atomic_t           pending;      /* accepted and not started */
    ngx_uint_t             messages;     /* ever accepted */
    ngx_msec_t             created;
    ngx_msec_t             active;       /* last message; a tomb: its end */
    ngx_uint_t             max_inbox;    /* copied: generations may differ */
    unsigned               listed:1;
    unsigned               has_news:1;
    unsigned               evicted:1;
    unsigned               replaced:1;
} ngx_mcp_session_record_t;


typedef struct ngx_mcp_inbox_chunk_s  ngx_mcp_inbox_chunk_t;

struct ngx_mcp_inbox_chunk_s {
    ngx_mcp_inbox_chunk_t        *next;
    size_t                        size;
};


/* a message on its way: always in exactly one of filling, inbox, taken */

typedef struct {
    ngx_queue_t                   queue;
    ngx_uint_t                    number;
    ngx_uint_t                    nmessages;
    uint64_t                      received;
    size_t                        size;
    ngx_mcp_inbox_chunk_t        *chunks;
    u_char                        key[NGX_MCP_DIGEST_LEN];
} ngx_mcp_inbox_entry_t;


/* the cache of look-ups */

typedef struct {
    ngx_rbtree_node_t      node;
    ngx_queue_t            queue;        /* in zone->good or zone->bad */
    u_char                 key[NGX_MCP_DIGEST_LEN];
    ngx_msec_t             when;
    ngx_uint_t             status;       /* 0: good, else 401 or 403 */
    size_t                 len;
    u_char                 text[1];      /* the principal or the challenge */
} ngx_mcp_auth_cache_entry_t;


typedef struct {
    ngx_uint_t             magic;
    u_char                 key[NGX_MCP_KEY_LEN];
    u_char                 instance[NGX_MCP_INSTANCE_LEN];

    ngx_slab_pool_t       *pool;         /* all that comes and goes: made anew
                                            when it is damaged */
    ngx_mcp_worker_t      *worker_slots; /* all of them, free ones, too */

    ngx_atomic_t           lock_owner;   /* who is in a section, or 0 */
    ngx_uint_t             phase;

    ngx_rbtree_t           records;
    ngx_rbtree_node_t      records_sentinel;
    ngx_rbtree_t           users;
    ngx_rbtree_node_t      users_sentinel;
    ngx_queue_t            workers;
    ngx_queue_t            free_workers; /* made with the root: a full zone
                                            must not keep a worker out, and a
                                            damaged one keeps them */
    ngx_queue_t            tombstones;   /* oldest first */
    ngx_uint_t             nrecords;     /* tombs included */
    ngx_uint_t             ntombstones;

    ngx_uint_t             serial;       /* of entries */
    size_t                 inboxes;      /* bytes in all inboxes */

    ngx_rbtree_t           auth_entries;
    ngx_rbtree_node_t      auth_entries_sentinel;
    ngx_queue_t            good;         /* newest first */
    ngx_queue_t            bad;
    ngx_uint_t             ngood;
    ngx_uint_t             nbad;

    ngx_queue_t            announcements; /* announcements, oldest first */
    ngx_uint_t             nannouncements;
    size_t                 announcements_size; /* their bytes */
    ngx_uint_t             last_announcement; /* its number */

    ngx_rbtree_t           revoked;      /* ended session ids */
    ngx_rbtree_node_t      revoked_sentinel;
    ngx_rbtree_t           revoked_ends; /* the same by their natural end */
    ngx_rbtree_node_t      revoked_ends_sentinel;
    ngx_uint_t             nrevoked;

    /* unix seconds, for zone_once() */

    ngx_atomic_t           nomem_said;
    ngx_atomic_t           forged_said;
    ngx_atomic_t           redis_refused_said;
    ngx_atomic_t           redis_empty_said;
    ngx_atomic_t           redis_policy_said;
    ngx_atomic_t           redis_said_at;
    ngx_atomic_t           redis_said;   /* see redis_complain() */

    ngx_atomic_t           redis_doubt;  /* its data were lost, or may have
                                            been; on the clock of timers */
    ngx_atomic_t           redis_reached;

    ngx_mcp_counters_t     counters;
} ngx_mcp_zone_root_t;


/* what a process knows of the zone; one per cycle, shm_zone->data */

typedef struct {
    ngx_mcp_zone_root_t           *root;
    ngx_slab_pool_t               *shpool;
    size_t                         size;
    ngx_mcp_main_conf_t           *conf;
    ngx_array_t                   *secrets;  /* of ngx_str_t; the first signs */
} ngx_mcp_zone_t;


/*
 * In postconfiguration: adds the zone that mcf names.  One of the same name
 * and size keeps its content over a reload; of another size, its keys.
 * NGX_OK, or NGX_ERROR after a message.
 */

ngx_int_t ngx_mcp_zone_add(ngx_conf_t *cf, ngx_mcp_main_conf_t *mcf);

/*
 * The zone of the running cycle.
 */

ngx_mcp_zone_t *ngx_mcp_zone(void);

/*
 * Enters and leaves a section: the pool's mutex, and a mark by which the next
 * one notices that a worker has died in a section.  Then, and until the zone
 * is READY again, ngx_mcp_recovery_locked() runs before zone_lock() returns:
 * whoever keeps a pointer into the heap over
 * zone_lock() must look whether it still has it.
 */

void ngx_mcp_zone_lock(ngx_mcp_zone_t *zone);
void ngx_mcp_zone_unlock(ngx_mcp_zone_t *zone);

/*
 * Under the mutex, of a worker that is found dead: it may have died while it
 * left a section, with a waiter counted off and not woken.  zone_unlock()
 * wakes one more.
 */

void ngx_mcp_zone_worker_died_locked(ngx_mcp_zone_t *zone);

/*
 * Under the mutex: memory in the heap, or NULL if it is full or damaged;
 * zeroed; free.
 */

void *ngx_mcp_zone_alloc_locked(ngx_mcp_zone_t *zone, size_t size);
void *ngx_mcp_zone_calloc_locked(ngx_mcp_zone_t *zone, size_t size);
void ngx_mcp_zone_free_locked(ngx_mcp_zone_t *zone, void *p);

/*
 * Under the mutex: forgets all that is in the heap, and who is free and who
 * works; makes the heap anew.
 */

void ngx_mcp_zone_reset_locked(ngx_mcp_zone_root_t *root);
void ngx_mcp_zone_pool_locked(ngx_mcp_zone_t *zone);

/*
 * Finds a record, user or verdict by its digest in one of the zone's trees,
 * all of whose nodes are followed by their key at "offset" from the node;
 * NULL if there is none.  Insert with ngx_mcp_zone_insert(), which
 * sets the node's key.  Both under the mutex.
 */

ngx_rbtree_node_t *ngx_mcp_zone_find(ngx_rbtree_t *tree, u_char *digest,
    size_t offset);
void ngx_mcp_zone_insert(ngx_rbtree_t *tree, ngx_rbtree_node_t *node,
    u_char *digest);

/*
 * Whether something is to be said now, that no worker has said for "sec"
 * seconds; "last" is in the root of the zone.
 */

ngx_uint_t ngx_mcp_zone_log_once(ngx_atomic_t *last, time_t sec);

/*
 * Says once in 10 seconds that the zone is full.
 */

void ngx_mcp_zone_nomem(ngx_mcp_zone_t *zone, ngx_log_t *log);


#endif /* _NGX_MCP_ZONE_H_INCLUDED_ */
