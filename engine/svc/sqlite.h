/* SPDX-License-Identifier: MIT
 * sqlite.h: SQLite as the store uses it: safe settings, statements, errors as struct sh_error.
 *
 * Handles are SQLite's own (sqlite3 *, sqlite3_stmt *); each connection belongs to one thread at a
 * time. Error codes say what the caller must do: SH_EFATAL the file or what is on disk can no
 * longer be trusted (failed fsync, damage); SH_EFULL no room; SH_ESYS another failing of disk or
 * memory, SH_EBUSY somebody else holds the lock (for all of these the whole transaction is lost);
 * SH_EINVAL this statement alone was refused. */
#ifndef SH_SVC_SQLITE_H
#define SH_SVC_SQLITE_H

#include "base/buf.h"

#include <sqlite3.h>

struct sh_sqlite_config {
    const char *path; /* NULL: in memory */
    const char *vfs;  /* NULL: the default one */
    bool read_only;
    bool immutable; /* with read_only: nobody writes to it; no locks, and no files beside it */
    bool scratch;   /* a file that is not anybody's yet: one connection, one file, never synced */
    bool no_links;  /* a path with a symbolic link in it, anywhere, is refused */
    int cache_kib;  /* page cache, at most */
    int busy_ms;    /* how long to wait for another's lock */
};

/* Open (or create, unless read_only) and set: WAL, synchronous=FULL, no automatic checkpoints,
 * trusted_schema off, cell_size_check on, defensive, page size 4096. Triggers of the file do not
 * run, and its views can be made but not asked: a file that comes from elsewhere runs nothing here.
 * NULL and *err on failure. Close with sh_sqlite_close() after finalizing every statement. */
sqlite3 *sh_sqlite_open(const struct sh_sqlite_config *config, struct sh_error *err) SH_WARN_UNUSED;
void sh_sqlite_close(sqlite3 *db); /* NULL is a no-op */

/* What a result code (extended) means to the caller; see above. */
enum sh_code sh_sqlite_code(int rc);
/* Fill err from the connection's last error; `what` names the attempt. Returns false. */
bool sh_sqlite_fail(sqlite3 *db, int rc, const char *what, struct sh_error *err);

/* Run statements that give no rows. */
bool sh_sqlite_exec(sqlite3 *db, const char *sql, struct sh_error *err) SH_WARN_UNUSED;
/* A statement to keep; NULL and *err on failure. Finalize with sqlite3_finalize(). */
sqlite3_stmt *sh_sqlite_prepare(sqlite3 *db, const char *sql, struct sh_error *err) SH_WARN_UNUSED;

/* Bind parameter i (from 1). Bytes are borrowed until the next bind of i or the statement's end:
 * a statement must have been stepped to its end or reset before they go away. */
void sh_sqlite_bind_int(sqlite3_stmt *st, int i, int64_t v);
void sh_sqlite_bind_double(sqlite3_stmt *st, int i, double v);
void sh_sqlite_bind_text(sqlite3_stmt *st, int i, struct sh_slice s); /* empty slice: '' */
void sh_sqlite_bind_str(sqlite3_stmt *st, int i, const char *s);      /* NULL: NULL */
void sh_sqlite_bind_blob(sqlite3_stmt *st, int i, const void *p, size_t n);
void sh_sqlite_bind_null(sqlite3_stmt *st, int i);

/* 1: a row is there. 0: finished. -1: failed, *err says why. After 0 and -1 the statement is
 * reset and may be bound and stepped again; leave a row early with sqlite3_reset(). */
int sh_sqlite_step(sqlite3_stmt *st, struct sh_error *err) SH_WARN_UNUSED;
/* Step to the end, rows ignored. */
bool sh_sqlite_run(sqlite3_stmt *st, struct sh_error *err) SH_WARN_UNUSED;
/* Run a query whose answer is one integer; NULL or no row give 0. */
bool sh_sqlite_int(sqlite3_stmt *st, int64_t *out, struct sh_error *err) SH_WARN_UNUSED;

/* Column i (from 0) of the current row. Slices and pointers are borrowed until the next step. */
struct sh_slice sh_sqlite_text(sqlite3_stmt *st, int i);     /* text or blob; NULL: empty */
char *sh_sqlite_dup(sqlite3_stmt *st, int i) SH_WARN_UNUSED; /* caller frees; NULL stays NULL */

#endif
