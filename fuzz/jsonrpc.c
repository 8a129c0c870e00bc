
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Messages of clients: the scan (codec/ngx_mcp_jsonrpc.c), the envelope, and
 * the message that session/ngx_mcp_task_call.c builds for Frappe, against the
 * strict parser.
 *
 * The scan accepts what the rules in message_model() accept, and finds the same
 * bytes.  What goes to Frappe is JSON with jsonrpc, id, method and params only,
 * each byte for byte that of the client.  Errors are one line with the id.  Two
 * ids are the same if they are equal strings or integers.
 */

#include "fuzz.h"
#include "ngx_mcp_envelope.h"

/* for a static function: ngx_mcp_task_body() */

#include "ngx_mcp_task_call.c"


#define MESSAGE_MAX_DEPTH  64
#define MESSAGE_MAX_BATCH  100
#define MESSAGE_MAX_ID     4096


/* the members of a message, as the strict parser finds them */

typedef struct {
    size_t  count;
    size_t  i;                 /* of the last one, or STRICT_NONE */
} message_member_t;

enum {
    MESSAGE_JSONRPC = 0,
    MESSAGE_ID,
    MESSAGE_METHOD,
    MESSAGE_PARAMS,
    MESSAGE_RESULT,
    MESSAGE_ERROR,
    MESSAGE_MEMBERS
};


static ngx_int_t body_model(fuzz_input_t *in, strict_json_t *j,
    ngx_str_t *text, size_t *messages, size_t *n);
static ngx_uint_t message_model(fuzz_input_t *in, strict_json_t *j, size_t i);
static void message_members(strict_json_t *j, size_t i, message_member_t *m);
static ngx_uint_t params_model(strict_json_t *j, size_t params);
static ngx_uint_t is_id(strict_json_t *j, size_t i);
static ngx_uint_t is_text(strict_json_t *j, size_t i, const char *text);
static ngx_uint_t is_notification(fuzz_input_t *in, strict_json_t *j, size_t i);
static void check_message(fuzz_input_t *in, strict_json_t *j, size_t i,
    ngx_mcp_jsonrpc_message_t *message);
static size_t member(strict_json_t *j, size_t i, const char *name);
static size_t id_member(strict_json_t *j, size_t i, const char *name);
static void check_raw(strict_json_t *j, size_t i, ngx_str_t *found,
    const char *name);
static void check_string(ngx_str_t *found, ngx_str_t *expected,
    const char *name);
static void check_envelope(fuzz_input_t *in, ngx_array_t *messages);
static void check_rebuilt(fuzz_input_t *in, ngx_mcp_jsonrpc_message_t *before,
    ngx_mcp_jsonrpc_message_t *after);
static void check_sent(strict_json_t *j, const char *name,
    ngx_str_t *expected);
static void check_error(fuzz_input_t *in, ngx_str_t *id);
static void check_ids(fuzz_input_t *in, ngx_str_t *a, ngx_str_t *b);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                      i, n, *index;
    ngx_int_t                   rc, expected;
    ngx_str_t                   body, text;
    ngx_uint_t                  batch;
    ngx_array_t                *messages;
    fuzz_input_t                in;
    strict_json_t               j;
    ngx_mcp_jsonrpc_message_t  *m;

    fuzz_begin(&in, data, size);

    body = fuzz_rest(&in);
    text = fuzz_json_text(&body);

    index = fuzz_alloc(&in, (text.len + 1) * sizeof(size_t));
    expected = body_model(&in, &j, &text, index, &n);

    rc = ngx_mcp_jsonrpc_scan(in.pool, &body, &messages, &batch);

    if (rc != expected) {
        fuzz_fail("the scan returns %ld: %ld", (long) expected, (long) rc);
    }

    if (rc == NGX_OK) {

        if (!batch != (j.values[0].type != STRICT_ARRAY)) {
            fuzz_fail("a batch is an array");
        }

        if (messages->nelts != n) {
            fuzz_fail("each message is found: %zu", n);
        }

        m = messages->elts;

        for (i = 0; i < n; i++) {
            check_message(&in, &j, index[i], &m[i]);
            check_ids(&in, &m[0].id, &m[i].id);
        }

        check_envelope(&in, messages);
    }

    strict_json_free(&j);
    fuzz_end(&in);

    return 0;
}


static ngx_int_t
body_model(fuzz_input_t *in, strict_json_t *j, ngx_str_t *text,
    size_t *messages, size_t *n)
{
    size_t  i, depth;

    *n = 0;

    if (!strict_json_parse(j, text->data, text->len)
        || j->deepest > MESSAGE_MAX_DEPTH)
    {
        return NGX_MCP_ERR_PARSE;
    }

    depth = (j->values[0].type == STRICT_ARRAY);

    for (i = 0; i < j->n; i++) {

        if (j->values[i].depth != depth) {
            continue;
        }

        if (!message_model(in, j, i)) {
            return NGX_MCP_ERR_INVALID_REQUEST;
        }

        messages[(*n)++] = i;
    }

    return (*n && *n <= MESSAGE_MAX_BATCH) ? NGX_OK
                                           : NGX_MCP_ERR_INVALID_REQUEST;
}


/*
 * JSON-RPC 2.0, 4 and 5, MCP 2025-11-25, and what the module adds: no member of
 * a message is repeated, nor what it reads of params; an id has at most 4096
 * bytes; a method without an id is a notification.
 */

static ngx_uint_t
message_model(fuzz_input_t *in, strict_json_t *j, size_t i)
{
    size_t            k;
    message_member_t  m[MESSAGE_MEMBERS];

    if (j->values[i].type != STRICT_OBJECT) {
        return 0;
    }

    message_members(j, i, m);

    for (k = 0; k < MESSAGE_MEMBERS; k++) {
        if (m[k].count > 1) {
            return 0;
        }
    }

    if (m[MESSAGE_JSONRPC].count == 0
        || !is_text(j, m[MESSAGE_JSONRPC].i, "2.0")
        || (m[MESSAGE_ID].count && !is_id(j, m[MESSAGE_ID].i))
        || (m[MESSAGE_PARAMS].count && !params_model(j, m[MESSAGE_PARAMS].i)))
    {
        return 0;
    }

    if (m[MESSAGE_METHOD].count) {

        if (j->values[m[MESSAGE_METHOD].i].type != STRICT_STRING
            || is_text(j, m[MESSAGE_METHOD].i, "")
            || m[MESSAGE_RESULT].count || m[MESSAGE_ERROR].count)
        {
            return 0;
        }

        return m[MESSAGE_ID].count
               || is_notification(in, j, m[MESSAGE_METHOD].i);
    }

    return m[MESSAGE_ID].count
           && m[MESSAGE_RESULT].count + m[MESSAGE_ERROR].count == 1;
}


static void
message_members(strict_json_t *j, size_t i, message_member_t *m)
{
    size_t  k;

    static const char  *names[] = {
        "jsonrpc", "id", "method", "params", "result", "error"
    };

    for (k = 0; k < MESSAGE_MEMBERS; k++) {
        m[k].i = strict_json_member(j, i, names[k], &m[k].count);
    }
}


static ngx_uint_t
params_model(strict_json_t *j, size_t params)
{
    size_t  name, id, meta, token, version, i;

    static const char  key[] = "io.modelcontextprotocol/protocolVersion";

    if (j->values[params].type == STRICT_ARRAY) {
        return 1;
    }

    if (j->values[params].type != STRICT_OBJECT) {
        return 0;
    }

    (void) strict_json_member(j, params, "name", &name);
    (void) strict_json_member(j, params, "requestId", &id);
    i = strict_json_member(j, params, "_meta", &meta);

    if (name > 1 || id > 1 || meta > 1) {
        return 0;
    }

    if (meta && j->values[i].type == STRICT_OBJECT) {
        (void) strict_json_member(j, i, "progressToken", &token);
        (void) strict_json_member(j, i, key, &version);
        return token <= 1 && version <= 1;
    }

    return 1;
}


/* a string or an integer */

static ngx_uint_t
is_id(strict_json_t *j, size_t i)
{
    size_t           k;
    strict_value_t  *v;

    v = &j->values[i];

    if ((v->type != STRICT_STRING && v->type != STRICT_NUMBER)
        || v->end - v->start > MESSAGE_MAX_ID)
    {
        return 0;
    }

    for (k = v->start; k < v->end; k++) {
        if (v->type == STRICT_NUMBER && strchr(".eE", j->text[k])) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
is_text(strict_json_t *j, size_t i, const char *text)
{
    return strict_json_is(j, j->values[i].start, j->values[i].end, text);
}


static ngx_uint_t
is_notification(fuzz_input_t *in, strict_json_t *j, size_t i)
{
    ngx_str_t  method;

    static ngx_str_t  prefix = ngx_string("notifications/");

    method = fuzz_json_decoded(in, j, i);

    return method.len >= prefix.len
           && ngx_memcmp(method.data, prefix.data, prefix.len) == 0;
}


/* the last member of a value that may be absent or no object */

static size_t
member(strict_json_t *j, size_t i, const char *name)
{
    return (i == STRICT_NONE) ? STRICT_NONE
                              : strict_json_member(j, i, name, NULL);
}


static size_t
id_member(strict_json_t *j, size_t i, const char *name)
{
    i = member(j, i, name);

    return (i != STRICT_NONE && is_id(j, i)) ? i : STRICT_NONE;
}


static void
check_message(fuzz_input_t *in, strict_json_t *j, size_t i,
    ngx_mcp_jsonrpc_message_t *message)
{
    size_t            params, k;
    ngx_str_t         method, name;
    ngx_uint_t        type;
    message_member_t  m[MESSAGE_MEMBERS];

    ngx_str_null(&method);
    ngx_str_null(&name);

    message_members(j, i, m);

    type = !m[MESSAGE_METHOD].count ? NGX_MCP_JSONRPC_RESPONSE
           : m[MESSAGE_ID].count ? NGX_MCP_JSONRPC_REQUEST
           : NGX_MCP_JSONRPC_NOTIFICATION;

    if (message->type != type) {
        fuzz_fail("the type of the message is %lu", (long) type);
    }

    params = m[MESSAGE_PARAMS].i;

    check_raw(j, m[MESSAGE_ID].i, &message->id, "id");
    check_raw(j, m[MESSAGE_METHOD].i, &message->raw_method, "raw_method");
    check_raw(j, params, &message->params, "params");
    check_raw(j, m[MESSAGE_RESULT].i, &message->result, "result");
    check_raw(j, m[MESSAGE_ERROR].i, &message->error, "error");

    if (m[MESSAGE_METHOD].count) {
        method = fuzz_json_decoded(in, j, m[MESSAGE_METHOD].i);
    }

    k = member(j, params, "name");

    if (k != STRICT_NONE && j->values[k].type == STRICT_STRING) {
        name = fuzz_json_decoded(in, j, k);
    }

    check_string(&message->method, &method, "method");
    check_string(&message->name, &name, "name");

    check_raw(j, id_member(j, params, "requestId"), &message->request_id,
              "request_id");

    k = member(j, params, "_meta");

    check_raw(j, id_member(j, k, "progressToken"), &message->token, "token");
    check_raw(j, member(j, k, "io.modelcontextprotocol/protocolVersion"),
              &message->version, "version");
}


/* the value i, or nothing, at its place in the body */

static void
check_raw(strict_json_t *j, size_t i, ngx_str_t *found, const char *name)
{
    ngx_str_t  expected;

    ngx_str_null(&expected);

    if (i != STRICT_NONE) {
        expected = fuzz_json_raw(j, i);
    }

    if (found->data != expected.data || found->len != expected.len) {
        fuzz_fail("%s is \"%.*s\": \"%.*s\"", name, (int) expected.len,
                  expected.data, (int) found->len, found->data);
    }
}


static void
check_string(ngx_str_t *found, ngx_str_t *expected, const char *name)
{
    if ((found->data == NULL) != (expected->data == NULL)
        || !fuzz_same(found, expected))
    {
        fuzz_fail("%s is \"%.*s\": \"%.*s\"", name, (int) expected->len,
                  expected->data, (int) found->len, found->data);
    }
}


/* through the envelope to the call, and errors */

static void
check_envelope(fuzz_input_t *in, ngx_array_t *messages)
{
    u_char                     *pos;
    ngx_uint_t                  i;
    ngx_array_t                *headers;
    ngx_mcp_envelope_t         *env;
    ngx_mcp_jsonrpc_message_t  *before, after;

    headers = ngx_array_create(in->pool, 1, sizeof(ngx_keyval_t));

    env = ngx_mcp_envelope_make(headers, messages, in->log);
    if (env == NULL) {
        fuzz_fail("there is memory for an envelope");
    }

    pos = NULL;
    before = messages->elts;

    for (i = 0; i < messages->nelts; i++) {

        if (ngx_mcp_envelope_message(env, &pos, &after) != NGX_OK) {
            fuzz_fail("message %lu is in the envelope", (long) i);
        }

        if (before[i].method.data) {
            check_rebuilt(in, &before[i], &after);
        }

        if (before[i].id.data) {
            check_error(in, &before[i].id);
        }
    }

    if (ngx_mcp_envelope_message(env, &pos, &after) != NGX_DONE) {
        fuzz_fail("the envelope has no more messages");
    }

    ngx_mcp_envelope_free(env);
}


static void
check_rebuilt(fuzz_input_t *in, ngx_mcp_jsonrpc_message_t *before,
    ngx_mcp_jsonrpc_message_t *after)
{
    size_t          i, n;
    strict_json_t   j;
    ngx_mcp_task_t  task;
    ngx_mcp_call_t  call;

    ngx_memzero(&task, sizeof(ngx_mcp_task_t));
    ngx_memzero(&call, sizeof(ngx_mcp_call_t));

    call.pool = in->pool;
    task.message = *after;

    if (ngx_mcp_task_body(&task, &call) != NGX_OK) {
        fuzz_fail("there is memory for the body of a call");
    }

    if (!strict_json_parse(&j, call.body.data, call.body.len)) {
        fuzz_fail("what goes to Frappe is JSON: %.*s", (int) call.body.len,
                  call.body.data);
    }

    for (i = 1, n = 0; i < j.n; i++) {
        n += (j.values[i].parent == 0);
    }

    if (n != 2 + (size_t) (before->id.data != NULL)
             + (size_t) (before->params.data != NULL)
        || !is_text(&j, 1, "2.0"))
    {
        fuzz_fail("Frappe gets the known members only: %.*s",
                  (int) call.body.len, call.body.data);
    }

    check_sent(&j, "id", &before->id);
    check_sent(&j, "method", &before->raw_method);
    check_sent(&j, "params", &before->params);

    strict_json_free(&j);
}


static void
check_sent(strict_json_t *j, const char *name, ngx_str_t *expected)
{
    size_t     i;
    ngx_str_t  sent;

    ngx_str_null(&sent);

    i = strict_json_member(j, 0, name, NULL);

    if (i != STRICT_NONE) {
        sent = fuzz_json_raw(j, i);
    }

    check_string(&sent, expected, name);
}


static void
check_error(fuzz_input_t *in, ngx_str_t *id)
{
    size_t         i, size;
    ngx_str_t      text;
    strict_json_t  j;

    static ngx_str_t  data = ngx_string("{\"executed\":\"no\"}");

    size = ngx_mcp_jsonrpc_error_size(id, "m", &data);
    text.data = fuzz_alloc(in, size);
    text.len = ngx_mcp_jsonrpc_error(text.data, id, -32603, "m", &data)
               - text.data;

    if (text.len > size || !strict_json_parse(&j, text.data, text.len)) {
        fuzz_fail("an error is JSON of the size that was announced");
    }

    i = strict_json_member(&j, 0, "id", &size);

    if (size != 1) {
        fuzz_fail("an error has one id");
    }

    text = fuzz_json_raw(&j, i);
    check_string(&text, id, "id of an error");

    for (i = 0; i < j.len; i++) {
        if (j.text[i] < ' ') {
            fuzz_fail("an error is one line");
        }
    }

    strict_json_free(&j);
}


static void
check_ids(fuzz_input_t *in, ngx_str_t *a, ngx_str_t *b)
{
    ngx_str_t   kind[2], value[2];
    ngx_uint_t  same, equal;

    if (a->data == NULL || b->data == NULL) {
        return;
    }

    same = fuzz_same_id(in, a, b);

    if (ngx_mcp_jsonrpc_same_id(a, b) != same
        || ngx_mcp_jsonrpc_same_id(b, a) != same)
    {
        fuzz_fail("the ids %.*s and %.*s are %s", (int) a->len, a->data,
                  (int) b->len, b->data, same ? "the same" : "not the same");
    }

    if (ngx_mcp_jsonrpc_id_value(in->pool, a, &kind[0], &value[0]) != NGX_OK
        || ngx_mcp_jsonrpc_id_value(in->pool, b, &kind[1], &value[1])
           != NGX_OK)
    {
        fuzz_fail("there is memory for ids");
    }

    equal = fuzz_same(&kind[0], &kind[1]) && fuzz_same(&value[0], &value[1]);

    if (equal != same) {
        fuzz_fail("the ids %.*s and %.*s have values that are %s",
                  (int) a->len, a->data, (int) b->len, b->data,
                  same ? "equal" : "not equal");
    }
}
