/* SPDX-License-Identifier: MIT
 * store_forget_tables.c: a caller in every table but the journal's: which rows, and what becomes of
 * them. Each table by slices of its order. */
#include "core/forget_impl.h"

#include <stdio.h>

#define TABLE_ROWS 500 /* most in a slice, whose time is known afterwards */
#define RANGE      "seq > ?1 AND seq <= ?2 AND "

#define TIMERS                                                                                     \
    RANGE "name NOT GLOB 'c:*' AND (sh_hit(event_id) OR sh_touches(name) OR sh_touches(key)"       \
          " OR sh_touches(body))"
#define CALLBACKS                                                                                  \
    RANGE                                                                                          \
    "(digits <> '' OR name IS NOT NULL OR reason IS NOT NULL OR note IS NOT NULL)"                 \
    " AND (sh_mentions(digits) OR sh_hit(event_id) OR sh_touches(number) OR sh_touches(name)"      \
    " OR sh_touches(reason) OR sh_touches(note) OR sh_touches(own_key)"                            \
    " OR sh_touches(event_key))"
#define OUTBOX                                                                                     \
    RANGE "payload <> '" SH_FORGOTTEN "' AND (sh_hit(event_id) OR sh_touches(payload)"             \
          " OR sh_mentions(recipient) OR sh_touches(event_key)"                                    \
          " OR sh_touches(error) OR sh_touches(answer) OR sh_mentions(recipients))"
#define RUNS                                                                                       \
    RANGE "(sh_touches(effects) OR sh_touches(error) OR sh_touches(logs) OR sh_touches(lookups))"  \
          " AND NOT sh_hit((SELECT id FROM sh_events e WHERE e.seq = sh_runs.seq))" /* later */
#define CHANGES                                                                                    \
    "detail IS NOT NULL AND sh_touches(detail) AND id IN (SELECT id FROM sh_callbacks "            \
    "WHERE " RANGE "1)"
#define AUDIT RANGE "(sh_touches(target) OR sh_touches(detail))"
#define RULES "(sh_hit(event_id) OR sh_touches(error)) AND error IS NOT NULL"

#define COUNT(name) offsetof(struct sh_forget_counts, name)
#define NOBODY      SIZE_MAX

struct change {
    size_t count;   /* what of struct sh_forget_counts, or NOBODY */
    const char *in; /* "sh_timers WHERE ..": which rows; NULL: change them without looking */
    const char *change;
};

struct table {
    const char *last; /* ?1: behind this, ?2: so many: where the slice ends; NULL: one slice */
    bool (*fn)(struct sh_store *s, struct sh_forget *f, int64_t after, int64_t to,
               struct sh_forget_counts *n, struct sh_error *err); /* or: */
    const struct change *changes;
    size_t n_changes;
};

#define LAST(table, seq)                                                                           \
    "SELECT max(" seq ") FROM (SELECT " seq " FROM " table " WHERE " seq " > ?1 ORDER BY " seq     \
    " LIMIT ?2)"

static const struct change timers[] = {
    {COUNT(timers), "sh_timers WHERE " TIMERS, "DELETE FROM sh_timers WHERE " TIMERS},
};
/* The history goes before what tells whose it is. */
static const struct change callbacks[] = {
    {NOBODY, "sh_callback_changes WHERE " CHANGES,
     "UPDATE sh_callback_changes SET detail = NULL WHERE " CHANGES},
    {NOBODY, "sh_callbacks WHERE " CALLBACKS,
     "UPDATE sh_callback_changes SET detail = NULL WHERE id IN (SELECT id FROM sh_callbacks "
     "WHERE " CALLBACKS ")"},
    {COUNT(open_callbacks), "sh_callbacks WHERE status IN " SH_FORGET_OPEN " AND " CALLBACKS,
     "INSERT INTO sh_callback_changes(id, place, at_ms, what, by) SELECT id,"
     " coalesce((SELECT max(place) FROM sh_callback_changes h WHERE h.id = c.id), 0) + 1,"
     " ?3, 'cancelled', 'forget' FROM sh_callbacks c"
     " WHERE status IN " SH_FORGET_OPEN " AND " CALLBACKS},
    {COUNT(callbacks), "sh_callbacks WHERE " CALLBACKS,
     "UPDATE sh_callbacks SET number = NULL, digits = '', name = NULL, reason = NULL, note = NULL,"
     " own_key = NULL, event_key = CASE WHEN sh_mentions(event_key) THEN 'forgotten' ELSE event_key"
     " END, closed_ms = CASE WHEN status IN " SH_FORGET_OPEN " THEN ?3 ELSE closed_ms END,"
     " updated_ms = ?3, sequence = sequence + 1,"
     " status = CASE WHEN status IN " SH_FORGET_OPEN
     " THEN 'cancelled' ELSE status END WHERE " CALLBACKS},
};
static const struct change runs[] = {
    {COUNT(runs), "sh_runs WHERE " RUNS,
     "UPDATE sh_runs SET effects = " SH_FORGET_KINDS ", error = CASE WHEN error IS NULL THEN NULL"
     " ELSE 'forgotten' END, logs = NULL, lookups = NULL WHERE " RUNS},
};
static const struct change audit[] = {
    {COUNT(audit), "sh_audit WHERE " AUDIT,
     "UPDATE sh_audit SET target = NULL, detail = NULL WHERE " AUDIT},
};
static const struct change rest[] = {
    {COUNT(rules), "sh_rules WHERE " RULES, "UPDATE sh_rules SET error = 'forgotten' WHERE " RULES},
    {COUNT(others), "sh_lanes WHERE sh_touches(why)",
     "UPDATE sh_lanes SET why = NULL WHERE sh_touches(why)"},
    {COUNT(others), "sh_feeds WHERE sh_mentions(assignee)",
     "DELETE FROM sh_feeds WHERE sh_mentions(assignee)"},
    {COUNT(left_files), "sh_generation_texts WHERE sh_mentions(text)", NULL},
};

/* --- the outbox ----------------------------------------------------------------------- */

static bool note_items(struct sh_store *s, struct sh_forget *f, int64_t after, int64_t to,
                       struct sh_forget_counts *n, struct sh_error *err)
{
    sqlite3_stmt *st = sh_forget_stmt(s, "SELECT id, state, kind, key FROM sh_outbox WHERE " OUTBOX,
                                      after, to, err);
    int got = -1;
    while (st && (got = sh_sqlite_step(st, err)) == 1) {
        n->deliveries++;
        if (sh_slice_eq(sh_sqlite_text(st, 1), SH_SLICE("queued")) ||
            sh_slice_eq(sh_sqlite_text(st, 1), SH_SLICE("dead"))) {
            n->queued_deliveries++;
            sh_forget_note(&f->dropped, sh_sqlite_text(st, 0));
        }
        if (sh_slice_eq(sh_sqlite_text(st, 2), SH_SLICE("email")) && sh_sqlite_text(st, 3).n)
            sh_forget_note(&f->files, sh_sqlite_text(st, 3));
    }
    sqlite3_finalize(st);
    return got == 0;
}

/* Emails whose files an erasure that was broken off may have left. */
static bool note_files(struct sh_store *s, struct sh_forget *f, int64_t after, int64_t to,
                       struct sh_error *err)
{
    sqlite3_stmt *st =
        sh_forget_stmt(s,
                       "SELECT key FROM sh_outbox WHERE " RANGE "payload = '" SH_FORGOTTEN
                       "' AND kind = 'email' AND (sent_to IS NOT NULL"
                       " OR state = 'dead')",
                       after, to, err);
    int got = -1;
    while (st && (got = sh_sqlite_step(st, err)) == 1)
        if (sh_sqlite_text(st, 0).n)
            sh_forget_note(&f->files, sh_sqlite_text(st, 0));
    sqlite3_finalize(st);
    return got == 0;
}

/* An email's row stays until its file is gone: its key names it. What waits is dead until then, so
 * that nothing sends it. */
static bool outbox(struct sh_store *s, struct sh_forget *f, int64_t after, int64_t to,
                   struct sh_forget_counts *n, struct sh_error *err)
{
    const int64_t before = n->deliveries;
    if (!note_items(s, f, after, to, n, err) || !note_files(s, f, after, to, err))
        return false;
    if (f->dry || n->deliveries == before)
        return true;
    return sh_forget_run(s,
                         "UPDATE sh_outbox SET payload = '" SH_FORGOTTEN "', recipient = '',"
                         " error = NULL, answer = NULL, recipients = NULL, notify = NULL,"
                         " state = CASE state WHEN 'queued' THEN 'dead' ELSE state END,"
                         " next_ms = NULL,"
                         " event_key = CASE WHEN sh_mentions(event_key) THEN 'forgotten' ELSE"
                         " event_key END WHERE " OUTBOX,
                         after, to, NULL, err);
}

bool sh_forget_clean_items(struct sh_store *s, struct sh_error *err)
{
    return sh_sqlite_exec(s->w.db,
                          "DELETE FROM sh_outbox WHERE payload = '" SH_FORGOTTEN
                          "' AND state = 'dead';"
                          "UPDATE sh_outbox SET sent_to = NULL WHERE payload = '" SH_FORGOTTEN
                          "' AND sent_to IS NOT NULL",
                          err);
}

/* --- records, and the columns of their views ------------------------------------------ */

static bool records(struct sh_store *s, struct sh_forget *f, int64_t after, int64_t to,
                    struct sh_forget_counts *n, struct sh_error *err)
{
    return sh_forget_records(s, f, after, to, n, err);
}

static bool is_named(void *arg, struct sh_slice field)
{
    return sh_forget_touches(arg, field);
}

static bool columns(struct sh_store *s, struct sh_forget *f, int64_t after, int64_t to,
                    struct sh_forget_counts *n, struct sh_error *err)
{
    (void)after;
    (void)to;
    return sh_store_views_forget(s, is_named, f, f->dry, &n->others, err);
}

#define SET(array) (array), sizeof(array) / sizeof((array)[0])

static const struct table tables[] = {
    {LAST("sh_timers", "seq"), NULL, SET(timers)},
    {LAST("sh_callbacks", "seq"), NULL, SET(callbacks)},
    {LAST("sh_outbox", "seq"), outbox, NULL, 0},
    {LAST("sh_runs", "seq"), NULL, SET(runs)},
    {LAST("sh_records", "rowid"), records, NULL, 0},
    {LAST("sh_audit", "seq"), NULL, SET(audit)},
    {NULL, columns, NULL, 0},
    {NULL, NULL, SET(rest)},
};
const size_t sh_forget_n_tables = sizeof(tables) / sizeof(tables[0]);

static bool change(struct sh_store *s, const struct sh_forget *f, const struct change *c,
                   int64_t after, int64_t to, struct sh_forget_counts *n, struct sh_error *err)
{
    char sql[2048];
    int64_t found = 0;
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", c->in);
    if (!sh_forget_ask(s, sql, after, to, &found, err))
        return false;
    if (c->count != NOBODY)
        *(int64_t *)(void *)((char *)n + c->count) += found;
    if (!found || f->dry || !c->change)
        return true;
    sqlite3_stmt *st = sh_forget_stmt(s, c->change, after, to, err);
    if (st && sqlite3_bind_parameter_count(st) > 2)
        sh_sqlite_bind_int(st, 3, sh_now_ms());
    bool ok = st && sh_sqlite_run(st, err);
    sqlite3_finalize(st);
    return ok;
}

bool sh_forget_tables(struct sh_store *s, struct sh_forget *f, struct sh_forget_at *at,
                      struct sh_error *err)
{
    const struct table *t = &tables[at->table];
    const int64_t rows = f->limit < TABLE_ROWS ? f->limit : TABLE_ROWS;
    int64_t to = 0;
    if (t->last && !sh_forget_ask(s, t->last, at->cursor, rows, &to, err))
        return false;
    const bool any = !t->last || to > at->cursor;
    if (any && t->fn && !t->fn(s, f, at->cursor, to, &at->n, err))
        return false;
    for (size_t i = 0; any && i < t->n_changes; i++)
        if (!change(s, f, &t->changes[i], at->cursor, to, &at->n, err))
            return false;
    at->cursor = to;
    if (!t->last || !any) {
        at->table++;
        at->cursor = 0;
        f->limit = SH_FORGET_FIRST_ROWS; /* another table's rows may be large */
    }
    return true;
}
