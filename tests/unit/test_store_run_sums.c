/* SPDX-License-Identifier: MIT
 * test_store_run_sums.c: how the newest runs ended and how long they took. */
#include "store_kit.h"

static struct kit k;
static int serial;

static int setup(void **state)
{
    (void)state;
    kit_init(&k);
    kit_open(&k);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_end(&k);
    return 0;
}

static void run_of(const char *rule, enum sh_outcome outcome, int64_t us)
{
    char dedupe[16];
    struct kit_settle s;
    snprintf(dedupe, sizeof(dedupe), "%d", serial++);
    kit_settle_init(&s, kit_accept(&k, dedupe));
    struct sh_run *r = kit_add_run(&s, rule, outcome);
    r->duration_us = (uint64_t)us;
    r->error = outcome == SH_RUN_DEAD ? SH_SLICE("no") : (struct sh_slice){0};
    if (!kit_run(&k, &s.op.op))
        fail_msg("settle: %s", s.op.op.err.msg);
    kit_settle_free(&s);
}

static cJSON *sums(size_t last)
{
    struct sh_error err;
    struct sh_store_view *v = sh_store_view_open(k.dir, &err);
    cJSON *tree = sh_store_view_run_sums(v, last, &err);
    sh_store_view_close(v);
    if (!tree)
        fail_msg("sums: %s", err.msg);
    return tree;
}

static void expect(const cJSON *of, const char *part, const char *name, int64_t wanted)
{
    int64_t is = -1;
    assert_true(sh_json_get_int(sh_json_member(sh_json_member(of, part), name), &is));
    if (is != wanted)
        fail_msg("%s.%s is %lld, not %lld", part, name, (long long)is, (long long)wanted);
}

static void of_each_rule(void **state)
{
    (void)state;
    for (int i = 1; i <= 100; i++) /* in no order: 37 is prime to 101 */
        run_of("many", SH_RUN_DONE, i * 37 % 101);
    run_of("one", SH_RUN_DEAD, 7);
    cJSON *tree = sums(5000);
    const cJSON *many = sh_json_member(tree, "many"), *one = sh_json_member(tree, "one");
    assert_int_equal(cJSON_GetArraySize(tree), 2);
    expect(many, "outcomes", "done", 100);
    expect(many, "time", "runs", 100);
    expect(many, "time", "mean_us", 50); /* 50.5 */
    expect(many, "time", "p95_us", 95);
    expect(many, "time", "max_us", 100);
    expect(one, "outcomes", "dead", 1);
    expect(one, "time", "mean_us", 7);
    expect(one, "time", "p95_us", 7);
    assert_null(sh_json_member(sh_json_member(one, "outcomes"), "done"));
    cJSON_Delete(tree);
}

static void the_newest_alone(void **state)
{
    (void)state;
    run_of("old", SH_RUN_DONE, 1000);
    run_of("r", SH_RUN_DONE, 10);
    struct sh_op_rule_set pause = {
        .op.kind = SH_OP_RULE_SET, .rule = "r", .pause = true, .by = "ann"};
    assert_true(kit_run(&k, &pause.op));
    run_of("r", SH_RUN_DONE, 10); /* is kept: as if it was not run */
    cJSON *tree = sums(2);
    const cJSON *r = sh_json_member(tree, "r");
    assert_int_equal(cJSON_GetArraySize(tree), 1);
    expect(r, "outcomes", "done", 1);
    expect(r, "outcomes", "paused", 1);
    expect(r, "time", "runs", 1);
    expect(r, "time", "max_us", 10);
    cJSON_Delete(tree);
    tree = sums(1);
    r = sh_json_member(tree, "r");
    expect(r, "time", "runs", 0);
    assert_true(cJSON_IsNull(sh_json_member(sh_json_member(r, "time"), "p95_us")));
    cJSON_Delete(tree);
}

/* The share that failed is told from these two: they have to count the same runs. */
static void however_short(void **state)
{
    (void)state;
    run_of("r", SH_RUN_DONE, 0);
    run_of("r", SH_RUN_DEAD, 0);
    run_of("r", SH_RUN_DONE, 8);
    cJSON *tree = sums(10);
    const cJSON *r = sh_json_member(tree, "r");
    expect(r, "outcomes", "done", 2);
    expect(r, "time", "runs", 3);
    expect(r, "time", "mean_us", 2);
    cJSON_Delete(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(of_each_rule, setup, teardown),
        cmocka_unit_test_setup_teardown(the_newest_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(however_short, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
