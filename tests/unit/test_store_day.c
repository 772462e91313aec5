/* SPDX-License-Identifier: MIT
 * test_store_day.c: the callbacks of a day: which group, in which order, whose, how many. */
#include "store_kit.h"

#include "core/callback_day.h"

#define NOW    INT64_C(1780000000000)
#define MINUTE INT64_C(60000)
#define HOUR   (60 * MINUTE)

static struct kit k;
static sqlite3 *db;
static int serial;

static int setup(void **state)
{
    (void)state;
    struct sh_error err;
    serial = 0;
    kit_init(&k);
    kit_open(&k);
    char *path = sh_strf("%s/switchhook.db", k.dir);
    const struct sh_sqlite_config c = {.path = path, .cache_kib = 256, .busy_ms = 1000};
    db = sh_sqlite_open(&c, &err);
    free(path);
    return db ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    sh_sqlite_close(db);
    kit_end(&k);
    return 0;
}

/* assignee NULL: nobody's. */
static void call(const char *name, const char *status, int64_t due_ms, int64_t closed_ms,
                 const char *assignee)
{
    struct sh_error err;
    sqlite3_stmt *st = sh_sqlite_prepare(
        db,
        "INSERT INTO sh_callbacks(id, digits, name, due_ms, assignee, status, minutes, email,"
        " sequence, event_id, event_key, rule, depth, created_ms, updated_ms, closed_ms)"
        " VALUES(?1, ?1, ?2, ?3, ?4, ?5, 15, 0, 0, 'e', 'k', 'r', 0, 0, 0, ?6)",
        &err);
    char id[16];
    snprintf(id, sizeof(id), "%d", serial++);
    sh_sqlite_bind_str(st, 1, id);
    sh_sqlite_bind_str(st, 2, name);
    sh_sqlite_bind_int(st, 3, due_ms);
    sh_sqlite_bind_str(st, 4, assignee);
    sh_sqlite_bind_str(st, 5, status);
    if (closed_ms)
        sh_sqlite_bind_int(st, 6, closed_ms);
    if (!sh_sqlite_run(st, &err))
        fail_msg("%s", err.msg);
    sqlite3_finalize(st);
}

/* It is 10:00; days begin 10 hours ago, in 14 and in 38. */
static cJSON *day(const char *assignee)
{
    const struct sh_day_query q = {.now_ms = NOW,
                                   .today_ms = NOW - 10 * HOUR,
                                   .tomorrow_ms = NOW + 14 * HOUR,
                                   .after_ms = NOW + 38 * HOUR,
                                   .assignee = assignee};
    struct sh_error err;
    struct sh_store_view *v = sh_store_view_open(k.dir, &err);
    cJSON *tree = sh_store_view_day(v, &q, &err);
    sh_store_view_close(v);
    if (!tree)
        fail_msg("%s", err.msg);
    return tree;
}

/* "a b c": the names of a group's rows. */
static void expect(const cJSON *tree, const char *group, const char *wanted)
{
    char is[200] = "";
    size_t at = 0;
    const cJSON *row;
    cJSON_ArrayForEach(row, sh_json_member(tree, group))
    {
        at += (size_t)snprintf(is + at, sizeof(is) - at, "%s%s", at ? " " : "",
                               sh_json_string(row, "name"));
    }
    assert_string_equal(is, wanted);
    int64_t n = -1;
    assert_true(sh_json_get_int(sh_json_member(sh_json_member(tree, "counts"), group), &n));
    assert_int_equal(n, cJSON_GetArraySize(sh_json_member(tree, group)));
}

static int64_t number(const cJSON *o, const char *name)
{
    int64_t n = -1;
    assert_true(sh_json_get_int(sh_json_member(o, name), &n));
    return n;
}

static void a_day(void)
{
    call("late", "due", NOW - HOUR, 0, "Ann@example.org");
    call("oldest", "missed", NOW - 48 * HOUR, 0, "bob@example.org");
    call("not-told", "scheduled", NOW, 0, NULL);
    call("evening", "snoozed", NOW + 14 * HOUR - 1, 0, "ann@example.org");
    call("soon", "scheduled", NOW + 1, 0, "ann@example.org");
    call("tomorrow", "scheduled", NOW + 14 * HOUR, 0, "");
    call("last", "scheduled", NOW + 38 * HOUR - 1, 0, NULL);
    call("later", "scheduled", NOW + 38 * HOUR, 0, "ann@example.org");
    call("done", "done", NOW - HOUR, NOW - HOUR, "ann@example.org");
    call("done-first", "done", NOW + 99 * HOUR, NOW - 10 * HOUR, "bob@example.org");
    call("yesterday", "done", NOW, NOW - 10 * HOUR - 1, "ann@example.org");
    call("cancelled", "cancelled", NOW, NOW - HOUR, "ann@example.org");
}

static void groups_in_their_order(void **state)
{
    (void)state;
    a_day();
    cJSON *tree = day(NULL);
    expect(tree, "overdue", "oldest late not-told");
    expect(tree, "today", "soon evening");
    expect(tree, "tomorrow", "tomorrow last");
    expect(tree, "done_today", "done done-first");
    assert_int_equal(number(tree, "later"), 1);
    assert_int_equal(cJSON_GetArraySize(sh_json_member(tree, "more")), 0);
    assert_true(cJSON_IsFalse(sh_json_member(tree, "incomplete")));
    const cJSON *row = cJSON_GetArrayItem(sh_json_member(tree, "overdue"), 0);
    assert_string_equal(sh_json_string(row, "status"), "missed");
    assert_non_null(sh_json_string(row, "updated_at")); /* as a page has it */
    cJSON_Delete(tree);
}

static void of_one_assignee_and_whose_there_are(void **state)
{
    (void)state;
    a_day();
    cJSON *tree = day("ANN@example.org");
    expect(tree, "overdue", "late");
    expect(tree, "today", "soon evening");
    expect(tree, "tomorrow", "");
    expect(tree, "done_today", "done");
    assert_int_equal(number(tree, "later"), 1);
    const cJSON *list = sh_json_member(tree, "assignees");
    assert_int_equal(cJSON_GetArraySize(list), 3);
    const cJSON *ann = cJSON_GetArrayItem(list, 0), *none = cJSON_GetArrayItem(list, 1);
    assert_string_equal(sh_json_string(ann, "assignee"), "Ann@example.org");
    assert_int_equal(number(ann, "overdue"), 1);
    assert_int_equal(number(ann, "today"), 2);
    assert_int_equal(number(ann, "open"), 4);
    assert_true(cJSON_IsNull(sh_json_member(none, "assignee")));
    assert_int_equal(number(none, "open"), 3);
    cJSON_Delete(tree);
    tree = day("");
    expect(tree, "overdue", "not-told");
    expect(tree, "tomorrow", "tomorrow last");
    cJSON_Delete(tree);
    tree = day("nobody@example.org");
    expect(tree, "overdue", "");
    assert_int_equal(cJSON_GetArraySize(sh_json_member(tree, "assignees")), 3);
    cJSON_Delete(tree);
}

static void many(void **state)
{
    (void)state;
    struct sh_error err;
    char name[24];
    assert_true(sh_sqlite_exec(db, "BEGIN", &err));
    for (int i = 0; i < SH_DAY_LOOKS; i++) {
        snprintf(name, sizeof(name), "a%d", i % (SH_DAY_ASSIGNEES + 1));
        call("x", i % 2 ? "due" : "scheduled", i % 2 ? NOW - i : NOW + i + 1, 0, name);
    }
    assert_true(sh_sqlite_exec(db, "COMMIT", &err));
    cJSON *tree = day(NULL);
    assert_int_equal(cJSON_GetArraySize(sh_json_member(tree, "overdue")), SH_DAY_ROWS);
    assert_int_equal(number(sh_json_member(tree, "counts"), "overdue"), SH_DAY_LOOKS / 2);
    assert_int_equal(cJSON_GetArraySize(sh_json_member(tree, "more")), 3);
    assert_int_equal(cJSON_GetArraySize(sh_json_member(tree, "assignees")), SH_DAY_ASSIGNEES);
    assert_true(cJSON_IsFalse(sh_json_member(tree, "incomplete")));
    cJSON_Delete(tree);
    call("one too many", "due", NOW, 0, NULL);
    tree = day(NULL);
    assert_true(cJSON_IsTrue(sh_json_member(tree, "incomplete")));
    cJSON_Delete(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(groups_in_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(of_one_assignee_and_whose_there_are, setup, teardown),
        cmocka_unit_test_setup_teardown(many, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
