/* SPDX-License-Identifier: MIT
 * ip.c: IP addresses and networks. */
#include "base/ip.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(SH_IP_TEXT >= INET6_ADDRSTRLEN + 2, "an address and its brackets fit");

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct sh_ip sh_ip_of_v4(const void *four)
{
    struct sh_ip ip;
    memcpy(ip.b, mapped_prefix, sizeof(mapped_prefix));
    memcpy(ip.b + 12, four, 4);
    return ip;
}

bool sh_ip_is_v4(const struct sh_ip *ip)
{
    return memcmp(ip->b, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

bool sh_ip_parse(const char *text, struct sh_ip *out)
{
    uint8_t four[4];
    struct sh_ip six;
    if (inet_pton(AF_INET, text, four) == 1) {
        *out = sh_ip_of_v4(four);
        return true;
    }
    if (inet_pton(AF_INET6, text, six.b) != 1)
        return false;
    *out = six;
    return true;
}

const char *sh_ip_text(const struct sh_ip *ip, char out[SH_IP_TEXT])
{
    if (sh_ip_is_v4(ip))
        inet_ntop(AF_INET, ip->b + 12, out, SH_IP_TEXT);
    else
        inet_ntop(AF_INET6, ip->b, out, SH_IP_TEXT);
    return out;
}

bool sh_ip_within(const uint8_t *address, const uint8_t *net, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(address, net, whole) != 0)
        return false;
    return !rest || (uint8_t)((address[whole] ^ net[whole]) >> (8 - rest)) == 0;
}

struct sh_ip sh_ip_masked(struct sh_ip ip, unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = bits >= 8 * (i + 1) ? 8 : bits > 8 * i ? bits - 8 * i : 0;
        ip.b[i] = (uint8_t)(ip.b[i] & (0xff00 >> keep));
    }
    return ip;
}

/* Digits alone, at most most; false: something else. */
static bool read_bits(const char *text, unsigned most, unsigned *out)
{
    size_t n = strspn(text, "0123456789");
    if (!n || n > 3 || text[n])
        return false;
    *out = (unsigned)strtoul(text, NULL, 10);
    return *out <= most;
}

bool sh_ip_net_parse(const char *entry, struct sh_ip_net *out, struct sh_error *err)
{
    char text[SH_IP_TEXT], shown[SH_IP_TEXT];
    struct sh_ip ip;
    const char *slash = strchr(entry, '/');
    const size_t n = slash ? (size_t)(slash - entry) : strlen(entry);
    snprintf(text, sizeof(text), "%.*s", (int)(n < sizeof(text) ? n : 0), entry);
    if (!sh_ip_parse(text, &ip))
        return sh_error_set(err, SH_EINVAL,
                            "\"%.100s\" is neither an address nor a network; expected one such as "
                            "192.0.2.7, 192.0.2.0/24 or 2001:db8::/32",
                            entry);
    if (sh_ip_is_v4(&ip) && strchr(text, ':'))
        return sh_error_set(err, SH_EINVAL, "\"%.100s\": write it as the IPv4 address that it is",
                            entry);
    const unsigned width = sh_ip_is_v4(&ip) ? 32 : 128;
    unsigned bits = width;
    if (slash && !read_bits(slash + 1, width, &bits))
        return sh_error_set(err, SH_EINVAL, "\"%.100s\": expected /0 to /%u behind the address",
                            entry, width);
    const struct sh_ip net = sh_ip_masked(ip, bits + 128 - width);
    if (memcmp(&net, &ip, sizeof(ip)) != 0)
        return sh_error_set(err, SH_EINVAL,
                            "\"%.100s\": the address has bits beyond /%u: write %s/%u for the "
                            "network, or leave /%u out for the one address",
                            entry, bits, sh_ip_text(&net, shown), bits, bits);
    *out = (struct sh_ip_net){net, bits + 128 - width};
    return true;
}

bool sh_ip_in(const struct sh_ip *ip, const struct sh_ip_net *nets, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (sh_ip_within(ip->b, nets[i].net.b, nets[i].bits))
            return true;
    return false;
}
