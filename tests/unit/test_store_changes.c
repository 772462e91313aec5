/* SPDX-License-Identifier: MIT
 * test_store_changes.c: the store says which topics were written to, whoever wrote; meant for the
 * thread sanitizer as well. */
#include "store_kit.h"

#include "base/zone.h"
#include "core/callback.h"
#include "core/forget.h"
#include "core/phone_number.h"
#include "core/store_impl.h"

#include <stdatomic.h>

#define FUTURE (INT64_C(1) << 50)

static struct kit k;

static int setup(void **state)
{
    (void)state;
    sh_zones_load(NULL);
    kit_init(&k);
    struct sh_error err = {0};
    struct sh_store_config c = kit_config(&k, false, NULL);
    c.quarantine = 2;
    k.s = sh_store_open(&c, &err);
    return k.s ? 0 : -1;
}

static int setup_threads(void **state)
{
    (void)state;
    kit_init(&k);
    kit_open_as(&k, true, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_end(&k);
    return 0;
}

/* --- what was said ----------------------------------------------------------- */

static const char *names_of(unsigned topics)
{
    static const char *const names[SH_N_TOPICS] = {"events",  "runs",   "callbacks", "outbox",
                                                   "records", "timers", "rules",     "generations"};
    static char out[200];
    out[0] = '\0';
    for (size_t i = 0; i < SH_N_TOPICS; i++)
        if (topics & 1U << i)
            snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s%s", *out ? " " : "",
                     names[i]);
    return out;
}

static void check_said(const char *what, const char *topics)
{
    const char *said = names_of(sh_store_changes(k.s));
    if (strcmp(said, topics) != 0)
        fail_msg("%s: said \"%s\", not \"%s\"", what, said, topics);
    assert_int_equal(sh_store_changes(k.s), 0); /* once */
}

/* Carry op out; these topics are said, exactly. */
static void check(const char *what, struct sh_op *op, const char *topics)
{
    (void)sh_store_changes(k.s);
    if (!kit_run(&k, op))
        fail_msg("%s: %s", what, op->err.msg);
    check_said(what, topics);
}

static void check_effect(const char *what, struct sh_effect fx, const char *topics)
{
    static int n;
    char dedupe[32];
    struct kit_settle s;
    snprintf(dedupe, sizeof(dedupe), "effect-%d", n++);
    kit_settle_init(&s, kit_accept(&k, dedupe));
    struct sh_run *r = kit_add_run(&s, "rule", SH_RUN_DONE);
    kit_fx(&s, fx);
    check(what, &s.op.op, topics);
    if (r->outcome != SH_RUN_DONE)
        fail_msg("%s: %s", what, s.op.run_errors ? s.op.run_errors[0] : "?");
    kit_settle_free(&s);
}

static struct sh_effect timer(const char *name, int64_t due_ms)
{
    struct sh_effect fx = kit_leave(SH_FX_TIMER, "late", "{}");
    fx.id = sh_slice_str(name);
    fx.is_int = true;
    fx.n_int = due_ms;
    return fx;
}

/* --- each kind of operation -------------------------------------------------- */

static void test_events(void **state)
{
    (void)state;
    struct sh_op_accept op = {.op.kind = SH_OP_ACCEPT, .event = kit_event("k", "d", "{}")};
    check("accept", &op.op, "events");
    sh_event_free(op.event);
    op.event = kit_event("k", "d", "{}");
    check("duplicate", &op.op, "");
    assert_true(op.duplicate);
    sh_event_free(op.event);
}

static void test_runs(void **state)
{
    (void)state;
    struct kit_settle s;
    kit_settle_init(&s, kit_accept(&k, "none"));
    check("no rule", &s.op.op, "events");
    kit_settle_free(&s);
    check_effect("put", kit_put("calls", "1", "{\"n\":1}"), "events runs records");
    check_effect("patch", kit_patch("calls", "1", "{\"n\":2}"), "events runs records");
    check_effect("incr", kit_incr("calls", "1", "n", 1), "events runs records");
    check_effect("delete", kit_delete("calls", "1"), "events runs records");
    check_effect("emit", kit_leave(SH_FX_EMIT, "more", "{}"), "events runs");
    check_effect("email", kit_leave(SH_FX_EMAIL, "", "{\"to\":[\"a@example.org\"]}"),
                 "events runs outbox");
    check_effect("http",
                 kit_leave(SH_FX_HTTP, "", "{\"method\":\"POST\",\"url\":\"https://a.example/\"}"),
                 "events runs outbox");
    check_effect("callback", kit_leave(SH_FX_CALLBACK, "", "{\"number\":\"1\",\"due_at\":1}"),
                 "events runs callbacks");
    check_effect("timer", timer("t", sh_now_ms() + 100000000), "events runs timers");
    struct sh_effect cancel = {.kind = SH_FX_CANCEL, .id = SH_SLICE("t")};
    check_effect("cancel", cancel, "events runs timers");
}

static void fail_once(const char *dedupe, int64_t retry_ms, const char *topics)
{
    struct kit_settle s;
    kit_settle_init(&s, kit_accept(&k, dedupe));
    kit_add_run(&s, "bad", SH_RUN_FAILED)->retry_at_ms = retry_ms;
    check(dedupe, &s.op.op, topics);
    kit_settle_free(&s);
}

static void test_rules(void **state)
{
    (void)state;
    struct sh_op_redrive redrive = {.op.kind = SH_OP_REDRIVE}, drop = {.op.kind = SH_OP_DROP};
    fail_once("first", 0, "events runs rules");
    check("redrive", &redrive.op, "runs outbox"); /* it looks into both */
    assert_int_equal(redrive.n_runs, 1);
    check("nothing to redrive", &redrive.op, "");
    fail_once("second", 0, "events runs rules"); /* paused: the alert is an event */
    check("drop", &drop.op, "runs outbox");
    struct sh_op_rule_set set = {.op.kind = SH_OP_RULE_SET, .rule = "other", .pause = true};
    check("pause", &set.op, "runs rules"); /* what waits for its retry is kept */
    check("pause again", &set.op, "");
    set.pause = false;
    check("resume", &set.op, "rules");
    set.rule = "bad";
    check("resume of one that kept runs", &set.op, "rules");
    struct sh_op_resume resume = {
        .op.kind = SH_OP_RESUME, .rule = "bad", .pauses = 1, .limit = 10, .max_bytes = 1000000};
    check("runs that were kept", &resume.op, "runs rules");
    assert_int_equal(resume.n_items, 1);
    sh_pending_free(resume.items, resume.n_items);
    struct sh_op_rules rules = {.op.kind = SH_OP_RULES};
    check("rules read", &rules.op, "");
    sh_rules_held_free(rules.items, rules.n_items);
}

static void test_deliveries(void **state)
{
    (void)state;
    kit_apply(&k, kit_leave(SH_FX_EMAIL, "", "{\"to\":[\"a@example.org\"],\"notify\":\"n\"}"), NULL,
              0);
    struct sh_op_outbox box = kit_outbox(&k, FUTURE);
    assert_int_equal(box.n_items, 1);
    struct sh_op_delivery d = {.op.kind = SH_OP_DELIVERY,
                               .item_id = box.items[0].id,
                               .state = SH_DELIVERY_RETRY,
                               .next_ms = 1,
                               .error = "no answer"};
    check("retry", &d.op, "outbox");
    d.state = SH_DELIVERY_DEAD;
    check("dead, and told", &d.op, "events outbox");
    sh_event_free(d.emitted);
    struct sh_op_redrive redrive = {.op.kind = SH_OP_REDRIVE};
    check("redrive", &redrive.op, "runs outbox");
    sh_outbox_items_free(box.items, box.n_items);
}

static void test_time(void **state)
{
    (void)state;
    kit_apply(&k, timer("soon", sh_now_ms() + 1000000), NULL, 0);
    struct sh_op_fire fire = {.op.kind = SH_OP_FIRE, .now_ms = 1, .limit = 10};
    check("nothing is due", &fire.op, "");
    fire.now_ms = sh_now_ms() + 2000000;
    check("a timer", &fire.op, "events timers");
    assert_int_equal(fire.n_fired, 1);
    sh_op_fire_clear(&fire);
    char doc[100];
    snprintf(doc, sizeof(doc), "{\"number\":\"1\",\"due_at\":%lld}",
             (long long)sh_now_ms() + 1000000);
    kit_apply(&k, kit_leave(SH_FX_CALLBACK, "", doc), NULL, 0);
    check("a callback falls due", &fire.op, "events callbacks");
    sh_op_fire_clear(&fire);
    struct sh_clock clock = {.rule = "Daily", .every = "18:00", .zone = "UTC"};
    struct sh_op_clocks clocks = {
        .op.kind = SH_OP_CLOCKS, .clocks = &clock, .n_clocks = 1, .now_ms = sh_now_ms()};
    check("a clock rule", &clocks.op, "timers");
    kit_apply(&k, timer("gone", sh_now_ms() + 100000000), NULL, 0);
    struct sh_op_timer_cancel cancel = {.op.kind = SH_OP_TIMER_CANCEL, .name = "gone"};
    check("a timer is cancelled", &cancel.op, "timers");
}

static void test_people(void **state)
{
    (void)state;
    kit_apply(&k, kit_leave(SH_FX_CALLBACK, "", "{\"number\":\"1\",\"due_at\":1}"), NULL, 0);
    char id[80];
    snprintf(id, sizeof(id), "%s", kit_sql(&k, "SELECT id FROM sh_callbacks"));
    struct sh_op_callback op = {
        .op.kind = SH_OP_CALLBACK, .id = id, .action = SH_CALLBACK_DONE, .by = "ann"};
    check("done", &op.op, "callbacks timers"); /* the event callback_done is on its way */
    (void)sh_store_changes(k.s);
    assert_false(kit_run(&k, &op.op));
    check_said("done before: refused", "");
    struct sh_op_feed_new feed = {.op.kind = SH_OP_FEED_NEW, .assignee = "ann"};
    check("feed", &feed.op, "");
    struct sh_op_token_new token = {.op.kind = SH_OP_TOKEN_NEW, .name = "t", .role = "viewer"};
    check("token", &token.op, "");
    const struct sh_file file = {(char *)"rules/a.lua", (char *)"x", 1, true};
    struct sh_generation *g = sh_generation_new(&file, 1);
    struct sh_op_generation live = {.op.kind = SH_OP_GENERATION, .generation = g};
    check("generation", &live.op, "generations");
    sh_generation_free(g);
}

/* A refused one among others: the batch is done again, and what the others wrote is said. */
static void test_refused_companion(void **state)
{
    (void)state;
    (void)sh_store_changes(k.s);
    struct sh_op_accept accept = {.op.kind = SH_OP_ACCEPT, .event = kit_event("k", "d", "{}")};
    struct sh_op_callback op = {
        .op.kind = SH_OP_CALLBACK, .id = "nobody", .action = SH_CALLBACK_DONE, .by = "ann"};
    struct sh_op *ops[] = {&op.op, &accept.op};
    kit_run_all(&k, ops, 2);
    assert_false(op.op.ok);
    assert_true(accept.op.ok);
    assert_true(sh_store_changes(k.s) & SH_TOPIC_EVENTS);
    sh_event_free(accept.event);
}

static void test_prune(void **state)
{
    (void)state;
    struct sh_op_prune op = {.op.kind = SH_OP_PRUNE, .before_ms = 1, .limit = 10};
    kit_apply(&k, kit_put("calls", "1", "{}"), NULL, 0);
    check("nothing is old", &op.op, "");
    op.before_ms = FUTURE;
    check("all is old", &op.op, "events runs outbox"); /* those it looks through */
    struct sh_retain retain = {.records_ms = 1};
    struct sh_op_prune sweep = {
        .op.kind = SH_OP_PRUNE, .retain = &retain, .now_ms = FUTURE, .limit = 10, .sweep = true};
    (void)sh_store_changes(k.s);
    assert_true(kit_run(&k, &sweep.op));
    assert_int_equal(sweep.removed, 1);
    assert_true(sh_store_changes(k.s) & SH_TOPIC_RECORDS);
}

static void test_forget(void **state)
{
    (void)state;
    struct sh_phone_number number;
    struct sh_error err;
    unsigned said = 0;
    kit_apply(&k, kit_put("calls", "1", "{\"n\":\"+31201234567\"}"), NULL, 0);
    kit_apply(
        &k, kit_leave(SH_FX_CALLBACK, "", "{\"number\":\"+31201234567\",\"due_at\":9999999999999}"),
        NULL, 0);
    assert_true(sh_phone_number_parse(&number, "+31201234567", NULL, &err));
    struct sh_forget *f = sh_forget_new(&number, false);
    struct sh_op_forget op = {.op.kind = SH_OP_FORGET, .forget = f};
    (void)sh_store_changes(k.s);
    for (int i = 0; i < 100 && !op.over; i++) {
        if (!kit_run(&k, &op.op))
            fail_msg("forget: %s", op.op.err.msg);
        sh_forget_kept(f);
        said |= sh_store_changes(k.s);
        if (sh_forget_files(f, &(const char *const *){NULL}) > 0)
            sh_forget_files_gone(f);
    }
    sh_forget_free(f);
    assert_true(said & SH_TOPIC_RECORDS);
    assert_true(said & SH_TOPIC_CALLBACKS);
}

/* The command line beside an engine: noticed with the engine's next transaction. */
static void test_shared(void **state)
{
    (void)state;
    struct sh_error err = {0};
    struct sh_store_config c = kit_config(&k, false, NULL);
    c.shared = true;
    kit_accept(&k, "before");
    struct kit side = {.s = sh_store_open(&c, &err)};
    assert_non_null(side.s);
    struct sh_op_rule_set op = {.op.kind = SH_OP_RULE_SET, .rule = "R", .pause = true};
    assert_true(kit_run(&side, &op.op));
    sh_store_close(side.s);
    struct sh_op_fire fire = {.op.kind = SH_OP_FIRE, .now_ms = 1, .limit = 10};
    check("the next one, of nothing", &fire.op,
          "events runs callbacks outbox records timers rules generations");
    check("and the next", &fire.op, "");
}

/* No table is left out. */
static void test_every_table(void **state)
{
    (void)state;
    char names[4096];
    int n = 0;
    snprintf(names, sizeof(names), "%s",
             kit_sql(&k, "SELECT group_concat(name, ' ') FROM sqlite_schema WHERE type = 'table'"
                         " AND name GLOB 'sh_*'"));
    for (char *save = NULL, *name = strtok_r(names, " ", &save); name;
         name = strtok_r(NULL, " ", &save), n++) {
        unsigned topics;
        if (!sh_store_topics_of(name, &topics))
            fail_msg("store_change.c does not know the table %s", name);
    }
    assert_true(n > 20);
}

/* --- with threads ------------------------------------------------------------ */

enum { EVENTS = 300 };

struct asker {
    pthread_t thread;
    _Atomic bool stop;
    unsigned said;
};

static void *ask(void *arg)
{
    struct asker *a = arg;
    while (!atomic_load(&a->stop))
        a->said |= sh_store_changes(k.s);
    return NULL;
}

/* Asked all the time from another thread: each write is said to one of the two who ask. */
static void test_threads(void **state)
{
    (void)state;
    struct asker a = {.said = 0};
    unsigned said = 0;
    assert_int_equal(pthread_create(&a.thread, NULL, ask, &a), 0);
    for (int i = 0; i < EVENTS; i++) {
        char dedupe[32];
        snprintf(dedupe, sizeof(dedupe), "thread-%d", i);
        kit_accept(&k, dedupe);
        said |= sh_store_changes(k.s);
    }
    atomic_store(&a.stop, true);
    pthread_join(a.thread, NULL);
    assert_int_equal((said | a.said) & SH_TOPIC_EVENTS, SH_TOPIC_EVENTS);
    /* with the operation itself, not later */
    for (int i = 0; i < EVENTS; i++) {
        char dedupe[32];
        snprintf(dedupe, sizeof(dedupe), "alone-%d", i);
        (void)sh_store_changes(k.s);
        kit_accept(&k, dedupe);
        assert_true(sh_store_changes(k.s) & SH_TOPIC_EVENTS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_events, setup, teardown),
        cmocka_unit_test_setup_teardown(test_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deliveries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_people, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_companion, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prune, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_table, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup_threads, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
