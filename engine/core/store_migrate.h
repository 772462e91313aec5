/* SPDX-License-Identifier: MIT
 * store_migrate.h: which schema a store has, and the way up; used by the files of the store. */
#ifndef SH_CORE_STORE_MIGRATE_H
#define SH_CORE_STORE_MIGRATE_H

#include "core/store_impl.h"

/* name, below: the database's file, as messages say it. */

/* A query whose answer is one integer. */
bool sh_store_ask_int(sqlite3 *db, const char *sql, int64_t *out,
                      struct sh_error *err) SH_WARN_UNUSED;

/* What the store says of itself; 0: it has no tables of ours yet. */
bool sh_store_schema_of(sqlite3 *db, int64_t *schema, struct sh_error *err) SH_WARN_UNUSED;
/* False with SH_EINVAL and what to do when it was made by a newer switchhook. */
bool sh_store_schema_known(const char *name, int64_t schema, struct sh_error *err) SH_WARN_UNUSED;
/* Always false: *err says that this schema is an older one, and who upgrades it. */
bool sh_store_schema_older(const char *name, int64_t schema, struct sh_error *err);
/* Of a store that says schema 1: is it as the first release had it, without timers? */
bool sh_store_schema_is_first(sqlite3 *db, bool *first, struct sh_error *err) SH_WARN_UNUSED;
/* Are its tables and indexes, text by text, those of schema 1..SH_STORE_SCHEMA? Others than the
 * engine's own may be there, and views. False with SH_EINVAL names the first that differs. */
bool sh_store_schema_check(sqlite3 *db, const char *name, int64_t schema,
                           struct sh_error *err) SH_WARN_UNUSED;

struct sh_store_tick { /* called from time to time */
    void (*fn)(void *arg);
    void *arg;
};
/* To schema `to` from an earlier one or from nothing, in one transaction. tick NULL: the log is
 * told when it takes long, and of its end. False: it is as it was. */
bool sh_store_upgrade(sqlite3 *db, const char *name, int64_t to, const struct sh_store_tick *tick,
                      struct sh_error *err) SH_WARN_UNUSED;
/* To SH_STORE_SCHEMA, where it is not there yet. shared: the data folder's lock is not ours, so an
 * older schema is refused. */
bool sh_store_migrate(sqlite3 *db, const char *name, bool shared,
                      struct sh_error *err) SH_WARN_UNUSED;

#endif
