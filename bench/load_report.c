
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Report of a run, as a table and as JSON.
 *
 * The JSON is one flat object, so that shell scripts can parse it with sed.
 */

#include "load_report.h"
#include "load_call.h"
#include "load_hist.h"
#include "load_post.h"
#include "load_proc.h"
#include "load_stream.h"


#define LOAD_REPORT_SHARES   4
#define LOAD_REPORT_MOMENTS  3
#define LOAD_REPORT_MANY     500


static void load_report_messages(const load_run_t *run);
static void load_report_statuses(void);
static void load_report_times(const load_conf_t *conf,
    const load_pipe_t *pipe);
static void load_report_classes(const char *what, const load_hist_t *h);
static void load_report_handover(const load_pipe_t *pipe);
static void load_report_hist(const char *name, const load_hist_t *h);
static void load_report_less(const char *name, const load_hist_t *h,
    const load_hist_t *base, const load_hist_t *more);
static void load_report_processes(const load_run_t *run);
static double load_report_process(const load_proc_t *proc);
static void load_report_memory(const load_proc_t *procs, unsigned n);
static double load_report_ms(const load_hist_t *h, double share);
static void load_report_key(const char *name, const char *suffix,
    double value);


static const char  *load_report_where[LOAD_CALL_CLASSES] = {
    "same", "other", "instance", "unknown"
};

static const double  load_report_shares[LOAD_REPORT_SHARES] = {
    0.5, 0.9, 0.99, 0.999
};

static const char  *load_report_suffixes[LOAD_REPORT_SHARES] = {
    "p50", "p90", "p99", "p99.9"
};

static const unsigned  load_report_moments[LOAD_REPORT_MOMENTS] = {
    load_proc_idle, load_proc_streams, load_proc_end
};

static char    *load_report_json;
static size_t   load_report_size;
static FILE    *load_report_keys;


int
load_report(const load_conf_t *conf, const load_run_t *run,
    const load_pipe_t *pipe)
{
    load_call_stat_t  *stat;

    stat = load_call_stat();

    load_report_keys = open_memstream(&load_report_json, &load_report_size);
    if (load_report_keys == NULL) {
        load_fatal("no memory");
    }

    (void) printf("%u sessions in %.2f s, %u connections, ", conf->sessions,
                  run->opened, conf->connections);

    if (conf->rate > 0) {
        (void) printf("%g messages/s", conf->rate);

    } else {
        (void) printf("closed loop of %u", conf->outstanding);
    }

    (void) printf(", measured for %.2f s\n\n", run->seconds);

    load_report_key("sessions", NULL, conf->sessions);
    load_report_key("connections", NULL, conf->connections);
    load_report_key("rate", NULL, conf->rate);
    load_report_key("seconds", NULL, run->seconds);
    load_report_key("opened", NULL, run->opened);

    load_report_messages(run);
    load_report_times(conf, pipe);
    load_report_processes(run);

    (void) fclose(load_report_keys);

    (void) printf("\n{%s}\n", load_report_json + 1);

    free(load_report_json);

    return stat->lost || stat->doubled || stat->unexpected
           || stat->answered == 0;
}


static void
load_report_messages(const load_run_t *run)
{
    double               rate;
    load_call_stat_t    *stat;
    load_stream_stat_t  *streams;

    stat = load_call_stat();
    streams = load_stream_stat();

    rate = (run->seconds > 0) ? (double) stat->measured / run->seconds : 0;

    (void) printf("sent %llu, accepted %llu, answered %llu (%llu errors), "
                  "%.0f answers/s\n",
                  (unsigned long long) stat->sent,
                  (unsigned long long) stat->accepted,
                  (unsigned long long) stat->answered,
                  (unsigned long long) stat->errors, rate);

    (void) printf("lost %llu, doubled %llu, unexpected %llu\n",
                  (unsigned long long) stat->lost,
                  (unsigned long long) stat->doubled,
                  (unsigned long long) stat->unexpected);

    load_report_statuses();

    (void) printf("streams ended %u, other events %llu, comments %llu, "
                  "reconnects %u\n\n", streams->ended,
                  (unsigned long long) streams->others,
                  (unsigned long long) streams->comments,
                  load_post_reconnects());

    load_report_key("sent", NULL, (double) stat->sent);
    load_report_key("accepted", NULL, (double) stat->accepted);
    load_report_key("answered", NULL, (double) stat->answered);
    load_report_key("errors", NULL, (double) stat->errors);
    load_report_key("refused", NULL, (double) stat->refused);
    load_report_key("broken", NULL, (double) stat->broken);
    load_report_key("unfinished", NULL, (double) stat->unfinished);
    load_report_key("lost", NULL, (double) stat->lost);
    load_report_key("doubled", NULL, (double) stat->doubled);
    load_report_key("unexpected", NULL, (double) stat->unexpected);
    load_report_key("ended", NULL, streams->ended);
    load_report_key("answers_per_second", NULL, rate);
}


static void
load_report_statuses(void)
{
    char               suffix[8];
    unsigned           i;
    load_call_stat_t  *stat;

    stat = load_call_stat();

    (void) printf("refused %llu, broken %llu, unfinished %llu",
                  (unsigned long long) stat->refused,
                  (unsigned long long) stat->broken,
                  (unsigned long long) stat->unfinished);

    for (i = 0; i < 600; i++) {
        if (stat->statuses[i] && i / 100 != 2) {
            (void) printf(", %llu x %u",
                          (unsigned long long) stat->statuses[i], i);
            (void) snprintf(suffix, sizeof(suffix), "%u", i);
            load_report_key("status", suffix, (double) stat->statuses[i]);
        }
    }

    (void) printf("\n");
}


static void
load_report_times(const load_conf_t *conf, const load_pipe_t *pipe)
{
    unsigned            i;
    load_call_stat_t   *stat;
    static load_hist_t  all;

    stat = load_call_stat();

    (void) printf("%-24s%9s%9s%9s%9s%9s%9s\n", "milliseconds", "n", "p50",
                  "p90", "p99", "p99.9", "max");

    load_report_hist("late", &stat->late);

    if (conf->kind == load_conf_sse) {
        load_report_classes("202", stat->accept);
    }

    load_report_classes("answer", stat->answer);

    for (i = 0; i < LOAD_CALL_CLASSES; i++) {
        load_hist_merge(&all, &stat->answer[i]);
    }

    load_report_hist("answer all", &all);

    if (pipe) {
        load_report_hist("pipe trip", &pipe->trip);
        load_report_hist("pipe late", &pipe->late);
    }

    (void) printf("\n");

    load_report_classes("served", stat->served);

    if (pipe) {
        load_report_hist("pipe echo", &pipe->echo);
    }

    if (conf->kind == load_conf_sse) {
        load_report_classes("behind", stat->behind);
    }

    if (pipe) {
        load_report_hist("pipe way", &pipe->way);
        load_report_handover(pipe);
    }
}


static void
load_report_classes(const char *what, const load_hist_t *h)
{
    char      name[32];
    unsigned  i;

    for (i = 0; i < LOAD_CALL_CLASSES; i++) {
        (void) snprintf(name, sizeof(name), "%s %s", what,
                        load_report_where[i]);
        load_report_hist(name, &h[i]);
    }
}


/*
 * Differences of percentiles, which are not percentiles of differences: the
 * hand-over (served - served same), the hand-over above one way through the
 * pipe, and, as an upper bound, the whole message above the echo of the pipe.
 */

static void
load_report_handover(const load_pipe_t *pipe)
{
    char                name[32];
    unsigned            i;
    load_call_stat_t   *stat;
    const load_hist_t  *same;

    (void) printf("\n");

    stat = load_call_stat();
    same = &stat->served[load_call_same];

    for (i = load_call_other; i <= load_call_instance; i++) {
        (void) snprintf(name, sizeof(name), "handover %s",
                        load_report_where[i]);
        load_report_less(name, &stat->served[i], same, NULL);
    }

    for (i = load_call_other; i <= load_call_instance; i++) {
        (void) snprintf(name, sizeof(name), "handover %s - way",
                        load_report_where[i]);
        load_report_less(name, &stat->served[i], same, &pipe->way);

        (void) snprintf(name, sizeof(name), "served %s - echo",
                        load_report_where[i]);
        load_report_less(name, &stat->served[i], &pipe->echo, NULL);
    }
}


static void
load_report_hist(const char *name, const load_hist_t *h)
{
    double    ms;
    unsigned  i;

    if (h->count == 0) {
        return;
    }

    (void) printf("%-24s%9llu", name, (unsigned long long) h->count);
    load_report_key(name, "n", (double) h->count);

    for (i = 0; i < LOAD_REPORT_SHARES; i++) {
        ms = load_report_ms(h, load_report_shares[i]);

        (void) printf("%9.3f", ms);
        load_report_key(name, load_report_suffixes[i], ms);
    }

    (void) printf("%9.3f\n", (double) h->max / 1e6);
    load_report_key(name, "max", (double) h->max / 1e6);
}


/* prints h - base - more, unless one is empty; "more" may be NULL */

static void
load_report_less(const char *name, const load_hist_t *h,
    const load_hist_t *base, const load_hist_t *more)
{
    double    ms;
    unsigned  i;

    if (h->count == 0 || base->count == 0 || (more && more->count == 0)) {
        return;
    }

    (void) printf("%-33s", name);

    for (i = 0; i < LOAD_REPORT_SHARES; i++) {
        ms = load_report_ms(h, load_report_shares[i])
             - load_report_ms(base, load_report_shares[i])
             - (more ? load_report_ms(more, load_report_shares[i]) : 0);

        (void) printf("%+9.3f", ms);
        load_report_key(name, load_report_suffixes[i], ms);
    }

    (void) printf("\n");
}


static void
load_report_processes(const load_run_t *run)
{
    double              cpu, opening, per;
    uint64_t            measured;
    unsigned            i, n;
    const load_proc_t  *procs;

    procs = load_proc_list(&n);
    cpu = 0;
    opening = 0;

    if (n) {
        (void) printf("\n%-24s%9s%9s%9s%9s%9s%9s%9s%9s\n", "process",
                      "user s", "system s", "rss MB", "streams", "after",
                      "pss MB", "streams", "after");
    }

    for (i = 0; i < n; i++) {
        cpu += load_report_process(&procs[i]);
        opening += procs[i].usage[load_proc_streams].cpu
                   - procs[i].usage[load_proc_idle].cpu;
    }

    (void) printf("%-24s%9.2f    the load generator\n", n ? "" : "\nCPU s",
                  run->own_cpu);
    load_report_key("own_cpu", NULL, run->own_cpu);

    if (n == 0) {
        return;
    }

    measured = load_call_stat()->measured;
    per = measured ? cpu * 1e6 / (double) measured : 0;

    (void) printf("%.2f s of CPU in total, %.1f us per answer\n", cpu, per);

    load_report_key("cpu", NULL, cpu);
    load_report_key("cpu_opening", NULL, opening);
    load_report_key("cpu_us_per_answer", NULL, per);

    load_report_memory(procs, n);
}


/* prints a process and returns its CPU seconds in the measurement */

static double
load_report_process(const load_proc_t *proc)
{
    char                      name[32];
    double                    user, system;
    unsigned                  i;
    const load_proc_usage_t  *u;

    u = proc->usage;

    user = u[load_proc_end].user - u[load_proc_begin].user;
    system = u[load_proc_end].system - u[load_proc_begin].system;

    (void) snprintf(name, sizeof(name), "%s %d%s", proc->name,
                    (int) proc->pid, u[load_proc_end].gone ? " gone" : "");

    (void) printf("%-24s%9.2f%9.2f", name, user, system);

    for (i = 0; i < LOAD_REPORT_MOMENTS; i++) {
        (void) printf("%9.1f",
                      (double) u[load_report_moments[i]].rss / 1e6);
    }

    for (i = 0; i < LOAD_REPORT_MOMENTS; i++) {
        (void) printf("%9.1f",
                      (double) u[load_report_moments[i]].pss / 1e6);
    }

    (void) printf("\n");

    return u[load_proc_end].cpu - u[load_proc_begin].cpu;
}


/* memory of all processes, and of a stream if there are enough of them */

static void
load_report_memory(const load_proc_t *procs, unsigned n)
{
    double    each, sum[LOAD_REPORT_MOMENTS];
    unsigned  i, k;

    for (k = 0; k < LOAD_REPORT_MOMENTS; k++) {
        sum[k] = 0;

        for (i = 0; i < n; i++) {
            sum[k] += (double) procs[i].usage[load_report_moments[k]].pss;
        }
    }

    load_report_key("pss", "idle", sum[0]);
    load_report_key("pss", "streams", sum[1]);
    load_report_key("pss", "after", sum[2]);

    if (load_stream_stat()->ready >= LOAD_REPORT_MANY) {
        each = (sum[1] - sum[0]) / load_stream_stat()->ready;

        (void) printf("%.0f bytes of memory (pss) per stream\n", each);
        load_report_key("pss", "per_stream", each);
    }
}


static double
load_report_ms(const load_hist_t *h, double share)
{
    load_nsec_t  value;

    value = load_hist_at(h, share);

    return (double) value / 1e6;
}


/* "answer other" and "p99" become "answer_other_p99" */

static void
load_report_key(const char *name, const char *suffix, double value)
{
    char  key[64], *p;

    (void) snprintf(key, sizeof(key), "%s%s%s", name, suffix ? "_" : "",
                    suffix ? suffix : "");

    for (p = strstr(key, " - "); p; p = NULL) {
        memmove(p + 1, p + 3, strlen(p + 3) + 1);
        *p = '-';
    }

    for (p = key; *p; p++) {
        if (*p == ' ') {
            *p = '_';
        }
    }

    (void) fprintf(load_report_keys, ",\"%s\":%.10g", key, value);
}
