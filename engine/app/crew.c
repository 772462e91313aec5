/* SPDX-License-Identifier: MIT
 * crew.c: worker processes under watch. */
#include "app/crew.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "svc/channel.h"
#include "svc/json.h"
#include "svc/loop.h"
#include "svc/process.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_JOBS    48           /* given to one worker and not yet answered */
#define WINDOW_BYTES   (512 * 1024) /* of their bodies */
#define MAX_IN_BYTES   (SH_MAX_FRAME_BYTES)
#define MAX_ASK_BYTES  (64 * 1024 * 1024) /* of one worker's questions, not yet answered */
#define REAP_MS        20                 /* how long the loop waits to learn how a worker ended */
#define WATCH_MS       100
#define STUCK_MS       300   /* a run on for this long: what waits behind it goes elsewhere */
#define WALL_SLACK_MS  200   /* the worker's own limits come first */
#define SILENT_MS      800   /* beyond the wall budget: a stopped or hung worker is ended */
#define EARLY_DEATHS   3     /* then the rules count as not loading */
#define LOAD_MS        15000 /* a worker that has not loaded by then is ended */
#define BACKOFF_MAX_MS 5000
#define SOON_MS        2000 /* a worker that lived shorter than this counts as failing */

struct job_out { /* one job a worker has */
    uint64_t token;
    size_t bytes;
};

struct worker {
    struct sh_crew *crew;
    size_t number; /* from 1, for the log */
    struct sh_child child;
    struct sh_channel *channel;
    struct sh_pulse *pulse;
    uint64_t incarnation; /* answers to an earlier one are dropped */
    bool up;              /* has loaded */
    bool dirty;           /* bytes to flush */
    bool useful;          /* has answered a job: its death says nothing about the next one */
    bool stuck;           /* one run has been on for long: no new jobs until it is over */
    struct job_out jobs[WINDOW_JOBS];
    size_t n_jobs, bytes;
    size_t ask_bytes; /* in the store's hands */
    int64_t born_us;
    int64_t sign_us;    /* last sign of life: bytes from it, or its pulse moved */
    int64_t sign_since; /* the pulse's since_us then */
    int failures;       /* deaths soon after birth, in a row */
    struct sh_timer *respawn;
    char killed_because[120]; /* set by the watchdog */
};

struct sh_crew {
    struct sh_crew_config config;
    struct sh_dispatch *dispatch;
    struct worker *workers;
    struct sh_timer *watch;
    char **rules;  /* names in report order, for the pulse */
    char **places; /* "rules/a.lua:3" of each */
    size_t n_rules;
    bool reported, closing;
    int early_deaths; /* of workers, before any had loaded */
    uint64_t incarnations;
    int64_t restarts;
};

struct read_op {
    struct sh_op_read op;
    struct worker *worker;
    uint64_t incarnation, read_id;
    char *bytes; /* owned copy behind the request */
    size_t cost; /* its part of ask_bytes */
};

static void start(struct worker *w);

/* --- frames in --------------------------------------------------------------------------- */

static void on_answer(struct sh_op *op)
{
    struct read_op *r = op->arg;
    struct worker *w = r->worker;
    if (w->incarnation == r->incarnation)
        w->ask_bytes -= r->cost;
    if (op->ok && w->channel && w->incarnation == r->incarnation) {
        sh_frame_answer(sh_channel_out(w->channel), r->read_id,
                        sh_slice(r->op.answer.data, r->op.answer.len));
        sh_channel_flush(w->channel);
    }
    sh_buf_free(&r->op.answer);
    free(r->bytes);
    free(r);
}

static bool take_ask(struct worker *w, struct sh_slice payload)
{
    if (w->ask_bytes > MAX_ASK_BYTES)
        return false;
    struct read_op *r = sh_alloc(1, sizeof(*r));
    r->bytes = sh_slice_dup(payload);
    r->worker = w;
    r->incarnation = w->incarnation;
    if (!sh_frame_read_ask(sh_slice(r->bytes, payload.n), &r->read_id, &r->op.request)) {
        free(r->bytes);
        free(r);
        return false;
    }
    r->cost = sizeof(*r) + payload.n;
    w->ask_bytes += r->cost;
    r->op.op = (struct sh_op){.kind = SH_OP_READ, .done = on_answer, .arg = r};
    sh_store_submit(w->crew->config.store, &r->op.op);
    return true;
}

/* Strike a job off the worker's list; false if it never had it. */
static bool strike(struct worker *w, uint64_t token)
{
    for (size_t i = 0; i < w->n_jobs; i++)
        if (w->jobs[i].token == token) {
            w->bytes -= w->jobs[i].bytes;
            w->jobs[i] = w->jobs[--w->n_jobs];
            return true;
        }
    return false;
}

static bool take_result(struct worker *w, struct sh_slice payload)
{
    struct sh_result result;
    char *copy = sh_slice_dup(payload);
    if (!sh_frame_read_result(sh_slice(copy, payload.n), &result)) {
        free(copy);
        return false;
    }
    w->stuck = false;
    w->useful = true;
    if (result.n_runs > w->crew->n_rules + 1) { /* one a rule, and one that is no longer there */
        free(copy);
        free(result.runs);
        return false;
    }
    if (strike(w, result.token)) {
        (void)sh_dispatch_result(w->crew->dispatch, copy, &result);
        return true;
    }
    free(copy); /* a job that was taken back while it waited: run elsewhere, this answer is void */
    free(result.runs);
    return true;
}

static void keep_rules(struct sh_crew *c, const cJSON *report)
{
    const cJSON *rules = sh_json_member(report, "rules"), *rule;
    size_t n = (size_t)cJSON_GetArraySize(rules);
    c->rules = sh_alloc(n, sizeof(*c->rules));
    c->places = sh_alloc(n, sizeof(*c->places));
    cJSON_ArrayForEach(rule, rules)
    {
        const char *name = sh_json_string(rule, "name"), *file = sh_json_string(rule, "file");
        int64_t line = 0;
        if (!sh_json_get_int(sh_json_member(rule, "line"), &line))
            line = 0;
        c->rules[c->n_rules] = sh_strdup(name ? name : "?");
        c->places[c->n_rules++] = sh_strf("%s:%lld", file ? file : "?", (long long)line);
    }
}

static bool take_loaded(struct worker *w, struct sh_slice payload)
{
    struct sh_crew *c = w->crew;
    cJSON *report = sh_json_parse(payload.p, payload.n, NULL);
    if (!report)
        return false;
    w->up = cJSON_IsTrue(sh_json_member(report, "ok"));
    if (!c->reported) {
        c->reported = true;
        keep_rules(c, report);
        c->config.loaded(c->config.arg, report);
    } else if (!w->up) {
        sh_err("a worker could not load the rules that loaded before", "worker", SH_NUM(w->number));
    }
    cJSON_Delete(report);
    return true;
}

static bool take_frame(struct worker *w, uint8_t type, struct sh_slice payload)
{
    switch (type) {
    case SH_FRAME_LOADED:
        return !w->up && take_loaded(w, payload);
    case SH_FRAME_READ:
        return w->up && take_ask(w, payload);
    case SH_FRAME_RESULT:
        return w->up && take_result(w, payload);
    default:
        return false;
    }
}

static ssize_t on_data(void *arg, struct sh_slice in)
{
    struct worker *w = arg;
    w->sign_us = sh_mono_us();
    size_t done = 0, used;
    uint8_t type;
    struct sh_slice payload;
    int rc;
    while ((rc = sh_frame_split(sh_slice(in.p + done, in.n - done), SH_MAX_FRAME_BYTES, &type,
                                &payload, &used)) > 0) {
        if (!take_frame(w, type, payload))
            return -1;
        done += used;
    }
    if (rc < 0)
        return -1;
    if (w->crew->dispatch)
        sh_dispatch_pump(w->crew->dispatch);
    sh_crew_flush(w->crew);
    return (ssize_t)done;
}

/* --- birth and death --------------------------------------------------------------------- */

/* The rule that the dead worker was running, if its pulse names a job it had; else NULL. */
static const char *suspect(const struct worker *w, uint64_t *token)
{
    uint64_t running = atomic_load(&w->pulse->token);
    uint32_t rule = atomic_load(&w->pulse->rule);
    if (running == 0 || rule >= w->crew->n_rules)
        return NULL;
    for (size_t i = 0; i < w->n_jobs; i++)
        if (w->jobs[i].token == running) {
            *token = running;
            return w->crew->rules[rule];
        }
    return NULL;
}

static void give_back(struct worker *w, const char *how)
{
    uint64_t guilty = 0;
    const char *rule = suspect(w, &guilty);
    char why[400];
    snprintf(why, sizeof(why), "%s: %s",
             rule ? w->crew->places[atomic_load(&w->pulse->rule)] : "worker",
             w->killed_because[0] ? w->killed_because : how);
    struct job_out jobs[WINDOW_JOBS];
    size_t n = w->n_jobs;
    memcpy(jobs, w->jobs, n * sizeof(*jobs));
    w->n_jobs = w->bytes = 0;
    for (size_t i = 0; i < n; i++)
        if (rule && jobs[i].token != guilty)
            sh_dispatch_take_back(w->crew->dispatch, jobs[i].token);
        else
            sh_dispatch_lost(w->crew->dispatch, jobs[i].token, rule, why);
}

static void bury(struct worker *w, const char *how)
{
    struct sh_crew *c = w->crew;
    bool soon = !w->useful && sh_mono_us() - w->born_us < SOON_MS * 1000;
    w->failures = soon ? w->failures + 1 : 0;
    sh_warn("worker ended", "worker", SH_NUM(w->number), "pid", SH_NUM(w->child.pid), "how",
            w->killed_because[0] ? w->killed_because : how, "jobs", SH_NUM(w->n_jobs));
    sh_channel_free(w->channel);
    w->channel = NULL;
    w->up = false;
    if (c->dispatch)
        give_back(w, how);
    sh_child_release(&w->child);
    w->pulse = NULL;
    c->restarts++;
    int64_t wait = w->failures ? INT64_C(10) << (w->failures < 10 ? w->failures : 10) : 0;
    sh_timer_set(w->respawn, wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS);
    if (c->dispatch)
        sh_dispatch_pump(c->dispatch);
    sh_crew_flush(c);
}

static void on_closed(void *arg, const char *why)
{
    struct worker *w = arg;
    char ended[SH_CHILD_HOW], how[SH_CHILD_HOW + 120];
    if (w->crew->closing)
        return;
    /* A worker without its channel is of no use; one that crashed is as good as reaped. */
    sh_child_finish(&w->child, REAP_MS, ended);
    snprintf(how, sizeof(how), "the rule worker %s while this run was on (%s)", ended, why);
    if (!w->crew->reported && ++w->crew->early_deaths >= EARLY_DEATHS) {
        w->crew->reported = true;
        w->crew->config.loaded(w->crew->config.arg, NULL);
    }
    bury(w, how);
}

static void on_respawn(void *arg)
{
    start(arg);
}

static void start(struct worker *w)
{
    struct sh_crew *c = w->crew;
    char *argv[] = {"switchhook", "worker", NULL};
    struct sh_error err;
    if (!sh_child_start(argv, sizeof(struct sh_pulse), &w->child, &err)) {
        sh_err("cannot start a worker", "error", err.msg);
        sh_timer_set(w->respawn, BACKOFF_MAX_MS);
        return;
    }
    w->pulse = w->child.page;
    w->incarnation = ++c->incarnations;
    w->born_us = w->sign_us = sh_mono_us();
    w->killed_because[0] = '\0';
    w->stuck = w->useful = false;
    w->ask_bytes = 0;
    const struct sh_channel_calls calls = {.arg = w, .data = on_data, .closed = on_closed};
    w->channel = sh_channel_new(c->config.base, w->child.socket, MAX_IN_BYTES,
                                2 * SH_MAX_FRAME_BYTES, &calls);
    sh_frame_load(sh_channel_out(w->channel), &c->config.budgets, c->config.generation);
    sh_channel_flush(w->channel);
}

/* --- watchdog ---------------------------------------------------------------------------- */

/* Jobs behind a run that takes long are given to other workers. They have had no effects, and if
 * this worker answers them after all, the answer is dropped. */
static void take_back(struct worker *w, uint64_t running)
{
    uint64_t tokens[WINDOW_JOBS];
    size_t n = 0;
    w->stuck = true;
    for (size_t i = 0; i < w->n_jobs; i++)
        if (w->jobs[i].token != running)
            tokens[n++] = w->jobs[i].token;
    for (size_t i = 0; i < n; i++)
        if (strike(w, tokens[i]))
            sh_dispatch_take_back(w->crew->dispatch, tokens[i]);
    if (n) {
        sh_dispatch_pump(w->crew->dispatch);
        sh_crew_flush(w->crew);
    }
}

static void check(struct worker *w, int64_t now_us)
{
    struct sh_crew *c = w->crew;
    uint64_t running = w->pulse ? atomic_load(&w->pulse->token) : 0;
    int64_t since_us = w->pulse ? atomic_load(&w->pulse->since_us) : 0;
    int64_t wall_us = (c->config.budgets.wall_ms + WALL_SLACK_MS) * 1000;
    if (since_us != w->sign_since || w->n_jobs == 0) {
        w->sign_since = since_us;
        w->sign_us = now_us;
    }
    if (!w->channel || w->killed_because[0])
        return;
    if (!w->up && now_us - w->born_us > LOAD_MS * 1000)
        snprintf(w->killed_because, sizeof(w->killed_because), "loading the rules took over %d s",
                 LOAD_MS / 1000);
    else if (w->up && w->n_jobs && running != 0 && now_us - since_us > wall_us)
        snprintf(w->killed_because, sizeof(w->killed_because),
                 "wall budget of %lld ms exceeded inside a function that cannot be interrupted, "
                 "such as a pattern match",
                 (long long)c->config.budgets.wall_ms);
    else if (w->up && w->n_jobs && now_us - w->sign_us > wall_us + SILENT_MS * 1000)
        snprintf(w->killed_because, sizeof(w->killed_because),
                 "no sign of life from the worker for %lld ms",
                 (long long)((now_us - w->sign_us) / 1000));
    else {
        if (w->up && running != 0 && !w->stuck && now_us - since_us > STUCK_MS * 1000)
            take_back(w, running);
        return;
    }
    sh_child_kill(&w->child); /* the channel's end of stream does the rest */
}

static void on_watch(void *arg)
{
    struct sh_crew *c = arg;
    int64_t now_us = sh_mono_us();
    for (size_t i = 0; i < c->config.workers; i++)
        check(&c->workers[i], now_us);
    sh_timer_set(c->watch, WATCH_MS);
}

/* --- giving out -------------------------------------------------------------------------- */

static bool has_room(const struct worker *w)
{
    return w->up && w->channel && !w->killed_because[0] && !w->stuck && w->n_jobs < WINDOW_JOBS &&
           (w->n_jobs == 0 || w->bytes < WINDOW_BYTES);
}

bool sh_crew_give(struct sh_crew *c, const struct sh_job *job)
{
    struct worker *best = NULL;
    for (size_t i = 0; i < c->config.workers; i++) {
        struct worker *w = &c->workers[i];
        if (has_room(w) && (!best || w->n_jobs < best->n_jobs))
            best = w;
    }
    if (!best)
        return false;
    sh_frame_job(sh_channel_out(best->channel), job);
    best->jobs[best->n_jobs++] = (struct job_out){job->token, job->body.n};
    best->bytes += job->body.n;
    best->dirty = true;
    return true;
}

void sh_crew_flush(struct sh_crew *c)
{
    for (size_t i = 0; i < c->config.workers; i++) {
        struct worker *w = &c->workers[i];
        if (w->dirty && w->channel)
            sh_channel_flush(w->channel);
        w->dirty = false;
    }
}

void sh_crew_set_dispatch(struct sh_crew *c, struct sh_dispatch *d)
{
    c->dispatch = d;
}

size_t sh_crew_ready(const struct sh_crew *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->config.workers; i++)
        n += c->workers[i].up;
    return n;
}

int64_t sh_crew_restarts(const struct sh_crew *c)
{
    return c->restarts;
}

struct sh_crew *sh_crew_new(const struct sh_crew_config *config)
{
    struct sh_crew *c = sh_alloc(1, sizeof(*c));
    c->config = *config;
    c->workers = sh_alloc(config->workers, sizeof(*c->workers));
    c->watch = sh_timer_new(config->base, on_watch, c);
    sh_timer_set(c->watch, WATCH_MS);
    for (size_t i = 0; i < config->workers; i++) {
        struct worker *w = &c->workers[i];
        w->crew = c;
        w->number = i + 1;
        w->respawn = sh_timer_new(config->base, on_respawn, w);
        start(w);
    }
    return c;
}

void sh_crew_free(struct sh_crew *c, int wait_ms)
{
    if (!c)
        return;
    c->closing = true;
    for (size_t i = 0; i < c->config.workers; i++) {
        sh_timer_free(c->workers[i].respawn);
        if (c->workers[i].channel)
            sh_channel_free(c->workers[i].channel); /* end of file for the worker */
    }
    for (size_t i = 0; i < c->config.workers; i++)
        if (c->workers[i].channel) {
            sh_child_finish(&c->workers[i].child, wait_ms, NULL);
            sh_child_release(&c->workers[i].child);
        }
    sh_timer_free(c->watch);
    for (size_t i = 0; i < c->n_rules; i++) {
        free(c->rules[i]);
        free(c->places[i]);
    }
    free(c->rules);
    free(c->places);
    free(c->workers);
    free(c);
}
