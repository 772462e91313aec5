/* SPDX-License-Identifier: MIT
 * test_host_worker.c: the worker process, over its socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/app.h"
#include "base/clock.h"
#include "core/frame.h"
#include "svc/json.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct {
    pid_t pid;
    int fd;
    struct sh_pulse *pulse;
    struct sh_buf in, out;
    size_t at;
} w;

static const struct sh_budgets budgets = {.cpu_ms = 300,
                                          .wall_ms = 300,
                                          .memory_bytes = 32 << 20,
                                          .max_effects = 1000,
                                          .max_effect_bytes = 1 << 20};

static void start(void)
{
    int pair[2], page = memfd_create("pulse", 0);
    assert_int_equal(ftruncate(page, 4096), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    w.pulse = mmap(NULL, sizeof(*w.pulse), PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
    assert_true(w.pulse != MAP_FAILED);
    int high = fcntl(pair[1], F_DUPFD, 20), high_page = fcntl(page, F_DUPFD, 20);
    w.pid = fork();
    assert_true(w.pid >= 0);
    if (w.pid == 0) {
        char *argv[] = {(char[]){"worker"}, NULL};
        close(pair[0]); /* or the worker would hold its own peer open */
        if (dup2(high, 3) < 0 || dup2(high_page, 4) < 0)
            _exit(99);
        _exit(sh_cmd_worker(1, argv));
    }
    close(pair[1]);
    close(high);
    close(high_page);
    close(page);
    w.fd = pair[0];
    w.at = 0;
    sh_buf_init(&w.in, 512U << 20);
    sh_buf_init(&w.out, 512U << 20);
}

static int end(void)
{
    int status;
    if (w.fd >= 0)
        close(w.fd);
    assert_int_equal(waitpid(w.pid, &status, 0), w.pid);
    munmap(w.pulse, sizeof(*w.pulse));
    sh_buf_free(&w.in);
    sh_buf_free(&w.out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void send_all(void)
{
    for (size_t at = 0; at < w.out.len;) {
        ssize_t n = send(w.fd, w.out.data + at, w.out.len - at, MSG_NOSIGNAL);
        assert_true(n > 0);
        at += (size_t)n;
    }
    sh_buf_reset(&w.out);
}

/* The next frame; its type, 0 at the end of the stream. payload is borrowed until the next call. */
static uint8_t next_frame(struct sh_slice *payload)
{
    for (;;) {
        uint8_t type;
        size_t used;
        int got = sh_frame_split(sh_slice(w.in.data ? w.in.data + w.at : NULL, w.in.len - w.at),
                                 64 << 20, &type, payload, &used);
        assert_true(got >= 0);
        if (got == 1) {
            w.at += used;
            return type;
        }
        struct pollfd p = {.fd = w.fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 20000), 1); /* a worker that says nothing hangs */
        char *to = sh_buf_room(&w.in, 65536);
        ssize_t n = recv(w.fd, to, 65536, 0);
        if (n <= 0)
            return 0;
        w.in.len += (size_t)n;
    }
}

static void load(const char *rules)
{
    struct sh_file file = {
        .name = (char[]){"rules/x.lua"}, .text = sh_strdup(rules), .is_rule = true};
    file.len = strlen(rules);
    struct sh_generation *g = sh_generation_new(&file, 1);
    static char zone[] = "America/New_York", name[] = "CRM_TOKEN";
    static char *secrets[] = {name, NULL};
    sh_frame_load(&w.out, &budgets, &(struct sh_settings){.zone = zone, .secrets = secrets}, g);
    sh_generation_free(g);
    free(file.text);
    send_all();
}

static void must_load(const char *rules)
{
    struct sh_slice payload;
    load(rules);
    assert_int_equal(next_frame(&payload), SH_FRAME_LOADED);
    cJSON *report = sh_json_parse(payload.p, payload.n, NULL);
    assert_true(cJSON_IsTrue(sh_json_member(report, "ok")));
    cJSON_Delete(report);
}

static void add_job(uint64_t token, const char *type, const char *body)
{
    struct sh_job job = {.token = token,
                         .id = {0x0190000000007000 + token, 0x8000000000000001},
                         .source = SH_SLICE("s"),
                         .type = sh_slice_str(type),
                         .key = SH_SLICE("k"),
                         .body = sh_slice_str(body),
                         .received_ms = 1781258661903,
                         .now_ms = 1781258661903,
                         .attempt = 1};
    sh_frame_job(&w.out, &job);
}

static struct sh_result next_result(void)
{
    struct sh_slice payload;
    struct sh_result r;
    assert_int_equal(next_frame(&payload), SH_FRAME_RESULT);
    assert_true(sh_frame_read_result(payload, &r));
    return r;
}

static void expect(uint64_t token, enum sh_outcome outcome, const char *error)
{
    struct sh_result r = next_result();
    assert_int_equal(r.token, token);
    assert_int_equal(r.n_runs, 1);
    assert_int_equal(r.runs[0].outcome, outcome);
    char *text = sh_slice_dup(r.runs[0].error);
    if (strncmp(text, error, strlen(error)) != 0)
        assert_string_equal(text, error);
    free(text);
    free(r.runs);
}

static void test_life(void **state)
{
    (void)state;
    start();
    must_load("rule 'a' { on = '*', run = function(ev) emit('x', ev) end }");
    kill(w.pid, SIGTERM); /* the engine decides when a worker ends, not a signal to the group */
    kill(w.pid, SIGINT);
    for (uint64_t i = 1; i <= 100; i++)
        add_job(i, "t", "{\"a\":1}");
    send_all();
    for (uint64_t i = 1; i <= 100; i++)
        expect(i, SH_RUN_DONE, "");
    assert_int_equal(w.pulse->token, 0);
    assert_int_equal(end(), 0);
}

static void test_bad_rules(void **state)
{
    (void)state;
    struct sh_slice payload;
    start();
    load("rule 'a' { on = '*', ron = 1 }");
    assert_int_equal(next_frame(&payload), SH_FRAME_LOADED);
    cJSON *report = sh_json_parse(payload.p, payload.n, NULL);
    assert_true(cJSON_IsFalse(sh_json_member(report, "ok")));
    assert_int_equal(cJSON_GetArraySize(sh_json_member(report, "errors")), 2);
    cJSON_Delete(report);
    assert_int_equal(next_frame(&payload), 0);
    assert_int_equal(end(), 1);
}

static void test_hostile_rules(void **state)
{
    (void)state;
    start();
    must_load(
        "rule 'loop' { on = 'loop', run = function() while true do pcall(function() while true do "
        "end end) end end }\n"
        /* 32 strings of a MiB: memory ends long before the CPU budget, also on a busy machine */
        "rule 'memory' { on = 'memory', run = function() local t, s = {}, "
        "('x'):rep(1024):rep(1024) "
        "while true do t[#t + 1] = s .. #t end end }\n"
        "rule 'deep' { on = 'deep', run = function() local function f() return 1 + f() end f() end "
        "}\n"
        "rule 'fine' { on = 'fine', run = function() emit('x') end }");
    uint64_t token = 1;
    for (int i = 0; i < 3; i++) {
        add_job(token++, "loop", "{}");
        add_job(token++, "memory", "{}");
        add_job(token++, "deep", "{}");
        add_job(token++, "fine", "{}");
    }
    send_all();
    for (uint64_t t = 1; t < token; t += 4) {
        expect(t, SH_RUN_FAILED, "rules/x.lua:1: rule \"loop\": CPU budget of 300 ms exceeded");
        expect(t + 1, SH_RUN_FAILED,
               "rules/x.lua:2: rule \"memory\": memory budget of 32768 KiB exceeded");
        expect(t + 2, SH_RUN_FAILED, "rules/x.lua:3: rule \"deep\": ");
        expect(t + 3, SH_RUN_DONE, "");
    }
    assert_int_equal(end(), 0);
}

static void test_reads(void **state)
{
    (void)state;
    struct sh_slice payload;
    struct sh_read_request q;
    struct sh_buf answer;
    uint64_t id;
    start();
    must_load("rule 'a' { on = '*', run = function(ev) assert(records.get('c', 'x').n == 5) end }");
    add_job(1, "t", "{}");
    send_all();
    assert_int_equal(next_frame(&payload), SH_FRAME_READ);
    assert_true(sh_frame_read_ask(payload, &id, &q));
    assert_int_equal(q.kind, SH_READ_GET);
    sh_buf_init(&answer, 1000);
    sh_buf_u8(&answer, 1);
    sh_buf_u64(&answer, 3);
    sh_buf_uint(&answer, 1);
    sh_buf_bytes(&answer, SH_SLICE("x"));
    sh_buf_bytes(&answer, SH_SLICE("{\"n\":5}"));
    sh_frame_answer(&w.out, id + 100, sh_slice(answer.data, answer.len)); /* nobody's */
    sh_frame_answer(&w.out, id, sh_slice(answer.data, answer.len));
    send_all();
    expect(1, SH_RUN_DONE, "");
    add_job(2, "t", "{}"); /* never answered */
    send_all();
    assert_int_equal(next_frame(&payload), SH_FRAME_READ);
    expect(2, SH_RUN_FAILED,
           "rules/x.lua:1: rule \"a\": wall budget of 300 ms exceeded, waiting for records.get");
    sh_buf_free(&answer);
    assert_int_equal(end(), 0);
}

/* The worker knows the names of secrets and every time zone, though it has no files; a look-up is
 * the engine's to answer, and others run meanwhile. */
static void test_lookup(void **state)
{
    (void)state;
    struct sh_slice payload;
    struct sh_read_request q;
    struct sh_buf answer;
    uint64_t id;
    start();
    must_load("local auth = 'Bearer ' .. secret 'CRM_TOKEN'\n"
              "rule 'a' { on = 'ask', run = function(ev)\n"
              "local res = http.get { url = 'http://x.nl/', headers = { A = auth } }\n"
              "assert(res.json.n == 5 and res.ok)\n"
              "after('2026-06-15 09:00', 'x') after('2026-06-15 09:00', 'x', {}, { zone = "
              "'Asia/Kathmandu' })\nend }\nrule 'b' { on = 'other', run = function() end }");
    add_job(7, "ask", "{}");
    add_job(8, "other", "{}");
    send_all();
    assert_int_equal(next_frame(&payload), SH_FRAME_READ);
    assert_true(sh_frame_read_ask(payload, &id, &q));
    assert_int_equal(q.kind, SH_READ_HTTP);
    assert_int_equal(q.token, 7);
    assert_true(sh_slice_eq(
        q.query, SH_SLICE("{\"method\":\"GET\",\"url\":\"http://x.nl/\",\"headers\":[[\"A\",["
                          "\"Bearer \",{\"secret\":\"CRM_TOKEN\",\"as\":\"plain\"}]]]}")));
    expect(8, SH_RUN_DONE, "");
    usleep(400000); /* past the wall budget of 300 ms, which a look-up is not part of */
    sh_buf_init(&answer, 1000);
    sh_buf_u8(&answer, 1);
    sh_buf_u64(&answer, 0);
    sh_buf_uint(&answer, 1);
    sh_buf_bytes(&answer, SH_SLICE(""));
    sh_buf_bytes(&answer, SH_SLICE("{\"status\":200,\"headers\":{},\"body\":\"{\\\"n\\\":5}\"}"));
    sh_frame_answer(&w.out, id, sh_slice(answer.data, answer.len));
    send_all();
    assert_int_equal(next_frame(&payload), SH_FRAME_RESULT);
    struct sh_result r;
    assert_true(sh_frame_read_result(payload, &r));
    assert_int_equal(r.token, 7);
    assert_int_equal(r.runs[0].outcome, SH_RUN_DONE);
    struct sh_reader reader = sh_reader_of(r.runs[0].effects);
    struct sh_effect fx;
    assert_true(sh_effect_read(&reader, &fx));
    assert_int_equal(fx.n_int, 1781528400000); /* 13:00 UTC */
    assert_true(sh_slice_eq(fx.field, SH_SLICE("2026-06-15T09:00:00 America/New_York")));
    assert_true(sh_effect_read(&reader, &fx));
    assert_int_equal(fx.n_int, 1781493300000); /* 03:15 UTC */
    reader = sh_reader_of(r.runs[0].reads);
    struct sh_read_mark m;
    assert_true(sh_read_mark_read(&reader, &m));
    assert_true(m.request.kind == SH_READ_HTTP && m.answer.n > 0);
    free(r.runs);
    sh_buf_free(&answer);
    assert_int_equal(end(), 0);
}

/* More jobs than any socket holds, and results that are larger still, before one is read. */
static void test_no_deadlock(void **state)
{
    (void)state;
    enum { JOBS = 3000 };
    start();
    must_load("rule 'a' { on = '*', run = function(ev) emit('x', ev) emit('y', ev) end }");
    char *body = sh_alloc(1, 5000);
    memset(body, ' ', 4000);
    memcpy(body, "{\"a\":\"", 6);
    memset(body + 6, 'x', 3990);
    memcpy(body + 3996, "\"}", 3);
    for (uint64_t i = 1; i <= JOBS; i++)
        add_job(i, "t", body);
    free(body);
    send_all(); /* would block for ever if the worker stopped reading while it cannot write */
    for (uint64_t i = 1; i <= JOBS; i++)
        expect(i, SH_RUN_DONE, "");
    assert_int_equal(end(), 0);
}

/* A pattern cannot be stopped from inside: the page tells the watchdog who, and since when. */
static void test_pulse(void **state)
{
    (void)state;
    start();
    must_load("rule 'fine' { on = 't', run = function() end }\n"
              "rule 'stuck' { on = 'p', run = function() ('a'):rep(4000):find(('.-'):rep(18) .. "
              "'b') end }");
    int64_t before = sh_mono_us();
    add_job(77, "p", "{}");
    send_all();
    const struct timespec ts = {.tv_nsec = 10000000};
    for (int i = 0; i < 500 && w.pulse->token != 77; i++)
        nanosleep(&ts, NULL);
    assert_int_equal(w.pulse->token, 77);
    assert_int_equal(w.pulse->rule, 1);
    assert_true(w.pulse->since_us >= before && w.pulse->since_us <= sh_mono_us());
    nanosleep(&ts, NULL);
    assert_int_equal(w.pulse->token, 77);
    kill(w.pid, SIGKILL);
    assert_int_equal(end(), -SIGKILL);
}

static void test_malformed(void **state)
{
    (void)state;
    static const char frames[][16] = {"\x01\x00\x00\x00\x02", "\x02\x00\x00\x00\x01x",
                                      "\xff\xff\xff\xff\x01", "\x01\x00\x00\x00\x63"};
    for (size_t i = 0; i < sizeof(frames) / sizeof(*frames); i++) {
        struct sh_slice payload;
        start();
        sh_buf_add(&w.out, frames[i], 6);
        send_all();
        assert_int_equal(next_frame(&payload), 0);
        assert_int_equal(end(), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),          cmocka_unit_test(test_bad_rules),
        cmocka_unit_test(test_hostile_rules), cmocka_unit_test(test_reads),
        cmocka_unit_test(test_lookup),        cmocka_unit_test(test_no_deadlock),
        cmocka_unit_test(test_pulse),         cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
