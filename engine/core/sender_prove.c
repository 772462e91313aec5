/* SPDX-License-Identifier: MIT
 * sender_prove.c: the sender's side of each scheme, for `switchhook send` and the tests. */
#include "core/sender_auth_impl.h"

#include "svc/base64.h"
#include "svc/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_KEY_BYTES  ((size_t)64 * 1024)
#define MAX_BODY_BYTES ((size_t)64 * 1024 * 1024)
#define ID_DIGITS      24
#define JWT_HEAD       "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

static void add_header(struct sh_auth_proof *p, char *line)
{
    sh_require(p->n < SH_MAX_PROOF_HEADERS);
    p->header[p->n++] = line;
}

static void sign(const struct sh_auth_config *c, const struct sh_slice *parts, size_t n,
                 uint8_t mac[SH_MAX_HASH_BYTES])
{
    struct sh_buf key;
    sh_buf_init(&key, MAX_KEY_BYTES);
    sh_require(sh_auth_key(c, c->secrets[0], &key));
    struct sh_hmac *h = sh_hmac_new(sh_auth_hash(c), sh_slice(key.data, key.len));
    sh_wipe(key.data, key.len);
    sh_buf_free(&key);
    sh_hmac_sign(h, parts, n, mac);
    sh_hmac_free(h);
}

static char *base64(struct sh_slice bytes, enum sh_base64 kind)
{
    struct sh_buf out;
    sh_buf_init(&out, bytes.n * 2 + 8);
    sh_base64_write(&out, bytes, kind);
    return sh_buf_take(&out, NULL);
}

static char *mac_text(const struct sh_auth_config *c, const uint8_t *mac)
{
    const size_t n = sh_hash_bytes(sh_auth_hash(c));
    if (c->kind == SH_AUTH_STANDARD || (c->kind == SH_AUTH_HMAC && c->signature == SH_AUTH_BASE64))
        return base64(sh_slice(mac, n), SH_BASE64);
    char hex[2 * SH_MAX_HASH_BYTES + 1];
    sh_hex(mac, n, hex);
    return sh_strdup(hex);
}

/* The same bytes get the same id, as a sender that tries again would give them. */
static void prove_standard(const struct sh_auth_config *c, struct sh_slice body, const char *at,
                           struct sh_auth_proof *p)
{
    uint8_t digest[SH_SHA256_BYTES], mac[SH_MAX_HASH_BYTES];
    char hex[SH_SHA256_HEX], id[ID_DIGITS + 8];
    sh_sha256(&body, 1, digest);
    sh_hex(digest, sizeof(digest), hex);
    snprintf(id, sizeof(id), "msg_%.*s", ID_DIGITS, hex);
    const struct sh_slice parts[] = {sh_slice_str(id), SH_SLICE("."), sh_slice_str(at),
                                     SH_SLICE("."), body};
    sign(c, parts, 5, mac);
    char *text = mac_text(c, mac);
    add_header(p, sh_strf("webhook-id: %s", id));
    add_header(p, sh_strf("webhook-timestamp: %s", at));
    add_header(p, sh_strf("webhook-signature: v1,%s", text));
    free(text);
}

static void prove_hmac(const struct sh_auth_config *c, struct sh_slice body,
                       struct sh_auth_proof *p)
{
    uint8_t mac[SH_MAX_HASH_BYTES];
    sign(c, &body, 1, mac);
    char *text = mac_text(c, mac);
    add_header(p, sh_strf("%s: %s%s", c->header, c->prefix ? c->prefix : "", text));
    free(text);
}

static void prove_timestamped(const struct sh_auth_config *c, struct sh_slice body, const char *at,
                              struct sh_auth_proof *p)
{
    uint8_t mac[SH_MAX_HASH_BYTES];
    const struct sh_slice parts[] = {sh_slice_str(at), SH_SLICE("."), body};
    sign(c, parts, 3, mac);
    char *text = mac_text(c, mac);
    add_header(p, sh_strf("%s: t=%s,v1=%s", c->header, at, text));
    free(text);
}

static char *make_token(const struct sh_auth_config *c, struct sh_slice payload)
{
    uint8_t mac[SH_MAX_HASH_BYTES];
    char *head = base64(SH_SLICE(JWT_HEAD), SH_BASE64_URL),
         *middle = base64(payload, SH_BASE64_URL);
    char *covered = sh_strf("%s.%s", head, middle);
    const struct sh_slice part = sh_slice_str(covered);
    sign(c, &part, 1, mac);
    char *signature = base64(sh_slice(mac, SH_SHA256_BYTES), SH_BASE64_URL);
    char *token = sh_strf("%s.%s", covered, signature);
    free(head);
    free(middle);
    free(covered);
    free(signature);
    return token;
}

static void prove_jwt(const struct sh_auth_config *c, struct sh_slice body, int64_t now_ms,
                      struct sh_auth_proof *p)
{
    char claims[96];
    if (!c->jwt_bearer) {
        p->body = make_token(c, body);
        p->body_len = strlen(p->body);
        return;
    }
    int n = snprintf(claims, sizeof(claims), "{\"iat\":%" PRId64 ",\"exp\":%" PRId64 "}",
                     now_ms / 1000, now_ms / 1000 + 60);
    char *token = make_token(c, sh_slice(claims, (size_t)n));
    add_header(p, sh_strf("Authorization: Bearer %s", token));
    free(token);
}

static void prove_basic(const struct sh_auth_config *c, struct sh_auth_proof *p)
{
    char *pair = sh_strf("%s:%s", c->user, c->secrets[0]);
    char *text = base64(sh_slice_str(pair), SH_BASE64);
    add_header(p, sh_strf("Authorization: Basic %s", text));
    sh_wipe(pair, strlen(pair));
    free(pair);
    free(text);
}

/* raw: the string in the field, without its quotes. */
static void replace_field(const struct sh_auth_config *c, struct sh_slice body, struct sh_slice raw,
                          struct sh_auth_proof *p)
{
    struct sh_buf out;
    raw = sh_slice(raw.p - 1, raw.n + 2);
    const size_t before = (size_t)(raw.p - body.p);
    sh_buf_init(&out, MAX_BODY_BYTES);
    sh_buf_add(&out, body.p, before);
    sh_json_quote(&out, sh_slice_str(c->secrets[0]));
    sh_buf_add(&out, raw.p + raw.n, body.n - before - raw.n);
    p->body = sh_buf_take(&out, &p->body_len);
}

/* {"field":"secret", and what was behind the brace, or the secret in place of another's; a body
 * that is no object stays. */
static void prove_field(const struct sh_auth_config *c, struct sh_slice body,
                        struct sh_auth_proof *p)
{
    struct sh_slice raw;
    struct sh_buf out;
    const char *brace = body.n ? memchr(body.p, '{', body.n) : NULL;
    if (!sh_json_check(body.p, body.n, NULL) || !brace)
        return;
    const enum sh_json_kind kind = sh_json_find(body, c->field, &raw);
    if (kind == SH_JSON_STRING)
        replace_field(c, body, raw, p);
    if (kind != SH_JSON_NONE || strchr(c->field, '.'))
        return;
    const struct sh_slice rest = sh_slice(brace + 1, body.n - (size_t)(brace + 1 - body.p));
    size_t blank = 0;
    while (blank < rest.n && strchr(" \t\r\n", rest.p[blank]))
        blank++;
    sh_buf_init(&out, MAX_BODY_BYTES);
    sh_buf_addc(&out, '{');
    sh_json_quote(&out, sh_slice_str(c->field));
    sh_buf_addc(&out, ':');
    sh_json_quote(&out, sh_slice_str(c->secrets[0]));
    if (rest.p[blank] != '}')
        sh_buf_addc(&out, ',');
    sh_buf_add(&out, rest.p, rest.n);
    p->body = sh_buf_take(&out, &p->body_len);
}

void sh_auth_prove(const struct sh_auth_config *c, struct sh_slice body, int64_t now_ms,
                   struct sh_auth_proof *out)
{
    char at[24];
    *out = (struct sh_auth_proof){0};
    snprintf(at, sizeof(at), "%" PRId64, now_ms / 1000);
    if (c->kind == SH_AUTH_BEARER)
        add_header(out, sh_strf("Authorization: Bearer %s", c->secrets[0]));
    else if (c->kind == SH_AUTH_BASIC)
        prove_basic(c, out);
    else if (c->kind == SH_AUTH_STANDARD)
        prove_standard(c, body, at, out);
    else if (c->kind == SH_AUTH_HMAC)
        prove_hmac(c, body, out);
    else if (c->kind == SH_AUTH_TIMESTAMPED)
        prove_timestamped(c, body, at, out);
    else if (c->kind == SH_AUTH_JWT)
        prove_jwt(c, body, now_ms, out);
    else if (c->kind == SH_AUTH_TOKEN && c->header)
        add_header(out, sh_strf("%s: %s", c->header, c->secrets[0]));
    else if (c->kind == SH_AUTH_TOKEN)
        prove_field(c, body, out);
}

void sh_auth_proof_clear(struct sh_auth_proof *p)
{
    for (size_t i = 0; i < p->n; i++) {
        sh_wipe(p->header[i], strlen(p->header[i]));
        free(p->header[i]);
    }
    if (p->body)
        sh_wipe(p->body, p->body_len);
    free(p->body);
    *p = (struct sh_auth_proof){0};
}
