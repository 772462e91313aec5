/* SPDX-License-Identifier: MIT
 * l_math.c: math, with a random that gives one event and rule the same values on each attempt. */
#include "lua/internal.h"

#include <lualib.h>
#include <string.h>

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

/* xoshiro256** 1.0, Blackman and Vigna, 2018 (public algorithm). */
static uint64_t next_random(uint64_t s[4])
{
    uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

/* splitmix64, Vigna: spreads a seed. */
static uint64_t mix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static void seed(struct sh_host *h, struct sh_lua_run *r)
{
    uint64_t x = r->job->id.hi;
    x = mix(&x) ^ r->job->id.lo;
    for (const char *p = sh_lua_rule_of(h, r)->name; *p; p++)
        x = (x ^ (unsigned char)*p) * 0x100000001b3U; /* FNV-1a over the rule's name */
    for (size_t i = 0; i < 4; i++)
        r->random[i] = mix(&x);
    r->seeded = true;
}

/* A number in 0..n without bias: the top bits are drawn until one fits. */
static uint64_t below(uint64_t s[4], uint64_t n)
{
    uint64_t mask = n;
    for (int shift = 1; shift < 64; shift *= 2)
        mask |= mask >> shift;
    for (;;) {
        uint64_t x = next_random(s) & mask;
        if (x <= n)
            return x;
    }
}

static int l_random(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    struct sh_lua_run *r = sh_lua_any_run(L, "math.random");
    if (!r->seeded)
        seed(h, r);
    lua_Integer low = 1, high;
    switch (lua_gettop(L)) {
    case 0:
        lua_pushnumber(L, (lua_Number)(next_random(r->random) >> 11) * 0x1p-53);
        return 1;
    case 1:
        high = luaL_checkinteger(L, 1);
        if (high == 0) {
            lua_pushinteger(L, (lua_Integer)next_random(r->random));
            return 1;
        }
        break;
    default:
        low = luaL_checkinteger(L, 1);
        high = luaL_checkinteger(L, 2);
    }
    if (low > high)
        sh_lua_raise(L, "math.random: the interval from %lld to %lld is empty", (long long)low,
                     (long long)high);
    uint64_t drawn = (uint64_t)low + below(r->random, (uint64_t)high - (uint64_t)low);
    lua_pushinteger(L, (lua_Integer)drawn);
    return 1;
}

/* Lua may be built with old functions too (math.pow, ..): a rule must not hang on that. */
void sh_lua_open_math(lua_State *L)
{
    static const char *const names[] = {
        "abs",  "acos", "asin", "atan", "ceil", "cos",        "deg",  "exp", "floor",
        "fmod", "huge", "log",  "max",  "min",  "maxinteger", "modf", "pi",  "mininteger",
        "rad",  "sin",  "sqrt", "tan",  "type", "tointeger",  "ult",  NULL};
    lua_pushcfunction(L, luaopen_math);
    lua_call(L, 0, 1);
    lua_newtable(L);
    for (size_t i = 0; names[i]; i++) {
        lua_getfield(L, -2, names[i]);
        lua_setfield(L, -2, names[i]);
    }
    lua_remove(L, -2);
    lua_pushcfunction(L, l_random);
    lua_setfield(L, -2, "random");
    sh_lua_seal(L, "math");
    lua_setfield(L, -2, "math");
}
