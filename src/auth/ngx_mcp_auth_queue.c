
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The queue of look-ups of this worker.
 *
 * DESIGN
 *
 * Anybody can send credentials that have to be looked up.  A client that sends
 * many of them, while Frappe is slow, must not keep others out:
 *
 *     known     credentials that were good once: served first
 *     unknown   all others
 *
 * Each of the two is a list of clients in the order of their turns, and a
 * client has its entries, oldest first.  The client whose turn it is gives one
 * entry and goes to the end of the list.  A client is an address, for IPv6 a
 * network of 64 bits, of which a host has all addresses.
 *
 * A client record is owned by the list, and freed with its last entry.  The
 * entries are owned by their look-ups.
 */

#include "ngx_mcp_auth_queue.h"


#define NGX_MCP_AUTH_QUEUE_UNKNOWN      0
#define NGX_MCP_AUTH_QUEUE_KNOWN        1

#define NGX_MCP_AUTH_QUEUE_ADDRESS_LEN  9      /* family, address or network */


struct ngx_mcp_auth_queue_client_s {
    ngx_queue_t     queue;        /* in ngx_mcp_auth_queue_clients[known] */
    ngx_queue_t     entries;      /* oldest first */
    ngx_uint_t      n;
    ngx_uint_t      known;
    u_char          address[NGX_MCP_AUTH_QUEUE_ADDRESS_LEN];
};


static void ngx_mcp_auth_queue_address(struct sockaddr *sa, u_char *address);
static ngx_mcp_auth_queue_client_t *ngx_mcp_auth_queue_client(u_char *address,
    ngx_uint_t known);
static ngx_mcp_auth_queue_client_t *ngx_mcp_auth_queue_longest(void);


static ngx_queue_t  ngx_mcp_auth_queue_clients[] = {
    { &ngx_mcp_auth_queue_clients[0], &ngx_mcp_auth_queue_clients[0] },
    { &ngx_mcp_auth_queue_clients[1], &ngx_mcp_auth_queue_clients[1] }
};
static ngx_uint_t   ngx_mcp_auth_queue_n;


ngx_int_t
ngx_mcp_auth_queue_add(ngx_mcp_auth_queue_entry_t *entry,
    struct sockaddr *address, ngx_uint_t known,
    ngx_mcp_auth_queue_entry_t **victim)
{
    u_char                        key[NGX_MCP_AUTH_QUEUE_ADDRESS_LEN];
    ngx_queue_t                  *q;
    ngx_mcp_auth_queue_client_t  *client;

    *victim = NULL;

    ngx_mcp_auth_queue_address(address, key);

    client = ngx_mcp_auth_queue_client(key, known);
    if (client == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_insert_tail(&client->entries, &entry->queue);
    client->n++;
    entry->client = client;

    if (++ngx_mcp_auth_queue_n <= NGX_MCP_AUTH_QUEUE_MAX) {
        return NGX_OK;
    }

    client = ngx_mcp_auth_queue_longest();

    q = ngx_queue_last(&client->entries);
    *victim = ngx_queue_data(q, ngx_mcp_auth_queue_entry_t, queue);

    ngx_mcp_auth_queue_remove(*victim);

    if (*victim != entry) {
        return NGX_OK;
    }

    *victim = NULL;

    return NGX_BUSY;
}


static void
ngx_mcp_auth_queue_address(struct sockaddr *sa, u_char *address)
{
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    ngx_memzero(address, NGX_MCP_AUTH_QUEUE_ADDRESS_LEN);

    if (sa == NULL) {
        return;
    }

    switch (sa->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) sa;

        address[0] = 4;
        ngx_memcpy(&address[1], &sin->sin_addr, 4);
        return;

#if (NGX_HAVE_INET6)

    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            address[0] = 4;
            ngx_memcpy(&address[1], &sin6->sin6_addr.s6_addr[12], 4);
            return;
        }

        address[0] = 6;
        ngx_memcpy(&address[1], &sin6->sin6_addr, 8);

#endif
    }
}


/*
 * Finds or creates the record of a client.  A new one has its turn last.
 */

static ngx_mcp_auth_queue_client_t *
ngx_mcp_auth_queue_client(u_char *address, ngx_uint_t known)
{
    ngx_queue_t                  *q, *clients;
    ngx_mcp_auth_queue_client_t  *client;

    clients = &ngx_mcp_auth_queue_clients[known];

    for (q = ngx_queue_head(clients);
         q != ngx_queue_sentinel(clients);
         q = ngx_queue_next(q))
    {
        client = ngx_queue_data(q, ngx_mcp_auth_queue_client_t, queue);

        if (ngx_memcmp(client->address, address,
                       NGX_MCP_AUTH_QUEUE_ADDRESS_LEN)
            == 0)
        {
            return client;
        }
    }

    client = ngx_alloc(sizeof(ngx_mcp_auth_queue_client_t), ngx_cycle->log);
    if (client == NULL) {
        return NULL;
    }

    ngx_queue_init(&client->entries);
    client->n = 0;
    client->known = known;
    ngx_memcpy(client->address, address, NGX_MCP_AUTH_QUEUE_ADDRESS_LEN);

    ngx_queue_insert_tail(clients, &client->queue);

    return client;
}


/*
 * Returns the client with most entries, of several the one whose turn is last.
 * Those with known credentials count if there are no others.
 */

static ngx_mcp_auth_queue_client_t *
ngx_mcp_auth_queue_longest(void)
{
    ngx_queue_t                  *q, *clients;
    ngx_mcp_auth_queue_client_t  *client, *longest;

    clients = &ngx_mcp_auth_queue_clients[NGX_MCP_AUTH_QUEUE_UNKNOWN];

    if (ngx_queue_empty(clients)) {
        clients = &ngx_mcp_auth_queue_clients[NGX_MCP_AUTH_QUEUE_KNOWN];
    }

    q = ngx_queue_head(clients);
    longest = ngx_queue_data(q, ngx_mcp_auth_queue_client_t, queue);

    for (q = ngx_queue_next(q);
         q != ngx_queue_sentinel(clients);
         q = ngx_queue_next(q))
    {
        client = ngx_queue_data(q, ngx_mcp_auth_queue_client_t, queue);

        if (client->n >= longest->n) {
            longest = client;
        }
    }

    return longest;
}


ngx_mcp_auth_queue_entry_t *
ngx_mcp_auth_queue_next(void)
{
    ngx_queue_t                  *q, *clients;
    ngx_mcp_auth_queue_entry_t   *entry;
    ngx_mcp_auth_queue_client_t  *client;

    clients = &ngx_mcp_auth_queue_clients[NGX_MCP_AUTH_QUEUE_KNOWN];

    if (ngx_queue_empty(clients)) {
        clients = &ngx_mcp_auth_queue_clients[NGX_MCP_AUTH_QUEUE_UNKNOWN];
    }

    if (ngx_queue_empty(clients)) {
        return NULL;
    }

    q = ngx_queue_head(clients);
    client = ngx_queue_data(q, ngx_mcp_auth_queue_client_t, queue);

    ngx_queue_remove(q);
    ngx_queue_insert_tail(clients, q);

    q = ngx_queue_head(&client->entries);
    entry = ngx_queue_data(q, ngx_mcp_auth_queue_entry_t, queue);

    ngx_mcp_auth_queue_remove(entry);

    return entry;
}


void
ngx_mcp_auth_queue_remove(ngx_mcp_auth_queue_entry_t *entry)
{
    ngx_mcp_auth_queue_client_t  *client;

    client = entry->client;

    if (client == NULL) {
        return;
    }

    ngx_queue_remove(&entry->queue);
    entry->client = NULL;

    ngx_mcp_auth_queue_n--;

    if (--client->n == 0) {
        ngx_queue_remove(&client->queue);
        ngx_free(client);
    }
}


ngx_uint_t
ngx_mcp_auth_queue_length(void)
{
    return ngx_mcp_auth_queue_n;
}
