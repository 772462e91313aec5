/* SPDX-License-Identifier: MIT
 * status.h: how the engine is: as a tree for `switchhook status` and the API, and as metrics. On
 * the loop. */
#ifndef SH_APP_STATUS_H
#define SH_APP_STATUS_H

#include "app/ingress.h"
#include "app/live.h"
#include "core/outbox.h"

struct sh_status;
struct sh_tls;

struct sh_status_config {
    const struct sh_config *config;
    struct sh_store *store;
    struct sh_live *live;
    struct sh_dispatch *dispatch;
    struct sh_ingress *ingress;
    struct sh_outbox *outbox;
    struct sh_meter *meter;
    const struct sh_tls *tls;            /* NULL: plain HTTP */
    const char *(*refusing)(void *arg);  /* why no event is taken now, or NULL */
    bool (*steady)(void *arg);           /* sh_timekeeper_is_steady() */
    const cJSON *(*outdated)(void *arg); /* sh_libraries_found() */
    void *arg;
};

struct sh_status *sh_status_new(const struct sh_status_config *config) SH_WARN_UNUSED;
/* Note the counters; call about twice a second. */
void sh_status_tick(struct sh_status *s);
/* Find out; fn gets the tree (docs/cli.md says its members), borrowed, once; not if freed before.
 * Questions within a second of one another share the store's answer. */
void sh_status_ask(struct sh_status *s, void (*fn)(void *arg, const cJSON *status), void *arg);
/* The same, and what is counted besides, as metrics.h writes it. */
void sh_status_ask_metrics(struct sh_status *s, void (*fn)(void *arg, struct sh_slice text),
                           void *arg);
void sh_status_free(struct sh_status *s); /* after the store is closed; NULL is a no-op */

#endif
