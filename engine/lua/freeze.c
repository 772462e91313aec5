/* SPDX-License-Identifier: MIT
 * freeze.c: tables that only look like tables: the event as `when` sees it, and what files share.
 *
 * A run may keep nothing in the file: two workers would not agree on it and a restart would forget
 * it. So every table that a file's functions can reach is made read-only in place once the file is
 * loaded, and again once all are (a module may be handed something later): its contents move to a
 * hidden table, and it becomes an empty one, a front, whose metatable reads there and refuses
 * writes. Nothing that an author's function is called with is ever a hidden table. Lua reads
 * metamethods past metatables, so where a front serves as a metatable (a class), it is its hidden
 * table that Lua gets: see sh_lua_meta_data() and sh_lua_meta_front(). */
#include "lua/internal.h"

#include <string.h>

const char sh_lua_own_mark, sh_lua_env_mark;
static const char behind;     /* key of the hidden table, in a view or in a read-only metatable */
static const char seen_key;   /* registry: functions and tables that were walked */
static const char fronts_key; /* registry: the front of each hidden table */
#define MAX_METAS 100         /* metatables of metatables */

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
        if (r->job->explain)
            sh_lua_name_view(L);
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
    if (sh_lua_explains(h))
        sh_lua_look_member(L);
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
    if (sh_lua_explains(sh_lua_host(L)))
        sh_lua_look_length(L, lua_tointeger(L, -1));
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

/* Upvalue: the author's __len or nil. */
static int frozen_len(lua_State *L)
{
    lua_settop(L, 1);
    if (lua_isnil(L, lua_upvalueindex(1))) {
        sh_lua_resolve(L, 1);
        lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 2));
        return 1;
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static int indexed(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    (void)context;
    return 1;
}

/* __index of a table that has one of its own. Upvalues: the hidden table, the author's __index,
 * which may be a function: it must see the front. */
static int frozen_index(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    if (!lua_isfunction(L, lua_upvalueindex(2))) {
        lua_pushvalue(L, 2);
        lua_gettable(L, lua_upvalueindex(2));
        return 1;
    }
    lua_settop(L, 2);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    lua_callk(L, 2, 1, 0, indexed);
    return 1;
}

void sh_lua_meta_data(lua_State *L, int idx)
{
    idx = lua_absindex(L, idx);
    sh_lua_resolve(L, idx);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &fronts_key);
    lua_pushvalue(L, -2); /* data fronts data */
    bool frozen = lua_rawget(L, -2) != LUA_TNIL;
    lua_pop(L, 2);
    if (!frozen) { /* a view's table, for one, is nobody's metatable */
        lua_pushvalue(L, idx);
        lua_replace(L, -2);
    }
}

void sh_lua_meta_front(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &fronts_key);
    lua_pushvalue(L, -2);
    if (lua_rawget(L, -2) != LUA_TNIL)
        lua_replace(L, -3);
    else
        lua_pop(L, 1);
    lua_pop(L, 1);
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

/* [.. table hidden] -> the same; the contents of table are in hidden. */
static void move_contents(lua_State *L)
{
    lua_pushnil(L);
    while (lua_next(L, -3)) { /* table hidden key value */
        lua_pushvalue(L, -2);
        lua_insert(L, -2); /* table hidden key key value */
        lua_rawset(L, -4);
        lua_pushvalue(L, -1);
        lua_pushnil(L);
        lua_rawset(L, -5);
    }
}

/* [.. meta own] -> [.. meta]: the operators of the metatable own are in meta. */
static void take_operators(lua_State *L)
{
    lua_pushnil(L);
    while (lua_next(L, -2)) { /* meta own name value */
        if (is_meta_name(L, -2)) {
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, -6);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* [.. table hidden] -> [.. table hidden meta]: the metatable that makes table read from hidden.
 * Operators of a class go on working. */
static void push_front_meta(lua_State *L, const char *name)
{
    int table = lua_gettop(L) - 1;
    lua_newtable(L);
    if (lua_getmetatable(L, table)) {
        sh_lua_meta_data(L, -1);
        lua_remove(L, -2);
        take_operators(L);
    }
    lua_pushvalue(L, table + 1);
    lua_rawsetp(L, -2, &behind);
    lua_pushvalue(L, table + 1);
    if (lua_getfield(L, -2, "__index") != LUA_TNIL) /* meta hidden index */
        lua_pushcclosure(L, frozen_index, 2);
    else
        lua_pop(L, 1);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, name);
    lua_pushcclosure(L, frozen_newindex, 1);
    lua_setfield(L, -2, "__newindex");
    lua_getfield(L, -1, "__len");
    lua_pushcclosure(L, frozen_len, 1);
    lua_setfield(L, -2, "__len");
}

/* [.. table hidden meta] -> [.. table hidden]: table has become the front of hidden. */
static void put_in_front(lua_State *L)
{
    lua_setmetatable(L, -3);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &fronts_key);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -4); /* table hidden fronts hidden table */
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

static bool is_mark(const struct sh_host *h, const void *mt)
{
    return mt == h->array_mt_p || mt == h->object_mt_p;
}

/* Is the metatable on top of L the host's own? */
static bool is_own(lua_State *L)
{
    bool own = lua_rawgetp(L, -1, &sh_lua_own_mark) != LUA_TNIL;
    lua_pop(L, 1);
    return own;
}

/* Make the table on top of L a front, and its metatable before it; metas: how many led here. */
static void freeze_table(lua_State *L, const char *name, int metas)
{
    luaL_checkstack(L, 16, NULL);
    sh_lua_resolve(L, -1);
    bool frozen = !lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    if (frozen)
        return;
    if (lua_getmetatable(L, -1)) {
        sh_lua_meta_front(L);
        bool mark = is_mark(sh_lua_host(L), lua_topointer(L, -1)), own = is_own(L);
        if (!mark && !own)
            sh_lua_check_metatable(L, name);
        if (metas == MAX_METAS)
            sh_lua_raise(L, "'%s' has metatables of metatables without end", name);
        if (!mark && !own && !lua_rawequal(L, -1, -2))
            freeze_table(L, name, metas + 1);
        lua_pop(L, 1);
        if (own)
            return; /* a file's environment guards itself */
    }
    lua_newtable(L);
    push_front_meta(L, name); /* table hidden meta */
    if (lua_getmetatable(L, -3))
        lua_setmetatable(L, -3);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    move_contents(L);
    lua_pop(L, 2);
    put_in_front(L);
    lua_pop(L, 1);
}

/* --- walking --------------------------------------------------------------------------------- */

/* What is still to be walked: values and their names in turn, in the table at that index. */
struct todo {
    lua_State *L;
    int table;
    lua_Integer n;
};

/* Pop the value on top of L and keep it for later, if it can hold anything. */
static void later(struct todo *t, const char *name)
{
    int type = lua_type(t->L, -1);
    if (type != LUA_TTABLE && type != LUA_TFUNCTION && type != LUA_TTHREAD) {
        lua_pop(t->L, 1);
        return;
    }
    char inner[SH_LUA_NAME];
    strncpy(inner, name, sizeof(inner) - 1);
    inner[sizeof(inner) - 1] = '\0';
    lua_rawseti(t->L, t->table, ++t->n);
    lua_pushstring(t->L, inner);
    lua_rawseti(t->L, t->table, ++t->n);
}

/* The fields of the table on top of L; up: its name, NULL for a file's globals. */
static void walk_fields(struct todo *t, const char *up)
{
    lua_State *L = t->L;
    lua_pushnil(L);
    while (lua_next(L, -2)) { /* table key value */
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        if (up)
            lua_pushfstring(L, key ? "%s.%s" : "%s[..]", up, key);
        else
            lua_pushstring(L, key ? key : "?");
        lua_insert(L, -2); /* table key name value */
        later(t, lua_tostring(L, -2));
        lua_pop(L, 1);
    }
}

static void walk_table(struct todo *t, const char *name)
{
    lua_State *L = t->L;
    int table = lua_gettop(L);
    if (lua_getmetatable(L, table) && lua_rawgetp(L, -1, &sh_lua_env_mark) != LUA_TNIL) {
        walk_fields(t, NULL);
        lua_settop(L, table);
        return;
    }
    lua_settop(L, table);
    freeze_table(L, name, 0);
    sh_lua_resolve(L, table); /* table hidden */
    if (lua_getmetatable(L, -1)) {
        if (is_own(L)) { /* a library */
            lua_settop(L, table);
            return;
        }
        sh_lua_meta_front(L);
        if (is_mark(sh_lua_host(L), lua_topointer(L, -1)))
            lua_pop(L, 1);
        else
            later(t, name); /* often a class */
    }
    walk_fields(t, name);
    lua_settop(L, table);
}

/* A coroutine goes on where the last run left it, and so does the iterator that gmatch, pairs or
 * coroutine.wrap gave: its place is in its upvalues. */
static void check_state(lua_State *L, const char *name)
{
    bool keeps = lua_isthread(L, -1);
    for (int i = 1; !keeps && lua_iscfunction(L, -1) && lua_getupvalue(L, -1, i); i++) {
        keeps = lua_isthread(L, -1) || lua_type(L, -1) == LUA_TUSERDATA || lua_isinteger(L, -1);
        lua_pop(L, 1);
    }
    if (keeps)
        sh_lua_raise(L,
                     "'%s' holds %s: it would go on where the last run left it, and a run keeps "
                     "nothing to itself (make it inside the function that uses it)",
                     name, lua_isthread(L, -1) ? "a coroutine" : "a running iterator or coroutine");
}

static void walk_upvalues(struct todo *t)
{
    const char *up;
    for (int i = 1; (up = lua_getupvalue(t->L, -1, i)) != NULL; i++)
        later(t, up);
}

/* The value on top of L, below it the list. */
static void walk(struct todo *t, const char *name)
{
    lua_State *L = t->L;
    check_state(L, name);
    if (lua_isthread(L, -1) || lua_iscfunction(L, -1) || seen(L, lua_gettop(L)))
        return;
    if (lua_istable(L, -1))
        walk_table(t, name);
    else
        walk_upvalues(t);
}

void sh_lua_freeze(lua_State *L, int idx, const char *name)
{
    luaL_checkstack(L, 16, NULL);
    lua_pushvalue(L, idx);
    lua_newtable(L);
    lua_insert(L, -2);
    struct todo t = {.L = L, .table = lua_gettop(L) - 1};
    later(&t, name);
    while (t.n > 0) {
        lua_rawgeti(L, t.table, t.n--);
        lua_rawgeti(L, t.table, t.n--); /* list name value */
        walk(&t, lua_tostring(L, -2));
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
}

void sh_lua_freeze_anew(lua_State *L)
{
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &seen_key);
}

void sh_lua_open_freeze(struct sh_host *h)
{
    static const luaL_Reg view[] = {
        {"__index", view_index}, {"__newindex", view_newindex}, {"__len", view_len}, {NULL, NULL}};
    lua_State *L = h->L;
    luaL_newlib(L, view);
    sh_lua_own(L);
    h->view_mt_p = lua_topointer(L, -1);
    h->view_mt = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    h->array_mt_p = lua_topointer(L, -1);
    h->array_mt = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    h->object_mt_p = lua_topointer(L, -1);
    h->object_mt = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &fronts_key);
    sh_lua_freeze_anew(L);
}

void sh_lua_own(lua_State *L)
{
    lua_pushboolean(L, 1);
    lua_rawsetp(L, -2, &sh_lua_own_mark);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
}

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
    push_front_meta(L, name);
    put_in_front(L);
    lua_createtable(L, 0, 2);
    sh_lua_own(L);
    lua_pushstring(L, name);
    lua_pushcclosure(L, no_member, 1);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}
