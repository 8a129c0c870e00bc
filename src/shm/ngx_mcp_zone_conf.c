
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Shared memory zone: how it is made.  Size, layout and keys, at the start and
 * at a reload.
 *
 * The memory is owned by the cycles of nginx, see ngx_mcp_zone.c; the
 * ngx_mcp_zone_t of a cycle is in its pool.
 */

#include "ngx_mcp_zone_conf.h"


/* room for records, besides four messages of mcp_sse_max_message */

#define NGX_MCP_ZONE_CONF_SPARE_SIZE   (1024 * 1024)

/*
 * Records of workers, including workers of older cycles that still shut down.
 * 1024 of them take 248k.  A reload takes one for each worker process, and
 * warns if it leaves less than NGX_MCP_ZONE_CONF_FEW_RELOADS times as many.
 */

#ifndef NGX_MCP_ZONE_CONF_MIN_WORKERS

#define NGX_MCP_ZONE_CONF_MIN_WORKERS  1024
#define NGX_MCP_ZONE_CONF_RELOADS      16

#endif

#define NGX_MCP_ZONE_CONF_FEW_RELOADS  4

/*
 * Lengths in an envelope have 32 bits, and an envelope has at most twice the
 * bytes of its message.
 */

#define NGX_MCP_ZONE_CONF_MAX_MESSAGE  (1024 * 1024 * 1024)


static ngx_int_t ngx_mcp_zone_conf_init(ngx_shm_zone_t *shm_zone, void *data);
static ngx_int_t ngx_mcp_zone_conf_memory(ngx_shm_zone_t *shm_zone,
    ngx_mcp_zone_root_t *root);
static ngx_int_t ngx_mcp_zone_conf_workers(ngx_mcp_zone_t *zone);
static void ngx_mcp_zone_conf_warn(ngx_shm_zone_t *shm_zone);
static ngx_int_t ngx_mcp_zone_conf_secrets(ngx_mcp_zone_t *zone);
static ngx_int_t ngx_mcp_zone_conf_keys(ngx_shm_zone_t *shm_zone,
    ngx_mcp_zone_root_t *root);
static ngx_shm_zone_t *ngx_mcp_zone_conf_old(ngx_str_t *name);


ngx_int_t
ngx_mcp_zone_conf_add(ngx_conf_t *cf, ngx_mcp_main_conf_t *mcf)
{
    size_t           min;
    ngx_mcp_zone_t  *zone;

    if (mcf->max_message > NGX_MCP_ZONE_CONF_MAX_MESSAGE) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"mcp_sse_max_message\" is larger than 1g");
        return NGX_ERROR;
    }

    min = 4 * mcf->max_message + NGX_MCP_ZONE_CONF_SPARE_SIZE;

    if (mcf->zone_size < min) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "mcp_sse_zone \"%V\" is too small, four messages of "
                      "\"mcp_sse_max_message\" and 1m need %uzk",
                      &mcf->zone_name, min / 1024);
        return NGX_ERROR;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_mcp_zone_t));
    if (zone == NULL) {
        return NGX_ERROR;
    }

    zone->conf = mcf;
    zone->core_conf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                                       ngx_core_module);

    zone->secrets = ngx_array_create(cf->pool, 1, sizeof(ngx_str_t));
    if (zone->secrets == NULL) {
        return NGX_ERROR;
    }

    /*
     * Another file of the module has its variables at other addresses.  With
     * this tag a reload that loads it keeps the zone.
     */

    mcf->zone = ngx_shared_memory_add(cf, &mcf->zone_name, mcf->zone_size,
                                      &ngx_http_module);
    if (mcf->zone == NULL) {
        return NGX_ERROR;
    }

    mcf->zone->init = ngx_mcp_zone_conf_init;
    mcf->zone->data = zone;

    return NGX_OK;
}


ngx_int_t
ngx_mcp_zone_conf_check(ngx_conf_t *cf, ngx_mcp_main_conf_t *mcf)
{
    ngx_shm_zone_t  *old;

    if (ngx_process != NGX_PROCESS_SINGLE || ngx_is_init_cycle(ngx_cycle)) {
        return NGX_OK;
    }

    old = ngx_mcp_zone_conf_old(mcf->used ? &mcf->zone_name : NULL);

    if (mcf->used ? (old && old->shm.size == mcf->zone_size) : old == NULL) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "while \"master_process\" is off, a reload cannot change "
                  "\"mcp_sse_zone\", and can neither add the first endpoint "
                  "of mcp_sse nor remove the last one; restart nginx");

    return NGX_ERROR;
}


/*
 * "data" is the zone of the previous cycle, if a reload keeps its memory.
 * Follows ngx_http_limit_req_init_zone().
 */

static ngx_int_t
ngx_mcp_zone_conf_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_mcp_zone_t  *ozone = data;

    ngx_mcp_zone_root_t  *root;
    ngx_mcp_zone_t       *zone;

    zone = shm_zone->data;
    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;
    zone->size = shm_zone->shm.size;

    if (ozone || shm_zone->shm.exists) {

        zone->root = zone->shpool->data;

        if (zone->root->magic != NGX_MCP_ZONE_MAGIC) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "zone \"%V\" was made by another version of the "
                          "module, restart nginx instead of reloading it",
                          &shm_zone->shm.name);
            return NGX_ERROR;
        }

        ngx_mcp_zone_conf_warn(shm_zone);

        return ngx_mcp_zone_conf_secrets(zone);
    }

    root = ngx_slab_calloc(zone->shpool, sizeof(ngx_mcp_zone_root_t));
    if (root == NULL) {
        return NGX_ERROR;
    }

    zone->root = root;
    zone->shpool->data = root;

    root->magic = NGX_MCP_ZONE_MAGIC;

    if (ngx_mcp_zone_conf_memory(shm_zone, root) != NGX_OK
        || ngx_mcp_zone_conf_keys(shm_zone, root) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_mcp_zone_conf_secrets(zone);
}


/*
 * The inner pool takes all pages that are left, so that it can be initialized
 * again without the mutex, the root and the records of the workers.
 */

static ngx_int_t
ngx_mcp_zone_conf_memory(ngx_shm_zone_t *shm_zone, ngx_mcp_zone_root_t *root)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_slab_pool_t  *shpool, *pool;

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    len = sizeof(" in mcp_sse_zone \"\"") + shm_zone->shm.name.len;

    shpool->log_ctx = ngx_slab_alloc(shpool, len);

    if (shpool->log_ctx == NULL
        || ngx_mcp_zone_conf_workers(shm_zone->data) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_sprintf(shpool->log_ctx, " in mcp_sse_zone \"%V\"%Z",
                &shm_zone->shm.name);

    len = shpool->pfree * ngx_pagesize;

    pool = ngx_slab_alloc(shpool, len);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    pool->end = (u_char *) pool + len;
    pool->min_shift = shpool->min_shift;
    pool->addr = pool;

    root->pool = pool;
    root->phase = NGX_MCP_ZONE_READY;

    ngx_mcp_zone_reset_locked(root);
    ngx_mcp_zone_pool_locked(shm_zone->data);

    for (i = 0; i < root->nworker_slots; i++) {
        ngx_queue_insert_tail(&root->free_workers,
                              &root->worker_slots[i].queue);
    }

    return NGX_OK;
}


/*
 * Allocates the records of workers.  Their number stays as long as the zone:
 * a later reload may have more worker processes.
 */

static ngx_int_t
ngx_mcp_zone_conf_workers(ngx_mcp_zone_t *zone)
{
    ngx_uint_t            n;
    ngx_mcp_zone_root_t  *root;

    root = zone->root;

    n = (ngx_uint_t) zone->core_conf->worker_processes
        * NGX_MCP_ZONE_CONF_RELOADS;
    n = ngx_max(n, NGX_MCP_ZONE_CONF_MIN_WORKERS);

    root->worker_slots = ngx_slab_calloc(zone->shpool,
                                         n * sizeof(ngx_mcp_worker_t));
    root->nworker_slots = n;

    return root->worker_slots ? NGX_OK : NGX_ERROR;
}


/*
 * Warns at a reload if workers of older cycles have taken most records.  They
 * are read without the mutex: the master must not wait for a worker.
 */

static void
ngx_mcp_zone_conf_warn(ngx_shm_zone_t *shm_zone)
{
    ngx_uint_t            i, nfree, need;
    ngx_mcp_zone_t       *zone;
    ngx_mcp_zone_root_t  *root;

    zone = shm_zone->data;
    root = zone->root;

    nfree = 0;

    for (i = 0; i < root->nworker_slots; i++) {
        nfree += (root->worker_slots[i].pid == 0);
    }

    need = (ngx_uint_t) zone->core_conf->worker_processes
           * NGX_MCP_ZONE_CONF_FEW_RELOADS;

    if (nfree < need) {
        ngx_log_error(NGX_LOG_WARN, shm_zone->shm.log, 0,
                      "mcp_sse_zone \"%V\" has %ui free places for worker "
                      "processes of %ui, less than %ui reloads need; wait "
                      "until old workers have ended, or set "
                      "\"worker_shutdown_timeout\"",
                      &shm_zone->shm.name, nfree, root->nworker_slots,
                      (ngx_uint_t) NGX_MCP_ZONE_CONF_FEW_RELOADS);
    }
}


/*
 * Session ids are signed with the keys of mcp_sse_key.  Without this directive
 * they are signed with the random key of the zone, which survives a reload and
 * ends with the master.
 */

static ngx_int_t
ngx_mcp_zone_conf_secrets(ngx_mcp_zone_t *zone)
{
    ngx_str_t  *secret;

    if (zone->conf->keys) {
        zone->secrets = zone->conf->keys;
        return NGX_OK;
    }

    zone->secrets->nelts = 0;

    secret = ngx_array_push(zone->secrets);
    if (secret == NULL) {
        return NGX_ERROR;
    }

    secret->data = zone->root->key;
    secret->len = NGX_MCP_KEY_LEN;

    return NGX_OK;
}


/*
 * A reload with another size makes a new zone.  It takes over the keys of the
 * old one, so that session ids of before the reload verify.
 */

static ngx_int_t
ngx_mcp_zone_conf_keys(ngx_shm_zone_t *shm_zone, ngx_mcp_zone_root_t *root)
{
    ngx_shm_zone_t       *old;
    ngx_slab_pool_t      *shpool;
    ngx_mcp_zone_root_t  *oroot;

    old = ngx_mcp_zone_conf_old(&shm_zone->shm.name);

    if (old) {
        shpool = (ngx_slab_pool_t *) old->shm.addr;
        oroot = shpool->data;

        if (oroot->magic == NGX_MCP_ZONE_MAGIC) {
            ngx_memcpy(root->key, oroot->key, NGX_MCP_KEY_LEN);
            ngx_memcpy(root->instance, oroot->instance, NGX_MCP_INSTANCE_LEN);
            return NGX_OK;
        }
    }

    if (ngx_mcp_random(root->key, NGX_MCP_KEY_LEN) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_mcp_random(root->instance, NGX_MCP_INSTANCE_LEN);
}


/*
 * Returns a zone of the module in the previous cycle that has that name, or
 * any name if "name" is NULL; or NULL.
 */

static ngx_shm_zone_t *
ngx_mcp_zone_conf_old(ngx_str_t *name)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_shm_zone_t   *zones;

    /* while a configuration is read, ngx_cycle is the previous cycle */

    part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;
    zones = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            zones = part->elts;
            i = 0;
        }

        if (zones[i].tag == &ngx_http_module
            && zones[i].shm.addr != NULL
            && (name == NULL
                || (zones[i].shm.name.len == name->len
                    && ngx_strncmp(zones[i].shm.name.data, name->data,
                                   name->len)
                       == 0)))
        {
            return &zones[i];
        }
    }
}
