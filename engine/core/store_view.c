/* SPDX-License-Identifier: MIT
 * store_view.c: a data folder read from outside, also beside a running engine. */
#include "core/store_impl.h"
#include "core/store_migrate.h"

#include <stdlib.h>
#include <unistd.h>

#define COUNT_EACH 100000 /* records of one collection that are counted */
#define COUNT_ALL  1000000

struct sh_store_view *sh_store_view_open(const char *dir, struct sh_error *err)
{
    char *path = sh_store_db_path(dir);
    struct sh_store_view *v = NULL;
    int64_t have = 0;
    if (access(path, F_OK) != 0) {
        sh_error_set(err, SH_ENOTFOUND, "%s: no store there (no file switchhook.db)", dir);
        goto out;
    }
    v = sh_alloc(1, sizeof(*v));
    const struct sh_sqlite_config c = {
        .path = path, .read_only = true, .cache_kib = 2048, .busy_ms = 5000};
    v->db = sh_sqlite_open(&c, err);
    bool ok = v->db && sh_store_schema_of(v->db, &have, err) &&
              sh_store_schema_known(path, have, err) &&
              (have == SH_STORE_SCHEMA || sh_store_schema_older(path, have, err));
    if (!ok) {
        sh_store_view_close(v);
        v = NULL;
    }
out:
    free(path);
    return v;
}

void sh_store_view_close(struct sh_store_view *v)
{
    if (!v)
        return;
    sh_sqlite_close(v->db);
    free(v);
}

bool sh_store_view_list(struct sh_store_view *v, const struct sh_list_query *q, sh_list_fn *fn,
                        void *arg, struct sh_error *err)
{
    return sh_store_list_on(v->db, q, fn, arg, err);
}

cJSON *sh_store_view_collections(struct sh_store_view *v)
{
    cJSON *names = cJSON_CreateArray();
    struct sh_error err;
    /* from one to the next by the primary key, not through every record */
    sqlite3_stmt *st = sh_sqlite_prepare(v->db,
                                         "WITH RECURSIVE c(name) AS (SELECT min(collection) FROM"
                                         " sh_records UNION ALL SELECT (SELECT min(collection) FROM"
                                         " sh_records WHERE collection > name) FROM c WHERE name IS"
                                         " NOT NULL) SELECT name FROM c WHERE name IS NOT NULL",
                                         &err);
    while (st && sh_sqlite_step(st, &err) == 1) {
        char *name = sh_sqlite_dup(st, 0);
        cJSON_AddItemToArray(names, cJSON_CreateString(name));
        free(name);
    }
    sqlite3_finalize(st);
    return names;
}

/* --- counting ------------------------------------------------------------------- */

/* Records of a collection, up to most. */
static bool count_some(sqlite3 *db, const char *collection, int64_t most, int64_t *n,
                       struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(
        db, "SELECT count(*) FROM (SELECT 1 FROM sh_records WHERE collection = ?1 LIMIT ?2)", err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, collection);
    sh_sqlite_bind_int(st, 2, most);
    const bool ok = sh_sqlite_int(st, n, err);
    sqlite3_finalize(st);
    return ok;
}

cJSON *sh_store_view_counts(struct sh_store_view *v, struct sh_error *err)
{
    cJSON *names = sh_store_view_collections(v), *rows = cJSON_CreateArray(), *name;
    int64_t left = COUNT_ALL;
    bool ok = true;
    cJSON_ArrayForEach(name, names)
    {
        const int64_t most = left < COUNT_EACH ? left : COUNT_EACH;
        int64_t n = 0;
        ok = ok && count_some(v->db, name->valuestring, most + 1, &n, err);
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "collection", name->valuestring);
        cJSON_AddNumberToObject(row, "records", (double)(n > most ? most : n));
        cJSON_AddBoolToObject(row, "exact", n <= most);
        cJSON_AddItemToArray(rows, row);
        left -= n < left ? n : left;
    }
    cJSON_Delete(names);
    if (ok)
        return rows;
    cJSON_Delete(rows);
    return NULL;
}
