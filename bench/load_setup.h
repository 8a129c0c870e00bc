
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The handshake of a session: initialize, notifications/initialized.
 */

#ifndef _LOAD_SETUP_H_INCLUDED_
#define _LOAD_SETUP_H_INCLUDED_


#include "load.h"
#include "load_conf.h"


/*
 * Posts both messages to "uri" on a connection of their own, which is closed
 * then, and calls done() once, later: with the Mcp-Session-Id ("" if there is
 * none) and the worker, which are valid until it returns, or with NULL and the
 * status of the response that was refused (0: no response).  "uri" must stay
 * valid until then.
 *
 * Over HTTP+SSE the result comes on the stream, with the id 0.
 */

void load_setup(const load_conf_t *conf, unsigned session,
    const load_target_t *target, const char *uri,
    void (*done)(unsigned session, const char *id, const char *worker,
                 int status));


#endif /* _LOAD_SETUP_H_INCLUDED_ */
