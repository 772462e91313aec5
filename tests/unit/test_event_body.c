/* SPDX-License-Identifier: MIT
 * test_event_body.c: forms and tokens as JSON, and where a fault lies. */
#include "base/limits.h"
#include "core/event_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check_made(enum sh_body_format format, const char *body, const char *json)
{
    struct sh_json_fault fault;
    struct sh_buf made;
    struct sh_slice got;
    if (!sh_event_check(format, sh_slice_str(body), &made, &got, &fault))
        fail_msg("%s: byte %zu: %s", body, fault.byte, fault.msg);
    if (!sh_slice_eq(got, sh_slice_str(json)))
        fail_msg("%s: %.*s", body, (int)got.n, got.p);
    assert_true(sh_json_check(got.p, got.n, &fault));
    sh_buf_free(&made);
}

struct refused {
    const char *body;
    size_t n; /* 0: as far as the NUL */
    size_t byte;
    const char *piece;
};

static void check_refused(enum sh_body_format format, const struct refused *row)
{
    struct sh_json_fault fault = {0};
    struct sh_buf made;
    struct sh_slice got, body = sh_slice(row->body, row->n ? row->n : strlen(row->body));
    if (sh_event_check(format, body, &made, &got, &fault))
        fail_msg("taken: %s", row->body);
    if (fault.byte != row->byte || !strstr(fault.msg, row->piece))
        fail_msg("%s: byte %zu: %s", row->body, fault.byte, fault.msg);
    sh_buf_free(&made);
    assert_false(sh_event_check(format, body, &made, &got, NULL)); /* nobody asks why */
    sh_buf_free(&made);
}

static void forms(void **state)
{
    static const char *const rows[][2] = {
        {"", "{}"},
        {"a=1", "{\"a\":\"1\"}"},
        {"a=1&b=x+y%20z", "{\"a\":\"1\",\"b\":\"x y z\"}"},
        {"a", "{\"a\":\"\"}"},
        {"=x", "{\"\":\"x\"}"},
        {"a=b=c", "{\"a\":\"b=c\"}"},
        {"&&a=1&", "{\"a\":\"1\"}"},
        {"a=1&b=2&a=3&a=", "{\"a\":[\"1\",\"3\",\"\"],\"b\":\"2\"}"},
        {"caf%C3%A9=%e2%82%ac&\xc3\xa9=%F0%9F%98%80", "{\"café\":\"€\",\"é\":\"😀\"}"},
        {"q=%22%5C%2F%0A%01", "{\"q\":\"\\\"\\\\/\\n\\u0001\"}"},
        {"a%5B%5D=1&a[]=2", "{\"a[]\":[\"1\",\"2\"]}"},
        {"%61=1&a=2", "{\"a\":[\"1\",\"2\"]}"},
        {"a=1\r\n", "{\"a\":\"1\"}"},
        {"n=007&m=9007199254740993", "{\"n\":\"007\",\"m\":\"9007199254740993\"}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        check_made(SH_BODY_FORM, rows[i][0], rows[i][1]);
}

static void bad_forms(void **state)
{
    static const struct refused rows[] = {
        {"a=%", 0, 2, "expected two hex digits behind %"},
        {"a=%2", 0, 2, "two hex digits"},
        {"ab=1&c=%zz", 0, 7, "two hex digits"},
        {"a=%4&b=11", 0, 2, "two hex digits"},
        {"a=x%00", 0, 3, "a NUL (%00)"},
        {"a=x\0y", 5, 3, "control byte 0x00"},
        {"a=x\ty", 0, 3, "control byte 0x09 in a form; it is written %09"},
        {"a=1\nb=2", 0, 3, "control byte 0x0a"},
        {"a=x%FFy", 0, 3, "not UTF-8"},
        {"a=%C3%A9%C0%80", 0, 8, "not UTF-8"},
        {"a=\xed\xa0\x80", 0, 2, "not UTF-8"},
        {"a=1&b%e2%82=1", 0, 5, "not UTF-8"},
        {"{\"a\":\"\xff\"}", 0, 6, "not UTF-8"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        check_refused(SH_BODY_FORM, &rows[i]);
}

/* As many fields as may be, one more, and the body that grows most. */
static void many_fields(void **state)
{
    struct sh_buf body;
    struct sh_json_fault fault;
    struct sh_buf made;
    struct sh_slice json;
    (void)state;
    sh_buf_init(&body, 100000);
    for (int i = 0; i < SH_MAX_FORM_FIELDS; i++)
        sh_buf_addf(&body, "%s%c", i ? "&" : "", 'a' + i % 26);
    assert_true(sh_event_json(SH_BODY_FORM, sh_slice(body.data, body.len), &made, &json, &fault));
    assert_true(sh_json_check(json.p, json.n, &fault));
    sh_buf_free(&made);
    size_t at = body.len + 1;
    sh_buf_adds(&body, "&z");
    assert_false(sh_event_json(SH_BODY_FORM, sh_slice(body.data, body.len), &made, &json, &fault));
    assert_int_equal(fault.byte, at);
    assert_non_null(strstr(fault.msg, "more than 1000 fields"));
    sh_buf_free(&made);
    sh_buf_reset(&body);
    for (int i = 0; i < 90; i++)
        sh_buf_addf(&body, "%s%c=\"\"\"\"\\\\\\", i ? "&" : "", '0' + i % 75);
    assert_true(sh_event_json(SH_BODY_FORM, sh_slice(body.data, body.len), &made, &json, &fault));
    assert_true(sh_json_check(json.p, json.n, &fault));
    sh_buf_free(&made);
    sh_buf_free(&body);
}

/* {"alg":"HS256"} . {"call_id":9007199254740993,"state":"hangup"} */
#define PAYLOAD "eyJjYWxsX2lkIjo5MDA3MTk5MjU0NzQwOTkzLCJzdGF0ZSI6Imhhbmd1cCJ9"
#define TOKEN   "eyJhbGciOiJIUzI1NiJ9." PAYLOAD ".c2ln"

static void tokens(void **state)
{
    static const char json[] = "{\"call_id\":9007199254740993,\"state\":\"hangup\"}";
    (void)state;
    check_made(SH_BODY_JWT, TOKEN, json);
    check_made(SH_BODY_JWT, " \r\n" TOKEN "\n", json);
    check_made(SH_BODY_JWT, "e30.e30.", "{}");
}

static void bad_tokens(void **state)
{
    static const struct refused rows[] = {
        {"", 0, 0, "expected a JSON Web Token"},
        {"{}", 0, 0, "expected a JSON Web Token"},
        {"a.b", 0, 0, "expected a JSON Web Token"},
        {"a.b.c.d", 0, 0, "expected a JSON Web Token"},
        {"e30.e3*0.x", 0, 4, "the token's payload is not base64url"},
        {"e30..x", 0, 0, "the token's payload: "},
        {"e30.eyJhIjoiXHUwMDAwIn0.x", 0, 6, "the token's payload: "}, /* {"a":"\u0000"} */
        {"e30.eyJhIjoxLCJhIjoyfQ.x", 0, 8, "the token's payload: "},  /* a twice */
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)

        check_refused(SH_BODY_JWT, &rows[i]);
    check_made(SH_BODY_JWT, "e30.e30g.x", "{} ");
}

static void json_is_itself(void **state)
{
    static const struct refused bad = {"{\"a\":1} x", 0, 8, ""};
    (void)state;
    check_made(SH_BODY_JSON, "{\"a\":1e3 }", "{\"a\":1e3 }");
    check_refused(SH_BODY_JSON, &bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),  cmocka_unit_test(bad_forms),  cmocka_unit_test(many_fields),
        cmocka_unit_test(tokens), cmocka_unit_test(bad_tokens), cmocka_unit_test(json_is_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
