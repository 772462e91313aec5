/* SPDX-License-Identifier: MIT
 * l_http.c: http.post, put, patch, delete (queued with the run's effects) and http.escape. */
#include "lua/l_http.h"

#include "core/http_call.h"
#include "svc/json.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#define MAX_TIMEOUT 60.0 /* seconds */

/* --- texts ----------------------------------------------------------------------------------- */

/* Add the value on top of L to the text being put together. */
static void add_scalar(struct sh_call *c, const char *field, struct sh_slice name,
                       enum sh_text_as as)
{
    lua_State *L = c->L;
    bool ok = true;
    int type = lua_type(L, -1);
    if (type == LUA_TBOOLEAN && as != SH_AS_PLAIN) {
        ok = sh_text_add(c->h, sh_slice_str(lua_toboolean(L, -1) ? "true" : "false"), as);
    } else if (type == LUA_TSTRING || (type == LUA_TNUMBER && isfinite(lua_tonumber(L, -1)))) {
        size_t n;
        lua_pushvalue(L, -1); /* lua_tolstring changes a number in place */
        const char *s = lua_tolstring(L, -1, &n);
        ok = sh_text_add(c->h, sh_slice(s, n), as);
        lua_pop(L, 1);
    } else if (sh_lua_is_secret(L, -1)) {
        ok = sh_text_add_secret(L, -1, as);
    } else {
        sh_lua_raise(L, "%s: '%s.%.60s' must be %s, a secret, or a list of them, got %s", c->what,
                     field, name.p,
                     as == SH_AS_PLAIN ? "a text, a number" : "a text, a number, a boolean",
                     sh_lua_kind(L, -1));
    }
    if (!ok)
        sh_lua_raise(L, "%s: '%s.%.60s' is not valid UTF-8 text, or contains a NUL byte", c->what,
                     field, name.p);
}

/* The url or body on top of L, as it is. */
static void add_plain(struct sh_call *c, const char *field, const char *expected)
{
    lua_State *L = c->L;
    bool ok = true;
    if (lua_type(L, -1) == LUA_TSTRING)
        ok = sh_text_add(c->h, sh_arg_top(L, c->what, field), SH_AS_PLAIN);
    else if (sh_lua_is_secret(L, -1))
        ok = sh_text_add_secret(L, -1, SH_AS_PLAIN);
    else
        sh_lua_raise(L, "%s: '%s' must be %s, got %s", c->what, field, expected,
                     sh_lua_kind(L, -1));
    if (!ok)
        sh_lua_raise(L, "%s: '%s' is not valid UTF-8 text, or contains a NUL byte", c->what, field);
}

typedef void value_fn(struct sh_call *c, struct sh_slice name);

/* The list on top of L, or one value. */
static void each_value(struct sh_call *c, const char *field, struct sh_slice name, value_fn *one)
{
    lua_State *L = c->L;
    if (!lua_istable(L, -1)) {
        one(c, name);
        return;
    }
    sh_lua_resolve(L, -1);
    size_t n = lua_rawlen(L, -1);
    if (n == 0)
        lua_pushnil(L);
    if (n == 0 && lua_next(L, -2))
        sh_lua_raise(L, "%s: '%s.%.60s' must be a value or a list of them, got a table with fields",
                     c->what, field, name.p);
    for (size_t i = 1; i <= n && sh_buf_ok(c->doc) && sh_buf_ok(&c->h->text); i++) {
        lua_rawgeti(L, -1, (lua_Integer)i);
        one(c, name);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* The fields of { name = value or list } in their order. */
static void each_field(struct sh_call *c, const char *field, value_fn *one)
{
    lua_State *L = c->L;
    struct sh_host *h = c->h;
    if (!lua_istable(L, -1))
        sh_lua_raise(L, "%s: '%s' must be a table {name = value}, got %s", c->what, field,
                     sh_lua_kind(L, -1));
    sh_lua_resolve(L, -1);
    h->n_keys = 0; /* an earlier error leaves some behind */
    size_t n = sh_lua_keys(L, lua_gettop(L));
    for (size_t i = 0; i < n; i++) {
        struct sh_key k = h->keys[i];
        if (k.kind != 2)
            sh_lua_raise(L, "%s: '%s' must have named fields (name = value), not list items",
                         c->what, field);
        if (!sh_lua_utf8(k.s, k.n))
            sh_lua_raise(L, "%s: '%s' has a name that is not valid UTF-8 text", c->what, field);
        sh_lua_push_key(L, &k);
        lua_rawget(L, -2);
        each_value(c, field, sh_slice(k.s, k.n), one);
        lua_pop(L, 1);
    }
    h->n_keys = 0;
    lua_pop(L, 1);
}

/* --- URL ------------------------------------------------------------------------------------- */

static void one_query(struct sh_call *c, struct sh_slice name)
{
    struct sh_buf *text = &c->h->text;
    sh_buf_addc(text, c->joint);
    c->joint = '&';
    sh_text_percent(text, name, SH_AS_URL);
    sh_buf_addc(text, '=');
    add_scalar(c, "query", name, SH_AS_URL);
}

static void check_url(struct sh_call *c, bool with_query)
{
    const struct sh_buf *text = &c->h->text;
    for (size_t i = 0; i < text->len; i++) {
        unsigned char b = (unsigned char)text->data[i];
        if (b <= 0x20 || b >= 0x7f)
            sh_lua_raise(c->L,
                         "%s: 'url' has %s at byte %zu, which a URL holds percent-encoded: put "
                         "values into query = {name = value}, or through http.escape(text)",
                         c->what,
                         b == ' '   ? "a space"
                         : b < 0x20 ? "a control byte"
                                    : "a byte that is not ASCII",
                         i + 1);
        if (b == '#' && with_query)
            sh_lua_raise(c->L, "%s: 'url' has a # part, which is never sent: leave it out",
                         c->what);
    }
}

static void add_url(struct sh_call *c)
{
    lua_State *L = c->L;
    struct sh_host *h = c->h;
    sh_arg_field(L, c->table, "url");
    sh_text_reset(h);
    add_plain(c, "url", "a text such as \"https://crm.example.org/calls\"");
    bool with_query = sh_arg_field(L, c->table, "query") != LUA_TNIL;
    check_url(c, with_query);
    c->joint = h->text.len && memchr(h->text.data, '?', h->text.len) ? '&' : '?';
    if (with_query && h->text.len && strchr("?&", h->text.data[h->text.len - 1]))
        c->joint = h->text.data[--h->text.len]; /* "https://x/?" has it already */
    if (with_query)
        each_field(c, "query", one_query);
    sh_doc_name(c->doc, "url");
    sh_text_put(h, c->doc, SH_AS_URL);
}

/* --- headers and body ------------------------------------------------------------------------ */

static void header_start(struct sh_call *c, struct sh_slice name)
{
    if (c->doc->len && c->doc->data[c->doc->len - 1] != '[')
        sh_buf_addc(c->doc, ',');
    sh_buf_addc(c->doc, '[');
    sh_json_quote(c->doc, name);
    sh_buf_addc(c->doc, ',');
}

static void one_header(struct sh_call *c, struct sh_slice name)
{
    static const char type[] = "content-type";
    c->typed = c->typed || (name.n == strlen(type) && strncasecmp(name.p, type, name.n) == 0);
    header_start(c, name);
    sh_text_reset(c->h);
    add_scalar(c, "headers", name, SH_AS_PLAIN);
    sh_text_put(c->h, c->doc, SH_AS_PLAIN);
    sh_buf_addc(c->doc, ']');
}

/* type: of the body, NULL = none. */
static void add_headers(struct sh_call *c, const char *type)
{
    sh_doc_name(c->doc, "headers");
    sh_buf_addc(c->doc, '[');
    if (sh_arg_field(c->L, c->table, "headers") != LUA_TNIL)
        each_field(c, "headers", one_header);
    if (type && !c->typed) {
        header_start(c, SH_SLICE("Content-Type"));
        sh_json_quote(c->doc, sh_slice_str(type));
        sh_buf_addc(c->doc, ']');
    }
    sh_buf_addc(c->doc, ']');
}

static void one_form(struct sh_call *c, struct sh_slice name)
{
    if (c->joint)
        sh_buf_addc(&c->h->text, c->joint);
    c->joint = '&';
    sh_text_percent(&c->h->text, name, SH_AS_FORM);
    sh_buf_addc(&c->h->text, '=');
    add_scalar(c, "form", name, SH_AS_FORM);
}

/* The value on top of L is the one that was given as `field`. */
static void put_body(struct sh_call *c, const char *field, char name[40])
{
    lua_State *L = c->L;
    enum sh_text_as as = SH_AS_PLAIN;
    sh_text_reset(c->h);
    if (strcmp(field, "json") == 0) {
        as = SH_AS_JSON;
        sh_lua_write_call_json(L, -1, name);
    } else if (strcmp(field, "form") == 0) {
        as = SH_AS_FORM;
        c->joint = '\0';
        each_field(c, "form", one_form);
    } else {
        add_plain(c, "body", "a text (json = for a table)");
    }
    sh_doc_name(c->doc, "body");
    sh_text_put(c->h, c->doc, as);
}

/* Which of json, form and body was given; its content type. json = json.null is a body. */
static const char *body_field(struct sh_call *c, const char **type)
{
    static const char *const fields[] = {"json", "form", "body"};
    static const char *const types[] = {"application/json", "application/x-www-form-urlencoded",
                                        "text/plain; charset=utf-8"};
    const char *given = NULL;
    for (size_t i = 0; i < 3; i++) {
        bool there =
            sh_arg_field(c->L, c->table, fields[i]) != LUA_TNIL || (i == 0 && !lua_isnil(c->L, -1));
        lua_pop(c->L, 1);
        if (there && given)
            sh_lua_raise(c->L, "%s: '%s' and '%s' are both given, expected one of json, form, body",
                         c->what, given, fields[i]);
        if (there) {
            given = fields[i];
            *type = types[i];
        }
    }
    return given;
}

static void add_body(struct sh_call *c, const char *field)
{
    char name[40];
    snprintf(name, sizeof(name), "%s: json", c->what);
    sh_arg_field(c->L, c->table, field);
    put_body(c, field, name);
    lua_pop(c->L, 1);
}

void sh_call_start(struct sh_call *c, const char *method)
{
    const char *type = NULL, *body = strcmp(method, "GET") == 0 ? NULL : body_field(c, &type);
    int64_t n;
    sh_doc_start(c->doc);
    sh_doc_text(c->doc, "method", sh_slice_str(method));
    add_url(c);
    add_headers(c, type);
    if (body)
        add_body(c, body);
    if (sh_arg_duration(c->L, c->table, c->what, "timeout", 0.001, MAX_TIMEOUT, &n))
        sh_doc_int(c->doc, "timeout_ms", n);
    if (sh_arg_int(c->L, c->table, c->what, "redirects", 0, 5, &n))
        sh_doc_int(c->doc, "redirects", n);
}

/* --- effects --------------------------------------------------------------------------------- */

static bool check_call(const cJSON *doc, struct sh_error *err)
{
    return sh_http_call_check(doc, false, err);
}

static int queue(lua_State *L, const char *method, const char *what)
{
    struct sh_lua_run *r = sh_lua_effect_run(L, what);
    struct sh_host *h = sh_lua_host(L);
    struct sh_call c = {.L = L, .h = h, .doc = &h->scratch, .what = what};
    struct sh_slice notify;
    c.table = sh_arg_only(L, what, &sh_fields_http);
    struct sh_effect fx = {.kind = SH_FX_HTTP, .id = sh_arg_key(L, r, c.table, what, SH_FX_HTTP)};
    sh_call_start(&c, method);
    if (sh_arg_text(L, c.table, what, "notify", &notify))
        sh_doc_text(c.doc, "notify", notify);
    fx.doc = sh_doc_end(L, c.doc, what);
    sh_doc_check(L, fx.doc, what, check_call);
    sh_lua_add_effect(L, r, &fx);
    return 0;
}

static int http_post(lua_State *L)
{
    return queue(L, "POST", "http.post");
}

static int http_put(lua_State *L)
{
    return queue(L, "PUT", "http.put");
}

static int http_patch(lua_State *L)
{
    return queue(L, "PATCH", "http.patch");
}

static int http_delete(lua_State *L)
{
    return queue(L, "DELETE", "http.delete");
}

static int http_escape(lua_State *L)
{
    struct sh_buf *out = &sh_lua_host(L)->scratch;
    size_t n;
    if (sh_lua_is_secret(L, 1))
        sh_lua_raise(L, "http.escape: a secret is escaped for the place it stands in when the call "
                        "is sent: join it as it is");
    if (!lua_isstring(L, 1))
        sh_lua_raise(L, "http.escape: a text or a number expected, got %s", sh_lua_kind(L, 1));
    const char *s = lua_tolstring(L, 1, &n);
    sh_buf_reset(out);
    sh_text_percent(out, sh_slice(s, n), SH_AS_URL);
    if (!sh_buf_ok(out))
        sh_lua_raise(L, "http.escape: the result is over %zu bytes", out->max);
    lua_pushlstring(L, out->data ? out->data : "", out->len);
    return 1;
}

void sh_lua_open_http(lua_State *L)
{
    static const luaL_Reg fns[] = {{"post", http_post},
                                   {"put", http_put},
                                   {"patch", http_patch},
                                   {"delete", http_delete},
                                   {"get", sh_lua_http_get},
                                   {"escape", http_escape},
                                   {NULL, NULL}};
    luaL_newlib(L, fns);
    sh_lua_seal(L, "http");
    lua_setfield(L, -2, "http");
}
