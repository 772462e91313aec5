/* SPDX-License-Identifier: MIT
 * store_rules.c: rules that fail or are paused: how often in a row, what is kept for them, and how
 * it goes again.
 *
 * The writer has the table sh_rules in memory, so that a rule which does well costs nothing. Every
 * change is in the table and in memory at once; what a transaction or a savepoint takes back is
 * taken back in memory by a list of what was there before. Another process may pause and resume
 * rules too: SQLite says at the start of a transaction whether the file was changed by others. */
#include "base/log.h"
#include "base/utf8.h"
#include "core/store_impl.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define RESUME_MOST 10000 /* runs in one SH_OP_RESUME */

struct sh_store_rule {
    char *name;
    int64_t failures; /* in a row */
    enum sh_rule_state state;
    int64_t pauses; /* so far: tells one pause from the next */
    UT_hash_handle hh;
};

struct undo { /* what was there before a change */
    struct sh_store_rule *rule;
    int64_t failures, pauses;
    enum sh_rule_state state;
};

struct sh_store_rules {
    struct sh_store_rule *by_name; /* never taken out, so that undo may point at them */
    struct undo *undo;
    size_t n_undo, cap_undo;
    int64_t data_version; /* of the file when it was read */
    bool loaded;
};

struct sh_store_rules *sh_store_rules_new(void)
{
    return sh_alloc(1, sizeof(struct sh_store_rules));
}

void sh_store_rules_free(struct sh_store_rules *r)
{
    struct sh_store_rule *rule, *next;
    if (!r)
        return;
    HASH_ITER(hh, r->by_name, rule, next)
    {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the macros
        HASH_DEL(r->by_name, rule);
        free(rule->name);
        free(rule);
    }
    free(r->undo);
    free(r);
}

/* --- in memory ----------------------------------------------------------------- */

static struct sh_store_rule *find(const struct sh_store *s, struct sh_slice name)
{
    struct sh_store_rule *rule = NULL;
    if (s->rules->by_name && name.n)
        HASH_FIND(hh, s->rules->by_name, name.p, name.n, rule);
    return rule;
}

static struct sh_store_rule *find_or_add(struct sh_store *s, struct sh_slice name)
{
    struct sh_store_rule *rule = find(s, name);
    if (rule)
        return rule;
    rule = sh_alloc(1, sizeof(*rule));
    rule->name = sh_slice_dup(name);
    HASH_ADD_KEYPTR(hh, s->rules->by_name, rule->name, name.n, rule);
    return rule;
}

static void change(struct sh_store *s, struct sh_store_rule *rule, int64_t failures,
                   enum sh_rule_state state)
{
    struct sh_store_rules *r = s->rules;
    if (r->n_undo == r->cap_undo) {
        r->cap_undo = r->cap_undo ? r->cap_undo * 2 : 16;
        r->undo = sh_realloc(r->undo, r->cap_undo * sizeof(*r->undo));
    }
    r->undo[r->n_undo++] = (struct undo){rule, rule->failures, rule->pauses, rule->state};
    rule->failures = failures;
    rule->pauses += state == SH_RULE_PAUSED && rule->state != SH_RULE_PAUSED;
    rule->state = state;
}

size_t sh_store_rules_mark(const struct sh_store *s)
{
    return s->rules->n_undo;
}

void sh_store_rules_back_to(struct sh_store *s, size_t mark)
{
    struct sh_store_rules *r = s->rules;
    while (r->n_undo > mark) {
        const struct undo *u = &r->undo[--r->n_undo];
        u->rule->failures = u->failures;
        u->rule->pauses = u->pauses;
        u->rule->state = u->state;
    }
}

void sh_store_rules_committed(struct sh_store *s)
{
    s->rules->n_undo = 0;
}

enum sh_rule_state sh_store_rule_state(const struct sh_store *s, struct sh_slice rule)
{
    const struct sh_store_rule *known = find(s, rule);
    return known ? known->state : SH_RULE_ON;
}

static enum sh_rule_state state_of(struct sh_slice name)
{
    for (int i = SH_RULE_PAUSED; i <= SH_RULE_RESUMING; i++)
        if (sh_slice_eq(name, sh_slice_str(sh_rule_state_name((enum sh_rule_state)i))))
            return (enum sh_rule_state)i;
    return SH_RULE_ON;
}

static bool load(struct sh_store *s, struct sh_error *err)
{
    struct sh_store_rule *rule, *next;
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_RULES_LOAD, err);
    int got;
    if (!st)
        return false;
    HASH_ITER(hh, s->rules->by_name, rule, next)
    {
        rule->failures = 0;
        rule->state = SH_RULE_ON;
    }
    while ((got = sh_sqlite_step(st, err)) == 1) {
        rule = find_or_add(s, sh_sqlite_text(st, 0));
        rule->failures = sqlite3_column_int64(st, 1);
        rule->state = state_of(sh_sqlite_text(st, 2));
        rule->pauses = sqlite3_column_int64(st, 3);
    }
    return got == 0;
}

bool sh_store_rules_refresh(struct sh_store *s, struct sh_error *err)
{
    struct sh_store_rules *r = s->rules;
    int64_t version = 0;
    if (r->loaded && !s->path)
        return true; /* in memory there are no others */
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_DATA_VERSION, err);
    if (!st || !sh_sqlite_int(st, &version, err))
        return false;
    if (r->loaded && version == r->data_version)
        return true;
    if (r->loaded) /* what it wrote is not known */
        s->changes_elsewhere = SH_TOPICS_ALL;
    r->loaded = load(s, err);
    r->data_version = version;
    return r->loaded;
}

bool sh_store_rules_recover(struct sh_store *s, struct sh_error *err)
{
    return sh_sqlite_exec(s->w.db,
                          "UPDATE sh_runs SET outcome = 'paused', next_ms = NULL"
                          " WHERE outcome = 'retry' AND attempts = 0"
                          " AND EXISTS(SELECT 1 FROM sh_rules WHERE state = 'resuming')"
                          " AND rule IN (SELECT rule FROM sh_rules WHERE state = 'resuming')",
                          err);
}

/* --- counting ------------------------------------------------------------------ */

/* Write down how often it failed. error NULL: it has not. */
static bool put_count(struct sh_store *s, const struct sh_store_rule *rule, const char *error,
                      const char *event_id, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_RULE_COUNT, err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, rule->name);
    sh_sqlite_bind_int(st, 2, rule->failures);
    sh_sqlite_bind_int(st, 3, sh_now_ms());
    sh_sqlite_bind_str(st, 4, error);
    sh_sqlite_bind_str(st, 5, event_id);
    return sh_sqlite_run(st, err);
}

static bool put_state(struct sh_store *s, const struct sh_store_rule *rule, const char *by,
                      int64_t now_ms, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_RULE_STATE, err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, rule->name);
    sh_sqlite_bind_int(st, 2, rule->failures);
    sh_sqlite_bind_str(st, 3, sh_rule_state_name(rule->state));
    sh_sqlite_bind_int(st, 4, rule->pauses);
    sh_sqlite_bind_int(st, 5, now_ms);
    sh_sqlite_bind_str(st, 6, by);
    return sh_sqlite_run(st, err);
}

static bool keep_retries(struct sh_store *s, const struct sh_store_rule *rule, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_RULE_KEEP_RETRIES, err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, rule->name);
    return sh_sqlite_run(st, err);
}

static char *alert_body(const struct sh_op_settle *op, const struct sh_store_rule *rule,
                        const char *error, const char *event_id, int64_t now_ms, size_t *len)
{
    char at[SH_TIME_TEXT];
    struct sh_buf out;
    sh_buf_init(&out, SH_MAX_DOC_BYTES);
    sh_buf_adds(&out, "{\"rule\":");
    sh_json_quote(&out, sh_slice_str(rule->name));
    sh_buf_addf(&out, ",\"failures\":%lld,\"error\":", (long long)rule->failures);
    sh_json_quote(&out, sh_slice_str(error));
    sh_buf_addf(&out, ",\"event_id\":\"%s\",\"event_type\":", event_id);
    sh_json_quote(&out, op->event_type);
    sh_buf_adds(&out, ",\"generation\":");
    sh_json_quote(&out, sh_slice_str(op->generation ? op->generation : ""));
    sh_buf_addf(&out, ",\"paused_at\":\"%s\"}", sh_time_text(now_ms, at));
    return sh_buf_take(&out, len);
}

/* The event that tells other rules. There cannot be a circle: a rule that fails on it is paused in
 * its turn, once, and a paused one gets nothing. */
static bool alert(struct sh_store *s, struct sh_op_settle *op, const struct sh_store_rule *rule,
                  const char *error, const char *event_id, int64_t now_ms, struct sh_error *err)
{
    char unique[SH_ID_TEXT];
    struct sh_event *e = sh_event_new();
    *e = (struct sh_event){.source = sh_strdup(SH_SOURCE_ENGINE),
                           .type = sh_strdup("rule_paused"),
                           .key = sh_strdup(rule->name),
                           .received_ms = now_ms,
                           .cause = sh_strdup(event_id),
                           .trace = sh_strdup(op->event_trace)};
    e->dedupe_id = sh_strf("rule_paused:%s", sh_id_text(sh_id_next(&s->ids, now_ms), unique));
    e->body = alert_body(op, rule, error, event_id, now_ms, &e->body_len);
    return sh_store_emit(s, e, &op->emitted, &op->n_emitted, err);
}

static bool pause_rule(struct sh_store *s, struct sh_op_settle *op, struct sh_store_rule *rule,
                       const char *error, const char *event_id, struct sh_error *err)
{
    int64_t now_ms = sh_now_ms();
    change(s, rule, rule->failures, SH_RULE_PAUSED);
    return put_state(s, rule, "engine", now_ms, err) && keep_retries(s, rule, err) &&
           alert(s, op, rule, error, event_id, now_ms, err);
}

static bool failed_again(struct sh_store *s, struct sh_op_settle *op, const struct sh_run *run,
                         struct sh_slice error, struct sh_error *err)
{
    char event_id[SH_ID_TEXT], *text = sh_slice_dup(error);
    struct sh_buf scratch = {0};
    const char *said = sh_store_said(&scratch, text);
    struct sh_store_rule *rule = find_or_add(s, run->rule);
    change(s, rule, rule->failures + 1, rule->state);
    sh_id_text(op->event_id, event_id);
    bool ok = put_count(s, rule, said, event_id, err);
    if (ok && rule->state != SH_RULE_PAUSED && rule->failures >= s->config.quarantine)
        ok = pause_rule(s, op, rule, said, event_id, err);
    sh_buf_free(&scratch);
    free(text);
    return ok;
}

bool sh_store_rule_ran(struct sh_store *s, struct sh_op_settle *op, const struct sh_run *run,
                       bool failed, struct sh_slice error, struct sh_error *err)
{
    if (sh_slice_eq(run->rule, SH_SLICE(SH_RULE_ALL)))
        return true; /* no rule can be blamed */
    if (op->outdated)
        return true;
    if (failed)
        return s->config.quarantine <= 0 || failed_again(s, op, run, error, err);
    struct sh_store_rule *rule = find(s, run->rule);
    if (!rule || rule->failures == 0)
        return true;
    change(s, rule, 0, rule->state);
    return put_count(s, rule, NULL, NULL, err);
}

/* While a rule is resumed, its rows of RETRY are those that SH_OP_RESUME has given out (or that
 * failed after that). All else is to come after what is still kept. A run that was not even begun
 * has nothing to take: it is kept. */
bool sh_store_rule_takes(struct sh_store *s, const struct sh_op_settle *op,
                         const struct sh_run *run, bool *takes, struct sh_error *err)
{
    const enum sh_rule_state state = sh_store_rule_state(s, run->rule);
    int64_t released = 0;
    *takes = state == SH_RULE_ON || run->outcome == SH_RUN_GONE;
    if (*takes || state == SH_RULE_PAUSED || run->outcome == SH_RUN_PAUSED)
        return true;
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_RUN_RELEASED, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, sh_id_order(op->event_id));
    sh_sqlite_bind_text(st, 2, run->rule);
    bool ok = sh_sqlite_int(st, &released, err);
    *takes = released != 0;
    return ok;
}

bool sh_store_keep_run(struct sh_store *s, const struct sh_op_settle *op, const struct sh_run *run,
                       struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_RUN_KEEP, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, sh_id_order(op->event_id));
    sh_sqlite_bind_text(st, 2, run->rule);
    sh_sqlite_bind_str(st, 3, op->generation ? op->generation : "");
    sh_sqlite_bind_int(st, 4, run->now_ms);
    return sh_sqlite_run(st, err);
}

/* --- what a person does ---------------------------------------------------------- */

static bool count_kept(struct sh_store *s, struct sh_op_rule_set *op, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_RULE_KEPT, err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, op->rule);
    return sh_sqlite_int(st, &op->kept, err);
}

static bool set_state(struct sh_store *s, struct sh_op_rule_set *op, struct sh_store_rule *rule,
                      struct sh_error *err)
{
    struct sh_buf scratch = {0};
    change(s, rule, op->pause ? rule->failures : 0, op->state);
    bool ok =
        (op->pause || put_count(s, rule, NULL, NULL, err)) &&
        put_state(s, rule, sh_store_said(&scratch, op->by ? op->by : "person"), sh_now_ms(), err) &&
        (!op->pause || keep_retries(s, rule, err));
    sh_buf_free(&scratch);
    return ok;
}

bool sh_store_rule_set(struct sh_store *s, struct sh_op_rule_set *op, struct sh_error *err)
{
    const struct sh_slice name = sh_slice_str(op->rule);
    if (name.n == 0 || name.n > SH_MAX_NAME_BYTES || !sh_utf8_ok(name))
        return sh_error_set(err, SH_EINVAL, "a rule's name has 1 to %d bytes of UTF-8",
                            SH_MAX_NAME_BYTES);
    op->was = op->state = sh_store_rule_state(s, name);
    if (!op->pause && op->was == SH_RULE_ON)
        return sh_error_set(err, SH_ECONFLICT, "rule \"%s\" is not paused", op->rule);
    if (op->pause && op->was != SH_RULE_PAUSED) {
        op->state = SH_RULE_PAUSED;
        return set_state(s, op, find_or_add(s, name), err) && count_kept(s, op, err);
    }
    if (!count_kept(s, op, err))
        return false;
    if (op->pause || op->was == SH_RULE_RESUMING)
        return true;
    op->state = op->kept ? SH_RULE_RESUMING : SH_RULE_ON;
    return set_state(s, op, find_or_add(s, name), err);
}

/* --- what the dispatcher asks ------------------------------------------------------ */

void sh_rules_held_free(struct sh_rule_held *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(items[i].rule);
    free(items);
}

void sh_store_rules_begin(struct sh_op_rules *op)
{
    sh_rules_held_free(op->items, op->n_items);
    op->items = NULL;
    op->n_items = 0;
}

bool sh_store_rules_op(struct sh_store *s, struct sh_op_rules *op, struct sh_error *err)
{
    (void)err;
    const struct sh_store_rule *rule;
    for (rule = s->rules->by_name; rule; rule = rule->hh.next) {
        if (rule->state == SH_RULE_ON)
            continue;
        if ((op->n_items & (op->n_items - 1)) == 0) /* grows at 0, 1, 2, 4, 8 ... */
            op->items =
                sh_realloc(op->items, (op->n_items ? op->n_items * 2 : 1) * sizeof(*op->items));
        op->items[op->n_items++] =
            (struct sh_rule_held){sh_strdup(rule->name), rule->state, rule->pauses};
    }
    return true;
}

void sh_store_resume_begin(struct sh_op_resume *op)
{
    sh_pending_free(op->items, op->n_items);
    op->items = NULL;
    op->n_items = 0;
    op->state = SH_RULE_ON;
    op->now_pauses = 0;
}

/* *more: the bound on bytes left some out. */
static bool collect(sqlite3_stmt *st, struct sh_op_resume *op, bool *more, struct sh_error *err)
{
    size_t bytes = 0;
    int got;
    op->items = sh_alloc(op->limit, sizeof(*op->items));
    while ((got = sh_sqlite_step(st, err)) == 1) {
        size_t body = (size_t)sqlite3_column_bytes(st, 9);
        if (op->n_items > 0 && op->max_bytes && bytes + body > op->max_bytes) {
            *more = true;
            break;
        }
        bytes += body;
        struct sh_pending *p = &op->items[op->n_items++];
        *p = (struct sh_pending){.event = sh_store_event_of(st), .n_rules = 1};
        p->rules = sh_alloc(1, sizeof(*p->rules));
        p->rules[0] = sh_strdup(op->rule);
    }
    sqlite3_reset(st);
    return got >= 0;
}

static bool release(struct sh_store *s, const struct sh_op_resume *op, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_RESUME_RUN, err);
    if (!st)
        return false;
    int64_t now_ms = sh_now_ms();
    for (size_t i = 0; i < op->n_items; i++) {
        sh_sqlite_bind_int(st, 1, sh_id_order(op->items[i].event->id));
        sh_sqlite_bind_str(st, 2, op->rule);
        sh_sqlite_bind_int(st, 3, now_ms);
        if (!sh_sqlite_run(st, err))
            return false;
    }
    return true;
}

bool sh_store_resume(struct sh_store *s, struct sh_op_resume *op, struct sh_error *err)
{
    struct sh_store_rule *rule = find(s, sh_slice_str(op->rule));
    bool more = false;
    op->state = rule ? rule->state : SH_RULE_ON;
    op->now_pauses = rule ? rule->pauses : 0;
    if (op->state != SH_RULE_RESUMING || op->pauses != op->now_pauses)
        return true;
    if (op->limit == 0 || op->limit > RESUME_MOST)
        return sh_error_set(err, SH_EINVAL, "resume limit %zu out of range 1..%d", op->limit,
                            RESUME_MOST);
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_RESUME_FIND, err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, op->rule);
    sh_sqlite_bind_int(st, 2, (int64_t)op->limit);
    if (!collect(st, op, &more, err) || !release(s, op, err))
        return false;
    if (more || op->n_items == op->limit)
        return true;
    op->state = SH_RULE_ON;
    change(s, rule, rule->failures, SH_RULE_ON);
    return put_state(s, rule, NULL, sh_now_ms(), err);
}
