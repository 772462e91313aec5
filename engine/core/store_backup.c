/* SPDX-License-Identifier: MIT
 * store_backup.c: a store copied while an engine writes to it.
 *
 * The connection that reads holds one read transaction for the whole copy: SQLite's backup takes
 * the pages as they were at its beginning, whatever is committed meanwhile, and never has to begin
 * anew. The price: the engine's log cannot be started afresh until the copy is done, and grows. */
#include "core/store_backup_impl.h"
#include "core/store_migrate.h"
#include "svc/crypto.h"
#include "svc/json.h"
#include "svc/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define STEP_PAGES 1024 /* 4 MiB: between two looks at the watch */

struct copy {
    const struct sh_backup *b;
    sqlite3 *from, *to;
    struct sh_store_part part;
    int64_t schema;
    cJSON *report;
};

bool sh_store_watch(const struct sh_store_watch *w, const char *what, double part,
                    struct sh_error *err)
{
    return !w || !w->fn || w->fn(w->arg, what, part) ||
           sh_error_set(err, SH_EBUSY, "broken off; nothing was changed");
}

/* --- what a store says of itself ---------------------------------------------------------- */

bool sh_store_number(sqlite3 *db, const char *sql, int64_t now_ms, int64_t *out,
                     struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(db, sql, err);
    if (st && sqlite3_bind_parameter_count(st) > 0)
        sh_sqlite_bind_int(st, 1, now_ms);
    bool ok = st && sh_sqlite_int(st, out, err);
    sqlite3_finalize(st);
    return ok;
}

bool sh_store_is_none(const char *name, struct sh_error *err)
{
    const struct sh_error why = *err;
    const size_t n = strlen(name);
    const bool named = strncmp(why.msg, name, n) == 0 && strncmp(why.msg + n, ": ", 2) == 0;
    if (why.code == SH_EFATAL)
        sh_error_set(err, SH_EINVAL,
                     "%s: is no store of switchhook, or its beginning is damaged: %s", name,
                     why.msg + (named ? n + 2 : 0));
    return false;
}

bool sh_store_known(sqlite3 *db, const char *name, int64_t *schema, struct sh_error *err)
{
    int64_t mark = 0;
    struct sh_error why = {0};
    if (!sh_store_number(db, "PRAGMA application_id", 0, &mark, err))
        return sh_store_is_none(name, err);
    if (mark != SH_STORE_APPLICATION_ID ||
        !sh_store_number(db, "SELECT max(version) FROM sh_migrations", 0, schema, &why))
        return sh_error_set(err, SH_EINVAL, "%s: is no store of switchhook%s%s", name,
                            why.msg[0] ? ": " : "", why.msg);
    if (*schema < 1)
        return sh_error_set(err, SH_EINVAL, "%s: is no store of switchhook", name);
    return sh_store_schema_known(name, *schema, err);
}

static bool newest(sqlite3 *db, cJSON *report, struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(
        db, "SELECT id, received_ms FROM sh_events ORDER BY seq DESC LIMIT 1", err);
    int got = st ? sh_sqlite_step(st, err) : -1;
    cJSON *o = got == 1 ? cJSON_CreateObject() : cJSON_CreateNull();
    if (got == 1) {
        char *id = sh_sqlite_dup(st, 0), at[SH_TIME_TEXT];
        cJSON_AddStringToObject(o, "id", id ? id : "");
        cJSON_AddStringToObject(o, "received_at", sh_time_text(sqlite3_column_int64(st, 1), at));
        free(id);
    }
    sqlite3_finalize(st);
    cJSON_AddItemToObject(report, "newest_event", o);
    return got >= 0;
}

bool sh_store_facts(sqlite3 *db, int64_t schema, cJSON *report, struct sh_error *err)
{
    int64_t pages = 0, page = 0, events = 0;
    if (!sh_store_number(db, "PRAGMA page_count", 0, &pages, err) ||
        !sh_store_number(db, "PRAGMA page_size", 0, &page, err) ||
        !sh_store_number(db, "SELECT count(*) FROM sh_events", 0, &events, err))
        return false;
    cJSON_AddItemToObject(report, "schema", sh_json_int(schema));
    cJSON_AddItemToObject(report, "bytes", sh_json_int(pages * page));
    cJSON_AddItemToObject(report, "events", sh_json_int(events));
    return newest(db, report, err);
}

/* --- where to ------------------------------------------------------------------------------ */

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

/* The store's own files, and names that SQLite would take for them. */
static bool is_the_stores(const struct sh_backup *b, const char *folder)
{
    const char *slash = strrchr(b->file, '/'), *name = slash ? slash + 1 : b->file;
    char *db = sh_store_db_path(b->dir);
    bool is = same_file(b->file, db) ||
              (same_file(folder, b->dir) &&
               (strncmp(name, "switchhook.db", strlen("switchhook.db")) == 0 ||
                strcmp(name, "lock") == 0 || strcmp(name, "control.sock") == 0));
    free(db);
    return is;
}

static bool check_target(const struct sh_backup *b, struct sh_error *err)
{
    struct stat st;
    char *folder = sh_store_folder_of(b->file);
    bool ok = false;
    if (stat(folder, &st) != 0 || !S_ISDIR(st.st_mode))
        sh_error_set(err, SH_ENOTFOUND, "%s: there is no folder %s: make it first", b->file,
                     folder);
    else if (is_the_stores(b, folder))
        sh_error_set(err, SH_EINVAL, "%s: that is where the store itself lies: name another file",
                     b->file);
    else if (stat(b->file, &st) == 0 && !S_ISREG(st.st_mode))
        sh_error_set(err, SH_EINVAL, "%s: is %s: name a file", b->file,
                     S_ISDIR(st.st_mode) ? "a folder" : "no plain file");
    else if (lstat(b->file, &st) == 0 && !b->force)
        sh_error_set(err, SH_EBUSY, "%s: is there already (--force replaces it)", b->file);
    else
        ok = true;
    free(folder);
    return ok;
}

static bool check_room(const struct copy *c, struct sh_error *err)
{
    struct statvfs fs;
    int64_t bytes = 0;
    if (!sh_json_get_int(sh_json_member(c->report, "bytes"), &bytes) ||
        fstatvfs(c->part.fd, &fs) != 0)
        return true; /* it will show */
    const double room = (double)fs.f_bavail * (double)fs.f_frsize;
    return room >= (double)bytes ||
           sh_error_set(err, SH_EFULL,
                        "%s: no room: the backup has %lld MiB, the disk %.0f MiB left", c->b->file,
                        (long long)(bytes >> 20) + 1, room / 1048576);
}

/* --- the copy ------------------------------------------------------------------------------ */

/* Opened and read from as the folder's owner: what SQLite makes beside the store is the owner's. */
static bool open_source(struct copy *c, struct sh_error *err)
{
    struct sh_owner was;
    char *path = sh_store_db_path(c->b->dir);
    bool ok = sh_owner_enter(c->b->dir, &was, err);
    if (ok && access(path, F_OK) != 0)
        ok = sh_error_set(err, SH_ENOTFOUND, "%s: no store there (no file switchhook.db)%s%s",
                          c->b->dir, errno == ENOENT ? "" : ": ",
                          errno == ENOENT ? "" : strerror(errno));
    const struct sh_sqlite_config config = {
        .path = path, .read_only = true, .cache_kib = 8192, .busy_ms = 5000};
    c->from = ok ? sh_sqlite_open(&config, err) : NULL;
    if (ok && !c->from)
        ok = sh_store_is_none(c->b->dir, err);
    ok = ok && sh_sqlite_exec(c->from, "BEGIN", err) &&
         sh_store_known(c->from, path, &c->schema, err);
    sh_owner_leave(&was);
    free(path);
    return ok;
}

static bool steps(struct copy *c, sqlite3_backup *backup, struct sh_error *err)
{
    int rc = SQLITE_OK;
    while (rc == SQLITE_OK) {
        rc = sqlite3_backup_step(backup, STEP_PAGES);
        const int all = sqlite3_backup_pagecount(backup), left = sqlite3_backup_remaining(backup);
        if (!sh_store_watch(&c->b->watch, "copying", all ? (double)(all - left) / all : 0, err))
            return false;
    }
    if (rc == SQLITE_DONE)
        return true;
    if ((rc & 0xff) == SQLITE_FULL)
        return sh_error_set(err, SH_EFULL, "%s: no room on the disk", c->b->file);
    if ((rc & 0xff) == SQLITE_IOERR)
        return sh_error_set(err, SH_ESYS, "%s: the copy cannot be written: %s (SQLite %d)",
                            c->b->file, sqlite3_errstr(rc), rc);
    return sh_sqlite_fail(c->to, rc, c->b->file, err);
}

static bool copy(struct copy *c, struct sh_error *err)
{
    c->to = sh_store_part_db(&c->part, err);
    sqlite3_backup *backup = c->to ? sqlite3_backup_init(c->to, "main", c->from, "main") : NULL;
    if (c->to && !backup)
        sh_sqlite_fail(c->to, sqlite3_extended_errcode(c->to), c->b->file, err);
    bool ok = backup && steps(c, backup, err);
    if (backup)
        sqlite3_backup_finish(backup);
    sh_sqlite_close(c->from); /* the engine's log may start afresh from here on */
    c->from = NULL;
    return ok && sh_store_part_settle(c->to, err);
}

static bool verify(struct copy *c, bool *damaged, struct sh_error *err)
{
    *damaged = false;
    if (c->b->no_verify)
        return true;
    cJSON *v = sh_store_checks_brief(sh_store_checks(c->to, c->schema, &c->b->watch, err));
    if (!v)
        return false;
    *damaged = cJSON_IsTrue(sh_json_member(v, "damaged"));
    cJSON_AddItemToObject(c->report, "verify", v);
    return true;
}

static bool add_sum(struct copy *c, struct sh_error *err)
{
    uint8_t sum[SH_SHA256_BYTES];
    char text[SH_SHA256_HEX];
    if (!sh_sha256_fd(c->part.fd, sum))
        return sh_error_set(err, SH_ESYS, "%s: cannot be read back: %s", c->b->file,
                            strerror(errno));
    sh_hex(sum, sizeof(sum), text);
    cJSON_AddStringToObject(c->report, "sha256", text);
    return true;
}

static bool make(struct copy *c, struct sh_error *err)
{
    bool damaged = false;
    if (!sh_store_facts(c->from, c->schema, c->report, err) || !check_room(c, err) ||
        !copy(c, err) || !verify(c, &damaged, err))
        return false;
    sh_sqlite_close(c->to);
    c->to = NULL;
    cJSON_AddBoolToObject(c->report, "kept", !damaged);
    return damaged ||
           (add_sum(c, err) && sh_store_part_place(&c->part, c->b->file, c->b->force, err));
}

bool sh_store_backup(const struct sh_backup *b, cJSON **report, struct sh_error *err)
{
    struct copy c = {.b = b, .part.fd = -1, .report = cJSON_CreateObject()};
    const int64_t began_us = sh_mono_us();
    char *part = sh_strf("%s.part", b->file);
    cJSON_AddStringToObject(c.report, "file", b->file);
    bool ok = check_target(b, err) && open_source(&c, err) &&
              sh_store_part_open(&c.part, part, err) && make(&c, err);
    sh_sqlite_close(c.from);
    sh_sqlite_close(c.to);
    sh_store_part_close(&c.part);
    free(part);
    cJSON_AddItemToObject(c.report, "took_ms", sh_json_int((sh_mono_us() - began_us) / 1000));
    *report = ok ? c.report : NULL;
    if (!ok)
        cJSON_Delete(c.report);
    return ok;
}
