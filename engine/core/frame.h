/* SPDX-License-Identifier: MIT
 * frame.h: what the engine and a rule worker say to each other over their socketpair.
 *
 * A frame is a 32-bit little-endian length of what follows, a type byte and a payload written
 * with the binary writers of base/buf.h. Frames from a worker are hostile input: length is capped
 * before anything is allocated, every field is bounds-checked, text is checked for UTF-8 where it
 * is stored. */
#ifndef SH_CORE_FRAME_H
#define SH_CORE_FRAME_H

#include "core/generation.h"
#include "core/run.h"

enum sh_frame_type {
    /* engine to worker */
    SH_FRAME_LOAD = 1,   /* budgets and a generation: first frame */
    SH_FRAME_JOB = 2,    /* an event to run */
    SH_FRAME_ANSWER = 3, /* the answer to a READ */
    SH_FRAME_TRY = 4,    /* to a playground alone: what is to be tried, behind LOAD */
    /* worker to engine */
    SH_FRAME_LOADED = 10, /* the load's report, JSON */
    SH_FRAME_READ = 11,   /* a run asks */
    SH_FRAME_RESULT = 12, /* a job is finished */
    SH_FRAME_TRIED = 13   /* of a playground: what came of it */
};

/* Budgets of a run; all positive. */
struct sh_budgets {
    int64_t cpu_ms, wall_ms, memory_bytes, max_effects, max_effect_bytes;
};

#define SH_LOAD_CPU_FACTOR 10 /* a file may take this many times the CPU of a run to load */

/* A script that turns a source's bodies into the tables that rules see. */
struct sh_normaliser {
    char *source; /* configured name */
    char *module; /* as for require: "github" is scripts/github.lua */
};

/* What of the configuration rules can see. */
struct sh_settings {
    char *zone;     /* the default time zone, zone.h name */
    char **secrets; /* names, NULL-terminated; NULL = none. The texts never leave the engine */
    struct sh_normaliser *normalisers;
    size_t n_normalisers;
};
void sh_settings_clear(struct sh_settings *s); /* frees the members */

/* Start a frame in out; returns its place for sh_frame_end(), which fills in the length. */
size_t sh_frame_begin(struct sh_buf *out, enum sh_frame_type type);
void sh_frame_end(struct sh_buf *out, size_t place);

/* Take one whole frame off the front of in. 1: *type and *payload (borrowed from in) are set and
 * *used counts its bytes; 0: more bytes are needed; -1: longer than max_bytes. */
int sh_frame_split(struct sh_slice in, size_t max_bytes, uint8_t *type, struct sh_slice *payload,
                   size_t *used) SH_WARN_UNUSED;

void sh_frame_load(struct sh_buf *out, const struct sh_budgets *b, const struct sh_settings *s,
                   const struct sh_generation *g);
/* *s and *g are the caller's. */
bool sh_frame_read_load(struct sh_slice payload, struct sh_budgets *b, struct sh_settings *s,
                        struct sh_generation **g) SH_WARN_UNUSED;
void sh_frame_job(struct sh_buf *out, const struct sh_job *job);
/* Slices borrow from payload; *names (owned, free()) holds the arrays behind only, skip and hold.
 */
bool sh_frame_read_job(struct sh_slice payload, struct sh_job *job,
                       struct sh_slice **names) SH_WARN_UNUSED;
void sh_frame_answer(struct sh_buf *out, uint64_t read_id, struct sh_slice answer);
bool sh_frame_read_answer(struct sh_slice payload, uint64_t *read_id,
                          struct sh_slice *answer) SH_WARN_UNUSED;
void sh_frame_ask(struct sh_buf *out, uint64_t read_id, const struct sh_read_request *q);
bool sh_frame_read_ask(struct sh_slice payload, uint64_t *read_id,
                       struct sh_read_request *q) SH_WARN_UNUSED;
void sh_frame_result(struct sh_buf *out, const struct sh_result *r);
/* runs is owned by the caller (free()), slices borrow from payload. Every effect, read and log is
 * walked and checked here. */
bool sh_frame_read_result(struct sh_slice payload, struct sh_result *r) SH_WARN_UNUSED;

/* --- The page that a worker shares with the engine (memfd): who runs, since when -------------
 * Written by the worker before and after every stretch of Lua, read by the watchdog. The engine
 * treats it as a hint from a hostile party: tokens and rule numbers are checked on use. */
struct sh_pulse {
    _Atomic uint64_t token;   /* job that is running now, 0 = none */
    _Atomic uint32_t rule;    /* index into the loaded rules, in report order */
    _Atomic uint32_t file;    /* while rules load: place of the file in the generation, from 1 */
    _Atomic int64_t since_us; /* sh_mono_us() when this stretch, or loading this file, began */
};

#endif
