/* SPDX-License-Identifier: MIT
 * error.h: the one way a function of the engine says what went wrong.
 *
 * A function that can fail returns bool or a pointer and fills the caller's struct sh_error.
 * Three kinds of wrong are kept apart: a broken invariant (sh_require: the process ends, and a
 * restart recovers from the store), a failed call or bad input (sh_error), and a rule author's
 * mistake (a Lua error, engine/lua). Running out of memory in the engine process counts as the
 * first kind: sh_alloc() never returns NULL. Plain assert() is not used. */
#ifndef SH_BASE_ERROR_H
#define SH_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#define SH_WARN_UNUSED  __attribute__((warn_unused_result))
#define SH_PRINTF(f, a) __attribute__((format(printf, f, a)))

enum sh_code {
    SH_OK = 0,
    SH_EINVAL,    /* bad input: the caller's, a file's or a sender's */
    SH_ELIMIT,    /* a configured or built-in limit was reached */
    SH_ENOTFOUND, /* the thing asked for is not there */
    SH_ECONFLICT, /* the world changed between read and write */
    SH_EBUSY,     /* temporarily not possible: try again */
    SH_EFULL,     /* no room on the disk */
    SH_ESYS,      /* an operating system call failed */
    SH_EFATAL     /* the process must end: what is on disk is no longer known */
};

struct sh_error {
    enum sh_code code;
    char msg[1024]; /* one line for a person: what, where, value, expected */
};

/* Fill err (NULL is allowed: nothing is kept). Always returns false, so that
 * `return sh_error_set(err, SH_EINVAL, "port %d out of range 1..65535", port);` reads well. */
bool sh_error_set(struct sh_error *err, enum sh_code code, const char *fmt, ...) SH_PRINTF(3, 4);

/* Short name of a code: "invalid", "limit", ... Never NULL. */
const char *sh_code_name(enum sh_code code);

/* End the process at once (abort) when a thing that must hold does not. */
#define sh_require(cond)                                                                           \
    ((cond) ? (void)0 : sh_die("%s:%d: required: %s", __FILE__, __LINE__, #cond))
_Noreturn void sh_die(const char *fmt, ...) SH_PRINTF(1, 2);

/* Zeroed memory of n objects of size bytes; caller frees with free(). Never NULL: the process
 * ends when there is none, and a restart recovers from the store. */
void *sh_alloc(size_t n, size_t size) SH_WARN_UNUSED;
void *sh_realloc(void *p, size_t size) SH_WARN_UNUSED;
/* Copies; caller frees. sh_strdup(NULL) is NULL. sh_memdup adds a NUL after the len bytes. */
char *sh_strdup(const char *s) SH_WARN_UNUSED;
char *sh_memdup(const void *p, size_t len) SH_WARN_UNUSED;
char *sh_strf(const char *fmt, ...) SH_WARN_UNUSED SH_PRINTF(1, 2);

#endif
