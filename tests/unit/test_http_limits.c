/* SPDX-License-Identifier: MIT
 * test_http_limits.c: hostile and absent clients, deadlines, caps, the end. */
#include "http_fixture.h"
#include "svc/http_guard.h"

/* --- Hostile -----------------------------------------------------------------------------------
 */

static void endless_chunk_size_costs_little(void **state)
{
    (void)state;
    char block[65536];
    memset(block, '0', sizeof(block));
    assert_alive();
    const long cpu = cpu_ms(), peak = peak_kib();
    for (int round = 0; round < 3; round++) {
        int fd = dial(), i;
        puts_to(fd, CH);
        for (i = 0; i < 1024 && put(fd, block, sizeof(block)); i++)
            ; /* 64 MiB, if it were let */
        assert_true(i < 1024);
        close(fd);
    }
    assert_true(cpu_ms() - cpu <= (SANITIZED ? 1000 : 100));
    assert_true(peak_kib() - peak <= (SANITIZED ? 65536 : 2048));
    assert_alive();
}

static void endless_framing_is_cut(void **state)
{
    (void)state;
    int fd = dial(), i;
    bool closed;
    puts_to(fd, CH);
    for (i = 0; i < 100000 && put(fd, "1\r\nx\r\n", 6); i++)
        ;
    const char *answer = get(fd, 200, &closed);
    assert_true(closed);
    assert_true(i < 100000 || strstr(answer, "400"));
    close(fd);
    fd = dial();
    for (i = 0; i < 1000 && put(fd, "A-header: with a value\r\n", 24); i++)
        ;
    get(fd, 200, &closed);
    assert_true(closed);
    close(fd);
}

/* A byte every 40 ms: the deadline is absolute. Meanwhile others are served. */
static void slow_head_meets_its_deadline(void **state)
{
    (void)state;
    int fd = dial();
    bool closed = false;
    const int64_t from = now_ms();
    puts_to(fd, "GET / HTTP/1.1\r\nA: ");
    while (!closed && now_ms() - from < 3000) {
        put(fd, "x", 1);
        const char *answer = get(fd, 40, &closed);
        if (*answer)
            assert_has(answer, "HTTP/1.1 408 ");
        assert_true(closed || now_ms() - from < 2500);
    }
    const int64_t took = now_ms() - from;
    assert_true(took >= 500 && took < 1200);
    close(fd);
    assert_alive();
}

static void slow_body_meets_its_deadline(void **state)
{
    (void)state;
    for (int chunked = 0; chunked < 2; chunked++) {
        int fd = dial();
        bool closed = false;
        const int64_t from = now_ms();
        puts_to(fd, chunked ? CH "ffff\r\n" : POST "Content-Length: 50000\r\n\r\n");
        while (!closed && now_ms() - from < 3000) {
            put(fd, "x", 1);
            const char *answer = get(fd, 40, &closed);
            if (*answer)
                assert_has(answer, "HTTP/1.1 408 ");
        }
        const int64_t took = now_ms() - from;
        assert_true(closed && took >= 600 && took < 1300);
        close(fd);
    }
    assert_alive();
}

static void silent_and_idle_are_closed(void **state)
{
    (void)state;
    bool closed;
    int silent = dial(), idle = dial();
    const int64_t from = now_ms();
    puts_to(idle, "GET /a HTTP/1.1\r\n" HOST "\r\n");
    assert_has(get(idle, 100, &closed), "200 OK");
    assert_string_equal(get(silent, 1500, &closed), "");
    assert_true(closed);
    assert_true(now_ms() - from < 1200);
    assert_string_equal(get(idle, 2500, &closed), "");
    assert_true(closed);
    const int64_t took = now_ms() - from;
    assert_true(took >= 1400 && took < 2300);
    close(silent);
    close(idle);
}

/* The answer is owed when the client leaves: nothing breaks, and the connection is given back. */
static void client_vanishes(void **state)
{
    (void)state;
    const struct linger reset = {1, 0};
    bool closed;
    const char *r = "GET /slow HTTP/1.1\r\n" HOST "\r\nGET /slow HTTP/1.1\r\n" HOST "\r\n";
    for (int i = 0; i < 20; i++) {
        int fd = dial();
        puts_to(fd, r);
        pause_ms(5);
        if (i % 2)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(fd);
    }
    for (int i = 0; i < 3; i++) {
        int fd = dial();
        puts_to(fd, POST "Content-Length: 500\r\n\r\nabc");
        close(fd);
    }
    pause_ms(600);
    r = "GET /stats HTTP/1.1\r\n" HOST "\r\n";
    assert_has(exchange(r, strlen(r), &closed), "open=1 pending=1");
}

static void half_closed_client_gets_its_answer(void **state)
{
    (void)state;
    int fd = dial();
    bool closed;
    puts_to(fd, "GET /slow HTTP/1.1\r\n" HOST "\r\n");
    shutdown(fd, SHUT_WR);
    assert_has(get(fd, 500, &closed), "0 /slow");
    assert_true(closed);
    close(fd);
}

/* A client that does not read its answer is dropped at the deadline. */
static void unread_answer_is_dropped(void **state)
{
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
    bool closed;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server_port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    puts_to(fd, "GET /big HTTP/1.1\r\n" HOST "\r\n");
    pause_ms(1300);
    const char *r = "GET /stats HTTP/1.1\r\n" HOST "\r\n";
    assert_has(exchange(r, strlen(r), &closed), "open=1 pending=1");
    close(fd);
}

/* --- Caps --------------------------------------------------------------------------------------
 */

/* Somebody who does not read the answer, and sends and sends: what is held for later is bounded. */
static void input_behind_an_unread_answer_is_bounded(void **state)
{
    (void)state;
    char block[65536];
    memset(block, 'x', sizeof(block));
    assert_alive();
    int fd = dial();
    puts_to(fd, "GET /big HTTP/1.1\r\n" HOST "\r\n");
    pause_ms(100);
    const long peak = peak_kib();
    size_t sent = 0;
    for (const int64_t until = now_ms() + 500; now_ms() < until && sent < (size_t)64 << 20;) {
        ssize_t n = send(fd, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        else
            pause_ms(5);
    }
    assert_true(peak_kib() - peak <= (SANITIZED ? 65536 : 4096));
    close(fd);
    assert_alive();
}

/* The same of somebody honest: all of it is answered, once the answer in front is read. */
static void much_behind_a_large_answer_is_answered(void **state)
{
    (void)state;
    enum { REQUESTS = 4000 };
    static const char one[] = "GET /p HTTP/1.1\r\n" HOST "\r\n";
    static char text[65536];
    int fd = dial(), answers = 0;
    size_t sent = 0, kept = 0;
    puts_to(fd, "GET /big HTTP/1.1\r\n" HOST "\r\n");
    pause_ms(100);
    while (answers <= REQUESTS) {
        if (sent < REQUESTS * (sizeof(one) - 1)) {
            const char *p = one + sent % (sizeof(one) - 1);
            ssize_t n = send(fd, p, strlen(p), MSG_DONTWAIT | MSG_NOSIGNAL);
            sent += n > 0 ? (size_t)n : 0;
            if (n > 0 && sent < 200000 && sent < REQUESTS * (sizeof(one) - 1))
                continue; /* first much of it, unread */
        }
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 5000), 1);
        ssize_t r = recv(fd, text + kept, sizeof(text) - 1 - kept, 0);
        assert_true(r > 0);
        text[kept + (size_t)r] = '\0';
        answers += count(text, "HTTP/1.1 200");
        const size_t n = kept + (size_t)r, tail = n < 11 ? n : 11; /* one may be cut in two */
        memmove(text, text + n - tail, tail);
        kept = tail;
    }
    assert_int_equal(answers, REQUESTS + 1);
    close(fd);
}

static void connections_are_capped(void **state)
{
    (void)state;
    struct sh_http_limits l = usual;
    l.connections = 8;
    l.header_timeout_ms = 5000;
    l.idle_timeout_ms = 20000;
    start(&l, 0);
    int fds[8];
    bool closed;
    for (int i = 0; i < 8; i++) {
        fds[i] = dial();
        puts_to(fds[i], "GET /x HTTP/1.1\r\n" HOST "\r\n");
        assert_has(get(fds[i], 60, &closed), "200 OK");
    }
    for (int i = 0; i < 7; i++)
        puts_to(fds[i], "GET /x HTT"); /* busy: not to be closed for another */
    /* The ninth waits for the eighth to have been idle for a second, then takes its place. */
    const int64_t from = now_ms();
    int ninth = dial();
    puts_to(ninth, "GET /stats HTTP/1.1\r\n" HOST "\r\n");
    assert_has(get(ninth, 2500, &closed), "open=8 ");
    assert_true(now_ms() - from >= 500);
    assert_string_equal(get(fds[7], 50, &closed), "");
    assert_true(closed);
    for (int i = 0; i < 7; i++) {
        puts_to(fds[i], "P/1.1\r\n" HOST "\r\n");
        assert_has(get(fds[i], 60, &closed), "200 OK");
        close(fds[i]);
    }
    close(fds[7]);
    close(ninth);
    stop();
}

/* All connections are one address's, and none of its requests comes to an end: others get in. */
static void one_address_does_not_keep_others_out(void **state)
{
    (void)state;
    struct sh_http_limits l = usual;
    l.connections = 16;
    l.header_timeout_ms = 30000;
    l.body_timeout_ms = 30000;
    start(&l, 0);
    int fds[16];
    bool closed;
    for (int i = 0; i < 16; i++) {
        fds[i] = dial();
        puts_to(fds[i],
                i % 2 ? "GET /x HTT" : "POST /x HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n1");
    }
    const int64_t from = now_ms();
    int other = dial();
    puts_to(other, "GET /stats HTTP/1.1\r\n" HOST "\r\n");
    assert_has(get(other, 4000, &closed), "200 OK");
    assert_true(now_ms() - from >= 1500);
    for (int i = 0; i < 16; i++)
        close(fds[i]);
    close(other);
    stop();
}

static void connections_of_a_peer_are_capped(void **state)
{
    (void)state;
    struct sh_http_limits l = usual;
    l.connections_per_peer = 3;
    start(&l, 0);
    int fds[3];
    bool closed;
    for (int i = 0; i < 3; i++)
        fds[i] = dial();
    pause_ms(50);
    int fd = dial();
    const char *answer = get(fd, 300, &closed);
    assert_has(answer, "HTTP/1.1 503 ");
    assert_has(answer, "Retry-After: ");
    close(fd);
    for (int i = 0; i < 3; i++) {
        puts_to(fds[i], "GET /x HTTP/1.1\r\n" HOST "\r\n");
        assert_has(get(fds[i], 60, &closed), "200 OK");
        close(fds[i]);
    }
    pause_ms(50);
    assert_alive();
    stop();
}

/* Out of descriptors: no spinning, and service again as soon as there are some. */
static void descriptors_run_out(void **state)
{
    (void)state;
    struct sh_http_limits l = usual;
    l.header_timeout_ms = 5000;
    start(&l, 24);
    int fds[40];
    assert_alive();
    for (int i = 0; i < 40; i++)
        fds[i] = dial();
    const long cpu = cpu_ms();
    pause_ms(1000);
    assert_true(cpu_ms() - cpu <= 100);
    for (int i = 0; i < 40; i++)
        close(fds[i]);
    pause_ms(300);
    assert_alive();
    stop();
}

/* Unfinished bodies over all connections have a bound. */
static void unfinished_bodies_are_bounded(void **state)
{
    (void)state;
    struct sh_http_limits l = usual;
    l.body_bytes = 8 * 1024 * 1024;
    l.body_timeout_ms = 5000;
    start(&l, 0);
    const size_t n = 7 * 1024 * 1024;
    char *z = malloc(n);
    int fds[6], refused = 0;
    bool closed;
    memset(z, 'z', n);
    for (int i = 0; i < 6; i++) {
        fds[i] = dial();
        puts_to(fds[i], POST "Content-Length: 8000000\r\n\r\n");
        put(fds[i], z, n);
    }
    for (int i = 0; i < 6; i++)
        refused += strstr(get(fds[i], 100, &closed), "HTTP/1.1 503 ") != NULL || closed;
    assert_true(refused >= 1 && refused <= 2);
    for (int i = 0; i < 6; i++)
        close(fds[i]);
    free(z);
    pause_ms(100);
    assert_alive();
    stop();
}

/* With all of that room taken, a small request that comes in two pieces still gets in. */
static void small_requests_always_have_room(void **state)
{
    (void)state;
    static const char head[] = POST "Content-Length: 8000000\r\n\r\n";
    struct sh_http_limits l = usual;
    l.body_bytes = 8 * 1024 * 1024;
    l.body_timeout_ms = 5000;
    start(&l, 0);
    const size_t n = 7 * 1024 * 1024, all = SH_HTTP_MAX_WAITING_BYTES;
    char *z = malloc(n);
    int fds[5];
    bool closed;
    memset(z, 'z', n);
    for (int i = 0; i < 5; i++) {
        fds[i] = dial();
        puts_to(fds[i], head);
        put(fds[i], z, i < 4 ? n : all - 4 * n - 5 * strlen(head) - 8);
    }
    pause_ms(300);
    int small = dial();
    puts_to(small, POST "Content-Length: 3\r\n\r\na");
    pause_ms(100);
    puts_to(small, "bc");
    assert_has(get(small, 300, &closed), "200 OK");
    for (int i = 0; i < 5; i++)
        close(fds[i]);
    close(small);
    free(z);
    pause_ms(100);
    stop();
}

/* --- The end -----------------------------------------------------------------------------------
 */

static void stops_gracefully(void **state)
{
    (void)state;
    start(&usual, 0);
    int idle = dial(), busy = dial(), asks = dial();
    bool closed;
    puts_to(idle, "GET /x HTTP/1.1\r\n" HOST "\r\n");
    assert_has(get(idle, 60, &closed), "200 OK");
    puts_to(asks, "GET /x HTTP/1.1\r\n" HOST "\r\n");
    assert_has(get(asks, 60, &closed), "200 OK");
    puts_to(busy, "GET /slow HTTP/1.1\r\n" HOST "\r\n");
    pause_ms(50);
    const char *r = "GET /stop HTTP/1.1\r\n" HOST "\r\n";
    assert_has(exchange(r, strlen(r), &closed), "Connection: close\r\n");
    assert_true(closed);
    puts_to(asks, "GET /x HTTP/1.1\r\n" HOST "\r\nGET /x HTTP/1.1\r\n" HOST "\r\n");
    const char *both = get(asks, 300, &closed); /* it could not know: the last one is told */
    assert_has(both, "Connection: close\r\n");
    assert_non_null(strstr(strstr(both, "200 OK") + 1, "200 OK"));
    assert_true(closed);
    close(asks);
    get(idle, 2000, &closed);
    assert_true(closed);
    const char *answer = get(busy, 400, &closed);
    assert_has(answer, "0 /slow");
    assert_has(answer, "Connection: close\r\n");
    assert_true(closed);
    close(idle);
    close(busy);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    close(fd);
    stop();
}

static void ends_with_answers_owed(void **state)
{
    (void)state;
    start(&usual, 0);
    int fd = dial(), silent = dial(), half = dial();
    puts_to(fd, "GET /keep HTTP/1.1\r\n" HOST "\r\nGET /keep HTTP/1.1\r\n" HOST "\r\n");
    puts_to(half, POST "Content-Length: 10\r\n\r\nab");
    pause_ms(50);
    stop();
    close(fd);
    close(silent);
    close(half);
}

static void says_why_it_cannot_listen(void **state)
{
    (void)state;
    struct event_base *base = sh_loop_new();
    struct sh_error err;
    struct sh_http_server *s =
        sh_http_server_new(base, "127.0.0.1", 0, &usual, on_request, on_refused, NULL, &err);
    assert_non_null(s);
    const int port = sh_http_server_port(s);
    assert_null(
        sh_http_server_new(base, "127.0.0.1", port, &usual, on_request, on_refused, NULL, &err));
    assert_int_equal(err.code, SH_ESYS);
    assert_has(err.msg, "127.0.0.1");
    assert_has(err.msg, "in use");
    assert_null(
        sh_http_server_new(base, "nowhere", 80, &usual, on_request, on_refused, NULL, &err));
    assert_int_equal(err.code, SH_EINVAL);
    assert_null(
        sh_http_server_new(base, "127.0.0.1", 70000, &usual, on_request, on_refused, NULL, &err));
    sh_http_server_free(s);
    s = sh_http_server_new(base, "::1", 0, &usual, on_request, on_refused, NULL, &err);
    if (s) /* a machine may be without IPv6 */
        sh_http_server_free(s);
    sh_loop_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        USUAL(endless_chunk_size_costs_little),
        USUAL(endless_framing_is_cut),
        USUAL(slow_head_meets_its_deadline),
        USUAL(slow_body_meets_its_deadline),
        USUAL(silent_and_idle_are_closed),
        USUAL(client_vanishes),
        USUAL(half_closed_client_gets_its_answer),
        USUAL(unread_answer_is_dropped),
        USUAL(input_behind_an_unread_answer_is_bounded),
        USUAL(much_behind_a_large_answer_is_answered),
        cmocka_unit_test(connections_are_capped),
        cmocka_unit_test(one_address_does_not_keep_others_out),
        cmocka_unit_test(connections_of_a_peer_are_capped),
        cmocka_unit_test(descriptors_run_out),
        cmocka_unit_test(unfinished_bodies_are_bounded),
        cmocka_unit_test(small_requests_always_have_room),
        cmocka_unit_test(stops_gracefully),
        cmocka_unit_test(ends_with_answers_owed),
        cmocka_unit_test(says_why_it_cannot_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
