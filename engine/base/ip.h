/* SPDX-License-Identifier: MIT
 * ip.h: IP addresses and networks.
 *
 * Every address is held as the 16 bytes of IPv6, IPv4 in its mapped form (::ffff:a.b.c.d), so that
 * one comparison serves both families, and a peer on a socket of both is the address it is. */
#ifndef SH_BASE_IP_H
#define SH_BASE_IP_H

#include "base/error.h"

#include <stdint.h>

struct sh_ip {
    uint8_t b[16];
};
#define SH_IP_TEXT 48 /* longest text with brackets, and a NUL */

struct sh_ip_net {
    struct sh_ip net;
    unsigned bits; /* of the 16 bytes: 96 + n for IPv4 */
};

struct sh_ip sh_ip_of_v4(const void *four);
bool sh_ip_is_v4(const struct sh_ip *ip);
/* "192.0.2.7" or "2001:db8::1", nothing around it. False: out is unchanged. */
bool sh_ip_parse(const char *text, struct sh_ip *out) SH_WARN_UNUSED;
/* The same back, without brackets. Returns out. */
const char *sh_ip_text(const struct sh_ip *ip, char out[SH_IP_TEXT]);
/* Are the first bits of the two equal? */
bool sh_ip_within(const uint8_t *address, const uint8_t *net, unsigned bits);
/* With every bit beyond the first ones zero. */
struct sh_ip sh_ip_masked(struct sh_ip ip, unsigned bits);

/* "192.0.2.0/24", "2001:db8::/32", or an address, which is the network of itself. False: *err says
 * what was expected; an address with bits beyond its network is refused, as it says two things. */
bool sh_ip_net_parse(const char *entry, struct sh_ip_net *out, struct sh_error *err) SH_WARN_UNUSED;
/* Is it in one of the networks? */
bool sh_ip_in(const struct sh_ip *ip, const struct sh_ip_net *nets, size_t n);

#endif
