/* SPDX-License-Identifier: MIT
 * envelope.c: type, key and dedupe id of a body. */
#include "core/envelope.h"

#include "base/limits.h"
#include "svc/crypto.h"
#include "svc/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a fault says lands in a JSON answer: a cut must not leave a part of a character. */
static void trim_utf8(char *text, size_t size, int written)
{
    size_t n = size - 1, at = n;
    if (written < 0 || (size_t)written < size)
        return;
    while (at > 1 && ((unsigned char)text[at - 1] & 0xc0) == 0x80)
        at--;
    unsigned char lead = (unsigned char)text[at - 1];
    size_t need = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (at - 1 + need > n)
        text[at - 1] = '\0';
}

static bool fail(struct sh_envelope_fault *fault, const char *field, const char *fmt, ...)
    SH_PRINTF(3, 4);
static bool fail(struct sh_envelope_fault *fault, const char *field, const char *fmt, ...)
{
    va_list ap;
    int n = snprintf(fault->field, sizeof(fault->field), "%s", field);
    trim_utf8(fault->field, sizeof(fault->field), n);
    va_start(ap, fmt);
    n = vsnprintf(fault->msg, sizeof(fault->msg), fmt, ap);
    va_end(ap);
    trim_utf8(fault->msg, sizeof(fault->msg), n);
    return false;
}

static void set(char **to, char *text)
{
    free(*to);
    *to = text;
}

/* Said when a field is absent: a body that is no object has no fields at all. */
static const char *why_absent(struct sh_slice body)
{
    size_t i = 0;
    while (i < body.n && strchr(" \t\r\n", body.p[i]))
        i++;
    if (i < body.n && body.p[i] == '{')
        return "";
    return i < body.n && body.p[i] == '[' ? " (the body is an array, not an object)"
                                          : " (the body is not an object)";
}

/* A control byte or DEL, or -1. These texts travel into logs, mail and HTTP headers. */
static int control_byte(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
            return (unsigned char)p[i];
    return -1;
}

static bool take_string(struct sh_slice raw, const char *path, const char *what, size_t max,
                        char **out, struct sh_envelope_fault *fault)
{
    struct sh_buf text;
    size_t n;
    if (raw.n == 0)
        return fail(fault, path,
                    "field \"%s\" (the event's %s): expected a non-empty string, "
                    "found \"\"",
                    path, what);
    sh_buf_init(&text, max);
    sh_json_unescape(raw, &text);
    bool fits = sh_buf_ok(&text);
    set(out, sh_buf_take(&text, &n));
    if (!fits)
        return fail(fault, path, "field \"%s\" (the event's %s): longer than %zu bytes", path, what,
                    max);
    int bad = control_byte(*out, n);
    if (bad >= 0)
        return fail(fault, path,
                    "field \"%s\" (the event's %s): expected printable text, found control byte "
                    "0x%02x",
                    path, what, (unsigned)bad);
    return true;
}

/* -0 is 0: one number, one key. */
static bool take_number(struct sh_slice raw, const char *path, const char *what, char **out,
                        struct sh_envelope_fault *fault)
{
    for (size_t i = 0; i < raw.n; i++)
        if (strchr(".eE", raw.p[i]))
            return fail(fault, path,
                        "field \"%s\" (the event's %s): expected a string or an integer, found "
                        "the number %.*s",
                        path, what, raw.n > 40 ? 40 : (int)raw.n, raw.p);
    set(out, sh_slice_eq(raw, SH_SLICE("-0")) ? sh_strdup("0") : sh_slice_dup(raw));
    return true;
}

/* Type or key: a fixed value, or what the body has at the path. */
static bool take(const struct sh_field_spec *spec, struct sh_slice body, const char *what,
                 size_t max, char **out, struct sh_envelope_fault *fault)
{
    struct sh_slice raw;
    if (spec->value) {
        set(out, sh_strdup(spec->value));
        return true;
    }
    enum sh_json_kind kind = sh_json_find(body, spec->field, &raw);
    if (kind == SH_JSON_STRING)
        return take_string(raw, spec->field, what, max, out, fault);
    if (kind == SH_JSON_NUMBER)
        return take_number(raw, spec->field, what, out, fault);
    return fail(fault, spec->field,
                "field \"%s\" (the event's %s): expected a string or an integer, found %s%s",
                spec->field, what, sh_json_kind_name(kind),
                kind == SH_JSON_NONE ? why_absent(body) : "");
}

/* ---- Dedupe id ---- */

static bool header_id(const char *id, struct sh_event *e, struct sh_envelope_fault *fault)
{
    size_t n = strlen(id), most = SH_MAX_DEDUPE_BYTES - strlen("id:");
    if (n == 0 || n > most)
        return fail(fault, "", "header webhook-id: expected 1 to %zu bytes, found %zu", most, n);
    for (size_t i = 0; i < n; i++)
        if (id[i] < 0x20 || id[i] > 0x7e)
            return fail(fault, "", "header webhook-id: expected printable ASCII, found byte 0x%02x",
                        (unsigned)(unsigned char)id[i]);
    set(&e->dedupe_id, sh_strf("id:%s", id));
    return true;
}

static char *hash_id(const char *prefix, const struct sh_slice *parts, size_t n)
{
    uint8_t hash[SH_SHA256_BYTES];
    size_t lead = strlen(prefix);
    char *id = sh_alloc(lead + SH_SHA256_HEX, 1);
    sh_sha256(parts, n, hash);
    memcpy(id, prefix, lead + 1);
    sh_hex(hash, sizeof(hash), id + lead);
    return id;
}

/* In front of each value's text: its kind and length (64 bits, little-endian), so that no two
 * different lists of values give the same bytes. */
struct value_head {
    uint8_t byte[9];
};

static struct value_head head_of(enum sh_json_kind kind, size_t len)
{
    struct value_head h = {.byte = {(uint8_t)kind}};
    for (size_t i = 0; i < 8; i++)
        h.byte[i + 1] = (uint8_t)((uint64_t)len >> (8 * i));
    return h;
}

/* null counts as missing, else all events without an id would be one. */
static bool fields_id(char *const *paths, struct sh_slice body, struct sh_event *e,
                      struct sh_envelope_fault *fault)
{
    size_t n = 0;
    bool ok = true;
    while (paths[n])
        n++;
    struct sh_slice *parts = sh_alloc(2 * n, sizeof(*parts));
    struct value_head *heads = sh_alloc(n, sizeof(*heads));
    for (size_t i = 0; ok && i < n; i++) {
        enum sh_json_kind kind = sh_json_find(body, paths[i], &parts[2 * i + 1]);
        heads[i] = head_of(kind, parts[2 * i + 1].n);
        parts[2 * i] = sh_slice(heads[i].byte, sizeof(heads[i].byte));
        if (kind == SH_JSON_NONE || kind == SH_JSON_NULL)
            ok = fail(fault, paths[i],
                      "field \"%s\" (it tells repeats apart): expected a value, found %s%s",
                      paths[i], sh_json_kind_name(kind),
                      kind == SH_JSON_NONE ? why_absent(body) : "");
    }
    if (ok)
        set(&e->dedupe_id, hash_id("f:", parts, 2 * n));
    free(heads);
    free(parts);
    return ok;
}

static bool dedupe(const struct sh_source *source, struct sh_slice body, const char *webhook_id,
                   struct sh_event *e, struct sh_envelope_fault *fault)
{
    if (webhook_id)
        return header_id(webhook_id, e, fault);
    if (source->dedupe_fields && source->dedupe_fields[0])
        return fields_id(source->dedupe_fields, body, e, fault);
    set(&e->dedupe_id, hash_id("h:", &body, 1));
    return true;
}

bool sh_envelope_read(const struct sh_source *source, struct sh_slice body, const char *webhook_id,
                      struct sh_event *e, struct sh_envelope_fault *fault)
{
    set(&e->source, sh_strdup(source->name));
    if (!take(&source->type, body, "type", SH_MAX_TYPE_BYTES, &e->type, fault))
        return false;
    if (!source->key.value && !source->key.field)
        set(&e->key, sh_strdup(""));
    else if (!take(&source->key, body, "key", SH_MAX_KEY_BYTES, &e->key, fault))
        return false;
    return dedupe(source, body, webhook_id, e, fault);
}
