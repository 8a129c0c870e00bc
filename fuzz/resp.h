
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A second, strict parser of the protocol of Redis (RESP2).
 */

#ifndef _FUZZ_RESP_H_INCLUDED_
#define _FUZZ_RESP_H_INCLUDED_


#include "fuzz.h"


#define FUZZ_RESP_DEPTH     7       /* arrays in arrays, of hiredis */
#define FUZZ_RESP_ELEMENTS  32768   /* of an array, of the module */


typedef enum {
    FUZZ_RESP_OK = 0,
    FUZZ_RESP_END,                  /* the rest of a reply is missing */
    FUZZ_RESP_INVALID,
    FUZZ_RESP_LIMIT
} fuzz_resp_e;


/* replies, and where they are printed: at most 16 characters for a byte */

typedef struct {
    u_char       *pos;
    u_char       *last;
    u_char       *out;
} fuzz_resp_t;


/*
 * Parses the next reply and prints its values by fuzz_resp_put(), as they
 * begin.  What is printed of a reply that is not OK has no meaning.
 */

fuzz_resp_e fuzz_resp_parse(fuzz_resp_t *m);

/*
 * Prints a value: type ("n" for nil), length, blank, text.  Returns the end.
 */

u_char *fuzz_resp_put(u_char *p, u_char type, u_char *text, size_t len);


#endif /* _FUZZ_RESP_H_INCLUDED_ */
