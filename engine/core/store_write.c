/* SPDX-License-Identifier: MIT
 * store_write.c: accept, settle, redrive. All on the writer's connection,
 * within the batch's transaction. */
#include "core/fault.h"
#include "core/store_impl.h"
#include "svc/crypto.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

void sh_store_dedupe_hash(struct sh_slice source, struct sh_slice dedupe_id,
                          uint8_t out[SH_SHA256_BYTES])
{
    const struct sh_slice parts[] = {source, sh_slice("", 1), dedupe_id};
    sh_sha256(parts, 3, out);
}

/* --- accept ------------------------------------------------------------------ */

static bool insert_event(struct sh_store *s, const struct sh_event *e, int64_t seq,
                         struct sh_error *err)
{
    char id[SH_ID_TEXT];
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_EVENT_ADD, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, seq);
    sh_sqlite_bind_text(st, 2, sh_slice(sh_id_text(e->id, id), SH_ID_TEXT - 1));
    sh_sqlite_bind_text(st, 3, sh_slice_str(e->source));
    sh_sqlite_bind_text(st, 4, sh_slice_str(e->type));
    sh_sqlite_bind_text(st, 5, sh_slice_str(e->key));
    sh_sqlite_bind_text(st, 6, sh_slice_str(e->dedupe_id));
    sh_sqlite_bind_int(st, 7, e->received_ms);
    sh_sqlite_bind_int(st, 8, e->depth);
    sh_sqlite_bind_str(st, 9, e->cause);
    sh_sqlite_bind_blob(st, 10, e->body, e->body_len);
    sh_sqlite_bind_null(st, 11);
    if (e->due_ms)
        sh_sqlite_bind_int(st, 11, e->due_ms);
    sh_sqlite_bind_int(st, 12, e->format);
    sh_sqlite_bind_null(st, 13);
    if (e->occurred_ms)
        sh_sqlite_bind_int(st, 13, e->occurred_ms);
    sh_sqlite_bind_str(st, 14, e->trace);
    if (!sh_sqlite_run(st, err))
        return false;
    st = sh_store_stmt(&s->w, SH_ST_UNFINISHED_ADD, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, seq);
    return sh_sqlite_run(st, err);
}

bool sh_store_add_event(struct sh_store *s, struct sh_event *e, struct sh_id *first, bool *dup,
                        struct sh_error *err)
{
    uint8_t hash[SH_SHA256_BYTES];
    sh_store_dedupe_hash(sh_slice_str(e->source), sh_slice_str(e->dedupe_id), hash);
    int got = sh_store_dedupe_find(s, hash, first, err);
    *dup = got == 1;
    if (got != 0)
        return got > 0;
    e->id = sh_id_next(&s->ids, sh_now_ms());
    int64_t seq = sh_id_order(e->id);
    return sh_store_dedupe_add(s, hash, seq, err) && insert_event(s, e, seq, err);
}

bool sh_store_accept(struct sh_store *s, struct sh_op_accept *op, struct sh_error *err)
{
    struct sh_event *e = op->event;
    if (!e->source || !e->type || !e->key || !e->dedupe_id || !e->body)
        return sh_error_set(err, SH_EINVAL, "event without source, type, key, dedupe id or body");
    return sh_store_add_event(s, e, &op->first_id, &op->duplicate, err);
}

/* --- settle ------------------------------------------------------------------ */

void sh_op_settle_clear(struct sh_op_settle *op)
{
    for (size_t i = 0; i < op->n_emitted; i++)
        sh_event_free(op->emitted[i]);
    free(op->emitted);
    if (op->run_errors)
        for (size_t i = 0; i < op->n_runs; i++)
            free(op->run_errors[i]);
    free(op->run_errors);
    op->emitted = NULL;
    op->run_errors = NULL;
    op->n_emitted = op->n_queued = op->n_timed = 0;
}

void sh_store_settle_begin(struct sh_op_settle *op)
{
    sh_op_settle_clear(op);
    for (size_t i = 0; i < op->n_runs; i++)
        op->runs[i].conflict = op->runs[i].kept = false;
}

static enum sh_outcome stored_outcome(const struct sh_run *run)
{
    switch (run->outcome) {
    case SH_RUN_FAILED:
        return run->retry_at_ms > 0 ? SH_RUN_RETRY : SH_RUN_DEAD;
    case SH_RUN_GONE:
        return SH_RUN_DEAD;
    default:
        return run->outcome;
    }
}

void sh_store_settle_finish(struct sh_op_settle *op)
{
    for (size_t i = 0; i < op->n_runs; i++) {
        struct sh_run *run = &op->runs[i];
        if (op->run_errors && op->run_errors[i])
            run->outcome = SH_RUN_DEAD;
        else if (run->kept)
            run->outcome = SH_RUN_PAUSED;
        else if (run->conflict)
            run->outcome = SH_RUN_RETRY;
        else
            run->outcome = stored_outcome(run);
    }
}

/* Does the store still say what the run read? What the world said is not asked again; *looked_up:
 * there was such a question. */
static bool reads_hold(struct sh_store *s, const struct sh_run *run, bool *hold, bool *looked_up,
                       struct sh_error *err)
{
    struct sh_reader r = sh_reader_of(run->reads);
    *hold = true;
    *looked_up = false;
    if (!sh_store_flush_record(s, err))
        return false;
    for (uint32_t i = 0; i < run->n_reads && *hold; i++) {
        struct sh_read_mark m;
        uint64_t now, n;
        if (!sh_read_mark_read(&r, &m))
            return sh_error_set(err, SH_EINVAL, "read %u of the run is malformed", i + 1);
        if (m.request.kind == SH_READ_HTTP) {
            *looked_up = true;
            continue;
        }
        if (!sh_store_ask(&s->w, &m.request, &now, &n, NULL, err))
            return false;
        *hold = now == m.mark;
    }
    return true;
}

struct row { /* what a run's row will say */
    enum sh_outcome outcome;
    uint32_t attempts;
    struct sh_slice error;
    int64_t next_ms;
    bool with_effects, with_lookups;
};

/* An answer in short: its status and that it was dropped. */
static void drop_answer(struct sh_buf *out, struct sh_slice answer)
{
    struct sh_slice status;
    sh_buf_adds(out, "{\"status\":");
    if (sh_json_find(answer, "status", &status) == SH_JSON_NUMBER)
        sh_buf_add(out, status.p, status.n);
    else
        sh_buf_addc(out, '0');
    sh_buf_adds(out, ",\"dropped\":true}");
}

/* What the run asked of other systems and what they answered, as [{"request","answer"}]; past the
 * bound answers are dropped, then, with one {"dropped":true}, all that follows. out stays empty
 * when there was none. */
static void put_lookups(const struct sh_run *run, struct sh_buf *out)
{
    struct sh_reader r = sh_reader_of(run->reads);
    const size_t most = SH_STORE_BRIEF_BYTES, around = sizeof("{\"request\":,\"answer\":},");
    struct sh_read_mark m;
    sh_buf_init(out, most + most / 8 + around);
    for (uint32_t i = 0; i < run->n_reads && sh_read_mark_read(&r, &m); i++) {
        if (m.request.kind != SH_READ_HTTP)
            continue;
        size_t n = out->len + m.request.query.n + around;
        sh_buf_addc(out, out->len ? ',' : '[');
        if (n > most + most / 16) {
            sh_buf_adds(out, "{\"dropped\":true}");
            break;
        }
        sh_buf_adds(out, "{\"request\":");
        sh_buf_add(out, m.request.query.p, m.request.query.n);
        sh_buf_adds(out, ",\"answer\":");
        if (n + m.answer.n <= most)
            sh_buf_add(out, m.answer.p, m.answer.n);
        else
            drop_answer(out, m.answer);
        sh_buf_addc(out, '}');
    }
    if (out->len)
        sh_buf_addc(out, ']');
}

static bool brief_effects(struct sh_store *s, const struct sh_run *run, struct sh_error *err)
{
    sh_buf_reset(&s->brief);
    sh_buf_addc(&s->brief, '[');
    for (uint32_t i = 0; i < run->n_effects; i++) {
        if (i)
            sh_buf_addc(&s->brief, ',');
        sh_effect_json(&s->brief, &s->fx[i], true);
    }
    sh_buf_addc(&s->brief, ']');
    return sh_buf_ok(&s->brief) ||
           sh_error_set(err, SH_ELIMIT, "the run's effects in short take more than %zu bytes",
                        SH_STORE_BRIEF_BYTES);
}

/* *fresh: the row was written; false when it says done already. */
static bool put_row(struct sh_store *s, const struct sh_op_settle *op, const struct sh_run *run,
                    const struct row *row, bool *fresh, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_RUN_PUT, err);
    if (!st)
        return false;
    struct sh_buf lookups = {0};
    if (row->with_lookups)
        put_lookups(run, &lookups);
    bool brief = row->with_effects && run->n_effects > 0;
    sh_sqlite_bind_int(st, 1, sh_id_order(op->event_id));
    sh_sqlite_bind_text(st, 2, run->rule);
    sh_sqlite_bind_str(st, 3, op->generation ? op->generation : "");
    sh_sqlite_bind_str(st, 4, sh_outcome_name(row->outcome));
    sh_sqlite_bind_int(st, 5, row->attempts);
    sh_sqlite_bind_text(st, 6, brief ? sh_slice(s->brief.data, s->brief.len) : SH_SLICE("[]"));
    if (row->error.n)
        sh_sqlite_bind_text(st, 7, row->error);
    else
        sh_sqlite_bind_null(st, 7);
    sh_sqlite_bind_int(st, 8, (int64_t)run->duration_us);
    sh_sqlite_bind_int(st, 9, run->now_ms);
    if (row->outcome == SH_RUN_RETRY)
        sh_sqlite_bind_int(st, 10, row->next_ms);
    else
        sh_sqlite_bind_null(st, 10);
    if (run->logs.n)
        sh_sqlite_bind_text(st, 11, run->logs);
    else
        sh_sqlite_bind_null(st, 11);
    sh_sqlite_bind_null(st, 12);
    if (lookups.len && sh_buf_ok(&lookups))
        sh_sqlite_bind_text(st, 12, sh_slice(lookups.data, lookups.len));
    bool ok = sh_sqlite_run(st, err);
    *fresh = ok && sqlite3_changes(s->w.db) > 0;
    sh_buf_free(&lookups);
    return ok;
}

static bool count_run(struct sh_store *s, struct sh_op_settle *op, const struct sh_run *run,
                      struct sh_error *err)
{
    if (run->outcome != SH_RUN_DONE && run->outcome != SH_RUN_FAILED)
        return true;
    return sh_store_rule_ran(s, op, run, run->outcome == SH_RUN_FAILED, run->error, err);
}

/* Its rule is paused: whatever came of it, it has no effect, and goes again when that is over. */
static bool keep_run(struct sh_store *s, struct sh_op_settle *op, struct sh_run *run,
                     struct sh_error *err)
{
    const struct row row = {
        .outcome = SH_RUN_PAUSED, .attempts = run->attempt, .error = run->error};
    bool fresh;
    run->kept = true;
    if (run->outcome != SH_RUN_FAILED)
        return sh_store_keep_run(s, op, run, err);
    return put_row(s, op, run, &row, &fresh, err) && (!fresh || count_run(s, op, run, err));
}

static bool settle_run(struct sh_store *s, struct sh_op_settle *op, struct sh_run *run,
                       struct sh_error *err)
{
    struct row row = {.outcome = stored_outcome(run),
                      .attempts = run->attempt,
                      .error = run->error,
                      .next_ms = run->retry_at_ms};
    const bool held = run->outcome == SH_RUN_PAUSED;
    bool hold = !held, looked_up = run->n_reads > 0, fresh, takes;
    if (!sh_store_rule_takes(s, op, run, &takes, err))
        return false;
    if (!takes)
        return keep_run(s, op, run, err);
    if (run->outcome == SH_RUN_DONE && run->n_reads && !reads_hold(s, run, &hold, &looked_up, err))
        return false;
    if (!hold) { /* no attempt is used up: the run was not at fault */
        row = (struct row){.outcome = SH_RUN_RETRY,
                           .attempts = run->attempt ? run->attempt - 1 : 0,
                           .error = held ? SH_SLICE("its rule was resumed meanwhile")
                                         : SH_SLICE("what the run had read was changed meanwhile"),
                           .next_ms = run->now_ms};
    }
    row.with_effects = row.outcome == SH_RUN_DONE && run->n_effects > 0;
    row.with_lookups = looked_up || (!hold && run->n_reads);
    if (row.with_effects && (!sh_store_decode(s, run, err) || !brief_effects(s, run, err)))
        return false;
    if (!put_row(s, op, run, &row, &fresh, err))
        return false;
    if (!fresh)
        return true; /* settled before: this result comes too late */
    if (hold && !count_run(s, op, run, err))
        return false;
    /* if it is this very run that made its rule paused, its row has become so too */
    run->kept = row.outcome == SH_RUN_RETRY && sh_store_rule_state(s, run->rule) == SH_RULE_PAUSED;
    run->conflict = !hold && !run->kept;
    return !row.with_effects || sh_store_apply(s, op, run, err);
}

/* The store refused this run, and all it did was taken back: its row says dead, with the reason. */
static bool bury_run(struct sh_store *s, struct sh_op_settle *op, size_t i, struct sh_error *err)
{
    char *why = sh_fault_text(op->runs[i].rule, sh_slice_str(err->msg));
    bool fresh = false;
    const struct row row = {.outcome = SH_RUN_DEAD,
                            .attempts = op->runs[i].attempt,
                            .error = sh_slice_str(why),
                            .with_lookups = op->runs[i].n_reads > 0};
    if (!sh_store_do(&s->w, SH_ST_BACK_RUN, err) ||
        !put_row(s, op, &op->runs[i], &row, &fresh, err)) {
        free(why);
        return false;
    }
    op->runs[i].conflict = op->runs[i].kept = false;
    if (!op->run_errors)
        op->run_errors = sh_alloc(op->n_runs, sizeof(*op->run_errors));
    op->run_errors[i] = why;
    return !fresh || sh_store_rule_ran(s, op, &op->runs[i], true, sh_slice_str(why), err);
}

static bool settle_run_safe(struct sh_store *s, struct sh_op_settle *op, size_t i,
                            struct sh_error *err)
{
    size_t n_emitted = op->n_emitted, n_queued = op->n_queued, n_timed = op->n_timed;
    size_t mark = sh_store_dedupe_mark(s), rules = sh_store_rules_mark(s);
    uint64_t version_limit = s->version_limit;
    if (!sh_store_do(&s->w, SH_ST_SAVE_RUN, err))
        return false;
    if (!settle_run(s, op, &op->runs[i], err) || !sh_store_flush_record(s, err)) {
        sh_store_drop_record(s);
        if (sh_store_dooms_batch(err->code))
            return false;
        while (op->n_emitted > n_emitted)
            sh_event_free(op->emitted[--op->n_emitted]);
        op->n_queued = n_queued;
        op->n_timed = n_timed;
        s->version_limit = version_limit; /* taken back on disk with the run */
        sh_store_dedupe_back_to(s, mark);
        sh_store_rules_back_to(s, rules);
        if (!bury_run(s, op, i, err))
            return false;
    }
    return sh_store_do(&s->w, SH_ST_FREE_RUN, err);
}

bool sh_store_settle(struct sh_store *s, struct sh_op_settle *op, bool safe, struct sh_error *err)
{
    if (sh_store_is_gone(s, sh_id_order(op->event_id)))
        return sh_store_settle_gone(s, op, err);
    sh_store_count_emits(s, op);
    for (size_t i = 0; i < op->n_runs; i++) {
        if (safe ? !settle_run_safe(s, op, i, err) : !settle_run(s, op, &op->runs[i], err))
            return false;
        op->runs[i].rule_state = sh_store_rule_state(s, op->runs[i].rule);
    }
    if (!sh_store_flush_record(s, err))
        return false;
    if (!op->closes)
        return true;
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_UNFINISHED_DEL, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, sh_id_order(op->event_id));
    return sh_sqlite_run(st, err);
}

/* --- the rest ---------------------------------------------------------------- */
