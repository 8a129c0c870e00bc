
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * GET /metrics.
 */

#ifndef _NGX_MCP_METRICS_H_INCLUDED_
#define _NGX_MCP_METRICS_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * The content handler of mcp_sse_metrics: the counters and gauges of all
 * workers, in the text format of Prometheus.
 */

ngx_int_t ngx_mcp_metrics_handler(ngx_http_request_t *r);


#endif /* _NGX_MCP_METRICS_H_INCLUDED_ */
