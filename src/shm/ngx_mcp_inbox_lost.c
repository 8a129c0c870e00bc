
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Messages of an inbox for which there is no memory in their owner.  They were
 * accepted, so they are answered: for that their ids are read from the entry,
 * whose chunks stay where they are.
 */

#include "ngx_mcp_inbox_lost.h"
#include "ngx_mcp_sessions.h"
#include "ngx_mcp_workers.h"


typedef struct {
    ngx_mcp_inbox_chunk_t   *chunk;
    size_t                   pos;      /* in it */
} ngx_mcp_inbox_reader_t;


static ngx_int_t ngx_mcp_inbox_lost_read(void *data, u_char *p, size_t size);
static void ngx_mcp_inbox_lost_pending(ngx_mcp_session_t *s, ngx_uint_t n,
    size_t size);


ngx_int_t
ngx_mcp_inbox_lost(ngx_mcp_session_t *s, ngx_mcp_inbox_entry_t *entry)
{
    size_t                      size;
    ngx_int_t                   rc;
    ngx_uint_t                  n;
    ngx_mcp_envelope_t         *env;
    ngx_mcp_inbox_reader_t      reader;
    ngx_mcp_envelope_pieces_t   pieces;

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "mcp sse: no memory for %ui messages of session %*s, they "
                  "are answered with an error",
                  entry->nmessages, (size_t) NGX_MCP_HASH_LEN, s->sid.hash);

    reader.chunk = entry->chunks;
    reader.pos = 0;

    pieces.read = ngx_mcp_inbox_lost_read;
    pieces.data = &reader;
    pieces.nread = 0;
    pieces.nmessages = entry->nmessages;

    size = 0;

    for (n = 0; /* void */ ; n++) {
        rc = ngx_mcp_envelope_lost(&pieces, &env, ngx_cycle->log);

        if (rc != NGX_OK) {
            break;
        }

        env->received = entry->received;
        size += env->size;

        s->pending++;
        s->bytes += env->size;

        ngx_mcp_sessions_receive(s, env);
    }

    ngx_mcp_inbox_lost_pending(s, entry->nmessages - n, entry->size - size);

    return (rc == NGX_DONE) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_mcp_inbox_lost_read(void *data, u_char *p, size_t size)
{
    ngx_mcp_inbox_reader_t  *reader = data;

    size_t  n;

    while (size) {

        if (reader->chunk == NULL) {
            return NGX_ERROR;
        }

        n = ngx_min(size, reader->chunk->size - reader->pos);

        if (p) {
            p = ngx_cpymem(p, (u_char *) (reader->chunk + 1) + reader->pos, n);
        }

        size -= n;
        reader->pos += n;

        if (reader->pos == reader->chunk->size) {
            reader->chunk = reader->chunk->next;
            reader->pos = 0;
        }
    }

    return NGX_OK;
}


/*
 * Messages, and bytes, of the entry that the session has not got.
 */

static void
ngx_mcp_inbox_lost_pending(ngx_mcp_session_t *s, ngx_uint_t n, size_t size)
{
    ngx_mcp_session_record_t  *record;

    (void) ngx_atomic_fetch_add(&ngx_mcp_workers_self()->pending,
                                -(ngx_atomic_int_t) n);

    record = s->record;

    if (record) {
        (void) ngx_atomic_fetch_add(&record->pending, -(ngx_atomic_int_t) n);
        (void) ngx_atomic_fetch_add(&record->bytes, -(ngx_atomic_int_t) size);
    }
}
