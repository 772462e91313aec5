/* SPDX-License-Identifier: MIT
 * libraries.h: the libraries the engine is linked with, and those that lack fixes it relies on. */
#ifndef SH_APP_LIBRARIES_H
#define SH_APP_LIBRARIES_H

#include "base/error.h"

#include <cjson/cJSON.h>

/* {name: {"loaded","built_with"}}: the version of the library in memory, and of the headers the
 * engine was built with. Caller deletes. */
cJSON *sh_libraries(void) SH_WARN_UNUSED;

/* A library whose fixes the engine relies on. Source of the Debian versions: the package's
 * changelog.Debian; of the upstream ones: the project's own release notes. */
struct sh_relied {
    const char *library;  /* as sh_libraries() names it */
    const char *package;  /* of Debian 12 */
    const char *renamed;  /* its name from Debian 13 on, or NULL: the same */
    const char *debian;   /* the package's version that has the fixes */
    const char *upstream; /* the project's own release that has them all; NULL: not known */
    const char *why;      /* what an older one has */
};
extern const struct sh_relied sh_relied[];
extern const size_t sh_n_relied;

enum sh_fixes {
    SH_FIXES_THERE,
    SH_FIXES_MISSING,
    SH_FIXES_UNKNOWN /* another distribution's package: it may have them, under a number of its own
                      */
};
/* package_version: the installed one's; NULL: none is, so loaded (the library's own word) counts.
 */
enum sh_fixes sh_library_fixes(const struct sh_relied *r, const char *package_version,
                               const char *loaded);

/* Those that miss fixes: [{"library","version","package","fixed_in","why","next"}]; package null:
 * judged by the library's own word. status_file: dpkg's (deb_version.h); may be NULL or not there.
 * Reads a file of some megabytes. Caller deletes. */
cJSON *sh_libraries_outdated(const char *status_file) SH_WARN_UNUSED;

/* The same on a thread of its own, which writes a warning to the log for each; then it is over.
 * NULL if no thread is to be had. */
struct sh_libraries_check;
struct sh_libraries_check *sh_libraries_check_start(void);
/* What it found, as sh_libraries_outdated() has it, borrowed; NULL: it is not done yet (or c is
 * NULL). */
const cJSON *sh_libraries_found(const struct sh_libraries_check *c);
void sh_libraries_check_end(struct sh_libraries_check *c); /* waits for it; NULL is a no-op */

#endif
