/* SPDX-License-Identifier: MIT
 * sqlite.c: connections with safe settings, statements, errors. */
#include "svc/sqlite.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Memory statistics take a process-wide lock on every allocation: three threads would queue for
 * it. Has no effect (and does no harm) when SQLite is initialized already. */
static void configure(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_initialize();
}

enum sh_code sh_sqlite_code(int rc)
{
    switch (rc) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return SH_OK;
    case SQLITE_IOERR_FSYNC:
    case SQLITE_IOERR_DIR_FSYNC:
    case SQLITE_IOERR_CORRUPTFS:
        return SH_EFATAL;
    default:
        break;
    }
    switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return SH_EFATAL;
    case SQLITE_FULL:
        return SH_EFULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return SH_EBUSY;
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_PROTOCOL:
    case SQLITE_INTERRUPT:
    case SQLITE_ABORT:
        return SH_ESYS;
    default:
        return SH_EINVAL;
    }
}

bool sh_sqlite_fail(sqlite3 *db, int rc, const char *what, struct sh_error *err)
{
    int sys = db ? sqlite3_system_errno(db) : 0;
    enum sh_code code = sh_sqlite_code(rc);
    const char *msg = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    if (sys && (code == SH_ESYS || code == SH_EFATAL || code == SH_EFULL))
        return sh_error_set(err, code, "%s: %s (SQLite %d: %s)", what, msg, rc, strerror(sys));
    return sh_error_set(err, code, "%s: %s (SQLite %d)", what, msg, rc);
}

bool sh_sqlite_exec(sqlite3 *db, const char *sql, struct sh_error *err)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        return true;
    char what[80];
    snprintf(what, sizeof(what), "%.79s", sql);
    return sh_sqlite_fail(db, rc, what, err);
}

/* secure_delete FAST: what is deleted is overwritten wherever that costs no extra write */
#define LASTING                                                                                    \
    " PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"                    \
    " PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=67108864; PRAGMA secure_delete=FAST;"
#define SCRATCH                                                                                    \
    " PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF;"          \
    " PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY;"

static bool set_up(sqlite3 *db, const struct sh_sqlite_config *c, struct sh_error *err)
{
    char sql[640];
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, c->busy_ms);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL); /* a file's own code: we have */
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);    /* none, it may be anybody's */
    sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    snprintf(sql, sizeof(sql),
             "PRAGMA cell_size_check=ON; PRAGMA cache_size=-%d; PRAGMA foreign_keys=OFF;"
             "PRAGMA mmap_size=0;%s%s",
             c->cache_kib, c->path ? "" : " PRAGMA temp_store=MEMORY;", /* no file at all */
             c->read_only ? " PRAGMA query_only=ON;"
             : c->scratch ? SCRATCH
                          : LASTING);
    const int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK || sh_sqlite_fail(db, rc, c->path ? c->path : ":memory:", err);
}

/* The path as SQLite's address of a file (sqlite.org/uri.html); the caller's. */
static char *immutable_uri(const char *path)
{
    struct sh_buf out;
    sh_buf_init(&out, strlen(path) * 3 + 64);
    sh_buf_adds(&out, "file:");
    for (const char *p = path; *p; p++) {
        if (strchr("%?#", *p))
            sh_buf_addf(&out, "%%%02x", (unsigned)(unsigned char)*p);
        else
            sh_buf_addc(&out, *p);
    }
    sh_buf_adds(&out, "?immutable=1");
    return sh_buf_take(&out, NULL);
}

sqlite3 *sh_sqlite_open(const struct sh_sqlite_config *c, struct sh_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure);
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_NOMUTEX;
    flags |= c->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    flags |= c->no_links ? SQLITE_OPEN_NOFOLLOW : 0;
    char *uri = c->immutable ? immutable_uri(c->path) : NULL;
    const char *name = uri ? uri : c->path ? c->path : ":memory:";
    int rc = sqlite3_open_v2(name, &db, uri ? flags | SQLITE_OPEN_URI : flags, c->vfs);
    free(uri);
    if (rc != SQLITE_OK) {
        sh_sqlite_fail(db, db ? sqlite3_extended_errcode(db) : rc, c->path, err);
        sqlite3_close(db);
        return NULL;
    }
    if (!set_up(db, c, err)) {
        sqlite3_close(db);
        return NULL;
    }
    return db;
}

void sh_sqlite_close(sqlite3 *db)
{
    if (db)
        sh_require(sqlite3_close(db) == SQLITE_OK);
}

sqlite3_stmt *sh_sqlite_prepare(sqlite3 *db, const char *sql, struct sh_error *err)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL);
    if (rc == SQLITE_OK)
        return st;
    char what[80];
    snprintf(what, sizeof(what), "%.79s", sql);
    sh_sqlite_fail(db, rc, what, err);
    return NULL;
}

/* A bind fails only for a wrong index, a statement in mid-step, or no memory. */
void sh_sqlite_bind_int(sqlite3_stmt *st, int i, int64_t v)
{
    sh_require(sqlite3_bind_int64(st, i, v) == SQLITE_OK);
}

void sh_sqlite_bind_double(sqlite3_stmt *st, int i, double v)
{
    sh_require(sqlite3_bind_double(st, i, v) == SQLITE_OK);
}

void sh_sqlite_bind_text(sqlite3_stmt *st, int i, struct sh_slice s)
{
    sh_require(sqlite3_bind_text64(st, i, s.p ? s.p : "", s.n, SQLITE_STATIC, SQLITE_UTF8) ==
               SQLITE_OK);
}

void sh_sqlite_bind_str(sqlite3_stmt *st, int i, const char *s)
{
    if (s)
        sh_sqlite_bind_text(st, i, sh_slice_str(s));
    else
        sh_sqlite_bind_null(st, i);
}

void sh_sqlite_bind_blob(sqlite3_stmt *st, int i, const void *p, size_t n)
{
    sh_require(sqlite3_bind_blob64(st, i, p ? p : "", n, SQLITE_STATIC) == SQLITE_OK);
}

void sh_sqlite_bind_null(sqlite3_stmt *st, int i)
{
    sh_require(sqlite3_bind_null(st, i) == SQLITE_OK);
}

int sh_sqlite_step(sqlite3_stmt *st, struct sh_error *err)
{
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE) {
        sqlite3_reset(st);
        return 0;
    }
    char what[80];
    snprintf(what, sizeof(what), "%.79s", sqlite3_sql(st));
    sh_sqlite_fail(sqlite3_db_handle(st), rc, what, err);
    sqlite3_reset(st);
    return -1;
}

bool sh_sqlite_run(sqlite3_stmt *st, struct sh_error *err)
{
    int got;
    while ((got = sh_sqlite_step(st, err)) == 1)
        ;
    return got == 0;
}

bool sh_sqlite_int(sqlite3_stmt *st, int64_t *out, struct sh_error *err)
{
    *out = 0;
    int got = sh_sqlite_step(st, err);
    if (got < 0)
        return false;
    if (got == 1) {
        *out = sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
    }
    return true;
}

struct sh_slice sh_sqlite_text(sqlite3_stmt *st, int i)
{
    const void *p = sqlite3_column_blob(st, i); /* no conversion: text comes as its bytes */
    return sh_slice(p, (size_t)sqlite3_column_bytes(st, i));
}

char *sh_sqlite_dup(sqlite3_stmt *st, int i)
{
    if (sqlite3_column_type(st, i) == SQLITE_NULL)
        return NULL;
    return sh_slice_dup(sh_sqlite_text(st, i));
}
