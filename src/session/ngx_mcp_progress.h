
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Progress notifications of a call with a progressToken: of the module, as long
 * as nothing is told, and what Frappe tells.  docs/PROTOCOL.md 5.9.
 */

#ifndef _NGX_MCP_PROGRESS_H_INCLUDED_
#define _NGX_MCP_PROGRESS_H_INCLUDED_


#include "ngx_mcp_progress_value.h"
#include "ngx_mcp.h"


/* embedded in its task, which owns it */

typedef struct {
    ngx_mcp_timer_t            timer;      /* mcp_sse_progress */
    ngx_mcp_progress_value_t   value;      /* the last one */
    u_char                    *told;       /* a block with the following two,
                                              or NULL */
    ngx_str_t                  total;      /* raw, as they were told last; */
    ngx_str_t                  message;    /* data == NULL: absent */
} ngx_mcp_progress_t;


/*
 * The sink of the task takes its answer, or does not any more: begins, if there
 * is a token, and stops.  What was told is remembered over a stop.
 */

void ngx_mcp_progress_start(ngx_mcp_task_t *task);
void ngx_mcp_progress_stop(ngx_mcp_task_t *task);

/*
 * Frappe tells progress of a task that has a receiver and a token; all three
 * are raw, with data == NULL if they are absent.  Sends it, unless it returns:
 * NGX_BUSY, the client does not read; NGX_DECLINED, it takes no notifications,
 * or no value is above the last one; NGX_ERROR, no memory.  What was told is
 * repeated in any case.
 */

ngx_int_t ngx_mcp_progress_told(ngx_mcp_task_t *task, ngx_str_t *progress,
    ngx_str_t *total, ngx_str_t *message);

/*
 * Stops, and frees what was remembered.
 */

void ngx_mcp_progress_free(ngx_mcp_task_t *task);


#endif /* _NGX_MCP_PROGRESS_H_INCLUDED_ */
