/* SPDX-License-Identifier: MIT
 * store_migrate.c: a store brought to the schema of this binary, or to another that it knows.
 *
 * All steps are one transaction: whatever happens in between, the store is of the old schema or of
 * the new one. What a step costs is told while it runs. */
#include "base/log.h"
#include "core/callback.h"
#include "core/store_migrate.h"
#include "core/store_steps.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_STEPS    200000  /* of SQLite's machine, some milliseconds */
#define FIRST_TELL_US 2000000 /* what takes longer says that it is under way */
#define NEXT_TELL_US  10000000

bool sh_store_ask_int(sqlite3 *db, const char *sql, int64_t *out, struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(db, sql, err);
    bool ok = st && sh_sqlite_int(st, out, err);
    sqlite3_finalize(st);
    return ok;
}

bool sh_store_schema_of(sqlite3 *db, int64_t *schema, struct sh_error *err)
{
    int64_t is_ours = 0;
    *schema = 0;
    return sh_store_ask_int(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'sh_migrations'",
                            &is_ours, err) &&
           (!is_ours ||
            sh_store_ask_int(db, "SELECT max(version) FROM sh_migrations", schema, err));
}

bool sh_store_schema_known(const char *name, int64_t schema, struct sh_error *err)
{
    if (schema <= SH_STORE_SCHEMA)
        return true;
    return sh_error_set(err, SH_EINVAL,
                        "%s: its schema is %" PRId64 ", made by a newer switchhook; this one knows"
                        " up to %d. Start the newer one, or have it take the store back:"
                        " switchhook schema --to %d",
                        name, schema, SH_STORE_SCHEMA, SH_STORE_SCHEMA);
}

/* --- is it what it says? ---------------------------------------------------------------------- */

static bool list_objects(sqlite3 *db, struct sh_buf *out, struct sh_error *err)
{
    int got;
    sqlite3_stmt *st =
        sh_sqlite_prepare(db,
                          "SELECT name, sql FROM sqlite_schema WHERE tbl_name LIKE 'sh\\_%'"
                          " ESCAPE '\\' AND name LIKE 'sh\\_%' ESCAPE '\\' AND type IN"
                          " ('table', 'index') AND name <> 'sh_migrations' ORDER BY name",
                          err);
    if (!st)
        return false;
    while ((got = sh_sqlite_step(st, err)) == 1) {
        struct sh_slice name = sh_sqlite_text(st, 0), sql = sh_sqlite_text(st, 1);
        sh_buf_addf(out, "%.*s\t%.*s\n", (int)name.n, name.p, (int)sql.n, sql.p);
    }
    sqlite3_finalize(st);
    return got == 0;
}

/* The name with which the first line begins that is not in both. */
static struct sh_slice first_other(const char *a, const char *b)
{
    while (*a && *b) {
        size_t na = strcspn(a, "\n"), nb = strcspn(b, "\n");
        if (na != nb || memcmp(a, b, na) != 0)
            break;
        a += na + 1;
        b += nb + 1;
    }
    /* of the two names, the one that the other side does not get to, or has otherwise */
    const char *at = !*a || (*b && strcmp(b, a) < 0) ? b : a;
    return sh_slice(at, strcspn(at, "\t"));
}

bool sh_store_schema_check(sqlite3 *db, const char *name, int64_t schema, struct sh_error *err)
{
    const struct sh_sqlite_config memory = {.cache_kib = 1024};
    struct sh_buf is, should;
    sqlite3 *fresh = sh_sqlite_open(&memory, err);
    bool ok = fresh != NULL;
    sh_buf_init(&is, SH_STORE_ANSWER_BYTES);
    sh_buf_init(&should, SH_STORE_ANSWER_BYTES);
    for (int64_t v = 1; ok && v <= schema; v++)
        ok = sh_sqlite_exec(fresh, sh_store_steps[v - 1].up, err);
    ok = ok && list_objects(db, &is, err) && list_objects(fresh, &should, err);
    if (ok && (is.len != should.len || memcmp(is.data, should.data, is.len) != 0)) {
        struct sh_slice other = first_other(is.len ? is.data : "", should.data);
        ok = sh_error_set(err, SH_EINVAL,
                          "%s: %.*s is not as in schema %" PRId64 ": somebody changed it, or it was"
                          " made by a switchhook between two releases; restore a backup, or start"
                          " with a new data folder",
                          name, (int)other.n, other.p, schema);
    }
    sh_buf_free(&is);
    sh_buf_free(&should);
    sh_sqlite_close(fresh);
    return ok;
}

/* --- how far ---------------------------------------------------------------------------------- */

struct journey {
    const char *name;
    const struct sh_store_tick *tick; /* NULL: the log is told */
    int64_t from, to, began_us, tell_us;
};

static int on_tick(void *arg)
{
    struct journey *j = arg;
    int64_t now = sh_mono_us();
    if (j->tick)
        j->tick->fn(j->tick->arg);
    if (j->tick || now < j->tell_us)
        return 0;
    j->tell_us = now + NEXT_TELL_US;
    sh_info("the store's schema is being upgraded; this takes a while", "file", j->name, "from",
            SH_NUM(j->from), "to", SH_NUM(j->to), "seconds", SH_NUM((now - j->began_us) / 1000000));
    return 0;
}

static void begin_journey(sqlite3 *db, struct journey *j)
{
    j->began_us = sh_mono_us();
    j->tell_us = j->began_us + FIRST_TELL_US;
    if (j->from)
        sqlite3_progress_handler(db, TICK_STEPS, on_tick, j);
}

static void end_journey(sqlite3 *db, const struct journey *j, bool ok)
{
    sqlite3_progress_handler(db, 0, NULL, NULL);
    if (ok && j->from && !j->tick)
        sh_info("the store's schema was upgraded", "file", j->name, "from", SH_NUM(j->from), "to",
                SH_NUM(j->to), "ms", SH_NUM((sh_mono_us() - j->began_us) / 1000));
}

/* --- up --------------------------------------------------------------------------------------- */

static void sql_digits(sqlite3_context *c, int n, sqlite3_value **v)
{
    const char *number = (const char *)sqlite3_value_text(v[0]);
    char *digits = sh_alloc(1, number ? strlen(number) + 1 : 1);
    (void)n;
    if (number)
        sh_callback_number(number, digits);
    sqlite3_result_text(c, digits, -1, SQLITE_TRANSIENT);
    free(digits);
}

static void sql_seq(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct sh_id id;
    const char *text = (const char *)sqlite3_value_text(v[0]);
    (void)n;
    if (text && sh_id_parse(text, strlen(text), &id))
        sqlite3_result_int64(c, sh_id_order(id));
}

bool sh_store_schema_is_first(sqlite3 *db, bool *first, struct sh_error *err)
{
    int64_t timers = 0;
    bool ok = sh_store_ask_int(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'sh_timers'",
                               &timers, err);
    *first = timers == 0;
    return ok;
}

static bool mend_first_release(sqlite3 *db, struct sh_error *err)
{
    bool first = false;
    if (!sh_store_schema_is_first(db, &first, err))
        return false;
    if (!first)
        return true;
    /* somebody's own view of a table that is renamed for a moment keeps its text */
    sqlite3_db_config(db, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 1, NULL);
    sqlite3_create_function(db, "sh_digits", 1, SQLITE_UTF8, NULL, sql_digits, NULL, NULL);
    sqlite3_create_function(db, "sh_seq", 1, SQLITE_UTF8, NULL, sql_seq, NULL, NULL);
    bool ok = sh_sqlite_exec(db, sh_store_first_release, err);
    sqlite3_create_function(db, "sh_digits", 1, SQLITE_UTF8, NULL, NULL, NULL, NULL);
    sqlite3_create_function(db, "sh_seq", 1, SQLITE_UTF8, NULL, NULL, NULL, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 0, NULL);
    return ok;
}

static bool step_up(sqlite3 *db, int64_t version, struct sh_error *err)
{
    char note[160];
    const struct sh_store_step *step = &sh_store_steps[version - 1];
    snprintf(note, sizeof(note), "INSERT INTO sh_migrations VALUES(%" PRId64 ", %" PRId64 ")",
             version, sh_now_ms());
    return sh_sqlite_exec(db, step->up, err) &&
           (!step->after || sh_sqlite_exec(db, step->after, err)) && sh_sqlite_exec(db, note, err);
}

static bool go_up(sqlite3 *db, const char *name, int64_t to, const struct sh_store_tick *tick,
                  struct sh_error *err)
{
    struct journey j = {.name = name, .tick = tick, .to = to};
    if (!sh_sqlite_exec(db,
                        "CREATE TABLE IF NOT EXISTS sh_migrations("
                        "version INTEGER PRIMARY KEY, applied_ms INTEGER NOT NULL) STRICT",
                        err) ||
        !sh_store_schema_of(db, &j.from, err) || !sh_store_schema_known(name, j.from, err))
        return false;
    begin_journey(db, &j);
    bool ok = j.from != 1 || mend_first_release(db, err);
    ok = ok && (!j.from || sh_store_schema_check(db, name, j.from, err));
    for (int64_t v = j.from + 1; ok && v <= to; v++)
        ok = step_up(db, v, err);
    end_journey(db, &j, ok);
    return ok;
}

bool sh_store_upgrade(sqlite3 *db, const char *name, int64_t to, const struct sh_store_tick *tick,
                      struct sh_error *err)
{
    char mark[64];
    snprintf(mark, sizeof(mark), "PRAGMA application_id=%d", SH_STORE_APPLICATION_ID);
    if (!sh_sqlite_exec(db, "BEGIN IMMEDIATE", err))
        return false;
    if (go_up(db, name, to, tick, err) && sh_sqlite_exec(db, mark, err) &&
        sh_sqlite_exec(db, "COMMIT", err))
        return true;
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

bool sh_store_migrate(sqlite3 *db, const char *name, bool shared, struct sh_error *err)
{
    int64_t have;
    if (!sh_store_schema_of(db, &have, err) || !sh_store_schema_known(name, have, err))
        return false;
    if (have == SH_STORE_SCHEMA)
        return true;    /* the usual case takes no write lock */
    if (shared && have) /* an older engine may be at work on it */
        return sh_store_schema_older(name, have, err);
    struct sh_error why = {0};
    if (sh_store_upgrade(db, name, SH_STORE_SCHEMA, NULL, &why))
        return true;
    if (!have || why.code == SH_EINVAL)
        return sh_error_set(err, why.code, "%s", why.msg);
    return sh_error_set(err, why.code,
                        "%s: its schema %" PRId64 " could not be upgraded to %d, and is as it was:"
                        " %s",
                        name, have, SH_STORE_SCHEMA, why.msg);
}

bool sh_store_schema_older(const char *name, int64_t schema, struct sh_error *err)
{
    return sh_error_set(err, SH_EINVAL,
                        "%s: its schema is %" PRId64 ", this switchhook works with %d: the next"
                        " start of the engine upgrades it, or `switchhook schema --to %d` while"
                        " none runs",
                        name, schema, SH_STORE_SCHEMA, SH_STORE_SCHEMA);
}
