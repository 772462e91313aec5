/* SPDX-License-Identifier: MIT
 * test_log.c: what is blanked and what is not; lines of both formats. */
#include "base/buf.h"
#include "base/log.h"
#include "base/mask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void expect_masked(const char *text, const char *masked)
{
    struct sh_buf b;
    sh_buf_init(&b, 4096);
    sh_mask_numbers(&b, sh_slice_str(text));
    assert_string_equal(b.data ? b.data : "", masked);
    sh_buf_free(&b);
}

static void numbers_keep_two_digits(void **state)
{
    (void)state;
    expect_masked("+31612345678", "+*********78");
    expect_masked("0612345678", "********78");
    expect_masked("call +31 6 1234 5678 back", "call +** * **** **78 back");
    expect_masked("(020) 123-45.67, please", "(***) ***-**.67, please");
    expect_masked("sip:0201234567@example.org", "sip:********67@example.org");
    expect_masked("tel0612345678", "tel********78");
    expect_masked("x_0612345678_y", "x_********78_y");
    expect_masked("1234567", "*****67");
    expect_masked("\"0612345678\" and \"0687654321\"", "\"********78\" and \"********21\"");
    expect_masked("31.20.123.45.67", "**.**.***.**.67");
    expect_masked("020.123.45.67", "***.***.**.67");
    expect_masked("20261126101112", "************12");
    expect_masked("0612345678 seconds", "********78 seconds");
}

static void what_is_no_number_stays(void **state)
{
    static const char *const same[] = {
        "",
        "123456",
        "rules/a.lua:12: field 3 of 4",
        "0198c3a2-1234-7890-9012-001122334455",
        "event 01234567-1234-7890-9012-001122334455.",
        "2026-11-26T10:03:46.123Z",
        "since 2026-11-26 10:03:46",
        "on 2026-11-26, at 9",
        "connect to 192.168.100.200:8080",
        "00000000000000000000000000000000a1",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "body of 12345678 bytes, the limit is 1048576 bytes",
        "after 10000000 ms",
        "100,000,000",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
        expect_masked(same[i], same[i]);
}

static void expect_fields(const char *text, const char *masked)
{
    static const char *const names[] = {"name", "transcript", NULL};
    struct sh_buf b;
    sh_buf_init(&b, 4096);
    sh_mask_fields(&b, sh_slice_str(text), names);
    assert_string_equal(b.data ? b.data : "", masked);
    sh_buf_free(&b);
}

static void named_fields_are_blanked(void **state)
{
    (void)state;
    expect_fields("{\"name\":\"Jane \\\"J\\\" Doe\",\"n\":1}", "{\"name\":***,\"n\":1}");
    expect_fields("Transcript: hello, then", "Transcript: ***, then");
    expect_fields("name = 'x y' z", "name = *** z");
    expect_fields("username: bob", "username: bob");
    expect_fields("a name", "a name");
    expect_fields("name:", "name:");
    expect_fields("name: \"no end", "name: ***");
    expect_fields("name: \"ends in \\", "name: ***");
}

/* One record, as it was written. Caller frees. */
static char *line_of(void (*say)(void))
{
    int ends[2], was = dup(2);
    char *text = calloc(1, 65536);
    size_t n = 0;
    assert_int_equal(pipe(ends), 0);
    assert_true(was >= 0 && dup2(ends[1], 2) == 2);
    say();
    dup2(was, 2);
    close(was);
    close(ends[1]);
    for (ssize_t got; (got = read(ends[0], text + n, 65535 - n)) > 0;)
        n += (size_t)got;
    close(ends[0]);
    return text;
}

static void expect_line(void (*say)(void), const char *end)
{
    char *line = line_of(say);
    const size_t n = strlen(line), m = strlen(end);
    assert_true(n > m);
    assert_string_equal(line + n - m, end);
    assert_ptr_equal(strchr(line, '\n'), line + n - 1); /* one line, whatever is in it */
    free(line);
}

static void say_odd_values(void)
{
    sh_log(SH_LOG_WARN, "odd \"one\"", "error", "a\nb=\x7f", "event",
           "01234567-1234-7890-9012-001122334455", "number", "0612345678", "generation", "12345678",
           "size", SH_NUM(12345678), "less", SH_NUM(-1), "none", (const char *)NULL, NULL);
}

static void say_false_number(void)
{
    sh_info("x", "a", "\x01", "b", "\x01-", "c",
            "\x01"
            "12345678x");
}

static void say_bad_utf8(void)
{
    sh_info("x", "a", "\xff\xc3\xa9\xe2\x82");
}

static char long_text[3000];

static void say_long_value(void)
{
    sh_info("x", "a", long_text);
}

static void say_long_line(void)
{
    sh_info("x", "file", long_text, "file", long_text, "file", long_text, "file", long_text, "file",
            long_text, "file", long_text, "file", long_text);
}

/* What a terminal may obey: C1 as UTF-8 and as a byte, and bytes that are no text. */
static void say_controls(void)
{
    sh_info("x", "a", "Zo\xc3\xab", "b",
            "/\xc2\x9b"
            "31m",
            "c",
            "/\x9b"
            "31m");
}

static void logfmt_lines(void **state)
{
    (void)state;
    sh_log_set_format(SH_LOG_LOGFMT);
    expect_line(say_odd_values, " level=warn msg=\"odd \\\"one\\\"\" error=\"a\\nb=\\x7f\""
                                " event=01234567-1234-7890-9012-001122334455 number=********78"
                                " generation=12345678 size=12345678 less=-1 none=\"\"\n");
    expect_line(say_false_number, " a=\"\\x01\" b=\"\\x01-\" c=\"\\x01******78x\"\n");
    expect_line(say_controls, " level=info msg=x a=Zo\xc3\xab b=\"/\\x9b31m\" c=\"/\\x9b31m\"\n");
}

static void json_lines(void **state)
{
    (void)state;
    sh_log_set_format(SH_LOG_JSON);
    expect_line(say_controls, ",\"level\":\"info\",\"msg\":\"x\",\"a\":\"Zo\xc3\xab\",\"b\":"
                              "\"/\\u009b31m\",\"c\":\"/\xef\xbf\xbd"
                              "31m\"}\n");
    expect_line(say_odd_values,
                ",\"level\":\"warn\",\"msg\":\"odd \\\"one\\\"\",\"error\":\"a\\u000ab=\\u007f\","
                "\"event\":\"01234567-1234-7890-9012-001122334455\",\"number\":\"********78\","
                "\"generation\":\"12345678\",\"size\":12345678,\"less\":-1,\"none\":\"\"}\n");
    expect_line(say_bad_utf8, "\"a\":\"\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\"}\n");
    char *line = line_of(say_odd_values);
    assert_memory_equal(line, "{\"time\":\"20", 11);
    free(line);
    sh_log_set_format(SH_LOG_LOGFMT);
}

static void long_values_are_cut(void **state)
{
    (void)state;
    memset(long_text, 'x', sizeof(long_text) - 1);
    memcpy(long_text + SH_LOG_VALUE_BYTES - 1, "\xc3\xa9", 2); /* not through a character */
    expect_line(say_long_value, "xxx... (2500 bytes more)\"\n");
    memset(long_text, 'x', sizeof(long_text) - 1);
    const enum sh_log_format formats[] = {SH_LOG_LOGFMT, SH_LOG_JSON};
    for (int i = 0; i < 2; i++) {
        sh_log_set_format(formats[i]);
        expect_line(say_long_line, i ? "xxx\"}\n" : "xxx\n");
    }
    sh_log_set_format(SH_LOG_LOGFMT);
}

static void say_named(void)
{
    sh_info("x", "error", "bad name: \"Jane\" of 0612345678", "Transcript", "hello", "event", "e");
}

static void masks_are_set(void **state)
{
    static const char *const names[] = {"name", "transcript", NULL};
    const struct sh_log_mask none = {.numbers = false}, usual = {.numbers = true},
                             named = {.numbers = true, .names = names};
    (void)state;
    sh_log_set_mask(&named);
    expect_line(say_named, " error=\"bad name: *** of ********78\" Transcript=*** event=e\n");
    sh_log_set_mask(&none);
    expect_line(say_named,
                " error=\"bad name: \\\"Jane\\\" of 0612345678\" Transcript=hello event=e\n");
    sh_log_set_mask(&usual);
}

static void say_debug(void)
{
    sh_debug("quiet");
    sh_info("heard");
}

static void levels_and_names(void **state)
{
    enum sh_log_level level;
    enum sh_log_format format;
    (void)state;
    expect_line(say_debug, "msg=heard\n");
    sh_log_set_level(SH_LOG_ERROR);
    char *line = line_of(say_debug);
    assert_string_equal(line, "");
    free(line);
    sh_log_set_level(SH_LOG_INFO);
    assert_true(sh_log_level_of("warn", &level) && level == SH_LOG_WARN);
    assert_true(sh_log_format_of("json", &format) && format == SH_LOG_JSON);
    assert_false(sh_log_level_of("warning", &level));
    assert_false(sh_log_format_of("", &format));
    assert_string_equal(sh_log_level_name(SH_LOG_DEBUG), "debug");
    assert_string_equal(sh_log_format_name(SH_LOG_LOGFMT), "logfmt");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_keep_two_digits),
        cmocka_unit_test(what_is_no_number_stays),
        cmocka_unit_test(named_fields_are_blanked),
        cmocka_unit_test(logfmt_lines),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(long_values_are_cut),
        cmocka_unit_test(masks_are_set),
        cmocka_unit_test(levels_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
