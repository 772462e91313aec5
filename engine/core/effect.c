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

#define MAX_DUE_MS 253402300799999 /* the end of the year 9999 */

#define MAX_AT 300 /* bytes of a file's name and line */

enum { N_NONE = 0, N_INT = 1, N_DOUBLE = 2 }; /* how the number of an incr is written */

static bool has_number(enum sh_effect_kind kind)
{
    return kind == SH_FX_INCR || kind == SH_FX_TIMER;
}

bool sh_effect_may_be_refused(enum sh_effect_kind kind)
{
    return kind == SH_FX_PATCH || kind == SH_FX_INCR || kind == SH_FX_EMIT || kind == SH_FX_TIMER;
}

void sh_effect_write(struct sh_buf *out, const struct sh_effect *fx)
{
    sh_buf_u8(out, (uint8_t)fx->kind);
    sh_buf_bytes(out, fx->collection);
    sh_buf_bytes(out, fx->id);
    sh_buf_bytes(out, fx->doc);
    sh_buf_bytes(out, fx->field);
    sh_buf_bytes(out, fx->at);
    if (!has_number(fx->kind)) {
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
    return !r->bad && (form != N_NONE) == has_number(fx->kind) && form <= N_DOUBLE &&
           (fx->kind != SH_FX_TIMER || form == N_INT);
}

/* A place is shown as it stands: one line of text. */
static bool is_place(struct sh_slice at)
{
    for (size_t i = 0; i < at.n; i++)
        if ((unsigned char)at.p[i] < 0x20 || at.p[i] == 0x7f)
            return false;
    return at.n <= MAX_AT && sh_utf8_ok(at);
}

/* Does the effect have what its kind needs, as text that may be stored? */
static bool is_sound(const struct sh_effect *fx)
{
    struct sh_json_fault fault;
    bool record = fx->kind <= SH_FX_INCR;
    bool typed = fx->kind == SH_FX_EMIT || fx->kind == SH_FX_TIMER;
    bool has_doc = fx->kind != SH_FX_DELETE && fx->kind != SH_FX_INCR && fx->kind != SH_FX_CANCEL;
    if (record && (fx->collection.n == 0 || fx->collection.n > SH_MAX_COLLECTION_BYTES ||
                   fx->id.n == 0 || fx->id.n > SH_MAX_RECORD_ID_BYTES))
        return false;
    if (typed && (fx->collection.n == 0 || fx->collection.n > SH_MAX_TYPE_BYTES))
        return false;
    if (fx->kind == SH_FX_CANCEL && fx->id.n == 0)
        return false;
    if (fx->kind == SH_FX_TIMER && (fx->n_int < 0 || fx->n_int > MAX_DUE_MS))
        return false;
    if (fx->id.n > SH_MAX_RECORD_ID_BYTES || fx->field.n > SH_MAX_KEY_BYTES ||
        (fx->kind == SH_FX_INCR && fx->field.n == 0))
        return false;
    if (!sh_utf8_ok(fx->collection) || !sh_utf8_ok(fx->id) || !sh_utf8_ok(fx->field) ||
        !is_place(fx->at))
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
    fx->at = sh_read_bytes(r);
    return read_number(r, fx) && fx->kind >= SH_FX_PUT && fx->kind <= SH_FX_LAST;
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
        "?",        "records.put",    "records.patch", "records.delete", "records.incr",
        "callback", "email",          "emit",          "http",           "timer",
        "cancel",   "callback change"};
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

static void add_node(struct sh_buf *out, const char *name, const cJSON *node)
{
    sh_buf_addc(out, ',');
    sh_json_quote(out, sh_slice_str(name));
    sh_buf_addc(out, ':');
    if (!sh_json_print(node, out))
        sh_buf_adds(out, "null");
}

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names && strcmp(name, *names) != 0)
        names++;
    return *names != NULL;
}

/* A time of the document in milliseconds, as text. */
static bool add_time(struct sh_buf *out, const cJSON *m)
{
    static const char *const names[] = {"due_at", "start_at", "end_at", "stamp", NULL};
    char when[SH_TIME_TEXT];
    int64_t ms;
    if (!is_one_of(m->string, names) || !sh_json_get_int(m, &ms))
        return false;
    add_member(out, m->string, sh_slice_str(sh_time_text(ms, when)));
    return true;
}

static void add_members(struct sh_buf *out, const cJSON *doc, bool brief);

/* The object of what add_members() adds. */
static void add_object(struct sh_buf *out, const cJSON *node, bool brief)
{
    size_t start = out->len;
    add_members(out, node, brief);
    if (out->len > start && sh_buf_ok(out))
        out->data[start] = '{'; /* in place of the first comma */
    else
        sh_buf_addc(out, '{');
    sh_buf_addc(out, '}');
}

static void add_attachments(struct sh_buf *out, const cJSON *list, bool brief)
{
    const cJSON *file;
    sh_buf_adds(out, ",\"attachments\":[");
    cJSON_ArrayForEach(file, list)
    {
        if (file != list->child)
            sh_buf_addc(out, ',');
        if (cJSON_IsObject(file))
            add_object(out, file, brief);
        else
            sh_buf_adds(out, "null");
    }
    sh_buf_addc(out, ']');
}

/* The members of an object, times as text; long texts and contents are left out when brief. */
static void add_members(struct sh_buf *out, const cJSON *doc, bool brief)
{
    static const char *const longs[] = {"text", "html", "base64", "description", NULL};
    for (const cJSON *m = doc ? doc->child : NULL; m; m = m->next) {
        if ((brief && is_one_of(m->string, longs)) || add_time(out, m))
            continue;
        if (strcmp(m->string, "attachments") == 0 && cJSON_IsArray(m)) {
            add_attachments(out, m, brief);
        } else if (strcmp(m->string, "invitation") == 0 && cJSON_IsObject(m)) {
            sh_buf_adds(out, ",\"invitation\":");
            add_object(out, m, brief);
        } else {
            add_node(out, m->string, m);
        }
    }
}

/* A text of a call (http_call.h), its secrets by name. */
static void add_text(struct sh_buf *out, const cJSON *text)
{
    struct sh_buf flat;
    const cJSON *part;
    sh_buf_init(&flat, 2 * SH_MAX_DOC_BYTES);
    if (text && cJSON_IsString(text))
        sh_buf_adds(&flat, text->valuestring);
    else
        cJSON_ArrayForEach(part, text)
        {
            const char *name = sh_json_string(part, "secret");
            if (name)
                sh_buf_addf(&flat, "(secret %s)", name);
            else if (cJSON_IsString(part))
                sh_buf_adds(&flat, part->valuestring);
        }
    sh_json_quote(out, sh_slice(flat.data ? flat.data : "", flat.len));
    sh_buf_free(&flat);
}

static const char *header_name(const cJSON *pair)
{
    const char *name = pair && pair->child ? pair->child->valuestring : NULL;
    return name ? name : "";
}

/* {"Name":"value"}, a list where a name comes several times in a row. */
static void add_headers(struct sh_buf *out, const cJSON *headers)
{
    sh_buf_adds(out, ",\"headers\":");
    char before = '{';
    for (const cJSON *pair = headers ? headers->child : NULL, *next; pair; pair = next) {
        const char *name = header_name(pair);
        bool list = pair->next && strcmp(header_name(pair->next), name) == 0;
        sh_buf_addc(out, before);
        before = ',';
        sh_json_quote(out, sh_slice_str(name));
        sh_buf_adds(out, list ? ":[" : ":");
        next = pair;
        do {
            if (next != pair)
                sh_buf_addc(out, ',');
            add_text(out, next->child ? next->child->next : NULL);
            next = next->next;
        } while (list && next && strcmp(header_name(next), name) == 0);
        sh_buf_adds(out, list ? "]" : "");
    }
    sh_buf_adds(out, before == '{' ? "{}" : "}");
}

static void add_call(struct sh_buf *out, const cJSON *doc, bool brief)
{
    for (const cJSON *m = doc ? doc->child : NULL; m; m = m->next) {
        if (strcmp(m->string, "headers") == 0) {
            add_headers(out, m);
        } else if (strcmp(m->string, "url") == 0 || strcmp(m->string, "body") == 0) {
            if (brief && *m->string == 'b')
                continue;
            sh_buf_addf(out, ",\"%s\":", m->string);
            add_text(out, m);
        } else {
            add_node(out, m->string, m);
        }
    }
}

static void add_doc(struct sh_buf *out, const struct sh_effect *fx, bool brief)
{
    cJSON *doc = sh_json_parse(fx->doc.p, fx->doc.n, NULL);
    if (fx->kind == SH_FX_HTTP)
        add_call(out, doc, brief);
    else
        add_members(out, doc, brief);
    cJSON_Delete(doc);
}

static void add_timer(struct sh_buf *out, const struct sh_effect *fx)
{
    char when[SH_TIME_TEXT];
    if (fx->id.n)
        add_member(out, "name", fx->id);
    add_member(out, "due_at", sh_slice_str(sh_time_text(fx->n_int, when)));
    if (fx->field.n)
        add_member(out, "due_local", fx->field);
}

void sh_effect_json(struct sh_buf *out, const struct sh_effect *fx, bool brief)
{
    bool typed = fx->kind == SH_FX_EMIT || fx->kind == SH_FX_TIMER;
    sh_buf_addf(out, "{\"kind\":\"%s\"", sh_effect_kind_name(fx->kind));
    if (fx->kind <= SH_FX_INCR) {
        add_member(out, "collection", fx->collection);
        add_member(out, "id", fx->id);
    }
    if (fx->kind == SH_FX_INCR) {
        add_member(out, "field", fx->field);
        add_number(out, fx);
    }
    if (typed)
        add_member(out, "type", fx->collection);
    if (fx->kind == SH_FX_TIMER)
        add_timer(out, fx);
    if (fx->kind == SH_FX_CANCEL)
        add_member(out, "name", fx->id);
    if (fx->kind == SH_FX_CALLBACK || fx->kind == SH_FX_EMAIL || fx->kind == SH_FX_HTTP ||
        fx->kind == SH_FX_CALLBACK_DO) {
        add_doc(out, fx, brief);
    } else if (fx->doc.n && !brief) {
        sh_buf_adds(out, typed ? ",\"data\":" : ",\"doc\":");
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
