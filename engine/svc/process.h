/* SPDX-License-Identifier: MIT
 * process.h: start the own binary as a child with two descriptors, end it, learn how it ended. */
#ifndef SH_SVC_PROCESS_H
#define SH_SVC_PROCESS_H

#include "base/buf.h"

#include <sys/types.h>

struct sh_child {
    pid_t pid;
    int socket; /* our end of the socketpair (the child's is fd 3); close-on-exec */
    void *page; /* shared memory of page_bytes (the child's memfd is fd 4), zeroed */
    size_t page_bytes;
};

/* posix_spawn /proc/self/exe with argv, in our process group, so that a signal to the group
 * reaches all; default signal handling, empty mask; standard streams are ours (a child that locks
 * itself up replaces them, lockup.h). Of the environment it gets PATH, HOME, LANG, LC_ALL, TZ,
 * TZDIR and the sanitizers' options, and nothing else: no secrets, no LD_PRELOAD. */
bool sh_child_start(char *const argv[], size_t page_bytes, struct sh_child *child,
                    struct sh_error *err) SH_WARN_UNUSED;
/* SIGKILL. */
void sh_child_kill(const struct sh_child *child);
/* Wait for the end, at most wait_ms; kills then. how (of SH_CHILD_HOW bytes, or NULL): "was killed
 * by signal 11 (Segmentation fault)", "exited with 1". */
#define SH_CHILD_HOW 100
void sh_child_finish(const struct sh_child *child, int wait_ms, char *how);
/* Has it ended? Does not wait; once true, the child is reaped. */
bool sh_child_reap(const struct sh_child *child) SH_WARN_UNUSED;
/* To be called once it is reaped: unmap the page, forget the pid. The socket is not closed: whoever took it does that. */
void sh_child_release(struct sh_child *child);

#endif
