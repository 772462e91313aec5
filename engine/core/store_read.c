/* SPDX-License-Identifier: MIT
 * store_read.c: operations of the reader: a run's questions, work left, counts. */
#include "core/store_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- a run's questions ------------------------------------------------------- */

static bool get_record(struct sh_store_conn *c, const struct sh_read_request *q, uint64_t *mark,
                       uint64_t *n, struct sh_buf *rows, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(c, rows ? SH_ST_RECORD_GET : SH_ST_RECORD_VERSION, err);
    *mark = *n = 0;
    if (!st)
        return false;
    sh_sqlite_bind_text(st, 1, q->collection);
    sh_sqlite_bind_text(st, 2, q->id);
    int got = sh_sqlite_step(st, err);
    if (got != 1)
        return got == 0;
    *n = 1;
    *mark = (uint64_t)sqlite3_column_int64(st, rows ? 1 : 0);
    if (rows) {
        sh_buf_bytes(rows, q->id);
        sh_buf_bytes(rows, sh_sqlite_text(st, 0));
    }
    sqlite3_reset(st);
    return true;
}

bool sh_store_ask(struct sh_store_conn *c, const struct sh_read_request *q, uint64_t *mark,
                  uint64_t *n, struct sh_buf *rows, struct sh_error *err)
{
    if (!sh_store_collection_ok(q->collection, err))
        return false;
    switch (q->kind) {
    case SH_READ_GET:
        return sh_store_record_id_ok(q->id, err) && get_record(c, q, mark, n, rows, err);
    case SH_READ_FIND:
        return sh_store_find(c, q, mark, n, rows, err);
    default:
        return sh_error_set(err, SH_EINVAL, "the store has no read of kind %d", (int)q->kind);
    }
}

static bool read_op(struct sh_store *s, struct sh_op_read *op, struct sh_error *err)
{
    struct sh_buf rows;
    uint64_t mark = 0, n = 0;
    sh_buf_init(&rows, SH_STORE_ANSWER_BYTES);
    sh_buf_init(&op->answer, SH_STORE_ANSWER_BYTES + 64);
    bool ok = sh_store_ask(s->r, &op->request, &mark, &n, &rows, err);
    if (!ok && sh_store_dooms_batch(err->code)) {
        sh_buf_free(&rows);
        return false;
    }
    sh_buf_u8(&op->answer, ok);
    if (ok) {
        sh_buf_u64(&op->answer, mark);
        sh_buf_uint(&op->answer, n);
        sh_buf_add(&op->answer, rows.data, rows.len);
    } else { /* the question was at fault: the rule hears it */
        sh_buf_bytes(&op->answer, sh_slice_str(err->msg));
    }
    sh_buf_free(&rows);
    return true;
}

/* --- work left --------------------------------------------------------------- */

struct sh_event *sh_store_event_of(sqlite3_stmt *st)
{
    struct sh_event *e = sh_event_new();
    struct sh_slice id = sh_sqlite_text(st, 1), body = sh_sqlite_text(st, 9);
    sh_require(sh_id_parse(id.p, id.n, &e->id));
    e->source = sh_sqlite_dup(st, 2);
    e->type = sh_sqlite_dup(st, 3);
    e->key = sh_sqlite_dup(st, 4);
    e->dedupe_id = sh_sqlite_dup(st, 5);
    e->received_ms = sqlite3_column_int64(st, 6);
    e->depth = (uint32_t)sqlite3_column_int64(st, 7);
    e->cause = sh_sqlite_dup(st, 8);
    e->body = sh_slice_dup(body);
    e->body_len = body.n;
    e->due_ms = sqlite3_column_int64(st, 10);
    e->format = (enum sh_body_format)sqlite3_column_int(st, 11);
    e->occurred_ms = sqlite3_column_int64(st, 12);
    e->trace = sh_sqlite_dup(st, 13);
    return e;
}

static void add_rule(struct sh_pending *p, char *rule)
{
    if ((p->n_rules & (p->n_rules - 1)) == 0)
        p->rules = sh_realloc(p->rules, (p->n_rules ? p->n_rules * 2 : 1) * sizeof(*p->rules));
    p->rules[p->n_rules++] = rule;
}

static bool add_settled_rules(struct sh_store *s, struct sh_pending *p, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(s->r, SH_ST_RULES_OF, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, sh_id_order(p->event->id));
    int got;
    while ((got = sh_sqlite_step(st, err)) == 1)
        add_rule(p, sh_sqlite_dup(st, 0));
    return got == 0;
}

/* Rows of either kind into op->items, up to the bound on bytes. */
static bool collect(struct sh_store *s, struct sh_op_pending *op, sqlite3_stmt *st,
                    struct sh_error *err)
{
    bool retries = op->op.kind == SH_OP_RETRIES, ok = true;
    size_t bytes = 0, cap = 0;
    int got = 0;
    while (ok && (got = sh_sqlite_step(st, err)) == 1) {
        size_t body = (size_t)sqlite3_column_bytes(st, 9);
        if (op->n_items > 0 && op->max_bytes && bytes + body > op->max_bytes)
            break;
        bytes += body;
        if (op->n_items == cap) {
            cap = cap ? cap * 2 : 16;
            op->items = sh_realloc(op->items, cap * sizeof(*op->items));
        }
        struct sh_pending *p = &op->items[op->n_items++];
        *p = (struct sh_pending){.event = sh_store_event_of(st)};
        if (retries) {
            add_rule(p, sh_sqlite_dup(st, 14));
            p->attempt = (uint32_t)sqlite3_column_int64(st, 15);
        } else {
            ok = add_settled_rules(s, p, err);
        }
    }
    sqlite3_reset(st);
    return ok && got >= 0;
}

static bool next_retry(struct sh_store *s, struct sh_op_pending *op, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(s->r, SH_ST_RETRIES_NEXT, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, op->before_ms);
    return sh_sqlite_int(st, &op->next_due_ms, err);
}

static bool pending_op(struct sh_store *s, struct sh_op_pending *op, struct sh_error *err)
{
    bool retries = op->op.kind == SH_OP_RETRIES;
    op->items = NULL;
    op->n_items = 0;
    op->next_due_ms = 0;
    sqlite3_stmt *st = sh_store_stmt(s->r, retries ? SH_ST_RETRIES : SH_ST_PENDING, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, retries ? op->before_ms : op->after_order);
    sh_sqlite_bind_int(st, 2, (int64_t)op->limit);
    if (collect(s, op, st, err) && (!retries || next_retry(s, op, err)))
        return true;
    sh_pending_free(op->items, op->n_items);
    op->items = NULL;
    op->n_items = 0;
    return false;
}

void sh_pending_free(struct sh_pending *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sh_event_free(items[i].event);
        for (size_t r = 0; r < items[i].n_rules; r++)
            free(items[i].rules[r]);
        free(items[i].rules);
    }
    free(items);
}

/* --- all of it ---------------------------------------------------------------- */

static bool count_callbacks(struct sh_store *s, struct sh_op_count *op, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(s->r, SH_ST_CALLBACK_COUNTS, err);
    int got;
    if (!st)
        return false;
    while ((got = sh_sqlite_step(st, err)) == 1) {
        const struct sh_slice status = sh_sqlite_text(st, 0);
        int64_t *n = sh_slice_eq(status, SH_SLICE("scheduled")) ? &op->callbacks.scheduled
                     : sh_slice_eq(status, SH_SLICE("snoozed")) ? &op->callbacks.snoozed
                     : sh_slice_eq(status, SH_SLICE("due"))     ? &op->callbacks.due
                                                                : &op->callbacks.missed;
        *n = sqlite3_column_int64(st, 1);
    }
    return got == 0;
}

static bool count_op(struct sh_store *s, struct sh_op_count *op, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(s->r, SH_ST_COUNTS, err);
    if (!st || sh_sqlite_step(st, err) != 1)
        return false;
    op->unfinished = sqlite3_column_int64(st, 0);
    op->retries = sqlite3_column_int64(st, 1);
    op->dead_runs = sqlite3_column_int64(st, 2);
    op->queued = sqlite3_column_int64(st, 3);
    op->dead_items = sqlite3_column_int64(st, 4);
    op->timers = sqlite3_column_int64(st, 5);
    op->paused_rules = sqlite3_column_int64(st, 6);
    op->kept_runs = sqlite3_column_int64(st, 7);
    sqlite3_reset(st);
    return count_callbacks(s, op, err);
}

static bool oldest_op(struct sh_store *s, struct sh_op_oldest *op, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(s->r, SH_ST_OLDEST, err);
    int got;
    if (!st)
        return false;
    op->event = op->retry = op->item = (struct sh_oldest){0};
    while ((got = sh_sqlite_step(st, err)) == 1) {
        const int kind = sqlite3_column_int(st, 0);
        struct sh_oldest *o = kind == 1 ? &op->event : kind == 2 ? &op->retry : &op->item;
        struct sh_slice id = sh_sqlite_text(st, 2);
        o->since_ms = sqlite3_column_int64(st, 1);
        snprintf(o->id, sizeof(o->id), "%.*s", (int)id.n, id.p);
    }
    return got == 0;
}

void sh_store_read_op(struct sh_store *s, struct sh_op *op)
{
    struct sh_error err = {0};
    op->ok = false;
    if (sh_store_get_fatal(s, &err)) {
        op->err = err;
        return;
    }
    switch (op->kind) {
    case SH_OP_READ:
        op->ok = read_op(s, (struct sh_op_read *)op, &err);
        break;
    case SH_OP_PENDING:
    case SH_OP_RETRIES:
        op->ok = pending_op(s, (struct sh_op_pending *)op, &err);
        break;
    case SH_OP_OUTBOX:
        op->ok = sh_store_outbox(s, (struct sh_op_outbox *)op, &err);
        break;
    case SH_OP_FEED:
        op->ok = sh_store_feed(s, (struct sh_op_feed *)op, &err);
        break;
    case SH_OP_COUNT:
        op->ok = count_op(s, (struct sh_op_count *)op, &err);
        break;
    case SH_OP_OLDEST:
        op->ok = oldest_op(s, (struct sh_op_oldest *)op, &err);
        break;
    case SH_OP_TOKENS:
        op->ok = sh_store_tokens(s, (struct sh_op_tokens *)op, &err);
        break;
    case SH_OP_SESSIONS:
        op->ok = sh_store_sessions(s, (struct sh_op_sessions *)op, &err);
        break;
    default:
        sh_error_set(&err, SH_EINVAL, "the reader has no operation %d", (int)op->kind);
    }
    if (op->ok)
        return;
    op->err = err;
    if (err.code == SH_EFATAL)
        sh_store_set_fatal(s, &err);
}
