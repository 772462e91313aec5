/* SPDX-License-Identifier: MIT
 * lockup.c: the layers in their order, and what is said of them. */
#include "svc/lockup.h"

#include "base/clock.h"
#include "svc/json.h"
#include "svc/lockup_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ADDRESS_SPACE (4ULL * 1024 * 1024 * 1024)
#define LOOK_AT       1024 /* descriptors that are looked at one by one */

struct lockup {
    struct sh_lockup_config config;
    struct sh_filter filter;
    int landlock; /* the version in use; 0: none */
    cJSON *report, *verified, *missing;
};

struct sh_lockup_config sh_lockup_everything(int socket)
{
#ifdef SH_SANITIZED
    return (struct sh_lockup_config){.socket = socket};
#else
    return (struct sh_lockup_config){
        .socket = socket, .landlock = INT32_MAX, .seccomp = true, .memory = true};
#endif
}

/* What is asked not to be used: as missing as what the kernel has not. */
static const char *why_unused(void)
{
#ifdef SH_SANITIZED
    return "built with a sanitizer";
#else
    return "not used";
#endif
}

static void lacks(struct lockup *l, const char *layer, const char *why)
{
    char *text = sh_strf("%s: %s", layer, why);
    sh_try_note(l->missing, text);
    free(text);
}

/* --- descriptors ----------------------------------------------------------------------------- */

/* 0 and 1 become the reading end of a pipe that nobody writes to: end of file for who reads,
 * refused to who writes; and no number below the socket's is free for anything else. */
static bool take_standard_streams(struct sh_error *err)
{
    int ends[2];
    bool has_log = fcntl(STDERR_FILENO, F_GETFD) >= 0;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return sh_error_set(err, SH_ESYS, "cannot replace standard input: %s", strerror(errno));
    bool ok = dup2(ends[0], STDIN_FILENO) >= 0 && dup2(ends[0], STDOUT_FILENO) >= 0 &&
              (has_log || dup2(ends[0], STDERR_FILENO) >= 0);
    for (int i = 0; i < 2; i++)
        if (ends[i] > STDERR_FILENO)
            close(ends[i]);
    return ok || sh_error_set(err, SH_ESYS, "cannot replace standard input and output: %s",
                              strerror(errno));
}

static void close_from(int first, int last)
{
    if (first > last || close_range((unsigned)first, (unsigned)last, 0) == 0)
        return;
    long most = sysconf(_SC_OPEN_MAX); /* a kernel before 5.9 */
    for (int fd = first; fd <= last && fd < (most > 0 ? most : LOOK_AT); fd++)
        close(fd);
}

static bool only_these_are_open(const struct lockup *l, struct sh_error *err)
{
    struct pollfd fds[LOOK_AT];
    struct rlimit limit;
    nfds_t n = LOOK_AT;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < n)
        n = limit.rlim_cur;
    for (nfds_t i = 0; i < n; i++)
        fds[i] = (struct pollfd){.fd = (int)i};
    if (poll(fds, n, 0) < 0)
        return sh_error_set(err, SH_ESYS, "cannot look at the descriptors: %s", strerror(errno));
    for (nfds_t i = STDERR_FILENO + 1; i < n; i++)
        if ((int)i != l->config.socket && !(fds[i].revents & POLLNVAL))
            return sh_error_set(err, SH_ESYS, "descriptor %d is still open", (int)i);
    sh_try_note(l->verified, "descriptors");
    return true;
}

static bool close_descriptors(struct lockup *l, struct sh_error *err)
{
    if (!take_standard_streams(err))
        return false;
    close_from(STDERR_FILENO + 1, l->config.socket - 1);
    close_from(l->config.socket + 1, INT32_MAX);
    return only_these_are_open(l, err);
}

/* --- rights ---------------------------------------------------------------------------------- */

static bool renounce_privileges(struct lockup *l, struct sh_error *err)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}}, now[2];
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return sh_error_set(err, SH_ESYS, "cannot set no_new_privs: %s", strerror(errno));
    sh_try_note(l->verified, "no_new_privs");
    if (syscall(SYS_capset, &head, none) != 0 || syscall(SYS_capget, &head, now) != 0 ||
        memcmp(now, none, sizeof(now)) != 0)
        return sh_error_set(err, SH_ESYS, "cannot drop capabilities: %s", strerror(errno));
    sh_try_note(l->verified, "capabilities");
    return true;
}

static bool enter_landlock(struct lockup *l, struct sh_error *err)
{
    const int has = l->config.landlock > 0 ? sh_landlock_version() : 0;
    const int version = has < l->config.landlock ? has : l->config.landlock;
    if (version <= 0) {
        lacks(l, "landlock",
              l->config.landlock <= 0 ? why_unused()
              : errno == ENOSYS       ? "this kernel has none (Linux 5.13 is the first to have it)"
              : errno == EOPNOTSUPP   ? "switched off when this kernel was started (lsm=)"
                                      : "not allowed here");
        return true;
    }
    if (!sh_landlock_enter(version))
        return sh_error_set(err, SH_ESYS, "cannot enter Landlock (version %d): %s", version,
                            strerror(errno));
    l->landlock = version;
    if (sh_landlock_lacks(version)) {
        char *text = sh_strf("version %d of this kernel does not cover %s", version,
                             sh_landlock_lacks(version));
        lacks(l, "landlock", text);
        free(text);
    }
    return sh_try_landlock(version, l->verified, err);
}

/* --- limits ---------------------------------------------------------------------------------- */

static bool limit(int what, rlim_t value, const char *name, struct sh_error *err)
{
    const struct rlimit want = {value, value};
    struct rlimit got;
    if (setrlimit((__rlimit_resource_t)what, &want) == 0 &&
        getrlimit((__rlimit_resource_t)what, &got) == 0 && got.rlim_cur == value &&
        got.rlim_max == value)
        return true;
    return sh_error_set(err, SH_ESYS, "cannot set the limit of %s: %s", name, strerror(errno));
}

static bool set_limits(struct lockup *l, struct sh_error *err)
{
    if (!limit(RLIMIT_CORE, 0, "memory images", err) || !limit(RLIMIT_NPROC, 0, "processes", err) ||
        !limit(RLIMIT_FSIZE, 0, "file size", err) ||
        !limit(RLIMIT_MSGQUEUE, 0, "message queues", err) ||
        !limit(RLIMIT_MEMLOCK, 0, "locked memory", err) ||
        !limit(RLIMIT_NOFILE, 1, "descriptors", err)) /* poll() asks for one; 0 is taken */
        return false;
    if (l->config.memory && !limit(RLIMIT_AS, ADDRESS_SPACE, "address space", err))
        return false;
    if (!l->config.memory)
        lacks(l, "limit of address space", why_unused());
    return sh_try_limits(l->config.memory ? ADDRESS_SPACE : 0, l->verified, err);
}

/* --- the filter ------------------------------------------------------------------------------ */

/* Made and tried before the limits, which allow no more processes. */
static bool prepare_filter(struct lockup *l, struct sh_error *err)
{
    if (!l->config.seccomp)
        lacks(l, "seccomp", why_unused());
    else if (!sh_filter_supported())
        lacks(l, "seccomp",
              "this kernel has no filters that end a process, or does not allow them");
    else
        return sh_filter_build(&l->filter, l->config.socket, err) &&
               sh_try_filter(&l->filter, l->verified, err);
    return true;
}

static bool load_filter(struct lockup *l, struct sh_error *err)
{
    if (!l->filter.code)
        return true;
    if (!sh_filter_load(&l->filter))
        return sh_error_set(err, SH_ESYS, "cannot load the filter of system calls: %s",
                            strerror(errno));
    return sh_try_filtered(l->verified, err);
}

/* --- all ------------------------------------------------------------------------------------- */

static void add(cJSON *report, const char *name, cJSON *value)
{
    sh_require(value != NULL && cJSON_AddItemToObject(report, name, value));
}

static cJSON *finish_report(struct lockup *l, int64_t since_us)
{
    add(l->report, "no_new_privs", cJSON_CreateTrue());
    add(l->report, "seccomp", cJSON_CreateBool(l->filter.code != NULL));
    add(l->report, "landlock", sh_json_int(l->landlock));
    add(l->report, "limits", cJSON_CreateBool(l->config.memory));
    add(l->report, "capabilities", cJSON_CreateTrue());
    add(l->report, "took_us", sh_json_int(sh_mono_us() - since_us));
    return l->report;
}

cJSON *sh_lockup(const struct sh_lockup_config *config, struct sh_error *err)
{
    const int64_t since_us = sh_mono_us();
    struct lockup l = {.config = *config,
                       .report = cJSON_CreateObject(),
                       .verified = cJSON_CreateArray(),
                       .missing = cJSON_CreateArray()};
    sh_require(l.report && config->socket > STDERR_FILENO);
    add(l.report, "verified", l.verified);
    add(l.report, "missing", l.missing);
    bool ok = close_descriptors(&l, err) && renounce_privileges(&l, err) &&
              prepare_filter(&l, err) && enter_landlock(&l, err) && set_limits(&l, err) &&
              load_filter(&l, err);
    cJSON *report = ok ? finish_report(&l, since_us) : NULL;
    if (!ok)
        cJSON_Delete(l.report);
    sh_filter_free(&l.filter);
    return report;
}
