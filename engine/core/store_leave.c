/* SPDX-License-Identifier: MIT
 * store_leave.c: effects that leave the run: emails and HTTP calls into the outbox, emitted events.
 */
#include "core/http_call.h"
#include "core/store_impl.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHORT(s) (s).n > 100 ? 100 : (int)(s).n, (s).p ? (s).p : ""

cJSON *sh_store_parse_doc(const struct sh_effect *fx, struct sh_error *err)
{
    cJSON *doc = sh_json_parse(fx->doc.p, fx->doc.n, err);
    if (doc && cJSON_IsObject(doc))
        return doc;
    cJSON_Delete(doc);
    sh_error_set(err, SH_EINVAL, "%s: its data is not an object", sh_effect_kind_name(fx->kind));
    return NULL;
}

static void add_recipient(struct sh_buf *out, const cJSON *one)
{
    if (!cJSON_IsString(one))
        return;
    if (out->len)
        sh_buf_adds(out, ", ");
    sh_buf_adds(out, one->valuestring);
}

static void show_mail(const cJSON *doc, struct sh_buf *out)
{
    static const char *const fields[] = {"to", "cc", "bcc"};
    for (size_t i = 0; i < 3; i++) {
        const cJSON *list = sh_json_member(doc, fields[i]), *one;
        add_recipient(out, list);
        cJSON_ArrayForEach(one, list) add_recipient(out, one);
    }
}

/* "POST https://host/path", cut between characters. */
static void show_call(const cJSON *doc, struct sh_buf *out)
{
    const char *method = sh_json_string(doc, "method");
    sh_buf_addf(out, "%s ", method ? method : "?");
    sh_http_call_show_url(doc, out);
    if (out->len <= SH_STORE_TO_BYTES)
        return;
    out->len = SH_STORE_TO_BYTES;
    while (out->len && ((uint8_t)out->data[out->len] & 0xc0) == 0x80)
        out->len--;
    out->data[out->len] = '\0';
}

/* Which line it stands in, and who gets it, for people. */
static bool address(const char *kind, const cJSON *doc, char lane[SH_HTTP_LANE_BYTES],
                    struct sh_buf *to, struct sh_error *err)
{
    if (strcmp(kind, "http") == 0) {
        show_call(doc, to);
        return sh_http_call_lane(doc, lane, err);
    }
    snprintf(lane, SH_HTTP_LANE_BYTES, "%s", kind);
    show_mail(doc, to);
    return true;
}

bool sh_store_queue_item(struct sh_store *s, const struct sh_store_item *item, size_t *n_queued,
                         struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_OUTBOX_ADD, err);
    cJSON *doc = st ? sh_json_parse(item->payload.p, item->payload.n, err) : NULL;
    if (!doc)
        return false;
    char id[16 + SH_EFFECT_KEY_TEXT]; /* with its kind: another kind may have the same key */
    char lane[SH_HTTP_LANE_BYTES] = "";
    snprintf(id, sizeof(id), "%s-%s", item->kind, item->key);
    struct sh_buf to;
    sh_buf_init(&to, item->payload.n * 2 + 64);
    bool ok = address(item->kind, doc, lane, &to, err);
    sh_sqlite_bind_str(st, 1, id);
    sh_sqlite_bind_str(st, 2, item->kind);
    sh_sqlite_bind_text(st, 3, sh_slice(to.data, to.len));
    sh_sqlite_bind_str(st, 4, item->key);
    sh_sqlite_bind_str(st, 5, item->event_id);
    sh_sqlite_bind_text(st, 6, item->rule);
    sh_sqlite_bind_text(st, 7, item->payload);
    sh_sqlite_bind_int(st, 8, item->now_ms);
    sh_sqlite_bind_str(st, 9, lane);
    sh_sqlite_bind_str(st, 10, item->event_key);
    sh_sqlite_bind_int(st, 11, item->depth);
    sh_sqlite_bind_str(st, 12, sh_json_string(doc, "notify"));
    sh_sqlite_bind_str(st, 13, item->trace);
    ok = ok && sh_sqlite_run(st, err);
    if (ok)
        *n_queued += (size_t)sqlite3_changes(s->w.db);
    sqlite3_clear_bindings(st);
    sh_buf_free(&to);
    cJSON_Delete(doc);
    return ok;
}

static bool queue_effect(struct sh_store *s, struct sh_leaving *l, const char *kind,
                         struct sh_error *err)
{
    char *event_key = sh_slice_dup(l->op->event_key);
    const struct sh_store_item item = {.kind = kind,
                                       .key = l->key,
                                       .event_id = l->event_id,
                                       .event_key = event_key,
                                       .trace = l->op->event_trace,
                                       .depth =
                                           l->op->event_depth + sh_store_emit_steps(s->n_emits) - 1,
                                       .rule = l->run->rule,
                                       .payload = l->fx->doc,
                                       .now_ms = l->run->now_ms};
    bool ok = sh_store_queue_item(s, &item, &l->op->n_queued, err);
    free(event_key);
    return ok;
}

/* How far the events that one event's rules emit are from it: a chain of single emits may be
 * SH_MAX_EMIT_DEPTH long, and each doubling of their number counts as a step too, so that one event
 * has at most 2^SH_MAX_EMIT_DEPTH descendants however they branch. */
uint32_t sh_store_emit_steps(size_t n_emits)
{
    uint32_t steps = 1;
    for (; n_emits > 1; n_emits /= 2)
        steps++;
    return steps;
}

/* Will its delivery's end become an event? */
static bool notifies(const struct sh_effect *fx)
{
    struct sh_slice name;
    return (fx->kind == SH_FX_HTTP || fx->kind == SH_FX_EMAIL) &&
           sh_json_find(fx->doc, "notify", &name) == SH_JSON_STRING;
}

void sh_store_count_emits(struct sh_store *s, const struct sh_op_settle *op)
{
    s->n_emits = 0;
    for (size_t i = 0; i < op->n_runs; i++) {
        struct sh_reader r = sh_reader_of(op->runs[i].effects);
        struct sh_effect fx;
        for (uint32_t n = op->runs[i].n_effects; n > 0 && sh_effect_read_again(&r, &fx); n--)
            s->n_emits +=
                fx.kind == SH_FX_EMIT || notifies(&fx) || sh_store_is_near(&fx, op->runs[i].now_ms);
    }
}

static bool add_emitted(struct sh_store *s, struct sh_leaving *l, struct sh_error *err)
{
    struct sh_slice type = l->fx->collection;
    if (type.n == 0 || type.n > SH_MAX_TYPE_BYTES)
        return sh_error_set(err, SH_EINVAL, "emit: type of %zu bytes, expected 1 to %d", type.n,
                            SH_MAX_TYPE_BYTES);
    uint32_t depth = l->op->event_depth + sh_store_emit_steps(s->n_emits);
    if (depth > SH_MAX_EMIT_DEPTH)
        return sh_error_set(err, SH_ELIMIT,
                            "emit \"%.*s\": too many emits from one event that came in: this one is"
                            " %u steps away from it, its rules emit %zu more, which is %u steps"
                            " (one, and one for each doubling), the most is %d: do rules emit in a"
                            " circle?",
                            SHORT(type), l->op->event_depth, s->n_emits,
                            sh_store_emit_steps(s->n_emits), SH_MAX_EMIT_DEPTH);
    struct sh_event *e = sh_event_new();
    *e = (struct sh_event){.source = sh_strdup(SH_SOURCE_EMITTED),
                           .type = sh_slice_dup(type),
                           .key = sh_slice_dup(l->op->event_key),
                           .dedupe_id = sh_strdup(l->key),
                           .received_ms = l->run->now_ms,
                           .depth = depth,
                           .cause = sh_strdup(l->event_id),
                           .trace = sh_strdup(l->op->event_trace),
                           .body = sh_slice_dup(l->fx->doc),
                           .body_len = l->fx->doc.n};
    return sh_store_emit(s, e, &l->op->emitted, &l->op->n_emitted, err);
}

bool sh_store_emit(struct sh_store *s, struct sh_event *e, struct sh_event ***list, size_t *n,
                   struct sh_error *err)
{
    struct sh_id first;
    bool dup = false, ok = sh_store_add_event(s, e, &first, &dup, err);
    if (!ok || dup) { /* the same key: one event */
        sh_event_free(e);
        return ok;
    }
    if ((*n & (*n - 1)) == 0) /* grows at 0, 1, 2, 4, 8 ... */
        *list = sh_realloc(*list, (*n ? *n * 2 : 1) * sizeof(**list));
    (*list)[(*n)++] = e;
    return true;
}

bool sh_store_leave(struct sh_store *s, struct sh_leaving *l, struct sh_error *err)
{
    switch (l->fx->kind) {
    case SH_FX_CALLBACK:
        return sh_store_callback_add(s, l, err);
    case SH_FX_CALLBACK_DO:
        return sh_store_callback_do(s, l, err);
    case SH_FX_EMAIL:
        return queue_effect(s, l, "email", err);
    case SH_FX_HTTP:
        return queue_effect(s, l, "http", err);
    case SH_FX_EMIT:
        return add_emitted(s, l, err);
    case SH_FX_TIMER:
        return sh_store_timer_set(s, l, err);
    case SH_FX_CANCEL:
        return sh_store_timer_cancel(s, l, err);
    default:
        return sh_error_set(err, SH_EINVAL, "the store knows no effect \"%s\"",
                            sh_effect_kind_name(l->fx->kind));
    }
}
