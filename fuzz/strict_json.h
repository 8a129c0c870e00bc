
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * A second JSON parser, strict by RFC 8259 and RFC 3629, that targets compare
 * the module with.  It shares no code with the module, and is not recursive.
 */

#ifndef _STRICT_JSON_H_INCLUDED_
#define _STRICT_JSON_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


typedef enum {
    STRICT_NULL = 1,
    STRICT_TRUE,
    STRICT_FALSE,
    STRICT_NUMBER,
    STRICT_STRING,
    STRICT_OBJECT,
    STRICT_ARRAY
} strict_type_e;


#define STRICT_NONE  ((size_t) -1)


/* values are in the order in which they begin; offsets are into the text */

typedef struct {
    strict_type_e    type;
    size_t           start;
    size_t           end;
    size_t           key_start;   /* of the member's name with its quotes */
    size_t           key_end;     /* 0: it is not a member of an object */
    size_t           parent;      /* index of its container, or STRICT_NONE */
    size_t           depth;       /* containers around it */
} strict_value_t;


typedef struct {
    const uint8_t   *text;
    size_t           len;
    strict_value_t  *values;
    size_t           n;
    size_t           size;
    size_t           deepest;     /* containers in each other */
} strict_json_t;


/*
 * Parses a text of JSON.  Returns 1 if it is one value in UTF-8, else 0.  The
 * caller calls strict_json_free() in either case; the text must live as long.
 */

int strict_json_parse(strict_json_t *j, const uint8_t *text, size_t len);
void strict_json_free(strict_json_t *j);

/*
 * Returns the index of the last member "name", in ASCII, of the object, or
 * STRICT_NONE; and, if count is not NULL, how many of this name there are.
 * Names are compared when they are decoded.
 */

size_t strict_json_member(const strict_json_t *j, size_t object,
    const char *name, size_t *count);

/*
 * Returns whether the string at [start, end) of the text, with its quotes, is
 * "value", in ASCII, when it is decoded; a value that is no string is not.
 */

int strict_json_is(const strict_json_t *j, size_t start, size_t end,
    const char *value);

/*
 * Decodes the bytes [p, last) between the quotes of a string that was parsed,
 * into UTF-8 at d, which has room for last - p bytes.  A lone surrogate becomes
 * U+FFFD.  Returns the length.
 */

size_t strict_json_decode(const uint8_t *p, const uint8_t *last, uint8_t *d);

/*
 * Returns the length of the character in UTF-8 that begins at p, or 0 if there
 * is none (RFC 3629, 4).
 */

size_t strict_utf8(const uint8_t *p, const uint8_t *last);

/*
 * Sets *value to that of four hexadecimal digits at p.  Returns 1, or 0 if
 * there are none.
 */

int strict_hex(const uint8_t *p, uint32_t *value);


#endif /* _STRICT_JSON_H_INCLUDED_ */
