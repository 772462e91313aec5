/* SPDX-License-Identifier: MIT
 * l_log.c: log.info, warn, error and print: lines that belong to the run. */
#include "lua/internal.h"

#include "svc/json.h"

/* Replace each argument by its text: tables as JSON, the rest as tostring says. Author's code may
 * run in a __tostring, so no buffer of the host is held meanwhile. */
static void to_texts(lua_State *L, int n)
{
    struct sh_host *h = sh_lua_host(L);
    char why[500];
    for (int i = 1; i <= n; i++) {
        bool plain = lua_type(L, i) == LUA_TTABLE;
        if (sh_lua_is_secret(L, i))
            sh_lua_raise(L, "log: a secret can only go into an http call");
        if (plain && luaL_getmetafield(L, i, "__tostring")) {
            lua_pop(L, 1);
            plain = false;
        }
        sh_buf_reset(&h->scratch);
        if (plain && sh_lua_try_json(L, i, &h->scratch, why, sizeof(why), "log: value")) {
            lua_pushlstring(L, h->scratch.data, h->scratch.len);
        } else {
            lua_pushvalue(L, lua_upvalueindex(2)); /* tostring */
            lua_pushvalue(L, i);
            lua_call(L, 1, 1);
        }
        lua_replace(L, i);
    }
}

static void add_line(struct sh_lua_run *r, const char *level, struct sh_slice text)
{
    sh_buf_adds(&r->logs, r->n_logs ? ",{\"level\":\"" : "[{\"level\":\"");
    sh_buf_adds(&r->logs, level);
    sh_buf_adds(&r->logs, "\",\"text\":");
    sh_json_quote(&r->logs, text);
    sh_buf_addc(&r->logs, '}');
    r->n_logs++;
}

/* Upvalues: the level, tostring. */
static int write_line(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    const char *level = lua_tostring(L, lua_upvalueindex(1));
    struct sh_lua_run *r = sh_lua_rule_run(L, "log");
    if (r->n_logs > SH_MAX_LOG_LINES)
        return 0;
    if (r->n_logs == SH_MAX_LOG_LINES) {
        add_line(r, "warn", SH_SLICE("more than 100 lines: the rest is not kept"));
        return 0;
    }
    int n = lua_gettop(L);
    luaL_checkstack(L, 8, NULL);
    to_texts(L, n);
    sh_buf_reset(&h->scratch2);
    for (int i = 1; i <= n && h->scratch2.len <= SH_MAX_LOG_LINE_BYTES; i++) {
        size_t len;
        const char *text = lua_tolstring(L, i, &len);
        if (i > 1)
            sh_buf_addc(&h->scratch2, ' ');
        sh_buf_add(&h->scratch2, text, len);
    }
    sh_buf_reset(&h->scratch);
    if (h->scratch2.len)
        sh_lua_clean(&h->scratch, h->scratch2.data, h->scratch2.len, SH_MAX_LOG_LINE_BYTES, true);
    add_line(r, level, sh_slice(h->scratch.data ? h->scratch.data : "", h->scratch.len));
    return 0;
}

void sh_lua_open_log(lua_State *L)
{
    static const char *const levels[] = {"info", "warn", "error", NULL};
    lua_newtable(L); /* globals log */
    for (size_t i = 0; levels[i]; i++) {
        lua_pushstring(L, levels[i]);
        lua_getfield(L, -3, "tostring");
        lua_pushcclosure(L, write_line, 2);
        lua_setfield(L, -2, levels[i]);
    }
    lua_getfield(L, -1, "info");
    lua_setfield(L, -3, "print");
    sh_lua_seal(L, "log");
    lua_setfield(L, -2, "log");
}
