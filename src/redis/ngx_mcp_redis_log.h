
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What the log says of a Redis: once for all workers, and not too often.
 */

#ifndef _NGX_MCP_REDIS_LOG_H_INCLUDED_
#define _NGX_MCP_REDIS_LOG_H_INCLUDED_


#include "ngx_mcp_zone.h"
#include "ngx_mcp_redis_target.h"


/* a static object of the user */

typedef struct {
    const char              *what;         /* which Redis it is */
    const char              *consequence;  /* of its loss */
    ngx_mcp_redis_conf_t    *conf;
    ngx_mcp_redis_logged_t  *logged;
} ngx_mcp_redis_log_t;


/*
 * Redis is lost, or not reached for a while.  A line for each loss; another one
 * if the reason has changed since, which tells why it does not come back.
 */

void ngx_mcp_redis_log_lost(ngx_mcp_redis_log_t *log, const u_char *reason);

/*
 * Redis is up again, or for the first time.
 */

void ngx_mcp_redis_log_ready(ngx_mcp_redis_log_t *log);

/*
 * Where the master is, which sentinels or a cluster have told, if it is not
 * where it was.
 */

void ngx_mcp_redis_log_master(ngx_mcp_redis_log_t *log,
    ngx_mcp_redis_target_t *target);

/*
 * Redis has answered a command with an error; has delivered what is not sealed
 * for this worker.
 */

void ngx_mcp_redis_log_refused(ngx_mcp_redis_log_t *log, const char *error);
void ngx_mcp_redis_log_forged(ngx_mcp_redis_log_t *log);


#endif /* _NGX_MCP_REDIS_LOG_H_INCLUDED_ */
