/* SPDX-License-Identifier: MIT
 * store_schema.c: the data folder, its lock, connections, the check after an unclean end. */
#include "core/store_impl.h"
#include "core/store_migrate.h"
#include "base/log.h"
#include "svc/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_TRIES    50  /* 20 ms apart */
#define CLOSE_BUSY_MS 200 /* for who still reads when the store is closed */

char *sh_store_db_path(const char *dir)
{
    return sh_strf("%s/switchhook.db", dir);
}

bool sh_store_sync_dir(const char *dir, struct sh_error *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return sh_error_set(err, SH_ESYS, "data folder %s: open: %s", dir, strerror(errno));
    bool ok = fsync(fd) == 0;
    if (!ok)
        sh_error_set(err, SH_ESYS, "data folder %s: fsync: %s", dir, strerror(errno));
    close(fd);
    return ok;
}

bool sh_store_make_dir(const char *dir, struct sh_error *err)
{
    struct stat st;
    if (stat(dir, &st) == 0)
        return S_ISDIR(st.st_mode) ||
               sh_error_set(err, SH_ESYS, "data folder %s: is not a folder", dir);
    char *parent = sh_strdup(dir);
    char *slash = strrchr(parent, '/');
    while (slash && slash > parent && !slash[1]) { /* a slash at the end */
        *slash = '\0';
        slash = strrchr(parent, '/');
    }
    if (slash)
        slash[slash == parent] = '\0';
    bool ok = !slash || sh_store_make_dir(parent, err);
    if (ok && mkdir(dir, 0700) != 0 && errno != EEXIST)
        ok = sh_error_set(err, SH_ESYS, "data folder %s: cannot be made: %s", dir, strerror(errno));
    ok = ok && sh_store_sync_dir(slash ? parent : ".", err);
    free(parent);
    return ok;
}

/* An engine that was killed may still be on its way out, held up by a write. */
static bool take_lock(int fd)
{
    const struct timespec nap = {.tv_nsec = 20000000};
    for (int tries = 0; tries < LOCK_TRIES; tries++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK)
            return false;
        nanosleep(&nap, NULL);
    }
    errno = EWOULDBLOCK;
    return false;
}

int sh_store_lock(const char *dir, struct sh_error *err)
{
    char *path = sh_strf("%s/lock", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        sh_error_set(err, SH_ESYS, "lock file %s: %s", path, strerror(errno));
    } else if (!take_lock(fd)) {
        if (errno == EWOULDBLOCK)
            sh_error_set(err, SH_EBUSY, "data folder %s: another engine is using it", dir);
        else
            sh_error_set(err, SH_ESYS, "lock file %s: flock: %s", path, strerror(errno));
        close(fd);
        fd = -1;
    }
    free(path);
    return fd;
}

sqlite3_stmt *sh_store_stmt(struct sh_store_conn *c, enum sh_stmt which, struct sh_error *err)
{
    if (!c->st[which]) {
        const unsigned before = c->touched;
        c->touched = 0;
        c->st[which] = sh_sqlite_prepare(c->db, sh_store_sql[which], err);
        c->topics[which] = (uint8_t)c->touched;
        c->touched = before;
    }
    c->touched |= c->topics[which];
    return c->st[which];
}

bool sh_store_do(struct sh_store_conn *c, enum sh_stmt which, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(c, which, err);
    return st && sh_sqlite_run(st, err);
}

void sh_store_conn_close(struct sh_store_conn *c)
{
    for (size_t i = 0; i < SH_ST_COUNT; i++)
        sqlite3_finalize(c->st[i]);
    for (size_t i = 0; i < SH_STORE_FINDS; i++) {
        sqlite3_finalize(c->finds[i].st);
        free(c->finds[i].sql);
    }
    sh_sqlite_close(c->db);
    *c = (struct sh_store_conn){0};
}

bool sh_store_check(sqlite3 *db, struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(db, "PRAGMA quick_check(3)", err);
    if (!st)
        return false;
    bool ok = true;
    int got;
    while ((got = sh_sqlite_step(st, err)) == 1) {
        struct sh_slice said = sh_sqlite_text(st, 0);
        if (ok && !sh_slice_eq(said, SH_SLICE("ok")))
            ok = sh_error_set(err, SH_EFATAL, "the database is damaged: %.*s",
                              said.n > 300 ? 300 : (int)said.n, said.p);
    }
    sqlite3_finalize(st);
    return ok && got == 0;
}

/* Ids go on behind the largest ever given, record versions behind the last block reserved. */
static bool load_counters(struct sh_store *s, struct sh_error *err)
{
    int64_t last = 0, versions = 0;
    uint8_t seed[16];
    if (!sh_store_ask_int(s->w.db, "SELECT max(seq) FROM sh_events", &last, err) ||
        !sh_store_ask_int(s->w.db, "SELECT value FROM sh_meta WHERE name = 'record_versions'",
                          &versions, err))
        return false;
    sh_random(seed, sizeof(seed));
    sh_id_maker_init(&s->ids, last, seed);
    s->version = s->version_limit = s->version_kept = (uint64_t)versions;
    return true;
}

static sqlite3 *connect(struct sh_store *s, bool read_only, int cache_kib, struct sh_error *err)
{
    const struct sh_sqlite_config c = {.path = s->path,
                                       .vfs = s->config.vfs,
                                       .read_only = read_only,
                                       .cache_kib = cache_kib,
                                       .busy_ms = 5000};
    return sh_sqlite_open(&c, err);
}

/* A log that is still there was not folded in by a clean close. */
static bool ended_unclean(const struct sh_store *s)
{
    char *wal = sh_strf("%s-wal", s->path);
    struct stat st;
    bool unclean = stat(wal, &st) == 0 && st.st_size > 0;
    free(wal);
    return unclean;
}

/* The log makes a kill or a power cut harmless; the check looks for what the disk itself may have
 * done. It must not keep the engine from starting. */
static bool check_now(struct sh_store *s, struct sh_error *err)
{
    struct stat st;
    if (stat(s->path, &st) != 0)
        return true;
    if (st.st_size > SH_STORE_CHECK_MAX) { /* a long check would hold the log for too long */
        sh_warn("the database is too large to be checked after an unclean end", "file", s->path,
                "by_hand", "switchhook verify");
        return true;
    }
    if (st.st_size > SH_STORE_CHECK_BYTES) {
        s->check_later = s->config.threads;
        return true;
    }
    struct sh_error why = {0};
    if (sh_store_check(s->w.db, &why))
        return true;
    return sh_error_set(err, SH_EFATAL, "%s: %s", s->path, why.msg);
}

/* The folder may have been made by somebody else, open to all (systemd does so): the files are not.
 * SQLite gives its log the rights of the database. What cannot be done here it will say itself. */
static void keep_from_others(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;
    if (fd >= 0)
        close(fd);
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        char *file = sh_strf("%s%s", path, ends[i]);
        if (stat(file, &st) == 0 && (st.st_mode & S_IRWXO) &&
            chmod(file, st.st_mode & 0777 & ~(mode_t)S_IRWXO) != 0)
            sh_warn("others on this machine may read the store: chmod o-rwx", "file", file);
        free(file);
    }
}

/* Not to begin an empty store where one was being put back: an engine that is started by itself
 * would take events into it. */
static bool restore_is_over(const struct sh_store *s, struct sh_error *err)
{
    char *begun = sh_strf("%s.restore", s->path);
    const bool over = access(s->path, F_OK) == 0 || access(begun, F_OK) != 0;
    if (!over)
        sh_error_set(err, SH_EBUSY,
                     "%s: a restore was broken off here: run it again, or remove %s to begin with"
                     " an empty store",
                     s->config.dir, begun);
    free(begun);
    return over;
}

static bool open_file(struct sh_store *s, struct sh_error *err)
{
    if (!s->config.shared) {
        if (!sh_store_make_dir(s->config.dir, err))
            return false;
        s->lock_fd = sh_store_lock(s->config.dir, err);
        if (s->lock_fd < 0)
            return false;
    }
    s->path = sh_store_db_path(s->config.dir);
    if (!s->config.shared &&
        !sqlite3_temp_directory) /* what SQLite puts aside stays with the rest */
        sqlite3_temp_directory = sqlite3_mprintf("%s", s->config.dir);
    if (s->config.shared && access(s->path, F_OK) != 0)
        return sh_error_set(err, SH_ENOTFOUND, "%s: no store there", s->config.dir);
    if (!s->config.shared && !restore_is_over(s, err))
        return false;
    if (!s->config.shared)
        keep_from_others(s->path);
    bool unclean = !s->config.shared && ended_unclean(s);
    s->w.db = connect(s, false, 32768, err);
    if (!s->w.db || !sh_store_migrate(s->w.db, s->path, s->config.shared, err))
        return false;
    return !unclean || check_now(s, err);
}

bool sh_store_disk_open(struct sh_store *s, struct sh_error *err)
{
    if (s->config.dir) {
        if (!open_file(s, err))
            return false;
    } else {
        s->w.db = connect(s, false, 32768, err);
        if (!s->w.db || !sh_store_migrate(s->w.db, "memory", false, err))
            return false;
    }
    sh_store_changes_watch(&s->w);
    s->r = &s->w;
    if (s->config.shared)
        return true; /* what follows is the engine's to know and to change */
    if (!load_counters(s, err) || !sh_store_views_load(s, err) || !sh_store_dedupe_load(s, err) ||
        !sh_store_rules_recover(s, err) || !sh_store_gone_load(s, err))
        return false;
    if (!s->config.threads)
        return true;
    s->r = &s->rd;
    s->rd.db = connect(s, true, 4096, err);
    s->ckpt = s->rd.db ? connect(s, false, 256, err) : NULL;
    if (!s->ckpt)
        return false;
    sqlite3_busy_timeout(s->ckpt, SH_STORE_GATE_MS);
    s->sync_fd = open(s->path, O_RDONLY | O_CLOEXEC);
    return true;
}

void sh_store_disk_close(struct sh_store *s)
{
    sh_store_conn_close(&s->rd);
    sh_sqlite_close(s->ckpt);
    s->ckpt = NULL;
    const bool leave = s->leave_log || s->fatal.code != SH_OK; /* the next start recovers */
    if (s->w.db) /* a backup or a browser that reads on keeps the log; it is not waited for */
        sqlite3_busy_timeout(s->w.db, CLOSE_BUSY_MS);
    if (s->w.db && s->path && !s->config.shared && !leave)
        sqlite3_wal_checkpoint_v2(s->w.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (s->w.db && leave)
        sqlite3_db_config(s->w.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sh_store_conn_close(&s->w);
    if (s->sync_fd >= 0)
        close(s->sync_fd);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    s->sync_fd = s->lock_fd = -1;
    free(s->path);
    s->path = NULL;
}
