/* SPDX-License-Identifier: MIT
 * simulator_life.c: a simulator made, emptied, freed. */
#include "app/simulator_impl.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

/* The clock rules of the report get their times, counted from where the clock stands. */
static bool set_clocks(struct sh_simulator *s, struct sh_error *err)
{
    const cJSON *rules = sh_json_member(s->report, "rules"), *rule;
    struct sh_clock *clocks = sh_alloc((size_t)cJSON_GetArraySize(rules), sizeof(*clocks));
    struct sh_op_clocks op = {.op.kind = SH_OP_CLOCKS, .clocks = clocks, .now_ms = s->now_ms};
    cJSON_ArrayForEach(rule, rules)
    {
        if (sh_json_string(rule, "every"))
            clocks[op.n_clocks++] =
                (struct sh_clock){sh_json_string(rule, "name"), sh_json_string(rule, "every"),
                                  sh_json_string(rule, "zone")};
    }
    sh_sim_carry_out(s, &op.op);
    free(clocks);
    if (!op.op.ok)
        *err = op.op.err;
    return op.op.ok;
}

static bool load(struct sh_simulator *s, const struct sh_generation *g, cJSON **report,
                 struct sh_error *err)
{
    sh_guard_enter(s->guard);
    bool ok = sh_host_load(s->host, g, report);
    sh_guard_leave(s->guard);
    if (!ok)
        return sh_error_set(err, SH_EINVAL, "the rules do not load");
    s->report = cJSON_Duplicate(*report, true);
    sh_guard_set_rules(s->guard, s->report);
    return true;
}

struct sh_simulator *sh_simulator_new(const struct sh_simulator_config *config, cJSON **report,
                                      struct sh_error *err)
{
    struct sh_simulator *s = sh_alloc(1, sizeof(*s));
    s->zone = sh_strdup(config->settings ? config->settings->zone : NULL);
    s->store_config = (struct sh_store_config){
        .callback_email = config->callback_email,
        .callback_missed_ms = config->callback_missed_ms,
        .zone = s->zone,
    };
    *report = NULL;
    s->now_ms = config->start_ms;
    s->n_retry = config->n_retry;
    s->replies = config->replies;
    s->retry_ms = sh_alloc(config->n_retry + 1, sizeof(*s->retry_ms));
    for (size_t i = 0; i < config->n_retry; i++)
        s->retry_ms[i] = config->retry_ms[i];
    memcpy(s->generation, config->generation->id, sizeof(s->generation));
    s->collections = cJSON_CreateObject();
    s->rule = sh_slice(sh_strdup(config->rule), config->rule ? strlen(config->rule) : 0);
    if (!config->pulse)
        s->guard = sh_guard_new(config->budgets.wall_ms, config->generation);
    const struct sh_host_calls calls = {.arg = s,
                                        .settings = config->settings,
                                        .read = sh_sim_on_read,
                                        .finished = sh_sim_on_finished,
                                        .pulse = config->pulse ? config->pulse
                                                               : sh_guard_pulse(s->guard),
                                        .cover = config->cover};
    s->host = sh_host_new(&config->budgets, &calls);
    s->store = sh_store_open(&s->store_config, err);
    bool ok = s->store && (!config->lock || config->lock(config->lock_arg, err)) &&
              load(s, config->generation, report, err) && set_clocks(s, err);
    if (!*report)
        *report = cJSON_CreateObject();
    if (ok)
        return s;
    sh_simulator_free(s);
    return NULL;
}

bool sh_simulator_reset(struct sh_simulator *s, int64_t start_ms, struct sh_error *err)
{
    cJSON_Delete(s->collections);
    s->collections = cJSON_CreateObject();
    s->now_ms = start_ms;
    return sh_store_clear(s->store, err) && set_clocks(s, err);
}

void sh_simulator_set_replies(struct sh_simulator *s, const cJSON *replies)
{
    s->replies = replies;
}

const cJSON *sh_simulator_report(const struct sh_simulator *s)
{
    return s->report;
}

void sh_simulator_free(struct sh_simulator *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_queue; i++)
        sh_event_free(s->queue[i]);
    free(s->queue);
    sh_sim_clear_again(s);
    sh_host_free(s->host);
    sh_guard_free(s->guard);
    sh_store_close(s->store);
    free(s->zone);
    free((char *)(uintptr_t)s->rule.p);
    cJSON_Delete(s->report);
    cJSON_Delete(s->collections);
    free(s->retry_ms);
    free(s);
}
