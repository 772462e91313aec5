/* SPDX-License-Identifier: MIT
 * store_list.c: rows for people, oldest first, a page at a time.
 *
 * No read transaction stays open while the caller has a row: an open one would keep the engine's
 * log from being folded in for as long as somebody pages through a listing. Pages go on behind the
 * last key; records, whose order changes as they are written, are listed by a list of their ids
 * taken at the start. */
#include "core/store_impl.h"
#include "core/trace.h"
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

/* Parameters: ?1 ?2 key, ?3 id, ?4 order number of an event's id, ?5 state, ?6 type, ?7 since,
 * ?8 limit or offset, ?9 an event's id. */
struct kind {
    const char *columns, *from, *key, *key_down;
    const char *by_id, *by_event, *by_since;
    cJSON *(*row)(sqlite3_stmt *st, bool whole);
    int whole_from; /* columns from here on are for whole rows alone; 0 = all are for each */
};

#define STORED                                                                                     \
    "(e.seq IN (SELECT seq FROM sh_unfinished) OR"                                                 \
    " EXISTS(SELECT 1 FROM sh_runs r WHERE r.seq = e.seq AND r.outcome = 'retry') OR"              \
    " EXISTS(SELECT 1 FROM sh_runs r WHERE r.seq = e.seq AND r.outcome = 'paused'))"
#define DEAD "EXISTS(SELECT 1 FROM sh_runs r WHERE r.seq = e.seq AND r.outcome = 'dead')"

#define CALLBACK_HISTORY                                                                           \
    " (SELECT json_group_array(json_object('at', at_ms, 'what', what, 'by', by, 'detail', "        \
    "detail))"                                                                                     \
    " FROM (SELECT * FROM sh_callback_changes h WHERE h.id = c.id ORDER BY place))"

static void add_text(cJSON *row, const char *name, sqlite3_stmt *st, int i)
{
    char *text = sh_sqlite_dup(st, i);
    cJSON_AddItemToObject(row, name, text ? cJSON_CreateString(text) : cJSON_CreateNull());
    free(text);
}

static void add_time(cJSON *row, const char *name, sqlite3_stmt *st, int i)
{
    char text[SH_TIME_TEXT];
    bool none = sqlite3_column_type(st, i) == SQLITE_NULL;
    cJSON_AddItemToObject(
        row, name,
        none ? cJSON_CreateNull()
             : cJSON_CreateString(sh_time_text(sqlite3_column_int64(st, i), text)));
}

static void add_number(cJSON *row, const char *name, sqlite3_stmt *st, int i)
{
    cJSON_AddItemToObject(row, name, cJSON_CreateNumber((double)sqlite3_column_int64(st, i)));
}

static void add_number_or_null(cJSON *row, const char *name, sqlite3_stmt *st, int i)
{
    if (sqlite3_column_type(st, i) == SQLITE_NULL)
        cJSON_AddNullToObject(row, name);
    else
        add_number(row, name, st, i);
}

static void add_json(cJSON *row, const char *name, sqlite3_stmt *st, int i, const char *empty)
{
    struct sh_slice text = sh_sqlite_text(st, i);
    if (text.n == 0)
        text = sh_slice_str(empty);
    cJSON *tree = sh_json_parse(text.p, text.n, NULL);
    cJSON_AddItemToObject(row, name, tree ? tree : cJSON_CreateNull());
}

/* A time that most rows do not have. */
static void add_time_if(cJSON *row, const char *name, sqlite3_stmt *st, int i)
{
    if (sqlite3_column_type(st, i) != SQLITE_NULL)
        add_time(row, name, st, i);
}

static void add_trace(cJSON *row, struct sh_slice trace)
{
    char id[SH_TRACE_ID_BYTES + 1] = "";
    if (trace.n == SH_TRACE_TEXT - 1)
        memcpy(id, sh_trace_id(trace.p).p, SH_TRACE_ID_BYTES);
    cJSON_AddStringToObject(row, "trace_id", id);
}

static cJSON *event_row(sqlite3_stmt *st, bool whole)
{
    cJSON *row = cJSON_CreateObject();
    add_text(row, "id", st, 2);
    add_text(row, "source", st, 3);
    add_text(row, "type", st, 4);
    add_text(row, "key", st, 5);
    add_time(row, "received_at", st, 6);
    add_text(row, "state", st, 7);
    add_time_if(row, "due_at", st, 8);
    if (whole)
        add_json(row, "body", st, 9, "null");
    if (whole && sqlite3_column_type(st, 10) != SQLITE_NULL)
        add_trace(row, sh_sqlite_text(st, 10));
    return row;
}

static cJSON *run_row(sqlite3_stmt *st, bool whole)
{
    cJSON *row = cJSON_CreateObject();
    add_text(row, "event_id", st, 2);
    add_text(row, "rule", st, 1);
    add_text(row, "generation", st, 3);
    add_text(row, "outcome", st, 4);
    add_number(row, "attempts", st, 5);
    add_json(row, "effects", st, 6, "[]");
    add_text(row, "error", st, 7);
    cJSON_AddItemToObject(row, "duration_ms",
                          cJSON_CreateNumber((double)sqlite3_column_int64(st, 8) / 1000.0));
    add_json(row, "logs", st, 9, "[]");
    if (whole)
        add_json(row, "lookups", st, 10, "[]");
    return row;
}

/* [{"at","what","by","detail"}], times as text. */
static void add_history(cJSON *row, sqlite3_stmt *st, int i)
{
    char text[SH_TIME_TEXT];
    int64_t ms;
    add_json(row, "history", st, i, "[]");
    cJSON *change;
    cJSON_ArrayForEach(change, cJSON_GetObjectItemCaseSensitive(row, "history"))
    {
        cJSON *at = sh_json_get_int(sh_json_member(change, "at"), &ms)
                        ? cJSON_CreateString(sh_time_text(ms, text))
                        : cJSON_CreateNull();
        cJSON_ReplaceItemInObjectCaseSensitive(change, "at", at);
    }
}

static cJSON *callback_row(sqlite3_stmt *st, bool whole)
{
    cJSON *row = cJSON_CreateObject();
    add_text(row, "id", st, 2);
    add_text(row, "number", st, 3);
    add_text(row, "name", st, 4);
    add_time(row, "due_at", st, 5);
    add_text(row, "assignee", st, 6);
    add_text(row, "reason", st, 7);
    add_text(row, "status", st, 8);
    add_text(row, "note", st, 9);
    add_text(row, "event_id", st, 10);
    if (whole) {
        add_text(row, "rule", st, 11);
        add_text(row, "completes", st, 12);
        add_time(row, "created_at", st, 13);
        add_history(row, st, 14);
    }
    return row;
}

static cJSON *timer_row(sqlite3_stmt *st, bool whole)
{
    (void)whole;
    cJSON *row = cJSON_CreateObject();
    add_text(row, "name", st, 2);
    add_text(row, "kind", st, 3);
    add_time(row, "due_at", st, 4);
    add_text(row, "type", st, 5);
    add_text(row, "key", st, 6);
    add_text(row, "event_id", st, 7);
    add_text(row, "every", st, 8);
    add_text(row, "zone", st, 9);
    add_text(row, "local", st, 10);
    return row;
}

static cJSON *outbox_row(sqlite3_stmt *st, bool whole)
{
    cJSON *row = cJSON_CreateObject();
    add_text(row, "id", st, 2);
    add_text(row, "kind", st, 3);
    add_text(row, "to", st, 4);
    add_text(row, "state", st, 5);
    add_number(row, "attempts", st, 6);
    add_text(row, "error", st, 7);
    add_text(row, "event_id", st, 8);
    add_text(row, "key", st, 9);
    add_time(row, "next_at", st, 10);
    if (whole) {
        add_text(row, "lane", st, 11);
        add_number_or_null(row, "status", st, 12);
        add_text(row, "answer", st, 13);
        add_json(row, "recipients", st, 14, "null");
        add_json(row, "payload", st, 15, "null");
        add_text(row, "sent_to", st, 16);
    }
    return row;
}

static cJSON *generation_row(sqlite3_stmt *st, bool whole)
{
    (void)whole;
    cJSON *row = cJSON_CreateObject();
    add_text(row, "generation", st, 2);
    add_time(row, "live_at", st, 3);
    add_text(row, "cause", st, 4);
    add_json(row, "changes", st, 5, "[]");
    cJSON_AddBoolToObject(row, "live", sqlite3_column_int(st, 6));
    return row;
}

static cJSON *rule_row(sqlite3_stmt *st, bool whole)
{
    (void)whole;
    cJSON *row = cJSON_CreateObject();
    add_text(row, "rule", st, 1);
    add_text(row, "state", st, 2);
    add_number(row, "failures", st, 3);
    add_number(row, "kept", st, 4);
    add_time(row, "since", st, 5);
    add_text(row, "by", st, 6);
    add_text(row, "error", st, 7);
    add_text(row, "event_id", st, 8);
    return row;
}

static cJSON *record_row(sqlite3_stmt *st)
{
    cJSON *row = cJSON_CreateObject();
    add_text(row, "id", st, 0);
    add_json(row, "doc", st, 1, "null");
    add_time(row, "updated_at", st, 2);
    return row;
}

#define LANE_PAUSE " FROM sh_lanes l WHERE l.lane = o.lane"

static const struct kind kinds[] = {
    [SH_LIST_EVENTS] = {.columns = "e.seq, '', e.id, e.source, e.type, e.key, e.received_ms,"
                                   " CASE WHEN " STORED " THEN 'stored' WHEN " DEAD
                                   " THEN 'dead' ELSE 'done' END, e.due_ms, e.body, e.trace",
                        .from = "sh_events e",
                        .key = "e.seq, ''",
                        .key_down = "e.seq DESC",
                        .by_id = " AND e.seq = ?4 AND e.id = ?3",
                        .by_event = " AND e.seq = ?4 AND e.id = ?9",
                        .by_since = " AND e.received_ms >= ?7",
                        .row = event_row,
                        .whole_from = 9},
    [SH_LIST_RUNS] = {.columns = "r.seq, r.rule, e.id, r.generation, r.outcome, r.attempts,"
                                 " r.effects, r.error, r.duration_us, r.logs, r.lookups",
                      .from = "sh_runs r JOIN sh_events e ON e.seq = r.seq",
                      .key = "r.seq, r.rule",
                      .key_down = "r.seq DESC, r.rule DESC",
                      .by_id = " AND r.seq = ?4 AND e.id = ?3",
                      .by_event = " AND r.seq = ?4 AND e.id = ?9",
                      .by_since = " AND r.started_ms >= ?7",
                      .row = run_row,
                      .whole_from = 10},
    [SH_LIST_CALLBACKS] = {.columns = "rowid, '', id, number, name, due_ms, assignee, reason,"
                                      " status, note, event_id, rule, completes, created_ms,"
                                      " CASE WHEN ?3 IS NOT NULL THEN" CALLBACK_HISTORY " END",
                           .from = "sh_callbacks c",
                           .key = "rowid, ''",
                           .key_down = "rowid DESC",
                           .by_id = " AND id = ?3",
                           .by_event = " AND event_id = ?9",
                           .by_since = " AND created_ms >= ?7",
                           .row = callback_row,
                           .whole_from = 11},
    /* what waits for a target that is down says so, and when it is tried again */
    [SH_LIST_OUTBOX] = {.columns = "rowid, '', id, kind, recipient, state, attempts,"
                                   " CASE WHEN state = 'queued' THEN"
                                   " coalesce(error, (SELECT 'waits for its target: ' ||"
                                   " coalesce(why, 'it is down')" LANE_PAUSE ")) ELSE error END,"
                                   " event_id, key, CASE WHEN state = 'queued' THEN"
                                   " coalesce(nullif(next_ms, 0), (SELECT until_ms" LANE_PAUSE
                                   ")) END, lane, status, answer, recipients, payload, sent_to",
                        .from = "sh_outbox o",
                        .key = "rowid, ''",
                        .key_down = "rowid DESC",
                        .by_id = " AND id = ?3",
                        .by_event = " AND event_id = ?9",
                        .by_since = " AND created_ms >= ?7",
                        .row = outbox_row,
                        .whole_from = 11},
    /* in the order they were set; unnamed ones have a name of the store's own */
    [SH_LIST_TIMERS] = {.columns = "seq, '', CASE WHEN substr(name, 1, 2) IN ('n:', 'c:') THEN"
                                   " substr(name, 3) END, CASE WHEN every IS NULL THEN 'timer'"
                                   " ELSE 'clock' END, due_ms, type, key, event_id, every, zone,"
                                   " local",
                        .from = "sh_timers",
                        .key = "seq, ''",
                        .key_down = "seq DESC",
                        .by_id = " AND name IN ('n:' || ?3, 'c:' || ?3)",
                        .by_event = " AND event_id = ?9",
                        .by_since = " AND created_ms >= ?7",
                        .row = timer_row},
    [SH_LIST_GENERATIONS] = {.columns = "seq, '', generation, live_ms, cause, changes,"
                                        " seq = (SELECT max(seq) FROM sh_generation_lives)",
                             .from = "sh_generation_lives",
                             .key = "seq, ''",
                             .key_down = "seq DESC",
                             .by_id = " AND generation = ?3",
                             .by_event = "",
                             .by_since = " AND live_ms >= ?7",
                             .row = generation_row},
    [SH_LIST_RULES] = {.columns = "0, rule, state, failures, (SELECT count(*) FROM sh_runs r"
                                  " WHERE r.outcome = 'paused' AND r.rule = sh_rules.rule),"
                                  " CASE WHEN state <> 'on' THEN since_ms END,"
                                  " CASE WHEN state <> 'on' THEN by END, error, event_id",
                       .from = "sh_rules",
                       .key = "rule IS NULL, rule", /* 0: a bare one would name a column */
                       .key_down = "rule DESC",
                       .by_id = " AND rule = ?3",
                       .by_event = " AND event_id = ?9",
                       .by_since = " AND since_ms >= ?7",
                       .row = rule_row},
};

static const char *state_clause(const struct sh_list_query *q)
{
    switch (q->what) {
    case SH_LIST_RUNS:
        return " AND r.outcome = ?5";
    case SH_LIST_CALLBACKS:
        return strcmp(q->state, "open") == 0
                   ? " AND status IN ('scheduled', 'snoozed', 'due', 'missed')"
                     " AND ?5 = 'open'"
                   : " AND status = ?5";
    case SH_LIST_TIMERS:
    case SH_LIST_GENERATIONS:
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
               " AND NOT " STORED " AND ?5 = 'dead'";
    return " AND NOT " STORED " AND NOT " DEAD " AND ?5 = 'done'";
}

static void put_where(struct sh_buf *sql, const struct lister *l, const struct kind *k)
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
static bool find_start(struct lister *l, const struct kind *k, struct sh_error *err)
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

/* One page into rows. *more: there may be others behind it. */
static bool take_page(struct lister *l, const struct kind *k, sqlite3_stmt *st, cJSON **rows,
                      size_t *n, bool *more, struct sh_error *err)
{
    const bool whole = l->q->id || (l->q->event_id && l->q->what == SH_LIST_RUNS);
    size_t bytes = 0;
    int got = 0;
    *n = 0;
    while (*n < PAGE_ROWS && bytes < PAGE_BYTES && (got = sh_sqlite_step(st, err)) == 1) {
        set_key(l, st);
        for (int i = 0; i < (whole || !k->whole_from ? sqlite3_data_count(st) : k->whole_from); i++)
            bytes += (size_t)sqlite3_column_bytes(st, i);
        rows[(*n)++] = k->row(st, whole);
    }
    l->inclusive = false;
    *more = got == 1;
    if (got < 0)
        delete_rows(rows, *n);
    return got >= 0;
}

static bool list_pages(struct lister *l, const struct kind *k, struct sh_error *err)
{
    cJSON *rows[PAGE_ROWS];
    bool more = true, wanted = true;
    while (more && wanted) {
        struct sh_buf sql;
        size_t n;
        sh_buf_init(&sql, 16384);
        sh_buf_addf(&sql, "SELECT %s FROM %s", k->columns, k->from);
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
        cJSON *row = record_row(st);
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
    if ((size_t)q->what >= sizeof(kinds) / sizeof(*kinds))
        return sh_error_set(err, SH_EINVAL, "the store has no list of kind %d", (int)q->what);
    bool known = !q->state || q->what != SH_LIST_EVENTS;
    for (size_t i = 0; !known && i < 3; i++)
        known = strcmp(q->state, event_states[i]) == 0;
    if (!known)
        return sh_error_set(err, SH_EINVAL, "event state \"%.40s\": expected stored, done or dead",
                            q->state);
    const struct kind *k = &kinds[q->what];
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
