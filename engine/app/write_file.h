/* SPDX-License-Identifier: MIT
 * write_file.h: new files for people, never over one that is there. */
#ifndef SH_APP_WRITE_FILE_H
#define SH_APP_WRITE_FILE_H

#include "base/buf.h"

/* Write a file that does not exist, with the folders above it; mode as of open(). False: SH_EBUSY
 * it is there already, SH_ESYS it cannot be written (nothing is left behind). */
bool sh_write_new_file(const char *path, struct sh_slice text, int mode,
                       struct sh_error *err) SH_WARN_UNUSED;

#endif
