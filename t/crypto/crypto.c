
/*
 * The functions of src/crypto by commands, for t/crypto/known-answers.t and
 * t/crypto/replay.t (MCPTest::Unit).  Arguments are hexadecimal, "-" is an
 * empty string; numbers are decimal.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <sys/wait.h>
#include "ngx_mcp_memo.h"
#include "ngx_mcp_packet.h"
#include "ngx_mcp_session_id.h"
#include "ngx_mcp_siphash.h"


#define MAX_WORDS  16


static ngx_uint_t                nwords;
static ngx_str_t                 words[MAX_WORDS];    /* decoded */
static char                     *texts[MAX_WORDS];
static ngx_log_t                 quiet;
static ngx_mcp_replay_window_t   window;
static ngx_uint_t                allocations;         /* of OpenSSL */
static ngx_uint_t                fail_from, fail_n;   /* which of them fail */


static void run(void);


static void
decode(ngx_str_t *dst, char *text)
{
    size_t  i, len;

    len = strcmp(text, "-") == 0 ? 0 : strlen(text) / 2;

    /* a block of its own, so that a sanitizer sees each byte too many */

    dst->data = malloc(len ? len : 1);
    dst->len = len;

    for (i = 0; i < len; i++) {
        dst->data[i] = (u_char) ngx_hextoi((u_char *) text + 2 * i, 2);
    }
}


static void
print_hex(u_char *p, size_t len)
{
    if (len == 0) {
        printf(" -");
        return;
    }

    printf(" ");

    while (len--) {
        printf("%02x", *p++);
    }
}


static void
print_rc(ngx_int_t rc)
{
    printf("%s", rc == NGX_OK ? "ok"
                 : rc == NGX_ERROR ? "error"
                 : rc == NGX_DECLINED ? "declined"
                 : rc == NGX_DONE ? "done"
                 : rc == NGX_ABORT ? "abort" : "?");
}


/* the words from the n-th on, as an array that stays */

static ngx_array_t *
rest(ngx_uint_t n)
{
    ngx_uint_t    i;
    ngx_str_t    *s;
    ngx_array_t  *a;

    a = calloc(1, sizeof(ngx_array_t));
    s = calloc(MAX_WORDS, sizeof(ngx_str_t));

    a->elts = s;

    for (i = n; i < nwords; i++) {
        decode(&s[a->nelts++], texts[i]);
    }

    return a;
}


/* derive SECRET INFO */

static void
command_derive(void)
{
    u_char     key[NGX_MCP_CIPHER_KEY_LEN];
    ngx_int_t  rc;

    rc = ngx_mcp_cipher_derive(key, &words[1], &words[2]);

    print_rc(rc);

    if (rc == NGX_OK) {
        print_hex(key, sizeof(key));
    }
}


/* seal|open KEY NUMBER AD DATA; DATA has room for the tag, or has it */

static void
command_cipher(ngx_uint_t seal)
{
    uint64_t   number;
    ngx_int_t  rc;

    number = strtoull(texts[2], NULL, 10);

    rc = seal ? ngx_mcp_cipher_seal(words[1].data, number, &words[3],
                                    &words[4])
              : ngx_mcp_cipher_open(words[1].data, number, &words[3],
                                    &words[4]);

    print_rc(rc);

    if (rc == NGX_OK) {
        print_hex(words[4].data, words[4].len);
    }
}


/* worker ID SECRET ...: from now on this is the worker with that id */

static void
command_worker(void)
{
    u_char  *self;

    self = malloc(NGX_MCP_PACKET_ID_LEN);
    ngx_memcpy(self, words[1].data, NGX_MCP_PACKET_ID_LEN);

    print_rc(ngx_mcp_packet_init(self, rest(2), &quiet));
}


/* send TYPE RECEIVER|- BODY */

static void
command_send(void)
{
    ngx_int_t          rc;
    ngx_mcp_packet_t  *packet;

    packet = ngx_mcp_packet_alloc(words[3].len, &quiet);
    ngx_memcpy(packet->body, words[3].data, words[3].len);

    rc = ngx_mcp_packet_seal(packet, atoi(texts[1]),
                             words[2].len ? words[2].data : NULL);

    print_rc(rc);
    printf(" %llu", (unsigned long long) packet->number);
    print_hex(packet->data, packet->size);

    free(packet);
}


/*
 * receive PACKET [EXPIRES]: opens it and, with EXPIRES, enters its number into
 * the window of its sender
 */

static void
command_receive(void)
{
    ngx_int_t                       rc;
    ngx_mcp_packet_received_t       received;
    ngx_mcp_replay_window_entry_t  *seen;

    rc = ngx_mcp_packet_open(&received, &words[1], &quiet);

    print_rc(rc);

    if (rc != NGX_OK) {
        return;
    }

    printf(" %u %llu", (unsigned) received.type,
           (unsigned long long) received.number);
    print_hex(received.body.data, received.body.len);
    print_hex(received.sender->id, NGX_MCP_PACKET_ID_LEN);

    if (nwords > 2) {
        printf(" ");
        print_rc(ngx_mcp_replay_window_enter(
                     received.type == NGX_MCP_PACKET_ANNOUNCE
                         ? &received.sender->announce_window
                         : &received.sender->window,
                     received.number, strtoull(texts[2], NULL, 10), &seen,
                     &quiet));
    }
}


/* number N: written and read */

static void
command_number(void)
{
    u_char  data[8], *last;

    last = ngx_mcp_packet_put(data, strtoull(texts[1], NULL, 10));

    print_hex(data, last - data);
    printf(" %llu", (unsigned long long) ngx_mcp_packet_get(data));
}


static void
command_probe(void)
{
    u_char  data[NGX_MCP_PACKET_HEADER_LEN];

    ngx_mcp_packet_probe(data);
    printf("ok");
    print_hex(data, sizeof(data));
}


/* enter NUMBER EXPIRES; the answer of a new number is its own, NUMBER */

static void
command_enter(void)
{
    uint64_t                        number;
    ngx_int_t                       rc;
    ngx_mcp_replay_window_entry_t  *seen;

    number = strtoull(texts[1], NULL, 10);

    rc = ngx_mcp_replay_window_enter(&window, number,
                                     strtoull(texts[2], NULL, 10), &seen,
                                     &quiet);

    print_rc(rc);

    if (rc == NGX_OK) {
        printf(" %u", (unsigned) seen->ack);
        seen->ack = number;

    } else if (rc == NGX_DONE) {
        printf(" %u", (unsigned) seen->ack);
    }
}


static void
print_id(ngx_mcp_session_id_t *sid)
{
    print_hex(sid->key, NGX_MCP_DIGEST_LEN);
    printf(" %.*s %lld", NGX_MCP_HASH_LEN, sid->hash, (long long) sid->issued);
    print_hex(sid->instance, NGX_MCP_INSTANCE_LEN);
}


/* make SECRET INSTANCE ISSUED PURPOSE SITE USER [CLAIMS]; PURPOSE is a plain
   word */

static void
command_make(void)
{
    u_char                buf[NGX_MCP_SESSION_ID_MAX_LEN + 1];
    ngx_int_t             rc;
    ngx_str_t             text;
    ngx_mcp_session_id_t  sid;

    ngx_memset(buf, '!', sizeof(buf));
    text.data = buf;

    rc = ngx_mcp_session_id_make(&sid, &text, &words[1], words[2].data,
                                 strtoll(texts[3], NULL, 10), texts[4],
                                 &words[5], &words[6],
                                 nwords > 7 ? &words[7] : NULL);

    print_rc(rc);

    if (rc == NGX_OK) {
        printf(" %.*s%s", (int) text.len, buf,
               buf[text.len] == '!' ? "" : "overrun");
        print_id(&sid);
    }
}


/* parse TEXT: a plain word */

static void
command_parse(void)
{
    u_char                buf[NGX_MCP_SESSION_ID_MAX_CLAIMS];
    ngx_int_t             rc;
    ngx_str_t             text, claims;
    ngx_mcp_session_id_t  sid;

    text.data = (u_char *) texts[1];
    text.len = strlen(texts[1]);
    claims.data = buf;

    rc = ngx_mcp_session_id_parse(&sid, &text, &claims);

    print_rc(rc);

    if (rc == NGX_OK) {
        print_id(&sid);

        if (claims.len) {
            print_hex(claims.data, claims.len);
        }
    }
}


/* verify TEXT PURPOSE SITE USER SECRET ... */

static void
command_verify(void)
{
    ngx_str_t             text;
    ngx_mcp_session_id_t  sid;

    text.data = (u_char *) texts[1];
    text.len = strlen(texts[1]);

    (void) ngx_mcp_session_id_parse(&sid, &text, NULL);

    print_rc(ngx_mcp_session_id_verify(&sid, &text, rest(5), texts[2],
                                       &words[3], &words[4]));
}


/* hmac SECRET PART ... */

static void
command_hmac(void)
{
    u_char     digest[NGX_MCP_DIGEST_LEN];
    ngx_int_t  rc;

    rc = ngx_mcp_hmac(digest, &words[1], &words[2], nwords - 2);

    print_rc(rc);

    if (rc == NGX_OK) {
        print_hex(digest, sizeof(digest));
    }
}


/* siphash KEY TEXT */

static void
command_siphash(void)
{
    u_char  hash[NGX_MCP_SIPHASH_LEN];

    ngx_mcp_siphash(hash, words[1].data, &words[2]);

    print_rc(NGX_OK);
    print_hex(hash, sizeof(hash));
}


/* random N */

static void
command_random(void)
{
    size_t     n;
    u_char     buf[64];
    ngx_int_t  rc;

    n = strtoull(texts[1], NULL, 10);

    rc = ngx_mcp_random(buf, n);

    print_rc(rc);

    if (rc == NGX_OK) {
        print_hex(buf, n);
    }
}


/* put BYTE PART ... | get PART ... | forget PART ...; BYTE fills the value */

static void
command_memo(void)
{
    u_char       value[NGX_MCP_MEMO_VALUE_LEN + 1];
    ngx_uint_t   i;

    if (strcmp(texts[0], "put") == 0) {
        ngx_memset(value, words[1].data[0], sizeof(value));
        ngx_mcp_memo_put(&words[2], nwords - 2, value);
        printf("ok");
        return;
    }

    if (strcmp(texts[0], "forget") == 0) {
        ngx_mcp_memo_forget(&words[1], nwords - 1);
        printf("ok");
        return;
    }

    ngx_memset(value, '!', sizeof(value));

    if (!ngx_mcp_memo_get(&words[1], nwords - 1, value)) {
        printf(value[0] == '!' ? "none" : "none, but a value");
        return;
    }

    for (i = 0; i < NGX_MCP_MEMO_VALUE_LEN && value[i] == value[0]; i++) {
        /* void */
    }

    print_hex(value, 1);
    printf("%s", i == NGX_MCP_MEMO_VALUE_LEN && value[i] == '!' ? ""
                 : " damaged");
}


static ngx_uint_t
fails(void)
{
    allocations++;

    return allocations >= fail_from && allocations - fail_from < fail_n;
}


static void *
openssl_malloc(size_t size, const char *file, int line)
{
    return fails() ? NULL : malloc(size);
}


static void *
openssl_realloc(void *p, size_t size, const char *file, int line)
{
    return fails() ? NULL : realloc(p, size);
}


static void
openssl_free(void *p, const char *file, int line)
{
    free(p);
}


/* The exit status: 0; 1 if errors are left; 2 if there is no N-th allocation */

static int
fail_at(ngx_uint_t from, ngx_uint_t n)
{
    int    status;
    pid_t  pid;

    pid = fork();

    if (pid == 0) {
        allocations = 0;
        fail_from = from;
        fail_n = n;

        run();

        _exit(ERR_peek_error() ? 1 : allocations < from ? 2 : 0);
    }

    return waitpid(pid, &status, 0) == pid && WIFEXITED(status)
               ? WEXITSTATUS(status) : -1;
}


/*
 * scarce N COMMAND ...: runs the command in new processes, in each of which
 * other N allocations of OpenSSL in a row fail; prints how many commands left
 * errors in the queue of OpenSSL, and how many crashed
 */

static void
command_scarce(void)
{
    int         status;
    ngx_uint_t  i, n, from, left, crashed;

    n = strtoull(texts[1], NULL, 10);

    /* as in nginx, OpenSSL and its provider have been initialised */

    EVP_MD_free(EVP_MD_fetch(NULL, "MD5", NULL));

    free(words[0].data);
    free(words[1].data);

    nwords -= 2;

    for (i = 0; i < nwords; i++) {
        texts[i] = texts[i + 2];
        words[i] = words[i + 2];
    }

    left = 0;
    crashed = 0;
    from = 0;

    do {
        status = fail_at(++from, n);
        left += status == 1;
        crashed += status == -1;

    } while (status != 2 && from < 100000);

    printf("errors %u, crashes %u", (unsigned) left, (unsigned) crashed);
}


/* long N: seals N bytes that are not there */

static void
command_long(void)
{
    ngx_str_t  data;

    data.len = strtoull(texts[1], NULL, 10);
    data.data = NULL;

    print_rc(ngx_mcp_cipher_seal(words[0].data, 1, &words[0], &data));
}


static void
run(void)
{
    char    *command = texts[0];
    ngx_msec_t  now;

    now = nwords > 1 ? strtoull(texts[1], NULL, 10) : 0;

    if (strcmp(command, "derive") == 0) {
        command_derive();

    } else if (strcmp(command, "seal") == 0) {
        command_cipher(1);

    } else if (strcmp(command, "open") == 0) {
        command_cipher(0);

    } else if (strcmp(command, "worker") == 0) {
        command_worker();

    } else if (strcmp(command, "send") == 0) {
        command_send();

    } else if (strcmp(command, "receive") == 0) {
        command_receive();

    } else if (strcmp(command, "number") == 0) {
        command_number();

    } else if (strcmp(command, "probe") == 0) {
        command_probe();

    } else if (strcmp(command, "expire-all") == 0) {
        ngx_mcp_packet_expire(now);

    } else if (strcmp(command, "last-time") == 0) {
        printf("%llu", (unsigned long long) (ngx_msec_t) -1);

    } else if (strcmp(command, "window") == 0) {
        ngx_mcp_replay_window_init(&window);

    } else if (strcmp(command, "enter") == 0) {
        command_enter();

    } else if (strcmp(command, "expire") == 0) {
        ngx_mcp_replay_window_expire(&window, now);

    } else if (strcmp(command, "make") == 0) {
        command_make();

    } else if (strcmp(command, "parse") == 0) {
        command_parse();

    } else if (strcmp(command, "verify") == 0) {
        command_verify();

    } else if (strcmp(command, "siphash") == 0) {
        command_siphash();

    } else if (strcmp(command, "hmac") == 0) {
        command_hmac();

    } else if (strcmp(command, "random") == 0) {
        command_random();

    } else if (strcmp(command, "long") == 0) {
        command_long();

    } else if (strcmp(command, "put") == 0 || strcmp(command, "get") == 0
               || strcmp(command, "forget") == 0)
    {
        command_memo();

    } else if (strcmp(command, "memory") == 0) {
        printf("%zu", mallinfo2().uordblks);

    } else if (strcmp(command, "scarce") == 0) {
        command_scarce();

    } else if (strcmp(command, "errors") == 0) {
        printf("%lu", ERR_peek_error());

    } else {
        printf("no such command");
    }
}


/* runs when nginx is loaded, before its own main() */

__attribute__((constructor)) static void
commands(void)
{
    char        *p;
    ngx_uint_t   i;
    static char  line[1024 * 1024];

    (void) CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc,
                                    openssl_free);

    while (fgets(line, sizeof(line), stdin)) {
        nwords = 0;

        for (p = strtok(line, " \n");
             p && nwords < MAX_WORDS;
             p = strtok(NULL, " \n"))
        {
            texts[nwords] = p;
            decode(&words[nwords++], p);
        }

        if (nwords) {
            run();
        }

        printf("\n");
        fflush(stdout);

        for (i = 0; i < nwords; i++) {
            free(words[i].data);
        }
    }

    exit(0);
}
