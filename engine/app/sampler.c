/* SPDX-License-Identifier: MIT
 * sampler.c: the series of the live engine, and its minutes on their way to the store. */
#include "app/sampler.h"

#include "base/clock.h"
#include "base/log.h"
#include "svc/crypto.h"

#include <stdlib.h>
#include <sys/queue.h>

#define COUNTS_BYTES ((size_t)16 << 10) /* of one minute's text */

struct minute { /* on its way */
    struct sh_op_series op;
    struct sh_buf counts;
    LIST_ENTRY(minute) link;
};

struct sh_sampler {
    struct sh_store *store;
    const struct sh_meter *meter;
    const struct sh_dispatch *dispatch;
    struct sh_series *series;
    LIST_HEAD(, minute) out;
    bool refused, stopped;
};

static void drop(struct minute *m)
{
    LIST_REMOVE(m, link);
    sh_buf_free(&m->counts);
    free(m);
}

static void on_written(struct sh_op *op)
{
    struct sh_sampler *s = op->arg;
    if (!op->ok && !s->refused)
        sh_warn("a minute's counts are not stored; plots will have gaps", "error", op->err.msg);
    if (op->ok && s->refused)
        sh_info("the counts of minutes are stored again");
    s->refused = !op->ok;
    drop((struct minute *)op);
}

static void write_minute(struct sh_sampler *s, const struct sh_series_span *span)
{
    struct minute *m = sh_alloc(1, sizeof(*m));
    sh_buf_init(&m->counts, COUNTS_BYTES);
    sh_series_write(&span->c, &m->counts);
    m->op = (struct sh_op_series){.op = {.kind = SH_OP_SERIES, .done = on_written, .arg = s},
                                  .at_ms = span->at_ms,
                                  .ring = span->ring,
                                  .counts = sh_slice(m->counts.data, m->counts.len)};
    LIST_INSERT_HEAD(&s->out, m, link);
    sh_store_submit(s->store, &m->op.op);
}

void sh_sampler_tick(struct sh_sampler *s)
{
    struct sh_dispatch_stats d;
    struct sh_series_span minute;
    if (s->stopped)
        return;
    sh_dispatch_stats(s->dispatch, &d);
    if (sh_series_note(s->series, s->meter, d.unfinished, sh_now_ms(), &minute))
        write_minute(s, &minute);
}

const struct sh_series *sh_sampler_series(struct sh_sampler *s)
{
    sh_sampler_tick(s);
    return s->series;
}

struct sh_sampler *sh_sampler_new(struct sh_store *store, const struct sh_meter *meter,
                                  const struct sh_dispatch *dispatch)
{
    struct sh_sampler *s = sh_alloc(1, sizeof(*s));
    s->store = store;
    s->meter = meter;
    s->dispatch = dispatch;
    int64_t ring;
    sh_random((uint8_t *)&ring, sizeof(ring));
    s->series = sh_series_new(sh_now_ms(), ring & (INT64_MAX >> 1));
    LIST_INIT(&s->out);
    return s;
}

void sh_sampler_stop(struct sh_sampler *s)
{
    struct sh_series_span minute;
    if (!s || s->stopped)
        return;
    sh_sampler_tick(s);
    s->stopped = true;
    sh_series_cut(s->series, &minute);
    write_minute(s, &minute);
}

void sh_sampler_free(struct sh_sampler *s)
{
    struct minute *m;
    if (!s)
        return;
    while ((m = LIST_FIRST(&s->out)) != NULL)
        drop(m); // NOLINT(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
    sh_series_free(s->series);
    free(s);
}
