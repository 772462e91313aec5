/* SPDX-License-Identifier: MIT
 * sim_replies.h: what http.get finds in the simulator, where no call leaves the machine. */
#ifndef SH_APP_SIM_REPLIES_H
#define SH_APP_SIM_REPLIES_H

#include "base/buf.h"

#include <cjson/cJSON.h>

/* Replies are an array, the first that fits is taken:
 *   [{"url":"https://crm.example.org/?/12", "status":200, "json":{..}}, {"url":"*", "error":"no
 * route"}] url: * is any text, ? one character. One of json, body (text) and error; headers: an
 * object. status: 200 when absent. */
bool sh_sim_replies_check(const cJSON *replies, struct sh_error *err) SH_WARN_UNUSED;
/* The answer's document (run.h) to a call (http_call.h), appended. Without a fitting reply: status
 * 0 and an error that says so. replies may be NULL. */
void sh_sim_reply(const cJSON *replies, struct sh_slice call, struct sh_buf *out);

#endif
