/* SPDX-License-Identifier: MIT
 * deb_version.h: which Debian package of a library is installed. */
#ifndef SH_APP_DEB_VERSION_H
#define SH_APP_DEB_VERSION_H

#include "base/error.h"

/* Is version a earlier than b, as dpkg orders them? Source: Debian Policy 5.6.12. */
bool sh_deb_earlier(const char *a, const char *b);
/* Is the upstream part of a (no epoch, no revision) earlier than that of b? */
bool sh_deb_upstream_earlier(const char *a, const char *b);
/* Versions of installed packages, from dpkg's status file, read once: versions[i] of packages[i],
 * owned by the caller, NULL where it is not installed. packages[i] may be NULL. False: there is no
 * such file (no Debian), and all are NULL. */
bool sh_deb_installed(const char *status_file, const char *const *packages, size_t n,
                      char **versions);
/* dpkg's status file: in $DPKG_ADMINDIR, as for dpkg itself (dpkg(1)), or /var/lib/dpkg. Owned by
 * the caller. */
char *sh_deb_status_file(void) SH_WARN_UNUSED;

#endif
