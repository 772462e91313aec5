/* SPDX-License-Identifier: MIT
 * outbox_impl.h: within outbox*.c: lanes and parcels in memory.
 *
 * A parcel is one item of the store in memory. It is QUEUED in its lane, read ahead of its turn;
 * SENDING while the carrier has it; STORING while the store has its verdict, KEPT when the store
 * refused that; LANDED when it is committed but a fetch that began earlier may still show it;
 * WAITING for its next attempt, a mere note that holds the delay against the monotonic clock,
 * whatever the wall clock does meanwhile. Whatever phase, it is in the table of parcels by its seq,
 * and a fetch that brings it again is ignored: that is what "never sent twice at a time" rests on.
 *
 * A parcel takes a slot of its carrier from its start until its verdict is committed, and a place
 * in its lane's window until its target has answered (or, put back in line, until that is
 * committed: the next of its lane must not overtake it). A pause empties its queue, and
 * closes its window to one: the probe. epoch counts pauses: what a parcel that left before the
 * pause meets says nothing about the target after it. */
#ifndef SH_CORE_OUTBOX_IMPL_H
#define SH_CORE_OUTBOX_IMPL_H

#include "core/outbox.h"
#include "svc/loop.h"

#include <uthash.h>
#include <utlist.h>

#define SH_OB_READ_AHEAD     256                /* parcels queued in one lane */
#define SH_OB_MAX_QUEUED     8192               /* in all lanes */
#define SH_OB_MAX_BYTES      ((size_t)32 << 20) /* of their payloads */
#define SH_OB_FETCH_BYTES    ((size_t)2 << 20)  /* of payloads in one fetch */
#define SH_OB_NEW_LANE       32                 /* asked for of a lane that is not in memory */
#define SH_OB_RESCAN         16    /* asked for beyond what is known, when all is looked at again */
#define SH_OB_MAX_WAITING    10000 /* notes of retries */
#define SH_OB_POLL_MS        1000  /* another process may have redriven items */
#define SH_OB_IDLE_MS        5000  /* a lane with nothing to do is forgotten after this */
#define SH_OB_TEMPORARY      5     /* in a row, of different items: the target's fault */
#define SH_OB_FIRST_PAUSE_MS 1000
#define SH_OB_MAX_PAUSE_MS   ((int64_t)24 * 3600 * 1000) /* of a Retry-After */

struct sh_lane;

enum sh_parcel_phase {
    SH_PARCEL_QUEUED = 1,
    SH_PARCEL_SENDING,
    SH_PARCEL_STORING,
    SH_PARCEL_KEPT,
    SH_PARCEL_LANDED,
    SH_PARCEL_WAITING
};

/* What is known of a lane's target; slots are shared out by it, so that targets that do not answer
 * cannot take all of them. */
enum sh_lane_class { SH_LANE_PROVEN, SH_LANE_NEW, SH_LANE_DOWN };
#define SH_LANE_CLASSES 3

/* Something to do at a time; in a heap. Monotonic milliseconds. */
struct sh_due {
    int64_t at_ms;
    size_t place;         /* in the heap, from 1; 0 = not in it */
    struct sh_lane *lane; /* the pause of this lane is over; NULL: a parcel's wait is */
};
struct sh_dues {
    struct sh_due **heap;
    size_t n, room;
};
void sh_dues_put(struct sh_dues *d, struct sh_due *due);    /* also moves one that is in it */
void sh_dues_remove(struct sh_dues *d, struct sh_due *due); /* also one that is not */
struct sh_due *sh_dues_first(const struct sh_dues *d);      /* or NULL */

/* A verdict on its way to the store: outlives an outbox that is freed meanwhile. */
struct sh_verdict {
    struct sh_op_delivery op;                      /* first */
    char *id, *error, *answer, *recipients, *lane; /* owned */
};

struct sh_parcel {
    UT_hash_handle hh; /* by seq */
    int64_t seq;
    struct sh_parcel *prev, *next; /* in its lane's queue, or among the landed */
    struct sh_outbox *outbox;
    struct sh_lane *lane;
    struct sh_outbox_item *item; /* owned; NULL when LANDED or WAITING */
    struct sh_verdict *verdict;  /* owned while STORING, KEPT */
    size_t bytes;
    enum sh_parcel_phase phase;
    bool in_window;
    bool again;               /* it has been tried before */
    enum sh_lane_class class; /* its slot's */
    unsigned epoch;
    struct sh_due due; /* WAITING */
    int64_t next_ms;   /* WAITING: as in the store */
};

/* A carrier and its slots. */
struct sh_way {
    struct sh_carrier carrier;
    int64_t *retry_ms, total_ms;
    size_t in_flight, by_class[SH_LANE_CLASSES];
    struct sh_lane *ready[SH_LANE_CLASSES]; /* lanes that could start one now */
    unsigned turn;
};

struct sh_lane {
    UT_hash_handle hh; /* by name */
    char *name;
    struct sh_way *way;
    struct sh_lane *prev, *next; /* among the ready */
    int ready;                   /* in ready[] of this class; -1 = in none */
    struct sh_parcel *again, *fresh;
    size_t n_queued, n_again, sending, in_flight, n_waiting, window;
    bool down, proven;
    bool more;    /* the store may have more than is in memory */
    int failures; /* probes that failed, one after the other */
    unsigned epoch, round;
    struct sh_due pause;                /* paused while it is in the heap */
    int64_t temporary[SH_OB_TEMPORARY]; /* seqs of items */
    size_t n_temporary;
    int64_t last_seq;  /* of those that are not retries, everything up to this one was read */
    size_t asked, got; /* of the fetch under way */
    int64_t idle_ms;   /* since, monotonic; 0 = busy */
};

struct sh_outbox {
    struct sh_store *store;
    struct sh_outbox_config config;
    struct sh_way *ways; /* n_carriers, and one for kinds without a carrier */
    struct sh_lane *lanes;
    struct sh_parcel *parcels, *landed;
    struct sh_dues dues;
    size_t n_queued, bytes, in_flight, flight_bytes, n_waiting;
    size_t asked; /* by the fetch under way, of a lane that is not in memory */
    struct sh_timer *poll, *tick, *offer, *pace, *turn;
    struct sh_fetch *fetch;
    int64_t poll_at, tick_at, rescan_at; /* monotonic milliseconds; 0 = not armed */
    int64_t fetch_after_us;              /* monotonic: the reader has others to serve */
    int64_t start_ms, start_us;          /* wall and monotonic clock at the start */
    int64_t reach_ms; /* items due up to here are due now, although the wall clock is behind it */
    bool more;        /* the store may have due items that were not taken */
    bool rescan;      /* look also before what was read */
    bool look_far;    /* items due later than any delay may be in the store */
    bool holding;     /* the store refused a verdict: nothing is sent until it takes one */
    bool turn_set;    /* the next start is under way through the loop */
    bool stopped;
    unsigned round;
    uint64_t random;
    struct sh_outbox_stats stats;
};

/* --- outbox.c --- */
int64_t sh_ob_mono_ms(void);
/* ms less or more up to a share of 1/part. */
int64_t sh_ob_jitter(struct sh_outbox *o, int64_t ms, int64_t part);
void sh_ob_poll_within(struct sh_outbox *o, int64_t ms);
void sh_ob_arm_tick(struct sh_outbox *o);
void sh_ob_free_parcel(struct sh_parcel *p); /* out of the table, too; in no list */
/* Start what may start, fetch what is wanted: now, or from the loop (a carrier may be at work). */
void sh_ob_go(struct sh_outbox *o);
void sh_ob_go_soon(struct sh_outbox *o);

/* --- outbox_fetch.c --- */
void sh_ob_fetch(struct sh_outbox *o);
void sh_ob_fetch_orphan(struct sh_fetch *f);
void sh_ob_forget_landed(struct sh_outbox *o);
int64_t sh_ob_age_ms(const struct sh_outbox *o, int64_t since_ms);

/* --- outbox_lane.c --- */
struct sh_lane *sh_lane_of(struct sh_outbox *o, const struct sh_outbox_item *item);
static inline bool sh_lane_paused(const struct sh_lane *l)
{
    return l->pause.place != 0;
}
/* Whose turn is the next probe? Retries and the line take turns: calls that fail each time, however
 * many, do not hold up one that their target would take. */
static inline bool sh_lane_fresh_first(const struct sh_lane *l)
{
    return l->down && l->failures % 2 != 0;
}
size_t sh_lane_room(const struct sh_outbox *o, const struct sh_lane *l);
void sh_lane_queue(struct sh_outbox *o, struct sh_lane *l, struct sh_parcel *p);
void sh_lane_unqueue(struct sh_outbox *o, struct sh_lane *l, struct sh_parcel *p);
void sh_lane_drop_queue(struct sh_outbox *o, struct sh_lane *l);
void sh_lane_update(struct sh_lane *l); /* its place among the ready */
struct sh_lane *sh_way_pick(struct sh_way *w);
void sh_lane_free(struct sh_outbox *o, struct sh_lane *l);
void sh_lane_resume(struct sh_outbox *o, struct sh_lane *l); /* its pause is over */
void sh_lane_sweep(struct sh_outbox *o);

/* --- outbox_verdict.c --- */
void sh_ob_on_attempt(void *arg, const struct sh_attempt *a);
void sh_ob_offer_kept(void *arg);
void sh_ob_free_verdict(struct sh_verdict *v);

#endif
