/* SPDX-License-Identifier: MIT
 * order.c: pairs and next in a defined order, so that a run does the same on every machine:
 * integer keys ascending, other numbers, strings byte by byte, false, true. */
#include "lua/internal.h"

#include <stdlib.h>
#include <string.h>

int sh_lua_key_compare(const void *pa, const void *pb)
{
    const struct sh_key *a = pa, *b = pb;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->kind == 1)
        return a->d < b->d ? -1 : a->d > b->d;
    if (a->kind != 2)
        return a->i < b->i ? -1 : a->i > b->i;
    size_t n = a->n < b->n ? a->n : b->n;
    int c = memcmp(a->s, b->s, n);
    return c ? c : a->n < b->n ? -1 : a->n > b->n;
}

/* The key at idx, which must stay alive. */
static struct sh_key key_at(lua_State *L, int idx)
{
    struct sh_key k = {0};
    switch (lua_type(L, idx)) {
    case LUA_TSTRING:
        k.kind = 2;
        k.s = lua_tolstring(L, idx, &k.n);
        break;
    case LUA_TNUMBER:
        k.kind = lua_isinteger(L, idx) ? 0 : 1;
        if (k.kind)
            k.d = lua_tonumber(L, idx);
        else
            k.i = lua_tointeger(L, idx);
        break;
    case LUA_TBOOLEAN:
        k.kind = 3;
        k.i = lua_toboolean(L, idx);
        break;
    default:
        sh_lua_raise(L, "a table with %s as a key has no defined order (use text or numbers)",
                     sh_lua_kind(L, idx));
    }
    return k;
}

void sh_lua_push_key(lua_State *L, const struct sh_key *k)
{
    if (k->kind == 2)
        lua_pushlstring(L, k->s, k->n);
    else if (k->kind == 0)
        lua_pushinteger(L, k->i);
    else if (k->kind == 1)
        lua_pushnumber(L, k->d);
    else
        lua_pushboolean(L, k->i != 0);
}

static void add_key(struct sh_host *h, struct sh_key k)
{
    if (h->n_keys == h->cap_keys) {
        h->cap_keys = h->cap_keys ? h->cap_keys * 2 : 64;
        h->keys = sh_realloc(h->keys, h->cap_keys * sizeof(*h->keys));
    }
    h->keys[h->n_keys++] = k;
}

static void sort_keys(struct sh_key *k, size_t n)
{
    if (n > 24) {
        qsort(k, n, sizeof(*k), sh_lua_key_compare);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        struct sh_key x = k[i];
        size_t j = i;
        for (; j > 0 && sh_lua_key_compare(&k[j - 1], &x) > 0; j--)
            k[j] = k[j - 1];
        k[j] = x;
    }
}

size_t sh_lua_keys(lua_State *L, int idx)
{
    struct sh_host *h = sh_lua_host(L);
    size_t first = h->n_keys;
    luaL_checkstack(L, 3, NULL);
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        lua_pop(L, 1);
        add_key(h, key_at(L, -1));
    }
    sort_keys(h->keys + first, h->n_keys - first);
    return h->n_keys - first;
}

/* next(t [, key]): the first key after key. Without a list of keys: one pass over the table. */
static int l_next(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    bool from_start = lua_isnil(L, 2);
    struct sh_key after = {0}, best = {0};
    if (!from_start)
        after = key_at(L, 2);
    int whole = 0;
    lua_Integer i = lua_tointegerx(L, 2, &whole);
    if (after.kind == 1 && whole)
        after = (struct sh_key){.i = i};
    bool found = false;
    if (sh_lua_explains(sh_lua_host(L)))
        sh_lua_look_whole(L, 1);
    sh_lua_resolve(L, 1); /* 3 */
    lua_pushnil(L);
    while (lua_next(L, 3)) {
        lua_pop(L, 1);
        struct sh_key k = key_at(L, -1);
        if (!from_start && sh_lua_key_compare(&k, &after) <= 0)
            continue;
        if (!found || sh_lua_key_compare(&k, &best) < 0)
            best = k;
        found = true;
    }
    if (!found) {
        lua_pushnil(L);
        return 1;
    }
    sh_lua_push_key(L, &best);
    lua_pushvalue(L, -1);
    lua_gettable(L, 1); /* through a view, so that what is inside is read-only too */
    return 2;
}

/* Upvalues: 1 table, 2 keys or the length of a plain sequence, 3 place of the last key. */
static int pairs_step(lua_State *L)
{
    lua_Integer at = lua_tointeger(L, lua_upvalueindex(3));
    bool listed = lua_istable(L, lua_upvalueindex(2));
    for (;;) {
        at++;
        if (listed)
            lua_rawgeti(L, lua_upvalueindex(2), at);
        else if (at <= lua_tointeger(L, lua_upvalueindex(2)))
            lua_pushinteger(L, at);
        else
            lua_pushnil(L);
        if (lua_isnil(L, -1))
            return 1;
        lua_pushvalue(L, -1);
        lua_gettable(L, lua_upvalueindex(1));
        if (!lua_isnil(L, -1))
            break;
        lua_pop(L, 2); /* removed on the way */
    }
    lua_pushinteger(L, at);
    lua_replace(L, lua_upvalueindex(3));
    return 2;
}

/* Are the keys exactly 1..n? The sorted keys are on top of h->keys. */
static bool is_sequence(const struct sh_key *k, size_t n)
{
    return n == 0 ||
           (k[0].kind == 0 && k[0].i == 1 && k[n - 1].kind == 0 && k[n - 1].i == (lua_Integer)n);
}

static int l_pairs(lua_State *L)
{
    luaL_checkany(L, 1);
    if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
        lua_pushvalue(L, 1);
        lua_call(L, 1, 3);
        return 3;
    }
    if (!lua_istable(L, 1))
        sh_lua_raise(L, "pairs: a table expected, got %s", sh_lua_kind(L, 1));
    struct sh_host *h = sh_lua_host(L);
    lua_settop(L, 1);
    if (sh_lua_explains(h))
        sh_lua_look_whole(L, 1);
    sh_lua_resolve(L, 1); /* 2 */
    h->n_keys = 0;        /* an error on the way to the order leaves some behind */
    size_t base = h->n_keys, n = sh_lua_keys(L, 2);
    lua_pushvalue(L, 1);
    if (is_sequence(h->keys + base, n)) {
        lua_pushinteger(L, (lua_Integer)n);
    } else {
        lua_createtable(L, (int)n, 0);
        for (size_t i = 0; i < n; i++) {
            sh_lua_push_key(L, &h->keys[base + i]);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
    }
    h->n_keys = base;
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, pairs_step, 3);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

void sh_lua_open_order(lua_State *L)
{
    static const luaL_Reg fns[] = {{"pairs", l_pairs}, {"next", l_next}, {NULL, NULL}};
    luaL_setfuncs(L, fns, 0);
}
