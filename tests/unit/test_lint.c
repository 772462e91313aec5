/* SPDX-License-Identifier: MIT
 * test_lint.c: names are checked when a file loads, in all of its code, and nothing that works is
 * refused. */
#include "test_host.h"

#define RULE(body) "rule 'r' { on = '*', run = function(ev, env)\n" body "\nend }\n"

/* The one error of a file with this text. */
static void refused(const char *text, int line, const char *msg)
{
    if (kit_load("rules/x.lua", text, NULL))
        fail_msg("loads, and should not: %s", text);
    kit_reported("errors", "rules/x.lua", line, msg);
    int n = cJSON_GetArraySize(sh_json_member(kit.report, "errors"));
    if (n != 1)
        fail_msg("%d errors of: %s", n, text);
}

static void warned(const char *text, int line, const char *msg)
{
    kit_must_load(text);
    kit_reported("warnings", "rules/x.lua", line, msg);
    assert_int_equal(cJSON_GetArraySize(sh_json_member(kit.report, "warnings")), 1);
}

/* Loads, without any error or warning. */
static void accepted(const char *text)
{
    kit_must_load(text);
    const cJSON *warnings = sh_json_member(kit.report, "warnings");
    if (cJSON_GetArraySize(warnings) != 0)
        fail_msg("%s\nwarns: %s", text, sh_json_string(warnings->child, "msg"));
}

static void unknown_globals(void **state)
{
    (void)state;
    refused(RULE("if ev.never then\n calback { number = 1 } end"), 3,
            "undefined variable 'calback' (did you mean 'callback'?)");
    refused(RULE("local function deep() return function() return 1 + recrods end end"), 2,
            "undefined variable 'recrods' (did you mean 'records'?)");
    refused(RULE("log.info(ev.a and foo or 1)"), 2, "undefined variable 'foo'");
    refused(RULE("for i = 1, 3 do\nwhile ev.a do\nrepeat foo() until true end end"), 4,
            "undefined variable 'foo'");
    refused(RULE("local t = {\n a = 1,\n b = { c = foo } }"), 4, "undefined variable 'foo'");
    refused("local function unused()\n return foo.bar\nend\n" RULE(""), 2,
            "undefined variable 'foo'");
    refused(RULE("return _ENV.foo"), 2, "undefined variable 'foo'");
    refused(RULE("local e <const> = _ENV return e.foo"), 2, "undefined variable 'foo'");
    refused(RULE("if ev.x then return os.time() end"), 2,
            "os is not available to rules: now() is the time, a run has no other way out than "
            "effects");
    refused(RULE("every('2h')"), 2,
            "every is a field of rule \"Name\" { every = ..., run = ... }, not a function");
    /* when the file itself meets it as it loads, it is told once */
    refused("\nlocal x = foo\n" RULE(""), 2, "undefined variable 'foo'");
}

static void more_constants_than_fit(void **state)
{
    (void)state;
    struct sh_buf b;
    sh_buf_init(&b, 100000);
    sh_buf_adds(&b, "rule 'r' { on = '*', run = function(ev)\nlocal t = ev\n");
    for (int i = 0; i < 400; i++) /* names past the 256th are loaded in another way */
        sh_buf_addf(&b, "t.x%d = 'text %d'\n", i, i);
    sh_buf_adds(&b, "calback(1)\nrecords.putt('a')\nemail { subjct = t.x1 }\nupdated = t\n"
                    "log.info(t)\nend }\n");
    assert_false(kit_load("rules/x.lua", b.data, NULL));
    kit_reported("errors", "rules/x.lua", 403,
                 "undefined variable 'calback' (did you mean 'callback'?)");
    kit_reported("errors", "rules/x.lua", 404, "records has no 'putt' (did you mean 'put'?)");
    kit_reported("errors", "rules/x.lua", 405,
                 "email: unknown field 'subjct' (did you mean 'subject'?)");
    assert_int_equal(cJSON_GetArraySize(sh_json_member(kit.report, "errors")), 3);
    kit_reported("warnings", "rules/x.lua", 406,
                 "the global 'updated' is assigned in a function: a run cannot do that, it keeps "
                 "nothing to itself (make it local; to remember something, records are for that)");
    sh_buf_free(&b);
}

static void the_files_own_globals(void **state)
{
    (void)state;
    accepted("limit = 5\nfunction double(x) return 2 * x end\n" RULE(
        "emit('x', { n = double(limit) })"));
    accepted(RULE("return later()") "function later() return 1 end\n");
    accepted("if true then maybe = 1 end\n" RULE("return maybe"));
    accepted("_ENV.one = 1 local e = _ENV e.two = 2\n" RULE("return one + two"));
    accepted("for _, n in ipairs { 'a', 'b' } do _ENV['is_' .. n] = true end\n" RULE(
        "return is_a and is_b"));
    accepted("local function set(t, n) t[n] = true end set(_ENV, 'made')\n" RULE("return made"));
    accepted("setmetatable({ _ENV }, nil)\n" RULE("return anything"));
    accepted(RULE("local _ENV = { assert = assert } x = 1 assert(x == 1) return y"));
    accepted(RULE("local function f(_ENV) return anything end return f { anything = 1 }"));
    assert_false(
        kit_load("rules/a.lua", "shared = 1\n", "rules/b.lua", RULE("return shared"), NULL));
    kit_reported("errors", "rules/b.lua", 2, "undefined variable 'shared'");
}

static void assigned_in_functions(void **state)
{
    (void)state;
    warned(RULE("count = 1"), 2,
           "the global 'count' is assigned in a function: a run cannot do that, it keeps nothing "
           "to itself (make it local; to remember something, records are for that)");
    /* a helper may do so while the file loads: it loads and works */
    kit_must_load("local function define(n) name = n end define('Ann')\n" RULE("emit(name)"));
    assert_int_equal(kit_job("t", "{}")->outcome, SH_RUN_DONE);
    refused(RULE("if ev.x then records = {} end"), 2,
            "'records' is part of the rule API: choose another name");
    refused("\nemail = 1\n" RULE(""), 2, "'email' is part of the rule API: choose another name");
    accepted(RULE("local count = 1 count = count + 1 local records = ev records.x = 1"));
}

static void unknown_members(void **state)
{
    (void)state;
    refused(RULE("if ev.x then records.pach('calls', 1, {}) end"), 2,
            "records has no 'pach' (did you mean 'patch'?)");
    refused(RULE("return string.dump"), 2, "string.dump is not available here");
    refused(RULE("return json.nul == ev.x"), 2, "json has no 'nul' (did you mean 'null'?)");
    refused(RULE("records:pach('calls')"), 2, "records has no 'pach' (did you mean 'patch'?)");
    refused(RULE("local r = records\nif ev.x then r.pach('calls', 1, {}) end"), 3,
            "records has no 'pach' (did you mean 'patch'?)");
    refused("local r = records\n" RULE("local function f() r.pach('calls', 1, {}) end"), 3,
            "records has no 'pach' (did you mean 'patch'?)");
    refused(RULE("return records['pach']"), 2, "records has no 'pach' (did you mean 'patch'?)");
    refused(RULE("for k, v in pairs(ev) do\n local s = string\n log.info(s.uper(v)) end"), 4,
            "string has no 'uper' (did you mean 'upper'?)");
}

/* What may be another value by then is left to the run. */
static void other_values(void **state)
{
    (void)state;
    accepted(RULE("local r = records if ev.x then r = ev end return r.pach"));
    accepted(RULE("local r = ev.x and records or ev return r.pach"));
    accepted(RULE("local r = ev.x or records return r.pach"));
    accepted(RULE("local r = records while ev.x do log.info(r.pach) r = ev end"));
    accepted(RULE("local r = records for i = 1, 2 do log.info(r.pach) r = ev end"));
    accepted(RULE("local r = records for k in pairs(ev) do log.info(r.pach) r = ev end"));
    accepted(RULE("local r = records repeat log.info(r.pach) r = ev until ev.x"));
    accepted(
        RULE("local r = records ::again:: log.info(r.pach) r = ev if ev.x then goto again end"));
    accepted(RULE("local r = records local function f() r = ev end f() return r.pach"));
    accepted(RULE("local r = records local function f() return r.pach end r = ev return f()"));
    accepted(RULE("local r = records local function f() return function() r = ev end end f()() "
                  "return r.pach"));
    accepted("local r = records\nlocal function f() r = { pach = print } end f()\n" RULE(
        "return r.pach"));
    accepted(RULE("local a, b = records, ev a, b = b, a return a.pach"));
    accepted(RULE("local r = records do local r = ev log.info(r.pach) end return r.put"));
    accepted(RULE("local function f(records) return records.pach end return f(ev)"));
    accepted(RULE("local r <const> = records if ev.x then local r = ev return r.pach end"));
    accepted(RULE("local t = { pach = 1 } return t.pach"));
}

static void unknown_fields(void **state)
{
    (void)state;
    refused(RULE("if ev.x then email { to = 'a@b.nl', subjct = 's' } end"), 2,
            "email: unknown field 'subjct' (did you mean 'subject'?)");
    refused(
        RULE("email {\n to = ev.x and 'a@b.nl' or ev.y,\n subjct = ev.z or 's',\n text = 't' }"), 4,
        "email: unknown field 'subjct' (did you mean 'subject'?)");
    refused(RULE("callback { nubmer = ev.number, due = now() + 2 * hour }"), 2,
            "callback: unknown field 'nubmer' (did you mean 'number'?)");
    refused(RULE("http.post { uri = 'http://x.nl' }"), 2,
            "http.post: unknown field 'uri' (did you mean 'url'?)");
    refused(RULE("local res = http.get { url = 'http://x.nl', json = {} }"), 2,
            "http.get: unknown field 'json' (expected url, headers, query, timeout, cache or "
            "redirects)");
    refused(RULE("after('2h', 'x', { any = 1 }, { nmae = 'x' })"), 2,
            "after: unknown field 'nmae' (did you mean 'name'?)");
    refused(RULE("return records.find('calls', { any = 1 }, { limt = 3 })"), 2,
            "records.find: unknown field 'limt' (did you mean 'limit'?)");
    refused(RULE("callbacks.snooze { id = 'x', til = '2h' }"), 2,
            "callbacks.snooze: unknown field 'til' (expected id, key, number, note, due or zone)");
    refused(RULE("return time.of { year = 2026, minute = 3 }"), 2,
            "time.of: unknown field 'minute' (expected year, month, day, hour, min, sec, zone)");
    refused(RULE("return time.of { ['yaer'] = 2026 }"), 2,
            "time.of: unknown field 'yaer' (did you mean 'year'?)");
    refused("local mail = email\n" RULE("mail { to = 'a@b.nl', subjct = 's' }"), 3,
            "email: unknown field 'subjct' (did you mean 'subject'?)");
    refused(RULE("return callback { nubmer = 1 }"), 2,
            "callback: unknown field 'nubmer' (did you mean 'number'?)");
}

static void fields_of_inner_tables(void **state)
{
    (void)state;
    refused(RULE("email { to = 'a@b.nl', attachments = { { name = 'a' },\n { nmae = 'b' } } }"), 3,
            "email: attachments[2]: unknown field 'nmae' (did you mean 'name'?)");
    refused(RULE("email { to = 'a@b.nl', invitation = { strat = now() } }"), 2,
            "email: invitation: unknown field 'strat' (did you mean 'start'?)");
    accepted(RULE("email { to = 'a@b.nl', with = { anything = { at = 'all' } } }"));
    accepted(RULE("http.post { url = 'http://x.nl', json = { uri = 1 }, headers = { X = 1 } }"));
}

/* A table that other code can change before the call is left to the run. */
static void fields_that_may_change(void **state)
{
    (void)state;
    accepted(RULE("local t = { to = 'a@b.nl', extra = 1 } t.extra = nil email(t)"));
    accepted(RULE("local inv = { x = 1 } inv.x = nil email { to = 'a', invitation = inv }"));
    accepted(RULE("local a = { x = 1 } a.x = nil email { to = 'a', attachments = { a } }"));
    accepted(RULE("email { to = 'a@b.nl', subject = 's', subjct = nil }"));
    accepted(RULE("local email = function(t) return t.anything end return email { anything = 1 }"));
    accepted(RULE("local f = ev.x and email or print f { anything = 1 }"));
    accepted(RULE("emit('x', { anything = 1 }) after('1h', 'x', { nmae = 1 }, { name = 'n' })"));
    accepted(RULE("log.info { anything = 1 } records.put('calls', 1, { anything = 1 })"));
    accepted(RULE("pcall(email, { anything = 1 })")); /* fails in the run, and is caught there */
}

static void effects_while_loading(void **state)
{
    (void)state;
    static const char why[] = "not while the file loads, only inside a rule's run";
    static const char *const calls[][2] = {
        {"callback { number = '1', due = '2h' }", "callback"},
        {"email { to = 'a@b.nl', subject = 's', text = 't' }", "email"},
        {"http.post { url = 'http://x.nl' }", "http.post"},
        {"records.put('calls', 1, {})", "records.put"},
        {"emit('x')", "emit"},
        {"after('2h', 'x')", "after"},
        {"cancel('x')", "cancel"},
        {"callbacks.answered('1')", "callbacks.answered"},
    };
    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        char *plain = sh_strf("\n%s\n" RULE(""), calls[i][0]),
             *msg = sh_strf("%s: %s", calls[i][1], why);
        char *caught = sh_strf("\nlocal ok = pcall(function() %s end)\n" RULE(""), calls[i][0]);
        char *alone =
            sh_strf("\n\ncoroutine.wrap(pcall)(function() %s end)\n" RULE(""), calls[i][0]);
        refused(plain, 2, msg);
        refused(caught, 2, msg); /* a swallowed error is an error */
        refused(alone, 3, msg);
        free(plain);
        free(caught);
        free(alone);
        free(msg);
    }
    assert_false(kit_load("scripts/lib.lua", "local ok = pcall(emit, 'x')\nreturn {}\n",
                          "rules/x.lua", "local l = require 'lib'\n" RULE(""), NULL));
    kit_reported("errors", "scripts/lib.lua", 1,
                 "emit: not while the file loads, only inside a rule's run");
}

static void all_files_at_once(void **state)
{
    (void)state;
    assert_false(kit_load("rules/a.lua", RULE("foo()\nbar()\nrecords.putt()"), "rules/b.lua",
                          "local l = require 'lib'\n" RULE("\nemial {}"), "rules/c.lua",
                          "x = = 1\n", "scripts/lib.lua",
                          "return { f = function() return foo2 end }\n", "scripts/lonely.lua",
                          "\n\nlocal function f() return foo3 end\nreturn f\n", NULL));
    kit_reported("errors", "rules/a.lua", 2, "undefined variable 'foo'");
    kit_reported("errors", "rules/a.lua", 3, "undefined variable 'bar'");
    kit_reported("errors", "rules/a.lua", 4, "records has no 'putt' (did you mean 'put'?)");
    kit_reported("errors", "rules/b.lua", 4, "undefined variable 'emial' (did you mean 'email'?)");
    kit_reported("errors", "rules/c.lua", 1, "unexpected symbol near '='");
    kit_reported("errors", "scripts/lib.lua", 1, "undefined variable 'foo2'");
    kit_reported("errors", "scripts/lonely.lua", 3, "undefined variable 'foo3'");
    kit_reported("errors", "rules/b.lua", 2, "rule \"r\" exists already, at rules/a.lua:1");
    assert_int_equal(cJSON_GetArraySize(sh_json_member(kit.report, "errors")), 8);
}

/* Code of every kind, without any unknown name: nothing is said of it. */
static void every_instruction(void **state)
{
    (void)state;
    accepted(
        "local M <const> = { 1, 2.5, 'x', nil, true, false, { a = 1 }, -3, [10] = 1, [1.5] = 2 }\n"
        "local function all(a, b, ...)\n"
        "  local n, s = select('#', ...), ''\n"
        "  local t <close> = nil\n"
        "  for i = 1, 10, 2 do s = s .. i .. (a or b) if i > 4 then break end end\n"
        "  for i = 10, 1, -1 do n = n + i * 2 - 3 / 4 % 5 // 6 ^ 7 end\n"
        "  n = n & 1 | 2 ~ 3 << 4 >> 5 n = 1 << n n = ~n n = -n n = #s + 1.5\n"
        "  local u = not (a == b) and a ~= 1 or b == 'x' or a == nil or n < 3 or n <= b or 3 > n\n"
        "  local v, w, x = a < b, a <= b, (n == 2.5) == true\n"
        "  while n < 3 do n = n + 1 goto continue ::continue:: end\n"
        "  repeat local y = n n = n - 1 until y < 0\n"
        "  M[n] = u M[1] = v M.field = w M['k'] = x\n"
        "  local o = { method = function(self, z) return self, z, n end, ... }\n"
        "  o:method(1) o.method(o, ...) s = s:upper():lower()\n"
        "  if v then return o:method(2) elseif w then return end\n"
        "  return all(table.unpack(M)), function() n = n + 1 return n, s, M end, ...\n"
        "end\n" RULE("return all(ev, env, pairs(ev))"));
}

/* Wherever the memory of the worker ends, the file is refused, and nothing is lost. */
static void little_memory(void **state)
{
    (void)state;
    struct sh_buf b;
    int refused_names = 0, out_of_memory = 0;
    sh_buf_init(&b, 1 << 20);
    for (int i = 0; i < 600; i++)
        sh_buf_addf(&b, "function f%d(a) return unknown_%d, records.get, { a = 'text %d' } end\n",
                    i, i, i);
    for (int64_t bytes = 200 * 1024; bytes < 900 * 1024; bytes += 7000) {
        kit.budgets = kit_budgets;
        kit.budgets.memory_bytes = bytes;
        assert_false(kit_load("rules/x.lua", b.data, NULL));
        const cJSON *e = sh_json_member(kit.report, "errors")->child;
        out_of_memory += strstr(sh_json_string(e, "msg"), "memory") != NULL;
        refused_names += strstr(sh_json_string(e, "msg"), "undefined variable") != NULL;
    }
    assert_true(out_of_memory > 3 && refused_names > 3);
    sh_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(unknown_globals, kit_teardown),
        cmocka_unit_test_teardown(more_constants_than_fit, kit_teardown),
        cmocka_unit_test_teardown(the_files_own_globals, kit_teardown),
        cmocka_unit_test_teardown(assigned_in_functions, kit_teardown),
        cmocka_unit_test_teardown(unknown_members, kit_teardown),
        cmocka_unit_test_teardown(other_values, kit_teardown),
        cmocka_unit_test_teardown(unknown_fields, kit_teardown),
        cmocka_unit_test_teardown(fields_of_inner_tables, kit_teardown),
        cmocka_unit_test_teardown(fields_that_may_change, kit_teardown),
        cmocka_unit_test_teardown(effects_while_loading, kit_teardown),
        cmocka_unit_test_teardown(all_files_at_once, kit_teardown),
        cmocka_unit_test_teardown(little_memory, kit_teardown),
        cmocka_unit_test_teardown(every_instruction, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
