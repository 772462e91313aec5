/* SPDX-License-Identifier: MIT
 * store_backup.h: a store copied while an engine writes to it, put back, and checked. For commands:
 * a process with one thread.
 *
 * A backup is one file: SQLite, no log beside it, all of one moment. Reports are trees for people
 * and programs alike; the caller deletes them. */
#ifndef SH_CORE_STORE_BACKUP_H
#define SH_CORE_STORE_BACKUP_H

#include "base/error.h"

#include <cjson/cJSON.h>

/* How far it is: what is being done, and how much of that (0 to 1). False: break it off. */
struct sh_store_watch {
    bool (*fn)(void *arg, const char *what, double part); /* NULL: nobody looks */
    void *arg;
};

/* --- backup ------------------------------------------------------------------------------- */

struct sh_backup {
    const char *dir;  /* data folder, also of a running engine */
    const char *file; /* what is made, mode 0600 */
    bool force;       /* replace one that is there */
    bool no_verify;
    struct sh_store_watch watch;
};
/* By way of FILE.part, which is removed unless the process is killed; the next backup then takes
 * its place. What is there under the name stays until the new one is whole, synced and verified.
 * *report, also when checks are bad: {"file","bytes","sha256","schema","events","newest_event"
 * {"id","received_at"}|null,"took_ms","verify": {"ok","damaged","checks": how many,"bad": [as of
 * sh_store_verify()]}, absent with no_verify}.
 * With damage (report's verify.damaged) the file is not put in place: "kept" is false.
 * Errors: SH_ENOTFOUND no store, or no folder for the file; SH_EBUSY the file is there, or another
 * backup to it is under way; SH_EINVAL it lies where the store is; SH_EFULL; SH_ESYS. */
bool sh_store_backup(const struct sh_backup *b, cJSON **report,
                     struct sh_error *err) SH_WARN_UNUSED;

/* --- restore ------------------------------------------------------------------------------ */

struct sh_restore {
    const char *file, *dir; /* dir: made if it is not there */
    bool replace;           /* a store that is there is kept aside */
    bool dry;               /* look at the file only: whatever is in the folder, or runs there */
    bool anyway;            /* also with faults that sh_store_verify() finds; never with damage */
    bool drop_tokens;       /* API tokens and calendar addresses too */
    const char *who;        /* for the audit table */
    struct sh_store_watch watch;
};
/* The file is copied into the folder, the copy is verified, and takes the store's place in one
 * step. Sessions of the console are dropped. Where a store is replaced and can be read, tokens and
 * calendar addresses that it has no more stay away.
 * *report, also when checks are bad: {"file","data","restored","kept_as"|null,"kept_with_log": why,
 * if the old log could not be folded in,"store_there": was there one,"schema","bytes","events",
 * "newest_event","verify","next_start": {"events","retries","paused_runs","deliveries","timers",
 * "timers_due","callbacks","callbacks_due"},"dropped": {"sessions","tokens","feeds"},
 * "revoked_known": did the old store tell which tokens it has,"tokens": [names]}; the last three
 * and next_start only as far as it got. Errors: SH_EBUSY an engine runs there, or there is a store;
 * SH_EINVAL no backup, or too new. */
bool sh_store_restore(const struct sh_restore *r, cJSON **report,
                      struct sh_error *err) SH_WARN_UNUSED;

/* --- verify ------------------------------------------------------------------------------- */

/* One read transaction, also beside a running engine. *report: {"file","schema","bytes","events",
 * "newest_event","ok","damaged","checks": [{"check","ok","rows","bad","examples": [texts],"says",
 * "advice"}]}; rows: that were looked at. damaged: SQLite itself or the schema is at fault.
 * Errors, without a report: SH_ENOTFOUND, SH_EINVAL no store, or made by a newer switchhook. */
bool sh_store_verify(const char *file, const struct sh_store_watch *watch, cJSON **report,
                     struct sh_error *err) SH_WARN_UNUSED;
/* Of a data folder, as its owner. */
bool sh_store_verify_dir(const char *dir, const struct sh_store_watch *watch, cJSON **report,
                         struct sh_error *err) SH_WARN_UNUSED;

#endif
