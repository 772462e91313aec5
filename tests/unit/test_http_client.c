/* SPDX-License-Identifier: MIT
 * test_http_client.c: calls of the HTTP client to servers on 127.0.0.1: what is sent, what comes
 * back, turns, redirects, cancelling. Hostile answers: test_http_answers.c; names and
 * certificates: test_http_names.c. */
#include "http_caller.h"

#include <sys/resource.h>

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* --- What is sent --------------------------------------------------------------------------- */

static void a_post_arrives_as_it_is(void **state)
{
    (void)state;
    struct caller w;
    struct peer p = {.replies = {OK_ANSWER}};
    char url[100];
    peer_start(&p);
    caller_open(&w, "127.0.0.1", NULL);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/a/b?q=1&x=%%20#part", p.port);
    static const char *const headers[] = {
        "Idempotency-Key: k1", "X-Empty:", "x-blank:  ", "Content-Type: application/json", NULL};
    static char body[] = "{\"a\":1}";
    const struct kept *k = caller_call(&w, &(struct sh_http_request_out){.method = "POST",
                                                                         .url = url,
                                                                         .headers = headers,
                                                                         .body = body,
                                                                         .body_len = 7,
                                                                         .max_answer_bytes = 2});
    expect_answer(k, 200, "ok");
    assert_string_equal(k->headers, "content-length: 2\n");
    assert_false(k->a.cut);
    assert_int_equal(k->a.retry_after_ms, -1);
    assert_true(k->a.took_ms >= 0 && k->a.took_ms < 5000);
    char expected[500];
    snprintf(expected, sizeof(expected),
             "POST /a/b?q=1&x=%%20 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: "
             "switchhook-test\r\nAccept: */*\r\nIdempotency-Key: k1\r\nX-Empty:\r\nx-blank:\r\n"
             "Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
             p.port);
    assert_string_equal(peer_request(&p, 0), expected);
    caller_close(&w);
    peer_stop(&p);
}

static void each_method_has_the_body_it_needs(void **state)
{
    (void)state;
    static const struct {
        const char *method, *body, *line, *length;
    } cases[] = {
        {"GET", NULL, "GET /x HTTP/1.1\r\n", NULL},
        {"POST", NULL, "POST /x HTTP/1.1\r\n", "\r\nContent-Length: 0\r\n\r\n"},
        {"PUT", "new", "PUT /x HTTP/1.1\r\n", "\r\nContent-Length: 3\r\n\r\nnew"},
        {"GET", NULL, "GET /x HTTP/1.1\r\n", NULL},
        {"PATCH", "p", "PATCH /x HTTP/1.1\r\n", "\r\nContent-Length: 1\r\n\r\np"},
        {"DELETE", NULL, "DELETE /x HTTP/1.1\r\n", NULL},
        {"DELETE", "why", "DELETE /x HTTP/1.1\r\n", "\r\nContent-Length: 3\r\n\r\nwhy"},
        {"PUT", NULL, "PUT /x HTTP/1.1\r\n", "\r\nContent-Length: 0\r\n\r\n"},
        {"POST", "", "POST /x HTTP/1.1\r\n", "\r\nContent-Length: 0\r\n\r\n"},
        {"GET", NULL, "GET /x HTTP/1.1\r\n", NULL},
    };
    const size_t n = sizeof(cases) / sizeof(cases[0]);
    struct caller w;
    struct peer p = {.replies = {OK_ANSWER}};
    char url[100];
    peer_start(&p);
    caller_open(&w, "127.0.0.1", NULL);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/x", p.port);
    for (size_t i = 0; i < n; i++) {
        char *body = sh_strdup(cases[i].body); /* borrowed for the start alone */
        caller_forget(&w);
        (void)caller_begin(&w, &(struct sh_http_request_out){.method = cases[i].method,
                                                             .url = url,
                                                             .body = body,
                                                             .body_len = body ? strlen(body) : 0,
                                                             .max_answer_bytes = 100});
        free(body);
        caller_wait(&w, 1);
        expect_answer(&w.kept[0], 200, "ok");
        const char *request = peer_request(&p, i);
        assert_memory_equal(request, cases[i].line, strlen(cases[i].line));
        if (cases[i].length)
            assert_non_null(strstr(request, cases[i].length));
        else
            assert_null(strcasestr(request, "content-length"));
        assert_null(strcasestr(request, "content-type"));
        assert_null(strcasestr(request, "expect"));
        assert_null(strcasestr(request, "accept-encoding"));
    }
    assert_int_equal(p.n_conns, 1);
    caller_close(&w);
    peer_stop(&p);
}

static void a_large_body_goes_out_without_expect(void **state)
{
    (void)state;
    struct caller w;
    struct peer p = {.replies = {OK_ANSWER}};
    const size_t size = 3 * 1024 * 1024;
    char url[100], *body = malloc(size);
    memset(body, 'x', size);
    peer_start(&p);
    caller_open(&w, "127.0.0.1", NULL);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", p.port);
    expect_answer(caller_call(&w, &(struct sh_http_request_out){.method = "POST",
                                                                .url = url,
                                                                .body = body,
                                                                .body_len = size,
                                                                .max_answer_bytes = 100}),
                  200, "ok");
    const char *request = peer_request(&p, 0);
    assert_null(strcasestr(request, "expect:"));
    assert_int_equal(strlen(strstr(request, "\r\n\r\n") + 4), size);
    free(body);
    caller_close(&w);
    peer_stop(&p);
}

/* Nothing of the machine it runs on leads a call astray or speaks for it. */
static void the_environment_has_no_say(void **state)
{
    (void)state;
    struct caller w;
    struct peer p = {.replies = {OK_ANSWER}};
    char home[] = "/tmp/switchhook-http-XXXXXX", path[100], cmd[100];
    assert_non_null(mkdtemp(home));
    snprintf(path, sizeof(path), "%s/.netrc", home);
    FILE *f = fopen(path, "w");
    fputs("default login somebody password something\n", f);
    fclose(f);
    setenv("HOME", home, 1);
    static const char *const names[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < 4; i++)
        setenv(names[i], "http://127.0.0.1:1/", 1);
    peer_start(&p);
    caller_open(&w, "127.0.0.1", NULL);
    expect_answer(caller_get(&w, p.port, "/"), 200, "ok");
    assert_null(strcasestr(peer_request(&p, 0), "authorization"));
    for (size_t i = 0; i < 4; i++)
        unsetenv(names[i]);
    caller_close(&w);
    peer_stop(&p);
    snprintf(cmd, sizeof(cmd), "rm -rf '%s'", home);
    assert_int_equal(system(cmd), 0);
}

/* --- What is refused here ------------------------------------------------------------------- */

static void bad_requests_are_refused_in_words(void **state)
{
    (void)state;
    static const struct {
        const char *method, *url, *header, *says;
    } cases[] = {
        {"GET", "ftp://127.0.0.1/", NULL, "begins with ftp: only http and https"},
        {"GET", "file:///etc/passwd", NULL, "begins with file: only http and https"},
        {"GET", "gopher://127.0.0.1:25/_x", NULL, "only http and https"},
        {"GET", "/path", NULL, "the URL"},
        {"GET", "", NULL, "the URL"},
        {"GET", "http://", NULL, "the URL"},
        {"GET", "http:///path", NULL, "add \"path\" to http.allow"},
        {"GET", "http://127.0.0.1:0/", NULL, "the URL"},
        {"GET", "http://127.0.0.1:99999/", NULL, "the URL"},
        {"GET", "http://user:word@127.0.0.1/", NULL, "the URL holds a login"},
        {"GET", "http://user@127.0.0.1/", NULL, "the URL holds a login"},
        {"GET", "http://127.0.0.1/\r\nX: y", NULL, "a control byte"},
        {"GET", "http://127.0.0.1\t/", NULL, "a control byte"},
        {"GET", "http://other.example/", NULL, "add \"other.example\" to http.allow"},
        {"GET", "http://10.0.0.1/", NULL, "10.0.0.1 is a private address"},
        {"GET", "http://[::1]/", NULL, "[::1] is a loopback address"},
        {"GET",
         "http://b\xc3\xbc"
         "cher.example/",
         NULL, "xn--"},
        {"get", "http://127.0.0.1/", NULL, "method \"get\""},
        {"GET /x HTTP/1.1\r\nA: b\r\n\r\nGET", "http://127.0.0.1/", NULL, "method"},
        {"CONNECT", "http://127.0.0.1/", NULL, "method"},
        {"", "http://127.0.0.1/", NULL, "method"},
        {"GET", "http://127.0.0.1/", "X: a\r\nHost: b", "header X: a control byte"},
        {"GET", "http://127.0.0.1/", "X: a\nb", "header X: a control byte"},
        {"GET", "http://127.0.0.1/", "X y: a", "expected Name: value"},
        {"GET", "http://127.0.0.1/", ": a", "expected Name: value"},
        {"GET", "http://127.0.0.1/", "X", "expected Name: value"},
        {"GET", "http://127.0.0.1/", "host: a", "not set by hand"},
        {"GET", "http://127.0.0.1/", "Content-Length: 5", "not set by hand"},
        {"GET", "http://127.0.0.1/", "Transfer-Encoding: chunked", "not set by hand"},
        {"GET", "http://127.0.0.1/", "Expect: 100-continue", "not set by hand"},
        {"GET", "http://127.0.0.1/", "Connection: close", "not set by hand"},
    };
    struct caller w;
    caller_open(&w, "127.0.0.1", NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *headers[] = {cases[i].header, NULL};
        const struct kept *k = caller_call(&w, &(struct sh_http_request_out){
                                                   .method = cases[i].method,
                                                   .url = cases[i].url,
                                                   .headers = headers,
                                               });
        expect_end(k, SH_HTTP_REFUSED, cases[i].says);
        assert_false(k->a.sent);
    }
    caller_close(&w);
}

static void odd_spellings_of_an_address_are_that_address(void **state)
{
    (void)state;
    struct peer p = {.replies = {OK_ANSWER}};
    static const char *const hosts[] = {"2130706433", "0x7f.1", "127.1", "0177.0.0.1",
                                        "[::ffff:127.0.0.1]"};
    peer_start(&p);
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        struct caller w;
        char url[100];
        snprintf(url, sizeof(url), "http://%s:%d/", hosts[i], p.port);
        const struct sh_http_request_out r = {.method = "GET", .url = url, .max_answer_bytes = 9};
        caller_open(&w, "*", NULL);
        expect_end(caller_call(&w, &r), SH_HTTP_REFUSED, "a loopback address");
        caller_close(&w);
        caller_open(&w, "127.0.0.1", NULL);
        expect_answer(caller_call(&w, &r), 200, "ok");
        caller_close(&w);
    }
    peer_stop(&p);
}

static void disguises_of_an_address_do_not_pass(void **state)
{
    (void)state;
    struct peer p = {.replies = {OK_ANSWER}};
    static const char *const hosts[] = {"127.0.0.1.",
                                        "%31%32%37.0.0.1",
                                        "127%2e0.0.1",
                                        "127.0.0.1%00.example.org",
                                        "0x7f000001",
                                        "0000177.0000.0000.0001",
                                        "[::1]",
                                        "[::ffff:7f00:1]",
                                        "[::127.0.0.1]",
                                        "[64:ff9b::127.0.0.1]",
                                        "0",
                                        "localhost",
                                        "a.localhost",
                                        "127.0.0.1#@example.org",
                                        "127.0.0.1?.example.org",
                                        "example.org@127.0.0.1",
                                        "\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1",
                                        "127\343\200\2020.0.1",
                                        "loc\xe2\x93\x90lhost"};
    struct caller w;
    peer_start(&p);
    caller_open(&w, "*", NULL);
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        char url[100];
        snprintf(url, sizeof(url), "http://%s:%d/", hosts[i], p.port);
        const struct kept *k =
            caller_call(&w, &(struct sh_http_request_out){.method = "GET", .url = url});
        if (k->a.end != SH_HTTP_REFUSED)
            fail_msg("%s: end %d, %s", url, (int)k->a.end, k->a.error);
    }
    assert_int_equal(p.n_conns, 0);
    caller_close(&w);
    peer_stop(&p);
}

/* No descriptor is left: a reason that an operator understands. */
static void no_socket_is_said_so(void **state)
{
    (void)state;
    struct caller w;
    struct rlimit old, none;
    caller_open(&w, "127.0.0.1", NULL);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    const struct kept *k = caller_get(&w, 9, "/");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    expect_end(k, SH_HTTP_NO_ANSWER, "http://127.0.0.1:9: Too many open files");
    caller_close(&w);
}

/* --- Connections ---------------------------------------------------------------------------- */

static void an_open_connection_is_no_way_around_the_list(void **state)
{
    (void)state;
    struct caller w;
    struct peer p = {.replies = {OK_ANSWER}};
    char entry[60], url[100];
    peer_start(&p);
    snprintf(entry, sizeof(entry), "127.0.0.1:%d", p.port);
    caller_open(&w, entry, NULL);
    expect_answer(caller_get(&w, p.port, "/"), 200, "ok");
    static const char *const others[] = {"other.example", "localhost", "127.0.0.2"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(url, sizeof(url), "http://%s:%d/", others[i], p.port);
        expect_end(caller_call(&w, &(struct sh_http_request_out){.method = "GET", .url = url}),
                   SH_HTTP_REFUSED, "http.allow");
    }
    assert_int_equal(peer_count(&p), 1);
    caller_close(&w);
    peer_stop(&p);
}

static void a_connection_that_the_server_closed_costs_nothing(void **state)
{
    (void)state;
    struct caller w;
    struct peer p = {.replies = {OK_ANSWER}, .hang_up = true};
    peer_start(&p);
    caller_open(&w, "127.0.0.1", NULL);
    for (int i = 0; i < 5; i++) {
        expect_answer(caller_get(&w, p.port, "/"), 200, "ok");
        usleep(i % 2 ? 20000 : 0);
    }
    assert_int_equal(peer_count(&p), 5);
    caller_close(&w);
    peer_stop(&p);
}

static void calls_take_turns_at_the_connections(void **state)
{
    (void)state;
    struct caller w;
    struct peer p = {.replies = {OK_ANSWER}, .delay_ms = 2};
    char url[100];
    peer_start(&p);
    caller_open(&w, "127.0.0.1", &(struct sh_http_client_config){.connections = 4});
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", p.port);
    const struct sh_http_request_out r = {.method = "POST", .url = url, .max_answer_bytes = 9};
    for (int i = 0; i < 200; i++)
        (void)caller_begin(&w, &r);
    assert_int_equal(sh_http_client_open(w.client), 200);
    caller_wait(&w, 200);
    for (int i = 0; i < 200; i++)
        expect_answer(&w.kept[i], 200, "ok");
    assert_int_equal(p.n_conns, 4);
    assert_int_equal(sh_http_client_open(w.client), 0);
    caller_close(&w);
    peer_stop(&p);
}

static void idle_connections_make_room_for_other_hosts(void **state)
{
    (void)state;
    struct caller w;
    static struct peer p[8];
    caller_open(&w, "127.0.0.1", &(struct sh_http_client_config){.connections = 2});
    for (size_t i = 0; i < 8; i++) {
        p[i] = (struct peer){.replies = {OK_ANSWER}};
        peer_start(&p[i]);
    }
    for (size_t i = 0; i < 24; i++)
        expect_answer(caller_get(&w, p[i % 8].port, "/"), 200, "ok");
    caller_forget(&w);
    for (size_t i = 0; i < 64; i++) {
        char url[100];
        snprintf(url, sizeof(url), "http://127.0.0.1:%d/", p[i % 8].port);
        (void)caller_begin(
            &w, &(struct sh_http_request_out){.method = "GET", .url = url, .max_answer_bytes = 9});
    }
    caller_wait(&w, 64);
    for (size_t i = 0; i < 64; i++)
        expect_answer(&w.kept[i], 200, "ok");
    caller_close(&w);
    for (size_t i = 0; i < 8; i++)
        peer_stop(&p[i]);
}

static void who_waits_too_long_for_a_turn_is_told(void **state)
{
    (void)state;
    struct caller w;
    struct peer p = {.replies = {OK_ANSWER}, .delay_ms = 400};
    char url[100];
    peer_start(&p);
    caller_open(&w, "127.0.0.1", &(struct sh_http_client_config){.connections = 1});
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", p.port);
    struct sh_http_request_out r = {.method = "GET", .url = url, .max_answer_bytes = 9};
    (void)caller_begin(&w, &r);
    r.timeout_ms = 100;
    (void)caller_begin(&w, &r);
    r.timeout_ms = 2000;
    (void)caller_begin(&w, &r);
    caller_wait(&w, 3);
    expect_end(&w.kept[0], SH_HTTP_NO_ANSWER, "all 1 connections were busy");
    assert_false(w.kept[0].a.sent);
    assert_in_range(w.kept[0].a.took_ms, 90, 390);
    expect_answer(&w.kept[1], 200, "ok");
    expect_answer(&w.kept[2], 200, "ok");
    caller_close(&w);
    peer_stop(&p);
}

/* --- Cancelling ----------------------------------------------------------------------------- */

static void never(void *arg, const struct sh_http_answer *a)
{
    (void)arg;
    fail_msg("done() of a cancelled call: %s", a->error);
}

static void a_cancelled_call_is_silent(void **state)
{
    (void)state;
    struct caller w;
    struct peer p = {.replies = {OK_ANSWER}, .delay_ms = 30};
    char url[100];
    peer_start(&p);
    caller_open(&w, "127.0.0.1", &(struct sh_http_client_config){.connections = 2});
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", p.port);
    struct sh_http_request_out r = {.method = "GET", .url = url, .max_answer_bytes = 9};
    struct sh_http_call *calls[6];
    for (int i = 0; i < 4; i++) /* two run, two wait */
        calls[i] = sh_http_client_start(w.client, &r, never, NULL);
    (void)caller_begin(&w, &r);
    r.url = "ftp://127.0.0.1/";
    calls[4] = sh_http_client_start(w.client, &r, never, NULL);
    r.url = "http://127.0.0.1:1/";
    calls[5] = sh_http_client_start(w.client, &r, never, NULL);
    sh_http_call_cancel(calls[3]);
    sh_http_call_cancel(calls[4]);
    ticking_run_for(&w.t, 10);
    sh_http_call_cancel(calls[0]);
    sh_http_call_cancel(calls[1]);
    sh_http_call_cancel(calls[2]);
    sh_http_call_cancel(calls[5]);
    assert_int_equal(sh_http_client_open(w.client), 1);
    caller_wait(&w, 1);
    expect_answer(&w.kept[0], 200, "ok");
    caller_close(&w);
    peer_stop(&p);
}

struct pair {
    struct caller *w;
    struct sh_http_call *other;
};

static void cancel_other(void *arg, const struct sh_http_answer *a)
{
    struct pair *pair = arg;
    sh_http_call_cancel(pair->other);
    caller_keep(pair->w, a, 0);
}

/* Both answers are in by the time the first is told of. */
static void a_call_may_cancel_another_that_has_ended_too(void **state)
{
    (void)state;
    struct caller w;
    struct peer p = {.replies = {OK_ANSWER}};
    char url[100];
    peer_start(&p);
    caller_open(&w, "127.0.0.1", NULL);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", p.port);
    const struct sh_http_request_out r = {.method = "GET", .url = url, .max_answer_bytes = 9};
    for (int i = 0; i < 20; i++) {
        caller_forget(&w);
        struct pair one = {.w = &w}, two = {.w = &w};
        two.other = sh_http_client_start(w.client, &r, cancel_other, &one);
        one.other = sh_http_client_start(w.client, &r, cancel_other, &two);
        struct sh_timer *slow = sh_timer_new(w.t.base, ticking_stop, w.t.base);
        sh_timer_set(slow, 0);
        sh_loop_run(w.t.base);
        usleep(3000);
        sh_timer_free(slow);
        caller_wait(&w, 1);
        ticking_run_for(&w.t, 5);
        assert_int_equal(w.n_kept, 1);
        assert_int_equal(sh_http_client_open(w.client), 0);
    }
    caller_close(&w);
    peer_stop(&p);
}

static void the_client_goes_with_calls_under_way(void **state)
{
    (void)state;
    struct peer p = {.replies = {"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nhalf"}};
    struct caller w;
    char url[100];
    peer_start(&p);
    for (int ms = 0; ms < 30; ms += 5) {
        caller_open(&w, "127.0.0.1", &(struct sh_http_client_config){.connections = 2});
        snprintf(url, sizeof(url), "http://127.0.0.1:%d/", p.port);
        struct sh_http_request_out r = {.method = "GET", .url = url, .max_answer_bytes = 900};
        for (int i = 0; i < 4; i++)
            (void)sh_http_client_start(w.client, &r, never, NULL);
        r.url = "ftp://x/";
        if (ms)
            ticking_run_for(&w.t, ms);
        else
            (void)sh_http_client_start(w.client, &r, never, NULL);
        caller_close(&w);
    }
    peer_stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_post_arrives_as_it_is),
        cmocka_unit_test(each_method_has_the_body_it_needs),
        cmocka_unit_test(a_large_body_goes_out_without_expect),
        cmocka_unit_test(the_environment_has_no_say),
        cmocka_unit_test(bad_requests_are_refused_in_words),
        cmocka_unit_test(odd_spellings_of_an_address_are_that_address),
        cmocka_unit_test(disguises_of_an_address_do_not_pass),
        cmocka_unit_test(no_socket_is_said_so),
        cmocka_unit_test(an_open_connection_is_no_way_around_the_list),
        cmocka_unit_test(a_connection_that_the_server_closed_costs_nothing),
        cmocka_unit_test(calls_take_turns_at_the_connections),
        cmocka_unit_test(idle_connections_make_room_for_other_hosts),
        cmocka_unit_test(who_waits_too_long_for_a_turn_is_told),
        cmocka_unit_test(a_cancelled_call_is_silent),
        cmocka_unit_test(a_call_may_cancel_another_that_has_ended_too),
        cmocka_unit_test(the_client_goes_with_calls_under_way),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
