/* SPDX-License-Identifier: MIT
 * reload.c: one round after the other, step by step. */
#include "app/reload.h"

#include "app/reload_work.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/fault.h"
#include "svc/json.h"
#include "svc/loop.h"
#include "svc/task.h"
#include "svc/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUIET_MS     150  /* no sign of change for so long: the folders are read */
#define MOST_MS      2000 /* after the first sign, however many follow */
#define LOOK_MS      3000 /* between looks at names, sizes and times */
#define ROOM_MS      100
#define WAIT_MS      60000
#define CROWD_MS     3000  /* for all workers of a candidate, once the first has loaded */
#define GIVE_UP_MS   12000 /* beyond that, with none of them up */
#define ERRORS_SHOWN 20    /* in the log */

enum step { AT_REST, READING, WAITING, LOADING, CHECKING, KEEPING };

struct asker {
    void (*done)(void *arg, const cJSON *outcome);
    void *arg;
    struct asker *next;
};

struct sh_reload {
    struct sh_reload_config config;
    char live[SH_GENERATION_TEXT];
    cJSON *rules; /* its rules, as in a report; owned */
    struct sh_watcher *watcher;
    char *specs;                       /* folder, owned */
    struct sh_timer *look, *move;      /* move: on to the next step, off the stack of a callback */
    struct sh_task *glance;            /* a look under way */
    int64_t wait_ms, not_before_us;    /* after a failure that was not the files': growing */
    uint64_t failed_stamp;             /* how the folders looked when `failed` was tried */
    uint64_t stamp;                    /* as the folders looked when they were read last */
    uint64_t stamp_read, stamp_glance; /* each is its thread's until that is done */
    enum step step;
    enum sh_reload_cause cause;
    bool stopped;
    bool again; /* asked for while a round was under way */
    enum sh_reload_cause again_cause;
    struct asker *askers, *next_askers; /* of this round; of the next */
    /* of the round */
    int64_t started_us, started_ms;
    struct sh_task *task;
    struct sh_generation *candidate;
    struct sh_error err; /* why it could not be read */
    struct sh_crew *crew;
    bool loaded;
    cJSON *report;          /* of the candidate; owned */
    cJSON *spec_fault;      /* owned */
    cJSON *orphans;         /* warnings; owned */
    int64_t crowd_until_us; /* LOADING: then those that are up are enough */
    struct sh_op_generation keep;
    char failed[SH_GENERATION_TEXT]; /* that the last round failed with; "" = none */
    cJSON *last;
    struct sh_reload_stats stats;
};

static void begin(struct sh_reload *r, enum sh_reload_cause cause);

static const char *cause_name(enum sh_reload_cause cause)
{
    static const char *const names[] = {"files", "signal", "api"};
    return names[cause];
}

/* --- outcomes -------------------------------------------------------------------------------- */

static void append(cJSON *out, const cJSON *list)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list) cJSON_AddItemToArray(out, cJSON_Duplicate(item, true));
}

static cJSON *outcome_new(const struct sh_reload *r, bool ok, bool changed)
{
    char at[SH_TIME_TEXT];
    struct sh_error err;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddBoolToObject(o, "ok", ok);
    cJSON_AddBoolToObject(o, "changed", changed);
    cJSON_AddStringToObject(o, "cause", cause_name(r->cause));
    cJSON_AddStringToObject(o, "at", sh_time_text(r->started_ms, at));
    cJSON_AddItemToObject(o, "took_ms", sh_json_int((sh_mono_us() - r->started_us) / 1000));
    cJSON_AddItemToObject(o, "generation",
                          r->candidate ? cJSON_CreateString(r->candidate->id) : cJSON_CreateNull());
    cJSON_AddStringToObject(o, "before", r->live);
    cJSON_AddItemToObject(o, "rules",
                          sh_json_int(r->report
                                          ? cJSON_GetArraySize(sh_json_member(r->report, "rules"))
                                          : cJSON_GetArraySize(r->rules)));
    cJSON_AddItemToObject(o, "changes",
                          r->candidate ? sh_generation_changes(r->config.live, r->candidate)
                                       : cJSON_CreateArray());
    append(cJSON_AddArrayToObject(o, "errors"), sh_json_member(r->report, "errors"));
    cJSON *warnings = cJSON_AddArrayToObject(o, "warnings");
    append(warnings, sh_json_member(r->report, "warnings"));
    append(warnings, r->orphans);
    if (r->config.tls && r->cause != SH_RELOAD_FILES && !sh_tls_reload(r->config.tls, &err))
        cJSON_AddItemToArray(warnings, sh_reload_fault("tls", 0, err.msg));
    return o;
}

static void log_faults(const cJSON *list, bool error, const char *msg)
{
    const cJSON *f;
    int n = 0;
    cJSON_ArrayForEach(f, list)
    {
        int64_t line = 0;
        const char *file = sh_json_string(f, "file"), *what = sh_json_string(f, "msg");
        (void)!sh_json_get_int(sh_json_member(f, "line"), &line);
        if (n++ == ERRORS_SHOWN)
            break;
        char *where = line ? sh_strf("%s:%lld", file ? file : "", (long long)line)
                           : sh_strdup(file ? file : "");
        const struct sh_fault_parts parts = sh_fault_split(sh_slice_str(what ? what : "?"));
        const bool spec = file && strstr(file, "_spec.lua"); /* what it says is told in full */
        char *first = spec ? sh_strdup(what) : sh_slice_dup(parts.line),
             *hint = sh_slice_dup(parts.hint);
        sh_log(error ? SH_LOG_ERROR : SH_LOG_WARN, msg, "where", where, "what", first,
               *hint ? "hint" : NULL, hint, NULL);
        free(where);
        free(first);
        free(hint);
    }
}

/* Did the last round fail for the same? One that is tried again and again is told once. */
static bool is_old_news(const struct sh_reload *r, const cJSON *o)
{
    return r->cause == SH_RELOAD_FILES && r->last && !cJSON_IsTrue(sh_json_member(o, "ok")) &&
           cJSON_Compare(sh_json_member(r->last, "errors"), sh_json_member(o, "errors"), true);
}

static void log_outcome(const struct sh_reload *r, const cJSON *o)
{
    if (is_old_news(r, o))
        return;
    const bool ok = cJSON_IsTrue(sh_json_member(o, "ok"));
    int64_t ms = 0;
    (void)!sh_json_get_int(sh_json_member(o, "took_ms"), &ms);
    log_faults(sh_json_member(o, "warnings"), false, "reload: warning");
    if (!ok) {
        log_faults(sh_json_member(o, "errors"), true, "reload failed");
        sh_err("reload failed: the rules that were live stay live", "cause", cause_name(r->cause),
               "live", r->live, "errors", SH_NUM(cJSON_GetArraySize(sh_json_member(o, "errors"))));
    } else if (cJSON_IsTrue(sh_json_member(o, "changed"))) {
        sh_info("rules reloaded", "generation", sh_json_string(o, "generation"), "before", r->live,
                "cause", cause_name(r->cause), "files",
                SH_NUM(cJSON_GetArraySize(sh_json_member(o, "changes"))), "rules",
                SH_NUM(cJSON_GetArraySize(sh_json_member(r->report, "rules"))), "ms", SH_NUM(ms));
    } else {
        sh_info("nothing to reload: what is in the folders is live", "cause", cause_name(r->cause),
                "live", r->live);
    }
}

static void answer(struct asker *list, const cJSON *outcome)
{
    for (struct asker *a = list, *next; a; a = next) {
        next = a->next;
        a->done(a->arg, outcome);
        free(a);
    }
}

static void clear_round(struct sh_reload *r)
{
    sh_task_free(r->task);
    r->task = NULL;
    sh_crew_free(r->crew, 0);
    r->crew = NULL;
    sh_generation_free(r->candidate);
    r->candidate = NULL;
    cJSON_Delete(r->report);
    cJSON_Delete(r->orphans);
    r->report = r->orphans = NULL;
    cJSON_Delete(r->spec_fault);
    r->spec_fault = NULL;
    r->loaded = false;
}

/* The round is over. o: its outcome (owned), or NULL: nothing worth a word happened. */
static void finish(struct sh_reload *r, cJSON *o)
{
    struct asker *askers = r->askers;
    r->askers = NULL;
    r->step = AT_REST;
    if (o) {
        log_outcome(r, o);
        cJSON_Delete(r->last);
        r->last = o;
    }
    clear_round(r);
    answer(askers, r->last);
    if (!r->again)
        return;
    r->again = false;
    r->askers = r->next_askers;
    r->next_askers = NULL;
    begin(r, r->again_cause);
}

/* The round has failed. fault: one more than the report's (taken), or NULL. judged: the files are
 * at fault, so that only other ones are tried; else the next look tries these again. */
static void fail_with(struct sh_reload *r, cJSON *fault, bool judged)
{
    cJSON *o = outcome_new(r, false, false);
    if (fault)
        cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(o, "errors"), fault);
    snprintf(r->failed, sizeof(r->failed), "%s", judged && r->candidate ? r->candidate->id : "");
    r->failed_stamp = r->stamp;
    if (!judged) {
        r->stamp = 0;
        r->wait_ms = r->wait_ms ? 2 * r->wait_ms : LOOK_MS;
        r->wait_ms = r->wait_ms > WAIT_MS ? WAIT_MS : r->wait_ms;
        r->not_before_us = sh_mono_us() + r->wait_ms * 1000;
    }
    r->stats.failed++;
    finish(r, o);
}

/* Not the files' fault. */
static void fail(struct sh_reload *r, const char *file, const char *msg)
{
    fail_with(r, sh_reload_fault(file, 0, msg), false);
}

static void start_task(struct sh_reload *r, void (*work)(void *arg), void (*done)(void *arg))
{
    struct sh_error err;
    r->task = sh_task_start(r->config.crew.base, work, done, r, &err);
    if (!r->task)
        fail(r, "", err.msg);
}

/* --- the steps ------------------------------------------------------------------------------- */

/* On the store's word: the candidate is kept, and live from here on. */
static void on_kept(struct sh_op *op)
{
    struct sh_reload *r = op->arg;
    if (r->stopped)
        return;
    if (!op->ok) {
        fail(r, "store", op->err.msg);
        return;
    }
    cJSON *o = outcome_new(r, true, true);
    struct sh_generation *g = r->candidate;
    struct sh_crew *crew = r->crew;
    r->stats.live++;
    r->failed[0] = '\0';
    r->wait_ms = 0;
    log_outcome(r, o);
    cJSON_Delete(r->last);
    r->last = o;
    cJSON_Delete(r->rules);
    r->rules = cJSON_Duplicate(sh_json_member(r->report, "rules"), true);
    r->config.swap(r->config.arg, g, crew, r->report);
    r->config.live = g;
    snprintf(r->live, sizeof(r->live), "%s", g->id);
    r->candidate = NULL;
    r->crew = NULL;
    finish(r, NULL);
}

static void keep(struct sh_reload *r)
{
    r->step = KEEPING;
    r->keep = (struct sh_op_generation){.op = {.kind = SH_OP_GENERATION, .done = on_kept, .arg = r},
                                        .generation = r->candidate,
                                        .cause = cause_name(r->cause)};
    sh_store_submit(r->config.crew.store, &r->keep.op);
}

static void check_work(void *arg)
{
    struct sh_reload *r = arg;
    if (r->config.config->reload_specs)
        r->spec_fault = sh_reload_specs(r->config.config, r->candidate->id);
    if (!r->spec_fault)
        sh_reload_orphans(r->config.config, r->report, r->orphans);
}

static void on_checked(void *arg)
{
    struct sh_reload *r = arg;
    sh_task_free(r->task);
    r->task = NULL;
    cJSON *fault = r->spec_fault;
    r->spec_fault = NULL;
    if (fault)
        fail_with(r, fault, true);
    else
        keep(r);
}

static void check(struct sh_reload *r)
{
    r->step = CHECKING;
    r->orphans = cJSON_CreateArray();
    start_task(r, check_work, on_checked);
}

static void on_loaded(void *arg, const cJSON *report)
{
    struct sh_reload *r = arg;
    r->report = report ? cJSON_Duplicate(report, true) : NULL;
    r->loaded = true;
    r->crowd_until_us = sh_mono_us() + CROWD_MS * 1000;
    sh_timer_set(r->move, 0); /* we are inside the crew */
}

static void on_up(void *arg)
{
    sh_timer_set(((struct sh_reload *)arg)->move, 0);
}

static void go_on_loading(struct sh_reload *r)
{
    if (!r->loaded)
        return;
    if (!r->report) {
        fail(r, "", "rule workers end while they load these rules (the log says how)");
    } else if (!cJSON_IsTrue(sh_json_member(r->report, "ok"))) {
        fail_with(r, NULL, true);
    } else if (sh_crew_ready(r->crew) >= r->config.crew.workers ||
               (sh_crew_ready(r->crew) > 0 && sh_mono_us() >= r->crowd_until_us)) {
        check(r);
    } else if (sh_mono_us() >= r->crowd_until_us + GIVE_UP_MS * 1000) {
        fail(r, "", "rule workers end again and again with these rules (the log says how)");
    } else {
        sh_timer_set(r->move, ROOM_MS);
    }
}

static void load(struct sh_reload *r)
{
    if (r->config.room && !r->config.room(r->config.arg)) {
        r->step = WAITING;
        sh_timer_set(r->move, ROOM_MS);
        return;
    }
    r->step = LOADING;
    struct sh_crew_config crew = r->config.crew;
    crew.generation = r->candidate;
    crew.loaded = on_loaded;
    crew.up = on_up;
    crew.load_arg = r;
    crew.one_by_one = true; /* the live crew and ingress need the processors too */
    r->crew = sh_crew_new(&crew);
}

static void on_move(void *arg)
{
    struct sh_reload *r = arg;
    if (r->stopped)
        return;
    if (r->step == WAITING)
        load(r);
    else if (r->step == LOADING)
        go_on_loading(r);
}

static void read_work(void *arg)
{
    struct sh_reload *r = arg;
    r->stamp_read = sh_reload_stamp(r->config.config);
    r->candidate = sh_reload_read(r->config.config, r->watcher, &r->err);
}

static void on_read(void *arg)
{
    struct sh_reload *r = arg;
    sh_task_free(r->task);
    r->task = NULL;
    r->stamp = r->stamp_read;
    if (!r->candidate) {
        fail(r, "", r->err.msg);
    } else if (strcmp(r->candidate->id, r->live) == 0) {
        bool news = r->cause != SH_RELOAD_FILES || r->failed[0] ||
                    (r->last && !cJSON_IsTrue(sh_json_member(r->last, "ok")));
        r->failed[0] = '\0';
        finish(r, news ? outcome_new(r, true, false) : NULL);
    } else if (r->cause == SH_RELOAD_FILES && strcmp(r->candidate->id, r->failed) == 0 &&
               (!r->config.config->reload_specs || r->stamp == r->failed_stamp)) {
        finish(r, NULL); /* it was tried, and nothing that matters has changed */
    } else {
        load(r);
    }
}

static void begin(struct sh_reload *r, enum sh_reload_cause cause)
{
    r->cause = cause;
    r->step = READING;
    r->started_us = sh_mono_us();
    r->started_ms = sh_now_ms();
    start_task(r, read_work, on_read);
}

/* --- asking ---------------------------------------------------------------------------------- */

static void add_asker(struct asker **list, void (*done)(void *arg, const cJSON *outcome), void *arg)
{
    if (!done)
        return;
    struct asker *a = sh_alloc(1, sizeof(*a));
    *a = (struct asker){done, arg, *list};
    *list = a;
}

/* Those who asked hear that nothing comes of it. */
static void turn_away(struct sh_reload *r)
{
    struct asker *now = r->askers, *later = r->next_askers;
    cJSON *o = outcome_new(r, false, false);
    cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(o, "errors"),
                         sh_reload_fault("", 0, "the engine is stopping"));
    r->askers = r->next_askers = NULL;
    answer(now, o);
    answer(later, o);
    cJSON_Delete(o);
}

void sh_reload_ask(struct sh_reload *r, enum sh_reload_cause cause,
                   void (*done)(void *arg, const cJSON *outcome), void *arg)
{
    if (r->stopped) {
        add_asker(&r->askers, done, arg);
        turn_away(r);
        return;
    }
    if (r->step == AT_REST) {
        add_asker(&r->askers, done, arg);
        begin(r, cause);
        return;
    }
    /* What is under way may have read the folders before the change that is meant. */
    if (!r->again || cause != SH_RELOAD_FILES)
        r->again_cause = cause;
    r->again = true;
    add_asker(&r->next_askers, done, arg);
}

static void on_change(void *arg)
{
    sh_reload_ask(arg, SH_RELOAD_FILES, NULL, NULL);
}

static void glance_work(void *arg)
{
    struct sh_reload *r = arg;
    r->stamp_glance = sh_reload_stamp(r->config.config);
}

static void on_glance(void *arg)
{
    struct sh_reload *r = arg;
    sh_task_free(r->glance);
    r->glance = NULL;
    if (r->step == AT_REST && r->stamp_glance != r->stamp &&
        (r->stamp != 0 || sh_mono_us() >= r->not_before_us))
        on_change(r);
}

static void on_look(void *arg)
{
    struct sh_reload *r = arg;
    sh_timer_set(r->look, LOOK_MS);
    struct sh_error err; /* no descriptor left, say: another time */
    if (r->step == AT_REST && !r->glance)
        r->glance = sh_task_start(r->config.crew.base, glance_work, on_glance, r, &err);
}

/* --- life ------------------------------------------------------------------------------------ */

static void start_watching(struct sh_reload *r)
{
    const struct sh_config *c = r->config.config;
    const char *const dirs[] = {c->rules, c->scripts, c->reload_specs ? r->specs : NULL, NULL};
    struct sh_error err;
    r->watcher =
        sh_watcher_new(r->config.crew.base, dirs, ".lua", QUIET_MS, MOST_MS, on_change, r, &err);
    if (!r->watcher)
        sh_warn("changes of rule files will be seen a few seconds late", "error", err.msg);
    sh_timer_set(r->look, LOOK_MS);
    sh_reload_ask(r, SH_RELOAD_FILES, NULL, NULL); /* what changed since the start has read them */
}

struct sh_reload *sh_reload_new(const struct sh_reload_config *config)
{
    struct sh_reload *r = sh_alloc(1, sizeof(*r));
    r->config = *config;
    snprintf(r->live, sizeof(r->live), "%s", config->live->id);
    r->rules = cJSON_Duplicate(config->rules, true);
    r->look = sh_timer_new(config->crew.base, on_look, r);
    r->move = sh_timer_new(config->crew.base, on_move, r);
    r->specs = sh_reload_specs_dir(config->config);
    if (config->config->reload_watch)
        start_watching(r);
    return r;
}

const cJSON *sh_reload_last(const struct sh_reload *r)
{
    return r->last;
}

void sh_reload_stats(const struct sh_reload *r, struct sh_reload_stats *out)
{
    *out = r->stats;
    out->busy = r->step != AT_REST;
    out->watching = r->watcher != NULL;
}

void sh_reload_stop(struct sh_reload *r)
{
    if (!r || r->stopped)
        return;
    r->stopped = true;
    sh_task_free(r->glance);
    sh_task_free(r->task); /* first: its thread writes what an outcome is made of */
    r->glance = r->task = NULL;
    turn_away(r);
    r->step = AT_REST;
    sh_crew_free(r->crew, 0);
    r->crew = NULL;
    sh_watcher_free(r->watcher);
    r->watcher = NULL;
    sh_timer_cancel(r->look);
    sh_timer_cancel(r->move);
}

void sh_reload_free(struct sh_reload *r)
{
    if (!r)
        return;
    sh_reload_stop(r);
    clear_round(r);
    sh_timer_free(r->look);
    sh_timer_free(r->move);
    cJSON_Delete(r->last);
    cJSON_Delete(r->rules);
    free(r->specs);
    free(r);
}
