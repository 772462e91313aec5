/* SPDX-License-Identifier: MIT
 * playground.h: things are tried in a process of their own, one for each, which is locked up as a
 * rule worker is and ends with its answer: the engine never runs a rule. On the loop.
 *
 * What the process needs of the configuration (the source, delays, budgets, zone, names of secrets)
 * travels with the question, as the engine has it: a file that was changed since changes nothing,
 * and no secret leaves the engine. */
#ifndef SH_APP_PLAYGROUND_H
#define SH_APP_PLAYGROUND_H

#include "app/config.h"
#include "core/generation.h"
#include "core/store_token.h"

#include <cjson/cJSON.h>

#define SH_PLAY_AT_ONCE 2
#define SH_PLAY_WAITING 16
#define SH_PLAY_MS      5000 /* a process that has not answered by then is ended */

struct event_base;
struct sh_playground;

/* What is tried; borrowed for the call. */
struct sh_play {
    const struct sh_generation *generation;
    cJSON *what; /* as playground_work.h says, without what is of the whole configuration; the call
                    adds that */
    const struct sh_slice *bodies;
    size_t n_bodies;
    const uint8_t *token; /* SH_TOKEN_BYTES: by which it is known whose questions are many */
};

/* Told once, on the loop, never from within sh_playground_try(): the HTTP status and JSON to be
 * answered. 200: what came of it. 400: the event was refused. 413: too large an answer. 422
 * `try_failed`: a rule did not end, the process died of it, the rules do not load. 503: the engine
 * is stopping, or no process is to be had. */
typedef void sh_play_fn(void *arg, int status, struct sh_slice json);

/* config is borrowed and outlives it. */
struct sh_playground *sh_playground_new(struct event_base *base,
                                        const struct sh_config *config) SH_WARN_UNUSED;
/* Of the tokens whose questions wait, the one with the fewest at work is next. False:
 * SH_PLAY_WAITING wait already, or it is stopped; fn is not called. Where another token has more
 * than one more of them waiting, its newest makes room: it is told 503 within the call. */
bool sh_playground_try(struct sh_playground *p, const struct sh_play *play, sh_play_fn *fn,
                       void *arg) SH_WARN_UNUSED;
/* End the processes; all that is open is told 503 `stopping`, within the call. */
void sh_playground_stop(struct sh_playground *p);
bool sh_playground_stopped(const struct sh_playground *p);
void sh_playground_free(struct sh_playground *p); /* stops first; NULL is a no-op */

#endif
