/* SPDX-License-Identifier: MIT
 * http_server.c: evhttp behind the guard: connections, deadlines, caps, replies.
 *
 * How the two are put together: every connection's bufferevent is made here (evhttp_set_bevcb), and
 * a callback on its input buffer runs the guard over what arrives, before evhttp is told. While
 * a request is incomplete the read low-water mark keeps evhttp asleep; bytes behind a whole request
 * wait in `held` until its answer has left. A request that the guard refuses is answered on the
 * socket itself: evhttp has seen none of it, and all earlier answers have gone. */
#include "svc/http_conn.h"

#include "base/clock.h"
#include "base/log.h"
#include "svc/service_manager.h"
#include "svc/unix_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG         1024
#define TICK_MS         100 /* deadlines are kept to this grain */
#define EMFILE_PAUSE_MS 100
#define IDLE_SPARE_MS   1000 /* idle for longer: may make room when the connections run out */
#define EVICT_PER_TICK  32

/* evconnlistener's error callback gets evhttp's argument, not ours: find the server again. */
static _Thread_local struct sh_http_server *servers;

/* --- Binding ---------------------------------------------------------------------------------- */

static bool parse_address(const char *host, int port, struct sockaddr_storage *ss, socklen_t *len)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ss;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ss;
    memset(ss, 0, sizeof(*ss));
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        *len = sizeof(*v4);
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        *len = sizeof(*v6);
        return true;
    }
    return false;
}

static int bind_socket(const char *host, int port, struct sh_error *err)
{
    struct sockaddr_storage ss;
    socklen_t len;
    const int on = 1;
    if (port < 0 || port > 65535 || !parse_address(host, port, &ss, &len)) {
        sh_error_set(err, SH_EINVAL, "cannot listen on %s:%d: not a numeric address and port", host,
                     port);
        return -1;
    }
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* TCP_NODELAY is handed down to accepted sockets. */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&ss, len) != 0 || listen(fd, BACKLOG) != 0) {
        sh_error_set(err, SH_ESYS, "cannot listen on %s:%d: %s", host, port, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

static int bound_port(int fd)
{
    char host[SH_SERVICE_HOST];
    int port = 0;
    sh_require(sh_service_address(fd, host, &port));
    return port;
}

/* --- Accepting -------------------------------------------------------------------------------- */

static void update_listening(struct sh_http_server *s)
{
    const bool open = s->stopping ? !s->given && !s->left : !s->held_back;
    const bool want = open && !s->emfile && s->n_conns < s->limits.connections;
    if (want == s->listening)
        return;
    s->listening = want;
    for (size_t i = 0; i < s->n_listeners; i++) {
        if (want)
            evconnlistener_enable(s->listeners[i]);
        else
            evconnlistener_disable(s->listeners[i]);
    }
}

static bool listens_by(const struct sh_http_server *s, const struct evconnlistener *listener)
{
    for (size_t i = 0; i < s->n_listeners; i++)
        if (s->listeners[i] == listener)
            return true;
    return false;
}

void sh_http_conns_changed(struct sh_http_server *s)
{
    update_listening(s);
}

static void on_emfile_over(void *arg)
{
    struct sh_http_server *s = arg;
    s->emfile = false;
    update_listening(s);
}

/* Out of descriptors: the waiting client is let in on a spare one and closed, so that it learns of
 * it, and the listener rests: it would stay readable and spin. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    const int cause = errno;
    struct sh_http_server *s = servers;
    (void)arg;
    while (s && !listens_by(s, listener))
        s = s->next;
    if (!s)
        return;
    if ((cause == EMFILE || cause == ENFILE) && s->spare_fd >= 0) {
        close(s->spare_fd);
        int fd = accept4(evconnlistener_get_fd(listener), NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            close(fd);
        s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    if (!s->emfile)
        sh_warn("cannot accept connections, pausing", "cause", strerror(cause));
    s->emfile = true;
    update_listening(s);
    sh_timer_set(s->emfile_timer, EMFILE_PAUSE_MS);
}

static struct bufferevent *on_new_connection(struct event_base *base, void *arg)
{
    struct sh_http_server *s = arg;
    (void)base;
    struct bufferevent *bev = sh_http_conn_new(s);
    update_listening(s);
    return bev;
}

/* --- Deadlines -------------------------------------------------------------------------------- */

static bool someone_waits(const struct sh_http_server *s)
{
    struct pollfd p[SH_HTTP_LISTENERS];
    for (size_t i = 0; i < s->n_listeners; i++)
        p[i] = (struct pollfd){.fd = evconnlistener_get_fd(s->listeners[i]), .events = POLLIN};
    return s->n_listeners && poll(p, s->n_listeners, 0) > 0;
}

/* With no room left for new connections, those idle the longest make some, then those that only
 * listen: who sends comes first. */
static void make_room(struct sh_http_server *s)
{
    struct sh_http_conn *c, *next;
    int left = EVICT_PER_TICK;
    if (s->stopping || s->n_conns < s->limits.connections || !someone_waits(s))
        return;
    for (c = TAILQ_FIRST(&s->conns); c && left; c = next) {
        next = TAILQ_NEXT(c, link);
        if (sh_http_conn_idle_ms(c) >= IDLE_SPARE_MS) {
            sh_http_conn_finish(c);
            left--;
        }
    }
    if (left == EVICT_PER_TICK && !sh_http_streams_shed(s, EVICT_PER_TICK))
        sh_http_crowd_make_room(s);
}

static void on_tick(void *arg)
{
    struct sh_http_server *s = arg;
    struct sh_http_conn *c, *next;
    s->now_ms = sh_mono_us() / 1000;
    for (c = TAILQ_FIRST(&s->conns); c; c = next) {
        next = TAILQ_NEXT(c, link);
        if (c->state == CONN_STREAM || c->state == CONN_ENDING)
            sh_http_stream_tick(c);
        if (c->deadline_ms && s->now_ms >= c->deadline_ms)
            sh_http_conn_expire(c);
        else if (s->stopping)
            sh_http_stop_tick(c);
    }
    make_room(s);
    sh_timer_set(s->tick, TICK_MS);
}

/* --- Life ------------------------------------------------------------------------------------- */

static void on_loose_ends(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    sh_http_conns_adopt(arg);
}

/* No shutdown() anywhere: a socket that was given lives on with whoever holds it too. */
static void add_listener(struct sh_http_server *s, struct event_base *base, int fd)
{
    const unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
    struct evconnlistener *listener = evconnlistener_new(base, NULL, NULL, flags, 0, fd);
    sh_require(listener);
    s->bound[s->n_listeners] = evhttp_bind_listener(s->http, listener);
    sh_require(s->bound[s->n_listeners]);
    evconnlistener_set_error_cb(listener, on_accept_error);
    s->listeners[s->n_listeners++] = listener;
}

static void start_evhttp(struct sh_http_server *s, struct event_base *base, const int *fds,
                         size_t n)
{
    s->http = evhttp_new(base);
    sh_require(s->http && n <= SH_HTTP_LISTENERS);
    for (size_t i = 0; i < n; i++)
        add_listener(s, base, fds[i]);
    evhttp_set_bevcb(s->http, on_new_connection, s);
    evhttp_set_gencb(s->http, sh_http_on_request, s);
    evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST |
                                            EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_PATCH |
                                            EVHTTP_REQ_OPTIONS);
    evhttp_set_default_content_type(s->http, NULL);
    /* The guard's limits come first; evhttp's stand behind them with a little more room. */
    evhttp_set_max_headers_size(s->http, (ev_ssize_t)s->limits.header_bytes + 1024);
    evhttp_set_max_body_size(s->http, (ev_ssize_t)s->limits.body_bytes);
    evhttp_set_timeout(s->http, s->limits.idle_timeout_ms / 1000 + 10);
}

/* Nobody new comes in; who stands at the door was let in first, in this very turn of the loop. */
static void on_leave(void *arg)
{
    struct sh_http_server *s = arg;
    s->left = true;
    update_listening(s);
    sh_http_conns_adopt(s);
    while (s->n_listeners)
        evhttp_del_accept_socket(s->http, s->bound[--s->n_listeners]);
}

static struct sh_http_server *serve_on(struct event_base *base, const int *fds, size_t n,
                                       const struct sh_http_limits *limits,
                                       sh_http_handler_fn *handler, sh_http_refused_fn *refused,
                                       void *arg)
{
    struct sh_http_server *s = sh_alloc(1, sizeof(*s));
    s->limits = *limits;
    s->handler = handler;
    s->refused = refused;
    s->arg = arg;
    s->now_ms = sh_mono_us() / 1000;
    s->listening = true;
    s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    TAILQ_INIT(&s->conns);
    TAILQ_INIT(&s->late);
    TAILQ_INIT(&s->requests);
    LIST_INIT(&s->lingering);
    start_evhttp(s, base, fds, n);
    s->loose_ends = event_new(base, -1, 0, on_loose_ends, s);
    sh_require(s->loose_ends);
    s->emfile_timer = sh_timer_new(base, on_emfile_over, s);
    s->tick = sh_timer_new(base, on_tick, s);
    s->leave = sh_timer_new(base, on_leave, s);
    sh_timer_set(s->tick, TICK_MS);
    s->next = servers;
    servers = s;
    return s;
}

struct sh_http_server *sh_http_server_new(struct event_base *base, const char *host, int port,
                                          const struct sh_http_limits *limits,
                                          sh_http_handler_fn *handler, sh_http_refused_fn *refused,
                                          void *arg, struct sh_error *err)
{
    int fd = bind_socket(host, port, err);
    if (fd < 0)
        return NULL;
    struct sh_http_server *s = serve_on(base, &fd, 1, limits, handler, refused, arg);
    s->port = bound_port(fd);
    return s;
}

struct sh_http_server *sh_http_server_new_given(struct event_base *base, const int *sockets,
                                                size_t n, const struct sh_http_limits *limits,
                                                sh_http_handler_fn *handler,
                                                sh_http_refused_fn *refused, void *arg)
{
    const int on = 1;
    sh_require(n >= 1);
    for (size_t i = 0; i < n; i++)
        (void)!setsockopt(sockets[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct sh_http_server *s = serve_on(base, sockets, n, limits, handler, refused, arg);
    s->port = bound_port(sockets[0]);
    s->given = true;
    sh_http_server_hold(s);
    return s;
}

void sh_http_server_hold(struct sh_http_server *s)
{
    s->held_back = s->given;
    update_listening(s);
}

void sh_http_server_accept(struct sh_http_server *s)
{
    s->held_back = false;
    update_listening(s);
}

struct sh_http_server *
sh_http_server_new_unix(struct event_base *base, const char *dir, const char *name,
                        const struct sh_http_limits *limits, sh_http_handler_fn *handler,
                        sh_http_refused_fn *refused, void *arg, struct sh_error *err)
{
    char *path = NULL;
    int fd = sh_unix_listen(dir, name, BACKLOG, &path, err);
    if (fd < 0)
        return NULL;
    struct sh_http_server *s = serve_on(base, &fd, 1, limits, handler, refused, arg);
    s->unix_path = path;
    return s;
}

void sh_http_server_set_tls(struct sh_http_server *s, struct sh_tls *tls)
{
    s->tls = tls;
}

int sh_http_server_port(const struct sh_http_server *s)
{
    return s->port;
}

int sh_http_server_open_connections(const struct sh_http_server *s)
{
    return s->n_conns + s->n_lingering;
}

size_t sh_http_server_pending(const struct sh_http_server *s)
{
    return s->n_requests + s->n_writing;
}

void sh_http_server_stop(struct sh_http_server *s)
{
    if (s->stopping)
        return;
    s->stopping = true;
    s->stop_ms = s->now_ms = sh_mono_us() / 1000;
    if (s->unix_path)
        unlink(s->unix_path);
    if (s->given)
        update_listening(s);
    sh_http_conns_adopt(s);
    sh_http_streams_end(s);
    sh_timer_set(s->leave, 0);
}

void sh_http_server_free(struct sh_http_server *s)
{
    if (!s)
        return;
    sh_http_conns_adopt(s);
    const bool was_stopping = s->stopping;
    s->stopping = s->left = true;
    update_listening(s);
    for (struct sh_http_server **p = &servers; *p; p = &(*p)->next) {
        if (*p == s) {
            *p = s->next;
            break;
        }
    }
    if (s->unix_path && !was_stopping)
        unlink(s->unix_path);
    free(s->unix_path);
    evhttp_free(s->http); /* the listeners, and every connection through its close callback */
    sh_http_lingers_free(s);
    sh_http_requests_free(s);
    event_free(s->loose_ends);
    sh_timer_free(s->tick);
    sh_timer_free(s->emfile_timer);
    sh_timer_free(s->leave);
    if (s->spare_fd >= 0)
        close(s->spare_fd);
    free(s);
}
