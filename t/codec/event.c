
/*
 * Blocks of events by commands, for t/codec/event.t (MCPTest::Unit).
 *
 *     alloc SLOT SIZE    an event with room for SIZE bytes
 *     free SLOT
 *
 * The answer has the slot whose freed event is the new one, or "-", and the
 * number of bytes of malloc() in use, less those at the first command.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <malloc.h>
#include "ngx_mcp_event.h"


static ngx_mcp_event_t  *events[26], *freed[26];


static size_t
used(void)
{
    struct mallinfo2  info;

    info = mallinfo2();

    return info.uordblks + info.hblkhd;
}


/* runs when nginx is loaded, before its own main() */

__attribute__((constructor)) static void
commands(void)
{
    int               i, slot, same;
    char              line[128], word[16], name;
    size_t            base;
    unsigned          size;
    ngx_log_t         quiet;
    ngx_mcp_event_t  *ev;
    static char       out[4096];

    ngx_memzero(&quiet, sizeof(ngx_log_t));
    setvbuf(stdout, out, _IOLBF, sizeof(out));

    base = 0;

    while (fgets(line, sizeof(line), stdin)) {
        same = '-';
        size = 0;

        (void) sscanf(line, "%15s %c %u", word, &name, &size);
        slot = name - 'a';

        if (base == 0) {
            base = used();
        }

        if (strcmp(word, "alloc") == 0) {
            ev = ngx_mcp_event_alloc(size, &quiet);
            ngx_memset(ev->pos, 'x', size);

            for (i = 0; i < 26; i++) {
                if (freed[i] == ev) {
                    same = 'a' + i;
                    freed[i] = NULL;
                }
            }

            events[slot] = ev;

        } else {
            freed[slot] = events[slot];
            ngx_mcp_event_free(events[slot]);
        }

        printf("%c %d\n", same, (int) (used() - base));
    }

    exit(0);
}
