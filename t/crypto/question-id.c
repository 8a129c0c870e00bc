/*
 * Ids of questions by commands, for t/crypto/question-id.t (MCPTest::Unit).
 * Arguments are hexadecimal, "-" is an empty string.
 *
 *     make SECRET K KEY               "ok TEXT", or "error"
 *     verify TEXT KEY SECRET ...      "ok K", "declined" or "error"
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_mcp_question_id.h"


#define MAX_WORDS  8


static ngx_str_t   words[MAX_WORDS];
static ngx_uint_t  nwords;


/* a block of its own, so that each byte too many is seen */

static void
decode(ngx_str_t *dst, const char *text)
{
    size_t  i;

    dst->len = strcmp(text, "-") == 0 ? 0 : strlen(text) / 2;
    dst->data = malloc(dst->len ? dst->len : 1);

    for (i = 0; i < dst->len; i++) {
        dst->data[i] = (u_char) ngx_hextoi((u_char *) text + 2 * i, 2);
    }
}


static void
command_make(void)
{
    u_char     buf[NGX_MCP_QUESTION_ID_MAX_LEN + 1];
    ngx_str_t  text;

    ngx_memset(buf, '!', sizeof(buf));
    text.data = buf;

    if (ngx_mcp_question_id_make(&text, &words[1], &words[2], words[3].data)
        != NGX_OK)
    {
        printf("error");
        return;
    }

    printf("ok %.*s%s", (int) text.len, buf,
           buf[text.len] == '!' ? "" : "overrun");
}


static void
command_verify(void)
{
    ngx_int_t    rc;
    ngx_str_t    k;
    ngx_array_t  secrets;

    secrets.elts = &words[3];
    secrets.nelts = nwords - 3;

    rc = ngx_mcp_question_id_verify(&words[1], &secrets, words[2].data, &k);

    if (rc == NGX_OK) {
        printf("ok %.*s", (int) k.len, k.data);
        return;
    }

    printf("%s", rc == NGX_DECLINED ? "declined" : "error");
}


/* runs when nginx is loaded, before its own main() */

__attribute__((constructor)) static void
commands(void)
{
    char         *word, *command;
    ngx_uint_t    i;
    static char   line[65536];
    static char   out[4096];

    ngx_pagesize = 4096;
    setvbuf(stdout, out, _IOLBF, sizeof(out));

    while (fgets(line, sizeof(line), stdin)) {
        command = strtok(line, " \n");
        nwords = 1;

        while (nwords < MAX_WORDS && (word = strtok(NULL, " \n")) != NULL) {
            decode(&words[nwords++], word);
        }

        if (strcmp(command, "make") == 0) {
            command_make();

        } else {
            command_verify();
        }

        printf("\n");

        for (i = 1; i < nwords; i++) {
            free(words[i].data);
        }
    }

    exit(0);
}
