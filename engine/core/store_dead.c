/* SPDX-License-Identifier: MIT
 * store_dead.c: what a person ends or begins anew: dead letters are brought back or dropped, timers
 * cancelled. */
#include "core/store_impl.h"

#include <string.h>

/* A statement on DEAD_RUNS or DEAD_ITEMS, store_sql.c. *n: how many rows it changed. */
static bool change(struct sh_store *s, enum sh_stmt which, const struct sh_op_redrive *op,
                   const struct sh_id *event, size_t *n, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, which, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, sh_now_ms());
    sh_sqlite_bind_str(st, 2, op->rule);
    if (event)
        sh_sqlite_bind_int(st, 3, sh_id_order(*event));
    sh_sqlite_bind_str(st, 4, op->id);
    if (which == SH_ST_REDRIVE_ITEMS || which == SH_ST_DROP_ITEMS)
        sh_sqlite_bind_str(st, 5, op->kind);
    bool ok = sh_sqlite_run(st, err);
    *n = ok ? (size_t)sqlite3_changes(s->w.db) : 0;
    sqlite3_clear_bindings(st);
    return ok;
}

static bool dead(struct sh_store *s, struct sh_op_redrive *op, enum sh_stmt runs,
                 enum sh_stmt items, struct sh_error *err)
{
    struct sh_id id;
    const bool event = op->id && sh_id_parse(op->id, strlen(op->id), &id);
    const bool only_runs = event || (op->kind && strcmp(op->kind, "run") == 0);
    const bool only_items = !event && (op->id || (op->kind && !only_runs));
    return (only_items || change(s, runs, op, event ? &id : NULL, &op->n_runs, err)) &&
           (only_runs || change(s, items, op, NULL, &op->n_items, err));
}

bool sh_store_redrive(struct sh_store *s, struct sh_op_redrive *op, struct sh_error *err)
{
    return dead(s, op, SH_ST_REDRIVE_RUNS, SH_ST_REDRIVE_ITEMS, err);
}

bool sh_store_drop(struct sh_store *s, struct sh_op_redrive *op, struct sh_error *err)
{
    return dead(s, op, SH_ST_DROP_RUNS, SH_ST_DROP_ITEMS, err);
}

/* --- timers ------------------------------------------------------------------ */

bool sh_store_timer_drop(struct sh_store *s, struct sh_op_timer_cancel *op, struct sh_error *err)
{
    int64_t is_clock = 0;
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_TIMER_CANCEL, err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, op->name);
    int got = sh_sqlite_step(st, err);
    if (got == 1) {
        op->due_ms = sqlite3_column_int64(st, 0);
        return sh_sqlite_run(st, err);
    }
    if (got < 0 || !(st = sh_store_stmt(&s->w, SH_ST_TIMER_IS_CLOCK, err)))
        return false;
    sh_sqlite_bind_str(st, 1, op->name);
    if (!sh_sqlite_int(st, &is_clock, err))
        return false;
    if (is_clock)
        return sh_error_set(err, SH_ECONFLICT,
                            "\"%.100s\" is a clock rule, not a timer: pause the rule instead",
                            op->name);
    return sh_error_set(err, SH_ENOTFOUND, "there is no timer named \"%.100s\"", op->name);
}
