/* SPDX-License-Identifier: MIT
 * test_mime.c: addresses and email effects: what is sound, and what is said of the rest. */
#include "core/mime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* --- Addresses ----------------------------------------------------------------------------- */

static void addresses_are_read(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"a@b.c", "", "a@b.c"},
        {" a@b.c ", "", "a@b.c"},
        {"<a@b.c>", "", "a@b.c"},
        {"Name <a@b.c>", "Name", "a@b.c"},
        {"Jan de Vries<jan+x@b.c>", "Jan de Vries", "jan+x@b.c"},
        {"\"Na, me\" <a@b.c>", "Na, me", "a@b.c"},
        {"\"Na \\\"x\\\" <y> @\\\\\" <a@b.c>", "Na \"x\" <y> @\\", "a@b.c"},
        {"Zo\xc3\xab \xf0\x9f\x98\x80 <a@b.c>", "Zo\xc3\xab \xf0\x9f\x98\x80", "a@b.c"},
        {"\"\" <a@b.c>", "", "a@b.c"},
        {"O'Brien (sales) <a@b.c>", "O'Brien (sales)", "a@b.c"},
        {"a@localhost", "", "a@localhost"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct sh_address a;
        struct sh_error err = {0};
        assert_true(sh_address_parse(sh_slice_str(cases[i][0]), &a, &err));
        assert_string_equal(a.name, cases[i][1]);
        assert_string_equal(a.addr, cases[i][2]);
    }
}

static void refused(const char *text, size_t n, const char *why)
{
    struct sh_address a;
    struct sh_error err = {0};
    if (sh_address_parse(sh_slice(text, n), &a, &err))
        fail_msg("accepted: %s", text);
    assert_int_equal(err.code, SH_EINVAL);
    if (!strstr(err.msg, why))
        fail_msg("\"%s\": \"%s\" does not say \"%s\"", text, err.msg, why);
    for (const char *p = err.msg; *p; p++)
        assert_true((unsigned char)*p >= 0x20);
}
#define REFUSED(lit, why) refused(lit, sizeof(lit) - 1, why)

static void bad_addresses_are_refused(void **state)
{
    (void)state;
    REFUSED("", "empty");
    REFUSED("   ", "empty");
    REFUSED("<>", "empty");
    REFUSED("a", "no @");
    REFUSED("@b", "before the @");
    REFUSED("a@", "no domain");
    REFUSED("a@.b", "empty part");
    REFUSED("a@b..c", "empty part");
    REFUSED("a@b.", "empty part");
    REFUSED("a@b@c", "more than one @");
    REFUSED("a@b.c\r\nRCPT TO:<x@y.z>", "control character");
    REFUSED("a@b.c\n", "control character");
    REFUSED("N\rame <a@b.c>", "control character");
    REFUSED("Na\tme <a@b.c>", "control character");
    REFUSED("Na\x7fme <a@b.c>", "control character");
    REFUSED("a\0@b.c", "control character");
    REFUSED("a@b.c> SIZE=9 <x@y.z", "one of <>");
    REFUSED("a@b.c x@y.z", "a space");
    REFUSED("a@b.c,x@y.z", "one of <>");
    REFUSED("\"a\"@b.c", "one of <>");
    REFUSED("a@[127.0.0.1]", "one of <>");
    REFUSED("-odq@b.c", "start with '-'");
    REFUSED("Name <-odq@b.c>", "start with '-'");
    REFUSED("jos\xc3\xa9@b.c", "outside ASCII");
    REFUSED("Na\xffme <a@b.c>", "UTF-8");
    REFUSED("Na\xc0\x80me <a@b.c>", "UTF-8");
    REFUSED("Na\xed\xa0\x80me <a@b.c>", "UTF-8");
    REFUSED("Na\xf4\x90\x80\x80me <a@b.c>", "UTF-8");
    REFUSED("Na\xe2\x82", "UTF-8");
    REFUSED("a@b.c>", "> without a <");
    REFUSED("x@y.z, Name <a@b.c>", "more than one address");
    REFUSED("\"Name <a@b.c>", "no end");
    REFUSED("\"Na\" me <a@b.c>", "no end");
    REFUSED("\"Name\\\" <a@b.c>", "no end");
    REFUSED("Name <a@b.c> x", "a space");
}

static void lengths_are_bounded(void **state)
{
    (void)state;
    char text[600];
    struct sh_address a;
    memset(text, 'a', sizeof(text));
    memcpy(text + 248, "@b.org", 6);
    assert_true(sh_address_parse(sh_slice(text, 254), &a, NULL));
    assert_int_equal(strlen(a.addr), 254);
    memcpy(text + 248, "a@b.or", 6);
    text[254] = 'g';
    refused(text, 255, "longer than 254");
    memset(text, 'n', sizeof(text));
    memcpy(text + 255, "<a@b.c>", 7);
    assert_true(sh_address_parse(sh_slice(text, 262), &a, NULL));
    assert_int_equal(strlen(a.name), 255);
    memcpy(text + 255, "n<a@b.c>", 8);
    refused(text, 263, "longer than 255");
}

/* --- Effects ------------------------------------------------------------------------------- */

static bool email_ok(const char *json, struct sh_error *err)
{
    cJSON *doc = cJSON_Parse(json);
    assert_non_null(doc);
    bool ok = sh_email_check(doc, err);
    cJSON_Delete(doc);
    return ok;
}

static void good_effects_pass(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "{\"to\":[\"a@b.c\"],\"subject\":\"\",\"text\":\"\"}",
        "{\"to\":[\"a@b.c\",\"X <d@e.f>\"],\"cc\":[],\"subject\":\"s\",\"html\":\"<p>\"}",
        "{\"to\":[\"a@b.c\"],\"cc\":null,\"reply_to\":null,\"subject\":\"s\",\"text\":\"t\","
        "\"html\":null}",
        "{\"to\":[\"a@b.c\"],\"cc\":[\"d@e.f\"],\"reply_to\":\"R <r@e.f>\",\"subject\":\"s\","
        "\"text\":\"t\",\"html\":\"h\"}",
        "{\"bcc\":[\"a@b.c\"],\"subject\":\"s\",\"text\":\"t\",\"notify\":\"n\"}",
        "{\"to\":[],\"cc\":[\"a@b.c\"],\"bcc\":[],\"subject\":\"s\",\"text\":\"t\","
        "\"attachments\":[]}",
        "{\"to\":[\"a@b.c\"],\"subject\":\"s\",\"text\":\"t\",\"attachments\":["
        "{\"name\":\"a b.csv\",\"type\":\"text/csv\",\"text\":\"\"},"
        "{\"name\":\"\u65e5.x\",\"type\":\"application/vnd.ms-excel+x\",\"base64\":\"\"},"
        "{\"name\":\"...\",\"type\":\"a/b\",\"base64\":\"QQ==\\r\\n\",\"text\":null}]}",
        "{\"to\":[\"a@b.c\"],\"subject\":\"s\",\"text\":\"t\",\"invitation\":{\"uid\":\"u\","
        "\"start_at\":1781258661903,\"summary\":\"s\"}}",
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct sh_error err = {0};
        if (!email_ok(cases[i], &err))
            fail_msg("%s: %s", cases[i], err.msg);
    }
}

#define HEAD  "{\"to\":[\"a@b.c\"],\"subject\":\"s\",\"text\":\"t\","
#define FILE_ HEAD "\"attachments\":[{"

static void bad_effects_name_the_field(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"[]", "must be a table, not an array"},
        {"{\"subject\":\"s\",\"text\":\"t\"}",
         "no recipient: expected an address in to, cc or bcc"},
        {"{\"to\":\"a@b.c\",\"subject\":\"s\",\"text\":\"t\"}", "not a string"},
        {"{\"to\":[],\"subject\":\"s\",\"text\":\"t\"}",
         "no recipient: expected an address in to, cc or bcc"},
        {"{\"to\":[7],\"subject\":\"s\",\"text\":\"t\"}", "to must be a mail address"},
        {"{\"to\":[\"a@b.c\",\"x\"],\"subject\":\"s\",\"text\":\"t\"}", "to[2]: \"x\" is not"},
        {"{\"to\":[\"a@b.c\\r\\nBcc: d@e.f\"],\"subject\":\"s\",\"text\":\"t\"}", "control"},
        {"{\"to\":[\"a@b.c\"],\"cc\":[true],\"subject\":\"s\",\"text\":\"t\"}", "cc must be"},
        {"{\"to\":[\"a@b.c\"],\"reply_to\":[],\"subject\":\"s\",\"text\":\"t\"}", "reply_to must"},
        {"{\"to\":[\"a@b.c\"],\"text\":\"t\"}", "subject must be a string, not nothing"},
        {"{\"to\":[\"a@b.c\"],\"subject\":\"hi\\r\\nBcc: x@y.z\",\"text\":\"t\"}",
         "subject contains a line break (CR at byte 3)"},
        {"{\"to\":[\"a@b.c\"],\"subject\":\"\\n\",\"text\":\"t\"}", "LF at byte 1"},
        {"{\"to\":[\"a@b.c\"],\"subject\":\"\xff\",\"text\":\"t\"}", "subject is not valid UTF-8"},
        {"{\"to\":[\"a@b.c\"],\"subject\":\"s\"}", "text or html is missing"},
        {"{\"to\":[\"a@b.c\"],\"subject\":\"s\",\"text\":1}", "text must be a string, not a numb"},
        {"{\"to\":[\"a@b.c\"],\"subject\":\"s\",\"html\":\"\xc0\"}", "html is not valid UTF-8"},
        {"{\"to\":[\"a@b.c\"],\"bc\":[\"x@y.z\"],\"subject\":\"s\",\"text\":\"t\"}",
         "unknown field bc; an email has to, cc, bcc"},
        {HEAD "\"bcc\":[\"x\"]}", "bcc: \"x\" is not a mail address"},
        {HEAD "\"bcc\":\"x@y.z\"}", "bcc must be a list"},
        {HEAD "\"notify\":\"\"}", "notify has 0 bytes, expected a name of 1 to 128"},
        {HEAD "\"notify\":true}", "notify must be a string, not a boolean"},
        {HEAD "\"attachments\":{}}", "attachments must be a list of tables, not an object"},
        {HEAD "\"attachments\":[\"x\"]}", "attachments[1] must be a table, not a string"},
        {FILE_ "}]}", "attachments[1].name must be a string, not nothing"},
        {FILE_ "\"name\":\"\"}]}", "attachments[1].name \"\": it must have 1 to 255 bytes"},
        {FILE_ "\"name\":\"../x\"}]}", "attachments[1].name \"../x\": it must not hold / or"},
        {FILE_ "\"name\":\"C:\\\\x\"}]}", "it must not hold / or"},
        {FILE_ "\"name\":\"x\\r\\nBcc: y\"}]}",
         "attachments[1].name \"x??Bcc: y\": it holds a cont"},
        {FILE_ "\"name\":\"..\"}]}", "that is a folder"},
        {FILE_ "\"name\":\"x\"}]}", "attachments[1].type must be a string, not nothing"},
        {FILE_ "\"name\":\"x\",\"type\":\"pdf\"}]}",
         "attachments[1].type \"pdf\": expected a media"},
        {FILE_ "\"name\":\"x\",\"type\":\"a/b; c=d\"}]}", "expected a media type"},
        {FILE_ "\"name\":\"x\",\"type\":\"a/b\\r\\nX: y\"}]}", "expected a media type"},
        {FILE_ "\"name\":\"x\",\"type\":\"Message/rfc822\"}]}", "cannot be attached"},
        {FILE_ "\"name\":\"x\",\"type\":\"a/b\"}]}",
         "attachments[1] needs its content as text or as "
         "base64, it has neither"},
        {FILE_ "\"name\":\"x\",\"type\":\"a/b\",\"text\":\"\",\"base64\":\"\"}]}", "not both"},
        {FILE_ "\"name\":\"x\",\"type\":\"a/b\",\"text\":7}]}",
         "attachments[1].text must be a str"},
        {FILE_ "\"name\":\"x\",\"type\":\"a/b\",\"text\":\"\",\"typ\":\"\"}]}",
         "attachments[1]: unknown field typ; an attachment has name, type, and text or base64"},
        {FILE_ "\"name\":\"x\",\"type\":\"a/b\",\"base64\":\"QQ\"}]}", "is not base64 at byte 3"},
        {FILE_ "\"name\":\"x\",\"type\":\"a/b\",\"base64\":\"Q===\"}]}", "is not base64 at byte 2"},
        {FILE_ "\"name\":\"x\",\"type\":\"a/b\",\"base64\":\"QQ==QQ==\"}]}",
         "not base64 at byte 5"},
        {FILE_ "\"name\":\"x\",\"type\":\"a/b\",\"base64\":\"QR==\"}]}", "is not base64 at byte 4"},
        {FILE_ "\"name\":\"x\",\"type\":\"a/b\",\"base64\":\"QQ=Q\"}]}", "is not base64 at byte 4"},
        {FILE_ "\"name\":\"x\",\"type\":\"a/b\",\"base64\":\"Q Q=\"}]}", "is not base64 at byte 2"},
        {FILE_ "\"name\":\"x\",\"type\":\"a/b\",\"base64\":\"_-__\"}]}", "is not base64 at byte 1"},
        {HEAD "\"invitation\":[]}", "invitation: an invitation must be a table"},
        {HEAD "\"invitation\":{\"uid\":\"u\",\"summary\":\"s\"}}",
         "invitation: start_at is missing"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct sh_error err = {0};
        assert_false(email_ok(cases[i][0], &err));
        assert_int_equal(err.code, SH_EINVAL);
        if (!strstr(err.msg, cases[i][1]))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i][0], err.msg, cases[i][1]);
    }
}

static void effects_are_bounded(void **state)
{
    (void)state;
    char subject[1000];
    memset(subject, 's', sizeof(subject));
    subject[998] = '\0';
    cJSON *doc = cJSON_CreateObject();
    cJSON *to = cJSON_AddArrayToObject(doc, "to");
    for (int i = 0; i < 100; i++)
        cJSON_AddItemToArray(to, cJSON_CreateString("a@b.c"));
    cJSON_AddStringToObject(doc, "subject", subject);
    cJSON_AddStringToObject(doc, "text", "t");
    struct sh_error err = {0};
    assert_true(sh_email_check(doc, &err));
    cJSON_AddItemToArray(to, cJSON_CreateString("a@b.c"));
    assert_false(sh_email_check(doc, &err));
    assert_non_null(strstr(err.msg, "to has 101 addresses"));
    cJSON_DeleteItemFromArray(to, 100);
    subject[998] = 's';
    subject[999] = '\0';
    cJSON_ReplaceItemInObjectCaseSensitive(doc, "subject", cJSON_CreateString(subject));
    assert_false(sh_email_check(doc, &err));
    assert_non_null(strstr(err.msg, "subject has 999 bytes, expected at most 998"));
    cJSON_Delete(doc);
}

static void attachments_are_bounded(void **state)
{
    (void)state;
    const size_t max = 700 * 1024;
    struct sh_error err = {0};
    cJSON *doc = cJSON_Parse(HEAD "\"html\":null}");
    cJSON *list = cJSON_AddArrayToObject(doc, "attachments");
    char *half = sh_alloc(max / 2 + 2, 1), *coded = sh_alloc(max, 1);
    memset(half, 'x', max / 2);
    memset(coded, 'A', max / 2 / 3 * 4 + 4); /* two bytes more than the half */
    for (int i = 0; i < 2; i++) {
        cJSON *file = cJSON_CreateObject();
        cJSON_AddStringToObject(file, "name", "x");
        cJSON_AddStringToObject(file, "type", "a/b");
        cJSON_AddStringToObject(file, i ? "base64" : "text", i ? coded : half);
        cJSON_AddItemToArray(list, file);
    }
    assert_false(sh_email_check(doc, &err));
    assert_non_null(
        strstr(err.msg, "attachments have 716801 bytes together, expected at most 7168"));
    half[max / 2 - 1] = '\0';
    cJSON_ReplaceItemInObject(list->child, "text", cJSON_CreateString(half));
    if (!sh_email_check(doc, &err))
        fail_msg("%s", err.msg);
    cJSON_DeleteItemFromArray(list, 1);
    cJSON_ReplaceItemInObject(list->child, "text", cJSON_CreateString(""));
    for (int i = 0; i < 19; i++)
        cJSON_AddItemToArray(list, cJSON_Duplicate(list->child, true));
    assert_true(sh_email_check(doc, &err));
    cJSON_AddItemToArray(list, cJSON_Duplicate(list->child, true));
    assert_false(sh_email_check(doc, &err));
    assert_non_null(strstr(err.msg, "attachments has 21 items, expected at most 20"));
    free(half);
    free(coded);
    cJSON_Delete(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read),         cmocka_unit_test(bad_addresses_are_refused),
        cmocka_unit_test(lengths_are_bounded),        cmocka_unit_test(good_effects_pass),
        cmocka_unit_test(bad_effects_name_the_field), cmocka_unit_test(effects_are_bounded),
        cmocka_unit_test(attachments_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
