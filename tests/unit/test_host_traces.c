/* SPDX-License-Identifier: MIT
 * test_host_traces.c: ways around "a run keeps nothing to itself" and "the same every time". */
#include "test_host.h"

static void refuses(const char *text, const char *msg)
{
    bool loaded = kit_load("rules/x.lua", text, NULL);
    if (loaded)
        print_message("%s\n", text);
    assert_false(loaded);
    kit_reported("errors", "rules/x.lua", 1, msg);
}

static void test_running_iterators(void **state)
{
    (void)state;
    const char *why = "'f' holds a running iterator or coroutine: it would go on where the last "
                      "run left it, and a run keeps nothing to itself (make it inside the "
                      "function that uses it)";
    refuses("local f = coroutine.wrap(function() end)\n"
            "rule 'r' { on = '*', run = function() f() end }",
            why);
    refuses("local f = ('a b'):gmatch('%a')\nrule 'r' { on = '*', run = function() f() end }", why);
    refuses("local f = pairs({ 1, 2 })\nrule 'r' { on = '*', run = function() f() end }", why);
    refuses("f = pairs({ a = 1 })\nrule 'r' { on = '*', run = function() f() end }", why);
    refuses("local f = coroutine.create(function() end)\n"
            "rule 'r' { on = '*', run = function() log.info(f) end }",
            "'f' holds a coroutine: it would go on where the last run left it, and a run keeps "
            "nothing to itself (make it inside the function that uses it)");
    kit_must_load("local p, m, g = pairs, math.random, string.gmatch\nlocal e = log.error\n"
                  "rule 'r' { on = '*', run = function() p({}) m() g('', '') e('x') end }");
    assert_int_equal(kit_job("t", "{}")->outcome, SH_RUN_DONE);
}

static void keeps(const char *text, const char *name)
{
    char want[200];
    snprintf(want, sizeof(want), ": a run changed '%s', a local of the file", name);
    kit_must_load(text);
    struct kit_run *r = kit_job("t", "{}");
    if (r->outcome != SH_RUN_FAILED)
        print_message("%s\n", text);
    assert_int_equal(r->outcome, SH_RUN_FAILED);
    assert_non_null(strstr(r->error, want));
}

static void test_hidden_counters(void **state)
{
    (void)state;
    keeps("local n = 0\nfunction bump() n = n + 1 end\n"
          "rule 'r' { on = '*', run = function() bump() end }",
          "n");
    keeps("local n = 0\nlocal p = setmetatable({}, { __call = function() n = n + 1 end })\n"
          "rule 'r' { on = '*', run = function() p() end }",
          "n");
    keeps("local n = 0\nlocal function f(...) local y = ... n = y end\n"
          "rule 'r' { on = '*', run = function() f(1) end }",
          "n");
    keeps("local n = 0\nlocal function f() goto go ::go:: n = n + 1 end\n"
          "rule 'r' { on = '*', run = function() f() end }",
          "n");
    keeps("local n = 0\nlocal function f() local y = 1. n = y end\n"
          "rule 'r' { on = '*', run = function() f() end }",
          "n");
}

static void test_collector_is_out_of_sight(void **state)
{
    (void)state;
    kit_fails("local mt = {} local t = setmetatable({}, mt) mt.__gc = function() end copy(t)",
              "rules/x.lua:2: copy: __gc is not available to rules");
    kit_fails("local mt = {} setmetatable({}, mt) mt.__mode = 'k'",
              "rules/x.lua:1: a metatable was given __mode, which is not available to rules");
    kit_fails("local mt = {} setmetatable({}, mt) records.get('calls', '1') mt.__mode = 'v'",
              "rules/x.lua:1: a metatable was given __mode, which is not available to rules");
    kit_done("local mt = {} local t = setmetatable({}, mt) mt.__index = function() return 'x' end\n"
             "emit(t.a)",
             "{\"kind\":\"emit\",\"type\":\"x\",\"data\":{}}\n");
    assert_false(kit_load("rules/x.lua",
                          "local mt = {} local t = setmetatable({}, mt) mt.__gc = function() end\n"
                          "rule 'r' { on = '*', run = function() log.info(t.a) end }",
                          NULL));
    kit_reported("errors", "rules/x.lua", 0, "t: __gc is not available to rules");
}

static void test_sort(void **state)
{
    (void)state;
    kit_done("local t = {} for i = 1, 50 do t[i] = { k = i % 3, i = i } end\n"
             "table.sort(t, function(a, b) return a.k < b.k end)\n"
             "for i = 2, 50 do assert(t[i - 1].k < t[i].k or t[i - 1].i < t[i].i) end\n"
             "local w = { 'c', 'a', 'b' } table.sort(w) emit(table.concat(w))",
             "{\"kind\":\"emit\",\"type\":\"abc\",\"data\":{}}\n");
    /* an order that is none: still the same answer each time, and within n log n */
    kit_done("local n, t = 0, {} for i = 1, 3000 do t[i] = i end\n"
             "table.sort(t, function(a, b) n = n + 1 return a * 7919 % 13 <= b * 104729 % 11 end)\n"
             "assert(n < 40000)",
             "");
    kit_fails("table.sort({ 1, 'a' })", "rules/x.lua:2: attempt to compare string with number");
    kit_fails("table.sort({ 2, 1 }, 5)",
              "rules/x.lua:2: table.sort: the order must be a function, got a number");
}

static void test_removing_while_iterating(void **state)
{
    (void)state;
    kit_done("local t, s = { 1, 2, 3, 4 }, '' for k in pairs(t) do s = s .. k t[k + 1] = nil end\n"
             "emit(s)",
             "{\"kind\":\"emit\",\"type\":\"13\",\"data\":{}}\n");
    kit_done("local t, s = { 1, 2 }, '' for k in pairs(t) do s = s .. k t[#t + 1] = 1 end emit(s)",
             "{\"kind\":\"emit\",\"type\":\"12\",\"data\":{}}\n");
}

/* The library functions that the sandbox wraps go by their own names. */
static void test_names_of_wrapped(void **state)
{
    (void)state;
    kit_fails("table.concat(5)",
              "rules/x.lua:2: bad argument #1 to 'concat' (table expected, got number)");
    kit_fails("table.insert({}, 1, 2, 3)", "rules/x.lua:2: wrong number of arguments to 'insert'");
    kit_fails("string.format('%d', 'x')",
              "rules/x.lua:2: bad argument #2 to 'format' (number expected, got string)");
    kit_fails("callback { number = '1', due = '0001-01-01T00:00:00Z' }",
              "rules/x.lua:2: callback: 'due' must be a time from the year 2000 to 9999, got "
              "\"0001-01-01T00:00:00Z\"");
    kit_fails("callback { number = '1', due = '9999-12-31T23:59:59-14:00' }",
              "rules/x.lua:2: callback: 'due' must be a time from the year 2000 to 9999, got "
              "\"9999-12-31T23:59:59-14:00\"");
    kit_fails("records.find('calls', { n = 0 / 0 })",
              "rules/x.lua:2: records.find: filter: 'n' is compared (eq) with a number that is not "
              "finite");
    kit_fails("records.find('calls', { n = { lt = math.huge } })",
              "rules/x.lua:2: records.find: filter: 'n' is compared (lt) with a number that is not "
              "finite");
    kit_fails("email { subject = 'x', text = 'y' }",
              "rules/x.lua:2: email: there is no recipient: expected an address in to, cc or bcc");
}

#define LONG "very/deeply/nested/folder/with/long/names/a_module_with_a_long_name"

/* Lua shortens names past 59 bytes in its messages. */
static void test_long_names(void **state)
{
    (void)state;
    assert_false(kit_load("rules/x.lua", "", "scripts/" LONG ".lua", "\n\nlocal x = = 1", NULL));
    kit_reported("errors", "scripts/" LONG ".lua", 3, "unexpected symbol near '='");
    assert_true(kit_load("rules/" LONG ".lua",
                         "rule 'r' { on = '*', run = function()\nlocal x = nil + 1 end }", NULL));
    assert_string_equal(kit_job("t", "{}")->error,
                        "rules/" LONG ".lua:2: attempt to perform arithmetic on a nil value");
}

/* Lua quotes the text at fault; the report must be JSON all the same. */
static void test_odd_bytes(void **state)
{
    (void)state;
    assert_false(kit_load("rules/x.lua", "\nfoo \"\xff\x1b\n", NULL));
    kit_reported("errors", "rules/x.lua", 2, "unfinished string near '\"\\xff\\x1b'");
}

/* A script that does not load, required within pcall: the file that asked goes on as itself. */
static void test_failed_require(void **state)
{
    (void)state;
    assert_true(kit_load("rules/x.lua",
                         "pcall(require, 'bad')\n"
                         "rule 'r' { on = '*', run = function() emit('x') end }",
                         "scripts/bad.lua", "local x = nil + 1", NULL));
    assert_int_equal(kit_job("t", "{}")->outcome, SH_RUN_DONE);
    assert_false(kit_load("rules/x.lua", "rule 'r' { on = '*', run = undefined_thing }", NULL));
    assert_int_equal(cJSON_GetArraySize(sh_json_member(kit.report, "errors")), 1);
}

/* Values may come from a function that uses the host's buffers itself. */
static void test_values_by_function(void **state)
{
    (void)state;
    kit_done(
        "local w = setmetatable({}, { __index = function(_, k)\n"
        "  log.info({ k }) return json.encode({ k }) .. template('<{{x}}>', { x = k }) end })\n"
        "emit(template('one {{a}} two {{b}} end', w))",
        "{\"kind\":\"emit\",\"type\":\"one [\\\"a\\\"]<a> two [\\\"b\\\"]<b> end\","
        "\"data\":{}}\n");
    kit_done("local t = { [print] = 1 } for i = 1, 500 do t[i] = i end\n"
             "for i = 1, 50 do pcall(pairs, t) pcall(json.encode, { a = t }) end\n"
             "for k, v in pairs({ b = 1, a = 2 }) do emit(k) end",
             "{\"kind\":\"emit\",\"type\":\"a\",\"data\":{}}\n"
             "{\"kind\":\"emit\",\"type\":\"b\",\"data\":{}}\n");
    kit_fails("json.encode(json.object({ [1] = 1, ['1'] = 2 }))",
              "rules/x.lua:2: json.encode: value has one field twice, with a number and a text as "
              "its name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_running_iterators, kit_teardown),
        cmocka_unit_test_teardown(test_hidden_counters, kit_teardown),
        cmocka_unit_test_teardown(test_collector_is_out_of_sight, kit_teardown),
        cmocka_unit_test_teardown(test_sort, kit_teardown),
        cmocka_unit_test_teardown(test_removing_while_iterating, kit_teardown),
        cmocka_unit_test_teardown(test_names_of_wrapped, kit_teardown),
        cmocka_unit_test_teardown(test_long_names, kit_teardown),
        cmocka_unit_test_teardown(test_odd_bytes, kit_teardown),
        cmocka_unit_test_teardown(test_failed_require, kit_teardown),
        cmocka_unit_test_teardown(test_values_by_function, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
