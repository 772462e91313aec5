/* SPDX-License-Identifier: MIT
 * test_explain.c: what an explained `when` looked at, as the host notes it and as people read it.
 */
#include "test_host.h"

#include "app/why.h"

static void explain(const char *when, const char *body)
{
    char *rules = sh_strf("rule 'r' { on = '*',\n  when = function(e, env)\n    %s\n  end,\n"
                          "  run = function() emit('ran', {}) end }",
                          when);
    kit_must_load(rules);
    free(rules);
    struct sh_job job = kit_a_job("t", body);
    job.explain = true;
    sh_host_job(kit.host, &job);
    assert_int_equal(kit.n_runs, 1);
}

/* "a.b = 1, c is absent": all that was looked at, in order. */
static char *seen_text(void)
{
    cJSON *seen = sh_json_parse(kit.runs[0].seen, strlen(kit.runs[0].seen), NULL);
    assert_non_null(seen);
    char *text = sh_why_text("", seen);
    cJSON_Delete(seen);
    return text;
}

static void saw(const char *when, const char *body, const char *expected)
{
    explain(when, body);
    char *text = seen_text();
    assert_string_equal(text + (*text ? 2 : 0), expected);
    free(text);
}

static void test_paths(void **state)
{
    (void)state;
    saw("return e.analysis.sentiment == 'negative'",
        "{\"analysis\":{\"sentiment\":\"neutral\",\"other\":1}}",
        "analysis.sentiment = \"neutral\"");
    assert_int_equal(kit.runs[0].outcome, SH_RUN_SKIPPED_WHEN);
    assert_string_equal(kit.runs[0].error, "when returned false (rules/x.lua:2)");
    saw("return get(e, 'analysis.sentiment') == 'negative'", "{\"x\":1}",
        "analysis.sentiment is absent");
    saw("return get(e, 'a.1.b') == 2", "{\"a\":[{\"b\":1}]}", "a[1].b = 1");
    saw("return e.a[1].b == 2", "{\"a\":[{\"b\":1}]}", "a[1].b = 1");
    saw("return e.n > 9007199254740993 and e.f == 1", "{\"n\":9007199254740992,\"f\":1}",
        "n = 9007199254740992");
    saw("return e.t and not e.t and e.u", "{\"t\":true}", "t = true");
    saw("return e['a b'] == 1 and e.c", "{\"a b\":1}", "[\"a b\"] = 1, c is absent");
    saw("return env.type == 'x' or env.source == 'y'", "{}",
        "envelope.type = \"t\", envelope.source = \"webphone\"");
    saw("return #e.items > 3", "{\"items\":[1,2]}", "#items = 2, items = [1,2]");
    saw("return e.l[1] == 1", "{\"l\":[null]}", "l[1] = null");
    saw("return e.a == nil and e.a == e.b and e.a", "{}", "a is absent, b is absent");
    saw("return false", "{}", "");
}

static void test_tables(void **state)
{
    (void)state;
    /* a table that only led on is not told; one that was all there was to see is */
    saw("return e.a and e.a.b and e.a.b.c == 2", "{\"a\":{\"b\":{\"c\":1}}}", "a.b.c = 1");
    saw("return not e.a", "{\"a\":{\"b\":[1,2]}}", "a = {\"b\":[1,2]}");
    saw("for k, v in pairs(e.a) do if v == 3 then return true end end", "{\"a\":{\"x\":1,\"y\":2}}",
        "a = {\"x\":1,\"y\":2}");
    assert_string_equal(kit.runs[0].error, "when returned nil (rules/x.lua:2)");
    saw("for _, v in ipairs(e.l) do if v.x == 3 then return true end end return false",
        "{\"l\":[{\"x\":1},{\"x\":2}]}", "l[1].x = 1, l[2].x = 2, l[3] is absent");
    saw("return next(e) == nil", "{\"a\":1}", "a = 1, (event) = {\"a\":1}");
}

static const cJSON *look(const cJSON *seen, int i)
{
    return cJSON_GetArrayItem(sh_json_member(seen, "looked_at"), i);
}

static void test_bounds(void **state)
{
    (void)state;
    char body[4000];
    snprintf(body, sizeof(body), "{\"s\":\"%0199d\xc3\xa9\",\"t\":{\"a\":\"%0300d\"}}", 1, 2);
    explain("local n = 0 for i = 1, 40 do if e['k' .. i] then n = n + 1 end end\n"
            "return n > 0",
            body);
    cJSON *seen = sh_json_parse(kit.runs[0].seen, strlen(kit.runs[0].seen), NULL);
    int64_t more;
    assert_int_equal(cJSON_GetArraySize(sh_json_member(seen, "looked_at")), 32);
    assert_true(sh_json_get_int(sh_json_member(seen, "more"), &more) && more == 8);
    cJSON_Delete(seen);
    explain("return e.s == e.t", body);
    seen = sh_json_parse(kit.runs[0].seen, strlen(kit.runs[0].seen), NULL);
    assert_int_equal(strlen(sh_json_string(look(seen, 0), "value")), 199); /* whole characters */
    assert_true(cJSON_IsTrue(sh_json_member(look(seen, 0), "cut")));
    assert_null(sh_json_member(look(seen, 0), "json"));
    assert_true(strlen(sh_json_string(look(seen, 1), "value")) <= 200);
    assert_true(cJSON_IsTrue(sh_json_member(look(seen, 1), "json")));
    cJSON_Delete(seen);
}

/* A condition with much to look at keeps the budget that it has in the engine. */
static void test_costs_little(void **state)
{
    (void)state;
    struct sh_buf body;
    sh_buf_init(&body, 2 << 20);
    sh_buf_adds(&body, "{\"n\":1,\"l\":[0");
    for (int i = 1; i < 50000; i++)
        sh_buf_addf(&body, ",%d", i);
    sh_buf_adds(&body, "],\"o\":{\"k\":1");
    for (int i = 0; i < 50000; i++)
        sh_buf_addf(&body, ",\"k%d\":1", i);
    sh_buf_adds(&body, "}}");
    kit.budgets = kit_budgets;
    kit.budgets.memory_bytes = 64 << 20;
    kit.budgets.cpu_ms = 1000;
    explain(
        "if e.l and e.o and e.n == 1 then for i = 1, 20000 do if e.l[i] == -1 then return true end "
        "end end return false",
        body.data);
    assert_int_equal(kit.runs[0].outcome, SH_RUN_SKIPPED_WHEN);
    assert_non_null(strstr(kit.runs[0].seen, "{\"path\":\"o\",\"value\":\"..\",\"cut\":true,"
                                             "\"json\":true},{\"path\":\"n\",\"value\":1}"));
    assert_non_null(strstr(kit.runs[0].seen, "{\"path\":\"l[1]\",\"value\":0}"));
    sh_buf_free(&body);
}

static void test_reads(void **state)
{
    (void)state;
    kit.records[0] = (struct kit_record){"calls", "12", "{\"n\":3}"};
    saw("return records.get('calls', '12').n == e.n", "{\"n\":4}",
        "n = 4, records.get(\"calls\", \"12\") = {\"n\":3}");
    saw("return records.get('calls', '13')", "{}", "records.get(\"calls\", \"13\") is absent");
    saw("return #records.find('calls', { n = 3 }) > 1", "{}",
        "records.find(\"calls\") = [{\"n\":3}]");
    assert_non_null(strstr(kit.runs[0].seen, "\"read\":true"));
}

/* Of one that said yes, of one that failed, and of one whose condition is a script's. */
static void test_not_only_no(void **state)
{
    (void)state;
    saw("return e.a == 1", "{\"a\":1}", "a = 1");
    assert_int_equal(kit.runs[0].outcome, SH_RUN_DONE);
    assert_int_equal(kit.runs[0].n_effects, 1);
    assert_non_null(strstr(kit.runs[0].seen, "\"returned\":\"true\""));
    saw("return e.a.b.c", "{\"a\":{}}", "a.b is absent");
    assert_int_equal(kit.runs[0].outcome, SH_RUN_FAILED);
    assert_null(strstr(kit.runs[0].seen, "returned"));
    assert_true(kit_load(
        "rules/x.lua", "rule 'r' { on = '*', when = require('s').yes, run = function() end }",
        "scripts/s.lua", "return {\n yes = function(e)\n  return e.x\n end }", NULL));
    struct sh_job job = kit_a_job("t", "{}");
    job.explain = true;
    sh_host_job(kit.host, &job);
    assert_string_equal(kit.runs[0].error, "when returned nil (scripts/s.lua:2)");
    assert_string_equal(kit.runs[0].seen,
                        "{\"file\":\"scripts/s.lua\",\"line\":2,\"last_line\":4,\"returned\":"
                        "\"nil\",\"looked_at\":[{\"path\":\"x\",\"absent\":true}]}");
}

/* `when` alone; and nothing at all when nobody asks. */
static void test_look_only(void **state)
{
    (void)state;
    explain("return e.a", "{\"a\":1}");
    struct sh_job job = kit_a_job("t", "{\"a\":1}");
    job.explain = job.look = true;
    sh_host_job(kit.host, &job);
    assert_int_equal(kit.runs[0].outcome, SH_RUN_DONE);
    assert_int_equal(kit.runs[0].n_effects, 0);
    job.explain = job.look = false;
    sh_host_job(kit.host, &job);
    assert_int_equal(kit.runs[0].n_effects, 1);
    assert_string_equal(kit.runs[0].seen, "");
    assert_null(kit.host->free_runs->looks ? NULL : "the run was not used again");
    assert_int_equal(kit.host->free_runs->n_looks, 0);
}

static void test_masks(void **state)
{
    (void)state;
    char field[] = "analysis.transcript", *fields[] = {field, NULL};
    const struct sh_masking mask = {.numbers = true, .fields = fields};
    static const char before[] =
        "{\"looked_at\":[{\"path\":\"remote_number\",\"value\":\"+31612345678\"},"
        "{\"path\":\"from.number\",\"value\":31612345678},"
        "{\"path\":\"analysis.transcript\",\"value\":\"said\"},"
        "{\"path\":\"analysis\",\"value\":{\"transcript\":\"said\",\"n\":1}},"
        "{\"path\":\"l[1].transcript\",\"value\":\"kept\"},"
        "{\"path\":\"a\",\"absent\":true},"
        "{\"path\":\"t\",\"value\":\"{\\\"analysis\",\"cut\":true,\"json\":true},"
        "{\"path\":\"s\",\"value\":\"call +3161\",\"cut\":true},"
        "{\"path\":\"records.get(\\\"calls\\\", \\\"1\\\")\",\"value\":{\"number\":\"0612345678\"},"
        "\"read\":true}]}";
    cJSON *when = sh_json_parse(before, strlen(before), NULL);
    sh_why_mask(&mask, when);
    char *text = cJSON_PrintUnformatted(when);
    static const char *const gone[] = {"1234", "said", "{\\\"analysis", "+3161"};
    for (size_t i = 0; i < sizeof(gone) / sizeof(*gone); i++)
        if (strstr(text, gone[i]))
            fail_msg("%s is still in %s", gone[i], text);
    static const char *const there[] = {
        "{\"path\":\"analysis.transcript\",\"value\":\"***\"}", "\"value\":\"kept\"", "\"absent\"",
        "{\"path\":\"analysis\",\"value\":{\"transcript\":\"***\",\"n\":1}}", "\"value\":\"call\""};
    for (size_t i = 0; i < sizeof(there) / sizeof(*there); i++)
        if (!strstr(text, there[i]))
            fail_msg("%s is not in %s", there[i], text);
    free(text);
    cJSON_Delete(when);
}

static void test_source(void **state)
{
    (void)state;
    char name[] = "rules/a.lua", text[] = "one\ntwo\r\nthree\nfour";
    const struct sh_file file = {.name = name, .text = text, .len = strlen(text), .is_rule = true};
    struct sh_generation *g = sh_generation_new(&file, 1);
    static const struct {
        const char *when, *source;
    } cases[] = {{"{\"file\":\"rules/a.lua\",\"line\":2,\"last_line\":3}", "two\r\nthree"},
                 {"{\"file\":\"rules/a.lua\",\"line\":4,\"last_line\":9}", "four"},
                 {"{\"file\":\"rules/a.lua\",\"line\":7,\"last_line\":9}", ""}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        cJSON *when = sh_json_parse(cases[i].when, strlen(cases[i].when), NULL);
        sh_why_source(when, g);
        assert_string_equal(sh_json_string(when, "source"), cases[i].source);
        cJSON_Delete(when);
    }
    sh_generation_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_paths, kit_teardown),
        cmocka_unit_test_teardown(test_tables, kit_teardown),
        cmocka_unit_test_teardown(test_bounds, kit_teardown),
        cmocka_unit_test_teardown(test_costs_little, kit_teardown),
        cmocka_unit_test_teardown(test_reads, kit_teardown),
        cmocka_unit_test_teardown(test_not_only_no, kit_teardown),
        cmocka_unit_test_teardown(test_look_only, kit_teardown),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
