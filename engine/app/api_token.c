/* SPDX-License-Identifier: MIT
 * api_token.c: the tokens of the API, kept up with the store. */
#include "app/api_token.h"

#include "base/clock.h"
#include "base/log.h"
#include "svc/crypto.h"
#include "svc/loop.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_MS 500

struct sh_api_tokens {
    struct sh_store *store;
    struct sh_timer *timer;
    struct sh_op_tokens look;
    bool out;   /* the store is asked */
    bool stale; /* and what it says is of before a change: ask again */
    bool known, stopped;
    void (*on_known)(void *arg); /* NULL once it was called */
    void *on_known_arg;
    struct sh_stored_token *items;
    size_t n, cap;
};

/* --- keeping up --------------------------------------------------------------------------------
 */

static void ask(struct sh_api_tokens *t);

static void on_read(struct sh_op *op)
{
    struct sh_api_tokens *t = op->arg;
    t->out = false;
    if (op->ok && !t->stale) {
        sh_tokens_free(t->items, t->n);
        t->items = t->look.items;
        t->n = t->cap = t->look.n_items;
        t->known = true;
    } else if (op->ok) {
        sh_tokens_free(t->look.items, t->look.n_items);
    } else {
        sh_warn("cannot read the tokens of the API, will be tried again", "error", op->err.msg);
    }
    const bool again = t->stale;
    void (*told)(void *) = t->known ? t->on_known : NULL;
    t->stale = false;
    if (again)
        ask(t);
    else if (!t->stopped)
        sh_timer_set(t->timer, LOOK_MS);
    if (told) {
        t->on_known = NULL;
        told(t->on_known_arg);
    }
}

static void ask(struct sh_api_tokens *t)
{
    if (t->out || t->stopped)
        return;
    t->look = (struct sh_op_tokens){.op = {.kind = SH_OP_TOKENS, .done = on_read, .arg = t}};
    t->out = true;
    sh_store_submit(t->store, &t->look.op);
}

static void on_time(void *arg)
{
    ask(arg);
}

static void forget(struct sh_api_tokens *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->items[i].name, name) != 0)
            continue;
        free(t->items[i].name);
        free(t->items[i].role);
        free(t->items[i].created_by);
        t->items[i] = t->items[--t->n];
        return;
    }
}

static void add(struct sh_api_tokens *t, const struct sh_op_token_new *op)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 8;
        t->items = sh_realloc(t->items, t->cap * sizeof(*t->items));
    }
    struct sh_stored_token *one = &t->items[t->n++];
    *one = (struct sh_stored_token){.name = sh_strdup(op->name),
                                    .role = sh_strdup(op->role),
                                    .created_by = sh_strdup(op->op.audit->who),
                                    .created_ms = sh_now_ms(),
                                    .expires_ms = op->expires_ms};
    memcpy(one->hash, op->hash, sizeof(one->hash));
}

void sh_api_tokens_changed(struct sh_api_tokens *t, const struct sh_op *op)
{
    if (!op->ok || (op->kind != SH_OP_TOKEN_NEW && op->kind != SH_OP_TOKEN_REVOKE))
        return;
    t->stale = t->out;
    if (op->kind == SH_OP_TOKEN_REVOKE) {
        forget(t, ((const struct sh_op_token_revoke *)op)->name);
        return;
    }
    const struct sh_op_token_new *made = (const struct sh_op_token_new *)op;
    forget(t, made->name); /* the store may have been read since */
    add(t, made);
}

/* --- looking up --------------------------------------------------------------------------------
 */

bool sh_api_tokens_known(const struct sh_api_tokens *t)
{
    return t->known;
}

size_t sh_api_tokens_count(const struct sh_api_tokens *t)
{
    return t->n;
}

const struct sh_stored_token *sh_api_tokens_find(const struct sh_api_tokens *t,
                                                 struct sh_slice text)
{
    uint8_t hash[SH_SHA256_BYTES];
    sh_sha256(&text, 1, hash);
    return sh_api_tokens_of(t, hash);
}

const struct sh_stored_token *sh_api_tokens_of(const struct sh_api_tokens *t,
                                               const uint8_t hash[SH_TOKEN_BYTES])
{
    const struct sh_stored_token *found = NULL;
    for (size_t i = 0; i < t->n; i++) /* all of them, whichever it is */
        found = sh_bytes_eq(hash, t->items[i].hash, SH_TOKEN_BYTES) ? &t->items[i] : found;
    return found;
}

static void add_time(cJSON *row, const char *name, int64_t ms)
{
    char text[SH_TIME_TEXT];
    if (ms)
        cJSON_AddStringToObject(row, name, sh_time_text(ms, text));
    else
        cJSON_AddNullToObject(row, name);
}

cJSON *sh_api_tokens_list(const struct sh_stored_token *items, size_t n)
{
    cJSON *rows = cJSON_CreateArray();
    const int64_t now_ms = sh_now_ms();
    for (size_t i = 0; i < n; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "name", items[i].name);
        cJSON_AddStringToObject(row, "role", items[i].role);
        add_time(row, "created_at", items[i].created_ms);
        cJSON_AddStringToObject(row, "created_by", items[i].created_by);
        add_time(row, "expires_at", items[i].expires_ms);
        cJSON_AddBoolToObject(row, "expired", items[i].expires_ms && items[i].expires_ms <= now_ms);
        cJSON_AddItemToArray(rows, row);
    }
    return rows;
}

cJSON *sh_api_tokens_rows(const struct sh_api_tokens *t)
{
    return sh_api_tokens_list(t->items, t->n);
}

/* --- life --------------------------------------------------------------------------------------
 */

struct sh_api_tokens *sh_api_tokens_new(struct event_base *base, struct sh_store *store,
                                        void (*known)(void *arg), void *arg)
{
    struct sh_api_tokens *t = sh_alloc(1, sizeof(*t));
    t->on_known = known;
    t->on_known_arg = arg;
    t->store = store;
    t->timer = sh_timer_new(base, on_time, t);
    ask(t);
    return t;
}

void sh_api_tokens_stop(struct sh_api_tokens *t)
{
    t->stopped = true;
    sh_timer_cancel(t->timer);
}

void sh_api_tokens_free(struct sh_api_tokens *t)
{
    if (!t)
        return;
    sh_timer_free(t->timer);
    sh_tokens_free(t->items, t->n);
    free(t);
}
