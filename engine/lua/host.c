/* SPDX-License-Identifier: MIT
 * host.c: one rule host: its Lua state, jobs, and runs as coroutines. */
#include "lua/internal.h"

#include "base/clock.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_POOL     64              /* coroutines kept for reuse */
#define KEEP_BYTES   (64U * 1024)    /* a buffer that grew past it is given back */
#define SCRATCH_MAX  (4U * 1024 * 1024)
#define MAX_READS    (8U * 1024 * 1024) /* bytes of read marks of one run */
#define MAX_ANSWER   (SH_MAX_FRAME_BYTES)
#define UNTIMED_US   1000            /* a first stretch below it is not charged */
#define GC_PAUSE     200 /* percent */

struct sh_host *sh_host_new(const struct sh_budgets *budgets, const struct sh_host_calls *calls)
{
    struct sh_host *h = sh_alloc(1, sizeof(*h));
    h->budgets = *budgets;
    h->calls = *calls;
    h->cap_bytes = SIZE_MAX / 2; /* until the state stands */
    sh_buf_init(&h->scratch, SCRATCH_MAX);
    sh_buf_init(&h->scratch2, SCRATCH_MAX);
    h->L = lua_newstate(sh_lua_alloc, h);
    sh_require(h->L != NULL);
    *(struct sh_host **)lua_getextraspace(h->L) = h;
    lua_gc(h->L, LUA_GCINC, GC_PAUSE, 0, 0);
    sh_lua_open_sandbox(h);
    h->cap_bytes = (size_t)budgets->memory_bytes;
    sh_budget_start(h);
    return h;
}

static void run_release(struct sh_host *h, struct sh_lua_run *r);

void sh_host_free(struct sh_host *h)
{
    if (!h)
        return;
    sh_budget_stop(h);
    while (h->jobs) {
        struct sh_job_state *js = h->jobs;
        for (size_t i = 0; i < js->n_runs; i++)
            run_release(h, js->runs[i]);
        h->jobs = js->next;
        free(js->runs);
        free(js);
    }
    lua_close(h->L);
    sh_lua_runs_free(h);
    sh_lua_rules_free(h);
    sh_buf_free(&h->scratch);
    sh_buf_free(&h->scratch2);
    cJSON_Delete(h->tree);
    free(h->keys);
    free(h->pool);
    free(h->out);
    free(h);
}

/* --- runs ------------------------------------------------------------------------------------ */

static void buf_rest(struct sh_buf *b)
{
    if (b->cap > KEEP_BYTES)
        sh_buf_free(b);
    sh_buf_reset(b);
}

static struct sh_lua_run *run_new(struct sh_host *h, struct sh_job_state *js, size_t rule)
{
    struct sh_lua_run *r = h->free_runs;
    if (r) {
        h->free_runs = r->next;
    } else {
        r = sh_alloc(1, sizeof(*r));
        sh_buf_init(&r->effects, (size_t)h->budgets.max_effect_bytes);
        sh_buf_init(&r->reads, MAX_READS);
        sh_buf_init(&r->logs, SIZE_MAX / 2); /* bounded by lines and their length */
        sh_buf_init(&r->error, SH_MAX_ERROR_BYTES);
        sh_buf_init(&r->ask, SCRATCH_MAX + SH_MAX_COLLECTION_BYTES);
        sh_buf_init(&r->answer, MAX_ANSWER);
    }
    r->job = js;
    r->rule = rule;
    if (js->n_runs == js->cap_runs) {
        js->cap_runs = js->cap_runs ? 2 * js->cap_runs : 8;
        js->runs = sh_realloc(js->runs, js->cap_runs * sizeof(struct sh_lua_run *));
    }
    js->runs[js->n_runs++] = r;
    return r;
}

static void drop_coroutine(struct sh_host *h, struct sh_lua_run *r)
{
    if (r->co)
        luaL_unref(h->L, LUA_REGISTRYINDEX, r->co_ref);
    r->co = NULL;
}

static void run_release(struct sh_host *h, struct sh_lua_run *r)
{
    drop_coroutine(h, r);
    free(r->gone);
    struct sh_buf effects = r->effects, reads = r->reads, logs = r->logs, error = r->error,
                  ask = r->ask, answer = r->answer;
    struct sh_own *own = r->own;
    size_t cap_own = r->cap_own;
    buf_rest(&effects);
    buf_rest(&reads);
    buf_rest(&logs);
    buf_rest(&error);
    buf_rest(&ask);
    buf_rest(&answer);
    *r = (struct sh_lua_run){.effects = effects, .reads = reads, .logs = logs, .error = error,
                             .ask = ask, .answer = answer, .own = own, .cap_own = cap_own,
                             .next = h->free_runs};
    h->free_runs = r;
}

void sh_lua_runs_free(struct sh_host *h)
{
    while (h->free_runs) {
        struct sh_lua_run *r = h->free_runs;
        h->free_runs = r->next;
        sh_buf_free(&r->effects);
        sh_buf_free(&r->reads);
        sh_buf_free(&r->logs);
        sh_buf_free(&r->error);
        sh_buf_free(&r->ask);
        sh_buf_free(&r->answer);
        free(r->own);
        free(r);
    }
}

/* --- what a rule is called with -------------------------------------------------------------- */

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
    char id[SH_ID_TEXT], received[SH_TIME_TEXT];
    sh_lua_push_tree(L, p->tree, false);
    p->js->event_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_createtable(L, 0, 7);
    set_text(L, "id", sh_slice_str(sh_id_text(job->id, id)));
    set_text(L, "source", job->source);
    set_text(L, "type", job->type);
    set_text(L, "key", job->key);
    set_text(L, "received_at", sh_slice_str(sh_time_text(job->received_ms, received)));
    lua_pushinteger(L, job->received_ms / 1000);
    lua_setfield(L, -2, "received");
    lua_pushinteger(L, job->attempt);
    lua_setfield(L, -2, "attempt");
    p->js->envelope_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

/* The shared read-only views, made for the first `when` of a job. */
static void push_views(lua_State *L, struct sh_job_state *js)
{
    if (js->view_ref == LUA_NOREF) {
        lua_newtable(L);
        js->proxies_ref = luaL_ref(L, LUA_REGISTRYINDEX);
        lua_rawgeti(L, LUA_REGISTRYINDEX, js->event_ref);
        if (lua_istable(L, -1)) {
            sh_lua_push_view(L, -1);
            lua_remove(L, -2);
        }
        js->view_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, js->view_ref);
}

static void push_own(lua_State *L, int ref)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    if (!lua_istable(L, -1))
        return; /* an event whose body is a bare text or number */
    sh_lua_push_copy(L, -1);
    lua_remove(L, -2);
}

static int run_done(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

static int run_phase(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    struct sh_lua_run *r = h->run;
    const struct sh_rule *rule = &h->rules[r->rule];
    r->phase = SH_PHASE_RUN;
    lua_settop(L, 0);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rule->run);
    push_own(L, r->job->event_ref);
    if (rule->run_envelope)
        push_own(L, r->job->envelope_ref);
    lua_callk(L, rule->run_envelope ? 2 : 1, 0, 0, run_done);
    return 0;
}

static int when_done(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    struct sh_lua_run *r = sh_lua_host(L)->run;
    if (lua_toboolean(L, -1))
        return run_phase(L);
    const struct sh_rule *rule = &sh_lua_host(L)->rules[r->rule];
    r->outcome = SH_RUN_SKIPPED_WHEN;
    sh_buf_addf(&r->error, "when returned %s (%s:%d)", lua_isnil(L, -1) ? "nil" : "false",
                rule->file, rule->when_line);
    return 0;
}

/* lua_CFunction: the body of a run's coroutine. */
static int run_body(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    struct sh_lua_run *r = h->run;
    const struct sh_rule *rule = &h->rules[r->rule];
    if (rule->when == LUA_NOREF)
        return run_phase(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rule->when);
    push_views(L, r->job);
    if (rule->when_envelope) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, r->job->envelope_ref);
        sh_lua_push_view(L, -1);
        lua_remove(L, -2);
    }
    lua_callk(L, rule->when_envelope ? 2 : 1, 1, 0, when_done);
    return when_done(L, LUA_OK, 0);
}

/* --- stretches ------------------------------------------------------------------------------- */

static int make_coroutine(lua_State *L)
{
    struct sh_lua_run *r = lua_touserdata(L, 1);
    lua_State *co = lua_newthread(L);
    r->co_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    r->co = co;
    return 0;
}

static bool take_coroutine(struct sh_host *h, struct sh_lua_run *r)
{
    if (h->n_pool) {
        r->co_ref = h->pool[--h->n_pool];
        lua_rawgeti(h->L, LUA_REGISTRYINDEX, r->co_ref);
        r->co = lua_tothread(h->L, -1);
        lua_pop(h->L, 1);
        return true;
    }
    lua_pushcfunction(h->L, make_coroutine);
    lua_pushlightuserdata(h->L, r);
    if (lua_pcall(h->L, 1, 0, 0) == LUA_OK)
        return true;
    lua_pop(h->L, 1);
    return false;
}

/* A coroutine whose body has ended may carry the next run. */
static void give_back(struct sh_host *h, struct sh_lua_run *r)
{
    if (!r->co)
        return;
    if (h->n_pool >= MAX_POOL || h->over || h->killed || lua_status(r->co) != LUA_OK) {
        drop_coroutine(h, r);
        return;
    }
    if (!h->cap_pool) {
        h->cap_pool = MAX_POOL;
        h->pool = sh_alloc(MAX_POOL, sizeof(*h->pool));
    }
    lua_settop(r->co, 0);
    h->pool[h->n_pool++] = r->co_ref;
    r->co = NULL;
}

static void pulse_on(struct sh_host *h, const struct sh_lua_run *r, int64_t now_us)
{
    struct sh_pulse *p = h->calls.pulse;
    if (!p)
        return;
    atomic_store_explicit(&p->since_us, now_us, memory_order_relaxed);
    atomic_store_explicit(&p->rule, (uint32_t)r->rule, memory_order_relaxed);
    atomic_store_explicit(&p->token, r->job->token, memory_order_release);
}

static void pulse_off(struct sh_host *h)
{
    if (h->calls.pulse)
        atomic_store_explicit(&h->calls.pulse->token, 0, memory_order_release);
}

static void run_fail(struct sh_lua_run *r)
{
    r->phase = SH_PHASE_OVER;
    r->outcome = SH_RUN_FAILED;
    r->read_id = 0;
    r->n_effects = 0;
    sh_buf_reset(&r->effects);
}

static void fail_stretch(struct sh_host *h, struct sh_lua_run *r, int status)
{
    sh_buf_reset(&r->error);
    if (h->killed || sh_lua_ran_out(h, r->co, status)) {
        sh_buf_adds(&r->error, h->kill_text);
    } else {
        sh_lua_error_text(r->co, &r->error);
        lua_resetthread(r->co); /* runs what is to be closed, still within budget */
    }
    run_fail(r);
}

/* Run Lua until the run ends or asks. */
static void stretch(struct sh_host *h, struct sh_lua_run *r, bool first)
{
    int n_results;
    int64_t t0 = sh_mono_us();
    if (first)
        r->start_us = t0;
    h->run = r;
    h->n_keys = 0;
    pulse_on(h, r, t0);
    sh_stretch_begin(h, r->co, h->budgets.cpu_ms * 1000, r->cpu_used_us, !first);
    if (first)
        lua_pushcfunction(r->co, run_body);
    int status = lua_resume(r->co, NULL, 0, &n_results);
    if ((status != LUA_OK && status != LUA_YIELD) || h->killed)
        fail_stretch(h, r, status);
    else if (status == LUA_OK && !r->outcome)
        r->outcome = SH_RUN_DONE;
    sh_stretch_end(h);
    pulse_off(h);
    h->run = NULL;
    int64_t took = sh_mono_us() - t0;
    r->cpu_used_us = h->used_us;
    if (first && took > UNTIMED_US && !r->cpu_used_us)
        r->cpu_used_us = took; /* no tick fell into it */
    r->duration_us += took;
    const struct sh_rule *rule = &h->rules[r->rule];
    if (rule->n_watch) {
        struct sh_buf why;
        sh_buf_init(&why, SH_MAX_ERROR_BYTES);
        if (sh_lua_watch_changed(h, rule, &why) && r->outcome != SH_RUN_FAILED) {
            run_fail(r);
            sh_buf_reset(&r->error);
            sh_buf_add(&r->error, why.data, why.len);
            drop_coroutine(h, r);
        }
        sh_buf_free(&why);
    }
    if (r->outcome)
        give_back(h, r);
}

static void job_finish(struct sh_host *h, struct sh_job_state *js);

static void run_over(struct sh_host *h, struct sh_lua_run *r)
{
    struct sh_job_state *js = r->job;
    r->phase = SH_PHASE_OVER;
    sh_require(js->open > 0);
    if (--js->open == 0 && !js->starting)
        job_finish(h, js);
}

/* Carry the run on until it ends or waits for an answer from outside. */
static void drive(struct sh_host *h, struct sh_lua_run *r, bool first)
{
    for (;; first = false) {
        stretch(h, r, first);
        if (r->outcome)
            break;
        struct sh_lua_run *outer = h->asking;
        h->asking = r;
        h->calls.read(h->calls.arg, r->read_id, &r->request);
        h->asking = outer;
        if (!r->answered)
            return;
    }
    run_over(h, r);
}

/* --- jobs ------------------------------------------------------------------------------------ */

static bool named(const struct sh_slice *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (sh_slice_eq(list[i], sh_slice_str(name)))
            return true;
    return false;
}

static void unmatched(struct sh_host *h, struct sh_job_state *js, size_t rule,
                      struct sh_slice type)
{
    struct sh_lua_run *r = run_new(h, js, rule);
    r->outcome = SH_RUN_SKIPPED_ON;
    r->phase = SH_PHASE_OVER;
    const struct sh_rule *def = &h->rules[rule];
    sh_buf_adds(&r->error, def->n_on ? "on wants " : "the rule has no on");
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
        struct sh_lua_run *r = run_new(h, js, SIZE_MAX);
        r->gone = sh_slice_dup(job->only[i]);
        r->outcome = SH_RUN_GONE;
        r->phase = SH_PHASE_OVER;
        sh_buf_adds(&r->error, "the rule is not in this generation any more");
    }
}

/* One run for each rule that the job concerns. */
static void choose(struct sh_host *h, struct sh_job_state *js, const struct sh_job *job)
{
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
            run_new(h, js, rule);
            js->open++;
        } else {
            unmatched(h, js, rule, job->type);
        }
    }
    if (job->n_only)
        gone(h, js, job);
}

static void fail_all(struct sh_job_state *js, const char *why)
{
    for (size_t i = 0; i < js->n_runs; i++) {
        struct sh_lua_run *r = js->runs[i];
        if (r->outcome)
            continue;
        run_fail(r);
        sh_buf_adds(&r->error, why);
        js->open--;
    }
}

static bool convert(struct sh_host *h, struct sh_job_state *js, const struct sh_job *job)
{
    struct sh_error err = {0};
    char why[1100];
    cJSON *tree = sh_json_parse(job->body.p ? job->body.p : "", job->body.n, &err);
    if (!tree) {
        snprintf(why, sizeof(why), "the event's body: %s", err.msg);
        fail_all(js, why);
        return false;
    }
    struct prepare p = {h, js, job, tree};
    lua_pushcfunction(h->L, prepare);
    lua_pushlightuserdata(h->L, &p);
    int status = lua_pcall(h->L, 1, 0, 0);
    cJSON_Delete(tree);
    if (status == LUA_OK)
        return true;
    lua_pop(h->L, 1);
    snprintf(why, sizeof(why), "the event as a table does not fit the memory budget of %lld KiB",
             (long long)h->budgets.memory_bytes / 1024);
    fail_all(js, why);
    return false;
}

static void start_runs(struct sh_host *h, struct sh_job_state *js)
{
    for (size_t i = 0; i < js->n_runs; i++) {
        struct sh_lua_run *r = js->runs[i];
        if (r->outcome)
            continue;
        if (take_coroutine(h, r)) {
            drive(h, r, true);
            continue;
        }
        run_fail(r);
        sh_buf_adds(&r->error, "no memory is left for a coroutine");
        run_over(h, r);
    }
}

void sh_host_job(struct sh_host *h, const struct sh_job *job)
{
    struct sh_job_state *js = sh_alloc(1, sizeof(*js));
    *js = (struct sh_job_state){.token = job->token, .id = job->id, .now_ms = job->now_ms,
                                .received_ms = job->received_ms, .attempt = job->attempt,
                                .explain = job->explain, .starting = true,
                                .event_ref = LUA_NOREF, .view_ref = LUA_NOREF,
                                .envelope_ref = LUA_NOREF, .proxies_ref = LUA_NOREF};
    js->next = h->jobs;
    if (h->jobs)
        h->jobs->prev = js;
    h->jobs = js;
    h->n_jobs++;
    choose(h, js, job);
    if (js->open && convert(h, js, job))
        start_runs(h, js);
    js->starting = false;
    if (js->open == 0)
        job_finish(h, js);
}

static struct sh_run report(struct sh_host *h, struct sh_lua_run *r)
{
    struct sh_run out = {.rule = sh_slice_str(r->rule == SIZE_MAX ? r->gone : h->rules[r->rule].name),
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

static void job_finish(struct sh_host *h, struct sh_job_state *js)
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
        run_release(h, js->runs[i]);
    free(js->runs);
    free(js);
    if (h->used_bytes > h->cap_bytes / 2)
        lua_gc(h->L, LUA_GCCOLLECT); /* one run's garbage is not the next one's budget */
}

bool sh_host_answer(struct sh_host *h, uint64_t read_id, struct sh_slice answer)
{
    for (struct sh_job_state *js = h->jobs; js; js = js->next) {
        for (size_t i = 0; i < js->n_runs; i++) {
            struct sh_lua_run *r = js->runs[i];
            if (!r->read_id || r->read_id != read_id || r->answered)
                continue;
            sh_buf_reset(&r->answer);
            sh_buf_add(&r->answer, answer.p, answer.n);
            r->answered = true;
            if (h->asking != r)
                drive(h, r, false);
            return true;
        }
    }
    return false;
}

void sh_host_expire(struct sh_host *h)
{
    int64_t oldest = sh_mono_us() - h->budgets.wall_ms * 1000;
    for (struct sh_job_state *js = h->jobs, *next; js; js = next) {
        next = js->next;
        size_t n = js->n_runs;
        for (size_t i = 0; i < n; i++) {
            struct sh_lua_run *r = js->runs[i];
            char where[200];
            int line;
            if (!r->read_id || r->outcome || r->start_us > oldest)
                continue;
            bool known = sh_lua_where(r->co, where, sizeof(where), &line);
            run_fail(r);
            sh_buf_reset(&r->error);
            sh_buf_addf(&r->error, "%s%swall budget of %lld ms exceeded, waiting for records.%s",
                        known ? where : h->rules[r->rule].file, ": ",
                        (long long)h->budgets.wall_ms,
                        r->request.kind == SH_READ_GET ? "get" : "find");
            drop_coroutine(h, r);
            bool last = js->open == 1;
            run_over(h, r);
            if (last)
                break; /* js is gone */
        }
    }
}

size_t sh_host_open_jobs(const struct sh_host *h)
{
    return h->n_jobs;
}
