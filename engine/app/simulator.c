/* SPDX-License-Identifier: MIT
 * simulator.c: one event after the other through envelope, journal, rule host and settle. */
#include "app/sim_replies.h"
#include "app/simulator_impl.h"
#include "app/simulator_json.h"
#include "core/event_body.h"
#include "svc/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RERUNS      100   /* of one run whose reads another run of the same event changed */
#define MAX_EVENTS      10000 /* that follow from one, emitted by rules */
#define RETRIES         16
#define MAX_REPLY_BYTES ((size_t)4 << 20)
#define FIRES           100    /* things that fall due at once */
#define MAX_FIRED       100000 /* while the clock is moved once */

/* --- store operations, carried out at once --------------------------------------------------- */

static void note_done(struct sh_op *op)
{
    *(bool *)op->arg = true;
}

void sh_sim_carry_out(struct sh_simulator *s, struct sh_op *op)
{
    bool done = false;
    op->done = note_done;
    op->arg = &done;
    sh_store_submit(s->store, op);
    sh_store_reap(s->store);
    sh_require(done);
}

static void answer_lookup(struct sh_simulator *s, uint64_t read_id, struct sh_slice call)
{
    struct sh_buf doc, answer;
    sh_buf_init(&doc, MAX_REPLY_BYTES);
    sh_buf_init(&answer, MAX_REPLY_BYTES + 64);
    sh_sim_reply(s->replies, call, &doc);
    sh_buf_u8(&answer, 1);
    sh_buf_u64(&answer, 0);
    sh_buf_uint(&answer, 1);
    sh_buf_bytes(&answer, (struct sh_slice){0});
    sh_buf_bytes(&answer, sh_slice(doc.data, doc.len));
    sh_guard_enter(s->guard);
    (void)!sh_host_answer(s->host, read_id, sh_slice(answer.data, answer.len));
    sh_buf_free(&doc);
    sh_buf_free(&answer);
}

void sh_sim_on_read(void *arg, uint64_t read_id, const struct sh_read_request *q)
{
    struct sh_simulator *s = arg;
    if (q->kind == SH_READ_HTTP) {
        answer_lookup(s, read_id, q->query);
        return;
    }
    struct sh_op_read op = {.op.kind = SH_OP_READ, .request = *q};
    sh_sim_carry_out(s, &op.op);
    if (!op.op.ok) {
        sh_buf_free(&op.answer);
        sh_buf_init(&op.answer, 2 * sizeof(op.op.err.msg));
        sh_buf_u8(&op.answer, 0);
        sh_buf_bytes(&op.answer, sh_slice_str(op.op.err.msg));
    }
    sh_guard_enter(s->guard); /* the store's time is not the rule's */
    (void)!sh_host_answer(s->host, read_id, sh_slice(op.answer.data, op.answer.len));
    sh_buf_free(&op.answer);
}

/* --- settle ---------------------------------------------------------------------------------- */

void sh_sim_enqueue(struct sh_simulator *s, struct sh_event *e)
{
    if (s->n_queue == s->cap_queue) {
        s->cap_queue = s->cap_queue ? 2 * s->cap_queue : 16;
        s->queue = sh_realloc(s->queue, s->cap_queue * sizeof(*s->queue));
    }
    s->queue[s->n_queue++] = e;
}

static int64_t retry_at(const struct sh_simulator *s, uint32_t attempt)
{
    return attempt >= 1 && attempt <= s->n_retry ? s->now_ms + s->retry_ms[attempt - 1] : 0;
}

void sh_sim_clear_again(struct sh_simulator *s)
{
    for (size_t i = 0; i < s->n_again; i++)
        free((char *)(uintptr_t)s->again[i].p);
    free(s->again);
    s->again = NULL;
    s->n_again = 0;
}

static void run_again(struct sh_simulator *s, struct sh_slice rule)
{
    s->again = sh_realloc(s->again, (s->n_again + 1) * sizeof(*s->again));
    s->again[s->n_again++] = sh_slice(sh_slice_dup(rule), rule.n);
}

/* What the store made of the runs that it was given. */
static void note_settled(struct sh_simulator *s, struct sh_op_settle *op)
{
    for (size_t i = 0; i < op->n_runs; i++) {
        struct sh_run *run = &op->runs[i];
        const char *refused = op->run_errors ? op->run_errors[i] : NULL;
        if (run->outcome == SH_RUN_DONE && sh_slice_eq(run->rule, SH_SLICE(SH_RULE_ALL)))
            continue; /* a retry of every rule is over */
        cJSON *entry = sh_sim_entry(s->runs, s->report, run->rule);
        if (run->conflict && op->op.ok) {
            run_again(s, run->rule);
            continue;
        }
        if (!op->op.ok)
            refused = op->op.err.msg;
        sh_sim_fill(entry, run, refused);
        if (!refused && run->outcome == SH_RUN_DONE)
            sh_sim_collections(s->collections, run);
    }
    for (size_t i = 0; i < op->n_emitted && s->n_queue <= MAX_EVENTS; i++) {
        sh_sim_enqueue(s, op->emitted[i]);
        op->emitted[i] = NULL;
    }
}

static void settle(struct sh_simulator *s, struct sh_run *runs, size_t n)
{
    const struct sh_event *e = s->event;
    struct sh_op_settle op = {
        .op.kind = SH_OP_SETTLE,
        .event_id = e->id,
        .event_source = sh_slice_str(e->source),
        .event_type = sh_slice_str(e->type),
        .event_key = sh_slice_str(e->key),
        .event_depth = e->depth,
        .generation = s->generation,
        .runs = runs,
        .n_runs = n,
        .closes = s->first,
    };
    sh_sim_carry_out(s, &op.op);
    note_settled(s, &op);
    sh_op_settle_clear(&op);
}

/* A retried rule that no longer matches has no run, and its row is to be closed all the same. */
static struct sh_run close_unmatched(const struct sh_simulator *s, const struct sh_run *skipped)
{
    return (struct sh_run){
        .rule = skipped->rule, .outcome = SH_RUN_DONE, .attempt = s->attempt, .now_ms = s->now_ms};
}

void sh_sim_on_finished(void *arg, const struct sh_result *r)
{
    struct sh_simulator *s = arg;
    if (s->look) {
        sh_sim_looked(s, r);
        return;
    }
    struct sh_run *runs = sh_alloc(r->n_runs + 2, sizeof(*runs));
    size_t n = 0;
    bool retried = !s->first;
    s->finished = true;
    for (size_t i = 0; i < r->n_runs; i++) /* in this order */
        (void)sh_sim_entry(s->runs, s->report, r->runs[i].rule);
    for (size_t i = 0; i < r->n_runs; i++) {
        struct sh_run run = r->runs[i];
        bool skipped = run.outcome == SH_RUN_SKIPPED_ON || run.outcome == SH_RUN_SKIPPED_WHEN;
        if (skipped) {
            sh_sim_fill(sh_sim_entry(s->runs, s->report, run.rule), &run, NULL);
            if (!retried || s->whole)
                continue;
            run = close_unmatched(s, &run);
        }
        run.attempt = s->attempt;
        run.retry_at_ms = run.outcome == SH_RUN_FAILED ? retry_at(s, s->attempt) : 0;
        runs[n++] = run;
    }
    if (s->whole && !(n == 1 && sh_slice_eq(runs[0].rule, SH_SLICE(SH_RULE_ALL))))
        runs[n++] = (struct sh_run){.rule = SH_SLICE(SH_RULE_ALL),
                                    .outcome = SH_RUN_DONE,
                                    .attempt = s->attempt,
                                    .now_ms = s->now_ms};
    s->whole = false;
    settle(s, runs, n);
    free(runs);
}

/* --- one event ------------------------------------------------------------------------------- */

void sh_sim_give(struct sh_simulator *s, const struct sh_slice *only, size_t n_only)
{
    const struct sh_event *e = s->event;
    const struct sh_job job = {
        .token = ++s->last_token,
        .id = e->id,
        .source = sh_slice_str(e->source),
        .type = sh_slice_str(e->type),
        .key = sh_slice_str(e->key),
        .body = sh_slice(e->body, e->body_len),
        .received_ms = e->received_ms,
        .due_ms = e->due_ms,
        .now_ms = s->now_ms,
        .occurred_ms = e->occurred_ms,
        .format = e->format,
        .trace = sh_slice_str(e->trace),
        .attempt = s->attempt,
        .explain = true,
        .look = s->look,
        .only = only        ? only
                : s->rule.n ? &s->rule
                            : NULL,
        .n_only = only ? n_only : s->rule.n > 0,
    };
    s->finished = false;
    sh_guard_enter(s->guard);
    sh_host_job(s->host, &job);
    sh_guard_leave(s->guard);
    sh_require(s->finished); /* every read is answered within */
}

static void run_job(struct sh_simulator *s, const struct sh_slice *only, size_t n_only)
{
    sh_sim_give(s, only, n_only);
    for (int rerun = 0; s->n_again > 0 && rerun < MAX_RERUNS; rerun++) {
        struct sh_slice *names = s->again;
        size_t n = s->n_again;
        bool was_first = s->first;
        s->again = NULL;
        s->n_again = 0;
        s->first = false; /* the event is closed; these rules' rows are due again */
        sh_sim_give(s, names, n);
        s->first = was_first;
        for (size_t i = 0; i < n; i++)
            free((char *)(uintptr_t)names[i].p);
        free(names);
    }
    sh_require(s->n_again == 0); /* a run alone always gets through */
}

/* Run rules on an event (only == NULL: every matching one) and describe it in results. */
static void run_event(struct sh_simulator *s, const struct sh_event *e, uint32_t attempt,
                      const struct sh_slice *only, size_t n_only, cJSON *results)
{
    /* The normaliser had failed: every rule is to run. */
    bool whole = n_only == 1 && sh_slice_eq(only[0], SH_SLICE(SH_RULE_ALL));
    s->event = e;
    s->attempt = attempt;
    s->first = only == NULL;
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddItemToObject(entry, "event", sh_sim_event(e));
    s->runs = cJSON_AddArrayToObject(entry, "runs");
    cJSON_AddItemToArray(results, entry);
    s->whole = whole;
    run_job(s, whole ? NULL : only, whole ? 0 : n_only);
    s->event = NULL;
    s->runs = NULL;
}

/* Everything that waits, and what that emits, in order. */
static void run_queue(struct sh_simulator *s, cJSON *results)
{
    for (size_t i = 0; i < s->n_queue; i++) {
        if (i < MAX_EVENTS)
            run_event(s, s->queue[i], 1, NULL, 0, results);
        sh_event_free(s->queue[i]);
    }
    if (s->n_queue > MAX_EVENTS)
        cJSON_AddItemToArray(
            results, sh_sim_refused("too_many_events", "one event led to more than 10,000 others"));
    s->n_queue = 0;
}

/* --- the front door -------------------------------------------------------------------------- */

static cJSON *accept_event(struct sh_simulator *s, struct sh_event *e, bool *stored)
{
    struct sh_op_accept op = {.op.kind = SH_OP_ACCEPT, .event = e};
    sh_sim_carry_out(s, &op.op);
    *stored = op.op.ok && !op.duplicate;
    if (*stored)
        return NULL;
    if (!op.op.ok)
        return sh_sim_refused("not_stored", op.op.err.msg);
    e->id = op.first_id;
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddItemToObject(entry, "event", sh_sim_event(e));
    cJSON_AddBoolToObject(entry, "duplicate", true);
    return entry;
}

/* What ingress checks before it looks at the body; NULL: all is well. */
static cJSON *refuse_sent(const struct sh_source_config *source, const struct sh_sent *sent,
                          int64_t max_bytes, struct sh_path_args *args)
{
    cJSON *refused = NULL;
    *args = (struct sh_path_args){.n = 0};
    if (sent->path && source->path && !sh_path_match(source->path, sent->path, args)) {
        char *msg = sh_strf("the path %s is not one of the source %s: %s", sent->path,
                            source->source.name, source->path);
        refused = sh_sim_refused("not_found", msg);
        free(msg);
    } else if (max_bytes > 0 && sent->body.n > (uint64_t)max_bytes) {
        char *msg =
            sh_strf("%zu bytes; at most %" PRId64 " (limits.body)", sent->body.n, max_bytes);
        refused = sh_sim_refused("too_large", msg);
        free(msg);
    }
    return refused;
}

static bool begins_object(struct sh_slice body)
{
    size_t i = 0;
    while (i < body.n && strchr(" \t\r\n", body.p[i]) && body.p[i])
        i++;
    return i < body.n && body.p[i] == '{';
}

/* Fill the event, or why it was refused. */
static cJSON *fill_event(const struct sh_source *source, const struct sh_sent *sent,
                         const struct sh_path_args *args, struct sh_event *e)
{
    struct sh_json_fault fault;
    struct sh_envelope_fault envelope = {0};
    struct sh_envelope_in in = {.path = args, .header = sh_sent_header, .arg = sent};
    struct sh_buf made;
    cJSON *refused = NULL;
    if (!sh_event_check(source->format, sent->body, &made, &in.json, &fault)) {
        refused = sh_sim_bad_body(source->format, &fault);
    } else if (!begins_object(in.json)) { /* as ingress does */
        snprintf(envelope.msg, sizeof(envelope.msg), "an event is a JSON object: { ... }");
        refused = sh_sim_bad_envelope(&envelope);
    } else if (!sh_envelope_read(source, &in, e, &envelope)) {
        refused = sh_sim_bad_envelope(&envelope);
    }
    sh_buf_free(&made);
    return refused;
}

/* The event of a request, or NULL and why it was refused. */
static struct sh_event *read_event(const struct sh_simulator *s,
                                   const struct sh_source_config *source,
                                   const struct sh_sent *sent, int64_t max_bytes, cJSON **refused)
{
    struct sh_path_args args;
    *refused = refuse_sent(source, sent, max_bytes, &args);
    if (*refused)
        return NULL;
    struct sh_event *e = sh_event_new();
    struct sh_source as = source->source; /* JSON is no token: it is one's payload */
    if (as.format == SH_BODY_JWT && begins_object(sent->body))
        as.format = SH_BODY_JSON;
    *refused = fill_event(&as, sent, &args, e);
    if (*refused) {
        sh_event_free(e);
        return NULL;
    }
    e->body = sh_memdup(sent->body.p ? sent->body.p : "", sent->body.n);
    e->body_len = sent->body.n;
    e->received_ms = s->now_ms;
    return e;
}

/* --- time ------------------------------------------------------------------------------------ */

static void run_retries(struct sh_simulator *s, struct sh_op_pending *op, cJSON *results)
{
    for (size_t i = 0; i < op->n_items; i++) {
        struct sh_pending *p = &op->items[i];
        if (p->n_rules == 0)
            continue;
        const struct sh_slice rule = sh_slice_str(p->rules[0]);
        run_event(s, p->event, p->attempt + 1, &rule, 1, results);
        run_queue(s, results);
    }
}

/* Retries that are due now; when the next one is, in *next_ms (0: none). How many there were. */
static size_t retry_due(struct sh_simulator *s, cJSON *results, int64_t *next_ms)
{
    struct sh_op_pending op = {.op.kind = SH_OP_RETRIES,
                               .before_ms = s->now_ms,
                               .limit = RETRIES,
                               .max_bytes = SIZE_MAX / 2};
    sh_sim_carry_out(s, &op.op);
    size_t n = op.op.ok ? op.n_items : 0;
    *next_ms = op.op.ok ? op.next_due_ms : 0;
    if (op.op.ok)
        run_retries(s, &op, results);
    sh_pending_free(op.items, op.n_items);
    return n;
}

/* Timers, clock rules and callbacks that are due now, and what follows from them; likewise. */
static size_t fire_due(struct sh_simulator *s, cJSON *results, int64_t *next_ms)
{
    struct sh_op_fire op = {.op.kind = SH_OP_FIRE, .now_ms = s->now_ms, .limit = FIRES};
    sh_sim_carry_out(s, &op.op);
    size_t n = op.op.ok ? op.n_fired : 0;
    *next_ms = op.op.ok ? op.next_due_ms : 0;
    if (!op.op.ok)
        cJSON_AddItemToArray(results, sh_sim_refused("not_fired", op.op.err.msg));
    for (size_t i = 0; i < op.n_emitted; i++) {
        sh_sim_enqueue(s, op.emitted[i]);
        op.emitted[i] = NULL;
    }
    sh_op_fire_clear(&op);
    run_queue(s, results);
    return n;
}

/* What is due without any time passing, as in the engine: the events of a callback that a rule
 * closed, a timer of a time that has passed. */
static void run_due(struct sh_simulator *s, cJSON *results)
{
    int64_t next_ms;
    size_t n;
    for (size_t fired = 0; fired < MAX_FIRED && (n = fire_due(s, results, &next_ms)) > 0;)
        fired += n;
}

void sh_sim_run(struct sh_simulator *s, cJSON *results)
{
    run_queue(s, results);
    run_due(s, results);
}

cJSON *sh_simulator_send(struct sh_simulator *s, const struct sh_source_config *source,
                         const struct sh_sent *sent, int64_t max_bytes)
{
    cJSON *results = cJSON_CreateArray(), *refused = NULL;
    struct sh_event *e = read_event(s, source, sent, max_bytes, &refused);
    if (!e) {
        cJSON_AddItemToArray(results, refused);
        return results;
    }
    bool stored;
    cJSON *entry = accept_event(s, e, &stored);
    if (stored) {
        sh_sim_enqueue(s, e);
    } else {
        cJSON_AddItemToArray(results, entry);
        sh_event_free(e);
    }
    sh_sim_run(s, results);
    return results;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

cJSON *sh_simulator_advance_ms(struct sh_simulator *s, int64_t ms)
{
    cJSON *results = cJSON_CreateArray();
    int64_t until = s->now_ms + ms;
    for (size_t fired = 0; fired < MAX_FIRED;) {
        int64_t retry_ms, fire_ms;
        size_t n = fire_due(s, results, &fire_ms) + retry_due(s, results, &retry_ms);
        fired += n;
        if (n > 0)
            continue;
        int64_t next_ms = sooner(fire_ms, retry_ms);
        if (next_ms <= s->now_ms || next_ms > until)
            break;
        s->now_ms = next_ms;
    }
    s->now_ms = until;
    return results;
}

int64_t sh_simulator_now_ms(const struct sh_simulator *s)
{
    return s->now_ms;
}
