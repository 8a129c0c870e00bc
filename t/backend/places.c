
/*
 * The places of calls at Frappe by commands, for t/backend/places.t
 * (MCPTest::Unit): each worker is a process, and all of them share a zone.
 */

#include <sys/mman.h>
#include <sys/wait.h>
#include "ngx_mcp_places.h"
#include "ngx_mcp_workers.h"
#include "ngx_mcp_wakeup.h"


#define WORKERS  5
#define ARENA    (1024 * 1024)


typedef struct {
    ngx_mcp_zone_root_t   root;
    ngx_mcp_zone_t        zone;
    ngx_mcp_main_conf_t   conf;
    ngx_mcp_worker_t      workers[WORKERS];
    ngx_msec_t            now;
    char                  woken[256];
    int                   full;
    int                   blocks;
    size_t                used;
    u_char                arena[ARENA];
} shared_t;


static shared_t          *shared;
static ngx_mcp_worker_t  *self;


/* of the module */

ngx_mcp_zone_t *ngx_mcp_zone(void) { return &shared->zone; }
void ngx_mcp_zone_lock(ngx_mcp_zone_t *zone) { (void) zone; }
void ngx_mcp_zone_unlock(ngx_mcp_zone_t *zone) { (void) zone; }
ngx_mcp_worker_t *ngx_mcp_workers_self(void) { return self; }
void ngx_mcp_timer_set(ngx_mcp_timer_t *t, ngx_msec_t m)
    { (void) m; t->set = 1; }
void ngx_mcp_workers_dead_locked(ngx_mcp_zone_t *zone, u_char *id)
    { (void) zone; (void) id; }


void *
ngx_mcp_zone_calloc_locked(ngx_mcp_zone_t *zone, size_t size)
{
    u_char  *p;

    if (shared->full || zone->root->phase == NGX_MCP_ZONE_DIRTY) {
        return NULL;
    }

    p = shared->arena + shared->used;
    shared->used += (size + 15) & ~15;
    shared->blocks++;
    ngx_memzero(p, size);

    return p;
}


void
ngx_mcp_zone_free_locked(ngx_mcp_zone_t *zone, void *p)
{
    (void) zone;
    ngx_memset(p, 0xee, sizeof(ngx_queue_t));
    shared->blocks--;
}


u_char *
ngx_mcp_workers_wake_granted_locked(ngx_mcp_zone_t *zone, ngx_uint_t *n)
{
    int            i;
    static u_char  ids[WORKERS][NGX_MCP_WORKER_ID_LEN];

    *n = 0;

    for (i = 0; i < WORKERS; i++) {
        if (&shared->workers[i] != self && shared->workers[i].calls_granted) {
            ids[(*n)++][0] = i;
        }
    }

    (void) zone;
    return (u_char *) ids;
}


ngx_int_t
ngx_mcp_wakeup_send(u_char *id, ngx_log_t *log)
{
    (void) log;
    sprintf(shared->woken + strlen(shared->woken), "%d", id[0]);
    return NGX_OK;
}


/* of this file */

static void granted(void) { }


static void
reset(void)
{
    ngx_rbtree_init(&shared->root.place_users,
                    &shared->root.place_users_sentinel,
                    ngx_rbtree_insert_value);
    ngx_queue_init(&shared->root.place_ring);
    shared->blocks = 0;
    shared->used = 0;
}


static void
make(void)
{
    int  i;

    shared = mmap(NULL, sizeof(shared_t), PROT_READ|PROT_WRITE,
                  MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    shared->zone.root = &shared->root;
    shared->zone.conf = &shared->conf;
    shared->root.phase = NGX_MCP_ZONE_READY;
    shared->now = 100000;

    reset();
    ngx_queue_init(&shared->root.workers);

    for (i = 0; i < WORKERS; i++) {
        ngx_mcp_places_join_locked(&shared->zone, &shared->workers[i]);
        ngx_queue_insert_tail(&shared->root.workers,
                              &shared->workers[i].queue);
    }
}


static ngx_mcp_place_user_t *
user(const char *name)
{
    u_char  key[NGX_MCP_DIGEST_LEN];

    ngx_memzero(key, sizeof(key));
    key[0] = (u_char) name[0];

    return ngx_mcp_places_user(key);
}


/* what the zone has of a user: waiting, granted, running, of all workers */

static void
counts(const char *name, char *out)
{
    u_char                        key[NGX_MCP_DIGEST_LEN];
    ngx_uint_t                    waiting, given, running;
    ngx_queue_t                  *q;
    ngx_rbtree_node_t            *node;
    ngx_mcp_place_entry_t        *entry;
    ngx_mcp_place_user_record_t  *record;

    ngx_memzero(key, sizeof(key));
    key[0] = (u_char) name[0];

    node = ngx_mcp_tree_find(&shared->root.place_users, key,
                             offsetof(ngx_mcp_place_user_record_t, key));
    if (node == NULL) {
        strcpy(out, "none");
        return;
    }

    record = (ngx_mcp_place_user_record_t *)
                 ((u_char *) node - offsetof(ngx_mcp_place_user_record_t,
                                             node));
    waiting = given = running = 0;

    for (q = ngx_queue_head(&record->entries);
         q != ngx_queue_sentinel(&record->entries);
         q = ngx_queue_next(q))
    {
        entry = ngx_queue_data(q, ngx_mcp_place_entry_t, queue);
        waiting += entry->waiting;
        given += entry->granted;
        running += entry->running;
    }

    sprintf(out, "%d/%d/%d%s", (int) waiting, (int) given, (int) running,
            waiting != record->waiting || given + running != record->running
            ? " wrong" : "");
}


/* in the process of the worker */

static void
command(char *line, char *out)
{
    int                    n;
    char                   word[3][64];
    ngx_mcp_place_user_t  *u;

    word[1][0] = '\0';
    (void) sscanf(line, "%63s %63s %63s", word[0], word[1], word[2]);

    n = atoi(word[1]);
    strcpy(out, "ok");
    shared->woken[0] = '\0';
    ngx_current_msec = shared->now;

    if (strcmp(word[0], "limits") == 0) {
        shared->root.backend_calls = n;
        shared->root.backend_calls_per_user = atoi(word[2]);

    } else if (strcmp(word[0], "take") == 0) {
        sprintf(out, "%d", (int) ngx_mcp_places_take(user(word[1])));

    } else if (strcmp(word[0], "claim") == 0) {
        u = ngx_mcp_places_claim();
        sprintf(out, "%c", u ? u->key[0] : '-');

    } else if (strcmp(word[0], "leave") == 0) {
        ngx_mcp_places_leave(user(word[1]));

    } else if (strcmp(word[0], "release") == 0) {
        ngx_mcp_places_release(user(word[1]));

    } else if (strcmp(word[0], "local") == 0) {
        u = user(word[1]);
        sprintf(out, "%d/%d", (int) u->waiting, (int) u->running);
        if (u->waiting + u->running == 0) {
            ngx_queue_remove(&u->queue);
            ngx_free(u);
        }

    } else if (strcmp(word[0], "dead") == 0) {
        ngx_queue_remove(&shared->workers[n].queue);
        ngx_mcp_places_drop_locked(&shared->zone, &shared->workers[n]);
        ngx_mcp_places_wake(&shared->zone);

    } else if (strcmp(word[0], "check") == 0) {
        ngx_mcp_places_check(&shared->zone);

    } else if (strcmp(word[0], "clock") == 0) {
        shared->now += n;

    } else if (strcmp(word[0], "full") == 0) {
        shared->full = n;

    } else if (strcmp(word[0], "phase") == 0) {
        shared->root.phase = n;

    } else if (strcmp(word[0], "damaged") == 0) {
        reset();
        shared->root.phase = NGX_MCP_ZONE_DIRTY;
        shared->root.recovery_at = shared->now;
        for (n = 0; n < WORKERS; n++) {
            ngx_mcp_places_reset_locked(&shared->workers[n]);
        }

    } else if (strcmp(word[0], "forget") == 0) {
        ngx_mcp_places_forget_locked();

    } else if (strcmp(word[0], "restore") == 0) {
        ngx_mcp_places_restore_locked(&shared->zone);

    } else if (strcmp(word[0], "counts") == 0) {
        counts(word[1], out);

    } else if (strcmp(word[0], "places") == 0) {
        sprintf(out, "%d+%d", (int) self->places, (int) self->calls_granted);

    } else if (strcmp(word[0], "waiting") == 0) {
        sprintf(out, "%d", (int) self->calls_waiting);

    } else if (strcmp(word[0], "blocks") == 0) {
        sprintf(out, "%d", shared->blocks);

    } else {
        strcpy(out, "unknown command");
    }

    if (shared->woken[0]) {
        sprintf(out + strlen(out), " woken %s", shared->woken);
    }
}


static void
worker(int n, int from, int to)
{
    char   line[256], out[512];
    FILE  *in;

    self = &shared->workers[n];
    in = fdopen(from, "r");

    ngx_mcp_places_init(granted);

    while (fgets(line, sizeof(line), in)) {
        command(line, out);
        strcat(out, "\n");

        if (write(to, out, strlen(out)) < 0) {
            break;
        }
    }

    _exit(0);
}


/* a line is the number of a worker and a command for it */

__attribute__((constructor)) static void
commands(void)
{
    int                 i, down[WORKERS][2], up[WORKERS][2];
    char                line[256], out[512];
    FILE               *answers[WORKERS];
    static ngx_log_t    quiet;
    static ngx_cycle_t  cycle;

    cycle.log = &quiet;
    ngx_cycle = &cycle;
    ngx_queue_init(&ngx_posted_events);

    make();

    for (i = 0; i < WORKERS; i++) {
        if (pipe(down[i]) != 0 || pipe(up[i]) != 0) {
            exit(1);
        }

        if (fork() == 0) {
            close(down[i][1]);
            worker(i, down[i][0], up[i][1]);
        }

        close(down[i][0]);
        answers[i] = fdopen(up[i][0], "r");
    }

    while (fgets(line, sizeof(line), stdin)) {
        i = line[0] - '0';

        if (write(down[i][1], line + 2, strlen(line + 2)) < 0
            || fgets(out, sizeof(out), answers[i]) == NULL)
        {
            break;
        }

        fputs(out, stdout);
        fflush(stdout);
    }

    for (i = 0; i < WORKERS; i++) {
        close(down[i][1]);
    }

    exit(0);
}
