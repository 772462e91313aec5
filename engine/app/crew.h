/* SPDX-License-Identifier: MIT
 * crew.h: the rule workers: started, fed, watched, replaced. On the loop thread.
 *
 * Each worker is a process (`switchhook worker`) with one generation. Its pulse page tells which
 * run is on since when; a run past its wall budget inside something that cannot be interrupted is
 * ended with its worker. When a worker dies, the run that was on is charged with a failed attempt
 * and everything else it had is run again elsewhere.
 *
 * A worker has at most 48 jobs and 512 KiB of bodies in hand. One whose runs wait for look-ups over
 * HTTP is parked: it counts for neither (up to 1,000 a worker) until it has its answers. */
#ifndef SH_APP_CREW_H
#define SH_APP_CREW_H

#include "core/dispatch.h"
#include "core/frame.h"

#include <cjson/cJSON.h>

struct event_base;
struct sh_crew;

struct sh_crew_config {
    struct event_base *base;
    struct sh_store *store;                 /* answers the runs' reads */
    const struct sh_generation *generation; /* borrowed */
    struct sh_budgets budgets;
    const struct sh_settings *settings; /* borrowed */
    /* A run asks for a look-up over HTTP (run.h SH_READ_HTTP): answer(answer_arg, doc) once, later
     * or from within, with the document that run.h describes; call is borrowed, token is the job's.
     * The callee sees to time-outs. NULL: every look-up is refused. Once the crew is freed nothing
     * may be answered. */
    void (*lookup)(void *arg, uint64_t token, struct sh_slice call,
                   void (*answer)(void *answer_arg, struct sh_slice doc), void *answer_arg);
    size_t workers;
    bool one_by_one; /* start each worker when the one before is up: less of a burst */
    /* A worker is up (again); may be NULL. Not before `loaded` has been called. With load_arg. */
    void (*up)(void *arg);
    /* The dispatcher was pumped: what it gave to another crew than this one waits for
     * sh_crew_flush(). May be NULL. */
    void (*pumped)(void *arg);
    /* The first worker has loaded the rules, or failed to: its report (host.h), borrowed. Called
     * once; without ok in it nothing will ever run. */
    void (*loaded)(void *arg, const cJSON *report);
    void *load_arg; /* for those two; NULL: arg */
    void *arg;
};

struct sh_crew *sh_crew_new(const struct sh_crew_config *config) SH_WARN_UNUSED;
/* Whom results and losses are told. Set before any job is given. */
void sh_crew_set_dispatch(struct sh_crew *c, struct sh_dispatch *d);
/* Hand a job to the least busy worker; false if all are full or none is up. Bytes leave with
 * sh_crew_flush(). */
bool sh_crew_give(struct sh_crew *c, const struct sh_job *job);
void sh_crew_flush(struct sh_crew *c);
size_t sh_crew_ready(const struct sh_crew *c);  /* workers that are up */
size_t sh_crew_parked(const struct sh_crew *c); /* jobs that wait for look-ups */
int64_t sh_crew_restarts(const struct sh_crew *c);
/* Another generation is live: nothing is given to this crew any more. A worker ends when it has
 * answered what it holds; one that dies is not replaced (what it held goes to `dispatch`, and from
 * there to whoever is live). */
void sh_crew_retire(struct sh_crew *c);
/* A retired crew: have all its workers ended? Then it may be freed. */
bool sh_crew_is_over(const struct sh_crew *c);
/* Workers, each with what it does: [{"pid","state":"loading"|"up"|"stuck"|"down","jobs","parked"}],
 * the caller's. */
cJSON *sh_crew_json(const struct sh_crew *c) SH_WARN_UNUSED;
/* How the workers are locked up (svc/lockup.h), as the first of them that was reported; borrowed,
 * NULL before that. */
const cJSON *sh_crew_sandbox(const struct sh_crew *c);
/* End all workers (they get end of file, then SIGKILL after wait_ms) and free. */
void sh_crew_free(struct sh_crew *c, int wait_ms);

#endif
