/* SPDX-License-Identifier: MIT
 * outbox.h: delivers what the store has queued, with retries. On the loop thread.
 *
 * The outbox asks the store for due items, hands each to the carrier of its kind, and tells the
 * store what became of it. At-least-once: an item is marked sent only after the carrier said so;
 * a crash in between sends it again under the same key. */
#ifndef SH_CORE_OUTBOX_H
#define SH_CORE_OUTBOX_H

#include "core/store.h"

struct event_base;
struct sh_outbox;

/* How an attempt ended. */
struct sh_attempt {
    enum { SH_ATTEMPT_SENT = 1, SH_ATTEMPT_TEMPORARY, SH_ATTEMPT_PERMANENT } verdict;
    char detail[512]; /* the error, or for SENT where it went (a file's path) */
};
typedef void sh_attempt_fn(void *arg, const struct sh_attempt *a);

/* A carrier delivers one kind of item. start() returns at once; done(done_arg) is called later on
 * the loop thread, exactly once per start, never from within start. */
struct sh_carrier {
    const char *kind; /* "email" */
    void *self;
    void (*start)(void *self, const struct sh_outbox_item *item, sh_attempt_fn *done,
                  void *done_arg);
};

struct sh_outbox_config {
    const struct sh_carrier *carriers; /* borrowed, must outlive the outbox */
    size_t n_carriers;
    size_t in_flight;        /* at once, over all kinds; at least 1 */
    const int64_t *retry_ms; /* copied; delay after each failed attempt, +-10 % jitter; then dead:
                                n_retry + 1 attempts in all */
    size_t n_retry;
};

struct sh_outbox *sh_outbox_new(struct event_base *base, struct sh_store *store,
                                const struct sh_outbox_config *config) SH_WARN_UNUSED;
/* New items may be due: call after a settle queued some, after a redrive, and once at start. */
void sh_outbox_poke(struct sh_outbox *o);
/* Items taken from the store whose verdict is not yet committed; after sh_outbox_stop() also a
 * question to the store under way. 0 after stop: nothing will be called any more. */
size_t sh_outbox_in_flight(const struct sh_outbox *o);
/* Take no new items; those in flight finish. */
void sh_outbox_stop(struct sh_outbox *o);
/* Before the store is closed and before the carriers go, which must not call done() afterwards.
 * Items in flight stay queued in the store: they are sent again after the next start. */
void sh_outbox_free(struct sh_outbox *o);

#endif
