
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The modern form of answers (codec/ngx_mcp_modern_answer.c), against the
 * strict parser, which reads both the answer of the backend and what is made of
 * it.
 *
 * The client gets one line: a JSON-RPC response with the id of its request.
 * What was added is at the beginning of an object, and only what was missing;
 * all other members are those of the backend, byte for byte and in their order.
 * No code of an error is one that must not be sent.  An answer that clients
 * cannot read is known to be one.
 *
 * The input is the id of the request, params.uri and serverInfo, each up to
 * FUZZ_END_OF_FIELD and absent if it is not of its type, and the body.
 */

#include "fuzz.h"
#include "ngx_mcp_modern_answer.h"


#define MODERN_MAX_DEPTH  512
#define MODERN_INFO       "io.modelcontextprotocol/serverInfo"


typedef struct {
    fuzz_input_t              *in;
    ngx_mcp_modern_request_t   request;
    ngx_uint_t                 kept;     /* results of the method are kept */
    const char                *ttl;
    strict_json_t              src;      /* response or value, in one line */
    strict_json_t              out;
    ngx_int_t                  code;
} modern_model_t;

/* members that are added to an object */

typedef struct {
    ngx_str_t                  texts[4];
    ngx_uint_t                 n;
} modern_added_t;


static ngx_str_t modern_field(fuzz_input_t *in, strict_type_e type);
static void modern_run(modern_model_t *m, ngx_mcp_jsonrpc_answer_t *answer);
static void modern_check(modern_model_t *m, ngx_uint_t response);
static size_t modern_outcome(modern_model_t *m, ngx_uint_t response,
    ngx_uint_t *error);
static ngx_uint_t modern_is_valid(modern_model_t *m, ngx_uint_t response);
static void modern_check_id(modern_model_t *m, ngx_uint_t response);
static void modern_check_result(modern_model_t *m, size_t i, size_t k);
static void modern_check_error(modern_model_t *m, size_t i, size_t k);
static ngx_uint_t modern_is_error(modern_model_t *m, size_t i, long *code);
static long modern_number(const uint8_t *text, strict_value_t *v);
static void modern_same(modern_model_t *m, size_t i, size_t k,
    modern_added_t *added, const char *except, const char *except2);
static size_t modern_next(strict_json_t *j, size_t object, size_t i);
static ngx_str_t modern_text(strict_json_t *j, size_t i);
static void modern_add(modern_model_t *m, modern_added_t *added,
    const char *before, ngx_str_t *value, const char *after);
static size_t modern_count(strict_json_t *j, size_t object, const char *name);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t                        body;
    ngx_uint_t                       i;
    fuzz_input_t                     in;
    modern_model_t                   m;
    ngx_mcp_jsonrpc_answer_t         answer;
    ngx_mcp_jsonrpc_answer_scan_t    scan;

    static struct {
        ngx_str_t    method;
        const char  *ttl;
    } methods[] = {
        { ngx_string("tools/call"), NULL },
        { ngx_string("tools/list"), "60000" },
        { ngx_string("prompts/list"), "60000" },
        { ngx_string("resources/list"), "60000" },
        { ngx_string("resources/templates/list"), "60000" },
        { ngx_string("resources/read"), "0" },
        { ngx_string("server/discover"), "600000" },
        { ngx_string("tools/listed"), NULL }
    };

    fuzz_begin(&in, data, size);
    ngx_memzero(&m, sizeof(modern_model_t));

    i = fuzz_number(&in, 7);

    m.in = &in;
    m.request.method = methods[i].method;
    m.request.retry = fuzz_number(&in, 1);
    m.kept = (methods[i].ttl != NULL);
    m.ttl = m.request.retry ? "0" : methods[i].ttl;

    m.request.id = modern_field(&in, STRICT_NUMBER);
    m.request.uri = modern_field(&in, STRICT_STRING);
    m.request.server_info = modern_field(&in, STRICT_OBJECT);

    body = fuzz_rest(&in);

    ngx_memzero(&scan, sizeof(ngx_mcp_jsonrpc_answer_scan_t));
    ngx_mcp_jsonrpc_answer_begin(&scan, in.pool);

    if (m.request.id.data
        && ngx_mcp_jsonrpc_answer_end(&scan, &body, &answer) == NGX_OK
        && (answer.response || answer.value.data))
    {
        modern_run(&m, &answer);
    }

    fuzz_end(&in);

    return 0;
}


/* a field of that type in one line; a number may also be a string */

static ngx_str_t
modern_field(fuzz_input_t *in, strict_type_e type)
{
    ngx_str_t      s, field;
    strict_json_t  j;

    ngx_str_null(&s);

    field = fuzz_field(in);

    if (strict_json_parse(&j, field.data, field.len)
        && (j.values[0].type == type
            || (type == STRICT_NUMBER && j.values[0].type == STRICT_STRING)))
    {
        s = fuzz_json_raw(&j, 0);
        s = fuzz_one_line(in, s.data, s.len);
    }

    strict_json_free(&j);

    return s;
}


static void
modern_run(modern_model_t *m, ngx_mcp_jsonrpc_answer_t *answer)
{
    ngx_int_t         rc;
    ngx_str_t         src, out;
    ngx_uint_t        response;
    ngx_mcp_event_t  *ev;

    response = answer->response;

    src = response ? answer->object : answer->value;
    src = fuzz_one_line(m->in, src.data, src.len);
    src = fuzz_copy(m->in, src.data, src.len);

    if (!strict_json_parse(&m->src, src.data, src.len)) {
        fuzz_fail("what is answered is JSON");
    }

    if (ngx_mcp_modern_answer_valid(answer) != modern_is_valid(m, response)) {
        fuzz_fail("an answer is valid, or not, as MCP says: %.*s",
                  (int) src.len, src.data);
    }

    if (!ngx_mcp_modern_answer_valid(answer)) {
        strict_json_free(&m->src);
        return;
    }

    out = src;
    ev = NULL;

    rc = ngx_mcp_modern_answer(answer, &m->request, &ev, &m->code, m->in->log);

    if (rc == NGX_OK) {
        ngx_mcp_event_data(ev, &out);
        out = fuzz_copy(m->in, out.data, out.len);
        ngx_free(ev);

    } else if (rc != NGX_DECLINED || !response) {
        fuzz_fail("there is an event: %ld", (long) rc);
    }

    if (!strict_json_parse(&m->out, out.data, out.len)
        || m->out.values[0].type != STRICT_OBJECT)
    {
        fuzz_fail("the answer is an object of JSON: %.*s", (int) out.len,
                  out.data);
    }

    src = fuzz_one_line(m->in, out.data, out.len);

    if (!fuzz_same(&src, &out)) {
        fuzz_fail("the answer is one line");
    }

    modern_check(m, response);

    strict_json_free(&m->src);
    strict_json_free(&m->out);
}


static void
modern_check(modern_model_t *m, ngx_uint_t response)
{
    size_t          i, k;
    ngx_uint_t      error;
    modern_added_t  added;

    i = modern_outcome(m, response, &error);
    k = strict_json_member(&m->out, 0, error ? "error" : "result", NULL);

    if (k == STRICT_NONE) {
        fuzz_fail("an error stays an error, a result a result");
    }

    modern_check_id(m, response);

    if (error) {
        modern_check_error(m, i, k);

    } else {
        fuzz_check(m->code == 0, "a result has no code");
        modern_check_result(m, i, k);
    }

    if (response) {
        added.n = 0;

        if (strict_json_member(&m->src, 0, "id", NULL) == STRICT_NONE) {
            modern_add(m, &added, "\"id\":", &m->request.id, "");
        }

        modern_same(m, 0, 0, &added, error ? "error" : "result", "id");
    }
}


/* the result or the error of a response, or the value */

static size_t
modern_outcome(modern_model_t *m, ngx_uint_t response, ngx_uint_t *error)
{
    size_t  i;

    *error = 0;

    if (!response) {
        return 0;
    }

    i = strict_json_member(&m->src, 0, "result", NULL);

    if (i == STRICT_NONE) {
        i = strict_json_member(&m->src, 0, "error", NULL);
        *error = 1;
    }

    return i;
}


static ngx_uint_t
modern_is_valid(modern_model_t *m, ngx_uint_t response)
{
    long        code;
    size_t      i;
    ngx_uint_t  error;

    i = modern_outcome(m, response, &error);

    return error ? modern_is_error(m, i, &code)
                 : (m->src.values[i].type == STRICT_OBJECT);
}


static void
modern_check_id(modern_model_t *m, ngx_uint_t response)
{
    size_t     i, n;
    ngx_str_t  id, expected;

    expected = m->request.id;

    i = response ? strict_json_member(&m->src, 0, "id", NULL) : STRICT_NONE;

    if (i != STRICT_NONE && m->src.values[i].type != STRICT_NULL) {
        expected = fuzz_json_raw(&m->src, i);
    }

    i = strict_json_member(&m->out, 0, "id", &n);

    if (n != 1 || modern_count(&m->out, 0, "jsonrpc") != 1) {
        fuzz_fail("the answer is a JSON-RPC response with an id");
    }

    id = fuzz_json_raw(&m->out, i);

    fuzz_check(fuzz_same(&id, &expected), "the id is that of the request");
}


/* i: of the backend; k: of the answer */

static void
modern_check_result(modern_model_t *m, size_t i, size_t k)
{
    size_t             j, n;
    ngx_str_t         *info;
    const char        *except;
    modern_added_t     added;
    static ngx_str_t   none = ngx_string("");

    added.n = 0;
    except = NULL;
    info = &m->request.server_info;

    for (j = modern_next(&m->src, i, i); j != STRICT_NONE;
         j = modern_next(&m->src, i, j))
    {
        if (strict_json_is(&m->src, m->src.values[j].key_start,
                           m->src.values[j].key_end, "resultType")
            && !strict_json_is(&m->src, m->src.values[j].start,
                               m->src.values[j].end, "complete"))
        {
            modern_same(m, i, k, &added, NULL, NULL);
            return;
        }
    }

    if (modern_count(&m->src, i, "resultType") == 0) {
        modern_add(m, &added, "\"resultType\":\"complete\"", &none, "");
    }

    if (m->kept && modern_count(&m->src, i, "ttlMs") == 0) {
        modern_add(m, &added, "\"ttlMs\":", &none, m->ttl);
    }

    if (m->kept && modern_count(&m->src, i, "cacheScope") == 0) {
        modern_add(m, &added, "\"cacheScope\":\"private\"", &none, "");
    }

    j = strict_json_member(&m->src, i, "_meta", &n);

    if (info->data && n == 0) {
        modern_add(m, &added, "\"_meta\":{\"" MODERN_INFO "\":", info, "}");
    }

    if (info->data && n == 1 && m->src.values[j].type == STRICT_OBJECT
        && modern_count(&m->src, j, MODERN_INFO) == 0)
    {
        except = "_meta";
    }

    modern_same(m, i, k, &added, except, NULL);

    if (except) {
        added.n = 0;
        modern_add(m, &added, "\"" MODERN_INFO "\":", info, "");

        k = strict_json_member(&m->out, k, "_meta", NULL);
        modern_same(m, j, k, &added, NULL, NULL);
    }
}


static void
modern_check_error(modern_model_t *m, size_t i, size_t k)
{
    long               code, expected;
    size_t             j, n;
    ngx_str_t         *uri;
    const char        *data;
    modern_added_t     added;

    (void) modern_is_error(m, i, &code);

    expected = code == -32002 ? -32602
               : (code == -32042 || (code >= -32019 && code <= -32000)) ? -32603
               : code;

    j = strict_json_member(&m->out, k, "code", &n);

    if (n != 1
        || modern_number(m->out.text, &m->out.values[j]) != expected
        || (m->code != expected && expected > -100000 && expected < 100000))
    {
        fuzz_fail("%ld becomes %ld: %ld", code, expected, (long) m->code);
    }

    added.n = 0;
    data = NULL;
    uri = &m->request.uri;

    j = strict_json_member(&m->src, i, "data", &n);

    if (code == -32002 && uri->data) {

        if (n == 0) {
            modern_add(m, &added, "\"data\":{\"uri\":", uri, "}");

        } else {
            data = "data";
        }
    }

    modern_same(m, i, k, &added, code == expected ? NULL : "code", data);

    if (data == NULL) {
        return;
    }

    k = strict_json_member(&m->out, k, "data", NULL);

    added.n = 0;

    if (m->src.values[j].type != STRICT_OBJECT) {
        fuzz_check(m->out.values[k].type == STRICT_OBJECT
                   && modern_count(&m->out, k, "uri") == 1,
                   "data that is no object has the URI only");
        return;
    }

    if (modern_count(&m->src, j, "uri") == 0) {
        modern_add(m, &added, "\"uri\":", uri, "");
    }

    modern_same(m, j, k, &added, NULL, NULL);
}


/* JSON-RPC 2.0, 5.1 */

static ngx_uint_t
modern_is_error(modern_model_t *m, size_t i, long *code)
{
    size_t           k, codes, messages, c, t;
    strict_value_t  *v;

    if (m->src.values[i].type != STRICT_OBJECT) {
        return 0;
    }

    c = strict_json_member(&m->src, i, "code", &codes);
    t = strict_json_member(&m->src, i, "message", &messages);

    if (codes != 1 || messages != 1 || modern_count(&m->src, i, "data") > 1
        || m->src.values[t].type != STRICT_STRING
        || m->src.values[c].type != STRICT_NUMBER)
    {
        return 0;
    }

    v = &m->src.values[c];

    for (k = v->start; k < v->end; k++) {
        if (strchr(".eE", m->src.text[k])) {
            return 0;
        }
    }

    *code = modern_number(m->src.text, v);

    return 1;
}


/*
 * An integer; the text has no NUL.  Of one that is too long strtol() makes the
 * largest or the smallest.
 */

static long
modern_number(const uint8_t *text, strict_value_t *v)
{
    char    number[32];
    size_t  len;

    len = ngx_min(v->end - v->start, sizeof(number) - 1);

    ngx_memcpy(number, text + v->start, len);
    number[len] = '\0';

    return strtol(number, NULL, 10);
}


/*
 * The object k of the answer has the added members, then those of the object i
 * of the backend; of members that are excepted only the names are compared.
 */

static void
modern_same(modern_model_t *m, size_t i, size_t k, modern_added_t *added,
    const char *except, const char *except2)
{
    size_t           a, b;
    ngx_str_t        x, y;
    ngx_uint_t       n;
    strict_value_t  *v, *w;

    b = k;

    for (n = 0; n < added->n; n++) {
        b = modern_next(&m->out, k, b);

        if (b != STRICT_NONE) {
            x = modern_text(&m->out, b);
        }

        if (b == STRICT_NONE || !fuzz_same(&x, &added->texts[n])) {
            fuzz_fail("what is added: %.*s", (int) added->texts[n].len,
                      added->texts[n].data);
        }
    }

    for (a = modern_next(&m->src, i, i), b = modern_next(&m->out, k, b);
         a != STRICT_NONE && b != STRICT_NONE;
         a = modern_next(&m->src, i, a), b = modern_next(&m->out, k, b))
    {
        v = &m->src.values[a];
        w = &m->out.values[b];

        x = modern_text(&m->src, a);
        y = modern_text(&m->out, b);

        if ((except && strict_json_is(&m->src, v->key_start, v->key_end,
                                      except))
            || (except2 && strict_json_is(&m->src, v->key_start, v->key_end,
                                          except2)))
        {
            x.len = v->key_end - v->key_start;
            y.len = w->key_end - w->key_start;
        }

        if (!fuzz_same(&x, &y)) {
            fuzz_fail("a member is what the backend has sent: %.*s",
                      (int) x.len, x.data);
        }
    }

    fuzz_check(a == b, "there are no more and no fewer members");
}


/* the member of the object behind i, or its first one */

static size_t
modern_next(strict_json_t *j, size_t object, size_t i)
{
    if (i == STRICT_NONE) {
        return i;
    }

    for (i++; i < j->n && j->values[i].depth > j->values[object].depth; i++) {
        if (j->values[i].parent == object) {
            return i;
        }
    }

    return STRICT_NONE;
}


/* a member with its name */

static ngx_str_t
modern_text(strict_json_t *j, size_t i)
{
    ngx_str_t  s;

    s.data = (u_char *) j->text + j->values[i].key_start;
    s.len = j->values[i].end - j->values[i].key_start;

    return s;
}


static void
modern_add(modern_model_t *m, modern_added_t *added, const char *before,
    ngx_str_t *value, const char *after)
{
    u_char     *p;
    ngx_str_t  *text;

    text = &added->texts[added->n++];

    text->len = strlen(before) + value->len + strlen(after);
    text->data = fuzz_alloc(m->in, text->len);

    p = ngx_cpymem(text->data, before, strlen(before));
    p = ngx_cpymem(p, value->data, value->len);
    ngx_memcpy(p, after, strlen(after));
}


static size_t
modern_count(strict_json_t *j, size_t object, const char *name)
{
    size_t  n;

    (void) strict_json_member(j, object, name, &n);

    return n;
}
