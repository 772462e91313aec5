/* SPDX-License-Identifier: MIT
 * build_info.h: what the binary was built from, and how. build_info.cmake writes the values at
 * every build; they are linked into the binary alone, so that a new commit does not link every test
 * anew. */
#ifndef SH_APP_BUILD_INFO_H
#define SH_APP_BUILD_INFO_H

struct sh_build_info {
    const char *commit; /* "…-dirty": the tree was changed since; "unknown": no git */
    const char
        *date; /* SOURCE_DATE_EPOCH's or the commit's, never today's: YYYY-MM-DD, "unknown" */
    const char *type;     /* CMAKE_BUILD_TYPE */
    const char *flags;    /* of the compiler and the linker */
    const char *sanitize; /* "address,undefined"; "": none */
};

extern const struct sh_build_info sh_build_info;

#endif
