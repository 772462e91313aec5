/* SPDX-License-Identifier: MIT
 * test_lockup_layers.c: each layer of the lock-up by itself, kernels that lack one, and kernels
 * that say they have one and do not. */
#include "lockup_kit.h"

#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#define FOLDER "/tmp/switchhook-lockup-XXXXXX"

static char folder[sizeof(FOLDER)];
static struct sockaddr_un abstract_name;
static socklen_t abstract_len;
static struct sockaddr_in listening;

/* --- Landlock alone -------------------------------------------------------------------------- */

/* What the call that is asked for says: 0 or its errno. */
enum {
    OPEN,
    READ_FOLDER,
    CREATE,
    MKDIR,
    UNLINK,
    RENAME,
    SYMLINK,
    MAKE_SOCKET,
    MAKE_FIFO,
    EXECUTE,
    TRUNCATE,
    CONNECT,
    BIND,
    ABSTRACT,
    SIGNAL_PARENT,
    READ_PARENT,
    PTRACE_PARENT,
    N_DEEDS
};

static const char *const deed_names[N_DEEDS] = {"open",
                                                "read a folder",
                                                "create",
                                                "mkdir",
                                                "unlink",
                                                "rename",
                                                "symlink",
                                                "make a socket",
                                                "mkfifo",
                                                "execute",
                                                "truncate",
                                                "connect",
                                                "bind",
                                                "abstract",
                                                "signal the parent",
                                                "read the parent",
                                                "ptrace the parent"};

static const char *in_folder(const char *name)
{
    static char path[100];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static long make_socket(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof(name.sun_path), "%s", in_folder("socket"));
    return bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&name, sizeof(name));
}

static long rename_there(void)
{
    char from[100];
    snprintf(from, sizeof(from), "%s", in_folder("kept"));
    return rename(from, in_folder("renamed"));
}

static long bind_anywhere(void)
{
    const struct sockaddr_in any = {.sin_family = AF_INET};
    return bind(socket(AF_INET, SOCK_STREAM, 0), (const struct sockaddr *)&any, sizeof(any));
}

static long connect_to(int family, const void *name, socklen_t len)
{
    return connect(socket(family, SOCK_STREAM, 0), name, len);
}

static long read_parent(void)
{
    char here;
    const struct iovec mine = {&here, 1}, theirs = {folder, 1};
    return process_vm_readv(getppid(), &mine, 1, &theirs, 1, 0) == 1 ? 0 : -1;
}

static long do_deed(int what)
{
    char *const argv[] = {(char[]){"true"}, NULL};
    switch (what) {
    case OPEN:
        return open(in_folder("kept"), O_RDONLY);
    case READ_FOLDER:
        return open(folder, O_RDONLY | O_DIRECTORY);
    case CREATE:
        return open(in_folder("new"), O_CREAT | O_WRONLY, 0600);
    case MKDIR:
        return mkdir(in_folder("newdir"), 0700);
    case UNLINK:
        return unlink(in_folder("kept"));
    case RENAME:
        return rename_there();
    case SYMLINK:
        return symlink("/etc/passwd", in_folder("link"));
    case MAKE_SOCKET:
        return make_socket();
    case MAKE_FIFO:
        return mkfifo(in_folder("fifo"), 0600);
    case EXECUTE:
        return execv("/bin/true", argv);
    case TRUNCATE:
        return truncate(in_folder("kept"), 0);
    case CONNECT:
        return connect_to(AF_INET, &listening, sizeof(listening));
    case BIND:
        return bind_anywhere();
    case ABSTRACT:
        return connect_to(AF_UNIX, &abstract_name, abstract_len);
    case SIGNAL_PARENT:
        return kill(getppid(), 0);
    case READ_PARENT:
        return read_parent();
    default:
        return ptrace(PTRACE_SEIZE, getppid(), NULL, NULL);
    }
}

/* A folder with the file "kept", and everything else gone. */
static void fresh_folder(void)
{
    static const char *const made[] = {"new", "renamed", "link", "socket", "fifo"};
    for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++)
        unlink(in_folder(made[i]));
    rmdir(in_folder("newdir"));
    int fd = open(in_folder("kept"), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_true(fd >= 0 && write(fd, "x", 1) == 1);
    close(fd);
}

/* errno of the deed in a process in this version of Landlock (0: in none); 0: it could be done. */
static int errno_of(int what, int version)
{
    int status;
    fresh_folder();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        kit_plain_signals();
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || (version && !sh_landlock_enter(version)))
            _exit(254);
        _exit(do_deed(what) < 0 ? errno : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), 254);
    return WEXITSTATUS(status);
}

static int expected(int what, int version)
{
    switch (what) {
    case TRUNCATE:
        return version >= 3 ? EACCES : 0;
    case CONNECT:
    case BIND:
        return version >= 4 ? EACCES : 0;
    case ABSTRACT:
    case SIGNAL_PARENT:
        return version >= 6 ? EPERM : 0;
    case READ_PARENT:
    case PTRACE_PARENT:
        return EPERM;
    default:
        return EACCES;
    }
}

static void need_landlock(int version)
{
    if (sh_landlock_version() >= version)
        return;
    print_message("this kernel's Landlock has version %d\n", sh_landlock_version());
    skip();
}

static void test_landlock_refuses_what_its_version_can(void **state)
{
    (void)state;
    need_landlock(1);
    const int has = sh_landlock_version();
    for (int version = 1; version <= has && version <= SH_LANDLOCK_KNOWN + 1; version++)
        for (int what = 0; what < N_DEEDS; what++) {
            int got = errno_of(what, version);
            if (got != expected(what, version))
                fail_msg("version %d, %s: %s, expected %s", version, deed_names[what],
                         strerror(got), strerror(expected(what, version)));
        }
}

/* The same things can all be done outside: or the test above would prove nothing. */
static void test_without_landlock_all_of_it_works(void **state)
{
    (void)state;
    for (int what = 0; what < N_DEEDS; what++) {
        int got = errno_of(what, 0);
        bool by_yama = got == EPERM && (what == READ_PARENT || what == PTRACE_PARENT) && getuid();
        if (got && !by_yama)
            fail_msg("%s: %s", deed_names[what], strerror(got));
    }
}

/* --- limits and rights alone ----------------------------------------------------------------- */

static struct sh_lockup_config bare(void)
{
    struct sh_lockup_config c = sh_lockup_everything(KIT_SOCKET);
    c.seccomp = false;
    c.landlock = 0;
    return c;
}

static int check_limits(long memory)
{
    static const int zero[] = {RLIMIT_CORE, RLIMIT_NPROC, RLIMIT_FSIZE, RLIMIT_MEMLOCK,
                               RLIMIT_MSGQUEUE};
    struct rlimit r;
    for (size_t i = 0; i < sizeof(zero) / sizeof(*zero); i++)
        if (getrlimit((__rlimit_resource_t)zero[i], &r) != 0 || r.rlim_cur || r.rlim_max)
            return 1 + (int)i;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur != 1 || r.rlim_max != 1)
        return 20;
    if (memory && (malloc((size_t)5 << 30) || errno != ENOMEM))
        return 21;
    return 0;
}

/* For good: root is no exception, having no capability left. */
static int raise_limits(long unused)
{
    (void)unused;
    const struct rlimit more = {100, 100};
    if (setrlimit(RLIMIT_NOFILE, &more) != -1 || errno != EPERM)
        return 1;
    return setrlimit(RLIMIT_CORE, &more) != -1 || errno != EPERM ? 2 : 0;
}

static int open_anything(long unused)
{
    (void)unused;
    int pair[2];
    if (open("/etc/passwd", O_RDONLY) != -1 || errno != EMFILE)
        return 1;
    if (socket(AF_INET, SOCK_STREAM, 0) != -1 || errno != EMFILE)
        return 2;
    if (dup(KIT_SOCKET) != -1 || errno != EMFILE)
        return 3;
    return pipe(pair) != -1 || errno != EMFILE ? 4 : 0;
}

static int become_nobody(long unused)
{
    (void)unused;
    return getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0);
}

static int start_process(long unused)
{
    (void)unused;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid != -1 || errno != EAGAIN;
}

static int log_to_file(long unused)
{
    (void)unused;
    signal(SIGXFSZ, SIG_IGN);
    return dup2(open(in_folder("log"), O_CREAT | O_WRONLY, 0600), STDERR_FILENO) < 0;
}

static int grow_file(long unused)
{
    (void)unused;
    return write(STDERR_FILENO, "x", 1) != -1 || errno != EFBIG;
}

static int crash(long unused)
{
    (void)unused;
    return raise(SIGSEGV);
}

static int want_core(long unused)
{
    (void)unused;
    const struct rlimit most = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_CORE, &most);
    return 0;
}

static void test_limits(void **state)
{
    (void)state;
    const struct sh_lockup_config c = bare();
    static const struct {
        const char *name;
        kit_fn *before, *fn;
    } cases[] = {
        {"limits", NULL, check_limits},           {"raised again", NULL, raise_limits},
        {"new descriptors", NULL, open_anything}, {"new processes", become_nobody, start_process},
        {"file size", log_to_file, grow_file},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct outcome o = kit_run(&c, cases[i].before, cases[i].fn, c.memory);
        if (o.status != 0)
            fail_msg("%s: wait status 0x%x %s", cases[i].name, (unsigned)o.status, o.error);
    }
    struct outcome o = kit_run(&c, want_core, crash, 0);
    assert_true(kit_died_by(&o, SIGSEGV));
    assert_false(WCOREDUMP(o.status));
}

static int regain_rights(long unused)
{
    (void)unused;
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2] = {{0}};
    if (syscall(SYS_capget, &head, caps) != 0 || caps[0].permitted || caps[1].permitted ||
        caps[0].effective || caps[0].inheritable)
        return 1;
    caps[0].permitted = caps[0].effective = 1U << CAP_SYS_ADMIN;
    if (syscall(SYS_capset, &head, caps) != -1 || errno != EPERM)
        return 2;
    if (prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) != -1)
        return 3;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 4;
}

static void test_rights_are_gone_for_good(void **state)
{
    (void)state;
    const struct sh_lockup_config c = bare();
    struct outcome o = kit_run(&c, NULL, regain_rights, 0);
    assert_int_equal(kit_exit(&o), 0);
}

/* --- descriptors ----------------------------------------------------------------------------- */

#define FAR_FD 3000

/* What an engine may have open: files, sockets, pipes, near and far. */
static int open_many(long unused)
{
    (void)unused;
    const struct rlimit many = {4096, 4096};
    if (setrlimit(RLIMIT_NOFILE, &many) != 0)
        return 1;
    for (int i = 0; i < 30; i++)
        if (open("/etc/passwd", O_RDONLY) < 0 || socket(AF_INET, SOCK_STREAM, 0) < 0)
            return 2;
    return dup2(open("/", O_RDONLY | O_DIRECTORY), FAR_FD) < 0;
}

static int check_descriptors(long unused)
{
    (void)unused;
    char c;
    for (int fd = 4; fd < 4096; fd++)
        if (fcntl(fd, F_GETFD) != -1 || errno != EBADF)
            return 1;
    if (read(STDIN_FILENO, &c, 1) != 0)
        return 2;
    if (write(STDOUT_FILENO, "x", 1) != -1 || errno != EBADF)
        return 3;
    return fcntl(STDERR_FILENO, F_GETFD) < 0 ? 4 : 0;
}

static int close_standard(long unused)
{
    (void)unused;
    return close(0) || close(1) || close(2) || open_many(0);
}

static void test_only_the_socket_and_the_log_stay(void **state)
{
    (void)state;
    const struct sh_lockup_config c = bare();
    struct outcome o = kit_run(&c, open_many, check_descriptors, 0);
    if (o.status != 0)
        fail_msg("wait status 0x%x %s", (unsigned)o.status, o.error);
    o = kit_run(&c, close_standard, check_descriptors, 0);
    if (o.status != 0)
        fail_msg("without standard streams: wait status 0x%x %s", (unsigned)o.status, o.error);
}

/* --- kernels that lack something ------------------------------------------------------------- */

static int no_landlock(long error)
{
    return kit_fake(SYS_landlock_create_ruleset, (int)error, -1);
}

static int no_seccomp(long error)
{
    return kit_fake(SYS_seccomp, (int)error, SECCOMP_GET_ACTION_AVAIL);
}

static int no_close_range(long error)
{
    return open_many(0) || kit_fake(SYS_close_range, (int)error, -1);
}

static void lacking(const struct sh_lockup_config *c, kit_fn *before, long error, const char *text)
{
    struct outcome o = kit_run(c, before, NULL, error);
    if (!strstr(o.report, text))
        fail_msg("expected %s in the report: %s%s", text, o.report, o.error);
    assert_int_equal(o.status, 0);
}

static void test_what_the_kernel_lacks_is_said(void **state)
{
    (void)state;
    struct sh_lockup_config c = bare();
    c.landlock = INT32_MAX;
    lacking(&c, no_landlock, ENOSYS,
            "\"landlock: this kernel has none (Linux 5.13 is the first to have it)\"");
    lacking(&c, no_landlock, EOPNOTSUPP, "\"landlock: switched off when this kernel was started");
    lacking(&c, no_landlock, EPERM, "\"landlock: not allowed here\"");
    lacking(&c, no_landlock, ENOSYS, "\"landlock\":0");
    c = bare();
    c.seccomp = true;
    lacking(&c, no_seccomp, ENOSYS, "\"seccomp: this kernel has no filters");
    lacking(&c, no_seccomp, EINVAL, "\"seccomp\":false");
    need_landlock(2);
    c = bare();
    c.landlock = 2;
    lacking(&c, NULL, 0,
            "\"landlock: version 2 of this kernel does not cover file truncation, TCP, device "
            "controls, signals and abstract sockets\"");
    lacking(&c, NULL, 0, "\"landlock\":2");
}

/* Without close_range() each descriptor is closed by itself. */
static void test_an_old_kernel_without_close_range(void **state)
{
    (void)state;
    const struct sh_lockup_config c = bare();
    struct outcome o = kit_run(&c, no_close_range, check_descriptors, ENOSYS);
    if (o.status != 0)
        fail_msg("wait status 0x%x %s", (unsigned)o.status, o.error);
}

/* --- kernels that say yes and do nothing ----------------------------------------------------- */

static int false_landlock(long unused)
{
    (void)unused;
    return kit_fake(SYS_landlock_restrict_self, 0, -1);
}

static int false_limits(long unused)
{
    (void)unused;
    return kit_fake(SYS_prlimit64, 0, -1);
}

static int false_capset(long unused)
{
    (void)unused;
    return kit_fake(SYS_capset, 0, -1);
}

static int false_close(long unused)
{
    (void)unused;
    return open_many(0) || kit_fake(SYS_close_range, 0, -1);
}

static int false_prctl(long unused)
{
    (void)unused;
    return kit_fake(SYS_prctl, 0, PR_GET_NO_NEW_PRIVS);
}

static int no_fork(long unused)
{
    (void)unused;
    return kit_fake(SYS_clone, EAGAIN, -1);
}

static void lying(const struct sh_lockup_config *c, kit_fn *before, const char *text)
{
    struct outcome o = kit_run(c, before, NULL, 0);
    if (!strstr(o.error, text) || o.report[0])
        fail_msg("expected the lock-up to fail with \"%s\": %s%s", text, o.error, o.report);
    assert_int_equal(o.status, 0);
}

static void test_what_does_not_hold_is_found(void **state)
{
    (void)state;
    struct sh_lockup_config c = bare();
    lying(&c, false_close, "is still open");
    lying(&c, false_limits, "cannot set the limit of memory images");
    lying(&c, false_prctl, "cannot set no_new_privs");
    if (getuid() == 0)
        lying(&c, false_capset, "cannot drop capabilities");
    c.seccomp = true;
    lying(&c, no_fork, "cannot try the filter of system calls: Resource temporarily unavailable");
    need_landlock(1);
    c = bare();
    c.landlock = INT32_MAX;
    lying(&c, false_landlock,
          "landlock: open should have failed with \"Permission denied\", but succeeded");
}

/* --- a filter that does not hold ------------------------------------------------------------- */

static bool trial(const struct sh_filter *f, struct sh_error *err)
{
    cJSON *verified = cJSON_CreateArray();
    bool ok = sh_try_filter(f, verified, err);
    cJSON_Delete(verified);
    return ok;
}

/* The filter with one more call allowed, in front of everything. */
static struct sh_filter with_hole(const struct sh_filter *f, unsigned call)
{
    const struct sock_filter hole[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sh_filter h = {.code = sh_alloc(f->n + 3U, sizeof(*h.code)),
                          .n = (unsigned short)(f->n + 3U)};
    memcpy(h.code, hole, sizeof(hole));
    memcpy(h.code + 3, f->code, f->n * sizeof(*f->code));
    return h;
}

static void trials(void)
{
    struct sh_filter f, h;
    struct sh_error err;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !sh_filter_build(&f, KIT_SOCKET, &err) ||
        !trial(&f, &err))
        _exit(1);
    h = with_hole(&f, SYS_keyctl);
    if (trial(&h, &err) || !strstr(err.msg, "let pass: keyctl"))
        _exit(2);
    for (size_t i = 0; i < f.n; i++) /* one that refuses politely */
        if (f.code[i].k == SECCOMP_RET_KILL_PROCESS)
            f.code[i].k = SECCOMP_RET_ERRNO | EPERM;
    if (trial(&f, &err) || !strstr(err.msg, "let pass: openat"))
        _exit(3);
    _exit(0);
}

static void test_a_hole_in_the_filter_is_found(void **state)
{
    (void)state;
#ifdef SH_SANITIZED
    skip();
#endif
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        trials();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* As of a service manager that ends a process for some calls. */
static int stricter_outside(long unused)
{
    (void)unused;
    static const int calls[] = {SYS_keyctl, SYS_bpf, SYS_mount, SYS_openat2, SYS_io_uring_setup};
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    int rc = 0;
    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls) && !rc; i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, calls[i], 0);
    rc = rc ? rc : seccomp_load(ctx);
    seccomp_release(ctx);
    return rc;
}

/* As of a container that answers with errors. */
static int errors_outside(long unused)
{
    (void)unused;
    return kit_fake(SYS_keyctl, EPERM, -1) || kit_fake(SYS_bpf, EPERM, -1) ||
           kit_fake(SYS_unshare, EPERM, -1);
}

static void test_a_filter_outside_is_no_hindrance(void **state)
{
    (void)state;
#ifdef SH_SANITIZED
    skip();
#endif
    const struct sh_lockup_config all = sh_lockup_everything(KIT_SOCKET);
    struct outcome o = kit_run(&all, stricter_outside, NULL, 0);
    assert_int_equal(o.status, 0);
    assert_string_equal(o.error, "");
    assert_non_null(strstr(o.report, "\"keyctl\""));
    assert_non_null(strstr(o.report, "\"timer_create\"")); /* those after it as well */
    o = kit_run(&all, errors_outside, NULL, 0);
    assert_int_equal(o.status, 0);
    assert_string_equal(o.error, "");
}

/* --- set up ---------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    memcpy(folder, FOLDER, sizeof(FOLDER));
    if (!mkdtemp(folder))
        return 1;
    abstract_name = (struct sockaddr_un){.sun_family = AF_UNIX};
    abstract_len = sizeof(abstract_name);
    int local = socket(AF_UNIX, SOCK_STREAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);
    listening = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(listening);
    return bind(local, (struct sockaddr *)&abstract_name, sizeof(sa_family_t)) != 0 ||
           getsockname(local, (struct sockaddr *)&abstract_name, &abstract_len) != 0 ||
           listen(local, 64) != 0 ||
           bind(tcp, (struct sockaddr *)&listening, sizeof(listening)) != 0 ||
           listen(tcp, 64) != 0 || getsockname(tcp, (struct sockaddr *)&listening, &len) != 0;
}

static int tear_down(void **state)
{
    (void)state;
    fresh_folder();
    unlink(in_folder("log"));
    unlink(in_folder("kept"));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_landlock_refuses_what_its_version_can),
        cmocka_unit_test(test_without_landlock_all_of_it_works),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_rights_are_gone_for_good),
        cmocka_unit_test(test_only_the_socket_and_the_log_stay),
        cmocka_unit_test(test_what_the_kernel_lacks_is_said),
        cmocka_unit_test(test_an_old_kernel_without_close_range),
        cmocka_unit_test(test_what_does_not_hold_is_found),
        cmocka_unit_test(test_a_hole_in_the_filter_is_found),
        cmocka_unit_test(test_a_filter_outside_is_no_hindrance),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
