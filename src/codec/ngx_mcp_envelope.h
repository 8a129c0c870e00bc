
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Envelopes: a POST on its way to the owner of its session, with the headers
 * that go to Frappe and the parsed messages.
 *
 * An envelope is one block of memory, so that it can be copied into the zone
 * and out of it.  It has a reference count: the POST, the session and each
 * task hold one reference.
 */

#ifndef _NGX_MCP_ENVELOPE_H_INCLUDED_
#define _NGX_MCP_ENVELOPE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_mcp_jsonrpc.h"


typedef struct ngx_mcp_envelope_s  ngx_mcp_envelope_t;

struct ngx_mcp_envelope_s {
    ngx_queue_t   queue;       /* in a list of its owner */
    ngx_uint_t    refs;
    ngx_uint_t    nmessages;
    ngx_uint_t    unstarted;   /* messages that the session has not started */
    uint64_t      received;    /* when the POST was complete, in the clock of
                                  the counters; 0: unknown */
    ngx_msec_t    start_before; /* of an unconfirmed one: the last moment at
                                   which a message may start */
    size_t        size;        /* of data, bytes */
    u_char       *data;        /* behind this struct, in the same block */
    unsigned      lost:1;      /* it has the id of a message only: there was no
                                  memory for the message */
    unsigned      unconfirmed:1;  /* the sender does not know yet that it was
                                     accepted, and may answer a refusal */
};


/*
 * Makes an envelope of "headers" (of ngx_keyval_t: name in lower case, value)
 * and "messages" (of ngx_mcp_jsonrpc_message_t), with one reference.  All
 * bytes are copied.  Returns NULL if memory is short.
 */

ngx_mcp_envelope_t *ngx_mcp_envelope_make(ngx_array_t *headers,
    ngx_array_t *messages, ngx_log_t *log);

/*
 * Makes an envelope with one reference and room for "size" bytes, which the
 * caller copies to data.  Returns NULL if memory is short.
 */

ngx_mcp_envelope_t *ngx_mcp_envelope_alloc(size_t size, ngx_uint_t nmessages,
    ngx_log_t *log);

/*
 * An envelope in pieces.  read() copies the next "size" bytes to p, or skips
 * them if p is NULL; it returns NGX_OK, or NGX_ERROR if there are fewer.
 */

typedef struct {
    ngx_int_t   (*read)(void *data, u_char *p, size_t size);
    void         *data;
    ngx_uint_t    nread;       /* messages; 0 before the first call */
    ngx_uint_t    nmessages;
} ngx_mcp_envelope_pieces_t;

/*
 * Makes an envelope of its own, "lost", for the next message of "pieces", where
 * there is no memory for all of them: the caller owns it.  It needs little
 * more than the id.  Returns NGX_OK; NGX_DONE behind the last message;
 * NGX_ERROR if memory is short or the pieces are damaged.
 */

ngx_int_t ngx_mcp_envelope_lost(ngx_mcp_envelope_pieces_t *pieces,
    ngx_mcp_envelope_t **env, ngx_log_t *log);

/*
 * Releases a reference; the last one frees the envelope.
 */

void ngx_mcp_envelope_free(ngx_mcp_envelope_t *env);

/*
 * Return the headers, or the messages, one by one.  The caller sets *pos to
 * NULL before the first one.  The results point into the envelope.  Return
 * NGX_OK; NGX_DONE behind the last one; NGX_ERROR if the envelope is damaged.
 */

ngx_int_t ngx_mcp_envelope_header(ngx_mcp_envelope_t *env, u_char **pos,
    ngx_str_t *name, ngx_str_t *value);
ngx_int_t ngx_mcp_envelope_message(ngx_mcp_envelope_t *env, u_char **pos,
    ngx_mcp_jsonrpc_message_t *message);


#endif /* _NGX_MCP_ENVELOPE_H_INCLUDED_ */
