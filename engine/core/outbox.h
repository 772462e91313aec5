/* SPDX-License-Identifier: MIT
 * outbox.h: delivers what the store has queued, with retries. On the loop thread.
 *
 * Items stand in lanes: one lane a target ("http:crm.example.org:443"), one for all mail ("email").
 * A lane's items leave in the order they were committed, up to the carrier's `per_lane` at once;
 * lanes do not wait for each other. What happens to an item that was not delivered:
 *  - the item's own fault for now (500, greylisting, ..): TEMPORARY. It steps out of the line and
 *    comes back by itself after its next delay (retry_ms), attempt by attempt; the others go on.
 *  - the target's fault (no answer, 429, 502, 503, 504, Retry-After): TARGET_DOWN. The item keeps
 *    its place and no attempt is used up; the whole lane pauses, for Retry-After or a delay that
 *    grows from 1 s to pause_max_ms; then one item alone goes as a probe, and the line opens again
 *    gradually (1, 2, 4, .. at once), so that a backlog drains in order and without a storm. Five
 *    TEMPORARY in a row from different items count as the target's fault too.
 *  - for good: PERMANENT. Dead letter.
 * An item is given up when its retries are used up; one that only ever met a target that was down,
 * when it is older than all delays of retry_ms together and its lane has been tried in vain more
 * often than they are many since the start. Pauses are kept in the store, so that a restart does
 * not forget a Retry-After.
 *
 * At-least-once: an item is marked sent only after the carrier said so; a crash in between sends it
 * again under the same key. Items whose verdict is not committed keep their slot (of in_flight;
 * their place in the lane is free once the target has answered), and while the store refuses one
 * nothing is sent. */
#ifndef SH_CORE_OUTBOX_H
#define SH_CORE_OUTBOX_H

#include "core/meter.h"
#include "core/store.h"

struct event_base;
struct sh_outbox;

/* How an attempt ended. */
struct sh_attempt {
    enum {
        SH_ATTEMPT_SENT = 1,
        SH_ATTEMPT_TEMPORARY,
        SH_ATTEMPT_PERMANENT,
        SH_ATTEMPT_TARGET_DOWN
    } verdict;
    char detail[512];       /* the error, or for SENT where it went (a file's path, a status) */
    int status;             /* HTTP status or SMTP reply code, 0 = none */
    int64_t retry_after_ms; /* asked for by the target; 0 = none */
    const char *answer;     /* first bytes of the answer as text (valid UTF-8), borrowed, or NULL */
    const char *recipients; /* what became of each recipient so far, JSON object {"a@b":{"state":
                               "sent"|"refused"|"later","answer":".."}}, borrowed, or NULL */
};
typedef void sh_attempt_fn(void *arg, const struct sh_attempt *a);

/* A carrier delivers one kind of item. start() returns at once; done(done_arg) is called later on
 * the loop thread, exactly once per start, never from within start. */
struct sh_carrier {
    const char *kind; /* "email", "http" */
    void *self;
    void (*start)(void *self, const struct sh_outbox_item *item, sh_attempt_fn *done,
                  void *done_arg);
    size_t per_lane, in_flight; /* at once in one lane; over all lanes of this kind; at least 1 */
    const int64_t *retry_ms;    /* copied; delay after each failed attempt, +-10 % jitter; then
                                   dead: n_retry + 1 attempts in all */
    size_t n_retry;
    int64_t pause_max_ms;
};

struct sh_outbox_config {
    const struct sh_carrier *carriers; /* borrowed, must outlive the outbox */
    size_t n_carriers;
    /* An event that a verdict brought (delivery_succeeded, ..) is in the store; ownership moves. */
    void (*emitted)(void *arg, struct sh_event *event);
    struct sh_meter *meter; /* borrowed; NULL: nothing is counted in it */
    void *arg;
};

struct sh_outbox_stats {
    int64_t sent, failed, dead; /* attempts that ended so, since the start */
    size_t lanes, paused;       /* lanes in memory; of those, paused now */
};

struct sh_outbox *sh_outbox_new(struct event_base *base, struct sh_store *store,
                                const struct sh_outbox_config *config) SH_WARN_UNUSED;
/* New items may be due: call after a settle queued some, after a redrive, and once at start. */
void sh_outbox_poke(struct sh_outbox *o);
/* Items taken from the store whose verdict is not yet committed; after sh_outbox_stop() also a
 * question to the store under way. 0 after stop: nothing will be called any more. */
size_t sh_outbox_in_flight(const struct sh_outbox *o);
/* Items that are gone from the store: those that wait in memory are dropped. Returns how many their
 * carrier has already, or whose verdict is on its way to the store: ask again later. To be asked
 * once more after a question to the store's reader has been answered: a fetch may be under way. */
size_t sh_outbox_drop(struct sh_outbox *o, bool (*gone)(void *arg, const char *item_id), void *arg);
void sh_outbox_stats(const struct sh_outbox *o, struct sh_outbox_stats *out);
/* Take no new items; those in flight finish. */
void sh_outbox_stop(struct sh_outbox *o);
/* Before the store is closed and before the carriers go, which must not call done() afterwards.
 * Items in flight stay queued in the store: they are sent again after the next start. */
void sh_outbox_free(struct sh_outbox *o);

#endif
