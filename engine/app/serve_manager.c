/* SPDX-License-Identifier: MIT
 * serve_manager.c: what the live engine tells its service manager. */
#include "app/serve_impl.h"
#include "base/log.h"

#include <stdio.h>

#define MAX_TEXT 256

/* A sign of life twice in the time allowed. The loop lives, since it is here; the store's writer
 * does not when it has had one batch in hand for so long: a disk that takes nothing any more looks
 * like that, and only a start can mend it. */
static void on_alive(void *arg)
{
    struct server *s = arg;
    const int64_t half_ms = s->service->watchdog_ms / 2;
    const int64_t busy_ms = sh_store_busy_ms(s->store);
    sh_timer_set(s->alive, half_ms);
    if (busy_ms <= half_ms)
        sh_service_notify(s->service, "WATCHDOG=1");
    else
        sh_warn("the store has been at one commit for long: no sign of life to the service manager",
                "ms", SH_NUM(busy_ms));
}

static void say(const struct server *s, const char *first)
{
    char text[MAX_TEXT];
    const int rules = cJSON_GetArraySize(sh_live_rules(s->rules));
    const char *generation = sh_live_generation(s->rules)->id;
    snprintf(text, sizeof(text), "%sSTATUS=%d rule%s live, generation %.40s", first, rules,
             rules == 1 ? "" : "s", generation);
    sh_service_notify(s->service, text);
}

void sh_serve_say_ready(struct server *s)
{
    say(s, "READY=1\n");
    if (!s->service->watchdog_ms || s->alive)
        return;
    s->alive = sh_timer_new(s->base, on_alive, s);
    on_alive(s);
}

void sh_serve_say_rules(const struct server *s)
{
    say(s, "");
}

void sh_serve_say_reloading(struct server *s)
{
    s->reloads_asked++;
    sh_service_notify_reloading(s->service);
}

void sh_serve_say_reloaded(void *arg, const cJSON *outcome)
{
    struct server *s = arg;
    (void)outcome;
    if (--s->reloads_asked == 0 && !s->stopping)
        say(s, "READY=1\n");
}

void sh_serve_say_stopping(struct server *s)
{
    if (s->alive)
        sh_timer_cancel(s->alive);
    sh_service_notify(s->service, "STOPPING=1\nSTATUS=stopping");
}
