/* SPDX-License-Identifier: MIT
 * ingress_answer.h: what a sender reads. An error answer with members of its own, put together by
 * its makers: sh_answer_open(), ",\"member\":value" as often as need be, sh_answer_close(). */
#ifndef SH_APP_INGRESS_ANSWER_H
#define SH_APP_INGRESS_ANSWER_H

#include "core/event.h"
#include "svc/http_server.h"

#define SH_ANSWER_BYTES 4096 /* the most an error answer takes */

void sh_answer_open(struct sh_buf *b, const char *code, const char *message);
void sh_answer_close(struct sh_buf *b);
/* Send what is in b, and free it. */
void sh_answer_reply(struct sh_http_request *req, int status, struct sh_buf *b);
/* 200 {"id":..}, with "duplicate":true if it was here before. */
void sh_answer_id(struct sh_http_request *req, struct sh_id id, bool duplicate);
/* 503: not now, and why. */
void sh_answer_not_ready(struct sh_http_request *req, const char *reason);
/* May a header's value be sent back: 1 to 1024 printable ASCII characters? */
bool sh_answer_may_echo(const char *value) SH_WARN_UNUSED;

#endif
