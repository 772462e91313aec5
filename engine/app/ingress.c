/* SPDX-License-Identifier: MIT
 * ingress.c: sources, admission, and the way of a request into the store and back. */
#include "app/ingress.h"

#include "app/ingress_answer.h"
#include "app/media_type.h"
#include "app/sender_gate.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/event_body.h"
#include "core/trace.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#define PREFLIGHT_KEEP_S   "600" /* Access-Control-Max-Age */
#define LOG_LINES_A_SECOND 10
#define LOG_RARE_MS        10000
#define CALENDAR           "/calendar/"
#define STOPPING           "the engine is stopping"
#define MAX_ACCEPT_BYTES   (32U * 1024 * 1024) /* in the store's hands at once, then 503 */

/* One request on its way through the store. */
struct accept {
    struct sh_op_accept op;
    struct sh_ingress *in; /* NULL once the ingress is freed */
    struct sh_http_request *req;
    int64_t request_us;
    TAILQ_ENTRY(accept) link;
};

struct sh_ingress {
    const struct sh_config *config;
    struct sh_store *store;
    struct sh_http_server *server;
    struct sh_gate *gate;
    sh_ingress_accepted_fn *accepted;
    void *arg;
    sh_http_handler_fn *other;
    void *other_arg;
    char *refusing; /* NULL = accepting */
    bool stopping;
    TAILQ_HEAD(, accept) accepts;
    size_t accept_bytes; /* of the bodies on their way through the store */
    struct sh_ingress_stats counts;
    struct sh_meter *meter; /* or NULL */
    const char *at;         /* the source whose request is in hand, or NULL */
    int64_t request_us;     /* when that had been read whole, monotonic */
    int64_t log_second;     /* lines about refusals are rationed: a sender must not fill the log */
    int log_lines;
    int64_t unsaid; /* refusals without a line since the last tick */
};

/* --- Refusals -------------------------------------------------------------------------------- */

/* Is there room in this second's ration of lines? For what is rare (refused_ms since the last of
 * its kind) there is: who floods one source must not hide what is wrong with another. */
static bool may_log(struct sh_ingress *in, int64_t refused_ms)
{
    const int64_t second = sh_mono_us() / 1000000;
    if (second != in->log_second) {
        in->log_second = second;
        in->log_lines = 0;
    }
    if (refused_ms >= LOG_RARE_MS || in->log_lines++ < LOG_LINES_A_SECOND)
        return true;
    in->unsaid++;
    return false;
}

void sh_ingress_tick(struct sh_ingress *in)
{
    if (in->unsaid)
        sh_info(
            "more requests were refused than there are lines for: switchhook status counts them",
            "requests", SH_NUM(in->unsaid));
    in->unsaid = 0;
}

/* Count and, within the ration, log a refusal. */
static void note(struct sh_ingress *in, enum sh_refusal why, const char *peer, const char *path,
                 const char *message)
{
    char shown[SH_SHOWN_PATH];
    in->counts.refused[why]++;
    const int64_t since_ms = sh_meter_refused(in->meter, in->at, sh_refusal_name(why));
    path = sh_gate_shown_path(in->config, path, shown);
    if (strncasecmp(path, CALENDAR, strlen(CALENDAR)) == 0)
        path = CALENDAR "..."; /* what follows is as good as a password */
    if (!may_log(in, since_ms))
        return;
    if (in->at)
        sh_info("request refused", "why", sh_refusal_name(why), "message", message, "source",
                in->at, "peer", peer, "path", path);
    else
        sh_info("request refused", "why", sh_refusal_name(why), "message", message, "peer", peer,
                "path", path);
}

/* The same, of a request that was read whole. */
static void note_request(struct sh_ingress *in, struct sh_http_request *req, enum sh_refusal why,
                         const char *message)
{
    char address[SH_IP_TEXT];
    note(in, why, sh_gate_address(in->gate, req, address), sh_http_path(req), message);
}

static void refuse(struct sh_ingress *in, struct sh_http_request *req, enum sh_refusal why,
                   int status, const char *code, const char *message)
{
    note_request(in, req, why, message);
    sh_ingress_reply_error(req, status, code, message);
}

static bool origin_allowed(const struct sh_source_config *source, const char *origin)
{
    for (char **o = source->cors; o && *o; o++)
        if (strcmp(*o, "*") == 0 || strcasecmp(*o, origin) == 0)
            return true;
    return false;
}

/* Let an allowed page read a refusal of the HTTP server's too, such as 413. */
static void refused_cors(const struct sh_ingress *in, const struct sh_http_refusal *r,
                         struct sh_buf *headers)
{
    for (size_t i = 0; r->origin && i < in->config->n_sources; i++) {
        const struct sh_source_config *source = &in->config->sources[i];
        if (sh_path_match(source->path, r->path, NULL) && origin_allowed(source, r->origin))
            sh_buf_addf(headers, "Vary: Origin\r\nAccess-Control-Allow-Origin: %s\r\n", r->origin);
    }
}

/* What the HTTP server refuses by itself, in the same shape. */
static void on_refused(void *arg, const struct sh_http_refusal *r, struct sh_buf *headers,
                       struct sh_buf *body)
{
    static const struct {
        int status;
        const char *code;
    } codes[] = {{408, "request_timeout"},      {413, "body_too_large"},    {414, "uri_too_long"},
                 {417, "expectation_failed"},   {431, "headers_too_large"}, {501, "method_unknown"},
                 {503, "too_many_connections"}, {505, "http_version"}};
    struct sh_ingress *in = arg;
    const char *code = "bad_request";
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
        if (codes[i].status == r->status)
            code = codes[i].code;
    if (r->status == 503 && in->stopping)
        code = "stopping";
    note(in, r->status == 413 ? SH_REFUSED_SIZE : SH_REFUSED_REQUEST, "", r->path, r->reason);
    refused_cors(in, r, headers);
    sh_answer_open(body, code, r->reason);
    if (r->status == 413)
        sh_buf_addf(body, ",\"limit_bytes\":%lld", (long long)in->config->body_bytes);
    sh_answer_close(body);
}

/* --- Who may send ----------------------------------------------------------------------------- */

/* Every answer to an allowed page says so, errors included: otherwise the page sees only that
 * something failed. */
static void add_cors(const struct sh_source_config *source, struct sh_http_request *req,
                     const char *origin)
{
    if (source->cors)
        sh_http_add_header(req, "Vary", "Origin");
    if (!origin || !origin_allowed(source, origin))
        return;
    sh_http_add_header(req, "Access-Control-Allow-Origin", origin);
    sh_http_add_header(req, "Access-Control-Expose-Headers", "Retry-After");
}

static void preflight(struct sh_ingress *in, const struct sh_source_config *source,
                      struct sh_http_request *req, const char *origin)
{
    if (!origin) {
        sh_http_add_header(req, "Allow", "POST, OPTIONS");
        sh_http_reply(req, 204, NULL, sh_slice("", 0));
        return;
    }
    if (!origin_allowed(source, origin)) {
        refuse(in, req, SH_REFUSED_ORIGIN, 403, "origin_not_allowed",
               "pages of this origin may not post here: it is not in the source's cors list");
        return;
    }
    sh_http_add_header(req, "Access-Control-Allow-Methods", "POST");
    sh_http_add_header(req, "Access-Control-Allow-Headers",
                       "Content-Type, Authorization, Webhook-Id");
    sh_http_add_header(req, "Access-Control-Max-Age", PREFLIGHT_KEEP_S);
    sh_http_reply(req, 204, NULL, sh_slice("", 0));
}

/* Every sender that is not let in reads the same: why stands in the log, for those who may know. */
static void refuse_sender(struct sh_ingress *in, const struct sh_source_config *source,
                          struct sh_http_request *req, const char *address, enum sh_auth_reason why)
{
    const bool by_address = why == SH_AUTH_ADDRESS || why == SH_AUTH_TOO_MANY;
    in->counts.refused[SH_REFUSED_AUTH]++;
    const int64_t since_ms =
        sh_meter_refused(in->meter, source->source.name, sh_auth_reason_name(why));
    if (may_log(in, since_ms))
        sh_info("request refused", "why", sh_refusal_name(SH_REFUSED_AUTH), "reason",
                sh_auth_reason_name(why), "source", source->source.name, "peer", address, "path",
                source->path);
    if (!by_address)
        sh_http_add_header(req, "WWW-Authenticate", sh_auth_challenge(&source->auth));
    sh_ingress_reply_error(req, by_address ? 403 : 401, "unauthorized",
                           "this sender is not let in");
}

static bool let_in(struct sh_ingress *in, const struct sh_source_config *source,
                   struct sh_http_request *req, const struct sh_path_args *args)
{
    char address[SH_IP_TEXT];
    sh_gate_address(in->gate, req, address);
    const enum sh_auth_reason why = sh_gate_check(in->gate, source, req, args, address);
    if (why != SH_AUTH_OK)
        refuse_sender(in, source, req, address, why);
    return why == SH_AUTH_OK;
}

/* A sender asks, before it sends events, whether this address is meant for them: the value it has
 * put into the header comes back, and nothing is stored. */
static void on_setup(struct sh_ingress *in, const struct sh_source_config *source,
                     struct sh_http_request *req, const struct sh_path_args *args,
                     const char *value)
{
    char address[SH_IP_TEXT];
    sh_gate_address(in->gate, req, address);
    const enum sh_auth_reason why = sh_gate_check_setup(in->gate, source, args, address);
    if (why != SH_AUTH_OK) {
        refuse_sender(in, source, req, address, why);
    } else if (!sh_answer_may_echo(value) || sh_http_header_at(req, source->echo, 1)) {
        refuse(in, req, SH_REFUSED_REQUEST, 400, "bad_request",
               "the set-up header is not one value of 1 to 1024 printable ASCII characters");
    } else {
        if (may_log(in, 0))
            sh_info("set-up of a sender answered", "source", source->source.name, "peer", address);
        sh_http_add_header(req, source->echo, value);
        sh_http_reply(req, 200, NULL, SH_SLICE("{}"));
    }
}

/* --- Into the store and back ------------------------------------------------------------------ */

static void answer_failed(struct sh_ingress *in, struct sh_http_request *req,
                          const struct sh_error *err)
{
    const bool full = err->code == SH_EFULL;
    note_request(in, req, SH_REFUSED_STORE, err->msg);
    sh_ingress_reply_error(req, 503, full ? "no_space" : "store_failed",
                           full ? "no room to store the event; send it again later"
                                : "the event could not be stored; send it again later");
}

static void on_stored(struct sh_op *op)
{
    struct accept *a = op->arg;
    struct sh_ingress *in = a->in;
    struct sh_event *event = a->op.event;
    if (!in) {
        sh_event_free(event);
        free(a);
        return;
    }
    TAILQ_REMOVE(&in->accepts, a, link);
    in->accept_bytes -= event->body_len;
    if (op->ok)
        sh_meter_acknowledged(in->meter, sh_mono_us() - a->request_us);
    if (!op->ok) {
        in->at = event->source;
        answer_failed(in, a->req, &op->err);
        in->at = NULL;
        sh_event_free(event);
    } else if (a->op.duplicate) {
        in->counts.duplicates++;
        sh_meter_event(in->meter, event->source, event->type, true);
        sh_answer_id(a->req, a->op.first_id, true);
        sh_event_free(event);
    } else {
        in->counts.accepted++;
        sh_answer_id(a->req, event->id, false);
        in->accepted(in->arg, event);
    }
    free(a);
}

static void submit(struct sh_ingress *in, struct sh_http_request *req, struct sh_event *event)
{
    struct accept *a = sh_alloc(1, sizeof(*a));
    a->in = in;
    a->req = req;
    a->request_us = in->request_us;
    a->op.event = event;
    a->op.op.kind = SH_OP_ACCEPT;
    a->op.op.done = on_stored;
    a->op.op.arg = a;
    TAILQ_INSERT_TAIL(&in->accepts, a, link);
    in->accept_bytes += event->body_len;
    sh_store_submit(in->store, &a->op.op);
}

/* --- What was sent ---------------------------------------------------------------------------- */

static void refuse_body(struct sh_ingress *in, struct sh_http_request *req,
                        enum sh_body_format format, const struct sh_json_fault *fault)
{
    static const char *const codes[] = {[SH_BODY_JSON] = "invalid_json",
                                        [SH_BODY_FORM] = "invalid_form",
                                        [SH_BODY_JWT] = "invalid_jwt"};
    struct sh_buf b;
    sh_buf_init(&b, SH_ANSWER_BYTES);
    note_request(in, req, SH_REFUSED_JSON, fault->msg);
    sh_answer_open(&b, codes[format], fault->msg);
    sh_buf_addf(&b, ",\"byte\":%zu,\"line\":%zu,\"column\":%zu", fault->byte, fault->line,
                fault->col);
    sh_answer_close(&b);
    sh_answer_reply(req, 400, &b);
}

static void refuse_envelope(struct sh_ingress *in, struct sh_http_request *req, const char *field,
                            const char *message)
{
    struct sh_buf b;
    sh_buf_init(&b, SH_ANSWER_BYTES);
    note_request(in, req, SH_REFUSED_ENVELOPE, message);
    sh_answer_open(&b, "invalid_envelope", message);
    sh_buf_adds(&b, ",\"field\":");
    sh_json_quote(&b, sh_slice_str(field));
    sh_answer_close(&b);
    sh_answer_reply(req, 422, &b);
}

static const char *header_of(const void *arg, const char *name)
{
    return sh_http_header(arg, name);
}

/* Owned; NULL: none. */
static char *trace_of(const struct sh_http_request *req)
{
    char trace[SH_TRACE_TEXT];
    if (sh_http_header_at(req, "traceparent", 1)) /* two: which one is it? */
        return NULL;
    return sh_trace_read(sh_http_header(req, "traceparent"), trace) ? sh_strdup(trace) : NULL;
}

static bool is_object(struct sh_slice json)
{
    return json.p[strspn(json.p, " \t\r\n")] == '{';
}

/* Fill the event from what was sent; false: it was answered. */
static bool read_event(struct sh_ingress *in, const struct sh_source_config *source,
                       struct sh_http_request *req, const struct sh_path_args *path,
                       struct sh_event *event)
{
    struct sh_json_fault fault;
    struct sh_envelope_fault missing;
    struct sh_buf made;
    const enum sh_body_format format = source->source.format;
    struct sh_envelope_in from = {.path = path,
                                  .header = header_of,
                                  .arg = req,
                                  .no_id = !sh_auth_trusts_id(source->auth.kind)};
    bool ok = false;
    if (!sh_event_check(format, sh_slice(event->body, event->body_len), &made, &from.json, &fault))
        refuse_body(in, req, format, &fault);
    else if (!is_object(from.json))
        refuse_envelope(in, req, "", "an event is a JSON object: { ... }");
    else if (!(ok = sh_envelope_read(&source->source, &from, event, &missing)))
        refuse_envelope(in, req, missing.field, missing.msg);
    sh_buf_free(&made);
    return ok;
}

static void take(struct sh_ingress *in, const struct sh_source_config *source,
                 struct sh_http_request *req, const struct sh_path_args *path)
{
    struct sh_event *event = sh_event_new();
    event->received_ms = sh_now_ms();
    event->trace = trace_of(req);
    event->body = sh_http_body_copy(req, &event->body_len);
    if (read_event(in, source, req, path, event))
        submit(in, req, event);
    else
        sh_event_free(event);
}

static void on_post(struct sh_ingress *in, const struct sh_source_config *source,
                    struct sh_http_request *req, const struct sh_path_args *args,
                    const char *origin)
{
    const char *wrong, *echo = source->echo ? sh_http_header(req, source->echo) : NULL;
    if (origin && !origin_allowed(source, origin)) {
        refuse(in, req, SH_REFUSED_ORIGIN, 403, "origin_not_allowed",
               "pages of this origin may not post here: it is not in the source's cors list");
    } else if (echo) {
        on_setup(in, source, req, args, echo);
    } else if (!let_in(in, source, req, args)) {
        return;
    } else if (!sh_media_accepted(source->source.format, sh_http_header(req, "Content-Type"),
                                  sh_http_header(req, "Content-Encoding"), &wrong)) {
        refuse(in, req, SH_REFUSED_MEDIA, 415, "unsupported_media_type", wrong);
    } else if (in->refusing || in->accept_bytes > MAX_ACCEPT_BYTES) {
        refuse(in, req, SH_REFUSED_OVERLOAD, 503, "overloaded",
               in->refusing ? in->refusing : "too many events are being stored");
    } else {
        take(in, source, req, args);
    }
}

/* --- Paths ------------------------------------------------------------------------------------ */

static void on_source(struct sh_ingress *in, const struct sh_source_config *source,
                      struct sh_http_request *req, const struct sh_path_args *args)
{
    const char *origin = sh_http_header(req, "Origin");
    add_cors(source, req, origin);
    if (sh_http_method(req) == SH_HTTP_POST) {
        on_post(in, source, req, args, origin);
    } else if (sh_http_method(req) == SH_HTTP_OPTIONS) {
        preflight(in, source, req, origin);
    } else {
        sh_http_add_header(req, "Allow", "POST, OPTIONS");
        refuse(in, req, SH_REFUSED_METHOD, 405, "method_not_allowed",
               "events are sent here with POST");
    }
}

/* reason: why not; NULL: all is well. */
static void on_health(struct sh_ingress *in, struct sh_http_request *req, const char *reason)
{
    if (sh_http_method(req) == SH_HTTP_GET || sh_http_method(req) == SH_HTTP_HEAD) {
        if (reason) {
            sh_answer_not_ready(req, reason);
            return;
        }
        sh_http_add_header(req, "Cache-Control", "no-store");
        sh_http_reply(req, 200, NULL, SH_SLICE("{\"status\":\"ok\"}"));
        return;
    }
    sh_http_add_header(req, "Allow", "GET, HEAD");
    refuse(in, req, SH_REFUSED_METHOD, 405, "method_not_allowed", "use GET here");
}

void sh_ingress_not_found(struct sh_ingress *in, struct sh_http_request *req)
{
    refuse(in, req, SH_REFUSED_NOT_FOUND, 404, "not_found", "no source has this path");
}

static void on_request(void *arg, struct sh_http_request *req)
{
    struct sh_ingress *in = arg;
    const char *path = sh_http_path(req);
    struct sh_path_args args;
    in->request_us = sh_mono_us();
    for (size_t i = 0; i < in->config->n_sources; i++) {
        if (sh_path_match(in->config->sources[i].path, path, &args)) {
            in->at = in->config->sources[i].source.name;
            on_source(in, &in->config->sources[i], req, &args);
            in->at = NULL;
            return;
        }
    }
    const char *not_now = in->stopping ? STOPPING : in->refusing;
    if (strcmp(path, "/healthz") == 0)
        on_health(in, req, NULL);
    else if (strcmp(path, "/readyz") == 0)
        on_health(in, req, not_now);
    else if (in->stopping)
        sh_answer_not_ready(req, STOPPING);
    else if (in->refusing && !in->other)
        sh_answer_not_ready(req, in->refusing);
    else if (in->other)
        in->other(in->other_arg, req);
    else
        sh_ingress_not_found(in, req);
}

/* --- Life ------------------------------------------------------------------------------------- */

static struct sh_http_server *serve_on(struct sh_ingress *in, struct event_base *base,
                                       struct sh_service *given,
                                       const struct sh_http_limits *limits, struct sh_error *err)
{
    if (!given || !given->n_sockets)
        return sh_http_server_new(base, in->config->listen_host, in->config->listen_port, limits,
                                  on_request, on_refused, in, err);
    const size_t n = given->n_sockets;
    given->n_sockets = 0;
    return sh_http_server_new_given(base, given->sockets, n, limits, on_request, on_refused, in);
}

struct sh_ingress *sh_ingress_new(struct event_base *base, const struct sh_config *config,
                                  struct sh_service *given, struct sh_store *store,
                                  sh_ingress_accepted_fn *accepted, void *arg, struct sh_error *err)
{
    const struct sh_http_limits limits = {
        .body_bytes = (size_t)config->body_bytes,
        .header_bytes = (size_t)config->header_bytes,
        .connections = (int)config->connections,
        .header_timeout_ms = (int)config->header_timeout_ms,
        .body_timeout_ms = (int)config->body_timeout_ms,
        .idle_timeout_ms = (int)config->idle_timeout_ms,
    };
    struct sh_ingress *in = sh_alloc(1, sizeof(*in));
    in->config = config;
    in->store = store;
    in->accepted = accepted;
    in->arg = arg;
    in->gate = sh_gate_new(config);
    TAILQ_INIT(&in->accepts);
    in->server = serve_on(in, base, given, &limits, err);
    if (in->server)
        return in;
    sh_ingress_free(in);
    return NULL;
}

void sh_ingress_free(struct sh_ingress *in)
{
    struct accept *a;
    if (!in)
        return;
    TAILQ_FOREACH(a, &in->accepts, link)
    a->in = NULL;
    sh_http_server_free(in->server);
    sh_gate_free(in->gate);
    free(in->refusing);
    free(in);
}

void sh_ingress_set_tls(struct sh_ingress *in, struct sh_tls *tls)
{
    sh_http_server_set_tls(in->server, tls);
}

int sh_ingress_port(const struct sh_ingress *in)
{
    return sh_http_server_port(in->server);
}

void sh_ingress_accept(struct sh_ingress *in)
{
    sh_http_server_accept(in->server);
}

void sh_ingress_hold(struct sh_ingress *in)
{
    sh_http_server_hold(in->server);
}

void sh_ingress_stop(struct sh_ingress *in)
{
    in->stopping = true;
    sh_http_server_stop(in->server);
}

void sh_ingress_set_other(struct sh_ingress *in, sh_http_handler_fn *fn, void *arg)
{
    in->other = fn;
    in->other_arg = arg;
}

void sh_ingress_set_refusing(struct sh_ingress *in, const char *reason)
{
    free(in->refusing);
    in->refusing = sh_strdup(reason);
}

void sh_ingress_set_meter(struct sh_ingress *in, struct sh_meter *meter)
{
    in->meter = meter;
}

int sh_ingress_connections(const struct sh_ingress *in)
{
    return sh_http_server_open_connections(in->server);
}

size_t sh_ingress_pending(const struct sh_ingress *in)
{
    return sh_http_server_pending(in->server);
}

void sh_ingress_stats(const struct sh_ingress *in, struct sh_ingress_stats *out)
{
    *out = in->counts;
}

struct sh_gate *sh_ingress_gate(struct sh_ingress *in)
{
    return in->gate;
}
