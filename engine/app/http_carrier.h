/* SPDX-License-Identifier: MIT
 * http_carrier.h: the outbox's carrier of HTTP calls: verdicts from answers.
 *
 *   2xx                                SENT
 *   408, 425, 429, 502, 503, 504, or any answer with Retry-After but 2xx and final 4xx,
 *   no answer at all                   TARGET_DOWN (Retry-After is passed on)
 *   other 5xx                          TEMPORARY
 *   3xx that is not followed, other 4xx (410 above all), refused by http.allow, a secret that is
 *   not configured                     PERMANENT
 * The first 1,000 bytes of the answer are kept as text, secrets blanked. */
#ifndef SH_APP_HTTP_CARRIER_H
#define SH_APP_HTTP_CARRIER_H

#include "core/http_call.h"
#include "core/outbox.h"
#include "svc/http_client.h"

struct sh_http_carrier;

struct sh_http_carrier_config {
    struct event_base *base;
    struct sh_http_client *client; /* borrowed */
    sh_secret_fn *secret;
    void *secret_arg;
    const struct sh_hidden *hidden; /* borrowed: what is blanked in answers; NULL = nothing */
    int64_t timeout_ms;             /* when the call says none */
};
struct sh_http_carrier *
sh_http_carrier_new(const struct sh_http_carrier_config *config) SH_WARN_UNUSED;
void sh_http_carrier_free(struct sh_http_carrier *c); /* after the outbox, before the client */
/* kind "http" and the way to it; the caller fills in limits and retries. */
struct sh_carrier sh_http_carrier_as_carrier(struct sh_http_carrier *c);

/* The verdict as above, with detail, status and retry_after_ms; answer stays NULL. url: as people
 * may see it. */
void sh_http_carrier_judge(const struct sh_http_answer *a, const char *url, struct sh_attempt *out);

#endif
