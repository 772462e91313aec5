/* SPDX-License-Identifier: MIT
 * test_mask_json.c: what is blanked in a tree, and what is left as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/mask_json.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void gives(const struct sh_masking *m, const char *text, const char *want)
{
    cJSON *tree = sh_json_parse(text, strlen(text), NULL);
    struct sh_buf out;
    assert_non_null(tree);
    sh_buf_init(&out, 65536);
    sh_mask_json(m, tree);
    assert_true(sh_json_print(tree, &out));
    assert_string_equal(out.data, want);
    sh_buf_free(&out);
    cJSON_Delete(tree);
}

static const struct sh_masking numbers = {.numbers = true};

static void test_numbers(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"{\"remote_number\":\"+31612345678\"}", "{\"remote_number\":\"+*********78\"}"},
        {"{\"remote_number\":\"0612345678\"}", "{\"remote_number\":\"********78\"}"},
        {"{\"a\":[\"bel 06-12345678 terug\",{\"b\":\"x\"}]}",
         "{\"a\":[\"bel **-******78 terug\",{\"b\":\"x\"}]}"},
        {"{\"remote_number\":31612345678}", "{\"remote_number\":\"*********78\"}"},
        {"{\"from\":{\"number\":31612345678}}", "{\"from\":{\"number\":\"*********78\"}}"},
        {"{\"id\":\"+31612345678\",\"doc\":{}}", "{\"id\":\"+*********78\",\"doc\":{}}"},
        {"{\"key\":\"0612345678\"}", "{\"key\":\"********78\"}"},
        {"{\"key\":\"call:+31612345678:4\"}", "{\"key\":\"call:+*********78:4\"}"},
        {"{\"call_id\":\"0612345678@pbx\"}", "{\"call_id\":\"********78@pbx\"}"},
        {"{\"caller_id\":\"31612345678\",\"cli\":31612345678,\"msisdn\":31612345678}",
         "{\"caller_id\":\"*********78\",\"cli\":\"*********78\",\"msisdn\":\"*********78\"}"},
        {"{\"+31612345678\":1,\"+31698765478\":2}", "{\"+*********78\":1,\"+*********78~2\":2}"},
        {"{\"31612345678@sms.example.org\":1,\"tel:+31612345678\":2}",
         "{\"*********78@sms.example.org\":1,\"tel:+*********78\":2}"},
        {"{\"ann2@example.org\":1,\"01a21858-9663-7000-b734-74deae1aa094\":2,\"k20260612\":3}",
         "{\"ann2@example.org\":1,\"01a21858-9663-7000-b734-74deae1aa094\":2,\"k20260612\":3}"},
        {"\"0612345678\"", "\"********78\""},
        {"{\"naam\":\"Zo\xc3\xab 0612345678 \xe2\x82\xac\"}",
         "{\"naam\":\"Zo\xc3\xab ********78 \xe2\x82\xac\"}"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
        gives(&numbers, pairs[i][0], pairs[i][1]);
}

static void test_what_is_no_number(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"id\":\"019756a2-3c1e-7000-8000-012345678901\"}",
        "{\"event_id\":\"12345678901\"}",
        "{\"key\":\"x71p99345762k44nm28d55q90lbc6v\"}",
        "{\"call_id\":\"991234567890\"}",
        "{\"key\":\"1234567890\"}",
        "{\"idempotency_key\":\"3a47c41c0ffae2cecb859230251d32b6\"}",
        "{\"received_at\":\"2026-06-12T10:04:21.903Z\"}",
        "{\"text\":\"since 2026-06-12T10:04:21.903Z, 10.0.0.12\"}",
        "{\"amount\":31612345678,\"started_ms\":1765432109876}",
        "{\"duration_sec\":51,\"total\":1234567.89}",
        "{\"number\":12}",
        "{\"number\":1234567}",
        "{\"version\":20261231235959}",
        "{\"extension\":\"3001\"}",
        "[true,false,null,{},[],\"\",0]",
        "{\"big\":9007199254740993}",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        gives(&numbers, texts[i], texts[i]);
}

static void test_fields(void **state)
{
    (void)state;
    char transcript[] = "analysis.transcript", any[] = "*.samenvatting", name[] = "remote_name",
         all[] = "private.*";
    char *fields[] = {transcript, any, name, all, NULL};
    const struct sh_masking m = {.fields = fields};
    gives(&m, "{\"remote_name\":\"Anna\",\"a\":{\"remote_name\":[\"x\",{\"y\":7,\"z\":null}]}}",
          "{\"remote_name\":\"***\",\"a\":{\"remote_name\":[\"***\",{\"y\":\"***\",\"z\":null}]}}");
    gives(&m, "{\"body\":{\"analysis\":{\"transcript\":\"t\",\"samenvatting\":\"s\"}}}",
          "{\"body\":{\"analysis\":{\"transcript\":\"***\",\"samenvatting\":\"***\"}}}");
    gives(&m, "{\"transcript\":\"t\",\"samenvatting\":\"s\",\"analysis\":[{\"transcript\":\"t\"}]}",
          "{\"transcript\":\"t\",\"samenvatting\":\"s\",\"analysis\":[{\"transcript\":\"***\"}]}");
    gives(&m, "{\"private\":{\"a\":1,\"b\":[true,\"x\"]},\"remote_names\":\"0612345678\"}",
          "{\"private\":{\"a\":\"***\",\"b\":[true,\"***\"]},\"remote_names\":\"0612345678\"}");
}

/* A body stands in its row as the text that came. */
static void test_text_within(void **state)
{
    (void)state;
    char name[] = "body.name";
    char *fields[] = {name, NULL};
    const struct sh_masking m = {.numbers = true, .fields = fields};
    cJSON *row = cJSON_CreateObject();
    struct sh_buf out;
    cJSON_AddRawToObject(row, "body",
                         "{\"name\":\"Anna\",\"n\": 9007199254740993,\"tel\":\"0612345678\"}");
    sh_buf_init(&out, 65536);
    sh_mask_json(&m, row);
    assert_true(sh_json_print(row, &out));
    assert_string_equal(
        out.data, "{\"body\":{\"name\":\"***\",\"n\":9007199254740993,\"tel\":\"********78\"}}");
    sh_buf_free(&out);
    cJSON_Delete(row);
}

/* A sender may send an object of many numbers that look alike: that must not take minutes. */
static void test_many_names(void **state)
{
    (void)state;
    cJSON *object = cJSON_CreateObject();
    for (int i = 0; i < 30000; i++) {
        char name[24];
        snprintf(name, sizeof(name), "+316%06d78", i);
        cJSON_AddItemToObject(object, name, cJSON_CreateTrue());
    }
    const clock_t from = clock();
    sh_mask_json(&numbers, object);
    assert_true(clock() - from < 5 * CLOCKS_PER_SEC);
    assert_string_equal(object->child->string, "+*********78");
    assert_string_equal(object->child->next->string, "+*********78~2");
    assert_string_equal(object->child->prev->string, "+*********78~30000");
    cJSON_Delete(object);
}

static void test_forms_of_fields(void **state)
{
    (void)state;
    assert_true(sh_mask_field_ok("a"));
    assert_true(sh_mask_field_ok("a.*.b"));
    assert_false(sh_mask_field_ok(""));
    assert_false(sh_mask_field_ok(".a"));
    assert_false(sh_mask_field_ok("a."));
    assert_false(sh_mask_field_ok("a..b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),         cmocka_unit_test(test_what_is_no_number),
        cmocka_unit_test(test_fields),          cmocka_unit_test(test_text_within),
        cmocka_unit_test(test_forms_of_fields), cmocka_unit_test(test_many_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
