/* SPDX-License-Identifier: MIT
 * test_sessions.c: sessions of the console: in the store, in memory, and in a browser's cookies. */
#include "store_kit.h"

#include "app/session.h"
#include "svc/crypto.h"
#include "svc/loop.h"

static struct kit k;
static const struct sh_audit ann = {.who = "ann", .role = "viewer", .peer = "192.0.2.7"};

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

/* --- in the store ------------------------------------------------------------------------------
 */

static void hash(const char *text, uint8_t out[SH_TOKEN_BYTES])
{
    const struct sh_slice part = sh_slice_str(text);
    sh_sha256(&part, 1, out);
}

static void make_token(const char *name, int64_t expires_ms)
{
    struct sh_op_token_new op = {.op = {.kind = SH_OP_TOKEN_NEW, .audit = &ann},
                                 .name = name,
                                 .role = "viewer",
                                 .expires_ms = expires_ms};
    hash(name, op.hash);
    assert_true(kit_run(&k, &op.op));
}

static struct sh_op_session_new session(const char *text, const char *token, int64_t expires_ms)
{
    struct sh_op_session_new op = {.op = {.kind = SH_OP_SESSION_NEW, .audit = &ann},
                                   .expires_ms = expires_ms};
    hash(text, op.hash);
    hash(token, op.token);
    return op;
}

static enum sh_code try_new(const char *text, const char *token, int64_t expires_ms)
{
    struct sh_op_session_new op = session(text, token, expires_ms);
    return kit_run(&k, &op.op) ? SH_OK : op.op.err.code;
}

static bool end(const char *text)
{
    struct sh_op_session_end op = {.op = {.kind = SH_OP_SESSION_END, .audit = &ann}};
    hash(text, op.hash);
    assert_true(kit_run(&k, &op.op));
    return op.ended;
}

static size_t end_token(const char *name)
{
    struct sh_op_token_revoke op = {.op = {.kind = SH_OP_TOKEN_REVOKE, .audit = &ann},
                                    .name = name};
    assert_true(kit_run(&k, &op.op));
    return op.sessions;
}

static bool has(const char *text)
{
    struct sh_op_sessions op = {.op.kind = SH_OP_SESSIONS};
    uint8_t want[SH_TOKEN_BYTES];
    bool found = false;
    hash(text, want);
    assert_true(kit_run(&k, &op.op));
    for (size_t i = 0; i < op.n_items; i++)
        found = found || memcmp(op.items[i].hash, want, sizeof(want)) == 0;
    free(op.items);
    return found;
}

static const char *newest(void)
{
    return kit_sql(&k, "SELECT who || ' ' || role || ' ' || peer || ' ' || action || ' ' ||"
                       " coalesce(target, '-') || ' ' || coalesce(detail, '-')"
                       " FROM sh_audit ORDER BY seq DESC LIMIT 1");
}

static void test_life(void **state)
{
    (void)state;
    const int64_t later = sh_now_ms() + 60000;
    make_token("a", 0);
    assert_int_equal(try_new("one", "a", later), SH_OK);
    assert_int_equal(strncmp(newest(), "ann viewer 192.0.2.7 session.open - {\"expires\":\"20", 50),
                     0);
    assert_true(has("one"));
    assert_false(has("two"));
    kit_close(&k); /* a restart */
    kit_open(&k);
    assert_true(has("one"));
    assert_true(end("one"));
    assert_string_equal(newest(), "ann viewer 192.0.2.7 session.close - -");
    assert_false(has("one"));
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_audit"), "3");
    assert_false(end("one")); /* no change, no row */
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_audit"), "3");
}

static void test_needs_its_token(void **state)
{
    (void)state;
    const int64_t later = sh_now_ms() + 60000;
    assert_int_equal(try_new("one", "a", later), SH_ENOTFOUND);
    make_token("a", 0);
    make_token("b", 0);
    make_token("old", later);
    assert_int_equal(try_new("one", "a", sh_now_ms() - 1), SH_EINVAL);
    assert_int_equal(try_new("a1", "a", later), SH_OK);
    assert_int_equal(try_new("a2", "a", later), SH_OK);
    assert_int_equal(try_new("b1", "b", later), SH_OK);
    assert_int_not_equal(try_new("a1", "b", later), SH_OK); /* the same bytes twice: never */
    kit_sql(&k, "UPDATE sh_tokens SET expires_ms = 1 WHERE name = 'old'");
    assert_int_equal(try_new("old1", "old", later), SH_ENOTFOUND);
    assert_int_equal(end_token("a"), 2);
    assert_string_equal(newest(), "ann viewer 192.0.2.7 token.revoke a {\"sessions\":2}");
    assert_false(has("a1"));
    assert_false(has("a2"));
    assert_true(has("b1"));
    assert_int_equal(end_token("old"), 0);
    assert_string_equal(newest(), "ann viewer 192.0.2.7 token.revoke old -");
}

static void test_expired_ones_go(void **state)
{
    (void)state;
    const int64_t later = sh_now_ms() + 60000;
    const struct sh_retain retain = {0}; /* whatever is kept for good */
    make_token("a", 0);
    assert_int_equal(try_new("one", "a", later), SH_OK);
    assert_int_equal(try_new("two", "a", later + 1), SH_OK);
    struct sh_op_prune op = {
        .op.kind = SH_OP_PRUNE, .retain = &retain, .now_ms = later, .limit = 10};
    assert_true(kit_run(&k, &op.op));
    assert_false(has("one"));
    assert_true(has("two"));
    kit_sql(&k, "UPDATE sh_sessions SET expires_ms = 1");
    assert_int_equal(try_new("three", "a", later), SH_OK);
    assert_false(has("two"));
    assert_true(has("three"));
}

static const char *numbered(const char *token, int i)
{
    static char text[64];
    snprintf(text, sizeof(text), "%s-%d", token, i);
    return text;
}

/* As many as there may be of one token, and one more. */
static void fill(const char *token)
{
    make_token(token, 0);
    for (int i = 0; i <= SH_MAX_SESSIONS_OF; i++)
        assert_int_equal(try_new(numbered(token, i), token, sh_now_ms() + 60000), SH_OK);
}

static void test_the_oldest_make_room(void **state)
{
    (void)state;
    char name[16];
    fill("a");
    assert_false(has("a-0"));
    assert_true(has("a-1"));
    assert_true(has(numbered("a", SH_MAX_SESSIONS_OF)));
    for (int i = 1; i < SH_MAX_SESSIONS / SH_MAX_SESSIONS_OF; i++) {
        snprintf(name, sizeof(name), "t%d", i);
        fill(name);
    }
    assert_true(has("a-1"));
    make_token("b", 0);
    assert_int_equal(try_new("b", "b", sh_now_ms() + 60000), SH_OK);
    assert_false(has("a-1"));
    assert_true(has("a-2"));
    assert_true(has("b"));
    char most[16];
    snprintf(most, sizeof(most), "%d", SH_MAX_SESSIONS);
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_sessions"), most);
}

/* --- in memory ---------------------------------------------------------------------------------
 */

static struct event_base *base;
static struct sh_waker *waker;
static struct sh_sessions *sessions;

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

static void run_until_known(void)
{
    for (int i = 0; i < 1000 && !sh_sessions_known(sessions); i++) {
        struct sh_timer *t = sh_timer_new(base, stop, NULL);
        sh_timer_set(t, 10);
        sh_loop_run(base);
        sh_timer_free(t);
    }
    assert_true(sh_sessions_known(sessions));
}

static void start_engine(void)
{
    struct sh_error err = {0};
    kit_close(&k);
    base = sh_loop_new();
    waker = sh_waker_new(base, on_wake, NULL);
    const struct sh_store_config c = {
        .dir = k.dir, .threads = true, .wake = sh_waker_ring, .wake_arg = waker};
    k.s = sh_store_open(&c, &err);
    assert_non_null(k.s);
    sessions = sh_sessions_new(base, k.s);
    assert_false(sh_sessions_known(sessions));
    run_until_known();
}

static void stop_engine(void)
{
    sh_sessions_stop(sessions);
    kit_close(&k);
    sh_sessions_free(sessions);
    sh_waker_free(waker);
    sh_loop_free(base);
}

static bool finds(const char *text, int64_t now_ms)
{
    return sh_sessions_find(sessions, sh_slice_str(text), now_ms) != NULL;
}

static void said(const char *text, const char *token, int64_t expires_ms, bool ok)
{
    struct sh_op_session_new op = session(text, token, expires_ms);
    op.op.ok = ok;
    sh_sessions_changed(sessions, &op.op);
}

static void test_in_memory(void **state)
{
    (void)state;
    const int64_t now = sh_now_ms(), later = now + 60000;
    uint8_t one[SH_TOKEN_BYTES];
    hash("one", one);
    make_token("a", 0);
    assert_int_equal(try_new("one", "a", later), SH_OK);
    start_engine();
    assert_true(finds("one", now));
    assert_false(finds("one", later)); /* that is its end */
    assert_true(sh_sessions_has(sessions, one, now));
    assert_false(sh_sessions_has(sessions, one, later));
    assert_false(finds("on", now));
    assert_false(finds("", now));
    said("two", "a", later, true);
    said("three", "a", later, false); /* the store refused it */
    assert_true(finds("two", now));
    assert_false(finds("three", now));
    struct sh_op_session_end gone = {.op = {.kind = SH_OP_SESSION_END, .ok = false}};
    hash("one", gone.hash);
    sh_sessions_changed(sessions, &gone.op);
    assert_true(finds("one", now));
    gone.op.ok = true;
    sh_sessions_changed(sessions, &gone.op);
    sh_sessions_changed(sessions, &gone.op);
    assert_false(finds("one", now));
    assert_true(finds("two", now));
    assert_int_equal(sh_sessions_count(sessions), 1);
    stop_engine();
}

static void test_room_in_memory(void **state)
{
    (void)state;
    const int64_t now = sh_now_ms(), later = now + 60000;
    char token[16];
    start_engine();
    said("gone", "z", now - 1, true);
    for (int i = 0; i <= SH_MAX_SESSIONS_OF; i++)
        said(numbered("a", i), "a", later, true);
    assert_int_equal(sh_sessions_count(sessions), SH_MAX_SESSIONS_OF); /* gone has expired */
    assert_false(finds("a-0", now));
    assert_true(finds("a-1", now));
    for (int i = SH_MAX_SESSIONS_OF; i < SH_MAX_SESSIONS + 3; i++) {
        snprintf(token, sizeof(token), "t%d", i / SH_MAX_SESSIONS_OF);
        said(numbered(token, i), token, later, true);
    }
    assert_int_equal(sh_sessions_count(sessions), SH_MAX_SESSIONS);
    assert_false(finds("a-3", now));
    assert_true(finds("a-4", now));
    assert_true(finds(numbered(token, SH_MAX_SESSIONS + 2), now));
    stop_engine();
}

/* --- in a browser ------------------------------------------------------------------------------
 */

#define GOOD "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_aaaaa"

static enum sh_session_cookie read_cookie(const char *header)
{
    struct sh_slice text = {0};
    size_t found = 0;
    const enum sh_session_cookie what =
        sh_session_read_cookie(header, "switchhook_session", &found, &text);
    if (what == SH_COOKIE_ONE)
        assert_true(sh_slice_eq(text, SH_SLICE(GOOD)));
    return what;
}

static void test_cookies(void **state)
{
    (void)state;
    static const char *const good[] = {
        "switchhook_session=" GOOD,
        "switchhook_session=" GOOD ";",
        " switchhook_session=" GOOD "\t; a=b",
        "a=b;switchhook_session=" GOOD,
        ";;; ;=;a;switchhook_session=" GOOD ";;",
        "__Host-switchhook_session=x; switchhook_session=" GOOD "; Switchhook_session=y",
        "xswitchhook_session=1; switchhook_session2=2; switchhook_session=" GOOD,
        "a=switchhook_session=" GOOD "; switchhook_session=" GOOD,
    };
    static const char *const bad[] = {
        "switchhook_session=",
        "switchhook_session=x",
        "switchhook_session=" GOOD "a",
        "switchhook_session=\"" GOOD "\"",
        "switchhook_session= " GOOD,
        "switchhook_session==" GOOD,
        "switchhook_session=AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_aaa\xc3\xa9",
        "switchhook_session=AbCdEfGhIjKlMnOpQrStUvWxYz0123456789+/aaaaa",
        "switchhook_session=" GOOD "; switchhook_session=" GOOD,
        "switchhook_session=; switchhook_session=" GOOD,
        "switchhook_session=" GOOD "; x=y; switchhook_session=z",
    };
    static const char *const none[] = {"",
                                       ";",
                                       "=",
                                       "switchhook_session",
                                       "switchhook_session ; a=b",
                                       "switchhook_session =" GOOD,
                                       "SWITCHHOOK_SESSION=" GOOD,
                                       "__Host-switchhook_session=" GOOD,
                                       "x=\"; y\"",
                                       "\xff\xfe=\x01"};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        if (read_cookie(good[i]) != SH_COOKIE_ONE)
            fail_msg("not taken: %s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (read_cookie(bad[i]) != SH_COOKIE_BAD)
            fail_msg("not bad: %s", bad[i]);
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
        if (read_cookie(none[i]) != SH_COOKIE_NONE)
            fail_msg("not none: %s", none[i]);
}

/* One in each of two headers is twice. */
static void test_cookies_in_two_headers(void **state)
{
    (void)state;
    struct sh_slice text = {0};
    size_t found = 0;
    assert_int_equal(sh_session_read_cookie("a=b", "s", &found, &text), SH_COOKIE_NONE);
    assert_int_equal(sh_session_read_cookie("s=" GOOD, "s", &found, &text), SH_COOKIE_ONE);
    assert_int_equal(sh_session_read_cookie("c=d", "s", &found, &text), SH_COOKIE_ONE);
    assert_int_equal(sh_session_read_cookie("s=" GOOD, "s", &found, &text), SH_COOKIE_BAD);
    assert_int_equal(sh_session_read_cookie("", "s", &found, &text), SH_COOKIE_BAD);
}

static void test_what_a_browser_holds(void **state)
{
    (void)state;
    char one[SH_SESSION_TEXT], two[SH_SESSION_TEXT], csrf[SH_SESSION_TEXT], again[SH_SESSION_TEXT];
    char cookie[SH_SESSION_COOKIE], want[SH_SESSION_COOKIE];
    struct sh_slice text = {0};
    size_t found = 0;
    sh_session_make(one);
    sh_session_make(two);
    assert_string_not_equal(one, two);
    sh_session_csrf(sh_slice_str(one), csrf);
    sh_session_csrf(sh_slice_str(one), again);
    assert_string_equal(csrf, again);
    assert_int_equal(strlen(csrf), SH_SESSION_TEXT - 1);
    assert_string_not_equal(csrf, one);
    sh_session_csrf(sh_slice_str(two), again);
    assert_string_not_equal(csrf, again);
    sh_session_set_cookie(one, false, cookie);
    snprintf(want, sizeof(want), "switchhook_session=%s; Path=/; HttpOnly; SameSite=Strict", one);
    assert_string_equal(cookie, want);
    sh_session_set_cookie(one, true, cookie);
    snprintf(want, sizeof(want),
             "__Host-switchhook_session=%s; Path=/; HttpOnly; SameSite=Strict; Secure", one);
    assert_string_equal(cookie, want);
    assert_int_equal(sh_session_read_cookie(cookie, "__Host-switchhook_session", &found, &text),
                     SH_COOKIE_ONE);
    sh_session_set_cookie(NULL, true, cookie);
    assert_string_equal(cookie, "__Host-switchhook_session=; Path=/; HttpOnly; SameSite=Strict; "
                                "Secure; Max-Age=0");
}

/* HMAC-SHA256 under the text of the cookie, by another implementation:
 * printf %s 'switchhook csrf 1' | openssl dgst -sha256 -hmac GOOD -binary | basenc --base64url */
static void test_csrf_is_an_hmac(void **state)
{
    (void)state;
    char csrf[SH_SESSION_TEXT];
    sh_session_csrf(SH_SLICE(GOOD), csrf);
    assert_string_equal(csrf, "kfp9KeWBWFtmrOCbP3IBrEfErAGHRWGNq3FH7Nc89vg");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life, setup, teardown),
        cmocka_unit_test_setup_teardown(test_needs_its_token, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expired_ones_go, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_oldest_make_room, setup, teardown),
        cmocka_unit_test_setup_teardown(test_in_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_room_in_memory, setup, teardown),
        cmocka_unit_test(test_cookies),
        cmocka_unit_test(test_cookies_in_two_headers),
        cmocka_unit_test(test_what_a_browser_holds),
        cmocka_unit_test(test_csrf_is_an_hmac),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
