/* SPDX-License-Identifier: MIT
 * sender_sign.c: signatures in headers: Standard Webhooks, plain HMAC, t=...,v1=... */
#include "core/sender_auth_impl.h"

#include "svc/base64.h"

#include <string.h>

#define MAX_SECONDS_DIGITS 12 /* of Unix seconds; there is room for 30,000 years */

void sh_auth_macs(struct sh_auth *a, const struct sh_slice *parts, size_t n,
                  uint8_t macs[SH_MAX_AUTH_SECRETS][SH_MAX_HASH_BYTES])
{
    for (size_t i = 0; i < a->n; i++)
        sh_hmac_sign(a->secret[i].hmac, parts, n, macs[i]);
}

bool sh_auth_is_one(struct sh_auth *a, const void *given,
                    uint8_t macs[SH_MAX_AUTH_SECRETS][SH_MAX_HASH_BYTES])
{
    bool same = false;
    for (size_t i = 0; i < a->n; i++) {
        same |= sh_bytes_eq(given, macs[i], sh_hash_bytes(sh_auth_hash(a->config)));
        a->first |= same && i == 0;
    }
    return same;
}

/* --- signatures as text --------------------------------------------------------------------- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool read_hex(struct sh_slice text, uint8_t *out, size_t bytes)
{
    if (text.n != 2 * bytes)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        const int high = hex_digit(text.p[2 * i]), low = hex_digit(text.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

static bool read_base64(struct sh_slice text, uint8_t *out, size_t bytes)
{
    struct sh_buf b;
    if (text.n != (bytes + 2) / 3 * 4) /* padded */
        return false;
    sh_buf_init(&b, SH_MAX_HASH_BYTES + 3);
    const bool ok = sh_base64_read(&b, text, SH_BASE64) && b.len == bytes;
    if (ok)
        memcpy(out, b.data, bytes);
    sh_buf_free(&b);
    return ok;
}

static bool read_signature(const struct sh_auth *a, struct sh_slice text,
                           enum sh_auth_encoding encoding, uint8_t out[SH_MAX_HASH_BYTES])
{
    const size_t bytes = sh_hash_bytes(sh_auth_hash(a->config));
    return encoding == SH_AUTH_BASE64 ? read_base64(text, out, bytes) : read_hex(text, out, bytes);
}

/* The next piece of a list, without the blanks around it; false: that was all. */
static bool next_piece(const char **at, char between, struct sh_slice *piece)
{
    if (!*at)
        return false;
    const char *p = *at, *end = strchr(p, between);
    *at = end ? end + 1 : NULL;
    size_t n = end ? (size_t)(end - p) : strlen(p);
    while (n && *p == ' ') {
        p++;
        n--;
    }
    while (n && p[n - 1] == ' ')
        n--;
    *piece = sh_slice(p, n);
    return true;
}

/* What is behind "v1," in a piece; false: it is something else. */
static bool behind(struct sh_slice piece, const char *name, struct sh_slice *rest)
{
    const size_t n = strlen(name);
    if (piece.n < n || memcmp(piece.p, name, n) != 0)
        return false;
    *rest = sh_slice(piece.p + n, piece.n - n);
    return true;
}

/* --- time ----------------------------------------------------------------------------------- */

static bool read_seconds(struct sh_slice text, int64_t *ms)
{
    int64_t seconds = 0;
    if (!text.n || text.n > MAX_SECONDS_DIGITS)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        seconds = seconds * 10 + (text.p[i] - '0');
    }
    *ms = seconds * 1000;
    return true;
}

static enum sh_auth_reason check_time(const struct sh_auth *a, const struct sh_auth_request *r,
                                      int64_t at_ms)
{
    if (r->now_ms - at_ms > a->config->tolerance_ms + 999) /* the sender has cut the second */
        return SH_AUTH_TOO_OLD;
    if (at_ms - r->now_ms > a->config->tolerance_ms)
        return SH_AUTH_IN_FUTURE;
    return SH_AUTH_OK;
}

/* --- schemes -------------------------------------------------------------------------------- */

/* The header "v1,<base64> v1,<base64> v1a,<other>": is one of the v1 right? Every one is looked
 * at. */
static enum sh_auth_reason any_standard(struct sh_auth *a, const char *header,
                                        uint8_t macs[SH_MAX_AUTH_SECRETS][SH_MAX_HASH_BYTES])
{
    struct sh_slice piece, text;
    bool some = false, same = false;
    while (next_piece(&header, ' ', &piece)) {
        uint8_t given[SH_MAX_HASH_BYTES];
        if (!behind(piece, "v1,", &text) || !read_signature(a, text, SH_AUTH_BASE64, given))
            continue;
        some = true;
        same |= sh_auth_is_one(a, given, macs);
    }
    return same ? SH_AUTH_OK : some ? SH_AUTH_BAD_SIGNATURE : SH_AUTH_MALFORMED;
}

enum sh_auth_reason sh_auth_check_standard(struct sh_auth *a, const struct sh_auth_request *r)
{
    uint8_t macs[SH_MAX_AUTH_SECRETS][SH_MAX_HASH_BYTES];
    const char *id, *at, *signature;
    enum sh_auth_reason why;
    int64_t at_ms;
    if (!sh_auth_one_header(r, "webhook-id", &id, SH_AUTH_NO_SIGNATURE, &why) ||
        !sh_auth_one_header(r, "webhook-timestamp", &at, SH_AUTH_NO_SIGNATURE, &why) ||
        !sh_auth_one_header(r, "webhook-signature", &signature, SH_AUTH_NO_SIGNATURE, &why))
        return why;
    if (!read_seconds(sh_slice_str(at), &at_ms))
        return SH_AUTH_MALFORMED;
    const struct sh_slice parts[] = {sh_slice_str(id), SH_SLICE("."), sh_slice_str(at),
                                     SH_SLICE("."), r->body};
    sh_auth_macs(a, parts, 5, macs);
    why = any_standard(a, signature, macs);
    return why == SH_AUTH_OK ? check_time(a, r, at_ms) : why;
}

enum sh_auth_reason sh_auth_check_hmac(struct sh_auth *a, const struct sh_auth_request *r)
{
    const struct sh_auth_config *c = a->config;
    uint8_t macs[SH_MAX_AUTH_SECRETS][SH_MAX_HASH_BYTES], given[SH_MAX_HASH_BYTES];
    enum sh_auth_reason why;
    const char *header;
    struct sh_slice text;
    if (!sh_auth_one_header(r, c->header, &header, SH_AUTH_NO_SIGNATURE, &why))
        return why;
    if (!behind(sh_slice_str(header), c->prefix ? c->prefix : "", &text) ||
        !read_signature(a, text, c->signature, given))
        return SH_AUTH_MALFORMED;
    sh_auth_macs(a, &r->body, 1, macs);
    return sh_auth_is_one(a, given, macs) ? SH_AUTH_OK : SH_AUTH_BAD_SIGNATURE;
}

/* The one t= of "t=1492774577,v1=<hex>,v1=<hex>,v0=<hex>"; false: none, two, or no number. */
static bool find_time(const char *header, struct sh_slice *at, int64_t *ms)
{
    struct sh_slice piece, found;
    size_t n = 0;
    while (next_piece(&header, ',', &piece)) {
        if (!behind(piece, "t=", &found))
            continue;
        *at = found;
        n++;
    }
    return n == 1 && read_seconds(*at, ms);
}

enum sh_auth_reason sh_auth_check_timestamped(struct sh_auth *a, const struct sh_auth_request *r)
{
    uint8_t macs[SH_MAX_AUTH_SECRETS][SH_MAX_HASH_BYTES];
    enum sh_auth_reason why;
    const char *header;
    struct sh_slice at, piece, text;
    bool some = false, same = false;
    int64_t at_ms;
    if (!sh_auth_one_header(r, a->config->header, &header, SH_AUTH_NO_SIGNATURE, &why))
        return why;
    if (!find_time(header, &at, &at_ms))
        return SH_AUTH_MALFORMED;
    const struct sh_slice parts[] = {at, SH_SLICE("."), r->body};
    sh_auth_macs(a, parts, 3, macs);
    while (next_piece(&header, ',', &piece)) {
        uint8_t given[SH_MAX_HASH_BYTES];
        if (!behind(piece, "v1=", &text) || !read_signature(a, text, SH_AUTH_HEX, given))
            continue;
        some = true;
        same |= sh_auth_is_one(a, given, macs);
    }
    if (!same)
        return some ? SH_AUTH_BAD_SIGNATURE : SH_AUTH_MALFORMED;
    return check_time(a, r, at_ms);
}
