
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * JSON-RPC 2.0 messages of clients.
 *
 * Scanning keeps raw byte ranges of the source and never serialises anything
 * again: numbers, order of keys and spelling stay as they are.  The results
 * point into the scanned bytes or are allocated from the pool, and are valid
 * as long as both.
 */

#ifndef _NGX_MCP_JSONRPC_H_INCLUDED_
#define _NGX_MCP_JSONRPC_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_MCP_JSONRPC_MAX_DEPTH  64      /* containers in a message */
#define NGX_MCP_JSONRPC_MAX_BATCH  100     /* messages; JSON-RPC 2.0, 6 */

/*
 * Error codes: JSON-RPC 2.0, 5.1; those from -32001 on are the module's own,
 * in the range for servers (docs/PROTOCOL.md).
 */

#define NGX_MCP_ERR_PARSE            -32700
#define NGX_MCP_ERR_INVALID_REQUEST  -32600
#define NGX_MCP_ERR_NO_METHOD        -32601
#define NGX_MCP_ERR_INVALID_PARAMS   -32602
#define NGX_MCP_ERR_INTERNAL         -32603
#define NGX_MCP_ERR_UNAUTHORIZED     -32001
#define NGX_MCP_ERR_UNAVAILABLE      -32003
#define NGX_MCP_ERR_TOO_MANY         -32004
#define NGX_MCP_ERR_TIMED_OUT        -32008
#define NGX_MCP_ERR_TOO_LARGE        -32009
#define NGX_MCP_ERR_CLOSED           -32010

/* MCP 2026-07-28, schema, errors */

#define NGX_MCP_ERR_HEADER_MISMATCH  -32020
#define NGX_MCP_ERR_CAPABILITY       -32021
#define NGX_MCP_ERR_VERSION          -32022


typedef enum {
    NGX_MCP_JSONRPC_REQUEST = 1,
    NGX_MCP_JSONRPC_NOTIFICATION,
    NGX_MCP_JSONRPC_RESPONSE
} ngx_mcp_jsonrpc_type_e;


typedef struct {
    ngx_uint_t   type;         /* ngx_mcp_jsonrpc_type_e */

    /* an absent string has data == NULL */

    ngx_str_t    id;           /* raw: a string with its quotes or an integer */
    ngx_str_t    method;       /* decoded; in the pool if it had escapes */
    ngx_str_t    raw_method;   /* raw, with its quotes */
    ngx_str_t    params;       /* raw */

    ngx_str_t    name;         /* params.name, decoded, if it is a string: the
                                  tool of a tools/call */
    ngx_str_t    token;        /* params._meta.progressToken, raw, if it is a
                                  string or an integer */
    ngx_str_t    request_id;   /* params.requestId, raw, if it is a string or
                                  an integer: the request that
                                  notifications/cancelled names */
    ngx_str_t    version;      /* params._meta["io.modelcontextprotocol/
                                  protocolVersion"], raw, of any type: the
                                  request is of the modern era.  Absent in a
                                  message from an envelope */

    /* of a response, raw, one of them; absent in one from an envelope */

    ngx_str_t    result;
    ngx_str_t    error;
} ngx_mcp_jsonrpc_message_t;


/*
 * Scans the body of a POST, one message or a batch of up to
 * NGX_MCP_JSONRPC_MAX_BATCH.  Fills "messages", an array of
 * ngx_mcp_jsonrpc_message_t made in pool, and sets *batch to whether the top
 * level is an array.  The messages point into the body or the pool; the caller
 * keeps both as long as it uses them.  *messages is set with NGX_OK only.
 *
 * Returns NGX_OK; NGX_ERROR if memory is short; or
 *
 * NGX_MCP_ERR_PARSE: not JSON, not strict UTF-8, deeper than
 * NGX_MCP_JSONRPC_MAX_DEPTH, trailing bytes, empty;
 *
 * NGX_MCP_ERR_INVALID_REQUEST: not JSON-RPC 2.0; an id that is null, boolean,
 * object, array, no integer, or longer than 4096 raw bytes; a method that is
 * empty or no string; jsonrpc, id, method, params, result or error repeated,
 * or name, requestId or _meta in params, or progressToken or the protocol
 * version in _meta; a scalar; a batch that is empty or too large; a method
 * without an id that does not begin with "notifications/"; a response without
 * an id, or with both or neither of result and error; a method together with
 * result or error; params that are neither object nor array.
 */

ngx_int_t ngx_mcp_jsonrpc_scan(ngx_pool_t *pool, ngx_str_t *body,
    ngx_array_t **messages, ngx_uint_t *batch);

/*
 * Returns whether two raw ids are the same: both are strings and equal when
 * they are decoded, or both are integers of equal value (-0 is 0).  An empty
 * id equals no other one.
 */

ngx_uint_t ngx_mcp_jsonrpc_same_id(ngx_str_t *a, ngx_str_t *b);

/*
 * Sets *kind and *value so that they are equal for two raw ids which are the
 * same, and for no others.  They point into the id, or are allocated from pool.
 * Returns NGX_OK, or NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_jsonrpc_id_value(ngx_pool_t *pool, ngx_str_t *id,
    ngx_str_t *kind, ngx_str_t *value);

/*
 * Replaces CR and LF by blanks in place.  In valid JSON they occur between
 * tokens only: the result is one line and has the same value.
 */

void ngx_mcp_jsonrpc_one_line(ngx_str_t *json);

/*
 * Writes {"jsonrpc":"2.0","id":ID,"error":{"code":C,"message":"M"}} to p,
 * with ,"data":DATA behind the message if data is neither NULL nor empty.
 * "id" is raw; NULL makes it null.  "message" is a literal that needs no
 * escapes; "data" is raw JSON.  Returns the end of what was written, which is
 * at most ngx_mcp_jsonrpc_error_size() bytes.
 */

u_char *ngx_mcp_jsonrpc_error(u_char *p, ngx_str_t *id, ngx_int_t code,
    const char *message, ngx_str_t *data);
size_t ngx_mcp_jsonrpc_error_size(ngx_str_t *id, const char *message,
    ngx_str_t *data);


#endif /* _NGX_MCP_JSONRPC_H_INCLUDED_ */
