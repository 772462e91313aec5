/* SPDX-License-Identifier: MIT
 * api_engine.c: how the engine is, and its rules anew. */
#include "app/api_impl.h"

static void on_status(void *arg, const cJSON *status)
{
    sh_api_reply(arg, 200, status);
}

static void get_status(struct sh_api_call *c)
{
    sh_status_ask(c->api->config.status, on_status, c);
}

static void on_reloaded(void *arg, const cJSON *outcome)
{
    sh_api_reply(arg, 200, outcome);
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
     .role = SH_ROLE_OPERATOR,
     .fn = post_reload,
     .summary = "Read the rules again, and say what came of it"},
};

const struct sh_api_routes sh_api_engine_routes = {list, sizeof(list) / sizeof(*list)};
