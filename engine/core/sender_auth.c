/* SPDX-License-Identifier: MIT
 * sender_auth.c: schemes with their keys made ready, and those that send the secret itself. */
#include "core/sender_auth_impl.h"

#include "core/event_body.h"
#include "svc/base64.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_KEY_BYTES   ((size_t)64 * 1024)
#define MAX_TOKEN_BYTES ((size_t)64 * 1024)
#define STANDARD_PREFIX "whsec_"

/* --- names ---------------------------------------------------------------------------------- */

const char *sh_auth_kind_name(enum sh_auth_kind kind)
{
    static const char *const names[SH_N_AUTH_KINDS] = {
        [SH_AUTH_UNSET] = "unset",
        [SH_AUTH_NONE] = "none",
        [SH_AUTH_BEARER] = "bearer",
        [SH_AUTH_BASIC] = "basic",
        [SH_AUTH_STANDARD] = "standard_webhooks",
        [SH_AUTH_HMAC] = "hmac",
        [SH_AUTH_TIMESTAMPED] = "timestamped",
        [SH_AUTH_JWT] = "jwt",
        [SH_AUTH_TOKEN] = "token",
        [SH_AUTH_PATH] = "path",
    };
    return names[kind];
}

const char *sh_auth_reason_name(enum sh_auth_reason why)
{
    static const char *const names[SH_N_AUTH_REASONS] = {
        [SH_AUTH_OK] = "ok",
        [SH_AUTH_ADDRESS] = "address_not_allowed",
        [SH_AUTH_TOO_MANY] = "too_many_failures",
        [SH_AUTH_NO_SIGNATURE] = "missing_signature",
        [SH_AUTH_MALFORMED] = "malformed_signature",
        [SH_AUTH_BAD_SIGNATURE] = "bad_signature",
        [SH_AUTH_TOO_OLD] = "timestamp_too_old",
        [SH_AUTH_IN_FUTURE] = "timestamp_in_future",
        [SH_AUTH_NO_TOKEN] = "missing_token",
        [SH_AUTH_MALFORMED_TOKEN] = "malformed_token",
        [SH_AUTH_BAD_TOKEN] = "bad_token",
        [SH_AUTH_BAD_ALGORITHM] = "bad_algorithm",
        [SH_AUTH_TOKEN_EXPIRED] = "token_expired",
        [SH_AUTH_TOKEN_NOT_YET] = "token_not_yet_valid",
    };
    return names[why];
}

bool sh_auth_is_guess(enum sh_auth_reason why)
{
    return why == SH_AUTH_MALFORMED || why == SH_AUTH_BAD_SIGNATURE ||
           why == SH_AUTH_MALFORMED_TOKEN || why == SH_AUTH_BAD_TOKEN ||
           why == SH_AUTH_BAD_ALGORITHM;
}

bool sh_auth_trusts_id(enum sh_auth_kind kind)
{
    return kind != SH_AUTH_HMAC && kind != SH_AUTH_TIMESTAMPED && kind != SH_AUTH_JWT;
}

bool sh_auth_reads_body(const struct sh_auth_config *c)
{
    return c->kind == SH_AUTH_STANDARD || c->kind == SH_AUTH_HMAC ||
           c->kind == SH_AUTH_TIMESTAMPED || (c->kind == SH_AUTH_JWT && !c->jwt_bearer) ||
           (c->kind == SH_AUTH_TOKEN && c->field);
}

const char *sh_auth_challenge(const struct sh_auth_config *c)
{
    if (c->kind == SH_AUTH_BEARER || (c->kind == SH_AUTH_JWT && c->jwt_bearer))
        return "Bearer";
    if (c->kind == SH_AUTH_BASIC)
        return "Basic realm=\"switchhook\", charset=\"UTF-8\"";
    return "Signature realm=\"switchhook\"";
}

/* --- secrets -------------------------------------------------------------------------------- */

static void wipe_text(char *text)
{
    if (text)
        sh_wipe(text, strlen(text));
    free(text);
}

void sh_auth_config_clear(struct sh_auth_config *c)
{
    for (size_t i = 0; c->secrets && c->secrets[i]; i++)
        wipe_text(c->secrets[i]);
    free(c->secrets);
    char *texts[] = {c->user, c->header, c->prefix, c->field, c->segment};
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        free(texts[i]);
    *c = (struct sh_auth_config){0};
}

static int nibble(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char lower = c >= 'A' && c <= 'F' ? (char)(c + 'a' - 'A') : c;
    const char *at = lower ? strchr(digits, lower) : NULL;
    return at ? (int)(at - digits) : -1;
}

static bool read_hex(const char *text, struct sh_buf *out)
{
    const size_t n = strlen(text);
    for (size_t i = 0; i + 1 < n; i += 2) {
        const int high = nibble(text[i]), low = nibble(text[i + 1]);
        if (high < 0 || low < 0)
            return false;
        sh_buf_addc(out, (char)(high * 16 + low));
    }
    return n % 2 == 0;
}

enum sh_hash sh_auth_hash(const struct sh_auth_config *c)
{
    return c->kind == SH_AUTH_HMAC ? c->hash : SH_HASH_SHA256;
}

bool sh_auth_key(const struct sh_auth_config *c, const char *text, struct sh_buf *out)
{
    const size_t n = strlen(STANDARD_PREFIX);
    enum sh_auth_encoding as = c->key;
    if (c->kind == SH_AUTH_STANDARD) {
        as = SH_AUTH_BASE64;
        text += strncmp(text, STANDARD_PREFIX, n) == 0 ? n : 0;
    }
    bool ok = true;
    if (as == SH_AUTH_HEX)
        ok = read_hex(text, out);
    else if (as == SH_AUTH_BASE64)
        ok = sh_base64_read(out, sh_slice_str(text), SH_BASE64) ||
             sh_base64_read(out, sh_slice_str(text), SH_BASE64_URL);
    else
        sh_buf_adds(out, text);
    return ok && sh_buf_ok(out) && out->len > 0;
}

static bool is_signed(enum sh_auth_kind kind)
{
    return kind == SH_AUTH_STANDARD || kind == SH_AUTH_HMAC || kind == SH_AUTH_TIMESTAMPED ||
           kind == SH_AUTH_JWT;
}

/* Only printable ASCII but for the bytes listed? */
static bool is_plain(const char *s, const char *but)
{
    for (; *s; s++)
        if (*s <= ' ' || *s > '~' || strchr(but, *s))
            return false;
    return true;
}

static void free_wiped(struct sh_buf *b)
{
    if (b->data)
        sh_wipe(b->data, b->len);
    sh_buf_free(b);
}

static bool key_ok(const struct sh_auth_config *c, const char *text, struct sh_error *err)
{
    struct sh_buf key;
    sh_buf_init(&key, MAX_KEY_BYTES);
    const bool ok = sh_auth_key(c, text, &key);
    free_wiped(&key);
    if (ok)
        return true;
    if (c->kind == SH_AUTH_STANDARD)
        return sh_error_set(err, SH_EINVAL, "the secret is not whsec_ and base64 behind it");
    return sh_error_set(err, SH_EINVAL, "the secret is not %s",
                        c->key == SH_AUTH_HEX ? "hex digits, two a byte" : "base64");
}

bool sh_auth_secret_ok(const struct sh_auth_config *c, const char *text, struct sh_error *err)
{
    if (!*text)
        return sh_error_set(err, SH_EINVAL, "is empty");
    if (strlen(text) > MAX_TOKEN_BYTES / 2)
        return sh_error_set(err, SH_EINVAL, "is longer than %zu bytes", MAX_TOKEN_BYTES / 2);
    if (is_signed(c->kind))
        return key_ok(c, text, err);
    const bool in_header = c->kind == SH_AUTH_BEARER || (c->kind == SH_AUTH_TOKEN && c->header);
    if (in_header && !is_plain(text, ""))
        return sh_error_set(err, SH_EINVAL,
                            "the %s token has a blank, a control byte or a byte that is not ASCII "
                            "in it",
                            c->kind == SH_AUTH_BEARER ? "bearer" : "header's");
    if (c->kind == SH_AUTH_PATH && !is_plain(text, "/?#%\\{}"))
        return sh_error_set(err, SH_EINVAL,
                            "the secret has a byte in it that a segment of a path cannot have, "
                            "such as a blank or a slash");
    return true;
}

/* --- life ----------------------------------------------------------------------------------- */

static void make_secret(const struct sh_auth_config *c, const char *text, struct sh_auth_secret *s)
{
    if (is_signed(c->kind)) {
        struct sh_buf key;
        sh_buf_init(&key, MAX_KEY_BYTES);
        sh_require(sh_auth_key(c, text, &key));
        s->hmac = sh_hmac_new(sh_auth_hash(c), sh_slice(key.data, key.len));
        free_wiped(&key);
        return;
    }
    const struct sh_slice parts[] = {sh_slice_str(c->user), SH_SLICE(":"), sh_slice_str(text)};
    if (c->kind == SH_AUTH_BASIC) /* user-id and password are compared as one */
        sh_sha256(parts, 3, s->digest);
    else
        sh_sha256(parts + 2, 1, s->digest);
}

struct sh_auth *sh_auth_new(const struct sh_auth_config *c)
{
    struct sh_auth *a = sh_alloc(1, sizeof(*a));
    a->config = c;
    for (; c->secrets && c->secrets[a->n]; a->n++) {
        sh_require(a->n < SH_MAX_AUTH_SECRETS);
        make_secret(c, c->secrets[a->n], &a->secret[a->n]);
    }
    return a;
}

void sh_auth_free(struct sh_auth *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n; i++)
        sh_hmac_free(a->secret[i].hmac);
    sh_wipe(a, sizeof(*a));
    free(a);
}

bool sh_auth_is_guessable(const struct sh_auth_config *c)
{
    bool is_short = false;
    for (size_t i = 0; c->secrets && c->secrets[i]; i++)
        is_short |= strlen(c->secrets[i]) < SH_AUTH_STRONG_BYTES;
    return is_short && !is_signed(c->kind);
}

/* --- secrets that are sent as they are ------------------------------------------------------ */

static enum sh_auth_reason check_digest(struct sh_auth *a, struct sh_slice given)
{
    uint8_t digest[SH_SHA256_BYTES];
    bool same = false;
    sh_sha256(&given, 1, digest);
    for (size_t i = 0; i < a->n; i++) { /* all of them, whichever it is */
        same |= sh_bytes_eq(digest, a->secret[i].digest, sizeof(digest));
        a->first |= same && i == 0;
    }
    return same ? SH_AUTH_OK : SH_AUTH_BAD_TOKEN;
}

bool sh_auth_one_header(const struct sh_auth_request *r, const char *name, const char **value,
                        enum sh_auth_reason missing, enum sh_auth_reason *why)
{
    *value = r->header(r->arg, name, 0);
    *why = !*value || !**value ? missing : SH_AUTH_MALFORMED;
    return *value && **value && !r->header(r->arg, name, 1);
}

const char *sh_auth_behind(const char *value, const char *scheme)
{
    const size_t n = strlen(scheme);
    if (strncasecmp(value, scheme, n) != 0 || value[n] != ' ')
        return NULL;
    value += n;
    return value + strspn(value, " ");
}

static enum sh_auth_reason check_bearer(struct sh_auth *a, const struct sh_auth_request *r)
{
    enum sh_auth_reason why;
    const char *value;
    if (!sh_auth_one_header(r, "Authorization", &value, SH_AUTH_NO_TOKEN, &why))
        return why;
    value = sh_auth_behind(value, "Bearer");
    return value ? check_digest(a, sh_slice_str(value)) : SH_AUTH_NO_TOKEN;
}

static enum sh_auth_reason check_basic(struct sh_auth *a, const struct sh_auth_request *r)
{
    enum sh_auth_reason why;
    const char *value;
    struct sh_buf pair;
    if (!sh_auth_one_header(r, "Authorization", &value, SH_AUTH_NO_TOKEN, &why))
        return why;
    value = sh_auth_behind(value, "Basic");
    if (!value)
        return SH_AUTH_NO_TOKEN;
    sh_buf_init(&pair, MAX_TOKEN_BYTES);
    if (sh_base64_read(&pair, sh_slice_str(value), SH_BASE64) && sh_buf_ok(&pair))
        why = check_digest(a, sh_slice(pair.data, pair.len));
    else
        why = SH_AUTH_MALFORMED_TOKEN;
    free_wiped(&pair);
    return why;
}

static enum sh_auth_reason find_field(struct sh_auth *a, struct sh_slice json)
{
    struct sh_slice raw;
    struct sh_buf text;
    const enum sh_json_kind kind = sh_json_find(json, a->config->field, &raw);
    if (kind == SH_JSON_NUMBER)
        return check_digest(a, raw);
    if (kind != SH_JSON_STRING)
        return SH_AUTH_NO_TOKEN;
    sh_buf_init(&text, raw.n + 1);
    sh_json_unescape(raw, &text);
    const enum sh_auth_reason why = check_digest(a, sh_slice(text.data, text.len));
    free_wiped(&text);
    return why;
}

static enum sh_auth_reason check_field(struct sh_auth *a, const struct sh_auth_request *r)
{
    struct sh_buf made;
    struct sh_slice json;
    enum sh_auth_reason why = SH_AUTH_MALFORMED_TOKEN;
    if (sh_event_check(r->format, r->body, &made, &json, NULL))
        why = find_field(a, json);
    sh_buf_free(&made);
    return why;
}

static enum sh_auth_reason check_token(struct sh_auth *a, const struct sh_auth_request *r)
{
    enum sh_auth_reason why;
    const char *value;
    if (!a->config->header)
        return check_field(a, r);
    if (!sh_auth_one_header(r, a->config->header, &value, SH_AUTH_NO_TOKEN, &why))
        return why;
    return check_digest(a, sh_slice_str(value));
}

static enum sh_auth_reason check_path(struct sh_auth *a, const struct sh_auth_request *r)
{
    const struct sh_slice given =
        r->path ? sh_path_arg(r->path, a->config->segment) : sh_slice(NULL, 0);
    return given.p ? check_digest(a, given) : SH_AUTH_NO_TOKEN;
}

bool sh_auth_was_older(const struct sh_auth *a)
{
    return a->n > 1 && !a->first;
}

enum sh_auth_reason sh_auth_check(struct sh_auth *a, const struct sh_auth_request *r)
{
    a->first = false;
    switch (a->config->kind) {
    case SH_AUTH_UNSET:
    case SH_AUTH_NONE:
        return SH_AUTH_OK;
    case SH_AUTH_BEARER:
        return check_bearer(a, r);
    case SH_AUTH_BASIC:
        return check_basic(a, r);
    case SH_AUTH_STANDARD:
        return sh_auth_check_standard(a, r);
    case SH_AUTH_HMAC:
        return sh_auth_check_hmac(a, r);
    case SH_AUTH_TIMESTAMPED:
        return sh_auth_check_timestamped(a, r);
    case SH_AUTH_JWT:
        return sh_auth_check_jwt(a, r);
    case SH_AUTH_TOKEN:
        return check_token(a, r);
    case SH_AUTH_PATH:
        return check_path(a, r);
    case SH_N_AUTH_KINDS:
        break;
    }
    return SH_AUTH_BAD_TOKEN;
}
