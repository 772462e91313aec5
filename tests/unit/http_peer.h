/* SPDX-License-Identifier: MIT
 * http_peer.h: a server on 127.0.0.1 that answers what a test says, byte by byte if need be, and a
 * loop that notices when somebody blocks it. */
#ifndef HTTP_PEER_H
#define HTTP_PEER_H

#include "svc/http_client.h"

#include "base/clock.h"
#include "svc/loop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* --- Server --------------------------------------------------------------------------------- */

#define PEER_REQUESTS 400
#define PEER_THREADS  400

struct peer;
struct peer_conn {
    struct peer *peer;
    int fd;
    pthread_t thread;
};

/* What to do with a request, the n-th from 0. False: close the connection. */
typedef bool peer_fn(struct peer *p, int fd, size_t n, const char *request);

struct peer {
    int fd, port;
    pthread_t thread;
    pthread_mutex_t lock;
    struct peer_conn conns[PEER_THREADS];
    size_t n_conns, n_open, most_open;
    char *requests[PEER_REQUESTS];
    size_t n_requests;
    /* what to answer: fn, or reply (in the order of requests, the last one again and again) */
    peer_fn *fn;
    const char *replies[16];
    size_t reply_bytes;   /* of replies[0]; 0 = up to its NUL */
    bool hang_up;         /* close after each answer */
    int delay_ms, gap_us; /* before the answer; between its bytes */
};

static inline bool peer_write(struct peer *p, int fd, const char *text, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t part = p->gap_us ? 1 : n - at;
        ssize_t got = send(fd, text + at, part, MSG_NOSIGNAL);
        if (got <= 0)
            return false;
        at += (size_t)got;
        if (p->gap_us)
            usleep((useconds_t)p->gap_us);
    }
    return true;
}

static inline bool peer_say(struct peer *p, int fd, const char *text)
{
    return peer_write(p, fd, text, strlen(text));
}

/* One request with its body (Content-Length), NUL-terminated; NULL at the end. */
static inline char *peer_read(int fd)
{
    size_t len = 0, cap = 4096, want = 0;
    char *text = malloc(cap + 1), *end = NULL;
    while (!end || len < want) {
        if (len == cap)
            text = realloc(text, (cap *= 2) + 1);
        ssize_t n = recv(fd, text + len, cap - len, 0);
        if (n <= 0) {
            free(text);
            return NULL;
        }
        len += (size_t)n;
        text[len] = '\0';
        end = end ? end : strstr(text, "\r\n\r\n");
        if (end && !want) {
            const char *length = strcasestr(text, "\r\ncontent-length: ");
            end = strstr(text, "\r\n\r\n");
            want = (size_t)(end - text) + 4 +
                   (length && length < end ? strtoul(length + 18, 0, 10) : 0);
        }
    }
    return text;
}

static inline bool peer_reply(struct peer *p, int fd, size_t n)
{
    size_t i = 0;
    while (i < n && i + 1 < 16 && p->replies[i + 1])
        i++;
    if (!p->replies[i])
        return false;
    size_t bytes = !i && p->reply_bytes ? p->reply_bytes : strlen(p->replies[i]);
    return peer_write(p, fd, p->replies[i], bytes) && !p->hang_up;
}

static void *peer_serve(void *arg)
{
    struct peer_conn *c = arg;
    struct peer *p = c->peer;
    char *request;
    bool more = true;
    while (more && (request = peer_read(c->fd))) {
        pthread_mutex_lock(&p->lock);
        size_t n = p->n_requests++;
        if (n < PEER_REQUESTS)
            p->requests[n] = request;
        pthread_mutex_unlock(&p->lock);
        if (p->delay_ms)
            usleep((useconds_t)p->delay_ms * 1000);
        more = p->fn ? p->fn(p, c->fd, n, request) : peer_reply(p, c->fd, n);
        if (n >= PEER_REQUESTS)
            free(request);
    }
    shutdown(c->fd, SHUT_RDWR);
    pthread_mutex_lock(&p->lock);
    p->n_open--;
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void *peer_accept(void *arg)
{
    struct peer *p = arg;
    int fd;
    while ((fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        pthread_mutex_lock(&p->lock);
        struct peer_conn *c = &p->conns[p->n_conns++];
        p->n_open++;
        p->most_open = p->n_open > p->most_open ? p->n_open : p->most_open;
        *c = (struct peer_conn){.peer = p, .fd = fd};
        if (p->n_conns == PEER_THREADS)
            abort();
        pthread_create(&c->thread, NULL, peer_serve, c);
        pthread_mutex_unlock(&p->lock);
    }
    return NULL;
}

/* A socket on 127.0.0.1 at a free port. */
static inline int peer_listen(int backlog, int *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    *port = ntohs(in.sin_port);
    return fd;
}

static inline void peer_start(struct peer *p)
{
    p->fd = peer_listen(512, &p->port);
    pthread_mutex_init(&p->lock, NULL);
    assert_int_equal(pthread_create(&p->thread, NULL, peer_accept, p), 0);
}

static inline void peer_stop(struct peer *p)
{
    shutdown(p->fd, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->fd);
    for (size_t i = 0; i < p->n_conns; i++)
        shutdown(p->conns[i].fd, SHUT_RDWR);
    for (size_t i = 0; i < p->n_conns; i++) {
        pthread_join(p->conns[i].thread, NULL);
        close(p->conns[i].fd);
    }
    for (size_t i = 0; i < p->n_requests && i < PEER_REQUESTS; i++)
        free(p->requests[i]);
    pthread_mutex_destroy(&p->lock);
}

/* The n-th request, or a failed test. */
static inline const char *peer_request(struct peer *p, size_t n)
{
    pthread_mutex_lock(&p->lock);
    const char *text = n < p->n_requests ? p->requests[n] : NULL;
    pthread_mutex_unlock(&p->lock);
    if (!text)
        fail_msg("there was no request %zu", n);
    return text;
}

static inline size_t peer_count(struct peer *p)
{
    pthread_mutex_lock(&p->lock);
    size_t n = p->n_requests;
    pthread_mutex_unlock(&p->lock);
    return n;
}

/* --- Loop ----------------------------------------------------------------------------------- */

struct ticking {
    struct event_base *base;
    struct sh_timer *alarm, *tick;
    int64_t last_us;
    size_t max_gap_ms, ticks;
};

static inline void ticking_on_alarm(void *arg)
{
    (void)arg;
    fail_msg("nothing happened for 30 s");
}

static inline void ticking_on_tick(void *arg)
{
    struct ticking *t = arg;
    int64_t now = sh_mono_us();
    size_t gap = (size_t)((now - t->last_us) / 1000);
    t->max_gap_ms = gap > t->max_gap_ms ? gap : t->max_gap_ms;
    t->last_us = now;
    t->ticks++;
    sh_timer_set(t->tick, 10);
}

static inline void ticking_open(struct ticking *t)
{
    *t = (struct ticking){.base = sh_loop_new()};
    t->alarm = sh_timer_new(t->base, ticking_on_alarm, t);
    t->tick = sh_timer_new(t->base, ticking_on_tick, t);
}

/* Until sh_loop_stop(). */
static inline void ticking_run(struct ticking *t)
{
    t->last_us = sh_mono_us();
    t->max_gap_ms = t->ticks = 0;
    sh_timer_set(t->alarm, 30000);
    sh_timer_set(t->tick, 10);
    sh_loop_run(t->base);
    ticking_on_tick(t); /* the last stretch counts too */
    sh_timer_cancel(t->alarm);
    sh_timer_cancel(t->tick);
}

static inline void ticking_stop(void *base)
{
    sh_loop_stop(base);
}

static inline void ticking_run_for(struct ticking *t, int64_t ms)
{
    struct sh_timer *end = sh_timer_new(t->base, ticking_stop, t->base);
    sh_timer_set(end, ms);
    ticking_run(t);
    sh_timer_free(end);
}

static inline void ticking_close(struct ticking *t)
{
    sh_timer_free(t->alarm);
    sh_timer_free(t->tick);
    sh_loop_free(t->base);
}

#endif
