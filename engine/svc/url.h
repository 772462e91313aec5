/* SPDX-License-Identifier: MIT
 * url.h: an http or https URL taken apart (libcurl's parser, the one that will also send it). */
#ifndef SH_SVC_URL_H
#define SH_SVC_URL_H

#include "base/buf.h"

#define SH_URL_MAX_HOST_BYTES 253 /* RFC 1035 section 2.3.4, as text */

struct sh_url {
    bool tls;
    char host[SH_URL_MAX_HOST_BYTES + 3]; /* lower case, no trailing dot; IPv4 in its usual form
                                             however it was written; IPv6 in brackets */
    int port;                             /* 1..65535, the scheme's own when none was given */
    struct sh_slice authority;            /* borrowed from the text: between "//" and the path */
    struct sh_slice rest;                 /* borrowed: path and query, without a fragment */
};

/* Take text apart. SH_EINVAL: not http:// or https://, no host or none that can be one, a port out
 * of range, a user name or password, a byte that is not printable ASCII (others must be
 * percent-encoded), longer than max_bytes. The message is one clause, without the URL. */
bool sh_url_parse(const char *text, size_t max_bytes, struct sh_url *out,
                  struct sh_error *err) SH_WARN_UNUSED;

#endif
