/* SPDX-License-Identifier: MIT
 * test_lockup.c: what native code can still do in a process that has locked itself up: nothing but
 * what allowed[] says. Every attempt is a system call of its own in a process
 * of its own. */
#include "lockup_kit.h"

#include <linux/futex.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

#ifdef SH_SANITIZED
#define NOT_SANITIZED()                                                                            \
    print_message("no filter in a build with a sanitizer\n");                                      \
    skip()
#else
#define NOT_SANITIZED() (void)0
#endif

/* --- each call ends the process ------------------------------------------------------------- */

static char memory[4096];

struct forbidden {
    const char *name;
    long call, a, b, c, d, e, f;
};

#define P(x) ((long)(x))

/* With arguments that would do the thing, were it not for the filter. The other process is this
 * one's parent, filled in where a says so. */
enum { PARENT = -4711 };
static const char passwd[] = "/etc/passwd", made[] = "/tmp/switchhook-lockup-made";
static char *const sh_argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, (char[]){"exit 0"}, NULL};
static const struct sockaddr_in loopback = {.sin_family = AF_INET};
static const uint64_t open_how[3] = {O_RDONLY};
static const uint64_t clone_args[11] = {[4] = SIGCHLD};
static const struct iovec one_byte = {memory, 1};
static char perf_attr[128], uring_params[120], bpf_attr[128], handle[64];
static int two[2];

static const struct forbidden forbidden[] = {
    {"open a file", SYS_openat, AT_FDCWD, P(passwd), O_RDONLY, 0, 0, 0},
    {"create a file", SYS_openat, AT_FDCWD, P(made), O_CREAT | O_WRONLY, 0600, 0, 0},
    {"openat2", SYS_openat2, AT_FDCWD, P(passwd), P(open_how), sizeof(open_how), 0, 0},
    {"open its environment", SYS_openat, AT_FDCWD, P("/proc/self/environ"), O_RDONLY, 0, 0, 0},
    {"stat", SYS_newfstatat, AT_FDCWD, P(passwd), P(memory), 0, 0, 0},
    {"readlink", SYS_readlinkat, AT_FDCWD, P("/proc/self/exe"), P(memory), 100, 0, 0},
    {"unlink", SYS_unlinkat, AT_FDCWD, P(made), 0, 0, 0, 0},
    {"mkdir", SYS_mkdirat, AT_FDCWD, P(made), 0700, 0, 0, 0},
    {"rename", SYS_renameat2, AT_FDCWD, P(made), AT_FDCWD, P(made), 0, 0},
    {"symlink", SYS_symlinkat, P(passwd), AT_FDCWD, P(made), 0, 0, 0},
    {"truncate", SYS_truncate, P(made), 0, 0, 0, 0, 0},
    {"chdir", SYS_chdir, P("/"), 0, 0, 0, 0, 0},
    {"chroot", SYS_chroot, P("/"), 0, 0, 0, 0, 0},
    {"mount", SYS_mount, P("none"), P("/mnt"), P("tmpfs"), 0, 0, 0},
    {"pivot_root", SYS_pivot_root, P("/"), P("/"), 0, 0, 0, 0},
    {"open_tree", 428, AT_FDCWD, P("/"), 0, 0, 0, 0},
    {"fsopen", 430, P("tmpfs"), 0, 0, 0, 0, 0},
    {"name_to_handle_at", SYS_name_to_handle_at, AT_FDCWD, P("/"), P(handle), P(two), 0, 0},
    {"open_by_handle_at", SYS_open_by_handle_at, AT_FDCWD, P(handle), 0, 0, 0, 0},
    {"memfd_create", SYS_memfd_create, P("x"), 0, 0, 0, 0, 0},
    {"inotify_init1", SYS_inotify_init1, 0, 0, 0, 0, 0, 0},
    {"fanotify_init", SYS_fanotify_init, 0, 0, 0, 0, 0, 0},
    {"socket", SYS_socket, AF_INET, SOCK_STREAM, 0, 0, 0, 0},
    {"socket of the kernel", SYS_socket, AF_NETLINK, SOCK_RAW, 0, 0, 0, 0},
    {"socketpair", SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, P(two), 0, 0},
    {"connect", SYS_connect, KIT_SOCKET, P(&loopback), sizeof(loopback), 0, 0, 0},
    {"bind", SYS_bind, KIT_SOCKET, P(&loopback), sizeof(loopback), 0, 0, 0},
    {"listen", SYS_listen, KIT_SOCKET, 1, 0, 0, 0, 0},
    {"setsockopt", SYS_setsockopt, KIT_SOCKET, SOL_SOCKET, SO_REUSEADDR, P(two), 4, 0},
    {"sendmsg", SYS_sendmsg, KIT_SOCKET, P(memory), 0, 0, 0, 0},
    {"recvmsg", SYS_recvmsg, KIT_SOCKET, P(memory), 0, 0, 0, 0},
    {"send to an address", SYS_sendto, KIT_SOCKET, P(memory), 1, 0, P(&loopback), sizeof(loopback)},
    {"send to the log", SYS_sendto, 2, P(memory), 1, 0, 0, 0},
    {"read the socket", SYS_read, KIT_SOCKET, P(memory), 1, 0, 0, 0},
    {"read standard input", SYS_read, 0, P(memory), 1, 0, 0, 0},
    {"read the log", SYS_read, 2, P(memory), 1, 0, 0, 0},
    {"write standard output", SYS_write, 1, P(memory), 1, 0, 0, 0},
    {"write the socket", SYS_write, KIT_SOCKET, P(memory), 1, 0, 0, 0},
    {"writev", SYS_writev, 2, P(&one_byte), 1, 0, 0, 0},
    {"pwrite64", SYS_pwrite64, 2, P(memory), 1, 0, 0, 0},
    {"lseek the log", SYS_lseek, 2, 0, SEEK_SET, 0, 0, 0},
    {"splice", SYS_splice, 0, 0, 1, 0, 1, 0},
    {"a terminal's input", SYS_ioctl, 0, TIOCSTI, P(memory), 0, 0, 0},
    {"fcntl", SYS_fcntl, KIT_SOCKET, F_GETFL, 0, 0, 0, 0},
    {"dup", SYS_dup, KIT_SOCKET, 0, 0, 0, 0, 0},
    {"dup3", SYS_dup3, KIT_SOCKET, 1, 0, 0, 0, 0},
    {"close", SYS_close, 0, 0, 0, 0, 0, 0},
    {"fork", SYS_clone, SIGCHLD, 0, 0, 0, 0, 0},
    {"thread", SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0, 0},
    {"clone3", SYS_clone3, P(clone_args), sizeof(clone_args), 0, 0, 0, 0},
    {"execve", SYS_execve, P("/bin/sh"), P(sh_argv), 0, 0, 0, 0},
    {"execveat", SYS_execveat, AT_FDCWD, P("/bin/sh"), P(sh_argv), 0, 0, 0},
    {"kill the parent", SYS_kill, PARENT, 0, 0, 0, 0, 0},
    {"kill everybody", SYS_kill, -1, 0, 0, 0, 0, 0},
    {"tgkill", SYS_tgkill, PARENT, PARENT, 0, 0, 0, 0},
    {"tkill", SYS_tkill, PARENT, 0, 0, 0, 0, 0},
    {"rt_sigqueueinfo", SYS_rt_sigqueueinfo, PARENT, SIGWINCH, P(memory), 0, 0, 0},
    {"pidfd_open", SYS_pidfd_open, PARENT, 0, 0, 0, 0, 0},
    {"pidfd_send_signal", SYS_pidfd_send_signal, 0, 0, 0, 0, 0, 0},
    {"pidfd_getfd", SYS_pidfd_getfd, 0, 0, 0, 0, 0, 0},
    {"handle a signal", SYS_rt_sigaction, SIGSYS, 0, P(memory), 8, 0, 0},
    {"ptrace itself", SYS_ptrace, PTRACE_TRACEME, 0, 0, 0, 0, 0},
    {"ptrace the parent", SYS_ptrace, PTRACE_SEIZE, PARENT, 0, 0, 0, 0},
    {"read the parent", SYS_process_vm_readv, PARENT, P(&one_byte), 1, P(&one_byte), 1, 0},
    {"write the parent", SYS_process_vm_writev, PARENT, P(&one_byte), 1, P(&one_byte), 1, 0},
    {"process_madvise", 440, 0, P(&one_byte), 1, MADV_COLD, 0, 0},
    {"kcmp", SYS_kcmp, PARENT, PARENT, 0, 0, 0, 0},
    {"unshare", SYS_unshare, CLONE_NEWUSER, 0, 0, 0, 0, 0},
    {"setns", SYS_setns, 0, 0, 0, 0, 0, 0},
    {"setuid", SYS_setuid, 0, 0, 0, 0, 0, 0},
    {"setgroups", SYS_setgroups, 0, 0, 0, 0, 0, 0},
    {"setsid", SYS_setsid, 0, 0, 0, 0, 0, 0},
    {"capset", SYS_capset, P(memory), P(memory), 0, 0, 0, 0},
    {"prctl: dumpable", SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0, 0},
    {"prctl: outlive the parent", SYS_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0, 0},
    {"prctl: another filter", SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0, 0},
    {"seccomp", SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, 0, 0, 0, 0},
    {"landlock", 444, 0, 0, 1, 0, 0, 0},
    {"personality", SYS_personality, 0x0400000 /* everything readable is executable */, 0, 0, 0, 0,
     0},
    {"prlimit64", SYS_prlimit64, PARENT, RLIMIT_CPU, P(memory), 0, 0, 0},
    {"setpriority", SYS_setpriority, 0, 0, 0, 0, 0, 0},
    {"sched_setaffinity", SYS_sched_setaffinity, 0, 8, P(memory), 0, 0, 0},
    {"mmap to execute", SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
     0},
    {"mmap of the log", SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE, 2, 0},
    {"mprotect to execute", SYS_mprotect, P(memory), 4096, PROT_READ | PROT_EXEC, 0, 0, 0},
    {"mprotect", SYS_mprotect, P(memory), 4096, PROT_READ, 0, 0, 0},
    {"pkey_mprotect", SYS_pkey_mprotect, P(memory), 4096, PROT_EXEC, -1, 0, 0},
    {"remap_file_pages", SYS_remap_file_pages, P(memory), 4096, 0, 0, 0, 0},
    {"mremap to a place", SYS_mremap, P(memory), 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED,
     P(memory), 0},
    {"madvise: share", SYS_madvise, P(memory), 4096, MADV_MERGEABLE, 0, 0, 0},
    {"madvise: poison", SYS_madvise, P(memory), 4096, MADV_HWPOISON, 0, 0, 0},
    {"mlockall", SYS_mlockall, MCL_CURRENT, 0, 0, 0, 0, 0},
    {"shmget", SYS_shmget, IPC_PRIVATE, 4096, 0600, 0, 0, 0},
    {"msgget", SYS_msgget, IPC_PRIVATE, 0600, 0, 0, 0, 0},
    {"mq_open", SYS_mq_open, P("x"), O_CREAT, 0600, 0, 0, 0},
    {"io_uring_setup", SYS_io_uring_setup, 1, P(uring_params), 0, 0, 0, 0},
    {"bpf", SYS_bpf, 0, P(bpf_attr), sizeof(bpf_attr), 0, 0, 0},
    {"userfaultfd", SYS_userfaultfd, 1, 0, 0, 0, 0, 0},
    {"perf_event_open", SYS_perf_event_open, P(perf_attr), 0, -1, -1, 0, 0},
    {"keyctl", SYS_keyctl, 0, -3, 0, 0, 0, 0},
    {"add_key", SYS_add_key, P("user"), P("x"), P("y"), 1, -3, 0},
    {"init_module", SYS_init_module, P(memory), 1, P(""), 0, 0, 0},
    {"kexec_load", SYS_kexec_load, 0, 0, 0, 0, 0, 0},
    {"reboot", SYS_reboot, 0, 0, 0, 0, 0, 0},
    {"syslog", SYS_syslog, 3, P(memory), 100, 0, 0, 0},
    {"sethostname", SYS_sethostname, P("x"), 1, 0, 0, 0, 0},
    {"clock_settime", SYS_clock_settime, 0, P(memory), 0, 0, 0, 0},
    {"uname", SYS_uname, P(memory), 0, 0, 0, 0, 0},
    {"getpid", SYS_getpid, 0, 0, 0, 0, 0, 0},
    {"getrandom", SYS_getrandom, P(memory), 1, 0, 0, 0, 0},
    {"nanosleep", SYS_nanosleep, P(memory), 0, 0, 0, 0, 0},
    {"timer_create", SYS_timer_create, 1, 0, P(two), 0, 0, 0},
    {"eventfd2", SYS_eventfd2, 0, 0, 0, 0, 0, 0},
    {"futex that requeues", SYS_futex, P(two), FUTEX_CMP_REQUEUE_PI, 1, 1, P(two), 0},
    {"futex with priorities", SYS_futex, P(two), FUTEX_LOCK_PI, 0, 0, 0, 0},
    {"no call at all", 100000, 0, 0, 0, 0, 0, 0},
    {"no call at all, negative", -1, 0, 0, 0, 0, 0, 0},
#ifdef __x86_64__
    {"open", SYS_open, P(passwd), O_RDONLY, 0, 0, 0, 0},
    {"fork of old", SYS_fork, 0, 0, 0, 0, 0, 0},
    {"vfork", SYS_vfork, 0, 0, 0, 0, 0, 0},
    {"arch_prctl", SYS_arch_prctl, 0x1003, P(memory), 0, 0, 0, 0},
    {"modify_ldt", SYS_modify_ldt, 0, P(memory), 8, 0, 0, 0},
    {"iopl", SYS_iopl, 3, 0, 0, 0, 0, 0},
    {"open by x32", 0x40000000 | SYS_open, P(passwd), O_RDONLY, 0, 0, 0, 0},
    {"poll by x32", 0x40000000 | SYS_poll, 0, 0, 0, 0, 0, 0},
#endif
};

static pid_t test_pid;

static int do_forbidden(long i)
{
    const struct forbidden *f = &forbidden[i];
    long a = f->a == PARENT ? test_pid : f->a, b = f->b == PARENT ? test_pid : f->b;
    syscall(f->call, a, b, f->c, f->d, f->e, f->f);
    syscall(SYS_exit_group, 55); /* also where the call has made a second process */
    return 55;
}

static void test_each_call_ends_the_process(void **state)
{
    (void)state;
    NOT_SANITIZED();
    const struct sh_lockup_config all = sh_lockup_everything(KIT_SOCKET);
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(*forbidden); i++) {
        struct outcome o = kit_run(&all, NULL, do_forbidden, (long)i);
        if (!kit_died_by(&o, SIGSYS))
            fail_msg("%s: wait status 0x%x, lock-up: %s", forbidden[i].name, (unsigned)o.status,
                     o.error);
    }
}

/* A 32-bit program's way in, with the number that is exit_group, getpid and open there. */
#ifdef __x86_64__
static int do_32_bit(long call)
{
    long rc = call;
    __asm__ volatile("int $0x80" : "+a"(rc) : "b"(passwd), "c"(0), "d"(0) : "memory");
    return 55;
}

static void test_32_bit_calls_end_the_process(void **state)
{
    (void)state;
    NOT_SANITIZED();
    const struct sh_lockup_config all = sh_lockup_everything(KIT_SOCKET);
    static const long calls[] = {5, 20, 252, 3, 4, 102, 11};
    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        struct outcome o = kit_run(&all, NULL, do_32_bit, calls[i]);
        /* SIGSEGV: a kernel without 32-bit calls has nothing at this door */
        if (!kit_died_by(&o, SIGSYS) && !kit_died_by(&o, SIGSEGV))
            fail_msg("int 0x80 with %ld: wait status 0x%x", calls[i], (unsigned)o.status);
    }
}
#endif

/* --- every number ---------------------------------------------------------------------------- */

#define LAST_CALL 1100

/* With any arguments whatever. */
static const long allowed[] = {
    SYS_clock_gettime, SYS_gettimeofday, SYS_ppoll,          SYS_brk,
    SYS_munmap,        SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_restart_syscall,
    SYS_exit,          SYS_exit_group,   SYS_getppid,
#ifdef SYS_poll
    SYS_poll,
#endif
};

static bool is_allowed(long call)
{
    for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++)
        if (allowed[i] == call)
            return true;
    return false;
}

/* The program alone, without the rest of the lock-up, for speed. */
static int status_of(const struct sh_filter *f, long call)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        kit_plain_signals();
        if (prctl(PR_SET_DUMPABLE, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
            !sh_filter_load(f))
            _exit(KIT_BROKEN);
        long rc = syscall(call, -1, -1, -1, -1, -1, -1);
        _exit(rc == -1 && errno == ENXIO ? 56 : 55);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* The kernel shows these two to no filter (from Linux 6.14): its own probes make them, and they do
 * nothing for anybody else. */
static bool is_of_a_probe(long call, int status)
{
#ifdef __x86_64__
    if (call == 335 || call == 336)
        return (WIFSIGNALED(status) && WTERMSIG(status) == SIGILL) ||
               (WIFEXITED(status) && WEXITSTATUS(status) == 56);
#endif
    return false;
}

static void test_every_number_that_is_not_on_the_list(void **state)
{
    (void)state;
    NOT_SANITIZED();
    struct sh_filter f;
    struct sh_error err;
    size_t tried = 0;
    assert_true(sh_filter_build(&f, KIT_SOCKET, &err));
    for (long call = 0; call <= LAST_CALL; call++) {
        if (is_allowed(call))
            continue;
        int status = status_of(&f, call);
        if ((!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS) && !is_of_a_probe(call, status))
            fail_msg("system call %ld was let pass: wait status 0x%x", call, (unsigned)status);
        tried++;
    }
    assert_int_equal(tried, LAST_CALL + 1 - sizeof(allowed) / sizeof(*allowed));
    sh_filter_free(&f);
}

/* --- what must go on working ----------------------------------------------------------------- */

static volatile sig_atomic_t ticks;

static void on_tick(int sig)
{
    (void)sig;
    ticks = ticks + 1;
}

static int start_timer(long unused)
{
    (void)unused;
    const struct itimerval every = {{0, 1000}, {0, 1000}};
    return signal(SIGVTALRM, on_tick) == SIG_ERR || setitimer(ITIMER_VIRTUAL, &every, NULL) != 0;
}

#define TOO_MUCH ((size_t)5 << 30) /* bytes, above the limit of address space */

static int do_memory(long unused)
{
    (void)unused;
    char *blocks[256] = {0};
    for (size_t round = 1; round <= 3; round++) {
        for (size_t i = 0; i < 256; i++) {
            blocks[i] = realloc(blocks[i], (i + 1) * round * 2000); /* 3: 196 MB in all */
            if (!blocks[i])
                return 1;
            memset(blocks[i], 7, (i + 1) * round * 2000);
        }
    }
    for (size_t i = 0; i < 256; i++)
        free(blocks[i]);
    if (malloc(TOO_MUCH) || errno != ENOMEM)
        return 2;
    errno = 0;
    return calloc(TOO_MUCH, 1) == NULL && errno == ENOMEM ? 0 : 3;
}

static int do_clocks(long unused)
{
    (void)unused;
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID,
                                       CLOCK_PROCESS_CPUTIME_ID, CLOCK_BOOTTIME};
    struct timespec ts;
    struct timeval tv;
    for (size_t i = 0; i < sizeof(clocks) / sizeof(*clocks); i++)
        if (clock_gettime(clocks[i], &ts) != 0 || syscall(SYS_clock_gettime, clocks[i], &ts) != 0)
            return 1;
    return gettimeofday(&tv, NULL) != 0 || syscall(SYS_gettimeofday, &tv, NULL) != 0;
}

static int do_ticks(long unused)
{
    (void)unused;
    while (ticks < 3)
        ;
    return 0;
}

static int do_stream(long unused)
{
    (void)unused;
    char c = 0;
    struct pollfd p = {.fd = KIT_SOCKET, .events = POLLIN | POLLOUT};
    if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT))
        return 1;
    if (recv(KIT_SOCKET, &c, 1, MSG_DONTWAIT) != -1 || errno != EAGAIN)
        return 2;
    if (send(KIT_SOCKET, " ", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
        return 3;
    return write(STDERR_FILENO, "", 0) != 0;
}

static int do_futex(long unused)
{
    (void)unused;
    unsigned word = 0;
    const struct timespec now = {0, 0};
    if (syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &now, NULL, 0) != -1 || errno != ETIMEDOUT)
        return 1;
    if (syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &now, NULL, 1) !=
            -1 ||
        errno != ETIMEDOUT)
        return 2;
    return syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0) != 0;
}

/* The filter says so itself, and nobody else does. */
static int do_ask(long unused)
{
    (void)unused;
    return syscall(SYS_getppid) != -1 || errno != SH_FILTER_SAYS;
}

static void test_what_must_work_works(void **state)
{
    (void)state;
    NOT_SANITIZED();
    static const struct {
        const char *name;
        kit_fn *before, *fn;
    } works[] = {
        {"memory", NULL, do_memory}, {"clocks", NULL, do_clocks}, {"timer", start_timer, do_ticks},
        {"stream", NULL, do_stream}, {"futex", NULL, do_futex},   {"getppid", NULL, do_ask},
    };
    const struct sh_lockup_config all = sh_lockup_everything(KIT_SOCKET);
    for (size_t i = 0; i < sizeof(works) / sizeof(*works); i++) {
        struct outcome o = kit_run(&all, works[i].before, works[i].fn, 0);
        if (o.status != 0)
            fail_msg("%s: wait status 0x%x %s", works[i].name, (unsigned)o.status, o.error);
    }
}

/* --- what it says of itself ------------------------------------------------------------------ */

static void test_the_report(void **state)
{
    (void)state;
    const struct sh_lockup_config all = sh_lockup_everything(KIT_SOCKET);
    struct outcome o = kit_run(&all, NULL, NULL, 0);
    assert_int_equal(o.status, 0);
    cJSON *report = cJSON_Parse(o.report);
    assert_non_null(report);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(report, "no_new_privs")));
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(report, "capabilities")));
    const bool whole = cJSON_GetArraySize(cJSON_GetObjectItem(report, "missing")) == 0;
    const int tried = cJSON_GetArraySize(cJSON_GetObjectItem(report, "verified"));
#ifdef SH_SANITIZED
    assert_false(whole);
    assert_non_null(strstr(o.report, "\"seccomp: built with a sanitizer\""));
    assert_non_null(strstr(o.report, "\"landlock: built with a sanitizer\""));
    assert_true(tried >= 4);
#else
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(report, "seccomp")));
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(report, "limits")));
    assert_int_equal(whole, sh_landlock_version() >= SH_LANDLOCK_KNOWN);
    assert_true(tried >= 60);
#endif
    cJSON_Delete(report);
}

/* A worker is started at every reload: the lock-up and all it tries may not take long. */
static void test_how_long_it_takes(void **state)
{
    (void)state;
    NOT_SANITIZED();
    const struct sh_lockup_config all = sh_lockup_everything(KIT_SOCKET);
    int best_us = INT32_MAX;
    for (int i = 0; i < 20; i++) {
        struct outcome o = kit_run(&all, NULL, NULL, 0);
        cJSON *report = cJSON_Parse(o.report);
        int us = cJSON_GetObjectItem(report, "took_us")->valueint;
        best_us = us < best_us ? us : best_us;
        cJSON_Delete(report);
    }
    print_message("the lock-up and its trial take %d us at best\n", best_us);
    assert_in_range(best_us, 1, 10000); /* about 1,800 on a machine of two busy cores */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_call_ends_the_process),
#ifdef __x86_64__
        cmocka_unit_test(test_32_bit_calls_end_the_process),
#endif
        cmocka_unit_test(test_every_number_that_is_not_on_the_list),
        cmocka_unit_test(test_what_must_work_works),
        cmocka_unit_test(test_the_report),
        cmocka_unit_test(test_how_long_it_takes),
    };
    test_pid = getpid();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
