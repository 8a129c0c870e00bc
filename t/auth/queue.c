
/*
 * The queue of look-ups by commands, for t/auth/queue.t (MCPTest::Unit).
 */

#include <malloc.h>
#include "ngx_mcp_auth_queue.h"


#define MAX_ENTRIES  4096


static ngx_mcp_auth_queue_entry_t  entries[MAX_ENTRIES];


/* add N 4|6|unix|- ADDRESS known|unknown */

static void
command_add(int n, const char *family, const char *address, const char *known)
{
    ngx_int_t                    rc;
    struct sockaddr             *sa;
    struct sockaddr_in           sin;
    struct sockaddr_in6          sin6;
    ngx_mcp_auth_queue_entry_t  *victim;

    ngx_memzero(&sin, sizeof(sin));
    ngx_memzero(&sin6, sizeof(sin6));

    sin.sin_family = strcmp(family, "4") == 0 ? AF_INET : AF_UNIX;
    sin6.sin6_family = AF_INET6;

    (void) inet_pton(AF_INET, address, &sin.sin_addr);
    (void) inet_pton(AF_INET6, address, &sin6.sin6_addr);

    sa = strcmp(family, "-") == 0 ? NULL
         : strcmp(family, "6") == 0 ? (struct sockaddr *) &sin6
         : (struct sockaddr *) &sin;

    rc = ngx_mcp_auth_queue_add(&entries[n], sa, strcmp(known, "known") == 0,
                                &victim);

    printf("%s", rc == NGX_OK ? "ok" : rc == NGX_BUSY ? "busy" : "error");

    if (victim) {
        printf(" %d", (int) (victim - entries));
    }
}


__attribute__((constructor)) static void
commands(void)
{
    int                          n;
    char                         line[256], word[5][64];
    ngx_mcp_auth_queue_entry_t  *entry;
    static ngx_log_t             quiet;
    static ngx_cycle_t           cycle;

    /* nginx has none yet */

    cycle.log = &quiet;
    ngx_cycle = &cycle;

    while (fgets(line, sizeof(line), stdin)) {
        (void) sscanf(line, "%63s %63s %63s %63s %63s", word[0], word[1],
                      word[2], word[3], word[4]);
        n = atoi(word[1]);

        if (strcmp(word[0], "add") == 0) {
            command_add(n, word[2], word[3], word[4]);

        } else if (strcmp(word[0], "next") == 0) {
            entry = ngx_mcp_auth_queue_next();
            printf("%d", entry ? (int) (entry - entries) : -1);

        } else if (strcmp(word[0], "remove") == 0) {
            ngx_mcp_auth_queue_remove(&entries[n]);

        } else if (strcmp(word[0], "length") == 0) {
            printf("%d", (int) ngx_mcp_auth_queue_length());

        } else if (strcmp(word[0], "memory") == 0) {
            printf("%zu", mallinfo2().uordblks);
        }

        printf("\n");
        fflush(stdout);
    }

    exit(0);
}
