/* SPDX-License-Identifier: MIT
 * http_call.h: an HTTP call as data: what a rule asked for, checked, and what is sent.
 *
 * The document of an HTTP effect or look-up:
 *   {"method":"POST",                      GET (look-up alone), POST, PUT, PATCH, DELETE
 *    "url":T, "headers":[["Name",T],..],   no Idempotency-Key, Host, Content-Length, Connection,
 *    "body":T,                             Transfer-Encoding, .. by hand; body absent = none
 *    "notify":"name",                      optional: tell rules when the delivery has ended
 *    "timeout_ms":n, "redirects":0..5,     optional
 *    "cache_ms":n}                         look-up alone, optional
 * A text T is "text", or a list of "text" and {"secret":"NAME","as":"plain"|"json"|"form"|"url"}:
 * the engine puts the secret's text there when it sends, escaped for the place it stands in. A
 * secret stands in a header's value, the body, or the URL behind its host. So secrets are never in
 * band: no text of a sender can name one. */
#ifndef SH_CORE_HTTP_CALL_H
#define SH_CORE_HTTP_CALL_H

#include "base/buf.h"

#include <cjson/cJSON.h>

#define SH_HTTP_MAX_URL_BYTES    8192
#define SH_HTTP_MAX_HEADERS      64
#define SH_HTTP_MAX_HEADER_BYTES 8192 /* one, name and value */
#define SH_HTTP_LANE_BYTES       320

/* Is doc a sound call? lookup: method GET; else one of the others. Used by the rule host, so that
 * the rule fails at the author's line, and again before sending. The message names the field. */
bool sh_http_call_check(const cJSON *doc, bool lookup, struct sh_error *err) SH_WARN_UNUSED;

/* The delivery lane of a call: "http:host:port" (lower case, port always there; [v6] in brackets),
 * the unit of order, pauses and in-flight limits. False: the URL has no usable host. */
bool sh_http_call_lane(const cJSON *doc, char out[SH_HTTP_LANE_BYTES],
                       struct sh_error *err) SH_WARN_UNUSED;

/* The URL for people: secrets as (secret NAME), query kept. Appended to out. */
void sh_http_call_show_url(const cJSON *doc, struct sh_buf *out);

/* The text of a secret, or NULL if there is none of that name. */
typedef const char *sh_secret_fn(void *arg, const char *name);

/* A call ready to send. All owned. */
struct sh_http_ready {
    char *method, *url;
    char **headers; /* "Name: value", NULL-terminated */
    char *body;     /* NULL = none */
    size_t body_len;
    int64_t timeout_ms, cache_ms; /* 0 = not given */
    int redirects;
};
/* Put the secrets in. key: the Idempotency-Key to send, NULL for a look-up. False: SH_ENOTFOUND a
 * secret that is not configured, SH_EINVAL a secret with a line break in a header. Clear it in
 * each case. */
bool sh_http_call_ready(const cJSON *doc, const char *key, sh_secret_fn *secret, void *arg,
                        struct sh_http_ready *out, struct sh_error *err) SH_WARN_UNUSED;
/* Add the traceparent (trace.h) of a call that belongs to trace, unless the author has set one.
 * seed: sh_trace_next(). trace NULL: nothing. */
void sh_http_ready_trace(struct sh_http_ready *r, const char *trace, struct sh_slice seed);
void sh_http_ready_clear(struct sh_http_ready *r);

/* What of the secrets is looked for in everything that comes back: each text in each form that it
 * is sent or echoed in. All that are configured, whichever a call carried: its receiver may know
 * others. Those of under 4 bytes are left out; they would blank half of any answer. */
struct sh_hidden;
/* names: NULL-terminated, or NULL = none. Owned by the caller. */
struct sh_hidden *sh_hidden_new(const char *const *names, sh_secret_fn *secret,
                                void *arg) SH_WARN_UNUSED;
void sh_hidden_free(struct sh_hidden *h);
/* Append text to out with every hidden text replaced by "(secret NAME)". h NULL: as it is. */
void sh_hidden_blank(const struct sh_hidden *h, struct sh_slice text, struct sh_buf *out);

#endif
