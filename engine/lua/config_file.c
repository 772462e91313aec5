/* SPDX-License-Identifier: MIT
 * config_file.c: the configuration's Lua state, its table as a tree, and where a key is written. */
#include "lua/config_file.h"

#include "base/clock.h"
#include "lua/config_env.h"
#include "svc/json.h"

#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TEXT_BYTES   (1024 * 1024)
#define MAX_MEMORY_BYTES (32 * 1024 * 1024)
#define MAX_TIME_US      2000000
#define MAX_DEPTH        12
#define MAX_NODES        20000
#define MAX_PATH         512
#define MAX_FILE_BYTES   (64 * 1024) /* of what file "name" reads */
#define MAX_FILE_NAME    4000
#define CHUNK            "config" /* stands for the file's path, which Lua would cut at 60 bytes */

struct reader {
    size_t used_bytes;
    int64_t deadline_us;
    size_t nodes;
    cJSON *tree;        /* what was built so far */
    const char *folder; /* of the configuration file, with its slash, or "" */
    size_t folder_len;
    char path[MAX_PATH];
    char unset[768]; /* environment variables that are not: what the message begins with; "" none */
};

static void *limited_alloc(void *ud, void *p, size_t old, size_t size)
{
    struct reader *rd = ud;
    if (!p)
        old = 0; /* Lua passes a type tag here for new objects */
    if (size == 0) {
        free(p);
        rd->used_bytes -= old;
        return NULL;
    }
    if (size > old && rd->used_bytes + (size - old) > MAX_MEMORY_BYTES)
        return NULL;
    void *q = realloc(p, size);
    if (q)
        rd->used_bytes += size - old;
    return q;
}

static struct reader *reader_of(lua_State *L)
{
    void *ud;
    lua_getallocf(L, &ud);
    return ud;
}

static void check_time(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    if (sh_mono_us() > reader_of(L)->deadline_us)
        luaL_error(L, "the configuration ran for more than %d seconds",
                   (int)(MAX_TIME_US / 1000000));
}

/* Noted, so that all of them are said at once: a deployment has either none or a dozen. */
static void note_unset(lua_State *L, struct reader *rd, const char *name)
{
    lua_Debug ar;
    int line = lua_getstack(L, 1, &ar) && lua_getinfo(L, "l", &ar) ? ar.currentline : 0;
    const size_t n = strlen(rd->unset), room = sizeof(rd->unset) - n;
    if (!n)
        snprintf(rd->unset, room, CHUNK ":%d: environment variable %.128s is not set", line, name);
    else if (room > strlen(name) + 64)
        snprintf(rd->unset + n, room, ", nor is %s (line %d)", name, line);
}

/* env NAME -> string, "" for one that is not set   [-0, +1, v] */
static int env(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    struct reader *rd = reader_of(L);
    char *value = sh_config_env(rd->folder, rd->folder_len, name);
    if (!value)
        note_unset(L, rd, name);
    const size_t len = value ? strlen(value) : 0;
    char *own = lua_newuserdatauv(L, len + 1, 0); /* which an error does not leak */
    memcpy(own, value ? value : "", len + 1);
    free(value);
    lua_pushlstring(L, own, len);
    return 1;
}

/* The text of a small file without its last line end, or why not; names no content. */
static bool read_small(const char *path, char text[MAX_FILE_BYTES + 3], size_t *len,
                       struct sh_error *err)
{
    FILE *f = fopen(path, "rbe");
    if (!f)
        return sh_error_set(err, SH_ESYS, "cannot read the file %s: %s", path, strerror(errno));
    *len = fread(text, 1, MAX_FILE_BYTES + 3, f);
    const bool bad = ferror(f) != 0;
    fclose(f);
    if (bad)
        return sh_error_set(err, SH_ESYS, "cannot read the file %s (is it a folder?)", path);
    if (*len && text[*len - 1] == '\n')
        *len -= *len > 1 && text[*len - 2] == '\r' ? 2 : 1;
    if (*len > MAX_FILE_BYTES)
        return sh_error_set(err, SH_ELIMIT, "the file %s is larger than %d bytes", path,
                            MAX_FILE_BYTES);
    if (memchr(text, '\0', *len))
        return sh_error_set(err, SH_EINVAL, "the file %s has a zero byte in it", path);
    return true;
}

/* file NAME -> string, relative to the configuration's folder   [-0, +1, v] */
static int file(lua_State *L)
{
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);
    const struct reader *rd = reader_of(L);
    char path[2 * MAX_FILE_NAME], *text = lua_newuserdatauv(L, MAX_FILE_BYTES + 3, 0);
    struct sh_error err;
    luaL_argcheck(
        L, len > 0 && len < MAX_FILE_NAME && strlen(name) == len && rd->folder_len < MAX_FILE_NAME,
        1, "a file's path expected");
    snprintf(path, sizeof(path), "%.*s%s", name[0] == '/' ? 0 : (int)rd->folder_len, rd->folder,
             name);
    if (!read_small(path, text, &len, &err))
        return luaL_error(L, "%s", err.msg);
    lua_pushlstring(L, text, len);
    return 1;
}

/* [-0, +0, m] */
static void open_globals(lua_State *L)
{
    static const char *const keep[] = {"tostring", "tonumber", "ipairs", "pairs",
                                       "string",   "table",    "math",   NULL};
    luaL_requiref(L, LUA_GNAME, luaopen_base, 1);
    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 1);
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 1);
    luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 1);
    lua_pushglobaltable(L); /* all globals */
    lua_newtable(L);        /* all few */
    for (size_t i = 0; keep[i]; i++) {
        lua_getfield(L, -2, keep[i]);
        lua_setfield(L, -2, keep[i]);
    }
    lua_pushcfunction(L, env);
    lua_setfield(L, -2, "env");
    lua_pushcfunction(L, file);
    lua_setfield(L, -2, "file");
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_settop(L, 0);
}

static void convert(lua_State *L, int index, struct reader *rd, cJSON *parent, const char *name,
                    int depth);

/* rd->path grows by one step; what to cut it back to is returned. */
static size_t step_into(struct reader *rd, const char *name)
{
    size_t was = strlen(rd->path);
    snprintf(rd->path + was, sizeof(rd->path) - was, "%s%s", was ? "." : "", name);
    return was;
}

/* A value as a person would name its place. */
static const char *place(const struct reader *rd)
{
    return rd->path[0] ? rd->path : "the table";
}

static bool is_list(lua_State *L, int index, struct reader *rd)
{
    lua_Integer named = 0, max = 0, count = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) == LUA_TSTRING) {
            named++;
        } else if (lua_isinteger(L, -2) && lua_tointeger(L, -2) >= 1) {
            count++;
            if (lua_tointeger(L, -2) > max)
                max = lua_tointeger(L, -2);
        } else {
            luaL_error(L, "%s: a key is a %s; keys are names or places in a list", place(rd),
                       luaL_typename(L, -2));
        }
    }
    if (named && count)
        luaL_error(L, "%s: has both list items and named keys", place(rd));
    if (max != count)
        luaL_error(L, "%s: the list has a hole (nil) before item %I", place(rd), (LUAI_UACINT)max);
    return count > 0;
}

static void fill_list(lua_State *L, int index, struct reader *rd, cJSON *list, int depth)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, index);
    for (lua_Integer i = 1; i <= n; i++) {
        char name[24];
        snprintf(name, sizeof(name), "%lld", (long long)i);
        size_t was = step_into(rd, name);
        lua_rawgeti(L, index, i);
        convert(L, lua_gettop(L), rd, list, NULL, depth);
        lua_pop(L, 1);
        rd->path[was] = '\0';
    }
}

static void fill_object(lua_State *L, int index, struct reader *rd, cJSON *object, int depth)
{
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        size_t len;
        const char *name = lua_tolstring(L, -2, &len);
        if (strlen(name) != len)
            luaL_error(L, "%s: a key has a zero byte in it", place(rd));
        size_t was = step_into(rd, name);
        convert(L, lua_gettop(L), rd, object, name, depth);
        rd->path[was] = '\0';
    }
}

/* Node for the value at index, empty if it is a table   [-0, +0, v] */
static cJSON *node_of(lua_State *L, int index, struct reader *rd)
{
    size_t len;
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        return cJSON_CreateBool(lua_toboolean(L, index));
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            return sh_json_int(lua_tointeger(L, index));
        if (!isfinite(lua_tonumber(L, index)))
            luaL_error(L, "%s: not a finite number", place(rd));
        return sh_json_double(lua_tonumber(L, index));
    case LUA_TSTRING:
        if (strlen(lua_tolstring(L, index, &len)) != len)
            luaL_error(L, "%s: the string has a zero byte in it", place(rd));
        return cJSON_CreateString(lua_tostring(L, index));
    case LUA_TTABLE:
        return is_list(L, index, rd) ? cJSON_CreateArray() : cJSON_CreateObject();
    default:
        luaL_error(L, "%s: a %s cannot be a setting", place(rd), luaL_typename(L, index));
        return NULL;
    }
}

/* The value at index (absolute) becomes a child of parent, or the root. Each node hangs in the
 * tree before the next call that may raise, so that an error leaks nothing   [-0, +0, v] */
static void convert(lua_State *L, int index, struct reader *rd, cJSON *parent, const char *name,
                    int depth)
{
    luaL_checkstack(L, 8, "configuration");
    if (depth > MAX_DEPTH)
        luaL_error(L, "%s: more than %d tables inside each other", place(rd), MAX_DEPTH);
    if (++rd->nodes > MAX_NODES)
        luaL_error(L, "more than %d values", MAX_NODES);
    cJSON *node = node_of(L, index, rd);
    sh_require(node);
    if (!parent)
        rd->tree = node;
    else if (name)
        cJSON_AddItemToObject(parent, name, node);
    else
        cJSON_AddItemToArray(parent, node);
    if (cJSON_IsArray(node))
        fill_list(L, index, rd, node, depth + 1);
    else if (cJSON_IsObject(node))
        fill_object(L, index, rd, node, depth + 1);
}

struct source_text {
    const char *p;
    size_t n;
};

/* (light userdata source_text) -> nothing   [-1, +0, v] */
static int run_text(lua_State *L)
{
    const struct source_text *text = lua_touserdata(L, 1);
    open_globals(L);
    if (luaL_loadbufferx(L, text->p, text->n, "=" CHUNK, "t") != LUA_OK)
        return lua_error(L);
    lua_sethook(L, check_time, LUA_MASKCOUNT, 10000);
    lua_call(L, 0, 1);
    if (!lua_istable(L, -1))
        return luaL_error(L, CHUNK ":0: the file must end with `return { ... }`; it returned %s",
                          lua_isnil(L, -1) ? "nothing" : luaL_typename(L, -1));
    convert(L, lua_gettop(L), reader_of(L), NULL, NULL, 0);
    return 0;
}

/* Lua's messages cite the file's strings (near '"..."', constant '...'), which may be secrets. */
static void hide_strings(char *msg, size_t room)
{
    static const char *const cites[] = {" near '\"", " near ''", " near '[", "(constant '"};
    for (size_t i = 0; i < sizeof(cites) / sizeof(*cites); i++) {
        char *at = strstr(msg, cites[i]);
        if (at)
            snprintf(at, room - (size_t)(at - msg), "%s",
                     *at == '(' ? "(a string)" : " near a string");
    }
}

/* Lua's message with the file's real path in front, and the line found where it has none. */
static bool say(const char *path, const char *text, const struct reader *rd, const char *lua_msg,
                struct sh_error *err)
{
    char msg[sizeof(err->msg)];
    snprintf(msg, sizeof(msg) - 16, "%s", lua_msg);
    hide_strings(msg, sizeof(msg));
    const size_t skip = sizeof(CHUNK ":") - 1;
    if (strncmp(msg, CHUNK ":", skip) == 0 && msg[skip] != '0')
        return sh_error_set(err, SH_EINVAL, "%s:%s", path, msg + skip);
    if (strncmp(msg, CHUNK ":0: ", skip + 3) == 0)
        return sh_error_set(err, SH_EINVAL, "%s:1: %s", path, msg + skip + 3);
    int line = rd->path[0] ? sh_config_line(text, rd->path) : 0;
    return sh_error_set(err, SH_EINVAL, "%s:%d: %s", path, line ? line : 1, msg);
}

static cJSON *evaluate(const char *path, const char *text, size_t len, struct sh_error *err)
{
    const char *slash = strrchr(path, '/');
    struct reader rd = {.deadline_us = sh_mono_us() + MAX_TIME_US,
                        .folder = path,
                        .folder_len = slash ? (size_t)(slash - path) + 1 : 0};
    lua_State *L = lua_newstate(limited_alloc, &rd);
    sh_require(L);
    struct source_text src = {text, len};
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        src = (struct source_text){text + 3, len - 3}; /* as lua_load does for files */
    lua_pushcfunction(L, run_text);
    lua_pushlightuserdata(L, &src);
    cJSON *tree = NULL;
    const bool ok = lua_pcall(L, 1, 0, 0) == LUA_OK;
    if (rd.unset[0]) {
        say(path, text, &rd, rd.unset, err); /* whatever else: it may come of that */
    } else if (ok) {
        tree = rd.tree;
        rd.tree = NULL;
    } else {
        const char *msg = lua_tostring(L, -1);
        say(path, text, &rd, msg ? msg : "an error that is not text", err);
    }
    lua_close(L);
    cJSON_Delete(rd.tree);
    return tree;
}

static char *read_text(const char *path, size_t *len, struct sh_error *err)
{
    FILE *f = fopen(path, "rbe");
    if (!f) {
        sh_error_set(err, errno == ENOENT ? SH_ENOTFOUND : SH_ESYS, "%s:0: cannot open: %s", path,
                     strerror(errno));
        return NULL;
    }
    char *text = sh_alloc(MAX_TEXT_BYTES + 2, 1);
    *len = fread(text, 1, MAX_TEXT_BYTES + 1, f);
    bool bad = ferror(f) != 0;
    fclose(f);
    if (!bad && *len <= MAX_TEXT_BYTES)
        return text;
    if (bad)
        sh_error_set(err, SH_ESYS, "%s:0: cannot be read (is it a folder?)", path);
    else
        sh_error_set(err, SH_ELIMIT, "%s:0: larger than %d bytes", path, MAX_TEXT_BYTES);
    free(text);
    return NULL;
}

cJSON *sh_config_file_read(const char *path, char **text, struct sh_error *err)
{
    size_t len = 0;
    *text = read_text(path, &len, err);
    return *text ? evaluate(path, *text, len, err) : NULL;
}

/* --- where a key is written ----------------------------------------------------------------- */

#define MAX_PARTS 16

struct scan {
    const char *p;
    int line;
    struct {
        char text[128];
    } part[MAX_PARTS]; /* the path looked for */
    int n_parts;
    int best, best_line; /* parts matched by the best place so far */
};

static void split_path(struct scan *s, const char *path)
{
    while (*path && s->n_parts < MAX_PARTS) {
        size_t n = strcspn(path, ".");
        snprintf(s->part[s->n_parts++].text, sizeof(s->part[0].text), "%.*s", (int)n, path);
        path += n;
        if (*path == '.')
            path++;
    }
}

static void skip_to(struct scan *s, const char *end)
{
    for (; s->p < end; s->p++)
        s->line += *s->p == '\n';
}

/* At "[[" or "[==[": past the closing bracket. False if it is no long bracket. */
static bool skip_long(struct scan *s)
{
    size_t level = strspn(s->p + 1, "=");
    if (s->p[0] != '[' || s->p[1 + level] != '[')
        return false;
    for (const char *q = s->p + 2 + level; (q = strchr(q, ']')) != NULL; q++) {
        if (strspn(q + 1, "=") == level && q[1 + level] == ']') {
            skip_to(s, q + 2 + level);
            return true;
        }
    }
    skip_to(s, s->p + strlen(s->p));
    return true;
}

static void skip_quoted(struct scan *s)
{
    const char *q = s->p + 1;
    for (; *q && *q != *s->p && *q != '\n'; q++)
        if (*q == '\\' && q[1])
            q++;
    skip_to(s, *q ? q + 1 : q);
}

/* Past blanks and comments. */
static void skip_blank(struct scan *s)
{
    for (;;) {
        skip_to(s, s->p + strspn(s->p, " \t\r\n\f\v"));
        if (s->p[0] != '-' || s->p[1] != '-')
            return;
        s->p += 2;
        if (*s->p != '[' || !skip_long(s))
            skip_to(s, s->p + strcspn(s->p, "\n"));
    }
}

static size_t name_len(const char *p)
{
    return strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
}

/* At the start of a table item: `name =` or `["name"] =` is read and its name put in key. False,
 * nothing read: a list item. */
static bool item_key(struct scan *s, char *key, size_t room)
{
    struct scan was = *s;
    const char *from = s->p;
    size_t n = name_len(from);
    bool bracket = *from == '[' && from[1] != '[' && from[1] != '=';
    if (bracket) {
        s->p++;
        skip_blank(s);
        from = s->p + (*s->p == '"' || *s->p == '\'');
        n = from > s->p ? strcspn(from, "\"'\n") : name_len(from);
        s->p = from + n + (from > s->p && from[n]);
        skip_blank(s);
        if (*s->p == ']')
            s->p++;
    } else {
        s->p += n;
    }
    skip_blank(s);
    if (n > 0 && s->p[0] == '=' && s->p[1] != '=') {
        s->p++;
        snprintf(key, room, "%.*s", (int)n, from);
        return true;
    }
    s->p = was.p;
    s->line = was.line;
    return false;
}

static void scan_table(struct scan *s, int matched, int depth);

/* The value of an item, up to the comma or brace that ends it. matched: parts of the path that its
 * key completes, or -1. */
static void scan_value(struct scan *s, int matched, int depth)
{
    for (int parens = 0;;) {
        skip_blank(s);
        char c = *s->p;
        if (c == '\0' || (parens <= 0 && strchr(",;}", c)))
            return;
        if (c == '{') {
            scan_table(s, matched, depth + 1);
        } else if (c == '"' || c == '\'') {
            skip_quoted(s);
        } else if (c != '[' || !skip_long(s)) {
            parens += (c == '(') - (c == ')');
            s->p++;
        }
    }
}

/* At '{': every item of a table whose place completes `matched` parts of the path (-1: none). */
static void scan_table(struct scan *s, int matched, int depth)
{
    int place_in_list = 0;
    s->p++;
    while (depth < 100) {
        skip_blank(s);
        while (*s->p && strchr(",;", *s->p)) {
            s->p++;
            skip_blank(s);
        }
        if (*s->p == '\0' || *s->p == '}')
            break;
        char key[128];
        int line = s->line;
        if (!item_key(s, key, sizeof(key)))
            snprintf(key, sizeof(key), "%d", ++place_in_list);
        bool hit = matched >= 0 && matched < s->n_parts && strcmp(key, s->part[matched].text) == 0;
        if (hit && matched + 1 >= s->best) {
            s->best = matched + 1;
            s->best_line = line;
        }
        const char *before = s->p;
        scan_value(s, hit ? matched + 1 : -1, depth);
        if (s->p == before && *s->p && !strchr(",;}", *s->p))
            s->p++; /* not Lua: go on anyhow */
    }
    if (*s->p == '}')
        s->p++;
}

int sh_config_line(const char *text, const char *path)
{
    struct scan s = {.p = text, .line = 1};
    split_path(&s, path);
    for (;;) {
        skip_blank(&s);
        if (*s.p == '\0')
            return s.best_line;
        if (*s.p == '{')
            scan_table(&s, 0, 0);
        else if (*s.p == '"' || *s.p == '\'')
            skip_quoted(&s);
        else if (*s.p != '[' || !skip_long(&s))
            s.p++;
    }
}

const char *sh_config_lua_release(void)
{
    return LUA_VERSION_MAJOR "." LUA_VERSION_MINOR "." LUA_VERSION_RELEASE;
}

/* "$LuaVersion: Lua 5.4.4  Copyright ...$": the one text in the library that says its release. */
extern const char lua_ident[];

void sh_config_lua_loaded(char out[32])
{
    const char *at = strstr(lua_ident, ": Lua ");
    at = at ? at + strlen(": Lua ") : "";
    snprintf(out, 32, "%.*s", (int)strcspn(at, " "), at);
}
