/* SPDX-License-Identifier: MIT
 * store_restore.c: a backup in the place of a store.
 *
 * The backup's bytes are copied into the data folder first, and what is verified is that copy: what
 * comes to lie there is what was looked at. A store that is there is folded (its log into its
 * file), gets a second name, and is replaced by rename(2): whenever the process is killed there is
 * the old store, whole, or the new one. */
#include "core/store_backup_impl.h"
#include "core/store_migrate.h"
#include "svc/json.h"
#include "svc/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_BYTES ((size_t)1 << 20)

struct restore {
    const struct sh_restore *r;
    char *db; /* where the store is, or will be */
    int from, lock;
    struct sh_store_part part;
    sqlite3 *copy;
    int64_t schema;
    cJSON *report;
};

/* --- the backup ---------------------------------------------------------------------------- */

static bool has_log(const char *file)
{
    struct stat st;
    char *wal = sh_strf("%s-wal", file);
    const bool has = stat(wal, &st) == 0 && st.st_size > 0;
    free(wal);
    return has;
}

/* Its first bytes say so (sqlite.org/fileformat.html). Nothing else is copied: the folder's owner
 * may have put a link to a file that only root may read under the name. */
static bool looks_like_store(int fd)
{
    static const char magic[] = "SQLite format 3";
    uint8_t head[72];
    if (pread(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head))
        return false;
    const uint32_t mark = (uint32_t)head[68] << 24 | (uint32_t)head[69] << 16 |
                          (uint32_t)head[70] << 8 | (uint32_t)head[71];
    return memcmp(head, magic, sizeof(magic)) == 0 && mark == SH_STORE_APPLICATION_ID;
}

static bool open_backup(struct restore *x, struct sh_error *err)
{
    const char *file = x->r->file;
    struct stat st, there;
    x->from = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (x->from < 0 || fstat(x->from, &st) != 0)
        return sh_error_set(err, errno == ENOENT ? SH_ENOTFOUND : SH_ESYS, "%s: %s", file,
                            strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size == 0)
        return sh_error_set(err, SH_EINVAL, "%s: is no backup: %s", file,
                            S_ISREG(st.st_mode) ? "it is empty" : "it is no file");
    if (!looks_like_store(x->from))
        return sh_error_set(err, SH_EINVAL,
                            "%s: is no store of switchhook, or its beginning is damaged", file);
    if (stat(x->db, &there) == 0 && st.st_ino == there.st_ino && st.st_dev == there.st_dev)
        return sh_error_set(err, SH_EINVAL, "%s: is the store itself", file);
    if (has_log(file))
        return sh_error_set(err, SH_EINVAL,
                            "%s: a log lies beside it (%s-wal), with the newest part of what is in"
                            " it: make a backup of the two first: switchhook backup --data %s FILE,"
                            " where the file is named switchhook.db",
                            file, file, "FOLDER");
    return true;
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno != EINTR)
            return false;
        p += w > 0 ? w : 0;
        n -= w > 0 ? (size_t)w : 0;
    }
    return true;
}

static bool copy_bytes(struct restore *x, struct sh_error *err)
{
    char *block = sh_alloc(1, BLOCK_BYTES);
    struct stat st = {0};
    off_t done = 0;
    ssize_t n = 0;
    bool ok = fstat(x->from, &st) == 0;
    while (ok &&
           ((n = pread(x->from, block, BLOCK_BYTES, done)) > 0 || (n < 0 && errno == EINTR))) {
        if (n < 0)
            continue;
        if (!write_all(x->part.fd, block, (size_t)n))
            ok = sh_error_set(err, errno == ENOSPC ? SH_EFULL : SH_ESYS, "%s: %s", x->part.path,
                              errno == ENOSPC ? "no room on the disk" : strerror(errno));
        done += n;
        ok = ok && sh_store_watch(&x->r->watch, "copying",
                                  st.st_size ? (double)done / (double)st.st_size : 0, err);
    }
    free(block);
    if (ok && n < 0)
        ok = sh_error_set(err, SH_ESYS, "%s: %s", x->r->file, strerror(errno));
    return ok;
}

/* --- what it would do at the next start ------------------------------------------------------ */

static const struct {
    const char *name, *sql;
} next_start[] = {
    {"events", "SELECT count(*) FROM sh_unfinished"},
    {"retries", "SELECT count(*) FROM sh_runs WHERE outcome = 'retry'"},
    {"paused_runs", "SELECT count(*) FROM sh_runs WHERE outcome = 'paused'"},
    {"deliveries", "SELECT count(*) FROM sh_outbox WHERE state = 'queued'"},
    {"timers", "SELECT count(*) FROM sh_timers WHERE every IS NULL"},
    {"timers_due", "SELECT count(*) FROM sh_timers WHERE due_ms <= ?1"},
    {"callbacks",
     "SELECT count(*) FROM sh_callbacks WHERE status IN ('scheduled', 'snoozed', 'due')"},
    {"callbacks_due", "SELECT count(*) FROM sh_callbacks WHERE status IN ('scheduled', 'snoozed')"
                      " AND due_ms <= ?1"},
};

static bool count_next(struct restore *x, struct sh_error *err)
{
    cJSON *o = cJSON_AddObjectToObject(x->report, "next_start");
    for (size_t i = 0; i < sizeof(next_start) / sizeof(*next_start); i++) {
        int64_t n = 0;
        if (sh_store_number(x->copy, next_start[i].sql, sh_now_ms(), &n, err))
            cJSON_AddItemToObject(o, next_start[i].name, sh_json_int(n));
        else if (x->schema == SH_STORE_SCHEMA) /* an older one may not have the table */
            return false;
    }
    return true;
}

/* --- who may come in ------------------------------------------------------------------------- */

/* What a store has of a column of hashes or tokens: [hex texts]. NULL: it cannot be read. */
static cJSON *list_of(sqlite3 *db, const char *sql)
{
    struct sh_error ignored;
    sqlite3_stmt *st = sh_sqlite_prepare(db, sql, &ignored);
    cJSON *list = cJSON_CreateArray();
    int got = -1;
    while (st && (got = sh_sqlite_step(st, &ignored)) == 1) {
        char *text = sh_sqlite_dup(st, 0);
        cJSON_AddItemToArray(list, cJSON_CreateString(text ? text : ""));
        free(text);
    }
    sqlite3_finalize(st);
    if (got == 0)
        return list;
    cJSON_Delete(list);
    return NULL;
}

/* Run sql with ?1 = the list as JSON text; *n counts what went. */
static bool drop(sqlite3 *db, const char *sql, const cJSON *list, const char *name, cJSON *counts,
                 struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(db, sql, err);
    char *text = list ? cJSON_PrintUnformatted(list) : NULL;
    if (st && text)
        sh_sqlite_bind_str(st, 1, text);
    const bool ok = st && sh_sqlite_run(st, err);
    sqlite3_finalize(st);
    free(text);
    int64_t before = 0;
    (void)!sh_json_get_int(sh_json_member(counts, name), &before);
    cJSON_ReplaceItemInObject(counts, name, sh_json_int(before + (ok ? sqlite3_changes(db) : 0)));
    return ok;
}

#define NOT_IN_OLD " NOT IN (SELECT value FROM json_each(?1))"

/* What was revoked since the backup stays so, as far as the store that is replaced tells. */
static bool keep_revoked(struct restore *x, cJSON *counts, struct sh_error *err)
{
    struct stat st;
    if (stat(x->db, &st) != 0)
        return true;
    struct sh_error ignored = {0};
    const struct sh_sqlite_config c = {
        .path = x->db, .read_only = true, .cache_kib = 512, .busy_ms = 1000};
    sqlite3 *old = sh_sqlite_open(&c, &ignored);
    cJSON *tokens = old ? list_of(old, "SELECT hex(hash) FROM sh_tokens") : NULL;
    cJSON *feeds = old ? list_of(old, "SELECT token FROM sh_feeds") : NULL;
    sh_sqlite_close(old);
    cJSON_AddBoolToObject(x->report, "revoked_known", tokens && feeds);
    bool ok = (!tokens || drop(x->copy, "DELETE FROM sh_tokens WHERE hex(hash)" NOT_IN_OLD, tokens,
                               "tokens", counts, err)) &&
              (!feeds || drop(x->copy, "DELETE FROM sh_feeds WHERE token" NOT_IN_OLD, feeds,
                              "feeds", counts, err));
    cJSON_Delete(tokens);
    cJSON_Delete(feeds);
    return ok;
}

/* Whoever logged out, or was thrown out, since the backup must not be in again. */
static bool drop_keys(struct restore *x, struct sh_error *err)
{
    cJSON *counts = cJSON_AddObjectToObject(x->report, "dropped");
    static const char *const names[] = {"sessions", "tokens", "feeds"};
    for (size_t i = 0; i < 3; i++)
        cJSON_AddItemToObject(counts, names[i], sh_json_int(0));
    if (!drop(x->copy, "DELETE FROM sh_sessions", NULL, "sessions", counts, err))
        return false;
    if (!keep_revoked(x, counts, err))
        return false;
    if (x->r->drop_tokens &&
        (!drop(x->copy, "DELETE FROM sh_tokens", NULL, "tokens", counts, err) ||
         !drop(x->copy, "DELETE FROM sh_feeds", NULL, "feeds", counts, err)))
        return false;
    cJSON *names_left = list_of(x->copy, "SELECT name FROM sh_tokens ORDER BY name");
    cJSON_AddItemToObject(x->report, "tokens", names_left ? names_left : cJSON_CreateArray());
    return true;
}

static bool note_audit(struct restore *x, struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(x->copy, sh_store_sql[SH_ST_AUDIT_ADD], err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, sh_now_ms());
    sh_sqlite_bind_str(st, 2, x->r->who);
    sh_sqlite_bind_str(st, 3, "local");
    sh_sqlite_bind_null(st, 4);
    sh_sqlite_bind_str(st, 5, "store.restore");
    sh_sqlite_bind_str(st, 6, x->r->file);
    sh_sqlite_bind_null(st, 7);
    bool ok = sh_sqlite_run(st, err);
    sqlite3_finalize(st);
    return ok;
}

/* --- the old store -------------------------------------------------------------------------- */

/* A name that is free, and says when. */
static char *aside_name(const struct restore *x)
{
    char when[32];
    const time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
    for (int i = 1;; i++) {
        char *name = i == 1 ? sh_strf("%s.before-restore-%s", x->db, when)
                            : sh_strf("%s.before-restore-%s.%d", x->db, when, i);
        struct stat st;
        if (lstat(name, &st) != 0)
            return name;
        free(name);
    }
}

/* Its log into its file, so that it is one file. False: it cannot be, it is damaged, say. */
/* Is there nothing beside the file? Then it is whole as it is. To open it would turn one that was
 * restored before into one with a log, which makes a journal for a moment; killed in that moment it
 * could not be read until somebody who may write has taken that back. */
static bool is_alone(const struct restore *x)
{
    char *journal = sh_strf("%s-journal", x->db), *log = sh_strf("%s-wal", x->db);
    const bool alone = access(journal, F_OK) != 0 && access(log, F_OK) != 0;
    free(journal);
    free(log);
    return alone;
}

static bool fold(const struct restore *x, struct sh_error *err)
{
    if (is_alone(x))
        return true;
    const struct sh_sqlite_config c = {.path = x->db, .cache_kib = 2048, .busy_ms = 2000};
    sqlite3 *old = sh_sqlite_open(&c, err);
    const int rc =
        old ? sqlite3_wal_checkpoint_v2(old, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL)
            : SQLITE_ERROR;
    if (old && rc != SQLITE_OK)
        sh_sqlite_fail(old, rc, "its log cannot be folded in", err);
    sh_sqlite_close(old);
    return rc == SQLITE_OK && !has_log(x->db);
}

static bool second_name(const char *from, const char *to, struct sh_error *err)
{
    return link(from, to) == 0 || errno == ENOENT ||
           sh_error_set(err, SH_ESYS, "%s: cannot be kept as %s: %s", from, to, strerror(errno));
}

static void drop_logs(const struct restore *x)
{
    static const char *const ends[] = {"-wal", "-shm", "-journal"};
    for (size_t i = 0; i < 3; i++) {
        char *name = sh_strf("%s%s", x->db, ends[i]);
        unlink(name);
        free(name);
    }
}

/* Where it could not be folded, file and log cannot go in one step: first the file, then the log.
 */
static bool drop_unfolded(struct restore *x, const char *why, struct sh_error *err)
{
    cJSON_AddStringToObject(x->report, "kept_with_log", why);
    if (unlink(x->db) != 0)
        return sh_error_set(err, SH_ESYS, "%s: cannot be removed: %s", x->db, strerror(errno));
    drop_logs(x);
    return sh_store_sync_dir(x->r->dir, err);
}

/* The log gets its second name before SQLite opens it: one that it cannot read it would remove. */
static bool keep_as(struct restore *x, const char *aside, struct sh_error *err)
{
    struct sh_error why = {0};
    char *log = sh_strf("%s-wal", x->db), *log_aside = sh_strf("%s-wal", aside);
    bool ok = second_name(x->db, aside, err) && second_name(log, log_aside, err);
    const bool folded = ok && fold(x, &why);
    if (folded)
        unlink(log_aside);
    ok = ok && sh_store_sync_dir(x->r->dir, err) && (folded || drop_unfolded(x, why.msg, err));
    free(log);
    free(log_aside);
    return ok;
}

static bool keep_old(struct restore *x, struct sh_error *err)
{
    struct stat st;
    if (lstat(x->db, &st) != 0)
        return true;
    char *aside = aside_name(x);
    const bool ok = keep_as(x, aside, err);
    cJSON_ReplaceItemInObject(x->report, "kept_as", cJSON_CreateString(aside));
    free(aside);
    return ok;
}

/* --- restore -------------------------------------------------------------------------------- */

static bool check_place(const struct restore *x, struct sh_error *err)
{
    struct stat st;
    if (!x->r->replace && lstat(x->db, &st) == 0)
        return sh_error_set(err, SH_EBUSY,
                            "%s: there is a store already (--replace keeps it under another name"
                            " and puts the backup in its place)",
                            x->db);
    return true;
}

static bool take_lock(struct restore *x, struct sh_error *err)
{
    x->lock = sh_store_lock(x->r->dir, err);
    if (x->lock < 0 && err->code == SH_EBUSY)
        sh_error_set(err, SH_EBUSY,
                     "data folder %s: an engine is using it: stop it first, then restore",
                     x->r->dir);
    return x->lock >= 0;
}

static bool may_go(const struct restore *x)
{
    const cJSON *v = sh_json_member(x->report, "verify");
    return cJSON_IsTrue(sh_json_member(v, "ok")) ||
           (x->r->anyway && !cJSON_IsTrue(sh_json_member(v, "damaged")));
}

static bool look_at(struct restore *x, struct sh_error *err)
{
    if (!sh_store_known(x->copy, x->r->file, &x->schema, err) ||
        !sh_store_facts(x->copy, x->schema, x->report, err))
        return false;
    cJSON *v = sh_store_checks_brief(sh_store_checks(x->copy, x->schema, &x->r->watch, err));
    if (v)
        cJSON_AddItemToObject(x->report, "verify", v);
    return v && (!may_go(x) || count_next(x, err));
}

static void on_tick(void *arg)
{
    struct restore *x = arg;
    struct sh_error ignored; /* it ends before long, and is asked again then */
    (void)!sh_store_watch(&x->r->watch, "upgrading", 1, &ignored);
}

static bool change_copy(struct restore *x, struct sh_error *err)
{
    const struct sh_store_tick tick = {.fn = on_tick, .arg = x};
    if (x->schema < SH_STORE_SCHEMA &&
        !sh_store_upgrade(x->copy, x->r->file, SH_STORE_SCHEMA, &tick, err))
        return false;
    return sh_sqlite_exec(x->copy, "BEGIN", err) && drop_keys(x, err) && note_audit(x, err) &&
           sh_sqlite_exec(x->copy, "COMMIT", err) && sh_store_part_settle(x->copy, err);
}

static bool open_copy(struct restore *x, struct sh_error *err)
{
    x->copy = sh_store_part_db(&x->part, err);
    return x->copy || sh_store_is_none(x->r->file, err);
}

static bool put_in_place(struct restore *x, struct sh_error *err)
{
    char *path = sh_strf("%s.restore", x->db);
    bool ok = sh_store_part_open(&x->part, path, err) && copy_bytes(x, err) && open_copy(x, err) &&
              look_at(x, err);
    free(path);
    if (!ok || !may_go(x))
        return ok;
    ok = change_copy(x, err);
    sh_sqlite_close(x->copy);
    x->copy = NULL;
    ok = ok && sh_store_watch(&x->r->watch, "putting in place", 1, err) && keep_old(x, err) &&
         sh_store_part_place(&x->part, x->db, true, err);
    if (!ok)
        return false;
    drop_logs(x); /* of the old store: empty, or nobody's any more */
    cJSON_ReplaceItemInObject(x->report, "restored", cJSON_CreateTrue());
    return sh_store_sync_dir(x->r->dir, err);
}

static bool only_look(struct restore *x, struct sh_error *err)
{
    x->copy = sh_store_open_still(x->r->file, err);
    if (!x->copy)
        return sh_store_is_none(x->r->file, err);
    return sh_sqlite_exec(x->copy, "BEGIN", err) && look_at(x, err);
}

static bool within_folder(struct restore *x, struct sh_error *err)
{
    struct sh_owner was;
    bool ok = sh_store_make_dir(x->r->dir, err);
    if (!ok)
        return false;
    ok = sh_owner_enter(x->r->dir, &was, err) && take_lock(x, err) && check_place(x, err) &&
         put_in_place(x, err);
    sh_sqlite_close(x->copy);
    x->copy = NULL;
    sh_store_part_close(&x->part);
    if (x->lock >= 0)
        close(x->lock);
    sh_owner_leave(&was);
    return ok;
}

bool sh_store_restore(const struct sh_restore *r, cJSON **report, struct sh_error *err)
{
    struct restore x = {.r = r,
                        .db = sh_store_db_path(r->dir),
                        .from = -1,
                        .lock = -1,
                        .part.fd = -1,
                        .report = cJSON_CreateObject()};
    struct stat there;
    cJSON_AddStringToObject(x.report, "file", r->file);
    cJSON_AddStringToObject(x.report, "data", r->dir);
    cJSON_AddFalseToObject(x.report, "restored");
    cJSON_AddNullToObject(x.report, "kept_as");
    cJSON_AddBoolToObject(x.report, "store_there", lstat(x.db, &there) == 0);
    bool ok = open_backup(&x, err) && (r->dry ? only_look(&x, err) : within_folder(&x, err));
    sh_sqlite_close(x.copy);
    if (x.from >= 0)
        close(x.from);
    free(x.db);
    *report = ok ? x.report : NULL;
    if (!ok)
        cJSON_Delete(x.report);
    return ok;
}
