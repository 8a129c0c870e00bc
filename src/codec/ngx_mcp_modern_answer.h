
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Answers of a backend of the older era in the form that clients of the modern
 * era read (MCP 2026-07-28: Basic, Results; Caching; Error codes;
 * docs/PROTOCOL.md 15.40 to 15.47).
 *
 * Members are inserted as bytes, and nothing is serialised again.  What the
 * backend has sent itself stays.
 */

#ifndef _NGX_MCP_MODERN_ANSWER_H_INCLUDED_
#define _NGX_MCP_MODERN_ANSWER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_event.h"
#include "ngx_mcp_jsonrpc_answer.h"


/* the request that is answered */

typedef struct {
    ngx_str_t    id;            /* raw */
    ngx_str_t    method;        /* decoded */
    ngx_str_t    uri;           /* params.uri, raw, a string; data is NULL if
                                   it has none */
    ngx_str_t    server_info;   /* of the backend, raw, an object without CR
                                   and LF; empty if it is not known */
    unsigned     retry:1;       /* it has inputResponses or requestState */
} ngx_mcp_modern_request_t;


/*
 * Returns whether clients can read an answer that has a response or a value:
 * its result is an object, or its error has an integer as code and a string as
 * message, and repeats neither them nor data (MCP 2026-07-28, schema, Result;
 * JSON-RPC 2.0, 5.1).
 */

ngx_uint_t ngx_mcp_modern_answer_valid(ngx_mcp_jsonrpc_answer_t *answer);

/*
 * Makes the event for "answer", which is valid as above.  "answer" and
 * "request" stay the caller's, and so do the bytes that they point to; CR and
 * LF in those of the answer become blanks.  Sets *code to that of the error
 * that the client gets, or to 0 for a result: the HTTP status depends on it.
 *
 * Returns NGX_OK with *ev, which is framed and the caller's; NGX_DECLINED if
 * answer->object needs no change and may be sent as it is; NGX_ERROR if memory
 * is short.
 */

ngx_int_t ngx_mcp_modern_answer(ngx_mcp_jsonrpc_answer_t *answer,
    ngx_mcp_modern_request_t *request, ngx_mcp_event_t **ev, ngx_int_t *code,
    ngx_log_t *log);


#endif /* _NGX_MCP_MODERN_ANSWER_H_INCLUDED_ */
