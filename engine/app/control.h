/* SPDX-License-Identifier: MIT
 * control.h: how commands steer a running engine: HTTP on the Unix socket <data>/control.sock,
 * which only the owner of the data folder can open.
 *
 *   /api/...       api.h, with the role of an admin
 *   GET /metrics   Prometheus text; also on the engine's own address, for who may read
 *
 * On the loop. */
#ifndef SH_APP_CONTROL_H
#define SH_APP_CONTROL_H

#include "app/api.h"
#include "app/status.h"
#include "svc/http_server.h"

#define SH_CONTROL_SOCKET "control.sock"

struct sh_control;

struct sh_control_config {
    struct event_base *base;
    const char *dir; /* data folder; borrowed */
    struct sh_api *api;
    struct sh_status *status;
};

struct sh_control *sh_control_new(const struct sh_control_config *config,
                                  struct sh_error *err) SH_WARN_UNUSED;
/* A request on the engine's own address: true if it was for the metrics, and is answered. One of
 * somebody who may not read (sh_api_may_read()) is none. */
bool sh_control_metrics(struct sh_control *c, struct sh_http_request *req) SH_WARN_UNUSED;
/* Listen no more. Questions under way are still answered. */
void sh_control_stop(struct sh_control *c);
size_t sh_control_pending(const struct sh_control *c);
void sh_control_free(struct sh_control *c); /* after the store is closed; NULL is a no-op */

/* For commands: ask the engine that runs on a data folder. *answer: the caller's tree. False and
 * *err: SH_ENOTFOUND no engine runs there. */
bool sh_control_ask(const char *dir, const char *method, const char *target, const cJSON *body,
                    int64_t timeout_ms, int *status, cJSON **answer,
                    struct sh_error *err) SH_WARN_UNUSED;

#endif
