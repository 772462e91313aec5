/* SPDX-License-Identifier: MIT
 * api_series.c: how much happened when. What is in memory is copied on the loop; minutes are read
 * and everything is put together on the reader's thread. */
#include "app/api_impl.h"

#include "base/clock.h"
#include "svc/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_MS   (3600LL * 1000)
#define ROUNDED_LATE 60000 /* "31d" was counted back from a moment ago */

struct question {
    int64_t from_ms, to_ms;
    int64_t fine_s, coarse_s; /* the step without minutes from the store, and with them */
    char *rule;               /* owned; or NULL: all */
    struct sh_series_copy copy;
    struct sh_series_frame frame;
};

static void drop(void *data)
{
    struct question *q = data;
    sh_series_copy_free(&q->copy);
    sh_series_frame_free(&q->frame);
    free(q->rule);
    free(q);
}

/* --- the answer, on the thread ------------------------------------------------------------------
 */

static void begin_column(struct sh_buf *out, const char *name)
{
    sh_buf_addf(out, "],\"%s\":[", name);
}

static void put_count(const struct sh_series_frame *f, struct sh_buf *out, const char *name,
                      enum sh_series_count which)
{
    begin_column(out, name);
    for (size_t i = 0; i < f->n; i++) {
        const struct sh_series_step *step = &f->steps[i];
        sh_buf_adds(out, i ? "," : "");
        if (!step->known)
            sh_buf_adds(out, "null");
        else if (which == SH_SERIES_CPU_US)
            sh_buf_addf(out, "%.3f", (double)step->c.n[which] / 1000);
        else
            sh_buf_addf(out, "%" PRId64, step->c.n[which]);
    }
}

static void put_backlog(const struct sh_series_frame *f, struct sh_buf *out)
{
    begin_column(out, "backlog");
    for (size_t i = 0; i < f->n; i++) {
        sh_buf_adds(out, i ? "," : "");
        if (f->steps[i].known)
            sh_buf_addf(out, "%" PRId64, f->steps[i].c.backlog);
        else
            sh_buf_adds(out, "null");
    }
}

static void put_quantile(const struct sh_series_frame *f, struct sh_buf *out, bool settle,
                         int percent)
{
    char name[32];
    snprintf(name, sizeof(name), "%s_p%d_ms", settle ? "settle" : "ack", percent);
    begin_column(out, name);
    for (size_t i = 0; i < f->n; i++) {
        const struct sh_series_counts *c = &f->steps[i].c;
        const double ms =
            sh_series_quantile_ms(settle ? &c->settle : &c->ack, (double)percent / 100);
        sh_buf_adds(out, i ? "," : "");
        if (ms < 0)
            sh_buf_adds(out, "null");
        else
            sh_buf_addf(out, "%.3f", ms);
    }
}

static void put_all(const struct sh_series_frame *f, struct sh_buf *out)
{
    for (int i = 0; i < SH_SERIES_CPU_US; i++)
        put_count(f, out, sh_series_name((enum sh_series_count)i), (enum sh_series_count)i);
    put_count(f, out, "cpu_ms", SH_SERIES_CPU_US);
    put_backlog(f, out);
    put_quantile(f, out, false, 50);
    put_quantile(f, out, false, 99);
    put_quantile(f, out, true, 50);
    put_quantile(f, out, true, 99);
}

static void put_rule(const struct sh_series_frame *f, struct sh_buf *out)
{
    put_count(f, out, "runs", SH_SERIES_RUNS);
    put_count(f, out, "failed", SH_SERIES_FAILED);
    put_count(f, out, "dead", SH_SERIES_DEAD);
    put_count(f, out, "cpu_ms", SH_SERIES_CPU_US);
}

/* Times and counts, and the name of a rule: nothing of that is masked for anybody. */
static void put(const struct question *q, struct sh_buf *out)
{
    const struct sh_series_frame *f = &q->frame;
    sh_buf_addc(out, '{');
    if (q->rule) {
        sh_buf_adds(out, "\"rule\":");
        sh_json_quote(out, sh_slice_str(q->rule));
        sh_buf_addc(out, ',');
    }
    sh_buf_addf(out, "\"step_s\":%" PRId64 ",\"at\":[", f->step_s);
    for (size_t i = 0; i < f->n; i++)
        sh_buf_addf(out, "%s%" PRId64, i ? "," : "", f->at_s + (int64_t)i * f->step_s);
    if (q->rule)
        put_rule(f, out);
    else
        put_all(f, out);
    sh_buf_adds(out, "]}");
}

/* The first minute says that the steps are minutes at least. */
static void add_minute(void *arg, const struct sh_series_span *span)
{
    struct question *q = arg;
    if (!q->frame.steps)
        sh_series_frame_init(&q->frame, q->from_ms, q->to_ms, q->coarse_s);
    sh_series_frame_add(&q->frame, span);
}

static void work(const struct sh_api_call *c, struct sh_store_view *v, struct sh_api_answer *a)
{
    struct question *q = c->data;
    const int64_t step_ms = q->coarse_s * 1000, from_ms = q->from_ms / step_ms * step_ms;
    const struct sh_series_query stored = {.from_ms = from_ms,
                                           .before_ms =
                                               (q->to_ms + step_ms - 1) / step_ms * step_ms,
                                           .ring = q->copy.ring,
                                           .since_ms = q->copy.since_ms};
    if (!q->rule && !sh_store_view_series(v, &stored, add_minute, q, &a->err))
        return;
    if (!q->frame.steps)
        sh_series_frame_init(&q->frame, q->from_ms, q->to_ms, q->fine_s);
    for (size_t i = 0; i < q->copy.n; i++)
        sh_series_frame_add(&q->frame, &q->copy.slots[i]);
    put(q, &a->text);
}

/* --- the question ------------------------------------------------------------------------------
 */

static bool read_range(struct sh_api_call *c, struct question *q, int64_t *want_s)
{
    q->to_ms = sh_now_ms();
    if (!sh_api_param_time(c, "to", &q->to_ms))
        return false;
    q->from_ms = q->to_ms - DEFAULT_MS;
    if (!sh_api_param_time(c, "from", &q->from_ms) ||
        !sh_api_param_int(c, "step", 1, SH_SERIES_MAX_STEP, want_s))
        return false;
    if (q->from_ms >= 0 && q->from_ms < q->to_ms &&
        q->to_ms - q->from_ms <= SH_SERIES_KEPT_MS + ROUNDED_LATE)
        return true;
    sh_api_fail_at(c, 400, "bad_parameter", "parameter", "from",
                   "from: expected a time before \"to\", and 31 days before it at most");
    return false;
}

static bool read_copy(struct sh_api_call *c, struct question *q)
{
    const char *rule = sh_api_param(c, "rule");
    const struct sh_series *s = sh_sampler_series(c->api->config.sampler);
    const int64_t step_ms = q->coarse_s * 1000;
    const int64_t from_ms = q->from_ms / step_ms * step_ms, to_ms = q->to_ms + step_ms;
    if (!rule) {
        sh_series_copy(s, from_ms, to_ms, &q->copy);
        return true;
    }
    q->rule = sh_strdup(rule);
    if (sh_series_copy_rule(s, rule, from_ms, to_ms, &q->copy))
        return true;
    sh_api_fail(c, 404, "not_found", "no counts are kept of a rule \"%.100s\"", rule);
    return false;
}

static void get_series(struct sh_api_call *c)
{
    struct question *q = sh_alloc(1, sizeof(*q));
    int64_t want_s = 0;
    c->data = q;
    c->drop = drop;
    if (!read_range(c, q, &want_s))
        return;
    q->fine_s = sh_series_step(q->from_ms, q->to_ms, want_s, SH_SERIES_SLOT_S);
    q->coarse_s = sh_series_step(q->from_ms, q->to_ms, want_s, SH_SERIES_MINUTE_S);
    if (read_copy(c, q))
        sh_api_read(c, work);
}

static const char *const params[] = {"from", "to", "step", "rule", NULL};

static const struct sh_api_route list[] = {
    {.method = SH_HTTP_GET,
     .pattern = "/api/v1/series",
     .role = SH_ROLE_VIEWER,
     .params = params,
     .fn = get_series,
     .summary = "How much happened when, for plots"},
};

const struct sh_api_routes sh_api_series_routes = {list, sizeof(list) / sizeof(*list)};
