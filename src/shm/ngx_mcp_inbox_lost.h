
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Messages of an inbox for which there is no memory.
 */

#ifndef _NGX_MCP_INBOX_LOST_H_INCLUDED_
#define _NGX_MCP_INBOX_LOST_H_INCLUDED_


#include "ngx_mcp_zone.h"


/*
 * Gives the session an envelope for each message of the entry that has no more
 * than its id, by ngx_mcp_sessions_receive(): the message is answered with an
 * error.  The entry counts as pending for this worker, and for the record of
 * the session; the function corrects both.  Returns NGX_OK, or NGX_ERROR if
 * there is no memory for that either: then the session must end.
 */

ngx_int_t ngx_mcp_inbox_lost(ngx_mcp_session_t *s,
    ngx_mcp_inbox_entry_t *entry);


#endif /* _NGX_MCP_INBOX_LOST_H_INCLUDED_ */
