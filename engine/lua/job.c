/* SPDX-License-Identifier: MIT
 * job.c: one event: which rules it concerns, its table and envelope, its result. */
#include "lua/internal.h"

#include "base/clock.h"
#include "core/event_body.h"
#include "core/fault.h"
#include "core/trace.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool named(const struct sh_slice *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (sh_slice_eq(list[i], sh_slice_str(name)))
            return true;
    return false;
}

static void unmatched(struct sh_host *h, struct sh_job_state *js, size_t rule, struct sh_slice type)
{
    struct sh_lua_run *r = sh_lua_run_new(h, js, rule);
    r->outcome = SH_RUN_SKIPPED_ON;
    r->phase = SH_PHASE_OVER;
    const struct sh_rule *def = &h->rules[rule];
    sh_buf_adds(&r->error, def->n_on    ? "on wants "
                           : def->every ? "the rule runs by the clock alone (every)"
                                        : "the rule has no on");
    for (size_t i = 0; i < def->n_on; i++)
        sh_buf_addf(&r->error, "%s\"%s\"", i ? " or " : "", def->on[i]);
    sh_buf_adds(&r->error, ", the event's type is \"");
    sh_lua_clean(&r->error, type.p, type.n, SH_MAX_TYPE_BYTES, false);
    sh_buf_addc(&r->error, '"');
}

static void gone(struct sh_host *h, struct sh_job_state *js, const struct sh_job *job)
{
    for (size_t i = 0; i < job->n_only; i++) {
        size_t k = 0;
        while (k < h->n_rules && !sh_slice_eq(job->only[i], sh_slice_str(h->rules[k].name)))
            k++;
        if (k < h->n_rules)
            continue;
        struct sh_lua_run *r = sh_lua_run_new(h, js, SIZE_MAX);
        r->gone = sh_slice_dup(job->only[i]);
        r->outcome = SH_RUN_GONE;
        r->phase = SH_PHASE_OVER;
        sh_buf_adds(&r->error, "the rule is not in this generation any more");
    }
}

/* Why a rule does not run at a tick of another rule's clock. */
static void off_clock(struct sh_host *h, struct sh_job_state *js, size_t rule, struct sh_slice key)
{
    struct sh_lua_run *r = sh_lua_run_new(h, js, rule);
    r->outcome = SH_RUN_SKIPPED_ON;
    r->phase = SH_PHASE_OVER;
    const struct sh_rule *def = &h->rules[rule];
    if (def->every && !sh_slice_eq(key, sh_slice_str(def->name))) {
        sh_buf_adds(&r->error, "this is the clock of the rule \"");
        sh_lua_clean(&r->error, key.p, key.n, SH_MAX_NAME_BYTES, false);
        sh_buf_addc(&r->error, '"');
    } else {
        sh_buf_adds(&r->error, "the rule has no every, and this event is a clock's");
    }
}

/* The rule is to run; or, if it is paused, the event is to be kept for it. */
static void start_or_hold(struct sh_host *h, struct sh_job_state *js, size_t rule,
                          const struct sh_job *job)
{
    struct sh_lua_run *r = sh_lua_run_new(h, js, rule);
    if (!named(job->hold, job->n_hold, h->rules[rule].name)) {
        js->open++;
        return;
    }
    r->outcome = SH_RUN_PAUSED;
    r->phase = SH_PHASE_OVER;
}

/* A clock's event concerns the rule whose `every` it is, and no other. */
static void choose_clock(struct sh_host *h, struct sh_job_state *js, const struct sh_job *job)
{
    for (size_t i = 0; i < h->n_rules; i++) {
        bool mine = h->rules[i].every && sh_slice_eq(job->key, sh_slice_str(h->rules[i].name));
        if ((!mine && !job->explain) ||
            (job->n_only && !named(job->only, job->n_only, h->rules[i].name)) ||
            (job->n_skip && named(job->skip, job->n_skip, h->rules[i].name)))
            continue;
        if (mine) {
            start_or_hold(h, js, i, job);
        } else {
            off_clock(h, js, i, job->key);
        }
    }
    if (job->n_only)
        gone(h, js, job);
}

/* One run for each rule that the job concerns. */
static void choose(struct sh_host *h, struct sh_job_state *js, const struct sh_job *job)
{
    if (sh_slice_eq(job->source, SH_SLICE(SH_SOURCE_CLOCK))) {
        choose_clock(h, js, job);
        return;
    }
    const struct sh_match *m = sh_lua_match(h, job->type);
    size_t next = 0;
    for (size_t i = 0; i < (job->explain ? h->n_rules : m->n); i++) {
        size_t rule = job->explain ? i : m->rules[i];
        bool matched = !job->explain || (next < m->n && m->rules[next] == i);
        next += job->explain && matched;
        if ((job->n_only && !named(job->only, job->n_only, h->rules[rule].name)) ||
            (job->n_skip && named(job->skip, job->n_skip, h->rules[rule].name)))
            continue;
        if (matched) {
            start_or_hold(h, js, rule, job);
        } else {
            unmatched(h, js, rule, job->type);
        }
    }
    if (job->n_only)
        gone(h, js, job);
}

void sh_lua_fail_all(struct sh_job_state *js, const char *why)
{
    for (size_t i = 0; i < js->n_runs; i++) {
        struct sh_lua_run *r = js->runs[i];
        if (r->outcome)
            continue;
        sh_lua_run_fail(r);
        sh_buf_adds(&r->error, why);
        js->open--;
    }
}

static void set_text(lua_State *L, const char *name, struct sh_slice s)
{
    lua_pushlstring(L, s.p ? s.p : "", s.n);
    lua_setfield(L, -2, name);
}

struct prepare {
    struct sh_host *h;
    struct sh_job_state *js;
    const struct sh_job *job;
    const cJSON *tree;
};

/* lua_CFunction: the event as a table and its envelope, once per job. */
static int prepare(lua_State *L)
{
    const struct prepare *p = lua_touserdata(L, 1);
    const struct sh_job *job = p->job;
    char id[SH_ID_TEXT], at[SH_TIME_TEXT];
    sh_lua_push_tree(L, p->tree, false);
    p->js->event_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_createtable(L, 0, job->due_ms || job->occurred_ms ? 10 : 8);
    set_text(L, "id", sh_slice_str(sh_id_text(job->id, id)));
    set_text(L, "source", job->source);
    set_text(L, "type", job->type);
    set_text(L, "key", job->key);
    set_text(L, "received_at", sh_slice_str(sh_time_text(job->received_ms, at)));
    lua_pushinteger(L, job->received_ms / 1000);
    lua_setfield(L, -2, "received");
    lua_pushinteger(L, job->attempt);
    lua_setfield(L, -2, "attempt");
    if (job->trace.n == SH_TRACE_TEXT - 1)
        set_text(L, "trace_id", sh_trace_id(job->trace.p));
    if (job->due_ms) {
        int64_t late_ms = job->received_ms > job->due_ms ? job->received_ms - job->due_ms : 0;
        set_text(L, "due_at", sh_slice_str(sh_time_text(job->due_ms, at)));
        lua_pushnumber(L, (lua_Number)late_ms / 1000);
        lua_setfield(L, -2, "late");
    }
    if (job->occurred_ms) {
        set_text(L, "occurred_at", sh_slice_str(sh_time_text(job->occurred_ms, at)));
        lua_pushinteger(L, job->occurred_ms / 1000);
        lua_setfield(L, -2, "occurred");
    }
    p->js->envelope_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

cJSON *sh_lua_event_tree(const struct sh_job *job, struct sh_error *err)
{
    struct sh_json_fault fault;
    struct sh_slice json;
    struct sh_buf made;
    cJSON *tree = NULL;
    if (sh_event_json(job->format, job->body, &made, &json, &fault))
        tree = sh_json_parse(json.p ? json.p : "", json.n, err);
    else
        sh_error_set(err, SH_EINVAL, "%s", fault.msg);
    sh_buf_free(&made);
    return tree;
}

bool sh_lua_make_event(struct sh_host *h, struct sh_job_state *js, const struct sh_job *job,
                       const cJSON *tree, size_t bytes)
{
    char why[200];
    struct prepare p = {h, js, job, tree};
    int status;
    do {
        lua_pushcfunction(h->L, prepare);
        lua_pushlightuserdata(h->L, &p);
        status = lua_pcall(h->L, 1, 0, 0);
        if (status == LUA_OK)
            return true;
        lua_pop(h->L, 1);
        luaL_unref(h->L, LUA_REGISTRYINDEX, js->event_ref);
        js->event_ref = LUA_NOREF;
    } while (sh_lua_make_room(h, (int64_t)bytes));
    snprintf(why, sizeof(why), "the event as a table does not fit the memory budget of %lld KiB",
             (long long)h->budgets.memory_bytes / 1024);
    sh_lua_fail_all(js, why);
    return false;
}

static bool convert(struct sh_host *h, struct sh_job_state *js, const struct sh_job *job)
{
    struct sh_error err = {0};
    char why[1100];
    cJSON *tree = sh_lua_event_tree(job, &err);
    if (!tree) {
        snprintf(why, sizeof(why), "the event's body: %s", err.msg);
        sh_lua_fail_all(js, why);
        return false;
    }
    bool ok = sh_lua_make_event(h, js, job, tree, job->body.n);
    cJSON_Delete(tree);
    return ok;
}

static void start_runs(struct sh_host *h, struct sh_job_state *js)
{
    for (size_t i = 0; i < js->n_runs; i++) {
        struct sh_lua_run *r = js->runs[i];
        if (r->outcome)
            continue;
        if (sh_lua_take_coroutine(h, r)) {
            sh_lua_drive(h, r, true);
            continue;
        }
        sh_lua_run_fail(r);
        sh_buf_adds(&r->error, "no memory is left for a coroutine");
        sh_lua_run_over(h, r);
    }
}

/* The normaliser has returned nil: no rule sees anything. Who asks is told so for each. */
static void no_event(struct sh_host *h, struct sh_job_state *js, const struct sh_job *job)
{
    for (size_t i = 0; job->explain && i < h->n_rules; i++) {
        if ((job->n_only && !named(job->only, job->n_only, h->rules[i].name)) ||
            (job->n_skip && named(job->skip, job->n_skip, h->rules[i].name)))
            continue;
        struct sh_lua_run *r = sh_lua_run_new(h, js, i);
        r->outcome = SH_RUN_SKIPPED_WHEN;
        r->phase = SH_PHASE_OVER;
        sh_buf_adds(&r->error, "the source's normaliser returned nil: no event for the rules");
    }
}

void sh_host_job(struct sh_host *h, const struct sh_job *job)
{
    struct sh_job_state *js = sh_alloc(1, sizeof(*js));
    *js = (struct sh_job_state){.token = job->token,
                                .id = job->id,
                                .now_ms = job->now_ms,
                                .received_ms = job->received_ms,
                                .attempt = job->attempt,
                                .explain = job->explain,
                                .look = job->look,
                                .starting = true,
                                .event_ref = LUA_NOREF,
                                .view_ref = LUA_NOREF,
                                .envelope_ref = LUA_NOREF,
                                .proxies_ref = LUA_NOREF};
    js->next = h->jobs;
    if (h->jobs)
        h->jobs->prev = js;
    h->jobs = js;
    h->n_jobs++;
    struct sh_job seen = *job;
    switch (sh_lua_normalise(h, js, &seen)) {
    case SH_NORMAL_NONE:
        choose(h, js, job);
        if (js->open && convert(h, js, job))
            start_runs(h, js);
        break;
    case SH_NORMAL_MADE:
        choose(h, js, &seen);
        start_runs(h, js);
        break;
    case SH_NORMAL_NOTHING:
        no_event(h, js, job);
        break;
    case SH_NORMAL_FAILED:
        break;
    }
    js->starting = false;
    if (js->open == 0)
        sh_lua_job_finish(h, js);
}

/* The one place where a run's error gets its rule and its hint. */
static void tell(const struct sh_host *h, struct sh_lua_run *r)
{
    const char *name = r->rule == SIZE_MAX ? r->gone : h->rules[r->rule].name;
    if (strcmp(name, SH_RULE_ALL) == 0)
        name = ""; /* no one rule is at fault */
    char *text = sh_fault_text(sh_slice_str(name), sh_slice(r->error.data, r->error.len));
    sh_buf_reset(&r->error);
    sh_buf_adds(&r->error, text);
    free(text);
}

static struct sh_run report(struct sh_host *h, struct sh_lua_run *r)
{
    if (r->outcome == SH_RUN_FAILED)
        tell(h, r);
    struct sh_run out = {.rule =
                             sh_slice_str(r->rule == SIZE_MAX ? r->gone : h->rules[r->rule].name),
                         .outcome = r->outcome,
                         .attempt = r->job->attempt,
                         .now_ms = r->job->now_ms,
                         .duration_us = (uint64_t)r->duration_us,
                         .n_reads = r->n_reads,
                         .reads = sh_slice(r->reads.data, r->reads.len)};
    if (r->outcome == SH_RUN_SKIPPED_WHEN && !r->job->explain)
        out.outcome = SH_RUN_DONE; /* it read: the store must see whether that still holds */
    else
        out.error = sh_slice(r->error.data, r->error.len);
    if (r->job->explain)
        out.seen = sh_lua_looks_json(h, r);
    if (r->n_logs) {
        sh_buf_addc(&r->logs, ']');
        out.logs = sh_slice(r->logs.data, r->logs.len);
    }
    if (r->outcome == SH_RUN_DONE) {
        out.n_effects = r->n_effects;
        out.effects = sh_slice(r->effects.data, r->effects.len);
    }
    return out;
}

static void unlink_job(struct sh_host *h, struct sh_job_state *js)
{
    if (js->prev)
        js->prev->next = js->next;
    else
        h->jobs = js->next;
    if (js->next)
        js->next->prev = js->prev;
    h->n_jobs--;
}

void sh_lua_job_finish(struct sh_host *h, struct sh_job_state *js)
{
    struct sh_result result = {.token = js->token};
    if (js->n_runs > h->cap_out) {
        h->cap_out = js->n_runs + 8;
        h->out = sh_realloc(h->out, h->cap_out * sizeof(*h->out));
    }
    for (size_t i = 0; i < js->n_runs; i++) {
        struct sh_lua_run *r = js->runs[i];
        if (r->outcome != SH_RUN_SKIPPED_WHEN || js->explain || r->n_reads)
            h->out[result.n_runs++] = report(h, r);
    }
    result.runs = h->out;
    unlink_job(h, js);
    h->calls.finished(h->calls.arg, &result);
    int refs[] = {js->event_ref, js->view_ref, js->envelope_ref, js->proxies_ref};
    for (size_t i = 0; i < sizeof(refs) / sizeof(*refs); i++)
        luaL_unref(h->L, LUA_REGISTRYINDEX, refs[i]);
    for (size_t i = 0; i < js->n_runs; i++)
        sh_lua_run_release(h, js->runs[i]);
    free(js->runs);
    free(js->type);
    free(js);
    if (h->used_bytes > h->cap_bytes / 2 && h->used_bytes > h->floor_bytes + h->floor_bytes / 4) {
        lua_gc(h->L, LUA_GCCOLLECT); /* one run's garbage is not the next one's budget */
        h->floor_bytes = h->used_bytes;
    }
}
