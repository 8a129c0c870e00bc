
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Values of directives that the module reads itself: what was read is in its
 * range and, printed again, is read as the same.
 *
 * Input: which directive, and its arguments as lines.
 */

#include "conf.h"
#include "ngx_mcp_conf.h"
#include "ngx_mcp_forward_headers.h"
#include "ngx_mcp_origin.h"


typedef struct {
    const char     *name;
    char         *(*set)(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
    ngx_uint_t      args;       /* at most; 0: any number */
    ngx_uint_t      offset;
    void           *post;

    /* checks a value, and prints it as arguments */

    void          (*print)(ngx_conf_t *cf, void *conf);
} directive_t;


static void directive(directive_t *d, ngx_str_t *text);
static ngx_uint_t directive_read(directive_t *d, ngx_conf_t *cf,
    ngx_mcp_loc_conf_t *conf, ngx_mcp_main_conf_t *mcf);
static void directive_uri(ngx_conf_t *cf, void *data);
static void directive_message(ngx_conf_t *cf, void *data);
static void directive_time(ngx_conf_t *cf, void *data);
static void directive_keepalive(ngx_conf_t *cf, void *data);
static void directive_sec(ngx_conf_t *cf, void *data);
static void directive_size(ngx_conf_t *cf, void *data);
static void directive_zone(ngx_conf_t *cf, void *data);
static void directive_server_url(ngx_conf_t *cf, void *data);
static void directive_origin(ngx_conf_t *cf, void *data);
static void directive_public_url(ngx_conf_t *cf, void *data);
static void directive_local(ngx_conf_t *cf, void *data);
static void directive_pass_header(ngx_conf_t *cf, void *data);
static void directive_urls(ngx_conf_t *cf, ngx_array_t *urls);


#define directive_offset(member)  offsetof(ngx_mcp_loc_conf_t, member)

static directive_t  directives[] = {
    { "mcp_sse_call", ngx_mcp_conf_uri, 1, directive_offset(call_uri),
      "", directive_uri },
    { "mcp_sse_message_uri", ngx_mcp_conf_uri, 1,
      directive_offset(message_uri), NULL, directive_message },
    { "mcp_sse_grace", ngx_mcp_conf_time, 1, directive_offset(grace),
      NULL, directive_time },
    { "mcp_sse_keepalive", ngx_mcp_conf_keepalive, 2,
      directive_offset(keepalive), "", directive_keepalive },
    { "mcp_sse_session_ttl", ngx_mcp_conf_sec, 1,
      directive_offset(session_ttl), NULL, directive_sec },
    { "mcp_sse_queue", ngx_mcp_conf_size, 1, directive_offset(queue),
      NULL, directive_size },
    { "mcp_sse_zone", ngx_mcp_conf_zone, 1, 0, NULL, directive_zone },
    { "mcp_sse_server_url", ngx_mcp_conf_server_url, 0, 0, NULL,
      directive_server_url },
    { "mcp_sse_origin", ngx_mcp_conf_origin, 0, 0, NULL,
      directive_origin },
    { "mcp_sse_public_url", ngx_mcp_conf_public_url, 1,
      directive_offset(public_url), NULL, directive_public_url },
    { "mcp_sse_local", ngx_mcp_conf_local, 0, 0, NULL, directive_local },
    { "mcp_sse_pass_header", ngx_mcp_conf_pass_header, 0, 0, NULL,
      directive_pass_header }
};

static const char  *directive_methods[] = {
    "ping", "resources/list", "resources/templates/list", "prompts/list",
    "logging/setLevel"
};

static fuzz_input_t  directive_in;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t      text;
    ngx_uint_t     which;

    fuzz_begin(&directive_in, data, size);

    which = fuzz_number(&directive_in, 255) % (sizeof(directives)
                              / sizeof(directive_t));
    text = fuzz_rest(&directive_in);

    directive(&directives[which], &text);

    fuzz_end(&directive_in);

    return 0;
}


static void
directive(directive_t *d, ngx_str_t *text)
{
    void                 *value;
    ngx_str_t            *first, *second;
    ngx_uint_t            i;
    ngx_conf_t            cf, printed, again;
    ngx_mcp_loc_conf_t    conf;
    ngx_mcp_main_conf_t   mcf;

    fuzz_conf(&directive_in, &cf, d->name);
    fuzz_conf_lines(&cf, text);

    if (cf.args->nelts < 2 || (d->args && cf.args->nelts > 1 + d->args)
        || !directive_read(d, &cf, &conf, &mcf))
    {
        return;
    }

    value = (d->set == ngx_mcp_conf_zone) ? (void *) &mcf
            : d->offset ? (char *) &conf + d->offset : (void *) &conf;

    fuzz_conf(&directive_in, &printed, d->name);
    d->print(&printed, value);

    fuzz_check(directive_read(d, &printed, &conf, &mcf),
               "a value that is printed can be read");

    fuzz_conf(&directive_in, &again, d->name);
    d->print(&again, value);

    fuzz_check(printed.args->nelts == again.args->nelts,
               "values that are printed are read as they were");

    first = printed.args->elts;
    second = again.args->elts;

    for (i = 0; i < printed.args->nelts; i++) {
        fuzz_check(fuzz_same(&first[i], &second[i]),
                   "values that are printed are read as they were");
    }
}


static ngx_uint_t
directive_read(directive_t *d, ngx_conf_t *cf,
    ngx_mcp_loc_conf_t *conf, ngx_mcp_main_conf_t *mcf)
{
    ngx_command_t  cmd;

    ngx_memzero(&cmd, sizeof(ngx_command_t));
    ngx_memzero(conf, sizeof(ngx_mcp_loc_conf_t));
    ngx_memzero(mcf, sizeof(ngx_mcp_main_conf_t));

    cmd.name.data = (u_char *) d->name;
    cmd.name.len = ngx_strlen(d->name);
    cmd.offset = d->offset;
    cmd.post = d->post;

    conf->grace = NGX_CONF_UNSET_MSEC;
    conf->keepalive = NGX_CONF_UNSET_MSEC;
    conf->session_ttl = NGX_CONF_UNSET;
    conf->queue = NGX_CONF_UNSET_SIZE;
    conf->server_urls = NGX_CONF_UNSET_PTR;
    conf->origins = NGX_CONF_UNSET_PTR;
    conf->local = NGX_CONF_UNSET_UINT;
    conf->pass_headers = NGX_CONF_UNSET_PTR;

    return d->set(cf, &cmd, d->set == ngx_mcp_conf_zone ? (void *) mcf
                                                        : (void *) conf)
           == NGX_CONF_OK;
}


static void
directive_uri(ngx_conf_t *cf, void *data)
{
    ngx_str_t  *uri = data;

    ngx_str_t  *args;

    args = uri + 1;

    fuzz_check(uri->data[0] == '/'
               && ngx_strlchr(uri->data, uri->data + uri->len, '?') == NULL,
               "a URI is a path");

    fuzz_conf_format(cf, "%V%s%V", uri, args->data ? "?" : "", args);
}


static void
directive_message(ngx_conf_t *cf, void *data)
{
    ngx_str_t  *uri = data;

    size_t  i;

    for (i = 0; i < uri->len; i++) {
        fuzz_check(uri->data[i] > ' ' && uri->data[i] != 0x7f,
                   "clients get a URI as one line");
    }

    fuzz_conf_format(cf, "%V", uri);
}


static void
directive_time(ngx_conf_t *cf, void *data)
{
    ngx_msec_t  *time = data;

    fuzz_check(*time && *time <= NGX_MAX_INT_T_VALUE,
               "a time is longer than 0");

    fuzz_conf_format(cf, "%Mms", *time);
}


static void
directive_keepalive(ngx_conf_t *cf, void *data)
{
    ngx_mcp_loc_conf_t  *conf;

    conf = (ngx_mcp_loc_conf_t *) ((char *) data
                                   - directive_offset(keepalive));

    if (conf->keepalive == NGX_MCP_OFF) {
        fuzz_check(!conf->keepalive_event, "no event is sent");
        fuzz_conf_format(cf, "off");
        return;
    }

    directive_time(cf, data);
    fuzz_conf_format(cf, conf->keepalive_event ? "event" : "comment");
}


static void
directive_sec(ngx_conf_t *cf, void *data)
{
    time_t  *sec = data;

    fuzz_check(*sec > 0, "a time is longer than 0");

    fuzz_conf_format(cf, "%T", *sec);
}


static void
directive_size(ngx_conf_t *cf, void *data)
{
    size_t  *size = data;

    fuzz_check(*size && *size <= NGX_MAX_SIZE_T_VALUE,
               "a size is larger than 0");

    fuzz_conf_format(cf, "%uz", *size);
}


static void
directive_zone(ngx_conf_t *cf, void *data)
{
    ngx_mcp_main_conf_t  *mcf = data;

    fuzz_check(mcf->zone_name.len && mcf->zone_size,
               "a zone has a name and a size");

    fuzz_conf_format(cf, "zone=%V:%uz", &mcf->zone_name, mcf->zone_size);
}


static void
directive_server_url(ngx_conf_t *cf, void *data)
{
    ngx_mcp_loc_conf_t  *conf = data;

    directive_urls(cf, conf->server_urls);
}


static void
directive_origin(ngx_conf_t *cf, void *data)
{
    ngx_mcp_loc_conf_t  *conf = data;

    if (conf->any_origin) {
        fuzz_conf_format(cf, "*");
    }

    if (conf->origins) {
        directive_urls(cf, conf->origins);
    }
}


static void
directive_urls(ngx_conf_t *cf, ngx_array_t *urls)
{
    ngx_str_t   *url;
    ngx_uint_t   i;

    url = urls->elts;

    for (i = 0; i < urls->nelts; i++) {
        fuzz_conf_arg(cf, &url[i]);
    }
}


/*
 * A value with variables is checked when it is used: it stays as it is.
 */

static void
directive_public_url(ngx_conf_t *cf, void *data)
{
    ngx_http_complex_value_t  **cv = data;

    fuzz_check((*cv)->lengths
               || ((*cv)->value.len
                   && (*cv)->value.data[(*cv)->value.len - 1] != '/'
                   && ngx_mcp_origin_is_http(&(*cv)->value)),
               "a public URL is http[s]://HOST[:PORT]");

    fuzz_conf_arg(cf, &(*cv)->value);
}


static void
directive_local(ngx_conf_t *cf, void *data)
{
    ngx_mcp_loc_conf_t  *conf = data;

    ngx_uint_t  i;

    if (conf->local == 0) {
        fuzz_conf_format(cf, "none");
        return;
    }

    fuzz_check(conf->local < 32, "five methods can be local");

    for (i = 0; i < 5; i++) {

        if (conf->local & ((ngx_uint_t) 1 << i)) {
            fuzz_conf_format(cf, directive_methods[i]);
        }
    }
}


static void
directive_pass_header(ngx_conf_t *cf, void *data)
{
    ngx_mcp_loc_conf_t  *conf = data;

    ngx_str_t   *name;
    ngx_uint_t   i;

    name = conf->pass_headers->elts;

    for (i = 0; name[i].len; i++) {
        fuzz_check(ngx_mcp_forward_headers_allowed_name(&name[i]),
                   "some headers are never passed on");
        fuzz_conf_arg(cf, &name[i]);
    }

    fuzz_check(i == conf->pass_headers->nelts - 1,
               "an empty name ends the list");
}
