/* SPDX-License-Identifier: MIT
 * l_email.c: email{}: texts filled, addresses, attachments and an invitation. */
#include "lua/internal.h"

#include "core/mime.h"
#include "svc/json.h"

#include <stdio.h>
#include <string.h>

/* of one list; core/mime_check.c and core/ical.c have the same limits */
#define MAX_ADDRESSES   100
#define MAX_ATTENDEES   300
#define MAX_ATTACHMENTS 20

enum { REPLY_TO, SUBJECT, TEXT, HTML, N_TEXTS };
static const char *const text_names[] = {"reply_to", "subject", "text", "html"};

enum { SUMMARY, DESCRIPTION, LOCATION, N_FILLED };
static const char *const filled_names[] = {"summary", "description", "location"};

struct email { /* filled before the document is begun: filling uses the scratch buffers */
    lua_State *L;
    struct sh_lua_run *r;
    struct sh_buf *doc;
    int table, with, invitation; /* stack indexes, 0 = none */
    struct sh_slice texts[N_TEXTS], invites[N_FILLED];
    bool has_text[N_TEXTS], has_invite[N_FILLED];
};

/* --- addresses ------------------------------------------------------------------------------- */

/* The length of the list on top of L. */
static size_t list_length(lua_State *L, const char *what, const char *name, size_t most)
{
    size_t n = lua_rawlen(L, -1);
    if (n > most)
        sh_lua_raise(L, "%s: '%s' has %zu items, expected at most %zu", what, name, n, most);
    return n;
}

static void add_list(struct email *e, int table, const char *what, const char *name)
{
    lua_State *L = e->L;
    int type = sh_arg_field(L, table, name);
    if (type == LUA_TNIL)
        return;
    sh_doc_name(e->doc, name);
    sh_buf_addc(e->doc, '[');
    if (type == LUA_TSTRING) {
        sh_json_quote(e->doc, sh_arg_top(L, what, name));
    } else if (type == LUA_TTABLE) {
        sh_lua_resolve(L, -1);
        size_t n = list_length(L, what, name,
                               strcmp(name, "attendees") == 0 ? MAX_ATTENDEES : MAX_ADDRESSES);
        for (size_t i = 1; i <= n; i++) {
            if (lua_rawgeti(L, -1, (lua_Integer)i) != LUA_TSTRING)
                sh_lua_raise(L, "%s: '%s' item %zu must be an address (a text), got %s", what, name,
                             i, sh_lua_kind(L, -1));
            if (i > 1)
                sh_buf_addc(e->doc, ',');
            sh_json_quote(e->doc, sh_arg_top(L, what, name));
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    } else {
        sh_lua_raise(L, "%s: '%s' must be an address or a list of addresses, got %s", what, name,
                     sh_lua_kind(L, -1));
    }
    sh_buf_addc(e->doc, ']');
    lua_pop(L, 1);
}

/* --- texts ----------------------------------------------------------------------------------- */

/* Replace the text on top of L by its filled form. */
static struct sh_slice filled(struct email *e, struct sh_slice text, const char *name)
{
    char what[60];
    if (!e->with || !memmem(text.p, text.n, "{{", 2))
        return text;
    snprintf(what, sizeof(what), "email: '%s'", name);
    sh_lua_push_filled(e->L, text, e->with, strcmp(name, "html") == 0, what);
    lua_replace(e->L, -2);
    return sh_arg_top(e->L, "email", name);
}

static void fill_texts(struct email *e)
{
    for (size_t i = 0; i < N_TEXTS; i++) {
        e->has_text[i] = sh_arg_text(e->L, e->table, "email", text_names[i], &e->texts[i]);
        if (e->has_text[i] && i != REPLY_TO)
            e->texts[i] = filled(e, e->texts[i], text_names[i]);
    }
    for (size_t i = 0; e->invitation && i < N_FILLED; i++) {
        e->has_invite[i] =
            sh_arg_text(e->L, e->invitation, "email: invitation", filled_names[i], &e->invites[i]);
        if (e->has_invite[i])
            e->invites[i] = filled(e, e->invites[i], filled_names[i]);
    }
}

/* --- attachments ----------------------------------------------------------------------------- */

/* The content of an attachment, which may be longer than a text is elsewhere. */
static void add_attachment(struct email *e, size_t at)
{
    const char *const *names = sh_fields_attachment.names;
    lua_State *L = e->L;
    char what[60];
    struct sh_slice s;
    snprintf(what, sizeof(what), "email: attachments[%zu]", at);
    int top = lua_gettop(L), table = sh_arg_table(L, top, what, &sh_fields_attachment);
    sh_buf_addc(e->doc, '{');
    for (size_t i = 0; names[i]; i++)
        if (sh_arg_text(L, table, what, names[i], &s))
            sh_doc_text(e->doc, names[i], s);
    sh_buf_addc(e->doc, '}');
    lua_settop(L, top);
}

static void add_attachments(struct email *e)
{
    lua_State *L = e->L;
    if (sh_arg_field(L, e->table, "attachments") == LUA_TNIL)
        return;
    if (!lua_istable(L, -1))
        sh_lua_raise(L, "email: 'attachments' must be a list of tables, got %s",
                     sh_lua_kind(L, -1));
    sh_lua_resolve(L, -1);
    size_t n = list_length(L, "email", "attachments", MAX_ATTACHMENTS);
    if (n == 0)
        lua_pushnil(L);
    if (n == 0 && lua_next(L, -2))
        sh_lua_raise(L, "email: 'attachments' must be a list of tables, as in { { name = .. } }");
    if (n == 0)
        return;
    sh_doc_name(e->doc, "attachments");
    sh_buf_addc(e->doc, '[');
    for (size_t i = 1; i <= n; i++) {
        if (i > 1)
            sh_buf_addc(e->doc, ',');
        lua_rawgeti(L, -1, (lua_Integer)i);
        add_attachment(e, i);
        lua_pop(L, 1);
    }
    sh_buf_addc(e->doc, ']');
}

/* --- invitation ------------------------------------------------------------------------------ */

static void add_times(struct email *e)
{
    const char *what = "email: invitation";
    lua_State *L = e->L;
    struct sh_when start, finish;
    int64_t minutes;
    const char *zone = sh_arg_zone(L, e->invitation, what);
    sh_arg_field(L, e->invitation, "start");
    sh_lua_when(L, e->r, what, "start", zone, false, &start);
    sh_doc_int(e->doc, "start_at", start.ms);
    bool length = sh_arg_int(L, e->invitation, what, "minutes", 1, 366 * 1440, &minutes);
    if (sh_arg_field(L, e->invitation, "finish") != LUA_TNIL) {
        if (length)
            sh_lua_raise(L, "%s: 'minutes' and 'finish' are both given, expected one", what);
        sh_lua_when(L, e->r, what, "finish", zone, false, &finish);
        if (finish.ms / 1000 <= start.ms / 1000)
            sh_lua_raise(L, "%s: 'finish' must be after 'start', by a second or more", what);
        sh_doc_int(e->doc, "end_at", finish.ms);
    } else if (length) {
        sh_doc_int(e->doc, "end_at", start.ms + minutes * 60000);
    }
}

static void add_invitation(struct email *e)
{
    static const char *const texts[] = {"uid", "method", "organizer", "status", "url", NULL};
    const char *what = "email: invitation";
    struct sh_slice s;
    int64_t n;
    if (!e->invitation)
        return;
    sh_doc_name(e->doc, "invitation");
    sh_buf_addc(e->doc, '{');
    add_times(e);
    for (size_t i = 0; i < N_FILLED; i++)
        if (e->has_invite[i])
            sh_doc_text(e->doc, filled_names[i], e->invites[i]);
    for (size_t i = 0; texts[i]; i++)
        if (sh_arg_text(e->L, e->invitation, what, texts[i], &s))
            sh_doc_text(e->doc, texts[i], s);
    if (sh_arg_int(e->L, e->invitation, what, "sequence", 0, INT32_MAX, &n))
        sh_doc_int(e->doc, "sequence", n);
    if (sh_arg_int(e->L, e->invitation, what, "alarm_minutes", 0, 40320, &n))
        sh_doc_int(e->doc, "alarm_minutes", n);
    add_list(e, e->invitation, what, "attendees");
    sh_buf_addc(e->doc, '}');
}

/* --- email ----------------------------------------------------------------------------------- */

static void open_email(struct email *e)
{
    lua_State *L = e->L;
    e->table = sh_arg_only(L, "email", &sh_fields_email);
    luaL_checkstack(L, 80, NULL);
    int type = sh_arg_field(L, e->table, "with");
    if (type != LUA_TNIL && type != LUA_TTABLE)
        sh_lua_raise(L, "email: 'with' must be a table, got %s", sh_lua_kind(L, -1));
    e->with = type == LUA_TTABLE ? lua_gettop(L) : 0;
    if (sh_arg_field(L, e->table, "invitation") != LUA_TNIL)
        e->invitation = sh_arg_table(L, lua_gettop(L), "email: invitation", &sh_fields_invitation);
    fill_texts(e);
}

static int l_email(lua_State *L)
{
    struct email e = {.L = L, .r = sh_lua_effect_run(L, "email")};
    struct sh_slice notify;
    open_email(&e);
    struct sh_effect fx = {.kind = SH_FX_EMAIL,
                           .id = sh_arg_key(L, e.r, e.table, "email", SH_FX_EMAIL)};
    e.doc = &sh_lua_host(L)->scratch;
    sh_doc_start(e.doc);
    add_list(&e, e.table, "email", "to");
    add_list(&e, e.table, "email", "cc");
    add_list(&e, e.table, "email", "bcc");
    for (size_t i = 0; i < N_TEXTS; i++)
        if (e.has_text[i])
            sh_doc_text(e.doc, text_names[i], e.texts[i]);
    add_attachments(&e);
    add_invitation(&e);
    if (sh_arg_text(L, e.table, "email", "notify", &notify))
        sh_doc_text(e.doc, "notify", notify);
    fx.doc = sh_doc_end(L, e.doc, "email");
    sh_doc_check(L, fx.doc, "email", sh_email_check);
    sh_lua_add_effect(L, e.r, &fx);
    return 0;
}

void sh_lua_open_email(lua_State *L)
{
    lua_pushcfunction(L, l_email);
    lua_setfield(L, -2, "email");
}
