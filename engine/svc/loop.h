/* SPDX-License-Identifier: MIT
 * loop.h: the event loop: timers, wake-ups from other threads, signals (libevent). */
#ifndef SH_SVC_LOOP_H
#define SH_SVC_LOOP_H

#include "base/error.h"

#include <stdint.h>

struct event_base;
struct event;

/* The loop of this thread. Never NULL. Free with sh_loop_free(). */
struct event_base *sh_loop_new(void) SH_WARN_UNUSED;
void sh_loop_free(struct event_base *base);
/* Run until sh_loop_stop(). */
void sh_loop_run(struct event_base *base);
void sh_loop_stop(struct event_base *base);

typedef void sh_loop_fn(void *arg);

/* A timer; one-shot or, with every = true, periodic. Caller frees; freeing within fn is fine. */
struct sh_timer;
struct sh_timer *sh_timer_new(struct event_base *base, sh_loop_fn *fn, void *arg) SH_WARN_UNUSED;
/* (Re)arm: fn(arg) once in delay_ms milliseconds (monotonic), replacing an earlier arming. */
void sh_timer_set(struct sh_timer *t, int64_t delay_ms);
void sh_timer_cancel(struct sh_timer *t);
void sh_timer_free(struct sh_timer *t);

/* A wake-up that any thread may ring (eventfd); fn runs on the loop, rings in between merge. */
struct sh_waker;
struct sh_waker *sh_waker_new(struct event_base *base, sh_loop_fn *fn, void *arg) SH_WARN_UNUSED;
/* The same; NULL with errno set when there is no descriptor left. */
struct sh_waker *sh_waker_try(struct event_base *base, sh_loop_fn *fn, void *arg) SH_WARN_UNUSED;
void sh_waker_ring(void *waker); /* takes void * to serve as a plain callback */
void sh_waker_free(struct sh_waker *w);

/* fn(arg) on the loop when signal number signo arrives. */
struct sh_signal;
struct sh_signal *sh_signal_new(struct event_base *base, int signo, sh_loop_fn *fn,
                                void *arg) SH_WARN_UNUSED;
void sh_signal_free(struct sh_signal *s);

#endif
