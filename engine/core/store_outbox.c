/* SPDX-License-Identifier: MIT
 * store_outbox.c: what waits to leave the machine: read lane by lane, marked with what became of
 * it, brought back, pruned. Queueing is in store_leave.c. */
#include "base/log.h"
#include "base/utf8.h"
#include "core/store_impl.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

/* --- verdicts ---------------------------------------------------------------- */

const char *sh_store_said(struct sh_buf *scratch, const char *text)
{
    struct sh_slice s = sh_slice_str(text);
    if (!text || (s.n <= SH_STORE_SAID_BYTES && sh_utf8_ok(s)))
        return text;
    sh_buf_init(scratch, SH_STORE_SAID_BYTES + 1);
    for (size_t at = 0, n; at < s.n && scratch->len + 4 <= SH_STORE_SAID_BYTES; at += n) {
        for (n = 1; n < 4 && at + n < s.n && ((uint8_t)s.p[at + n] & 0xc0) == 0x80; n++)
            ;
        if (sh_utf8_ok(sh_slice(s.p + at, n)))
            sh_buf_add(scratch, s.p + at, n);
        else
            sh_buf_adds(scratch, "\xef\xbf\xbd");
    }
    return scratch->data ? scratch->data : "";
}

static void add_text(struct sh_buf *out, const char *name, struct sh_slice text, bool none)
{
    sh_buf_addf(out, ",\"%s\":", name);
    if (none)
        sh_buf_adds(out, "null");
    else
        sh_json_quote(out, text);
}

static void add_column(struct sh_buf *out, const char *name, sqlite3_stmt *st, int i)
{
    add_text(out, name, sh_sqlite_text(st, i), sqlite3_column_type(st, i) == SQLITE_NULL);
}

/* st: at the row of SH_ST_DELIVERY_NOTIFY. */
static void put_body(struct sh_buf *out, sqlite3_stmt *st, const struct sh_op_delivery *op,
                     const char *error, const char *answer)
{
    sh_buf_adds(out, "{\"notify\":");
    sh_json_quote(out, sh_sqlite_text(st, 0));
    add_column(out, "kind", st, 1);
    add_column(out, "to", st, 2);
    if (op->status)
        sh_buf_addf(out, ",\"status\":%d", op->status);
    else
        sh_buf_adds(out, ",\"status\":null");
    sh_buf_addf(out, ",\"attempts\":%lld", (long long)sqlite3_column_int64(st, 3));
    add_text(out, "error", sh_slice_str(error), !error);
    add_text(out, "answer", sh_slice_str(answer), !answer);
    add_column(out, "idempotency_key", st, 4);
    add_column(out, "event_id", st, 5);
    add_column(out, "rule", st, 6);
    sh_buf_addc(out, '}');
}

/* Takes the body. Only an item that is queued ends, so each end is told once, whatever its dedupe
 * id; that id has a number of its own in it, so that the second end of an item that was redriven is
 * told too. */
static struct sh_event *end_event(struct sh_store *s, sqlite3_stmt *st,
                                  const struct sh_op_delivery *op, struct sh_buf *body)
{
    bool sent = op->state == SH_DELIVERY_SENT;
    int64_t now = sh_now_ms();
    struct sh_event *e = sh_event_new();
    struct sh_buf dedupe;
    char unique[SH_ID_TEXT];
    sh_buf_init(&dedupe, SH_MAX_DEDUPE_BYTES);
    sh_buf_addf(&dedupe, "delivery:%s:%s:%lld:%s", op->item_id, sent ? "sent" : "dead",
                (long long)sqlite3_column_int64(st, 3),
                sh_id_text(sh_id_next(&s->ids, now), unique));
    *e = (struct sh_event){.source = sh_strdup(SH_SOURCE_ENGINE),
                           .type = sh_strdup(sent ? "delivery_succeeded" : "delivery_failed"),
                           .key = sh_slice_dup(sh_sqlite_text(st, 7)),
                           .dedupe_id = sh_buf_take(&dedupe, NULL),
                           .received_ms = now,
                           .depth = (uint32_t)sqlite3_column_int64(st, 8) + 1,
                           .cause = sh_sqlite_dup(st, 5),
                           .trace = sh_sqlite_dup(st, 9)};
    e->body = sh_buf_take(body, &e->body_len);
    return e;
}

/* The event that tells rules of it, unless they have been telling each other in a circle. */
static bool tell(struct sh_store *s, struct sh_op_delivery *op, const char *error,
                 const char *answer, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_DELIVERY_NOTIFY, err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, op->item_id);
    int got = sh_sqlite_step(st, err);
    if (got != 1)
        return got == 0;
    if (sqlite3_column_int64(st, 8) >= SH_MAX_EMIT_DEPTH) {
        sqlite3_reset(st);
        sh_warn("no event tells of this delivery's end: it is too many steps away from the event"
                " that came in; do rules emit in a circle?",
                "item", op->item_id);
        return true;
    }
    struct sh_buf body;
    sh_buf_init(&body, SH_MAX_DOC_BYTES);
    put_body(&body, st, op, error, answer);
    if (!sh_buf_ok(&body)) {
        sqlite3_reset(st);
        sh_buf_free(&body);
        sh_warn("no event tells of this delivery's end: it would be too long", "item", op->item_id);
        return true;
    }
    struct sh_event **list = NULL, *e = end_event(s, st, op, &body);
    size_t n = 0;
    sqlite3_reset(st);
    bool ok = sh_store_emit(s, e, &list, &n, err);
    op->emitted = n ? list[0] : NULL;
    free(list);
    return ok;
}

static bool set_lane(struct sh_store *s, const struct sh_op_delivery *op, const char *why,
                     struct sh_error *err)
{
    bool paused = op->lane_until_ms > 0;
    sqlite3_stmt *st = sh_store_stmt(&s->w, paused ? SH_ST_LANE_SET : SH_ST_LANE_DEL, err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, op->lane);
    if (paused) {
        sh_sqlite_bind_int(st, 2, op->lane_until_ms);
        sh_sqlite_bind_str(st, 3, why);
    }
    return sh_sqlite_run(st, err);
}

/* 1: written; *told: rules want to hear of the item's end. 0: no such item is queued. -1: failed.
 */
static int update_item(struct sh_store *s, const struct sh_op_delivery *op, const char *error,
                       const char *answer, bool *told, struct sh_error *err)
{
    static const char *const states[] = {NULL, "sent", "queued", "dead"};
    bool sent = op->state == SH_DELIVERY_SENT, retry = op->state == SH_DELIVERY_RETRY;
    bool charged = !(retry && op->uncharged);
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_DELIVERY, err);
    if (!st)
        return -1;
    sqlite3_clear_bindings(st);
    sh_sqlite_bind_str(st, 1, op->item_id);
    sh_sqlite_bind_str(st, 2, states[op->state]);
    sh_sqlite_bind_int(st, 3, charged);
    if (retry)
        sh_sqlite_bind_int(st, 4, charged ? op->next_ms : 0);
    sh_sqlite_bind_str(st, sent ? 6 : 5, error);
    if (sent)
        sh_sqlite_bind_int(st, 7, sh_now_ms());
    if (op->status)
        sh_sqlite_bind_int(st, 8, op->status);
    sh_sqlite_bind_str(st, 9, answer);
    sh_sqlite_bind_str(st, 10, op->recipients);
    int got = sh_sqlite_step(st, err), end = got;
    *told = got == 1 && sqlite3_column_int64(st, 0) != 0 && !retry;
    if (got == 1)
        end = sh_sqlite_run(st, err) ? 0 : -1;
    return end < 0 ? -1 : got;
}

bool sh_store_delivery(struct sh_store *s, struct sh_op_delivery *op, struct sh_error *err)
{
    struct sh_buf buf_error = {0}, buf_answer = {0};
    bool told = false, ok;
    if (op->state < SH_DELIVERY_SENT || op->state > SH_DELIVERY_DEAD)
        return sh_error_set(err, SH_EINVAL, "delivery state %d is none", (int)op->state);
    if (op->state == SH_DELIVERY_RETRY && !op->uncharged && op->next_ms <= 0)
        return sh_error_set(err, SH_EINVAL, "outbox item \"%s\": a retry needs its time",
                            op->item_id);
    const char *error = sh_store_said(&buf_error, op->error),
               *answer = sh_store_said(&buf_answer, op->answer);
    int got = update_item(s, op, error, answer, &told, err);
    ok = got >= 0;
    if (got == 0) /* nothing was written: companions need no second try */
        sh_error_set(&op->op.err, SH_ENOTFOUND, "outbox item \"%s\" is not queued", op->item_id);
    if (got == 1)
        ok = (!op->lane || set_lane(s, op, error, err)) &&
             (!told || tell(s, op, op->state == SH_DELIVERY_SENT ? NULL : error, answer, err));
    sh_buf_free(&buf_error);
    sh_buf_free(&buf_answer);
    return ok;
}

/* --- away -------------------------------------------------------------------- */

bool sh_store_prune_outbox(struct sh_store *s, struct sh_op_prune *op, size_t limit,
                           struct sh_error *err)
{
    int64_t now = sh_now_ms();
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_PRUNE_OUTBOX, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, op->before_ms);
    sh_sqlite_bind_int(st, 2, (int64_t)limit);
    if (!sh_sqlite_run(st, err))
        return false;
    op->removed += (size_t)sqlite3_changes(s->w.db);
    /* a pause that is still on stays, however far ahead the caller's clock is */
    if (!(st = sh_store_stmt(&s->w, SH_ST_PRUNE_LANES, err)))
        return false;
    sh_sqlite_bind_int(st, 1, op->before_ms < now ? op->before_ms : now);
    return sh_sqlite_run(st, err);
}

/* --- what is due ------------------------------------------------------------- */

void sh_outbox_items_free(struct sh_outbox_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(items[i].id);
        free(items[i].kind);
        free(items[i].key);
        free(items[i].event_id);
        free(items[i].rule);
        free(items[i].lane);
        free(items[i].trace);
        free(items[i].payload);
        free(items[i].recipients);
    }
    free(items);
}

struct fetch { /* one SH_OP_OUTBOX under way */
    struct sh_op_outbox *op;
    const struct sh_lane_want **wants; /* by lane */
    size_t bytes;
    bool full; /* the bound on bytes is reached */
    char *lane;
    int64_t lane_until_ms;
};

static void add_item(struct fetch *f, sqlite3_stmt *st)
{
    struct sh_op_outbox *op = f->op;
    if ((op->n_items & (op->n_items - 1)) == 0)
        op->items = sh_realloc(op->items, (op->n_items ? op->n_items * 2 : 1) * sizeof(*op->items));
    op->items[op->n_items++] = (struct sh_outbox_item){
        .id = sh_sqlite_dup(st, 0),
        .kind = sh_sqlite_dup(st, 1),
        .key = sh_sqlite_dup(st, 2),
        .event_id = sh_sqlite_dup(st, 3),
        .rule = sh_sqlite_dup(st, 4),
        .lane = sh_strdup(f->lane),
        .payload = sh_sqlite_dup(st, 5),
        .recipients = sh_sqlite_dup(st, 6),
        .seq = sqlite3_column_int64(st, 7),
        .attempts = (uint32_t)sqlite3_column_int64(st, 8),
        .created_ms = sqlite3_column_int64(st, 9),
        .since_ms = sqlite3_column_int64(st, 10),
        .trace = sh_sqlite_dup(st, 11),
        .lane_until_ms = f->lane_until_ms,
    };
}

/* Items of f->lane, behind or up to `bound` as the statement says, at most *limit, which becomes
 * what is left of it. */
static bool take(struct sh_store *s, struct fetch *f, enum sh_stmt which, int64_t bound,
                 size_t *limit, struct sh_error *err)
{
    sqlite3_stmt *st = *limit && !f->full ? sh_store_stmt(s->r, which, err) : NULL;
    if (!st)
        return !*limit || f->full;
    sh_sqlite_bind_str(st, 1, f->lane);
    sh_sqlite_bind_int(st, 2, bound);
    sh_sqlite_bind_int(st, 3, (int64_t)*limit);
    int got;
    while ((got = sh_sqlite_step(st, err)) == 1) {
        size_t bytes = (size_t)sqlite3_column_bytes(st, 5);
        f->full = f->op->max_bytes && f->op->n_items && f->bytes + bytes > f->op->max_bytes;
        if (f->full) {
            sqlite3_reset(st);
            return true;
        }
        f->bytes += bytes;
        add_item(f, st);
        --*limit;
    }
    return got == 0;
}

static int by_lane(const void *a, const void *b)
{
    const struct sh_lane_want *const *x = a, *const *y = b;
    return strcmp((*x)->lane, (*y)->lane);
}

static const struct sh_lane_want *want_of(const struct fetch *f)
{
    const struct sh_lane_want key = {.lane = f->lane}, *p = &key;
    const struct sh_lane_want **hit =
        f->wants ? bsearch(&p, f->wants, f->op->n_wants, sizeof(*f->wants), by_lane) : NULL;
    return hit ? *hit : NULL;
}

static bool take_lane(struct sh_store *s, struct fetch *f, struct sh_error *err)
{
    const struct sh_lane_want *want = want_of(f);
    size_t limit = want ? want->limit : f->op->limit;
    int64_t after = want ? want->after_seq : 0;
    bool fresh_first = want && want->fresh_first;
    return (!fresh_first || take(s, f, SH_ST_OUTBOX_FRESH, after, &limit, err)) &&
           take(s, f, SH_ST_OUTBOX_RETRIES, f->op->before_ms, &limit, err) &&
           (fresh_first || take(s, f, SH_ST_OUTBOX_FRESH, after, &limit, err));
}

/* f->lane becomes the next one with something queued. 1: there is one. 0: none. -1: failed. */
static int next_lane(struct sh_store *s, struct fetch *f, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(s->r, SH_ST_OUTBOX_LANE, err);
    if (!st)
        return -1;
    sh_sqlite_bind_str(st, 1, f->lane ? f->lane : "");
    int got = sh_sqlite_step(st, err);
    if (got != 1)
        return got;
    char *lane = sh_sqlite_dup(st, 0);
    f->lane_until_ms = sqlite3_column_int64(st, 1);
    sqlite3_reset(st); /* it has f->lane bound */
    free(f->lane);
    f->lane = lane;
    return 1;
}

static bool next_due(struct sh_store *s, struct sh_op_outbox *op, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(s->r, SH_ST_OUTBOX_NEXT, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, op->before_ms);
    return sh_sqlite_int(st, &op->next_due_ms, err);
}

static bool take_all(struct sh_store *s, struct fetch *f, struct sh_error *err)
{
    int got = 0;
    while (!f->full && (got = next_lane(s, f, err)) == 1)
        if (!take_lane(s, f, err))
            return false;
    return got >= 0 && next_due(s, f->op, err);
}

bool sh_store_outbox(struct sh_store *s, struct sh_op_outbox *op, struct sh_error *err)
{
    struct fetch f = {.op = op};
    op->items = NULL;
    op->n_items = 0;
    op->next_due_ms = 0;
    /* one view of the store: else an item that is put back between two questions came twice */
    if (!sh_store_do(s->r, SH_ST_READ_BEGIN, err))
        return false;
    if (op->n_wants)
        f.wants = sh_alloc(op->n_wants, sizeof(*f.wants));
    for (size_t i = 0; i < op->n_wants; i++)
        f.wants[i] = &op->wants[i];
    if (f.wants)
        qsort(f.wants, op->n_wants, sizeof(*f.wants), by_lane);
    bool ok = take_all(s, &f, err);
    ok = sh_store_do(s->r, SH_ST_COMMIT, ok ? err : &(struct sh_error){0}) && ok;
    if (!sqlite3_get_autocommit(s->r->db))
        sqlite3_exec(s->r->db, "ROLLBACK", NULL, NULL, NULL);
    free(f.lane);
    free(f.wants);
    if (ok)
        return true;
    sh_outbox_items_free(op->items, op->n_items);
    op->items = NULL;
    op->n_items = 0;
    return false;
}
