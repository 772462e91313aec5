/* SPDX-License-Identifier: MIT
 * store_steps.h: what each version of the schema is made of, and how it is taken back; for
 * store_migrate.c and store_move.c alone. */
#ifndef SH_CORE_STORE_STEPS_H
#define SH_CORE_STORE_STEPS_H

#include "core/store_impl.h"

/* Rows that a schema has no place for. count: SQL that gives their number, on a store of any later
 * schema. */
struct sh_store_rows {
    const char *what; /* "sessions: ..." */
    const char
        *to_do; /* they must not be lost, and this gets rid of them; NULL: they are given up */
    const char *count;
};

struct sh_store_step {
    const char *brings;               /* in a few words */
    const char *up;                   /* from the schema before; never changed once released */
    const char *after;                /* what a way down has put aside is brought back; or NULL */
    const char *down;                 /* to the schema before; NULL: schema 1 */
    const struct sh_store_rows *rows; /* of the way down */
    size_t n_rows;
};

/* [0] makes schema 1. */
extern const struct sh_store_step sh_store_steps[SH_STORE_SCHEMA];

/* From schema 1 as its first release had it (no timers) to schema 1. With two functions of
 * store_migrate.c: sh_digits(number), sh_seq(event id). */
extern const char sh_store_first_release[];

#endif
