/* SPDX-License-Identifier: MIT
 * capture.h: run a program to its end and keep what it says. Waits: not for the loop. */
#ifndef SH_SVC_CAPTURE_H
#define SH_SVC_CAPTURE_H

#include "base/buf.h"

/* posix_spawn path with argv and our environment, standard input empty, in a process group of its
 * own. Standard output and error come into out, together; past out's limit the oldest is dropped.
 * *exit_code: as exit(3) gave it, or 128 + the signal. After timeout_ms, or when stop() (may be
 * NULL; asked often) says so, the group is killed. False and *err: it could not be
 * started, took too long (SH_ELIMIT) or was stopped (SH_EBUSY); out holds what came until then. */
bool sh_capture(const char *path, char *const argv[], int64_t timeout_ms, bool (*stop)(void),
                struct sh_buf *out, int *exit_code, struct sh_error *err) SH_WARN_UNUSED;

#endif
