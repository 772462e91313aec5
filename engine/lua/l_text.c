/* SPDX-License-Identifier: MIT
 * l_text.c: get, copy, now, duration, template. */
#include "lua/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- get ------------------------------------------------------------------------------------- */

/* Replace the table on top by its member of that name; a number indexes from 1. */
static void step(lua_State *L, const char *name, size_t n)
{
    lua_pushlstring(L, name, n);
    if (lua_gettable(L, -2) == LUA_TNIL && n > 0 && n < 16 && strspn(name, "0123456789") >= n) {
        lua_pop(L, 1);
        lua_geti(L, -1, (lua_Integer)strtoll(name, NULL, 10));
    }
    lua_remove(L, -2);
}

void sh_lua_push_path(lua_State *L, int idx, const char *path, size_t n)
{
    luaL_checkstack(L, 4, NULL);
    lua_pushvalue(L, idx);
    const char *end = path + n, *dot = memchr(path, '.', n);
    if (dot && lua_istable(L, -1)) { /* a field that is spelled with dots wins */
        lua_pushlstring(L, path, n);
        if (lua_gettable(L, -2) != LUA_TNIL) {
            lua_remove(L, -2);
            return;
        }
        lua_pop(L, 1);
    }
    for (const char *p = path;; p = dot + 1) {
        if (!lua_istable(L, -1)) {
            lua_pop(L, 1);
            lua_pushnil(L);
            return;
        }
        dot = memchr(p, '.', (size_t)(end - p));
        step(L, p, (size_t)((dot ? dot : end) - p));
        if (!dot)
            return;
    }
}

static int l_get(lua_State *L)
{
    size_t n;
    if (!lua_istable(L, 1) && !lua_isnil(L, 1))
        sh_lua_raise(L, "get: the first argument must be a table, got %s", sh_lua_kind(L, 1));
    if (lua_type(L, 2) != LUA_TSTRING)
        sh_lua_raise(L, "get: the path must be a text such as \"a.b.c\", got %s",
                     sh_lua_kind(L, 2));
    const char *path = lua_tolstring(L, 2, &n);
    struct sh_host *h = sh_lua_host(L);
    const bool explains = sh_lua_explains(h);
    h->look_quiet = explains;
    sh_lua_push_path(L, 1, path, n);
    h->look_quiet = false;
    if (explains)
        sh_lua_look_path(L, 1, path, n);
    return 1;
}

static int l_copy(lua_State *L)
{
    if (!lua_istable(L, 1)) {
        luaL_checkany(L, 1);
        lua_settop(L, 1);
        return 1;
    }
    sh_lua_push_copy(L, 1);
    return 1;
}

/* --- time ------------------------------------------------------------------------------------ */

static int l_now(lua_State *L)
{
    struct sh_lua_run *r = sh_lua_any_run(L, "now()");
    int64_t ms = r->job->now_ms;
    lua_pushinteger(L, (ms - ((ms % 1000) + 1000) % 1000) / 1000);
    return 1;
}

static double unit_seconds(const char *p, size_t n)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ms", 0.001},    {"s", 1},         {"sec", 1},      {"second", 1},
                 {"seconds", 1},   {"m", 60},        {"min", 60},     {"minute", 60},
                 {"minutes", 60},  {"h", 3600},      {"hour", 3600},  {"hours", 3600},
                 {"d", 86400},     {"day", 86400},   {"days", 86400}, {"w", 604800},
                 {"week", 604800}, {"weeks", 604800}};
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
        if (strlen(units[i].name) == n && memcmp(units[i].name, p, n) == 0)
            return units[i].seconds;
    return 0;
}

bool sh_lua_duration(const char *text, size_t n, double *seconds)
{
    const char *p = text, *end = text + n;
    *seconds = 0;
    if (n > 60)
        return false;
    bool any = false;
    while (p < end) {
        char number[32];
        size_t digits = strspn(p, "0123456789.");
        if (digits == 0 || digits >= sizeof(number) || *p == '.')
            return false;
        memcpy(number, p, digits);
        number[digits] = '\0';
        char *stop;
        double value = strtod(number, &stop);
        if (*stop)
            return false;
        p += digits;
        p += strspn(p, " ");
        size_t letters = strspn(p, "abcdefghijklmnopqrstuvwxyz");
        double unit = unit_seconds(p, letters);
        if (unit == 0)
            return false;
        *seconds += value * unit;
        p += letters;
        p += strspn(p, " ");
        any = true;
    }
    return any && p == end && *seconds < 1e11;
}

static int l_duration(lua_State *L)
{
    double seconds;
    size_t n;
    if (lua_type(L, 1) == LUA_TNUMBER) {
        lua_settop(L, 1);
        return 1;
    }
    if (lua_type(L, 1) != LUA_TSTRING)
        sh_lua_raise(L, "duration: a text such as \"90m\" or \"1h30m\" expected, got %s",
                     sh_lua_kind(L, 1));
    const char *text = lua_tolstring(L, 1, &n);
    if (!sh_lua_duration(text, n, &seconds))
        sh_lua_raise(L,
                     "duration: \"%.60s\" is not a duration such as \"90m\", \"1h30m\" or "
                     "\"2 days\"",
                     text);
    if (seconds == floor(seconds))
        lua_pushinteger(L, (lua_Integer)seconds);
    else
        lua_pushnumber(L, seconds);
    return 1;
}

/* --- template -------------------------------------------------------------------------------- */

static void add_html(struct sh_buf *out, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *entity = p[i] == '&'    ? "&amp;"
                             : p[i] == '<'  ? "&lt;"
                             : p[i] == '>'  ? "&gt;"
                             : p[i] == '"'  ? "&quot;"
                             : p[i] == '\'' ? "&#39;"
                                            : NULL;
        if (entity)
            sh_buf_adds(out, entity);
        else
            sh_buf_addc(out, p[i]);
    }
}

/* Add the value on top of L as a reader would want it, and pop it. */
static void add_value(lua_State *L, bool html, struct sh_buf *out, const char *what)
{
    size_t n;
    struct sh_buf *json = &sh_lua_host(L)->scratch2;
    char why[500];
    switch (lua_type(L, -1)) {
    case LUA_TNIL:
    case LUA_TLIGHTUSERDATA:
        break;
    case LUA_TBOOLEAN:
        sh_buf_adds(out, lua_toboolean(L, -1) ? "true" : "false");
        break;
    case LUA_TSTRING:
    case LUA_TNUMBER: {
        lua_pushvalue(L, -1); /* lua_tolstring changes a number in place */
        const char *s = lua_tolstring(L, -1, &n);
        if (html)
            add_html(out, s, n);
        else
            sh_buf_add(out, s, n);
        lua_pop(L, 1);
        break;
    }
    case LUA_TTABLE:
        sh_buf_reset(json);
        if (sh_lua_try_json(L, -1, json, why, sizeof(why), what)) {
            if (html)
                add_html(out, json->data, json->len);
            else
                sh_buf_add(out, json->data, json->len);
        }
        break;
    default:
        sh_lua_raise(L, "%s: %s cannot be filled into a text", what, sh_lua_kind(L, -1));
    }
    lua_pop(L, 1);
}

/* Author's code has run meanwhile, and may have filled texts of its own into the end of out, or
 * half of one before it failed: go back to where it was. */
static void go_back(struct sh_buf *out, size_t len, bool failed)
{
    out->len = len;
    out->failed = failed;
}

/* A list of simple values reads best with commas. The table is on top of L. */
static bool add_list(lua_State *L, bool html, struct sh_buf *out, const char *what)
{
    size_t len = out->len;
    bool failed = out->failed;
    lua_Integer n = lua_istable(L, -1) ? luaL_len(L, -1) : 0;
    go_back(out, len, failed);
    if (n == 0 || n > 10000)
        return false;
    for (lua_Integer i = 1; i <= n; i++) {
        bool table = lua_geti(L, -1, i) == LUA_TTABLE;
        lua_pop(L, 1);
        if (table) {
            go_back(out, len, failed);
            return false;
        }
    }
    go_back(out, len, failed);
    for (lua_Integer i = 1; i <= n && sh_buf_ok(out); i++) {
        if (i > 1)
            sh_buf_adds(out, ", ");
        len = out->len;
        failed = out->failed;
        lua_geti(L, -1, i);
        go_back(out, len, failed);
        add_value(L, html, out, what);
    }
    lua_pop(L, 1);
    return true;
}

static void fill(lua_State *L, struct sh_slice text, int idx, bool html, struct sh_buf *out,
                 const char *what)
{
    const char *p = text.p, *end = text.p + text.n;
    luaL_checkstack(L, 6, NULL);
    while (p < end && sh_buf_ok(out)) {
        const char *open = memmem(p, (size_t)(end - p), "{{", 2);
        if (!open || idx == 0) {
            sh_buf_add(out, p, (size_t)(end - p));
            return;
        }
        sh_buf_add(out, p, (size_t)(open - p));
        const char *name = open + 2, *close = memmem(name, (size_t)(end - name), "}}", 2);
        if (!close)
            sh_lua_raise(L, "%s: '{{' at byte %zu has no '}}'", what, (size_t)(open - text.p) + 1);
        p = close + 2;
        while (name < close && *name == ' ')
            name++;
        while (close > name && close[-1] == ' ')
            close--;
        if (name == close)
            sh_lua_raise(L, "%s: '{{}}' at byte %zu names nothing", what,
                         (size_t)(open - text.p) + 1);
        size_t len = out->len;
        bool failed = out->failed;
        sh_lua_push_path(L, idx, name, (size_t)(close - name));
        go_back(out, len, failed);
        sh_budget_check(L);
        if (!add_list(L, html, out, what))
            add_value(L, html, out, what);
    }
}

/* A value may come from an __index of the author's, which may fill a text in turn: each uses the
 * end of one buffer and leaves what is before it alone. */
void sh_lua_push_filled(lua_State *L, struct sh_slice text, int idx, bool html, const char *what)
{
    struct sh_buf *out = &sh_lua_host(L)->fill;
    size_t base = out->len;
    fill(L, text, idx, html, out, what);
    if (!sh_buf_ok(out)) {
        go_back(out, base, false);
        sh_lua_raise(L, "%s is over %zu bytes when filled", what, out->max);
    }
    lua_pushlstring(L, out->data ? out->data + base : "", out->len - base);
    out->len = base;
}

static int l_template(lua_State *L)
{
    size_t n;
    if (lua_type(L, 1) != LUA_TSTRING)
        sh_lua_raise(L, "template: the text must be a string, got %s", sh_lua_kind(L, 1));
    if (!lua_istable(L, 2))
        sh_lua_raise(L, "template: the values must be a table, got %s", sh_lua_kind(L, 2));
    const char *text = lua_tolstring(L, 1, &n);
    sh_lua_push_filled(L, sh_slice(text, n), 2, false, "template");
    return 1;
}

void sh_lua_open_text(lua_State *L)
{
    static const luaL_Reg fns[] = {{"get", l_get},           {"copy", l_copy},
                                   {"now", l_now},           {"duration", l_duration},
                                   {"template", l_template}, {NULL, NULL}};
    luaL_setfuncs(L, fns, 0);
}
