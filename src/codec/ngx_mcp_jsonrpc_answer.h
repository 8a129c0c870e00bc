
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Answers of Frappe.
 *
 * Scanning keeps raw byte ranges of the source and never serialises anything
 * again.
 */

#ifndef _NGX_MCP_JSONRPC_ANSWER_H_INCLUDED_
#define _NGX_MCP_JSONRPC_ANSWER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_json_scan.h"


/* members that the modern form of an answer may lack */

#define NGX_MCP_JSONRPC_HAS_TYPE         0x0080    /* resultType */
#define NGX_MCP_JSONRPC_HAS_TTL          0x0100    /* ttlMs */
#define NGX_MCP_JSONRPC_HAS_CACHE_SCOPE  0x0200    /* cacheScope */
#define NGX_MCP_JSONRPC_HAS_META         0x0400    /* _meta */
#define NGX_MCP_JSONRPC_HAS_SERVER_INFO  0x0800    /* serverInfo in _meta */
#define NGX_MCP_JSONRPC_HAS_URI          0x1000    /* uri in data */


/* the result of a response, or another value that becomes one */

typedef struct {
    ngx_str_t    raw;
    ngx_str_t    meta;         /* its _meta, raw, if it is an object */
    ngx_uint_t   has;          /* NGX_MCP_JSONRPC_HAS_*, of any type */
    unsigned     object:1;     /* it is an object */
    unsigned     incomplete:1; /* it has a resultType other than "complete" */
} ngx_mcp_jsonrpc_result_t;


typedef struct {
    ngx_str_t    code;         /* raw, if it is a number */
    ngx_str_t    data;         /* raw */
    ngx_str_t    raw;
    ngx_uint_t   has;          /* NGX_MCP_JSONRPC_HAS_URI */
    unsigned     valid:1;      /* it is an object with a number as code and a
                                  string as message, and repeats neither them
                                  nor data */
    unsigned     data_object:1;
} ngx_mcp_jsonrpc_error_t;


typedef struct {
    /* an absent string has data == NULL */

    ngx_str_t    object;       /* JSON-RPC response, raw, from { to } */
    ngx_str_t    id;           /* its id, raw, if it is not null */
    ngx_str_t    null_id;      /* its id, raw, if it is null */
    ngx_str_t    value;        /* "message", raw, if it is no JSON-RPC response:
                                  becomes the result.  Absent if it has jsonrpc
                                  and repeats id, result or error */
    ngx_str_t    exc_type;     /* top-level "exc_type" of an error of Frappe,
                                  decoded */
    ngx_mcp_jsonrpc_result_t  result;  /* of the response, or of value */
    ngx_mcp_jsonrpc_error_t   err;     /* of the response */
    unsigned     response:1;   /* object is a JSON-RPC response: jsonrpc is
                                  "2.0", and it has either result or error */
    unsigned     error:1;      /* the response has "error" */
    unsigned     tool_error:1; /* result.isError is true */
    unsigned     breaks:1;     /* object or value may have CR or LF, between
                                  tokens */
    unsigned     separators:1; /* they may have U+0085, U+2028 or U+2029 */
} ngx_mcp_jsonrpc_answer_t;


/* bytes of the body, by their offset; len 0: absent */

typedef struct {
    size_t                              start;
    size_t                              len;
} ngx_mcp_jsonrpc_answer_range_t;


/* what becomes ngx_mcp_jsonrpc_result_t, and ngx_mcp_jsonrpc_error_t */

typedef struct {
    ngx_mcp_jsonrpc_answer_range_t      raw;
    ngx_mcp_jsonrpc_answer_range_t      meta;
    ngx_uint_t                          has;

    unsigned                            object:1;
    unsigned                            incomplete:1;
    unsigned                            is_error:1;
} ngx_mcp_jsonrpc_answer_result_t;

typedef struct {
    ngx_mcp_jsonrpc_answer_range_t      raw;
    ngx_mcp_jsonrpc_answer_range_t      code;
    ngx_mcp_jsonrpc_answer_range_t      data;
    ngx_uint_t                          has;
    ngx_uint_t                          message;     /* is a string */

    unsigned                            valid:1;
    unsigned                            data_object:1;
} ngx_mcp_jsonrpc_answer_error_t;


/* what may be a JSON-RPC response */

typedef struct {
    ngx_mcp_jsonrpc_answer_range_t      object;
    ngx_mcp_jsonrpc_answer_range_t      id;
    ngx_mcp_jsonrpc_answer_range_t      null_id;
    ngx_mcp_jsonrpc_answer_result_t     result;
    ngx_mcp_jsonrpc_answer_error_t      err;

    unsigned                            version:1;
    unsigned                            response:1;
    unsigned                            ambiguous:1;
    unsigned                            error:1;
} ngx_mcp_jsonrpc_answer_envelope_t;


/* private */

typedef struct {
    ngx_mcp_json_scan_t                 json;
    ngx_int_t                           rc;      /* of json so far */
    ngx_pool_t                         *pool;
    ngx_mcp_jsonrpc_answer_envelope_t   top;
    ngx_mcp_jsonrpc_answer_envelope_t   inner;   /* under "message" */
    ngx_mcp_jsonrpc_answer_result_t     value;
    ngx_str_t                           exc_type;
    ngx_uint_t                          twice;   /* repeated keys at the top */
} ngx_mcp_jsonrpc_answer_scan_t;


/*
 * Begins the scan of a body of Frappe: a JSON-RPC response, one under "message"
 * (Frappe's wrapper), another value under "message", or an error of Frappe.
 * The caller owns scan, which it has zeroed, and pool, and keeps both until the
 * scan has ended.
 */

void ngx_mcp_jsonrpc_answer_begin(ngx_mcp_jsonrpc_answer_scan_t *scan,
    ngx_pool_t *pool);

/*
 * Scans what has come of the body since the last call.  "body" is all that has
 * come so far; its address may differ from call to call.  What is wrong with it
 * is reported at the end.
 */

void ngx_mcp_jsonrpc_answer_more(ngx_mcp_jsonrpc_answer_scan_t *scan,
    ngx_str_t *body);

/*
 * Scans the rest of the whole body.  Zeroes *answer first; what is not found
 * stays absent.  The results point into the body, or into the pool if there
 * were escapes; the caller keeps both as long as it uses them.
 *
 * Returns NGX_OK if the body is one JSON value in valid UTF-8 that is not
 * deeper than 512; NGX_DECLINED if it is not; NGX_ERROR if memory is short.
 */

ngx_int_t ngx_mcp_jsonrpc_answer_end(ngx_mcp_jsonrpc_answer_scan_t *scan,
    ngx_str_t *body, ngx_mcp_jsonrpc_answer_t *answer);

/*
 * Finds the string member "name" at the top level of the JSON object "body"
 * ("message" of get_logged_user), and sets *value to it, decoded and in pool.
 *
 * Returns NGX_OK; NGX_DECLINED if the body is no JSON object in valid UTF-8,
 * is deeper than 512, or the member is missing, repeated, empty or no string;
 * NGX_ERROR if memory is short.  *value is set with NGX_OK only.
 */

ngx_int_t ngx_mcp_jsonrpc_string(ngx_pool_t *pool, ngx_str_t *body,
    const char *name, ngx_str_t *value);


#endif /* _NGX_MCP_JSONRPC_ANSWER_H_INCLUDED_ */
