
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The call of a task: its variables, headers and body.
 */

#include "ngx_mcp_task_call.h"
#include "ngx_mcp_header.h"
#include "ngx_mcp_json_text.h"
#include "ngx_mcp_outcome.h"
#include "ngx_mcp_variables.h"


static ngx_int_t ngx_mcp_task_vars(ngx_mcp_task_t *task, ngx_mcp_call_t *call);
static ngx_int_t ngx_mcp_task_headers(ngx_mcp_task_t *task,
    ngx_mcp_call_t *call);
static ngx_int_t ngx_mcp_task_push_id(ngx_mcp_task_t *task,
    ngx_mcp_call_t *call);
static ngx_uint_t ngx_mcp_task_note(ngx_mcp_call_t *call, ngx_str_t *name,
    ngx_str_t *value);
static ngx_int_t ngx_mcp_task_body(ngx_mcp_task_t *task, ngx_mcp_call_t *call);
static u_char *ngx_mcp_task_member(u_char *p, ngx_str_t *name,
    ngx_str_t *value);


static ngx_str_t  ngx_mcp_json = ngx_string("application/json");
static ngx_str_t  ngx_mcp_host = ngx_string("host");
static ngx_str_t  ngx_mcp_accept = ngx_string("accept");
static ngx_str_t  ngx_mcp_type = ngx_string("content-type");
static ngx_str_t  ngx_mcp_session_name = ngx_string("mcp-session-id");
static ngx_str_t  ngx_mcp_client_id = ngx_string("x-assistant-client-id");
static ngx_str_t  ngx_mcp_call_name = ngx_string("x-mcp-call");

/* the body of a call */

static ngx_str_t  ngx_mcp_task_version = ngx_string("{\"jsonrpc\":\"2.0\"");
static ngx_str_t  ngx_mcp_task_id = ngx_string(",\"id\":");
static ngx_str_t  ngx_mcp_task_method = ngx_string(",\"method\":");
static ngx_str_t  ngx_mcp_task_params = ngx_string(",\"params\":");


ngx_mcp_call_t *
ngx_mcp_task_call(ngx_mcp_task_t *task)
{
    ngx_mcp_call_t      *call;
    ngx_mcp_session_t   *s;
    ngx_mcp_loc_conf_t  *conf;

    s = task->session;
    conf = s->conf;

    call = ngx_mcp_call_create(s->cscf, ngx_cycle->log);
    if (call == NULL) {
        return NULL;
    }

    call->uri = conf->call_uri;
    call->args = conf->call_args;
    call->timeout = conf->call_timeout;
    call->max_answer = conf->max_answer;
    call->waited = ngx_current_msec - task->accepted;
    call->data = task;
    call->classify = ngx_mcp_outcome_classify;
    call->jsonrpc = 1;

    if (task->place) {
        call->place = task->place;
        task->place = NULL;

        /* what the call points to, after its task is freed */

        call->envelope = task->envelope;
        call->envelope->refs++;
    }

    ngx_mcp_jsonrpc_answer_begin(&call->scan, call->pool);

    if (ngx_mcp_task_vars(task, call) != NGX_OK
        || ngx_mcp_task_headers(task, call) != NGX_OK
        || ngx_mcp_task_body(task, call) != NGX_OK)
    {
        ngx_mcp_call_free(call);
        return NULL;
    }

    return call;
}


/*
 * Copies what is of the session: the call may be taken over by another one.
 */

static ngx_int_t
ngx_mcp_task_vars(ngx_mcp_task_t *task, ngx_mcp_call_t *call)
{
    u_char             *p;
    ngx_mcp_vars_t     *vars;
    ngx_mcp_session_t  *s;

    s = task->session;
    vars = &call->ctx.vars;

    p = ngx_pnalloc(call->pool, NGX_MCP_HASH_LEN + s->user.len + s->site.len
                                + (s->client ? s->client->len
                                               + s->client->version_len : 0));
    if (p == NULL) {
        return NGX_ERROR;
    }

    vars->session.data = p;
    vars->session.len = s->anonymous ? 0 : NGX_MCP_HASH_LEN;
    p = ngx_cpymem(p, s->sid.hash, NGX_MCP_HASH_LEN);

    vars->user.data = p;
    vars->user.len = s->user.len;
    p = ngx_cpymem(p, s->user.data, s->user.len);

    vars->site.data = p;
    vars->site.len = s->site.len;
    p = ngx_cpymem(p, s->site.data, s->site.len);

    if (s->client) {
        vars->client.data = p;
        vars->client.len = s->client->len;
        p = ngx_cpymem(p, s->client->name, s->client->len);

        vars->version.data = p;
        vars->version.len = s->client->version_len;
        ngx_memcpy(p, s->client->version, s->client->version_len);
    }

    vars->wait = call->waited;

    ngx_mcp_vars_set(vars, &task->message);

    return NGX_OK;
}


/*
 * Adds the headers of the call: no others reach the backend.  The envelope
 * has those that the client sent and may send.  Frappe Assistant Core joins
 * the rows of its audit log by mcp-session-id: it gets the hash of the id,
 * since the id itself is a secret.  The envelope has x-assistant-client-id,
 * unless the client is known by a legacy session.
 */

static ngx_int_t
ngx_mcp_task_headers(ngx_mcp_task_t *task, ngx_mcp_call_t *call)
{
    u_char              *pos;
    ngx_int_t            rc;
    ngx_str_t            name, value;
    ngx_http_request_t  *r;

    r = call->request;

    if (ngx_mcp_header_push(r, &ngx_mcp_host, &call->ctx.vars.site) != NGX_OK
        || ngx_mcp_header_push(r, &ngx_mcp_accept, &ngx_mcp_json) != NGX_OK
        || ngx_mcp_header_push(r, &ngx_mcp_type, &ngx_mcp_json) != NGX_OK
        || (call->ctx.vars.session.len
            && ngx_mcp_header_push(r, &ngx_mcp_session_name,
                                   &call->ctx.vars.session)
               != NGX_OK)
        || (call->ctx.vars.client.len
            && ngx_mcp_header_push(r, &ngx_mcp_client_id,
                                   &call->ctx.vars.client)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    if (ngx_mcp_task_push_id(task, call) != NGX_OK) {
        return NGX_ERROR;
    }

    pos = NULL;

    for ( ;; ) {
        rc = ngx_mcp_envelope_header(task->envelope, &pos, &name, &value);
        if (rc != NGX_OK) {
            return (rc == NGX_DONE) ? NGX_OK : NGX_ERROR;
        }

        if (ngx_mcp_task_note(call, &name, &value)) {
            continue;
        }

        if (ngx_mcp_header_push(r, &name, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }
}


/*
 * Lets Frappe name the call in what it publishes.  Nobody waits for a
 * notification.
 */

static ngx_int_t
ngx_mcp_task_push_id(ngx_mcp_task_t *task, ngx_mcp_call_t *call)
{
    ngx_str_t  id;

    if (task->silent || !ngx_mcp_events_used()) {
        return NGX_OK;
    }

    id.len = NGX_MCP_CALL_ID_LEN;
    id.data = ngx_pnalloc(call->pool, id.len);

    if (id.data == NULL
        || ngx_mcp_call_id_enter(&task->call_id, task) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memcpy(id.data, task->call_id.text, id.len);

    return ngx_mcp_header_push(call->request, &ngx_mcp_call_name, &id);
}


/*
 * Takes what is for variables from a header of the envelope, see
 * http/ngx_mcp_forward_headers.c.  Returns whether it is for these alone, and
 * not sent.
 */

static ngx_uint_t
ngx_mcp_task_note(ngx_mcp_call_t *call, ngx_str_t *name, ngx_str_t *value)
{
    ngx_mcp_vars_t  *vars;

    vars = &call->ctx.vars;

    switch (name->len) {

    case 0:
        call->address = *value;
        return 1;

    case sizeof(":") - 1:

        if (name->data[0] != ':') {
            return 0;
        }

        vars->version = *value;
        return 1;

    case sizeof("x-assistant-client-id") - 1:

        if (ngx_mcp_str_is(name, "x-assistant-client-id")) {
            vars->client = *value;
        }

        return 0;

    case sizeof("mcp-protocol-version") - 1:

        if (vars->version.len == 0
            && value->len == NGX_MCP_CLIENT_VERSION_LEN
            && ngx_mcp_str_is(name, "mcp-protocol-version"))
        {
            vars->version = *value;
        }

        return 0;

    default:
        return 0;
    }
}


/*
 * Builds the body from the known members of the message: Frappe would execute
 * others, "cmd" for example.
 */

static ngx_int_t
ngx_mcp_task_body(ngx_mcp_task_t *task, ngx_mcp_call_t *call)
{
    u_char                     *p;
    size_t                      size;
    ngx_mcp_jsonrpc_message_t  *m;

    m = &task->message;

    size = ngx_mcp_task_version.len
           + ngx_mcp_task_id.len + m->id.len
           + ngx_mcp_task_method.len + m->raw_method.len
           + ngx_mcp_task_params.len + m->params.len
           + sizeof("}") - 1;

    p = ngx_pnalloc(call->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    call->body.data = p;

    p = ngx_cpymem(p, ngx_mcp_task_version.data, ngx_mcp_task_version.len);
    p = ngx_mcp_task_member(p, &ngx_mcp_task_id, &m->id);
    p = ngx_mcp_task_member(p, &ngx_mcp_task_method, &m->raw_method);
    p = ngx_mcp_task_member(p, &ngx_mcp_task_params, &m->params);
    *p++ = '}';

    call->body.len = p - call->body.data;

    return NGX_OK;
}


static u_char *
ngx_mcp_task_member(u_char *p, ngx_str_t *name, ngx_str_t *value)
{
    if (value->data == NULL) {
        return p;
    }

    p = ngx_cpymem(p, name->data, name->len);

    return ngx_cpymem(p, value->data, value->len);
}
