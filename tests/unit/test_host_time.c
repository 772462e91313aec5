/* SPDX-License-Identifier: MIT
 * test_host_time.c: time.*, rules with `every`, and what their events carry. */
#include "test_host.h"

#define SPRING "1774746000" /* 2026-03-29T01:00:00Z: Amsterdam's clock goes from 02:00 to 03:00 */
#define AUTUMN "1792890000" /* 2026-10-25T01:00:00Z: from 03:00 to 02:00 */

static void test_texts(void **state)
{
    (void)state;
    kit_says("time.zone()", "Europe/Amsterdam");
    kit_says("time.text(" SPRING " - 1)", "2026-03-29T01:59:59+01:00");
    kit_says("time.text(" SPRING ")", "2026-03-29T03:00:00+02:00");
    kit_says("time.text(" SPRING ", 'UTC')", "2026-03-29T01:00:00Z");
    kit_says("time.text(" AUTUMN " - 0.5, 'UTC')", "2026-10-25T00:59:59.500Z");
    kit_says("time.text(" SPRING ", 'Asia/Kathmandu')", "2026-03-29T06:45:00+05:45");
    kit_says("time.text(" SPRING ", 'America/St_Johns')", "2026-03-28T22:30:00-02:30");
    kit_says("time.text(-4000000000)",
             "1843-03-31T17:12:20+00:19"); /* the sun's time, in minutes */
    kit_says("time.text(now())", "2026-06-12T12:04:21+02:00");
    kit_says("time.parse(time.text(-4000000000)) == -4000000000", "true");
}

static void test_parse(void **state)
{
    (void)state;
    kit_says("time.parse '2026-10-25T09:00:00Z'", "1792918800");
    kit_says("time.parse '2026-10-25T09:00:00.25+01:00'", "1792915200.25");
    kit_says("time.parse '2026-10-25T09:00'", "1792915200");
    kit_says("time.parse('2026-10-25 09:00:30', 'UTC')", "1792918830");
    kit_says("time.parse '2026-10-25 02:30'", "1792888200"); /* the first of two */
    kit_says("time.parse '2026-03-29 02:30'", SPRING);       /* the end of the gap */
    static const char *const bad[] = {"",
                                      "2026-02-30 09:00",
                                      "2026-10-25",
                                      "2026-10-25 24:00",
                                      "2026-10-25 09:00 ",
                                      "2026-10-25T09",
                                      "2026-10-25 09:60",
                                      "tomorrow"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char *call = sh_strf("time.parse('%s')", bad[i]);
        char *want = sh_strf("nil \"%s\" is no time: expected \"2026-10-25T09:00:00+01:00\" or, in "
                             "local time, \"2026-10-25 09:00\"",
                             bad[i]);
        kit_says(call, want);
        free(call);
        free(want);
    }
    kit_says("(time.parse('2026-10-25 09:00\\0'))", "nil");
}

static void test_parts(void **state)
{
    (void)state;
    kit_says("time.parts(" SPRING " - 1)",
             "{\"abbr\":\"CET\",\"day\":29,\"dst\":false,\"hour\":1,\"min\":59,\"month\":3,"
             "\"offset\":3600,\"sec\":59,\"wday\":7,\"yday\":88,\"year\":2026,\"zone\":"
             "\"Europe/Amsterdam\"}");
    kit_says("time.parts(" SPRING " + 0.9, 'Australia/Lord_Howe')",
             "{\"abbr\":\"+11\",\"day\":29,\"dst\":true,\"hour\":12,\"min\":0,\"month\":3,"
             "\"offset\":39600,\"sec\":0,\"wday\":7,\"yday\":88,\"year\":2026,\"zone\":"
             "\"Australia/Lord_Howe\"}");
    kit_says("time.offset(" SPRING " - 1)", "3600 " SPRING);
    kit_says("time.offset(" SPRING ")", "7200 " AUTUMN);
    kit_says("time.offset(" SPRING ", 'Asia/Kathmandu')", "20700 nil");
    kit_says("time.offset(0, 'Africa/Nairobi')", "10800 nil");
}

static void test_of(void **state)
{
    (void)state;
    kit_says("time.of { year = 2026, month = 6, day = 12, hour = 12, min = 4, sec = 21 } == now()",
             "true");
    kit_says("time.of { year = 2026, month = 10, day = 25, hour = 2, min = 30 }",
             "1792888200 repeated");
    kit_says("time.of { year = 2026, month = 3, day = 29, hour = 2, min = 30 }", SPRING " missing");
    kit_says("time.of { year = 2026, month = 3, day = 29, hour = 2, zone = 'UTC' }",
             "1774749600 nil");
    kit_says("time.text((time.of { year = 2026, month = 13, day = 0 }))",
             "2026-12-31T00:00:00+01:00");
    kit_says("(time.of(time.parts(1781258661))) == 1781258661", "true");
    kit_done("local p = time.parts(now()) p.hour, p.day = 9, p.day + 1 "
             "assert(time.text((time.of(p))) == '2026-06-13T09:04:21+02:00')",
             "");
}

static void test_format(void **state)
{
    (void)state;
    kit_says("time.format(" AUTUMN ", '%a %d %b %H:%M')", "Sun 25 Oct 02:00");
    kit_says("time.format(" AUTUMN ", '%A %e %B %Y, %I:%M:%S %p %Z (%z)', 'America/New_York')",
             "Saturday 24 October 2026, 09:00:00 PM EDT (-0400)");
    kit_says("time.format(" AUTUMN ", '%F %T %R %y %m %j %u %s %%')",
             "2026-10-25 02:00:00 02:00 26 10 298 7 " AUTUMN " %");
    kit_says("time.format(1609459200, '%G-W%V', 'UTC')", "2020-W53"); /* 2021-01-01 */
    kit_says("time.format(1230768000, '%G-W%V', 'UTC')", "2009-W01"); /* 2009-01-01 */
    kit_says("time.format(0, '%I %p', 'UTC') .. time.format(43200, '%I %p', 'UTC')", "12 AM12 PM");
    kit_says("time.format(0, '')", "");
}

static void test_misuse(void **state)
{
    (void)state;
    kit_fails("time.text()", "rules/x.lua:2: time.text: 't' must be a time in seconds since 1970 "
                             "(a number), got nothing");
    kit_fails("time.text('5')", "rules/x.lua:2: time.text: 't' must be a time in seconds since "
                                "1970 (a number), got a string");
    kit_fails("time.text(0/0)", "rules/x.lua:2: time.text: 't' must be a time from the year 0 to "
                                "9999, got -nan");
    kit_fails("time.parts(1e300)", "rules/x.lua:2: time.parts: 't' must be a time from the year 0 "
                                   "to 9999, got 1e+300");
    kit_fails("time.parts(now(), 'Europe/Amstredam')",
              "rules/x.lua:2: time.parts: there is no time zone \"Europe/Amstredam\" (did you mean "
              "\"Europe/Amsterdam\"?)");
    kit_fails("time.parts(now(), 'Middle-earth/Bree')",
              "rules/x.lua:2: time.parts: there is no time zone \"Middle-earth/Bree\" (expected a "
              "name such as \"Europe/Amsterdam\")");
    kit_fails("time.parts(now(), 5)",
              "rules/x.lua:2: time.parts: 'zone' must be the name of a time "
              "zone such as \"Europe/Amsterdam\", got a number");
    kit_fails("time.parse(5)", "rules/x.lua:2: time.parse: a text such as "
                               "\"2026-10-25T09:00:00Z\" expected, got a number");
    kit_fails("time.of(5)",
              "rules/x.lua:2: time.of: a table { year=, month=, day=, .. } expected, got a number");
    kit_fails("local t = { year = 2026, mont = 1 } time.of(t)",
              "rules/x.lua:2: time.of: unknown field 'mont' (did you mean 'month'?)");
    kit_fails("time.of { year = 2026, month = 1 }",
              "rules/x.lua:2: time.of: 'day' must be a whole number, got nil");
    kit_fails("time.of { year = 2026, month = 1.5, day = 1 }",
              "rules/x.lua:2: time.of: 'month' must be a whole number, got 1.5");
    kit_fails("time.of { year = 2026, month = 1, day = 1e15 }",
              "rules/x.lua:2: time.of: 'day' must be a whole number within reason, got 1e+15");
    kit_fails("time.of { year = 9999, month = 12, day = 40 }",
              "rules/x.lua:2: time.of: the time is not in the years 0 to 9999");
    kit_refused("time.of { year = 2026, month = 1, day = 1, minute = 3 }",
                "rules/x.lua:2: time.of: unknown field 'minute' (expected year, month, day, hour, "
                "min, sec, zone)");
    kit_refused("time.of { year = 2026, mont = 1, day = 1 }",
                "rules/x.lua:2: time.of: unknown field 'mont' (did you mean 'month'?)");
    kit_fails("time.format(0, '%H:%Q')",
              "rules/x.lua:2: time.format: unknown %Q (expected one of %Y %y %m %d %e %j %F %H %I "
              "%M %S %p %R %T %a %A %b %B %u %V %G %z %Z %s %%)");
    kit_fails("time.format(0, '%')",
              "rules/x.lua:2: time.format: unknown %  (expected one of %Y %y %m %d %e %j %F %H %I "
              "%M %S %p %R %T %a %A %b %B %u %V %G %z %Z %s %%)");
    kit_fails("time.format(0)", "rules/x.lua:2: time.format: a format such as \"%d %b %H:%M\" "
                                "expected, got nothing");
    assert_non_null(strstr(kit_run("time.zone = nil")->error, "read-only"));
}

static void test_everywhere(void **state)
{
    (void)state;
    kit_must_load(
        "local first = time.text(0, 'UTC')\n"
        "rule 'r' { on = 't', when = function(ev) return time.parts(now()).wday == 5 end,\n"
        "  run = function() log.info(first) end }");
    struct kit_run *r = kit_job("t", "{}");
    assert_int_equal(r->outcome, SH_RUN_DONE);
    assert_non_null(strstr(r->logs, "1970-01-01T00:00:00Z"));
    kit_close();
}

/* --- rules with `every` ----------------------------------------------------------------------- */

static void test_every_errors(void **state)
{
    (void)state;
    assert_false(
        kit_load("rules/a.lua",
                 "rule 'one' {\n every = '18:00 mon-fry',\n run = function() end }\n"
                 "rule 'two' {\n every = '10 minutes',\n zone = 'Europe/Amstredam', run = print }\n"
                 "rule 'three' {\n zone = 5, every = 3, run = function() end }\n"
                 "rule 'four' { every = '1s\\0', run = function() end }\n"
                 "rule 'five' { evry = '10m', run = function() end }\n",
                 NULL));
    kit_reported("errors", "rules/a.lua", 2,
                 "rule \"one\": 'every' \"18:00 mon-fry\": \"mon-fry\" is no day of the week: "
                 "expected mon, tue, wed, thu, fri, sat, sun, or a range such as mon-fri");
    kit_reported("errors", "rules/a.lua", 6,
                 "rule \"two\": there is no time zone \"Europe/Amstredam\" (did you mean "
                 "\"Europe/Amsterdam\"?)");
    kit_reported("errors", "rules/a.lua", 8,
                 "rule \"three\": 'zone' must be the name of a time zone such as "
                 "\"Europe/Amsterdam\", got a number");
    kit_reported("errors", "rules/a.lua", 8,
                 "rule \"three\": 'every' \"3 seconds\": every 3 seconds: expected from 10 seconds "
                 "to 366 days");
    kit_reported("errors", "rules/a.lua", 9, "rule \"four\": 'every' contains a NUL byte");
    kit_reported("errors", "rules/a.lua", 10,
                 "rule \"five\": unknown field 'evry' (did you mean 'every'?)");
    kit_close();
}

static void test_every_report(void **state)
{
    (void)state;
    assert_true(kit_load("rules/a.lua",
                         "rule 'a' { every = '18:00', run = function() end }\n"
                         "rule 'b' { on = 'x', every = 90 * minute, zone = 'Asia/Kathmandu', "
                         "run = function() end }\n"
                         "rule 'c' { on = 'x', run = function() end }\n"
                         "rule 'd' { on = 'x', zone = 'UTC', run = function() end }\n",
                         NULL));
    char *rules = cJSON_PrintUnformatted(sh_json_member(kit.report, "rules"));
    assert_string_equal(
        rules,
        "[{\"name\":\"a\",\"file\":\"rules/a.lua\",\"line\":1,\"on\":[],\"every\":\"18:00\","
        "\"zone\":\"Europe/Amsterdam\"},"
        "{\"name\":\"b\",\"file\":\"rules/a.lua\",\"line\":2,\"on\":[\"x\"],\"every\":\"5400 "
        "seconds\",\"zone\":\"Asia/Kathmandu\"},"
        "{\"name\":\"c\",\"file\":\"rules/a.lua\",\"line\":3,\"on\":[\"x\"]},"
        "{\"name\":\"d\",\"file\":\"rules/a.lua\",\"line\":4,\"on\":[\"x\"]}]");
    free(rules);
    assert_int_equal(cJSON_GetArraySize(sh_json_member(kit.report, "warnings")), 1);
    kit_reported("warnings", "rules/a.lua", 4,
                 "rule \"d\" has a 'zone' without 'every': it is not used");
    kit_close();
}

static struct sh_job tick(const char *rule)
{
    struct sh_job job = kit_a_job("clock", "{}");
    job.source = SH_SLICE(SH_SOURCE_CLOCK);
    job.key = sh_slice_str(rule);
    job.due_ms = job.received_ms - 90250;
    return job;
}

static const char clock_rules[] = "local function show(_, env)\n"
                                  "  log.info(env.source, env.key, env.due_at, env.late)\nend\n"
                                  "rule 'evening' { every = '18:00', run = show }\n"
                                  "rule 'both' { on = 'clock', every = '10 minutes', run = show }\n"
                                  "rule 'events' { on = '*', run = show }\n";

static void test_tick(void **state)
{
    (void)state;
    kit_must_load(clock_rules);
    struct sh_job job = tick("evening");
    sh_host_job(kit.host, &job);
    assert_int_equal(kit.n_runs, 1); /* none of the rules for all types */
    assert_string_equal(kit.runs[0].rule, "evening");
    assert_int_equal(kit.runs[0].outcome, SH_RUN_DONE);
    assert_non_null(strstr(kit.runs[0].logs, "clock evening 2026-06-12T10:02:50.653Z 90.25"));
    job = tick("events"); /* has no every */
    sh_host_job(kit.host, &job);
    assert_int_equal(kit.n_runs, 0);
    job = tick("gone");
    sh_host_job(kit.host, &job);
    assert_int_equal(kit.n_runs, 0);
    struct kit_run *r = kit_job("clock", "{}"); /* a sender's event of that type */
    assert_int_equal(kit.n_runs, 2);
    assert_string_equal(r[0].rule, "both");
    assert_string_equal(r[1].rule, "events");
    assert_non_null(strstr(r[0].logs, "webphone k1 nil nil"));
    kit_close();
}

static void test_tick_explained(void **state)
{
    (void)state;
    kit_must_load(clock_rules);
    struct sh_job job = tick("evening");
    job.explain = true;
    sh_host_job(kit.host, &job);
    assert_int_equal(kit.n_runs, 3);
    assert_int_equal(kit.runs[0].outcome, SH_RUN_DONE);
    assert_int_equal(kit.runs[1].outcome, SH_RUN_SKIPPED_ON);
    assert_string_equal(kit.runs[1].error, "this is the clock of the rule \"evening\"");
    assert_string_equal(kit.runs[2].error, "the rule has no every, and this event is a clock's");
    job = kit_a_job("call_stop", "{}");
    job.explain = true;
    sh_host_job(kit.host, &job);
    assert_string_equal(kit.runs[0].error, "the rule runs by the clock alone (every), the event's "
                                           "type is \"call_stop\"");
    kit_close();
}

static void test_tick_retried(void **state)
{
    (void)state;
    kit_must_load(clock_rules);
    const struct sh_slice both = SH_SLICE("both"), lost = SH_SLICE("lost");
    struct sh_job job = tick("both");
    job.only = &both;
    job.n_only = 1;
    sh_host_job(kit.host, &job);
    assert_int_equal(kit.n_runs, 1);
    assert_int_equal(kit.runs[0].outcome, SH_RUN_DONE);
    job = tick("both");
    job.skip = &both;
    job.n_skip = 1;
    sh_host_job(kit.host, &job);
    assert_int_equal(kit.n_runs, 0);
    job = tick("lost");
    job.only = &lost;
    job.n_only = 1;
    sh_host_job(kit.host, &job);
    assert_int_equal(kit.n_runs, 1);
    assert_int_equal(kit.runs[0].outcome, SH_RUN_GONE);
    kit_close();
}

static void test_never_early(void **state)
{
    (void)state;
    kit_must_load(clock_rules);
    struct sh_job job = tick("evening");
    job.due_ms = job.received_ms + 5; /* a clock set back in between */
    sh_host_job(kit.host, &job);
    assert_non_null(strstr(kit.runs[0].logs, "2026-06-12T10:04:20.908Z 0.0"));
    kit_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(test_texts, kit_teardown),
                                       cmocka_unit_test_teardown(test_parse, kit_teardown),
                                       cmocka_unit_test_teardown(test_parts, kit_teardown),
                                       cmocka_unit_test_teardown(test_of, kit_teardown),
                                       cmocka_unit_test_teardown(test_format, kit_teardown),
                                       cmocka_unit_test_teardown(test_misuse, kit_teardown),
                                       cmocka_unit_test(test_everywhere),
                                       cmocka_unit_test(test_every_errors),
                                       cmocka_unit_test(test_every_report),
                                       cmocka_unit_test(test_tick),
                                       cmocka_unit_test(test_tick_explained),
                                       cmocka_unit_test(test_tick_retried),
                                       cmocka_unit_test(test_never_early)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
