/* SPDX-License-Identifier: MIT
 * watch.c: locals of a file that a run changes. Lua cannot make an upvalue read-only, so after
 * each stretch those that some function of the file assigns are compared with what they were, put
 * back, and the run fails with the variable's name. Most files assign none: a look at their text
 * while loading keeps the list short, and gives the line. */
#include "lua/internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WALK 150

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
            x->p = after ? after : x->p + strcspn(x->p, "\n");
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

/* Might the text assign the variable, other than where it is declared? May say yes too often
 * (fields of a table constructor look alike), never no. *line: the likeliest place, 0 unknown. */
static bool assigns(const char *text, size_t len, const char *name, int *line)
{
    struct lexer x = {text, text + len, 1};
    struct token before = {0}, last = {0}, now = next_token(&x);
    bool maybe = false;
    *line = 0;
    while (now.n) {
        struct token next = next_token(&x);
        bool declared = is(last, "local") || (is(last, "function") && is(before, "local"));
        if (is(now, name) && !declared && !is(last, ".") && !is(last, ":")) {
            bool set = is(next, "=") || is(next, ",") || (is(last, "function") && is(next, "("));
            maybe = maybe || set;
            bool plain = !is(last, ",") && !is(last, "{") && !is(last, "(") && !is(last, "for");
            if (set && plain && !is(next, ",") && !*line)
                *line = now.line;
        }
        before = last;
        last = now;
        now = next;
    }
    return maybe;
}

/* --- walking --------------------------------------------------------------------------------- */

static const struct sh_file *file_of(const struct sh_host *h, const char *source)
{
    for (size_t i = 0; i < h->load->g->n_files; i++)
        if (source[0] == '@' && strcmp(h->load->g->files[i].name, source + 1) == 0)
            return &h->load->g->files[i];
    return NULL;
}

/* [function, value of upvalue i] on top. The index of its watch, SIZE_MAX if it needs none. */
static size_t watch_upvalue(struct sh_host *h, const struct sh_file *file, const char *name, int i)
{
    lua_State *L = h->chain[0];
    const void *id = lua_upvalueid(L, -2, i);
    int line;
    for (size_t k = 0; k < h->n_watch; k++)
        if (h->watch[k].id == id)
            return k;
    if (!file || !assigns(file->text, file->len, name, &line))
        return SIZE_MAX;
    if (h->n_watch == h->cap_watch) {
        h->cap_watch = h->cap_watch ? 2 * h->cap_watch : 16;
        h->watch = sh_realloc(h->watch, h->cap_watch * sizeof(*h->watch));
    }
    struct sh_watch w = {.upvalue = i, .id = id, .line = line};
    lua_pushvalue(L, -1);
    w.value = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, -2);
    w.closure = luaL_ref(L, LUA_REGISTRYINDEX);
    w.name = sh_strdup(name);
    w.file = sh_strdup(file->name);
    h->watch[h->n_watch] = w;
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

static void walk(struct sh_host *h, lua_State *L, int seen, struct sh_rule *rule, int depth);

static void walk_function(struct sh_host *h, lua_State *L, int seen, struct sh_rule *rule,
                          int depth)
{
    lua_Debug ar;
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">S", &ar);
    const struct sh_file *file = file_of(h, ar.source);
    const char *name;
    for (int i = 1; (name = lua_getupvalue(L, -1, i)) != NULL; i++) {
        size_t at = watch_upvalue(h, file, name, i);
        if (at != SIZE_MAX)
            add_to_rule(rule, at);
        walk(h, L, seen, rule, depth + 1);
        lua_pop(L, 1);
    }
}

/* The value on top of L; seen: index of the table of those walked. */
static void walk(struct sh_host *h, lua_State *L, int seen, struct sh_rule *rule, int depth)
{
    int type = lua_type(L, -1);
    bool lua_function = type == LUA_TFUNCTION && !lua_iscfunction(L, -1);
    if (depth > MAX_WALK || (type != LUA_TTABLE && !lua_function))
        return;
    luaL_checkstack(L, 12, NULL);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, seen) != LUA_TNIL) {
        lua_pop(L, 1);
        return;
    }
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_pushboolean(L, 1);
    lua_rawset(L, seen);
    if (lua_function) {
        walk_function(h, L, seen, rule, depth);
        return;
    }
    if (lua_topointer(L, -1) == h->globals_p)
        return;
    if (lua_getmetatable(L, -1)) { /* of an object; of a file's environment, with its globals */
        walk(h, L, seen, rule, depth + 1);
        lua_pop(L, 1);
    }
    sh_lua_resolve(L, -1);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        walk(h, L, seen, rule, depth + 1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

void sh_lua_watch(struct sh_host *h, int idx, struct sh_rule *rule)
{
    lua_State *L = h->chain[0]; /* the loading coroutine */
    idx = lua_absindex(L, idx);
    lua_newtable(L);
    lua_pushvalue(L, idx);
    walk(h, L, lua_gettop(L) - 1, rule, 0);
    lua_pop(L, 2);
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
        if (lua_rawequal(L, -1, -2)) {
            lua_pop(L, 3);
            continue;
        }
        if (!changed)
            sh_buf_addf(out,
                        "%s:%d: a run changed '%s', a local of the file: a run keeps nothing to "
                        "itself, the next one may be elsewhere (records are for that)",
                        w->file, w->line ? w->line : rule->line, w->name);
        changed = true;
        lua_setupvalue(L, -3, w->upvalue);
        lua_pop(L, 2);
    }
    return changed;
}
