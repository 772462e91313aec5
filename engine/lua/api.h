/* SPDX-License-Identifier: MIT
 * api.h: the description of the rule API (api_*.lua, inside the binary) in the forms it is used in:
 * hints for editors, the reference, a list for luacheck, JSON. */
#ifndef SH_LUA_API_H
#define SH_LUA_API_H

#include "lua/host.h"

/* The formats, NULL-terminated: "luals", "markdown", "luacheck", "json". */
extern const char *const sh_api_formats[];

/* Calls each(arg, name, text) for every file of the format; name is without a folder, both are
 * borrowed for the call. False: each() gave false, which ends it. The format must be known. */
typedef bool sh_api_file_fn(void *arg, const char *name, const char *text);
bool sh_api_print(const char *format, sh_api_file_fn *each, void *arg) SH_WARN_UNUSED;

/* What a rule file really sees, for comparing: "now", "records", "records.get", ..., sorted, each
 * on a line of its own. Caller frees. */
char *sh_host_names(struct sh_host *h) SH_WARN_UNUSED;

#endif
