
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Capabilities that are added to an answer (codec/ngx_mcp_capabilities.c),
 * against the strict parser: what comes out is JSON that has them, has all that
 * was there, and cannot be added to again.
 *
 * The input is the answer.
 */

#include "fuzz.h"
#include "ngx_mcp_capabilities.h"


static size_t capabilities_of(strict_json_t *json);
static ngx_uint_t capabilities_true(strict_json_t *json, size_t object,
    const char *name);
static void capabilities_check(strict_json_t *json);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t      rc;
    ngx_str_t      answer, room, changed, text;
    fuzz_input_t   in;
    strict_json_t  before, after;

    fuzz_begin(&in, data, size);

    answer = fuzz_rest(&in);
    text = fuzz_json_text(&answer);

    room.len = answer.len + NGX_MCP_CAPABILITIES_MAX_ADDED;
    room.data = fuzz_alloc(&in, room.len);
    changed.data = room.data;

    rc = ngx_mcp_capabilities_add(&answer, &changed);

    ngx_memzero(&before, sizeof(strict_json_t));
    ngx_memzero(&after, sizeof(strict_json_t));

    if (!strict_json_parse(&before, text.data, text.len)) {
        fuzz_check(rc == NGX_DECLINED, "what is no JSON is declined");

    } else if (rc == NGX_OK) {
        fuzz_check(changed.len <= room.len, "it fits");

        text = fuzz_json_text(&changed);

        fuzz_check(strict_json_parse(&after, text.data, text.len),
                   "what comes out is JSON");
        fuzz_check(capabilities_of(&before) != STRICT_NONE,
                   "capabilities were there");
        fuzz_check(after.n + 2 >= before.n, "what was there stays");

        capabilities_check(&after);

        room.len = changed.len + NGX_MCP_CAPABILITIES_MAX_ADDED;
        room.data = fuzz_alloc(&in, room.len);

        fuzz_check(ngx_mcp_capabilities_add(&changed, &room) == NGX_DECLINED,
                   "they are added once");
    }

    strict_json_free(&before);
    strict_json_free(&after);
    fuzz_end(&in);

    return 0;
}


static size_t
capabilities_of(strict_json_t *json)
{
    size_t  i;

    if (json->values[0].type != STRICT_OBJECT) {
        return STRICT_NONE;
    }

    i = strict_json_member(json, 0, "result", NULL);

    if (i == STRICT_NONE || json->values[i].type != STRICT_OBJECT) {
        return STRICT_NONE;
    }

    i = strict_json_member(json, i, "capabilities", NULL);

    return (i != STRICT_NONE && json->values[i].type == STRICT_OBJECT)
           ? i : STRICT_NONE;
}


static ngx_uint_t
capabilities_true(strict_json_t *json, size_t object, const char *name)
{
    size_t  i;

    i = strict_json_member(json, object, name, NULL);

    return i != STRICT_NONE && json->values[i].type == STRICT_TRUE;
}


static void
capabilities_check(strict_json_t *json)
{
    size_t       all, i;
    ngx_uint_t   n;

    static const char  *lists[] = { "tools", "prompts", "resources" };

    all = capabilities_of(json);

    fuzz_check(strict_json_member(json, all, "logging", NULL) != STRICT_NONE,
               "there is logging");

    for (n = 0; n < sizeof(lists) / sizeof(lists[0]); n++) {
        i = strict_json_member(json, all, lists[n], NULL);

        if (i == STRICT_NONE || json->values[i].type != STRICT_OBJECT) {
            continue;
        }

        fuzz_check(capabilities_true(json, i, "listChanged"),
                   "lists change");

        if (n == 2) {
            fuzz_check(capabilities_true(json, i, "subscribe"),
                       "resources can be subscribed to");
        }
    }
}
