/* SPDX-License-Identifier: MIT
 * lockup_filter.c: the allow-list of system calls, made into a program by libseccomp. */
#include "svc/lockup_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARG_IS(n, value)                                                                           \
    {                                                                                              \
        .arg = (n), .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)(value)                            \
    }
#define ARG_BITS(n, mask, value)                                                                   \
    {                                                                                              \
        .arg = (n), .op = SCMP_CMP_MASKED_EQ, .datum_a = (mask), .datum_b = (value)                \
    }
#define FUTEX_COMMAND 0x7f /* without the flags "private" and "clock" */

static bool allow(scmp_filter_ctx ctx, int call, unsigned n, const struct scmp_arg_cmp *args)
{
    return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, call, n, args) == 0;
}

/* Calls that can do nothing but what they are here for. */
static bool allow_plain(scmp_filter_ctx ctx)
{
    static const int calls[] = {
        SCMP_SYS(clock_gettime), /* of the CPU budget; other clocks where there is no vDSO */
        SCMP_SYS(gettimeofday),
        SCMP_SYS(poll),
        SCMP_SYS(ppoll), /* poll() on processors that have no poll */
        SCMP_SYS(brk),
        SCMP_SYS(munmap),
        SCMP_SYS(rt_sigreturn), /* the budget's timer ticks by a signal */
        SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(restart_syscall),
        SCMP_SYS(exit),
        SCMP_SYS(exit_group),
    };
    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
        if (!allow(ctx, calls[i], 0, NULL))
            return false;
    return true;
}

/* recv() and send() on the socket alone, to its peer alone; the log on descriptor 2. */
static bool allow_streams(scmp_filter_ctx ctx, int socket)
{
    const struct scmp_arg_cmp in[] = {ARG_IS(0, socket)};
    const struct scmp_arg_cmp out[] = {ARG_IS(0, socket), ARG_IS(4, 0)};
    const struct scmp_arg_cmp log[] = {ARG_IS(0, STDERR_FILENO)};
    return allow(ctx, SCMP_SYS(recvfrom), 1, in) && allow(ctx, SCMP_SYS(sendto), 2, out) &&
           allow(ctx, SCMP_SYS(write), 1, log);
}

/* What malloc() and free() do: anonymous memory, never executable, and giving it back. */
static bool allow_memory(scmp_filter_ctx ctx)
{
    const struct scmp_arg_cmp map[] = {ARG_BITS(2, PROT_EXEC, 0),
                                       ARG_BITS(3, MAP_ANONYMOUS, MAP_ANONYMOUS)};
    const struct scmp_arg_cmp move[] = {ARG_IS(3, MREMAP_MAYMOVE)};
    const struct scmp_arg_cmp drop[] = {ARG_IS(2, MADV_DONTNEED)};
    return allow(ctx, SCMP_SYS(mmap), 2, map) && allow(ctx, SCMP_SYS(mremap), 1, move) &&
           allow(ctx, SCMP_SYS(madvise), 1, drop);
}

/* Waiting and waking; not the operations with priorities and requeues, where kernels have had
 * their holes. */
static bool allow_futex(scmp_filter_ctx ctx)
{
    static const unsigned ops[] = {FUTEX_WAIT, FUTEX_WAKE, FUTEX_WAIT_BITSET};
    for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
        const struct scmp_arg_cmp op[] = {ARG_BITS(1, FUTEX_COMMAND, ops[i])};
        if (!allow(ctx, SCMP_SYS(futex), 1, op))
            return false;
    }
    return true;
}

static bool add_rules(scmp_filter_ctx ctx, int socket)
{
    /* Another processor's way in (32-bit calls on 64 bits, x32) ends the process too. */
    return seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
           allow_plain(ctx) && allow_streams(ctx, socket) && allow_memory(ctx) &&
           allow_futex(ctx) &&
           seccomp_rule_add(ctx, SCMP_ACT_ERRNO(SH_FILTER_SAYS), SCMP_SYS(getppid), 0) == 0 &&
           /* each event is one of each, and the kernel has no cache for calls with conditions */
           seccomp_syscall_priority(ctx, SCMP_SYS(sendto), 255) == 0 &&
           seccomp_syscall_priority(ctx, SCMP_SYS(recvfrom), 254) == 0;
}

/* The program that libseccomp has made, through a pipe, which holds the longest there may be. */
static bool take_program(scmp_filter_ctx ctx, struct sh_filter *f)
{
    const size_t most = BPF_MAXINSNS * sizeof(*f->code);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return false;
    f->code = sh_alloc(BPF_MAXINSNS, sizeof(*f->code));
    ssize_t n = seccomp_export_bpf(ctx, ends[1]) == 0 ? read(ends[0], f->code, most) : -1;
    close(ends[0]);
    close(ends[1]);
    f->n = n > 0 ? (unsigned short)((size_t)n / sizeof(*f->code)) : 0;
    return f->n > 0;
}

bool sh_filter_build(struct sh_filter *f, int socket, struct sh_error *err)
{
    *f = (struct sh_filter){0};
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    bool ok = ctx && add_rules(ctx, socket) && take_program(ctx, f);
    if (ctx)
        seccomp_release(ctx);
    if (ok)
        return true;
    sh_filter_free(f);
    return sh_error_set(err, SH_ESYS, "libseccomp could not make the filter of system calls");
}

struct sh_filter sh_filter_trapping(const struct sh_filter *f)
{
    const size_t bytes = f->n * sizeof(*f->code);
    struct sh_filter t = {.code = sh_alloc(f->n, sizeof(*t.code)), .n = f->n};
    memcpy(t.code, f->code, bytes);
    for (size_t i = 0; i < t.n; i++)
        if (t.code[i].code == (BPF_RET | BPF_K) && t.code[i].k == SECCOMP_RET_KILL_PROCESS)
            t.code[i].k = SECCOMP_RET_TRAP;
    return t;
}

bool sh_filter_load(const struct sh_filter *f)
{
    struct sock_fprog program = {.len = f->n, .filter = f->code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

bool sh_filter_supported(void)
{
    const uint32_t action = SECCOMP_RET_KILL_PROCESS;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

void sh_filter_free(struct sh_filter *f)
{
    free(f->code);
    *f = (struct sh_filter){0};
}
