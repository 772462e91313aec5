/* SPDX-License-Identifier: MIT
 * lockup_try.c: a locked-up process tries what it must not be able to do.
 *
 * The filter is tried in two children, because a process that meets it is no more. One has the
 * very program with its verdict "end the process" changed to "tell the process": it makes every
 * call of the list below and counts which were stopped. The other has the program as it is and must
 * end by it. Arguments are such that a call that is not stopped fails by itself and harms nothing.
 */
#include "svc/lockup_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct attempt {
    const char *name;
    long call;
    long args[6];
};

static const struct attempt attempts[] = {
    /* files */
    {"openat", SYS_openat, {AT_FDCWD}},
    {"openat2", SYS_openat2, {AT_FDCWD}},
    {"unlinkat", SYS_unlinkat, {-1}},
    {"renameat2", SYS_renameat2, {-1}},
    {"mkdirat", SYS_mkdirat, {-1}},
    {"getdents64", SYS_getdents64, {-1}},
    {"statx", SYS_statx, {-1}},
    {"name_to_handle_at", SYS_name_to_handle_at, {-1}},
    {"memfd_create", SYS_memfd_create, {0}},
    {"mount", SYS_mount, {0}},
    {"chroot", SYS_chroot, {0}},
    /* descriptors other than the socket and the log */
    {"read from stdin", SYS_read, {STDIN_FILENO}},
    {"write to stdout", SYS_write, {STDOUT_FILENO}},
    {"read from the log", SYS_read, {STDERR_FILENO}},
    {"lseek", SYS_lseek, {-1}},
    {"ioctl", SYS_ioctl, {-1}},
    {"fcntl", SYS_fcntl, {-1}},
    {"dup", SYS_dup, {-1}},
    {"pipe2", SYS_pipe2, {0}},
    {"sendmsg", SYS_sendmsg, {-1}}, /* could pass on a descriptor */
    {"recvmsg", SYS_recvmsg, {-1}}, /* could take one in */
    {"pidfd_open", SYS_pidfd_open, {-1}},
    {"pidfd_getfd", SYS_pidfd_getfd, {-1}},
    /* the network */
    {"socket", SYS_socket, {-1}},
    {"connect", SYS_connect, {-1}},
    {"bind", SYS_bind, {-1}},
    {"accept4", SYS_accept4, {-1}},
    {"send elsewhere", SYS_sendto, {STDERR_FILENO}},
    /* processes */
    {"clone", SYS_clone, {CLONE_THREAD}},
    {"clone3", SYS_clone3, {0}},
    {"execve", SYS_execve, {0}},
    {"execveat", SYS_execveat, {-1}},
    {"kill", SYS_kill, {0x7fffffff}},
    {"tgkill", SYS_tgkill, {-1, -1}},
    {"rt_sigqueueinfo", SYS_rt_sigqueueinfo, {0x7fffffff}},
    {"rt_sigaction", SYS_rt_sigaction, {-1}},
    {"ptrace", SYS_ptrace, {-1, -1}},
    {"process_vm_readv", SYS_process_vm_readv, {-1}},
    {"process_vm_writev", SYS_process_vm_writev, {-1}},
    {"unshare", SYS_unshare, {-1}},
    {"setns", SYS_setns, {-1}},
    /* its own fetters */
    {"prctl", SYS_prctl, {-1}},
    {"prlimit64", SYS_prlimit64, {0, -1}},
    {"seccomp", SYS_seccomp, {-1}},
    {"capset", SYS_capset, {0}},
    {"setuid", SYS_setuid, {-1}},
    {"personality", SYS_personality, {-1}},
    /* memory that could be executed, or is another's */
    {"mmap to execute", SYS_mmap, {0, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1}},
    {"mmap of a file", SYS_mmap, {0, 1, PROT_READ, MAP_PRIVATE, -1}},
    {"mprotect", SYS_mprotect, {1}},
    {"pkey_mprotect", SYS_pkey_mprotect, {1}},
    {"mremap to a place", SYS_mremap, {1, 0, 0, MREMAP_MAYMOVE | MREMAP_FIXED}},
    {"madvise", SYS_madvise, {1, 0, MADV_MERGEABLE}},
    {"shmget", SYS_shmget, {0, 0, 0}},
    /* the kernel's large surfaces */
    {"io_uring_setup", SYS_io_uring_setup, {0}},
    {"bpf", SYS_bpf, {-1}},
    {"userfaultfd", SYS_userfaultfd, {-1}},
    {"perf_event_open", SYS_perf_event_open, {0}},
    {"keyctl", SYS_keyctl, {-1}},
    {"init_module", SYS_init_module, {0}},
    {"timer_create", SYS_timer_create, {-1}},
    {"futex with priorities", SYS_futex, {1, FUTEX_CMP_REQUEUE_PI}},
#ifdef __x86_64__
    {"x32", 0x40000000L | SYS_getpid, {0}},
#endif
};
#define N_ATTEMPTS (sizeof(attempts) / sizeof(*attempts))

void sh_try_note(cJSON *list, const char *text)
{
    cJSON *item = cJSON_CreateString(text);
    sh_require(item != NULL && cJSON_AddItemToArray(list, item));
}

static bool holds(cJSON *verified, const char *name)
{
    sh_try_note(verified, name);
    return true;
}

/* --- the filter, in children ----------------------------------------------------------------- */

static volatile sig_atomic_t stopped;
static volatile int stopped_call;

static void on_stop(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    stopped = 1;
    stopped_call = info->si_syscall;
}

/* What has become of an attempt. */
enum { NOT_YET, UNDER_WAY, STOPPED, PASSED };

/* Make every call that has not been made yet. */
static _Noreturn void trap_child(const struct sh_filter *trapping, volatile unsigned char *seen)
{
    const struct sigaction act = {.sa_sigaction = on_stop, .sa_flags = SA_SIGINFO};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 ||
        sigaction(SIGSYS, &act, NULL) != 0 || !sh_filter_load(trapping))
        _exit(1);
    for (size_t i = 0; i < N_ATTEMPTS; i++) {
        const struct attempt *a = &attempts[i];
        if (seen[i] != NOT_YET)
            continue;
        stopped = 0;
        seen[i] = UNDER_WAY;
        syscall(a->call, a->args[0], a->args[1], a->args[2], a->args[3], a->args[4], a->args[5]);
        seen[i] = stopped && stopped_call == (int)a->call ? STOPPED : PASSED;
    }
    _exit(0);
}

/* One call is enough to be ended. No memory image of it is kept. */
static _Noreturn void kill_child(const struct sh_filter *f)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 ||
        !sh_filter_load(f))
        _exit(1);
    syscall(SYS_openat, AT_FDCWD, NULL, O_RDONLY);
    _exit(2);
}

static bool wait_for(pid_t pid, int *status)
{
    pid_t got;
    while ((got = waitpid(pid, status, 0)) < 0 && errno == EINTR)
        ;
    return got == pid;
}

/* The call that ended the child, if one did. A filter from outside (of a service manager, say) may
 * be stricter than ours and end a process for it, which is as good. */
static bool take_ended(int status, unsigned char *seen)
{
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
        return false;
    for (size_t i = 0; i < N_ATTEMPTS; i++)
        if (seen[i] == UNDER_WAY) {
            seen[i] = STOPPED;
            return true;
        }
    return false;
}

static bool judge_traps(int status, const unsigned char *seen, cJSON *verified,
                        struct sh_error *err)
{
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return sh_error_set(err, SH_ESYS, "the trial of the filter of system calls %s %d",
                            WIFEXITED(status) ? "ended with" : "was ended by signal",
                            WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    for (size_t i = 0; i < N_ATTEMPTS; i++)
        if (seen[i] == STOPPED)
            sh_try_note(verified, attempts[i].name);
        else
            return sh_error_set(err, SH_ESYS, "the filter of system calls let pass: %s",
                                attempts[i].name);
    return true;
}

static bool judge_kill(int status, cJSON *verified, struct sh_error *err)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        return holds(verified, "ended by the filter");
    return sh_error_set(err, SH_ESYS,
                        "the filter of system calls did not end a process that opened a file "
                        "(wait status 0x%x)",
                        (unsigned)status);
}

/* Start a child, with seen to try the calls, without to be ended. -1: errno. */
static pid_t start_child(const struct sh_filter *f, unsigned char *seen)
{
    pid_t pid = fork();
    if (pid == 0 && seen)
        trap_child(f, seen);
    if (pid == 0)
        kill_child(f);
    return pid;
}

static bool no_trial(struct sh_error *err)
{
    return sh_error_set(err, SH_ESYS, "cannot try the filter of system calls: %s", strerror(errno));
}

/* seen is memory that is shared with the children. */
static bool run_children(const struct sh_filter *f, unsigned char *seen, cJSON *verified,
                         struct sh_error *err)
{
    struct sh_filter trapping = sh_filter_trapping(f);
    int status = 0, kill_status = 0;
    pid_t kill_pid = start_child(f, NULL);
    bool ok = kill_pid > 0;
    do {
        pid_t pid = ok ? start_child(&trapping, seen) : -1;
        ok = pid > 0 && wait_for(pid, &status);
    } while (ok && take_ended(status, seen));
    if (!ok)
        no_trial(err);
    if (kill_pid > 0 && !wait_for(kill_pid, &kill_status) && ok)
        ok = no_trial(err);
    sh_filter_free(&trapping);
    return ok && judge_traps(status, seen, verified, err) && judge_kill(kill_status, verified, err);
}

bool sh_try_filter(const struct sh_filter *f, cJSON *verified, struct sh_error *err)
{
    unsigned char *seen =
        mmap(NULL, N_ATTEMPTS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (seen == MAP_FAILED)
        return no_trial(err);
    bool ok = run_children(f, seen, verified, err);
    munmap(seen, N_ATTEMPTS);
    return ok;
}

/* --- in the process itself ------------------------------------------------------------------- */

/* Was it refused, with this error? rc and errno are the call's. */
static bool refused(long rc, int expected, const char *name, cJSON *verified, struct sh_error *err)
{
    if (rc < 0 && errno == expected)
        return holds(verified, name);
    return sh_error_set(err, SH_ESYS, "%s should have failed with \"%s\", but %s%s", name,
                        strerror(expected), rc < 0 ? "was: " : "succeeded",
                        rc < 0 ? strerror(errno) : "");
}

static bool try_files(cJSON *verified, struct sh_error *err)
{
    static const char folder[] = "switchhook-must-not-exist";
    if (!refused(open("/", O_RDONLY | O_CLOEXEC), EACCES, "landlock: open", verified, err) ||
        !refused(open("/proc/self/environ", O_RDONLY | O_CLOEXEC), EACCES, "landlock: environ",
                 verified, err))
        return false;
    int rc = mkdir(folder, 0700);
    if (rc == 0)
        (void)rmdir(folder);
    if (rc < 0 && (errno == EROFS || errno == ENOENT)) /* no place to make one in the first place */
        return true;
    return refused(rc, EACCES, "landlock: mkdir", verified, err);
}

static bool try_tcp(cJSON *verified, struct sh_error *err)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true; /* nothing to refuse: no internet protocol here */
    to.sin_port = htons(9);
    bool ok = refused(connect(fd, (struct sockaddr *)&to, sizeof(to)), EACCES, "landlock: connect",
                      verified, err) &&
              refused(bind(fd, (struct sockaddr *)&to, sizeof(to)), EACCES, "landlock: bind",
                      verified, err);
    close(fd);
    return ok;
}

/* The parent is outside of the domain; signal 0 only asks whether one could be sent. */
static bool try_parent(int version, cJSON *verified, struct sh_error *err)
{
    char byte;
    const struct iovec mine = {&byte, 1}, theirs = {NULL, 1};
    if (!refused(process_vm_readv(getppid(), &mine, 1, &theirs, 1, 0), EPERM,
                 "landlock: process_vm_readv", verified, err))
        return false;
    return version < 6 || refused(kill(getppid(), 0), EPERM, "landlock: kill", verified, err);
}

bool sh_try_landlock(int version, cJSON *verified, struct sh_error *err)
{
    return try_files(verified, err) && (version < 4 || try_tcp(verified, err)) &&
           try_parent(version, verified, err);
}

bool sh_try_limits(uint64_t address_space, cJSON *verified, struct sh_error *err)
{
    if (!refused(dup(STDERR_FILENO), EMFILE, "limits: descriptors", verified, err))
        return false;
    if (!address_space)
        return true;
    void *p = mmap(NULL, (size_t)address_space, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    bool ok = refused(p == MAP_FAILED ? -1 : 0, ENOMEM, "limits: address space", verified, err);
    if (p != MAP_FAILED)
        munmap(p, (size_t)address_space);
    return ok;
}

bool sh_try_filtered(cJSON *verified, struct sh_error *err)
{
    return refused(syscall(SYS_getppid), SH_FILTER_SAYS, "filter of this process", verified, err);
}
