/* SPDX-License-Identifier: MIT
 * store_verify_impl.h: what a check is; store_verify*.c only. */
#ifndef SH_CORE_STORE_VERIFY_IMPL_H
#define SH_CORE_STORE_VERIFY_IMPL_H

#include "core/store_backup_impl.h"

/* One thing that the engine relies on. sql gives a row for each that was looked at: is it bad, and
 * how a person finds it. */
struct sh_store_check_of {
    const char *name;
    const char *says;   /* what holds */
    const char *advice; /* where it does not */
    const char *sql;    /* NULL: within store_verify.c */
    int since;          /* schema from which on it can be asked; 0: schema 1 of its first release */
    bool damage;        /* the engine cannot work, or cannot be believed, without it */
};
extern const struct sh_store_check_of sh_store_check_list[];
extern const size_t sh_store_n_checks;

/* The functions that the texts call, on a connection:
 *   sh_seq_of(id)            the seq of an event's id; NULL: it is none
 *   sh_body_is(format, body) is the event's body what its format says?
 *   sh_object_is(doc)        a JSON object, strictly
 *   sh_digits(number)        a number as it is compared
 *   sh_dedupe_of(source, id) what is kept of a dedupe id
 *   sh_generation_of(id)     the hash of the texts that are kept under the id; NULL: none */
bool sh_store_verify_functions(sqlite3 *db, struct sh_error *err) SH_WARN_UNUSED;

#endif
