/* SPDX-License-Identifier: MIT
 * guard.h: a thread that ends the process when Lua is stuck in a C function. For processes that
 * run rules without an engine above them that could kill them. */
#ifndef SH_APP_GUARD_H
#define SH_APP_GUARD_H

#include "core/frame.h"
#include "core/generation.h"

#include <cjson/cJSON.h>

struct sh_guard;

/* Starts the thread. wall_ms: the wall budget; one stretch of Lua may take twice that. files: the
 * generation that loads, borrowed until the rules are known; may be NULL. */
struct sh_guard *sh_guard_new(int64_t wall_ms, const struct sh_generation *files) SH_WARN_UNUSED;
void sh_guard_free(struct sh_guard *g); /* NULL is a no-op */
/* The page that the rule host keeps up to date. */
struct sh_pulse *sh_guard_pulse(struct sh_guard *g);
/* Where the rules are named: the load's report, borrowed; NULL while files are being loaded. */
void sh_guard_set_rules(struct sh_guard *g, const cJSON *report);
/* Between these two, Lua runs. In these three a guard of NULL is a no-op. */
void sh_guard_enter(struct sh_guard *g);
void sh_guard_leave(struct sh_guard *g);

#endif
