
/*
 * What is read lives as long as the program.
 */

#include "load_conf.h"

#include <getopt.h>


#define LOAD_CONF_BODY  (1024 * 1024)


static void load_conf_option(load_conf_t *conf, int opt);
static void load_conf_amount(load_conf_t *conf, int opt);
static void load_conf_usage(void);
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

    conf->uri = "/mcp/sse";
    conf->credential = "token bench:bench";
    conf->header = "X-Worker";
    conf->body = load_conf_method("ping");
    conf->sessions = 16;
    conf->connections = 64;
    conf->outstanding = 1;
    conf->pipe_rate = -1;
    conf->warm_up = LOAD_SEC;
    conf->duration = 10 * LOAD_SEC;
    conf->patience = 5 * LOAD_SEC;

    for ( ;; ) {
        opt = getopt(argc, argv, "S:P:u:H:a:x:m:b:s:c:k:r:B:w:d:t:p:M:h");

        if (opt == -1) {
            break;
        }

        load_conf_option(conf, opt);
    }

    if (optind < argc || conf->nstreams == 0) {
        load_fatal("-S HOST:PORT is needed, and nothing but options; see -h");
    }

    if (conf->nposts == 0) {
        conf->posts = conf->streams;
        conf->nposts = conf->nstreams;
    }

    if (conf->pipe_rate < 0) {
        conf->pipe_rate = conf->rate;
    }
}


static void
load_conf_option(load_conf_t *conf, int opt)
{
    switch (opt) {

    case 'S':
        conf->streams = load_conn_targets(optarg, &conf->nstreams);
        break;

    case 'P':
        conf->posts = load_conn_targets(optarg, &conf->nposts);
        break;

    case 'u':
        conf->uri = optarg;
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
        conf->body = load_conf_method(optarg);
        break;

    case 'b':
        conf->body = load_conf_file(optarg);
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
        conf->patience = load_conf_seconds(opt, 0);
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
        "  -S LIST    where streams are opened, in turn\n"
        "  -P LIST    where messages are posted, in turn (as -S)\n"
        "  -u URI     of the stream (/mcp/sse)\n"
        "  -H HOST    Host (the address)\n"
        "  -a VALUE   Authorization (token bench:bench)\n"
        "  -x NAME    header that says which worker answers (X-Worker);\n"
        "             INSTANCE/PID tells instances apart, too\n"
        "  -m METHOD  of the messages, without params (ping)\n"
        "  -b FILE    a message instead; @ID@ in it becomes the id\n"
        "\n"
        "  -s N       sessions (16)\n"
        "  -c N       connections for messages, kept alive (64)\n"
        "  -r RATE    messages a second, sent at fixed times whatever comes\n"
        "             back (without it: a closed loop)\n"
        "  -k N       closed loop: messages a session has on the way (1)\n"
        "  -B RATE    writes a second to a pipe, as a baseline (as -r; 0: no)\n"
        "\n"
        "  -w SEC     before measuring (1)\n"
        "  -d SEC     of measuring (10)\n"
        "  -t SEC     at the end, to wait for answers (5)\n"
        "\n"
        "  -p LIST    account the CPU and memory of these processes\n"
        "  -M LIST    and of these with their children\n"
        "\n"
        "Prints a table of milliseconds, and the same as one line of JSON.\n"
        "Ends with 1 if an answer was lost, doubled or came where it should\n"
        "not, with 2 if nothing could be measured.\n", stdout);
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
        load_fatal("invalid number \"%s\" after -%c", optarg, opt);
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
