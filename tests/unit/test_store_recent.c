/* SPDX-License-Identifier: MIT
 * test_store_recent.c: events walked back from the newest, and no more read of them than asked. */
#include "store_kit.h"

#include "core/recent.h"
#include "core/store_impl.h"

static struct kit k;

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

static struct sh_store_view *view(void)
{
    struct sh_error err;
    struct sh_store_view *v = sh_store_view_open(k.dir, &err);
    if (!v)
        fail_msg("view: %s", err.msg);
    return v;
}

static struct sh_id accept_as(const char *dedupe, const char *key, const char *body,
                              enum sh_body_format format)
{
    struct sh_op_accept op = {.op.kind = SH_OP_ACCEPT};
    op.event = kit_event(key, dedupe, body);
    op.event->format = format;
    if (!kit_run(&k, &op.op))
        fail_msg("accept: %s", op.op.err.msg);
    struct sh_id id = op.event->id;
    sh_event_free(op.event);
    return id;
}

static void settle_as(struct sh_id id, enum sh_outcome outcome)
{
    struct kit_settle s;
    kit_settle_init(&s, id);
    struct sh_run *r = kit_add_run(&s, "rule", outcome);
    r->error = SH_SLICE("no");
    if (!kit_run(&k, &s.op.op))
        fail_msg("settle: %s", s.op.op.err.msg);
    kit_settle_free(&s);
}

static void newest_first_and_from_a_place(void **state)
{
    (void)state;
    struct sh_error err;
    struct sh_recent_event e;
    struct sh_id ids[3];
    const char *const keys[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        ids[i] = accept_as(keys[i], keys[i], "{\"n\":12345}", SH_BODY_JSON);
    struct sh_store_view *v = view();
    struct sh_recent *r = sh_recent_open(v, 0, &err);
    for (int i = 2; i >= 0; i--) {
        char text[SH_ID_TEXT];
        assert_int_equal(sh_recent_next(r, &e, &err), 1);
        assert_int_equal(e.seq, sh_id_order(ids[i]));
        assert_string_equal(e.id, sh_id_text(ids[i], text));
        assert_string_equal(e.source, "webphone");
        assert_string_equal(e.type, "call_start");
        assert_string_equal(e.key, keys[i]);
        assert_int_equal(e.bytes, 11);
        assert_true(e.received_ms > 0);
    }
    assert_int_equal(sh_recent_next(r, &e, &err), 0);
    sh_recent_close(r);
    r = sh_recent_open(v, sh_id_order(ids[1]), &err);
    assert_int_equal(sh_recent_next(r, &e, &err), 1);
    assert_string_equal(e.key, "a");
    assert_int_equal(sh_recent_next(r, &e, &err), 0);
    sh_recent_close(r);
    sh_store_view_close(v);
}

static void bodies_within_a_length(void **state)
{
    (void)state;
    struct sh_error err;
    struct sh_id json = accept_as("1", "k", "{\"big\":9007199254740993}", SH_BODY_JSON);
    struct sh_id form = accept_as("2", "k", "a=1&b=x+y", SH_BODY_FORM);
    struct sh_id other = accept_as("3", "k", "not JSON", SH_BODY_JSON);
    struct sh_store_view *v = view();
    struct sh_recent *r = sh_recent_open(v, 0, &err);
    int64_t big = 0;
    cJSON *tree = sh_recent_json(r, sh_id_order(json), 24);
    assert_true(sh_json_get_int(sh_json_member(tree, "big"), &big));
    assert_true(big == INT64_C(9007199254740993));
    cJSON_Delete(tree);
    assert_null(sh_recent_json(r, sh_id_order(json), 23));
    assert_true(sh_slice_eq(sh_recent_text(r, sh_id_order(json), 24),
                            SH_SLICE("{\"big\":9007199254740993}")));
    assert_int_equal(sh_recent_text(r, sh_id_order(json), 23).n, 0);
    assert_int_equal(sh_recent_text(r, sh_id_order(form), 100).n, 0);
    assert_int_equal(sh_recent_text(r, 1, 100).n, 0);
    tree = sh_recent_json(r, sh_id_order(form), 100);
    assert_string_equal(sh_json_string(tree, "b"), "x y");
    cJSON_Delete(tree);
    assert_null(sh_recent_json(r, sh_id_order(other), 100));
    assert_null(sh_recent_json(r, 1, 100));
    sh_recent_close(r);
    sh_store_view_close(v);
}

static void states(void **state)
{
    (void)state;
    struct sh_error err;
    struct sh_id stored = accept_as("1", "k", "{}", SH_BODY_JSON);
    struct sh_id done = accept_as("2", "k", "{}", SH_BODY_JSON);
    struct sh_id dead = accept_as("3", "k", "{}", SH_BODY_JSON);
    settle_as(done, SH_RUN_DONE);
    settle_as(dead, SH_RUN_DEAD);
    struct sh_store_view *v = view();
    struct sh_recent *r = sh_recent_open(v, 0, &err);
    assert_string_equal(sh_recent_state(r, sh_id_order(stored)), "stored");
    assert_string_equal(sh_recent_state(r, sh_id_order(done)), "done");
    assert_string_equal(sh_recent_state(r, sh_id_order(dead)), "dead");
    assert_string_equal(sh_recent_state(r, 1), "done");
    sh_recent_close(r);
    sh_store_view_close(v);
}

/* A page that may look at few rows only ends early, and says where it goes on. */
static void few_looks(void **state)
{
    (void)state;
    struct sh_error err;
    char dedupe[8];
    for (int i = 0; i < 10; i++) {
        snprintf(dedupe, sizeof(dedupe), "%d", i);
        accept_as(dedupe, i ? "other" : "wanted", "{}", SH_BODY_JSON);
    }
    struct sh_store_view *v = view();
    const struct sh_list_query q = {.what = SH_LIST_EVENTS, .key = "wanted"};
    char *after = NULL;
    int pages = 0, found = 0;
    do {
        struct sh_page page = {.limit = 5, .max_bytes = 1000, .max_looks = 4, .after = after};
        assert_true(sh_store_view_page(v, &q, &page, &err));
        found += cJSON_GetArraySize(page.rows);
        assert_true(found == 0 || pages == 2);
        cJSON_Delete(page.rows);
        free(after);
        after = page.next;
        pages++;
    } while (after);
    assert_int_equal(found, 1);
    assert_int_equal(pages, 3);
    sh_store_view_close(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(newest_first_and_from_a_place, setup, teardown),
        cmocka_unit_test_setup_teardown(bodies_within_a_length, setup, teardown),
        cmocka_unit_test_setup_teardown(states, setup, teardown),
        cmocka_unit_test_setup_teardown(few_looks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
