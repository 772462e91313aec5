/* SPDX-License-Identifier: MIT
 * store_generation.c: rule sets that went live, their texts, and what waits for the rules. */
#include "core/store_impl.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

#define MIN_PREFIX 4 /* characters of an id that a person gives */

/* --- writing ----------------------------------------------------------------- */

/* 1: the generation is new to the store; 0: it is kept already. -1: failed. */
static int add_generation(struct sh_store *s, const struct sh_generation *g, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_GENERATION_ADD, err);
    if (!st)
        return -1;
    sh_sqlite_bind_str(st, 1, g->id);
    sh_sqlite_bind_int(st, 2, sh_now_ms());
    int got = sh_sqlite_step(st, err);
    int fresh = got == 1 && sqlite3_column_int64(st, 0) == 0; /* of its files none is there */
    sqlite3_reset(st);
    return got < 0 ? -1 : fresh;
}

/* False: no such part was written; *ok is false if that is a failure. */
static bool share_text(struct sh_store *s, const char *id, const struct sh_file *f,
                       const char *before, bool *ok, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_GENERATION_SAME, err);
    *ok = st != NULL;
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, id);
    sh_sqlite_bind_str(st, 2, f->name);
    sh_sqlite_bind_int(st, 3, f->is_rule);
    sh_sqlite_bind_blob(st, 4, f->text, f->len);
    sh_sqlite_bind_str(st, 5, before);
    *ok = sh_sqlite_run(st, err);
    return *ok && sqlite3_changes(s->w.db) > 0;
}

static bool keep_file(struct sh_store *s, const char *id, const struct sh_file *f,
                      const char *before, struct sh_error *err)
{
    bool ok = true;
    if (before && share_text(s, id, f, before, &ok, err))
        return true;
    sqlite3_stmt *st = ok ? sh_store_stmt(&s->w, SH_ST_GENERATION_KEEP, err) : NULL;
    if (!st)
        return false;
    sh_sqlite_bind_blob(st, 1, f->text, f->len);
    if (!sh_sqlite_run(st, err) || !(st = sh_store_stmt(&s->w, SH_ST_GENERATION_FILE, err)))
        return false;
    sh_sqlite_bind_str(st, 1, id);
    sh_sqlite_bind_str(st, 2, f->name);
    sh_sqlite_bind_int(st, 3, f->is_rule);
    return sh_sqlite_run(st, err);
}

static bool keep_text(struct sh_store *s, const struct sh_generation *g, const char *before,
                      struct sh_error *err)
{
    int fresh = add_generation(s, g, err);
    for (size_t i = 0; fresh == 1 && i < g->n_files; i++)
        if (!keep_file(s, g->id, &g->files[i], before, err))
            return false;
    return fresh >= 0;
}

/* The id of the live one, owned, in *id; NULL if there has been none. */
static bool find_live(struct sh_store_conn *c, char **id, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(c, SH_ST_GENERATION_LIVE, err);
    *id = NULL;
    if (!st)
        return false;
    int got = sh_sqlite_step(st, err);
    if (got == 1)
        *id = sh_sqlite_dup(st, 0);
    sqlite3_reset(st);
    return got >= 0;
}

static struct sh_generation *read_files(sqlite3_stmt *st, struct sh_error *err)
{
    struct sh_file *files = NULL;
    size_t n = 0;
    int got;
    while ((got = sh_sqlite_step(st, err)) == 1) {
        struct sh_slice text = sh_sqlite_text(st, 2);
        files = sh_realloc(files, (n + 1) * sizeof(*files));
        files[n++] = (struct sh_file){.name = sh_sqlite_dup(st, 0),
                                      .is_rule = sqlite3_column_int(st, 1) != 0,
                                      .text = sh_slice_dup(text),
                                      .len = text.n};
    }
    struct sh_generation *g = got == 0 ? sh_generation_new(files, n) : NULL;
    for (size_t i = 0; i < n; i++) {
        free(files[i].name);
        free(files[i].text);
    }
    free(files);
    return g;
}

/* The text of one that is kept; steps and resets st. */
static struct sh_generation *text_of(sqlite3_stmt *st, const char *id, struct sh_error *err)
{
    sh_sqlite_bind_str(st, 1, id);
    struct sh_generation *g = read_files(st, err);
    sqlite3_reset(st);
    return g;
}

static bool note_live(struct sh_store *s, const struct sh_op_generation *op, const char *before,
                      struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_GENERATION_TEXT, err);
    struct sh_generation *old = st && before ? text_of(st, before, err) : NULL;
    if (!st || (before && !old) || !(st = sh_store_stmt(&s->w, SH_ST_GENERATION_NOTE, err))) {
        sh_generation_free(old);
        return false;
    }
    cJSON *changes = sh_generation_changes(old, op->generation);
    char *text = cJSON_PrintUnformatted(changes);
    sh_sqlite_bind_str(st, 1, op->generation->id);
    sh_sqlite_bind_int(st, 2, sh_now_ms());
    sh_sqlite_bind_str(st, 3, op->cause ? op->cause : "start");
    sh_sqlite_bind_str(st, 4, text ? text : "[]");
    bool ok = sh_sqlite_run(st, err);
    free(text);
    cJSON_Delete(changes);
    sh_generation_free(old);
    return ok;
}

bool sh_store_generation(struct sh_store *s, struct sh_op_generation *op, struct sh_error *err)
{
    char *before;
    if (!find_live(&s->w, &before, err))
        return false;
    bool ok = keep_text(s, op->generation, before, err);
    ok = ok &&
         ((before && strcmp(before, op->generation->id) == 0) || note_live(s, op, before, err));
    free(before);
    return ok;
}

/* --- reading it back ---------------------------------------------------------- */

/* The whole id that a person means, owned. */
static char *whole_id(sqlite3 *db, const char *said, struct sh_error *err)
{
    const bool live = strcmp(said, "live") == 0;
    if (!live && strlen(said) < MIN_PREFIX) {
        sh_error_set(err, SH_EINVAL, "generation \"%s\": at least the first %d characters, or live",
                     said, MIN_PREFIX);
        return NULL;
    }
    sqlite3_stmt *st = sh_sqlite_prepare(
        db,
        live ? "SELECT generation FROM sh_generation_lives ORDER BY seq DESC LIMIT 1"
             : "SELECT id FROM sh_generations WHERE substr(id, 1, length(?1)) = ?1 LIMIT 2",
        err);
    if (!st)
        return NULL;
    if (!live)
        sh_sqlite_bind_str(st, 1, said);
    char *id = NULL;
    int got = sh_sqlite_step(st, err);
    if (got == 1)
        id = sh_sqlite_dup(st, 0);
    if (got == 0 && live)
        sh_error_set(err, SH_ENOTFOUND, "no generation has gone live yet");
    else if (got == 0)
        sh_error_set(err, SH_ENOTFOUND,
                     "there is no generation \"%.40s\" (see: switchhook generations)", said);
    if (got == 1 && sh_sqlite_step(st, err) == 1) {
        sh_error_set(err, SH_EINVAL, "several generations begin with \"%.40s\": say more of it",
                     said);
        free(id);
        id = NULL;
    }
    sqlite3_finalize(st);
    return id;
}

struct sh_generation *sh_store_view_generation(struct sh_store_view *v, const char *id,
                                               struct sh_error *err)
{
    char *whole = whole_id(v->db, id, err);
    if (!whole)
        return NULL;
    struct sh_generation *g = NULL;
    sqlite3_stmt *st = sh_sqlite_prepare(v->db, sh_store_sql[SH_ST_GENERATION_TEXT], err);
    if (st)
        g = text_of(st, whole, err);
    sqlite3_finalize(st);
    free(whole);
    return g;
}

/* --- what waits for the rules -------------------------------------------------- */

/* Timers without the clock rules' own, whose event names its rule. */
#define WAITING                                                                                    \
    "SELECT type, sum(timers), sum(callbacks) FROM"                                                \
    " (SELECT type, count(*) AS timers, 0 AS callbacks FROM sh_timers WHERE every IS NULL"         \
    " GROUP BY type UNION ALL SELECT 'callback_due', 0, count(*) FROM sh_callbacks"                \
    " WHERE status IN ('scheduled', 'snoozed') HAVING count(*) > 0"                                \
    " UNION ALL SELECT 'callback_missed', 0, count(*) FROM sh_callbacks"                           \
    " WHERE status IN ('scheduled', 'snoozed', 'due') HAVING count(*) > 0)"                        \
    " GROUP BY type ORDER BY type"

cJSON *sh_store_view_waiting(struct sh_store_view *v, struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(v->db, WAITING, err);
    if (!st)
        return NULL;
    cJSON *rows = cJSON_CreateArray();
    int got;
    while ((got = sh_sqlite_step(st, err)) == 1) {
        cJSON *row = cJSON_CreateObject();
        char *type = sh_sqlite_dup(st, 0);
        cJSON_AddStringToObject(row, "type", type ? type : "");
        cJSON_AddItemToObject(row, "timers", sh_json_int(sqlite3_column_int64(st, 1)));
        cJSON_AddItemToObject(row, "callbacks", sh_json_int(sqlite3_column_int64(st, 2)));
        cJSON_AddItemToArray(rows, row);
        free(type);
    }
    sqlite3_finalize(st);
    if (got == 0)
        return rows;
    cJSON_Delete(rows);
    return NULL;
}
