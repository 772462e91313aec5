/* SPDX-License-Identifier: MIT
 * store_prune.c: what is over and old enough is removed, in small slices: never what is unfinished.
 */
#include "core/store_impl.h"
#include "svc/crypto.h"

#include <stdlib.h>
#include <string.h>

#define SWEEP_ROWS 4 /* rows that a slice of a sweep looks at, for each that it may remove */
#define DAY_MS     (24LL * 3600 * 1000)

/* --- events ------------------------------------------------------------------- */

#define SEQ_SHIFT 12 /* id.h: an order number is milliseconds << 12 | counter */

struct victim {
    int64_t seq;
    uint8_t hash[SH_SHA256_BYTES];
};

static bool find_victims(struct sh_store *s, int64_t before_ms, size_t limit, struct victim *out,
                         size_t *n, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_PRUNE_FIND, err);
    if (!st)
        return false;
    /* an id is never older than its event was: the bound on seq ends the scan */
    const int64_t most = INT64_MAX >> SEQ_SHIFT;
    int64_t before = before_ms < 0 ? 0 : before_ms < most ? before_ms : most;
    sh_sqlite_bind_int(st, 1, before << SEQ_SHIFT);
    sh_sqlite_bind_int(st, 2, before_ms);
    sh_sqlite_bind_int(st, 3, (int64_t)limit);
    int got;
    while ((got = sh_sqlite_step(st, err)) == 1) {
        struct victim *v = &out[(*n)++];
        v->seq = sqlite3_column_int64(st, 0);
        sh_store_dedupe_hash(sh_sqlite_text(st, 1), sh_sqlite_text(st, 2), v->hash);
    }
    return got == 0;
}

static bool remove_event(struct sh_store *s, const struct victim *v, struct sh_error *err)
{
    static const enum sh_stmt by_seq[] = {SH_ST_PRUNE_RUNS, SH_ST_PRUNE_EVENT};
    for (size_t i = 0; i < 2; i++) {
        sqlite3_stmt *st = sh_store_stmt(&s->w, by_seq[i], err);
        if (!st)
            return false;
        sh_sqlite_bind_int(st, 1, v->seq);
        if (!sh_sqlite_run(st, err))
            return false;
    }
    return sh_store_dedupe_remove(s, v->hash, v->seq, err);
}

static bool prune_events(struct sh_store *s, int64_t before_ms, size_t limit, size_t *removed,
                         struct sh_error *err)
{
    struct victim *victims = sh_alloc(limit, sizeof(*victims));
    size_t n = 0;
    bool ok = find_victims(s, before_ms, limit, victims, &n, err);
    for (size_t i = 0; ok && i < n; i++)
        ok = remove_event(s, &victims[i], err);
    free(victims);
    *removed += n;
    return ok;
}

/* --- what has an age of its own ----------------------------------------------- */

/* sql: ?1 the time before which, ?2 how many at most; ?3 the same time as an order of events. */
static bool prune_rows(struct sh_store *s, const char *sql, int64_t before_ms, size_t limit,
                       size_t *removed, struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(s->w.db, sql, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, before_ms);
    sh_sqlite_bind_int(st, 2, (int64_t)limit);
    if (sqlite3_bind_parameter_count(st) > 2)
        sh_sqlite_bind_int(st, 3, before_ms << SEQ_SHIFT);
    bool ok = sh_sqlite_run(st, err);
    if (ok && removed)
        *removed += (size_t)sqlite3_changes(s->w.db);
    sqlite3_finalize(st);
    return ok;
}

/* Of an event that is not finished a run's row says that its rule has had its turn: it stays. */
#define OLD_RUNS                                                                                   \
    "DELETE FROM sh_runs WHERE (seq, rule) IN (SELECT seq, rule FROM sh_runs r WHERE seq < ?3"     \
    " AND started_ms < ?1 AND outcome IN ('done', 'dropped')"                                      \
    " AND NOT EXISTS(SELECT 1 FROM sh_unfinished u WHERE u.seq = r.seq) LIMIT ?2)"
#define OLD_CALLBACKS                                                                              \
    "SELECT id FROM sh_callbacks WHERE closed_ms < ?1 AND status IN ('done', 'cancelled')"         \
    " ORDER BY closed_ms LIMIT ?2"
/* They lie in the order of their age: where the first ones are young, the others are not looked at.
 */
#define OLD_AUDIT                                                                                  \
    "DELETE FROM sh_audit WHERE seq IN (SELECT seq FROM (SELECT seq, at_ms FROM sh_audit ORDER BY" \
    " seq LIMIT ?2) WHERE at_ms < ?1)"

#define OLD_SERIES                                                                                 \
    "DELETE FROM sh_series WHERE at_ms IN (SELECT at_ms FROM sh_series WHERE at_ms < ?1"           \
    " ORDER BY at_ms LIMIT ?2)"

static bool prune_callbacks(struct sh_store *s, int64_t before_ms, size_t limit, size_t *removed,
                            struct sh_error *err)
{
    return prune_rows(s, "DELETE FROM sh_callback_changes WHERE id IN (" OLD_CALLBACKS ")",
                      before_ms, limit, NULL, err) &&
           prune_rows(s, "DELETE FROM sh_callbacks WHERE id IN (" OLD_CALLBACKS ")", before_ms,
                      limit, removed, err);
}

/* --- rule sets ------------------------------------------------------------------ */

/* One that is not live and was followed by another before then. What ran under it is older, and
 * gone; but for what waits to be redriven or resumed. */
#define OLD_GENERATION                                                                             \
    "SELECT g.id FROM sh_generations g WHERE g.id <> (SELECT generation FROM sh_generation_lives"  \
    " ORDER BY seq DESC LIMIT 1) AND (SELECT max(n.live_ms) FROM sh_generation_lives l"            \
    " JOIN sh_generation_lives n ON n.seq = (SELECT min(seq) FROM sh_generation_lives"             \
    " WHERE seq > l.seq) WHERE l.generation = g.id) < ?1"                                          \
    " AND NOT EXISTS(SELECT 1 FROM sh_runs r WHERE r.outcome = 'dead' AND r.generation = g.id)"    \
    " AND NOT EXISTS(SELECT 1 FROM sh_runs r WHERE r.outcome = 'paused' AND r.generation = g.id)"  \
    " AND NOT EXISTS(SELECT 1 FROM sh_runs r WHERE r.outcome = 'retry' AND r.generation = g.id)"   \
    " LIMIT 1"

static bool drop_generation(struct sh_store *s, const char *id, struct sh_error *err)
{
    static const char *const sql[] = {
        "DELETE FROM sh_generation_parts WHERE generation = ?1",
        "DELETE FROM sh_generation_lives WHERE generation = ?1",
        "DELETE FROM sh_generations WHERE id = ?1",
        "DELETE FROM sh_generation_texts WHERE id NOT IN (SELECT text FROM sh_generation_parts)",
    };
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof(sql) / sizeof(*sql); i++) {
        sqlite3_stmt *st = sh_sqlite_prepare(s->w.db, sql[i], err);
        if (st && sqlite3_bind_parameter_count(st))
            sh_sqlite_bind_str(st, 1, id);
        ok = st && sh_sqlite_run(st, err);
        sqlite3_finalize(st);
    }
    return ok;
}

static bool prune_generation(struct sh_store *s, int64_t before_ms, struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(s->w.db, OLD_GENERATION, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, before_ms);
    int got = sh_sqlite_step(st, err);
    char *id = got == 1 ? sh_sqlite_dup(st, 0) : NULL;
    sqlite3_finalize(st);
    bool ok = got >= 0 && (!id || drop_generation(s, id, err));
    free(id);
    return ok;
}

/* --- records -------------------------------------------------------------------- */

static int64_t age_of(const struct sh_retain *r, struct sh_slice collection)
{
    for (size_t i = 0; i < r->n_collections; i++)
        if (sh_slice_eq(sh_slice_str(r->collections[i].name), collection))
            return r->collections[i].ms;
    return r->records_ms;
}

/* Records have no order by age; a sweep looks at each, by the order of rows. */
static bool sweep_records(struct sh_store *s, struct sh_op_prune *op, size_t *removed,
                          struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(s->w.db,
                                         "SELECT rowid, collection, updated_ms FROM sh_records"
                                         " WHERE rowid > ?1 ORDER BY rowid LIMIT ?2",
                                         err);
    const size_t most = op->limit * SWEEP_ROWS;
    size_t n = 0, seen = 0;
    int64_t *rows = sh_alloc(most, sizeof(*rows));
    int got = -1;
    if (st) {
        sh_sqlite_bind_int(st, 1, op->sweep_row);
        sh_sqlite_bind_int(st, 2, (int64_t)most);
    }
    while (st && (got = sh_sqlite_step(st, err)) == 1) {
        int64_t age_ms = age_of(op->retain, sh_sqlite_text(st, 1));
        op->swept_to = sqlite3_column_int64(st, 0);
        seen++;
        if (age_ms > 0 && sqlite3_column_int64(st, 2) < op->now_ms - age_ms)
            rows[n++] = op->swept_to;
    }
    sqlite3_finalize(st);
    st = got == 0 && n ? sh_sqlite_prepare(s->w.db, "DELETE FROM sh_records WHERE rowid = ?1", err)
                       : NULL;
    bool ok = got == 0 && (!n || st);
    for (size_t i = 0; ok && i < n; i++) {
        sh_sqlite_bind_int(st, 1, rows[i]);
        ok = sh_sqlite_run(st, err);
    }
    sqlite3_finalize(st);
    free(rows);
    *removed += n;
    op->swept = seen < most;
    return ok;
}

/* --- a slice -------------------------------------------------------------------- */

static int64_t longest(int64_t a, int64_t b)
{
    return a <= 0 || b <= 0 ? 0 : a > b ? a : b;
}

static bool sweep(struct sh_store *s, struct sh_op_prune *op, struct sh_error *err)
{
    const struct sh_retain *r = op->retain;
    size_t removed = 0;
    int64_t generations_ms = longest(r->generations_ms, longest(r->events_ms, r->runs_ms));
    op->swept = true;
    op->swept_to = op->sweep_row;
    if (generations_ms > 0 && !prune_generation(s, op->now_ms - generations_ms - DAY_MS, err))
        return false;
    bool ok = (r->records_ms <= 0 && r->n_collections == 0) || sweep_records(s, op, &removed, err);
    op->removed += removed;
    return ok;
}

static bool prune_by_age(struct sh_store *s, struct sh_op_prune *op, struct sh_error *err)
{
    const struct sh_retain *r = op->retain;
    const int64_t now = op->now_ms;
    if (!sh_store_sessions_expire(s, now, err))
        return false;
    if (r->events_ms > 0 && !prune_events(s, now - r->events_ms, op->limit, &op->removed, err))
        return false;
    if (r->runs_ms > 0 && r->runs_ms != r->events_ms && op->removed < op->limit &&
        !prune_rows(s, OLD_RUNS, now - r->runs_ms, op->limit - op->removed, &op->removed, err))
        return false;
    if (r->outbox_ms > 0 && op->removed < op->limit) {
        op->before_ms = now - r->outbox_ms;
        if (!sh_store_prune_outbox(s, op, op->limit - op->removed, err))
            return false;
    }
    if (r->callbacks_ms > 0 && op->removed < op->limit &&
        !prune_callbacks(s, now - r->callbacks_ms, op->limit - op->removed, &op->removed, err))
        return false;
    if (r->audit_ms > 0 && op->removed < op->limit &&
        !prune_rows(s, OLD_AUDIT, now - r->audit_ms, op->limit - op->removed, &op->removed, err))
        return false;
    if (op->removed < op->limit && !prune_rows(s, OLD_SERIES, now - SH_SERIES_KEPT_MS,
                                               op->limit - op->removed, &op->removed, err))
        return false;
    return !op->sweep || sweep(s, op, err);
}

bool sh_store_prune(struct sh_store *s, struct sh_op_prune *op, struct sh_error *err)
{
    if (op->limit == 0 || op->limit > 100000)
        return sh_error_set(err, SH_EINVAL, "prune limit %zu out of range 1..100000", op->limit);
    if (op->retain)
        return prune_by_age(s, op, err);
    if (!prune_events(s, op->before_ms, op->limit, &op->removed, err))
        return false;
    return op->removed == op->limit || sh_store_prune_outbox(s, op, op->limit - op->removed, err);
}
