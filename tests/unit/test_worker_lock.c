/* SPDX-License-Identifier: MIT
 * test_worker_lock.c: the worker process locks itself up before any line of a rule runs, runs none
 * if that does not hold, and never outlives its engine. */
#include "lockup_kit.h"

#include "app/app.h"
#include "base/clock.h"
#include "core/frame.h"
#include "svc/json.h"

#include <poll.h>
#include <sys/mman.h>
#include <time.h>

enum { HELD = 30, GIVE_UP_MS = 20000 };

static const struct sh_budgets budgets = {.cpu_ms = 1000,
                                          .wall_ms = 1000,
                                          .memory_bytes = 32 << 20,
                                          .max_effects = 1000,
                                          .max_effect_bytes = 1 << 20};

/* The worker over the socket, with the pulse page; never returns. */
static _Noreturn void be_worker(int socket)
{
    char *argv[] = {(char[]){"worker"}, NULL};
    int page = memfd_create("pulse", 0), high = fcntl(page, F_DUPFD, 20);
    if (ftruncate(high, 4096) != 0 || dup2(socket, 3) < 0 || dup2(high, 4) < 0)
        _exit(99);
    _exit(sh_cmd_worker(1, argv));
}

/* Start one, after before() in its process; its end of the socket is returned. */
static int start(pid_t *pid, kit_fn *before)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    int theirs = fcntl(pair[1], F_DUPFD, 20);
    close(pair[1]);
    *pid = fork();
    assert_true(*pid >= 0);
    if (*pid == 0) {
        kit_plain_signals();
        close(pair[0]);
        if (before && before(0) != 0)
            _exit(KIT_BROKEN);
        be_worker(theirs);
    }
    close(theirs);
    return pair[0];
}

static void put(int fd, struct sh_buf *out)
{
    size_t at = 0;
    for (ssize_t n; at < out->len; at += (size_t)n)
        if ((n = send(fd, out->data + at, out->len - at, MSG_NOSIGNAL)) <= 0)
            break;
    assert_int_equal(at, out->len);
    sh_buf_free(out);
}

static void send_load(int fd, const char *rules)
{
    struct sh_buf out;
    struct sh_file file = {
        .name = (char[]){"rules/x.lua"}, .text = sh_strdup(rules), .is_rule = true};
    file.len = strlen(rules);
    struct sh_generation *g = sh_generation_new(&file, 1);
    static char zone[] = "UTC";
    sh_buf_init(&out, 1 << 20);
    sh_frame_load(&out, &budgets, &(struct sh_settings){.zone = zone}, g);
    sh_generation_free(g);
    free(file.text);
    put(fd, &out);
}

/* The LOADED report; the caller deletes it. */
static cJSON *take_report(int fd)
{
    struct sh_buf in;
    uint8_t type = 0;
    size_t used;
    struct sh_slice payload;
    sh_buf_init(&in, 1 << 20);
    while (sh_frame_split(sh_slice(in.data, in.len), 1 << 20, &type, &payload, &used) != 1) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, GIVE_UP_MS), 1);
        ssize_t n = recv(fd, sh_buf_room(&in, 65536), 65536, 0);
        assert_true(n > 0);
        in.len += (size_t)n;
    }
    assert_int_equal(type, SH_FRAME_LOADED);
    cJSON *report = cJSON_ParseWithLength(payload.p, payload.n);
    assert_non_null(report);
    sh_buf_free(&in);
    return report;
}

static int wait_for_end(pid_t pid)
{
    int status = 0;
    for (int ms = 0; waitpid(pid, &status, WNOHANG) != pid; ms++) {
        if (ms >= GIVE_UP_MS)
            fail_msg("process %d did not end", (int)pid);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return status;
}

/* Does /proc/PID/status have this line ("NoNewPrivs:\t1")? */
static bool has_status(pid_t pid, const char *line)
{
    char path[64], text[8192];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    kit_drain(fd, text, sizeof(text));
    close(fd);
    return strstr(text, line) != NULL;
}

static bool is_locked(pid_t pid)
{
#ifdef SH_SANITIZED
    return has_status(pid, "NoNewPrivs:\t1\n");
#else
    return has_status(pid, "NoNewPrivs:\t1\n") && has_status(pid, "Seccomp:\t2\n");
#endif
}

/* --- the order ------------------------------------------------------------------------------- */

static void test_the_report_says_what_holds(void **state)
{
    (void)state;
    pid_t pid;
    int fd = start(&pid, NULL);
    assert_false(is_locked(pid)); /* it still needs files */
    send_load(fd, "rule 'r' { on = 'x', run = function() end }");
    cJSON *report = take_report(fd);
    const cJSON *sandbox = sh_json_member(report, "sandbox");
    assert_true(cJSON_IsTrue(sh_json_member(report, "ok")));
    assert_true(cJSON_IsTrue(sh_json_member(sandbox, "no_new_privs")));
    assert_true(cJSON_IsArray(sh_json_member(sandbox, "verified")));
    assert_true(cJSON_IsArray(sh_json_member(sandbox, "missing")));
    assert_null(sh_json_member(sandbox, "error"));
    cJSON_Delete(report);
    assert_true(is_locked(pid));
    close(fd);
    assert_int_equal(wait_for_end(pid), 0);
}

/* What stands outside of functions is the author's code too. */
static void test_files_are_run_behind_the_locks(void **state)
{
    (void)state;
    pid_t pid;
    int fd = start(&pid, NULL);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    bool locked = false;
    send_load(fd, "local n = 0 while true do n = n + 1 end");
    while (!locked && poll(&p, 1, 1) == 0)
        locked = is_locked(pid);
    assert_int_equal(poll(&p, 1, 0), 0); /* still at it */
    assert_true(locked);
    kill(pid, SIGKILL);
    wait_for_end(pid);
    close(fd);
}

/* --- a lock that does not hold --------------------------------------------------------------- */

static int false_prctl(long unused)
{
    (void)unused;
    return kit_fake(SYS_prctl, 0, PR_GET_NO_NEW_PRIVS);
}

static int false_landlock(long unused)
{
    (void)unused;
    return kit_fake(SYS_landlock_restrict_self, 0, -1);
}

static int false_seccomp(long unused)
{
    (void)unused;
    return kit_fake(SYS_seccomp, 0, -1);
}

static void must_refuse(kit_fn *lie, const char *why)
{
    pid_t pid;
    int fd = start(&pid, lie);
    send_load(fd, "rule 'r' { on = 'x', run = function() end }");
    cJSON *report = take_report(fd);
    assert_true(cJSON_IsFalse(sh_json_member(report, "ok")));
    assert_int_equal(cJSON_GetArraySize(sh_json_member(report, "rules")), 0);
    const cJSON *fault = cJSON_GetArrayItem(sh_json_member(report, "errors"), 0);
    const char *msg = sh_json_string(fault, "msg");
    assert_non_null(msg);
    assert_ptr_equal(strstr(msg, "the sandbox of the rule worker does not hold, so no rule is run"),
                     msg);
    const char *error = sh_json_string(sh_json_member(report, "sandbox"), "error");
    if (!strstr(msg, why) || !error || !strstr(error, why))
        fail_msg("expected \"%s\": %s", why, msg);
    cJSON_Delete(report);
    int status = wait_for_end(pid); /* by itself: the socket is still open */
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    close(fd);
}

static void test_no_rule_runs_when_a_lock_does_not_hold(void **state)
{
    (void)state;
    must_refuse(false_prctl, "cannot set no_new_privs");
#ifndef SH_SANITIZED
    must_refuse(false_seccomp, "the filter of system calls let pass: openat");
    if (sh_landlock_version() > 0)
        must_refuse(false_landlock, "landlock: open should have failed");
#else
    (void)false_landlock;
    (void)false_seccomp;
#endif
}

/* --- it dies with its engine ----------------------------------------------------------------- */

/* An engine in a process of its own that starts a worker and tells its pid. The worker's socket
 * stays open in this process, so that the end of the stream is not what ends it. */
struct engine {
    pid_t pid, worker;
    int socket; /* the engine's end */
};

static _Noreturn void be_engine(int tell, bool early)
{
    int pair[2], theirs;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 || dup2(pair[0], HELD) < 0)
        _exit(1);
    theirs = fcntl(pair[1], F_DUPFD, HELD + 1);
    const pid_t me = getpid();
    pid_t worker = fork();
    if (worker == 0) {
        kit_plain_signals();
        while (early && getppid() == me) /* as if it were started only after its parent's end */
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        be_worker(theirs);
    }
    if (write(tell, &worker, sizeof(worker)) != sizeof(worker))
        _exit(1);
    if (early)
        _exit(0);
    for (;;)
        pause();
}

static struct engine start_engine(bool early)
{
    struct engine e;
    int tell[2];
    assert_int_equal(pipe(tell), 0);
    e.pid = fork();
    assert_true(e.pid >= 0);
    if (e.pid == 0)
        be_engine(tell[1], early);
    close(tell[1]);
    assert_int_equal(read(tell[0], &e.worker, sizeof(e.worker)), sizeof(e.worker));
    close(tell[0]);
    e.socket = -1;
    if (!early) {
        int pidfd = (int)syscall(SYS_pidfd_open, e.pid, 0);
        e.socket = (int)syscall(SYS_pidfd_getfd, pidfd, HELD, 0);
        close(pidfd);
        assert_true(e.socket >= 0);
    }
    return e;
}

/* Kill the engine; its worker must follow by SIGKILL, though its stream goes on. */
static void end_engine(struct engine *e)
{
    kill(e->pid, SIGKILL);
    wait_for_end(e->pid);
    int64_t since_us = sh_mono_us();
    int status = wait_for_end(e->worker);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(sh_mono_us() - since_us < 1000000);
    close(e->socket);
}

static void test_an_idle_worker_dies_with_its_engine(void **state)
{
    (void)state;
    struct engine e = start_engine(false);
    send_load(e.socket, "rule 'r' { on = 'x', run = function() end }");
    cJSON *report = take_report(e.socket);
    assert_true(cJSON_IsTrue(sh_json_member(report, "ok")));
    cJSON_Delete(report);
    end_engine(&e);
}

static void test_a_worker_in_a_loop_dies_with_its_engine(void **state)
{
    (void)state;
    struct engine e = start_engine(false);
    send_load(e.socket, "while true do end");
    for (int ms = 0; !is_locked(e.worker) && ms < GIVE_UP_MS; ms++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_true(is_locked(e.worker)); /* in the loop, or about to be */
    end_engine(&e);
}

/* Its parent was gone before it could ask to be told. */
static void test_a_worker_that_comes_too_late_leaves(void **state)
{
    (void)state;
    struct engine e = start_engine(true);
    assert_int_equal(wait_for_end(e.pid), 0);
    assert_int_equal(wait_for_end(e.worker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_report_says_what_holds),
        cmocka_unit_test(test_files_are_run_behind_the_locks),
        cmocka_unit_test(test_no_rule_runs_when_a_lock_does_not_hold),
        cmocka_unit_test(test_an_idle_worker_dies_with_its_engine),
        cmocka_unit_test(test_a_worker_in_a_loop_dies_with_its_engine),
        cmocka_unit_test(test_a_worker_that_comes_too_late_leaves),
    };
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) /* workers whose engine is gone become ours */
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
