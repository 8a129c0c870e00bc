
/*
 * A stream by commands, for t/stream/stream.t (MCPTest::Zone), with those of
 * t/shm/shm.c: src/stream on top of a client and an output filter of the test.
 *
 *     N get [event] [head]           opens the stream
 *     N send BYTES | N send none     an event, or none for want of memory
 *     N end BYTES | N end none       the last event
 *     N takes BYTES | N takes all    the client takes as many from now on
 *     N has-room BYTES               for a notification
 *     N postponed 0|1                the output waits for a subrequest
 *     N write | N write timed-out    runs the write handler
 *
 * What the command did follows in its answer.  "out:N": the stream gave the
 * output filter events of N bytes; "flushed": and asked to send them at once;
 * "got:N": the client received N bytes; "finalize:RC", "last": as nginx calls
 * it; "closed:REASON": the owner of the stream was told.
 */

#define OTHER_COMMANDS
#include "../shm/shm.c"
#include "ngx_mcp_ctx.h"
#include "ngx_mcp_heartbeat.h"
#include "ngx_mcp_stream.h"


static ngx_http_request_t        request;
static ngx_connection_t          connection;
static ngx_event_t               read_event, write_event;
static ngx_http_log_ctx_t        log_ctx;
static ngx_log_t                 connection_log;
static ngx_mcp_ctx_t             ctx;
static ngx_http_core_loc_conf_t  core_loc_conf;
static ngx_mcp_stream_t         *stream;
static ngx_chain_t              *held;         /* by the filter */
static size_t                    takes;        /* bytes that the client takes */
static ngx_int_t                 filter_rc, header_rc, nodelay_rc;
static ngx_uint_t                holds;


static void freed(void *p) { }


static ngx_int_t
other_init(void)
{
    ngx_mcp_sessions_init(&handlers);
    ngx_mcp_announce_init(announced);
    ngx_event_timer_init(&log_);

    return ngx_mcp_workers_init(&cycle, registered);
}


/* nginx */

ngx_int_t
ngx_http_send_header(ngx_http_request_t *r)
{
    happens(" header:%d:%.*s:%d", (int) r->headers_out.status,
            (int) r->headers_out.content_type.len,
            r->headers_out.content_type.data,
            (int) r->headers_out.content_length_n);

    return header_rc;
}


ngx_int_t
ngx_mcp_header_add(ngx_http_request_t *r, const char *name, const char *value)
{
    happens(" %s:%s", name, strcmp(value, "no") == 0 ? value : "...");

    return NGX_OK;
}


/* what the client takes leaves the chain */

static void
client(void)
{
    size_t        n, size;
    ngx_chain_t  *cl;

    n = 0;

    while (held && takes) {
        size = ngx_min(takes, (size_t) ngx_buf_size(held->buf));

        held->buf->pos += size;
        takes -= size;
        n += size;

        if (ngx_buf_size(held->buf)) {
            break;
        }

        cl = held;
        held = held->next;
        ngx_free_chain(pool, cl);
    }

    if (n) {
        happens(" got:%d", (int) n);
    }

    connection.buffered = held ? 1 : 0;
}


ngx_int_t
ngx_http_output_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    size_t        n;
    ngx_chain_t  *cl, **ll;

    n = 0;

    for (ll = &held; *ll; ll = &(*ll)->next) { /* void */ }

    for ( /* void */ ; in; in = in->next) {
        cl = ngx_alloc_chain_link(pool);
        cl->buf = in->buf;
        cl->next = NULL;
        *ll = cl;
        ll = &cl->next;

        n += ngx_buf_size(in->buf);

        if (in->next == NULL) {
            happens(" out:%d%s%s", (int) n, in->buf->flush ? ":flushed" : "",
                    in->buf->memory ? "" : ":not-memory");
        }
    }

    if (n == 0) {
        happens(" out");
    }

    if (filter_rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    client();

    return held ? NGX_AGAIN : NGX_OK;
}


ngx_int_t
ngx_http_send_special(ngx_http_request_t *r, ngx_uint_t flags)
{
    happens(" last");

    return NGX_OK;
}


void
ngx_http_finalize_request(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_chain_t         *cl;
    ngx_http_cleanup_t  *cln;

    happens(" finalize:%d", (int) rc);

    for (cln = r->cleanup; cln; cln = cln->next) {
        if (cln->handler) {
            cln->handler(cln->data);
        }
    }

    while (held) {
        cl = held;
        held = held->next;
        ngx_free_chain(pool, cl);
    }

    ngx_destroy_pool(r->pool);
    r->pool = NULL;
    r->cleanup = NULL;
}


void
ngx_http_run_posted_requests(ngx_connection_t *c)
{
}


ngx_int_t
ngx_handle_write_event(ngx_event_t *wev, size_t lowat)
{
    happens(" write-event:%d", (int) lowat);

    return NGX_OK;
}


ngx_int_t
ngx_tcp_nodelay(ngx_connection_t *c)
{
    happens(" nodelay");

    return nodelay_rc;
}


ngx_msec_t
ngx_mcp_timer_spread(ngx_msec_t msec, ngx_uint_t random)
{
    return msec;
}


void
ngx_mcp_timer_hold(void)
{
    holds++;
}


void
ngx_mcp_timer_release(void)
{
    holds--;
}


static void
reads(ngx_event_t *ev)
{
    happens(" reads");
}


static void
stream_closed(void *data, ngx_uint_t reason)
{
    happens(" closed:%s%s", reason_of(reason), stream ? " with-stream" : "");
}


static ngx_mcp_event_t *
event(int n)
{
    ngx_mcp_event_t  *ev;

    if (strcmp(word[n], "none") == 0) {
        return NULL;
    }

    ev = ngx_mcp_event_alloc(number(n), &log_);
    ev->last = ev->pos + number(n);
    ngx_memset(ev->pos, 'x', number(n));

    return ev;
}


static void
prepare(void)
{
    static void  *ctxs[2], *loc_confs[2];

    ngx_http_core_module.ctx_index = 1;

    ngx_memzero(&request, sizeof(ngx_http_request_t));
    ngx_memzero(&ctx, sizeof(ngx_mcp_ctx_t));
    ngx_memzero(&connection, sizeof(ngx_connection_t));

    ctxs[0] = &ctx;
    loc_confs[0] = &loc_conf;
    loc_confs[1] = &core_loc_conf;

    core_loc_conf.send_timeout = 7000;
    core_loc_conf.send_lowat = 5;

    connection_log = log_;
    connection_log.data = &log_ctx;
    connection.log = &connection_log;
    connection.read = &read_event;
    connection.write = &write_event;
    read_event.handler = reads;
    read_event.log = &log_;
    write_event.log = &log_;

    request.ctx = ctxs;
    request.loc_conf = loc_confs;
    request.connection = &connection;
    request.main = &request;
    request.count = 1;
    request.pool = ngx_create_pool(1024, &log_);
}


/* get [event] [head] [no-limit] */

static const char *
command_get(void)
{
    int                      i;
    ngx_int_t                rc;
    ngx_mcp_event_t         *first;
    ngx_mcp_stream_owner_t   owner;

    prepare();
    ngx_memzero(&owner, sizeof(ngx_mcp_stream_owner_t));

    owner.stream = &stream;
    owner.closed = stream_closed;
    owner.conf = &loc_conf;
    owner.limit = 100;

    for (i = 2; i < nwords; i++) {
        owner.keepalive_event |= (strcmp(word[i], "event") == 0);
        request.header_only |= (strcmp(word[i], "head") == 0);
    }

    first = ngx_mcp_event_alloc(10, &log_);
    first->last = first->pos + 10;

    rc = ngx_mcp_stream_open(&request, &owner, first);

    happens(" count:%d%s%s", (int) request.count, stream ? " open" : "",
            request.read_event_handler == ngx_http_test_reading
            ? " tests-reading" : "");

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(&request, rc);
    }

    return rc == NGX_HTTP_INTERNAL_SERVER_ERROR ? "500" : rc_name(rc);
}


static const char *
command_write(void)
{
    write_event.timedout = (nwords > 2);
    request.write_event_handler(&request);
    write_event.timedout = 0;

    return "ok";
}


static const char *
command_connection(void)
{
    if (write_event.timer_set) {
        happens(" timer:%d", (int) (write_event.timer.key - ngx_current_msec));
    }

    happens(" %s%s%s", request.write_event_handler
                       == ngx_http_request_empty_handler ? "empty" : "write",
            stream ? " open" : "", connection.timedout ? " timed-out" : "");
    happens(" holds:%d", (int) holds);

    return "connection";
}


static const char *
other_command(void)
{
    if (strcmp(word[1], "get") == 0) {
        return command_get();
    }

    if (strcmp(word[1], "send") == 0) {
        ngx_mcp_stream_send(stream, event(2));
        return "ok";
    }

    if (strcmp(word[1], "end") == 0) {
        ngx_mcp_stream_end(stream, event(2));
        return stream ? "still there" : "ok";
    }

    if (strcmp(word[1], "takes") == 0) {
        takes = strcmp(word[2], "all") == 0 ? (size_t) 1 << 40 : number(2);
        return "ok";
    }

    if (strcmp(word[1], "has-room") == 0) {
        return ngx_mcp_stream_has_room(stream, number(2)) ? "yes" : "no";
    }

    if (strcmp(word[1], "write") == 0) {
        return command_write();
    }

    if (strcmp(word[1], "client-gone") == 0) {
        ngx_http_finalize_request(&request, 0);
        return "ok";
    }

    if (strcmp(word[1], "connection") == 0) {
        return command_connection();
    }

    if (strcmp(word[1], "postponed") == 0) {
        request.postponed = number(2) ? (void *) &request : NULL;
        return "ok";
    }

    if (strcmp(word[1], "delayed") == 0) {
        write_event.delayed = number(2);
        return "ok";
    }

    if (strcmp(word[1], "queue-counters") == 0) {
        happens(" %d %d", (int) ngx_mcp_zone()->root->counters
                                .counts[NGX_MCP_COUNT_QUEUE_FULL],
                (int) ngx_mcp_zone()->root->counters
                      .counts[NGX_MCP_COUNT_SEND_TIMEOUT]);
        return "counters";
    }

    if (strcmp(word[1], "set") == 0) {
        if (strcmp(word[2], "filter") == 0) {
            filter_rc = atoi(word[3]);

        } else if (strcmp(word[2], "header") == 0) {
            header_rc = atoi(word[3]);

        } else if (strcmp(word[2], "nodelay") == 0) {
            core_loc_conf.tcp_nodelay = 1;
            nodelay_rc = atoi(word[3]);

        } else if (strcmp(word[2], "read-ready") == 0) {
            read_event.ready = number(3);

        } else if (strcmp(word[2], "keepalive") == 0) {
            loc_conf.keepalive = number(3);
        }

        return "ok";
    }

    return NULL;
}
