/* SPDX-License-Identifier: MIT
 * store_verify.c: is a store what the engine relies on? Each check by name, all of them within one
 * read transaction, so that what an engine does meanwhile is not taken for a fault. */
#include "core/store_migrate.h"
#include "core/store_steps.h"
#include "core/store_verify_impl.h"
#include "svc/json.h"
#include "svc/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_EXAMPLES 5
#define SHOWN_BYTES   200   /* of an example */
#define LOOK_OPS      20000 /* of SQLite's, between two looks at the watch */

struct verify {
    sqlite3 *db;
    int64_t schema;
    const struct sh_store_watch *watch;
    size_t at; /* which check */
    bool stopped;
};

struct finding {
    int64_t rows, bad;
    cJSON *examples;
};

static bool look(struct verify *v)
{
    v->stopped = v->stopped || !sh_store_watch(v->watch, "checking",
                                               (double)v->at / (double)sh_store_n_checks, NULL);
    return !v->stopped;
}

static int on_ops(void *arg)
{
    return !look(arg);
}

static void add_example(struct finding *f, struct sh_slice text)
{
    f->bad++;
    if (cJSON_GetArraySize(f->examples) >= MOST_EXAMPLES)
        return;
    while (text.n > SHOWN_BYTES ||
           (text.n && ((uint8_t)text.p[text.n - 1] & 0xc0) == 0x80 && text.n == SHOWN_BYTES))
        text.n--;
    char *copy = sh_slice_dup(text);
    cJSON_AddItemToArray(f->examples, cJSON_CreateString(copy));
    free(copy);
}

/* --- those that are no question on rows ------------------------------------------------------ */

static bool check_pages(struct verify *v, struct finding *f, struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(v->db, "PRAGMA integrity_check", err);
    int got = -1;
    while (st && (got = sh_sqlite_step(st, err)) == 1)
        if (!sh_slice_eq(sh_sqlite_text(st, 0), SH_SLICE("ok")))
            add_example(f, sh_sqlite_text(st, 0));
    sqlite3_finalize(st);
    st = got == 0 ? sh_sqlite_prepare(v->db, "PRAGMA foreign_key_check", err) : NULL;
    while (st && (got = sh_sqlite_step(st, err)) == 1)
        add_example(f, sh_sqlite_text(st, 0));
    sqlite3_finalize(st);
    struct sh_error ignored;
    (void)!sh_store_number(v->db, "PRAGMA page_count", 0, &f->rows, &ignored);
    return got == 0;
}

/* The tables and indexes that this program makes: type, name, sql. */
static sqlite3 *model(int64_t schema, struct sh_error *err)
{
    const struct sh_sqlite_config c = {.cache_kib = 512};
    sqlite3 *db = sh_sqlite_open(&c, err);
    bool ok = db != NULL;
    for (int64_t i = 0; ok && i < schema; i++)
        ok = sh_sqlite_exec(db, sh_store_steps[i].up, err);
    if (ok)
        return db;
    sh_sqlite_close(db);
    return NULL;
}

/* A trigger would do its work in the engine's transactions: there is none. */
#define SCHEMA_ROWS                                                                                \
    "SELECT type || ' ' || name AS what, sql FROM sqlite_schema WHERE type = 'trigger' OR"         \
    " (name GLOB 'sh_*' AND name <> 'sh_migrations' AND type IN ('table', 'index'))"

/* What `of` has and `other` has not, or otherwise. */
static bool compare(sqlite3 *of, sqlite3 *other, const char *what, struct finding *f,
                    struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(of, SCHEMA_ROWS, err), *same = NULL;
    if (st)
        same = sh_sqlite_prepare(
            other, "SELECT count(*) FROM (" SCHEMA_ROWS ") WHERE what = ?1 AND sql = ?2", err);
    int got = -1;
    while (same && (got = sh_sqlite_step(st, err)) == 1) {
        int64_t n = 0;
        sh_sqlite_bind_text(same, 1, sh_sqlite_text(st, 0));
        sh_sqlite_bind_text(same, 2, sh_sqlite_text(st, 1));
        if (!sh_sqlite_int(same, &n, err)) {
            got = -1;
            break;
        }
        f->rows++;
        if (n)
            continue;
        char *name = sh_sqlite_dup(st, 0), *text = sh_strf("%s %s", name, what);
        add_example(f, sh_slice_str(text));
        free(text);
        free(name);
    }
    sqlite3_finalize(st);
    sqlite3_finalize(same);
    return got == 0;
}

static bool check_schema(struct verify *v, struct finding *f, struct sh_error *err)
{
    sqlite3 *m = model(v->schema, err);
    bool ok = m && compare(m, v->db, "is missing, or is another", f, err);
    const int64_t rows = f->rows;
    ok = ok && compare(v->db, m, "is not this program's", f, err);
    f->rows = rows;
    sh_sqlite_close(m);
    return ok;
}

/* --- those that are ---------------------------------------------------------------------- */

static bool ask_rows(struct verify *v, const char *sql, struct finding *f, struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(v->db, sql, err);
    int got = -1;
    while (st && (got = sh_sqlite_step(st, err)) == 1) {
        f->rows++;
        if (sqlite3_column_int(st, 0))
            add_example(f, sh_sqlite_text(st, 1));
    }
    sqlite3_finalize(st);
    return got == 0;
}

static bool run_check(struct verify *v, const struct sh_store_check_of *c, struct finding *f,
                      struct sh_error *err)
{
    if (c->sql)
        return ask_rows(v, c->sql, f, err);
    return strcmp(c->name, "pages") == 0 ? check_pages(v, f, err) : check_schema(v, f, err);
}

#define UNREADABLE                                                                                 \
    "it could not be read: the file is damaged, see docs/operations.md (A damaged database)"

/* A question that cannot be asked is a fault found, not an end: the file is damaged there. */
static bool one(struct verify *v, const struct sh_store_check_of *c, cJSON *out,
                struct sh_error *err)
{
    struct finding f = {.examples = cJSON_CreateArray()};
    struct sh_error why = {0};
    const bool asked = run_check(v, c, &f, &why);
    if (!asked && !v->stopped)
        add_example(&f, sh_slice_str(why.msg));
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "check", c->name);
    cJSON_AddBoolToObject(row, "ok", f.bad == 0);
    cJSON_AddItemToObject(row, "rows", sh_json_int(f.rows));
    cJSON_AddItemToObject(row, "bad", sh_json_int(f.bad));
    cJSON_AddItemToObject(row, "examples", f.examples);
    cJSON_AddStringToObject(row, "says", c->says);
    cJSON_AddStringToObject(row, "advice", asked ? c->advice : UNREADABLE);
    cJSON_AddItemToArray(cJSON_GetObjectItem(out, "checks"), row);
    if (f.bad) {
        cJSON_ReplaceItemInObject(out, "ok", cJSON_CreateFalse());
        if (c->damage || !asked)
            cJSON_ReplaceItemInObject(out, "damaged", cJSON_CreateTrue());
    }
    return !v->stopped || sh_error_set(err, SH_EBUSY, "broken off; nothing was changed");
}

cJSON *sh_store_checks(sqlite3 *db, int64_t schema, const struct sh_store_watch *watch,
                       struct sh_error *err)
{
    struct verify v = {.db = db, .schema = schema, .watch = watch};
    if (!sh_store_verify_functions(db, err))
        return NULL;
    cJSON *out = cJSON_CreateObject();
    cJSON_AddTrueToObject(out, "ok");
    cJSON_AddFalseToObject(out, "damaged");
    cJSON_AddArrayToObject(out, "checks");
    sqlite3_progress_handler(db, LOOK_OPS, on_ops, &v);
    bool first = false; /* it has few of the tables that the checks ask */
    bool ok = schema > 1 || sh_store_schema_is_first(db, &first, err);
    if (first)
        schema = 0;
    for (v.at = 0; ok && v.at < sh_store_n_checks; v.at++)
        if (sh_store_check_list[v.at].since <= schema)
            ok = one(&v, &sh_store_check_list[v.at], out, err);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    if (ok)
        return out;
    cJSON_Delete(out);
    return NULL;
}

cJSON *sh_store_checks_brief(cJSON *verify)
{
    cJSON *checks = verify ? cJSON_DetachItemFromObject(verify, "checks") : NULL, *c;
    if (!checks)
        return verify;
    cJSON_AddItemToObject(verify, "checks", sh_json_int(cJSON_GetArraySize(checks)));
    cJSON *bad = cJSON_AddArrayToObject(verify, "bad");
    while ((c = cJSON_DetachItemFromArray(checks, 0)))
        if (cJSON_IsTrue(sh_json_member(c, "ok")))
            cJSON_Delete(c);
        else
            cJSON_AddItemToArray(bad, c);
    cJSON_Delete(checks);
    return verify;
}

/* --- files and folders --------------------------------------------------------------------- */

static bool lies_beside(const char *file, const char *end)
{
    struct stat st;
    char *name = sh_strf("%s%s", file, end);
    const bool lies = lstat(name, &st) == 0;
    free(name);
    return lies;
}

sqlite3 *sh_store_open_still(const char *file, struct sh_error *err)
{
    const bool alone = !lies_beside(file, "-wal") && !lies_beside(file, "-journal");
    const struct sh_sqlite_config c = {
        .path = file, .read_only = true, .immutable = alone, .cache_kib = 16384, .busy_ms = 5000};
    struct stat st;
    if (stat(file, &st) != 0) {
        sh_error_set(err, SH_ENOTFOUND, "%s: %s", file, strerror(errno));
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        sh_error_set(err, SH_EINVAL, "%s: is no file", file);
        return NULL;
    }
    if (st.st_size == 0) {
        sh_error_set(err, SH_EINVAL, "%s: is no store of switchhook: it is empty", file);
        return NULL;
    }
    return sh_sqlite_open(&c, err);
}

/* db is closed. */
static bool verify_db(sqlite3 *db, const char *file, const struct sh_store_watch *watch,
                      cJSON **report, struct sh_error *err)
{
    int64_t schema = 0;
    cJSON *o = cJSON_CreateObject(), *checks = NULL;
    cJSON_AddStringToObject(o, "file", file);
    struct sh_error ignored;
    if (!db)
        sh_store_is_none(file, err);
    if (db && sh_sqlite_exec(db, "BEGIN", err) && sh_store_known(db, file, &schema, err)) {
        (void)!sh_store_facts(db, schema, o, &ignored); /* a check will say */
        checks = sh_store_checks(db, schema, watch, err);
    }
    sh_sqlite_close(db);
    *report = checks ? o : NULL;
    if (!checks) {
        cJSON_Delete(o);
        return false;
    }
    for (cJSON *m; (m = cJSON_DetachItemFromArray(checks, 0));)
        cJSON_AddItemToObject(o, m->string, m);
    cJSON_Delete(checks);
    return true;
}

bool sh_store_verify(const char *file, const struct sh_store_watch *watch, cJSON **report,
                     struct sh_error *err)
{
    return verify_db(sh_store_open_still(file, err), file, watch, report, err);
}

bool sh_store_verify_dir(const char *dir, const struct sh_store_watch *watch, cJSON **report,
                         struct sh_error *err)
{
    struct sh_owner was;
    char *path = sh_store_db_path(dir);
    const struct sh_sqlite_config c = {
        .path = path, .read_only = true, .cache_kib = 16384, .busy_ms = 5000};
    bool ok = sh_owner_enter(dir, &was, err);
    if (ok && access(path, F_OK) != 0)
        ok = sh_error_set(err, SH_ENOTFOUND, "%s: no store there (no file switchhook.db)", dir);
    ok = ok && verify_db(sh_sqlite_open(&c, err), path, watch, report, err);
    sh_owner_leave(&was);
    free(path);
    return ok;
}
