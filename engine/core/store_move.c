/* SPDX-License-Identifier: MIT
 * store_move.c: a stopped store taken back to an older schema, or forward to a newer one.
 *
 * Going back undoes the steps from the newest on, in one transaction. What an older schema has no
 * place for is counted first: some of it is given up, the rest is in the way. */
#include "core/store_move.h"

#include "core/store_backup.h"
#include "core/store_migrate.h"
#include "core/store_steps.h"
#include "svc/owner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_STEPS 200000 /* of SQLite's machine, some milliseconds */

struct sh_store_move {
    char *dir, *path;
    sqlite3 *db;
    int lock_fd;
    struct sh_owner was;
    int64_t from;
    int to;
    struct sh_store_tick tick; /* fn NULL: nobody looks */
};

/* --- what it is ------------------------------------------------------------------------------- */

static void add_step(cJSON *steps, int64_t schema, int64_t applied_ms)
{
    char text[SH_TIME_TEXT];
    cJSON *step = cJSON_CreateObject();
    cJSON_AddNumberToObject(step, "schema", (double)schema);
    if (schema >= 1 && schema <= SH_STORE_SCHEMA)
        cJSON_AddStringToObject(step, "brings", sh_store_steps[schema - 1].brings);
    else
        cJSON_AddNullToObject(step, "brings");
    if (applied_ms)
        cJSON_AddStringToObject(step, "applied_at", sh_time_text(applied_ms, text));
    else
        cJSON_AddNullToObject(step, "applied_at");
    cJSON_AddItemToArray(steps, step);
}

static bool read_steps(sqlite3 *db, cJSON *steps, struct sh_error *err)
{
    int got;
    sqlite3_stmt *st = sh_sqlite_prepare(
        db, "SELECT version, applied_ms FROM sh_migrations ORDER BY version", err);
    if (!st)
        return false;
    while ((got = sh_sqlite_step(st, err)) == 1)
        add_step(steps, sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1));
    sqlite3_finalize(st);
    return got == 0;
}

/* A store that is there, and one of ours: *schema. */
static sqlite3 *open_store(const char *path, bool read_only, int64_t *schema, struct sh_error *err)
{
    const struct sh_sqlite_config c = {
        .path = path, .read_only = read_only, .cache_kib = 32768, .busy_ms = 5000};
    if (access(path, F_OK) != 0) {
        sh_error_set(err, SH_ENOTFOUND, "%s: no store there", path);
        return NULL;
    }
    sqlite3 *db = sh_sqlite_open(&c, err);
    bool ok = db && sh_store_schema_of(db, schema, err);
    if (ok && *schema < 1)
        ok = sh_error_set(err, SH_EINVAL, "%s: it has no tables of switchhook", path);
    if (ok)
        return db;
    sh_sqlite_close(db);
    return NULL;
}

cJSON *sh_store_schema_read(const char *dir, struct sh_error *err)
{
    int64_t schema = 0;
    struct sh_owner was;
    char *path = sh_store_db_path(dir);
    cJSON *out = NULL, *steps;
    sqlite3 *db = sh_owner_enter(dir, &was, err) ? open_store(path, true, &schema, err) : NULL;
    if (db) {
        out = cJSON_CreateObject();
        cJSON_AddStringToObject(out, "file", path);
        cJSON_AddNumberToObject(out, "schema", (double)schema);
        cJSON_AddNumberToObject(out, "known", SH_STORE_SCHEMA);
        steps = cJSON_AddArrayToObject(out, "steps");
        if (!read_steps(db, steps, err)) {
            cJSON_Delete(out);
            out = NULL;
        }
        for (int64_t v = schema + 1; out && v <= SH_STORE_SCHEMA; v++)
            add_step(steps, v, 0);
    }
    sh_sqlite_close(db);
    sh_owner_leave(&was);
    free(path);
    return out;
}

/* --- taken and given back --------------------------------------------------------------------- */

struct sh_store_move *sh_store_move_open(const char *dir, int to, struct sh_error *err)
{
    if (to < 1 || to > SH_STORE_SCHEMA) {
        sh_error_set(err, SH_EINVAL, "there is no schema %d: this switchhook knows 1 to %d", to,
                     SH_STORE_SCHEMA);
        return NULL;
    }
    struct sh_store_move *m = sh_alloc(1, sizeof(*m));
    m->to = to;
    m->dir = sh_strdup(dir);
    m->path = sh_store_db_path(dir);
    m->lock_fd = -1;
    const bool entered = sh_owner_enter(dir, &m->was, err);
    if (entered && access(m->path, F_OK) != 0) /* make no lock file where there is nothing */
        sh_error_set(err, SH_ENOTFOUND, "%s: no store there", m->path);
    else if (entered)
        m->lock_fd = sh_store_lock(dir, err);
    m->db = m->lock_fd >= 0 ? open_store(m->path, false, &m->from, err) : NULL;
    if (m->db && sh_store_schema_known(m->path, m->from, err) &&
        (m->from <= to || sh_store_schema_check(m->db, m->path, m->from, err)))
        return m;
    sh_store_move_close(m);
    return NULL;
}

void sh_store_move_close(struct sh_store_move *m)
{
    if (!m)
        return;
    if (m->db)
        sqlite3_wal_checkpoint_v2(m->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sh_sqlite_close(m->db);
    if (m->lock_fd >= 0)
        close(m->lock_fd);
    sh_owner_leave(&m->was);
    free(m->dir);
    free(m->path);
    free(m);
}

static int on_progress(void *arg)
{
    const struct sh_store_move *m = arg;
    m->tick.fn(m->tick.arg);
    return 0;
}

void sh_store_move_watch(struct sh_store_move *m, void (*tick)(void *arg), void *arg)
{
    m->tick = (struct sh_store_tick){tick, arg};
}

/* --- what it means ---------------------------------------------------------------------------- */

static bool count_rows(sqlite3 *db, int64_t schema, const struct sh_store_rows *r, cJSON *gives_up,
                       cJSON *in_the_way, struct sh_error *err)
{
    int64_t n = 0;
    if (!sh_store_ask_int(db, r->count, &n, err))
        return false;
    if (n == 0)
        return true;
    cJSON *row = cJSON_CreateObject();
    cJSON_AddNumberToObject(row, "schema", (double)schema);
    cJSON_AddStringToObject(row, "what", r->what);
    cJSON_AddNumberToObject(row, "rows", (double)n);
    if (r->to_do)
        cJSON_AddStringToObject(row, "to_do", r->to_do);
    cJSON_AddItemToArray(r->to_do ? in_the_way : gives_up, row);
    return true;
}

cJSON *sh_store_move_plan(struct sh_store_move *m, struct sh_error *err)
{
    cJSON *plan = cJSON_CreateObject();
    cJSON_AddStringToObject(plan, "file", m->path);
    cJSON_AddNumberToObject(plan, "from", (double)m->from);
    cJSON_AddNumberToObject(plan, "to", m->to);
    cJSON *gives_up = cJSON_AddArrayToObject(plan, "gives_up");
    cJSON *in_the_way = cJSON_AddArrayToObject(plan, "in_the_way");
    if (m->tick.fn)
        sqlite3_progress_handler(m->db, TICK_STEPS, on_progress, m);
    bool ok = true;
    for (int64_t v = m->from; ok && v > m->to; v--)
        for (size_t i = 0; ok && i < sh_store_steps[v - 1].n_rows; i++)
            ok = count_rows(m->db, v, &sh_store_steps[v - 1].rows[i], gives_up, in_the_way, err);
    sqlite3_progress_handler(m->db, 0, NULL, NULL);
    if (ok)
        return plan;
    cJSON_Delete(plan);
    return NULL;
}

/* --- a copy first ----------------------------------------------------------------------------- */

static bool on_copy(void *arg, const char *what, double part)
{
    (void)what;
    (void)part;
    const struct sh_store_move *m = arg;
    if (m->tick.fn)
        m->tick.fn(m->tick.arg);
    return true;
}

bool sh_store_move_copy(struct sh_store_move *m, const char *file, struct sh_error *err)
{
    const struct sh_backup backup = {
        .dir = m->dir, .file = file, .no_verify = true, .watch = {on_copy, m}};
    cJSON *report;
    struct sh_error why;
    if (!sh_store_backup(&backup, &report, &why))
        return sh_error_set(err, why.code, "%s; the store is as it was", why.msg);
    cJSON_Delete(report);
    return true;
}

/* --- and go ----------------------------------------------------------------------------------- */

static bool step_down(struct sh_store_move *m, int64_t version, struct sh_error *err)
{
    char note[80];
    snprintf(note, sizeof(note), "DELETE FROM sh_migrations WHERE version >= %" PRId64, version);
    /* somebody's own view of a table that is renamed for a moment keeps its text */
    sqlite3_db_config(m->db, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 1, NULL);
    bool ok = sh_sqlite_exec(m->db, sh_store_steps[version - 1].down, err) &&
              sh_sqlite_exec(m->db, note, err);
    sqlite3_db_config(m->db, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 0, NULL);
    return ok;
}

static bool way_is_free(struct sh_store_move *m, struct sh_error *err)
{
    cJSON *plan = sh_store_move_plan(m, err);
    if (!plan)
        return false;
    const int n = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(plan, "in_the_way"));
    cJSON_Delete(plan);
    return n == 0 ||
           sh_error_set(err, SH_ECONFLICT,
                        "%s: something in it has no place in schema %d, see above", m->path, m->to);
}

static bool go_down(struct sh_store_move *m, struct sh_error *err)
{
    if (!sh_sqlite_exec(m->db, "BEGIN IMMEDIATE", err))
        return false;
    bool ok = way_is_free(m, err);
    if (m->tick.fn)
        sqlite3_progress_handler(m->db, TICK_STEPS, on_progress, m);
    for (int64_t v = m->from; ok && v > m->to; v--)
        ok = step_down(m, v, err);
    sqlite3_progress_handler(m->db, 0, NULL, NULL);
    ok = ok && sh_store_schema_check(m->db, m->path, m->to, err) &&
         sh_sqlite_exec(m->db, "COMMIT", err);
    if (!ok && !sqlite3_get_autocommit(m->db))
        sqlite3_exec(m->db, "ROLLBACK", NULL, NULL, NULL);
    return ok;
}

bool sh_store_move_go(struct sh_store_move *m, struct sh_error *err)
{
    struct sh_error why = {0};
    if (m->from == m->to)
        return true;
    if (m->from < m->to
            ? sh_store_upgrade(m->db, m->path, m->to, m->tick.fn ? &m->tick : NULL, &why)
            : go_down(m, &why))
        return true;
    if (why.code == SH_EINVAL || why.code == SH_ECONFLICT)
        return sh_error_set(err, why.code, "%s", why.msg);
    return sh_error_set(err, why.code, "%s: it could not go to schema %d, and is as it was: %s",
                        m->path, m->to, why.msg);
}
