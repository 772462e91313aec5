/* SPDX-License-Identifier: MIT
 * test_lookup.c: look-ups of runs: the document, secrets, the cache, sharing, turns, time. */
#include "http_peer.h"

#include "app/lookup_impl.h"

#define OK        "HTTP/1.1 200 OK\r\n"
#define OK_ANSWER OK "Content-Length: 2\r\n\r\nok"
#define OK_DOC    "{\"status\":200,\"headers\":{\"content-length\":\"2\"},\"body\":\"ok\"}"
#define OK_CACHED                                                                                  \
    "{\"status\":200,\"headers\":{\"content-length\":\"2\"},\"body\":\"ok\",\"cached\":true}"

struct world {
    struct ticking t;
    struct sh_reach *reach;
    struct sh_http_client *client;
    struct sh_lookups *lookups;
    struct sh_hidden *hidden;
    char *docs[300];
    int64_t at_ms[300], from_us;
    size_t n_docs, wanted;
    char again[300]; /* asked once more from within an answer */
};

static const char *secret_of(void *arg, const char *name)
{
    (void)arg;
    return strcmp(name, "TOKEN") == 0   ? "s3cr3t-token"
           : strcmp(name, "OTHER") == 0 ? "0ther-token"
           : strcmp(name, "LINES") == 0 ? "two\nlines"
                                        : NULL;
}

static void open_world(struct world *w, const struct sh_lookups_config *config)
{
    static const char *const entries[] = {"127.0.0.1"};
    struct sh_error err;
    *w = (struct world){.from_us = sh_mono_us()};
    ticking_open(&w->t);
    w->reach = sh_reach_new(entries, 1, &err);
    w->client = sh_http_client_new(
        w->t.base, &(struct sh_http_client_config){.reach = w->reach, .user_agent = "t"}, &err);
    struct sh_lookups_config c = config ? *config : (struct sh_lookups_config){0};
    c.base = w->t.base;
    c.client = w->client;
    c.reach = w->reach;
    static const char *const names[] = {"TOKEN", "OTHER", "LINES", NULL};
    w->hidden = sh_hidden_new(names, secret_of, NULL);
    c.secret = secret_of;
    c.hidden = w->hidden;
    c.timeout_ms = c.timeout_ms ? c.timeout_ms : 5000;
    c.answer_bytes = c.answer_bytes ? c.answer_bytes : 1000;
    c.in_flight = c.in_flight ? c.in_flight : 64;
    c.per_host = c.per_host ? c.per_host : 8;
    c.cache_entries = c.cache_entries ? c.cache_entries : 100;
    c.cache_bytes = c.cache_bytes ? c.cache_bytes : 1000000;
    w->lookups = sh_lookups_new(&c);
}

static void forget(struct world *w)
{
    for (size_t i = 0; i < w->n_docs; i++)
        free(w->docs[i]);
    w->n_docs = 0;
}

static void close_world(struct world *w)
{
    sh_lookups_free(w->lookups);
    sh_hidden_free(w->hidden);
    sh_http_client_free(w->client);
    sh_reach_free(w->reach);
    ticking_close(&w->t);
    forget(w);
}

static void on_answer(void *arg, struct sh_slice doc);

static void ask(struct world *w, const char *call)
{
    sh_lookups_ask(w->lookups, sh_slice_str(call), NULL, on_answer, w);
}

static void on_answer(void *arg, struct sh_slice doc)
{
    struct world *w = arg;
    char again[sizeof(w->again)];
    assert_true(w->wanted > w->n_docs); /* never from within the asking */
    w->at_ms[w->n_docs] = (sh_mono_us() - w->from_us) / 1000;
    w->docs[w->n_docs++] = sh_slice_dup(doc);
    if (w->again[0]) {
        memcpy(again, w->again, sizeof(again));
        w->again[0] = '\0';
        ask(w, again);
    }
    if (w->n_docs == w->wanted)
        sh_loop_stop(w->t.base);
}

static void wait_for(struct world *w, size_t n)
{
    w->wanted = n;
    if (w->n_docs < n)
        ticking_run(&w->t);
    w->wanted = 0;
}

/* more: further members, each with a comma before it. */
static const char *call_of(int port, const char *path, const char *more)
{
    static char texts[2][500];
    static unsigned turn;
    char *text = texts[turn++ % 2];
    snprintf(text, sizeof(texts[0]), "{\"method\":\"GET\",\"url\":\"http://127.0.0.1:%d%s\"%s}",
             port, path, more);
    return text;
}

static const char *ask_one(struct world *w, const char *call)
{
    forget(w);
    ask(w, call);
    wait_for(w, 1);
    return w->docs[0];
}

/* --- The document --------------------------------------------------------------------------- */

static void an_answer_becomes_a_document(void **state)
{
    (void)state;
    static const struct {
        const char *reply, *doc;
        size_t bytes, limit;
    } cases[] = {
        {OK_ANSWER, OK_DOC, 0, 0},
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nX-A: \"q\\\"\r\n\r\n{\"\\\"",
         "{\"status\":404,\"headers\":{\"content-length\":\"4\",\"x-a\":\"\\\"q\\\\\\\"\"},"
         "\"body\":\"{\\\"\\\\\\\"\"}",
         0, 0},
        {"HTTP/1.1 204 No Content\r\nSet-Cookie: a=1\r\nVary: x\r\nSet-Cookie: b=2\r\n\r\n",
         "{\"status\":204,\"headers\":{\"set-cookie\":\"a=1, b=2\",\"vary\":\"x\"},\"body\":\"\"}",
         0, 0},
        {OK "X-L: caf\xe9\r\nX-U: caf\xc3\xa9\r\nContent-Length: 3\r\n\r\n\xe2\x82\xac",
         "{\"status\":200,\"headers\":{\"x-l\":\"caf\xc3\xa9\",\"x-u\":\"caf\xc3\xa9\","
         "\"content-length\":\"3\"},\"body\":\"\xe2\x82\xac\"}",
         0, 0},
        {OK "Content-Length: 4\r\n\r\n\x01\x02\xff\xfe",
         "{\"status\":200,\"headers\":{\"content-length\":\"4\"},\"body_base64\":\"AQL//g==\"}", 0,
         0},
        {OK "Content-Length: 3\r\n\r\na\0b",
         "{\"status\":200,\"headers\":{\"content-length\":\"3\"},\"body_base64\":\"YQBi\"}",
         sizeof(OK "Content-Length: 3\r\n\r\na\0b") - 1, 0},
        {OK "Content-Length: 9\r\n\r\n123456789",
         "{\"status\":200,\"headers\":{\"content-length\":\"9\"},\"body\":\"12345678\",\"cut\":"
         "true}",
         0, 8},
        {OK "Content-Length: 9\r\n\r\nab\xe2\x82\xac\xe2\x82\xac.",
         "{\"status\":200,\"headers\":{\"content-length\":\"9\"},\"body\":\"ab\xe2\x82\xac\","
         "\"cut\":true}",
         0, 7},
        {OK "Content-Length: 4\r\n\r\na\xf0\x9f\x98",
         "{\"status\":200,\"headers\":{\"content-length\":\"4\"},\"body_base64\":\"YfCfmA==\"}", 0,
         0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world w;
        struct peer p = {.replies = {cases[i].reply}, .reply_bytes = cases[i].bytes};
        peer_start(&p);
        open_world(&w, &(struct sh_lookups_config){.answer_bytes = cases[i].limit});
        assert_string_equal(ask_one(&w, call_of(p.port, "/x", "")), cases[i].doc);
        close_world(&w);
        peer_stop(&p);
    }
}

static void whatever_goes_wrong_is_an_answer(void **state)
{
    (void)state;
    static const struct {
        const char *call, *says;
    } cases[] = {
        {"{\"method\":\"GET\",\"url\":\"http://10.0.0.1/\"}", "10.0.0.1 is a private address"},
        {"{\"method\":\"GET\",\"url\":\"https://crm.example.org/\"}",
         "add \\\"crm.example.org\\\" to http.allow"},
        {"{\"method\":\"GET\",\"url\":\"http://[::1]/\"}", "[::1] is a loopback address"},
        {"{\"method\":\"GET\",\"url\":\"http://[fd00::1]:8080/\"}", "[fd00::1] is a private"},
        {"{\"method\":\"GET\",\"url\":\"http://127.0.0.1:1/\"}",
         "http://127.0.0.1:1: Connection refused"},
        {"{\"method\":\"POST\",\"url\":\"http://127.0.0.1/\"}", "method"},
        {"{\"method\":\"GET\",\"url\":\"file:///etc/passwd\"}", "url"},
        {"{\"method\":\"GET\"}", "url"},
        {"{\"method\":\"GET\",\"url\":[\"http://127.0.0.1/\",{\"secret\":\"NONE\"}]}", "NONE"},
        {"{\"method\":\"GET\",\"url\":\"http://127.0.0.1/\",\"headers\":[[\"X\",[{\"secret\":"
         "\"LINES\"}]]]}",
         "line break"},
        {"{\"method\":", ""},
        {"[]", ""},
    };
    struct world w;
    open_world(&w, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *doc = ask_one(&w, cases[i].call);
        if (strncmp(doc, "{\"status\":0,\"error\":\"", 21) != 0 || !strstr(doc, cases[i].says))
            fail_msg("%s: %s", cases[i].call, doc);
    }
    close_world(&w);
}

/* --- Secrets -------------------------------------------------------------------------------- */

#define WITH_SECRETS                                                                               \
    "{\"method\":\"GET\",\"url\":[\"http://127.0.0.1:%d/x?k=\",{\"secret\":\"OTHER\",\"as\":"      \
    "\"url\"}],\"headers\":[[\"Authorization\",[\"Bearer \",{\"secret\":\"%s\"}]]]%s}"

static void secrets_are_sent_and_never_shown(void **state)
{
    (void)state;
    struct world w;
    char call[400];
    struct peer p = {.replies = {OK "X-Echo: Bearer s3cr3t-token!\r\nContent-Length: 36\r\n\r\n"
                                    "you said s3cr3t-token 0ther-token ok"}};
    peer_start(&p);
    open_world(&w, NULL);
    snprintf(call, sizeof(call), WITH_SECRETS, p.port, "TOKEN", ",\"cache_ms\":1000");
    const char *expected = "{\"status\":200,\"headers\":{\"x-echo\":\"Bearer (secret TOKEN)!\","
                           "\"content-length\":\"36\"},\"body\":\"you said (secret TOKEN) (secret "
                           "OTHER) ok\"";
    for (int i = 0; i < 2; i++) { /* the second from the cache */
        const char *doc = ask_one(&w, call);
        assert_memory_equal(doc, expected, strlen(expected));
        assert_int_equal(strstr(doc, "cached") != NULL, i);
    }
    const char *request = peer_request(&p, 0);
    assert_memory_equal(request, "GET /x?k=0ther-token HTTP/1.1\r\n", 31);
    assert_non_null(strstr(request, "\r\nAuthorization: Bearer s3cr3t-token\r\n"));
    close_world(&w);
    peer_stop(&p);
}

static void another_secret_is_another_look_up(void **state)
{
    (void)state;
    struct world w;
    char call[400];
    struct peer p = {.replies = {OK_ANSWER}};
    peer_start(&p);
    open_world(&w, NULL);
    for (int i = 0; i < 4; i++) {
        snprintf(call, sizeof(call), WITH_SECRETS, p.port, i % 2 ? "TOKEN" : "OTHER",
                 ",\"cache_ms\":5000");
        assert_string_equal(ask_one(&w, call), i < 2 ? OK_DOC : OK_CACHED);
    }
    assert_int_equal(peer_count(&p), 2);
    close_world(&w);
    peer_stop(&p);
}

/* --- Cache and sharing ---------------------------------------------------------------------- */

static void a_cached_answer_is_good_for_the_time_asked(void **state)
{
    (void)state;
    struct world w;
    struct peer p = {.replies = {OK_ANSWER}};
    peer_start(&p);
    open_world(&w, NULL);
    const char *cached = ",\"cache_ms\":300";
    assert_string_equal(ask_one(&w, call_of(p.port, "/x", cached)), OK_DOC);
    assert_string_equal(ask_one(&w, call_of(p.port, "/x", cached)), OK_CACHED);
    assert_string_equal(ask_one(&w, call_of(p.port, "/y", cached)), OK_DOC);
    assert_string_equal(ask_one(&w, call_of(p.port, "/x", "")), OK_DOC); /* does not want it */
    assert_string_equal(
        ask_one(&w, call_of(p.port, "/x", ",\"headers\":[[\"A\",\"b\"]],\"cache_ms\":300")),
        OK_DOC);
    assert_int_equal(peer_count(&p), 4);
    ticking_run_for(&w.t, 320);
    assert_string_equal(ask_one(&w, call_of(p.port, "/x", cached)), OK_DOC);
    assert_string_equal(ask_one(&w, call_of(p.port, "/x", cached)), OK_CACHED);
    usleep(30000); /* too old for this one, not for that one */
    assert_string_equal(ask_one(&w, call_of(p.port, "/x", ",\"cache_ms\":20")), OK_DOC);
    assert_int_equal(peer_count(&p), 6);
    close_world(&w);
    peer_stop(&p);
}

static void only_good_answers_are_kept(void **state)
{
    (void)state;
    struct world w;
    static const char *const replies[] = {
        "HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 x\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", ""};
    for (size_t i = 0; i < 4; i++) {
        struct peer p = {.replies = {replies[i]}, .hang_up = true};
        peer_start(&p);
        open_world(&w, NULL);
        for (int again = 0; again < 2; again++)
            assert_null(
                strstr(ask_one(&w, call_of(p.port, "/", ",\"cache_ms\":5000")), "\"cached\""));
        assert_int_equal(peer_count(&p), 2);
        close_world(&w);
        peer_stop(&p);
    }
}

static void look_ups_for_the_same_share_a_call(void **state)
{
    (void)state;
    struct world w;
    struct peer p = {.replies = {OK_ANSWER}, .delay_ms = 50};
    peer_start(&p);
    open_world(&w, NULL);
    for (int i = 0; i < 20; i++)
        ask(&w, call_of(p.port, "/x", ",\"cache_ms\":1000"));
    wait_for(&w, 20);
    for (int i = 0; i < 20; i++)
        assert_string_equal(w.docs[i], OK_DOC);
    assert_int_equal(peer_count(&p), 1);
    forget(&w);
    for (int i = 0; i < 5; i++)
        ask(&w, call_of(p.port, "/x", ""));
    wait_for(&w, 5);
    assert_int_equal(peer_count(&p), 6);
    close_world(&w);
    peer_stop(&p);
}

/* One of those who share has less time than the others. */
static void who_shares_keeps_a_time_of_its_own(void **state)
{
    (void)state;
    struct world w;
    struct peer p = {.replies = {OK_ANSWER}, .delay_ms = 400};
    peer_start(&p);
    open_world(&w, NULL);
    ask(&w, call_of(p.port, "/x", ",\"cache_ms\":1000"));
    ask(&w, call_of(p.port, "/x", ",\"cache_ms\":1000,\"timeout_ms\":100"));
    wait_for(&w, 2);
    assert_non_null(strstr(w.docs[0], "no answer in time"));
    assert_in_range(w.at_ms[0], 90, 390);
    assert_string_equal(w.docs[1], OK_DOC);
    assert_int_equal(peer_count(&p), 1);
    close_world(&w);
    peer_stop(&p);
}

static struct sh_lookup_key key_of(unsigned n)
{
    struct sh_lookup_key key = {{0}};
    memcpy(key.hash, &n, sizeof(n));
    return key;
}

static bool has(struct sh_lookup_cache *c, unsigned n, int64_t now)
{
    struct sh_lookup_key key = key_of(n);
    return sh_lookup_cache_get(c, &key, 1000, now).n > 0;
}

static void put(struct sh_lookup_cache *c, unsigned n, size_t bytes, int64_t now)
{
    struct sh_lookup_key key = key_of(n);
    char *doc = malloc(bytes);
    memset(doc, 'x', bytes);
    sh_lookup_cache_put(c, &key, sh_slice(doc, bytes), 1000, now);
    free(doc);
}

static void the_least_used_go_first(void **state)
{
    (void)state;
    struct sh_lookup_cache *c = sh_lookup_cache_new(3, 100000);
    for (unsigned i = 0; i < 3; i++)
        put(c, i, 10, i);
    assert_true(has(c, 0, 10));
    put(c, 3, 10, 11); /* in place of 1 */
    assert_true(has(c, 0, 12) && !has(c, 1, 12) && has(c, 2, 12) && has(c, 3, 12));
    put(c, 3, 20, 13); /* again: nobody goes */
    assert_true(has(c, 0, 14) && has(c, 2, 14) && has(c, 3, 14));
    put(c, 4, 10, 1002); /* what is over goes before what is in use */
    assert_true(!has(c, 0, 1003) && has(c, 3, 1003) && has(c, 4, 1003));
    sh_lookup_cache_free(c);

    c = sh_lookup_cache_new(1000, 10000);
    for (unsigned i = 0; i < 100; i++) {
        put(c, i, 2000, 0);
        assert_true(has(c, i, 1));
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < 100; i++)
        kept += has(c, i, 2);
    assert_in_range(kept, 3, 4);
    put(c, 200, 10001, 3); /* more than there is room for: the others stay */
    assert_true(!has(c, 200, 4) && has(c, 99, 4));
    put(c, 99, 20000, 5); /* an old answer does not outlive a new one */
    assert_false(has(c, 99, 6));
    sh_lookup_cache_free(c);

    c = sh_lookup_cache_new(0, 0);
    put(c, 1, 1, 0);
    assert_false(has(c, 1, 0));
    sh_lookup_cache_free(c);
    sh_lookup_cache_free(NULL);
}

/* --- Turns and time ------------------------------------------------------------------------- */

static void a_host_is_asked_a_few_at_a_time(void **state)
{
    (void)state;
    struct world w;
    struct peer slow = {.replies = {OK_ANSWER}, .delay_ms = 40}, quick = {.replies = {OK_ANSWER}};
    peer_start(&slow);
    peer_start(&quick);
    open_world(&w, &(struct sh_lookups_config){.per_host = 3, .in_flight = 10});
    for (int i = 0; i < 30; i++)
        ask(&w, call_of(slow.port, "/", ""));
    for (int i = 0; i < 10; i++)
        ask(&w, call_of(quick.port, "/", ""));
    wait_for(&w, 10); /* the slow host's queue is not in the quick one's way */
    assert_true(peer_count(&quick) >= 7);
    wait_for(&w, 40);
    for (int i = 0; i < 40; i++)
        assert_string_equal(w.docs[i], OK_DOC);
    assert_in_range(slow.most_open, 1, 3);
    assert_in_range(quick.most_open, 1, 3);
    close_world(&w);
    peer_stop(&slow);
    peer_stop(&quick);
}

static void all_hosts_together_have_a_limit_too(void **state)
{
    (void)state;
    struct world w;
    static struct peer p[6];
    open_world(&w, &(struct sh_lookups_config){.per_host = 2, .in_flight = 4});
    for (int i = 0; i < 6; i++) {
        p[i] = (struct peer){.replies = {OK_ANSWER}, .delay_ms = 10};
        peer_start(&p[i]);
    }
    for (int i = 0; i < 60; i++)
        ask(&w, call_of(p[i % 6].port, "/", ""));
    assert_int_equal(sh_http_client_open(w.client), 4);
    for (size_t n = 1; n <= 60; n++) {
        wait_for(&w, n);
        assert_true(sh_http_client_open(w.client) <= 4);
    }
    for (int i = 0; i < 6; i++) {
        assert_int_equal(peer_count(&p[i]), 10);
        peer_stop(&p[i]);
    }
    close_world(&w);
}

static void the_time_counts_from_the_asking(void **state)
{
    (void)state;
    struct world w;
    struct peer p = {.replies = {OK_ANSWER}, .delay_ms = 150};
    peer_start(&p);
    open_world(&w, &(struct sh_lookups_config){.per_host = 1, .timeout_ms = 240});
    for (int i = 0; i < 4; i++)
        ask(&w, call_of(p.port, "/", i == 3 ? ",\"timeout_ms\":5000" : ""));
    wait_for(&w, 4);
    assert_string_equal(w.docs[0], OK_DOC);
    for (int i = 1; i < 3; i++) {
        assert_non_null(strstr(w.docs[i], "in time"));
        assert_in_range(w.at_ms[i], 230, 1000);
    }
    assert_true(strstr(w.docs[1], "other look-ups") || strstr(w.docs[2], "other look-ups"));
    assert_string_equal(w.docs[3], OK_DOC);
    close_world(&w);
    peer_stop(&p);
}

static void an_answer_may_ask_again(void **state)
{
    (void)state;
    struct world w;
    struct peer p = {.replies = {OK_ANSWER}};
    peer_start(&p);
    open_world(&w, &(struct sh_lookups_config){.per_host = 1, .in_flight = 1});
    for (int i = 0; i < 3; i++) {
        forget(&w);
        snprintf(w.again, sizeof(w.again), "%s",
                 i == 1 ? "{}" : call_of(p.port, "/again", ",\"cache_ms\":1000"));
        ask(&w, i == 2 ? "{}" : call_of(p.port, "/again", ",\"cache_ms\":1000"));
        wait_for(&w, 2);
        assert_string_equal(w.docs[i == 2], i ? OK_CACHED : OK_DOC);
    }
    close_world(&w);
    peer_stop(&p);
}

static void never(void *arg, struct sh_slice doc)
{
    (void)arg;
    fail_msg("an answer to a look-up that was dropped: %.*s", (int)doc.n, doc.p);
}

static void waiting_ones_are_dropped_at_the_end(void **state)
{
    (void)state;
    struct peer p = {.replies = {OK_ANSWER}, .delay_ms = 300};
    peer_start(&p);
    for (int ms = 0; ms < 40; ms += 10) {
        struct world w;
        open_world(&w, &(struct sh_lookups_config){.per_host = 2});
        for (int i = 0; i < 6; i++) {
            const char *call = call_of(p.port, "/", i > 3 ? ",\"cache_ms\":1000" : "");
            sh_lookups_ask(w.lookups, sh_slice_str(call), NULL, never, NULL);
        }
        if (ms)
            ticking_run_for(&w.t, ms);
        else
            sh_lookups_ask(w.lookups, sh_slice_str("{}"), NULL, never, NULL);
        close_world(&w);
    }
    sh_lookups_free(NULL);
    peer_stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_becomes_a_document),
        cmocka_unit_test(whatever_goes_wrong_is_an_answer),
        cmocka_unit_test(secrets_are_sent_and_never_shown),
        cmocka_unit_test(another_secret_is_another_look_up),
        cmocka_unit_test(a_cached_answer_is_good_for_the_time_asked),
        cmocka_unit_test(only_good_answers_are_kept),
        cmocka_unit_test(look_ups_for_the_same_share_a_call),
        cmocka_unit_test(who_shares_keeps_a_time_of_its_own),
        cmocka_unit_test(the_least_used_go_first),
        cmocka_unit_test(a_host_is_asked_a_few_at_a_time),
        cmocka_unit_test(all_hosts_together_have_a_limit_too),
        cmocka_unit_test(the_time_counts_from_the_asking),
        cmocka_unit_test(an_answer_may_ask_again),
        cmocka_unit_test(waiting_ones_are_dropped_at_the_end),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
