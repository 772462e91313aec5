/* SPDX-License-Identifier: MIT
 * serve_parts.c: dispatcher, outbox and timekeeper of the live engine, and what they tell each
 * other. */
#include "app/serve_impl.h"
#include "base/clock.h"
#include "svc/json.h"

#include <string.h>

#define TIMERS_HOLD 2000 /* events that wait for their rules: then timers come slowly */

static bool give(void *arg, const struct sh_job *job)
{
    return sh_live_give(((struct server *)arg)->rules, job);
}

static void on_queued(void *arg)
{
    sh_outbox_poke(((struct server *)arg)->outbox);
}

static void on_timed(void *arg)
{
    sh_timekeeper_poke(((struct server *)arg)->timekeeper);
}

void sh_serve_on_event(void *arg, struct sh_event *event)
{
    struct server *s = arg;
    sh_dispatch_add(s->dispatch, event);
    sh_dispatch_pump(s->dispatch);
}

static void on_fired(void *arg, struct sh_event **events, size_t n)
{
    struct server *s = arg;
    for (size_t i = 0; i < n; i++)
        sh_dispatch_add(s->dispatch, events[i]);
    sh_dispatch_pump(s->dispatch);
}

static int64_t backlog(void *arg)
{
    struct sh_dispatch_stats stats;
    sh_dispatch_stats(((struct server *)arg)->dispatch, &stats);
    return stats.unfinished;
}

void sh_serve_start_dispatch(struct server *s)
{
    const struct sh_dispatch_config config = {
        .store = s->store,
        .generation = sh_live_generation(s->rules)->id,
        .retry_ms = s->config->retry_ms,
        .n_retry = s->config->n_retry,
        .memory_events = s->config->memory_events,
        .memory_bytes = s->config->memory_body_bytes,
        .meter = s->meter,
        .give = give,
        .queued = on_queued,
        .timed = on_timed,
        .fatal = sh_serve_fail,
        .arg = s,
    };
    s->dispatch = sh_dispatch_new(&config);
    sh_live_set_dispatch(s->rules, s->dispatch);
}

void sh_serve_start_outbox(struct server *s)
{
    size_t n;
    const struct sh_carrier *carriers = sh_outside_carriers(s->outside, &n);
    const struct sh_outbox_config config = {.carriers = carriers,
                                            .n_carriers = n,
                                            .emitted = sh_serve_on_event,
                                            .meter = s->meter,
                                            .arg = s};
    s->outbox = sh_outbox_new(s->base, s->store, &config);
}

void sh_serve_start_timekeeper(struct server *s)
{
    const int64_t limit = s->config->backlog / 2;
    const struct sh_timekeeper_config config = {
        .base = s->base,
        .store = s->store,
        .hold_above = limit < TIMERS_HOLD ? limit : TIMERS_HOLD,
        .stop_above = limit,
        .backlog = backlog,
        .emitted = on_fired,
        .queued = on_queued,
        .fatal = sh_serve_fail,
        .arg = s,
    };
    s->timekeeper = sh_timekeeper_new(&config);
    sh_timekeeper_set_newest(s->timekeeper, s->newest_ms);
    sh_timekeeper_start(s->timekeeper, sh_live_rules(s->rules), s->config->settings.zone);
}

static bool keep_time(void *arg, const cJSON *row)
{
    const char *at = sh_json_string(row, "received_at");
    return at && sh_time_parse(at, strlen(at), &((struct server *)arg)->newest_ms);
}

void sh_serve_find_newest(struct server *s)
{
    const struct sh_list_query query = {.what = SH_LIST_EVENTS, .limit = 1};
    struct sh_store_view *view = sh_store_view_open(s->config->data, NULL);
    if (view)
        (void)!sh_store_view_list(view, &query, keep_time, s, NULL);
    sh_store_view_close(view);
}
