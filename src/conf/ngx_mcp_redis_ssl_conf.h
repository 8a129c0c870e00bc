
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The directives mcp_sse_redis_ssl_*.
 */

#ifndef _NGX_MCP_REDIS_SSL_CONF_H_INCLUDED_
#define _NGX_MCP_REDIS_SSL_CONF_H_INCLUDED_


#include "ngx_mcp.h"


/*
 * The setters: those of nginx, or, if nginx has no SSL, one that refuses the
 * directive.
 */

#if (NGX_SSL)

#define ngx_mcp_redis_ssl_flag  ngx_conf_set_flag_slot
#define ngx_mcp_redis_ssl_str   ngx_conf_set_str_slot

#else

#define ngx_mcp_redis_ssl_flag  ngx_mcp_redis_ssl_unsupported
#define ngx_mcp_redis_ssl_str   ngx_mcp_redis_ssl_unsupported

char *ngx_mcp_redis_ssl_unsupported(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

#endif


/*
 * In postconfiguration: sets the members of rcf that begin with "ssl", if it
 * has "rediss://".  Several share one context, which belongs to the pool of
 * the cycle.  Returns NGX_OK, or NGX_ERROR after a message.
 */

ngx_int_t ngx_mcp_redis_ssl_conf_set(ngx_conf_t *cf,
    ngx_mcp_redis_ssl_conf_t *sscf, ngx_mcp_redis_conf_t *rcf);

/*
 * If there is no "rediss://": warns of directives that are set.
 */

void ngx_mcp_redis_ssl_conf_unused(ngx_conf_t *cf,
    ngx_mcp_redis_ssl_conf_t *sscf);


#endif /* _NGX_MCP_REDIS_SSL_CONF_H_INCLUDED_ */
