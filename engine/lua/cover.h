/* SPDX-License-Identifier: MIT
 * cover.h: which lines of a generation's files have run, over all hosts that were given it. For
 * specs only: the hook that counts makes rules several times slower. Budgets hold all the same. */
#ifndef SH_LUA_COVER_H
#define SH_LUA_COVER_H

#include "core/generation.h"

#include <cjson/cJSON.h>

struct sh_cover;

/* For the files of g (borrowed for the call). Lines are counted in hosts whose file of that name
 * has the same text. */
struct sh_cover *sh_cover_new(const struct sh_generation *g) SH_WARN_UNUSED;
void sh_cover_free(struct sh_cover *c); /* NULL is a no-op; no host may use it any more */

/* [{"name":"rules/a.lua", "lines":[1,2,5], "hits":[1,4,0]}], by name: the lines that hold code, and
 * how often each has run. A file that does not compile has none. Never NULL. */
cJSON *sh_cover_report(const struct sh_cover *c) SH_WARN_UNUSED;

#endif
