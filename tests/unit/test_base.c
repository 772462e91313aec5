/* SPDX-License-Identifier: MIT
 * test_base.c: buffers with a maximum, the binary reader, RFC 3339 time, event ids. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- Buffers and slices ---- */

static void slices(void **state)
{
    char *copy = sh_slice_dup(sh_slice("abcdef", 3));
    (void)state;
    assert_string_equal(copy, "abc");
    assert_true(sh_slice_eq(sh_slice_str(copy), SH_SLICE("abc")));
    assert_false(sh_slice_eq(SH_SLICE("abc"), SH_SLICE("abd")));
    assert_false(sh_slice_eq(SH_SLICE("abc"), SH_SLICE("ab")));
    assert_true(sh_slice_eq(sh_slice(NULL, 0), SH_SLICE("")));
    assert_int_equal(sh_slice_str(NULL).n, 0);
    free(copy);
}

static void buffer_grows_and_stays_terminated(void **state)
{
    struct sh_buf b;
    size_t n;
    (void)state;
    sh_buf_init(&b, 100000);
    for (int i = 0; i < 1000; i++) {
        sh_buf_addf(&b, "%03d,", i);
        assert_int_equal(strlen(b.data), b.len);
    }
    assert_true(sh_buf_ok(&b));
    assert_int_equal(b.len, 4000);
    assert_memory_equal(b.data + 3996, "999,", 5);
    char *bytes = sh_buf_take(&b, &n);
    assert_int_equal(n, 4000);
    assert_int_equal(b.len, 0);
    assert_null(b.data);
    free(bytes);
    bytes = sh_buf_take(&b, &n);
    assert_int_equal(n, 0);
    assert_string_equal(bytes, "");
    free(bytes);
}

static void buffer_formats_long_text(void **state)
{
    struct sh_buf b;
    char text[2000];
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    sh_buf_init(&b, 3999);
    sh_buf_addf(&b, "<%s>", text);
    assert_int_equal(b.len, 2001);
    assert_true(b.data[0] == '<' && b.data[1] == 'x' && b.data[2000] == '>');
    sh_buf_addf(&b, "%s", text);
    assert_false(sh_buf_ok(&b));
    sh_buf_free(&b);
}

static void buffer_keeps_its_maximum(void **state)
{
    struct sh_buf b;
    (void)state;
    sh_buf_init(&b, 5);
    sh_buf_adds(&b, "abc");
    sh_buf_adds(&b, "def"); /* would be six: dropped whole */
    assert_false(sh_buf_ok(&b));
    assert_string_equal(b.data, "abc");
    sh_buf_addc(&b, 'd'); /* would fit, but the run of writes has failed */
    assert_string_equal(b.data, "abc");
    assert_null(sh_buf_room(&b, 1));
    sh_buf_reset(&b);
    assert_true(sh_buf_ok(&b));
    assert_string_equal(b.data, "");
    sh_buf_adds(&b, "12345");
    assert_true(sh_buf_ok(&b));
    assert_null(sh_buf_room(&b, SIZE_MAX));
    assert_false(sh_buf_ok(&b));
    sh_buf_free(&b);
}

static const uint64_t uints[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, INT64_MAX, UINT64_MAX};
#define UINTS (sizeof(uints) / sizeof(*uints))

static void writes_and_reads_binary(void **state)
{
    struct sh_buf b;
    (void)state;
    sh_buf_init(&b, 1000);
    for (size_t i = 0; i < UINTS; i++)
        sh_buf_uint(&b, uints[i]);
    sh_buf_u8(&b, 200);
    sh_buf_u64(&b, UINT64_C(0x0102030405060708));
    sh_buf_f64(&b, -0.1);
    sh_buf_bytes(&b, sh_slice("a\0b", 3));
    sh_buf_bytes(&b, sh_slice(NULL, 0));
    assert_true(sh_buf_ok(&b));

    struct sh_reader r = sh_reader_of(sh_slice(b.data, b.len));
    for (size_t i = 0; i < UINTS; i++)
        assert_true(sh_read_uint(&r) == uints[i]);
    assert_int_equal(sh_read_u8(&r), 200);
    assert_true(sh_read_u64(&r) == UINT64_C(0x0102030405060708));
    assert_true(sh_read_f64(&r) == -0.1);
    assert_true(sh_slice_eq(sh_read_bytes(&r), sh_slice("a\0b", 3)));
    assert_int_equal(sh_read_bytes(&r).n, 0);
    assert_false(r.bad);
    assert_ptr_equal(r.p, r.end);
    sh_buf_free(&b);
}

static void binary_form_is_fixed(void **state)
{
    struct sh_buf b;
    (void)state;
    sh_buf_init(&b, 100);
    sh_buf_uint(&b, 300);
    sh_buf_u64(&b, 258);
    sh_buf_bytes(&b, SH_SLICE("hi"));
    assert_int_equal(b.len, 13);
    assert_memory_equal(b.data, "\xac\x02\x02\x01\0\0\0\0\0\0\x02hi", 13);
    sh_buf_free(&b);
}

/* Each text is one value cut short or malformed: zero comes back, bad is set and stays so. */
static void reader_refuses(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } uint_rows[] = {
        {"", 0},
        {"\x80", 1},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(uint_rows) / sizeof(*uint_rows); i++) {
        struct sh_reader r = sh_reader_of(sh_slice(uint_rows[i].bytes, uint_rows[i].n));
        assert_true(sh_read_uint(&r) == 0);
        assert_true(r.bad);
        assert_int_equal(sh_read_u8(&r), 0);
    }
    struct sh_reader r = sh_reader_of(sh_slice("1234567", 7));
    assert_true(sh_read_u64(&r) == 0 && r.bad);
    r = sh_reader_of(SH_SLICE("\x05"
                              "abcd"));
    assert_int_equal(sh_read_bytes(&r).n, 0);
    assert_true(r.bad);
    r = sh_reader_of(sh_slice("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", 11));
    assert_int_equal(sh_read_bytes(&r).n, 0);
    assert_true(r.bad);
    r = sh_reader_of(sh_slice(NULL, 0));
    assert_true(sh_read_f64(&r) == 0 && r.bad);
}

/* ---- Time ---- */

static void time_as_text(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {INT64_C(1781258661903), "2026-06-12T10:04:21.903Z"},
        {INT64_C(951782400000), "2000-02-29T00:00:00.000Z"},
        {INT64_C(253402300799999), "9999-12-31T23:59:59.999Z"},
        {INT64_C(253402300800000), "invalid-time"},
        {INT64_C(-62167219200000), "0000-01-01T00:00:00.000Z"},
        {INT64_MAX, "invalid-time"},
        {INT64_MIN + 1000, "invalid-time"},
    };
    char text[SH_TIME_TEXT];
    int64_t back;
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_string_equal(sh_time_text(rows[i].ms, text), rows[i].text);
        if (strcmp(text, "invalid-time") != 0)
            assert_true(sh_time_parse(text, strlen(text), &back) && back == rows[i].ms);
    }
}

static void time_from_text(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"2026-06-12T10:04:21Z", INT64_C(1781258661000)},
        {"2026-06-12t10:04:21.9z", INT64_C(1781258661900)},
        {"2026-06-12 12:04:21.903+02:00", INT64_C(1781258661903)},
        {"2026-06-12T04:34:21.9039999-05:30", INT64_C(1781258661903)},
        {"1969-12-31T23:59:59.5Z", -500},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000)}, /* a leap second */
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        int64_t ms = 7;
        if (!sh_time_parse(rows[i].text, strlen(rows[i].text), &ms) || ms != rows[i].ms)
            fail_msg("%s: %lld", rows[i].text, (long long)ms);
    }
}

static void time_refuses(void **state)
{
    static const char *const rows[] = {
        "",
        "2026",
        "2026-06-12",
        "2026-06-12T10:04:21",
        "2026-06-12T10:04Z",
        "2026-06-12T10:04:21.Z",
        "2026-06-12T10:04:21,5Z",
        "2026-06-12T10:04:21Z ",
        " 2026-06-12T10:04:21Z",
        "2026-06-12T10:04:21+0200",
        "2026-06-12T10:04:21+02",
        "2026-06-12T10:04:21+24:00",
        "2026-06-12T10:04:21+02:60",
        "2026-00-12T10:04:21Z",
        "2026-13-12T10:04:21Z",
        "2026-02-29T10:04:21Z",
        "2026-02-30T10:04:21Z",
        "2026-06-31T10:04:21Z",
        "2026-06-00T10:04:21Z",
        "2026-06-32T10:04:21Z",
        "2026-06-12T24:00:00Z",
        "2026-06-12T10:60:21Z",
        "2026-06-12T10:04:61Z",
        "+026-06-12T10:04:21Z",
        "2026-6-12T10:04:21Z",
        "12:00",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        int64_t ms;
        size_t n = strlen(rows[i]);
        char *exact = malloc(n ? n : 1); /* no NUL behind */
        memcpy(exact, rows[i], n);
        if (sh_time_parse(exact, n, &ms))
            fail_msg("taken: \"%s\" as %lld", rows[i], (long long)ms);
        free(exact);
    }
}

static void clocks_run(void **state)
{
    int64_t a = sh_mono_us(), b = sh_mono_us();
    char text[SH_TIME_TEXT];
    (void)state;
    assert_true(b >= a);
    assert_true(sh_now_ms() > INT64_C(1700000000000));
    assert_string_not_equal(sh_time_text(sh_now_ms(), text), "invalid-time");
}

/* ---- Ids ---- */

static const uint8_t seed[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static bool before(struct sh_id a, struct sh_id b)
{
    char x[SH_ID_TEXT], y[SH_ID_TEXT];
    return strcmp(sh_id_text(a, x), sh_id_text(b, y)) < 0 && sh_id_order(a) < sh_id_order(b);
}

static void ids_increase(void **state)
{
    struct sh_id_maker m;
    const int64_t now = INT64_C(1781258661903);
    (void)state;
    sh_id_maker_init(&m, 0, seed);
    struct sh_id last = sh_id_next(&m, now);
    assert_true(sh_id_ms(last) == now);
    for (int i = 0; i < 10000; i++) { /* more than a millisecond's counter holds */
        struct sh_id id = sh_id_next(&m, now);
        assert_true(before(last, id));
        last = id;
    }
    assert_true(sh_id_ms(last) == now + 2); /* borrowed */
    struct sh_id back = sh_id_next(&m, now - 5000);
    assert_true(before(last, back)); /* the clock went back; the ids do not */
    struct sh_id later = sh_id_next(&m, now + 5000);
    assert_true(sh_id_ms(later) == now + 5000 && before(back, later));
}

static void ids_follow_the_stored_ones(void **state)
{
    struct sh_id_maker first, second;
    const int64_t now = INT64_C(1781258661903);
    (void)state;
    sh_id_maker_init(&first, 0, seed);
    struct sh_id stored = sh_id_next(&first, now);
    sh_id_maker_init(&second, sh_id_order(stored), seed);
    assert_true(before(stored, sh_id_next(&second, now - 60000)));
}

static void ids_are_uuid_version_7(void **state)
{
    struct sh_id_maker m;
    struct sh_id back;
    char text[SH_ID_TEXT];
    (void)state;
    sh_id_maker_init(&m, 0, (const uint8_t[16]){0}); /* even this seed gives random bits */
    struct sh_id a = sh_id_next(&m, INT64_C(0x123456789abc)), b = sh_id_next(&m, 0);
    sh_id_text(a, text);
    assert_int_equal(strlen(text), 36);
    assert_memory_equal(text, "12345678-9abc-7000-", 19);
    assert_non_null(strchr("89ab", text[19]));
    assert_true(sh_id_parse(text, 36, &back) && sh_id_eq(a, back));
    sh_id_text(b, text);
    assert_memory_equal(text, "12345678-9abc-7001-", 19);
    assert_int_not_equal(a.lo, b.lo);
}

static void id_text_is_checked(void **state)
{
    static const char *const rows[] = {
        "",
        "0190b7a0-0000-7000-8000-00000000000",
        "0190b7a0-0000-7000-8000-0000000000000",
        "0190b7a0-0000-4000-8000-000000000000", /* version 4 */
        "0190b7a0-0000-7000-c000-000000000000", /* another variant */
        "0190b7a0-0000-7000-0000-000000000000",
        "0190B7A0-0000-7000-8000-000000000000", /* not canonical */
        "0190b7a0x0000-7000-8000-000000000000",
        "0190b7a000000-7000-8000-000000000000",
        "0190b7a0-0000-7000-8000-00000000000g",
        "{190b7a0-0000-7000-8000-00000000000}",
    };
    struct sh_id id;
    (void)state;
    assert_true(sh_id_parse("0190b7a0-0000-7000-8000-000000000000", 36, &id));
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (sh_id_parse(rows[i], strlen(rows[i]), &id))
            fail_msg("taken: %s", rows[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices),
        cmocka_unit_test(buffer_grows_and_stays_terminated),
        cmocka_unit_test(buffer_formats_long_text),
        cmocka_unit_test(buffer_keeps_its_maximum),
        cmocka_unit_test(writes_and_reads_binary),
        cmocka_unit_test(binary_form_is_fixed),
        cmocka_unit_test(reader_refuses),
        cmocka_unit_test(time_as_text),
        cmocka_unit_test(time_from_text),
        cmocka_unit_test(time_refuses),
        cmocka_unit_test(clocks_run),
        cmocka_unit_test(ids_increase),
        cmocka_unit_test(ids_follow_the_stored_ones),
        cmocka_unit_test(ids_are_uuid_version_7),
        cmocka_unit_test(id_text_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
