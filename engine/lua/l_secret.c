/* SPDX-License-Identifier: MIT
 * l_secret.c: secret "NAME", and texts joined from secrets.
 *
 * A secret is a userdata that knows its name alone: its text stays in the engine, which puts it in
 * when the call leaves. Joined with .. it gives another such userdata, a list of parts. So a
 * reference to a secret is never a piece of text, and no text of a sender can become one. */
#include "lua/internal.h"

#include "svc/json.h"

#include <string.h>

struct secret_text {
    size_t n;
    char parts[]; /* u8 1 and the name of a secret, or u8 0 and text; never two texts in a row */
};

bool sh_lua_is_secret(lua_State *L, int idx)
{
    if (lua_type(L, idx) != LUA_TUSERDATA || !lua_getmetatable(L, idx))
        return false;
    bool yes = lua_topointer(L, -1) == sh_lua_host(L)->secret_mt_p;
    lua_pop(L, 1);
    return yes;
}

static struct sh_reader parts_of(lua_State *L, int idx)
{
    const struct secret_text *t = lua_touserdata(L, idx);
    return sh_reader_of(sh_slice(t->parts, t->n));
}

static void push_parts(lua_State *L, const char *p, size_t n)
{
    struct secret_text *t = lua_newuserdatauv(L, sizeof(*t) + n, 0);
    t->n = n;
    memcpy(t->parts, p, n);
    lua_rawgeti(L, LUA_REGISTRYINDEX, sh_lua_host(L)->secret_mt);
    lua_setmetatable(L, -2);
}

/* --- secret "NAME" --------------------------------------------------------------------------- */

static int unknown(lua_State *L, const char *name, char *const *names)
{
    if (!names || !names[0])
        sh_lua_raise(L, "secret: \"%.60s\" is not configured: no secrets are", name);
    struct sh_buf *list = &sh_lua_host(L)->scratch;
    const char *near = sh_lua_nearest(name, (const char *const *)names);
    sh_buf_reset(list);
    for (size_t i = 0; names[i] && list->len < 400; i++)
        sh_buf_addf(list, "%s%s", i ? ", " : "", names[i]);
    sh_lua_raise(L, "secret: \"%.60s\" is not configured%s%s%s; those that are: %s", name,
                 near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "", list->data);
}

static int l_secret(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    size_t n;
    if (lua_type(L, 1) != LUA_TSTRING)
        sh_lua_raise(L, "secret: the name must be a text, as in secret \"CRM_TOKEN\", got %s",
                     sh_lua_kind(L, 1));
    const char *name = lua_tolstring(L, 1, &n);
    char *const *names = h->calls.settings ? h->calls.settings->secrets : NULL;
    size_t i = 0;
    while (names && names[i] && (strlen(names[i]) != n || memcmp(names[i], name, n) != 0))
        i++;
    if (!names || !names[i])
        unknown(L, name, names);
    sh_buf_reset(&h->scratch);
    sh_buf_u8(&h->scratch, 1);
    sh_buf_bytes(&h->scratch, sh_slice(name, n));
    push_parts(L, h->scratch.data, h->scratch.len);
    return 1;
}

/* --- joining --------------------------------------------------------------------------------- */

static void flush(struct sh_host *h)
{
    if (h->scratch2.len) {
        sh_buf_u8(&h->scratch, 0);
        sh_buf_bytes(&h->scratch, sh_slice(h->scratch2.data, h->scratch2.len));
    }
    sh_buf_reset(&h->scratch2);
}

static void join(lua_State *L, int idx)
{
    struct sh_host *h = sh_lua_host(L);
    if (!sh_lua_is_secret(L, idx)) {
        size_t n;
        if (!lua_isstring(L, idx))
            sh_lua_raise(L, "a secret is joined with texts, numbers and secrets, got %s",
                         sh_lua_kind(L, idx));
        const char *s = lua_tolstring(L, idx, &n);
        sh_buf_add(&h->scratch2, s, n);
        return;
    }
    for (struct sh_reader parts = parts_of(L, idx); parts.p < parts.end && !parts.bad;) {
        bool secret = sh_read_u8(&parts) != 0;
        struct sh_slice s = sh_read_bytes(&parts);
        if (!secret) {
            sh_buf_add(&h->scratch2, s.p, s.n);
            continue;
        }
        flush(h);
        sh_buf_u8(&h->scratch, 1);
        sh_buf_bytes(&h->scratch, s);
    }
}

static int secret_concat(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    sh_buf_reset(&h->scratch);
    sh_buf_reset(&h->scratch2);
    join(L, 1);
    join(L, 2);
    bool ok = sh_buf_ok(&h->scratch2);
    flush(h);
    if (!ok || !sh_buf_ok(&h->scratch) || h->scratch.len > SH_MAX_DOC_BYTES)
        sh_lua_raise(L, "a text with secrets in it may have %d bytes", SH_MAX_DOC_BYTES);
    push_parts(L, h->scratch.data, h->scratch.len);
    return 1;
}

static int secret_tostring(lua_State *L)
{
    struct sh_buf *out = &sh_lua_host(L)->scratch;
    if (!sh_lua_is_secret(L, 1))
        sh_lua_raise(L, "tostring: a secret expected, got %s", sh_lua_kind(L, 1));
    sh_buf_reset(out);
    for (struct sh_reader parts = parts_of(L, 1); parts.p < parts.end && !parts.bad;) {
        bool secret = sh_read_u8(&parts) != 0;
        struct sh_slice s = sh_read_bytes(&parts);
        sh_buf_adds(out, secret ? "(secret " : "");
        sh_buf_add(out, s.p, s.n);
        sh_buf_adds(out, secret ? ")" : "");
    }
    if (!sh_buf_ok(out))
        sh_lua_raise(L, "tostring: the text is over %zu bytes", out->max);
    lua_pushlstring(L, out->data, out->len);
    return 1;
}

/* Everything else that can be tried on it. */
static int not_so(lua_State *L)
{
    sh_lua_raise(L,
                 "a secret %s: its text is not here. It can be joined with .. and handed to an "
                 "http call (url, query, headers, json, form, body), which the engine fills in",
                 lua_tostring(L, lua_upvalueindex(1)));
}

/* --- texts for calls ------------------------------------------------------------------------- */

void sh_text_reset(struct sh_host *h)
{
    sh_buf_reset(&h->text);
    sh_buf_reset(&h->marks);
}

static void mark(struct sh_host *h, struct sh_slice name)
{
    sh_buf_u64(&h->marks, h->text.len);
    sh_buf_bytes(&h->marks, name);
}

/* The inside of a JSON string. */
static void add_quoted(struct sh_buf *out, struct sh_slice s)
{
    size_t start = out->len;
    sh_json_quote(out, s);
    if (!sh_buf_ok(out))
        return;
    out->len -= 2;
    memmove(out->data + start, out->data + start + 1, out->len - start);
    out->data[out->len] = '\0';
}

static bool percent_plain(unsigned char c, enum sh_text_as as)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return c == '-' || c == '.' || c == '_' || c == (as == SH_AS_FORM ? '*' : '~');
}

void sh_text_percent(struct sh_buf *out, struct sh_slice s, enum sh_text_as as)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; s.p && i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (percent_plain(c, as)) {
            sh_buf_addc(out, (char)c);
        } else if (c == ' ' && as == SH_AS_FORM) {
            sh_buf_addc(out, '+');
        } else {
            const char code[3] = {'%', hex[c >> 4], hex[c & 15]};
            sh_buf_add(out, code, 3);
        }
    }
}

bool sh_text_add(struct sh_host *h, struct sh_slice s, enum sh_text_as as)
{
    if (!sh_lua_utf8(s.p ? s.p : "", s.n))
        return false;
    if (as == SH_AS_JSON)
        add_quoted(&h->text, s);
    else if (as == SH_AS_PLAIN)
        sh_buf_add(&h->text, s.p, s.n);
    else
        sh_text_percent(&h->text, s, as);
    return true;
}

bool sh_text_add_secret(lua_State *L, int idx, enum sh_text_as part_as)
{
    struct sh_host *h = sh_lua_host(L);
    for (struct sh_reader parts = parts_of(L, idx); parts.p < parts.end && !parts.bad;) {
        bool secret = sh_read_u8(&parts) != 0;
        struct sh_slice s = sh_read_bytes(&parts);
        if (secret)
            mark(h, s);
        else if (!sh_text_add(h, s, part_as))
            return false;
    }
    return true;
}

void sh_text_put(struct sh_host *h, struct sh_buf *doc, enum sh_text_as as)
{
    static const char *const names[] = {"plain", "json", "form", "url"};
    struct sh_reader marks = sh_reader_of(sh_slice(h->marks.data, h->marks.len));
    if (marks.p == marks.end && sh_buf_ok(&h->text) && sh_buf_ok(&h->marks)) {
        sh_json_quote(doc, sh_slice(h->text.len ? h->text.data : "", h->text.len));
        return;
    }
    size_t at = 0;
    if (!sh_buf_ok(&h->text) || !sh_buf_ok(&h->marks)) {
        doc->failed = true; /* a part is missing: the call must not go */
        return;
    }
    sh_buf_addc(doc, '[');
    while (marks.p < marks.end && !marks.bad) {
        size_t to = (size_t)sh_read_u64(&marks);
        struct sh_slice name = sh_read_bytes(&marks);
        if (to > at) {
            sh_json_quote(doc, sh_slice(h->text.data + at, to - at));
            sh_buf_addc(doc, ',');
        }
        sh_buf_adds(doc, "{\"secret\":");
        sh_json_quote(doc, name);
        sh_buf_addf(doc, ",\"as\":\"%s\"}%s", names[as], marks.p < marks.end ? "," : "");
        at = to;
    }
    if (h->text.len > at) {
        sh_buf_addc(doc, ',');
        sh_json_quote(doc, sh_slice(h->text.data + at, h->text.len - at));
    }
    sh_buf_addc(doc, ']');
}

void sh_lua_open_secret(lua_State *L)
{
    static const char *const refused[][2] = {{"__index", "has no fields or methods"},
                                             {"__newindex", "cannot be changed"},
                                             {"__len", "has no length"},
                                             {"__eq", "cannot be compared"},
                                             {"__lt", "cannot be compared"},
                                             {"__le", "cannot be compared"},
                                             {"__call", "cannot be called"},
                                             {"__pairs", "has no fields"},
                                             {"__unm", "is no number"},
                                             {"__add", "is no number"},
                                             {"__sub", "is no number"},
                                             {"__mul", "is no number"},
                                             {"__div", "is no number"},
                                             {"__mod", "is no number"},
                                             {"__pow", "is no number"},
                                             {"__idiv", "is no number"},
                                             {NULL, NULL}};
    struct sh_host *h = sh_lua_host(L);
    lua_newtable(L);
    for (size_t i = 0; refused[i][0]; i++) {
        lua_pushstring(L, refused[i][1]);
        lua_pushcclosure(L, not_so, 1);
        lua_setfield(L, -2, refused[i][0]);
    }
    lua_pushcfunction(L, secret_concat);
    lua_setfield(L, -2, "__concat");
    lua_pushcfunction(L, secret_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, "secret");
    lua_setfield(L, -2, "__name");
    sh_lua_own(L);
    h->secret_mt_p = lua_topointer(L, -1);
    h->secret_mt = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushcfunction(L, l_secret);
    lua_setfield(L, -2, "secret");
}
