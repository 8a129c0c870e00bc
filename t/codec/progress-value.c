
/*
 * Values of progress by commands, for t/codec/progress-value.t (MCPTest::Unit).
 *
 *     new            begins again
 *     next           the next value by itself
 *     told NUMBER    a value that was told
 *
 * The answer is the value, or "-" if there is none.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_progress_value.h"


/* runs when nginx is loaded, before its own main() */

__attribute__((constructor)) static void
commands(void)
{
    char                       line[4096], word[16], number[4096];
    ngx_int_t                  rc;
    ngx_str_t                  told;
    ngx_mcp_progress_value_t   value;
    static char                out[4096];

    setvbuf(stdout, out, _IOLBF, sizeof(out));
    ngx_memzero(&value, sizeof(ngx_mcp_progress_value_t));

    while (fgets(line, sizeof(line), stdin)) {
        number[0] = '\0';
        (void) sscanf(line, "%15s %4095s", word, number);

        if (strcmp(word, "new") == 0) {
            ngx_memzero(&value, sizeof(ngx_mcp_progress_value_t));
            printf("-\n");
            continue;
        }

        told.data = (u_char *) number;
        told.len = strlen(number);

        rc = told.len ? ngx_mcp_progress_value_told(&value, &told)
                      : ngx_mcp_progress_value_next(&value);

        printf("%.*s\n", rc == NGX_OK ? (int) value.len : 1,
               rc == NGX_OK ? (char *) value.text : "-");
    }

    exit(0);
}
