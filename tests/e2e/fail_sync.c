/* SPDX-License-Identifier: MIT
 * fail_sync.c: preloaded into the engine by store_spec.lua: fdatasync and fsync fail with EIO for
 * as long as the file named by FAIL_SYNC exists, as a dying disk makes them. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int failing(void)
{
    const char *switch_file = getenv("FAIL_SYNC");
    return switch_file && access(switch_file, F_OK) == 0;
}

static int pass(const char *name, int fd)
{
    int (*real)(int);
    *(void **)&real = dlsym(RTLD_NEXT, name);
    if (!failing())
        return real(fd);
    errno = EIO;
    return -1;
}

int fdatasync(int fd)
{
    return pass("fdatasync", fd);
}

int fsync(int fd)
{
    return pass("fsync", fd);
}
