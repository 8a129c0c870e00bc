
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Sessions; each has an open stream.
 *
 * Streams are never freed.
 */

#include "load_stream.h"
#include "load_call.h"
#include "load_http.h"
#include "load_sse.h"


#define LOAD_STREAM_AT_ONCE  100


typedef struct {
    load_conn_t     conn;         /* first member: handlers cast it */
    load_http_t     http;
    load_sse_t      sse;
    load_nsec_t     at;
    char           *request;
    char           *uri;
    unsigned        session;
    unsigned        ended:1;
} load_stream_t;


static void load_stream_start(void);
static void load_stream_ready(load_conn_t *c);
static void load_stream_data(load_conn_t *c, const char *p, size_t n,
    load_nsec_t at);
static void load_stream_end(load_conn_t *c);
static void load_stream_body(void *data, const char *p, size_t n);
static void load_stream_event(void *data, const char *name, const char *text,
    size_t len);


static const load_conf_t   *load_stream_conf;
static load_stream_t       *load_streams;
static unsigned             load_stream_started;
static load_stream_stat_t   load_stream_stats;


void
load_stream_open(const load_conf_t *conf)
{
    unsigned  i;

    load_stream_conf = conf;
    load_streams = load_alloc(conf->sessions * sizeof(load_stream_t));

    for (i = 0; i < conf->sessions && i < LOAD_STREAM_AT_ONCE; i++) {
        load_stream_start();
    }
}


static void
load_stream_start(void)
{
    load_stream_t        *stream;
    const load_conf_t    *conf;
    const load_target_t  *target;

    conf = load_stream_conf;

    if (load_stream_started == conf->sessions) {
        return;
    }

    stream = &load_streams[load_stream_started];
    target = &conf->streams[load_stream_started % conf->nstreams];

    stream->session = load_stream_started++;

    stream->conn.ready = load_stream_ready;
    stream->conn.data = load_stream_data;
    stream->conn.end = load_stream_end;

    stream->http.body = load_stream_body;
    stream->http.data = stream;
    stream->http.header = conf->header;
    load_http_reset(&stream->http);

    stream->sse.event = load_stream_event;
    stream->sse.data = stream;

    if (asprintf(&stream->request, "GET %s HTTP/1.1\r\n"
                 "Host: %s\r\n"
                 "Authorization: %s\r\n"
                 "Accept: text/event-stream\r\n\r\n",
                 conf->uri, conf->host ? conf->host : target->text,
                 conf->credential)
        == -1)
    {
        load_fatal("no memory");
    }

    if (load_conn_open(&stream->conn, target) != LOAD_OK) {
        load_fatal("cannot connect to \"%s\": %s", target->text,
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

    if (stream->uri == NULL) {
        load_stream_stats.refused++;
        load_stream_stats.status = stream->http.status;
        load_stream_start();
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

    if (strcmp(name, "endpoint") == 0 && stream->uri == NULL) {

        stream->uri = strdup(text);
        if (stream->uri == NULL) {
            load_fatal("no memory");
        }

        load_stream_stats.ready++;
        load_stream_start();
        return;
    }

    load_stream_stats.events++;

    load_sse_answer(text, len, &answer);

    if (strcmp(name, "message") != 0 || answer.method || !answer.has_id) {
        load_stream_stats.others++;
        return;
    }

    load_call_answered(answer.id, stream->session, answer.error, stream->at);
}


int
load_stream_usable(unsigned session)
{
    return load_streams[session].uri && !load_streams[session].ended;
}


const char *
load_stream_uri(unsigned session)
{
    return load_streams[session].uri;
}


const char *
load_stream_worker(unsigned session)
{
    return load_streams[session].http.worker;
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
