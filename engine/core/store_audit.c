/* SPDX-License-Identifier: MIT
 * store_audit.c: who changed what, when: one row a change, in the change's own transaction.
 *
 * What was done is read from the operation itself, after it has been carried out: so every way to
 * ask for it leaves the same row. Texts that a person typed about somebody (notes) are not copied
 * into it. */
#include "core/callback.h"
#include "core/store_impl.h"
#include "svc/json.h"

#include <stdlib.h>

bool sh_op_is_asked(enum sh_op_kind kind)
{
    switch (kind) { /* no default: a new kind must say */
    case SH_OP_REDRIVE:
    case SH_OP_CALLBACK:
    case SH_OP_FEED_NEW:
    case SH_OP_RULE_SET:
    case SH_OP_AUDIT:
    case SH_OP_DROP:
    case SH_OP_TIMER_CANCEL:
    case SH_OP_TOKEN_NEW:
    case SH_OP_TOKEN_REVOKE:
    case SH_OP_SESSION_NEW:
    case SH_OP_SESSION_END:
        return true;
    case SH_OP_ACCEPT:
    case SH_OP_SETTLE:
    case SH_OP_DELIVERY:
    case SH_OP_GENERATION:
    case SH_OP_PRUNE:
    case SH_OP_FIRE:
    case SH_OP_CLOCKS:
    case SH_OP_RULES:
    case SH_OP_RESUME:
    case SH_OP_FORGET: /* their audit is an operation of its own */
    case SH_OP_SCRUB:
    case SH_OP_SERIES:
    case SH_OP_READ:
    case SH_OP_PENDING:
    case SH_OP_RETRIES:
    case SH_OP_OUTBOX:
    case SH_OP_COUNT:
    case SH_OP_FEED:
    case SH_OP_OLDEST:
    case SH_OP_TOKENS:
    case SH_OP_SESSIONS:
        return false;
    }
    return false;
}

struct row {
    const char *action; /* NULL: nothing was changed */
    const char *target;
    struct sh_buf detail; /* JSON members, without the braces */
};

static void add_name(struct row *r, const char *name)
{
    sh_buf_addf(&r->detail, "%s\"%s\":", r->detail.len ? "," : "", name);
}

static void add_text(struct row *r, const char *name, const char *text)
{
    struct sh_buf scratch = {0};
    if (!text)
        return;
    const char *said = sh_store_said(&scratch, text);
    add_name(r, name);
    sh_json_quote(&r->detail, sh_slice_str(said));
    sh_buf_free(&scratch);
}

static void add_time(struct row *r, const char *name, int64_t ms)
{
    char text[SH_TIME_TEXT];
    if (ms)
        add_text(r, name, sh_time_text(ms, text));
}

static void add_int(struct row *r, const char *name, int64_t n)
{
    add_name(r, name);
    sh_buf_addf(&r->detail, "%lld", (long long)n);
}

static void of_callback(const struct sh_op_callback *op, struct row *r)
{
    static const char *const actions[] = {[SH_CALLBACK_DONE] = "callback.done",
                                          [SH_CALLBACK_CANCEL] = "callback.cancel",
                                          [SH_CALLBACK_SNOOZE] = "callback.snooze",
                                          [SH_CALLBACK_REASSIGN] = "callback.reassign"};
    r->action = actions[op->action];
    r->target = op->found;
    if (op->action == SH_CALLBACK_SNOOZE)
        add_time(r, "due", op->due_ms);
    if (op->action == SH_CALLBACK_REASSIGN)
        add_text(r, "to", op->assignee);
    add_text(r, "by", op->by);
}

static void of_dead(const struct sh_op_redrive *op, bool drop, struct row *r)
{
    if (op->n_runs + op->n_items == 0)
        return;
    r->action = drop ? "dead.drop" : "dead.redrive";
    r->target = op->id;
    add_text(r, "rule", op->rule);
    add_text(r, "kind", op->kind);
    add_int(r, "runs", (int64_t)op->n_runs);
    add_int(r, "deliveries", (int64_t)op->n_items);
}

static void of_rule(const struct sh_op_rule_set *op, struct row *r)
{
    if (op->was == op->state)
        return;
    r->action = op->pause ? "rule.pause" : "rule.resume";
    r->target = op->rule;
    add_int(r, "kept", op->kept);
    add_text(r, "by", op->by);
}

static void of_token(const struct sh_op_token_new *op, struct row *r)
{
    r->action = "token.new";
    r->target = op->name;
    add_text(r, "role", op->role);
    add_time(r, "expires", op->expires_ms);
}

static void of_revoke(const struct sh_op_token_revoke *op, struct row *r)
{
    r->action = "token.revoke";
    r->target = op->name;
    if (op->sessions)
        add_int(r, "sessions", (int64_t)op->sessions);
}

static void describe(const struct sh_op *op, struct row *r)
{
    switch (op->kind) {
    case SH_OP_CALLBACK:
        of_callback((const struct sh_op_callback *)op, r);
        break;
    case SH_OP_REDRIVE:
    case SH_OP_DROP:
        of_dead((const struct sh_op_redrive *)op, op->kind == SH_OP_DROP, r);
        break;
    case SH_OP_RULE_SET:
        of_rule((const struct sh_op_rule_set *)op, r);
        break;
    case SH_OP_FEED_NEW:
        r->action = ((const struct sh_op_feed_new *)op)->renew ? "feed.renew" : "feed.show";
        r->target = ((const struct sh_op_feed_new *)op)->assignee;
        break;
    case SH_OP_TIMER_CANCEL:
        r->action = "timer.cancel";
        r->target = ((const struct sh_op_timer_cancel *)op)->name;
        add_time(r, "due", ((const struct sh_op_timer_cancel *)op)->due_ms);
        break;
    case SH_OP_TOKEN_NEW:
        of_token((const struct sh_op_token_new *)op, r);
        break;
    case SH_OP_TOKEN_REVOKE:
        of_revoke((const struct sh_op_token_revoke *)op, r);
        break;
    case SH_OP_SESSION_NEW:
        r->action = "session.open";
        add_time(r, "expires", ((const struct sh_op_session_new *)op)->expires_ms);
        break;
    case SH_OP_SESSION_END:
        r->action = ((const struct sh_op_session_end *)op)->ended ? "session.close" : NULL;
        break;
    default:
        break;
    }
}

static bool put(struct sh_store *s, const struct sh_audit *a, const char *action,
                const char *target, const char *detail, struct sh_error *err)
{
    struct sh_buf who = {0}, to = {0};
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_AUDIT_ADD, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, sh_now_ms());
    sh_sqlite_bind_str(st, 2, sh_store_said(&who, a->who ? a->who : ""));
    sh_sqlite_bind_str(st, 3, a->role ? a->role : "local");
    sh_sqlite_bind_str(st, 4, a->peer);
    sh_sqlite_bind_str(st, 5, action);
    sh_sqlite_bind_str(st, 6, sh_store_said(&to, target));
    sh_sqlite_bind_str(st, 7, detail);
    bool ok = sh_sqlite_run(st, err);
    sqlite3_clear_bindings(st);
    sh_buf_free(&who);
    sh_buf_free(&to);
    return ok;
}

bool sh_store_audit(struct sh_store *s, const struct sh_op *op, struct sh_error *err)
{
    const struct sh_audit *a = op->audit;
    struct row r = {0};
    if (a->action)
        return put(s, a, a->action, a->target, a->detail, err);
    sh_buf_init(&r.detail, (size_t)4 * SH_STORE_SAID_BYTES);
    describe(op, &r);
    bool ok = true;
    if (r.action) {
        char *detail = r.detail.len ? sh_strf("{%s}", r.detail.data) : NULL;
        ok = put(s, a, r.action, r.target, sh_buf_ok(&r.detail) ? detail : NULL, err);
        free(detail);
    }
    sh_buf_free(&r.detail);
    return ok;
}
