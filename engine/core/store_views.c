/* SPDX-License-Identifier: MIT
 * store_views.c: a typed view for each collection, so that `SELECT * FROM calls` works in any
 * SQLite tool.
 *
 * The fields of a collection are kept in memory; a document costs one look-up for each of its
 * top-level members, and only a field never seen before makes the view again, within the same
 * transaction. */
#include "core/store_impl.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_SHOWN      (SH_MAX_VIEW_COLUMNS - 2) /* id and updated_at are columns too */
#define MAX_FIELDS     1024                      /* known at all, with those left out */
#define MAX_NAME_BYTES 128                       /* longer member names get no column */
#define SLOTS          2048

struct field {
    char *name;
    size_t len;
    uint32_t hash;
    bool shown; /* has a column; false: its name clashes with another's */
};

struct collection {
    char name[SH_MAX_COLLECTION_BYTES + 1];
    size_t len;
    struct field *fields;
    size_t n, n_kept; /* known; known when the last transaction was committed */
    size_t n_shown;
    uint16_t slot[SLOTS]; /* index + 1 */
    bool stale;           /* its view has fields that are forgotten */
    bool taken;           /* something else has the name: no view */
};

struct sh_store_views {
    struct collection *c[SH_STORE_VIEWS];
    size_t n, n_kept;
    bool stale; /* one of them */
};

struct sh_store_views *sh_store_views_new(void)
{
    return sh_alloc(1, sizeof(struct sh_store_views));
}

static void forget_fields(struct collection *c, size_t keep)
{
    while (c->n > keep) {
        struct field *f = &c->fields[--c->n];
        c->n_shown -= f->shown;
        free(f->name);
    }
    memset(c->slot, 0, sizeof(c->slot));
    for (size_t i = 0; i < c->n; i++) {
        size_t at = c->fields[i].hash % SLOTS;
        while (c->slot[at])
            at = (at + 1) % SLOTS;
        c->slot[at] = (uint16_t)(i + 1);
    }
}

static void forget_collections(struct sh_store_views *v, size_t keep)
{
    while (v->n > keep) {
        struct collection *c = v->c[--v->n];
        forget_fields(c, 0);
        free(c->fields);
        free(c);
    }
}

void sh_store_views_free(struct sh_store_views *v)
{
    if (!v)
        return;
    forget_collections(v, 0);
    free(v);
}

static struct collection *collection_named(struct sh_store_views *v, struct sh_slice name)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->c[i]->len == name.n && memcmp(v->c[i]->name, name.p, name.n) == 0)
            return v->c[i];
    if (v->n == SH_STORE_VIEWS || name.n > SH_MAX_COLLECTION_BYTES)
        return NULL;
    struct collection *c = sh_alloc(1, sizeof(*c));
    memcpy(c->name, name.p, name.n);
    c->len = name.n;
    v->c[v->n++] = c;
    return c;
}

static uint32_t hash_of(struct sh_slice s)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * 16777619u;
    return h;
}

static bool is_known(const struct collection *c, struct sh_slice key, uint32_t hash)
{
    for (size_t at = hash % SLOTS; c->slot[at]; at = (at + 1) % SLOTS) {
        const struct field *f = &c->fields[c->slot[at] - 1];
        if (f->hash == hash && f->len == key.n && memcmp(f->name, key.p, key.n) == 0)
            return true;
    }
    return false;
}

/* Column names differ by more than the case of ASCII letters. */
static bool clashes(const struct collection *c, const char *name)
{
    if (strcasecmp(name, "id") == 0 || strcasecmp(name, "updated_at") == 0)
        return true;
    for (size_t i = 0; i < c->n; i++)
        if (c->fields[i].shown && strcasecmp(name, c->fields[i].name) == 0)
            return true;
    return false;
}

static void add_field(struct collection *c, struct sh_slice key, uint32_t hash)
{
    if (c->n == MAX_FIELDS || c->n_shown == MAX_SHOWN)
        return;
    if (c->n % 32 == 0)
        c->fields = sh_realloc(c->fields, (c->n + 32) * sizeof(*c->fields));
    struct field f = {.name = sh_slice_dup(key), .len = key.n, .hash = hash};
    f.shown = !clashes(c, f.name);
    c->n_shown += f.shown;
    c->fields[c->n++] = f;
    size_t at = hash % SLOTS;
    while (c->slot[at])
        at = (at + 1) % SLOTS;
    c->slot[at] = (uint16_t)c->n;
}

void sh_store_views_see(struct sh_store *s, struct sh_slice collection, struct sh_slice doc)
{
    struct collection *c = collection_named(s->views, collection);
    struct sh_doc_iter it;
    struct sh_slice key, value;
    if (!c || !sh_doc_begin(&it, doc))
        return;
    while (sh_doc_next(&it, &key, &value)) {
        uint32_t hash = hash_of(key);
        if (is_known(c, key, hash))
            continue;
        /* a path of SQLite's JSON functions cannot say a name that has escapes */
        if (key.n == 0 || key.n > MAX_NAME_BYTES || memchr(key.p, '\\', key.n))
            continue;
        add_field(c, key, hash);
    }
}

/* --- making the views -------------------------------------------------------- */

/* The field's name within a quoted SQL literal or identifier. */
static void put_quoted(struct sh_buf *sql, const char *name, char quote)
{
    for (const char *p = name; *p; p++) {
        if (*p == quote)
            sh_buf_addc(sql, quote);
        sh_buf_addc(sql, *p);
    }
}

static void view_sql(const struct collection *c, struct sh_buf *sql)
{
    sh_buf_addf(sql, "CREATE VIEW \"%s\"(\"id\"", c->name);
    for (size_t i = 0; i < c->n; i++) {
        if (!c->fields[i].shown)
            continue;
        sh_buf_adds(sql, ",\"");
        put_quoted(sql, c->fields[i].name, '"');
        sh_buf_addc(sql, '"');
    }
    sh_buf_adds(sql, ",\"updated_at\") AS SELECT id");
    for (size_t i = 0; i < c->n; i++) {
        if (!c->fields[i].shown)
            continue;
        sh_buf_adds(sql, ",json_extract(doc,'$.\"");
        put_quoted(sql, c->fields[i].name, '\'');
        sh_buf_adds(sql, "\"')");
    }
    sh_buf_addf(sql,
                ",strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ', updated_ms / 1000.0, 'unixepoch')"
                " FROM sh_records WHERE collection = '%s'",
                c->name);
}

/* Is the name free, or a view that was made here? */
static bool is_free(struct sh_store *s, struct collection *c, bool *yes, struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(s->w.db,
                                         "SELECT count(*) FROM sqlite_schema WHERE lower(name) = ?1"
                                         " AND NOT (type = 'view' AND sql LIKE"
                                         " '%FROM sh_records WHERE collection = ''' || ?1 || '''')",
                                         err);
    if (!st)
        return false;
    int64_t others;
    sh_sqlite_bind_str(st, 1, c->name);
    bool ok = sh_sqlite_int(st, &others, err);
    sqlite3_finalize(st);
    *yes = ok && others == 0;
    return ok;
}

static bool keep_fields(struct sh_store *s, const struct collection *c, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_FIELD_ADD, err);
    for (size_t i = c->n_kept; st && i < c->n; i++) {
        if (!c->fields[i].shown)
            continue;
        sh_sqlite_bind_str(st, 1, c->name);
        sh_sqlite_bind_int(st, 2, (int64_t)i);
        sh_sqlite_bind_str(st, 3, c->fields[i].name);
        if (!sh_sqlite_run(st, err))
            return false;
    }
    return st != NULL;
}

static bool make_view(struct sh_store *s, struct collection *c, struct sh_error *err)
{
    bool yes;
    struct sh_buf sql;
    if (!keep_fields(s, c, err) || !is_free(s, c, &yes, err))
        return false;
    c->taken = !yes;
    if (!yes)
        return true;
    sh_buf_init(&sql, (size_t)1 << 20);
    sh_buf_addf(&sql, "DROP VIEW IF EXISTS \"%s\";", c->name);
    view_sql(c, &sql);
    bool ok = sh_buf_ok(&sql) && sh_sqlite_exec(s->w.db, sql.data, err);
    sh_buf_free(&sql);
    if (ok || sh_store_dooms_batch(err->code))
        return ok;
    sh_warn("a collection has no typed view", "collection", c->name, "error", err->msg);
    c->taken = true; /* only a convenience is lost */
    return true;
}

bool sh_store_views_flush(struct sh_store *s, struct sh_error *err)
{
    for (size_t i = 0; i < s->views->n; i++) {
        struct collection *c = s->views->c[i];
        if ((c->n > c->n_kept || i >= s->views->n_kept || c->stale) && !c->taken &&
            !make_view(s, c, err))
            return false;
    }
    return true;
}

void sh_store_views_committed(struct sh_store *s)
{
    struct sh_store_views *v = s->views;
    v->n_kept = v->n;
    v->stale = false;
    for (size_t i = 0; i < v->n; i++) {
        v->c[i]->n_kept = v->c[i]->n;
        v->c[i]->stale = false;
    }
}

void sh_store_views_rolled_back(struct sh_store *s)
{
    struct sh_store_views *v = s->views;
    struct sh_error err;
    if (v->stale) { /* what was forgotten is there again */
        v->stale = false;
        forget_collections(v, 0);
        if (!sh_store_views_load(s, &err))
            sh_warn("the fields of collections cannot be read", "error", err.msg);
        return;
    }
    forget_collections(v, v->n_kept);
    for (size_t i = 0; i < v->n; i++)
        if (v->c[i]->n > v->c[i]->n_kept)
            forget_fields(v->c[i], v->c[i]->n_kept);
}

bool sh_store_views_load(struct sh_store *s, struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(
        s->w.db, "SELECT collection, field FROM sh_fields ORDER BY collection, place", err);
    if (!st)
        return false;
    int got;
    while ((got = sh_sqlite_step(st, err)) == 1) {
        struct sh_slice field = sh_sqlite_text(st, 1);
        struct collection *c = collection_named(s->views, sh_sqlite_text(st, 0));
        uint32_t hash = hash_of(field);
        if (c && !is_known(c, field, hash))
            add_field(c, field, hash);
    }
    sqlite3_finalize(st);
    sh_store_views_committed(s);
    return got == 0;
}

/* --- a field is forgotten ---------------------------------------------------- */

static size_t drop_fields(struct collection *c, bool (*fits)(void *arg, struct sh_slice field),
                          void *arg, bool dry)
{
    size_t kept = 0, n = 0;
    for (size_t i = 0; i < c->n; i++) {
        struct field f = c->fields[i];
        bool drop = fits(arg, sh_slice(f.name, f.len));
        n += drop;
        if (!drop || dry) {
            c->fields[kept++] = f;
            continue;
        }
        c->n_shown -= f.shown;
        free(f.name);
    }
    if (dry || !n)
        return n;
    c->n = kept;
    c->n_kept = 0; /* all have other places now */
    c->stale = true;
    forget_fields(c, kept); /* the slots anew */
    return n;
}

bool sh_store_views_forget(struct sh_store *s, bool (*fits)(void *arg, struct sh_slice field),
                           void *arg, bool dry, int64_t *n, struct sh_error *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < s->views->n; i++) {
        struct collection *c = s->views->c[i];
        size_t found = drop_fields(c, fits, arg, dry);
        *n += (int64_t)found;
        if (!found || dry)
            continue;
        s->views->stale = true;
        sqlite3_stmt *st =
            sh_sqlite_prepare(s->w.db, "DELETE FROM sh_fields WHERE collection = ?1", err);
        if (st)
            sh_sqlite_bind_str(st, 1, c->name);
        ok = st && sh_sqlite_run(st, err);
        sqlite3_finalize(st);
    }
    return ok;
}
