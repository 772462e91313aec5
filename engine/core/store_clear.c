/* SPDX-License-Identifier: MIT
 * store_clear.c: a store in memory emptied: its tables and statements stay, which is most of what
 * opening one costs. */
#include "core/store_impl.h"

#include <stdlib.h>

/* What is not data: the schema's version, counters that only grow, and the fields that views of
 * collections have (the views stay). Generations are what the rules are, which stay too. */
static const char list_sql[] =
    "SELECT group_concat('DELETE FROM ' || name, ';') FROM sqlite_schema"
    " WHERE type = 'table' AND name GLOB 'sh_*' AND name NOT GLOB 'sh_generation*'"
    " AND name NOT IN ('sh_meta', 'sh_migrations', 'sh_fields')";

static char *delete_all(struct sh_store *s, struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(s->w.db, list_sql, err);
    char *sql = NULL;
    if (st && sh_sqlite_step(st, err) == 1) {
        char *list = sh_sqlite_dup(st, 0);
        sql = sh_strf("BEGIN IMMEDIATE;%s;COMMIT", list);
        free(list);
    }
    sqlite3_finalize(st);
    return sql;
}

bool sh_store_clear(struct sh_store *s, struct sh_error *err)
{
    sh_require(!s->config.dir && !s->threads_up);
    char *sql = delete_all(s, err);
    bool ok = sql && sh_sqlite_exec(s->w.db, sql, err);
    free(sql);
    if (!ok)
        return false;
    sh_store_dedupe_free(s->dedupe);
    s->dedupe = sh_store_dedupe_new();
    return sh_store_dedupe_load(s, err);
}
