/* SPDX-License-Identifier: MIT
 * test_print.c: what reaches a terminal, and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/input.h"
#include "app/options.h"
#include "app/print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check_escape(const char *in, size_t n, const char *expected)
{
    struct sh_buf out;
    sh_buf_init(&out, 1000);
    sh_print_escape(&out, sh_slice(in, n));
    assert_string_equal(out.data ? out.data : "", expected);
    sh_buf_free(&out);
}

#define ESCAPED(in, expected) check_escape(in, sizeof(in) - 1, expected)

static void test_escape(void **state)
{
    (void)state;
    ESCAPED("", "");
    ESCAPED("plain, né, €, 😀", "plain, né, €, 😀");
    ESCAPED("a\nb\tc\rd", "a\\nb\\tc\\rd");
    ESCAPED("\x1b[31m\x7f", "\\x1b[31m\\x7f");
    ESCAPED("a\0b", "a\\x00b");
    ESCAPED("\xc2\x9b", "\\u009b");             /* C1: acts as ESC [ on some terminals */
    ESCAPED("\xe2\x80\xae", "\\u202e");         /* turns the direction of text */
    ESCAPED("\xff\xc0\x80", "\\xff\\xc0\\x80"); /* not UTF-8; overlong */
    ESCAPED("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* a surrogate */
    ESCAPED("\xe2\x82", "\\xe2\\x82");          /* cut off */
    ESCAPED("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
}

static void test_text_keeps_lines(void **state)
{
    (void)state;
    char *data = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&data, &size);
    sh_print_text(f, "one\ntwo\x1b\n\nend", "  ");
    fputc('|', f);
    sh_print_text(f, "one\ntwo", NULL);
    fputc('|', f);
    sh_print_text(f, "", "  ");
    fclose(f);
    assert_string_equal(data, "one\n  two\\x1b\n  \n  end|one\\ntwo|");
    free(data);
}

static const struct sh_option options[] = {{"data", "DIR", ""}, {"json", NULL, ""}};
static const struct sh_command command = {
    .name = "x", .options = options, .n_options = 2, .min_args = 1, .max_args = 2};

static void test_options(void **state)
{
    (void)state;
    char c[] = "x", data[] = "--data", dir[] = "d", json[] = "--json", a[] = "a", dash[] = "-",
         both[] = "--data=e", end[] = "--", last[] = "--json";
    struct sh_options o;
    char *one[] = {c, data, dir, json, a, dash, NULL};
    assert_int_equal(sh_options_parse(&command, 6, one, &o), -1);
    assert_string_equal(sh_options_get(&o, "data"), "d");
    assert_non_null(sh_options_get(&o, "json"));
    assert_int_equal(o.n_args, 2);
    assert_string_equal(o.args[1], "-");
    sh_options_clear(&o);
    char *two[] = {c, data, dir, both, end, last, NULL}; /* the last one counts */
    assert_int_equal(sh_options_parse(&command, 6, two, &o), -1);
    assert_string_equal(sh_options_get(&o, "data"), "e");
    assert_null(sh_options_get(&o, "json"));
    assert_string_equal(o.args[0], "--json");
    sh_options_clear(&o);
    char *none[] = {c, NULL};
    assert_int_equal(sh_options_parse(&command, 1, none, &o), SH_EXIT_USAGE);
    sh_options_clear(&o);
    char *many[] = {c, a, a, a, NULL};
    assert_int_equal(sh_options_parse(&command, 4, many, &o), SH_EXIT_USAGE);
    sh_options_clear(&o);
}

/* A file's bodies; the test's own file, removed again. */
static void read_inputs(const char *name, const char *text, struct sh_inputs *in)
{
    struct sh_error err;
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    bool ok = sh_inputs_add(in, name, &err);
    remove(name);
    assert_true(ok);
}

static void test_inputs(void **state)
{
    (void)state;
    struct sh_inputs in = {0};
    struct sh_error err;
    char lines[64], value[64];
    snprintf(lines, sizeof(lines), "/tmp/switchhook-input-%d.jsonl", (int)getpid());
    snprintf(value, sizeof(value), "/tmp/switchhook-input-%d.json", (int)getpid());
    read_inputs(lines, "{\"a\":1}\n\n  \r\n{\"b\":2}", &in);
    assert_int_equal(in.n, 2);
    assert_true(in.items[1].is_line);
    assert_true(sh_slice_eq(in.items[1].sent.body, SH_SLICE("{\"b\":2}")));
    assert_string_equal(in.items[1].name + strlen(lines), ":4");
    read_inputs(value, "{\"a\":1}\n{\"b\":2}\n",
                &in); /* one body, and a bad one: not ours to say */
    assert_int_equal(in.n, 3);
    assert_int_equal(in.items[2].sent.body.n, 16);
    assert_false(in.items[2].is_line);
    assert_false(sh_inputs_add(&in, "/nonexistent/file", &err));
    assert_non_null(strstr(err.msg, "/nonexistent/file"));
    sh_inputs_add_text(&in, "name", "text");
    assert_int_equal(in.n, 4);
    sh_inputs_clear(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_text_keeps_lines),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_inputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
