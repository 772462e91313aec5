/* SPDX-License-Identifier: MIT
 * reload_work.h: the parts of a reload that wait for files, processes and long reads: for a task's
 * thread (task.h). Private to the reload. */
#ifndef SH_APP_RELOAD_WORK_H
#define SH_APP_RELOAD_WORK_H

#include "app/config.h"
#include "svc/watcher.h"

/* Where a project's specs are by convention: "specs" beside the configuration. Owned by the caller.
 */
char *sh_reload_specs_dir(const struct sh_config *config) SH_WARN_UNUSED;
/* As sh_generation_stamp(), with the specs where they matter. */
uint64_t sh_reload_stamp(const struct sh_config *config);

/* Read the folders once they are at rest: the same before and after the reading, and no git
 * operation under way in them (a .git/index.lock beside or above). After 10 s without rest that is
 * the error. watcher may be NULL; its watches are renewed first. NULL and *err as
 * sh_generation_read(). */
struct sh_generation *sh_reload_read(const struct sh_config *config, struct sh_watcher *watcher,
                                     struct sh_error *err) SH_WARN_UNUSED;

/* {"file","line","msg"} of an outcome's lists; the caller's. */
cJSON *sh_reload_fault(const char *file, int64_t line, const char *msg) SH_WARN_UNUSED;

/* Run the project's specs (`switchhook test`) on the folders. NULL: they passed, and the folders
 * still hold the generation of this id. Else the fault, the caller's: where the first failing spec
 * stands, and what was said. */
cJSON *sh_reload_specs(const struct sh_config *config, const char *id) SH_WARN_UNUSED;

/* Add a warning for each type of event that waits in the store and that none of the report's rules
 * is for: what timers emit, and what callbacks become. */
void sh_reload_orphans(const struct sh_config *config, const cJSON *report, cJSON *warnings);

#endif
