
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What Frappe publishes (codec/ngx_mcp_pushed.c), against the strict parser:
 * what has all that its method needs is accepted, and nothing else; its members
 * are found, decoded or raw.  The glance at the address
 * (codec/ngx_mcp_pushed_address.c) says the same as the parse.
 *
 * The input is the message.
 */

#include "fuzz.h"
#include "ngx_mcp_log_level.h"
#include "ngx_mcp_pushed.h"


#define PUSHED_MAX_DEPTH  64
#define PUSHED_ANY        0       /* a type of JSON */


typedef struct {
    const char     *name;
    strict_type_e   type;
    ngx_uint_t      needed;
} pushed_member_t;


typedef struct {
    const char       *name;
    pushed_member_t   params[5];  /* that it reads */
} pushed_method_t;


static ngx_int_t pushed_expect(fuzz_input_t *in, strict_json_t *json);
static ngx_uint_t pushed_repeats(strict_json_t *json, size_t params);
static ngx_uint_t pushed_addressed(fuzz_input_t *in, strict_json_t *json);
static ngx_uint_t pushed_has(strict_json_t *json, size_t params,
    pushed_member_t *member);
static ngx_uint_t pushed_is_type(strict_json_t *json, size_t object,
    const char *name, ngx_uint_t type);
static ngx_uint_t pushed_is_reply(fuzz_input_t *in, strict_json_t *json,
    size_t i);
static void pushed_check(fuzz_input_t *in, strict_json_t *json,
    ngx_mcp_pushed_t *pushed);
static void pushed_check_text(fuzz_input_t *in, strict_json_t *json,
    size_t object, const char *name, ngx_str_t *found);
static void pushed_check_params(fuzz_input_t *in, strict_json_t *json,
    size_t params, ngx_mcp_pushed_t *pushed);
static void pushed_check_raw(strict_json_t *json, size_t object,
    const char *name, ngx_str_t *found);
static ngx_uint_t pushed_is(strict_json_t *json, size_t object,
    const char *name, const char *text);


/* MCP 2025-11-25, schema; in the order of ngx_mcp_pushed_method_e */

static pushed_method_t  pushed_methods[] = {
    { "notifications/progress",
      { { "progress", STRICT_NUMBER, 1 }, { "total", STRICT_NUMBER, 0 },
        { "message", STRICT_STRING, 0 } } },
    { "notifications/message",
      { { "level", STRICT_STRING, 1 }, { "data", PUSHED_ANY, 1 } } },
    { "notifications/tools/list_changed", { { NULL, PUSHED_ANY, 0 } } },
    { "notifications/prompts/list_changed", { { NULL, PUSHED_ANY, 0 } } },
    { "notifications/resources/list_changed", { { NULL, PUSHED_ANY, 0 } } },
    { "notifications/resources/updated", { { "uri", STRICT_STRING, 1 } } },
    { "notifications/elicitation/complete",
      { { "elicitationId", STRICT_STRING, 1 } } },
    { "elicitation/create",
      { { "message", STRICT_STRING, 1 }, { "mode", STRICT_STRING, 0 } } },
    { "sampling/createMessage",
      { { "messages", STRICT_ARRAY, 1 }, { "tools", PUSHED_ANY, 0 },
        { "toolChoice", PUSHED_ANY, 0 },
        { "includeContext", STRICT_STRING, 0 } } },
    { "roots/list", { { NULL, PUSHED_ANY, 0 } } },
    { NULL, { { NULL, PUSHED_ANY, 0 } } }
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t                  rc, seen;
    ngx_str_t                  message, bytes, text;
    fuzz_input_t               in;
    strict_json_t              json;
    ngx_mcp_pushed_t           pushed;
    ngx_mcp_pushed_address_t   to;

    fuzz_begin(&in, data, size);

    message = fuzz_rest(&in);

    ngx_memzero(&to, sizeof(ngx_mcp_pushed_address_t));
    ngx_memzero(&pushed, sizeof(ngx_mcp_pushed_t));
    ngx_memzero(&json, sizeof(strict_json_t));

    seen = ngx_mcp_pushed_address(&message, &to);

    /* the parse changes what it gets */

    bytes = fuzz_copy(&in, message.data, message.len);

    rc = ngx_mcp_pushed_parse(in.pool, &bytes, &pushed);

    text = fuzz_json_text(&bytes);

    if (!strict_json_parse(&json, text.data, text.len)
        || json.deepest > PUSHED_MAX_DEPTH
        || json.values[0].type != STRICT_OBJECT)
    {
        fuzz_check(rc == NGX_DECLINED, "what is no object is declined");

    } else if (rc != pushed_expect(&in, &json)) {
        fuzz_fail("the parse returns %d: %d", (int) pushed_expect(&in, &json),
                  (int) rc);

    } else if (rc == NGX_OK) {
        pushed_check(&in, &json, &pushed);

        if (seen == NGX_OK) {
            fuzz_check(fuzz_same(&to.site, &pushed.to.site)
                       && fuzz_same(&to.call, &pushed.to.call)
                       && fuzz_same(&to.user, &pushed.to.user),
                       "the glance sees the same address");
        }
    }

    strict_json_free(&json);
    fuzz_end(&in);

    return 0;
}


/* what the parse returns for an object */

static ngx_int_t
pushed_expect(fuzz_input_t *in, strict_json_t *json)
{
    size_t            params;
    ngx_uint_t        i, question;
    pushed_method_t  *m;
    pushed_member_t  *member;

    params = strict_json_member(json, 0, "params", NULL);

    if (pushed_repeats(json, params)
        || !pushed_is_type(json, 0, "params", STRICT_OBJECT)
        || !pushed_is_type(json, 0, "method", STRICT_STRING)
        || !pushed_is_type(json, 0, "reply", STRICT_STRING)
        || strict_json_member(json, 0, "method", NULL) == STRICT_NONE
        || !pushed_addressed(in, json))
    {
        return NGX_DECLINED;
    }

    for (m = pushed_methods; m->name; m++) {

        if (pushed_is(json, 0, "method", m->name)) {
            break;
        }
    }

    if (m->name == NULL) {
        return NGX_ABORT;
    }

    question = (m - pushed_methods >= NGX_MCP_PUSHED_ELICIT);

    if (strict_json_member(json, 0, "call", NULL) == STRICT_NONE
        && (question || m == pushed_methods))
    {
        return NGX_DECLINED;
    }

    if (question != pushed_is_reply(in, json,
                                    strict_json_member(json, 0, "reply", NULL))
        || (!question
            && strict_json_member(json, 0, "reply", NULL) != STRICT_NONE))
    {
        return NGX_DECLINED;
    }

    for (i = 0, member = m->params; i < 5 && member->name; i++, member++) {

        if (!pushed_has(json, params, member)) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
pushed_repeats(strict_json_t *json, size_t params)
{
    size_t            n;
    ngx_uint_t        i;
    pushed_method_t  *m;
    pushed_member_t  *member;

    static const char  *names[] = {
        "site", "call", "user", "method", "params", "reply", NULL
    };

    for (i = 0; names[i]; i++) {
        (void) strict_json_member(json, 0, names[i], &n);

        if (n > 1) {
            return 1;
        }
    }

    if (params == STRICT_NONE || json->values[params].type != STRICT_OBJECT) {
        return 0;
    }

    for (m = pushed_methods; m->name; m++) {

        for (i = 0, member = m->params; i < 5 && member->name; i++, member++) {
            (void) strict_json_member(json, params, member->name, &n);

            if (n > 1) {
                return 1;
            }
        }
    }

    return 0;
}


static ngx_uint_t
pushed_addressed(fuzz_input_t *in, strict_json_t *json)
{
    size_t      i, k, n;
    ngx_str_t   text;
    ngx_uint_t  at;

    static const char  *names[] = { "site", "call", "user" };

    n = 0;

    for (at = 0; at < 3; at++) {
        i = strict_json_member(json, 0, names[at], NULL);

        if (i == STRICT_NONE) {

            if (at == 0) {
                return 0;
            }

            continue;
        }

        if (json->values[i].type != STRICT_STRING) {
            return 0;
        }

        n++;
        text = fuzz_json_decoded(in, json, i);

        if (text.len == 0) {
            return 0;
        }

        for (k = 0; k < text.len; k++) {

            if (text.data[k] < 0x20 || text.data[k] == 0x7f) {
                return 0;
            }
        }
    }

    return n < 3;
}


static ngx_uint_t
pushed_has(strict_json_t *json, size_t params, pushed_member_t *member)
{
    ngx_uint_t  i;

    static const char  *levels[] = {
        "emergency", "alert", "critical", "error", "warning", "notice",
        "info", "debug", NULL
    };

    if (params == STRICT_NONE
        || strict_json_member(json, params, member->name, NULL)
           == STRICT_NONE)
    {
        return !member->needed;
    }

    if (strcmp(member->name, "level") == 0) {

        for (i = 0; levels[i]; i++) {

            if (pushed_is(json, params, "level", levels[i])) {
                return 1;
            }
        }

        return 0;
    }

    return pushed_is_type(json, params, member->name, member->type);
}


/* absent, or of a type */

static ngx_uint_t
pushed_is_type(strict_json_t *json, size_t object, const char *name,
    ngx_uint_t type)
{
    size_t  i;

    i = strict_json_member(json, object, name, NULL);

    return i == STRICT_NONE
           || type == PUSHED_ANY
           || json->values[i].type == type;
}


static ngx_uint_t
pushed_is_reply(fuzz_input_t *in, strict_json_t *json, size_t i)
{
    size_t     k;
    ngx_str_t  text;

    if (i == STRICT_NONE) {
        return 0;
    }

    text = fuzz_json_decoded(in, json, i);

    for (k = 0; k < text.len; k++) {

        if (text.data[k] == '\0'
            || strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                      "0123456789-_", text.data[k])
               == NULL)
        {
            return 0;
        }
    }

    return text.len >= 22 && text.len <= 64;
}


static void
pushed_check(fuzz_input_t *in, strict_json_t *json, ngx_mcp_pushed_t *pushed)
{
    pushed_check_text(in, json, 0, "site", &pushed->to.site);
    pushed_check_text(in, json, 0, "call", &pushed->to.call);
    pushed_check_text(in, json, 0, "user", &pushed->to.user);
    pushed_check_raw(json, 0, "method", &pushed->raw_method);

    fuzz_check(pushed_is(json, 0, "method",
                         pushed_methods[pushed->method].name),
               "it is the method");

    if (pushed->method >= NGX_MCP_PUSHED_ELICIT) {
        pushed_check_text(in, json, 0, "reply", &pushed->reply);
    }

    pushed_check_params(in, json, strict_json_member(json, 0, "params", NULL),
                        pushed);
}


/* a member, when it is decoded */

static void
pushed_check_text(fuzz_input_t *in, strict_json_t *json, size_t object,
    const char *name, ngx_str_t *found)
{
    size_t     i;
    ngx_str_t  text;

    i = strict_json_member(json, object, name, NULL);

    if (i == STRICT_NONE) {
        fuzz_check(found->data == NULL, "what is absent is not found");
        return;
    }

    text = fuzz_json_decoded(in, json, i);

    if (found->data == NULL || !fuzz_same(found, &text)) {
        fuzz_fail("%s is \"%.*s\"", name, (int) text.len, text.data);
    }
}


static void
pushed_check_params(fuzz_input_t *in, strict_json_t *json, size_t params,
    ngx_mcp_pushed_t *pushed)
{
    size_t  i;

    if (params == STRICT_NONE) {
        fuzz_check(pushed->params.data == NULL, "there are no params");
        return;
    }

    pushed_check_raw(json, 0, "params", &pushed->params);

    for (i = 0; i < pushed->params.len; i++) {
        fuzz_check(pushed->params.data[i] != CR && pushed->params.data[i] != LF,
                   "params are one line");
    }

    switch (pushed->method) {

    case NGX_MCP_PUSHED_PROGRESS:
        pushed_check_raw(json, params, "progress", &pushed->progress);
        pushed_check_raw(json, params, "total", &pushed->total);
        pushed_check_raw(json, params, "message", &pushed->message);
        return;

    case NGX_MCP_PUSHED_MESSAGE:
        pushed_check_text(in, json, params, "level", &pushed->level);
        return;

    case NGX_MCP_PUSHED_UPDATED:
        pushed_check_raw(json, params, "uri", &pushed->raw_uri);
        pushed_check_text(in, json, params, "uri", &pushed->uri);
        return;

    case NGX_MCP_PUSHED_ELICIT:
        pushed_check_raw(json, params, "message", &pushed->message);
        fuzz_check(pushed->url == pushed_is(json, params, "mode", "url"),
                   "a URL is known");
        return;

    case NGX_MCP_PUSHED_SAMPLE:
        i = strict_json_member(json, params, "includeContext", NULL);

        fuzz_check(pushed->context
                   == (i != STRICT_NONE
                       && !pushed_is(json, params, "includeContext", "none")),
                   "a context is known");
        fuzz_check(pushed->tools
                   == (strict_json_member(json, params, "tools", NULL)
                           != STRICT_NONE
                       || strict_json_member(json, params, "toolChoice", NULL)
                              != STRICT_NONE),
                   "tools are known");
        return;
    }
}


/* the bytes of a member */

static void
pushed_check_raw(strict_json_t *json, size_t object, const char *name,
    ngx_str_t *found)
{
    size_t     i;
    ngx_str_t  raw;

    i = strict_json_member(json, object, name, NULL);

    if (i == STRICT_NONE) {
        fuzz_check(found->data == NULL, "what is absent has no bytes");
        return;
    }

    raw = fuzz_json_raw(json, i);

    if (!fuzz_same(found, &raw)) {
        fuzz_fail("%s is \"%.*s\": \"%.*s\"", name, (int) raw.len, raw.data,
                  (int) found->len, found->data);
    }
}


static ngx_uint_t
pushed_is(strict_json_t *json, size_t object, const char *name,
    const char *text)
{
    size_t  i;

    i = strict_json_member(json, object, name, NULL);

    return i != STRICT_NONE
           && strict_json_is(json, json->values[i].start, json->values[i].end,
                             text);
}
