/* SPDX-License-Identifier: MIT
 * l_when.c: times as rules write them: seconds, durations, RFC 3339, and local times of a zone. */
#include "lua/internal.h"

#include "base/clock.h"
#include "base/zone.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MIN_TIME 946684800.0    /* 2000-01-01: below it a number is a duration */
#define MAX_TIME 253402300799.0 /* 9999-12-31 */

const char *sh_lua_zone(lua_State *L)
{
    const struct sh_settings *s = sh_lua_host(L)->calls.settings;
    return s && s->zone ? s->zone : "UTC";
}

static const struct sh_zone *find_zone(lua_State *L, const char *what, const char *name)
{
    const struct sh_zone *z = sh_zone_find(name);
    if (z)
        return z;
    const char *near = sh_zone_nearest(name);
    sh_lua_raise(L, "%s: 'zone' \"%.60s\" is no time zone%s%s%s", what, name,
                 near ? " (did you mean \"" : " such as \"Europe/Amsterdam\"", near ? near : "",
                 near ? "\"?)" : "");
}

static bool local_time(lua_State *L, const char *what, const char *text, const char *zone,
                       struct sh_when *out)
{
    struct sh_civil c;
    if (!sh_civil_parse(text, &c))
        return false;
    const struct sh_zone *z = find_zone(L, what, zone);
    out->ms = sh_zone_moment(z, sh_civil_seconds(&c), NULL) * 1000;
    out->zone = sh_zone_name(z);
    snprintf(out->local, sizeof(out->local), "%04d-%02d-%02dT%02d:%02d:%02d", (int)c.year, c.month,
             c.day, c.hour, c.minute, c.second);
    return true;
}

static void from_text(lua_State *L, const struct sh_lua_run *r, const char *what, const char *name,
                      const char *zone, struct sh_when *out)
{
    double seconds;
    size_t n;
    const char *s = lua_tolstring(L, -1, &n);
    if (strlen(s) == n && sh_lua_duration(s, n, &seconds)) {
        out->ms = r->job->now_ms + (int64_t)llround(seconds * 1000);
    } else if (!sh_time_parse(s, n, &out->ms) &&
               !(strlen(s) == n && local_time(L, what, s, zone, out))) {
        sh_lua_raise(L,
                     "%s: '%s' must be a time such as \"2026-06-12T09:00:00Z\" or \"2026-06-12 "
                     "09:00\", or a duration such as \"2h\", got \"%.60s\"",
                     what, name, s);
    }
    if (out->ms < (int64_t)MIN_TIME * 1000 || out->ms > (int64_t)MAX_TIME * 1000)
        sh_lua_raise(L, "%s: '%s' must be a time from the year 2000 to 9999, got \"%.60s\"", what,
                     name, s);
}

void sh_lua_when(lua_State *L, const struct sh_lua_run *r, const char *what, const char *name,
                 const char *zone, bool from_now, struct sh_when *out)
{
    *out = (struct sh_when){0};
    if (lua_type(L, -1) == LUA_TSTRING) {
        from_text(L, r, what, name, zone, out);
        return;
    }
    if (lua_type(L, -1) != LUA_TNUMBER)
        sh_lua_raise(L,
                     "%s: '%s' must be a time in seconds (a number) or a text such as \"2h\", "
                     "got %s",
                     what, name, sh_lua_kind(L, -1));
    double at = lua_tonumber(L, -1);
    if (from_now && at >= 0 && at < MIN_TIME)
        at += (double)r->job->now_ms / 1000;
    if (!(at >= MIN_TIME && at <= MAX_TIME))
        sh_lua_raise(L,
                     from_now ? "%s: '%s' must be seconds from now (0 or more) or a time up to the "
                                "year 9999, got %.14g"
                              : "%s: '%s' must be a time in seconds since 1970, such as now() + "
                                "2*hour or \"2h\", got %.14g",
                     what, name, lua_tonumber(L, -1));
    out->ms = (int64_t)llround(at * 1000);
}

const char *sh_arg_zone(lua_State *L, int table, const char *what)
{
    struct sh_slice zone;
    if (!sh_arg_text(L, table, what, "zone", &zone))
        return sh_lua_zone(L);
    return sh_zone_name(find_zone(L, what, zone.p));
}
