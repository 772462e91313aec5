/* SPDX-License-Identifier: MIT
 * dispatch.h: from stored to settled. Decides which event runs next, in order per key.
 *
 * Each (source, key) has a lane: its events are given out one at a time, in arrival order, and the
 * next one waits until the settle of the one before is on disk, so that it sees its records. Lanes
 * run in parallel. A failed run leaves its lane and comes back by itself when its retry is due; a
 * run whose reads had changed is run again at once, and after SH_DISPATCH_CONFLICTS times alone,
 * with nothing beside it, so that it always gets through.
 *
 * A rule that is paused (store.h) gets nothing: its events are kept in the store, and go again, in
 * their order, when it is resumed; other rules run on. See dispatch_hold.c.
 *
 * Memory is bounded: past memory_events or memory_bytes newly stored events stay in the journal
 * only, and are read back in order when there is room. At start everything unfinished comes in by
 * the same way. On the loop thread only; no clock, no process and no libevent in here. */
#ifndef SH_CORE_DISPATCH_H
#define SH_CORE_DISPATCH_H

#include "core/meter.h"
#include "core/store.h"

#define SH_DISPATCH_CONFLICTS 10 /* re-runs for a changed read before a run gets its turn alone */
#define SH_DISPATCH_DOUBTS    3  /* workers that died with an event before it gets its turn alone */
#define SH_DISPATCH_LOSSES    5 /* of those and the ones that died when it was alone: dead letter */

struct sh_dispatch;

struct sh_dispatch_config {
    struct sh_store *store;
    const char *generation;  /* id text of the live generation; copied */
    const int64_t *retry_ms; /* borrowed: delay after each failed attempt; then a dead letter */
    size_t n_retry;
    int64_t memory_events, memory_bytes;
    struct sh_meter *meter; /* borrowed; NULL: nothing is counted in it */
    /* Hand a job to a worker; false if all are full. job is borrowed for the call. */
    bool (*give)(void *arg, const struct sh_job *job);
    void (*queued)(void *arg); /* the outbox has new items */
    void (*timed)(void *arg);  /* something may fall due sooner than before; may be NULL */
    void (*fatal)(void *arg, const struct sh_error *err); /* the store can no longer be trusted */
    void *arg;
};

struct sh_dispatch_stats {
    int64_t unfinished;                         /* stored and not yet run: the backlog */
    int64_t in_memory, bytes_in_memory, active; /* active: given out or settling */
    int64_t settled, runs_done, runs_failed, runs_dead, conflicts, lost;
    int64_t runs_kept;  /* not run: their rule is paused */
    int64_t rules_held; /* now: paused, or being resumed */
};

struct sh_dispatch *sh_dispatch_new(const struct sh_dispatch_config *config) SH_WARN_UNUSED;
/* Bring back everything unfinished. unfinished: its count (SH_OP_COUNT). */
void sh_dispatch_start(struct sh_dispatch *d, int64_t unfinished);
/* Another generation is live: what is given out from now on runs under it. What is out already
 * ends, and is written down, under the one that it was given out under. */
void sh_dispatch_set_generation(struct sh_dispatch *d, const char *id);
/* A newly stored event; ownership moves here. */
void sh_dispatch_add(struct sh_dispatch *d, struct sh_event *event);
/* Give out what is ready while `give` takes it. Call after add, result, lost and when a worker
 * became free. */
void sh_dispatch_pump(struct sh_dispatch *d);
/* A worker's result. payload (owned, moves here) is what result's slices borrow from; the runs
 * array moves too. False: no such job is out (a late answer; all is freed). */
bool sh_dispatch_result(struct sh_dispatch *d, char *payload, struct sh_result *result);
/* The worker that had this job is gone. rule: the one that was running it then (it alone is
 * charged with a failed attempt, with `why` as the error), or NULL: the job is innocent. */
void sh_dispatch_lost(struct sh_dispatch *d, uint64_t token, const char *rule, const char *why);
/* This job waits at a worker that is held up, or ended by another job: it goes to another one,
 * uncharged; what the first may still answer is a late answer. */
void sh_dispatch_take_back(struct sh_dispatch *d, uint64_t token);
/* Look for due retries, read back from the journal, try refused settles again. Call about twice a
 * second. */
void sh_dispatch_tick(struct sh_dispatch *d, int64_t now_ms);
/* The trace (trace.h) of a job that is out, or NULL. Borrowed for the moment. */
const char *sh_dispatch_trace(const struct sh_dispatch *d, uint64_t token);
void sh_dispatch_stats(const struct sh_dispatch *d, struct sh_dispatch_stats *out);
/* Every rule that is paused or being resumed. */
void sh_dispatch_held(const struct sh_dispatch *d,
                      void (*fn)(void *arg, const char *rule, enum sh_rule_state state), void *arg);
/* Give nothing out any more; what is out may still settle. */
void sh_dispatch_stop(struct sh_dispatch *d);
/* Free everything. Operations still with the store must have been reaped or the store closed. */
void sh_dispatch_free(struct sh_dispatch *d);

#endif
