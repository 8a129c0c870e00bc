
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Places of calls at Frappe: all workers together run mcp_sse_backend_calls.
 *
 * DESIGN.  The record of a worker has the number of its places.  It is outside
 * of the inner pool: the sum over all workers is right while the zone is in
 * recovery, and what a dead worker had is free with its record.
 *
 * The inner pool has a record of each user with calls, and an entry for each of
 * its workers: how many calls wait there, how many were granted a place that
 * the worker has not taken yet, how many run.  Users with waiting calls are in
 * a ring, and so are the entries of a user.  A place that gets free is granted
 * to the next user that has less than its maximum, at its next worker, which is
 * woken.  All free places are granted at once: while calls wait that could run,
 * there is none.
 *
 * A worker that does not take what it was granted is passed over until it moves
 * again.  A user for whom the zone has no entry takes free places without
 * turns, by a timer; the number of places holds for it, too.
 *
 * Users of this worker are freed with their last call; entries and records of
 * the zone with their last count.
 */

#include "ngx_mcp_places.h"
#include "ngx_mcp_places_grant.h"
#include "ngx_mcp_wakeup.h"
#include "ngx_mcp_workers.h"
#include "ngx_mcp_workers_dead.h"


/* a user without an entry looks for places; 20 is the timer's precision */

#define NGX_MCP_PLACES_AGAIN_MS  20


static ngx_uint_t ngx_mcp_places_take_locked(ngx_mcp_zone_t *zone,
    ngx_mcp_place_user_t *user);
static ngx_mcp_place_user_t *ngx_mcp_places_claim_locked(ngx_mcp_zone_t *zone);
static ngx_mcp_place_user_t *ngx_mcp_places_unlisted_locked(
    ngx_mcp_zone_t *zone);
static void ngx_mcp_places_grant(ngx_mcp_zone_t *zone);
static void ngx_mcp_places_unlock(ngx_mcp_zone_t *zone);
static void ngx_mcp_places_again(void *data);
static void ngx_mcp_places_event(ngx_event_t *ev);
static void ngx_mcp_places_post(void);
static void ngx_mcp_places_done(ngx_mcp_place_user_t *user);


static ngx_queue_t  ngx_mcp_places_users = {
    &ngx_mcp_places_users, &ngx_mcp_places_users
};

static void             (*ngx_mcp_places_granted)(void);
static ngx_event_t        ngx_mcp_places_granted_event;
static ngx_mcp_timer_t    ngx_mcp_places_timer;
static ngx_uint_t         ngx_mcp_places_unlisted; /* a user has no entry */
static ngx_uint_t         ngx_mcp_places_wakes;    /* others must be woken */


void
ngx_mcp_places_init(void (*granted)(void))
{
    ngx_mcp_places_granted = granted;

    ngx_mcp_places_timer.handler = ngx_mcp_places_again;

    ngx_mcp_places_granted_event.handler = ngx_mcp_places_event;
    ngx_mcp_places_granted_event.log = ngx_cycle->log;
}


ngx_uint_t
ngx_mcp_places_used(void)
{
    return ngx_mcp_places_granted != NULL;
}


ngx_mcp_place_user_t *
ngx_mcp_places_user(u_char *key)
{
    ngx_queue_t           *q;
    ngx_mcp_place_user_t  *user;

    for (q = ngx_queue_head(&ngx_mcp_places_users);
         q != ngx_queue_sentinel(&ngx_mcp_places_users);
         q = ngx_queue_next(q))
    {
        user = ngx_queue_data(q, ngx_mcp_place_user_t, queue);

        if (ngx_memcmp(user->key, key, NGX_MCP_DIGEST_LEN) == 0) {
            return user;
        }
    }

    user = ngx_calloc(sizeof(ngx_mcp_place_user_t), ngx_cycle->log);
    if (user == NULL) {
        return NULL;
    }

    ngx_memcpy(user->key, key, NGX_MCP_DIGEST_LEN);
    ngx_queue_init(&user->calls);
    ngx_queue_insert_tail(&ngx_mcp_places_users, &user->queue);

    return user;
}


ngx_uint_t
ngx_mcp_places_take(ngx_mcp_place_user_t *user)
{
    ngx_uint_t       taken;
    ngx_mcp_zone_t  *zone;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    taken = ngx_mcp_places_take_locked(zone, user);

    ngx_mcp_places_unlock(zone);

    return taken;
}


static ngx_uint_t
ngx_mcp_places_take_locked(ngx_mcp_zone_t *zone, ngx_mcp_place_user_t *user)
{
    ngx_mcp_worker_t  *self;

    self = ngx_mcp_workers_self();
    self->late = 0;

    if (user->entry == NULL) {
        user->entry = ngx_mcp_places_entry_locked(zone, user);
        ngx_mcp_places_unlisted |= (user->entry == NULL);
    }

    if (user->waiting == 0
        && ngx_mcp_places_free_locked(zone)
        && (user->entry == NULL
            || ngx_mcp_places_may_run_locked(zone, user->entry->user)))
    {
        user->running++;
        self->places++;

        if (user->entry) {
            user->entry->running++;
            user->entry->user->running++;
        }

        return 1;
    }

    user->waiting++;
    self->calls_waiting++;

    if (user->entry) {
        ngx_mcp_places_wait_locked(zone, user->entry, 1);
    }

    return 0;
}


ngx_mcp_place_user_t *
ngx_mcp_places_claim(void)
{
    ngx_mcp_zone_t        *zone;
    ngx_mcp_place_user_t  *user;

    if (ngx_mcp_workers_self() == NULL) {
        return NULL;
    }

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    user = ngx_mcp_places_claim_locked(zone);

    ngx_mcp_places_unlock(zone);

    return user;
}


static ngx_mcp_place_user_t *
ngx_mcp_places_claim_locked(ngx_mcp_zone_t *zone)
{
    ngx_queue_t            *q;
    ngx_mcp_worker_t       *self;
    ngx_mcp_place_user_t   *user;
    ngx_mcp_place_entry_t  *entry;

    self = ngx_mcp_workers_self();
    self->late = 0;

    ngx_mcp_places_restore_locked(zone);
    ngx_mcp_places_grant(zone);

    if (!ngx_queue_empty(&self->place_grants)) {
        q = ngx_queue_head(&self->place_grants);
        entry = ngx_queue_data(q, ngx_mcp_place_entry_t, grants);

        user = entry->local;
        ngx_mcp_places_accept_locked(entry);

    } else {
        user = ngx_mcp_places_unlisted_locked(zone);
    }

    if (user) {
        user->waiting--;
        user->running++;
        self->calls_waiting--;
        self->places++;
    }

    return user;
}


/*
 * Returns a user without an entry of which a call may run, or NULL.
 */

static ngx_mcp_place_user_t *
ngx_mcp_places_unlisted_locked(ngx_mcp_zone_t *zone)
{
    ngx_queue_t           *q;
    ngx_mcp_place_user_t  *user;

    if (!ngx_mcp_places_unlisted || !ngx_mcp_places_free_locked(zone)) {
        return NULL;
    }

    for (q = ngx_queue_head(&ngx_mcp_places_users);
         q != ngx_queue_sentinel(&ngx_mcp_places_users);
         q = ngx_queue_next(q))
    {
        user = ngx_queue_data(q, ngx_mcp_place_user_t, queue);

        if (user->entry == NULL && user->waiting) {
            ngx_queue_remove(&user->queue);
            ngx_queue_insert_tail(&ngx_mcp_places_users, &user->queue);

            return user;
        }
    }

    return NULL;
}


void
ngx_mcp_places_leave(ngx_mcp_place_user_t *user)
{
    ngx_mcp_zone_t    *zone;
    ngx_mcp_worker_t  *self;

    user->waiting--;

    self = ngx_mcp_workers_self();

    if (self) {
        zone = ngx_mcp_zone();

        ngx_mcp_zone_lock(zone);

        self->calls_waiting--;

        if (user->entry) {
            user->entry = ngx_mcp_places_left_locked(zone, user->entry);
        }

        ngx_mcp_places_grant(zone);

        ngx_mcp_places_unlock(zone);
    }

    ngx_mcp_places_done(user);
}


void
ngx_mcp_places_release(ngx_mcp_place_user_t *user)
{
    ngx_mcp_zone_t    *zone;
    ngx_mcp_worker_t  *self;

    user->running--;

    self = ngx_mcp_workers_self();

    if (self) {
        zone = ngx_mcp_zone();

        ngx_mcp_zone_lock(zone);

        self->late = 0;
        self->places--;

        if (user->entry) {
            user->entry->running--;
            user->entry->user->running--;
            user->entry = ngx_mcp_places_ended_locked(zone, user->entry);
        }

        ngx_mcp_places_grant(zone);

        ngx_mcp_places_unlock(zone);
    }

    ngx_mcp_places_done(user);
}


static void
ngx_mcp_places_done(ngx_mcp_place_user_t *user)
{
    if (user->waiting == 0 && user->running == 0) {
        ngx_queue_remove(&user->queue);
        ngx_free(user);
    }
}


static void
ngx_mcp_places_grant(ngx_mcp_zone_t *zone)
{
    ngx_mcp_places_wakes |= ngx_mcp_places_grant_locked(zone);
}


/*
 * Unlocks the mutex and wakes those to whom something was granted.
 */

static void
ngx_mcp_places_unlock(ngx_mcp_zone_t *zone)
{
    if ((ngx_mcp_places_unlisted || zone->root->phase != NGX_MCP_ZONE_READY)
        && ngx_mcp_workers_self()->calls_waiting
        && !ngx_mcp_places_timer.set)
    {
        ngx_mcp_timer_set(&ngx_mcp_places_timer, NGX_MCP_PLACES_AGAIN_MS);
    }

    ngx_mcp_zone_unlock(zone);

    ngx_mcp_places_wake(zone);
}


void
ngx_mcp_places_wake(ngx_mcp_zone_t *zone)
{
    u_char             *id, dead[NGX_MCP_WORKER_ID_LEN];
    ngx_uint_t          n, found;
    ngx_mcp_worker_t   *self;

    while (ngx_mcp_places_wakes) {
        ngx_mcp_places_wakes = 0;
        found = 0;

        ngx_mcp_zone_lock(zone);
        id = ngx_mcp_workers_wake_granted_locked(zone, &n);
        ngx_mcp_zone_unlock(zone);

        for ( /* void */ ; n; n--, id += NGX_MCP_WORKER_ID_LEN) {

            if (ngx_mcp_wakeup_send(id, ngx_cycle->log) == NGX_DECLINED) {
                ngx_memcpy(dead, id, NGX_MCP_WORKER_ID_LEN);
                found = 1;
            }
        }

        self = ngx_mcp_workers_self();

        if (self && self->calls_granted) {
            ngx_mcp_places_post();
        }

        if (found) {
            ngx_mcp_zone_lock(zone);
            ngx_mcp_workers_dead_locked(zone, dead);
            ngx_mcp_zone_unlock(zone);
        }
    }
}


void
ngx_mcp_places_woken(void)
{
    ngx_mcp_worker_t  *self;

    self = ngx_mcp_workers_self();

    if (self && self->calls_granted) {
        ngx_mcp_places_post();
    }
}


static void
ngx_mcp_places_post(void)
{
    if (ngx_mcp_places_granted) {
        ngx_post_event(&ngx_mcp_places_granted_event, &ngx_posted_events);
    }
}


static void
ngx_mcp_places_event(ngx_event_t *ev)
{
    ngx_mcp_places_wake(ngx_mcp_zone());

    ngx_mcp_places_granted();
}


static void
ngx_mcp_places_again(void *data)
{
    ngx_mcp_places_granted();
}


void
ngx_mcp_places_check(ngx_mcp_zone_t *zone)
{
    ngx_mcp_worker_t  *self;

    self = ngx_mcp_workers_self();

    /* places of workers of an older cycle may still be granted */

    if (zone->root->backend_calls == 0
        && ngx_queue_empty(&zone->root->place_ring))
    {
        return;
    }

    ngx_mcp_zone_lock(zone);

    self->late = 0;

    ngx_mcp_places_withdraw_locked(zone);
    ngx_mcp_places_grant(zone);

    ngx_mcp_places_unlock(zone);
}


void
ngx_mcp_places_join_locked(ngx_mcp_zone_t *zone, ngx_mcp_worker_t *worker)
{
    ngx_queue_init(&worker->place_entries);
    ngx_queue_init(&worker->place_grants);

    /* the newest cycle says how many calls all workers run */

    if (!ngx_exiting) {
        zone->root->backend_calls = zone->conf->backend_calls;
        zone->root->backend_calls_per_user =
                                        zone->conf->backend_calls_per_user;
    }
}


void
ngx_mcp_places_drop_locked(ngx_mcp_zone_t *zone, ngx_mcp_worker_t *worker)
{
    if (worker->places == 0 && ngx_queue_empty(&worker->place_entries)) {
        return;
    }

    ngx_mcp_places_remove_locked(zone, worker);

    worker->places = 0;
    worker->calls_waiting = 0;

    ngx_mcp_places_grant(zone);

    /* the caller has locked the mutex: others are woken by the event */

    ngx_mcp_places_post();
}


void
ngx_mcp_places_reset_locked(ngx_mcp_worker_t *worker)
{
    ngx_queue_init(&worker->place_entries);
    ngx_queue_init(&worker->place_grants);

    worker->calls_granted = 0;
}


void
ngx_mcp_places_forget_locked(void)
{
    ngx_queue_t           *q;
    ngx_mcp_place_user_t  *user;

    for (q = ngx_queue_head(&ngx_mcp_places_users);
         q != ngx_queue_sentinel(&ngx_mcp_places_users);
         q = ngx_queue_next(q))
    {
        user = ngx_queue_data(q, ngx_mcp_place_user_t, queue);
        user->entry = NULL;

        ngx_mcp_places_unlisted = 1;
    }

    if (ngx_mcp_places_unlisted && !ngx_mcp_places_timer.set) {
        ngx_mcp_timer_set(&ngx_mcp_places_timer, NGX_MCP_PLACES_AGAIN_MS);
    }
}


void
ngx_mcp_places_restore_locked(ngx_mcp_zone_t *zone)
{
    ngx_queue_t           *q;
    ngx_mcp_place_user_t  *user;

    if (!ngx_mcp_places_unlisted) {
        return;
    }

    ngx_mcp_places_unlisted = 0;

    for (q = ngx_queue_head(&ngx_mcp_places_users);
         q != ngx_queue_sentinel(&ngx_mcp_places_users);
         q = ngx_queue_next(q))
    {
        user = ngx_queue_data(q, ngx_mcp_place_user_t, queue);

        if (user->entry == NULL) {
            user->entry = ngx_mcp_places_entry_locked(zone, user);
            ngx_mcp_places_unlisted |= (user->entry == NULL);
        }
    }
}
