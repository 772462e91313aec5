/* SPDX-License-Identifier: MIT
 * test_store_tokens.c: tokens of the API in the store, and as the engine has them in memory. */
#include "store_kit.h"

#include "app/api_token.h"
#include "svc/crypto.h"
#include "svc/loop.h"

static struct kit k;
static const struct sh_audit ann = {.who = "ann", .role = "admin", .peer = "192.0.2.7"};

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

static struct sh_op_token_new token(const char *name, const char *role, const char *text)
{
    struct sh_op_token_new op = {
        .op = {.kind = SH_OP_TOKEN_NEW, .audit = &ann}, .name = name, .role = role};
    const struct sh_slice part = sh_slice_str(text);
    sh_sha256(&part, 1, op.hash);
    return op;
}

static enum sh_code try_new(const char *name, const char *role, int64_t expires_ms)
{
    struct sh_op_token_new op = token(name, role, name);
    op.expires_ms = expires_ms;
    return kit_run(&k, &op.op) ? SH_OK : op.op.err.code;
}

static enum sh_code try_revoke(const char *name)
{
    struct sh_op_token_revoke op = {.op = {.kind = SH_OP_TOKEN_REVOKE, .audit = &ann},
                                    .name = name};
    return kit_run(&k, &op.op) ? SH_OK : op.op.err.code;
}

static struct sh_op_tokens all(void)
{
    struct sh_op_tokens op = {.op.kind = SH_OP_TOKENS};
    assert_true(kit_run(&k, &op.op));
    return op;
}

static void test_life(void **state)
{
    (void)state;
    const int64_t later = sh_now_ms() + 60000;
    assert_int_equal(try_new("b", "viewer", 0), SH_OK);
    assert_int_equal(try_new("a.b-c_d@example.org", "admin", later), SH_OK);
    struct sh_op_tokens op = all();
    assert_int_equal(op.n_items, 2);
    assert_string_equal(op.items[0].name, "a.b-c_d@example.org");
    assert_string_equal(op.items[0].role, "admin");
    assert_string_equal(op.items[0].created_by, "ann");
    assert_true(op.items[0].expires_ms == later);
    assert_true(op.items[1].expires_ms == 0);
    sh_tokens_free(op.items, op.n_items);
    assert_int_equal(try_new("b", "viewer", 0), SH_ECONFLICT);
    assert_int_equal(try_revoke("b"), SH_OK);
    assert_int_equal(try_revoke("b"), SH_ENOTFOUND);
    assert_int_equal(try_new("b", "operator", 0), SH_OK);
    /* the text is nowhere, its hash is */
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_tokens WHERE length(hash) = 32"), "2");
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"", ".", ".a", "a b", "a/b", "a\n", "\xc3\xa9", "a\"b"};
    char long_name[SH_MAX_TOKEN_NAME + 2];
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        assert_int_equal(try_new(names[i], "viewer", 0), SH_EINVAL);
    memset(long_name, 'a', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_int_equal(try_new(long_name, "viewer", 0), SH_EINVAL);
    assert_int_equal(try_new(long_name + 1, "viewer", 0), SH_OK);
    assert_int_equal(try_new("a", "root", 0), SH_EINVAL);
    assert_int_equal(try_new("a", "none", 0), SH_EINVAL);
    assert_int_equal(try_new("a", NULL, 0), SH_EINVAL);
    assert_int_equal(try_new("a", "viewer", sh_now_ms() - 1), SH_EINVAL);
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_tokens"), "1");
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_audit"), "1");
}

static void test_most(void **state)
{
    (void)state;
    char name[32];
    for (int i = 0; i < SH_MAX_TOKENS; i++) {
        snprintf(name, sizeof(name), "t%d", i);
        assert_int_equal(try_new(name, "viewer", 0), SH_OK);
    }
    assert_int_equal(try_new("one-more", "viewer", 0), SH_ELIMIT);
    assert_int_equal(try_revoke("t7"), SH_OK);
    assert_int_equal(try_new("one-more", "viewer", 0), SH_OK);
}

/* --- in memory ----------------------------------------------------------------------------------
 */

static struct event_base *base;
static struct sh_api_tokens *tokens;

static void stop(void *arg)
{
    (void)arg;
    sh_loop_stop(base);
}

static void on_wake(void *arg)
{
    (void)arg;
    sh_store_reap(k.s);
}

static void run_for(int64_t ms)
{
    struct sh_timer *t = sh_timer_new(base, stop, NULL);
    sh_timer_set(t, ms);
    sh_loop_run(base);
    sh_timer_free(t);
}

static const char *name_of(const char *text)
{
    const struct sh_stored_token *one = sh_api_tokens_find(tokens, sh_slice_str(text));
    return one ? one->name : "";
}

static void start_engine(struct sh_waker **waker)
{
    struct sh_error err = {0};
    kit_close(&k);
    base = sh_loop_new();
    *waker = sh_waker_new(base, on_wake, NULL);
    const struct sh_store_config c = {
        .dir = k.dir, .threads = true, .wake = sh_waker_ring, .wake_arg = *waker};
    k.s = sh_store_open(&c, &err);
    assert_non_null(k.s);
    tokens = sh_api_tokens_new(base, k.s, NULL, NULL);
}

/* What another process makes and revokes counts within a second. */
static void test_in_memory(void **state)
{
    (void)state;
    struct sh_waker *waker;
    struct sh_error err = {0};
    assert_int_equal(try_new("a", "viewer", 0), SH_OK);
    start_engine(&waker);
    assert_false(sh_api_tokens_known(tokens));
    assert_string_equal(name_of("a"), "");
    run_for(100);
    assert_true(sh_api_tokens_known(tokens));
    assert_int_equal(sh_api_tokens_count(tokens), 1);
    assert_string_equal(name_of("a"), "a");
    assert_string_equal(name_of("b"), "");
    assert_string_equal(name_of(""), "");
    const struct sh_store_config c = {.dir = k.dir, .shared = true};
    struct kit side = {.s = sh_store_open(&c, &err)};
    assert_non_null(side.s);
    struct sh_op_token_new b = token("b", "admin", "b");
    assert_true(kit_run(&side, &b.op));
    struct sh_op_token_revoke a = {.op = {.kind = SH_OP_TOKEN_REVOKE, .audit = &ann}, .name = "a"};
    assert_true(kit_run(&side, &a.op));
    sh_store_close(side.s);
    run_for(1000);
    assert_string_equal(name_of("a"), "");
    assert_string_equal(name_of("b"), "b");
    sh_api_tokens_stop(tokens);
    kit_close(&k);
    sh_api_tokens_free(tokens);
    sh_waker_free(waker);
    sh_loop_free(base);
}

/* A change counts at once, and is not undone by an answer that the store had under way. */
static void test_changed(void **state)
{
    (void)state;
    struct sh_waker *waker;
    start_engine(&waker); /* asks: the answer knows nothing of what follows */
    struct sh_op_token_new a = token("a", "viewer", "a");
    a.op.ok = true;
    sh_api_tokens_changed(tokens, &a.op);
    assert_string_equal(name_of("a"), "a");
    struct sh_op_token_revoke gone = {.op = {.kind = SH_OP_TOKEN_REVOKE, .ok = true}, .name = "a"};
    struct sh_op_token_new b = token("b", "viewer", "b");
    sh_api_tokens_changed(tokens, &gone.op);
    assert_string_equal(name_of("a"), "");
    b.op.ok = false; /* was refused */
    sh_api_tokens_changed(tokens, &b.op);
    assert_int_equal(sh_api_tokens_count(tokens), 0);
    run_for(100);
    assert_true(sh_api_tokens_known(tokens));
    sh_api_tokens_stop(tokens);
    kit_close(&k);
    sh_api_tokens_free(tokens);
    sh_waker_free(waker);
    sh_loop_free(base);
}

/* The store may have told of a token before it is said to be made: it is one, and revoked at once.
 */
static void test_told_before(void **state)
{
    (void)state;
    struct sh_waker *waker;
    struct sh_op_token_new a = token("a", "viewer", "a");
    assert_true(kit_run(&k, &a.op));
    start_engine(&waker);
    run_for(100);
    sh_api_tokens_changed(tokens, &a.op);
    assert_int_equal(sh_api_tokens_count(tokens), 1);
    struct sh_op_token_revoke gone = {.op = {.kind = SH_OP_TOKEN_REVOKE, .ok = true}, .name = "a"};
    sh_api_tokens_changed(tokens, &gone.op);
    assert_string_equal(name_of("a"), "");
    sh_api_tokens_stop(tokens);
    kit_close(&k);
    sh_api_tokens_free(tokens);
    sh_waker_free(waker);
    sh_loop_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_most, setup, teardown),
        cmocka_unit_test_setup_teardown(test_in_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_told_before, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
