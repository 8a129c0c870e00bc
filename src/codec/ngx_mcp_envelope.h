
/*
 * A POST on its way to the owner of its session: a fixed list of header
 * values and the messages, taken apart.  A leaf.
 *
 * An envelope is one block of memory, so that it can be copied into the zone
 * and out of it.  It is counted: whoever keeps it takes a reference.
 */

#ifndef _NGX_MCP_ENVELOPE_H_INCLUDED_
#define _NGX_MCP_ENVELOPE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mcp_jsonrpc.h"


typedef struct ngx_mcp_envelope_s  ngx_mcp_envelope_t;

struct ngx_mcp_envelope_s {
    ngx_queue_t   queue;       /* of its present owner */
    ngx_uint_t    refs;
    ngx_uint_t    nmessages;
    ngx_uint_t    unstarted;   /* messages not yet started by the owner */
    uint64_t      received;    /* when the POST was complete, on the clock of
                                  the counters; 0: unknown */
    ngx_msec_t    start_before; /* if unconfirmed: not to be started then */
    size_t        size;
    u_char       *data;        /* behind this struct, in the same block */
    unsigned      unconfirmed:1;  /* its client may be told it was refused */
};


/*
 * Makes an envelope of "headers" (of ngx_keyval_t: lower case name, value)
 * and "messages" (of ngx_mcp_jsonrpc_message_t), with one reference.  All
 * bytes are copied.  NULL if memory is short.
 */

ngx_mcp_envelope_t *ngx_mcp_envelope_make(ngx_array_t *headers,
    ngx_array_t *messages, ngx_log_t *log);

/*
 * Makes an empty one for "size" bytes that the caller copies to data.
 */

ngx_mcp_envelope_t *ngx_mcp_envelope_alloc(size_t size, ngx_uint_t nmessages,
    ngx_log_t *log);

/*
 * Gives a reference up, and frees the envelope with the last one.
 */

void ngx_mcp_envelope_free(ngx_mcp_envelope_t *env);

/*
 * Walk through headers and messages.  *pos is NULL before the first one; the
 * results point into the envelope.  NGX_OK; NGX_DONE behind the last one;
 * NGX_ERROR if the envelope is damaged.
 */

ngx_int_t ngx_mcp_envelope_header(ngx_mcp_envelope_t *env, u_char **pos,
    ngx_str_t *name, ngx_str_t *value);
ngx_int_t ngx_mcp_envelope_message(ngx_mcp_envelope_t *env, u_char **pos,
    ngx_mcp_jsonrpc_message_t *message);


#endif /* _NGX_MCP_ENVELOPE_H_INCLUDED_ */
