/* SPDX-License-Identifier: MIT
 * error.c: error values, fatal invariants, memory that never comes back NULL. */
#include "base/error.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool sh_error_set(struct sh_error *err, enum sh_code code, const char *fmt, ...)
{
    if (!err)
        return false;
    va_list ap;
    va_start(ap, fmt);
    err->code = code;
    vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    return false;
}

const char *sh_code_name(enum sh_code code)
{
    static const char *const names[] = {"ok",   "invalid", "limit",  "not_found", "conflict",
                                        "busy", "full",    "system", "fatal"};
    return (size_t)code < sizeof(names) / sizeof(*names) ? names[code] : "unknown";
}

void sh_die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("switchhook: fatal: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    abort();
}

void *sh_alloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        sh_die("out of memory (%zu x %zu bytes)", n, size);
    return p;
}

void *sh_realloc(void *p, size_t size)
{
    void *q = realloc(p, size ? size : 1);
    if (!q)
        sh_die("out of memory (%zu bytes)", size);
    return q;
}

char *sh_strdup(const char *s)
{
    return s ? sh_memdup(s, strlen(s)) : NULL;
}

char *sh_memdup(const void *p, size_t len)
{
    sh_require(len < SIZE_MAX);
    char *q = sh_realloc(NULL, len + 1);
    if (len)
        memcpy(q, p, len);
    q[len] = '\0';
    return q;
}

char *sh_strf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = NULL;
    if (vasprintf(&s, fmt, ap) < 0)
        sh_die("out of memory formatting text");
    va_end(ap);
    return s;
}
