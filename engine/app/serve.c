/* SPDX-License-Identifier: MIT
 * serve.c: the live engine on its loop. */
#include "app/serve.h"

#include "app/banner.h"
#include "app/console.h"
#include "app/options.h"
#include "app/rules.h"
#include "app/serve_impl.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/zone.h"
#include "svc/json.h"
#include "svc/last_end.h"
#include "svc/owner.h"
#include "svc/tls.h"

#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#define HEAP_STEP_BYTES (1024 * 1024)
#define TICK_MS         500
#define FATAL_MS        200  /* for the 503s to leave */
#define FATAL_END_MS    3000 /* for everything else to end */
#define PRUNE_MS        60000
#define PRUNE_BUSY_MS   50 /* between slices while there is more to remove */
#define PRUNE_ROWS      500
#define SWEEP_MS        (3600 * 1000) /* records have no order by age: looked through so often */

static void leave(struct server *s, int exit_code)
{
    s->exit_code = exit_code;
    sh_loop_stop(s->base);
}

/* --- the store can no longer be trusted ---------------------------------------------------- */

static void on_deadline(void *arg)
{
    sh_loop_stop(((struct server *)arg)->base);
}

void sh_serve_fail(void *arg, const struct sh_error *err)
{
    struct server *s = arg;
    if (s->exit_code == SH_EXIT_FATAL)
        return;
    s->exit_code = SH_EXIT_FATAL;
    sh_err("the store can no longer be trusted; ending so that a restart recovers", "error",
           err->msg);
    if (s->ingress) {
        sh_ingress_set_refusing(s->ingress, "the store has failed");
        sh_ingress_hold(s->ingress);
    }
    if (s->dispatch)
        sh_dispatch_stop(s->dispatch);
    if (s->timekeeper)
        sh_timekeeper_stop(s->timekeeper);
    sh_timer_set(s->deadline, FATAL_MS);
    sh_serve_end_within(s, FATAL_MS + FATAL_END_MS);
}

static void on_wake(void *arg)
{
    struct server *s = arg;
    struct sh_error err;
    sh_store_reap(s->store);
    if (s->rules)
        sh_live_flush(s->rules);
    if (sh_store_failed(s->store, &err))
        sh_serve_fail(s, &err);
}

/* --- ticking ------------------------------------------------------------------------------- */

static bool disk_is_low(const struct server *s, int64_t *free_bytes)
{
    struct statvfs fs;
    if (statvfs(s->config->data, &fs) != 0)
        return false;
    *free_bytes = (int64_t)(fs.f_bavail * fs.f_frsize);
    return *free_bytes < s->config->min_free_bytes;
}

/* Why new events are not taken now, or NULL. */
static const char *reason_to_refuse(const struct server *s)
{
    struct sh_dispatch_stats stats;
    int64_t free_bytes = 0;
    sh_dispatch_stats(s->dispatch, &stats);
    if (s->stopping)
        return "the engine is stopping";
    if (s->exit_code == SH_EXIT_FATAL)
        return "the store has failed";
    if (!s->known)
        return "the engine is starting";
    if (disk_is_low(s, &free_bytes))
        return "the disk is nearly full";
    return stats.unfinished >= s->config->backlog ? "too many events wait for their rules" : NULL;
}

static void on_tick(void *arg)
{
    struct server *s = arg;
    sh_timer_set(s->tick, TICK_MS);
    if (!s->live)
        return;
    sh_status_tick(s->status);
    sh_sampler_tick(s->sampler);
    sh_ingress_tick(s->ingress);
    sh_tls_tick(s->tls, sh_now_ms());
    const char *reason = reason_to_refuse(s);
    sh_ingress_set_refusing(s->ingress, reason);
    sh_dispatch_tick(s->dispatch, sh_now_ms());
    sh_live_flush(s->rules);
}

static void on_pruned(struct sh_op *op)
{
    struct server *s = op->arg;
    const struct sh_op_prune *p = &s->prune_op;
    s->prune_out = false;
    bool more = op->ok && p->removed >= PRUNE_ROWS;
    if (op->ok && p->sweep) {
        s->sweep_row = p->swept_to;
        s->sweeping = !p->swept;
        more = more || s->sweeping;
    }
    sh_timer_set(s->prune, more ? PRUNE_BUSY_MS : PRUNE_MS);
}

static void on_prune(void *arg)
{
    struct server *s = arg;
    const int64_t mono_ms = sh_mono_us() / 1000;
    if (s->prune_out || s->stopping)
        return;
    if (!sh_timekeeper_is_steady(s->timekeeper)) {
        sh_timer_set(s->prune, PRUNE_MS);
        return;
    }
    if (!s->sweeping && mono_ms >= s->sweep_at_ms) {
        s->sweeping = true;
        s->sweep_row = 0;
        s->sweep_at_ms = mono_ms + SWEEP_MS;
    }
    s->prune_op = (struct sh_op_prune){.op = {.kind = SH_OP_PRUNE, .done = on_pruned, .arg = s},
                                       .retain = &s->config->retain,
                                       .now_ms = sh_now_ms(),
                                       .limit = PRUNE_ROWS,
                                       .sweep = s->sweeping,
                                       .sweep_row = s->sweep_row};
    s->prune_out = true;
    sh_store_submit(s->store, &s->prune_op.op);
}

/* --- starting ------------------------------------------------------------------------------ */

static void on_other(void *arg, struct sh_http_request *req)
{
    struct server *s = arg;
    if (!sh_api_public(s->api, req) && !sh_control_metrics(s->control, req) &&
        !sh_console_request(req))
        sh_ingress_not_found(s->ingress, req);
}

static const char *refusing(void *arg)
{
    return reason_to_refuse(arg);
}

static bool steady(void *arg)
{
    return sh_timekeeper_is_steady(((struct server *)arg)->timekeeper);
}

/* Everybody gets an answer now, also from the API: say so, in one breath with /readyz. */
static void on_known(void *arg)
{
    struct server *s = arg;
    const struct sh_banner ready = {.config = s->config,
                                    .port = sh_ingress_port(s->ingress),
                                    .rules = (size_t)cJSON_GetArraySize(sh_live_rules(s->rules)),
                                    .generation = sh_live_generation(s->rules)->id,
                                    .unfinished = s->unfinished,
                                    .took_ms = (sh_mono_us() - s->started_us) / 1000};
    sh_banner_ready(&ready);
    s->known = true;
    sh_ingress_set_refusing(s->ingress, reason_to_refuse(s));
    sh_ingress_accept(s->ingress);
    sh_serve_say_ready(s);
    if (!s->libraries)
        s->libraries = sh_libraries_check_start();
}

static const cJSON *outdated(void *arg)
{
    return sh_libraries_found(((const struct server *)arg)->libraries);
}

static bool start_control(struct server *s, struct sh_error *err)
{
    const struct sh_status_config status = {.config = s->config,
                                            .store = s->store,
                                            .live = s->rules,
                                            .dispatch = s->dispatch,
                                            .ingress = s->ingress,
                                            .outbox = s->outbox,
                                            .meter = s->meter,
                                            .tls = s->tls,
                                            .refusing = refusing,
                                            .outdated = outdated,
                                            .steady = steady,
                                            .arg = s};
    s->status = sh_status_new(&status);
    s->sampler = sh_sampler_new(s->store, s->meter, s->dispatch);
    const struct sh_eraser_config eraser = {.base = s->base,
                                            .store = s->store,
                                            .outbox = s->outbox,
                                            .dir = s->config->data,
                                            .country = s->config->country};
    s->eraser = sh_eraser_new(&eraser);
    const struct sh_api_config api = {.base = s->base,
                                      .config = s->config,
                                      .store = s->store,
                                      .live = s->rules,
                                      .dispatch = s->dispatch,
                                      .outbox = s->outbox,
                                      .timekeeper = s->timekeeper,
                                      .sampler = s->sampler,
                                      .meter = s->meter,
                                      .status = s->status,
                                      .gate = sh_ingress_gate(s->ingress),
                                      .eraser = s->eraser,
                                      .known = on_known,
                                      .arg = s};
    s->api = sh_api_new(&api, err);
    if (!s->api)
        return false;
    const struct sh_control_config control = {
        .base = s->base, .dir = s->config->data, .api = s->api, .status = s->status};
    s->control = sh_control_new(&control, err);
    return s->control != NULL;
}

static void on_lookup(void *arg, uint64_t token, struct sh_slice call,
                      void (*answer)(void *answer_arg, struct sh_slice doc), void *answer_arg)
{
    const struct server *s = arg;
    sh_outside_lookup(s->outside, call, sh_dispatch_trace(s->dispatch, token), answer, answer_arg);
}

static void on_hangup(void *arg)
{
    struct server *s = arg;
    s->hung_up = !s->live; /* answered once there is something to reload */
    if (!s->live || s->stopping)
        return;
    sh_serve_say_reloading(s);
    sh_reload_ask(sh_live_reload(s->rules), SH_RELOAD_SIGNAL, sh_serve_say_reloaded, s);
}

/* The rules are loaded, the generation kept, the backlog counted: open the doors. */
static void go_live(struct server *s)
{
    struct sh_error err;
    if (s->live || s->stopping || !s->counted || !s->kept || !s->rules_ok)
        return;
    sh_meter_set_rules(s->meter, sh_live_rules(s->rules));
    sh_serve_start_dispatch(s);
    sh_serve_start_outbox(s);
    sh_serve_start_timekeeper(s);
    if (!start_control(s, &err)) {
        fprintf(stderr, "switchhook: %s\n", err.msg);
        leave(s, SH_EXIT_BAD);
        return;
    }
    s->feed = sh_feed_new(s->store, on_other, s);
    sh_ingress_set_other(s->ingress, sh_feed_request, s->feed);
    s->live = true;
    sh_ingress_set_refusing(s->ingress, reason_to_refuse(s));
    sh_dispatch_start(s->dispatch, s->unfinished);
    sh_outbox_poke(s->outbox);
    sh_timer_set(s->prune, PRUNE_MS);
    sh_banner_log(s->config, sh_timekeeper_clocks(s->timekeeper));
    sh_live_open(s->rules);
    if (s->hung_up)
        on_hangup(s);
}

static void print_faults(const struct server *s, const cJSON *report)
{
    sh_rules_print_faults(stderr, report, s->config->rules, s->config->scripts);
}

static void on_kept(struct sh_op *op)
{
    struct server *s = op->arg;
    if (!op->ok) {
        fprintf(stderr, "switchhook: cannot keep the rule set: %s\n", op->err.msg);
        leave(s, SH_EXIT_BAD);
        return;
    }
    s->kept = true;
    go_live(s);
}

static void on_loaded(void *arg, const cJSON *report)
{
    struct server *s = arg;
    print_faults(s, report);
    s->rules_ok = report && cJSON_IsTrue(sh_json_member(report, "ok"));
    if (!s->rules_ok) {
        if (!report)
            fprintf(stderr, "switchhook: rule workers end while they load the rules (see above)\n");
        fprintf(stderr, "switchhook: the rules did not load; nothing was started\n");
        sh_service_notify_failed(s->service, "the rules did not load: switchhook check");
        leave(s, SH_EXIT_BAD);
        return;
    }
    s->keep = (struct sh_op_generation){.op = {.kind = SH_OP_GENERATION, .done = on_kept, .arg = s},
                                        .generation = sh_live_generation(s->rules),
                                        .cause = "start"};
    sh_store_submit(s->store, &s->keep.op);
}

static void on_fell_back(void *arg, const char *id, const cJSON *report, const char *why)
{
    const struct server *s = arg;
    print_faults(s, report);
    if (!report)
        fprintf(stderr, "switchhook: %s\n", why);
    sh_err("the rules do not load: starting with the generation that was live before", "generation",
           id, "next",
           s->config->reload_watch ? "mend the files, they are taken up by themselves"
                                   : "mend the files, then: switchhook reload");
}

/* Another generation is live. */
static void on_swapped(void *arg, const cJSON *rules)
{
    struct server *s = arg;
    sh_meter_set_rules(s->meter, rules);
    sh_timekeeper_set_rules(s->timekeeper, rules, s->config->settings.zone);
    sh_serve_say_rules(s);
}

static void on_counted(struct sh_op *op)
{
    struct server *s = op->arg;
    if (!op->ok) {
        sh_serve_fail(s, &op->err);
        return;
    }
    s->counted = true;
    s->unfinished = s->count.unfinished;
    go_live(s);
}

static void start_loop(struct server *s)
{
    s->base = sh_loop_new();
    s->waker = sh_waker_new(s->base, on_wake, s);
    s->tick = sh_timer_new(s->base, on_tick, s);
    s->prune = sh_timer_new(s->base, on_prune, s);
    s->deadline = sh_timer_new(s->base, on_deadline, s);
    s->hangup = sh_signal_new(s->base, SIGHUP, on_hangup, s);
    sh_timer_set(s->tick, TICK_MS);
}

static bool open_store(struct server *s, struct sh_error *err)
{
    const struct sh_store_config config = {.dir = s->config->data,
                                           .threads = true,
                                           .wake = sh_waker_ring,
                                           .wake_arg = s->waker,
                                           .quarantine = s->config->quarantine,
                                           .callback_email = s->config->callback_email,
                                           .callback_missed_ms = s->config->callback_missed_ms,
                                           .zone = s->config->settings.zone};
    s->store = sh_store_open(&config, err);
    if (s->store) {
        static const char *const made[] = {
            "lock", "mail", "switchhook.db", "switchhook.db-wal", "switchhook.db-shm", NULL};
        sh_owner_give(s->config->data, made); /* started by root, by hand: the service comes next */
        sh_serve_find_newest(s);
        return true;
    }
    const struct sh_error why = *err;
    return why.code != SH_EFATAL ? false
                                 : sh_error_set(err, SH_EFATAL,
                                                "%s/switchhook.db is damaged; no start mends that, "
                                                "see docs/operations.md (A damaged database): %s",
                                                s->config->data, why.msg);
}

/* Before the rules are loaded, so that who asks learns that the engine is starting. */
static bool open_door(struct server *s, struct sh_error *err)
{
    s->ingress =
        sh_ingress_new(s->base, s->config, s->service, s->store, sh_serve_on_event, s, err);
    if (!s->ingress)
        return false;
    sh_ingress_set_tls(s->ingress, s->tls);
    sh_ingress_set_meter(s->ingress, s->meter);
    sh_ingress_set_refusing(s->ingress, "the engine is starting");
    return true;
}

static bool start(struct server *s, struct sh_error *err)
{
    sh_zones_load(NULL);
    if (s->config->tls.cert)
        s->tls = sh_tls_new(s->config->tls.cert, s->config->tls.key, err);
    if (s->config->tls.cert && !s->tls)
        return false;
    s->outside = sh_outside_new(s->base, s->config, err);
    if (!s->outside)
        return false;
    sh_service_begin_long(s->service); /* a migration, a check after an unclean end */
    const bool opened = open_store(s, err);
    sh_service_end_long(s->service);
    if (!opened || !open_door(s, err))
        return false;
    const struct sh_live_config rules = {.base = s->base,
                                         .config = s->config,
                                         .store = s->store,
                                         .tls = s->tls,
                                         .lookup = on_lookup,
                                         .loaded = on_loaded,
                                         .fell_back = on_fell_back,
                                         .swapped = on_swapped,
                                         .arg = s};
    s->rules = sh_live_new(&rules, err);
    if (!s->rules)
        return false;
    s->count = (struct sh_op_count){.op = {.kind = SH_OP_COUNT, .done = on_counted, .arg = s}};
    sh_store_submit(s->store, &s->count.op);
    return true;
}

/* As many connections, files and workers as the machine lets us have. */
static void use_all_descriptors(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0)
        return;
    l.rlim_cur = l.rlim_max;
    (void)!setrlimit(RLIMIT_NOFILE, &l);
}

int sh_serve(const struct sh_config *config, struct sh_service *service)
{
    struct server s = {
        .config = config, .service = service, .started_us = sh_mono_us(), .meter = sh_meter_new()};
    struct sh_error err;
    signal(SIGPIPE, SIG_IGN);
    use_all_descriptors();
    /* Give memory back in large steps: the store's thread would otherwise grow and shrink its heap
     * with system calls several times a batch. */
    mallopt(M_TOP_PAD, HEAP_STEP_BYTES);
    mallopt(M_TRIM_THRESHOLD, 4 * HEAP_STEP_BYTES);
    sh_last_end_on_signals(0); /* the start may take long, and has nothing to lose */
    start_loop(&s);
    if (start(&s, &err)) {
        sh_serve_await_stop(&s);
        sh_loop_run(s.base);
    } else {
        fprintf(stderr, "switchhook: %s\n", err.msg);
        sh_service_notify_failed(service, err.msg);
        s.exit_code = err.code == SH_EFATAL ? SH_EXIT_FATAL : SH_EXIT_BAD;
    }
    return sh_serve_finish(&s);
}
