/* SPDX-License-Identifier: MIT
 * guard.c: watches the pulse of a rule host in the same process. */
#include "app/guard.h"

#include "base/clock.h"
#include "core/fault.h"
#include "svc/json.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LOOK_EVERY_MS 20L

struct sh_guard {
    struct sh_pulse pulse;
    _Atomic int64_t busy_since_us; /* 0: no Lua runs */
    int64_t wall_ms;
    pthread_t thread;
    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t stop_asked;
    bool stop;
    const cJSON *rules, *normalisers;  /* borrowed */
    const struct sh_generation *files; /* borrowed, while it loads */
};

static _Noreturn void give_up(struct sh_guard *g)
{
    int64_t line = 0;
    uint32_t index = atomic_load(&g->pulse.rule), loading = atomic_load(&g->pulse.file);
    pthread_mutex_lock(&g->lock);
    const int n_rules = cJSON_GetArraySize(g->rules);
    const cJSON *rule = g->rules ? cJSON_GetArrayItem(g->rules, (int)index) : NULL;
    if (!rule && g->normalisers && index >= (uint32_t)n_rules)
        rule = cJSON_GetArrayItem(g->normalisers, (int)index - n_rules);
    const char *name = sh_json_string(rule, "name"), *file = sh_json_string(rule, "file");
    (void)!sh_json_get_int(sh_json_member(rule, "line"), &line);
    if (!rule && g->files && loading > 0 && loading <= g->files->n_files) {
        file = g->files->files[loading - 1].name;
        line = 1; /* a file that hangs while it loads cannot say where */
    }
    char *place = file ? sh_strf("%s:%" PRId64 ": ", file, line) : sh_strdup("");
    char *why = sh_strf("%swall budget of %" PRId64
                        " ms exceeded inside a function that cannot be interrupted, such as a "
                        "pattern match%s",
                        place, g->wall_ms, rule ? "" : ", while the file was loaded");
    char *told = sh_fault_text(sh_slice_str(name), sh_slice_str(why));
    fflush(stdout);
    fprintf(stderr, "%s\n", told);
    _exit(1);
}

static bool stuck(struct sh_guard *g)
{
    int64_t since = atomic_load(&g->busy_since_us);
    if (since == 0)
        return false;
    /* Between two stretches the last one's begin still tells that things move. */
    int64_t stretch = atomic_load(&g->pulse.since_us);
    return sh_mono_us() - (stretch > since ? stretch : since) > 2 * g->wall_ms * 1000;
}

static void *watch(void *arg)
{
    struct sh_guard *g = arg;
    pthread_mutex_lock(&g->lock);
    while (!g->stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK_EVERY_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&g->stop_asked, &g->lock, &until);
        pthread_mutex_unlock(&g->lock);
        if (stuck(g))
            give_up(g);
        pthread_mutex_lock(&g->lock);
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

/* The thread must not take the signals of the CPU budget, which belong to the thread that runs
 * Lua. */
static void start(struct sh_guard *g)
{
    sigset_t all, was;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);
    sh_require(pthread_create(&g->thread, NULL, watch, g) == 0);
    pthread_sigmask(SIG_SETMASK, &was, NULL);
}

struct sh_guard *sh_guard_new(int64_t wall_ms, const struct sh_generation *files)
{
    struct sh_guard *g = sh_alloc(1, sizeof(*g));
    pthread_condattr_t attr;
    g->wall_ms = wall_ms;
    g->files = files;
    pthread_mutex_init(&g->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&g->stop_asked, &attr);
    pthread_condattr_destroy(&attr);
    start(g);
    return g;
}

void sh_guard_free(struct sh_guard *g)
{
    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    g->stop = true;
    pthread_cond_signal(&g->stop_asked);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->thread, NULL);
    pthread_cond_destroy(&g->stop_asked);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

struct sh_pulse *sh_guard_pulse(struct sh_guard *g)
{
    return &g->pulse;
}

void sh_guard_set_rules(struct sh_guard *g, const cJSON *report)
{
    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    g->rules = sh_json_member(report, "rules");
    g->normalisers = sh_json_member(report, "normalisers");
    g->files = NULL;
    pthread_mutex_unlock(&g->lock);
}

void sh_guard_enter(struct sh_guard *g)
{
    if (g)
        atomic_store(&g->busy_since_us, sh_mono_us());
}

void sh_guard_leave(struct sh_guard *g)
{
    if (g)
        atomic_store(&g->busy_since_us, 0);
}
