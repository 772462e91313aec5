/* SPDX-License-Identifier: MIT
 * failure_limit.h: who has given wrong secrets too often of late. A table of fixed size; where it
 * is full, the entry whose minute began first makes room. */
#ifndef SH_CORE_FAILURE_LIMIT_H
#define SH_CORE_FAILURE_LIMIT_H

#include "base/ip.h"

#define SH_FAILURE_ENTRIES 4096

struct sh_failures;

/* At most `limit` failures within window_ms of the first of them; 0: no limit, nobody is blocked.
 */
struct sh_failures *sh_failures_new(int64_t limit, int64_t window_ms) SH_WARN_UNUSED;
void sh_failures_free(struct sh_failures *f);
/* now_ms: of a clock that does not go back. scope: what the secret was tried for. IPv6 addresses
 * count by their /64, which is what one subscriber is given. */
void sh_failures_note(struct sh_failures *f, const char *scope, const struct sh_ip *ip,
                      int64_t now_ms);
bool sh_failures_is_blocked(const struct sh_failures *f, const char *scope, const struct sh_ip *ip,
                            int64_t now_ms);

#endif
