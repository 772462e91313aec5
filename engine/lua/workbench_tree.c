/* SPDX-License-Identifier: MIT
 * workbench_tree.c: trees to Lua values and back, for specs. */
#include "lua/workbench_tree.h"

#include "base/buf.h"
#include "lua/internal.h"
#include "svc/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_MT   "switchhook.list"
#define MAX_DEPTH 64

/* --- to Lua ---------------------------------------------------------------------------------- */

void sh_bench_open_trees(lua_State *L)
{
    luaL_newmetatable(L, LIST_MT);
    lua_pushliteral(L, "list");
    lua_setfield(L, -2, "__name");
}

static void push_number(lua_State *L, const cJSON *node)
{
    int64_t i;
    double d = 0;
    bool whole = cJSON_IsRaw(node) ? !strpbrk(node->valuestring, ".eE")
                                   : !(node->valuedouble == 0 && signbit(node->valuedouble));
    if (whole && sh_json_get_int(node, &i)) {
        lua_pushinteger(L, i);
        return;
    }
    (void)!sh_json_get_double(node, &d);
    lua_pushnumber(L, d);
}

static void push_members(lua_State *L, const cJSON *node, int keep_null)
{
    const bool list = cJSON_IsArray(node);
    lua_Integer i = 0;
    lua_newtable(L);
    for (const cJSON *c = node->child; c; c = c->next) {
        if (cJSON_IsNull(c) && !list && !keep_null)
            continue;
        sh_bench_push_tree(L, c, keep_null);
        if (list)
            lua_rawseti(L, -2, ++i);
        else
            lua_setfield(L, -2, c->string);
    }
    if (list)
        luaL_setmetatable(L, LIST_MT);
}

void sh_bench_push_tree(lua_State *L, const cJSON *node, int keep_null)
{
    luaL_checkstack(L, 4, "JSON too deep");
    if (!node || cJSON_IsNull(node))
        lua_pushlightuserdata(L, (void *)&sh_lua_null);
    else if (cJSON_IsBool(node))
        lua_pushboolean(L, cJSON_IsTrue(node));
    else if (cJSON_IsString(node))
        lua_pushstring(L, node->valuestring);
    else if (sh_json_is_number(node))
        push_number(L, node);
    else
        push_members(L, node, keep_null);
}

/* --- to JSON --------------------------------------------------------------------------------- */

struct place { /* of the value being read, for messages */
    const struct place *up;
    const char *name; /* NULL: index */
    lua_Integer index;
    int depth;
};

static void add_place(struct sh_buf *b, const struct place *p)
{
    if (p->up)
        add_place(b, p->up);
    if (!p->name)
        sh_buf_addf(b, "[%lld]", (long long)p->index);
    else
        sh_buf_addf(b, "%s%.100s", p->up ? "." : "", p->name);
}

static int refuse(lua_State *L, const struct place *p, const char *why)
{
    char text[400];
    struct sh_buf b;
    sh_buf_init(&b, sizeof(text) - 1);
    add_place(&b, p);
    snprintf(text, sizeof(text), "%s", b.data ? b.data : "");
    sh_buf_free(&b);
    return luaL_error(L, "%s: %s", text, why);
}

static void keep(cJSON *node, cJSON **root, cJSON *parent, const char *name)
{
    if (!parent)
        *root = node;
    else if (cJSON_IsArray(parent))
        cJSON_AddItemToArray(parent, node);
    else
        cJSON_AddItemToObject(parent, name, node);
}

static void read_value(lua_State *L, int idx, cJSON **root, cJSON *parent, const struct place *p);

/* A list: marked as one, or with places 1..n and nothing else. */
static bool is_list(lua_State *L, int idx, lua_Integer *n)
{
    bool marked = lua_getmetatable(L, idx);
    if (marked) {
        luaL_getmetatable(L, LIST_MT);
        marked = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    *n = (lua_Integer)lua_rawlen(L, idx);
    if (marked || *n == 0)
        return marked;
    lua_Integer keys = 0;
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1))
        keys++;
    return keys == *n;
}

static void read_list(lua_State *L, int idx, lua_Integer n, cJSON **root, cJSON *self,
                      const struct place *p)
{
    for (lua_Integer i = 1; i <= n; i++) {
        const struct place at = {.up = p, .index = i, .depth = p->depth + 1};
        lua_rawgeti(L, idx, i);
        read_value(L, lua_gettop(L), root, self, &at);
        lua_pop(L, 1);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys stay on the table, so that their texts stay where they are. */
static void read_object(lua_State *L, int idx, cJSON **root, cJSON *self, const struct place *p)
{
    size_t n = 0, i = 0;
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1))
        n++;
    const char **keys = lua_newuserdatauv(L, (n + 1) * sizeof(*keys), 0);
    for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            refuse(L, p, "a key must be a text; a list has the places 1 to n and nothing else");
        keys[i++] = lua_tostring(L, -2);
    }
    qsort(keys, n, sizeof(*keys), by_text);
    for (i = 0; i < n; i++) {
        const struct place at = {.up = p, .name = keys[i], .depth = p->depth + 1};
        lua_getfield(L, idx, keys[i]);
        read_value(L, lua_gettop(L), root, self, &at);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_table(lua_State *L, int idx, cJSON **root, cJSON *parent, const struct place *p)
{
    lua_Integer n;
    bool list = is_list(L, idx, &n);
    if (p->depth >= MAX_DEPTH)
        refuse(L, p, "nested too deeply (a table that holds itself?)");
    cJSON *self = list ? cJSON_CreateArray() : cJSON_CreateObject();
    keep(self, root, parent, p->name);
    luaL_checkstack(L, 8, "tables too deep");
    if (list)
        read_list(L, idx, n, root, self, p);
    else
        read_object(L, idx, root, self, p);
}

static void read_text(lua_State *L, int idx, cJSON **root, cJSON *parent, const struct place *p)
{
    size_t n;
    const char *text = lua_tolstring(L, idx, &n);
    if (!sh_lua_utf8(text, n))
        refuse(L, p, "a text must be UTF-8, without a zero byte");
    keep(cJSON_CreateString(text), root, parent, p->name);
}

static void read_number(lua_State *L, int idx, cJSON **root, cJSON *parent, const struct place *p)
{
    if (!lua_isinteger(L, idx) && !isfinite(lua_tonumber(L, idx)))
        refuse(L, p, "JSON has no number for this (infinite, or not a number)");
    keep(lua_isinteger(L, idx) ? sh_json_int(lua_tointeger(L, idx))
                               : sh_json_double(lua_tonumber(L, idx)),
         root, parent, p->name);
}

static void read_value(lua_State *L, int idx, cJSON **root, cJSON *parent, const struct place *p)
{
    switch (lua_type(L, idx)) {
    case LUA_TBOOLEAN:
        keep(cJSON_CreateBool(lua_toboolean(L, idx)), root, parent, p->name);
        return;
    case LUA_TNUMBER:
        read_number(L, idx, root, parent, p);
        return;
    case LUA_TSTRING:
        read_text(L, idx, root, parent, p);
        return;
    case LUA_TTABLE:
        read_table(L, idx, root, parent, p);
        return;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, idx) == &sh_lua_null) {
            keep(cJSON_CreateNull(), root, parent, p->name);
            return;
        }
        break;
    default:
        break;
    }
    char why[80];
    snprintf(why, sizeof(why), "a %s cannot be JSON", luaL_typename(L, idx));
    refuse(L, p, why);
}

void sh_bench_read_tree(lua_State *L, int idx, cJSON **root, const char *what)
{
    const struct place top = {.name = what};
    read_value(L, lua_absindex(L, idx), root, NULL, &top);
}
