/* SPDX-License-Identifier: MIT
 * l_records.c: records.put, patch, delete, incr; and get and find, which yield for an answer.
 *
 * A run sees the world as committed plus its own writes: what it wrote is laid over the answers,
 * always decoded from the JSON that will be stored, so the author sees the same value now and
 * after the commit. */
#include "lua/internal.h"

#include "base/clock.h"
#include "svc/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- arguments ------------------------------------------------------------------------------- */

static struct sh_slice collection_arg(lua_State *L, const char *what)
{
    size_t n;
    if (lua_type(L, 1) != LUA_TSTRING)
        sh_lua_raise(L, "%s: the collection must be a text, got %s", what, sh_lua_kind(L, 1));
    const char *s = lua_tolstring(L, 1, &n);
    size_t ok = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (n == 0 || n > SH_MAX_COLLECTION_BYTES || ok != n || s[0] == '_' ||
        (s[0] >= '0' && s[0] <= '9'))
        sh_lua_raise(L,
                     "%s: the collection \"%.80s\" must be lower-case letters, digits and _, start "
                     "with a letter, and have at most %d bytes",
                     what, s, SH_MAX_COLLECTION_BYTES);
    if (strncmp(s, "sh_", 3) == 0 || strncmp(s, "sqlite_", 7) == 0)
        sh_lua_raise(L, "%s: the collection \"%.80s\" begins with a reserved prefix", what, s);
    return sh_slice(s, n);
}

static struct sh_slice id_arg(lua_State *L, const char *what)
{
    size_t n;
    if (lua_isinteger(L, 2))
        lua_tostring(L, 2); /* in place: its digits */
    if (lua_type(L, 2) != LUA_TSTRING)
        sh_lua_raise(L, "%s: the id must be a text or a whole number, got %s", what,
                     sh_lua_kind(L, 2));
    const char *s = lua_tolstring(L, 2, &n);
    if (n == 0 || n > SH_MAX_RECORD_ID_BYTES)
        sh_lua_raise(L, "%s: the id must have 1 to %d bytes, got %zu", what, SH_MAX_RECORD_ID_BYTES,
                     n);
    if (!sh_lua_utf8(s, n))
        sh_lua_raise(L, "%s: the id is not valid UTF-8 text", what);
    return sh_slice(s, n);
}

/* --- writes ---------------------------------------------------------------------------------- */

static int write_doc(lua_State *L, const char *what, enum sh_effect_kind kind)
{
    char name[40];
    struct sh_lua_run *r = sh_lua_effect_run(L, what);
    struct sh_buf *doc = &sh_lua_host(L)->scratch;
    struct sh_effect fx = {.kind = kind, .collection = collection_arg(L, what)};
    fx.id = id_arg(L, what);
    if (!lua_istable(L, 3))
        sh_lua_raise(L, "%s: the document must be a table, got %s", what, sh_lua_kind(L, 3));
    snprintf(name, sizeof(name), "%s: doc", what);
    sh_buf_reset(doc);
    sh_lua_write_json(L, 3, doc, name);
    if (!sh_buf_ok(doc) || doc->len > SH_MAX_DOC_BYTES)
        sh_lua_raise(L, "%s: the document is over %d bytes as JSON", what, SH_MAX_DOC_BYTES);
    if (doc->data[0] != '{')
        sh_lua_raise(L, "%s: the document must have named fields, got a list", what);
    fx.doc = sh_slice(doc->data, doc->len);
    sh_lua_add_effect(L, r, &fx);
    return 0;
}

static int records_put(lua_State *L)
{
    return write_doc(L, "records.put", SH_FX_PUT);
}

static int records_patch(lua_State *L)
{
    return write_doc(L, "records.patch", SH_FX_PATCH);
}

static int records_delete(lua_State *L)
{
    struct sh_lua_run *r = sh_lua_effect_run(L, "records.delete");
    struct sh_effect fx = {.kind = SH_FX_DELETE, .collection = collection_arg(L, "records.delete")};
    fx.id = id_arg(L, "records.delete");
    sh_lua_add_effect(L, r, &fx);
    return 0;
}

static int records_incr(lua_State *L)
{
    const char *what = "records.incr";
    struct sh_lua_run *r = sh_lua_effect_run(L, what);
    struct sh_effect fx = {.kind = SH_FX_INCR, .collection = collection_arg(L, what)};
    fx.id = id_arg(L, what);
    if (lua_type(L, 3) != LUA_TSTRING)
        sh_lua_raise(L, "%s: the field must be a text, got %s", what, sh_lua_kind(L, 3));
    fx.field.p = lua_tolstring(L, 3, &fx.field.n);
    if (fx.field.n == 0 || fx.field.n > 256 || !sh_lua_utf8(fx.field.p, fx.field.n))
        sh_lua_raise(L, "%s: the field must be a name of 1 to 256 bytes of UTF-8 text, got %zu",
                     what, fx.field.n);
    if (!lua_isnoneornil(L, 4) && lua_type(L, 4) != LUA_TNUMBER)
        sh_lua_raise(L, "%s: 'n' must be a number, got %s", what, sh_lua_kind(L, 4));
    fx.is_int = lua_isnoneornil(L, 4) || lua_isinteger(L, 4);
    fx.n_int = lua_isnoneornil(L, 4) ? 1 : fx.is_int ? lua_tointeger(L, 4) : 0;
    fx.n_double = fx.is_int ? 0 : lua_tonumber(L, 4);
    if (!isfinite(fx.n_double))
        sh_lua_raise(L, "%s: 'n' must be a finite number, got %.14g", what, fx.n_double);
    sh_lua_add_effect(L, r, &fx);
    return 0;
}

/* --- own writes ------------------------------------------------------------------------------ */

static size_t offset(const struct sh_lua_run *r, struct sh_slice s)
{
    return s.n ? (size_t)(s.p - r->effects.data) : 0;
}

/* Note the record writes among the effects added since the last look. */
static void look(struct sh_lua_run *r)
{
    struct sh_reader reader = sh_reader_of(sh_slice(
        r->effects.data ? r->effects.data + r->own_seen : NULL, r->effects.len - r->own_seen));
    struct sh_effect fx;
    while (reader.p < reader.end && sh_effect_read(&reader, &fx)) {
        if (fx.kind > SH_FX_INCR)
            continue;
        if (r->n_own == r->cap_own) {
            r->cap_own = r->cap_own ? r->cap_own * 2 : 8;
            r->own = sh_realloc(r->own, r->cap_own * sizeof(*r->own));
        }
        r->own[r->n_own++] = (struct sh_own){.kind = fx.kind,
                                             .collection = offset(r, fx.collection),
                                             .collection_n = fx.collection.n,
                                             .id = offset(r, fx.id),
                                             .id_n = fx.id.n,
                                             .doc = offset(r, fx.doc),
                                             .doc_n = fx.doc.n,
                                             .field = offset(r, fx.field),
                                             .field_n = fx.field.n,
                                             .is_int = fx.is_int,
                                             .n_int = fx.n_int,
                                             .n_double = fx.n_double};
    }
    r->own_seen = r->effects.len;
}

static bool same(const struct sh_lua_run *r, size_t at, size_t n, struct sh_slice s)
{
    return n == s.n && memcmp(r->effects.data + at, s.p, n) == 0;
}

static bool touches(const struct sh_lua_run *r, const struct sh_own *o, struct sh_slice collection,
                    struct sh_slice id)
{
    return same(r, o->collection, o->collection_n, collection) && same(r, o->id, o->id_n, id);
}

/* Does the run itself say all there is to know about the record? */
static bool own_base(const struct sh_lua_run *r, struct sh_slice collection, struct sh_slice id)
{
    for (size_t i = r->n_own; i-- > 0;)
        if (r->own[i].kind <= SH_FX_DELETE && r->own[i].kind != SH_FX_PATCH &&
            touches(r, &r->own[i], collection, id))
            return true;
    return false;
}

static bool is_object(lua_State *L, int idx)
{
    if (!lua_istable(L, idx))
        return false;
    if (!lua_getmetatable(L, idx))
        return true;
    bool array = lua_topointer(L, -1) == sh_lua_host(L)->array_mt_p;
    lua_pop(L, 1);
    return !array;
}

/* RFC 7396 on [.. target patch]; both are the host's own plain tables. */
static void merge(lua_State *L)
{
    luaL_checkstack(L, 8, NULL);
    int target = lua_gettop(L) - 1;
    lua_pushnil(L);
    while (lua_next(L, target + 1)) { /* key value */
        lua_pushvalue(L, -2);
        if (lua_touserdata(L, -2) == &sh_lua_null) {
            lua_pushnil(L);
            lua_rawset(L, target);
        } else if (is_object(L, -2)) {
            lua_rawget(L, target); /* key value old */
            if (!is_object(L, -1)) {
                lua_pop(L, 1);
                lua_newtable(L);
            }
            lua_pushvalue(L, -2); /* key value old patch */
            merge(L);
            lua_pop(L, 1);
            lua_pushvalue(L, -3);
            lua_insert(L, -2);
            lua_rawset(L, target);
        } else {
            lua_pushvalue(L, -2);
            lua_rawset(L, target);
        }
        lua_pop(L, 1);
    }
}

/* [.. doc] -> doc.field + n */
static void add_number(lua_State *L, const struct sh_lua_run *r, const struct sh_own *o)
{
    lua_pushlstring(L, r->effects.data + o->field, o->field_n);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushinteger(L, 0);
    }
    if (lua_type(L, -1) != LUA_TNUMBER)
        sh_lua_raise(L, "records.incr: field '%s' holds %s, not a number", lua_tostring(L, -2),
                     sh_lua_kind(L, -1));
    int64_t sum;
    if (o->is_int && lua_isinteger(L, -1)) {
        if (__builtin_add_overflow(lua_tointeger(L, -1), o->n_int, &sum))
            sh_lua_raise(L, "records.incr: field '%s' would not fit 64 bits", lua_tostring(L, -2));
        lua_pushinteger(L, sum);
    } else {
        lua_pushnumber(L, lua_tonumber(L, -1) + (o->is_int ? (double)o->n_int : o->n_double));
    }
    lua_remove(L, -2);
    lua_rawset(L, -3);
}

static void apply_one(lua_State *L, const struct sh_lua_run *r, const struct sh_own *o)
{
    if (o->kind == SH_FX_PUT || o->kind == SH_FX_DELETE) {
        lua_pop(L, 1);
        if (o->kind == SH_FX_DELETE)
            lua_pushnil(L);
        else
            sh_lua_push_json(L, sh_slice(r->effects.data + o->doc, o->doc_n), false);
        return;
    }
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
    }
    if (o->kind == SH_FX_INCR) {
        add_number(L, r, o);
        return;
    }
    sh_lua_push_json(L, sh_slice(r->effects.data + o->doc, o->doc_n), true);
    merge(L);
    lua_pop(L, 1);
}

/* Lay the run's writes over the committed value on top of L (a table or nil). */
static void overlay(lua_State *L, struct sh_lua_run *r, struct sh_slice collection,
                    struct sh_slice id)
{
    struct sh_host *h = sh_lua_host(L);
    bool patched = false;
    for (size_t i = 0; i < r->n_own; i++) {
        if (!touches(r, &r->own[i], collection, id))
            continue;
        apply_one(L, r, &r->own[i]);
        patched = patched || r->own[i].kind == SH_FX_PATCH;
    }
    if (!patched || !lua_istable(L, -1))
        return;
    sh_buf_reset(
        &h->scratch); /* as it will come back from the store: no nulls inside lists' objects */
    sh_lua_write_json(L, -1, &h->scratch, "records.get: document");
    lua_pop(L, 1);
    sh_lua_push_json(L, sh_slice(h->scratch.data, h->scratch.len), false);
}

/* --- reads ----------------------------------------------------------------------------------- */

int sh_lua_ask(lua_State *L, struct sh_lua_run *r, enum sh_read_kind kind,
               struct sh_slice collection, struct sh_slice rest, lua_KContext context,
               lua_KFunction done, const char *what)
{
    struct sh_host *h = sh_lua_host(L);
    for (int i = 0; i < h->n_chain; i++)
        if (!lua_isyieldable(h->chain[i]))
            sh_lua_raise(L,
                         "%s waits for an answer, which is not possible inside a function called "
                         "by table.sort, string.gsub or a metamethod: read first, into a local",
                         what);
    sh_buf_reset(&r->ask);
    sh_buf_add(&r->ask, collection.p, collection.n);
    sh_buf_add(&r->ask, rest.p, rest.n);
    sh_require(sh_buf_ok(&r->ask));
    r->request =
        (struct sh_read_request){.kind = kind, .collection = sh_slice(r->ask.data, collection.n)};
    struct sh_slice second = sh_slice(r->ask.data + collection.n, rest.n);
    if (kind == SH_READ_GET)
        r->request.id = second;
    else
        r->request.query = second;
    r->request.token = r->job->token;
    r->asked_us = kind == SH_READ_HTTP ? sh_mono_us() : 0;
    r->read_id = ++h->last_read_id;
    r->answered = false;
    return lua_yieldk(L, 0, context, done);
}

bool sh_lua_keep_read(struct sh_lua_run *r, const struct sh_read_mark *mark, size_t max)
{
    size_t before = r->reads.len;
    sh_read_mark_write(&r->reads, mark);
    if (sh_buf_ok(&r->reads) && r->reads.len - before <= max) {
        r->n_reads++;
        return true;
    }
    r->reads.len = before; /* the reads of a failed run are whole ones */
    r->reads.failed = false;
    return false;
}

struct sh_reader sh_lua_take_answer(lua_State *L, struct sh_lua_run *r, uint64_t *n_rows)
{
    struct sh_host *h = sh_lua_host(L);
    const char *what = r->request.kind == SH_READ_HTTP ? "http.get" : "reading records";
    r->read_id = 0;
    r->answered = false;
    struct sh_reader reader = sh_reader_of(sh_slice(r->answer.data, r->answer.len));
    if (!sh_read_u8(&reader)) {
        struct sh_slice why = sh_read_bytes(&reader);
        sh_buf_reset(&h->scratch);
        sh_lua_clean(&h->scratch, why.p, why.n, 500, false);
        sh_lua_raise(L, "%s failed: %s", what, why.n ? h->scratch.data : "no reason given");
    }
    struct sh_read_mark mark = {.request = r->request, .mark = sh_read_u64(&reader)};
    *n_rows = sh_read_uint(&reader);
    if (reader.bad || *n_rows > 2 * SH_MAX_FIND_ROWS)
        sh_lua_raise(L, "%s failed: malformed answer", what);
    if (r->request.kind == SH_READ_HTTP)
        return reader; /* kept with its answer */
    if (!sh_lua_keep_read(r, &mark, SIZE_MAX))
        sh_lua_kill(L, "too many reads in one run");
    return reader;
}

static struct sh_slice slice_at(lua_State *L, int idx)
{
    struct sh_slice s;
    s.p = lua_tolstring(L, idx, &s.n);
    return s;
}

static int get_done(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    uint64_t n;
    struct sh_lua_run *r = sh_lua_host(L)->run;
    struct sh_reader reader = sh_lua_take_answer(L, r, &n);
    lua_settop(L, 2);
    if (n == 0) {
        lua_pushnil(L);
    } else {
        sh_read_bytes(&reader);
        sh_lua_push_json(L, sh_read_bytes(&reader), false);
    }
    overlay(L, r, slice_at(L, 1), slice_at(L, 2));
    if (sh_lua_explains(sh_lua_host(L)))
        sh_lua_look_read(L, "records.get", slice_at(L, 1), slice_at(L, 2));
    return 1;
}

static int records_get(lua_State *L)
{
    struct sh_lua_run *r = sh_lua_rule_run(L, "records.get");
    struct sh_slice collection = collection_arg(L, "records.get"), id = id_arg(L, "records.get");
    lua_settop(L, 2);
    look(r);
    if (!own_base(r, collection, id))
        return sh_lua_ask(L, r, SH_READ_GET, collection, id, 0, get_done, "records.get");
    lua_pushnil(L);
    overlay(L, r, collection, id);
    return 1;
}

/* For the prelude: ask_find(collection, query) -> ids, docs as committed */
static int find_done(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    uint64_t n;
    struct sh_lua_run *r = sh_lua_host(L)->run;
    struct sh_reader reader = sh_lua_take_answer(L, r, &n);
    lua_settop(L, 0);
    lua_createtable(L, (int)n, 0);
    lua_createtable(L, (int)n, 0);
    for (uint64_t i = 1; i <= n; i++) {
        struct sh_slice id = sh_read_bytes(&reader), doc = sh_read_bytes(&reader);
        lua_pushlstring(L, id.p ? id.p : "", id.n);
        lua_rawseti(L, 1, (lua_Integer)i);
        sh_lua_push_json(L, doc, false);
        lua_rawseti(L, 2, (lua_Integer)i);
    }
    if (sh_lua_explains(sh_lua_host(L)))
        sh_lua_look_read(L, "records.find", r->request.collection, (struct sh_slice){0});
    return 2;
}

static int ask_find(lua_State *L)
{
    struct sh_lua_run *r = sh_lua_rule_run(L, "records.find");
    return sh_lua_ask(L, r, SH_READ_FIND, slice_at(L, 1), slice_at(L, 2), 0, find_done,
                      "records.find");
}

/* For the prelude: touched(collection) -> ids the run wrote to, in order, once each */
static int touched(lua_State *L)
{
    struct sh_lua_run *r = sh_lua_rule_run(L, "records.find");
    struct sh_slice collection = collection_arg(L, "records.find");
    look(r);
    lua_newtable(L); /* ids */
    lua_newtable(L); /* seen */
    lua_Integer n = 0;
    for (size_t i = 0; i < r->n_own; i++) {
        const struct sh_own *o = &r->own[i];
        if (!same(r, o->collection, o->collection_n, collection))
            continue;
        lua_pushlstring(L, r->effects.data + o->id, o->id_n);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) != LUA_TNIL) {
            lua_pop(L, 2);
            continue;
        }
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -4, ++n);
        lua_pushboolean(L, 1);
        lua_rawset(L, -3);
    }
    lua_pop(L, 1);
    return 1;
}

/* For the prelude: fail(text) raises at the author's line. */
static int fail(lua_State *L)
{
    sh_lua_raise(L, "%s", luaL_checkstring(L, 1));
}

extern const unsigned char sh_embed_prelude[];
extern const size_t sh_embed_prelude_size;

void sh_lua_open_records(lua_State *L)
{
    static const luaL_Reg fns[] = {{"put", records_put},       {"patch", records_patch},
                                   {"delete", records_delete}, {"incr", records_incr},
                                   {"get", records_get},       {NULL, NULL}};
    static const luaL_Reg inner[] = {
        {"ask_find", ask_find}, {"touched", touched}, {"fail", fail}, {NULL, NULL}};
    luaL_newlib(L, fns); /* globals records */
    if (luaL_loadbufferx(L, (const char *)sh_embed_prelude, sh_embed_prelude_size, "=switchhook",
                         "t") != LUA_OK)
        sh_die("prelude: %s", lua_tostring(L, -1));
    luaL_newlib(L, inner);
    lua_pushvalue(L, -4);
    lua_pushvalue(L, -4);
    lua_call(L, 3, 1); /* prelude(inner, globals, records) -> find */
    lua_setfield(L, -2, "find");
    sh_lua_seal(L, "records");
    lua_setfield(L, -2, "records");
}
