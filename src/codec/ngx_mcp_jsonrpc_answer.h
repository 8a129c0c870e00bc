
/*
 * Answers of the backend.  A leaf: knows no request and no session.
 *
 * As with messages, raw byte ranges of the source are kept and nothing is
 * re-serialised.
 */

#ifndef _NGX_MCP_JSONRPC_ANSWER_H_INCLUDED_
#define _NGX_MCP_JSONRPC_ANSWER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef struct {
    ngx_str_t    object;       /* raw JSON-RPC response object, from { to } */
    ngx_str_t    id;           /* raw id in it; data == NULL: missing or null */
    ngx_str_t    null_id;      /* raw "null" if id was present and null */
    ngx_str_t    value;        /* raw value of "message" if that is there and
                                  is no JSON-RPC response: becomes the result;
                                  data == NULL if it has jsonrpc and a
                                  duplicate of id, result or error */
    ngx_str_t    exc_type;     /* decoded top-level "exc_type" of a Frappe
                                  error, data == NULL if none */
    unsigned     response:1;   /* object is a JSON-RPC response: jsonrpc is
                                  "2.0" and it has exactly one of result and
                                  error */
    unsigned     error:1;      /* it has "error" */
    unsigned     tool_error:1; /* result.isError is true */
} ngx_mcp_jsonrpc_answer_t;


/*
 * Scans the body of the backend's answer: a bare JSON-RPC response, one
 * under "message" (Frappe's wrapper), another value under "message", or a
 * Frappe error object.  Returns NGX_OK if the body is one complete JSON
 * value in valid UTF-8 no deeper than 512, NGX_DECLINED if it is not,
 * NGX_ERROR if memory is short.  *answer is the caller's and is zeroed first:
 * members not found are left empty.  What is found points into the body, or
 * the pool if it had escapes: the caller keeps both for as long as it is used.
 */

ngx_int_t ngx_mcp_jsonrpc_answer_scan(ngx_pool_t *pool, ngx_str_t *body,
    ngx_mcp_jsonrpc_answer_t *answer);

/*
 * Finds the string member "name" at the top level of the JSON object "body"
 * (get_logged_user's "message"), and sets *value to it, decoded.  That
 * belongs to pool and does not point into the body.  Returns NGX_OK,
 * NGX_DECLINED if the body is not a JSON object in valid UTF-8 no deeper than
 * 512 or the member is missing, given twice, empty or no string, NGX_ERROR if
 * memory is short; *value is set only with NGX_OK.
 */

ngx_int_t ngx_mcp_jsonrpc_string(ngx_pool_t *pool, ngx_str_t *body,
    const char *name, ngx_str_t *value);


#endif /* _NGX_MCP_JSONRPC_ANSWER_H_INCLUDED_ */
