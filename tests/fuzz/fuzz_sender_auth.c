/* SPDX-License-Identifier: MIT
 * fuzz_sender_auth.c: no request is let in by two secrets that have nothing in common, none is let
 * in because the check reads it differently the second time, and what a sender makes is let in.
 *
 * An input: "SCHEME [FORMAT]\n", header lines "Name: value\n", an empty line, the body. The scheme
 * is a digit, place in the list below; the format j or f (JSON, form). For scheme "x" the headers
 * are those of a request through a proxy. */
#include "core/forwarded.h"
#include "core/sender_auth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_HEADERS 8
#define NOW_MS      1614265330000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct request {
    char *name[MAX_HEADERS], *value[MAX_HEADERS];
    size_t n;
    struct sh_slice body;
};

static char *right[] = {(char *)"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", NULL};
static char *plain[] = {(char *)"It's a Secret to Everybody", NULL};
static char *token[] = {(char *)"tok-en-7", NULL};
static char *other[] = {(char *)"whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXI=", NULL};

static const struct sh_auth_config schemes[] = {
    {.kind = SH_AUTH_STANDARD, .secrets = right, .tolerance_ms = 300000},
    {.kind = SH_AUTH_HMAC,
     .secrets = plain,
     .header = (char *)"X-Hub-Signature-256",
     .prefix = (char *)"sha256=",
     .signature = SH_AUTH_HEX},
    {.kind = SH_AUTH_TIMESTAMPED,
     .secrets = plain,
     .header = (char *)"Stripe-Signature",
     .tolerance_ms = 300000},
    {.kind = SH_AUTH_JWT, .secrets = plain, .tolerance_ms = 60000},
    {.kind = SH_AUTH_JWT, .secrets = plain, .tolerance_ms = 60000, .jwt_bearer = true},
    {.kind = SH_AUTH_BEARER, .secrets = token},
    {.kind = SH_AUTH_BASIC, .secrets = token, .user = (char *)"me"},
    {.kind = SH_AUTH_TOKEN, .secrets = token, .field = (char *)"a.b"},
    {.kind = SH_AUTH_HMAC,
     .secrets = plain,
     .header = (char *)"X-Sig",
     .hash = SH_HASH_SHA512,
     .signature = SH_AUTH_BASE64},
    {.kind = SH_AUTH_TOKEN, .secrets = token, .field = (char *)"token"},
};

static const char *header_of(void *arg, const char *name, size_t n)
{
    const struct request *q = arg;
    for (size_t i = 0; i < q->n; i++)
        if (strcasecmp(q->name[i], name) == 0 && n-- == 0)
            return q->value[i];
    return NULL;
}

/* The line that begins at *at, without its end; *at moves behind it. */
static struct sh_slice next_line(struct sh_slice *at)
{
    const char *end = at->n ? memchr(at->p, '\n', at->n) : NULL;
    const struct sh_slice line = sh_slice(at->p, end ? (size_t)(end - at->p) : at->n);
    const size_t used = line.n + (end ? 1 : 0);
    *at = sh_slice(at->p + used, at->n - used);
    return line;
}

static void read_request(struct sh_slice text, struct request *q)
{
    for (;;) {
        const struct sh_slice line = next_line(&text);
        const char *colon = line.n ? memchr(line.p, ':', line.n) : NULL;
        if (!line.n)
            break;
        if (!colon || q->n == MAX_HEADERS || memchr(line.p, '\0', line.n))
            continue;
        size_t name = (size_t)(colon - line.p), skip = name + 1;
        while (skip < line.n && line.p[skip] == ' ')
            skip++;
        q->name[q->n] = sh_memdup(line.p, name);
        q->value[q->n++] = sh_memdup(line.p + skip, line.n - skip);
    }
    q->body = text;
}

static enum sh_auth_reason check(const struct sh_auth_config *c, const struct sh_auth_request *r)
{
    struct sh_auth *a = sh_auth_new(c);
    const enum sh_auth_reason why = sh_auth_check(a, r);
    sh_require(sh_auth_check(a, r) == why && why < SH_N_AUTH_REASONS && sh_auth_reason_name(why));
    sh_auth_free(a);
    return why;
}

/* What the sender's side makes of the body is let in; a body that has a token field already, or is
 * no JSON, is left alone by it. */
static void prove(const struct sh_auth_config *c, struct sh_slice body)
{
    struct sh_auth_proof p;
    struct request q = {.body = body};
    sh_auth_prove(c, body, NOW_MS, &p);
    for (; q.n < p.n; q.n++) {
        char *colon = strstr(p.header[q.n], ": ");
        sh_require(colon);
        *colon = '\0';
        q.name[q.n] = p.header[q.n];
        q.value[q.n] = colon + 2;
    }
    if (p.body)
        q.body = sh_slice(p.body, p.body_len);
    const struct sh_auth_request r = {
        .header = header_of, .arg = &q, .body = q.body, .now_ms = NOW_MS};
    const enum sh_auth_reason why = check(c, &r);
    const bool signs =
        c->kind == SH_AUTH_STANDARD || c->kind == SH_AUTH_HMAC || c->kind == SH_AUTH_TIMESTAMPED;
    sh_require(!signs || why == SH_AUTH_OK);
    sh_auth_proof_clear(&p);
}

/* Only addresses that stand in the headers, or the proxy's own. */
static void forwarded(struct request *q)
{
    struct sh_ip_net net;
    struct sh_ip peer;
    char text[SH_IP_TEXT];
    sh_require(sh_ip_net_parse("10.0.0.0/8", &net, NULL) && sh_ip_parse("10.0.0.1", &peer));
    for (int standard = 0; standard < 2; standard++) {
        const struct sh_forwarded f = {&net, 1, standard};
        const struct sh_ip ip = sh_forwarded_address(&f, peer, header_of, q);
        sh_require(sh_ip_text(&ip, text));
        const char *name = standard ? "Forwarded" : "X-Forwarded-For";
        sh_require(header_of(q, name, 0) || memcmp(&ip, &peer, sizeof(ip)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request q = {.n = 0};
    struct sh_slice text = sh_slice(data, size);
    const struct sh_slice scheme = next_line(&text);
    read_request(text, &q);
    if (scheme.n && scheme.p[0] == 'x') {
        forwarded(&q);
    } else if (scheme.n && scheme.p[0] >= '0' && scheme.p[0] <= '9') {
        const struct sh_auth_config *c = &schemes[scheme.p[0] - '0'];
        struct sh_auth_config wrong = *c;
        wrong.secrets = other;
        const struct sh_auth_request r = {
            .header = header_of,
            .arg = &q,
            .body = q.body,
            .format = scheme.n > 2 && scheme.p[2] == 'f' ? SH_BODY_FORM : SH_BODY_JSON,
            .now_ms = NOW_MS,
        };
        sh_require(check(c, &r) != SH_AUTH_OK || check(&wrong, &r) != SH_AUTH_OK);
        prove(c, q.body);
    }
    for (size_t i = 0; i < q.n; i++) {
        free(q.name[i]);
        free(q.value[i]);
    }
    return 0;
}
