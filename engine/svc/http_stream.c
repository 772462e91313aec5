/* SPDX-License-Identifier: MIT
 * http_stream.c: answers that stay open.
 *
 * The head and the chunks go by evhttp (evhttp_send_reply_start, _chunk). Its way to end them does
 * not: over TLS the callback that says "all has left" may come late, for what had left before, and
 * the last bytes would be cut off. A stream's connection ends with it in any case, so the end is
 * written here, and the connection closed by the tick that finds it gone. */
#include "svc/http_conn.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#define SOCKET_BYTES 16384 /* of what the kernel may hold for one stream: twice that */
#define STALL_MS     60000 /* without a byte leaving while there are some, unless limits say so */
#define END_MS       1000  /* for the last bytes to leave */

struct sh_http_stream {
    struct sh_http_conn *conn;
    struct evhttp_request *evreq;
    sh_http_gone_fn *gone;
    void *arg;
    bool chunked;
    size_t unsent; /* at the last tick */
};

static struct evbuffer *output_of(const struct sh_http_conn *c)
{
    return bufferevent_get_output(c->bev);
}

/* --- Beginning -------------------------------------------------------------------------------- */

static int stall_ms(const struct sh_http_conn *c)
{
    const int ms = c->server->limits.stall_timeout_ms;
    return ms ? ms : STALL_MS;
}

/* What the client does not read must not pile up where nobody sees it; and a client that is gone
 * without a word must be noticed. On a Unix socket the second is not known, nor needed. */
static void set_socket(const struct sh_http_conn *c)
{
    const int bytes = SOCKET_BYTES;
    const unsigned ms = (unsigned)stall_ms(c);
    (void)!setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    (void)!setsockopt(c->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

/* evhttp would give an HTTP/1.0 client that keeps connections a Content-Length of 0. */
static void set_headers(struct sh_http_conn *c, struct evhttp_request *evreq, const char *type)
{
    struct evkeyvalq *out = evhttp_request_get_output_headers(evreq);
    if (c->guard.http10)
        while (evhttp_remove_header(evhttp_request_get_input_headers(evreq), "Connection") == 0)
            continue;
    evhttp_add_header(out, "Content-Type", type);
    evhttp_add_header(out, "Date", sh_http_date(c->server));
    evhttp_add_header(out, "Connection", "close");
}

struct sh_http_stream *sh_http_stream_begin(struct sh_http_request *req, int status,
                                            const char *content_type, sh_http_gone_fn *gone,
                                            void *arg)
{
    struct sh_http_conn *c = req->conn;
    struct evhttp_request *evreq = req->evreq;
    sh_require(req->method != SH_HTTP_HEAD && status != 204 && status != 304);
    if (!evreq || !c || req->server->stopping)
        return NULL;
    sh_http_request_done(req);
    struct sh_http_stream *st = sh_alloc(1, sizeof(*st));
    *st = (struct sh_http_stream){c, evreq, gone, arg, .chunked = !c->guard.http10};
    c->stream = st;
    c->state = CONN_STREAM;
    c->deadline_ms = 0;
    c->since_ms = c->server->now_ms;
    c->server->n_streams++;
    set_socket(c);
    set_headers(c, evreq, content_type);
    evhttp_send_reply_start(evreq, status, sh_http_status_text(status));
    bufferevent_set_timeouts(c->bev, NULL, NULL); /* it is silent for as long as it likes */
    sh_http_conn_drop_input(c);
    return st;
}

/* --- Sending ---------------------------------------------------------------------------------- */

void sh_http_stream_send(struct sh_http_stream *st, struct sh_slice bytes)
{
    if (bytes.n == 0)
        return;
    struct evbuffer *b = evbuffer_new();
    sh_require(b && evbuffer_add(b, bytes.p, bytes.n) == 0);
    evhttp_send_reply_chunk(st->evreq, b);
    evbuffer_free(b);
}

size_t sh_http_stream_unsent(const struct sh_http_stream *st)
{
    return evbuffer_get_length(output_of(st->conn));
}

/* --- Ending ----------------------------------------------------------------------------------- */

/* The handle goes; the request stays evhttp's as long as its connection does. */
static struct sh_http_conn *forget(struct sh_http_stream *st)
{
    struct sh_http_conn *c = st->conn;
    c->stream = NULL;
    c->ending = st->evreq;
    c->server->n_streams--;
    free(st);
    return c;
}

void sh_http_stream_end(struct sh_http_stream *st)
{
    static const char last[] = "0\r\n\r\n";
    if (!st)
        return;
    const bool chunked = st->chunked;
    struct sh_http_conn *c = forget(st);
    c->state = CONN_ENDING;
    c->server->n_writing++;
    c->deadline_ms = c->server->now_ms + END_MS;
    if (chunked)
        sh_require(evbuffer_add(output_of(c), last, sizeof(last) - 1) == 0);
}

void sh_http_stream_tick(struct sh_http_conn *c)
{
    struct sh_http_server *s = c->server;
    const size_t unsent = evbuffer_get_length(output_of(c));
    if (c->state == CONN_ENDING) {
        if (unsent == 0)
            c->deadline_ms = s->now_ms;
        return;
    }
    if (unsent == 0)
        c->deadline_ms = 0;
    else if (unsent < c->stream->unsent || c->deadline_ms == 0)
        c->deadline_ms = s->now_ms + stall_ms(c);
    c->stream->unsent = unsent;
}

bool sh_http_streams_shed(struct sh_http_server *s, int n)
{
    struct sh_http_conn *c, *next;
    const int before = n;
    for (c = TAILQ_FIRST(&s->conns); c && n; c = next) {
        next = TAILQ_NEXT(c, link);
        if (c->state == CONN_STREAM) {
            sh_http_conn_finish(c);
            n--;
        }
    }
    return n < before;
}

static void tell_gone(struct sh_http_stream *st)
{
    sh_http_gone_fn *gone = st->gone;
    void *arg = st->arg;
    (void)forget(st);
    gone(arg);
}

/* evhttp lets go of a request that is not answered whole when its client has gone: it is ours then;
 * but not when the server itself is freed. */
void sh_http_stream_closing(struct sh_http_conn *c)
{
    if (c->stream)
        tell_gone(c->stream);
    if (c->ending && !evhttp_request_get_connection(c->ending))
        evhttp_request_free(c->ending);
    c->ending = NULL;
}

void sh_http_streams_end(struct sh_http_server *s)
{
    struct sh_http_conn *c;
    TAILQ_FOREACH(c, &s->conns, link)
    {
        if (!c->stream)
            continue;
        struct sh_http_stream *st = c->stream;
        sh_http_gone_fn *gone = st->gone;
        void *arg = st->arg;
        sh_http_stream_end(st);
        gone(arg);
    }
}

size_t sh_http_server_streams(const struct sh_http_server *s)
{
    return s->n_streams;
}
