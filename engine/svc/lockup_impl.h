/* SPDX-License-Identifier: MIT
 * lockup_impl.h: what the files of the lock-up share. */
#ifndef SH_SVC_LOCKUP_IMPL_H
#define SH_SVC_LOCKUP_IMPL_H

#include "svc/lockup.h"

#include <linux/filter.h>
#include <stdint.h>

/* The filter answers one call, getppid, with an error of its own instead of ending the process, so
 * that a process can ask whether the filter stands. No other code of the kernel's says this. */
#define SH_FILTER_SAYS ENOANO

struct sh_filter {
    struct sock_filter *code;
    unsigned short n;
};

/* --- lockup_filter.c ------------------------------------------------------------------------ */

/* The allow-list as a program for the kernel; free with sh_filter_free(). False with *err set: this
 * processor is not known to libseccomp, or the program could not be had of it. */
bool sh_filter_build(struct sh_filter *f, int socket, struct sh_error *err) SH_WARN_UNUSED;
/* The same program with SECCOMP_RET_TRAP (a SIGSYS that can be handled) in the places where the
 * other ends the process; free too. */
struct sh_filter sh_filter_trapping(const struct sh_filter *f);
/* Load it into the calling thread, which has no_new_privs. False: errno. */
bool sh_filter_load(const struct sh_filter *f) SH_WARN_UNUSED;
void sh_filter_free(struct sh_filter *f);
/* Does the kernel have filters that end a process? */
bool sh_filter_supported(void);

/* --- lockup_landlock.c ---------------------------------------------------------------------- */

/* The kernel's version of Landlock, 0 with errno set: none. */
int sh_landlock_version(void);
/* Refuse everything that this version (1..) can refuse. False: errno. */
bool sh_landlock_enter(int version) SH_WARN_UNUSED;
/* What versions before the last known one leave out, for a message; NULL: nothing. */
const char *sh_landlock_lacks(int version);

/* --- lockup_try.c --------------------------------------------------------------------------- */

/* Each tries what must not work, adds the name of every attempt that was refused to the array
 * verified, and returns false with *err set if one was not refused. */

/* In children of their own, before the process has limits: the program traps every call it should,
 * and ends a process that makes one. */
bool sh_try_filter(const struct sh_filter *f, cJSON *verified, struct sh_error *err) SH_WARN_UNUSED;
/* In the process itself, in Landlock's domain, with neither filter nor limits yet. */
bool sh_try_landlock(int version, cJSON *verified, struct sh_error *err) SH_WARN_UNUSED;
/* In the process itself, with limits. memory: the address space is limited too, to this many. */
bool sh_try_limits(uint64_t address_space, cJSON *verified, struct sh_error *err) SH_WARN_UNUSED;
/* In the process itself, when the filter is loaded. */
bool sh_try_filtered(cJSON *verified, struct sh_error *err) SH_WARN_UNUSED;

void sh_try_note(cJSON *list, const char *text);

#endif
