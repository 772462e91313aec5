/* SPDX-License-Identifier: MIT
 * task.h: work that may wait (files, processes), on a thread of its own beside the loop. */
#ifndef SH_SVC_TASK_H
#define SH_SVC_TASK_H

#include "base/error.h"

#include <stdatomic.h>

struct event_base;
struct sh_task;

/* Run work(arg) on a new thread, then done(arg) on the loop. One thread a task; arg is lent to the
 * thread until done. work should look at sh_task_cancelled() where it waits for long. After done,
 * or at any time, sh_task_free(). NULL and *err (SH_ESYS): no descriptor or thread is to be had. */
struct sh_task *sh_task_start(struct event_base *base, void (*work)(void *arg),
                              void (*done)(void *arg), void *arg,
                              struct sh_error *err) SH_WARN_UNUSED;
/* On the task's thread: was it asked to stop? */
bool sh_task_cancelled(void);
/* Ask it to stop, wait for the thread, free. done is not called any more. From within done: fine.
 * NULL is a no-op. */
void sh_task_free(struct sh_task *t);

#endif
