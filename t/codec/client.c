
/*
 * What a client says of itself, by commands, for t/codec/client.t
 * (MCPTest::Unit).  Each line is a command and one string in hexadecimal
 * digits, or "-".
 *
 *     initialize PARAMS    the claims of an id, in hexadecimal digits
 *     version VERSION      the same of a client that has only that
 *     read CLAIMS          version, capabilities, name
 *     asks VERSION         of all capabilities, those by which it may be asked
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_client.h"


static ngx_str_t
from_hex(const char *text)
{
    size_t     i;
    ngx_str_t  s;

    s.len = strcmp(text, "-") == 0 ? 0 : strlen(text) / 2;
    s.data = s.len ? malloc(s.len) : NULL;

    for (i = 0; i < s.len; i++) {
        s.data[i] = (u_char) ngx_hextoi((u_char *) text + 2 * i, 2);
    }

    return s;
}


static void
print_claims(ngx_mcp_client_t *client)
{
    size_t  i, len;
    u_char  claims[NGX_MCP_CLIENT_MAX_CLAIMS];

    len = ngx_mcp_client_claims(client, claims);

    for (i = 0; i < len; i++) {
        printf("%02x", claims[i]);
    }
}


static void
command_read(ngx_str_t *claims)
{
    u_char     version[NGX_MCP_CLIENT_VERSION_LEN + 1];
    ngx_str_t  name;

    version[NGX_MCP_CLIENT_VERSION_LEN] = '!';

    name = ngx_mcp_client_claims_name(claims);

    printf("%.*s%s %lu \"%.*s\"",
           (int) ngx_mcp_client_claims_version(claims, version), version,
           version[NGX_MCP_CLIENT_VERSION_LEN] == '!' ? "" : "overrun",
           (unsigned long) ngx_mcp_client_claims_capabilities(claims),
           (int) name.len, name.data);
}


/* runs when nginx is loaded, before its own main() */

__attribute__((constructor)) static void
commands(void)
{
    char              *command, *word;
    ngx_log_t          quiet;
    ngx_str_t          s;
    ngx_pool_t        *pool;
    ngx_mcp_client_t   client;
    static char        line[65536];
    static char        out[4096];

    ngx_memzero(&quiet, sizeof(ngx_log_t));
    ngx_pagesize = 4096;
    setvbuf(stdout, out, _IOLBF, sizeof(out));

    while (fgets(line, sizeof(line), stdin)) {
        command = strtok(line, " \n");
        word = strtok(NULL, " \n");
        s = from_hex(word ? word : "-");

        ngx_memzero(&client, sizeof(ngx_mcp_client_t));

        if (strcmp(command, "initialize") == 0) {
            pool = ngx_create_pool(4096, &quiet);

            if (ngx_mcp_client_initialize(pool, &s, &client) != NGX_OK) {
                printf("error");
            }

            print_claims(&client);
            ngx_destroy_pool(pool);

        } else if (strcmp(command, "version") == 0) {
            ngx_mcp_client_version(&client, &s);
            print_claims(&client);

        } else if (strcmp(command, "asks") == 0) {
            printf("%lu", (unsigned long) ngx_mcp_client_asks(0xff, &s));

        } else {
            command_read(&s);
        }

        printf("\n");
        free(s.data);
    }

    exit(0);
}
