/* SPDX-License-Identifier: MIT
 * write_file.c: new files. */
#include "app/write_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* mkdir -p of the folder that a path is in. */
static bool make_folders(const char *path, struct sh_error *err)
{
    char *dir = sh_strdup(path);
    bool ok = true;
    for (char *p = strchr(dir + 1, '/'); ok && p; p = strchr(p + 1, '/')) {
        *p = '\0';
        if (mkdir(dir, 0777) != 0 && errno != EEXIST)
            ok = sh_error_set(err, SH_ESYS, "%s: the folder cannot be made: %s", dir,
                              strerror(errno));
        *p = '/';
    }
    free(dir);
    return ok;
}

static bool write_all(int fd, struct sh_slice text)
{
    while (text.n > 0) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            text = sh_slice(text.p + n, text.n - (size_t)n);
    }
    return true;
}

bool sh_write_new_file(const char *path, struct sh_slice text, int mode, struct sh_error *err)
{
    if (!make_folders(path, err))
        return false;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
    if (fd < 0)
        return sh_error_set(err, errno == EEXIST ? SH_EBUSY : SH_ESYS, "%s: %s", path,
                            errno == EEXIST ? "is there already" : strerror(errno));
    bool ok = write_all(fd, text);
    int why = errno;
    if (close(fd) != 0 && ok) {
        ok = false;
        why = errno;
    }
    if (ok)
        return true;
    unlink(path);
    return sh_error_set(err, SH_ESYS, "%s: %s", path, strerror(why));
}
