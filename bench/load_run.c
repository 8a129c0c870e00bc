
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A run: connect, send messages, measure, wait for answers.
 *
 * A message is created when it is due, and sent as soon as a connection is
 * free, in the same order.  Messages from load_run_unsent on wait for one.
 */

#include "load_run.h"
#include "load_call.h"
#include "load_post.h"
#include "load_proc.h"
#include "load_stream.h"

#include <signal.h>


#define LOAD_RUN_TICK   10                    /* milliseconds */
#define LOAD_RUN_SETUP  (300 * LOAD_SEC)


static void load_run_connect(load_run_t *run);
static void load_run_until(load_nsec_t end);
static void load_run_fixed(load_nsec_t now);
static void load_run_tick(load_nsec_t now);
static void load_run_call(unsigned session, load_nsec_t intended);
static void load_run_pump(void);
static unsigned load_run_choose(void);
static void load_run_done(unsigned session, int refused);
static void load_run_signal(int signo);


static const load_conf_t       *load_run_conf;
static uint64_t                 load_run_unsent = 1;
static uint64_t                 load_run_calls = 1;
static unsigned                *load_run_held;    /* per session: messages
                                                     that are not in flight */
static load_nsec_t              load_run_next;
static double                   load_run_due;
static load_nsec_t              load_run_ticked;
static int                      load_run_sending;
static int                      load_run_measuring;
static volatile sig_atomic_t    load_run_stopped;


void
load_run(const load_conf_t *conf, volatile int *measuring, load_run_t *run)
{
    unsigned     i;
    load_nsec_t  begin;

    load_run_conf = conf;
    load_run_held = load_alloc(conf->sessions * sizeof(unsigned));

    load_call_init(load_run_done);
    load_run_connect(run);

    (void) signal(SIGINT, load_run_signal);

    load_run_sending = 1;
    load_run_next = load_now();
    load_run_due = (double) load_run_next;

    for (i = 0; i < conf->sessions && conf->rate == 0; i++) {
        load_run_held[i] = conf->outstanding;
    }

    load_run_until(load_now() + conf->warm_up);

    load_proc_note(load_proc_begin);
    run->own_cpu = load_proc_own();
    begin = load_now();
    load_run_measuring = 1;

    if (measuring) {
        *measuring = 1;
    }

    load_run_until(begin + conf->duration);

    if (measuring) {
        *measuring = 0;
    }

    run->seconds = (double) (load_now() - begin) / 1e9;
    run->own_cpu = load_proc_own() - run->own_cpu;
    load_proc_note(load_proc_end);

    load_run_sending = 0;
    load_run_stopped = 0;
    load_run_until(load_now() + conf->timeout);

    load_call_finish();
}


static void
load_run_connect(load_run_t *run)
{
    load_nsec_t          begin, end;
    load_stream_stat_t  *stat;
    const load_conf_t   *conf;

    conf = load_run_conf;
    stat = load_stream_stat();

    load_proc_note(load_proc_idle);

    begin = load_now();
    end = begin + LOAD_RUN_SETUP;

    load_stream_open(conf);

    while (stat->ready + stat->refused < conf->sessions && load_now() < end) {
        load_loop_wait(LOAD_RUN_TICK);
    }

    if (stat->ready < conf->sessions) {
        load_fatal("%u of %u sessions opened, %u refused, the last with %d",
                   stat->ready, conf->sessions, stat->refused, stat->status);
    }

    run->opened = (double) (load_now() - begin) / 1e9;

    load_proc_note(load_proc_streams);

    load_post_open(conf);

    while (load_post_free() < conf->connections && load_now() < end) {
        load_loop_wait(LOAD_RUN_TICK);
    }

    if (load_post_free() < conf->connections) {
        load_fatal("%u of %u connections for messages opened",
                   load_post_free(), conf->connections);
    }
}


static void
load_run_until(load_nsec_t end)
{
    load_nsec_t  now;

    for ( ;; ) {
        now = load_now();

        if (now >= end || load_run_stopped
            || (!load_run_sending && load_call_open() == 0))
        {
            break;
        }

        if (load_run_sending && load_run_conf->rate > 0) {
            load_run_fixed(now);
        }

        if (now - load_run_ticked >= LOAD_RUN_TICK * LOAD_MSEC) {
            load_run_tick(now);
        }

        load_loop_wait(LOAD_RUN_TICK);
    }
}


/* creates all messages that are due; their times count from when they were */

static void
load_run_fixed(load_nsec_t now)
{
    while (load_run_next <= now) {
        load_run_call(load_run_choose(), load_run_next);

        load_run_due += (double) LOAD_SEC / load_run_conf->rate;
        load_run_next = (load_nsec_t) load_run_due;
    }

    load_loop_wake_at(load_run_next);
}


/* closed loop: sends the first messages, and again after a refusal */

static void
load_run_tick(load_nsec_t now)
{
    unsigned  i;

    load_run_ticked = now;

    load_post_retry();
    load_run_pump();

    if (!load_run_sending || load_run_conf->rate > 0) {
        return;
    }

    for (i = 0; i < load_run_conf->sessions; i++) {
        while (load_run_held[i] && load_stream_usable(i)) {
            load_run_held[i]--;
            load_run_call(i, load_now());
        }
    }
}


static void
load_run_call(unsigned session, load_nsec_t intended)
{
    load_run_calls = load_call_create(session, intended, load_run_measuring)
                     + 1;

    load_run_pump();
}


static void
load_run_pump(void)
{
    while (load_run_unsent < load_run_calls && load_post_free()) {
        load_post_send(load_run_unsent++);
    }
}


/*
 * A random session: otherwise each would always use the same connection.
 * Sessions whose stream has ended are skipped, unless all have.
 */

static unsigned
load_run_choose(void)
{
    unsigned         i, session;
    static uint32_t  x = 2463534242;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;

    session = x % load_run_conf->sessions;

    for (i = 0; i < load_run_conf->sessions; i++) {
        if (load_stream_usable(session)) {
            break;
        }

        session = (session + 1) % load_run_conf->sessions;
    }

    return session;
}


static void
load_run_done(unsigned session, int refused)
{
    load_run_pump();

    if (load_run_conf->rate > 0) {
        return;
    }

    if (refused || !load_run_sending || !load_stream_usable(session)) {
        load_run_held[session]++;
        return;
    }

    load_run_call(session, load_now());
}


static void
load_run_signal(int signo)
{
    (void) signo;

    load_run_stopped = 1;
}
