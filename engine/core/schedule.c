/* SPDX-License-Identifier: MIT
 * schedule.c: "10 minutes", "18:00 mon-fri" and cron's five fields, and when they come next. */
#include "core/schedule.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TEXT     200
#define MAX_WORDS    40
#define MIN_EVERY_MS 10000LL
#define MAX_EVERY_MS (366LL * 86400 * 1000)
#define MAX_DAYS     (8 * 366)
#define MAX_AFTER_MS 253402300799000LL /* the year 9999 */
#define ALL_DAYS     0xfeU             /* weekdays 1..7 */
#define EXPECTED                                                                                   \
    "expected \"10 minutes\", \"18:00 mon-fri\", or cron's five fields such as \"*/10 8-18 * * "   \
    "mon-fri\""

struct text { /* a schedule while it is read: in small letters, cut into words */
    char copy[MAX_TEXT + 1];
    char *words[MAX_WORDS];
    size_t n;
    struct sh_error *err;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool cut(struct text *t, const char *text)
{
    size_t n = strlen(text);
    if (n > MAX_TEXT)
        return sh_error_set(t->err, SH_EINVAL, "longer than %d bytes; %s", MAX_TEXT, EXPECTED);
    for (size_t i = 0; i <= n; i++)
        t->copy[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
    char *save = NULL;
    for (char *w = strtok_r(t->copy, " \t\r\n", &save); w; w = strtok_r(NULL, " \t\r\n", &save)) {
        if (t->n == MAX_WORDS)
            return sh_error_set(t->err, SH_EINVAL, "more than %d words; %s", MAX_WORDS, EXPECTED);
        t->words[t->n++] = w;
    }
    if (t->n == 0)
        return sh_error_set(t->err, SH_EINVAL, "it is empty; %s", EXPECTED);
    return true;
}

/* A whole number of at most six digits at *p, moved over; -1: none. */
static int number(const char **p)
{
    int n = 0;
    const char *s = *p;
    for (; is_digit(*s) && s - *p < 6; s++)
        n = 10 * n + (*s - '0');
    if (s == *p || is_digit(*s))
        return -1;
    *p = s;
    return n;
}

/* --- names ------------------------------------------------------------------------------------ */

static const char *const day_names[] = {"monday", "tuesday",  "wednesday", "thursday",
                                        "friday", "saturday", "sunday",    NULL};
static const char *const month_names[] = {"january",  "february", "march",  "april",     "may",
                                          "june",     "july",     "august", "september", "october",
                                          "november", "december", NULL};

/* The place (from 1) of a name that p begins with, of three letters or in full; 0: none. */
static int name_at(const char **p, const char *const *names)
{
    size_t n = strspn(*p, "abcdefghijklmnopqrstuvwxyz");
    for (int i = 0; names[i]; i++)
        if (n >= 3 && strncmp(*p, names[i], n) == 0 && (n == 3 || n == strlen(names[i]))) {
            *p += n;
            return i + 1;
        }
    return 0;
}

/* --- intervals -------------------------------------------------------------------------------- */

static double unit_seconds(const char *p, size_t n)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"s", 1},         {"sec", 1},      {"second", 1},   {"seconds", 1},
                 {"m", 60},        {"min", 60},     {"minute", 60},  {"minutes", 60},
                 {"h", 3600},      {"hour", 3600},  {"hours", 3600}, {"d", 86400},
                 {"day", 86400},   {"days", 86400}, {"w", 604800},   {"week", 604800},
                 {"weeks", 604800}};
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
        if (strlen(units[i].name) == n && memcmp(units[i].name, p, n) == 0)
            return units[i].seconds;
    return 0;
}

/* One "10", "minutes" or "1h30m"; *amount is a number that still waits for its unit, 0 if none. */
static bool interval_word(const char *p, double *amount, double *seconds)
{
    while (*p) {
        if (is_digit(*p)) {
            char *end;
            size_t n = strspn(p, "0123456789.");
            if (*amount > 0 || n > 12)
                return false;
            *amount = strtod(p, &end);
            if (end != p + n || *amount <= 0)
                return false;
            p = end;
            continue;
        }
        size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyz");
        double unit = unit_seconds(p, n);
        if (unit == 0 || (*amount == 0 && (*seconds > 0 || n < 3)))
            return false;
        *seconds += (*amount > 0 ? *amount : 1) * unit;
        *amount = 0;
        p += n;
    }
    return true;
}

static bool parse_interval(const struct text *t, size_t from, struct sh_schedule *out)
{
    double amount = 0, seconds = 0;
    bool ok = from < t->n;
    for (size_t i = from; ok && i < t->n; i++)
        ok = interval_word(t->words[i], &amount, &seconds);
    if (!ok || amount > 0)
        return sh_error_set(t->err, SH_EINVAL, "not understood; %s", EXPECTED);
    if (seconds * 1000 < (double)MIN_EVERY_MS || seconds * 1000 > (double)MAX_EVERY_MS)
        return sh_error_set(t->err, SH_EINVAL,
                            "every %.14g seconds: expected from 10 seconds to 366 days", seconds);
    out->every_ms = (int64_t)(seconds * 1000 + 0.5);
    return true;
}

/* --- times of the day ------------------------------------------------------------------------- */

static bool add_time(struct sh_schedule *s, int minute)
{
    int i = s->n_times;
    for (int k = 0; k < s->n_times; k++)
        if (s->times[k] == minute)
            return true;
    if (i == SH_SCHEDULE_TIMES)
        return false;
    for (; i > 0 && s->times[i - 1] > minute; i--)
        s->times[i] = s->times[i - 1];
    s->times[i] = minute;
    s->n_times++;
    return true;
}

/* "9:00,13:30" */
static bool parse_times(const struct text *t, const char *word, struct sh_schedule *out)
{
    const char *p = word;
    for (;; p++) {
        const char *start = p;
        int hour = number(&p), minute = -1;
        bool shaped = hour >= 0 && p - start <= 2 && *p == ':';
        if (shaped) {
            const char *from = ++p;
            minute = number(&p);
            shaped = minute >= 0 && p - from == 2 && (!*p || *p == ',');
        }
        if (!shaped || hour > 23 || minute > 59)
            return sh_error_set(t->err, SH_EINVAL,
                                "\"%s\" is no time of the day: expected hours and minutes from "
                                "0:00 to 23:59, such as \"18:00\" or \"9:00,13:30\"",
                                start);
        if (!add_time(out, hour * 60 + minute))
            return sh_error_set(t->err, SH_EINVAL, "more than %d times", SH_SCHEDULE_TIMES);
        if (!*p)
            return true;
    }
}

/* "mon-fri", "sat,sun" */
static bool parse_days(const struct text *t, const char *word, struct sh_schedule *out)
{
    const char *p = word;
    for (;; p++) {
        int first = name_at(&p, day_names), last = first;
        if (first && *p == '-') {
            p++;
            last = name_at(&p, day_names);
        }
        if (!first || !last || (*p && *p != ','))
            return sh_error_set(t->err, SH_EINVAL,
                                "\"%s\" is no day of the week: expected mon, tue, wed, thu, fri, "
                                "sat, sun, or a range such as mon-fri",
                                word);
        for (int d = first;; d = d % 7 + 1) {
            out->weekdays |= 1U << d;
            if (d == last)
                break;
        }
        if (!*p)
            return true;
    }
}

static bool parse_clock(struct text *t, size_t from, struct sh_schedule *out)
{
    size_t i = from;
    for (; i < t->n && strchr(t->words[i], ':'); i++) {
        size_t n = strlen(t->words[i]);
        if (n > 1 && i + 1 < t->n && t->words[i][n - 1] == ',')
            t->words[i][n - 1] = '\0'; /* "9:00, 13:30" */
        if (!parse_times(t, t->words[i], out))
            return false;
    }
    if (i == t->n)
        out->weekdays = ALL_DAYS;
    for (; i < t->n; i++) {
        size_t n = strlen(t->words[i]);
        if (n > 1 && i + 1 < t->n && t->words[i][n - 1] == ',')
            t->words[i][n - 1] = '\0';
        if (!parse_days(t, t->words[i], out))
            return false;
    }
    out->days = 0xfffffffeU;
    out->months = 0x1ffeU;
    return true;
}

/* --- cron ------------------------------------------------------------------------------------- */

struct field {
    const char *name;
    int min, max;
    const char *const *names; /* NULL: none */
    const char *example;
};

static const struct field fields[5] = {
    {"minute", 0, 59, NULL, "0, 0,30 or */10"},
    {"hour", 0, 23, NULL, "9, 8-18 or */2"},
    {"day of the month", 1, 31, NULL, "1, 1-7 or *"},
    {"month", 1, 12, month_names, "1, jan or 6-8"},
    {"day of the week", 0, 7, day_names, "mon-fri, 1-5, sun or *"},
};

static bool bad_field(const struct text *t, const struct field *f, const char *word)
{
    return sh_error_set(t->err, SH_EINVAL, "\"%s\" in the field %s: expected %d to %d, such as %s",
                        word, f->name, f->min, f->max, f->example);
}

/* A number or a name of the field; -1: neither. */
static int value_at(const char **p, const struct field *f)
{
    int v = f->names && !is_digit(**p) ? name_at(p, f->names) : -1;
    if (v > 0)
        return v;
    v = is_digit(**p) ? number(p) : -1;
    return v >= f->min && v <= f->max ? v : -1;
}

/* "*", "5", "1-5", with "/2" behind a star or a range. Weekdays run from 0 to 7 here. */
static bool parse_item(const char **p, const struct field *f, uint64_t *bits)
{
    bool weekday = f->max == 7, range = **p == '*';
    int first = f->min, last = weekday ? 6 : f->max, step = 1;
    if (range) {
        ++*p;
    } else {
        first = last = value_at(p, f);
        if (first >= 0 && **p == '-') {
            ++*p;
            range = true;
            last = value_at(p, f);
        }
        if (first < 0 || last < 0)
            return false;
        if (weekday && first == 7 && last != 7)
            first = 0; /* "sun-tue" */
        if (first > last && weekday)
            last += 7; /* "fri-mon" */
    }
    if (**p == '/') {
        ++*p;
        step = number(p);
        if (!range || step < 1)
            return false;
    }
    for (int v = first; v <= last; v += step)
        *bits |= (uint64_t)1 << (weekday ? (v + 6) % 7 + 1 : v);
    return first <= last;
}

static bool parse_field(const struct text *t, const char *word, const struct field *f,
                        uint64_t *bits)
{
    const char *p = word;
    for (*bits = 0;; p++) {
        if (!parse_item(&p, f, bits) || (*p && *p != ','))
            return bad_field(t, f, word);
        if (!*p)
            return true;
    }
}

/* Is there a day that these days and months name? */
static bool date_exists(const struct sh_schedule *s)
{
    static const int lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (s->any_day)
        return true;
    for (int m = 1; m <= 12; m++)
        if ((s->months >> m & 1) && (s->days & (uint32_t)((2ULL << lengths[m - 1]) - 2)))
            return true;
    return false;
}

static bool parse_cron(const struct text *t, const char *const *words, struct sh_schedule *out)
{
    uint64_t bits[5];
    for (size_t i = 0; i < 5; i++)
        if (!parse_field(t, words[i], &fields[i], &bits[i]))
            return false;
    out->minutes = bits[0];
    out->hours = (uint32_t)bits[1];
    out->days = (uint32_t)bits[2];
    out->months = (uint32_t)bits[3];
    out->weekdays = (uint32_t)bits[4];
    out->any_day = words[2][0] != '*' && words[4][0] != '*';
    if (!date_exists(out))
        return sh_error_set(t->err, SH_EINVAL, "day %s of month %s never comes", words[2],
                            words[3]);
    return true;
}

static bool parse_nickname(const struct text *t, struct sh_schedule *out)
{
    static const struct {
        const char *name, *words[5];
    } known[] = {{"@hourly", {"0", "*", "*", "*", "*"}},   {"@daily", {"0", "0", "*", "*", "*"}},
                 {"@midnight", {"0", "0", "*", "*", "*"}}, {"@weekly", {"0", "0", "*", "*", "0"}},
                 {"@monthly", {"0", "0", "1", "*", "*"}},  {"@yearly", {"0", "0", "1", "1", "*"}},
                 {"@annually", {"0", "0", "1", "1", "*"}}};
    for (size_t i = 0; t->n == 1 && i < sizeof(known) / sizeof(*known); i++)
        if (strcmp(t->words[0], known[i].name) == 0)
            return parse_cron(t, known[i].words, out);
    return sh_error_set(t->err, SH_EINVAL,
                        "\"%s\" is not known: expected @hourly, @daily, @weekly, @monthly or "
                        "@yearly",
                        t->words[0]);
}

bool sh_schedule_parse(const char *text, struct sh_schedule *out, struct sh_error *err)
{
    struct text t = {.err = err};
    *out = (struct sh_schedule){.every_ms = 0};
    if (!cut(&t, text) || t.n == 0)
        return false;
    size_t from = strcmp(t.words[0], "every") == 0;
    const char *first = from < t.n ? t.words[from] : "";
    if (first[0] == '@')
        return parse_nickname(&t, out);
    if (strchr(first, ':'))
        return parse_clock(&t, from, out);
    bool cron = first[0] == '*' || (is_digit(first[0]) && t.n - from > 1 &&
                                    !strpbrk(first, "abcdefghijklmnopqrstuvwxyz") &&
                                    strpbrk(t.words[from + 1], "*0123456789"));
    if (!cron)
        return parse_interval(&t, from, out);
    if (t.n - from != 5)
        return sh_error_set(err, SH_EINVAL,
                            "cron has five fields (minute, hour, day, month, weekday), got %zu",
                            t.n - from);
    return parse_cron(&t, (const char *const *)&t.words[from], out);
}

/* --- when it comes ---------------------------------------------------------------------------- */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static bool day_matches(const struct sh_schedule *s, const struct sh_civil *c)
{
    if (!(s->months >> c->month & 1))
        return false;
    bool day = s->days >> c->day & 1, weekday = s->weekdays >> c->weekday & 1;
    return s->any_day ? day || weekday : day && weekday;
}

/* The first minute of the day at or after `from` that the schedule names; -1: none. */
static int next_minute(const struct sh_schedule *s, int from)
{
    for (int i = 0; i < s->n_times; i++)
        if (s->times[i] >= from)
            return s->times[i];
    if (s->n_times > 0)
        return -1;
    for (int hour = from / 60, minute = from % 60; hour < 24; hour++, minute = 0) {
        uint64_t left = s->hours >> hour & 1 ? s->minutes >> minute : 0;
        if (left)
            return hour * 60 + minute + __builtin_ctzll(left);
    }
    return -1;
}

static int64_t next_interval(int64_t every_ms, int64_t anchor_ms, int64_t after_ms)
{
    int64_t since;
    if (__builtin_sub_overflow(after_ms, anchor_ms, &since) || after_ms > INT64_MAX - every_ms)
        return 0;
    return after_ms - (since - floor_div(since, every_ms) * every_ms) + every_ms;
}

int64_t sh_schedule_next(const struct sh_schedule *s, const struct sh_zone *z, int64_t anchor_ms,
                         int64_t after_ms)
{
    struct sh_zone_info info;
    struct sh_civil c;
    if (s->every_ms > 0)
        return next_interval(s->every_ms, anchor_ms, after_ms);
    if (after_ms >= MAX_AFTER_MS || after_ms <= -MAX_AFTER_MS)
        return 0;
    /* The clock stands at or after each local time that has come, so the next one lies ahead of
     * it; the only exception are those it shows a second time, whose moments have passed. */
    int64_t after_s = floor_div(after_ms, 1000);
    sh_zone_at(z, after_s, &info);
    int64_t minute = floor_div(after_s + info.offset_s, 60) + 1;
    int64_t today = floor_div(minute, 1440);
    int from = (int)(minute - today * 1440);
    for (int64_t day = today; day <= today + MAX_DAYS; day++, from = 0) {
        sh_civil_of(day * 86400, &c);
        if (!day_matches(s, &c))
            continue;
        for (int m = next_minute(s, from); m >= 0; m = next_minute(s, m + 1)) {
            int64_t at = sh_zone_moment(z, day * 86400 + (int64_t)m * 60, NULL) * 1000;
            if (at > after_ms)
                return at;
        }
    }
    return 0;
}
