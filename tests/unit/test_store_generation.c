/* SPDX-License-Identifier: MIT
 * test_store_generation.c: which rule set went live when, by what, what it changed; its text read
 * back; what waits for the rules. */
#include "store_kit.h"

#include "base/zone.h"
#include "core/store_move.h"

static struct kit k;

static int setup(void **state)
{
    (void)state;
    sh_zones_load(NULL);
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

/* A generation of rules/a.lua and, unless b is NULL, scripts/b.lua. */
static struct sh_generation *generation(const char *a, const char *b)
{
    const struct sh_file f[] = {
        {(char *)"rules/a.lua", (char *)(uintptr_t)a, strlen(a), true},
        {(char *)"scripts/b.lua", (char *)(uintptr_t)b, b ? strlen(b) : 0, false}};
    return sh_generation_new(f, b ? 2 : 1);
}

/* It goes live; its id in id. */
static void live(const char *a, const char *b, const char *cause, char id[SH_GENERATION_TEXT])
{
    struct sh_generation *g = generation(a, b);
    struct sh_op_generation op = {.op.kind = SH_OP_GENERATION, .generation = g, .cause = cause};
    assert_true(kit_run(&k, &op.op));
    memcpy(id, g->id, SH_GENERATION_TEXT);
    sh_generation_free(g);
}

static bool keep(void *rows, const cJSON *row)
{
    cJSON_AddItemToArray(rows, cJSON_Duplicate(row, true));
    return true;
}

static cJSON *list(void)
{
    const struct sh_list_query q = {.what = SH_LIST_GENERATIONS};
    struct sh_error err;
    cJSON *rows = cJSON_CreateArray();
    assert_true(sh_store_list(k.s, &q, keep, rows, &err));
    return rows;
}

static void check_row(const cJSON *rows, int i, const char *id, const char *cause,
                      const char *changes, bool is_live)
{
    const cJSON *row = cJSON_GetArrayItem(rows, i);
    char *text = cJSON_PrintUnformatted(sh_json_member(row, "changes"));
    assert_string_equal(sh_json_string(row, "generation"), id);
    assert_string_equal(sh_json_string(row, "cause"), cause);
    assert_string_equal(text, changes);
    assert_int_equal(cJSON_IsTrue(sh_json_member(row, "live")), is_live);
    assert_int_equal(strlen(sh_json_string(row, "live_at")), 24);
    free(text);
}

static void test_history(void **state)
{
    (void)state;
    char one[SH_GENERATION_TEXT], two[SH_GENERATION_TEXT], again[SH_GENERATION_TEXT];
    live("x", "yy", NULL, one);
    live("x", "yy", "signal", one); /* a restart, or a reload of nothing new */
    live("xx", NULL, "files", two);
    live("x", "yy", "api", again);
    assert_string_equal(one, again);
    cJSON *rows = list();
    assert_int_equal(cJSON_GetArraySize(rows), 3);
    check_row(rows, 0, one, "start",
              "[{\"file\":\"rules/a.lua\",\"change\":\"added\"},"
              "{\"file\":\"scripts/b.lua\",\"change\":\"added\"}]",
              false);
    check_row(rows, 1, two, "files",
              "[{\"file\":\"rules/a.lua\",\"change\":\"changed\"},"
              "{\"file\":\"scripts/b.lua\",\"change\":\"removed\"}]",
              false);
    check_row(rows, 2, one, "api",
              "[{\"file\":\"rules/a.lua\",\"change\":\"changed\"},"
              "{\"file\":\"scripts/b.lua\",\"change\":\"added\"}]",
              true);
    cJSON_Delete(rows);
}

static void test_text_back(void **state)
{
    (void)state;
    char one[SH_GENERATION_TEXT], two[SH_GENERATION_TEXT], begin[9];
    struct sh_error err = {0};
    struct sh_store_view *v = sh_store_view_open(k.dir, &err);
    assert_non_null(v);
    assert_null(sh_store_view_generation(v, "live", &err));
    assert_int_equal(err.code, SH_ENOTFOUND);
    live("x\n", "y", NULL, one);
    live("z\n", NULL, "files", two);
    snprintf(begin, sizeof(begin), "%.8s", one);
    struct sh_generation *g = sh_store_view_generation(v, begin, &err);
    assert_non_null(g);
    assert_string_equal(g->id, one);
    assert_int_equal(g->n_files, 2);
    assert_string_equal(g->files[1].name, "scripts/b.lua");
    assert_string_equal(g->files[0].text, "x\n");
    assert_true(g->files[0].is_rule && !g->files[1].is_rule);
    sh_generation_free(g);
    g = sh_store_view_generation(v, "live", &err);
    assert_string_equal(g->id, two);
    sh_generation_free(g);
    assert_null(sh_store_view_generation(v, "ffffffffffff", &err));
    assert_non_null(strstr(err.msg, "there is no generation \"ffffffffffff\""));
    assert_null(sh_store_view_generation(v, "ab", &err));
    assert_int_equal(err.code, SH_EINVAL);
    sh_store_view_close(v);
}

/* A run asks for one timer of a type. */
static void set_timer(const char *type, const char *name)
{
    kit_apply(&k,
              (struct sh_effect){.kind = SH_FX_TIMER,
                                 .collection = sh_slice_str(type),
                                 .id = sh_slice_str(name),
                                 .doc = SH_SLICE("{}"),
                                 .is_int = true,
                                 .n_int = sh_now_ms() + 3600000},
              NULL, 0);
}

static void test_waiting(void **state)
{
    (void)state;
    struct sh_error err = {0};
    const struct sh_clock clock = {"Digest", "18:00", "UTC"};
    struct sh_op_clocks clocks = {
        .op.kind = SH_OP_CLOCKS, .clocks = &clock, .n_clocks = 1, .now_ms = sh_now_ms()};
    assert_true(kit_run(&k, &clocks.op));
    set_timer("escalation", "a");
    set_timer("escalation", "b");
    set_timer("reminder", "c");
    kit_apply(&k,
              (struct sh_effect){.kind = SH_FX_CALLBACK,
                                 .doc = SH_SLICE("{\"number\":\"0201234567\",\"due_at\":"
                                                 "4102444800000}")},
              NULL, 0);
    struct sh_store_view *v = sh_store_view_open(k.dir, &err);
    cJSON *rows = sh_store_view_waiting(v, &err);
    char *text = cJSON_PrintUnformatted(rows);
    assert_string_equal(text, "[{\"type\":\"callback_due\",\"timers\":0,\"callbacks\":1},"
                              "{\"type\":\"callback_missed\",\"timers\":0,\"callbacks\":1},"
                              "{\"type\":\"escalation\",\"timers\":2,\"callbacks\":0},"
                              "{\"type\":\"reminder\",\"timers\":1,\"callbacks\":0}]");
    free(text);
    cJSON_Delete(rows);
    sh_store_view_close(v);
}

/* A store of schema 1 keeps its generations, as started. */
static void test_from_schema_1(void **state)
{
    (void)state;
    char one[SH_GENERATION_TEXT];
    live("x", NULL, NULL, one);
    kit_close(&k);
    struct sh_error err;
    struct sh_store_move *m = sh_store_move_open(k.dir, 1, &err);
    assert_true(m && sh_store_move_go(m, &err));
    sh_store_move_close(m);
    kit_open(&k);
    cJSON *rows = list();
    assert_int_equal(cJSON_GetArraySize(rows), 1);
    check_row(rows, 0, one, "start", "[]", true);
    cJSON_Delete(rows);
    struct sh_store_view *v = sh_store_view_open(k.dir, &err);
    struct sh_generation *g = sh_store_view_generation(v, "live", &err);
    assert_string_equal(g->id, one);
    assert_string_equal(g->files[0].text, "x");
    sh_generation_free(g);
    sh_store_view_close(v);
}

/* What stays the same from one to the next is kept once. */
static void test_shared_texts(void **state)
{
    (void)state;
    char one[SH_GENERATION_TEXT], two[SH_GENERATION_TEXT], three[SH_GENERATION_TEXT];
    struct sh_error err;
    live("x", "same", NULL, one);
    live("xx", "same", "files", two);
    live("xxx", "same", "files", three);
    live("x", "same", "files", one);
    assert_string_equal(kit_sql(&k, "SELECT group_concat(text, ' ') FROM (SELECT CAST(text AS TEXT)"
                                    " AS text FROM sh_generation_texts ORDER BY id)"),
                        "x same xx xxx");
    struct sh_store_view *v = sh_store_view_open(k.dir, &err);
    struct sh_generation *g = sh_store_view_generation(v, two, &err);
    assert_string_equal(g->files[0].text, "xx");
    assert_string_equal(g->files[1].text, "same");
    assert_string_equal(g->id, two);
    sh_generation_free(g);
    sh_store_view_close(v);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_history),       T(test_text_back),    T(test_waiting),
        T(test_from_schema_1), T(test_shared_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
