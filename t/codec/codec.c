
/*
 * Functions of src/codec by commands, for t/codec/ *.t (MCPTest::Unit).
 *
 *     answer METHOD RETRY ID URI INFO BODY    BODY of the backend in its modern
 *                                             form: "ok CODE DATA", "declined
 *                                             CODE", "invalid" or "none"
 *     meta PARAMS                             "ok NAME=VALUE ..."
 *     level NAME                              its number, "8": unknown
 *     capabilities ANSWER                     with those of the module: "ok
 *                                             ANSWER", or "declined"
 *     listen FILTER                           "ok WRITTEN URI ...", "declined"
 *
 * ID, URI, INFO, BODY, PARAMS, NAME, ANSWER and FILTER are hexadecimal, "-" is
 * an absent string, as are values; DATA is behind the blank.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_capabilities.h"
#include "ngx_mcp_jsonrpc.h"
#include "ngx_mcp_listen_filter.h"
#include "ngx_mcp_log_level.h"
#include "ngx_mcp_modern_answer.h"
#include "ngx_mcp_request_meta.h"


#define MAX_WORDS  8


static ngx_pool_t  *pool;
static ngx_log_t    quiet;


static void
decode(ngx_str_t *dst, const char *text)
{
    size_t  i;

    ngx_str_null(dst);

    if (strcmp(text, "-") == 0) {
        return;
    }

    dst->len = strlen(text) / 2;
    dst->data = ngx_pnalloc(pool, dst->len);

    for (i = 0; i < dst->len; i++) {
        dst->data[i] = (u_char) ngx_hextoi((u_char *) text + 2 * i, 2);
    }
}


static void
print_value(const char *name, ngx_str_t *value)
{
    size_t  i;

    printf(" %s=%s", name, value->data ? "" : "-");

    for (i = 0; i < value->len; i++) {
        printf("%02x", value->data[i]);
    }
}


static void
command_answer(char **words)
{
    ngx_int_t                       rc, code;
    ngx_str_t                       body, data;
    ngx_mcp_event_t                *ev;
    ngx_mcp_jsonrpc_answer_t        answer;
    ngx_mcp_modern_request_t        request;
    ngx_mcp_jsonrpc_answer_scan_t   scan;

    request.method.data = (u_char *) words[1];
    request.method.len = strlen(words[1]);
    request.retry = atoi(words[2]);

    decode(&request.id, words[3]);
    decode(&request.uri, words[4]);
    decode(&request.server_info, words[5]);
    decode(&body, words[6]);

    ngx_memzero(&scan, sizeof(ngx_mcp_jsonrpc_answer_scan_t));
    ngx_mcp_jsonrpc_answer_begin(&scan, pool);

    if (ngx_mcp_jsonrpc_answer_end(&scan, &body, &answer) != NGX_OK
        || (!answer.response && answer.value.data == NULL))
    {
        printf("none");
        return;
    }

    if (!ngx_mcp_modern_answer_valid(&answer)) {
        printf("invalid");
        return;
    }

    rc = ngx_mcp_modern_answer(&answer, &request, &ev, &code, &quiet);

    if (rc != NGX_OK) {
        printf("%s %d", rc == NGX_DECLINED ? "declined" : "error", (int) code);
        return;
    }

    ngx_mcp_event_data(ev, &data);
    printf("ok %d %.*s", (int) code, (int) data.len, data.data);
    ngx_mcp_event_free(ev);
}


static void
command_meta(char **words)
{
    ngx_int_t               rc;
    ngx_str_t               params;
    ngx_mcp_request_meta_t  meta;

    decode(&params, words[1]);

    rc = ngx_mcp_request_meta(pool, &params, &meta);

    if (rc != NGX_OK) {
        printf("%s", rc == NGX_DECLINED ? "declined" : "error");
        return;
    }

    printf("ok");
    print_value("version", &meta.version);
    print_value("capabilities", &meta.capabilities);
    print_value("client_info", &meta.client_info);
    print_value("client_name", &meta.client_name);
    print_value("client_version", &meta.client_version);
    print_value("log_level", &meta.log_level);
    print_value("name", &meta.name);
    print_value("level", &meta.level);
    print_value("uri", &meta.uri);
    print_value("raw_uri", &meta.raw_uri);
    print_value("notifications", &meta.notifications);
    printf(" retry=%d", meta.retry);
}


/* the copy ends where the memory for it ends */

static void
command_capabilities(char **words)
{
    u_char     *room;
    ngx_str_t   answer, text;

    decode(&answer, words[1]);

    room = malloc(answer.len + NGX_MCP_CAPABILITIES_MAX_ADDED);
    text.data = room;

    if (ngx_mcp_capabilities_add(&answer, &text) == NGX_OK) {
        printf("ok %.*s", (int) text.len, (char *) text.data);

    } else {
        printf("declined");
    }

    free(room);
}


static void
command_level(char **words)
{
    ngx_str_t  name;

    decode(&name, words[1]);

    printf("%d", (int) ngx_mcp_log_level(&name));
}


static void
print_hex(u_char *p, size_t len)
{
    size_t  i;

    printf(" ");

    for (i = 0; i < len; i++) {
        printf("%02x", p[i]);
    }
}


static void
command_listen(char **words)
{
    u_char                       *p;
    ngx_int_t                     rc;
    ngx_str_t                     raw;
    ngx_uint_t                    i;
    ngx_mcp_listen_filter_t       filter;
    ngx_mcp_listen_filter_uri_t  *uri;

    decode(&raw, words[1]);

    rc = ngx_mcp_listen_filter_parse(pool, &raw, &filter);

    if (rc != NGX_OK) {
        printf("%s", rc == NGX_DECLINED ? "declined" : "error");
        return;
    }

    p = ngx_pnalloc(pool, ngx_mcp_listen_filter_size(&filter));

    printf("ok");
    print_hex(p, ngx_mcp_listen_filter_write(p, &filter) - p);

    uri = filter.uris.elts;

    for (i = 0; i < filter.uris.nelts; i++) {
        print_hex(uri[i].text.data, uri[i].text.len);
    }
}


/* runs when nginx is loaded, before its own main() */

__attribute__((constructor)) static void
commands(void)
{
    char              *words[MAX_WORDS], *p;
    ngx_uint_t         n;
    static char        line[1024 * 1024];
    static ngx_open_file_t  file;

    file.fd = STDERR_FILENO;
    quiet.file = &file;

    ngx_pagesize = getpagesize();

    while (fgets(line, sizeof(line), stdin)) {

        for (n = 0, p = strtok(line, " \n");
             p && n < MAX_WORDS;
             p = strtok(NULL, " \n"))
        {
            words[n++] = p;
        }

        pool = ngx_create_pool(4096, &quiet);

        if (n == 7 && strcmp(words[0], "answer") == 0) {
            command_answer(words);

        } else if (n == 2 && strcmp(words[0], "meta") == 0) {
            command_meta(words);

        } else if (n == 2 && strcmp(words[0], "listen") == 0) {
            command_listen(words);

        } else if (n == 2 && strcmp(words[0], "level") == 0) {
            command_level(words);

        } else if (n == 2 && strcmp(words[0], "capabilities") == 0) {
            command_capabilities(words);

        } else {
            printf("no such command");
        }

        ngx_destroy_pool(pool);

        printf("\n");
        fflush(stdout);
    }

    exit(0);
}
