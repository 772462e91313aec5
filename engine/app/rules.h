/* SPDX-License-Identifier: MIT
 * rules.h: rules for the command line: read, load, say what is wrong. */
#ifndef SH_APP_RULES_H
#define SH_APP_RULES_H

#include "core/frame.h"

#include <cjson/cJSON.h>
#include <stdio.h>

/* The generation of a rules folder and a scripts folder (NULL: "scripts" beside it, if there). */
struct sh_generation *sh_rules_read(const char *rules_dir, const char *scripts_dir,
                                    struct sh_error *err) SH_WARN_UNUSED;
/* Load a generation as a worker would; nothing runs. *report as sh_host_load() says, the caller's.
 */
bool sh_rules_load(const struct sh_generation *g, const struct sh_budgets *budgets,
                   const struct sh_settings *settings, cJSON **report) SH_WARN_UNUSED;
/* A load report's errors and warnings as "dir/file:line: message" lines. The report names files
 * "rules/a.lua"; people get the path that they can open. */
void sh_rules_print_faults(FILE *f, const cJSON *report, const char *rules_dir,
                           const char *scripts_dir);

#endif
