/* SPDX-License-Identifier: MIT
 * metrics_text.c: samples as text. */
#include "app/metrics_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *prefix(const char *name)
{
    return strncmp(name, "process_", 8) == 0 ? "" : "switchhook_";
}

void sh_metrics_head(struct sh_buf *out, const char *name, const char *type, const char *help)
{
    const char *p = prefix(name);
    sh_buf_addf(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", p, name, help, p, name, type);
}

/* Backslash, quote and line feed are escaped; everything else stands as it is. */
static void add_value(struct sh_buf *out, const char *s)
{
    for (; s && *s; s++) {
        if (*s == '\\' || *s == '"')
            sh_buf_addc(out, '\\');
        if (*s == '\n')
            sh_buf_adds(out, "\\n");
        else
            sh_buf_addc(out, *s);
    }
}

/* le: one label more, or NULL. */
static void begin(struct sh_buf *out, const char *name, const char *suffix,
                  const struct sh_metrics_labels *labels, const char *le)
{
    size_t n = 0;
    sh_buf_addf(out, "%s%s%s", prefix(name), name, suffix);
    for (; labels && n < SH_METRICS_LABELS && labels->name[n]; n++) {
        sh_buf_addf(out, "%s%s=\"", n ? "," : "{", labels->name[n]);
        add_value(out, labels->value[n]);
        sh_buf_addc(out, '"');
    }
    if (le)
        sh_buf_addf(out, "%sle=\"%s\"", n ? "," : "{", le);
    sh_buf_adds(out, n || le ? "} " : " ");
}

void sh_metrics_int(struct sh_buf *out, const char *name, const struct sh_metrics_labels *labels,
                    int64_t value)
{
    begin(out, name, "", labels, NULL);
    sh_buf_addf(out, "%" PRId64 "\n", value);
}

void sh_metrics_double(struct sh_buf *out, const char *name, const struct sh_metrics_labels *labels,
                       double value)
{
    begin(out, name, "", labels, NULL);
    sh_buf_addf(out, "%.15g\n", value);
}

void sh_metrics_histogram(struct sh_buf *out, const char *name,
                          const struct sh_metrics_labels *labels, const struct sh_bounds *bounds,
                          const struct sh_histogram *h)
{
    uint64_t sum = 0;
    for (size_t i = 0; i <= bounds->n; i++) {
        char le[32] = "+Inf";
        if (i < bounds->n)
            snprintf(le, sizeof(le), "%.9g", (double)bounds->le[i] / (double)bounds->per_unit);
        sum += h->in[i];
        begin(out, name, "_bucket", labels, le);
        sh_buf_addf(out, "%" PRIu64 "\n", sum);
    }
    begin(out, name, "_sum", labels, NULL);
    sh_buf_addf(out, "%.15g\n", (double)h->sum / (double)bounds->per_unit);
    begin(out, name, "_count", labels, NULL);
    sh_buf_addf(out, "%" PRIu64 "\n", sum);
}
