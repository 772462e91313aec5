/* SPDX-License-Identifier: MIT
 * store_session.c: who is logged in to the console. Hashes alone: of what the browser holds, and of
 * the token that it was opened with, without which there is no session. */
#include "core/store_impl.h"

#include <stdlib.h>
#include <string.h>

static bool run_int(struct sh_store *s, enum sh_stmt which, int64_t n, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, which, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, n);
    return sh_sqlite_run(st, err);
}

bool sh_store_sessions_expire(struct sh_store *s, int64_t now_ms, struct sh_error *err)
{
    return run_int(s, SH_ST_SESSION_EXPIRE, now_ms, err);
}

static bool add(struct sh_store *s, const struct sh_op_session_new *op, int64_t now_ms,
                struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_SESSION_ADD, err);
    if (!st)
        return false;
    sh_sqlite_bind_blob(st, 1, op->hash, sizeof(op->hash));
    sh_sqlite_bind_blob(st, 2, op->token, sizeof(op->token));
    sh_sqlite_bind_int(st, 3, now_ms);
    sh_sqlite_bind_int(st, 4, op->expires_ms);
    bool ok = sh_sqlite_run(st, err);
    sqlite3_clear_bindings(st);
    return ok && (sqlite3_changes(s->w.db) > 0 ||
                  sh_error_set(err, SH_ENOTFOUND, "the token of this session is gone"));
}

static bool keep_newest_of(struct sh_store *s, const uint8_t token[SH_TOKEN_BYTES],
                           struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_SESSION_CAP_TOKEN, err);
    if (!st)
        return false;
    sh_sqlite_bind_blob(st, 1, token, SH_TOKEN_BYTES);
    sh_sqlite_bind_int(st, 2, SH_MAX_SESSIONS_OF);
    bool ok = sh_sqlite_run(st, err);
    sqlite3_clear_bindings(st);
    return ok;
}

bool sh_store_session_new(struct sh_store *s, struct sh_op_session_new *op, struct sh_error *err)
{
    const int64_t now_ms = sh_now_ms();
    if (op->expires_ms <= now_ms)
        return sh_error_set(err, SH_EINVAL, "the session would have expired already");
    return sh_store_sessions_expire(s, now_ms, err) && add(s, op, now_ms, err) &&
           keep_newest_of(s, op->token, err) && run_int(s, SH_ST_SESSION_CAP, SH_MAX_SESSIONS, err);
}

bool sh_store_session_end(struct sh_store *s, struct sh_op_session_end *op, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_SESSION_DEL, err);
    if (!st)
        return false;
    sh_sqlite_bind_blob(st, 1, op->hash, sizeof(op->hash));
    bool ok = sh_sqlite_run(st, err);
    sqlite3_clear_bindings(st);
    op->ended = ok && sqlite3_changes(s->w.db) > 0;
    return ok;
}

bool sh_store_sessions_of(struct sh_store *s, const char *token, size_t *n, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_SESSION_DEL_TOKEN, err);
    *n = 0;
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, token);
    if (!sh_sqlite_run(st, err))
        return false;
    *n = (size_t)sqlite3_changes(s->w.db);
    return true;
}

static bool read_hash(sqlite3_stmt *st, int col, uint8_t out[SH_TOKEN_BYTES])
{
    const void *hash = sqlite3_column_blob(st, col);
    if (!hash || sqlite3_column_bytes(st, col) != SH_TOKEN_BYTES)
        return false;
    memcpy(out, hash, SH_TOKEN_BYTES);
    return true;
}

bool sh_store_sessions(struct sh_store *s, struct sh_op_sessions *op, struct sh_error *err)
{
    int got;
    size_t cap = 0;
    sqlite3_stmt *st = sh_store_stmt(s->r, SH_ST_SESSIONS, err);
    op->items = NULL;
    op->n_items = 0;
    if (!st)
        return false;
    while ((got = sh_sqlite_step(st, err)) == 1) {
        struct sh_stored_session one = {.expires_ms = sqlite3_column_int64(st, 2)};
        if (!read_hash(st, 0, one.hash) || !read_hash(st, 1, one.token))
            continue;
        if (op->n_items == cap) {
            cap = cap ? cap * 2 : 8;
            op->items = sh_realloc(op->items, cap * sizeof(*op->items));
        }
        op->items[op->n_items++] = one;
    }
    if (got == 0)
        return true;
    free(op->items);
    op->items = NULL;
    op->n_items = 0;
    return false;
}
