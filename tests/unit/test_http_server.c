/* SPDX-License-Identifier: MIT
 * test_http_server.c: the HTTP server in a child process, and raw sockets against it. */
#include "base/error.h"
#include "svc/http_server.h"
#include "svc/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define HOST        "Host: t\r\n"
#define REPLY_BYTES (4 * 1024 * 1024)

/* --- The server under test ---------------------------------------------------------------------
 * /slow answers after 150 ms, /keep not before /release is asked for, /stats tells connections and
 * pending answers, anything else says what it got. */

struct child {
    struct event_base *base;
    struct sh_http_server *server;
    struct sh_http_request *kept[64], *slow[64];
    int n_kept, n_slow;
    struct sh_timer *timer;
};

static void say(struct sh_http_request *req)
{
    char text[512];
    const struct sh_slice body = sh_http_body(req);
    size_t len;
    char *copy = sh_http_body_copy(req, &len);
    sh_require(len == body.n && memcmp(copy, body.p, len + 1) == 0 && copy[len] == '\0');
    int n = snprintf(text, sizeof(text), "%d %s [%s] %zu %.20s", (int)sh_http_method(req),
                     sh_http_path(req), sh_http_query(req), body.n, body.p);
    free(copy);
    sh_http_reply(req, 200, "text/plain", sh_slice(text, (size_t)n));
}

static void on_slow(void *arg)
{
    struct child *c = arg;
    const int n = c->n_slow;
    c->n_slow = 0;
    for (int i = 0; i < n; i++)
        say(c->slow[i]);
}

static void on_request(void *arg, struct sh_http_request *req)
{
    struct child *c = arg;
    const char *path = sh_http_path(req);
    if (strcmp(path, "/slow") == 0) {
        sh_require(c->n_slow < 64);
        c->slow[c->n_slow++] = req;
        sh_timer_set(c->timer, 150);
    } else if (strcmp(path, "/keep") == 0) {
        sh_require(c->n_kept < 64);
        c->kept[c->n_kept++] = req;
    } else if (strcmp(path, "/release") == 0) {
        while (c->n_kept > 0)
            say(c->kept[--c->n_kept]);
        say(req);
    } else if (strcmp(path, "/stats") == 0) {
        char text[64];
        int n =
            snprintf(text, sizeof(text), "open=%d pending=%zu",
                     sh_http_server_open_connections(c->server), sh_http_server_pending(c->server));
        sh_http_reply(req, 200, NULL, sh_slice(text, (size_t)n));
    } else if (strcmp(path, "/stop") == 0) {
        sh_http_server_stop(c->server);
        say(req);
    } else if (strcmp(path, "/header") == 0) {
        sh_http_add_header(req, "X-Good", "1");
        sh_http_add_header(req, "X-Bad", "1\r\nX-Forged: 1");
        sh_http_reply(req, 204, NULL, sh_slice("", 0));
    } else if (strcmp(path, "/big") == 0) {
        char *p = malloc(REPLY_BYTES);
        sh_require(p);
        memset(p, 'b', REPLY_BYTES);
        sh_http_reply(req, 200, NULL, sh_slice(p, REPLY_BYTES));
        free(p);
    } else {
        say(req);
    }
}

static void on_refused(void *arg, int status, const char *reason, struct sh_buf *body)
{
    (void)arg;
    sh_buf_addf(body, "{\"refused\":%d,\"why\":\"%s\"}", status, reason);
}

static void on_term(void *arg)
{
    sh_loop_stop(((struct child *)arg)->base);
}

static int serve(int out, const struct sh_http_limits *limits, int max_fds)
{
    struct child c = {.base = sh_loop_new()};
    struct sh_error err;
    const struct rlimit rl = {(rlim_t)max_fds, (rlim_t)max_fds};
    if (max_fds)
        sh_require(setrlimit(RLIMIT_NOFILE, &rl) == 0);
    struct sh_signal *term = sh_signal_new(c.base, SIGTERM, on_term, &c);
    c.timer = sh_timer_new(c.base, on_slow, &c);
    c.server = sh_http_server_new(c.base, "127.0.0.1", 0, limits, on_request, on_refused, &c, &err);
    sh_require(c.server);
    int port = sh_http_server_port(c.server);
    sh_require(write(out, &port, sizeof(port)) == sizeof(port));
    sh_loop_run(c.base);
    sh_http_server_free(c.server); /* with answers still owed */
    sh_timer_free(c.timer);
    sh_signal_free(term);
    sh_loop_free(c.base);
    return 0;
}

/* --- The other side ----------------------------------------------------------------------------
 */

static pid_t server_pid;
static int server_port;

static const struct sh_http_limits usual = {.body_bytes = 100000,
                                            .header_bytes = 4096,
                                            .connections = 64,
                                            .header_timeout_ms = 600,
                                            .body_timeout_ms = 700,
                                            .idle_timeout_ms = 1500};

static void start(const struct sh_http_limits *limits, int max_fds)
{
    int p[2];
    assert_int_equal(pipe(p), 0);
    server_pid = fork();
    assert_true(server_pid >= 0);
    if (server_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(p[0]);
        exit(serve(p[1], limits, max_fds)); /* exit: a leak check runs at the end */
    }
    close(p[1]);
    assert_int_equal(read(p[0], &server_port, sizeof(server_port)), sizeof(server_port));
    close(p[0]);
}

static void stop(void)
{
    int status;
    assert_int_equal(kill(server_pid, SIGTERM), 0);
    assert_int_equal(waitpid(server_pid, &status, 0), server_pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int start_usual(void **state)
{
    (void)state;
    start(&usual, 0);
    return 0;
}

static int stop_it(void **state)
{
    (void)state;
    stop();
    return 0;
}

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void pause_ms(int ms)
{
    const struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&ts, NULL);
}

static int dial(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server_port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static bool put(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = send(fd, p, n, MSG_NOSIGNAL);
        if (w <= 0)
            return false;
        p += w;
        n -= (size_t)w;
    }
    return true;
}

static void puts_to(int fd, const char *s)
{
    assert_true(put(fd, s, strlen(s)));
}

/* Everything until the server closes, or until quiet_ms pass without a byte. *closed tells. */
static char *get(int fd, int quiet_ms, bool *closed)
{
    static char text[65536];
    size_t n = 0;
    *closed = false;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, quiet_ms) <= 0)
            break;
        ssize_t r = recv(fd, text + n, sizeof(text) - 1 - n, 0);
        if (r <= 0) {
            *closed = true;
            break;
        }
        n += (size_t)r;
    }
    text[n] = '\0';
    return text;
}

/* Send bytes on a new connection and read what comes. */
static char *exchange(const char *p, size_t n, bool *closed)
{
    int fd = dial();
    put(fd, p, n);
    char *answer = get(fd, 250, closed);
    close(fd);
    return answer;
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what))
        n++;
    return n;
}

static void assert_has(const char *text, const char *what)
{
    if (!strstr(text, what))
        fail_msg("expected \"%s\" in:\n%s", what, text);
}

static void assert_alive(void)
{
    bool closed;
    const char *r = "GET /x HTTP/1.1\r\n" HOST "\r\n";
    assert_has(exchange(r, strlen(r), &closed), "HTTP/1.1 200");
}

/* Fields of /proc/<pid>/stat: CPU in ms; and peak memory in KiB of /proc/<pid>/status. */
static long cpu_ms(void)
{
    char path[64], text[1024];
    unsigned long user = 0, sys = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)server_pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
           &sys);
    return (long)((user + sys) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK));
}

static long peak_kib(void)
{
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)server_pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "VmHWM: %ld", &kib) == 1)
            break;
    fclose(f);
    return kib;
}

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
#define POST        "POST /p HTTP/1.1\r\n" HOST
#define TE          POST "Transfer-Encoding: "
#define CH          TE "chunked\r\n\r\n"
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
    if (strncmp(answer, line, strlen(line)) != 0 || count(answer, "Content-Length: ") != 1 || !closed ||
        !strstr(answer, "Connection: close\r\n") || !strstr(answer, "{\"refused\":"))
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

/* --- Order, and bodies that come in their own time ----------------------------------------------
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

/* --- The end -----------------------------------------------------------------------------------
 */

static void stops_gracefully(void **state)
{
    (void)state;
    start(&usual, 0);
    int idle = dial(), busy = dial();
    bool closed;
    puts_to(idle, "GET /x HTTP/1.1\r\n" HOST "\r\n");
    assert_has(get(idle, 60, &closed), "200 OK");
    puts_to(busy, "GET /slow HTTP/1.1\r\n" HOST "\r\n");
    pause_ms(50);
    const char *r = "GET /stop HTTP/1.1\r\n" HOST "\r\n";
    assert_has(exchange(r, strlen(r), &closed), "Connection: close\r\n");
    assert_true(closed);
    get(idle, 100, &closed);
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
#define USUAL(f) cmocka_unit_test_setup_teardown(f, start_usual, stop_it)
    const struct CMUnitTest tests[] = {
        USUAL(accepts_what_is_right),
        USUAL(accepts_it_in_pieces),
        USUAL(refuses_what_is_wrong),
        USUAL(refuses_it_in_pieces),
        USUAL(refuses_behind_a_good_one),
        USUAL(refuses_long_heads),
        USUAL(answers_pipelined_in_order),
        USUAL(pipelined_tail_waits),
        USUAL(large_body_arrives_whole),
        USUAL(says_continue_once),
        USUAL(head_and_204_have_no_body),
        USUAL(closes_when_asked),
        USUAL(endless_chunk_size_costs_little),
        USUAL(endless_framing_is_cut),
        USUAL(slow_head_meets_its_deadline),
        USUAL(slow_body_meets_its_deadline),
        USUAL(silent_and_idle_are_closed),
        USUAL(client_vanishes),
        USUAL(half_closed_client_gets_its_answer),
        USUAL(unread_answer_is_dropped),
        cmocka_unit_test(connections_are_capped),
        cmocka_unit_test(connections_of_a_peer_are_capped),
        cmocka_unit_test(descriptors_run_out),
        cmocka_unit_test(unfinished_bodies_are_bounded),
        cmocka_unit_test(stops_gracefully),
        cmocka_unit_test(ends_with_answers_owed),
        cmocka_unit_test(says_why_it_cannot_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
