/* SPDX-License-Identifier: MIT
 * meter.h: what is counted as the engine works, in the form that it is scraped in: counters with a
 * bounded set of labels, histograms with fixed bounds. Noting something costs a hash look-up at
 * most; memory is taken only when a label is new. On the loop thread; every function takes NULL as
 * a meter that counts nothing.
 *
 * No label may grow with what senders write. Types: those that the live rules name in `on`, and of
 * each source the first SH_METER_TYPES others; all further ones count as "other", and so does one
 * that looks like a telephone number. Rules: those of the live generation, others as "other"; those
 * that are gone are forgotten with their counts. */
#ifndef SH_CORE_METER_H
#define SH_CORE_METER_H

#include "base/buf.h"
#include "core/run.h"

#include <cjson/cJSON.h>

#define SH_METER_TYPES     100  /* of a source, first come first shown */
#define SH_METER_MAX_TYPES 1000 /* of a source, those that rules have named included */
#define SH_METER_OTHER     "other"

/* --- Histograms ------------------------------------------------------------------------------- */

#define SH_HISTOGRAM_BUCKETS 22 /* the most */

/* Upper bounds, ascending, and what divides a value to make the unit shown. */
struct sh_bounds {
    size_t n;
    int64_t le[SH_HISTOGRAM_BUCKETS];
    int64_t per_unit; /* 1000000: values are microseconds, shown as seconds */
};
extern const struct sh_bounds sh_bounds_wait; /* 100 us .. 1 h */
extern const struct sh_bounds sh_bounds_cpu;  /* 10 us .. 10 s */
extern const struct sh_bounds sh_bounds_size; /* 1 .. 4096 */

struct sh_histogram {
    uint64_t in[SH_HISTOGRAM_BUCKETS + 1]; /* values in each bucket alone; the last: above all */
    int64_t sum;
};
void sh_histogram_note(struct sh_histogram *h, const struct sh_bounds *bounds, int64_t value);

/* --- What is counted ---------------------------------------------------------------------------
 */

enum sh_meter_run { /* what became of a run */
                    SH_METER_RUN_DONE,
                    SH_METER_RUN_FAILED,   /* goes again */
                    SH_METER_RUN_DEAD,     /* dead letter */
                    SH_METER_RUN_CONFLICT, /* a record that it had read changed: goes again at once
                                            */
                    SH_METER_RUN_KEPT,     /* its rule is paused */
                    SH_METER_RUNS
};
enum sh_meter_sent { /* how an attempt of a delivery ended */
                     SH_METER_SENT,
                     SH_METER_RETRY,
                     SH_METER_WAIT, /* the target is down: it waits, and no attempt is used up */
                     SH_METER_DEAD,
                     SH_METER_SENTS
};
const char *sh_meter_run_name(enum sh_meter_run outcome);   /* "done", "failed", ... */
const char *sh_meter_sent_name(enum sh_meter_sent outcome); /* "sent", "retry", "waiting", "dead" */

struct sh_meter;
struct sh_meter *sh_meter_new(void) SH_WARN_UNUSED;
void sh_meter_free(struct sh_meter *m);

/* The live generation: its rules, an array of {"name","on":[..]} (borrowed); NULL = none. */
void sh_meter_set_rules(struct sh_meter *m, const cJSON *rules);

/* An event was stored, or was known already. */
void sh_meter_event(struct sh_meter *m, const char *source, const char *type, bool duplicate);
/* A request was not taken; source NULL: of none. Both texts are of a small set of the caller's. How
 * long ago the one before of this kind was, in ms; INT64_MAX: there was none. 0 without a meter. */
int64_t sh_meter_refused(struct sh_meter *m, const char *source, const char *reason);
/* From the request read whole to its answer of an event, stored or known. */
void sh_meter_acknowledged(struct sh_meter *m, int64_t us);
/* From an event's arrival until it was given to a worker first. */
void sh_meter_started(struct sh_meter *m, int64_t us);
/* From its arrival until all its rules have had their turn, on disk. */
void sh_meter_settled(struct sh_meter *m, int64_t us);
/* cpu_us: of the run. */
void sh_meter_ran(struct sh_meter *m, struct sh_slice rule, enum sh_meter_run outcome,
                  uint64_t cpu_us);
/* us: since it was asked for (only looked at if it was sent). kind: of a carrier. */
void sh_meter_delivered(struct sh_meter *m, const char *kind, enum sh_meter_sent outcome,
                        int64_t us);
/* So many streams of /api/v1/live are open. */
void sh_meter_set_live(struct sh_meter *m, size_t n);
size_t sh_meter_live(const struct sh_meter *m);
/* An answer of the API. route: a pattern of its own table, or NULL: none fits. */
void sh_meter_api(struct sh_meter *m, const char *route, int status);

/* --- Reading, for whoever shows it --------------------------------------------------------------
 * Each calls fn once per row; texts and histograms are borrowed for the call. */
struct sh_meter_row {
    const char *a, *b; /* labels: source and type, source and reason, rule, kind, route */
    int status;        /* of an API answer */
    int64_t last_ms;   /* of a refusal: when the last one was */
    const uint64_t *counts;
    const struct sh_histogram *times; /* or NULL */
};
typedef void sh_meter_fn(void *arg, const struct sh_meter_row *row);
/* counts[0] stored, counts[1] known. */
void sh_meter_events(const struct sh_meter *m, sh_meter_fn *fn, void *arg);
void sh_meter_refusals(const struct sh_meter *m, sh_meter_fn *fn, void *arg); /* counts[0] */
/* counts by enum sh_meter_run; times: CPU. */
void sh_meter_runs(const struct sh_meter *m, sh_meter_fn *fn, void *arg);
/* counts by enum sh_meter_sent; times: until sent. */
void sh_meter_deliveries(const struct sh_meter *m, sh_meter_fn *fn, void *arg);
void sh_meter_answers(const struct sh_meter *m, sh_meter_fn *fn, void *arg); /* counts[0] */
struct sh_meter_waits {
    struct sh_histogram acknowledged, started, settled;
};
const struct sh_meter_waits *sh_meter_waits(const struct sh_meter *m);
/* Of all labels together, those that are forgotten included: these only grow. */
struct sh_meter_totals {
    uint64_t events, duplicates, refused;
    uint64_t runs[SH_METER_RUNS], sent[SH_METER_SENTS];
    uint64_t cpu_us; /* of runs */
};
const struct sh_meter_totals *sh_meter_totals(const struct sh_meter *m);

#endif
