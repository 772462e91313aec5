/* SPDX-License-Identifier: MIT
 * clock.c: clocks and RFC 3339. */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t sh_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t sh_mono_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

#define YEAR_0_MS    INT64_C(-62167219200000)
#define YEAR_9999_MS INT64_C(253402300799999)

const char *sh_time_text(int64_t ms, char out[SH_TIME_TEXT])
{
    if (ms < YEAR_0_MS || ms > YEAR_9999_MS) {
        snprintf(out, SH_TIME_TEXT, "invalid-time");
        return out;
    }
    int64_t frac = (ms % 1000 + 1000) % 1000;
    time_t t = (time_t)((ms - frac) / 1000);
    struct tm tm;
    char text[80];
    sh_require(gmtime_r(&t, &tm));
    snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)frac);
    snprintf(out, SH_TIME_TEXT, "%.31s", text);
    return out;
}

/* Exactly `n` digits at *p; moves *p behind them. */
static bool digits(const char **p, const char *end, int n, int *value)
{
    int v = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (*p >= end || **p < '0' || **p > '9')
            return false;
        v = v * 10 + (**p - '0');
    }
    *value = v;
    return true;
}

static bool literal(const char **p, const char *end, const char *set)
{
    if (*p >= end || !**p || !strchr(set, **p))
        return false;
    (*p)++;
    return true;
}

static bool fraction(const char **p, const char *end, int *ms)
{
    *ms = 0;
    if (*p >= end || **p != '.')
        return true;
    (*p)++;
    int scale = 100, count = 0;
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++, count++) {
        *ms += scale * (**p - '0');
        scale /= 10;
    }
    return count > 0;
}

static bool offset(const char **p, const char *end, int *minutes)
{
    *minutes = 0;
    if (literal(p, end, "Zz"))
        return true;
    if (*p >= end || (**p != '+' && **p != '-'))
        return false;
    int sign = *(*p)++ == '-' ? -1 : 1, h, m;
    if (!digits(p, end, 2, &h) || !literal(p, end, ":") || !digits(p, end, 2, &m) || h > 23 ||
        m > 59)
        return false;
    *minutes = sign * (h * 60 + m);
    return true;
}

bool sh_time_parse(const char *text, size_t len, int64_t *ms)
{
    const char *p = text, *end = text + len;
    struct tm tm = {0};
    int frac, off;
    if (!digits(&p, end, 4, &tm.tm_year) || !literal(&p, end, "-") ||
        !digits(&p, end, 2, &tm.tm_mon) || !literal(&p, end, "-") ||
        !digits(&p, end, 2, &tm.tm_mday) || !literal(&p, end, "Tt ") ||
        !digits(&p, end, 2, &tm.tm_hour) || !literal(&p, end, ":") ||
        !digits(&p, end, 2, &tm.tm_min) || !literal(&p, end, ":") ||
        !digits(&p, end, 2, &tm.tm_sec) || !fraction(&p, end, &frac) || !offset(&p, end, &off) ||
        p != end)
        return false;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 60)
        return false;
    struct tm asked = tm;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    time_t t = timegm(&tm);
    if (asked.tm_sec < 60 && tm.tm_mday != asked.tm_mday)
        return false; /* 30 February and its like roll over */
    *ms = ((int64_t)t - (int64_t)off * 60) * 1000 + frac;
    return true;
}
