/* SPDX-License-Identifier: MIT
 * store_page.c: rows for the API, a page at a time, however many there are.
 *
 * First the keys of the page: rows are walked in the order of their key, and a filter that no index
 * serves is a column of the walk, so that what is looked at can be counted, and the walk ends where
 * it has looked enough. Then the rows themselves, by key. One read transaction for both. */
#include "core/store_rows.h"
#include "svc/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROWS    1000
#define CLOCK_EVERY 64 /* rows between looks at the clock */
#define SLACK_MS    60000
#define SQL_BYTES   16384
#define LITERAL(n)  LITERAL_(n)
#define LITERAL_(n) #n
#define LOOKS       LITERAL(SH_STORE_LOOKS)

/* The order a kind of row is walked in. */
struct walk {
    const char *k1, *k2; /* the key, as columns */
    const char *from;
    const char *up, *down;       /* ORDER BY */
    const char *behind, *before; /* ?1 ?2, ascending and descending */
    const char *one;             /* the row of the key ?1 ?2; ?3: the collection */
};

#define BY_SEQ(table, alias)                                                                       \
    {                                                                                              \
        .k1 = alias "seq", .k2 = "''", .from = (table), .up = alias "seq",                         \
        .down = alias "seq DESC", .behind = alias "seq > ?1", .before = alias "seq < ?1",          \
        .one = alias "seq = ?1"                                                                    \
    }

static const struct walk walks[] = {
    [SH_LIST_EVENTS] = BY_SEQ("sh_events e", "e."),
    [SH_LIST_RUNS] = {.k1 = "r.seq",
                      .k2 = "r.rule",
                      .from = "sh_runs r",
                      .up = "r.seq, r.rule",
                      .down = "r.seq DESC, r.rule DESC",
                      .behind = "(r.seq, r.rule) > (?1, ?2)",
                      .before = "(r.seq, r.rule) < (?1, ?2)",
                      .one = "r.seq = ?1 AND r.rule = ?2"},
    [SH_LIST_RECORDS] = {.k1 = "0",
                         .k2 = "id",
                         .from = "sh_records",
                         .up = "id",
                         .down = "id DESC",
                         .behind = "id > ?2",
                         .before = "id < ?2",
                         .one = "collection = ?3 AND id = ?2"},
    [SH_LIST_CALLBACKS] = BY_SEQ("sh_callbacks c", ""),
    [SH_LIST_OUTBOX] = BY_SEQ("sh_outbox o", ""),
    [SH_LIST_TIMERS] = BY_SEQ("sh_timers", ""),
    [SH_LIST_GENERATIONS] = BY_SEQ("sh_generation_lives", ""),
    [SH_LIST_RULES] = {0},
    [SH_LIST_AUDIT] = BY_SEQ("sh_audit", ""),
};

/* What each filter asks of a row. hard: an index finds such rows; else each row is looked at. */
struct filter {
    enum sh_list_what what;
    bool is_text, hard;
    size_t member;   /* of struct sh_list_query */
    const char *sql; /* what stands before the value */
};
#define TEXT(what, member, sql)                                                                    \
    {                                                                                              \
        what, true, false, offsetof(struct sh_list_query, member), sql                             \
    }
#define HARD(what, member, sql)                                                                    \
    {                                                                                              \
        what, true, true, offsetof(struct sh_list_query, member), sql                              \
    }
#define TIME(what, member, sql)                                                                    \
    {                                                                                              \
        what, false, false, offsetof(struct sh_list_query, member), sql                            \
    }

static const struct filter filters[] = {
    TEXT(SH_LIST_EVENTS, source, "e.source ="),
    TEXT(SH_LIST_EVENTS, type, "e.type ="),
    TEXT(SH_LIST_EVENTS, key, "e.key ="),
    TEXT(SH_LIST_EVENTS, cause, "e.cause ="),
    TIME(SH_LIST_EVENTS, since_ms, "e.received_ms >="),
    TIME(SH_LIST_EVENTS, until_ms, "e.received_ms <"),
    TEXT(SH_LIST_RUNS, rule, "r.rule ="),
    TEXT(SH_LIST_RUNS, generation, "r.generation ="),
    TIME(SH_LIST_RUNS, since_ms, "r.started_ms >="),
    TIME(SH_LIST_RUNS, until_ms, "r.started_ms <"),
    HARD(SH_LIST_RECORDS, collection, "collection ="),
    TIME(SH_LIST_RECORDS, since_ms, "updated_ms >="),
    HARD(SH_LIST_CALLBACKS, event_id, "event_id ="),
    TEXT(SH_LIST_CALLBACKS, assignee, "assignee COLLATE NOCASE ="),
    TIME(SH_LIST_CALLBACKS, since_ms, "created_ms >="),
    TIME(SH_LIST_CALLBACKS, due_after_ms, "due_ms >="),
    TIME(SH_LIST_CALLBACKS, due_before_ms, "due_ms <"),
    HARD(SH_LIST_OUTBOX, event_id, "event_id ="),
    TEXT(SH_LIST_OUTBOX, kind, "kind ="),
    TEXT(SH_LIST_OUTBOX, lane, "lane ="),
    TEXT(SH_LIST_OUTBOX, rule, "rule ="),
    TIME(SH_LIST_OUTBOX, since_ms, "created_ms >="),
    TEXT(SH_LIST_TIMERS, event_id, "event_id ="),
    TEXT(SH_LIST_TIMERS, type, "type ="),
    TEXT(SH_LIST_TIMERS, key, "key ="),
    TEXT(SH_LIST_TIMERS, rule, "rule ="),
    TEXT(SH_LIST_TIMERS, kind, "CASE WHEN every IS NULL THEN 'timer' ELSE 'clock' END ="),
    TIME(SH_LIST_TIMERS, due_after_ms, "due_ms >="),
    TIME(SH_LIST_TIMERS, due_before_ms, "due_ms <"),
    TIME(SH_LIST_GENERATIONS, since_ms, "live_ms >="),
    TEXT(SH_LIST_AUDIT, who, "who ="),
    TEXT(SH_LIST_AUDIT, action, "action ="),
    TEXT(SH_LIST_AUDIT, target, "target ="),
    TIME(SH_LIST_AUDIT, since_ms, "at_ms >="),
    TIME(SH_LIST_AUDIT, until_ms, "at_ms <"),
};
#define N_FILTERS      (sizeof(filters) / sizeof(*filters))
#define FIRST_FILTER   10 /* its parameter: ?10, ... */
#define PARAM_STATE    3
#define PARAM_EVENT    4 /* order number of an event's id */
#define PARAM_AT_LEAST 5

struct key {
    int64_t k1;
    char *k2;
};
struct pager {
    sqlite3 *db;
    const struct sh_list_query *q;
    struct sh_page *p;
    const struct walk *w;
    const struct sh_store_kind *kind; /* NULL: records */
    struct key at;
    struct key keys[MAX_ROWS];
    size_t n;
    bool more; /* rows may be left behind the last one looked at */
};

/* --- keys as text ------------------------------------------------------------- */

static bool read_key(struct pager *g, const char *text, struct sh_error *err)
{
    char *end;
    errno = 0;
    const long long k1 = strtoll(text, &end, 10);
    if (errno || end == text || *end != ':')
        return sh_error_set(err, SH_EINVAL, "this is no place to go on from");
    g->at = (struct key){k1, sh_strdup(end + 1)};
    return true;
}

static void set_key(struct key *k, sqlite3_stmt *st)
{
    free(k->k2);
    k->k1 = sqlite3_column_int64(st, 0);
    k->k2 = sh_sqlite_dup(st, 1);
}

/* --- the walk ----------------------------------------------------------------- */

static const void *member_of(const struct sh_list_query *q, const struct filter *f)
{
    return (const char *)q + f->member;
}

static bool is_given(const struct sh_list_query *q, const struct filter *f)
{
    if (f->what != q->what)
        return false;
    return f->is_text ? *(const char *const *)member_of(q, f) != NULL
                      : *(const int64_t *)member_of(q, f) != 0;
}

/* What is kept for a rule stands together in its index. */
static bool is_kept_rule(const struct sh_list_query *q, const struct filter *f)
{
    return q->what == SH_LIST_RUNS && q->state && strcmp(q->state, "paused") == 0 &&
           f->member == offsetof(struct sh_list_query, rule);
}

static void add_filters(struct sh_buf *sql, const struct sh_list_query *q, bool hard)
{
    for (size_t i = 0; i < N_FILTERS; i++)
        if ((filters[i].hard || is_kept_rule(q, &filters[i])) == hard && is_given(q, &filters[i]))
            sh_buf_addf(sql, " AND %s ?%zu", filters[i].sql, FIRST_FILTER + i);
}

/* Events that are stored or dead, by the small indexes and not by looking at every event; as many
 * as are looked at anyway. */
static void add_event_state(struct sh_buf *sql, const struct pager *g, bool dead)
{
    const char *go = !g->at.k2 ? "" : g->p->ascending ? " AND seq > ?1" : " AND seq < ?1";
    const char *down = g->p->ascending ? "" : " DESC";
    static const char *const sources[] = {
        "sh_unfinished WHERE 1", "sh_runs INDEXED BY sh_runs_retry WHERE outcome = 'retry'",
        "sh_runs INDEXED BY sh_runs_paused WHERE outcome = 'paused'",
        "sh_runs INDEXED BY sh_runs_dead WHERE outcome = 'dead'"};
    sh_buf_adds(sql, " AND e.seq IN (");
    for (size_t i = dead ? 3 : 0; i < (dead ? 4U : 3U); i++)
        sh_buf_addf(
            sql, "%sSELECT seq FROM (SELECT DISTINCT seq FROM %s%s ORDER BY seq%s LIMIT " LOOKS ")",
            i % 3 ? " UNION " : "", sources[i], go, down);
    sh_buf_addf(sql, " ORDER BY seq%s LIMIT " LOOKS ")", down);
}

/* The small index that holds the rows of this state alone, or NULL. An event's few rows need none.
 */
static const char *index_of(const struct sh_list_query *q)
{
    static const struct {
        enum sh_list_what what;
        const char *state, *name;
    } all[] = {{SH_LIST_RUNS, "retry", "sh_runs_retry"},
               {SH_LIST_RUNS, "paused", "sh_runs_paused"},
               {SH_LIST_RUNS, "dead", "sh_runs_dead"},
               {SH_LIST_OUTBOX, "dead", "sh_outbox_dead"}};
    for (size_t i = 0; q->state && !q->event_id && i < sizeof(all) / sizeof(*all); i++)
        if (all[i].what == q->what && strcmp(all[i].state, q->state) == 0)
            return all[i].name;
    return NULL;
}

/* The state, where an index finds it. */
static void add_hard_state(struct sh_buf *sql, const struct pager *g)
{
    const struct sh_list_query *q = g->q;
    if (index_of(q)) /* the state is a word of the index then */
        sh_buf_addf(sql, " AND %s = '%s'", q->what == SH_LIST_RUNS ? "r.outcome" : "state",
                    q->state);
    else if (q->what == SH_LIST_EVENTS && q->state && strcmp(q->state, "done") != 0)
        add_event_state(sql, g, strcmp(q->state, "dead") == 0);
}

static void add_soft_state(struct sh_buf *sql, const struct sh_list_query *q)
{
    if (!q->state)
        return;
    if (q->what == SH_LIST_EVENTS && strcmp(q->state, "stored") != 0)
        sh_buf_addf(sql, " AND NOT " SH_EVENT_STORED " AND %s " SH_EVENT_DEAD,
                    strcmp(q->state, "dead") == 0 ? "" : "NOT");
    else if (q->what == SH_LIST_RUNS)
        sh_buf_addf(sql, " AND r.outcome = ?%d", PARAM_STATE);
    else if (q->what == SH_LIST_CALLBACKS && strcmp(q->state, "open") == 0)
        sh_buf_adds(sql, " AND " SH_CALLBACK_OPEN);
    else if (q->what == SH_LIST_CALLBACKS)
        sh_buf_addf(sql, " AND status = ?%d", PARAM_STATE);
    else if (q->what == SH_LIST_OUTBOX)
        sh_buf_addf(sql, " AND state = ?%d", PARAM_STATE);
}

static void put_walk(struct sh_buf *sql, const struct pager *g)
{
    const struct walk *w = g->w;
    sh_buf_addf(sql, "SELECT %s, %s, 1", w->k1, w->k2);
    add_filters(sql, g->q, false);
    add_soft_state(sql, g->q);
    const char *index = index_of(g->q);
    sh_buf_addf(sql, " FROM %s%s%s WHERE 1", w->from, index ? " INDEXED BY " : "",
                index ? index : "");
    if (g->at.k2)
        sh_buf_addf(sql, " AND %s", g->p->ascending ? w->behind : w->before);
    add_filters(sql, g->q, true);
    add_hard_state(sql, g);
    if (g->q->what == SH_LIST_RUNS && g->q->event_id)
        sh_buf_addf(sql, " AND r.seq = ?%d", PARAM_EVENT);
    if (g->q->what == SH_LIST_EVENTS && g->q->since_ms)
        sh_buf_addf(sql, " AND e.seq >= ?%d", PARAM_AT_LEAST);
    sh_buf_addf(sql, " ORDER BY %s", g->p->ascending ? w->up : w->down);
}

/* An id is never earlier than its event came, but for a clock set back between the two. */
static int64_t least_seq(const struct sh_list_query *q)
{
    const int64_t ms = q->since_ms - SLACK_MS;
    return ms <= 0 || ms >= INT64_C(1) << 47 ? 0 : ms << 12;
}

static void bind_walk(sqlite3_stmt *st, const struct pager *g)
{
    const int n = sqlite3_bind_parameter_count(st);
    struct sh_id id;
    const char *event = g->q->event_id;
    for (size_t i = 0; i < N_FILTERS; i++) {
        const int at = (int)(FIRST_FILTER + i);
        if (at > n || !is_given(g->q, &filters[i]))
            continue;
        if (filters[i].is_text)
            sh_sqlite_bind_str(st, at, *(const char *const *)member_of(g->q, &filters[i]));
        else
            sh_sqlite_bind_int(st, at, *(const int64_t *)member_of(g->q, &filters[i]));
    }
    if (n >= 1)
        sh_sqlite_bind_int(st, 1, g->at.k1);
    if (n >= 2)
        sh_sqlite_bind_str(st, 2, g->at.k2);
    if (n >= PARAM_STATE)
        sh_sqlite_bind_str(st, PARAM_STATE, g->q->state);
    if (n >= PARAM_EVENT) {
        const bool known = event && sh_id_parse(event, strlen(event), &id);
        sh_sqlite_bind_int(st, PARAM_EVENT, known ? sh_id_order(id) : -1);
    }
    if (n >= PARAM_AT_LEAST)
        sh_sqlite_bind_int(st, PARAM_AT_LEAST, least_seq(g->q));
}

static bool take_keys(struct pager *g, sqlite3_stmt *st, struct sh_error *err)
{
    const int64_t end_us = sh_mono_us() + SH_STORE_LOOK_MS * 1000;
    const size_t most = g->p->max_looks ? g->p->max_looks : SH_STORE_LOOKS;
    size_t looks = 0;
    int got;
    while ((got = sh_sqlite_step(st, err)) == 1) {
        if (g->n == g->p->limit || looks == most ||
            (looks % CLOCK_EVERY == CLOCK_EVERY - 1 && sh_mono_us() > end_us))
            break;
        looks++;
        set_key(&g->at, st);
        if (sqlite3_column_int(st, 2))
            set_key(&g->keys[g->n++], st);
    }
    g->more = got == 1 || looks == most;
    return got >= 0;
}

static bool find_keys(struct pager *g, struct sh_error *err)
{
    struct sh_buf sql;
    sh_buf_init(&sql, SQL_BYTES);
    put_walk(&sql, g);
    sqlite3_stmt *st = sh_sqlite_prepare(g->db, sql.data, err);
    sh_buf_free(&sql);
    if (!st)
        return false;
    bind_walk(st, g);
    const bool ok = take_keys(g, st, err);
    sqlite3_finalize(st);
    return ok;
}

/* --- the rows ------------------------------------------------------------------- */

#define RECORD_COLUMNS "0, '', id, doc, updated_ms, version"

static cJSON *row_of(const struct sh_store_kind *kind, const struct sh_store_row *r)
{
    cJSON *row = kind ? kind->row(r) : sh_store_record_row(r, 2);
    if (!kind)
        cJSON_AddItemToObject(row, "version", sh_json_int(sqlite3_column_int64(r->st, 5)));
    else if (kind->add_more)
        kind->add_more(row, r->st, sqlite3_data_count(r->st) - kind->n_more);
    return row;
}

static void put_columns(struct sh_buf *sql, const struct sh_store_kind *kind, bool whole)
{
    if (kind)
        sh_buf_addf(sql, "SELECT %s%s%s FROM %s", kind->columns, whole ? kind->whole : "",
                    kind->more, kind->from);
    else
        sh_buf_adds(sql, "SELECT " RECORD_COLUMNS " FROM sh_records");
}

static sqlite3_stmt *prepare_row(const struct pager *g, struct sh_error *err)
{
    struct sh_buf sql;
    sh_buf_init(&sql, SQL_BYTES);
    put_columns(&sql, g->kind, g->p->whole);
    sh_buf_addf(&sql, " WHERE %s", g->w->one);
    sqlite3_stmt *st = sh_sqlite_prepare(g->db, sql.data, err);
    sh_buf_free(&sql);
    if (st && sqlite3_bind_parameter_count(st) >= 3)
        sh_sqlite_bind_str(st, 3, g->q->collection);
    return st;
}

static size_t bytes_of(sqlite3_stmt *st)
{
    size_t n = 0;
    for (int i = 0; i < sqlite3_data_count(st); i++)
        n += (size_t)sqlite3_column_bytes(st, i);
    return n;
}

/* The rows of the keys; *end: how many of them there was room for. */
static bool read_rows(struct pager *g, size_t *end, struct sh_error *err)
{
    const bool two = strstr(g->w->one, "?2") != NULL;
    size_t bytes = 0;
    bool ok = true;
    sqlite3_stmt *st = prepare_row(g, err);
    for (*end = 0; st && ok && *end < g->n && bytes < g->p->max_bytes; ++*end) {
        const struct key *k = &g->keys[*end];
        const struct sh_store_row r = {.st = st, .whole = g->p->whole, .raw = true};
        sh_sqlite_bind_int(st, 1, k->k1);
        if (two)
            sh_sqlite_bind_str(st, 2, k->k2);
        const int got = sh_sqlite_step(st, err);
        ok = got >= 0;
        if (got != 1)
            continue;
        bytes += bytes_of(st);
        cJSON_AddItemToArray(g->p->rows, row_of(g->kind, &r));
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    return st && ok;
}

/* --- pages ---------------------------------------------------------------------- */

static bool check_state(const struct sh_list_query *q, struct sh_error *err)
{
    static const char *const words[] = {[SH_LIST_EVENTS] = " stored done dead ",
                                        [SH_LIST_RUNS] = " done retry paused dead dropped "};
    const size_t n = sizeof(words) / sizeof(*words);
    if (!q->state || (size_t)q->what >= n)
        return true;
    char *word = sh_strf(" %s ", q->state);
    const bool known = !strchr(q->state, ' ') && strstr(words[q->what], word);
    free(word);
    return known || sh_error_set(err, SH_EINVAL, "no such state: \"%.40s\"", q->state);
}

static bool read_page(struct pager *g, struct sh_error *err)
{
    size_t end = 0;
    if (!find_keys(g, err) || !read_rows(g, &end, err))
        return false;
    const struct key *last = end < g->n ? &g->keys[end - 1] : &g->at;
    if (end < g->n || g->more)
        g->p->next = sh_strf("%" PRId64 ":%s", last->k1, last->k2 ? last->k2 : "");
    return true;
}

bool sh_store_view_page(struct sh_store_view *v, const struct sh_list_query *q, struct sh_page *p,
                        struct sh_error *err)
{
    p->rows = NULL;
    p->next = NULL;
    if ((size_t)q->what >= sizeof(walks) / sizeof(*walks) || !walks[q->what].from)
        return sh_error_set(err, SH_EINVAL, "the store has no pages of kind %d", (int)q->what);
    sh_require(p->limit > 0 && p->limit <= MAX_ROWS);
    struct pager *g = sh_alloc(1, sizeof(*g));
    *g = (struct pager){
        .db = v->db, .q = q, .p = p, .w = &walks[q->what], .kind = sh_store_kind(q->what)};
    p->rows = cJSON_CreateArray();
    bool ok = check_state(q, err) && (!p->after || read_key(g, p->after, err));
    const bool own = ok && sqlite3_get_autocommit(v->db);
    ok = ok && (!own || sh_sqlite_exec(v->db, "BEGIN", err)) && read_page(g, err);
    if (own && !sqlite3_get_autocommit(v->db))
        ok = sh_sqlite_exec(v->db, "COMMIT", ok ? err : NULL) && ok;
    for (size_t i = 0; i < g->n; i++)
        free(g->keys[i].k2);
    free(g->at.k2);
    free(g);
    if (ok)
        return true;
    cJSON_Delete(p->rows);
    p->rows = NULL;
    return false;
}

/* --- one row -------------------------------------------------------------------- */

static const char *name_of(enum sh_list_what what)
{
    static const char *const names[] = {[SH_LIST_EVENTS] = "event",
                                        [SH_LIST_RUNS] = "run",
                                        [SH_LIST_RECORDS] = "record",
                                        [SH_LIST_CALLBACKS] = "callback",
                                        [SH_LIST_OUTBOX] = "item",
                                        [SH_LIST_TIMERS] = "timer",
                                        [SH_LIST_GENERATIONS] = "generation",
                                        [SH_LIST_RULES] = "rule",
                                        [SH_LIST_AUDIT] = "entry"};
    return names[what];
}

static void bind_one(sqlite3_stmt *st, const char *collection, const char *name)
{
    const int n = sqlite3_bind_parameter_count(st);
    struct sh_id id;
    if (collection) {
        sh_sqlite_bind_str(st, 2, name);
        sh_sqlite_bind_str(st, 3, collection);
    } else if (n >= 3) {
        sh_sqlite_bind_str(st, 3, name);
    }
    if (n >= 4)
        sh_sqlite_bind_int(st, 4, sh_id_parse(name, strlen(name), &id) ? sh_id_order(id) : -1);
}

cJSON *sh_store_view_get(struct sh_store_view *v, enum sh_list_what what, const char *collection,
                         const char *id, struct sh_error *err)
{
    const struct sh_store_kind *kind = sh_store_kind(what);
    const bool is_record = what == SH_LIST_RECORDS;
    struct sh_buf sql;
    cJSON *row = NULL;
    sh_require(kind || (is_record && collection));
    sh_buf_init(&sql, SQL_BYTES);
    put_columns(&sql, kind, true);
    sh_buf_addf(&sql, " WHERE 1%s%s LIMIT 1", is_record ? " AND " : "",
                is_record ? walks[what].one : kind->by_id);
    sqlite3_stmt *st = sh_sqlite_prepare(v->db, sql.data, err);
    sh_buf_free(&sql);
    if (!st)
        return NULL;
    bind_one(st, is_record ? collection : NULL, id);
    const int got = sh_sqlite_step(st, err);
    if (got == 1)
        row = row_of(kind, &(struct sh_store_row){.st = st, .whole = true, .raw = true});
    else if (got == 0)
        sh_error_set(err, SH_ENOTFOUND, "there is no %s \"%.100s\"", name_of(what), id);
    sqlite3_finalize(st);
    return row;
}

bool sh_store_view_body(struct sh_store_view *v, const char *id, struct sh_buf *out,
                        struct sh_error *err)
{
    struct sh_id event;
    if (!sh_id_parse(id, strlen(id), &event))
        return sh_error_set(err, SH_ENOTFOUND, "there is no event \"%.100s\"", id);
    sqlite3_stmt *st =
        sh_sqlite_prepare(v->db, "SELECT body FROM sh_events WHERE seq = ?1 AND id = ?2", err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, sh_id_order(event));
    sh_sqlite_bind_str(st, 2, id);
    const int got = sh_sqlite_step(st, err);
    const struct sh_slice body = got == 1 ? sh_sqlite_text(st, 0) : sh_slice("", 0);
    sh_buf_add(out, body.p, body.n);
    sqlite3_finalize(st);
    if (got == 0)
        sh_error_set(err, SH_ENOTFOUND, "there is no event \"%.100s\"", id);
    return got == 1;
}
