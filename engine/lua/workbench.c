/* SPDX-License-Identifier: MIT
 * workbench.c: the Lua state in which specs run, and the module that the kit is built on. */
#include "lua/workbench.h"

#include "lua/internal.h"
#include "lua/workbench_tree.h"

#include "svc/json.h"

#include <lualib.h>

#define MAX_JSON_BYTES ((size_t)64 << 20)

struct bench {
    const struct sh_workbench_ops *ops;
    const cJSON *options;
    cJSON *args, *answer; /* of the question under way; freed at the next one, or at the end */
};

/* The kit, in the order in which its files need one another. */
#define KIT(name)                                                                                  \
    extern const unsigned char sh_embed_##name[];                                                  \
    extern const size_t sh_embed_##name##_size;
KIT(kit_value)
KIT(kit_expect)
KIT(kit)
KIT(kit_assert)
KIT(kit_cover)
KIT(kit_report)
KIT(kit_run)
#undef KIT

static const struct module {
    const char *name, *chunk;
    const unsigned char *text;
    const size_t *size;
} modules[] = {
    {"switchhook.value", "=kit", sh_embed_kit_value, &sh_embed_kit_value_size},
    {"switchhook.expect", "=kit", sh_embed_kit_expect, &sh_embed_kit_expect_size},
    {"hook", "=kit", sh_embed_kit, &sh_embed_kit_size},
    {"switchhook.assert", "=kit", sh_embed_kit_assert, &sh_embed_kit_assert_size},
    {"switchhook.cover", "=kit", sh_embed_kit_cover, &sh_embed_kit_cover_size},
    {"switchhook.report", "=kit", sh_embed_kit_report, &sh_embed_kit_report_size},
    {"switchhook.run", "=kit", sh_embed_kit_run, &sh_embed_kit_run_size},
};

/* --- the module switchhook.native ------------------------------------------------------------ */

static struct bench *bench_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static void forget(struct bench *b)
{
    cJSON_Delete(b->args);
    cJSON_Delete(b->answer);
    b->args = b->answer = NULL;
}

/* ask(what, args, keep_null) -> answer. args: a table, or nothing. */
static int l_ask(lua_State *L)
{
    struct bench *b = bench_of(L);
    struct sh_error err = {0};
    const char *what = luaL_checkstring(L, 1);
    forget(b);
    if (!lua_isnoneornil(L, 2))
        sh_bench_read_tree(L, 2, &b->args, what);
    b->answer = b->ops->ask(b->ops->arg, what, b->args, &err);
    if (!b->answer) {
        lua_pushnil(L);
        lua_pushstring(L, err.msg);
        return 2;
    }
    sh_bench_push_tree(L, b->answer, lua_toboolean(L, 3));
    return 1;
}

/* nearest(word, names) -> the one that was most likely meant, or nil */
static int l_nearest(lua_State *L)
{
    const char *word = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    size_t n = lua_rawlen(L, 2);
    const char **names = lua_newuserdatauv(L, (n + 1) * sizeof(*names), 0);
    luaL_checkstack(L, (int)n + 2, "too many names");
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        names[i] = luaL_checkstring(L, -1);
    }
    names[n] = NULL;
    lua_pushstring(L, sh_lua_nearest(word, names));
    return 1;
}

/* encode(value) -> its JSON, on one line */
static int l_encode(lua_State *L)
{
    struct bench *b = bench_of(L);
    struct sh_buf text;
    forget(b);
    sh_bench_read_tree(L, 1, &b->args, "value");
    sh_buf_init(&text, MAX_JSON_BYTES);
    bool ok = sh_json_print(b->args, &text);
    if (ok)
        lua_pushlstring(L, text.data, text.len);
    sh_buf_free(&text);
    return ok ? 1 : luaL_error(L, "too large to be JSON");
}

/* decode(text) -> value, or nil */
static int l_decode(lua_State *L)
{
    struct bench *b = bench_of(L);
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    forget(b);
    if (!sh_json_check(text, n, NULL) || !(b->answer = sh_json_parse(text, n, NULL)))
        return 0;
    sh_bench_push_tree(L, b->answer, 0);
    return 1;
}

/* duration("1h30m") -> seconds, or nil */
static int l_duration(lua_State *L)
{
    size_t n;
    double seconds;
    const char *text = luaL_checklstring(L, 1, &n);
    if (!sh_lua_duration(text, n, &seconds))
        return 0;
    lua_pushnumber(L, seconds);
    return 1;
}

static void push_native(lua_State *L, struct bench *b)
{
    static const luaL_Reg functions[] = {{"ask", l_ask},           {"nearest", l_nearest},
                                         {"encode", l_encode},     {"decode", l_decode},
                                         {"duration", l_duration}, {NULL, NULL}};
    luaL_newlibtable(L, functions);
    lua_pushlightuserdata(L, b);
    luaL_setfuncs(L, functions, 1);
    lua_pushlightuserdata(L, (void *)&sh_lua_null);
    lua_setfield(L, -2, "null");
    sh_bench_open_trees(L);
    lua_setfield(L, -2, "list_mt");
    sh_bench_push_tree(L, b->options, 0);
    lua_setfield(L, -2, "options");
}

/* --- the state ------------------------------------------------------------------------------- */

static void preload(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
        const struct module *m = &modules[i];
        if (luaL_loadbufferx(L, (const char *)m->text, *m->size, m->chunk, "t") != LUA_OK)
            lua_error(L);
        lua_setfield(L, -2, m->name);
    }
    lua_pop(L, 1);
}

/* Protected: everything that may raise. Leaves what it returns: the exit code, or
 * nil, a message and whether the options are to blame. */
static int run(lua_State *L)
{
    struct bench *b = lua_touserdata(L, 1);
    luaL_openlibs(L);
    push_native(L, b);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_insert(L, -2);
    lua_setfield(L, -2, "switchhook.native");
    preload(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "switchhook.run");
    lua_call(L, 1, 1);
    lua_call(L, 0, 3);
    return 3;
}

static int traced(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

int sh_workbench_run(const struct sh_workbench_ops *ops, const cJSON *options, struct sh_error *err)
{
    struct bench b = {.ops = ops, .options = options};
    lua_State *L = luaL_newstate();
    if (!L)
        sh_die("no memory for a Lua state");
    int code = -1;
    lua_pushcfunction(L, traced);
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, &b);
    if (lua_pcall(L, 1, 3, 1) != LUA_OK)
        sh_error_set(err, SH_EINVAL, "%s", lua_tostring(L, -1));
    else if (lua_isinteger(L, -3))
        code = (int)lua_tointeger(L, -3);
    else {
        code = lua_toboolean(L, -1) ? -2 : -1;
        sh_error_set(err, code == -2 ? SH_EINVAL : SH_ENOTFOUND, "%s", lua_tostring(L, -2));
    }
    lua_close(L);
    forget(&b);
    return code;
}
