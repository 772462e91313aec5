/* SPDX-License-Identifier: MIT
 * unix_socket.c: listening on one, asking on one. */
#include "svc/unix_socket.h"

#include "svc/http_ask.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* The path as an address: itself, or through *dir_fd (to be closed after use, -1: none). */
static bool fit(const char *dir, const char *name, struct sockaddr_un *a, int *dir_fd)
{
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    *dir_fd = -1;
    int n = snprintf(a->sun_path, sizeof(a->sun_path), "%s/%s", dir, name);
    if (n > 0 && (size_t)n < sizeof(a->sun_path))
        return true;
    *dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*dir_fd < 0)
        return false;
    snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/%.60s", *dir_fd, name);
    return true;
}

int sh_unix_listen(const char *dir, const char *name, int backlog, char **path,
                   struct sh_error *err)
{
    struct sockaddr_un a;
    int dir_fd, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *path = sh_strf("%s/%s", dir, name);
    unlink(*path);
    bool ok = fd >= 0 && fit(dir, name, &a, &dir_fd);
    if (ok) {
        ok = bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && chmod(*path, 0600) == 0 &&
             listen(fd, backlog) == 0;
        int cause = errno;
        if (dir_fd >= 0)
            close(dir_fd);
        errno = cause;
    }
    if (ok)
        return fd;
    sh_error_set(err, SH_ESYS, "cannot listen on %s: %s", *path, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(*path);
    *path = NULL;
    return -1;
}

bool sh_unix_ask(const char *dir, const char *name, const char *method, const char *target,
                 const char *body, int64_t timeout_ms, int *status, struct sh_buf *answer,
                 struct sh_error *err)
{
    struct sockaddr_un a;
    int dir_fd;
    if (!fit(dir, name, &a, &dir_fd))
        return sh_error_set(err, SH_ENOTFOUND, "%s: %s", dir, strerror(errno));
    char *url = sh_strf("http://localhost%s", target);
    const struct sh_http_ask ask = {
        .socket = a.sun_path, .method = method, .url = url, .body = body, .timeout_ms = timeout_ms};
    bool ok = sh_http_ask(&ask, status, answer, err);
    free(url);
    if (dir_fd >= 0)
        close(dir_fd);
    return ok;
}
