/* SPDX-License-Identifier: MIT
 * test_host.c: the rule host as an author meets it: the event, matching, sandbox, errors. */
#include "test_host.h"

/* --- the event ------------------------------------------------------------------------------- */

static void test_round_trip(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"a\":[],\"b\":{}}",
        "{\"a\":[[],{},[[]]]}",
        "{\"i\":9223372036854775807,\"j\":-9223372036854775808,\"k\":9007199254740993}",
        "{\"f\":1.0,\"g\":1.5,\"h\":1e300,\"i\":0.1,\"j\":-0.0,\"k\":5000000000000001}",
        "{\"n\":[null,1,null]}",
        "{\"t\":true,\"u\":false}",
        "{\"s\":\"a\\\"b\\\\c\\n\\u0001 é 😀\"}",
        "{\"1\":\"one\",\"2\":\"two\"}",
        "{\"list\":[{\"x\":1},{\"y\":[1,2]}]}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        struct kit_run *r = kit_run_with("emit('same', ev)", bodies[i]);
        assert_int_equal(r->outcome, SH_RUN_DONE);
        cJSON *fx = sh_json_parse(r->effects, strlen(r->effects) - 1, NULL);
        struct sh_buf out, want;
        sh_buf_init(&out, 10000);
        sh_buf_init(&want, 10000);
        assert_true(sh_json_print(sh_json_member(fx, "data"), &out));
        cJSON *tree = sh_json_parse(bodies[i], strlen(bodies[i]), NULL);
        assert_true(sh_json_print(tree, &want));
        if (i != 3) /* 1e300 is written as 1e+300 */
            assert_string_equal(out.data, want.data);
        else
            assert_string_equal(out.data, "{\"f\":1.0,\"g\":1.5,\"h\":1e+300,\"i\":0.1,\"j\":-0.0,"
                                          "\"k\":5000000000000001}");
        sh_buf_free(&out);
        sh_buf_free(&want);
        cJSON_Delete(fx);
        cJSON_Delete(tree);
    }
}

static void test_event_values(void **state)
{
    (void)state;
    struct kit_run *r = kit_run_with(
        "assert(ev.gone == nil)\n"
        "assert(math.type(ev.big) == 'integer' and ev.big == 9007199254740993)\n"
        "assert(math.type(ev.f) == 'float')\n"
        "assert(#ev.list == 3 and ev.list[2] == json.null)\n"
        "assert(get(ev, 'a.b.c') == 5 and get(ev, 'a.x.c') == nil and get(nil, 'a') == nil)\n"
        "assert(get(ev, 'list.1') == 1 and get(ev, 'list.3') == 3 and get(ev, 'list.4') == nil)\n"
        "assert(get(ev, 'a.d') == 'dotted')\n"
        "assert(get(ev, 'big.x') == nil)\n"
        "ev.list[4] = 4 ev.a.b = nil ev.new = {}",
        "{\"gone\":null,\"big\":9007199254740993,\"f\":2.0,\"list\":[1,null,3],\"a\":{\"b\":{\"c\":"
        "5}},"
        "\"a.d\":\"dotted\"}");
    if (r->outcome != SH_RUN_DONE)
        print_message("%s\n", r->error);
    assert_int_equal(r->outcome, SH_RUN_DONE);
}

static void test_envelope(void **state)
{
    (void)state;
    kit_done(
        "assert(env.source == 'webphone' and env.type == 't' and env.key == 'k1')\n"
        "assert(env.received_at == '2026-06-12T10:04:20.903Z' and env.received == 1781258660)\n"
        "assert(env.attempt == 1 and #env.id == 36)\n"
        "assert(now() == 1781258661 and hour == 3600 and day == 24 * hour)",
        "");
}

static void test_when_is_a_view(void **state)
{
    (void)state;
    kit_must_load(
        "rule 'a' { on = '*', when = function(ev, env)\n"
        "assert(ev.from == ev.from and ev.from.name == 'Ann' and #ev.list == 2)\n"
        "assert(get(ev, 'from.name') == 'Ann' and get(ev, 'list.2') == 6)\n"
        "local s = '' for k, v in pairs(ev.from) do s = s .. k .. v end assert(s == 'nameAnn')\n"
        "for i, v in ipairs(ev.list) do assert(v == i + 4) end\n"
        "assert(next(ev.from) == 'name' and json.encode(ev.list) == '[5,6]')\n"
        "assert(table.concat(ev.list, ',') == '5,6' and type(ev) == 'table')\n"
        "assert(getmetatable(ev) == nil and env.key == 'k1')\n"
        "return true end, run = function(ev) ev.from.name = 'B' emit('x', ev) end }\n"
        "rule 'b' { on = '*', run = function(ev) emit('y', ev) end }");
    kit_job("t", "{\"from\":{\"name\":\"Ann\"},\"list\":[5,6]}");
    assert_string_equal(kit.runs[0].error, "");
    assert_string_equal(kit.runs[0].effects,
                        "{\"kind\":\"emit\",\"type\":\"x\",\"data\":{\"from\":{"
                        "\"name\":\"B\"},\"list\":[5,6]}}\n");
    assert_string_equal(kit.runs[1].effects,
                        "{\"kind\":\"emit\",\"type\":\"y\",\"data\":{\"from\":{"
                        "\"name\":\"Ann\"},\"list\":[5,6]}}\n");
    static const struct {
        const char *code, *error;
    } bad[] = {
        {"ev.x = 1", "when only looks: it cannot change the event (field x)"},
        {"ev.from.name = 1", "when only looks: it cannot change the event (field name)"},
        {"table.insert(ev.list, 1)",
         "when only looks: it cannot change the event (field by number)"},
        {"table.sort(ev.list, function(a, b) return a > b end)",
         "when only looks: it cannot change the event (field by number)"},
        {"emit('x')", "when only looks: emit belongs in run"},
        {"callback{}", "when only looks: callback belongs in run"},
        {"records.put('a', 'b', {})", "when only looks: records.put belongs in run"},
        {"setmetatable(ev, {})", "setmetatable: this table is read-only here"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char *text =
            sh_strf("rule 'a' { on = '*', when = function(ev)\n%s end, run = function() end }",
                    bad[i].code);
        char *want = sh_strf("rules/x.lua:2: %s", bad[i].error);
        kit_must_load(text);
        struct kit_run *r = kit_job("t", "{\"from\":{\"name\":\"Ann\"},\"list\":[5,6]}");
        assert_int_equal(r->outcome, SH_RUN_FAILED);
        kit_starts(r->error, want);
        free(text);
        free(want);
    }
}

/* --- matching -------------------------------------------------------------------------------- */

static void test_matching(void **state)
{
    (void)state;
    kit_must_load("local function f() end\n"
                  "rule 'type' { on = 'call_start', run = f }\n"
                  "rule 'list' { on = { 'x', 'call_start' }, run = f }\n"
                  "rule 'glob' { on = 'call_*', run = f }\n"
                  "rule 'one' { on = 'call_st?rt', run = f }\n"
                  "rule 'all' { on = '*', run = f }\n"
                  "rule 'case' { on = 'Call_start', run = f }\n"
                  "rule 'mid' { on = '*_s*t', run = f }\n"
                  "rule 'no' { on = 'call_', when = function() return true end, run = f }\n"
                  "rule 'when' { on = '*',\n when = function() return false end, run = f }");
    struct sh_job job = kit_a_job("call_start", "{}");
    job.explain = true;
    sh_host_job(kit.host, &job);
    static const struct {
        const char *rule, *error;
        enum sh_outcome outcome;
    } want[] = {
        {"type", "", SH_RUN_DONE},
        {"list", "", SH_RUN_DONE},
        {"glob", "", SH_RUN_DONE},
        {"one", "", SH_RUN_DONE},
        {"all", "", SH_RUN_DONE},
        {"case", "on wants \"Call_start\", the event's type is \"call_start\"", SH_RUN_SKIPPED_ON},
        {"mid", "", SH_RUN_DONE},
        {"no", "on wants \"call_\", the event's type is \"call_start\"", SH_RUN_SKIPPED_ON},
        {"when", "when returned false (rules/x.lua:11)", SH_RUN_SKIPPED_WHEN},
    };
    assert_int_equal(kit.n_runs, sizeof(want) / sizeof(*want));
    for (size_t i = 0; i < kit.n_runs; i++) {
        assert_string_equal(kit.runs[i].rule, want[i].rule);
        assert_int_equal(kit.runs[i].outcome, want[i].outcome);
        assert_string_equal(kit.runs[i].error, want[i].error);
    }
    job.explain = false;
    sh_host_job(kit.host, &job);
    assert_int_equal(kit.n_runs, 6);
}

static void test_only_and_skip(void **state)
{
    (void)state;
    kit_must_load("rule 'a' { on = '*', run = function() end }\n"
                  "rule 'b' { on = '*', run = function() end }\n"
                  "rule 'c' { on = '*', run = function() end }");
    const struct sh_slice only[] = {SH_SLICE("b"), SH_SLICE("old")}, skip[] = {SH_SLICE("a")};
    struct sh_job job = kit_a_job("t", "{}");
    job.only = only;
    job.n_only = 2;
    sh_host_job(kit.host, &job);
    assert_int_equal(kit.n_runs, 2);
    assert_string_equal(kit.runs[0].rule, "b");
    assert_string_equal(kit.runs[1].rule, "old");
    assert_int_equal(kit.runs[1].outcome, SH_RUN_GONE);
    job.n_only = 0;
    job.skip = skip;
    job.n_skip = 1;
    sh_host_job(kit.host, &job);
    assert_int_equal(kit.n_runs, 2);
    assert_string_equal(kit.runs[0].rule, "b");
    assert_string_equal(kit.runs[1].rule, "c");
}

/* --- globals, shared state ------------------------------------------------------------------- */

static void test_globals(void **state)
{
    (void)state;
    kit_refused("local x = calback",
                "rules/x.lua:2: undefined variable 'calback' (did you mean 'callback'?)");
    kit_refused("foo()", "rules/x.lua:2: undefined variable 'foo'");
    kit_fails("count = 1",
              "rules/x.lua:2: a run cannot assign the global 'count': it keeps nothing to itself "
              "(make it local; to remember something, records are for that)");
    kit_refused("\ncallback = 1",
                "rules/x.lua:3: 'callback' is part of the rule API: choose another name");
    kit_fails("_ENV['call' .. 'back'] = 1",
              "rules/x.lua:2: a run cannot assign the global 'callback': it keeps nothing "
              "to itself (make it local; to remember something, records are for that)");
    kit_fails("local x = _ENV['cal' .. 'back']",
              "rules/x.lua:2: undefined variable 'calback' (did you mean 'callback'?)");
    kit_must_load(
        "limit = 5\nfunction double(x) return 2 * x end\n"
        "rule 'a' { on = '*', run = function()\nassert(double(limit) == 10)\nlimit = 6 end }");
    struct kit_run *r = kit_job("t", "{}");
    kit_starts(r->error, "rules/x.lua:5: a run cannot assign the global 'limit'");
    assert_false(kit_load("rules/a.lua", "shared = 1", "rules/b.lua", "\nlocal y = shared", NULL));
    kit_reported("errors", "rules/b.lua", 2, "undefined variable 'shared'");
}

static void test_nothing_is_kept(void **state)
{
    (void)state;
    kit_must_load(
        "local count = 0\nlocal seen = {}\nlocal names = { list = { 'a', 'b' } }\n"
        "rule 'local' { on = 'a', run = function()\n\ncount = count + 1 emit('x') end }\n"
        "rule 'table' { on = 'b', run = function()\n"
        "seen.x = 1 end }\n"
        "rule 'nested' { on = 'c', run = function()\n"
        "table.insert(names.list, 'c') end }\n"
        "rule 'reads' { on = 'd', run = function()\n"
        "assert(#names.list == 2 and names.list[2] == 'b' and count == 0)\n"
        "local t = copy(names) t.list[1] = 'z' assert(names.list[1] == 'a')\n"
        "local s = '' for k, v in pairs(names.list) do s = s .. k .. v end assert(s == '1a2b')\n"
        "assert(json.encode(names) == '{\"list\":[\"a\",\"b\"]}')\n"
        "assert(table.concat(names.list) == 'ab' and select('#', table.unpack(names.list)) == 2)\n"
        "end }\n"
        "rule 'existing' { on = 'e', run = function()\nnames.list[1] = 'q' end }");
    for (int i = 0; i < 3; i++) { /* and it is put back each time */
        struct kit_run *r = kit_job("a", "{}");
        assert_int_equal(r->outcome, SH_RUN_FAILED);
        assert_string_equal(
            r->error, "rules/x.lua:6: a run changed 'count', a local of the file: a run keeps "
                      "nothing to itself, the next one may be elsewhere (records are for "
                      "that)");
        assert_int_equal(r->n_effects, 0);
    }
    kit_starts(kit_job("b", "{}")->error,
               "rules/x.lua:8: 'seen' belongs to the file and is read-only");
    kit_starts(kit_job("c", "{}")->error,
               "rules/x.lua:10: 'names.list' belongs to the file and is read-only");
    kit_starts(kit_job("e", "{}")->error,
               "rules/x.lua:19: 'names.list' belongs to the file and is read-only");
    struct kit_run *r = kit_job("d", "{}");
    assert_string_equal(r->error, "");
    assert_int_equal(r->outcome, SH_RUN_DONE);
}

static void test_modules(void **state)
{
    (void)state;
    const char *mod = "local M = { n = 1 }\nlocal cache = {}\nM.__index = M\n"
                      "function M.new(x) return setmetatable({ x = x }, M) end\n"
                      "function M:twice() return self.x * 2 end\n"
                      "function M.remember(k) cache[k] = true end\n"
                      "M.shared = M.new(4)\nreturn M\n";
    assert_true(
        kit_load("scripts/lib/mod.lua", mod, "scripts/other.lua",
                 "return { m = require 'lib.mod' }", "rules/x.lua",
                 "local mod, other = require 'lib.mod', require 'other'\n"
                 "rule 'a' { on = 'a', run = function()\n"
                 "assert(other.m == mod and mod.new(3):twice() == 6 and mod.shared:twice() == 8)\n"
                 "end }\n"
                 "rule 'b' { on = 'b', run = function() mod.n = 2 end }\n"
                 "rule 'c' { on = 'c', run = function() mod.remember('x') end }\n"
                 "rule 'd' { on = 'd', run = function() require 'other' end }\n",
                 NULL));
    struct kit_run *r = kit_job("a", "{}");
    assert_string_equal(r->error, "");
    kit_starts(kit_job("b", "{}")->error, "rules/x.lua:5: ");
    kit_starts(kit_job("c", "{}")->error, "scripts/lib/mod.lua:6: 'cache' belongs");
    assert_non_null(strstr(kit.runs[0].error, "\n  at rules/x.lua:6"));
    kit_starts(kit_job("d", "{}")->error, "rules/x.lua:7: require \"other\": at the top");
}

static void test_strings_are_safe(void **state)
{
    (void)state;
    kit_says("tostring({}), tostring(print), tostring(coroutine.create(print))",
             "table function thread");
    kit_says("string.format('%s %s %5.1f %q', {}, print, 1.25, 'x')", "table function   1.2 \"x\"");
    kit_says("tostring(json.null), tostring(1.0), tostring(nil)", "null 1.0 nil");
    kit_says("tostring(getmetatable('')), ('x'):rep(3)", "nil xxx");
    kit_says("{1, 2}, {a = 'b'}", "[1,2] {\"a\":\"b\"}");
    kit_fails("string.upper = nil",
              "rules/x.lua:2: 'string' belongs to the file and is read-only once it is "
              "loaded: a run keeps nothing to itself (records are for that, or "
              "copy(string) for a table of the run's own)");
    kit_says("template('{{a.b}}-{{list}}-{{ name }}-{{no}}', ev)", "1-1, 2, 3-Ann-");
    kit_says(
        "duration('90m'), duration('1h30m'), duration('2 days'), duration('1.5s'), duration(7)",
        "5400 5400 172800 1.5 7");
    kit_says("'a\\27[31mb\\255'", "a\\x1b[31mb\\xff");
}

/* --- determinism ----------------------------------------------------------------------------- */

static void test_order(void **state)
{
    (void)state;
    const char *fill =
        "local t = { b = 1, a = 1, [3] = 1, [1] = 1, [-5] = 1, [2.5] = 1, [true] = 1, "
        "[false] = 1, ['10'] = 1, B = 1 }\n";
    char *body =
        sh_strf("%slocal s = {} for k in pairs(t) do s[#s + 1] = tostring(k) end\n"
                "log.info(table.concat(s, ' '))\n"
                "local s, k = {}, next(t) while k ~= nil do s[#s + 1] = tostring(k) k = next(t, k) "
                "end\nlog.info(table.concat(s, ' '))",
                fill);
    struct kit_run *r = kit_run(body);
    const char *line = "{\"level\":\"info\",\"text\":\"-5 1 3 2.5 10 B a b false true\"}";
    char *want = sh_strf("[%s,%s]", line, line);
    assert_string_equal(r->error, "");
    assert_string_equal(r->logs, want);
    free(want);
    free(body);
    kit_done("local t = {1, 2, 3} for k in pairs(t) do t[k] = nil end assert(next(t) == nil)", "");
    kit_done("local t = {a = 1, b = 2} for k in pairs(t) do t[k] = nil end assert(next(t) == nil)",
             "");
    kit_done("local n = 0 for i, v in pairs({5, 6, 7}) do n = n + i * v end assert(n == 38)", "");
}

static void test_random(void **state)
{
    (void)state;
    const char *body = "log.info(math.random(1000000), math.random(5, 7), math.random() < 1, "
                       "math.type(math.random(0)))";
    char *text = sh_strf(
        "local function f() %s end rule 'a' { on = '*', run = f } rule 'b' { on = '*', run = "
        "f }",
        body);
    kit_must_load(text);
    struct sh_job job = kit_a_job("t", "{}");
    sh_host_job(kit.host, &job);
    char *a = sh_strdup(kit.runs[0].logs), *b = sh_strdup(kit.runs[1].logs);
    assert_string_not_equal(a, b);
    kit_must_load(text); /* another host, another attempt */
    job.attempt = 2;
    sh_host_job(kit.host, &job);
    assert_string_equal(a, kit.runs[0].logs);
    assert_string_equal(b, kit.runs[1].logs);
    job.id.lo++;
    sh_host_job(kit.host, &job);
    assert_string_not_equal(a, kit.runs[0].logs);
    free(a);
    free(b);
    free(text);
}

/* --- errors ---------------------------------------------------------------------------------- */

static void test_error_objects(void **state)
{
    (void)state;
    kit_fails("error()", "rules/x.lua:2: error with nil as its value (give error() a text)");
    kit_fails("error({})", "rules/x.lua:2: error with a table as its value (give error() a text)");
    kit_fails("error(setmetatable({}, { __tostring = function() error('again') end }))",
              "rules/x.lua:2: error with a table as its value (give error() a text)");
    kit_fails("error(42)", "rules/x.lua:2: 42");
    kit_fails("error('plain', 0)", "rules/x.lua:2: plain");
    kit_fails("error('bad \\27[2J \\255')", "rules/x.lua:2: bad \\x1b[2J \\xff");
    kit_fails("local x = nil\nreturn x.y",
              "rules/x.lua:3: attempt to index a nil value (local 'x')");
    kit_fails("local ok, e = pcall(error, 'inner') error(e, 0)", "rules/x.lua:2: inner");
    struct kit_run *r = kit_run("error(('x'):rep(3000000))");
    assert_int_equal(r->outcome, SH_RUN_FAILED);
    assert_true(strlen(r->error) < SH_MAX_ERROR_BYTES);
    r = kit_run("local function deep(n) if n == 0 then error('here') end deep(n - 1) return 1 "
                "end\ndeep(3)");
    assert_non_null(strstr(r->error, "rules/x.lua:2: here\n  at rules/x.lua:2"));
    assert_non_null(strstr(r->error, "\n  at rules/x.lua:3"));
    assert_null(strstr(r->error, "[C]"));
    r = kit_run("coroutine.wrap(function() error('in co') end)()");
    kit_starts(r->error, "rules/x.lua:2: in co");
    kit_done("local ok, e = pcall(error, { code = 5 }) assert(not ok and e.code == 5)", "");
    kit_done("local ok, e, f = xpcall(error, function(m) return m .. '!', 2 end, 'x') assert(not "
             "ok and e == "
             "'x!' and f == 2)",
             "");
    kit_done("local log = {} do local ok = pcall(function() local x <close> = setmetatable({}, { "
             "__close = "
             "function() log[1] = 'closed' end }) error('x') end) end assert(log[1] == 'closed')",
             "");
}

static void test_logs(void **state)
{
    (void)state;
    struct kit_run *r = kit_run("for i = 1, 200 do print(i) end");
    cJSON *logs = cJSON_Parse(r->logs);
    assert_int_equal(cJSON_GetArraySize(logs), SH_MAX_LOG_LINES + 1);
    cJSON_Delete(logs);
    r = kit_run("log.warn(('x'):rep(100000))");
    assert_true(strlen(r->logs) < SH_MAX_LOG_LINE_BYTES + 100);
    r = kit_run("log.error('a', 1, nil) error('x')");
    assert_string_equal(r->logs, "[{\"level\":\"error\",\"text\":\"a 1 nil\"}]");
}

static void test_bare_bodies(void **state)
{
    (void)state;
    assert_int_equal(kit_run_with("assert(ev == 'text')", "\"text\"")->outcome, SH_RUN_DONE);
    assert_int_equal(kit_run_with("assert(#ev == 2)", "[1,2]")->outcome, SH_RUN_DONE);
    assert_int_equal(kit_run_with("", "{\"bad\"")->outcome, SH_RUN_FAILED);
}

/* The library's own tables cannot be changed, nor the host's reached. */
static void test_no_way_out(void **state)
{
    (void)state;
    static const char *const tries[] = {"string.rep = nil",
                                        "json.null = 1",
                                        "records.put = print",
                                        "math.pi = 3",
                                        "table.insert(table, 1)",
                                        "getmetatable('').__index = {}",
                                        "setmetatable(string, {})",
                                        "json.array(string)",
                                        "getmetatable(string).__index = {}",
                                        "_ENV['pair' .. 's'] = nil",
                                        "local t = getmetatable(_ENV) t.__index = {}",
                                        "setmetatable(_ENV, nil)"};
    for (size_t i = 0; i < sizeof(tries) / sizeof(*tries); i++) {
        struct kit_run *r = kit_run(tries[i]);
        if (r->outcome != SH_RUN_FAILED)
            print_message("%s\n", tries[i]);
        assert_int_equal(r->outcome, SH_RUN_FAILED);
    }
    kit_refused("pairs = nil", "rules/x.lua:2: 'pairs' is part of the rule API: choose another "
                               "name");
    kit_refused("_ENV.pairs = 1", "rules/x.lua:2: 'pairs' is part of the rule API: choose another "
                                  "name");
    kit_done("local _ENV = { assert = assert } x = 1 assert(x == 1)", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_round_trip, kit_teardown),
        cmocka_unit_test_teardown(test_event_values, kit_teardown),
        cmocka_unit_test_teardown(test_envelope, kit_teardown),
        cmocka_unit_test_teardown(test_when_is_a_view, kit_teardown),
        cmocka_unit_test_teardown(test_matching, kit_teardown),
        cmocka_unit_test_teardown(test_only_and_skip, kit_teardown),
        cmocka_unit_test_teardown(test_globals, kit_teardown),
        cmocka_unit_test_teardown(test_nothing_is_kept, kit_teardown),
        cmocka_unit_test_teardown(test_modules, kit_teardown),
        cmocka_unit_test_teardown(test_strings_are_safe, kit_teardown),
        cmocka_unit_test_teardown(test_order, kit_teardown),
        cmocka_unit_test_teardown(test_random, kit_teardown),
        cmocka_unit_test_teardown(test_error_objects, kit_teardown),
        cmocka_unit_test_teardown(test_logs, kit_teardown),
        cmocka_unit_test_teardown(test_bare_bodies, kit_teardown),
        cmocka_unit_test_teardown(test_no_way_out, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
