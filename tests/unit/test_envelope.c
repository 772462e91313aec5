/* SPDX-License-Identifier: MIT
 * test_envelope.c: type, key and dedupe id out of a body, and why there is none. */
#include "base/limits.h"
#include "base/utf8.h"
#include "core/envelope.h"
#include "svc/crypto.h"
#include "svc/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct sh_source phone = {
    .name = "phone", .type = {.field = "event"}, .key = {.field = "call_id"}};
static const struct sh_source nested = {
    .name = "nested", .type = {.field = "meta.type"}, .key = {.field = "ids.0"}};
static const struct sh_source fixed = {.name = "fixed", .type = {.value = "ping"}};

/* The event of a body; fails the test when there is none. */
static struct sh_event *read_body(const struct sh_source *source, const char *body, const char *id)
{
    struct sh_envelope_fault fault;
    struct sh_event *e = sh_event_new();
    assert_true(sh_json_check(body, strlen(body), NULL));
    if (!sh_envelope_read(source, sh_slice_str(body), id, e, &fault))
        fail_msg("%s: %s: %s", body, fault.field, fault.msg);
    return e;
}

static void check_event(const struct sh_source *source, const char *body, const char *type,
                        const char *key)
{
    struct sh_event *e = read_body(source, body, NULL);
    assert_string_equal(e->source, source->name);
    assert_string_equal(e->type, type);
    assert_string_equal(e->key, key);
    sh_event_free(e);
}

static void reads_type_and_key(void **state)
{
    (void)state;
    check_event(&phone, "{\"event\":\"call_start\",\"call_id\":\"x7\"}", "call_start", "x7");
    check_event(&phone, "{\"event\":12,\"call_id\":-9223372036854775808}", "12",
                "-9223372036854775808");
    check_event(&phone, "{\"event\":0,\"call_id\":-0}", "0", "0");
    check_event(&phone, "{\"\\u0065vent\":\"caf\\u00e9\",\"call_id\":\"a b/“c”\"}", "café",
                "a b/“c”");
    check_event(&nested, "{\"meta\":{\"type\":\"t\"},\"ids\":[5,6]}", "t", "5");
    check_event(&nested, "{\"meta.type\":\"whole\",\"meta\":{\"type\":\"t\"},\"ids\":[5]}", "whole",
                "5");
    check_event(&fixed, "[1,2]", "ping", "");
    check_event(&fixed, "{\"event\":null}", "ping", "");
}

struct refused {
    const struct sh_source *source;
    const char *body, *id, *field, *piece;
};

static void check_refused(const struct refused *row)
{
    struct sh_envelope_fault fault;
    struct sh_event *e = sh_event_new();
    assert_true(sh_json_check(row->body, strlen(row->body), NULL));
    if (sh_envelope_read(row->source, sh_slice_str(row->body), row->id, e, &fault))
        fail_msg("taken: %s", row->body);
    assert_string_equal(fault.field, row->field);
    if (!strstr(fault.msg, row->piece))
        fail_msg("%s: \"%s\" does not say \"%s\"", row->body, fault.msg, row->piece);
    sh_event_free(e);
}

static void says_what_is_wrong(void **state)
{
    static const struct refused rows[] = {
        {&phone, "{\"call_id\":\"x\"}", NULL, "event",
         "field \"event\" (the event's type): expected a string or an integer, found nothing"},
        {&phone, "{\"Event\":\"a\",\"call_id\":\"x\"}", NULL, "event", "found nothing"},
        {&phone, "{\"event\":null,\"call_id\":\"x\"}", NULL, "event", "found null"},
        {&phone, "{\"event\":true,\"call_id\":\"x\"}", NULL, "event", "found true"},
        {&phone, "{\"event\":[\"a\"],\"call_id\":\"x\"}", NULL, "event", "found an array"},
        {&phone, "{\"event\":{},\"call_id\":\"x\"}", NULL, "event", "found an object"},
        {&phone, "{\"event\":1.5,\"call_id\":\"x\"}", NULL, "event", "found the number 1.5"},
        {&phone, "{\"event\":1e3,\"call_id\":\"x\"}", NULL, "event", "found the number 1e3"},
        {&phone, "{\"event\":\"\",\"call_id\":\"x\"}", NULL, "event", "a non-empty string"},
        {&phone, "{\"event\":\"a\"}", NULL, "call_id",
         "field \"call_id\" (the event's key): expected a string or an integer, found nothing"},
        {&phone, "{\"event\":\"a\",\"call_id\":\"x\\r\\nBcc: y\"}", NULL, "call_id",
         "found control byte 0x0d"},
        {&phone, "{\"event\":\"a\\u007f\",\"call_id\":\"x\"}", NULL, "event", "control byte 0x7f"},
        {&phone, "{\"event\":\"a\\tb\",\"call_id\":\"x\"}", NULL, "event", "control byte 0x09"},
        {&phone, "[{\"event\":\"a\"}]", NULL, "event", "(the body is an array, not an object)"},
        {&phone, "\"event\"", NULL, "event", "(the body is not an object)"},
        {&nested, "{\"meta\":\"type\",\"ids\":[1]}", NULL, "meta.type", "found nothing"},
        {&nested, "{\"meta\":{\"type\":\"t\"},\"ids\":[]}", NULL, "ids.0", "found nothing"},
        {&fixed, "{}", "", "", "header webhook-id: expected 1 to 1021 bytes, found 0"},
        {&fixed, "{}", "a b\r", "", "found byte 0x0d"},
        {&fixed, "{}", "caf\xe9", "", "found byte 0xe9"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        check_refused(&rows[i]);
}

static char *repeat(char c, size_t n)
{
    char *s = sh_alloc(n + 1, 1);
    memset(s, c, n);
    return s;
}

static void limits_lengths(void **state)
{
    char *type = repeat('t', SH_MAX_TYPE_BYTES), *key = repeat('k', SH_MAX_KEY_BYTES);
    char *id = repeat('i', SH_MAX_DEDUPE_BYTES - 3), *longer = repeat('i', SH_MAX_DEDUPE_BYTES - 2);
    char *body = sh_strf("{\"event\":\"%s\",\"call_id\":\"%s\"}", type, key);
    char *long_type = sh_strf("{\"event\":\"%sx\",\"call_id\":\"%s\"}", type, key);
    char *long_key = sh_strf("{\"event\":\"%s\",\"call_id\":\"%s\\n\"}", type, key);
    const struct refused rows[] = {
        {&phone, long_type, NULL, "event", "longer than 256 bytes"},
        {&phone, long_key, NULL, "call_id", "longer than 1024 bytes"},
        {&phone, body, longer, "", "expected 1 to 1021 bytes, found 1022"},
    };
    (void)state;
    check_event(&phone, body, type, key);
    struct sh_event *e = read_body(&phone, body, id);
    assert_int_equal(strlen(e->dedupe_id), SH_MAX_DEDUPE_BYTES);
    sh_event_free(e);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        check_refused(&rows[i]);
    free(type);
    free(key);
    free(id);
    free(longer);
    free(body);
    free(long_type);
    free(long_key);
}

/* A path too long for the message is cut between characters. */
static void cuts_long_paths_cleanly(void **state)
{
    (void)state;
    for (size_t lead = 0; lead < 4; lead++) {
        struct sh_envelope_fault fault;
        struct sh_event *e = sh_event_new();
        struct sh_buf path;
        sh_buf_init(&path, 1000);
        for (size_t i = 0; i < lead; i++)
            sh_buf_addc(&path, 'x');
        for (int i = 0; i < 100; i++)
            sh_buf_adds(&path, "😀");
        const struct sh_source source = {.name = "s", .type = {.field = path.data}};
        assert_false(sh_envelope_read(&source, SH_SLICE("{}"), NULL, e, &fault));
        assert_true(sh_utf8_ok(sh_slice_str(fault.field)));
        assert_true(sh_utf8_ok(sh_slice_str(fault.msg)));
        assert_in_range(strlen(fault.field), sizeof(fault.field) - 4, sizeof(fault.field) - 1);
        sh_event_free(e);
        sh_buf_free(&path);
    }
}

static void dedupes_by_header(void **state)
{
    static char *const fields[] = {"a", NULL};
    const struct sh_source both = {
        .name = "b", .type = {.value = "t"}, .dedupe_fields = (char **)fields};
    struct sh_event *e = read_body(&both, "{}", "msg_2LJ");
    (void)state;
    assert_string_equal(e->dedupe_id, "id:msg_2LJ");
    sh_event_free(e);
}

static void dedupes_by_body(void **state)
{
    /* printf '{}' | sha256sum */
    struct sh_event *e = read_body(&fixed, "{}", NULL), *other = read_body(&fixed, "{ }", NULL);
    (void)state;
    assert_string_equal(e->dedupe_id, "h:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f6"
                                      "1caaff8a");
    assert_string_not_equal(e->dedupe_id, other->dedupe_id);
    sh_event_free(e);
    sh_event_free(other);
}

static char *fields_id(const char *body)
{
    static char *const fields[] = {"a", "b.c", NULL};
    const struct sh_source source = {
        .name = "f", .type = {.value = "t"}, .dedupe_fields = (char **)fields};
    struct sh_event *e = read_body(&source, body, NULL);
    char *id = sh_strdup(e->dedupe_id);
    sh_event_free(e);
    return id;
}

static void dedupes_by_fields(void **state)
{
    static const char *const others[] = {
        "{\"a\":\"12\",\"b\":{\"c\":\"3\"}}", /* the same bytes, cut elsewhere */
        "{\"a\":\"1\",\"b\":{\"c\":23}}",     /* a number, not a string */
        "{\"a\":\"23\",\"b\":{\"c\":\"1\"}}", /* the other way round */
    };
    char *id = fields_id("{\"a\":\"1\",\"b\":{\"c\":\"23\"}}");
    char *same = fields_id("{\"x\":0, \"b\" :{ \"c\":\"23\"}, \"a\": \"1\"}");
    (void)state;
    assert_int_equal(strlen(id), 2 + 64);
    assert_memory_equal(id, "f:", 2);
    assert_string_equal(id, same);
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        char *other = fields_id(others[i]);
        assert_string_not_equal(id, other);
        free(other);
    }
    free(id);
    free(same);
}

/* The documented form: kind, length as 64 bits little-endian, raw text. */
static void fields_id_is_stable(void **state)
{
    static const char bytes[] = "\x05\x01\0\0\0\0\0\0\0"
                                "1\x04\x02\0\0\0\0\0\0\0"
                                "23";
    uint8_t hash[SH_SHA256_BYTES];
    char hex[SH_SHA256_HEX], *id = fields_id("{\"a\":\"1\",\"b\":{\"c\":23}}");
    struct sh_slice all = SH_SLICE(bytes);
    (void)state;
    sh_sha256(&all, 1, hash);
    sh_hex(hash, sizeof(hash), hex);
    assert_string_equal(id + 2, hex);
    free(id);
}

static void dedupe_fields_must_be_there(void **state)
{
    static char *const fields[] = {"a", "b.c", NULL};
    static const struct sh_source source = {
        .name = "f", .type = {.value = "t"}, .dedupe_fields = (char **)fields};
    static const struct refused rows[] = {
        {&source, "{\"a\":1}", NULL, "b.c", "field \"b.c\" (it tells repeats apart)"},
        {&source, "{\"a\":null,\"b\":{\"c\":1}}", NULL, "a", "expected a value, found null"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        check_refused(&rows[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_type_and_key),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(limits_lengths),
        cmocka_unit_test(cuts_long_paths_cleanly),
        cmocka_unit_test(dedupes_by_header),
        cmocka_unit_test(dedupes_by_body),
        cmocka_unit_test(dedupes_by_fields),
        cmocka_unit_test(fields_id_is_stable),
        cmocka_unit_test(dedupe_fields_must_be_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
