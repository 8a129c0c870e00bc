
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * Command line options.
 *
 * Memory is never freed.
 */

#include "load_conf.h"

#include <getopt.h>


#define LOAD_CONF_BODY  (1024 * 1024)


static void load_conf_check(load_conf_t *conf);
static void load_conf_option(load_conf_t *conf, int opt);
static void load_conf_amount(load_conf_t *conf, int opt);
static void load_conf_usage(void);
static unsigned load_conf_kind(const char *name);
static unsigned load_conf_count(int opt);
static load_nsec_t load_conf_seconds(int opt, double min);
static double load_conf_number(int opt, double min);
static char *load_conf_method(const char *method);
static char *load_conf_file(const char *name);


void
load_conf_read(load_conf_t *conf, int argc, char **argv)
{
    int  opt;

    memset(conf, 0, sizeof(load_conf_t));

    conf->credential = "token bench:bench";
    conf->header = "X-Worker";
    conf->body = load_conf_method("ping");
    conf->sessions = 16;
    conf->connections = 64;
    conf->outstanding = 1;
    conf->pipe_rate = -1;
    conf->warm_up = LOAD_SEC;
    conf->duration = 10 * LOAD_SEC;
    conf->timeout = 5 * LOAD_SEC;

    for ( ;; ) {
        opt = getopt(argc, argv,
                     "T:S:P:u:U:H:a:x:m:b:iIes:c:k:r:B:w:d:t:p:M:h");

        if (opt == -1) {
            break;
        }

        load_conf_option(conf, opt);
    }

    if (optind < argc || conf->nstreams == 0) {
        load_fatal("%s, see -h", optind < argc ? "unexpected argument"
                                               : "-S is required");
    }

    load_conf_check(conf);
}


/* sets what has not been given, and refuses what does not fit together */

static void
load_conf_check(load_conf_t *conf)
{
    if (conf->nposts == 0) {
        conf->posts = conf->streams;
        conf->nposts = conf->nstreams;
    }

    if (conf->pipe_rate < 0) {
        conf->pipe_rate = conf->rate;
    }

    if (conf->kind == load_conf_sse) {
        conf->uri = conf->uri ? conf->uri : "/mcp/sse";

    } else {
        conf->post_uri = conf->post_uri ? conf->post_uri : "/mcp";
        conf->initialize = (conf->kind == load_conf_mcp);
    }

    if (conf->kind == load_conf_post && conf->uri) {
        load_fatal("-u needs sessions: -T sse or mcp");
    }

    if (conf->fixed && (conf->rate > 0 || conf->outstanding > 1)) {
        load_fatal("-i needs a closed loop, and -k 1");
    }
}


static void
load_conf_option(load_conf_t *conf, int opt)
{
    switch (opt) {

    case 'T':
        conf->kind = load_conf_kind(optarg);
        break;

    case 'S':
        conf->streams = load_conn_targets(optarg, &conf->nstreams);
        break;

    case 'P':
        conf->posts = load_conn_targets(optarg, &conf->nposts);
        break;

    case 'u':
        conf->uri = optarg;
        break;

    case 'U':
        conf->post_uri = optarg;
        break;

    case 'H':
        conf->host = optarg;
        break;

    case 'a':
        conf->credential = optarg;
        break;

    case 'x':
        conf->header = optarg;
        break;

    case 'm':
        free(conf->body);
        conf->body = load_conf_method(optarg);
        break;

    case 'b':
        free(conf->body);
        conf->body = load_conf_file(optarg);
        break;

    case 'i':
        conf->fixed = 1;
        break;

    case 'I':
        conf->initialize = 1;
        break;

    case 'e':
        conf->tls = 1;
        break;

    case 'p':
        conf->pids = optarg;
        break;

    case 'M':
        conf->masters = optarg;
        break;

    case 'h':
        load_conf_usage();
        exit(0);

    default:
        load_conf_amount(conf, opt);
    }
}


static void
load_conf_amount(load_conf_t *conf, int opt)
{
    switch (opt) {

    case 's':
        conf->sessions = load_conf_count(opt);
        break;

    case 'c':
        conf->connections = load_conf_count(opt);
        break;

    case 'k':
        conf->outstanding = load_conf_count(opt);
        break;

    case 'r':
        conf->rate = load_conf_number(opt, 0);
        break;

    case 'B':
        conf->pipe_rate = load_conf_number(opt, 0);
        break;

    case 'w':
        conf->warm_up = load_conf_seconds(opt, 0);
        break;

    case 'd':
        conf->duration = load_conf_seconds(opt, 0.1);
        break;

    case 't':
        conf->timeout = load_conf_seconds(opt, 0);
        break;

    default:
        exit(2);
    }
}


static void
load_conf_usage(void)
{
    (void) fputs(
        "usage: load -S HOST:PORT[,...] [options]\n"
        "\n"
        "  -T KIND    sse: HTTP+SSE; mcp: Streamable HTTP, each session with\n"
        "             an id; post: plain POSTs, no session (sse)\n"
        "  -S LIST    addresses for streams, used in turn\n"
        "  -P LIST    addresses for messages, used in turn (as -S)\n"
        "  -u URI     URI of the stream (sse: /mcp/sse; mcp: no stream)\n"
        "  -U URI     URI of messages (sse: that of the endpoint event, which\n"
        "             is not waited for if this is given; else /mcp);\n"
        "             @N@ in either URI is the number of the session\n"
        "  -H HOST    Host header (the address)\n"
        "  -a VALUE   Authorization header (token bench:bench)\n"
        "  -x NAME    response header that names the worker (X-Worker), as\n"
        "             INSTANCE/PID if there are several instances\n"
        "  -m METHOD  method of the messages, which have no params (ping)\n"
        "  -b FILE    message to use instead; @ID@ is replaced by the id\n"
        "  -i         all ids are 1\n"
        "  -I         sse: send initialize first (mcp: always)\n"
        "  -e         TLS; certificates are not verified\n"
        "\n"
        "  -s N       sessions (16)\n"
        "  -c N       keep-alive connections for messages (64)\n"
        "  -r RATE    messages per second, sent at fixed times whether\n"
        "             answers arrive or not (default: closed loop)\n"
        "  -k N       closed loop: messages in flight per session (1)\n"
        "  -B RATE    writes per second to a pipe, the baseline (as -r;\n"
        "             0: no pipe)\n"
        "\n"
        "  -w SEC     warm-up before the measurement (1)\n"
        "  -d SEC     duration of the measurement (10)\n"
        "  -t SEC     time-out for answers after the end (5)\n"
        "\n"
        "  -p LIST    report CPU time and memory of these processes\n"
        "  -M LIST    the same, including the processes below them\n"
        "\n"
        "Prints a table of times in milliseconds, and all values as one line\n"
        "of JSON.  The exit code is 1 if an answer was lost, doubled or\n"
        "unexpected, or if none arrived, and 2 if nothing could be measured.\n",
        stdout);
}


static unsigned
load_conf_kind(const char *name)
{
    if (strcmp(name, "mcp") == 0) {
        return load_conf_mcp;
    }

    if (strcmp(name, "post") == 0) {
        return load_conf_post;
    }

    if (strcmp(name, "sse") != 0) {
        load_fatal("\"%s\" is neither sse, mcp nor post", name);
    }

    return load_conf_sse;
}


static unsigned
load_conf_count(int opt)
{
    double  value;

    value = load_conf_number(opt, 1);

    return (unsigned) value;
}


static load_nsec_t
load_conf_seconds(int opt, double min)
{
    double  value;

    value = load_conf_number(opt, min);

    return (load_nsec_t) (value * LOAD_SEC);
}


static double
load_conf_number(int opt, double min)
{
    char    *end;
    double   value;

    value = strtod(optarg, &end);

    if (end == optarg || *end || !(value >= min && value <= 1e7)) {
        load_fatal("invalid value \"%s\" of -%c", optarg, opt);
    }

    return value;
}


static char *
load_conf_method(const char *method)
{
    char  *body;

    if (asprintf(&body, "{\"jsonrpc\":\"2.0\",\"id\":@ID@,\"method\":\"%s\"}",
                 method)
        == -1)
    {
        load_fatal("no memory");
    }

    return body;
}


static char *
load_conf_file(const char *name)
{
    FILE    *f;
    char    *body;
    size_t   n;

    f = fopen(name, "re");
    if (f == NULL) {
        load_fatal("\"%s\": %s", name, strerror(errno));
    }

    body = load_alloc(LOAD_CONF_BODY + 1);
    n = fread(body, 1, LOAD_CONF_BODY, f);

    (void) fclose(f);

    if (n == 0 || strstr(body, "@ID@") == NULL) {
        load_fatal("no @ID@ in \"%s\"", name);
    }

    return body;
}
