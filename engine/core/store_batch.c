/* SPDX-License-Identifier: MIT
 * store_batch.c: operations of the writer, committed together.
 *
 * The fast way has no savepoints. When an operation turns out to be refused, the transaction is
 * rolled back and everything is done again the safe way, with a savepoint around each operation
 * and each run, so that only the refused one is lost. */
#include "core/forget.h"
#include "core/store_impl.h"
#include "base/clock.h"
#include "base/log.h"

bool sh_store_dooms_batch(enum sh_code code)
{
    return code == SH_EFATAL || code == SH_EFULL || code == SH_ESYS || code == SH_EBUSY;
}

static void reset_op(struct sh_op *op)
{
    op->err = (struct sh_error){0};
    op->ok = false;
    switch (op->kind) {
    case SH_OP_ACCEPT: {
        struct sh_op_accept *a = (struct sh_op_accept *)op;
        a->duplicate = false;
        a->event->id = a->first_id = (struct sh_id){0};
        break;
    }
    case SH_OP_SETTLE:
        sh_store_settle_begin((struct sh_op_settle *)op);
        break;
    case SH_OP_REDRIVE:
    case SH_OP_DROP:
        ((struct sh_op_redrive *)op)->n_runs = ((struct sh_op_redrive *)op)->n_items = 0;
        break;
    case SH_OP_PRUNE:
        ((struct sh_op_prune *)op)->removed = 0;
        break;
    case SH_OP_DELIVERY:
        sh_event_free(((struct sh_op_delivery *)op)->emitted);
        ((struct sh_op_delivery *)op)->emitted = NULL;
        break;
    case SH_OP_FIRE:
        sh_store_fire_begin((struct sh_op_fire *)op);
        break;
    case SH_OP_CALLBACK:
        ((struct sh_op_callback *)op)->n_queued = 0;
        break;
    case SH_OP_RULES:
        sh_store_rules_begin((struct sh_op_rules *)op);
        break;
    case SH_OP_RESUME:
        sh_store_resume_begin((struct sh_op_resume *)op);
        break;
    default:
        break;
    }
}

static bool apply_op(struct sh_store *s, struct sh_op *op, bool safe, struct sh_error *err)
{
    const bool asked = sh_op_is_asked(op->kind);
    if (s->config.shared && !asked)
        return sh_error_set(err, SH_EINVAL,
                            "beside a running engine only what a person asks for can be written");
    if (s->config.dir && asked && !op->audit)
        return sh_error_set(err, SH_EINVAL, "operation %d does not say who asks for it",
                            (int)op->kind);
    switch (op->kind) {
    case SH_OP_ACCEPT:
        return sh_store_accept(s, (struct sh_op_accept *)op, err);
    case SH_OP_SETTLE:
        return sh_store_settle(s, (struct sh_op_settle *)op, safe, err);
    case SH_OP_DELIVERY:
        return sh_store_delivery(s, (struct sh_op_delivery *)op, err);
    case SH_OP_GENERATION:
        return sh_store_generation(s, (struct sh_op_generation *)op, err);
    case SH_OP_REDRIVE:
        return sh_store_redrive(s, (struct sh_op_redrive *)op, err);
    case SH_OP_PRUNE:
        return sh_store_prune(s, (struct sh_op_prune *)op, err);
    case SH_OP_FIRE:
        return sh_store_fire(s, (struct sh_op_fire *)op, err);
    case SH_OP_CLOCKS:
        return sh_store_clocks(s, (struct sh_op_clocks *)op, err);
    case SH_OP_CALLBACK:
        return sh_store_callback_op(s, (struct sh_op_callback *)op, err);
    case SH_OP_FEED_NEW:
        return sh_store_feed_new(s, (struct sh_op_feed_new *)op, err);
    case SH_OP_RULE_SET:
        return sh_store_rule_set(s, (struct sh_op_rule_set *)op, err);
    case SH_OP_RULES:
        return sh_store_rules_op(s, (struct sh_op_rules *)op, err);
    case SH_OP_RESUME:
        return sh_store_resume(s, (struct sh_op_resume *)op, err);
    case SH_OP_DROP:
        return sh_store_drop(s, (struct sh_op_redrive *)op, err);
    case SH_OP_TIMER_CANCEL:
        return sh_store_timer_drop(s, (struct sh_op_timer_cancel *)op, err);
    case SH_OP_TOKEN_NEW:
        return sh_store_token_new(s, (struct sh_op_token_new *)op, err);
    case SH_OP_TOKEN_REVOKE:
        return sh_store_token_revoke(s, (struct sh_op_token_revoke *)op, err);
    case SH_OP_SESSION_NEW:
        return sh_store_session_new(s, (struct sh_op_session_new *)op, err);
    case SH_OP_SESSION_END:
        return sh_store_session_end(s, (struct sh_op_session_end *)op, err);
    case SH_OP_FORGET:
        return sh_store_forget(s, (struct sh_op_forget *)op, err);
    case SH_OP_SERIES:
        return sh_store_series(s, (struct sh_op_series *)op, err);
    case SH_OP_AUDIT:
    case SH_OP_SCRUB:
        return true;
    default:
        return sh_error_set(err, SH_EINVAL, "the writer has no operation %d", (int)op->kind);
    }
}

static bool apply(struct sh_store *s, struct sh_op *op, bool safe, struct sh_error *err)
{
    return apply_op(s, op, safe, err) && (!op->audit || sh_store_audit(s, op, err));
}

/* One operation that can be taken back alone. False: the batch is lost. */
static bool apply_safe(struct sh_store *s, struct sh_op *op, struct sh_error *err)
{
    size_t mark = sh_store_dedupe_mark(s), rules = sh_store_rules_mark(s);
    uint64_t version_limit = s->version_limit;
    if (!sh_store_do(&s->w, SH_ST_SAVE_OP, err))
        return false;
    if (!apply(s, op, true, err)) {
        if (sh_store_dooms_batch(err->code))
            return false;
        struct sh_error why = *err;
        if (!sh_store_do(&s->w, SH_ST_BACK_OP, err))
            return false;
        sh_store_dedupe_back_to(s, mark);
        sh_store_rules_back_to(s, rules);
        s->version_limit = version_limit;
        if (op->kind == SH_OP_FORGET) /* one at a time: what is marked in this batch is its own */
            sh_store_gone_end(s, false);
        reset_op(op);
        op->err = why;
    }
    return sh_store_do(&s->w, SH_ST_FREE_OP, err);
}

static bool apply_all(struct sh_store *s, struct sh_op *ops, bool safe, struct sh_error *err)
{
    for (struct sh_op *op = ops; op; op = op->next) {
        reset_op(op);
        if (safe ? !apply_safe(s, op, err) : !apply(s, op, false, err))
            return false;
    }
    return sh_store_dedupe_step(s, err) && sh_store_views_flush(s, err);
}

/* After a failed COMMIT nobody knows whether the transaction is in the log: a read error there,
 * or anything else that is not plainly "no room", ends the process. */
static bool commit(struct sh_store *s, struct sh_error *err)
{
    if (sh_store_do(&s->w, SH_ST_COMMIT, err))
        return true;
    if (err->code == SH_ESYS)
        err->code = SH_EFATAL;
    return false;
}

static bool transaction(struct sh_store *s, struct sh_op *ops, bool safe, struct sh_error *err)
{
    size_t mark = sh_store_dedupe_mark(s);
    sh_store_drop_record(s);
    if (!sh_store_do(&s->w, SH_ST_BEGIN, err)) {
        for (struct sh_op *op = ops; op; op = op->next)
            reset_op(op);
        return false;
    }
    sh_store_changes_begin(s);
    if (sh_store_rules_refresh(s, err) && apply_all(s, ops, safe, err) && commit(s, err)) {
        sh_store_changes_committed(s);
        s->version_kept = s->version_limit;
        sh_store_dedupe_committed(s);
        sh_store_rules_committed(s);
        sh_store_views_committed(s);
        sh_store_gone_end(s, true);
        return true;
    }
    /* no room, I/O errors and lack of memory may have rolled back already */
    if (!sqlite3_get_autocommit(s->w.db))
        sqlite3_exec(s->w.db, "ROLLBACK", NULL, NULL, NULL);
    s->version_limit = s->version_kept;
    sh_store_dedupe_back_to(s, mark);
    sh_store_rules_back_to(s, 0);
    sh_store_dedupe_rolled_back(s);
    sh_store_views_rolled_back(s);
    sh_store_gone_end(s, false);
    return false;
}

static void fail_all(struct sh_op *ops, const struct sh_error *err)
{
    for (struct sh_op *op = ops; op; op = op->next) {
        reset_op(op);
        op->err = *err;
    }
}

static void report(struct sh_store *s, struct sh_op *ops)
{
    for (struct sh_op *op = ops; op; op = op->next) {
        op->ok = op->err.code == SH_OK;
        if (op->ok && op->kind == SH_OP_SETTLE)
            sh_store_settle_finish((struct sh_op_settle *)op);
        if (op->ok && op->kind == SH_OP_SCRUB)
            sh_store_scrub(s, (struct sh_op_scrub *)op);
    }
}

static size_t length(const struct sh_op *ops)
{
    size_t n = 0;
    for (; ops; ops = ops->next)
        n++;
    return n;
}

void sh_store_batch(struct sh_store *s, struct sh_op *ops)
{
    struct sh_error err = {0};
    bool ok = false;
    if (!sh_store_get_fatal(s, &err)) {
        sh_store_write_begin(s);
        const int64_t began_us = sh_mono_us(), commits = s->commits;
        ok = transaction(s, ops, false, &err) ||
             (!sh_store_dooms_batch(err.code) && transaction(s, ops, true, &err));
        if (ok)
            report(s, ops);
        sh_store_write_end(s);
        if (ok && s->commits != commits)
            sh_store_note_batch(s, length(ops), sh_mono_us() - began_us);
        if (!ok && err.code == SH_EFATAL)
            sh_store_set_fatal(s, &err);
    }
    if (!ok)
        fail_all(ops, &err);
}
