/* SPDX-License-Identifier: MIT
 * crew.c: worker processes under watch. */
#include "app/crew_impl.h"

#include "app/sandbox.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/zone.h"
#include "core/fault.h"
#include "svc/json.h"
#include "svc/loop.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_BYTES   (512 * 1024) /* of their bodies */
#define MAX_IN_BYTES   (SH_MAX_FRAME_BYTES)
#define REAP_MS        20 /* how long the loop waits to learn how a worker ended */
#define WATCH_MS       100
#define STUCK_MS       300   /* a run on for this long: what waits behind it goes elsewhere */
#define WALL_SLACK_MS  200   /* the worker's own limits come first */
#define SILENT_MS      800   /* beyond the wall budget: a stopped or hung worker is ended */
#define EARLY_DEATHS   3     /* then the rules count as not loading */
#define LOAD_MS        15000 /* a worker that has not loaded by then is ended */
#define BACKOFF_MAX_MS 5000
#define LEAVE_MS       500  /* a retired worker that has not ended by then is killed */
#define SOON_MS        2000 /* a worker that lived shorter than this counts as failing */

static void start(struct worker *w);

/* Something may be given out now: here, or, once retired, to those who have taken over. */
static void pump(struct sh_crew *c)
{
    if (!c->dispatch)
        return;
    sh_dispatch_pump(c->dispatch);
    sh_crew_flush(c);
    if (c->config.pumped)
        c->config.pumped(c->config.arg);
}

/* --- frames in --------------------------------------------------------------------------- */

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
    const struct job_out *job = sh_crew_find(w, result.token);
    /* One a rule, and one for each that the job named and this generation does not have. */
    if (result.n_runs > w->crew->n_rules + (job ? job->n_only : w->most_only)) {
        free(copy);
        free(result.runs);
        return false;
    }
    if (sh_crew_strike(w, result.token)) {
        (void)sh_dispatch_result(w->crew->dispatch, copy, &result);
        return true;
    }
    free(copy); /* a job that was taken back while it waited: run elsewhere, this answer is void */
    free(result.runs);
    return true;
}

static char *place_of(const cJSON *rule)
{
    const char *file = sh_json_string(rule, "file");
    int64_t line = 0;
    if (!sh_json_get_int(sh_json_member(rule, "line"), &line))
        line = 0;
    return sh_strf("%s:%lld", file ? file : "?", (long long)line);
}

/* A normaliser's number is behind those of the rules; what it does is no one rule's. */
static void keep_rules(struct sh_crew *c, const cJSON *report)
{
    const cJSON *rules = sh_json_member(report, "rules"), *rule;
    const cJSON *normalisers = sh_json_member(report, "normalisers");
    size_t n = (size_t)cJSON_GetArraySize(rules) + (size_t)cJSON_GetArraySize(normalisers);
    c->rules = sh_alloc(n, sizeof(*c->rules));
    c->places = sh_alloc(n, sizeof(*c->places));
    cJSON_ArrayForEach(rule, rules)
    {
        const char *name = sh_json_string(rule, "name");
        c->rules[c->n_rules] = sh_strdup(name ? name : "?");
        c->places[c->n_rules++] = place_of(rule);
    }
    cJSON_ArrayForEach(rule, normalisers)
    {
        const char *source = sh_json_string(rule, "source");
        char *place = place_of(rule);
        c->rules[c->n_rules] = sh_strdup(SH_RULE_ALL);
        c->places[c->n_rules++] = sh_strf("%s: normaliser of \"%s\"", place, source ? source : "?");
        free(place);
    }
}

static bool take_loaded(struct worker *w, struct sh_slice payload)
{
    struct sh_crew *c = w->crew;
    cJSON *report = sh_json_parse(payload.p, payload.n, NULL);
    if (!report)
        return false;
    w->up = cJSON_IsTrue(sh_json_member(report, "ok"));
    sh_sandbox_note(&c->sandbox, sh_json_member(report, "sandbox"));
    if (!c->reported) {
        c->reported = true;
        c->has_loaded = w->up;
        keep_rules(c, report);
        c->config.loaded(c->config.load_arg, report);
    } else if (!w->up && c->has_loaded) {
        sh_err("a worker could not load the rules that loaded before", "worker", SH_NUM(w->number));
    }
    cJSON_Delete(report);
    if (w->up && c->config.one_by_one && w->number < c->config.workers &&
        !c->workers[w->number].born_us)
        start(&c->workers[w->number]);
    if (w->up && c->config.up)
        c->config.up(c->config.load_arg);
    return true;
}

/* Before there is a dispatcher nothing was given, so there is nothing to ask or to answer; and what
 * the store was asked would outlive a crew that is not kept. */
static bool is_at_work(const struct worker *w)
{
    return w->up && w->crew->dispatch;
}

static bool take_frame(struct worker *w, uint8_t type, struct sh_slice payload)
{
    switch (type) {
    case SH_FRAME_LOADED:
        return !w->up && take_loaded(w, payload);
    case SH_FRAME_READ:
        return is_at_work(w) && sh_crew_ask(w, payload);
    case SH_FRAME_RESULT:
        return is_at_work(w) && take_result(w, payload);
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
    pump(w->crew);
    return (ssize_t)done;
}

/* --- birth and death --------------------------------------------------------------------- */

/* The number of the rule that the dead worker was running, if its pulse names one and a job it had.
 * Read once: the page is the worker's. */
static bool suspect(struct worker *w, uint64_t *token, uint32_t *rule)
{
    *token = atomic_load(&w->pulse->token);
    *rule = atomic_load(&w->pulse->rule);
    return *token != 0 && *rule < w->crew->n_rules && sh_crew_find(w, *token);
}

static void give_back(struct worker *w, const char *how)
{
    uint64_t guilty;
    uint32_t number;
    const bool known = suspect(w, &guilty, &number);
    const char *rule = known ? w->crew->rules[number] : NULL;
    char why[600];
    snprintf(why, sizeof(why), "%s: %s", known ? w->crew->places[number] : "worker",
             w->killed_because[0] ? w->killed_because : how);
    struct job_out jobs[SH_CREW_JOBS + SH_CREW_PARKED];
    size_t n = w->n_jobs;
    memcpy(jobs, w->jobs, n * sizeof(*jobs));
    w->n_jobs = w->n_waiting = w->n_parked = w->bytes = 0;
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
    if (c->retired) {
        pump(c);
        return;
    }
    int64_t wait = w->failures ? INT64_C(10) << (w->failures < 10 ? w->failures : 10) : 0;
    sh_timer_set(w->respawn, wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS);
    pump(c);
}

/* Nothing has been reported yet. */
static void report(struct sh_crew *c, const cJSON *loaded)
{
    c->reported = true;
    c->config.loaded(c->config.load_arg, loaded);
}

static void die_early(struct sh_crew *c)
{
    if (++c->early_deaths >= EARLY_DEATHS)
        report(c, NULL);
}

/* The report that the worker cannot make: the file never came to its end, and will not elsewhere.
 * In the words of a check (guard.c). */
static void report_hang(struct sh_crew *c, uint32_t file)
{
    char msg[200];
    snprintf(
        msg, sizeof(msg),
        "wall budget of %lld ms exceeded inside a function that cannot be interrupted, such as "
        "a pattern match, while the file was loaded",
        (long long)c->config.budgets.wall_ms);
    char *told = sh_fault_text(SH_SLICE(""), sh_slice_str(msg));
    cJSON *loaded = cJSON_CreateObject(), *fault = cJSON_CreateObject();
    cJSON_AddBoolToObject(loaded, "ok", false);
    cJSON_AddStringToObject(loaded, "generation", c->config.generation->id);
    cJSON_AddArrayToObject(loaded, "rules");
    cJSON_AddItemToArray(cJSON_AddArrayToObject(loaded, "errors"), fault);
    cJSON_AddArrayToObject(loaded, "warnings");
    cJSON_AddStringToObject(fault, "file", c->config.generation->files[file - 1].name);
    cJSON_AddNumberToObject(fault, "line", 1); /* it cannot say where */
    cJSON_AddStringToObject(fault, "msg", told);
    free(told);
    report(c, loaded);
    cJSON_Delete(loaded);
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
    if (!w->crew->reported) {
        if (w->hangs_in)
            report_hang(w->crew, w->hangs_in);
        else
            die_early(w->crew);
    }
    bury(w, how);
}

static void on_respawn(void *arg)
{
    struct worker *w = arg;
    if (w->not_started && !w->crew->reported)
        die_early(w->crew);
    start(w);
}

static void start(struct worker *w)
{
    struct sh_crew *c = w->crew;
    const bool json = sh_log_format() == SH_LOG_JSON; /* its lines stand among the engine's */
    char *argv[] = {"switchhook", "worker", json ? "json" : NULL, NULL};
    struct sh_error err;
    if (w->channel) /* its turn came twice: by its timer, and by the worker before it */
        return;
    w->not_started = false;
    if (!sh_child_start(argv, sizeof(struct sh_pulse), sh_zones_image(), &w->child, &err)) {
        sh_err("cannot start a worker", "error", err.msg);
        w->not_started = true;
        sh_timer_set(w->respawn, BACKOFF_MAX_MS);
        return;
    }
    sh_timer_cancel(w->respawn);
    w->pulse = w->child.page;
    w->incarnation = ++c->incarnations;
    w->born_us = w->sign_us = sh_mono_us();
    w->killed_because[0] = '\0';
    w->stuck = w->useful = false;
    w->hangs_in = 0;
    w->ask_bytes = w->most_only = 0;
    const struct sh_channel_calls calls = {.arg = w, .data = on_data, .closed = on_closed};
    w->channel = sh_channel_new(c->config.base, w->child.socket, MAX_IN_BYTES,
                                2 * SH_MAX_FRAME_BYTES, &calls);
    sh_frame_load(sh_channel_out(w->channel), &c->config.budgets, c->config.settings,
                  c->config.generation);
    sh_channel_flush(w->channel);
}

/* --- watchdog ---------------------------------------------------------------------------- */

/* Jobs behind a run that takes long are given to other workers. They have had no effects, and if
 * this worker answers them after all, the answer is dropped. Those that wait for look-ups stay:
 * they would only ask again. */
static void take_back(struct worker *w, uint64_t running)
{
    uint64_t tokens[SH_CREW_JOBS + SH_CREW_PARKED];
    size_t n = 0;
    w->stuck = true;
    for (size_t i = 0; i < w->n_jobs; i++)
        if (w->jobs[i].token != running && w->jobs[i].lookups == 0)
            tokens[n++] = w->jobs[i].token;
    for (size_t i = 0; i < n; i++)
        if (sh_crew_strike(w, tokens[i]))
            sh_dispatch_take_back(w->crew->dispatch, tokens[i]);
    if (n)
        pump(w->crew);
}

/* Loading takes too long: all of it, or one file, which has more time for Lua code than a run and
 * ends by itself there. */
static void watch_load(struct worker *w, int64_t now_us)
{
    const struct sh_generation *g = w->crew->config.generation;
    const struct sh_budgets *b = &w->crew->config.budgets;
    const uint32_t file = w->pulse ? atomic_load(&w->pulse->file) : 0; /* before since_us: load.c */
    const int64_t since_us = w->pulse ? atomic_load(&w->pulse->since_us) : 0;
    const bool known = file > 0 && file <= g->n_files;
    int64_t file_ms = SH_LOAD_CPU_FACTOR * b->cpu_ms;
    if (file_ms < b->wall_ms)
        file_ms = b->wall_ms;
    if (known && now_us - since_us > (file_ms + WALL_SLACK_MS) * 1000)
        w->hangs_in = file;
    else if (now_us - w->born_us <= LOAD_MS * 1000)
        return;
    snprintf(w->killed_because, sizeof(w->killed_because), "%.200s%sloading %s took over %lld ms",
             known ? g->files[file - 1].name : "", known ? ": " : "",
             w->hangs_in ? "the file" : "the rules", (long long)(w->hangs_in ? file_ms : LOAD_MS));
    sh_child_kill(&w->child);
}

static void check(struct worker *w, int64_t now_us)
{
    struct sh_crew *c = w->crew;
    const size_t awake = w->n_jobs - w->n_waiting;
    uint64_t running = w->pulse ? atomic_load(&w->pulse->token) : 0;
    int64_t since_us = w->pulse ? atomic_load(&w->pulse->since_us) : 0;
    int64_t wall_us = (c->config.budgets.wall_ms + WALL_SLACK_MS) * 1000;
    if (since_us != w->sign_since || awake == 0) {
        w->sign_since = since_us;
        w->sign_us = now_us;
    }
    if (!w->channel || w->killed_because[0])
        return;
    if (!w->up) {
        watch_load(w, now_us);
        return;
    }
    if (running != 0 && now_us - since_us > wall_us) /* perhaps a job taken back */
        snprintf(w->killed_because, sizeof(w->killed_because),
                 "wall budget of %lld ms exceeded inside a function that cannot be interrupted, "
                 "such as a pattern match",
                 (long long)c->config.budgets.wall_ms);
    else if (awake && now_us - w->sign_us > wall_us + SILENT_MS * 1000)
        snprintf(w->killed_because, sizeof(w->killed_because),
                 "no sign of life from the worker for %lld ms",
                 (long long)((now_us - w->sign_us) / 1000));
    else {
        if (running != 0 && !w->stuck && now_us - since_us > STUCK_MS * 1000)
            take_back(w, running);
        return;
    }
    sh_child_kill(&w->child); /* the channel's end of stream does the rest */
}

/* A retired worker that holds nothing is sent away: end of file, and SIGKILL if it does not see it.
 * Never waited for: the loop goes on. */
static void send_away(struct worker *w, int64_t now_us)
{
    if (w->channel && !w->leaving_us && w->n_jobs == 0) {
        sh_channel_free(w->channel);
        w->channel = NULL;
        w->up = false;
        w->leaving_us = now_us;
    }
    if (!w->leaving_us || w->child.pid <= 0)
        return;
    if (now_us - w->leaving_us > LEAVE_MS * 1000)
        sh_child_kill(&w->child);
    if (sh_child_reap(&w->child)) {
        sh_child_release(&w->child);
        w->pulse = NULL;
    }
}

static void on_watch(void *arg)
{
    struct sh_crew *c = arg;
    int64_t now_us = sh_mono_us();
    for (size_t i = 0; i < c->config.workers; i++) {
        check(&c->workers[i], now_us);
        if (c->retired)
            send_away(&c->workers[i], now_us);
    }
    sh_timer_set(c->watch, WATCH_MS);
}

/* --- giving out -------------------------------------------------------------------------- */

static bool has_room(const struct worker *w)
{
    return w->up && w->channel && !w->killed_because[0] && !w->stuck &&
           sh_crew_in_window(w) < SH_CREW_JOBS &&
           (sh_crew_in_window(w) == 0 || w->bytes < WINDOW_BYTES);
}

/* Fewer jobs in the window; or as many, and fewer that wait, which hold memory meanwhile. */
static bool is_freer(const struct worker *w, const struct worker *than)
{
    const size_t a = sh_crew_in_window(w), b = sh_crew_in_window(than);
    return a != b ? a < b : w->n_jobs < than->n_jobs;
}

bool sh_crew_give(struct sh_crew *c, const struct sh_job *job)
{
    struct worker *best = NULL;
    for (size_t i = 0; i < c->config.workers; i++) {
        struct worker *w = &c->workers[i];
        if (has_room(w) && (!best || is_freer(w, best)))
            best = w;
    }
    if (!best)
        return false;
    sh_frame_job(sh_channel_out(best->channel), job);
    best->jobs[best->n_jobs++] =
        (struct job_out){.token = job->token, .bytes = job->body.n, .n_only = job->n_only};
    if (job->n_only > best->most_only)
        best->most_only = job->n_only;
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

size_t sh_crew_parked(const struct sh_crew *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->config.workers; i++)
        n += c->workers[i].n_parked;
    return n;
}

void sh_crew_retire(struct sh_crew *c)
{
    c->retired = true;
    for (size_t i = 0; i < c->config.workers; i++) {
        sh_timer_cancel(c->workers[i].respawn);
        send_away(&c->workers[i], sh_mono_us());
    }
}

bool sh_crew_is_over(const struct sh_crew *c)
{
    for (size_t i = 0; i < c->config.workers; i++)
        if (c->workers[i].channel || c->workers[i].child.pid > 0)
            return false;
    return c->retired && !c->lookups && c->asking == 0;
}

cJSON *sh_crew_json(const struct sh_crew *c)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < c->config.workers; i++) {
        const struct worker *w = &c->workers[i];
        cJSON *o = cJSON_CreateObject();
        cJSON_AddItemToObject(o, "pid", sh_json_int(w->child.pid));
        cJSON_AddStringToObject(o, "state",
                                !w->channel ? "down"
                                : !w->up    ? "loading"
                                : w->stuck  ? "stuck"
                                            : "up");
        cJSON_AddItemToObject(o, "jobs", sh_json_int((int64_t)w->n_jobs));
        cJSON_AddItemToObject(o, "parked", sh_json_int((int64_t)w->n_parked));
        cJSON_AddItemToArray(list, o);
    }
    return list;
}

const cJSON *sh_crew_sandbox(const struct sh_crew *c)
{
    return c->sandbox;
}

int64_t sh_crew_restarts(const struct sh_crew *c)
{
    return c->restarts;
}

struct sh_crew *sh_crew_new(const struct sh_crew_config *config)
{
    struct sh_crew *c = sh_alloc(1, sizeof(*c));
    c->config = *config;
    if (!c->config.load_arg)
        c->config.load_arg = config->arg;
    c->workers = sh_alloc(config->workers, sizeof(*c->workers));
    c->watch = sh_timer_new(config->base, on_watch, c);
    sh_timer_set(c->watch, WATCH_MS);
    for (size_t i = 0; i < config->workers; i++) {
        struct worker *w = &c->workers[i];
        w->crew = c;
        w->number = i + 1;
        w->respawn = sh_timer_new(config->base, on_respawn, w);
        if (i == 0 || !config->one_by_one)
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
    const int64_t until_us = sh_mono_us() + wait_ms * INT64_C(1000);
    for (size_t i = 0; i < c->config.workers; i++)
        if (c->workers[i].channel || c->workers[i].child.pid > 0) {
            const int64_t left_ms = (until_us - sh_mono_us()) / 1000;
            sh_child_finish(&c->workers[i].child, left_ms > 0 ? (int)left_ms : 0, NULL);
            sh_child_release(&c->workers[i].child);
        }
    sh_timer_free(c->watch);
    for (size_t i = 0; i < c->n_rules; i++) {
        free(c->rules[i]);
        free(c->places[i]);
    }
    free(c->rules);
    free(c->places);
    cJSON_Delete(c->sandbox);
    sh_crew_drop_lookups(c);
    free(c->workers);
    free(c);
}
