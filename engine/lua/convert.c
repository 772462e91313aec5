/* SPDX-License-Identifier: MIT
 * convert.c: JSON to Lua values and back, and deep copies. Nothing is changed on the way:
 * integers stay integers, 1.0 stays 1.0, [] and {} stay themselves. */
#include "lua/internal.h"

#include "svc/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char sh_lua_null;

/* --- JSON to Lua ----------------------------------------------------------------------------- */

static void push_raw_number(lua_State *L, const char *text)
{
    if (strpbrk(text, ".eE"))
        lua_pushnumber(L, strtod(text, NULL));
    else
        lua_pushinteger(L, (lua_Integer)strtoll(text, NULL, 10));
}

static void push_number(lua_State *L, double d)
{
    lua_Integer i;
    if (lua_numbertointeger(d, &i) && (double)i == d && !(i == 0 && signbit(d)))
        lua_pushinteger(L, i);
    else
        lua_pushnumber(L, d);
}

static int count(const cJSON *node)
{
    int n = 0;
    for (const cJSON *c = node->child; c; c = c->next)
        n++;
    return n;
}

static void push_array(lua_State *L, const cJSON *node, bool keep_null)
{
    lua_createtable(L, count(node), 0);
    lua_Integer i = 0;
    for (const cJSON *c = node->child; c; c = c->next) {
        if ((c->type & 0xff) == cJSON_NULL)
            lua_pushlightuserdata(L, (void *)&sh_lua_null);
        else
            sh_lua_push_tree(L, c, keep_null);
        lua_rawseti(L, -2, ++i);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, sh_lua_host(L)->array_mt);
    lua_setmetatable(L, -2);
}

static void push_object(lua_State *L, const cJSON *node, bool keep_null)
{
    lua_createtable(L, 0, count(node));
    for (const cJSON *c = node->child; c; c = c->next) {
        if ((c->type & 0xff) == cJSON_NULL && !keep_null)
            continue;
        lua_pushstring(L, c->string);
        sh_lua_push_tree(L, c, keep_null);
        lua_rawset(L, -3);
    }
}

void sh_lua_push_tree(lua_State *L, const cJSON *node, bool keep_null)
{
    luaL_checkstack(L, 4, "JSON too deep");
    switch (node->type & 0xff) {
    case cJSON_False:
    case cJSON_True:
        lua_pushboolean(L, (node->type & 0xff) == cJSON_True);
        break;
    case cJSON_Number:
        push_number(L, node->valuedouble);
        break;
    case cJSON_Raw:
        push_raw_number(L, node->valuestring);
        break;
    case cJSON_String:
        lua_pushstring(L, node->valuestring);
        break;
    case cJSON_Array:
        push_array(L, node, keep_null);
        break;
    case cJSON_Object:
        push_object(L, node, keep_null);
        break;
    default:
        lua_pushlightuserdata(L, (void *)&sh_lua_null);
    }
}

void sh_lua_push_json(lua_State *L, struct sh_slice text, bool keep_null)
{
    struct sh_host *h = sh_lua_host(L);
    struct sh_error err;
    cJSON_Delete(h->tree); /* left over if an earlier conversion ran out of memory */
    h->tree = sh_json_parse(text.p, text.n, &err);
    if (!h->tree)
        sh_lua_raise(L, "%s", err.msg);
    sh_lua_push_tree(L, h->tree, keep_null);
    cJSON_Delete(h->tree);
    h->tree = NULL;
}

/* --- Lua to JSON ----------------------------------------------------------------------------- */

struct path { /* of the value being written, for messages */
    const struct path *up;
    const char *name; /* NULL: index */
    size_t name_n;
    lua_Integer index;
};

struct writer {
    struct sh_buf *out;
    const char *what;
    char why[500];
    size_t nodes;
    bool secrets; /* may stand in texts: out is h->text */
    bool secret;  /* one stood where it may not */
};

static void add_path(struct sh_buf *b, const struct path *p)
{
    if (!p)
        return;
    add_path(b, p->up);
    if (p->name) {
        sh_buf_addc(b, '.');
        sh_lua_clean(b, p->name, p->name_n, SH_LUA_NAME, false);
    } else {
        sh_buf_addf(b, "[%lld]", (long long)p->index);
    }
}

static bool refuse(struct writer *w, const struct path *p, const char *why)
{
    struct sh_buf b;
    sh_buf_init(&b, 4000);
    add_path(&b, p);
    snprintf(w->why, sizeof(w->why), "%s%.300s %s", w->what, b.data ? b.data : "", why);
    sh_buf_free(&b);
    return false;
}

static bool write_value(lua_State *L, struct writer *w, const struct path *p, int depth);

static bool write_double(struct writer *w, const struct path *p, double d)
{
    char text[40];
    if (!isfinite(d))
        return refuse(w, p,
                      isnan(d) ? "is not a number (NaN), which JSON cannot hold"
                               : "is infinite, which JSON cannot hold");
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, d);
        if (strtod(text, NULL) == d)
            break;
    }
    sh_buf_adds(w->out, text);
    if (!strpbrk(text, ".e"))
        sh_buf_adds(w->out, ".0");
    return true;
}

static void write_int(struct sh_buf *out, lua_Integer i)
{
    char text[24], *at = text + sizeof(text);
    uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    do {
        *--at = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (i < 0)
        *--at = '-';
    sh_buf_add(out, at, (size_t)(text + sizeof(text) - at));
}

static bool write_string(lua_State *L, struct writer *w, const struct path *p)
{
    size_t n;
    const char *s = lua_tolstring(L, -1, &n);
    if (!sh_lua_utf8(s, n))
        return refuse(w, p, memchr(s, 0, n) ? "contains a NUL byte" : "is not valid UTF-8 text");
    sh_json_quote(w->out, sh_slice(s, n));
    return true;
}

/* How the table on top of L is written: 1 array, 0 object, -1 refused. */
static int shape(lua_State *L, struct writer *w, const struct path *p, lua_Integer *len)
{
    struct sh_host *h = sh_lua_host(L);
    int marked = 0;
    if (lua_getmetatable(L, -1)) {
        const void *mt = lua_topointer(L, -1);
        marked = mt == h->array_mt_p ? 1 : mt == h->object_mt_p ? 2 : 0;
        lua_pop(L, 1);
    }
    if (marked == 2)
        return 0;
    size_t ints = 0, others = 0;
    lua_Integer max = 0;
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pop(L, 1);
        if (lua_isinteger(L, -1) && lua_tointeger(L, -1) > 0) {
            ints++;
            max = lua_tointeger(L, -1) > max ? lua_tointeger(L, -1) : max;
        } else {
            others++;
            if (lua_type(L, -1) == LUA_TSTRING && marked != 1 && ints == 0 &&
                lua_rawlen(L, -2) == 0)
                continue;
        }
    }
    *len = (lua_Integer)ints;
    if (others == 0 && (ints || marked == 1)) {
        if ((size_t)max == ints)
            return 1;
        refuse(w, p, "is a list with holes (use json.null for an empty place)");
        return -1;
    }
    if (ints || (marked == 1 && others)) {
        refuse(w, p, "mixes list items with named fields");
        return -1;
    }
    return 0;
}

static bool write_list(lua_State *L, struct writer *w, const struct path *up, int depth,
                       lua_Integer len)
{
    sh_buf_addc(w->out, '[');
    for (lua_Integer i = 1; i <= len; i++) {
        const struct path p = {.up = up, .index = i};
        if (i > 1)
            sh_buf_addc(w->out, ',');
        lua_rawgeti(L, -1, i);
        bool ok = write_value(L, w, &p, depth);
        lua_pop(L, 1);
        if (!ok || !sh_buf_ok(w->out))
            return ok;
    }
    sh_buf_addc(w->out, ']');
    return true;
}

/* The table is on top of L. */
static bool write_name(lua_State *L, struct writer *w, const struct path *up,
                       const struct sh_key *k)
{
    if (k->kind == 0) { /* of a table marked with json.object */
        lua_pushfstring(L, "%I", (LUAI_UACINT)k->i);
        bool twice = lua_rawget(L, -2) != LUA_TNIL;
        lua_pop(L, 1);
        if (twice)
            return refuse(w, up, "has one field twice, with a number and a text as its name");
        sh_buf_addf(w->out, "\"%lld\"", (long long)k->i);
        return true;
    }
    if (k->kind != 2)
        return refuse(w, up, "has a key that is neither text nor a whole number");
    if (!sh_lua_utf8(k->s, k->n))
        return refuse(w, up, "has a field whose name is not valid UTF-8 text");
    sh_json_quote(w->out, sh_slice(k->s, k->n));
    return true;
}

static bool write_fields(lua_State *L, struct writer *w, const struct path *up, int depth)
{
    struct sh_host *h = sh_lua_host(L);
    size_t base = h->n_keys, n = sh_lua_keys(L, lua_gettop(L));
    bool ok = true;
    sh_buf_addc(w->out, '{');
    for (size_t i = 0; i < n && ok && sh_buf_ok(w->out); i++) {
        struct sh_key k = h->keys[base + i]; /* h->keys may move */
        const struct path p = {
            .up = up, .name = k.kind == 2 ? k.s : "?", .name_n = k.kind == 2 ? k.n : 1};
        if (i)
            sh_buf_addc(w->out, ',');
        ok = write_name(L, w, up, &k);
        if (!ok)
            break;
        sh_buf_addc(w->out, ':');
        sh_lua_push_key(L, &k);
        lua_rawget(L, -2);
        ok = write_value(L, w, &p, depth);
        lua_pop(L, 1);
    }
    sh_buf_addc(w->out, '}');
    h->n_keys = base;
    return ok;
}

static bool write_table(lua_State *L, struct writer *w, const struct path *p, int depth)
{
    if (depth >= SH_JSON_MAX_DEPTH)
        return refuse(w, NULL, "is nested deeper than 64 levels, or contains itself");
    luaL_checkstack(L, 8, NULL);
    sh_budget_check(L);
    sh_lua_resolve(L, -1);
    lua_Integer len = 0;
    int as = shape(L, w, p, &len);
    bool ok = as == 1   ? write_list(L, w, p, depth + 1, len)
              : as == 0 ? write_fields(L, w, p, depth + 1)
                        : false;
    lua_pop(L, 1);
    return ok;
}

static bool write_userdata(lua_State *L, struct writer *w, const struct path *p)
{
    if (!sh_lua_is_secret(L, -1))
        return refuse(w, p, "is userdata, which JSON cannot hold");
    w->secret = !w->secrets;
    if (w->secret)
        return refuse(w, p, "is a secret: a secret can only go into an http call");
    sh_buf_addc(w->out, '"');
    if (!sh_text_add_secret(L, -1, SH_AS_JSON))
        return refuse(w, p, "is not valid UTF-8 text, or contains a NUL byte");
    sh_buf_addc(w->out, '"');
    return true;
}

static bool write_value(lua_State *L, struct writer *w, const struct path *p, int depth)
{
    if (++w->nodes > SH_JSON_MAX_NODES)
        return refuse(w, NULL, "has more than 200000 values");
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        return write_string(L, w, p);
    case LUA_TNUMBER:
        if (!lua_isinteger(L, -1))
            return write_double(w, p, lua_tonumber(L, -1));
        write_int(w->out, lua_tointeger(L, -1));
        return true;
    case LUA_TBOOLEAN:
        sh_buf_adds(w->out, lua_toboolean(L, -1) ? "true" : "false");
        return true;
    case LUA_TTABLE:
        return write_table(L, w, p, depth);
    case LUA_TNIL:
        sh_buf_adds(w->out, "null");
        return true;
    case LUA_TUSERDATA:
        return write_userdata(L, w, p);
    default:
        if (lua_touserdata(L, -1) == &sh_lua_null) {
            sh_buf_adds(w->out, "null");
            return true;
        }
        char why[80];
        snprintf(why, sizeof(why), "is %s, which JSON cannot hold", sh_lua_kind(L, -1));
        return refuse(w, p, why);
    }
}

static bool write_top(lua_State *L, int idx, struct writer *w)
{
    luaL_checkstack(L, 4, NULL);
    sh_lua_host(L)->n_keys = 0; /* an earlier error leaves some behind */
    lua_pushvalue(L, idx);
    bool ok = write_value(L, w, NULL, 0);
    lua_pop(L, 1);
    return ok;
}

void sh_lua_write_json(lua_State *L, int idx, struct sh_buf *out, const char *what)
{
    struct writer w = {.out = out, .what = what};
    if (!write_top(L, idx, &w))
        sh_lua_raise(L, "%s", w.why);
}

void sh_lua_write_call_json(lua_State *L, int idx, const char *what)
{
    struct writer w = {.out = &sh_lua_host(L)->text, .what = what, .secrets = true};
    if (!write_top(L, idx, &w))
        sh_lua_raise(L, "%s", w.why);
}

bool sh_lua_try_json(lua_State *L, int idx, struct sh_buf *out, char *why, size_t size,
                     const char *what)
{
    struct writer w = {.out = out, .what = what};
    if (write_top(L, idx, &w))
        return true;
    if (w.secret)
        sh_lua_raise(L, "%s", w.why);
    snprintf(why, size, "%s", w.why);
    return false;
}

/* --- copies ---------------------------------------------------------------------------------- */

static void copy_table(lua_State *L, int depth)
{
    if (depth > SH_JSON_MAX_DEPTH)
        sh_lua_raise(L, "copy: nested deeper than 64 levels, or contains itself");
    luaL_checkstack(L, 6, NULL);
    sh_budget_check(L);
    int fields = 0;
    size_t items = lua_rawlen(L, -1);
    if (!items)
        for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
            fields++;
    lua_createtable(L, (int)items, fields); /* from to */
    lua_pushnil(L);
    while (lua_next(L, -3)) { /* from to key value */
        if (lua_type(L, -1) == LUA_TTABLE) {
            sh_lua_resolve(L, -1);
            lua_remove(L, -2);
            copy_table(L, depth + 1);
            lua_remove(L, -2);
        }
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    if (lua_getmetatable(L, -2)) {
        sh_lua_check_metatable(L, "copy");
        sh_lua_meta_data(L, -1);
        lua_setmetatable(L, -3);
        lua_pop(L, 1);
    }
}

void sh_lua_push_copy(lua_State *L, int idx)
{
    luaL_checkstack(L, 4, NULL);
    sh_lua_resolve(L, idx);
    copy_table(L, 0);
    lua_remove(L, -2);
}
