/* SPDX-License-Identifier: MIT
 * control.c: requests on the control socket, and the commands' end of it. */
#include "app/control.h"

#include "app/ingress.h"
#include "svc/json.h"
#include "svc/unix_socket.h"

#include <stdlib.h>
#include <string.h>

#define MAX_BODY     (64 * 1024)
#define MAX_HEADERS  (16 * 1024)
#define CONNECTIONS  64
#define PATIENCE_MS  10000
#define MAX_ANSWER   ((size_t)16 << 20)
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct sh_control {
    struct sh_control_config config;
    struct sh_http_server *server;
};

/* --- answers -----------------------------------------------------------------------------------
 */

static void reply_tree(struct sh_http_request *req, const cJSON *tree)
{
    char *text = cJSON_PrintUnformatted(tree);
    sh_require(text != NULL);
    sh_http_add_header(req, "Cache-Control", "no-store");
    sh_http_reply(req, 200, NULL, sh_slice_str(text));
    free(text);
}

static void on_status(void *arg, const cJSON *status)
{
    reply_tree(arg, status);
}

static void on_metrics(void *arg, const cJSON *status)
{
    struct sh_buf out;
    sh_buf_init(&out, MAX_ANSWER);
    sh_status_metrics(status, &out);
    sh_http_add_header(arg, "Cache-Control", "no-store");
    sh_http_reply(arg, 200, METRICS_TYPE, sh_slice(out.data, out.len));
    sh_buf_free(&out);
}

static void on_reloaded(void *arg, const cJSON *outcome)
{
    reply_tree(arg, outcome);
}

/* --- requests ----------------------------------------------------------------------------------
 */

static void get_status(struct sh_control *c, struct sh_http_request *req)
{
    sh_status_ask(c->config.status, on_status, req);
}

static void get_metrics(struct sh_control *c, struct sh_http_request *req)
{
    sh_status_ask(c->config.status, on_metrics, req);
}

static void post_reload(struct sh_control *c, struct sh_http_request *req)
{
    sh_reload_ask(sh_live_reload(c->config.live), SH_RELOAD_API, on_reloaded, req);
}

static const struct {
    const char *path;
    enum sh_http_method method;
    const char *allow;
    void (*fn)(struct sh_control *c, struct sh_http_request *req);
} routes[] = {
    {"/api/v1/status", SH_HTTP_GET, "GET", get_status},
    {"/api/v1/reload", SH_HTTP_POST, "POST", post_reload},
    {"/metrics", SH_HTTP_GET, "GET", get_metrics},
};

static void on_request(void *arg, struct sh_http_request *req)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
        if (strcmp(routes[i].path, sh_http_path(req)) != 0)
            continue;
        if (sh_http_method(req) == routes[i].method) {
            routes[i].fn(arg, req);
            return;
        }
        sh_http_add_header(req, "Allow", routes[i].allow);
        sh_ingress_reply_error(req, 405, "method_not_allowed", "another method is expected here");
        return;
    }
    sh_ingress_reply_error(req, 404, "not_found", "there is nothing here");
}

static void on_refused(void *arg, const struct sh_http_refusal *refusal, struct sh_buf *headers,
                       struct sh_buf *body)
{
    (void)arg;
    (void)headers;
    sh_buf_addf(body, "{\"error\":{\"code\":\"bad_request\",\"message\":\"%s\"}}", refusal->reason);
}

/* Of this machine, and nobody else's request that a proxy on it passes on. */
static bool is_local(const struct sh_http_request *req)
{
    const char *peer = sh_http_peer(req);
    bool loopback = strncmp(peer, "127.", 4) == 0 || strcmp(peer, "::1") == 0 ||
                    strncmp(peer, "::ffff:127.", 11) == 0;
    return loopback && !sh_http_header(req, "Forwarded") &&
           !sh_http_header(req, "X-Forwarded-For") && !sh_http_header(req, "Via");
}

bool sh_control_metrics(struct sh_control *c, struct sh_http_request *req)
{
    if (strcmp(sh_http_path(req), "/metrics") != 0 || !is_local(req) ||
        sh_http_method(req) != SH_HTTP_GET)
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
    c->server = sh_http_server_new_unix(config->base, config->dir, SH_CONTROL_SOCKET, &limits,
                                        on_request, on_refused, c, err);
    if (c->server)
        return c;
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
