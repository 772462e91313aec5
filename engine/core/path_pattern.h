/* SPDX-License-Identifier: MIT
 * path_pattern.h: the path of a source, which may have named segments: "/hooks/pbx/{tenant}". */
#ifndef SH_CORE_PATH_PATTERN_H
#define SH_CORE_PATH_PATTERN_H

#include "base/buf.h"

#define SH_MAX_PATH_ARGS 8

/* What the named segments of one request are: name borrowed from the pattern, value from the path.
 */
struct sh_path_args {
    struct {
        struct sh_slice name, value;
    } arg[SH_MAX_PATH_ARGS];
    size_t n;
};

/* Is this a pattern? A segment is a text without braces, or one name in braces: a-z, then a-z 0-9
 * _, at most SH_MAX_NAME_BYTES, each name once, at most SH_MAX_PATH_ARGS of them. Other bytes of
 * the path are not looked at. False: *err says which segment and what was expected. */
bool sh_path_pattern_check(const char *pattern, struct sh_error *err) SH_WARN_UNUSED;
/* Has it a segment of that name? NULL: any named segment at all? */
bool sh_path_pattern_has(const char *pattern, const char *name);
/* Is there a path that both match? */
bool sh_path_pattern_overlap(const char *a, const char *b);
/* Does the path (percent-decoded) match? A named segment takes one segment that is not empty and
 * holds no control bytes. args is filled when it does, else empty; may be NULL. */
bool sh_path_match(const char *pattern, const char *path, struct sh_path_args *args);
/* The value of that name; p is NULL if there is none. */
struct sh_slice sh_path_arg(const struct sh_path_args *args, const char *name);

#endif
