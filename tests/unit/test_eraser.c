/* SPDX-License-Identifier: MIT
 * test_eraser.c: forgetting a caller, where something gets in its way: who began it is known, and
 * what it could not do has cost nothing. */
#include "store_kit.h"

#include "app/eraser.h"

static struct kit k;

static int setup(void **state)
{
    (void)state;
    kit_init(&k);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_end(&k);
    return 0;
}

#define NUMBER "+31612345678"

static struct sh_id call_of(const char *dedupe)
{
    struct sh_op_accept op = {.op.kind = SH_OP_ACCEPT};
    op.event = kit_event(dedupe, dedupe, "{\"remote_number\":\"" NUMBER "\"}");
    assert_true(kit_run(&k, &op.op));
    struct sh_id id = op.event->id;
    sh_event_free(op.event);
    return id;
}

static bool erase(bool dry)
{
    struct sh_error err = {0};
    cJSON *report;
    const struct sh_eraser_order order = {
        .number = NUMBER, .dry = dry, .who = "ann", .role = "local"};
    bool ok = sh_erase_now(k.s, k.dir, NULL, &order, NULL, &report, &err);
    cJSON_Delete(report);
    return ok;
}

/* A write that cannot be done: an index of what no integer holds. (The engine runs no triggers.) */
#define STUCK(table, when)                                                                         \
    "CREATE INDEX stuck ON " table "(CASE WHEN " when " THEN abs(-9223372036854775807 - 1) END)"

#define AUDIT "SELECT group_concat(who || ' ' || action || iif(detail IS NULL, '', ' n'), ', ')"

/* That somebody began stands there before anything is gone. */
static void test_audit(void **state)
{
    (void)state;
    kit_open(&k);
    (void)call_of("call-00001");
    assert_true(erase(true));
    assert_string_equal(kit_sql(&k, AUDIT " FROM sh_audit"), "");
    kit_sql(&k, STUCK("sh_events", "body = CAST('{\"forgotten\":true}' AS BLOB)"));
    assert_false(erase(false));
    assert_string_equal(kit_sql(&k, AUDIT " FROM sh_audit"), "ann forget.begin");
    kit_sql(&k, "DROP INDEX stuck");
    assert_true(erase(false));
    assert_string_equal(kit_sql(&k, AUDIT " FROM sh_audit"),
                        "ann forget.begin, ann forget.begin, ann forget n");
    assert_string_equal(kit_sql(&k, "SELECT body FROM sh_events"), "{\"forgotten\":true}");
}

/* A slice that the store refuses has not forgotten an event whose rules are under way. */
static void test_refused_slice(void **state)
{
    (void)state;
    struct sh_phone_number number;
    struct sh_error err;
    struct kit_settle s;
    kit_open_as(&k, true, NULL);
    struct sh_id id = call_of("call-00001");
    kit_sql(&k, STUCK("sh_forgotten", "seq IS NOT NULL"));
    assert_true(sh_phone_number_parse(&number, NUMBER, NULL, &err));
    struct sh_forget *f = sh_forget_new(&number, false);
    struct sh_op_forget op = {.op.kind = SH_OP_FORGET, .forget = f};
    while (kit_run(&k, &op.op)) {
        assert_false(op.over);
        sh_forget_kept(f);
    }
    sh_forget_free(f);
    kit_settle_init(&s, id);
    kit_add_run(&s, "rule", SH_RUN_DONE);
    kit_fx(&s, kit_put("calls", "one", "{\"n\":1}"));
    assert_true(kit_run(&k, &s.op.op));
    kit_settle_free(&s);
    assert_string_equal(kit_doc(&k, "calls", "one"), "{\"n\":1}");
}

/* A delivery that an erasure has made blank, and not removed yet, is nothing to bring back or drop.
 */
static void test_blank_delivery(void **state)
{
    (void)state;
    kit_open(&k);
    kit_apply(&k, kit_leave(SH_FX_EMAIL, "", "{\"to\":[\"a@example.org\"],\"text\":\"a\"}"), NULL,
              0);
    kit_apply(&k, kit_leave(SH_FX_EMAIL, "", "{\"to\":[\"b@example.org\"],\"text\":\"b\"}"), NULL,
              0);
    kit_sql(&k, "UPDATE sh_outbox SET state = 'dead', next_ms = NULL");
    kit_sql(&k, "UPDATE sh_outbox SET payload = '{\"forgotten\":true}' WHERE seq = 1");
    for (int drop = 0; drop <= 1; drop++) {
        struct sh_op_redrive op = {.op.kind = drop ? SH_OP_DROP : SH_OP_REDRIVE};
        assert_true(kit_run(&k, &op.op));
        assert_int_equal(op.n_items, 1);
        assert_string_equal(kit_sql(&k, "SELECT state FROM sh_outbox WHERE seq = 1"), "dead");
        kit_sql(&k, "UPDATE sh_outbox SET state = 'dead', next_ms = NULL");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_audit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_slice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blank_delivery, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
