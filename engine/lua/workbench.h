/* SPDX-License-Identifier: MIT
 * workbench.h: busted with the kit `hook`, in a Lua state of its own with the whole standard
 * library: a spec is the author's program, not a rule. What the kit asks of the simulator goes
 * through one callback, as trees. */
#ifndef SH_LUA_WORKBENCH_H
#define SH_LUA_WORKBENCH_H

#include "base/error.h"

#include <cjson/cJSON.h>

struct sh_workbench_ops {
    void *arg;
    /* Do what is asked, args is its object (borrowed). The answer is the caller's; NULL and *err
     * when it cannot be done: the spec then fails with err.msg. */
    cJSON *(*ask)(void *arg, const char *what, const cJSON *args, struct sh_error *err);
};

/* Run the spec files of options and report them on standard output. options (borrowed):
 *   {"files":[path..], "output":NAME?, "json":bool, "filter":[pattern..], "filter_out":[..],
 *    "tags":[..], "exclude_tags":[..], "path":"folder/?.lua", "coverage":bool,
 *    "coverage_out":FILE?, "shuffle":bool, "seed":n?}
 * 0: all passed. 1: not. -1: nothing ran, *err says why (busted is not installed). -2: the same,
 * and it is the options (an output that is none, a filter that is no pattern). Leaves the
 * process-wide state as it was, but for what the specs themselves do. */
int sh_workbench_run(const struct sh_workbench_ops *ops, const cJSON *options,
                     struct sh_error *err) SH_WARN_UNUSED;

#endif
