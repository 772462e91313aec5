/* SPDX-License-Identifier: MIT
 * test_sender_auth.c: every scheme against published vectors, and everything near them that is
 * wrong.
 *
 * Vectors: Standard Webhooks (the specification's), GitHub (its documentation), RFC 7515 A.1
 * (HS256), RFC 7617 section 2 (Basic), RFC 2202 and RFC 4231 (HMAC). */
#include "core/sender_auth.h"
#include "svc/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#define MAX_HEADERS 8
#define FIVE_MIN    300000

/* A request: pairs of name and value. */
struct request {
    const char *pair[MAX_HEADERS][2];
    size_t n;
    struct sh_slice body;
    enum sh_body_format format;
    struct sh_path_args path;
    int64_t now_ms;
};

static const char *header_of(void *arg, const char *name, size_t n)
{
    const struct request *q = arg;
    for (size_t i = 0; i < q->n; i++)
        if (strcasecmp(q->pair[i][0], name) == 0 && n-- == 0)
            return q->pair[i][1];
    return NULL;
}

static enum sh_auth_reason check(const struct sh_auth_config *c, const struct request *q)
{
    struct request copy = *q;
    const struct sh_auth_request r = {header_of, &copy, q->body, q->format, &q->path, q->now_ms};
    struct sh_auth *a = sh_auth_new(c);
    const enum sh_auth_reason why = sh_auth_check(a, &r), again = sh_auth_check(a, &r);
    assert_int_equal(why, again); /* a key is good for more than one message */
    sh_auth_free(a);
    return why;
}

static void expect(const struct sh_auth_config *c, const struct request *q,
                   enum sh_auth_reason want)
{
    const enum sh_auth_reason got = check(c, q);
    if (got != want)
        fail_msg("expected %s, got %s", sh_auth_reason_name(want), sh_auth_reason_name(got));
}

/* With the value of its last header changed. */
static void expect_with(const struct sh_auth_config *c, struct request q, const char *value,
                        enum sh_auth_reason want)
{
    q.pair[q.n - 1][1] = value;
    expect(c, &q, want);
}

static void expect_body(const struct sh_auth_config *c, struct request q, const char *body,
                        enum sh_auth_reason want)
{
    q.body = sh_slice_str(body);
    expect(c, &q, want);
}

static void expect_at(const struct sh_auth_config *c, struct request q, int64_t now_ms,
                      enum sh_auth_reason want)
{
    q.now_ms = now_ms;
    expect(c, &q, want);
}

/* Every digit of the last header from `from` on changed, one at a time: none is let in. */
static void expect_no_flip(const struct sh_auth_config *c, struct request q, size_t from)
{
    char *value = sh_strdup(q.pair[q.n - 1][1]);
    q.pair[q.n - 1][1] = value;
    for (size_t i = from; value[i]; i++) {
        const char was = value[i];
        value[i] = (char)(was ^ 1);
        if (check(c, &q) == SH_AUTH_OK)
            fail_msg("let in with byte %zu changed from %c to %c", i, was, value[i]);
        value[i] = was;
    }
    expect(c, &q, SH_AUTH_OK);
    free(value);
}

/* Every shorter form of the last header. */
static void expect_no_prefix(const struct sh_auth_config *c, struct request q)
{
    char *value = sh_strdup(q.pair[q.n - 1][1]);
    q.pair[q.n - 1][1] = value;
    for (size_t n = strlen(value); n-- > 0;) {
        value[n] = '\0';
        if (check(c, &q) == SH_AUTH_OK)
            fail_msg("let in when cut to %zu bytes", n);
    }
    free(value);
}

static void expect_doubled(const struct sh_auth_config *c, struct request q,
                           enum sh_auth_reason want)
{
    q.pair[q.n][0] = q.pair[q.n - 1][0];
    q.pair[q.n][1] = q.pair[q.n - 1][1];
    q.n++;
    expect(c, &q, want);
}

static void expect_huge(const struct sh_auth_config *c, const struct request *q, const char *start,
                        enum sh_auth_reason want)
{
    const size_t n = 100000;
    char *value = sh_strf("%s%*s", start, (int)n, "");
    memset(value + strlen(start), 'a', n);
    expect_with(c, *q, value, want);
    free(value);
}

/* --- HMAC ----------------------------------------------------------------------------------- */

static void expect_mac(enum sh_hash hash, struct sh_slice key, struct sh_slice data,
                       const char *want)
{
    uint8_t mac[SH_MAX_HASH_BYTES];
    char hex[2 * SH_MAX_HASH_BYTES + 1];
    struct sh_hmac *h = sh_hmac_new(hash, key);
    for (int i = 0; i < 3; i++) {
        const struct sh_slice parts[] = {sh_slice(data.p, data.n / 2),
                                         sh_slice(data.p + data.n / 2, data.n - data.n / 2)};
        sh_hmac_sign(h, parts, 2, mac);
        sh_hex(mac, sh_hash_bytes(hash), hex);
        assert_string_equal(hex, want);
    }
    sh_hmac_free(h);
}

static void test_hmac_vectors(void **state)
{
    (void)state;
    char aa[131];
    memset(aa, 0xaa, sizeof(aa));
    expect_mac(SH_HASH_SHA1, SH_SLICE("Jefe"), SH_SLICE("what do ya want for nothing?"),
               "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    expect_mac(SH_HASH_SHA256, SH_SLICE("Jefe"), SH_SLICE("what do ya want for nothing?"),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    expect_mac(SH_HASH_SHA512, SH_SLICE("Jefe"), SH_SLICE("what do ya want for nothing?"),
               "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
               "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
    expect_mac(SH_HASH_SHA256, sh_slice(aa, sizeof(aa)),
               SH_SLICE("Test Using Larger Than Block-Size Key - Hash Key First"),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static char *github_secrets[] = {(char *)"It's a Secret to Everybody", NULL};
static const struct sh_auth_config github = {
    .kind = SH_AUTH_HMAC,
    .secrets = github_secrets,
    .header = (char *)"X-Hub-Signature-256",
    .prefix = (char *)"sha256=",
    .hash = SH_HASH_SHA256,
    .signature = SH_AUTH_HEX,
};
#define GITHUB_HEX "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
static const struct request from_github = {
    .pair = {{"x-hub-signature-256", "sha256=" GITHUB_HEX}},
    .n = 1,
    .body = {"Hello, World!", 13},
};

static void test_github(void **state)
{
    (void)state;
    expect(&github, &from_github, SH_AUTH_OK);
    expect_with(&github, from_github,
                "sha256=757107EA0EB2509FC211221CCE984B8A37570B6D7586C22C46F4379C8B043E17",
                SH_AUTH_OK);
    expect_no_flip(&github, from_github, 0);
    expect_no_prefix(&github, from_github);
    expect_body(&github, from_github, "Hello, World", SH_AUTH_BAD_SIGNATURE);
    expect_body(&github, from_github, "Hello, World!\n", SH_AUTH_BAD_SIGNATURE);
    expect_body(&github, from_github, "", SH_AUTH_BAD_SIGNATURE);
}

static void test_github_wrong(void **state)
{
    (void)state;
    struct request none = from_github;
    none.n = 0;
    expect(&github, &none, SH_AUTH_NO_SIGNATURE);
    expect_with(&github, from_github, "", SH_AUTH_NO_SIGNATURE);
    static const char *const malformed[] = {
        GITHUB_HEX,
        "sha1=" GITHUB_HEX,
        "SHA256=" GITHUB_HEX,
        "sha256=",
        "sha256=" GITHUB_HEX "0",
        "sha256=" GITHUB_HEX "00",
        "sha256= " GITHUB_HEX,
        "sha256=" GITHUB_HEX ",",
        " sha256=" GITHUB_HEX,
        "sha256=g57107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        "sha256=dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc=",
    };
    for (size_t i = 0; i < sizeof(malformed) / sizeof(*malformed); i++)
        expect_with(&github, from_github, malformed[i], SH_AUTH_MALFORMED);
    expect_doubled(&github, from_github, SH_AUTH_MALFORMED);
    expect_huge(&github, &from_github, "sha256=", SH_AUTH_MALFORMED);
}

static void test_hmac_forms(void **state)
{
    (void)state;
    struct sh_auth_config c = github;
    c.prefix = NULL;
    c.signature = SH_AUTH_BASE64;
    expect_with(&c, from_github, "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc=", SH_AUTH_OK);
    expect_with(&c, from_github, "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhd=",
                SH_AUTH_MALFORMED); /* bits left over: one signature, one text */
    expect_with(&c, from_github, "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc", SH_AUTH_MALFORMED);
    expect_with(&c, from_github, "dXEH6g6yUJ_CESIczphLijdXC211hsIsRvQ3nIsEPhc=", SH_AUTH_MALFORMED);
    expect_with(&c, from_github, GITHUB_HEX, SH_AUTH_MALFORMED);
    c.hash = SH_HASH_SHA512;
    expect_with(
        &c, from_github,
        "Ee01WmF+mBNOhCASp5RMz1nBAlbLGCNXvX46QgE/8Hw3b4wUz1zBkj2iC1HWQlay+4678QCqZ6YTJvYf6oE"
        "RvA==",
        SH_AUTH_OK);
    c.hash = SH_HASH_SHA1;
    c.signature = SH_AUTH_HEX;
    expect_with(&c, from_github, "01dc10d0c83e72ed246219cdd91669667fe2ca59", SH_AUTH_OK);
    expect_with(&c, from_github, GITHUB_HEX, SH_AUTH_MALFORMED);
}

static void test_key_forms(void **state)
{
    (void)state;
    static char *hex[] = {(char *)"4A656665", NULL}, *b64[] = {(char *)"SmVmZQ==", NULL};
    struct sh_auth_config c = github;
    struct request q = from_github;
    struct sh_error err;
    q.body = SH_SLICE("what do ya want for nothing?");
    q.pair[0][1] = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    c.secrets = hex;
    c.key = SH_AUTH_HEX;
    expect(&c, &q, SH_AUTH_OK);
    assert_false(sh_auth_secret_ok(&c, "4A65666", &err));
    assert_false(sh_auth_secret_ok(&c, "Jefe", &err));
    c.secrets = b64;
    c.key = SH_AUTH_BASE64;
    expect(&c, &q, SH_AUTH_OK);
    assert_false(sh_auth_secret_ok(&c, "SmVmZQ=", &err));
    assert_null(strstr(err.msg, "SmVmZQ"));
}

/* --- Standard Webhooks ---------------------------------------------------------------------- */

static char *standard_secrets[] = {(char *)"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", NULL};
static const struct sh_auth_config standard = {
    .kind = SH_AUTH_STANDARD, .secrets = standard_secrets, .tolerance_ms = FIVE_MIN};
#define STANDARD_AT  1614265330000
#define STANDARD_SIG "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define OTHER_SIG    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA="
static const struct request from_standard = {
    .pair = {{"webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"},
             {"webhook-timestamp", "1614265330"},
             {"webhook-signature", STANDARD_SIG}},
    .n = 3,
    .body = {"{\"test\": 2432232314}", 20},
    .now_ms = STANDARD_AT,
};

static void test_standard(void **state)
{
    (void)state;
    expect(&standard, &from_standard, SH_AUTH_OK);
    expect_with(&standard, from_standard, OTHER_SIG " " STANDARD_SIG, SH_AUTH_OK);
    expect_with(&standard, from_standard, STANDARD_SIG " " OTHER_SIG, SH_AUTH_OK);
    expect_with(
        &standard, from_standard,
        "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM"
        "+m7TBAg== v2,x " STANDARD_SIG,
        SH_AUTH_OK);
    expect_no_flip(&standard, from_standard, 3);
    expect_no_prefix(&standard, from_standard);
    expect_doubled(&standard, from_standard, SH_AUTH_MALFORMED);
    expect_huge(&standard, &from_standard, "v1,", SH_AUTH_MALFORMED);
    expect_body(&standard, from_standard, "{\"test\": 2432232315}", SH_AUTH_BAD_SIGNATURE);
    expect_body(&standard, from_standard, "{\"test\":2432232314}", SH_AUTH_BAD_SIGNATURE);
}

static void test_standard_wrong(void **state)
{
    (void)state;
    static const char *const malformed[] = {
        "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1,",
        "v1",
        "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "V1,g0hM",
        ",",
        "v1,g0hM9SsE+OTPJTGt_tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        " ",
        "v1=g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    };
    for (size_t i = 0; i < sizeof(malformed) / sizeof(*malformed); i++)
        expect_with(&standard, from_standard, malformed[i], SH_AUTH_MALFORMED);
    expect_with(&standard, from_standard, OTHER_SIG, SH_AUTH_BAD_SIGNATURE);
    for (size_t missing = 0; missing < 3; missing++) {
        struct request q = from_standard;
        q.pair[missing][0] = "other";
        expect(&standard, &q, SH_AUTH_NO_SIGNATURE);
        q = from_standard;
        q.pair[missing][1] = "";
        expect(&standard, &q, SH_AUTH_NO_SIGNATURE);
    }
    struct request q = from_standard;
    q.pair[0][1] = "msg_p5jXN8AQM9LWM0D4loKWxJeK";
    expect(&standard, &q, SH_AUTH_BAD_SIGNATURE);
}

static void test_standard_time(void **state)
{
    (void)state;
    static const char *const odd[] = {"1614265330.0", "-1614265330", "+1614265330",
                                      "0x60380000",   "now",         "16142653300000000",
                                      "1614265330 "};
    struct request q = from_standard;
    expect_at(&standard, q, STANDARD_AT + FIVE_MIN, SH_AUTH_OK);
    expect_at(&standard, q, STANDARD_AT - FIVE_MIN, SH_AUTH_OK);
    expect_at(&standard, q, STANDARD_AT + FIVE_MIN + 1000, SH_AUTH_TOO_OLD);
    expect_at(&standard, q, STANDARD_AT - FIVE_MIN - 1, SH_AUTH_IN_FUTURE);
    for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
        q.pair[1][1] = odd[i];
        expect(&standard, &q, SH_AUTH_MALFORMED);
    }
    q.pair[1][1] = "1614265331"; /* another time than the signed one */
    expect(&standard, &q, SH_AUTH_BAD_SIGNATURE);
}

static void test_standard_secrets(void **state)
{
    (void)state;
    struct sh_error err;
    static char *two[] = {(char *)"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                          (char *)"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", NULL};
    static char *bare[] = {(char *)"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", NULL};
    static char *other[] = {(char *)"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", NULL};
    struct sh_auth_config c = standard;
    c.secrets = two;
    expect(&c, &from_standard, SH_AUTH_OK);
    c.secrets = bare;
    expect(&c, &from_standard, SH_AUTH_OK);
    c.secrets = other;
    expect(&c, &from_standard, SH_AUTH_BAD_SIGNATURE);
    assert_false(sh_auth_secret_ok(&c, "whsec_se?cret", &err));
    assert_null(strstr(err.msg, "se?"));
    assert_false(sh_auth_secret_ok(&c, "whsec_", &err));
    assert_false(sh_auth_secret_ok(&c, "", &err));
    assert_true(sh_auth_secret_ok(&c, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &err));
}

/* --- t=...,v1=... --------------------------------------------------------------------------- */

static char *stripe_secrets[] = {(char *)"whsec_test_secret", NULL};
static const struct sh_auth_config stripe = {.kind = SH_AUTH_TIMESTAMPED,
                                             .secrets = stripe_secrets,
                                             .header = (char *)"Stripe-Signature",
                                             .tolerance_ms = FIVE_MIN};
/* python3: hmac.new(b"whsec_test_secret", b"1492774577." + body, "sha256") */
#define STRIPE_HEX "654b43d3508ecadb3f8cefc4bc7d3d2bdc5ba9e03bf2c89b2d0657a8e24e4543"
#define ZERO_HEX   "0000000000000000000000000000000000000000000000000000000000000000"
#define STRIPE_AT  1492774577000
static const struct request from_stripe = {
    .pair = {{"Stripe-Signature", "t=1492774577,v1=" STRIPE_HEX}},
    .n = 1,
    .body = {"{\"id\":\"evt_1\",\"object\":\"event\"}", 31},
    .now_ms = STRIPE_AT,
};

static void test_timestamped(void **state)
{
    (void)state;
    static const char *const right[] = {
        "t=1492774577,v1=" ZERO_HEX ",v1=" STRIPE_HEX ",v0=" ZERO_HEX,
        "v1=" STRIPE_HEX ",t=1492774577",
        "t=1492774577, v1=" STRIPE_HEX,
        "t=1492774577,v1=" STRIPE_HEX ",v1=" ZERO_HEX,
        "t=1492774577,v1=xx,v1=" STRIPE_HEX,
    };
    expect(&stripe, &from_stripe, SH_AUTH_OK);
    for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++)
        expect_with(&stripe, from_stripe, right[i], SH_AUTH_OK);
    expect_no_flip(&stripe, from_stripe, 0);
    expect_no_prefix(&stripe, from_stripe);
    expect_doubled(&stripe, from_stripe, SH_AUTH_MALFORMED);
    expect_huge(&stripe, &from_stripe, "t=1492774577,v1=", SH_AUTH_MALFORMED);
    expect_body(&stripe, from_stripe, "{}", SH_AUTH_BAD_SIGNATURE);
    expect_at(&stripe, from_stripe, STRIPE_AT + FIVE_MIN + 999, SH_AUTH_OK);
    expect_at(&stripe, from_stripe, STRIPE_AT + FIVE_MIN + 1000, SH_AUTH_TOO_OLD);
    expect_at(&stripe, from_stripe, STRIPE_AT - FIVE_MIN - 1, SH_AUTH_IN_FUTURE);
}

static void test_timestamped_wrong(void **state)
{
    (void)state;
    static const char *const malformed[] = {
        "v1=" STRIPE_HEX,
        "t=1492774577",
        "t=1492774577,v0=" STRIPE_HEX,
        "t=,v1=" STRIPE_HEX,
        "t=1492774577,t=1492774577,v1=" STRIPE_HEX,
        "t=1492774577,t=0,v1=" STRIPE_HEX,
        "t=1492774577;v1=" STRIPE_HEX,
        "t=1e9,v1=" STRIPE_HEX,
        ",,,",
    };
    struct request none = from_stripe;
    none.n = 0;
    expect(&stripe, &none, SH_AUTH_NO_SIGNATURE);
    for (size_t i = 0; i < sizeof(malformed) / sizeof(*malformed); i++)
        expect_with(&stripe, from_stripe, malformed[i], SH_AUTH_MALFORMED);
    expect_with(&stripe, from_stripe, "t=1492774578,v1=" STRIPE_HEX, SH_AUTH_BAD_SIGNATURE);
    expect_with(&stripe, from_stripe, "t=01492774577,v1=" STRIPE_HEX, SH_AUTH_BAD_SIGNATURE);
}

/* --- JWT ------------------------------------------------------------------------------------ */

/* RFC 7515, appendix A.1 */
static char *jwt_secrets[] = {
    (char
         *)"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    NULL};
static const struct sh_auth_config jwt = {
    .kind = SH_AUTH_JWT, .secrets = jwt_secrets, .key = SH_AUTH_BASE64, .tolerance_ms = 60000};
#define RFC_HEAD "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
#define RFC_BODY                                                                                   \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"
#define RFC_SIGN  "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define RFC_TOKEN RFC_HEAD "." RFC_BODY "." RFC_SIGN
#define RFC_EXP   1300819380000
static const struct request with_jwt = {.body = {RFC_TOKEN, sizeof(RFC_TOKEN) - 1},
                                        .now_ms = RFC_EXP - 1000};

static void test_jwt(void **state)
{
    (void)state;
    expect(&jwt, &with_jwt, SH_AUTH_OK);
    expect_at(&jwt, with_jwt, RFC_EXP + 59999, SH_AUTH_OK);
    expect_at(&jwt, with_jwt, RFC_EXP + 60000, SH_AUTH_TOKEN_EXPIRED);
    char *token = sh_strdup(RFC_TOKEN);
    struct request q = with_jwt;
    for (size_t i = 0; token[i]; i++) {
        q.body = sh_slice_str(token);
        token[i] = (char)(token[i] ^ 1);
        assert_int_not_equal(check(&jwt, &q), SH_AUTH_OK);
        token[i] = (char)(token[i] ^ 1);
        q.body.n = i;
        assert_int_not_equal(check(&jwt, &q), SH_AUTH_OK);
    }
    free(token);
}

static void test_jwt_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *token;
        enum sh_auth_reason why;
    } wrong[] = {
        {"", SH_AUTH_NO_TOKEN},
        {".", SH_AUTH_MALFORMED_TOKEN},
        {"..", SH_AUTH_MALFORMED_TOKEN},
        {RFC_HEAD "." RFC_BODY, SH_AUTH_MALFORMED_TOKEN},
        {RFC_HEAD "." RFC_BODY ".", SH_AUTH_BAD_SIGNATURE},
        {RFC_HEAD "." RFC_BODY "." RFC_SIGN ".", SH_AUTH_MALFORMED_TOKEN},
        {RFC_HEAD "." RFC_BODY "." RFC_SIGN "=", SH_AUTH_BAD_SIGNATURE},
        {RFC_HEAD "." RFC_BODY "." RFC_SIGN "\n", SH_AUTH_BAD_SIGNATURE},
        {RFC_HEAD "=." RFC_BODY "." RFC_SIGN, SH_AUTH_MALFORMED_TOKEN},
        {" " RFC_TOKEN, SH_AUTH_MALFORMED_TOKEN},
        {"{\"a\":1}", SH_AUTH_MALFORMED_TOKEN},
        /* alg none: unsigned, and signed with the right key all the same */
        {"eyJhbGciOiJub25lIn0.eyJhIjoxfQ.", SH_AUTH_BAD_ALGORITHM},
        {"eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c_5jx7-4ZAoTsZp6ur7OlYKu-8XSFOyWNffc8UzqeOM",
         SH_AUTH_BAD_ALGORITHM},
        /* {"alg":"HS256","crit":["b64"],"b64":false} */
        {"eyJhbGciOiJIUzI1NiIsImNyaXQiOlsiYjY0Il0sImI2NCI6ZmFsc2V9.eyJhIjoxfQ.VpbqGMztaAyR_"
         "hjLcjUetcyHN3vjN3CbllnW6rJs8Rk",
         SH_AUTH_BAD_ALGORITHM},
        /* HS512, rightly signed */
        {"eyJhbGciOiJIUzUxMiJ9.eyJhIjoxfQ.A6JBEWCGrdr5KxeUcZg08WldRnBxAjvt0Ya1I-"
         "dArVNumQKVz7Bwmb4pUZsA3PEhRccfWrBe6I34hY6ofcvMyQ",
         SH_AUTH_BAD_ALGORITHM},
        /* "hs256" */
        {"eyJhbGciOiJoczI1NiJ9.eyJhIjoxfQ.y9W4zeXdW-ChX5tGVded0S387zFDZ-POtdNuxt4FDZI",
         SH_AUTH_BAD_ALGORITHM},
        /* no alg */
        {"eyJ0eXAiOiJKV1QifQ.eyJhIjoxfQ.KYgYI23O2zoxw-pAM18kRWeF9jAot1Bm62pPgDkYb-I",
         SH_AUTH_BAD_ALGORITHM},
        /* {"exp":"x"} */
        {"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOiJ4In0.qYognHGmZMBZxozfHA2gSljsUF4ECjred266Ys02cC8",
         SH_AUTH_MALFORMED_TOKEN},
        /* [1] */
        {"eyJhbGciOiJIUzI1NiJ9.WzFd._zhmFwxT2NVppmuUDfZd-o58vbyhYOGEJTRiOd1f34E",
         SH_AUTH_MALFORMED_TOKEN},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        expect_body(&jwt, with_jwt, wrong[i].token, wrong[i].why);
}

static void test_jwt_dates(void **state)
{
    (void)state;
    struct request q = with_jwt; /* {"nbf":1300819380} */
    q.body = SH_SLICE("eyJhbGciOiJIUzI1NiJ9.eyJuYmYiOjEzMDA4MTkzODB9."
                      "MgVsHlwOHXjSfT8gFwWtcrqClBH2ZgHA124iWI9AIJo");
    expect_at(&jwt, q, RFC_EXP - 60001, SH_AUTH_TOKEN_NOT_YET);
    expect_at(&jwt, q, RFC_EXP - 60000, SH_AUTH_OK);
    q.body = /* {"exp":1300819380.5,"nbf":1} */
        SH_SLICE("eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjEzMDA4MTkzODAuNSwibmJmIjoxfQ."
                 "UkS6ulyikrjq6l_9Z01N3z0TNWq5WpJbS_O22pl0pHM");
    expect_at(&jwt, q, RFC_EXP + 60499, SH_AUTH_OK);
    expect_at(&jwt, q, RFC_EXP + 60500, SH_AUTH_TOKEN_EXPIRED);
}

static void test_jwt_bearer(void **state)
{
    (void)state;
    struct sh_auth_config c = jwt;
    struct request q = {.pair = {{"Authorization", "Bearer " RFC_TOKEN}},
                        .n = 1,
                        .body = {"{}", 2},
                        .now_ms = RFC_EXP};
    c.jwt_bearer = true;
    expect(&c, &q, SH_AUTH_OK);
    expect_with(&c, q, RFC_TOKEN, SH_AUTH_NO_TOKEN);
    expect_with(&c, q, "Basic " RFC_TOKEN, SH_AUTH_NO_TOKEN);
    expect_with(&c, q, "Bearer ", SH_AUTH_MALFORMED_TOKEN);
    expect_huge(&c, &q, "Bearer " RFC_HEAD ".", SH_AUTH_MALFORMED_TOKEN);
    q.n = 0;
    expect(&c, &q, SH_AUTH_NO_TOKEN);
}

/* --- secrets sent as they are --------------------------------------------------------------- */

static void test_bearer(void **state)
{
    (void)state;
    static char *two[] = {(char *)"tok-en-7", (char *)"tok-en-8", NULL};
    const struct sh_auth_config c = {.kind = SH_AUTH_BEARER, .secrets = two};
    struct request q = {.pair = {{"authorization", "Bearer tok-en-7"}}, .n = 1};
    expect(&c, &q, SH_AUTH_OK);
    expect_with(&c, q, "bearer   tok-en-8", SH_AUTH_OK);
    expect_no_flip(&c, q, 7);
    expect_no_prefix(&c, q);
    expect_with(&c, q, "Bearer tok-en-77", SH_AUTH_BAD_TOKEN);
    expect_with(&c, q, "Bearer tok-en-7 ", SH_AUTH_BAD_TOKEN);
    expect_with(&c, q, "Bearer tok-en-7,tok-en-8", SH_AUTH_BAD_TOKEN);
    expect_with(&c, q, "Basic tok-en-7", SH_AUTH_NO_TOKEN);
    expect_with(&c, q, "Bearertok-en-7", SH_AUTH_NO_TOKEN);
    expect_with(&c, q, "", SH_AUTH_NO_TOKEN);
    expect_doubled(&c, q, SH_AUTH_MALFORMED);
    expect_huge(&c, &q, "Bearer ", SH_AUTH_BAD_TOKEN);
}

static void test_basic(void **state)
{
    (void)state;
    static char *secret[] = {(char *)"open sesame", NULL};
    static char *utf8[] = {(char *)"123\xc2\xa3", NULL}; /* RFC 7617, section 2.1 */
    struct sh_auth_config c = {.kind = SH_AUTH_BASIC, .secrets = secret, .user = (char *)"Aladdin"};
    struct request q = {.pair = {{"Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}}, .n = 1};
    expect(&c, &q, SH_AUTH_OK);
    expect_with(&c, q, "basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", SH_AUTH_OK);
    expect_no_flip(&c, q, 6);
    expect_no_prefix(&c, q);
    expect_with(&c, q, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ", SH_AUTH_MALFORMED_TOKEN);
    expect_with(&c, q, "Basic !!!!", SH_AUTH_MALFORMED_TOKEN);
    expect_with(&c, q, "Basic Og==", SH_AUTH_BAD_TOKEN);
    expect_with(&c, q, "Basic ", SH_AUTH_BAD_TOKEN);
    expect_with(&c, q, "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", SH_AUTH_NO_TOKEN);
    expect_huge(&c, &q, "Basic ", SH_AUTH_MALFORMED_TOKEN);
    c.user = (char *)"test";
    c.secrets = utf8;
    expect_with(&c, q, "Basic dGVzdDoxMjPCow==", SH_AUTH_OK);
}

static void test_token(void **state)
{
    (void)state;
    static char *secret[] = {(char *)"s\"cret", NULL}, *digits[] = {(char *)"1234567", NULL};
    struct sh_auth_config c = {
        .kind = SH_AUTH_TOKEN, .secrets = secret, .field = (char *)"auth.token"};
    struct request q = {.body = {"{\"auth\":{\"token\":\"s\\\"cret\"}}", 28}};
    expect(&c, &q, SH_AUTH_OK);
    expect_body(&c, q, "{\"auth\":{\"token\":\"s\\u0022cret\"}}", SH_AUTH_OK);
    expect_body(&c, q, "{\"auth\":{\"token\":\"scret\"}}", SH_AUTH_BAD_TOKEN);
    expect_body(&c, q, "{\"auth\":{\"token\":\"\"}}", SH_AUTH_BAD_TOKEN);
    expect_body(&c, q, "{\"auth\":{\"token\":null}}", SH_AUTH_NO_TOKEN);
    expect_body(&c, q, "{\"auth\":{\"token\":[\"s\\\"cret\"]}}", SH_AUTH_NO_TOKEN);
    expect_body(&c, q, "{\"token\":\"s\\\"cret\"}", SH_AUTH_NO_TOKEN);
    expect_body(&c, q, "{\"auth\":{\"token\":\"s\\\"cret\",\"token\":\"x\"}}",
                SH_AUTH_MALFORMED_TOKEN);
    expect_body(&c, q, "{\"auth\":{\"token\":\"s\\\"cret\"}", SH_AUTH_MALFORMED_TOKEN);
    expect_body(&c, q, "", SH_AUTH_MALFORMED_TOKEN);
    q.format = SH_BODY_FORM;
    c.field = (char *)"token";
    expect_body(&c, q, "a=1&token=s%22cret", SH_AUTH_OK);
    expect_body(&c, q, "a=1&token=scret", SH_AUTH_BAD_TOKEN);
    expect_body(&c, q, "token=s%22cret&token=s%22cret", SH_AUTH_NO_TOKEN);
    expect_body(&c, q, "a=1", SH_AUTH_NO_TOKEN);
    expect_body(&c, q, "token=%zz", SH_AUTH_MALFORMED_TOKEN);
    q.format = SH_BODY_JSON;
    c.field = (char *)"t";
    c.secrets = digits;
    expect_body(&c, q, "{\"t\":1234567}", SH_AUTH_OK);
    expect_body(&c, q, "{\"t\":1234567.0}", SH_AUTH_BAD_TOKEN);
    c.field = NULL;
    c.header = (char *)"Verification-Token";
    struct request h = {.pair = {{"verification-token", "1234567"}}, .n = 1};
    expect(&c, &h, SH_AUTH_OK);
    expect_no_flip(&c, h, 0);
    expect_no_prefix(&c, h);
    expect_doubled(&c, h, SH_AUTH_MALFORMED);
}

static void test_path(void **state)
{
    (void)state;
    static char *secret[] = {(char *)"in-the-path", NULL};
    const struct sh_auth_config c = {
        .kind = SH_AUTH_PATH, .secrets = secret, .segment = (char *)"secret"};
    struct request q = {.n = 0};
    assert_true(sh_path_match("/h/{secret}", "/h/in-the-path", &q.path));
    expect(&c, &q, SH_AUTH_OK);
    assert_true(sh_path_match("/h/{secret}", "/h/in-the-patH", &q.path));
    expect(&c, &q, SH_AUTH_BAD_TOKEN);
    assert_true(sh_path_match("/h/{other}", "/h/in-the-path", &q.path));
    expect(&c, &q, SH_AUTH_NO_TOKEN);
}

static void test_guessable(void **state)
{
    (void)state;
    static char *mixed[] = {(char *)"0123456789abcdef01234567", (char *)"short", NULL};
    struct sh_auth_config c = {.kind = SH_AUTH_BEARER, .secrets = mixed};
    assert_true(sh_auth_is_guessable(&c));
    static char *strong[] = {(char *)"0123456789abcdef01234567", NULL};
    c.secrets = strong;
    assert_false(sh_auth_is_guessable(&c));
    assert_false(sh_auth_is_guessable(&stripe));
}

static void test_secret_ok(void **state)
{
    (void)state;
    struct sh_error err;
    struct sh_auth_config c = {.kind = SH_AUTH_PATH};
    assert_true(sh_auth_secret_ok(&c, "a-b_c.d~e", &err));
    static const char *const bad[] = {"", "a b", "a/b", "a%2fb", "a?b", "{a}", "a\nb", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(sh_auth_secret_ok(&c, bad[i], &err));
    c.kind = SH_AUTH_BEARER;
    assert_false(sh_auth_secret_ok(&c, "a b", &err));
    c.kind = SH_AUTH_BASIC;
    assert_true(sh_auth_secret_ok(&c, "a b", &err));
}

/* --- the sender's side ---------------------------------------------------------------------- */

/* What is made is let in, by every scheme. */
static void expect_proof(const struct sh_auth_config *c, const char *body)
{
    struct sh_auth_proof p;
    struct request q = {.body = sh_slice_str(body), .now_ms = 1700000000123};
    char *names[SH_MAX_PROOF_HEADERS] = {NULL};
    sh_auth_prove(c, q.body, q.now_ms, &p);
    for (; q.n < p.n; q.n++) {
        char *colon = strstr(p.header[q.n], ": ");
        assert_non_null(colon);
        names[q.n] = sh_memdup(p.header[q.n], (size_t)(colon - p.header[q.n]));
        q.pair[q.n][0] = names[q.n];
        q.pair[q.n][1] = colon + 2;
    }
    if (p.body)
        q.body = sh_slice(p.body, p.body_len);
    expect(c, &q, SH_AUTH_OK);
    for (size_t i = 0; i < SH_MAX_PROOF_HEADERS; i++)
        free(names[i]);
    sh_auth_proof_clear(&p);
}

static void test_prove(void **state)
{
    (void)state;
    struct sh_auth_config bearer_jwt = jwt, sha1 = github;
    bearer_jwt.jwt_bearer = true;
    sha1.hash = SH_HASH_SHA1;
    sha1.signature = SH_AUTH_BASE64;
    sha1.prefix = NULL;
    const struct sh_auth_config others[] = {
        {.kind = SH_AUTH_BEARER, .secrets = github_secrets},
        {.kind = SH_AUTH_BASIC, .secrets = github_secrets, .user = (char *)"me"},
        {.kind = SH_AUTH_TOKEN, .secrets = github_secrets, .field = (char *)"token"},
        {.kind = SH_AUTH_TOKEN, .secrets = github_secrets, .header = (char *)"X-Token"},
        standard,
        stripe,
        github,
        jwt,
        bearer_jwt,
        sha1,
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        expect_proof(&others[i], "{ \"a\": 1 }");
        expect_proof(&others[i], "{}");
        expect_proof(&others[i], "\n{ }\n");
        expect_proof(&others[i], "{\"a\":1,\"token\":\"another's \\u0022\",\"b\":2}");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hmac_vectors),
        cmocka_unit_test(test_github),
        cmocka_unit_test(test_github_wrong),
        cmocka_unit_test(test_hmac_forms),
        cmocka_unit_test(test_key_forms),
        cmocka_unit_test(test_standard),
        cmocka_unit_test(test_standard_wrong),
        cmocka_unit_test(test_standard_time),
        cmocka_unit_test(test_standard_secrets),
        cmocka_unit_test(test_timestamped),
        cmocka_unit_test(test_timestamped_wrong),
        cmocka_unit_test(test_jwt),
        cmocka_unit_test(test_jwt_wrong),
        cmocka_unit_test(test_jwt_dates),
        cmocka_unit_test(test_jwt_bearer),
        cmocka_unit_test(test_bearer),
        cmocka_unit_test(test_basic),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_guessable),
        cmocka_unit_test(test_secret_ok),
        cmocka_unit_test(test_prove),
    };
    return cmocka_run_group_tests_name("sender_auth", tests, NULL, NULL);
}
