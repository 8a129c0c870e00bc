
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The shared memory zone: layout, lock, allocation.
 *
 * Workers find each other, each other's sessions and the messages for them in
 * the zone.  All of it is reached from the root.  The root is written under
 * the mutex of the zone only, except for the members of type ngx_atomic_t.
 */

#ifndef _NGX_MCP_ZONE_H_INCLUDED_
#define _NGX_MCP_ZONE_H_INCLUDED_


#include "ngx_mcp.h"
#include "ngx_mcp_backend.h"
#include "ngx_mcp_counters.h"
#include "ngx_mcp_tree.h"


/*
 * "MCP" and a number, raised with each change of the layout: a reload with a
 * module of another layout is refused.
 */

#define NGX_MCP_ZONE_MAGIC  0x4d435042

/*
 * The progress of recovery after a worker died while it held the mutex.  Each
 * worker has a phase; the phase of the zone is the least of them.  See
 * ngx_mcp_recovery.c.
 */

typedef enum {
    NGX_MCP_ZONE_DIRTY = 0,            /* may point into the old pool */
    NGX_MCP_ZONE_RESET,                /* has no pointers into the pool */
    NGX_MCP_ZONE_READY                 /* has registered its sessions */
} ngx_mcp_zone_state_e;


/*
 * The record of a worker, which the worker fills in init_process.  "id" is
 * random and drawn after fork(): pids and process slots are used again.
 */

typedef struct {
    ngx_queue_t            queue;        /* in zone->workers or
                                            zone->free_workers */
    u_char                 id[NGX_MCP_WORKER_ID_LEN];
    ngx_pid_t              pid;          /* 0: free */
    ngx_int_t              slot;
    ngx_uint_t             phase;
    ngx_msec_t             wake_at;      /* time of the last datagram; 0: none
                                            since the worker last drained */
    ngx_queue_t            records;      /* of its sessions */
    ngx_queue_t            ready;        /* records with a message, or of
                                            sessions that must end */
    ngx_queue_t            taken;        /* entries it copies out */
    ngx_queue_t            filling;      /* entries it copies in */
    ngx_queue_t            leftovers;    /* of its tasks */
    ngx_queue_t            in_flight;    /* ids of requests it runs */

    /* see ngx_mcp_places.c */

    ngx_queue_t            place_entries;
    ngx_queue_t            place_grants; /* entries with "granted" */
    ngx_uint_t             places;       /* of its calls at Frappe */
    ngx_uint_t             calls_granted; /* places it has not taken yet */
    ngx_uint_t             calls_waiting; /* for a place, with these */

    ngx_uint_t             posted;       /* messages in inboxes of its
                                            sessions */

    /* gauges, for /metrics and /health */

    ngx_atomic_t           streams;
    ngx_atomic_t           pending;      /* messages taken, not started */
    ngx_atomic_t           held;         /* pending POSTs */
    ngx_atomic_t           calls;        /* calls that run */
    ngx_atomic_t           lookups;      /* look-ups that run */
    ngx_atomic_t           lookups_waiting; /* that wait for a place */
    ngx_atomic_t           lookup_at;    /* the last start; ngx_current_msec */
    ngx_atomic_t           lookup_tried_at; /* the last try for a place */
    ngx_atomic_t           redis;        /* NGX_MCP_REDIS_*, or 0 */
    ngx_atomic_t           events;       /* the same of mcp_sse_events */

    ngx_uint_t             announcement_read; /* number of the last one read */

    unsigned               no_socket:1;  /* it polls: no datagram wakes it */
    unsigned               late:1;       /* has not taken a place in time */
} ngx_mcp_worker_t;


/* the sessions of a user of a site; freed with the last record of them */

typedef struct {
    ngx_rbtree_node_t      node;
    u_char                 key[NGX_MCP_DIGEST_LEN];
    ngx_queue_t            records;
    ngx_uint_t             count;        /* of records */
    ngx_queue_t            tombstones;   /* oldest first */
    ngx_uint_t             ntombstones;
} ngx_mcp_user_record_t;


/*
 * A newer credential of the user of a session, on its way to the owner of the
 * session; its digest is in the record.
 */

typedef struct {
    size_t                 len;
    ngx_uint_t             cookie;
    u_char                 value[1];
} ngx_mcp_renewed_credential_t;


/*
 * The record of a session, or of each stream of a session of Streamable HTTP.
 * A legacy session whose stream was lost leaves it as a tombstone, without an
 * owner, for the time of mcp_sse_grace.
 */

typedef struct {
    ngx_rbtree_node_t      node;         /* in zone->records, if listed */
    u_char                 key[NGX_MCP_DIGEST_LEN];
    u_char                 credential[NGX_MCP_DIGEST_LEN]; /* the newest */
    u_char                 former[NGX_MCP_DIGEST_LEN]; /* the one before */
    ngx_mcp_renewed_credential_t  *renewed; /* NULL: the owner has it */
    ngx_mcp_worker_t      *owner;        /* NULL: a tombstone */
    ngx_mcp_user_record_t  *user;        /* NULL: not counted for its user */
    ngx_queue_t            queue;        /* in owner->records or
                                            zone->tombstones */
    ngx_queue_t            ready;        /* in owner->ready, if queued */
    ngx_queue_t            user_queue;   /* in user->records or
                                            user->tombstones */
    ngx_queue_t            inbox;        /* of entries */
    ngx_atomic_t           bytes;        /* of messages accepted, not started */
    ngx_atomic_t           pending;      /* messages accepted, not started */
    ngx_uint_t             messages;     /* accepted so far */
    ngx_msec_t             created;
    ngx_msec_t             active;       /* time of the last message; of a
                                            tombstone: when it expires */
    ngx_uint_t             max_inbox;    /* of its owner's cycle */
    ngx_uint_t             tombstone;    /* its number, if it is one */
    ngx_uint_t             replaces;     /* records of its key that are replaced
                                            and whose owners have not left */
    unsigned               listed:1;     /* found by its key */
    unsigned               queued:1;
    unsigned               evicted:1;    /* must end for a new session */
    unsigned               replaced:1;   /* its id has a newer stream */
    unsigned               streamable:1; /* of Streamable HTTP */
    unsigned               leaving:1;    /* takes no messages any more */
    unsigned               changed:3;    /* of a tombstone, see
                                            ngx_mcp_tombstones_changed() */
    unsigned               asks:8;       /* what its client may be asked:
                                            NGX_MCP_CLIENT_*; 0: nothing, or it
                                            is not known */
} ngx_mcp_session_record_t;


/*
 * A request that a session has left behind with its stream, see
 * ngx_mcp_leftovers.c.
 */

typedef struct {
    ngx_rbtree_node_t      node;         /* in zone->leftovers */
    u_char                 key[NGX_MCP_DIGEST_LEN]; /* of the session */
    ngx_mcp_worker_t      *owner;        /* NULL: the zone */
    ngx_queue_t            queue;        /* in owner->leftovers or
                                            zone->leftovers_left */
    ngx_msec_t             expires;      /* if it is not answered by then */
    unsigned               unanswered:1; /* a new stream answers it */
    unsigned               open:1;       /* its task waits or runs */
    size_t                 len;
    u_char                 id[1];        /* raw */
} ngx_mcp_leftover_t;


typedef struct ngx_mcp_inbox_chunk_s  ngx_mcp_inbox_chunk_t;

struct ngx_mcp_inbox_chunk_s {
    ngx_mcp_inbox_chunk_t        *next;
    size_t                        size;
};


/*
 * An envelope on its way to the owner of its session.  It is in exactly one
 * list at any time: "filling" of the sender, an inbox, "taken" of the owner.
 */

typedef struct {
    ngx_queue_t                   queue;
    ngx_uint_t                    number;      /* of zone->last_entry */
    ngx_uint_t                    nmessages;
    uint64_t                      received;    /* ngx_mcp_count_clock() */
    size_t                        size;        /* bytes in chunks */
    ngx_mcp_inbox_chunk_t        *chunks;
    u_char                        key[NGX_MCP_DIGEST_LEN]; /* of the session */
} ngx_mcp_inbox_entry_t;


/* the id of a request of Streamable HTTP: see ngx_mcp_in_flight.c */

typedef struct {
    ngx_rbtree_node_t      node;
    u_char                 key[NGX_MCP_DIGEST_LEN]; /* of session and id */
    ngx_queue_t            queue;        /* in worker->in_flight */
} ngx_mcp_in_flight_record_t;


/* the calls of a user of a site at Frappe: see ngx_mcp_places.c */

typedef struct {
    ngx_rbtree_node_t      node;         /* in zone->place_users */
    u_char                 key[NGX_MCP_DIGEST_LEN];
    ngx_queue_t            ring;         /* in zone->place_ring, if calls
                                            wait */
    ngx_queue_t            entries;      /* of its workers, the next first */
    ngx_uint_t             waiting;      /* without a place */
    ngx_uint_t             running;      /* with one, granted ones too */
} ngx_mcp_place_user_record_t;


/* those of a worker */

typedef struct {
    ngx_queue_t            queue;        /* in user->entries */
    ngx_queue_t            owned;        /* in worker->place_entries */
    ngx_queue_t            grants;       /* in worker->place_grants, if
                                            granted */
    ngx_mcp_place_user_record_t  *user;
    ngx_mcp_worker_t      *worker;
    void                  *local;        /* in the memory of the worker */
    ngx_uint_t             waiting;
    ngx_uint_t             granted;      /* not taken yet */
    ngx_uint_t             running;
    ngx_msec_t             granted_at;   /* the first one of these */
} ngx_mcp_place_entry_t;


/* an entry of the cache of look-ups: see auth/ngx_mcp_auth_cache.c */

typedef struct {
    ngx_rbtree_node_t      node;
    ngx_queue_t            queue;        /* in zone->good or zone->bad */
    u_char                 key[NGX_MCP_DIGEST_LEN];
    ngx_msec_t             when;         /* Frappe answered */
    ngx_uint_t             status;       /* 0: good, else 401 or 403 */
    size_t                 len;
    unsigned               doubted:1;    /* a call was answered 401 */
    unsigned               confirmed:1;  /* good again after that */
    u_char                 text[1];      /* the principal or the challenge */
} ngx_mcp_auth_cache_entry_t;


/* what a backend has told of itself: see ngx_mcp_discovered.c */

typedef struct {
    ngx_rbtree_node_t      node;
    ngx_queue_t            queue;        /* in zone->discovered */
    u_char                 key[NGX_MCP_DIGEST_LEN];
    ngx_msec_t             expires;      /* it is fresh until then */
    size_t                 len;
    unsigned               modern:1;
    unsigned               has_version:1;
    u_char                 version[10];  /* YYYY-MM-DD */
    u_char                 text[1];
} ngx_mcp_discovered_entry_t;


/* what the log has last said of a Redis: see ngx_mcp_redis_log.c */

typedef struct {
    ngx_atomic_t           state;
    ngx_atomic_t           state_at;     /* unix seconds */
    ngx_atomic_t           reason;
    ngx_atomic_t           master;
    ngx_atomic_t           refused_at;   /* unix seconds */
} ngx_mcp_redis_logged_t;


typedef struct {
    ngx_uint_t             magic;
    u_char                 key[NGX_MCP_KEY_LEN];
    u_char                 instance[NGX_MCP_INSTANCE_LEN];

    ngx_slab_pool_t       *pool;         /* the inner pool: all that is freed
                                            during the life of the zone */
    ngx_mcp_worker_t      *worker_slots; /* nworker_slots records */
    ngx_uint_t             nworker_slots;

    ngx_atomic_t           lock_owner;   /* pid, or 0 */
    ngx_uint_t             phase;        /* ngx_mcp_zone_state_e */
    ngx_msec_t             recovery_at;  /* its last begin */

    ngx_rbtree_t           records;
    ngx_rbtree_node_t      records_sentinel;
    ngx_rbtree_t           users;
    ngx_rbtree_node_t      users_sentinel;
    ngx_queue_t            workers;
    ngx_queue_t            free_workers; /* outside of the inner pool: a full
                                            zone does not keep a worker out,
                                            and recovery keeps the records */
    ngx_queue_t            tombstones;   /* oldest first */
    ngx_uint_t             nrecords;     /* including tombstones */
    ngx_uint_t             ntombstones;
    ngx_uint_t             last_tombstone; /* number of the last one */

    ngx_rbtree_t           leftovers;    /* by key of the session */
    ngx_rbtree_node_t      leftovers_sentinel;
    ngx_queue_t            leftovers_left; /* of workers that have gone */
    size_t                 leftovers_size; /* bytes of all */

    ngx_uint_t             last_entry;   /* number of the last inbox entry */
    size_t                 inbox_bytes;  /* bytes of all entries */

    ngx_rbtree_t           in_flight;    /* requests of Streamable HTTP */
    ngx_rbtree_node_t      in_flight_sentinel;
    ngx_uint_t             nin_flight;

    ngx_uint_t             backend_calls; /* of the newest cycle; 0: off */
    ngx_uint_t             backend_calls_per_user;
    ngx_rbtree_t           place_users;
    ngx_rbtree_node_t      place_users_sentinel;
    ngx_queue_t            place_ring;   /* users with calls that wait, the
                                            next one first */

    ngx_rbtree_t           auth_entries;
    ngx_rbtree_node_t      auth_entries_sentinel;
    ngx_queue_t            good;         /* newest first */
    ngx_queue_t            bad;
    ngx_uint_t             ngood;
    ngx_uint_t             nbad;

    ngx_rbtree_t           discovered_entries;
    ngx_rbtree_node_t      discovered_sentinel;
    ngx_queue_t            discovered;   /* used last first */
    size_t                 discovered_size; /* bytes of all */

    ngx_queue_t            announcements; /* oldest first */
    ngx_uint_t             nannouncements;
    size_t                 announcements_size; /* bytes */
    ngx_uint_t             last_announcement; /* number of the last one */

    ngx_rbtree_t           revoked;      /* ended session ids, by key */
    ngx_rbtree_node_t      revoked_sentinel;
    ngx_rbtree_t           revoked_ends; /* the same, by expiry */
    ngx_rbtree_node_t      revoked_ends_sentinel;
    ngx_uint_t             nrevoked;
    ngx_rbtree_t           revoked_users; /* of these, by key */
    ngx_rbtree_node_t      revoked_users_sentinel;
    ngx_rbtree_t           revoked_shares; /* the same, by number of ids */
    ngx_rbtree_node_t      revoked_shares_sentinel;
    ngx_uint_t             nrevoked_users;

    ngx_rbtree_t           subscriptions; /* by key of the session */
    ngx_rbtree_node_t      subscriptions_sentinel;
    ngx_rbtree_t           subscriptions_ends; /* the same, by expiry */
    ngx_rbtree_node_t      subscriptions_ends_sentinel;
    ngx_rbtree_t           subscriptions_users; /* of these, by key */
    ngx_rbtree_node_t      subscriptions_users_sentinel;
    ngx_queue_t            subscriptions_used; /* used last first */
    size_t                 subscriptions_size; /* bytes of all */

    /* unix seconds, for ngx_mcp_zone_log_once() */

    ngx_atomic_t           nomem_logged_at;
    ngx_atomic_t           revoked_logged_at;
    ngx_atomic_t           forged_logged_at;
    ngx_atomic_t           redis_empty_logged_at;
    ngx_atomic_t           redis_policy_logged_at;

    ngx_atomic_t           events_site_logged_at;
    ngx_atomic_t           events_dropped_logged_at;

    ngx_mcp_redis_logged_t  redis_logged;
    ngx_mcp_redis_logged_t  events_logged;

    ngx_atomic_t           redis_maybe_lost_at; /* when Redis may have lost its
                                                   data; ngx_current_msec */
    ngx_atomic_t           redis_reached;       /* 1: Redis was up once */

    ngx_mcp_backend_t      backend[NGX_MCP_BACKEND_KINDS];

    ngx_mcp_counters_t     counters;
} ngx_mcp_zone_root_t;


/* the zone of a cycle, as a process maps it: shm_zone->data */

typedef struct {
    ngx_mcp_zone_root_t           *root;
    ngx_slab_pool_t               *shpool;
    size_t                         size;
    ngx_mcp_main_conf_t           *conf;
    ngx_core_conf_t               *core_conf;
    ngx_array_t                   *secrets;  /* of ngx_str_t: all verify,
                                                the first one signs */
} ngx_mcp_zone_t;


/*
 * Returns the zone of the running cycle.  The caller runs in a cycle that has
 * an endpoint of the module, which implies a zone.
 */

ngx_mcp_zone_t *ngx_mcp_zone(void);

/*
 * Lock and unlock the mutex of the zone.  If its holder has died, and nobody
 * else unlocks it, ngx_mcp_zone_lock() does so after a second.  It notes the
 * pid of this worker, by which the next worker finds out that the holder has
 * died.  From then on, until the zone is READY again, ngx_mcp_recovery_locked()
 * runs inside ngx_mcp_zone_lock(): a pointer into the inner pool that is kept
 * over ngx_mcp_zone_lock() may be gone, and the caller must check for it.
 */

void ngx_mcp_zone_lock(ngx_mcp_zone_t *zone);
void ngx_mcp_zone_unlock(ngx_mcp_zone_t *zone);

/*
 * Allocate, allocate zeroed, and free memory of the inner pool.  The first two
 * return NULL if the pool is full or the zone is DIRTY.
 */

void *ngx_mcp_zone_alloc_locked(ngx_mcp_zone_t *zone, size_t size);
void *ngx_mcp_zone_calloc_locked(ngx_mcp_zone_t *zone, size_t size);
void ngx_mcp_zone_free_locked(ngx_mcp_zone_t *zone, void *p);

/*
 * The first empties all trees and lists of the root, including those of the
 * workers; the second initializes the inner pool.
 */

void ngx_mcp_zone_reset_locked(ngx_mcp_zone_root_t *root);
void ngx_mcp_zone_pool_locked(ngx_mcp_zone_t *zone);

/*
 * Limits the rate of a log message over all workers: returns 1 at most once
 * in "sec" seconds.  "last" is a member of the root.
 */

ngx_uint_t ngx_mcp_zone_log_once(ngx_atomic_t *last, time_t sec);

/*
 * Logs, at most once in 10 seconds, that the zone is full, and of what.
 * Called without the mutex.
 */

void ngx_mcp_zone_nomem(ngx_mcp_zone_t *zone, ngx_log_t *log);


#endif /* _NGX_MCP_ZONE_H_INCLUDED_ */
