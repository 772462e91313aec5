/* SPDX-License-Identifier: MIT
 * simulator_look.c: what an event's rules say of it, without running them. */
#include "app/simulator_impl.h"
#include "app/simulator_json.h"

void sh_sim_looked(struct sh_simulator *s, const struct sh_result *r)
{
    s->finished = true;
    for (size_t i = 0; i < r->n_runs; i++) {
        const struct sh_run *run = &r->runs[i];
        cJSON *entry = sh_sim_entry(s->runs, s->report, run->rule);
        sh_sim_fill(entry, run, NULL);
        cJSON_DeleteItemFromObjectCaseSensitive(entry, "effects");
        cJSON_DeleteItemFromObjectCaseSensitive(entry, "attempt");
    }
}

cJSON *sh_simulator_look(struct sh_simulator *s, const struct sh_event *e)
{
    cJSON *runs = cJSON_CreateArray();
    s->event = e;
    s->attempt = 1;
    s->first = s->look = true;
    s->runs = runs;
    sh_sim_give(s, NULL, 0);
    s->event = NULL;
    s->runs = NULL;
    s->look = false;
    return runs;
}
