/* SPDX-License-Identifier: MIT
 * test_dispatch.c: the dispatcher on a real store (in memory), with the test as its workers. */
#include "dispatch_kit.h"

static void test_one_at_a_time_per_key(void **state)
{
    struct bench *b = *state;
    add(b, "a", true);
    add(b, "a", true);
    add(b, "b", true);
    assert_int_equal(b->n_out, 2); /* a's second waits, b does not */
    assert_string_equal(b->out[0].body, "{\"n\":1}");
    assert_string_equal(b->out[1].key, "b");
    answer_one(b, 0, "R", SH_RUN_DONE);
    assert_int_equal(b->n_out, 2);
    assert_string_equal(b->out[1].body, "{\"n\":2}");
}

static void test_no_key_means_no_waiting(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 3; i++)
        add(b, "", true);
    assert_int_equal(b->n_out, 3);
}

static void test_failed_run_does_not_block_its_key(void **state)
{
    struct bench *b = *state;
    add(b, "a", true);
    add(b, "a", true);
    answer_one(b, 0, "R", SH_RUN_FAILED);
    assert_int_equal(b->n_out, 1);
    assert_string_equal(b->out[0].body, "{\"n\":2}");
    answer_one(b, 0, "R", SH_RUN_DONE);
    tick(b, sh_now_ms());
    assert_int_equal(b->n_out, 0); /* not due yet */
    tick(b, sh_now_ms() + 1500);
    assert_int_equal(b->n_out, 1);
    assert_string_equal(b->out[0].only, "R");
    assert_int_equal(b->out[0].attempt, 2);
    tick(b, sh_now_ms() + 1500); /* is out already: not given twice */
    assert_int_equal(b->n_out, 1);
}

static void test_attempts_end_in_a_dead_letter(void **state)
{
    struct bench *b = *state;
    add(b, "a", true);
    for (int attempt = 1; attempt <= 3; attempt++) {
        assert_int_equal(b->n_out, 1);
        assert_int_equal(b->out[0].attempt, attempt);
        answer_one(b, 0, "R", SH_RUN_FAILED);
        tick(b, sh_now_ms() + 10000);
    }
    assert_int_equal(b->n_out, 0);
    struct sought dead = find(b, "R", "dead", "rules/x.lua:1");
    assert_int_equal(dead.found, 1);
    assert_int_equal(dead.attempts, 3);
}

/* A retry that no longer matches must not stay due for ever. */
static void test_retry_that_no_longer_matches_is_closed(void **state)
{
    struct bench *b = *state;
    add(b, "a", true);
    answer_one(b, 0, "R", SH_RUN_FAILED);
    tick(b, sh_now_ms() + 5000);
    answer(b, 0, NULL, 0);
    assert_int_equal(find(b, "R", "done", NULL).found, 1);
    tick(b, sh_now_ms() + 5000);
    assert_int_equal(b->n_out, 0);
}

static void test_lost_worker_charges_the_suspect_alone(void **state)
{
    struct bench *b = *state;
    add(b, "a", true);
    add(b, "b", true);
    uint64_t guilty = b->out[0].token, innocent = b->out[1].token;
    b->n_out = 0;
    sh_dispatch_lost(b->d, guilty, "Bomb", "rules/bomb.lua:3: crashed");
    sh_dispatch_lost(b->d, innocent, NULL, "crashed");
    sh_dispatch_pump(b->d);
    sh_store_reap(b->store);
    sh_dispatch_pump(b->d);
    assert_int_equal(b->n_out, 2);
    size_t a = strcmp(b->out[0].key, "a") == 0 ? 0 : 1;
    assert_string_equal(b->out[a].skip, "Bomb"); /* the others of that event still run */
    assert_string_equal(b->out[1 - a].skip, "");
    assert_int_equal(find(b, "Bomb", "retry", "crashed").found, 1);
    answer_one(b, a, "Good", SH_RUN_DONE);
    assert_int_equal(find(b, "Good", "done", NULL).found, 1);
    tick(b, sh_now_ms() + 5000);
    assert_string_equal(b->out[b->n_out - 1].only, "Bomb");
    assert_int_equal(b->out[b->n_out - 1].attempt, 2);
}

static void test_event_that_kills_every_worker_becomes_a_dead_letter(void **state)
{
    struct bench *b = *state;
    add(b, "a", true);
    for (int i = 0; i < SH_DISPATCH_LOSSES; i++) {
        assert_int_equal(b->n_out, 1);
        uint64_t token = b->out[0].token;
        b->n_out = 0;
        sh_dispatch_lost(b->d, token, NULL, "worker: was killed by signal 11");
        sh_dispatch_pump(b->d);
        sh_store_reap(b->store);
    }
    assert_int_equal(b->n_out, 0);
    assert_int_equal(find(b, "*", "dead", "signal 11").found, 1);
    struct sh_op_redrive redrive = {.op = {.kind = SH_OP_REDRIVE, .done = accept_done}};
    bool ok = false;
    redrive.op.arg = &ok;
    sh_store_submit(b->store, &redrive.op);
    sh_store_reap(b->store);
    assert_int_equal(redrive.n_runs, 1);
    tick(b, sh_now_ms() + 10);
    assert_int_equal(b->n_out, 1);
    assert_string_equal(b->out[0].only, ""); /* all rules */
    answer_one(b, 0, "Good", SH_RUN_DONE);
    assert_int_equal(find(b, "*", "done", NULL).found, 1);
    assert_int_equal(find(b, "Good", "done", NULL).found, 1);
}

/* Lose all jobs that are out but one, as their worker dies; nobody can tell which was to blame. */
static void lose_all_but(struct bench *b, const char *key)
{
    struct given out[MAX_OUT];
    size_t n = b->n_out;
    memcpy(out, b->out, n * sizeof(*out));
    b->n_out = 0;
    for (size_t i = 0; i < n; i++)
        if (key && strcmp(out[i].key, key) == 0)
            b->out[b->n_out++] = out[i];
        else
            sh_dispatch_lost(b->d, out[i].token, NULL, "worker: was killed by signal 9");
    sh_dispatch_pump(b->d);
    sh_store_reap(b->store);
    sh_dispatch_pump(b->d);
}

/* What only stood beside an event that kills its worker is run: it is told apart by a turn alone.
 */
static void test_company_of_a_killer_survives(void **state)
{
    struct bench *b = *state;
    const char *const keys[] = {"a", "killer", "b"};
    for (int i = 0; i < 3; i++)
        add(b, keys[i], true);
    for (int turn = 0; turn < 40 && b->n_out; turn++) {
        if (b->n_out > 1 || strcmp(b->out[0].key, "killer") == 0)
            lose_all_but(b, NULL);
        else
            answer_one(b, 0, "R", SH_RUN_DONE);
    }
    assert_int_equal(b->n_out, 0);
    assert_int_equal(find(b, "R", "done", NULL).found, 2);
    assert_int_equal(find(b, "*", "dead", "signal 9").found, 1);
}

/* Many retries behind one slow run of a key must not hide those of other keys. */
static void test_due_retries_of_one_key_do_not_hide_others(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 300; i++) {
        add(b, "slow", true);
        answer_one(b, 0, "R", SH_RUN_FAILED);
    }
    add(b, "other", true);
    answer_one(b, 0, "R", SH_RUN_FAILED);
    tick(b, sh_now_ms() + 5000);
    assert_int_equal(b->n_out, 2);
    assert_string_equal(b->out[0].key, "slow");
    assert_string_equal(b->out[1].key, "other");
}

static void put_counter(struct bench *b)
{
    struct sh_buf fx;
    sh_buf_init(&fx, 1000);
    const struct sh_effect put = {.kind = SH_FX_PUT,
                                  .collection = SH_SLICE("calls"),
                                  .id = SH_SLICE("c"),
                                  .doc = SH_SLICE("{\"x\":1}")};
    sh_effect_write(&fx, &put);
    struct sh_run run = run_of("W", SH_RUN_DONE);
    run.n_effects = 1;
    run.effects = sh_slice(fx.data, fx.len);
    answer(b, 0, &run, 1);
    sh_buf_free(&fx);
}

static void answer_stale(struct bench *b, size_t i)
{
    struct sh_buf reads;
    sh_buf_init(&reads, 1000);
    const struct sh_read_mark m = {
        .request = {.kind = SH_READ_GET, .collection = SH_SLICE("calls"), .id = SH_SLICE("c")},
        .mark = 0}; /* saw it absent */
    sh_read_mark_write(&reads, &m);
    struct sh_run runs[2] = {run_of("Reader", SH_RUN_DONE), run_of("Other", SH_RUN_DONE)};
    runs[0].n_reads = 1;
    runs[0].reads = sh_slice(reads.data, reads.len);
    answer(b, i, runs, strcmp(b->out[i].only, "Reader") == 0 ? 1 : 2);
    sh_buf_free(&reads);
}

static void test_changed_read_runs_again_and_in_the_end_alone(void **state)
{
    struct bench *b = *state;
    add(b, "a", true);
    put_counter(b);
    add(b, "b", true);
    answer_stale(b, 0);
    assert_int_equal(b->n_out, 1);
    assert_string_equal(b->out[0].only, "Reader");
    assert_int_equal(b->out[0].attempt, 1); /* no failure: not counted */
    add(b, "busy", true);
    for (int i = 1; i < SH_DISPATCH_CONFLICTS; i++) {
        size_t at = strcmp(b->out[0].only, "Reader") == 0 ? 0 : 1;
        answer_stale(b, at);
    }
    /* ten conflicts: it waits until "busy" has settled, and nothing new is given out before */
    assert_int_equal(b->n_out, 1);
    assert_string_equal(b->out[0].key, "busy");
    add(b, "late", true);
    assert_int_equal(b->n_out, 1);
    answer_one(b, 0, "R", SH_RUN_DONE);
    assert_int_equal(b->n_out, 1);
    assert_string_equal(b->out[0].only, "Reader");
    answer_one(b, 0, "Reader", SH_RUN_DONE);
    assert_int_equal(b->n_out, 1);
    assert_string_equal(b->out[0].key, "late");
}

/* After a crash too, the next event of a key waits for the re-run of the one before. */
static void test_conflict_left_by_a_crash_keeps_its_place(void **state)
{
    struct bench *b = *state;
    add(b, "w", true);
    put_counter(b);
    add(b, "a", true);
    add(b, "a", false);
    answer_stale(b, 0);
    sh_dispatch_free(b->d);
    start(b, 1000);
    sh_dispatch_start(b->d, 1);
    sh_store_reap(b->store);
    assert_int_equal(b->n_out, 1);
    assert_string_equal(b->out[0].only, "Reader");
    assert_int_equal(b->out[0].attempt, 1);
    answer_one(b, 0, "Reader", SH_RUN_DONE);
    assert_int_equal(b->n_out, 1);
    assert_string_equal(b->out[0].body, "{\"n\":3}");
}

static void test_memory_is_bounded_and_order_kept(void **state)
{
    struct bench *b = *state;
    sh_dispatch_free(b->d);
    start(b, 4);
    b->room = 1;
    for (int i = 0; i < 30; i++)
        add(b, i % 2 ? "a" : "b", true);
    struct sh_dispatch_stats stats;
    sh_dispatch_stats(b->d, &stats);
    assert_in_range(stats.in_memory, 1, 4);
    assert_int_equal(stats.unfinished, 30);
    int last[2] = {0, 0}, seen = 0;
    while (b->n_out) {
        int n = 0;
        assert_int_equal(sscanf(b->out[0].body, "{\"n\":%d}", &n), 1);
        assert_true(n > last[n % 2]); /* in order within the key */
        last[n % 2] = n;
        seen++;
        answer_one(b, 0, "R", SH_RUN_DONE);
        tick(b, sh_now_ms());
        sh_dispatch_stats(b->d, &stats);
        assert_in_range(stats.in_memory, 0, 4);
    }
    assert_int_equal(seen, 30);
    assert_int_equal(stats.unfinished, 0);
    b->room = MAX_OUT;
    add(b, "after", true); /* and the direct way is open again */
    assert_int_equal(b->n_out, 1);
}

static void test_unfinished_comes_back_after_a_restart(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 5; i++)
        add(b, "a", false);
    sh_dispatch_free(b->d);
    start(b, 1000);
    sh_dispatch_start(b->d, 5);
    sh_store_reap(b->store);
    for (int i = 0; i < 5; i++) {
        tick(b, sh_now_ms());
        assert_int_equal(b->n_out, 1);
        answer_one(b, 0, "R", SH_RUN_DONE);
    }
    struct sh_dispatch_stats stats;
    sh_dispatch_stats(b->d, &stats);
    assert_int_equal(stats.unfinished, 0);
}

static void test_emitted_event_is_run(void **state)
{
    struct bench *b = *state;
    struct sh_buf fx;
    sh_buf_init(&fx, 1000);
    const struct sh_effect emit = {
        .kind = SH_FX_EMIT, .collection = SH_SLICE("follow_up"), .doc = SH_SLICE("{\"z\":1}")};
    sh_effect_write(&fx, &emit);
    add(b, "a", true);
    struct sh_run run = run_of("E", SH_RUN_DONE);
    run.n_effects = 1;
    run.effects = sh_slice(fx.data, fx.len);
    answer(b, 0, &run, 1);
    sh_buf_free(&fx);
    assert_int_equal(b->n_out, 1);
    assert_string_equal(b->out[0].body, "{\"z\":1}");
    assert_string_equal(b->out[0].key, "a");
}

static void test_late_answer_is_dropped(void **state)
{
    struct bench *b = *state;
    struct sh_result late = {.token = 999};
    assert_false(sh_dispatch_result(b->d, sh_memdup("", 0), &late));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_one_at_a_time_per_key),
        T(test_no_key_means_no_waiting),
        T(test_failed_run_does_not_block_its_key),
        T(test_attempts_end_in_a_dead_letter),
        T(test_retry_that_no_longer_matches_is_closed),
        T(test_lost_worker_charges_the_suspect_alone),
        T(test_event_that_kills_every_worker_becomes_a_dead_letter),
        T(test_changed_read_runs_again_and_in_the_end_alone),
        T(test_company_of_a_killer_survives),
        T(test_due_retries_of_one_key_do_not_hide_others),
        T(test_conflict_left_by_a_crash_keeps_its_place),
        T(test_memory_is_bounded_and_order_kept),
        T(test_unfinished_comes_back_after_a_restart),
        T(test_emitted_event_is_run),
        T(test_late_answer_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
