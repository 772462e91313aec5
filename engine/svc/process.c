/* SPDX-License-Identifier: MIT
 * process.c: child processes by posix_spawn. */
#include "svc/process.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHILD_SOCKET = 3, CHILD_PAGE = 4, CHILD_EXTRA = 5 };

/* May the child know this variable ("NAME=value")? Everything else may be a secret, or change what
 * code it loads. */
static bool is_passed_on(const char *entry)
{
    static const char *const names[] = {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TZDIR"};
    static const char sanitizer[] = "SAN_OPTIONS";
    const size_t n = strcspn(entry, "="), end = sizeof(sanitizer) - 1;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strlen(names[i]) == n && memcmp(entry, names[i], n) == 0)
            return true;
    return n <= end + 2 && n > end && memcmp(entry + n - end, sanitizer, end) == 0;
}

/* An environment for the child; free() it. */
static char **clean_environment(void)
{
    extern char **environ;
    size_t n = 0, kept = 0;
    while (environ && environ[n])
        n++;
    char **clean = sh_alloc(n + 1, sizeof(*clean));
    for (size_t i = 0; i < n; i++)
        if (is_passed_on(environ[i]))
            clean[kept++] = environ[i];
    return clean;
}

static bool spawn(char *const argv[], int socket, int page, int extra, pid_t *pid,
                  struct sh_error *err)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    if (extra >= 0) /* first: it may be a descriptor that the others are moved to */
        posix_spawn_file_actions_adddup2(&files, extra, CHILD_EXTRA);
    posix_spawn_file_actions_adddup2(&files, socket, CHILD_SOCKET);
    posix_spawn_file_actions_adddup2(&files, page, CHILD_PAGE);
    /* and nothing that a library opened without O_CLOEXEC */
    posix_spawn_file_actions_addclosefrom_np(&files, extra >= 0 ? CHILD_EXTRA + 1 : CHILD_EXTRA);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    char **environment = clean_environment();
    int rc = posix_spawn(pid, "/proc/self/exe", &files, &attr, argv, environment);
    free(environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attr);
    return rc == 0 || sh_error_set(err, SH_ESYS, "cannot start %s: %s", argv[0], strerror(rc));
}

/* A descriptor above those that the child's are moved to, so that dup2 never hits its source. */
static int move_up(int fd)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 10);
    close(fd);
    return high;
}

bool sh_child_start(char *const argv[], size_t page_bytes, int extra, struct sh_child *child,
                    struct sh_error *err)
{
    int pair[2] = {-1, -1}, page = memfd_create("switchhook-pulse", MFD_CLOEXEC);
    *child = (struct sh_child){.pid = -1, .socket = -1, .page_bytes = page_bytes};
    if (page < 0 || ftruncate(page, (off_t)page_bytes) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        sh_error_set(err, SH_ESYS, "cannot make a worker's channel: %s", strerror(errno));
        goto fail;
    }
    child->page = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
    if (child->page == MAP_FAILED) {
        child->page = NULL;
        sh_error_set(err, SH_ESYS, "cannot map a worker's page: %s", strerror(errno));
        goto fail;
    }
    pair[1] = move_up(pair[1]);
    page = move_up(page);
    if (pair[1] < 0 || page < 0 || !spawn(argv, pair[1], page, extra, &child->pid, err))
        goto fail;
    close(pair[1]);
    close(page);
    child->socket = pair[0];
    return true;
fail:
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
    if (page >= 0)
        close(page);
    sh_child_release(child);
    return false;
}

void sh_child_kill(const struct sh_child *child)
{
    if (child->pid > 0)
        kill(child->pid, SIGKILL);
}

/* Reap if ended, and say how. */
static bool reap(const struct sh_child *child, char *how)
{
    int status;
    pid_t rc = waitpid(child->pid, &status, WNOHANG);
    if (rc == 0 || (rc < 0 && errno == EINTR))
        return false;
    if (rc < 0)
        snprintf(how, SH_CHILD_HOW, "was already gone");
    else if (WIFSIGNALED(status))
        snprintf(how, SH_CHILD_HOW, "was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(how, SH_CHILD_HOW, "exited with %d", WEXITSTATUS(status));
    return true;
}

void sh_child_finish(const struct sh_child *child, int wait_ms, char *how)
{
    char unused[SH_CHILD_HOW];
    const struct timespec step = {.tv_nsec = 1000000};
    for (int waited = 0; !reap(child, how ? how : unused); waited++) {
        if (waited >= wait_ms)
            sh_child_kill(child);
        nanosleep(&step, NULL);
    }
}

bool sh_child_reap(const struct sh_child *child)
{
    char unused[SH_CHILD_HOW];
    return reap(child, unused);
}

void sh_child_release(struct sh_child *child)
{
    child->pid = -1;
    if (child->page)
        munmap(child->page, child->page_bytes);
    child->page = NULL;
}
