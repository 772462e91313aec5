/* SPDX-License-Identifier: MIT
 * skeleton.h: the files of a new project, in the binary. Each is a file of this repository (listed
 * in CMakeLists.txt), so that what is written is what is tested. */
#ifndef SH_APP_SKELETON_H
#define SH_APP_SKELETON_H

#include "base/buf.h"

struct sh_skeleton_file {
    const char
        *path; /* in the project: "rules/missed_call.lua"; "new/..." is not written by init */
    const unsigned char *data;
    size_t size;
};

/* All of them, sorted by path. */
const struct sh_skeleton_file *sh_skeleton(size_t *n);
/* One of them, or NULL. */
const struct sh_skeleton_file *sh_skeleton_find(const char *path);

#endif
