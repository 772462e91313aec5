/* SPDX-License-Identifier: MIT
 * metrics.h: what Prometheus scrapes. docs/monitoring.md lists every name; a test compares. */
#ifndef SH_APP_METRICS_H
#define SH_APP_METRICS_H

#include "app/ingress.h"
#include "core/outbox.h"

/* Where it is all taken from. Borrowed. */
struct sh_metrics {
    const cJSON *status; /* the tree of status.h */
    const struct sh_op_count *count;
    const struct sh_meter *meter;
    const struct sh_ingress *ingress;
    const struct sh_outbox *outbox;
    struct sh_store *store;
    int64_t started_ms;
    bool steady; /* sh_timekeeper_is_steady() */
};

/* All of it, appended. */
void sh_metrics_write(const struct sh_metrics *m, struct sh_buf *out);

/* metrics_meter.c, metrics_process.c: its parts. */
void sh_metrics_write_meter(const struct sh_meter *m, struct sh_buf *out);
void sh_metrics_write_process(int64_t started_ms, struct sh_buf *out);

#endif
