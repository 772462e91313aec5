/* SPDX-License-Identifier: MIT
 * sender_gate.h: who stands behind a request, and may it come in? On the loop thread only.
 *
 * Its address is the peer's, unless the peer is one of `trusted_proxies`: then what the proxy says
 * of it. Wrong secrets are counted by address (IPv6: by /64) and by what was tried (a source, the
 * API), in a table of fixed size where the oldest make room. docs/authentication.md tells why a
 * blocked address is still asked for its proof where the proof cannot be guessed. */
#ifndef SH_APP_SENDER_GATE_H
#define SH_APP_SENDER_GATE_H

#include "app/config.h"
#include "base/ip.h"
#include "core/sender_auth.h"
#include "svc/http_server.h"

struct sh_gate;

/* config is borrowed and must outlive the gate. */
struct sh_gate *sh_gate_new(const struct sh_config *config) SH_WARN_UNUSED;
void sh_gate_free(struct sh_gate *g);

/* The address of whoever sent the request, as text into out; "" if it has none (a Unix socket). */
const char *sh_gate_address(const struct sh_gate *g, struct sh_http_request *req,
                            char out[SH_IP_TEXT]);

/* Did whoever sent the request speak HTTPS: to the engine itself, or, by its word, to one of
 * `trusted_proxies`? */
bool sh_gate_is_https(const struct sh_gate *g, const struct sh_http_request *req);

/* Have this address and scope ("api", or "source:NAME") failed limits.auth_failures times within
 * the minute that began with the first of them? Addresses of trusted proxies, and what is no
 * address, never are: many may stand behind them. */
bool sh_gate_is_blocked(struct sh_gate *g, const char *scope, const char *address);
/* A secret was tried, and was wrong. */
void sh_gate_failed(struct sh_gate *g, const char *scope, const char *address);

/* May this sender post to the source (config's own)? path: the named segments of its path. Failures
 * are counted. address: of sh_gate_address(). */
enum sh_auth_reason sh_gate_check(struct sh_gate *g, const struct sh_source_config *source,
                                  struct sh_http_request *req, const struct sh_path_args *path,
                                  const char *address);
/* Before the proof: is the address in the source's `from`, and is a path's secret right? What a
 * set-up request (`echo`) must pass. */
enum sh_auth_reason sh_gate_check_setup(struct sh_gate *g, const struct sh_source_config *source,
                                        const struct sh_path_args *path, const char *address);

/* The path as a log may show it: of a source with named segments its pattern, of any other path
 * that begins like one the part before them and "...": a segment may be a secret. Of one that
 * has such a secret anywhere, "...". path may be percent-encoded. Borrowed from path, config or
 * out. */
#define SH_SHOWN_PATH 256
const char *sh_gate_shown_path(const struct sh_config *config, const char *path,
                               char out[SH_SHOWN_PATH]);

#endif
