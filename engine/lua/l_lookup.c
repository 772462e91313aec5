/* SPDX-License-Identifier: MIT
 * l_lookup.c: http.get: a question to another system; the run waits for its answer. */
#include "lua/l_http.h"

#include "base/clock.h"
#include "core/http_call.h"
#include "core/mime_impl.h"
#include "svc/json.h"

#include <stdio.h>
#include <string.h>

#define MAX_CACHE   86400.0 /* seconds */
#define MAX_WAIT_MS 60000   /* a look-up without time-out of its own */
#define SLACK_MS    2000

static bool check_call(const cJSON *doc, struct sh_error *err)
{
    return sh_http_call_check(doc, true, err);
}

static int malformed(lua_State *L)
{
    sh_lua_raise(L, "http.get failed: malformed answer");
}

/* --- the answer ------------------------------------------------------------------------------ */

/* [.. res] -> [.. res]; the body of the answer as bytes, and as a value if it is JSON. */
static void set_body(lua_State *L, const cJSON *doc)
{
    struct sh_buf *bytes = &sh_lua_host(L)->scratch2;
    const char *text = sh_json_string(doc, "body"), *coded = sh_json_string(doc, "body_base64");
    size_t n = 0, at = 0;
    sh_buf_reset(bytes);
    if (coded && !sh_mime_unbase64(sh_slice_str(coded), bytes, &n, &at))
        malformed(L);
    if (text)
        sh_buf_adds(bytes, text);
    if (!sh_buf_ok(bytes))
        malformed(L);
    lua_pushlstring(L, bytes->data ? bytes->data : "", bytes->len);
    lua_setfield(L, -2, "body");
}

static void set_json(lua_State *L)
{
    size_t n;
    lua_getfield(L, -1, "body");
    const char *s = lua_tolstring(L, -1, &n);
    if (n && sh_json_check(s, n, NULL)) {
        sh_lua_push_json(L, sh_slice(s, n), false);
        lua_setfield(L, -3, "json");
    }
    lua_pop(L, 1);
}

static void set_headers(lua_State *L, const cJSON *headers)
{
    if (cJSON_IsObject(headers))
        sh_lua_push_tree(L, headers, false);
    else
        lua_newtable(L);
    lua_setfield(L, -2, "headers");
}

static void set_flag(lua_State *L, const cJSON *doc, const char *name, bool always)
{
    bool yes = cJSON_IsTrue(sh_json_member(doc, name));
    if (yes || always) {
        lua_pushboolean(L, yes);
        lua_setfield(L, -2, name);
    }
}

static void push_answer(lua_State *L, struct sh_slice text)
{
    struct sh_host *h = sh_lua_host(L);
    struct sh_error err;
    int64_t status = 0;
    cJSON_Delete(h->tree); /* of the host: what follows may run out of memory */
    h->tree = sh_json_parse(text.p, text.n, &err);
    if (!h->tree || !sh_json_get_int(sh_json_member(h->tree, "status"), &status))
        malformed(L);
    const char *error = sh_json_string(h->tree, "error");
    lua_createtable(L, 0, 7);
    lua_pushboolean(L, status >= 200 && status <= 299 && !error);
    lua_setfield(L, -2, "ok");
    lua_pushinteger(L, status);
    lua_setfield(L, -2, "status");
    if (error) {
        lua_pushstring(L, error);
        lua_setfield(L, -2, "error");
    }
    set_headers(L, sh_json_member(h->tree, "headers"));
    set_flag(L, h->tree, "cached", true);
    set_flag(L, h->tree, "cut", false);
    set_body(L, h->tree);
    cJSON_Delete(h->tree);
    h->tree = NULL;
    set_json(L);
}

/* Keep question and answer with the run. */
static void keep(lua_State *L, struct sh_lua_run *r, struct sh_slice doc)
{
    const struct sh_read_mark mark = {.request = r->request, .answer = doc};
    size_t before = r->reads.len;
    if (!sh_lua_keep_read(r, &mark, SH_LUA_LOOKUP_BYTES - r->lookup_bytes))
        sh_lua_kill(L, "budget of 4 MiB of answers to http.get exceeded");
    r->lookup_bytes += r->reads.len - before;
}

static int answered(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    struct sh_lua_run *r = sh_lua_host(L)->run;
    struct sh_json_fault fault;
    uint64_t n;
    sh_lua_lookup_over(r);
    struct sh_reader reader = sh_lua_take_answer(L, r, &n);
    sh_read_bytes(&reader);
    struct sh_slice doc = sh_read_bytes(&reader);
    if (n != 1 || reader.bad || !doc.n || !sh_json_check(doc.p, doc.n, &fault))
        malformed(L);
    keep(L, r, doc);
    push_answer(L, doc);
    if (sh_lua_explains(sh_lua_host(L)))
        sh_lua_look_read(L, "http.get", (struct sh_slice){0}, (struct sh_slice){0});
    return 1;
}

/* --- the question ---------------------------------------------------------------------------- */

void sh_lua_lookup_over(struct sh_lua_run *r)
{
    r->start_us += sh_mono_us() - r->asked_us; /* the wait is not the rule's time */
    r->asked_us = 0;
}

/* http.get("https://..") is http.get { url = "https://.." } */
static void spread(lua_State *L)
{
    if (lua_type(L, 1) != LUA_TSTRING && !sh_lua_is_secret(L, 1))
        return;
    lua_settop(L, 1);
    lua_createtable(L, 0, 1);
    lua_insert(L, 1);
    lua_setfield(L, 1, "url");
}

int sh_lua_http_get(lua_State *L)
{
    const char *what = "http.get";
    struct sh_lua_run *r = sh_lua_rule_run(L, what);
    struct sh_host *h = sh_lua_host(L);
    struct sh_call c = {.L = L, .h = h, .doc = &h->scratch, .what = what};
    int64_t n;
    spread(L);
    c.table = sh_arg_only(L, what, &sh_fields_http_get);
    sh_call_start(&c, "GET");
    if (sh_arg_duration(L, c.table, what, "cache", 0, MAX_CACHE, &n) && n > 0)
        sh_doc_int(c.doc, "cache_ms", n);
    if (!sh_arg_duration(L, c.table, what, "timeout", 0.001, MAX_WAIT_MS / 1000.0, &n))
        n = MAX_WAIT_MS;
    struct sh_slice doc = sh_doc_end(L, c.doc, what);
    sh_doc_check(L, doc, what, check_call);
    if (r->n_lookups >= SH_LUA_LOOKUPS)
        sh_lua_kill(L, "budget of 50 http.get exceeded");
    r->n_lookups++;
    r->wait_ms = n + SLACK_MS;
    lua_settop(L, 0);
    return sh_lua_ask(L, r, SH_READ_HTTP, (struct sh_slice){0}, doc, 0, answered, what);
}
