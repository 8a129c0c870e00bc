
/*
 * What has come belongs to hiredis and is gone when this returns: the
 * envelope is a copy, and the session's as soon as it is delivered.
 */

#include "ngx_http_mcp_sse_receipt.h"


static ngx_int_t ngx_http_mcp_sse_receipt_take(ngx_str_t *body, u_char *key,
    ngx_int_t (*deliver)(u_char *key, ngx_http_mcp_sse_envelope_t *env,
        ngx_log_t *log));
static void ngx_http_mcp_sse_receipt_answer(
    ngx_http_mcp_sse_received_t *received, u_char *job, ngx_int_t verdict);
static void ngx_http_mcp_sse_receipt_answered(redisAsyncContext *ac,
    void *reply, void *data);


void
ngx_http_mcp_sse_receipt(ngx_http_mcp_sse_received_t *received,
    ngx_int_t (*deliver)(u_char *key, ngx_http_mcp_sse_envelope_t *env,
        ngx_log_t *log))
{
    u_char                   *p;
    int64_t                   expires;
    ngx_http_mcp_sse_seen_t  *seen;

    if (received->body.len < NGX_HTTP_MCP_SSE_DELIVERY_HEAD) {
        ngx_http_mcp_sse_count(NGX_HTTP_MCP_SSE_COUNT_REDIS_MALFORMED);
        return;
    }

    p = received->body.data;
    expires = (int64_t) ngx_http_mcp_sse_packet_get(p + 8);

    if (ngx_http_mcp_sse_redis_now() + NGX_HTTP_MCP_SSE_DELIVERY_GUARD
        >= expires)
    {
        ngx_http_mcp_sse_count(NGX_HTTP_MCP_SSE_COUNT_REDIS_EXPIRED);
        return;
    }

    switch (ngx_http_mcp_sse_window_enter(&received->sender->window,
                                          received->number, expires, &seen,
                                          ngx_cycle->log))
    {

    case NGX_OK:
        seen->verdict = ngx_http_mcp_sse_receipt_take(&received->body, p + 16,
                                                      deliver);
        break;

    case NGX_DONE:
        ngx_http_mcp_sse_count(NGX_HTTP_MCP_SSE_COUNT_REDIS_DUPLICATE);
        break;

    case NGX_DECLINED:
        ngx_http_mcp_sse_count(NGX_HTTP_MCP_SSE_COUNT_REDIS_REPLAYED);
        return;

    default: /* NGX_ERROR */
        return;
    }

    ngx_http_mcp_sse_receipt_answer(received, p, seen->verdict);
}


static ngx_int_t
ngx_http_mcp_sse_receipt_take(ngx_str_t *body, u_char *key,
    ngx_int_t (*deliver)(u_char *key, ngx_http_mcp_sse_envelope_t *env,
        ngx_log_t *log))
{
    size_t                        size;
    ngx_int_t                     rc;
    ngx_http_mcp_sse_envelope_t  *env;

    size = body->len - NGX_HTTP_MCP_SSE_DELIVERY_HEAD;

    env = ngx_http_mcp_sse_envelope_alloc(size,
                                          ngx_http_mcp_sse_packet_get(key + 16),
                                          ngx_cycle->log);
    if (env == NULL) {
        return NGX_HTTP_MCP_SSE_VERDICT_FULL;
    }

    ngx_memcpy(env->data, body->data + NGX_HTTP_MCP_SSE_DELIVERY_HEAD, size);

    rc = deliver(key, env, ngx_cycle->log);

    if (rc == NGX_OK) {
        ngx_http_mcp_sse_count(NGX_HTTP_MCP_SSE_COUNT_REDIS_RECEIVED);
        return NGX_HTTP_MCP_SSE_VERDICT_ACCEPTED;
    }

    ngx_http_mcp_sse_envelope_free(env);

    switch (rc) {

    case NGX_AGAIN:
        return NGX_HTTP_MCP_SSE_VERDICT_LOST;

    case NGX_DECLINED:
        return NGX_HTTP_MCP_SSE_VERDICT_UNKNOWN;

    default: /* NGX_BUSY, NGX_ERROR */
        return NGX_HTTP_MCP_SSE_VERDICT_FULL;
    }
}


static void
ngx_http_mcp_sse_receipt_answer(ngx_http_mcp_sse_received_t *received,
    u_char *job, ngx_int_t verdict)
{
    u_char                     *p;
    ngx_str_t                   bytes;
    ngx_http_mcp_sse_packet_t  *packet;

    packet = ngx_http_mcp_sse_packet_alloc(NGX_HTTP_MCP_SSE_VERDICT_LEN,
                                           ngx_cycle->log);
    if (packet == NULL) {
        return;
    }

    p = ngx_cpymem(packet->body, job, 8);
    p = ngx_http_mcp_sse_packet_put(p, received->number);
    *p = (u_char) verdict;

    if (ngx_http_mcp_sse_packet_seal(packet, NGX_HTTP_MCP_SSE_PACKET_VERDICT,
                                     received->sender->id)
        == NGX_OK)
    {
        bytes.len = packet->size;
        bytes.data = packet->data;

        /* what is lost is asked for again */

        (void) ngx_http_mcp_sse_redis_publish(received->sender->id, &bytes,
                                     ngx_http_mcp_sse_receipt_answered, NULL);
    }

    ngx_free(packet);
}


static void
ngx_http_mcp_sse_receipt_answered(redisAsyncContext *ac, void *reply,
    void *data)
{
    if (reply) {
        ngx_http_mcp_sse_redis_refused(reply);
    }
}
