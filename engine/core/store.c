/* SPDX-License-Identifier: MIT
 * store.c: life of a store, its threads and queues. */
#include "core/store_impl.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

/* --- fatal state ------------------------------------------------------------- */

void sh_store_set_fatal(struct sh_store *s, const struct sh_error *err)
{
    pthread_mutex_lock(&s->fatal_mu);
    bool first = s->fatal.code == SH_OK;
    if (first)
        s->fatal = *err;
    pthread_mutex_unlock(&s->fatal_mu);
    if (first)
        sh_err("store can no longer be trusted", "error", err->msg);
}

bool sh_store_get_fatal(struct sh_store *s, struct sh_error *err)
{
    pthread_mutex_lock(&s->fatal_mu);
    bool is = s->fatal.code != SH_OK;
    if (is)
        *err = s->fatal;
    pthread_mutex_unlock(&s->fatal_mu);
    return is;
}

/* --- queues ------------------------------------------------------------------ */

static void queue_init(struct sh_store_queue *q)
{
    pthread_mutex_init(&q->mu, NULL);
    pthread_cond_init(&q->more, NULL);
}

static void queue_clear(struct sh_store_queue *q)
{
    pthread_mutex_destroy(&q->mu);
    pthread_cond_destroy(&q->more);
}

static void queue_push(struct sh_store_queue *q, struct sh_op *op)
{
    op->next = NULL;
    pthread_mutex_lock(&q->mu);
    bool was_empty = !q->head;
    if (was_empty)
        q->head = op;
    else
        q->tail->next = op;
    q->tail = op;
    q->n++;
    if (was_empty)
        pthread_cond_signal(&q->more);
    pthread_mutex_unlock(&q->mu);
}

/* Up to max operations, in order, as a list; waits for the first. NULL: stopped and empty. */
static struct sh_op *queue_take(struct sh_store_queue *q, size_t max)
{
    pthread_mutex_lock(&q->mu);
    while (!q->head && !q->stop)
        pthread_cond_wait(&q->more, &q->mu);
    struct sh_op *first = q->head, *last = first;
    if (first) {
        size_t n = 1;
        while (last->next && n < max) {
            last = last->next;
            n++;
        }
        q->head = last->next;
        q->n -= n;
        last->next = NULL;
    }
    pthread_mutex_unlock(&q->mu);
    return first;
}

static void queue_stop(struct sh_store_queue *q)
{
    pthread_mutex_lock(&q->mu);
    q->stop = true;
    pthread_cond_broadcast(&q->more);
    pthread_mutex_unlock(&q->mu);
}

static void finished(struct sh_store *s, struct sh_op *ops)
{
    struct sh_op *last = ops;
    while (last->next)
        last = last->next;
    pthread_mutex_lock(&s->done_mu);
    if (s->done_head)
        s->done_tail->next = ops;
    else
        s->done_head = ops;
    s->done_tail = last;
    pthread_mutex_unlock(&s->done_mu);
    if (s->config.wake)
        s->config.wake(s->config.wake_arg);
}

/* --- threads ----------------------------------------------------------------- */

static void *writer_main(void *store)
{
    struct sh_store *s = store;
    struct sh_op *ops;
    pthread_setname_np(pthread_self(), "store-writer");
    while ((ops = queue_take(&s->wq, SH_STORE_BATCH))) {
        atomic_store(&s->batch_us, sh_mono_us());
        sh_store_batch(s, ops);
        atomic_store(&s->batch_us, 0);
        finished(s, ops);
    }
    return NULL;
}

static void *reader_main(void *store)
{
    struct sh_store *s = store;
    struct sh_op *op;
    pthread_setname_np(pthread_self(), "store-reader");
    while ((op = queue_take(&s->rq, 1))) {
        sh_store_read_op(s, op);
        finished(s, op);
    }
    return NULL;
}

/* The writer is held back only while the checkpointer closes the gate for its last small step. */
void sh_store_write_begin(struct sh_store *s)
{
    if (!s->threads_up)
        return;
    pthread_mutex_lock(&s->keep_mu);
    while (s->gate)
        pthread_cond_wait(&s->keep_cond, &s->keep_mu);
    s->writing = true;
    pthread_mutex_unlock(&s->keep_mu);
}

void sh_store_write_end(struct sh_store *s)
{
    if (!s->threads_up)
        return;
    pthread_mutex_lock(&s->keep_mu);
    s->writing = false;
    if (s->gate || s->wal_pages > SH_STORE_WAL_PAGES)
        pthread_cond_broadcast(&s->keep_cond);
    pthread_mutex_unlock(&s->keep_mu);
}

void sh_store_note_batch(struct sh_store *s, size_t n, int64_t us)
{
    if (!s->threads_up)
        return;
    pthread_mutex_lock(&s->keep_mu);
    sh_histogram_note(&s->stats.commit, &sh_bounds_wait, us);
    sh_histogram_note(&s->stats.batch, &sh_bounds_size, (int64_t)n);
    pthread_mutex_unlock(&s->keep_mu);
}

static int on_wal(void *store, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    struct sh_store *s = store;
    pthread_mutex_lock(&s->keep_mu);
    s->wal_pages = pages;
    s->commits++;
    pthread_mutex_unlock(&s->keep_mu);
    return SQLITE_OK;
}

static void start_threads(struct sh_store *s)
{
    sqlite3_wal_hook(s->w.db, on_wal, s);
    s->threads_up = true;
    if (pthread_create(&s->writer, NULL, writer_main, s) ||
        pthread_create(&s->reader, NULL, reader_main, s) ||
        pthread_create(&s->keeper, NULL, sh_store_keeper_main, s))
        sh_die("store: no thread can be started");
}

static void stop_threads(struct sh_store *s)
{
    if (!s->threads_up)
        return;
    queue_stop(&s->wq);
    queue_stop(&s->rq);
    pthread_join(s->writer, NULL);
    pthread_join(s->reader, NULL);
    pthread_mutex_lock(&s->keep_mu);
    s->keep_stop = true;
    pthread_cond_broadcast(&s->keep_cond);
    pthread_mutex_unlock(&s->keep_mu);
    if (s->ckpt)
        sqlite3_interrupt(s->ckpt);
    pthread_join(s->keeper, NULL);
    s->threads_up = false;
}

/* --- life -------------------------------------------------------------------- */

static bool config_ok(const struct sh_store_config *c, struct sh_error *err)
{
    if (c->threads && !c->dir)
        return sh_error_set(err, SH_EINVAL, "a store in memory has no threads");
    if (c->shared && (c->threads || !c->dir))
        return sh_error_set(err, SH_EINVAL, "a shared store has a folder and no threads");
    return true;
}

struct sh_store *sh_store_open(const struct sh_store_config *config, struct sh_error *err)
{
    if (!config_ok(config, err))
        return NULL;
    struct sh_store *s = sh_alloc(1, sizeof(*s));
    s->config = *config;
    s->config.dir = sh_strdup(config->dir);
    s->lock_fd = s->sync_fd = -1;
    s->dedupe = sh_store_dedupe_new();
    s->dedupe_move_at = SH_STORE_DEDUPE_MOVE;
    s->views = sh_store_views_new();
    s->rules = sh_store_rules_new();
    sh_buf_init(&s->brief, SH_STORE_BRIEF_BYTES);
    sh_buf_init(&s->doc, (size_t)SH_MAX_DOC_BYTES);
    sh_buf_init(&s->held.doc, SH_MAX_DOC_BYTES);
    sh_buf_init(&s->held.name, SH_MAX_COLLECTION_BYTES + SH_MAX_RECORD_ID_BYTES);
    queue_init(&s->wq);
    queue_init(&s->rq);
    pthread_mutex_init(&s->done_mu, NULL);
    pthread_mutex_init(&s->fatal_mu, NULL);
    pthread_mutex_init(&s->keep_mu, NULL);
    pthread_cond_init(&s->keep_cond, NULL);
    if (!sh_store_disk_open(s, err)) {
        sh_store_close(s);
        return NULL;
    }
    if (config->threads)
        start_threads(s);
    return s;
}

void sh_store_close(struct sh_store *s)
{
    if (!s)
        return;
    stop_threads(s);
    sh_store_disk_close(s);
    sh_store_dedupe_free(s->dedupe);
    sh_store_views_free(s->views);
    sh_store_rules_free(s->rules);
    sh_store_gone_free(s);
    free(s->fx);
    sh_buf_free(&s->brief);
    sh_buf_free(&s->doc);
    sh_buf_free(&s->held.doc);
    sh_buf_free(&s->held.name);
    queue_clear(&s->wq);
    queue_clear(&s->rq);
    pthread_mutex_destroy(&s->done_mu);
    pthread_mutex_destroy(&s->fatal_mu);
    pthread_mutex_destroy(&s->keep_mu);
    pthread_cond_destroy(&s->keep_cond);
    free((char *)s->config.dir);
    free(s);
}

/* --- operations -------------------------------------------------------------- */

static bool for_reader(const struct sh_op *op)
{
    return op->kind >= SH_OP_READ;
}

void sh_store_submit(struct sh_store *s, struct sh_op *op)
{
    op->ok = false;
    op->err = (struct sh_error){0};
    if (s->threads_up) {
        queue_push(for_reader(op) ? &s->rq : &s->wq, op);
        return;
    }
    op->next = NULL;
    if (for_reader(op))
        sh_store_read_op(s, op);
    else
        sh_store_batch(s, op);
    finished(s, op);
}

void sh_store_reap(struct sh_store *s)
{
    pthread_mutex_lock(&s->done_mu);
    struct sh_op *op = s->done_head;
    s->done_head = s->done_tail = NULL;
    pthread_mutex_unlock(&s->done_mu);
    while (op) {
        struct sh_op *next = op->next;
        op->next = NULL;
        if (op->done)
            op->done(op);
        op = next;
    }
}

int64_t sh_store_commits(struct sh_store *s)
{
    pthread_mutex_lock(&s->keep_mu);
    int64_t n = s->commits;
    pthread_mutex_unlock(&s->keep_mu);
    return n;
}

void sh_store_stats(struct sh_store *s, struct sh_store_stats *out)
{
    pthread_mutex_lock(&s->keep_mu);
    *out = s->stats;
    pthread_mutex_unlock(&s->keep_mu);
}

bool sh_store_failed(struct sh_store *s, struct sh_error *err)
{
    return sh_store_get_fatal(s, err);
}

void sh_store_leave_log(struct sh_store *s)
{
    if (s)
        s->leave_log = true;
}

int64_t sh_store_busy_ms(struct sh_store *s)
{
    const int64_t since_us = atomic_load(&s->batch_us);
    return since_us ? (sh_mono_us() - since_us) / 1000 : 0;
}

size_t sh_store_waiting(struct sh_store *s)
{
    pthread_mutex_lock(&s->wq.mu);
    size_t n = s->wq.n;
    pthread_mutex_unlock(&s->wq.mu);
    return n;
}
