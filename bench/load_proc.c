
/*
 * The list of processes is static.  A process that has ended keeps what was
 * last read of it.
 */

#include "load_proc.h"

#include <dirent.h>
#include <sys/resource.h>


#define LOAD_PROC_MAX  64


static void load_proc_add_one(pid_t pid);
static void load_proc_add_children(pid_t parent);
static int load_proc_stat(pid_t pid, pid_t *parent, char *name,
    load_proc_usage_t *usage);
static uint64_t load_proc_pss(pid_t pid);


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

        load_proc_add_one(pid);

        if (children) {
            load_proc_add_children(pid);
        }

        list = (*end == ',') ? end + 1 : end;
    }
}


static void
load_proc_add_one(pid_t pid)
{
    pid_t         parent;
    load_proc_t  *proc;

    if (load_nprocs == LOAD_PROC_MAX) {
        load_fatal("more than %d processes", LOAD_PROC_MAX);
    }

    proc = &load_procs[load_nprocs++];
    proc->pid = pid;

    if (load_proc_stat(pid, &parent, proc->name, &proc->usage[0]) != LOAD_OK) {
        load_fatal("no process %d", (int) pid);
    }
}


static void
load_proc_add_children(pid_t parent)
{
    DIR                *dir;
    char                name[16];
    pid_t               pid, of;
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

        if (pid > 0
            && load_proc_stat(pid, &of, name, &usage) == LOAD_OK
            && of == parent)
        {
            load_proc_add_one(pid);
        }
    }

    (void) closedir(dir);
}


void
load_proc_note(unsigned moment)
{
    char                name[16];
    pid_t               parent;
    unsigned            i;
    load_proc_t        *proc;
    load_proc_usage_t  *usage;

    for (i = 0; i < load_nprocs; i++) {
        proc = &load_procs[i];
        usage = &proc->usage[moment];

        if (load_proc_stat(proc->pid, &parent, name, usage) == LOAD_OK) {
            usage->pss = load_proc_pss(proc->pid);

        } else {
            *usage = proc->usage[moment ? moment - 1 : 0];
            usage->gone = 1;
        }
    }
}


/* the name is in brackets and may hold anything: what follows is counted */

static int
load_proc_stat(pid_t pid, pid_t *parent, char *name, load_proc_usage_t *usage)
{
    int             ppid;
    FILE           *f;
    char            path[64], line[1024], *p, *end;
    long            rss;
    size_t          n;
    double          hz;
    unsigned long   user, system;

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

    if (p == NULL || end == NULL) {
        return LOAD_ERROR;
    }

    if (sscanf(end + 2, "%*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu "
               "%*d %*d %*d %*d %*d %*d %*u %*u %ld",
               &ppid, &user, &system, &rss)
        != 4)
    {
        return LOAD_ERROR;
    }

    (void) snprintf(name, 16, "%.*s", (int) (end - p - 1), p + 1);

    *parent = ppid;
    hz = sysconf(_SC_CLK_TCK);
    usage->user = (double) user / hz;
    usage->system = (double) system / hz;
    usage->rss = (uint64_t) rss * (uint64_t) sysconf(_SC_PAGESIZE);

    return LOAD_OK;
}


static uint64_t
load_proc_pss(pid_t pid)
{
    FILE           *f;
    char            path[64], line[256];
    unsigned long   kb;

    (void) snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int) pid);

    f = fopen(path, "re");
    if (f == NULL) {
        return 0;
    }

    kb = 0;

    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, "Pss: %lu", &kb) == 1) {
            break;
        }
    }

    (void) fclose(f);

    return (uint64_t) kb * 1024;
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
