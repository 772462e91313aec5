/* SPDX-License-Identifier: MIT
 * fail.c: what went wrong, for people: positions, error texts, nearest names. */
#include "lua/internal.h"

#include "base/utf8.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_FRAMES 8 /* of a traceback */

/* Files of the generation are loaded as "@rules/a.lua"; everything else is the engine's. */
static bool is_author(const lua_Debug *ar)
{
    return ar->source[0] == '@' && ar->currentline > 0;
}

bool sh_lua_where(lua_State *L, char *out, size_t size, int *line)
{
    lua_Debug ar;
    out[0] = '\0';
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        if (!lua_getinfo(L, "Sl", &ar) || !is_author(&ar))
            continue;
        snprintf(out, size, "%s:%d", ar.source + 1, ar.currentline);
        *line = ar.currentline;
        return true;
    }
    struct sh_host *h = sh_lua_host(L); /* inside a coroutine of C functions only: look outside */
    for (int i = h->n_chain - 1; i > 0; i--)
        if (h->chain[i] == L)
            return sh_lua_where(h->chain[i - 1], out, size, line);
    return false;
}

void sh_lua_one_line(char *out, size_t size, const char *text)
{
    size_t n = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p && n + 5 < size; p++) {
        if (*p >= 0x20 && *p != 0x7f)
            out[n++] = (char)*p;
        else
            n += (size_t)snprintf(out + n, size - n,
                                  *p == '\n'   ? "\\n"
                                  : *p == '\t' ? "\\t"
                                               : "\\x%02x",
                                  *p);
    }
    out[n] = '\0';
}

int sh_lua_raise(lua_State *L, const char *fmt, ...)
{
    char where[200], msg[1000], line_of_it[1000];
    int line;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    sh_lua_one_line(line_of_it, sizeof(line_of_it), msg);
    bool known = sh_lua_where(L, where, sizeof(where), &line);
    lua_pushfstring(L, "%s%s%s", where, known ? ": " : "", line_of_it);
    lua_error(L);
    __builtin_unreachable();
}

/* Length of the UTF-8 sequence at p (1..4), 0 if it is not one. RFC 3629. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

bool sh_lua_utf8(const char *p, size_t n)
{
    return sh_utf8_ok(sh_slice(p, n));
}

void sh_lua_clean(struct sh_buf *out, const char *p, size_t n, size_t max, bool keep_nl)
{
    const unsigned char *s = (const unsigned char *)p;
    size_t start = out->len;
    for (size_t i = 0; i < n;) {
        if (out->len - start + 8 > max) {
            sh_buf_adds(out, "...");
            return;
        }
        size_t len = utf8_len(s + i, n - i);
        bool control = s[i] < 0x20 || s[i] == 0x7f;
        if (len && (!control || (keep_nl && s[i] == '\n'))) {
            sh_buf_add(out, s + i, len);
            i += len;
            continue;
        }
        sh_buf_addf(out, s[i] == '\n' ? "\\n" : s[i] == '\t' ? "\\t" : "\\x%02x", s[i]);
        i++;
    }
}

const char *sh_lua_kind(lua_State *L, int idx)
{
    static const char *const names[] = {"nil",        "a boolean", "userdata",
                                        "a number",   "a string",  "a table",
                                        "a function", "userdata",  "a coroutine"};
    int type = lua_type(L, idx);
    if (type == LUA_TNONE)
        return "nothing";
    if (type == LUA_TLIGHTUSERDATA && lua_touserdata(L, idx) == &sh_lua_null)
        return "json.null";
    if (sh_lua_is_secret(L, idx))
        return "a secret (a secret can only go into an http call)";
    return names[type];
}

/* "a/b.lua:12: " in front already? */
static bool has_position(const char *text)
{
    const char *colon = strstr(text, ".lua:");
    if (!colon || strncmp(text, "rules/", 6) != 0)
        if (!colon || strncmp(text, "scripts/", 8) != 0)
            return false;
    return isdigit((unsigned char)colon[5]) != 0;
}

/* Bytes of a "...ong/name.lua:12: " in front of text: Lua's shortened form of where. */
static size_t short_position(const char *text, const char *where)
{
    const char *colon = strncmp(text, "...", 3) == 0 ? strstr(text, ": ") : NULL;
    size_t n = colon ? (size_t)(colon - text) - 3 : 0, w = strlen(where);
    return colon && n <= w && memcmp(where + w - n, text + 3, n) == 0 ? n + 5 : 0;
}

/* The author's frames, where there is more than the one the position names already. */
static void add_frames(lua_State *L, struct sh_buf *out)
{
    lua_Debug ar;
    int n = 0;
    for (int level = 0; n < 2 && lua_getstack(L, level, &ar); level++)
        n += lua_getinfo(L, "Sl", &ar) && is_author(&ar);
    if (n < 2)
        return;
    n = 0;
    for (int level = 0; n < MAX_FRAMES && lua_getstack(L, level, &ar); level++) {
        if (!lua_getinfo(L, "Sln", &ar) || !is_author(&ar))
            continue;
        sh_buf_addf(out, "\n  at %s:%d", ar.source + 1, ar.currentline);
        if (ar.name)
            sh_buf_addf(out, " in %s", ar.name);
        n++;
    }
}

void sh_lua_error_text(lua_State *L, struct sh_buf *out)
{
    char where[200];
    int line;
    size_t n = 0;
    const char *text = NULL;
    int type = lua_type(L, -1);
    if (type == LUA_TSTRING)
        text = lua_tolstring(L, -1, &n);
    bool known = sh_lua_where(L, where, sizeof(where), &line);
    if (known && !(text && has_position(text)))
        sh_buf_addf(out, "%s: ", where);
    size_t skip = text && known ? short_position(text, where) : 0;
    if (text)
        sh_lua_clean(out, text + skip, n - skip, SH_MAX_ERROR_BYTES / 2, true);
    else if (type == LUA_TNUMBER && lua_isinteger(L, -1))
        sh_buf_addf(out, "%lld", (long long)lua_tointeger(L, -1));
    else if (type == LUA_TNUMBER)
        sh_buf_addf(out, "%.14g", lua_tonumber(L, -1));
    else
        sh_buf_addf(out, "error with %s as its value (give error() a text)", sh_lua_kind(L, -1));
    add_frames(L, out);
    lua_pop(L, 1);
}

unsigned sh_lua_distance(const char *a, const char *b, unsigned limit)
{
    unsigned row[64];
    size_t n = strlen(a), m = strlen(b);
    if (n >= 63 || m >= 63)
        return limit + 1;
    for (size_t j = 0; j <= m; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned above = row[j];
            unsigned best =
                diagonal + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[m];
}

/* The order of a table's keys differs each time: the first by name among the nearest. */
const char *sh_lua_nearest_key(lua_State *L, int idx, const char *word)
{
    unsigned limit = strlen(word) <= 3 ? 1 : 2;
    const char *best = NULL;
    lua_pushnil(L);
    while (lua_next(L, idx)) {
        lua_pop(L, 1);
        const char *known = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
        unsigned d = sh_lua_distance(word, known, limit);
        if (d > limit || (best && d == limit && strcmp(known, best) > 0))
            continue;
        best = known;
        limit = d;
    }
    return best;
}

const char *sh_lua_nearest(const char *word, const char *const *names)
{
    unsigned limit = strlen(word) <= 3 ? 1 : strlen(word) <= 6 ? 2 : 3;
    const char *best = NULL;
    for (; *names; names++) {
        unsigned d = sh_lua_distance(word, *names, limit);
        if (d <= limit && (!best || d < limit)) {
            best = *names;
            limit = d;
        }
    }
    return best;
}
