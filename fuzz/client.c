
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * What a client says of itself (codec/ngx_mcp_client.c), against the strict
 * parser: its name fits into a header, whatever was sent, and its capabilities
 * are the objects of their names, at their places; claims are read as they were
 * written.
 *
 * The input is the params of initialize.
 */

#include "fuzz.h"
#include "ngx_mcp_client.h"


#define CLIENT_MAX_DEPTH  64


typedef struct {
    const char   *parent;
    const char   *name;
    ngx_uint_t    bit;
} client_capability_t;


static void client_model(fuzz_input_t *in, ngx_str_t *params, ngx_str_t *name,
    ngx_uint_t *bits);
static ngx_uint_t client_bits(strict_json_t *j, size_t capabilities);
static ngx_uint_t client_is_named(strict_json_t *j, size_t i,
    const char *name);
static void client_name(ngx_mcp_client_t *client, ngx_str_t *name);
static void client_claims(ngx_mcp_client_t *client);


static client_capability_t  client_capabilities[] = {
    { "elicitation", "form", 0x01 },
    { "elicitation", "url", 0x02 },
    { NULL, "sampling", 0x04 },
    { "sampling", "tools", 0x08 },
    { "sampling", "context", 0x10 },
    { NULL, "roots", 0x20 },
    { NULL, NULL, 0 }
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_str_t         params, name;
    ngx_uint_t        bits;
    fuzz_input_t      in;
    ngx_mcp_client_t  client;

    fuzz_begin(&in, data, size);

    params = fuzz_rest(&in);

    fuzz_check(ngx_mcp_client_initialize(in.pool, &params, &client) == NGX_OK,
               "any params are read");

    client_model(&in, &params, &name, &bits);
    client_name(&client, &name);

    if (client.capabilities != bits) {
        fuzz_fail("capabilities: %lu, not %lu",
                  (unsigned long) client.capabilities, (unsigned long) bits);
    }

    ngx_mcp_client_version(&client, &params);
    client_claims(&client);

    fuzz_end(&in);

    return 0;
}


static void
client_model(fuzz_input_t *in, ngx_str_t *params, ngx_str_t *name,
    ngx_uint_t *bits)
{
    size_t           i, capabilities;
    ngx_str_t        text;
    strict_json_t    j;
    strict_value_t  *v;

    ngx_str_null(name);
    capabilities = STRICT_NONE;
    text = fuzz_json_text(params);

    if (!strict_json_parse(&j, text.data, text.len)
        || j.deepest > CLIENT_MAX_DEPTH)
    {
        j.n = 0;
    }

    for (i = 0; i < j.n; i++) {
        v = &j.values[i];

        if (v->depth == 1
            && v->type == STRICT_OBJECT
            && client_is_named(&j, i, "capabilities"))
        {
            capabilities = i;
        }

        if (v->depth == 2
            && v->type == STRICT_STRING
            && client_is_named(&j, i, "name")
            && client_is_named(&j, v->parent, "clientInfo"))
        {
            *name = fuzz_json_decoded(in, &j, i);
        }
    }

    *bits = (capabilities == STRICT_NONE) ? 0 : client_bits(&j, capabilities);

    strict_json_free(&j);
}


static ngx_uint_t
client_bits(strict_json_t *j, size_t capabilities)
{
    size_t                i, parent;
    ngx_uint_t            bits;
    strict_value_t       *v;
    client_capability_t  *c;

    bits = 0;

    for (i = capabilities + 1; i < j->n; i++) {
        v = &j->values[i];
        parent = v->parent;

        if (v->type != STRICT_OBJECT) {
            continue;
        }

        if (parent == capabilities
            && client_is_named(j, i, "elicitation")
            && strict_json_member(j, i, "form", NULL) == STRICT_NONE
            && strict_json_member(j, i, "url", NULL) == STRICT_NONE)
        {
            bits |= 0x01;
        }

        for (c = client_capabilities; c->name; c++) {

            if (client_is_named(j, i, c->name)
                && (c->parent
                    ? parent != STRICT_NONE
                      && j->values[parent].parent == capabilities
                      && client_is_named(j, parent, c->parent)
                    : parent == capabilities))
            {
                bits |= c->bit;
            }
        }
    }

    return bits;
}


static ngx_uint_t
client_is_named(strict_json_t *j, size_t i, const char *name)
{
    return strict_json_is(j, j->values[i].key_start, j->values[i].key_end,
                          name);
}


/*
 * RFC 9110, 5.5: a value has no blanks around it.
 */

static void
client_name(ngx_mcp_client_t *client, ngx_str_t *name)
{
    size_t  i;
    u_char  ch;

    fuzz_check(client->len <= 64, "a name has at most 64 bytes");

    for (i = 0; i < client->len; i++) {
        ch = client->name[i];

        fuzz_check(ch >= ' ' && ch <= '~' && strchr("\"'<>&\\;`", ch) == NULL,
                   "a name has harmless characters only");
        fuzz_check(ch != ' ' || (i != 0 && i != client->len - 1),
                   "a name has no blanks around it");
    }

    for (i = 0; i < name->len && name->data[i] == ' '; i++) { /* void */ }

    fuzz_check((client->len == 0) == (i == name->len), "a name is not lost");
}


static void
client_claims(ngx_mcp_client_t *client)
{
    u_char      buf[NGX_MCP_CLIENT_MAX_CLAIMS];
    u_char      version[NGX_MCP_CLIENT_VERSION_LEN];
    ngx_str_t   claims, name;

    claims.data = buf;
    claims.len = ngx_mcp_client_claims(client, buf);

    fuzz_check(claims.len <= 67, "claims have at most 67 bytes");

    name = ngx_mcp_client_claims_name(&claims);

    fuzz_check(name.len == client->len
               && (name.len == 0
                   || ngx_memcmp(name.data, client->name, name.len) == 0),
               "the name is read as it was written");
    fuzz_check(ngx_mcp_client_claims_capabilities(&claims)
               == client->capabilities,
               "the capabilities are read as they were written");
    fuzz_check(ngx_mcp_client_claims_version(&claims, version)
               == client->version_len
               && ngx_memcmp(version, client->version, client->version_len)
                  == 0,
               "the version is read as it was written");
}
