/* SPDX-License-Identifier: MIT
 * lookup_doc.c: what came back of a look-up as the document that a rule gets to see. */
#include "app/lookup_impl.h"

#include "base/utf8.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

/* A byte of a header may become six of JSON ("\u0001"), a secret's name may be longer than its
 * text. */
#define GROWTH 8
#define SLACK  (512 * 1024)

static size_t room_for(size_t n)
{
    return n * GROWTH + SLACK;
}

/* Every byte above 0x7f as the letter of ISO 8859-1 that it is if it is not UTF-8. */
static void add_latin1(struct sh_slice text, struct sh_buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = (uint8_t)text.p[i];
        if (c >= 0x80)
            sh_buf_addc(out, (char)(0xc0 | c >> 6));
        sh_buf_addc(out, (char)(!c ? ' ' : c < 0x80 ? c : 0x80 | (c & 0x3f)));
    }
}

static void quote(struct sh_slice text, struct sh_buf *out)
{
    struct sh_buf mended;
    if (sh_utf8_ok(text)) {
        sh_json_quote(out, text);
        return;
    }
    sh_buf_init(&mended, 2 * text.n + 1);
    add_latin1(text, &mended);
    sh_json_quote(out, sh_slice(mended.data, mended.len));
    sh_buf_free(&mended);
}

/* text without secrets. Caller frees out. */
static struct sh_slice blanked(const struct sh_hidden *hidden, struct sh_slice text,
                               struct sh_buf *out)
{
    sh_buf_init(out, room_for(text.n));
    sh_hidden_blank(hidden, text, out);
    return sh_slice(out->data, out->len);
}

static void add_error(const struct sh_hidden *hidden, const char *error, struct sh_buf *out)
{
    struct sh_buf clean;
    quote(blanked(hidden, sh_slice_str(error), &clean), out);
    sh_buf_free(&clean);
}

void sh_lookup_doc_error(const struct sh_hidden *hidden, const char *error, struct sh_buf *out)
{
    sh_buf_init(out, room_for(strlen(error)));
    sh_buf_adds(out, "{\"status\":0,\"error\":");
    add_error(hidden, error, out);
    sh_buf_addc(out, '}');
}

/* --- Headers -------------------------------------------------------------------------------- */

/* The next line "name: value\n" of rest. */
static bool next_header(struct sh_slice *rest, struct sh_slice *name, struct sh_slice *value)
{
    const char *end = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
    const char *colon = end ? memchr(rest->p, ':', (size_t)(end - rest->p)) : NULL;
    if (!colon)
        return false;
    const char *from = colon + 1 < end ? colon + 2 : end;
    *name = sh_slice(rest->p, (size_t)(colon - rest->p));
    *value = sh_slice(from, (size_t)(end - from));
    *rest = sh_slice(end + 1, rest->n - (size_t)(end + 1 - rest->p));
    return true;
}

/* Was there a header of this name before `at`? */
static bool is_repeat(struct sh_slice headers, struct sh_slice name)
{
    struct sh_slice other, value, rest = sh_slice(headers.p, (size_t)(name.p - headers.p));
    while (next_header(&rest, &other, &value)) {
        if (sh_slice_eq(other, name))
            return true;
    }
    return false;
}

/* All values of a name, ", " between them (RFC 9110 5.3). */
static void add_values(struct sh_slice from, struct sh_slice name, struct sh_slice value,
                       struct sh_buf *out)
{
    struct sh_buf all;
    struct sh_slice other;
    sh_buf_init(&all, 2 * (from.n + value.n) + 2);
    sh_buf_add(&all, value.p, value.n);
    while (next_header(&from, &other, &value)) {
        if (!sh_slice_eq(other, name))
            continue;
        sh_buf_adds(&all, ", ");
        sh_buf_add(&all, value.p, value.n);
    }
    quote(sh_slice(all.data, all.len), out);
    sh_buf_free(&all);
}

static void add_headers(const struct sh_hidden *hidden, struct sh_slice headers, struct sh_buf *out)
{
    struct sh_buf clean;
    struct sh_slice all = blanked(hidden, headers, &clean), rest = all, name, value;
    bool first = true;
    sh_buf_adds(out, "\"headers\":{");
    while (next_header(&rest, &name, &value)) {
        if (is_repeat(all, name))
            continue;
        sh_buf_adds(out, first ? "" : ",");
        first = false;
        quote(name, out);
        sh_buf_addc(out, ':');
        add_values(rest, name, value, out);
    }
    sh_buf_addc(out, '}');
    sh_buf_free(&clean);
}

/* --- Body ----------------------------------------------------------------------------------- */

static void add_base64(struct sh_slice bytes, struct sh_buf *out)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.n; i += 3) {
        uint32_t v = 0;
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (i + k < bytes.n ? (uint8_t)bytes.p[i + k] : 0);
        sh_buf_addc(out, letters[v >> 18]);
        sh_buf_addc(out, letters[v >> 12 & 63]);
        sh_buf_addc(out, i + 1 < bytes.n ? letters[v >> 6 & 63] : '=');
        sh_buf_addc(out, i + 2 < bytes.n ? letters[v & 63] : '=');
    }
}

/* A cut may go through a letter: what is left of it goes too. */
static size_t without_half_a_letter(struct sh_slice body)
{
    for (size_t k = 1; k <= 3 && k <= body.n; k++) {
        uint8_t c = (uint8_t)body.p[body.n - k];
        if (c >= 0xc0 && k < (c >= 0xf0 ? 4U : c >= 0xe0 ? 3U : 2U))
            return body.n - k;
        if (c < 0x80 || c >= 0xc0)
            break;
    }
    return body.n;
}

static void add_body(const struct sh_hidden *hidden, struct sh_slice body, bool cut,
                     struct sh_buf *out)
{
    struct sh_buf clean;
    struct sh_slice text = blanked(hidden, body, &clean), whole = text;
    if (cut)
        whole.n = without_half_a_letter(text);
    if (sh_utf8_ok(whole)) {
        sh_buf_adds(out, ",\"body\":");
        sh_json_quote(out, whole);
    } else {
        sh_buf_adds(out, ",\"body_base64\":\"");
        add_base64(text, out);
        sh_buf_addc(out, '"');
    }
    sh_buf_free(&clean);
}

void sh_lookup_doc_answer(const struct sh_hidden *hidden, const struct sh_http_answer *a,
                          struct sh_buf *out)
{
    if (a->end != SH_HTTP_ANSWERED) {
        sh_lookup_doc_error(hidden, a->error, out);
        return;
    }
    sh_buf_init(out, room_for(a->headers.n + a->body.n));
    sh_buf_addf(out, "{\"status\":%d,", a->status);
    add_headers(hidden, a->headers, out);
    add_body(hidden, a->body, a->cut, out);
    if (a->cut)
        sh_buf_adds(out, ",\"cut\":true");
    sh_buf_addc(out, '}');
    if (sh_buf_ok(out))
        return;
    sh_buf_free(out);
    sh_lookup_doc_error(hidden, "the answer is too long with its secrets blanked", out);
}

void sh_lookup_doc_cached(struct sh_slice doc, struct sh_buf *out)
{
    static const char mark[] = ",\"cached\":true}";
    sh_buf_init(out, doc.n + sizeof(mark));
    sh_buf_add(out, doc.p, doc.n - 1);
    sh_buf_adds(out, mark);
}
