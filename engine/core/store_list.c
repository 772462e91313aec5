/* SPDX-License-Identifier: MIT
 * store_list.c: rows for people, oldest first, a page at a time.
 *
 * No read transaction stays open while the caller has a row: an open one would keep the engine's
 * log from being folded in for as long as somebody pages through a listing. Pages go on behind the
 * last key; records, whose order changes as they are written, are listed by a list of their ids
 * taken at the start. */
#include "core/store_rows.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_ROWS  500
#define PAGE_BYTES ((size_t)4 << 20)

struct lister {
    sqlite3 *db;
    const struct sh_list_query *q;
    sh_list_fn *fn;
    void *arg;
    int64_t k1; /* key of the last row, or of the first one wanted */
    char *k2;
    bool inclusive;
};

static const char *state_clause(const struct sh_list_query *q)
{
    switch (q->what) {
    case SH_LIST_RUNS:
        return " AND r.outcome = ?5";
    case SH_LIST_CALLBACKS:
        return strcmp(q->state, "open") == 0 ? " AND " SH_CALLBACK_OPEN " AND ?5 = 'open'"
                                             : " AND status = ?5";
    case SH_LIST_TIMERS:
    case SH_LIST_GENERATIONS:
    case SH_LIST_AUDIT:
        return ""; /* they have none */
    case SH_LIST_OUTBOX:
    case SH_LIST_RULES:
        return " AND state = ?5";
    default:
        break;
    }
    if (strcmp(q->state, "stored") == 0) /* by the small indexes, not by looking at every event */
        return " AND e.seq IN (SELECT seq FROM sh_unfinished UNION"
               " SELECT seq FROM sh_runs WHERE outcome = 'retry' UNION"
               " SELECT seq FROM sh_runs WHERE outcome = 'paused') AND ?5 = 'stored'";
    if (strcmp(q->state, "dead") == 0)
        return " AND e.seq IN (SELECT seq FROM sh_runs WHERE outcome = 'dead')"
               " AND NOT " SH_EVENT_STORED " AND ?5 = 'dead'";
    return " AND NOT " SH_EVENT_STORED " AND NOT " SH_EVENT_DEAD " AND ?5 = 'done'";
}

static void put_where(struct sh_buf *sql, const struct lister *l, const struct sh_store_kind *k)
{
    sh_buf_addf(sql, " WHERE (%s) %s (?1, ?2)", k->key, l->inclusive ? ">=" : ">");
    if (l->q->id)
        sh_buf_adds(sql, k->by_id);
    if (l->q->event_id)
        sh_buf_adds(sql, k->by_event);
    if (l->q->state)
        sh_buf_adds(sql, state_clause(l->q));
    if (l->q->type && l->q->what == SH_LIST_EVENTS)
        sh_buf_adds(sql, " AND e.type = ?6");
    if (l->q->since_ms)
        sh_buf_adds(sql, k->by_since);
}

static void bind_if(sqlite3_stmt *st, int i, const char *s)
{
    if (i <= sqlite3_bind_parameter_count(st))
        sh_sqlite_bind_str(st, i, s);
}

static sqlite3_stmt *prepare(struct lister *l, const char *sql, int64_t limit, struct sh_error *err)
{
    const struct sh_list_query *q = l->q;
    const char *event = q->event_id ? q->event_id : q->id;
    struct sh_id id;
    int64_t order = -1; /* no event has it */
    sqlite3_stmt *st = sh_sqlite_prepare(l->db, sql, err);
    if (!st)
        return NULL;
    if (event && sh_id_parse(event, strlen(event), &id))
        order = sh_id_order(id);
    sh_sqlite_bind_int(st, 1, l->k1);
    bind_if(st, 2, l->k2 ? l->k2 : "");
    bind_if(st, 3, q->id);
    sh_sqlite_bind_int(st, 4, order);
    bind_if(st, 5, q->state);
    bind_if(st, 6, q->type);
    sh_sqlite_bind_int(st, 7, q->since_ms);
    sh_sqlite_bind_int(st, 8, limit);
    bind_if(st, 9, q->event_id);
    return st;
}

static void set_key(struct lister *l, sqlite3_stmt *st)
{
    l->k1 = sqlite3_column_int64(st, 0);
    free(l->k2);
    l->k2 = sh_sqlite_dup(st, 1);
}

/* With a limit: start at the key of the oldest row within it. */
static bool find_start(struct lister *l, const struct sh_store_kind *k, struct sh_error *err)
{
    struct sh_buf sql;
    l->k1 = INT64_MIN;
    l->inclusive = true;
    if (l->q->limit == 0)
        return true;
    sh_buf_init(&sql, 16384);
    sh_buf_addf(&sql, "SELECT %s FROM %s", k->key, k->from);
    put_where(&sql, l, k);
    sh_buf_addf(&sql, " ORDER BY %s LIMIT 1 OFFSET ?8", k->key_down);
    sqlite3_stmt *st = prepare(l, sql.data, (int64_t)l->q->limit - 1, err);
    sh_buf_free(&sql);
    if (!st)
        return false;
    int got = sh_sqlite_step(st, err);
    if (got == 1)
        set_key(l, st);
    sqlite3_finalize(st);
    return got >= 0;
}

static void delete_rows(cJSON **rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        cJSON_Delete(rows[i]);
}

static bool is_whole(const struct sh_list_query *q)
{
    return q->id || (q->event_id && q->what == SH_LIST_RUNS);
}

/* One page into rows. *more: there may be others behind it. */
static bool take_page(struct lister *l, const struct sh_store_kind *k, sqlite3_stmt *st,
                      cJSON **rows, size_t *n, bool *more, struct sh_error *err)
{
    const struct sh_store_row row = {.st = st, .whole = is_whole(l->q)};
    size_t bytes = 0;
    int got = 0;
    *n = 0;
    while (*n < PAGE_ROWS && bytes < PAGE_BYTES && (got = sh_sqlite_step(st, err)) == 1) {
        set_key(l, st);
        for (int i = 0; i < sqlite3_data_count(st); i++)
            bytes += (size_t)sqlite3_column_bytes(st, i);
        rows[(*n)++] = k->row(&row);
    }
    l->inclusive = false;
    *more = got == 1;
    if (got < 0)
        delete_rows(rows, *n);
    return got >= 0;
}

static bool list_pages(struct lister *l, const struct sh_store_kind *k, struct sh_error *err)
{
    cJSON *rows[PAGE_ROWS];
    bool more = true, wanted = true;
    while (more && wanted) {
        struct sh_buf sql;
        size_t n;
        sh_buf_init(&sql, 16384);
        sh_buf_addf(&sql, "SELECT %s%s FROM %s", k->columns, is_whole(l->q) ? k->whole : "",
                    k->from);
        put_where(&sql, l, k);
        sh_buf_addf(&sql, " ORDER BY %s LIMIT ?8", k->key);
        sqlite3_stmt *st = prepare(l, sql.data, PAGE_ROWS + 1, err);
        sh_buf_free(&sql);
        if (!st)
            return false;
        bool ok = take_page(l, k, st, rows, &n, &more, err);
        sqlite3_finalize(st);
        if (!ok)
            return false;
        for (size_t i = 0; i < n && wanted; i++)
            wanted = l->fn(l->arg, rows[i]);
        delete_rows(rows, n);
    }
    return true;
}

/* --- records ----------------------------------------------------------------- */

struct ids {
    char **id;
    size_t n;
};

static bool record_ids(struct lister *l, struct ids *ids, struct sh_error *err)
{
    const struct sh_list_query *q = l->q;
    sqlite3_stmt *st = sh_sqlite_prepare(
        l->db,
        "SELECT id FROM (SELECT id, version FROM sh_records WHERE collection = ?1"
        " AND (?2 IS NULL OR id = ?2) AND updated_ms >= ?3 ORDER BY version DESC LIMIT ?4)"
        " ORDER BY version",
        err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, q->collection);
    sh_sqlite_bind_str(st, 2, q->id);
    sh_sqlite_bind_int(st, 3, q->since_ms ? q->since_ms : INT64_MIN);
    sh_sqlite_bind_int(st, 4, q->limit ? (int64_t)q->limit : -1);
    int got;
    while ((got = sh_sqlite_step(st, err)) == 1) {
        if (ids->n % 1024 == 0)
            ids->id = sh_realloc(ids->id, (ids->n + 1024) * sizeof(*ids->id));
        ids->id[ids->n++] = sh_sqlite_dup(st, 0);
    }
    sqlite3_finalize(st);
    return got == 0;
}

static bool list_ids(struct lister *l, const struct ids *ids, struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(
        l->db, "SELECT id, doc, updated_ms FROM sh_records WHERE collection = ?1 AND id = ?2", err);
    bool ok = st != NULL, wanted = true;
    for (size_t i = 0; ok && wanted && i < ids->n; i++) {
        sh_sqlite_bind_str(st, 1, l->q->collection);
        sh_sqlite_bind_str(st, 2, ids->id[i]);
        int got = sh_sqlite_step(st, err);
        ok = got >= 0;
        if (got != 1)
            continue; /* deleted meanwhile */
        cJSON *row = sh_store_record_row(&(struct sh_store_row){.st = st}, 0);
        sqlite3_reset(st);
        wanted = l->fn(l->arg, row);
        cJSON_Delete(row);
    }
    sqlite3_finalize(st);
    return ok;
}

static bool list_records(struct lister *l, struct sh_error *err)
{
    struct ids ids = {0};
    if (!l->q->collection)
        return sh_error_set(err, SH_EINVAL, "which collection is to be listed?");
    bool ok = record_ids(l, &ids, err) && list_ids(l, &ids, err);
    for (size_t i = 0; i < ids.n; i++)
        free(ids.id[i]);
    free(ids.id);
    return ok;
}

bool sh_store_list_on(sqlite3 *db, const struct sh_list_query *q, sh_list_fn *fn, void *arg,
                      struct sh_error *err)
{
    static const char *const event_states[] = {"stored", "done", "dead"};
    struct lister l = {.db = db, .q = q, .fn = fn, .arg = arg};
    if (q->what == SH_LIST_RECORDS)
        return list_records(&l, err);
    const struct sh_store_kind *k = sh_store_kind(q->what);
    if (!k)
        return sh_error_set(err, SH_EINVAL, "the store has no list of kind %d", (int)q->what);
    bool known = !q->state || q->what != SH_LIST_EVENTS;
    for (size_t i = 0; !known && i < 3; i++)
        known = strcmp(q->state, event_states[i]) == 0;
    if (!known)
        return sh_error_set(err, SH_EINVAL, "event state \"%.40s\": expected stored, done or dead",
                            q->state);
    bool ok = find_start(&l, k, err) && list_pages(&l, k, err);
    free(l.k2);
    return ok;
}

bool sh_store_list(struct sh_store *s, const struct sh_list_query *q, sh_list_fn *fn, void *arg,
                   struct sh_error *err)
{
    sh_require(!s->threads_up);
    return sh_store_list_on(s->w.db, q, fn, arg, err);
}
