/* SPDX-License-Identifier: MIT
 * test_host_effects.c: what a run asks for, and what it reads back. */
#include "test_host.h"

/* --- effects --------------------------------------------------------------------------------- */

static void test_effects(void **state)
{
    (void)state;
    kit_done(
        "callback { number = '0301234567', name = 'Ann', due = now() + 2*hour, assignee = "
        "'l@x.nl',\n"
        "  reason = 'r', key = 'k' }",
        "{\"kind\":\"callback\",\"number\":\"0301234567\",\"due_at\":\"2026-06-12T12:04:21.000Z\","
        "\"name\":\"Ann\",\"assignee\":\"l@x.nl\",\"reason\":\"r\"}\n");
    kit_done("callback { number = 31301234567, due = '90m' }",
             "{\"kind\":\"callback\",\"number\":\"31301234567\",\"due_at\":\"2026-06-12T11:34:21."
             "903Z\"}\n");
    kit_done("callback { number = '1', due = '2026-06-15T09:00:00+02:00' }",
             "{\"kind\":\"callback\",\"number\":\"1\",\"due_at\":\"2026-06-15T07:00:00.000Z\"}\n");
    kit_done(
        "email { to = 'a@b.nl', subject = 'Hi {{name}}', text = '{{a.b}}{{no.such}}!', with = ev }",
        "{\"kind\":\"email\",\"to\":[\"a@b.nl\"],\"subject\":\"Hi Ann\",\"text\":\"1!\"}\n");
    kit_done(
        "email { to = {'a@b.nl', 'Bo <b@b.nl>'}, cc = 'c@b.nl', reply_to = 'd@b.nl', subject = "
        "'s',\n"
        "  html = '<b>{{x}}</b>', text = '{{x}}', with = { x = '<i>&\"' } }",
        "{\"kind\":\"email\",\"to\":[\"a@b.nl\",\"Bo <b@b.nl>\"],\"cc\":[\"c@b.nl\"],\"reply_to\":"
        "\"d@b.nl\",\"subject\":\"s\",\"text\":\"<i>&\\\"\",\"html\":\"<b>&lt;i&gt;&amp;&quot;"
        "</b>\"}\n");
    kit_done("records.put('calls', 'x', { n = 1, f = 1.0, list = {}, none = json.array() })\n"
             "records.put('calls', 7, {})\nrecords.patch('calls', 'x', { gone = json.null })\n"
             "records.delete('calls', 'y') records.incr('calls', 'x', 'n') records.incr('calls', "
             "'x', 'n', "
             "0.5)",
             "{\"kind\":\"records.put\",\"collection\":\"calls\",\"id\":\"x\",\"doc\":{\"f\":1.0,"
             "\"list\":{},"
             "\"n\":1,\"none\":[]}}\n"
             "{\"kind\":\"records.put\",\"collection\":\"calls\",\"id\":\"7\",\"doc\":{}}\n"
             "{\"kind\":\"records.patch\",\"collection\":\"calls\",\"id\":\"x\",\"doc\":{\"gone\":"
             "null}}\n"
             "{\"kind\":\"records.delete\",\"collection\":\"calls\",\"id\":\"y\"}\n"
             "{\"kind\":\"records.incr\",\"collection\":\"calls\",\"id\":\"x\",\"field\":\"n\","
             "\"n\":1}\n"
             "{\"kind\":\"records.incr\",\"collection\":\"calls\",\"id\":\"x\",\"field\":\"n\","
             "\"n\":0.5}\n");
    kit_done("emit('done', { ok = true }) emit('bare')",
             "{\"kind\":\"emit\",\"type\":\"done\",\"data\":{\"ok\":true}}\n"
             "{\"kind\":\"emit\",\"type\":\"bare\",\"data\":{}}\n");
}

static void test_argument_errors(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"callback { number = '1' }",
         "callback: 'due' must be a time in seconds (a number) or a text such as \"2h\", got nil"},
        {"callback { number = '1', due = true }",
         "callback: 'due' must be a time in seconds (a number) or a text such as \"2h\", got a "
         "boolean"},
        {"callback { number = '1', due = 2*hour }",
         "callback: 'due' must be a time in seconds since 1970, such as now() + 2*hour or \"2h\", "
         "got 7200"},
        {"callback { number = '1', due = 0/0 }", NULL},
        {"callback { number = '1', due = 'soon' }",
         "callback: 'due' must be a time such as \"2026-06-12T09:00:00Z\" or \"2026-06-12 "
         "09:00\", or a duration such as \"2h\", got \"soon\""},
        {"callback { due = now() }",
         "callback: 'number' must be a text (or a whole number), got nil"},
        {"callback { number = 1.5, due = now() }",
         "callback: 'number' must be a text (or a whole number), got a number"},
        {"callback { number = '', due = now() }",
         "callback: 'number' must have 1 to 128 bytes, got 0"},
        {"callback { nummer = '1' }", "callback: unknown field 'nummer' (did you mean 'number'?)"},
        {"callback { number = '1', due = now(), zzzzzz = 1 }",
         "callback: unknown field 'zzzzzz' (expected number, name, due, zone, assignee, reason, "
         "completes, minutes, email or key)"},
        {"callback { '1' }", "callback: unexpected list item (fields are written name = value)"},
        {"callback { number = '1', due = now(), name = {} }",
         "callback: 'name' must be a text, got a table"},
        {"callback { number = '\\xff', due = now() }",
         "callback: 'number' is not valid UTF-8 text"},
        {"callback { number = '1\\0', due = now() }", "callback: 'number' contains a NUL byte"},
        {"callback('x')", "callback: a table {...} expected, got a string"},
        {"callback()", "callback: a table {...} expected, got nothing"},
        {"callback { number = '1', due = now(), key = 'k' } callback { number = '1', due = now(), "
         "key = 'k' }",
         "callback: the key 'k' was used already in this run"},
        {"email { subject = 's', text = 't' }", NULL},
        {"email { to = 5, subject = 's', text = 't' }",
         "email: 'to' must be an address or a list of addresses, got a number"},
        {"email { to = { 5 }, subject = 's', text = 't' }",
         "email: 'to' item 1 must be an address (a text), got a number"},
        {"email { to = 'a@b.nl', subject = 's', text = 't', with = 1 }",
         "email: 'with' must be a table, got a number"},
        {"email { to = 'a@b.nl', subjet = 's' }",
         "email: unknown field 'subjet' (did you mean 'subject'?)"},
        {"email { to = 'a@b.nl', subject = 's', text = '{{x', with = {} }",
         "email: 'text': '{{' at byte 1 has no '}}'"},
        {"email { to = 'a@b.nl', subject = '{{x}}', text = 't', with = { x = 'a\\r\\nBcc: e@b.nl' "
         "} }",
         NULL},
        {"email { to = 'a@b.nl\\r\\nBcc: e@b.nl', subject = 's', text = 't' }", NULL},
        {"email { to = 'nobody', subject = 's', text = 't' }", NULL},
        {"email { to = 'a@b.nl', subject = 's' }", NULL},
        {"records.put('Calls', 'x', {})", "records.put: the collection \"Calls\" must be "
                                          "lower-case letters, digits and _, start with a letter, "
                                          "and have at most 64 bytes"},
        {"records.put('sh_x', 'x', {})",
         "records.put: the collection \"sh_x\" begins with a reserved prefix"},
        {"records.put(nil, 'x', {})", "records.put: the collection must be a text, got nil"},
        {"records.put('calls', nil, {})",
         "records.put: the id must be a text or a whole number, got nil"},
        {"records.put('calls', '', {})", "records.put: the id must have 1 to 1024 bytes, got 0"},
        {"records.put('calls', 1.5, {})",
         "records.put: the id must be a text or a whole number, got a number"},
        {"records.put('calls', 'x', 'y')",
         "records.put: the document must be a table, got a string"},
        {"records.put('calls', 'x', {1, 2})",
         "records.put: the document must have named fields, got a list"},
        {"records.put('calls', 'x', { a = { b = print } })",
         "records.put: doc.a.b is a function, which JSON cannot hold"},
        {"records.put('calls', 'x', { a = { 1, 0/0 } })",
         "records.put: doc.a[2] is not a number (NaN), which JSON cannot hold"},
        {"records.put('calls', 'x', { a = { 1, x = 2 } })",
         "records.put: doc.a mixes list items with named fields"},
        {"records.put('calls', 'x', { a = { 1, nil, 3 } })",
         "records.put: doc.a is a list with holes (use json.null for an empty place)"},
        {"records.put('calls', 'x', { a = { [1.5] = 1 } })",
         "records.put: doc.a has a key that is neither text nor a whole number"},
        {"local t = {} t.t = t records.put('calls', 'x', t)",
         "records.put: doc is nested deeper than 64 levels, or contains itself"},
        {"records.put('calls', 'x', { a = '\\xff' })",
         "records.put: doc.a is not valid UTF-8 text"},
        {"records.put('calls', 'x', { a = coroutine.create(print) })",
         "records.put: doc.a is a coroutine, which JSON cannot hold"},
        {"records.put('calls', 'x', { ['a\\0'] = 1 })", NULL},
        {"records.patch('calls', 'x')", "records.patch: the document must be a table, got nothing"},
        {"records.incr('calls', 'x')", "records.incr: the field must be a text, got nothing"},
        {"records.incr('calls', 'x', 'n', 'm')",
         "records.incr: 'n' must be a number, got a string"},
        {"records.incr('calls', 'x', 'n', 1/0)",
         "records.incr: 'n' must be a finite number, got inf"},
        {"records.get('calls')",
         "records.get: the id must be a text or a whole number, got nothing"},
        {"records.find('Calls')", NULL},
        {"records.find('calls', 'x')",
         "records.find: the filter must be a table such as { status = \"open\" }, got \"x\""},
        {"records.find('calls', {}, { limit = 0 })",
         "records.find: 'limit' must be a whole number from 1 to 1000, got 0"},
        {"records.find('calls', {}, { sort = 'a' })",
         "records.find: unknown field 'sort' (expected limit or order)"},
        {"records.find('calls', { a = { like = 'x' } })",
         "records.find: filter: 'a' has the comparison 'like', expected eq, ne, lt, lte, gt or "
         "gte"},
        {"records.find('calls', { a = { lt = true } })",
         "records.find: filter: 'a' is compared (lt) with a boolean, expected a text or a "
         "number"},
        {"emit(5)",
         "emit: the event type must be a text, as in emit(\"type\", { ... }), got a number"},
        {"emit('')", "emit: the event type must have 1 to 256 bytes, got 0"},
        {"emit('a\\nb')", "emit: the event type contains a control byte"},
        {"emit('a', 5)", "emit: the data must be a table, got a number"},
        {"template('x')", "template: the values must be a table, got nothing"},
        {"template('a{{ b', {})", "template: '{{' at byte 2 has no '}}'"},
        {"duration('soon')",
         "duration: \"soon\" is not a duration such as \"90m\", \"1h30m\" or \"2 days\""},
        {"duration()", "duration: a text such as \"90m\" or \"1h30m\" expected, got nothing"},
        {"get(5, 'a')", "get: the first argument must be a table, got a number"},
        {"get({}, 5)", "get: the path must be a text such as \"a.b.c\", got a number"},
        {"json.decode('{')", NULL},
        {"json.encode({ [true] = 1 })",
         "json.encode: value has a key that is neither text nor a whole number"},
        {"pairs(5)", "pairs: a table expected, got a number"},
        {"for k in pairs({ [{}] = 1 }) do end",
         "a table with a table as a key has no defined order (use text or numbers)"},
        {"math.random(3, 1)", "math.random: the interval from 3 to 1 is empty"},
        {"math.randomseed(1)", "math.randomseed is not available here"},
        {"string.dump(print)", "string.dump is not available here"},
        {"string.fromat('x')", "string has no 'fromat' (did you mean 'format'?)"},
        {"records['pu' .. 'tt']('a')", "records has no 'putt' (did you mean 'put'?)"},
        {"local t = { nummer = '1' } callback(t)",
         "callback: unknown field 'nummer' (did you mean 'number'?)"},
        {"records.putt('a')", "records has no 'putt' (did you mean 'put'?)"},
        {"string.format('%p', {})",
         "string.format: %p would show an address, which differs each time"},
        {"setmetatable({}, { __gc = print })", "setmetatable: __gc is not available to rules"},
        {"setmetatable({}, { __mode = 'k' })", "setmetatable: __mode is not available to rules"},
        {"coroutine.yield()", "coroutine.yield: not inside a coroutine of the rule's own"},
        {"rule 'x' {}", "rule: only while the file loads, not inside a run"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char *body = sh_strf("\n%s", bad[i][0]), *want = sh_strf("rules/x.lua:3: %s", bad[i][1]);
        if (bad[i][1]) {
            kit_wrong(body, want);
        } else { /* the reason is another module's; the line is ours */
            struct kit_run *r = kit_run(body);
            if (r->outcome != SH_RUN_FAILED || strncmp(r->error, "rules/x.lua:3: ", 15) != 0)
                print_message("%s\n -> %s\n", body, r->error);
            assert_int_equal(r->outcome, SH_RUN_FAILED);
            kit_starts(r->error, "rules/x.lua:3: ");
        }
        free(body);
        free(want);
    }
}

static void test_not_available(void **state)
{
    (void)state;
    kit_refused("every('2h')",
                "rules/x.lua:2: every is a field of rule \"Name\" { every = ..., run = "
                "... }, not a function");
    kit_refused("os.time()",
                "rules/x.lua:2: os is not available to rules: now() is the time, a run has no "
                "other way out than effects");
    static const char *const names[] = {"io",         "debug",          "package", "load",
                                        "loadstring", "dofile",         "rawset",  "rawget",
                                        "_G",         "collectgarbage", "loadfile"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        char *body = sh_strf("local x = %s", names[i]);
        char *text = sh_strf("rule 'r' { on = '*', run = function()\n%s\nend }", body);
        assert_false(kit_load("rules/x.lua", text, NULL));
        const cJSON *e = sh_json_member(kit.report, "errors")->child;
        assert_non_null(strstr(sh_json_string(e, "msg"), "is not available to rules"));
        free(text);
        free(body);
        body = sh_strf("local x = _ENV['%.2s' .. '%s']", names[i], names[i] + 2); /* nor there */
        struct kit_run *r = kit_run(body);
        assert_int_equal(r->outcome, SH_RUN_FAILED);
        assert_non_null(strstr(r->error, "is not available to rules"));
        free(body);
    }
}

/* --- reads ----------------------------------------------------------------------------------- */

static void test_reads(void **state)
{
    (void)state;
    kit.records[0] = (struct kit_record){
        "calls", "a", "{\"n\":1,\"f\":2.0,\"list\":[],\"sub\":{\"x\":1,\"y\":2}}"};
    kit.records[1] = (struct kit_record){"calls", "b", "{\"n\":2}"};
    kit_done("local a = records.get('calls', 'a')\n"
             "assert(a.n == 1 and math.type(a.f) == 'float' and json.encode(a.list) == '[]')\n"
             "assert(records.get('calls', 'none') == nil)\n"
             "a.n = 99 assert(records.get('calls', 'a').n == 1)",
             "");
    assert_int_equal(kit.runs[0].n_reads, 3);
    assert_string_equal(kit.asked, "calls:a\ncalls:none\ncalls:a\n");
    kit_run("local doc = { n = 5, gone = nil, f = 1.0, list = json.array() }\n"
            "records.put('calls', 'a', doc) doc.n = 6\n"
            "local mine = records.get('calls', 'a')\n"
            "assert(mine ~= doc and mine.n == 5 and math.type(mine.f) == 'float')\n"
            "assert(json.encode(mine.list) == '[]')\n"
            "records.incr('calls', 'a', 'n', 2) assert(records.get('calls', 'a').n == 7)\n"
            "records.delete('calls', 'a') assert(records.get('calls', 'a') == nil)");
    assert_string_equal(kit.runs[0].error, "");
    assert_int_equal(kit.runs[0].n_reads, 0);
    kit_run(
        "records.patch('calls', 'a', { f = json.null, sub = { x = json.null, z = 3 }, new = { q = "
        "json.null, r = {} } })\n"
        "records.incr('calls', 'a', 'count')\n"
        "log.info(records.get('calls', 'a'))\n"
        "records.patch('calls', 'fresh', { a = 1 }) log.info(records.get('calls', 'fresh'))");
    assert_string_equal(kit.runs[0].error, "");
    assert_string_equal(
        kit.runs[0].logs,
        "[{\"level\":\"info\",\"text\":\"{\\\"count\\\":1,\\\"list\\\":[],\\\"n\\\":1,"
        "\\\"new\\\":{\\\"r\\\":{}},\\\"sub\\\":{\\\"y\\\":2,\\\"z\\\":3}}\"},"
        "{\"level\":\"info\",\"text\":\"{\\\"a\\\":1}\"}]");
    assert_int_equal(kit.runs[0].n_reads, 2);
}

static void test_find(void **state)
{
    (void)state;
    kit.records[0] = (struct kit_record){"calls", "a", "{\"n\":1}"};
    kit.records[1] = (struct kit_record){"calls", "b", "{\"n\":2}"};
    kit.records[2] = (struct kit_record){"calls", "c", "{\"n\":3}"};
    kit_done("local docs, ids = records.find('calls', { n = { lte = 5 }, name = 'x' }, { order = "
             "'-n', limit = "
             "7 })\nassert(#docs == 3 and docs[2].n == 2 and ids[3] == 'c')",
             "");
    assert_string_equal(kit.asked,
                        "calls:{\"filter\":{\"n\":{\"lte\":5},\"name\":\"x\"},\"order\":\"-n\","
                        "\"limit\":7}\n");
    kit_run(
        "records.put('calls', 'd', { n = 9 }) records.put('calls', 'e', { n = 2.5 })\n"
        "records.delete('calls', 'a') records.incr('calls', 'b', 'n', 10)\n"
        "records.put('other', 'z', { n = 0 })\n"
        "local docs, ids = records.find('calls', { n = { lt = 20 } }, { order = 'n' })\n"
        "log.info(ids, docs)\n"
        "local docs, ids = records.find('calls', { n = { lt = 9 } }, { order = '-n', limit = 2 })\n"
        "log.info(ids)\n"
        "log.info(select(2, records.find('calls', {}, { order = '-id' })))\n");
    assert_string_equal(kit.runs[0].error, "");
    assert_string_equal(
        kit.runs[0].logs,
        "[{\"level\":\"info\",\"text\":\"[\\\"e\\\",\\\"c\\\",\\\"d\\\",\\\"b\\\"] "
        "[{\\\"n\\\":2.5},{\\\"n\\\":3},{\\\"n\\\":9},{\\\"n\\\":12}]\"},"
        "{\"level\":\"info\",\"text\":\"[\\\"c\\\",\\\"e\\\"]\"},"
        "{\"level\":\"info\",\"text\":\"[\\\"e\\\",\\\"d\\\",\\\"c\\\",\\\"b\\\"]\"}]");
}

static void test_reads_everywhere(void **state)
{
    (void)state;
    kit.records[0] = (struct kit_record){"calls", "a", "{\"n\":1}"};
    kit_done("local co = coroutine.wrap(function() local x = coroutine.yield(records.get('calls', "
             "'a').n)\n"
             "return x + records.get('calls', 'a').n end)\nassert(co() == 1 and co(5) == 6)",
             "");
    kit_done("local ok, v = pcall(function() return records.get('calls', 'a').n end) assert(ok and "
             "v == 1)",
             "");
    kit_done("assert(xpcall(function() return records.get('calls', 'a').n end, print))", "");
    kit_done("local co = coroutine.create(function() return coroutine.wrap(function()\n"
             "return records.get('calls', 'a').n end)() end)\n"
             "local ok, n = coroutine.resume(co) assert(ok and n == 1 and coroutine.status(co) == "
             "'dead')",
             "");
    const char *why =
        "rules/x.lua:2: records.get waits for an answer, which is not possible inside a function "
        "called by table.sort, string.gsub or a metamethod: read first, into a local";
    kit_fails("table.sort({2, 1}, function(a, b) records.get('calls', 'a') return a < b end)", why);
    kit_fails("('x'):gsub('x', function() return records.get('calls', 'a').n end)", why);
    kit_fails("table.sort({2, 1}, coroutine.wrap(function(a, b) records.get('calls', 'a') end))",
              why);
    kit_must_load(
        "rule 'w' { on = '*', when = function(ev) return records.get('calls', ev.id) ~= nil end,\n"
        "run = function() emit('x') end }");
    assert_int_equal(kit_job("t", "{\"id\":\"a\"}")->n_effects, 1);
    assert_int_equal(kit.runs[0].n_reads, 1);
    kit_job("t",
            "{\"id\":\"b\"}"); /* no is a decision too: what it read is checked when it settles */
    assert_int_equal(kit.n_runs, 1);
    assert_int_equal(kit.runs[0].outcome, SH_RUN_DONE);
    assert_int_equal(kit.runs[0].n_effects, 0);
    assert_int_equal(kit.runs[0].n_reads, 1);
}

static void test_several_jobs_wait(void **state)
{
    (void)state;
    kit.later = true;
    kit_must_load("rule 'a' { on = '*', run = function(ev) local r = records.get('c', ev.n)\n"
                  "emit('e', { n = ev.n, r = r.n }) end }\n"
                  "rule 'b' { on = '*', run = function(ev) emit('now') end }");
    for (int i = 0; i < 50; i++) {
        char *body = sh_strf("{\"n\":%d}", i);
        struct sh_job job = kit_a_job("t", body);
        sh_host_job(kit.host, &job);
        free(body);
    }
    assert_int_equal(kit.n_finished, 0);
    assert_int_equal(sh_host_open_jobs(kit.host), 50);
    for (size_t i = 50; i-- > 0;) { /* answered in another order */
        char *doc = sh_strf("{\"n\":%zu}", i * 10),
             *want = sh_strf("{\"n\":%zu,\"r\":%zu}", i, i * 10);
        struct sh_buf b;
        sh_buf_init(&b, 1000);
        sh_buf_u8(&b, 1);
        sh_buf_u64(&b, i);
        sh_buf_uint(&b, 1);
        sh_buf_bytes(&b, SH_SLICE("x"));
        sh_buf_bytes(&b, sh_slice_str(doc));
        assert_true(sh_host_answer(kit.host, kit.open[i], sh_slice(b.data, b.len)));
        assert_int_equal(kit.n_runs, 2);
        assert_non_null(strstr(kit.runs[0].effects, want));
        sh_buf_free(&b);
        free(doc);
        free(want);
    }
    assert_int_equal(kit.n_finished, 50);
    assert_int_equal(sh_host_open_jobs(kit.host), 0);
    assert_false(sh_host_answer(kit.host, kit.open[0], SH_SLICE("\1")));
}

static void test_answer_errors(void **state)
{
    (void)state;
    kit.later = true;
    struct sh_buf b;
    sh_buf_init(&b, 1000);
    sh_buf_u8(&b, 0);
    sh_buf_bytes(&b, SH_SLICE("the disk\x1b is gone"));
    kit_must_load("rule 'a' { on = '*', run = function(ev)\nrecords.get('c', 'x') end }");
    kit_job("t", "{}");
    assert_true(sh_host_answer(kit.host, kit.open[0], sh_slice(b.data, b.len)));
    kit_starts(kit.runs[0].error, "rules/x.lua:2: reading records failed: the disk\\x1b is gone");
    kit_job("t", "{}");
    assert_true(sh_host_answer(kit.host, kit.open[1], SH_SLICE("\1\2")));
    assert_int_equal(kit.runs[0].outcome, SH_RUN_FAILED);
    sh_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_effects, kit_teardown),
        cmocka_unit_test_teardown(test_argument_errors, kit_teardown),
        cmocka_unit_test_teardown(test_not_available, kit_teardown),
        cmocka_unit_test_teardown(test_reads, kit_teardown),
        cmocka_unit_test_teardown(test_find, kit_teardown),
        cmocka_unit_test_teardown(test_reads_everywhere, kit_teardown),
        cmocka_unit_test_teardown(test_several_jobs_wait, kit_teardown),
        cmocka_unit_test_teardown(test_answer_errors, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
