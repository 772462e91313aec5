/* SPDX-License-Identifier: MIT
 * store_token.c: who may come in through the API: tokens, of which only hashes are kept. */
#include "core/store_impl.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool sh_token_name_ok(const char *name)
{
    size_t n = name ? strlen(name) : 0;
    if (n == 0 || n > SH_MAX_TOKEN_NAME || name[0] == '.')
        return false;
    for (size_t i = 0; i < n; i++) /* in the C locale for all but widths of letters */
        if (!((uint8_t)name[i] < 0x80 && isalnum((uint8_t)name[i])) && !strchr("._-@", name[i]))
            return false;
    return true;
}

static bool role_ok(const char *role)
{
    return role && (strcmp(role, "viewer") == 0 || strcmp(role, "operator") == 0 ||
                    strcmp(role, "admin") == 0);
}

static bool check_new(const struct sh_op_token_new *op, int64_t now_ms, struct sh_error *err)
{
    if (!sh_token_name_ok(op->name))
        return sh_error_set(err, SH_EINVAL,
                            "token \"%.80s\": expected a name of 1 to %d letters, digits and"
                            " . _ - @, not beginning with a dot",
                            op->name ? op->name : "", SH_MAX_TOKEN_NAME);
    if (!role_ok(op->role))
        return sh_error_set(err, SH_EINVAL,
                            "token \"%s\": role \"%.40s\": expected viewer, operator or admin",
                            op->name, op->role ? op->role : "");
    if (op->expires_ms && op->expires_ms <= now_ms)
        return sh_error_set(err, SH_EINVAL, "token \"%s\": it would have expired already",
                            op->name);
    return true;
}

/* Is there room for one of that name? */
static bool check_room(struct sh_store *s, const char *name, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_TOKEN_NAMED, err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, name);
    if (sh_sqlite_step(st, err) != 1)
        return false;
    const int64_t same = sqlite3_column_int64(st, 0), all = sqlite3_column_int64(st, 1);
    sqlite3_reset(st);
    if (same)
        return sh_error_set(err, SH_ECONFLICT,
                            "there is a token named \"%s\" already; revoke it first, or choose"
                            " another name",
                            name);
    return all < SH_MAX_TOKENS ||
           sh_error_set(err, SH_ELIMIT, "there are %lld tokens, the most is %d: revoke some",
                        (long long)all, SH_MAX_TOKENS);
}

bool sh_store_token_new(struct sh_store *s, struct sh_op_token_new *op, struct sh_error *err)
{
    const int64_t now_ms = sh_now_ms();
    if (!check_new(op, now_ms, err) || !check_room(s, op->name, err))
        return false;
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_TOKEN_ADD, err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, op->name);
    sh_sqlite_bind_str(st, 2, op->role);
    sh_sqlite_bind_blob(st, 3, op->hash, sizeof(op->hash));
    sh_sqlite_bind_int(st, 4, now_ms);
    sh_sqlite_bind_str(st, 5, op->op.audit && op->op.audit->who ? op->op.audit->who : "");
    if (op->expires_ms)
        sh_sqlite_bind_int(st, 6, op->expires_ms);
    else
        sh_sqlite_bind_null(st, 6);
    bool ok = sh_sqlite_run(st, err);
    sqlite3_clear_bindings(st);
    return ok;
}

bool sh_store_token_revoke(struct sh_store *s, struct sh_op_token_revoke *op, struct sh_error *err)
{
    if (!sh_store_sessions_of(s, op->name, &op->sessions, err))
        return false;
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_TOKEN_DEL, err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, op->name);
    if (!sh_sqlite_run(st, err))
        return false;
    return sqlite3_changes(s->w.db) > 0 ||
           sh_error_set(err, SH_ENOTFOUND, "there is no token named \"%.80s\"", op->name);
}

static struct sh_stored_token token_of(sqlite3_stmt *st)
{
    struct sh_stored_token t = {.name = sh_sqlite_dup(st, 0),
                                .role = sh_sqlite_dup(st, 1),
                                .created_ms = sqlite3_column_int64(st, 3),
                                .created_by = sh_sqlite_dup(st, 4),
                                .expires_ms = sqlite3_column_int64(st, 5)};
    const void *hash = sqlite3_column_blob(st, 2);
    if (hash && sqlite3_column_bytes(st, 2) == SH_TOKEN_BYTES)
        memcpy(t.hash, hash, SH_TOKEN_BYTES);
    return t;
}

bool sh_store_tokens(struct sh_store *s, struct sh_op_tokens *op, struct sh_error *err)
{
    int got;
    size_t cap = 0;
    sqlite3_stmt *st = sh_store_stmt(s->r, SH_ST_TOKENS, err);
    op->items = NULL;
    op->n_items = 0;
    if (!st)
        return false;
    while ((got = sh_sqlite_step(st, err)) == 1) {
        if (op->n_items == cap) {
            cap = cap ? cap * 2 : 8;
            op->items = sh_realloc(op->items, cap * sizeof(*op->items));
        }
        op->items[op->n_items++] = token_of(st);
    }
    if (got == 0)
        return true;
    sh_tokens_free(op->items, op->n_items);
    op->items = NULL;
    op->n_items = 0;
    return false;
}

void sh_tokens_free(struct sh_stored_token *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(items[i].name);
        free(items[i].role);
        free(items[i].created_by);
    }
    free(items);
}
