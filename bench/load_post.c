
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Connections on which messages are posted.
 *
 * Connections are never freed; each has a buffer for one request.  A
 * connection sends the next message after the response to the previous one.
 */

#include "load_post.h"
#include "load_call.h"
#include "load_http.h"
#include "load_sse.h"
#include "load_stream.h"


#define LOAD_POST_HEADERS  1024

/* longer bodies are not searched for the answer: their end is */

#define LOAD_POST_BODY     (64 * 1024)


typedef struct load_post_s  load_post_t;

struct load_post_s {
    load_conn_t           conn;   /* first member: handlers cast it */
    load_http_t           http;
    load_sse_t            sse;
    const load_target_t  *target;
    char                 *buf;
    char                 *body;   /* of the response, its first part */
    size_t                len;    /* of all of it */
    load_answer_t         answer;
    uint64_t              id;     /* of the message in flight; 0: none */
    load_post_t          *next;
    unsigned              closed:1;
};


static void load_post_connect(load_post_t *post);
static void load_post_ready(load_conn_t *c);
static void load_post_data(load_conn_t *c, const char *p, size_t n,
    load_nsec_t at);
static void load_post_end(load_conn_t *c);
static void load_post_reconnect(load_post_t *post);
static void load_post_unlink(load_post_t *post);
static void load_post_body(void *data, const char *p, size_t n);
static void load_post_event(void *data, const char *name, const char *text,
    size_t len);
static int load_post_answered(load_post_t *post);
static int load_post_headers(load_post_t *post, uint64_t id, size_t length);
static size_t load_post_request(load_post_t *post, uint64_t id);


static const load_conf_t   *load_post_conf;
static load_post_t         *load_posts;
static load_post_t         *load_post_first;
static load_post_t        **load_post_last = &load_post_first;
static unsigned             load_post_nfree;
static unsigned             load_post_nclosed;
static unsigned             load_post_nreconnects;
static const char          *load_post_id;     /* "@ID@" in conf->body */


void
load_post_open(const load_conf_t *conf)
{
    size_t        size;
    unsigned      i;
    load_post_t  *post;

    load_post_conf = conf;
    load_post_id = strstr(conf->body, "@ID@");
    load_posts = load_alloc(conf->connections * sizeof(load_post_t));

    size = LOAD_POST_HEADERS + strlen(conf->body) + strlen(conf->credential);

    for (i = 0; i < conf->connections; i++) {
        post = &load_posts[i];

        post->target = &conf->posts[i % conf->nposts];
        post->buf = load_alloc(size);

        post->conn.ready = load_post_ready;
        post->conn.data = load_post_data;
        post->conn.end = load_post_end;

        post->http.body = load_post_body;
        post->http.data = post;
        post->http.header = conf->header;

        post->sse.event = load_post_event;
        post->sse.data = post;

        if (conf->kind == load_conf_mcp) {
            post->body = load_alloc(LOAD_POST_BODY);
        }

        load_post_connect(post);
    }
}


static void
load_post_connect(load_post_t *post)
{
    if (load_conn_open(&post->conn, post->target) != LOAD_OK) {
        post->closed = 1;
        load_post_nclosed++;
    }
}


/* puts a connection at the end of the list of free ones */

static void
load_post_ready(load_conn_t *c)
{
    load_post_t  *post;

    post = (load_post_t *) c;

    load_http_reset(&post->http);
    memset(&post->answer, 0, sizeof(load_answer_t));

    post->sse.len = 0;
    post->sse.line = 0;

    post->id = 0;
    post->len = 0;
    post->next = NULL;

    *load_post_last = post;
    load_post_last = &post->next;
    load_post_nfree++;
}


void
load_post_send(uint64_t id)
{
    size_t        len;
    load_post_t  *post;

    post = load_post_first;

    load_post_first = post->next;
    load_post_nfree--;

    if (load_post_first == NULL) {
        load_post_last = &load_post_first;
    }

    len = load_post_request(post, id);

    post->id = id;

    load_stream_sent(load_call_session(id), id);
    load_call_sent(id, load_now());

    if (load_conn_send(&post->conn, post->buf, len) != LOAD_OK) {
        load_post_end(&post->conn);
    }
}


static size_t
load_post_request(load_post_t *post, uint64_t id)
{
    int                 n, digits;
    char                text[24];
    size_t              before;
    const char         *after;
    const load_conf_t  *conf;

    conf = load_post_conf;

    digits = snprintf(text, sizeof(text), "%llu",
                      conf->fixed ? 1ULL : (unsigned long long) id);
    before = (size_t) (load_post_id - conf->body);
    after = load_post_id + sizeof("@ID@") - 1;

    n = load_post_headers(post, id,
                          before + (size_t) digits + strlen(after));

    n += sprintf(post->buf + n, "%.*s%s%s", (int) before, conf->body, text,
                 after);

    return (size_t) n;
}


static int
load_post_headers(load_post_t *post, uint64_t id, size_t length)
{
    int                 n, size;
    const char         *session;
    const load_conf_t  *conf;

    conf = load_post_conf;
    session = load_stream_id(load_call_session(id));
    size = LOAD_POST_HEADERS + (int) strlen(conf->credential);

    n = snprintf(post->buf, (size_t) size,
                 "POST %s HTTP/1.1\r\n"
                 "Host: %s\r\n"
                 "Authorization: %s\r\n"
                 "Content-Type: application/json\r\n"
                 "%s%s%s%s"
                 "Content-Length: %zu\r\n\r\n",
                 load_stream_uri(load_call_session(id)),
                 conf->host ? conf->host : post->target->text,
                 conf->credential,
                 conf->kind == load_conf_sse ? ""
                     : "Accept: application/json, text/event-stream\r\n"
                       "MCP-Protocol-Version: " LOAD_CONF_VERSION "\r\n",
                 session ? "Mcp-Session-Id: " : "",
                 session ? session : "", session ? "\r\n" : "",
                 length);

    if (n >= size - 24) {
        load_fatal("the URI or the session id is too long");
    }

    return n;
}


static void
load_post_data(load_conn_t *c, const char *p, size_t n, load_nsec_t at)
{
    int            answered, status;
    uint64_t       id;
    unsigned       where, session;
    load_post_t   *post;
    load_answer_t  answer;

    post = (load_post_t *) c;

    if (post->id == 0
        || load_http_feed(&post->http, p, n) != LOAD_OK)
    {
        load_conn_close(c);
        load_post_end(c);
        return;
    }

    if (!post->http.done) {
        return;
    }

    id = post->id;
    status = post->http.status;
    session = load_call_session(id);
    answered = load_post_answered(post);
    answer = post->answer;

    where = load_call_class(load_stream_worker(session), post->http.worker);

    if (post->http.last) {
        load_conn_close(c);
        load_post_reconnect(post);

    } else {
        load_post_ready(c);
    }

    if (answered) {
        load_call_answered(id, session, answer.error, at);
    }

    load_call_status(id, status, where, at);
}


/* whether the response is the answer; over HTTP+SSE that is an event */

static int
load_post_answered(load_post_t *post)
{
    load_http_t  *http;

    http = &post->http;

    if (load_post_conf->kind == load_conf_sse || http->status / 100 != 2) {
        return 0;
    }

    if (load_post_conf->kind == load_conf_post) {
        return 1;
    }

    if (!http->events) {

        if (post->len > LOAD_POST_BODY) {
            return 1;
        }

        load_sse_answer(post->body, post->len, &post->answer);
    }

    return !post->answer.method && post->answer.has_id
           && post->answer.id == (load_post_conf->fixed ? 1 : post->id);
}


static void
load_post_end(load_conn_t *c)
{
    uint64_t      id;
    load_post_t  *post;

    post = (load_post_t *) c;
    id = post->id;

    if (c->connecting) {
        post->closed = 1;
        load_post_nclosed++;
        return;
    }

    if (id == 0) {
        load_post_unlink(post);
    }

    load_post_reconnect(post);

    if (id) {
        load_call_broken(id);
    }
}


static void
load_post_reconnect(load_post_t *post)
{
    post->id = 0;
    load_post_nreconnects++;

    load_post_connect(post);
}


/* removes a connection from the list of free ones */

static void
load_post_unlink(load_post_t *post)
{
    load_post_t  **p;

    for (p = &load_post_first; *p; p = &(*p)->next) {

        if (*p == post) {
            *p = post->next;
            load_post_nfree--;

            if (*p == NULL) {
                load_post_last = p;
            }

            return;
        }
    }
}


void
load_post_retry(void)
{
    unsigned      i;
    load_post_t  *post;

    if (load_post_nclosed == 0) {
        return;
    }

    load_post_nclosed = 0;

    for (i = 0; i < load_post_conf->connections; i++) {
        post = &load_posts[i];

        if (post->closed) {
            post->closed = 0;
            load_post_connect(post);
        }
    }
}


/* keeps the first part of a JSON response; looks for the answer in events */

static void
load_post_body(void *data, const char *p, size_t n)
{
    load_post_t  *post;

    post = data;

    if (load_post_conf->kind != load_conf_mcp) {
        return;
    }

    if (post->http.events) {
        load_sse_feed(&post->sse, p, n);
        return;
    }

    if (post->len + n <= LOAD_POST_BODY) {
        memcpy(post->body + post->len, p, n);
    }

    post->len += n;
}


static void
load_post_event(void *data, const char *name, const char *text, size_t len)
{
    load_post_t    *post;
    load_answer_t   answer;

    (void) name;

    post = data;

    load_sse_answer(text, len, &answer);

    if (!answer.method && answer.has_id) {
        post->answer = answer;
    }
}


unsigned
load_post_free(void)
{
    return load_post_nfree;
}


unsigned
load_post_reconnects(void)
{
    return load_post_nreconnects;
}
