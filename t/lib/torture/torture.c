
/*
 * Makes allocations of nginx's workers fail, for util/torture, which links this
 * file into an nginx with AddressSanitizer.
 *
 * The functions here come before those of AddressSanitizer and of libc, because
 * they are in the executable: nginx, its modules, yajl, hiredis and OpenSSL all
 * allocate through them.  Allocations in shared memory come by the linker's
 * --wrap, of nginx and of the module.
 *
 * Allocations fail in the event loop of workers only: start, reload and exit
 * have their memory.  Which ones is drawn by a generator of random numbers,
 * from the seed and the number of the process.  A place in the code, that is
 * four return addresses, is the more likely to fail the less often it was
 * reached: otherwise the few places that serve each request would be all that
 * fail.
 *
 *   MCP_SSE_TORTURE       the seed; without it nothing fails
 *   MCP_SSE_TORTURE_PAGE  a file of torture_page_t: MCPTest::Torture disarms
 *                         the workers by it and reads how much they allocated
 *   MCP_SSE_TORTURE_LOG   where a line with the call stack of each allocation
 *                         that fails is appended
 */


#define _GNU_SOURCE

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <dlfcn.h>
#include <execinfo.h>


/*
 * The functions here jump to those that they replace: AddressSanitizer sees who
 * has called, and LeakSanitizer does not take memory of the dynamic linker for
 * leaked.
 */

#pragma GCC optimize ("optimize-sibling-calls")


#define TORTURE_WORKERS      256
#define TORTURE_PLACES       16384   /* a power of two */
#define TORTURE_DEPTH        4       /* return addresses that make a place */
#define TORTURE_FRAMES       24      /* of a line of the log */


typedef struct {
    uint64_t            pid;
    uint64_t            base;        /* bytes allocated when it was armed */
    uint64_t            bytes;       /* at the start of the last turn */
    uint64_t            turns;
    uint64_t            allocations;
    uint64_t            failed;
} torture_worker_t;


typedef struct {
    uint64_t            disarmed;
    uint64_t            nworkers;
    torture_worker_t    worker[TORTURE_WORKERS];
} torture_page_t;


typedef struct {
    uintptr_t           key;
    uint32_t            n;
} torture_place_t;


extern void *__interceptor_malloc(size_t size);
extern void *__interceptor_calloc(size_t n, size_t size);
extern void *__interceptor_realloc(void *p, size_t size);
extern int __interceptor_posix_memalign(void **p, size_t alignment,
    size_t size);
extern char *__interceptor_strdup(const char *s);
extern size_t __sanitizer_get_current_allocated_bytes(void);

void *__real_ngx_slab_alloc(ngx_slab_pool_t *pool, size_t size);
void *__real_ngx_slab_alloc_locked(ngx_slab_pool_t *pool, size_t size);
void *__real_ngx_slab_calloc(ngx_slab_pool_t *pool, size_t size);
void *__real_ngx_slab_calloc_locked(ngx_slab_pool_t *pool, size_t size);
void __real_ngx_process_events_and_timers(ngx_cycle_t *cycle);

void *__wrap_ngx_slab_alloc(ngx_slab_pool_t *pool, size_t size);
void *__wrap_ngx_slab_alloc_locked(ngx_slab_pool_t *pool, size_t size);
void *__wrap_ngx_slab_calloc(ngx_slab_pool_t *pool, size_t size);
void *__wrap_ngx_slab_calloc_locked(ngx_slab_pool_t *pool, size_t size);
void __wrap_ngx_process_events_and_timers(ngx_cycle_t *cycle);


static void torture_init(void) __attribute__((constructor));
static void torture_arm(void);
static torture_page_t *torture_map(const char *name);
static ngx_uint_t torture_fails(const char *what, size_t size);
static ngx_uint_t torture_draw(const char *what, size_t size)
    __attribute__((noinline));
static torture_place_t *torture_place(void);
static ngx_uint_t torture_excused(void) __attribute__((noinline));
static ngx_uint_t torture_is(void *address, const char *name);
static uint64_t torture_random(void);
static void torture_log(const char *what, size_t size, uint32_t n)
    __attribute__((noinline));


static torture_page_t     torture_none;
static torture_page_t    *torture_page;
static torture_worker_t  *torture_worker;
static torture_place_t    torture_places[TORTURE_PLACES];
static char               torture_file[1024];
static char               torture_nginx[1024];   /* the executable */
static uint64_t           torture_seed;
static ngx_pid_t          torture_pid;
static uint64_t           torture_state;
static uintptr_t        **torture_top;
static uint32_t           torture_rate;
static uint32_t           torture_burst;
static ngx_uint_t         torture_armed;


/* A turn of the event loop of a process, a worker or another. */

void
__wrap_ngx_process_events_and_timers(ngx_cycle_t *cycle)
{
    if (torture_pid != ngx_pid) {
        torture_arm();
    }

    if (torture_worker == NULL) {
        __real_ngx_process_events_and_timers(cycle);
        return;
    }

    torture_worker->turns++;
    torture_worker->bytes = __sanitizer_get_current_allocated_bytes();

    if (torture_worker->turns == 1) {
        torture_worker->base = torture_worker->bytes;
    }

    torture_top = __builtin_frame_address(0);

    torture_armed = 1;
    __real_ngx_process_events_and_timers(cycle);
    torture_armed = 0;
}


/* Workers have no variables, and their titles are written over them. */

static void
torture_init(void)
{
    char  *value;

    value = getenv("MCP_SSE_TORTURE");

    if (value == NULL) {
        return;
    }

    /* the name that dladdr() knows is written over by the title */

    if (readlink("/proc/self/exe", torture_nginx, sizeof(torture_nginx) - 1)
        == -1)
    {
        torture_nginx[0] = '\0';
    }

    torture_seed = (uint64_t) atoll(value);
    torture_page = torture_map(getenv("MCP_SSE_TORTURE_PAGE"));

    value = getenv("MCP_SSE_TORTURE_LOG");

    if (value != NULL && strlen(value) < sizeof(torture_file)) {
        strcpy(torture_file, value);
    }
}


static void
torture_arm(void)
{
    void      *frame[1];
    uint64_t   n;

    static const uint32_t  rates[] = { 16, 48, 144, 432 };

    torture_pid = ngx_pid;
    torture_worker = NULL;

    if (torture_page == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return;
    }

    n = __sync_fetch_and_add(&torture_page->nworkers, 1);

    if (n >= TORTURE_WORKERS) {
        return;
    }

    torture_worker = &torture_page->worker[n];
    torture_worker->pid = (uint64_t) ngx_pid;

    torture_state = torture_seed * 0x9e3779b97f4a7c15
                    + (uint64_t) ngx_process_slot * 0xbf58476d1ce4e5b9 + 1;

    (void) torture_random();

    /* of so many places that are reached the first time, one fails */

    torture_rate = rates[torture_seed % 4];

    /* loads the unwinder, which allocates */

    (void) backtrace(frame, 1);
}


/* Maps the page, or returns one of this process. */

static torture_page_t *
torture_map(const char *name)
{
    int    fd;
    void  *page;

    if (name == NULL) {
        return &torture_none;
    }

    fd = open(name, O_RDWR);

    if (fd == -1) {
        return &torture_none;
    }

    page = mmap(NULL, sizeof(torture_page_t), PROT_READ|PROT_WRITE, MAP_SHARED,
                fd, 0);

    (void) close(fd);

    return page == MAP_FAILED ? &torture_none : page;
}


/*
 * Decides whether an allocation fails, and sets errno then.  Runs before
 * AddressSanitizer has started, when a function with arrays could not, which is
 * why some functions are not inlined.
 */

static ngx_uint_t
torture_fails(const char *what, size_t size)
{
    return torture_armed ? torture_draw(what, size) : 0;
}


static ngx_uint_t
torture_draw(const char *what, size_t size)
{
    uint64_t          random;
    torture_place_t  *place;

    if (torture_page->disarmed) {
        return 0;
    }

    torture_worker->allocations++;

    random = torture_random();
    place = torture_place();

    if (torture_burst) {
        torture_burst--;

    } else if (random % ((uint64_t) torture_rate * (1 + place->n / 8)) == 0) {

        /* one time of eight, up to 16 more fail */

        torture_burst = (random >> 40) % 8 == 0 ? (random >> 48) % 16 : 0;

    } else {
        return 0;
    }

    if (torture_excused()) {
        return 0;
    }

    torture_worker->failed++;
    torture_log(what, size, place->n);
    errno = ENOMEM;

    return 1;
}


/*
 * Finds the place that allocates and counts it.  Libraries without frame
 * pointers may lead to words of the stack that are no return addresses, but
 * never out of the stack.
 */

__attribute__((noinline, no_sanitize_address)) static torture_place_t *
torture_place(void)
{
    uintptr_t         key;
    uintptr_t       **frame, **next;
    ngx_uint_t        i;
    torture_place_t  *place;

    key = 0;
    frame = __builtin_frame_address(0);

    for (i = 0; i < TORTURE_DEPTH + 2; i++) {

        key = (key ^ (uintptr_t) frame[1]) * 0x9e3779b97f4a7c15;
        next = (uintptr_t **) frame[0];

        if (next <= frame || next > torture_top
            || ((uintptr_t) next & (sizeof(void *) - 1)))
        {
            break;
        }

        frame = next;
    }

    key |= 1;

    for (i = 0; i < 64; i++) {
        place = &torture_places[((key >> 32) + i) & (TORTURE_PLACES - 1)];

        if (place->key == key) {
            place->n++;
            return place;
        }

        if (place->key == 0) {
            place->key = key;
            return place;
        }
    }

    /* as good as full: places share one */

    place->n++;

    return place;
}


/*
 * Whether the allocation is that of ngx_http_subrequest() for a posted request:
 * if it fails, nginx keeps the reference to the request that it has taken, and
 * the connection stays open for ever (ngx_http_mirror_module).
 */

static ngx_uint_t
torture_excused(void)
{
    int         i, n;
    void       *frame[10];
    ngx_uint_t  excused;

    torture_armed = 0;

    n = backtrace(frame, 10);
    excused = 0;

    for (i = 0; i + 1 < n && !excused; i++) {
        excused = torture_is(frame[i], "ngx_http_post_request")
                  && torture_is(frame[i + 1], "ngx_http_subrequest");
    }

    torture_armed = 1;

    return excused;
}


/* Whether the address is in the function with this name, which is exported. */

static ngx_uint_t
torture_is(void *address, const char *name)
{
    Dl_info  info;

    return dladdr(address, &info) && info.dli_sname
           && strcmp(info.dli_sname, name) == 0;
}


/* xorshift64* */

static uint64_t
torture_random(void)
{
    torture_state ^= torture_state >> 12;
    torture_state ^= torture_state << 25;
    torture_state ^= torture_state >> 27;

    return (torture_state * 0x2545f4914f6cdd1d) >> 1;
}


/* Appends "PID NUMBER WHAT SIZE TIMES OBJECT+OFFSET ..." to the log. */

static void
torture_log(const char *what, size_t size, uint32_t n)
{
    int          fd, i, len, nframes;
    char         line[8192];
    void        *frame[TORTURE_FRAMES], *base;
    Dl_info      info;
    const char  *name;

    if (torture_file[0] == '\0') {
        return;
    }

    torture_armed = 0;

    len = snprintf(line, sizeof(line), "%d %lu %s %zu %u", (int) ngx_pid,
                   (unsigned long) torture_worker->allocations, what, size, n);

    nframes = backtrace(frame, TORTURE_FRAMES);
    base = dladdr((void *) torture_init, &info) ? info.dli_fbase : NULL;

    for (i = 2; i < nframes && len < (int) sizeof(line) - 512; i++) {

        if (dladdr(frame[i], &info) == 0 || info.dli_fname == NULL) {
            continue;
        }

        name = info.dli_fbase == base ? torture_nginx : info.dli_fname;

        len += snprintf(line + len, 500, " %s+0x%lx", name,
                        (unsigned long) ((char *) frame[i]
                                         - (char *) info.dli_fbase - 1));
    }

    line[len++] = '\n';

    fd = open(torture_file, O_WRONLY|O_CREAT|O_APPEND, 0666);

    if (fd != -1) {
        if (write(fd, line, len) != len) {
            /* a line that is lost is no fault of nginx */
        }

        (void) close(fd);
    }

    torture_armed = 1;
}


void *
malloc(size_t size)
{
    return torture_fails("malloc", size) ? NULL : __interceptor_malloc(size);
}


void *
calloc(size_t n, size_t size)
{
    return torture_fails("calloc", n * size) ? NULL
                                             : __interceptor_calloc(n, size);
}


void *
realloc(void *p, size_t size)
{
    return torture_fails("realloc", size) ? NULL
                                          : __interceptor_realloc(p, size);
}


int
posix_memalign(void **p, size_t alignment, size_t size)
{
    return torture_fails("memalign", size)
               ? ENOMEM : __interceptor_posix_memalign(p, alignment, size);
}


char *
strdup(const char *s)
{
    return torture_fails("strdup", strlen(s)) ? NULL : __interceptor_strdup(s);
}


void *
__wrap_ngx_slab_alloc(ngx_slab_pool_t *pool, size_t size)
{
    return torture_fails("slab", size) ? NULL
                                       : __real_ngx_slab_alloc(pool, size);
}


void *
__wrap_ngx_slab_alloc_locked(ngx_slab_pool_t *pool, size_t size)
{
    return torture_fails("slab", size)
               ? NULL : __real_ngx_slab_alloc_locked(pool, size);
}


void *
__wrap_ngx_slab_calloc(ngx_slab_pool_t *pool, size_t size)
{
    return torture_fails("slab", size) ? NULL
                                       : __real_ngx_slab_calloc(pool, size);
}


void *
__wrap_ngx_slab_calloc_locked(ngx_slab_pool_t *pool, size_t size)
{
    return torture_fails("slab", size)
               ? NULL : __real_ngx_slab_calloc_locked(pool, size);
}
