
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The end of a worker: streams are drained, then what is left is ended.
 */

#include "ngx_mcp_shutdown.h"
#include "ngx_mcp_auth_lookup.h"
#include "ngx_mcp_session_http.h"
#include "ngx_mcp_session_timers.h"
#include "ngx_mcp_subscribe_check.h"
#include "ngx_mcp_call_linger.h"
#include "ngx_mcp_suspend.h"
#include "ngx_mcp_zone.h"


/*
 * The time before the end of worker_shutdown_timeout, at which nginx closes all
 * connections, in which clients get their last answers.
 */

#define NGX_MCP_BEFORE_END_MS  1000


static void ngx_mcp_shutdown_stop(void *data);


static ngx_mcp_timer_t  ngx_mcp_shutdown_timer;


void
ngx_mcp_shutdown(void)
{
    ngx_msec_t            end;
    ngx_core_conf_t      *ccf;
    ngx_mcp_main_conf_t  *mcf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);
    mcf = ngx_mcp_zone()->conf;

    end = mcf->longest_call;

    if (ccf->shutdown_timeout) {
        end = (ccf->shutdown_timeout > 2 * NGX_MCP_BEFORE_END_MS)
              ? ccf->shutdown_timeout - NGX_MCP_BEFORE_END_MS
              : ccf->shutdown_timeout / 2;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp worker exits: drain %M ms, stop in %M ms",
                   ngx_min(mcf->drain, end), end);

    ngx_mcp_session_timers_drain(ngx_min(mcf->drain, end));

    ngx_mcp_shutdown_timer.handler = ngx_mcp_shutdown_stop;
    ngx_mcp_timer_set(&ngx_mcp_shutdown_timer, end);
}


/*
 * Ends all that is left in the worker.  Calls do not linger after that.  The
 * order matters:
 *
 *  1. Sessions with a stream: each open request gets an answer on the stream.
 *     From here on ngx_mcp_session_timers_stopped() is true: new streams and
 *     messages are refused, and resumed requests do not wait again.
 *  2. Sessions of POSTs of Streamable HTTP: waiting and running tasks end, and
 *     their POSTs get the answers.
 *  3. Suspended requests.  POSTs respond with the answers that 1 and 2 have
 *     given them, so they are resumed after these.  Requests that wait for a
 *     look-up or a delivery are refused with 503.
 *  4. Look-ups: no request needs a result after 3, so that those in the queue
 *     are not started, and those that run are cancelled.  The same for what
 *     is asked because a resource has changed.
 */

static void
ngx_mcp_shutdown_stop(void *data)
{
    ngx_log_debug0(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "mcp worker stops: ending sessions and requests");

    ngx_mcp_call_linger_stop();
    ngx_mcp_session_timers_stop();
    ngx_mcp_session_http_stop();
    ngx_mcp_resume_all();
    ngx_mcp_auth_lookup_stop();
    ngx_mcp_subscribe_check_stop();
}
