/* SPDX-License-Identifier: MIT
 * test_http_names.c: names and certificates: what a name resolves to is checked when a connection
 * is made, slow name servers hold up nobody, and TLS is verified.
 *
 * The program starts itself again with slow_names.c preloaded, which it builds first. */
#include "http_caller.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/wait.h>

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static const struct kept *get_url(struct caller *w, const char *url, int64_t timeout_ms)
{
    return caller_call(
        w, &(struct sh_http_request_out){
               .method = "GET", .url = url, .timeout_ms = timeout_ms, .max_answer_bytes = 1000});
}

static const struct kept *get_host(struct caller *w, const char *host, int port)
{
    char url[200];
    snprintf(url, sizeof(url), "http://%s:%d/", host, port);
    return get_url(w, url, 5000);
}

/* --- What a name resolves to ---------------------------------------------------------------- */

static void addresses_that_are_not_listed_are_passed_over(void **state)
{
    (void)state;
    struct caller w;
    struct peer p = {.replies = {OK_ANSWER}};
    peer_start(&p);
    caller_open(&w, "* 127.0.0.1", NULL);
    expect_answer(get_host(&w, "mixed.test", p.port), 200, "ok");
    expect_answer(get_host(&w, "localhost", p.port), 200, "ok"); /* ::1 is not listed */
    caller_close(&w);
    caller_open(&w, "*.test", NULL);
    const struct kept *k = get_host(&w, "mixed.test", p.port);
    expect_end(k, SH_HTTP_REFUSED, "mixed.test is at ");
    expect_end(k, SH_HTTP_REFUSED, "which no call reaches unless it is listed");
    assert_false(k->a.sent);
    expect_end(get_host(&w, "private.test", p.port), SH_HTTP_REFUSED, "add \"");
    caller_close(&w);
    caller_open(&w, "*", NULL);
    expect_end(get_host(&w, "localhost", p.port), SH_HTTP_REFUSED, "a loopback address");
    expect_end(get_host(&w, "app.localhost", p.port), SH_HTTP_REFUSED, "a loopback address");
    caller_close(&w);
    peer_stop(&p);
}

/* The name's second answer is another address: it is checked like the first. */
static void a_name_that_moves_is_checked_again(void **state)
{
    (void)state;
    struct caller w;
    struct peer p = {.replies = {OK_ANSWER}, .hang_up = true};
    int port;
    peer_start(&p);
    close(peer_listen(1, &port));
    caller_open(&w, "*.test 127.0.0.1", NULL);
    expect_answer(get_host(&w, "rebound.test", p.port), 200, "ok");
    expect_end(get_host(&w, "rebound.test", port), SH_HTTP_REFUSED,
               "rebound.test is at 127.0.0.2, a loopback address");
    caller_close(&w);
    peer_stop(&p);
}

static void a_name_that_is_none_is_said_so(void **state)
{
    (void)state;
    struct caller w;
    caller_open(&w, "*", NULL);
    const struct kept *k = get_host(&w, "none.test", 80);
    expect_end(k, SH_HTTP_NO_ANSWER, "http://none.test: its name cannot be resolved");
    assert_false(k->a.sent);
    caller_close(&w);
}

/* --- Slow names ----------------------------------------------------------------------------- */

static void a_slow_name_holds_up_nobody(void **state)
{
    (void)state;
    struct caller w;
    struct peer p = {.replies = {OK_ANSWER}};
    peer_start(&p);
    caller_open(&w, "* 127.0.0.1", NULL);
    const struct kept *k = get_url(&w, "http://slow.test/", 200);
    expect_end(k, SH_HTTP_NO_ANSWER, "http://slow.test: its name was not resolved in time");
    assert_in_range(k->a.took_ms, 190, 1500);
    assert_true(w.t.max_gap_ms < 500);
    assert_true(w.t.ticks > 8);
    expect_answer(get_host(&w, "127.0.0.1", p.port), 200, "ok");
    assert_true(w.t.max_gap_ms < 500);
    int64_t from = sh_mono_us();
    caller_close(&w);
    assert_true(sh_mono_us() - from < 1500000); /* nor does the end wait for it */
    peer_stop(&p);
}

static void unexpected(void *arg, const struct sh_http_answer *a)
{
    (void)arg;
    fail_msg("done() of a call that was given up: %s", a->error);
}

static void calls_with_slow_names_may_be_cancelled_and_dropped(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        struct caller w;
        struct sh_http_call *calls[8];
        caller_open(&w, "*", NULL);
        for (int i = 0; i < 8; i++) {
            char url[60];
            snprintf(url, sizeof(url), "http://%d.slow.test/", i);
            calls[i] = sh_http_client_start(
                w.client, &(struct sh_http_request_out){.method = "GET", .url = url}, unexpected,
                NULL);
        }
        ticking_run_for(&w.t, round * 20);
        int64_t from = sh_mono_us();
        for (int i = 0; i < 4; i++)
            sh_http_call_cancel(calls[i]);
        assert_int_equal(sh_http_client_open(w.client), 4);
        if (round == 2) { /* the loop goes on until the resolvers have given up */
            ticking_run_for(&w.t, 20);
            for (int i = 4; i < 8; i++)
                sh_http_call_cancel(calls[i]);
            assert_true(sh_mono_us() - from < 1500000);
            ticking_run_for(&w.t, 3400);
            assert_true(w.t.max_gap_ms < 500);
            from = sh_mono_us();
        }
        caller_close(&w);
        assert_true(sh_mono_us() - from < 1500000);
    }
}

/* --- TLS ------------------------------------------------------------------------------------ */

struct tls {
    char folder[64], path[100];
    pid_t server;
    int port;
};

static void run(const char *format, const char *folder)
{
    char cmd[2000];
    snprintf(cmd, sizeof(cmd), "cd '%s' && ( %s ) >/dev/null 2>&1", folder, format);
    if (system(cmd) != 0)
        fail_msg("%s", cmd);
}

/* An authority, and certificates of it for localhost and for another name. */
static void make_certificates(struct tls *t)
{
    *t = (struct tls){.folder = "/tmp/switchhook-tls-XXXXXX"};
    assert_non_null(mkdtemp(t->folder));
    run("openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 "
        "-subj '/CN=Test authority' && "
        "for name in localhost other.example; do "
        "  openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /CN=$name && "
        "  printf \"subjectAltName=DNS:$name\" > $name.ext && "
        "  openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
        "    -extfile $name.ext -out $name.pem || exit 1; "
        "done && "
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout self.key -out self.pem -days 2 "
        "  -subj /CN=localhost -addext subjectAltName=DNS:localhost",
        t->folder);
    snprintf(t->path, sizeof(t->path), "%s/ca.pem", t->folder);
}

static void serve_tls(struct tls *t, const char *certificate, const char *version)
{
    static const char script[] =
        "import ssl, sys, http.server as h\n"
        "class H(h.BaseHTTPRequestHandler):\n"
        "    protocol_version = 'HTTP/1.1'\n"
        "    def log_message(self, *a): pass\n"
        "    def do_GET(self):\n"
        "        self.send_response(200)\n"
        "        self.send_header('Content-Length', '2')\n"
        "        self.end_headers()\n"
        "        self.wfile.write(b'ok')\n"
        "c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
        "c.load_cert_chain(sys.argv[1] + '.pem', sys.argv[1] + '.key')\n"
        "if sys.argv[2]:\n"
        "    c.set_ciphers('ALL:@SECLEVEL=0')\n"
        "    c.minimum_version = c.maximum_version = ssl.TLSVersion[sys.argv[2]]\n"
        "class S(h.ThreadingHTTPServer):\n"
        "    def handle_error(self, *a): pass\n"
        "s = S(('127.0.0.1', 0), H)\n"
        "s.socket = c.wrap_socket(s.socket, server_side=True, do_handshake_on_connect=False)\n"
        "print(s.server_port, flush=True)\n"
        "s.serve_forever()\n";
    int out[2];
    char name[120];
    snprintf(name, sizeof(name), "%s/%s", t->folder, certificate);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    t->server = fork();
    if (t->server == 0) {
        unsetenv("LD_PRELOAD");
        dup2(out[1], 1);
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 2);
        execlp("python3", "python3", "-W", "ignore", "-c", script, name, version, NULL);
        _exit(127);
    }
    close(out[1]);
    FILE *f = fdopen(out[0], "r");
    assert_int_equal(fscanf(f, "%d", &t->port), 1);
    fclose(f);
}

static void stop_tls(struct tls *t)
{
    kill(t->server, SIGTERM);
    assert_int_equal(waitpid(t->server, NULL, 0), t->server);
}

static void certificates_are_verified(void **state)
{
    (void)state;
    static const struct {
        const char *certificate, *version, *host;
        bool trusted;     /* is the authority in ca_file? */
        const char *says; /* NULL: all is well */
    } cases[] = {
        {"localhost", "", "localhost", true, NULL},
        {"localhost", "TLSv1_2", "localhost", true, NULL},
        {"localhost", "", "localhost", false, "its certificate is not accepted"},
        {"localhost", "", "127.0.0.1", true, "its certificate is not accepted"},
        {"other.example", "", "localhost", true, "its certificate is not accepted"},
        {"self", "", "localhost", true, "its certificate is not accepted"},
        {"localhost", "TLSv1_1", "localhost", true, "https://localhost:"},
    };
    struct tls t;
    make_certificates(&t);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct caller w;
        char url[100];
        serve_tls(&t, cases[i].certificate, cases[i].version);
        snprintf(url, sizeof(url), "https://%s:%d/", cases[i].host, t.port);
        caller_open(&w, "localhost",
                    &(struct sh_http_client_config){.ca_file = cases[i].trusted ? t.path : NULL});
        for (int again = 0; again < 2; again++) {
            const struct kept *k = get_url(&w, url, 10000);
            if (!cases[i].says) {
                expect_answer(k, 200, "ok");
                continue;
            }
            expect_end(k, SH_HTTP_NO_ANSWER, cases[i].says);
            assert_false(k->a.sent);
        }
        caller_close(&w);
        stop_tls(&t);
    }
    run("rm -f ./* ; rmdir \"$PWD\"", t.folder);
}

static void tls_with_who_does_not_speak_it_ends(void **state)
{
    (void)state;
    struct caller w;
    struct peer p = {.replies = {OK_ANSWER}};
    char url[100];
    int port, fd = peer_listen(5, &port); /* takes connections and never says a word */
    peer_start(&p);
    caller_open(&w, "localhost", NULL);
    snprintf(url, sizeof(url), "https://127.0.0.1:%d/", port);
    const struct kept *k = get_url(&w, url, 300);
    expect_end(k, SH_HTTP_NO_ANSWER, "no TLS connection in time");
    assert_false(k->a.sent);
    assert_true(w.t.max_gap_ms < 500);
    caller_close(&w);
    close(fd);
    peer_stop(&p);
}

static void a_ca_file_that_is_not_there_is_refused(void **state)
{
    (void)state;
    struct sh_error err;
    struct event_base *base = sh_loop_new();
    struct sh_reach *reach = sh_reach_new(NULL, 0, &err);
    assert_non_null(reach);
    assert_null(sh_http_client_new(
        base, &(struct sh_http_client_config){.reach = reach, .ca_file = "/nowhere/ca.pem"}, &err));
    assert_string_equal(err.msg, "ca_file /nowhere/ca.pem cannot be read");
    sh_reach_free(reach);
    sh_loop_free(base);
    sh_http_client_free(NULL);
}

/* --- Preloading ----------------------------------------------------------------------------- */

static void start_again(char **argv)
{
    char folder[] = "/tmp/switchhook-names-XXXXXX", library[100], cmd[PATH_MAX + 300];
    const char *slash = strrchr(__FILE__, '/'), *asan = getenv("ASAN_OPTIONS");
    assert_non_null(mkdtemp(folder));
    snprintf(library, sizeof(library), "%s/slow_names.so", folder);
    snprintf(cmd, sizeof(cmd), "cc -D_GNU_SOURCE -shared -fPIC -o %s '%.*s/slow_names.c' -ldl",
             library, (int)(slash - __FILE__), __FILE__);
    assert_int_equal(system(cmd), 0);
    pid_t child = fork();
    if (child == 0) {
        snprintf(cmd, sizeof(cmd), "%s:verify_asan_link_order=0", asan ? asan : "");
        setenv("ASAN_OPTIONS", cmd, 1);
        setenv("LD_PRELOAD", library, 1);
        execv("/proc/self/exe", argv);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    unlink(library);
    rmdir(folder);
    exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_that_are_not_listed_are_passed_over),
        cmocka_unit_test(a_name_that_moves_is_checked_again),
        cmocka_unit_test(a_name_that_is_none_is_said_so),
        cmocka_unit_test(a_slow_name_holds_up_nobody),
        cmocka_unit_test(calls_with_slow_names_may_be_cancelled_and_dropped),
        cmocka_unit_test(certificates_are_verified),
        cmocka_unit_test(tls_with_who_does_not_speak_it_ends),
        cmocka_unit_test(a_ca_file_that_is_not_there_is_refused),
    };
    (void)argc;
    signal(SIGPIPE, SIG_IGN);
    if (!getenv("LD_PRELOAD"))
        start_again(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
