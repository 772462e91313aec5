/* SPDX-License-Identifier: MIT
 * ingress_answer.c: what a sender reads. */
#include "app/ingress_answer.h"

#include "app/ingress.h"
#include "svc/json.h"

#include <stdio.h>
#include <string.h>

#define RETRY_AFTER_S  "5"
#define MAX_ECHO_BYTES 1024

const char *sh_refusal_name(enum sh_refusal why)
{
    static const char *const names[SH_N_REFUSALS] = {
        [SH_REFUSED_REQUEST] = "request",   [SH_REFUSED_NOT_FOUND] = "not_found",
        [SH_REFUSED_METHOD] = "method",     [SH_REFUSED_ORIGIN] = "origin",
        [SH_REFUSED_AUTH] = "unauthorized", [SH_REFUSED_MEDIA] = "media_type",
        [SH_REFUSED_SIZE] = "too_large",    [SH_REFUSED_JSON] = "json",
        [SH_REFUSED_ENVELOPE] = "envelope", [SH_REFUSED_OVERLOAD] = "overloaded",
        [SH_REFUSED_STORE] = "store",
    };
    return names[why];
}

void sh_answer_open(struct sh_buf *b, const char *code, const char *message)
{
    sh_buf_adds(b, "{\"error\":{\"code\":");
    sh_json_quote(b, sh_slice_str(code));
    sh_buf_adds(b, ",\"message\":");
    sh_json_quote(b, sh_slice_str(message));
}

void sh_answer_close(struct sh_buf *b)
{
    sh_buf_adds(b, "}}");
}

void sh_answer_reply(struct sh_http_request *req, int status, struct sh_buf *b)
{
    sh_require(sh_buf_ok(b));
    sh_http_reply(req, status, NULL, sh_slice(b->data, b->len));
    sh_buf_free(b);
}

void sh_ingress_reply_error(struct sh_http_request *req, int status, const char *code,
                            const char *message)
{
    struct sh_buf b;
    sh_buf_init(&b, SH_ANSWER_BYTES);
    sh_answer_open(&b, code, message);
    sh_answer_close(&b);
    if (status == 503)
        sh_http_add_header(req, "Retry-After", RETRY_AFTER_S);
    sh_answer_reply(req, status, &b);
}

void sh_answer_id(struct sh_http_request *req, struct sh_id id, bool duplicate)
{
    char text[SH_ID_TEXT], body[SH_ID_TEXT + 32];
    int n = snprintf(body, sizeof(body), "{\"id\":\"%s\"%s}", sh_id_text(id, text),
                     duplicate ? ",\"duplicate\":true" : "");
    sh_http_reply(req, 200, NULL, sh_slice(body, (size_t)n));
}

void sh_answer_not_ready(struct sh_http_request *req, const char *reason)
{
    sh_http_add_header(req, "Cache-Control", "no-store");
    sh_ingress_reply_error(req, 503, "not_ready", reason);
}

bool sh_answer_may_echo(const char *value)
{
    const size_t n = strlen(value);
    for (size_t i = 0; i < n; i++)
        if (value[i] < ' ' || value[i] > '~')
            return false;
    return n > 0 && n <= MAX_ECHO_BYTES;
}
