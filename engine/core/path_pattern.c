/* SPDX-License-Identifier: MIT
 * path_pattern.c: paths with named segments. */
#include "core/path_pattern.h"

#include "base/limits.h"

#include <string.h>

/* The segment that begins at *at, and *at moves behind it and its slash; p is NULL at the end. "/a"
 * has the segments "" and "a", so that a slash too many is a segment too many. */
static struct sh_slice next_segment(const char **at)
{
    if (!*at)
        return sh_slice(NULL, 0);
    const char *p = *at, *slash = strchr(p, '/');
    *at = slash ? slash + 1 : NULL;
    return sh_slice(p, slash ? (size_t)(slash - p) : strlen(p));
}

/* "{name}" -> name; p is NULL for a segment that stands for itself. */
static struct sh_slice name_of(struct sh_slice segment)
{
    if (segment.n < 2 || segment.p[0] != '{' || segment.p[segment.n - 1] != '}')
        return sh_slice(NULL, 0);
    return sh_slice(segment.p + 1, segment.n - 2);
}

static bool is_name(struct sh_slice s)
{
    if (!s.n || s.n > SH_MAX_NAME_BYTES || s.p[0] < 'a' || s.p[0] > 'z')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!s.p[i] || !strchr("abcdefghijklmnopqrstuvwxyz0123456789_", s.p[i]))
            return false;
    return true;
}

static bool has_brace(struct sh_slice s)
{
    return s.n && (memchr(s.p, '{', s.n) || memchr(s.p, '}', s.n));
}

static bool is_in(const struct sh_path_args *args, struct sh_slice name)
{
    for (size_t i = 0; i < args->n; i++)
        if (sh_slice_eq(args->arg[i].name, name))
            return true;
    return false;
}

bool sh_path_pattern_check(const char *pattern, struct sh_error *err)
{
    struct sh_path_args seen = {.n = 0};
    for (struct sh_slice s = next_segment(&pattern); s.p; s = next_segment(&pattern)) {
        const struct sh_slice name = name_of(s);
        if (!has_brace(s))
            continue;
        if (!name.p || !is_name(name))
            return sh_error_set(err, SH_EINVAL,
                                "\"%.*s\" is no segment of a path; expected a name in braces such "
                                "as {tenant} (a-z, then a-z 0-9 _), or a text without braces",
                                (int)(s.n > 100 ? 100 : s.n), s.p);
        if (is_in(&seen, name))
            return sh_error_set(err, SH_EINVAL, "the segment {%.*s} is there twice", (int)name.n,
                                name.p);
        if (seen.n == SH_MAX_PATH_ARGS)
            return sh_error_set(err, SH_ELIMIT, "more than %d named segments", SH_MAX_PATH_ARGS);
        seen.arg[seen.n++].name = name;
    }
    return true;
}

bool sh_path_pattern_has(const char *pattern, const char *name)
{
    for (struct sh_slice s = next_segment(&pattern); s.p; s = next_segment(&pattern)) {
        const struct sh_slice found = name_of(s);
        if (found.p && (!name || sh_slice_eq(found, sh_slice_str(name))))
            return true;
    }
    return false;
}

bool sh_path_pattern_overlap(const char *a, const char *b)
{
    struct sh_slice x, y;
    do {
        x = next_segment(&a);
        y = next_segment(&b);
        if (!x.p || !y.p)
            return !x.p && !y.p;
    } while ((name_of(x).p && y.n) || (name_of(y).p && x.n) || sh_slice_eq(x, y));
    return false;
}

static bool is_value(struct sh_slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return s.n > 0;
}

static bool match(const char *pattern, const char *path, struct sh_path_args *args)
{
    struct sh_slice want, got;
    for (;;) {
        want = next_segment(&pattern);
        got = next_segment(&path);
        if (!want.p || !got.p)
            return !want.p && !got.p;
        const struct sh_slice name = name_of(want);
        if (!name.p && !sh_slice_eq(want, got))
            return false;
        if (!name.p)
            continue;
        if (!is_value(got) || args->n == SH_MAX_PATH_ARGS)
            return false;
        args->arg[args->n].name = name;
        args->arg[args->n++].value = got;
    }
}

bool sh_path_match(const char *pattern, const char *path, struct sh_path_args *args)
{
    struct sh_path_args own;
    struct sh_path_args *out = args ? args : &own;
    out->n = 0;
    if (match(pattern, path, out))
        return true;
    out->n = 0;
    return false;
}

struct sh_slice sh_path_arg(const struct sh_path_args *args, const char *name)
{
    for (size_t i = 0; i < args->n; i++)
        if (sh_slice_eq(args->arg[i].name, sh_slice_str(name)))
            return args->arg[i].value;
    return sh_slice(NULL, 0);
}
