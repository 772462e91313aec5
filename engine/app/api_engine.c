/* SPDX-License-Identifier: MIT
 * api_engine.c: how the engine is, and its rules anew. */
#include "app/api_impl.h"

#include "base/log.h"
#include "svc/json.h"

#include <stdlib.h>

static void on_status(void *arg, const cJSON *status)
{
    sh_api_reply(arg, 200, status);
}

static void get_status(struct sh_api_call *c)
{
    sh_status_ask(c->api->config.status, on_status, c);
}

/* A reload is no operation of the store: that it was asked for is one of its own. */
struct reload {
    struct sh_op op;
    struct sh_audit audit;
    cJSON *outcome;
    char *detail;
};

static void drop_reload(void *data)
{
    struct reload *r = data;
    cJSON_Delete(r->outcome);
    free(r->detail);
    free(r);
}

static void on_noted(struct sh_op *op)
{
    struct sh_api_call *c = op->arg;
    const struct reload *r = c->data;
    if (!op->ok)
        sh_warn("a reload is not in the audit table", "error", op->err.msg);
    sh_api_reply(c, 200, r->outcome);
}

static char *detail_of(const cJSON *outcome)
{
    static const char *const names[] = {"ok", "changed", "generation"};
    cJSON *o = cJSON_CreateObject();
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const cJSON *value = sh_json_member(outcome, names[i]);
        if (value)
            cJSON_AddItemToObject(o, names[i], cJSON_Duplicate(value, true));
    }
    char *text = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    return text;
}

static void on_reloaded(void *arg, const cJSON *outcome)
{
    struct sh_api_call *c = arg;
    struct reload *r = sh_alloc(1, sizeof(*r));
    r->outcome = cJSON_Duplicate(outcome, true);
    r->detail = detail_of(outcome);
    r->audit = (struct sh_audit){.who = c->caller.who,
                                 .role = sh_api_audit_role(&c->caller),
                                 .peer = c->caller.peer,
                                 .action = "reload",
                                 .detail = r->detail};
    r->op = (struct sh_op){.kind = SH_OP_AUDIT, .done = on_noted, .arg = c, .audit = &r->audit};
    c->data = r;
    c->drop = drop_reload;
    sh_store_submit(c->api->config.store, &r->op);
}

static void post_reload(struct sh_api_call *c)
{
    sh_reload_ask(sh_live_reload(c->api->config.live), SH_RELOAD_API, on_reloaded, c);
}

static void get_openapi(struct sh_api_call *c)
{
    sh_api_reply_text(c, 200, NULL, sh_slice(sh_embed_openapi, sh_embed_openapi_size));
}

static const struct sh_api_route list[] = {
    {.method = SH_HTTP_GET,
     .pattern = "/api/v1/openapi.json",
     .role = SH_ROLE_VIEWER,
     .fn = get_openapi,
     .summary = "This document"},
    {.method = SH_HTTP_GET,
     .pattern = "/api/v1/status",
     .role = SH_ROLE_VIEWER,
     .fn = get_status,
     .summary = "How the engine is"},
    {.method = SH_HTTP_POST,
     .pattern = "/api/v1/reload",
     .role = SH_ROLE_ADMIN,
     .fn = post_reload,
     .summary = "Read the rules again, and say what came of it"},
};

const struct sh_api_routes sh_api_engine_routes = {list, sizeof(list) / sizeof(*list)};
