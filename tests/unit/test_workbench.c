/* SPDX-License-Identifier: MIT
 * test_workbench.c: a simulator that is used again, deliveries that are made up, lines that are
 * counted, what the kit asks for, where specs are, files that are never overwritten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/sample_events.h"
#include "app/simulator.h"
#include "app/skeleton.h"
#include "app/spec_files.h"
#include "app/workbench.h"
#include "app/write_file.h"
#include "lua/cover.h"
#include "lua/workbench.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 1781265600000LL /* 2026-06-12T12:00:00Z */

static struct sh_generation *generation(const char *rule, const char *script)
{
    char rule_name[] = "rules/a.lua", script_name[] = "scripts/s.lua";
    char *texts[] = {sh_strdup(rule), sh_strdup(script ? script : "return {}")};
    const struct sh_file files[] = {
        {.name = rule_name, .text = texts[0], .len = strlen(texts[0]), .is_rule = true},
        {.name = script_name, .text = texts[1], .len = strlen(texts[1])}};
    struct sh_generation *g = sh_generation_new(files, 2);
    free(texts[0]);
    free(texts[1]);
    return g;
}

/* A workbench, with the default configuration, of a rule. */
struct fixture {
    struct sh_config config;
    struct sh_generation *g;
    struct sh_workbench *w;
};

static void set_up(struct fixture *f, const char *rule, bool coverage)
{
    cJSON *faults, *report;
    struct sh_error err;
    assert_true(sh_config_load(NULL, &f->config, &faults));
    cJSON_Delete(faults);
    f->g = generation(rule, NULL);
    const struct sh_workbench_config config = {.config = &f->config,
                                               .generation = f->g,
                                               .root = ".",
                                               .now_ms = START_MS,
                                               .coverage = coverage};
    f->w = sh_workbench_new(&config, &report, &err);
    cJSON_Delete(report);
    assert_non_null(f->w);
}

static void tear_down(struct fixture *f)
{
    sh_workbench_free(f->w);
    sh_generation_free(f->g);
    sh_config_clear(&f->config);
}

/* The answer to a question; args is JSON text. */
static cJSON *ask(struct fixture *f, const char *what, const char *args)
{
    struct sh_error err = {0};
    cJSON *tree = args ? sh_json_parse(args, strlen(args), NULL) : NULL;
    cJSON *answer = sh_workbench_ask(f->w, what, tree, &err);
    if (!answer)
        print_message("# %s: %s\n", what, err.msg);
    cJSON_Delete(tree);
    return answer;
}

static void must(struct fixture *f, const char *what, const char *args)
{
    cJSON *answer = ask(f, what, args);
    assert_non_null(answer);
    cJSON_Delete(answer);
}

static int count(struct fixture *f, const char *what, const char *args)
{
    cJSON *answer = ask(f, what, args);
    assert_non_null(answer);
    int n = cJSON_GetArraySize(answer);
    cJSON_Delete(answer);
    return n;
}

static const char keeps[] = "rule 'R' { on = '*', run = function(e)\n"
                            "  if e.left then\n"
                            "    records.put('left', '1', { x = 1 })\n"
                            "  end\n"
                            "  records.put('seen', tostring(e.call_id), { x = 1 })\n"
                            "  email { to = 'a@example.org', subject = 's', text = 't' }\n"
                            "  callback { number = '0612345678', due = '2h', key = 'k' }\n"
                            "  after('2h', 'later', {}, { name = 'n' })\n"
                            "end }\n";
#define EVENT(id) "{\"event\":{\"event\":\"x\",\"call_id\":\"" id "\"}}"

static void test_reset_leaves_nothing(void **state)
{
    (void)state;
    struct fixture f = {0};
    set_up(&f, keeps, false);
    for (int i = 0; i < 3; i++) { /* the same event is no repeat in a new store */
        must(&f, "reset", "{}");
        assert_int_equal(count(&f, "records", "{\"collection\":\"seen\"}"), 0);
        assert_int_equal(count(&f, "outbox", NULL), 0);
        assert_int_equal(count(&f, "callbacks", NULL), 0);
        assert_int_equal(count(&f, "timers", NULL), 0);
        cJSON *entries = ask(&f, "send", EVENT("1"));
        assert_null(sh_json_member(entries->child, "duplicate"));
        cJSON_Delete(entries);
        assert_int_equal(count(&f, "records", "{\"collection\":\"seen\"}"), 1);
        assert_int_equal(count(&f, "outbox", NULL), 1);
        assert_int_equal(count(&f, "callbacks", NULL), 1);
        assert_int_equal(count(&f, "timers", NULL), 1);
        if (i == 1)
            assert_true(count(&f, "advance", "{\"ms\":7200000}") > 0);
    }
    must(&f, "advance", "{\"ms\":5000}");
    cJSON *now = ask(&f, "now", NULL);
    int64_t ms = 0;
    assert_true(sh_json_get_int(now, &ms));
    assert_int_equal(ms, START_MS + 5000);
    cJSON_Delete(now);
    tear_down(&f);
}

static void test_rules_in_place(void **state)
{
    (void)state;
    struct fixture f = {0};
    set_up(&f, keeps, false);
    must(&f, "reset", "{\"rules\":{\"b\":\"rule 'B' { on = '*', run = function() end }\"}}");
    assert_int_equal(count(&f, "rules", NULL), 1);
    must(&f, "send", EVENT("1"));
    assert_int_equal(count(&f, "outbox", NULL), 0);
    must(&f, "reset", "{}"); /* the project's again */
    must(&f, "send", EVENT("1"));
    assert_int_equal(count(&f, "outbox", NULL), 1);
    assert_null(ask(&f, "reset", "{\"rules\":{\"b\":\"rule\"}}"));
    assert_null(ask(&f, "reset", "{\"rules\":{\"b\":1}}"));
    assert_null(ask(&f, "reset", "{\"zone\":\"Mars/Base\"}"));
    assert_null(ask(&f, "reset", "{\"secrets\":[1]}"));
    must(&f, "send", EVENT("2")); /* a reset that failed leaves a simulator that works */
    must(&f, "reset", "{\"secrets\":[\"KEY\"],\"zone\":\"Asia/Tokyo\"}");
    cJSON *time = ask(&f, "time", "{\"text\":\"1970-01-01 09:00\"}");
    int64_t ms = -1;
    assert_true(sh_json_get_int(time, &ms));
    assert_int_equal(ms, 0);
    cJSON_Delete(time);
    tear_down(&f);
}

static void test_questions_refused(void **state)
{
    (void)state;
    struct fixture f = {0};
    set_up(&f, keeps, false);
    assert_null(ask(&f, "nonsense", NULL));
    assert_null(ask(&f, "send", "{\"source\":\"nobody\",\"event\":{}}"));
    assert_null(ask(&f, "time", "{\"text\":\"2026-02-30 10:00\"}"));
    assert_null(ask(&f, "records", "{}"));
    assert_null(ask(&f, "deliver", "{\"pattern\":\"*\"}"));
    assert_null(ask(&f, "replies", "[{\"url\":\"*\",\"status\":9}]"));
    assert_null(ask(&f, "coverage", NULL));
    assert_null(ask(&f, "payload", "{\"name\":\"../secret\"}"));
    assert_null(ask(&f, "payload", "{\"name\":\"\"}"));
    cJSON *entries = ask(&f, "send", "{\"body\":\"{\"}");
    assert_non_null(sh_json_member(entries->child, "refused"));
    cJSON_Delete(entries);
    tear_down(&f);
}

static void test_deliver(void **state)
{
    (void)state;
    struct fixture f = {0};
    set_up(&f,
           "rule 'R' { on = 'x', run = function(e)\n"
           "  http.post { url = 'https://a.example.org/' .. e.call_id, json = {}, notify = 'n' }\n"
           "end }\n"
           "rule 'Told' { on = 'delivery_*', run = function(d, envelope)\n"
           "  records.put('told', envelope.type, { status = d.status })\n"
           "end }\n",
           false);
    must(&f, "send", EVENT("1"));
    must(&f, "send", EVENT("2"));
    assert_null(ask(&f, "deliver", "{\"pattern\":\"https://b*\"}"));
    assert_int_equal(count(&f, "deliver", "{\"pattern\":\"https://a*/1\"}"), 1);
    assert_int_equal(count(&f, "deliver", "{\"pattern\":\"https://a*\",\"status\":500}"), 1);
    assert_null(ask(&f, "deliver", "{\"pattern\":\"https://a*\"}")); /* nothing waits any more */
    assert_int_equal(count(&f, "records", "{\"collection\":\"told\"}"), 2);
    tear_down(&f);
}

/* --- coverage -------------------------------------------------------------------------------- */

static int64_t hits(const cJSON *report, int file, int line)
{
    const cJSON *f = cJSON_GetArrayItem(report, file), *l;
    int64_t n = -1, at = 0;
    int i = 0;
    cJSON_ArrayForEach(l, sh_json_member(f, "lines"))
    {
        if (sh_json_get_int(l, &at) && at == line)
            assert_true(sh_json_get_int(cJSON_GetArrayItem(sh_json_member(f, "hits"), i), &n));
        i++;
    }
    return n;
}

static void test_lines_are_counted(void **state)
{
    (void)state;
    struct fixture f = {0};
    set_up(&f, keeps, true);
    must(&f, "send", EVENT("1"));
    must(&f, "reset", "{}");
    must(&f, "send", EVENT("1"));
    cJSON *report = ask(&f, "coverage", NULL);
    assert_string_equal(sh_json_string(report->child, "name"), "rules/a.lua");
    assert_non_null(sh_json_string(report->child, "path"));
    assert_int_equal(hits(report, 0, 2), 2);
    assert_int_equal(hits(report, 0, 3), 0);
    assert_int_equal(hits(report, 0, 5), 2);
    assert_int_equal(hits(report, 0, 4), -1); /* `end` is no line that runs */
    cJSON_Delete(report);
    must(&f, "reset",
         "{\"rules\":{\"a\":\"\\n\\n\\n\\nrule 'B' { on = '*', run = function()\\n"
         "log.info 'x' end }\"}}");
    must(&f, "send", EVENT("1")); /* another text of that name does not count */
    report = ask(&f, "coverage", NULL);
    assert_int_equal(hits(report, 0, 5), 2);
    cJSON_Delete(report);
    tear_down(&f);
}

static void test_budget_holds_while_counting(void **state)
{
    (void)state;
    struct fixture f = {0};
    set_up(&f,
           "rule 'Loop' { on = '*', run = function()\n"
           "  local co = coroutine.wrap(function()\n"
           "    while true do\n"
           "      pcall(string.rep, 'x', 10)\n"
           "    end\n"
           "  end)\n"
           "  pcall(co)\n"
           "end }\n",
           true);
    for (int i = 0; i < 2; i++) {
        must(&f, "reset", "{}");
        cJSON *entries = ask(&f, "send", EVENT("1"));
        const cJSON *run = sh_json_member(entries->child, "runs")->child;
        assert_string_equal(sh_json_string(run, "outcome"), "failed");
        assert_non_null(strstr(sh_json_string(run, "error"), "CPU budget"));
        cJSON_Delete(entries);
    }
    cJSON *report = ask(&f, "coverage", NULL);
    assert_true(hits(report, 0, 4) > 1000);
    cJSON_Delete(report);
    tear_down(&f);
}

/* --- files ----------------------------------------------------------------------------------- */

static char *folder(void)
{
    char *dir = sh_strdup("/tmp/switchhook-bench-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static void put(const char *dir, const char *name, const char *text)
{
    struct sh_error err;
    char *path = sh_strf("%s/%s", dir, name);
    assert_true(sh_write_new_file(path, sh_slice_str(text), 0600, &err));
    free(path);
}

static void remove_all(char *dir)
{
    char *command[] = {"rm", "-rf", dir, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        execvp("rm", command);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
    free(dir);
}

static void test_specs_of_a_project(void **state)
{
    (void)state;
    struct sh_error err;
    char *dir = folder();
    put(dir, "specs/b_spec.lua", "");
    put(dir, "specs/a_spec.lua", "");
    put(dir, "specs/helper.lua", "");
    put(dir, "rules/r_spec.lua", "");
    put(dir, ".git/x_spec.lua", "");
    put(dir, "examples/one/switchhook.lua", "");
    put(dir, "examples/one/specs/x_spec.lua", "");
    cJSON *paths = cJSON_CreateArray();
    assert_true(sh_is_project(dir));
    assert_true(sh_spec_files_add(paths, dir, &err));
    assert_int_equal(cJSON_GetArraySize(paths), 3);
    const char *const names[] = {"rules/r_spec.lua", "specs/a_spec.lua", "specs/b_spec.lua"};
    for (int i = 0; i < 3; i++)
        assert_non_null(strstr(cJSON_GetArrayItem(paths, i)->valuestring, names[i]));
    assert_false(sh_spec_files_add(paths, "/nowhere/at/all", &err));
    assert_int_equal(err.code, SH_ENOTFOUND);
    cJSON_Delete(paths);
    remove_all(dir);
}

static void test_new_files_only(void **state)
{
    (void)state;
    struct sh_error err;
    struct stat st;
    char *dir = folder(), *path = sh_strf("%s/a/b/c.txt", dir), *under = sh_strf("%s/x", path);
    assert_true(sh_write_new_file(path, SH_SLICE("one"), 0666, &err));
    assert_false(sh_write_new_file(path, SH_SLICE("other"), 0666, &err));
    assert_int_equal(err.code, SH_EBUSY);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 3);
    assert_false(sh_write_new_file(under, SH_SLICE("x"), 0666, &err)); /* a file is no folder */
    assert_int_equal(err.code, SH_ESYS);
    free(under);
    free(path);
    remove_all(dir);
}

static void test_sample_events(void **state)
{
    (void)state;
    struct sh_error err;
    char *dir = folder();
    cJSON *event = sh_sample_event(dir, "missed", &err); /* out of the binary */
    assert_string_equal(sh_json_string(event, "event"), "call_stop");
    cJSON_Delete(event);
    put(dir, "events/missed.json", "{\"event\":\"mine\"}");
    event = sh_sample_event(dir, "missed", &err);
    assert_string_equal(sh_json_string(event, "event"), "mine");
    cJSON_Delete(event);
    put(dir, "events/bad.json", "{\n\"event\":}");
    assert_null(sh_sample_event(dir, "bad", &err));
    assert_non_null(strstr(err.msg, "events/bad.json:2: no JSON"));
    assert_null(sh_sample_event(dir, "none", &err));
    assert_non_null(strstr(err.msg, "call_postprocess"));
    remove_all(dir);
}

static void test_skeleton_is_sorted_and_whole(void **state)
{
    (void)state;
    size_t n;
    const struct sh_skeleton_file *files = sh_skeleton(&n);
    assert_true(n > 25);
    for (size_t i = 0; i < n; i++)
        assert_true(files[i].size > 0);
    assert_non_null(sh_skeleton_find("specs/missed_call_spec.lua"));
    assert_non_null(sh_skeleton_find("new/rule.lua"));
    assert_null(sh_skeleton_find("rules/"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reset_leaves_nothing),
        cmocka_unit_test(test_rules_in_place),
        cmocka_unit_test(test_questions_refused),
        cmocka_unit_test(test_deliver),
        cmocka_unit_test(test_lines_are_counted),
        cmocka_unit_test(test_budget_holds_while_counting),
        cmocka_unit_test(test_specs_of_a_project),
        cmocka_unit_test(test_new_files_only),
        cmocka_unit_test(test_sample_events),
        cmocka_unit_test(test_skeleton_is_sorted_and_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
