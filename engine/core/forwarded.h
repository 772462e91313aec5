/* SPDX-License-Identifier: MIT
 * forwarded.h: where a request comes from, when trusted proxies have passed it on.
 *
 * Read from the right: what stands there, our own proxy has written; what stands further left may
 * have been written by anybody, and is looked at only when everything right of it was an address of
 * ours. No text further left can change how what is right of it reads. */
#ifndef SH_CORE_FORWARDED_H
#define SH_CORE_FORWARDED_H

#include "base/buf.h"
#include "base/ip.h"

struct sh_forwarded {
    const struct sh_ip_net *proxies; /* borrowed */
    size_t n_proxies;
    bool standard; /* Forwarded (RFC 7239), else X-Forwarded-For */
};

/* The n-th header of that name (from 0), or NULL. */
typedef const char *sh_forwarded_header_fn(void *arg, const char *name, size_t n);

bool sh_forwarded_is_proxy(const struct sh_forwarded *f, const struct sh_ip *ip);
/* The first address from the right that is no proxy's, else the leftmost; peer itself if it is no
 * proxy, or no header of it can be read. */
struct sh_ip sh_forwarded_address(const struct sh_forwarded *f, struct sh_ip peer,
                                  sh_forwarded_header_fn *header, void *arg);
/* Did that first address speak HTTPS to the proxy of ours that it reached? By proto= of Forwarded;
 * else by the last X-Forwarded-Proto, which is one for all proxies in a row. */
bool sh_forwarded_is_https(const struct sh_forwarded *f, struct sh_ip peer,
                           sh_forwarded_header_fn *header, void *arg);

#endif
