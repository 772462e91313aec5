/* SPDX-License-Identifier: MIT
 * rule.c: rule "Name" { on, every, zone, when, run }, checked field by field while its file loads.
 */
#include "lua/internal.h"

#include "core/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RULES 2000

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

/* Add the pattern on top of L to the rule. */
static bool add_pattern(struct sh_host *h, lua_State *L, struct sh_rule *rule)
{
    int line = field_line(h, rule->line, "on");
    if (lua_type(L, -1) != LUA_TSTRING) {
        sh_load_error(h, line,
                      "rule \"%s\": 'on' must be an event type, a list of types or a glob, got %s",
                      rule->name, sh_lua_kind(L, -1));
        return false;
    }
    size_t n;
    const char *s = lua_tolstring(L, -1, &n);
    const char *why = n == 0                     ? "is empty"
                      : n > SH_MAX_TYPE_BYTES    ? "is too long"
                      : !sh_lua_utf8(s, n)       ? "is not valid UTF-8 text"
                      : strpbrk(s, "[]{}\\")     ? "is not a valid glob: only * (any text) and ? "
                                                   "(one character) are known"
                      : s[strcspn(s, " \t\r\n")] ? "contains white space"
                                                 : NULL;
    if (why) {
        sh_load_error(h, line, "rule \"%s\": 'on' pattern \"%.100s\" %s", rule->name, s, why);
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
        sh_lua_resolve(L, -1); /* it may be a module's, read-only by now */
        lua_remove(L, -2);
        size_t n = lua_rawlen(L, -1), fields = 0;
        for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
            fields++;
        if (fields != n) {
            sh_load_error(h, field_line(h, rule->line, "on"),
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
    return ok;
}

static void warn(struct sh_host *h, const struct sh_rule *rule, int line, const char *what)
{
    char msg[300];
    snprintf(msg, sizeof(msg), "rule \"%.128s\" %s", rule->name, what);
    sh_load_note(h->load->warnings, rule->file, line, msg);
}

/* The schedule's text; a number counts seconds. */
static bool read_every(struct sh_host *h, lua_State *L, struct sh_rule *rule)
{
    struct sh_schedule schedule;
    struct sh_error err;
    int line = field_line(h, rule->line, "every"), type = lua_getfield(L, 2, "every");
    bool ok = type == LUA_TNIL || type == LUA_TSTRING || type == LUA_TNUMBER;
    if (!ok)
        sh_load_error(h, line,
                      "rule \"%s\": 'every' must be a text such as \"10 minutes\" or \"18:00 "
                      "mon-fri\", got %s",
                      rule->name, sh_lua_kind(L, -1));
    else if (type == LUA_TNUMBER)
        rule->every = sh_strf("%.14g seconds", lua_tonumber(L, -1));
    else if (type == LUA_TSTRING)
        rule->every = sh_strdup(lua_tostring(L, -1));
    if (rule->every && (strlen(rule->every) != lua_rawlen(L, -1)) && type == LUA_TSTRING) {
        sh_load_error(h, line, "rule \"%s\": 'every' contains a NUL byte", rule->name);
        ok = false;
    } else if (rule->every && !sh_schedule_parse(rule->every, &schedule, &err)) {
        sh_load_error(h, line, "rule \"%s\": 'every' \"%.100s\": %s", rule->name, rule->every,
                      err.msg);
        ok = false;
    }
    lua_pop(L, 1);
    return ok;
}

static bool read_zone(struct sh_host *h, lua_State *L, struct sh_rule *rule)
{
    int line = field_line(h, rule->line, "zone"), type = lua_getfield(L, 2, "zone");
    const char *name = type == LUA_TSTRING ? lua_tostring(L, -1) : sh_lua_zone(L);
    bool ok = type == LUA_TNIL || type == LUA_TSTRING;
    if (!ok) {
        sh_load_error(h, line,
                      "rule \"%s\": 'zone' must be the name of a time zone such as "
                      "\"Europe/Amsterdam\", got %s",
                      rule->name, sh_lua_kind(L, -1));
    } else if (type == LUA_TSTRING && !sh_zone_find(name)) {
        const char *near = sh_zone_nearest(name);
        sh_load_error(h, line, "rule \"%s\": there is no time zone \"%.60s\"%s%s%s", rule->name,
                      name,
                      near ? " (did you mean \"" : " (expected a name such as \"Europe/Amsterdam\"",
                      near ? near : "", near ? "\"?)" : ")");
        ok = false;
    } else {
        rule->zone = sh_strdup(name);
    }
    if (ok && type == LUA_TSTRING && !rule->every)
        warn(h, rule, line, "has a 'zone' without 'every': it is not used");
    lua_pop(L, 1);
    return ok;
}

struct place {  /* of a function */
    char *file; /* owned */
    int line, last;
};

/* Registry reference of a function field; *envelope: it takes a second argument. */
static bool read_function(struct sh_host *h, lua_State *L, struct sh_rule *rule, const char *name,
                          bool required, int *ref, bool *envelope, struct place *at)
{
    *ref = LUA_NOREF;
    int type = lua_getfield(L, 2, name);
    if (type == LUA_TFUNCTION) {
        lua_Debug ar;
        lua_pushvalue(L, -1);
        lua_getinfo(L, ">uS", &ar);
        *envelope = ar.nparams >= 2 || ar.isvararg;
        const bool named = *ar.source == '=' || *ar.source == '@'; /* perhaps a script's */
        *at = (struct place){sh_strdup(named ? ar.source + 1 : rule->file), ar.linedefined,
                             ar.lastlinedefined};
        if (ar.lastlinedefined > rule->last_line)
            rule->last_line = ar.lastlinedefined;
        *ref = luaL_ref(L, LUA_REGISTRYINDEX);
        return true;
    }
    bool ok = type == LUA_TNIL && !required;
    if (type == LUA_TNIL && required)
        sh_load_error(h, rule->line, "rule \"%s\" has no 'run': run = function(event) ... end",
                      rule->name);
    else if (!ok)
        sh_load_error(h, field_line(h, rule->line, name),
                      "rule \"%s\": '%s' must be a function, got %s", rule->name, name,
                      sh_lua_kind(L, -1));
    lua_pop(L, 1);
    return ok;
}

static bool check_fields(struct sh_host *h, lua_State *L, const struct sh_rule *rule)
{
    bool ok = true;
    sh_lua_resolve(L, 2);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pop(L, 1);
        const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
        if (key && sh_fields_has(&sh_fields_rule, key))
            continue;
        ok = false;
        if (!key) {
            sh_load_error(h, rule->line,
                          "rule \"%s\": unexpected list item (fields are name = value)",
                          rule->name);
            continue;
        }
        int line = field_line(h, rule->line, key);
        const char *near = sh_lua_nearest(key, sh_fields_rule.names);
        sh_load_error(h, line, "rule \"%s\": unknown field '%.60s'%s%s%s", rule->name, key,
                      near ? " (did you mean '" : " (expected on, every, zone, when, run)",
                      near ? near : "", near ? "'?)" : "");
    }
    lua_pop(L, 1);
    return ok;
}

static bool check_name(struct sh_host *h, const struct sh_rule *rule)
{
    size_t n = strlen(rule->name);
    if (n == 0 || n > SH_MAX_NAME_BYTES || strspn(rule->name, " ") == n) {
        sh_load_error(h, rule->line, "a rule's name must have 1 to %d bytes, got %zu",
                      SH_MAX_NAME_BYTES, n);
        return false;
    }
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)rule->name[i] < 0x20 || rule->name[i] == 0x7f) {
            sh_load_error(h, rule->line, "a rule's name contains a control byte");
            return false;
        }
    for (size_t i = 0; i < h->n_rules; i++)
        if (strcmp(h->rules[i].name, rule->name) == 0) {
            sh_load_error(h, rule->line, "rule \"%s\" exists already, at %s:%d", rule->name,
                          h->rules[i].file, h->rules[i].line);
            return false;
        }
    return true;
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
    struct place when = {0}, run = {0};
    bool ok = true;
    size_t n;
    const char *name = lua_tolstring(L, 1, &n);
    struct sh_rule rule = {.line = caller_line(L)};
    if (h->n_rules == MAX_RULES)
        sh_lua_raise(L, "more than %d rules", MAX_RULES);
    rule.name = sh_memdup(name, n);
    rule.file = sh_strdup(h->load->file->name);
    if (strlen(name) != n || !sh_lua_utf8(name, n)) {
        sh_load_error(h, rule.line, "a rule's name must be valid UTF-8 text without NUL");
        ok = false;
    } else {
        ok = check_name(h, &rule);
    }
    ok = check_fields(h, L, &rule) && ok;
    ok = read_on(h, L, &rule) && ok;
    ok = read_every(h, L, &rule) && ok;
    ok = read_zone(h, L, &rule) && ok;
    if (ok && rule.n_on == 0 && !rule.every)
        warn(h, &rule, rule.line, "has no 'on' and no 'every': it never runs");
    ok = read_function(h, L, &rule, "when", false, &rule.when, &rule.when_envelope, &when) && ok;
    ok = read_function(h, L, &rule, "run", true, &rule.run, &rule.run_envelope, &run) && ok;
    free(run.file);
    rule.when_file = when.file;
    rule.when_line = when.line;
    rule.when_last = when.last;
    if (!ok) {
        sh_lua_rule_clear(&rule);
        return;
    }
    if (h->n_rules == h->cap_rules) {
        h->cap_rules = h->cap_rules ? 2 * h->cap_rules : 16;
        h->rules = sh_realloc(h->rules, h->cap_rules * sizeof(*h->rules));
    }
    h->rules[h->n_rules++] = rule;
}

void sh_load_forget_pending(struct sh_load *load)
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
    sh_load_forget_pending(h->load);
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
    sh_load_forget_pending(h->load);
    h->load->pending = sh_strdup(lua_tostring(L, 1));
    h->load->pending_line = caller_line(L);
    lua_settop(L, 1);
    lua_pushcclosure(L, with_table, 1);
    return 1;
}
