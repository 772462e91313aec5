/* SPDX-License-Identifier: MIT
 * test_store_prune.c: each kind of thing goes at its own age, and nothing that is unfinished. */
#include "store_kit.h"

#include "core/store_backup.h"

static struct kit k;

static int set_up(void **state)
{
    (void)state;
    kit_init(&k);
    kit_open(&k);
    return 0;
}

/* What is left is what the engine relies on. The runs made here have a generation that is none. */
static void verify(void)
{
    struct sh_error err = {0};
    cJSON *report = NULL;
    const cJSON *check;
    kit_close(&k);
    if (!sh_store_verify_dir(k.dir, NULL, &report, &err))
        fail_msg("verify: %s", err.msg);
    cJSON_ArrayForEach(check, sh_json_member(report, "checks"))
    {
        const char *name = sh_json_string(check, "check");
        if (!cJSON_IsTrue(sh_json_member(check, "ok")) && strcmp(name, "run-generations") != 0)
            fail_msg("%s", cJSON_PrintUnformatted(check));
    }
    cJSON_Delete(report);
}

static int tear_down(void **state)
{
    (void)state;
    kit_end(&k);
    return 0;
}

#define DAY (24LL * 3600 * 1000)

/* Removes what is that old a year from now; the sweep goes through whole. */
static void prune(struct sh_retain *retain)
{
    struct sh_op_prune op = {.op.kind = SH_OP_PRUNE,
                             .retain = retain,
                             .now_ms = sh_now_ms() + 365 * DAY,
                             .limit = 3,
                             .sweep = true};
    do {
        op.sweep_row = op.swept_to;
        if (!kit_run(&k, &op.op))
            fail_msg("prune: %s", op.op.err.msg);
    } while (op.removed >= op.limit || !op.swept);
}

/* An event "dedupe", of which the rule "one" ended so and "two" ended well, with effects. */
static void settled(const char *dedupe, enum sh_outcome outcome)
{
    char id[32];
    struct kit_settle s;
    snprintf(id, sizeof(id), "id-%s", dedupe);
    kit_settle_init(&s, kit_accept(&k, dedupe));
    kit_add_run(&s, "two", SH_RUN_DONE);
    kit_fx(&s, kit_put("calls", id, "{\"n\":1}"));
    kit_fx(&s, kit_put("notes", id, "{\"m\":1}"));
    kit_add_run(&s, "one", outcome)->retry_at_ms = 0;
    assert_true(kit_run(&k, &s.op.op));
    kit_settle_free(&s);
}

static const char *count(const char *what)
{
    char sql[300];
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", what);
    return kit_sql(&k, sql);
}

static void test_each_by_its_age(void **state)
{
    (void)state;
    settled("a", SH_RUN_DONE);
    settled("b", SH_RUN_FAILED); /* a dead letter */
    kit_accept(&k, "c");         /* nothing has run on it */
    struct sh_retain runs = {.runs_ms = 100 * DAY};
    prune(&runs);
    assert_string_equal(count("sh_events"), "3");
    assert_string_equal(count("sh_runs"), "1");
    assert_string_equal(kit_sql(&k, "SELECT outcome FROM sh_runs"), "dead");
    struct sh_retain young = {.events_ms = 400 * DAY, .records_ms = 400 * DAY};
    prune(&young);
    assert_string_equal(count("sh_events"), "3");
    assert_string_equal(count("sh_records"), "4");
    struct sh_retain events = {.events_ms = 300 * DAY};
    prune(&events);
    assert_string_equal(count("sh_events"), "2"); /* of the dead letter, and the unfinished */
    assert_string_equal(count("sh_records"), "4");
    verify();
}

/* A run that ended well keeps its rule from running again as long as the event is unfinished. */
static void test_runs_of_the_unfinished_stay(void **state)
{
    (void)state;
    struct kit_settle s;
    kit_settle_init(&s, kit_accept(&k, "a"));
    kit_add_run(&s, "one", SH_RUN_DONE);
    s.op.closes = false;
    assert_true(kit_run(&k, &s.op.op));
    kit_settle_free(&s);
    struct sh_retain runs = {.runs_ms = DAY};
    prune(&runs);
    assert_string_equal(count("sh_runs"), "1");
    verify();
}

static void test_records_by_collection(void **state)
{
    (void)state;
    char name[] = "calls";
    for (int i = 0; i < 40; i++) {
        char dedupe[16];
        snprintf(dedupe, sizeof(dedupe), "e%d", i);
        settled(dedupe, SH_RUN_DONE);
    }
    struct sh_retain retain = {.n_collections = 1};
    retain.collections = sh_alloc(1, sizeof(*retain.collections));
    retain.collections[0].name = name;
    retain.collections[0].ms = 400 * DAY;
    retain.records_ms = 100 * DAY;
    prune(&retain);
    assert_string_equal(count("sh_records WHERE collection = 'notes'"), "0");
    assert_string_equal(count("calls"), "40"); /* the view */
    assert_string_equal(count("notes"), "0");
    retain.collections[0].ms = 100 * DAY;
    retain.records_ms = 0;
    prune(&retain);
    assert_string_equal(count("calls"), "0");
    settled("new", SH_RUN_DONE);
    assert_string_equal(kit_sql(&k, "SELECT n FROM calls"), "1");
    free(retain.collections);
    verify();
}

static void sql(const char *text)
{
    struct sh_error err;
    struct sh_sqlite_config c = {.busy_ms = 5000};
    char path[128];
    snprintf(path, sizeof(path), "%s/switchhook.db", k.dir);
    c.path = path;
    sqlite3 *db = sh_sqlite_open(&c, &err);
    if (!db || !sh_sqlite_exec(db, text, &err))
        fail_msg("%s", err.msg);
    sh_sqlite_close(db);
}

static void test_callbacks_and_audit(void **state)
{
    (void)state;
    static const char *const states[] = {"done", "cancelled", "missed", "scheduled"};
    for (int i = 0; i < 4; i++) {
        char text[600];
        snprintf(text, sizeof(text),
                 "INSERT INTO sh_callbacks(id, digits, due_ms, status, minutes, email, sequence,"
                 " event_id, event_key, rule, depth, created_ms, updated_ms, closed_ms) VALUES("
                 "'c%d', '1', 9999999999999, '%s', 15, 0, 0, 'e', 'k', 'r', 0, 1, 1, %s);"
                 "INSERT INTO sh_callback_changes VALUES('c%d', 1, 1, 'added', 'r', 'x');"
                 "INSERT INTO sh_audit(at_ms, who, role, action) VALUES(1, 'a', 'b', 'c')",
                 i, states[i], i < 2 ? "1" : "NULL", i);
        sql(text);
    }
    struct sh_retain retain = {.callbacks_ms = DAY};
    prune(&retain);
    assert_string_equal(count("sh_callbacks"), "2");
    assert_string_equal(count("sh_callback_changes"), "2");
    assert_string_equal(count("sh_callbacks WHERE status IN ('missed', 'scheduled')"), "2");
    assert_string_equal(count("sh_audit"), "4");
    retain = (struct sh_retain){.audit_ms = DAY};
    prune(&retain);
    assert_string_equal(count("sh_audit"), "0");
}

static void live(const char *id)
{
    char text[700];
    snprintf(text, sizeof(text),
             "INSERT OR REPLACE INTO sh_generations VALUES('%s', 1, 1);"
             "INSERT INTO sh_generation_lives(generation, live_ms, cause, changes)"
             " VALUES('%s', 1, 'start', '[]');"
             "INSERT INTO sh_generation_texts(text) VALUES(CAST('%s' AS BLOB));"
             "INSERT OR IGNORE INTO sh_generation_parts VALUES('%s', 'a.lua', 1,"
             " last_insert_rowid())",
             id, id, id, id);
    sql(text);
}

static void test_rule_sets(void **state)
{
    (void)state;
    live("old");
    live("named");
    live("again");
    live("gone");
    live("again");
    sql("INSERT INTO sh_runs(seq, rule, generation, outcome, attempts, effects, duration_us,"
        " started_ms) VALUES(1, 'r', 'named', 'dead', 7, '[]', 0, 1)");
    struct sh_retain retain = {.generations_ms = DAY, .events_ms = DAY, .runs_ms = 0};
    for (int i = 0; i < 4; i++)
        prune(&retain);
    assert_string_equal(count("sh_generations"), "4"); /* runs are kept for good: so are these */
    retain.runs_ms = 2 * DAY;
    for (int i = 0; i < 4; i++)
        prune(&retain);
    assert_string_equal(kit_sql(&k, "SELECT group_concat(id) FROM (SELECT id FROM sh_generations"
                                    " ORDER BY id)"),
                        "again,named");
    assert_string_equal(count("sh_generation_lives"), "3");
    assert_string_equal(count("sh_generation_texts t LEFT JOIN sh_generation_parts p ON p.text ="
                              " t.id WHERE p.text IS NULL"),
                        "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_by_its_age, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_runs_of_the_unfinished_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_records_by_collection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_callbacks_and_audit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rule_sets, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
