
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * CPU time and memory of processes, from /proc.
 *
 * The list of processes is static.  A process that has ended keeps its last
 * known usage; one that starts later has none at the moments before.
 */

#include "load_proc.h"

#include <dirent.h>
#include <sys/resource.h>


#define LOAD_PROC_MAX  4096


static load_proc_t *load_proc_add_one(pid_t pid, int children);
static void load_proc_add_children(void);
static load_proc_t *load_proc_find(pid_t pid);
static int load_proc_stat(pid_t pid, pid_t *parent, char *name,
    load_proc_usage_t *usage);
static uint64_t load_proc_field(const char *p, unsigned n);
static uint64_t load_proc_pss(pid_t pid);
static double load_proc_cpu(pid_t pid);


static load_proc_t  load_procs[LOAD_PROC_MAX];
static unsigned     load_nprocs;


void
load_proc_add(const char *list, int children)
{
    char   *end;
    pid_t   pid;

    while (list && *list) {
        pid = (pid_t) strtol(list, &end, 10);

        if (end == list || pid <= 0) {
            load_fatal("invalid process id in \"%s\"", list);
        }

        if (load_proc_add_one(pid, children) == NULL) {
            load_fatal("no process %d", (int) pid);
        }

        list = (*end == ',') ? end + 1 : end;
    }
}


/* returns NULL if there is no such process */

static load_proc_t *
load_proc_add_one(pid_t pid, int children)
{
    pid_t              parent;
    load_proc_t       *proc;
    load_proc_usage_t  usage;

    if (load_nprocs == LOAD_PROC_MAX) {
        load_fatal("more than %d processes", LOAD_PROC_MAX);
    }

    proc = &load_procs[load_nprocs];

    if (load_proc_stat(pid, &parent, proc->name, &usage) != LOAD_OK) {
        return NULL;
    }

    proc->pid = pid;
    proc->children = (children != 0);

    load_nprocs++;

    return proc;
}


/* a process is found before its children, unless process ids have wrapped */

static void
load_proc_add_children(void)
{
    DIR                *dir;
    char                name[16];
    pid_t               pid, of;
    load_proc_t        *parent;
    struct dirent      *entry;
    load_proc_usage_t   usage;

    dir = opendir("/proc");
    if (dir == NULL) {
        return;
    }

    for ( ;; ) {
        entry = readdir(dir);
        if (entry == NULL) {
            break;
        }

        pid = (pid_t) strtol(entry->d_name, NULL, 10);

        if (pid <= 0 || load_proc_find(pid)
            || load_proc_stat(pid, &of, name, &usage) != LOAD_OK)
        {
            continue;
        }

        parent = load_proc_find(of);

        if (parent && parent->children) {
            (void) load_proc_add_one(pid, 1);
        }
    }

    (void) closedir(dir);
}


static load_proc_t *
load_proc_find(pid_t pid)
{
    unsigned  i;

    for (i = 0; i < load_nprocs; i++) {
        if (load_procs[i].pid == pid) {
            return &load_procs[i];
        }
    }

    return NULL;
}


void
load_proc_note(unsigned moment)
{
    char                name[16];
    pid_t               parent;
    unsigned            i;
    load_proc_t        *proc;
    load_proc_usage_t  *usage;

    load_proc_add_children();

    for (i = 0; i < load_nprocs; i++) {
        proc = &load_procs[i];
        usage = &proc->usage[moment];

        if (load_proc_stat(proc->pid, &parent, name, usage) == LOAD_OK) {
            usage->pss = load_proc_pss(proc->pid);
            usage->cpu = load_proc_cpu(proc->pid);

            /* a kernel without schedstat */

            if (usage->cpu == 0) {
                usage->cpu = usage->user + usage->system;
            }

        } else {
            *usage = proc->usage[moment > 0 ? moment - 1 : 0];
            usage->gone = 1;
        }
    }
}


/* the name is in parentheses and may contain any: look for the last one */

static int
load_proc_stat(pid_t pid, pid_t *parent, char *name, load_proc_usage_t *usage)
{
    FILE      *f;
    char       path[64], line[1024], *p, *end;
    long       hz;
    size_t     n;
    uint64_t   user, system;

    (void) snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);

    f = fopen(path, "re");
    if (f == NULL) {
        return LOAD_ERROR;
    }

    n = fread(line, 1, sizeof(line) - 1, f);
    line[n] = '\0';

    (void) fclose(f);

    p = strchr(line, '(');
    end = strrchr(line, ')');

    if (p == NULL || end == NULL || end[1] == '\0') {
        return LOAD_ERROR;
    }

    (void) snprintf(name, 16, "%.*s", (int) (end - p - 1), p + 1);

    end += 2;
    hz = sysconf(_SC_CLK_TCK);
    user = load_proc_field(end, 14);
    system = load_proc_field(end, 15);

    *parent = (pid_t) load_proc_field(end, 4);
    usage->user = (double) user / (double) hz;
    usage->system = (double) system / (double) hz;
    usage->rss = load_proc_field(end, 24)
                 * (uint64_t) sysconf(_SC_PAGESIZE);

    return LOAD_OK;
}


/* fields are numbered as in proc(5); "p" is the third, after the name */

static uint64_t
load_proc_field(const char *p, unsigned n)
{
    for ( /* void */ ; n > 3; n--) {
        p = strchr(p, ' ');

        if (p == NULL) {
            return 0;
        }

        p++;
    }

    return strtoull(p, NULL, 10);
}


static uint64_t
load_proc_pss(pid_t pid)
{
    FILE      *f;
    char       path[64], line[256];
    uint64_t   kb;

    (void) snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int) pid);

    f = fopen(path, "re");
    if (f == NULL) {
        return 0;
    }

    kb = 0;

    while (fgets(line, sizeof(line), f)) {
        if (strncmp(line, "Pss:", 4) == 0) {
            kb = strtoull(line + 4, NULL, 10);
            break;
        }
    }

    (void) fclose(f);

    return kb * 1024;
}


/* adds up the threads: CPU nanoseconds are the first field of schedstat */

static double
load_proc_cpu(pid_t pid)
{
    DIR            *dir;
    FILE           *f;
    char            path[320], line[64];
    uint64_t        ns;
    struct dirent  *entry;

    (void) snprintf(path, sizeof(path), "/proc/%d/task", (int) pid);

    dir = opendir(path);
    if (dir == NULL) {
        return 0;
    }

    ns = 0;

    for (entry = readdir(dir); entry; entry = readdir(dir)) {
        (void) snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat",
                        (int) pid, entry->d_name);

        f = (entry->d_name[0] == '.') ? NULL : fopen(path, "re");
        if (f == NULL) {
            continue;
        }

        if (fgets(line, sizeof(line), f)) {
            ns += strtoull(line, NULL, 10);
        }

        (void) fclose(f);
    }

    (void) closedir(dir);

    return (double) ns / 1e9;
}


const load_proc_t *
load_proc_list(unsigned *n)
{
    *n = load_nprocs;

    return load_procs;
}


double
load_proc_own(void)
{
    struct rusage  ru;

    (void) getrusage(RUSAGE_SELF, &ru);

    return (double) (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec)
           + (double) (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}
