
/*
 * The connections messages are posted on.
 */

#ifndef _LOAD_POST_H_INCLUDED_
#define _LOAD_POST_H_INCLUDED_


#include "load.h"
#include "load_conf.h"


/*
 * Starts to connect.  load_loop_wait() is to be called until all are free; a
 * connection that is ended by the server is made anew at once.
 */

void load_post_open(const load_conf_t *conf);

/* connections that wait for a message, and those made anew so far */

unsigned load_post_free(void);
unsigned load_post_again(void);

/*
 * Sends the message on the connection that has been free the longest.  What
 * comes of it goes to load_call_sent(), _status() and _broken(), the latter
 * perhaps before it returns.  There must be a free connection.
 */

void load_post_send(uint64_t id);

/* connects those whose last attempt failed */

void load_post_retry(void);


#endif /* _LOAD_POST_H_INCLUDED_ */
