/* SPDX-License-Identifier: MIT
 * test_sender_gate.c: addresses and networks, those who guess, and paths that hold secrets. */
#include "app/sender_gate.h"
#include "core/failure_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct sh_ip ip_of(const char *text)
{
    struct sh_ip ip;
    assert_true(sh_ip_parse(text, &ip));
    return ip;
}

static bool in_net(const char *address, const char *entry)
{
    struct sh_ip_net net;
    struct sh_error err;
    const struct sh_ip ip = ip_of(address);
    if (!sh_ip_net_parse(entry, &net, &err))
        fail_msg("%s: %s", entry, err.msg);
    return sh_ip_in(&ip, &net, 1);
}

static void test_nets(void **state)
{
    (void)state;
    assert_true(in_net("192.0.2.7", "192.0.2.0/24"));
    assert_false(in_net("192.0.3.7", "192.0.2.0/24"));
    assert_true(in_net("192.0.2.7", "192.0.2.7"));
    assert_false(in_net("192.0.2.8", "192.0.2.7"));
    assert_true(in_net("192.0.2.129", "192.0.2.128/25"));
    assert_false(in_net("192.0.2.127", "192.0.2.128/25"));
    assert_true(in_net("203.0.113.1", "0.0.0.0/0"));
    assert_false(in_net("2001:db8::1", "0.0.0.0/0"));
    assert_true(in_net("2001:db8:1::1", "2001:db8::/32"));
    assert_false(in_net("2001:db9::1", "2001:db8::/32"));
    assert_true(in_net("::ffff:192.0.2.7", "192.0.2.0/24")); /* on a socket of both families */
    assert_true(in_net("192.0.2.7", "::/0"));
}

static void test_bad_nets(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "192.0.2.0/33",
        "192.0.2.1/24",
        "192.0.2",
        "192.0.2.0/",
        "::/129",
        "2001:db8::1/32",
        "example.org",
        "192.0.2.0/2 4",
        "192.0.2.0/-1",
        "[::1]",
        "192.0.2.0:80",
        "::ffff:192.0.2.0/120",
        "0300.0.2.1",
        "192.0.2.0/24/24",
        "192.0.2.0/0x18",
        " 192.0.2.0",
    };
    struct sh_ip_net net;
    struct sh_error err;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (sh_ip_net_parse(bad[i], &net, &err))
            fail_msg("\"%s\" was taken", bad[i]);
    assert_false(sh_ip_net_parse("192.0.2.1/24", &net, &err));
    assert_non_null(strstr(err.msg, "write 192.0.2.0/24"));
}

#define MINUTE 60000

static void test_window(void **state)
{
    (void)state;
    const struct sh_ip a = ip_of("192.0.2.1"), b = ip_of("192.0.2.2");
    struct sh_failures *f = sh_failures_new(3, MINUTE);
    for (int64_t i = 0; i < 3; i++) {
        assert_false(sh_failures_is_blocked(f, "s", &a, 1000 + i));
        sh_failures_note(f, "s", &a, 1000 + i);
    }
    assert_true(sh_failures_is_blocked(f, "s", &a, 1003));
    assert_false(sh_failures_is_blocked(f, "s", &b, 1003));
    assert_false(sh_failures_is_blocked(f, "t", &a, 1003));
    sh_failures_note(f, "s", &a, 30000); /* more of them do not make it longer */
    assert_true(sh_failures_is_blocked(f, "s", &a, 1000 + MINUTE - 1));
    assert_false(sh_failures_is_blocked(f, "s", &a, 1000 + MINUTE));
    sh_failures_note(f, "s", &a, 1000 + MINUTE);
    assert_false(sh_failures_is_blocked(f, "s", &a, 1001 + MINUTE));
    sh_failures_free(f);
}

static void test_v6(void **state)
{
    (void)state;
    const struct sh_ip a = ip_of("2001:db8:1:2::1"), same = ip_of("2001:db8:1:2:ffff::9"),
                       other = ip_of("2001:db8:1:3::1");
    struct sh_failures *f = sh_failures_new(1, MINUTE);
    sh_failures_note(f, "s", &a, 0);
    assert_true(sh_failures_is_blocked(f, "s", &same, 1));
    assert_false(sh_failures_is_blocked(f, "s", &other, 1));
    sh_failures_free(f);
}

static void test_full(void **state)
{
    (void)state;
    struct sh_failures *f = sh_failures_new(1, MINUTE);
    const struct sh_ip mine = ip_of("192.0.2.1");
    size_t kept = 0;
    for (uint32_t i = 0; i < 20 * SH_FAILURE_ENTRIES; i++) {
        const uint8_t four[] = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        const struct sh_ip ip = sh_ip_of_v4(four);
        sh_failures_note(f, "s", &ip, i / 4096);
    }
    for (uint32_t i = 0; i < 20 * SH_FAILURE_ENTRIES; i++) {
        const uint8_t four[] = {10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        const struct sh_ip ip = sh_ip_of_v4(four);
        kept += sh_failures_is_blocked(f, "s", &ip, 30);
    }
    assert_true(kept > SH_FAILURE_ENTRIES * 9 / 10 && kept <= SH_FAILURE_ENTRIES);
    sh_failures_note(f, "s", &mine, 30); /* the newest always finds a place */
    assert_true(sh_failures_is_blocked(f, "s", &mine, 31));
    sh_failures_free(f);
}

static void test_off(void **state)
{
    (void)state;
    const struct sh_ip a = ip_of("192.0.2.1");
    struct sh_failures *f = sh_failures_new(0, MINUTE);
    for (int i = 0; i < 1000; i++)
        sh_failures_note(f, "s", &a, 0);
    assert_false(sh_failures_is_blocked(f, "s", &a, 0));
    sh_failures_free(f);
}

static void test_gate(void **state)
{
    (void)state;
    struct sh_ip_net proxy;
    struct sh_error err;
    assert_true(sh_ip_net_parse("10.0.0.0/8", &proxy, &err));
    const struct sh_config c = {
        .auth_failures = 2, .trusted_proxies = &proxy, .n_trusted_proxies = 1};
    struct sh_gate *g = sh_gate_new(&c);
    for (int i = 0; i < 2; i++) {
        assert_false(sh_gate_is_blocked(g, "api", "192.0.2.1"));
        sh_gate_failed(g, "api", "192.0.2.1");
        sh_gate_failed(g, "api", "10.1.1.1"); /* many may stand behind it */
        sh_gate_failed(g, "api", "");         /* a Unix socket */
    }
    assert_true(sh_gate_is_blocked(g, "api", "192.0.2.1"));
    assert_true(sh_gate_is_blocked(g, "api", "::ffff:192.0.2.1"));
    assert_false(sh_gate_is_blocked(g, "source:a", "192.0.2.1"));
    assert_false(sh_gate_is_blocked(g, "api", "10.1.1.1"));
    assert_false(sh_gate_is_blocked(g, "api", ""));
    sh_gate_free(g);
}

static void expect_shown(const struct sh_config *c, const char *path, const char *want)
{
    char out[SH_SHOWN_PATH];
    assert_string_equal(sh_gate_shown_path(c, path, out), want);
}

static void test_shown_path(void **state)
{
    (void)state;
    char *secrets[] = {(char *)"Op3nSesame", NULL};
    struct sh_source_config sources[] = {
        {.path = (char *)"/hooks/webphone"},
        {.path = (char *)"/hooks/pbx/{secret}/{kind}",
         .auth = {.kind = SH_AUTH_PATH, .secrets = secrets}},
    };
    const struct sh_config c = {.sources = sources, .n_sources = 2};
    expect_shown(&c, "/hooks/webphone", "/hooks/webphone");
    expect_shown(&c, "/hooks/pbx/s3cret/x", "/hooks/pbx/{secret}/{kind}");
    expect_shown(&c, "/hooks/pbx/s3cret", "/hooks/pbx/...");
    expect_shown(&c, "/hooks/pbx/s3cret/x/", "/hooks/pbx/...");
    expect_shown(&c, "/Hooks/PBX/s3cret/x", "/hooks/pbx/...");
    expect_shown(&c, "/hooks/%70bx/s3cret", "/hooks/pbx/...");
    expect_shown(&c, "/hooks/pbx", "/hooks/pbx");
    expect_shown(&c, "/other%2", "/other%2");
    expect_shown(&c, "", "");
    expect_shown(&c, "//hooks/pbx/Op3nSesame/x", "...");
    expect_shown(&c, "/hook/pbx/op3n%53esame", "...");
    expect_shown(&c, "http://a/hooks/pbx/Op3nSesame", "...");
    char *deep = sh_strf("/%*s/Op3nSesame", 5000, "s");
    expect_shown(&c, deep, "...");
    free(deep);
    char *huge = sh_strf("/hooks/pbx/%*s", 5000, "s");
    expect_shown(&c, huge, "/hooks/pbx/...");
    free(huge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nets),   cmocka_unit_test(test_bad_nets),
        cmocka_unit_test(test_window), cmocka_unit_test(test_v6),
        cmocka_unit_test(test_full),   cmocka_unit_test(test_off),
        cmocka_unit_test(test_gate),   cmocka_unit_test(test_shown_path),
    };
    return cmocka_run_group_tests_name("sender_gate", tests, NULL, NULL);
}
