/* SPDX-License-Identifier: MIT
 * lockup_landlock.c: Landlock by its system calls; the C library has no functions for it. */
#include "svc/lockup_impl.h"

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444 /* the same on every processor */
#define SYS_landlock_restrict_self  446
#endif

/* From <linux/landlock.h>, written out because the header may be older than the kernel. */
#define ASK_VERSION 1U
#define NO_AUDIT    1U /* from version 7: what is refused to this program is no news for the log */
#define FILES_1     ((UINT64_C(1) << 13) - 1) /* execute .. make symbolic links */
#define FILE_REFER  (UINT64_C(1) << 13)       /* from version 2 */
#define FILE_TRUNC  (UINT64_C(1) << 14)       /* 3 */
#define TCP_BOTH    (UINT64_C(3))             /* 4: bind and connect */
#define DEV_IOCTL   (UINT64_C(1) << 15)       /* 5 */
#define SCOPE_BOTH  (UINT64_C(3))             /* 6: abstract sockets and signals stay inside */

struct ruleset {
    uint64_t files, tcp, scoped;
};

int sh_landlock_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, ASK_VERSION);
    if (version == 0)
        errno = ENOSYS;
    return version > 0 ? (int)version : 0;
}

/* No rule is ever added, so whatever is handled is refused. */
bool sh_landlock_enter(int version)
{
    const struct ruleset r = {
        .files = FILES_1 | (version >= 2 ? FILE_REFER : 0) | (version >= 3 ? FILE_TRUNC : 0) |
                 (version >= 5 ? DEV_IOCTL : 0),
        .tcp = version >= 4 ? TCP_BOTH : 0,
        .scoped = version >= 6 ? SCOPE_BOTH : 0,
    };
    const size_t size = version >= 6 ? sizeof(r) : version >= 4 ? 16 : 8;
    int fd = (int)syscall(SYS_landlock_create_ruleset, &r, size, 0);
    if (fd < 0)
        return false;
    bool ok = syscall(SYS_landlock_restrict_self, fd, version >= 7 ? NO_AUDIT : 0) == 0;
    int why = errno;
    close(fd);
    errno = why;
    return ok;
}

const char *sh_landlock_lacks(int version)
{
    static const char *const lacks[] = {
        "files, TCP, device controls, signals and abstract sockets",
        "file truncation, TCP, device controls, signals and abstract sockets",
        "file truncation, TCP, device controls, signals and abstract sockets",
        "TCP, device controls, signals and abstract sockets",
        "device controls, signals and abstract sockets",
        "signals and abstract sockets",
    };
    return version >= SH_LANDLOCK_KNOWN ? NULL : lacks[version < 0 ? 0 : version];
}
