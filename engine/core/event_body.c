/* SPDX-License-Identifier: MIT
 * event_body.c: forms and tokens as JSON. */
#include "core/event_body.h"

#include "base/limits.h"
#include "base/utf8.h"
#include "svc/base64.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_FACTOR 8 /* `a&b` is two bytes a field, `"a":"",` seven; `"` grows to two */
#define JSON_MORE   64

const char *sh_body_format_name(enum sh_body_format format)
{
    return format == SH_BODY_FORM ? "a form" : format == SH_BODY_JWT ? "a JSON Web Token" : "JSON";
}

static bool fail(struct sh_json_fault *fault, struct sh_slice body, size_t byte, const char *fmt,
                 ...) SH_PRINTF(4, 5);
static bool fail(struct sh_json_fault *fault, struct sh_slice body, size_t byte, const char *fmt,
                 ...)
{
    va_list ap;
    if (!fault)
        return false;
    *fault = (struct sh_json_fault){.byte = byte, .line = 1, .col = 1};
    for (size_t i = 0; i < byte && i < body.n; i++) {
        fault->col = body.p[i] == '\n' ? 1 : fault->col + 1;
        fault->line += body.p[i] == '\n';
    }
    va_start(ap, fmt);
    vsnprintf(fault->msg, sizeof(fault->msg), fmt, ap);
    va_end(ap);
    return false;
}

/* --- forms ----------------------------------------------------------------------------------- */

struct field {
    struct sh_slice name, value; /* decoded */
    uint32_t hash;               /* of the name */
    bool again;                  /* not the first one of its name */
    size_t next;                 /* the next one of its name, 0 = none */
    size_t last;                 /* of a first one: the last one of its name */
};

struct form {
    struct sh_slice body;
    char *text; /* decoded names and values; never longer than the body */
    size_t text_n;
    struct field *fields;
    size_t n, cap;
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that stands at p, moved over; -1: no escape. */
static int one_byte(const char **p, const char *end)
{
    char c = *(*p)++;
    if (c == '+')
        return ' ';
    if (c != '%')
        return (unsigned char)c;
    if (end - *p < 2 || hex_digit((*p)[0]) < 0 || hex_digit((*p)[1]) < 0)
        return -1;
    int v = hex_digit((*p)[0]) * 16 + hex_digit((*p)[1]);
    *p += 2;
    return v;
}

/* Where the first byte that is not UTF-8 stands, n if all is well. */
static size_t bad_utf8(struct sh_slice s)
{
    for (size_t i = 0; i < s.n;) {
        unsigned char lead = (unsigned char)s.p[i];
        size_t need = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        if (i + need > s.n || !sh_utf8_ok(sh_slice(s.p + i, need)))
            return i;
        i += need;
    }
    return s.n;
}

/* Decode the raw piece; its text lies in f->text. */
static bool decode(struct form *f, const char *p, const char *end, struct sh_slice *out,
                   struct sh_json_fault *fault)
{
    const char *from = p;
    char *to = f->text + f->text_n;
    size_t n = 0;
    while (p < end) {
        const char *at = p;
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return fail(fault, f->body, (size_t)(at - f->body.p),
                        "control byte 0x%02x in a form; it is written %%%02X",
                        (unsigned)(unsigned char)*at, (unsigned)(unsigned char)*at);
        int v = one_byte(&p, end);
        if (v < 0)
            return fail(fault, f->body, (size_t)(at - f->body.p),
                        "expected two hex digits behind %%");
        if (v == 0)
            return fail(fault, f->body, (size_t)(at - f->body.p), "a NUL (%%00) in a form");
        to[n++] = (char)v;
    }
    *out = sh_slice(to, n);
    f->text_n += n;
    size_t bad = sh_utf8_ok(*out) ? n : bad_utf8(*out);
    if (bad == n)
        return true;
    for (p = from; bad > 0; bad--)
        (void)one_byte(&p, end);
    return fail(fault, f->body, (size_t)(p - f->body.p), "not UTF-8 text");
}

static uint32_t hash_of(struct sh_slice s)
{
    uint32_t h = 2166136261U; /* FNV-1a; few enough fields that collisions do not matter */
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 16777619U;
    return h;
}

/* Put field i behind the others of its name. */
static void link_field(struct form *f, size_t i)
{
    struct field *it = &f->fields[i];
    it->hash = hash_of(it->name);
    it->last = i;
    for (size_t k = 0; k < i; k++) {
        struct field *first = &f->fields[k];
        if (first->again || first->hash != it->hash || !sh_slice_eq(first->name, it->name))
            continue;
        f->fields[first->last].next = i;
        first->last = i;
        it->again = true;
        return;
    }
}

static bool add_field(struct form *f, const char *p, const char *end, struct sh_json_fault *fault)
{
    const char *eq = memchr(p, '=', (size_t)(end - p));
    struct field it = {0};
    if (f->n == SH_MAX_FORM_FIELDS)
        return fail(fault, f->body, (size_t)(p - f->body.p), "more than %d fields in a form",
                    SH_MAX_FORM_FIELDS);
    if (!decode(f, p, eq ? eq : end, &it.name, fault) ||
        !decode(f, eq ? eq + 1 : end, end, &it.value, fault))
        return false;
    if (f->n == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 32;
        f->fields = sh_realloc(f->fields, f->cap * sizeof(*f->fields));
    }
    f->fields[f->n] = it;
    link_field(f, f->n++);
    return true;
}

static bool read_fields(struct form *f, struct sh_json_fault *fault)
{
    const char *p = f->body.p, *end = p + f->body.n;
    while (end > p && (end[-1] == '\n' || end[-1] == '\r'))
        end--;
    while (p < end) {
        const char *amp = memchr(p, '&', (size_t)(end - p));
        const char *stop = amp ? amp : end;
        if (stop > p && !add_field(f, p, stop, fault))
            return false;
        p = amp ? amp + 1 : end;
    }
    return true;
}

static void write_field(const struct form *f, size_t i, struct sh_buf *out)
{
    const struct field *it = &f->fields[i];
    sh_json_quote(out, it->name);
    sh_buf_adds(out, it->next ? ":[" : ":");
    for (;; it = &f->fields[it->next]) {
        sh_json_quote(out, it->value);
        if (!it->next)
            break;
        sh_buf_addc(out, ',');
    }
    if (it != &f->fields[i])
        sh_buf_addc(out, ']');
}

static bool form_json(struct sh_slice body, struct sh_buf *out, struct sh_json_fault *fault)
{
    struct form f = {.body = body, .text = sh_alloc(body.n + 1, 1)};
    bool ok = body.n == 0 || read_fields(&f, fault);
    if (ok) {
        sh_buf_addc(out, '{');
        for (size_t i = 0; i < f.n; i++) {
            if (f.fields[i].again)
                continue;
            if (i)
                sh_buf_addc(out, ',');
            write_field(&f, i, out);
        }
        sh_buf_addc(out, '}');
        sh_require(sh_buf_ok(out));
    }
    free(f.fields);
    free(f.text);
    return ok;
}

/* --- tokens ---------------------------------------------------------------------------------- */

static struct sh_slice trim(struct sh_slice s)
{
    while (s.n && strchr(" \t\r\n", s.p[s.n - 1]) && s.p[s.n - 1])
        s.n--;
    while (s.n && strchr(" \t\r\n", *s.p) && *s.p) {
        s.p++;
        s.n--;
    }
    return s;
}

static bool token_json(struct sh_slice body, struct sh_buf *out, struct sh_json_fault *fault)
{
    struct sh_slice token = trim(body);
    const char *end = token.n ? token.p + token.n : token.p;
    const char *first = token.n ? memchr(token.p, '.', token.n) : NULL;
    const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
    if (!second || memchr(second + 1, '.', (size_t)(end - second - 1)))
        return fail(fault, body, 0,
                    "expected a JSON Web Token: header.payload.signature, in base64url");
    if (!sh_base64_read(out, sh_slice(first + 1, (size_t)(second - first - 1)), SH_BASE64_URL))
        return fail(fault, body, (size_t)(first + 1 - body.p),
                    "the token's payload is not base64url");
    struct sh_json_fault in;
    if (sh_json_check(out->data ? out->data : "", out->len, &in))
        return true;
    if (fault) {
        *fault = in;
        snprintf(fault->msg, sizeof(fault->msg), "the token's payload: %.170s", in.msg);
    }
    return false;
}

/* --- any ------------------------------------------------------------------------------------- */

bool sh_event_json(enum sh_body_format format, struct sh_slice body, struct sh_buf *made,
                   struct sh_slice *json, struct sh_json_fault *fault)
{
    sh_buf_init(made, JSON_FACTOR * body.n + JSON_MORE);
    *json = body;
    if (format == SH_BODY_JSON)
        return true;
    bool ok = format == SH_BODY_FORM  ? form_json(body, made, fault)
              : format == SH_BODY_JWT ? token_json(body, made, fault)
                                      : fail(fault, body, 0, "unknown format %d", (int)format);
    *json = sh_slice(made->data, made->len);
    return ok;
}

bool sh_event_check(enum sh_body_format format, struct sh_slice body, struct sh_buf *made,
                    struct sh_slice *json, struct sh_json_fault *fault)
{
    if (!sh_event_json(format, body, made, json, fault))
        return false;
    return format != SH_BODY_JSON || sh_json_check(json->p ? json->p : "", json->n, fault);
}
