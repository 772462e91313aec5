/* SPDX-License-Identifier: MIT
 * metrics_process.c: the engine's process by the names that every exporter uses
 * (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics). */
#include "app/metrics.h"
#include "app/metrics_text.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static void gauge(struct sh_buf *out, const char *name, const char *help, int64_t value)
{
    sh_metrics_head(out, name, "gauge", help);
    sh_metrics_int(out, name, NULL, value);
}

/* proc(5): statm begins with the size and what is resident, in pages. */
static void put_memory(struct sh_buf *out)
{
    char text[256] = "", *end;
    const int64_t page = sysconf(_SC_PAGESIZE);
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return;
    (void)!fgets(text, sizeof(text), f);
    fclose(f);
    const int64_t size = strtoll(text, &end, 10), resident = strtoll(end, &end, 10);
    gauge(out, "process_resident_memory_bytes", "Memory of the engine's process in RAM.",
          resident * page);
    gauge(out, "process_virtual_memory_bytes", "Address space of the engine's process.",
          size * page);
}

static void put_files(struct sh_buf *out)
{
    int64_t n = 0;
    struct rlimit limit;
    DIR *dir = opendir("/proc/self/fd");
    if (dir) {
        for (const struct dirent *e; (e = readdir(dir)) != NULL;)
            n += e->d_name[0] != '.';
        closedir(dir);
        gauge(out, "process_open_fds", "Open file descriptors.", n - 1); /* one was this folder's */
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        gauge(out, "process_max_fds", "The most of them.", (int64_t)limit.rlim_cur);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

void sh_metrics_write_process(int64_t started_ms, struct sh_buf *out)
{
    struct rusage used;
    put_memory(out);
    put_files(out);
    if (getrusage(RUSAGE_SELF, &used) == 0) {
        sh_metrics_head(out, "process_cpu_seconds_total", "counter",
                        "Processor time of the engine's process; rule workers have their own.");
        sh_metrics_double(out, "process_cpu_seconds_total", NULL,
                          seconds(used.ru_utime) + seconds(used.ru_stime));
    }
    sh_metrics_head(out, "process_start_time_seconds", "gauge", "When it began, Unix time.");
    sh_metrics_double(out, "process_start_time_seconds", NULL, (double)started_ms / 1000);
}
