
/*
 * A connection that does not block.
 */

#ifndef _LOAD_CONN_H_INCLUDED_
#define _LOAD_CONN_H_INCLUDED_


#include "load.h"
#include "load_loop.h"

#include <sys/socket.h>


typedef struct {
    char                     text[128];
    struct sockaddr_storage  addr;
    socklen_t                len;
} load_target_t;


typedef struct load_conn_s  load_conn_t;

struct load_conn_s {
    load_event_t   event;

    /*
     * connected; "n" bytes came, at the time "at"; the other side or an error
     * has ended it, and it is closed.  "end" is not called by functions that
     * return LOAD_ERROR.
     */
    void         (*ready)(load_conn_t *c);
    void         (*data)(load_conn_t *c, const char *p, size_t n,
                         load_nsec_t at);
    void         (*end)(load_conn_t *c);

    const char    *out;
    size_t         left;

    unsigned       connecting:1;
    unsigned       writing:1;
};


/*
 * Splits "HOST:PORT,..." and looks the hosts up.  Returns targets that are
 * never freed and sets "n"; ends the program with what is wrong.
 */

load_target_t *load_conn_targets(const char *list, unsigned *n);

/* starts to connect; c->ready may be called before it returns */

int load_conn_open(load_conn_t *c, const load_target_t *target);

/*
 * Sends "len" bytes, which stay the caller's and must stay as they are until
 * all are sent.  LOAD_ERROR: the connection is closed.
 */

int load_conn_send(load_conn_t *c, const char *p, size_t len);

/* closes it, if it is open */

void load_conn_close(load_conn_t *c);


#endif /* _LOAD_CONN_H_INCLUDED_ */
