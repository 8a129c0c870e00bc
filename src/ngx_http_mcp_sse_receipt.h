
/*
 * The owner's side of a message that another instance has sent.
 */

#ifndef _NGX_HTTP_MCP_SSE_RECEIPT_H_INCLUDED_
#define _NGX_HTTP_MCP_SSE_RECEIPT_H_INCLUDED_


#include "ngx_http_mcp_sse_delivery.h"


/*
 * Takes a message and answers its sender.  "deliver" is as
 * ngx_http_mcp_sse_bus_deliver().  One that was answered before gets the same
 * answer, and is not looked at again; one that has expired gets none.
 */

void ngx_http_mcp_sse_receipt(ngx_http_mcp_sse_received_t *received,
    ngx_int_t (*deliver)(u_char *key, ngx_http_mcp_sse_envelope_t *env,
        ngx_log_t *log));


#endif /* _NGX_HTTP_MCP_SSE_RECEIPT_H_INCLUDED_ */
