/* SPDX-License-Identifier: MIT
 * test_path_pattern.c: paths of sources with named segments. */
#include "core/path_pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h> /* last: needs the four above */

static bool is(struct sh_slice got, const char *want)
{
    return got.p && sh_slice_eq(got, sh_slice_str(want));
}

static void test_match(void **state)
{
    (void)state;
    struct sh_path_args args;
    assert_true(sh_path_match("/hooks/pbx/{tenant}/{kind}", "/hooks/pbx/acme/hangup", &args));
    assert_int_equal(args.n, 2);
    assert_true(is(sh_path_arg(&args, "tenant"), "acme"));
    assert_true(is(sh_path_arg(&args, "kind"), "hangup"));
    assert_null(sh_path_arg(&args, "other").p);
    assert_true(sh_path_match("/hooks/webphone", "/hooks/webphone", &args));
    assert_int_equal(args.n, 0);
    assert_true(sh_path_match("/", "/", NULL));
    assert_true(sh_path_match("/{a}/end", "/x y/end", &args));
    assert_true(is(sh_path_arg(&args, "a"), "x y"));
}

static void test_no_match(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "",          "/",        "/a",        "/a/",      "/a//b",    "/a/x/b/",
        "/a/x/c",    "/b/x/b",   "a/x/b",     "//a/x/b",  "/a/x/b/c", "/a/x/B",
        "/a/\x01/b", "/a/x\n/b", "/a/\x7f/b", "/a/x/y/b", "/A/x/b",
    };
    struct sh_path_args args;
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        assert_false(sh_path_match("/a/{x}/b", paths[i], &args));
        assert_int_equal(args.n, 0);
    }
    assert_false(sh_path_match("/hooks/webphone", "/hooks/webphone/", NULL));
    assert_false(sh_path_match("/hooks/webphone", "/hooks", NULL));
}

static void test_check(void **state)
{
    (void)state;
    static const char *const good[] = {"/", "/a/b", "/{a}", "/a/{b_2}/c/{d}",
                                       "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}"};
    static const char *const bad[] = {
        "/{}",    "/{A}",   "/{a",   "/a}",   "/x{a}",    "/{a}x",
        "/{{a}}", "/{a-b}", "/{1a}", "/{a }", "/{a}/{a}", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}",
    };
    struct sh_error err;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_true(sh_path_pattern_check(good[i], &err));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(sh_path_pattern_check(bad[i], &err));
    assert_false(sh_path_pattern_check("/hooks/x{a}", &err));
    assert_non_null(strstr(err.msg, "\"x{a}\""));
}

static void test_has(void **state)
{
    (void)state;
    assert_true(sh_path_pattern_has("/a/{secret}", "secret"));
    assert_false(sh_path_pattern_has("/a/{secrets}", "secret"));
    assert_false(sh_path_pattern_has("/a/secret", "secret"));
    assert_true(sh_path_pattern_has("/a/{x}", NULL));
    assert_false(sh_path_pattern_has("/a/x", NULL));
}

static void test_overlap(void **state)
{
    (void)state;
    assert_true(sh_path_pattern_overlap("/a/b", "/a/b"));
    assert_true(sh_path_pattern_overlap("/a/{x}", "/a/b"));
    assert_true(sh_path_pattern_overlap("/a/b", "/a/{x}"));
    assert_true(sh_path_pattern_overlap("/a/{x}/c", "/a/b/{y}"));
    assert_false(sh_path_pattern_overlap("/a/{x}", "/a"));
    assert_false(sh_path_pattern_overlap("/a/{x}", "/a/"));
    assert_false(sh_path_pattern_overlap("/a/{x}/c", "/a/b/d"));
    assert_false(sh_path_pattern_overlap("/a/{x}", "/a/b/c"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match), cmocka_unit_test(test_no_match), cmocka_unit_test(test_check),
        cmocka_unit_test(test_has),   cmocka_unit_test(test_overlap),
    };
    return cmocka_run_group_tests_name("path_pattern", tests, NULL, NULL);
}
