
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Connections on which messages are posted.
 */

#ifndef _LOAD_POST_H_INCLUDED_
#define _LOAD_POST_H_INCLUDED_


#include "load.h"
#include "load_conf.h"


/*
 * Connects conf->connections times.  The caller runs load_loop_wait() until
 * all are free.  A connection that the server closes is reopened at once.
 */

void load_post_open(const load_conf_t *conf);

/* return the number of free connections and of reconnects so far */

unsigned load_post_free(void);
unsigned load_post_reconnects(void);

/*
 * Sends a message on the connection that has been free the longest; there
 * must be one.  Calls load_call_sent(), and load_call_status() or
 * load_call_broken() later; the last may run before it returns.
 */

void load_post_send(uint64_t id);

/* connects again where the last attempt failed */

void load_post_retry(void);


#endif /* _LOAD_POST_H_INCLUDED_ */
