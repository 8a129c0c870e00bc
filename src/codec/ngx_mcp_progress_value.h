
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Values of notifications/progress, each above the one before (MCP 2025-11-25,
 * Progress: "the progress value MUST increase with each notification").
 */

#ifndef _NGX_MCP_PROGRESS_VALUE_H_INCLUDED_
#define _NGX_MCP_PROGRESS_VALUE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* characters of a number that is taken as it was told */

#define NGX_MCP_PROGRESS_VALUE_MAX_LEN  63


/* the last value; embedded in its owner, who zeroes it */

typedef struct {
    double       number;
    int64_t      millionths;           /* the same, if exact */
    ngx_uint_t   len;
    u_char       text[NGX_MCP_PROGRESS_VALUE_MAX_LEN + 1];

    unsigned     sent:1;               /* there is a last value */
    unsigned     exact:1;              /* it is a number of millionths */
} ngx_mcp_progress_value_t;


/*
 * Sets the value that follows by itself: 0 at first, then a millionth more
 * than the last one.  Returns NGX_OK; NGX_DECLINED: no number is above the
 * last one.
 */

ngx_int_t ngx_mcp_progress_value_next(ngx_mcp_progress_value_t *value);

/*
 * Sets a value that was told, a number of JSON: as it is if it is above the
 * last one, else as ngx_mcp_progress_value_next().  So is a number that is too
 * long, or too large for a double.
 */

ngx_int_t ngx_mcp_progress_value_told(ngx_mcp_progress_value_t *value,
    ngx_str_t *number);


#endif /* _NGX_MCP_PROGRESS_VALUE_H_INCLUDED_ */
