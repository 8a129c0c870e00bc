
/*
 * The timers of the module by commands, for t/core/timer.t (MCPTest::Unit), on
 * top of nginx's own.
 *
 *     begin                         runs all that are set, and forgets them
 *     time MS                       moves the clock
 *     set NAME MS | del NAME        a timer; each name is one
 *     again NAME MS [OTHER]         its handler sets it, or another one, again
 *     expire                        nginx runs what is due
 *     next                          in how many ms nginx wakes up; -1: never
 *     hold | release
 *     left                          whether timers keep a worker from its end
 *     exiting                       the worker shuts down
 *     spread MS RANDOM
 *
 * The names of timers that ran follow in an answer.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "ngx_mcp_timer.h"


typedef struct {
    ngx_mcp_timer_t   timer;
    char              name[8];
    ngx_msec_t        again;
    ngx_uint_t        other;
} named_t;


static named_t      named_[8];
static ngx_cycle_t  cycle;
static ngx_log_t    log_;
static char         happened[1024];


static void
handler(void *data)
{
    named_t  *n = data;

    strcat(happened, " ");
    strcat(happened, n->name);

    if (n->again) {
        ngx_mcp_timer_set(&named_[n->other].timer, n->again - 1);
        n->again = 0;
    }
}


static void
exiting(void)
{
    strcat(happened, " exits");
}


static ngx_uint_t
of(const char *name)
{
    ngx_uint_t  i;

    for (i = 0; named_[i].name[0] && strcmp(named_[i].name, name) != 0; i++) {
        /* void */
    }

    strcpy(named_[i].name, name);
    named_[i].timer.handler = handler;
    named_[i].timer.data = &named_[i];

    return i;
}


static void
run(int n, char **word)
{
    long      number;
    named_t  *o;

    number = n > 2 ? atol(word[2]) : n > 1 ? atol(word[1]) : 0;

    if (strcmp(word[0], "begin") == 0) {
        ngx_current_msec += 1000000;
        ngx_event_expire_timers();
        ngx_memzero(named_, sizeof(named_));
        happened[0] = '\0';

    } else if (strcmp(word[0], "time") == 0) {
        ngx_current_msec += number;

    } else if (strcmp(word[0], "set") == 0) {
        ngx_mcp_timer_set(&named_[of(word[1])].timer, number);

    } else if (strcmp(word[0], "del") == 0) {
        ngx_mcp_timer_del(&named_[of(word[1])].timer);

    } else if (strcmp(word[0], "again") == 0) {
        o = &named_[of(word[1])];
        o->again = number + 1;
        o->other = of(word[n > 3 ? 3 : 1]);

    } else if (strcmp(word[0], "expire") == 0) {
        ngx_event_expire_timers();

    } else if (strcmp(word[0], "next") == 0) {
        sprintf(happened, " %ld", (long) (ngx_msec_int_t)
                                  ngx_event_find_timer());

    } else if (strcmp(word[0], "hold") == 0) {
        ngx_mcp_timer_hold();

    } else if (strcmp(word[0], "release") == 0) {
        ngx_mcp_timer_release();

    } else if (strcmp(word[0], "left") == 0) {
        strcpy(happened, ngx_event_no_timers_left() == NGX_OK ? " no"
                                                              : " yes");

    } else if (strcmp(word[0], "exiting") == 0) {
        ngx_exiting = 1;

    } else if (strcmp(word[0], "spread") == 0) {
        sprintf(happened, " %lu", (unsigned long)
                ngx_mcp_timer_spread(strtoul(word[1], NULL, 10), number));

    } else {
        strcpy(happened, " unknown command");
    }
}


__attribute__((constructor)) static void
commands(void)
{
    int   n;
    char  line[256], *word[5];

    log_.log_level = NGX_LOG_EMERG;
    cycle.log = &log_;
    ngx_cycle = &cycle;
    ngx_current_msec = 1000000;

    (void) ngx_event_timer_init(&log_);
    ngx_mcp_timer_init(&cycle, exiting);

    while (fgets(line, sizeof(line), stdin)) {

        for (n = 0; n < 5; n++) {
            word[n] = strtok(n ? NULL : line, " \n");
            if (word[n] == NULL) {
                break;
            }
        }

        happened[0] = '\0';
        run(n, word);

        printf("%s\n", happened[0] ? happened + 1 : "ok");
        fflush(stdout);
    }

    exit(0);
}
