
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The ids of calls: a tree of those that run in this worker.
 */

#include "ngx_mcp_call_id.h"
#include "ngx_mcp_digest.h"
#include "ngx_mcp_tree.h"


/* ids whose random bytes are got at once: to get a few costs as much */

#define NGX_MCP_CALL_ID_BATCH   256

/* the tree knows an id by its last characters */

#define NGX_MCP_CALL_ID_KEY     (NGX_MCP_CALL_ID_LEN - NGX_MCP_DIGEST_LEN)

#define NGX_MCP_CALL_ID_OFFSET                                                \
    (offsetof(ngx_mcp_call_id_t, text) + NGX_MCP_CALL_ID_KEY)


#define NGX_MCP_CALL_ID_WORDS   (NGX_MCP_CALL_ID_RANDOM / 8)


static void ngx_mcp_call_id_letters(u_char *dst, uint64_t *random);


static uint64_t           ngx_mcp_call_id_random[NGX_MCP_CALL_ID_BATCH]
                                                [NGX_MCP_CALL_ID_WORDS];
static ngx_uint_t         ngx_mcp_call_id_left;      /* of these */
static ngx_rbtree_t       ngx_mcp_call_ids;
static ngx_rbtree_node_t  ngx_mcp_call_ids_sentinel;


void
ngx_mcp_call_id_init(void)
{
    ngx_rbtree_init(&ngx_mcp_call_ids, &ngx_mcp_call_ids_sentinel,
                    ngx_rbtree_insert_value);
}


ngx_int_t
ngx_mcp_call_id_enter(ngx_mcp_call_id_t *id, void *data)
{
    u_char  *p;

    if (ngx_mcp_call_id_left == 0) {

        if (ngx_mcp_random((u_char *) ngx_mcp_call_id_random,
                           sizeof(ngx_mcp_call_id_random))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_mcp_call_id_left = NGX_MCP_CALL_ID_BATCH;
    }

    p = ngx_cpymem(id->text, ngx_mcp_events_name(), NGX_MCP_EVENTS_NAME_LEN);

    ngx_mcp_call_id_letters(p, ngx_mcp_call_id_random[--ngx_mcp_call_id_left]);

    id->data = data;

    ngx_mcp_tree_insert(&ngx_mcp_call_ids, &id->node,
                        id->text + NGX_MCP_CALL_ID_KEY);

    return NGX_OK;
}


/*
 * Writes random bytes as letters A to P and a to p, eight at once: each has
 * five random bits.  A table would double what an id costs a call.
 */

static void
ngx_mcp_call_id_letters(u_char *dst, uint64_t *random)
{
    uint64_t    letters;
    ngx_uint_t  i;

    for (i = 0; i < NGX_MCP_CALL_ID_WORDS; i++) {
        letters = (random[i] & 0x0f0f0f0f0f0f0f0f) + 0x4141414141414141;
        letters |= random[i] & 0x2020202020202020;

        dst = ngx_cpymem(dst, &letters, sizeof(letters));
    }
}


void
ngx_mcp_call_id_leave(ngx_mcp_call_id_t *id)
{
    if (id->data) {
        ngx_rbtree_delete(&ngx_mcp_call_ids, &id->node);
        id->data = NULL;
    }
}


ngx_uint_t
ngx_mcp_call_id_is_own(ngx_str_t *text)
{
    return text->len == NGX_MCP_CALL_ID_LEN
           && ngx_memcmp(text->data, ngx_mcp_events_name(),
                         NGX_MCP_EVENTS_NAME_LEN)
              == 0;
}


void *
ngx_mcp_call_id_find(ngx_str_t *text)
{
    ngx_mcp_call_id_t  *id;

    if (!ngx_mcp_call_id_is_own(text)) {
        return NULL;
    }

    id = (ngx_mcp_call_id_t *)
             ngx_mcp_tree_find(&ngx_mcp_call_ids,
                               text->data + NGX_MCP_CALL_ID_KEY,
                               NGX_MCP_CALL_ID_OFFSET);

    if (id == NULL
        || ngx_memcmp(id->text, text->data, NGX_MCP_CALL_ID_LEN) != 0)
    {
        return NULL;
    }

    return id->data;
}
