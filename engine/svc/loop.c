/* SPDX-License-Identifier: MIT
 * loop.c: libevent's base with the three kinds of event the engine needs. */
#include "svc/loop.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static pthread_once_t threads_once = PTHREAD_ONCE_INIT;

static void use_threads(void)
{
    sh_require(evthread_use_pthreads() == 0);
}

struct event_base *sh_loop_new(void)
{
    struct event_config *config;
    struct event_base *base;
    pthread_once(&threads_once, use_threads);
    config = event_config_new();
    sh_require(config);
    /* A base belongs to its thread and is woken through an eventfd of ours: its locks would be
     * taken several times a request for nothing. */
    sh_require(event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0);
    /* evhttp stops and starts reading with each request: changes within a turn are merged. */
    sh_require(event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST) == 0);
    base = event_base_new_with_config(config);
    event_config_free(config);
    sh_require(base);
    return base;
}

void sh_loop_free(struct event_base *base)
{
    if (base)
        event_base_free(base);
}

void sh_loop_run(struct event_base *base)
{
    sh_require(event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY) >= 0);
}

void sh_loop_stop(struct event_base *base)
{
    sh_require(event_base_loopbreak(base) == 0);
}

/* One libevent event and whom to call; the three public kinds differ in what they watch. */
struct watch {
    struct event *ev;
    sh_loop_fn *fn;
    void *arg;
};

struct sh_timer {
    struct watch w;
};

struct sh_signal {
    struct watch w;
};

struct sh_waker {
    struct watch w;
    int fd;
};

static void on_fire(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    const struct watch w = *(struct watch *)arg; /* fn may free what arg points to */
    w.fn(w.arg);
}

static void on_ring(evutil_socket_t fd, short what, void *arg)
{
    uint64_t rings;
    (void)what;
    if (read((int)fd, &rings, sizeof(rings)) != sizeof(rings))
        return; /* another wake-up of the same ring */
    on_fire(fd, 0, arg);
}

static void watch_init(struct watch *w, struct event *ev, sh_loop_fn *fn, void *arg)
{
    sh_require(ev);
    *w = (struct watch){.ev = ev, .fn = fn, .arg = arg};
}

struct sh_timer *sh_timer_new(struct event_base *base, sh_loop_fn *fn, void *arg)
{
    struct sh_timer *t = sh_alloc(1, sizeof(*t));
    watch_init(&t->w, event_new(base, -1, 0, on_fire, &t->w), fn, arg);
    return t;
}

void sh_timer_set(struct sh_timer *t, int64_t delay_ms)
{
    if (delay_ms < 0)
        delay_ms = 0;
    const struct timeval tv = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};
    sh_require(event_add(t->w.ev, &tv) == 0);
}

void sh_timer_cancel(struct sh_timer *t)
{
    event_del(t->w.ev);
}

void sh_timer_free(struct sh_timer *t)
{
    if (!t)
        return;
    event_free(t->w.ev);
    free(t);
}

struct sh_waker *sh_waker_try(struct event_base *base, sh_loop_fn *fn, void *arg)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return NULL;
    struct sh_waker *w = sh_alloc(1, sizeof(*w));
    w->fd = fd;
    watch_init(&w->w, event_new(base, w->fd, EV_READ | EV_PERSIST, on_ring, &w->w), fn, arg);
    sh_require(event_add(w->w.ev, NULL) == 0);
    return w;
}

struct sh_waker *sh_waker_new(struct event_base *base, sh_loop_fn *fn, void *arg)
{
    struct sh_waker *w = sh_waker_try(base, fn, arg);
    sh_require(w);
    return w;
}

void sh_waker_ring(void *waker)
{
    const struct sh_waker *w = waker;
    const uint64_t one = 1;
    ssize_t ignored = write(w->fd, &one, sizeof(one)); /* full: a ring is waiting already */
    (void)ignored;
}

void sh_waker_free(struct sh_waker *w)
{
    if (!w)
        return;
    event_free(w->w.ev);
    close(w->fd);
    free(w);
}

struct sh_signal *sh_signal_new(struct event_base *base, int signo, sh_loop_fn *fn, void *arg)
{
    struct sh_signal *s = sh_alloc(1, sizeof(*s));
    watch_init(&s->w, evsignal_new(base, signo, on_fire, &s->w), fn, arg);
    sh_require(event_add(s->w.ev, NULL) == 0);
    return s;
}

void sh_signal_free(struct sh_signal *s)
{
    if (!s)
        return;
    event_free(s->w.ev);
    free(s);
}
