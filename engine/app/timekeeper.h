/* SPDX-License-Identifier: MIT
 * timekeeper.h: sees to it that what is due happens: timers, clock rules, callbacks. On the loop.
 *
 * All of it lives in the store; nothing is in memory but when the next thing is due. The wall clock
 * decides what is due, so that nothing is early; the monotonic clock drives the waits. The store is
 * asked when something is due and at least once a second, since another process may have added
 * something and the wall clock may have been set: a step back delays, a step forward fires what it
 * jumped over once, late.
 *
 * What is due at once comes in slices of 200, one at a time, with at least one batch of others in
 * between and as long a rest as the slice took. While more than `hold_above` events wait for their
 * rules only one slice a second comes, and none while more than `stop_above` wait. */
#ifndef SH_APP_TIMEKEEPER_H
#define SH_APP_TIMEKEEPER_H

#include "core/store.h"

struct event_base;
struct sh_timekeeper;

struct sh_timekeeper_config {
    struct event_base *base;
    struct sh_store *store;
    int64_t hold_above, stop_above;
    int64_t (*backlog)(void *arg); /* events that wait for their rules */
    /* These are in the store now. The events move, the array does not. */
    void (*emitted)(void *arg, struct sh_event **events, size_t n);
    void (*queued)(void *arg);                            /* the outbox has new items */
    void (*fatal)(void *arg, const struct sh_error *err); /* the store can no longer be trusted */
    void *arg;
    int64_t (*wall_ms)(void); /* NULL: sh_now_ms() */
    int64_t (*mono_us)(void); /* NULL: sh_mono_us() */
};

struct sh_timekeeper *sh_timekeeper_new(const struct sh_timekeeper_config *config) SH_WARN_UNUSED;
/* These are the clock rules, from a load report (host.h: rules with "every", "zone"; zone NULL:
 * that one). They are told to the store; after that, things fire. Call once. */
void sh_timekeeper_start(struct sh_timekeeper *t, const cJSON *rules, const char *zone);
/* Another generation is live: these are its clock rules. Those that are the same keep their times.
 */
void sh_timekeeper_set_rules(struct sh_timekeeper *t, const cJSON *rules, const char *zone);
/* Something was set that may be due sooner than anything before. Cheap; call after each settle. */
void sh_timekeeper_poke(struct sh_timekeeper *t);
/* Fire nothing any more. */
void sh_timekeeper_stop(struct sh_timekeeper *t);
/* Is a question to the store under way? */
bool sh_timekeeper_busy(const struct sh_timekeeper *t);
size_t sh_timekeeper_clocks(const struct sh_timekeeper *t); /* clock rules */

/* May what is old be removed by its age now? Not for a day (of the monotonic clock) after the wall
 * clock has moved an hour or more against the monotonic one: a clock that is ten years ahead by
 * mistake must not empty the journal. newest_ms: when the newest stored event had come, before the
 * start, 0 = none: a day or more behind the clock at the start counts as such a jump, since the
 * engine cannot tell. A jump is logged once. */
bool sh_timekeeper_is_steady(struct sh_timekeeper *t);
void sh_timekeeper_set_newest(struct sh_timekeeper *t, int64_t newest_ms);

/* After the store is closed, or with nothing under way. NULL is a no-op. */
void sh_timekeeper_free(struct sh_timekeeper *t);

#endif
