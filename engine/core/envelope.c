/* SPDX-License-Identifier: MIT
 * envelope.c: type, key, time and dedupe id of a request. */
#include "core/envelope.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/utf8.h"
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

struct wanted {
    const char *what; /* "type", "key" */
    size_t max;       /* bytes */
};

static bool take_string(struct sh_slice raw, const char *path, const struct wanted *w, char **out,
                        struct sh_envelope_fault *fault)
{
    struct sh_buf text;
    size_t n;
    if (raw.n == 0)
        return fail(fault, path,
                    "field \"%s\" (the event's %s): expected a non-empty string, "
                    "found \"\"",
                    path, w->what);
    sh_buf_init(&text, w->max);
    sh_json_unescape(raw, &text);
    bool fits = sh_buf_ok(&text);
    set(out, sh_buf_take(&text, &n));
    if (!fits)
        return fail(fault, path, "field \"%s\" (the event's %s): longer than %zu bytes", path,
                    w->what, w->max);
    int bad = control_byte(*out, n);
    if (bad >= 0)
        return fail(fault, path,
                    "field \"%s\" (the event's %s): expected printable text, found control byte "
                    "0x%02x",
                    path, w->what, (unsigned)bad);
    return true;
}

/* -0 is 0: one number, one key. */
static bool take_number(struct sh_slice raw, const char *path, const struct wanted *w, char **out,
                        struct sh_envelope_fault *fault)
{
    for (size_t i = 0; i < raw.n; i++)
        if (strchr(".eE", raw.p[i]))
            return fail(fault, path,
                        "field \"%s\" (the event's %s): expected a string or an integer, found "
                        "the number %.*s",
                        path, w->what, raw.n > 40 ? 40 : (int)raw.n, raw.p);
    set(out, sh_slice_eq(raw, SH_SLICE("-0")) ? sh_strdup("0") : sh_slice_dup(raw));
    return true;
}

static bool take_field(const char *path, struct sh_slice json, const struct wanted *w, char **out,
                       struct sh_envelope_fault *fault)
{
    struct sh_slice raw;
    enum sh_json_kind kind = sh_json_find(json, path, &raw);
    if (kind == SH_JSON_STRING)
        return take_string(raw, path, w, out, fault);
    if (kind == SH_JSON_NUMBER)
        return take_number(raw, path, w, out, fault);
    return fail(fault, path,
                "field \"%s\" (the event's %s): expected a string or an integer, found %s%s", path,
                w->what, sh_json_kind_name(kind), kind == SH_JSON_NONE ? why_absent(json) : "");
}

static const char *header_of(const struct sh_envelope_in *in, const char *name)
{
    return in->header ? in->header(in->arg, name) : NULL;
}

/* of: what the header says, such as " (the event's type)", or "". */
static bool check_header(const char *name, const char *value, const char *of, size_t most,
                         struct sh_envelope_fault *fault)
{
    size_t n = value ? strlen(value) : 0;
    if (!value)
        return fail(fault, "", "header %s%s: it is missing", name, of);
    if (n == 0 || n > most)
        return fail(fault, "", "header %s%s: expected 1 to %zu bytes, found %zu", name, of, most,
                    n);
    for (size_t i = 0; i < n; i++)
        if (value[i] < 0x20 || value[i] > 0x7e)
            return fail(fault, "", "header %s%s: expected printable ASCII, found byte 0x%02x", name,
                        of, (unsigned)(unsigned char)value[i]);
    return true;
}

static bool take_header(const char *name, const struct sh_envelope_in *in, const struct wanted *w,
                        char **out, struct sh_envelope_fault *fault)
{
    char of[40];
    const char *value = header_of(in, name);
    snprintf(of, sizeof(of), " (the event's %s)", w->what);
    if (!check_header(name, value, of, w->max, fault))
        return false;
    set(out, sh_strdup(value));
    return true;
}

/* The match has seen to it that it is not empty and has no control bytes. */
static bool check_segment(const char *name, struct sh_slice value, const char *what, size_t most,
                          struct sh_envelope_fault *fault)
{
    if (!value.p)
        return fail(fault, "", "segment {%s} of the path (the event's %s): it is missing", name,
                    what);
    if (value.n > most)
        return fail(fault, "", "segment {%s} of the path (the event's %s): longer than %zu bytes",
                    name, what, most);
    return sh_utf8_ok(value) ||
           fail(fault, "", "segment {%s} of the path (the event's %s): it is not UTF-8", name,
                what);
}

static bool take_segment(const char *name, const struct sh_envelope_in *in, const struct wanted *w,
                         char **out, struct sh_envelope_fault *fault)
{
    struct sh_slice value = in->path ? sh_path_arg(in->path, name) : (struct sh_slice){0};
    if (!check_segment(name, value, w->what, w->max, fault))
        return false;
    set(out, sh_slice_dup(value));
    return true;
}

/* Type or key. */
static bool take(const struct sh_field_spec *spec, const struct sh_envelope_in *in,
                 const struct wanted *w, char **out, struct sh_envelope_fault *fault)
{
    if (spec->header)
        return take_header(spec->header, in, w, out, fault);
    if (spec->segment)
        return take_segment(spec->segment, in, w, out, fault);
    if (spec->field)
        return take_field(spec->field, in->json, w, out, fault);
    set(out, sh_strdup(spec->value ? spec->value : ""));
    return true;
}

/* --- When it happened ---------------------------------------------------------------------------
 */

#define MS_FROM 1e11 /* Unix seconds end here (in the year 5138), milliseconds begin (1973) */
#define MAX_MS  253402300799999 /* the end of 9999 */

/* Digits, perhaps with a fraction: seconds or milliseconds. */
static bool number_time(const char *text, int64_t *ms)
{
    char *end;
    size_t digits = strspn(text, "0123456789");
    const char *rest = text + digits;
    if (digits == 0 || digits > 15 || strspn(rest, ".0123456789") != strlen(rest) ||
        strlen(text) > 40)
        return false;
    int64_t whole = strtoll(text, &end, 10), thousandths = 0;
    if (*end == '.') {
        size_t more = strspn(end + 1, "0123456789");
        if (more == 0 || end[1 + more])
            return false;
        for (size_t i = 0; i < 3; i++)
            thousandths = thousandths * 10 + (i < more ? end[1 + i] - '0' : 0);
    }
    *ms = (double)whole >= MS_FROM ? whole : whole * 1000 + thousandths;
    return *ms > 0 && *ms <= MAX_MS;
}

static bool text_time(const char *text, int64_t *ms)
{
    return number_time(text, ms) || (sh_time_parse(text, strlen(text), ms) && *ms > 0);
}

#define TIME_HELP "RFC 3339 such as 2026-06-12T10:04:21Z, Unix seconds or Unix milliseconds"

static bool field_time(const char *path, struct sh_slice json, int64_t *ms,
                       struct sh_envelope_fault *fault)
{
    struct sh_slice raw;
    enum sh_json_kind kind = sh_json_find(json, path, &raw);
    if (kind == SH_JSON_NONE || kind == SH_JSON_NULL || (kind == SH_JSON_STRING && raw.n == 0))
        return true;
    struct sh_buf text; /* .NET writes + as \u002B */
    sh_buf_init(&text, 64);
    if (kind == SH_JSON_STRING || kind == SH_JSON_NUMBER)
        sh_json_unescape(raw, &text);
    sh_buf_addc(&text, '\0');
    bool fits = sh_buf_ok(&text), ok = fits && text_time(text.data, ms);
    bool number = fits && kind == SH_JSON_NUMBER;
    if (!ok)
        (void)!fail(fault, path,
                    "field \"%s\" (the event's time): expected " TIME_HELP ", found %s%s", path,
                    number ? "the number " : "", number ? text.data : sh_json_kind_name(kind));
    sh_buf_free(&text);
    return ok;
}

static bool take_time(const struct sh_field_spec *spec, const struct sh_envelope_in *in,
                      int64_t *ms, struct sh_envelope_fault *fault)
{
    *ms = 0;
    if (spec->field)
        return field_time(spec->field, in->json, ms, fault);
    if (spec->header) {
        const char *value = header_of(in, spec->header);
        return !value || !*value || text_time(value, ms) ||
               fail(fault, "", "header %s (the event's time): expected " TIME_HELP, spec->header);
    }
    if (!spec->segment)
        return true;
    struct sh_slice value = in->path ? sh_path_arg(in->path, spec->segment) : (struct sh_slice){0};
    char *text = sh_slice_dup(value);
    bool ok = text_time(text, ms);
    free(text);
    return ok || fail(fault, "", "segment {%s} of the path (the event's time): expected " TIME_HELP,
                      spec->segment);
}

/* --- Dedupe id -------------------------------------------------------------------------------- */

#define MAX_ID (SH_MAX_DEDUPE_BYTES - strlen("id:"))

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

struct values {
    struct sh_slice *parts; /* head, value, head, value, .. */
    struct value_head *heads;
    size_t n;
};

static void values_init(struct values *v, size_t most)
{
    *v = (struct values){.parts = sh_alloc(2 * most, sizeof(*v->parts)),
                         .heads = sh_alloc(most, sizeof(*v->heads))};
}

static void values_free(struct values *v)
{
    free(v->parts);
    free(v->heads);
}

#define OUTSIDE 100 /* the kind of a value that is not from the JSON */

static void values_add(struct values *v, uint8_t kind, struct sh_slice text)
{
    struct value_head *h = &v->heads[v->n];
    h->byte[0] = kind;
    for (size_t i = 0; i < 8; i++)
        h->byte[i + 1] = (uint8_t)((uint64_t)text.n >> (8 * i));
    v->parts[2 * v->n] = sh_slice(h->byte, sizeof(h->byte));
    v->parts[2 * v->n + 1] = text;
    v->n++;
}

/* null counts as missing, else all events without an id would be one. */
static bool add_fields(struct values *v, char *const *paths, struct sh_slice json,
                       struct sh_envelope_fault *fault)
{
    for (size_t i = 0; paths && paths[i]; i++) {
        struct sh_slice raw;
        enum sh_json_kind kind = sh_json_find(json, paths[i], &raw);
        if (kind == SH_JSON_NONE || kind == SH_JSON_NULL)
            return fail(fault, paths[i],
                        "field \"%s\" (it tells repeats apart): expected a value, found %s%s",
                        paths[i], sh_json_kind_name(kind),
                        kind == SH_JSON_NONE ? why_absent(json) : "");
        values_add(v, (uint8_t)kind, raw);
    }
    return true;
}

/* The header and the segment that the source names. */
static bool add_outside(struct values *v, const struct sh_dedupe_spec *d,
                        const struct sh_envelope_in *in, struct sh_envelope_fault *fault)
{
    if (d->header) {
        const char *value = header_of(in, d->header);
        if (!check_header(d->header, value, " (it tells repeats apart)", MAX_ID, fault))
            return false;
        values_add(v, OUTSIDE, sh_slice_str(value));
    }
    if (d->segment) {
        struct sh_slice value = in->path ? sh_path_arg(in->path, d->segment) : (struct sh_slice){0};
        if (!check_segment(d->segment, value, "dedupe id", MAX_ID, fault))
            return false;
        values_add(v, OUTSIDE, value);
    }
    return true;
}

static bool named_id(const struct sh_dedupe_spec *d, const struct sh_envelope_in *in,
                     struct sh_event *e, struct sh_envelope_fault *fault)
{
    struct values v;
    size_t n = 2;
    while (d->fields && d->fields[n - 2])
        n++;
    values_init(&v, n);
    bool ok = add_outside(&v, d, in, fault) && add_fields(&v, d->fields, in->json, fault);
    if (ok && v.n == 1 && v.heads[0].byte[0] == OUTSIDE)
        set(&e->dedupe_id, sh_strf("id:%.*s", (int)v.parts[1].n, v.parts[1].p));
    else if (ok)
        set(&e->dedupe_id, hash_id("f:", v.parts, 2 * v.n));
    values_free(&v);
    return ok;
}

static bool is_outside(const struct sh_field_spec *spec)
{
    return spec->header || spec->segment;
}

static void body_id(const struct sh_source *source, struct sh_slice json, struct sh_event *e)
{
    struct values v;
    if (!is_outside(&source->type) && !is_outside(&source->key)) {
        set(&e->dedupe_id, hash_id("h:", &json, 1));
        return;
    }
    values_init(&v, 3);
    values_add(&v, OUTSIDE, sh_slice_str(e->type));
    values_add(&v, OUTSIDE, sh_slice_str(e->key));
    values_add(&v, OUTSIDE, json);
    set(&e->dedupe_id, hash_id("o:", v.parts, 2 * v.n));
    values_free(&v);
}

static bool dedupe(const struct sh_source *source, const struct sh_envelope_in *in,
                   struct sh_event *e, struct sh_envelope_fault *fault)
{
    const struct sh_dedupe_spec *d = &source->dedupe;
    const char *webhook_id = in->no_id ? NULL : header_of(in, "webhook-id");
    if (webhook_id && !d->header && !d->segment) {
        if (!check_header("webhook-id", webhook_id, "", MAX_ID, fault))
            return false;
        set(&e->dedupe_id, sh_strf("id:%s", webhook_id));
        return true;
    }
    if (d->header || d->segment || (d->fields && d->fields[0]))
        return named_id(d, in, e, fault);
    body_id(source, in->json, e);
    return true;
}

bool sh_envelope_read(const struct sh_source *source, const struct sh_envelope_in *in,
                      struct sh_event *e, struct sh_envelope_fault *fault)
{
    static const struct wanted type = {"type", SH_MAX_TYPE_BYTES}, key = {"key", SH_MAX_KEY_BYTES};
    set(&e->source, sh_strdup(source->name));
    e->format = source->format;
    return take(&source->type, in, &type, &e->type, fault) &&
           take(&source->key, in, &key, &e->key, fault) &&
           take_time(&source->time, in, &e->occurred_ms, fault) && dedupe(source, in, e, fault);
}
