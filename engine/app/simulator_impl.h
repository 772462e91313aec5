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
    struct sh_slice rule;                /* this one alone; owned; empty: every rule */
    struct sh_store *store;
    struct sh_host *host;
    struct sh_guard *guard; /* NULL: somebody else watches the pulse */
    cJSON *report;          /* owned copy */
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
    bool look;  /* `when` is asked, nothing else */
    bool finished;
    cJSON *runs;            /* entries being filled */
    struct sh_slice *again; /* rules in conflict: names owned */
    size_t n_again;
};

/* Of the rule host (host.h). */
void sh_sim_on_read(void *arg, uint64_t read_id, const struct sh_read_request *q);
void sh_sim_on_finished(void *arg, const struct sh_result *r);
/* Have the rules (only == NULL: all that there are) run on the event that is set. */
void sh_sim_give(struct sh_simulator *s, const struct sh_slice *only, size_t n_only);
void sh_sim_clear_again(struct sh_simulator *s);
/* on_finished of a look. */
void sh_sim_looked(struct sh_simulator *s, const struct sh_result *r);

/* An operation of the store, carried out at once. */
void sh_sim_carry_out(struct sh_simulator *s, struct sh_op *op);
/* An event that is stored waits for its turn; it becomes the simulator's. */
void sh_sim_enqueue(struct sh_simulator *s, struct sh_event *e);
/* Everything that waits, what it emits, and what is due at once, in order. */
void sh_sim_run(struct sh_simulator *s, cJSON *results);

#endif
