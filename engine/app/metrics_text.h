/* SPDX-License-Identifier: MIT
 * metrics_text.h: lines of the Prometheus text format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Names are without prefix:
 * "events_total" becomes switchhook_events_total; one that begins with "process_" stays. */
#ifndef SH_APP_METRICS_TEXT_H
#define SH_APP_METRICS_TEXT_H

#include "core/meter.h"

/* HELP and TYPE ("counter", "gauge", "histogram"), once before the first sample of a name. */
void sh_metrics_head(struct sh_buf *out, const char *name, const char *type, const char *help);

#define SH_METRICS_LABELS 3
/* Labels of one sample: pairs, ended by a NULL name. Values are escaped. */
struct sh_metrics_labels {
    const char *name[SH_METRICS_LABELS], *value[SH_METRICS_LABELS];
};
#define SH_LABELS(...) (&(const struct sh_metrics_labels){__VA_ARGS__})

/* One sample; labels NULL: none. */
void sh_metrics_int(struct sh_buf *out, const char *name, const struct sh_metrics_labels *labels,
                    int64_t value);
void sh_metrics_double(struct sh_buf *out, const char *name, const struct sh_metrics_labels *labels,
                       double value);
/* All samples of a histogram. */
void sh_metrics_histogram(struct sh_buf *out, const char *name,
                          const struct sh_metrics_labels *labels, const struct sh_bounds *bounds,
                          const struct sh_histogram *h);

#endif
