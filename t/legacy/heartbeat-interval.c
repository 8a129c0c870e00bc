
/*
 * When heartbeats are due, by commands, for t/legacy/heartbeat-interval.t
 * (MCPTest::Unit).
 */

#include "ngx_mcp_heartbeat.h"


static ngx_mcp_heartbeat_t  hb;


static void
handler(void *data)
{
}


static void
exiting(void)
{
}


/* start KEEPALIVE EVENT: the interval, and the timer */

static void
command_start(ngx_msec_t keepalive, ngx_uint_t event)
{
    ngx_mcp_timer_del(&hb.timer);
    ngx_memzero(&hb, sizeof(hb));

    ngx_mcp_heartbeat_start(&hb, keepalive, event, handler, &hb);

    printf("%lu %lu", (unsigned long) hb.interval,
           (unsigned long) (hb.timer.node.key - ngx_current_msec));
}


/* due NOW: whether, which one, and the time to the next one */

static void
command_due(void)
{
    ngx_uint_t  due;

    ngx_mcp_timer_del(&hb.timer);

    due = ngx_mcp_heartbeat_due(&hb);

    printf("%d %d %ld", (int) due, (int) hb.beats,
           hb.timer.set ? (long) (hb.timer.node.key - ngx_current_msec) : -1);
}


__attribute__((constructor)) static void
commands(void)
{
    char                line[256], word[16];
    unsigned long       a, b;
    static ngx_log_t    quiet;
    static ngx_cycle_t  cycle;

    /* nginx has none yet */

    cycle.log = &quiet;
    ngx_cycle = &cycle;

    (void) ngx_event_timer_init(&quiet);
    ngx_mcp_timer_init(&cycle, exiting);

    while (fgets(line, sizeof(line), stdin)) {
        a = b = 0;
        (void) sscanf(line, "%15s %lu %lu", word, &a, &b);

        if (strcmp(word, "spread") == 0) {
            printf("%lu", (unsigned long) ngx_mcp_timer_spread(a, b));

        } else if (strcmp(word, "start") == 0) {
            command_start(a, b);

        } else if (strcmp(word, "interval") == 0) {
            hb.interval = a;

        } else if (strcmp(word, "sent") == 0) {
            ngx_current_msec = a;
            ngx_mcp_heartbeat_sent(&hb);

        } else if (strcmp(word, "due") == 0) {
            ngx_current_msec = a;
            command_due();
        }

        printf("\n");
        fflush(stdout);
    }

    exit(0);
}
