/* SPDX-License-Identifier: MIT
 * api_write.c: what changes something: change.h's changes as endpoints, and tokens.
 *
 * The store's writer makes the change and writes who asked in the same transaction; the answer
 * comes after that, and what waits for it (rules, outbox, clock) is told at once. */
#include "app/api_impl.h"
#include "app/api_token.h"
#include "app/change.h"
#include "app/suggest.h"
#include "app/timekeeper.h"
#include "base/clock.h"
#include "core/dispatch.h"
#include "core/outbox.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

/* --- a change ----------------------------------------------------------------------------------
 */

static void poke(const struct sh_api_config *config, const struct sh_op *op)
{
    switch (op->kind) {
    case SH_OP_RULE_SET:
        sh_dispatch_tick(config->dispatch, sh_now_ms());
        break;
    case SH_OP_REDRIVE:
        sh_dispatch_tick(config->dispatch, sh_now_ms());
        sh_outbox_poke(config->outbox);
        break;
    case SH_OP_CALLBACK: /* an email, and events that tell of it */
        sh_timekeeper_poke(config->timekeeper);
        sh_outbox_poke(config->outbox);
        break;
    default:
        break;
    }
}

static void fail(struct sh_api_call *c, const struct sh_error *err, const char *state)
{
    if (err->code == SH_ECONFLICT && state)
        sh_api_fail_at(c, 409, "conflict", "state", state, "%s", err->msg);
    else
        sh_api_fail_store(c, err);
}

static void on_changed(struct sh_op *op)
{
    struct sh_api_call *c = op->arg;
    struct sh_change *change = c->data;
    struct sh_error err;
    const char *state;
    if (op->ok) {
        sh_api_tokens_changed(c->api->tokens, op);
        poke(&c->api->config, op);
    }
    cJSON *answer = sh_change_answer(change, &state, &err);
    if (answer)
        sh_api_reply(c, op->kind == SH_OP_TOKEN_NEW ? 201 : 200, answer);
    else
        fail(c, &err, state);
    cJSON_Delete(answer);
}

static void drop_change(void *change)
{
    sh_change_free(change);
}

static const struct sh_change_kind *kind_of(const struct sh_api_route *route)
{
    const struct sh_change_kind *k = sh_change_kinds;
    while (k->action && !(k->method == route->method && strcmp(k->pattern, route->pattern) == 0))
        k++;
    sh_require(k->action != NULL);
    return k;
}

static void change(struct sh_api_call *c)
{
    struct sh_error err;
    const char *field;
    const struct sh_change_ask ask = {.kind = kind_of(c->route),
                                      .target = c->segment[0],
                                      .body = c->body,
                                      .who = c->caller.who,
                                      .role = sh_api_audit_role(&c->caller),
                                      .peer = c->caller.peer,
                                      .zone = c->api->config.config->settings.zone};
    struct sh_change *change = sh_change_new(&ask, &field, &err);
    if (!change && field)
        sh_api_fail_at(c, 400, "invalid_field", "field", field, "%s", err.msg);
    else if (!change)
        fail(c, &err, NULL);
    if (!change)
        return;
    c->data = change;
    c->drop = drop_change;
    struct sh_op *op = sh_change_op(change);
    op->done = on_changed;
    op->arg = c;
    sh_store_submit(c->api->config.store, op);
}

/* --- rules: one that nobody has is a mistyped name ---------------------------------------------
 */

struct held {
    const char *name;
    bool found;
};

static void see_held(void *arg, const char *rule, enum sh_rule_state state)
{
    struct held *h = arg;
    (void)state;
    h->found = h->found || strcmp(rule, h->name) == 0;
}

static bool is_rule(const struct sh_api_call *c, const char *name, const char *const *names,
                    size_t n)
{
    struct held h = {.name = name};
    for (size_t i = 0; i < n && !h.found; i++)
        h.found = strcmp(names[i], name) == 0;
    if (!h.found) /* paused, and gone from the files since */
        sh_dispatch_held(c->api->config.dispatch, see_held, &h);
    return h.found;
}

static void change_rule(struct sh_api_call *c)
{
    const cJSON *rules = sh_live_rules(c->api->config.live), *rule;
    const char **names = sh_alloc((size_t)cJSON_GetArraySize(rules) + 1, sizeof(*names));
    size_t n = 0;
    cJSON_ArrayForEach(rule, rules)
    {
        const char *name = sh_json_string(rule, "name");
        if (name)
            names[n++] = name;
    }
    const char *near = sh_suggest(c->segment[0], names, n);
    if (is_rule(c, c->segment[0], names, n))
        change(c);
    else if (near)
        sh_api_fail(c, 404, "not_found", "there is no rule \"%.200s\"; did you mean \"%.200s\"?",
                    c->segment[0], near);
    else
        sh_api_fail(c, 404, "not_found", "there is no rule \"%.200s\"", c->segment[0]);
    free(names);
}

/* --- tokens ------------------------------------------------------------------------------------
 */

static void get_tokens(struct sh_api_call *c)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddItemToObject(o, "items", sh_api_tokens_rows(c->api->tokens));
    sh_api_reply(c, 200, o);
    cJSON_Delete(o);
}

/* --- the table ---------------------------------------------------------------------------------
 */

static const char *const note[] = {"note", "by", NULL};
static const char *const snooze[] = {"due", "zone", "note", "by", NULL};
static const char *const reassign[] = {"to", "note", "by", NULL};
static const char *const of_event[] = {"rule", NULL};
static const char *const filter[] = {"rule", "kind", "all", NULL};
static const char *const by[] = {"by", NULL};
static const char *const token[] = {"name", "role", "expires", NULL};

#define CHANGE(verb, path, least, known, handler, text)                                            \
    {                                                                                              \
        .method = (verb), .pattern = (path), .role = (least), .fields = (known), .fn = (handler),  \
        .summary = (text)                                                                          \
    }
#define POST(path, known, text) CHANGE(SH_HTTP_POST, path, SH_ROLE_OPERATOR, known, change, text)
#define RULE(path, text)        CHANGE(SH_HTTP_POST, path, SH_ROLE_OPERATOR, by, change_rule, text)

static const struct sh_api_route list[] = {
    POST("/api/v1/callbacks/{id}/done", note, "The call was made"),
    POST("/api/v1/callbacks/{id}/cancel", note, "The call need not be made"),
    POST("/api/v1/callbacks/{id}/snooze", snooze, "The call is to be made later"),
    POST("/api/v1/callbacks/{id}/reassign", reassign, "Somebody else makes the call"),
    POST("/api/v1/outbox/{id}/redrive", NULL, "Bring a dead delivery back"),
    POST("/api/v1/outbox/{id}/drop", NULL, "Be done with a dead delivery"),
    POST("/api/v1/events/{id}/redrive", of_event, "Bring an event's dead runs back"),
    POST("/api/v1/events/{id}/drop", of_event, "Be done with an event's dead runs"),
    POST("/api/v1/dead/redrive", filter, "Bring dead letters back"),
    POST("/api/v1/dead/drop", filter, "Be done with dead letters"),
    RULE("/api/v1/rules/{name}/pause", "Pause a rule"),
    RULE("/api/v1/rules/{name}/resume", "Resume a rule"),
    CHANGE(SH_HTTP_DELETE, "/api/v1/timers/{name}", SH_ROLE_OPERATOR, NULL, change,
           "Cancel a timer"),
    CHANGE(SH_HTTP_GET, "/api/v1/tokens", SH_ROLE_ADMIN, NULL, get_tokens, "Who may come in"),
    CHANGE(SH_HTTP_POST, "/api/v1/tokens", SH_ROLE_ADMIN, token, change, "Let somebody in"),
    CHANGE(SH_HTTP_DELETE, "/api/v1/tokens/{name}", SH_ROLE_ADMIN, NULL, change,
           "Let somebody in no more"),
};

const struct sh_api_routes sh_api_write_routes = {list, sizeof(list) / sizeof(*list)};
