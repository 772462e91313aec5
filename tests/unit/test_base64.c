/* SPDX-License-Identifier: MIT
 * test_base64.c: base64 as RFC 4648 has it, section 10's vectors first. */
#include "svc/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const vectors[][2] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
};

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        struct sh_buf b;
        sh_buf_init(&b, 100);
        sh_base64_write(&b, sh_slice_str(vectors[i][0]), SH_BASE64);
        assert_string_equal(b.data ? b.data : "", vectors[i][1]);
        sh_buf_reset(&b);
        assert_true(sh_base64_read(&b, sh_slice_str(vectors[i][1]), SH_BASE64));
        assert_string_equal(b.data ? b.data : "", vectors[i][0]);
        sh_buf_free(&b);
    }
}

static void test_url(void **state)
{
    (void)state;
    struct sh_buf b;
    sh_buf_init(&b, 100);
    assert_true(sh_base64_read(&b, SH_SLICE("-_-_Zg"), SH_BASE64_URL));
    assert_int_equal(b.len, 4);
    assert_memory_equal(b.data, "\xfb\xff\xbf\x66", 4);
    sh_buf_reset(&b);
    sh_base64_write(&b, SH_SLICE("\xfb\xff\xbf\x66"), SH_BASE64_URL);
    assert_string_equal(b.data, "-_-_Zg");
    sh_buf_free(&b);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"Z",     "Zg",       "Zg=",   "Zh==",    "Zm9=",
                                      "Zm9v=", "Zg==Zg==", "Zm 9v", "Zm9v\n",  "-_-_",
                                      "====",  "=",        "Z===",  "Zm9v===="};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct sh_buf b;
        sh_buf_init(&b, 100);
        sh_buf_adds(&b, "kept");
        assert_false(sh_base64_read(&b, sh_slice_str(bad[i]), SH_BASE64));
        assert_string_equal(b.data, "kept");
        sh_buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_url),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
