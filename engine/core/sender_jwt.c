/* SPDX-License-Identifier: MIT
 * sender_jwt.c: JSON Web Tokens (RFC 7519) in compact form (RFC 7515), HS256 and nothing else.
 *
 * The algorithm is the configuration's, never the token's (RFC 8725, section 3.1): what the token
 * says of itself can only make it refused. */
#include "core/sender_auth_impl.h"

#include "svc/base64.h"
#include "svc/json.h"

#include <string.h>

#define MAX_HEAD_BYTES 4096 /* of a token, decoded */

struct parts {
    struct sh_slice head, payload, signature, covered; /* covered: "head.payload", as sent */
};

static bool split(struct sh_slice token, struct parts *p)
{
    const char *one = token.n ? memchr(token.p, '.', token.n) : NULL;
    const size_t left = one ? token.n - (size_t)(one + 1 - token.p) : 0;
    const char *two = left ? memchr(one + 1, '.', left) : NULL;
    if (!two)
        return false;
    const char *end = token.p + token.n;
    p->head = sh_slice(token.p, (size_t)(one - token.p));
    p->payload = sh_slice(one + 1, (size_t)(two - one - 1));
    p->covered = sh_slice(token.p, (size_t)(two - token.p));
    p->signature = sh_slice(two + 1, (size_t)(end - two - 1));
    return p->head.n && p->payload.n && !memchr(two + 1, '.', p->signature.n);
}

/* base64url without padding (RFC 7515, section 2); the room is fixed by the text's length. */
static bool decode(struct sh_slice text, struct sh_buf *out, size_t max)
{
    sh_buf_init(out, max);
    return text.n && !memchr(text.p, '=', text.n) && sh_base64_read(out, text, SH_BASE64_URL) &&
           sh_buf_ok(out);
}

static bool is_object(const struct sh_buf *b)
{
    return b->data && sh_json_check(b->data, b->len, NULL) &&
           b->data[strspn(b->data, " \t\r\n")] == '{';
}

/* Is the head of a token that says HS256 and demands nothing else to be understood (crit)? */
static enum sh_auth_reason check_head(struct sh_slice text)
{
    struct sh_buf head;
    struct sh_slice value;
    enum sh_auth_reason why = SH_AUTH_MALFORMED_TOKEN;
    if (decode(text, &head, MAX_HEAD_BYTES) && is_object(&head)) {
        const struct sh_slice json = sh_slice(head.data, head.len);
        why = SH_AUTH_BAD_ALGORITHM;
        if (sh_json_find(json, "alg", &value) == SH_JSON_STRING &&
            sh_slice_eq(value, SH_SLICE("HS256")) &&
            sh_json_find(json, "crit", &value) == SH_JSON_NONE)
            why = SH_AUTH_OK;
    }
    sh_buf_free(&head);
    return why;
}

/* A NumericDate (RFC 7519, section 2) in *ms; false: there, and none. *there tells which. */
static bool find_date(struct sh_slice json, const char *name, bool *there, double *ms)
{
    struct sh_slice raw;
    char text[64];
    const enum sh_json_kind kind = sh_json_find(json, name, &raw);
    *there = kind != SH_JSON_NONE;
    if (!*there)
        return true;
    if (kind != SH_JSON_NUMBER || raw.n >= sizeof(text))
        return false;
    memcpy(text, raw.p, raw.n);
    text[raw.n] = '\0';
    cJSON *node = sh_json_parse(text, raw.n, NULL);
    const bool ok = node && sh_json_get_double(node, ms);
    cJSON_Delete(node);
    *ms *= 1000;
    return ok;
}

static enum sh_auth_reason check_dates(const struct sh_auth *a, struct sh_slice json,
                                       int64_t now_ms)
{
    const double now = (double)now_ms, leeway = (double)a->config->tolerance_ms;
    double exp = 0, nbf = 0;
    bool has_exp, has_nbf;
    if (!find_date(json, "exp", &has_exp, &exp) || !find_date(json, "nbf", &has_nbf, &nbf))
        return SH_AUTH_MALFORMED_TOKEN;
    if (has_exp && now >= exp + leeway)
        return SH_AUTH_TOKEN_EXPIRED;
    if (has_nbf && now < nbf - leeway)
        return SH_AUTH_TOKEN_NOT_YET;
    return SH_AUTH_OK;
}

/* Only of a payload whose signature is right. */
static enum sh_auth_reason check_payload(const struct sh_auth *a, struct sh_slice text,
                                         int64_t now_ms)
{
    struct sh_buf payload;
    enum sh_auth_reason why = SH_AUTH_MALFORMED_TOKEN;
    if (decode(text, &payload, text.n + 4) && is_object(&payload))
        why = check_dates(a, sh_slice(payload.data, payload.len), now_ms);
    sh_buf_free(&payload);
    return why;
}

static enum sh_auth_reason check_token(struct sh_auth *a, struct sh_slice token, int64_t now_ms)
{
    uint8_t macs[SH_MAX_AUTH_SECRETS][SH_MAX_HASH_BYTES];
    struct parts p;
    struct sh_buf given;
    if (!split(token, &p))
        return SH_AUTH_MALFORMED_TOKEN;
    enum sh_auth_reason why = check_head(p.head);
    if (why != SH_AUTH_OK)
        return why;
    why = SH_AUTH_BAD_SIGNATURE;
    if (decode(p.signature, &given, SH_MAX_HASH_BYTES) && given.len == SH_SHA256_BYTES) {
        sh_auth_macs(a, &p.covered, 1, macs);
        if (sh_auth_is_one(a, given.data, macs))
            why = check_payload(a, p.payload, now_ms);
    }
    sh_buf_free(&given);
    return why;
}

enum sh_auth_reason sh_auth_check_jwt(struct sh_auth *a, const struct sh_auth_request *r)
{
    enum sh_auth_reason why;
    const char *value;
    if (!a->config->jwt_bearer)
        return r->body.n ? check_token(a, r->body, r->now_ms) : SH_AUTH_NO_TOKEN;
    if (!sh_auth_one_header(r, "Authorization", &value, SH_AUTH_NO_TOKEN, &why))
        return why;
    value = sh_auth_behind(value, "Bearer");
    return value ? check_token(a, sh_slice_str(value), r->now_ms) : SH_AUTH_NO_TOKEN;
}
