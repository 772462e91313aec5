/* SPDX-License-Identifier: MIT
 * l_json.c: json.encode, decode, null, array, object. */
#include "lua/internal.h"

#include "svc/json.h"

#include <stdio.h>

static int json_encode(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    luaL_checkany(L, 1);
    sh_buf_reset(&h->scratch);
    h->n_keys = 0;
    sh_lua_write_json(L, 1, &h->scratch, "json.encode: value");
    if (!sh_buf_ok(&h->scratch))
        sh_lua_raise(L, "json.encode: the text is over %zu bytes", h->scratch.max);
    lua_pushlstring(L, h->scratch.data, h->scratch.len);
    return 1;
}

static int json_decode(lua_State *L)
{
    size_t n;
    struct sh_json_fault fault;
    if (lua_type(L, 1) != LUA_TSTRING)
        sh_lua_raise(L, "json.decode: a string expected, got %s", sh_lua_kind(L, 1));
    const char *text = lua_tolstring(L, 1, &n);
    if (!sh_json_check(text, n, &fault))
        sh_lua_raise(L, "json.decode: line %zu, column %zu: %s", fault.line, fault.col, fault.msg);
    sh_lua_push_json(L, sh_slice(text, n), false);
    return 1;
}

static int mark(lua_State *L, int ref, const char *what)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    if (!lua_istable(L, 1))
        sh_lua_raise(L, "%s: a table expected, got %s", what, sh_lua_kind(L, 1));
    char why[100];
    snprintf(why, sizeof(why), "%s: this table is read-only here (copy() it first)", what);
    sh_lua_check_writable(L, 1, why);
    lua_settop(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    lua_setmetatable(L, 1);
    lua_settop(L, 1);
    return 1;
}

static int json_array(lua_State *L)
{
    return mark(L, sh_lua_host(L)->array_mt, "json.array");
}

static int json_object(lua_State *L)
{
    return mark(L, sh_lua_host(L)->object_mt, "json.object");
}

void sh_lua_open_json(lua_State *L)
{
    static const luaL_Reg fns[] = {{"encode", json_encode},
                                   {"decode", json_decode},
                                   {"array", json_array},
                                   {"object", json_object},
                                   {NULL, NULL}};
    luaL_newlib(L, fns);
    lua_pushlightuserdata(L, (void *)&sh_lua_null);
    lua_setfield(L, -2, "null");
    sh_lua_seal(L, "json");
    lua_setfield(L, -2, "json");
}
