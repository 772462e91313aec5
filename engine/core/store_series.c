/* SPDX-License-Identifier: MIT
 * store_series.c: minutes of counts, for plots: written, removed, read. */
#include "core/store_impl.h"

#define PLACES 1000 /* ms past a minute's beginning that are tried for a free place */
#define SLICE  2000 /* rows that are read at once: no read transaction lasts longer */

/* A row stands where its minute began. Another has that very millisecond when the clock was set
 * back: then the next one that is free. */
bool sh_store_series(struct sh_store *s, const struct sh_op_series *op, struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(
        s->w.db, "INSERT OR IGNORE INTO sh_series(at_ms, ring, counts) VALUES(?1, ?2, ?3)", err);
    bool ok = st != NULL, placed = false;
    if (st) {
        sh_sqlite_bind_int(st, 2, op->ring);
        sh_sqlite_bind_text(st, 3, op->counts);
    }
    for (int64_t i = 0; ok && !placed && i < PLACES; i++) {
        sh_sqlite_bind_int(st, 1, op->at_ms + i);
        ok = sh_sqlite_run(st, err);
        placed = ok && sqlite3_changes(s->w.db) == 1;
    }
    sqlite3_finalize(st);
    if (ok && !placed)
        ok = sh_error_set(err, SH_ECONFLICT, "there are rows of this time already");
    return ok;
}

/* One slice of rows from from_ms on, which becomes where the next one begins. -1: failed, 0: that
 * was the last. */
static int read_slice(struct sh_store_view *v, const struct sh_series_query *q, int64_t *from_ms,
                      sh_series_fn *fn, void *arg, struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(
        v->db,
        "SELECT at_ms, ring, counts FROM sh_series WHERE at_ms >= ?1 AND at_ms < ?2 ORDER BY at_ms"
        " LIMIT ?3",
        err);
    int got = st ? 0 : -1, n = 0;
    if (st) {
        sh_sqlite_bind_int(st, 1, *from_ms);
        sh_sqlite_bind_int(st, 2, q->before_ms);
        sh_sqlite_bind_int(st, 3, SLICE);
    }
    while (st && (got = sh_sqlite_step(st, err)) == 1) {
        struct sh_series_span span = {.at_ms = sqlite3_column_int64(st, 0),
                                      .ring = sqlite3_column_int64(st, 1)};
        n++;
        *from_ms = span.at_ms + 1;
        if (span.ring == q->ring && span.at_ms >= q->since_ms)
            continue;
        if (sh_series_read(sh_sqlite_text(st, 2), &span.c))
            fn(arg, &span);
    }
    sqlite3_finalize(st);
    return got == 0 ? n == SLICE : -1;
}

bool sh_store_view_series(struct sh_store_view *v, const struct sh_series_query *q,
                          sh_series_fn *fn, void *arg, struct sh_error *err)
{
    int64_t from_ms = q->from_ms;
    int got;
    do
        got = read_slice(v, q, &from_ms, fn, arg, err);
    while (got == 1);
    return got == 0;
}
