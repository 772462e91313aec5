/* SPDX-License-Identifier: MIT
 * workbench_tree.h: trees to Lua values and back, for a state without a rule host. Private to the
 * workbench. */
#ifndef SH_LUA_WORKBENCH_TREE_H
#define SH_LUA_WORKBENCH_TREE_H

#include <cjson/cJSON.h>
#include <lua.h>

/* Make the metatable of lists in the registry and push it: a list that is empty stays one.
 * [-0, +1, m] */
void sh_bench_open_trees(lua_State *L);
/* Push the value of a tree: integers exact, nulls in objects as the light userdata of
 * sh_lua_null when keep_null, else absent. [-0, +1, m] */
void sh_bench_push_tree(lua_State *L, const cJSON *node, int keep_null);
/* The tree of the value at idx, put under *root at once, so that it is freed by whoever holds
 * root when this raises. Keys are sorted, so that the same table is the same text. Raises for what
 * JSON cannot say, with the path that begins with `what`. [-0, +0, v] */
void sh_bench_read_tree(lua_State *L, int idx, cJSON **root, const char *what);

#endif
