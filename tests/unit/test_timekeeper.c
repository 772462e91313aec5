/* SPDX-License-Identifier: MIT
 * test_timekeeper.c: when the store is asked what is due, on clocks that the test sets; nothing is
 * early, nothing is lost, and those who wait already are not held up. */
#include "app/timekeeper.h"

#include "base/clock.h"
#include "base/zone.h"
#include "store_kit.h"
#include "svc/loop.h"

#include <cjson/cJSON.h>

#define MINUTE  INT64_C(60000)
#define HOUR    (60 * MINUTE)
#define GIVE_UP INT64_C(20000000) /* microseconds */

/* --- an engine of a loop, a store and a timekeeper -------------------------------------------- */

static int64_t offset_ms, offset_us; /* of the clocks against the real ones */

static int64_t wall(void)
{
    return sh_now_ms() + offset_ms;
}

static int64_t mono(void)
{
    return sh_mono_us() + offset_us;
}

struct world {
    struct kit kit;
    struct event_base *base;
    struct sh_waker *waker;
    struct sh_timer *look;
    struct sh_timekeeper *t;
    size_t fired, early, late, queued;
    int64_t backlog;
    bool keep_backlog; /* what fires is never run */
    bool (*done)(struct world *w);
    int64_t until_us;
    int fatals;
    char last_type[64];
};

static void on_emitted(void *arg, struct sh_event **events, size_t n)
{
    struct world *w = arg;
    for (size_t i = 0; i < n; i++) {
        w->fired++;
        w->early += events[i]->due_ms > wall();
        w->late += events[i]->due_ms + 24 * HOUR < events[i]->received_ms;
        assert_true(events[i]->due_ms > 0);
        snprintf(w->last_type, sizeof(w->last_type), "%s", events[i]->type);
        sh_event_free(events[i]);
        w->backlog += w->keep_backlog;
    }
}

static void on_queued(void *arg)
{
    ((struct world *)arg)->queued++;
}

static void on_fatal(void *arg, const struct sh_error *err)
{
    (void)err;
    ((struct world *)arg)->fatals++;
}

static int64_t backlog(void *arg)
{
    return ((struct world *)arg)->backlog;
}

static void on_wake(void *arg)
{
    sh_store_reap(((struct world *)arg)->kit.s);
}

static void on_look(void *arg)
{
    struct world *w = arg;
    if (w->done(w) || sh_mono_us() > w->until_us)
        sh_loop_stop(w->base);
    else
        sh_timer_set(w->look, 2);
}

/* Let the loop run until done() says so. */
static void run(struct world *w, bool (*done)(struct world *w))
{
    w->done = done;
    w->until_us = sh_mono_us() + GIVE_UP;
    sh_timer_set(w->look, 1);
    sh_loop_run(w->base);
    if (!done(w))
        fail_msg("given up; %zu fired", w->fired);
}

static void on_stop(void *arg)
{
    sh_loop_stop(((struct world *)arg)->base);
}

static void run_for(struct world *w, int ms)
{
    struct sh_timer *stop = sh_timer_new(w->base, on_stop, w);
    sh_timer_set(stop, ms);
    sh_loop_run(w->base);
    sh_timer_free(stop);
}

static void begin(struct world *w)
{
    struct sh_error err;
    memset(w, 0, sizeof(*w));
    offset_ms = offset_us = 0;
    sh_zones_load(NULL);
    kit_init(&w->kit);
    w->base = sh_loop_new();
    w->waker = sh_waker_new(w->base, on_wake, w);
    w->look = sh_timer_new(w->base, on_look, w);
    struct sh_store_config c = kit_config(&w->kit, true, NULL);
    c.wake = sh_waker_ring;
    c.wake_arg = w->waker;
    w->kit.s = sh_store_open(&c, &err);
    if (!w->kit.s)
        fail_msg("%s", err.msg);
    const struct sh_timekeeper_config config = {.base = w->base,
                                                .store = w->kit.s,
                                                .hold_above = 1000,
                                                .stop_above = 2000,
                                                .backlog = backlog,
                                                .emitted = on_emitted,
                                                .queued = on_queued,
                                                .fatal = on_fatal,
                                                .arg = w,
                                                .wall_ms = wall,
                                                .mono_us = mono};
    w->t = sh_timekeeper_new(&config);
}

static void end(struct world *w)
{
    sh_timekeeper_stop(w->t);
    kit_close(&w->kit);
    sh_timekeeper_free(w->t);
    sh_timer_free(w->look);
    sh_waker_free(w->waker);
    sh_loop_free(w->base);
    kit_end(&w->kit);
}

static void start_clocks(struct world *w, const char *rules)
{
    cJSON *list = cJSON_Parse(rules);
    assert_non_null(list);
    sh_timekeeper_start(w->t, list, "Europe/Amsterdam");
    cJSON_Delete(list);
}

/* --- operations on the loop ---------------------------------------------------------------------
 */

struct one {
    bool done;
};

static void on_one(struct sh_op *op)
{
    ((struct one *)op->arg)->done = true;
}

static void wait_for(struct world *w, struct sh_op *op)
{
    struct one one = {false};
    op->done = on_one;
    op->arg = &one;
    sh_store_submit(w->kit.s, op);
    for (int64_t until = sh_mono_us() + GIVE_UP; !one.done && sh_mono_us() < until;) {
        usleep(1000);
        sh_store_reap(w->kit.s);
    }
    if (!one.done || !op->ok)
        fail_msg("%s", op->err.msg);
}

/* An event whose one run sets n timers, due every step_ms from first_ms on. */
static size_t set_timers(struct world *w, size_t n, int64_t first_ms, int64_t step_ms)
{
    static int number;
    struct kit_settle s;
    struct sh_op_accept accept = {.op.kind = SH_OP_ACCEPT};
    char dedupe[32];
    snprintf(dedupe, sizeof(dedupe), "t-%d", number++);
    accept.event = kit_event("k", dedupe, "{}");
    wait_for(w, &accept.op);
    kit_settle_init(&s, accept.event->id);
    kit_add_run(&s, "rule", SH_RUN_DONE);
    for (size_t i = 0; i < n; i++)
        kit_fx(&s, (struct sh_effect){.kind = SH_FX_TIMER,
                                      .collection = SH_SLICE("reminder"),
                                      .doc = SH_SLICE("{\"a\":1}"),
                                      .is_int = true,
                                      .n_int = first_ms + (int64_t)i * step_ms});
    wait_for(w, &s.op.op);
    size_t timed = s.op.n_timed;
    kit_settle_free(&s);
    sh_event_free(accept.event);
    return timed;
}

/* --- tests --------------------------------------------------------------------------------------
 */

static bool one_fired(struct world *w)
{
    return w->fired >= 1;
}

static bool three_fired(struct world *w)
{
    return w->fired >= 3;
}

static bool many_fired(struct world *w)
{
    return w->fired >= 1000;
}

static void test_fires_in_time_and_never_early(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    start_clocks(&w, "[]");
    assert_int_equal(set_timers(&w, 3, wall() + 150, 100), 3);
    int64_t from = wall();
    run(&w, three_fired);
    assert_int_equal(w.early, 0);
    assert_in_range(wall() - from, 300, 1500);
    run_for(&w, 200);
    assert_int_equal(w.fired, 3); /* once each */
    end(&w);
}

/* A new timer that is due before anything known is not waited for until the next look. */
static void test_poke(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    start_clocks(&w, "[]");
    run_for(&w, 100); /* idle now: looks once a second */
    set_timers(&w, 1, wall() + 50, 0);
    int64_t from = wall();
    sh_timekeeper_poke(w.t);
    run(&w, one_fired);
    assert_int_equal(w.early, 0);
    assert_true(wall() - from < 500);
    end(&w);
}

/* What another process adds is found without a poke. */
static void test_looks_every_second(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    start_clocks(&w, "[]");
    run_for(&w, 100);
    set_timers(&w, 1, wall() - 5, 0);
    int64_t from = wall();
    run(&w, one_fired);
    assert_true(wall() - from < 1500);
    end(&w);
}

static void test_clock_rules(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    start_clocks(&w,
                 "[{\"name\":\"Plain\",\"on\":[\"x\"]},{\"name\":\"Digest\",\"every\":\"18:00\"},"
                 "{\"name\":\"Poll\",\"every\":\"10 minutes\",\"zone\":\"UTC\"}]");
    assert_int_equal(sh_timekeeper_clocks(w.t), 2);
    run_for(&w, 150);
    assert_int_equal(w.fired, 0);
    offset_ms += 11 * MINUTE;
    run(&w, one_fired);
    assert_string_equal(w.last_type, "clock");
    assert_int_equal(w.early, 0);
    end(&w);
}

/* A clock that steps forward fires what it jumped over, late and once; one that steps back makes
 * everything wait, and fires nothing twice. */
static void test_clock_steps(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    start_clocks(&w, "[]");
    set_timers(&w, 1, wall() + HOUR / 2, 0);
    set_timers(&w, 1, wall() + HOUR, 0);
    set_timers(&w, 1, wall() + 3 * HOUR, 0);
    run_for(&w, 100);
    assert_int_equal(w.fired, 0);
    offset_ms += 2 * HOUR;
    run_for(&w, 1300);
    assert_int_equal(w.fired, 2);
    offset_ms -= 2 * HOUR;
    run_for(&w, 1300);
    assert_int_equal(w.fired, 2);
    offset_ms += 10 * 365 * 24 * HOUR;
    run(&w, three_fired);
    run_for(&w, 1300);
    assert_int_equal(w.fired, 3);
    assert_int_equal(w.early, 0);
    assert_int_equal(w.late, 1); /* the last one, ten years */
    end(&w);
}

/* A clock that was ten years ahead for a moment does not stop a clock rule for ten years. */
static void test_clock_rule_after_a_step_back(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    start_clocks(&w, "[{\"name\":\"Daily\",\"every\":\"12:00\",\"zone\":\"UTC\"}]");
    run_for(&w, 100);
    offset_ms += 10 * 365 * 24 * HOUR;
    run_for(&w, 1300);
    assert_int_equal(w.fired, 1);
    offset_ms -= 10 * 365 * 24 * HOUR;
    run_for(&w, 1300);
    assert_int_equal(w.fired, 1);
    const char *due = kit_sql(&w.kit, "SELECT due_ms FROM sh_timers");
    assert_in_range(strtoll(due, NULL, 10), wall(), wall() + 24 * HOUR);
    assert_int_equal(w.early, 0);
    end(&w);
}

static void test_slices(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    set_timers(&w, 1000, wall() - 1000, 0);
    start_clocks(&w, "[]");
    int64_t commits = sh_store_commits(w.kit.s);
    run(&w, many_fired);
    assert_true(sh_store_commits(w.kit.s) - commits >= 5); /* not in one transaction */
    run_for(&w, 100);
    assert_int_equal(w.fired, 1000);
    end(&w);
}

/* With a backlog only a slice a second comes; with a worse one nothing; then it goes on. */
static void test_held_by_a_backlog(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    set_timers(&w, 1000, wall() - 1000, 0);
    w.backlog = 2001;
    start_clocks(&w, "[]");
    run_for(&w, 1300);
    assert_int_equal(w.fired, 0);
    w.backlog = 1001;
    run_for(&w, 1500);
    assert_in_range(w.fired, 200, 400);
    w.backlog = 0;
    run(&w, many_fired);
    end(&w);
}

/* What fired and was not run yet counts: the backlog limit is not reached by timers alone. */
static void test_paced_by_its_own_events(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    set_timers(&w, 1000, wall() - 1000, 0);
    set_timers(&w, 1000, wall() - 1000, 0);
    w.keep_backlog = true;
    start_clocks(&w, "[]");
    run(&w, many_fired);
    run_for(&w, 500);
    assert_in_range(w.fired, 1000, 1400);
    end(&w);
}

static void test_stop(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    start_clocks(&w, "[]");
    run_for(&w, 100);
    sh_timekeeper_stop(w.t);
    set_timers(&w, 1, wall() - 1000, 0);
    sh_timekeeper_poke(w.t);
    run_for(&w, 1300);
    assert_int_equal(w.fired, 0);
    assert_false(sh_timekeeper_busy(w.t));
    end(&w);
}

static void test_steady(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    assert_true(sh_timekeeper_is_steady(w.t));
    offset_ms += 59 * MINUTE;
    assert_true(sh_timekeeper_is_steady(w.t));
    offset_ms += 2 * MINUTE; /* small steps add up */
    assert_false(sh_timekeeper_is_steady(w.t));
    offset_ms += 23 * HOUR, offset_us += 23 * HOUR * 1000;
    assert_false(sh_timekeeper_is_steady(w.t));
    offset_ms += 2 * HOUR, offset_us += 2 * HOUR * 1000;
    assert_true(sh_timekeeper_is_steady(w.t)); /* a day has passed, on both clocks */
    offset_ms -= 2 * HOUR;
    assert_false(sh_timekeeper_is_steady(w.t));
    end(&w);
}

static void test_steady_since_the_newest_event(void **state)
{
    (void)state;
    static const struct {
        int64_t ago_ms;
        bool steady;
    } cases[] = {{0, true}, {23 * HOUR, true}, {25 * HOUR, false}, {-2 * HOUR, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct world w;
        begin(&w);
        sh_timekeeper_set_newest(w.t, wall() - cases[i].ago_ms);
        assert_int_equal(sh_timekeeper_is_steady(w.t), cases[i].steady);
        end(&w);
    }
    struct world w;
    begin(&w);
    sh_timekeeper_set_newest(w.t, 0); /* an empty journal */
    assert_true(sh_timekeeper_is_steady(w.t));
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fires_in_time_and_never_early),
        cmocka_unit_test(test_poke),
        cmocka_unit_test(test_looks_every_second),
        cmocka_unit_test(test_clock_rules),
        cmocka_unit_test(test_clock_steps),
        cmocka_unit_test(test_clock_rule_after_a_step_back),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_held_by_a_backlog),
        cmocka_unit_test(test_paced_by_its_own_events),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_steady),
        cmocka_unit_test(test_steady_since_the_newest_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
