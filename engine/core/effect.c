/* SPDX-License-Identifier: MIT
 * effect.c: effects to bytes and back, to JSON, and their stable keys. */
#include "core/effect.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "svc/crypto.h"
#include "svc/json.h"

#include <stdio.h>
#include <string.h>

enum { N_NONE = 0, N_INT = 1, N_DOUBLE = 2 }; /* how the number of an incr is written */

void sh_effect_write(struct sh_buf *out, const struct sh_effect *fx)
{
    sh_buf_u8(out, (uint8_t)fx->kind);
    sh_buf_bytes(out, fx->collection);
    sh_buf_bytes(out, fx->id);
    sh_buf_bytes(out, fx->doc);
    sh_buf_bytes(out, fx->field);
    if (fx->kind != SH_FX_INCR) {
        sh_buf_u8(out, N_NONE);
        return;
    }
    sh_buf_u8(out, fx->is_int ? N_INT : N_DOUBLE);
    if (fx->is_int)
        sh_buf_u64(out, (uint64_t)fx->n_int);
    else
        sh_buf_f64(out, fx->n_double);
}

static bool read_number(struct sh_reader *r, struct sh_effect *fx)
{
    uint8_t form = sh_read_u8(r);
    fx->is_int = form == N_INT;
    if (form == N_INT)
        fx->n_int = (int64_t)sh_read_u64(r);
    else if (form == N_DOUBLE)
        fx->n_double = sh_read_f64(r);
    return !r->bad && (form != N_NONE) == (fx->kind == SH_FX_INCR) && form <= N_DOUBLE;
}

/* Does the effect have what its kind needs, as text that may be stored? */
static bool is_sound(const struct sh_effect *fx)
{
    struct sh_json_fault fault;
    bool record = fx->kind <= SH_FX_INCR;
    bool has_doc = fx->kind != SH_FX_DELETE && fx->kind != SH_FX_INCR;
    if (record && (fx->collection.n == 0 || fx->collection.n > SH_MAX_COLLECTION_BYTES ||
                   fx->id.n == 0 || fx->id.n > SH_MAX_RECORD_ID_BYTES))
        return false;
    if (fx->kind == SH_FX_EMIT && (fx->collection.n == 0 || fx->collection.n > SH_MAX_TYPE_BYTES))
        return false;
    if (fx->id.n > SH_MAX_RECORD_ID_BYTES || fx->field.n > SH_MAX_KEY_BYTES ||
        (fx->kind == SH_FX_INCR && fx->field.n == 0))
        return false;
    if (!sh_utf8_ok(fx->collection) || !sh_utf8_ok(fx->id) || !sh_utf8_ok(fx->field))
        return false;
    if (!has_doc)
        return fx->doc.n == 0;
    return fx->doc.n > 0 && fx->doc.n <= SH_MAX_DOC_BYTES && fx->doc.p[0] == '{' &&
           sh_json_check(fx->doc.p, fx->doc.n, &fault);
}

bool sh_effect_read_again(struct sh_reader *r, struct sh_effect *fx)
{
    *fx = (struct sh_effect){.kind = (enum sh_effect_kind)sh_read_u8(r)};
    fx->collection = sh_read_bytes(r);
    fx->id = sh_read_bytes(r);
    fx->doc = sh_read_bytes(r);
    fx->field = sh_read_bytes(r);
    return read_number(r, fx) && fx->kind >= SH_FX_PUT && fx->kind <= SH_FX_EMIT;
}

bool sh_effect_read(struct sh_reader *r, struct sh_effect *fx)
{
    if (sh_effect_read_again(r, fx) && is_sound(fx))
        return true;
    r->bad = true;
    return false;
}

const char *sh_effect_kind_name(enum sh_effect_kind kind)
{
    static const char *const names[] = {
        "?",        "records.put", "records.patch", "records.delete", "records.incr",
        "callback", "email",       "emit"};
    return (size_t)kind < sizeof(names) / sizeof(*names) ? names[kind] : "?";
}

static void add_member(struct sh_buf *out, const char *name, struct sh_slice text)
{
    sh_buf_addf(out, ",\"%s\":", name);
    sh_json_quote(out, text);
}

static void add_number(struct sh_buf *out, const struct sh_effect *fx)
{
    cJSON *n = fx->is_int ? sh_json_int(fx->n_int) : sh_json_double(fx->n_double);
    sh_buf_adds(out, ",\"n\":");
    if (!sh_json_print(n, out))
        sh_buf_adds(out, "null");
    cJSON_Delete(n);
}

/* The members of a callback's or email's doc, times as text, long texts left out when brief. */
static void add_doc_members(struct sh_buf *out, const struct sh_effect *fx, bool brief)
{
    cJSON *doc = sh_json_parse(fx->doc.p, fx->doc.n, NULL);
    for (const cJSON *m = doc ? doc->child : NULL; m; m = m->next) {
        int64_t ms;
        char when[SH_TIME_TEXT];
        if (brief && (strcmp(m->string, "text") == 0 || strcmp(m->string, "html") == 0))
            continue;
        if (strcmp(m->string, "due_at") == 0 && sh_json_get_int(m, &ms)) {
            add_member(out, "due_at", sh_slice_str(sh_time_text(ms, when)));
            continue;
        }
        sh_buf_addc(out, ',');
        sh_json_quote(out, sh_slice_str(m->string));
        sh_buf_addc(out, ':');
        if (!sh_json_print(m, out))
            sh_buf_adds(out, "null");
    }
    cJSON_Delete(doc);
}

void sh_effect_json(struct sh_buf *out, const struct sh_effect *fx, bool brief)
{
    sh_buf_addf(out, "{\"kind\":\"%s\"", sh_effect_kind_name(fx->kind));
    if (fx->kind <= SH_FX_INCR) {
        add_member(out, "collection", fx->collection);
        add_member(out, "id", fx->id);
    }
    if (fx->kind == SH_FX_INCR) {
        add_member(out, "field", fx->field);
        add_number(out, fx);
    }
    if (fx->kind == SH_FX_EMIT)
        add_member(out, "type", fx->collection);
    if (fx->kind == SH_FX_CALLBACK || fx->kind == SH_FX_EMAIL) {
        add_doc_members(out, fx, brief);
    } else if (fx->doc.n && !brief) {
        sh_buf_adds(out, fx->kind == SH_FX_EMIT ? ",\"data\":" : ",\"doc\":");
        sh_buf_add(out, fx->doc.p, fx->doc.n);
    }
    sh_buf_addc(out, '}');
}

void sh_effect_key(struct sh_id event_id, struct sh_slice rule, const struct sh_effect *fx,
                   uint32_t ordinal, char out[SH_EFFECT_KEY_TEXT])
{
    char id[SH_ID_TEXT], place[16];
    uint8_t digest[SH_SHA256_BYTES];
    sh_id_text(event_id, id);
    int n = snprintf(place, sizeof(place), "#%u", ordinal);
    const bool own = fx->id.n > 0;
    /* The kind and a form byte keep an author's key "#1" apart from ordinal 1. */
    const struct sh_slice parts[] = {
        sh_slice(id, SH_ID_TEXT),
        rule,
        sh_slice_str(sh_effect_kind_name(fx->kind)),
        own ? SH_SLICE("\0key:") : SH_SLICE("\0ord:"),
        own ? fx->id : sh_slice(place, (size_t)n),
    };
    sh_sha256(parts, sizeof(parts) / sizeof(*parts), digest);
    sh_hex(digest, (SH_EFFECT_KEY_TEXT - 1) / 2, out);
}
