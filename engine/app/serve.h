/* SPDX-License-Identifier: MIT
 * serve.h: the live engine, put together: store, rules, workers, ingress, outbox on one loop. */
#ifndef SH_APP_SERVE_H
#define SH_APP_SERVE_H

#include "app/config.h"
#include "svc/service_manager.h"

/* Run until stopped by SIGTERM or SIGINT (a second one: at once). The exit code: 0 after an orderly
 * stop; SH_EXIT_BAD when it could not start (each reason was printed); SH_EXIT_FATAL when the store
 * can no longer be trusted: start again, recovery runs by itself. service: what the service manager
 * gave, and is told; its sockets are taken, and stand for config's listen address, which has been
 * set to the first one's. */
int sh_serve(const struct sh_config *config, struct sh_service *service);

#define SH_EXIT_FATAL 3

#endif
