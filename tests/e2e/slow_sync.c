/* SPDX-License-Identifier: MIT
 * slow_sync.c: preloaded into the engine by stop_spec.lua and service_spec.lua: fdatasync and fsync
 * take SLOW_SYNC_MS as long as the file named by SLOW_SYNC exists, as a disk in trouble makes them.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void wait_if_told(void)
{
    const char *switch_file = getenv("SLOW_SYNC"), *ms_text = getenv("SLOW_SYNC_MS");
    if (!switch_file || access(switch_file, F_OK) != 0)
        return;
    const long ms = ms_text ? strtol(ms_text, NULL, 10) : 0;
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0)
        continue;
}

static int pass(const char *name, int fd)
{
    int (*real)(int);
    *(void **)&real = dlsym(RTLD_NEXT, name);
    wait_if_told();
    return real(fd);
}

int fdatasync(int fd)
{
    return pass("fdatasync", fd);
}

int fsync(int fd)
{
    return pass("fsync", fd);
}
