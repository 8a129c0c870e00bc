
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * How much memory the unfinished request bodies of each user take.
 *
 * A client may send the beginning of many bodies and not the rest, and each is
 * in memory until then.  A user has a record in the worker while any of his
 * bodies is unfinished.  A body has its size counted from the first wait for
 * more of it until it is complete or its request ends; it refers to the record,
 * which is freed with the last of them.
 */

#include "ngx_mcp_body_user.h"
#include "ngx_mcp_zone.h"


/* in units of mcp_sse_max_message, docs/PROTOCOL.md 1.16 */

#define NGX_MCP_BODY_USER_MAX  8


struct ngx_mcp_body_user_s {
    ngx_rbtree_node_t   node;
    u_char              key[NGX_MCP_DIGEST_LEN];
    ngx_uint_t          n;
    size_t              size;          /* of n bodies, bytes */
};


static ngx_int_t ngx_mcp_body_user_key(ngx_mcp_ctx_t *ctx, u_char *key);
static ngx_mcp_body_user_t *ngx_mcp_body_user_find(ngx_mcp_ctx_t *ctx);
static void ngx_mcp_body_user_cleanup(void *data);


static ngx_rbtree_node_t  ngx_mcp_body_users_sentinel;

static ngx_rbtree_t  ngx_mcp_body_users = {
    &ngx_mcp_body_users_sentinel, &ngx_mcp_body_users_sentinel,
    ngx_rbtree_insert_value
};


ngx_int_t
ngx_mcp_body_user_count(ngx_http_request_t *r, size_t size)
{
    ngx_mcp_ctx_t        *ctx;
    ngx_mcp_body_t       *body;
    ngx_http_cleanup_t   *cln;
    ngx_mcp_body_user_t  *user;

    ctx = ngx_http_get_module_ctx(r, ngx_http_mcp_sse_module);
    body = ctx->body;

    if (body->user == NULL) {
        cln = ngx_http_cleanup_add(r, 0);
        if (cln == NULL) {
            return NGX_ERROR;
        }

        user = ngx_mcp_body_user_find(ctx);
        if (user == NULL) {
            return NGX_ERROR;
        }

        user->n++;
        body->user = user;

        cln->handler = ngx_mcp_body_user_cleanup;
        cln->data = body;
    }

    user = body->user;

    if (user->size - body->counted + size > NGX_MCP_BODY_USER_MAX * body->max) {
        ctx->reason = "unfinished requests of its user have 8 times "
                      "mcp_sse_max_message";
        return NGX_BUSY;
    }

    user->size += size - body->counted;
    body->counted = size;

    return NGX_OK;
}


/*
 * While Frappe is unreachable, the user is not known, but his credential is.
 */

static ngx_int_t
ngx_mcp_body_user_key(ngx_mcp_ctx_t *ctx, u_char *key)
{
    ngx_str_t  parts[3];

    ngx_str_set(&parts[0], "body");
    parts[1] = ctx->vars.site;
    parts[2] = ctx->vars.user;

    if (parts[2].len == 0) {
        parts[2].data = ctx->auth.credential.digest;
        parts[2].len = NGX_MCP_DIGEST_LEN;
    }

    return ngx_mcp_hmac(key, ngx_mcp_zone()->secrets->elts, parts, 3);
}


/*
 * Finds or creates the record of the user.
 */

static ngx_mcp_body_user_t *
ngx_mcp_body_user_find(ngx_mcp_ctx_t *ctx)
{
    u_char                key[NGX_MCP_DIGEST_LEN];
    ngx_rbtree_node_t    *node;
    ngx_mcp_body_user_t  *user;

    if (ngx_mcp_body_user_key(ctx, key) != NGX_OK) {
        return NULL;
    }

    node = ngx_mcp_tree_find(&ngx_mcp_body_users, key,
                             offsetof(ngx_mcp_body_user_t, key));
    if (node) {
        return ngx_rbtree_data(node, ngx_mcp_body_user_t, node);
    }

    user = ngx_calloc(sizeof(ngx_mcp_body_user_t), ngx_cycle->log);
    if (user == NULL) {
        return NULL;
    }

    ngx_memcpy(user->key, key, NGX_MCP_DIGEST_LEN);

    ngx_mcp_tree_insert(&ngx_mcp_body_users, &user->node, user->key);

    return user;
}


void
ngx_mcp_body_user_done(ngx_mcp_body_t *body)
{
    ngx_mcp_body_user_t  *user;

    user = body->user;

    if (user == NULL) {
        return;
    }

    body->user = NULL;
    user->size -= body->counted;
    body->counted = 0;

    if (--user->n == 0) {
        ngx_rbtree_delete(&ngx_mcp_body_users, &user->node);
        ngx_free(user);
    }
}


static void
ngx_mcp_body_user_cleanup(void *data)
{
    ngx_mcp_body_user_done(data);
}
