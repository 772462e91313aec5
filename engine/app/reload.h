/* SPDX-License-Identifier: MIT
 * reload.h: a new generation in place of the live one, while the engine runs. On the loop.
 *
 * A round: the folders are read (on a thread, until nothing in them moves any more), a candidate
 * crew of fresh workers loads what was read, the project's own specs run if that is configured,
 * what waits in the store for rules that are no longer there is listed, the generation is kept in
 * the store, and then it goes live in whole. If anything fails the live generation stays, and the
 * outcome says what and where. One round at a time; what asks meanwhile gets the next one.
 *
 * Asked for by a change of the files (watcher.h; and a look at names, sizes and times every few
 * seconds, for what inotify does not see), by SIGHUP, or through the API. */
#ifndef SH_APP_RELOAD_H
#define SH_APP_RELOAD_H

#include "app/config.h"
#include "app/crew.h"

struct sh_reload;
struct sh_tls;

enum sh_reload_cause { SH_RELOAD_FILES, SH_RELOAD_SIGNAL, SH_RELOAD_API };

struct sh_reload_config {
    const struct sh_config *config;   /* borrowed: folders, watch, specs, data */
    struct sh_crew_config crew;       /* how a crew is made; generation and loading are set here */
    const struct sh_generation *live; /* borrowed until `swap` gives another */
    const cJSON *rules;               /* its rules, as in its report; borrowed for the call */
    /* Loaded again in each round that a person asked for (SIGHUP, API); what is wrong with it is a
     * warning of the outcome. NULL: none. */
    struct sh_tls *tls;
    /* May a crew more be started now? False: asked again shortly. */
    bool (*room)(void *arg);
    /* The candidate goes live: both move to the callee; report (host.h) is borrowed. */
    void (*swap)(void *arg, struct sh_generation *g, struct sh_crew *crew, const cJSON *report);
    void *arg;
};

/* Starts to watch, if that is configured. Never NULL; a watcher that cannot be had is logged, and
 * the looks every few seconds do alone. */
struct sh_reload *sh_reload_new(const struct sh_reload_config *config) SH_WARN_UNUSED;
/* Ask for a round. done (may be NULL) gets its outcome, borrowed, once:
 * {"ok":bool,"changed":bool,"cause","at","took_ms","generation","before","rules":n,
 *  "changes":[{"file","change"}],"errors":[{"file","line","msg"}],"warnings":[..]}
 * ok without changed: what is in the folders is live already. generation: what was read, or null if
 * it could not be; before: what was live. */
void sh_reload_ask(struct sh_reload *r, enum sh_reload_cause cause,
                   void (*done)(void *arg, const cJSON *outcome), void *arg);
/* The outcome of the last round that tried something, or NULL. Borrowed. */
const cJSON *sh_reload_last(const struct sh_reload *r);
struct sh_reload_stats {
    int64_t live, failed; /* generations that went live, and rounds that failed, since the start */
    bool busy, watching;
};
void sh_reload_stats(const struct sh_reload *r, struct sh_reload_stats *out);
/* Ends a round under way: those who asked hear so. Waits for its thread. From then on nothing is
 * asked, watched or put live. Before the store is closed. NULL is a no-op. */
void sh_reload_stop(struct sh_reload *r);
void sh_reload_free(struct sh_reload *r); /* after the store is closed; NULL is a no-op */

#endif
