/* SPDX-License-Identifier: MIT
 * steer.c: through the control socket, into the store, or over the network. */
#include "app/steer.h"

#include "app/change.h"
#include "app/control.h"
#include "app/data_dir.h"
#include "base/zone.h"
#include "svc/http_ask.h"
#include "svc/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 30000
#define MAX_ANSWER  ((size_t)64 << 20)
#define MAX_TOKEN   256

/* --- where to ------------------------------------------------------------------------------------
 */

static bool read_token_file(struct sh_steer *s, const char *path, const char *command)
{
    char text[MAX_TOKEN] = "";
    FILE *f = fopen(path, "re");
    const size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
    if (f)
        fclose(f);
    text[strcspn(text, "\r\n")] = '\0';
    const bool ok = n > 0 && text[0];
    if (ok)
        s->token = sh_strdup(text);
    else
        fprintf(stderr, "switchhook %s: cannot read a token from %s: %s\n", command, path,
                f ? "it is empty" : strerror(errno));
    explicit_bzero(text, sizeof(text));
    return ok;
}

/* http:// shows the token to whoever is on the way. */
static void warn_plain(const struct sh_steer *s, const char *command)
{
    static const char *const near[] = {"http://127.", "http://localhost", "http://[::1]"};
    if (!s->token || strncmp(s->url, "https://", 8) == 0)
        return;
    for (size_t i = 0; i < sizeof(near) / sizeof(*near); i++)
        if (strncmp(s->url, near[i], strlen(near[i])) == 0)
            return;
    fprintf(stderr,
            "switchhook %s: note: %s is not https: the token can be read on the way there\n",
            command, s->url);
}

static bool open_far(struct sh_steer *s, const struct sh_options *o, const char *url, int *code)
{
    const char *file = sh_options_get(o, "token-file"), *token = getenv("SWITCHHOOK_TOKEN");
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
        *code = sh_usage_error(o->command,
                               "--url \"%s\": expected http://host:port or https://host:port", url);
        return false;
    }
    size_t n = strlen(url);
    while (url[n - 1] == '/')
        n--;
    s->url = sh_memdup(url, n);
    *code = SH_EXIT_BAD;
    if (file && !read_token_file(s, file, o->command->name))
        return false;
    if (!file && token && *token)
        s->token = sh_strdup(token);
    s->token_from = file ? file : "SWITCHHOOK_TOKEN";
    s->ca_file = sh_options_get(o, "ca-file");
    if (!s->ca_file)
        s->ca_file = getenv("SWITCHHOOK_CA_FILE");
    warn_plain(s, o->command->name);
    return true;
}

bool sh_steer_open(struct sh_steer *s, const struct sh_options *o, int *code)
{
    const char *data = sh_options_get(o, "data"), *url = sh_options_get(o, "url");
    const char *everywhere = getenv("SWITCHHOOK_URL");
    *s = (struct sh_steer){0};
    *code = SH_EXIT_USAGE;
    if (url && data) {
        sh_usage_error(o->command, "either --url or --data: the engine there, or the one here");
        return false;
    }
    if (!url && !data && everywhere && *everywhere)
        url = everywhere;
    sh_zones_load(NULL);
    if (url)
        return open_far(s, o, url, code);
    if (sh_options_get(o, "token-file")) {
        sh_usage_error(o->command, "--token-file goes with --url: the engine here needs no token");
        return false;
    }
    if (sh_options_get(o, "ca-file")) {
        sh_usage_error(o->command,
                       "--ca-file goes with --url: the engine here is not asked by TLS");
        return false;
    }
    s->config_ok = sh_config_load(sh_options_get(o, "config"), &s->config, &s->faults);
    s->dir = data ? data : s->config.data;
    *code = SH_EXIT_BAD;
    if (!data || s->config_ok)
        sh_config_print_faults(s->faults);
    return (s->config_ok || data) && sh_data_dir_check(s->dir, o->command);
}

void sh_steer_close(struct sh_steer *s)
{
    if (s->token)
        explicit_bzero(s->token, strlen(s->token));
    free(s->url);
    free(s->token);
    cJSON_Delete(s->faults);
    sh_config_clear(&s->config);
    *s = (struct sh_steer){0};
}

/* --- asking --------------------------------------------------------------------------------------
 */

static bool ask_far(const struct sh_steer *s, const char *method, const char *target,
                    const cJSON *body, int64_t timeout_ms, int *status, cJSON **answer,
                    struct sh_error *err)
{
    struct sh_buf text;
    struct sh_error why = {0};
    char *url = sh_strf("%s%s", s->url, target), *sent = body ? cJSON_PrintUnformatted(body) : NULL;
    const struct sh_http_ask ask = {
        .method = method,
        .url = url,
        .body = sent,
        .bearer = s->token,
        .ca_file = s->ca_file,
        .timeout_ms = timeout_ms,
    };
    sh_buf_init(&text, MAX_ANSWER);
    bool ok = sh_http_ask(&ask, status, &text, &why);
    if (!ok)
        sh_error_set(err, SH_EBUSY, "%s does not answer: %s", s->url, why.msg);
    else if (!(*answer = text.len ? sh_json_parse(text.data, text.len, &why) : NULL))
        ok = sh_error_set(err, SH_ESYS, "%s answers %d, and not in JSON: is a switchhook there?",
                          s->url, *status);
    sh_buf_free(&text);
    free(sent);
    free(url);
    return ok;
}

static enum sh_code code_of(int status)
{
    switch (status) {
    case 404:
        return SH_ENOTFOUND;
    case 409:
        return SH_ECONFLICT;
    case 503:
        return SH_EBUSY;
    default:
        return SH_EINVAL;
    }
}

/* Every 401 of the engine reads the same; here it is known whether there was a token. */
static void say_unauthorized(const struct sh_steer *s, struct sh_error *err)
{
    if (s->token)
        sh_error_set(err, SH_EINVAL,
                     "%s does not know the token in %s: it is wrong, has expired or was revoked "
                     "(there: switchhook token list)",
                     s->url, s->token_from);
    else
        sh_error_set(err, SH_EINVAL,
                     "%s wants a token: --token-file FILE, or SWITCHHOOK_TOKEN (there: switchhook "
                     "token new NAME --role ROLE)",
                     s->url);
}

/* An answer that is a refusal becomes *err. */
static bool refused(const struct sh_steer *s, int status, cJSON **answer, struct sh_error *err)
{
    if (status >= 200 && status < 300)
        return false;
    const char *message = sh_json_string(sh_json_member(*answer, "error"), "message");
    if (s->url && status == 401)
        say_unauthorized(s, err);
    else
        sh_error_set(err, code_of(status), "%s", message ? message : "the engine refuses");
    cJSON_Delete(*answer);
    *answer = NULL;
    return true;
}

static bool ask(const struct sh_steer *s, const char *method, const char *target, const cJSON *body,
                int64_t timeout_ms, int *status, cJSON **answer, struct sh_error *err)
{
    *answer = NULL;
    return s->url ? ask_far(s, method, target, body, timeout_ms, status, answer, err)
                  : sh_control_ask(s->dir, method, target, body, timeout_ms, status, answer, err);
}

bool sh_steer_ask(struct sh_steer *s, const char *method, const char *target, const cJSON *body,
                  int64_t timeout_ms, cJSON **answer, struct sh_error *err)
{
    int status = 0;
    return ask(s, method, target, body, timeout_ms, &status, answer, err) &&
           !refused(s, status, answer, err);
}

/* --- changing ------------------------------------------------------------------------------------
 */

static bool change_here(struct sh_steer *s, const struct sh_change_kind *kind, const char *target,
                        const cJSON *body, cJSON **answer, struct sh_error *err)
{
    const struct sh_change_ask asked = {.kind = kind,
                                        .target = target,
                                        .body = body,
                                        .who = sh_change_login(),
                                        .role = "local",
                                        .zone = s->config.settings.zone};
    if (!s->config_ok && strncmp(kind->action, "callback.", 9) == 0) {
        sh_config_print_faults(s->faults); /* what is emailed, and when, stands there */
        return sh_error_set(err, SH_EINVAL, "the configuration has faults");
    }
    struct sh_change *c = sh_change_new(&asked, NULL, err);
    if (!c)
        return false;
    if (sh_change_carry_out(s->dir, &s->config, sh_change_op(c), err))
        *answer = sh_change_answer(c, NULL, err);
    sh_change_free(c);
    return *answer != NULL;
}

bool sh_steer_change(struct sh_steer *s, const char *action, const char *target, const cJSON *body,
                     cJSON **answer, struct sh_error *err)
{
    const struct sh_change_kind *kind = sh_change_kind(action);
    sh_require(kind != NULL);
    const char *method = kind->method == SH_HTTP_DELETE ? "DELETE" : "POST";
    char *path = sh_change_path(kind, target);
    int status = 0;
    cJSON *none = body || kind->method == SH_HTTP_DELETE ? NULL : cJSON_CreateObject();
    bool there = ask(s, method, path, body ? body : none, PATIENCE_MS, &status, answer, err);
    cJSON_Delete(none);
    free(path);
    if (there)
        return !refused(s, status, answer, err);
    if (s->url || err->code != SH_ENOTFOUND)
        return false;
    return change_here(s, kind, target, body, answer, err);
}
