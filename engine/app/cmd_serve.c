/* SPDX-License-Identifier: MIT
 * cmd_serve.c: `switchhook serve`: configuration and command line, then the engine. */
#include "app/app.h"
#include "app/options.h"
#include "app/serve.h"
#include "base/log.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct sh_option options[] = {
    {"config", "FILE", "configuration (default: switchhook.lua here, else the installed one)"},
    {"listen", "ADDR:PORT", "address to listen on; port 0 takes any free one"},
    {"data", "DIR", "where the store, the mail files and the lock live"},
    {"rules", "DIR", "rule files"},
    {"scripts", "DIR", "Lua modules that rules require"},
    {"workers", "N", "rule worker processes (default: one a core, at most 8)"},
    {"log-format", "logfmt|json", "how a line is written (default: logfmt)"},
    {"log-level", "debug|info|warn|error", "from which level on (default: info)"},
    {"verbose", NULL, "log more: --log-level debug"},
};

static const struct sh_command command = {
    .name = "serve",
    .summary = "Take webhooks, run rules, deliver what they ask for.",
    .details =
        "Prints one line when it is ready; GET /readyz answers 200 from then on, and people\n"
        "see and steer it in a browser at /console. Takes up changed rule files by itself,\n"
        "and on SIGHUP (switchhook reload). Stops in order on SIGTERM or Ctrl-C, in under five\n"
        "seconds: what is under way is finished or parked, nothing is lost. A socket that a\n"
        "service manager gives (LISTEN_FDS) is used in place of --listen. Exit code 3 means\n"
        "that the store failed (a failed fsync, a damaged file): start it again, it recovers by\n"
        "itself.",
    .example = "  switchhook serve --listen 127.0.0.1:8080 --rules rules --data var",
    .options = options,
    .n_options = sizeof(options) / sizeof(*options),
};

/* A log line has no paths: of each field the last part. */
static void set_log_mask(const struct sh_config *c)
{
    static const char *names[SH_CFG_MAX_LIST + 1];
    size_t n = 0;
    for (char **f = c->mask.fields; f && *f && n < SH_CFG_MAX_LIST; f++) {
        const char *dot = strrchr(*f, '.'), *name = dot ? dot + 1 : *f;
        if (strcmp(name, "*") != 0)
            names[n++] = name;
    }
    names[n] = NULL;
    const struct sh_log_mask mask = {.numbers = c->mask.numbers, .names = names};
    sh_log_set_mask(&mask);
}

static int set_log(const struct sh_options *o, struct sh_config *c)
{
    const char *format = sh_options_get(o, "log-format"), *level = sh_options_get(o, "log-level");
    if (format && !sh_log_format_of(format, &c->log_format))
        return sh_usage_error(&command, "--log-format: expected logfmt or json, got \"%s\"",
                              format);
    if (level && !sh_log_level_of(level, &c->log_level))
        return sh_usage_error(
            &command, "--log-level: expected debug, info, warn or error, got \"%s\"", level);
    if (sh_options_get(o, "verbose"))
        c->log_level = SH_LOG_DEBUG;
    sh_log_set_level(c->log_level);
    sh_log_set_format(c->log_format);
    set_log_mask(c);
    return -1;
}

/* The sockets that the service manager gave are where the engine listens, whatever `listen` says:
 * of each it is asked what may be reached there. The first stands for all in what is shown. */
static bool use_sockets(struct sh_config *c, const struct sh_service *service, struct sh_error *err)
{
    char host[SH_SERVICE_HOST], *listen = sh_strdup(c->listen_host);
    const int listen_port = c->listen_port;
    bool ok = true, same = false;
    for (size_t i = service->n_sockets; ok && i-- > 0;) {
        ok = sh_service_address(service->sockets[i], host, &c->listen_port) ||
             sh_error_set(err, SH_ESYS, "a socket of the service manager has no address");
        if (!ok)
            break;
        sh_config_override(&c->listen_host, host);
        ok = sh_config_check_exposure(c, err);
        same = same || (strcmp(host, listen) == 0 && c->listen_port == listen_port);
        if (ok)
            sh_info("listening on a socket of the service manager", "address", host, "port",
                    SH_NUM(c->listen_port));
    }
    if (ok && !same)
        sh_info("listen is not used: the service manager's sockets are elsewhere", "listen", listen,
                "port", SH_NUM(listen_port));
    free(listen);
    return ok;
}

/* The first fault, for the service manager; all of them have been printed. */
static void say_faults(const struct sh_service *service, const cJSON *faults)
{
    const cJSON *first = cJSON_GetArrayItem(faults, 0);
    const char *file = sh_json_string(first, "file"), *key = sh_json_string(first, "key");
    int64_t line = 0;
    (void)!sh_json_get_int(sh_json_member(first, "line"), &line);
    char *why = sh_strf("%s:%lld: %s%s%s", file ? file : "", (long long)line, key ? key : "",
                        key && *key ? ": " : "", sh_json_string(first, "msg"));
    sh_service_notify_failed(service, why);
    free(why);
}

/* What the command line says goes over what the file says. */
static int override(const struct sh_options *o, struct sh_config *c,
                    const struct sh_service *service)
{
    struct sh_error err;
    int64_t workers = c->workers;
    const char *listen = sh_options_get(o, "listen");
    if (listen && !sh_config_set_listen(c, listen, &err))
        return sh_usage_error(&command, "--listen: %s", err.msg);
    sh_config_override(&c->data, sh_options_get(o, "data"));
    sh_config_override(&c->rules, sh_options_get(o, "rules"));
    sh_config_override(&c->scripts, sh_options_get(o, "scripts"));
    if (!sh_options_int(o, "workers", 1, 64, &workers))
        return SH_EXIT_USAGE;
    c->workers = (long)workers;
    int rc = set_log(o, c);
    if (rc >= 0)
        return rc;
    if (!service->n_sockets && sh_config_check_exposure(c, &err))
        return -1;
    if (service->n_sockets && use_sockets(c, service, &err))
        return -1;
    fprintf(stderr, "switchhook: %s\n", err.msg);
    sh_service_notify_failed(service, err.msg);
    return SH_EXIT_BAD;
}

static int serve_with(const struct sh_options *o, struct sh_service *service)
{
    struct sh_config config;
    cJSON *faults = NULL;
    const bool ok = sh_config_load(sh_options_get(o, "config"), &config, &faults);
    if (ok)
        sh_config_check_tls(&config, faults);
    if (!ok || cJSON_GetArraySize(faults) > 0) {
        sh_config_print_faults(faults);
        say_faults(service, faults);
        cJSON_Delete(faults);
        sh_config_clear(&config);
        return SH_EXIT_BAD;
    }
    cJSON_Delete(faults);
    int rc = override(o, &config, service);
    if (rc < 0)
        rc = sh_serve(&config, service);
    sh_config_clear(&config);
    return rc;
}

int sh_cmd_serve(int argc, char **argv)
{
    struct sh_options o;
    struct sh_service service;
    struct sh_error err;
    int rc = sh_options_parse(&command, argc, argv, &o);
    if (rc < 0) {
        if (sh_service_init(&service, &err)) {
            rc = serve_with(&o, &service);
        } else {
            fprintf(stderr, "switchhook: %s\n", err.msg);
            rc = SH_EXIT_BAD;
        }
        sh_service_clear(&service);
    }
    sh_options_clear(&o);
    return rc;
}
