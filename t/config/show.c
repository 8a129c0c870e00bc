
/*
 * A module for t/config/values.t: "nginx -t" prints the values that directives
 * have in http, in mcp_sse_redis, and in each location with an endpoint, one
 * line each: "show PLACE NAME=VALUE ...".
 */

#include "ngx_mcp.h"


typedef enum {
    SHOW_NUM,
    SHOW_ENUM,       /* ngx_mcp_redis_mode_e */
    SHOW_STR,
    SHOW_LIST,       /* ngx_array_t * of ngx_str_t */
    SHOW_SSL,        /* ngx_ssl_t * */
    SHOW_SERVERS,    /* ngx_array_t * of ngx_mcp_redis_server_t */
    SHOW_VALUE       /* ngx_http_complex_value_t * */
} show_kind_e;


typedef struct {
    const char   *name;
    size_t        offset;
    show_kind_e   kind;
} show_t;


/* Angie keeps what a location matches in an object of its own */

#ifdef angie_version
#define show_conf(location)  (location)->conf
#else
#define show_conf(location)  (location)
#endif


#define show_loc(name, kind)                                                  \
    { #name, offsetof(ngx_mcp_loc_conf_t, name), kind }
#define show_main(name, kind)                                                 \
    { #name, offsetof(ngx_mcp_main_conf_t, name), kind }
#define show_redis(name, kind)                                                \
    { #name, offsetof(ngx_mcp_redis_conf_t, name), kind }


static show_t  show_locs[] = {
    show_loc(handler, SHOW_STR),
    show_loc(call_uri, SHOW_STR),
    show_loc(call_args, SHOW_STR),
    show_loc(user_uri, SHOW_STR),
    show_loc(user_args, SHOW_STR),
    show_loc(principal, SHOW_VALUE),
    show_loc(site, SHOW_VALUE),
    show_loc(server_urls, SHOW_LIST),
    show_loc(origins, SHOW_LIST),
    show_loc(any_origin, SHOW_NUM),
    show_loc(message_uri, SHOW_STR),
    show_loc(local, SHOW_NUM),
    show_loc(ping_result, SHOW_NUM),
    show_loc(header_check, SHOW_NUM),
    show_loc(keepalive, SHOW_NUM),
    show_loc(keepalive_event, SHOW_NUM),
    show_loc(grace, SHOW_NUM),
    show_loc(idle_timeout, SHOW_NUM),
    show_loc(session_ttl, SHOW_NUM),
    show_loc(call_timeout, SHOW_NUM),
    show_loc(progress, SHOW_NUM),
    show_loc(retry, SHOW_NUM),
    show_loc(stream_after, SHOW_NUM),
    show_loc(public_url, SHOW_VALUE),
    show_loc(auth_server, SHOW_VALUE),
    show_loc(json_only, SHOW_NUM),
    show_loc(max_answer, SHOW_NUM),
    show_loc(queue, SHOW_NUM),
    show_loc(max_calls, SHOW_NUM),
    show_loc(max_sessions, SHOW_NUM),
    show_loc(auth_cache, SHOW_NUM),
    show_loc(auth_recheck, SHOW_NUM),
    show_loc(auth_wait, SHOW_NUM),
    show_loc(auth_stale, SHOW_NUM),
    show_loc(api_secret, SHOW_STR),
    show_loc(cookie, SHOW_NUM),
    show_loc(pass_headers, SHOW_LIST),
    { NULL, 0, SHOW_NUM }
};


static show_t  show_mains[] = {
    show_main(zone_name, SHOW_STR),
    show_main(zone_size, SHOW_NUM),
    show_main(keys, SHOW_LIST),
    show_main(max_inbox, SHOW_NUM),
    show_main(auth_lookups, SHOW_NUM),
    show_main(backend_calls, SHOW_NUM),
    show_main(backend_calls_per_user, SHOW_NUM),
    show_main(max_message, SHOW_NUM),
    show_main(drain, SHOW_NUM),
    show_main(used, SHOW_NUM),
    show_main(longest_call, SHOW_NUM),
    { NULL, 0, SHOW_NUM }
};


static show_t  show_redises[] = {
    show_redis(name, SHOW_STR),
    show_redis(mode, SHOW_ENUM),
    show_redis(servers, SHOW_SERVERS),
    show_redis(user, SHOW_STR),
    show_redis(password, SHOW_STR),
    show_redis(master, SHOW_STR),
    show_redis(sentinel_user, SHOW_STR),
    show_redis(sentinel_password, SHOW_STR),
    show_redis(database, SHOW_NUM),
    show_redis(prefix, SHOW_STR),
    show_redis(slot, SHOW_NUM),
    show_redis(timeout, SHOW_NUM),
    show_redis(connect_timeout, SHOW_NUM),
    show_redis(resolver_timeout, SHOW_NUM),
    show_redis(ssl, SHOW_SSL),
    show_redis(ssl_verify, SHOW_NUM),
    show_redis(ssl_name, SHOW_STR),
    { NULL, 0, SHOW_NUM }
};


static ngx_int_t show_all(ngx_conf_t *cf);


static ngx_module_t  *show_of;


static ngx_http_module_t  ngx_mcp_show_module_ctx = {
    NULL,                                  /* preconfiguration */
    show_all,                              /* postconfiguration */
    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */
    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */
    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_mcp_show_module = {
    NGX_MODULE_V1,
    &ngx_mcp_show_module_ctx,              /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void
show_list(ngx_array_t *list)
{
    ngx_str_t   *s;
    ngx_uint_t   i;

    if (list == NULL) {
        printf("-");
        return;
    }

    s = list->elts;

    for (i = 0; i < list->nelts; i++) {
        printf("%s%.*s", i ? "," : "", (int) s[i].len, s[i].data);
    }
}


/* each as NAME|HOST|PORT|ADDRESS|ADDRESS... */

static void
show_servers(ngx_array_t *servers)
{
    u_char                   text[NGX_SOCKADDR_STRLEN];
    size_t                   len;
    ngx_uint_t               i, n;
    ngx_mcp_redis_server_t  *s;

    s = servers->elts;

    for (i = 0; i < servers->nelts; i++) {
        printf("%s%.*s|%.*s|%d", i ? "," : "",
               (int) s[i].name.len, s[i].name.data,
               (int) s[i].host.len, s[i].host.data, (int) s[i].port);

        for (n = 0; n < s[i].naddrs; n++) {
            len = ngx_sock_ntop(s[i].addrs[n].sockaddr, s[i].addrs[n].socklen,
                                text, NGX_SOCKADDR_STRLEN, 1);
            printf("|%.*s", (int) len, text);
        }
    }
}


/*
 * The depth of verification, whether there is a certificate of this client, and
 * the versions that are not spoken.
 */

static void
show_ssl(ngx_ssl_t *ssl)
{
    static struct {
        uint64_t     option;
        const char  *name;
    } versions[] = {
        { SSL_OP_NO_SSLv3, "SSLv3" },
        { SSL_OP_NO_TLSv1, "TLSv1" },
        { SSL_OP_NO_TLSv1_1, "TLSv1.1" },
        { SSL_OP_NO_TLSv1_2, "TLSv1.2" },
        { SSL_OP_NO_TLSv1_3, "TLSv1.3" },
    };

    ngx_uint_t  i;

    if (ssl == NULL) {
        printf("-");
        return;
    }

    printf("%d|%d", SSL_CTX_get_verify_depth(ssl->ctx),
           SSL_CTX_get0_certificate(ssl->ctx) != NULL);

    for (i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {

        if (SSL_CTX_get_options(ssl->ctx) & versions[i].option) {
            printf("|%s", versions[i].name);
        }
    }
}


static void
show_member(u_char *p, show_kind_e kind)
{
    ngx_str_t                 *s;
    ngx_http_complex_value_t  *cv;

    switch (kind) {

    case SHOW_NUM:
        printf("%lld", (long long) *(ngx_int_t *) p);
        return;

    case SHOW_ENUM:
        printf("%d", (int) *(ngx_mcp_redis_mode_e *) p);
        return;

    case SHOW_STR:
        s = (ngx_str_t *) p;
        printf("%.*s", (int) s->len, s->data);
        return;

    case SHOW_LIST:
        show_list(*(ngx_array_t **) p);
        return;

    case SHOW_SERVERS:
        show_servers(*(ngx_array_t **) p);
        return;

    case SHOW_SSL:
        show_ssl(*(ngx_ssl_t **) p);
        return;

    case SHOW_VALUE:
        cv = *(ngx_http_complex_value_t **) p;

        if (cv) {
            printf("%.*s", (int) cv->value.len, cv->value.data);

        } else {
            printf("-");
        }
    }
}


static void
show(ngx_str_t *place, show_t *members, void *conf)
{
    printf("show %.*s", (int) place->len, place->data);

    for ( /* void */ ; members->name; members++) {
        printf(" %s=", members->name);
        show_member((u_char *) conf + members->offset, members->kind);
    }
}


static void
show_location(ngx_http_core_loc_conf_t *clcf)
{
    ngx_mcp_loc_conf_t  *mlcf;

    mlcf = clcf->loc_conf[show_of->ctx_index];

    if (mlcf->handler.len == 0) {
        return;
    }

    show(&clcf->name, show_locs, mlcf);

    /* nginx's own, which the module sets */

    printf(" post_action=%.*s client_max_body_size=%lld\n",
           (int) clcf->post_action.len, clcf->post_action.data,
           (long long) clcf->client_max_body_size);
}


static void
show_tree(ngx_http_location_tree_node_t *node)
{
    if (node == NULL) {
        return;
    }

    if (node->exact) {
        show_location(show_conf(node->exact));
        show_tree(show_conf(node->exact)->static_locations);
    }

    if (node->inclusive) {
        show_location(show_conf(node->inclusive));
        show_tree(show_conf(node->inclusive)->static_locations);
    }

    show_tree(node->left);
    show_tree(node->tree);
    show_tree(node->right);
}


static ngx_int_t
show_all(ngx_conf_t *cf)
{
    ngx_str_t                    place;
    ngx_uint_t                   i;
    ngx_mcp_main_conf_t         *mcf;
    ngx_http_core_srv_conf_t   **cscfp;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_http_core_main_conf_t   *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    /* nginx does not share the symbols of a module with others */

    for (i = 0; cf->cycle->modules[i]; i++) {
        if (ngx_strcmp(cf->cycle->modules[i]->name, "ngx_http_mcp_sse_module")
            == 0)
        {
            show_of = cf->cycle->modules[i];
        }
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, (*show_of));

    ngx_str_set(&place, "http");
    show(&place, show_mains, mcf);
    printf("\n");

    if (mcf->redis) {
        ngx_str_set(&place, "redis");
        show(&place, show_redises, mcf->redis);
        printf("\n");
    }

    cscfp = cmcf->servers.elts;

    for (i = 0; i < cmcf->servers.nelts; i++) {
        clcf = cscfp[i]->ctx->loc_conf[ngx_http_core_module.ctx_index];
        show_tree(clcf->static_locations);
    }

    fflush(stdout);

    return NGX_OK;
}
