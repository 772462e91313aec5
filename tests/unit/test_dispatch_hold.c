/* SPDX-License-Identifier: MIT
 * test_dispatch_hold.c: rules that are paused and resumed, seen from the dispatcher: who is held,
 * what comes back, and in which order; at last at random, against what must hold whatever happens.
 */
#include "dispatch_kit.h"

#define N 3 /* failures in a row that pause a rule */

static int setup_hold(void **state)
{
    struct bench *b = sh_alloc(1, sizeof(*b));
    const struct sh_store_config config = {.quarantine = N};
    struct sh_error err;
    b->store = sh_store_open(&config, &err);
    assert_non_null(b->store);
    b->room = MAX_OUT;
    start(b, 1000);
    *state = b;
    return 0;
}

static void set_done(struct sh_op *op)
{
    *(bool *)op->arg = true;
}

/* What another process does through the store: the dispatcher is not told. */
static struct sh_op_rule_set set_rule(struct bench *b, const char *rule, bool pause)
{
    bool done = false;
    struct sh_op_rule_set op = {.op = {.kind = SH_OP_RULE_SET, .done = set_done, .arg = &done},
                                .rule = rule,
                                .pause = pause};
    sh_store_submit(b->store, &op.op);
    sh_store_reap(b->store);
    assert_true(done);
    return op;
}

static int64_t held(struct bench *b)
{
    struct sh_dispatch_stats stats;
    sh_dispatch_stats(b->d, &stats);
    return stats.rules_held;
}

static int n_of(const char *body)
{
    int n = 0;
    assert_int_equal(sscanf(body, "{\"n\":%d}", &n), 1);
    return n;
}

static void pause_by_failing(struct bench *b, const char *rule)
{
    for (int i = 0; i < N; i++) {
        add(b, "", true);
        answer_one(b, b->n_out - 1, rule, SH_RUN_FAILED);
    }
}

/* --- one thing at a time -------------------------------------------------------- */

static void test_paused_at_once(void **state)
{
    struct bench *b = *state;
    add(b, "a", true);
    assert_string_equal(b->out[0].hold, "");
    answer_one(b, 0, "R", SH_RUN_DONE);
    pause_by_failing(b, "R");
    assert_int_equal(held(b), 1);
    assert_int_equal(b->n_out, 1); /* the alert, to whoever wants it */
    assert_string_equal(b->out[0].hold, "R");
    assert_string_equal(b->out[0].key, "R");
    assert_non_null(strstr(b->out[0].body, "\"failures\":3"));
    answer_one(b, 0, "Alarm", SH_RUN_DONE);
    add(b, "a", true);
    assert_string_equal(b->out[0].hold, "R");
    struct sh_run runs[] = {run_of("R", SH_RUN_PAUSED), run_of("Q", SH_RUN_DONE)};
    runs[0].error = sh_slice_str("");
    answer(b, 0, runs, 2);
    assert_int_equal(find(b, "R", "paused", NULL).found, N + 1);
    assert_int_equal(find(b, "Q", "done", NULL).found, 1);
    tick(b, sh_now_ms() + 100000); /* nothing of it is a retry that falls due */
    assert_int_equal(b->n_out, 0);
    struct sh_dispatch_stats stats;
    sh_dispatch_stats(b->d, &stats);
    assert_int_equal(stats.in_memory, 0);
    assert_int_equal(stats.unfinished, 0);
    assert_int_equal(stats.runs_kept, 2);
}

/* The rule that should hear of it is the broken one: it is paused, and that is the end. */
static void test_broken_alarm(void **state)
{
    struct bench *b = *state;
    pause_by_failing(b, "R");
    for (int i = 0; i < 10 && b->n_out; i++) {
        answer_one(b, 0, "Alarm", strstr(b->out[0].hold, "Alarm") ? SH_RUN_PAUSED : SH_RUN_FAILED);
        tick(b, sh_now_ms() + 60000);
    }
    assert_int_equal(b->n_out, 0);
    assert_int_equal(held(b), 2);
    assert_int_equal(find(b, "Alarm", "dead", NULL).found, 1);   /* R's alert: attempts used up */
    assert_int_equal(find(b, "Alarm", "paused", NULL).found, 1); /* its own */
}

static void test_known_at_the_start(void **state)
{
    struct bench *b = *state;
    (void)set_rule(b, "R", true);
    add(b, "a", false);
    sh_dispatch_start(b->d, 1);
    assert_int_equal(b->n_out, 0); /* not before the store has said which are paused */
    sh_store_reap(b->store);
    tick(b, sh_now_ms());
    assert_int_equal(b->n_out, 1);
    assert_string_equal(b->out[0].hold, "R");
}

/* A worker cannot keep what it was not asked to. */
static void test_made_up_pause(void **state)
{
    struct bench *b = *state;
    add(b, "a", true);
    answer_one(b, 0, "R", SH_RUN_PAUSED);
    assert_int_equal(find(b, "R", "retry", "the worker says").found, 1);
    assert_int_equal(b->n_out, 0);
}

static void test_resumed_in_order(void **state)
{
    struct bench *b = *state;
    (void)set_rule(b, "R", true);
    tick(b, sh_now_ms());
    for (int i = 0; i < 6; i++) {
        add(b, i % 2 ? "a" : "b", true);
        answer_one(b, 0, "R", SH_RUN_PAUSED);
    }
    add(b, "a", true); /* is out, held, while the rule is resumed */
    add(b, "a", true); /* waits behind it */
    assert_int_equal(set_rule(b, "R", false).kept, 6);
    tick(b, sh_now_ms());
    assert_int_equal(held(b), 0);
    int last[2] = {0, 0}, ran[2] = {0, 0};
    answer_one(b, 0, "R", SH_RUN_PAUSED); /* the held one: the older ones go first */
    while (b->n_out) {
        int n = n_of(b->out[0].body), key = b->out[0].key[0] == 'a';
        assert_true(n > last[key]);
        last[key] = n;
        ran[key]++;
        assert_string_equal(b->out[0].hold, "");
        answer_one(b, 0, "R", SH_RUN_DONE);
    }
    assert_int_equal(ran[0], 3);
    assert_int_equal(ran[1], 5);
    assert_int_equal(find(b, "R", "done", NULL).found, 8);
    assert_int_equal(find(b, "R", "retry", NULL).found, 0);
}

/* A retry that was in memory when its rule was paused waits with the others. */
static void test_retry_in_memory_is_kept(void **state)
{
    struct bench *b = *state;
    add(b, "a", true);
    answer_one(b, 0, "R", SH_RUN_FAILED);
    add(b, "a", true);
    tick(b, sh_now_ms() + 5000); /* the retry is in memory, behind the second event */
    assert_int_equal(b->n_out, 1);
    (void)set_rule(b, "R", true);
    tick(b, sh_now_ms());
    answer_one(b, 0, "R", SH_RUN_DONE); /* was out before */
    assert_int_equal(b->n_out, 1);
    assert_string_equal(b->out[0].only, "R");
    assert_string_equal(b->out[0].hold, "R");
    answer_one(b, 0, "R", SH_RUN_PAUSED);
    assert_int_equal(find(b, "R", "paused", "rules/x.lua:1").found, 1);
    (void)set_rule(b, "R", false);
    tick(b, sh_now_ms());
    assert_int_equal(b->n_out, 1);
    assert_string_equal(b->out[0].only, "R");
    assert_string_equal(b->out[0].hold, "");
    assert_int_equal(b->out[0].attempt, 1);
}

static void test_slices_bound_memory(void **state)
{
    struct bench *b = *state;
    struct sh_dispatch_stats stats;
    int ran = 0;
    (void)set_rule(b, "R", true);
    tick(b, sh_now_ms());
    for (int i = 0; i < 1000; i++) {
        add(b, "", true);
        answer_one(b, 0, "R", SH_RUN_PAUSED);
    }
    b->room = 5;
    (void)set_rule(b, "R", false);
    tick(b, sh_now_ms());
    while (b->n_out) { /* without another tick */
        sh_dispatch_stats(b->d, &stats);
        assert_in_range(stats.in_memory, 1, 310);
        answer_one(b, 0, "R", SH_RUN_DONE);
        ran++;
    }
    assert_int_equal(ran, 1000);
    assert_int_equal(held(b), 0);
}

static void test_fails_again(void **state)
{
    struct bench *b = *state;
    (void)set_rule(b, "R", true);
    tick(b, sh_now_ms());
    for (int i = 0; i < 20; i++) {
        add(b, "", true);
        answer_one(b, 0, "R", SH_RUN_PAUSED);
    }
    b->room = 1;
    (void)set_rule(b, "R", false);
    tick(b, sh_now_ms());
    for (int i = 0; i < N; i++) {
        assert_string_equal(b->out[0].hold, "");
        answer_one(b, 0, "R", SH_RUN_FAILED);
    }
    assert_int_equal(held(b), 1);
    int kept = 0;
    for (; b->n_out; kept++) {
        assert_string_equal(b->out[0].hold, "R");
        if (strcmp(b->out[0].key, "R") == 0)
            answer_one(b, 0, "Alarm", SH_RUN_DONE);
        else
            answer_one(b, 0, "R", SH_RUN_PAUSED);
    }
    assert_int_equal(kept, 20 - N + 1);
    assert_int_equal(find(b, "R", "paused", NULL).found, 20);
}

/* A clean end and a new start in the middle: nothing is lost, and what is kept stays kept. */
static void test_restart_while_resuming(void **state)
{
    struct bench *b = *state;
    (void)set_rule(b, "R", true);
    tick(b, sh_now_ms());
    for (int i = 0; i < 5; i++) {
        add(b, "", true);
        answer_one(b, 0, "R", SH_RUN_PAUSED);
    }
    (void)set_rule(b, "R", false);
    tick(b, sh_now_ms());
    assert_int_equal(b->n_out, 5);
    answer_one(b, 0, "R", SH_RUN_DONE);
    sh_dispatch_free(b->d);
    start(b, 1000);
    sh_dispatch_start(b->d, 0);
    sh_store_reap(b->store);
    tick(b, sh_now_ms() + 10);
    assert_int_equal(b->n_out, 4);
    while (b->n_out)
        answer_one(b, 0, "R", SH_RUN_DONE);
    assert_int_equal(find(b, "R", "done", NULL).found, 5);
}

/* --- at random ------------------------------------------------------------------- */

#define KEYS   4
#define EVENTS 400

struct model {
    struct bench *b;
    unsigned seed;
    bool failing;           /* R sometimes fails */
    int key_of[EVENTS + 1]; /* by the event's number */
    /* as the records say in the end */
    int last[KEYS], ran;
    bool disorder;
};

static unsigned pick(struct model *m, unsigned n)
{
    m->seed = m->seed * 1103515245U + 12345U;
    return (m->seed >> 16) % n;
}

static bool among(const char *list, const char *name)
{
    return strstr(list, name) != NULL; /* names of one letter */
}

/* The effect of R on an event: the record of its number, counted. */
static void count_effect(struct sh_run *run, struct sh_buf *fx, const char *id)
{
    const struct sh_effect incr = {.kind = SH_FX_INCR,
                                   .collection = SH_SLICE("ran"),
                                   .id = sh_slice_str(id),
                                   .field = SH_SLICE("times"),
                                   .is_int = true,
                                   .n_int = 1};
    sh_effect_write(fx, &incr);
    run->n_effects = 1;
    run->effects = sh_slice(fx->data, fx->len);
}

/* Records come in the order in which they were written. */
static bool check_record(void *arg, const cJSON *row)
{
    struct model *m = arg;
    int n = atoi(cJSON_GetObjectItemCaseSensitive(row, "id")->valuestring);
    const cJSON *doc = cJSON_GetObjectItemCaseSensitive(row, "doc");
    assert_int_equal(cJSON_GetObjectItemCaseSensitive(doc, "times")->valueint, 1);
    assert_in_range(n, 1, EVENTS);
    m->ran++;
    m->disorder = m->disorder || n < m->last[m->key_of[n]];
    m->last[m->key_of[n]] = n;
    return true;
}

/* As a worker with the rules R and Q would answer; what the store makes of it is heard later. */
static void work(struct model *m)
{
    struct bench *b = m->b;
    if (b->n_out == 0)
        return;
    size_t i = pick(m, (unsigned)b->n_out), n = 0;
    struct given g = b->out[i];
    struct sh_run runs[2];
    struct sh_buf out, fx;
    char id[20];
    sh_buf_init(&fx, 1000);
    for (int r = 0; r < 2 && strcmp(g.key, "R") != 0; r++) { /* nobody wants the alert */
        const char *rule = r ? "Q" : "R";
        if ((g.only[0] && !among(g.only, rule)) || among(g.skip, rule))
            continue;
        bool kept = among(g.hold, rule), bad = !kept && !r && m->failing && pick(m, 3) > 0;
        runs[n] = run_of(rule, kept ? SH_RUN_PAUSED : bad ? SH_RUN_FAILED : SH_RUN_DONE);
        snprintf(id, sizeof(id), "%d", n_of(g.body));
        if (!kept && !bad && !r)
            count_effect(&runs[n], &fx, id);
        n++;
    }
    const struct sh_result in = {.token = g.token, .runs = runs, .n_runs = n};
    struct sh_result back;
    sh_buf_init(&out, SH_MAX_FRAME_BYTES);
    sh_frame_result(&out, &in);
    char *payload = sh_memdup(out.data + 5, out.len - 5);
    assert_true(sh_frame_read_result(sh_slice(payload, out.len - 5), &back));
    sh_buf_free(&out);
    sh_buf_free(&fx);
    drop(b, i);
    assert_true(sh_dispatch_result(b->d, payload, &back));
}

static void set_free(struct sh_op *op)
{
    free(op);
}

static void toggle(struct model *m, bool pause)
{
    struct sh_op_rule_set *op = sh_alloc(1, sizeof(*op));
    *op = (struct sh_op_rule_set){
        .op = {.kind = SH_OP_RULE_SET, .done = set_free}, .rule = "R", .pause = pause};
    sh_store_submit(m->b->store, &op->op);
}

static void finish(struct model *m)
{
    struct bench *b = m->b;
    m->failing = false;
    for (int i = 0; i < 200 && find(b, "R", "done", NULL).found < EVENTS; i++) {
        for (int tick = 0; tick < 10; tick++) {
            toggle(m, false);
            sh_store_reap(b->store);
            sh_dispatch_tick(b->d, sh_now_ms() + 100000);
            sh_store_reap(b->store);
            for (int j = 0; j < 20; j++) {
                work(m);
                sh_store_reap(b->store);
                sh_dispatch_pump(b->d);
            }
        }
    }
    const struct sh_list_query q = {.what = SH_LIST_RECORDS, .collection = "ran"};
    struct sh_error err;
    assert_true(sh_store_list(b->store, &q, check_record, m, &err));
}

static void at_random(struct bench *b, unsigned seed, bool failing, int64_t memory)
{
    struct model m = {.b = b, .seed = seed, .failing = failing};
    const char *const keys[KEYS] = {"a", "b", "c", "d"};
    sh_dispatch_free(b->d);
    start(b, memory);
    for (int added = 0; added < EVENTS;) {
        switch (pick(&m, 16)) {
        case 0:
            toggle(&m, true);
            break;
        case 1:
            toggle(&m, false);
            break;
        case 2:
            sh_dispatch_tick(b->d, sh_now_ms());
            break;
        case 3:
        case 4:
        case 5:
            sh_store_reap(b->store);
            sh_dispatch_pump(b->d);
            break;
        case 6:
        case 7:
        case 8:
        case 9:
            m.key_of[b->serial + 1] = (int)pick(&m, KEYS);
            add(b, keys[m.key_of[b->serial + 1]], true);
            added++;
            break;
        default:
            work(&m);
        }
    }
    finish(&m);
    if (m.ran != EVENTS)
        fail_msg("seed %u: %d of %d events ran", seed, m.ran, EVENTS);
    if (!failing && m.disorder)
        fail_msg("seed %u: not in order", seed);
    assert_int_equal(find(b, "Q", "done", NULL).found, EVENTS);
}

static void run_seeds(bool failing, int64_t memory)
{
    for (unsigned seed = 1; seed <= 12; seed++) {
        void *state;
        (void)setup_hold(&state);
        at_random(state, seed * 7919, failing, memory);
        (void)teardown(&state);
    }
}

static void test_order_whatever_happens(void **state)
{
    (void)state;
    run_seeds(false, 1000);
}

static void test_order_read_back(void **state)
{
    (void)state;
    run_seeds(false, 20);
}

/* With failures, which go on their own, no order is promised: all run, and once. */
static void test_once_whatever_fails(void **state)
{
    (void)state;
    run_seeds(true, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_paused_at_once, setup_hold, teardown),
        cmocka_unit_test_setup_teardown(test_broken_alarm, setup_hold, teardown),
        cmocka_unit_test_setup_teardown(test_known_at_the_start, setup_hold, teardown),
        cmocka_unit_test_setup_teardown(test_made_up_pause, setup_hold, teardown),
        cmocka_unit_test_setup_teardown(test_resumed_in_order, setup_hold, teardown),
        cmocka_unit_test_setup_teardown(test_retry_in_memory_is_kept, setup_hold, teardown),
        cmocka_unit_test_setup_teardown(test_slices_bound_memory, setup_hold, teardown),
        cmocka_unit_test_setup_teardown(test_fails_again, setup_hold, teardown),
        cmocka_unit_test_setup_teardown(test_restart_while_resuming, setup_hold, teardown),
        cmocka_unit_test(test_order_whatever_happens),
        cmocka_unit_test(test_order_read_back),
        cmocka_unit_test(test_once_whatever_fails),
    };
    return cmocka_run_group_tests_name("dispatch_hold", tests, NULL, NULL);
}
