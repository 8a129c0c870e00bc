
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The module's context of a request.
 */

#ifndef _NGX_MCP_CTX_H_INCLUDED_
#define _NGX_MCP_CTX_H_INCLUDED_


#include "ngx_mcp.h"
#include "ngx_mcp_listen_filter.h"
#include "ngx_mcp_request_meta.h"


/* the values of $mcp_sse_* for a request or a call */

typedef struct {
    ngx_str_t                    session;      /* hash of the id */
    ngx_str_t                    user;
    ngx_str_t                    site;
    ngx_str_t                    method;
    ngx_str_t                    raw_method;   /* JSON text as sent */
    ngx_str_t                    id;
    ngx_str_t                    tool;
    ngx_str_t                    client;       /* name/version */
    ngx_str_t                    version;      /* of the protocol */
    ngx_uint_t                   result;       /* ngx_mcp_result_e */
    ngx_msec_t                   wait;         /* of a call, before it */
} ngx_mcp_vars_t;


typedef struct ngx_mcp_ctx_s      ngx_mcp_ctx_t;
typedef struct ngx_mcp_body_s     ngx_mcp_body_t;
typedef struct ngx_mcp_pending_s  ngx_mcp_pending_t;
typedef struct ngx_mcp_discover_s  ngx_mcp_discover_t;

typedef ngx_int_t (*ngx_mcp_resume_pt)(ngx_http_request_t *r);


/* see auth/ngx_mcp_auth.c */

typedef struct {
    ngx_mcp_credential_t             credential;
    ngx_mcp_auth_result_t            result;
    ngx_mcp_auth_waiter_t           *waiter;   /* NULL: has never waited */
    ngx_msec_t                       deadline; /* of waiting for Frappe */
    unsigned                         retry:1;  /* a GET: until the deadline */
} ngx_mcp_ctx_auth_t;


/* see http/ngx_mcp_suspend.c */

typedef struct {
    ngx_queue_t                      queue;    /* while suspended */
    ngx_mcp_ctx_t                   *ctx;
    ngx_mcp_resume_pt                resume;   /* runs when resumed */
    ngx_mcp_timer_t                  timer;    /* of the room that suspends */
} ngx_mcp_ctx_suspend_t;


/*
 * A request of the modern era: of a version from 2026-07-28 on, that has no
 * sessions.  In the pool of the request.
 */

struct ngx_mcp_modern_s {
    ngx_mcp_request_meta_t           meta;
    ngx_str_t                        method;   /* decoded */
    ngx_str_t                        id;       /* raw; data is NULL before its
                                                  body is read, and in a
                                                  notification */
    ngx_str_t                        server_info; /* of the backend, raw, or
                                                     empty: not known */
    ngx_array_t                     *messages; /* the one that is submitted */
    ngx_mcp_discover_t              *discover; /* endpoint/ngx_mcp_discover.c,
                                                  or NULL */
    ngx_mcp_listen_filter_t         *listen;   /* what subscriptions/listen
                                                  asks for, if it is honoured;
                                                  or NULL */
    ngx_int_t                        code;     /* of the error that answers it,
                                                  or 0 */
    unsigned                         passes:1; /* the backend speaks the modern
                                                  era: what it gets and answers
                                                  stays as it is */
};


/*
 * The context belongs to the request and lives in its pool, in that of a
 * stream for hours: what only some requests need is allocated for these.  The
 * context of a fake request is part of its call.
 */

struct ngx_mcp_ctx_s {
    ngx_http_request_t              *request;
    ngx_mcp_vars_t                   vars;
    ngx_mcp_call_t                  *call;     /* of a fake request */
    ngx_mcp_stream_t                *stream;   /* of an open stream */

    ngx_str_t                        origin;   /* allowed, or empty */
    ngx_str_t                        methods;  /* that the endpoint allows */
    const char                      *reason;   /* why refused, for the log */
    ngx_str_t                        replaced; /* http/ngx_mcp_json_only.c */

    ngx_mcp_ctx_auth_t               auth;
    ngx_mcp_ctx_suspend_t           *suspend;  /* NULL: was never suspended */

    ngx_mcp_session_id_t             sid;
    ngx_str_t                        sid_text; /* of Streamable HTTP */

    /* of a POST; NULL before */

    ngx_mcp_body_t                  *body;     /* http/ngx_mcp_body.c */
    ngx_mcp_pending_t               *pending;  /* endpoint/ngx_mcp_pending.c */
    ngx_mcp_exchange_t              *exchange; /* endpoint/ngx_mcp_exchange.c */

    unsigned                         suspended:1;
    unsigned                         cors:1;     /* headers are added */
    unsigned                         resource:1; /* 401 names its metadata */
    unsigned                         own_id:1;   /* a refusal has vars.id */

    /* Streamable HTTP */

    ngx_str_t                        version;      /* of MCP; for Frappe,
                                                      or empty */
    unsigned                         streamable:1;
    unsigned                         has_session_id:1; /* sid is valid */
    unsigned                         bad_version:1; /* in the older era, */
    unsigned                         bad_session:1; /* and this one, too */
    unsigned                         batches:1;    /* the version has them */
    unsigned                         accept_json:1;
    unsigned                         accept_stream:1;
    unsigned                         capabilities:8; /* NGX_MCP_CLIENT_* */

    ngx_mcp_modern_t                *modern;       /* NULL: the older era */
};


#endif /* _NGX_MCP_CTX_H_INCLUDED_ */
