/* SPDX-License-Identifier: MIT
 * test_http_server.c: what of HTTP is accepted and what refused, whatever the pieces it comes in.
 */
#include "http_fixture.h"

/* --- What is accepted --------------------------------------------------------------------------
 */

struct good {
    const char *name, *request, *answer;
};
static const struct good goods[] = {
    {"get", "GET /a?b=c HTTP/1.1\r\n" HOST "\r\n", "0 /a [b=c] 0"},
    {"escape", "GET /a%20b%2Fc%41?%20 HTTP/1.1\r\n" HOST "\r\n", "0 /a b/cA [%20] 0"},
    {"slashes", "GET //a/b HTTP/1.1\r\n" HOST "\r\n", "0 //a/b [] 0"},
    {"dots", "GET /../a HTTP/1.1\r\n" HOST "\r\n", "0 /../a [] 0"},
    {"absolute", "GET http://t/a?q HTTP/1.1\r\n" HOST "\r\n", "0 /a [q] 0"},
    {"absolute bare", "GET http://t?q HTTP/1.1\r\n" HOST "\r\n", "0 / [q] 0"},
    {"absolute root", "GET http://t HTTP/1.1\r\n" HOST "\r\n", "0 / [] 0"},
    {"star", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "6 * [] 0"},
    {"put", "PUT /p HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nab", "3 /p [] 2 ab"},
    {"patch", "PATCH /p HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nab", "5 /p [] 2 ab"},
    {"delete", "DELETE /p HTTP/1.1\r\n" HOST "\r\n", "4 /p [] 0"},
    {"delete 0", "DELETE /p HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "4 /p [] 0"},
    {"length", "POST /p HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", "2 /p [] 5 hello"},
    {"zeros", "POST /p HTTP/1.1\r\n" HOST "Content-Length: 0005\r\n\r\nhello", "2 /p [] 5 hello"},
    {"empty", "POST /p HTTP/1.1\r\n" HOST "\r\n", "2 /p [] 0"},
    {"chunked",
     "POST /p HTTP/1.1\r\n" HOST
     "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n02\r\nlo\r\n0\r\n\r\n",
     "2 /p [] 5 hello"},
    {"no chunk", "POST /p HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "2 /p [] 0"},
    {"blank line first", "\r\nGET /a HTTP/1.1\r\n" HOST "\r\n", "0 /a [] 0"},
    {"old", "GET /a HTTP/1.0\r\n\r\n", "0 /a [] 0"},
    {"empty value", "GET /a HTTP/1.1\r\n" HOST "X:\r\nY: \r\n\r\n", "0 /a [] 0"},
    {"high bytes", "GET /a HTTP/1.1\r\n" HOST "X: \xc3\xa9\xff\r\n\r\n", "0 /a [] 0"},
    {"empty host", "GET /a HTTP/1.1\r\nHost:\r\n\r\n", "0 /a [] 0"},
    {"odd path", "GET /\"<>\\^`{|}[]~!$&'()*+,;=:@ HTTP/1.1\r\n" HOST "\r\n",
     "0 /\"<>\\^`{|}[]~!$&'()*+,;=:@ [] 0"},
};

static void accepts_what_is_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(goods) / sizeof(*goods); i++) {
        bool closed;
        const char *answer = exchange(goods[i].request, strlen(goods[i].request), &closed);
        if (!strstr(answer, " 200 OK\r\n") || !strstr(answer, goods[i].answer))
            fail_msg("%s: got\n%s", goods[i].name, answer);
    }
}

/* The same, a byte at a time. */
static void accepts_it_in_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(goods) / sizeof(*goods); i++) {
        bool closed;
        int fd = dial();
        if (goods[i].request[0] == '\r') {
            close(fd);
            continue; /* taken only when the blank line comes whole */
        }
        for (const char *p = goods[i].request; *p; p++)
            put(fd, p, 1);
        const char *answer = get(fd, 150, &closed);
        if (!strstr(answer, goods[i].answer))
            fail_msg("%s: got\n%s", goods[i].name, answer);
        close(fd);
    }
}

/* --- What is refused ---------------------------------------------------------------------------
 */

struct bad {
    const char *name, *request;
    size_t len; /* 0: strlen */
    int status;
};
#define WITH_NUL(s) s, sizeof(s) - 1
static const struct bad bads[] = {
    {"two lengths", POST "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", 0, 400},
    {"two equal lengths", POST "Content-Length: 2\r\ncontent-length: 2\r\n\r\nab", 0, 400},
    {"length list", POST "Content-Length: 2, 2\r\n\r\nab", 0, 400},
    {"length plus", POST "Content-Length: +2\r\n\r\nab", 0, 400},
    {"length minus", POST "Content-Length: -2\r\n\r\nab", 0, 400},
    {"length hex", POST "Content-Length: 0x2\r\n\r\nab", 0, 400},
    {"length empty", POST "Content-Length:\r\n\r\nab", 0, 400},
    {"length tab", POST "Content-Length:\t2\r\n\r\nab", 0, 400},
    {"length words", POST "Content-Length: 2 3\r\n\r\nab", 0, 400},
    {"length huge", POST "Content-Length: 99999999999999999999999999\r\n\r\nab", 0, 400},
    {"length 2^63", POST "Content-Length: 999999999999999999\r\n\r\nab", 0, 413},
    {"te and length", TE "chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", 0, 400},
    {"length and te", POST "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0,
     400},
    {"te xchunked", TE "xchunked\r\n\r\n0\r\n\r\n", 0, 400},
    {"te gzip", TE "gzip, chunked\r\n\r\n0\r\n\r\n", 0, 400},
    {"te identity", TE "identity\r\n\r\n", 0, 400},
    {"te empty", TE "\r\n\r\n", 0, 400},
    {"te tab", POST "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n", 0, 400},
    {"te tab behind", TE "chunked\t\r\n\r\n0\r\n\r\n", 0, 400},
    {"te twice", TE "chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, 400},
    {"te spaced name", POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 0, 400},
    {"te parameter", TE "chunked;a=b\r\n\r\n0\r\n\r\n", 0, 400},
    {"te in 1.0", "POST /p HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, 400},
    {"chunk 0x", CH "0x2\r\nab\r\n0\r\n\r\n", 0, 400},
    {"chunk plus", CH "+2\r\nab\r\n0\r\n\r\n", 0, 400},
    {"chunk minus", CH "-2\r\nab\r\n0\r\n\r\n", 0, 400},
    {"chunk space", CH " 2\r\nab\r\n0\r\n\r\n", 0, 400},
    {"chunk space behind", CH "2 \r\nab\r\n0\r\n\r\n", 0, 400},
    {"chunk extension", CH "2;a=b\r\nab\r\n0\r\n\r\n", 0, 400},
    {"chunk bare LF", CH "2\nab\r\n0\r\n\r\n", 0, 400},
    {"chunk empty", CH "\r\nab\r\n0\r\n\r\n", 0, 400},
    {"chunk long", CH "000000002\r\nab\r\n0\r\n\r\n", 0, 400},
    {"chunk no CRLF", CH "2\r\nab0\r\n\r\n", 0, 400},
    {"chunk one more", CH "2\r\nabc\r\n0\r\n\r\n", 0, 400},
    {"chunk LF", CH "2\r\nab\n0\r\n\r\n", 0, 400},
    {"chunk too big", CH "ffffffff\r\n", 0, 413},
    {"trailer", CH "0\r\nX: y\r\n\r\n", 0, 400},
    {"no name", "GET / HTTP/1.1\r\n" HOST ": x\r\n\r\n", 0, 400},
    {"name with space", "GET / HTTP/1.1\r\n" HOST "A b: x\r\n\r\n", 0, 400},
    {"no colon", "GET / HTTP/1.1\r\n" HOST "Abc\r\n\r\n", 0, 400},
    {"nul in value", WITH_NUL("GET / HTTP/1.1\r\n" HOST "A: x\0y\r\n\r\n"), 400},
    {"nul in name", WITH_NUL("GET / HTTP/1.1\r\n" HOST "A\0b: x\r\n\r\n"), 400},
    {"nul in target", WITH_NUL("GET /\0 HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"cr in value", "GET / HTTP/1.1\r\n" HOST "A: x\ry\r\n\r\n", 0, 400},
    {"fold", "GET / HTTP/1.1\r\n" HOST "A: x\r\n y\r\n\r\n", 0, 400},
    {"fold tab", "GET / HTTP/1.1\r\n" HOST "A: x\r\n\ty\r\n\r\n", 0, 400},
    {"fold first", "GET / HTTP/1.1\r\n A: x\r\n" HOST "\r\n", 0, 400},
    {"bare LF", "GET / HTTP/1.1\n" HOST "\r\n", 0, 400},
    {"bare LF later", "GET / HTTP/1.1\r\nHost: t\n\r\n", 0, 400},
    {"no host", "GET / HTTP/1.1\r\n\r\n", 0, 400},
    {"two hosts", "GET / HTTP/1.1\r\n" HOST HOST "\r\n", 0, 400},
    {"host list", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 0, 400},
    {"host path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 0, 400},
    {"two types", POST "Content-Type: a/b\r\nContent-Type: a/b\r\n\r\n", 0, 400},
    {"two tokens", POST "Authorization: a\r\nAuthorization: b\r\n\r\n", 0, 400},
    {"get with body", "GET / HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nab", 0, 400},
    {"get chunked", "GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0,
     400},
    {"%00", "GET /a%00 HTTP/1.1\r\n" HOST "\r\n", 0, 400},
    {"% alone", "GET /a% HTTP/1.1\r\n" HOST "\r\n", 0, 400},
    {"%4", "GET /a%4 HTTP/1.1\r\n" HOST "\r\n", 0, 400},
    {"%zz", "GET /a%zz HTTP/1.1\r\n" HOST "\r\n", 0, 400},
    {"fragment", "GET /a#b HTTP/1.1\r\n" HOST "\r\n", 0, 400},
    {"high byte", "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n", 0, 400},
    {"no slash", "GET a HTTP/1.1\r\n" HOST "\r\n", 0, 400},
    {"star get", "GET * HTTP/1.1\r\n" HOST "\r\n", 0, 400},
    {"bad url", "GET http://[t/ HTTP/1.1\r\n" HOST "\r\n", 0, 400},
    {"two spaces", "GET  / HTTP/1.1\r\n" HOST "\r\n", 0, 400},
    {"no version", "GET /\r\n\r\n", 0, 400},
    {"http 2", "GET / HTTP/2.0\r\n" HOST "\r\n", 0, 505},
    {"http 1.2", "GET / HTTP/1.2\r\n" HOST "\r\n", 0, 505},
    {"version", "GET / HTTX/1.1\r\n" HOST "\r\n", 0, 400},
    {"tls", WITH_NUL("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n"), 400},
    {"unknown method", "BREW / HTTP/1.1\r\n" HOST "\r\n", 0, 501},
    {"trace", "TRACE / HTTP/1.1\r\n" HOST "\r\n", 0, 501},
    {"connect", "CONNECT t:1 HTTP/1.1\r\n" HOST "\r\n", 0, 501},
    {"small letters", "get / HTTP/1.1\r\n" HOST "\r\n", 0, 501},
    {"method sign", "G(T / HTTP/1.1\r\n" HOST "\r\n", 0, 400},
    {"empty line only", "\r\n\r\n", 0, 400},
    {"expect", POST "Expect: 200-ok\r\nContent-Length: 2\r\n\r\nab", 0, 417},
    {"body limit", POST "Content-Length: 100001\r\n\r\n", 0, 413},
    {"body limit, expect", POST "Expect: 100-continue\r\nContent-Length: 100001\r\n\r\n", 0, 413},
};

static void check_refusal(const struct bad *b, const char *answer, bool closed)
{
    char line[32];
    snprintf(line, sizeof(line), "HTTP/1.1 %d ", b->status);
    if (strncmp(answer, line, strlen(line)) != 0 || count(answer, "Content-Length: ") != 1 ||
        !closed || !strstr(answer, "Connection: close\r\n") || !strstr(answer, "{\"refused\":"))
        fail_msg("%s: expected %d and a closed connection, got (closed: %d)\n%s", b->name,
                 b->status, closed, answer);
}

static void refuses_what_is_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bads) / sizeof(*bads); i++) {
        const struct bad *b = &bads[i];
        char text[1024];
        const size_t n = b->len ? b->len : strlen(b->request);
        /* What follows a refused request must never be read as another one. */
        const char *next = "GET /smuggled HTTP/1.1\r\n" HOST "\r\n";
        bool closed;
        memcpy(text, b->request, n);
        memcpy(text + n, next, strlen(next));
        int fd = dial();
        put(fd, text, n + strlen(next));
        const char *answer = get(fd, 400, &closed);
        check_refusal(b, answer, closed || strstr(answer, "Connection: close"));
        close(fd);
    }
}

static void refuses_it_in_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bads) / sizeof(*bads); i++) {
        const struct bad *b = &bads[i];
        const size_t n = b->len ? b->len : strlen(b->request);
        bool closed;
        int fd = dial();
        for (size_t j = 0; j < n && put(fd, b->request + j, 1); j++)
            ;
        shutdown(fd, SHUT_WR);
        const char *answer = get(fd, 400, &closed);
        check_refusal(b, answer, closed);
        close(fd);
    }
}

/* Behind a good request in the same packet: the good one is answered first. */
static void refuses_behind_a_good_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bads) / sizeof(*bads); i++) {
        const struct bad *b = &bads[i];
        const size_t n = b->len ? b->len : strlen(b->request);
        const char *first = POST "Content-Length: 2\r\n\r\nok";
        char text[1024], line[32];
        bool closed;
        memcpy(text, first, strlen(first));
        memcpy(text + strlen(first), b->request, n);
        const char *answer = exchange(text, strlen(first) + n, &closed);
        snprintf(line, sizeof(line), "HTTP/1.1 %d ", b->status);
        const char *second = strstr(answer, line);
        if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0 || !second || !strstr(answer, "2 ok") ||
            strstr(answer, "2 ok") > second)
            fail_msg("%s: got\n%s", b->name, answer);
    }
}

static void tells_whose_request_was_refused(void **state)
{
    (void)state;
    const char *r =
        "POST /p?q HTTP/1.1\r\n" HOST "oRIGIN:  http://page\r\nContent-Length: 100001\r\n\r\n";
    bool closed;
    const char *answer = exchange(r, strlen(r), &closed);
    assert_has(answer, "HTTP/1.1 413 ");
    assert_has(answer, "X-Path: /p\r\nX-Origin: http://page\r\n");
    r = "GET /x HTTP/1.1\r\n" HOST "\r\nPOST /p?q HTTP/1.1\r\n" HOST
        "Origin: http://page\r\nContent-Length: 100001\r\n\r\n";
    answer = exchange(r, strlen(r), &closed);
    assert_has(answer, "HTTP/1.1 200 ");
    assert_has(answer, "X-Path: /p\r\nX-Origin: http://page\r\n");
    assert_true(closed);
}

static void refuses_long_heads(void **state)
{
    (void)state;
    char *text = malloc(200000);
    bool closed;
    size_t n = (size_t)sprintf(text, "GET / HTTP/1.1\r\n" HOST "A: ");
    memset(text + n, 'x', 5000);
    assert_has(exchange(text, n + 5000, &closed), "HTTP/1.1 431 ");
    assert_true(closed);
    n = (size_t)sprintf(text, "GET /");
    memset(text + n, 'x', 5000);
    assert_has(exchange(text, n + 5000, &closed), "HTTP/1.1 414 ");
    n = (size_t)sprintf(text, "GET / HTTP/1.1\r\n" HOST);
    for (int i = 0; i < 101; i++)
        n += (size_t)sprintf(text + n, "A%d: b\r\n", i);
    n += (size_t)sprintf(text + n, "\r\n");
    assert_has(exchange(text, n, &closed), "HTTP/1.1 431 ");
    free(text);
}

/* --- Order, and bodies that come in their own time ---------------------------------------------
 */

static void answers_pipelined_in_order(void **state)
{
    (void)state;
    char text[16384];
    size_t n = (size_t)sprintf(text, "GET /slow?first HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < 100; i++)
        n += (size_t)sprintf(text + n, POST "Content-Length: 3\r\n\r\n%03d", i);
    int fd = dial();
    bool closed;
    assert_true(put(fd, text, n));
    const char *answer = get(fd, 400, &closed);
    assert_int_equal(count(answer, "HTTP/1.1 200 OK"), 101);
    assert_has(answer, "0 /slow [first] 0");
    const char *at = strstr(answer, "0 /slow");
    for (int i = 0; i < 100; i++) {
        char want[32];
        snprintf(want, sizeof(want), "2 /p [] 3 %03d", i);
        const char *next = strstr(answer, want);
        assert_non_null(next);
        assert_true(next > at);
        at = next;
    }
    assert_false(closed);
    close(fd);
}

static void pipelined_tail_waits(void **state)
{
    (void)state;
    int fd = dial();
    bool closed;
    puts_to(fd, "GET /slow HTTP/1.1\r\n" HOST "\r\n" POST "Content-Le");
    assert_has(get(fd, 300, &closed), "0 /slow");
    puts_to(fd, "ngth: 4\r\n\r\nta");
    pause_ms(50);
    puts_to(fd, "ilGET /y HTTP/1.1\r\n" HOST "\r\n");
    const char *answer = get(fd, 200, &closed);
    assert_has(answer, "2 /p [] 4 tail");
    assert_has(answer, "0 /y [] 0");
    close(fd);
}

static void large_body_arrives_whole(void **state)
{
    (void)state;
    char *text = malloc(120000);
    bool closed;
    size_t n = (size_t)sprintf(text, POST "Content-Length: 100000\r\n\r\n");
    memset(text + n, 'z', 100000);
    int fd = dial();
    for (int i = 0; i < 2; i++) {
        assert_true(put(fd, text, n + 100000));
        assert_has(get(fd, 200, &closed), "2 /p [] 100000 zzzz");
    }
    close(fd);
    n = (size_t)sprintf(text, CH);
    for (int i = 0; i < 25; i++) {
        n += (size_t)sprintf(text + n, "fa0\r\n");
        memset(text + n, 'c', 4000);
        n += 4000;
        n += (size_t)sprintf(text + n, "\r\n");
    }
    n += (size_t)sprintf(text + n, "0\r\n\r\n");
    assert_has(exchange(text, n, &closed), "2 /p [] 100000 cccc");
    free(text);
}

static void says_continue_once(void **state)
{
    (void)state;
    int fd = dial();
    bool closed;
    puts_to(fd, POST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_string_equal(get(fd, 150, &closed), "HTTP/1.1 100 Continue\r\n\r\n");
    puts_to(fd, "he");
    assert_string_equal(get(fd, 100, &closed), "");
    puts_to(fd, "llo");
    const char *answer = get(fd, 150, &closed);
    assert_int_equal(count(answer, "100 Continue"), 0);
    assert_has(answer, "2 /p [] 5 hello");
    close(fd);
    answer = exchange(POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
                      strlen(POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab"), &closed);
    assert_int_equal(count(answer, "100 Continue"), 0);
    assert_has(answer, "2 /p [] 2 ab");
}

static void head_and_204_have_no_body(void **state)
{
    (void)state;
    bool closed;
    const char *head = "HEAD /a HTTP/1.1\r\n" HOST "\r\nGET /b HTTP/1.1\r\n" HOST "\r\n";
    const char *answer = exchange(head, strlen(head), &closed);
    assert_has(answer, "Content-Length: 10\r\n");
    assert_null(strstr(answer, "/a []"));
    assert_has(answer, "\r\n\r\nHTTP/1.1 200 OK");
    const char *no = "GET /header HTTP/1.1\r\n" HOST "\r\n";
    answer = exchange(no, strlen(no), &closed);
    assert_has(answer, "HTTP/1.1 204 No Content");
    assert_has(answer, "X-Good: 1\r\n");
    assert_null(strstr(answer, "X-Bad"));
    assert_null(strstr(answer, "X-Forged"));
    assert_null(strstr(answer, "Server:"));
    assert_non_null(strstr(answer, "Date: "));
}

static void closes_when_asked(void **state)
{
    (void)state;
    bool closed;
    const char *r = "GET /a HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n";
    assert_has(exchange(r, strlen(r), &closed), "0 /a [] 0");
    assert_true(closed);
    r = "GET /a HTTP/1.0\r\n\r\n";
    exchange(r, strlen(r), &closed);
    assert_true(closed);
    r = "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    exchange(r, strlen(r), &closed);
    assert_false(closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        USUAL(accepts_what_is_right),     USUAL(accepts_it_in_pieces),
        USUAL(refuses_what_is_wrong),     USUAL(refuses_it_in_pieces),
        USUAL(refuses_behind_a_good_one), USUAL(tells_whose_request_was_refused),
        USUAL(refuses_long_heads),        USUAL(answers_pipelined_in_order),
        USUAL(pipelined_tail_waits),      USUAL(large_body_arrives_whole),
        USUAL(says_continue_once),        USUAL(head_and_204_have_no_body),
        USUAL(closes_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
