/* SPDX-License-Identifier: MIT
 * fault_disk.h: a disk that fails when a test says so: a VFS named "shim" between SQLite and the
 * files fails the Nth write, read or fsync. */
#ifndef FAULT_DISK_H
#define FAULT_DISK_H

#include <sqlite3.h>
#include <stdatomic.h>

enum fault { NONE, WRITE_EIO, WRITE_FULL, SYNC_EIO, READ_EIO };

/* What fails: the at-th operation of the kind on files whose open flags meet `files`. */
static struct {
    _Atomic int kind, at, files;
    _Atomic bool for_ever; /* and every one after it */
    _Atomic int hits;
} plan;

struct file {
    sqlite3_file base;
    int flags;
    sqlite3_file *real;
};

static sqlite3_vfs *os, shim;

static bool strikes(struct file *f, enum fault a, enum fault b)
{
    enum fault kind = (enum fault)plan.kind;
    if ((kind != a && kind != b) || !(f->flags & plan.files))
        return false;
    int left = atomic_fetch_sub(&plan.at, 1);
    bool hit = left == 1 || (left < 1 && plan.for_ever);
    plan.hits += hit;
    return hit;
}

static int x_close(sqlite3_file *f)
{
    struct file *w = (struct file *)f;
    return w->real->pMethods->xClose(w->real);
}

static int x_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    struct file *w = (struct file *)f;
    if (strikes(w, READ_EIO, READ_EIO))
        return SQLITE_IOERR_READ;
    return w->real->pMethods->xRead(w->real, p, n, at);
}

static int x_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    struct file *w = (struct file *)f;
    enum fault kind = (enum fault)plan.kind;
    if (strikes(w, WRITE_EIO, WRITE_FULL)) { /* half of it gets there */
        w->real->pMethods->xWrite(w->real, p, n / 2, at);
        return kind == WRITE_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    }
    return w->real->pMethods->xWrite(w->real, p, n, at);
}

static int x_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct file *w = (struct file *)f;
    return w->real->pMethods->xTruncate(w->real, size);
}

static int x_sync(sqlite3_file *f, int flags)
{
    struct file *w = (struct file *)f;
    if (strikes(w, SYNC_EIO, SYNC_EIO))
        return SQLITE_IOERR_FSYNC;
    return w->real->pMethods->xSync(w->real, flags);
}

#define PASS(name, params, args)                                                                   \
    static int name params                                                                         \
    {                                                                                              \
        sqlite3_file *r = ((struct file *)f)->real;                                                \
        return r->pMethods->args;                                                                  \
    }
PASS(x_file_size, (sqlite3_file * f, sqlite3_int64 *size), xFileSize(r, size))
PASS(x_lock, (sqlite3_file * f, int l), xLock(r, l))
PASS(x_unlock, (sqlite3_file * f, int l), xUnlock(r, l))
PASS(x_check_lock, (sqlite3_file * f, int *out), xCheckReservedLock(r, out))
PASS(x_control, (sqlite3_file * f, int op, void *arg), xFileControl(r, op, arg))
PASS(x_sector, (sqlite3_file * f), xSectorSize(r))
PASS(x_device, (sqlite3_file * f), xDeviceCharacteristics(r))
PASS(x_shm_map, (sqlite3_file * f, int i, int n, int x, void volatile **p), xShmMap(r, i, n, x, p))
PASS(x_shm_lock, (sqlite3_file * f, int at, int n, int flags), xShmLock(r, at, n, flags))
PASS(x_shm_unmap, (sqlite3_file * f, int del), xShmUnmap(r, del))

static void x_shm_barrier(sqlite3_file *f)
{
    sqlite3_file *r = ((struct file *)f)->real;
    r->pMethods->xShmBarrier(r);
}

static const sqlite3_io_methods methods = {
    2,          x_close,       x_read,       x_write,   x_truncate, x_sync,   x_file_size,
    x_lock,     x_unlock,      x_check_lock, x_control, x_sector,   x_device, x_shm_map,
    x_shm_lock, x_shm_barrier, x_shm_unmap,  NULL,      NULL};

static int x_open(sqlite3_vfs *v, sqlite3_filename name, sqlite3_file *f, int flags, int *out)
{
    (void)v;
    struct file *w = (struct file *)f;
    w->real = (sqlite3_file *)(void *)(w + 1);
    w->flags = flags;
    int rc = os->xOpen(os, name, w->real, flags, out);
    w->base.pMethods = w->real->pMethods ? &methods : NULL;
    return rc;
}

static int register_shim(void **state)
{
    (void)state;
    os = sqlite3_vfs_find(NULL);
    shim = *os;
    shim.zName = "shim";
    shim.pNext = NULL;
    shim.szOsFile = (int)sizeof(struct file) + os->szOsFile;
    shim.xOpen = x_open;
    return sqlite3_vfs_register(&shim, 0);
}

static void arm(enum fault kind, int at, bool for_ever, int files)
{
    plan.kind = NONE;
    plan.at = at;
    plan.for_ever = for_ever;
    plan.files = files ? files : ~0;
    plan.hits = 0;
    plan.kind = kind;
}

#endif
