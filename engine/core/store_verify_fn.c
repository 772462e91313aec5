/* SPDX-License-Identifier: MIT
 * store_verify_fn.c: what the checks ask that SQL alone cannot answer. */
#include "core/callback.h"
#include "core/event_body.h"
#include "core/store_verify_impl.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

static struct sh_slice bytes_of(sqlite3_value *v)
{
    const void *p = sqlite3_value_blob(v);
    return sh_slice(p ? p : "", (size_t)sqlite3_value_bytes(v));
}

static char *text_of(sqlite3_value *v)
{
    return sh_slice_dup(bytes_of(v));
}

static void seq_of(sqlite3_context *ctx, int n, sqlite3_value **args)
{
    struct sh_id id;
    struct sh_slice text = bytes_of(args[0]);
    (void)n;
    if (sh_id_parse(text.p, text.n, &id))
        sqlite3_result_int64(ctx, sh_id_order(id));
}

static void body_is(sqlite3_context *ctx, int n, sqlite3_value **args)
{
    const int64_t format = sqlite3_value_int64(args[0]);
    struct sh_slice body = bytes_of(args[1]), json;
    struct sh_buf made;
    (void)n;
    if (format < SH_BODY_JSON || format > SH_BODY_JWT) {
        sqlite3_result_int(ctx, 0);
        return;
    }
    const bool is = sh_event_check((enum sh_body_format)format, body, &made, &json, NULL);
    sh_buf_free(&made);
    sqlite3_result_int(ctx, is);
}

static void object_is(sqlite3_context *ctx, int n, sqlite3_value **args)
{
    struct sh_slice doc = bytes_of(args[0]), at = doc;
    (void)n;
    while (at.n && strchr(" \t\r\n", *at.p))
        at = sh_slice(at.p + 1, at.n - 1);
    sqlite3_result_int(ctx, at.n && *at.p == '{' && sh_json_check(doc.p, doc.n, NULL));
}

static void digits(sqlite3_context *ctx, int n, sqlite3_value **args)
{
    char *number = text_of(args[0]), *out = sh_alloc(1, strlen(number) + 1);
    (void)n;
    sh_callback_number(number, out);
    sqlite3_result_text(ctx, out, -1, SQLITE_TRANSIENT);
    free(number);
    free(out);
}

static void dedupe_of(sqlite3_context *ctx, int n, sqlite3_value **args)
{
    uint8_t hash[32];
    (void)n;
    sh_store_dedupe_hash(bytes_of(args[0]), bytes_of(args[1]), hash);
    sqlite3_result_blob(ctx, hash, SH_STORE_HASH_BYTES, SQLITE_TRANSIENT);
}

static void generation_of(sqlite3_context *ctx, int n, sqlite3_value **args)
{
    struct sh_store_view view = {sqlite3_context_db_handle(ctx)};
    char *id = text_of(args[0]);
    (void)n;
    struct sh_generation *g = sh_store_view_generation(&view, id, NULL);
    if (g)
        sqlite3_result_text(ctx, g->id, -1, SQLITE_TRANSIENT);
    sh_generation_free(g);
    free(id);
}

bool sh_store_verify_functions(sqlite3 *db, struct sh_error *err)
{
    static const struct {
        const char *name;
        int n;
        void (*fn)(sqlite3_context *, int, sqlite3_value **);
    } functions[] = {
        {"sh_seq_of", 1, seq_of},       {"sh_body_is", 2, body_is},
        {"sh_object_is", 1, object_is}, {"sh_digits", 1, digits},
        {"sh_dedupe_of", 2, dedupe_of}, {"sh_generation_of", 1, generation_of},
    };
    for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++) {
        int rc = sqlite3_create_function(db, functions[i].name, functions[i].n,
                                         SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY,
                                         NULL, functions[i].fn, NULL, NULL);
        if (rc != SQLITE_OK)
            return sh_sqlite_fail(db, rc, functions[i].name, err);
    }
    return true;
}
