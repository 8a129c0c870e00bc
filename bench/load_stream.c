
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Sessions; each may have an open stream.
 *
 * Sessions are never freed.  Over HTTP+SSE a session is ready when its stream
 * has brought the endpoint event (or, with -U, when it is open) and, with -I,
 * after its handshake.  Over Streamable HTTP it is ready after its handshake
 * and, with -u, when its stream is open.
 */

#include "load_stream.h"
#include "load_call.h"
#include "load_http.h"
#include "load_setup.h"
#include "load_sse.h"


#define LOAD_STREAM_AT_ONCE  100


typedef struct {
    load_conn_t           conn;   /* first member: handlers cast it */
    load_http_t           http;
    load_sse_t            sse;
    load_nsec_t           at;
    const load_target_t  *target;
    char                 *request;
    char                 *uri;    /* of messages */
    char                 *id;     /* Mcp-Session-Id, NULL: none */
    char                  worker[32];
    uint64_t              sent;   /* last message, for -i */
    unsigned              session;
    unsigned              open:1;
    unsigned              ready:1;
    unsigned              ended:1;
} load_stream_t;


static void load_stream_start(void);
static void load_stream_get(load_stream_t *stream);
static void load_stream_ready(load_conn_t *c);
static void load_stream_data(load_conn_t *c, const char *p, size_t n,
    load_nsec_t at);
static void load_stream_end(load_conn_t *c);
static void load_stream_body(void *data, const char *p, size_t n);
static void load_stream_event(void *data, const char *name, const char *text,
    size_t len);
static void load_stream_opened(load_stream_t *stream);
static void load_stream_setup(unsigned session, const char *id,
    const char *worker, int status);
static void load_stream_usable_now(load_stream_t *stream);
static void load_stream_refused(load_stream_t *stream, int status);
static char *load_stream_numbered(const char *uri, unsigned session);


static const load_conf_t   *load_stream_conf;
static load_stream_t       *load_streams;
static unsigned             load_stream_started;
static load_stream_stat_t   load_stream_stats;


void
load_stream_open(const load_conf_t *conf)
{
    unsigned  i, n;

    load_stream_conf = conf;
    load_streams = load_alloc(conf->sessions * sizeof(load_stream_t));

    /* without a session nothing is waited for */

    n = (conf->kind == load_conf_post) ? conf->sessions : LOAD_STREAM_AT_ONCE;

    for (i = 0; i < conf->sessions && i < n; i++) {
        load_stream_start();
    }
}


static void
load_stream_start(void)
{
    load_stream_t      *stream;
    const load_conf_t  *conf;

    conf = load_stream_conf;

    if (load_stream_started == conf->sessions) {
        return;
    }

    stream = &load_streams[load_stream_started];

    stream->target = &conf->streams[load_stream_started % conf->nstreams];
    stream->session = load_stream_started++;

    if (conf->post_uri) {
        stream->uri = load_stream_numbered(conf->post_uri, stream->session);
    }

    switch (conf->kind) {

    case load_conf_sse:
        load_stream_get(stream);
        break;

    case load_conf_mcp:
        load_setup(conf, stream->session, stream->target, stream->uri,
                   load_stream_setup);
        break;

    default: /* load_conf_post */
        stream->ready = 1;
        load_stream_stats.ready++;
    }
}


/* opens the stream */

static void
load_stream_get(load_stream_t *stream)
{
    char               *uri, id[160];
    const load_conf_t  *conf;

    conf = load_stream_conf;

    stream->conn.ready = load_stream_ready;
    stream->conn.data = load_stream_data;
    stream->conn.end = load_stream_end;

    stream->http.body = load_stream_body;
    stream->http.data = stream;
    stream->http.header = conf->header;
    load_http_reset(&stream->http);

    stream->sse.event = load_stream_event;
    stream->sse.data = stream;

    id[0] = '\0';

    if (stream->id) {
        (void) snprintf(id, sizeof(id), "Mcp-Session-Id: %.127s\r\n",
                        stream->id);
    }

    uri = load_stream_numbered(conf->uri, stream->session);

    if (asprintf(&stream->request, "GET %s HTTP/1.1\r\n"
                 "Host: %s\r\n"
                 "Authorization: %s\r\n"
                 "%s"
                 "Accept: text/event-stream\r\n\r\n",
                 uri, conf->host ? conf->host : stream->target->text,
                 conf->credential, id)
        == -1)
    {
        load_fatal("no memory");
    }

    free(uri);

    if (load_conn_open(&stream->conn, stream->target) != LOAD_OK) {
        load_fatal("cannot connect to \"%s\": %s", stream->target->text,
                   strerror(errno));
    }
}


static void
load_stream_ready(load_conn_t *c)
{
    load_stream_t  *stream;

    stream = (load_stream_t *) c;

    if (load_conn_send(c, stream->request, strlen(stream->request))
        != LOAD_OK)
    {
        load_stream_end(c);
    }
}


static void
load_stream_data(load_conn_t *c, const char *p, size_t n, load_nsec_t at)
{
    load_stream_t  *stream;

    stream = (load_stream_t *) c;

    stream->at = at;

    if (load_http_feed(&stream->http, p, n) != LOAD_OK
        || stream->http.done)
    {
        load_conn_close(c);
        load_stream_end(c);
        return;
    }

    /* a stream whose messages go elsewhere is open after its headers */

    if (stream->http.status == 200 && stream->uri) {
        load_stream_opened(stream);
    }
}


static void
load_stream_end(load_conn_t *c)
{
    load_stream_t  *stream;

    stream = (load_stream_t *) c;

    if (stream->ended) {
        return;
    }

    stream->ended = 1;
    load_stream_stats.ended++;

    if (!stream->open) {
        load_stream_refused(stream, stream->http.status);
    }
}


static void
load_stream_body(void *data, const char *p, size_t n)
{
    load_stream_t  *stream;

    stream = data;

    if (stream->http.status == 200) {
        load_sse_feed(&stream->sse, p, n);
    }
}


static void
load_stream_event(void *data, const char *name, const char *text, size_t len)
{
    load_answer_t   answer;
    load_stream_t  *stream;

    stream = data;

    if (strcmp(name, "endpoint") == 0) {

        if (stream->uri == NULL) {
            stream->uri = load_stream_numbered(text, stream->session);
            load_stream_opened(stream);
        }

        return;
    }

    load_stream_stats.events++;

    load_sse_answer(text, len, &answer);

    if (strcmp(name, "message") != 0 || answer.method || !answer.has_id
        || (answer.id == 0 && load_stream_conf->initialize))
    {
        load_stream_stats.others++;
        return;
    }

    if (load_stream_conf->fixed && answer.id == 1) {
        answer.id = stream->sent;
    }

    load_call_answered(answer.id, stream->session, answer.error, stream->at);
}


static void
load_stream_opened(load_stream_t *stream)
{
    const load_conf_t  *conf;

    if (stream->open) {
        return;
    }

    stream->open = 1;

    conf = load_stream_conf;

    memcpy(stream->worker, stream->http.worker, sizeof(stream->worker));

    if (conf->kind == load_conf_sse && conf->initialize) {
        load_setup(conf, stream->session, stream->target, stream->uri,
                   load_stream_setup);
        return;
    }

    load_stream_usable_now(stream);
}


/* the handshake has ended */

static void
load_stream_setup(unsigned session, const char *id, const char *worker,
    int status)
{
    load_stream_t  *stream;

    stream = &load_streams[session];

    if (id == NULL) {
        load_stream_refused(stream, status);
        return;
    }

    if (load_stream_conf->kind == load_conf_sse) {
        load_stream_usable_now(stream);
        return;
    }

    (void) snprintf(stream->worker, sizeof(stream->worker), "%s", worker);

    if (*id) {
        stream->id = strdup(id);
        if (stream->id == NULL) {
            load_fatal("no memory");
        }
    }

    if (load_stream_conf->uri) {
        load_stream_get(stream);
        return;
    }

    load_stream_usable_now(stream);
}


static void
load_stream_usable_now(load_stream_t *stream)
{
    stream->ready = 1;
    load_stream_stats.ready++;
    load_stream_start();
}


static void
load_stream_refused(load_stream_t *stream, int status)
{
    stream->ended = 1;

    load_stream_stats.refused++;
    load_stream_stats.status = status;
    load_stream_start();
}


/* returns a copy in which @N@ is the number of the session */

static char *
load_stream_numbered(const char *uri, unsigned session)
{
    char        *copy;
    const char  *at;

    at = strstr(uri, "@N@");

    if (at == NULL) {
        copy = strdup(uri);

    } else if (asprintf(&copy, "%.*s%u%s", (int) (at - uri), uri, session,
                        at + sizeof("@N@") - 1)
               == -1)
    {
        copy = NULL;
    }

    if (copy == NULL) {
        load_fatal("no memory");
    }

    return copy;
}


int
load_stream_usable(unsigned session)
{
    return load_streams[session].ready && !load_streams[session].ended;
}


void
load_stream_sent(unsigned session, uint64_t id)
{
    load_streams[session].sent = id;
}


const char *
load_stream_uri(unsigned session)
{
    return load_streams[session].uri;
}


const char *
load_stream_id(unsigned session)
{
    return load_streams[session].id;
}


const char *
load_stream_worker(unsigned session)
{
    return load_streams[session].worker;
}


load_stream_stat_t *
load_stream_stat(void)
{
    unsigned  i;

    load_stream_stats.comments = 0;

    for (i = 0; i < load_stream_started; i++) {
        load_stream_stats.comments += load_streams[i].sse.comments;
    }

    return &load_stream_stats;
}
