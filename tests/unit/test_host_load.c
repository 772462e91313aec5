/* SPDX-License-Identifier: MIT
 * test_host_load.c: what is wrong with a rule set, all of it at once, with file and line. */
#include "test_host.h"

static void test_rule_errors(void **state)
{
    (void)state;
    assert_false(kit_load(
        "rules/a.lua",
        "rule 'one' { on = 'x',\n  wen = function() end,\n  run = function() end }\n"
        "rule 'two' { on = 'x' }\n"
        "rule 'three' { on = 'x',\n run = 'f' }\n"
        "rule 'four' {\n on = { 'x', 5 }, run = function() end }\n"
        "rule 'five' {\n every = {}, run = function() end }\n"
        "rule '' { on = 'x', run = function() end }\n"
        "rule 'six' { on = 'a[b]', run = function() end }\n"
        "rule 'seven' { on = '', run = function() end }\n"
        "rule 'eight' { run = function() end, 'x' }\n"
        "rule 'same' { on = 'x', run = function() end }\n",
        "rules/b.lua", "\nrule 'same' { on = 'x', run = function() end }\nrule 'no table'\n",
        "rules/c.lua", "local x = 1\nlocal y = = 2\n", "rules/d.lua", "callback { number = '1' }",
        "rules/e.lua", "records.get('a', 'b')", "rules/f.lua", "require 'hourz'", "rules/g.lua",
        "log.info('x')", "scripts/hours.lua", "return {}", "scripts/bad.lua", "return }",
        "rules/h.lua", "require 'ring1'", "scripts/ring1.lua", "require 'ring2'",
        "scripts/ring2.lua", "\nrequire 'ring1'", NULL));
    kit_reported("errors", "rules/a.lua", 2,
                 "rule \"one\": unknown field 'wen' (did you mean 'when'?)");
    kit_reported("errors", "rules/a.lua", 4,
                 "rule \"two\" has no 'run': run = function(event) ... end");
    kit_reported("errors", "rules/a.lua", 6,
                 "rule \"three\": 'run' must be a function, got a string");
    kit_reported(
        "errors", "rules/a.lua", 8,
        "rule \"four\": 'on' must be an event type, a list of types or a glob, got a number");
    kit_reported(
        "errors", "rules/a.lua", 10,
        "rule \"five\": 'every' must be a text such as \"10 minutes\" or \"18:00 mon-fri\", "
        "got a table");
    kit_reported("errors", "rules/a.lua", 11, "a rule's name must have 1 to 128 bytes, got 0");
    kit_reported(
        "errors", "rules/a.lua", 12,
        "rule \"six\": 'on' pattern \"a[b]\" is not a valid glob: only * (any text) and ? (one "
        "character) are known");
    kit_reported("errors", "rules/a.lua", 13, "rule \"seven\": 'on' pattern \"\" is empty");
    kit_reported("errors", "rules/a.lua", 14,
                 "rule \"eight\": unexpected list item (fields are name = value)");
    kit_reported("errors", "rules/b.lua", 2, "rule \"same\" exists already, at rules/a.lua:15");
    kit_reported("errors", "rules/b.lua", 3,
                 "rule \"no table\" has no table: rule \"Name\" { ... }");
    kit_reported("errors", "rules/c.lua", 2, "unexpected symbol near '='");
    kit_reported("errors", "rules/d.lua", 1,
                 "callback: not while the file loads, only inside a rule's run");
    kit_reported("errors", "rules/e.lua", 1,
                 "records.get: not while the file loads, only inside a rule's when or run");
    kit_reported(
        "errors", "rules/f.lua", 1,
        "require \"hourz\": there is no scripts/hourz.lua (did you mean scripts/hours.lua?)");
    kit_reported("errors", "rules/g.lua", 1,
                 "log: not while the file loads, only inside a rule's when or run");
    kit_reported("errors", "scripts/bad.lua", 1, "unexpected symbol near '}'");
}

static void test_no_settings(void **state)
{
    (void)state;
    struct sh_file file = {.name = (char[]){"rules/x.lua"}, .is_rule = true};
    file.text = (char[]){"local ok, why = pcall(secret, 'A')\nassert(not ok)\nerror(why, 0)"};
    file.len = strlen(file.text);
    struct sh_generation *g = sh_generation_new(&file, 1);
    const struct sh_host_calls calls = {.read = kit_read, .finished = kit_finished};
    kit.host = sh_host_new(&kit_budgets, &calls);
    assert_false(sh_host_load(kit.host, g, &kit.report));
    kit_reported("errors", "rules/x.lua", 1, "secret: \"A\" is not configured: no secrets are");
    sh_generation_free(g);
    sh_host_free(kit.host);
    file.text =
        (char[]){"rule 'r' { on = '*', run = function() after('2026-06-15 09:00', 'x') end }"};
    file.len = strlen(file.text);
    g = sh_generation_new(&file, 1);
    kit.host = sh_host_new(&kit_budgets, &calls);
    cJSON_Delete(kit.report);
    assert_true(sh_host_load(kit.host, g, &kit.report));
    sh_generation_free(g);
    assert_string_equal(
        kit_job("t", "{}")->effects,
        "{\"kind\":\"timer\",\"type\":\"x\",\"due_at\":\"2026-06-15T09:00:00.000Z\","
        "\"due_local\":\"2026-06-15T09:00:00 UTC\",\"data\":{}}\n");
}

static void test_warnings_and_report(void **state)
{
    (void)state;
    assert_true(kit_load("rules/a.lua",
                         "\nrule 'idle' { run = function() end }\n"
                         "rule 'b' { on = { 'x', 'y*' }, run = function() end }",
                         NULL));
    kit_reported("warnings", "rules/a.lua", 2,
                 "rule \"idle\" has no 'on' and no 'every': it never runs");
    const cJSON *rules = sh_json_member(kit.report, "rules");
    assert_int_equal(cJSON_GetArraySize(rules), 2);
    char *text = cJSON_PrintUnformatted(rules->child->next);
    assert_string_equal(
        text, "{\"name\":\"b\",\"file\":\"rules/a.lua\",\"line\":3,\"on\":[\"x\",\"y*\"]}");
    free(text);
    assert_true(cJSON_IsTrue(sh_json_member(kit.report, "ok")));
    assert_int_equal(strlen(sh_json_string(kit.report, "generation")), SH_GENERATION_TEXT - 1);
}

static void test_hostile_files(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\x1bLua",
        "error()",
        "error({})",
        "error(setmetatable({}, {__tostring = function() error() end}))",
        "local function f() return 1 + f() end f()",
        "coroutine.yield()",
        "rule(nil)",
        "rule 'a' (5)",
        "return coroutine.wrap(function() records.get('a', 'b') end)()"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        assert_false(kit_load("rules/x.lua", texts[i], NULL));
        const cJSON *first = sh_json_member(kit.report, "errors")->child;
        assert_string_equal(sh_json_string(first, "file"), "rules/x.lua");
        assert_true(strlen(sh_json_string(first, "msg")) > 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_rule_errors, kit_teardown),
        cmocka_unit_test_teardown(test_no_settings, kit_teardown),
        cmocka_unit_test_teardown(test_warnings_and_report, kit_teardown),
        cmocka_unit_test_teardown(test_hostile_files, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
