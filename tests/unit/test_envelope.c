/* SPDX-License-Identifier: MIT
 * test_envelope.c: type, key, time and dedupe id of a request, and why there is none. */
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
#include <strings.h>

#include <cmocka.h>

static const struct sh_source phone = {
    .name = "phone", .type = {.field = "event"}, .key = {.field = "call_id"}};
static const struct sh_source nested = {
    .name = "nested", .type = {.field = "meta.type"}, .key = {.field = "ids.0"}};
static const struct sh_source fixed = {.name = "fixed", .type = {.value = "ping"}};

struct with { /* a request: what stands beside the body */
    const char *names[3], *values[3];
    const struct sh_path_args *path;
};

static const char *header_of(const void *arg, const char *name)
{
    const struct with *w = arg;
    for (size_t i = 0; i < 3 && w->names[i]; i++)
        if (strcasecmp(w->names[i], name) == 0)
            return w->values[i];
    return NULL;
}

static bool read_with(const struct sh_source *source, const char *body, const struct with *w,
                      struct sh_event *e, struct sh_envelope_fault *fault)
{
    const struct sh_envelope_in in = {
        .json = sh_slice_str(body), .header = header_of, .arg = w, .path = w->path};
    return sh_envelope_read(source, &in, e, fault);
}

static bool read_id(const struct sh_source *source, const char *body, const char *id,
                    struct sh_event *e, struct sh_envelope_fault *fault)
{
    const struct with w = {.names = {id ? "webhook-id" : NULL}, .values = {id}};
    return read_with(source, body, &w, e, fault);
}

/* The event of a body; fails the test when there is none. */
static struct sh_event *read_body(const struct sh_source *source, const char *body, const char *id)
{
    struct sh_envelope_fault fault;
    struct sh_event *e = sh_event_new();
    assert_true(sh_json_check(body, strlen(body), NULL));
    if (!read_id(source, body, id, e, &fault))
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
    if (read_id(row->source, row->body, row->id, e, &fault))
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
        assert_false(read_id(&source, "{}", NULL, e, &fault));
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
        .name = "b", .type = {.value = "t"}, .dedupe.fields = (char **)fields};
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
        .name = "f", .type = {.value = "t"}, .dedupe.fields = (char **)fields};
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
        .name = "f", .type = {.value = "t"}, .dedupe.fields = (char **)fields};
    static const struct refused rows[] = {
        {&source, "{\"a\":1}", NULL, "b.c", "field \"b.c\" (it tells repeats apart)"},
        {&source, "{\"a\":null,\"b\":{\"c\":1}}", NULL, "a", "expected a value, found null"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        check_refused(&rows[i]);
}

/* --- from elsewhere than the body ------------------------------------------------------------ */

static struct sh_path_args path_of(const char *pattern, const char *path)
{
    struct sh_path_args args;
    assert_true(sh_path_match(pattern, path, &args));
    return args;
}

static const struct sh_source outside = {.name = "o",
                                         .type = {.header = "X-Event"},
                                         .key = {.segment = "tenant"},
                                         .time = {.header = "X-Time"}};

static void reads_headers_and_segments(void **state)
{
    const struct sh_path_args args = path_of("/hooks/{tenant}/{kind}", "/hooks/ac\xc3\xa9/up");
    const struct with w = {{"x-event", "X-Time"}, {"push it", "1700000000"}, &args};
    struct sh_envelope_fault fault;
    struct sh_event *e = sh_event_new();
    (void)state;
    assert_true(read_with(&outside, "{}", &w, e, &fault));
    assert_string_equal(e->type, "push it");
    assert_string_equal(e->key, "ac\xc3\xa9");
    assert_int_equal(e->occurred_ms, 1700000000000);
    sh_event_free(e);
}

static void says_what_is_wrong_outside(void **state)
{
    static const struct {
        const char *type, *time, *path, *piece;
    } rows[] = {
        {NULL, NULL, "/h/a", "header X-Event (the event's type): it is missing"},
        {"", NULL, "/h/a", "header X-Event (the event's type): expected 1 to 256 bytes, found 0"},
        {"a\tb", NULL, "/h/a", "expected printable ASCII, found byte 0x09"},
        {"caf\xc3\xa9", NULL, "/h/a", "expected printable ASCII, found byte 0xc3"},
        {"a", "yesterday", "/h/a", "header X-Time (the event's time): expected RFC 3339"},
        {"a", NULL, "/h/\xff", "segment {tenant} of the path (the event's key): it is not UTF-8"},
        {"a", NULL, NULL, "segment {tenant} of the path (the event's key): it is missing"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const struct sh_path_args args =
            rows[i].path ? path_of("/h/{tenant}", rows[i].path) : (struct sh_path_args){.n = 0};
        const struct with w = {
            {rows[i].type ? "X-Event" : "X-None", "X-Time"}, {rows[i].type, rows[i].time}, &args};
        struct sh_envelope_fault fault;
        struct sh_event *e = sh_event_new();
        assert_false(read_with(&outside, "{}", &w, e, &fault));
        assert_string_equal(fault.field, "");
        if (!strstr(fault.msg, rows[i].piece))
            fail_msg("\"%s\" does not say \"%s\"", fault.msg, rows[i].piece);
        sh_event_free(e);
    }
}

static void header_lengths(void **state)
{
    char *type = repeat('t', SH_MAX_TYPE_BYTES + 1);
    const struct sh_path_args args = path_of("/h/{tenant}", "/h/a");
    const struct with w = {{"X-Event"}, {type}, &args};
    struct sh_envelope_fault fault;
    struct sh_event *e = sh_event_new();
    (void)state;
    assert_false(read_with(&outside, "{}", &w, e, &fault));
    assert_non_null(strstr(fault.msg, "expected 1 to 256 bytes, found 257"));
    type[SH_MAX_TYPE_BYTES] = '\0';
    assert_true(read_with(&outside, "{}", &w, e, &fault));
    sh_event_free(e);
    free(type);
}

static char *id_with(const struct sh_source *source, const char *body, const struct with *w)
{
    struct sh_envelope_fault fault;
    struct sh_event *e = sh_event_new();
    if (!read_with(source, body, w, e, &fault))
        fail_msg("%s", fault.msg);
    char *id = sh_strdup(e->dedupe_id);
    sh_event_free(e);
    return id;
}

/* The same body in another place is another event. */
static void dedupes_by_place_and_body(void **state)
{
    const struct sh_path_args a = path_of("/h/{tenant}", "/h/a"),
                              b = path_of("/h/{tenant}", "/h/b");
    const struct with places[] = {
        {{"X-Event"}, {"up"}, &a}, {{"X-Event"}, {"down"}, &a}, {{"X-Event"}, {"up"}, &b}};
    char *ids[3];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        ids[i] = id_with(&outside, "{}", &places[i]);
        assert_memory_equal(ids[i], "o:", 2);
        char *again = id_with(&outside, "{}", &places[i]);
        assert_string_equal(ids[i], again);
        free(again);
    }
    assert_string_not_equal(ids[0], ids[1]);
    assert_string_not_equal(ids[0], ids[2]);
    for (size_t i = 0; i < 3; i++)
        free(ids[i]);
}

static void dedupes_by_what_is_named(void **state)
{
    static char *const fields[] = {"id", NULL};
    const struct sh_path_args a = path_of("/h/{tenant}", "/h/a"),
                              b = path_of("/h/{tenant}", "/h/b");
    const struct sh_source by_header = {
        .name = "s", .type = {.value = "t"}, .dedupe = {.header = "X-Delivery"}};
    const struct sh_source by_both = {.name = "s",
                                      .type = {.value = "t"},
                                      .dedupe = {.fields = (char **)fields, .segment = "tenant"}};
    const struct with w = {{"X-Delivery", "webhook-id"}, {"d-1", "m-1"}, &a};
    const struct with other = {{"webhook-id"}, {"m-1"}, &b};
    struct sh_envelope_fault fault;
    struct sh_event *e = sh_event_new();
    char *id = id_with(&by_header, "{}", &w);
    (void)state;
    assert_string_equal(id, "id:d-1"); /* not the webhook-id: the source says which header */
    free(id);
    char *one = id_with(&by_both, "{\"id\":1}", &w), *two = id_with(&by_both, "{\"id\":1}", &other);
    assert_memory_equal(one, "f:", 2);
    assert_string_not_equal(one, two);
    free(one);
    free(two);
    assert_false(read_with(&by_header, "{}", &other, e, &fault));
    assert_non_null(strstr(fault.msg, "header X-Delivery (it tells repeats apart): it is missing"));
    sh_event_free(e);
}

static void reads_times(void **state)
{
    static const struct sh_source source = {
        .name = "s", .type = {.value = "t"}, .time = {.field = "at"}};
    static const struct {
        const char *body;
        int64_t ms; /* -1: refused */
    } rows[] = {
        {"{\"at\":1700000000}", 1700000000000},
        {"{\"at\":1700000000123}", 1700000000123},
        {"{\"at\":\"1700000000\"}", 1700000000000},
        {"{\"at\":\"1700000000123\"}", 1700000000123},
        {"{\"at\":1700000000.5}", 1700000000500},
        {"{\"at\":\"1700000000.123456\"}", 1700000000123},
        {"{\"at\":1700000000123.9}", 1700000000123},
        {"{\"at\":1}", 1000},
        {"{\"at\":99999999999}", 99999999999000},
        {"{\"at\":100000000000}", 100000000000},
        {"{\"at\":\"2023-11-14T22:13:20Z\"}", 1700000000000},
        {"{\"at\":\"2023-11-14T23:13:20.250+01:00\"}", 1700000000250},
        {"{\"at\":\"2023-11-14T23:13:20\\u002B01:00\"}", 1700000000000},
        {"{}", 0},
        {"{\"at\":null}", 0},
        {"{\"at\":\"\"}", 0},
        {"{\"at\":0}", -1},
        {"{\"at\":-5}", -1},
        {"{\"at\":1e9}", -1},
        {"{\"at\":999999999999999}", -1},
        {"{\"at\":12345678901234567890123}", -1},
        {"{\"at\":true}", -1},
        {"{\"at\":{}}", -1},
        {"{\"at\":\"12.\"}", -1},
        {"{\"at\":\"soon\"}", -1},
        {"{\"at\":\"2023-11-14\"}", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct sh_envelope_fault fault;
        struct sh_event *e = sh_event_new();
        bool ok = read_id(&source, rows[i].body, NULL, e, &fault);
        if (ok != (rows[i].ms >= 0) || (ok && e->occurred_ms != rows[i].ms))
            fail_msg("%s: %lld", rows[i].body, ok ? (long long)e->occurred_ms : -1LL);
        if (!ok)
            assert_non_null(
                strstr(fault.msg, "field \"at\" (the event's time): expected RFC 3339"));
        sh_event_free(e);
    }
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
        cmocka_unit_test(reads_headers_and_segments),
        cmocka_unit_test(says_what_is_wrong_outside),
        cmocka_unit_test(header_lengths),
        cmocka_unit_test(dedupes_by_place_and_body),
        cmocka_unit_test(dedupes_by_what_is_named),
        cmocka_unit_test(reads_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
