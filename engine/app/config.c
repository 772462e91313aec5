/* SPDX-License-Identifier: MIT
 * config.c: the configuration's keys, defaults and life. */
#include "app/config.h"

#include "app/config_reader.h"
#include "base/zone.h"
#include "lua/config_file.h"
#include "svc/json.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_FILE  "switchhook.lua"
#define DEFAULT_RULES "rules"
#define DEFAULT_FROM  "switchhook <switchhook@localhost>"
#define KIB           1024LL
#define MIB           (1024LL * KIB)
#define GIB           (1024LL * MIB)
#define SECOND        1000LL
#define MINUTE        (60 * SECOND)
#define HOUR          (60 * MINUTE)
#define DAY           (24 * HOUR)
#define COUNT(a)      (sizeof(a) / sizeof((a)[0]))

/* --- keys ----------------------------------------------------------------------------------- */

static void read_listen(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_error err;
    const char *text = sh_cfg_string(cfg, node, path, "an address such as \"127.0.0.1:8080\"");
    if (text && !sh_config_set_listen(base, text, &err))
        sh_cfg_fault(cfg, path, "%s", err.msg);
}

static void read_retry(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_config *c = base;
    (void)!sh_cfg_durations(cfg, node, path, &c->retry_ms, &c->n_retry);
}

static void read_mail_retry(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_config *c = base;
    (void)!sh_cfg_durations(cfg, node, path, &c->mail_retry_ms, &c->n_mail_retry);
}

#define AT(member) offsetof(struct sh_config, member)

static const struct sh_cfg_setting mail_keys[] = {
    {"smtp", SH_CFG_STRING, AT(mail.smtp), 0, 0, NULL},
    {"from", SH_CFG_STRING, AT(mail.from), 0, 0, NULL},
    {"username", SH_CFG_STRING, AT(mail.username), 0, 0, NULL},
    {"password", SH_CFG_STRING, AT(mail.password), 0, 0, NULL},
    {"tls", SH_CFG_BOOL, AT(mail.require_tls), 0, 0, NULL},
    {"ca_file", SH_CFG_PATHNAME, AT(mail.ca_file), 0, 0, NULL},
    {"connections", SH_CFG_INT, AT(mail.connections), 1, 64, NULL},
    {"timeout", SH_CFG_DURATION, AT(mail.timeout_ms), SECOND, 10 * MINUTE, NULL},
    {"retry", SH_CFG_CUSTOM, 0, 0, 0, read_mail_retry},
};
static const struct sh_cfg_setting limit_keys[] = {
    {"body", SH_CFG_SIZE, AT(body_bytes), 1, 16 * MIB, NULL},
    {"headers", SH_CFG_SIZE, AT(header_bytes), KIB, MIB, NULL},
    {"connections", SH_CFG_INT, AT(connections), 1, 100000, NULL},
    {"header_timeout", SH_CFG_DURATION, AT(header_timeout_ms), 100, HOUR, NULL},
    {"body_timeout", SH_CFG_DURATION, AT(body_timeout_ms), 100, HOUR, NULL},
    {"idle_timeout", SH_CFG_DURATION, AT(idle_timeout_ms), 100, HOUR, NULL},
    {"backlog", SH_CFG_INT, AT(backlog), 1, 1000000000, NULL},
    {"memory_events", SH_CFG_INT, AT(memory_events), 1, 1000000, NULL},
    {"auth_failures", SH_CFG_INT, AT(auth_failures), 0, 1000000, NULL},
    {"memory_bodies", SH_CFG_SIZE, AT(memory_body_bytes), MIB, 64 * GIB, NULL},
};
static const struct sh_cfg_setting budget_keys[] = {
    {"cpu", SH_CFG_DURATION, AT(budgets.cpu_ms), 1, 10 * MINUTE, NULL},
    {"wall", SH_CFG_DURATION, AT(budgets.wall_ms), 1, HOUR, NULL},
    {"memory", SH_CFG_SIZE, AT(budgets.memory_bytes), 4 * MIB, 4 * GIB, NULL},
    {"effects", SH_CFG_INT, AT(budgets.max_effects), 1, 100000, NULL},
    {"effect_bytes", SH_CFG_SIZE, AT(budgets.max_effect_bytes), KIB, 32 * MIB, NULL},
};

static const struct sh_cfg_setting reload_keys[] = {
    {"watch", SH_CFG_BOOL, AT(reload_watch), 0, 0, NULL},
    {"specs", SH_CFG_BOOL, AT(reload_specs), 0, 0, NULL},
    {"specs_timeout", SH_CFG_DURATION, AT(reload_spec_ms), SECOND, HOUR, NULL},
};

/* mail.connections is a long like curl's, read as any other number. */
_Static_assert(sizeof(long) == sizeof(int64_t), "a long holds 64 bits");

static void read_mail(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    sh_cfg_table(cfg, node, path, mail_keys, COUNT(mail_keys), base);
}

static void read_limits(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    sh_cfg_table(cfg, node, path, limit_keys, COUNT(limit_keys), base);
}

static void read_budgets(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    sh_cfg_table(cfg, node, path, budget_keys, COUNT(budget_keys), base);
}

static void read_reload(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    sh_cfg_table(cfg, node, path, reload_keys, COUNT(reload_keys), base);
}

static void read_http(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    sh_cfg_table(cfg, node, path, sh_cfg_http_keys, sh_cfg_n_http_keys, base);
}

/* A number, or false for never. */
static void read_quarantine(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    static const struct sh_cfg_setting number = {"quarantine", SH_CFG_INT, AT(quarantine), 0,
                                                 1000000,      NULL};
    if (cJSON_IsFalse(node))
        ((struct sh_config *)base)->quarantine = 0;
    else if (!cJSON_IsNumber(node))
        sh_cfg_expected(cfg, path, "a whole number, or false for never", node);
    else
        sh_cfg_value(cfg, &number, node, path, base);
}

static const struct sh_cfg_setting top_keys[] = {
    {"listen", SH_CFG_CUSTOM, 0, 0, 0, read_listen},
    {"data", SH_CFG_PATHNAME, AT(data), 0, 0, NULL},
    {"rules", SH_CFG_PATHNAME, AT(rules), 0, 0, NULL},
    {"scripts", SH_CFG_PATHNAME, AT(scripts), 0, 0, NULL},
    {"sources", SH_CFG_CUSTOM, 0, 0, 0, sh_cfg_sources},
    {"trusted_proxies", SH_CFG_CUSTOM, 0, 0, 0, sh_cfg_trusted_proxies},
    {"forwarded_header", SH_CFG_CUSTOM, 0, 0, 0, sh_cfg_forwarded_header},
    {"mail", SH_CFG_CUSTOM, 0, 0, 0, read_mail},
    {"http", SH_CFG_CUSTOM, 0, 0, 0, read_http},
    {"tls", SH_CFG_CUSTOM, 0, 0, 0, sh_cfg_tls},
    {"secrets", SH_CFG_CUSTOM, 0, 0, 0, sh_cfg_secrets},
    {"callbacks", SH_CFG_CUSTOM, 0, 0, 0, sh_cfg_callbacks},
    {"zone", SH_CFG_CUSTOM, 0, 0, 0, sh_cfg_zone},
    {"url", SH_CFG_CUSTOM, 0, 0, 0, sh_cfg_url},
    {"workers", SH_CFG_INT, AT(workers), 1, 64, NULL},
    {"retry", SH_CFG_CUSTOM, 0, 0, 0, read_retry},
    {"quarantine", SH_CFG_CUSTOM, 0, 0, 0, read_quarantine},
    {"limits", SH_CFG_CUSTOM, 0, 0, 0, read_limits},
    {"log", SH_CFG_CUSTOM, 0, 0, 0, sh_cfg_log},
    {"budgets", SH_CFG_CUSTOM, 0, 0, 0, read_budgets},
    {"reload", SH_CFG_CUSTOM, 0, 0, 0, read_reload},
    {"country", SH_CFG_CUSTOM, 0, 0, 0, sh_cfg_country},
    {"min_free", SH_CFG_SIZE, AT(min_free_bytes), 0, 1024 * GIB, NULL},
    {"mask", SH_CFG_CUSTOM, 0, 0, 0, sh_cfg_mask},
    {"retain", SH_CFG_CUSTOM, 0, 0, 0, sh_cfg_retain},
};

/* --- defaults ------------------------------------------------------------------------------- */

static void set_retries(struct sh_config *c)
{
    static const int64_t runs[] = {5 * SECOND,  30 * SECOND, 2 * MINUTE,
                                   10 * MINUTE, HOUR,        6 * HOUR};
    static const int64_t mails[] = {10 * SECOND, MINUTE,   5 * MINUTE, 30 * MINUTE,
                                    2 * HOUR,    6 * HOUR, 12 * HOUR,  12 * HOUR};
    static const int64_t calls[] = {10 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE,
                                    HOUR,        2 * HOUR,    4 * HOUR,   8 * HOUR,    12 * HOUR};
    c->retry_ms = (int64_t *)(void *)sh_memdup(runs, sizeof(runs));
    c->n_retry = COUNT(runs);
    c->mail_retry_ms = (int64_t *)(void *)sh_memdup(mails, sizeof(mails));
    c->n_mail_retry = COUNT(mails);
    c->http.retry_ms = (int64_t *)(void *)sh_memdup(calls, sizeof(calls));
    c->http.n_retry = COUNT(calls);
}

/* The machine's own, unless the database does not have it. */
static const char *default_zone(void)
{
    const char *name = sh_zone_system();
    return sh_zone_find(name) ? name : "UTC";
}

static void set_defaults(struct sh_config *c, const char *folder)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    *c = (struct sh_config){
        .listen_host = sh_strdup("127.0.0.1"),
        .listen_port = 8080,
        .data = sh_strf("%svar", folder),
        .rules = sh_strf("%srules", folder),
        .scripts = sh_strf("%sscripts", folder),
        .mail = {.connections = 4, .timeout_ms = 60 * SECOND},
        .http = {.timeout_ms = 30 * SECOND,
                 .lookup_timeout_ms = 5 * SECOND,
                 .answer_bytes = 256 * KIB,
                 .per_host = 4,
                 .connections = 64,
                 .pause_max_ms = MINUTE},
        .settings = {.zone = sh_strdup(default_zone())},
        .quarantine = SH_DEF_QUARANTINE,
        .callback_email = true,
        .callback_missed_ms = DAY,
        .budgets = {SH_DEF_CPU_MS, SH_DEF_WALL_MS, SH_DEF_MEMORY_BYTES, SH_DEF_MAX_EFFECTS,
                    SH_DEF_MAX_EFFECT_BYTES},
        .workers = cpus < 1   ? 1
                   : cpus > 8 ? 8
                              : cpus,
        .body_bytes = SH_DEF_BODY_BYTES,
        .header_bytes = SH_DEF_HEADER_BYTES,
        .connections = SH_DEF_CONNECTIONS,
        .header_timeout_ms = SH_DEF_HEADER_TIMEOUT_MS,
        .body_timeout_ms = SH_DEF_BODY_TIMEOUT_MS,
        .idle_timeout_ms = SH_DEF_IDLE_TIMEOUT_MS,
        .auth_failures = SH_DEF_AUTH_FAILURES,
        .backlog = SH_DEF_BACKLOG,
        .memory_events = SH_DEF_MEMORY_EVENTS,
        .memory_body_bytes = SH_DEF_MEMORY_BODIES,
        .min_free_bytes = SH_DEF_MIN_FREE_BYTES,
        .log_level = SH_LOG_INFO,
        .reload_watch = true,
        .reload_spec_ms = 2 * MINUTE,
    };
    set_retries(c);
    sh_retain_all(&c->retain, 90 * DAY);
    c->mask.numbers = c->mask_viewers = true;
}

/* What a fresh install listens to. */
static void add_webphone(struct sh_config *c)
{
    c->sources = sh_alloc(1, sizeof(*c->sources));
    c->n_sources = 1;
    c->sources[0] = (struct sh_source_config){
        .source = {.name = sh_strdup("webphone"),
                   .type = {.field = sh_strdup("event")},
                   .key = {.field = sh_strdup("call_id")}},
        .path = sh_strdup("/hooks/webphone"),
    };
}

/* --- reading -------------------------------------------------------------------------------- */

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? sh_memdup(path, (size_t)(slash - path) + 1) : sh_strdup("");
}

/* "path:12: message" as the fault of that line. */
static void file_fault(struct sh_cfg *cfg, const char *msg)
{
    size_t n = strlen(cfg->file);
    int line = 0;
    if (strncmp(msg, cfg->file, n) == 0 && msg[n] == ':') {
        char *end;
        line = (int)strtol(msg + n + 1, &end, 10);
        msg = *end == ':' ? end + 1 + (end[1] == ' ') : end;
    }
    cJSON *fault = cJSON_CreateObject();
    cJSON_AddStringToObject(fault, "file", cfg->file);
    cJSON_AddItemToObject(fault, "line", sh_json_int(line));
    cJSON_AddStringToObject(fault, "key", "");
    cJSON_AddStringToObject(fault, "msg", msg);
    cJSON_AddItemToArray(cfg->faults, fault);
}

static void check_budgets(struct sh_cfg *cfg, const struct sh_config *c)
{
    if (c->budgets.wall_ms < c->budgets.cpu_ms)
        sh_cfg_fault(cfg, "budgets.wall", "%lld ms is less than budgets.cpu, %lld ms",
                     (long long)c->budgets.wall_ms, (long long)c->budgets.cpu_ms);
    if (c->memory_body_bytes < c->body_bytes)
        sh_cfg_fault(cfg, "limits.memory_bodies",
                     "%lld bytes do not hold one body of limits.body, %lld bytes",
                     (long long)c->memory_body_bytes, (long long)c->body_bytes);
}

static void read_tree(struct sh_cfg *cfg, const cJSON *tree, struct sh_config *c)
{
    c->mail.require_tls = true;
    if (cJSON_IsArray(tree))
        sh_cfg_fault(cfg, "", "expected a table with keys such as listen = ..., got a list");
    else
        sh_cfg_table(cfg, tree, "", top_keys, COUNT(top_keys), c);
    if (!sh_json_member(tree, "sources"))
        add_webphone(c);
    bool tls_said = sh_json_member(sh_json_member(tree, "mail"), "tls") != NULL;
    sh_cfg_check_sources(cfg, c);
    sh_cfg_plain_auth(cfg, c);
    sh_cfg_set_normalisers(c);
    sh_cfg_check_mail(cfg, c, tls_said);
    check_budgets(cfg, c);
}

static void read_file(struct sh_cfg *cfg, struct sh_config *c)
{
    struct sh_error err;
    char *text = NULL;
    cJSON *tree = sh_config_file_read(cfg->file, &text, &err);
    cfg->text = text;
    if (tree)
        read_tree(cfg, tree, c);
    else
        file_fault(cfg, err.msg);
    cJSON_Delete(tree);
    free(text);
    cfg->text = NULL;
}

/* "/usr/local/etc/switchhook/switchhook.lua" for a program /usr/local/bin/switchhook, if it is
 * there; owned, or NULL. */
static char *installed_file(void)
{
    char program[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (n <= 0)
        return NULL;
    program[n] = '\0';
    char *slash = strrchr(program, '/'), *bin = NULL;
    if (slash) {
        *slash = '\0';
        bin = strrchr(program, '/');
    }
    if (!bin || strcmp(bin, "/bin") != 0)
        return NULL;
    *bin = '\0';
    char *path =
        sh_strf("%s/etc/switchhook/" DEFAULT_FILE, strcmp(program, "/usr") == 0 ? "" : program);
    if (access(path, F_OK) == 0)
        return path;
    free(path);
    return NULL;
}

/* What the environment names, or NULL. */
static const char *named_file(void)
{
    const char *said = getenv("SWITCHHOOK_CONFIG");
    return said && *said ? said : NULL;
}

char *sh_config_find(void)
{
    if (named_file())
        return sh_strdup(named_file());
    if (access(DEFAULT_FILE, F_OK) == 0)
        return sh_strdup(DEFAULT_FILE);
    return access(DEFAULT_RULES, F_OK) == 0 ? NULL : installed_file();
}

/* A configuration is a program that may read every file that its reader may (`file "..."`), and
 * says where things are written. One that root merely stands beside is not taken from a stranger:
 * only root's own, and that of who called sudo. */
static bool is_strangers(const char *path, uid_t *owner)
{
    struct stat link, st;
    if (geteuid() != 0 || lstat(path, &link) != 0 || stat(path, &st) != 0)
        return false;
    const char *caller = getenv("SUDO_UID");
    const uid_t own = caller && *caller ? (uid_t)strtoul(caller, NULL, 10) : 0;
    *owner = link.st_uid != 0 && link.st_uid != own ? link.st_uid : st.st_uid;
    return *owner != 0 && *owner != own;
}

static void refuse_strangers(const char *path, uid_t owner, cJSON *faults)
{
    char *msg = sh_strf("belongs to user %lu, and this is root: a configuration that is found, and "
                        "not named, has to be root's own. If you trust it: --config %s",
                        (unsigned long)owner, path);
    struct sh_cfg cfg = {.file = path, .faults = faults};
    file_fault(&cfg, msg);
    free(msg);
}

static void load(const char *path, struct sh_config *c, cJSON **faults)
{
    struct sh_cfg cfg = {.file = path, .faults = cJSON_CreateArray()};
    cfg.folder = folder_of(path ? path : "");
    sh_zones_load(NULL);
    set_defaults(c, cfg.folder);
    c->file = sh_strdup(path);
    if (path)
        read_file(&cfg, c);
    else
        add_webphone(c);
    sh_cfg_secrets_of_environment(&cfg, c);
    if (!c->mail.from)
        c->mail.from = sh_strdup(DEFAULT_FROM);
    sh_cfg_sort_faults(&cfg);
    free(cfg.folder);
    *faults = cfg.faults;
}

bool sh_config_load(const char *path, struct sh_config *c, cJSON **faults)
{
    char *found = path ? NULL : sh_config_find();
    uid_t owner = 0;
    const bool refused =
        found && !named_file() && strcmp(found, DEFAULT_FILE) == 0 && is_strangers(found, &owner);
    load(refused ? NULL : path && *path ? path : found, c, faults);
    if (refused)
        refuse_strangers(found, owner, *faults);
    free(found);
    return cJSON_GetArraySize(*faults) == 0;
}

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

/* Not left in freed memory. */
static void free_secrets(char **texts)
{
    for (size_t i = 0; texts && texts[i]; i++)
        explicit_bzero(texts[i], strlen(texts[i]));
    free_list(texts);
}

void sh_config_clear(struct sh_config *c)
{
    for (size_t i = 0; i < c->n_sources; i++)
        sh_source_config_clear(&c->sources[i]);
    free(c->sources);
    char *texts[] = {c->file,          c->listen_host,  c->data,         c->rules,
                     c->scripts,       c->mail.smtp,    c->mail.from,    c->mail.username,
                     c->mail.password, c->mail.ca_file, c->http.ca_file, c->public_url,
                     c->tls.cert,      c->tls.key,      c->country};
    for (size_t i = 0; i < COUNT(texts); i++)
        free(texts[i]);
    free_list(c->http.allow);
    free_list(c->plain_secrets);
    free_secrets(c->secret_texts);
    sh_settings_clear(&c->settings);
    free(c->trusted_proxies);
    sh_retain_clear(&c->retain);
    free_list(c->mask.fields);
    free(c->retry_ms);
    free(c->mail_retry_ms);
    free(c->http.retry_ms);
    *c = (struct sh_config){0};
}

/* --- the listen address, and use ------------------------------------------------------------ */

static bool is_ip(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

bool sh_config_set_listen(struct sh_config *c, const char *text, struct sh_error *err)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    bool brackets = text[0] == '[' && colon && colon > text && colon[-1] == ']';
    if (!colon || (size_t)(colon - text) >= sizeof(host) || colon == text)
        return sh_error_set(err, SH_EINVAL,
                            "\"%.200s\": expected an address and a port, such as "
                            "\"127.0.0.1:8080\" or \"[::1]:8080\"",
                            text);
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text) - 2 * brackets, text + brackets);
    if (strcmp(host, "localhost") == 0)
        snprintf(host, sizeof(host), "127.0.0.1");
    if (!is_ip(host) || (strchr(host, ':') != NULL) != brackets)
        return sh_error_set(err, SH_EINVAL,
                            "\"%.200s\": \"%s\" is not an IP address; expected one such as "
                            "127.0.0.1, 0.0.0.0 (every address) or [::1]",
                            text, host);
    char *end;
    long port = strtol(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end || port > 65535)
        return sh_error_set(err, SH_EINVAL, "\"%.200s\": port \"%.20s\" is not in 0..65535", text,
                            colon + 1);
    free(c->listen_host);
    c->listen_host = sh_strdup(host);
    c->listen_port = (int)port;
    return true;
}

const char *sh_config_secret(void *config, const char *name)
{
    const struct sh_config *c = config;
    for (size_t i = 0; c->settings.secrets && c->settings.secrets[i]; i++)
        if (strcmp(c->settings.secrets[i], name) == 0)
            return c->secret_texts[i];
    return NULL;
}

bool sh_config_is_loopback(const struct sh_config *c)
{
    unsigned char v4[4];
    struct in6_addr v6;
    if (inet_pton(AF_INET, c->listen_host, v4) == 1)
        return v4[0] == 127;
    return inet_pton(AF_INET6, c->listen_host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

const char *sh_config_scheme(const struct sh_config *c)
{
    return c->tls.cert ? "https" : "http";
}

/* "webphone" -> "WEBPHONE_TOKEN": a name for the variable that holds its token. */
static void variable_name(const char *source, char *out, size_t room)
{
    snprintf(out, room, "%.100s_TOKEN", source);
    for (char *p = out; *p; p++)
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
}

bool sh_config_check_exposure(const struct sh_config *c, struct sh_error *err)
{
    if (sh_config_is_loopback(c))
        return true;
    for (size_t i = 0; i < c->n_sources; i++) {
        const struct sh_source_config *s = &c->sources[i];
        char name[128];
        if (s->auth.kind != SH_AUTH_UNSET)
            continue;
        variable_name(s->source.name, name, sizeof(name));
        return sh_error_set(err, SH_EINVAL,
                            "source \"%s\" has no auth, and %s can be reached from other machines: "
                            "write auth = { bearer = env \"%s\" } in sources.%s, or auth = "
                            "\"none\" if anyone may post to %s",
                            s->source.name, c->listen_host, name, s->source.name,
                            s->path ? s->path : "it");
    }
    return true;
}

void sh_config_override(char **setting, const char *value)
{
    if (!value)
        return;
    free(*setting);
    *setting = sh_strdup(value);
}

const struct sh_source_config *sh_config_source(const struct sh_config *c, const char *name)
{
    for (size_t i = 0; i < c->n_sources; i++)
        if (strcmp(c->sources[i].source.name, name) == 0)
            return &c->sources[i];
    return NULL;
}

void sh_config_print_faults(const cJSON *faults)
{
    const cJSON *f;
    cJSON_ArrayForEach(f, faults)
    {
        int64_t line = 0;
        (void)!sh_json_get_int(sh_json_member(f, "line"), &line);
        const char *file = sh_json_string(f, "file"), *key = sh_json_string(f, "key");
        fprintf(stderr, "%s:", file && *file ? file : "configuration");
        if (line > 0)
            fprintf(stderr, "%lld:", (long long)line);
        fprintf(stderr, " %s%s%s\n", key ? key : "", key && *key ? ": " : "",
                sh_json_string(f, "msg"));
    }
}
