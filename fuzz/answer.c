
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Answers of Frappe: the scan (codec/ngx_mcp_jsonrpc_answer.c), what becomes of
 * them (session/ngx_mcp_outcome.c), and the event for the client
 * (session/ngx_mcp_reply.c), against the strict parser.
 *
 * The client gets one line of JSON: a JSON-RPC response with the id of its
 * request, byte for byte.  If Frappe's answer was a response, or had one under
 * "message", its result or error and all other members are those of Frappe,
 * byte for byte; another value under "message" becomes the result; of anything
 * else the client sees an error of the module.  "Byte for byte" is after
 * fuzz_one_line(): the characters that end a line are escaped.
 *
 * The input is the id of the request, up to FUZZ_END_OF_FIELD, and the body.
 */

#include "fuzz.h"
#include "ngx_mcp_call.h"
#include "ngx_mcp_outcome.h"
#include "ngx_mcp_reply.h"
#include "ngx_mcp_task.h"


#define ANSWER_MAX_DEPTH  512


/* what is expected */

typedef struct {
    strict_json_t  json;
    ngx_uint_t     valid;
    size_t         response;   /* index of it, or STRICT_NONE */
    size_t         value;      /* of what becomes the result, the same */
    size_t         id;         /* of the response, the same */
    ngx_uint_t     error;      /* the response has an error, or isError */
    ngx_str_t      exc_type;
} answer_model_t;


static void answer_scan(fuzz_input_t *in, ngx_mcp_call_t *call,
    ngx_str_t *body);
static void answer_model(fuzz_input_t *in, answer_model_t *m, ngx_str_t *body);
static ngx_uint_t answer_is_response(answer_model_t *m, size_t i);
static ngx_uint_t answer_is_ambiguous(answer_model_t *m, size_t i);
static void answer_exc_type(fuzz_input_t *in, answer_model_t *m);
static ngx_uint_t answer_outcome(fuzz_input_t *in, answer_model_t *m,
    ngx_mcp_task_t *task, size_t size);
static ngx_uint_t answer_same_id(fuzz_input_t *in, answer_model_t *m,
    ngx_str_t *id);
static ngx_uint_t answer_make_id(ngx_str_t *id);
static void answer_check(fuzz_input_t *in, answer_model_t *m,
    ngx_mcp_task_t *task, ngx_str_t *id);
static void answer_check_members(fuzz_input_t *in, answer_model_t *m,
    strict_json_t *j);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t            len;
    ngx_str_t         id, body;
    ngx_uint_t        outcome;
    fuzz_input_t      in;
    answer_model_t    m;
    ngx_mcp_task_t    task;
    ngx_mcp_call_t    call;
    ngx_mcp_sink_t    sink;

    static ngx_uint_t  statuses[] = {
        200, 200, 200, 200, 400, 400, 202, 204, 401, 403, 404, 417, 429, 500,
        502, 503, 504
    };

    fuzz_begin(&in, data, size);

    ngx_memzero(&task, sizeof(ngx_mcp_task_t));
    ngx_memzero(&call, sizeof(ngx_mcp_call_t));
    ngx_memzero(&sink, sizeof(ngx_mcp_sink_t));

    call.status = statuses[fuzz_number(&in, 16)];
    task.silent = (fuzz_number(&in, 15) == 15);

    id = fuzz_field(&in);
    body = fuzz_rest(&in);
    len = body.len;

    if (!answer_make_id(&id)) {
        fuzz_end(&in);
        return 0;
    }

    answer_model(&in, &m, &body);

    call.pool = in.pool;
    call.end = NGX_MCP_CALL_DONE;
    call.length = -1;
    call.retry_after = -1;
    call.data = &task;
    call.answer = ngx_mcp_event_alloc(len, in.log);

    if (call.answer == NULL) {
        fuzz_fail("there is memory for the body");
    }

    call.answer->last = ngx_cpymem(call.answer->pos, body.data, len);

    task.sink = &sink;
    task.call = &call;
    task.message.id = id;

    answer_scan(&in, &call, &body);

    ngx_mcp_outcome_classify(&call);

    outcome = answer_outcome(&in, &m, &task, len);

    if (task.outcome != outcome) {
        fuzz_fail("the outcome is %lu: %lu", (long) outcome,
                  (long) task.outcome);
    }

    if (!fuzz_same(&task.answer.exc_type, &m.exc_type)) {
        fuzz_fail("exc_type is %.*s", (int) m.exc_type.len, m.exc_type.data);
    }

    if (!task.silent) {
        answer_check(&in, &m, &task, &id);
    }

    if (call.answer) {
        ngx_free(call.answer);
    }

    strict_json_free(&m.json);
    fuzz_end(&in);

    return 0;
}


/* the body comes in two pieces, the first of which is elsewhere in memory */

static void
answer_scan(fuzz_input_t *in, ngx_mcp_call_t *call, ngx_str_t *body)
{
    ngx_str_t  piece;

    ngx_mcp_jsonrpc_answer_begin(&call->scan, in->pool);

    piece = fuzz_copy(in, body->data, body->len / 2);
    ngx_mcp_jsonrpc_answer_more(&call->scan, &piece);
}


static void
answer_model(fuzz_input_t *in, answer_model_t *m, ngx_str_t *body)
{
    size_t     i, n;
    ngx_str_t  text;

    ngx_memzero(m, sizeof(answer_model_t));

    m->response = STRICT_NONE;
    m->value = STRICT_NONE;
    m->id = STRICT_NONE;

    text = fuzz_json_text(body);

    m->valid = strict_json_parse(&m->json, text.data, text.len)
               && m->json.deepest <= ANSWER_MAX_DEPTH;

    if (!m->valid || m->json.values[0].type != STRICT_OBJECT) {
        return;
    }

    answer_exc_type(in, m);

    if (answer_is_response(m, 0)) {
        m->response = 0;

    } else {
        i = strict_json_member(&m->json, 0, "message", &n);

        if (n != 1) {
            return;
        }

        if (answer_is_response(m, i)) {
            m->response = i;

        } else if (!answer_is_ambiguous(m, i)) {
            m->value = i;
        }
    }

    if (m->response == STRICT_NONE) {
        return;
    }

    m->id = strict_json_member(&m->json, m->response, "id", NULL);
    i = strict_json_member(&m->json, m->response, "result", &n);

    if (n && m->json.values[i].type == STRICT_OBJECT) {
        i = strict_json_member(&m->json, i, "isError", &n);
        m->error = n && m->json.values[i].type == STRICT_TRUE;
    }

    (void) strict_json_member(&m->json, m->response, "error", &n);

    m->error |= n;
}


/* JSON-RPC 2.0, 5; what is repeated is read in different ways */

static ngx_uint_t
answer_is_response(answer_model_t *m, size_t i)
{
    size_t           v, version, id, result, error;
    strict_value_t  *value;

    if (m->json.values[i].type != STRICT_OBJECT) {
        return 0;
    }

    v = strict_json_member(&m->json, i, "jsonrpc", &version);
    (void) strict_json_member(&m->json, i, "id", &id);
    (void) strict_json_member(&m->json, i, "result", &result);
    (void) strict_json_member(&m->json, i, "error", &error);

    if (version != 1 || id > 1 || result + error != 1) {
        return 0;
    }

    value = &m->json.values[v];

    return strict_json_is(&m->json, value->start, value->end, "2.0");
}


static ngx_uint_t
answer_is_ambiguous(answer_model_t *m, size_t i)
{
    size_t  version, id, result, error;

    if (m->json.values[i].type != STRICT_OBJECT) {
        return 0;
    }

    (void) strict_json_member(&m->json, i, "jsonrpc", &version);
    (void) strict_json_member(&m->json, i, "id", &id);
    (void) strict_json_member(&m->json, i, "result", &result);
    (void) strict_json_member(&m->json, i, "error", &error);

    return version && (id > 1 || result > 1 || error > 1);
}


/* the last string of that name, if it is a plain name of up to 64 bytes */

static void
answer_exc_type(fuzz_input_t *in, answer_model_t *m)
{
    size_t           i, k;
    ngx_str_t       *s;
    strict_value_t  *v;

    static const char  plain[] = "abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.";

    s = &m->exc_type;

    for (i = 0; i < m->json.n; i++) {
        v = &m->json.values[i];

        if (v->depth == 1 && v->type == STRICT_STRING
            && strict_json_is(&m->json, v->key_start, v->key_end, "exc_type"))
        {
            s->data = fuzz_alloc(in, v->end - v->start);
            s->len = strict_json_decode(m->json.text + v->start + 1,
                                        m->json.text + v->end - 1, s->data);
        }
    }

    for (k = 0; k < s->len; k++) {
        if (s->data[k] == 0 || strchr(plain, s->data[k]) == NULL
            || s->len > 64)
        {
            s->len = 0;
        }
    }
}


static ngx_uint_t
answer_outcome(fuzz_input_t *in, answer_model_t *m, ngx_mcp_task_t *task,
    size_t size)
{
    switch (task->call->status) {

    case 202:
    case 204:
        return task->silent ? NGX_MCP_OUTCOME_ACCEPTED : NGX_MCP_OUTCOME_EMPTY;

    case 401:
    case 403:
        return NGX_MCP_OUTCOME_REFUSED;

    case 429:
        return NGX_MCP_OUTCOME_RATE_LIMITED;

    case 502:
    case 503:
        return NGX_MCP_OUTCOME_UNAVAILABLE;

    case 504:
        return NGX_MCP_OUTCOME_GATEWAY_TIMEOUT;

    case 200:
    case 400:
    case 404:
        break;

    default:
        return NGX_MCP_OUTCOME_BACKEND_ERROR;
    }

    if (m->response != STRICT_NONE) {

        if (!task->silent && !answer_same_id(in, m, &task->message.id)) {
            return NGX_MCP_OUTCOME_WRONG_ID;
        }

        return m->error ? NGX_MCP_OUTCOME_ERROR : NGX_MCP_OUTCOME_RESPONSE;
    }

    if (task->call->status == 200) {

        if (m->value != STRICT_NONE) {
            return NGX_MCP_OUTCOME_VALUE;
        }

        if (size == 0) {
            return task->silent ? NGX_MCP_OUTCOME_ACCEPTED
                                : NGX_MCP_OUTCOME_EMPTY;
        }
    }

    return NGX_MCP_OUTCOME_BACKEND_ERROR;
}


/* no id, null, an equal string, or an equal integer */

static ngx_uint_t
answer_same_id(fuzz_input_t *in, answer_model_t *m, ngx_str_t *id)
{
    ngx_str_t  raw;

    if (m->id == STRICT_NONE) {
        return 1;
    }

    if (m->json.values[m->id].type == STRICT_NULL) {
        return 1;
    }

    raw = fuzz_json_raw(&m->json, m->id);

    return fuzz_same_id(in, &raw, id);
}


/* whether the input begins with an id that the scan of messages accepts */

static ngx_uint_t
answer_make_id(ngx_str_t *id)
{
    size_t         i;
    ngx_uint_t     ok;
    strict_json_t  j;

    ok = strict_json_parse(&j, id->data, id->len)
         && j.values[0].start == 0 && j.values[0].end == id->len
         && (j.values[0].type == STRICT_STRING
             || j.values[0].type == STRICT_NUMBER);

    for (i = 0; ok && i < id->len; i++) {
        ok = j.values[0].type == STRICT_STRING
             || strchr(".eE", id->data[i]) == NULL;
    }

    strict_json_free(&j);

    return ok;
}


static void
answer_check(fuzz_input_t *in, answer_model_t *m, ngx_mcp_task_t *task,
    ngx_str_t *id)
{
    size_t            i, version, ids, result, error;
    ngx_str_t         data, raw, expected;
    strict_json_t     j;
    ngx_mcp_event_t  *ev;

    ev = ngx_mcp_reply_answer(task);
    if (ev == NULL) {
        fuzz_fail("there is memory for an event");
    }

    ngx_mcp_event_data(ev, &data);
    raw = fuzz_one_line(in, data.data, data.len);

    if (!fuzz_same(&raw, &data)) {
        fuzz_fail("the answer is one line");
    }

    if (!strict_json_parse(&j, data.data, data.len)
        || j.values[0].type != STRICT_OBJECT)
    {
        fuzz_fail("the answer is an object of JSON: %.*s", (int) data.len,
                  data.data);
    }

    (void) strict_json_member(&j, 0, "jsonrpc", &version);
    (void) strict_json_member(&j, 0, "result", &result);
    (void) strict_json_member(&j, 0, "error", &error);
    i = strict_json_member(&j, 0, "id", &ids);

    if (version != 1 || ids != 1 || result + error != 1) {
        fuzz_fail("the answer is a JSON-RPC response: %.*s", (int) data.len,
                  data.data);
    }

    raw = fuzz_json_raw(&j, i);
    expected = fuzz_one_line(in, id->data, id->len);

    if (m->id != STRICT_NONE && m->json.values[m->id].type != STRICT_NULL
        && (task->outcome == NGX_MCP_OUTCOME_RESPONSE
            || task->outcome == NGX_MCP_OUTCOME_ERROR))
    {
        /* Frappe's, which is the same */

        expected = fuzz_json_raw(&m->json, m->id);
        expected = fuzz_one_line(in, expected.data, expected.len);
    }

    if (!fuzz_same(&raw, &expected)) {
        fuzz_fail("the answer has the id of the request: %.*s", (int) raw.len,
                  raw.data);
    }

    switch (task->outcome) {

    case NGX_MCP_OUTCOME_RESPONSE:
    case NGX_MCP_OUTCOME_ERROR:
        answer_check_members(in, m, &j);
        break;

    case NGX_MCP_OUTCOME_VALUE:
        i = strict_json_member(&j, 0, "result", NULL);

        raw = fuzz_json_raw(&m->json, m->value);
        expected = fuzz_one_line(in, raw.data, raw.len);

        if (i == STRICT_NONE) {
            fuzz_fail("a value becomes the result");
        }

        raw = fuzz_json_raw(&j, i);

        if (!fuzz_same(&raw, &expected)) {
            fuzz_fail("a value is the result, byte for byte");
        }

        break;

    default:

        if (!error) {
            fuzz_fail("the client gets an error");
        }
    }

    strict_json_free(&j);
    ngx_free(ev);
}


/* all members but the id, in their order */

static void
answer_check_members(fuzz_input_t *in, answer_model_t *m, strict_json_t *j)
{
    size_t           i, k, id;
    ngx_str_t        a, b;
    strict_value_t  *v, *w;

    id = strict_json_member(j, 0, "id", NULL);

    for (i = m->response + 1, k = 1; i < m->json.n; i++) {
        v = &m->json.values[i];

        if (v->depth <= m->json.values[m->response].depth) {
            break;
        }

        if (v->parent != m->response || i == m->id) {
            continue;
        }

        while (k < j->n && (j->values[k].parent != 0 || k == id)) {
            k++;
        }

        if (k == j->n) {
            fuzz_fail("each member of the response arrives");
        }

        w = &j->values[k++];

        a = fuzz_one_line(in, m->json.text + v->key_start,
                          v->end - v->key_start);
        b.data = (u_char *) j->text + w->key_start;
        b.len = w->end - w->key_start;

        if (!fuzz_same(&a, &b)) {
            fuzz_fail("a member is what Frappe has sent: %.*s", (int) a.len,
                      a.data);
        }
    }

    while (k < j->n && (j->values[k].parent != 0 || k == id)) {
        k++;
    }

    if (k != j->n) {
        fuzz_fail("the response has no other members");
    }
}
