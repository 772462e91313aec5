/* SPDX-License-Identifier: MIT
 * test_http_carrier.c: verdicts from answers, and calls to a server of this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/http_carrier.h"
#include "base/utf8.h"
#include "svc/http_server.h"
#include "svc/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Verdicts -------------------------------------------------------------------------------- */

static struct sh_attempt judged(enum sh_http_end end, int status, int64_t retry_after_ms)
{
    struct sh_http_answer a = {
        .end = end, .status = status, .retry_after_ms = retry_after_ms, .error = "no route"};
    struct sh_attempt out;
    sh_http_carrier_judge(&a, "http://a.test/(secret T)", &out);
    return out;
}

static void each_answer_has_its_verdict(void **state)
{
    (void)state;
    static const int sent[] = {200, 201, 202, 204, 299}, down[] = {408, 425, 429, 502, 503, 504},
                     later[] = {500, 501, 505, 507, 599},
                     final[] = {300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 410, 422, 451};
    for (size_t i = 0; i < sizeof(sent) / sizeof(*sent); i++)
        for (int64_t after = -1; after < 5000; after += 5000)
            assert_int_equal(judged(SH_HTTP_ANSWERED, sent[i], after).verdict, SH_ATTEMPT_SENT);
    for (size_t i = 0; i < sizeof(down) / sizeof(*down); i++) {
        struct sh_attempt a = judged(SH_HTTP_ANSWERED, down[i], -1);
        assert_int_equal(a.verdict, SH_ATTEMPT_TARGET_DOWN);
        assert_int_equal(a.retry_after_ms, 0);
        assert_int_equal(a.status, down[i]);
        a = judged(SH_HTTP_ANSWERED, down[i], 7000);
        assert_int_equal(a.verdict, SH_ATTEMPT_TARGET_DOWN);
        assert_int_equal(a.retry_after_ms, 7000);
    }
    for (size_t i = 0; i < sizeof(later) / sizeof(*later); i++) {
        assert_int_equal(judged(SH_HTTP_ANSWERED, later[i], -1).verdict, SH_ATTEMPT_TEMPORARY);
        assert_int_equal(judged(SH_HTTP_ANSWERED, later[i], 9).verdict, SH_ATTEMPT_TARGET_DOWN);
    }
    for (size_t i = 0; i < sizeof(final) / sizeof(*final); i++) {
        assert_int_equal(judged(SH_HTTP_ANSWERED, final[i], -1).verdict, SH_ATTEMPT_PERMANENT);
        int want = final[i] < 400 ? SH_ATTEMPT_TARGET_DOWN : SH_ATTEMPT_PERMANENT;
        assert_int_equal(judged(SH_HTTP_ANSWERED, final[i], 9).verdict, want);
    }
}

static void what_was_not_answered_says_why(void **state)
{
    (void)state;
    struct sh_attempt a = judged(SH_HTTP_REFUSED, 0, -1);
    assert_int_equal(a.verdict, SH_ATTEMPT_PERMANENT);
    assert_string_equal(a.detail, "no route");
    a = judged(SH_HTTP_NO_ANSWER, 0, -1);
    assert_int_equal(a.verdict, SH_ATTEMPT_TARGET_DOWN);
    assert_int_equal(a.status, 0);
    assert_string_equal(judged(SH_HTTP_ANSWERED, 404, -1).detail,
                        "HTTP 404 from http://a.test/(secret T)");
    assert_non_null(strstr(judged(SH_HTTP_ANSWERED, 302, -1).detail, "not followed"));
}

/* --- A server -------------------------------------------------------------------------------- */

struct world {
    struct event_base *base;
    struct sh_http_server *server;
    struct sh_reach *reach;
    struct sh_http_client *client;
    struct sh_hidden *hidden;
    struct sh_http_carrier *carrier;
    struct sh_carrier way;
    /* what the server got, and says */
    char got[4096];
    int status;
    struct sh_slice says;
    const char *redirect; /* its Location, NULL = none */
    bool hold;
    struct sh_http_request *held;
    /* what became of it */
    int n_done;
    struct sh_attempt attempt;
    char answer[4096];
    bool has_answer, starting;
};

static void on_request(void *arg, struct sh_http_request *req)
{
    struct world *w = arg;
    const char *key = sh_http_header(req, "Idempotency-Key"),
               *auth = sh_http_header(req, "Authorization");
    struct sh_slice body = sh_http_body(req);
    snprintf(w->got, sizeof(w->got), "%d %s key=%s auth=%s body=%.*s", (int)sh_http_method(req),
             sh_http_path(req), key ? key : "-", auth ? auth : "-", (int)body.n, body.p);
    if (w->hold) {
        w->held = req;
        sh_loop_stop(w->base);
        return;
    }
    if (w->redirect)
        sh_http_add_header(req, "Location", w->redirect);
    sh_http_reply(req, w->status, "text/plain", w->says);
}

static void on_refused(void *arg, const struct sh_http_refusal *refusal, struct sh_buf *headers,
                       struct sh_buf *body)
{
    (void)arg;
    (void)headers;
    (void)body;
    fail_msg("refused with %d", refusal->status);
}

static const char *secret(void *arg, const char *name)
{
    (void)arg;
    if (strcmp(name, "HOST") == 0)
        return "t0ken-of-a-host";
    return strcmp(name, "TOKEN") == 0 ? "t0ken-of-24-letters/long" : NULL;
}

static void open_world(struct world *w)
{
    static const struct sh_http_limits limits = {1 << 20, 16384, 100, 0, 10000, 10000, 10000, 0};
    static const char *const allow[] = {"127.0.0.1"};
    struct sh_error err = {0};
    memset(w, 0, sizeof(*w));
    w->status = 200;
    w->base = sh_loop_new();
    w->server =
        sh_http_server_new(w->base, "127.0.0.1", 0, &limits, on_request, on_refused, w, &err);
    w->reach = sh_reach_new(allow, 1, &err);
    assert_non_null(w->server);
    assert_non_null(w->reach);
    const struct sh_http_client_config config = {.reach = w->reach, .user_agent = "test"};
    w->client = sh_http_client_new(w->base, &config, &err);
    assert_non_null(w->client);
    static const char *const names[] = {"TOKEN", "HOST", NULL};
    w->hidden = sh_hidden_new(names, secret, NULL);
    const struct sh_http_carrier_config carrier = {.base = w->base,
                                                   .client = w->client,
                                                   .secret = secret,
                                                   .hidden = w->hidden,
                                                   .timeout_ms = 5000};
    w->carrier = sh_http_carrier_new(&carrier);
    w->way = sh_http_carrier_as_carrier(w->carrier);
    assert_string_equal(w->way.kind, "http");
}

static void close_world(struct world *w)
{
    sh_http_carrier_free(w->carrier);
    sh_hidden_free(w->hidden);
    sh_http_client_free(w->client);
    sh_http_server_free(w->server);
    sh_reach_free(w->reach);
    sh_loop_free(w->base);
}

static void on_done(void *arg, const struct sh_attempt *a)
{
    struct world *w = arg;
    assert_false(w->starting); /* never from within start */
    w->n_done++;
    w->attempt = *a;
    w->has_answer = a->answer != NULL;
    snprintf(w->answer, sizeof(w->answer), "%s", a->answer ? a->answer : "");
    sh_loop_stop(w->base);
}

static void start(struct world *w, char *payload)
{
    const struct sh_outbox_item item = {
        .id = (char[]){"i"}, .key = (char[]){"0123abcd"}, .payload = payload};
    w->starting = true;
    w->way.start(w->way.self, &item, on_done, w);
    w->starting = false;
}

/* The call with %d as the port, to its end. */
static void call(struct world *w, const char *format)
{
    char payload[2000];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(payload, sizeof(payload), format, sh_http_server_port(w->server));
#pragma GCC diagnostic pop
    int before = w->n_done;
    start(w, payload);
    while (w->n_done == before)
        sh_loop_run(w->base);
    assert_int_equal(w->n_done, before + 1);
}

#define CALL                                                                                       \
    "{\"method\":\"PUT\",\"url\":[\"http://127.0.0.1:%d/x/"                                        \
    "\",{\"secret\":\"TOKEN\",\"as\":\"url\"}],"                                                   \
    "\"headers\":[[\"Authorization\",[\"Bearer \",{\"secret\":\"TOKEN\"}]]],\"body\":\"hello\"}"

static void a_call_arrives_with_key_and_secrets(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    w.says = SH_SLICE("hi t0ken-of-24-letters/long, t0ken-of-24-letters%2Flong!");
    call(&w, CALL);
    assert_int_equal(w.attempt.verdict, SH_ATTEMPT_SENT);
    assert_int_equal(w.attempt.status, 200);
    assert_non_null(strstr(w.got, "/x/t0ken-of-24-letters/long key=0123abcd auth=Bearer "
                                  "t0ken-of-24-letters/long body=hello"));
    assert_string_equal(w.answer, "hi (secret TOKEN), (secret TOKEN)!");
    assert_null(strstr(w.attempt.detail, "t0ken"));
    assert_non_null(strstr(w.attempt.detail, "/x/(secret TOKEN)"));
    close_world(&w);
}

static void a_redirect_with_a_secret_in_its_host_is_told_without_it(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    w.status = 307;
    w.redirect = "http://t0ken-of-a-host.test/";
    call(&w, "{\"method\":\"PUT\",\"url\":\"http://127.0.0.1:%d/\",\"redirects\":1,"
             "\"headers\":[[\"X-Key\",[{\"secret\":\"HOST\"}]]],\"body\":\"x\"}");
    assert_int_equal(w.attempt.verdict, SH_ATTEMPT_PERMANENT);
    assert_null(strstr(w.attempt.detail, "t0ken"));
    assert_non_null(strstr(w.attempt.detail, "(secret HOST)"));
    close_world(&w);
}

static void the_answers_beginning_is_kept_as_text(void **state)
{
    (void)state;
    struct world w;
    char body[3001];
    open_world(&w);
    w.status = 410;
    for (size_t i = 0; i < 3000; i += 3)
        memcpy(body + i, "\xe2\x82\xac", 3); /* 333 of them fit */
    w.says = sh_slice(body, 3000);
    call(&w, CALL);
    assert_int_equal(w.attempt.verdict, SH_ATTEMPT_PERMANENT);
    assert_int_equal(strlen(w.answer), 999);
    assert_true(sh_utf8_ok(sh_slice_str(w.answer)));
    w.says = SH_SLICE("a\0b\x01\xff\xe2\x82z\r\n\xc2\x85\x7f.");
    call(&w, CALL);
    assert_string_equal(w.answer, "a b \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz    .");
    memset(body, 'x', 3000); /* a secret that would be cut in two */
    memcpy(body + 990, "t0ken-of-24-letters/long", 24);
    w.says = sh_slice(body, 3000);
    call(&w, CALL);
    assert_null(strstr(w.answer, "t0k"));
    assert_int_equal(strlen(w.answer), 1000);
    close_world(&w);
}

static void what_cannot_be_sent_ends_later_and_for_good(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    call(&w,
         "{\"method\":\"POST\",\"url\":\"http://127.0.0.1:%d/\",\"body\":[{\"secret\":\"NONE\"}]}");
    assert_int_equal(w.attempt.verdict, SH_ATTEMPT_PERMANENT);
    assert_non_null(strstr(w.attempt.detail, "\"NONE\" is not configured"));
    assert_false(w.has_answer);
    call(&w, "{\"method\":\"POST\",\"url\":\"http://10.1.2.3:%d/\"}");
    assert_int_equal(w.attempt.verdict, SH_ATTEMPT_PERMANENT);
    assert_non_null(strstr(w.attempt.detail, "10.1.2.3"));
    call(&w, "not json %d");
    assert_int_equal(w.attempt.verdict, SH_ATTEMPT_PERMANENT);
    call(&w, "{\"method\":\"POST\",\"url\":\"http://127.0.0.1:1/%d\"}");
    assert_int_equal(w.attempt.verdict, SH_ATTEMPT_TARGET_DOWN);
    assert_string_equal(w.got, "");
    close_world(&w);
}

static void it_may_be_freed_with_calls_under_way(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    char payload[200];
    w.hold = true;
    snprintf(payload, sizeof(payload), "{\"method\":\"POST\",\"url\":\"http://127.0.0.1:%d/\"}",
             sh_http_server_port(w.server));
    start(&w, payload);
    while (!w.held)
        sh_loop_run(w.base);
    start(&w, payload);
    start(&w, (char[]){"[]"});
    sh_http_carrier_free(w.carrier);
    w.carrier = NULL;
    sh_http_reply(w.held, 200, NULL, SH_SLICE("{}"));
    close_world(&w);
    assert_int_equal(w.n_done, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_has_its_verdict),
        cmocka_unit_test(what_was_not_answered_says_why),
        cmocka_unit_test(a_call_arrives_with_key_and_secrets),
        cmocka_unit_test(a_redirect_with_a_secret_in_its_host_is_told_without_it),
        cmocka_unit_test(the_answers_beginning_is_kept_as_text),
        cmocka_unit_test(what_cannot_be_sent_ends_later_and_for_good),
        cmocka_unit_test(it_may_be_freed_with_calls_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
