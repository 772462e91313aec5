/* SPDX-License-Identifier: MIT
 * task.c: a thread that runs once, and a ring when it is through. */
#include "svc/task.h"

#include "svc/loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct sh_task {
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
    struct sh_waker *waker;
    pthread_t thread;
    atomic_bool cancelled;
};

static _Thread_local struct sh_task *current;

static void *run(void *arg)
{
    struct sh_task *t = arg;
    current = t;
    t->work(t->arg);
    sh_waker_ring(t->waker);
    return NULL;
}

static void on_ring(void *arg)
{
    struct sh_task *t = arg;
    t->done(t->arg); /* may free t */
}

struct sh_task *sh_task_start(struct event_base *base, void (*work)(void *arg),
                              void (*done)(void *arg), void *arg)
{
    struct sh_task *t = sh_alloc(1, sizeof(*t));
    sigset_t all, before;
    t->work = work;
    t->done = done;
    t->arg = arg;
    t->waker = sh_waker_new(base, on_ring, t);
    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    sh_require(pthread_create(&t->thread, NULL, run, t) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return t;
}

bool sh_task_cancelled(void)
{
    return current && atomic_load(&current->cancelled);
}

void sh_task_free(struct sh_task *t)
{
    if (!t)
        return;
    atomic_store(&t->cancelled, true);
    pthread_join(t->thread, NULL);
    sh_waker_free(t->waker);
    free(t);
}
