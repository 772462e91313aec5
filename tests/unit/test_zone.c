/* SPDX-License-Identifier: MIT
 * test_zone.c: time zones against the C library's (moment to local time) and Python's zoneinfo
 * (local time to moment), POSIX rules by hand, files that are cut or hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/tzif.h"

#define DIR_NAME "/usr/share/zoneinfo"

static int load(void **state)
{
    (void)state;
    int64_t begin = sh_mono_us();
    size_t n = sh_zones_load(DIR_NAME);
    if (sh_mono_us() - begin > 2000000)
        fail_msg("loading took %lld us", (long long)(sh_mono_us() - begin));
    return n > 400 ? 0 : -1;
}

static void test_names(void **state)
{
    (void)state;
    const struct sh_zone *z = sh_zone_find("Europe/Amsterdam");
    assert_non_null(z);
    assert_string_equal(sh_zone_name(z), "Europe/Amsterdam");
    assert_int_equal(sh_zones_load("/nowhere"), sh_zones_load(NULL)); /* once */
    assert_non_null(sh_zone_find("UTC"));
    assert_non_null(sh_zone_find("America/Argentina/Ushuaia"));
    const char *none[] = {"",          "europe/amsterdam", "Europe",     "Europe/Amsterdam/",
                          "zone.tab",  "posixrules",       "posix/UTC",  "right/UTC",
                          "localtime", "../zoneinfo/UTC",  "Amsterdam x"};
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
        if (sh_zone_find(none[i]))
            fail_msg("\"%s\" is a zone", none[i]);
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"Europe/Amstredam", "Europe/Amsterdam"}, {"europe/amsterdam", "Europe/Amsterdam"},
        {"Amsterdam", "Europe/Amsterdam"},        {"America/New York", "America/New_York"},
        {"new york", "America/New_York"},         {"utc", "UTC"},
        {"Asia/Katmandu", "Asia/Katmandu"},       {"Lord Howe", "Australia/Lord_Howe"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *near = sh_zone_nearest(cases[i][0]);
        assert_non_null(near);
        assert_string_equal(near, cases[i][1]);
    }
    char long_name[2000];
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_null(sh_zone_nearest(long_name));
    assert_null(sh_zone_nearest(""));
    assert_null(sh_zone_nearest("Middle-earth/Hobbiton"));
}

static void test_system(void **state)
{
    (void)state;
    char *before = sh_strdup(getenv("TZ"));
    setenv("TZ", "Asia/Kathmandu", 1);
    assert_string_equal(sh_zone_system(), "Asia/Kathmandu");
    setenv("TZ", ":/usr/share/zoneinfo/Africa/Cairo", 1);
    assert_string_equal(sh_zone_system(), "Africa/Cairo");
    setenv("TZ", "Nowhere/Land", 1);
    assert_non_null(sh_zone_find(sh_zone_system()));
    unsetenv("TZ");
    assert_non_null(sh_zone_find(sh_zone_system()));
    if (before)
        setenv("TZ", before, 1);
    free(before);
}

/* --- against the C library -------------------------------------------------------------------- */

static size_t n_compared;

static void compare(const struct sh_zone *z, int64_t t)
{
    struct sh_zone_info info;
    struct sh_civil c;
    struct tm tm;
    time_t tt = (time_t)t;
    assert_non_null(localtime_r(&tt, &tm));
    sh_zone_at(z, t, &info);
    if (info.offset_s != tm.tm_gmtoff || info.dst != (tm.tm_isdst > 0) ||
        strcmp(info.abbr, tm.tm_zone) != 0)
        fail_msg("%s at %lld: %d %d %s, the C library has %ld %d %s", sh_zone_name(z), (long long)t,
                 info.offset_s, info.dst, info.abbr, tm.tm_gmtoff, tm.tm_isdst, tm.tm_zone);
    sh_civil_of(t + info.offset_s, &c);
    if (c.year != tm.tm_year + 1900 || c.month != tm.tm_mon + 1 || c.day != tm.tm_mday ||
        c.hour != tm.tm_hour || c.minute != tm.tm_min || c.second != tm.tm_sec ||
        c.weekday % 7 != tm.tm_wday || c.yearday != tm.tm_yday + 1)
        fail_msg("%s at %lld: another date", sh_zone_name(z), (long long)t);
    n_compared++;
}

/* Every change from 1850 to 2100 and the seconds beside it, and times in between. */
static void compare_zone(const char *name)
{
    const struct sh_zone *z = sh_zone_find(name);
    struct sh_zone_span span;
    setenv("TZ", name, 1);
    tzset();
    unsigned random = 1;
    for (int64_t t = -3786825600; t < 4102444800; t = span.to) {
        sh_zone_span_at(z, t, &span);
        assert_true(span.from <= t && t < span.to);
        if (span.from > -3786825600) { /* the C library sees no times before its first change */
            compare(z, span.from);
            compare(z, span.from + 1);
        }
        if (span.to == INT64_MAX)
            break;
        compare(z, span.to - 1);
        random = random * 1103515245 + 12345;
        compare(z, t + (int64_t)(random >> 8) % (span.to - t));
    }
    for (int64_t t = 0; t < 4102444800; t += 8640000 + random % 86400)
        compare(z, t);
}

static void test_every_zone(void **state)
{
    (void)state;
    char *before = sh_strdup(getenv("TZ")), line[600];
    n_compared = 0;
    size_t zones = 0;
    FILE *list = popen("cd " DIR_NAME " && find . -type f -o -type l", "r");
    assert_non_null(list);
    while (fgets(line, sizeof(line), list)) {
        line[strcspn(line, "\n")] = '\0';
        const char *name = line + 2;
        if (!sh_zone_find(name))
            continue;
        zones++;
        compare_zone(name);
    }
    pclose(list);
    assert_true(zones > 400);
    assert_true(n_compared > 100000);
    if (before)
        setenv("TZ", before, 1);
    else
        unsetenv("TZ");
    tzset();
    free(before);
}

/* --- against zoneinfo ------------------------------------------------------------------------- */

static void test_moments(void **state)
{
    (void)state;
    char cmd[600], name[100], line[300];
    size_t seen[3] = {0};
    snprintf(cmd, sizeof(cmd), "/usr/bin/python3 -B '%.*s/zone_oracle.py' 1986 2011 2026 2051",
             (int)(strrchr(__FILE__, '/') - __FILE__), __FILE__);
    FILE *f = popen(cmd, "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        long long local, at;
        int kind;
        enum sh_local_kind got;
        assert_int_equal(sscanf(line, "%99s %lld %d %lld", name, &local, &kind, &at), 4);
        const struct sh_zone *z = sh_zone_find(name);
        if (!z)
            fail_msg("%s is not there", name);
        int64_t t = sh_zone_moment(z, local, &got);
        if (t != at || (int)got != kind)
            fail_msg("%s local %lld: %lld kind %d, zoneinfo has %lld kind %d", name, local,
                     (long long)t, (int)got, at, kind);
        seen[kind]++;
    }
    assert_int_equal(pclose(f), 0);
    assert_true(seen[SH_LOCAL_PLAIN] > 10000 && seen[SH_LOCAL_MISSING] > 3000 &&
                seen[SH_LOCAL_REPEATED] > 3000);
}

/* --- the calendar ----------------------------------------------------------------------------- */

static void check_days(const char *name, const char *now, const char *today, const char *tomorrow,
                       const char *after)
{
    const struct sh_zone *z = sh_zone_find(name);
    const char *const wanted[] = {today, tomorrow, after};
    struct sh_civil c;
    assert_non_null(z);
    assert_true(sh_civil_parse(now, &c)); /* all in UTC */
    const int64_t unix_s = sh_civil_seconds(&c);
    for (int i = 0; i < 3; i++) {
        assert_true(sh_civil_parse(wanted[i], &c));
        if (sh_zone_day(z, unix_s, i) != sh_civil_seconds(&c))
            fail_msg("%s, day %d from %s does not begin at %s", name, i, now, wanted[i]);
    }
}

static void test_days(void **state)
{
    (void)state;
    check_days("UTC", "2026-02-28 23:59:59", "2026-02-28 00:00", "2026-03-01 00:00",
               "2026-03-02 00:00");
    /* the clock goes forward: 23 hours; back: 25 */
    check_days("Europe/Amsterdam", "2026-03-28 23:00", "2026-03-28 23:00", "2026-03-29 22:00",
               "2026-03-30 22:00");
    check_days("Europe/Amsterdam", "2026-03-29 21:59:59", "2026-03-28 23:00", "2026-03-29 22:00",
               "2026-03-30 22:00");
    check_days("Europe/Amsterdam", "2026-10-25 00:30", "2026-10-24 22:00", "2026-10-25 23:00",
               "2026-10-26 23:00");
    /* no midnight: the clock went from 0:00 to 1:00 */
    check_days("America/Sao_Paulo", "2018-11-03 12:00", "2018-11-03 03:00", "2018-11-04 03:00",
               "2018-11-05 02:00");
    /* two of them: from 1:00 back to 0:00 */
    check_days("America/Havana", "2025-11-02 05:30", "2025-11-02 04:00", "2025-11-03 05:00",
               "2025-11-04 05:00");
    check_days("America/Havana", "2025-11-02 04:30", "2025-11-02 04:00", "2025-11-03 05:00",
               "2025-11-04 05:00");
}

static void test_civil(void **state)
{
    (void)state;
    struct sh_civil c;
    for (int64_t day = -800000; day < 3000000; day += 7) {
        sh_civil_of(day * 86400 + 3661, &c);
        assert_int_equal(sh_civil_days(c.year, c.month, c.day), day);
        assert_int_equal(sh_civil_seconds(&c), day * 86400 + 3661);
        assert_int_equal(c.weekday, ((day % 7 + 7) % 7 + 3) % 7 + 1);
    }
    c = (struct sh_civil){.year = 2026, .month = 3, .day = 0};
    assert_int_equal(sh_civil_seconds(&c), sh_civil_days(2026, 2, 28) * 86400);
    c = (struct sh_civil){.year = 2026, .month = 14, .day = 1, .hour = -1};
    assert_int_equal(sh_civil_seconds(&c), sh_civil_days(2027, 2, 1) * 86400 - 3600);
    c = (struct sh_civil){.year = 2026, .month = -11, .day = 31};
    assert_int_equal(sh_civil_seconds(&c), sh_civil_days(2025, 1, 31) * 86400);
    c = (struct sh_civil){.year = INT64_MAX, .month = 12, .day = 31};
    (void)sh_civil_seconds(&c);
    c.year = INT64_MIN;
    (void)sh_civil_seconds(&c);
    struct sh_zone_info info;
    sh_zone_at(sh_zone_find("America/New_York"), INT64_MAX, &info);
    sh_zone_at(sh_zone_find("America/New_York"), INT64_MIN, &info);
    (void)sh_zone_moment(sh_zone_find("America/New_York"), INT64_MAX, NULL);
    (void)sh_zone_moment(sh_zone_find("America/New_York"), INT64_MIN, NULL);
}

/* --- TZ strings ------------------------------------------------------------------------------- */

static int64_t at(const char *text)
{
    int64_t ms;
    assert_true(sh_time_parse(text, strlen(text), &ms));
    return ms / 1000;
}

static void check_rule(const char *rule, const char *when, int32_t offset_s, bool dst,
                       const char *abbr)
{
    struct sh_error err = {0};
    struct sh_zone_info info;
    struct sh_zone *z = sh_tzif_rule("x", rule, &err);
    if (!z)
        fail_msg("%s", err.msg);
    sh_zone_at(z, at(when), &info);
    if (info.offset_s != offset_s || info.dst != dst || strcmp(info.abbr, abbr) != 0)
        fail_msg("%s at %s: %d %d %s", rule, when, info.offset_s, info.dst, info.abbr);
    sh_tzif_free(z);
}

static void test_rules(void **state)
{
    (void)state;
    check_rule("CET-1CEST,M3.5.0,M10.5.0/3", "2040-03-25T00:59:59Z", 3600, false, "CET");
    check_rule("CET-1CEST,M3.5.0,M10.5.0/3", "2040-03-25T01:00:00Z", 7200, true, "CEST");
    check_rule("CET-1CEST,M3.5.0,M10.5.0/3", "2040-10-28T00:59:59Z", 7200, true, "CEST");
    check_rule("CET-1CEST,M3.5.0,M10.5.0/3", "2040-10-28T01:00:00Z", 3600, false, "CET");
    check_rule("<+0530>-5:30", "2040-10-28T01:00:00Z", 19800, false, "+0530");
    check_rule("<-03>3<-02>,M3.5.0/-2,M10.5.0/-1", "2040-03-25T00:59:59Z", -10800, false, "-03");
    check_rule("<-03>3<-02>,M3.5.0/-2,M10.5.0/-1", "2040-03-25T01:00:00Z", -7200, true, "-02");
    check_rule("IST-2IDT,M3.4.4/26,M10.5.0", "2040-03-22T23:59:59Z", 7200, false, "IST");
    check_rule("IST-2IDT,M3.4.4/26,M10.5.0", "2040-03-23T00:00:00Z", 10800, true, "IDT");
    check_rule("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2040-01-01T00:00:00Z", 39600, true, "+11");
    check_rule("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "2040-07-01T00:00:00Z", 37800, false,
               "+1030");
    /* day 60 without 29 February is 1 March in every year; day 59 counted from 0 is not */
    check_rule("AAA0BBB,J60/0,J300/0", "2040-02-29T23:59:59Z", 0, false, "AAA");
    check_rule("AAA0BBB,J60/0,J300/0", "2040-03-01T00:00:00Z", 3600, true, "BBB");
    check_rule("AAA0BBB,59/0,300/0", "2040-02-29T00:00:00Z", 3600, true, "BBB");
    check_rule("AAA0BBB,59/0,300/0", "2041-02-28T23:59:59Z", 0, false, "AAA");
    /* RFC 8536, 3.3.1: daylight saving all year round */
    check_rule("XXX3EDT4,0/0,J365/23", "2040-01-01T03:00:00Z", -14400, true, "EDT");
    check_rule("XXX3EDT4,0/0,J365/23", "2040-12-31T23:59:59Z", -14400, true, "EDT");
    static const char *const bad[] = {"",
                                      "C",
                                      "CET",
                                      "CET-25",
                                      "CET-1x",
                                      "<+05-5",
                                      "<>0",
                                      "CET-1CEST",
                                      "CET-1CEST,M3.5.0",
                                      "CET-1CEST,M13.5.0,M10.5.0",
                                      "CET-1CEST,M3.6.0,M10.5.0",
                                      "CET-1CEST,M3.5.7,M10.5.0",
                                      "CET-1CEST,J0,J365",
                                      "CET-1CEST,366,1",
                                      "CET-1CEST,M3.5.0/168,M10.5.0",
                                      "CET-1CEST,M3.5.0,M10.5.0 ",
                                      "CET-1:60",
                                      "CETCETCETCETCETCET-1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (sh_tzif_rule("x", bad[i], NULL))
            fail_msg("\"%s\" was read", bad[i]);
}

/* --- files ------------------------------------------------------------------------------------ */

static size_t read_file(const char *name, uint8_t *out)
{
    char path[200];
    snprintf(path, sizeof(path), DIR_NAME "/%s", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(out, 1, SH_TZIF_MAX_BYTES, f);
    fclose(f);
    return n;
}

/* In memory of exactly that size, so that a sanitizer sees a read behind it. */
static struct sh_zone *parse(const uint8_t *p, size_t n, struct sh_error *err)
{
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, p, n);
    struct sh_zone *z = sh_tzif_parse("x", copy, n, err);
    free(copy);
    return z;
}

static void test_cut(void **state)
{
    (void)state;
    static uint8_t bytes[SH_TZIF_MAX_BYTES];
    size_t n = read_file("Europe/Amsterdam", bytes);
    struct sh_error err;
    struct sh_zone *z = parse(bytes, n, &err);
    assert_non_null(z);
    sh_tzif_free(z);
    for (size_t cut = 0; cut < n; cut++)
        if (parse(bytes, cut, &err))
            fail_msg("cut at %zu of %zu it still is a zone", cut, n);
    assert_non_null(strstr(err.msg, "a bad footer"));
}

static void test_flipped(void **state)
{
    (void)state;
    static uint8_t bytes[SH_TZIF_MAX_BYTES];
    size_t n = read_file("Australia/Lord_Howe", bytes), taken = 0;
    for (size_t i = 0; i < n; i++)
        for (int change = 0; change < 3; change++) {
            uint8_t was = bytes[i];
            bytes[i] = change == 0 ? 0xff : change == 1 ? 0 : (uint8_t)(was ^ 0x80);
            struct sh_zone *z = parse(bytes, n, NULL);
            bytes[i] = was;
            if (!z)
                continue;
            taken++;
            struct sh_zone_info info;
            for (int64_t t = -4000000000; t < 6000000000; t += 500000000)
                sh_zone_at(z, sh_zone_moment(z, t, NULL), &info);
            sh_tzif_free(z);
        }
    assert_true(taken > 0 && taken < 3 * n);
}

/* Version 1: 32-bit times, no footer. Taken from the first block of a newer file. */
static void test_version_1(void **state)
{
    (void)state;
    static uint8_t bytes[SH_TZIF_MAX_BYTES];
    size_t n = read_file("Europe/Amsterdam", bytes);
    struct sh_zone_info info;
    bytes[4] = '\0';
    struct sh_zone *z = parse(bytes, n, NULL);
    assert_non_null(z);
    sh_zone_at(z, at("2026-07-01T00:00:00Z"), &info);
    bool fat = info.offset_s == 7200; /* a slim file's first block is empty */
    assert_true(fat || info.offset_s == 0 || info.offset_s == 1050 || info.offset_s == 1172);
    if (fat) {
        sh_zone_at(z, at("2026-12-01T00:00:00Z"), &info);
        assert_int_equal(info.offset_s, 3600);
        sh_zone_at(z, at("2051-07-01T00:00:00Z"), &info); /* nothing says so any more */
        assert_int_equal(info.offset_s, 3600);
    }
    sh_tzif_free(z);
}

static void test_leap_seconds(void **state)
{
    (void)state;
    static uint8_t bytes[SH_TZIF_MAX_BYTES];
    struct sh_error err;
    if (access(DIR_NAME "/right/UTC", R_OK) != 0)
        skip();
    size_t n = read_file("right/UTC", bytes);
    assert_null(parse(bytes, n, &err));
    assert_non_null(strstr(err.msg, "leap seconds"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_system),       cmocka_unit_test(test_every_zone),
        cmocka_unit_test(test_moments),      cmocka_unit_test(test_civil),
        cmocka_unit_test(test_rules),        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_flipped),      cmocka_unit_test(test_version_1),
        cmocka_unit_test(test_leap_seconds), cmocka_unit_test(test_days)};
    return cmocka_run_group_tests(tests, load, NULL);
}
