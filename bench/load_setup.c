
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The handshake of a session: initialize, notifications/initialized.
 *
 * A handshake is never freed, since an event of its connection may still come;
 * its request is.
 */

#include "load_setup.h"
#include "load_http.h"


#define LOAD_SETUP_INITIALIZE                                                 \
    "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":"     \
    "{\"protocolVersion\":\"" LOAD_CONF_VERSION "\",\"capabilities\":{},"     \
    "\"clientInfo\":{\"name\":\"load\",\"version\":\"1\"}}}"

#define LOAD_SETUP_INITIALIZED                                                \
    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"


typedef struct {
    load_conn_t           conn;   /* first member: handlers cast it */
    load_http_t           http;
    const load_conf_t    *conf;
    const load_target_t  *target;
    const char           *uri;
    char                 *request;
    char                  id[128];
    unsigned              session;
    unsigned              initialized:1;

    void                (*done)(unsigned session, const char *id,
                                const char *worker, int status);
} load_setup_t;


static void load_setup_ready(load_conn_t *c);
static void load_setup_send(load_setup_t *setup, const char *body);
static void load_setup_data(load_conn_t *c, const char *p, size_t n,
    load_nsec_t at);
static void load_setup_response(load_setup_t *setup);
static void load_setup_end(load_conn_t *c);
static void load_setup_body(void *data, const char *p, size_t n);


void
load_setup(const load_conf_t *conf, unsigned session,
    const load_target_t *target, const char *uri,
    void (*done)(unsigned session, const char *id, const char *worker,
                 int status))
{
    load_setup_t  *setup;

    setup = load_alloc(sizeof(load_setup_t));

    setup->conf = conf;
    setup->session = session;
    setup->target = target;
    setup->uri = uri;
    setup->done = done;

    setup->conn.ready = load_setup_ready;
    setup->conn.data = load_setup_data;
    setup->conn.end = load_setup_end;

    setup->http.body = load_setup_body;
    setup->http.header = conf->header;

    if (load_conn_open(&setup->conn, target) != LOAD_OK) {
        load_fatal("cannot connect to \"%s\": %s", target->text,
                   strerror(errno));
    }
}


static void
load_setup_ready(load_conn_t *c)
{
    load_setup_t  *setup;

    setup = (load_setup_t *) c;

    load_setup_send(setup, setup->initialized ? LOAD_SETUP_INITIALIZED
                                              : LOAD_SETUP_INITIALIZE);
}


static void
load_setup_send(load_setup_t *setup, const char *body)
{
    char               *old, version[64], session[160];
    const load_conf_t  *conf;

    conf = setup->conf;
    old = setup->request;

    version[0] = '\0';
    session[0] = '\0';

    if (setup->initialized) {
        (void) snprintf(version, sizeof(version),
                        "MCP-Protocol-Version: %s\r\n", LOAD_CONF_VERSION);
    }

    if (setup->id[0]) {
        (void) snprintf(session, sizeof(session), "Mcp-Session-Id: %s\r\n",
                        setup->id);
    }

    if (asprintf(&setup->request, "POST %s HTTP/1.1\r\n"
                 "Host: %s\r\n"
                 "Authorization: %s\r\n"
                 "Accept: application/json, text/event-stream\r\n"
                 "Content-Type: application/json\r\n"
                 "%s%s"
                 "Content-Length: %zu\r\n\r\n%s",
                 setup->uri, conf->host ? conf->host : setup->target->text,
                 conf->credential, version, session, strlen(body), body)
        == -1)
    {
        load_fatal("no memory");
    }

    free(old);

    load_http_reset(&setup->http);

    if (load_conn_send(&setup->conn, setup->request, strlen(setup->request))
        != LOAD_OK)
    {
        load_setup_end(&setup->conn);
    }
}


static void
load_setup_data(load_conn_t *c, const char *p, size_t n, load_nsec_t at)
{
    load_setup_t  *setup;

    (void) at;

    setup = (load_setup_t *) c;

    if (load_http_feed(&setup->http, p, n) != LOAD_OK) {
        load_conn_close(c);
        load_setup_end(c);
        return;
    }

    if (setup->http.done) {
        load_setup_response(setup);
    }
}


/* a server may close the connection after the first response */

static void
load_setup_response(load_setup_t *setup)
{
    if (setup->http.status / 100 != 2) {
        load_conn_close(&setup->conn);
        load_setup_end(&setup->conn);
        return;
    }

    if (setup->initialized) {
        load_conn_close(&setup->conn);
        free(setup->request);
        setup->done(setup->session, setup->id, setup->http.worker, 0);
        return;
    }

    setup->initialized = 1;
    memcpy(setup->id, setup->http.session, sizeof(setup->id));

    if (!setup->http.last) {
        load_setup_send(setup, LOAD_SETUP_INITIALIZED);
        return;
    }

    load_conn_close(&setup->conn);

    if (load_conn_open(&setup->conn, setup->target) != LOAD_OK) {
        load_setup_end(&setup->conn);
    }
}


static void
load_setup_end(load_conn_t *c)
{
    int            status;
    load_setup_t  *setup;

    setup = (load_setup_t *) c;
    status = setup->http.status;

    free(setup->request);
    setup->done(setup->session, NULL, NULL, status > 0 ? status : 0);
}


static void
load_setup_body(void *data, const char *p, size_t n)
{
    (void) data;
    (void) p;
    (void) n;
}
