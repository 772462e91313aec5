/* SPDX-License-Identifier: MIT
 * workbench.h: what the specs' kit asks for, answered by simulators: one of the project's rules
 * that is kept from test to test, and one of rules that a spec put in their place. */
#ifndef SH_APP_WORKBENCH_H
#define SH_APP_WORKBENCH_H

#include "app/config.h"
#include "core/generation.h"

#include <cjson/cJSON.h>

struct sh_workbench;

struct sh_workbench_config {
    const struct sh_config *config;         /* borrowed, must outlive the workbench */
    const struct sh_generation *generation; /* of the project; likewise */
    const char *root;                       /* the project's folder, for sample events; likewise */
    int64_t now_ms;                         /* where the clock stands when a test begins */
    bool coverage;
};

/* *report (owned by the caller, never NULL) is what sh_host_load() says. NULL and *err: the rules
 * do not load (read the report), or no store. */
struct sh_workbench *sh_workbench_new(const struct sh_workbench_config *config, cJSON **report,
                                      struct sh_error *err) SH_WARN_UNUSED;
void sh_workbench_free(struct sh_workbench *w); /* NULL is a no-op */

/* Answer the kit: the `ask` of lua/workbench.h. arg is the workbench. */
cJSON *sh_workbench_ask(void *arg, const char *what, const cJSON *args, struct sh_error *err);

#endif
