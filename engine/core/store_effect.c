/* SPDX-License-Identifier: MIT
 * store_effect.c: what a run asked for, applied within the transaction that marks the run done. */
#include "core/store_impl.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The part of a long text that belongs in a message. */
#define SHORT(s) (s).n > 100 ? 100 : (int)(s).n, (s).p ? (s).p : ""

bool sh_store_collection_ok(struct sh_slice name, struct sh_error *err)
{
    bool ok = name.n > 0 && name.n <= SH_MAX_COLLECTION_BYTES;
    for (size_t i = 0; ok && i < name.n; i++) {
        char c = name.p[i];
        ok = (c >= 'a' && c <= 'z') || (i > 0 && ((c >= '0' && c <= '9') || c == '_'));
    }
    if (!ok)
        return sh_error_set(err, SH_EINVAL,
                            "collection \"%.*s\": expected 1 to %d of a-z, 0-9 and _, starting"
                            " with a letter",
                            SHORT(name), SH_MAX_COLLECTION_BYTES);
    if ((name.n >= 3 && !memcmp(name.p, "sh_", 3)) ||
        (name.n >= 7 && !memcmp(name.p, "sqlite_", 7)))
        return sh_error_set(err, SH_EINVAL,
                            "collection \"%.*s\": names that start with sh_ or sqlite_ are taken",
                            SHORT(name));
    return true;
}

bool sh_store_record_id_ok(struct sh_slice id, struct sh_error *err)
{
    if (id.n > 0 && id.n <= SH_MAX_RECORD_ID_BYTES)
        return true;
    return sh_error_set(err, SH_EINVAL, "record id of %zu bytes, expected 1 to %d", id.n,
                        SH_MAX_RECORD_ID_BYTES);
}

bool sh_store_decode(struct sh_store *s, const struct sh_run *run, struct sh_error *err)
{
    struct sh_reader r = sh_reader_of(run->effects);
    if (run->n_effects > run->effects.n) /* each takes a byte at least */
        return sh_error_set(err, SH_EINVAL, "%u effects in %zu bytes", run->n_effects,
                            run->effects.n);
    if (run->n_effects > s->fx_cap) {
        s->fx = sh_realloc(s->fx, run->n_effects * sizeof(*s->fx));
        s->fx_cap = run->n_effects;
    }
    for (uint32_t i = 0; i < run->n_effects; i++)
        if (!sh_effect_read_again(&r, &s->fx[i]))
            return sh_error_set(err, SH_EINVAL, "effect %u of the run is malformed", i + 1);
    return true;
}

/* --- records ----------------------------------------------------------------- */

/* Versions are handed out from blocks that are reserved on disk before use, so that none is ever
 * given twice, whatever happens in between. */
static bool next_version(struct sh_store *s, uint64_t *version, struct sh_error *err)
{
    *version = ++s->version;
    if (s->version <= s->version_limit)
        return true;
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_VERSIONS_SET, err);
    if (!st)
        return false;
    s->version_limit = s->version + SH_STORE_VERSIONS;
    sh_sqlite_bind_int(st, 1, (int64_t)s->version_limit);
    return sh_sqlite_run(st, err);
}

/* --- the record in hand ------------------------------------------------------
 * Rules of one event often write the same record, the call's. It is held here and written once. */

static bool holds(const struct sh_store *s, const struct sh_effect *fx)
{
    const struct sh_store_held *h = &s->held;
    return h->dirty && sh_slice_eq(sh_slice(h->name.data, h->collection_n), fx->collection) &&
           sh_slice_eq(sh_slice(h->name.data + h->collection_n, h->name.len - h->collection_n),
                       fx->id);
}

bool sh_store_flush_record(struct sh_store *s, struct sh_error *err)
{
    struct sh_store_held *h = &s->held;
    if (!h->dirty)
        return true;
    uint64_t version;
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_RECORD_PUT, err);
    h->dirty = false;
    if (!st || !next_version(s, &version, err))
        return false;
    sh_sqlite_bind_text(st, 1, sh_slice(h->name.data, h->collection_n));
    sh_sqlite_bind_text(st, 2,
                        sh_slice(h->name.data + h->collection_n, h->name.len - h->collection_n));
    sh_sqlite_bind_text(st, 3, sh_slice(h->doc.data, h->doc.len));
    sh_sqlite_bind_int(st, 4, (int64_t)version);
    sh_sqlite_bind_int(st, 5, h->now_ms);
    return sh_sqlite_run(st, err);
}

void sh_store_drop_record(struct sh_store *s)
{
    s->held.dirty = false;
}

static bool write_record(struct sh_store *s, const struct sh_effect *fx, struct sh_slice doc,
                         int64_t now_ms, struct sh_error *err)
{
    struct sh_store_held *h = &s->held;
    if (!holds(s, fx) && !sh_store_flush_record(s, err))
        return false;
    sh_buf_reset(&h->name);
    sh_buf_add(&h->name, fx->collection.p, fx->collection.n);
    sh_buf_add(&h->name, fx->id.p, fx->id.n);
    sh_buf_reset(&h->doc);
    sh_buf_add(&h->doc, doc.p, doc.n);
    h->collection_n = fx->collection.n;
    h->now_ms = now_ms;
    h->dirty = true;
    return true;
}

/* Point st at the record, 1: it is there and doc is its text until st is reset. st is NULL where
 * the text is the held one. */
static int open_record(struct sh_store *s, const struct sh_effect *fx, sqlite3_stmt **st,
                       struct sh_slice *doc, struct sh_error *err)
{
    *st = NULL;
    if (holds(s, fx)) {
        *doc = sh_slice(s->held.doc.data, s->held.doc.len);
        return 1;
    }
    *st = sh_store_stmt(&s->w, SH_ST_RECORD_GET, err);
    if (!*st)
        return -1;
    sh_sqlite_bind_text(*st, 1, fx->collection);
    sh_sqlite_bind_text(*st, 2, fx->id);
    int got = sh_sqlite_step(*st, err);
    *doc = got == 1 ? sh_sqlite_text(*st, 0) : SH_SLICE("{}");
    return got;
}

/* PATCH and INCR: from what is there to s->doc. */
static bool change_doc(struct sh_store *s, const struct sh_effect *fx, struct sh_error *err)
{
    sqlite3_stmt *st;
    struct sh_slice old;
    int got = open_record(s, fx, &st, &old, err);
    if (got < 0)
        return false;
    bool ok = true;
    sh_buf_reset(&s->doc);
    if (fx->kind == SH_FX_PATCH)
        sh_doc_merge(&s->doc, old, fx->doc);
    else
        ok = sh_doc_incr(&s->doc, old, fx, err);
    sqlite3_reset(st);
    if (ok && !sh_buf_ok(&s->doc))
        return sh_error_set(err, SH_ELIMIT, "the document would be larger than %d bytes",
                            SH_MAX_DOC_BYTES);
    return ok;
}

static bool is_object(struct sh_slice doc)
{
    struct sh_doc_iter it;
    return sh_doc_begin(&it, doc);
}

static bool change_record(struct sh_store *s, const struct sh_effect *fx, int64_t now_ms,
                          struct sh_error *err)
{
    struct sh_slice doc = fx->doc;
    if (fx->kind != SH_FX_INCR && !is_object(doc))
        return sh_error_set(err, SH_EINVAL, "the document is not an object");
    if (doc.n > (size_t)SH_MAX_DOC_BYTES)
        return sh_error_set(err, SH_ELIMIT, "a document of %zu bytes is larger than %d", doc.n,
                            SH_MAX_DOC_BYTES);
    if (fx->kind != SH_FX_PUT) {
        if (!change_doc(s, fx, err))
            return false;
        doc = sh_slice(s->doc.data, s->doc.len);
    }
    if (!write_record(s, fx, doc, now_ms, err))
        return false;
    /* a patch can bring no field but its own, which is cheaper to look through */
    sh_store_views_see(s, fx->collection, fx->kind == SH_FX_PATCH ? fx->doc : doc);
    return true;
}

static bool delete_record(struct sh_store *s, const struct sh_effect *fx, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_RECORD_DEL, err);
    if (!st)
        return false;
    if (holds(s, fx))
        sh_store_drop_record(s);
    sh_sqlite_bind_text(st, 1, fx->collection);
    sh_sqlite_bind_text(st, 2, fx->id);
    return sh_sqlite_run(st, err);
}

static bool record_effect(struct sh_store *s, const struct sh_effect *fx, int64_t now_ms,
                          struct sh_error *err)
{
    struct sh_error why = {0};
    bool ok = sh_store_collection_ok(fx->collection, &why) && sh_store_record_id_ok(fx->id, &why) &&
              (fx->kind == SH_FX_DELETE ? delete_record(s, fx, &why)
                                        : change_record(s, fx, now_ms, &why));
    if (ok)
        return true;
    if (sh_store_dooms_batch(why.code)) {
        *err = why;
        return false;
    }
    if (fx->kind == SH_FX_INCR)
        return sh_error_set(err, why.code, "records.incr(\"%.*s\", \"%.*s\"): field \"%.*s\" %s",
                            SHORT(fx->collection), SHORT(fx->id), SHORT(fx->field), why.msg);
    return sh_error_set(err, why.code, "%s(\"%.*s\", \"%.*s\"): %s", sh_effect_kind_name(fx->kind),
                        SHORT(fx->collection), SHORT(fx->id), why.msg);
}

/* --- what leaves the run ----------------------------------------------------- */

struct leaving { /* what callback, email and emit have in common */
    struct sh_op_settle *op;
    const struct sh_run *run;
    const struct sh_effect *fx;
    char key[SH_EFFECT_KEY_TEXT];
    char event_id[SH_ID_TEXT];
};

static cJSON *parse_doc(const struct sh_effect *fx, struct sh_error *err)
{
    cJSON *doc = sh_json_parse(fx->doc.p, fx->doc.n, err);
    if (doc && cJSON_IsObject(doc))
        return doc;
    cJSON_Delete(doc);
    sh_error_set(err, SH_EINVAL, "%s: its data is not an object", sh_effect_kind_name(fx->kind));
    return NULL;
}

static bool add_callback(struct sh_store *s, struct leaving *l, struct sh_error *err)
{
    static const char *const fields[] = {"number", "name", NULL, "assignee", "reason"};
    int64_t due_ms;
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_CALLBACK_ADD, err);
    cJSON *doc = st ? parse_doc(l->fx, err) : NULL;
    if (!doc)
        return false;
    sh_sqlite_bind_str(st, 1, l->key);
    for (int i = 0; i < 5; i++)
        if (fields[i])
            sh_sqlite_bind_str(st, 2 + i, sh_json_string(doc, fields[i]));
    sh_sqlite_bind_null(st, 4);
    if (sh_json_get_int(sh_json_member(doc, "due_at"), &due_ms))
        sh_sqlite_bind_int(st, 4, due_ms);
    sh_sqlite_bind_str(st, 7, l->event_id);
    sh_sqlite_bind_text(st, 8, l->run->rule);
    sh_sqlite_bind_int(st, 9, l->run->now_ms);
    bool ok = sh_sqlite_run(st, err);
    sqlite3_clear_bindings(st);
    cJSON_Delete(doc);
    return ok;
}

static void join_recipients(const cJSON *doc, struct sh_buf *out)
{
    const cJSON *to = sh_json_member(doc, "to"), *one;
    if (cJSON_IsString(to))
        sh_buf_adds(out, to->valuestring);
    cJSON_ArrayForEach(one, to)
    {
        if (!cJSON_IsString(one))
            continue;
        if (out->len)
            sh_buf_adds(out, ", ");
        sh_buf_adds(out, one->valuestring);
    }
}

static bool add_email(struct sh_store *s, struct leaving *l, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_OUTBOX_ADD, err);
    cJSON *doc = st ? parse_doc(l->fx, err) : NULL;
    if (!doc)
        return false;
    char id[8 + SH_EFFECT_KEY_TEXT]; /* with its kind: another kind may have the same key */
    snprintf(id, sizeof(id), "email-%s", l->key);
    struct sh_buf to;
    sh_buf_init(&to, l->fx->doc.n * 2);
    join_recipients(doc, &to);
    sh_sqlite_bind_str(st, 1, id);
    sh_sqlite_bind_str(st, 2, "email");
    sh_sqlite_bind_text(st, 3, sh_slice(to.data, to.len));
    sh_sqlite_bind_str(st, 4, l->key);
    sh_sqlite_bind_str(st, 5, l->event_id);
    sh_sqlite_bind_text(st, 6, l->run->rule);
    sh_sqlite_bind_text(st, 7, l->fx->doc);
    sh_sqlite_bind_int(st, 8, l->run->now_ms);
    bool ok = sh_sqlite_run(st, err);
    if (ok)
        l->op->n_queued += (size_t)sqlite3_changes(s->w.db);
    sqlite3_clear_bindings(st);
    sh_buf_free(&to);
    cJSON_Delete(doc);
    return ok;
}

/* How far the events that one event's rules emit are from it: a chain of single emits may be
 * SH_MAX_EMIT_DEPTH long, and each doubling of their number counts as a step too, so that one event
 * has at most 2^SH_MAX_EMIT_DEPTH descendants however they branch. */
static uint32_t emit_steps(size_t n_emits)
{
    uint32_t steps = 1;
    for (; n_emits > 1; n_emits /= 2)
        steps++;
    return steps;
}

void sh_store_count_emits(struct sh_store *s, const struct sh_op_settle *op)
{
    s->n_emits = 0;
    for (size_t i = 0; i < op->n_runs; i++) {
        struct sh_reader r = sh_reader_of(op->runs[i].effects);
        struct sh_effect fx;
        for (uint32_t n = op->runs[i].n_effects; n > 0 && sh_effect_read_again(&r, &fx); n--)
            s->n_emits += fx.kind == SH_FX_EMIT;
    }
}

static bool add_emitted(struct sh_store *s, struct leaving *l, struct sh_error *err)
{
    struct sh_slice type = l->fx->collection;
    if (type.n == 0 || type.n > SH_MAX_TYPE_BYTES)
        return sh_error_set(err, SH_EINVAL, "emit: type of %zu bytes, expected 1 to %d", type.n,
                            SH_MAX_TYPE_BYTES);
    uint32_t depth = l->op->event_depth + emit_steps(s->n_emits);
    if (depth > SH_MAX_EMIT_DEPTH)
        return sh_error_set(err, SH_ELIMIT,
                            "emit \"%.*s\": too many emits from one event that came in: this one is"
                            " %u steps away from it, its rules emit %zu more, which is %u steps"
                            " (one, and one for each doubling), the most is %d: do rules emit in a"
                            " circle?",
                            SHORT(type), l->op->event_depth, s->n_emits, emit_steps(s->n_emits),
                            SH_MAX_EMIT_DEPTH);
    struct sh_event *e = sh_event_new();
    *e = (struct sh_event){.source = sh_strdup(SH_SOURCE_EMITTED),
                           .type = sh_slice_dup(type),
                           .key = sh_slice_dup(l->op->event_key),
                           .dedupe_id = sh_strdup(l->key),
                           .received_ms = l->run->now_ms,
                           .depth = depth,
                           .cause = sh_strdup(l->event_id),
                           .body = sh_slice_dup(l->fx->doc),
                           .body_len = l->fx->doc.n};
    struct sh_id first;
    bool dup = false, ok = sh_store_add_event(s, e, &first, &dup, err);
    if (!ok || dup) { /* the same key in this run: one event */
        sh_event_free(e);
        return ok;
    }
    struct sh_op_settle *op = l->op;
    if ((op->n_emitted & (op->n_emitted - 1)) == 0) /* grows at 0, 1, 2, 4, 8 ... */
        op->emitted = sh_realloc(op->emitted, (op->n_emitted ? op->n_emitted * 2 : 1) *
                                                  sizeof(struct sh_event *));
    op->emitted[op->n_emitted++] = e;
    return true;
}

bool sh_store_apply(struct sh_store *s, struct sh_op_settle *op, const struct sh_run *run,
                    struct sh_error *err)
{
    struct leaving l = {.op = op, .run = run};
    bool ok = true;
    for (uint32_t i = 0; i < run->n_effects && ok; i++) {
        l.fx = &s->fx[i];
        if (l.fx->kind >= SH_FX_CALLBACK) {
            sh_effect_key(op->event_id, run->rule, l.fx, i, l.key);
            sh_id_text(op->event_id, l.event_id);
        }
        switch (l.fx->kind) {
        case SH_FX_CALLBACK:
            ok = add_callback(s, &l, err);
            break;
        case SH_FX_EMAIL:
            ok = add_email(s, &l, err);
            break;
        case SH_FX_EMIT:
            ok = add_emitted(s, &l, err);
            break;
        default:
            ok = record_effect(s, l.fx, run->now_ms, err);
        }
    }
    return ok;
}
