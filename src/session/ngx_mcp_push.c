
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What Frappe has published: whom it is for.
 *
 * Each worker gets each message, so that one for others must cost little: it is
 * known by a glance at its first members, without a parse.
 */

#include "ngx_mcp_push.h"
#include "ngx_mcp_call_id.h"
#include "ngx_mcp_counters.h"
#include "ngx_mcp_primary.h"
#include "ngx_mcp_push_call.h"
#include "ngx_mcp_push_session.h"
#include "ngx_mcp_pushed_address.h"
#include "ngx_mcp_question.h"
#include "ngx_mcp_zone.h"


#define NGX_MCP_PUSH_POOL_SIZE   4096      /* bytes */
#define NGX_MCP_PUSH_LOG_SEC     10        /* between two lines */
#define NGX_MCP_PUSH_LOGGED_LEN  64        /* bytes of a name in a line */


static void ngx_mcp_push_up(void);
static void ngx_mcp_push_published(ngx_str_t *bytes);
static ngx_uint_t ngx_mcp_push_is_own(ngx_mcp_pushed_address_t *to);
static ngx_uint_t ngx_mcp_push_is_listed(ngx_mcp_pushed_address_t *to);
static ngx_int_t ngx_mcp_push_parse(ngx_pool_t *pool, ngx_str_t *bytes);
static void ngx_mcp_push_to_call(ngx_mcp_pushed_t *pushed);
static void ngx_mcp_push_other_site(ngx_mcp_task_t *task,
    ngx_mcp_pushed_t *pushed);
static size_t ngx_mcp_push_logged(u_char *dst, ngx_str_t *name);


static ngx_mcp_events_user_t  ngx_mcp_push_user = {
    ngx_mcp_push_up,
    ngx_mcp_primary_lost,
    ngx_mcp_push_published,
    ngx_mcp_question_answered,
    ngx_mcp_primary_claimed,
    ngx_mcp_question_second
};


ngx_int_t
ngx_mcp_push_init(ngx_cycle_t *cycle)
{
    if (!ngx_mcp_events_used()) {
        return NGX_OK;
    }

    ngx_mcp_call_id_init();

    if (ngx_mcp_push_session_init() != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mcp_events_init(&ngx_mcp_push_user, cycle->log);
}


static void
ngx_mcp_push_up(void)
{
    ngx_mcp_question_up();
    ngx_mcp_primary_up();
}


static void
ngx_mcp_push_published(ngx_str_t *bytes)
{
    ngx_int_t                  rc;
    ngx_pool_t                *pool;
    ngx_mcp_pushed_address_t   to;

    rc = ngx_mcp_pushed_address(bytes, &to);

    if (rc == NGX_OK && !ngx_mcp_push_is_own(&to)) {
        return;
    }

    pool = ngx_create_pool(NGX_MCP_PUSH_POOL_SIZE, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    if (ngx_mcp_push_parse(pool, bytes) != NGX_DONE) {
        ngx_destroy_pool(pool);
    }
}


/*
 * Returns whether a message is for a call or for streams of this worker.
 */

static ngx_uint_t
ngx_mcp_push_is_own(ngx_mcp_pushed_address_t *to)
{
    return to->call.data ? ngx_mcp_call_id_is_own(&to->call)
                         : ngx_mcp_push_is_listed(to);
}


/*
 * Returns whether this worker has a stream of the user or of the site.
 */

static ngx_uint_t
ngx_mcp_push_is_listed(ngx_mcp_pushed_address_t *to)
{
    return ngx_mcp_push_session_has(&to->site,
                                    to->user.data ? &to->user : NULL);
}


/*
 * Returns NGX_DONE if the pool was passed on with a copy of the message.
 */

static ngx_int_t
ngx_mcp_push_parse(ngx_pool_t *pool, ngx_str_t *bytes)
{
    ngx_int_t         rc;
    ngx_str_t         copy;
    ngx_mcp_pushed_t  pushed;

    copy.len = bytes->len;
    copy.data = ngx_pstrdup(pool, bytes);

    if (copy.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&pushed, sizeof(ngx_mcp_pushed_t));

    rc = ngx_mcp_pushed_parse(pool, &copy, &pushed);

    if (rc == NGX_DECLINED) {
        ngx_mcp_push_drop(NGX_MCP_COUNT_EVENTS_MALFORMED, &pushed.to,
                          "it is malformed");
        return rc;
    }

    if (rc == NGX_ABORT) {
        ngx_mcp_push_drop(NGX_MCP_COUNT_EVENTS_METHOD, &pushed.to,
                          "its method may not be published");
        return rc;
    }

    if (rc != NGX_OK || !ngx_mcp_push_is_own(&pushed.to)) {
        return rc;
    }

    if (pushed.to.call.data) {
        ngx_mcp_push_to_call(&pushed);
        return NGX_OK;
    }

    ngx_mcp_push_session(pool, &pushed);

    return NGX_DONE;
}


static void
ngx_mcp_push_to_call(ngx_mcp_pushed_t *pushed)
{
    ngx_str_t       *site;
    ngx_mcp_task_t  *task;

    task = ngx_mcp_call_id_find(&pushed->to.call);

    if (task == NULL) {

        if (pushed->method >= NGX_MCP_PUSHED_ELICIT) {
            ngx_mcp_question_ended(pushed);
        }

        ngx_mcp_push_drop(NGX_MCP_COUNT_EVENTS_ENDED, &pushed->to,
                          "its call has ended");
        return;
    }

    site = &task->session->events_site;

    if (pushed->to.site.len != site->len
        || ngx_memcmp(pushed->to.site.data, site->data, site->len) != 0)
    {
        ngx_mcp_push_other_site(task, pushed);
        return;
    }

    task->pushed = 1;

    if (pushed->method >= NGX_MCP_PUSHED_ELICIT) {

        ngx_mcp_question_ask(task, pushed);
        return;
    }

    ngx_mcp_push_call(task, pushed);
}


/*
 * Frappe's name of the site is not that of mcp_sse_site: a mistake of the
 * configuration, which ends all that Frappe publishes.
 */

static void
ngx_mcp_push_other_site(ngx_mcp_task_t *task, ngx_mcp_pushed_t *pushed)
{
    size_t       len, own_len;
    u_char       name[NGX_MCP_PUSH_LOGGED_LEN], own[NGX_MCP_PUSH_LOGGED_LEN];
    ngx_str_t   *site;

    site = &task->session->events_site;

    ngx_mcp_count(NGX_MCP_COUNT_EVENTS_SITE);

    if (!ngx_mcp_zone_log_once(&ngx_mcp_zone()->root->events_site_logged_at,
                               NGX_MCP_PUSH_LOG_SEC))
    {
        return;
    }

    len = ngx_mcp_push_logged(name, &pushed->to.site);
    own_len = ngx_mcp_push_logged(own, site);

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "mcp sse: Frappe has published for a call of site \"%*s\" "
                  "with the site \"%*s\", the message is dropped; "
                  "\"mcp_sse_events_site\" sets the name that Frappe has",
                  own_len, own, len, name);
}


void
ngx_mcp_push_drop(ngx_uint_t which, ngx_mcp_pushed_address_t *to,
    const char *what)
{
    size_t      site_len, user_len;
    u_char      site[NGX_MCP_PUSH_LOGGED_LEN], user[NGX_MCP_PUSH_LOGGED_LEN];
    ngx_uint_t  level;

    ngx_mcp_count(which);

    if (!ngx_mcp_zone_log_once(
             &ngx_mcp_zone()->root->events_dropped_logged_at,
             NGX_MCP_PUSH_LOG_SEC))
    {
        return;
    }

    level = (which == NGX_MCP_COUNT_EVENTS_MALFORMED
             || which == NGX_MCP_COUNT_EVENTS_TOO_LARGE
             || which == NGX_MCP_COUNT_EVENTS_METHOD)
            ? NGX_LOG_ERR : NGX_LOG_INFO;

    site_len = ngx_mcp_push_logged(site, &to->site);
    user_len = ngx_mcp_push_logged(user, &to->user);

    ngx_log_error(level, ngx_cycle->log, 0,
                  "mcp sse: a message that Frappe has published is dropped: "
                  "%s, site: \"%*s\", for %s \"%*s\"",
                  what, site_len, site,
                  to->call.data ? "a call" : "user", user_len, user);
}


/*
 * Copies a name that anybody may have published, without what would be another
 * line of the log.
 */

static size_t
ngx_mcp_push_logged(u_char *dst, ngx_str_t *name)
{
    u_char      ch;
    ngx_uint_t  i;

    for (i = 0; i < name->len && i < NGX_MCP_PUSH_LOGGED_LEN; i++) {
        ch = name->data[i];
        dst[i] = (ch < ' ' || ch == 0x7f || ch == '"') ? '?' : ch;
    }

    return i;
}
