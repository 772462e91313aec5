/* SPDX-License-Identifier: MIT
 * api_session.c: logging in to the console and out of it, and who one is. */
#include "app/api_impl.h"

#include "app/api_token.h"
#include "app/session.h"
#include "base/clock.h"
#include "svc/crypto.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

static void add_text(cJSON *o, const char *name, const char *text)
{
    cJSON_AddItemToObject(o, name, text ? cJSON_CreateString(text) : cJSON_CreateNull());
}

/* text: of the session, NULL if there is none. */
static cJSON *describe(const struct sh_api_caller *caller, const char *text, int64_t expires_ms)
{
    char csrf[SH_SESSION_TEXT], time[SH_TIME_TEXT];
    cJSON *o = cJSON_CreateObject();
    if (text)
        sh_session_csrf(sh_slice_str(text), csrf);
    add_text(o, "who", caller->who);
    add_text(o, "role", sh_role_name(caller->role));
    add_text(o, "csrf", text ? csrf : NULL);
    add_text(o, "expires_at", expires_ms ? sh_time_text(expires_ms, time) : NULL);
    cJSON_AddBoolToObject(o, "open",
                          caller->way == SH_CALLER_OPEN || caller->way == SH_CALLER_SOCKET);
    return o;
}

static void set_cookie(struct sh_api_call *c, const char *text)
{
    char cookie[SH_SESSION_COOKIE];
    sh_session_set_cookie(text, sh_gate_is_https(c->api->config.gate, c->req), cookie);
    sh_api_header(c, "Set-Cookie", cookie);
}

/* --- in ----------------------------------------------------------------------------------------
 */

struct login {
    struct sh_op_session_new op;
    struct sh_audit audit;
    struct sh_api_caller caller; /* who: owned */
    char text[SH_SESSION_TEXT];
};

static void drop_login(void *data)
{
    struct login *l = data;
    free((char *)l->caller.who);
    sh_wipe(l, sizeof(*l));
    free(l);
}

static void on_opened(struct sh_op *op)
{
    struct sh_api_call *c = op->arg;
    const struct login *l = c->data;
    struct sh_api_refusal why;
    if (op->ok) {
        sh_sessions_changed(c->api->sessions, op);
        set_cookie(c, l->text);
        cJSON *o = describe(&l->caller, l->text, l->op.expires_ms);
        sh_api_reply(c, 200, o);
        cJSON_Delete(o);
    } else if (op->err.code == SH_ENOTFOUND) { /* revoked at this moment */
        sh_api_refuse_token(&why, "unknown_token");
        sh_api_refuse(c, &why);
    } else {
        sh_api_fail_store(c, &op->err);
    }
}

/* Never past the token's own end. */
static int64_t end_of(int64_t token_expires_ms)
{
    const int64_t end_ms = sh_now_ms() + SH_SESSION_MS;
    return token_expires_ms && token_expires_ms < end_ms ? token_expires_ms : end_ms;
}

/* Whatever cookie came along: the session is a new one. */
static void open_session(struct sh_api_call *c, const struct sh_api_caller *who)
{
    struct login *l = sh_alloc(1, sizeof(*l));
    c->data = l;
    c->drop = drop_login;
    l->caller = *who;
    l->caller.who = sh_strdup(who->who);
    l->audit = (struct sh_audit){
        .who = l->caller.who, .role = sh_role_name(who->role), .peer = c->caller.peer};
    sh_session_make(l->text);
    l->op.op =
        (struct sh_op){.kind = SH_OP_SESSION_NEW, .done = on_opened, .arg = c, .audit = &l->audit};
    sh_session_hash(sh_slice_str(l->text), l->op.hash);
    memcpy(l->op.token, who->token, sizeof(l->op.token));
    l->op.expires_ms = end_of(who->expires_ms);
    sh_store_submit(c->api->config.store, &l->op.op);
}

/* Without tokens nobody logs in: who comes straight from this machine is in, and nobody else. */
static void fail_open(struct sh_api_call *c)
{
    struct sh_api_refusal why;
    if (c->caller.peer && !sh_api_is_direct(c->req, &why))
        sh_api_refuse(c, &why);
    else
        sh_api_fail(c, 409, "conflict",
                    "there are no tokens, so nobody needs to log in; make one: switchhook token "
                    "new");
}

static void post_session(struct sh_api_call *c)
{
    const char *text = sh_json_string(c->body, "token");
    struct sh_api_caller who = {.peer = c->caller.peer};
    struct sh_api_refusal why;
    if (!text || !*text)
        sh_api_fail_at(c, 400, "invalid_field", "field", "token", "token: the text of a token");
    else if (!sh_sessions_known(c->api->sessions) || !sh_api_tokens_known(c->api->tokens))
        sh_api_fail(c, 503, "starting", "the engine is starting; try again");
    else if (sh_api_tokens_count(c->api->tokens) == 0)
        fail_open(c);
    else if (!sh_api_prove(c->api, sh_slice_str(text), &who, &why))
        sh_api_refuse(c, &why);
    else
        open_session(c, &who);
}

/* --- who, and out ------------------------------------------------------------------------------
 */

static void get_session(struct sh_api_call *c)
{
    struct sh_slice text;
    const bool secure = sh_gate_is_https(c->api->config.gate, c->req);
    char *own = c->caller.way == SH_CALLER_SESSION &&
                        sh_session_cookie(c->req, secure, &text) == SH_COOKIE_ONE
                    ? sh_slice_dup(text)
                    : NULL;
    cJSON *o = describe(&c->caller, own, c->caller.expires_ms);
    sh_api_reply(c, 200, o);
    cJSON_Delete(o);
    if (own)
        sh_wipe(own, strlen(own));
    free(own);
}

struct logout {
    struct sh_op_session_end op;
    struct sh_audit audit;
};

static void reply_closed(struct sh_api_call *c, bool closed)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddBoolToObject(o, "closed", closed);
    set_cookie(c, NULL);
    sh_api_reply(c, 200, o);
    cJSON_Delete(o);
}

static void on_closed(struct sh_op *op)
{
    struct sh_api_call *c = op->arg;
    sh_sessions_changed(c->api->sessions, op);
    if (op->ok)
        reply_closed(c, ((const struct sh_op_session_end *)op)->ended);
    else
        sh_api_fail_store(c, &op->err);
}

static void delete_session(struct sh_api_call *c)
{
    if (c->caller.way != SH_CALLER_SESSION) {
        reply_closed(c, false);
        return;
    }
    struct logout *l = sh_alloc(1, sizeof(*l));
    c->data = l;
    c->drop = free;
    l->audit = (struct sh_audit){
        .who = c->caller.who, .role = sh_role_name(c->caller.role), .peer = c->caller.peer};
    l->op.op =
        (struct sh_op){.kind = SH_OP_SESSION_END, .done = on_closed, .arg = c, .audit = &l->audit};
    memcpy(l->op.hash, c->caller.session, sizeof(l->op.hash));
    sh_store_submit(c->api->config.store, &l->op.op);
}

static const char *const token[] = {"token", NULL};

static const struct sh_api_route list[] = {
    {.method = SH_HTTP_GET,
     .pattern = SH_API_SESSION_PATH,
     .role = SH_ROLE_VIEWER,
     .fn = get_session,
     .summary = "Who one is"},
    {.method = SH_HTTP_POST,
     .pattern = SH_API_SESSION_PATH,
     .role = SH_ROLE_NONE,
     .fields = token,
     .fn = post_session,
     .summary = "Log in to the console"},
    {.method = SH_HTTP_DELETE,
     .pattern = SH_API_SESSION_PATH,
     .role = SH_ROLE_VIEWER,
     .fn = delete_session,
     .summary = "Log out of the console"},
};

const struct sh_api_routes sh_api_session_routes = {list, sizeof(list) / sizeof(*list)};
