/* SPDX-License-Identifier: MIT
 * series.h: how much happened when, for plots: what the meter counts, cut into slots of 5 s that
 * are kept for an hour in memory, and into minutes that go to the store. Pure: the caller tells the
 * time, and keeps the minutes.
 *
 * What is kept are counts and histograms, never averages or quantiles: slots and minutes merge to
 * any longer step by adding, and the quantiles of what was merged are those of all of it.
 *
 * The wall clock names the slots. Where nothing was noted there is no slot, and nothing is known:
 * the engine was down, or the clock stepped forward. A clock that goes back by less than a minute
 * stands still here until it has caught up; one that goes back further begins the slots anew. */
#ifndef SH_CORE_SERIES_H
#define SH_CORE_SERIES_H

#include "core/meter.h"

#define SH_SERIES_SLOT_S 5
/* Kept: an hour, and two minutes more: so that of an hour back from now, begun at a whole minute,
 * no minute is missing that is whole in them. */
#define SH_SERIES_SLOTS    744
#define SH_SERIES_MINUTE_S 60
#define SH_SERIES_RULES    200 /* that have slots of their own; the first ones */
#define SH_SERIES_POINTS   500 /* steps of a frame, at most */
#define SH_SERIES_KEPT_MS  (31LL * 24 * 3600 * 1000) /* minutes in the store */
#define SH_SERIES_MAX_STEP (24 * 3600)

/* --- Counts ------------------------------------------------------------------------------------
 */

enum sh_series_count {
    SH_SERIES_EVENTS, /* stored */
    SH_SERIES_DUPLICATES,
    SH_SERIES_REFUSED,
    SH_SERIES_RUNS,        /* that ended: well, failed or dead */
    SH_SERIES_FAILED,      /* of those: failed, go again */
    SH_SERIES_DEAD,        /* of those: given up */
    SH_SERIES_SENT,        /* deliveries */
    SH_SERIES_SEND_FAILED, /* attempts that came to nothing */
    SH_SERIES_CPU_US,      /* of runs */
    SH_SERIES_COUNTS
};
const char *sh_series_name(enum sh_series_count which); /* "events", ..., "cpu_us" */

struct sh_series_counts {
    int64_t n[SH_SERIES_COUNTS];
    int64_t backlog;                 /* events that waited for their rules: the most of it */
    struct sh_histogram ack, settle; /* sh_bounds_wait; sums are not kept */
};
/* What the meter has counted so far, and the backlog as it is. */
void sh_series_counts_of(const struct sh_meter *m, int64_t backlog, struct sh_series_counts *out);
void sh_series_add(struct sh_series_counts *to, const struct sh_series_counts *more);

/* The value in ms below which the part q (0..1) of all values lies, by linear interpolation within
 * its bucket. Of the bucket above the last bound only that bound is known, and it is the answer.
 * Below 0: there are no values. */
double sh_series_quantile_ms(const struct sh_histogram *h, double q);

/* As a JSON object, only of what is not 0: {"events":3,"ack":{"500":2,"1000":1}}: values of up to
 * so many us; "more": above the last bound. */
void sh_series_write(const struct sh_series_counts *c, struct sh_buf *out);
/* The same back. Members that are not known are left; a bound that is none any more counts for the
 * next one. False: no JSON object. */
bool sh_series_read(struct sh_slice text, struct sh_series_counts *c) SH_WARN_UNUSED;

/* --- Slots -------------------------------------------------------------------------------------
 */

struct sh_series;
struct sh_series_span {
    int64_t at_ms; /* where it begins */
    int64_t ring;  /* a minute: which series it was taken from */
    struct sh_series_counts c;
};

/* Counting from nothing, as a meter that was just made. ring: a number that no other series has;
 * each time that the slots begin anew it is one more. */
struct sh_series *sh_series_new(int64_t now_ms, int64_t ring) SH_WARN_UNUSED;
void sh_series_free(struct sh_series *s);
/* Note what was counted since the last time, as of now. Call it at least once in a slot. True: a
 * minute is over, *minute is what happened in it. */
bool sh_series_note(struct sh_series *s, const struct sh_meter *m, int64_t backlog, int64_t now_ms,
                    struct sh_series_span *minute) SH_WARN_UNUSED;
/* The minute that is not over yet. What is noted after that belongs to another one. */
void sh_series_cut(struct sh_series *s, struct sh_series_span *minute);

/* Copies: the caller's, sh_series_copy_free(). */
struct sh_series_copy {
    /* what minutes of that ring say from then on is in the slots */
    int64_t ring, since_ms;
    struct sh_series_span *slots; /* ascending */
    size_t n;
};
/* The slots from from_ms on that begin before to_ms. */
void sh_series_copy(const struct sh_series *s, int64_t from_ms, int64_t to_ms,
                    struct sh_series_copy *out);
/* Of one rule: runs, failed, dead and cpu_us are set, all else is 0. False: no such rule has run
 * or is live, or it is none of the first SH_SERIES_RULES; then there is nothing to free. */
bool sh_series_copy_rule(const struct sh_series *s, const char *rule, int64_t from_ms,
                         int64_t to_ms, struct sh_series_copy *out) SH_WARN_UNUSED;
void sh_series_copy_free(struct sh_series_copy *c);

/* --- Frames: slots and minutes in even steps -----------------------------------------------------
 */

struct sh_series_frame {
    int64_t at_s, step_s; /* of the first step, which is a multiple of step_s; Unix time */
    size_t n;
    struct sh_series_step {
        bool known; /* something was noted in it */
        struct sh_series_counts c;
    } * steps; /* owned */
};
/* The step in s for a range: at least want_s (0: as short as can be), at least `least`, a multiple
 * of it, and so long that the whole steps which cover the range are no more than SH_SERIES_POINTS.
 * 0: the range is too long for that. */
int64_t sh_series_step(int64_t from_ms, int64_t to_ms, int64_t want_s, int64_t least);
/* Whole steps from the one with from_ms to the one that ends at to_ms or after it. */
void sh_series_frame_init(struct sh_series_frame *f, int64_t from_ms, int64_t to_ms,
                          int64_t step_s);
/* What lies outside is left. */
void sh_series_frame_add(struct sh_series_frame *f, const struct sh_series_span *span);
void sh_series_frame_free(struct sh_series_frame *f);

#endif
