/* SPDX-License-Identifier: MIT
 * capture.c: a program's output through a pipe. */
#include "svc/capture.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS    20 /* between looks whether it has ended */
#define SOON_MS    2
#define READ_BYTES 4096

static bool spawn(const char *path, char *const argv[], int out, pid_t *pid, struct sh_error *err)
{
    extern char **environ;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_adddup2(&files, out, 2);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                        POSIX_SPAWN_SETPGROUP);
    int rc = posix_spawn(pid, path, &files, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return rc == 0 || sh_error_set(err, SH_ESYS, "cannot start %s: %s", argv[0], strerror(rc));
}

/* Append, dropping the oldest where there is no room. */
static void keep(struct sh_buf *out, const char *p, size_t n)
{
    if (n > out->max) {
        p += n - out->max;
        n = out->max;
    }
    if (out->len + n > out->max) {
        size_t drop = out->len + n - out->max;
        memmove(out->data, out->data + drop, out->len - drop);
        out->len -= drop;
    }
    sh_buf_add(out, p, n);
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid == pid;
}

/* What is there now; false at the end of the output. */
static bool take(int fd, struct sh_buf *out)
{
    char bytes[READ_BYTES];
    ssize_t n;
    while ((n = read(fd, bytes, sizeof(bytes))) > 0)
        keep(out, bytes, (size_t)n);
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* True once the program has ended, whoever else may hold its output open; false when it was time to
 * stop. */
static bool listen_to(int fd, pid_t pid, int64_t timeout_ms, bool (*stop)(void), struct sh_buf *out,
                      struct sh_error *err)
{
    const int64_t until_us = sh_mono_us() + timeout_ms * 1000;
    for (bool open = true; !has_ended(pid);) {
        struct pollfd p = {.fd = open ? fd : -1, .events = POLLIN};
        if (stop && stop())
            return sh_error_set(err, SH_EBUSY, "stopped");
        if (sh_mono_us() > until_us)
            return sh_error_set(err, SH_ELIMIT, "took longer than %lld s",
                                (long long)timeout_ms / 1000);
        poll(&p, 1, open ? LOOK_MS : SOON_MS);
        open = open && take(fd, out);
    }
    (void)!take(fd, out);
    return true;
}

bool sh_capture(const char *path, char *const argv[], int64_t timeout_ms, bool (*stop)(void),
                struct sh_buf *out, int *exit_code, struct sh_error *err)
{
    int ends[2], status = 0;
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return sh_error_set(err, SH_ESYS, "cannot make a pipe: %s", strerror(errno));
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    bool started = spawn(path, argv, ends[1], &pid, err), ended = false;
    close(ends[1]);
    if (started) {
        ended = listen_to(ends[0], pid, timeout_ms, stop, out, err);
        if (!ended)
            kill(-pid, SIGKILL);
        siginfo_t info;
        while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
            continue;
        kill(-pid, SIGKILL); /* what it may have left behind, while the number is still its own */
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
    }
    close(ends[0]);
    *exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return started && ended;
}
