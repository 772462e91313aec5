/* SPDX-License-Identifier: MIT
 * lockup.h: a process gives up, for good, whatever it does not need for computing and for talking
 * over one socket; and then tries whether that is so.
 *
 * Layers, each of which holds without the others: descriptors closed, no_new_privs, capabilities
 * dropped, Landlock (no file, no TCP, no signal to outside), resource limits, and a seccomp filter
 * that ends the process at any system call that is not on its list. docs/sandbox.md says what each
 * one stops. */
#ifndef SH_SVC_LOCKUP_H
#define SH_SVC_LOCKUP_H

#include "base/error.h"

#include <cjson/cJSON.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SH_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SH_SANITIZED 1
#endif

#define SH_LANDLOCK_KNOWN 6 /* the last of Landlock's versions with something new to refuse */

struct sh_lockup_config {
    int socket;   /* the one descriptor that stays open besides 0, 1 and 2; above them */
    int landlock; /* use Landlock up to this version, as on an older kernel; 0: not at all */
    bool seccomp; /* load the filter */
    bool memory;  /* limit the address space (4 GiB) */
};

/* Everything, or in a build with a sanitizer what such a program survives: no filter, no Landlock
 * (its reports read files) and no limit of address space (its shadow needs terabytes). */
struct sh_lockup_config sh_lockup_everything(int socket);

/* Lock up the calling process, which has one thread, and verify it. Before: everything that needs
 * a file, a timer or a new descriptor. After: memory, the clock, the socket (send and recv), poll,
 * and write to descriptor 2. Descriptors 0 and 1 give end of file and refuse to be written to.
 *
 * Returns what holds, owned by the caller:
 *   {"no_new_privs":bool, "seccomp":bool, "landlock":version (0: none), "limits":bool,
 *    "capabilities":bool (true: it has none left), "verified":["openat", ..] (each was tried and
 *    was refused), "missing":["landlock: this kernel has none", ..] (what this kernel or build
 *    cannot do), "took_us":n}
 * NULL with *err set: a layer that the kernel says it has was tried and does not hold, or could not
 * be tried. The process may then be locked up in part; it must not run what it was to hold. */
cJSON *sh_lockup(const struct sh_lockup_config *config, struct sh_error *err) SH_WARN_UNUSED;

#endif
