/* SPDX-License-Identifier: MIT
 * api_day.c: the callbacks of a day, by the clock of those who make them. */
#include "app/api_impl.h"

#include "base/clock.h"
#include "base/zone.h"
#include "core/callback_day.h"

#include <stdlib.h>

struct question {
    struct sh_day_query q;
    const struct sh_zone *zone;
};

static void answer_day(const struct sh_api_call *c, struct sh_store_view *v,
                       struct sh_api_answer *a)
{
    const struct question *q = c->data;
    char text[SH_TIME_TEXT];
    cJSON *tree = sh_store_view_day(v, &q->q, &a->err);
    if (tree) {
        cJSON_AddStringToObject(tree, "zone", sh_zone_name(q->zone));
        cJSON_AddStringToObject(tree, "now", sh_time_text(q->q.now_ms, text));
        cJSON_AddStringToObject(tree, "day_begins", sh_time_text(q->q.today_ms, text));
        cJSON_AddStringToObject(tree, "day_ends", sh_time_text(q->q.tomorrow_ms, text));
    }
    sh_api_answer_tree(a, tree);
}

/* NULL: answered and gone. */
static const struct sh_zone *read_zone(struct sh_api_call *c)
{
    const char *asked = sh_api_param(c, "zone");
    const char *name = asked ? asked : c->api->config.config->settings.zone;
    const struct sh_zone *zone = sh_zone_find(name ? name : "UTC");
    if (zone)
        return zone;
    const char *nearest = sh_zone_nearest(name);
    sh_api_fail_at(c, 400, "bad_parameter", "parameter", "zone",
                   "zone=%.100s: there is no such time zone%s%s%s", name,
                   nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    return NULL;
}

static void get_day(struct sh_api_call *c)
{
    const struct sh_zone *zone = read_zone(c);
    if (!zone)
        return;
    struct question *q = sh_alloc(1, sizeof(*q));
    const int64_t now_ms = sh_now_ms(), now_s = now_ms / 1000;
    *q = (struct question){.zone = zone,
                           .q = {.now_ms = now_ms,
                                 .today_ms = sh_zone_day(zone, now_s, 0) * 1000,
                                 .tomorrow_ms = sh_zone_day(zone, now_s, 1) * 1000,
                                 .after_ms = sh_zone_day(zone, now_s, 2) * 1000,
                                 .assignee = sh_api_param(c, "assignee")}};
    c->data = q;
    c->drop = free;
    sh_api_read(c, answer_day);
}

static const char *const day_params[] = {"assignee", "zone", NULL};
static const struct sh_api_route list[] = {
    {.method = SH_HTTP_GET,
     .pattern = "/api/v1/callbacks/day",
     .role = SH_ROLE_VIEWER,
     .params = day_params,
     .fn = get_day,
     .summary = "The callbacks of today, overdue ones first"},
};

const struct sh_api_routes sh_api_day_routes = {list, sizeof(list) / sizeof(*list)};
