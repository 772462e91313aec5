/* SPDX-License-Identifier: MIT
 * unix_socket.h: a Unix socket in a folder, and asking an HTTP server there (curl). unix(7). */
#ifndef SH_SVC_UNIX_SOCKET_H
#define SH_SVC_UNIX_SOCKET_H

#include "base/buf.h"

/* Listen on dir/name, replacing a file that is there, mode 0600, non-blocking and close-on-exec.
 * *path: owned, to remove it. A path that is too long for an address (107 bytes) is reached through
 * the folder's descriptor. -1 and *err. */
int sh_unix_listen(const char *dir, const char *name, int backlog, char **path,
                   struct sh_error *err) SH_WARN_UNUSED;

/* Ask the HTTP server on dir/name and wait for its answer. body NULL: none; else sent as
 * application/json. answer must be initialised; it gets the body. False and *err: SH_ENOTFOUND
 * nobody listens there, SH_ELIMIT no whole answer within timeout_ms, SH_ESYS. */
bool sh_unix_ask(const char *dir, const char *name, const char *method, const char *target,
                 const char *body, int64_t timeout_ms, int *status, struct sh_buf *answer,
                 struct sh_error *err) SH_WARN_UNUSED;

#endif
