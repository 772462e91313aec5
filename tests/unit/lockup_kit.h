/* SPDX-License-Identifier: MIT
 * lockup_kit.h: processes that are locked up, and kernels that lack something or lie. */
#ifndef SH_TESTS_LOCKUP_KIT_H
#define SH_TESTS_LOCKUP_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "svc/lockup_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KIT_SOCKET = 3, KIT_REPORT = 8000, KIT_BROKEN = 101 };

/* What a child found, and how it ended. */
struct outcome {
    int status;              /* of waitpid() */
    char report[KIT_REPORT]; /* of the lock-up, or "" */
    char error[KIT_REPORT];  /* of the lock-up that failed, or "" */
};

typedef int kit_fn(long arg);

static inline bool kit_died_by(const struct outcome *o, int sig)
{
    return WIFSIGNALED(o->status) && WTERMSIG(o->status) == sig;
}

static inline int kit_exit(const struct outcome *o)
{
    return WIFEXITED(o->status) ? WEXITSTATUS(o->status) : -WTERMSIG(o->status);
}

/* The test program handles what a crash raises; a child of it must not. */
static void kit_plain_signals(void)
{
    static const int handled[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGSYS};
    for (size_t i = 0; i < sizeof(handled) / sizeof(*handled); i++)
        signal(handled[i], SIG_DFL);
}

/* Read all that is sent until the end of the stream. */
static void kit_drain(int fd, char *to, size_t size)
{
    size_t len = 0;
    for (ssize_t n; len < size - 1 && (n = read(fd, to + len, size - 1 - len)) != 0;)
        if (n > 0)
            len += (size_t)n;
        else if (errno != EINTR)
            break;
    to[len] = '\0';
}

/* In a child whose descriptor 3 is a socket to us: before(arg), then the lock-up, then fn(arg),
 * whose value is the exit code. Any of the two functions may be NULL. */
static inline struct outcome kit_run(const struct sh_lockup_config *config, kit_fn *before,
                                     kit_fn *fn, long arg)
{
    struct outcome o = {0};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    int high = fcntl(pair[1], F_DUPFD, 20), ours = fcntl(pair[0], F_DUPFD, 20);
    close(pair[0]);
    close(pair[1]);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct sh_error err;
        close(ours);
        kit_plain_signals();
        if (dup2(high, KIT_SOCKET) < 0 || (before && before(arg) != 0))
            _exit(KIT_BROKEN);
        close(high);
        cJSON *report = sh_lockup(config, &err);
        char *text = report ? cJSON_PrintUnformatted(report) : err.msg;
        char kind = report ? 'r' : 'e';
        if (send(KIT_SOCKET, &kind, 1, 0) != 1 || send(KIT_SOCKET, text, strlen(text), 0) <= 0)
            _exit(KIT_BROKEN);
        _exit(fn && report ? fn(arg) : 0);
    }
    close(high);
    char all[KIT_REPORT];
    kit_drain(ours, all, sizeof(all));
    assert_int_equal(waitpid(pid, &o.status, 0), pid);
    close(ours);
    if (all[0] == 'e')
        memcpy(o.error, all + 1, strlen(all));
    else if (all[0])
        memcpy(o.report, all + 1, strlen(all));
    return o;
}

/* --- kernels -------------------------------------------------------------------------------- */

/* From now on, here and in children, call gives -1 with errno = error; 0: it gives 0, and has done
 * nothing. A value of the first argument may be asked for (-1: any). */
static inline int kit_fake(int call, int error, long arg0)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    const struct scmp_arg_cmp first[] = {{.op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)arg0}};
    int rc =
        seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO((uint16_t)error), call, arg0 < 0 ? 0 : 1, first);
    rc = rc ? rc : seccomp_load(ctx);
    seccomp_release(ctx);
    return rc;
}

#endif
