
/*
 * The command line.
 */

#ifndef _LOAD_CONF_H_INCLUDED_
#define _LOAD_CONF_H_INCLUDED_


#include "load.h"
#include "load_conn.h"


typedef struct {
    load_target_t   *streams;
    unsigned         nstreams;
    load_target_t   *posts;
    unsigned         nposts;

    const char      *uri;
    const char      *host;        /* NULL: the target's address */
    const char      *credential;
    const char      *header;
    char            *body;        /* @ID@ is the id */

    unsigned         sessions;
    unsigned         connections;
    unsigned         outstanding;
    double           rate;        /* 0: closed loop */
    double           pipe_rate;   /* 0: no pipe */

    load_nsec_t      warm_up;
    load_nsec_t      duration;
    load_nsec_t      patience;

    const char      *pids;
    const char      *masters;
} load_conf_t;


/* reads the command line; ends the program with what is wrong, or --help */

void load_conf_read(load_conf_t *conf, int argc, char **argv);


#endif /* _LOAD_CONF_H_INCLUDED_ */
