
/*
 * What is done with a message: local, forwarded, dropped, cancelled.
 */

#ifndef _NGX_MCP_DISPATCH_H_INCLUDED_
#define _NGX_MCP_DISPATCH_H_INCLUDED_


#include "ngx_mcp_task.h"


/*
 * Dispatches the messages of an envelope, all of which count as pending, and
 * releases the caller's reference.  Answers go to the sink.  Local methods,
 * notifications and cancellations act at once; calls wait for their turn.
 * Neither ends the stream of the session nor frees the session.
 */

void ngx_mcp_dispatch(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env,
    ngx_mcp_sink_t *sink);

/*
 * Dispatches one message.  "s" and "env" are NULL if it is not forwarded.
 */

void ngx_mcp_dispatch_message(ngx_mcp_session_t *s, ngx_mcp_envelope_t *env,
    ngx_mcp_sink_t *sink, ngx_mcp_jsonrpc_message_t *message);

/*
 * Whether a message is for the backend.
 */

ngx_uint_t ngx_mcp_dispatch_forwards(ngx_mcp_loc_conf_t *conf,
    ngx_mcp_jsonrpc_message_t *message);

/*
 * Cancels the request of the session that has this raw id, if there is one
 * that may be cancelled.
 */

void ngx_mcp_dispatch_cancel(ngx_mcp_session_t *s, ngx_str_t *id);

/*
 * The flag of a method that can be answered without the backend
 * (NGX_MCP_LOCAL_*), or 0.
 */

ngx_uint_t ngx_mcp_dispatch_flag(ngx_str_t *method);

/*
 * Starts what waits and may start.
 */

void ngx_mcp_dispatch_next(ngx_mcp_session_t *s);

/*
 * For a stream that the server ends: answers each request of the session that
 * has no answer yet.  Nothing that waits is run; calls that run are cut if
 * "cut" is set, and else go on unheard.
 */

void ngx_mcp_dispatch_abandon(ngx_mcp_session_t *s, ngx_uint_t cut);


#endif /* _NGX_MCP_DISPATCH_H_INCLUDED_ */
