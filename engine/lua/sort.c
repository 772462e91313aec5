/* SPDX-License-Identifier: MIT
 * sort.c: table.sort as a merge sort. Lua's own picks pivots by the clock when a list resists it,
 * so that equal items came out in another order each time. This one is stable. */
#include "lua/internal.h"

enum { TABLE = 1, LESS, FROM, TO };

/* Does the value on top come before the one below it? Both stay. */
static bool comes_first(lua_State *L)
{
    if (lua_isnil(L, LESS))
        return lua_compare(L, -1, -2, LUA_OPLT) != 0;
    lua_pushvalue(L, LESS);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -4);
    lua_call(L, 2, 1);
    bool yes = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
    return yes;
}

/* Merge from[low..mid) and from[mid..high), both in order, into to. */
static void merge_runs(lua_State *L, int from, int to, lua_Integer low, lua_Integer mid,
                       lua_Integer high)
{
    lua_Integer a = low, b = mid;
    for (lua_Integer at = low; at < high; at++) {
        bool second = a == mid;
        if (a < mid && b < high) {
            lua_rawgeti(L, from, a);
            lua_rawgeti(L, from, b);
            second = comes_first(L);
            lua_pop(L, 2);
        }
        lua_rawgeti(L, from, second ? b++ : a++);
        lua_rawseti(L, to, at);
    }
}

int sh_lua_sort(lua_State *L)
{
    luaL_checktype(L, TABLE, LUA_TTABLE);
    lua_settop(L, LESS);
    if (!lua_isnil(L, LESS) && !lua_isfunction(L, LESS))
        sh_lua_raise(L, "table.sort: the order must be a function, got %s", sh_lua_kind(L, LESS));
    lua_Integer n = luaL_len(L, TABLE);
    if (n < 2)
        return 0;
    lua_createtable(L, (int)n, 0);
    lua_createtable(L, (int)n, 0);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_geti(L, TABLE, i);
        lua_rawseti(L, FROM, i);
    }
    int from = FROM, to = TO;
    for (lua_Integer width = 1; width < n; width *= 2) {
        for (lua_Integer low = 1; low <= n; low += 2 * width) {
            sh_budget_check(L);
            lua_Integer mid = low + width <= n ? low + width : n + 1;
            lua_Integer high = mid + width <= n ? mid + width : n + 1;
            merge_runs(L, from, to, low, mid, high);
        }
        from = to;
        to = FROM + TO - to;
    }
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, from, i);
        lua_seti(L, TABLE, i);
    }
    return 0;
}
