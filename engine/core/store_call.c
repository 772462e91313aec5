/* SPDX-License-Identifier: MIT
 * store_call.c: one callback's row: read, written, told of by event and by email. */
#include "core/store_call.h"
#include "svc/crypto.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIN_PREFIX 6 /* of an id, given by a person */

/* --- the row ------------------------------------------------------------------- */

void sh_store_call_load(sqlite3_stmt *st, struct sh_store_call *c)
{
    int64_t *const numbers[] = {&c->due_ms,     &c->minutes, &c->email,
                                &c->sequence,   &c->depth,   &c->created_ms,
                                &c->updated_ms, &c->told_ms, &c->closed_ms};
    for (int i = 0; i < SH_CALL_TEXTS; i++)
        c->text[i] = sh_sqlite_dup(st, i);
    for (int i = 0; i < (int)(sizeof(numbers) / sizeof(*numbers)); i++)
        *numbers[i] = sqlite3_column_int64(st, SH_CALL_TEXTS + i);
}

int sh_store_call_get(struct sh_store *s, int64_t seq, struct sh_store_call *c,
                      struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_CALLBACK_GET, err);
    if (!st)
        return -1;
    sh_sqlite_bind_int(st, 1, seq);
    int got = sh_sqlite_step(st, err);
    if (got == 1) {
        sh_store_call_load(st, c);
        sqlite3_reset(st);
    }
    return got;
}

bool sh_store_call_put(struct sh_store *s, const struct sh_store_call *c, struct sh_error *err)
{
    const int64_t numbers[] = {c->due_ms,     c->minutes,    c->email,   c->sequence, c->depth,
                               c->created_ms, c->updated_ms, c->told_ms, c->closed_ms};
    const int n = sizeof(numbers) / sizeof(*numbers);
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_CALLBACK_PUT, err);
    if (!st)
        return false;
    for (int i = 0; i < SH_CALL_TEXTS; i++)
        sh_sqlite_bind_str(st, 1 + i, c->text[i]);
    for (int i = 0; i < n; i++)
        if (i < n - 2 || numbers[i]) /* told_ms, closed_ms: NULL where there is none */
            sh_sqlite_bind_int(st, SH_CALL_TEXTS + 1 + i, numbers[i]);
        else
            sh_sqlite_bind_null(st, SH_CALL_TEXTS + 1 + i);
    bool ok = sh_sqlite_run(st, err);
    sqlite3_clear_bindings(st);
    return ok;
}

void sh_store_call_clear(struct sh_store_call *c)
{
    for (int i = 0; i < SH_CALL_TEXTS; i++)
        free(c->text[i]);
    *c = (struct sh_store_call){0};
}

void sh_store_call_set(struct sh_store_call *c, enum sh_call_text i, const char *text)
{
    char *copy = sh_strdup(text); /* text may be the old one */
    free(c->text[i]);
    c->text[i] = copy;
}

bool sh_store_call_is(const struct sh_store_call *c, const char *status)
{
    return strcmp(c->text[SH_CALL_STATUS], status) == 0;
}

bool sh_store_call_closed(const struct sh_store_call *c)
{
    return sh_store_call_is(c, "done") || sh_store_call_is(c, "cancelled");
}

struct sh_callback sh_store_call_view(const struct sh_store *s, const struct sh_store_call *c)
{
    const char *zone = c->text[SH_CALL_ZONE];
    return (struct sh_callback){.id = c->text[SH_CALL_ID],
                                .number = c->text[SH_CALL_NUMBER],
                                .name = c->text[SH_CALL_NAME],
                                .assignee = c->text[SH_CALL_ASSIGNEE],
                                .reason = c->text[SH_CALL_REASON],
                                .status = c->text[SH_CALL_STATUS],
                                .note = c->text[SH_CALL_NOTE],
                                .zone = zone             ? zone
                                        : s->config.zone ? s->config.zone
                                                         : "UTC",
                                .due_ms = c->due_ms,
                                .minutes = c->minutes,
                                .sequence = c->sequence,
                                .created_ms = c->created_ms,
                                .updated_ms = c->updated_ms};
}

/* --- which rows ------------------------------------------------------------------- */

void sh_store_call_key_id(struct sh_slice key, char id[SH_EFFECT_KEY_TEXT])
{
    uint8_t digest[SH_SHA256_BYTES];
    const struct sh_slice parts[] = {SH_SLICE("callback key\0"), key};
    sh_sha256(parts, 2, digest);
    sh_hex(digest, (SH_EFFECT_KEY_TEXT - 1) / 2, id);
}

static bool collect(sqlite3_stmt *st, int64_t *seqs, size_t *n, struct sh_error *err)
{
    int got = 0;
    while (*n < SH_CALLS_AT_ONCE && (got = sh_sqlite_step(st, err)) == 1)
        seqs[(*n)++] = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return got >= 0;
}

static bool find_by_number(struct sh_store *s, const char *number, bool answered, int64_t *seqs,
                           size_t *n, struct sh_error *err)
{
    char *digits = sh_alloc(1, strlen(number) + 1);
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_CALLBACK_OF_NUMBER, err);
    bool ok = st != NULL;
    sh_callback_number(number, digits);
    if (ok && digits[0] && strcmp(digits, "+") != 0) {
        sh_sqlite_bind_str(st, 1, digits);
        sh_sqlite_bind_str(st, 2, answered ? "answered" : NULL);
        ok = collect(st, seqs, n, err);
        sqlite3_clear_bindings(st);
    }
    free(digits);
    return ok;
}

bool sh_store_call_find(struct sh_store *s, const cJSON *doc, bool answered, int64_t *seqs,
                        size_t *n, struct sh_error *err)
{
    char key_id[SH_EFFECT_KEY_TEXT];
    const char *id = sh_json_string(doc, "id"), *key = sh_json_string(doc, "key");
    const char *number = sh_json_string(doc, "number");
    if (!answered && key && !id) {
        sh_store_call_key_id(sh_slice_str(key), key_id);
        id = key_id;
    }
    if (answered || !id)
        return number ? find_by_number(s, number, answered, seqs, n, err)
                      : sh_error_set(err, SH_EINVAL, "callbacks: expected 'id', 'key' or 'number'");
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_CALLBACK_BY_ID, err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, id);
    return collect(st, seqs, n, err);
}

bool sh_store_call_named(struct sh_store *s, const char *id, int64_t *seq, struct sh_error *err)
{
    char first[SH_EFFECT_KEY_TEXT] = "", second[SH_EFFECT_KEY_TEXT] = "";
    int got, n = 0;
    if (strlen(id) < MIN_PREFIX)
        return sh_error_set(err, SH_EINVAL,
                            "callback \"%s\": expected its id, or the first %d or more characters"
                            " of it",
                            id, MIN_PREFIX);
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_CALLBACK_BY_PREFIX, err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, id);
    while ((got = sh_sqlite_step(st, err)) == 1) {
        struct sh_slice text = sh_sqlite_text(st, 1);
        if (n++ == 0)
            *seq = sqlite3_column_int64(st, 0);
        snprintf(n == 1 ? first : second, sizeof(first), "%.*s", (int)text.n, text.p);
    }
    sqlite3_clear_bindings(st);
    if (got < 0)
        return false;
    if (n == 0)
        return sh_error_set(err, SH_ENOTFOUND, "callback \"%.64s\": there is none of that id", id);
    if (n > 1)
        return sh_error_set(err, SH_EINVAL, "callback \"%s\": more than one id starts so: %s, %s%s",
                            id, first, second, n > 2 ? ", .." : "");
    return true;
}

/* --- who hears of it ------------------------------------------------------------ */

bool sh_store_call_note(struct sh_store *s, const struct sh_store_call *c, const char *what,
                        const struct sh_store_hand *h, const char *detail, int64_t *place,
                        struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_CALLBACK_CHANGE, err);
    if (!st)
        return false;
    sh_sqlite_bind_str(st, 1, c->text[SH_CALL_ID]);
    sh_sqlite_bind_int(st, 2, h->now_ms);
    sh_sqlite_bind_str(st, 3, what);
    sh_sqlite_bind_str(st, 4, h->by);
    sh_sqlite_bind_str(st, 5, detail);
    bool ok = sh_sqlite_int(st, place, err);
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return ok;
}

char *sh_store_call_body(const struct sh_store_call *c, const char *by, size_t *len)
{
    static const struct {
        const char *name;
        enum sh_call_text text;
    } members[] = {
        {"id", SH_CALL_ID},         {"key", SH_CALL_OWN_KEY},       {"number", SH_CALL_NUMBER},
        {"name", SH_CALL_NAME},     {"assignee", SH_CALL_ASSIGNEE}, {"reason", SH_CALL_REASON},
        {"status", SH_CALL_STATUS}, {"note", SH_CALL_NOTE},         {"event_id", SH_CALL_EVENT_ID},
        {"rule", SH_CALL_RULE}};
    char due[SH_TIME_TEXT];
    struct sh_buf out;
    sh_buf_init(&out, 5 * (size_t)SH_MAX_DOC_BYTES); /* four texts, each of a document of its own */
    sh_buf_addf(&out, "{\"due_at\":\"%s\",\"minutes\":%lld", sh_time_text(c->due_ms, due),
                (long long)c->minutes);
    for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
        const char *text = c->text[members[i].text];
        if (!text)
            continue;
        sh_buf_addf(&out, ",\"%s\":", members[i].name);
        sh_json_quote(&out, sh_slice_str(text));
    }
    if (by) {
        sh_buf_adds(&out, ",\"by\":");
        sh_json_quote(&out, sh_slice_str(by));
    }
    sh_buf_addc(&out, '}');
    return sh_buf_take(&out, len);
}

bool sh_store_call_tell(struct sh_store *s, const struct sh_store_call *c, const char *what,
                        const struct sh_store_hand *h, int64_t place, struct sh_error *err)
{
    size_t len;
    char name[80], type[40];
    char *body = sh_store_call_body(c, h->by, &len);
    int n = snprintf(type, sizeof(type), "callback_%s", what);
    snprintf(name, sizeof(name), "p:%s:%lld", c->text[SH_CALL_ID], (long long)place);
    const struct sh_store_timer t = {.name = name,
                                     .due_ms = h->now_ms,
                                     .source = SH_SOURCE_ENGINE,
                                     .type = sh_slice(type, (size_t)n),
                                     .key = sh_slice_str(c->text[SH_CALL_EVENT_KEY]),
                                     .body = sh_slice(body, len),
                                     .depth = h->depth,
                                     .event_id = c->text[SH_CALL_EVENT_ID],
                                     .trace = c->text[SH_CALL_TRACE],
                                     .now_ms = h->now_ms};
    bool ok = sh_store_timer_put(s, &t, err);
    free(body);
    return ok;
}

/* Stable: the same change is never mailed twice, another one always. */
static void mail_key(const struct sh_store_call *c, const char *method, const char *what,
                     char key[SH_EFFECT_KEY_TEXT])
{
    char place[32];
    uint8_t digest[SH_SHA256_BYTES];
    int n = snprintf(place, sizeof(place), "%lld", (long long)c->sequence);
    const struct sh_slice parts[] = {SH_SLICE("callback email\0"),
                                     sh_slice(c->text[SH_CALL_ID], strlen(c->text[SH_CALL_ID]) + 1),
                                     sh_slice(place, (size_t)n + 1),
                                     sh_slice(method, strlen(method) + 1),
                                     sh_slice(what, strlen(what) + 1),
                                     sh_slice_str(c->text[SH_CALL_ASSIGNEE])};
    sh_sha256(parts, sizeof(parts) / sizeof(*parts), digest);
    sh_hex(digest, (SH_EFFECT_KEY_TEXT - 1) / 2, key);
}

bool sh_store_call_mail(struct sh_store *s, struct sh_store_call *c, const char *method,
                        const char *what, const struct sh_store_hand *h, struct sh_error *err)
{
    char key[SH_EFFECT_KEY_TEXT];
    struct sh_buf text;
    const struct sh_callback view = sh_store_call_view(s, c);
    cJSON *doc = sh_callback_email(&view, method);
    const bool request = strcmp(method, "REQUEST") == 0;
    if (!doc)
        return true;
    sh_buf_init(&text, 4 * (size_t)SH_MAX_DOC_BYTES);
    mail_key(c, method, what, key);
    bool ok = sh_json_print(doc, &text) ||
              sh_error_set(err, SH_ELIMIT, "callback %s: its email is too long", view.id);
    const struct sh_store_item item = {.kind = "email",
                                       .key = key,
                                       .event_id = c->text[SH_CALL_EVENT_ID],
                                       .event_key = c->text[SH_CALL_EVENT_KEY],
                                       .trace = c->text[SH_CALL_TRACE],
                                       .depth = (uint32_t)c->depth,
                                       .rule = sh_slice_str(c->text[SH_CALL_RULE]),
                                       .payload = sh_slice(text.data, text.len),
                                       .now_ms = h->now_ms};
    ok = ok && sh_store_queue_item(s, &item, h->n_queued, err);
    if (ok)
        sh_store_call_set(c, SH_CALL_INVITED_TO, request ? c->text[SH_CALL_ASSIGNEE] : NULL);
    sh_buf_free(&text);
    cJSON_Delete(doc);
    return ok;
}
