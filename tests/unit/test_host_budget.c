/* SPDX-License-Identifier: MIT
 * test_host_budget.c: every way we know to outlive a budget, and that none works. */
#include "test_host.h"

#define CPU(line) "rules/x.lua:" #line ": CPU budget of 50 ms exceeded"
#define MEMORY    "memory budget of 16384 KiB exceeded"

/* Ends within a few times the budget, at the given line or, with 0, at any. */
static void ends_by_cpu(const char *body, int line)
{
    int64_t t0 = sh_mono_us();
    struct kit_run *r = kit_run(body);
    int64_t took = sh_mono_us() - t0;
    char want[80];
    if (r->outcome != SH_RUN_FAILED || !strstr(r->error, "CPU budget of 50 ms exceeded"))
        print_message("%s\n -> %d %s\n", body, r->outcome, r->error);
    assert_int_equal(r->outcome, SH_RUN_FAILED);
    assert_non_null(strstr(r->error, "CPU budget of 50 ms exceeded"));
    assert_int_equal(strncmp(r->error, "rules/x.lua:", 12), 0);
    snprintf(want, sizeof(want), "rules/x.lua:%d: CPU budget of 50 ms exceeded", line);
    if (line)
        assert_string_equal(r->error, want);
    assert_true(took < 3000000);
    /* the host goes on: the same rule set answers the next event */
    struct sh_job job = kit_a_job("other", "{}");
    sh_host_job(kit.host, &job);
    assert_int_equal(sh_host_open_jobs(kit.host), 0);
}

static void test_plain_loops(void **state)
{
    (void)state;
    ends_by_cpu("while true do end", 2);
    ends_by_cpu("\n\nrepeat local x = 1 until false", 4);
    ends_by_cpu("for i = 1, math.huge do end", 2);
    ends_by_cpu("::top:: goto top", 2);
    ends_by_cpu("local function f() return f() end f()", 2);
    ends_by_cpu("local s = 0 while true do s = s + #tostring(s) end", 2);
}

static void test_pcall(void **state)
{
    (void)state;
    ends_by_cpu("while true do pcall(function() while true do end end) end", 2);
    ends_by_cpu("pcall(function() while true do end end)\nlog.info('survived')\nwhile true do end",
                2);
    ends_by_cpu("local function f() pcall(f) pcall(f) while true do end end f()", 2);
    ends_by_cpu("while true do pcall(pcall, pcall, error) end", 2);
    ends_by_cpu(
        "while true do pcall(error, setmetatable({}, {__tostring = function() while true do end "
        "end})) end",
        2);
}

static void test_xpcall(void **state)
{
    (void)state;
    ends_by_cpu("xpcall(error, function() while true do end end)", 2);
    ends_by_cpu(
        "while true do xpcall(function() while true do end end, function() while true do end "
        "end) end",
        2);
    ends_by_cpu("local function h() return xpcall(error, h) end while true do pcall(h) end", 2);
    ends_by_cpu(
        "xpcall(function() local x = nil + 1 end, function(m) pcall(function() while true do "
        "end end) while true do end end)",
        2);
}

static void test_coroutines(void **state)
{
    (void)state;
    ends_by_cpu("coroutine.wrap(function() while true do end end)()", 2);
    ends_by_cpu("while true do local co = coroutine.create(function() while true do end end)\n"
                "coroutine.resume(co) end",
                2);
    ends_by_cpu("while true do pcall(coroutine.wrap(function() while true do end end)) end", 2);
    ends_by_cpu("local co = coroutine.wrap(function() while true do coroutine.yield() end end)\n"
                "while true do co() end",
                0);
    ends_by_cpu("local function nest(n)\n return coroutine.wrap(function()\n"
                "  if n > 0 then pcall(nest(n - 1)) end\n  while true do end end) end\n"
                "while true do pcall(nest(20)) end",
                5);
    ends_by_cpu(
        "local co = coroutine.create(function() while true do end end)\n"
        "while true do coroutine.resume(co) coroutine.close(co) co = coroutine.create(function() "
        "while true do end end) end",
        2);
    ends_by_cpu("local co = coroutine.create(function() coroutine.yield() while true do end end)\n"
                "coroutine.resume(co)\npcall(coroutine.resume, co)\nwhile true do end",
                2);
}

static void test_close(void **state)
{
    (void)state;
    ends_by_cpu("local x <close> = setmetatable({}, {__close = function() while true do end end})\n"
                "while true do end",
                3);
    ends_by_cpu("pcall(function() local x <close> = setmetatable({}, {__close = function()\n"
                "while true do end end}) error('x') end) log.info('survived')",
                3);
    ends_by_cpu(
        "local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = "
        "function()\nwhile true do end end}) coroutine.yield() end)\n"
        "coroutine.resume(co) coroutine.close(co)",
        3);
    ends_by_cpu(
        "pcall(function() local x <close> = setmetatable({}, {__close = function()\n"
        "pcall(function() while true do end end) while true do end end}) while true do end end)\n"
        "while true do end",
        3);
    ends_by_cpu("local t = setmetatable({}, {__close = function() while true do end end})\n"
                "for i in function() return 1 end, nil, nil, t do end",
                3);
}

/* The pending __close of a run that failed is still within its budget. */
static void test_close_after_failure(void **state)
{
    (void)state;
    int64_t t0 = sh_mono_us();
    struct kit_run *r =
        kit_run("local x <close> = setmetatable({}, {__close = function() while true do "
                "end end})\nerror('first')");
    assert_int_equal(r->outcome, SH_RUN_FAILED);
    kit_starts(r->error, "rules/x.lua:3: first");
    r = kit_run(
        "local x <close> = setmetatable({}, {__close = function() log.info('closed') end})\n"
        "error('first')");
    assert_non_null(strstr(r->logs, "closed"));
    r = kit_run(
        "local x <close> = setmetatable({}, {__close = function() records.get('c', 'x') end})\n"
        "error('first')");
    kit_starts(r->error, "rules/x.lua:3: first");
    assert_true(sh_mono_us() - t0 < 3000000);
}

static void test_callbacks_from_c(void **state)
{
    (void)state;
    ends_by_cpu("table.sort({3, 1, 2}, function(a, b) while true do end end)", 2);
    ends_by_cpu(
        "pcall(table.sort, {3, 1, 2}, function(a, b) while true do end end) while true do end", 2);
    ends_by_cpu("('x'):gsub('x', function() while true do end end)", 2);
    ends_by_cpu("while true do pcall(string.gsub, 'x', 'x', function() while true do end end) end",
                2);
    ends_by_cpu("tostring(setmetatable({}, {__tostring = function() while true do end end}))", 2);
    ends_by_cpu(
        "local t = setmetatable({}, {__index = function() while true do end end}) get(t, 'a')", 2);
    ends_by_cpu("local t = setmetatable({}, {__eq = function() while true do end end}) return t == "
                "setmetatable({}, getmetatable(t))",
                2);
    ends_by_cpu("local t = setmetatable({}, {__pairs = function() while true do end end}) pairs(t)",
                2);
    ends_by_cpu("log.info(setmetatable({}, {__tostring = function() while true do end end}))", 2);
    ends_by_cpu("error(setmetatable({}, {__tostring = function() while true do end end}), "
                "(function() while true do end end)())",
                2);
    ends_by_cpu("template('{{a}}', setmetatable({}, {__index = function() while true do end end}))",
                2);
}

static void test_metamethods(void **state)
{
    (void)state;
    static const char *const uses[][2] = {{"__concat", "return t .. 'x'"},
                                          {"__lt", "table.sort({ t, t, t })"},
                                          {"__le", "return t <= t"},
                                          {"__newindex", "t.x = 1"},
                                          {"__call", "('x'):gsub('x', function() t() end)"},
                                          {"__index", "('x'):gsub('x', t)"},
                                          {"__index", "ipairs(t)(t, 0)"},
                                          {"__index", "table.concat(t, '', 1, 2)"},
                                          {"__index", "get(t, 'a.b')"},
                                          {"__len", "table.unpack(t)"},
                                          {"__len", "template('{{a}}', { a = t })"},
                                          {"__unm", "return -t"},
                                          {"__close", "local x <close> = t"},
                                          {"__tostring", "string.format('%s', t)"}};
    for (size_t i = 0; i < sizeof(uses) / sizeof(*uses); i++) {
        char *body = sh_strf("local t = setmetatable({}, { %s = function() while true do end end "
                             "})\ndo %s end",
                             uses[i][0], uses[i][1]);
        ends_by_cpu(body, 2);
        free(body);
    }
}

/* Long work within C ends too, at the next place where it looks. */
static void test_long_work_in_c(void **state)
{
    (void)state;
    ends_by_cpu("local l = {} for i = 1, 9999 do l[i] = '' end\n"
                "template(('{{a}}'):rep(100000), { a = l })",
                3);
    ends_by_cpu("local t = {} for i = 1, 120000 do t[i] = -i end\n"
                "for i = 1, 100 do table.sort(t) end",
                0);
    ends_by_cpu("local t = {} for i = 1, 10000 do t['k' .. i] = i end\nwhile true do pairs(t) end",
                3);
    ends_by_cpu("local t = {} for i = 1, 10000 do t[i] = {} end while true do copy(t) end", 2);
    ends_by_cpu("local t = {} for i = 1, 10000 do t[i] = {} end while true do json.encode(t) end",
                2);
    kit_fails("template(('{{a}}'):rep(100000), { a = ('x'):rep(1000) })",
              "rules/x.lua:2: template is over 4194304 bytes when filled");
}

static void test_budget_in_when(void **state)
{
    (void)state;
    kit_must_load(
        "rule 'w' { on = '*',\n when = function() pcall(function() while true do end end)\n"
        " return true end, run = function() end }");
    struct kit_run *r = kit_job("t", "{}");
    assert_int_equal(r->outcome, SH_RUN_FAILED);
    assert_string_equal(r->error, CPU(2));
}

static void test_others_go_on(void **state)
{
    (void)state;
    kit_must_load("rule 'bad' { on = '*', run = function() while true do end end }\n"
                  "rule 'good' { on = '*', run = function() emit('fine') end }");
    kit_job("t", "{}");
    assert_int_equal(kit.n_runs, 2);
    assert_int_equal(kit.runs[0].outcome, SH_RUN_FAILED);
    assert_int_equal(kit.runs[1].outcome, SH_RUN_DONE);
    assert_string_equal(kit.runs[1].effects, "{\"kind\":\"emit\",\"type\":\"fine\",\"data\":{}}\n");
}

/* A budget counts a run's own time, over all its stretches, and nobody else's. */
static void test_stretches_add_up(void **state)
{
    (void)state;
    const char *busy = "for n = 1, 10 do records.get('c', 'x') local t = 0\n"
                       "for i = 1, 3000000 do t = t + i end end";
    assert_int_equal(kit_run(busy)->outcome, SH_RUN_FAILED);
    assert_non_null(strstr(kit.runs[0].error, "CPU budget of 50 ms exceeded"));
    kit_must_load(
        "rule 'a' { on = '*', run = function() local t = 0 for i = 1, 300000 do t = t + i end "
        "end }");
    for (int i = 0; i < 40; i++)
        assert_int_equal(kit_job("t", "{}")->outcome, SH_RUN_DONE);
}

static void ends_by_memory(const char *body, int line)
{
    struct kit_run *r = kit_run(body);
    char want[100];
    snprintf(want, sizeof(want), "rules/x.lua:%d: " MEMORY, line);
    if (r->outcome != SH_RUN_FAILED || !strstr(r->error, line ? want : MEMORY))
        print_message("%s\n -> %d %s\n", body, r->outcome, r->error);
    assert_int_equal(r->outcome, SH_RUN_FAILED);
    if (line)
        assert_string_equal(r->error, want);
    else
        assert_non_null(strstr(r->error, MEMORY));
    for (int i = 0; i < 3; i++) { /* what it took is free again */
        struct sh_job job = kit_a_job("t2", "{\"stop\":true}");
        sh_host_job(kit.host, &job);
    }
}

static void test_memory(void **state)
{
    (void)state;
    kit.budgets = kit_budgets;
    kit.budgets.cpu_ms = 5000;
    ends_by_memory("if ev.stop then return end local t = {} for i = 1, 1e9 do t[i] = i end", 2);
    ends_by_memory("if ev.stop then return end local s = 'x' while true do s = s .. s end", 2);
    ends_by_memory("local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end", 2);
    ends_by_memory("local t = {} for i = 1, 1e9 do t[i] = function() return i end end", 2);
    ends_by_memory("local t = {} for i = 1, 1e9 do t[i] = coroutine.create(print) end", 2);
    ends_by_memory("local t = {} for i = 1, 400000 do t[i] = 'abcdefghijklmnopqrstuvwxyz' end\n"
                   "table.concat(t)",
                   3);
    ends_by_memory("local function f(n) return 1 + f(n + 1) end f(1)", 0);
    ends_by_memory("local s = ('x'):rep(6000000)\nlocal t = s:gsub('x', 'yyyy')", 3);
    ends_by_memory(
        "local t = {}\nwhile true do pcall(function() while true do\nt[#t + 1] = {} end end) end",
        4);
    ends_by_memory("while true do\nlocal t = {} pcall(coroutine.wrap(function() for i = 1, 1e9 do\n"
                   "t[i] = {i} end end)) end",
                   4);
    ends_by_memory(
        "local t = {}\nxpcall(function() while true do\nt[#t + 1] = {} end end, function() while "
        "true do t[#t + 1] = {} end end)",
        4);
    ends_by_memory(
        "local x <close> = setmetatable({}, {__close = function() local t = {} while true do\n"
        "t[#t + 1] = {} end end})\nlocal t = {} while true do t[#t + 1] = {} end",
        4);
    ends_by_memory(
        "table.sort({3, 1, 2}, function()\nlocal t = {} while true do t[#t + 1] = {} end end)", 3);
}

static void test_garbage_is_no_crime(void **state)
{
    (void)state;
    kit.budgets = kit_budgets;
    kit.budgets.cpu_ms = 5000;
    kit_done("for i = 1, 300 do local s = ('x'):rep(1000000) end emit('done')",
             "{\"kind\":\"emit\",\"type\":\"done\",\"data\":{}}\n");
    kit_done("for i = 1, 200000 do local t = {i, {i}} end", "");
}

static void test_refused_sizes(void **state)
{
    (void)state;
    kit_fails("('x'):rep(1 << 62)",
              "rules/x.lua:2: string.rep: the result would be over the memory budget of 16384 KiB");
    kit_fails("('x'):rep(1 << 30, ',')",
              "rules/x.lua:2: string.rep: the result would be over the memory budget of 16384 KiB");
    kit_done("assert((''):rep(1 << 62) == '') assert(('x'):rep(-1) == '')", "");
    kit_done("assert(('ab'):rep(3, '-') == 'ab-ab-ab')", "");
    kit_fails("table.move({}, 1, 1 << 50, 2)",
              "rules/x.lua:2: table.move: more than 1000000 items at once");
    kit_fails("table.insert(setmetatable({}, {__len = function() return 1 << 50 end}), 1, 1)",
              "rules/x.lua:2: table.insert: more than 1000000 items at once");
    kit_fails("table.remove(setmetatable({}, {__len = function() return 1 << 50 end}), 1)",
              "rules/x.lua:2: table.remove: more than 1000000 items at once");
    kit_fails("table.concat({}, '', 1, 1 << 50)",
              "rules/x.lua:2: table.concat: more than 1000000 items at once");
    kit_fails("table.sort(setmetatable({}, {__len = function() return 1 << 30 end}))",
              "rules/x.lua:2: table.sort: more than 1000000 items at once");
    struct kit_run *r = kit_run("table.unpack({}, 1, 1 << 30)");
    assert_int_equal(r->outcome, SH_RUN_FAILED);
    assert_non_null(strstr(r->error, "too many results to unpack"));
}

static void test_effect_budgets(void **state)
{
    (void)state;
    kit.budgets = kit_budgets;
    kit.budgets.max_effects = 10;
    kit.budgets.max_effect_bytes = 5000;
    kit_fails("for i = 1, 10 do emit('a') end\nemit('b')",
              "rules/x.lua:3: budget of 10 effects exceeded");
    kit_fails("for i = 1, 10 do emit('a') end\nwhile true do\npcall(emit, 'b') end",
              "rules/x.lua:4: budget of 10 effects exceeded");
    kit_fails("records.put('c', 1, {text = ('x'):rep(3000)})\nrecords.put('c', 2, {text = "
              "('x'):rep(3000)})",
              "rules/x.lua:3: budget of 5000 bytes of effects exceeded");
    kit_fails("pcall(records.put, 'c', 1, {text = ('x'):rep(6000)})\nlog.info('survived')",
              "rules/x.lua:2: budget of 5000 bytes of effects exceeded");
}

static void test_deep_things(void **state)
{
    (void)state;
    kit.budgets = kit_budgets;
    kit.budgets.cpu_ms = 2000;
    const char *close_chain =
        "local co = coroutine.wrap(function() end)\nlocal prev\nfor i = 1, 40000 do\n"
        "local p = prev\nlocal c = coroutine.create(function()\n"
        "local x <close> = setmetatable({}, {__close = function() if p then "
        "coroutine.close(p) end end})\ncoroutine.yield() end)\n"
        "coroutine.resume(c) prev = c end\ncoroutine.close(prev)";
    assert_int_equal(kit_run(close_chain)->outcome, SH_RUN_FAILED);
    assert_int_equal(kit_run("local function f() return coroutine.wrap(f)() end f()")->outcome,
                     SH_RUN_FAILED);
    assert_int_equal(
        kit_run("local t = {} for i = 1, 100000 do t = {t} end json.encode(t)")->outcome,
        SH_RUN_FAILED);
    assert_int_equal(kit_run("local t = {} for i = 1, 100000 do t = {t} end copy(t)")->outcome,
                     SH_RUN_FAILED);
    assert_int_equal(
        kit_run("local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x")->outcome,
        SH_RUN_FAILED);
    assert_int_equal(
        kit_run("local t = {} t.__tostring = function() return tostring(setmetatable({}, t)) "
                "end tostring(setmetatable({}, t))")
            ->outcome,
        SH_RUN_FAILED);
    assert_int_equal(kit_run("local e = setmetatable({}, {}) local function f() error(e) end\n"
                             "local function g() xpcall(f, g) end g()")
                         ->outcome,
                     SH_RUN_FAILED);
    assert_int_equal(kit_run("string.format('%s', ('%s'):rep(100000):gsub('%%', '%%%%'))")->outcome,
                     SH_RUN_DONE);
}

/* Recursion and chains end as errors of the rule, with its file and line. */
static void test_endless_chains(void **state)
{
    (void)state;
    kit.budgets = kit_budgets;
    kit.budgets.cpu_ms = 5000;
    kit.budgets.memory_bytes = 64 << 20;
    static const char *const bodies[] = {
        "local function f() return 1 + f() end f()",
        "local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) return t[1]",
        "local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x",
        "local t = setmetatable({}, {}) getmetatable(t).__newindex = t t.x = 1",
        "local t = setmetatable({}, { __tostring = function(t) return tostring(t) end }) "
        "tostring(t)",
        "local t = setmetatable({}, { __concat = function(a, b) return a .. b end }) return t .. 1",
        "local t = setmetatable({}, { __eq = function(a, b) return a == b end })\n"
        "return t == setmetatable({}, getmetatable(t))",
        "local s = ('a'):rep(250000) return s:match(('a?'):rep(250000))",
        "return (('('):rep(1000)):find((('('):rep(1000)))",
        "local function f() return f(table.unpack({}, 1, 200000)) end f()",
        "local function f(...) return f(1, ...) end f()",
        "string.format('%99999d', 1)",
        "string.unpack('s8', '\\255\\255\\255\\255\\255\\255\\255\\127')",
        "json.decode(('['):rep(100000))",
        "json.encode(setmetatable({}, { __index = 1 }), (function() local t = {} t.t = t return "
        "json.encode(t) end)())"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        struct kit_run *r = kit_run(bodies[i]);
        if (r->outcome != SH_RUN_FAILED || strncmp(r->error, "rules/x.lua:", 12) != 0)
            print_message("%s\n -> %d %s\n", bodies[i], r->outcome, r->error);
        assert_int_equal(r->outcome, SH_RUN_FAILED);
        kit_starts(r->error, "rules/x.lua:");
    }
}

/* A text that is filled within another leaves no trace of its own, also when it fails half-way. */
static void test_nested_templates(void **state)
{
    (void)state;
    kit_says(
        "(function() local bad = setmetatable({}, { __index = function(_, k) if k == 'e' then "
        "error('no') end return 'x' end })\n"
        "local w = setmetatable({}, { __index = function() pcall(template, 'in{{a}}{{e}}', bad)"
        "\npcall(template, ('{{a}}'):rep(6000), { a = ('y'):rep(1000) }) return 'v' end })\n"
        "local o = setmetatable({}, { __index = function() return template('<{{b}}>', w) end })"
        "\nreturn template('one {{a}} two {{b}}', o) end)()",
        "one <v> two <v>");
}

static void test_load_budget(void **state)
{
    (void)state;
    assert_false(kit_load("rules/x.lua", "\nwhile true do end", NULL));
    kit_reported("errors", "rules/x.lua", 2, "CPU budget of 500 ms exceeded");
    assert_false(kit_load("rules/x.lua", "local t = {}\nwhile true do\nt[#t+1] = {} end", NULL));
    kit_reported("errors", "rules/x.lua", 3, MEMORY);
}

static void test_wall(void **state)
{
    (void)state;
    kit.budgets = kit_budgets;
    kit.budgets.wall_ms = 20;
    kit.later = true;
    kit_must_load("rule 'slow' { on = 'a', run = function()\npcall(function()\n"
                  "records.get('c', 'x') end) log.info('survived') end }");
    kit_job("a", "{}");
    assert_int_equal(sh_host_open_jobs(kit.host), 1);
    sh_host_expire(kit.host);
    assert_int_equal(sh_host_open_jobs(kit.host), 1);
    struct timespec ts = {.tv_nsec = 30000000};
    nanosleep(&ts, NULL);
    sh_host_expire(kit.host);
    assert_int_equal(sh_host_open_jobs(kit.host), 0);
    assert_int_equal(kit.runs[0].outcome, SH_RUN_FAILED);
    assert_string_equal(kit.runs[0].error,
                        "rules/x.lua:3: wall budget of 20 ms exceeded, waiting for records.get");
    assert_false(sh_host_answer(kit.host, kit.open[0], SH_SLICE("\1")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_plain_loops, kit_teardown),
        cmocka_unit_test_teardown(test_pcall, kit_teardown),
        cmocka_unit_test_teardown(test_xpcall, kit_teardown),
        cmocka_unit_test_teardown(test_coroutines, kit_teardown),
        cmocka_unit_test_teardown(test_close, kit_teardown),
        cmocka_unit_test_teardown(test_close_after_failure, kit_teardown),
        cmocka_unit_test_teardown(test_callbacks_from_c, kit_teardown),
        cmocka_unit_test_teardown(test_metamethods, kit_teardown),
        cmocka_unit_test_teardown(test_long_work_in_c, kit_teardown),
        cmocka_unit_test_teardown(test_budget_in_when, kit_teardown),
        cmocka_unit_test_teardown(test_others_go_on, kit_teardown),
        cmocka_unit_test_teardown(test_stretches_add_up, kit_teardown),
        cmocka_unit_test_teardown(test_memory, kit_teardown),
        cmocka_unit_test_teardown(test_garbage_is_no_crime, kit_teardown),
        cmocka_unit_test_teardown(test_refused_sizes, kit_teardown),
        cmocka_unit_test_teardown(test_effect_budgets, kit_teardown),
        cmocka_unit_test_teardown(test_deep_things, kit_teardown),
        cmocka_unit_test_teardown(test_endless_chains, kit_teardown),
        cmocka_unit_test_teardown(test_nested_templates, kit_teardown),
        cmocka_unit_test_teardown(test_load_budget, kit_teardown),
        cmocka_unit_test_teardown(test_wall, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
