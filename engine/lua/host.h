/* SPDX-License-Identifier: MIT
 * host.h: the rule host: one Lua state, one generation, runs as coroutines. No files, no network:
 * events in, results out, reads asked through a callback. The same host serves the worker process,
 * the simulator and `check`. Not thread-safe; one host a thread. */
#ifndef SH_LUA_HOST_H
#define SH_LUA_HOST_H

#include "core/frame.h"

#include <cjson/cJSON.h>

struct sh_host;
struct sh_cover;

struct sh_host_calls {
    void *arg;
    const struct sh_settings *settings; /* borrowed, must outlive the host; NULL: UTC, no secrets */
    /* A run asks (q->token names its job); answer with sh_host_answer(read_id), now (from within)
     * or later. */
    void (*read)(void *arg, uint64_t read_id, const struct sh_read_request *q);
    /* A job is finished; r and all it points to are borrowed for the call. */
    void (*finished)(void *arg, const struct sh_result *r);
    struct sh_pulse *pulse; /* NULL, or the shared page to keep up to date */
    struct sh_cover *cover; /* NULL, or where lines that run are counted (cover.h); borrowed */
};

/* Never NULL; process-wide: installs the CPU-budget timer signal (SIGRTMIN) of this thread. */
struct sh_host *sh_host_new(const struct sh_budgets *budgets,
                            const struct sh_host_calls *calls) SH_WARN_UNUSED;
/* For the simulator and command line only; a worker that ran user code leaves with _exit(). */
void sh_host_free(struct sh_host *h);

/* Load every rule file of the generation. All errors are collected, not only the first. *report
 * (owned by the caller) is {"ok":bool, "generation":id, "rules":[{"name","file","line","on":[..]}]
 * with "every" and "zone" (the rule's or the default) in clock rules,
 * "errors":[{"file","line","msg"}], "warnings":[{"file","line","msg"}]}. False if there is any
 * error. The generation is borrowed for the call. Call once per host. */
bool sh_host_load(struct sh_host *h, const struct sh_generation *g, cJSON **report) SH_WARN_UNUSED;

/* Start a job: runs each matching rule until it ends or waits for a read. finished() is called
 * when all have ended, perhaps before this returns. job is borrowed for the call. */
void sh_host_job(struct sh_host *h, const struct sh_job *job);
/* Answer a read (encoded as run.h says) and resume its run. False: no such read is open. */
bool sh_host_answer(struct sh_host *h, uint64_t read_id, struct sh_slice answer) SH_WARN_UNUSED;
/* Fail every run that waits for an answer past its wall budget. Call now and then. */
void sh_host_expire(struct sh_host *h);
size_t sh_host_open_jobs(const struct sh_host *h);

#endif
