/* SPDX-License-Identifier: MIT
 * test_http_tls.c: the HTTP server over TLS: large answers to slow readers, clients that go away at
 * any moment, and its end with answers owed. Each server process is checked for leaks as it ends.
 */
#include "http_fixture.h"
#include "tls_kit.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

static char cert_file[] = "/tmp/switchhook-tls-XXXXXX", key_file[] = "/tmp/switchhook-tls-XXXXXX";
static SSL_CTX *context;

static SSL *dial_tls(void)
{
    SSL *ssl = SSL_new(context);
    assert_non_null(ssl);
    assert_int_equal(SSL_set_fd(ssl, dial()), 1);
    assert_int_equal(SSL_connect(ssl), 1);
    return ssl;
}

static void hang_up(SSL *ssl)
{
    const int fd = SSL_get_fd(ssl);
    SSL_free(ssl);
    close(fd);
}

static void ask(SSL *ssl, const char *text)
{
    assert_int_equal(SSL_write(ssl, text, (int)strlen(text)), (int)strlen(text));
}

/* Read n bytes, at most `step` at a time with a pause of ms between. */
static size_t read_slowly(SSL *ssl, size_t n, int step, int ms)
{
    static char text[65536];
    size_t got = 0;
    while (got < n) {
        const int r = SSL_read(ssl, text, step);
        if (r <= 0)
            break;
        got += (size_t)r;
        if (ms)
            pause_ms(ms);
    }
    return got;
}

static const char *answer(SSL *ssl)
{
    static char text[4096];
    const int n = SSL_read(ssl, text, sizeof(text) - 1);
    int more = n;
    assert_true(n > 0);
    text[n] = '\0';
    if (!strstr(text, "\r\n\r\n") || strlen(strstr(text, "\r\n\r\n")) == 4) {
        more = SSL_read(ssl, text + n, (int)sizeof(text) - 1 - n); /* the body is a record more */
        text[n + (more > 0 ? more : 0)] = '\0';
    }
    return text;
}

static bool all_gone(void)
{
    for (int i = 0; i < 50; i++) {
        SSL *ssl = dial_tls();
        ask(ssl, "GET /stats HTTP/1.1\r\n" HOST "\r\n");
        const bool gone = strstr(answer(ssl), "open=1 pending=1") != NULL;
        hang_up(ssl);
        if (gone)
            return true;
        pause_ms(20);
    }
    return false;
}

static void large_answers_arrive_whole(void **state)
{
    (void)state;
    SSL *ssl = dial_tls();
    for (int i = 0; i < 3; i++) {
        ask(ssl, "GET /big HTTP/1.1\r\n" HOST "\r\n");
        const char *head = answer(ssl); /* and some of the body, perhaps */
        const size_t head_len = (size_t)(strstr(head, "\r\n\r\n") + 4 - head);
        const size_t left = REPLY_BYTES - (strlen(head) - head_len);
        assert_non_null(strstr(head, "HTTP/1.1 200"));
        assert_int_equal(read_slowly(ssl, left, 16384, i == 2), left);
    }
    hang_up(ssl);
    assert_true(all_gone());
}

static void answers_keep_their_order(void **state)
{
    (void)state;
    SSL *ssl = dial_tls();
    ask(ssl, "GET /slow?1 HTTP/1.1\r\n" HOST "\r\nGET /a HTTP/1.1\r\n" HOST "\r\n" POST
             "Content-Length: 2\r\n\r\nxy");
    assert_non_null(strstr(answer(ssl), "/slow [1]"));
    assert_non_null(strstr(answer(ssl), "/a []"));
    assert_non_null(strstr(answer(ssl), "/p [] 2 xy"));
    hang_up(ssl);
}

static void continue_is_said_within(void **state)
{
    (void)state;
    SSL *ssl = dial_tls();
    ask(ssl, POST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    char text[64] = "";
    assert_int_equal(SSL_read(ssl, text, sizeof(text) - 1), 25);
    assert_string_equal(text, "HTTP/1.1 100 Continue\r\n\r\n");
    ask(ssl, "hello");
    assert_non_null(strstr(answer(ssl), "/p [] 5 hello"));
    hang_up(ssl);
}

static void clients_go_at_any_moment(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "GET /b",
                                        "GET /big HTTP/1.1\r\n" HOST "\r\n",
                                        "GET /slow HTTP/1.1\r\n" HOST "\r\n",
                                        POST "Content-Length: 9000\r\n\r\nx",
                                        "BAD\r\n\r\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        for (int how = 0; how < 3; how++) {
            SSL *ssl = dial_tls();
            if (*texts[i])
                ask(ssl, texts[i]);
            if (how == 1)
                pause_ms(20);
            if (how == 2) {
                const struct linger reset = {1, 0};
                SSL_shutdown(ssl);
                setsockopt(SSL_get_fd(ssl), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
            }
            hang_up(ssl);
        }
    }
    assert_true(all_gone());
}

/* One that neither reads nor leaves is ended at the time for taking an answer. */
static void who_does_not_read_is_ended(void **state)
{
    (void)state;
    SSL *ssl = dial_tls();
    ask(ssl, "GET /big HTTP/1.1\r\n" HOST "\r\n");
    pause_ms(1500);
    assert_true(all_gone());
    hang_up(ssl);
}

static void ends_with_answers_owed(void **state)
{
    (void)state;
    SSL *ssl[6];
    for (int i = 0; i < 6; i++) {
        ssl[i] = dial_tls();
        ask(ssl[i], i % 2 ? "GET /keep HTTP/1.1\r\n" HOST "\r\n" : "GET /k");
    }
    pause_ms(50);
    stop(); /* checks its exit code: no leak */
    for (int i = 0; i < 6; i++)
        hang_up(ssl[i]);
}

/* Much behind an answer that is not read yet: it waits in the socket, and is answered in the end.
 */
static void much_behind_a_large_answer_is_answered(void **state)
{
    (void)state;
    enum { REQUESTS = 6000 };
    static char text[65536];
    const struct timeval patience = {.tv_sec = 5};
    struct sh_buf all;
    int answers = 0;
    size_t kept = 0;
    SSL *ssl = dial_tls();
    setsockopt(SSL_get_fd(ssl), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    ask(ssl, "GET /big HTTP/1.1\r\n" HOST "\r\n");
    pause_ms(100);
    sh_buf_init(&all, 1 << 20);
    for (int i = 0; i < REQUESTS; i++)
        sh_buf_adds(&all, "GET /p HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(SSL_write(ssl, all.data, (int)all.len), (int)all.len);
    sh_buf_free(&all);
    pause_ms(100);
    while (answers <= REQUESTS) {
        const int r = SSL_read(ssl, text + kept, (int)(sizeof(text) - 1 - kept));
        if (r <= 0)
            fail_msg("%d answers came", answers);
        text[kept + (size_t)r] = '\0';
        answers += count(text, "HTTP/1.1 200");
        const size_t n = kept + (size_t)r, tail = n < 11 ? n : 11; /* one may be cut in two */
        memmove(text, text + n - tail, tail);
        kept = tail;
    }
    assert_int_equal(answers, REQUESTS + 1);
    hang_up(ssl);
}

/* Past the cap for one address there is not even a handshake, and those within are served. */
static void one_address_has_so_many(void **state)
{
    (void)state;
    SSL *in[2] = {dial_tls(), dial_tls()}, *over = SSL_new(context);
    ask(in[0], "GET /a HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(strstr(answer(in[0]), "/a []"));
    assert_int_equal(SSL_set_fd(over, dial()), 1);
    assert_true(SSL_connect(over) <= 0);
    hang_up(over);
    ask(in[1], "GET /stats HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(strstr(answer(in[1]), "open=2 pending=1"));
    hang_up(in[0]);
    hang_up(in[1]);
    assert_true(all_gone());
}

static int start_two(void **state)
{
    struct sh_http_limits limits = usual;
    (void)state;
    limits.connections_per_peer = 2;
    start(&limits, 0);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    EVP_PKEY *key = new_key();
    close(mkstemp(cert_file));
    close(mkstemp(key_file));
    write_key(key_file, key, NULL);
    write_cert(cert_file, key, "a.example.org", 3600, 1);
    EVP_PKEY_free(key);
    tls_cert = cert_file;
    tls_key = key_file;
    signal(SIGPIPE, SIG_IGN);
    context = SSL_CTX_new(TLS_client_method());
    return context ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    SSL_CTX_free(context);
    return unlink(cert_file) || unlink(key_file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(large_answers_arrive_whole, start_usual, stop_it),
        cmocka_unit_test_setup_teardown(answers_keep_their_order, start_usual, stop_it),
        cmocka_unit_test_setup_teardown(continue_is_said_within, start_usual, stop_it),
        cmocka_unit_test_setup_teardown(clients_go_at_any_moment, start_usual, stop_it),
        cmocka_unit_test_setup_teardown(who_does_not_read_is_ended, start_usual, stop_it),
        cmocka_unit_test_setup_teardown(much_behind_a_large_answer_is_answered, start_usual,
                                        stop_it),
        cmocka_unit_test_setup_teardown(one_address_has_so_many, start_two, stop_it),
        cmocka_unit_test_setup(ends_with_answers_owed, start_usual),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
