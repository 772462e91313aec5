/* SPDX-License-Identifier: MIT
 * service_manager.h: what passes between a service and the manager that runs it (systemd's protocol
 * of environment variables, without its library): listening sockets it was given, and what it says
 * of itself. Without the variables nothing is given, and what is said goes nowhere.
 * Source: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3). */
#ifndef SH_SVC_SERVICE_MANAGER_H
#define SH_SVC_SERVICE_MANAGER_H

#include "base/error.h"

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define SH_SERVICE_SOCKETS 8 /* given, at most */
#define SH_SERVICE_HOST    64

struct sh_service {
    int sockets[SH_SERVICE_SOCKETS]; /* listening, not to be inherited, never blocking */
    size_t n_sockets;
    struct sockaddr_un notify; /* where to say what; notify_len 0: nowhere */
    socklen_t notify_len;
    int64_t watchdog_ms; /* a sign of life is expected that often; 0: none is */
    void *patience;      /* while sh_service_begin_long() is under way */
};

/* Read LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES, NOTIFY_SOCKET, WATCHDOG_PID and WATCHDOG_USEC, and
 * take them out of the environment: no child is to think them its own. Before there are threads.
 * What is addressed to another process is left unused. False and *err: a descriptor was given that
 * is no listening TCP socket (the message has its number and name), or too many. Clear in any case.
 */
bool sh_service_init(struct sh_service *m, struct sh_error *err) SH_WARN_UNUSED;
/* Close the sockets that are still there. */
void sh_service_clear(struct sh_service *m);
/* The address that a socket is bound to: numeric host (room for SH_SERVICE_HOST bytes) and port. */
bool sh_service_address(int socket, char *host, int *port) SH_WARN_UNUSED;

/* Say text, lines of NAME=value ("READY=1\nSTATUS=..."). Never waits: what the manager does not
 * take at once is lost. Any thread. */
void sh_service_notify(const struct sh_service *m, const char *text);
/* STATUS=cannot start, and why (its first line), for the manager to show beside the failure. */
void sh_service_notify_failed(const struct sh_service *m, const char *why);
/* RELOADING=1, with the time that belongs to it. */
void sh_service_notify_reloading(const struct sh_service *m);
/* Something that may take minutes begins (a migration): until it ends, the manager is asked every
 * few seconds to wait on, by a thread, since the caller is busy. Nothing without a manager. */
void sh_service_begin_long(struct sh_service *m);
void sh_service_end_long(struct sh_service *m); /* none under way: no-op */

#endif
