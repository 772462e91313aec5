/* SPDX-License-Identifier: MIT
 * l_effects.c: callback{}, email{}, emit(): what a run asks for besides records. */
#include "lua/internal.h"

#include "base/clock.h"
#include "core/mime.h"
#include "svc/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MIN_DUE 946684800.0    /* 2000-01-01: below it a number is a duration by mistake */
#define MAX_DUE 253402300799.0 /* 9999-12-31 */

struct sh_lua_run *sh_lua_any_run(lua_State *L, const char *what)
{
    struct sh_host *h = sh_lua_host(L);
    if (!h->run)
        sh_lua_raise(L, "%s: not while the file loads, only inside a rule's when or run", what);
    return h->run;
}

struct sh_lua_run *sh_lua_effect_run(lua_State *L, const char *what)
{
    struct sh_host *h = sh_lua_host(L);
    if (!h->run)
        sh_lua_raise(L, "%s: not while the file loads, only inside a rule's run", what);
    if (h->run->phase != SH_PHASE_RUN)
        sh_lua_raise(L, "when only looks: %s belongs in run", what);
    return h->run;
}

void sh_lua_add_effect(lua_State *L, struct sh_lua_run *r, const struct sh_effect *fx)
{
    struct sh_host *h = sh_lua_host(L);
    char why[100];
    if (r->n_effects >= h->budgets.max_effects) {
        snprintf(why, sizeof(why), "budget of %lld effects exceeded",
                 (long long)h->budgets.max_effects);
        sh_lua_kill(L, why);
    }
    sh_effect_write(&r->effects, fx);
    if (!sh_buf_ok(&r->effects)) {
        snprintf(why, sizeof(why), "budget of %lld bytes of effects exceeded",
                 (long long)h->budgets.max_effect_bytes);
        sh_lua_kill(L, why);
    }
    r->n_effects++;
}

/* --- fields of an argument table ------------------------------------------------------------- */

/* The table argument, resolved, ends up at index 2; every field must be one of names. */
static void check_table(lua_State *L, const char *what, const char *const *names)
{
    if (!lua_istable(L, 1))
        sh_lua_raise(L, "%s: a table {...} expected, got %s", what, sh_lua_kind(L, 1));
    lua_settop(L, 1);
    sh_lua_resolve(L, 1);
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            sh_lua_raise(L, "%s: unexpected list item (fields are written name = value)", what);
        const char *key = lua_tostring(L, -1);
        size_t i = 0;
        while (names[i] && strcmp(names[i], key) != 0)
            i++;
        if (names[i])
            continue;
        const char *near = sh_lua_nearest(key, names);
        sh_lua_raise(L, "%s: unknown field '%.60s'%s%s%s", what, key,
                     near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
    }
}

static int field(lua_State *L, const char *name)
{
    lua_pushstring(L, name);
    return lua_rawget(L, 2);
}

static struct sh_slice text_at_top(lua_State *L, const char *what, const char *name)
{
    size_t n;
    const char *s = lua_tolstring(L, -1, &n);
    if (!sh_lua_utf8(s, n))
        sh_lua_raise(L, "%s: '%s' %s", what, name,
                     memchr(s, 0, n) ? "contains a NUL byte" : "is not valid UTF-8 text");
    return sh_slice(s, n);
}

/* Leaves the value on the stack. False: absent. */
static bool text_field(lua_State *L, const char *what, const char *name, struct sh_slice *out)
{
    int type = field(L, name);
    if (type == LUA_TNIL || lua_touserdata(L, -1) == &sh_lua_null)
        return false;
    if (type != LUA_TSTRING)
        sh_lua_raise(L, "%s: '%s' must be a text, got %s", what, name, sh_lua_kind(L, -1));
    *out = text_at_top(L, what, name);
    return true;
}

static void add_member(struct sh_buf *b, const char *name, struct sh_slice value)
{
    sh_buf_adds(b, b->len > 1 ? ",\"" : "\"");
    sh_buf_adds(b, name);
    sh_buf_adds(b, "\":");
    sh_json_quote(b, value);
}

/* The author's own key: unique among the run's effects of that kind. */
static struct sh_slice own_key(lua_State *L, struct sh_lua_run *r, const char *what,
                               enum sh_effect_kind kind)
{
    struct sh_slice key = {0};
    if (!text_field(L, what, "key", &key))
        return key;
    if (key.n == 0 || key.n > SH_MAX_RECORD_ID_BYTES)
        sh_lua_raise(L, "%s: 'key' must have 1 to %d bytes", what, SH_MAX_RECORD_ID_BYTES);
    struct sh_reader reader = sh_reader_of(sh_slice(r->effects.data, r->effects.len));
    struct sh_effect fx;
    for (uint32_t i = 0; i < r->n_effects && sh_effect_read(&reader, &fx); i++)
        if (fx.kind == kind && sh_slice_eq(fx.id, key))
            sh_lua_raise(L, "%s: the key '%.100s' was used already in this run", what,
                         lua_tostring(L, -1));
    return key;
}

/* --- callback -------------------------------------------------------------------------------- */

static int64_t due_text(lua_State *L, struct sh_lua_run *r)
{
    size_t n;
    int64_t ms;
    double seconds;
    const char *s = lua_tolstring(L, -1, &n);
    if (sh_time_parse(s, n, &ms)) {
        if (ms < (int64_t)MIN_DUE * 1000 || ms > (int64_t)MAX_DUE * 1000)
            sh_lua_raise(L, "callback: 'due' must be a time from the year 2000 to 9999, got \"%s\"",
                         s);
        return ms;
    }
    if (sh_lua_duration(s, n, &seconds))
        return r->job->now_ms + (int64_t)llround(seconds * 1000);
    sh_lua_raise(L,
                 "callback: 'due' must be a time such as \"2026-06-12T09:00:00Z\" or a duration "
                 "such as \"2h\", got \"%.60s\"",
                 s);
}

static int64_t due_ms(lua_State *L, struct sh_lua_run *r)
{
    int type = field(L, "due");
    if (type == LUA_TSTRING)
        return due_text(L, r);
    if (type != LUA_TNUMBER)
        sh_lua_raise(L, "callback: 'due' must be a time in seconds (a number), got %s",
                     sh_lua_kind(L, -1));
    double due = lua_tonumber(L, -1);
    if (!(due >= MIN_DUE && due <= MAX_DUE))
        sh_lua_raise(L,
                     "callback: 'due' must be a time in seconds since 1970, such as now() + 2*hour "
                     "or \"2h\", got %.14g",
                     due);
    return (int64_t)llround(due * 1000);
}

static struct sh_slice number_field(lua_State *L)
{
    int type = field(L, "number");
    if (type == LUA_TNUMBER && lua_isinteger(L, -1))
        lua_tostring(L, -1); /* in place: its digits */
    else if (type != LUA_TSTRING)
        sh_lua_raise(L, "callback: 'number' must be a text (or a whole number), got %s",
                     sh_lua_kind(L, -1));
    struct sh_slice s = text_at_top(L, "callback", "number");
    if (s.n == 0 || s.n > 128)
        sh_lua_raise(L, "callback: 'number' must have 1 to 128 bytes, got %zu", s.n);
    return s;
}

static int l_callback(lua_State *L)
{
    static const char *const names[] = {"number", "name", "due", "assignee", "reason", "key", NULL};
    static const char *const texts[] = {"name", "assignee", "reason", NULL};
    struct sh_lua_run *r = sh_lua_effect_run(L, "callback");
    struct sh_buf *doc = &sh_lua_host(L)->scratch;
    check_table(L, "callback", names);
    struct sh_slice number = number_field(L);
    int64_t due = due_ms(L, r);
    struct sh_slice key = own_key(L, r, "callback", SH_FX_CALLBACK);
    sh_buf_reset(doc);
    sh_buf_addc(doc, '{');
    add_member(doc, "number", number);
    sh_buf_addf(doc, ",\"due_at\":%lld", (long long)due);
    for (size_t i = 0; texts[i]; i++) {
        struct sh_slice s;
        if (text_field(L, "callback", texts[i], &s))
            add_member(doc, texts[i], s);
    }
    sh_buf_addc(doc, '}');
    const struct sh_effect fx = {
        .kind = SH_FX_CALLBACK, .id = key, .doc = sh_slice(doc->data, doc->len)};
    if (!sh_buf_ok(doc))
        sh_lua_raise(L, "callback: its texts are too long");
    sh_lua_add_effect(L, r, &fx);
    return 0;
}

/* --- email ----------------------------------------------------------------------------------- */

static void add_addresses(lua_State *L, struct sh_buf *doc, const char *name)
{
    int type = field(L, name);
    if (type == LUA_TNIL)
        return;
    sh_buf_addf(doc, "%s\"%s\":[", doc->len > 1 ? "," : "", name);
    if (type == LUA_TSTRING) {
        sh_json_quote(doc, text_at_top(L, "email", name));
    } else if (type == LUA_TTABLE) {
        sh_lua_resolve(L, -1);
        size_t n = lua_rawlen(L, -1);
        for (size_t i = 1; i <= n && i <= 101; i++) {
            if (lua_rawgeti(L, -1, (lua_Integer)i) != LUA_TSTRING)
                sh_lua_raise(L, "email: '%s' item %zu must be an address (a text), got %s", name, i,
                             sh_lua_kind(L, -1));
            if (i > 1)
                sh_buf_addc(doc, ',');
            sh_json_quote(doc, text_at_top(L, "email", name));
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    } else {
        sh_lua_raise(L, "email: '%s' must be an address or a list of addresses, got %s", name,
                     sh_lua_kind(L, -1));
    }
    sh_buf_addc(doc, ']');
    lua_pop(L, 1);
}

/* Replace the text on top of L by its filled form. with: 0 = leave {{..}} alone. */
static struct sh_slice filled(lua_State *L, struct sh_slice text, int with, const char *name)
{
    char what[40];
    if (!with || !memmem(text.p, text.n, "{{", 2))
        return text;
    snprintf(what, sizeof(what), "email: '%s'", name);
    sh_lua_push_filled(L, text, with, strcmp(name, "html") == 0, what);
    lua_replace(L, -2);
    return text_at_top(L, "email", name);
}

static void check_email(lua_State *L, const struct sh_buf *doc)
{
    struct sh_error err;
    cJSON *tree = sh_json_parse(doc->data, doc->len, &err);
    bool ok = tree && sh_email_check(tree, &err);
    cJSON_Delete(tree);
    if (!ok)
        sh_lua_raise(L, "email: %s", err.msg);
}

static int l_email(lua_State *L)
{
    static const char *const names[] = {"to",   "cc",   "reply_to", "subject", "text",
                                        "html", "with", "key",      NULL};
    static const char *const texts[] = {"reply_to", "subject", "text", "html", NULL};
    struct sh_lua_run *r = sh_lua_effect_run(L, "email");
    check_table(L, "email", names);
    int type = field(L, "with");
    if (type != LUA_TNIL && type != LUA_TTABLE)
        sh_lua_raise(L, "email: 'with' must be a table, got %s", sh_lua_kind(L, -1));
    int with = type == LUA_TTABLE ? lua_gettop(L) : 0;
    struct sh_slice values[4];
    bool present[4];
    for (size_t i = 0; texts[i]; i++) { /* filled first: filling uses the scratch buffer */
        present[i] = text_field(L, "email", texts[i], &values[i]);
        if (present[i] && i > 0)
            values[i] = filled(L, values[i], with, texts[i]);
    }
    struct sh_slice key = own_key(L, r, "email", SH_FX_EMAIL);
    struct sh_buf *doc = &sh_lua_host(L)->scratch;
    sh_buf_reset(doc);
    sh_buf_addc(doc, '{');
    if (field(L, "to") == LUA_TNIL)
        sh_lua_raise(L, "email: 'to' must be an address or a list of addresses, got nil");
    lua_pop(L, 1);
    add_addresses(L, doc, "to");
    add_addresses(L, doc, "cc");
    for (size_t i = 0; texts[i]; i++)
        if (present[i])
            add_member(doc, texts[i], values[i]);
    sh_buf_addc(doc, '}');
    if (!sh_buf_ok(doc))
        sh_lua_raise(L, "email: its texts are too long");
    check_email(L, doc);
    const struct sh_effect fx = {
        .kind = SH_FX_EMAIL, .id = key, .doc = sh_slice(doc->data, doc->len)};
    sh_lua_add_effect(L, r, &fx);
    return 0;
}

/* --- emit ------------------------------------------------------------------------------------ */

static int l_emit(lua_State *L)
{
    struct sh_lua_run *r = sh_lua_effect_run(L, "emit");
    struct sh_buf *doc = &sh_lua_host(L)->scratch;
    if (lua_type(L, 1) != LUA_TSTRING)
        sh_lua_raise(L,
                     "emit: the event type must be a text, as in emit(\"type\", { ... }), got %s",
                     sh_lua_kind(L, 1));
    lua_settop(L, 2);
    lua_pushvalue(L, 1);
    struct sh_slice type = text_at_top(L, "emit", "type");
    if (type.n == 0 || type.n > SH_MAX_TYPE_BYTES)
        sh_lua_raise(L, "emit: the event type must have 1 to %d bytes", SH_MAX_TYPE_BYTES);
    for (size_t i = 0; i < type.n; i++)
        if ((unsigned char)type.p[i] < 0x20 || type.p[i] == 0x7f)
            sh_lua_raise(L, "emit: the event type contains a control byte");
    if (lua_isnil(L, 2)) {
        lua_newtable(L);
        lua_replace(L, 2);
    }
    if (!lua_istable(L, 2))
        sh_lua_raise(L, "emit: the data must be a table, got %s", sh_lua_kind(L, 2));
    sh_buf_reset(doc);
    sh_lua_write_json(L, 2, doc, "emit: data");
    if (!sh_buf_ok(doc))
        sh_lua_raise(L, "emit: the data is over %zu bytes as JSON", doc->max);
    const struct sh_effect fx = {
        .kind = SH_FX_EMIT, .collection = type, .doc = sh_slice(doc->data, doc->len)};
    sh_lua_add_effect(L, r, &fx);
    return 0;
}

void sh_lua_open_effects(lua_State *L)
{
    static const luaL_Reg fns[] = {
        {"callback", l_callback}, {"email", l_email}, {"emit", l_emit}, {NULL, NULL}};
    luaL_setfuncs(L, fns, 0);
}
