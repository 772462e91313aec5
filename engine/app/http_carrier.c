/* SPDX-License-Identifier: MIT
 * http_carrier.c: from an outbox item to an HTTP call on its way, and from its answer to a verdict.
 */
#include "app/http_carrier.h"

#include "base/utf8.h"
#include "svc/json.h"
#include "svc/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define KEPT_ANSWER_BYTES 1000
#define READ_ANSWER_BYTES ((size_t)64 << 10) /* more than is kept: secrets are blanked first */
#define SHOWN_URL_BYTES   300

/* One item between start() and done(). */
struct errand {
    struct errand *prev, *next; /* among all */
    struct errand *next_refused;
    struct sh_http_carrier *carrier;
    struct sh_http_call *call; /* NULL: refused, answered from the timer */
    sh_attempt_fn *done;
    void *done_arg;
    struct sh_http_ready ready;
    char *url; /* as people may see it */
    struct sh_attempt refusal;
};

struct sh_http_carrier {
    struct sh_http_carrier_config config;
    struct sh_timer *timer;
    struct errand *errands;
    struct errand *refused, **refused_end; /* of those, the ones that cannot be sent; in order */
};

/* --- Verdicts -------------------------------------------------------------------------------- */

static bool is_targets_fault(const struct sh_http_answer *a)
{
    switch (a->status) {
    case 408:
    case 425:
    case 429:
    case 502:
    case 503:
    case 504:
        return true;
    default:
        return a->retry_after_ms >= 0 && (a->status < 400 || a->status >= 500);
    }
}

void sh_http_carrier_judge(const struct sh_http_answer *a, const char *url, struct sh_attempt *out)
{
    bool answered = a->end == SH_HTTP_ANSWERED;
    *out = (struct sh_attempt){.verdict = SH_ATTEMPT_PERMANENT, .status = answered ? a->status : 0};
    if (!answered) {
        if (a->end == SH_HTTP_NO_ANSWER)
            out->verdict = SH_ATTEMPT_TARGET_DOWN;
        snprintf(out->detail, sizeof(out->detail), "%s", a->error);
        return;
    }
    if (a->status >= 200 && a->status < 300)
        out->verdict = SH_ATTEMPT_SENT;
    else if (is_targets_fault(a))
        out->verdict = SH_ATTEMPT_TARGET_DOWN;
    else if (a->status >= 500)
        out->verdict = SH_ATTEMPT_TEMPORARY;
    if (out->verdict == SH_ATTEMPT_TARGET_DOWN && a->retry_after_ms > 0)
        out->retry_after_ms = a->retry_after_ms;
    snprintf(out->detail, sizeof(out->detail), "HTTP %d from %.*s%s", a->status, SHOWN_URL_BYTES,
             url, a->status >= 300 && a->status < 400 ? " (not followed)" : "");
}

/* --- The answer as text ---------------------------------------------------------------------- */

/* Bytes of the UTF-8 character at p, of n that are there; 0 if there is none. */
static size_t character(const char *p, size_t n)
{
    unsigned char c = (unsigned char)*p;
    size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    return len <= n && sh_utf8_ok(sh_slice(p, len)) ? len : 0;
}

/* Valid UTF-8 of at most KEPT_ANSWER_BYTES, cut between characters; controls as spaces, bytes that
 * are no text as U+FFFD. Caller frees. */
static char *as_text(struct sh_slice s)
{
    struct sh_buf out;
    sh_buf_init(&out, KEPT_ANSWER_BYTES);
    for (size_t i = 0, n; i < s.n && sh_buf_ok(&out); i += n ? n : 1) {
        unsigned char c = (unsigned char)s.p[i];
        n = character(s.p + i, s.n - i);
        if (c < 0x20 || c == 0x7f || (n == 2 && c == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0))
            sh_buf_addc(&out, ' ');
        else if (n)
            sh_buf_add(&out, s.p + i, n);
        else
            sh_buf_adds(&out, "\xef\xbf\xbd");
    }
    return sh_buf_take(&out, NULL);
}

static char *kept_answer(const struct sh_hidden *hidden, struct sh_slice body)
{
    struct sh_buf blanked;
    sh_buf_init(&blanked, 64 * READ_ANSWER_BYTES);
    sh_hidden_blank(hidden, body, &blanked);
    char *text = as_text(sh_slice(blanked.data, blanked.len));
    sh_buf_free(&blanked);
    return text;
}

/* --- Errands --------------------------------------------------------------------------------- */

static void release(struct errand *e)
{
    sh_http_ready_clear(&e->ready);
    free(e->url);
    free(e);
}

static void finish(struct errand *e, const struct sh_attempt *attempt)
{
    sh_attempt_fn *done = e->done;
    void *done_arg = e->done_arg;
    DL_DELETE(e->carrier->errands, e);
    release(e);
    done(done_arg, attempt);
}

/* An error may hold what the other side said, such as a host that it redirects to. */
static void blank_detail(const struct sh_hidden *hidden, struct sh_attempt *attempt)
{
    struct sh_buf clean;
    sh_buf_init(&clean, 64 * sizeof(attempt->detail));
    sh_hidden_blank(hidden, sh_slice_str(attempt->detail), &clean);
    snprintf(attempt->detail, sizeof(attempt->detail), "%s", clean.data ? clean.data : "");
    sh_buf_free(&clean);
}

static void on_answer(void *arg, const struct sh_http_answer *a)
{
    struct errand *e = arg;
    struct sh_attempt attempt;
    sh_http_carrier_judge(a, e->url, &attempt);
    blank_detail(e->carrier->config.hidden, &attempt);
    char *answer =
        a->end == SH_HTTP_ANSWERED ? kept_answer(e->carrier->config.hidden, a->body) : NULL;
    attempt.answer = answer;
    finish(e, &attempt);
    free(answer);
}

static void answer_refused(void *arg)
{
    struct sh_http_carrier *c = arg;
    struct errand *list = c->refused; /* those that come meanwhile have a turn of their own */
    c->refused = NULL;
    c->refused_end = &c->refused;
    while (list) {
        struct errand *e = list;
        struct sh_attempt attempt = e->refusal;
        list = e->next_refused;
        finish(e, &attempt);
    }
}

static void refuse(struct errand *e, const struct sh_error *err)
{
    struct sh_http_carrier *c = e->carrier;
    e->refusal.verdict = SH_ATTEMPT_PERMANENT;
    snprintf(e->refusal.detail, sizeof(e->refusal.detail), "cannot be sent: %.480s", err->msg);
    *c->refused_end = e;
    c->refused_end = &e->next_refused;
    sh_timer_set(c->timer, 0);
}

static void hand_over(struct errand *e)
{
    const struct sh_http_ready *r = &e->ready;
    const struct sh_http_request_out request = {
        .method = r->method,
        .url = r->url,
        .headers = (const char *const *)r->headers,
        .body = r->body,
        .body_len = r->body_len,
        .timeout_ms = r->timeout_ms ? r->timeout_ms : e->carrier->config.timeout_ms,
        .max_answer_bytes = READ_ANSWER_BYTES,
        .redirects = r->redirects,
    };
    e->call = sh_http_client_start(e->carrier->config.client, &request, on_answer, e);
}

static char *shown_url(const cJSON *doc)
{
    struct sh_buf url;
    sh_buf_init(&url, 2 * SH_HTTP_MAX_URL_BYTES);
    sh_http_call_show_url(doc, &url);
    return sh_buf_take(&url, NULL);
}

static void start(void *self, const struct sh_outbox_item *item, sh_attempt_fn *done,
                  void *done_arg)
{
    struct sh_http_carrier *c = self;
    struct errand *e = sh_alloc(1, sizeof(*e));
    struct sh_error err;
    *e = (struct errand){.carrier = c, .done = done, .done_arg = done_arg};
    DL_APPEND(c->errands, e);
    cJSON *doc = sh_json_parse(item->payload, strlen(item->payload), &err);
    e->url = shown_url(doc);
    if (doc && sh_http_call_ready(doc, item->key, c->config.secret, c->config.secret_arg, &e->ready,
                                  &err)) {
        sh_http_ready_trace(&e->ready, item->trace, sh_slice_str(item->key));
        hand_over(e);
    } else {
        refuse(e, &err);
    }
    cJSON_Delete(doc);
}

/* --- The carrier ----------------------------------------------------------------------------- */

struct sh_http_carrier *sh_http_carrier_new(const struct sh_http_carrier_config *config)
{
    struct sh_http_carrier *c = sh_alloc(1, sizeof(*c));
    c->config = *config;
    c->timer = sh_timer_new(config->base, answer_refused, c);
    c->refused_end = &c->refused;
    return c;
}

struct sh_carrier sh_http_carrier_as_carrier(struct sh_http_carrier *c)
{
    return (struct sh_carrier){.kind = "http", .self = c, .start = start};
}

void sh_http_carrier_free(struct sh_http_carrier *c)
{
    if (!c)
        return;
    for (struct errand *e = c->errands, *next; e; e = next) {
        next = e->next;
        if (e->call)
            sh_http_call_cancel(e->call);
        release(e);
    }
    sh_timer_free(c->timer);
    free(c);
}
