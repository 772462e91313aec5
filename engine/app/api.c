/* SPDX-License-Identifier: MIT
 * api.c: from a request to its handler, and answers. */
#include "app/api_impl.h"

#include "app/api_live.h"
#include "app/api_token.h"
#include "app/playground.h"
#include "app/session.h"
#include "base/clock.h"
#include "base/log.h"
#include "svc/crypto.h"
#include "svc/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_BYTES        8192
#define ANSWER_BYTES       ((size_t)16 << 20)
#define RETRY_AFTER_S      "5"
#define LOG_LINES_A_SECOND 10

/* --- roles ---------------------------------------------------------------------------------- */

static const char *const roles[] = {"none", "viewer", "operator", "admin"};

const char *sh_role_name(enum sh_role role)
{
    return roles[role];
}

bool sh_role_parse(const char *name, enum sh_role *role)
{
    for (int i = SH_ROLE_VIEWER; i <= SH_ROLE_ADMIN; i++) {
        if (strcmp(roles[i], name) == 0) {
            *role = (enum sh_role)i;
            return true;
        }
    }
    return false;
}

/* --- calls ---------------------------------------------------------------------------------- */

static struct sh_api_call *call_new(struct sh_api *api, struct sh_http_request *req,
                                    const struct sh_api_caller *caller)
{
    struct sh_api_call *c = sh_alloc(1, sizeof(*c));
    c->api = api;
    c->req = req;
    c->caller = *caller;
    c->caller.who = sh_strdup(caller->who);
    c->caller.peer = sh_strdup(caller->peer);
    TAILQ_INSERT_TAIL(&api->calls, c, link);
    api->n_calls++;
    return c;
}

static void call_free(struct sh_api_call *c)
{
    TAILQ_REMOVE(&c->api->calls, c, link);
    c->api->n_calls--;
    if (c->drop)
        c->drop(c->data);
    for (size_t i = 0; i < SH_API_SEGMENTS; i++)
        free(c->segment[i]);
    for (size_t i = 0; i < c->n_params; i++) {
        free(c->param[i].name);
        free(c->param[i].value);
    }
    cJSON_Delete(c->body);
    sh_buf_free(&c->answer.text);
    free(c->answer.download);
    free((char *)c->caller.who);
    free((char *)c->caller.peer);
    free(c);
}

/* --- answers -------------------------------------------------------------------------------- */

/* A browser that is logged in asks with its cookie, whoever's page makes it ask: what it gets is no
 * picture and no frame of another's page. */
static void safe_headers(struct sh_http_request *req)
{
    sh_http_add_header(req, "Cache-Control", "no-store");
    sh_http_add_header(req, "X-Content-Type-Options", "nosniff");
    sh_http_add_header(req, "Content-Security-Policy",
                       "default-src 'none'; frame-ancestors 'none'");
    sh_http_add_header(req, "Cross-Origin-Resource-Policy", "same-origin");
}

void sh_api_header(struct sh_api_call *c, const char *name, const char *value)
{
    sh_http_add_header(c->req, name, value);
}

static void tally(const struct sh_api_call *c, int status)
{
    sh_meter_api(c->api->config.meter, c->route ? c->route->pattern : NULL, status);
}

void sh_api_reply_text(struct sh_api_call *c, int status, const char *type, struct sh_slice text)
{
    tally(c, status);
    safe_headers(c->req);
    sh_http_reply(c->req, status, type, text);
    call_free(c);
}

void sh_api_reply(struct sh_api_call *c, int status, const cJSON *tree)
{
    struct sh_buf out;
    sh_buf_init(&out, ANSWER_BYTES);
    if (sh_json_print(tree, &out))
        sh_api_reply_text(c, status, NULL, sh_slice(out.data, out.len));
    else
        sh_api_fail(c, 500, "answer_too_large", "the answer takes more than %zu bytes",
                    ANSWER_BYTES);
    sh_buf_free(&out);
}

/* message: as printf made it, perhaps cut within a character. */
static void refuse(struct sh_http_request *req, int status, const char *code, const char *member,
                   const char *name, const char *message)
{
    struct sh_buf b;
    sh_buf_init(&b, ERROR_BYTES);
    sh_buf_adds(&b, "{\"error\":{\"code\":");
    sh_json_quote(&b, sh_slice_str(code));
    sh_buf_adds(&b, ",\"message\":");
    sh_json_quote(&b, sh_slice_str(message));
    if (member) {
        sh_buf_addf(&b, ",\"%s\":", member);
        sh_json_quote(&b, sh_slice_str(name));
    }
    sh_buf_adds(&b, "}}");
    sh_require(sh_buf_ok(&b));
    safe_headers(req);
    if (status == 503)
        sh_http_add_header(req, "Retry-After", RETRY_AFTER_S);
    sh_http_reply(req, status, NULL, sh_slice(b.data, b.len));
    sh_buf_free(&b);
}

/* As much of a text as is whole characters, within n bytes. */
static void cut(char *text, size_t n)
{
    if (strlen(text) < n)
        return;
    size_t end = n;
    while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    text[end] = '\0';
}

static void fail(struct sh_api_call *c, int status, const char *code, const char *member,
                 const char *name, const char *fmt, va_list args)
{
    char message[1024], where[256] = "";
    vsnprintf(message, sizeof(message), fmt, args);
    cut(message, sizeof(message) - 2);
    if (name)
        snprintf(where, sizeof(where), "%s", name);
    cut(where, sizeof(where) - 2);
    tally(c, status);
    refuse(c->req, status, code, member, where, message);
    call_free(c);
}

void sh_api_fail(struct sh_api_call *c, int status, const char *code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fail(c, status, code, NULL, NULL, fmt, args);
    va_end(args);
}

void sh_api_fail_at(struct sh_api_call *c, int status, const char *code, const char *member,
                    const char *name, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fail(c, status, code, member, name, fmt, args);
    va_end(args);
}

struct sh_http_stream *sh_api_stream(struct sh_api_call *c, const char *type, sh_http_gone_fn *gone,
                                     void *arg)
{
    safe_headers(c->req);
    struct sh_http_stream *st = sh_http_stream_begin(c->req, 200, type, gone, arg);
    if (!st) {
        sh_api_fail(c, 503, "stopping", "the engine is stopping");
        return NULL;
    }
    tally(c, 200);
    call_free(c);
    return st;
}

void sh_api_fail_store(struct sh_api_call *c, const struct sh_error *err)
{
    switch (err->code) {
    case SH_ENOTFOUND:
        sh_api_fail(c, 404, "not_found", "%s", err->msg);
        break;
    case SH_ECONFLICT:
        sh_api_fail(c, 409, "conflict", "%s", err->msg);
        break;
    case SH_EINVAL:
        sh_api_fail(c, 400, "invalid", "%s", err->msg);
        break;
    case SH_ELIMIT:
        sh_api_fail(c, 409, "limit", "%s", err->msg);
        break;
    case SH_EFULL:
        sh_api_fail(c, 503, "no_space", "no room to keep that; try again later");
        break;
    default:
        sh_warn("api: the store cannot answer", "error", err->msg);
        sh_api_fail(c, 503, "store_failed", "the store cannot answer now; try again later");
    }
}

/* --- from path to route --------------------------------------------------------------------- */

static const char *method_name(enum sh_http_method method)
{
    static const char *const names[] = {
        [SH_HTTP_GET] = "GET",        [SH_HTTP_HEAD] = "HEAD",     [SH_HTTP_POST] = "POST",
        [SH_HTTP_PUT] = "PUT",        [SH_HTTP_DELETE] = "DELETE", [SH_HTTP_PATCH] = "PATCH",
        [SH_HTTP_OPTIONS] = "OPTIONS"};
    return names[method];
}

static void clear_segments(struct sh_api_call *c)
{
    for (size_t i = 0; i < SH_API_SEGMENTS; i++) {
        free(c->segment[i]);
        c->segment[i] = NULL;
    }
}

static bool same_segment(struct sh_slice pattern, const char *segment)
{
    return strlen(segment) == pattern.n && memcmp(segment, pattern.p, pattern.n) == 0;
}

/* Does a path, as sent, fit? Segments are decoded one by one: a slash in a name is %2F. */
static bool fits(struct sh_api_call *c, const char *pattern, struct sh_slice path)
{
    size_t n = 0;
    clear_segments(c);
    while (*pattern == '/' && path.n && *path.p == '/') {
        const struct sh_slice want = sh_slice(pattern + 1, strcspn(pattern + 1, "/"));
        const char *end = memchr(path.p + 1, '/', path.n - 1);
        const size_t len = end ? (size_t)(end - path.p) : path.n;
        char *segment = sh_api_decode(sh_slice(path.p + 1, len - 1), false);
        const bool any = want.n && *want.p == '{';
        if (!segment || (any ? !*segment : !same_segment(want, segment))) {
            free(segment);
            return false;
        }
        if (any)
            c->segment[n++] = segment;
        else
            free(segment);
        pattern += 1 + want.n;
        path = sh_slice(path.p + len, path.n - len);
    }
    return !*pattern && !path.n;
}

static void allow(char out[64], enum sh_http_method method)
{
    const size_t n = strlen(out);
    snprintf(out + n, 64 - n, "%s%s%s", n ? ", " : "", method_name(method),
             method == SH_HTTP_GET ? ", HEAD" : "");
}

/* The route of the call. If there is none: answered, and false. */
static bool find_route(struct sh_api_call *c)
{
    const enum sh_http_method asked = sh_http_method(c->req);
    const enum sh_http_method method = asked == SH_HTTP_HEAD ? SH_HTTP_GET : asked;
    const struct sh_slice path = sh_http_raw_path(c->req);
    char methods[64] = "";
    for (size_t t = 0; sh_api_all[t]; t++) {
        for (size_t i = 0; i < sh_api_all[t]->n; i++) {
            const struct sh_api_route *r = &sh_api_all[t]->list[i];
            if (!fits(c, r->pattern, path))
                continue;
            c->route = r;
            if (r->method == method)
                return true;
            allow(methods, r->method);
        }
    }
    if (!*methods) {
        sh_api_fail(c, 404, "not_found", "the API has nothing of this path");
        return false;
    }
    allow(methods, SH_HTTP_OPTIONS);
    sh_api_header(c, "Allow", methods);
    if (method == SH_HTTP_OPTIONS)
        sh_api_reply_text(c, 204, NULL, sh_slice("", 0));
    else
        sh_api_fail(c, 405, "method_not_allowed", "here: %s", methods);
    return false;
}

/* The path alone: a query may hold a secret. */
static void note(struct sh_api *api, const struct sh_api_caller *caller, const char *path,
                 const char *why)
{
    const int64_t second = sh_mono_us() / 1000000;
    sh_meter_refused(api->config.meter, NULL, why);
    if (second != api->log_second) {
        api->log_second = second;
        api->log_lines = 0;
    }
    if (api->log_lines++ >= LOG_LINES_A_SECOND)
        return;
    if (caller->who)
        sh_info("api request refused", "reason", why, "who", caller->who, "peer",
                caller->peer ? caller->peer : "", "path", path);
    else
        sh_info("api request refused", "reason", why, "peer", caller->peer ? caller->peer : "",
                "path", path);
}

void sh_api_refuse(struct sh_api_call *c, const struct sh_api_refusal *why)
{
    note(c->api, &c->caller, sh_http_path(c->req), why->reason);
    if (why->status == 401)
        sh_api_header(c, "WWW-Authenticate", "Bearer");
    sh_api_fail(c, why->status, why->code, "%s", why->message);
}

static bool check_role(struct sh_api_call *c)
{
    if (c->caller.role >= c->route->role)
        return true;
    note(c->api, &c->caller, sh_http_path(c->req), "role_too_low");
    sh_api_fail(c, 403, "role_too_low", "this needs the role %s; yours is %s",
                sh_role_name(c->route->role), sh_role_name(c->caller.role));
    return false;
}

void sh_api_handle(struct sh_api *api, struct sh_http_request *req,
                   const struct sh_api_caller *caller)
{
    struct sh_api_call *c = call_new(api, req, caller);
    if (api->stopped)
        sh_api_fail(c, 503, "stopping", "the engine is stopping");
    else if (find_route(c) && check_role(c) && sh_api_read_query(c) && sh_api_check_params(c) &&
             sh_api_read_body(c))
        c->route->fn(c);
}

/* --- the engine's own address --------------------------------------------------------------- */

static bool is_log_in(const struct sh_http_request *req)
{
    return sh_http_method(req) == SH_HTTP_POST &&
           sh_slice_eq(sh_http_raw_path(req), SH_SLICE(SH_API_SESSION_PATH));
}

/* Whoever logs in is nobody yet. */
static bool let_in(struct sh_api *api, struct sh_http_request *req, struct sh_api_caller *caller,
                   struct sh_api_refusal *why)
{
    return is_log_in(req) ? sh_api_may_log_in(api, req, why)
                          : sh_api_identify(api, req, caller, why);
}

bool sh_api_public(struct sh_api *api, struct sh_http_request *req)
{
    char address[SH_IP_TEXT];
    struct sh_api_caller caller = {.peer = sh_gate_address(api->config.gate, req, address)};
    struct sh_api_refusal why;
    if (strncmp(sh_http_path(req), SH_API_PREFIX, strlen(SH_API_PREFIX)) != 0)
        return false;
    if (sh_api_has_token(sh_http_query(req))) {
        note(api, &caller, sh_http_path(req), "token_in_query");
        sh_meter_api(api->config.meter, NULL, 400);
        refuse(
            req, 400, "token_in_query", NULL, NULL,
            "a token belongs into the header Authorization: Bearer, never into an address, which "
            "is kept in logs and histories; take it for lost and make another");
    } else if (!let_in(api, req, &caller, &why)) {
        note(api, &caller, sh_http_path(req), why.reason);
        sh_meter_api(api->config.meter, NULL, why.status);
        if (why.status == 401)
            sh_http_add_header(req, "WWW-Authenticate", "Bearer");
        refuse(req, why.status, why.code, NULL, NULL, why.message);
    } else {
        sh_api_handle(api, req, &caller);
    }
    return true;
}

/* --- life ----------------------------------------------------------------------------------- */

struct sh_api *sh_api_new(const struct sh_api_config *config, struct sh_error *err)
{
    struct sh_api *api = sh_alloc(1, sizeof(*api));
    api->config = *config;
    TAILQ_INIT(&api->calls);
    sh_random(api->cursor_key, sizeof(api->cursor_key));
    const struct sh_api_reader_config reader = {
        .base = config->base, .dir = config->config->data, .store = config->store};
    api->reader = sh_api_reader_new(&reader, err);
    if (!api->reader) {
        free(api);
        return NULL;
    }
    api->live = sh_api_live_new(api);
    api->sessions = sh_sessions_new(config->base, config->store);
    api->playground = sh_playground_new(config->base, config->config);
    api->tokens = sh_api_tokens_new(config->base, config->store, config->known, config->arg);
    return api;
}

size_t sh_api_pending(const struct sh_api *api)
{
    return api->n_calls;
}

void sh_api_leave(struct sh_api *api)
{
    sh_playground_stop(api->playground);
}

void sh_api_stop(struct sh_api *api)
{
    api->stopped = true;
    sh_api_live_stop(api->live);
    sh_api_reader_stop(api->reader);
    sh_playground_stop(api->playground);
    sh_api_tokens_stop(api->tokens);
    sh_sessions_stop(api->sessions);
}

void sh_api_free(struct sh_api *api)
{
    struct sh_api_call *c, *next;
    if (!api)
        return;
    sh_api_live_free(api->live);
    sh_api_reader_free(api->reader);
    sh_playground_free(api->playground);
    for (c = TAILQ_FIRST(&api->calls); c; c = next) {
        next = TAILQ_NEXT(c, link);
        call_free(c);
    }
    sh_api_tokens_free(api->tokens);
    sh_sessions_free(api->sessions);
    free(api);
}
