/* SPDX-License-Identifier: MIT
 * store_kit.h: what the store's tests share: a temporary folder, operations that wait for their
 * end, effects and reads made by hand. */
#ifndef STORE_KIT_H
#define STORE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/limits.h"
#include "core/store.h"
#include "svc/json.h"
#include "svc/sqlite.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIT __attribute__((unused)) static

/* --- folder ------------------------------------------------------------------ */

struct kit {
    char dir[64]; /* "/tmp/sh-store-XXXXXX/data" */
    struct sh_store *s;
    pthread_mutex_t mu;
    pthread_cond_t woken;
    int wakes;
};

KIT void kit_wake(void *arg)
{
    struct kit *k = arg;
    pthread_mutex_lock(&k->mu);
    k->wakes++;
    pthread_cond_signal(&k->woken);
    pthread_mutex_unlock(&k->mu);
}

KIT void kit_remove_dir(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    char path[512];
    while (d && (e = readdir(d))) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        if (e->d_type == DT_DIR)
            kit_remove_dir(path);
        else
            unlink(path);
    }
    if (d)
        closedir(d);
    rmdir(dir);
}

KIT void kit_init(struct kit *k)
{
    memset(k, 0, sizeof(*k));
    snprintf(k->dir, sizeof(k->dir), "/tmp/sh-store-XXXXXX");
    assert_non_null(mkdtemp(k->dir));
    strcat(k->dir, "/data");
    pthread_mutex_init(&k->mu, NULL);
    pthread_cond_init(&k->woken, NULL);
}

KIT struct sh_store_config kit_config(struct kit *k, bool threads, const char *vfs)
{
    return (struct sh_store_config){
        .dir = k->dir, .threads = threads, .wake = kit_wake, .wake_arg = k, .vfs = vfs};
}

KIT void kit_open_as(struct kit *k, bool threads, const char *vfs)
{
    struct sh_error err = {0};
    struct sh_store_config c = kit_config(k, threads, vfs);
    k->s = sh_store_open(&c, &err);
    if (!k->s)
        fail_msg("open: %s", err.msg);
}

KIT void kit_open(struct kit *k)
{
    kit_open_as(k, false, NULL);
}

KIT void kit_close(struct kit *k)
{
    sh_store_close(k->s);
    k->s = NULL;
}

KIT void kit_end(struct kit *k)
{
    kit_close(k);
    *strrchr(k->dir, '/') = '\0';
    kit_remove_dir(k->dir);
    pthread_mutex_destroy(&k->mu);
    pthread_cond_destroy(&k->woken);
}

/* --- operations -------------------------------------------------------------- */

KIT void kit_count_done(struct sh_op *op)
{
    ++*(size_t *)op->arg;
}

/* Who asks, where a test does not say. */
static const struct sh_audit kit_audit = {.who = "kit", .role = "local"};

/* Submit all, then reap until all are done. */
KIT void kit_run_all(struct kit *k, struct sh_op **ops, size_t n)
{
    size_t done = 0;
    for (size_t i = 0; i < n; i++) {
        if (sh_op_is_asked(ops[i]->kind) && !ops[i]->audit)
            ops[i]->audit = &kit_audit;
        ops[i]->done = kit_count_done;
        ops[i]->arg = &done;
        sh_store_submit(k->s, ops[i]);
    }
    for (;;) {
        sh_store_reap(k->s);
        if (done == n)
            return;
        pthread_mutex_lock(&k->mu);
        while (!k->wakes)
            pthread_cond_wait(&k->woken, &k->mu);
        k->wakes = 0;
        pthread_mutex_unlock(&k->mu);
    }
}

KIT bool kit_run(struct kit *k, struct sh_op *op)
{
    kit_run_all(k, &op, 1);
    return op->ok;
}

KIT struct sh_event *kit_event(const char *key, const char *dedupe, const char *body)
{
    struct sh_event *e = sh_event_new();
    e->source = sh_strdup("webphone");
    e->type = sh_strdup("call_start");
    e->key = sh_strdup(key);
    e->dedupe_id = sh_strdup(dedupe);
    e->received_ms = sh_now_ms();
    e->body = sh_strdup(body);
    e->body_len = strlen(body);
    return e;
}

/* Accept one event and give its id. */
KIT struct sh_id kit_accept(struct kit *k, const char *dedupe)
{
    struct sh_op_accept op = {.op.kind = SH_OP_ACCEPT};
    op.event = kit_event("k", dedupe, "{\"a\":1}");
    if (!kit_run(k, &op.op))
        fail_msg("accept: %s", op.op.err.msg);
    struct sh_id id = op.duplicate ? op.first_id : op.event->id;
    sh_event_free(op.event);
    return id;
}

/* --- runs -------------------------------------------------------------------- */

#define KIT_RUNS 8
struct kit_settle {
    struct sh_op_settle op;
    struct sh_run runs[KIT_RUNS];
    struct sh_buf fx[KIT_RUNS], reads[KIT_RUNS];
};

KIT void kit_settle_init(struct kit_settle *s, struct sh_id event)
{
    memset(s, 0, sizeof(*s));
    s->op = (struct sh_op_settle){.op.kind = SH_OP_SETTLE,
                                  .event_id = event,
                                  .event_source = SH_SLICE("webphone"),
                                  .event_type = SH_SLICE("call_start"),
                                  .event_key = SH_SLICE("k"),
                                  .generation = "0123456789abcdef",
                                  .runs = s->runs,
                                  .closes = true};
    for (size_t i = 0; i < KIT_RUNS; i++) {
        sh_buf_init(&s->fx[i], 8 << 20);
        sh_buf_init(&s->reads[i], 32 << 20);
    }
}

KIT struct sh_run *kit_add_run(struct kit_settle *s, const char *rule, enum sh_outcome outcome)
{
    struct sh_run *r = &s->runs[s->op.n_runs++];
    *r = (struct sh_run){.rule = sh_slice_str(rule),
                         .outcome = outcome,
                         .attempt = 1,
                         .now_ms = sh_now_ms(),
                         .duration_us = 1500};
    return r;
}

/* The last run asks for this too. */
KIT void kit_fx(struct kit_settle *s, struct sh_effect fx)
{
    size_t i = s->op.n_runs - 1;
    sh_effect_write(&s->fx[i], &fx);
    s->runs[i].n_effects++;
    s->runs[i].effects = sh_slice(s->fx[i].data, s->fx[i].len);
}

KIT void kit_saw(struct kit_settle *s, struct sh_read_request q, uint64_t mark)
{
    size_t i = s->op.n_runs - 1;
    sh_read_mark_write(&s->reads[i], &(struct sh_read_mark){.request = q, .mark = mark});
    s->runs[i].n_reads++;
    s->runs[i].reads = sh_slice(s->reads[i].data, s->reads[i].len);
}

/* The last run looked this up over HTTP. */
KIT void kit_looked_up(struct kit_settle *s, const char *call, const char *answer)
{
    size_t i = s->op.n_runs - 1;
    const struct sh_read_mark m = {.request = {.kind = SH_READ_HTTP, .query = sh_slice_str(call)},
                                   .answer = sh_slice_str(answer)};
    sh_read_mark_write(&s->reads[i], &m);
    s->runs[i].n_reads++;
    s->runs[i].reads = sh_slice(s->reads[i].data, s->reads[i].len);
}

KIT struct sh_effect kit_put(const char *collection, const char *id, const char *doc)
{
    return (struct sh_effect){.kind = SH_FX_PUT,
                              .collection = sh_slice_str(collection),
                              .id = sh_slice_str(id),
                              .doc = sh_slice_str(doc)};
}

KIT struct sh_effect kit_patch(const char *collection, const char *id, const char *doc)
{
    struct sh_effect fx = kit_put(collection, id, doc);
    fx.kind = SH_FX_PATCH;
    return fx;
}

KIT struct sh_effect kit_delete(const char *collection, const char *id)
{
    return (struct sh_effect){
        .kind = SH_FX_DELETE, .collection = sh_slice_str(collection), .id = sh_slice_str(id)};
}

KIT struct sh_effect kit_incr(const char *collection, const char *id, const char *field, int64_t n)
{
    return (struct sh_effect){.kind = SH_FX_INCR,
                              .collection = sh_slice_str(collection),
                              .id = sh_slice_str(id),
                              .field = sh_slice_str(field),
                              .is_int = true,
                              .n_int = n};
}

KIT struct sh_effect kit_leave(enum sh_effect_kind kind, const char *type, const char *doc)
{
    return (struct sh_effect){
        .kind = kind, .collection = sh_slice_str(type), .doc = sh_slice_str(doc)};
}

KIT void kit_settle_free(struct kit_settle *s)
{
    sh_op_settle_clear(&s->op);
    for (size_t i = 0; i < KIT_RUNS; i++) {
        sh_buf_free(&s->fx[i]);
        sh_buf_free(&s->reads[i]);
    }
}

/* A new event, settled with one run of one effect; the outcome that the store gave it. */
KIT enum sh_outcome kit_apply(struct kit *k, struct sh_effect fx, char *error, size_t size)
{
    static int n;
    char dedupe[32];
    struct kit_settle s;
    snprintf(dedupe, sizeof(dedupe), "apply-%d-%d", (int)getpid(), n++);
    kit_settle_init(&s, kit_accept(k, dedupe));
    struct sh_run *r = kit_add_run(&s, "rule", SH_RUN_DONE);
    kit_fx(&s, fx);
    if (!kit_run(k, &s.op.op))
        fail_msg("settle: %s", s.op.op.err.msg);
    enum sh_outcome o = r->outcome;
    if (error)
        snprintf(error, size, "%s", s.op.run_errors ? s.op.run_errors[0] : "");
    kit_settle_free(&s);
    return o;
}

/* --- reads ------------------------------------------------------------------- */

struct kit_answer {
    bool ok;
    uint64_t mark, n;
    char text[4096]; /* the message, or "id=doc;id=doc;" */
};

KIT struct kit_answer kit_ask(struct kit *k, struct sh_read_request q)
{
    struct kit_answer a = {0};
    struct sh_op_read op = {.op.kind = SH_OP_READ, .request = q};
    if (!kit_run(k, &op.op))
        fail_msg("read: %s", op.op.err.msg);
    struct sh_reader r = sh_reader_of(sh_slice(op.answer.data, op.answer.len));
    a.ok = sh_read_u8(&r);
    if (!a.ok) {
        struct sh_slice msg = sh_read_bytes(&r);
        snprintf(a.text, sizeof(a.text), "%.*s", (int)msg.n, msg.p);
    } else {
        a.mark = sh_read_u64(&r);
        a.n = sh_read_uint(&r);
        size_t at = 0;
        for (uint64_t i = 0; i < a.n; i++) {
            struct sh_slice id = sh_read_bytes(&r), doc = sh_read_bytes(&r);
            if (at < sizeof(a.text))
                at += (size_t)snprintf(a.text + at, sizeof(a.text) - at, "%.*s=%.*s;", (int)id.n,
                                       id.p, (int)doc.n, doc.p);
        }
    }
    assert_false(r.bad);
    assert_ptr_equal(r.p, r.end);
    sh_buf_free(&op.answer);
    return a;
}

KIT struct sh_read_request kit_get_of(const char *collection, const char *id)
{
    return (struct sh_read_request){
        .kind = SH_READ_GET, .collection = sh_slice_str(collection), .id = sh_slice_str(id)};
}

KIT struct sh_read_request kit_find_of(const char *collection, const char *query)
{
    return (struct sh_read_request){
        .kind = SH_READ_FIND, .collection = sh_slice_str(collection), .query = sh_slice_str(query)};
}

/* The document of a record as text, "" if there is none. Borrowed until the next call. */
KIT const char *kit_doc(struct kit *k, const char *collection, const char *id)
{
    static struct kit_answer a;
    a = kit_ask(k, kit_get_of(collection, id));
    assert_true(a.ok);
    if (a.n == 0)
        return "";
    a.text[strlen(a.text) - 1] = '\0';
    return a.text + strlen(id) + 1;
}

/* --- outbox ------------------------------------------------------------------ */

/* What is due in every lane, up to 10 a lane. Free the items. */
KIT struct sh_op_outbox kit_outbox(struct kit *k, int64_t before_ms)
{
    struct sh_op_outbox op = {.op.kind = SH_OP_OUTBOX, .before_ms = before_ms, .limit = 10};
    if (!kit_run(k, &op.op))
        fail_msg("outbox: %s", op.op.err.msg);
    return op;
}

KIT bool kit_deliver(struct kit *k, const char *id, enum sh_delivery_state state, int64_t next_ms,
                     const char *text)
{
    struct sh_op_delivery d = {.op.kind = SH_OP_DELIVERY,
                               .item_id = id,
                               .state = state,
                               .next_ms = next_ms,
                               .error = text};
    bool ok = kit_run(k, &d.op);
    sh_event_free(d.emitted);
    return ok;
}

KIT struct sh_op_count kit_count(struct kit *k)
{
    struct sh_op_count op = {.op.kind = SH_OP_COUNT};
    if (!kit_run(k, &op.op))
        fail_msg("count: %s", op.op.err.msg);
    return op;
}

/* --- lists ------------------------------------------------------------------- */

KIT bool kit_keep_row(void *arg, const cJSON *row)
{
    cJSON_AddItemToArray(arg, cJSON_Duplicate(row, 1));
    return true;
}

KIT cJSON *kit_list(struct kit *k, struct sh_list_query q)
{
    cJSON *rows = cJSON_CreateArray();
    struct sh_error err = {0};
    struct sh_store_view *v = sh_store_view_open(k->dir, &err);
    if (!v || !sh_store_view_list(v, &q, kit_keep_row, rows, &err))
        fail_msg("list: %s", err.msg);
    sh_store_view_close(v);
    return rows;
}

KIT size_t kit_list_size(struct kit *k, struct sh_list_query q)
{
    cJSON *rows = kit_list(k, q);
    size_t n = (size_t)cJSON_GetArraySize(rows);
    cJSON_Delete(rows);
    return n;
}

/* First column of the first row of any SQL on the file, as text; "" if none. */
KIT const char *kit_sql(struct kit *k, const char *sql)
{
    static char out[1024];
    char path[128];
    sqlite3 *db;
    sqlite3_stmt *st;
    snprintf(path, sizeof(path), "%s/switchhook.db", k->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    out[0] = '\0';
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    int rc = sqlite3_step(st);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    if (rc == SQLITE_ROW && sqlite3_column_text(st, 0))
        snprintf(out, sizeof(out), "%s", (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return out;
}

#endif
