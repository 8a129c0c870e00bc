
/*
 * Replies of sentinels and of nodes of a cluster by commands, for
 * t/redis/nodes.t (MCPTest::Unit).  Arguments are hexadecimal: the bytes of a
 * reply, or a message.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <stdio.h>
#include <stdlib.h>
#include "ngx_mcp_redis_node.h"


#define MAX_WORDS  4


static ngx_str_t  words[MAX_WORDS];


static void
decode(ngx_str_t *dst, char *text)
{
    size_t  i;

    dst->len = strcmp(text, "-") == 0 ? 0 : strlen(text) / 2;

    /* a block of its own: each byte too many is behind its end */

    dst->data = malloc(dst->len ? dst->len : 1);

    for (i = 0; i < dst->len; i++) {
        dst->data[i] = (u_char) ngx_hextoi((u_char *) text + 2 * i, 2);
    }
}


static void
run(char *command, char *number)
{
    ngx_int_t              rc;
    redisReply            *reply;
    redisReader           *reader;
    ngx_mcp_redis_node_t   node;

    ngx_memzero(&node, sizeof(node));

    reader = redisReaderCreate();
    reply = NULL;

    if (strcmp(command, "switch") == 0) {
        rc = ngx_mcp_redis_node_switch(&node, &words[0], &words[1]);

    } else if (redisReaderFeed(reader, (char *) words[0].data, words[0].len)
               != REDIS_OK
               || redisReaderGetReply(reader, (void **) &reply) != REDIS_OK
               || reply == NULL)
    {
        printf("no reply\n");
        redisReaderFree(reader);
        return;

    } else if (strcmp(command, "master") == 0) {
        rc = ngx_mcp_redis_node_master(&node, reply);

    } else if (strcmp(command, "slot") == 0) {
        rc = ngx_mcp_redis_node_slot(&node, reply, atoi(number));

    } else {
        rc = ngx_mcp_redis_node_moved(&node, reply);
    }

    if (rc == NGX_OK) {
        printf("%.*s|%d\n", (int) node.len, node.host, (int) node.port);

    } else {
        printf("%s\n", rc == NGX_DECLINED ? "declined"
                       : rc == NGX_ERROR ? "error" : "?");
    }

    if (reply) {
        freeReplyObject(reply);
    }

    redisReaderFree(reader);
}


/* COMMAND BYTES [NAME | SLOT]; runs before nginx's own main() */

__attribute__((constructor)) static void
commands(void)
{
    char        *command, *number;
    ngx_uint_t   i;
    static char  line[1024 * 1024];

    while (fgets(line, sizeof(line), stdin)) {
        ngx_memzero(words, sizeof(words));

        command = strtok(line, " \n");
        decode(&words[0], strtok(NULL, " \n"));

        number = strtok(NULL, " \n");
        decode(&words[1], number ? number : "-");

        run(command, number);
        fflush(stdout);

        for (i = 0; i < 2; i++) {
            free(words[i].data);
        }
    }

    exit(0);
}
