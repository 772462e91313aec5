/* SPDX-License-Identifier: MIT
 * test_host_sandbox.c: what a rule must not be able to reach: bytecode, the registry, hidden
 * tables, the metatables of others, finalizers, addresses. Each case is a way that once worked, or
 * the nearest one to it. */
#include "test_host.h"

/* --- what is not there ----------------------------------------------------------------------- */

static void test_absent_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        "os",       "io",     "debug",  "package",  "load",    "loadstring",
        "loadfile", "dofile", "rawget", "rawset",   "rawlen",  "collectgarbage",
        "warn",     "_G",     "module", "newproxy", "setfenv", "getfenv",
        "jit",      "ffi",    "bit32",  "unpack"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        char body[100];
        snprintf(body, sizeof(body), "local n = tostring '%s' return _ENV[n]", names[i]);
        assert_int_equal(kit_run(body)->outcome, SH_RUN_FAILED);
        for (int k = 0; k < 2; k++) { /* written out, the file does not even load */
            char file[160];
            snprintf(file, sizeof(file), "rule 'r' { on = '*', run = function() return %s%s end }",
                     k ? "_ENV." : "", names[i]);
            assert_false(kit_load("rules/x.lua", file, NULL));
        }
    }
    kit_refused("return string.dump", "rules/x.lua:2: string.dump is not available here");
    kit_fails("local n = tostring 'dump' return string[n]",
              "rules/x.lua:2: string.dump is not available here");
    kit_fails("local n = tostring 'randomseed' return math[n]",
              "rules/x.lua:2: math.randomseed is not available here");
    kit_fails("local x = tostring 'x' return x.dump('x')",
              "rules/x.lua:2: string.dump is not available here");
}

/* A file is text, whatever it begins with. */
static void test_no_bytecode(void **state)
{
    (void)state;
    assert_false(kit_load("rules/x.lua", "\033LuaT", NULL));
    assert_false(kit_load("rules/x.lua", "require 'm'", "scripts/m.lua", "\033LuaT", NULL));
}

/* --- API tables ------------------------------------------------------------------------------ */

/* The body, run within pcall, must fail; nothing may have been written. */
static void refused(const char *body)
{
    char *all = sh_strf("local ok = pcall(function() %s end) assert(not ok)\n"
                        "assert(('x'):rep(2) == 'xx' and string.rep and not pcall(function() "
                        "return string[tostring 'x'] end) and not pcall(function() return "
                        "_ENV[tostring 'x'] end))",
                        body);
    for (int i = 0; i < 2; i++) {
        struct kit_run *r = kit_run(all);
        if (r->outcome != SH_RUN_DONE)
            print_message("%s\n -> %s\n", body, r->error);
        assert_int_equal(r->outcome, SH_RUN_DONE);
    }
    free(all);
}

static void test_api_is_read_only(void **state)
{
    (void)state;
    static const char *const tables[] = {"string",    "table", "math",    "utf8",
                                         "coroutine", "json",  "records", "callbacks",
                                         "http",      "log",   "time",    "_ENV"};
    static const char *const ways[] = {
        "T.x = 1",
        "T.rep = nil",
        "table.insert(T, 1)",
        "table.move({ 1 }, 1, 1, 1, T)",
        "table.sort(setmetatable({}, { __len = function() return 2 end, __index = T })) T.x = 1",
        "setmetatable(T, {})",
        "setmetatable(T, nil)",
        "json.array(T)",
        "json.object(T)",
        "getmetatable(T).__newindex = nil",
        "getmetatable(setmetatable({}, T)).x = 1 T.x = 1"};
    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
        for (size_t k = 0; k < sizeof(ways) / sizeof(*ways); k++) {
            char body[200];
            snprintf(body, sizeof(body), "local T = (function(t) return t end)(%s) %s", tables[i],
                     ways[k]);
            refused(body);
        }
}

static void test_strings_keep_their_metatable(void **state)
{
    (void)state;
    kit_says("getmetatable('')", "nil");
    kit_says("getmetatable(5)", "nil");
    kit_says("getmetatable(print)", "nil");
    kit_says("getmetatable(secret 'CRM_TOKEN')", "nil");
    kit_says("getmetatable(json.array())", "nil");
    kit_says("getmetatable(string), getmetatable(_ENV)", "nil nil");
    kit_says("getmetatable(setmetatable({}, string)) == string", "true");
    kit_fails("return ('x').__index", "rules/x.lua:2: string.__index is not available here");
}

/* --- metatables ------------------------------------------------------------------------------ */

static void not_loaded(const char *text, const char *msg)
{
    assert_false(kit_load("rules/x.lua", text, NULL));
    kit_reported("errors", "rules/x.lua", 0, msg);
}

static void test_finalizers(void **state)
{
    (void)state;
    static const char *const fields[] = {"__gc", "__mode", "__metatable"};
    for (size_t i = 0; i < 3; i++) {
        char body[200], want[200];
        snprintf(body, sizeof(body), "setmetatable({}, { %s = 'k' })", fields[i]);
        snprintf(want, sizeof(want), "rules/x.lua:2: setmetatable: %s is not available to rules",
                 fields[i]);
        kit_fails(body, want);
        snprintf(body, sizeof(body), "local mt = {} setmetatable({}, mt) mt.%s = 'k'", fields[i]);
        snprintf(want, sizeof(want),
                 "rules/x.lua:1: a metatable was given %s, which is not available to rules",
                 fields[i]);
        kit_fails(body, want);
    }
    /* a file cannot hide them behind a field that the host's own metatables have */
    not_loaded("local mt = {} T = setmetatable({}, mt) mt.__metatable = 1 mt.__gc = print\n"
               "rule 'r' { on = '*', run = function() log.info(T) end }",
               "T: __gc is not available to rules");
    not_loaded("local C = {} C.__mode = 'k' local o = setmetatable({}, { __index = C })\n"
               "local mt = {} T = setmetatable({}, mt) mt.__index = C mt.__mode = 'v'\n"
               "rule 'r' { on = '*', run = function() log.info(T, o) end }",
               "T: __mode is not available to rules");
    kit_must_load("C = { __gc = function() end }\nrule 'r' { on = '*', run = function()\n"
                  "setmetatable({}, C) end }");
    kit_starts(kit_job("t", "{}")->error,
               "rules/x.lua:3: setmetatable: __gc is not available to rules");
}

/* A class works as in plain Lua, though nobody can write to it. */
static void test_classes(void **state)
{
    (void)state;
    kit_must_load(
        "local function class(base)\n"
        "  local c = {} c.__index = c return setmetatable(c, base and { __index = base }) end\n"
        "local A = class() function A:name() return 'A' .. (self.n or '') end\n"
        "local B = class(A) B.__call = function(_, x) return x + 1 end B.__len = function() return "
        "7 end\n"
        "B.__tostring = function() return 'b!' end B.__eq = function() return true end\n"
        "B.__lt = function() return true end B.__concat = function() return 'joined' end\n"
        "local made = setmetatable({ n = 1 }, B)\n"
        "rule 'r' { on = '*', run = function()\n"
        "  for _, o in ipairs { made, setmetatable({ n = 1 }, B), copy(made) } do\n"
        "    assert(o:name() == 'A1' and o(1) == 2 and #o == 7 and tostring(o) == 'b!')\n"
        "    assert(o == setmetatable({}, B) and o < made and o .. 'x' == 'joined')\n"
        "    assert(getmetatable(o) == B and getmetatable(o).__index == B)\n"
        "  end\n"
        "  assert(B:name() == 'A' and getmetatable(B).__index == A)\n"
        "  local keys = {} for k in pairs(B) do keys[#keys + 1] = k end\n"
        "  assert(table.concat(keys, ' ') == '__call __concat __eq __index __len __lt "
        "__tostring')\n"
        "end }");
    for (int i = 0; i < 2; i++) {
        struct kit_run *r = kit_job("t", "{}");
        assert_string_equal(r->error, "");
        assert_int_equal(r->outcome, SH_RUN_DONE);
    }
}

/* A table that is its own metatable, and a defaults table: functions see the read-only one. */
static void test_odd_metatables(void **state)
{
    (void)state;
    kit_must_load(
        "local C = { x = 1 } C.__call = function() return 'called' end\n"
        "C.__len = function() return 9 end C.__index = function(_, k) return k .. '!' end\n"
        "setmetatable(C, C)\nlocal D = setmetatable({ a = 1 }, { __index = { b = 2 } })\n"
        "rule 'r' { on = '*', run = function()\n"
        "  assert(C() == 'called' and #C == 9 and C.x == 1 and C.y == 'y!')\n"
        "  assert(getmetatable(C) == C and D.a == 1 and D.b == 2 and D.c == nil)\n"
        "  assert(json.encode(D) == '{\"a\":1}')\nend }");
    assert_string_equal(kit_job("t", "{}")->error, "");
    assert_false(kit_load("rules/x.lua",
                          "local A, B = {}, {} setmetatable(A, B) setmetatable(B, A)\n"
                          "rule 'r' { on = '*', run = function() log.info(A) end }",
                          NULL));
    kit_reported("errors", "rules/x.lua", 1, "'A' has metatables of metatables without end");
}

/* A class handed an object after its module was done. */
static void test_late_objects(void **state)
{
    (void)state;
    assert_true(kit_load("rules/x.lua",
                         "local m = require 'm'\nlocal o = { n = 1 }\nm.hold(o)\n"
                         "rule 'r' { on = '*', run = function() assert(m.held():hi() == 'hi')\n"
                         "m.held().n = 2 end }",
                         "scripts/m.lua",
                         "local C = { hi = function() return 'hi' end } C.__index = C\nlocal kept\n"
                         "return { hold = function(o) kept = setmetatable(o, C) end,\n"
                         "held = function() return kept end }",
                         NULL));
    for (int i = 0; i < 2; i++)
        kit_starts(kit_job("t", "{}")->error,
                   "rules/x.lua:5: 'kept' belongs to the file and is read-only");
}

/* --- addresses ------------------------------------------------------------------------------- */

static void no_address(const char *expression)
{
    char *body = sh_strf("log.info(%s)", expression);
    struct kit_run *r = kit_run(body);
    if (strstr(r->logs ? r->logs : "", "0x") || strstr(r->error, "0x"))
        print_message("%s -> %s %s\n", body, r->logs, r->error);
    assert_null(strstr(r->error, "0x"));
    assert_null(strstr(r->logs ? r->logs : "", "0x"));
    free(body);
}

static void test_no_addresses(void **state)
{
    (void)state;
    static const char *const values[] = {"{}",
                                         "print",
                                         "function() end",
                                         "coroutine.create(print)",
                                         "ev",
                                         "json.null",
                                         "string",
                                         "secret 'CRM_TOKEN'",
                                         "json.array()",
                                         "coroutine.running()",
                                         "setmetatable({}, { __name = 'odd' })",
                                         "string.gmatch('', '')"};
    static const char *const ways[] = {"tostring(V)",
                                       "V, { V }",
                                       "string.format('%%s %%10.20s', V, V)",
                                       "string.format('\\0%%s', V)",
                                       "pcall(string.format, '%%p', V)",
                                       "pcall(string.format, '\\0%%-5p', V)",
                                       "pcall(string.format, '%%q', V)",
                                       "pcall(string.format, '%%d %%c', V)",
                                       "pcall(table.concat, { V })",
                                       "pcall(function() return 'x' .. V end)",
                                       "pcall(function() return V + 1 end)",
                                       "pcall(function() return V < V end)",
                                       "pcall(function() return V.x.y.z end)",
                                       "pcall(function() V() end)",
                                       "pcall(string.rep, V, 2)",
                                       "pcall(string.gsub, 'x', 'x', function() return V end)",
                                       "pcall(error, V)",
                                       "pcall(json.encode, { a = V })",
                                       "pcall(records.put, 'c', V, {})",
                                       "pcall(template, '{{a}}', { a = V })",
                                       "pcall(emit, V, V)",
                                       "pcall(select, V)",
                                       "pcall(setmetatable, V, V)",
                                       "pcall(ipairs)",
                                       "error(V)"};
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
        for (size_t k = 0; k < sizeof(ways) / sizeof(*ways); k++) {
            char *way = sh_strf("(function(V) return %s end)(%s)", ways[k], values[i]);
            char *at;
            while ((at = strstr(way, "%%")) != NULL)
                memmove(at, at + 1, strlen(at));
            no_address(way);
            free(way);
        }
    kit_fails("return ('\\0%p'):format({})",
              "rules/x.lua:2: string.format: %p would show an address, which differs each time");
    kit_says("string.format('%s|%5s|%s', {}, print, setmetatable({}, { __tostring = function() "
             "return 'mine' end }))",
             "table|function|mine");
}

/* --- other runs ------------------------------------------------------------------------------ */

/* The run's own coroutine is carried over to the next run: nobody may end or go on with it. */
static void test_own_coroutine(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        kit_done("local co, main = coroutine.running() assert(main)\n"
                 "assert(coroutine.status(co) == 'running')\n"
                 "assert(not coroutine.resume(co) and not pcall(coroutine.close, co))\n"
                 "coroutine.wrap(function()\n"
                 "  assert(not coroutine.resume(co) and not pcall(coroutine.close, co))\n"
                 "  assert(coroutine.status(co) == 'normal')\n"
                 "end)()\nassert(not pcall(coroutine.yield))",
                 "");
}

static void test_globals_of_a_file_are_its_own(void **state)
{
    (void)state;
    assert_true(kit_load("rules/a.lua", "mine = 1\nrule 'a' { on = '*', run = function() end }",
                         "rules/b.lua",
                         "rule 'b' { on = '*', run = function() local n = tostring 'mine' "
                         "assert(not pcall(function() return _ENV[n] end)) end }",
                         NULL));
    kit_job("t", "{}");
    assert_int_equal(kit.n_runs, 2);
    assert_int_equal(kit.runs[1].outcome, SH_RUN_DONE);
    assert_false(kit_load("rules/a.lua", "zzzz = 1\nrule 'a' { on = '*', run = function() end }",
                          "rules/b.lua", "rule 'b' { on = '*', run = function() return zzzz end }",
                          NULL));
    kit_reported("errors", "rules/b.lua", 1, "undefined variable 'zzzz'");
}

/* What `when` sees is everybody's; no way leads behind it. */
static void test_views(void **state)
{
    (void)state;
    static const char *const ways[] = {
        "ev.a = 1",
        "ev.inner.a = 1",
        "ev.list[1] = 9",
        "table.insert(ev.list, 1)",
        "table.remove(ev.list)",
        "table.sort(ev.list)",
        "table.move({ 9 }, 1, 1, 1, ev.list)",
        "setmetatable(ev, {})",
        "setmetatable(ev.list, nil)",
        "json.array(ev)",
        "json.object(ev.inner)",
        "for _, v in pairs(ev) do if type(v) == 'table' then v[1] = 1 end end",
        "select(2, next(ev)).x = 1",
        "(table.unpack({ ev.inner })).a = 1",
        "get(ev, 'inner').a = 1",
        "getmetatable(setmetatable({}, ev)).a = 1",
        "getmetatable(ev).__newindex = nil"};
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        char *text = sh_strf("rule 'w' { on = '*', when = function(ev)\n"
                             "assert(not pcall(function() %s end)) return true end,\n"
                             "run = function(ev) assert(json.encode(ev) ==\n"
                             "'{\"inner\":{\"a\":0},\"list\":[3,1,2]}') end }",
                             ways[i]);
        kit_must_load(text);
        struct kit_run *r = kit_job("t", "{\"inner\":{\"a\":0},\"list\":[3,1,2]}");
        if (r->outcome != SH_RUN_DONE)
            print_message("%s\n -> %s\n", ways[i], r->error);
        assert_int_equal(r->outcome, SH_RUN_DONE);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_absent_names, kit_teardown),
        cmocka_unit_test_teardown(test_no_bytecode, kit_teardown),
        cmocka_unit_test_teardown(test_api_is_read_only, kit_teardown),
        cmocka_unit_test_teardown(test_strings_keep_their_metatable, kit_teardown),
        cmocka_unit_test_teardown(test_finalizers, kit_teardown),
        cmocka_unit_test_teardown(test_classes, kit_teardown),
        cmocka_unit_test_teardown(test_odd_metatables, kit_teardown),
        cmocka_unit_test_teardown(test_late_objects, kit_teardown),
        cmocka_unit_test_teardown(test_no_addresses, kit_teardown),
        cmocka_unit_test_teardown(test_own_coroutine, kit_teardown),
        cmocka_unit_test_teardown(test_globals_of_a_file_are_its_own, kit_teardown),
        cmocka_unit_test_teardown(test_views, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
