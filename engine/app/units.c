/* SPDX-License-Identifier: MIT
 * units.c: sizes and durations as people write them. */
#include "app/units.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    double factor;
};

static const struct unit durations[] = {{"ms", 1},           {"s", 1000},     {"m", 60000},
                                        {"h", 3600000},      {"d", 86400000}, {"", 1000},
                                        {"y", 365 * 86400e3}};
static const struct unit sizes[] = {
    {"", 1},     {"B", 1},    {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0},
    {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6},     {"GB", 1e9}};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Digits, at most one point, blanks, a unit; nothing else (strtod alone takes "1e3" and "0x10"). */
static bool parse(const char *text, const struct unit *units, size_t n, double max, int64_t *out)
{
    size_t number = strspn(text, "0123456789.");
    if (number == 0 || number > 20 || text[0] == '.')
        return false;
    char *end;
    double value = strtod(text, &end);
    if (end != text + number)
        return false;
    const char *unit = text + number + strspn(text + number, " ");
    for (size_t i = 0; i < n; i++) {
        if (strcmp(unit, units[i].name) != 0)
            continue;
        value = round(value * units[i].factor);
        *out = value <= max ? (int64_t)value : 0;
        return value <= max;
    }
    return false;
}

bool sh_parse_duration(const char *text, int64_t *ms)
{
    return parse(text, durations, COUNT(durations), 10000 * 86400e3, ms);
}

bool sh_parse_size(const char *text, int64_t *bytes)
{
    return parse(text, sizes, COUNT(sizes), 9e15, bytes);
}

static const char *largest(int64_t n, const struct unit *units, size_t count, const char *gap,
                           char out[SH_UNIT_TEXT])
{
    size_t best = 0;
    for (size_t i = 0; i < count; i++)
        if (n != 0 && n % (int64_t)units[i].factor == 0)
            best = i;
    snprintf(out, SH_UNIT_TEXT, "%" PRId64 "%s%s", n / (int64_t)units[best].factor, gap,
             units[best].name);
    return out;
}

const char *sh_duration_text(int64_t ms, char out[SH_UNIT_TEXT])
{
    return largest(ms, durations, COUNT(durations) - 2, "", out);
}

const char *sh_size_text(int64_t bytes, char out[SH_UNIT_TEXT])
{
    return largest(bytes, sizes + 1, 4, " ", out);
}
