/* SPDX-License-Identifier: MIT
 * spec_files.h: where a project's specs are. */
#ifndef SH_APP_SPEC_FILES_H
#define SH_APP_SPEC_FILES_H

#include "base/error.h"

#include <cjson/cJSON.h>

/* Add the path of every *_spec.lua below dir to the array paths, sorted by name. Left out: names
 * that begin with a dot, and folders that are projects of their own (with a switchhook.lua or a
 * folder rules). A file is added as it is. False: neither is there, or it cannot be read. */
bool sh_spec_files_add(cJSON *paths, const char *dir, struct sh_error *err) SH_WARN_UNUSED;
/* Is there a switchhook.lua or a folder rules? */
bool sh_is_project(const char *dir);

#endif
