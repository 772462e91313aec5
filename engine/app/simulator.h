/* SPDX-License-Identifier: MIT
 * simulator.h: the live engine's core on a store in memory and a clock that stands still: the same
 * envelope, journal, rule host, settle and retries, nothing that leaves the machine. Behind `try`,
 * `test` and, later, `backtest`.
 *
 * Events are handled one at a time, in the order given; those that rules emit come after the one
 * that emitted them. One thread; a second one only watches that no rule is stuck inside a C
 * function (a pattern cannot be interrupted from within): then it prints which rule, and ends the
 * process with exit code 1. */
#ifndef SH_APP_SIMULATOR_H
#define SH_APP_SIMULATOR_H

#include "app/sent.h"
#include "core/generation.h"
#include "core/store.h"

#include <cjson/cJSON.h>

struct sh_simulator;

struct sh_simulator_config {
    const struct sh_generation *generation; /* borrowed for the call */
    struct sh_budgets budgets;
    int64_t start_ms;        /* where the clock stands: Unix milliseconds */
    const int64_t *retry_ms; /* copied: delays after each failed attempt, then a dead letter */
    size_t n_retry;
    const struct sh_settings *settings; /* borrowed, must outlive the simulator; NULL: UTC */
    const cJSON *replies;               /* to look-ups (sim_replies.h); likewise, or NULL */
    struct sh_cover *cover;             /* lines that run are counted; likewise, or NULL */
    bool callback_email;                /* as in the configuration */
    int64_t callback_missed_ms;
    const char *rule; /* copied: this rule alone; NULL: every one */
    /* Somebody else watches this page and ends the process when a rule is stuck (frame.h); no
     * thread is started. NULL: the simulator does it itself. */
    struct sh_pulse *pulse;
    /* Called when everything is there that takes files, timers or threads, before the first line of
     * a rule's file runs; false: no simulator. NULL: none. */
    bool (*lock)(void *arg, struct sh_error *err);
    void *lock_arg;
};

/* Load the rules. *report (owned by the caller, never NULL) is what sh_host_load() says. NULL: a
 * rule file does not load (err.code SH_EINVAL: read the report), or no store. */
struct sh_simulator *sh_simulator_new(const struct sh_simulator_config *config, cJSON **report,
                                      struct sh_error *err) SH_WARN_UNUSED;
void sh_simulator_free(struct sh_simulator *s); /* NULL is a no-op */

/* Post a body to a source and let everything happen that follows at once. The result is an array
 * (caller deletes), first this event, then the ones emitted on the way:
 *   {"event":{"id","source","type","key","at","cause"?},
 *    "runs":[{"rule","file","line","outcome","why","error","effects":[..],"logs":[..]}]}
 *   outcome: "done", "failed" (error says why; retry_at when it will be tried again), "dead",
 *   "skipped_on", "skipped_when" (why says it, with what the condition looked at). effects: as
 *   effect.h prints them, only of a run that is done. logs: {"level","text"}. when: of a rule whose
 *   condition was asked, as run.h says of `seen`.
 *   {"event":{..}, "duplicate":true}  the body was seen before; event is the first one
 *   {"refused":{"code","message","line"?,"column"?,"byte"?,"field"?}}  what ingress would answer
 * What is due without the clock being moved follows, as in the engine.
 * source must be one that the configuration knows; how it authenticates is not looked at.
 * max_bytes: limits.body. */
cJSON *sh_simulator_send(struct sh_simulator *s, const struct sh_source_config *source,
                         const struct sh_sent *sent, int64_t max_bytes) SH_WARN_UNUSED;

/* What each rule says of an event, without running it: an array (caller deletes) of
 *   {"rule","file","line","outcome","why","error","logs","when"}
 * as above; "done": it would run. The event is borrowed and nothing is stored; the clock is the
 * simulator's. */
cJSON *sh_simulator_look(struct sh_simulator *s, const struct sh_event *e) SH_WARN_UNUSED;

/* Move the clock and let everything happen that falls due on the way, each at its own time: timers,
 * clock rules, callbacks, retries. The result is as above, one entry an event or retried run. */
cJSON *sh_simulator_advance_ms(struct sh_simulator *s, int64_t ms) SH_WARN_UNUSED;
int64_t sh_simulator_now_ms(const struct sh_simulator *s);

/* An empty store and the clock somewhere else; the rules stay loaded (a run keeps nothing). Replies
 * stay too. False: no store. */
bool sh_simulator_reset(struct sh_simulator *s, int64_t start_ms,
                        struct sh_error *err) SH_WARN_UNUSED;
/* Other replies to look-ups from now on; borrowed, must outlive their use. NULL: none. */
void sh_simulator_set_replies(struct sh_simulator *s, const cJSON *replies);
/* The load's report. Borrowed. */
const cJSON *sh_simulator_report(const struct sh_simulator *s);

/* What became of a delivery: sent when status is below 300 and error NULL, else given up. */
struct sh_sim_delivery {
    int status;         /* HTTP status or SMTP reply */
    const char *answer; /* its body, or NULL */
    const char *error;
};
/* Deliver each queued item of the outbox whose address (URL, or the recipients as listed) fits
 * the pattern (* and ?); what follows happens. *n: how many there were. */
cJSON *sh_simulator_deliver(struct sh_simulator *s, const char *pattern,
                            const struct sh_sim_delivery *delivery, size_t *n) SH_WARN_UNUSED;

/* Rows as the command line lists them (docs/cli.md); outbox items with their payload. collection:
 * of records. Never NULL. */
cJSON *sh_simulator_list(struct sh_simulator *s, enum sh_list_what what,
                         const char *collection) SH_WARN_UNUSED;
/* What is in the store: {"records":{"calls":[{"id","doc"}]},"callbacks":[..],"outbox":[..],
 * "timers":[..]}; outbox items with their payload. */
cJSON *sh_simulator_world(struct sh_simulator *s) SH_WARN_UNUSED;

#endif
