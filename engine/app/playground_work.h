/* SPDX-License-Identifier: MIT
 * playground_work.h: what a playground process is asked and what it answers. The engine writes, the
 * process reads (cmd_playground.c); both sides are here so that they stay the same.
 *
 * `what` is an object:
 *   for both:   "retry_ms":[..], "callback_email", "callback_missed_ms", "held":[names of rules
 * that are paused or being resumed], "now_ms" an attempt: "source":{..}, "path"?, "headers":{..}?,
 * "max_bytes", "rule"?, "replies"?, "steps":[{"body":n, "is_text":bool} | {"advance_ms":n}],
 * "single":bool why:
 * "event":{"id","source","type","key","received_ms","due_ms","occurred_ms","format", "trace"?},
 * whose bytes are body 0, "runs":[rows of the store], "ran":bool,
 *               "then":bool (the rule set is that of its runs; or that of its time),
 * "mask":{"numbers","fields":[..]}? No secret is in it, nor in the settings: names alone. */
#ifndef SH_APP_PLAYGROUND_WORK_H
#define SH_APP_PLAYGROUND_WORK_H

#include "app/config.h"
#include "core/generation.h"

#include <cjson/cJSON.h>

#define SH_PLAY_ANSWER_BYTES ((size_t)4 << 20)

struct sh_play_in { /* slices and trees borrowed */
    const struct sh_generation *generation;
    const struct sh_budgets *budgets;
    const struct sh_settings *settings;
    const cJSON *what;
    const struct sh_slice *bodies;
    size_t n_bodies;
    struct sh_pulse *pulse; /* as in simulator.h, with the two below */
    bool (*lock)(void *arg, struct sh_error *err);
    void *lock_arg;
    void (*loaded)(void *arg, const cJSON *report); /* the rules are loaded; or NULL */
    void *loaded_arg;
};

/* Do it. The answer, owned by the caller, and the HTTP status that it goes with: an object with
 * "error" where that is not 200. Never NULL. */
cJSON *sh_play_work(const struct sh_play_in *in, int *status) SH_WARN_UNUSED;

/* {"error":{"code","message"}}, the caller's. */
cJSON *sh_play_error(const char *code, const char *message) SH_WARN_UNUSED;

/* A configured source as a tree and back; *out is cleared by sh_play_source_clear(). */
cJSON *sh_play_source(const struct sh_source_config *s) SH_WARN_UNUSED;
void sh_play_read_source(const cJSON *tree, struct sh_source_config *out);
void sh_play_source_clear(struct sh_source_config *s);

#endif
