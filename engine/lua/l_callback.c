/* SPDX-License-Identifier: MIT
 * l_callback.c: callback{}, and callbacks.*: what becomes of those that exist. */
#include "lua/internal.h"

#include <string.h>

/* [.. value] -> the time, with its local form in the document. */
static void add_due(lua_State *L, const struct sh_lua_run *r, struct sh_buf *doc, const char *what,
                    const char *zone)
{
    struct sh_when when;
    sh_lua_when(L, r, what, "due", zone, false, &when);
    sh_doc_int(doc, "due_at", when.ms);
    if (!when.zone)
        return;
    sh_doc_text(doc, "due_local", sh_slice_str(when.local));
    sh_doc_text(doc, "zone", sh_slice_str(when.zone));
}

static void add_texts(lua_State *L, int table, struct sh_buf *doc, const char *what,
                      const char *const *names)
{
    struct sh_slice s;
    for (size_t i = 0; names[i]; i++)
        if (sh_arg_text(L, table, what, names[i], &s))
            sh_doc_text(doc, names[i], s);
}

static void add_options(lua_State *L, int table, struct sh_buf *doc)
{
    struct sh_slice s;
    int64_t minutes;
    bool email;
    if (sh_arg_text(L, table, "callback", "completes", &s)) {
        if (!sh_slice_eq(s, SH_SLICE("answered")))
            sh_lua_raise(L, "callback: 'completes' must be \"answered\", got \"%.60s\"", s.p);
        sh_doc_text(doc, "completes", s);
    }
    if (sh_arg_int(L, table, "callback", "minutes", 1, 1440, &minutes))
        sh_doc_int(doc, "minutes", minutes);
    if (sh_arg_bool(L, table, "callback", "email", &email)) {
        sh_doc_name(doc, "email");
        sh_buf_adds(doc, email ? "true" : "false");
    }
}

static int l_callback(lua_State *L)
{
    static const char *const texts[] = {"name", "assignee", "reason", NULL};
    struct sh_lua_run *r = sh_lua_effect_run(L, "callback");
    struct sh_buf *doc = &sh_lua_host(L)->scratch;
    int table = sh_arg_only(L, "callback", &sh_fields_callback);
    struct sh_slice number = sh_arg_number(L, table, "callback");
    struct sh_slice key = sh_arg_key(L, r, table, "callback", SH_FX_CALLBACK);
    const char *zone = sh_arg_zone(L, table, "callback");
    sh_doc_start(doc);
    sh_doc_text(doc, "number", number);
    sh_arg_field(L, table, "due");
    add_due(L, r, doc, "callback", zone);
    add_texts(L, table, doc, "callback", texts);
    add_options(L, table, doc);
    const struct sh_effect fx = {
        .kind = SH_FX_CALLBACK, .id = key, .doc = sh_doc_end(L, doc, "callback")};
    sh_lua_add_effect(L, r, &fx);
    return 0;
}

/* --- callbacks that exist --------------------------------------------------------------------- */

/* Which ones: exactly one of id, key and number. */
static void add_which(lua_State *L, int table, struct sh_buf *doc, const char *what)
{
    int given = 0;
    struct sh_slice s;
    static const char *const texts[] = {"id", "key"};
    for (size_t i = 0; i < 2; i++) {
        if (!sh_arg_text(L, table, what, texts[i], &s))
            continue;
        if (s.n == 0 || s.n > SH_MAX_RECORD_ID_BYTES)
            sh_lua_raise(L, "%s: '%s' must have 1 to %d bytes, got %zu", what, texts[i],
                         SH_MAX_RECORD_ID_BYTES, s.n);
        sh_doc_text(doc, texts[i], s);
        given++;
    }
    if (sh_arg_field(L, table, "number") != LUA_TNIL) {
        sh_doc_text(doc, "number", sh_arg_number(L, table, what));
        given++;
    }
    if (given != 1)
        sh_lua_raise(L, "%s: one of 'id', 'key' and 'number' must say which callback, got %s", what,
                     given ? "more than one" : "none");
}

static int change(lua_State *L, const char *verb, const char *what, const struct sh_fields *fields)
{
    static const char *const texts[] = {"assignee", "note", NULL};
    struct sh_lua_run *r = sh_lua_effect_run(L, what);
    struct sh_buf *doc = &sh_lua_host(L)->scratch;
    int table = sh_arg_only(L, what, fields);
    const char *zone = strcmp(verb, "snooze") == 0 ? sh_arg_zone(L, table, what) : NULL;
    sh_doc_start(doc);
    sh_doc_text(doc, "do", sh_slice_str(verb));
    add_which(L, table, doc, what);
    if (zone) {
        sh_arg_field(L, table, "due");
        add_due(L, r, doc, what, zone);
    }
    if (strcmp(verb, "reassign") == 0 && sh_arg_field(L, table, "assignee") == LUA_TNIL)
        sh_lua_raise(L, "%s: 'assignee' must be a text, got nil", what);
    add_texts(L, table, doc, what, texts);
    const struct sh_effect fx = {.kind = SH_FX_CALLBACK_DO, .doc = sh_doc_end(L, doc, what)};
    sh_lua_add_effect(L, r, &fx);
    return 0;
}

static int callbacks_done(lua_State *L)
{
    return change(L, "done", "callbacks.done", &sh_fields_which);
}

static int callbacks_cancel(lua_State *L)
{
    return change(L, "cancel", "callbacks.cancel", &sh_fields_which);
}

static int callbacks_snooze(lua_State *L)
{
    return change(L, "snooze", "callbacks.snooze", &sh_fields_snooze);
}

static int callbacks_reassign(lua_State *L)
{
    return change(L, "reassign", "callbacks.reassign", &sh_fields_reassign);
}

static int callbacks_answered(lua_State *L)
{
    const char *what = "callbacks.answered";
    struct sh_lua_run *r = sh_lua_effect_run(L, what);
    struct sh_buf *doc = &sh_lua_host(L)->scratch;
    lua_settop(L, 1);
    struct sh_slice number = sh_arg_number(L, 0, what);
    sh_doc_start(doc);
    sh_doc_text(doc, "do", SH_SLICE("answered"));
    sh_doc_text(doc, "number", number);
    const struct sh_effect fx = {.kind = SH_FX_CALLBACK_DO, .doc = sh_doc_end(L, doc, what)};
    sh_lua_add_effect(L, r, &fx);
    return 0;
}

void sh_lua_open_callback(lua_State *L)
{
    static const luaL_Reg fns[] = {
        {"done", callbacks_done},         {"cancel", callbacks_cancel},
        {"snooze", callbacks_snooze},     {"reassign", callbacks_reassign},
        {"answered", callbacks_answered}, {NULL, NULL}};
    lua_pushcfunction(L, l_callback);
    lua_setfield(L, -2, "callback");
    luaL_newlib(L, fns);
    sh_lua_seal(L, "callbacks");
    lua_setfield(L, -2, "callbacks");
}
