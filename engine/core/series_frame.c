/* SPDX-License-Identifier: MIT
 * series_frame.c: counts as text, and even steps. */
#include "core/series.h"

#include "svc/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[SH_SERIES_COUNTS] = {
    "events", "duplicates", "refused", "runs", "failed", "dead", "sent", "send_failed", "cpu_us"};

const char *sh_series_name(enum sh_series_count which)
{
    return names[which];
}

/* --- text ------------------------------------------------------------------------------------- */

static const char *comma(const struct sh_buf *out)
{
    return out->len && out->data[out->len - 1] != '{' ? "," : "";
}

static void write_count(struct sh_buf *out, const char *name, int64_t n)
{
    if (n)
        sh_buf_addf(out, "%s\"%s\":%" PRId64, comma(out), name, n);
}

static void write_buckets(struct sh_buf *out, const char *name, const struct sh_histogram *h)
{
    const struct sh_bounds *b = &sh_bounds_wait;
    const size_t before = out->len;
    char bound[32];
    sh_buf_addf(out, "%s\"%s\":{", comma(out), name);
    const size_t empty = out->len;
    for (size_t i = 0; i <= b->n; i++) {
        if (i < b->n)
            snprintf(bound, sizeof(bound), "%" PRId64, b->le[i]);
        write_count(out, i < b->n ? bound : "more", (int64_t)h->in[i]);
    }
    if (out->len == empty)
        out->len = before;
    else
        sh_buf_addc(out, '}');
}

void sh_series_write(const struct sh_series_counts *c, struct sh_buf *out)
{
    sh_buf_addc(out, '{');
    for (int i = 0; i < SH_SERIES_COUNTS; i++)
        write_count(out, names[i], c->n[i]);
    write_count(out, "backlog", c->backlog);
    write_buckets(out, "ack", &c->ack);
    write_buckets(out, "settle", &c->settle);
    sh_buf_addc(out, '}');
}

static int64_t read_count(const cJSON *o, const char *name)
{
    int64_t n = 0;
    return sh_json_get_int(sh_json_member(o, name), &n) && n > 0 ? n : 0;
}

static size_t bucket_of(const char *bound)
{
    const struct sh_bounds *b = &sh_bounds_wait;
    char *end;
    const int64_t us = strtoll(bound, &end, 10);
    size_t i = 0;
    if (end == bound)
        return b->n;
    while (i < b->n && us > b->le[i])
        i++;
    return i;
}

static void read_buckets(const cJSON *o, struct sh_histogram *h)
{
    const cJSON *one;
    int64_t n;
    cJSON_ArrayForEach(one, o)
    {
        if (one->string && sh_json_get_int(one, &n) && n > 0)
            h->in[bucket_of(one->string)] += (uint64_t)n;
    }
}

bool sh_series_read(struct sh_slice text, struct sh_series_counts *c)
{
    struct sh_error err;
    cJSON *o = sh_json_parse(text.p, text.n, &err);
    *c = (struct sh_series_counts){0};
    const bool ok = cJSON_IsObject(o);
    for (int i = 0; ok && i < SH_SERIES_COUNTS; i++)
        c->n[i] = read_count(o, names[i]);
    if (ok) {
        c->backlog = read_count(o, "backlog");
        read_buckets(sh_json_member(o, "ack"), &c->ack);
        read_buckets(sh_json_member(o, "settle"), &c->settle);
    }
    cJSON_Delete(o);
    return ok;
}

/* --- steps ------------------------------------------------------------------------------------ */

static int64_t whole(int64_t ms, int64_t step_s)
{
    return ms / (step_s * 1000);
}

static int64_t points(int64_t from_ms, int64_t to_ms, int64_t step_s)
{
    return to_ms > from_ms ? whole(to_ms - 1, step_s) - whole(from_ms, step_s) + 1 : 0;
}

int64_t sh_series_step(int64_t from_ms, int64_t to_ms, int64_t want_s, int64_t least)
{
    static const int64_t round[] = {5,   10,   15,   30,   60,    120,   300,   600,
                                    900, 1800, 3600, 7200, 14400, 21600, 43200, SH_SERIES_MAX_STEP};
    int64_t step_s = want_s > least ? (want_s + least - 1) / least * least : least;
    if (points(from_ms, to_ms, step_s) <= SH_SERIES_POINTS)
        return step_s;
    for (size_t i = 0; i < sizeof(round) / sizeof(*round); i++)
        if (round[i] > step_s && points(from_ms, to_ms, round[i]) <= SH_SERIES_POINTS)
            return round[i];
    return 0;
}

void sh_series_frame_init(struct sh_series_frame *f, int64_t from_ms, int64_t to_ms, int64_t step_s)
{
    *f = (struct sh_series_frame){.at_s = whole(from_ms, step_s) * step_s,
                                  .step_s = step_s,
                                  .n = (size_t)points(from_ms, to_ms, step_s)};
    f->steps = sh_alloc(f->n + 1, sizeof(*f->steps));
}

void sh_series_frame_add(struct sh_series_frame *f, const struct sh_series_span *span)
{
    const int64_t i = whole(span->at_ms - f->at_s * 1000, f->step_s);
    if (span->at_ms < f->at_s * 1000 || i >= (int64_t)f->n)
        return;
    f->steps[i].known = true;
    sh_series_add(&f->steps[i].c, &span->c);
}

void sh_series_frame_free(struct sh_series_frame *f)
{
    free(f->steps);
    *f = (struct sh_series_frame){0};
}
