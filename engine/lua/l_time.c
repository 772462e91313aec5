/* SPDX-License-Identifier: MIT
 * l_time.c: time: a moment as the clock of a zone shows it, and back. Pure functions: the same in
 * runs, in `when` and while files load. Moments are seconds since 1970, as now() gives them. */
#include "lua/internal.h"

#include "base/clock.h"
#include "base/tzif.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MIN_TIME   (-62167219200.0) /* 0000-01-01 */
#define MAX_TIME   253402300799.0   /* 9999-12-31T23:59:59 */
#define MAX_FORMAT 1000
#define MAX_FIELD  1000000000LL

static const char *const day_names[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                        "Friday", "Saturday", "Sunday"};
static const char *const month_names[] = {"January",   "February", "March",    "April",
                                          "May",       "June",     "July",     "August",
                                          "September", "October",  "November", "December"};

/* --- arguments -------------------------------------------------------------------------------- */

static const struct sh_zone *named_zone(lua_State *L, const char *what, const char *name)
{
    const struct sh_zone *z = sh_zone_find(name);
    if (z)
        return z;
    const char *near = sh_zone_nearest(name);
    sh_lua_raise(L, "%s: there is no time zone \"%.60s\"%s%s%s", what, name,
                 near ? " (did you mean \"" : " (expected a name such as \"Europe/Amsterdam\"",
                 near ? near : "", near ? "\"?)" : ")");
}

/* The zone at idx; nil: the configured one. */
static const struct sh_zone *zone_at(lua_State *L, int idx, const char *what)
{
    if (lua_isnoneornil(L, idx))
        return named_zone(L, what, sh_lua_zone(L));
    if (lua_type(L, idx) != LUA_TSTRING)
        sh_lua_raise(L,
                     "%s: 'zone' must be the name of a time zone such as \"Europe/Amsterdam\", "
                     "got %s",
                     what, sh_lua_kind(L, idx));
    return named_zone(L, what, lua_tostring(L, idx));
}

/* The moment at 1, in whole seconds and milliseconds. */
static int64_t moment_arg(lua_State *L, const char *what, int *ms)
{
    if (lua_type(L, 1) != LUA_TNUMBER)
        sh_lua_raise(L, "%s: 't' must be a time in seconds since 1970 (a number), got %s", what,
                     sh_lua_kind(L, 1));
    double t = lua_tonumber(L, 1), whole = floor(t);
    if (!(t >= MIN_TIME && t < MAX_TIME + 1))
        sh_lua_raise(L, "%s: 't' must be a time from the year 0 to 9999, got %.14g", what, t);
    int rounded = (int)((t - whole) * 1000 + 0.5);
    *ms = rounded > 999 ? 999 : rounded;
    return (int64_t)whole;
}

/* What a zone's clock shows at a moment. */
struct local {
    struct sh_zone_info info;
    struct sh_civil c;
    int64_t t;
    int ms;
};

static const struct sh_zone *local_args(lua_State *L, int zone_idx, const char *what,
                                        struct local *out)
{
    out->t = moment_arg(L, what, &out->ms);
    const struct sh_zone *z = zone_at(L, zone_idx, what);
    sh_zone_at(z, out->t, &out->info);
    sh_civil_of(out->t + out->info.offset_s, &out->c);
    return z;
}

/* --- parts and of ----------------------------------------------------------------------------- */

static void set_int(lua_State *L, const char *name, int64_t n)
{
    lua_pushinteger(L, n);
    lua_setfield(L, -2, name);
}

/* time.parts(t, zone) -> table */
static int l_parts(lua_State *L)
{
    struct local now;
    const struct sh_zone *z = local_args(L, 2, "time.parts", &now);
    lua_createtable(L, 0, 12);
    set_int(L, "year", now.c.year);
    set_int(L, "month", now.c.month);
    set_int(L, "day", now.c.day);
    set_int(L, "hour", now.c.hour);
    set_int(L, "min", now.c.minute);
    set_int(L, "sec", now.c.second);
    set_int(L, "wday", now.c.weekday);
    set_int(L, "yday", now.c.yearday);
    set_int(L, "offset", now.info.offset_s);
    lua_pushboolean(L, now.info.dst);
    lua_setfield(L, -2, "dst");
    lua_pushstring(L, sh_zone_name(z));
    lua_setfield(L, -2, "zone");
    lua_pushstring(L, now.info.abbr);
    lua_setfield(L, -2, "abbr");
    return 1;
}

/* A whole number of the table at 1, which is resolved. */
static int64_t part(lua_State *L, const char *name, int64_t otherwise, int64_t max)
{
    int whole;
    lua_getfield(L, 1, name);
    if (lua_isnil(L, -1) && otherwise >= 0) {
        lua_pop(L, 1);
        return otherwise;
    }
    lua_Integer n = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &whole) : (whole = 0);
    if (!whole || n < -max || n > max)
        sh_lua_raise(L, "time.of: '%s' must be a whole number%s, got %s", name,
                     whole ? " within reason" : "",
                     lua_type(L, -1) == LUA_TNUMBER ? luaL_tolstring(L, -1, NULL)
                                                    : sh_lua_kind(L, -1));
    lua_pop(L, 1);
    return n;
}

/* Fields that time.parts() gives are allowed, so that its table can be changed and given back. */
static void check_names(lua_State *L)
{
    char msg[300];
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pop(L, 1);
        const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
        if (!key)
            sh_lua_raise(L, "time.of: unexpected list item (fields are name = value)");
        if (sh_fields_has(&sh_fields_time, key))
            continue;
        sh_arg_unknown(msg, sizeof(msg), "time.of", key, &sh_fields_time);
        sh_lua_raise(L, "%s", msg);
    }
}

/* time.of{year=, month=, day=, hour=, min=, sec=, zone=} -> seconds, nil | "missing" | "repeated"
 */
static int l_of(lua_State *L)
{
    if (!lua_istable(L, 1))
        sh_lua_raise(L, "time.of: a table { year=, month=, day=, .. } expected, got %s",
                     sh_lua_kind(L, 1));
    lua_settop(L, 1);
    sh_lua_resolve(L, 1);
    lua_replace(L, 1);
    check_names(L);
    lua_getfield(L, 1, "zone"); /* table zone */
    const struct sh_zone *z = zone_at(L, 2, "time.of");
    struct sh_civil c = {.year = part(L, "year", -1, 9999),
                         .month = (int)part(L, "month", -1, MAX_FIELD),
                         .day = (int)part(L, "day", -1, MAX_FIELD),
                         .hour = (int)part(L, "hour", 0, MAX_FIELD),
                         .minute = (int)part(L, "min", 0, MAX_FIELD),
                         .second = (int)part(L, "sec", 0, MAX_FIELD)};
    int64_t local = sh_civil_seconds(&c);
    if ((double)local < MIN_TIME || (double)local > MAX_TIME)
        sh_lua_raise(L, "time.of: the time is not in the years 0 to 9999");
    enum sh_local_kind kind;
    lua_pushinteger(L, sh_zone_moment(z, local, &kind));
    if (kind == SH_LOCAL_PLAIN)
        lua_pushnil(L);
    else
        lua_pushstring(L, kind == SH_LOCAL_MISSING ? "missing" : "repeated");
    return 2;
}

/* --- texts ------------------------------------------------------------------------------------ */

/* "+02:00" or, without the colon, "+0200": whole minutes; an offset before the age of time zones
 * may have seconds, which no text form holds. */
static int offset_text(char *out, size_t size, int32_t offset_s, bool colon)
{
    int minutes = (offset_s < 0 ? -offset_s : offset_s) / 60;
    return snprintf(out, size, "%c%02d%s%02d", offset_s <= -60 ? '-' : '+', minutes / 60,
                    colon ? ":" : "", minutes % 60);
}

/* time.text(t, zone) -> RFC 3339 */
static int l_text(lua_State *L)
{
    struct local now;
    char text[80], offset[16], fraction[8] = "";
    local_args(L, 2, "time.text", &now);
    int32_t shown = now.info.offset_s - now.info.offset_s % 60;
    sh_civil_of(now.t + shown, &now.c);
    if (now.ms > 0)
        snprintf(fraction, sizeof(fraction), ".%03d", now.ms % 1000);
    offset_text(offset, sizeof(offset), shown, true);
    snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d%s%s", (int)now.c.year, now.c.month,
             now.c.day, now.c.hour, now.c.minute, now.c.second, fraction,
             shown == 0 && strcmp(now.info.abbr, "UTC") == 0 ? "Z" : offset);
    lua_pushstring(L, text);
    return 1;
}

/* time.parse(text, zone) -> seconds | nil, message */
static int l_parse(lua_State *L)
{
    struct sh_civil c;
    int64_t ms;
    size_t n;
    if (lua_type(L, 1) != LUA_TSTRING)
        sh_lua_raise(L, "time.parse: a text such as \"2026-10-25T09:00:00Z\" expected, got %s",
                     sh_lua_kind(L, 1));
    const char *text = lua_tolstring(L, 1, &n);
    const struct sh_zone *z = zone_at(L, 2, "time.parse");
    if (sh_time_parse(text, n, &ms)) {
        if (ms % 1000 == 0)
            lua_pushinteger(L, ms / 1000);
        else
            lua_pushnumber(L, (lua_Number)ms / 1000);
        return 1;
    }
    if (strlen(text) == n && sh_civil_parse(text, &c)) {
        lua_pushinteger(L, sh_zone_moment(z, sh_civil_seconds(&c), NULL));
        return 1;
    }
    struct sh_buf why;
    char msg[400];
    sh_buf_init(&why, 250);
    sh_lua_clean(&why, text, n, 60, false);
    snprintf(msg, sizeof(msg),
             "\"%s\" is no time: expected \"2026-10-25T09:00:00+01:00\" or, in local time, "
             "\"2026-10-25 09:00\"",
             why.data ? why.data : "");
    sh_buf_free(&why);
    lua_pushnil(L);
    lua_pushstring(L, msg);
    return 2;
}

/* --- format ----------------------------------------------------------------------------------- */

/* ISO 8601: week 1 holds the year's first Thursday. */
static int iso_week(const struct sh_civil *c, int64_t *year)
{
    struct sh_civil thursday = *c;
    thursday.day += 4 - c->weekday;
    sh_civil_of(sh_civil_seconds(&thursday), &thursday);
    *year = thursday.year;
    return (thursday.yearday - 1) / 7 + 1;
}

static int format_date(char *out, size_t size, char what, const struct sh_civil *c)
{
    int64_t iso_year;
    switch (what) {
    case 'Y':
        return snprintf(out, size, "%04d", (int)c->year);
    case 'y':
        return snprintf(out, size, "%02d", (int)(c->year % 100));
    case 'm':
        return snprintf(out, size, "%02d", c->month);
    case 'd':
        return snprintf(out, size, "%02d", c->day);
    case 'e':
        return snprintf(out, size, "%2d", c->day);
    case 'j':
        return snprintf(out, size, "%03d", c->yearday);
    case 'u':
        return snprintf(out, size, "%d", c->weekday);
    case 'F':
        return snprintf(out, size, "%04d-%02d-%02d", (int)c->year, c->month, c->day);
    case 'V':
        return snprintf(out, size, "%02d", iso_week(c, &iso_year));
    case 'G':
        (void)iso_week(c, &iso_year);
        return snprintf(out, size, "%04d", (int)iso_year);
    case 'a':
        return snprintf(out, size, "%.3s", day_names[c->weekday - 1]);
    case 'A':
        return snprintf(out, size, "%s", day_names[c->weekday - 1]);
    case 'b':
        return snprintf(out, size, "%.3s", month_names[c->month - 1]);
    case 'B':
        return snprintf(out, size, "%s", month_names[c->month - 1]);
    default:
        return -1;
    }
}

static int format_clock(char *out, size_t size, char what, const struct local *now)
{
    const struct sh_civil *c = &now->c;
    switch (what) {
    case 'H':
        return snprintf(out, size, "%02d", c->hour);
    case 'I':
        return snprintf(out, size, "%02d", (c->hour + 11) % 12 + 1);
    case 'M':
        return snprintf(out, size, "%02d", c->minute);
    case 'S':
        return snprintf(out, size, "%02d", c->second);
    case 'p':
        return snprintf(out, size, "%s", c->hour < 12 ? "AM" : "PM");
    case 'R':
        return snprintf(out, size, "%02d:%02d", c->hour, c->minute);
    case 'T':
        return snprintf(out, size, "%02d:%02d:%02d", c->hour, c->minute, c->second);
    case 's':
        return snprintf(out, size, "%lld", (long long)now->t);
    case 'z':
        return offset_text(out, size, now->info.offset_s, false);
    case 'Z':
        return snprintf(out, size, "%s", now->info.abbr);
    case '%':
        return snprintf(out, size, "%%");
    default:
        return format_date(out, size, what, c);
    }
}

/* time.format(t, format, zone) -> text */
static int l_format(lua_State *L)
{
    struct local now;
    size_t n;
    char piece[40];
    if (lua_type(L, 2) != LUA_TSTRING)
        sh_lua_raise(L, "time.format: a format such as \"%%d %%b %%H:%%M\" expected, got %s",
                     sh_lua_kind(L, 2));
    const char *f = lua_tolstring(L, 2, &n);
    if (n > MAX_FORMAT)
        sh_lua_raise(L, "time.format: the format is longer than %d bytes", MAX_FORMAT);
    local_args(L, 3, "time.format", &now);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (const char *end = f + n; f < end; f++) {
        if (*f != '%') {
            luaL_addchar(&b, *f);
            continue;
        }
        char what = f + 1 < end ? *++f : '\0';
        int len = format_clock(piece, sizeof(piece), what, &now);
        if (len < 0)
            sh_lua_raise(
                L,
                "time.format: unknown %%%c (expected one of %%Y %%y %%m %%d %%e %%j %%F "
                "%%H %%I %%M %%S %%p %%R %%T %%a %%A %%b %%B %%u %%V %%G %%z %%Z %%s %%%%)",
                what > ' ' && what < 0x7f ? what : ' ');
        luaL_addlstring(&b, piece, (size_t)len);
    }
    luaL_pushresult(&b);
    return 1;
}

/* time.offset(t, zone) -> seconds that the clock is ahead of UTC, the moment that they change or
 * nil
 */
static int l_offset(lua_State *L)
{
    int ms;
    int64_t t = moment_arg(L, "time.offset", &ms);
    const struct sh_zone *z = zone_at(L, 2, "time.offset");
    struct sh_zone_span span, next;
    sh_zone_span_at(z, t, &span);
    for (next = span; next.to <= (int64_t)MAX_TIME; sh_zone_span_at(z, next.to, &next))
        if (next.info.offset_s != span.info.offset_s)
            break; /* a change of name alone, or to a new rule, is none */
    lua_pushinteger(L, span.info.offset_s);
    if (next.info.offset_s != span.info.offset_s)
        lua_pushinteger(L, next.from);
    else
        lua_pushnil(L);
    return 2;
}

/* time.zone() -> the configured zone's name */
static int l_zone(lua_State *L)
{
    lua_pushstring(L, sh_lua_zone(L));
    return 1;
}

void sh_lua_open_time(lua_State *L)
{
    static const luaL_Reg fns[] = {{"parts", l_parts},   {"of", l_of},         {"text", l_text},
                                   {"parse", l_parse},   {"format", l_format}, {"zone", l_zone},
                                   {"offset", l_offset}, {NULL, NULL}};
    luaL_newlib(L, fns);
    sh_lua_seal(L, "time");
    lua_setfield(L, -2, "time");
}
