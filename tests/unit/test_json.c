/* SPDX-License-Identifier: MIT
 * test_json.c: what is refused and where, what passes and comes back the same, exact numbers,
 * names. */
#include "base/limits.h"
#include "svc/json.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEXT(s) s, sizeof(s) - 1
#define KEYS_40                                                                                    \
    "\"k0\":0,\"k1\":1,\"k2\":2,\"k3\":3,\"k4\":4,\"k5\":5,\"k6\":6,\"k7\":7,\"k8\":8,\"k9\":9,"   \
    "\"l0\":0,\"l1\":1,\"l2\":2,\"l3\":3,\"l4\":4,\"l5\":5,\"l6\":6,\"l7\":7,\"l8\":8,\"l9\":9,"   \
    "\"m0\":0,\"m1\":1,\"m2\":2,\"m3\":3,\"m4\":4,\"m5\":5,\"m6\":6,\"m7\":7,\"m8\":8,\"m9\":9,"   \
    "\"n0\":0,\"n1\":1,\"n2\":2,\"n3\":3,\"n4\":4,\"n5\":5,\"n6\":6,\"n7\":7,\"n8\":8,\"n9\":9"

struct refused {
    const char *text;
    size_t len, byte, line, col;
    const char *piece; /* of the message */
};

static void check_refused(const struct refused *row)
{
    struct sh_json_fault f = {.line = 0};
    struct sh_error err = {.code = SH_OK};
    char *exact = malloc(row->len ? row->len : 1); /* no NUL behind: nothing may look there */
    memcpy(exact, row->text, row->len);
    if (sh_json_check(exact, row->len, &f))
        fail_msg("passed: %s", row->text);
    if (f.byte != row->byte || f.line != row->line || f.col != row->col)
        fail_msg("%s: byte %zu, %zu:%zu, expected %zu, %zu:%zu (%s)", row->text, f.byte, f.line,
                 f.col, row->byte, row->line, row->col, f.msg);
    if (!strstr(f.msg, row->piece))
        fail_msg("%s: \"%s\" does not say \"%s\"", row->text, f.msg, row->piece);
    assert_null(sh_json_parse(exact, row->len, &err));
    assert_int_equal(err.code, SH_EINVAL);
    assert_non_null(strstr(err.msg, row->piece));
    free(exact);
}

#define CHECK_REFUSED(rows)                                                                        \
    for (size_t i = 0; i < sizeof(rows) / sizeof(*(rows)); i++)                                    \
    check_refused(&(rows)[i])

static void refuses_broken_structure(void **state)
{
    static const struct refused rows[] = {
        {TEXT(""), 0, 1, 1, "the text ends, expected a value"},
        {TEXT(" \n "), 3, 2, 2, "the text ends"},
        {TEXT("{"), 1, 1, 2, "expected a key in \" or '}'"},
        {TEXT("["), 1, 1, 2, "expected a value"},
        {TEXT("{\"a\""), 4, 1, 5, "expected ':'"},
        {TEXT("{\"a\":"), 5, 1, 6, "expected a value"},
        {TEXT("{\"a\":1"), 6, 1, 7, "',' or '}'"},
        {TEXT("{\"a\":1,}"), 7, 1, 8, "'}' found, expected a key in \" after ','"},
        {TEXT("[1,]"), 3, 1, 4, "']' found, expected a value"},
        {TEXT("[1 2]"), 3, 1, 4, "'2' found, expected ',' or ']'"},
        {TEXT("[1}"), 2, 1, 3, "'}' found"},
        {TEXT("{1:2}"), 1, 1, 2, "'1' found, expected a key"},
        {TEXT("{'a':2}"), 1, 1, 2, "single quote"},
        {TEXT("{\n  \"a\": 1\n  \"b\": 2\n}"), 13, 3, 3, "'\"' found, expected ',' or '}'"},
        {TEXT("True"), 0, 1, 1, "'T' found"},
        {TEXT("tru"), 0, 1, 1, "'t' found"},
        {TEXT("nullx"), 4, 1, 5, "expected the end"},
        {TEXT("NaN"), 0, 1, 1, "'N' found"},
        {TEXT("Infinity"), 0, 1, 1, "'I' found"},
        {TEXT("// no\n1"), 0, 1, 1, "'/' found"},
    };
    (void)state;
    CHECK_REFUSED(rows);
}

/* Bytes that cJSON alone takes for white space, or leaves unread. */
static void refuses_bytes_around_the_value(void **state)
{
    static const struct refused rows[] = {
        {TEXT("{\"a\":1} x"), 8, 1, 9, "'x' found, expected the end"},
        {TEXT("{}{}"), 2, 1, 3, "expected the end"},
        {TEXT("{\"a\":1}\n{\"a\":2}\n"), 8, 2, 1, "expected the end"},
        {TEXT("{}\0{}"), 2, 1, 3, "control byte 0x00"},
        {TEXT("{}\0"), 2, 1, 3, "control byte 0x00"},
        {TEXT("\x01{}"), 0, 1, 1, "control byte 0x01"},
        {TEXT("[\v1]"), 1, 1, 2, "control byte 0x0b"},
        {TEXT("[1\f]"), 2, 1, 3, "control byte 0x0c"},
        {TEXT("\xef\xbb\xbf{}"), 0, 1, 1, "byte order mark"},
        {TEXT("\0\0\0{\0\0\0}"), 0, 1, 1, "control byte 0x00"},
        {TEXT("\xff\xfe{\0}\0"), 0, 1, 1, "byte 0xff (not UTF-8)"},
        {TEXT("{\xc2\xa0}"), 1, 1, 2, "U+00A0 found"},
    };
    (void)state;
    CHECK_REFUSED(rows);
}

static void refuses_typographic_quotes(void **state)
{
    static const struct refused rows[] = {
        {TEXT("{“a”: 1}"), 1, 1, 2,
         "typographic quote U+201C found, expected a straight \" (0x22): the text was probably "
         "copied from a document"},
        {TEXT("{\n  \"a\": “x”\n}"), 9, 2, 8, "typographic quote U+201C"},
        {TEXT("{\"a\": ”x\"}"), 6, 1, 7, "typographic quote U+201D"},
        {TEXT("[‘x’]"), 1, 1, 2, "typographic quote U+2018"},
        {TEXT("[1, ’x’]"), 4, 1, 5, "typographic quote U+2019"},
        {TEXT("“x”"), 0, 1, 1, "typographic quote U+201C"},
        {TEXT("{\"a\": 1, “b”: 2}"), 9, 1, 10, "typographic quote U+201C"},
        {TEXT("{\"a”: 1, \"b\": 2}"), 12, 1, 13, "typographic quote U+201D at line 1, column 4"},
        {TEXT("{\"a\": \"x”\n}"), 11, 1, 12, "typographic quote U+201D at line 1, column 9"},
        {TEXT("[\"x”]"), 7, 1, 8, "typographic quote U+201D at line 1, column 4"},
    };
    (void)state;
    CHECK_REFUSED(rows);
}

static void refuses_bad_strings(void **state)
{
    static const struct refused rows[] = {
        {TEXT("\"abc"), 4, 1, 5, "inside the string that begins at line 1, column 1"},
        {TEXT("[\n \"abc\\"), 8, 2, 7, "begins at line 2, column 2"},
        {TEXT("\"abc\\\""), 6, 1, 7, "ends inside the string"},
        {TEXT("\"a\nb\""), 2, 1, 3, "line break inside a string"},
        {TEXT("\"a\tb\""), 2, 1, 3,
         "control byte 0x09 inside a string, expected it escaped as \\t"},
        {TEXT("\"12345678\x1f\""), 9, 1, 10, "control byte 0x1f"},
        {TEXT("{\"a\":\"x\0y\"}"), 7, 1, 8, "U+0000 is not accepted"},
        {TEXT("{\"a\":\"x\\u0000y\"}"), 7, 1, 8, "U+0000 is not accepted"},
        {TEXT("{\"id\\u0000x\":1}"), 4, 1, 5, "U+0000 is not accepted"},
        {TEXT("\"\\x41\""), 1, 1, 2, "unknown escape: 'x' found after \\"},
        {TEXT("\"\\u12g4\""), 1, 1, 2, "\\u without four hex digits"},
        {TEXT("\"\\u12"), 1, 1, 2, "\\u without four hex digits"},
        {TEXT("\"\\ud800\""), 1, 1, 2, "lone surrogate \\ud800"},
        {TEXT("\"\\ud800\\u0041\""), 1, 1, 2, "lone surrogate"},
        {TEXT("\"\\udc00\\ud800\""), 1, 1, 2, "lone surrogate \\udc00"},
        {TEXT("\"\\ud83d\\ud83d\""), 1, 1, 2, "lone surrogate"},
    };
    (void)state;
    CHECK_REFUSED(rows);
}

static void refuses_bad_utf8(void **state)
{
    static const struct refused rows[] = {
        {TEXT("\"\xff\""), 1, 1, 2, "byte 0xff inside a string is not UTF-8"},
        {TEXT("\"\x80\""), 1, 1, 2, "byte 0x80"},
        {TEXT("\"\xc0\x80\""), 1, 1, 2, "byte 0xc0"},
        {TEXT("\"\xc1\xbf\""), 1, 1, 2, "byte 0xc1"},
        {TEXT("\"\xe0\x9f\xbf\""), 1, 1, 2, "byte 0xe0"},
        {TEXT("\"\xed\xa0\x80\""), 1, 1, 2, "byte 0xed"},
        {TEXT("\"\xf0\x8f\xbf\xbf\""), 1, 1, 2, "byte 0xf0"},
        {TEXT("\"\xf4\x90\x80\x80\""), 1, 1, 2, "byte 0xf4"},
        {TEXT("\"\xf8\x88\x80\x80\x80\""), 1, 1, 2, "byte 0xf8"},
        {TEXT("\"abc\xe2\x82\""), 4, 1, 5, "byte 0xe2"},
        {TEXT("\"\xc3"), 1, 1, 2, "byte 0xc3"},
        {TEXT("{\"\xe9t\xe9\":1}"), 2, 1, 3, "byte 0xe9"},
    };
    (void)state;
    CHECK_REFUSED(rows);
}

static void refuses_bad_numbers(void **state)
{
    static const struct refused rows[] = {
        {TEXT("007"), 0, 1, 1, "no leading zeros"},
        {TEXT("-01"), 0, 1, 1, "no leading zeros"},
        {TEXT("0x1F"), 1, 1, 2, "'x' found"},
        {TEXT("+1"), 0, 1, 1, "'+' found"},
        {TEXT(".5"), 0, 1, 1, "'.' found"},
        {TEXT("-"), 1, 1, 2, "expected a digit after '-'"},
        {TEXT("1."), 2, 1, 3, "expected a digit behind the decimal point"},
        {TEXT("[1.e3]"), 3, 1, 4, "'e' found, expected a digit behind the decimal point"},
        {TEXT("1e"), 2, 1, 3, "expected a digit of the exponent"},
        {TEXT("1e+"), 3, 1, 4, "expected a digit of the exponent"},
        {TEXT("1_000"), 1, 1, 2, "'_' found"},
        {TEXT("[9223372036854775808]"), 1, 1, 2, "integer 9223372036854775808 does not fit 64"},
        {TEXT("-9223372036854775809"), 0, 1, 1, "integer -9223372036854775809 does not fit"},
        {TEXT("123456789012345678901234567890"), 0, 1, 1, "integer 123456789012345678901234... "},
        {TEXT("[1e400]"), 1, 1, 2, "too large for a double"},
        {TEXT("-1.8e308"), 0, 1, 1, "too large for a double"},
        {TEXT("1e99999999999999999999"), 0, 1, 1, "too large for a double"},
    };
    (void)state;
    CHECK_REFUSED(rows);
}

static void refuses_duplicate_keys(void **state)
{
    static const struct refused rows[] = {
        {TEXT("{\"a\":1,\"a\":2}"), 8, 1, 9, "key \"a\" appears twice"},
        {TEXT("{\"\":1,\"\":2}"), 7, 1, 8, "key \"\" appears twice"},
        {TEXT("{\"a\":1,\"\\u0061\":2}"), 8, 1, 9, "key \"\\u0061\" appears twice"},
        {TEXT("{\"\\/\":1,\"\\u002f\":2}"), 9, 1, 10, "appears twice"},
        {TEXT("{\"é\":1,\"\\u00e9\":2}"), 9, 1, 10, "appears twice"},
        {TEXT("{\"\\ud83d\\ude00\":1,\"😀\":2}"), 19, 1, 20, "appears twice"},
        {TEXT("[{\"x\":{\"a\":1,\"b\":2,\"a\":3}}]"), 20, 1, 21, "key \"a\" appears twice"},
        {TEXT("{\"a\":{\"b\":{}},\"b\":0,\n\"a\":2}"), 22, 2, 2, "key \"a\" appears twice"},
        {TEXT("{" KEYS_40 ",\"m5\":1}"), 282, 1, 283, "key \"m5\" appears twice"},
        {TEXT("{" KEYS_40 ",\"k\\u0030\":1,\"m5\":1,\"k1\":1}"), 282, 1, 283, "key \"k\\u0030\""},
        {TEXT("[{" KEYS_40 "},{" KEYS_40 ",\"z\":0,\"z\":1}]"), 571, 1, 572, "key \"z\""},
    };
    (void)state;
    CHECK_REFUSED(rows);
}

struct passes {
    const char *text;
    const char *printed; /* NULL: as it was */
};

static void check_passes(const struct passes *row)
{
    struct sh_json_fault f;
    struct sh_error err;
    struct sh_buf out;
    size_t len = strlen(row->text);
    char *exact = malloc(len);
    memcpy(exact, row->text, len);
    if (!sh_json_check(exact, len, &f))
        fail_msg("%s refused: byte %zu: %s", row->text, f.byte, f.msg);
    cJSON *tree = sh_json_parse(exact, len, &err);
    if (!tree)
        fail_msg("%s does not parse: %s", row->text, err.msg);
    sh_buf_init(&out, 1 << 20);
    assert_true(sh_json_print(tree, &out));
    assert_string_equal(out.data, row->printed ? row->printed : row->text);
    assert_true(sh_json_check(out.data, out.len, &f));
    sh_buf_free(&out);
    cJSON_Delete(tree);
    free(exact);
}

static const struct passes passes[] = {
    {"null", NULL},
    {" \t\r\n[ ] \r\n", "[]"},
    {"{ }", "{}"},
    {"[[],{},[{}],\"\"]", NULL},
    {"{\"a\" : [ true , false , null ] }", "{\"a\":[true,false,null]}"},
    {"{\"ID\":1,\"id\":2,\"Id\":3}", NULL},
    {"{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":2}]}", NULL},
    {"{" KEYS_40 "}", NULL},
    {"[{" KEYS_40 "},{" KEYS_40 "}]", NULL},
    {"\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\"", NULL},
    {"\"\\/\\u00e9\\u20ac\\ud83d\\ude00\\u0041\\u0009\"", "\"/é€😀A\\t\""},
    {"\"can’t “quote” ‘this’?\x7f\"", NULL},
    {"\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80"
     "\xf4\x8f\xbf\xbf\"",
     NULL},
    {"{\"\\u006bey\":1}", "{\"key\":1}"},
    {"[0,-0,7,-7,999999999999999,-999999999999999]", NULL},
    {"[9007199254740991,9007199254740992,9007199254740993,-9007199254740993]", NULL},
    {"[5000000000000001,4503599627370497,1700000000123,1000000000000000]", NULL},
    {"[9223372036854775807,-9223372036854775808]", NULL},
    {"[1.0,1.50,1e3,1E+2,1e-2,-0.0,0e0,0.1,0.30000000000000004]", NULL},
    {"[1.7976931348623157e308,5e-324,1e-400,123456789012345678901234567890e0]", NULL},
    {"{\"n\":0.1000000000000000055511151231257827021181583404541015625123456789}", NULL},
    {"[\"12\",34,{\"5\":-6.0},\"\\\"7\",8.0]", NULL},
};

static void passes_and_comes_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(passes) / sizeof(*passes); i++)
        check_passes(&passes[i]);
}

static char *repeat(const char *what, size_t n)
{
    struct sh_buf b;
    sh_buf_init(&b, 64 << 20);
    for (size_t i = 0; i < n; i++)
        sh_buf_adds(&b, what);
    return sh_buf_take(&b, NULL);
}

static void limits_depth_and_nodes(void **state)
{
    struct sh_json_fault f;
    char *open = repeat("[", SH_JSON_MAX_DEPTH + 1), *shut = repeat("]", SH_JSON_MAX_DEPTH + 1);
    char *ok = sh_strf("%s%s", open + 1, shut + 1), *deep = sh_strf("%s%s", open, shut);
    struct passes row = {ok, NULL};
    (void)state;
    check_passes(&row);
    assert_false(sh_json_check(deep, strlen(deep), &f));
    assert_int_equal(f.byte, SH_JSON_MAX_DEPTH);
    assert_non_null(strstr(f.msg, "nested deeper than 64 levels"));

    char *zeros = repeat("0,", SH_JSON_MAX_NODES - 1); /* with the array one node less than most */
    size_t n = strlen(zeros);
    char *full = sh_strf("[%.*s]", (int)(n - 1), zeros), *over = sh_strf("[%s0]", zeros);
    assert_true(sh_json_check(full, strlen(full), &f));
    assert_false(sh_json_check(over, strlen(over), &f));
    assert_int_equal(f.byte, 1 + n);
    assert_non_null(strstr(f.msg, "more than 200000 values"));
    free(open);
    free(shut);
    free(ok);
    free(deep);
    free(zeros);
    free(full);
    free(over);
}

static void limits_length_of_numbers(void **state)
{
    struct sh_json_fault f;
    char *digits = repeat("1", SH_JSON_MAX_NUMBER_BYTES - 2);
    char *ok = sh_strf("[0.%s]", digits), *over = sh_strf("[0.%s1]", digits);
    struct passes row = {ok, NULL};
    (void)state;
    check_passes(&row);
    assert_false(sh_json_check(over, strlen(over), &f));
    assert_int_equal(f.byte, 1);
    assert_non_null(strstr(f.msg, "number of 1101 bytes, expected at most 1100"));
    free(digits);
    free(ok);
    free(over);
}

/* As many keys as nodes allow: some of their 32-bit hashes are equal. */
static void many_keys(void **state)
{
    struct sh_json_fault f;
    struct sh_buf b;
    (void)state;
    sh_buf_init(&b, 16 << 20);
    sh_buf_addc(&b, '{');
    for (int i = 0; i < SH_JSON_MAX_NODES - 2; i++)
        sh_buf_addf(&b, "\"key number %d\":0,", i);
    size_t at = b.len + 1;
    sh_buf_adds(&b, "\"key number x\":0}");
    assert_true(sh_json_check(b.data, b.len, &f));
    b.data[at + strlen("key number ")] = '7';
    assert_false(sh_json_check(b.data, b.len, &f));
    assert_int_equal(f.byte, at);
    assert_non_null(strstr(f.msg, "key \"key number 7\" appears twice"));
    sh_buf_free(&b);
}

static void message_cuts_a_long_key(void **state)
{
    struct sh_json_fault f;
    char *key = repeat("é", 100), *text = sh_strf("{\"x%s\":1,\"x%s\":2}", key, key);
    (void)state;
    assert_false(sh_json_check(text, strlen(text), &f));
    assert_int_equal(f.byte, 208);
    char *shown = sh_strf("key \"x%.*s\"... appears twice", 29 * 2, key);
    assert_non_null(strstr(f.msg, shown));
    free(shown);
    free(key);
    free(text);
}

static void check_and_find_need_no_text(void **state)
{
    struct sh_slice v;
    (void)state;
    assert_false(sh_json_check(NULL, 0, NULL));
    assert_null(sh_json_parse(NULL, 0, NULL));
    assert_int_equal(sh_json_find(sh_slice(NULL, 0), "a", &v), SH_JSON_NONE);
}

/* ---- Numbers ---- */

static void numbers_keep_their_text(void **state)
{
    static const char text[] = "[9007199254740993,12,1.0,{\"1\":[5000000000000001]},-0]";
    cJSON *tree = sh_json_parse(TEXT(text), NULL);
    (void)state;
    assert_non_null(tree);
    assert_true(cJSON_IsRaw(cJSON_GetArrayItem(tree, 0)));
    assert_string_equal(cJSON_GetArrayItem(tree, 0)->valuestring, "9007199254740993");
    assert_true(cJSON_IsNumber(cJSON_GetArrayItem(tree, 1)));
    assert_string_equal(cJSON_GetArrayItem(tree, 2)->valuestring, "1.0");
    const cJSON *deep = sh_json_member(cJSON_GetArrayItem(tree, 3), "1");
    assert_string_equal(deep->child->valuestring, "5000000000000001");
    assert_string_equal(cJSON_GetArrayItem(tree, 4)->valuestring, "-0");
    cJSON_Delete(tree);
}

static void gets_integers(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t n;
    } rows[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"0e9", true, 0},
        {"-12", true, -12},
        {"1.0", true, 1},
        {"1e3", true, 1000},
        {"1.50e1", true, 15},
        {"1200e-2", true, 12},
        {"1000000.000e-6", true, 1},
        {"9007199254740993", true, INT64_C(9007199254740993)},
        {"9007199254740993.0", true, INT64_C(9007199254740993)},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"-9.223372036854775808e18", true, INT64_MIN},
        {"9.223372036854775808e18", false, 0},
        {"1e19", false, 0},
        {"1e18", true, INT64_C(1000000000000000000)},
        {"0.00100e3", true, 1},
        {"1.5", false, 0},
        {"1e-1", false, 0},
        {"1e-400", false, 0},
        {"1e308", false, 0},
        {"\"1\"", false, 0},
        {"null", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        int64_t n = 77;
        cJSON *node = sh_json_parse(rows[i].text, strlen(rows[i].text), NULL);
        assert_non_null(node);
        if (sh_json_get_int(node, &n) != rows[i].ok || (rows[i].ok && n != rows[i].n))
            fail_msg("%s: %lld", rows[i].text, (long long)n);
        cJSON_Delete(node);
    }
    assert_false(sh_json_get_int(NULL, &(int64_t){0}));
}

static void makes_integers(void **state)
{
    static const int64_t values[] = {0,
                                     -1,
                                     INT64_C(999999999999999),
                                     INT64_C(1000000000000000),
                                     INT64_C(9007199254740991),
                                     INT64_C(9007199254740993),
                                     INT64_C(-9007199254740993),
                                     INT64_MAX,
                                     INT64_MIN};
    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        char want[24];
        struct sh_buf out;
        int64_t back;
        cJSON *node = sh_json_int(values[i]);
        sh_buf_init(&out, 100);
        assert_true(sh_json_is_number(node));
        assert_true(sh_json_print(node, &out));
        snprintf(want, sizeof(want), "%lld", (long long)values[i]);
        assert_string_equal(out.data, want);
        assert_true(sh_json_get_int(node, &back) && back == values[i]);
        sh_buf_free(&out);
        cJSON_Delete(node);
    }
}

static void prints_doubles(void **state)
{
    static const struct {
        double n;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-2.5, "-2.5"},
        {0.1, "0.1"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3, "0.3333333333333333"},
        {1e15, "1000000000000000"},
        {-9007199254740991, "-9007199254740991"},
        {9007199254740992, "9007199254740992"},
        {1e17, "1e+17"},
        {1e300, "1e+300"},
        {5e-324, "4.94065645841247e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {2251799813685249.5, "2251799813685249.5"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct sh_buf out;
        double back;
        cJSON *node = sh_json_double(rows[i].n);
        sh_buf_init(&out, 100);
        assert_true(sh_json_print(node, &out));
        assert_string_equal(out.data, rows[i].text);
        assert_true(sh_json_get_double(node, &back) && back == rows[i].n);
        sh_buf_free(&out);
        cJSON_Delete(node);
    }
}

static void numbers_do_not_follow_the_locale(void **state)
{
    (void)state;
    if (!setlocale(LC_ALL, "nl_NL.UTF-8") && !setlocale(LC_ALL, "de_DE.UTF-8"))
        skip(); /* no locale with a decimal comma on this machine */
    prints_doubles(state);
    passes_and_comes_back(state);
    setlocale(LC_ALL, "C");
}

static void print_refuses(void **state)
{
    struct sh_buf out;
    cJSON *nan = sh_json_double(NAN), *inf = sh_json_double(-INFINITY), *deep = cJSON_CreateArray();
    cJSON *text = cJSON_CreateString("12345678");
    (void)state;
    sh_buf_init(&out, 1000);
    assert_false(sh_json_print(nan, &out));
    assert_false(sh_json_print(inf, &out));
    assert_false(sh_json_print(NULL, &out));
    for (int i = 1; i < SH_JSON_MAX_DEPTH; i++) {
        cJSON *outer = cJSON_CreateArray();
        cJSON_AddItemToArray(outer, deep);
        deep = outer;
    }
    assert_true(sh_json_print(deep, &out));
    cJSON *outer = cJSON_CreateArray();
    cJSON_AddItemToArray(outer, deep);
    assert_false(sh_json_print(outer, &out));
    sh_buf_free(&out);
    sh_buf_init(&out, 9);
    assert_false(sh_json_print(text, &out));
    sh_buf_free(&out);
    cJSON_Delete(nan);
    cJSON_Delete(inf);
    cJSON_Delete(outer);
    cJSON_Delete(text);
}

static void members_by_exact_name(void **state)
{
    cJSON *tree = sh_json_parse(TEXT("{\"ID\":\"upper\",\"id\":\"lower\",\"n\":1}"), NULL);
    (void)state;
    assert_string_equal(sh_json_string(tree, "id"), "lower");
    assert_string_equal(sh_json_string(tree, "ID"), "upper");
    assert_null(sh_json_string(tree, "Id"));
    assert_null(sh_json_string(tree, "n"));
    assert_null(sh_json_member(tree, "N"));
    assert_true(sh_json_is_number(sh_json_member(tree, "n")));
    assert_null(sh_json_member(sh_json_member(tree, "n"), "x"));
    cJSON_Delete(tree);
    assert_null(sh_json_member(NULL, "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_broken_structure),
        cmocka_unit_test(refuses_bytes_around_the_value),
        cmocka_unit_test(refuses_typographic_quotes),
        cmocka_unit_test(refuses_bad_strings),
        cmocka_unit_test(refuses_bad_utf8),
        cmocka_unit_test(refuses_bad_numbers),
        cmocka_unit_test(refuses_duplicate_keys),
        cmocka_unit_test(passes_and_comes_back),
        cmocka_unit_test(limits_depth_and_nodes),
        cmocka_unit_test(limits_length_of_numbers),
        cmocka_unit_test(many_keys),
        cmocka_unit_test(message_cuts_a_long_key),
        cmocka_unit_test(check_and_find_need_no_text),
        cmocka_unit_test(numbers_keep_their_text),
        cmocka_unit_test(gets_integers),
        cmocka_unit_test(makes_integers),
        cmocka_unit_test(prints_doubles),
        cmocka_unit_test(numbers_do_not_follow_the_locale),
        cmocka_unit_test(print_refuses),
        cmocka_unit_test(members_by_exact_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
