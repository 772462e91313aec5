/* SPDX-License-Identifier: MIT
 * control.c: requests on the control socket, and the commands' end of it. */
#include "app/control.h"

#include "app/change.h"
#include "svc/json.h"
#include "svc/unix_socket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_BODY     (64 * 1024)
#define MAX_HEADERS  (16 * 1024)
#define CONNECTIONS  64
#define PATIENCE_MS  10000
#define MAX_ANSWER   ((size_t)16 << 20)
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct sh_control {
    struct sh_control_config config;
    struct sh_http_server *server;
    char *login; /* of this process */
};

static void on_metrics(void *arg, struct sh_slice text)
{
    sh_http_add_header(arg, "Cache-Control", "no-store");
    sh_http_reply(arg, 200, METRICS_TYPE, text);
}

static void get_metrics(struct sh_control *c, struct sh_http_request *req)
{
    sh_status_ask_metrics(c->config.status, on_metrics, req);
}

static bool is_read(const struct sh_http_request *req)
{
    return sh_http_method(req) == SH_HTTP_GET || sh_http_method(req) == SH_HTTP_HEAD;
}

/* Names of others are not looked up here: that may take its time. */
static const char *login_of(const struct sh_control *c, const struct sh_http_request *req,
                            char who[32])
{
    unsigned uid;
    if (!sh_http_peer_uid(req, &uid))
        return who;
    if (uid == (unsigned)geteuid())
        return c->login;
    snprintf(who, 32, "uid %u", uid);
    return uid ? who : "root";
}

/* Whoever can open the socket owns the data folder. */
static void on_request(void *arg, struct sh_http_request *req)
{
    struct sh_control *c = arg;
    char who[32] = "local";
    const struct sh_api_caller owner = {.who = login_of(c, req, who), .role = SH_ROLE_ADMIN};
    if (strcmp(sh_http_path(req), "/metrics") == 0 && is_read(req))
        get_metrics(c, req);
    else
        sh_api_handle(c->config.api, req, &owner);
}

static void on_refused(void *arg, const struct sh_http_refusal *refusal, struct sh_buf *headers,
                       struct sh_buf *body)
{
    (void)arg;
    (void)headers;
    sh_buf_addf(body, "{\"error\":{\"code\":\"bad_request\",\"message\":\"%s\"}}", refusal->reason);
}

bool sh_control_metrics(struct sh_control *c, struct sh_http_request *req)
{
    if (strcmp(sh_http_path(req), "/metrics") != 0 || !is_read(req) ||
        !sh_api_may_read(c->config.api, req))
        return false;
    get_metrics(c, req);
    return true;
}

/* --- life --------------------------------------------------------------------------------------
 */

struct sh_control *sh_control_new(const struct sh_control_config *config, struct sh_error *err)
{
    const struct sh_http_limits limits = {.body_bytes = MAX_BODY,
                                          .header_bytes = MAX_HEADERS,
                                          .connections = CONNECTIONS,
                                          .header_timeout_ms = PATIENCE_MS,
                                          .body_timeout_ms = PATIENCE_MS,
                                          .idle_timeout_ms = PATIENCE_MS};
    struct sh_control *c = sh_alloc(1, sizeof(*c));
    c->config = *config;
    c->login = sh_strdup(sh_change_login());
    c->server = sh_http_server_new_unix(config->base, config->dir, SH_CONTROL_SOCKET, &limits,
                                        on_request, on_refused, c, err);
    if (c->server)
        return c;
    free(c->login);
    free(c);
    return NULL;
}

void sh_control_stop(struct sh_control *c)
{
    sh_http_server_stop(c->server);
}

size_t sh_control_pending(const struct sh_control *c)
{
    return sh_http_server_pending(c->server);
}

void sh_control_free(struct sh_control *c)
{
    if (!c)
        return;
    sh_http_server_free(c->server);
    free(c->login);
    free(c);
}

/* --- the commands' end ---------------------------------------------------------------------------
 */

static cJSON *read_answer(const struct sh_buf *text, struct sh_error *err)
{
    struct sh_error why;
    cJSON *tree = text->len ? sh_json_parse(text->data, text->len, &why) : NULL;
    if (!tree)
        sh_error_set(err, SH_ESYS, "the engine's answer is not JSON");
    return tree;
}

bool sh_control_ask(const char *dir, const char *method, const char *target, const cJSON *body,
                    int64_t timeout_ms, int *status, cJSON **answer, struct sh_error *err)
{
    struct sh_buf text;
    struct sh_error why = {0};
    char *sent = body ? cJSON_PrintUnformatted(body) : NULL;
    *answer = NULL;
    sh_buf_init(&text, MAX_ANSWER);
    bool ok =
        sh_unix_ask(dir, SH_CONTROL_SOCKET, method, target, sent, timeout_ms, status, &text, &why);
    if (ok)
        ok = (*answer = read_answer(&text, err)) != NULL;
    else if (why.code == SH_ENOTFOUND)
        sh_error_set(err, SH_ENOTFOUND, "no engine is running on the data folder %s", dir);
    else
        sh_error_set(err, why.code, "the engine on %s does not answer: %s", dir, why.msg);
    free(sent);
    sh_buf_free(&text);
    return ok;
}
