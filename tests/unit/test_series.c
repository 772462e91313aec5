/* SPDX-License-Identifier: MIT
 * test_series.c: slots, minutes, merging, quantiles, gaps, and a clock that jumps. */
#include "core/series.h"
#include "store_kit.h"

#include <math.h>

#define T0 1790000040000LL /* begins a minute */

static struct sh_meter *m;
static struct sh_series *s;
static struct sh_series_span minute;

static int set_up(void **state)
{
    (void)state;
    m = sh_meter_new();
    s = sh_series_new(T0, 40);
    minute = (struct sh_series_span){0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sh_series_free(s);
    sh_meter_free(m);
    return 0;
}

static void events(int n)
{
    while (n-- > 0)
        sh_meter_event(m, "hook", "call", false);
}

static bool note(int64_t at_ms)
{
    return sh_series_note(s, m, 0, at_ms, &minute);
}

static struct sh_series_copy copy(void)
{
    struct sh_series_copy c;
    sh_series_copy(s, 0, INT64_MAX, &c);
    return c;
}

/* "at-T0 in s:events ..." of every slot. */
static const char *slots(void)
{
    static char text[400];
    struct sh_series_copy c = copy();
    text[0] = '\0';
    for (size_t i = 0; i < c.n; i++) {
        const size_t n = strlen(text);
        snprintf(text + n, sizeof(text) - n, "%s%lld:%lld", i ? " " : "",
                 (long long)(c.slots[i].at_ms - T0) / 1000,
                 (long long)c.slots[i].c.n[SH_SERIES_EVENTS]);
    }
    sh_series_copy_free(&c);
    return text;
}

/* --- counts ----------------------------------------------------------------------------------- */

static void test_counts_of_everything(void **state)
{
    (void)state;
    const struct sh_slice rule = SH_SLICE("r");
    events(3);
    sh_meter_event(m, "hook", "call", true);
    (void)sh_meter_refused(m, "hook", "signature");
    sh_meter_ran(m, rule, SH_METER_RUN_DONE, 1000);
    sh_meter_ran(m, rule, SH_METER_RUN_FAILED, 200);
    sh_meter_ran(m, rule, SH_METER_RUN_DEAD, 30);
    sh_meter_ran(m, rule, SH_METER_RUN_KEPT, 0); /* these two are no end */
    sh_meter_ran(m, rule, SH_METER_RUN_CONFLICT, 4);
    sh_meter_delivered(m, "email", SH_METER_SENT, 5);
    sh_meter_delivered(m, "http", SH_METER_RETRY, 0);
    sh_meter_delivered(m, "http", SH_METER_WAIT, 0);
    sh_meter_delivered(m, "http", SH_METER_DEAD, 0);
    sh_meter_acknowledged(m, 400);
    sh_meter_settled(m, 7200000000); /* two hours */
    struct sh_series_counts c = {0}, back;
    struct sh_buf text;
    sh_series_counts_of(m, 7, &c);
    sh_buf_init(&text, 4096);
    sh_series_write(&c, &text);
    assert_string_equal(text.data,
                        "{\"events\":3,\"duplicates\":1,\"refused\":1,\"runs\":3,\"failed\":1,"
                        "\"dead\":1,\"sent\":1,\"send_failed\":3,\"cpu_us\":1234,\"backlog\":7,"
                        "\"ack\":{\"500\":1},\"settle\":{\"more\":1}}");
    assert_true(sh_series_read(sh_slice(text.data, text.len), &back));
    assert_memory_equal(&c, &back, sizeof(c));
    sh_buf_free(&text);
}

static void test_text_of_nothing_and_of_others(void **state)
{
    (void)state;
    struct sh_series_counts c = {0};
    struct sh_buf text;
    sh_buf_init(&text, 4096);
    sh_series_write(&c, &text);
    assert_string_equal(text.data, "{}");
    sh_buf_free(&text);
    /* bounds and members of another version, and what is no count */
    assert_true(
        sh_series_read(SH_SLICE("{\"ack\":{\"300\":2,\"500\":1,\"9999999999999\":4,\"x\":1},"
                                "\"new\":3,\"events\":\"3\",\"dead\":-4,\"settle\":7}"),
                       &c));
    assert_int_equal(c.ack.in[2], 3);
    assert_int_equal(c.ack.in[sh_bounds_wait.n], 5);
    assert_int_equal(c.n[SH_SERIES_EVENTS], 0);
    assert_int_equal(c.n[SH_SERIES_DEAD], 0);
    assert_false(sh_series_read(SH_SLICE("[1]"), &c));
    assert_false(sh_series_read(SH_SLICE("{\"events\":"), &c));
}

static void test_merging(void **state)
{
    (void)state;
    struct sh_series_counts a = {.n = {1, 2, 3}, .backlog = 9}, b = {.n = {10, 20, 30}};
    b.backlog = 4;
    a.ack.in[3] = 5;
    b.ack.in[3] = 6;
    b.settle.in[sh_bounds_wait.n] = 1;
    sh_series_add(&a, &b);
    assert_int_equal(a.n[0], 11);
    assert_int_equal(a.n[2], 33);
    assert_int_equal(a.backlog, 9); /* the most of it, no sum */
    assert_int_equal(a.ack.in[3], 11);
    assert_int_equal(a.settle.in[sh_bounds_wait.n], 1);
}

static void near(double is, double should)
{
    if (fabs(is - should) > 1e-9)
        fail_msg("%.9f is not %.9f", is, should);
}

static void test_quantiles(void **state)
{
    (void)state;
    struct sh_histogram h = {0};
    near(sh_series_quantile_ms(&h, 0.5), -1);
    h.in[0] = 10; /* 0 .. 0.1 ms */
    near(sh_series_quantile_ms(&h, 0.5), 0.05);
    near(sh_series_quantile_ms(&h, 1), 0.1);
    near(sh_series_quantile_ms(&h, 0), 0);
    h.in[4] = 10; /* 1 .. 2.5 ms; nothing between */
    near(sh_series_quantile_ms(&h, 0.5), 0.1);
    near(sh_series_quantile_ms(&h, 0.75), 1.75);
    near(sh_series_quantile_ms(&h, 0.99), 1 + 1.5 * 0.98);
    h.in[sh_bounds_wait.n] = 980; /* over an hour: how long nobody knows */
    near(sh_series_quantile_ms(&h, 0.01), 0.1);
    near(sh_series_quantile_ms(&h, 0.5), 3600000);
    near(sh_series_quantile_ms(&h, 0.99), 3600000);
    h = (struct sh_histogram){0};
    h.in[6] = 1;
    near(sh_series_quantile_ms(&h, 0), 5);
}

/* A quantile of what was merged is that of all values, not of the parts' quantiles. */
static void test_quantile_of_what_was_merged(void **state)
{
    (void)state;
    struct sh_series_counts quiet = {0}, busy = {0};
    quiet.ack.in[9] = 1; /* one slow value, alone in its slot */
    busy.ack.in[2] = 999;
    sh_series_add(&quiet, &busy);
    assert_true(sh_series_quantile_ms(&quiet.ack, 0.99) < 0.5);
    assert_true(sh_series_quantile_ms(&quiet.ack, 0.9995) > 50);
}

/* --- slots ------------------------------------------------------------------------------------ */

static void test_slots_and_minutes(void **state)
{
    (void)state;
    events(2); /* before the first look: they count */
    assert_false(note(T0 + 100));
    events(1);
    assert_false(note(T0 + 4999));
    events(4);
    assert_false(note(T0 + 5000));
    assert_false(note(T0 + 10000));
    assert_string_equal(slots(), "0:3 5:4 10:0"); /* one without events is known to be without */
    events(5);
    assert_true(note(T0 + 60200));
    assert_int_equal(minute.at_ms, T0);
    assert_int_equal(minute.c.n[SH_SERIES_EVENTS], 7);
    events(1);
    assert_false(note(T0 + 60700));
    sh_series_cut(s, &minute); /* a stop: part of a minute */
    assert_int_equal(minute.at_ms, T0 + 60200);
    assert_int_equal(minute.c.n[SH_SERIES_EVENTS], 6);
    assert_string_equal(slots(), "0:3 5:4 10:0 60:6");
}

static void test_backlog_is_the_most(void **state)
{
    (void)state;
    (void)!sh_series_note(s, m, 5, T0, &minute);
    (void)!sh_series_note(s, m, 50, T0 + 500, &minute);
    (void)!sh_series_note(s, m, 2, T0 + 1000, &minute);
    struct sh_series_copy c = copy();
    assert_int_equal(c.slots[0].c.backlog, 50);
    sh_series_copy_free(&c);
    sh_series_cut(s, &minute);
    assert_int_equal(minute.c.backlog, 50);
}

static void test_the_ring_keeps_an_hour(void **state)
{
    (void)state;
    for (int i = 0; i <= SH_SERIES_SLOTS; i++) { /* one more than fits */
        events(1);
        (void)note(T0 + i * 5000LL);
    }
    struct sh_series_copy c = copy();
    assert_int_equal(c.since_ms, T0 + 60000); /* the first whole minute that is left */
    assert_int_equal(c.slots[0].at_ms, T0 + 60000);
    assert_int_equal(c.n, SH_SERIES_SLOTS + 1 - 12);
    for (size_t i = 1; i < c.n; i++)
        assert_int_equal(c.slots[i].at_ms - c.slots[i - 1].at_ms, 5000);
    sh_series_copy_free(&c);
    sh_series_copy(s, T0 + 100000, T0 + 110000, &c);
    assert_int_equal(c.n, 2);
    sh_series_copy_free(&c);
}

/* Whenever one asks: a full ring has the last hour from the whole minute on that begins it, so that
 * it is shown in fine steps. */
static void test_a_full_ring_has_the_last_hour(void **state)
{
    (void)state;
    int64_t now_ms = T0;
    for (int i = 0; i < 2 * SH_SERIES_SLOTS + 100; i++) {
        struct sh_series_copy c;
        now_ms += 4700; /* every place within a slot and a minute */
        (void)note(now_ms);
        sh_series_copy(s, now_ms, now_ms, &c);
        if (i > SH_SERIES_SLOTS + 100)
            assert_true(c.since_ms <= (now_ms - 3600000) / 60000 * 60000);
        sh_series_copy_free(&c);
    }
}

static void test_a_young_ring_has_all_since_its_start(void **state)
{
    (void)state;
    sh_series_free(s);
    s = sh_series_new(T0 + 33000, 40);
    events(1);
    assert_false(note(T0 + 33500));
    struct sh_series_copy c = copy();
    assert_int_equal(c.since_ms, T0 + 33000);
    assert_int_equal(c.n, 1);
    assert_int_equal(c.slots[0].at_ms, T0 + 30000);
    sh_series_copy_free(&c);
}

/* --- clocks that jump ---------------------------------------------------------------------------
 */

static void test_a_jump_forward_is_a_gap(void **state)
{
    (void)state;
    events(1);
    assert_false(note(T0));
    events(2);
    assert_true(note(T0 + 7200000));
    assert_int_equal(minute.at_ms, T0);
    assert_int_equal(minute.c.n[SH_SERIES_EVENTS], 1);
    assert_string_equal(slots(), "0:1 7200:2");
}

static void test_a_small_step_back_stands_still(void **state)
{
    (void)state;
    events(1);
    assert_false(note(T0 + 30000));
    events(1);
    assert_false(note(T0 - 20000)); /* less than a minute back */
    events(1);
    assert_false(note(T0 + 31000));
    assert_string_equal(slots(), "30:3");
}

static void test_a_jump_back_begins_anew(void **state)
{
    (void)state;
    sh_meter_ran(m, SH_SLICE("r"), SH_METER_RUN_DONE, 1);
    events(1);
    assert_false(note(T0 + 30000));
    events(4);
    assert_true(note(T0 - 3600000)); /* what was before it is a minute's, and not lost */
    assert_int_equal(minute.at_ms, T0);
    assert_int_equal(minute.ring, 40);
    assert_int_equal(minute.c.n[SH_SERIES_EVENTS], 1);
    assert_string_equal(slots(), "-3600:4");
    struct sh_series_copy c;
    assert_true(sh_series_copy_rule(s, "other", 0, INT64_MAX, &c));
    assert_int_equal(c.since_ms, T0 - 3600000);
    assert_int_equal(c.ring, 41);
    assert_int_equal(c.n, 1);
    assert_int_equal(c.slots[0].c.n[SH_SERIES_RUNS], 0);
    sh_series_copy_free(&c);
    assert_true(note(T0 - 3600000 + 60000));
    assert_int_equal(minute.at_ms, T0 - 3600000);
    assert_int_equal(minute.ring, 41);
    assert_int_equal(minute.c.n[SH_SERIES_EVENTS], 4);
}

/* --- rules ------------------------------------------------------------------------------------ */

static cJSON *rules_of(int n)
{
    cJSON *rules = cJSON_CreateArray();
    for (int i = 0; i < n; i++) {
        char name[16];
        cJSON *rule = cJSON_CreateObject();
        snprintf(name, sizeof(name), "r%d", i);
        cJSON_AddStringToObject(rule, "name", name);
        cJSON_AddItemToArray(rules, rule);
    }
    return rules;
}

static void set_rules(int n)
{
    cJSON *rules = rules_of(n);
    sh_meter_set_rules(m, rules);
    cJSON_Delete(rules);
}

static void test_a_rule(void **state)
{
    (void)state;
    const struct sh_slice r0 = SH_SLICE("r0");
    struct sh_series_copy c;
    set_rules(2);
    (void)note(T0);
    sh_meter_ran(m, r0, SH_METER_RUN_DONE, 100);
    sh_meter_ran(m, r0, SH_METER_RUN_FAILED, 20);
    (void)note(T0 + 5000);
    (void)note(T0 + 10000);
    sh_meter_ran(m, r0, SH_METER_RUN_DEAD, 3);
    (void)note(T0 + 15000);
    assert_true(sh_series_copy_rule(s, "r0", T0 + 5000, INT64_MAX, &c));
    assert_int_equal(c.n, 3);
    const int64_t expected[3][4] = {{2, 1, 0, 120}, {0, 0, 0, 0}, {1, 0, 1, 3}};
    static const enum sh_series_count which[] = {SH_SERIES_RUNS, SH_SERIES_FAILED, SH_SERIES_DEAD,
                                                 SH_SERIES_CPU_US};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 4; k++)
            assert_int_equal(c.slots[i].c.n[which[k]], expected[i][k]);
    sh_series_copy_free(&c);
    assert_true(sh_series_copy_rule(s, "r1", 0, INT64_MAX, &c));
    assert_int_equal(c.n, 4);
    assert_int_equal(c.slots[1].c.n[SH_SERIES_RUNS], 0);
    sh_series_copy_free(&c);
    assert_false(sh_series_copy_rule(s, "r2", 0, INT64_MAX, &c));
}

static void test_a_rule_that_goes_and_comes_back(void **state)
{
    (void)state;
    struct sh_series_copy c;
    set_rules(1);
    for (int i = 0; i < 5; i++)
        sh_meter_ran(m, SH_SLICE("r0"), SH_METER_RUN_DONE, 100);
    (void)note(T0);
    set_rules(0); /* between two looks, and with its counts */
    set_rules(1);
    sh_meter_ran(m, SH_SLICE("r0"), SH_METER_RUN_DONE, 7);
    (void)note(T0 + 5000);
    assert_true(sh_series_copy_rule(s, "r0", 0, INT64_MAX, &c));
    assert_int_equal(c.slots[0].c.n[SH_SERIES_RUNS], 5);
    assert_int_equal(c.slots[1].c.n[SH_SERIES_RUNS], 1);
    assert_int_equal(c.slots[1].c.n[SH_SERIES_CPU_US], 7);
    sh_series_copy_free(&c);
    struct sh_series_counts total = {0};
    sh_series_counts_of(m, 0, &total);
    assert_int_equal(total.n[SH_SERIES_RUNS], 6); /* of all together nothing is forgotten */
    set_rules(0);
    (void)note(T0 + 10000);
    assert_false(sh_series_copy_rule(s, "r0", 0, INT64_MAX, &c));
}

static void test_rules_are_bounded(void **state)
{
    (void)state;
    struct sh_series_copy c;
    set_rules(SH_SERIES_RULES + 1);
    for (int i = 0; i < SH_SERIES_SLOTS + 100; i++) {
        sh_meter_ran(m, SH_SLICE("r0"), SH_METER_RUN_DONE, 1);
        (void)note(T0 + i * 5000LL);
    }
    assert_true(sh_series_copy_rule(s, "r0", 0, INT64_MAX, &c));
    assert_true(c.n > SH_SERIES_SLOTS - 24);
    for (size_t i = 0; i < c.n; i++)
        assert_int_equal(c.slots[i].c.n[SH_SERIES_RUNS], 1);
    sh_series_copy_free(&c);
    int known = 0;
    for (int i = 0; i <= SH_SERIES_RULES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "r%d", i);
        if (sh_series_copy_rule(s, name, 0, 1, &c)) {
            known++;
            sh_series_copy_free(&c);
        }
    }
    assert_int_equal(known, SH_SERIES_RULES);
}

/* --- frames ------------------------------------------------------------------------------------
 */

static void test_steps(void **state)
{
    (void)state;
    const int64_t hour = 3600000;
    assert_int_equal(sh_series_step(T0, T0 + 1000, 0, 5), 5);
    assert_int_equal(sh_series_step(T0, T0 + hour, 0, 5), 10); /* 360 points; 5 s: 720 */
    assert_int_equal(sh_series_step(T0, T0 + hour, 0, 60), 60);
    assert_int_equal(sh_series_step(T0, T0 + hour, 7, 5), 10);
    assert_int_equal(sh_series_step(T0, T0 + hour, 12, 5), 15);
    assert_int_equal(sh_series_step(T0, T0 + hour, 12, 60), 60);
    assert_int_equal(sh_series_step(T0, T0 + hour, 61, 60), 120);
    assert_int_equal(sh_series_step(T0, T0 + 24 * hour, 0, 60), 300);
    assert_int_equal(sh_series_step(T0, T0 + 31 * 24 * hour, 0, 60), 7200);
    assert_int_equal(sh_series_step(0, INT64_C(1000) * 24 * hour, 0, 60), 0);
    for (int64_t ms = 1; ms < 31 * 24 * hour; ms = ms * 3 / 2 + 1) {
        struct sh_series_frame f;
        const int64_t step_s = sh_series_step(T0 + 777, T0 + 777 + ms, 0, 5);
        sh_series_frame_init(&f, T0 + 777, T0 + 777 + ms, step_s);
        assert_in_range(f.n, 1, SH_SERIES_POINTS);
        assert_true(f.at_s * 1000 <= T0 + 777);
        assert_true((f.at_s + (int64_t)f.n * step_s) * 1000 >= T0 + 777 + ms);
        sh_series_frame_free(&f);
    }
}

static void test_frames_have_gaps(void **state)
{
    (void)state;
    struct sh_series_frame f;
    struct sh_series_span span = {.at_ms = T0 - 1, .c.n = {1}};
    sh_series_frame_init(&f, T0, T0 + 180000, 60);
    assert_int_equal(f.n, 3);
    sh_series_frame_add(&f, &span); /* before it */
    span.at_ms = T0 + 180000;
    sh_series_frame_add(&f, &span); /* behind it */
    span.at_ms = T0 + 119999;
    span.c.n[0] = 0;
    sh_series_frame_add(&f, &span);
    span.at_ms = T0;
    span.c.n[0] = 4;
    sh_series_frame_add(&f, &span);
    span.at_ms = T0 + 30000;
    sh_series_frame_add(&f, &span);
    assert_true(f.steps[0].known);
    assert_int_equal(f.steps[0].c.n[0], 8);
    assert_true(f.steps[1].known); /* 0 is known there */
    assert_int_equal(f.steps[1].c.n[0], 0);
    assert_false(f.steps[2].known);
    sh_series_frame_free(&f);
}

/* --- the store ----------------------------------------------------------------------------------
 */

static struct kit k;
static char seen[2000];

static bool put(int64_t at_ms, int64_t ring, const char *text)
{
    struct sh_op_series op = {
        .op.kind = SH_OP_SERIES, .at_ms = at_ms, .ring = ring, .counts = sh_slice_str(text)};
    return kit_run(&k, &op.op);
}

static void see(void *arg, const struct sh_series_span *span)
{
    const size_t n = strlen(seen);
    ++*(int *)arg;
    if (n < sizeof(seen) - 40)
        snprintf(seen + n, sizeof(seen) - n, "%lld:%lld ", (long long)span->at_ms,
                 (long long)span->c.n[SH_SERIES_EVENTS]);
}

static int look_but(int64_t from_ms, int64_t before_ms, int64_t ring, int64_t since_ms)
{
    const struct sh_series_query q = {
        .from_ms = from_ms, .before_ms = before_ms, .ring = ring, .since_ms = since_ms};
    struct sh_error err = {0};
    int n = 0;
    struct sh_store_view *v = sh_store_view_open(k.dir, &err);
    assert_non_null(v);
    seen[0] = '\0';
    assert_true(sh_store_view_series(v, &q, see, &n, &err));
    sh_store_view_close(v);
    return n;
}

static int look(int64_t from_ms, int64_t before_ms)
{
    return look_but(from_ms, before_ms, 99, 0);
}

static void test_store_round_trip(void **state)
{
    (void)state;
    kit_init(&k);
    kit_open(&k);
    assert_true(put(1000, 1, "{\"events\":1}"));
    assert_true(put(3000, 2, "{}"));
    assert_true(put(2000, 2, "{\"events\":2}"));
    assert_true(put(2000, 2, "{\"events\":9}")); /* the clock was set back: beside it */
    assert_true(put(4000, 2, "what somebody wrote"));
    assert_int_equal(look(1000, 3001), 4);
    assert_string_equal(seen, "1000:1 2000:2 2001:9 3000:0 ");
    assert_int_equal(look(1001, 3000), 2);
    assert_int_equal(look_but(0, 5000, 2, 2001), 2); /* the others are in memory */
    assert_string_equal(seen, "1000:1 2000:2 ");
    assert_int_equal(look(0, 5000), 4); /* what does not read is left */
    kit_close(&k);
    kit_open(&k);
    assert_int_equal(look(0, 5000), 4);
    kit_end(&k);
}

static void test_more_minutes_than_one_slice(void **state)
{
    (void)state;
    kit_init(&k);
    kit_open(&k);
    enum { N = 4500 };
    struct sh_op_series *ops = sh_alloc(N, sizeof(*ops));
    struct sh_op **list = sh_alloc(N, sizeof(struct sh_op *));
    for (int i = 0; i < N; i++) {
        ops[i] = (struct sh_op_series){
            .op.kind = SH_OP_SERIES, .at_ms = 60000LL * (i + 1), .counts = SH_SLICE("{}")};
        list[i] = &ops[i].op;
    }
    kit_run_all(&k, list, N);
    free(list);
    free(ops);
    assert_int_equal(look(60000, 60000LL * (N + 1)), N);
    assert_int_equal(look(60000, 60000LL * 2001), 2000); /* a whole slice, and nothing behind it */
    /* and they go, in slices too, with what else is old: after 31 days */
    struct sh_retain retain = {0};
    struct sh_op_prune op = {.op.kind = SH_OP_PRUNE,
                             .retain = &retain,
                             .now_ms = SH_SERIES_KEPT_MS + 60000LL * 2001,
                             .limit = 300};
    int slices = 0;
    do {
        assert_true(kit_run(&k, &op.op));
        slices++;
    } while (op.removed == op.limit);
    assert_int_equal(slices, 7);
    assert_int_equal(look(0, INT64_MAX), N - 2000);
    assert_int_equal(look(60000LL * 2001, 60000LL * 2002), 1);
    kit_end(&k);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_counts_of_everything),
        TEST(test_text_of_nothing_and_of_others),
        TEST(test_merging),
        TEST(test_quantiles),
        TEST(test_quantile_of_what_was_merged),
        TEST(test_slots_and_minutes),
        TEST(test_backlog_is_the_most),
        TEST(test_the_ring_keeps_an_hour),
        TEST(test_a_full_ring_has_the_last_hour),
        TEST(test_a_young_ring_has_all_since_its_start),
        TEST(test_a_jump_forward_is_a_gap),
        TEST(test_a_small_step_back_stands_still),
        TEST(test_a_jump_back_begins_anew),
        TEST(test_a_rule),
        TEST(test_a_rule_that_goes_and_comes_back),
        TEST(test_rules_are_bounded),
        TEST(test_steps),
        TEST(test_frames_have_gaps),
        cmocka_unit_test(test_store_round_trip),
        cmocka_unit_test(test_more_minutes_than_one_slice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
