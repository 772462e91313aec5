/* SPDX-License-Identifier: MIT
 * api_attention.c: what needs a person now, of the status (status.h) that everybody may ask for
 * anyway: the question costs the store nothing more. */
#include "app/api_impl.h"

#include "svc/json.h"

#include <string.h>

#define CERT_SOON_S (14 * 86400) /* a certificate that ends within this */

static void copy(cJSON *to, const char *name, const cJSON *from, const char *member)
{
    const cJSON *value = sh_json_member(from, member);
    cJSON_AddItemToObject(to, name, value ? cJSON_Duplicate(value, true) : cJSON_CreateNull());
}

/* Those that somebody, or the engine, has paused; not those that are being resumed. */
static void add_paused(cJSON *tree, const cJSON *paused)
{
    cJSON *names = cJSON_AddArrayToObject(tree, "paused_rules");
    const cJSON *one;
    cJSON_ArrayForEach(one, sh_json_member(paused, "list"))
    {
        if (strcmp(sh_json_string(one, "state"), "paused") == 0)
            cJSON_AddItemToArray(names, cJSON_CreateString(sh_json_string(one, "rule")));
    }
    copy(tree, "kept_runs", paused, "kept");
}

static void add_overdue(cJSON *tree, const cJSON *callbacks)
{
    int64_t due = 0, missed = 0;
    if (!sh_json_get_int(sh_json_member(callbacks, "due"), &due) ||
        !sh_json_get_int(sh_json_member(callbacks, "missed"), &missed))
        due = missed = 0;
    cJSON_AddItemToObject(tree, "overdue_callbacks", sh_json_int(due + missed));
}

/* The last reload, if the files as they are now could not go live. */
static void add_reload(cJSON *tree, const cJSON *last)
{
    static const char *const names[] = {"at", "cause", "generation", "errors"};
    if (!cJSON_IsFalse(sh_json_member(last, "ok"))) {
        cJSON_AddNullToObject(tree, "reload_failed");
        return;
    }
    cJSON *failed = cJSON_AddObjectToObject(tree, "reload_failed");
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        copy(failed, names[i], last, names[i]);
}

static void add_certificate(cJSON *tree, const cJSON *tls)
{
    int64_t left = 0;
    const bool soon =
        sh_json_get_int(sh_json_member(tls, "expires_in_s"), &left) && left < CERT_SOON_S;
    if (!soon && !sh_json_string(tls, "error")) {
        cJSON_AddNullToObject(tree, "certificate");
        return;
    }
    cJSON *c = cJSON_AddObjectToObject(tree, "certificate");
    copy(c, "not_after", tls, "not_after");
    copy(c, "error", tls, "error");
}

static void on_status(void *arg, const cJSON *status)
{
    cJSON *tree = cJSON_CreateObject();
    copy(tree, "refusing", status, "refusing");
    copy(tree, "dead", status, "dead");
    add_paused(tree, sh_json_member(status, "paused"));
    add_overdue(tree, sh_json_member(status, "callbacks"));
    add_reload(tree, sh_json_member(sh_json_member(status, "reload"), "last"));
    add_certificate(tree, sh_json_member(status, "tls"));
    copy(tree, "oldest", status, "oldest");
    sh_api_reply(arg, 200, tree);
    cJSON_Delete(tree);
}

static void get_attention(struct sh_api_call *c)
{
    sh_status_ask(c->api->config.status, on_status, c);
}

static const struct sh_api_route list[] = {
    {.method = SH_HTTP_GET,
     .pattern = "/api/v1/attention",
     .role = SH_ROLE_VIEWER,
     .fn = get_attention,
     .summary = "What needs a person now"},
};

const struct sh_api_routes sh_api_attention_routes = {list, sizeof(list) / sizeof(*list)};
