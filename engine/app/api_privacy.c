/* SPDX-License-Identifier: MIT
 * api_privacy.c: a caller is forgotten. */
#include "app/api_impl.h"
#include "app/eraser.h"
#include "svc/json.h"

static void reply_state(struct sh_api_call *c, int status)
{
    cJSON *state = sh_eraser_state(c->api->config.eraser);
    sh_api_reply(c, status, state);
    cJSON_Delete(state);
}

static void get_forget(struct sh_api_call *c)
{
    reply_state(c, 200);
}

static void post_forget(struct sh_api_call *c)
{
    struct sh_error err;
    const cJSON *dry = sh_json_member(c->body, "dry_run");
    const struct sh_eraser_order order = {.number = sh_json_string(c->body, "number"),
                                          .dry = cJSON_IsTrue(dry),
                                          .who = c->caller.who,
                                          .role = sh_api_audit_role(&c->caller),
                                          .peer = c->caller.peer};
    if (!order.number) {
        sh_api_fail_at(c, 400, "invalid_field", "field", "number",
                       "number: expected a phone number such as \"+31612345678\"");
        return;
    }
    if (dry && !cJSON_IsBool(dry)) {
        sh_api_fail_at(c, 400, "invalid_field", "field", "dry_run",
                       "dry_run: expected true or false");
        return;
    }
    if (sh_eraser_start(c->api->config.eraser, &order, &err))
        reply_state(c, 202);
    else if (err.code == SH_EBUSY)
        sh_api_fail(c, 409, "conflict", "%s", err.msg);
    else
        sh_api_fail_at(c, 400, "invalid_field", "field", "number", "number: %s", err.msg);
}

static const char *const fields[] = {"number", "dry_run", NULL};

static const struct sh_api_route list[] = {
    {.method = SH_HTTP_GET,
     .pattern = "/api/v1/forget",
     .role = SH_ROLE_ADMIN,
     .fn = get_forget,
     .summary = "How far the forgetting of a caller is, and what it did"},
    {.method = SH_HTTP_POST,
     .pattern = "/api/v1/forget",
     .role = SH_ROLE_ADMIN,
     .fields = fields,
     .fn = post_forget,
     .summary = "Forget a caller"},
};

const struct sh_api_routes sh_api_privacy_routes = {list, sizeof(list) / sizeof(*list)};
