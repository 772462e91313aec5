/* SPDX-License-Identifier: MIT
 * test_ical.c: invitations, and calendars as Python's icalendar package reads them. */
#include "core/ical.h"

#include "svc/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define START_MS 1781258661903LL /* 2026-06-12T10:04:21.903Z */

/* --- The check ----------------------------------------------------------------------------- */

#define NEEDED "\"uid\":\"u\",\"start_at\":1781258661903,\"summary\":\"s\""

static cJSON *parse(const char *json)
{
    struct sh_error err = {0};
    cJSON *doc = sh_json_parse(json, strlen(json), &err);
    if (!doc)
        fail_msg("%s: %s", json, err.msg);
    return doc;
}

static void good_invitations_pass(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "{" NEEDED "}",
        "{" NEEDED ",\"end_at\":null,\"url\":null,\"attendees\":null,\"method\":null}",
        "{" NEEDED ",\"attendees\":[]}",
        "{" NEEDED ",\"method\":\"CANCEL\",\"status\":\"TENTATIVE\",\"sequence\":2147483647}",
        "{" NEEDED ",\"organizer\":\"Na, me <a@b.c>\",\"attendees\":[\"a@b.c\",\"X <d@e.f>\"]}",
        "{" NEEDED ",\"url\":\"tel:+31612345678\",\"alarm_minutes\":0,\"stamp\":0}",
        "{\"uid\":\"a b\",\"start_at\":0,\"end_at\":1000,\"summary\":\"\"}",
        "{\"uid\":\"u\",\"start_at\":1.781258661e12,\"summary\":\"a\\r\\nb\"}",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct sh_error err = {0};
        cJSON *doc = parse(cases[i]);
        if (!sh_ical_check(doc, &err))
            fail_msg("%s: %s", cases[i], err.msg);
        cJSON_Delete(doc);
    }
}

static void bad_invitations_name_the_field(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"[]", "must be a table"},
        {"{\"start_at\":1,\"summary\":\"s\"}", "uid is missing"},
        {"{\"uid\":null,\"start_at\":1,\"summary\":\"s\"}", "uid is missing"},
        {"{\"uid\":\"\",\"start_at\":1,\"summary\":\"s\"}", "uid has 0 bytes, expected 1 to 255"},
        {"{\"uid\":\"a\\nb\",\"start_at\":1,\"summary\":\"s\"}", "uid contains a control"},
        {"{\"uid\":\"u\",\"summary\":\"s\"}", "start_at is missing"},
        {"{\"uid\":\"u\",\"start_at\":\"1\",\"summary\":\"s\"}", "start_at must be a whole number"},
        {"{\"uid\":\"u\",\"start_at\":1.5,\"summary\":\"s\"}", "start_at must be a whole number"},
        {"{\"uid\":\"u\",\"start_at\":-1,\"summary\":\"s\"}", "start_at is -1, expected millis"},
        {"{\"uid\":\"u\",\"start_at\":253402300799999,\"summary\":\"s\"}", "start_at is 2534"},
        {"{\"uid\":\"u\",\"start_at\":1}", "summary is missing"},
        {"{\"uid\":\"u\",\"start_at\":1,\"summary\":7}", "summary must be a string"},
        {"{" NEEDED ",\"end_at\":1781258661903}", "end_at must be later"},
        {"{" NEEDED ",\"end_at\":1781258661999}", "end_at must be later"},
        {"{" NEEDED ",\"method\":\"REPLY\"}", "method must be REQUEST, CANCEL or PUBLISH"},
        {"{" NEEDED ",\"method\":1}", "method must be"},
        {"{" NEEDED ",\"status\":\"DONE\"}", "status must be CONFIRMED"},
        {"{" NEEDED ",\"sequence\":-1}", "sequence is -1"},
        {"{" NEEDED ",\"sequence\":2147483648}", "sequence is 2147483648, expected a count"},
        {"{" NEEDED ",\"alarm_minutes\":40321}", "alarm_minutes is 40321, expected minutes from 0"},
        {"{" NEEDED ",\"url\":\"\"}", "url has 0 bytes"},
        {"{" NEEDED ",\"url\":\"example.org\"}", "url must start with its scheme"},
        {"{" NEEDED ",\"url\":\"https://e.org/\\r\\nATTENDEE:x\"}", "url contains a space or cont"},
        {"{" NEEDED ",\"url\":\"https://e.org/a b\"}", "url contains a space or control"},
        {"{" NEEDED ",\"organizer\":\"a\"}", "organizer: \"a\" is not a mail address"},
        {"{" NEEDED ",\"organizer\":[\"a@b.c\"]}", "organizer must be a mail address"},
        {"{" NEEDED ",\"attendees\":\"a@b.c\"}", "attendees must be a list"},
        {"{" NEEDED ",\"attendees\":[\"a@b.c\",\"d@e.f\\r\\nX:y\"]}", "attendees[2]: "},
        {"{" NEEDED ",\"atendees\":[]}", "unknown field"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct sh_error err = {0};
        cJSON *doc = parse(cases[i][0]);
        assert_false(sh_ical_check(doc, &err));
        assert_int_equal(err.code, SH_EINVAL);
        if (!strstr(err.msg, cases[i][1]))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i][0], err.msg, cases[i][1]);
        cJSON_Delete(doc);
    }
    cJSON *doc = parse("{" NEEDED "}");
    cJSON_AddStringToObject(doc, "location", "\xff");
    struct sh_error err = {0};
    assert_false(sh_ical_check(doc, &err));
    assert_non_null(strstr(err.msg, "location is not valid UTF-8"));
    cJSON_Delete(doc);
}

/* --- Calendars, read back ------------------------------------------------------------------ */

struct folder {
    char path[64];
    int n;
};

static void open_folder(struct folder *f)
{
    *f = (struct folder){.path = "/tmp/switchhook-ical-XXXXXX"};
    assert_non_null(mkdtemp(f->path));
}

static void remove_folder(struct folder *f)
{
    char cmd[128];
    snprintf(cmd, sizeof(cmd), "rm -r '%s'", f->path);
    assert_int_equal(system(cmd), 0);
}

static void write_file(const struct folder *f, const char *ext, const char *p, size_t n)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%04d.%s", f->path, f->n, ext);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(p, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

/* Write the calendar, and leave it with what it was made from in the folder. Takes invitations, a
 * list. */
static void add(struct folder *f, cJSON *invitations, const char *method, const char *name)
{
    const cJSON *list[1000], *node;
    size_t n = 0;
    struct sh_buf out;
    struct sh_error err = {0};
    cJSON_ArrayForEach(node, invitations) list[n++] = node;
    sh_buf_init(&out, 64 << 20);
    if (!sh_ical_write(&out, list, n, method, name, &err))
        fail_msg("case %d: %s", f->n, err.msg);
    cJSON *want = cJSON_CreateObject();
    cJSON_AddItemToObject(want, "invitations", invitations);
    if (method)
        cJSON_AddStringToObject(want, "method", method);
    if (name)
        cJSON_AddStringToObject(want, "name", name);
    char *json = cJSON_PrintUnformatted(want);
    write_file(f, "ics", out.data, out.len);
    write_file(f, "json", json, strlen(json));
    f->n++;
    free(json);
    cJSON_Delete(want);
    sh_buf_free(&out);
}

static int read_back(const struct folder *f, char last[256])
{
    char cmd[512], line[256];
    const char *slash = strrchr(__FILE__, '/');
    snprintf(cmd, sizeof(cmd), "/usr/bin/python3 -B '%.*s/ical_check.py' '%s' 2>&1",
             (int)(slash - __FILE__), __FILE__, f->path);
    FILE *p = popen(cmd, "r");
    assert_non_null(p);
    while (fgets(line, sizeof(line), p)) {
        if (strncmp(line, "checked ", 8) != 0)
            print_message("%s", line);
        strcpy(last, line);
    }
    int status = pclose(p);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void check_all(struct folder *f)
{
    char last[256] = "", want[32];
    assert_int_equal(read_back(f, last), 0);
    snprintf(want, sizeof(want), "checked %d\n", f->n);
    assert_string_equal(last, want);
    remove_folder(f);
}

/* A list of one invitation. */
static cJSON *one(const char *summary)
{
    cJSON *list = cJSON_CreateArray(), *i = cJSON_CreateObject();
    cJSON_AddItemToArray(list, i);
    cJSON_AddStringToObject(i, "uid", "0123456789abcdef@switchhook");
    cJSON_AddNumberToObject(i, "start_at", (double)START_MS);
    cJSON_AddStringToObject(i, "summary", summary);
    return list;
}

static void with(cJSON *list, const char *name, cJSON *value)
{
    assert_non_null(value);
    cJSON_AddItemToObject(list->child, name, value);
}

static cJSON *full(const char *text)
{
    const char *people[] = {"a.b+c=d%20?e@example.org", "Jan <jan@example.org>",
                            "\"Vries, Jan; de: \\\"x\\\"\" <jan@e.org>",
                            ("Zo\xc3\xab \xf0\x9f\x98\x80 de Vries van de afdeling Klantenservice "
                             "en nog een lange naam daarachter <zoe@example.org>")};
    cJSON *list = one(text);
    with(list, "description", cJSON_CreateString(text));
    with(list, "location", cJSON_CreateString(text));
    with(list, "url", cJSON_CreateString("https://example.org/a,b;c?d=e&f=%20#\xc3\xa9"));
    with(list, "organizer", cJSON_CreateString("\"Desk, the\" <desk@example.org>"));
    with(list, "attendees", cJSON_CreateStringArray(people, 4));
    with(list, "sequence", cJSON_CreateNumber(3));
    with(list, "end_at", cJSON_CreateNumber((double)START_MS + 3600000));
    with(list, "stamp", cJSON_CreateNumber((double)START_MS - 100000));
    with(list, "alarm_minutes", cJSON_CreateNumber(10));
    with(list, "status", cJSON_CreateString("TENTATIVE"));
    return list;
}

static char *repeat(const char *s, size_t n)
{
    struct sh_buf b;
    sh_buf_init(&b, 1 << 24);
    for (size_t i = 0; i < n; i++)
        sh_buf_adds(&b, s);
    return sh_buf_take(&b, NULL);
}

static void texts_arrive_whole(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    static const char *const texts[] = {
        "",
        "x",
        " x ",
        "a,b;c:d\\e\"f",
        "\\x is no line break, \n is", /* \\n: the reader has it wrong; see below */
        "end\\",
        "Bel terug\r\nATTENDEE:mailto:victim@example.org\r\nEND:VEVENT\r\nBEGIN:VEVENT",
        "\nEND:VCALENDAR\n",
        "a\rb\nc\r\nd\n\re",
        "nel\xc2\x85x ls\xe2\x80\xa8x ps\xe2\x80\xa9x",
        "\x01\x02\x1b[31m\x7f\x0b\x0c tab\there",
        "\xf0\x9f\x98\x80\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7 \xe4\xbd\xa0\xe5\xa5\xbd",
        "BEGIN:VALARM",
    };
    static const char *const methods[] = {"REQUEST", "CANCEL", "PUBLISH", NULL};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        add(&f, one(texts[i]), NULL, NULL);
        for (size_t k = 0; k < 4; k++)
            add(&f, full(texts[i]), methods[k], *texts[i] ? texts[i] : NULL);
    }
    static const char *const units[] = {"x",
                                        ",",
                                        "\n",
                                        "\xc3\xa9",
                                        "\xe2\x82\xac",
                                        "\xf0\x9f\x98\x80",
                                        "ab\xf0\x9f\x98\x80\xc3\xa9;"};
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        for (size_t n = 0; n < 90; n++) { /* every place of the fold */
            char *start = repeat("x", n), *rest = repeat(units[i], 80);
            char *text = sh_strf("%s%s", start, rest);
            add(&f, one(text), "REQUEST", NULL);
            free(start), free(rest), free(text);
        }
    }
    check_all(&f);
}

static void a_megabyte_arrives_whole(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    static const char *const units[] = {"x", "\r\nBEGIN:VEVENT", "\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        char *text = repeat(units[i], (1 << 20) / strlen(units[i]));
        cJSON *list = one("s");
        with(list, "description", cJSON_CreateString(text));
        add(&f, list, "REQUEST", NULL);
        free(text);
    }
    check_all(&f);
}

static void feeds_arrive_whole(void **state)
{
    (void)state;
    struct folder f;
    open_folder(&f);
    add(&f, cJSON_CreateArray(), NULL, NULL);
    add(&f, cJSON_CreateArray(), "PUBLISH", "Callbacks of Zo\xc3\xab, all");
    cJSON *all = cJSON_CreateArray();
    for (int i = 0; i < 500; i++) {
        cJSON *list = full("Call +31 6 12345678 back");
        cJSON_ReplaceItemInObject(list->child, "start_at",
                                  cJSON_CreateNumber((double)START_MS + i * 60000.0 - 30000000.0));
        cJSON_AddItemToArray(all, cJSON_DetachItemFromArray(list, 0));
        cJSON_Delete(list);
    }
    add(&f, all, "PUBLISH", "Callbacks");
    cJSON *list = one("the first says how");
    with(list, "method", cJSON_CreateString("CANCEL"));
    with(list, "alarm_minutes", cJSON_CreateNumber(5));
    add(&f, list, NULL, NULL);
    check_all(&f);
}

/* The reader above can say no. */
static void a_difference_is_seen(void **state)
{
    (void)state;
    static const char *const others[] = {
        "{\"invitations\":[{\"uid\":\"0123456789abcdef@switchhook\",\"start_at\":1781258661903,"
        "\"summary\":\"two\"}]}",
        "{\"invitations\":[{\"uid\":\"0123456789abcdef@switchhook\",\"start_at\":1781258600000,"
        "\"summary\":\"one\"}]}",
        "{\"invitations\":[]}",
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        struct folder f;
        char last[256];
        open_folder(&f);
        add(&f, one("one"), NULL, NULL);
        f.n--;
        write_file(&f, "json", others[i], strlen(others[i]));
        assert_int_equal(read_back(&f, last), 1);
        remove_folder(&f);
    }
}

static void the_text_is_exactly_this(void **state)
{
    (void)state;
    struct sh_buf out;
    struct sh_error err = {0};
    sh_buf_init(&out, 10000);
    cJSON *doc = parse("{\"uid\":\"k@e.org\",\"start_at\":1781258661903,\"stamp\":1781258661903,"
                       "\"summary\":\"Call Zo\\u00eb, \\\\now\",\"organizer\":\"h@e.org\","
                       "\"attendees\":[\"Zo\\u00eb <z@e.org>\"],\"alarm_minutes\":5}");
    const cJSON *list[] = {doc};
    assert_true(sh_ical_write(&out, list, 1, "REQUEST", NULL, &err));
    assert_string_equal(
        out.data, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//switchhook//switchhook//EN\r\n"
                  "CALSCALE:GREGORIAN\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:k@e.org\r\n"
                  "SEQUENCE:0\r\nDTSTAMP:20260612T100421Z\r\nDTSTART:20260612T100421Z\r\n"
                  "DTEND:20260612T101921Z\r\nSUMMARY:Call Zo\xc3\xab\\, \\\\now\r\n"
                  "ORGANIZER:mailto:h@e.org\r\n"
                  "ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=\r\n"
                  " TRUE;CN=\"Zo\xc3\xab\":mailto:z@e.org\r\n"
                  "STATUS:CONFIRMED\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT5M\r\n"
                  "DESCRIPTION:Call Zo\xc3\xab\\, \\\\now\r\nEND:VALARM\r\nEND:VEVENT\r\n"
                  "END:VCALENDAR\r\n");
    sh_buf_free(&out);
    sh_buf_init(&out, 100);
    assert_false(sh_ical_write(&out, list, 1, "REQUEST", NULL, &err));
    assert_int_equal(err.code, SH_ELIMIT);
    assert_false(sh_ical_write(&out, list, 1, NULL, "\xff", &err));
    assert_int_equal(err.code, SH_EINVAL);
    cJSON_DeleteItemFromObject(doc, "uid");
    assert_false(sh_ical_write(&out, list, 1, "REQUEST", NULL, &err));
    assert_non_null(strstr(err.msg, "uid is missing"));
    sh_buf_free(&out);
    cJSON_Delete(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_invitations_pass),
        cmocka_unit_test(bad_invitations_name_the_field),
        cmocka_unit_test(texts_arrive_whole),
        cmocka_unit_test(a_megabyte_arrives_whole),
        cmocka_unit_test(feeds_arrive_whole),
        cmocka_unit_test(a_difference_is_seen),
        cmocka_unit_test(the_text_is_exactly_this),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
