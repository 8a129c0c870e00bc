
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Values of notifications/progress.
 *
 * Clients read numbers as doubles.  A value with at most 6 digits after the
 * point is kept as a number of millionths: adding one is exact, and what is
 * written has no digits that nobody has told.  Others are kept as the double
 * that a client reads.
 */

#include "ngx_mcp_progress_value.h"


#define NGX_MCP_PROGRESS_VALUE_DIGITS  6
#define NGX_MCP_PROGRESS_VALUE_ONE     1000000     /* millionths */

/*
 * Below 2^33, doubles are less than a millionth apart, and a number of
 * millionths is a double without rounding.
 */

#define NGX_MCP_PROGRESS_VALUE_MAX_EXACT                                      \
    ((int64_t) 8000000000 * NGX_MCP_PROGRESS_VALUE_ONE)


static ngx_uint_t ngx_mcp_progress_value_exact(ngx_str_t *number,
    int64_t *millionths);
static ngx_int_t ngx_mcp_progress_value_double(ngx_str_t *number, double *d);
static void ngx_mcp_progress_value_write(ngx_mcp_progress_value_t *value);
static double ngx_mcp_progress_value_above(double d);


ngx_int_t
ngx_mcp_progress_value_next(ngx_mcp_progress_value_t *value)
{
    double  d;

    if (!value->sent) {
        value->sent = 1;
        value->exact = 1;
        value->millionths = 0;

    } else if (value->exact
               && value->millionths < NGX_MCP_PROGRESS_VALUE_MAX_EXACT)
    {
        value->millionths++;

    } else {
        d = ngx_mcp_progress_value_above(value->number);

        if (d - d != 0) {
            return NGX_DECLINED;
        }

        value->number = d;
        value->exact = 0;
    }

    ngx_mcp_progress_value_write(value);

    return NGX_OK;
}


ngx_int_t
ngx_mcp_progress_value_told(ngx_mcp_progress_value_t *value, ngx_str_t *number)
{
    double  d;

    if (ngx_mcp_progress_value_double(number, &d) != NGX_OK
        || (value->sent && d <= value->number))
    {
        return ngx_mcp_progress_value_next(value);
    }

    value->sent = 1;
    value->number = d;
    value->exact = ngx_mcp_progress_value_exact(number, &value->millionths);

    ngx_memcpy(value->text, number->data, number->len);
    value->len = number->len;

    return NGX_OK;
}


/*
 * Returns whether a number is one of millionths, without an exponent.
 */

static ngx_uint_t
ngx_mcp_progress_value_exact(ngx_str_t *number, int64_t *millionths)
{
    u_char      *p, *last;
    int64_t      n;
    ngx_uint_t   digits, point;

    p = number->data;
    last = p + number->len;

    n = 0;
    digits = 0;
    point = 0;

    for (p += (*p == '-'); p < last; p++) {

        if (*p == '.') {
            point = 1;
            continue;
        }

        if (*p < '0' || *p > '9' || digits == NGX_MCP_PROGRESS_VALUE_DIGITS) {
            return 0;
        }

        n = n * 10 + *p - '0';
        digits += point;

        if (n > NGX_MCP_PROGRESS_VALUE_MAX_EXACT) {
            return 0;
        }
    }

    for ( /* void */ ; digits < NGX_MCP_PROGRESS_VALUE_DIGITS; digits++) {

        if (n > NGX_MCP_PROGRESS_VALUE_MAX_EXACT / 10) {
            return 0;
        }

        n *= 10;
    }

    *millionths = (number->data[0] == '-') ? -n : n;

    return 1;
}


static ngx_int_t
ngx_mcp_progress_value_double(ngx_str_t *number, double *d)
{
    u_char  text[NGX_MCP_PROGRESS_VALUE_MAX_LEN + 1];

    if (number->len > NGX_MCP_PROGRESS_VALUE_MAX_LEN) {
        return NGX_ERROR;
    }

    ngx_memcpy(text, number->data, number->len);
    text[number->len] = '\0';

    *d = strtod((char *) text, NULL);

    /* not infinite */

    return (*d - *d == 0) ? NGX_OK : NGX_ERROR;
}


/*
 * Writes the text of a value, and the double that a client reads.  Seventeen
 * digits tell doubles apart.
 */

static void
ngx_mcp_progress_value_write(ngx_mcp_progress_value_t *value)
{
    u_char   *p;
    int64_t   n;

    if (!value->exact) {
        value->len = snprintf((char *) value->text, sizeof(value->text),
                              "%.17g", value->number);
        return;
    }

    p = value->text;
    n = value->millionths;

    value->number = (double) n / NGX_MCP_PROGRESS_VALUE_ONE;

    if (n < 0) {
        *p++ = '-';
        n = -n;
    }

    p = ngx_sprintf(p, "%L", n / NGX_MCP_PROGRESS_VALUE_ONE);

    if (n % NGX_MCP_PROGRESS_VALUE_ONE) {
        p = ngx_sprintf(p, ".%06L", n % NGX_MCP_PROGRESS_VALUE_ONE);
    }

    value->len = p - value->text;
}


/*
 * Returns a double above d: by a millionth, or the next one if that is more.
 */

static double
ngx_mcp_progress_value_above(double d)
{
    double    above;
    uint64_t  bits;

    above = d + 1.0 / NGX_MCP_PROGRESS_VALUE_ONE;

    if (above > d) {
        return above;
    }

    ngx_memcpy(&bits, &d, sizeof(double));

    bits = (d < 0) ? bits - 1 : bits + 1;

    ngx_memcpy(&above, &bits, sizeof(double));

    return above;
}
