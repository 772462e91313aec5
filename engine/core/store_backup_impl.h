/* SPDX-License-Identifier: MIT
 * store_backup_impl.h: what backup, restore and verify share; nobody else includes it. */
#ifndef SH_CORE_STORE_BACKUP_IMPL_H
#define SH_CORE_STORE_BACKUP_IMPL_H

#include "core/store_backup.h"
#include "core/store_impl.h"

bool sh_store_watch(const struct sh_store_watch *w, const char *what, double part,
                    struct sh_error *err) SH_WARN_UNUSED;

/* The error of an open that found no database, in words that name the file. Always false. */
bool sh_store_is_none(const char *name, struct sh_error *err);
/* Is it a store, and one that this program knows? *schema: which. name: for messages. */
bool sh_store_known(sqlite3 *db, const char *name, int64_t *schema,
                    struct sh_error *err) SH_WARN_UNUSED;
/* "schema", "bytes", "events" and "newest_event" into report. */
bool sh_store_facts(sqlite3 *db, int64_t schema, cJSON *report,
                    struct sh_error *err) SH_WARN_UNUSED;
/* {"ok","damaged","checks"}; NULL and *err. Within the caller's transaction, if there is one. */
cJSON *sh_store_checks(sqlite3 *db, int64_t schema, const struct sh_store_watch *watch,
                       struct sh_error *err) SH_WARN_UNUSED;
/* In its place {"ok","damaged","checks": how many,"bad": [those]}. NULL stays NULL. */
cJSON *sh_store_checks_brief(cJSON *verify) SH_WARN_UNUSED;
/* A file that nobody writes to: as it lies there, without locks. One with a log: as others do. */
sqlite3 *sh_store_open_still(const char *file, struct sh_error *err) SH_WARN_UNUSED;
/* Ask for one number, ?1 is now_ms if it is there. */
bool sh_store_number(sqlite3 *db, const char *sql, int64_t now_ms, int64_t *out,
                     struct sh_error *err) SH_WARN_UNUSED;

/* A file that is being made beside where it will be: locked, so that no two make the same. */
struct sh_store_part {
    char *path;
    int fd; /* -1: none */
};
/* What a killed process left under the name is emptied. Errors: SH_EBUSY, SH_ESYS. */
bool sh_store_part_open(struct sh_store_part *p, const char *path,
                        struct sh_error *err) SH_WARN_UNUSED;
/* Everything of it onto the disk, then in one step under its name. replace: or fail with SH_EBUSY.
 */
bool sh_store_part_place(struct sh_store_part *p, const char *file, bool replace,
                         struct sh_error *err) SH_WARN_UNUSED;
/* Removes what was not put in place. */
void sh_store_part_close(struct sh_store_part *p);
/* Its header says that no log belongs to it. */
bool sh_store_part_settle(sqlite3 *db, struct sh_error *err) SH_WARN_UNUSED;
sqlite3 *sh_store_part_db(const struct sh_store_part *p, struct sh_error *err) SH_WARN_UNUSED;
/* The folder that a path is in; the caller's. */
char *sh_store_folder_of(const char *path) SH_WARN_UNUSED;

#endif
