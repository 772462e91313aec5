/* SPDX-License-Identifier: MIT
 * l_timer.c: after(when, type, data, { name =, zone = }) and cancel(name): events that come later.
 */
#include "lua/internal.h"

#include <stdio.h>

static struct sh_slice name_of(lua_State *L, const char *what, struct sh_slice name)
{
    if (name.n == 0 || name.n > SH_MAX_RECORD_ID_BYTES)
        sh_lua_raise(L, "%s: 'name' must have 1 to %d bytes, got %zu", what, SH_MAX_RECORD_ID_BYTES,
                     name.n);
    return name;
}

static int l_after(lua_State *L)
{
    struct sh_lua_run *r = sh_lua_effect_run(L, "after");
    struct sh_effect fx = {.kind = SH_FX_TIMER, .is_int = true};
    const char *zone = sh_lua_zone(L);
    struct sh_when when;
    char local[120] = "";
    luaL_checkstack(L, 20, NULL);
    if (lua_gettop(L) > 4)
        sh_lua_raise(L, "after: at most 4 arguments expected, got %d", lua_gettop(L));
    lua_settop(L, 4);
    if (!lua_isnil(L, 4)) {
        int table = sh_arg_table(L, 4, "after", &sh_fields_after);
        if (sh_arg_text(L, table, "after", "name", &fx.id))
            name_of(L, "after", fx.id);
        zone = sh_arg_zone(L, table, "after");
    }
    fx.collection = sh_arg_type(L, 2, "after");
    lua_pushvalue(L, 1);
    sh_lua_when(L, r, "after", "when", zone, true, &when);
    fx.n_int = when.ms;
    if (when.zone) {
        int n = snprintf(local, sizeof(local), "%s %s", when.local, when.zone);
        fx.field = sh_slice(local, (size_t)n < sizeof(local) ? (size_t)n : 0);
    }
    fx.doc = sh_arg_data(L, 3, "after");
    sh_lua_add_effect(L, r, &fx);
    return 0;
}

static int l_cancel(lua_State *L)
{
    struct sh_lua_run *r = sh_lua_effect_run(L, "cancel");
    lua_settop(L, 1);
    if (lua_type(L, 1) != LUA_TSTRING)
        sh_lua_raise(L, "cancel: the timer's name must be a text, got %s", sh_lua_kind(L, 1));
    const struct sh_effect fx = {.kind = SH_FX_CANCEL,
                                 .id = name_of(L, "cancel", sh_arg_top(L, "cancel", "name"))};
    sh_lua_add_effect(L, r, &fx);
    return 0;
}

void sh_lua_open_timer(lua_State *L)
{
    static const luaL_Reg fns[] = {{"after", l_after}, {"cancel", l_cancel}, {NULL, NULL}};
    luaL_setfuncs(L, fns, 0);
}
