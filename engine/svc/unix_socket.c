/* SPDX-License-Identifier: MIT
 * unix_socket.c: listening on one, asking on one. */
#include "svc/unix_socket.h"

#include <curl/curl.h>
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

static size_t on_body(char *p, size_t size, size_t n, void *answer)
{
    sh_buf_add(answer, p, size * n);
    return sh_buf_ok(answer) ? size * n : 0;
}

static void set_up(CURL *curl, const char *socket, const char *method, const char *url,
                   const char *body, struct curl_slist *headers, int64_t timeout_ms)
{
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    if (body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
}

static bool perform(CURL *curl, int *status, struct sh_error *err)
{
    long code = 0;
    CURLcode rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    *status = (int)code;
    if (rc == CURLE_OK)
        return true;
    if (rc == CURLE_COULDNT_CONNECT)
        return sh_error_set(err, SH_ENOTFOUND, "nobody listens there");
    return sh_error_set(err, rc == CURLE_OPERATION_TIMEDOUT ? SH_ELIMIT : SH_ESYS, "%s",
                        curl_easy_strerror(rc));
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
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    sh_require(curl && headers);
    set_up(curl, a.sun_path, method, url, body, headers, timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    bool ok = perform(curl, status, err);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    free(url);
    if (dir_fd >= 0)
        close(dir_fd);
    return ok;
}
