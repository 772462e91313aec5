/* SPDX-License-Identifier: MIT
 * reach.c: the allow-list of calls, and the networks that no call reaches by chance.
 *
 * The special networks are those of the IANA registries of special-purpose addresses (RFC 6890 and
 * its updates). */
#include "svc/reach.h"

#include "base/ip.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ENTRIES     1000
#define MAX_NAME        253
#define MAX_LABEL       63
#define MAX_ENTRY_BYTES 300

struct name_entry {
    char name[MAX_NAME + 1]; /* lower case, no trailing dot; "" = any host */
    bool below;              /* "*.name": hosts below it, not itself */
    int port;                /* 0 = any */
};

struct net_entry {
    struct sh_ip net;
    unsigned bits;
    int port; /* 0 = any */
};

struct sh_reach {
    struct name_entry *names;
    struct net_entry *nets;
    size_t n_names, n_nets;
};

/* As a host of a URL: IPv6 in brackets. */
static const char *address_text(const struct sh_ip *a, char out[SH_IP_TEXT])
{
    char text[SH_IP_TEXT];
    bool v4 = sh_ip_is_v4(a);
    snprintf(out, SH_IP_TEXT, "%s%.45s%s", v4 ? "" : "[", sh_ip_text(a, text), v4 ? "" : "]");
    return out;
}

/* --- Networks that must be listed ----------------------------------------------------------- */

struct special {
    uint8_t net[8];
    unsigned bits;
    const char *what;
};

static const struct special specials_v4[] = {
    {{0}, 8, "an unspecified"},
    {{10}, 8, "a private"},
    {{100, 64}, 10, "a carrier's shared"},
    {{127}, 8, "a loopback"},
    {{169, 254}, 16, "a link-local"},
    {{172, 16}, 12, "a private"},
    {{192, 0, 0}, 24, "a reserved"},
    {{192, 0, 2}, 24, "a documentation"},
    {{192, 88, 99}, 24, "a reserved"},
    {{192, 168}, 16, "a private"},
    {{198, 18}, 15, "a reserved (benchmark)"},
    {{198, 51, 100}, 24, "a documentation"},
    {{203, 0, 113}, 24, "a documentation"},
    {{224}, 4, "a multicast"},
    {{240}, 4, "a reserved"},
};

static const struct special specials_v6[] = {
    {{0xfc}, 7, "a private (unique-local)"},
    {{0xfe, 0x80}, 10, "a link-local"},
    {{0xfe, 0xc0}, 10, "a private (site-local)"},
    {{0xff}, 8, "a multicast"},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, "a documentation"},
    {{0x3f, 0xff}, 20, "a documentation"},
    {{0x20, 0x01}, 23, "a reserved"}, /* protocol assignments; Teredo is looked at before */
};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static const char *find_special(const struct special *list, size_t n, const uint8_t *address)
{
    for (size_t i = 0; i < n; i++) {
        if (sh_ip_within(address, list[i].net, list[i].bits))
            return list[i].what;
    }
    return NULL;
}

static const char *special_v4(const uint8_t *four)
{
    return find_special(specials_v4, COUNT(specials_v4), four);
}

/* IPv4 addresses that a router on the way would unwrap. *inner tells whether a is of such a form:
 * then the answer is about the IPv4 address in it. */
static const char *special_inner(const uint8_t *a, bool *inner)
{
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b}, sixto4[2] = {0x20, 0x02},
                         teredo[4] = {0x20, 0x01}, translated[12] = {[8] = 0xff, [9] = 0xff};
    *inner = true;
    if (sh_ip_within(a, nat64, 96) || sh_ip_within(a, translated, 96))
        return special_v4(a + 12);
    if (sh_ip_within(a, sixto4, 16))
        return special_v4(a + 2);
    if (sh_ip_within(a, teredo, 32)) {
        const uint8_t client[4] = {(uint8_t)~a[12], (uint8_t)~a[13], (uint8_t)~a[14],
                                   (uint8_t)~a[15]};
        const char *server = special_v4(a + 4);
        return server ? server : special_v4(client);
    }
    *inner = false;
    return NULL;
}

/* "a private", or NULL for an address of the open internet. */
static const char *special(const struct sh_ip *address)
{
    static const uint8_t zero[16], one[16] = {[15] = 1}, global = 0x20;
    const uint8_t *a = address->b;
    bool inner;
    if (sh_ip_is_v4(address))
        return special_v4(a + 12);
    if (memcmp(a, zero, 16) == 0)
        return "an unspecified";
    if (memcmp(a, one, 16) == 0)
        return "a loopback";
    if (sh_ip_within(a, zero, 96)) { /* IPv4-compatible: nothing of it is routed (RFC 4291) */
        const char *what = special_v4(a + 12);
        return what ? what : "a reserved";
    }
    const char *what = special_inner(a, &inner);
    if (inner)
        return what;
    what = find_special(specials_v6, COUNT(specials_v6), a);
    if (what)
        return what;
    return sh_ip_within(a, &global, 3) ? NULL : "a reserved"; /* 2000::/3 is all there is */
}

static bool is_listed(const struct sh_reach *r, const struct sh_ip *a, int port)
{
    for (size_t i = 0; i < r->n_nets; i++) {
        const struct net_entry *e = &r->nets[i];
        if ((!e->port || e->port == port) && sh_ip_within(a->b, e->net.b, e->bits))
            return true;
    }
    return false;
}

/* --- Names ---------------------------------------------------------------------------------- */

/* Lower case, one trailing dot dropped. False: no host name can look like this. */
static bool normal_name(const char *host, char out[MAX_NAME + 1])
{
    size_t n = strlen(host), label = 0;
    if (n && host[n - 1] == '.')
        n--;
    if (!n || n > MAX_NAME)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)host[i];
        bool dot = c == '.';
        if (!dot && !(c < 0x80 && (isalnum(c) || c == '-' || c == '_')))
            return false;
        if (dot && !label)
            return false;
        label = dot ? 0 : label + 1;
        if (label > MAX_LABEL)
            return false;
        out[i] = (char)(c < 0x80 ? tolower(c) : c);
    }
    out[n] = '\0';
    return label > 0;
}

/* Is the last label a number? Resolvers take such a "name" as an address, or not at all. */
static bool ends_in_number(const char *name)
{
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
    if (last[0] == '0' && last[1] == 'x')
        return last[2 + strspn(last + 2, "0123456789abcdef")] == '\0';
    return last[strspn(last, "0123456789")] == '\0';
}

static bool has_high_byte(const char *s)
{
    while (*s && (unsigned char)*s < 0x80)
        s++;
    return *s != '\0';
}

static bool name_matches(const struct name_entry *e, const char *name, size_t len)
{
    size_t n = strlen(e->name);
    if (!e->below)
        return n == len && memcmp(e->name, name, n) == 0;
    return !n ||
           (len > n + 1 && name[len - n - 1] == '.' && memcmp(name + len - n, e->name, n) == 0);
}

static bool is_named(const struct sh_reach *r, const char *name, int port)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < r->n_names; i++) {
        const struct name_entry *e = &r->names[i];
        if ((!e->port || e->port == port) && name_matches(e, name, len))
            return true;
    }
    return false;
}

static bool any_host(const struct sh_reach *r, int port)
{
    for (size_t i = 0; i < r->n_names; i++) {
        const struct name_entry *e = &r->names[i];
        if (e->below && !e->name[0] && (!e->port || e->port == port))
            return true;
    }
    return false;
}

/* --- Reading entries ------------------------------------------------------------------------ */

static bool bad_entry(const char *entry, const char *why, struct sh_error *err)
{
    return sh_error_set(err, SH_EINVAL, "\"%.100s\": %s", entry, why);
}

static bool read_number(const char *text, int least, int most, int *out)
{
    size_t n = strspn(text, "0123456789");
    if (!n || n > 5 || text[n])
        return false;
    *out = (int)strtol(text, NULL, 10);
    return *out >= least && *out <= most;
}

static void add_net(struct sh_reach *r, struct sh_ip net, unsigned bits, int port)
{
    r->nets = sh_realloc(r->nets, (r->n_nets + 1) * sizeof(*r->nets));
    r->nets[r->n_nets++] = (struct net_entry){.net = net, .bits = bits, .port = port};
}

static void add_name(struct sh_reach *r, const char *name, bool below, int port)
{
    static const uint8_t loopback[4] = {127}, one[16] = {[15] = 1};
    r->names = sh_realloc(r->names, (r->n_names + 1) * sizeof(*r->names));
    struct name_entry *e = &r->names[r->n_names++];
    *e = (struct name_entry){.below = below, .port = port};
    snprintf(e->name, sizeof(e->name), "%s", name);
    if (!below && strcmp(name, "localhost") == 0) {
        struct sh_ip six;
        memcpy(six.b, one, sizeof(six.b));
        add_net(r, sh_ip_of_v4(loopback), 96 + 8, port);
        add_net(r, six, 128, port);
    }
}

/* prefix: the text behind '/', or NULL for one address. */
static bool read_net(struct sh_reach *r, const char *entry, struct sh_ip a, const char *prefix,
                     int port, struct sh_error *err)
{
    char text[SH_IP_TEXT];
    int width = sh_ip_is_v4(&a) ? 32 : 128, bits = width;
    if (prefix && !read_number(prefix, 0, width, &bits))
        return sh_error_set(err, SH_EINVAL, "\"%.100s\": expected /0 to /%d behind the address",
                            entry, width);
    unsigned all = (unsigned)(bits + 128 - width);
    struct sh_ip net = sh_ip_masked(a, all);
    if (memcmp(&net, &a, sizeof(a)) != 0)
        return sh_error_set(err, SH_EINVAL,
                            "\"%.100s\": the address has bits beyond /%d: write %s/%d for the "
                            "network, or leave /%d out for the one address",
                            entry, bits, address_text(&net, text), bits, bits);
    add_net(r, net, all, port);
    return true;
}

static bool read_v6(struct sh_reach *r, const char *entry, const char *text, const char *prefix,
                    int port, struct sh_error *err)
{
    struct sh_ip a;
    if (inet_pton(AF_INET6, text, a.b) != 1)
        return bad_entry(entry, "not an IPv6 address", err);
    if (sh_ip_is_v4(&a))
        return bad_entry(entry, "write it as the IPv4 address that it is", err);
    return read_net(r, entry, a, prefix, port, err);
}

static bool read_name(struct sh_reach *r, const char *entry, const char *text, int port,
                      struct sh_error *err)
{
    char name[MAX_NAME + 1];
    bool below = strncmp(text, "*.", 2) == 0;
    if (strcmp(text, "*") == 0) {
        add_name(r, "", true, port);
        return true;
    }
    if (has_high_byte(text))
        return bad_entry(entry, "write the name in its ASCII form (xn--...)", err);
    if (!normal_name(below ? text + 2 : text, name))
        return bad_entry(entry,
                         "expected a host (crm.example.org), *.example.org, *, localhost, an "
                         "address or a network (10.0.0.0/8), each with :port if you like",
                         err);
    if (ends_in_number(name))
        return bad_entry(entry, "write an address as 10.1.2.3", err);
    add_name(r, name, below, port);
    return true;
}

static bool read_v4_or_name(struct sh_reach *r, const char *entry, const char *text,
                            const char *prefix, int port, struct sh_error *err)
{
    uint8_t four[4];
    if (inet_pton(AF_INET, text, four) == 1)
        return read_net(r, entry, sh_ip_of_v4(four), prefix, port, err);
    if (prefix)
        return bad_entry(entry, "expected an address before the /, and no path", err);
    return read_name(r, entry, text, port, err);
}

/* Cut text at the first c: what is behind it, or NULL. */
static char *cut(char *text, char c)
{
    char *at = strchr(text, c);
    if (at)
        *at++ = '\0';
    return at;
}

/* "[v6]", "[v6]:port", "[v6/bits]", "[v6]/bits:port" */
static bool read_bracketed(struct sh_reach *r, const char *entry, char *text, struct sh_error *err)
{
    char *behind = cut(text, ']'), *port_text = NULL;
    int port = 0;
    if (!behind)
        return bad_entry(entry, "a [ without its ]", err);
    char *prefix = cut(text, '/');
    if (*behind == '/' && !prefix) {
        prefix = behind + 1;
        port_text = cut(prefix, ':');
    } else if (*behind == ':') {
        port_text = behind + 1;
    } else if (*behind) {
        return bad_entry(entry, "expected :port, or nothing, behind the ]", err);
    }
    if (port_text && !read_number(port_text, 1, 65535, &port))
        return bad_entry(entry, "the port is a number from 1 to 65535", err);
    return read_v6(r, entry, text, prefix, port, err);
}

static bool read_entry(struct sh_reach *r, const char *entry, struct sh_error *err)
{
    char text[MAX_ENTRY_BYTES];
    int port = 0;
    if (strlen(entry) >= sizeof(text))
        return bad_entry(entry, "too long for a host", err);
    if (strstr(entry, "://"))
        return bad_entry(entry, "only the host, without http:// or https://", err);
    snprintf(text, sizeof(text), "%s", entry);
    if (text[0] == '[')
        return read_bracketed(r, entry, text + 1, err);
    const char *colon = strchr(text, ':');
    if (colon && strchr(colon + 1, ':')) { /* IPv6 without brackets: it has no port */
        char *prefix = cut(text, '/');
        return read_v6(r, entry, text, prefix, 0, err);
    }
    char *port_text = cut(text, ':');
    if (port_text && !read_number(port_text, 1, 65535, &port))
        return bad_entry(entry, "the port is a number from 1 to 65535", err);
    char *prefix = cut(text, '/');
    return read_v4_or_name(r, entry, text, prefix, port, err);
}

struct sh_reach *sh_reach_new(const char *const *entries, size_t n, struct sh_error *err)
{
    struct sh_reach *r = sh_alloc(1, sizeof(*r));
    if (n > MAX_ENTRIES) {
        sh_error_set(err, SH_ELIMIT, "%zu entries: at most %d", n, MAX_ENTRIES);
        goto failed;
    }
    if (!entries)
        add_name(r, "", true, 0);
    for (size_t i = 0; entries && i < n; i++) {
        if (!read_entry(r, entries[i], err))
            goto failed;
    }
    return r;
failed:
    sh_reach_free(r);
    return NULL;
}

void sh_reach_free(struct sh_reach *r)
{
    if (!r)
        return;
    free(r->names);
    free(r->nets);
    free(r);
}

/* --- Asking --------------------------------------------------------------------------------- */

static bool refuse_address(const struct sh_ip *a, const char *host, const char *what,
                           struct sh_error *err)
{
    char text[SH_IP_TEXT];
    const char *entry = strcmp(what, "a loopback") == 0 ? "localhost" : address_text(a, text);
    char shown[SH_IP_TEXT];
    address_text(a, shown);
    if (!host || strcmp(host, shown) == 0)
        return sh_error_set(err, SH_EINVAL,
                            "%s is %s address, which no call reaches unless it is listed: if rules "
                            "may call it, add \"%s\" to http.allow",
                            shown, what, entry);
    return sh_error_set(
        err, SH_EINVAL,
        "%.100s is at %s, %s address, which no call reaches unless it is listed: if "
        "rules may call it, add \"%s\" to http.allow",
        host, shown, what, entry);
}

/* A host that is an address in one of the spellings that resolvers take. */
static bool read_literal(const char *host, struct sh_ip *a)
{
    char name[MAX_NAME + 1];
    struct in_addr four;
    if (strchr(host, ':'))
        return inet_pton(AF_INET6, host, a->b) == 1;
    if (!normal_name(host, name) || inet_aton(name, &four) == 0)
        return false;
    *a = sh_ip_of_v4(&four);
    return true;
}

static bool check_literal(const struct sh_reach *r, const char *host, const struct sh_ip *a,
                          int port, struct sh_error *err)
{
    char text[SH_IP_TEXT];
    if (is_listed(r, a, port))
        return true;
    const char *what = special(a);
    if (what)
        return refuse_address(a, strchr(host, ':') ? NULL : host, what, err);
    if (any_host(r, port))
        return true;
    address_text(a, text);
    return sh_error_set(err, SH_EINVAL,
                        "%s (port %d) is not allowed: if rules may call it, add \"%s\" to "
                        "http.allow",
                        text, port, text);
}

bool sh_reach_host(const struct sh_reach *r, const char *host, int port, struct sh_error *err)
{
    char name[MAX_NAME + 1];
    struct sh_ip a;
    if (read_literal(host, &a))
        return check_literal(r, host, &a, port, err);
    if (has_high_byte(host))
        return sh_error_set(err, SH_EINVAL,
                            "host %.100s: write the name in its ASCII form (xn--...)", host);
    if (!normal_name(host, name) || ends_in_number(name))
        return sh_error_set(err, SH_EINVAL, "\"%.100s\" is neither a host name nor an address",
                            host);
    if (is_named(r, name, port))
        return true;
    return sh_error_set(err, SH_EINVAL,
                        "%s (port %d) is not allowed: if rules may call it, add \"%s\" to "
                        "http.allow",
                        name, port, name);
}

bool sh_reach_address(const struct sh_reach *r, const char *host, const struct sockaddr *sa,
                      struct sh_error *err)
{
    struct sh_ip a;
    int port;
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;
        a = sh_ip_of_v4(&in->sin_addr);
        port = ntohs(in->sin_port);
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)sa;
        memcpy(a.b, &in->sin6_addr, sizeof(a.b));
        port = ntohs(in->sin6_port);
    } else {
        return sh_error_set(err, SH_EINVAL, "%.100s: neither an IPv4 nor an IPv6 address", host);
    }
    const char *what = is_listed(r, &a, port) ? NULL : special(&a);
    return what ? refuse_address(&a, host, what, err) : true;
}
