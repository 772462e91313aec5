/* SPDX-License-Identifier: MIT
 * api_docs.h: files about the rule API for a project's folder. */
#ifndef SH_APP_API_DOCS_H
#define SH_APP_API_DOCS_H

#include "base/error.h"

/* The annotations for editors (LuaLS; as `switchhook api --format luals`), and the luacheck
 * standard, a Lua file that returns it (as `--format luacheck`). Caller frees. Never NULL. */
char *sh_api_luals(void) SH_WARN_UNUSED;
char *sh_api_luacheck(void) SH_WARN_UNUSED;

#endif
