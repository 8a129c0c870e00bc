
/*
 * The wake-ups of workers by commands, for t/shm/wakeup.t (MCPTest::Unit): two
 * workers in one process, each with a copy of what belongs to a worker.
 *
 *     open ID [no-connection|no-event]   opens the socket of a worker
 *     close                              closes it
 *     send ID                            wakes a worker
 *     read [closing]                     the event of the socket
 *     fail recv|sendto|socket ERRNO      the next one fails
 *     state                              open descriptors, above those at first
 *     log                                what was logged
 *
 * ID is the begin of an id, the rest of which is zero.  What nginx was told
 * follows in an answer.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include "ngx_mcp_wakeup.h"


static ngx_cycle_t         cycle;
static ngx_log_t           log_;
static ngx_connection_t    connection;
static ngx_event_t         read_event, write_event;
static ngx_connection_t   *used;
static int                 no_connection, no_event;
static int                 recv_fails, sendto_fails, socket_fails;
static char                happened[4096], logged[4096];


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
    size_t  used_len;

    used_len = strlen(logged);

    snprintf(logged + used_len, sizeof(logged) - used_len, "%.*s | ",
             (int) len - 1, (char *) buf);
}


static int
fails(int *with)
{
    if (*with == 0) {
        return 0;
    }

    errno = *with;
    *with = 0;

    return 1;
}


/* libc */

ssize_t
recv(int s, void *buf, size_t len, int flags)
{
    return fails(&recv_fails)
           ? -1 : syscall(SYS_recvfrom, s, buf, len, flags, NULL, NULL);
}


ssize_t
sendto(int s, const void *buf, size_t len, int flags,
    const struct sockaddr *sa, socklen_t salen)
{
    return fails(&sendto_fails)
           ? -1 : syscall(SYS_sendto, s, buf, len, flags, sa, salen);
}


int
socket(int domain, int type, int protocol)
{
    return fails(&socket_fails)
           ? -1 : syscall(SYS_socket, domain, type, protocol);
}


/* nginx */

ngx_connection_t *
ngx_get_connection(ngx_socket_t s, ngx_log_t *log)
{
    if (no_connection) {
        return NULL;
    }

    ngx_memzero(&connection, sizeof(ngx_connection_t));
    ngx_memzero(&read_event, sizeof(ngx_event_t));
    ngx_memzero(&write_event, sizeof(ngx_event_t));

    connection.fd = s;
    connection.read = &read_event;
    connection.write = &write_event;
    read_event.data = &connection;
    write_event.data = &connection;
    write_event.write = 1;
    used = &connection;

    happens(" connection");

    return used;
}


void
ngx_free_connection(ngx_connection_t *c)
{
    happens(" freed");
    used = NULL;
}


void
ngx_close_connection(ngx_connection_t *c)
{
    happens(" closed");
    close(c->fd);
    used = NULL;
}


static ngx_int_t
add_event(ngx_event_t *ev, ngx_int_t event, ngx_uint_t flags)
{
    happens(" event:%d:%s%s%s", (int) (ev == &read_event),
            event == NGX_READ_EVENT ? "read" : "other",
            flags == NGX_CLEAR_EVENT ? ":clear" : "",
            read_event.channel && write_event.channel ? ":channel" : "");

    return no_event ? NGX_ERROR : NGX_OK;
}


static void
woken(void)
{
    happens(" woken");
}


/* commands */

static int
descriptors(void)
{
    int  n;
    DIR  *dir;

    dir = opendir("/proc/self/fd");

    for (n = 0; readdir(dir); n++) { /* void */ }

    closedir(dir);

    return n;
}


static u_char *
id_of(const char *text)
{
    static u_char  id[NGX_MCP_WORKER_ID_LEN];

    ngx_memzero(id, NGX_MCP_WORKER_ID_LEN);
    ngx_memcpy(id, text, ngx_min(strlen(text), NGX_MCP_WORKER_ID_LEN));

    return id;
}


static const char *
rc_name(ngx_int_t rc)
{
    return rc == NGX_OK ? "ok" : rc == NGX_DECLINED ? "declined" : "error";
}


static const char *
run(int n, char **word)
{
    static int  first;

    if (strcmp(word[0], "open") == 0) {
        no_connection = n > 2 && strcmp(word[2], "no-connection") == 0;
        no_event = n > 2 && strcmp(word[2], "no-event") == 0;
        return rc_name(ngx_mcp_wakeup_open(&cycle, id_of(word[1]), woken));
    }

    if (strcmp(word[0], "close") == 0) {
        ngx_mcp_wakeup_close();
        return "ok";
    }

    if (strcmp(word[0], "send") == 0) {
        return rc_name(ngx_mcp_wakeup_send(id_of(word[1]), &log_));
    }

    if (strcmp(word[0], "read") == 0) {
        connection.close = n > 1;
        read_event.ready = 1;
        read_event.handler(&read_event);
        return read_event.ready ? "ready" : "ok";
    }

    if (strcmp(word[0], "write") == 0) {
        write_event.handler(&write_event);
        return "ok";
    }

    if (strcmp(word[0], "fail") == 0) {
        *(word[1][0] == 'r' ? &recv_fails
          : word[1][1] == 'e' ? &sendto_fails : &socket_fails) = atoi(word[2]);
        return "ok";
    }

    if (strcmp(word[0], "state") == 0) {
        first = first ? first : descriptors();
        happens(" %d", descriptors() - first);
        return "descriptors";
    }

    if (strcmp(word[0], "log") == 0) {
        happens(" %s", logged);
        logged[0] = '\0';
        return "log";
    }

    return "unknown command";
}


__attribute__((constructor)) static void
commands(void)
{
    int          n;
    char         line[256], *word[4];
    const char  *answer;

    log_.log_level = NGX_LOG_INFO;
    log_.writer = writer;
    cycle.log = &log_;
    ngx_cycle = &cycle;
    ngx_use_stderr = 0;
    (void) ngx_strerror_init();
    ngx_event_actions.add = add_event;

    while (fgets(line, sizeof(line), stdin)) {

        for (n = 0; n < 4; n++) {
            word[n] = strtok(n ? NULL : line, " \n");
            if (word[n] == NULL) {
                break;
            }
        }

        happened[0] = '\0';
        answer = run(n, word);

        printf("%s%s\n", answer, happened);
        fflush(stdout);
    }

    exit(0);
}
