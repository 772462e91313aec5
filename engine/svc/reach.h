/* SPDX-License-Identifier: MIT
 * reach.h: where calls may go: an allow-list of hosts and addresses, and what no call reaches
 * unless its address is listed. */
#ifndef SH_SVC_REACH_H
#define SH_SVC_REACH_H

#include "base/error.h"

#include <sys/socket.h>

struct sh_reach;

/* Entries, each optionally with ":port":
 *   "crm.example.org"   this host           "*.example.org"  any host below example.org
 *   "*"                 any host            "localhost"      this name, and loopback addresses
 *   "10.1.2.3", "[fd00::1]", "10.0.0.0/8"   addresses: as a URL's host, and as what a listed name
 *                                           resolves to
 * NULL entries (nothing configured) mean "*". NULL and *err for an entry that is none of these. */
struct sh_reach *sh_reach_new(const char *const *entries, size_t n,
                              struct sh_error *err) SH_WARN_UNUSED;
void sh_reach_free(struct sh_reach *r);
/* May a call name this host (no brackets) and port? False: *err says what to add to http.allow. A
 * host written as an address (also 2130706433, 0x7f.1: whatever inet_aton takes) is held against
 * the address entries, and needs no name entry then. Names: case and one trailing dot are ignored.
 */
bool sh_reach_host(const struct sh_reach *r, const char *host, int port,
                   struct sh_error *err) SH_WARN_UNUSED;
/* May a connection be made to this address? Asked after resolving, at every connect. Refused unless
 * an address entry lists it: loopback, private, link-local, shared (100.64/10), multicast,
 * unspecified, reserved and documentation networks, IPv6 unique-local and site-local, and IPv4 of
 * those within IPv6 (mapped, compatible, 64:ff9b::/96, 6to4, Teredo). */
bool sh_reach_address(const struct sh_reach *r, const char *host, const struct sockaddr *sa,
                      struct sh_error *err) SH_WARN_UNUSED;

#endif
