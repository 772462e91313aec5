/* SPDX-License-Identifier: MIT
 * test_schema.c: stores of every schema there was (tests/schema), upgraded and taken back: nothing
 * is lost on the way, and where they end is the same as where others begin. */
#include "store_kit.h"

#include "core/store_impl.h"
#include "core/store_move.h"
#include "fault_disk.h"

#include "base/zone.h"

#define NEWEST SH_STORE_SCHEMA

/* The first is schema 1 too, as its first release had it. */
static const char *const fixtures[] = {"1-first", "1", "2", "3", "4"};
#define N_FIXTURES (sizeof(fixtures) / sizeof(*fixtures))

static struct kit k, other;

static int setup(void **state)
{
    (void)state;
    sh_zones_load(NULL);
    kit_init(&k);
    kit_init(&other);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_end(&k);
    kit_end(&other);
    return 0;
}

/* --- stores ----------------------------------------------------------------------------------- */

static char *read_text(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s: not there; run tests from the project's folder", path);
    char *text = calloc(1, 1 << 20);
    size_t n = fread(text, 1, (1 << 20) - 1, f);
    assert_true(n > 0 && n < (1 << 20) - 1);
    fclose(f);
    return text;
}

static sqlite3 *open_raw(struct kit *kit)
{
    char path[128];
    sqlite3 *db;
    snprintf(path, sizeof(path), "%s/switchhook.db", kit->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

static void exec(sqlite3 *db, const char *sql)
{
    char *why = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%.200s: %s", sql, why);
}

/* In the place of what was there. */
static void load(struct kit *kit, const char *fixture)
{
    char path[128];
    kit_remove_dir(kit->dir);
    assert_int_equal(mkdir(kit->dir, 0700), 0);
    snprintf(path, sizeof(path), "tests/schema/schema-%s.sql", fixture);
    char *sql = read_text(path);
    sqlite3 *db = open_raw(kit);
    exec(db, sql);
    sqlite3_close(db);
    free(sql);
}

static void fresh(struct kit *kit)
{
    kit_remove_dir(kit->dir);
    kit_open(kit);
    kit_close(kit);
}

/* What a query gives, row by row; caller frees. */
static char *ask(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st;
    struct sh_buf out;
    sh_buf_init(&out, 16 << 20);
    sh_buf_adds(&out, "");
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    while (sqlite3_step(st) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(st); i++) {
            const char *text = (const char *)sqlite3_column_text(st, i);
            sh_buf_addf(&out, "%s|", text ? text : "NULL");
        }
        sh_buf_adds(&out, "\n");
    }
    assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
    char *text = strdup(out.len ? out.data : "");
    sh_buf_free(&out);
    return text;
}

static int64_t ask_number(struct kit *kit, const char *sql)
{
    return strtoll(kit_sql(kit, sql), NULL, 10);
}

static void assert_same_schema(struct kit *a, struct kit *b)
{
    static const char sql[] =
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE type <> 'view' ORDER BY 1, 2";
    sqlite3 *da = open_raw(a), *db = open_raw(b);
    char *ta = ask(da, sql), *tb = ask(db, sql);
    assert_string_equal(ta, tb);
    free(ta);
    free(tb);
    sqlite3_close(da);
    sqlite3_close(db);
}

/* --- rows ------------------------------------------------------------------------------------- */

/* Every table of a store, with the columns that both schemas have. */
struct rows {
    char *names[64], *columns[64], *text[64];
    size_t n;
};

static void keep_table(sqlite3 *db, struct rows *r, const char *name, const char *columns)
{
    char sql[2048];
    snprintf(sql, sizeof(sql), "SELECT %s FROM \"%s\" ORDER BY 1", columns, name);
    r->names[r->n] = strdup(name);
    r->columns[r->n] = strdup(columns);
    r->text[r->n++] = ask(db, sql);
    assert_true(r->n < 64);
}

/* Of every table that the other store has too. skip: " sh_a sh_b.column ", what may differ. */
static struct rows rows_of(struct kit *kit, struct kit *also_in, const char *skip)
{
    struct rows r = {.n = 0};
    char sql[1024], word[80], *save;
    sqlite3 *db = open_raw(kit);
    snprintf(sql, sizeof(sql), "ATTACH '%s/switchhook.db' AS o", also_in->dir);
    exec(db, sql);
    char *names = ask(db, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')");
    for (char *name = strtok_r(names, "|\n", &save); name; name = strtok_r(NULL, "|\n", &save)) {
        snprintf(word, sizeof(word), " %s ", name);
        if (strstr(skip, word) || strcmp(name, "sqlite_sequence") == 0)
            continue;
        snprintf(sql, sizeof(sql),
                 "SELECT group_concat('quote(\"' || a.name || '\")')"
                 " FROM pragma_table_info('%s', 'main') a JOIN pragma_table_info('%s', '%s') b"
                 " ON a.name = b.name WHERE instr('%s', ' %s.' || a.name || ' ') = 0",
                 name, name, strncmp(name, "sh_", 3) == 0 ? "o" : "main", skip, name);
        char *columns = ask(db, sql);
        *strchr(columns, '|') = '\0';
        if (strcmp(columns, "NULL") != 0)
            keep_table(db, &r, name, columns);
        free(columns);
    }
    free(names);
    sqlite3_close(db);
    return r;
}

static void assert_rows(struct kit *kit, struct rows *r)
{
    sqlite3 *db = open_raw(kit);
    assert_true(r->n > 5);
    for (size_t i = 0; i < r->n; i++) {
        char sql[2048];
        snprintf(sql, sizeof(sql), "SELECT %s FROM \"%s\" ORDER BY 1", r->columns[i], r->names[i]);
        char *now = ask(db, sql);
        if (strcmp(now, r->text[i]) != 0)
            fail_msg("%s has changed:\n%s\n%s", r->names[i], r->text[i], now);
        free(now);
    }
    sqlite3_close(db);
}

static void free_rows(struct rows *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->names[i]);
        free(r->columns[i]);
        free(r->text[i]);
    }
}

/* --- up --------------------------------------------------------------------------------------- */

static void move_to(struct kit *kit, int to)
{
    struct sh_error err = {0};
    struct sh_store_move *m = sh_store_move_open(kit->dir, to, &err);
    if (!m || !sh_store_move_go(m, &err))
        fail_msg("to schema %d: %s", to, err.msg);
    sh_store_move_close(m);
}

/* What the first release kept otherwise, and the note of the steps. */
#define MAY_DIFFER " sh_migrations sh_outbox.next_ms sh_callbacks.due_ms "

static void test_up(void **state)
{
    (void)state;
    fresh(&other);
    for (size_t i = 0; i < N_FIXTURES; i++) {
        load(&k, fixtures[i]);
        struct rows before = rows_of(&k, &other, i == 0 ? MAY_DIFFER : " sh_migrations ");
        move_to(&k, NEWEST);
        assert_same_schema(&k, &other);
        assert_rows(&k, &before);
        assert_int_equal(ask_number(&k, "SELECT count(*) FROM sh_migrations"), NEWEST);
        assert_string_equal(kit_sql(&k, "PRAGMA integrity_check"), "ok");
        free_rows(&before);
    }
}

/* An older schema goes up in the midst, too: from N to N + 1 is what a binary in between makes. */
static void test_up_step_by_step(void **state)
{
    (void)state;
    load(&k, "1-first");
    for (int v = 1; v <= NEWEST; v++) {
        char name[8];
        snprintf(name, sizeof(name), "%d", v);
        move_to(&k, v);
        load(&other, name);
        if (v > 1) /* nothing to do for 1: it says 1 already */
            assert_same_schema(&k, &other);
    }
}

/* Callbacks and emails of the first release have what later ones need. */
static void test_first_release(void **state)
{
    (void)state;
    load(&k, "1-first");
    const int64_t callbacks = ask_number(&k, "SELECT count(*) FROM sh_callbacks");
    move_to(&k, NEWEST);
    assert_int_equal(ask_number(&k, "SELECT count(*) FROM sh_callbacks"), callbacks);
    assert_string_equal(kit_sql(&k, "SELECT digits FROM sh_callbacks WHERE number ="
                                    " '+31 30 555 0101' LIMIT 1"),
                        "+31305550101");
    /* overdue ones invite nobody, those to come do */
    assert_string_equal(kit_sql(&k, "SELECT group_concat(DISTINCT email) FROM sh_callbacks WHERE"
                                    " number = '+31 30 555 0101'"),
                        "0");
    assert_string_equal(kit_sql(&k, "SELECT group_concat(DISTINCT email || event_key) FROM"
                                    " sh_callbacks WHERE number = '+31305550103'"),
                        "1c2");
    assert_int_equal(ask_number(&k, "SELECT count(*) FROM sh_callback_changes"), callbacks);
    assert_string_equal(kit_sql(&k, "SELECT lane || ' ' || event_key || ' ' || depth || ' ' ||"
                                    " (next_ms > 0) FROM sh_outbox WHERE state = 'queued'"),
                        "email c2 0 1");
}

/* --- down ------------------------------------------------------------------------------------- */

/* What stands in the way, done by hand. */
static void clear_the_way(struct kit *kit)
{
    sqlite3 *db = open_raw(kit);
    exec(db, "UPDATE sh_runs SET outcome = 'retry', next_ms = 1 WHERE outcome = 'paused';"
             "UPDATE sh_rules SET state = 'on'");
    sqlite3_close(db);
}

static void test_down_and_up(void **state)
{
    (void)state;
    for (int to = NEWEST - 1; to >= 1; to--) {
        char name[8];
        snprintf(name, sizeof(name), "%d", to);
        load(&k, "4");
        clear_the_way(&k);
        load(&other, name);
        struct rows before = rows_of(
            &k, &other, " sh_migrations sh_unfinished sh_meta sh_rules sh_generation_lives ");
        move_to(&k, to);
        assert_same_schema(&k, &other);
        assert_rows(&k, &before);
        assert_int_equal(ask_number(&k, "SELECT max(version) FROM sh_migrations"), to);
        free_rows(&before);
        fresh(&other);
        before = rows_of(&k, &other, " sh_migrations sh_meta ");
        move_to(&k, NEWEST);
        assert_same_schema(&k, &other);
        assert_rows(&k, &before);
        free_rows(&before);
        /* which events are forms is known again */
        assert_int_equal(ask_number(&k, "SELECT format FROM sh_events WHERE type = 'form'"), 1);
        assert_string_equal(kit_sql(&k, "SELECT group_concat(name) FROM sh_meta"),
                            "record_versions");
        assert_string_equal(kit_sql(&k, "PRAGMA integrity_check"), "ok");
    }
}

/* --- what must not happen --------------------------------------------------------------------- */

static void refuse(int to, enum sh_code code, const char *says)
{
    struct sh_error err = {0};
    struct sh_store_move *m = sh_store_move_open(k.dir, to, &err);
    if (m && sh_store_move_go(m, &err))
        fail_msg("went to schema %d", to);
    sh_store_move_close(m);
    assert_int_equal(err.code, code);
    if (!strstr(err.msg, says))
        fail_msg("says: %s", err.msg);
}

static void assert_in_the_way(int to, const char *what, int rows)
{
    struct sh_error err = {0};
    struct sh_store_move *m = sh_store_move_open(k.dir, to, &err);
    cJSON *tree = sh_store_move_plan(m, &err);
    const cJSON *row = sh_json_member(tree, "in_the_way")->child;
    while (row && !strstr(sh_json_string(row, "what"), what))
        row = row->next;
    assert_non_null(row);
    assert_int_equal(sh_json_member(row, "rows")->valueint, rows);
    assert_non_null(sh_json_string(row, "to_do"));
    cJSON_Delete(tree);
    sh_store_move_close(m);
}

/* Work that an older schema has no place for keeps the store where it is. */
static void test_in_the_way(void **state)
{
    (void)state;
    load(&k, "4");
    struct rows before = rows_of(&k, &k, " ");
    assert_in_the_way(1, "kept for a paused rule", 1);
    assert_in_the_way(1, "rules that are paused", 1);
    refuse(1, SH_ECONFLICT, "no place in schema 1");
    assert_rows(&k, &before);
    free_rows(&before);
    sqlite3 *db = open_raw(&k);
    exec(db, "INSERT INTO sh_unfinished SELECT seq FROM sh_events WHERE format <> 0");
    sqlite3_close(db);
    assert_in_the_way(2, "events that are a form", 1);
    refuse(2, SH_ECONFLICT, "no place in schema 2");
    move_to(&k, 3); /* where it is no matter */
}

/* An event that was forgotten is finished without its rules, which would run on what is blank. */
static void test_forgotten(void **state)
{
    (void)state;
    load(&k, "4");
    assert_int_equal(ask_number(&k, "SELECT count(*) FROM sh_forgotten"), 1);
    static const char unfinished[] = "SELECT count(*) FROM sh_unfinished";
    static const char of_it[] = "SELECT count(*) FROM sh_unfinished WHERE seq ="
                                " (SELECT seq FROM sh_events WHERE key = 's2')";
    const int64_t before = ask_number(&k, unfinished);
    assert_int_equal(ask_number(&k, of_it), 1);
    move_to(&k, 2);
    assert_int_equal(ask_number(&k, unfinished), before - 1);
    assert_int_equal(ask_number(&k, of_it), 0);
}

static void refuse_to_open(bool shared, const char *says)
{
    struct sh_error err = {0};
    struct sh_store_config c = kit_config(&k, false, NULL);
    c.shared = shared;
    assert_null(sh_store_open(&c, &err));
    assert_int_equal(err.code, SH_EINVAL);
    if (!strstr(err.msg, says))
        fail_msg("says: %s", err.msg);
}

static void test_newer(void **state)
{
    (void)state;
    struct sh_error err = {0};
    fresh(&k);
    kit_sql(&k, "INSERT INTO sh_migrations VALUES(5, 1)");
    refuse_to_open(false, "its schema is 5, made by a newer switchhook; this one knows up to 4."
                          " Start the newer one, or have it take the store back: switchhook schema"
                          " --to 4");
    assert_null(sh_store_view_open(k.dir, &err));
    assert_non_null(strstr(err.msg, "made by a newer switchhook"));
    refuse(4, SH_EINVAL, "made by a newer switchhook");
    refuse(5, SH_EINVAL, "there is no schema 5");
    refuse(0, SH_EINVAL, "there is no schema 0");
    cJSON *schema = sh_store_schema_read(k.dir, &err);
    assert_int_equal(sh_json_member(schema, "schema")->valueint, 5);
    assert_int_equal(cJSON_GetArraySize(sh_json_member(schema, "steps")), 5);
    cJSON_Delete(schema);
}

/* A command beside an engine that may be older changes no schema. */
static void test_beside_an_engine(void **state)
{
    (void)state;
    struct sh_error err = {0};
    load(&k, "3");
    refuse_to_open(true, "its schema is 3, this switchhook works with 4");
    assert_null(sh_store_view_open(k.dir, &err));
    assert_non_null(strstr(err.msg, "the next start of the engine upgrades it"));
    assert_int_equal(ask_number(&k, "SELECT max(version) FROM sh_migrations"), 3);
    kit_open(&k);
    refuse(1, SH_EBUSY, "another engine is using it");
    kit_close(&k);
}

/* One whose tables are not what it says is left alone. */
static void test_not_what_it_says(void **state)
{
    (void)state;
    load(&k, "3");
    kit_sql(&k, "DROP INDEX sh_callbacks_closed");
    refuse_to_open(false, "sh_callbacks_closed is not as in schema 3");
    refuse(1, SH_EINVAL, "sh_callbacks_closed is not as in schema 3");
    load(&k, "3");
    kit_sql(&k, "ALTER TABLE sh_rules ADD COLUMN more TEXT");
    refuse_to_open(false, "sh_rules is not as in schema 3");
    load(&k, "3");
    kit_sql(&k, "CREATE TABLE sh_zzz(a)");
    refuse_to_open(false, "sh_zzz is not as in schema 3");
    load(&k, "3");
    kit_sql(&k, "CREATE INDEX my_own ON sh_events(received_ms)");
    kit_sql(&k, "CREATE VIEW my_view AS SELECT id, trace FROM sh_events");
    kit_open(&k); /* what is somebody's own is no matter */
    kit_close(&k);
    kit_sql(&k, "CREATE VIEW other_view AS SELECT count(*) AS n FROM sh_events");
    move_to(&k, 3);
    const int64_t n = ask_number(&k, "SELECT n FROM other_view");
    kit_sql(&k, "DROP VIEW my_view"); /* it names what goes */
    move_to(&k, 2);
    assert_int_equal(ask_number(&k, "SELECT n FROM other_view"), n);
}

/* The disk fails at its Nth write, for every N until an upgrade gets through. */
static void fail_upgrade(enum fault kind, const char *says)
{
    int n = 0;
    load(&k, "1-first");
    struct rows before = rows_of(&k, &k, " ");
    const struct sh_store_config c = kit_config(&k, false, "shim");
    for (;;) {
        struct sh_error err = {0};
        arm(kind, ++n, false, kind == SYNC_EIO ? 0 : SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_DB);
        struct sh_store *s = sh_store_open(&c, &err);
        arm(NONE, 0, false, 0);
        sh_store_close(s);
        if (ask_number(&k, "SELECT max(version) FROM sh_migrations") != 1)
            break; /* what failed, if anything, came after it; or was its fsync */
        assert_null(s);
        if (!strstr(err.msg, says))
            fail_msg("write %d: %s", n, err.msg);
        assert_rows(&k, &before);
    }
    free_rows(&before);
    fresh(&other);
    assert_same_schema(&k, &other);
    assert_true(n > (kind == SYNC_EIO ? 1 : 20));
}

static void test_full_disk(void **state)
{
    (void)state;
    fail_upgrade(WRITE_FULL, "SQLite 13");
}

static void test_bad_disk(void **state)
{
    (void)state;
    fail_upgrade(WRITE_EIO, "disk I/O error");
    fail_upgrade(SYNC_EIO, "disk I/O error");
}

static void test_copy(void **state)
{
    (void)state;
    char file[128];
    struct sh_error err = {0};
    struct stat st;
    load(&k, "4");
    load(&other, "4");
    snprintf(file, sizeof(file), "%s/copy.db", k.dir);
    struct sh_store_move *m = sh_store_move_open(k.dir, 3, &err);
    assert_true(sh_store_move_copy(m, file, &err));
    assert_false(sh_store_move_copy(m, file, &err));
    assert_int_equal(err.code, SH_EBUSY);
    assert_true(sh_store_move_go(m, &err));
    sh_store_move_close(m);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct rows before = rows_of(&other, &other, " ");
    char db[128];
    snprintf(db, sizeof(db), "%s/switchhook.db", k.dir);
    assert_int_equal(rename(file, db), 0);
    assert_same_schema(&k, &other);
    assert_rows(&k, &before);
    free_rows(&before);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_up),          T(test_up_step_by_step),  T(test_first_release),
        T(test_down_and_up), T(test_in_the_way),       T(test_forgotten),
        T(test_newer),       T(test_beside_an_engine), T(test_not_what_it_says),
        T(test_full_disk),   T(test_bad_disk),         T(test_copy),
    };
    return cmocka_run_group_tests(tests, register_shim, NULL);
}
