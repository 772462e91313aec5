/* SPDX-License-Identifier: MIT
 * simulator_json.h: what the simulator did, as trees. Private to the simulator. */
#ifndef SH_APP_SIMULATOR_JSON_H
#define SH_APP_SIMULATOR_JSON_H

#include "core/envelope.h"
#include "core/run.h"
#include "svc/json.h"

/* {"id","source","type","key","at"} and, for an emitted event, "cause". at: the simulated time. */
cJSON *sh_sim_event(const struct sh_event *e);
/* {"refused":{"code","message",..}} */
cJSON *sh_sim_refused(const char *code, const char *message);
cJSON *sh_sim_bad_body(enum sh_body_format format, const struct sh_json_fault *fault);
cJSON *sh_sim_bad_envelope(const struct sh_envelope_fault *fault);

/* The entry of a rule in runs, added with its name, file and line (from the load's report) if it
 * is not there yet. Borrowed. */
cJSON *sh_sim_entry(cJSON *runs, const cJSON *report, struct sh_slice rule);
/* Outcome, why or error, effects and logs of a run. refused: the store would not have it. */
void sh_sim_fill(cJSON *entry, const struct sh_run *run, const char *refused);
/* Add the collections that a run's effects touch as members of an object. */
void sh_sim_collections(cJSON *names, const struct sh_run *run);
/* sh_list_fn: keeps a copy of the row in the array arg. */
bool sh_sim_keep_row(void *rows, const cJSON *row);

#endif
