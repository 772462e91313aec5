/* SPDX-License-Identifier: MIT
 * http_ready.c: a call with its secrets put in, ready to send. */
#include "base/limits.h"
#include "base/utf8.h"
#include "core/http_part.h"
#include "core/trace.h"
#include "svc/json.h"
#include "svc/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_HEADERS    (SH_HTTP_MAX_HEADERS + 2) /* with Idempotency-Key and traceparent */
#define MAX_BODY_BYTES ((size_t)16 << 20)        /* with the secrets put in */

struct filler {
    struct sh_http_ready *out;
    sh_secret_fn *secret;
    void *arg;
};

/* --- Escapes --------------------------------------------------------------------------------- */

static bool is_unreserved(unsigned char c) /* RFC 3986 section 2.3 */
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static void add_percent(struct sh_buf *out, const char *s, bool form)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (is_unreserved(c))
            sh_buf_addc(out, *s);
        else if (form && c == ' ')
            sh_buf_addc(out, '+');
        else
            sh_buf_addf(out, "%%%02X", c);
    }
}

static void add_json(struct sh_buf *out, const char *s)
{
    struct sh_buf quoted;
    sh_buf_init(&quoted, 8 * strlen(s) + 16);
    sh_json_quote(&quoted, sh_slice_str(s));
    sh_buf_add(out, quoted.data + 1, quoted.len - 2);
    sh_buf_free(&quoted);
}

void sh_http_put_as(struct sh_buf *out, const char *s, enum sh_http_as as)
{
    if (as == SH_AS_PLAIN)
        sh_buf_adds(out, s);
    else if (as == SH_AS_JSON)
        add_json(out, s);
    else
        add_percent(out, s, as == SH_AS_FORM);
}

/* --- Putting in ------------------------------------------------------------------------------ */

static bool put_secret(struct filler *f, const struct sh_http_part *part, const char *field,
                       struct sh_buf *out, struct sh_error *err)
{
    const char *text = f->secret ? f->secret(f->arg, part->secret) : NULL;
    if (!text)
        return sh_error_set(err, SH_ENOTFOUND,
                            "%s: the secret \"%s\" is not configured; add it to secrets in "
                            "switchhook.lua",
                            field, part->secret);
    if (!sh_utf8_ok(sh_slice_str(text)))
        return sh_error_set(err, SH_EINVAL, "%s: the secret \"%s\" is not UTF-8 text", field,
                            part->secret);
    sh_http_put_as(out, text, part->as);
    return true;
}

static bool fill(struct filler *f, const cJSON *t, const char *field, struct sh_buf *out,
                 struct sh_error *err)
{
    for (const cJSON *p = sh_http_part_first(t); p; p = sh_http_part_next(t, p)) {
        struct sh_http_part part;
        if (!sh_http_part_read(p, &part))
            return sh_error_set(err, SH_EINVAL, "%s: neither text nor secret", field);
        if (part.text)
            sh_buf_adds(out, part.text);
        else if (!put_secret(f, &part, field, out, err))
            return false;
    }
    if (!sh_buf_ok(out))
        return sh_error_set(err, SH_EINVAL, "%s: longer than %zu bytes with its secrets", field,
                            out->max);
    return true;
}

/* The same host as before, whatever the secrets say: they stand behind it. What is checked again is
 * that they brought no byte that a URL cannot have. */
static bool ready_url(struct filler *f, const cJSON *doc, struct sh_error *err)
{
    struct sh_buf text;
    struct sh_url url;
    struct sh_error why;
    sh_buf_init(&text, SH_HTTP_MAX_URL_BYTES);
    bool ok = fill(f, sh_json_member(doc, "url"), "url", &text, err);
    if (ok && !sh_url_parse(text.data ? text.data : "", SH_HTTP_MAX_URL_BYTES, &url, &why))
        ok = sh_error_set(err, SH_EINVAL, "url: %s", why.msg);
    if (ok)
        f->out->url = sh_memdup(text.data, (size_t)(url.rest.p + url.rest.n - text.data));
    sh_buf_free(&text);
    return ok;
}

/* White space around a value is not part of it (RFC 9110 section 5.5). */
static struct sh_slice trimmed(const struct sh_buf *b)
{
    struct sh_slice s = sh_slice(b->data, b->len);
    while (s.n && (*s.p == ' ' || *s.p == '\t'))
        s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

static bool ready_header(struct filler *f, const cJSON *pair, char **out, struct sh_error *err)
{
    const char *name = pair->child->valuestring;
    struct sh_buf text;
    sh_buf_init(&text, SH_HTTP_MAX_HEADER_BYTES);
    bool ok = fill(f, pair->child->next, name, &text, err);
    struct sh_slice value = trimmed(&text);
    for (size_t i = 0; ok && i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            ok = sh_error_set(err, SH_EINVAL,
                              "headers: a secret in %s has a line break or another control "
                              "character",
                              name);
    }
    if (ok && !value.n)
        ok = sh_error_set(err, SH_EINVAL, "headers: %s is empty with its secret", name);
    if (ok)
        *out = sh_strf("%s: %.*s", name, (int)value.n, value.p);
    sh_buf_free(&text);
    return ok;
}

static bool ready_headers(struct filler *f, const cJSON *doc, const char *key, struct sh_error *err)
{
    const cJSON *list = sh_json_member(doc, "headers"), *pair;
    size_t n = 0;
    f->out->headers = sh_alloc(MAX_HEADERS + 1, sizeof(*f->out->headers));
    cJSON_ArrayForEach(pair, list)
    {
        if (!ready_header(f, pair, &f->out->headers[n++], err))
            return false;
    }
    if (key)
        f->out->headers[n] = sh_strf("Idempotency-Key: %s", key);
    return true;
}

static bool ready_body(struct filler *f, const cJSON *doc, struct sh_error *err)
{
    const cJSON *body = sh_json_member(doc, "body");
    struct sh_buf text;
    if (!body)
        return true;
    sh_buf_init(&text, MAX_BODY_BYTES);
    bool ok = fill(f, body, "body", &text, err);
    if (ok)
        f->out->body = sh_buf_take(&text, &f->out->body_len);
    sh_buf_free(&text);
    return ok;
}

static int64_t number(const cJSON *doc, const char *name)
{
    int64_t n = 0;
    return sh_json_get_int(sh_json_member(doc, name), &n) ? n : 0;
}

bool sh_http_call_ready(const cJSON *doc, const char *key, sh_secret_fn *secret, void *arg,
                        struct sh_http_ready *out, struct sh_error *err)
{
    struct filler f = {.out = out, .secret = secret, .arg = arg};
    memset(out, 0, sizeof(*out));
    if (!sh_http_call_check(doc, !key, err))
        return false;
    out->method = sh_strdup(sh_json_string(doc, "method"));
    out->timeout_ms = number(doc, "timeout_ms");
    out->cache_ms = number(doc, "cache_ms");
    out->redirects = (int)number(doc, "redirects");
    return ready_url(&f, doc, err) && ready_headers(&f, doc, key, err) && ready_body(&f, doc, err);
}

static bool is_header(const char *line, const char *name)
{
    const size_t n = strlen(name);
    return strncasecmp(line, name, n) == 0 && line[n] == ':';
}

void sh_http_ready_trace(struct sh_http_ready *r, const char *trace, struct sh_slice seed)
{
    char next[SH_TRACE_TEXT];
    size_t n = 0;
    if (!trace)
        return;
    for (; r->headers[n]; n++)
        if (is_header(r->headers[n], "traceparent"))
            return;
    sh_require(n < MAX_HEADERS);
    sh_trace_next(trace, seed, next);
    r->headers[n] = sh_strf("traceparent: %s", next);
}

void sh_http_wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static void wipe_list(char **list)
{
    for (char **at = list; at && *at; at++)
        sh_http_wipe(*at);
    free(list);
}

void sh_http_ready_clear(struct sh_http_ready *r)
{
    free(r->method);
    sh_http_wipe(r->url);
    sh_http_wipe(r->body);
    wipe_list(r->headers);
    memset(r, 0, sizeof(*r));
}
