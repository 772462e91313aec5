/* SPDX-License-Identifier: MIT
 * test_phone_number.c: one number in all its writings, and none but that one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/phone_number.h"

#include <string.h>

static struct sh_phone_number number(const char *text, const char *country)
{
    struct sh_phone_number n;
    struct sh_error err;
    if (!sh_phone_number_parse(&n, text, country, &err))
        fail_msg("%s: %s", text, err.msg);
    return n;
}

static void found(const struct sh_phone_number *n, const char *text, bool want)
{
    if (sh_phone_number_within(n, sh_slice_str(text)) != want)
        fail_msg("%s: %s", want ? "not found in" : "found in", text);
}

static void test_from_any_writing(void **state)
{
    (void)state;
    static const char *const writings[] = {
        "+31612345678",
        "0031612345678",
        "31612345678",
        "0612345678",
        "612345678",
        "06-12345678",
        "06 12 34 56 78",
        "(06) 1234 5678",
        "+31 6 12345678",
        "+31 (0)6 12345678",
        "06.1234.5678",
        "tel:+31-6-12345678",
        ("+31\xc2\xa0"
         "612345678"),
    };
    for (size_t i = 0; i < sizeof(writings) / sizeof(*writings); i++) {
        struct sh_phone_number n = number(writings[i], "31");
        assert_string_equal(n.digits, "31612345678");
    }
    assert_string_equal(number("+1 (212) 555-0123", NULL).digits, "12125550123");
    assert_string_equal(number("212-555-0123", "1").digits, "12125550123");
    assert_string_equal(number("+39 06 1234 5678", NULL).digits, "390612345678");
    assert_string_equal(number("+45 12 34 56 78", NULL).digits, "4512345678");
    assert_string_equal(number("8 495 123-45-67", "7").digits, "74951234567");
    assert_string_equal(number("+353 1 234 5678", NULL).digits, "35312345678");
}

static void test_what_is_no_number(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",   "+",     "00",        "abc",         "+31",
        "12", "+3161", "anonymous", "0612345678x", "+316123456789012345678901234567890"};
    struct sh_phone_number n;
    struct sh_error err;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        if (sh_phone_number_parse(&n, texts[i], "31", &err))
            fail_msg("taken as a number: \"%s\"", texts[i]);
    assert_false(sh_phone_number_parse(&n, "0612345678", NULL, &err));
    assert_non_null(strstr(err.msg, "country"));
}

static void test_is_found(void **state)
{
    (void)state;
    const struct sh_phone_number n = number("+31612345678", NULL);
    static const char *const texts[] = {
        "+31612345678",
        "{\"remote_number\":\"0612345678\"}",
        "{\"remote_number\":31612345678}",
        "{\"remote_number\":612345678}",
        "{\"n\":\"0031 6 12 34 56 78\",\"x\":1}",
        "number=%2B31612345678&x=1",
        "number=%2B31+6+1234+5678",
        "number=%30%36%31%32%33%34%35%36%37%38",
        "{\"n\":\"\\u002b31612345678\"}",
        "{\"n\":\"\\u0030612345678\"}",
        "{\"n\":\"06\\/12345678\"}",
        "call (06) 12345678 back",
        ("call 06\xe2\x80\x91"
         "12345678 back"),
        "+31 (0)6 12345678",
        "+31(0)612345678",
        "2026-06-12 0612345678",
        "2026-06-12 10:00 +31612345678",
        "0612345678 9 times",
        "sip:31612345678@example.org",
        "call_0612345678",
        "011 31 612345678",
        /* {"n":"+31612345678"} as base64, base64url within a token, and twice */
        "eyJuIjoiKzMxNjEyMzQ1Njc4In0=",
        "eyJhbGciOiJIUzI1NiJ9.eyJuIjoiKzMxNjEyMzQ1Njc4In0.c2lnbmF0dXJlMTIzNDU2",
        "{\"jwt\":\"eyJuIjoiKzMxNjEyMzQ1Njc4In0\"}",
        "ZXlKdUlqb2lLek14TmpFeU16UTFOamM0SW4wPQ==",
        /* quoted-printable, with a soft line break in the number */
        "Call =2B316123=\r\n45678 =E2=82=AC",
        "Subject: =?utf-8?Q?Please_call_=2B31612345678?=",
        "Subject: =?utf-8?B?UGxlYXNlIGNhbGwgKzMxNjEyMzQ1Njc4?=",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        found(&n, texts[i], true);
}

static void test_base64_over_lines(void **state)
{
    (void)state;
    const struct sh_phone_number n = number("+31612345678", NULL);
    found(&n,
          "VGhpcyBpcyBhIGxvbmcgbGluZSBvZiB0ZXh0IHRoYXQgaXMgd3JhcHBlZCBpbiBtYWlsOiBwbGVh\r\n"
          "c2UgY2FsbCArMzE2MTIzNDU2NzggYmFjayBzb29uLg==\r\n",
          true);
    /* the number itself lies over the break: "...call +3161" "2345678 ..." */
    found(&n,
          "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eCBjYWxsICszMTYx\r\n"
          "MjM0NTY3OCBub3c=\r\n",
          true);
}

static void test_is_not_found(void **state)
{
    (void)state;
    const struct sh_phone_number n = number("+31612345678", NULL);
    static const char *const texts[] = {
        "",
        "0612345679",
        "06123456789",  /* longer */
        "10612345678",  /* in another */
        "+49612345678", /* another country's */
        "+49 612345678",
        "+49 0612345678",
        "0049 612345678",
        "+49 (0)612345678",
        "020 612345678", /* another town's */
        "316123456780",
        "1316123456",
        "{\"at\":1612345678}",    /* seconds */
        "{\"at\":1612345678123}", /* milliseconds */
        "{\"amount\":61234567.8}",
        "019756a2-3c1e-7000-8000-061234567890",
        "345678",
        "12345678",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        found(&n, texts[i], false);
    /* what begins as the number and goes on behind a mark is taken for it: "0612345678 9 times" */
    found(&n, "06-12345678-9012", true);
}

static void test_short_numbers_need_all(void **state)
{
    (void)state;
    const struct sh_phone_number n = number("+45 12345678", NULL);
    found(&n, "12 34 56 78", true);
    found(&n, "4512345678", true);
    found(&n, "030 12345678", false);
    found(&n, "+49 30 12345678", false);
    found(&n, "112345678", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_any_writing), cmocka_unit_test(test_what_is_no_number),
        cmocka_unit_test(test_is_found),         cmocka_unit_test(test_base64_over_lines),
        cmocka_unit_test(test_is_not_found),     cmocka_unit_test(test_short_numbers_need_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
