
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What Frappe publishes: one JSON object,
 *
 *     {"site":S, "call":C | "user":U, "method":M, "params":{...}, "reply":K}
 *
 * (docs/push.md, docs/PROTOCOL.md 16).
 */

#ifndef _NGX_MCP_PUSHED_H_INCLUDED_
#define _NGX_MCP_PUSHED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mcp_pushed_address.h"


#define NGX_MCP_PUSHED_MIN_REPLY  22   /* characters of base64url */
#define NGX_MCP_PUSHED_MAX_REPLY  64


/* the order matters: notifications, then questions */

typedef enum {
    NGX_MCP_PUSHED_PROGRESS = 0,
    NGX_MCP_PUSHED_MESSAGE,
    NGX_MCP_PUSHED_TOOLS,              /* notifications/tools/list_changed */
    NGX_MCP_PUSHED_PROMPTS,
    NGX_MCP_PUSHED_RESOURCES,
    NGX_MCP_PUSHED_UPDATED,            /* notifications/resources/updated */
    NGX_MCP_PUSHED_COMPLETE,           /* notifications/elicitation/complete */
    NGX_MCP_PUSHED_ELICIT,             /* elicitation/create */
    NGX_MCP_PUSHED_SAMPLE,             /* sampling/createMessage */
    NGX_MCP_PUSHED_ROOTS               /* roots/list */
} ngx_mcp_pushed_method_e;


typedef struct {
    ngx_mcp_pushed_address_t  to;          /* decoded */
    ngx_uint_t                method;      /* ngx_mcp_pushed_method_e */
    ngx_str_t                 raw_method;  /* with its quotes */
    ngx_str_t                 reply;       /* K; only of a question */
    ngx_str_t                 params;      /* raw object; absent: data is
                                              NULL */

    /* of params, raw, if the method has them; absent: data is NULL */

    ngx_str_t                 progress;    /* a number */
    ngx_str_t                 total;       /* a number */
    ngx_str_t                 message;     /* a string, with its quotes */
    ngx_str_t                 level;       /* decoded: a known one */
    ngx_str_t                 uri;         /* decoded */
    ngx_str_t                 raw_uri;     /* with its quotes */

    unsigned                  url:1;       /* of elicitation/create: mode
                                              "url" */
    unsigned                  tools:1;     /* of sampling/createMessage: it has
                                              "tools" or "toolChoice" */
    unsigned                  context:1;   /* the same: "includeContext" other
                                              than "none" */
} ngx_mcp_pushed_t;


/*
 * Parses a message and fills *pushed, whose strings point into the bytes or the
 * pool.  CR and LF between tokens of params become blanks, in place.  Returns
 *
 * NGX_OK; NGX_ERROR if memory is short;
 *
 * NGX_DECLINED: not JSON in strict UTF-8; deeper than
 * NGX_MCP_JSONRPC_MAX_DEPTH; a member above, or one of params that is read,
 * repeated; no site, or both call and user; one of these empty or with a
 * control character; params that are no object, or lack what the method needs
 * (MCP 2025-11-25, schema), or have it of another type; a question without call
 * or "reply"; another method with "reply"; progress without call;
 *
 * NGX_ABORT: a method that may not be published.
 *
 * Other members are ignored.
 */

ngx_int_t ngx_mcp_pushed_parse(ngx_pool_t *pool, ngx_str_t *bytes,
    ngx_mcp_pushed_t *pushed);


#endif /* _NGX_MCP_PUSHED_H_INCLUDED_ */
