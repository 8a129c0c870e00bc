
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Sessions; each may have an open stream.
 */

#ifndef _LOAD_STREAM_H_INCLUDED_
#define _LOAD_STREAM_H_INCLUDED_


#include "load.h"
#include "load_conf.h"


typedef struct {
    unsigned  ready;              /* sessions that could be used */
    unsigned  ended;              /* streams */
    unsigned  refused;            /* sessions that could not */
    int       status;             /* of the last refused one */
    uint64_t  events;             /* other than endpoint */
    uint64_t  others;             /* of these, not answers */
    uint64_t  comments;
} load_stream_stat_t;


/*
 * Opens all sessions, a hundred at a time.  The caller runs load_loop_wait()
 * until ready + refused equals the number of sessions.  Answers are passed to
 * load_call_answered().
 */

void load_stream_open(const load_conf_t *conf);

/* records the last message of a session; with -i its answer has the id 1 */

void load_stream_sent(unsigned session, uint64_t id);

/*
 * Whether it is ready and its stream has not ended, the URI for messages,
 * Mcp-Session-Id or NULL, the worker.
 */

int load_stream_usable(unsigned session);
const char *load_stream_uri(unsigned session);
const char *load_stream_id(unsigned session);
const char *load_stream_worker(unsigned session);

/* returns the counters; adds up "comments" */

load_stream_stat_t *load_stream_stat(void);


#endif /* _LOAD_STREAM_H_INCLUDED_ */
