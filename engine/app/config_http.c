/* SPDX-License-Identifier: MIT
 * config_http.c: the zone, the engine's own address, calls to other systems, secrets, callbacks. */
#include "app/config_reader.h"

#include "base/zone.h"
#include "svc/json.h"
#include "svc/reach.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIB              1024LL
#define MIB              (1024LL * KIB)
#define SECOND           1000LL
#define MINUTE           (60 * SECOND)
#define HOUR             (60 * MINUTE)
#define DAY              (24 * HOUR)
#define MAX_SECRETS      200
#define MAX_SECRET_BYTES (64 * 1024)
#define MAX_ZONE_BYTES   100
#define VARIABLE         "SWITCHHOOK_SECRET_"
#define AT(member)       offsetof(struct sh_config, member)

extern char **environ;

/* --- zone and address ----------------------------------------------------------------------- */

void sh_cfg_zone(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config)
{
    struct sh_config *c = config;
    const char *name = sh_cfg_string(cfg, node, path, "a time zone such as \"Europe/Amsterdam\"");
    if (!name)
        return;
    if (sh_zone_find(name)) {
        free(c->settings.zone);
        c->settings.zone = sh_strdup(name);
        return;
    }
    const char *near = strlen(name) <= MAX_ZONE_BYTES ? sh_zone_nearest(name) : NULL;
    if (near)
        sh_cfg_fault(cfg, path, "there is no time zone \"%s\"; did you mean \"%s\"?", name, near);
    else
        sh_cfg_fault(cfg, path,
                     "there is no time zone \"%.100s\"; expected a name such as "
                     "\"Europe/Amsterdam\" or \"UTC\"",
                     name);
}

/* Scheme and host, perhaps a path; no login, query, fragment or blanks. */
static bool is_base_url(const char *url)
{
    const char *host = strncmp(url, "http://", 7) == 0    ? url + 7
                       : strncmp(url, "https://", 8) == 0 ? url + 8
                                                          : NULL;
    if (!host || !*host || *host == '/' || *host == ':')
        return false;
    for (const char *p = host; *p; p++)
        if (*p <= ' ' || *p > '~' || strchr("?#@\"<>\\", *p))
            return false;
    return true;
}

void sh_cfg_url(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config)
{
    struct sh_config *c = config;
    const char *what = "how others reach this engine, such as \"https://hook.example.org\"";
    const char *url = sh_cfg_string(cfg, node, path, what);
    if (!url)
        return;
    if (!is_base_url(url)) {
        sh_cfg_fault(cfg, path, "\"%.300s\" is not the engine's address; expected %s", url, what);
        return;
    }
    size_t n = strlen(url);
    while (url[n - 1] == '/')
        n--;
    free(c->public_url);
    c->public_url = sh_memdup(url, n);
}

/* --- calls ---------------------------------------------------------------------------------- */

static void read_retry(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_config *c = base;
    (void)!sh_cfg_durations(cfg, node, path, &c->http.retry_ms, &c->http.n_retry);
}

static void read_ca_file(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_config *c = base;
    const struct sh_cfg_setting setting = {"ca_file", SH_CFG_PATHNAME, 0, 0, 0, NULL};
    char *file = NULL;
    sh_cfg_value(cfg, &setting, node, path, &file);
    if (file && access(file, R_OK) != 0)
        sh_cfg_fault(cfg, path, "\"%s\" cannot be read", file);
    free(c->http.ca_file);
    c->http.ca_file = file;
}

/* Each entry by itself, so that the fault stands at its line. */
static void read_allow(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_config *c = base;
    char **list = NULL;
    if (!sh_cfg_strings(cfg, node, path,
                        "a list of hosts such as { \"crm.example.org\", \"*.example.net:8443\" }",
                        &list))
        return;
    c->http.allow = list;
    for (size_t i = 0; list[i]; i++) {
        const char *const one[] = {list[i]};
        char place[24], at[SH_CFG_PATH];
        struct sh_error err;
        struct sh_reach *reach = sh_reach_new(one, 1, &err);
        snprintf(place, sizeof(place), "%zu", i + 1);
        if (!reach)
            sh_cfg_fault(cfg, sh_cfg_join(at, path, place), "%s", err.msg);
        sh_reach_free(reach);
    }
}

const struct sh_cfg_setting sh_cfg_http_keys[] = {
    {"allow", SH_CFG_CUSTOM, 0, 0, 0, read_allow},
    {"ca_file", SH_CFG_CUSTOM, 0, 0, 0, read_ca_file},
    {"timeout", SH_CFG_DURATION, AT(http.timeout_ms), SECOND, 10 * MINUTE, NULL},
    {"lookup_timeout", SH_CFG_DURATION, AT(http.lookup_timeout_ms), 100, MINUTE, NULL},
    {"answer", SH_CFG_SIZE, AT(http.answer_bytes), KIB, 4 * MIB, NULL},
    {"per_host", SH_CFG_INT, AT(http.per_host), 1, 1000, NULL},
    {"connections", SH_CFG_INT, AT(http.connections), 1, 1000, NULL},
    {"pause_max", SH_CFG_DURATION, AT(http.pause_max_ms), SECOND, HOUR, NULL},
    {"retry", SH_CFG_CUSTOM, 0, 0, 0, read_retry},
};
const size_t sh_cfg_n_http_keys = sizeof(sh_cfg_http_keys) / sizeof(*sh_cfg_http_keys);

/* --- callbacks ------------------------------------------------------------------------------ */

static const struct sh_cfg_setting callback_keys[] = {
    {"email", SH_CFG_BOOL, AT(callback_email), 0, 0, NULL},
    {"missed_after", SH_CFG_DURATION, AT(callback_missed_ms), 0, 3660 * DAY, NULL},
};

void sh_cfg_callbacks(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config)
{
    sh_cfg_table(cfg, node, path, callback_keys, sizeof(callback_keys) / sizeof(*callback_keys),
                 config);
}

/* --- secrets -------------------------------------------------------------------------------- */

static bool is_secret_name(const char *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    return *s && !(*s >= '0' && *s <= '9') && s[strspn(s, letters)] == '\0' &&
           strlen(s) <= SH_MAX_NAME_BYTES;
}

static size_t count(char **list)
{
    size_t n = 0;
    while (list && list[n])
        n++;
    return n;
}

void sh_cfg_append(char ***list, const char *text)
{
    size_t n = count(*list);
    *list = sh_realloc(*list, (n + 2) * sizeof(**list));
    (*list)[n] = sh_strdup(text);
    (*list)[n + 1] = NULL;
}

bool sh_cfg_is_written_out(const struct sh_cfg *cfg, const char *text)
{
    size_t n = strlen(text);
    const char *p = cfg->text;
    for (; p && (p = strstr(p, text)) != NULL; p++)
        if (p > cfg->text && strchr("\"'[\n", p[-1]) && p[n] && strchr("\"']", p[n]))
            return true;
    return false;
}

/* No message here may hold the text. */
static void read_secret(struct sh_cfg *cfg, const cJSON *node, const char *path,
                        struct sh_config *c)
{
    const char *text = cJSON_IsString(node) ? node->valuestring : NULL;
    if (!is_secret_name(node->string))
        sh_cfg_fault(cfg, path,
                     "\"%.200s\" is not a name for a secret; expected letters, digits and _, no "
                     "digit first, at most %d bytes",
                     node->string, SH_MAX_NAME_BYTES);
    else if (!text)
        sh_cfg_fault(cfg, path, "expected env \"NAME\", file \"path\", or the text itself");
    else if (!*text)
        sh_cfg_fault(cfg, path, "is empty");
    else if (strlen(text) > MAX_SECRET_BYTES)
        sh_cfg_fault(cfg, path, "is longer than %d bytes", MAX_SECRET_BYTES);
    else {
        sh_cfg_append(&c->settings.secrets, node->string);
        sh_cfg_append(&c->secret_texts, text);
        if (sh_cfg_is_written_out(cfg, text))
            sh_cfg_append(&c->plain_secrets, node->string);
    }
}

void sh_cfg_secrets(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config)
{
    if (cJSON_IsArray(node) && node->child) {
        sh_cfg_fault(cfg, path,
                     "expected a table by name, such as { CRM_TOKEN = env "
                     "\"CRM_TOKEN\" }, got a list");
        return;
    }
    if (!cJSON_IsObject(node) && !cJSON_IsArray(node)) {
        sh_cfg_fault(cfg, path,
                     "expected a table by name, such as { CRM_TOKEN = env "
                     "\"CRM_TOKEN\" }");
        return;
    }
    if (cJSON_GetArraySize(node) > MAX_SECRETS) {
        sh_cfg_fault(cfg, path, "%d secrets; at most %d", cJSON_GetArraySize(node), MAX_SECRETS);
        return;
    }
    const cJSON *child;
    cJSON_ArrayForEach(child, node)
    {
        char at[SH_CFG_PATH];
        read_secret(cfg, child, sh_cfg_join(at, path, child->string), config);
    }
}

/* Of "NAME=text", behind the prefix. */
static void take_variable(struct sh_cfg *cfg, const char *entry, struct sh_config *c)
{
    char name[SH_MAX_NAME_BYTES + 2], at[SH_CFG_PATH];
    const char *equals = strchr(entry, '=');
    if (!equals || (size_t)(equals - entry) >= sizeof(name))
        return;
    snprintf(name, sizeof(name), "%.*s", (int)(equals - entry), entry);
    if (!is_secret_name(name) || sh_config_secret(c, name))
        return;
    sh_cfg_join(at, "secrets", name);
    if (!equals[1])
        sh_cfg_fault(cfg, at, "the environment variable %s%s is empty", VARIABLE, name);
    else if (strlen(equals + 1) > MAX_SECRET_BYTES)
        sh_cfg_fault(cfg, at, "the environment variable %s%s is longer than %d bytes", VARIABLE,
                     name, MAX_SECRET_BYTES);
    else if (count(c->settings.secrets) >= MAX_SECRETS)
        sh_cfg_fault(cfg, at, "more than %d secrets", MAX_SECRETS);
    else {
        sh_cfg_append(&c->settings.secrets, name);
        sh_cfg_append(&c->secret_texts, equals + 1);
    }
}

static void swap(char **a, char **b)
{
    char *was = *a;
    *a = *b;
    *b = was;
}

/* By name: Lua's tables and environments come in no order. */
static void sort_secrets(struct sh_config *c)
{
    char **names = c->settings.secrets, **texts = c->secret_texts;
    for (size_t i = 1; i < count(names); i++)
        for (size_t k = i; k > 0 && strcmp(names[k - 1], names[k]) > 0; k--) {
            swap(&names[k - 1], &names[k]);
            swap(&texts[k - 1], &texts[k]);
        }
    char **plain = c->plain_secrets;
    for (size_t i = 1; i < count(plain); i++)
        for (size_t k = i; k > 0 && strcmp(plain[k - 1], plain[k]) > 0; k--)
            swap(&plain[k - 1], &plain[k]);
}

void sh_cfg_secrets_of_environment(struct sh_cfg *cfg, struct sh_config *c)
{
    const size_t n = strlen(VARIABLE);
    for (char **e = environ; e && *e; e++)
        if (strncmp(*e, VARIABLE, n) == 0)
            take_variable(cfg, *e + n, c);
    sort_secrets(c);
}
