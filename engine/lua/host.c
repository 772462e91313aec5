/* SPDX-License-Identifier: MIT
 * host.c: one rule host: its Lua state, and runs as coroutines. */
#include "lua/internal.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_POOL    64           /* coroutines kept for reuse */
#define KEEP_BYTES  (64U * 1024) /* a buffer that grew past it is given back */
#define SCRATCH_MAX (4U * 1024 * 1024)
#define MAX_READS   (8U * 1024 * 1024 + SH_LUA_LOOKUP_BYTES) /* bytes of read marks of one run */
#define MAX_ANSWER  (SH_MAX_FRAME_BYTES)
#define MAX_SEEN    (256U * 1024) /* bytes of what one `when` looked at, as JSON */
#define UNTIMED_US  1000          /* a first stretch below it is not charged */
#define GC_PAUSE    200           /* percent */
#define MUCH        16 /* a run that holds this part of the memory, while it waits, holds much */

struct sh_host *sh_host_new(const struct sh_budgets *budgets, const struct sh_host_calls *calls)
{
    struct sh_host *h = sh_alloc(1, sizeof(*h));
    h->budgets = *budgets;
    h->calls = *calls;
    h->cap_bytes = SIZE_MAX / 2; /* until the state stands */
    sh_buf_init(&h->scratch, SCRATCH_MAX);
    sh_buf_init(&h->scratch2, SCRATCH_MAX);
    sh_buf_init(&h->fill, SCRATCH_MAX);
    sh_buf_init(&h->look, SCRATCH_MAX);
    sh_buf_init(&h->text, SCRATCH_MAX);
    sh_buf_init(&h->marks, SCRATCH_MAX);
    h->L = lua_newstate(sh_lua_alloc, h);
    sh_require(h->L != NULL);
    *(struct sh_host **)lua_getextraspace(h->L) = h;
    lua_gc(h->L, LUA_GCINC, GC_PAUSE, 0, 0);
    sh_lua_open_sandbox(h);
    h->cap_bytes = (size_t)budgets->memory_bytes;
    sh_budget_start(h);
    return h;
}

void sh_host_free(struct sh_host *h)
{
    if (!h)
        return;
    sh_budget_stop(h);
    while (h->jobs) {
        struct sh_job_state *js = h->jobs;
        for (size_t i = 0; i < js->n_runs; i++)
            sh_lua_run_release(h, js->runs[i]);
        h->jobs = js->next;
        free(js->runs);
        free(js->type);
        free(js);
    }
    lua_close(h->L);
    sh_cover_map_free(h->cover);
    sh_lua_runs_free(h);
    sh_lua_rules_free(h);
    sh_buf_free(&h->scratch);
    sh_buf_free(&h->scratch2);
    sh_buf_free(&h->fill);
    sh_buf_free(&h->look);
    sh_buf_free(&h->text);
    sh_buf_free(&h->marks);
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

struct sh_lua_run *sh_lua_run_new(struct sh_host *h, struct sh_job_state *js, size_t rule)
{
    struct sh_lua_run *r = h->free_runs;
    if (r) {
        h->free_runs = r->next;
    } else {
        r = sh_alloc(1, sizeof(*r));
        sh_buf_init(&r->effects, (size_t)h->budgets.max_effect_bytes);
        sh_buf_init(&r->reads, MAX_READS);
        sh_buf_init(&r->logs, SIZE_MAX / 2); /* bounded by lines and their length */
        sh_buf_init(&r->error, (size_t)2 * SH_MAX_ERROR_BYTES); /* with its rule and hint */
        sh_buf_init(&r->ask, SCRATCH_MAX + SH_MAX_COLLECTION_BYTES);
        sh_buf_init(&r->answer, MAX_ANSWER);
        sh_buf_init(&r->seen, MAX_SEEN);
    }
    r->job = js;
    r->rule = rule;
    r->phase = SH_PHASE_WHEN;
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

void sh_lua_run_release(struct sh_host *h, struct sh_lua_run *r)
{
    drop_coroutine(h, r);
    free(r->gone);
    free(r->new_type);
    sh_lua_looks_clear(r);
    struct sh_buf effects = r->effects, reads = r->reads, logs = r->logs, error = r->error,
                  ask = r->ask, answer = r->answer, seen = r->seen;
    struct sh_look *looks = r->looks;
    struct sh_own *own = r->own;
    size_t cap_own = r->cap_own;
    buf_rest(&effects);
    buf_rest(&reads);
    buf_rest(&logs);
    buf_rest(&error);
    buf_rest(&ask);
    buf_rest(&answer);
    buf_rest(&seen);
    *r = (struct sh_lua_run){.effects = effects,
                             .reads = reads,
                             .logs = logs,
                             .error = error,
                             .ask = ask,
                             .answer = answer,
                             .seen = seen,
                             .looks = looks,
                             .own = own,
                             .cap_own = cap_own,
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
        sh_buf_free(&r->seen);
        free(r->looks);
        free(r->own);
        free(r);
    }
}

/* --- what a rule is called with -------------------------------------------------------------- */

/* The shared read-only views, made for the first `when` of a job. */
static void push_views(lua_State *L, struct sh_job_state *js)
{
    if (js->view_ref == LUA_NOREF) {
        lua_newtable(L);
        js->proxies_ref = luaL_ref(L, LUA_REGISTRYINDEX);
        lua_rawgeti(L, LUA_REGISTRYINDEX, js->event_ref);
        if (lua_istable(L, -1)) {
            sh_lua_push_view(L, -1);
            if (js->explain)
                sh_lua_name_root(L, "");
            lua_remove(L, -2);
        }
        js->view_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, js->view_ref);
}

void sh_lua_push_own(lua_State *L, int ref)
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
    if (r->job->look)
        return 0;
    lua_settop(L, 0);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rule->run);
    sh_lua_push_own(L, r->job->event_ref);
    if (rule->run_envelope)
        sh_lua_push_own(L, r->job->envelope_ref);
    lua_callk(L, rule->run_envelope ? 2 : 1, 0, 0, run_done);
    return 0;
}

static int when_done(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    struct sh_lua_run *r = sh_lua_host(L)->run;
    r->returned = lua_isnil(L, -1)        ? "nil"
                  : !lua_isboolean(L, -1) ? sh_lua_kind(L, -1)
                  : lua_toboolean(L, -1)  ? "true"
                                          : "false";
    if (lua_toboolean(L, -1))
        return run_phase(L);
    const struct sh_rule *rule = &sh_lua_host(L)->rules[r->rule];
    r->outcome = SH_RUN_SKIPPED_WHEN;
    sh_buf_addf(&r->error, "when returned %s (%s:%d)", r->returned, rule->when_file,
                rule->when_line);
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
        if (r->job->explain)
            sh_lua_name_root(L, "envelope");
        lua_remove(L, -2);
    }
    r->asked = true;
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

bool sh_lua_take_coroutine(struct sh_host *h, struct sh_lua_run *r)
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

void sh_lua_run_fail(struct sh_lua_run *r)
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
    sh_lua_run_fail(r);
}

/* A run that left something behind for the next one, or for the collector, has failed. */
static void check_traces(struct sh_host *h, struct sh_lua_run *r)
{
    const struct sh_rule *rule = sh_lua_rule_of(h, r);
    struct sh_buf why;
    sh_buf_init(&why, SH_MAX_ERROR_BYTES);
    bool bad = rule->n_watch && sh_lua_watch_changed(h, rule, &why);
    const char *field = h->metas_used ? sh_lua_metas_changed(h, r, r->outcome != 0 || bad) : NULL;
    if (field && !bad)
        sh_buf_addf(&why, "%s:%d: a metatable was given %s, which is not available to rules",
                    rule->file, rule->line, field);
    if ((bad || field) && r->outcome != SH_RUN_FAILED) {
        sh_lua_run_fail(r);
        sh_buf_reset(&r->error);
        sh_buf_add(&r->error, why.data, why.len);
        drop_coroutine(h, r);
    }
    sh_buf_free(&why);
}

/* What the stretch that began with so much in use has added; exactly, where a run waits with much.
 */
static void measure(struct sh_host *h, struct sh_lua_run *r, size_t before)
{
    int64_t grown = (int64_t)h->used_bytes - (int64_t)before;
    if (!r->outcome && grown > (int64_t)(h->cap_bytes / MUCH)) {
        lua_gc(h->L, LUA_GCCOLLECT);
        h->floor_bytes = h->used_bytes;
        grown = (int64_t)h->used_bytes - (int64_t)before;
    }
    r->held_bytes += grown;
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
    h->look_quiet = false;
    buf_rest(&h->fill);
    pulse_on(h, r, t0);
    const size_t before = h->used_bytes;
    sh_stretch_begin(h, r->co, h->budgets.cpu_ms * 1000, r->cpu_used_us, !first);
    if (first)
        lua_pushcfunction(r->co, r->phase == SH_PHASE_NORMALISE ? sh_lua_normalise_body : run_body);
    int status = lua_resume(r->co, NULL, 0, &n_results);
    if ((status != LUA_OK && status != LUA_YIELD) || h->killed)
        fail_stretch(h, r, status);
    else if (status == LUA_OK && !r->outcome)
        r->outcome = SH_RUN_DONE;
    sh_stretch_end(h);
    pulse_off(h);
    h->run = NULL;
    measure(h, r, before);
    int64_t took = sh_mono_us() - t0;
    r->cpu_used_us = h->used_us;
    if (first && took > UNTIMED_US && !r->cpu_used_us)
        r->cpu_used_us = took; /* no tick fell into it */
    r->duration_us += took;
    check_traces(h, r);
    if (r->outcome)
        give_back(h, r);
}

void sh_lua_run_over(struct sh_host *h, struct sh_lua_run *r)
{
    struct sh_job_state *js = r->job;
    r->phase = SH_PHASE_OVER;
    sh_require(js->open > 0);
    if (--js->open == 0 && !js->starting)
        sh_lua_job_finish(h, js);
}

/* The run that holds most of those that wait, or NULL. */
static struct sh_lua_run *heaviest(const struct sh_host *h)
{
    struct sh_lua_run *most = NULL;
    for (struct sh_job_state *js = h->jobs; js; js = js->next)
        for (size_t i = 0; i < js->n_runs; i++) {
            struct sh_lua_run *r = js->runs[i];
            if (r->read_id && !r->outcome && !r->answered && r != h->asking &&
                (!most || r->held_bytes > most->held_bytes))
                most = r;
        }
    return most;
}

static void waiting_at(const struct sh_host *h, struct sh_lua_run *r)
{
    char where[200];
    int line;
    bool known = sh_lua_where(r->co, where, sizeof(where), &line);
    sh_buf_reset(&r->error);
    sh_buf_addf(&r->error, "%s: ", known ? where : sh_lua_rule_of(h, r)->file);
}

static const char *waits_for(const struct sh_lua_run *r)
{
    return r->request.kind == SH_READ_HTTP  ? "http.get"
           : r->request.kind == SH_READ_GET ? "records.get"
                                            : "records.find";
}

bool sh_lua_make_room(struct sh_host *h, int64_t own_bytes)
{
    const int64_t cap = (int64_t)h->cap_bytes;
    struct sh_lua_run *r = heaviest(h);
    if (!r || own_bytes >= cap / 2 || r->held_bytes <= own_bytes || r->held_bytes < cap / MUCH)
        return false;
    waiting_at(h, r);
    sh_buf_addf(&r->error,
                "memory budget of %lld KiB exceeded while it waits for %s: it holds %lld MiB, and "
                "another run found no room",
                (long long)cap / 1024, waits_for(r), (long long)(r->held_bytes + (1 << 19)) >> 20);
    sh_lua_run_fail(r);
    drop_coroutine(h, r);
    sh_lua_run_over(h, r);
    lua_gc(h->L, LUA_GCCOLLECT);
    h->floor_bytes = h->used_bytes;
    return true;
}

/* As it was before its first stretch; what it read is read again. False: it failed. */
static bool start_over(struct sh_host *h, struct sh_lua_run *r)
{
    drop_coroutine(h, r);
    sh_buf_reset(&r->effects);
    sh_buf_reset(&r->reads);
    sh_buf_reset(&r->logs);
    sh_buf_reset(&r->error);
    r->phase = r->rule < h->n_rules ? SH_PHASE_WHEN : SH_PHASE_NORMALISE;
    r->outcome = 0;
    r->n_effects = r->n_reads = r->n_logs = r->n_lookups = 0;
    r->n_own = r->own_seen = r->lookup_bytes = 0;
    r->cpu_used_us = r->asked_us = r->held_bytes = 0;
    r->over = r->seeded = r->answered = r->asked = false;
    sh_lua_looks_clear(r);
    if (sh_lua_take_coroutine(h, r))
        return true;
    sh_lua_run_fail(r);
    sh_buf_adds(&r->error, "no memory is left for a coroutine");
    return false;
}

/* The run failed for want of memory that another holds: it may begin again. */
static bool is_innocent(struct sh_host *h, struct sh_lua_run *r)
{
    return r->outcome == SH_RUN_FAILED && h->ran_out &&
           sh_lua_make_room(h, r->held_bytes + (int64_t)h->wanted_bytes);
}

/* Carry the run on until it ends or waits for an answer from outside. */
void sh_lua_drive(struct sh_host *h, struct sh_lua_run *r, bool first)
{
    for (;; first = false) {
        stretch(h, r, first);
        while (is_innocent(h, r) && start_over(h, r))
            stretch(h, r, true);
        if (r->outcome)
            break;
        struct sh_lua_run *outer = h->asking;
        h->asking = r;
        h->calls.read(h->calls.arg, r->read_id, &r->request);
        h->asking = outer;
        if (!r->answered)
            return;
    }
    sh_lua_run_over(h, r);
}

/* --- answers and time ------------------------------------------------------------------------ */

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
                sh_lua_drive(h, r, false);
            return true;
        }
    }
    return false;
}

/* Has the run waited too long? A look-up has a time of its own, which is not the rule's. */
static bool is_late(const struct sh_host *h, const struct sh_lua_run *r, int64_t now_us)
{
    if (r->request.kind == SH_READ_HTTP)
        return r->asked_us <= now_us - r->wait_ms * 1000;
    return r->start_us <= now_us - h->budgets.wall_ms * 1000;
}

static void late_text(const struct sh_host *h, struct sh_lua_run *r)
{
    waiting_at(h, r);
    if (r->request.kind == SH_READ_HTTP)
        sh_buf_addf(&r->error, "no answer within %lld ms, waiting for http.get",
                    (long long)r->wait_ms);
    else
        sh_buf_addf(&r->error, "wall budget of %lld ms exceeded, waiting for %s",
                    (long long)h->budgets.wall_ms, waits_for(r));
}

void sh_host_expire(struct sh_host *h)
{
    int64_t now_us = sh_mono_us();
    for (struct sh_job_state *js = h->jobs, *next; js; js = next) {
        next = js->next;
        size_t n = js->n_runs;
        for (size_t i = 0; i < n; i++) {
            struct sh_lua_run *r = js->runs[i];
            if (!r->read_id || r->outcome || !is_late(h, r, now_us))
                continue;
            late_text(h, r);
            sh_lua_run_fail(r);
            drop_coroutine(h, r);
            bool last = js->open == 1;
            sh_lua_run_over(h, r);
            if (last)
                break; /* js is gone */
        }
    }
}

size_t sh_host_open_jobs(const struct sh_host *h)
{
    return h->n_jobs;
}
