/* SPDX-License-Identifier: MIT
 * http_fixture.h: the HTTP server in a child process, and raw sockets to it, for test_http_*.c. */
#ifndef TEST_HTTP_FIXTURE_H
#define TEST_HTTP_FIXTURE_H

#include "base/error.h"
#include "svc/http_server.h"
#include "svc/loop.h"
#include "svc/tls.h"

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
#define POST        "POST /p HTTP/1.1\r\n" HOST
#define TE          POST "Transfer-Encoding: "
#define CH          TE "chunked\r\n\r\n"
#define REPLY_BYTES (4 * 1024 * 1024)

/* --- The server under test ---------------------------------------------------------------------
 * /stream stays open: 4 KiB every 10 ms, unless 16 KiB are unsent, /end ends all of them, /streams
 * tells how many there are; /slow answers after 150 ms, /keep not before /release is asked for,
 * /stats tells connections and pending answers, anything else says what it got. */

#define STREAMS     64
#define PIECE_BYTES 4096

struct child;
struct fed {
    struct child *child;
    struct sh_http_stream *stream; /* NULL: gone */
    size_t bytes;
};

struct child {
    struct event_base *base;
    struct sh_http_server *server;
    struct sh_http_request *kept[64], *slow[64];
    int n_kept, n_slow;
    struct sh_timer *timer, *feeder;
    struct fed fed[STREAMS];
    int n_fed, n_gone;
};

static inline void on_gone(void *arg)
{
    struct fed *f = arg;
    sh_require(f->stream);
    f->stream = NULL;
    f->child->n_gone++;
}

static inline void on_feed(void *arg)
{
    struct child *c = arg;
    char piece[PIECE_BYTES];
    memset(piece, 's', sizeof(piece));
    for (int i = 0; i < c->n_fed; i++) {
        struct fed *f = &c->fed[i];
        if (!f->stream || sh_http_stream_unsent(f->stream) > 16384)
            continue;
        sh_http_stream_send(f->stream, sh_slice(piece, sizeof(piece)));
        f->bytes += sizeof(piece);
    }
    sh_timer_set(c->feeder, 10);
}

static inline void stream(struct child *c, struct sh_http_request *req)
{
    sh_require(c->n_fed < STREAMS);
    struct fed *f = &c->fed[c->n_fed++];
    f->child = c;
    f->stream = sh_http_stream_begin(req, 200, "text/event-stream", on_gone, f);
    if (!f->stream) {
        sh_http_reply(req, 503, NULL, sh_slice("", 0));
        return;
    }
    sh_http_stream_send(f->stream, SH_SLICE("first "));
    if (c->n_fed == 1)
        sh_timer_set(c->feeder, 10);
}

static inline void end_streams(struct child *c)
{
    for (int i = 0; i < c->n_fed; i++) {
        sh_http_stream_end(c->fed[i].stream);
        c->fed[i].stream = NULL;
    }
}

static inline void tell_streams(const struct child *c, struct sh_http_request *req)
{
    char text[128];
    size_t bytes = 0;
    for (int i = 0; i < c->n_fed; i++)
        bytes += c->fed[i].bytes;
    int n = snprintf(text, sizeof(text), "streams=%zu gone=%d pending=%zu bytes=%zu",
                     sh_http_server_streams(c->server), c->n_gone,
                     sh_http_server_pending(c->server), bytes);
    sh_http_reply(req, 200, NULL, sh_slice(text, (size_t)n));
}

static inline void say(struct sh_http_request *req)
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

static inline void on_slow(void *arg)
{
    struct child *c = arg;
    const int n = c->n_slow;
    c->n_slow = 0;
    for (int i = 0; i < n; i++)
        say(c->slow[i]);
}

static inline void on_request(void *arg, struct sh_http_request *req)
{
    struct child *c = arg;
    const char *path = sh_http_path(req);
    if (strcmp(path, "/slow") == 0) {
        sh_require(c->n_slow < 64);
        c->slow[c->n_slow++] = req;
        sh_timer_set(c->timer, 150);
    } else if (strcmp(path, "/stream") == 0) {
        stream(c, req);
    } else if (strcmp(path, "/streams") == 0) {
        tell_streams(c, req);
    } else if (strcmp(path, "/end") == 0) {
        end_streams(c);
        say(req);
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

static inline void on_refused(void *arg, const struct sh_http_refusal *r, struct sh_buf *headers,
                              struct sh_buf *body)
{
    (void)arg;
    sh_buf_addf(headers, "X-Path: %s\r\nX-Origin: %s\r\n", r->path, r->origin ? r->origin : "-");
    sh_buf_addf(body, "{\"refused\":%d,\"why\":\"%s\"}", r->status, r->reason);
}

static inline void on_term(void *arg)
{
    sh_loop_stop(((struct child *)arg)->base);
}

static const char *tls_cert, *tls_key; /* files: then the server speaks TLS */

static inline int serve(int out, const struct sh_http_limits *limits, int max_fds)
{
    struct child c = {.base = sh_loop_new()};
    struct sh_error err;
    const struct rlimit rl = {(rlim_t)max_fds, (rlim_t)max_fds};
    if (max_fds)
        sh_require(setrlimit(RLIMIT_NOFILE, &rl) == 0);
    struct sh_signal *term = sh_signal_new(c.base, SIGTERM, on_term, &c);
    c.timer = sh_timer_new(c.base, on_slow, &c);
    c.feeder = sh_timer_new(c.base, on_feed, &c);
    c.server = sh_http_server_new(c.base, "127.0.0.1", 0, limits, on_request, on_refused, &c, &err);
    sh_require(c.server);
    struct sh_tls *tls = tls_cert ? sh_tls_new(tls_cert, tls_key, &err) : NULL;
    sh_require(tls || !tls_cert);
    sh_http_server_set_tls(c.server, tls);
    int port = sh_http_server_port(c.server);
    sh_require(write(out, &port, sizeof(port)) == sizeof(port));
    sh_loop_run(c.base);
    sh_http_server_free(c.server); /* with answers still owed */
    sh_timer_free(c.timer);
    sh_timer_free(c.feeder);
    sh_signal_free(term);
    sh_loop_free(c.base);
    sh_tls_free(tls);
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

static inline void start(const struct sh_http_limits *limits, int max_fds)
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

static inline void stop(void)
{
    int status;
    assert_int_equal(kill(server_pid, SIGTERM), 0);
    assert_int_equal(waitpid(server_pid, &status, 0), server_pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static inline int start_usual(void **state)
{
    (void)state;
    start(&usual, 0);
    return 0;
}

static inline int stop_it(void **state)
{
    (void)state;
    stop();
    return 0;
}

static inline int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static inline void pause_ms(int ms)
{
    const struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&ts, NULL);
}

static inline int dial(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server_port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static inline bool put(int fd, const char *p, size_t n)
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

static inline void puts_to(int fd, const char *s)
{
    assert_true(put(fd, s, strlen(s)));
}

/* Everything until the server closes, or until quiet_ms pass without a byte. *closed tells. */
static inline char *get(int fd, int quiet_ms, bool *closed)
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
static inline char *exchange(const char *p, size_t n, bool *closed)
{
    int fd = dial();
    put(fd, p, n);
    char *answer = get(fd, 250, closed);
    close(fd);
    return answer;
}

static inline int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what))
        n++;
    return n;
}

static inline void assert_has(const char *text, const char *what)
{
    if (!strstr(text, what))
        fail_msg("expected \"%s\" in:\n%s", what, text);
}

static inline void assert_alive(void)
{
    bool closed;
    const char *r = "GET /x HTTP/1.1\r\n" HOST "\r\n";
    assert_has(exchange(r, strlen(r), &closed), "HTTP/1.1 200");
}

/* Fields of /proc/<pid>/stat: CPU in ms; and peak memory in KiB of /proc/<pid>/status. */
static inline long cpu_ms(void)
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

static inline long peak_kib(void)
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

#define USUAL(f) cmocka_unit_test_setup_teardown(f, start_usual, stop_it)

#endif
