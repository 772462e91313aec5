/* SPDX-License-Identifier: MIT
 * store_feed.c: the calendar feed of an assignee: its address, and what it shows. */
#include "base/log.h"
#include "base/utf8.h"
#include "core/ical.h"
#include "core/store_call.h"
#include "svc/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_BYTES    32
#define CLOSED_SHOW_MS (30LL * 24 * 3600 * 1000)
#define MAX_ENTRIES    2000 /* the latest by due time */

/* base64url without padding (RFC 4648 section 5): 32 bytes are 43 characters. */
static void make_token(char out[44])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t bytes[TOKEN_BYTES + 1] = {0};
    sh_random(bytes, TOKEN_BYTES);
    for (size_t i = 0; i < 43; i++) {
        const size_t at = i * 6 / 8, shift = i * 6 % 8;
        const unsigned two = (unsigned)bytes[at] << 8 | bytes[at + 1];
        out[i] = digits[two >> (10 - shift) & 63];
    }
    out[43] = '\0';
}

bool sh_store_feed_new(struct sh_store *s, struct sh_op_feed_new *op, struct sh_error *err)
{
    char token[44];
    if (!op->assignee || !*op->assignee)
        return sh_error_set(err, SH_EINVAL, "calendar feed: expected the address of an assignee");
    if (!sh_utf8_ok(sh_slice_str(op->assignee))) /* it is the calendar's name */
        return sh_error_set(err, SH_EINVAL, "calendar feed: the address is not valid UTF-8");
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_FEED_ADD, err);
    make_token(token);
    for (int i = 0; i < (op->renew ? 2 : 1); i++) {
        if (i == 1) /* there may be one already: then another address, from now on alone */
            st = sh_store_stmt(&s->w, SH_ST_FEED_RENEW, err);
        if (!st)
            return false;
        sh_sqlite_bind_str(st, 1, op->assignee);
        sh_sqlite_bind_str(st, 2, token);
        sh_sqlite_bind_int(st, 3, sh_now_ms());
        bool ok = sh_sqlite_run(st, err);
        sqlite3_clear_bindings(st);
        if (!ok)
            return false;
    }
    st = sh_store_stmt(&s->w, SH_ST_FEED_TOKEN, err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, op->assignee);
    int got = sh_sqlite_step(st, err);
    if (got == 1)
        snprintf(op->token, sizeof(op->token), "%s", (const char *)sqlite3_column_text(st, 0));
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return got == 1;
}

static int find_assignee(struct sh_store *s, struct sh_op_feed *op, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(s->r, SH_ST_FEED_ASSIGNEE, err);
    if (!st)
        return -1;
    sh_sqlite_bind_str(st, 1, op->token ? op->token : "");
    int got = sh_sqlite_step(st, err);
    if (got == 1)
        op->assignee = sh_sqlite_dup(st, 0);
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return got;
}

/* One that no calendar can show (due in the year 9999, say) must not cost all the others. */
static void add_entry(cJSON **entries, size_t *n, const struct sh_callback *view)
{
    struct sh_error why;
    cJSON *entry = sh_callback_invitation(view, "PUBLISH");
    if (sh_ical_check(entry, &why)) {
        entries[(*n)++] = entry;
        return;
    }
    sh_warn("a calendar feed leaves out a callback", "callback", view->id, "why", why.msg);
    cJSON_Delete(entry);
}

/* As many as there is room for, the latest. */
static bool write_entries(struct sh_buf *out, cJSON **entries, size_t n, const char *name,
                          struct sh_error *err)
{
    while (!sh_ical_write(out, (const cJSON *const *)entries, n, "PUBLISH", name, err)) {
        if (err->code != SH_ELIMIT || n == 0)
            return false;
        n -= n / 4 + 1;
        sh_buf_reset(out);
    }
    return true;
}

static bool take_entries(struct sh_store *s, const char *assignee, cJSON **entries, size_t *n,
                         struct sh_error *err)
{
    int got = 0;
    sqlite3_stmt *st = sh_store_stmt(s->r, SH_ST_FEED_ROWS, err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, assignee);
    sh_sqlite_bind_int(st, 2, sh_now_ms() - CLOSED_SHOW_MS);
    sh_sqlite_bind_int(st, 3, MAX_ENTRIES);
    while (*n < MAX_ENTRIES && (got = sh_sqlite_step(st, err)) == 1) {
        struct sh_store_call c = {0};
        sh_store_call_load(st, &c);
        const struct sh_callback view = sh_store_call_view(s, &c);
        add_entry(entries, n, &view);
        sh_store_call_clear(&c);
    }
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return got >= 0;
}

bool sh_store_feed(struct sh_store *s, struct sh_op_feed *op, struct sh_error *err)
{
    size_t n = 0;
    op->assignee = NULL;
    sh_buf_init(&op->calendar, SH_STORE_FEED_BYTES);
    int got = find_assignee(s, op, err);
    if (got != 1)
        return got == 0;
    cJSON **entries = sh_alloc(MAX_ENTRIES, sizeof(*entries));
    char *name = sh_strf("Callbacks of %s", op->assignee);
    bool ok = take_entries(s, op->assignee, entries, &n, err) &&
              write_entries(&op->calendar, entries, n, name, err);
    for (size_t i = 0; i < n; i++)
        cJSON_Delete(entries[i]);
    free(entries);
    free(name);
    return ok;
}
