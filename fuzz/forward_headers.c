
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Headers that go to Frappe: those of the module once, and of the client's
 * those that are listed, as the client has sent them; never a host, an address
 * or a credential of the client's choice.
 *
 * Input: flags; a line of names, those of mcp_sse_pass_header; the headers of
 * a request as lines.
 */

#include "request.h"
#include "ngx_mcp_forward_headers.h"


static void forward_headers_pass(ngx_mcp_loc_conf_t *conf,
    ngx_str_t *names);
static void forward_headers_credential(ngx_mcp_ctx_t *ctx,
    ngx_uint_t flags);
static void forward_headers_check(ngx_http_request_t *r,
    ngx_mcp_envelope_t *env, ngx_uint_t tls);
static u_char *forward_headers_own(ngx_http_request_t *r,
    ngx_mcp_envelope_t *env, ngx_uint_t tls);
static void forward_headers_text(ngx_mcp_envelope_t *env, u_char **pos,
    const char *name, ngx_str_t *value);
static void forward_headers_one(ngx_mcp_envelope_t *env, u_char **pos,
    ngx_str_t *name, ngx_str_t *value);
static ngx_uint_t forward_headers_may(ngx_mcp_loc_conf_t *conf,
    ngx_table_elt_t *h);


/* these may be listed by nobody */

static const char  *forward_headers_never[] = {
    "accept", "accept-encoding", "authorization", "connection",
    "content-encoding", "content-length", "content-type", "cookie", "expect",
    "frappe-authorization-source", "host", "http2-settings", "keep-alive",
    "mcp-session-id", "proxy-authorization", "proxy-connection", "te",
    "trailer", "transfer-encoding", "upgrade", "x-assistant-client-id",
    "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-mcp-call",
    "x-frappe-csrf-token", "x-frappe-site-name", "x-real-ip",
    "x-use-x-accel-redirect", NULL
};

static const char  *forward_headers_always[] = {
    "user-agent", "accept-language", "traceparent", "tracestate",
    "x-request-id", NULL
};

static fuzz_input_t  forward_headers_in;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t              rc;
    ngx_str_t              text, names;
    ngx_uint_t             flags;
    ngx_array_t            messages;
    ngx_mcp_ctx_t         *ctx;
    ngx_http_request_t    *r;
    ngx_mcp_envelope_t    *env;

    fuzz_begin(&forward_headers_in, data, size);

    flags = fuzz_number(&forward_headers_in, 255);
    text = fuzz_rest(&forward_headers_in);

    r = fuzz_request(&forward_headers_in, flags & 1);
    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);

    ngx_str_set(&names, "");
    (void) fuzz_request_line(&text, &names);

    forward_headers_pass(ngx_http_get_module_loc_conf(r,
                                               ngx_http_mcp_sse_module),
                              &names);
    forward_headers_credential(ctx, flags);

    fuzz_request_headers(r, &text);

    ngx_memzero(&messages, sizeof(ngx_array_t));

    rc = ngx_mcp_forward_headers(r, &messages, &env);

    if (rc == NGX_OK) {
        fuzz_check(env->size <= NGX_MCP_MAX_HEADERS_SIZE + sizeof(uint32_t),
                   "the headers of an envelope are limited");
        forward_headers_check(r, env, flags & 1);
        ngx_mcp_envelope_free(env);

    } else {
        fuzz_check(rc == NGX_DECLINED && size > NGX_MCP_MAX_HEADERS_SIZE / 2,
                   "few headers are forwarded");
    }

    fuzz_end(&forward_headers_in);

    return 0;
}


/*
 * As ngx_mcp_conf_pass_header() does.
 */

static void
forward_headers_pass(ngx_mcp_loc_conf_t *conf, ngx_str_t *names)
{
    u_char      *p, *last;
    ngx_str_t    name, *added;
    ngx_uint_t   i, never;

    conf->pass_headers = ngx_array_create(forward_headers_in.pool, 4,
                                          sizeof(ngx_str_t));
    last = names->data + names->len;

    for (p = names->data; p < last; p++) {

        name.data = p;

        while (p < last && *p != ' ') {
            p++;
        }

        name.len = p - name.data;

        if (name.len == 0) {
            continue;
        }

        ngx_strlow(name.data, name.data, name.len);

        never = 0;

        for (i = 0; forward_headers_never[i]; i++) {
            never |= fuzz_request_is(&name, forward_headers_never[i]);
        }

        fuzz_check(ngx_mcp_forward_headers_allowed_name(&name) == !never,
                   "some headers cannot be listed");

        if (!never) {
            added = ngx_array_push(conf->pass_headers);
            *added = name;
        }
    }

    added = ngx_array_push(conf->pass_headers);
    ngx_str_null(added);
}


static void
forward_headers_credential(ngx_mcp_ctx_t *ctx, ngx_uint_t flags)
{
    if (flags & 2) {
        ngx_str_set(&ctx->auth.credential.value, "sid=0123456789");
        ctx->auth.credential.cookie = 1;

        if (flags & 4) {
            ngx_str_set(&ctx->auth.credential.csrf_token, "a token");
        }

    } else if (flags & 4) {
        ngx_str_set(&ctx->auth.credential.value, "token key:secret");
    }

    if (flags & 8) {
        ngx_str_set(&ctx->version, "2025-06-18");
    }
}


static void
forward_headers_check(ngx_http_request_t *r, ngx_mcp_envelope_t *env,
    ngx_uint_t tls)
{
    u_char              *pos;
    ngx_str_t            name, value;
    ngx_uint_t           i;
    ngx_list_part_t     *part;
    ngx_mcp_ctx_t       *ctx;
    ngx_table_elt_t     *h;
    ngx_mcp_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_mcp_sse_module);

    pos = forward_headers_own(r, env, tls);

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (!h[i].hash
                || !forward_headers_may(conf, &h[i])
                || (ctx->version.len
                    && fuzz_request_is(&h[i].key, "mcp-protocol-version")))
            {
                continue;
            }

            name.data = h[i].lowcase_key;
            name.len = h[i].key.len;

            forward_headers_one(env, &pos, &name, &h[i].value);
        }
    }

    fuzz_check(ngx_mcp_envelope_header(env, &pos, &name, &value) == NGX_DONE,
               "no other header of the client is forwarded");
}


/*
 * The headers of the module, which come first.
 */

static u_char *
forward_headers_own(ngx_http_request_t *r, ngx_mcp_envelope_t *env,
    ngx_uint_t tls)
{
    u_char                *pos;
    ngx_str_t              proto;
    ngx_mcp_ctx_t         *ctx;
    ngx_mcp_credential_t  *cred;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    cred = &ctx->auth.credential;

    proto.data = (u_char *) "https";
    proto.len = tls ? 5 : 4;

    pos = NULL;

    forward_headers_text(env, &pos, "", &r->connection->addr_text);
    forward_headers_text(env, &pos, "x-forwarded-for",
                             &r->connection->addr_text);
    forward_headers_text(env, &pos, "x-forwarded-proto", &proto);

    if (r->headers_in.host) {
        forward_headers_text(env, &pos, "x-forwarded-host",
                                 &r->headers_in.host->value);
    }

    if (cred->value.len) {
        forward_headers_text(env, &pos, cred->cookie ? "cookie"
                                                         : "authorization",
                                 &cred->value);
    }

    if (cred->csrf_token.len) {
        forward_headers_text(env, &pos, "x-frappe-csrf-token",
                                 &cred->csrf_token);
    }

    if (ctx->version.len) {
        forward_headers_text(env, &pos, "mcp-protocol-version",
                                 &ctx->version);
    }

    return pos;
}


static void
forward_headers_text(ngx_mcp_envelope_t *env, u_char **pos,
    const char *name, ngx_str_t *value)
{
    ngx_str_t  s;

    s.data = (u_char *) name;
    s.len = ngx_strlen(name);

    forward_headers_one(env, pos, &s, value);
}


static void
forward_headers_one(ngx_mcp_envelope_t *env, u_char **pos,
    ngx_str_t *name, ngx_str_t *value)
{
    ngx_str_t  got_name, got_value;

    fuzz_check(ngx_mcp_envelope_header(env, pos, &got_name, &got_value)
               == NGX_OK
               && fuzz_same(&got_name, name)
               && fuzz_same(&got_value, value),
               "a header is forwarded as it is");
}


static ngx_uint_t
forward_headers_may(ngx_mcp_loc_conf_t *conf, ngx_table_elt_t *h)
{
    ngx_str_t   *name;
    ngx_uint_t   i;

    if (h->key.len > 4 && ngx_strncmp(h->lowcase_key, "mcp-", 4) == 0) {
        return !fuzz_request_is(&h->key, "mcp-session-id");
    }

    for (i = 0; forward_headers_always[i]; i++) {

        if (fuzz_request_is(&h->key, forward_headers_always[i])) {
            return 1;
        }
    }

    name = conf->pass_headers->elts;

    for (i = 0; i < conf->pass_headers->nelts - 1; i++) {

        if (name[i].len == h->key.len
            && ngx_strncmp(name[i].data, h->lowcase_key, h->key.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
