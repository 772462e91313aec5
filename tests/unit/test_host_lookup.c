/* SPDX-License-Identifier: MIT
 * test_host_lookup.c: http.get: what a run asks and waits for, in its own time and budget. */
#include "test_host.h"

#include <unistd.h>

static void test_lookup(void **state)
{
    (void)state;
    kit.reply = "{\"status\":200,\"headers\":{\"content-type\":\"application/json\"},\"body\":"
                "\"{\\\"n\\\":9007199254740993,\\\"l\\\":[]}\",\"cached\":true}";
    kit_done("local res = http.get { url = 'https://crm.example.org/c', query = { id = 'a b' },\n"
             "headers = { A = 'Bearer ' .. secret 'CRM_TOKEN' }, timeout = '2s', cache = '5m', "
             "redirects = 2 }\n"
             "assert(res.ok and res.status == 200 and res.cached and res.error == nil)\n"
             "assert(res.json.n == 9007199254740993 and json.encode(res.json.l) == '[]')\n"
             "assert(res.headers['content-type'] == 'application/json')",
             "");
    assert_string_equal(
        kit.asked,
        ":{\"method\":\"GET\",\"url\":\"https://crm.example.org/c?id=a%20b\",\"headers\":[[\"A\","
        "[\"Bearer \",{\"secret\":\"CRM_TOKEN\",\"as\":\"plain\"}]]],\"timeout_ms\":2000,"
        "\"redirects\":2,\"cache_ms\":300000}\n");
    assert_int_equal(kit.runs[0].n_reads, 1);
    kit.reply = "{\"status\":404,\"headers\":{},\"body\":\"no such {\"}";
    kit_done("local res = http.get('http://x.nl')\n"
             "assert(not res.ok and res.status == 404 and res.body == 'no such {')\n"
             "assert(res.json == nil and res.cached == false and res.cut == nil)",
             "");
    kit.reply = "{\"status\":0,\"error\":\"no answer within 2 s\"}";
    kit_done("local res = http.get('http://x.nl')\n"
             "assert(not res.ok and res.status == 0 and res.error == 'no answer within 2 s')\n"
             "assert(res.body == '' and next(res.headers) == nil)",
             "");
    kit.reply = "{\"status\":200,\"headers\":{},\"body_base64\":\"/wAB\",\"cut\":true}";
    kit_done("local res = http.get('http://x.nl')\nassert(res.body == '\\xff\\0\\1' and res.cut)",
             "");
    kit.reply = "{\"status\":200,\"headers\":{},\"body\":\"null\"}";
    kit_done("assert(http.get('http://x.nl').json == json.null)", "");
    kit_must_load(
        "rule 'w' { on = '*', when = function(ev) return http.get('http://x.nl').ok end,\n"
        "run = function() emit('x') end }");
    assert_int_equal(kit_job("t", "{}")->n_effects, 1);
    assert_int_equal(kit.runs[0].n_reads, 1);
}

/* The run's reads keep question and answer, beside those of records. */
static void test_lookup_is_recorded(void **state)
{
    (void)state;
    kit.records[0] = (struct kit_record){"calls", "a", "{}"};
    kit.reply = "{\"status\":200,\"headers\":{},\"body\":\"x\"}";
    kit_done("records.get('calls', 'a') http.get('http://x.nl/' .. secret 'SMS_KEY') "
             "records.find('calls')",
             "");
    assert_int_equal(kit.runs[0].n_reads, 3);
    struct sh_reader reader = sh_reader_of(sh_slice(kit.reads.data, kit.reads.len));
    struct sh_read_mark m;
    assert_true(sh_read_mark_read(&reader, &m) && m.request.kind == SH_READ_GET && m.mark == 7);
    assert_true(sh_read_mark_read(&reader, &m) && m.request.kind == SH_READ_HTTP && m.mark == 0);
    assert_true(sh_slice_eq(m.answer, sh_slice_str(kit.reply)));
    assert_true(sh_slice_eq(m.request.query,
                            SH_SLICE("{\"method\":\"GET\",\"url\":[\"http://x.nl/\",{\"secret\":"
                                     "\"SMS_KEY\",\"as\":\"url\"}],\"headers\":[]}")));
    assert_true(sh_read_mark_read(&reader, &m) && m.request.kind == SH_READ_FIND);
}

static void test_lookup_everywhere(void **state)
{
    (void)state;
    kit_done("local co = coroutine.wrap(function() return http.get('http://x.nl').status end)\n"
             "assert(co() == 200)\n"
             "local ok, res = pcall(http.get, 'http://x.nl') assert(ok and res.ok)",
             "");
    const char *why =
        "rules/x.lua:2: http.get waits for an answer, which is not possible inside a function "
        "called by table.sort, string.gsub or a metamethod: read first, into a local";
    kit_fails("table.sort({2, 1}, function(a, b) http.get('http://x.nl') return a < b end)", why);
    kit_fails("('x'):gsub('x', function() http.get('http://x.nl') end)", why);
}

static void test_bad_answers(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "{\"status\":\"x\"}",
                                      "null",
                                      "\xff",
                                      "{\"status\":1.5}",
                                      "{\"status\":200,\"body_base64\":\"%\"}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        kit.reply = bad[i];
        kit_fails("http.get('http://x.nl')", "rules/x.lua:2: http.get failed: malformed answer");
    }
}

static void test_lookup_budgets(void **state)
{
    (void)state;
    kit_fails("for i = 1, 51 do http.get('http://x.nl') end",
              "rules/x.lua:2: budget of 50 http.get exceeded");
    kit_done("for i = 1, 50 do http.get('http://x.nl') end", "");
    kit_fails("for i = 1, 51 do pcall(http.get, 'http://x.nl') end",
              "rules/x.lua:2: budget of 50 http.get exceeded");
    char *big = malloc(1200000);
    memset(big, 'x', 1199999);
    const char *head = "{\"status\":200,\"headers\":{},\"body\":\"";
    memcpy(big, head, strlen(head));
    memcpy(big + 1199990, "\"}", 3);
    kit.reply = big;
    kit_done("for i = 1, 3 do http.get('http://x.nl') end", "");
    kit_fails("for i = 1, 4 do http.get('http://x.nl') end",
              "rules/x.lua:2: budget of 4 MiB of answers to http.get exceeded");
    free(big);
    kit.reply = NULL;
}

/* A look-up has its own time; the wall budget of the run does not see it. */
static void test_lookup_time(void **state)
{
    (void)state;
    kit.later = true;
    kit.budgets = kit_budgets;
    kit.budgets.wall_ms = 100;
    kit_must_load(
        "rule 'r' { on = '*', run = function(ev)\nhttp.get { url = 'http://x.nl', timeout "
        "= 0.001 }\nrecords.get('a', 'b') end }");
    kit_job("t", "{}");
    usleep(150000);
    sh_host_expire(kit.host); /* 150 ms of a 1 ms + 2 s look-up: not late */
    assert_int_equal(sh_host_open_jobs(kit.host), 1);
    struct sh_buf b;
    sh_buf_init(&b, 1000);
    kit_put_answer(&b, &(struct sh_read_request){.kind = SH_READ_HTTP});
    assert_true(sh_host_answer(kit.host, kit.open[0], sh_slice(b.data, b.len)));
    sh_buf_free(&b);
    assert_int_equal(kit.n_open, 2); /* it reads a record now, with its wall budget nearly whole */
    sh_host_expire(kit.host);
    assert_int_equal(sh_host_open_jobs(kit.host), 1);
    usleep(120000);
    sh_host_expire(kit.host);
    assert_int_equal(sh_host_open_jobs(kit.host), 0);
    assert_string_equal(kit.runs[0].error,
                        "rules/x.lua:3: wall budget of 100 ms exceeded, waiting for records.get");
    kit_job("t", "{}");
    usleep(2050000);
    sh_host_expire(kit.host);
    assert_string_equal(kit.runs[0].error,
                        "rules/x.lua:2: no answer within 2001 ms, waiting for http.get");
    assert_false(sh_host_answer(kit.host, kit.open[2], SH_SLICE("\1")));
}

/* Two rules: one holds that many times 256 KiB while it waits, the other one needs so many. */
static void hold_and_need(int held, int needed)
{
    char rules[1000];
    snprintf(
        rules, sizeof(rules),
        "local function fill(n) local t = {} for i = 1, n do t[i] = ('x'):rep(262144) .. i end "
        "return t end\n"
        "rule 'hog' { on = 'hold', run = function()\nlocal t = fill(%d)\n"
        "http.get('http://x.nl') emit('held', { n = #t }) end }\n"
        "rule 'victim' { on = 'need', run = function()\nlog.info('once') emit('x')\n"
        "local t = fill(%d) emit('got', { n = #t, r = math.random() }) end }",
        held, needed);
    kit.later = true;
    kit.budgets = kit_budgets;
    kit.budgets.cpu_ms = 3000;
    kit_must_load(rules);
    kit_job("hold", "{}");
    assert_int_equal(sh_host_open_jobs(kit.host), 1);
}

/* A run that holds most of the memory while it waits fails, and not the one that then finds no
 * room: that one begins again, with nothing of its first time left. */
static void test_memory_is_charged_to_who_holds_it(void **state)
{
    (void)state;
    hold_and_need(48, 20);
    kit_job("need", "{}");
    assert_int_equal(kit.n_finished, 2);
    assert_int_equal(sh_host_open_jobs(kit.host), 0);
    assert_string_equal(kit.runs[0].rule, "victim");
    assert_int_equal(kit.runs[0].outcome, SH_RUN_DONE);
    assert_int_equal(kit.runs[0].n_effects, 2);
    assert_string_equal(kit.runs[0].logs, "[{\"level\":\"info\",\"text\":\"once\"}]");
    assert_false(sh_host_answer(kit.host, kit.open[0], SH_SLICE("\1")));
}

static void test_who_waits_with_much_is_told(void **state)
{
    (void)state;
    hold_and_need(48, 20);
    sh_lua_make_room(kit.host, 1024);
    assert_int_equal(kit.n_finished, 1);
    assert_string_equal(kit.runs[0].rule, "hog");
    assert_int_equal(kit.runs[0].outcome, SH_RUN_FAILED);
    assert_string_equal(kit.runs[0].error,
                        "rules/x.lua:4: memory budget of 16384 KiB exceeded while it waits for "
                        "http.get: it holds 12 MiB, and another run found no room");
    assert_false(sh_lua_make_room(kit.host, 1024));
}

/* A run that itself takes more than what others hold is at fault. */
static void test_memory_of_its_own(void **state)
{
    (void)state;
    hold_and_need(24, 44);
    kit_job("need", "{}");
    assert_int_equal(kit.n_finished, 1);
    assert_string_equal(kit.runs[0].rule, "victim");
    assert_int_equal(kit.runs[0].outcome, SH_RUN_FAILED);
    assert_int_equal(sh_host_open_jobs(kit.host), 1);
}

/* Nor are those at fault that hold little. */
static void test_little_is_not_charged(void **state)
{
    (void)state;
    hold_and_need(2, 28);
    assert_false(sh_lua_make_room(kit.host, 1024));
    assert_int_equal(sh_host_open_jobs(kit.host), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_lookup, kit_teardown),
        cmocka_unit_test_teardown(test_lookup_is_recorded, kit_teardown),
        cmocka_unit_test_teardown(test_lookup_everywhere, kit_teardown),
        cmocka_unit_test_teardown(test_bad_answers, kit_teardown),
        cmocka_unit_test_teardown(test_lookup_budgets, kit_teardown),
        cmocka_unit_test_teardown(test_lookup_time, kit_teardown),
        cmocka_unit_test_teardown(test_memory_is_charged_to_who_holds_it, kit_teardown),
        cmocka_unit_test_teardown(test_who_waits_with_much_is_told, kit_teardown),
        cmocka_unit_test_teardown(test_memory_of_its_own, kit_teardown),
        cmocka_unit_test_teardown(test_little_is_not_charged, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
