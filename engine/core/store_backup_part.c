/* SPDX-License-Identifier: MIT
 * store_backup_part.c: a database file that is made beside its place, and put there in one step. */
#include "core/store_backup_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

char *sh_store_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return sh_strdup(".");
    return slash == path ? sh_strdup("/") : sh_memdup(path, (size_t)(slash - path));
}

static void remove_with(const char *path, const char *end)
{
    char *name = sh_strf("%s%s", path, end);
    unlink(name);
    free(name);
}

/* Does the path still lead to the open file? Another may have put it in its place meanwhile. */
static bool is_there(const char *path, int fd)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && lstat(path, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

static int open_locked(const char *path, struct sh_error *err)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0) {
        sh_error_set(err, errno == ENOENT ? SH_ENOTFOUND : SH_ESYS, "%s: cannot be made: %s", path,
                     strerror(errno));
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 || !is_there(path, fd))
        sh_error_set(err, SH_EBUSY, "%s: another is making the same file right now", path);
    else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
             st.st_nlink != 1)
        sh_error_set(err, SH_EINVAL, "%s: is somebody else's: remove it, or take another name",
                     path);
    else if (ftruncate(fd, 0) != 0 || fchmod(fd, 0600) != 0)
        sh_error_set(err, SH_ESYS, "%s: %s", path, strerror(errno));
    else
        return fd;
    close(fd);
    return -1;
}

bool sh_store_part_open(struct sh_store_part *p, const char *path, struct sh_error *err)
{
    *p = (struct sh_store_part){.fd = open_locked(path, err)};
    if (p->fd < 0)
        return false;
    p->path = sh_strdup(path);
    remove_with(path, "-journal"); /* of one that was killed: SQLite would believe it */
    remove_with(path, "-wal");
    remove_with(path, "-shm");
    return true;
}

/* SQLite opens by name. Who owns the folder could put a link in the place of the name, and root
 * would write where it leads: so no links, and it is the file that was opened. */
sqlite3 *sh_store_part_db(const struct sh_store_part *p, struct sh_error *err)
{
    char *folder = sh_store_folder_of(p->path), *real = realpath(folder, NULL);
    const char *slash = strrchr(p->path, '/');
    char *path = sh_strf("%s/%s", real ? real : folder, slash ? slash + 1 : p->path);
    const struct sh_sqlite_config c = {
        .path = path, .scratch = true, .no_links = true, .cache_kib = 16384};
    sqlite3 *db = NULL;
    if (is_there(path, p->fd))
        db = sh_sqlite_open(&c, err);
    else
        sh_error_set(err, SH_EBUSY, "%s: another put something else in its place", p->path);
    free(path);
    free(real);
    free(folder);
    return db;
}

bool sh_store_part_settle(sqlite3 *db, struct sh_error *err)
{
    return sh_sqlite_exec(db, "PRAGMA journal_mode=DELETE", err);
}

/* The name in one step: rename(2), without losing what came there meanwhile. */
static bool move(const char *from, const char *to, bool replace, struct sh_error *err)
{
    if (replace ? rename(from, to) == 0
                : renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return true;
    if (!replace && errno == EINVAL) { /* this kind of disk cannot: look first */
        struct stat st;
        if (lstat(to, &st) != 0 && errno == ENOENT && rename(from, to) == 0)
            return true;
        errno = EEXIST;
    }
    if (errno == EEXIST)
        return sh_error_set(err, SH_EBUSY, "%s: came there meanwhile", to);
    return sh_error_set(err, SH_ESYS, "%s: cannot be put in place: %s", to, strerror(errno));
}

bool sh_store_part_place(struct sh_store_part *p, const char *file, bool replace,
                         struct sh_error *err)
{
    if (fsync(p->fd) != 0)
        return sh_error_set(err, errno == ENOSPC ? SH_EFULL : SH_ESYS,
                            "%s: does not get onto the disk: %s", p->path, strerror(errno));
    if (!move(p->path, file, replace, err))
        return false;
    char *folder = sh_store_folder_of(file);
    bool ok = sh_store_sync_dir(folder, err);
    free(folder);
    free(p->path);
    p->path = NULL;
    return ok;
}

void sh_store_part_close(struct sh_store_part *p)
{
    if (p->path) {
        unlink(p->path);
        remove_with(p->path, "-journal");
        remove_with(p->path, "-wal");
        remove_with(p->path, "-shm");
    }
    if (p->fd >= 0)
        close(p->fd);
    free(p->path);
    *p = (struct sh_store_part){.fd = -1};
}
