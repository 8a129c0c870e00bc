
/*
 * The functions of src/shm by commands, for t/shm/ *.t (MCPTest::Unit): several
 * workers and one zone, without requests.
 *
 *     zone SIZE MAX_INBOX MAX_MESSAGE PROCESSES    ends all workers and makes
 *          [CALLS PER_USER]                        a zone
 *     start N | kill N                             a worker, N is 1 to 31
 *     time MS                                      the clock of all workers
 *     N COMMAND ...                                a command for a worker
 *
 * An answer has what happened meanwhile behind it: "w2": worker 2 was woken,
 * "+NAME:N:SIZE": a session has received messages, "-NAME:REASON": it has to
 * close, "a:KIND:KEY:LENGTH": an announcement, "USER>": a call of a user that
 * waited has got a place.
 *
 * Replaced are: the sockets of workers, the timers, the clocks, the mutex,
 * usleep(), sched_yield() and malloc(), which counts blocks and can refuse
 * large ones.
 */

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include "ngx_mcp_announce.h"
#include "ngx_mcp_discovered.h"
#include "ngx_mcp_in_flight.h"
#include "ngx_mcp_inbox.h"
#include "ngx_mcp_leftovers.h"
#include "ngx_mcp_lookups.h"
#include "ngx_mcp_places.h"
#include "ngx_mcp_recovery.h"
#include "ngx_mcp_registry.h"
#include "ngx_mcp_revocation.h"
#include "ngx_mcp_sessions.h"
#include "ngx_mcp_subscriptions.h"
#include "ngx_mcp_unregister.h"
#include "ngx_mcp_wakeup.h"
#include "ngx_mcp_workers.h"
#include "ngx_mcp_workers_dead.h"
#include "ngx_mcp_zone_conf.h"


#define MAX_WORKERS   32
#define MAX_SESSIONS  64
#define MAX_WORDS     24


typedef struct {
    ngx_msec_t             now;
    ngx_msec_t             slept;      /* by usleep(), of one lock */
    ngx_uint_t             yields;
    ngx_pid_t              holder;     /* locks at the next wake-up */
    ngx_msec_t             held;       /* when the holder unlocks; 0: never */
    u_char                 ids[MAX_WORKERS][NGX_MCP_WORKER_ID_LEN];
    int                    alive[MAX_WORKERS];
    int                    unsure[MAX_WORKERS];
} common_t;


typedef struct {
    char                   name[32];
    ngx_mcp_session_t      s;
    ngx_queue_t            envelopes;
} session_t;


typedef struct {
    FILE                  *to;
    FILE                  *from;
    pid_t                  pid;
} process_t;


void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);


static void freed(void *p);
static ngx_int_t other_init(void);
static const char *other_command(void);
static void announced(ngx_uint_t kind, u_char *key, u_char *data, size_t len);
static ngx_int_t registered(ngx_log_t *log);
static void happens(const char *fmt, ...);

ngx_module_t  ngx_http_mcp_sse_module;

static ngx_mcp_session_handlers_t  handlers;


static common_t               *common;
static process_t               processes[MAX_WORKERS];
static int                     self;
static long                    blocks;
static size_t                  refused_size;

static char                   *word[MAX_WORDS];
static int                     nwords;
static char                    happened[65536];
static char                    logged[65536];
static session_t               sessions[MAX_SESSIONS];
static ngx_uint_t              nsessions;
static ngx_queue_t             ids[MAX_SESSIONS];
static ngx_mcp_timer_t        *timers[64];
static ngx_msec_t              due[64];
static ngx_uint_t              ntimers;
static void                  **filled;
static ngx_uint_t              at_lock, at_lock_released;
static ngx_pid_t               at_lock_dead;

static ngx_log_t               log_;
static ngx_cycle_t             cycle;
static ngx_time_t              now_;
static ngx_pool_t             *pool;
static ngx_mcp_main_conf_t     main_conf;
static ngx_mcp_loc_conf_t      loc_conf;
static ngx_core_conf_t         core_conf;
static void                   *main_confs[1];
static ngx_http_conf_ctx_t     http_ctx;
static void                   *conf_ctx[2];


/*
 * Another program includes this one, and has commands of its own: it defines
 * these.
 */

#ifndef OTHER_COMMANDS

static void freed(void *p) { }
static const char *other_command(void) { return NULL; }


static void
granted(void)
{
    ngx_mcp_place_user_t  *user;

    while ((user = ngx_mcp_places_claim()) != NULL) {
        happens(" %.16s>", user->key);
    }
}


static ngx_int_t
other_init(void)
{
    ngx_mcp_sessions_init(&handlers);
    ngx_mcp_announce_init(announced);

    if (main_conf.backend_calls) {
        ngx_mcp_places_init(granted);
    }

    return ngx_mcp_workers_init(&cycle, registered);
}

#endif


/* what the functions of the module call */

static void *
counted(void *p)
{
    blocks += (p != NULL);

    return p;
}


void *
malloc(size_t size)
{
    return refused_size && size >= refused_size
           ? NULL : counted(__libc_malloc(size));
}


void *
calloc(size_t n, size_t size)
{
    return refused_size && n * size >= refused_size
           ? NULL : counted(__libc_calloc(n, size));
}


void *
realloc(void *p, size_t size)
{
    return p ? __libc_realloc(p, size) : counted(__libc_malloc(size));
}


int
posix_memalign(void **p, size_t alignment, size_t size)
{
    *p = counted(__libc_memalign(alignment, size));

    return *p ? 0 : ENOMEM;
}


void
free(void *p)
{
    blocks -= (p != NULL);
    freed(p);
    __libc_free(p);
}


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    ngx_msec_t  now;

    now = common ? common->now : 0;

    ts->tv_sec = now / 1000;
    ts->tv_nsec = now % 1000 * 1000000;

    return 0;
}


int
usleep(useconds_t us)
{
    ngx_mcp_zone_t  *zone;

    zone = main_conf.zone->data;

    common->slept += us / 1000;

    if (common->held && common->slept >= common->held) {
        common->held = 0;
        zone->root->lock_owner = 0;
        *zone->shpool->mutex.lock = 0;
    }

    if (common->slept > 100000) {
        abort();
    }

    return 0;
}


int
sched_yield(void)
{
    common->yields++;

    return 0;
}


/*
 * The mutex of the zone: nothing unlocks what it has not locked.  At the N-th
 * lock of this worker, counted down, something happens: a process has died in
 * the lock, or a worker has released the old pool.
 */

ngx_uint_t
ngx_shmtx_trylock(ngx_shmtx_t *mtx)
{
    ngx_queue_t          *q;
    ngx_mcp_worker_t     *worker;
    ngx_mcp_zone_root_t  *root;

    root = ((ngx_mcp_zone_t *) main_conf.zone->data)->root;

    if (at_lock && --at_lock == 0) {

        if (at_lock_dead) {
            root->lock_owner = at_lock_dead;
        }

        for (q = ngx_queue_head(&root->workers);
             !at_lock_dead && q != ngx_queue_sentinel(&root->workers);
             q = ngx_queue_next(q))
        {
            worker = ngx_queue_data(q, ngx_mcp_worker_t, queue);

            if (ngx_memcmp(worker->id, common->ids[at_lock_released],
                           NGX_MCP_WORKER_ID_LEN)
                == 0)
            {
                worker->phase = NGX_MCP_ZONE_RESET;
            }
        }
    }

    return *mtx->lock == 0 && ngx_atomic_cmp_set(mtx->lock, 0, ngx_pid);
}


void
ngx_shmtx_unlock(ngx_shmtx_t *mtx)
{
    if (!ngx_atomic_cmp_set(mtx->lock, ngx_pid, 0)) {
        happens(" was-not-locked");
    }
}


static void
happens(const char *fmt, ...)
{
    size_t   len;
    va_list  args;

    len = strlen(happened);

    va_start(args, fmt);
    vsnprintf(happened + len, sizeof(happened) - len, fmt, args);
    va_end(args);
}


static void
writer(ngx_log_t *log, ngx_uint_t level, u_char *buf, size_t len)
{
    size_t  used;

    used = strlen(logged);

    snprintf(logged + used, sizeof(logged) - used, "%.*s | ", (int) len - 1,
             (char *) buf);
}


void
ngx_mcp_timer_set(ngx_mcp_timer_t *timer, ngx_msec_t msec)
{
    ngx_mcp_timer_del(timer);

    timers[ntimers] = timer;
    due[ntimers++] = ngx_current_msec + msec;
    timer->set = 1;
}


void
ngx_mcp_timer_del(ngx_mcp_timer_t *timer)
{
    ngx_uint_t  i;

    for (i = 0; i < ntimers; i++) {
        if (timers[i] == timer) {
            timers[i] = timers[--ntimers];
            due[i] = due[ntimers];
            timer->set = 0;
        }
    }
}


ngx_int_t
ngx_mcp_wakeup_open(ngx_cycle_t *c, u_char *id, void (*handler)(void))
{
    if (nwords > 2) {
        return NGX_DECLINED;
    }

    ngx_memcpy(common->ids[self], id, NGX_MCP_WORKER_ID_LEN);
    common->alive[self] = 1;

    return NGX_OK;
}


void
ngx_mcp_wakeup_close(void)
{
    common->alive[self] = 0;
}


static int
worker_of(u_char *id)
{
    int  i;

    for (i = 1; i < MAX_WORKERS; i++) {
        if (ngx_memcmp(common->ids[i], id, NGX_MCP_WORKER_ID_LEN) == 0) {
            return i;
        }
    }

    return 0;
}


ngx_int_t
ngx_mcp_wakeup_send(u_char *id, ngx_log_t *log)
{
    int  i;

    i = worker_of(id);

    happens(" w%d", i);

    if (common->holder) {
        common->held = 16;
        common->slept = 0;
        *((ngx_mcp_zone_t *) main_conf.zone->data)->shpool->mutex.lock
            = common->holder;
        common->holder = 0;
    }

    return common->unsure[i] ? NGX_ERROR
           : common->alive[i] ? NGX_OK : NGX_DECLINED;
}


/* sessions */

static session_t *
named(const char *name)
{
    int  i;

    /* the last one of that name */

    for (i = MAX_SESSIONS - 1; i >= 0; i--) {
        if (strcmp(sessions[i].name, name) == 0) {
            return &sessions[i];
        }
    }

    fprintf(stderr, "no session \"%s\"\n", name);
    abort();
}


static u_char *
key_of(const char *name)
{
    static u_char  keys[8][NGX_MCP_DIGEST_LEN + 64];
    static int     n;
    u_char        *key;

    key = keys[n++ % 8];

    ngx_memzero(key, NGX_MCP_DIGEST_LEN);
    ngx_memcpy(key, name, ngx_min(strlen(name), NGX_MCP_DIGEST_LEN));

    return key;
}


static const char *
reason_of(ngx_uint_t reason)
{
    static const char  *reasons[] = { "left", "slow", "idle", "evicted",
        "replaced", "unauthorized", "expired", "stopping", "memory",
        "deleted" };

    return reasons[reason];
}


static void
receive(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env)
{
    size_t                      i;
    u_char                     *pos;
    session_t                  *o;
    ngx_mcp_jsonrpc_message_t   message;

    o = s->event.data;

    happens(" +%s:%d:%d", o->name, (int) env->nmessages, (int) env->size);

    if (env->lost) {
        pos = NULL;

        if (ngx_mcp_envelope_message(env, &pos, &message) == NGX_OK) {
            happens(":%.*s", (int) message.id.len, message.id.data);
        }

    } else if (env->size && env->data[0] != '\0') {
        for (i = 0; i < env->size; i++) {
            if (env->data[i] != (u_char) (1 + i % 251)) {
                happens(":damaged");
                break;
            }
        }
    }

    if (env->received != 77) {
        happens(":%d", (int) env->received);
    }

    ngx_queue_insert_tail(&o->envelopes, &env->queue);
}


static void
leave(session_t *o, ngx_msec_t grace, ngx_str_t *open, ngx_uint_t n)
{
    ngx_mcp_unregister(&o->s, grace, open, n);
    ngx_mcp_sessions_remove(&o->s);
}


static void
close_session(ngx_mcp_session_t *s, ngx_uint_t reason)
{
    session_t  *o;

    o = s->event.data;

    happens(" -%s:%s", o->name, reason_of(reason));

    ngx_mcp_unregister_begin(s);
    leave(o, 0, NULL, 0);
}


static ngx_mcp_session_handlers_t  handlers = { receive, close_session };


static void
announced(ngx_uint_t kind, u_char *key, u_char *data, size_t len)
{
    size_t  i;

    happens(" a:%d:%.16s:%d", (int) kind, key, (int) len);

    for (i = 0; i < len; i++) {
        if (data[i] != (u_char) (1 + i % 251)) {
            happens(":damaged");
            break;
        }
    }
}


static void
ended_id(u_char *key, u_char *user, time_t end)
{
    happens(" %.16s:%.16s:%d", key, user, (int) end);
}


static ngx_int_t
registered(ngx_log_t *log)
{
    happens(" registered");

    return NGX_OK;
}


/* commands */

static const char *
rc_name(ngx_int_t rc)
{
    return rc == NGX_OK ? "ok" : rc == NGX_ERROR ? "error"
           : rc == NGX_AGAIN ? "again" : rc == NGX_BUSY ? "busy"
           : rc == NGX_DONE ? "done" : rc == NGX_DECLINED ? "declined"
           : rc == NGX_ABORT ? "abort" : "?";
}


static const char *
delivery_name(ngx_mcp_delivery_e rc)
{
    static const char  *names[] = { "accepted", "no-session", "inbox-full",
        "zone-full", "error", "stream-lost" };

    return names[rc];
}


static size_t
number(int n)
{
    return n < nwords ? strtoul(word[n], NULL, 10) : 0;
}


static ngx_str_t
string(int n)
{
    ngx_str_t  s;

    s.data = (u_char *) (n < nwords ? word[n] : "");
    s.len = strlen((char *) s.data);

    return s;
}


static ngx_mcp_envelope_t *
envelope(ngx_uint_t n, size_t size)
{
    size_t               i;
    ngx_mcp_envelope_t  *env;

    env = ngx_mcp_envelope_alloc(size, n, &log_);

    for (i = 0; i < size; i++) {
        env->data[i] = (u_char) (1 + i % 251);
    }

    env->received = 77;

    return env;
}


/* an envelope of requests with these ids */

static ngx_mcp_envelope_t *
requests(int first, size_t len)
{
    int                         i;
    ngx_array_t                *headers, *messages;
    ngx_mcp_envelope_t         *env;
    ngx_mcp_jsonrpc_message_t  *m;

    headers = ngx_array_create(pool, 1, sizeof(ngx_keyval_t));
    messages = ngx_array_create(pool, 8, sizeof(ngx_mcp_jsonrpc_message_t));

    for (i = first; i < nwords; i++) {
        m = ngx_array_push(messages);
        ngx_memzero(m, sizeof(ngx_mcp_jsonrpc_message_t));

        m->type = NGX_MCP_JSONRPC_REQUEST;
        m->id = string(i);
        m->params.data = ngx_pcalloc(pool, len + 1);
        m->params.len = len;
    }

    env = ngx_mcp_envelope_make(headers, messages, &log_);
    env->received = 77;

    return env;
}


/* open NAME USER MAX [http|legacy [KEY]]; the key is NAME otherwise */

static const char *
command_open(void)
{
    ngx_int_t   rc;
    session_t  *o;

    o = &sessions[nsessions++ % MAX_SESSIONS];
    ngx_memzero(o, sizeof(session_t));
    snprintf(o->name, sizeof(o->name), "%s", word[2]);
    ngx_queue_init(&o->envelopes);

    ngx_memcpy(o->s.sid.key, key_of(nwords > 6 ? word[6] : word[2]),
               NGX_MCP_DIGEST_LEN);
    ngx_memcpy(o->s.sid.hash, "0123456789abcdef", NGX_MCP_HASH_LEN);
    ngx_memcpy(o->s.credential.digest, key_of("first"), NGX_MCP_DIGEST_LEN);
    ngx_memcpy(o->s.user_key, key_of(word[3]), NGX_MCP_DIGEST_LEN);

    o->s.conf = &loc_conf;
    o->s.created = ngx_current_msec;
    o->s.streamable = nwords > 5 && strcmp(word[5], "http") == 0;
    o->s.event.data = o;

    rc = ngx_mcp_registry_enter(&o->s, o->s.user_key, number(4));

    if (rc != NGX_OK) {
        o->name[0] = '\0';
        return rc_name(rc);
    }

    ngx_mcp_sessions_add(&o->s);

    return rc_name(rc);
}


/* leave NAME GRACE MAX [ID ...] */

static const char *
command_leave(void)
{
    int         i;
    session_t  *o;
    ngx_str_t   open[MAX_WORDS];

    o = named(word[2]);
    loc_conf.max_sessions = number(4);

    for (i = 5; i < nwords; i++) {
        open[i - 5] = string(i);
    }

    ngx_mcp_unregister_begin(&o->s);
    leave(o, number(3), open, nwords > 5 ? nwords - 5 : 0);

    happens(" %d", (int) o->s.tombstone);

    return "ok";
}


/* open requests: leftover KEY GRACE N LENGTH */

static const char *
command_leftover(void)
{
    size_t           i, len;
    ngx_str_t       *open;
    ngx_uint_t       n, noted;
    ngx_mcp_zone_t  *zone;

    n = number(4);
    len = number(5);
    open = ngx_pcalloc(pool, (n + 1) * sizeof(ngx_str_t));

    for (i = 0; i < n; i++) {
        open[i].data = ngx_pcalloc(pool, len + 32);
        memset(open[i].data, '7', len);
        snprintf((char *) open[i].data + len - 8, 9, "%08d", (int) i);
        open[i].len = len;
    }

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);
    noted = ngx_mcp_leftovers_add_locked(zone, key_of(word[2]), open, n,
                                         number(3));
    ngx_mcp_zone_unlock(zone);

    return noted ? "all" : "some";
}


static const char *
command_deliver(ngx_mcp_envelope_t *env)
{
    ngx_mcp_delivery_e  rc;

    rc = ngx_mcp_inbox_deliver(key_of(word[2]), env, &log_);
    ngx_mcp_envelope_free(env);

    return delivery_name(rc);
}


static const char *
command_accept(void)
{
    session_t           *o;
    ngx_mcp_delivery_e   rc;
    ngx_mcp_envelope_t  *env;

    o = named(word[2]);
    env = envelope(number(3), number(4));
    rc = ngx_mcp_inbox_accept(&o->s, env);

    if (rc == NGX_MCP_DELIVERY_ACCEPTED) {
        receive(&o->s, env);

    } else {
        ngx_mcp_envelope_free(env);
    }

    return delivery_name(rc);
}


/* starts the first message of a session */

static const char *
command_started(void)
{
    session_t           *o;
    ngx_mcp_envelope_t  *env;

    o = named(word[2]);

    if (ngx_queue_empty(&o->envelopes)) {
        return "none";
    }

    env = ngx_queue_data(ngx_queue_head(&o->envelopes), ngx_mcp_envelope_t,
                         queue);
    ngx_mcp_inbox_started(&o->s, env);

    if (env->unstarted == 0) {
        ngx_queue_remove(&env->queue);
        ngx_mcp_envelope_free(env);
    }

    return "ok";
}


/* the records of a key */

static const char *
command_find(void)
{
    ngx_mcp_zone_t            *zone;
    ngx_mcp_session_record_t  *r;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    for (r = ngx_mcp_registry_find_locked(zone, key_of(word[2]));
         r;
         r = ngx_mcp_registry_next_locked(zone, r))
    {
        happens(" owner=%d messages=%d pending=%d bytes=%d replaces=%d%s%s%s%s",
                r->owner ? worker_of(r->owner->id) : 0, (int) r->messages,
                (int) r->pending, (int) r->bytes, (int) r->replaces,
                r->evicted ? " evicted" : "", r->streamable ? " http" : "",
                r->leaving ? " leaving" : "", r->queued ? " queued" : "");
    }

    ngx_mcp_zone_unlock(zone);

    return "found";
}


/* enter SESSION N KEY ... | *NUMBER KEY; the ids are a list of that session */

static const char *
command_enter(void)
{
    int                   i;
    char                  key[32];
    ngx_int_t             rc;
    ngx_queue_t          *list, *q;
    ngx_mcp_in_flight_t  *id;

    list = &ids[word[2][0] % MAX_SESSIONS];

    if (list->next == NULL) {
        ngx_queue_init(list);
    }

    for (i = 4; i < nwords && word[4][0] != '*'; i++) {
        if (ngx_mcp_in_flight_add(list, key_of(word[i])) != NGX_OK) {
            return "no memory";
        }
    }

    if (nwords > 4 && word[4][0] == '*') {
        for (i = 0; i < atoi(word[4] + 1); i++) {
            snprintf(key, sizeof(key), "%s%d", word[5], i);
            (void) ngx_mcp_in_flight_add(list, key_of(key));
        }

        return rc_name(ngx_mcp_in_flight_enter(list, key_of(word[2]),
                                               number(3)));
    }

    rc = ngx_mcp_in_flight_enter(list, key_of(word[2]), number(3));

    for (q = ngx_queue_head(list);
         q != ngx_queue_sentinel(list);
         q = ngx_queue_next(q))
    {
        id = ngx_queue_data(q, ngx_mcp_in_flight_t, siblings);
        happens(" %s", id->used ? "used" : id->entered ? "entered" : "none");
    }

    return rc_name(rc);
}


static const char *
command_root(void)
{
    ngx_uint_t            i, used;
    ngx_slab_pool_t      *slab;
    ngx_mcp_zone_root_t  *root;

    root = ngx_mcp_zone()->root;
    slab = root->pool;
    used = 0;

    for (i = 0; i < (ngx_uint_t) (ngx_pagesize_shift - slab->min_shift); i++) {
        used += slab->stats[i].used;
    }

    happens(" records=%d tombstones=%d leftovers=%d inbox=%d in-flight=%d"
            " announcements=%d/%d ended=%d users=%d chunks=%d",
            (int) root->nrecords, (int) root->ntombstones,
            (int) root->leftovers_size, (int) root->inbox_bytes,
            (int) root->nin_flight, (int) root->nannouncements,
            (int) root->announcements_size, (int) root->nrevoked,
            (int) root->nrevoked_users, (int) used);

    return "root";
}


static const char *
command_gauges(void)
{
    ngx_mcp_workers_gauges_t  g;

    ngx_mcp_workers_gauges(&g);

    happens(" workers=%d streams=%d pending=%d held=%d calls=%d redis=%d,%d,%d",
            (int) g.workers, (int) g.streams, (int) g.pending, (int) g.held,
            (int) g.calls, (int) g.redis[1], (int) g.redis[2],
            (int) g.redis[3]);

    return "gauges";
}


static const char *
command_self(void)
{
    ngx_mcp_worker_t  *w;

    w = ngx_mcp_workers_self();

    if (w == NULL) {
        return "none";
    }

    happens(" phase=%d pending=%d posted=%d lookups=%d waiting=%d",
            (int) w->phase, (int) w->pending, (int) w->posted,
            (int) w->lookups, (int) w->lookups_waiting);

    return "self";
}


/* runs the timers that are due, or prints in how many ms each of them is */

static const char *
command_timers(ngx_uint_t run)
{
    ngx_uint_t        i, n;
    ngx_mcp_timer_t  *timer;

    for (n = 1; run && n; /* void */ ) {
        for (n = 0, i = 0; i < ntimers; i++) {
            if ((ngx_msec_int_t) (due[i] - ngx_current_msec) <= 0) {
                timer = timers[i];
                ngx_mcp_timer_del(timer);
                timer->handler(timer->data);
                n = 1;
                break;
            }
        }
    }

    for (n = 0; !run && n < 100000; n++) {
        for (i = 0; i < ntimers; i++) {
            if (due[i] - ngx_current_msec == n) {
                happens(" %d", (int) n);
            }
        }
    }

    return "timers";
}


/* takes all blocks of SIZE bytes of the zone but LEFT, or gives them back */

static const char *
command_fill(void)
{
    void            **p;
    ngx_uint_t        i;
    ngx_mcp_zone_t   *zone;

    zone = ngx_mcp_zone();

    ngx_mcp_zone_lock(zone);

    if (nwords > 2) {
        while ((p = ngx_slab_alloc_locked(zone->root->pool, number(2)))) {
            *p = filled;
            filled = p;
        }
    }

    for (i = nwords > 2 ? number(3) : (ngx_uint_t) -1; i && filled; i--) {
        p = filled;
        filled = *p;
        ngx_slab_free_locked(zone->root->pool, p);
    }

    ngx_mcp_zone_unlock(zone);

    return "ok";
}


static const char *
command_lock(void)
{
    ngx_mcp_zone_t  *zone;

    zone = ngx_mcp_zone();

    common->slept = 0;
    ngx_mcp_zone_lock(zone);

    happens(" slept=%d", (int) common->slept);

    if (strcmp(word[1], "lock") == 0) {
        ngx_mcp_zone_unlock(zone);
    }

    return "locked";
}


static const char *
command_renewed(void)
{
    ngx_int_t             rc;
    ngx_mcp_credential_t  cred;

    rc = ngx_mcp_registry_renewed(&named(word[2])->s, &cred);

    if (rc == NGX_OK) {
        happens(" %.*s %.16s%s%s", (int) cred.value.len, cred.value.data,
                cred.digest, cred.cookie ? " cookie" : "",
                cred.csrf_token.len || cred.kept ? " more" : "");
        ngx_free(cred.value.data);
    }

    return rc_name(rc);
}


static const char *
command_sessions(void)
{
    session_t                 *o;
    ngx_mcp_credential_t       cred;
    ngx_mcp_inbox_entry_t     *entry;
    ngx_mcp_session_record_t  *record;

    if (strcmp(word[1], "find") == 0) {
        return command_find();
    }

    o = strcmp(word[1], "renew") != 0
        && strstr("began close damage move session renewed", word[1])
        ? named(word[2]) : NULL;

    if (strcmp(word[1], "began") == 0) {
        ngx_mcp_unregister_begin(&o->s);
        return "ok";
    }

    if (strcmp(word[1], "close") == 0) {
        close_session(&o->s, NGX_MCP_CLOSE_IDLE);
        return "ok";
    }

    if (strcmp(word[1], "move") == 0) {
        ngx_mcp_inbox_move(&o->s, &named(word[3])->s);
        return "ok";
    }

    if (strcmp(word[1], "session") == 0) {
        happens(" pending=%d bytes=%d accepted=%d tombstone=%d predecessor=%d"
                " awaited=%d%s%s", (int) o->s.pending, (int) o->s.bytes,
                (int) o->s.accepted, (int) o->s.tombstone,
                (int) o->s.predecessor, (int) ngx_mcp_unregister_awaited(&o->s),
                o->s.listed ? " listed" : "",
                o->s.record ? "" : " no-record");
        return o->name;
    }

    if (strcmp(word[1], "damage") == 0) {
        record = o->s.record;
        entry = (ngx_mcp_inbox_entry_t *) ngx_queue_head(&record->inbox);

        if (number(3) == 1) {
            record->inbox.next = (ngx_queue_t *) common;

        } else if (number(3) == 2) {
            entry->key[0]++;

        } else {
            entry->queue.next = &entry->queue;
        }

        return "ok";
    }

    if (strcmp(word[1], "limit") == 0) {
        return rc_name(ngx_mcp_registry_limit(key_of(word[2]), number(3)));
    }

    if (strcmp(word[1], "active") == 0) {
        ngx_mcp_registry_active(key_of(word[2]), number(3));
        return "ok";
    }

    if (strcmp(word[1], "credential") == 0) {
        return ngx_mcp_registry_is_credential(key_of(word[2]), key_of(word[3]))
               ? "same" : "other";
    }

    if (strcmp(word[1], "renew") == 0) {
        ngx_memzero(&cred, sizeof(ngx_mcp_credential_t));
        ngx_memcpy(cred.digest, key_of(word[3]), NGX_MCP_DIGEST_LEN);
        cred.value = string(3);
        cred.cookie = (nwords > 4);
        ngx_mcp_registry_renew(key_of(word[2]), &cred);
        return "ok";
    }

    return strcmp(word[1], "renewed") == 0 ? command_renewed() : NULL;
}


static const char *
command_leftovers(void)
{
    u_char           id[NGX_MCP_LEFTOVERS_MAX_ID_LEN];
    ngx_str_t        s;
    ngx_mcp_zone_t  *zone;

    s = string(3);

    if (strcmp(word[1], "leftover") == 0) {
        return command_leftover();
    }

    if (strcmp(word[1], "ended") == 0) {
        ngx_mcp_leftovers_ended(key_of(word[2]), &s);
        return "ok";
    }

    if (strcmp(word[1], "answered") == 0) {
        ngx_mcp_leftovers_answered(key_of(word[2]), &s);
        return "ok";
    }

    if (strcmp(word[1], "adopt") == 0) {
        ngx_mcp_leftovers_adopt(key_of(word[2]));
        return "ok";
    }

    if (strcmp(word[1], "drop") == 0) {
        ngx_mcp_leftovers_forget(key_of(word[2]));
        return "ok";
    }

    if (strcmp(word[1], "drop-all") == 0) {
        zone = ngx_mcp_zone();
        ngx_mcp_zone_lock(zone);
        ngx_mcp_leftovers_forget_all_locked(zone, key_of(word[2]));
        ngx_mcp_zone_unlock(zone);
        return "ok";
    }

    if (strcmp(word[1], "waits") == 0) {
        return ngx_mcp_leftovers_find(key_of(word[2]), &s) ? "yes" : "no";
    }

    if (strcmp(word[1], "inherit") == 0) {
        s.data = id;

        if (!ngx_mcp_leftovers_inherit(key_of(word[2]), &s)) {
            return "none";
        }

        happens(" %.*s", (int) s.len, s.data);
        return "id";
    }

    return NULL;
}


static const char *
command_lists(void)
{
    size_t                i, n, len;
    char                  key[32];
    u_char               *data;
    static u_char         buffer[16384];
    ngx_queue_t          *list;
    ngx_mcp_in_flight_t  *id;

    list = nwords > 2 ? &ids[word[2][0] % MAX_SESSIONS] : NULL;

    if (strcmp(word[1], "enter") == 0) {
        return command_enter();
    }

    if (strcmp(word[1], "take") == 0) {
        id = ngx_mcp_in_flight_take(list);
        ngx_mcp_in_flight_free(id);
        return id ? "ok" : "none";
    }

    if (strcmp(word[1], "take-all") == 0) {
        ngx_mcp_in_flight_free_all(list);
        return ngx_queue_empty(list) ? "ok" : "some";
    }

    if (strcmp(word[1], "announce") == 0 || strcmp(word[1], "tell-self") == 0) {
        len = number(4);
        data = buffer;

        for (i = 0; i < len; i++) {
            data[i] = (u_char) (1 + i % 251);
        }

        if (word[1][0] == 't') {
            ngx_mcp_announce_self(number(2), key_of(word[3]), data, len);
            return "ok";
        }

        for (n = nwords > 5 ? number(5) : 1; n > 1; n--) {
            (void) ngx_mcp_announce(number(2), key_of(word[3]), data, len);
        }

        return rc_name(ngx_mcp_announce(number(2), key_of(word[3]), data,
                                        len));
    }

    if (strcmp(word[1], "events") == 0) {
        ngx_event_process_posted(&cycle, &ngx_posted_events);
        return "events";
    }

    if (strcmp(word[1], "end-many") == 0) {
        for (i = 0; i < number(5); i++) {
            snprintf(key, sizeof(key), "%s%d", word[2], (int) i);
            (void) ngx_mcp_revocation_add(key_of(key), key_of(word[3]),
                                          number(4));
        }

        return "ok";
    }

    if (strcmp(word[1], "end") == 0) {
        return rc_name(ngx_mcp_revocation_add(key_of(word[2]), key_of(word[3]),
                                              number(4)));
    }

    if (strcmp(word[1], "is-ended") == 0) {
        return ngx_mcp_revocation_check(key_of(word[2])) ? "yes" : "no";
    }

    if (strcmp(word[1], "all-ended") == 0) {
        ngx_mcp_revocation_each(ended_id);
        return "ended";
    }

    return NULL;
}


static const char *
command_workers(void)
{
    if (strcmp(word[1], "exit") == 0) {
        ngx_mcp_workers_exit();
        return ngx_mcp_workers_self() ? "still there" : "ok";
    }

    if (strcmp(word[1], "drain") == 0) {
        ngx_mcp_workers_drain();
        return "ok";
    }

    if (strcmp(word[1], "take-lookup") == 0) {
        return ngx_mcp_lookups_take(number(2)) ? "taken" : "none";
    }

    if (strcmp(word[1], "release-lookup") == 0) {
        ngx_mcp_lookups_release();
        return "ok";
    }

    if (strcmp(word[1], "wait-lookup") == 0) {
        ngx_mcp_lookups_wait(number(2));
        return "ok";
    }

    if (strcmp(word[1], "dead") == 0) {
        happens(" %d", ngx_mcp_workers_dead_id()
                       ? worker_of(ngx_mcp_workers_dead_id()) : 0);
        return "dead";
    }

    if (strcmp(word[1], "dead-forget") == 0) {
        ngx_mcp_workers_dead_forget();
        return "ok";
    }

    if (strcmp(word[1], "count") == 0) {
        ngx_mcp_workers_streams(atoi(word[2]));
        ngx_mcp_workers_held(atoi(word[3]));
        ngx_mcp_workers_calls(atoi(word[4]));
        ngx_mcp_workers_self()->redis = number(5);
        return "ok";
    }

    if (strcmp(word[1], "slot") == 0) {
        ngx_process_slot = number(2);
        return "ok";
    }

    if (strcmp(word[1], "unsure") == 0) {
        common->unsure[number(2)] = number(3);
        return "ok";
    }

    /* worker N has died, and another process has got its pid */

    if (strcmp(word[1], "pid-reused") == 0) {
        common->alive[number(2)] = 0;
        return "ok";
    }

    if (strcmp(word[1], "lock") == 0 || strcmp(word[1], "hold") == 0) {
        return command_lock();
    }

    /* at-lock N dies PID | at-lock N released WORKER */

    if (strcmp(word[1], "at-lock") == 0) {
        at_lock = number(2);
        at_lock_dead = word[3][0] == 'd' ? number(4) : 0;
        at_lock_released = word[3][0] == 'r' ? number(4) : 0;
        return "ok";
    }

    if (strcmp(word[1], "slept") == 0) {
        happens(" %d", (int) common->slept);
        common->slept = 0;
        return "slept";
    }

    if (strcmp(word[1], "held-then") == 0) {
        common->holder = number(2);
        return "ok";
    }

    if (strcmp(word[1], "yields") == 0) {
        happens(" %d", (int) common->yields);
        common->yields = 0;
        return "yields";
    }

    if (strcmp(word[1], "held") == 0) {
        common->slept = 0;
        common->held = number(3);
        *((ngx_mcp_zone_t *) main_conf.zone->data)->shpool->mutex.lock
            = number(2);
        return "ok";
    }

    return NULL;
}


/*
 * place USER: a call runs or waits; unplace USER: one that waits leaves; done
 * USER: one that ran has ended; places [USER]: the counts of this worker
 */

static const char *
command_places(void)
{
    ngx_mcp_worker_t      *w;
    ngx_mcp_zone_root_t   *root;
    ngx_mcp_place_user_t  *user;

    if (strcmp(word[1], "place") == 0) {
        return ngx_mcp_places_take(ngx_mcp_places_user(key_of(word[2])))
               ? "runs" : "waits";
    }

    if (strcmp(word[1], "unplace") == 0) {
        ngx_mcp_places_leave(ngx_mcp_places_user(key_of(word[2])));
        return "ok";
    }

    if (strcmp(word[1], "done") == 0) {
        ngx_mcp_places_release(ngx_mcp_places_user(key_of(word[2])));
        return "ok";
    }

    if (strcmp(word[1], "check-places") == 0) {
        ngx_mcp_places_check(ngx_mcp_zone());
        return "ok";
    }

    /* calls N PER_USER: of the cycle of this worker */

    if (strcmp(word[1], "calls") == 0) {
        main_conf.backend_calls = number(2);
        main_conf.backend_calls_per_user = number(3);
        return "ok";
    }

    if (strcmp(word[1], "exiting") == 0) {
        ngx_exiting = 1;
        return "ok";
    }

    if (strcmp(word[1], "places") != 0) {
        return NULL;
    }

    root = ngx_mcp_zone()->root;
    w = ngx_mcp_workers_self();

    if (nwords > 2) {
        user = ngx_mcp_places_user(key_of(word[2]));
        happens(" running=%d waiting=%d%s", (int) user->running,
                (int) user->waiting, user->entry ? "" : " no-entry");
        return word[2];
    }

    happens(" running=%d waiting=%d granted=%d of=%d per-user=%d%s%s",
            (int) w->places, (int) w->calls_waiting, (int) w->calls_granted,
            (int) root->backend_calls, (int) root->backend_calls_per_user,
            w->late ? " late" : "", ngx_mcp_places_used() ? "" : " unused");

    return "places";
}


static const char *
command_backend(void)
{
    ngx_str_t                 s;
    ngx_mcp_counters_t       *counters;
    ngx_mcp_backend_state_t   state;

    counters = &ngx_mcp_zone()->root->counters;

    if (strcmp(word[1], "note") == 0) {
        ngx_mcp_backend_note(number(2), number(3));
        return "ok";
    }

    if (strcmp(word[1], "backend") == 0) {
        ngx_mcp_backend_state(&state);
        happens(" %s %d%s", state.status, (int) state.since,
                state.all_failed ? " all" : "");
        return "backend";
    }

    if (strcmp(word[1], "refused") == 0) {
        ngx_mcp_count_refused(number(2));
        happens(" %d", (int) counters->counts[NGX_MCP_COUNT_400 + number(3)]);
        return "count";
    }

    if (strcmp(word[1], "call") == 0) {
        s = string(2);
        ngx_mcp_count_call(&s, number(3));
        happens(" %d", (int) counters->calls[number(4)][number(5)]);
        return "count";
    }

    if (strcmp(word[1], "duration") == 0) {

        /* 1: a clock that has gone back */

        ngx_mcp_count_time(number(2), number(3) == 1 ? (uint64_t) -1
                           : ngx_mcp_count_clock() - number(3));
        happens(" %d %d", (int) counters->times[number(2)].buckets[number(4)],
                (int) counters->times[number(2)].sum);
        return "count";
    }

    return NULL;
}


/*
 * keep KEY VERSION MS LENGTH MODERN; again KEY: what is known is kept again;
 * known KEY: the version, the length of the text, what else is known
 */

static const char *
command_discovered(void)
{
    ngx_int_t              rc;
    ngx_mcp_discovered_t   d;

    static u_char          text[65536];

    if (strcmp(word[1], "keep") == 0) {
        ngx_memzero(&d, sizeof(ngx_mcp_discovered_t));

        d.version = string(3);
        d.left = number(4);
        d.text.data = text;
        d.text.len = number(5);
        d.modern = number(6);

        ngx_memset(text, word[2][0], sizeof(text));
        ngx_mcp_discovered_put(key_of(word[2]), &d);

        happens(" %lu", (long) ngx_mcp_zone()->root->discovered_size);
        return "kept";
    }

    if (strcmp(word[1], "again") == 0) {
        rc = ngx_mcp_discovered_get(key_of(word[2]), pool, &d);

        if (rc == NGX_OK) {
            ngx_mcp_discovered_put(key_of(word[2]), &d);
        }

        return rc_name(rc);
    }

    if (strcmp(word[1], "known") == 0) {
        rc = ngx_mcp_discovered_get(key_of(word[2]), pool, &d);

        if (rc != NGX_OK) {
            return "no";
        }

        happens(" %.*s %lu%s%s%s", (int) d.version.len,
                d.version.len ? (char *) d.version.data : "",
                (long) d.text.len, d.fresh ? " fresh" : "",
                d.modern ? " modern" : "",
                d.text.len && d.text.data[d.text.len - 1] != word[2][0]
                    ? " damaged" : "");
        return "known";
    }

    return NULL;
}


/*
 * level KEY USER EXPIRES LEVEL; subscribe KEY USER EXPIRES URI [N]: N URIs;
 * put KEY USER EXPIRES LEVEL URI ...; unsubscribe KEY URI; unknown KEY: it has
 * ended; wants KEY LEVEL; has KEY URI; asked KEY: all that is known
 */

static const char *
command_subscriptions(void)
{
    int                          i;
    char                         uri[32];
    ngx_int_t                    rc;
    ngx_msec_t                   age;
    ngx_mcp_subscriptions_all_t  all;

    if (strcmp(word[1], "level") == 0) {
        return rc_name(ngx_mcp_subscriptions_level(key_of(word[2]),
                           key_of(word[3]), number(4), number(5)));
    }

    if (strcmp(word[1], "subscribe") == 0 && nwords > 6) {
        rc = NGX_OK;

        for (i = 0; i < (int) number(6) && rc == NGX_OK; i++) {
            snprintf(uri, sizeof(uri), "%s%d", word[5], i);
            rc = ngx_mcp_subscriptions_add(key_of(word[2]), key_of(word[3]),
                                           number(4), key_of(uri));
        }

        happens(" %d", i);
        return rc_name(rc);
    }

    if (strcmp(word[1], "subscribe") == 0) {
        return rc_name(ngx_mcp_subscriptions_add(key_of(word[2]),
                           key_of(word[3]), number(4), key_of(word[5])));
    }

    if (strcmp(word[1], "put") == 0) {
        ngx_memzero(&all, sizeof(all));
        all.level = number(5);

        for (i = 6; i < nwords; i++) {
            ngx_memcpy(all.uris[all.nuris++].digest, key_of(word[i]),
                       NGX_MCP_DIGEST_LEN);
        }

        ngx_mcp_subscriptions_put(key_of(word[2]), key_of(word[3]), number(4),
                                  &all);
        return "ok";
    }

    if (strcmp(word[1], "unsubscribe") == 0) {
        ngx_mcp_subscriptions_remove(key_of(word[2]), key_of(word[3]));
        return "ok";
    }

    if (strcmp(word[1], "unknown") == 0) {
        ngx_mcp_subscriptions_forget(key_of(word[2]));
        return "ok";
    }

    if (strcmp(word[1], "wants") == 0) {
        return ngx_mcp_subscriptions_wants(key_of(word[2]), number(3)) ? "yes"
                                                                      : "no";
    }

    if (strcmp(word[1], "has") == 0) {
        rc = ngx_mcp_subscriptions_find(key_of(word[2]), key_of(word[3]), &age);

        if (rc == NGX_OK) {
            happens(" %lu", (long) age);
        }

        return rc == NGX_OK ? "yes" : rc_name(rc);
    }

    if (strcmp(word[1], "asked") == 0) {
        if (ngx_mcp_subscriptions_get(key_of(word[2]), &all) != NGX_OK) {
            return ngx_mcp_subscriptions_known(key_of(word[2])) ? "damaged"
                                                                : "nothing";
        }

        happens(" %d", (int) all.level);

        for (i = 0; i < (int) all.nuris && i < 8; i++) {
            happens(" %.16s", (char *) all.uris[i].digest);
        }

        return ngx_mcp_subscriptions_known(key_of(word[2])) ? "asked"
                                                            : "damaged";
    }

    if (strcmp(word[1], "subscriptions") == 0) {
        happens(" %lu", (long) ngx_mcp_zone()->root->subscriptions_size);
        return "bytes";
    }

    return NULL;
}


static const char *
command(void)
{
    const char  *answer;

    if (strcmp(word[1], "init") == 0) {
        return rc_name(other_init());
    }

    answer = other_command();

    if (answer) {
        return answer;
    }

    if (strcmp(word[1], "open") == 0) {
        return command_open();
    }

    if (strcmp(word[1], "leave") == 0) {
        return command_leave();
    }

    if (strcmp(word[1], "deliver") == 0) {
        return command_deliver(envelope(number(3), number(4)));
    }

    if (strcmp(word[1], "requests") == 0) {
        return command_deliver(requests(4, number(3)));
    }

    if (strcmp(word[1], "accept") == 0) {
        return command_accept();
    }

    if (strcmp(word[1], "started") == 0) {
        return command_started();
    }

    if (strcmp(word[1], "root") == 0) {
        return command_root();
    }

    if (strcmp(word[1], "gauges") == 0) {
        return command_gauges();
    }

    if (strcmp(word[1], "self") == 0) {
        return command_self();
    }

    if (strcmp(word[1], "timers") == 0 || strcmp(word[1], "run") == 0) {
        return command_timers(word[1][0] == 'r');
    }

    if (strcmp(word[1], "fill") == 0) {
        return command_fill();
    }

    if (strcmp(word[1], "refuse") == 0) {
        refused_size = number(2);
        return "ok";
    }

    if (strcmp(word[1], "blocks") == 0) {
        happens(" %ld", blocks);
        return "blocks";
    }

    if (strcmp(word[1], "log") == 0) {
        happens(" %s", logged);
        logged[0] = '\0';
        return "log";
    }

    answer = command_sessions();
    answer = answer ? answer : command_leftovers();
    answer = answer ? answer : command_lists();
    answer = answer ? answer : command_workers();
    answer = answer ? answer : command_places();

    answer = answer ? answer : command_discovered();
    answer = answer ? answer : command_subscriptions();

    return answer ? answer : command_backend();
}


static void
split(char *line)
{
    for (nwords = 0; nwords < MAX_WORDS; nwords++) {
        word[nwords] = strtok(nwords ? NULL : line, " \n");
        if (word[nwords] == NULL) {
            return;
        }
    }
}


static void
set_time(void)
{
    ngx_current_msec = common->now;
    now_.sec = common->now / 1000;
}


static void
work(FILE *from, FILE *to)
{
    char         line[4096];
    const char  *answer;

    ngx_pid = ngx_getpid();
    ngx_process_slot = self;
    logged[0] = '\0';

    while (fgets(line, sizeof(line), from)) {
        split(line);
        set_time();

        happened[0] = '\0';
        answer = command();

        fprintf(to, "%s%s\n", answer ? answer : "unknown command", happened);
        fflush(to);
    }

    exit(0);
}


static void
start(int n)
{
    int  i, to[2], from[2];

    if (pipe(to) == -1 || pipe(from) == -1) {
        abort();
    }

    processes[n].pid = fork();

    if (processes[n].pid == 0) {
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) dup2(2, 1);
        self = n;

        for (i = 0; i < MAX_WORKERS; i++) {
            if (i != n && processes[i].pid) {
                fclose(processes[i].to);
                fclose(processes[i].from);
            }
        }

        close(to[1]);
        close(from[0]);
        work(fdopen(to[0], "r"), fdopen(from[1], "w"));
    }

    close(to[0]);
    close(from[1]);

    processes[n].to = fdopen(to[1], "w");
    processes[n].from = fdopen(from[0], "r");
}


static void
end(int n)
{
    common->alive[n] = 0;

    if (processes[n].pid) {
        fclose(processes[n].to);
        fclose(processes[n].from);
        waitpid(processes[n].pid, NULL, 0);
        processes[n].pid = 0;
    }
}


static const char *
make_zone(void)
{
    int               i;
    ngx_conf_t        cf;
    ngx_shm_zone_t   *shm;
    ngx_slab_pool_t  *sp;

    ngx_memzero(&cf, sizeof(ngx_conf_t));
    cf.cycle = &cycle;
    cf.pool = pool;
    cf.log = &log_;

    for (i = 0; i < MAX_WORKERS; i++) {
        end(i);
    }

    if (main_conf.zone) {
        munmap(main_conf.zone->shm.addr, main_conf.zone->shm.size);
    }

    ngx_memzero(common, sizeof(common_t));
    common->now = 1000000000;
    ngx_list_init(&cycle.shared_memory, pool, 1, sizeof(ngx_shm_zone_t));

    ngx_str_set(&main_conf.zone_name, "test");
    main_conf.zone_size = number(1);
    main_conf.max_inbox = number(2);
    main_conf.max_message = number(3);
    core_conf.worker_processes = number(4);
    main_conf.backend_calls = number(5);
    main_conf.backend_calls_per_user = number(6);

    if (ngx_mcp_zone_conf_add(&cf, &main_conf) != NGX_OK) {
        return "too small";
    }

    shm = main_conf.zone;
    shm->shm.size = main_conf.zone_size;
    shm->shm.log = &log_;
    shm->shm.addr = mmap(NULL, shm->shm.size, PROT_READ|PROT_WRITE,
                         MAP_ANON|MAP_SHARED, -1, 0);

    sp = (ngx_slab_pool_t *) shm->shm.addr;
    sp->end = shm->shm.addr + shm->shm.size;
    sp->min_shift = 3;
    sp->addr = shm->shm.addr;

    if (ngx_shmtx_create(&sp->mutex, &sp->lock, NULL) != NGX_OK) {
        return "no mutex";
    }

    ngx_slab_init(sp);

    return shm->init(shm, NULL) == NGX_OK ? "ok" : "no zone";
}


static void
make_cycle(void)
{
    ngx_time_t  *tp;

    common = mmap(NULL, sizeof(common_t), PROT_READ|PROT_WRITE,
                  MAP_ANON|MAP_SHARED, -1, 0);
    common->now = 1000000000;

    tp = &now_;
    ngx_cached_time = tp;

    ngx_pagesize = getpagesize();
    for (ngx_pagesize_shift = 0; (ngx_pagesize >> ngx_pagesize_shift) > 1;
         ngx_pagesize_shift++) { /* void */ }

    ngx_ncpu = 1;
    ngx_slab_sizes_init();

    log_.log_level = NGX_LOG_INFO;
    log_.writer = writer;

    pool = ngx_create_pool(16384, &log_);

    ngx_core_module.index = 0;
    ngx_http_module.index = 1;
    ngx_http_mcp_sse_module.ctx_index = 0;

    main_confs[0] = &main_conf;
    http_ctx.main_conf = main_confs;
    conf_ctx[0] = &core_conf;
    conf_ctx[1] = &http_ctx;

    cycle.log = &log_;
    cycle.pool = pool;
    cycle.conf_ctx = (void ****) conf_ctx;
    ngx_list_init(&cycle.shared_memory, pool, 1, sizeof(ngx_shm_zone_t));
    ngx_cycle = &cycle;

    ngx_queue_init(&ngx_posted_events);
}


__attribute__((constructor)) static void
commands(void)
{
    int         n;
    char        line[4096], copy[4096], answer[65536 + 128];
    process_t  *process;

    make_cycle();
    set_time();
    signal(SIGPIPE, SIG_IGN);
    ngx_use_stderr = 0;

    while (fgets(line, sizeof(line), stdin)) {
        strcpy(copy, line);
        split(copy);
        n = nwords > 1 ? atoi(word[1]) : 0;
        strcpy(answer, "ok\n");

        if (strcmp(word[0], "zone") == 0) {
            sprintf(answer, "%s\n", make_zone());

        } else if (strcmp(word[0], "time") == 0) {
            common->now += n;

        } else if (strcmp(word[0], "start") == 0) {
            start(n);

        } else if (strcmp(word[0], "kill") == 0) {
            kill(processes[n].pid, SIGKILL);
            end(n);

        } else if (strcmp(word[0], "pid") == 0) {
            sprintf(answer, "%d\n", (int) processes[n].pid);

        } else {
            process = &processes[atoi(word[0])];

            fputs(line, process->to);
            fflush(process->to);

            if (fgets(answer, sizeof(answer), process->from) == NULL) {
                strcpy(answer, "worker has ended\n");
            }
        }

        fputs(answer, stdout);
        fflush(stdout);
    }

    for (n = 0; n < MAX_WORKERS; n++) {
        end(n);
    }

    exit(0);
}
