/* SPDX-License-Identifier: MIT
 * crew_impl.h: what the two files of the crew share. */
#ifndef SH_APP_CREW_IMPL_H
#define SH_APP_CREW_IMPL_H

#include "app/crew.h"
#include "svc/channel.h"
#include "svc/process.h"

#include <utlist.h>

#define SH_CREW_JOBS   48   /* given to one worker, not yet answered, not parked */
#define SH_CREW_PARKED 1000 /* of one worker's jobs, waiting for look-ups alone */

struct job_out { /* one job a worker has */
    uint64_t token;
    size_t bytes;
    size_t n_only;    /* rules it names: each may be gone, and has a run that says so */
    unsigned lookups; /* open ones of its runs */
    bool parked;      /* waits for them, and takes no place in the window */
};

/* A look-up that is under way for a run. */
struct lookup {
    struct worker *worker; /* the struct, which outlives its processes */
    uint64_t incarnation, token, read_id;
    size_t cost;
    struct lookup *prev, *next; /* of the crew's open ones */
};

struct worker {
    struct sh_crew *crew;
    size_t number; /* from 1, for the log */
    struct sh_child child;
    struct sh_channel *channel;
    struct sh_pulse *pulse;
    uint64_t incarnation; /* answers to an earlier one are dropped */
    bool up;              /* has loaded */
    bool dirty;           /* bytes to flush */
    bool useful;          /* has answered a job: its death says nothing about the next one */
    bool not_started;     /* its process could not be made: tried again by its timer */
    uint32_t hangs_in;    /* it is ended because this file (its place from 1) hangs; else 0 */
    bool stuck;           /* one run has been on for long: no new jobs until it is over */
    struct job_out jobs[SH_CREW_JOBS + SH_CREW_PARKED];
    size_t n_jobs;    /* all it has */
    size_t n_waiting; /* of those, for look-ups */
    size_t n_parked;  /* of those, outside the window: as many as there is room for */
    size_t bytes;     /* bodies of those not parked */
    size_t most_only; /* rules that one of its jobs named, at most */
    size_t ask_bytes; /* questions in the store's hands, or looked up */
    int64_t born_us;
    int64_t sign_us;    /* last sign of life: bytes from it, or its pulse moved */
    int64_t sign_since; /* the pulse's since_us then */
    int failures;       /* deaths soon after birth, in a row */
    int64_t leaving_us; /* retired: told to end then; 0 = not yet */
    struct sh_timer *respawn;
    char killed_because[300]; /* set by the watchdog */
};

struct sh_crew {
    struct sh_crew_config config;
    struct sh_dispatch *dispatch;
    struct worker *workers;
    struct sh_timer *watch;
    char **rules;  /* names in report order, for the pulse */
    char **places; /* "rules/a.lua:3" of each; normalisers, as SH_RULE_ALL, behind the rules */
    size_t n_rules;
    cJSON *sandbox; /* what the first worker's lock-up reported; NULL before */
    bool reported, closing, retired;
    bool has_loaded;  /* the first report said ok */
    int early_deaths; /* of workers, before any had loaded */
    struct lookup *lookups;
    size_t asking; /* reads that the store has not answered yet */
    uint64_t incarnations;
    int64_t restarts;
};

/* crew_ask.c */
/* Jobs in the window. */
static inline size_t sh_crew_in_window(const struct worker *w)
{
    return w->n_jobs - w->n_parked;
}
/* The job, if the worker has it; valid until the next is given or struck. NULL: it does not. */
struct job_out *sh_crew_find(struct worker *w, uint64_t token);
/* Strike a job off the worker's list; false if it does not have it. */
bool sh_crew_strike(struct worker *w, uint64_t token);
/* A question of a run. False: malformed, or more than a worker can have. */
bool sh_crew_ask(struct worker *w, struct sh_slice payload);
void sh_crew_drop_lookups(struct sh_crew *c);

#endif
