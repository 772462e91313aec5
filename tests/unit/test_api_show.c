/* SPDX-License-Identifier: MIT
 * test_api_show.c: what of a body a person recognises its event by, what a viewer sees of it, and
 * what a search finds. */
#include "app/api_show.h"
#include "svc/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct sh_source_config source;
static struct sh_config config;
static char *paths[20];

static void set_show(size_t n, const char *const *list)
{
    for (size_t i = 0; i < n; i++)
        paths[i] = (char *)(uintptr_t)list[i];
    paths[n] = NULL;
    source = (struct sh_source_config){.source.name = (char *)(uintptr_t) "hook", .show = paths};
    config = (struct sh_config){.sources = &source, .n_sources = 1};
}
#define SHOW(...)                                                                                  \
    set_show(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *),                          \
             (const char *const[]){__VA_ARGS__})

static cJSON *shown(const struct sh_masking *mask, const char *name, const char *body)
{
    struct sh_error err;
    cJSON *tree = sh_json_parse(body, strlen(body), &err);
    assert_non_null(tree);
    cJSON *show = sh_show(&config, mask, name, tree);
    cJSON_Delete(tree);
    return show;
}

static void expect(const struct sh_masking *mask, const char *name, const char *body,
                   const char *wanted)
{
    cJSON *show = shown(mask, name, body);
    struct sh_buf text;
    sh_buf_init(&text, 100000);
    assert_true(sh_json_print(show, &text));
    assert_string_equal(text.data, wanted);
    sh_buf_free(&text);
    cJSON_Delete(show);
}

static void scalars_at_their_paths(void **state)
{
    (void)state;
    SHOW("a", "b.c", "list.1.x", "b", "list", "none", "b.none.c", "flag", "big", "empty", "null",
         "d.e");
    expect(NULL, "hook",
           "{\"a\":\"x\",\"b\":{\"c\":1.5},\"list\":[0,{\"x\":\"in a list\"}],\"flag\":false,"
           "\"big\":9007199254740993,\"empty\":\"\",\"null\":null,\"d.e\":\"as it is\","
           "\"d\":{\"e\":\"below\"}}",
           "{\"a\":\"x\",\"b.c\":1.5,\"list.1.x\":\"in a list\",\"flag\":false,"
           "\"big\":9007199254740993,\"d.e\":\"as it is\"}");
    expect(NULL, "hook", "[]", "{}");
    expect(NULL, "hook", "\"text\"", "{}");
    SHOW("0.a", "list.9999999", "list.-1", "list.1x", "list.");
    expect(NULL, "hook", "[{\"a\":1}]", "{\"0.a\":1}");
    expect(NULL, "hook", "{\"list\":[1,2]}", "{}");
    cJSON *none = sh_show(&config, NULL, "hook", NULL);
    assert_null(none->child);
    cJSON_Delete(none);
}

static void the_list_that_is_built_in(void **state)
{
    (void)state;
    SHOW("a");
    source.show = NULL;
    expect(
        NULL, "hook",
        "{\"event\":\"call_stop\",\"remote_number\":\"030\",\"remote_name\":\"B\","
        "\"from\":{\"name\":\"L\"},\"call_result\":null,\"analysis\":{\"sentiment\":\"neutral\"}}",
        "{\"remote_name\":\"B\",\"remote_number\":\"030\",\"analysis.sentiment\":\"neutral\"}");
    expect(NULL, "rules",
           "{\"repository\":{\"full_name\":\"o/r\"},\"action\":\"opened\","
           "\"sender\":{\"login\":\"s\"}}",
           "{\"repository.full_name\":\"o/r\",\"action\":\"opened\",\"sender.login\":\"s\"}");
    cJSON *show = shown(NULL, "hook",
                        "{\"remote_name\":1,\"remote_number\":1,\"user_email\":1,\"local_name\":1,"
                        "\"direction\":1,\"call_result\":1,\"duration_sec\":1,\"From\":1,\"To\":1,"
                        "\"from\":1,\"to\":1,\"action\":1,\"name\":1}");
    assert_int_equal(cJSON_GetArraySize(show), SH_SHOW_DEFAULT);
    cJSON_Delete(show);
    source.show = paths; /* one that names none shows none */
    paths[0] = NULL;
    expect(NULL, "hook", "{\"remote_name\":\"B\"}", "{}");
}

/* {"a":"éé..."}, so many of them, and more behind them. */
static char *many(int n, const char *more)
{
    struct sh_buf text;
    sh_buf_init(&text, 10000);
    sh_buf_adds(&text, "{\"a\":\"");
    for (int i = 0; i < n; i++)
        sh_buf_adds(&text, "é");
    sh_buf_addf(&text, "%s\"}", more);
    return sh_buf_take(&text, &(size_t){0});
}

static void long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    char *over = many(SH_SHOW_CHARS + 1, ""), *cut = many(SH_SHOW_CHARS, "…");
    char *whole = many(SH_SHOW_CHARS, "");
    SHOW("a");
    expect(NULL, "hook", over, cut);
    expect(NULL, "hook", whole, whole);
    free(over);
    free(cut);
    free(whole);
}

static bool finds_it(const struct sh_masking *mask, const char *q, const char *id, const char *type,
                     const char *key, const cJSON *show)
{
    return sh_show_names(&config, mask, q, id, type, key) || sh_show_has(&config, q, show);
}

static char *fields_of(const char *text)
{
    return sh_strdup(text);
}

/* What the mask blanks in the body by its place there is blanked under its path. */
static void as_the_body_is_masked(void **state)
{
    (void)state;
    char *fields[] = {fields_of("analysis.*"), fields_of("caller.name"), fields_of("body.secret"),
                      NULL};
    const struct sh_masking mask = {.numbers = true, .fields = fields};
    SHOW("analysis.sentiment", "caller.name", "name", "secret", "people.0.number", "call_id",
         "caller.number", "text");
    const char *body = "{\"analysis\":{\"sentiment\":\"negative\"},\"caller\":{\"name\":\"Ann\","
                       "\"number\":31612345678},\"name\":\"Bob\",\"secret\":1,\"people\":"
                       "[{\"number\":\"0612345678\"}],\"call_id\":\"12345678901\",\"text\":"
                       "\"call 0612345678\"}";
    cJSON *show = shown(&mask, "hook", body);
    assert_string_equal(sh_json_string(show, "analysis.sentiment"), "***");
    assert_string_equal(sh_json_string(show, "caller.name"), "***");
    assert_string_equal(sh_json_string(show, "name"), "Bob");
    assert_string_equal(sh_json_string(show, "secret"), "***");
    assert_string_equal(sh_json_string(show, "call_id"), "12345678901");
    assert_null(strstr(sh_json_string(show, "people.0.number"), "123456"));
    assert_null(strstr(sh_json_string(show, "caller.number"), "123456"));
    assert_null(strstr(sh_json_string(show, "text"), "123456"));
    assert_true(finds_it(&mask, "BOB", "id", "t", "k", show));
    static const char *const unseen[] = {"negative", "Ann", "0612345678", "12345678",
                                         "31612345678"};
    cJSON_DeleteItemFromObjectCaseSensitive(show, "call_id");
    for (size_t i = 0; i < sizeof(unseen) / sizeof(*unseen); i++) {
        if (finds_it(&mask, unseen[i], "id", "t", "k", show))
            fail_msg("\"%s\" is found by who may not see it", unseen[i]);
        if (finds_it(&mask, unseen[i], "id", "t", "+31612345678", show))
            fail_msg("\"%s\" is found in a key that is masked", unseen[i]);
    }
    assert_true(finds_it(NULL, "0612345678", "id", "t", "+31612345678", NULL));
    cJSON_Delete(show);
    for (char **f = fields; *f; f++)
        free(*f);
}

/* A number that would be cut in the middle is blanked first. */
static void masked_before_it_is_cut(void **state)
{
    (void)state;
    const struct sh_masking mask = {.numbers = true};
    char body[1000];
    SHOW("a");
    snprintf(body, sizeof(body), "{\"a\":\"%0*d +31612345678 \"}", SH_SHOW_CHARS - 6, 0);
    memset(body + 6, 'x', SH_SHOW_CHARS - 6);
    cJSON *show = shown(&mask, "hook", body);
    assert_null(strstr(sh_json_string(show, "a"), "3161"));
    cJSON_Delete(show);
}

/* The quick look never says no to what is found. */
static bool finds(const char *q, const char *country, const char *body)
{
    cJSON *show = shown(NULL, "hook", body);
    config.country = (char *)(uintptr_t)country;
    if (sh_show_has(&config, q, show) && !sh_show_may_have(&config, NULL, q, sh_slice_str(body)))
        fail_msg("\"%s\" would not be looked for", q);
    const bool has = finds_it(NULL, q, "the-id", "call_stop", "key-9", show);
    config.country = NULL;
    cJSON_Delete(show);
    return has;
}

static void finding(void **state)
{
    (void)state;
    SHOW("name", "number", "n", "flag");
    const char *body = "{\"name\":\"Müller & Zoon\",\"number\":\"+31 (30) 987-65.43\",\"n\":4711,"
                       "\"flag\":true,\"hidden\":\"not shown\"}";
    static const char *const found[] = {"müller",     "ZOON",        "& z",   "(30)",
                                        "0309876543", "+31 30-9876", "471",   "4711",
                                        "the-id",     "CALL_",       "key-9", "00313098"};
    static const char *const not_found[] = {"mueller", "not shown", "true", "the-i",
                                            "999",     "00",        "  ",   "0316"};
    for (size_t i = 0; i < sizeof(found) / sizeof(*found); i++)
        if (!finds(found[i], NULL, body))
            fail_msg("\"%s\" is not found", found[i]);
    for (size_t i = 0; i < sizeof(not_found) / sizeof(*not_found); i++)
        if (finds(not_found[i], NULL, body))
            fail_msg("\"%s\" is found", not_found[i]);
    assert_true(finds("+31 30 9876543", "31", "{\"number\":\"0309876543\"}"));
    assert_true(finds("0031309876543", "31", "{\"number\":\"030 9876543\"}"));
    assert_false(finds("+31 30 9876543", NULL, "{\"number\":\"0309876543\"}"));
}

static void a_quick_look(void **state)
{
    (void)state;
    SHOW("name", "n");
    config.country = NULL;
    const struct sh_slice plain =
        SH_SLICE("{\"name\":\"M\\nZo\303\251\",\"n\":1.50,\"x\":\"06-12\"}");
    static const char *const may[] = {"zo",  "1.5",  "50", "0612", "150",
                                      "a/b", "a\"b", "\t", "*",    "x…"};
    static const char *const not [] = {"zoo", "9", "0613", "none"};
    for (size_t i = 0; i < sizeof(may) / sizeof(*may); i++)
        assert_true(sh_show_may_have(&config, NULL, may[i], plain));
    for (size_t i = 0; i < sizeof(not ) / sizeof(*not ); i++)
        assert_false(sh_show_may_have(&config, NULL, not [i], plain));
    assert_true(sh_show_may_have(&config, NULL, "none", SH_SLICE("{\"name\":\"\\u006eone\"}")));
    const struct sh_masking numbers = {.numbers = true};
    char *names[] = {"name", NULL};
    const struct sh_masking fields = {.fields = names};
    assert_true(sh_show_may_have(&config, &numbers, "0699", plain)); /* as if it were there */
    assert_false(sh_show_may_have(&config, &numbers, "nobody", plain));
    assert_true(sh_show_may_have(&config, &fields, "nobody", plain));
    assert_true(finds("none", NULL, "{\"name\":\"\\u006eone\"}"));
    assert_true(finds("a/b \"c", NULL, "{\"name\":\"a\\/b \\\"c\\\"\"}"));
    assert_true(finds("b\nc", NULL, "{\"name\":\"ab\\nc\"}"));
    assert_true(finds("1.50", NULL, "{\"n\":1.50}"));
    assert_true(finds("123", NULL, "{\"name\":\"1\\n2\\t3\"}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_at_their_paths),
        cmocka_unit_test(the_list_that_is_built_in),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(as_the_body_is_masked),
        cmocka_unit_test(masked_before_it_is_cut),
        cmocka_unit_test(finding),
        cmocka_unit_test(a_quick_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
