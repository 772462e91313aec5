/* SPDX-License-Identifier: MIT
 * test_store_audit.c: each change that a person asks for leaves one row that says who; what is
 * refused, or changes nothing, leaves none. And dead letters that are dropped, timers that are
 * cancelled. */
#include "store_kit.h"

#include "base/zone.h"
#include "core/callback.h"
#include "core/store_token.h"

static struct kit k;
static const struct sh_audit ann = {.who = "ann", .role = "operator", .peer = "192.0.2.7"};

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

/* The newest row as "who role peer action target detail"; NULL columns are "-". */
static const char *newest(void)
{
    return kit_sql(&k, "SELECT who || ' ' || role || ' ' || coalesce(peer, '-') || ' ' || action ||"
                       " ' ' || coalesce(target, '-') || ' ' || coalesce(detail, '-')"
                       " FROM sh_audit ORDER BY seq DESC LIMIT 1");
}

static int rows(void)
{
    return atoi(kit_sql(&k, "SELECT count(*) FROM sh_audit"));
}

static void event_with(const char *dedupe, struct sh_effect fx, char id[SH_ID_TEXT])
{
    struct kit_settle s;
    struct sh_id e = kit_accept(&k, dedupe);
    kit_settle_init(&s, e);
    kit_add_run(&s, "R", SH_RUN_DONE);
    kit_fx(&s, fx);
    if (!kit_run(&k, &s.op.op) || s.runs[0].outcome != SH_RUN_DONE)
        fail_msg("settle: %s", s.op.run_errors ? s.op.run_errors[0] : s.op.op.err.msg);
    kit_settle_free(&s);
    sh_id_text(e, id);
}

static void dead_run(const char *dedupe, const char *rule, char id[SH_ID_TEXT])
{
    struct kit_settle s;
    struct sh_id e = kit_accept(&k, dedupe);
    kit_settle_init(&s, e);
    kit_add_run(&s, rule, SH_RUN_FAILED)->attempt = 7;
    assert_true(kit_run(&k, &s.op.op));
    kit_settle_free(&s);
    sh_id_text(e, id);
}

/* A dead delivery of rule R; its id. */
static const char *dead_item(const char *dedupe, enum sh_effect_kind kind, const char *doc)
{
    static char id[80];
    char event[SH_ID_TEXT];
    event_with(dedupe, kit_leave(kind, "", doc), event);
    snprintf(id, sizeof(id), "%s",
             kit_sql(&k, "SELECT id FROM sh_outbox ORDER BY seq DESC LIMIT 1"));
    assert_true(kit_deliver(&k, id, SH_DELIVERY_DEAD, 0, "gone"));
    return id;
}

#define MAIL "{\"to\":[\"a@example.org\"],\"subject\":\"s\",\"text\":\"t\"}"
#define CALL "{\"method\":\"POST\",\"url\":\"http://crm.example.org/a\"}"

static struct sh_op_redrive dead_op(enum sh_op_kind kind, const char *id, const char *rule,
                                    const char *which)
{
    struct sh_op_redrive op = {
        .op = {.kind = kind, .audit = &ann}, .id = id, .rule = rule, .kind = which};
    assert_true(kit_run(&k, &op.op));
    return op;
}

/* --- every kind ----------------------------------------------------------------------------------
 */

/* On a data folder nothing that a person asks for goes without a name. Kinds are counted by the
 * switch in sh_op_is_asked(), which has no default. */
static void test_nothing_without_a_name(void **state)
{
    (void)state;
    struct sh_op_callback callback = {.op.kind = SH_OP_CALLBACK, .id = "x", .action = 1};
    struct sh_op_redrive redrive = {.op.kind = SH_OP_REDRIVE}, drop = {.op.kind = SH_OP_DROP};
    struct sh_op_rule_set rule = {.op.kind = SH_OP_RULE_SET, .rule = "R", .pause = true};
    struct sh_op_feed_new feed = {.op.kind = SH_OP_FEED_NEW, .assignee = "a@example.org"};
    struct sh_op_timer_cancel timer = {.op.kind = SH_OP_TIMER_CANCEL, .name = "t"};
    struct sh_op_token_new token = {.op.kind = SH_OP_TOKEN_NEW, .name = "t", .role = "viewer"};
    struct sh_op_token_revoke revoke = {.op.kind = SH_OP_TOKEN_REVOKE, .name = "t"};
    struct sh_op_session_new session = {.op.kind = SH_OP_SESSION_NEW};
    struct sh_op_session_end end = {.op.kind = SH_OP_SESSION_END};
    struct sh_op audit = {.kind = SH_OP_AUDIT};
    struct sh_op *const ops[] = {&callback.op, &redrive.op, &drop.op,  &rule.op,
                                 &feed.op,     &timer.op,   &token.op, &revoke.op,
                                 &audit,       &session.op, &end.op};
    size_t asked = 0;
    for (int kind = SH_OP_ACCEPT; kind <= SH_OP_SESSIONS; kind++)
        asked += sh_op_is_asked((enum sh_op_kind)kind);
    assert_int_equal(asked, sizeof(ops) / sizeof(*ops));
    for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
        assert_true(sh_op_is_asked(ops[i]->kind));
        sh_store_submit(k.s, ops[i]); /* not through the kit, which gives a name */
        sh_store_reap(k.s);
        assert_false(ops[i]->ok);
        assert_non_null(strstr(ops[i]->err.msg, "who asks"));
    }
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_rules"), "0");
    assert_int_equal(rows(), 0);
}

static void test_own_words(void **state)
{
    (void)state;
    const struct sh_audit reload = {
        .who = "ann", .role = "admin", .action = "reload", .target = "x", .detail = "{\"a\":1}"};
    struct sh_op op = {.kind = SH_OP_AUDIT, .audit = &reload};
    assert_true(kit_run(&k, &op));
    assert_string_equal(newest(), "ann admin - reload x {\"a\":1}");
}

static void test_callbacks(void **state)
{
    (void)state;
    char event[SH_ID_TEXT], id[64], want[300];
    event_with("c",
               kit_leave(SH_FX_CALLBACK, "",
                         "{\"number\":\"+31201234567\",\"due_at\":4102444800000,\"email\":false}"),
               event);
    snprintf(id, sizeof(id), "%s", kit_sql(&k, "SELECT id FROM sh_callbacks"));
    struct sh_op_callback op = {.op = {.kind = SH_OP_CALLBACK, .audit = &ann},
                                .id = id,
                                .action = SH_CALLBACK_REASSIGN,
                                .by = "Ann",
                                .note = "her mother is ill",
                                .assignee = "desk@example.org"};
    char prefix[7];
    snprintf(prefix, sizeof(prefix), "%.6s", id);
    op.id = prefix;
    assert_true(kit_run(&k, &op.op));
    assert_string_equal(op.found, id);
    assert_string_equal(op.status, "scheduled");
    snprintf(want, sizeof(want),
             "ann operator 192.0.2.7 callback.reassign %s {\"to\":\"desk@example.org\",\"by\":"
             "\"Ann\"}",
             id);
    assert_string_equal(newest(), want);
    op = (struct sh_op_callback){
        .op = {.kind = SH_OP_CALLBACK, .audit = &ann}, .id = id, .action = SH_CALLBACK_DONE};
    assert_true(kit_run(&k, &op.op));
    assert_string_equal(op.status, "done");
    snprintf(want, sizeof(want), "ann operator 192.0.2.7 callback.done %s -", id);
    assert_string_equal(newest(), want);
    assert_int_equal(rows(), 2);
    assert_false(kit_run(&k, &op.op)); /* closed */
    assert_int_equal(op.op.err.code, SH_ECONFLICT);
    assert_string_equal(op.status, "done");
    assert_int_equal(rows(), 2);
}

static void test_rules(void **state)
{
    (void)state;
    struct sh_op_rule_set op = {
        .op = {.kind = SH_OP_RULE_SET, .audit = &ann}, .rule = "R", .pause = true, .by = "ann"};
    assert_true(kit_run(&k, &op.op));
    assert_string_equal(newest(),
                        "ann operator 192.0.2.7 rule.pause R {\"kept\":0,\"by\":\"ann\"}");
    assert_true(kit_run(&k, &op.op)); /* it is so already */
    assert_int_equal(rows(), 1);
    op.pause = false;
    assert_true(kit_run(&k, &op.op));
    assert_int_equal(rows(), 2);
    assert_false(kit_run(&k, &op.op));
    assert_int_equal(rows(), 2);
}

/* Companions of one batch: only what is done leaves a row. */
static void test_beside_a_refusal(void **state)
{
    (void)state;
    kit_close(&k);
    kit_open_as(&k, true, NULL);
    struct sh_op_rule_set good = {
        .op = {.kind = SH_OP_RULE_SET, .audit = &ann}, .rule = "A", .pause = true};
    struct sh_op_rule_set bad = {.op = {.kind = SH_OP_RULE_SET, .audit = &ann}, .rule = "B"};
    struct sh_op_rule_set more = {
        .op = {.kind = SH_OP_RULE_SET, .audit = &ann}, .rule = "C", .pause = true};
    struct sh_op *ops[] = {&good.op, &bad.op, &more.op};
    kit_run_all(&k, ops, 3);
    assert_true(good.op.ok && !bad.op.ok && more.op.ok);
    assert_string_equal(kit_sql(&k, "SELECT group_concat(target, '') FROM sh_audit"), "AC");
}

/* --- dead letters --------------------------------------------------------------------------------
 */

static void test_drop_runs(void **state)
{
    (void)state;
    char a[SH_ID_TEXT], b[SH_ID_TEXT], c[SH_ID_TEXT];
    dead_run("a", "one", a);
    dead_run("b", "gone", b);
    dead_run("c", "gone", c);
    assert_int_equal(kit_count(&k).dead_runs, 3);
    assert_int_equal(dead_op(SH_OP_DROP, a, "two", NULL).n_runs, 0);
    assert_int_equal(rows(), 0); /* nothing was done */
    assert_int_equal(dead_op(SH_OP_DROP, a, NULL, NULL).n_runs, 1);
    char want[200];
    snprintf(want, sizeof(want),
             "ann operator 192.0.2.7 dead.drop %s {\"runs\":1,\"deliveries\":0}", a);
    assert_string_equal(newest(), want);
    assert_int_equal(dead_op(SH_OP_DROP, NULL, "gone", NULL).n_runs, 2);
    assert_string_equal(
        newest(),
        "ann operator 192.0.2.7 dead.drop - {\"rule\":\"gone\",\"runs\":2,\"deliveries\":0}");
    assert_int_equal(kit_count(&k).dead_runs, 0);
    /* still to be seen, over for good, and pruned as what ended well */
    assert_int_equal(
        kit_list_size(&k, (struct sh_list_query){.what = SH_LIST_RUNS, .state = "dropped"}), 3);
    assert_int_equal(
        kit_list_size(&k, (struct sh_list_query){.what = SH_LIST_EVENTS, .state = "dead"}), 0);
    assert_int_equal(dead_op(SH_OP_REDRIVE, NULL, NULL, NULL).n_runs, 0);
    struct sh_op_prune prune = {
        .op.kind = SH_OP_PRUNE, .before_ms = sh_now_ms() + 1000, .limit = 100};
    assert_true(kit_run(&k, &prune.op));
    assert_int_equal(prune.removed, 3);
}

/* A result that comes after it was dropped changes nothing. */
static void test_late_result(void **state)
{
    (void)state;
    char a[SH_ID_TEXT];
    struct sh_id id;
    struct kit_settle s;
    dead_run("a", "one", a);
    assert_int_equal(dead_op(SH_OP_DROP, a, NULL, NULL).n_runs, 1);
    assert_true(sh_id_parse(a, strlen(a), &id));
    kit_settle_init(&s, id);
    kit_add_run(&s, "one", SH_RUN_DONE);
    kit_fx(&s, kit_put("calls", "x", "{}"));
    assert_true(kit_run(&k, &s.op.op));
    kit_settle_free(&s);
    assert_string_equal(kit_sql(&k, "SELECT outcome FROM sh_runs"), "dropped");
    assert_string_equal(kit_doc(&k, "calls", "x"), "");
}

static void test_drop_items(void **state)
{
    (void)state;
    char mail[80], call[80], run[SH_ID_TEXT];
    snprintf(mail, sizeof(mail), "%s", dead_item("m", SH_FX_EMAIL, MAIL));
    snprintf(call, sizeof(call), "%s", dead_item("h", SH_FX_HTTP, CALL));
    dead_run("r", "R", run);
    assert_int_equal(kit_count(&k).dead_items, 2);
    assert_int_equal(dead_op(SH_OP_DROP, mail, NULL, NULL).n_items, 1);
    assert_int_equal(dead_op(SH_OP_REDRIVE, mail, NULL, NULL).n_items, 0);
    /* a rule's dead letters of one kind alone */
    struct sh_op_redrive op = dead_op(SH_OP_REDRIVE, NULL, "R", "email");
    assert_int_equal(op.n_items + op.n_runs, 0);
    op = dead_op(SH_OP_REDRIVE, NULL, "R", "http");
    assert_int_equal(op.n_items, 1);
    assert_int_equal(op.n_runs, 0);
    assert_true(kit_deliver(&k, call, SH_DELIVERY_DEAD, 0, "again"));
    op = dead_op(SH_OP_DROP, NULL, "R", NULL);
    assert_int_equal(op.n_items, 1);
    assert_int_equal(op.n_runs, 1);
    assert_int_equal(kit_count(&k).dead_items, 0);
    assert_int_equal(
        kit_list_size(&k, (struct sh_list_query){.what = SH_LIST_OUTBOX, .state = "dropped"}), 2);
    assert_false(kit_deliver(&k, call, SH_DELIVERY_SENT, 0, NULL)); /* a late verdict */
    struct sh_op_prune prune = {
        .op.kind = SH_OP_PRUNE, .before_ms = sh_now_ms() + 1000, .limit = 100};
    assert_true(kit_run(&k, &prune.op));
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_outbox"), "0");
}

/* --- timers --------------------------------------------------------------------------------------
 */

static void test_cancel_timer(void **state)
{
    (void)state;
    char event[SH_ID_TEXT];
    struct sh_effect fx = kit_leave(SH_FX_TIMER, "late", "{}");
    fx.id = SH_SLICE("missed it");
    fx.is_int = true;
    fx.n_int = 4102444800000;
    event_with("t", fx, event);
    const struct sh_clock clock = {.rule = "Digest", .every = "18:00", .zone = "UTC"};
    struct sh_op_clocks clocks = {
        .op.kind = SH_OP_CLOCKS, .clocks = &clock, .n_clocks = 1, .now_ms = sh_now_ms()};
    assert_true(kit_run(&k, &clocks.op));
    struct sh_op_timer_cancel op = {.op = {.kind = SH_OP_TIMER_CANCEL, .audit = &ann},
                                    .name = "missed it"};
    assert_true(kit_run(&k, &op.op));
    assert_true(op.due_ms == 4102444800000);
    assert_string_equal(newest(), "ann operator 192.0.2.7 timer.cancel missed it"
                                  " {\"due\":\"2100-01-01T00:00:00.000Z\"}");
    assert_false(kit_run(&k, &op.op));
    assert_int_equal(op.op.err.code, SH_ENOTFOUND);
    op.name = "Digest";
    assert_false(kit_run(&k, &op.op));
    assert_int_equal(op.op.err.code, SH_ECONFLICT);
    assert_int_equal(rows(), 1);
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_timers"), "1");
}

int main(void)
{
    sh_zones_load(NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_without_a_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_words, setup, teardown),
        cmocka_unit_test_setup_teardown(test_callbacks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(test_beside_a_refusal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drop_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late_result, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drop_items, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel_timer, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
