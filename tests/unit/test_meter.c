/* SPDX-License-Identifier: MIT
 * test_meter.c: histograms, rows that stay bounded, and their text. */
#include "app/metrics_text.h"
#include "core/meter.h"
#include "svc/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void values_fall_into_buckets(void **state)
{
    static const struct sh_bounds bounds = {.n = 3, .le = {10, 100, 1000}, .per_unit = 1000};
    struct sh_histogram h = {0};
    (void)state;
    const int64_t values[] = {0, 10, 11, 100, 101, 1000, 1001, 999999999, -5};
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
        sh_histogram_note(&h, &bounds, values[i]);
    assert_int_equal(h.in[0], 3); /* a bound is within; what is before its time counts as none */
    assert_int_equal(h.in[1], 2);
    assert_int_equal(h.in[2], 2);
    assert_int_equal(h.in[3], 2);
    assert_int_equal(h.sum, 10 + 11 + 100 + 101 + 1000 + 1001 + 999999999);
    struct sh_buf b;
    sh_buf_init(&b, 4096);
    sh_metrics_head(&b, "x_seconds", "histogram", "Help.");
    sh_metrics_histogram(&b, "x_seconds", SH_LABELS({"rule"}, {"r"}), &bounds, &h);
    assert_string_equal(b.data, "# HELP switchhook_x_seconds Help.\n"
                                "# TYPE switchhook_x_seconds histogram\n"
                                "switchhook_x_seconds_bucket{rule=\"r\",le=\"0.01\"} 3\n"
                                "switchhook_x_seconds_bucket{rule=\"r\",le=\"0.1\"} 5\n"
                                "switchhook_x_seconds_bucket{rule=\"r\",le=\"1\"} 7\n"
                                "switchhook_x_seconds_bucket{rule=\"r\",le=\"+Inf\"} 9\n"
                                "switchhook_x_seconds_sum{rule=\"r\"} 1000002.222\n"
                                "switchhook_x_seconds_count{rule=\"r\"} 9\n");
    sh_buf_free(&b);
}

static void bounds_ascend(void **state)
{
    const struct sh_bounds *const all[] = {&sh_bounds_wait, &sh_bounds_cpu, &sh_bounds_size};
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        assert_in_range(all[k]->n, 1, SH_HISTOGRAM_BUCKETS);
        for (size_t i = 1; i < all[k]->n; i++)
            assert_true(all[k]->le[i] > all[k]->le[i - 1]);
    }
}

static void values_are_escaped(void **state)
{
    struct sh_buf b;
    (void)state;
    sh_buf_init(&b, 4096);
    sh_metrics_int(&b, "n", SH_LABELS({"a", "b", "c"}, {"x\\y\"z\nw", "", "é"}), -3);
    sh_metrics_int(&b, "process_n", NULL, 1);
    sh_metrics_double(&b, "d", SH_LABELS({"a"}, {NULL}), 0.25);
    assert_string_equal(b.data, "switchhook_n{a=\"x\\\\y\\\"z\\nw\",b=\"\",c=\"é\"} -3\n"
                                "process_n 1\n"
                                "switchhook_d{a=\"\"} 0.25\n");
    sh_buf_free(&b);
}

struct found {
    size_t rows;
    uint64_t sum, other;
};

static void add_up(void *arg, const struct sh_meter_row *row)
{
    struct found *f = arg;
    f->rows++;
    for (int i = 0; i < 2; i++)
        f->sum += row->counts[i];
    if (strcmp(row->b, SH_METER_OTHER) == 0 || strcmp(row->a, SH_METER_OTHER) == 0)
        f->other += row->counts[0];
}

static struct found events_of(const struct sh_meter *m)
{
    struct found f = {0};
    sh_meter_events(m, add_up, &f);
    return f;
}

static struct found runs_of(const struct sh_meter *m)
{
    struct found f = {0};
    sh_meter_runs(m, add_up, &f);
    return f;
}

static void set_rules(struct sh_meter *m, const char *text)
{
    struct sh_error err;
    cJSON *rules = sh_json_parse(text, strlen(text), &err);
    assert_non_null(rules);
    sh_meter_set_rules(m, rules);
    cJSON_Delete(rules);
}

static void types_are_bounded(void **state)
{
    struct sh_meter *m = sh_meter_new();
    char type[32];
    (void)state;
    set_rules(m, "[{\"name\":\"r\",\"on\":[\"known\",\"call_*\"]}]");
    for (int i = 0; i < 1000; i++) {
        snprintf(type, sizeof(type), "call_%d", i);
        sh_meter_event(m, "a", type, false);
        sh_meter_event(m, "a", type, true);
    }
    struct found f = events_of(m);
    assert_int_equal(f.rows, SH_METER_TYPES + 1);
    assert_int_equal(f.sum, 2000);
    assert_int_equal(f.other, 1000 - SH_METER_TYPES);
    sh_meter_event(m, "a", "known", false);
    sh_meter_event(m, "b", "call_999", false); /* another source has room of its own */
    sh_meter_event(m, "b", "0612345678", false);
    f = events_of(m);
    assert_int_equal(f.rows, SH_METER_TYPES + 4);
    assert_int_equal(f.other, 1000 - SH_METER_TYPES + 1);
    /* nor do reloads make it grow without end */
    for (int i = 0; i < 3000; i++) {
        char rules[100];
        snprintf(rules, sizeof(rules), "[{\"name\":\"r\",\"on\":[\"t%dx\"]}]", i);
        snprintf(type, sizeof(type), "t%dx", i);
        set_rules(m, rules);
        sh_meter_event(m, "a", type, false);
    }
    assert_in_range(events_of(m).rows, SH_METER_MAX_TYPES, SH_METER_MAX_TYPES + 4);
    sh_meter_free(m);
}

static void rules_come_and_go(void **state)
{
    struct sh_meter *m = sh_meter_new();
    (void)state;
    sh_meter_ran(m, SH_SLICE("early"), SH_METER_RUN_DONE, 5);
    assert_int_equal(runs_of(m).other, 1);
    set_rules(m, "[{\"name\":\"one\"},{\"name\":\"two\"}]");
    sh_meter_ran(m, SH_SLICE("one"), SH_METER_RUN_DONE, 5);
    sh_meter_ran(m, SH_SLICE("two"), SH_METER_RUN_FAILED, 5);
    assert_int_equal(runs_of(m).rows, 3);
    set_rules(m, "[{\"name\":\"one\"}]");
    assert_int_equal(runs_of(m).rows, 2);
    sh_meter_ran(m, SH_SLICE("two"), SH_METER_RUN_DONE, 5); /* it still ended */
    assert_int_equal(runs_of(m).rows, 2);
    assert_int_equal(runs_of(m).other, 2);
    assert_int_equal(runs_of(m).sum, 3);
    sh_meter_set_rules(m, NULL);
    assert_int_equal(runs_of(m).rows, 1);
    sh_meter_free(m);
}

static void answers_and_refusals(void **state)
{
    struct sh_meter *m = sh_meter_new();
    struct found f = {0};
    (void)state;
    sh_meter_api(m, "/a", 200);
    sh_meter_api(m, "/a", 200);
    sh_meter_api(m, "/a", 404);
    sh_meter_api(m, NULL, 404);
    sh_meter_answers(m, add_up, &f);
    assert_int_equal(f.rows, 3);
    assert_int_equal(f.sum, 4);
    assert_true(sh_meter_refused(m, NULL, "x") == INT64_MAX); /* never before */
    assert_in_range(sh_meter_refused(m, "", "x"), 0, 60000);
    sh_meter_refused(m, "s", "x");
    f = (struct found){0};
    sh_meter_refusals(m, add_up, &f);
    assert_int_equal(f.rows, 2);
    assert_int_equal(f.sum, 3);
    sh_meter_free(m);
}

static void none_counts_nothing(void **state)
{
    (void)state;
    sh_meter_set_rules(NULL, NULL);
    sh_meter_event(NULL, "a", "b", false);
    assert_true(sh_meter_refused(NULL, "a", "b") == 0);
    sh_meter_acknowledged(NULL, 1);
    sh_meter_started(NULL, 1);
    sh_meter_settled(NULL, 1);
    sh_meter_ran(NULL, SH_SLICE("r"), SH_METER_RUN_DONE, 1);
    sh_meter_delivered(NULL, "k", SH_METER_SENT, 1);
    sh_meter_api(NULL, "r", 200);
    sh_meter_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_fall_into_buckets), cmocka_unit_test(bounds_ascend),
        cmocka_unit_test(values_are_escaped),       cmocka_unit_test(types_are_bounded),
        cmocka_unit_test(rules_come_and_go),        cmocka_unit_test(answers_and_refusals),
        cmocka_unit_test(none_counts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
