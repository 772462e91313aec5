/* SPDX-License-Identifier: MIT
 * test_host_state.c: what one run leaves behind for the next. Each case keeps something in a file's
 * local, an upvalue or a shared table; it must be refused with the variable's name, and the next
 * run, and any other in between, must find everything as it was. */
#include "test_host.h"

struct keeper {
    const char
        *file; /* rules/x.lua, before the rule; f() changes something, returns what is kept */
    const char *module; /* scripts/m.lua or NULL */
    const char *where;  /* how the error begins */
    const char *name;   /* of the variable */
    const char *kept;   /* what f() returns each time, as JSON; NULL: it does not get that far */
};

/* The keeper and a witness, which reads what is kept, on three events. */
static void keeps(const struct keeper *k)
{
    char quoted[100];
    char *rules = sh_strf("%s\nrule 'keeper' { on = '*', run = function() log.info(f()) end }\n"
                          "rule 'witness' { on = '*', run = function() end }",
                          k->file);
    bool loaded = k->module ? kit_load("rules/x.lua", rules, "scripts/m.lua", k->module, NULL)
                            : kit_load("rules/x.lua", rules, NULL);
    if (!loaded)
        print_message("%s\n%s\n", rules, cJSON_Print(kit.report));
    assert_true(loaded);
    snprintf(quoted, sizeof(quoted), "'%s'", k->name);
    for (int i = 0; i < 3; i++) {
        kit_job("t", "{}");
        const struct kit_run *r = &kit.runs[0];
        bool told = r->outcome == SH_RUN_FAILED && strstr(r->error, quoted) &&
                    strncmp(r->error, k->where, strlen(k->where)) == 0;
        char *want = k->kept ? sh_strf("[{\"level\":\"info\",\"text\":\"%s\"}]", k->kept) : NULL;
        bool same = !want || (r->logs && strcmp(r->logs, want) == 0);
        if (!told || !same)
            print_message("%s\n%s\n -> event %d: outcome %d, %s\n%s\n", k->file,
                          k->module ? k->module : "", i, r->outcome, r->error,
                          r->logs ? r->logs : "");
        assert_true(told);
        assert_true(same);
        free(want);
    }
    free(rules);
}

static void keep_all(const struct keeper *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        keeps(&list[i]);
}
#define KEEP_ALL(list) keep_all(list, sizeof(list) / sizeof(*(list)))

static void test_locals(void **state)
{
    (void)state;
    static const struct keeper list[] = {
        {"local n = 0\nfunction f() n = n + 1 return n end", NULL, "rules/x.lua:2: a run changed",
         "n", "1"},
        {"local a, b = 1, 2\nfunction f() a, b = b, a return a end", NULL,
         "rules/x.lua:2: a run changed", "a", "2"},
        {"local n\nfunction f() local t = {} t.x, n = 1, (n or 0) + 1 return n end", NULL,
         "rules/x.lua:2: a run changed", "n", "1"},
        {"local n = 0\nfunction f() for i = 1, 3 do n = n + i end return n end", NULL,
         "rules/x.lua:2: a run changed", "n", "6"},
        {"local n = 0\nfunction f() ::top:: n = n + 1 if n < 5 then goto top end return n end",
         NULL, "rules/x.lua:2: a run changed", "n", "5"},
        {"local function g() return 1 end\nfunction f() function g() return 2 end return g() end",
         NULL, "rules/x.lua:2: a run changed", "g", "2"},
        {"local t = { n = 0 }\nfunction f() t = { n = t.n + 1 } return t.n end", NULL,
         "rules/x.lua:2: a run changed", "t", "1"},
        {"local n = 1\nfunction f() local was = math.type(n) n = 1.0 return was end", NULL,
         "rules/x.lua:2: a run changed", "n", "integer"},
        {"local n = 0.0\nfunction f() local was = 1 / n n = -0.0 return was end", NULL,
         "rules/x.lua:2: a run changed", "n", "inf"},
        {"local n = 0\nfunction f() (function() (function() n = n + 1 end)() end)() return n end",
         NULL, "rules/x.lua:2: a run changed", "n", "1"},
        {"function f() local e = _ENV _ENV = setmetatable({}, { __index = e }) return 1 end", NULL,
         "rules/x.lua:1: a run changed", "_ENV", "1"},
    };
    KEEP_ALL(list);
    kit_must_load("local n = 0 / 0\nfunction g() n = 1 end\n" /* NaN is not a change */
                  "rule 'r' { on = '*', run = function() log.info(n ~= n, g) end }");
    assert_int_equal(kit_job("t", "{}")->outcome, SH_RUN_DONE);
}

/* The look at the text must see what Lua sees. */
static void test_text(void **state)
{
    (void)state;
    static const struct keeper list[] = {
        {"local n = 0 -- a comment ends\rfunction f() -- here\rn = n + 1 return n end", NULL,
         "rules/x.lua:", "n", "1"},
        {"local n = 0 --[==[ ]] ]=] '\n]==] function f() n --[[=]] = --\n n + 1 return n end", NULL,
         "rules/x.lua:2: a run changed", "n", "1"},
        {"local n = 0 local s = '\\'' local l = [[ ' ]] function f() n = n + 1 return n end", NULL,
         "rules/x.lua:1: a run changed", "n", "1"},
        {"local n = 0 function f() local y = 1. n = n + 1 return n end", NULL,
         "rules/x.lua:1: a run changed", "n", "1"},
        {"local n = 0 function f(...) local y = ... n = n + 1 return n end", NULL,
         "rules/x.lua:1: a run changed", "n", "1"},
        {"local n = 0 function f() local s = 'a' .. 'b' n=n+1 return n end", NULL,
         "rules/x.lua:1: a run changed", "n", "1"},
    };
    KEEP_ALL(list);
}

/* A NUL byte in a comment does not end it; what looks like a quote behind it is none. */
static void test_nul_in_comment(void **state)
{
    (void)state;
    static char text[] =
        "local n = 0 -- \0 '\nrule 'r' { on = '*', run = function() n = n + 1 end }";
    struct sh_file file = {.name = (char *)(uintptr_t) "rules/x.lua",
                           .text = text,
                           .len = sizeof(text) - 1,
                           .is_rule = true};
    kit_must_load("");
    sh_host_free(kit.host);
    cJSON_Delete(kit.report);
    const struct sh_host_calls calls = {.read = kit_read, .finished = kit_finished};
    kit.host = sh_host_new(&kit.budgets, &calls);
    struct sh_generation *g = sh_generation_new(&file, 1);
    assert_true(sh_host_load(kit.host, g, &kit.report));
    sh_generation_free(g);
    kit_starts(kit_job("t", "{}")->error, "rules/x.lua:2: a run changed 'n'");
}

/* A function is known by its file's name: one that would be cut does not load. */
static void test_long_file_name(void **state)
{
    (void)state;
    char name[300];
    memset(name, 'a', sizeof(name));
    memcpy(name, "rules/", 6);
    for (size_t n = 250; n <= 251; n++) {
        memcpy(name + n - 4, ".lua", 5);
        bool loaded = kit_load(
            name, "local n = 0\nrule 'r' { on = '*', run = function() n = n + 1 end }", NULL);
        assert_int_equal(loaded, n == 250);
        if (loaded)
            assert_non_null(strstr(kit_job("t", "{}")->error, ":2: a run changed 'n'"));
        else
            kit_reported("errors", name, 0, "the file's name has 251 bytes, expected at most 250");
        memset(name + n - 4, 'a', 5);
    }
}

/* Counters that live in a function that is long done. */
static void test_factories(void **state)
{
    (void)state;
    static const struct keeper list[] = {
        {"local function counter() local n = 0 return function() n = n + 1 return n end end\n"
         "f = counter()",
         NULL, "rules/x.lua:1: a run changed", "n", "1"},
        {"f = require 'm'.next",
         "local function counter(n)\nreturn function() n = n + 1 return n end end\n"
         "return { next = counter(5) }",
         "scripts/m.lua:2: a run changed", "n", "6"},
        {"local function make(...) local a, b = ... return function() a, b = b, a return a end "
         "end\n"
         "f = make(1, 2)",
         NULL, "rules/x.lua:1: a run changed", "a", "2"},
        {"local co = coroutine.create(function() local n = 0\n"
         "f = function() n = n + 1 return n end coroutine.yield() end)\ncoroutine.resume(co)",
         NULL, "rules/x.lua:2: a run changed", "n", "1"},
        {"local mt = { __call = (function() local n = 0 return function() n = n + 1 return n end "
         "end)() }\nlocal o = setmetatable({}, mt)\nfunction f() return o() end",
         NULL, "rules/x.lua:1: a run changed", "n", "1"},
        {"local n = 0\nlocal g = function() n = n + 1 return n end\n" /* 400 functions deep */
         "for i = 1, 400 do local h = g g = function() return h() end end\nf = g",
         NULL, "rules/x.lua:2: a run changed", "n", "1"},
        {"local n = 0\nlocal t = { g = function() n = n + 1 return n end }\n" /* 400 tables deep */
         "for i = 1, 400 do t = { g = t.g, t = t } end\nfunction f() return t.t.t.g() end",
         NULL, "rules/x.lua:2: a run changed", "n", "1"},
    };
    KEEP_ALL(list);
}

static void test_tables(void **state)
{
    (void)state;
#define READ_ONLY(name) "'" name "' belongs to the file and is read-only once it is loaded"
    static const struct keeper list[] = {
        {"local t = { n = 0 }\nfunction f() t.n = t.n + 1 return t.n end", NULL,
         "rules/x.lua:2: " READ_ONLY("t"), "t", NULL},
        {"local t = { __n = 0 }\nfunction f() t.__n = t.__n + 1 return t.__n end", NULL,
         "rules/x.lua:2: " READ_ONLY("t"), "t", NULL},
        {"local t = setmetatable({ n = 0 }, { __switchhook_env = true, __metatable_ = 1 })\n"
         "function f() t.n = t.n + 1 return t.n end",
         NULL, "rules/x.lua:2: " READ_ONLY("t"), "t", NULL},
        {"local t = setmetatable({}, { __index = function(self, k) self[k] = 1 return 0 end })\n"
         "function f() return t.a end",
         NULL, "rules/x.lua:1: " READ_ONLY("t"), "t", NULL},
        {"local t = setmetatable({ n = 0 }, { __len = function(self) self.n = self.n + 1 return "
         "self.n end })\nfunction f() return #t end",
         NULL, "rules/x.lua:1: " READ_ONLY("t"), "t", NULL},
        {"local t = setmetatable({ n = 0 }, { __call = function(self) self.n = self.n + 1 return "
         "self.n end })\nfunction f() return t() end",
         NULL, "rules/x.lua:1: " READ_ONLY("t"), "t", NULL},
        {"local store = {}\nlocal p = setmetatable({}, { __newindex = function(_, k, v) store[k] = "
         "v end })\nfunction f() p.x = 1 end",
         NULL, "rules/x.lua:3: " READ_ONLY("p"), "p", NULL},
        {"local store = {}\nlocal mt = { __newindex = function(_, k, v) store[k] = v end }\n"
         "function f() setmetatable({}, mt).x = 1 end",
         NULL, "rules/x.lua:2: " READ_ONLY("store"), "store", NULL},
        {"local C = {} C.__index = C\nfunction f() C.__index = nil end", NULL,
         "rules/x.lua:2: " READ_ONLY("C"), "C", NULL},
        {"local C = {} C.__index = C\nfunction f() getmetatable(setmetatable({}, C)).n = 1 end",
         NULL, "rules/x.lua:2: " READ_ONLY("C"), "C", NULL},
        {"\nlocal o = setmetatable({}, { __index = { n = 1 } })\n"
         "function f() getmetatable(o).__index.n = 2 end",
         NULL, "rules/x.lua:3: " READ_ONLY("o.__index"), "o.__index", NULL},
        {"f = require 'm'",
         "local cache = {}\nreturn function() if not cache.x then cache.x = 1 return 'first' end "
         "return 'again' end",
         "scripts/m.lua:2: " READ_ONLY("cache"), "cache", NULL},
        {"local m = require 'm'\nm.set({ n = 0 })\nfunction f() m.get().n = 1 end",
         "local store\nreturn { set = function(t) store = t end, get = function() return store end "
         "}",
         "rules/x.lua:3: " READ_ONLY("store"), "store", NULL},
        {"local m = require 'm'\nm.set({ n = 0 })\nfunction f() m.get().n = 1 end",
         "store = false\nreturn { set = function(t) store = t end, get = function() return store "
         "end }",
         "rules/x.lua:3: " READ_ONLY("store"), "store", NULL},
        {"local m = require 'm'\nlocal box = { {} }\nm.set(function() return box[1] end)\n"
         "function f() m.get()().n = 1 end",
         "local get\nreturn { set = function(t) get = t end, get = function() return get end }",
         "rules/x.lua:4: " READ_ONLY("box[..]"), "box[..]", NULL},
        {"function f() counter = 1 end", NULL, "rules/x.lua:1: a run cannot assign the global",
         "counter", NULL},
        {"local t = { 3, 1, 2 }\nfunction f() table.sort(t) end", NULL,
         "rules/x.lua:2: " READ_ONLY("t"), "t", NULL},
        {"local t = { 3, 1, 2 }\nfunction f() table.insert(t, 1) end", NULL,
         "rules/x.lua:2: " READ_ONLY("t"), "t", NULL},
        {"local t = { 3, 1, 2 }\nfunction f() table.remove(t) end", NULL,
         "rules/x.lua:2: " READ_ONLY("t"), "t", NULL},
        {"local t = { 3, 1, 2 }\nfunction f() table.move({ 9 }, 1, 1, 1, t) end", NULL,
         "rules/x.lua:2: " READ_ONLY("t"), "t", NULL},
        {"local t = json.array { 3, 1, 2 }\nfunction f() t[4] = 1 end", NULL,
         "rules/x.lua:2: " READ_ONLY("t"), "t", NULL},
    };
    KEEP_ALL(list);
}

/* The change is undone before anybody else runs: at the end, at a read, after an error. */
static void test_nobody_else_sees(void **state)
{
    (void)state;
    static const char *const ends[] = {
        "",
        "records.get('c', '1') n = n - 1",
        "error('x')",
        "while true do end",
        "records.get('c', '1') error('x')",
        "local x <close> = setmetatable({}, { __close = function() n = n + 1 end }) error('x')",
        "coroutine.wrap(function() n = n + 1 records.get('c', '1') n = n - 1 end)() n = n - 1"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        char *text = sh_strf("local n = 0\nrule 'keeper' { on = '*', run = function() n = n + 1\n"
                             "%s end }\nrule 'witness' { on = '*', run = function() log.info(n) "
                             "end }",
                             ends[i]);
        kit.budgets = kit_budgets;
        kit_must_load(text);
        kit.later = true; /* the read stays open while the witness runs */
        kit.n_open = 0;
        struct sh_job job = kit_a_job("t", "{}");
        sh_host_job(kit.host, &job);
        kit.later = false;
        if (kit.n_open)
            assert_false(sh_host_answer(kit.host, kit.open[0], SH_SLICE("\1")));
        assert_int_equal(kit.n_runs, 2);
        assert_int_equal(kit.runs[0].outcome, SH_RUN_FAILED);
        assert_string_equal(kit.runs[1].logs, "[{\"level\":\"info\",\"text\":\"0\"}]");
        free(text);
    }
}

static void test_between_when_and_run(void **state)
{
    (void)state;
    kit_must_load(
        "local seen\nrule 'r' { on = '*', when = function(ev) seen = ev return ev.go end,\n"
        "run = function() log.info(seen ~= nil) end }");
    static const char *const bodies[] = {"{\"go\":true}", "{}"};
    for (size_t i = 0; i < 2; i++) {
        struct kit_run *r = kit_job("t", bodies[i]);
        assert_int_equal(r->outcome, SH_RUN_FAILED);
        kit_starts(r->error, "rules/x.lua:2: a run changed 'seen', a local of the file");
    }
}

/* What would go on where the last run left it is refused while loading. */
static void test_iterators(void **state)
{
    (void)state;
    static const char *const modules[] = {
        "local it = { g = ('a b'):gmatch('%a') } return { f = function() return it.g() end }",
        "local o = setmetatable({}, { __call = ('a b'):gmatch('%a') })\n"
        "return { f = function() return o() end }",
        "local o = setmetatable({}, { __index = coroutine.wrap(function() end) })\n"
        "return { f = function() return o.x end }",
        "return { f = pairs({ 1, 2 }) }",
        "return { f = coroutine.wrap(function() end) }",
        "local co = coroutine.running() return { f = function() return co end }"};
    for (size_t i = 0; i < sizeof(modules) / sizeof(*modules); i++) {
        bool loaded = kit_load("rules/x.lua",
                               "local m = require 'm'\n"
                               "rule 'r' { on = '*', run = function() m.f() end }",
                               "scripts/m.lua", modules[i], NULL);
        if (loaded)
            print_message("%s\n", modules[i]);
        assert_false(loaded);
    }
    assert_false(kit_load("rules/x.lua", "rule 'r' { on = '*', run = ('a'):gmatch('.') }", NULL));
    /* handed to a module when that was done */
    assert_false(kit_load("rules/x.lua",
                          "local m = require 'm' m.set(('a b'):gmatch('%a'))\n"
                          "rule 'r' { on = '*', run = function() m.get()() end }",
                          "scripts/m.lua",
                          "local it return { set = function(t) it = t end,\n"
                          "get = function() return it end }",
                          NULL));
}

/* A run that goes deep, fails or leaves coroutines behind does not mark the next one. */
static void test_reused_coroutines(void **state)
{
    (void)state;
    kit.budgets = kit_budgets;
    kit_must_load(
        "rule 'deep' { on = 'deep', run = function() local function f(n) return n > 0 and 1 + f(n "
        "- "
        "1) or 0 end f(10000) end }\n"
        "rule 'fails' { on = 'fails', run = function() local x <close> = setmetatable({}, { "
        "__close "
        "= function() error('b') end }) error('a') end }\n"
        "rule 'leaves' { on = 'leaves', run = function() local co = coroutine.create(function() "
        "local x <close> = setmetatable({}, { __close = function() end }) coroutine.yield() end) "
        "coroutine.resume(co) end }\n"
        "rule 'loops' { on = 'loops', run = function() while true do end end }\n"
        "rule 'fine' { on = 'fine', run = function(...) local a, b, c = ... assert(a and b and not "
        "c)\n local co, main = coroutine.running() assert(main and #debug_free == 0) end }\n"
        "debug_free = {}");
    static const char *const types[] = {"deep", "fails", "leaves", "loops"};
    for (int i = 0; i < 40; i++) {
        kit_job(types[i % 4], "{}");
        struct kit_run *r = kit_job("fine", "{}");
        assert_string_equal(r->error, "");
        assert_int_equal(r->outcome, SH_RUN_DONE);
    }
}

/* Metatables of one run do not fill the memory of the next ones. */
static void test_many_metatables(void **state)
{
    (void)state;
    kit.budgets = kit_budgets;
    kit.budgets.cpu_ms = 5000;
    kit.budgets.memory_bytes = 8 << 20;
    kit_must_load(
        "rule 'many' { on = 'many', run = function() for i = 1, 20000 do setmetatable({}, "
        "{}) end end }\n"
        "rule 'fine' { on = 'fine', run = function() local t = {} for i = 1, 60 do t[i] = "
        "('x'):rep(100000) .. i end end }");
    for (int i = 0; i < 3; i++) {
        assert_string_equal(kit_job("many", "{}")->error, "");
        assert_string_equal(kit_job("fine", "{}")->error, "");
    }
}

/* A list that a module shares works as `on`, and a shared table as a rule. */
static void test_shared_definitions(void **state)
{
    (void)state;
    assert_true(
        kit_load("rules/x.lua",
                 "local m = require 'm'\nrule 'a' { on = m.types, run = m.run }\n"
                 "rule 'b' (m.def)",
                 "scripts/m.lua",
                 "local run = function() log.info('ran') end\n"
                 "return { types = { 't', 'u' }, run = run, def = { on = 't', run = run } }",
                 NULL));
    kit_job("t", "{}");
    assert_int_equal(kit.n_runs, 2);
    for (size_t i = 0; i < 2; i++)
        assert_string_equal(kit.runs[i].logs, "[{\"level\":\"info\",\"text\":\"ran\"}]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_locals, kit_teardown),
        cmocka_unit_test_teardown(test_text, kit_teardown),
        cmocka_unit_test_teardown(test_nul_in_comment, kit_teardown),
        cmocka_unit_test_teardown(test_long_file_name, kit_teardown),
        cmocka_unit_test_teardown(test_factories, kit_teardown),
        cmocka_unit_test_teardown(test_tables, kit_teardown),
        cmocka_unit_test_teardown(test_nobody_else_sees, kit_teardown),
        cmocka_unit_test_teardown(test_between_when_and_run, kit_teardown),
        cmocka_unit_test_teardown(test_iterators, kit_teardown),
        cmocka_unit_test_teardown(test_reused_coroutines, kit_teardown),
        cmocka_unit_test_teardown(test_many_metatables, kit_teardown),
        cmocka_unit_test_teardown(test_shared_definitions, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
