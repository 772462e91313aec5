/* SPDX-License-Identifier: MIT
 * sandbox.c: what a rule file sees as its globals. An allow-list: nothing is there by accident. */
#include "lua/internal.h"

#include <lualib.h>
#include <math.h>
#include <string.h>

#define KEEP_METAS 1000

/* --- globals that are not there ------------------------------------------------------------- */

static const char *const absent[][2] = {
    {"every", "is a field of rule \"Name\" { every = ..., run = ... }, not a function"},
    {"os", "is not available to rules: now() is the time, a run has no other way out than effects"},
    {"io", "is not available to rules: a run has no files; log.info() writes a line"},
    {"debug", "is not available to rules"},
    {"package", "is not available to rules: require \"name\" finds scripts/name.lua"},
    {"load", "is not available to rules: put the code in a file"},
    {"loadstring", "is not available to rules: put the code in a file"},
    {"loadfile", "is not available to rules: require \"name\" finds scripts/name.lua"},
    {"dofile", "is not available to rules: require \"name\" finds scripts/name.lua"},
    {"collectgarbage", "is not available to rules"},
    {"rawset", "is not available to rules"},
    {"rawget", "is not available to rules"},
    {"rawlen", "is not available to rules"},
    {"warn", "is not available to rules: use log.warn"},
    {"_G", "is not available to rules: each file has globals of its own"},
    {NULL, NULL}};

static int undefined(lua_State *L)
{
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    const char *name = lua_tostring(L, 2), *best;
    for (size_t i = 0; absent[i][0]; i++)
        if (strcmp(name, absent[i][0]) == 0)
            sh_lua_raise(L, "%s %s", name, absent[i][1]);
    best = sh_lua_nearest_key(L, 1, name);
    if (best)
        sh_lua_raise(L, "undefined variable '%.100s' (did you mean '%s'?)", name, best);
    sh_lua_raise(L, "undefined variable '%.100s'", name);
}

/* Upvalues: the file's own variables, the host's globals. */
static int env_newindex(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "?";
    if (!h->load)
        sh_lua_raise(L,
                     "a run cannot assign the global '%.100s': it keeps nothing to itself (make it "
                     "local; to remember something, records are for that)",
                     name);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL)
        sh_lua_raise(L, "'%.100s' is part of the rule API: choose another name", name);
    lua_settop(L, 3);
    lua_rawset(L, lua_upvalueindex(1));
    return 0;
}

void sh_lua_push_env(lua_State *L)
{
    const struct sh_host *h = sh_lua_host(L);
    lua_newtable(L); /* env */
    lua_newtable(L); /* env meta */
    lua_newtable(L); /* env meta vars */
    lua_newtable(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->globals);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__index");
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->globals);
    lua_pushcclosure(L, env_newindex, 2);
    lua_setfield(L, -2, "__newindex");
    sh_lua_own(L);
    lua_getfield(L, -1, "__index");
    lua_rawsetp(L, -2, &sh_lua_env_mark);
    lua_setmetatable(L, -2);
}

/* --- base ------------------------------------------------------------------------------------ */

/* Text of the value at idx without any address. [-0, +1, e] */
static void push_text(lua_State *L, int idx)
{
    int type = lua_type(L, idx);
    if (luaL_callmeta(L, idx, "__tostring")) {
        if (!lua_isstring(L, -1))
            sh_lua_raise(L, "'__tostring' must return a string");
    } else if (type == LUA_TLIGHTUSERDATA && lua_touserdata(L, idx) == &sh_lua_null) {
        lua_pushliteral(L, "null");
    } else if (type == LUA_TTABLE || type == LUA_TFUNCTION || type == LUA_TTHREAD ||
               type == LUA_TUSERDATA || type == LUA_TLIGHTUSERDATA) {
        if (luaL_getmetafield(L, idx, "__name") != LUA_TSTRING)
            lua_pushstring(L, lua_typename(L, type));
    } else {
        luaL_tolstring(L, idx, NULL);
    }
}

static int l_tostring(lua_State *L)
{
    luaL_checkany(L, 1);
    push_text(L, 1);
    return 1;
}

/* Is the metatable on top of L the host's own? */
static bool protected(lua_State *L)
{
    const struct sh_host *h = sh_lua_host(L);
    const void *mt = lua_topointer(L, -1);
    if (mt == h->array_mt_p || mt == h->object_mt_p)
        return true;
    bool yes = lua_rawgetp(L, -1, &sh_lua_own_mark) != LUA_TNIL;
    lua_pop(L, 1);
    return yes;
}

static int l_getmetatable(lua_State *L)
{
    luaL_checkany(L, 1);
    if (!lua_istable(L, 1)) {
        lua_pushnil(L); /* the metatable of strings is shared by all */
        return 1;
    }
    sh_lua_resolve(L, 1);
    if (!lua_getmetatable(L, -1) || protected(L))
        lua_pushnil(L);
    else
        sh_lua_meta_front(L);
    return 1;
}

/* They would make a run hang on when the collector works, or take a metatable out of sight. */
static const char *const refused[] = {"__gc", "__mode", "__metatable", NULL};

/* The first of them that the metatable on top of L has. */
static const char *refused_field(lua_State *L)
{
    for (size_t i = 0; refused[i]; i++) {
        lua_pushstring(L, refused[i]);
        bool there = lua_rawget(L, -2) != LUA_TNIL;
        lua_pop(L, 1);
        if (there)
            return refused[i];
    }
    return NULL;
}

void sh_lua_check_metatable(lua_State *L, const char *what)
{
    if (protected(L))
        return;
    sh_lua_meta_data(L, -1);
    const char *field = refused_field(L);
    lua_pop(L, 1);
    if (field)
        sh_lua_raise(L, "%s: %s is not available to rules", what, field);
}

/* Fields may be added to a metatable later: it is looked at again when the stretch ends. */
static void note_metatable(lua_State *L, int idx)
{
    struct sh_host *h = sh_lua_host(L);
    if (!h->run)
        return; /* what a file makes is checked when it is made read-only */
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->metas);
    lua_pushvalue(L, idx);
    lua_pushlightuserdata(L, h->run);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    h->metas_used = true;
}

/* lua_CFunction: an empty list in place of the last one. */
static int forget_metas(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    if (h->metas)
        lua_rawseti(L, LUA_REGISTRYINDEX, h->metas);
    else
        h->metas = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

const char *sh_lua_metas_changed(struct sh_host *h, const struct sh_lua_run *r, bool over)
{
    lua_State *L = h->L;
    const char *field = NULL;
    size_t n = 0;
    h->metas_used = false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->metas);
    lua_pushnil(L);
    while (lua_next(L, -2)) { /* metas mt run */
        bool mine = lua_touserdata(L, -1) == r;
        lua_pop(L, 1);
        n++;
        if (mine && !field)
            field = refused_field(L);
        if (mine && over) {
            lua_pushvalue(L, -1);
            lua_pushnil(L);
            lua_rawset(L, -4);
        } else {
            h->metas_used = true;
        }
    }
    lua_pop(L, 1);
    if (n > KEEP_METAS && !h->metas_used) { /* a table never gets smaller */
        lua_pushcfunction(L, forget_metas);
        if (lua_pcall(L, 0, 0, 0) != LUA_OK)
            lua_pop(L, 1);
    }
    return field;
}

void sh_lua_check_writable(lua_State *L, int idx, const char *why)
{
    int top = lua_gettop(L);
    const struct sh_host *h = sh_lua_host(L);
    sh_lua_resolve(L, idx);
    bool ok = lua_rawequal(L, idx, -1);
    if (ok && lua_getmetatable(L, idx)) {
        const void *mt = lua_topointer(L, -1);
        ok = mt == h->array_mt_p || mt == h->object_mt_p || !protected(L);
    }
    lua_settop(L, top);
    if (!ok)
        sh_lua_raise(L, "%s", why);
}

static int l_setmetatable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    if (!lua_istable(L, 2) && !lua_isnil(L, 2))
        sh_lua_raise(L, "setmetatable: 'metatable' must be a table or nil, got %s",
                     sh_lua_kind(L, 2));
    lua_settop(L, 2);
    sh_lua_check_writable(L, 1, "setmetatable: this table is read-only here");
    if (lua_isnil(L, 2)) {
        lua_setmetatable(L, 1);
        return 1;
    }
    sh_lua_meta_data(L, 2); /* 3 */
    const char *field = refused_field(L);
    if (field)
        sh_lua_raise(L, "setmetatable: %s is not available to rules", field);
    if (lua_rawequal(L, 2, 3)) /* else it is read-only, and nothing can be added */
        note_metatable(L, 2);
    lua_setmetatable(L, 1);
    lua_settop(L, 1);
    return 1;
}

/* --- string ---------------------------------------------------------------------------------- */

/* The wrapped function (upvalue 1, in C and without upvalues), in the frame of its wrapper, so that
 * its errors know by which name it was called. */
static int original(lua_State *L)
{
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static int l_rep(lua_State *L)
{
    size_t n, sep_n;
    luaL_checklstring(L, 1, &n);
    lua_Integer times = luaL_checkinteger(L, 2);
    luaL_optlstring(L, 3, "", &sep_n);
    size_t cap = (size_t)sh_lua_host(L)->budgets.memory_bytes;
    if (times <= 0 || n + sep_n == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if ((lua_Unsigned)times > cap / (n + sep_n))
        sh_lua_raise(L, "string.rep: the result would be over the memory budget of %zu KiB",
                     cap / 1024);
    return original(L);
}

/* Turns values that have no text of their own into one, refuses %p, then the real format. */
static int l_format(lua_State *L)
{
    int arg = 1, top = lua_gettop(L);
    size_t n;
    const char *f = luaL_checklstring(L, 1, &n);
    for (const char *end = f + n; f < end; f++) { /* a NUL byte does not end it */
        if (*f != '%' || *++f == '%')
            continue;
        f += strspn(f, "-+ #0123456789.");
        if (f >= end)
            break;
        arg++;
        if (*f == 'p')
            sh_lua_raise(L, "string.format: %%p would show an address, which differs each time");
        if (*f == 's' && arg <= top && !lua_isstring(L, arg)) {
            push_text(L, arg);
            lua_replace(L, arg);
        }
    }
    return original(L);
}

static void copy_names(lua_State *L, const char *const *names)
{
    for (; *names; names++) { /* from to */
        lua_getfield(L, -2, *names);
        lua_setfield(L, -2, *names);
    }
}

/* Replace to[name] by fn with the original as its upvalue. */
static void wrap(lua_State *L, const char *name, lua_CFunction fn)
{
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, fn, 1);
    lua_setfield(L, -2, name);
}

static void open_string(lua_State *L, int globals)
{
    static const char *const names[] = {"byte",  "char",  "find",     "format", "gmatch",  "gsub",
                                        "len",   "lower", "match",    "rep",    "reverse", "sub",
                                        "upper", "pack",  "packsize", "unpack", NULL};
    lua_pushcfunction(L, luaopen_string);
    lua_call(L, 0, 1);
    lua_newtable(L);
    copy_names(L, names);
    wrap(L, "rep", l_rep);
    wrap(L, "format", l_format);
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 2);
    sh_lua_seal(L, "string");
    lua_setfield(L, globals, "string");
    lua_pop(L, 1);
}

/* --- table ----------------------------------------------------------------------------------- */

static void check_span(lua_State *L, const char *what, lua_Integer from, lua_Integer to)
{
    if (to >= from && (lua_Unsigned)to - (lua_Unsigned)from >= SH_LUA_SPAN)
        sh_lua_raise(L, "table.%s: more than %d items at once", what, SH_LUA_SPAN);
}

/* A __len may say anything; these would loop over it in C, where no budget reaches. */
static int spanned(lua_State *L)
{
    const char *what = lua_tostring(L, lua_upvalueindex(2));
    luaL_checkany(L, 1);
    if (lua_istable(L, 1) && lua_getmetatable(L, 1)) {
        lua_pop(L, 1);
        check_span(L, what, 1, luaL_len(L, 1));
    }
    if (strcmp(what, "concat") == 0)
        check_span(L, what, luaL_optinteger(L, 3, 1),
                   lua_isnoneornil(L, 4) ? 1 : luaL_checkinteger(L, 4));
    if (strcmp(what, "move") == 0)
        check_span(L, what, luaL_checkinteger(L, 2), luaL_checkinteger(L, 3));
    return original(L);
}

static void open_table(lua_State *L, int globals)
{
    static const char *const names[] = {"concat", "insert", "move", "pack",
                                        "remove", "unpack", NULL};
    static const char *const guarded[] = {"concat", "insert", "move", "remove", "sort", NULL};
    lua_pushcfunction(L, luaopen_table);
    lua_call(L, 0, 1);
    lua_newtable(L);
    copy_names(L, names);
    lua_pushcfunction(L, sh_lua_sort);
    lua_setfield(L, -2, "sort");
    for (size_t i = 0; guarded[i]; i++) {
        lua_getfield(L, -1, guarded[i]);
        lua_pushstring(L, guarded[i]);
        lua_pushcclosure(L, spanned, 2);
        lua_setfield(L, -2, guarded[i]);
    }
    sh_lua_seal(L, "table");
    lua_setfield(L, globals, "table");
    lua_pop(L, 1);
}

static void open_utf8(lua_State *L, int globals)
{
    static const char *const names[] = {"char", "charpattern", "codepoint", "codes",
                                        "len",  "offset",      NULL};
    lua_pushcfunction(L, luaopen_utf8);
    lua_call(L, 0, 1);
    lua_newtable(L);
    copy_names(L, names);
    sh_lua_seal(L, "utf8");
    lua_setfield(L, globals, "utf8");
    lua_pop(L, 1);
}

static void open_base(lua_State *L, int globals)
{
    static const char *const names[] = {"assert", "error",    "ipairs",   "rawequal", "select",
                                        "type",   "tonumber", "_VERSION", NULL};
    static const luaL_Reg own[] = {
        {"tostring", l_tostring},         {"getmetatable", l_getmetatable},
        {"setmetatable", l_setmetatable}, {"rule", sh_lua_rule},
        {"require", sh_lua_require},      {NULL, NULL}};
    lua_pushcfunction(L, luaopen_base);
    lua_call(L, 0, 1);
    lua_pushvalue(L, globals);
    copy_names(L, names);
    luaL_setfuncs(L, own, 0);
    static const struct {
        const char *name;
        int seconds;
    } units[] = {{"second", 1}, {"minute", 60}, {"hour", 3600}, {"day", 86400}};
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        lua_pushinteger(L, units[i].seconds);
        lua_setfield(L, -2, units[i].name);
    }
    lua_pop(L, 2);
}

void sh_lua_open_sandbox(struct sh_host *h)
{
    lua_State *L = h->L;
    lua_newtable(L);
    int globals = lua_gettop(L);
    lua_pushvalue(L, globals);
    h->globals = luaL_ref(L, LUA_REGISTRYINDEX);
    h->globals_p = lua_topointer(L, globals);
    sh_lua_open_freeze(h);
    forget_metas(L);
    open_base(L, globals);
    open_string(L, globals);
    open_table(L, globals);
    open_utf8(L, globals);
    sh_lua_open_protected(L);
    sh_lua_open_order(L);
    sh_lua_open_math(L);
    sh_lua_open_json(L);
    sh_lua_open_log(L);
    sh_lua_open_text(L);
    sh_lua_open_time(L);
    sh_lua_open_secret(L);
    sh_lua_open_effects(L);
    sh_lua_open_callback(L);
    sh_lua_open_email(L);
    sh_lua_open_http(L);
    sh_lua_open_timer(L);
    sh_lua_open_records(L);
    lua_newtable(L);
    lua_pushcfunction(L, undefined);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, globals);
    lua_settop(L, globals - 1);
    lua_newtable(L); /* the host's own globals table holds nothing */
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
}
