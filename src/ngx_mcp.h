
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Types that several rooms share, limits, the version.
 *
 * A type that a single room uses is in a header of that room.
 */

#ifndef _NGX_MCP_H_INCLUDED_
#define _NGX_MCP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_mcp_client.h"
#include "ngx_mcp_envelope.h"
#include "ngx_mcp_jsonrpc_answer.h"
#include "ngx_mcp_jsonrpc.h"
#include "ngx_mcp_session_id.h"
#include "ngx_mcp_event.h"
#include "ngx_mcp_timer.h"


#define NGX_MCP_VERSION  "0.1.0"

#define NGX_MCP_MAX_HEADERS_SIZE  16384   /* bytes, forwarded to Frappe */
#define NGX_MCP_MAX_NAME_LEN      128     /* bytes, of a value of $mcp_sse_* */
#define NGX_MCP_WORKER_ID_LEN     16      /* random bytes */


typedef struct ngx_mcp_call_s      ngx_mcp_call_t;
typedef struct ngx_mcp_stream_s    ngx_mcp_stream_t;
typedef struct ngx_mcp_session_s   ngx_mcp_session_t;
typedef struct ngx_mcp_task_s      ngx_mcp_task_t;
typedef struct ngx_mcp_question_s  ngx_mcp_question_t;
typedef struct ngx_mcp_receiver_s  ngx_mcp_receiver_t;
typedef struct ngx_mcp_primary_s   ngx_mcp_primary_t;
typedef struct ngx_mcp_listen_s    ngx_mcp_listen_t;
typedef struct ngx_mcp_sink_s      ngx_mcp_sink_t;
typedef struct ngx_mcp_auth_lookup_s    ngx_mcp_auth_lookup_t;
typedef struct ngx_mcp_auth_waiter_s    ngx_mcp_auth_waiter_t;
typedef struct ngx_mcp_exchange_s  ngx_mcp_exchange_t;
typedef struct ngx_mcp_remote_send_s   ngx_mcp_remote_send_t;
typedef struct ngx_mcp_modern_s    ngx_mcp_modern_t;


/*
 * The outcome of the delivery of a message.  The answers to the client are in
 * endpoint/ngx_mcp_message.c, the acknowledgements between instances in
 * bus/ngx_mcp_remote_send.c.
 */

typedef enum {
    NGX_MCP_DELIVERY_ACCEPTED = 0,     /* the owner of the session has it */
    NGX_MCP_DELIVERY_NO_SESSION,
    NGX_MCP_DELIVERY_INBOX_FULL,
    NGX_MCP_DELIVERY_ZONE_FULL,
    NGX_MCP_DELIVERY_ERROR,            /* of this server: no memory */

    /* not executed, may be tried again: */

    NGX_MCP_DELIVERY_STREAM_LOST,      /* the stream may come back */
    NGX_MCP_DELIVERY_RETRY,            /* the session may be alive */

    /* another instance is being asked: */

    NGX_MCP_DELIVERY_PENDING,          /* it does not have the message */
    NGX_MCP_DELIVERY_SENT,             /* it may have the message */

    /* no acknowledgement by the deadline: */

    NGX_MCP_DELIVERY_UNREACHABLE,      /* not executed */
    NGX_MCP_DELIVERY_UNACKNOWLEDGED    /* may have been executed */
} ngx_mcp_delivery_e;


/* the values of $mcp_sse_result; the words are in http/ngx_mcp_variables.c */

typedef enum {
    NGX_MCP_RESULT_NONE = 0,
    NGX_MCP_RESULT_OK,
    NGX_MCP_RESULT_ERROR,
    NGX_MCP_RESULT_BACKEND,
    NGX_MCP_RESULT_TIMEOUT,
    NGX_MCP_RESULT_CANCELLED,
    NGX_MCP_RESULT_TOO_LARGE,
    NGX_MCP_RESULT_DROPPED,
    NGX_MCP_RESULT_LOCAL,
    NGX_MCP_RESULT_REFUSED
} ngx_mcp_result_e;


/* why a session ends; the words are in session/ngx_mcp_session_end.c */

typedef enum {
    NGX_MCP_CLOSE_CLIENT_LEFT = 0,
    NGX_MCP_CLOSE_SLOW_CLIENT,
    NGX_MCP_CLOSE_IDLE,
    NGX_MCP_CLOSE_EVICTED,
    NGX_MCP_CLOSE_REPLACED,
    NGX_MCP_CLOSE_UNAUTHORIZED,
    NGX_MCP_CLOSE_EXPIRED,
    NGX_MCP_CLOSE_STOPPING,
    NGX_MCP_CLOSE_NO_MEMORY,
    NGX_MCP_CLOSE_DELETED
} ngx_mcp_close_reason_e;


#define NGX_MCP_REDIS_MAX_PREFIX_LEN  128


/* a Redis, a sentinel, or a node of a cluster */

typedef struct {
    ngx_str_t                    name;         /* for logs: HOST:PORT, or the
                                                  path of a socket */
    ngx_str_t                    host;         /* no port, no brackets; empty:
                                                  unix socket */
    in_port_t                    port;
    ngx_addr_t                  *addrs;        /* NULL: by the resolver, at run
                                                  time */
    ngx_uint_t                   naddrs;
} ngx_mcp_redis_server_t;


typedef enum {
    NGX_MCP_REDIS_PLAIN = 0,     /* the server is the master */
    NGX_MCP_REDIS_SENTINEL,      /* the servers are sentinels */
    NGX_MCP_REDIS_CLUSTER        /* they are nodes of a cluster */
} ngx_mcp_redis_mode_e;


/* mcp_sse_redis, or the Redis of mcp_sse_events; in the pool of the cycle */

typedef struct {
    ngx_str_t                    name;         /* for logs, without secrets */
    ngx_mcp_redis_mode_e         mode;
    ngx_array_t                 *servers;      /* of ngx_mcp_redis_server_t, at
                                                  least one */
    ngx_str_t                    master;       /* name of the sentinels' set */
    ngx_str_t                    user;
    ngx_str_t                    password;
    ngx_str_t                    sentinel_user;
    ngx_str_t                    sentinel_password;
    ngx_int_t                    database;
    ngx_str_t                    prefix;       /* of mcp_sse_events: the
                                                  channel */
    ngx_uint_t                   slot;         /* of the prefix, in a cluster */
    ngx_msec_t                   timeout;
    ngx_msec_t                   connect_timeout;
    ngx_resolver_t              *resolver;     /* or NULL */
    ngx_msec_t                   resolver_timeout;

    unsigned                     tls:1;
    ngx_ssl_t                   *ssl;          /* or NULL: no TLS */
    ngx_flag_t                   ssl_verify;
    ngx_str_t                    ssl_name;     /* of the certificate, and SNI;
                                                  empty: the host */
} ngx_mcp_redis_conf_t;


/* mcp_sse_events; in the pool of the cycle */

typedef struct {
    ngx_mcp_redis_conf_t         redis;
    ngx_str_t                    channel;      /* that Frappe publishes to */
} ngx_mcp_events_conf_t;


/* mcp_sse_redis_ssl_* */

typedef struct {
    ngx_flag_t                   verify;
    ngx_str_t                    trusted_certificate;
    ngx_str_t                    certificate;
    ngx_str_t                    certificate_key;
    ngx_str_t                    name;
    ngx_ssl_t                   *ssl;          /* made of these; NULL: there is
                                                  no "rediss://" */
} ngx_mcp_redis_ssl_conf_t;


/*
 * The last URI that nginx -t has warned of, so that a URI inherited by several
 * locations of a server is reported once.  Used while configurations merge.
 */

typedef struct {
    ngx_http_core_srv_conf_t    *server;
    u_char                      *uri;
} ngx_mcp_warned_t;


typedef struct {
    ngx_str_t                    zone_name;
    size_t                       zone_size;
    ngx_shm_zone_t              *zone;

    ngx_array_t                 *keys;         /* of ngx_str_t, or NULL */

    ngx_mcp_redis_conf_t        *redis;        /* or NULL */
    ngx_mcp_redis_ssl_conf_t     redis_ssl;
    ngx_mcp_events_conf_t       *events;       /* or NULL */

    ngx_int_t                    max_inbox;
    ngx_int_t                    auth_lookups; /* of all workers */
    ngx_int_t                    backend_calls; /* of all workers; 0: off */
    ngx_int_t                    backend_calls_per_user;
    size_t                       max_message;
    ngx_msec_t                   drain;

    ngx_uint_t                   used;         /* there is an endpoint */
    ngx_msec_t                   longest_call; /* the largest: timeouts of
                                                  a call and its questions */
    ngx_mcp_warned_t             warned[3];    /* call, user, message */
    ngx_http_core_srv_conf_t    *nameless;     /* the first server whose site
                                                  is "_", or NULL */
} ngx_mcp_main_conf_t;


/* the handler that a directive such as mcp_sse_stream installs */

typedef struct {
    ngx_http_handler_pt          handler;
    ngx_uint_t                   calls;        /* it calls Frappe */
} ngx_mcp_endpoint_t;


/* methods of mcp_sse_local: answered without Frappe */

#define NGX_MCP_LOCAL_PING       0x0001
#define NGX_MCP_LOCAL_RESOURCES  0x0002
#define NGX_MCP_LOCAL_TEMPLATES  0x0004
#define NGX_MCP_LOCAL_PROMPTS    0x0008
#define NGX_MCP_LOCAL_LOGGING    0x0010

/* mcp_sse_ping_result */

#define NGX_MCP_PING_DEFAULT  0    /* by the endpoint */
#define NGX_MCP_PING_META     1
#define NGX_MCP_PING_RESULT   2
#define NGX_MCP_PING_EMPTY    3

/* mcp_sse_header_check */

#define NGX_MCP_HEADER_CHECK_STRICT   0
#define NGX_MCP_HEADER_CHECK_LENIENT  1

/* a time that is set to "off" */

#define NGX_MCP_OFF  ((ngx_msec_t) 0)


typedef struct {
    ngx_str_t                    call_uri;
    ngx_str_t                    call_args;
    ngx_str_t                    user_uri;
    ngx_str_t                    user_args;

    ngx_http_complex_value_t    *principal;
    ngx_http_complex_value_t    *site;
    ngx_http_complex_value_t    *events_site;  /* or NULL: the site */
    ngx_array_t                 *server_urls;  /* of normalized ngx_str_t */
    ngx_array_t                 *origins;      /* the same */
    ngx_flag_t                   any_origin;
    ngx_array_t                 *hosts;        /* of ngx_http_server_name_t:
                                                  http/ngx_mcp_host.c */
    ngx_str_t                    message_uri;

    ngx_uint_t                   local;        /* NGX_MCP_LOCAL_* */
    ngx_uint_t                   ping_result;  /* NGX_MCP_PING_* */
    ngx_uint_t                   header_check; /* NGX_MCP_HEADER_CHECK_* */

    ngx_msec_t                   keepalive;    /* NGX_MCP_OFF */
    ngx_uint_t                   keepalive_event;
    ngx_msec_t                   grace;
    ngx_msec_t                   idle_timeout; /* NGX_MCP_OFF */
    time_t                       session_ttl;
    ngx_msec_t                   call_timeout;
    ngx_msec_t                   ask_timeout;
    ngx_msec_t                   progress;     /* NGX_MCP_OFF */
    ngx_msec_t                   retry;
    ngx_msec_t                   stream_after; /* NGX_MCP_OFF */
    ngx_http_complex_value_t    *public_url;   /* or NULL */
    ngx_http_complex_value_t    *auth_server;  /* the same */
    ngx_flag_t                   json_only;

    size_t                       max_answer;
    size_t                       queue;
    ngx_int_t                    max_calls;
    ngx_int_t                    max_sessions;

    ngx_msec_t                   auth_cache;
    ngx_msec_t                   auth_recheck;
    ngx_msec_t                   auth_wait;
    ngx_msec_t                   auth_stale;
    ngx_str_t                    api_secret;
    ngx_flag_t                   cookie;
    ngx_array_t                 *pass_headers; /* of ngx_str_t, lower case */

    ngx_str_t                    handler;      /* name of the endpoint's
                                                  directive, or empty */
    ngx_mcp_endpoint_t          *endpoint;     /* or NULL */
} ngx_mcp_loc_conf_t;


/*
 * A credential as it is sent to Frappe: the value of an Authorization header
 * or, if "cookie" is set, of a Cookie header.
 */

typedef struct {
    ngx_str_t                    value;
    ngx_str_t                    csrf_token;   /* with a cookie */
    u_char                       digest[NGX_MCP_DIGEST_LEN];
    unsigned                     cookie:1;
    unsigned                     kept:1;       /* the digest, in this worker */
} ngx_mcp_credential_t;


/* the result of the look-up of a credential */

typedef struct {
    ngx_uint_t                   status;       /* 0: good; 401; or 5xx, if
                                                  Frappe is unreachable */
    ngx_str_t                    principal;    /* if good */
    ngx_str_t                    challenge;    /* of a 401, may be empty */
    ngx_uint_t                   retry_after;  /* of a 503: seconds, or 0 */
    unsigned                     final:1;      /* of a 5xx: a repeated look-up
                                                  would end in the same way */
} ngx_mcp_auth_result_t;


/* an object that waits for a look-up; embedded in its owner */

struct ngx_mcp_auth_waiter_s {
    ngx_queue_t                  queue;        /* in lookup->waiters */
    ngx_mcp_auth_lookup_t       *lookup;       /* NULL: not waiting */
    void                         (*handler)(void *data,
                                     ngx_mcp_auth_result_t *result);
    void                        *data;
};


/*
 * Where the answers to messages go: to the stream of a session, or to a POST
 * of Streamable HTTP.  Embedded in its owner, which outlives the tasks or
 * calls ngx_mcp_task_detach().  The functions end no request; they post
 * events.
 */

struct ngx_mcp_sink_s {
    ngx_queue_t                  tasks;        /* that are to answer */
    ngx_mcp_loc_conf_t          *conf;

    /*
     * Takes ev over: a framed notification, or the answer, which is NULL if
     * memory is short.  Runs only while the sink is open.  "task" is NULL for
     * an answer without a call; task->call is there if a call was made.
     */

    void                       (*tell)(ngx_mcp_sink_t *sink,
                                     ngx_mcp_task_t *task,
                                     ngx_mcp_event_t *ev,
                                     ngx_uint_t is_answer);

    /*
     * Whether a notification of "size" bytes may be told: NGX_OK;
     * NGX_DECLINED, nobody takes it; NGX_BUSY, the client does not read what
     * waits for it.  There if "progress" is set; runs while the sink is open.
     */

    ngx_int_t                  (*room)(ngx_mcp_sink_t *sink, size_t size);

    /* or NULL: a task, answered or not, is no longer in "tasks" */

    void                       (*ended)(ngx_mcp_sink_t *sink);

    /* Streamable HTTP: cancellations are announced for this session */

    u_char                      *session_key;  /* or NULL: ignored */
    ngx_queue_t                  in_flight;    /* ids for its next tasks */

    /* the request, if it is of the modern era: http/ngx_mcp_ctx.h */

    ngx_mcp_modern_t            *modern;       /* or NULL */

    unsigned                     open:1;       /* answers are wanted */
    unsigned                     progress:1;   /* notifications, too */
    unsigned                     streamable:1; /* of Streamable HTTP */
    unsigned                     probe:1;      /* the backend may not know the
                                                  method: 4xx is no fault */
    unsigned                     asks:8;       /* NGX_MCP_CLIENT_*: what its
                                                  client may be asked; 0:
                                                  nothing */

    /* the modern era: ngx_mcp_log_level_e of its request; UNKNOWN: no log */

    ngx_uint_t                   log_level;
};


/*
 * A session is owned by the worker that created it, and only that worker uses
 * it: one with a stream by session/ngx_mcp_session.c, one for the POSTs of
 * Streamable HTTP by session/ngx_mcp_session_http.c, which free it.
 */

struct ngx_mcp_session_s {
    ngx_rbtree_node_t                node;     /* in shm/ngx_mcp_sessions.c */
    ngx_mcp_session_id_t             sid;
    u_char                           text[NGX_MCP_SESSION_ID_LEN];

    ngx_str_t                        user;
    ngx_str_t                        site;
    ngx_str_t                        events_site; /* as Frappe has it */
    ngx_mcp_client_t                *client;   /* or NULL: not known; of a
                                                  legacy one */
    ngx_mcp_credential_t             credential;
    u_char                          *renewed;  /* its value; NULL: it is in the
                                                  block of the session */

    void                            *record;   /* ngx_mcp_session_record_t, or
                                                  NULL: not registered, or the
                                                  zone is in recovery */
    u_char                           user_key[NGX_MCP_DIGEST_LEN];

    /* copied from the record, for recovery of the zone */

    ngx_uint_t                       pending;  /* received, not started */
    size_t                           bytes;    /* of these */
    ngx_uint_t                       accepted; /* before recovery */
    ngx_uint_t                       close_reason; /* for after recovery, or
                                                      0 */

    ngx_str_t                        listen;   /* raw id of the request
                                                  subscriptions/listen; empty:
                                                  another stream */
    ngx_mcp_listen_t                *filter;   /* what that asks for; NULL:
                                                  nothing */
    ngx_mcp_stream_t                *stream;
    ngx_mcp_receiver_t              *receiver; /* of what Frappe publishes for
                                                  its user; NULL: it has no
                                                  stream */
    ngx_mcp_primary_t               *primary;  /* or NULL: no GET stream */
    ngx_mcp_sink_t                   sink;     /* open while stream is */
    ngx_http_core_srv_conf_t        *cscf;
    ngx_mcp_loc_conf_t              *conf;

    ngx_queue_t                      queue;    /* of its room's sessions */
    ngx_queue_t                      presence; /* if in_directory */
    ngx_msec_t                       refreshed_at; /* its key in Redis */
    ngx_queue_t                      inbox;    /* envelopes not dispatched */
    ngx_queue_t                      waiting;  /* tasks without a call */
    ngx_queue_t                      running;  /* tasks with a call */
    ngx_uint_t                       ncalls;
    ngx_uint_t                       nqueued;  /* of waiting: for a place */

    ngx_event_t                      event;    /* dispatches, or frees */

    /* see session/ngx_mcp_session_timers.c; times are of ngx_current_msec */

    ngx_mcp_timer_t                  timer;    /* the first of these: */
    ngx_msec_t                       active;   /* idle since */
    ngx_msec_t                       recheck;
    ngx_msec_t                       drain;    /* if drains */

    /* see session/ngx_mcp_session_lost.c */

    ngx_uint_t                       tombstone; /* number of its own one */
    ngx_uint_t                       predecessor; /* of the one that it found */
    ngx_queue_t                      lost_queue; /* if lost */
    ngx_queue_t                      kept;      /* events, while lost */
    size_t                           kept_size; /* bytes of these */
    ngx_mcp_timer_t                  grace;     /* ends the loss; or waits for
                                                   the replaced session */

    ngx_msec_t                       created;
    ngx_uint_t                       messages;

    unsigned                         open:1;   /* until it is closed */
    unsigned                         listed:1; /* in shm/ngx_mcp_sessions.c */
    unsigned                         in_directory:1; /* is kept in Redis */
    unsigned                         published:1;  /* was written to Redis */
    unsigned                         drains:1;    /* will be draining */
    unsigned                         draining:1;  /* closes when idle */
    unsigned                         ending:1;    /* starts no more calls */
    unsigned                         streamable:1; /* of Streamable HTTP */
    unsigned                         anonymous:1; /* no client has its id */
    unsigned                         resumed:1;   /* the client had the id */
    unsigned                         waits:1;     /* for the replaced one */
    unsigned                         lost:1;      /* the stream may come back */
    unsigned                         kept_failed:1; /* an answer is missing */
    unsigned                         changed:3;   /* lists, while it was lost:
                                                     list_changed.c */
};


extern ngx_module_t  ngx_http_mcp_sse_module;


#endif /* _NGX_MCP_H_INCLUDED_ */
