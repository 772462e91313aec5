/* SPDX-License-Identifier: MIT
 * live.h: the live generation and those who run it: the crew that gets new jobs, crews of earlier
 * generations that finish what they hold, and the way from one to the next (reload.h). On the loop.
 */
#ifndef SH_APP_LIVE_H
#define SH_APP_LIVE_H

#include "app/reload.h"

struct sh_live;

struct sh_live_config {
    struct event_base *base;
    const struct sh_config *config; /* borrowed */
    struct sh_store *store;
    struct sh_tls *tls; /* as in reload.h */
    void (*lookup)(void *arg, uint64_t token, struct sh_slice call,
                   void (*answer)(void *answer_arg, struct sh_slice doc), void *answer_arg);
    /* The first generation has been loaded, or not (crew.h). */
    void (*loaded)(void *arg, const cJSON *report);
    /* What is in the folders cannot be read (report NULL, why says so) or loaded (report says so):
     * the engine starts with the generation that was live before, `id`. `loaded` comes after that.
     */
    void (*fell_back)(void *arg, const char *id, const cJSON *report, const char *why);
    /* Another generation is live from here on; these are its rules. */
    void (*swapped)(void *arg, const cJSON *rules);
    void *arg;
};

/* Read the folders and start the first crew. A set that cannot be read or loaded must not keep an
 * engine down that has run before: the generation that the store had live last takes its place.
 * Reads the store, before the loop runs. NULL and *err as sh_generation_read(). */
struct sh_live *sh_live_new(const struct sh_live_config *config,
                            struct sh_error *err) SH_WARN_UNUSED;
/* Whom results are told. From then on jobs may be given. */
void sh_live_set_dispatch(struct sh_live *l, struct sh_dispatch *d);
/* As sh_crew_give() and sh_crew_flush(), of the live crew. */
bool sh_live_give(struct sh_live *l, const struct sh_job *job);
void sh_live_flush(struct sh_live *l);

const struct sh_generation *sh_live_generation(const struct sh_live *l);
const cJSON *sh_live_rules(const struct sh_live *l); /* of its load report; NULL before loaded */
int64_t sh_live_since_ms(const struct sh_live *l);   /* live in this process since then */
int64_t sh_live_restarts(const struct sh_live *l);   /* of workers, all crews */
const struct sh_crew *sh_live_crew(const struct sh_live *l);
size_t sh_live_retired(const struct sh_live *l); /* crews of earlier ones, not over yet */

/* Take up reloads. Before that there is none. */
void sh_live_open(struct sh_live *l);
struct sh_reload *sh_live_reload(struct sh_live *l); /* NULL before sh_live_open() */

/* End reloads and all workers (end of file, then SIGKILL after wait_ms). Before the store closes.
 */
void sh_live_stop(struct sh_live *l, int wait_ms);
void sh_live_free(struct sh_live *l); /* after the store is closed; NULL is a no-op */

#endif
