/* SPDX-License-Identifier: MIT
 * watch.c: locals of a file that a run changes. Lua cannot make an upvalue read-only, so after
 * each stretch those that some function of the file assigns are compared with what they were, put
 * back, and the run fails with the variable's name. Most files assign none: a look at their text
 * while loading keeps the list short, and gives the line. */
#include "lua/internal.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the text -------------------------------------------------------------------------------- */

struct token {
    const char *p;
    size_t n;
    int line;
};

struct lexer {
    const char *p, *end;
    int line;
};

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* At "[[", "[=[": the end of the long bracket, or NULL if it is none. */
static const char *long_bracket(struct lexer *x)
{
    size_t level = strspn(x->p + 1, "=");
    if (x->p[0] != '[' || x->p[1 + level] != '[')
        return NULL;
    for (const char *q = x->p + 2 + level; q < x->end; q++) {
        if (*q == '\n')
            x->line++;
        if (*q == ']' && strspn(q + 1, "=") == level && q[1 + level] == ']')
            return q + 2 + level;
    }
    return x->end;
}

static void skip_blank(struct lexer *x)
{
    while (x->p < x->end) {
        if (*x->p == '\n')
            x->line++;
        if (isspace((unsigned char)*x->p)) {
            x->p++;
        } else if (x->p[0] == '-' && x->p[1] == '-') {
            x->p += 2;
            const char *after = x->p < x->end ? long_bracket(x) : NULL;
            while (!after && x->p < x->end && *x->p != '\n' && *x->p != '\r')
                x->p++; /* to the line's end as Lua sees it, past any NUL byte */
            x->p = after ? after : x->p;
        } else {
            return;
        }
    }
}

static const char *skip_quoted(struct lexer *x)
{
    const char *q = x->p + 1;
    for (; q < x->end && *q != *x->p; q++) {
        if (*q == '\\' && q + 1 < x->end)
            q++;
        if (*q == '\n')
            x->line++;
    }
    return q < x->end ? q + 1 : q;
}

/* The next token; n = 0 at the end. Texts count as one token. */
static struct token next_token(struct lexer *x)
{
    skip_blank(x);
    struct token t = {x->p, 0, x->line};
    if (x->p >= x->end)
        return t;
    const char *after = NULL;
    bool number =
        isdigit((unsigned char)*x->p) || (*x->p == '.' && isdigit((unsigned char)x->p[1]));
    if (number) { /* its dot is not that of a field */
        for (after = x->p; after < x->end && (is_name(*after) || *after == '.');)
            after++;
    } else if (*x->p == '.' || *x->p == ':') { /* "..", "...", "::" are not the start of a field */
        after = x->p + strspn(x->p, *x->p == '.' ? "." : ":");
    } else if (is_name(*x->p)) {
        for (after = x->p; after < x->end && is_name(*after);)
            after++;
    } else if (*x->p == '"' || *x->p == '\'') {
        after = skip_quoted(x);
    } else if (*x->p == '[') {
        after = long_bracket(x);
    } else if (strchr("=<>~", *x->p) && x->p[1] == '=') {
        after = x->p + 2;
    }
    x->p = after ? after : x->p + 1;
    t.n = (size_t)(x->p - t.p);
    return t;
}

static bool is(struct token t, const char *s)
{
    return t.n == strlen(s) && memcmp(t.p, s, t.n) == 0;
}

/* [names] -> the same; the name gets its line, below zero while that is a guess. */
static void note_name(lua_State *L, struct token name, bool sure)
{
    lua_pushlstring(L, name.p, name.n);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3); /* names name line */
    bool better = lua_isnil(L, -1) || (sure && lua_tointeger(L, -1) < 0);
    lua_pop(L, 1);
    if (better) {
        lua_pushinteger(L, sure ? name.line : -name.line);
        lua_rawset(L, -3);
    } else {
        lua_pop(L, 1);
    }
}

/* Push a table of every name that the text might assign other than where it is declared, with the
 * likeliest line. May hold too many (fields of a table constructor look alike), never too few. */
static void push_assigned(lua_State *L, const char *text, size_t len)
{
    struct lexer x = {text, text + len, 1};
    struct token before = {0}, last = {0}, now = next_token(&x);
    lua_newtable(L);
    while (now.n) {
        struct token next = next_token(&x);
        bool declared = is(last, "local") || (is(last, "function") && is(before, "local"));
        if (is_name(now.p[0]) && !declared && !is(last, ".") && !is(last, ":")) {
            bool set = is(next, "=") || is(next, ",") || (is(last, "function") && is(next, "("));
            bool plain = !is(last, ",") && !is(last, "{") && !is(last, "(") && !is(last, "for") &&
                         !is(next, ",");
            if (set)
                note_name(L, now, plain);
        }
        before = last;
        last = now;
        now = next;
    }
}

/* --- walking --------------------------------------------------------------------------------- */

/* A walk through all that a rule's functions reach. The fields are stack indexes: functions and
 * tables that were met, values still to be walked, and the assigned names of each file. */
struct walker {
    struct sh_host *h;
    lua_State *L;
    struct sh_rule *rule;
    int seen, todo, names;
    lua_Integer n_todo;
};

static const struct sh_file *file_of(const struct sh_host *h, const char *source)
{
    for (size_t i = 0; i < h->load->g->n_files; i++)
        if (source[0] == '@' && strcmp(h->load->g->files[i].name, source + 1) == 0)
            return &h->load->g->files[i];
    return NULL;
}

/* Does the file assign a variable of that name? */
static bool assigns(struct walker *w, const struct sh_file *file, const char *name, int *line)
{
    lua_State *L = w->L;
    if (lua_rawgetp(L, w->names, file) == LUA_TNIL) {
        lua_pop(L, 1);
        push_assigned(L, file->text, file->len);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, w->names, file);
    }
    lua_pushstring(L, name);
    bool yes = lua_rawget(L, -2) != LUA_TNIL;
    *line = abs((int)lua_tointeger(L, -1));
    lua_pop(L, 2);
    return yes;
}

/* [function, value of upvalue i] on top. The index of its watch, SIZE_MAX if it needs none. */
static size_t watch_upvalue(struct walker *w, const struct sh_file *file, const char *name, int i)
{
    struct sh_host *h = w->h;
    lua_State *L = w->L;
    const void *id = lua_upvalueid(L, -2, i);
    int line;
    if (!file || !assigns(w, file, name, &line))
        return SIZE_MAX;
    for (size_t k = 0; k < h->n_watch; k++)
        if (h->watch[k].id == id)
            return k;
    if (h->n_watch == h->cap_watch) {
        h->cap_watch = h->cap_watch ? 2 * h->cap_watch : 16;
        h->watch = sh_realloc(h->watch, h->cap_watch * sizeof(*h->watch));
    }
    struct sh_watch new = {.upvalue = i, .id = id, .line = line};
    lua_pushvalue(L, -1);
    new.value = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, -2);
    new.closure = luaL_ref(L, LUA_REGISTRYINDEX);
    new.name = sh_strdup(name);
    new.file = sh_strdup(file->name);
    h->watch[h->n_watch] = new;
    return h->n_watch++;
}

static void add_to_rule(struct sh_rule *rule, size_t at)
{
    for (size_t i = 0; i < rule->n_watch; i++)
        if (rule->watch[i] == at)
            return;
    rule->watch = sh_realloc(rule->watch, (rule->n_watch + 1) * sizeof(*rule->watch));
    rule->watch[rule->n_watch++] = at;
}

/* Pop the value on top; it is walked in its turn, if it can reach anything. */
static void later(struct walker *w)
{
    lua_State *L = w->L;
    bool lua_function = lua_isfunction(L, -1) && !lua_iscfunction(L, -1);
    if (lua_istable(L, -1) || lua_function)
        lua_rawseti(L, w->todo, ++w->n_todo);
    else
        lua_pop(L, 1);
}

static void walk_function(struct walker *w)
{
    lua_State *L = w->L;
    lua_Debug ar;
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">S", &ar);
    const struct sh_file *file = file_of(w->h, ar.source);
    const char *name;
    for (int i = 1; (name = lua_getupvalue(L, -1, i)) != NULL; i++) {
        size_t at = watch_upvalue(w, file, name, i);
        if (at != SIZE_MAX)
            add_to_rule(w->rule, at);
        later(w);
    }
}

static void walk_table(struct walker *w)
{
    lua_State *L = w->L;
    if (lua_topointer(L, -1) == w->h->globals_p)
        return;
    if (lua_getmetatable(L, -1)) /* of an object; of a file's environment, with its globals */
        later(w);
    sh_lua_resolve(L, -1);
    lua_pushnil(L);
    while (lua_next(L, -2))
        later(w);
    lua_pop(L, 1);
}

/* The value on top of L. */
static void walk(struct walker *w)
{
    lua_State *L = w->L;
    lua_pushvalue(L, -1);
    bool seen = lua_rawget(L, w->seen) != LUA_TNIL;
    lua_pop(L, 1);
    if (seen)
        return;
    lua_pushvalue(L, -1);
    lua_pushboolean(L, 1);
    lua_rawset(L, w->seen);
    if (lua_istable(L, -1))
        walk_table(w);
    else
        walk_function(w);
}

static void watch_rule(struct walker *w)
{
    lua_State *L = w->L;
    const int refs[2] = {w->rule->when, w->rule->run};
    lua_newtable(L);
    lua_replace(L, w->seen);
    for (size_t i = 0; i < 2; i++) {
        if (refs[i] == LUA_NOREF)
            continue;
        lua_rawgeti(L, LUA_REGISTRYINDEX, refs[i]);
        later(w);
    }
    while (w->n_todo > 0) {
        lua_rawgeti(L, w->todo, w->n_todo--);
        walk(w);
        lua_pop(L, 1);
    }
}

void sh_lua_watch_rules(struct sh_host *h)
{
    lua_State *L = h->chain[0]; /* the loading coroutine */
    luaL_checkstack(L, 20, NULL);
    int top = lua_gettop(L);
    struct walker w = {.h = h, .L = L, .seen = top + 1, .todo = top + 2, .names = top + 3};
    for (int i = 0; i < 3; i++)
        lua_newtable(L);
    for (size_t i = 0; i < h->n_rules; i++) {
        w.rule = &h->rules[i];
        watch_rule(&w);
    }
    for (size_t i = 0; i < h->n_normals; i++) {
        w.rule = &h->normals[i];
        watch_rule(&w);
    }
    lua_settop(L, top);
}

/* --- after a stretch ------------------------------------------------------------------------- */

/* Are the two values on top of L the same to every function? 1 and 1.0 are not. */
static bool same(lua_State *L)
{
    if (lua_type(L, -1) != LUA_TNUMBER || lua_type(L, -2) != LUA_TNUMBER)
        return lua_rawequal(L, -1, -2) != 0;
    if (lua_isinteger(L, -1) || lua_isinteger(L, -2))
        return lua_isinteger(L, -1) && lua_isinteger(L, -2) && lua_rawequal(L, -1, -2);
    const lua_Number a = lua_tonumber(L, -1), b = lua_tonumber(L, -2);
    return ((isnan(a) && isnan(b)) || lua_rawequal(L, -1, -2)) && signbit(a) == signbit(b);
}

bool sh_lua_watch_changed(struct sh_host *h, const struct sh_rule *rule, struct sh_buf *out)
{
    lua_State *L = h->L;
    bool changed = false;
    for (size_t i = 0; i < rule->n_watch; i++) {
        const struct sh_watch *w = &h->watch[rule->watch[i]];
        lua_rawgeti(L, LUA_REGISTRYINDEX, w->closure);
        lua_getupvalue(L, -1, w->upvalue);
        lua_rawgeti(L, LUA_REGISTRYINDEX, w->value); /* closure now then */
        if (same(L)) {
            lua_pop(L, 3);
            continue;
        }
        if (!changed)
            sh_buf_addf(out,
                        "%s:%d: a run changed '%s', a local of the file: a run keeps nothing to "
                        "itself, the next one may be elsewhere (records are for that)",
                        w->file, w->line, w->name);
        changed = true;
        lua_setupvalue(L, -3, w->upvalue);
        lua_pop(L, 2);
    }
    return changed;
}
