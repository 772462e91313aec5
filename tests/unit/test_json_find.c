/* SPDX-License-Identifier: MIT
 * test_json_find.c: look-ups in raw text, unescaping, quoting. */
#include "svc/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct lookup {
    const char *text, *path;
    enum sh_json_kind kind;
    const char *value;
};

static const struct lookup lookups[] = {
    {"{\"a\":1}", "a", SH_JSON_NUMBER, "1"},
    {" \n{ \"a\" : \"x\" , \"b\" : -1.5e3 } ", "b", SH_JSON_NUMBER, "-1.5e3"},
    {" \n{ \"a\" : \"x\" , \"b\" : -1.5e3 } ", "a", SH_JSON_STRING, "x"},
    {"{\"a\":null,\"b\":true,\"c\":false}", "a", SH_JSON_NULL, "null"},
    {"{\"a\":null,\"b\":true,\"c\":false}", "b", SH_JSON_TRUE, "true"},
    {"{\"a\":null,\"b\":true,\"c\":false}", "c", SH_JSON_FALSE, "false"},
    {"{\"a\":null}", "A", SH_JSON_NONE, ""},
    {"{\"a\":\"\"}", "a", SH_JSON_STRING, ""},
    {"{\"a\":[1, {\"]\":\"}\"}],\"b\":2}", "a", SH_JSON_ARRAY, "[1, {\"]\":\"}\"}]"},
    {"{\"a\":{ \"x\": [] },\"b\":2}", "a", SH_JSON_OBJECT, "{ \"x\": [] }"},
    {"{\"a\":{ \"x\": [] },\"b\":2}", "b", SH_JSON_NUMBER, "2"},
    {"{\"x\":\"\\\"b\\\":1\\\\\",\"b\":2}", "b", SH_JSON_NUMBER, "2"},
    {"{\"x\":\"\\\\\\\"\",\"b\":2}", "b", SH_JSON_NUMBER, "2"},
    {"{\"a\":\"q\\\"\\u00e9\"}", "a", SH_JSON_STRING, "q\\\"\\u00e9"},
    /* paths */
    {"{\"a\":{\"b\":{\"c\":7}}}", "a.b.c", SH_JSON_NUMBER, "7"},
    {"{\"a\":{\"b\":{\"c\":7}}}", "a.b.x", SH_JSON_NONE, ""},
    {"{\"a\":{\"b\":{\"c\":7}}}", "a.b.c.d", SH_JSON_NONE, ""},
    {"{\"a\":{\"b\":1},\"a.b\":2}", "a.b", SH_JSON_NUMBER, "2"},
    {"{\"a.b\":2,\"a\":{\"b\":1}}", "a.b", SH_JSON_NUMBER, "2"},
    {"{\"a\":{\"b.c\":2}}", "a.b.c", SH_JSON_NONE, ""},
    {"{\"a\":[10,[20,30],{\"b\":40}]}", "a.0", SH_JSON_NUMBER, "10"},
    {"{\"a\":[10,[20,30],{\"b\":40}]}", "a.1.1", SH_JSON_NUMBER, "30"},
    {"{\"a\":[10,[20,30],{\"b\":40}]}", "a.2.b", SH_JSON_NUMBER, "40"},
    {"{\"a\":[10,[20,30],{\"b\":40}]}", "a.3", SH_JSON_NONE, ""},
    {"{\"a\":[10]}", "a.00", SH_JSON_NONE, ""},
    {"{\"a\":[10]}", "a.-1", SH_JSON_NONE, ""},
    {"{\"a\":[10]}", "a.x", SH_JSON_NONE, ""},
    {"{\"a\":[10]}", "a.", SH_JSON_NONE, ""},
    {"{\"a\":[ ]}", "a.0", SH_JSON_NONE, ""},
    {"{\"a\":{\"0\":5}}", "a.0", SH_JSON_NUMBER, "5"},
    {"[ 1 , 2 ]", "1", SH_JSON_NUMBER, "2"},
    {"[{\"a\":3}]", "0.a", SH_JSON_NUMBER, "3"},
    {"{\"\":{\"\":1}}", ".", SH_JSON_NUMBER, "1"},
    {"{\"\":4}", "", SH_JSON_NUMBER, "4"},
    {"{}", "a", SH_JSON_NONE, ""},
    {"7", "a", SH_JSON_NONE, ""},
    {"\"a\"", "a", SH_JSON_NONE, ""},
    /* names that are written with escapes */
    {"{\"k\\u0065y\":1}", "key", SH_JSON_NUMBER, "1"},
    {"{\"k\\u0065y\":1}", "k\\u0065y", SH_JSON_NONE, ""},
    {"{\"a\\\\n\":1,\"a\\n\":2}", "a\\n", SH_JSON_NUMBER, "1"},
    {"{\"a\\\\n\":1,\"a\\n\":2}", "a\n", SH_JSON_NUMBER, "2"},
    {"{\"\\u00e9\":1}", "é", SH_JSON_NUMBER, "1"},
    {"{\"\\ud83d\\ude00\":1}", "😀", SH_JSON_NUMBER, "1"},
    {"{\"ke\":1,\"keyy\":2,\"k\\u0065yy\\u0079\":3}", "key", SH_JSON_NONE, ""},
};

static void finds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(lookups) / sizeof(*lookups); i++) {
        const struct lookup *l = &lookups[i];
        struct sh_slice v;
        size_t len = strlen(l->text);
        char *exact = malloc(len);
        memcpy(exact, l->text, len);
        assert_true(sh_json_check(exact, len, NULL));
        enum sh_json_kind kind = sh_json_find(sh_slice(exact, len), l->path, &v);
        if (kind != l->kind || !sh_slice_eq(v, sh_slice_str(l->value)))
            fail_msg("%s in %s: %s, %.*s", l->path, l->text, sh_json_kind_name(kind), (int)v.n,
                     v.n ? v.p : "");
        free(exact);
    }
}

static void unescapes(void **state)
{
    static const struct {
        const char *raw, *plain;
    } rows[] = {
        {"", ""},
        {"plain é", "plain é"},
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
        {"a\\u0041\\u00e9\\u20AC\\ud83d\\ude00z", "aAé€😀z"},
        {"\\u07ff\\u0800\\uffff\\udbff\\udfff", "\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf4\x8f\xbf\xbf"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct sh_buf out;
        sh_buf_init(&out, 100);
        sh_buf_adds(&out, ">");
        sh_json_unescape(sh_slice_str(rows[i].raw), &out);
        assert_string_equal(out.data + 1, rows[i].plain);
        sh_buf_free(&out);
    }
}

static void quotes(void **state)
{
    static const char text[] = "a\"b\\c\x01\x1f\b\f\n\r\t\x7f/é😀, and then a longer plain run";
    struct sh_buf out, back;
    (void)state;
    sh_buf_init(&out, 1000);
    sh_buf_init(&back, 1000);
    sh_json_quote(&out, sh_slice_str(text));
    assert_string_equal(out.data, "\"a\\\"b\\\\c\\u0001\\u001f\\b\\f\\n\\r\\t\x7f/é😀, and then a "
                                  "longer plain run\"");
    assert_true(sh_json_check(out.data, out.len, NULL));
    sh_json_unescape(sh_slice(out.data + 1, out.len - 2), &back);
    assert_string_equal(back.data, text);
    sh_buf_reset(&out);
    sh_json_quote(&out, sh_slice(NULL, 0));
    assert_string_equal(out.data, "\"\"");
    sh_buf_free(&out);
    sh_buf_free(&back);
}

static void names_kinds(void **state)
{
    (void)state;
    assert_string_equal(sh_json_kind_name(SH_JSON_NONE), "nothing");
    assert_string_equal(sh_json_kind_name(SH_JSON_NULL), "null");
    assert_string_equal(sh_json_kind_name(SH_JSON_NUMBER), "a number");
    assert_string_equal(sh_json_kind_name(SH_JSON_OBJECT), "an object");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds),
        cmocka_unit_test(unescapes),
        cmocka_unit_test(quotes),
        cmocka_unit_test(names_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
