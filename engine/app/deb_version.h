/* SPDX-License-Identifier: MIT
 * deb_version.h: which Debian package of a library is installed. */
#ifndef SH_APP_DEB_VERSION_H
#define SH_APP_DEB_VERSION_H

#include "base/error.h"

/* Is version a earlier than b, as dpkg orders them? Source: Debian Policy 5.6.12. */
bool sh_deb_earlier(const char *a, const char *b);
/* Version of an installed package, from dpkg's status file; owned by the caller. NULL: not there,
 * or no Debian. */
char *sh_deb_installed(const char *status_file, const char *package) SH_WARN_UNUSED;

#endif
