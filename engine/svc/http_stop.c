/* SPDX-License-Identifier: MIT
 * http_stop.c: how the connections of a server that is stopping come to their end.
 *
 * A socket that is closed while the peer's next bytes are on their way answers them with a reset,
 * and a reset takes away what the peer has not read yet: the last answer. So the end is said
 * (shutdown), what still comes is thrown away, and the socket closed when the peer has closed or
 * has had its time. evhttp closes by itself: the socket lives on as a duplicate. */
#include "svc/http_conn.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define GRACE_MS       500  /* for an idle peer: a request may be on its way */
#define FIRST_GRACE_MS 1000 /* for one that has connected and asked nothing yet */
#define REQUEST_MS     1800 /* for a request that has begun */
#define LINGER_MS      300  /* for a peer to see that it is over: a few times there and back */
#define DRAIN_BYTES    4096
#define DRAIN_TIMES    16 /* a turn */

struct sh_http_linger {
    struct sh_http_server *server;
    struct event *ev;
    int fd;
    int64_t until_ms;
    LIST_ENTRY(sh_http_linger) link;
};

void sh_http_stop_tick(struct sh_http_conn *c)
{
    const struct sh_http_server *s = c->server;
    const int64_t idle_ms = sh_http_conn_idle_ms(c), stopping_ms = s->now_ms - s->stop_ms;
    const int64_t grace_ms = c->answered ? GRACE_MS : FIRST_GRACE_MS;
    if (!c->evcon || c->state != CONN_READING)
        return;
    if (idle_ms < 0 && stopping_ms >= REQUEST_MS)
        sh_http_conn_refuse(c, 503, "the engine is stopping");
    else if (idle_ms >= 0 && stopping_ms >= grace_ms)
        sh_http_conn_finish(c);
}

static void linger_free(struct sh_http_linger *l)
{
    LIST_REMOVE(l, link);
    l->server->n_lingering--;
    event_free(l->ev);
    close(l->fd);
    free(l);
}

/* Until the peer has closed as well, or its time is over; a flood ends with the time too. */
static void on_linger(evutil_socket_t fd, short what, void *arg)
{
    char away[DRAIN_BYTES];
    struct sh_http_linger *l = arg;
    ssize_t n = 1;
    if (what & EV_READ)
        for (int i = 0; n > 0 && i < DRAIN_TIMES; i++)
            n = recv((int)fd, away, sizeof(away), MSG_DONTWAIT);
    const bool gone = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
    if (what & EV_TIMEOUT || gone || l->server->now_ms >= l->until_ms)
        linger_free(l);
}

void sh_http_stop_closing(struct sh_http_conn *c)
{
    struct sh_http_server *s = c->server;
    const struct timeval patience = {.tv_usec = LINGER_MS * 1000};
    const int fd = c->fd >= 0 ? fcntl(c->fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd < 0)
        return;
    shutdown(fd, SHUT_WR);
    struct sh_http_linger *l = sh_alloc(1, sizeof(*l));
    *l = (struct sh_http_linger){.server = s, .fd = fd, .until_ms = s->now_ms + 2 * LINGER_MS};
    l->ev = event_new(event_get_base(s->loose_ends), fd, EV_READ | EV_PERSIST, on_linger, l);
    sh_require(l->ev && event_add(l->ev, &patience) == 0);
    LIST_INSERT_HEAD(&s->lingering, l, link);
    s->n_lingering++;
}

void sh_http_lingers_free(struct sh_http_server *s)
{
    while (!LIST_EMPTY(&s->lingering))
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
        linger_free(LIST_FIRST(&s->lingering));
}
