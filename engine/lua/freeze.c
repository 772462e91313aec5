/* SPDX-License-Identifier: MIT
 * freeze.c: tables that only look like tables: the event as `when` sees it, and what files share.
 *
 * A run may keep nothing in the file: two workers would not agree on it and a restart would forget
 * it. So every table that a file's functions can reach is made read-only in place once the file is
 * loaded: its contents move to a hidden table, and it becomes an empty one whose metatable reads
 * there and refuses writes. Names that start with two underscores stay, since Lua reads
 * metamethods past metatables. */
#include "lua/internal.h"

#include <string.h>

static const char behind;   /* key of the hidden table, in a view or in a read-only metatable */
static const char seen_key; /* registry: functions and tables that were walked */
#define MAX_WALK 150

void sh_lua_resolve(lua_State *L, int idx)
{
    idx = lua_absindex(L, idx);
    if (!lua_getmetatable(L, idx)) {
        lua_pushvalue(L, idx);
        return;
    }
    struct sh_host *h = sh_lua_host(L);
    const void *mt = lua_topointer(L, -1);
    if (mt == h->array_mt_p || mt == h->object_mt_p)
        lua_pushvalue(L, idx);
    else if (lua_rawgetp(L, mt == h->view_mt_p ? idx : lua_gettop(L), &behind) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushvalue(L, idx);
    }
    lua_remove(L, -2);
}

/* --- views ----------------------------------------------------------------------------------- */

void sh_lua_push_view(lua_State *L, int idx)
{
    struct sh_host *h = sh_lua_host(L);
    idx = lua_absindex(L, idx);
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, idx);
    lua_rawsetp(L, -2, &behind);
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->view_mt);
    lua_setmetatable(L, -2);
}

/* One view per inner table and job, so that call.from == call.from. */
static void inner_view(lua_State *L, const struct sh_lua_run *r)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->job->proxies_ref); /* value proxies */
    lua_pushvalue(L, -2);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_pop(L, 1);
        sh_lua_push_view(L, -2); /* value proxies view */
        lua_pushvalue(L, -3);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
    }
}

static int view_index(lua_State *L)
{
    lua_rawgetp(L, 1, &behind);
    lua_pushvalue(L, 2);
    struct sh_host *h = sh_lua_host(L);
    if (lua_rawget(L, -2) == LUA_TTABLE && h->run)
        inner_view(L, h->run);
    return 1;
}

static int view_newindex(lua_State *L)
{
    sh_lua_raise(L, "when only looks: it cannot change the event (field %s)",
                 lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "by number");
}

static int view_len(lua_State *L)
{
    lua_rawgetp(L, 1, &behind);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, -1));
    return 1;
}

/* --- read-only in place ---------------------------------------------------------------------- */

static int frozen_newindex(lua_State *L)
{
    const char *name = lua_tostring(L, lua_upvalueindex(1));
    sh_lua_raise(L,
                 "'%s' belongs to the file and is read-only once it is loaded: a run keeps nothing "
                 "to itself (records are for that, or copy(%s) for a table of the run's own)",
                 name, name);
}

static int frozen_len(lua_State *L)
{
    sh_lua_resolve(L, 1);
    if (luaL_callmeta(L, -1, "__len"))
        return 1;
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, -1));
    return 1;
}

/* Was the value at idx walked before? Notes it. */
static bool seen(lua_State *L, int idx)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &seen_key);
    lua_pushvalue(L, idx);
    bool yes = lua_rawget(L, -2) != LUA_TNIL;
    lua_pop(L, 1);
    if (!yes) {
        lua_pushvalue(L, idx);
        lua_pushboolean(L, 1);
        lua_rawset(L, -3);
    }
    lua_pop(L, 1);
    return yes;
}

static bool is_meta_name(lua_State *L, int idx)
{
    const char *s = lua_type(L, idx) == LUA_TSTRING ? lua_tostring(L, idx) : "";
    return s[0] == '_' && s[1] == '_';
}

/* [.. table] -> [.. table hidden]: the contents are in hidden. */
static void move_contents(lua_State *L)
{
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, -3)) { /* table hidden key value */
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -5);
        if (!is_meta_name(L, -2)) {
            lua_pushvalue(L, -2);
            lua_pushnil(L);
            lua_rawset(L, -6);
        }
        lua_pop(L, 1);
    }
}

/* [.. table hidden] -> the same; table reads from hidden. */
static void put_in_front(lua_State *L, const char *name)
{
    lua_newtable(L); /* table hidden meta */
    if (lua_getmetatable(L, -3)) {
        lua_pushnil(L); /* operators of a class go on working */
        while (lua_next(L, -2)) {
            if (is_meta_name(L, -2)) {
                lua_pushvalue(L, -2);
                lua_pushvalue(L, -2);
                lua_rawset(L, -6);
            }
            lua_pop(L, 1);
        }
        lua_setmetatable(L, -3);
    }
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, &behind);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, name);
    lua_pushcclosure(L, frozen_newindex, 1);
    lua_setfield(L, -2, "__newindex");
    lua_pushcfunction(L, frozen_len);
    lua_setfield(L, -2, "__len");
    lua_setmetatable(L, -3);
}

static void walk(lua_State *L, const char *name, int depth);

static void walk_fields(lua_State *L, const char *name, int depth)
{
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        char inner[SH_LUA_NAME];
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        lua_pushfstring(L, key ? "%s.%s" : "%s[..]", name, key);
        strncpy(inner, lua_tostring(L, -1), sizeof(inner) - 1);
        inner[sizeof(inner) - 1] = '\0';
        lua_pop(L, 1);
        walk(L, inner, depth + 1);
        lua_pop(L, 1);
    }
}

static void walk_table(lua_State *L, const char *name, int depth)
{
    sh_lua_resolve(L, -1);
    bool done = !lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    if (done || seen(L, lua_gettop(L)))
        return;
    struct sh_host *h = sh_lua_host(L);
    if (lua_getmetatable(L, -1)) {
        const void *mt = lua_topointer(L, -1);
        if (mt == h->array_mt_p || mt == h->object_mt_p)
            lua_pop(L, 1);
        else if (lua_getfield(L, -1, "__switchhook_env") != LUA_TNIL) {
            lua_pop(L, 2); /* a file's environment guards itself */
            return;
        } else {
            lua_pop(L, 1);
            sh_lua_check_metatable(L, name);
            walk(L, name, depth + 1); /* the metatable, often a class */
            lua_pop(L, 1);
        }
    }
    move_contents(L);
    put_in_front(L, name);
    walk_fields(L, name, depth);
    lua_pop(L, 1);
}

/* A coroutine goes on where the last run left it, and so does the iterator that gmatch, pairs or
 * coroutine.wrap gave: its place is in its upvalues. */
static void check_state(lua_State *L, const char *name, int type)
{
    bool keeps = type == LUA_TTHREAD;
    for (int i = 1; !keeps && lua_iscfunction(L, -1) && lua_getupvalue(L, -1, i); i++) {
        keeps = lua_isthread(L, -1) || lua_type(L, -1) == LUA_TUSERDATA || lua_isinteger(L, -1);
        lua_pop(L, 1);
    }
    if (keeps)
        sh_lua_raise(L,
                     "'%s' holds %s: it would go on where the last run left it, and a run keeps "
                     "nothing to itself (make it inside the function that uses it)",
                     name, type == LUA_TTHREAD ? "a coroutine" : "a running iterator or coroutine");
}

static void walk(lua_State *L, const char *name, int depth)
{
    luaL_checkstack(L, 12, NULL);
    if (depth > MAX_WALK)
        sh_lua_raise(L, "'%s' is nested too deeply", name);
    int type = lua_type(L, -1);
    if (type == LUA_TTABLE)
        walk_table(L, name, depth);
    check_state(L, name, type);
    if (type != LUA_TFUNCTION || lua_iscfunction(L, -1) || seen(L, lua_gettop(L)))
        return;
    const char *up;
    for (int i = 1; (up = lua_getupvalue(L, -1, i)) != NULL; i++) {
        walk(L, up, depth + 1);
        lua_pop(L, 1);
    }
}

void sh_lua_freeze(lua_State *L, int idx, const char *name)
{
    lua_pushvalue(L, idx);
    walk(L, name, 0);
    lua_pop(L, 1);
}

void sh_lua_open_freeze(struct sh_host *h)
{
    static const luaL_Reg view[] = {
        {"__index", view_index}, {"__newindex", view_newindex}, {"__len", view_len}, {NULL, NULL}};
    lua_State *L = h->L;
    luaL_newlib(L, view);
    h->view_mt_p = lua_topointer(L, -1);
    h->view_mt = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    h->array_mt_p = lua_topointer(L, -1);
    h->array_mt = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    h->object_mt_p = lua_topointer(L, -1);
    h->object_mt = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &seen_key);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    h->metas = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* [-1, +1] The library table on top becomes the hidden part of a read-only one. */
static int no_member(lua_State *L)
{
    const char *lib = lua_tostring(L, lua_upvalueindex(1)), *best;
    if (lua_type(L, 2) != LUA_TSTRING) {
        lua_pushnil(L);
        return 1;
    }
    const char *name = lua_tostring(L, 2);
    best = sh_lua_nearest_key(L, 1, name);
    if (best)
        sh_lua_raise(L, "%s has no '%.100s' (did you mean '%s'?)", lib, name, best);
    sh_lua_raise(L, "%s.%.100s is not available here", lib, name);
}

void sh_lua_seal(lua_State *L, const char *name)
{
    lua_newtable(L);
    lua_insert(L, -2); /* front hidden */
    put_in_front(L, name);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, name);
    lua_pushcclosure(L, no_member, 1);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}
