/* SPDX-License-Identifier: MIT
 * task.c: a thread that runs once, and a ring when it is through. */
#include "svc/task.h"

#include "svc/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

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

static int start_thread(struct sh_task *t)
{
    sigset_t all, before;
    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&t->thread, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

struct sh_task *sh_task_start(struct event_base *base, void (*work)(void *arg),
                              void (*done)(void *arg), void *arg, struct sh_error *err)
{
    struct sh_task *t = sh_alloc(1, sizeof(*t));
    *t = (struct sh_task){.work = work, .done = done, .arg = arg};
    t->waker = sh_waker_try(base, on_ring, t);
    int rc = t->waker ? start_thread(t) : errno;
    if (rc == 0)
        return t;
    sh_error_set(err, SH_ESYS, "cannot start a thread: %s", strerror(rc));
    sh_waker_free(t->waker);
    free(t);
    return NULL;
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
