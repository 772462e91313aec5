/* SPDX-License-Identifier: MIT
 * load.c: from a generation's files to rules: running each file once, require, and the report. */
#include "lua/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOAD_CPU_FACTOR 10   /* a file may take this many times the budget of a run to load */
#define MAX_MATCHES     1024 /* event types whose rules are remembered */
#define MAX_RULES       2000

/* --- the report ------------------------------------------------------------------------------ */

static void note(cJSON *list, const char *file, int line, const char *msg)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "file", file);
    cJSON_AddNumberToObject(o, "line", line);
    cJSON_AddStringToObject(o, "msg", msg);
    cJSON_AddItemToArray(list, o);
}

static void note_error(struct sh_host *h, int line, const char *fmt, ...) SH_PRINTF(3, 4);
static void note_error(struct sh_host *h, int line, const char *fmt, ...)
{
    char msg[1000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    note(h->load->errors, h->load->file->name, line, msg);
}

/* "rules/a.lua:7: what" split into its parts; falls back to the file being loaded. */
static void note_text(struct sh_host *h, const char *text)
{
    for (size_t i = 0; i < h->load->g->n_files; i++) {
        const char *name = h->load->g->files[i].name;
        size_t n = strlen(name);
        if (strncmp(text, name, n) != 0 || text[n] != ':')
            continue;
        char *end;
        long line = strtol(text + n + 1, &end, 10);
        if (*end == ':') {
            note(h->load->errors, name, (int)line, end + 1 + (end[1] == ' '));
            return;
        }
    }
    note(h->load->errors, h->load->file->name, 0, text);
}

/* --- rule "Name" {...} ------------------------------------------------------------------------ */

/* The line, from `from` on, where a field of a rule's table is written; `from` if not found. */
static int field_line(const struct sh_host *h, int from, const char *field)
{
    const char *p = h->load->file->text;
    size_t n = strlen(field);
    int line = 1;
    for (; p && line < from; line++)
        p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL;
    for (; p && line < from + 200; line++) {
        const char *end = strchrnul(p, '\n');
        for (const char *q = p; (q = memmem(q, (size_t)(end - q), field, n)) != NULL; q += n) {
            const char *after = q + n + strspn(q + n, " \t");
            bool starts = q == p || strchr(" \t{,;", q[-1]) != NULL;
            if (starts && after[0] == '=' && after[1] != '=')
                return line;
        }
        p = *end ? end + 1 : NULL;
    }
    return from;
}

bool sh_lua_glob(struct sh_slice pattern, struct sh_slice text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;
    while (t < text.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.n && (pattern.p[p] == '?' || pattern.p[p] == text.p[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

/* Add the pattern on top of L to the rule. */
static bool add_pattern(struct sh_host *h, lua_State *L, struct sh_rule *rule)
{
    int line = field_line(h, rule->line, "on");
    if (lua_type(L, -1) != LUA_TSTRING) {
        note_error(h, line, "rule \"%s\": 'on' must be an event type, a list of types or a glob, got %s",
                   rule->name, sh_lua_kind(L, -1));
        return false;
    }
    size_t n;
    const char *s = lua_tolstring(L, -1, &n);
    const char *why = n == 0                      ? "is empty"
                      : n > SH_MAX_TYPE_BYTES     ? "is too long"
                      : !sh_lua_utf8(s, n)        ? "is not valid UTF-8 text"
                      : strpbrk(s, "[]{}\\")      ? "is not a valid glob: only * (any text) and ? "
                                                    "(one character) are known"
                      : s[strcspn(s, " \t\r\n")] ? "contains white space"
                                                  : NULL;
    if (why) {
        note_error(h, line, "rule \"%s\": 'on' pattern \"%.100s\" %s", rule->name, s, why);
        return false;
    }
    rule->on = sh_realloc(rule->on, (rule->n_on + 1) * sizeof(*rule->on));
    rule->on[rule->n_on++] = sh_memdup(s, n);
    return true;
}

static bool read_on(struct sh_host *h, lua_State *L, struct sh_rule *rule)
{
    bool ok = true;
    if (lua_getfield(L, 2, "on") != LUA_TTABLE) {
        if (!lua_isnil(L, -1))
            ok = add_pattern(h, L, rule);
        lua_pop(L, 1);
    } else {
        size_t n = lua_rawlen(L, -1), fields = 0;
        for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
            fields++;
        if (fields != n) {
            note_error(h, field_line(h, rule->line, "on"),
                       "rule \"%s\": 'on' must be a plain list of event types", rule->name);
            ok = false;
        }
        for (size_t i = 1; i <= n; i++) {
            lua_rawgeti(L, -1, (lua_Integer)i);
            ok = add_pattern(h, L, rule) && ok;
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    if (ok && rule->n_on == 0) {
        char msg[300];
        snprintf(msg, sizeof(msg), "rule \"%.128s\" has no 'on': it never runs", rule->name);
        note(h->load->warnings, rule->file, rule->line, msg);
    }
    return ok;
}

/* Registry reference of a function field; *envelope: it takes a second argument. */
static bool read_function(struct sh_host *h, lua_State *L, struct sh_rule *rule, const char *name,
                          bool required, int *ref, bool *envelope, int *line)
{
    *ref = LUA_NOREF;
    int type = lua_getfield(L, 2, name);
    if (type == LUA_TFUNCTION) {
        lua_Debug ar;
        lua_pushvalue(L, -1);
        lua_getinfo(L, ">uS", &ar);
        *envelope = ar.nparams >= 2 || ar.isvararg;
        *line = ar.linedefined;
        *ref = luaL_ref(L, LUA_REGISTRYINDEX);
        return true;
    }
    bool ok = type == LUA_TNIL && !required;
    if (type == LUA_TNIL && required)
        note_error(h, rule->line, "rule \"%s\" has no 'run': run = function(event) ... end",
                   rule->name);
    else if (!ok)
        note_error(h, field_line(h, rule->line, name), "rule \"%s\": '%s' must be a function, got %s",
                   rule->name, name, sh_lua_kind(L, -1));
    lua_pop(L, 1);
    return ok;
}

static bool check_fields(struct sh_host *h, lua_State *L, const struct sh_rule *rule)
{
    static const char *const names[] = {"on", "when", "run", "every", NULL};
    bool ok = true;
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        lua_pop(L, 1);
        const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
        size_t i = 0;
        while (key && names[i] && strcmp(names[i], key) != 0)
            i++;
        if (key && names[i] && strcmp(key, "every") != 0)
            continue;
        ok = false;
        if (!key) {
            note_error(h, rule->line, "rule \"%s\": unexpected list item (fields are name = value)",
                       rule->name);
            continue;
        }
        int line = field_line(h, rule->line, key);
        const char *near = sh_lua_nearest(key, names);
        if (strcmp(key, "every") == 0)
            note_error(h, line, "rule \"%s\": 'every' is not available in this version",
                       rule->name);
        else
            note_error(h, line, "rule \"%s\": unknown field '%.60s'%s%s%s", rule->name, key,
                       near ? " (did you mean '" : " (expected on, when, run)", near ? near : "",
                       near ? "'?)" : "");
    }
    return ok;
}

static bool check_name(struct sh_host *h, const struct sh_rule *rule)
{
    size_t n = strlen(rule->name);
    if (n == 0 || n > SH_MAX_NAME_BYTES || strspn(rule->name, " ") == n) {
        note_error(h, rule->line, "a rule's name must have 1 to %d bytes, got %zu",
                   SH_MAX_NAME_BYTES, n);
        return false;
    }
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)rule->name[i] < 0x20 || rule->name[i] == 0x7f) {
            note_error(h, rule->line, "a rule's name contains a control byte");
            return false;
        }
    for (size_t i = 0; i < h->n_rules; i++)
        if (strcmp(h->rules[i].name, rule->name) == 0) {
            note_error(h, rule->line, "rule \"%s\" exists already, at %s:%d", rule->name,
                       h->rules[i].file, h->rules[i].line);
            return false;
        }
    return true;
}

static void rule_clear(struct sh_rule *r)
{
    for (size_t i = 0; i < r->n_on; i++)
        free(r->on[i]);
    free(r->on);
    free(r->name);
    free(r->file);
    free(r->watch);
}

static int caller_line(lua_State *L)
{
    char where[200];
    int line = 0;
    sh_lua_where(L, where, sizeof(where), &line);
    return line;
}

/* The table of a rule is at index 2, its name at 1. */
static void define(struct sh_host *h, lua_State *L)
{
    int dummy;
    bool ok = true;
    size_t n;
    const char *name = lua_tolstring(L, 1, &n);
    struct sh_rule rule = {.line = caller_line(L)};
    if (h->n_rules == MAX_RULES)
        sh_lua_raise(L, "more than %d rules", MAX_RULES);
    sh_lua_resolve(L, 2);
    lua_replace(L, 2);
    rule.name = sh_memdup(name, n);
    rule.file = sh_strdup(h->load->file->name);
    if (strlen(name) != n || !sh_lua_utf8(name, n)) {
        note_error(h, rule.line, "a rule's name must be valid UTF-8 text without NUL");
        ok = false;
    } else {
        ok = check_name(h, &rule);
    }
    ok = check_fields(h, L, &rule) && ok;
    ok = read_on(h, L, &rule) && ok;
    ok = read_function(h, L, &rule, "when", false, &rule.when, &rule.when_envelope,
                       &rule.when_line) && ok;
    ok = read_function(h, L, &rule, "run", true, &rule.run, &rule.run_envelope, &dummy) && ok;
    if (!ok) {
        rule_clear(&rule);
        return;
    }
    if (h->n_rules == h->cap_rules) {
        h->cap_rules = h->cap_rules ? 2 * h->cap_rules : 16;
        h->rules = sh_realloc(h->rules, h->cap_rules * sizeof(*h->rules));
    }
    h->rules[h->n_rules++] = rule;
}

static void forget_pending(struct sh_load *load)
{
    free((char *)load->pending);
    load->pending = NULL;
}

static void check_table_arg(lua_State *L, int idx)
{
    if (!lua_istable(L, idx))
        sh_lua_raise(L, "rule \"%.100s\": a table { on = .., run = .. } expected, got %s",
                     lua_tostring(L, lua_upvalueindex(1)), sh_lua_kind(L, idx));
}

static int with_table(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    if (!h->load)
        sh_lua_raise(L, "rule: only while the file loads");
    check_table_arg(L, 1);
    forget_pending(h->load);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    define(h, L);
    return 0;
}

int sh_lua_rule(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    if (!h->load)
        sh_lua_raise(L, "rule: only while the file loads, not inside a run");
    if (lua_type(L, 1) != LUA_TSTRING)
        sh_lua_raise(L, "rule: a name expected (rule \"Name\" { ... }), got %s", sh_lua_kind(L, 1));
    if (!h->load->file->is_rule)
        sh_lua_raise(L, "rule: rules are defined in files of the rules folder, not in a script");
    if (lua_gettop(L) >= 2 && lua_istable(L, 2)) {
        lua_settop(L, 2);
        define(h, L);
        return 0;
    }
    forget_pending(h->load);
    h->load->pending = sh_strdup(lua_tostring(L, 1));
    h->load->pending_line = caller_line(L);
    lua_settop(L, 1);
    lua_pushcclosure(L, with_table, 1);
    return 1;
}

/* --- files ----------------------------------------------------------------------------------- */

/* Run a file in an environment of its own; its value is left on the stack. False: an error was
 * noted (the stack is as before). */
static bool run_file(struct sh_host *h, lua_State *L, const struct sh_file *f)
{
    int top = lua_gettop(L);
    char chunk[300];
    snprintf(chunk, sizeof(chunk), "@%s", f->name);
    if (luaL_loadbufferx(L, f->text, f->len, chunk, "t") != LUA_OK) {
        const struct sh_file *outer = h->load->file;
        h->load->file = f;
        note_text(h, lua_tostring(L, -1));
        h->load->file = outer;
        lua_settop(L, top);
        return false;
    }
    sh_lua_push_env(L);
    lua_getmetatable(L, -1);
    lua_getfield(L, -1, "__index"); /* chunk env meta vars */
    lua_insert(L, top + 1);
    lua_pop(L, 1);
    lua_setupvalue(L, -2, 1); /* vars chunk */
    const struct sh_file *outer = h->load->file;
    h->load->file = f;
    lua_call(L, 0, 1); /* vars value */
    h->load->file = outer;
    lua_pushnil(L);
    while (lua_next(L, top + 1)) {
        sh_lua_freeze(L, -1, lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?");
        lua_pop(L, 1);
    }
    lua_remove(L, top + 1);
    return true;
}

/* Index of scripts/<a/b>.lua for "a.b", or SIZE_MAX; *near the most similar one. */
static size_t find_script(const struct sh_generation *g, const char *name, const char **near)
{
    char path[300];
    unsigned limit = 3;
    *near = NULL;
    snprintf(path, sizeof(path), "scripts/%.200s.lua", name);
    for (char *p = path + strlen("scripts/"); p < path + strlen(path) - 4; p++)
        if (*p == '.')
            *p = '/';
    for (size_t i = 0; i < g->n_files; i++) {
        if (g->files[i].is_rule)
            continue;
        if (strcmp(g->files[i].name, path) == 0)
            return i;
        unsigned d = sh_lua_distance(g->files[i].name, path, limit);
        if (d <= limit) {
            limit = d;
            *near = g->files[i].name;
        }
    }
    return SIZE_MAX;
}

int sh_lua_require(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    if (lua_type(L, 1) != LUA_TSTRING)
        sh_lua_raise(L, "require: a name expected, got %s", sh_lua_kind(L, 1));
    const char *name = lua_tostring(L, 1), *near;
    if (!h->load)
        sh_lua_raise(L, "require \"%.100s\": at the top of the file, not inside a run: scripts load "
                        "together with the rules", name);
    if (strpbrk(name, "/\\") || strstr(name, "..") || !*name || strlen(name) > 200)
        sh_lua_raise(L, "require \"%.100s\": a name such as \"hours\" or \"lib.hours\" expected",
                     name);
    size_t i = find_script(h->load->g, name, &near);
    if (i == SIZE_MAX)
        sh_lua_raise(L, "require \"%.100s\": there is no scripts/%.100s.lua%s%s%s", name, name,
                     near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
    if (h->load->module[i] == -1)
        sh_lua_raise(L, "require \"%.100s\": %s is being loaded: two scripts require each other",
                     name, h->load->g->files[i].name);
    if (h->load->module[i] == -2)
        sh_lua_raise(L, "require \"%.100s\": %s does not load", name, h->load->g->files[i].name);
    if (h->load->module[i] == 0) {
        h->load->module[i] = -1;
        bool ok = run_file(h, L, &h->load->g->files[i]);
        h->load->module[i] = -2;
        if (!ok)
            sh_lua_raise(L, "require \"%.100s\": %s does not load", name,
                         h->load->g->files[i].name);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            lua_pushboolean(L, 1);
        }
        sh_lua_freeze(L, -1, name);
        h->load->module[i] = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->load->module[i]);
    return 1;
}

/* lua_CFunction: one rule file, light userdata at 1. */
static int load_rule_file(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    const struct sh_file *f = lua_touserdata(L, 1);
    size_t first = h->n_rules;
    run_file(h, L, f);
    for (size_t i = first; i < h->n_rules; i++) {
        int refs[2] = {h->rules[i].when, h->rules[i].run};
        for (int k = 0; k < 2; k++) {
            if (refs[k] == LUA_NOREF)
                continue;
            lua_rawgeti(L, LUA_REGISTRYINDEX, refs[k]);
            sh_lua_freeze(L, -1, h->rules[i].name);
            lua_pop(L, 1);
        }
    }
    return 0;
}

static int check_syntax(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    const struct sh_file *f = lua_touserdata(L, 1);
    char chunk[300];
    snprintf(chunk, sizeof(chunk), "@%s", f->name);
    if (luaL_loadbufferx(L, f->text, f->len, chunk, "t") != LUA_OK)
        note_text(h, lua_tostring(L, -1));
    return 0;
}

static int watch_rules(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    for (size_t i = 0; i < h->n_rules; i++) {
        int refs[2] = {h->rules[i].when, h->rules[i].run};
        for (int k = 0; k < 2; k++) {
            if (refs[k] == LUA_NOREF)
                continue;
            lua_rawgeti(L, LUA_REGISTRYINDEX, refs[k]);
            sh_lua_watch(h, -1, &h->rules[i]);
            lua_pop(L, 1);
        }
    }
    return 0;
}

/* Call fn(file) in a coroutine of its own within budgets; an error is noted. */
static void guarded(struct sh_host *h, lua_CFunction fn, const struct sh_file *f)
{
    lua_State *co = lua_newthread(h->L);
    int n_results;
    h->load->file = f ? f : &h->load->g->files[0];
    sh_stretch_begin(h, co, h->budgets.cpu_ms * 1000 * LOAD_CPU_FACTOR, 0, false);
    lua_pushcfunction(co, fn);
    lua_pushlightuserdata(co, (void *)f);
    int status = lua_resume(co, NULL, 2 - 1, &n_results);
    if (status == LUA_YIELD && !h->killed) {
        note_error(h, 0, "a file cannot yield while it loads");
    } else if (status != LUA_OK || h->killed) {
        struct sh_buf text;
        sh_buf_init(&text, SH_MAX_ERROR_BYTES);
        if (!h->killed && !sh_lua_ran_out(h, co, status)) {
            sh_lua_error_text(co, &text);
            note_text(h, text.data);
        } else {
            note_text(h, h->kill_text);
        }
        sh_buf_free(&text);
    }
    sh_stretch_end(h);
    for (size_t i = 0; i < h->load->g->n_files; i++)
        if (h->load->module[i] == -1)
            h->load->module[i] = -2; /* it raised on the way */
    if (h->load->pending) {
        note_error(h, h->load->pending_line, "rule \"%.100s\" has no table: rule \"Name\" { ... }",
                   h->load->pending);
        forget_pending(h->load);
    }
    lua_pop(h->L, 1);
}

static void add_rules(const struct sh_host *h, cJSON *report)
{
    cJSON *rules = cJSON_AddArrayToObject(report, "rules");
    for (size_t i = 0; i < h->n_rules; i++) {
        const struct sh_rule *r = &h->rules[i];
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "name", r->name);
        cJSON_AddStringToObject(o, "file", r->file);
        cJSON_AddNumberToObject(o, "line", r->line);
        cJSON *on = cJSON_AddArrayToObject(o, "on");
        for (size_t k = 0; k < r->n_on; k++)
            cJSON_AddItemToArray(on, cJSON_CreateString(r->on[k]));
        cJSON_AddItemToArray(rules, o);
    }
}

static void load_files(struct sh_host *h, const struct sh_generation *g)
{
    for (size_t i = 0; i < g->n_files; i++)
        if (g->files[i].is_rule)
            guarded(h, load_rule_file, &g->files[i]);
    for (size_t i = 0; i < g->n_files; i++) /* scripts nobody asked for must at least compile */
        if (!g->files[i].is_rule && h->load->module[i] == 0)
            guarded(h, check_syntax, &g->files[i]);
    if (cJSON_GetArraySize(h->load->errors) == 0 && g->n_files)
        guarded(h, watch_rules, NULL);
}

bool sh_host_load(struct sh_host *h, const struct sh_generation *g, cJSON **report)
{
    struct sh_load load = {.g = g,
                           .errors = cJSON_CreateArray(),
                           .warnings = cJSON_CreateArray(),
                           .module = sh_alloc(g->n_files, sizeof(int))};
    h->load = &load;
    load_files(h, g);
    bool ok = cJSON_GetArraySize(load.errors) == 0;
    if (ok && h->n_rules == 0)
        note(load.warnings, g->n_files ? g->files[0].name : "", 0, "there is no rule in any file");
    *report = cJSON_CreateObject();
    cJSON_AddBoolToObject(*report, "ok", ok);
    cJSON_AddStringToObject(*report, "generation", g->id);
    add_rules(h, *report);
    cJSON_AddItemToObject(*report, "errors", load.errors);
    cJSON_AddItemToObject(*report, "warnings", load.warnings);
    free(load.module);
    h->load = NULL;
    lua_gc(h->L, LUA_GCCOLLECT);
    return ok;
}

/* --- which rules an event type concerns ------------------------------------------------------- */

static void forget_matches(struct sh_host *h)
{
    struct sh_match *m, *next;
    HASH_ITER(hh, h->matches, m, next)
    {
        HASH_DEL(h->matches, m);
        free(m->type);
        free(m->rules);
        free(m);
    }
}

const struct sh_match *sh_lua_match(struct sh_host *h, struct sh_slice type)
{
    struct sh_match *m = NULL;
    HASH_FIND(hh, h->matches, type.p ? type.p : "", type.n, m);
    if (m)
        return m;
    if (HASH_COUNT(h->matches) >= MAX_MATCHES) /* types come from senders */
        forget_matches(h);
    m = sh_alloc(1, sizeof(*m));
    m->type = sh_slice_dup(type);
    m->rules = sh_alloc(h->n_rules, sizeof(*m->rules));
    for (size_t i = 0; i < h->n_rules; i++)
        for (size_t k = 0; k < h->rules[i].n_on; k++)
            if (sh_lua_glob(sh_slice_str(h->rules[i].on[k]), type)) {
                m->rules[m->n++] = i;
                break;
            }
    HASH_ADD_KEYPTR(hh, h->matches, m->type, type.n, m);
    return m;
}

void sh_lua_rules_free(struct sh_host *h)
{
    forget_matches(h);
    for (size_t i = 0; i < h->n_rules; i++)
        rule_clear(&h->rules[i]);
    free(h->rules);
    for (size_t i = 0; i < h->n_watch; i++) {
        free(h->watch[i].name);
        free(h->watch[i].file);
    }
    free(h->watch);
}
