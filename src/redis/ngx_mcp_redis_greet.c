
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The first commands of a connection: who it is, and whom it has reached.
 *
 * They are sent together, and answered in their order.
 */

#include "ngx_mcp_redis_greet.h"


static ngx_int_t ngx_mcp_redis_greet_auth(ngx_mcp_redis_conn_t *conn);
static ngx_int_t ngx_mcp_redis_greet_select(ngx_mcp_redis_conn_t *conn);
static ngx_int_t ngx_mcp_redis_greet_name(ngx_mcp_redis_conn_t *conn);
static void ngx_mcp_redis_greet_name_handler(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static ngx_int_t ngx_mcp_redis_greet_role(ngx_mcp_redis_conn_t *conn);
static void ngx_mcp_redis_greet_role_handler(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static void ngx_mcp_redis_greet_info_handler(ngx_mcp_redis_conn_t *conn,
    redisReply *reply, void *data);
static uint64_t ngx_mcp_redis_greet_run_id(redisReply *reply);
static ngx_uint_t ngx_mcp_redis_greet_version(redisReply *reply);
static u_char *ngx_mcp_redis_greet_value(redisReply *reply, char *name);
static ngx_uint_t ngx_mcp_redis_greet_may_not(ngx_mcp_redis_conn_t *conn,
    redisReply *reply);


ngx_int_t
ngx_mcp_redis_greet(ngx_mcp_redis_conn_t *conn)
{
    if (ngx_mcp_redis_greet_auth(conn) != NGX_OK
        || ngx_mcp_redis_greet_select(conn) != NGX_OK
        || ngx_mcp_redis_greet_name(conn) != NGX_OK
        || ngx_mcp_redis_greet_role(conn) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_mcp_redis_greet_auth(ngx_mcp_redis_conn_t *conn)
{
    ngx_str_t   argv[3], *user, *password;
    ngx_uint_t  n;

    if (conn->kind == NGX_MCP_REDIS_CONN_SENTINEL) {
        user = &conn->conf->sentinel_user;
        password = &conn->conf->sentinel_password;

    } else {
        user = &conn->conf->user;
        password = &conn->conf->password;
    }

    if (password->len == 0) {
        return NGX_OK;
    }

    ngx_str_set(&argv[0], "AUTH");
    n = 1;

    if (user->len) {
        argv[n++] = *user;
    }

    argv[n++] = *password;

    return ngx_mcp_redis_conn_send(conn, ngx_mcp_redis_conn_check, NULL, n,
                                   argv);
}


static ngx_int_t
ngx_mcp_redis_greet_select(ngx_mcp_redis_conn_t *conn)
{
    u_char     number[NGX_INT_T_LEN];
    ngx_str_t  argv[2];

    if (conn->kind != NGX_MCP_REDIS_CONN_MASTER || conn->conf->database == 0) {
        return NGX_OK;
    }

    ngx_str_set(&argv[0], "SELECT");
    argv[1].data = number;
    argv[1].len = ngx_sprintf(number, "%i", conn->conf->database) - number;

    return ngx_mcp_redis_conn_send(conn, ngx_mcp_redis_conn_check, NULL, 2,
                                   argv);
}


static ngx_int_t
ngx_mcp_redis_greet_name(ngx_mcp_redis_conn_t *conn)
{
    ngx_str_t  argv[3];

    ngx_str_set(&argv[0], "CLIENT");
    ngx_str_set(&argv[1], "SETNAME");
    argv[2].data = (u_char *) conn->name;
    argv[2].len = ngx_strlen(conn->name);

    return ngx_mcp_redis_conn_send(conn, ngx_mcp_redis_greet_name_handler,
                                   NULL, 3, argv);
}


/*
 * The name is for CLIENT LIST only, so that a missing right is ignored.  Other
 * errors fail the connection: this may be the first command, which Redis
 * answers with NOAUTH if a password is missing.
 */

static void
ngx_mcp_redis_greet_name_handler(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR
        && ngx_strncmp(reply->str, "NOPERM", 6) != 0)
    {
        ngx_mcp_redis_conn_fail(conn, reply->str);
        return;
    }

    if (conn->kind != NGX_MCP_REDIS_CONN_MASTER) {
        ngx_mcp_redis_conn_greeted(conn);
    }
}


static ngx_int_t
ngx_mcp_redis_greet_role(ngx_mcp_redis_conn_t *conn)
{
    ngx_int_t  rc;
    ngx_str_t  argv[2];

    if (conn->kind != NGX_MCP_REDIS_CONN_MASTER) {
        return NGX_OK;
    }

    ngx_str_set(&argv[0], "ROLE");

    rc = ngx_mcp_redis_conn_send(conn, ngx_mcp_redis_greet_role_handler, NULL,
                                 1, argv);
    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_set(&argv[0], "INFO");
    ngx_str_set(&argv[1], "server");

    return ngx_mcp_redis_conn_send(conn, ngx_mcp_redis_greet_info_handler, NULL,
                                   2, argv);
}


/*
 * A replica is refused, since it takes no writes; without the right to call
 * ROLE this is found out later.
 */

static void
ngx_mcp_redis_greet_role_handler(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    if (reply == NULL || ngx_mcp_redis_greet_may_not(conn, reply)) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_mcp_redis_conn_fail(conn, reply->str);
        return;
    }

    if (reply->type == REDIS_REPLY_ARRAY
        && reply->elements
        && reply->element[0]->type == REDIS_REPLY_STRING)
    {
        if (ngx_strcmp(reply->element[0]->str, "master") != 0) {
            ngx_mcp_redis_conn_fail(conn, "it is a replica");
        }

        return;
    }

    if (conn->conf->mode != NGX_MCP_REDIS_PLAIN) {
        ngx_mcp_redis_conn_fail(conn, "invalid reply to ROLE");
    }
}


/*
 * Ends the greeting.
 */

static void
ngx_mcp_redis_greet_info_handler(ngx_mcp_redis_conn_t *conn, redisReply *reply,
    void *data)
{
    if (reply == NULL) {
        return;
    }

    conn->master = ngx_mcp_redis_greet_run_id(reply);
    conn->version = ngx_mcp_redis_greet_version(reply);

    if (conn->master == 0 && conn->conf->mode != NGX_MCP_REDIS_PLAIN) {
        ngx_mcp_redis_conn_fail(conn, reply->type == REDIS_REPLY_ERROR
                                      ? reply->str : "invalid reply to INFO");
        return;
    }

    ngx_mcp_redis_conn_greeted(conn);
}


/*
 * Returns a hash of the server's run_id, which is random and new in each
 * process of Redis; 0 if it is not told.  The hash is in packets: all instances
 * compute the same one, FNV-1a of 64 bits.
 */

static uint64_t
ngx_mcp_redis_greet_run_id(redisReply *reply)
{
    u_char    *p;
    uint64_t   hash;

    p = ngx_mcp_redis_greet_value(reply, "run_id:");
    if (p == NULL) {
        return 0;
    }

    for (hash = 0xcbf29ce484222325ULL; *p > ' '; p++) {
        hash = (hash ^ *p) * 0x100000001b3ULL;
    }

    return hash ? hash : 1;
}


/*
 * Returns the first number of the version of the server; 0 if it is not told.
 */

static ngx_uint_t
ngx_mcp_redis_greet_version(redisReply *reply)
{
    u_char     *p, *last;
    ngx_int_t   n;

    p = ngx_mcp_redis_greet_value(reply, "redis_version:");
    if (p == NULL) {
        return 0;
    }

    for (last = p; *last >= '0' && *last <= '9'; last++) { /* void */ }

    n = ngx_atoi(p, last - p);

    return n == NGX_ERROR ? 0 : (ngx_uint_t) n;
}


/*
 * Returns what follows a name in the reply to INFO, up to its NUL; or NULL.
 */

static u_char *
ngx_mcp_redis_greet_value(redisReply *reply, char *name)
{
    u_char  *p;

    if (reply->type != REDIS_REPLY_STRING) {
        return NULL;
    }

    p = ngx_strnstr((u_char *) reply->str, name, reply->len);

    return p ? p + ngx_strlen(name) : NULL;
}


/*
 * Returns whether the user has no right to know, and need not.
 */

static ngx_uint_t
ngx_mcp_redis_greet_may_not(ngx_mcp_redis_conn_t *conn, redisReply *reply)
{
    return conn->conf->mode == NGX_MCP_REDIS_PLAIN
           && reply->type == REDIS_REPLY_ERROR
           && ngx_strncmp(reply->str, "NOPERM", 6) == 0;
}
