/* SPDX-License-Identifier: MIT
 * tzif.c: TZif files (RFC 8536) and the POSIX TZ strings in their footers.
 *
 * A zone keeps the bytes of its file as they are: every number in them is checked once, and read
 * where it lies when it is needed. */
#include "base/tzif.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 44
#define TYPE_BYTES   6
#define MAX_OFFSET_S (26 * 3600) /* RFC 8536, 3.2: -24:59:59 .. 25:59:59 */
#define MAX_FOOTER   255
#define MAX_TIME_S   ((int64_t)1 << 55)

enum rule_kind { RULE_WEEKDAY, RULE_JULIAN, RULE_DAY };

struct rule { /* when a change comes each year */
    enum rule_kind kind;
    int month, week, day; /* weekday: Mm.w.d; the others: day alone */
    int32_t time_s;       /* after 00:00, by the clock that ends */
};

struct footer {
    struct sh_zone_info std, dst;
    bool has_dst;
    struct rule start, end; /* of daylight saving */
};

struct sh_zone {
    char *name;
    uint8_t *data; /* times, then their types, the types, the abbreviations */
    size_t n_times, n_types, n_chars, time_bytes;
    size_t before; /* the type before the first time */
    bool has_footer;
    struct footer footer;
};

/* --- the calendar ----------------------------------------------------------------------------- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int64_t sh_civil_days(int64_t year, int month, int64_t day)
{
    /* years that begin in March: the leap day is their last */
    int64_t y = year - (month <= 2);
    int64_t century4 = floor_div(y, 400), in_4c = y - 400 * century4;
    int64_t in_year = (153 * (month + (month <= 2 ? 9 : -3)) + 2) / 5;
    int64_t days = 365 * in_4c + in_4c / 4 - in_4c / 100 + in_year + day - 1;
    return century4 * 146097 + days - 719468;
}

static bool leap_year(int64_t y)
{
    return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
}

/* --- the TZ string ---------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* "CET" or "<+0530>" */
static bool read_abbr(const char **p, char out[16])
{
    bool quoted = **p == '<';
    const char *s = *p + quoted, *e = s;
    while (is_alpha(*e) || (quoted && (is_digit(*e) || *e == '+' || *e == '-')))
        e++;
    size_t n = (size_t)(e - s);
    if (n < 3 || n > 15 || (quoted && *e != '>'))
        return false;
    memcpy(out, s, n);
    out[n] = '\0';
    *p = e + quoted;
    return true;
}

static bool read_number(const char **p, int min, int max, int *out)
{
    int n = 0;
    const char *s = *p;
    for (; is_digit(*s) && s - *p < 3; s++)
        n = 10 * n + (*s - '0');
    if (s == *p || is_digit(*s) || n < min || n > max)
        return false;
    *p = s;
    *out = n;
    return true;
}

/* [+-]h[:mm[:ss]] */
static bool read_hms(const char **p, int max_hours, int32_t *out)
{
    int h, m = 0, s = 0;
    bool negative = **p == '-';
    *p += negative || **p == '+';
    if (!read_number(p, 0, max_hours, &h))
        return false;
    if (**p == ':') {
        ++*p;
        if (!read_number(p, 0, 59, &m))
            return false;
        if (**p == ':') {
            ++*p;
            if (!read_number(p, 0, 59, &s))
                return false;
        }
    }
    *out = h * 3600 + m * 60 + s;
    if (negative)
        *out = -*out;
    return true;
}

static bool read_char(const char **p, char c)
{
    if (**p != c)
        return false;
    ++*p;
    return true;
}

/* ",M3.5.0/2" */
static bool read_rule(const char **p, struct rule *r)
{
    bool ok;
    if (!read_char(p, ','))
        return false;
    if (read_char(p, 'M')) {
        r->kind = RULE_WEEKDAY;
        ok = read_number(p, 1, 12, &r->month) && read_char(p, '.') &&
             read_number(p, 1, 5, &r->week) && read_char(p, '.') && read_number(p, 0, 6, &r->day);
    } else if (read_char(p, 'J')) {
        r->kind = RULE_JULIAN;
        ok = read_number(p, 1, 365, &r->day);
    } else {
        r->kind = RULE_DAY;
        ok = read_number(p, 0, 365, &r->day);
    }
    r->time_s = 2 * 3600;
    return ok && (!read_char(p, '/') || read_hms(p, 167, &r->time_s));
}

static bool read_footer(const char *p, struct footer *f)
{
    int32_t west;
    *f = (struct footer){.has_dst = false};
    if (!read_abbr(&p, f->std.abbr) || !read_hms(&p, 24, &west))
        return false;
    f->std.offset_s = -west;
    if (!*p)
        return true;
    f->has_dst = f->dst.dst = true;
    f->dst.offset_s = f->std.offset_s + 3600;
    if (!read_abbr(&p, f->dst.abbr))
        return false;
    if (*p != ',') {
        if (!read_hms(&p, 24, &west))
            return false;
        f->dst.offset_s = -west;
    }
    return read_rule(&p, &f->start) && read_rule(&p, &f->end) && !*p;
}

/* Unix seconds of a change in a year; offset_s is that of the clock that ends. */
static int64_t change_time(const struct rule *r, int64_t year, int32_t offset_s)
{
    int64_t day;
    if (r->kind == RULE_WEEKDAY) {
        int64_t first = sh_civil_days(year, r->month, 1);
        int64_t next =
            r->month == 12 ? sh_civil_days(year + 1, 1, 1) : sh_civil_days(year, r->month + 1, 1);
        int64_t weekday = first + 4 - 7 * floor_div(first + 4, 7); /* 1970-01-01: a Thursday */
        day = first + (r->day - weekday + 7) % 7 + 7 * (r->week - 1);
        if (day >= next) /* week 5 is the last there is */
            day -= 7;
    } else if (r->kind == RULE_JULIAN) { /* 29 February is not counted */
        day = sh_civil_days(year, 1, r->day) + (leap_year(year) && r->day >= 60);
    } else {
        day = sh_civil_days(year, 1, 1 + r->day);
    }
    return day * 86400 + r->time_s - offset_s;
}

static void footer_span(const struct footer *f, int64_t t, struct sh_zone_span *out)
{
    *out = (struct sh_zone_span){INT64_MIN, INT64_MAX, f->std};
    if (!f->has_dst)
        return;
    /* A change may lie a week outside its year. Of two at one time the later year's holds, which
     * is what makes daylight saving all year round: it ends and begins at once. */
    int64_t year = 1970 + floor_div(t, 31556952);
    for (int64_t y = year - 2; y <= year + 2; y++)
        for (int which = 0; which < 2; which++) {
            int64_t at = which == 0 ? change_time(&f->start, y, f->std.offset_s)
                                    : change_time(&f->end, y, f->dst.offset_s);
            if (at <= t && at >= out->from) {
                out->from = at;
                out->info = which == 0 ? f->dst : f->std;
            } else if (at > t && at < out->to) {
                out->to = at;
            }
        }
}

/* --- the file --------------------------------------------------------------------------------- */

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const uint8_t *p)
{
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

static int64_t time_of(const struct sh_zone *z, size_t i)
{
    const uint8_t *p = z->data + i * z->time_bytes;
    return z->time_bytes == 8 ? be64(p) : (int32_t)be32(p);
}

static const uint8_t *types(const struct sh_zone *z)
{
    return z->data + z->n_times * (z->time_bytes + 1);
}

static size_t type_of(const struct sh_zone *z, size_t i)
{
    return z->data[z->n_times * z->time_bytes + i];
}

static void type_info(const struct sh_zone *z, size_t type, struct sh_zone_info *out)
{
    const uint8_t *p = types(z) + type * TYPE_BYTES;
    const char *abbr = (const char *)types(z) + z->n_types * TYPE_BYTES + p[5];
    out->offset_s = (int32_t)be32(p);
    out->dst = p[4] == 1;
    size_t n = strnlen(abbr, sizeof(out->abbr) - 1);
    memcpy(out->abbr, abbr, n);
    out->abbr[n] = '\0';
}

struct header {
    char version;
    size_t isut, isstd, leap, time, type, chars;
};

static bool read_header(const uint8_t *p, size_t n, struct header *h)
{
    if (n < HEADER_BYTES || memcmp(p, "TZif", 4) != 0)
        return false;
    *h = (struct header){(char)p[4],   be32(p + 20), be32(p + 24), be32(p + 28),
                         be32(p + 32), be32(p + 36), be32(p + 40)};
    return true;
}

/* Bytes of the data behind a header; each count is below 2^32, so that nothing wraps. */
static size_t data_bytes(const struct header *h, size_t time_bytes)
{
    return h->time * (time_bytes + 1) + h->type * TYPE_BYTES + h->chars +
           h->leap * (time_bytes + 4) + h->isstd + h->isut;
}

static bool check_types(const struct sh_zone *z)
{
    const uint8_t *p = types(z);
    for (size_t i = 0; i < z->n_types; i++, p += TYPE_BYTES) {
        int32_t offset = (int32_t)be32(p);
        if (offset <= -MAX_OFFSET_S || offset >= MAX_OFFSET_S || p[4] > 1 || p[5] >= z->n_chars)
            return false;
    }
    return types(z)[z->n_types * TYPE_BYTES + z->n_chars - 1] == '\0';
}

static bool check_times(const struct sh_zone *z)
{
    for (size_t i = 0; i < z->n_times; i++)
        if (type_of(z, i) >= z->n_types || (i > 0 && time_of(z, i) <= time_of(z, i - 1)))
            return false;
    return true;
}

static size_t first_standard(const struct sh_zone *z)
{
    for (size_t i = 0; i < z->n_types; i++)
        if (types(z)[i * TYPE_BYTES + 4] == 0)
            return i;
    return 0;
}

/* "\nTZ string\n" behind the 64-bit data; an empty one says nothing. */
static bool take_footer(struct sh_zone *z, const uint8_t *p, size_t n)
{
    char text[MAX_FOOTER + 1];
    const uint8_t *end = n > 1 && p[0] == '\n' ? memchr(p + 1, '\n', n - 1) : NULL;
    size_t len = end ? (size_t)(end - p) - 1 : 0;
    if (!end || len > MAX_FOOTER || memchr(p + 1, '\0', len))
        return false;
    memcpy(text, p + 1, len);
    text[len] = '\0';
    z->has_footer = len > 0;
    return len == 0 || read_footer(text, &z->footer);
}

/* The data that counts: the second block of versions 2 and up, the only one of version 1. */
static const char *take_data(struct sh_zone *z, const uint8_t *p, size_t n)
{
    struct header h;
    z->time_bytes = 4;
    if (!read_header(p, n, &h))
        return "no TZif header";
    bool newer = h.version >= '2';
    if (newer) {
        size_t skip = HEADER_BYTES + data_bytes(&h, 4);
        z->time_bytes = 8;
        if (skip > n || !read_header(p + skip, n - skip, &h))
            return "no second header";
        p += skip;
        n -= skip;
    }
    size_t all = HEADER_BYTES + data_bytes(&h, z->time_bytes);
    if (all > n)
        return "cut short";
    if (h.leap > 0)
        return "it counts leap seconds";
    if (h.type == 0 || h.type > 256 || h.chars == 0)
        return "no local time types";
    z->n_times = h.time;
    z->n_types = h.type;
    z->n_chars = h.chars;
    z->data = (uint8_t *)sh_memdup(p + HEADER_BYTES,
                                   h.time * (z->time_bytes + 1) + h.type * TYPE_BYTES + h.chars);
    if (!check_types(z))
        return "a bad local time type";
    if (!check_times(z))
        return "times out of order or of no type";
    z->before = first_standard(z);
    return newer && !take_footer(z, p + all, n - all) ? "a bad footer" : NULL;
}

struct sh_zone *sh_tzif_parse(const char *name, const void *bytes, size_t n, struct sh_error *err)
{
    struct sh_zone *z = sh_alloc(1, sizeof(*z));
    const char *why = n > SH_TZIF_MAX_BYTES ? "too long" : take_data(z, bytes, n);
    if (why) {
        sh_error_set(err, SH_EINVAL, "%.100s: no time zone in TZif form: %s", name, why);
        sh_tzif_free(z);
        return NULL;
    }
    z->name = sh_strdup(name);
    return z;
}

struct sh_zone *sh_tzif_rule(const char *name, const char *text, struct sh_error *err)
{
    struct sh_zone *z = sh_alloc(1, sizeof(*z));
    z->has_footer = read_footer(text, &z->footer);
    if (!z->has_footer) {
        sh_error_set(err, SH_EINVAL, "%.100s: no TZ string: %.100s", name, text);
        sh_tzif_free(z);
        return NULL;
    }
    z->name = sh_strdup(name);
    return z;
}

void sh_tzif_free(struct sh_zone *z)
{
    if (!z)
        return;
    free(z->name);
    free(z->data);
    free(z);
}

const char *sh_zone_name(const struct sh_zone *z)
{
    return z->name;
}

/* How many of the zone's times are at or before t. */
static size_t times_until(const struct sh_zone *z, int64_t t)
{
    size_t low = 0, high = z->n_times;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (time_of(z, mid) <= t)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void sh_zone_span_at(const struct sh_zone *z, int64_t t, struct sh_zone_span *out)
{
    t = t > MAX_TIME_S ? MAX_TIME_S : t < -MAX_TIME_S ? -MAX_TIME_S : t;
    size_t n = times_until(z, t);
    int64_t from = n > 0 ? time_of(z, n - 1) : INT64_MIN;
    if (n == z->n_times && z->has_footer) {
        footer_span(&z->footer, t, out);
        if (out->from < from)
            out->from = from;
        return;
    }
    out->from = from;
    out->to = n < z->n_times ? time_of(z, n) : INT64_MAX;
    type_info(z, n > 0 ? type_of(z, n - 1) : z->before, &out->info);
}
