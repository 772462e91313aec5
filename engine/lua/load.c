/* SPDX-License-Identifier: MIT
 * load.c: from a generation's files to rules: running each file once, require, and the report. */
#include "lua/internal.h"

#include "base/clock.h"
#include "core/fault.h"
#include "svc/json.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE_NAME 250 /* bytes: of the name that functions of the file carry */
#define WORD          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"

/* --- the report ------------------------------------------------------------------------------ */

/* Is it told already? What the check of names found may be met again when the file runs, followed
 * by the lines that led there. */
static bool is_told(const cJSON *list, const char *file, int line, const char *msg)
{
    const cJSON *e;
    size_t n = strcspn(msg, "\n");
    cJSON_ArrayForEach(e, list)
    {
        const char *told = sh_json_string(e, "msg");
        if (sh_json_member(e, "line")->valueint == line && strncmp(told, msg, n) == 0 &&
            (told[n] == '\0' || told[n] == '\n') && strcmp(sh_json_string(e, "file"), file) == 0)
            return true;
    }
    return false;
}

void sh_load_note(cJSON *list, const char *file, int line, const char *msg)
{
    cJSON *o = cJSON_CreateObject();
    char *told = sh_fault_text(SH_SLICE(""), sh_slice_str(msg));
    struct sh_buf text; /* Lua quotes the source as it stands: any bytes */
    sh_buf_init(&text, (size_t)2 * SH_MAX_ERROR_BYTES);
    sh_lua_clean(&text, told, strlen(told), (size_t)2 * SH_MAX_ERROR_BYTES, true);
    free(told);
    if (is_told(list, file, line, text.data ? text.data : "")) {
        cJSON_Delete(o);
        sh_buf_free(&text);
        return;
    }
    cJSON_AddStringToObject(o, "file", file);
    cJSON_AddNumberToObject(o, "line", line);
    cJSON_AddStringToObject(o, "msg", text.data ? text.data : "");
    cJSON_AddItemToArray(list, o);
    sh_buf_free(&text);
}

void sh_load_error(struct sh_host *h, int line, const char *fmt, ...)
{
    char msg[1000], one_line[1000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    sh_lua_one_line(one_line, sizeof(one_line), msg);
    sh_load_note(h->load->errors, h->load->file->name, line, one_line);
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* The line on which a file first gives a value to the variable that a message without a position
 * begins with ("'words' holds ..."); 0: none is found. */
static int line_of_name(const struct sh_file *f, const char *msg)
{
    size_t n = *msg == '\'' ? strspn(msg + 1, WORD) : 0;
    int line = 1;
    for (const char *p = f->text, *end = f->text + f->len; n && p + n < end; p++) {
        line += *p == '\n';
        if (memcmp(p, msg + 1, n) != 0 || is_word(p[n]) || (p > f->text && is_word(p[-1])))
            continue;
        const char *after = p + n + strspn(p + n, " \t");
        if (*after == ',' || *after == '<' || (*after == '=' && after[1] != '='))
            return line;
    }
    return 0;
}

void sh_load_note_text(struct sh_host *h, const char *text)
{
    size_t cut = strncmp(text, "...", 3) == 0 ? 3 : 0; /* Lua shortens names past 59 bytes */
    const char *suffix = strstr(text, ".lua:");
    for (size_t i = 0; i < h->load->g->n_files; i++) {
        const char *name = h->load->g->files[i].name;
        size_t n = strlen(name), shown = cut && suffix ? (size_t)(suffix + 4 - text) - cut : n;
        if (shown > n || strncmp(text + cut, name + n - shown, shown) != 0 ||
            text[cut + shown] != ':')
            continue;
        n = cut + shown;
        char *end;
        long line = strtol(text + n + 1, &end, 10);
        if (*end == ':') {
            sh_load_note(h->load->errors, name, (int)line, end + 1 + (end[1] == ' '));
            return;
        }
    }
    sh_load_note(h->load->errors, h->load->file->name, line_of_name(h->load->file, text), text);
}

void sh_load_now(struct sh_host *h, const struct sh_file *f)
{
    struct sh_pulse *p = h->calls.pulse;
    h->load->file = f ? f : &h->load->g->files[0];
    if (!p)
        return;
    atomic_store(&p->since_us, sh_mono_us()); /* first: never the new file and the old time */
    atomic_store(&p->file, f ? (uint32_t)(f - h->load->g->files) + 1 : 0);
}

/* --- files ----------------------------------------------------------------------------------- */

/* Run a file in an environment of its own; its value is left on the stack. False: an error was
 * noted (the stack is as before). */
static bool run_file(struct sh_host *h, lua_State *L, const struct sh_file *f)
{
    int top = lua_gettop(L);
    char chunk[MAX_FILE_NAME + 2];
    snprintf(chunk, sizeof(chunk), "@%s", f->name);
    if (luaL_loadbufferx(L, f->text, f->len, chunk, "t") != LUA_OK) {
        const struct sh_file *outer = h->load->file;
        h->load->file = f;
        sh_load_note_text(h, lua_tostring(L, -1));
        h->load->file = outer;
        lua_settop(L, top);
        return false;
    }
    sh_lua_lint(h, L, f);
    sh_lua_push_env(L);
    lua_getmetatable(L, -1);
    lua_getfield(L, -1, "__index"); /* chunk env meta vars */
    lua_insert(L, top + 1);
    lua_pop(L, 1);
    lua_setupvalue(L, -2, 1); /* vars chunk */
    const struct sh_file *outer = h->load->file;
    sh_load_now(h, f);
    lua_call(L, 0, 1); /* vars value */
    sh_load_now(h, outer);
    lua_pushnil(L);
    while (lua_next(L, top + 1)) {
        sh_lua_freeze(L, -1, lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?");
        lua_pop(L, 1);
    }
    lua_remove(L, top + 1);
    return true;
}

size_t sh_load_find_script(const struct sh_generation *g, const char *name, const char **near)
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

/* Is the file's own code on the stack? One that raised inside a pcall is not. */
static bool is_loading(const struct sh_host *h, const struct sh_file *f)
{
    lua_Debug ar;
    for (int i = 0; i < h->n_chain; i++)
        for (int level = 0; lua_getstack(h->chain[i], level, &ar); level++)
            if (lua_getinfo(h->chain[i], "S", &ar) && strcmp(ar.what, "main") == 0 &&
                ar.source[0] == '@' && strcmp(ar.source + 1, f->name) == 0)
                return true;
    return false;
}

int sh_lua_require(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    if (lua_type(L, 1) != LUA_TSTRING)
        sh_lua_raise(L, "require: a name expected, got %s", sh_lua_kind(L, 1));
    const char *name = lua_tostring(L, 1), *near;
    if (!h->load)
        sh_lua_raise(L,
                     "require \"%.100s\": at the top of the file, not inside a run: scripts load "
                     "together with the rules",
                     name);
    if (strpbrk(name, "/\\") || strstr(name, "..") || !*name || strlen(name) > 200)
        sh_lua_raise(L, "require \"%.100s\": a name such as \"hours\" or \"lib.hours\" expected",
                     name);
    size_t i = sh_load_find_script(h->load->g, name, &near);
    if (i == SIZE_MAX)
        sh_lua_raise(L, "require \"%.100s\": there is no scripts/%.100s.lua%s%s%s", name, name,
                     near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
    if (h->load->module[i] == -1 && !is_loading(h, &h->load->g->files[i]))
        h->load->module[i] = -2;
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

/* All that a rule's functions reach is read-only; once more when every file is loaded, for a file
 * may have handed something to a module that was done. */
static void freeze_rule(lua_State *L, const struct sh_rule *rule)
{
    const int refs[2] = {rule->when, rule->run};
    for (int k = 0; k < 2; k++) {
        if (refs[k] == LUA_NOREF)
            continue;
        lua_rawgeti(L, LUA_REGISTRYINDEX, refs[k]);
        sh_lua_freeze(L, -1, rule->name);
        lua_pop(L, 1);
    }
}

/* lua_CFunction: one rule file, light userdata at 1. */
static int load_rule_file(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    const struct sh_file *f = lua_touserdata(L, 1);
    size_t first = h->n_rules;
    run_file(h, L, f);
    for (size_t i = first; i < h->n_rules; i++)
        freeze_rule(L, &h->rules[i]);
    return 0;
}

/* Of a script that nothing requires: its syntax and its names. */
static int check_text(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    const struct sh_file *f = lua_touserdata(L, 1);
    char chunk[MAX_FILE_NAME + 2];
    snprintf(chunk, sizeof(chunk), "@%s", f->name);
    if (luaL_loadbufferx(L, f->text, f->len, chunk, "t") != LUA_OK)
        sh_load_note_text(h, lua_tostring(L, -1));
    else
        sh_lua_lint(h, L, f);
    return 0;
}

static int seal_rules(lua_State *L)
{
    struct sh_host *h = sh_lua_host(L);
    sh_lua_freeze_anew(L);
    for (size_t i = 0; i < h->n_rules; i++)
        freeze_rule(L, &h->rules[i]);
    for (size_t i = 0; i < h->n_normals; i++)
        freeze_rule(L, &h->normals[i]);
    sh_lua_freeze_anew(L);
    sh_lua_watch_rules(h);
    return 0;
}

void sh_load_guarded(struct sh_host *h, lua_CFunction fn, const struct sh_file *f)
{
    lua_State *co = lua_newthread(h->L);
    int n_results;
    sh_load_now(h, f);
    sh_stretch_begin(h, co, h->budgets.cpu_ms * 1000 * SH_LOAD_CPU_FACTOR, 0, false);
    lua_pushcfunction(co, fn);
    lua_pushlightuserdata(co, (void *)f);
    int status = lua_resume(co, NULL, 1, &n_results);
    if (status == LUA_YIELD && !h->killed) {
        sh_load_error(h, 0, "a file cannot yield while it loads");
    } else if (status != LUA_OK || h->killed) {
        struct sh_buf text;
        sh_buf_init(&text, SH_MAX_ERROR_BYTES);
        if (!h->killed && !sh_lua_ran_out(h, co, status)) {
            sh_lua_error_text(co, &text);
            sh_load_note_text(h, text.data);
        } else {
            sh_load_note_text(h, h->kill_text);
        }
        sh_buf_free(&text);
    }
    sh_stretch_end(h);
    for (size_t i = 0; i < h->load->g->n_files; i++)
        if (h->load->module[i] == -1)
            h->load->module[i] = -2; /* it raised on the way */
    if (h->load->pending) {
        if (status == LUA_OK) /* else the error lies in its table, and was told */
            sh_load_error(h, h->load->pending_line,
                          "rule \"%.100s\" has no table: rule \"Name\" { ... }", h->load->pending);
        sh_load_forget_pending(h->load);
    }
    sh_load_now(h, NULL);
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
        if (r->every) {
            cJSON_AddStringToObject(o, "every", r->every);
            cJSON_AddStringToObject(o, "zone", r->zone);
        }
        cJSON_AddItemToArray(rules, o);
    }
}

static void add_normalisers(const struct sh_host *h, cJSON *report)
{
    cJSON *list = cJSON_AddArrayToObject(report, "normalisers");
    for (size_t i = 0; i < h->n_normals; i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "source", h->normals[i].name);
        cJSON_AddStringToObject(o, "file", h->normals[i].file);
        cJSON_AddNumberToObject(o, "line", h->normals[i].line);
        cJSON_AddItemToArray(list, o);
    }
}

/* The rule in whose text the line lies, or NULL. */
static const struct sh_rule *rule_at(const struct sh_host *h, const char *file, int line)
{
    for (size_t i = 0; i < h->n_rules; i++) {
        const struct sh_rule *r = &h->rules[i];
        if (line >= r->line && line <= r->last_line && strcmp(r->file, file) == 0)
            return r;
    }
    return NULL;
}

/* What was found in a rule's functions before there was a rule gets its name, as in a run. */
static void name_rules(const struct sh_host *h, cJSON *list)
{
    cJSON *e;
    cJSON_ArrayForEach(e, list)
    {
        const char *msg = sh_json_string(e, "msg");
        const struct sh_rule *r =
            rule_at(h, sh_json_string(e, "file"), sh_json_member(e, "line")->valueint);
        if (!r || strncmp(msg, "rule \"", 6) == 0)
            continue;
        char *named = sh_fault_text(sh_slice_str(r->name), sh_slice_str(msg));
        cJSON_ReplaceItemInObjectCaseSensitive(e, "msg", cJSON_CreateString(named));
        free(named);
    }
}

/* Functions are known by their file's name: it must fit. */
static bool check_names(struct sh_host *h, const struct sh_generation *g)
{
    bool ok = true;
    for (size_t i = 0; i < g->n_files; i++) {
        size_t n = strlen(g->files[i].name);
        if (n <= MAX_FILE_NAME)
            continue;
        char why[100];
        snprintf(why, sizeof(why), "the file's name has %zu bytes, expected at most %d", n,
                 MAX_FILE_NAME);
        sh_load_note(h->load->errors, g->files[i].name, 0, why);
        ok = false;
    }
    return ok;
}

static void load_files(struct sh_host *h, const struct sh_generation *g)
{
    if (!check_names(h, g))
        return;
    for (size_t i = 0; i < g->n_files; i++)
        if (g->files[i].is_rule)
            sh_load_guarded(h, load_rule_file, &g->files[i]);
    sh_load_normalisers(h);
    for (size_t i = 0; i < g->n_files; i++) /* scripts nobody asked for are only read */
        if (!g->files[i].is_rule && h->load->module[i] == 0)
            sh_load_guarded(h, check_text, &g->files[i]);
    if (cJSON_GetArraySize(h->load->errors) == 0 && g->n_files)
        sh_load_guarded(h, seal_rules, NULL);
}

bool sh_host_load(struct sh_host *h, const struct sh_generation *g, cJSON **report)
{
    struct sh_load load = {.g = g,
                           .errors = cJSON_CreateArray(),
                           .warnings = cJSON_CreateArray(),
                           .module = sh_alloc(g->n_files, sizeof(int))};
    h->load = &load;
    if (h->calls.cover)
        h->cover = sh_cover_map_new(h->calls.cover, g);
    load_files(h, g);
    name_rules(h, load.errors);
    name_rules(h, load.warnings);
    bool ok = cJSON_GetArraySize(load.errors) == 0;
    if (ok && h->n_rules == 0)
        sh_load_note(load.warnings, g->n_files ? g->files[0].name : "", 0,
                     "there is no rule in any file");
    *report = cJSON_CreateObject();
    cJSON_AddBoolToObject(*report, "ok", ok);
    cJSON_AddStringToObject(*report, "generation", g->id);
    add_rules(h, *report);
    if (h->n_normals)
        add_normalisers(h, *report);
    cJSON_AddItemToObject(*report, "errors", load.errors);
    cJSON_AddItemToObject(*report, "warnings", load.warnings);
    free(load.module);
    h->load = NULL;
    lua_gc(h->L, LUA_GCCOLLECT);
    return ok;
}
