/* SPDX-License-Identifier: MIT
 * store_time.c: timers, clock rules, and what falls due.
 *
 * Timers live in the table alone; nothing of them is in memory. Each is found by the index on its
 * time, and becomes an event in the transaction that removes it. */
#include "base/log.h"
#include "core/schedule.h"
#include "core/store_call.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHORT(s)    (s).n > 100 ? 100 : (int)(s).n, (s).p ? (s).p : ""
#define MAX_TIME_MS 253402300799999LL /* 9999-12-31T23:59:59.999Z */

/* --- depth: rules that set timers in a circle ---------------------------------- */

bool sh_store_is_near(const struct sh_effect *fx, int64_t now_ms)
{
    struct sh_slice text;
    char digits[24];
    switch (fx->kind) {
    case SH_FX_TIMER:
        return fx->n_int - now_ms < SH_STORE_NEAR_MS;
    case SH_FX_CALLBACK_DO:
        return true;
    case SH_FX_CALLBACK:
        if (sh_json_find(fx->doc, "due_at", &text) != SH_JSON_NUMBER)
            return false;
        snprintf(digits, sizeof(digits), "%.*s", text.n < 20 ? (int)text.n : 20, text.p);
        return strtoll(digits, NULL, 10) - now_ms < SH_STORE_NEAR_MS;
    default:
        return false;
    }
}

bool sh_store_depth_at(const struct sh_store *s, const struct sh_leaving *l, int64_t due_ms,
                       uint32_t *depth, struct sh_error *err)
{
    *depth = 0;
    if (due_ms - l->run->now_ms >= SH_STORE_NEAR_MS)
        return true;
    *depth = l->op->event_depth + sh_store_emit_steps(s->n_emits);
    if (*depth <= SH_MAX_EMIT_DEPTH)
        return true;
    return sh_error_set(err, SH_ELIMIT,
                        "%s: too many events from one that came in: this one would be %u steps"
                        " away from it, the most is %d, and what is due within %d s counts as an"
                        " emit: do rules set timers in a circle?",
                        l->fx->kind == SH_FX_TIMER ? "after" : sh_effect_kind_name(l->fx->kind),
                        *depth, SH_MAX_EMIT_DEPTH, SH_STORE_NEAR_MS / 1000);
}

/* --- timers --------------------------------------------------------------------- */

static void bind_some(sqlite3_stmt *st, int i, struct sh_slice text)
{
    if (text.n)
        sh_sqlite_bind_text(st, i, text);
    else
        sh_sqlite_bind_null(st, i);
}

bool sh_store_timer_put(struct sh_store *s, const struct sh_store_timer *t, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_TIMER_PUT, err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, t->name);
    sh_sqlite_bind_int(st, 2, t->due_ms);
    bind_some(st, 3, t->local);
    bind_some(st, 4, t->zone);
    bind_some(st, 5, t->every);
    sh_sqlite_bind_str(st, 6, t->source);
    sh_sqlite_bind_text(st, 7, t->type);
    sh_sqlite_bind_text(st, 8, t->key);
    sh_sqlite_bind_blob(st, 9, t->body.p, t->body.n);
    sh_sqlite_bind_int(st, 10, t->depth);
    sh_sqlite_bind_str(st, 11, t->event_id);
    bind_some(st, 12, t->rule);
    sh_sqlite_bind_int(st, 13, t->now_ms);
    sh_sqlite_bind_str(st, 14, t->trace);
    return sh_sqlite_run(st, err);
}

bool sh_store_timer_set(struct sh_store *s, struct sh_leaving *l, struct sh_error *err)
{
    const struct sh_effect *fx = l->fx;
    if (fx->collection.n == 0 || fx->collection.n > SH_MAX_TYPE_BYTES)
        return sh_error_set(err, SH_EINVAL, "after: type of %zu bytes, expected 1 to %d",
                            fx->collection.n, SH_MAX_TYPE_BYTES);
    if (fx->n_int < 0 || fx->n_int > MAX_TIME_MS)
        return sh_error_set(err, SH_EINVAL,
                            "after \"%.*s\": due %lld ms, expected a time between 1970 and 9999",
                            SHORT(fx->collection), (long long)fx->n_int);
    const char *space = fx->field.n ? memchr(fx->field.p, ' ', fx->field.n) : NULL;
    const size_t local = space ? (size_t)(space - fx->field.p) : 0;
    struct sh_store_timer t = {.due_ms = fx->n_int,
                               .source = SH_SOURCE_EMITTED,
                               .type = fx->collection,
                               .key = l->op->event_key,
                               .body = fx->doc,
                               .event_id = l->event_id,
                               .rule = l->run->rule,
                               .trace = l->op->event_trace,
                               .now_ms = l->run->now_ms};
    if (local) {
        t.local = sh_slice(fx->field.p, local);
        t.zone = sh_slice(space + 1, fx->field.n - local - 1);
    }
    if (!sh_store_depth_at(s, l, fx->n_int, &t.depth, err))
        return false;
    char *name = fx->id.n ? sh_strf("n:%.*s", (int)fx->id.n, fx->id.p) : sh_strf("k:%s", l->key);
    t.name = name;
    bool ok = sh_store_timer_put(s, &t, err);
    l->op->n_timed += ok;
    free(name);
    return ok;
}

static bool forget(struct sh_store *s, const char *name, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_TIMER_DEL, err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, name);
    return sh_sqlite_run(st, err);
}

bool sh_store_timer_cancel(struct sh_store *s, struct sh_leaving *l, struct sh_error *err)
{
    char *name = sh_strf("n:%.*s", (int)l->fx->id.n, l->fx->id.p);
    bool ok = forget(s, name, err);
    free(name);
    return ok;
}

/* --- clock rules ------------------------------------------------------------------ */

/* The first time after after_ms; 0: there is none, or the texts are no good (*why). */
static int64_t next_time(const char *every, const char *zone, int64_t anchor_ms, int64_t after_ms,
                         struct sh_error *why)
{
    struct sh_schedule schedule;
    const struct sh_zone *z = sh_zone_find(zone);
    if (!z) {
        sh_error_set(why, SH_EINVAL, "there is no time zone \"%.64s\"", zone);
        return 0;
    }
    if (!sh_schedule_parse(every, &schedule, why))
        return 0;
    int64_t next = sh_schedule_next(&schedule, z, anchor_ms, after_ms);
    if (next == 0)
        sh_error_set(why, SH_EINVAL, "\"%.100s\" never comes", every);
    return next;
}

static bool move_clock(struct sh_store *s, int64_t seq, int64_t due_ms, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, due_ms ? SH_ST_CLOCK_NEXT : SH_ST_TIMER_GONE, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, seq);
    if (due_ms)
        sh_sqlite_bind_int(st, 2, due_ms);
    return sh_sqlite_run(st, err);
}

struct clock_row {
    int64_t seq, due_ms;
    char *name, *every, *zone;
};

static void free_rows(struct clock_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(rows[i].name);
        free(rows[i].every);
        free(rows[i].zone);
    }
    free(rows);
}

static bool load_clocks(struct sh_store *s, struct clock_row **rows, size_t *n,
                        struct sh_error *err)
{
    int got;
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_CLOCK_ROWS, err);
    *rows = NULL;
    *n = 0;
    if (!st)
        return false;
    while ((got = sh_sqlite_step(st, err)) == 1) {
        *rows = sh_realloc(*rows, (*n + 1) * sizeof(**rows));
        (*rows)[(*n)++] = (struct clock_row){.seq = sqlite3_column_int64(st, 0),
                                             .name = sh_sqlite_dup(st, 1),
                                             .due_ms = sqlite3_column_int64(st, 2),
                                             .every = sh_sqlite_dup(st, 3),
                                             .zone = sh_sqlite_dup(st, 4)};
    }
    return got == 0;
}

/* The same rule as before: a time that has passed stays and fires late. One that is still to come
 * is computed again: the zone's rules may have changed, and a clock that was far ahead must not
 * keep a rule waiting until it is so again (what fired already is known by its dedupe id). */
static bool keep_clock(struct sh_store *s, const struct clock_row *row, int64_t now_ms,
                       struct sh_error *err)
{
    struct sh_error why = {0};
    struct sh_schedule schedule;
    int64_t due_ms = row->due_ms;
    if (due_ms <= now_ms)
        return true;
    if (sh_schedule_parse(row->every, &schedule, &why) && schedule.every_ms)
        due_ms -= (due_ms - now_ms - 1) / schedule.every_ms * schedule.every_ms;
    else
        due_ms = next_time(row->every, row->zone, now_ms, now_ms, &why);
    return due_ms == 0 || due_ms == row->due_ms || move_clock(s, row->seq, due_ms, err);
}

static bool new_clock(struct sh_store *s, const struct sh_clock *c, const char *name,
                      int64_t now_ms, struct sh_error *err)
{
    struct sh_error why = {0};
    const int64_t due_ms = next_time(c->every, c->zone, now_ms, now_ms, &why);
    const struct sh_store_timer t = {.name = name,
                                     .due_ms = due_ms,
                                     .zone = sh_slice_str(c->zone),
                                     .every = sh_slice_str(c->every),
                                     .source = SH_SOURCE_CLOCK,
                                     .type = SH_SLICE("clock"),
                                     .key = sh_slice_str(c->rule),
                                     .body = SH_SLICE("{}"),
                                     .rule = sh_slice_str(c->rule),
                                     .now_ms = now_ms};
    if (due_ms)
        return sh_store_timer_put(s, &t, err);
    sh_warn("a clock rule will not run", "rule", c->rule, "every", c->every, "why", why.msg);
    return forget(s, name, err);
}

static bool set_clock(struct sh_store *s, const struct sh_clock *c, const struct clock_row *rows,
                      size_t n, int64_t now_ms, struct sh_error *err)
{
    char *name = sh_strf("c:%s", c->rule);
    const struct clock_row *same = NULL;
    for (size_t i = 0; i < n && !same; i++)
        if (strcmp(rows[i].name, name) == 0 && strcmp(rows[i].every, c->every) == 0 &&
            strcmp(rows[i].zone, c->zone) == 0)
            same = &rows[i];
    bool ok = same ? keep_clock(s, same, now_ms, err) : new_clock(s, c, name, now_ms, err);
    free(name);
    return ok;
}

static bool is_wanted(const struct sh_op_clocks *op, const char *name)
{
    for (size_t i = 0; i < op->n_clocks; i++)
        if (strcmp(op->clocks[i].rule, name + 2) == 0)
            return true;
    return false;
}

/* --- local times again ------------------------------------------------------------- */

/* Where the pattern has a 0 the text has a digit, elsewhere the same. The numbers into out. */
static bool read_digits(const char *text, const char *pattern, int *out)
{
    for (; *pattern; pattern++, text++) {
        if (*pattern != '0') {
            if (*text != *pattern)
                return false;
            *++out = 0;
        } else if (*text < '0' || *text > '9') {
            return false;
        } else {
            *out = *out * 10 + (*text - '0');
        }
    }
    return *text == '\0';
}

bool sh_store_local_ms(const char *local, const char *zone, int64_t *ms)
{
    int n[6] = {0};
    const struct sh_zone *z = sh_zone_find(zone);
    if (!z || !read_digits(local, "0000-00-00T00:00:00", n))
        return false;
    const struct sh_civil t = {
        .year = n[0], .month = n[1], .day = n[2], .hour = n[3], .minute = n[4], .second = n[5]};
    *ms = sh_zone_moment(z, sh_civil_seconds(&t), NULL) * 1000;
    return true;
}

struct moved { /* timers of one local time whose moment is another now */
    char *zone, *local;
    int64_t from_ms, to_ms;
};

static bool find_moved(struct sh_store *s, int64_t now_ms, struct moved **list, size_t *n,
                       struct sh_error *err)
{
    int got;
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_TIMER_LOCALS, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, now_ms);
    while ((got = sh_sqlite_step(st, err)) == 1) {
        struct moved m = {.from_ms = sqlite3_column_int64(st, 2)};
        const char *zone = (const char *)sqlite3_column_text(st, 0);
        const char *local = (const char *)sqlite3_column_text(st, 1);
        if (!sh_store_local_ms(local, zone, &m.to_ms) || m.to_ms == m.from_ms)
            continue;
        m.zone = sh_strdup(zone);
        m.local = sh_strdup(local);
        *list = sh_realloc(*list, (*n + 1) * sizeof(**list));
        (*list)[(*n)++] = m;
    }
    return got == 0;
}

static bool move_timers(struct sh_store *s, int64_t now_ms, struct sh_error *err)
{
    struct moved *list = NULL;
    size_t n = 0;
    bool ok = find_moved(s, now_ms, &list, &n, err);
    for (size_t i = 0; i < n; i++) {
        sqlite3_stmt *st = ok ? sh_store_stmt(&s->w, SH_ST_TIMER_MOVE, err) : NULL;
        ok = st != NULL;
        if (ok) {
            sh_sqlite_bind_str(st, 1, list[i].zone);
            sh_sqlite_bind_str(st, 2, list[i].local);
            sh_sqlite_bind_int(st, 3, list[i].from_ms);
            sh_sqlite_bind_int(st, 4, list[i].to_ms);
            ok = sh_sqlite_run(st, err);
            sqlite3_clear_bindings(st);
        }
        free(list[i].zone);
        free(list[i].local);
    }
    free(list);
    return ok;
}

struct moved_call {
    int64_t seq, to_ms;
};

static bool move_callbacks(struct sh_store *s, int64_t now_ms, struct sh_error *err)
{
    int got = 0;
    size_t n = 0;
    struct moved_call *list = NULL;
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_CALLBACK_LOCALS, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, now_ms);
    while ((got = sh_sqlite_step(st, err)) == 1) {
        struct moved_call m = {.seq = sqlite3_column_int64(st, 0)};
        const char *local = (const char *)sqlite3_column_text(st, 2);
        const char *zone = (const char *)sqlite3_column_text(st, 3);
        if (!zone || !sh_store_local_ms(local, zone, &m.to_ms) ||
            m.to_ms == sqlite3_column_int64(st, 1))
            continue;
        list = sh_realloc(list, (n + 1) * sizeof(*list));
        list[n++] = m;
    }
    bool ok = got == 0;
    for (size_t i = 0; ok && i < n; i++) {
        struct sh_store_call c = {0};
        ok = sh_store_call_get(s, list[i].seq, &c, err) == 1 &&
             sh_store_call_moved(s, &c, list[i].to_ms, now_ms, err);
        sh_store_call_clear(&c);
    }
    free(list);
    return ok;
}

bool sh_store_clocks(struct sh_store *s, struct sh_op_clocks *op, struct sh_error *err)
{
    struct clock_row *rows;
    size_t n;
    bool ok = load_clocks(s, &rows, &n, err);
    for (size_t i = 0; ok && i < op->n_clocks; i++)
        ok = set_clock(s, &op->clocks[i], rows, n, op->now_ms, err);
    for (size_t i = 0; ok && i < n; i++)
        if (!is_wanted(op, rows[i].name))
            ok = move_clock(s, rows[i].seq, 0, err);
    free_rows(rows, n);
    return ok && move_timers(s, op->now_ms, err) && move_callbacks(s, op->now_ms, err);
}

/* --- what falls due ------------------------------------------------------------------ */

void sh_op_fire_clear(struct sh_op_fire *op)
{
    for (size_t i = 0; i < op->n_emitted; i++)
        sh_event_free(op->emitted[i]);
    free(op->emitted);
    op->emitted = NULL;
    op->n_emitted = 0;
}

void sh_store_fire_begin(struct sh_op_fire *op)
{
    sh_op_fire_clear(op);
    op->n_queued = op->n_fired = 0;
    op->next_due_ms = 0;
}

static char *clock_body(const char *rule, const char *every, int64_t due_ms, size_t *len)
{
    char due[SH_TIME_TEXT];
    struct sh_buf out;
    sh_buf_init(&out, 16384);
    sh_buf_adds(&out, "{\"rule\":");
    sh_json_quote(&out, sh_slice_str(rule));
    sh_buf_addf(&out, ",\"due_at\":\"%s\",\"every\":", sh_time_text(due_ms, due));
    sh_json_quote(&out, sh_slice_str(every));
    sh_buf_addc(&out, '}');
    return sh_buf_take(&out, len);
}

/* The event of the row where st stands. *every, *zone: of a clock rule, owned by the caller. */
static struct sh_event *event_of(sqlite3_stmt *st, int64_t seq, int64_t now_ms, char **every,
                                 char **zone)
{
    struct sh_event *e = sh_event_new();
    const char *name = (const char *)sqlite3_column_text(st, 0);
    *every = sh_sqlite_dup(st, 3);
    *zone = sh_sqlite_dup(st, 2);
    *e = (struct sh_event){.source = sh_sqlite_dup(st, 4),
                           .type = sh_sqlite_dup(st, 5),
                           .key = sh_sqlite_dup(st, 6),
                           .received_ms = now_ms,
                           .due_ms = sqlite3_column_int64(st, 1),
                           .depth = (uint32_t)sqlite3_column_int64(st, 8),
                           .cause = sh_sqlite_dup(st, 9),
                           .trace = sh_sqlite_dup(st, 10)};
    if (*every) {
        e->dedupe_id = sh_strf("clock:%s:%lld", name + 2, (long long)e->due_ms);
        e->body = clock_body(e->key, *every, e->due_ms, &e->body_len);
        return e;
    }
    const struct sh_slice body = sh_sqlite_text(st, 7);
    e->dedupe_id = sh_strf("timer:%s:%lld:%lld", name, (long long)e->due_ms, (long long)seq);
    e->body = sh_slice_dup(body);
    e->body_len = body.n;
    return e;
}

static bool fire_timer(struct sh_store *s, struct sh_op_fire *op, int64_t seq, struct sh_error *err)
{
    char *every, *zone;
    int64_t next_ms = 0;
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_TIMER_GET, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, seq);
    int got = sh_sqlite_step(st, err);
    if (got != 1)
        return got == 0;
    struct sh_event *e = event_of(st, seq, op->now_ms, &every, &zone);
    sqlite3_reset(st);
    if (every) {
        struct sh_error why = {0};
        const int64_t after = e->due_ms > op->now_ms ? e->due_ms : op->now_ms;
        next_ms = next_time(every, zone ? zone : "UTC", e->due_ms, after, &why);
        if (!next_ms)
            sh_warn("a clock rule has run for the last time", "rule", e->key, "why", why.msg);
    }
    free(every);
    free(zone);
    return sh_store_emit(s, e, &op->emitted, &op->n_emitted, err) &&
           move_clock(s, seq, next_ms, err);
}

enum due_kind { DUE_TIMER = 1, DUE_CALLBACK = 2, DUE_MISSED = 3 };
struct due {
    enum due_kind kind;
    int64_t seq;
};

static bool fire_one(struct sh_store *s, struct sh_op_fire *op, const struct due *d,
                     struct sh_error *err)
{
    if (d->kind == DUE_TIMER)
        return fire_timer(s, op, d->seq, err);
    struct sh_store_call c = {0};
    int got = sh_store_call_get(s, d->seq, &c, err);
    bool ok = got >= 0;
    if (got == 1)
        ok = d->kind == DUE_CALLBACK ? sh_store_call_due(s, op, &c, err)
                                     : sh_store_call_missed(s, op, &c, err);
    sh_store_call_clear(&c);
    return ok;
}

/* A list first: the rows are changed while it is worked off. */
static bool find_due(struct sh_store *s, const struct sh_op_fire *op, struct due *list,
                     size_t limit, size_t *n, struct sh_error *err)
{
    int got;
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_DUE, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, op->now_ms);
    sh_sqlite_bind_int(st, 2, s->config.callback_missed_ms);
    sh_sqlite_bind_int(st, 3, (int64_t)limit);
    while ((got = sh_sqlite_step(st, err)) == 1 && *n < limit)
        list[(*n)++] =
            (struct due){(enum due_kind)sqlite3_column_int(st, 0), sqlite3_column_int64(st, 1)};
    sqlite3_reset(st);
    return got >= 0;
}

static bool find_next(struct sh_store *s, struct sh_op_fire *op, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_DUE_NEXT, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, op->now_ms);
    sh_sqlite_bind_int(st, 2, s->config.callback_missed_ms);
    return sh_sqlite_int(st, &op->next_due_ms, err);
}

bool sh_store_fire(struct sh_store *s, struct sh_op_fire *op, struct sh_error *err)
{
    size_t n = 0, limit = op->limit < SH_STORE_FIRE_MAX ? op->limit : SH_STORE_FIRE_MAX;
    struct due *list = sh_alloc(limit ? limit : 1, sizeof(*list));
    bool ok = find_due(s, op, list, limit, &n, err);
    for (size_t i = 0; ok && i < n; i++)
        ok = fire_one(s, op, &list[i], err);
    op->n_fired = n;
    free(list);
    return ok && find_next(s, op, err);
}
