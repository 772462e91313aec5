/* SPDX-License-Identifier: MIT
 * api_gate.c: who a request on the engine's own address comes from. */
#include "app/api_impl.h"
#include "app/api_token.h"
#include "base/clock.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool refuse(struct sh_api_refusal *why, const char *reason, const char *message)
{
    *why = (struct sh_api_refusal){403, "not_direct", message, reason};
    return false;
}

static bool is_loopback(const char *peer)
{
    if (strncmp(peer, "::ffff:", 7) == 0)
        peer += 7;
    return strncmp(peer, "127.", 4) == 0 || strcmp(peer, "::1") == 0;
}

/* Headers that a proxy adds: who really asks is somebody else. So it is with HTTP/1.0, which nginx
 * speaks unless told otherwise, with the engine's own address as Host and no header added. */
static bool is_forwarded(const struct sh_http_request *req)
{
    static const char *const names[] = {"Forwarded",
                                        "Via",
                                        "X-Forwarded",
                                        "X-Forwarded-For",
                                        "X-Forwarded-Host",
                                        "X-Forwarded-Port",
                                        "X-Forwarded-Prefix",
                                        "X-Forwarded-Proto",
                                        "X-Forwarded-Scheme",
                                        "X-Forwarded-Server",
                                        "X-Original-Forwarded-For",
                                        "X-Original-Host",
                                        "X-Original-URL",
                                        "X-Real-IP",
                                        "X-Client-IP",
                                        "Client-IP",
                                        "X-Cluster-Client-IP",
                                        "X-Envoy-External-Address",
                                        "CDN-Loop",
                                        "CF-Connecting-IP",
                                        "Fastly-Client-IP",
                                        "Fly-Client-IP",
                                        "True-Client-IP"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (sh_http_header(req, names[i]))
            return true;
    return sh_http_is_1_0(req);
}

/* "127.0.0.1", and no name that only begins like it. */
static bool is_ipv4_loopback(struct sh_slice host)
{
    int dots = 0, digits = 0, value = 0;
    if (host.n < 4 || memcmp(host.p, "127.", 4) != 0)
        return false;
    for (size_t i = 0; i < host.n; i++) {
        if (host.p[i] == '.') {
            if (digits == 0 || ++dots > 3)
                return false;
            digits = value = 0;
        } else if (!isdigit((unsigned char)host.p[i]) || ++digits > 3 ||
                   (value = value * 10 + host.p[i] - '0') > 255) {
            return false;
        }
    }
    return dots == 3 && digits > 0;
}

/* A page of another name that resolves to this machine (DNS rebinding) sends that name. */
static bool is_loopback_host(const char *host)
{
    if (!host)
        return false;
    const bool bracket = *host == '[';
    const size_t n = bracket ? strcspn(host, "]") + 1 : strcspn(host, ":");
    const char *port = strlen(host) > n ? host + n : "";
    if (*port == ':')
        port++;
    if (strlen(port) != strspn(port, "0123456789") || (bracket && !strchr(host, ']')))
        return false;
    const struct sh_slice name = sh_slice(host, n);
    return sh_slice_eq(name, SH_SLICE("[::1]")) || is_ipv4_loopback(name) ||
           (n == 9 && strncasecmp(host, "localhost", 9) == 0);
}

/* No Origin, or that of this very address: RFC 6454. */
static bool is_own_origin(const struct sh_http_request *req)
{
    const char *origin = sh_http_header(req, "Origin");
    const char *host = sh_http_header(req, "Host");
    if (!origin)
        return true;
    if (strncmp(origin, "http://", 7) == 0)
        origin += 7;
    else if (strncmp(origin, "https://", 8) == 0)
        origin += 8;
    else
        return false;
    return host && strcasecmp(origin, host) == 0;
}

static bool is_own_site(const struct sh_http_request *req)
{
    const char *site = sh_http_header(req, "Sec-Fetch-Site");
    return !site || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
}

bool sh_api_may_read(struct sh_api *api, struct sh_http_request *req)
{
    char address[SH_IP_TEXT];
    struct sh_api_caller caller = {.peer = sh_gate_address(api->config.gate, req, address)};
    struct sh_api_refusal why;
    if (sh_api_is_direct(req, &why))
        return true;
    return sh_http_header(req, "Authorization") && sh_api_identify(api, req, &caller, &why) &&
           caller.role >= SH_ROLE_VIEWER;
}

bool sh_api_is_direct(const struct sh_http_request *req, struct sh_api_refusal *why)
{
    if (!is_loopback(sh_http_peer(req)))
        return refuse(why, "not_this_machine",
                      "without tokens the API answers this machine alone; make one: switchhook "
                      "token new");
    if (is_forwarded(req))
        return refuse(why, "through_a_proxy",
                      "without tokens the API answers this machine alone, and nothing that a proxy "
                      "passes on; make one: switchhook token new");
    if (!is_loopback_host(sh_http_header(req, "Host")))
        return refuse(why, "another_host",
                      "without tokens the API is asked as localhost, 127.0.0.1 or [::1]");
    if (!is_own_origin(req) || !is_own_site(req))
        return refuse(why, "from_a_web_page",
                      "without tokens the API answers no pages of other origins");
    return true;
}

/* --- tokens: RFC 6750 section 2.1 ------------------------------------------------------------ */

static const char token_needed[] = "a token is needed: Authorization: Bearer ...";

static bool refuse_token(struct sh_api_refusal *why, const char *reason)
{
    *why = (struct sh_api_refusal){401, "unauthorized", token_needed, reason};
    return false;
}

/* The text behind "Bearer "; empty: none. */
static struct sh_slice bearer_of(const struct sh_http_request *req)
{
    const char *header = sh_http_header(req, "Authorization");
    if (!header || strncasecmp(header, "Bearer ", 7) != 0)
        return sh_slice("", 0);
    header += 7 + strspn(header + 7, " ");
    return sh_slice(header, strcspn(header, " "));
}

/* A right token gets in from a blocked address too: it cannot be guessed, and others behind that
 * address may not be those who try. */
static bool refuse_unknown(const struct sh_api *api, const char *address,
                           struct sh_api_refusal *why)
{
    if (sh_gate_is_blocked(api->config.gate, "api", address)) {
        *why = (struct sh_api_refusal){403, "too_many_failures",
                                       "too many wrong tokens from this address; try again later",
                                       "too_many_failures"};
        return false;
    }
    sh_gate_failed(api->config.gate, "api", address);
    return refuse_token(why, "unknown_token");
}

/* The answer is the same whatever is wrong. */
static bool identify_token(const struct sh_api *api, const struct sh_http_request *req,
                           struct sh_api_caller *caller, struct sh_api_refusal *why)
{
    const struct sh_slice text = bearer_of(req);
    if (text.n == 0)
        return refuse_token(why, "no_token");
    const struct sh_stored_token *token = sh_api_tokens_find(api->tokens, text);
    if (!token)
        return refuse_unknown(api, caller->peer, why);
    if (token->expires_ms && token->expires_ms <= sh_now_ms())
        return refuse_token(why, "expired_token");
    caller->who = token->name;
    return sh_role_parse(token->role, &caller->role) || refuse_token(why, "token_without_a_role");
}

bool sh_api_identify(struct sh_api *api, const struct sh_http_request *req,
                     struct sh_api_caller *caller, struct sh_api_refusal *why)
{
    if (!sh_api_tokens_known(api->tokens)) {
        *why = (struct sh_api_refusal){503, "starting", "the engine is starting; try again",
                                       "starting"};
        return false;
    }
    if (sh_api_tokens_count(api->tokens) > 0)
        return identify_token(api, req, caller, why);
    caller->who = "local";
    caller->role = SH_ROLE_ADMIN;
    return sh_api_is_direct(req, why);
}

const char *sh_api_audit_role(const struct sh_api_caller *caller)
{
    return caller->peer ? sh_role_name(caller->role) : "local";
}
