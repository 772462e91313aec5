/* SPDX-License-Identifier: MIT
 * live.c: one crew after the other. */
#include "app/live.h"

#include "base/clock.h"
#include "base/log.h"
#include "svc/json.h"
#include "svc/loop.h"

#include <stdlib.h>
#include <string.h>

#define MAX_RETIRED 8   /* crews that finish; a reload waits when there are so many */
#define SWEEP_MS    100 /* between looks whether one is over */

struct sh_live {
    struct sh_live_config config;
    struct sh_dispatch *dispatch;
    struct sh_generation *generation;
    struct sh_crew *crew;
    cJSON *rules;
    int64_t since_ms, restarts;
    struct sh_reload *reload;
    struct sh_timer *sweep, *start_again;
    struct sh_generation *fallback; /* to start again with; owned until then */
    bool fell_back;
    struct {
        struct sh_crew *crew;
        struct sh_generation
            *generation; /* a worker that dies is not replaced, but still borrows */
    } retired[MAX_RETIRED];
    size_t n_retired;
};

/* The generation that the store had live last, if it is another than the one at hand. */
static struct sh_generation *live_before(const struct sh_live *l)
{
    struct sh_error err;
    struct sh_store_view *view = sh_store_view_open(l->config.config->data, &err);
    struct sh_generation *g = view ? sh_store_view_generation(view, "live", &err) : NULL;
    sh_store_view_close(view);
    if (!g && err.code != SH_ENOTFOUND)
        sh_err("the generation that was live before cannot be read", "error", err.msg);
    if (g && l->generation && strcmp(g->id, l->generation->id) == 0) {
        sh_generation_free(g);
        return NULL;
    }
    return g;
}

static void on_loaded(void *arg, const cJSON *report)
{
    struct sh_live *l = arg;
    const bool ok = report && cJSON_IsTrue(sh_json_member(report, "ok"));
    if (!ok && !l->fell_back && (l->fallback = live_before(l)) != NULL) {
        l->fell_back = true;
        l->config.fell_back(l->config.arg, l->fallback->id, report,
                            "rule workers end while they load the rules");
        sh_timer_set(l->start_again, 0); /* we are inside the crew */
        return;
    }
    if (ok)
        l->rules = cJSON_Duplicate(sh_json_member(report, "rules"), true);
    l->config.loaded(l->config.arg, report);
}

static void on_lookup(void *arg, uint64_t token, struct sh_slice call,
                      void (*answer)(void *answer_arg, struct sh_slice doc), void *answer_arg)
{
    const struct sh_live *l = arg;
    l->config.lookup(l->config.arg, token, call, answer, answer_arg);
}

/* A retired crew let the dispatcher go on: the live one got the jobs. */
static void on_pumped(void *arg)
{
    sh_live_flush(arg);
}

static struct sh_crew_config crew_config(struct sh_live *l)
{
    const struct sh_config *c = l->config.config;
    return (struct sh_crew_config){.base = l->config.base,
                                   .store = l->config.store,
                                   .generation = l->generation,
                                   .budgets = c->budgets,
                                   .settings = &c->settings,
                                   .lookup = on_lookup,
                                   .pumped = on_pumped,
                                   .workers = (size_t)c->workers,
                                   .loaded = on_loaded,
                                   .arg = l};
}

static void on_start_again(void *arg)
{
    struct sh_live *l = arg;
    sh_crew_free(l->crew, 0);
    sh_generation_free(l->generation);
    l->generation = l->fallback;
    l->fallback = NULL;
    const struct sh_crew_config crew = crew_config(l);
    l->crew = sh_crew_new(&crew);
}

/* --- retired crews -----------------------------------------------------------------------------
 */

static void on_sweep(void *arg)
{
    struct sh_live *l = arg;
    size_t kept = 0;
    for (size_t i = 0; i < l->n_retired; i++) {
        if (!sh_crew_is_over(l->retired[i].crew)) {
            l->retired[kept++] = l->retired[i];
            continue;
        }
        l->restarts += sh_crew_restarts(l->retired[i].crew);
        sh_crew_free(l->retired[i].crew, 0);
        sh_generation_free(l->retired[i].generation);
    }
    l->n_retired = kept;
    if (kept)
        sh_timer_set(l->sweep, SWEEP_MS);
}

static void retire(struct sh_live *l)
{
    sh_require(l->n_retired < MAX_RETIRED);
    l->retired[l->n_retired].crew = l->crew;
    l->retired[l->n_retired++].generation = l->generation;
    sh_crew_retire(l->crew);
    sh_timer_set(l->sweep, SWEEP_MS);
}

/* --- from one to the next ----------------------------------------------------------------------
 */

static bool has_room(void *arg)
{
    return ((struct sh_live *)arg)->n_retired < MAX_RETIRED;
}

static void on_swap(void *arg, struct sh_generation *g, struct sh_crew *crew, const cJSON *report)
{
    struct sh_live *l = arg;
    retire(l);
    l->crew = crew;
    l->generation = g;
    l->since_ms = sh_now_ms();
    cJSON_Delete(l->rules);
    l->rules = cJSON_Duplicate(sh_json_member(report, "rules"), true);
    sh_crew_set_dispatch(crew, l->dispatch);
    sh_dispatch_set_generation(l->dispatch, g->id);
    l->config.swapped(l->config.arg, l->rules);
    sh_dispatch_pump(l->dispatch);
    sh_live_flush(l);
}

void sh_live_open(struct sh_live *l)
{
    const struct sh_reload_config config = {.config = l->config.config,
                                            .crew = crew_config(l),
                                            .live = l->generation,
                                            .rules = l->rules,
                                            .tls = l->config.tls,
                                            .room = has_room,
                                            .swap = on_swap,
                                            .arg = l};
    l->reload = sh_reload_new(&config);
    if (l->fell_back && !l->config.config->reload_watch)
        sh_reload_ask(l->reload, SH_RELOAD_FILES, NULL, NULL); /* for the record: status shows it */
}

struct sh_reload *sh_live_reload(struct sh_live *l)
{
    return l->reload;
}

/* --- the rest ----------------------------------------------------------------------------------
 */

void sh_live_set_dispatch(struct sh_live *l, struct sh_dispatch *d)
{
    l->dispatch = d;
    sh_crew_set_dispatch(l->crew, d);
}

bool sh_live_give(struct sh_live *l, const struct sh_job *job)
{
    return sh_crew_give(l->crew, job);
}

void sh_live_flush(struct sh_live *l)
{
    sh_crew_flush(l->crew);
}

const struct sh_generation *sh_live_generation(const struct sh_live *l)
{
    return l->generation;
}

const cJSON *sh_live_rules(const struct sh_live *l)
{
    return l->rules;
}

int64_t sh_live_since_ms(const struct sh_live *l)
{
    return l->since_ms;
}

int64_t sh_live_restarts(const struct sh_live *l)
{
    int64_t n = l->restarts + sh_crew_restarts(l->crew);
    for (size_t i = 0; i < l->n_retired; i++)
        n += sh_crew_restarts(l->retired[i].crew);
    return n;
}

const struct sh_crew *sh_live_crew(const struct sh_live *l)
{
    return l->crew;
}

size_t sh_live_retired(const struct sh_live *l)
{
    return l->n_retired;
}

struct sh_live *sh_live_new(const struct sh_live_config *config, struct sh_error *err)
{
    const struct sh_config *c = config->config;
    struct sh_live *l = sh_alloc(1, sizeof(*l));
    l->config = *config;
    l->since_ms = sh_now_ms();
    l->generation = sh_generation_read(c->rules, c->scripts, err);
    if (!l->generation && (l->generation = live_before(l)) != NULL) {
        l->fell_back = true;
        config->fell_back(config->arg, l->generation->id, NULL, err->msg);
    }
    if (!l->generation) {
        free(l);
        return NULL;
    }
    l->sweep = sh_timer_new(config->base, on_sweep, l);
    l->start_again = sh_timer_new(config->base, on_start_again, l);
    const struct sh_crew_config crew = crew_config(l);
    l->crew = sh_crew_new(&crew);
    return l;
}

void sh_live_stop(struct sh_live *l, int wait_ms)
{
    if (!l)
        return;
    sh_reload_stop(l->reload);
    const int64_t until_us = sh_mono_us() + wait_ms * INT64_C(1000);
    sh_crew_free(l->crew, wait_ms);
    for (size_t i = 0; i < l->n_retired; i++) {
        const int64_t left_ms = (until_us - sh_mono_us()) / 1000;
        sh_crew_free(l->retired[i].crew, left_ms > 0 ? (int)left_ms : 0);
    }
    l->crew = NULL;
}

void sh_live_free(struct sh_live *l)
{
    if (!l)
        return;
    sh_reload_free(l->reload);
    for (size_t i = 0; i < l->n_retired; i++)
        sh_generation_free(l->retired[i].generation);
    sh_generation_free(l->generation);
    cJSON_Delete(l->rules);
    sh_generation_free(l->fallback);
    sh_timer_free(l->sweep);
    sh_timer_free(l->start_again);
    free(l);
}
