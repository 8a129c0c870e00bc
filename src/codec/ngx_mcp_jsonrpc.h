
/*
 * JSON-RPC 2.0 envelopes.  A leaf: knows no request and no session.
 *
 * Scanning keeps raw byte ranges of the source, so that numbers, key order
 * and spelling survive; nothing is ever re-serialised.  The results point
 * into the scanned bytes or are allocated from the given pool: they live as
 * long as both.
 */

#ifndef _NGX_MCP_JSONRPC_H_INCLUDED_
#define _NGX_MCP_JSONRPC_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_MCP_JSONRPC_MAX_DEPTH  64
#define NGX_MCP_JSONRPC_MAX_BATCH  100

/* error codes: JSON-RPC 2.0, section 5.1, and ours */

#define NGX_MCP_ERR_PARSE            -32700
#define NGX_MCP_ERR_INVALID_REQUEST  -32600
#define NGX_MCP_ERR_INVALID_PARAMS   -32602
#define NGX_MCP_ERR_INTERNAL         -32603
#define NGX_MCP_ERR_UNAUTHORIZED     -32001
#define NGX_MCP_ERR_UNAVAILABLE      -32003
#define NGX_MCP_ERR_TOO_MANY         -32004
#define NGX_MCP_ERR_TIMED_OUT        -32008
#define NGX_MCP_ERR_TOO_LARGE        -32009
#define NGX_MCP_ERR_CLOSED           -32010


typedef enum {
    NGX_MCP_JSONRPC_REQUEST = 1,
    NGX_MCP_JSONRPC_NOTIFICATION,
    NGX_MCP_JSONRPC_RESPONSE
} ngx_mcp_jsonrpc_type_e;


typedef struct {
    ngx_uint_t   type;         /* ngx_mcp_jsonrpc_type_e */

    ngx_str_t    id;           /* raw: a string with its quotes or an integer;
                                  data == NULL if the message has none */
    ngx_str_t    method;       /* decoded; in the pool if it had escapes */
    ngx_str_t    raw_method;   /* raw, with its quotes */
    ngx_str_t    params;       /* raw; data == NULL if there are none */

    ngx_str_t    name;         /* params.name, decoded: the tool of a
                                  tools/call; data == NULL if not a string */
    ngx_str_t    token;        /* raw params._meta.progressToken, only if it is
                                  a string or an integer, else data == NULL */
    ngx_str_t    request_id;   /* raw params.requestId, only if it is a string
                                  or an integer, else data == NULL: what
                                  notifications/cancelled names */
} ngx_mcp_jsonrpc_message_t;


/*
 * Scans the body of a POST, one message or a batch of up to
 * NGX_MCP_JSONRPC_MAX_BATCH.  Fills "messages", an array of
 * ngx_mcp_jsonrpc_message_t made in pool, and sets *batch to whether the top
 * level is an array.  The messages point into the body or the pool, which
 * the caller owns and keeps for as long as they are used; *messages is set
 * only with NGX_OK.
 *
 * Returns NGX_OK; NGX_ERROR if memory is short; else
 * NGX_MCP_ERR_PARSE (not JSON, not strict UTF-8, deeper than
 * NGX_MCP_JSONRPC_MAX_DEPTH, trailing bytes, empty) or
 * NGX_MCP_ERR_INVALID_REQUEST (not JSON-RPC 2.0; id null, boolean,
 * object, array or not an integer, or longer than 4096 raw bytes; method
 * empty or no string; a duplicate of jsonrpc, id,
 * method, params, result or error, in params of name, requestId or _meta, in
 * that of progressToken; a scalar; an empty batch or too large a one; a
 * method without id that does not begin with "notifications/"; a response
 * without an id or with both or neither of result and error; method together
 * with result or error; params neither object nor array).
 */

ngx_int_t ngx_mcp_jsonrpc_scan(ngx_pool_t *pool, ngx_str_t *body,
    ngx_array_t **messages, ngx_uint_t *batch);

/*
 * Takes two raw ids, returns whether they are the same: both strings and
 * equal after decoding the escapes, or both integers of equal value (-0 is
 * 0).  One that is empty is the same as no other.  Allocates and keeps
 * nothing.
 */

ngx_uint_t ngx_mcp_jsonrpc_same_id(ngx_str_t *a, ngx_str_t *b);

/*
 * Replaces CR and LF by blanks, in place, in bytes that stay the caller's
 * and must be writable.  In valid JSON they stand only between tokens, so
 * that afterwards it is one line and means the same.
 */

void ngx_mcp_jsonrpc_one_line(ngx_str_t *json);

/*
 * Makes {"jsonrpc":"2.0","id":ID,"error":{"code":C,"message":"M"}}, with
 * ,"data":DATA behind the message if data is not NULL and not empty.  "id"
 * is raw, or data == NULL for null.  "message" is a literal that needs no
 * escaping, "data" raw JSON.  Returns the object, which belongs to pool and
 * keeps nothing of the arguments; its data is NULL if memory is short.
 */

ngx_str_t ngx_mcp_jsonrpc_error(ngx_pool_t *pool, ngx_str_t *id,
    ngx_int_t code, const char *message, ngx_str_t *data);


#endif /* _NGX_MCP_JSONRPC_H_INCLUDED_ */
