
/*
 * The targets of fuzz/ without libFuzzer, by commands, for t/fuzz/corpora.t
 * (MCPTest::Unit): each input of a directory, and variations of it, which are
 * the same in each run.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <dirent.h>
#include <sys/mman.h>
#include <sys/resource.h>


#define INPUT_SIZE  16384
#define SECONDS     20       /* of CPU; more is a loop without an end */


typedef int (*target_pt)(const uint8_t *data, size_t size);

typedef struct {
    const char  *name;
    target_pt    run;
} target_t;


/* what a process is doing, for the one that waits for it */

typedef struct {
    char      file[256];
    unsigned  variation;
    unsigned  inputs;
} state_t;


extern target_t  targets[];


static state_t   *state;
static uint32_t   seed;
static uint8_t    last_input[INPUT_SIZE];
static size_t     last_size;


static uint32_t
draw(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;

    return seed % n;
}


/* another byte, one less, one more, a part twice, or one of the last input */

static size_t
vary(uint8_t *p, size_t size)
{
    size_t                at, from, n;
    static const uint8_t  bytes[] = "\0\x7f\x80\xff\"\\{}[]:,; \r\n\t09azAZ-=%";

    at = draw(size + 1);

    switch (draw(6)) {

    case 0:
        if (at < size) {
            p[at] ^= (uint8_t) (1 << draw(8));
        }

        return size;

    case 1:
        if (at < size) {
            p[at] = bytes[draw(sizeof(bytes) - 1)];
        }

        return size;

    case 2:
        n = draw(size - at + 1);
        n = n > 4 ? draw(4) : n;
        memmove(p + at, p + at + n, size - at - n);
        return size - n;

    case 3:
        if (size < INPUT_SIZE) {
            memmove(p + at + 1, p + at, size - at);
            p[at] = bytes[draw(sizeof(bytes) - 1)];
            size++;
        }

        return size;

    case 4:
        n = draw(size - at + 1);
        n = size + n > INPUT_SIZE ? 0 : n;
        memmove(p + at + n, p + at, size - at);
        return size + n;

    default:
        from = draw(last_size + 1);
        n = draw(last_size - from + 1);
        n = at + n > INPUT_SIZE ? 0 : n;
        memcpy(p + at, last_input + from, n);
        return at + n > size ? at + n : size;
    }
}


static void
run_file(target_pt run, const char *dir, const char *name, unsigned variations)
{
    int             fd;
    char            path[4096];
    size_t          size;
    ssize_t         n;
    unsigned        i, k;
    uint8_t         copy[INPUT_SIZE];
    static uint8_t  input[INPUT_SIZE];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    snprintf(state->file, sizeof(state->file), "%s", name);

    fd = open(path, O_RDONLY);
    n = read(fd, input, INPUT_SIZE);
    close(fd);

    if (n < 0) {
        abort();
    }

    for (i = 0; i <= variations; i++) {
        size = n;
        memcpy(copy, input, size);

        for (k = i ? draw(3) + 1 : 0; k; k--) {
            size = vary(copy, size);
        }

        state->variation = i;
        state->inputs++;

        run(copy, size);
    }

    memcpy(last_input, input, n);
    last_size = n;
}


static void
run_directory(target_pt run, const char *dir, unsigned variations)
{
    int              i, n;
    struct dirent  **names;

    n = scandir(dir, &names, NULL, alphasort);
    seed = 2463534242;

    for (i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            run_file(run, dir, names[i]->d_name, variations);
        }
    }
}


/* the last line that a process writes to stderr says what does not hold */

static void
command_run(const char *name, const char *dir, unsigned variations)
{
    int        fds[2], status;
    char      *p, text[4096];
    pid_t      pid;
    size_t     len;
    ssize_t    n;
    target_t  *t;

    const struct rlimit  seconds = { SECONDS, SECONDS };

    for (t = targets; t->name && strcmp(t->name, name) != 0; t++) {
        /* void */
    }

    if (t->name == NULL || pipe(fds) == -1) {
        printf("no such target");
        return;
    }

    memset(state, 0, sizeof(state_t));

    pid = fork();

    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        setrlimit(RLIMIT_CPU, &seconds);
        run_directory(t->run, dir, variations);
        _exit(0);
    }

    close(fds[1]);

    for (len = 0; len < sizeof(text) - 1; len += n) {
        n = read(fds[0], text + len, sizeof(text) - 1 - len);
        if (n <= 0) {
            break;
        }
    }

    text[len] = '\0';
    close(fds[0]);
    waitpid(pid, &status, 0);

    if (status == 0) {
        printf("ok %u", state->inputs);
        return;
    }

    while (len && text[len - 1] == '\n') {
        text[--len] = '\0';
    }

    p = strrchr(text, '\n');

    printf("%s, variation %u: signal %d, %s", state->file, state->variation,
           WTERMSIG(status), p ? p + 1 : text);
}


__attribute__((constructor)) static void
commands(void)
{
    char  line[4096], name[64], dir[2048];
    int   variations;

    state = mmap(NULL, sizeof(state_t), PROT_READ|PROT_WRITE,
                 MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    while (fgets(line, sizeof(line), stdin)) {

        if (sscanf(line, "%63s %2047s %d", name, dir, &variations) == 3) {
            command_run(name, dir, variations);
        }

        printf("\n");
        fflush(stdout);
    }

    exit(0);
}
