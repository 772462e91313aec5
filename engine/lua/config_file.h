/* SPDX-License-Identifier: MIT
 * config_file.h: read switchhook.lua, a Lua file that returns a table, into a JSON tree. */
#ifndef SH_LUA_CONFIG_FILE_H
#define SH_LUA_CONFIG_FILE_H

#include "base/error.h"

#include <cjson/cJSON.h>

/* Run the file in a state of its own with only `env NAME` (lua/config_env.h; those that are not
 * set are one error, with the lines), `file NAME` (the text of a file without its last line end, at
 * most 64 KiB, relative to the configuration's folder; one that cannot be read is an error with its
 * line), string, table, math and tostring/tonumber/ipairs/pairs; time and memory limited. The
 * returned table as a tree (caller deletes), or NULL and err ("switchhook.lua:7: .."), which cites
 * no string of the file: it may be a secret. *text (owned) is the file's text for sh_config_line().
 */
cJSON *sh_config_file_read(const char *path, char **text, struct sh_error *err) SH_WARN_UNUSED;

/* The line (from 1) on which the key of a dotted path ("sources.webphone.path") is written in a
 * configuration text, or of its nearest enclosing key; 0 if none is found. */
int sh_config_line(const char *text, const char *path);

/* "5.4.4": the Lua release that the engine was built with. */
const char *sh_config_lua_release(void);
/* The one of the library that is loaded; "" if it does not say. */
void sh_config_lua_loaded(char out[32]);

#endif
