/* SPDX-License-Identifier: MIT
 * test_reach.c: which entries are understood, which hosts and addresses they open. */
#include "svc/reach.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

/* --- Asking --------------------------------------------------------------------------------- */

/* entries: separated by a space; NULL = nothing configured. */
static struct sh_reach *reach_of(const char *entries)
{
    char text[1000];
    const char *list[32];
    size_t n = 0;
    struct sh_error err;
    snprintf(text, sizeof(text), "%s", entries ? entries : "");
    for (char *rest = text, *word; (word = strsep(&rest, " "));) {
        if (*word)
            list[n++] = word;
    }
    struct sh_reach *r = sh_reach_new(entries ? list : NULL, n, &err);
    if (!r)
        fail_msg("%s: %s", entries, err.msg);
    return r;
}

static bool ask_host(const char *entries, const char *host, int port, struct sh_error *err)
{
    struct sh_reach *r = reach_of(entries);
    bool ok = sh_reach_host(r, host, port, err);
    sh_reach_free(r);
    return ok;
}

static void to_sockaddr(const char *text, int port, struct sockaddr_storage *out)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        memcpy(out, &in, sizeof(in));
    else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
        memcpy(out, &in6, sizeof(in6));
    else
        fail_msg("%s is no address", text);
}

static bool ask_address(const char *entries, const char *text, int port, struct sh_error *err)
{
    struct sockaddr_storage sa;
    struct sh_reach *r = reach_of(entries);
    to_sockaddr(text, port, &sa);
    bool ok = sh_reach_address(r, "host.example.org", (const struct sockaddr *)&sa, err);
    sh_reach_free(r);
    return ok;
}

/* --- Entries -------------------------------------------------------------------------------- */

static void entries_that_are_none_say_why(void **state)
{
    (void)state;
    static const struct {
        const char *entry, *says;
    } cases[] = {
        {"", "expected a host"},
        {"https://crm.example.org", "without http:// or https://"},
        {"crm.example.org/api", "no path"},
        {"crm.example.org:", "the port is a number"},
        {"crm.example.org:0", "the port is a number"},
        {"crm.example.org:65536", "the port is a number"},
        {"crm.example.org:443x", "the port is a number"},
        {"crm.example.org:-1", "the port is a number"},
        {"*.", "expected a host"},
        {"*example.org", "expected a host"},
        {"crm.*.org", "expected a host"},
        {"a..b", "expected a host"},
        {".example.org", "expected a host"},
        {"crm example.org", "expected a host"},
        {"user@example.org", "expected a host"},
        {"b\xc3\xbc"
         "cher.example",
         "xn--"},
        {"2130706433", "write an address as 10.1.2.3"},
        {"0x7f.1", "write an address as 10.1.2.3"},
        {"010.0.0.1", "write an address as 10.1.2.3"},
        {"10.1.2", "write an address as 10.1.2.3"},
        {"256.1.1.1", "write an address as 10.1.2.3"},
        {"10.0.0.0/33", "expected /0 to /32"},
        {"10.0.0.0/", "expected /0 to /32"},
        {"10.0.0.0/8/8", "expected /0 to /32"},
        {"10.0.0.0/-1", "expected /0 to /32"},
        {"10.1.2.3/8", "write 10.0.0.0/8"},
        {"10.128.0.0/8", "write 10.0.0.0/8"},
        {"[fd00::1]/8", "write [fd00::]/8"},
        {"fd00::/129", "expected /0 to /128"},
        {"[fd00::1", "without its ]"},
        {"[fd00::1]x", "behind the ]"},
        {"[fd00::1]:", "the port is a number"},
        {"[10.0.0.1]", "not an IPv6 address"},
        {"fd00::1::2", "not an IPv6 address"},
        {"[::ffff:10.0.0.1]", "as the IPv4 address"},
        {"fe80::1%eth0", "not an IPv6 address"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sh_error err = {0};
        struct sh_reach *r = sh_reach_new(&cases[i].entry, 1, &err);
        if (r || !strstr(err.msg, cases[i].says))
            fail_msg("\"%s\": %s; expected \"%s\"", cases[i].entry, r ? "taken" : err.msg,
                     cases[i].says);
    }
}

static void an_entry_of_any_length_is_taken_or_refused(void **state)
{
    (void)state;
    for (size_t n = 1; n < 700; n++) {
        char text[800], label[800];
        struct sh_error err;
        const char *entry = text;
        memset(label, 'a', n);
        label[n] = '\0';
        snprintf(text, sizeof(text), "%s", label);
        struct sh_reach *r = sh_reach_new(&entry, 1, &err);
        assert_int_equal(r != NULL, n <= 63);
        sh_reach_free(r);
        for (size_t i = 40; i < n; i += 41)
            text[i] = '.';
        r = sh_reach_new(&entry, 1, &err);
        assert_int_equal(r != NULL, n <= 253 || (n == 254 && text[253] == '.'));
        sh_reach_free(r);
    }
    const char *many[1001];
    for (size_t i = 0; i < 1001; i++)
        many[i] = "example.org";
    struct sh_error err;
    assert_null(sh_reach_new(many, 1001, &err));
    struct sh_reach *r = sh_reach_new(many, 1000, &err);
    assert_non_null(r);
    sh_reach_free(r);
}

/* --- Hosts ---------------------------------------------------------------------------------- */

static const struct host_case {
    const char *entries, *host;
    int port;
    bool ok;
} host_cases[] = {
    /* names */
    {"crm.example.org", "crm.example.org", 443, true},
    {"crm.example.org", "CRM.Example.ORG", 80, true},
    {"CRM.example.org.", "crm.example.org", 80, true},
    {"crm.example.org", "crm.example.org.", 80, true},
    {"crm.example.org", "crm.example.org..", 80, false},
    {"crm.example.org", "example.org", 80, false},
    {"crm.example.org", "a.crm.example.org", 80, false},
    {"crm.example.org", "xcrm.example.org", 80, false},
    {"crm.example.org:8443", "crm.example.org", 8443, true},
    {"crm.example.org:8443", "crm.example.org", 443, false},
    {"crm.example.org:80 crm.example.org:443", "crm.example.org", 443, true},
    {"crm.example.org:80 crm.example.org:443", "crm.example.org", 444, false},
    {"*.example.org", "a.example.org", 443, true},
    {"*.example.org", "a.b.example.org.", 443, true},
    {"*.example.org", "example.org", 443, false},
    {"*.example.org", "evilexample.org", 443, false},
    {"*.example.org", "a.example.org.evil.net", 443, false},
    {"*.example.org", ".example.org", 443, false},
    {"*.example.org:443", "a.example.org", 80, false},
    {"*", "anything.example", 1, true},
    {"*:443", "anything.example", 443, true},
    {"*:443", "anything.example", 80, false},
    {NULL, "anything.example", 65535, true},
    {"", "anything.example", 443, false},
    {"_dmarc.example.org", "_dmarc.example.org", 443, true},
    {"xn--bcher-kva.example", "xn--bcher-kva.example", 443, true},
    {"*",
     "b\xc3\xbc"
     "cher.example",
     443, false},
    {"*", "", 443, false},
    {"*", ".", 443, false},
    {"*", "a b", 443, false},
    {"*", "a/b", 443, false},
    {"*", "a@b", 443, false},
    {"*", "a%2eb", 443, false},
    /* localhost */
    {"localhost", "localhost", 8080, true},
    {"localhost", "LOCALHOST.", 8080, true},
    {"localhost", "127.0.0.1", 8080, true},
    {"localhost", "127.255.0.9", 8080, true},
    {"localhost", "::1", 8080, true},
    {"localhost", "app.localhost", 8080, false},
    {"localhost:8080", "localhost", 8081, false},
    {"localhost:8080", "127.0.0.1", 8081, false},
    {"localhost:8080", "::1", 8080, true},
    {"*.localhost", "app.localhost", 80, true},
    {"*.localhost", "127.0.0.1", 80, false},
    {"*", "127.0.0.1", 80, false},
    {"*", "::1", 80, false},
    /* addresses in all spellings */
    {"10.1.2.3", "10.1.2.3", 80, true},
    {"10.1.2.3", "10.1.2.4", 80, false},
    {"10.1.2.3", "10.1.2.3.", 80, true},
    {"10.1.2.3:80", "10.1.2.3", 81, false},
    {"10.1.2.3", "0xa010203", 80, true},
    {"10.1.2.3", "167838211", 80, true},
    {"10.1.2.3", "012.01.02.03", 80, true},
    {"10.1.2.3", "10.66051", 80, true},
    {"10.1.2.3", "0xA.0x1.515", 80, true},
    {"10.1.2.3", "::ffff:10.1.2.3", 80, true},
    {"10.1.2.3", "::ffff:a01:203", 80, true},
    {"*", "2130706433", 80, false},
    {"*", "0x7f.1", 80, false},
    {"*", "0x7F000001", 80, false},
    {"*", "017700000001", 80, false},
    {"*", "127.1", 80, false},
    {"*", "127.1.", 80, false},
    {"*", "0", 80, false},
    {"*", "::ffff:127.0.0.1", 80, false},
    {"*", "::ffff:7f00:1", 80, false},
    {"*", "::127.0.0.1", 80, false},
    {"*", "::", 80, false},
    {"*", "1.2.3.4.5", 80, false},
    {"*", "256.0.0.1", 80, false},
    {"*", "a.b.1", 80, false},
    {"*", "a.0x1f", 80, false},
    {"*", "fe80::1%eth0", 80, false},
    {"*", "8.8.8.8", 53, true},
    {"*:443", "8.8.8.8", 53, false},
    {"*", "2606:4700::1111", 443, true},
    {"*.example.org", "8.8.8.8", 443, false},
    {"8.8.8.8", "8.8.8.8", 443, true},
    {"8.8.8.0/24", "8.8.8.255", 443, true},
    {"8.8.8.0/24", "8.8.9.0", 443, false},
    {"fd00::/8", "fd12::1", 443, true},
    {"[fd00::1]:8443", "fd00::1", 8443, true},
    {"[fd00::1]:8443", "fd00::1", 443, false},
    {"[fd00::/16]:8443", "fd00:1::1", 8443, true},
    {"[fd00::]/16:8443", "fd00:1::1", 8443, true},
    {"[fd00::]/16:8443", "fd01::1", 8443, false},
    {"fd00::1", "fd00:0:0::1", 1, true},
    {"10.0.0.0/8", "crm.example.org", 443, false},
};

static void hosts_are_held_against_the_list(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(host_cases) / sizeof(host_cases[0]); i++) {
        const struct host_case *c = &host_cases[i];
        struct sh_error err = {0};
        if (ask_host(c->entries, c->host, c->port, &err) != c->ok)
            fail_msg("[%s] %s:%d: %s", c->entries ? c->entries : "nothing", c->host, c->port,
                     c->ok ? err.msg : "allowed");
        if (!c->ok && !err.msg[0])
            fail_msg("[%s] %s: no reason given", c->entries, c->host);
    }
}

static void a_refusal_says_what_to_write(void **state)
{
    (void)state;
    static const struct {
        const char *entries, *host, *says;
    } cases[] = {
        {"a.example", "CRM.example.org", "add \"crm.example.org\" to http.allow"},
        {"*", "127.0.0.1", "127.0.0.1 is a loopback address"},
        {"*", "127.0.0.1", "add \"localhost\" to http.allow"},
        {"*", "10.1.2.3", "10.1.2.3 is a private address"},
        {"*", "0xa.1.2.3", "0xa.1.2.3 is at 10.1.2.3, a private address"},
        {"*", "169.254.169.254", "a link-local address"},
        {"*", "fd00::1", "add \"[fd00::1]\" to http.allow"},
        {"a.example", "8.8.8.8", "add \"8.8.8.8\" to http.allow"},
        {"*", "1.2.3.4.5", "neither a host name nor an address"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sh_error err = {0};
        assert_false(ask_host(cases[i].entries, cases[i].host, 443, &err));
        if (!strstr(err.msg, cases[i].says))
            fail_msg("%s: %s; expected \"%s\"", cases[i].host, err.msg, cases[i].says);
    }
}

/* --- Addresses ------------------------------------------------------------------------------ */

/* First and last address of each network that must be listed, and its neighbours outside. */
static const struct edge {
    const char *below, *first, *last, *above; /* NULL: another special network begins there */
} edges[] = {
    {NULL, "0.0.0.0", "0.255.255.255", "1.0.0.0"},
    {"9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"},
    {"100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"},
    {"126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"},
    {"169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"},
    {"172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"},
    {"191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"},
    {"192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"},
    {"192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"},
    {"192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"},
    {"198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"},
    {"198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"},
    {"203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"},
    {"223.255.255.255", "224.0.0.0", "239.255.255.255", NULL},
    {NULL, "240.0.0.0", "255.255.255.255", NULL},
    {NULL, "::", "::1", NULL},
    {NULL, "::2", "::ffff", NULL},
    {NULL, "100::", "1fff:ffff::", "2000::"},
    {"2000:ffff:ffff::", "2001:1::", "2001:1ff:ffff::", "2001:200::"},
    {"2001:db7:ffff::", "2001:db8::", "2001:db8:ffff::1", "2001:db9::"},
    {"3ffe:ffff::", "3fff::", "3fff:fff::1", "3fff:1000::"},
    {NULL, "4000::", "5f00::1", NULL},
    {NULL, "fc00::", "fdff:ffff::", NULL},
    {NULL, "fe80::", "febf:ffff::", NULL},
    {NULL, "fec0::", "feff:ffff::", NULL},
    {NULL, "ff00::", "ffff:ffff::", NULL},
    /* IPv4 within IPv6 */
    {"::ffff:9.255.255.255", "::ffff:10.0.0.0", "::ffff:10.255.255.255", "::ffff:11.0.0.0"},
    {"::ffff:126.255.255.255", "::ffff:127.0.0.0", "::ffff:127.0.0.1", "::ffff:128.0.0.0"},
    {NULL, "::10.0.0.1", "::169.254.169.254", NULL},
    {"64:ff9b::9.255.255.255", "64:ff9b::10.0.0.0", "64:ff9b::10.255.255.255", "64:ff9b::11.0.0.0"},
    {"64:ff9b::8.8.8.8", "64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", NULL},
    {NULL, "64:ff9b:1::", "64:ff9b:1::808:808", NULL},
    {"::ffff:0:8.8.8.8", "::ffff:0:10.0.0.1", "::ffff:0:192.168.0.1", NULL},
    {"2002:9ff:ffff::1", "2002:a00::", "2002:aff:ffff::", "2002:b00::"},
    {"2002:808:808::1", "2002:7f00:1::1", "2002:c0a8:1::1", NULL},
    /* Teredo: 2001:0:server:flags:port:~client */
    {"2001:0:808:808::f7f7:f7f7", "2001:0:808:808::f5ff:fffe", "2001:0:808:808::80ff:fffe", NULL},
    {NULL, "2001:0:a00:1::f7f7:f7f7", "2001:0:7f00:1::f7f7:f7f7", NULL},
};

static void expect_address(const char *entries, const char *address, int port, bool ok)
{
    struct sh_error err = {0};
    if (address && ask_address(entries, address, port, &err) != ok)
        fail_msg("[%s] %s port %d: %s", entries, address, port, ok ? err.msg : "allowed");
    if (address && !ok && !strstr(err.msg, "host.example.org is at "))
        fail_msg("%s: \"%s\" does not name the host", address, err.msg);
}

static void special_networks_are_refused_to_their_last_bit(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        expect_address("*", edges[i].below, 443, true);
        expect_address("*", edges[i].first, 443, false);
        expect_address("*", edges[i].last, 443, false);
        expect_address("*", edges[i].above, 443, true);
        expect_address("0.0.0.0/0 ::/0", edges[i].first, 443, true);
        expect_address("0.0.0.0/0:444 [::]/0:444", edges[i].first, 443, false);
    }
}

static void every_prefix_length_ends_where_it_should(void **state)
{
    (void)state;
    for (unsigned bits = 1; bits <= 32; bits++) {
        const uint32_t base = 0x0a55aa55, mask = ~UINT32_C(0) << (32 - bits);
        const uint32_t lo = base & mask, hi = lo | ~mask;
        char entry[64], text[INET_ADDRSTRLEN];
        struct in_addr a = {htonl(lo)};
        snprintf(entry, sizeof(entry), "%s/%u", inet_ntop(AF_INET, &a, text, sizeof(text)), bits);
        const uint32_t probes[] = {lo - 1, lo, hi, hi + 1};
        for (size_t i = 0; i < 4; i++) {
            a.s_addr = htonl(probes[i]);
            inet_ntop(AF_INET, &a, text, sizeof(text));
            struct sh_error err;
            bool inside = i == 1 || i == 2;
            if (ask_host(entry, text, 1, &err) != inside)
                fail_msg("%s in %s?", text, entry);
        }
    }
    for (unsigned bits = 1; bits <= 128; bits++) {
        struct in6_addr a = {0}, b;
        char entry[80], text[INET6_ADDRSTRLEN];
        struct sh_error err;
        for (unsigned i = 0; i < bits; i++)
            a.s6_addr[i / 8] |= (uint8_t)(0x80 >> i % 8);
        inet_ntop(AF_INET6, &a, text, sizeof(text));
        snprintf(entry, sizeof(entry), "[%s/%u]", text, bits);
        assert_true(ask_host(entry, text, 1, &err));
        b = a;
        b.s6_addr[(bits - 1) / 8] ^= (uint8_t)(0x80 >> (bits - 1) % 8);
        inet_ntop(AF_INET6, &b, text, sizeof(text));
        assert_false(ask_host(entry, text, 1, &err));
    }
}

static void a_listed_address_may_be_reached(void **state)
{
    (void)state;
    expect_address("10.0.0.0/8", "10.255.255.255", 443, true);
    expect_address("10.0.0.0/8", "::ffff:10.1.2.3", 443, true);
    expect_address("10.0.0.0/8", "64:ff9b::10.1.2.3", 443, false);
    expect_address("10.0.0.0/8", "11.0.0.0", 443, true);
    expect_address("10.0.0.0/8", "192.168.0.1", 443, false);
    expect_address("10.1.2.3:80", "10.1.2.3", 443, false);
    expect_address("10.1.2.3:80", "10.1.2.3", 80, true);
    expect_address("localhost", "127.0.0.53", 443, true);
    expect_address("localhost", "::1", 443, true);
    expect_address("localhost", "10.0.0.1", 443, false);
    expect_address("localhost:80", "127.0.0.1", 443, false);
    expect_address("*.localhost", "127.0.0.1", 443, false);
    expect_address("fd00::/8", "fdff::1", 443, true);
    expect_address("fd00::/8", "fe80::1", 443, false);
    expect_address("64:ff9b::/96", "64:ff9b::10.1.2.3", 443, true);
    expect_address("crm.example.org", "10.0.0.1", 443, false);
    expect_address(NULL, "8.8.8.8", 443, true);
}

static void other_families_are_refused(void **state)
{
    (void)state;
    const struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/run/x"};
    struct sh_error err;
    struct sh_reach *r = reach_of("0.0.0.0/0");
    assert_false(sh_reach_address(r, "h", (const struct sockaddr *)&un, &err));
    sh_reach_free(r);
    sh_reach_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_that_are_none_say_why),
        cmocka_unit_test(an_entry_of_any_length_is_taken_or_refused),
        cmocka_unit_test(hosts_are_held_against_the_list),
        cmocka_unit_test(a_refusal_says_what_to_write),
        cmocka_unit_test(special_networks_are_refused_to_their_last_bit),
        cmocka_unit_test(every_prefix_length_ends_where_it_should),
        cmocka_unit_test(a_listed_address_may_be_reached),
        cmocka_unit_test(other_families_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
