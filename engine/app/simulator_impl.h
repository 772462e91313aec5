/* SPDX-License-Identifier: MIT
 * simulator_impl.h: what the simulator's files share. Nothing else includes it. */
#ifndef SH_APP_SIMULATOR_IMPL_H
#define SH_APP_SIMULATOR_IMPL_H

#include "app/guard.h"
#include "app/simulator.h"
#include "core/store.h"
#include "lua/host.h"

struct sh_simulator {
    struct sh_store_config store_config; /* of each store, one after the other */
    char *zone;                          /* of it; owned */
    struct sh_store *store;
    struct sh_host *host;
    struct sh_guard *guard;
    cJSON *report; /* owned copy */
    char generation[SH_GENERATION_TEXT];
    int64_t now_ms;
    int64_t *retry_ms;
    size_t n_retry;
    const cJSON *replies;
    struct sh_event **queue; /* stored, not yet run; owned */
    size_t n_queue, cap_queue;
    cJSON *collections; /* names that runs wrote to: members of an object */
    uint64_t last_token;
    /* the job that runs now */
    const struct sh_event *event;
    uint32_t attempt;
    bool first; /* not a retry */
    bool whole; /* a retry of every rule: SH_RULE_ALL */
    bool finished;
    cJSON *runs;            /* entries being filled */
    struct sh_slice *again; /* rules in conflict: names owned */
    size_t n_again;
};

/* An operation of the store, carried out at once. */
void sh_sim_carry_out(struct sh_simulator *s, struct sh_op *op);
/* An event that is stored waits for its turn; it becomes the simulator's. */
void sh_sim_enqueue(struct sh_simulator *s, struct sh_event *e);
/* Everything that waits, what it emits, and what is due at once, in order. */
void sh_sim_run(struct sh_simulator *s, cJSON *results);

#endif
