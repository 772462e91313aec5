/* SPDX-License-Identifier: MIT
 * test_forwarded.c: addresses behind proxies, and headers that senders have forged. */
#include "core/forwarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#define MINE "10.0.0.1" /* our proxy; 10.0.0.0/8 and fd00::/8 are */

struct headers {
    const char *name, *value[3];
};

static const char *header_of(void *arg, const char *name, size_t n)
{
    const struct headers *h = arg;
    return strcasecmp(h->name, name) == 0 && n < 3 ? h->value[n] : NULL;
}

static void expect(bool standard, const char *peer, struct headers h, const char *want)
{
    struct sh_ip_net nets[2];
    struct sh_ip ip;
    struct sh_error err;
    char text[SH_IP_TEXT];
    assert_true(sh_ip_net_parse("10.0.0.0/8", &nets[0], &err));
    assert_true(sh_ip_net_parse("fd00::/8", &nets[1], &err));
    const struct sh_forwarded f = {nets, 2, standard};
    assert_true(sh_ip_parse(peer, &ip));
    ip = sh_forwarded_address(&f, ip, header_of, &h);
    if (strcmp(sh_ip_text(&ip, text), want) != 0)
        fail_msg("%s: %s: expected %s, got %s", h.name, h.value[0] ? h.value[0] : "", want, text);
}

static void expect_x(const char *value, const char *want)
{
    expect(false, MINE, (struct headers){"X-Forwarded-For", {value}}, want);
}

static void expect_f(const char *value, const char *want)
{
    expect(true, MINE, (struct headers){"Forwarded", {value}}, want);
}

static bool https(bool standard, const char *peer, struct headers h)
{
    struct sh_ip_net net;
    struct sh_ip ip;
    struct sh_error err;
    assert_true(sh_ip_net_parse("10.0.0.0/8", &net, &err));
    const struct sh_forwarded f = {&net, 1, standard};
    assert_true(sh_ip_parse(peer, &ip));
    return sh_forwarded_is_https(&f, ip, header_of, &h);
}

static bool x_https(const char *peer, const char *value)
{
    return https(false, peer, (struct headers){"X-Forwarded-Proto", {value}});
}

static bool f_https(const char *peer, const char *value)
{
    return https(true, peer, (struct headers){"Forwarded", {value}});
}

/* By the word of a trusted proxy alone, and by what it wrote last. */
static void test_https(void **state)
{
    (void)state;
    assert_true(x_https(MINE, "https"));
    assert_true(x_https(MINE, "HTTPS"));
    assert_true(x_https(MINE, "http, https"));
    assert_false(x_https(MINE, "https, http"));
    assert_false(x_https(MINE, "http"));
    assert_false(x_https(MINE, "httpsx"));
    assert_false(x_https(MINE, ""));
    assert_false(x_https(MINE, NULL));
    assert_false(x_https("192.0.2.7", "https"));
    assert_true(https(false, MINE, (struct headers){"X-Forwarded-Proto", {"http", "https"}}));
    assert_false(https(false, MINE, (struct headers){"X-Forwarded-Proto", {"https", "http"}}));
    assert_false(https(false, MINE, (struct headers){"Forwarded", {"for=192.0.2.7;proto=https"}}));
    assert_true(f_https(MINE, "for=192.0.2.7;proto=https"));
    assert_true(f_https(MINE, "proto=\"https\";for=192.0.2.7"));
    assert_false(f_https(MINE, "for=192.0.2.7;proto=http"));
    assert_false(f_https(MINE, "for=192.0.2.7"));
    assert_false(f_https(MINE, "for=192.0.2.7;proto=https, for=192.0.2.8;proto=http"));
    assert_true(f_https(MINE, "for=192.0.2.7;proto=http, for=192.0.2.8;proto=https"));
    /* what the outer one of two proxies of ours was spoken to with */
    assert_true(f_https(MINE, "for=192.0.2.7;proto=https, for=10.0.0.2;proto=http"));
    assert_false(f_https(MINE, "for=192.0.2.7;proto=http, for=10.0.0.2;proto=https"));
    assert_false(f_https(MINE, "proto=https, junk"));
    assert_false(f_https(MINE, "for=192.0.2.7;proto=https,"));
    assert_false(f_https("192.0.2.7", "for=192.0.2.7;proto=https"));
    assert_false(https(true, MINE, (struct headers){"X-Forwarded-Proto", {"https"}}));
}

static void test_plain(void **state)
{
    (void)state;
    expect_x("192.0.2.7", "192.0.2.7");
    expect_x(" 192.0.2.7 ", "192.0.2.7");
    expect_x("192.0.2.7:4711", "192.0.2.7");
    expect_x("2001:db8::7", "2001:db8::7");
    expect_x("[2001:db8::7]", "2001:db8::7");
    expect_x("[2001:db8::7]:80", "2001:db8::7");
    expect_x("::ffff:192.0.2.7", "192.0.2.7");
    expect_x("6.6.6.6, 192.0.2.7", "192.0.2.7");
    expect_x("6.6.6.6,192.0.2.7,10.1.1.1,fd00::1", "192.0.2.7");
    expect_x("10.2.2.2, 10.1.1.1", "10.2.2.2");
    expect_x("\",192.0.2.7", "192.0.2.7");
    expect(false, MINE, (struct headers){"X-Forwarded-For", {"6.6.6.6", "192.0.2.7"}}, "192.0.2.7");
    expect(false, MINE, (struct headers){"X-Forwarded-For", {"192.0.2.7", "10.1.1.1"}},
           "192.0.2.7");
    expect(false, MINE, (struct headers){"X-Forwarded-For", {NULL}}, MINE);
    expect(false, "6.6.6.6", (struct headers){"X-Forwarded-For", {"192.0.2.7"}}, "6.6.6.6");
    expect(false, MINE, (struct headers){"Forwarded", {"for=192.0.2.7"}}, MINE);
}

static void test_plain_odd(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "",
        "unknown",
        "192.0.2.7,",
        "192.0.2.7, unknown",
        "192.0.2.7 6.6.6.6",
        "192.0.2",
        "0300.0.2.7",
        "192.0.2.7:",
        "192.0.2.7:http",
        "192.0.2.7:1234567",
        "[::1",
        "::1]",
        "[192.0.2.7]",
        "[2001:db8::7]x",
        "\"192.0.2.7\"",
        "for=192.0.2.7",
        "192.0.2.7/24",
        "[]",
        "[]:80",
        ":80",
        "[:80]",
    };
    for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
        expect_x(odd[i], MINE);
    expect_x("192.0.2.7, nonsense, 10.1.1.1", "10.1.1.1"); /* the last that is known */
}

static void test_standard(void **state)
{
    (void)state;
    expect_f("for=192.0.2.7", "192.0.2.7");
    expect_f("For=192.0.2.7;proto=https;by=203.0.113.43", "192.0.2.7");
    expect_f("proto=https; for=\"192.0.2.7:4711\"", "192.0.2.7");
    expect_f("for=\"[2001:db8::7]:4711\"", "2001:db8::7");
    expect_f("for=6.6.6.6, for=192.0.2.7", "192.0.2.7");
    expect_f("for=192.0.2.7, for=10.1.1.1;by=10.0.0.1", "192.0.2.7");
    expect_f("for=\"_gazonk\"", MINE);
    expect_f("for=unknown, for=10.1.1.1", "10.1.1.1");
    expect_f("proto=https", MINE);
    expect(true, MINE, (struct headers){"X-Forwarded-For", {"192.0.2.7"}}, MINE);
    expect(true, "6.6.6.6", (struct headers){"Forwarded", {"for=192.0.2.7"}}, "6.6.6.6");
}

/* What a sender puts into its own header, or into a Host that the proxy copies in quotes. */
static void test_standard_forged(void **state)
{
    (void)state;
    expect_f("for=192.0.2.7;x=\", for=6.6.6.6", "6.6.6.6");
    expect_f("\", for=6.6.6.6", "6.6.6.6");
    expect_f("for=\"192.0.2.7, for=6.6.6.6;host=\"h\"", "6.6.6.6");
    expect_f("for=6.6.6.6;host=\"h,for=192.0.2.7;x\"", "6.6.6.6");
    expect_f("for=6.6.6.6;host=\"h\\\",for=192.0.2.7;x=\\\"\"", "6.6.6.6");
    expect_f("host=\"h;for=192.0.2.7;x\";for=6.6.6.6", "6.6.6.6");
    expect_f("host=\"\\\\\";for=6.6.6.6", "6.6.6.6");
    static const char *const odd[] = {
        "for=192.0.2.7 6.6.6.6",
        "for=192.0.2.7,",
        ",",
        ";",
        "=",
        "for=",
        "for=\"",
        "\"",
        "\"\"",
        "for=\"192.0.2.7",
        "192.0.2.7",
        "for 192.0.2.7",
        "x for=192.0.2.7",
        "=192.0.2.7",
        "for=192.0.2.7;",
        "for==192.0.2.7",
        "for=[2001:db8::7]x",
        "\\\"",
        "for=\\\"192.0.2.7\"",
    };
    for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
        expect_f(odd[i], MINE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),           cmocka_unit_test(test_https),
        cmocka_unit_test(test_plain_odd),       cmocka_unit_test(test_standard),
        cmocka_unit_test(test_standard_forged),
    };
    return cmocka_run_group_tests_name("forwarded", tests, NULL, NULL);
}
