/* SPDX-License-Identifier: MIT
 * fuzz_zone.c: any bytes as a TZif file, and the text behind "S" as a schedule in it: nothing
 * crashes, stretches of time join, a moment found for a local time reads so on the clock, and a
 * schedule goes forward. */
#include "base/tzif.h"
#include "core/schedule.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SPANS 400

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_moment(const struct sh_zone *z, int64_t local)
{
    struct sh_zone_info info, before;
    enum sh_local_kind kind;
    int64_t t = sh_zone_moment(z, local, &kind);
    sh_zone_at(z, t, &info);
    if (kind != SH_LOCAL_MISSING) {
        sh_require(t + info.offset_s == local);
        return;
    }
    sh_zone_at(z, t - 1, &before); /* the clock jumped over it at t */
    sh_require(t + before.offset_s <= local && t + info.offset_s > local);
}

static void walk(const struct sh_zone *z)
{
    struct sh_zone_span span, next;
    sh_zone_span_at(z, -5000000000, &span);
    for (int i = 0; i < MAX_SPANS && span.to < 8000000000; i++, span = next) {
        sh_require(strlen(span.info.abbr) < sizeof(span.info.abbr));
        sh_zone_span_at(z, span.to, &next);
        sh_require(next.from == span.to && next.to > next.from);
        check_moment(z, span.to + span.info.offset_s);
        check_moment(z, span.to + next.info.offset_s);
        check_moment(z, span.to + (span.info.offset_s + next.info.offset_s) / 2);
    }
}

static void schedule(const struct sh_zone *z, const char *text)
{
    struct sh_schedule s;
    struct sh_error err;
    if (!sh_schedule_parse(text, &s, &err)) {
        sh_require(err.msg[0]);
        return;
    }
    int64_t t = 1774746000000; /* shortly before a change in Europe */
    for (int i = 0; i < 20; i++) {
        int64_t next = sh_schedule_next(&s, z, 0, t);
        if (next == 0)
            return;
        sh_require(next > t);
        t = next;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sh_zone *rule = NULL;
    if (size > 0 && data[0] == 'S') {
        char *text = sh_memdup(data + 1, size - 1);
        rule = sh_tzif_rule("rule", "CET-1CEST,M3.5.0,M10.5.0/3", NULL);
        schedule(rule, text);
        free(text);
    } else if (size > 0 && data[0] == 'R') {
        char *text = sh_memdup(data + 1, size - 1);
        rule = sh_tzif_rule("rule", text, NULL);
        free(text);
    } else {
        rule = sh_tzif_parse("file", data, size, NULL);
    }
    if (rule)
        walk(rule);
    sh_tzif_free(rule);
    return 0;
}
