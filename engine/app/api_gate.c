/* SPDX-License-Identifier: MIT
 * api_gate.c: who a request on the engine's own address comes from. */
#include "app/api_impl.h"
#include "app/api_token.h"
#include "app/session.h"
#include "base/clock.h"
#include "svc/crypto.h"

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

/* A text's beginning taken off. */
static bool skip(const char **text, const char *start)
{
    const size_t n = strlen(start);
    if (strncmp(*text, start, n) != 0)
        return false;
    *text += n;
    return true;
}

/* No Origin, or that of this very address: RFC 6454. https: no page that came in the clear. */
static bool is_own_origin(const struct sh_http_request *req, bool https)
{
    const char *origin = sh_http_header(req, "Origin");
    const char *host = sh_http_header(req, "Host");
    if (!origin)
        return true;
    if (!skip(&origin, "https://") && (https || !skip(&origin, "http://")))
        return false;
    return host && strcasecmp(origin, host) == 0;
}

/* That of the configured `url`: a proxy may ask by a name of its own. */
static bool is_configured_origin(const struct sh_http_request *req, const char *url, bool https)
{
    const char *origin = sh_http_header(req, "Origin");
    const char *host = url ? strstr(url, "://") : NULL;
    if (!origin || !host || (https && strncmp(url, "https://", 8) != 0))
        return false;
    const size_t n = (size_t)(host + 3 - url) + strcspn(host + 3, "/?#");
    return strlen(origin) == n && strncasecmp(origin, url, n) == 0;
}

/* Fetch Metadata: browsers send it to HTTPS addresses and to this machine's. typed: also what a
 * person has typed into the address bar. */
static bool is_own_site(const struct sh_http_request *req, bool typed)
{
    const char *site = sh_http_header(req, "Sec-Fetch-Site");
    return !site || strcmp(site, "same-origin") == 0 || (typed && strcmp(site, "none") == 0);
}

static bool is_read(const struct sh_http_request *req)
{
    return sh_http_method(req) == SH_HTTP_GET || sh_http_method(req) == SH_HTTP_HEAD;
}

/* Not by way of another's web page: what a browser sends along of itself (a cookie) proves nothing
 * about who made it send. */
static bool is_own_page(const struct sh_api *api, const struct sh_http_request *req, bool https)
{
    return (is_own_origin(req, https) ||
            is_configured_origin(req, api->config.config->public_url, https)) &&
           is_own_site(req, is_read(req));
}

bool sh_api_may_read(struct sh_api *api, struct sh_http_request *req)
{
    char address[SH_IP_TEXT];
    struct sh_api_caller caller = {.peer = sh_gate_address(api->config.gate, req, address)};
    struct sh_api_refusal why;
    if (sh_api_is_direct(req, &why))
        return true;
    struct sh_slice text;
    const bool https = sh_gate_is_https(api->config.gate, req);
    const bool tries = sh_http_header(req, "Authorization") ||
                       sh_session_cookie(req, https, &text) != SH_COOKIE_NONE;
    return tries && sh_api_identify(api, req, &caller, &why) && caller.role >= SH_ROLE_VIEWER;
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
    if (!is_own_origin(req, false) || !is_own_site(req, true))
        return refuse(why, "from_a_web_page",
                      "without tokens the API answers no pages of other origins");
    return true;
}

/* --- tokens: RFC 6750 section 2.1 ------------------------------------------------------------ */

static const char token_needed[] = "a token is needed: Authorization: Bearer ...";

bool sh_api_refuse_token(struct sh_api_refusal *why, const char *reason)
{
    *why = (struct sh_api_refusal){401, "unauthorized", token_needed, reason};
    return false;
}

static bool refuse_starting(struct sh_api_refusal *why)
{
    *why =
        (struct sh_api_refusal){503, "starting", "the engine is starting; try again", "starting"};
    return false;
}

/* Is there a Bearer? Then *text is what stands behind it, perhaps nothing. Another scheme is for
 * somebody else: a proxy that asks for a password passes that on. */
static bool has_bearer(const struct sh_http_request *req, struct sh_slice *text)
{
    const char *header = sh_http_header(req, "Authorization");
    *text = sh_slice("", 0);
    if (!header || strncasecmp(header, "Bearer", 6) != 0 || (header[6] && header[6] != ' '))
        return false;
    header += 6 + strspn(header + 6, " ");
    *text = sh_slice(header, strcspn(header, " "));
    return true;
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
    return sh_api_refuse_token(why, "unknown_token");
}

static bool take_role(const struct sh_stored_token *token, struct sh_api_caller *caller,
                      struct sh_api_refusal *why)
{
    caller->who = token->name;
    caller->expires_ms = token->expires_ms;
    memcpy(caller->token, token->hash, sizeof(caller->token));
    return sh_role_parse(token->role, &caller->role) ||
           sh_api_refuse_token(why, "token_without_a_role");
}

static bool is_over(const struct sh_stored_token *token, int64_t now_ms)
{
    return token->expires_ms && token->expires_ms <= now_ms;
}

/* The answer is the same whatever is wrong. */
bool sh_api_prove(struct sh_api *api, struct sh_slice text, struct sh_api_caller *caller,
                  struct sh_api_refusal *why)
{
    const struct sh_stored_token *token = sh_api_tokens_find(api->tokens, text);
    caller->way = SH_CALLER_TOKEN;
    if (!token)
        return refuse_unknown(api, caller->peer ? caller->peer : "", why);
    if (is_over(token, sh_now_ms()))
        return sh_api_refuse_token(why, "expired_token");
    return take_role(token, caller, why);
}

/* --- sessions ---------------------------------------------------------------------------------
 */

static bool refuse_page(struct sh_api_refusal *why)
{
    *why = (struct sh_api_refusal){403, "csrf",
                                   "this was sent by a page of another origin than the console's",
                                   "from_a_web_page"};
    return false;
}

static bool check_csrf(const struct sh_http_request *req, struct sh_slice session,
                       struct sh_api_refusal *why)
{
    char csrf[SH_SESSION_TEXT];
    const char *sent = sh_http_header(req, "X-CSRF-Token");
    if (is_read(req))
        return true;
    sh_session_csrf(session, csrf);
    if (sent && sh_secret_eq(sh_slice_str(sent), sh_slice_str(csrf)))
        return true;
    *why = (struct sh_api_refusal){
        403, "csrf",
        "with a session's cookie a change needs the header X-CSRF-Token: csrf of GET " //
        SH_API_SESSION_PATH,
        sent ? "wrong_csrf_token" : "no_csrf_token"};
    return false;
}

/* A cookie that leads nowhere is no guess: pages that were left open send theirs for days. */
static bool find_session(const struct sh_api *api, struct sh_slice text,
                         struct sh_api_caller *caller, struct sh_api_refusal *why)
{
    const int64_t now_ms = sh_now_ms();
    const struct sh_stored_session *s = sh_sessions_find(api->sessions, text, now_ms);
    const struct sh_stored_token *token = s ? sh_api_tokens_of(api->tokens, s->token) : NULL;
    if (!token || is_over(token, now_ms))
        return sh_api_refuse_token(why, "no_session");
    if (!take_role(token, caller, why))
        return false;
    caller->way = SH_CALLER_SESSION;
    caller->expires_ms = s->expires_ms;
    memcpy(caller->session, s->hash, sizeof(caller->session));
    return true;
}

static bool identify_session(const struct sh_api *api, const struct sh_http_request *req,
                             struct sh_api_caller *caller, struct sh_api_refusal *why)
{
    struct sh_slice text;
    const bool https = sh_gate_is_https(api->config.gate, req);
    const enum sh_session_cookie cookie = sh_session_cookie(req, https, &text);
    if (cookie == SH_COOKIE_NONE)
        return sh_api_refuse_token(why, "no_token");
    if (!is_own_page(api, req, https))
        return refuse_page(why);
    if (cookie == SH_COOKIE_BAD)
        return sh_api_refuse_token(why, "bad_cookie");
    if (!sh_sessions_known(api->sessions))
        return refuse_starting(why);
    return find_session(api, text, caller, why) && check_csrf(req, text, why);
}

bool sh_api_may_log_in(struct sh_api *api, const struct sh_http_request *req,
                       struct sh_api_refusal *why)
{
    return is_own_page(api, req, sh_gate_is_https(api->config.gate, req)) || refuse_page(why);
}

bool sh_api_is_still_in(const struct sh_api *api, const struct sh_api_caller *caller)
{
    const int64_t now_ms = sh_now_ms();
    if (caller->way == SH_CALLER_SOCKET)
        return true;
    if (caller->way == SH_CALLER_OPEN)
        return sh_api_tokens_count(api->tokens) == 0;
    const struct sh_stored_token *token = sh_api_tokens_of(api->tokens, caller->token);
    return token && !is_over(token, now_ms) &&
           (caller->way == SH_CALLER_TOKEN ||
            sh_sessions_has(api->sessions, caller->session, now_ms));
}

bool sh_api_identify(struct sh_api *api, const struct sh_http_request *req,
                     struct sh_api_caller *caller, struct sh_api_refusal *why)
{
    struct sh_slice text;
    if (!sh_api_tokens_known(api->tokens))
        return refuse_starting(why);
    if (sh_api_tokens_count(api->tokens) == 0) {
        caller->who = "local";
        caller->role = SH_ROLE_ADMIN;
        caller->way = SH_CALLER_OPEN;
        return sh_api_is_direct(req, why);
    }
    if (!has_bearer(req, &text))
        return identify_session(api, req, caller, why);
    if (text.n == 0)
        return sh_api_refuse_token(why, "no_token");
    return sh_api_prove(api, text, caller, why);
}

const char *sh_api_audit_role(const struct sh_api_caller *caller)
{
    return caller->peer ? sh_role_name(caller->role) : "local";
}
