/* SPDX-License-Identifier: MIT
 * http_conn.c: one connection: the guard on its input, what waits, refusals, its end. */
#include "svc/http_conn.h"

#include "base/clock.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define LINGER_MS         1000         /* for the refused to read the answer */
#define LINGER_BYTES      (256 * 1024) /* thrown away at most */
#define MAX_REFUSAL_BYTES 4096
#define MAX_HEAD_BYTES    512
#define SMALL_REQUEST     ((size_t)16 * 1024)
#define HELD_BYTES        ((size_t)64 * 1024) /* behind an answer that has not left, about */

/* --- Between socket and evhttp ---------------------------------------------------------------- */

static struct evbuffer *input_of(const struct sh_http_conn *c)
{
    return bufferevent_get_input(c->bev);
}

/* evhttp is not told of input while the mark is above what can come. */
static void set_asleep(struct sh_http_conn *c, bool asleep)
{
    if (c->asleep == asleep)
        return;
    c->asleep = asleep;
    bufferevent_setwatermark(c->bev, EV_READ, asleep ? SIZE_MAX : 0, 0);
}

static void do_late(struct sh_http_conn *c)
{
    if (c->late)
        return;
    c->late = true;
    TAILQ_INSERT_TAIL(&c->server->late, c, late_link);
    event_active(c->server->loose_ends, EV_TIMEOUT, 0);
}

static struct evbuffer *held_of(struct sh_http_conn *c)
{
    if (!c->held)
        c->held = evbuffer_new();
    sh_require(c->held);
    return c->held;
}

/* Leave the first keep bytes in the input; what is behind them joins `held`. */
static void hold_beyond(struct sh_http_conn *c, size_t keep)
{
    struct evbuffer *in = input_of(c), *front;
    if (evbuffer_get_length(in) <= keep)
        return;
    front = evbuffer_new();
    sh_require(front);
    c->moving = true;
    sh_require(evbuffer_remove_buffer(in, front, keep) == (int)keep);
    sh_require(evbuffer_add_buffer(held_of(c), in) == 0);
    sh_require(evbuffer_add_buffer(in, front) == 0);
    c->moving = false;
    evbuffer_free(front);
}

static void set_waiting(struct sh_http_conn *c, size_t n)
{
    c->server->waiting_bytes += n - c->waiting_bytes;
    c->waiting_bytes = n;
}

static void throw_away(struct sh_http_conn *c)
{
    struct evbuffer *in = input_of(c);
    c->thrown_bytes += evbuffer_get_length(in);
    set_waiting(c, 0);
    c->moving = true;
    evbuffer_drain(in, evbuffer_get_length(in));
    c->moving = false;
    if (c->held)
        evbuffer_drain(c->held, evbuffer_get_length(c->held));
    if (c->thrown_bytes > LINGER_BYTES)
        do_late(c);
}

/* --- Answers of its own ----------------------------------------------------------------------- */

/* Straight to the socket: evhttp's output is empty while it reads. An answer that the socket does
 * not take at once, which no live client causes, is cut. */
static void send_now(const struct sh_http_conn *c, const char *p, size_t n)
{
    if (c->ssl) {
        sh_http_tls_send(c, p, n);
        return;
    }
    ssize_t ignored = send(bufferevent_getfd(c->bev), p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)ignored;
}

/* The head of the request being refused, NUL-terminated, owned; empty if it is not whole. */
static char *head_copy(const struct sh_http_conn *c)
{
    const size_t n = c->guard.head_bytes;
    struct evbuffer *from = evbuffer_get_length(input_of(c)) >= n ? input_of(c) : c->held;
    char *head = sh_alloc(n + 1, 1);
    if (n && (!from || evbuffer_copyout(from, head, n) != (ev_ssize_t)n))
        head[0] = '\0';
    return head;
}

/* Cut path and Origin out of a head that the guard has found well-formed. */
static void describe(char *head, struct sh_http_refusal *r)
{
    char *origin = strcasestr(head, "\r\norigin:"), *path = strchr(head, ' ');
    if (origin) {
        origin += strlen("\r\norigin:");
        origin += strspn(origin, " ");
        origin[strcspn(origin, " \r")] = '\0';
        r->origin = origin;
    }
    if (path) {
        path[1 + strcspn(path + 1, " ?")] = '\0';
        r->path = path + 1;
    }
}

void sh_http_conn_refuse(struct sh_http_conn *c, int status, const char *reason)
{
    struct sh_http_server *s = c->server;
    struct sh_http_refusal refusal = {.status = status, .reason = reason, .path = ""};
    struct sh_buf headers, body, out;
    char *head = head_copy(c);
    describe(head, &refusal);
    sh_buf_init(&headers, MAX_REFUSAL_BYTES);
    sh_buf_init(&body, MAX_REFUSAL_BYTES);
    sh_buf_init(&out, 2 * MAX_REFUSAL_BYTES + MAX_HEAD_BYTES);
    s->refused(s->arg, &refusal, &headers, &body);
    free(head);
    sh_buf_addf(&out,
                "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: application/json\r\n"
                "Content-Length: %zu\r\n%s%.*sConnection: close\r\n\r\n",
                status, sh_http_status_text(status), sh_http_date(s), body.len,
                status == 503 ? "Retry-After: 5\r\n" : "",
                sh_buf_ok(&headers) ? (int)headers.len : 0, headers.data ? headers.data : "");
    sh_buf_add(&out, body.data, body.len);
    send_now(c, out.data, out.len);
    if (c->ssl)
        sh_http_tls_end(c);
    shutdown(bufferevent_getfd(c->bev), SHUT_WR);
    sh_buf_free(&headers);
    sh_buf_free(&body);
    sh_buf_free(&out);
    c->state = CONN_LINGER;
    c->deadline_ms = s->now_ms + LINGER_MS;
    throw_away(c);
    set_asleep(c, false);
}

/* --- Reading ---------------------------------------------------------------------------------- */

static bool in_body(enum sh_guard_phase phase)
{
    return phase >= SH_GUARD_LENGTH && phase <= SH_GUARD_CHUNK_LAST;
}

/* Scan on and keep the deadlines: one from the first byte to the end of the head, one for the
 * body, however many portions they come in. */
static enum sh_guard_phase scan(struct sh_http_conn *c, struct evbuffer *buf)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct sh_http_server *s = c->server;
    const enum sh_guard_phase before = c->guard.phase;
    const enum sh_guard_phase now = sh_http_guard_scan(&c->guard, &s->limits, buf);
    if (before == SH_GUARD_IDLE && now == SH_GUARD_HEAD)
        c->deadline_ms = s->now_ms + s->limits.header_timeout_ms;
    if (!in_body(before) && in_body(now)) {
        c->deadline_ms = s->now_ms + s->limits.body_timeout_ms;
        if (c->guard.expects && !c->guard.http10)
            send_now(c, go_on, sizeof(go_on) - 1);
    }
    return now;
}

static void read_on(struct sh_http_conn *c)
{
    struct evbuffer *in = input_of(c);
    if (c->held && evbuffer_get_length(c->held) > 0) {
        c->moving = true;
        sh_require(evbuffer_prepend_buffer(in, c->held) == 0);
        c->moving = false;
    }
    c->moving = true; /* an empty line before the request is drained */
    const enum sh_guard_phase phase = scan(c, in);
    c->moving = false;
    if (phase == SH_GUARD_BAD) {
        sh_http_conn_refuse(c, c->guard.status, c->guard.reason);
    } else if (phase == SH_GUARD_WHOLE) {
        hold_beyond(c, c->guard.total_bytes);
        c->state = CONN_FED;
        set_waiting(c, 0);
        set_asleep(c, false);
    } else {
        set_asleep(c, true);
        set_waiting(c, evbuffer_get_length(in));
        if (c->server->waiting_bytes > SH_HTTP_MAX_WAITING_BYTES &&
            c->waiting_bytes > SMALL_REQUEST) /* the small ones cost little, and are most */
            sh_http_conn_refuse(c, 503, "too many large requests at once");
    }
}

/* evhttp does not read now; if it did, what came belongs to later requests. Of these there is no
 * need for more before the answer has left: evhttp then reads on by itself. */
static void hold(struct sh_http_conn *c)
{
    hold_beyond(c, c->state == CONN_FED ? c->guard.total_bytes : 0);
    if (c->state == CONN_WRITING && evbuffer_get_length(held_of(c)) > HELD_BYTES)
        bufferevent_disable(c->bev, EV_READ);
}

static bool is_stream(const struct sh_http_conn *c)
{
    return c->state == CONN_STREAM || c->state == CONN_ENDING;
}

bool sh_http_conn_has_more(const struct sh_http_conn *c)
{
    return c->held && evbuffer_get_length(c->held) > 0;
}

void sh_http_conn_drop_input(struct sh_http_conn *c)
{
    throw_away(c);
}

static void on_input(struct evbuffer *in, const struct evbuffer_cb_info *info, void *arg)
{
    struct sh_http_conn *c = arg;
    (void)in;
    if (c->moving || info->n_added == 0)
        return;
    if (c->state == CONN_LINGER || is_stream(c))
        throw_away(c);
    else if (c->state == CONN_READING)
        read_on(c);
    else
        hold(c);
}

/* Give evhttp the first n of the held bytes. It goes on reading by itself when its input is not
 * empty. In front, since a bufferevent lets nobody else add at the end. */
static void feed_held(struct sh_http_conn *c, size_t n)
{
    struct evbuffer *front = evbuffer_new();
    sh_require(front);
    c->moving = true;
    sh_require(evbuffer_remove_buffer(c->held, front, n) == (int)n);
    sh_require(evbuffer_prepend_buffer(input_of(c), front) == 0);
    c->moving = false;
    evbuffer_free(front);
}

void sh_http_conn_answered(struct sh_http_conn *c)
{
    struct sh_http_server *s = c->server;
    s->n_writing--;
    c->state = CONN_READING;
    c->since_ms = s->now_ms;
    c->deadline_ms = s->now_ms + s->limits.idle_timeout_ms;
    sh_http_guard_reset(&c->guard);
    TAILQ_REMOVE(&s->conns, c, link);
    TAILQ_INSERT_TAIL(&s->conns, c, link);
    c->answered = true;
    if (!sh_http_conn_has_more(c))
        return;
    const enum sh_guard_phase phase = scan(c, c->held);
    if (phase == SH_GUARD_BAD) {
        do_late(c); /* evhttp is at work on this connection: refuse when it has done */
    } else if (phase == SH_GUARD_WHOLE) {
        c->state = CONN_FED;
        feed_held(c, c->guard.total_bytes);
    }
}

/* --- Life ------------------------------------------------------------------------------------- */

struct bufferevent *sh_http_conn_new(struct sh_http_server *s)
{
    struct sh_http_conn *c = sh_alloc(1, sizeof(*c));
    struct event_base *base = event_get_base(s->loose_ends);
    c->server = s;
    c->bev = s->tls ? sh_http_tls_new(c, base) : bufferevent_socket_new(base, -1, 0);
    sh_require(c->bev);
    bufferevent_incref(c->bev); /* evhttp drops it should it fail to take the connection up */
    sh_http_guard_reset(&c->guard);
    sh_require(evbuffer_add_cb(bufferevent_get_input(c->bev), on_input, c));
    TAILQ_INSERT_TAIL(&s->conns, c, link);
    s->n_conns++;
    do_late(c);
    return c->bev;
}

static void conn_free(struct sh_http_conn *c)
{
    struct sh_http_server *s = c->server;
    TAILQ_REMOVE(&s->conns, c, link);
    if (c->late)
        TAILQ_REMOVE(&s->late, c, late_link);
    s->n_conns--;
    set_waiting(c, 0);
    if (c->state == CONN_WRITING || c->state == CONN_ENDING)
        s->n_writing--;
    if (c->fd >= 0 && c->fd < s->n_by_fd && s->by_fd[c->fd] == c)
        s->by_fd[c->fd] = NULL;
    if (c->held)
        evbuffer_free(c->held);
    free(c);
    sh_http_conns_changed(s);
}

static void on_close(struct evhttp_connection *evcon, void *arg)
{
    struct sh_http_conn *c = arg;
    (void)evcon;
    evbuffer_remove_cb(input_of(c), on_input, c);
    if (c->ssl)
        sh_http_tls_closing(c);
    if (c->server->stopping)
        sh_http_stop_closing(c);
    sh_http_stream_closing(c);
    sh_http_request_orphan(c);
    conn_free(c);
}

static void note_peer(struct sh_http_conn *c)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    memset(&ss, 0, sizeof(ss));
    if (getpeername(c->fd, (struct sockaddr *)&ss, &len) != 0)
        return; /* reset already: its end comes with the next read */
    if (ss.ss_family == AF_UNIX)
        return; /* no address: whoever may open the socket's file */
    if (ss.ss_family == AF_INET6) {
        c->addr = ((struct sockaddr_in6 *)&ss)->sin6_addr;
        inet_ntop(AF_INET6, &c->addr, c->peer, sizeof(c->peer));
    } else {
        const struct in_addr v4 = ((struct sockaddr_in *)&ss)->sin_addr;
        memcpy(c->addr.s6_addr + 12, &v4, sizeof(v4));
        inet_ntop(AF_INET, &v4, c->peer, sizeof(c->peer));
    }
}

static bool over_peer_cap(const struct sh_http_conn *c)
{
    const struct sh_http_server *s = c->server;
    const struct sh_http_conn *other;
    int n = 0;
    if (s->limits.connections_per_peer <= 0)
        return false;
    TAILQ_FOREACH(other, &s->conns, link)
    if (other->evcon && other->state != CONN_LINGER &&
        memcmp(&other->addr, &c->addr, sizeof(c->addr)) == 0)
        n++;
    return n > s->limits.connections_per_peer;
}

static void remember(struct sh_http_conn *c)
{
    struct sh_http_server *s = c->server;
    if (c->fd >= s->n_by_fd) {
        const int n = c->fd + 64;
        s->by_fd = sh_realloc(s->by_fd, (size_t)n * sizeof(struct sh_http_conn *));
        memset(s->by_fd + s->n_by_fd, 0, (size_t)(n - s->n_by_fd) * sizeof(struct sh_http_conn *));
        s->n_by_fd = n;
    }
    s->by_fd[c->fd] = c;
}

/* evhttp has taken the bufferevent over right after sh_http_conn_new(): its callbacks' argument is
 * its connection (libevent 2.1 has no other way to it before the first request; checked below).
 * No callbacks: it could not, and the bufferevent lives by our reference alone. */
static void adopt(struct sh_http_conn *c)
{
    struct sh_http_server *s = c->server;
    void *evcon;
    bufferevent_getcb(c->bev, NULL, NULL, NULL, &evcon);
    if (!evcon) {
        evbuffer_remove_cb(input_of(c), on_input, c);
        bufferevent_decref(c->bev);
        c->fd = -1;
        conn_free(c);
        return;
    }
    bufferevent_decref(c->bev);
    c->evcon = evcon;
    sh_require(evhttp_connection_get_bufferevent(c->evcon) == c->bev);
    evhttp_connection_set_closecb(c->evcon, on_close, c);
    c->fd = bufferevent_getfd(c->bev);
    remember(c);
    note_peer(c);
    c->since_ms = s->now_ms;
    c->deadline_ms = s->now_ms + s->limits.header_timeout_ms;
    if (over_peer_cap(c))
        sh_http_conn_refuse(c, 503, "too many connections from this address");
}

void sh_http_conns_adopt(struct sh_http_server *s)
{
    struct sh_http_conn *c;
    while ((c = TAILQ_FIRST(&s->late)) != NULL) {
        TAILQ_REMOVE(&s->late, c, late_link);
        c->late = false;
        if (!c->evcon)
            adopt(c);
        else if (c->state == CONN_LINGER || is_stream(c))
            sh_http_conn_finish(c);
        else if (c->state == CONN_READING && c->guard.phase == SH_GUARD_BAD)
            sh_http_conn_refuse(c, c->guard.status, c->guard.reason);
    }
}

int64_t sh_http_conn_idle_ms(const struct sh_http_conn *c)
{
    if (!c->evcon || c->state != CONN_READING || c->guard.phase != SH_GUARD_IDLE)
        return -1;
    return c->server->now_ms - c->since_ms;
}

void sh_http_conn_expire(struct sh_http_conn *c)
{
    if (!c->evcon)
        return;
    if (c->state == CONN_READING && c->guard.phase == SH_GUARD_HEAD)
        sh_http_conn_refuse(c, 408, "the request's head took too long");
    else if (c->state == CONN_READING && in_body(c->guard.phase))
        sh_http_conn_refuse(c, 408, "the request's body took too long");
    else
        sh_http_conn_finish(c);
}

/* evhttp ends a connection when its bufferevent reports the end of input. */
void sh_http_conn_finish(struct sh_http_conn *c)
{
    bufferevent_trigger_event(c->bev, BEV_EVENT_READING | BEV_EVENT_EOF, 0);
}
