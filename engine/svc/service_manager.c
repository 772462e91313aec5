/* SPDX-License-Identifier: MIT
 * service_manager.c: the variables of a service manager, and datagrams to it. */
#include "svc/service_manager.h"

#include "base/buf.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FIRST_SOCKET   3 /* SD_LISTEN_FDS_START */
#define EXTEND_EVERY_S 5
#define EXTEND_TEXT    "EXTEND_TIMEOUT_USEC=20000000"

/* --- Variables -------------------------------------------------------------------------------- */

/* A whole number that is not negative, or -1. */
static int64_t number_of(const char *text)
{
    char *end;
    if (!text || *text < '0' || *text > '9')
        return -1;
    errno = 0;
    const long long n = strtoll(text, &end, 10);
    return *end || errno ? -1 : n;
}

static bool is_for_us(const char *pid)
{
    return number_of(pid) == (int64_t)getpid();
}

/* The n-th of "a:b:c" as text of its own; "" if there is none. */
static char *name_at(const char *names, size_t n)
{
    for (; names && n && (names = strchr(names, ':')) != NULL; n--)
        names++;
    return names ? sh_slice_dup(sh_slice(names, strcspn(names, ":"))) : sh_strdup("");
}

/* --- Sockets ---------------------------------------------------------------------------------- */

static bool option_is(int fd, int option, int wanted)
{
    int value = 0;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 && value == wanted;
}

static const char *why_not(int fd)
{
    char host[SH_SERVICE_HOST];
    int port;
    if (fcntl(fd, F_GETFD) < 0)
        return "is not open";
    if (!option_is(fd, SO_TYPE, SOCK_STREAM) || !sh_service_address(fd, host, &port))
        return "is not a TCP socket: expected ListenStream=ADDRESS:PORT";
    if (!option_is(fd, SO_ACCEPTCONN, 1))
        return "is a connection, not a listening socket: expected Accept=no";
    return NULL;
}

static bool take_one(struct sh_service *m, int fd, const char *names, struct sh_error *err)
{
    const char *wrong = why_not(fd);
    if (!wrong && (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
                   fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0))
        wrong = strerror(errno);
    if (!wrong) {
        m->sockets[m->n_sockets++] = fd;
        return true;
    }
    char *name = name_at(names, (size_t)(fd - FIRST_SOCKET));
    sh_error_set(err, SH_EINVAL, "descriptor %d%s%.60s of the service manager (LISTEN_FDS) %s", fd,
                 *name ? ", " : "", name, wrong);
    free(name);
    return false;
}

static bool take_sockets(struct sh_service *m, struct sh_error *err)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    if (!pid || !count || !is_for_us(pid))
        return true;
    const int64_t n = number_of(count);
    if (n < 0 || n > SH_SERVICE_SOCKETS)
        return sh_error_set(err, SH_EINVAL,
                            "LISTEN_FDS is \"%.20s\": expected a number of sockets, at most %d",
                            count, SH_SERVICE_SOCKETS);
    for (int i = 0; i < (int)n; i++)
        if (!take_one(m, FIRST_SOCKET + i, getenv("LISTEN_FDNAMES"), err))
            return false;
    return true;
}

bool sh_service_address(int socket, char *host, int *port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a = {0};
    socklen_t len = sizeof(a);
    if (getsockname(socket, &a.any, &len) != 0)
        return false;
    const bool v6 = a.any.sa_family == AF_INET6;
    if (!v6 && a.any.sa_family != AF_INET)
        return false;
    *port = ntohs(v6 ? a.v6.sin6_port : a.v4.sin_port);
    return inet_ntop(a.any.sa_family, v6 ? (const void *)&a.v6.sin6_addr : &a.v4.sin_addr, host,
                     SH_SERVICE_HOST) != NULL;
}

/* --- Signs of life ---------------------------------------------------------------------------- */

/* "/path" or "@name" (abstract: a NUL in front). Anything else, vsock among it, is not for us. */
static void take_notify(struct sh_service *m)
{
    const char *path = getenv("NOTIFY_SOCKET");
    const size_t n = path ? strlen(path) : 0;
    if (n < 2 || n >= sizeof(m->notify.sun_path) || (*path != '/' && *path != '@'))
        return;
    m->notify.sun_family = AF_UNIX;
    memcpy(m->notify.sun_path, path, n);
    if (*path == '@')
        m->notify.sun_path[0] = '\0';
    m->notify_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (*path != '@'));
}

static void take_watchdog(struct sh_service *m)
{
    const char *pid = getenv("WATCHDOG_PID");
    const int64_t us = number_of(getenv("WATCHDOG_USEC"));
    if (us > 0 && (!pid || is_for_us(pid)))
        m->watchdog_ms = us < 1000 ? 1 : us / 1000;
}

void sh_service_notify(const struct sh_service *m, const char *text)
{
    if (!m->notify_len)
        return;
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)!sendto(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
                  (const struct sockaddr *)&m->notify, m->notify_len);
    close(fd);
}

void sh_service_notify_failed(const struct sh_service *m, const char *why)
{
    char text[1024];
    snprintf(text, sizeof(text), "STATUS=cannot start: %.*s", (int)strcspn(why, "\n"), why);
    sh_service_notify(m, text);
}

void sh_service_notify_reloading(const struct sh_service *m)
{
    char text[80];
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRId64, sh_mono_us());
    sh_service_notify(m, text);
}

/* --- What takes long -------------------------------------------------------------------------- */

struct patience {
    const struct sh_service *m;
    pthread_t thread;
    pthread_mutex_t mu;
    pthread_cond_t over;
    bool ended;
};

static void *keep_asking(void *arg)
{
    struct patience *p = arg;
    pthread_mutex_lock(&p->mu);
    while (!p->ended) {
        struct timespec until;
        sh_service_notify(p->m, EXTEND_TEXT);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += EXTEND_EVERY_S;
        while (!p->ended && pthread_cond_timedwait(&p->over, &p->mu, &until) == 0)
            ;
    }
    pthread_mutex_unlock(&p->mu);
    return NULL;
}

void sh_service_begin_long(struct sh_service *m)
{
    sigset_t all, before;
    if (!m->notify_len || m->patience)
        return;
    struct patience *p = sh_alloc(1, sizeof(*p));
    p->m = m;
    pthread_mutex_init(&p->mu, NULL);
    pthread_cond_init(&p->over, NULL);
    sigfillset(&all); /* signals are the caller's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc = pthread_create(&p->thread, NULL, keep_asking, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        m->patience = p;
    else
        free(p);
}

void sh_service_end_long(struct sh_service *m)
{
    struct patience *p = m->patience;
    if (!p)
        return;
    pthread_mutex_lock(&p->mu);
    p->ended = true;
    pthread_cond_signal(&p->over);
    pthread_mutex_unlock(&p->mu);
    pthread_join(p->thread, NULL);
    pthread_mutex_destroy(&p->mu);
    pthread_cond_destroy(&p->over);
    free(p);
    m->patience = NULL;
}

/* --- Life ------------------------------------------------------------------------------------- */

bool sh_service_init(struct sh_service *m, struct sh_error *err)
{
    static const char *const names[] = {"LISTEN_PID",    "LISTEN_FDS",   "LISTEN_FDNAMES",
                                        "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"};
    *m = (struct sh_service){0};
    take_notify(m);
    take_watchdog(m);
    const bool ok = take_sockets(m, err);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        unsetenv(names[i]);
    return ok;
}

void sh_service_clear(struct sh_service *m)
{
    sh_service_end_long(m);
    while (m->n_sockets)
        close(m->sockets[--m->n_sockets]);
}
