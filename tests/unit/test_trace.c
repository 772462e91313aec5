/* SPDX-License-Identifier: MIT
 * test_trace.c: traceparent, by the words of W3C Trace Context level 1. */
#include "core/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* The specification's own example, section 3.2.1. */
#define ID     "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static void taken(void **state)
{
    static const char *const pairs[][2] = {
        {"00-" ID "-" PARENT "-01", "00-" ID "-" PARENT "-01"},
        {"00-" ID "-" PARENT "-00", "00-" ID "-" PARENT "-00"},
        {"00-" ID "-" PARENT "-ff", "00-" ID "-" PARENT "-01"}, /* unknown flags are not passed */
        {"00-" ID "-" PARENT "-0e", "00-" ID "-" PARENT "-00"},
        {"cc-" ID "-" PARENT "-01", "00-" ID "-" PARENT "-01"}, /* a version to come */
        {"cc-" ID "-" PARENT "-01-what-is-this", "00-" ID "-" PARENT "-01"},
        {"fe-" ID "-" PARENT "-01-", "00-" ID "-" PARENT "-01"},
    };
    char out[SH_TRACE_TEXT];
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        assert_true(sh_trace_read(pairs[i][0], out));
        assert_string_equal(out, pairs[i][1]);
    }
}

static void refused(void **state)
{
    static const char *const bad[] = {
        "",
        "00",
        "00-" ID "-" PARENT,
        "00-" ID "-" PARENT "-1",
        "00-" ID "-" PARENT "-01-extra", /* version 00 has no more */
        "00-" ID "-" PARENT "-01 ",
        " 00-" ID "-" PARENT "-01",
        "ff-" ID "-" PARENT "-01",
        "0x-" ID "-" PARENT "-01",
        "CC-" ID "-" PARENT "-01",
        "cc-" ID "-" PARENT "-01.x",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",
        "00-" ID "-00F067AA0BA902B7-01",
        "00-" ID "-" PARENT "-0G",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" ID "-0000000000000000-01",
        "00_" ID "-" PARENT "-01",
        "00-" ID "." PARENT "-01",
        "00-" ID "0" PARENT "-01",
        "00-" ID "-" PARENT "-01,00-" ID "-" PARENT "-01",
    };
    char out[SH_TRACE_TEXT];
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_false(sh_trace_read(bad[i], out));
        assert_string_equal(out, "");
    }
    assert_false(sh_trace_read(NULL, out));
}

static void sent_on(void **state)
{
    char a[SH_TRACE_TEXT], b[SH_TRACE_TEXT], c[SH_TRACE_TEXT], d[SH_TRACE_TEXT];
    (void)state;
    sh_trace_next("00-" ID "-" PARENT "-01", SH_SLICE("key"), a);
    sh_trace_next("00-" ID "-" PARENT "-01", SH_SLICE("key"), b);
    sh_trace_next("00-" ID "-" PARENT "-00", SH_SLICE("other"), c);
    assert_string_equal(a, b);
    assert_true(sh_trace_read(a, d)); /* well-formed itself */
    assert_string_equal(a, d);
    assert_memory_equal(a, "00-" ID "-", 36);
    assert_string_equal(a + 52, "-01");
    assert_string_equal(c + 52, "-00");
    assert_memory_not_equal(a + 36, PARENT, 16);
    assert_memory_not_equal(a + 36, c + 36, 16);
    assert_true(sh_slice_eq(sh_trace_id(a), SH_SLICE(ID)));
    assert_int_equal(sh_trace_id(NULL).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taken),
        cmocka_unit_test(refused),
        cmocka_unit_test(sent_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
