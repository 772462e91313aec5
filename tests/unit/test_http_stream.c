/* SPDX-License-Identifier: MIT
 * test_http_stream.c: answers that stay open: clients that read, that do not, that go away, and the
 * server's end. Each server process is checked for leaks as it ends. */
#include "http_fixture.h"
#include "tls_kit.h"

#include <openssl/ssl.h>

#define STREAM  "GET /stream HTTP/1.1\r\n" HOST "\r\n"
#define PATIENT 5000

static char cert_file[] = "/tmp/switchhook-tls-XXXXXX", key_file[] = "/tmp/switchhook-tls-XXXXXX";
static SSL_CTX *context;

/* --- tools --------------------------------------------------------------------- */

static const char *ask(const char *path)
{
    char request[128];
    bool closed;
    int fd = dial();
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
             path);
    puts_to(fd, request);
    const char *answer = get(fd, PATIENT, &closed);
    close(fd);
    return answer;
}

/* Within a generous while /streams tells this. */
static void wait_for(const char *what)
{
    const char *said = "";
    for (int i = 0; i < 250; i++) {
        said = ask("/streams");
        if (strstr(said, what))
            return;
        pause_ms(20);
    }
    fail_msg("waited for \"%s\", got\n%s", what, said);
}

static size_t bytes_sent(void)
{
    const char *at = strstr(ask("/streams"), "bytes=");
    assert_non_null(at);
    return strtoul(at + 6, NULL, 10);
}

/* Read until n bytes have come. */
static char *read_some(int fd, size_t n)
{
    static char text[65536];
    size_t got = 0;
    while (got < n) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, PATIENT), 1);
        ssize_t r = recv(fd, text + got, sizeof(text) - 1 - got, 0);
        assert_true(r > 0);
        got += (size_t)r;
    }
    text[got] = '\0';
    return text;
}

/* Everything up to the end; only the last bytes are kept. */
static char *read_to_end(int fd)
{
    static char text[8192];
    size_t n = 0;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, PATIENT), 1);
        if (n > sizeof(text) / 2) {
            memmove(text, text + n / 2, n - n / 2);
            n -= n / 2;
        }
        ssize_t r = recv(fd, text + n, sizeof(text) - 1 - n, 0);
        if (r <= 0)
            break;
        n += (size_t)r;
    }
    text[n] = '\0';
    return text;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* --- reading -------------------------------------------------------------------- */

static void comes_in_chunks(void **state)
{
    (void)state;
    int fd = dial();
    puts_to(fd, STREAM);
    const char *text = read_some(fd, 3 * PIECE_BYTES);
    assert_has(text, "HTTP/1.1 200 OK\r\n");
    assert_has(text, "Content-Type: text/event-stream\r\n");
    assert_has(text, "Transfer-Encoding: chunked\r\n");
    assert_has(text, "Connection: close\r\n");
    assert_has(text, "\r\n\r\n6\r\nfirst \r\n1000\r\nsss");
    assert_null(strstr(text, "Content-Length"));
    wait_for("streams=1 gone=0 pending=1 "); /* the question itself */
    ask("/end");
    assert_true(ends_with(read_to_end(fd), "0\r\n\r\n"));
    close(fd);
    wait_for("streams=0 gone=0 pending=1 ");
}

static void plain_for_1_0(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET /stream HTTP/1.0\r\n\r\n", "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"};
    for (size_t i = 0; i < 2; i++) {
        int fd = dial();
        puts_to(fd, requests[i]);
        const char *text = read_some(fd, 2 * PIECE_BYTES);
        assert_has(text, " 200 OK\r\n");
        assert_has(text, "\r\n\r\nfirst sss");
        assert_has(text, "Connection: close\r\n");
        assert_null(strstr(text, "chunked"));
        assert_null(strstr(text, "Content-Length"));
        assert_null(strstr(text, "keep-alive"));
        ask("/end");
        assert_null(strstr(read_to_end(fd), "0"));
        close(fd);
    }
}

/* A stream may be silent for longer than any other limit allows. */
static void outlives_other_deadlines(void **state)
{
    (void)state;
    const struct sh_http_limits limits = {.body_bytes = 1000,
                                          .header_bytes = 4096,
                                          .connections = 8,
                                          .header_timeout_ms = 100,
                                          .body_timeout_ms = 100,
                                          .idle_timeout_ms = 100};
    start(&limits, 0);
    int fd = dial();
    puts_to(fd, STREAM);
    const int64_t until = now_ms() + 1500;
    while (now_ms() < until)
        read_some(fd, PIECE_BYTES);
    wait_for("streams=1 gone=0 ");
    close(fd);
    wait_for("streams=0 gone=1 ");
    stop();
}

/* What comes behind it is neither answered nor kept. */
static void pipelined_input_is_dropped(void **state)
{
    (void)state;
    int fd = dial();
    puts_to(fd, STREAM "GET /after HTTP/1.1\r\n" HOST "\r\n");
    read_some(fd, PIECE_BYTES);
    puts_to(fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    read_some(fd, PIECE_BYTES);
    ask("/end");
    const char *text = read_to_end(fd);
    assert_true(ends_with(text, "0\r\n\r\n"));
    assert_null(strstr(text, "HTTP/1.1"));
    close(fd);
    assert_alive();
}

static void endless_input_ends_it(void **state)
{
    (void)state;
    char junk[4096];
    memset(junk, 'x', sizeof(junk));
    int fd = dial();
    puts_to(fd, STREAM);
    for (int i = 0; i < 2000; i++) {
        struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
        if (poll(&p, 1, PATIENT) != 1 || !put(fd, junk, sizeof(junk)))
            break;
        if (p.revents & POLLIN && recv(fd, junk, sizeof(junk), 0) <= 0)
            break;
    }
    wait_for("streams=0 gone=1 ");
    close(fd);
}

/* --- not reading ---------------------------------------------------------------- */

static const struct sh_http_limits impatient = {.body_bytes = 1000,
                                                .header_bytes = 4096,
                                                .connections = 64,
                                                .header_timeout_ms = 2000,
                                                .body_timeout_ms = 2000,
                                                .idle_timeout_ms = 2000,
                                                .stall_timeout_ms = 700};

static void never_reads(void **state)
{
    (void)state;
    start(&impatient, 0);
    const int small = 4096;
    int fd = dial();
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    puts_to(fd, STREAM);
    wait_for("streams=0 gone=1 ");
    assert_true(bytes_sent() < 400 * 1024); /* the kernel's part included, of both sides */
    close(fd);
    stop();
}

static void reads_slowly(void **state)
{
    (void)state;
    start(&impatient, 0);
    int fd = dial();
    puts_to(fd, STREAM);
    for (int i = 0; i < 20; i++) {
        read_some(fd, 8192);
        pause_ms(100);
    }
    wait_for("streams=1 gone=0 "); /* each bit of progress counts */
    close(fd);
    stop();
}

/* --- going away ----------------------------------------------------------------- */

static void goes_away(void **state)
{
    (void)state;
    const struct linger reset = {1, 0};
    for (int i = 0; i < 20; i++) {
        int fd = dial();
        puts_to(fd, STREAM);
        if (i % 4 != 0)
            read_some(fd, (size_t)(i * 700 + 1)); /* in the middle of a chunk */
        if (i % 3 == 0)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(fd);
    }
    wait_for("streams=0 gone=20 pending=1 ");
    assert_alive();
}

/* --- the server's end ------------------------------------------------------------ */

static void stop_ends_it(void **state)
{
    (void)state;
    int fd[3], idle = dial();
    for (int i = 0; i < 3; i++) {
        fd[i] = dial();
        puts_to(fd[i], STREAM);
        read_some(fd[i], 100);
    }
    puts_to(idle, "GET /stop HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < 3; i++) {
        read_to_end(fd[i]);
        close(fd[i]);
    }
    close(idle);
}

/* One that does not read must not hold up the end: no answer is owed to it. */
static void stop_does_not_wait(void **state)
{
    (void)state;
    const int small = 4096;
    int fd = dial(), other = dial();
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    puts_to(fd, STREAM);
    size_t before = 0, now;
    while ((now = bytes_sent()) != before || now == 0) { /* until it is full */
        before = now;
        pause_ms(100);
    }
    puts_to(other, "GET /keep HTTP/1.1\r\n" HOST "\r\n");
    pause_ms(50);
    ask("/stop");
    close(fd);
    close(other);
}

static void freed_while_open(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        int fd = dial();
        puts_to(fd, STREAM);
        read_some(fd, 100);
    }
    /* the teardown ends the server; the sockets go with this process */
}

/* --- room ------------------------------------------------------------------------ */

static void makes_room(void **state)
{
    (void)state;
    const struct sh_http_limits limits = {.body_bytes = 1000,
                                          .header_bytes = 4096,
                                          .connections = 4,
                                          .header_timeout_ms = 60000,
                                          .body_timeout_ms = 60000,
                                          .idle_timeout_ms = 60000};
    start(&limits, 0);
    int fd[4];
    for (int i = 0; i < 4; i++) {
        fd[i] = dial();
        puts_to(fd[i], STREAM);
        read_some(fd[i], 100);
    }
    assert_has(ask("/x"), " 200 OK\r\n"); /* let in at the cost of those who listen */
    for (int i = 0; i < 4; i++)
        close(fd[i]);
    stop();
}

static void counts_for_its_peer(void **state)
{
    (void)state;
    const struct sh_http_limits limits = {.body_bytes = 1000,
                                          .header_bytes = 4096,
                                          .connections = 64,
                                          .connections_per_peer = 2,
                                          .header_timeout_ms = 2000,
                                          .body_timeout_ms = 2000,
                                          .idle_timeout_ms = 2000};
    start(&limits, 0);
    int fd[2];
    for (int i = 0; i < 2; i++) {
        fd[i] = dial();
        puts_to(fd[i], STREAM);
        read_some(fd[i], 100);
    }
    assert_has(ask("/x"), "503");
    close(fd[0]);
    close(fd[1]);
    stop();
}

/* --- TLS ------------------------------------------------------------------------- */

static int start_tls(void **state)
{
    tls_cert = cert_file;
    tls_key = key_file;
    start_usual(state);
    return 0;
}

static int stop_tls(void **state)
{
    stop_it(state);
    tls_cert = tls_key = NULL;
    return 0;
}

static SSL *stream_tls(void)
{
    SSL *ssl = SSL_new(context);
    assert_non_null(ssl);
    assert_int_equal(SSL_set_fd(ssl, dial()), 1);
    assert_int_equal(SSL_connect(ssl), 1);
    assert_int_equal(SSL_write(ssl, STREAM, sizeof(STREAM) - 1), sizeof(STREAM) - 1);
    return ssl;
}

static void hang_up(SSL *ssl)
{
    const int fd = SSL_get_fd(ssl);
    SSL_free(ssl);
    close(fd);
}

/* The end is whole there too, whatever was written just before it. */
static void over_tls(void **state)
{
    (void)state;
    static char text[65536];
    for (int i = 0; i < 10; i++) {
        size_t n = 0;
        SSL *ssl = stream_tls(), *other = stream_tls();
        while (n < (size_t)(i + 1) * 3000) {
            const int r = SSL_read(ssl, text + n, 2000);
            assert_true(r > 0);
            n += (size_t)r;
        }
        SSL *end = SSL_new(context);
        assert_int_equal(SSL_set_fd(end, dial()), 1);
        assert_int_equal(SSL_connect(end), 1);
        const char request[] = "GET /end HTTP/1.1\r\n" HOST "\r\n";
        assert_int_equal(SSL_write(end, request, sizeof(request) - 1), sizeof(request) - 1);
        for (;;) {
            const int r = SSL_read(ssl, text + n, (int)(sizeof(text) - 1 - n));
            if (r <= 0)
                break;
            n += (size_t)r;
        }
        text[n] = '\0';
        assert_true(ends_with(text, "\r\n0\r\n\r\n"));
        assert_true(SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN); /* not cut off */
        hang_up(ssl);
        hang_up(other);
        hang_up(end);
    }
}

static void over_tls_goes_away(void **state)
{
    (void)state;
    char text[512];
    for (int i = 0; i < 10; i++) {
        SSL *ssl = stream_tls();
        if (i % 2)
            assert_true(SSL_read(ssl, text, sizeof(text)) > 0);
        if (i % 3 == 0)
            SSL_shutdown(ssl);
        hang_up(ssl);
    }
}

static int make_certificate(void **state)
{
    (void)state;
    EVP_PKEY *key = new_key();
    close(mkstemp(cert_file));
    close(mkstemp(key_file));
    write_key(key_file, key, NULL);
    write_cert(cert_file, key, "a.example.org", 3600, 1);
    EVP_PKEY_free(key);
    signal(SIGPIPE, SIG_IGN);
    context = SSL_CTX_new(TLS_client_method());
    return context ? 0 : -1;
}

static int drop_certificate(void **state)
{
    (void)state;
    SSL_CTX_free(context);
    unlink(cert_file);
    unlink(key_file);
    return 0;
}

#define TLS(f) cmocka_unit_test_setup_teardown(f, start_tls, stop_tls)

int main(void)
{
    const struct CMUnitTest tests[] = {
        USUAL(comes_in_chunks),
        USUAL(plain_for_1_0),
        cmocka_unit_test(outlives_other_deadlines),
        USUAL(pipelined_input_is_dropped),
        USUAL(endless_input_ends_it),
        cmocka_unit_test(never_reads),
        cmocka_unit_test(reads_slowly),
        USUAL(goes_away),
        USUAL(stop_ends_it),
        USUAL(stop_does_not_wait),
        USUAL(freed_while_open),
        cmocka_unit_test(makes_room),
        cmocka_unit_test(counts_for_its_peer),
        TLS(over_tls),
        TLS(over_tls_goes_away),
    };
    return cmocka_run_group_tests(tests, make_certificate, drop_certificate);
}
