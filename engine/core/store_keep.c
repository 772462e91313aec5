/* SPDX-License-Identifier: MIT
 * store_keep.c: the checkpointer, and the check that a big file still owes after an unclean end.
 *
 * A checkpoint copies the log (WAL) into the database file. It runs beside the writer, so that no
 * commit waits for it; but beside a busy writer the log never ends, and a log that is never copied
 * to its end is never started afresh. So: copy what is there beside the writer until little is
 * left, then hold the writer back (the gate) for one short last step, after which the next commit
 * starts at the log's beginning. */
#include "core/store_impl.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS    8   /* copies beside the writer before the gate is closed */
#define FEW_PAGES 128 /* a rest worth holding the writer for: 512 KiB */

/* Copy. *copied: pages of the log that are in the database file now. *whole: that is all of them,
 * and, with RESTART, the log starts afresh. True: all is well or will be tried again. A busy one
 * waits as long as s->ckpt may: the gate is closed meanwhile, and a browser that keeps a
 * transaction open must not stop the writer. */
static bool checkpoint(struct sh_store *s, int mode, int *copied, bool *whole)
{
    int total = 0;
    *copied = 0;
    int rc = sqlite3_wal_checkpoint_v2(s->ckpt, NULL, mode, &total, copied);
    *whole = rc == SQLITE_OK && *copied == total;
    if (rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY)
        return true;
    struct sh_error err;
    sh_sqlite_fail(s->ckpt, rc, "checkpoint", &err);
    if (err.code == SH_EFATAL)
        sh_store_set_fatal(s, &err);
    else if ((rc & 0xff) != SQLITE_INTERRUPT)
        /* a full disk, say: the log stays the truth, and grows until this works again */
        sh_warn("checkpoint failed", "error", err.msg);
    return false;
}

/* Bring the copied pages to the disk while the writer goes on: SQLite does so only at the end of a
 * complete copy, with the gate closed, and then all of it at once. A failure shows there too. */
static void sync_early(const struct sh_store *s)
{
    if (s->sync_fd >= 0 && fdatasync(s->sync_fd) != 0)
        sh_debug("early sync failed", "error", strerror(errno));
}

static int log_pages(struct sh_store *s)
{
    pthread_mutex_lock(&s->keep_mu);
    int pages = s->wal_pages;
    pthread_mutex_unlock(&s->keep_mu);
    return pages;
}

static void close_gate(struct sh_store *s)
{
    pthread_mutex_lock(&s->keep_mu);
    s->gate = true;
    while (s->writing)
        pthread_cond_wait(&s->keep_cond, &s->keep_mu);
    pthread_mutex_unlock(&s->keep_mu);
}

static void open_gate(struct sh_store *s)
{
    pthread_mutex_lock(&s->keep_mu);
    s->gate = false;
    pthread_cond_broadcast(&s->keep_cond);
    pthread_mutex_unlock(&s->keep_mu);
}

/* False: try again later. */
static bool fold(struct sh_store *s)
{
    int copied = 0;
    bool done = false;
    for (int i = 0; i < ROUNDS; i++) {
        if (!checkpoint(s, SQLITE_CHECKPOINT_PASSIVE, &copied, &done))
            return false;
        sync_early(s);
        if (log_pages(s) - copied < FEW_PAGES) /* counts what came meanwhile */
            break;
    }
    close_gate(s);
    bool ok = checkpoint(s, SQLITE_CHECKPOINT_RESTART, &copied, &done);
    done = done && ok;
    if (done) {
        pthread_mutex_lock(&s->keep_mu);
        s->wal_pages = 0;
        pthread_mutex_unlock(&s->keep_mu);
    }
    open_gate(s);
    return done;
}

static void check_owed(struct sh_store *s)
{
    struct sh_error err = {0};
    sh_info("checking the database after an unclean end", "file", s->path);
    if (sh_store_check(s->ckpt, &err))
        sh_info("database checked: no damage", "file", s->path);
    else if (err.code == SH_EFATAL)
        sh_store_set_fatal(s, &err);
    else
        sh_warn("database not checked", "error", err.msg);
}

/* Waits until the log is long. False: stop. */
static bool wait_for_work(struct sh_store *s, bool failed)
{
    pthread_mutex_lock(&s->keep_mu);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    if (failed) /* try again in a second, however long the log is */
        while (!s->keep_stop && pthread_cond_timedwait(&s->keep_cond, &s->keep_mu, &until) == 0)
            ;
    while (!s->keep_stop && s->wal_pages <= SH_STORE_WAL_PAGES)
        pthread_cond_wait(&s->keep_cond, &s->keep_mu);
    bool go = !s->keep_stop;
    pthread_mutex_unlock(&s->keep_mu);
    return go;
}

void *sh_store_keeper_main(void *store)
{
    struct sh_store *s = store;
    pthread_setname_np(pthread_self(), "store-keeper");
    if (s->check_later)
        check_owed(s);
    bool failed = false;
    while (wait_for_work(s, failed)) {
        struct sh_error err;
        failed = sh_store_get_fatal(s, &err) || !fold(s);
    }
    return NULL;
}
