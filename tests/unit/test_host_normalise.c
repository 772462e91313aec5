/* SPDX-License-Identifier: MIT
 * test_host_normalise.c: a normaliser in the rule host: what its failure becomes for a first run,
 * for a retry of named rules, and for paused ones. */
#include "lua/host.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char rules[] = "rule \"A\" { on = \"made\", run = function() end }\n"
                      "rule \"B\" { on = \"m*\", run = function() end }\n";
static char script[] = "return function(body)\n"
                       "  if body.bad then error(\"bad\") end\n"
                       "  if body.none then return nil end\n"
                       "  return body, \"made\"\n"
                       "end\n";

static struct sh_host *host;
static char told[2000]; /* "rule outcome error\n" of each run */

static void on_finished(void *arg, const struct sh_result *r)
{
    (void)arg;
    for (size_t i = 0; i < r->n_runs; i++) {
        const struct sh_run *run = &r->runs[i];
        size_t n = strlen(told);
        snprintf(told + n, sizeof(told) - n, "%.*s %s %.*s\n", (int)run->rule.n, run->rule.p,
                 sh_outcome_name(run->outcome), (int)run->error.n,
                 run->error.n ? run->error.p : "");
    }
}

static void on_read(void *arg, uint64_t id, const struct sh_read_request *q)
{
    (void)arg, (void)id, (void)q;
    fail_msg("nothing reads here");
}

static int load(void **state)
{
    static char source[] = "pbx", module[] = "pbx", zone[] = "UTC";
    static struct sh_normaliser normaliser = {source, module};
    static const struct sh_settings settings = {
        .zone = zone, .normalisers = &normaliser, .n_normalisers = 1};
    static const struct sh_budgets budgets = {SH_DEF_CPU_MS, SH_DEF_WALL_MS, SH_DEF_MEMORY_BYTES,
                                              SH_DEF_MAX_EFFECTS, SH_DEF_MAX_EFFECT_BYTES};
    const struct sh_host_calls calls = {
        .settings = &settings, .read = on_read, .finished = on_finished};
    char a[] = "rules/a.lua", b[] = "scripts/pbx.lua";
    struct sh_file files[] = {{.name = a, .text = rules, .len = strlen(rules), .is_rule = true},
                              {.name = b, .text = script, .len = strlen(script)}};
    struct sh_generation *g = sh_generation_new(files, 2);
    cJSON *report;
    (void)state;
    host = sh_host_new(&budgets, &calls);
    assert_true(sh_host_load(host, g, &report));
    cJSON_Delete(report);
    sh_generation_free(g);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    sh_host_free(host);
    return 0;
}

/* What becomes of an event of the source, given these rules alone, or with these paused. */
static const char *run(const char *source, const char *body, const char *only, const char *hold)
{
    static uint64_t token;
    const struct sh_slice one = sh_slice_str(only), held = sh_slice_str(hold);
    const struct sh_job job = {.token = ++token,
                               .source = sh_slice_str(source),
                               .type = SH_SLICE("sent"),
                               .key = SH_SLICE("k"),
                               .body = sh_slice_str(body),
                               .now_ms = 1700000000000,
                               .attempt = 1,
                               .only = &one,
                               .n_only = only != NULL,
                               .hold = &held,
                               .n_hold = hold != NULL};
    told[0] = '\0';
    sh_host_job(host, &job);
    assert_int_equal(sh_host_open_jobs(host), 0);
    return told;
}

static void chooses_by_the_new_type(void **state)
{
    (void)state;
    assert_string_equal(run("pbx", "{}", NULL, NULL), "A done \nB done \n");
    assert_string_equal(run("other", "{}", NULL, NULL), "");
    assert_string_equal(run("pbx", "{}", "B", NULL), "B done \n");
    assert_string_equal(run("pbx", "{}", NULL, "B"), "A done \nB paused \n");
    assert_string_equal(run("pbx", "{\"none\":1}", NULL, "B"), "");
    assert_string_equal(run("pbx", "{\"none\":1}", "A", NULL), "");
}

#define WHY "scripts/pbx.lua:2: "
#define OF  "normaliser of \"pbx\": bad"

static void fails_as_one_or_in_a_rules_name(void **state)
{
    (void)state;
    assert_ptr_equal(strstr(run("pbx", "{\"bad\":1}", NULL, NULL), "* failed " WHY OF), told);
    assert_null(strchr(strchr(told, '*') + 1, '*')); /* one run */
    assert_ptr_equal(
        strstr(run("pbx", "{\"bad\":1}", "A", NULL), "A failed " WHY "rule \"A\": " OF), told);
    assert_string_equal(run("pbx", "{\"bad\":1}", "Gone", NULL),
                        "Gone gone the rule is not in this generation any more\n");
    assert_string_equal(run("pbx", "{}", NULL, NULL), "A done \nB done \n"); /* as before */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(chooses_by_the_new_type, load, unload),
        cmocka_unit_test_setup_teardown(fails_as_one_or_in_a_rules_name, load, unload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
