/* SPDX-License-Identifier: MIT
 * test_http_answers.c: what servers answer, and what is made of it: every form that HTTP/1.1 has,
 * Retry-After, limits, redirects, slow servers, and servers that talk nonsense or go away. */
#include "http_caller.h"

#define OK "HTTP/1.1 200 OK\r\n"

/* --- Forms of an answer --------------------------------------------------------------------- */

static void every_form_of_an_answer_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        bool hang_up;
        int status;
        const char *headers, *body;
    } cases[] = {
        {OK "Content-Length: 5\r\nX-A:  b \r\n\r\nhello", false, 200, "content-length: 5\nx-a: b\n",
         "hello"},
        {OK "\r\nuntil the end", true, 200, "", "until the end"},
        {OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", false, 200,
         "transfer-encoding: chunked\n", "abcde"},
        {OK "Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\nabc\r\n0\r\nX-T: late\r\n"
            "Retry-After: 9\r\n\r\n",
         false, 200, "transfer-encoding: chunked\ntrailer: X-T\n", "abc"},
        {"HTTP/1.1 204 No Content\r\nETag: \"x\"\r\n\r\n", false, 204, "etag: \"x\"\n", ""},
        {"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\nX: y\r\n\r\n" OK
         "Content-Length: 1\r\n\r\n1",
         false, 200, "content-length: 1\n", "1"},
        {"HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 1\r\n\r\n1", false, 200,
         "content-length: 1\n", "1"},
        {OK "A: 1\r\na: 2\r\nContent-Length: 0\r\n\r\n", false, 200,
         "a: 1\na: 2\ncontent-length: 0\n", ""},
        {OK "X-Fold: one\r\n  two\r\n\tthree\r\nContent-Length: 0\r\n\r\n", false, 200,
         "x-fold: one two three\ncontent-length: 0\n", ""},
        {OK "X-Ctl: a\x01"
            "b\tc\x7f"
            "d\r\nContent-Length: 0\r\n\r\n",
         false, 200, "x-ctl: a b c d\ncontent-length: 0\n", ""},
        {OK "bad name: x\r\n: y\r\nContent-Length: 0\r\n\r\n", false, 200, "content-length: 0\n",
         ""},
        {OK "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxyz", false, 200,
         "content-encoding: gzip\ncontent-length: 3\n", "xyz"},
        {"HTTP/1.0 404 Not Found\r\n\r\ngone", true, 404, "", "gone"},
        {"HTTP/1.1 503\r\nContent-Length: 0\r\n\r\n", false, 503, "content-length: 0\n", ""},
        {"HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n", false, 302,
         "location: /y\ncontent-length: 0\n", ""},
        {OK "Set-Cookie: a=b\r\nContent-Length: 0\r\n\r\n", false, 200,
         "set-cookie: a=b\ncontent-length: 0\n", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int gap = 0; gap < 2; gap++) { /* all at once, and byte by byte */
            struct caller w;
            struct peer p = {
                .replies = {cases[i].reply}, .hang_up = cases[i].hang_up, .gap_us = gap * 20};
            peer_start(&p);
            caller_open(&w, "127.0.0.1", NULL);
            for (int again = 0; again < 2; again++) {
                const struct kept *k = caller_get(&w, p.port, "/x");
                expect_answer(k, cases[i].status, cases[i].body);
                if (strcmp(k->headers, cases[i].headers) != 0)
                    fail_msg("case %zu: \"%s\"", i, k->headers);
            }
            assert_null(strcasestr(peer_request(&p, 1), "cookie"));
            caller_close(&w);
            peer_stop(&p);
        }
    }
}

static const struct kept *get_limited(struct caller *w, int port, size_t max)
{
    char url[100];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", port);
    return caller_call(
        w, &(struct sh_http_request_out){.method = "GET", .url = url, .max_answer_bytes = max});
}

static void a_body_is_read_up_to_its_limit(void **state)
{
    (void)state;
    struct caller w;
    static const char *const replies[] = {
        OK "Content-Length: 10\r\n\r\n0123456789",
        OK "Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n",
    };
    caller_open(&w, "127.0.0.1", NULL);
    for (size_t i = 0; i < 2; i++) {
        struct peer p = {.replies = {replies[i]}};
        peer_start(&p);
        for (size_t max = 0; max < 13; max++) {
            char part[11] = "";
            memcpy(part, "0123456789", max < 10 ? max : 10);
            const struct kept *k = get_limited(&w, p.port, max);
            expect_answer(k, 200, part);
            assert_int_equal(k->a.cut, max < 10);
        }
        peer_stop(&p);
    }
    caller_close(&w);
}

static bool pour(struct peer *p, int fd, size_t n, const char *request)
{
    (void)n;
    (void)request;
    static char block[65536];
    if (!peer_say(p, fd, OK "\r\n"))
        return false;
    while (peer_write(p, fd, block, sizeof(block))) { /* for ever */
    }
    return false;
}

static void an_endless_body_is_cut_and_its_connection_closed(void **state)
{
    (void)state;
    struct caller w;
    struct peer p = {.fn = pour};
    peer_start(&p);
    caller_open(&w, "127.0.0.1", NULL);
    const struct kept *k = get_limited(&w, p.port, 100000);
    assert_int_equal(k->a.end, SH_HTTP_ANSWERED);
    assert_true(k->a.cut);
    assert_int_equal(k->a.body.n, 100000);
    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&p.lock);
        size_t open = p.n_open;
        pthread_mutex_unlock(&p.lock);
        if (!open)
            break;
        usleep(10000);
    }
    assert_int_equal(p.n_open, 0);
    caller_close(&w);
    peer_stop(&p);
}

/* --- Retry-After ---------------------------------------------------------------------------- */

static void retry_after_is_read_in_all_its_forms(void **state)
{
    (void)state;
    const long long s = 1000, day = 24 * 3600 * s;
    static const char now[] = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    const struct {
        const char *headers;
        long long ms;
    } cases[] = {
        {"", -1},
        {"Retry-After: 0\r\n", 0},
        {"Retry-After: 120\r\n", 120 * s},
        {"retry-after:   7  \r\n", 7 * s},
        {"Retry-After: 86399\r\n", 86399 * s},
        {"Retry-After: 86400\r\n", day},
        {"Retry-After: 86401\r\n", day},
        {"Retry-After: 99999999999999999999999999\r\n", day},
        {"Retry-After: -5\r\n", -1},
        {"Retry-After: +5\r\n", -1},
        {"Retry-After: 1.5\r\n", -1},
        {"Retry-After: 5s\r\n", -1},
        {"Retry-After: 0x10\r\n", -1},
        {"Retry-After:\r\n", -1},
        {"Retry-After: soon\r\n", -1},
        {"Retry-After: 3\r\nRetry-After: 9\r\n", 3 * s},
        {"Retry-After: Sun, 06 Nov 1994 08:50:37 GMT\r\n", 60 * s},
        {"Retry-After: Sunday, 06-Nov-94 08:50:37 GMT\r\n", 60 * s},
        {"Retry-After: Sun Nov  6 08:50:37 1994\r\n", 60 * s},
        {"Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 0},
        {"Retry-After: Sat, 05 Nov 1994 08:49:37 GMT\r\n", 0},
        {"Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n", day},
        {"Retry-After: Sun, 06 Nov 1994 08:50:37 CET\r\n", -1},
        {"Retry-After: Sun, 06 Nov 1994 08:50:37 GMT and then some\r\n", -1},
        {"Retry-After: Sun, 36 Nov 1994 08:50:37 GMT\r\n", -1},
        {"Retry-After: 1994-11-06T08:50:37Z\r\n", -1},
    };
    struct caller w;
    caller_open(&w, "127.0.0.1", NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char reply[400];
        snprintf(reply, sizeof(reply), "HTTP/1.1 503 x\r\n%s%sContent-Length: 0\r\n\r\n",
                 i % 2 ? now : "", cases[i].headers);
        if (strstr(cases[i].headers, "1994") || strstr(cases[i].headers, "-94"))
            snprintf(reply, sizeof(reply), "HTTP/1.1 503 x\r\n%s%sContent-Length: 0\r\n\r\n", now,
                     cases[i].headers);
        struct peer p = {.replies = {reply}};
        peer_start(&p);
        const struct kept *k = caller_get(&w, p.port, "/");
        if (k->a.status != 503 || k->a.retry_after_ms != cases[i].ms)
            fail_msg("%s: %lld", cases[i].headers, (long long)k->a.retry_after_ms);
        peer_stop(&p);
    }
    caller_close(&w);
}

/* Without the server's clock ours is taken. */
static void a_date_alone_is_held_against_our_clock(void **state)
{
    (void)state;
    struct caller w;
    char reply[200], date[64];
    time_t at = time(NULL) + 90;
    struct tm tm;
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&at, &tm));
    snprintf(reply, sizeof(reply), "HTTP/1.1 429 x\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n",
             date);
    struct peer p = {.replies = {reply}};
    peer_start(&p);
    caller_open(&w, "127.0.0.1", NULL);
    assert_in_range(caller_get(&w, p.port, "/")->a.retry_after_ms, 80000, 91000);
    caller_close(&w);
    peer_stop(&p);
}

/* --- Nonsense and silence ------------------------------------------------------------------- */

static void nonsense_is_no_answer(void **state)
{
    (void)state;
    static const struct {
        const char *reply, *says;
        size_t bytes;
    } cases[] = {
        {"", "closed the connection without an answer", 0},
        {"hello there\r\n\r\n", "is not HTTP", 0},
        {"SSH-2.0-OpenSSH_9.2\r\n", "is not HTTP", 0},
        {"\x16\x03\x01\x02\x00\x01", "is not HTTP", 6},
        {"HTTP/1.1 abc OK\r\n\r\n", "", 0},
        {"HTTP/1.1 99 OK\r\n\r\n", "", 0},
        {"HTTP/9.9 200 OK\r\n\r\n", "", 0},
        {OK "Content-Le", "closed the connection", 0},
        {OK "Content-Length: 10\r\n\r\nhalf", "in the middle of its answer", 0},
        {OK "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", "", 0},
        {OK "Transfer-Encoding: chunked\r\n\r\nff\r\nabc", "in the middle of its answer", 0},
        {OK "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\nabc", "", 0},
        {OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "in the middle of its answer", 0},
        {OK "X: a\0b\r\n\r\n", "is not HTTP", sizeof(OK "X: a\0b\r\n\r\n") - 1},
        {"HTTP/1.1 100 Continue\r\n\r\n", "", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct caller w;
        struct peer p = {
            .replies = {cases[i].reply}, .reply_bytes = cases[i].bytes, .hang_up = true};
        peer_start(&p);
        caller_open(&w, "127.0.0.1", NULL);
        const struct kept *k = caller_get(&w, p.port, "/");
        char origin[60];
        snprintf(origin, sizeof(origin), "http://127.0.0.1:%d: ", p.port);
        if (k->a.end != SH_HTTP_NO_ANSWER || !strstr(k->a.error, cases[i].says) || !k->a.sent ||
            strncmp(k->a.error, origin, strlen(origin)) != 0)
            fail_msg("case %zu: end %d, sent %d, %d, \"%s\"", i, (int)k->a.end, k->a.sent,
                     k->a.status, k->a.error);
        caller_close(&w);
        peer_stop(&p);
    }
}

static bool many_headers(struct peer *p, int fd, size_t n, const char *request)
{
    bool ok = peer_say(p, fd, strstr(request, "/interim") ? "" : OK);
    size_t lines = strstr(request, "/few") ? 60 : 100000;
    (void)n;
    for (size_t i = 0; ok && i < lines; i++) {
        if (strstr(request, "/interim"))
            ok = peer_say(p, fd, "HTTP/1.1 103 Early Hints\r\n\r\n");
        else if (strstr(request, "/line"))
            ok = peer_say(p, fd, i ? "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" : "X-Long: ");
        else
            ok = peer_say(p, fd, "X-Filler: 0123456789012345678901234567890123456789\r\n");
    }
    return ok && peer_say(p, fd, "Content-Length: 0\r\n\r\n");
}

static void headers_are_read_up_to_their_limit(void **state)
{
    (void)state;
    struct caller w;
    struct peer p = {.fn = many_headers};
    peer_start(&p);
    caller_open(&w, "127.0.0.1", NULL);
    expect_answer(caller_get(&w, p.port, "/few"), 200, "");
    expect_end(caller_get(&w, p.port, "/many"), SH_HTTP_NO_ANSWER, "longer than 64 KiB");
    expect_end(caller_get(&w, p.port, "/interim"), SH_HTTP_NO_ANSWER, "longer than 64 KiB");
    expect_end(caller_get(&w, p.port, "/line"), SH_HTTP_NO_ANSWER, "");
    expect_answer(caller_get(&w, p.port, "/few"), 200, "");
    caller_close(&w);
    peer_stop(&p);
}

static const struct kept *get_within(struct caller *w, int port, int64_t ms)
{
    char url[100];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", port);
    return caller_call(
        w, &(struct sh_http_request_out){
               .method = "GET", .url = url, .timeout_ms = ms, .max_answer_bytes = 65536});
}

static void slow_servers_are_given_up_in_time(void **state)
{
    (void)state;
    static const struct {
        const char *reply, *says;
        int delay_ms, gap_us;
    } cases[] = {
        {OK "Content-Length: 0\r\n\r\n", "no answer in time", 2500, 0},
        {OK "Content-Length: 100\r\n\r\nhalf", "did not end in time", 0, 0},
        {OK "Content-Length: 900\r\n\r\n012345678901234567890123456789", "did not end in time", 0,
         20000},
    };
    for (size_t i = 0; i < 3; i++) {
        struct caller w;
        struct peer p = {
            .replies = {cases[i].reply}, .delay_ms = cases[i].delay_ms, .gap_us = cases[i].gap_us};
        peer_start(&p);
        caller_open(&w, "127.0.0.1", NULL);
        const struct kept *k = get_within(&w, p.port, i < 2 ? 200 : 900);
        expect_end(k, SH_HTTP_NO_ANSWER, cases[i].says);
        assert_true(k->a.sent);
        assert_in_range(k->a.took_ms, i < 2 ? 190 : 890, i < 2 ? 1500 : 2500);
        assert_true(w.t.max_gap_ms < 500);
        caller_close(&w);
        peer_stop(&p);
    }
}

static void nobody_there_is_said_so(void **state)
{
    (void)state;
    struct caller w;
    int port;
    close(peer_listen(1, &port));
    caller_open(&w, "127.0.0.1", NULL);
    const struct kept *k = caller_get(&w, port, "/");
    expect_end(k, SH_HTTP_NO_ANSWER, ": Connection refused");
    assert_false(k->a.sent);
    caller_close(&w);
}

/* A server whose queue of connections is full lets a new one hang. */
static void a_connection_that_does_not_come_is_given_up(void **state)
{
    (void)state;
    struct caller w;
    int port, fd = peer_listen(0, &port), fill[4];
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (size_t i = 0; i < 4; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(fill[i], (struct sockaddr *)&in, sizeof(in));
    }
    caller_open(&w, "127.0.0.1", &(struct sh_http_client_config){.connect_timeout_ms = 200});
    const struct kept *k = caller_get(&w, port, "/");
    expect_end(k, SH_HTTP_NO_ANSWER, "no connection in time");
    assert_false(k->a.sent);
    assert_in_range(k->a.took_ms, 190, 1500);
    caller_close(&w);
    for (size_t i = 0; i < 4; i++)
        close(fill[i]);
    close(fd);
}

/* --- Redirects ------------------------------------------------------------------------------ */

static const char *const keys[] = {"Authorization: Bearer t", "Cookie: a=b", "X-Api-Key: k",
                                   "Accept: text/plain", NULL};

static const struct kept *get_following(struct caller *w, const char *method, int port,
                                        const char *path, int redirects)
{
    char url[100];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", port, path);
    return caller_call(w, &(struct sh_http_request_out){.method = method,
                                                        .url = url,
                                                        .headers = keys,
                                                        .redirects = redirects,
                                                        .max_answer_bytes = 1000});
}

static void redirects_are_followed_as_far_as_asked(void **state)
{
    (void)state;
    static const struct {
        const char *method, *location;
        int status, redirects, ends_with;
        const char *line; /* of the second request; NULL = there is none */
    } cases[] = {
        {"GET", "/y?z=1", 302, 1, 200, "GET /y?z=1 HTTP/1.1\r\n"},
        {"GET", "y", 301, 1, 200, "GET /a/y HTTP/1.1\r\n"},
        {"GET", "../y", 307, 5, 200, "GET /y HTTP/1.1\r\n"},
        {"GET", "?q", 308, 5, 200, "GET /a/b?q HTTP/1.1\r\n"},
        {"GET", "/y", 303, 5, 200, "GET /y HTTP/1.1\r\n"},
        {"GET", "/y", 302, 0, 302, NULL},
        {"GET", "/y", 300, 5, 300, NULL},
        {"GET", "/y", 304, 5, 304, NULL},
        {"GET", "/y", 201, 5, 201, NULL},
        {"GET", "", 302, 5, 302, NULL},
        {"POST", "/y", 302, 5, 302, NULL},
        {"PUT", "/y", 307, 5, 200, "PUT /y HTTP/1.1\r\n"},
        {"POST", "/y", 308, 1, 200, "POST /y HTTP/1.1\r\n"},
        {"POST", "/y", 308, 0, 308, NULL},
        {"DELETE", "/y", 301, 5, 301, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct caller w;
        char first[300];
        snprintf(first, sizeof(first),
                 "HTTP/1.1 %d x\r\nLocation: %s\r\nX-First: 1\r\nContent-Length: %s",
                 cases[i].status, cases[i].location,
                 cases[i].status == 304 ? "0\r\n\r\n" : "4\r\n\r\nbody");
        struct peer p = {.replies = {first, OK "Content-Length: 2\r\n\r\nok"}};
        peer_start(&p);
        caller_open(&w, "127.0.0.1", NULL);
        const struct kept *k =
            get_following(&w, cases[i].method, p.port, "/a/b?c", cases[i].redirects);
        if (k->a.end != SH_HTTP_ANSWERED || k->a.status != cases[i].ends_with)
            fail_msg("case %zu: %d \"%s\"", i, k->a.status, k->a.error);
        assert_int_equal(peer_count(&p), cases[i].line ? 2 : 1);
        if (cases[i].line) {
            assert_string_equal(k->headers, "content-length: 2\n");
            assert_string_equal(k->body, "ok");
            assert_memory_equal(peer_request(&p, 1), cases[i].line, strlen(cases[i].line));
            for (size_t h = 0; keys[h]; h++)
                assert_non_null(strstr(peer_request(&p, 1), keys[h]));
        }
        caller_close(&w);
        peer_stop(&p);
    }
}

static void a_loop_of_redirects_ends(void **state)
{
    (void)state;
    struct caller w;
    struct peer p = {.replies = {"HTTP/1.1 302 x\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"}};
    peer_start(&p);
    caller_open(&w, "127.0.0.1", NULL);
    expect_answer(get_following(&w, "GET", p.port, "/", 5), 302, "");
    assert_int_equal(peer_count(&p), 6);
    caller_close(&w);
    peer_stop(&p);
}

static void keys_do_not_follow_to_another_host(void **state)
{
    (void)state;
    struct caller w;
    struct peer other = {.replies = {OK "Content-Length: 2\r\n\r\nok"}}, p = {0};
    char first[200];
    peer_start(&other);
    snprintf(first, sizeof(first),
             "HTTP/1.1 302 x\r\nLocation: http://localhost:%d/in\r\nContent-Length: 0\r\n\r\n",
             other.port);
    p.replies[0] = first;
    peer_start(&p);
    caller_open(&w, "localhost", NULL);
    expect_answer(get_following(&w, "GET", p.port, "/", 1), 200, "ok");
    assert_null(strstr(peer_request(&other, 0), "Bearer"));
    assert_null(strstr(peer_request(&other, 0), "a=b"));
    assert_null(strstr(peer_request(&other, 0), "X-Api-Key"));
    assert_null(strstr(peer_request(&other, 0), "Referer"));
    assert_non_null(strstr(peer_request(&other, 0), "Accept: text/plain\r\n"));
    caller_close(&w);
    peer_stop(&p);
    peer_stop(&other);
}

/* localhost is another host than 127.0.0.1, and is listed: only what carries something stays away.
 */
static void what_is_sent_goes_to_no_other_host(void **state)
{
    (void)state;
    struct caller w;
    char first[200];
    struct peer other = {.replies = {OK "Content-Length: 2\r\n\r\nok"}};
    peer_start(&other);
    snprintf(first, sizeof(first),
             "HTTP/1.1 307 x\r\nLocation: http://localhost:%d/\r\nContent-Length: 0\r\n\r\n",
             other.port);
    struct peer p = {.replies = {first}};
    peer_start(&p);
    caller_open(&w, "127.0.0.1 localhost", NULL);
    expect_end(get_following(&w, "POST", p.port, "/", 3), SH_HTTP_REFUSED, "goes to no other host");
    assert_int_equal(peer_count(&other), 0);
    caller_close(&w);
    peer_stop(&p);
    peer_stop(&other);
}

static void each_hop_is_held_against_the_list(void **state)
{
    (void)state;
    static const struct {
        const char *location, *says;
    } cases[] = {
        {"http://10.0.0.1/", "redirects: 10.0.0.1 is a private address"},
        {"http://2130706434/", "a loopback address"},
        {"//169.254.169.254/latest/meta-data", "redirects: 169.254.169.254 is a link-local"},
        {"https://other.example/", "add \"other.example\" to http.allow"},
        {"file:///etc/passwd", "only http and https"},
        {"gopher://127.0.0.1/", "only http and https"},
        {"http://user:word@127.0.0.1/", "holds a login"},
        {"http://[", "the URL is not one"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct caller w;
        char first[200];
        snprintf(first, sizeof(first),
                 "HTTP/1.1 302 x\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", cases[i].location);
        struct peer p = {.replies = {first}};
        peer_start(&p);
        caller_open(&w, "127.0.0.1", NULL);
        expect_end(get_following(&w, "GET", p.port, "/", 3), SH_HTTP_REFUSED, cases[i].says);
        caller_close(&w);
        peer_stop(&p);
    }
}

static void the_time_is_that_of_all_hops_together(void **state)
{
    (void)state;
    struct caller w;
    struct peer p = {.replies = {"HTTP/1.1 302 x\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"},
                     .delay_ms = 90};
    char url[100];
    peer_start(&p);
    caller_open(&w, "127.0.0.1", NULL);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", p.port);
    const struct kept *k =
        caller_call(&w, &(struct sh_http_request_out){
                            .method = "GET", .url = url, .redirects = 5, .timeout_ms = 250});
    expect_end(k, SH_HTTP_NO_ANSWER, "no answer in time");
    assert_true(k->a.sent);
    assert_in_range(k->a.took_ms, 240, 1000);
    caller_close(&w);
    peer_stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_an_answer_is_read),
        cmocka_unit_test(a_body_is_read_up_to_its_limit),
        cmocka_unit_test(an_endless_body_is_cut_and_its_connection_closed),
        cmocka_unit_test(retry_after_is_read_in_all_its_forms),
        cmocka_unit_test(a_date_alone_is_held_against_our_clock),
        cmocka_unit_test(nonsense_is_no_answer),
        cmocka_unit_test(headers_are_read_up_to_their_limit),
        cmocka_unit_test(slow_servers_are_given_up_in_time),
        cmocka_unit_test(nobody_there_is_said_so),
        cmocka_unit_test(a_connection_that_does_not_come_is_given_up),
        cmocka_unit_test(redirects_are_followed_as_far_as_asked),
        cmocka_unit_test(a_loop_of_redirects_ends),
        cmocka_unit_test(what_is_sent_goes_to_no_other_host),
        cmocka_unit_test(keys_do_not_follow_to_another_host),
        cmocka_unit_test(each_hop_is_held_against_the_list),
        cmocka_unit_test(the_time_is_that_of_all_hops_together),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
