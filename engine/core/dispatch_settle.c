/* SPDX-License-Identifier: MIT
 * dispatch_settle.c: results become settles; what the store says decides who goes again. */
#include "core/dispatch_impl.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/fault.h"
#include "core/trace.h"

#include <stdlib.h>
#include <string.h>

static void on_settled(struct sh_op *op);

void sh_settle_free(struct settle *s)
{
    sh_op_settle_clear(&s->op);
    free(s->op.runs);
    free(s->payload);
    free(s);
}

/* When a run that failed on this attempt goes again; 0: never. */
static int64_t retry_at(const struct sh_dispatch *d, uint32_t attempt, int64_t now_ms)
{
    return attempt >= 1 && attempt <= d->config.n_retry ? now_ms + d->config.retry_ms[attempt - 1]
                                                        : 0;
}

/* Keep the runs that count (a rule that did not match leaves none), number their attempt. */
static size_t keep_runs(const struct sh_dispatch *d, const struct item *it, struct sh_run *runs,
                        size_t n)
{
    size_t kept = 0;
    int64_t now_ms = sh_now_ms();
    for (size_t i = 0; i < n; i++) {
        struct sh_run run = runs[i];
        if (run.outcome == SH_RUN_SKIPPED_ON || run.outcome == SH_RUN_SKIPPED_WHEN)
            continue;
        run.attempt = it->attempt;
        run.retry_at_ms = run.outcome == SH_RUN_FAILED ? retry_at(d, it->attempt, now_ms) : 0;
        run.conflict = false;
        if (run.outcome == SH_RUN_PAUSED && !sh_hold_was(it, run.rule)) {
            run.outcome = SH_RUN_FAILED; /* a worker is not to keep what nobody asked it to */
            run.error = SH_SLICE("the worker says that the rule is paused, and it is not");
            run.retry_at_ms = retry_at(d, it->attempt, now_ms);
        }
        runs[kept++] = run;
    }
    return kept;
}

static bool has_run(const struct sh_result *r, const char *rule)
{
    for (size_t i = 0; i < r->n_runs; i++)
        if (sh_slice_eq(r->runs[i].rule, sh_slice_str(rule)))
            return true;
    return false;
}

/* A retried rule that no longer matches leaves no run: its row is closed all the same, or it would
 * be due for ever. The name borrows from the item, which outlives the settle. */
static void close_unmatched(const struct item *it, struct sh_result *r)
{
    for (size_t i = 0; it->only && i < it->n_rules; i++) {
        if (has_run(r, it->rules[i]))
            continue;
        r->runs = sh_realloc(r->runs, (r->n_runs + 1) * sizeof(*r->runs));
        r->runs[r->n_runs++] = (struct sh_run){.rule = sh_slice_str(it->rules[i]),
                                               .outcome = SH_RUN_DONE,
                                               .attempt = it->attempt,
                                               .now_ms = sh_now_ms()};
    }
}

static struct settle *settle_new(struct sh_dispatch *d, struct item *it, struct sh_run *runs,
                                 size_t n)
{
    struct settle *s = sh_alloc(1, sizeof(*s));
    const struct sh_event *e = it->event;
    s->d = d;
    s->item = it;
    s->op = (struct sh_op_settle){
        .op = {.kind = SH_OP_SETTLE, .done = on_settled, .arg = s},
        .event_id = e->id,
        .event_source = sh_slice_str(e->source),
        .event_type = sh_slice_str(e->type),
        .event_key = sh_slice_str(e->key),
        .event_depth = e->depth,
        .event_trace = e->trace,
        .generation = it->generation,
        .outdated = it->generation[0] && strcmp(it->generation, d->generation) != 0,
        .runs = runs,
        .n_runs = n,
    };
    return s;
}

static void submit(struct settle *s)
{
    sh_store_submit(s->d->config.store, &s->op.op);
}

static struct item *take_out(struct sh_dispatch *d, uint64_t token)
{
    struct item *it = NULL;
    HASH_FIND(hh_token, d->by_token, &token, sizeof(token), it);
    if (it) {
        HASH_DELETE(hh_token, d->by_token, it);
        it->token = 0;
    }
    return it;
}

bool sh_dispatch_result(struct sh_dispatch *d, char *payload, struct sh_result *result)
{
    struct item *it = take_out(d, result->token);
    if (!it) {
        free(payload);
        free(result->runs);
        return false;
    }
    result->n_runs = keep_runs(d, it, result->runs, result->n_runs);
    close_unmatched(it, result);
    struct settle *s = settle_new(d, it, result->runs, result->n_runs);
    s->payload = payload;
    s->op.closes = it->first;
    submit(s);
    return true;
}

static bool has_rule(const struct item *it, const char *rule)
{
    for (size_t i = 0; i < it->n_rules; i++)
        if (strcmp(it->rules[i], rule) == 0)
            return true;
    return false;
}

/* Settle one failed run of an item that is otherwise not finished. The payload holds the texts. */
static void settle_failure(struct sh_dispatch *d, struct item *it, const char *rule,
                           const char *why, bool for_good)
{
    bool one = strcmp(rule, SH_RULE_ALL) != 0;
    char *told = sh_fault_text(one ? sh_slice_str(rule) : SH_SLICE(""), sh_slice_str(why));
    size_t rule_len = strlen(rule), why_len = strlen(told);
    char *payload = sh_strf("%s%s", rule, told);
    free(told);
    struct sh_run *run = sh_alloc(1, sizeof(*run));
    int64_t now_ms = sh_now_ms();
    *run = (struct sh_run){
        .rule = sh_slice(payload, rule_len),
        .outcome = SH_RUN_FAILED,
        .attempt = it->attempt,
        .error = sh_slice(payload + rule_len, why_len),
        .now_ms = now_ms,
        .retry_at_ms = for_good ? 0 : retry_at(d, it->attempt, now_ms),
    };
    struct settle *s = settle_new(d, it, run, 1);
    s->payload = payload;
    /* Where every rule has failed, as one, none is left to run now. */
    s->op.closes = (for_good || !one) && it->first;
    s->charge = !for_good && one;
    submit(s);
}

/* Which rule a redriven "everything" charges cannot be told apart: rules[] names only "*". */
static bool may_charge(const struct item *it, const char *rule)
{
    return rule && (!it->only || it->whole || has_rule(it, rule));
}

void sh_dispatch_lost(struct sh_dispatch *d, uint64_t token, const char *rule, const char *why)
{
    struct item *it = take_out(d, token);
    if (!it)
        return;
    d->stats.lost++;
    if (it->losses < SH_DISPATCH_DOUBTS || d->alone == it)
        it->losses++;
    if (rule && strcmp(rule, SH_RULE_ALL) == 0 && it->only)
        rule = it->rules[0]; /* what came before the rules, and one was asked for */
    if (may_charge(it, rule))
        settle_failure(d, it, it->whole ? SH_RULE_ALL : rule, why, false);
    else if (it->losses >= SH_DISPATCH_LOSSES)
        settle_failure(d, it, it->only ? it->rules[0] : SH_RULE_ALL, why, true);
    else
        sh_dispatch_again(d, it);
}

void sh_dispatch_take_back(struct sh_dispatch *d, uint64_t token)
{
    struct item *it = take_out(d, token);
    if (it)
        sh_dispatch_again(d, it);
}

/* Will the store's row of this run fall due again? The store turns FAILED into RETRY or DEAD. */
static bool is_parked(const struct sh_run *run)
{
    return run->outcome == SH_RUN_RETRY || (run->outcome == SH_RUN_FAILED && run->retry_at_ms > 0);
}

static void count(struct sh_dispatch *d, const struct sh_run *run)
{
    int64_t *const totals[SH_METER_RUNS] = {
        [SH_METER_RUN_DONE] = &d->stats.runs_done, [SH_METER_RUN_FAILED] = &d->stats.runs_failed,
        [SH_METER_RUN_DEAD] = &d->stats.runs_dead, [SH_METER_RUN_CONFLICT] = &d->stats.conflicts,
        [SH_METER_RUN_KEPT] = &d->stats.runs_kept,
    };
    const enum sh_meter_run what = run->kept                     ? SH_METER_RUN_KEPT
                                   : run->conflict               ? SH_METER_RUN_CONFLICT
                                   : run->outcome == SH_RUN_DONE ? SH_METER_RUN_DONE
                                   : is_parked(run)              ? SH_METER_RUN_FAILED
                                                                 : SH_METER_RUN_DEAD;
    ++*totals[what];
    sh_meter_ran(d->config.meter, run->rule, what, run->duration_us);
}

static void report_failure(const struct settle *s, const struct sh_run *run, const char *refusal)
{
    char id[SH_ID_TEXT];
    const struct sh_fault_parts parts =
        sh_fault_split(refusal ? sh_slice_str(refusal) : run->error);
    char *rule = sh_slice_dup(run->rule), *error = sh_slice_dup(parts.line);
    char *hint = sh_slice_dup(parts.hint), *at = sh_slice_dup(parts.trace);
    char *trace = sh_slice_dup(sh_trace_id(s->op.event_trace));
    const char *more[6] = {0}; /* a NULL key ends the entry */
    size_t n = 0;
    if (*trace) {
        more[n++] = "trace";
        more[n++] = trace;
    }
    if (*hint) {
        more[n++] = "hint";
        more[n++] = hint;
    }
    if (*at) {
        more[n++] = "at";
        more[n] = at;
    }
    bool again = !refusal && is_parked(run);
    sh_warn(run->kept ? "run failed, is kept: its rule is paused"
            : again   ? "run failed, will be retried"
                      : "run failed for good: dead letter",
            "event", sh_id_text(s->op.event_id, id), "rule", rule, "attempt", SH_NUM(run->attempt),
            "error", error, more[0], more[1], more[2], more[3], more[4], more[5]);
    free(trace);
    free(rule);
    free(error);
    free(hint);
    free(at);
}

/* Count and report the runs; the names of those in conflict, owned, in *rules. */
static size_t judge(struct settle *s, char ***rules)
{
    size_t n = 0;
    *rules = NULL;
    for (size_t i = 0; i < s->op.n_runs; i++) {
        const struct sh_run *run = &s->op.runs[i];
        const char *refusal = s->op.run_errors ? s->op.run_errors[i] : NULL;
        count(s->d, run);
        sh_hold_note(s->d, run->rule, run->rule_state);
        if (run->kept && run->error.n == 0)
            continue; /* held, as it should be */
        if (run->conflict) {
            *rules = sh_realloc(*rules, (n + 1) * sizeof(**rules));
            (*rules)[n++] = sh_slice_dup(run->rule);
        } else if (run->outcome != SH_RUN_DONE || refusal) {
            report_failure(s, run, refusal);
        }
    }
    return n;
}

static void unmark(struct sh_dispatch *d, const struct item *it)
{
    for (size_t i = 0; it->only && i < it->n_rules; i++)
        sh_retry_unmark(d, it->order, it->rules[i]);
}

/* Was there one that is not just back from being held? */
static bool saw_a_change(const struct item *it, char *const *rules, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!sh_hold_was(it, sh_slice_str(rules[i])))
            return true;
    return false;
}

/* These runs of the item saw a record change, or their rule is resumed: they alone go again, as
 * retries of their own. */
static void again_for(struct sh_dispatch *d, struct item *it, char **rules, size_t n)
{
    unmark(d, it);
    for (size_t i = 0; i < n; i++)
        (void)sh_retry_mark(d, it->order, rules[i]);
    if (it->first)
        HASH_DELETE(hh_order, d->by_order, it);
    it->first = false;
    it->whole = false;
    it->conflicts += saw_a_change(it, rules, n);
    sh_item_set_rules(it, rules, n, true);
    sh_dispatch_again_in_order(d, it);
}

/* A suspect was charged and parked; the event's other rules have yet to run. */
static void again_without(struct sh_dispatch *d, struct item *it, struct sh_slice rule)
{
    char **rules = sh_alloc(it->n_rules + 1, sizeof(*rules));
    for (size_t i = 0; i < it->n_rules; i++)
        rules[i] = sh_strdup(it->rules[i]);
    rules[it->n_rules] = sh_slice_dup(rule);
    sh_item_set_rules(it, rules, it->n_rules + 1, false);
    sh_dispatch_again(d, it);
}

/* An item that was to run named rules alone lost one of them to a crash: the others go again. */
static void again_with_others(struct sh_dispatch *d, struct item *it, struct sh_slice rule)
{
    char **rules = sh_alloc(it->n_rules, sizeof(*rules));
    size_t n = 0;
    for (size_t i = 0; i < it->n_rules; i++)
        if (!sh_slice_eq(sh_slice_str(it->rules[i]), rule))
            rules[n++] = sh_strdup(it->rules[i]);
    char *name = sh_slice_dup(rule);
    sh_retry_unmark(d, it->order, name);
    free(name);
    sh_item_set_rules(it, rules, n, true);
    if (n == 0)
        sh_dispatch_finish(d, it);
    else
        sh_dispatch_again(d, it);
}

static void take_emitted(struct settle *s)
{
    for (size_t i = 0; i < s->op.n_emitted; i++) {
        sh_dispatch_add(s->d, s->op.emitted[i]);
        s->op.emitted[i] = NULL;
    }
    s->op.n_emitted = 0;
    if (s->op.n_queued)
        s->d->config.queued(s->d->config.arg);
    if (s->op.n_timed && s->d->config.timed)
        s->d->config.timed(s->d->config.arg);
}

static void settled(struct settle *s)
{
    struct sh_dispatch *d = s->d;
    struct item *it = s->item;
    char **rules;
    size_t n = judge(s, &rules);
    d->stats.settled += s->op.closes;
    if (s->op.closes)
        sh_meter_settled(d->config.meter, (sh_now_ms() - it->event->received_ms) * 1000);
    d->stats.unfinished -= s->op.closes;
    take_emitted(s);
    if (n > 0) {
        again_for(d, it, rules, n);
    } else if (s->charge && it->only) {
        again_with_others(d, it, s->op.runs[0].rule);
    } else if (s->charge) {
        again_without(d, it, s->op.runs[0].rule);
    } else {
        unmark(d, it);
        sh_dispatch_finish(d, it);
    }
    sh_settle_free(s);
}

static void on_settled(struct sh_op *op)
{
    struct settle *s = op->arg;
    struct sh_dispatch *d = s->d;
    if (op->ok) {
        settled(s);
    } else if (op->err.code == SH_EFATAL) {
        d->config.fatal(d->config.arg, &op->err);
        LL_PREPEND(d->stalled, s);
        return;
    } else { /* disk full or busy: nothing of it was kept, so the same settle can be tried again */
        sh_warn("settle refused for now, will be tried again", "error", op->err.msg);
        LL_PREPEND(d->stalled, s);
        return;
    }
    sh_dispatch_resume(d);
    sh_dispatch_load(d);
    sh_dispatch_pump(d);
}

void sh_dispatch_resubmit(struct sh_dispatch *d)
{
    struct settle *s = d->stalled, *next;
    d->stalled = NULL;
    for (; s; s = next) {
        next = s->next;
        for (size_t i = 0; i < s->op.n_runs; i++)
            s->op.runs[i].conflict = false;
        sh_op_settle_clear(&s->op);
        submit(s);
    }
}
