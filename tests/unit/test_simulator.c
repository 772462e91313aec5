/* SPDX-License-Identifier: MIT
 * test_simulator.c: events through rules on a store in memory: effects, order, repeats, refusals,
 * conflicts, retries on a clock that is moved by hand, and a rule stuck in a C function. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/sample_day.h"
#include "app/simulator.h"
#include "base/clock.h"
#include "svc/json.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 1781258661903LL /* 2026-06-12T10:04:21.903Z */

static char name[] = "hook", type_field[] = "event", key_field[] = "key", path[] = "/hook";
static const struct sh_source_config source = {
    .source = {.name = name, .type = {.field = type_field}, .key = {.field = key_field}},
    .path = path};

static struct sh_simulator *start(const char *rules, cJSON **report)
{
    char file_name[] = "rules/test.lua";
    char *text = sh_strdup(rules);
    const struct sh_file file = {
        .name = file_name, .text = text, .len = strlen(text), .is_rule = true};
    struct sh_generation *g = sh_generation_new(&file, 1);
    const int64_t delays[] = {5000, 30000};
    const struct sh_simulator_config config = {
        .generation = g,
        .budgets = {.cpu_ms = 2000,
                    .wall_ms = 2000,
                    .memory_bytes = SH_DEF_MEMORY_BYTES,
                    .max_effects = SH_DEF_MAX_EFFECTS,
                    .max_effect_bytes = SH_DEF_MAX_EFFECT_BYTES},
        .start_ms = START_MS,
        .retry_ms = delays,
        .n_retry = 2};
    struct sh_error err;
    struct sh_simulator *s = sh_simulator_new(&config, report, &err);
    sh_generation_free(g);
    free(text);
    return s;
}

static struct sh_simulator *must_start(const char *rules)
{
    cJSON *report;
    struct sh_simulator *s = start(rules, &report);
    if (!s) {
        char *text = cJSON_Print(report);
        print_error("%s\n", text);
        cJSON_free(text);
    }
    cJSON_Delete(report);
    assert_non_null(s);
    return s;
}

static cJSON *post(struct sh_simulator *s, const char *body)
{
    const struct sh_sent sent = {.body = sh_slice_str(body)};
    return sh_simulator_send(s, &source, &sent, 1000);
}

/* The value at a path of member names and list places; NULL when there is none. */
static const cJSON *at(const cJSON *tree, const char *steps)
{
    char step[64];
    while (tree && *steps) {
        size_t n = strcspn(steps, ".");
        snprintf(step, sizeof(step), "%.*s", (int)n, steps);
        tree =
            cJSON_IsArray(tree) ? cJSON_GetArrayItem(tree, atoi(step)) : sh_json_member(tree, step);
        steps += n + (steps[n] == '.');
    }
    return tree;
}

static void is_text(const cJSON *tree, const char *steps, const char *expected)
{
    const cJSON *v = at(tree, steps);
    if (!cJSON_IsString(v) || strcmp(v->valuestring, expected) != 0) {
        char *text = cJSON_Print(tree);
        print_error("%s\n", text);
        cJSON_free(text);
        fail_msg("%s is not \"%s\"", steps, expected);
    }
}

static void has_text(const cJSON *tree, const char *steps, const char *part)
{
    const cJSON *v = at(tree, steps);
    if (!cJSON_IsString(v) || !strstr(v->valuestring, part)) {
        char *text = cJSON_Print(tree);
        print_error("%s\n", text);
        cJSON_free(text);
        fail_msg("%s has no \"%s\"", steps, part);
    }
}

static void is_int(const cJSON *tree, const char *steps, int64_t expected)
{
    int64_t n;
    const cJSON *v = at(tree, steps);
    if (!v || !sh_json_get_int(v, &n) || n != expected) {
        char *text = cJSON_Print(tree);
        print_error("%s\n", text);
        cJSON_free(text);
        fail_msg("%s is not %lld", steps, (long long)expected);
    }
}

static void test_effects(void **state)
{
    (void)state;
    struct sh_simulator *s =
        must_start("rule 'Keep' { on = 'ping', run = function(e, env)\n"
                   "  records.put('pings', e.key, { n = e.n, at = now(), type = env.type })\n"
                   "  callback { number = '0301234567', due = now() + 2 * hour, reason = 'why' }\n"
                   "  log.info('kept ' .. e.n)\n"
                   "end }\n"
                   "rule 'Other' { on = 'pong', run = function() end }\n"
                   "rule 'Large' { on = 'ping', when = function(e) return e.n > 100 end,\n"
                   "  run = function() end }\n");
    cJSON *r = post(s, "{\"event\":\"ping\",\"key\":\"a\",\"n\":7}");
    assert_int_equal(cJSON_GetArraySize(r), 1);
    is_text(r, "0.event.type", "ping");
    is_text(r, "0.event.key", "a");
    is_text(r, "0.event.source", "hook");
    is_text(r, "0.runs.0.rule", "Keep");
    is_text(r, "0.runs.0.file", "rules/test.lua");
    is_int(r, "0.runs.0.line", 1);
    is_text(r, "0.runs.0.outcome", "done");
    is_text(r, "0.runs.0.effects.0.kind", "records.put");
    is_int(r, "0.runs.0.effects.0.doc.n", 7);
    is_text(r, "0.runs.0.effects.1.kind", "callback");
    is_text(r, "0.runs.0.effects.1.due_at", "2026-06-12T12:04:21.000Z");
    is_text(r, "0.runs.0.logs.0.text", "kept 7");
    is_text(r, "0.runs.1.outcome", "skipped_on");
    is_text(r, "0.runs.2.outcome", "skipped_when");
    cJSON_Delete(r);
    cJSON *w = sh_simulator_world(s);
    is_text(w, "records.pings.0.id", "a");
    is_int(w, "records.pings.0.doc.n", 7);
    is_text(w, "records.pings.0.doc.type", "ping");
    is_text(w, "callbacks.0.number", "0301234567");
    cJSON_Delete(w);
    sh_simulator_free(s);
}

static void test_refusals(void **state)
{
    (void)state;
    struct sh_simulator *s = must_start("rule 'A' { on = '*', run = function() end }");
    cJSON *r = post(s, "{\n \"event\": x }");
    is_text(r, "0.refused.code", "invalid_json");
    is_int(r, "0.refused.line", 2);
    is_int(r, "0.refused.column", 11);
    cJSON_Delete(r);
    r = post(s, "{\"key\":\"a\"}");
    is_text(r, "0.refused.code", "invalid_envelope");
    is_text(r, "0.refused.field", "event");
    cJSON_Delete(r);
    r = post(s, "[1]");
    is_text(r, "0.refused.code", "invalid_envelope");
    cJSON_Delete(r);
    r = post(s, "");
    is_text(r, "0.refused.code", "invalid_json");
    cJSON_Delete(r);
    char *large = sh_strf("{\"event\":\"a\",\"key\":\"%01000d\"}", 1);
    r = post(s, large);
    free(large);
    is_text(r, "0.refused.code", "too_large");
    cJSON_Delete(r);
    sh_simulator_free(s);
}

static void test_repeat(void **state)
{
    (void)state;
    struct sh_simulator *s = must_start("rule 'A' { on = '*', run = function(e)\n"
                                        "  records.incr('n', 'x', 'times', 1) end }");
    cJSON *first = post(s, "{\"event\":\"a\",\"key\":\"k\"}");
    cJSON *again = post(s, "{\"event\":\"a\",\"key\":\"k\"}");
    assert_true(cJSON_IsTrue(at(again, "0.duplicate")));
    assert_null(at(again, "0.runs"));
    is_text(again, "0.event.id", sh_json_string(at(first, "0.event"), "id"));
    cJSON *w = sh_simulator_world(s);
    is_int(w, "records.n.0.doc.times", 1);
    cJSON_Delete(w);
    cJSON_Delete(first);
    cJSON_Delete(again);
    sh_simulator_free(s);
}

static void test_emitted_in_turn(void **state)
{
    (void)state;
    struct sh_simulator *s =
        must_start("rule 'Split' { on = 'batch', run = function(e)\n"
                   "  for _, v in ipairs(e.items) do emit('item', { v = v }) end end }\n"
                   "rule 'Item' { on = 'item', run = function(e)\n"
                   "  records.patch('seen', 'all', { [e.v] = true })\n"
                   "  if e.v == 'a' then emit('last', {}) end end }\n"
                   "rule 'Last' { on = 'last', run = function() log.info('end') end }\n");
    cJSON *r = post(s, "{\"event\":\"batch\",\"key\":\"k\",\"items\":[\"a\",\"b\"]}");
    assert_int_equal(cJSON_GetArraySize(r), 4);
    is_text(r, "0.event.type", "batch");
    is_text(r, "1.event.type", "item");
    is_text(r, "1.event.source", "rules");
    is_text(r, "1.event.cause", sh_json_string(at(r, "0.event"), "id"));
    is_text(r, "2.event.type", "item");
    is_text(r, "3.event.type", "last");
    is_text(r, "3.runs.2.logs.0.text", "end");
    cJSON_Delete(r);
    cJSON *w = sh_simulator_world(s);
    assert_true(cJSON_IsTrue(at(w, "records.seen.0.doc.a")));
    assert_true(cJSON_IsTrue(at(w, "records.seen.0.doc.b")));
    cJSON_Delete(w);
    sh_simulator_free(s);
}

/* Both rules read the record before either of them is settled: the second one must run again. */
static void test_no_lost_update(void **state)
{
    (void)state;
    const char *add = "rule '%s' { on = '*', run = function()\n"
                      "  local r = records.get('n', 'x') or { sum = 0 }\n"
                      "  records.put('n', 'x', { sum = r.sum + %d }) end }\n";
    char rules[1000];
    int n = snprintf(rules, sizeof(rules), add, "A", 1);
    n += snprintf(rules + n, sizeof(rules) - (size_t)n, add, "B", 10);
    snprintf(rules + n, sizeof(rules) - (size_t)n, add, "C", 100);
    struct sh_simulator *s = must_start(rules);
    cJSON *r = post(s, "{\"event\":\"a\",\"key\":\"k\"}");
    assert_int_equal(cJSON_GetArraySize(at(r, "0.runs")), 3);
    is_text(r, "0.runs.0.outcome", "done");
    is_text(r, "0.runs.1.outcome", "done");
    is_text(r, "0.runs.2.outcome", "done");
    cJSON_Delete(r);
    cJSON *w = sh_simulator_world(s);
    is_int(w, "records.n.0.doc.sum", 111);
    cJSON_Delete(w);
    sh_simulator_free(s);
}

static void test_due_at_once(void **state)
{
    (void)state;
    struct sh_simulator *s =
        must_start("rule 'Ask' { on = 'ask', run = function()\n"
                   "  callback { number = '0301234567', due = now() + 60 }\n"
                   "  callbacks.done { number = '0301234567', note = 'spoke' }\n"
                   "  after('2026-01-01T00:00:00Z', 'past', {}) after(1, 'later', {}) end }\n"
                   "rule 'Hear' { on = '*', run = function(e) log.info(e.note or '-') end }\n");
    cJSON *r = post(s, "{\"event\":\"ask\",\"key\":\"k\"}");
    assert_int_equal(cJSON_GetArraySize(r), 3);
    is_text(r, "1.event.type", "past");
    is_text(r, "2.event.type", "callback_done");
    is_text(r, "2.runs.1.logs.0.text", "spoke");
    assert_int_equal(sh_simulator_now_ms(s), START_MS);
    cJSON_Delete(r);
    sh_simulator_free(s);
}

static void test_failure_and_time(void **state)
{
    (void)state;
    struct sh_simulator *s =
        must_start("rule 'Third time lucky' { on = '*', run = function(e, env)\n"
                   "  records.put('n', 'x', { attempt = env.attempt })\n"
                   "  if env.attempt < e.lucky then error('not yet') end end }\n"
                   "rule 'Fine' { on = '*', run = function() log.info('ok') end }\n");
    cJSON *r = post(s, "{\"event\":\"a\",\"key\":\"k\",\"lucky\":3}");
    is_text(r, "0.runs.0.outcome", "failed");
    has_text(r, "0.runs.0.error", "rules/test.lua:3: rule \"Third time lucky\": not yet");
    is_text(r, "0.runs.0.retry_at", "2026-06-12T10:04:26.903Z");
    assert_int_equal(cJSON_GetArraySize(at(r, "0.runs.0.effects")), 0);
    is_text(r, "0.runs.1.outcome", "done");
    cJSON_Delete(r);
    cJSON *w = sh_simulator_world(s);
    assert_null(at(w, "records.n.0")); /* nothing of a failed run is kept */
    cJSON_Delete(w);
    r = sh_simulator_advance_ms(s, 4999);
    assert_int_equal(cJSON_GetArraySize(r), 0);
    cJSON_Delete(r);
    r = sh_simulator_advance_ms(s, 60000);
    assert_int_equal(cJSON_GetArraySize(r), 2);
    is_text(r, "0.runs.0.outcome", "failed");
    is_int(r, "0.runs.0.attempt", 2);
    is_text(r, "1.runs.0.outcome", "done");
    is_int(r, "1.runs.0.attempt", 3);
    assert_int_equal(sh_simulator_now_ms(s), START_MS + 64999);
    cJSON_Delete(r);
    w = sh_simulator_world(s);
    is_int(w, "records.n.0.doc.attempt", 3);
    cJSON_Delete(w);
    r = post(s, "{\"event\":\"a\",\"key\":\"k\",\"lucky\":9}");
    cJSON_Delete(r);
    r = sh_simulator_advance_ms(s, 86400000);
    assert_int_equal(cJSON_GetArraySize(r), 2);
    assert_null(at(r, "1.runs.0.retry_at")); /* used up: a dead letter */
    cJSON_Delete(r);
    sh_simulator_free(s);
}

/* An effect that the store cannot apply is that run's failure alone. */
static void test_refused_effect(void **state)
{
    (void)state;
    struct sh_simulator *s = must_start(
        "rule 'Text' { on = 'a', run = function() records.put('n', 'x', { f = 'text' }) end }\n"
        "rule 'Count' { on = 'b', run = function() records.incr('n', 'x', 'f', 1) end }\n"
        "rule 'Fine' { on = 'b', run = function() records.put('n', 'y', { ok = true }) end }\n");
    cJSON_Delete(post(s, "{\"event\":\"a\",\"key\":\"k\"}"));
    cJSON *r = post(s, "{\"event\":\"b\",\"key\":\"k\"}");
    is_text(r, "0.runs.1.rule", "Count");
    is_text(r, "0.runs.1.outcome", "failed");
    assert_true(strlen(sh_json_string(at(r, "0.runs.1"), "error")) > 0);
    is_text(r, "0.runs.2.outcome", "done");
    cJSON_Delete(r);
    cJSON *w = sh_simulator_world(s);
    is_text(w, "records.n.0.doc.f", "text");
    assert_true(cJSON_IsTrue(at(w, "records.n.1.doc.ok")));
    cJSON_Delete(w);
    sh_simulator_free(s);
}

static void test_load_errors(void **state)
{
    (void)state;
    cJSON *report;
    struct sh_simulator *s =
        start("rule 'A' { on = 'a', run = function() end }\nrule = = 1\n", &report);
    assert_null(s);
    is_text(report, "errors.0.file", "rules/test.lua");
    is_int(report, "errors.0.line", 2);
    cJSON_Delete(report);
}

/* The same inputs at the same time give the same effects. */
static void test_deterministic(void **state)
{
    (void)state;
    cJSON *worlds[2];
    for (int i = 0; i < 2; i++) {
        struct sh_simulator *s =
            must_start("rule 'A' { on = '*', run = function(e)\n"
                       "  local keys = {}\n"
                       "  for k in pairs(e) do keys[#keys + 1] = k end\n"
                       "  records.put('n', e.key, { keys = keys, at = now() }) end }\n");
        cJSON_Delete(post(s, "{\"event\":\"a\",\"key\":\"k\",\"z\":1,\"b\":2,\"m\":3}"));
        worlds[i] = sh_simulator_world(s);
        sh_simulator_free(s);
    }
    const cJSON *a = at(worlds[0], "records.n.0.doc"), *b = at(worlds[1], "records.n.0.doc");
    assert_non_null(a);
    assert_true(cJSON_Compare(a, b, true));
    cJSON_Delete(worlds[0]);
    cJSON_Delete(worlds[1]);
}

/* The guard ends the process: seen from a child. */
static void test_stuck_in_c(void **state)
{
    (void)state;
    int out[2];
    char text[4096] = "";
    assert_int_equal(pipe(out), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        cJSON *report;
        dup2(out[1], STDERR_FILENO);
        alarm(60);
        struct sh_simulator *s = start("rule 'Slow' { on = '*', run = function()\n"
                                       "  local s = ('a'):rep(40000)\n"
                                       "  return s:find('.-.-.-.-.-b') end }\n",
                                       &report);
        if (s)
            cJSON_Delete(post(s, "{\"event\":\"a\",\"key\":\"k\"}"));
        _exit(s ? 7 : 8); /* it came back, or did not load */
    }
    close(out[1]);
    size_t n = 0;
    ssize_t got;
    while ((got = read(out[0], text + n, sizeof(text) - 1 - n)) > 0)
        n += (size_t)got;
    close(out[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    text[n] = '\0';
    assert_non_null(strstr(text, "rules/test.lua:1: rule \"Slow\": wall budget of "));
    assert_non_null(strstr(text, "\n  hint: a pattern with "));
}

static void test_sample_day(void **state)
{
    (void)state;
    size_t n;
    const uint8_t seed[16] = {1, 2, 3}, other[16] = {4};
    const struct sh_sample *day = sh_sample_day(&n);
    assert_int_equal(n, 7);
    for (size_t i = 0; i < n; i++) {
        char *fixed = sh_sample_body(&day[i], NULL), *a = sh_sample_body(&day[i], seed),
             *same = sh_sample_body(&day[i], seed), *b = sh_sample_body(&day[i], other);
        bool json = sh_json_check(a, strlen(a), NULL);
        assert_int_equal(json, day[i].answer != SH_SAMPLE_REFUSED);
        assert_string_equal(fixed, day[i].body);
        assert_string_equal(a, same);
        assert_int_equal(strlen(a), strlen(fixed));
        if (json)
            assert_string_not_equal(a, b);
        free(fixed);
        free(a);
        free(same);
        free(b);
    }
    char *start_body = sh_sample_body(&day[0], seed), *stop_body = sh_sample_body(&day[1], seed);
    cJSON *x = cJSON_Parse(start_body), *y = cJSON_Parse(stop_body);
    assert_string_equal(sh_json_string(x, "call_id"), sh_json_string(y, "call_id"));
    cJSON_Delete(x);
    cJSON_Delete(y);
    free(start_body);
    free(stop_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_effects),          cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_repeat),           cmocka_unit_test(test_emitted_in_turn),
        cmocka_unit_test(test_no_lost_update),   cmocka_unit_test(test_due_at_once),
        cmocka_unit_test(test_failure_and_time), cmocka_unit_test(test_refused_effect),
        cmocka_unit_test(test_load_errors),      cmocka_unit_test(test_deterministic),
        cmocka_unit_test(test_stuck_in_c),       cmocka_unit_test(test_sample_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
