/* SPDX-License-Identifier: MIT
 * store_forget_record.c: what of a record is about a caller.
 *
 * A mention takes with it the object it stands in, and those around that one, up to an element of a
 * list or the whole document. A member whose name is the number goes with what is in it, and no
 * more; so does a plain element of a list. */
#include "core/forget_impl.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool sh_forget_is_number(const struct sh_forget *f, const cJSON *node)
{
    char text[32];
    if (cJSON_IsString(node) || cJSON_IsRaw(node))
        return sh_forget_mentions(f, sh_slice_str(node->valuestring));
    if (!cJSON_IsNumber(node))
        return false;
    int n = snprintf(text, sizeof(text), "%.0f", node->valuedouble);
    return n > 0 && (size_t)n < sizeof(text) && sh_forget_mentions(f, sh_slice(text, (size_t)n));
}

static bool scalar_touches(const struct sh_forget *f, const cJSON *node)
{
    return cJSON_IsString(node) ? sh_forget_touches(f, sh_slice_str(node->valuestring))
                                : sh_forget_is_number(f, node);
}

/* Nesting is bounded by sh_json_check(). */
// NOLINTNEXTLINE(misc-no-recursion)
static bool cut(const struct sh_forget *f, cJSON *node, size_t *n_cut)
{
    cJSON *m = node->child, *next;
    const bool list = cJSON_IsArray(node);
    if (!list && !cJSON_IsObject(node))
        return scalar_touches(f, node);
    for (; m; m = next) {
        next = m->next;
        bool named = !list && m->string && sh_forget_touches(f, sh_slice_str(m->string));
        if (!named && !cut(f, m, n_cut))
            continue;
        if (!named && !list)
            return true;
        cJSON_Delete(cJSON_DetachItemViaPointer(node, m));
        (*n_cut)++;
    }
    return false;
}

char *sh_forget_cut(const struct sh_forget *f, struct sh_slice doc, bool *gone)
{
    cJSON *tree = sh_json_parse(doc.p, doc.n, NULL);
    struct sh_buf out;
    size_t n_cut = 0;
    char *text = NULL;
    *gone = !tree || cut(f, tree, &n_cut) || (n_cut && !tree->child);
    sh_buf_init(&out, (size_t)SH_MAX_DOC_BYTES);
    if (!*gone && n_cut) {
        if (sh_json_print(tree, &out))
            text = sh_buf_take(&out, NULL);
        else
            *gone = true;
    }
    sh_buf_free(&out);
    cJSON_Delete(tree);
    return text;
}

static bool remove_record(struct sh_store *s, int64_t row, struct sh_error *err)
{
    return sh_forget_run(s, "DELETE FROM sh_records WHERE rowid = ?1", row, 0, NULL, err);
}

/* A new version: a run that has read the old one is run again. */
static bool change_record(struct sh_store *s, int64_t row, const char *doc, struct sh_error *err)
{
    uint64_t version;
    sqlite3_stmt *st =
        sh_store_next_version(s, &version, err)
            ? sh_forget_stmt(s, "UPDATE sh_records SET version = ?2, doc = ?3 WHERE rowid = ?1",
                             row, (int64_t)version, err)
            : NULL;
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 3, doc);
    bool ok = sh_sqlite_run(st, err);
    sqlite3_finalize(st);
    return ok;
}

static bool forget_record(struct sh_store *s, const struct sh_forget *f, sqlite3_stmt *st,
                          struct sh_forget_counts *n, struct sh_error *err)
{
    bool gone = sqlite3_column_int(st, 2) != 0, ok = true;
    int64_t row = sqlite3_column_int64(st, 0);
    char *doc = gone ? NULL : sh_forget_cut(f, sh_sqlite_text(st, 1), &gone);
    n->records += gone;
    n->record_parts += doc != NULL;
    if (!f->dry && gone)
        ok = remove_record(s, row, err);
    else if (!f->dry && doc)
        ok = change_record(s, row, doc, err);
    free(doc);
    return ok;
}

bool sh_forget_records(struct sh_store *s, const struct sh_forget *f, int64_t after, int64_t to,
                       struct sh_forget_counts *n, struct sh_error *err)
{
    sqlite3_stmt *st = sh_forget_stmt(
        s,
        "SELECT rowid, doc, sh_touches(id) FROM sh_records WHERE rowid > ?1 AND rowid <= ?2"
        " AND (sh_touches(id) OR sh_touches(doc))",
        after, to, err);
    int got = -1;
    bool ok = st != NULL;
    while (ok && (got = sh_sqlite_step(st, err)) == 1)
        ok = forget_record(s, f, st, n, err);
    sqlite3_finalize(st);
    return ok && got == 0;
}
