/* SPDX-License-Identifier: MIT
 * store_scrub.c: what is removed is gone from the disk, and what was under way for a forgotten
 * event has no effects.
 *
 * SQLite leaves old bytes in pages that are free, and between the cells of pages that are not.
 * VACUUM writes every page anew; the log then holds both, and is emptied. */
#include "core/forget_impl.h"

#include <stdlib.h>

#define LOG_WAIT_MS 200 /* for readers of an older state; whoever asked asks again */

static bool vacuum(struct sh_store *s, struct sh_error *err)
{
    int attached = sqlite3_limit(s->w.db, SQLITE_LIMIT_ATTACHED, 1); /* the new file */
    bool ok = sh_sqlite_exec(s->w.db, "VACUUM", err);
    sqlite3_limit(s->w.db, SQLITE_LIMIT_ATTACHED, attached);
    return ok;
}

static bool empty_log(struct sh_store *s, struct sh_error *err)
{
    sqlite3_busy_timeout(s->w.db, LOG_WAIT_MS);
    int rc = sqlite3_wal_checkpoint_v2(s->w.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(s->w.db, 5000);
    if (rc != SQLITE_OK)
        return sh_sqlite_fail(s->w.db, rc, "the write-ahead log cannot be emptied", err);
    pthread_mutex_lock(&s->keep_mu);
    s->wal_pages = 0;
    pthread_mutex_unlock(&s->keep_mu);
    return true;
}

void sh_store_scrub(struct sh_store *s, struct sh_op_scrub *op)
{
    struct sh_error err = {0};
    if (!s->path) /* in memory */
        return;
    op->op.ok = (op->log_only || vacuum(s, &err)) && empty_log(s, &err);
    op->op.err = err;
    if (err.code == SH_EFATAL)
        sh_store_set_fatal(s, &err);
}

/* --- events that are forgotten while they are under way --------------------------------- */

struct sh_store_gone {
    int64_t seq;
    bool is, kept; /* kept: committed so */
    UT_hash_handle hh;
};

void sh_store_gone_add(struct sh_store *s, int64_t seq)
{
    struct sh_store_gone *g;
    HASH_FIND(hh, s->gone, &seq, sizeof(seq), g);
    if (!g) {
        g = sh_alloc(1, sizeof(*g));
        g->seq = seq;
        HASH_ADD(hh, s->gone, seq, sizeof(g->seq), g);
    }
    g->is = true;
    s->gone_fresh = true;
}

bool sh_store_is_gone(const struct sh_store *s, int64_t seq)
{
    const struct sh_store_gone *g = NULL;
    if (s->gone)
        HASH_FIND(hh, s->gone, &seq, sizeof(seq), g);
    return g && g->is;
}

void sh_store_gone_end(struct sh_store *s, bool committed)
{
    if (!s->gone_fresh)
        return;
    s->gone_fresh = false;
    for (struct sh_store_gone *g = s->gone; g; g = g->hh.next) {
        g->kept = g->kept || (committed && g->is);
        g->is = g->kept;
    }
}

void sh_store_gone_free(struct sh_store *s)
{
    struct sh_store_gone *g = s->gone, *next;
    HASH_CLEAR(hh, s->gone);
    for (; g; g = next) {
        next = g->hh.next;
        free(g);
    }
}

bool sh_store_gone_load(struct sh_store *s, struct sh_error *err)
{
    return sh_sqlite_exec(s->w.db,
                          "DELETE FROM sh_unfinished WHERE seq IN (SELECT seq FROM sh_forgotten);"
                          "DELETE FROM sh_forgotten",
                          err);
}

bool sh_store_settle_gone(struct sh_store *s, struct sh_op_settle *op, struct sh_error *err)
{
    int64_t seq = sh_id_order(op->event_id);
    for (size_t i = 0; i < op->n_runs; i++) {
        op->runs[i].outcome = SH_RUN_DONE;
        op->runs[i].rule_state = sh_store_rule_state(s, op->runs[i].rule);
    }
    return !op->closes ||
           (sh_forget_run(s, "DELETE FROM sh_unfinished WHERE seq = ?1", seq, 0, NULL, err) &&
            sh_forget_run(s, "DELETE FROM sh_forgotten WHERE seq = ?1", seq, 0, NULL, err));
}
