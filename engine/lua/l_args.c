/* SPDX-License-Identifier: MIT
 * l_args.c: the fields of an argument table, checked, with messages that name them. */
#include "lua/internal.h"

#include "svc/json.h"

#include <stdio.h>
#include <string.h>

/* "a, b or c", as far as size goes. */
static void list_names(char *out, size_t size, const char *const *names)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; names[i] && n + strlen(names[i]) + 6 < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s",
                              i == 0         ? ""
                              : names[i + 1] ? ", "
                                             : " or ",
                              names[i]);
}

void sh_arg_unknown(char *out, size_t size, const char *what, const char *name,
                    const struct sh_fields *fields)
{
    char known[300];
    const char *near = sh_lua_nearest(name, fields->names);
    if (near) {
        snprintf(out, size, "%s: unknown field '%.60s' (did you mean '%s'?)", what, name, near);
        return;
    }
    list_names(known, sizeof(known), fields->names);
    snprintf(out, size, "%s: unknown field '%.60s' (expected %s)", what, name,
             fields->expected ? fields->expected : known);
}

int sh_arg_table(lua_State *L, int idx, const char *what, const struct sh_fields *fields)
{
    if (!lua_istable(L, idx))
        sh_lua_raise(L, "%s: a table {...} expected, got %s", what, sh_lua_kind(L, idx));
    luaL_checkstack(L, 40, NULL);
    sh_lua_resolve(L, idx);
    int table = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, table)) {
        char msg[400];
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            sh_lua_raise(L, "%s: unexpected list item (fields are written name = value)", what);
        const char *key = lua_tostring(L, -1);
        if (sh_fields_has(fields, key))
            continue;
        sh_arg_unknown(msg, sizeof(msg), what, key, fields);
        sh_lua_raise(L, "%s", msg);
    }
    return table;
}

int sh_arg_only(lua_State *L, const char *what, const struct sh_fields *fields)
{
    if (lua_gettop(L) > 1)
        lua_settop(L, 1);
    return sh_arg_table(L, 1, what, fields);
}

int sh_arg_field(lua_State *L, int table, const char *name)
{
    lua_pushstring(L, name);
    int type = lua_rawget(L, table);
    return lua_touserdata(L, -1) == &sh_lua_null ? LUA_TNIL : type;
}

struct sh_slice sh_arg_top(lua_State *L, const char *what, const char *name)
{
    size_t n;
    const char *s = lua_tolstring(L, -1, &n);
    if (!sh_lua_utf8(s, n))
        sh_lua_raise(L, "%s: '%s' %s", what, name,
                     memchr(s, 0, n) ? "contains a NUL byte" : "is not valid UTF-8 text");
    return sh_slice(s, n);
}

bool sh_arg_text(lua_State *L, int table, const char *what, const char *name, struct sh_slice *out)
{
    int type = sh_arg_field(L, table, name);
    *out = (struct sh_slice){0};
    if (type == LUA_TNIL)
        return false;
    if (type != LUA_TSTRING)
        sh_lua_raise(L, "%s: '%s' must be a text, got %s", what, name, sh_lua_kind(L, -1));
    *out = sh_arg_top(L, what, name);
    return true;
}

bool sh_arg_bool(lua_State *L, int table, const char *what, const char *name, bool *out)
{
    int type = sh_arg_field(L, table, name);
    if (type == LUA_TNIL)
        return false;
    if (type != LUA_TBOOLEAN)
        sh_lua_raise(L, "%s: '%s' must be true or false, got %s", what, name, sh_lua_kind(L, -1));
    *out = lua_toboolean(L, -1) != 0;
    return true;
}

bool sh_arg_int(lua_State *L, int table, const char *what, const char *name, int64_t min,
                int64_t max, int64_t *out)
{
    int type = sh_arg_field(L, table, name);
    if (type == LUA_TNIL)
        return false;
    int ok = 0;
    lua_Integer n = type == LUA_TNUMBER ? lua_tointegerx(L, -1, &ok) : 0;
    if (ok && n >= min && n <= max) {
        *out = n;
        return true;
    }
    if (type != LUA_TNUMBER)
        sh_lua_raise(L, "%s: '%s' must be a whole number from %lld to %lld, got %s", what, name,
                     (long long)min, (long long)max, sh_lua_kind(L, -1));
    sh_lua_raise(L, "%s: '%s' must be a whole number from %lld to %lld, got %.14g", what, name,
                 (long long)min, (long long)max, lua_tonumber(L, -1));
}

bool sh_arg_duration(lua_State *L, int table, const char *what, const char *name, double min,
                     double max, int64_t *ms)
{
    double seconds = 0;
    size_t n;
    int type = sh_arg_field(L, table, name);
    if (type == LUA_TNIL)
        return false;
    if (type == LUA_TNUMBER)
        seconds = lua_tonumber(L, -1);
    else if (type != LUA_TSTRING)
        sh_lua_raise(L, "%s: '%s' must be a duration such as \"10s\", or seconds, got %s", what,
                     name, sh_lua_kind(L, -1));
    else if (!sh_lua_duration(lua_tolstring(L, -1, &n), lua_rawlen(L, -1), &seconds))
        sh_lua_raise(L, "%s: '%s' must be a duration such as \"10s\", or seconds, got \"%.60s\"",
                     what, name, lua_tostring(L, -1));
    if (!(seconds >= min && seconds <= max))
        sh_lua_raise(L, "%s: '%s' must be from %.14g to %.14g seconds, got %.14g", what, name, min,
                     max, seconds);
    *ms = (int64_t)(seconds * 1000 + 0.5);
    return true;
}

struct sh_slice sh_arg_number(lua_State *L, int table, const char *what)
{
    int type = table ? sh_arg_field(L, table, "number") : lua_type(L, -1);
    if (type == LUA_TNUMBER && lua_isinteger(L, -1))
        lua_tostring(L, -1); /* in place: its digits */
    else if (type != LUA_TSTRING)
        sh_lua_raise(L, "%s: 'number' must be a text (or a whole number), got %s", what,
                     sh_lua_kind(L, -1));
    struct sh_slice s = sh_arg_top(L, what, "number");
    if (s.n == 0 || s.n > 128)
        sh_lua_raise(L, "%s: 'number' must have 1 to 128 bytes, got %zu", what, s.n);
    return s;
}

struct sh_slice sh_arg_key(lua_State *L, struct sh_lua_run *r, int table, const char *what,
                           enum sh_effect_kind kind)
{
    struct sh_slice key;
    if (!sh_arg_text(L, table, what, "key", &key))
        return key;
    if (key.n == 0 || key.n > SH_MAX_RECORD_ID_BYTES)
        sh_lua_raise(L, "%s: 'key' must have 1 to %d bytes, got %zu", what, SH_MAX_RECORD_ID_BYTES,
                     key.n);
    struct sh_reader reader = sh_reader_of(sh_slice(r->effects.data, r->effects.len));
    struct sh_effect fx;
    for (uint32_t i = 0; i < r->n_effects && sh_effect_read_again(&reader, &fx); i++)
        if (fx.kind == kind && sh_slice_eq(fx.id, key))
            sh_lua_raise(L, "%s: the key '%.100s' was used already in this run", what,
                         lua_tostring(L, -1));
    return key;
}

struct sh_slice sh_arg_type(lua_State *L, int idx, const char *what)
{
    if (lua_type(L, idx) != LUA_TSTRING)
        sh_lua_raise(L, "%s: the event type must be a text, as in %s(%s\"type\", { ... }), got %s",
                     what, what, strcmp(what, "after") == 0 ? "\"2h\", " : "", sh_lua_kind(L, idx));
    lua_pushvalue(L, idx);
    struct sh_slice type = sh_arg_top(L, what, "type");
    if (type.n == 0 || type.n > SH_MAX_TYPE_BYTES)
        sh_lua_raise(L, "%s: the event type must have 1 to %d bytes, got %zu", what,
                     SH_MAX_TYPE_BYTES, type.n);
    for (size_t i = 0; i < type.n; i++)
        if ((unsigned char)type.p[i] < 0x20 || type.p[i] == 0x7f)
            sh_lua_raise(L, "%s: the event type contains a control byte", what);
    return type;
}

struct sh_slice sh_arg_data(lua_State *L, int idx, const char *what)
{
    struct sh_buf *doc = &sh_lua_host(L)->scratch;
    char name[40];
    if (lua_isnil(L, idx)) {
        lua_newtable(L);
        lua_replace(L, idx);
    }
    if (!lua_istable(L, idx))
        sh_lua_raise(L, "%s: the data must be a table, got %s", what, sh_lua_kind(L, idx));
    snprintf(name, sizeof(name), "%s: data", what);
    sh_buf_reset(doc);
    sh_lua_write_json(L, idx, doc, name);
    if (!sh_buf_ok(doc) || doc->len > SH_MAX_DOC_BYTES)
        sh_lua_raise(L, "%s: the data is over %d bytes as JSON", what, SH_MAX_DOC_BYTES);
    if (doc->data[0] != '{')
        sh_lua_raise(L, "%s: the data must have named fields, got a list", what);
    return sh_slice(doc->data, doc->len);
}

void sh_doc_start(struct sh_buf *doc)
{
    sh_buf_reset(doc);
    sh_buf_addc(doc, '{');
}

void sh_doc_name(struct sh_buf *doc, const char *name)
{
    char last = doc->len ? doc->data[doc->len - 1] : '{';
    sh_buf_adds(doc, last == '{' || last == '[' ? "\"" : ",\"");
    sh_buf_adds(doc, name);
    sh_buf_adds(doc, "\":");
}

void sh_doc_text(struct sh_buf *doc, const char *name, struct sh_slice value)
{
    sh_doc_name(doc, name);
    sh_json_quote(doc, value);
}

void sh_doc_int(struct sh_buf *doc, const char *name, int64_t n)
{
    sh_doc_name(doc, name);
    sh_buf_addf(doc, "%lld", (long long)n);
}

struct sh_slice sh_doc_end(lua_State *L, struct sh_buf *doc, const char *what)
{
    sh_buf_addc(doc, '}');
    if (!sh_buf_ok(doc) || doc->len > SH_MAX_DOC_BYTES)
        sh_lua_raise(L, "%s: it is over %d bytes in all", what, SH_MAX_DOC_BYTES);
    return sh_slice(doc->data, doc->len);
}

void sh_doc_check(lua_State *L, struct sh_slice doc, const char *what, sh_doc_check_fn *check)
{
    struct sh_host *h = sh_lua_host(L);
    struct sh_error err = {0};
    cJSON_Delete(h->tree);
    h->tree = sh_json_parse(doc.p, doc.n, &err);
    bool ok = h->tree && check(h->tree, &err);
    cJSON_Delete(h->tree);
    h->tree = NULL;
    if (!ok)
        sh_lua_raise(L, "%s: %s", what, err.msg);
}
