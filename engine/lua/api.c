/* SPDX-License-Identifier: MIT
 * api.c: runs the printer of the API's description, in a Lua state of its own: it is the engine's
 * code, not an author's. */
#include "lua/api.h"

#include "lua/internal.h"

#include <lualib.h>
#include <stdlib.h>
#include <string.h>

const char *const sh_api_formats[] = {"luals", "markdown", "luacheck", "json", NULL};

extern const unsigned char sh_embed_api_print[], sh_embed_api_rules[], sh_embed_api_effects[],
    sh_embed_api_events[], sh_embed_api_std[];
extern const size_t sh_embed_api_print_size, sh_embed_api_rules_size, sh_embed_api_effects_size,
    sh_embed_api_events_size, sh_embed_api_std_size;

static void load(lua_State *L, const unsigned char *text, size_t n, const char *name)
{
    if (luaL_loadbufferx(L, (const char *)text, n, name, "t") != LUA_OK)
        sh_die("%s", lua_tostring(L, -1));
}

static void call(lua_State *L, int n_args)
{
    if (lua_pcall(L, n_args, 1, 0) != LUA_OK)
        sh_die("api: %s", lua_tostring(L, -1));
}

/* The pages come in this order. */
static int push_topics(lua_State *L)
{
    load(L, sh_embed_api_rules, sh_embed_api_rules_size, "=api_rules");
    call(L, 0);
    load(L, sh_embed_api_effects, sh_embed_api_effects_size, "=api_effects");
    call(L, 0);
    load(L, sh_embed_api_events, sh_embed_api_events_size, "=api_events");
    call(L, 0);
    load(L, sh_embed_api_std, sh_embed_api_std_size, "=api_std");
    call(L, 0);
    return 4;
}

bool sh_api_print(const char *format, sh_api_file_fn *each, void *arg)
{
    bool go_on = true;
    lua_State *L = luaL_newstate();
    sh_require(L != NULL);
    luaL_openlibs(L);
    load(L, sh_embed_api_print, sh_embed_api_print_size, "=api_print");
    lua_pushstring(L, format);
    call(L, push_topics(L) + 1);
    sh_require(lua_istable(L, -1));
    for (lua_Integer i = 1; go_on && lua_rawgeti(L, -1, i) == LUA_TTABLE; i++) {
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2); /* files file name text */
        go_on = each(arg, lua_tostring(L, -2), lua_tostring(L, -1));
        lua_pop(L, 3);
    }
    lua_close(L);
    return go_on;
}

/* --- what is really there -------------------------------------------------------------------- */

struct names {
    char **list; /* owned texts */
    size_t n, cap;
};

/* Each key of the table on top, after `lib.`; members of tables too, one level deep. */
static void add_names(lua_State *L, struct names *names, const char *lib)
{
    lua_pushnil(L);
    while (lua_next(L, -2)) { /* table key value */
        if (lua_type(L, -2) == LUA_TSTRING) {
            if (names->n == names->cap) {
                names->cap = names->cap ? 2 * names->cap : 64;
                names->list = sh_realloc(names->list, names->cap * sizeof(*names->list));
            }
            char *name = sh_strf("%s%s%s", lib ? lib : "", lib ? "." : "", lua_tostring(L, -2));
            names->list[names->n++] = name;
            if (!lib && lua_istable(L, -1)) {
                sh_lua_resolve(L, -1);
                add_names(L, names, name);
                lua_pop(L, 1);
            }
        }
        lua_pop(L, 1);
    }
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *sh_host_names(struct sh_host *h)
{
    struct names names = {0};
    struct sh_buf out;
    sh_buf_init(&out, 1 << 20);
    luaL_checkstack(h->L, 20, NULL);
    lua_rawgeti(h->L, LUA_REGISTRYINDEX, h->globals);
    add_names(h->L, &names, NULL);
    lua_pop(h->L, 1);
    if (names.n)
        qsort(names.list, names.n, sizeof(*names.list), compare);
    for (size_t i = 0; i < names.n; i++) {
        sh_buf_addf(&out, "%s\n", names.list[i]);
        free(names.list[i]);
    }
    free(names.list);
    return sh_buf_take(&out, NULL);
}
