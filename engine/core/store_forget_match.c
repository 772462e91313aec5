/* SPDX-License-Identifier: MIT
 * store_forget_match.c: what stands for a caller, and whether it is there: asked from C and from
 * SQL.
 */
#include "core/event_body.h"
#include "core/forget_impl.h"

#include <stdlib.h>
#include <string.h>

/* --- what is looked for --------------------------------------------------------- */

struct sh_forget *sh_forget_new(const struct sh_phone_number *number, bool dry)
{
    struct sh_forget *f = sh_alloc(1, sizeof(*f));
    f->number = *number;
    f->dry = dry;
    f->limit = SH_FORGET_FIRST_ROWS;
    return f;
}

static void free_set(struct sh_forget_text *t)
{
    struct sh_forget_text *head = t, *next;
    HASH_CLEAR(hh, head);
    for (; t; t = next) {
        next = t->hh.next;
        free(t->text);
        free(t);
    }
}

static void free_events(struct sh_forget_event *e)
{
    struct sh_forget_event *head = e, *next;
    HASH_CLEAR(hh, head);
    for (; e; e = next) {
        next = e->hh.next;
        free(e);
    }
}

static void free_keys(struct sh_forget_key *k)
{
    struct sh_forget_key *head = k, *next;
    HASH_CLEAR(hh, head);
    for (; k; k = next) {
        next = k->hh.next;
        free(k->name);
        free(k->member);
        free(k);
    }
}

void sh_forget_free(struct sh_forget *f)
{
    if (!f)
        return;
    free_events(f->events);
    free_keys(f->keys);
    free_set(f->tokens);
    free_set(f->dropped);
    free_set(f->files);
    free(f->sorted);
    free(f->paths);
    explicit_bzero(f, sizeof(*f));
    free(f);
}

void sh_forget_note(struct sh_forget_text **set, struct sh_slice text)
{
    struct sh_forget_text *t;
    HASH_FIND(hh, *set, text.p, text.n, t);
    if (t)
        return;
    t = sh_alloc(1, sizeof(*t));
    t->text = sh_slice_dup(text);
    HASH_ADD_KEYPTR(hh, *set, t->text, text.n, t);
}

void sh_forget_note_token(struct sh_forget *f, struct sh_slice text)
{
    sh_forget_note(&f->tokens, text);
    f->token_most = text.n > f->token_most ? text.n : f->token_most;
}

static bool has(const struct sh_forget_text *set, const char *p, size_t n)
{
    const struct sh_forget_text *t;
    HASH_FIND(hh, set, p, n, t);
    return t != NULL;
}

bool sh_forget_dropped(const struct sh_forget *f, const char *item_id)
{
    return has(f->dropped, item_id, strlen(item_id));
}

bool sh_forget_mentions(const struct sh_forget *f, struct sh_slice text)
{
    return sh_phone_number_within(&f->number, text);
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.' || c == '@';
}

/* A word, or its front up to a dash, such as the call's id in "<call id>-1". Fronts longer than any
 * token are passed over: of a megabyte of "a-a-a-" there are half a million. */
static bool is_token(const struct sh_forget *f, const char *p, size_t n)
{
    if (n > f->token_most) {
        n = f->token_most;
        while (n >= SH_FORGET_TOKEN && !strchr("-_.@", p[n]))
            n--;
    }
    for (; n >= SH_FORGET_TOKEN; n--) {
        if (has(f->tokens, p, n))
            return true;
        while (n > SH_FORGET_TOKEN && !strchr("-_.@", p[n - 1]))
            n--;
    }
    return false;
}

bool sh_forget_touches(const struct sh_forget *f, struct sh_slice text)
{
    const char *end = text.p + text.n;
    if (sh_forget_mentions(f, text))
        return true;
    if (!f->tokens || !text.n)
        return false;
    if (has(f->tokens, text.p, text.n))
        return true;
    for (const char *p = text.p; p < end;) {
        const char *word = p;
        while (p < end && is_word(*p))
            p++;
        if (p - word >= SH_FORGET_TOKEN && is_token(f, word, (size_t)(p - word)))
            return true;
        p += p == word;
    }
    return false;
}

/* Not before the keys are known to be calls. */
bool sh_forget_counts_in(const struct sh_forget_event *e)
{
    return e && (!e->key || !e->key->mixed);
}

bool sh_forget_hit(const struct sh_forget *f, struct sh_slice event_id)
{
    const struct sh_forget_event *e;
    HASH_FIND(hh, f->events, event_id.p, event_id.n, e);
    return sh_forget_counts_in(e);
}

/* --- SQL ---------------------------------------------------------------------------- */

static void on_mentions(sqlite3_context *c, int n, sqlite3_value **v)
{
    const struct sh_store *s = sqlite3_user_data(c);
    (void)n;
    const void *p = sqlite3_value_blob(v[0]);
    sqlite3_result_int(
        c, s->forget && p &&
               sh_forget_mentions(s->forget, sh_slice(p, (size_t)sqlite3_value_bytes(v[0]))));
}

static void on_touches(sqlite3_context *c, int n, sqlite3_value **v)
{
    const struct sh_store *s = sqlite3_user_data(c);
    (void)n;
    const void *p = sqlite3_value_blob(v[0]);
    sqlite3_result_int(
        c, s->forget && p &&
               sh_forget_touches(s->forget, sh_slice(p, (size_t)sqlite3_value_bytes(v[0]))));
}

static void on_hit(sqlite3_context *c, int n, sqlite3_value **v)
{
    const struct sh_store *s = sqlite3_user_data(c);
    (void)n;
    const void *p = sqlite3_value_blob(v[0]);
    sqlite3_result_int(
        c,
        s->forget && p && sh_forget_hit(s->forget, sh_slice(p, (size_t)sqlite3_value_bytes(v[0]))));
}

/* The JSON of a body that is a form or a token: its bytes say the number in other characters. */
static void on_json(sqlite3_context *c, int n, sqlite3_value **v)
{
    (void)n;
    struct sh_slice json,
        body = sh_slice(sqlite3_value_blob(v[1]), (size_t)sqlite3_value_bytes(v[1]));
    struct sh_buf made;
    if (sh_event_json((enum sh_body_format)sqlite3_value_int(v[0]), body, &made, &json, NULL))
        sqlite3_result_text64(c, json.p, json.n, SQLITE_TRANSIENT, SQLITE_UTF8);
    else
        sqlite3_result_value(c, v[1]);
    sh_buf_free(&made);
}

bool sh_forget_functions(struct sh_store *s, struct sh_error *err)
{
    static const struct {
        const char *name;
        void (*fn)(sqlite3_context *, int, sqlite3_value **);
        int n;
    } list[] = {{"sh_mentions", on_mentions, 1},
                {"sh_touches", on_touches, 1},
                {"sh_hit", on_hit, 1},
                {"sh_body_json", on_json, 2}};
    for (size_t i = 0; i < sizeof(list) / sizeof(*list) && !s->forget_ready; i++) {
        int rc = sqlite3_create_function_v2(s->w.db, list[i].name, list[i].n,
                                            SQLITE_UTF8 | SQLITE_DIRECTONLY, s, list[i].fn, NULL,
                                            NULL, NULL);
        if (rc != SQLITE_OK)
            return sh_sqlite_fail(s->w.db, rc, list[i].name, err);
    }
    s->forget_ready = true;
    return true;
}

sqlite3_stmt *sh_forget_stmt(struct sh_store *s, const char *sql, int64_t a, int64_t b,
                             struct sh_error *err)
{
    sqlite3_stmt *st = sh_sqlite_prepare(s->w.db, sql, err);
    int n = st ? sqlite3_bind_parameter_count(st) : 0;
    if (n > 0)
        sh_sqlite_bind_int(st, 1, a);
    if (n > 1)
        sh_sqlite_bind_int(st, 2, b);
    return st;
}

bool sh_forget_run(struct sh_store *s, const char *sql, int64_t a, int64_t b, int64_t *changed,
                   struct sh_error *err)
{
    sqlite3_stmt *st = sh_forget_stmt(s, sql, a, b, err);
    bool ok = st && sh_sqlite_run(st, err);
    if (ok && changed)
        *changed += sqlite3_changes(s->w.db);
    sqlite3_finalize(st);
    return ok;
}

bool sh_forget_ask(struct sh_store *s, const char *sql, int64_t a, int64_t b, int64_t *answer,
                   struct sh_error *err)
{
    sqlite3_stmt *st = sh_forget_stmt(s, sql, a, b, err);
    bool ok = st && sh_sqlite_int(st, answer, err);
    sqlite3_finalize(st);
    return ok;
}
