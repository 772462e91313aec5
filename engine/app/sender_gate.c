/* SPDX-License-Identifier: MIT
 * sender_gate.c: addresses, allow-lists, proofs, and those who guess. */
#include "app/sender_gate.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/failure_limit.h"
#include "core/forwarded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WINDOW_MS   60000
#define OLDER_US    60000000 /* between two lines about a source */
#define MAX_SCOPE   (SH_MAX_NAME_BYTES + 16)
#define FORWARDED   "Forwarded"
#define X_FORWARDED "X-Forwarded-For"

struct older { /* requests with another than the first secret */
    int64_t said_us, unsaid;
};

struct sh_gate {
    const struct sh_config *config; /* borrowed */
    struct sh_auth **auths;         /* one for each source */
    struct older *older;            /* the same */
    struct sh_forwarded forwarded;
    struct sh_failures *failures;
    bool warned; /* of a proxy that nobody has told of */
};

struct sh_gate *sh_gate_new(const struct sh_config *config)
{
    struct sh_gate *g = sh_alloc(1, sizeof(*g));
    g->config = config;
    g->forwarded = (struct sh_forwarded){config->trusted_proxies, config->n_trusted_proxies,
                                         config->forwarded_standard};
    g->auths = sh_alloc(config->n_sources + 1, sizeof(*g->auths));
    for (size_t i = 0; i < config->n_sources; i++)
        g->auths[i] = sh_auth_new(&config->sources[i].auth);
    g->older = sh_alloc(config->n_sources + 1, sizeof(*g->older));
    g->failures = sh_failures_new(config->auth_failures, WINDOW_MS);
    return g;
}

void sh_gate_free(struct sh_gate *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->config->n_sources; i++)
        sh_auth_free(g->auths[i]);
    free(g->auths);
    free(g->older);
    sh_failures_free(g->failures);
    free(g);
}

/* --- whose address -------------------------------------------------------------------------- */

static const char *header_of(void *arg, const char *name, size_t n)
{
    return sh_http_header_at(arg, name, n);
}

const char *sh_gate_address(const struct sh_gate *g, struct sh_http_request *req,
                            char out[SH_IP_TEXT])
{
    struct sh_ip ip;
    if (!sh_ip_parse(sh_http_peer(req), &ip)) {
        snprintf(out, SH_IP_TEXT, "%s", sh_http_peer(req));
        return out;
    }
    ip = sh_forwarded_address(&g->forwarded, ip, header_of, req);
    return sh_ip_text(&ip, out);
}

static const char *header_in(void *arg, const char *name, size_t n)
{
    const struct sh_http_request *const *req = arg;
    return sh_http_header_at(*req, name, n);
}

bool sh_gate_is_https(const struct sh_gate *g, const struct sh_http_request *req)
{
    struct sh_ip ip;
    if (g->config->tls.cert)
        return true;
    return sh_ip_parse(sh_http_peer(req), &ip) &&
           sh_forwarded_is_https(&g->forwarded, ip, header_in, &req);
}

/* Everybody behind a proxy that nobody has told of has one address: said once. */
static void warn_of_proxy(struct sh_gate *g, const struct sh_http_request *req, const char *address)
{
    if (g->warned || strcmp(sh_http_peer(req), address) != 0 ||
        (strncmp(address, "127.", 4) != 0 && strcmp(address, "::1") != 0) ||
        (!sh_http_header(req, X_FORWARDED) && !sh_http_header(req, FORWARDED)))
        return;
    struct sh_ip ip;
    if (sh_ip_parse(address, &ip) && sh_forwarded_is_proxy(&g->forwarded, &ip))
        return;
    g->warned = true;
    sh_warn("a proxy on this machine forwards requests, and its word on where they come from is "
            "not taken: add its address to trusted_proxies",
            "peer", address);
}

/* --- those who guess ------------------------------------------------------------------------ */

static bool is_counted(const struct sh_gate *g, const char *address, struct sh_ip *ip)
{
    return sh_ip_parse(address, ip) && !sh_forwarded_is_proxy(&g->forwarded, ip);
}

bool sh_gate_is_blocked(struct sh_gate *g, const char *scope, const char *address)
{
    struct sh_ip ip;
    return is_counted(g, address, &ip) &&
           sh_failures_is_blocked(g->failures, scope, &ip, sh_mono_us() / 1000);
}

void sh_gate_failed(struct sh_gate *g, const char *scope, const char *address)
{
    struct sh_ip ip;
    if (is_counted(g, address, &ip))
        sh_failures_note(g->failures, scope, &ip, sh_mono_us() / 1000);
}

/* --- may it come in ------------------------------------------------------------------------- */

static bool is_from(const struct sh_source_config *source, const char *address)
{
    struct sh_ip ip;
    return !source->from ||
           (sh_ip_parse(address, &ip) && sh_ip_in(&ip, source->from, source->n_from));
}

/* The proof itself, and what a wrong one costs. */
static enum sh_auth_reason check_proof(struct sh_gate *g, const struct sh_source_config *source,
                                       const struct sh_auth_request *r, const char *address)
{
    struct sh_auth *auth = g->auths[source - g->config->sources];
    char scope[MAX_SCOPE];
    snprintf(scope, sizeof(scope), "source:%.128s", source->source.name);
    const bool guesses = sh_auth_is_guessable(&source->auth);
    if (guesses && sh_gate_is_blocked(g, scope, address))
        return SH_AUTH_TOO_MANY;
    const enum sh_auth_reason why = sh_auth_check(auth, r);
    if (!sh_auth_is_guess(why))
        return why;
    if (!guesses && sh_gate_is_blocked(g, scope, address))
        return SH_AUTH_TOO_MANY;
    sh_gate_failed(g, scope, address);
    return why;
}

/* As long as there are such lines, the older secrets cannot go. */
static void tell_older(struct sh_gate *g, const struct sh_source_config *source,
                       const char *address)
{
    struct older *o = &g->older[source - g->config->sources];
    const int64_t now_us = sh_mono_us();
    o->unsaid++;
    if (o->said_us && now_us - o->said_us < OLDER_US)
        return;
    sh_info("an older secret is still in use", "source", source->source.name, "peer", address,
            "requests", SH_NUM(o->unsaid));
    o->said_us = now_us;
    o->unsaid = 0;
}

enum sh_auth_reason sh_gate_check(struct sh_gate *g, const struct sh_source_config *source,
                                  struct sh_http_request *req, const struct sh_path_args *path,
                                  const char *address)
{
    warn_of_proxy(g, req, address);
    if (!is_from(source, address))
        return SH_AUTH_ADDRESS;
    if (source->auth.kind <= SH_AUTH_NONE)
        return SH_AUTH_OK;
    const struct sh_auth_request r = {
        .header = header_of,
        .arg = req,
        .body = sh_auth_reads_body(&source->auth) ? sh_http_body(req) : sh_slice("", 0),
        .format = source->source.format,
        .path = path,
        .now_ms = sh_now_ms(),
    };
    const enum sh_auth_reason why = check_proof(g, source, &r, address);
    if (why == SH_AUTH_OK && sh_auth_was_older(g->auths[source - g->config->sources]))
        tell_older(g, source, address);
    return why;
}

static const char *no_header(void *arg, const char *name, size_t n)
{
    (void)arg, (void)name, (void)n;
    return NULL;
}

enum sh_auth_reason sh_gate_check_setup(struct sh_gate *g, const struct sh_source_config *source,
                                        const struct sh_path_args *path, const char *address)
{
    const struct sh_auth_request r = {.header = no_header, .path = path, .now_ms = sh_now_ms()};
    if (!is_from(source, address))
        return SH_AUTH_ADDRESS;
    if (source->auth.kind != SH_AUTH_PATH)
        return SH_AUTH_OK;
    return check_proof(g, source, &r, address);
}

/* --- paths in logs -------------------------------------------------------------------------- */

/* Percent-escapes undone; what cannot be is left as it is. Cut at the room. */
static void unescape(const char *path, char *out, size_t room)
{
    size_t n = 0;
    for (; *path && n < room - 1; path++) {
        char hex[3] = {0};
        if (*path == '%' && path[1] && path[2]) {
            memcpy(hex, path + 1, 2);
            if (hex[strspn(hex, "0123456789abcdefABCDEF")] == '\0') {
                out[n++] = (char)strtol(hex, NULL, 16);
                path += 2;
                continue;
            }
        }
        out[n++] = *path;
    }
    out[n] = '\0';
}

/* Does a path hold a secret that one of the sources expects in its own? Whoever mistypes an address
 * (a slash too many, another name) sends the secret along. */
static bool has_secret(const struct sh_config *config, const char *path)
{
    const size_t room = strlen(path) + 1;
    char *plain = sh_alloc(room, 1);
    bool found = false;
    unescape(path, plain, room);
    for (size_t i = 0; i < config->n_sources; i++) {
        const struct sh_auth_config *auth = &config->sources[i].auth;
        for (char **s = auth->secrets; auth->kind == SH_AUTH_PATH && s && *s; s++)
            found = found || strcasestr(plain, *s);
    }
    free(plain);
    return found;
}

const char *sh_gate_shown_path(const struct sh_config *config, const char *path,
                               char out[SH_SHOWN_PATH])
{
    char plain[SH_SHOWN_PATH];
    unescape(path, plain, sizeof(plain));
    for (size_t i = 0; i < config->n_sources; i++) {
        const char *pattern = config->sources[i].path;
        if (!sh_path_pattern_has(pattern, NULL))
            continue;
        if (sh_path_match(pattern, plain, NULL))
            return pattern;
        const size_t n = strcspn(pattern, "{");
        if (strncasecmp(plain, pattern, n) != 0)
            continue;
        snprintf(out, SH_SHOWN_PATH, "%.*s...", (int)(n < SH_SHOWN_PATH - 4 ? n : 0), pattern);
        return out;
    }
    return has_secret(config, path) ? "..." : path;
}
