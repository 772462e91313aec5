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
bool sh_store_next_version(struct sh_store *s, uint64_t *version, struct sh_error *err)
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
    if (!st || !sh_store_next_version(s, &version, err))
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

/* A refusal names the line that asked for the effect. */
static void add_place(const struct sh_effect *fx, struct sh_error *err)
{
    struct sh_error why = *err;
    if (fx->at.n && !sh_store_dooms_batch(why.code))
        sh_error_set(err, why.code, "%.*s: %s", (int)fx->at.n, fx->at.p, why.msg);
}

/* --- all of a run ------------------------------------------------------------ */

bool sh_store_apply(struct sh_store *s, struct sh_op_settle *op, const struct sh_run *run,
                    struct sh_error *err)
{
    struct sh_leaving l = {.op = op, .run = run};
    bool ok = true;
    for (uint32_t i = 0; i < run->n_effects && ok; i++) {
        l.fx = &s->fx[i];
        if (l.fx->kind < SH_FX_CALLBACK) {
            ok = record_effect(s, l.fx, run->now_ms, err);
            continue;
        }
        sh_effect_key(op->event_id, run->rule, l.fx, i, l.key);
        sh_id_text(op->event_id, l.event_id);
        ok = sh_store_leave(s, &l, err);
    }
    if (!ok)
        add_place(l.fx, err);
    return ok;
}
