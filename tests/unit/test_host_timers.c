/* SPDX-License-Identifier: MIT
 * test_host_timers.c: what a run asks for at a time: timers, callbacks and what becomes of them,
 * emails with invitations and attachments. */
#include "test_host.h"

/* KIT_NOW is 2026-06-12T10:04:21.903Z, 12:04:21 in the configured zone, Europe/Amsterdam. */

static void test_after(void **state)
{
    (void)state;
    static const struct {
        const char *when, *due, *local;
    } times[] = {
        {"'2h'", "2026-06-12T12:04:21.903Z", NULL},
        {"90", "2026-06-12T10:05:51.903Z", NULL},
        {"0.5", "2026-06-12T10:04:22.403Z", NULL},
        {"0", "2026-06-12T10:04:21.903Z", NULL},
        {"now() + hour", "2026-06-12T11:04:21.000Z", NULL},
        {"1000000000", "2001-09-09T01:46:40.000Z", NULL}, /* past: fires at once */
        {"'2026-06-15T09:00:00+02:00'", "2026-06-15T07:00:00.000Z", NULL},
        {"'2026-06-15T09:00:00Z'", "2026-06-15T09:00:00.000Z", NULL},
        {"'2026-06-15T09:00'", "2026-06-15T07:00:00.000Z", "2026-06-15T09:00:00 Europe/Amsterdam"},
        {"'2026-06-15 09:00:30'", "2026-06-15T07:00:30.000Z",
         "2026-06-15T09:00:30 Europe/Amsterdam"},
        {"'2027-01-05 09:00'", "2027-01-05T08:00:00.000Z", "2027-01-05T09:00:00 Europe/Amsterdam"},
        /* a time that is skipped: the end of the gap; one that comes twice: its first */
        {"'2027-03-28 02:30'", "2027-03-28T01:00:00.000Z", "2027-03-28T02:30:00 Europe/Amsterdam"},
        {"'2026-10-25 02:30'", "2026-10-25T00:30:00.000Z", "2026-10-25T02:30:00 Europe/Amsterdam"},
        {"'9999-12-31T23:59:59Z'", "9999-12-31T23:59:59.000Z", NULL},
    };
    for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
        char *body = sh_strf("after(%s, 'check', { n = 1 })", times[i].when);
        char *local =
            times[i].local ? sh_strf(",\"due_local\":\"%s\"", times[i].local) : sh_strf("%s", "");
        char *want = sh_strf(
            "{\"kind\":\"timer\",\"type\":\"check\",\"due_at\":\"%s\"%s,\"data\":{\"n\":1}}\n",
            times[i].due, local);
        kit_done(body, want);
        free(body);
        free(local);
        free(want);
    }
    kit_done("after('2026-06-15 09:00', 'x', nil, { name = 'n', zone = 'America/New_York' })\n"
             "cancel('n')",
             "{\"kind\":\"timer\",\"type\":\"x\",\"name\":\"n\",\"due_at\":\"2026-06-15T13:00:00."
             "000Z\",\"due_local\":\"2026-06-15T09:00:00 America/New_York\",\"data\":{}}\n"
             "{\"kind\":\"cancel\",\"name\":\"n\"}\n");
    assert_string_equal(kit.brief,
                        "{\"kind\":\"timer\",\"type\":\"x\",\"name\":\"n\",\"due_at\":\"2026-06-"
                        "15T13:00:00.000Z\",\"due_local\":\"2026-06-15T09:00:00 "
                        "America/New_York\"}\n{\"kind\":\"cancel\",\"name\":\"n\"}\n");
    kit_done("assert(select('#', after('1h', 'x')) == 0 and select('#', cancel('x')) == 0)",
             "{\"kind\":\"timer\",\"type\":\"x\",\"due_at\":\"2026-06-12T11:04:21.903Z\",\"data\":{"
             "}}\n{\"kind\":\"cancel\",\"name\":\"x\"}\n");
}

static void check_all(const char *const bad[][2], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bad[i][1]) {
            char *want = sh_strf("rules/x.lua:2: %s", bad[i][1]);
            kit_wrong(bad[i][0], want);
            free(want);
            continue;
        }
        struct kit_run *r = kit_run(bad[i][0]); /* another module's reason, our line */
        if (r->outcome != SH_RUN_FAILED)
            print_message("%s\n", bad[i][0]);
        assert_int_equal(r->outcome, SH_RUN_FAILED);
        kit_starts(r->error, "rules/x.lua:2: ");
    }
}

static void test_timer_errors(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"after()", "after: the event type must be a text, as in after(\"2h\", \"type\", { ... }), "
                    "got nil"},
        {"after('2h', 5)", "after: the event type must be a text, as in after(\"2h\", \"type\", { "
                           "... }), got a number"},
        {"after('2h', '')", "after: the event type must have 1 to 256 bytes, got 0"},
        {"after('2h', 'x', 5)", "after: the data must be a table, got a number"},
        {"after('2h', 'x', { 1, 2 })", "after: the data must have named fields, got a list"},
        {"after('2h', 'x', {}, 'name')", "after: a table {...} expected, got a string"},
        {"after('2h', 'x', {}, { nmae = 'x' })",
         "after: unknown field 'nmae' (did you mean 'name'?)"},
        {"after('2h', 'x', {}, { name = '' })", "after: 'name' must have 1 to 1024 bytes, got 0"},
        {"after('2h', 'x', {}, { name = 5 })", "after: 'name' must be a text, got a number"},
        {"after('2h', 'x', {}, {}, 5)", "after: at most 4 arguments expected, got 5"},
        {"after(nil, 'x')",
         "after: 'when' must be a time in seconds (a number) or a text such as \"2h\", got nil"},
        {"after({}, 'x')", "after: 'when' must be a time in seconds (a number) or a text such as "
                           "\"2h\", got a table"},
        {"after('soon', 'x')", "after: 'when' must be a time such as \"2026-06-12T09:00:00Z\" or "
                               "\"2026-06-12 09:00\", or "
                               "a duration such as \"2h\", got \"soon\""},
        {"after('-2h', 'x')", NULL},
        {"after(-1, 'x')", "after: 'when' must be seconds from now (0 or more) or a time up to the "
                           "year 9999, got -1"},
        {"after(0/0, 'x')", NULL},
        {"after(1/0, 'x')", NULL},
        {"after(253402300800, 'x')", "after: 'when' must be seconds from now (0 or more) or a time "
                                     "up to the year 9999, got 253402300800"},
        {"after('2026-02-30 09:00', 'x')", NULL},
        {"after('2026-06-31 09:00', 'x')", NULL},
        {"after('2026-06-15 24:00', 'x')", NULL},
        {"after('2026-06-15 09:60', 'x')", NULL},
        {"after('2026-06-15 09:00:61', 'x')", NULL},
        {"after('2026-06-15', 'x')", NULL},
        {"after('2026-06-15 09:00x', 'x')", NULL},
        {"after('2026-06-15 09:00\\0', 'x')", NULL},
        {"after('2h\\0', 'x')", NULL},
        {"after('1999-06-15 09:00', 'x')", "after: 'when' must be a time from the year 2000 to "
                                           "9999, got \"1999-06-15 09:00\""},
        {"after('9999999d', 'x')", NULL},
        {"after('2026-06-15 09:00', 'x', {}, { zone = 'Europe/Amsterdm' })",
         "after: 'zone' \"Europe/Amsterdm\" is no time zone (did you mean \"Europe/Amsterdam\"?)"},
        {"after('2h', 'x', {}, { zone = 5 })", "after: 'zone' must be a text, got a number"},
        {"cancel()", "cancel: the timer's name must be a text, got nil"},
        {"cancel('')", "cancel: 'name' must have 1 to 1024 bytes, got 0"},
        {"cancel('\\xff')", "cancel: 'name' is not valid UTF-8 text"},
    };
    check_all(bad, sizeof(bad) / sizeof(*bad));
    kit_must_load("rule 'w' { on = '*', when = function() after('1h', 'x') end,\n"
                  "run = function() end }");
    assert_string_equal(kit_job("t", "{}")->error,
                        "rules/x.lua:1: when only looks: after belongs in run");
}

static void test_callbacks(void **state)
{
    (void)state;
    kit_done("callback { number = '1', due = '2026-10-25T09:00', completes = 'answered', minutes = "
             "30, email = false, zone = 'Asia/Kathmandu' }",
             "{\"kind\":\"callback\",\"number\":\"1\",\"due_at\":\"2026-10-25T03:15:00.000Z\","
             "\"due_local\":\"2026-10-25T09:00:00\",\"zone\":\"Asia/Kathmandu\",\"completes\":"
             "\"answered\",\"minutes\":30,\"email\":false}\n");
    kit_done("callback { number = '1', due = '2h', zone = 'Asia/Kathmandu', email = true }",
             "{\"kind\":\"callback\",\"number\":\"1\",\"due_at\":\"2026-06-12T12:04:21.903Z\","
             "\"email\":true}\n");
    kit_done(
        "callbacks.done { id = 'a', note = 'n' } callbacks.cancel { key = 'k' }\n"
        "callbacks.snooze { number = 31301234567, due = '2h' }\n"
        "callbacks.snooze { number = '1', due = '2026-06-15 09:00', zone = 'UTC', note = 'x' }\n"
        "callbacks.reassign { key = 'k', assignee = 'b@x.nl' } callbacks.answered('+31 30')",
        "{\"kind\":\"callback change\",\"do\":\"done\",\"id\":\"a\",\"note\":\"n\"}\n"
        "{\"kind\":\"callback change\",\"do\":\"cancel\",\"key\":\"k\"}\n"
        "{\"kind\":\"callback change\",\"do\":\"snooze\",\"number\":\"31301234567\",\"due_at\":"
        "\"2026-06-12T12:04:21.903Z\"}\n"
        "{\"kind\":\"callback "
        "change\",\"do\":\"snooze\",\"number\":\"1\",\"due_at\":\"2026-06-15T09:"
        "00:00.000Z\",\"due_local\":\"2026-06-15T09:00:00\",\"zone\":\"UTC\",\"note\":\"x\"}\n"
        "{\"kind\":\"callback change\",\"do\":\"reassign\",\"key\":\"k\",\"assignee\":\"b@x.nl\"}\n"
        "{\"kind\":\"callback change\",\"do\":\"answered\",\"number\":\"+31 30\"}\n");
    static const char *const bad[][2] = {
        {"callback { number = '1', due = '1h', completes = 'done' }",
         "callback: 'completes' must be \"answered\", got \"done\""},
        {"callback { number = '1', due = '1h', minutes = 0 }",
         "callback: 'minutes' must be a whole number from 1 to 1440, got 0"},
        {"callback { number = '1', due = '1h', minutes = 1.5 }",
         "callback: 'minutes' must be a whole number from 1 to 1440, got 1.5"},
        {"callback { number = '1', due = '1h', minutes = '5' }",
         "callback: 'minutes' must be a whole number from 1 to 1440, got a string"},
        {"callback { number = '1', due = '1h', email = 'no' }",
         "callback: 'email' must be true or false, got a string"},
        {"callback { number = '1', due = '1h', zone = 'Nowhere/At_All' }", NULL},
        {"callbacks.done {}",
         "callbacks.done: one of 'id', 'key' and 'number' must say which callback, got none"},
        {"callbacks.done { id = 'a', key = 'b' }", "callbacks.done: one of 'id', 'key' and "
                                                   "'number' must say which callback, got more "
                                                   "than one"},
        {"callbacks.done { id = '' }", "callbacks.done: 'id' must have 1 to 1024 bytes, got 0"},
        {"callbacks.done { id = 'a', due = '1h' }",
         "callbacks.done: unknown field 'due' (expected id, key, number or note)"},
        {"callbacks.done('a')", "callbacks.done: a table {...} expected, got a string"},
        {"callbacks.snooze { id = 'a' }", "callbacks.snooze: 'due' must be a time in seconds (a "
                                          "number) or a text such as \"2h\", got nil"},
        {"callbacks.reassign { id = 'a' }",
         "callbacks.reassign: 'assignee' must be a text, got nil"},
        {"callbacks.cancel { number = {} }",
         "callbacks.cancel: 'number' must be a text (or a whole number), got a table"},
        {"callbacks.answered()",
         "callbacks.answered: 'number' must be a text (or a whole number), got nil"},
        {"callbacks.snoze {}", "callbacks has no 'snoze' (did you mean 'snooze'?)"},
    };
    check_all(bad, sizeof(bad) / sizeof(*bad));
}

static void test_email(void **state)
{
    (void)state;
    kit_done(
        "email { bcc = 'c@b.nl', subject = 's', text = 't', notify = 'mail',\n"
        "  attachments = { { name = 'a.txt', type = 'text/plain', text = 'hi' },\n"
        "    { name = 'b.bin', type = 'application/octet-stream', base64 = '/wAB' } } }",
        "{\"kind\":\"email\",\"bcc\":[\"c@b.nl\"],\"subject\":\"s\",\"text\":\"t\",\"attachments\":"
        "[{\"name\":\"a.txt\",\"type\":\"text/plain\",\"text\":\"hi\"},{\"name\":\"b.bin\","
        "\"type\":\"application/octet-stream\",\"base64\":\"/wAB\"}],\"notify\":\"mail\"}\n");
    assert_string_equal(
        kit.brief,
        "{\"kind\":\"email\",\"bcc\":[\"c@b.nl\"],\"subject\":\"s\",\"attachments\":[{\"name\":"
        "\"a.txt\",\"type\":\"text/plain\"},{\"name\":\"b.bin\",\"type\":\"application/"
        "octet-stream\"}],\"notify\":\"mail\"}\n");
    kit_done(
        "email { to = 'a@b.nl', subject = 's', text = 't', with = ev, invitation = {\n"
        "  start = '2026-06-15 09:00', minutes = 30, summary = 'Call {{name}}', uid = 'u1',\n"
        "  description = '{{a.b}}', location = 'Room', sequence = 2, method = 'REQUEST',\n"
        "  organizer = 'o@b.nl', attendees = { 'a@b.nl' }, url = 'https://x.nl/1' } }",
        "{\"kind\":\"email\",\"to\":[\"a@b.nl\"],\"subject\":\"s\",\"text\":\"t\",\"invitation\":{"
        "\"start_at\":\"2026-06-15T07:00:00.000Z\",\"end_at\":\"2026-06-15T07:30:00.000Z\","
        "\"summary\":\"Call Ann\",\"description\":\"1\",\"location\":\"Room\",\"uid\":\"u1\","
        "\"method\":\"REQUEST\",\"organizer\":\"o@b.nl\",\"url\":\"https://x.nl/1\",\"sequence\":2,"
        "\"attendees\":[\"a@b.nl\"]}}\n");
    kit_done(
        "email { to = 'a@b.nl', subject = 's', text = 't', invitation = { start = '1h', finish "
        "= '90m', summary = '{{x}}', uid = 'u' }, attachments = {} }",
        "{\"kind\":\"email\",\"to\":[\"a@b.nl\"],\"subject\":\"s\",\"text\":\"t\","
        "\"invitation\":{\"start_at\":\"2026-06-12T11:04:21.903Z\",\"end_at\":\"2026-06-12T11:"
        "34:21.903Z\",\"summary\":\"{{x}}\",\"uid\":\"u\"}}\n");
#define MAIL(rest) "email { to = 'a@b.nl', subject = 's', text = 't', " rest " }"
    static const char *const bad[][2] = {
        {MAIL("bcc = 5"), "email: 'bcc' must be an address or a list of addresses, got a number"},
        {MAIL("bcc = 'nobody'"), NULL},
        {MAIL("attachments = 'x'"), "email: 'attachments' must be a list of tables, got a string"},
        {MAIL("attachments = { name = 'x' }"),
         "email: 'attachments' must be a list of tables, as in { { name = .. } }"},
        {MAIL("attachments = { 'x' }"),
         "email: attachments[1]: a table {...} expected, got a string"},
        {MAIL("attachments = { { nam = 'x' } }"),
         "email: attachments[1]: unknown field 'nam' (did you mean 'name'?)"},
        {MAIL("attachments = { { name = 'x', type = 'text/plain', text = '\\xff' } }"),
         "email: attachments[1]: 'text' is not valid UTF-8 text"},
        {MAIL("attachments = { { name = '../x', type = 'text/plain', text = 'x' } }"), NULL},
        {MAIL("attachments = { { name = 'x', type = 'text/plain' } }"), NULL},
        {MAIL("attachments = { { name = 'x', type = 'text/plain', base64 = '*' } }"), NULL},
        {MAIL("attachments = { { name = 'x', type = 'a/b', text = ('x'):rep(1100000) } }"), NULL},
        {MAIL("invitation = 'x'"), "email: invitation: a table {...} expected, got a string"},
        {MAIL("invitation = {}"), "email: invitation: 'start' must be a time in seconds (a number) "
                                  "or a text such as \"2h\", got nil"},
        {MAIL("invitation = { start = '1h', minutes = 5, finish = '2h' }"),
         "email: invitation: 'minutes' and 'finish' are both given, expected one"},
        {MAIL("invitation = { start = '2h', finish = '1h' }"),
         "email: invitation: 'finish' must be after 'start', by a second or more"},
        {MAIL("invitation = { start = '2h', begin = '1h' }"),
         "email: invitation: unknown field 'begin' (expected start, finish, minutes, zone, "
         "summary, description, location, uid, sequence, method, organizer, attendees, "
         "alarm_minutes, status or url)"},
        {MAIL("invitation = { start = '2h', summary = 's' }"), NULL},
        {MAIL("invitation = { start = '2h', uid = 'u' }"), NULL},
        {MAIL("notify = 5"), "email: 'notify' must be a text, got a number"},
    };
    check_all(bad, sizeof(bad) / sizeof(*bad));
}

/* New kinds of effects do not disturb what the run reads of its own records. */
static void test_own_reads_among_others(void **state)
{
    (void)state;
    kit_run("after('1h', 'x', { id = 'a' }, { name = 'a' }) records.put('calls', 'a', { n = 1 })\n"
            "http.post { url = 'http://x.nl/' .. secret 'SMS_KEY' } cancel('a')\n"
            "callbacks.done { id = 'a' } records.incr('calls', 'a', 'n')\n"
            "assert(records.get('calls', 'a').n == 2 and #records.find('calls') == 1)");
    assert_string_equal(kit.runs[0].error, "");
    assert_int_equal(kit.runs[0].n_effects, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_after, kit_teardown),
        cmocka_unit_test_teardown(test_timer_errors, kit_teardown),
        cmocka_unit_test_teardown(test_callbacks, kit_teardown),
        cmocka_unit_test_teardown(test_email, kit_teardown),
        cmocka_unit_test_teardown(test_own_reads_among_others, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
