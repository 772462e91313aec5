/* SPDX-License-Identifier: MIT
 * explain.c: what `when` looks at, noted while it runs, so that a "no" can be understood.
 *
 * Only for a job that explains. The views of the event (freeze.c) then know the path by which they
 * were reached, and every read through them leaves a note outside of Lua's memory: an explained
 * `when` has the budgets of any other. */
#include "lua/internal.h"

#include "svc/json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PATH  200
#define MAX_VALUE 200  /* bytes of a text, or of a table's JSON */
#define MAX_ITEMS 500  /* of a table that is shown at all */
#define MAX_NOTES 2000 /* that are looked at: what a loop reads must not cost it its budget */

static const char path_key; /* in a view: the path that leads to it */

/* --- paths ----------------------------------------------------------------------------------- */

static bool is_name(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && s[i] != '_' && (unsigned char)s[i] < 0x80)
            return false;
    return n > 0 && !isdigit((unsigned char)*s);
}

static bool all_digits(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isdigit((unsigned char)s[i]))
            return false;
    return n > 0 && n < 16;
}

/* Begin a path in h->look with that of the view at idx; false: it is none. */
static bool start_path(lua_State *L, int idx)
{
    struct sh_buf *b = &sh_lua_host(L)->look;
    sh_buf_reset(b);
    if (!lua_istable(L, idx))
        return false;
    idx = lua_absindex(L, idx);
    const bool known = lua_rawgetp(L, idx, &path_key) == LUA_TSTRING;
    if (known) {
        size_t n;
        const char *s = lua_tolstring(L, -1, &n);
        sh_buf_add(b, s, n);
    }
    lua_pop(L, 1);
    return known;
}

static void add_name(struct sh_buf *b, const char *s, size_t n)
{
    const bool plain = is_name(s, n);
    if (plain && b->len)
        sh_buf_addc(b, '.');
    if (!plain)
        sh_buf_adds(b, "[\"");
    sh_lua_clean(b, s, n, SH_LUA_NAME, false);
    if (!plain)
        sh_buf_adds(b, "\"]");
}

/* Add the key at idx; false: no JSON has such a one. */
static bool add_key(lua_State *L, int idx)
{
    struct sh_buf *b = &sh_lua_host(L)->look;
    size_t n;
    if (lua_type(L, idx) == LUA_TSTRING) {
        const char *s = lua_tolstring(L, idx, &n);
        add_name(b, s, n);
        return true;
    }
    if (lua_isinteger(L, idx))
        sh_buf_addf(b, "[%lld]", (long long)lua_tointeger(L, idx));
    return lua_isinteger(L, idx);
}

void sh_lua_name_root(lua_State *L, const char *name)
{
    lua_pushstring(L, name);
    lua_rawsetp(L, -2, &path_key);
}

void sh_lua_name_view(lua_State *L)
{
    const struct sh_buf *b = &sh_lua_host(L)->look;
    if (!start_path(L, 1) || !add_key(L, 2))
        return;
    lua_pushlstring(L, b->data, b->len < MAX_PATH ? b->len : MAX_PATH);
    lua_rawsetp(L, -2, &path_key);
}

/* --- notes ----------------------------------------------------------------------------------- */

/* The beginning of a text of n bytes, max of it at most, in whole characters. */
static size_t cut_at(const char *s, size_t n, size_t max)
{
    if (n <= max)
        return n;
    while (max > 0 && ((unsigned char)s[max] & 0xc0) == 0x80)
        max--;
    return max;
}

static void set_text(struct sh_look *look, const char *s, size_t n)
{
    const size_t kept = cut_at(s, n, MAX_VALUE);
    look->value = sh_memdup(s, kept);
    look->is_text = true;
    look->cut = look->cut || kept < n;
}

/* Has the table on top of L so many items that to write it would take the rule's time? */
static bool is_large(lua_State *L)
{
    int n = 0;
    sh_lua_resolve(L, -1);
    lua_pushnil(L);
    while (n <= MAX_ITEMS && lua_next(L, -2)) {
        lua_pop(L, 1);
        n++;
    }
    lua_pop(L, n > MAX_ITEMS ? 2 : 1);
    return n > MAX_ITEMS;
}

/* The value on top of L. */
static void set_value(lua_State *L, struct sh_look *look)
{
    char why[500];
    struct sh_host *h = sh_lua_host(L);
    struct sh_buf *b = &h->look;
    size_t n;
    if (lua_isnil(L, -1))
        return;
    if (lua_type(L, -1) == LUA_TSTRING) {
        const char *s = lua_tolstring(L, -1, &n);
        set_text(look, s, n);
        return;
    }
    const size_t keys = h->n_keys, max = b->max;
    look->is_table = lua_istable(L, -1);
    if (look->is_table && is_large(L)) {
        look->cut = true;
        set_text(look, "..", 2);
        return;
    }
    sh_buf_reset(b);
    b->max = 2 * MAX_VALUE;
    const bool ok = sh_lua_try_json(L, -1, b, why, sizeof(why), "value");
    look->cut = !sh_buf_ok(b);
    b->max = max;
    h->n_keys = keys;
    if (!ok)
        set_text(look, why, strlen(why));
    else if (look->cut || b->len > MAX_VALUE)
        set_text(look, b->data ? b->data : "", b->len);
    else
        look->value = sh_memdup(b->data, b->len);
    sh_buf_reset(b);
}

static void free_look(struct sh_look *look)
{
    free(look->path);
    free(look->value);
    *look = (struct sh_look){0};
}

/* Does the path lead on from the other? */
static bool is_below(const char *path, const char *up)
{
    const size_t n = strlen(up);
    return strncmp(path, up, n) == 0 && (path[n] == '.' || path[n] == '[' || !path[n]);
}

/* Nothing new: it is there, or something that says more. A table that only led on to what was
 * looked at is forgotten, and one that is too long to be shown. */
static bool is_known(struct sh_lua_run *r, const char *path, bool table, bool whole)
{
    size_t kept = 0;
    bool known = false;
    for (size_t i = 0; i < r->n_looks; i++) {
        struct sh_look *l = &r->looks[i];
        const bool same = strcmp(path, l->path) == 0;
        const bool below = is_below(path, l->path) && !same;
        known = known || (same && l->whole >= whole) ||
                (l->whole && !l->cut && is_below(path, l->path)) ||
                (table && !whole && !same && is_below(l->path, path));
        if ((below && l->is_table && (!l->whole || l->cut)) || (same && whole > l->whole))
            free_look(l);
        else
            r->looks[kept++] = *l;
    }
    r->n_looks = kept;
    return known;
}

/* Room for one more, its path taken; NULL: there is none. */
static struct sh_look *new_look(struct sh_lua_run *r, char *path)
{
    if (!r->looks)
        r->looks = sh_alloc(SH_LUA_LOOKS, sizeof(*r->looks));
    if (r->n_looks == SH_LUA_LOOKS) {
        r->more_looks++;
        free(path);
        return NULL;
    }
    struct sh_look *look = &r->looks[r->n_looks++];
    *look = (struct sh_look){.path = path};
    return look;
}

/* The path in h->look was read, its value is on top of L. */
static void note(lua_State *L, bool whole)
{
    struct sh_host *h = sh_lua_host(L);
    struct sh_lua_run *r = h->run;
    if (r->n_notes++ >= MAX_NOTES) {
        r->more_looks += r->n_notes == MAX_NOTES + 1;
        return;
    }
    const char *text = h->look.len ? h->look.data : "(event)";
    char *path = sh_memdup(text, cut_at(text, strlen(text), MAX_PATH));
    if (is_known(r, path, lua_istable(L, -1), whole)) {
        free(path);
        return;
    }
    struct sh_look *look = new_look(r, path);
    if (look)
        look->whole = whole;
    if (look)
        set_value(L, look);
}

void sh_lua_look_member(lua_State *L)
{
    if (start_path(L, 1) && add_key(L, 2))
        note(L, false);
}

void sh_lua_look_whole(lua_State *L, int idx)
{
    idx = lua_absindex(L, idx);
    if (!start_path(L, idx))
        return;
    lua_pushvalue(L, idx);
    note(L, true);
    lua_pop(L, 1);
}

void sh_lua_look_length(lua_State *L, lua_Integer n)
{
    struct sh_buf *b = &sh_lua_host(L)->look;
    if (!start_path(L, 1))
        return;
    char *path = sh_memdup(b->data ? b->data : "", b->len);
    sh_buf_reset(b);
    sh_buf_addf(b, "#%s", *path ? path : "(event)");
    free(path);
    lua_pushinteger(L, n);
    note(L, false);
    lua_pop(L, 1);
}

void sh_lua_look_path(lua_State *L, int idx, const char *path, size_t n)
{
    struct sh_buf *b = &sh_lua_host(L)->look;
    const char *end = path + n;
    if (!start_path(L, idx))
        return;
    for (const char *p = path; p <= end;) {
        const char *dot = memchr(p, '.', (size_t)(end - p));
        const size_t len = (size_t)((dot ? dot : end) - p);
        if (all_digits(p, len))
            sh_buf_addf(b, "[%.*s]", (int)len, p);
        else
            add_name(b, p, len);
        p += len + 1;
    }
    note(L, false);
}

void sh_lua_look_read(lua_State *L, const char *what, struct sh_slice first, struct sh_slice second)
{
    struct sh_buf *b = &sh_lua_host(L)->look;
    sh_buf_reset(b);
    sh_buf_adds(b, what);
    if (first.n) {
        sh_buf_adds(b, "(\"");
        sh_lua_clean(b, first.p, first.n, SH_LUA_NAME, false);
        sh_buf_adds(b, second.n ? "\", \"" : "\"");
        sh_lua_clean(b, second.p, second.n, SH_LUA_NAME, false);
        sh_buf_adds(b, second.n ? "\")" : ")");
    }
    note(L, true);
}

void sh_lua_looks_clear(struct sh_lua_run *r)
{
    for (size_t i = 0; i < r->n_looks; i++)
        free_look(&r->looks[i]);
    r->n_looks = r->more_looks = r->n_notes = 0;
    r->returned = NULL;
    r->asked = false;
}

/* --- as JSON --------------------------------------------------------------------------------- */

static bool is_read(const struct sh_look *look)
{
    return strncmp(look->path, "records.", 8) == 0 ? strchr(look->path, '(') != NULL
                                                   : strcmp(look->path, "http.get") == 0;
}

static cJSON *look_tree(const struct sh_look *look)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "path", look->path);
    if (!look->value)
        cJSON_AddTrueToObject(o, "absent");
    else if (look->is_text)
        cJSON_AddStringToObject(o, "value", look->value);
    else
        cJSON_AddItemToObject(o, "value", sh_json_parse(look->value, strlen(look->value), NULL));
    if (look->cut)
        cJSON_AddTrueToObject(o, "cut");
    if (look->cut && look->is_table)
        cJSON_AddTrueToObject(o, "json");
    if (look->whole && is_read(look))
        cJSON_AddTrueToObject(o, "read");
    return o;
}

struct sh_slice sh_lua_looks_json(const struct sh_host *h, struct sh_lua_run *r)
{
    if (!r->asked || r->rule >= h->n_rules)
        return (struct sh_slice){0};
    const struct sh_rule *rule = &h->rules[r->rule];
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "file", rule->when_file);
    cJSON_AddItemToObject(o, "line", sh_json_int(rule->when_line));
    cJSON_AddItemToObject(o, "last_line", sh_json_int(rule->when_last));
    if (r->returned)
        cJSON_AddStringToObject(o, "returned", r->returned);
    cJSON *list = cJSON_AddArrayToObject(o, "looked_at");
    for (size_t i = 0; i < r->n_looks; i++)
        cJSON_AddItemToArray(list, look_tree(&r->looks[i]));
    if (r->more_looks)
        cJSON_AddItemToObject(o, "more", sh_json_int((int64_t)r->more_looks));
    sh_buf_reset(&r->seen);
    const bool ok = sh_json_print(o, &r->seen);
    cJSON_Delete(o);
    return ok ? sh_slice(r->seen.data, r->seen.len) : (struct sh_slice){0};
}
