/* SPDX-License-Identifier: MIT
 * test_store_forget_match.c: what stands for a call within a text, and what it costs to look. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/forget_impl.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct sh_forget *of_token(const char *token)
{
    const struct sh_phone_number number = {0};
    struct sh_forget *f = sh_forget_new(&number, true);
    sh_forget_note_token(f, sh_slice_str(token));
    return f;
}

static void test_fronts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool touched;
    } cases[] = {
        {"call-12345", true},
        {"of call-12345.", true},
        {"call-12345-1", true},
        {"call-12345-a-long-tail-of-parts", true},
        {"call-12345@pbx.example.org", true},
        {"{\"id\":\"call-12345_x\"}", true},
        {"call-123456", false},
        {"call-123456-1", false},
        {"xcall-12345", false},
        {"call-1234", false},
        {"callcallcallcall", false},
        {"", false},
    };
    struct sh_forget *f = of_token("call-12345");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        if (sh_forget_touches(f, sh_slice_str(cases[i].text)) != cases[i].touched)
            fail_msg("%s", cases[i].text);
    sh_forget_free(f);
}

/* Events come in while a caller is forgotten: no text may take the store's thread for long. */
static void test_long_words(void **state)
{
    (void)state;
    static const char *const parts[] = {"a-", "a.", "aaaaaaaa-", "a", "0-", "a- "};
    struct sh_forget *f = of_token("call-12345");
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        const size_t n = 1000000;
        char *text = malloc(n);
        assert_non_null(text);
        for (size_t k = 0; k < n; k++)
            text[k] = parts[i][k % strlen(parts[i])];
        const clock_t from = clock();
        assert_false(sh_forget_touches(f, sh_slice(text, n)));
        if (clock() - from > 4 * CLOCKS_PER_SEC)
            fail_msg("%s: %ld ms", parts[i], (long)((clock() - from) * 1000 / CLOCKS_PER_SEC));
        free(text);
    }
    sh_forget_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fronts),
        cmocka_unit_test(test_long_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
