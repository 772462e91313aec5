/* SPDX-License-Identifier: MIT
 * diff.h: how two generations differ, by diff(1) of the system (docs/dependencies.md). */
#ifndef SH_APP_DIFF_H
#define SH_APP_DIFF_H

#include "core/generation.h"

/* Print on standard output each file that differs as a unified diff; nothing if they are the same
 * (*same). json: one object a file instead, {"file","change","diff"}. False and *err: there is no
 * diff(1). */
bool sh_diff_print(const struct sh_generation *from, const struct sh_generation *to, bool json,
                   bool *same, struct sh_error *err) SH_WARN_UNUSED;

#endif
