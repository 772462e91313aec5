/* SPDX-License-Identifier: MIT
 * locked_child.h: the start of a process that runs rules for the engine (svc/process.h): tied to
 * the engine's life, deaf to signals, and locked up (svc/lockup.h) before it sees the rules. */
#ifndef SH_APP_LOCKED_CHILD_H
#define SH_APP_LOCKED_CHILD_H

#include "core/frame.h"

#include <cjson/cJSON.h>

#define SH_CHILD_SOCKET 3 /* the descriptor that leads to the engine */

/* First thing: map the shared page, tie the process to the engine, take the zones. name: of the
 * subcommand, for the message when the process was not started by the engine: NULL then. Ends the
 * process if it cannot be tied. */
struct sh_pulse *sh_locked_child_start(const char *name) SH_WARN_UNUSED;
/* Give up everything that running rules does not need: lockup.h's report, the caller's; NULL: *err
 * says what does not hold. niceness: setpriority(2); what runs rules comes after what takes events
 * in. Before: whatever needs a file, a timer or a descriptor. */
cJSON *sh_locked_child_lock(int niceness, struct sh_error *err) SH_WARN_UNUSED;

#endif
