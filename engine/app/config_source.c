/* SPDX-License-Identifier: MIT
 * config_source.c: sources: what they must hold, and what goes together. */
#include "app/config_reader.h"

#include "core/event.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SOURCES 200
#define COUNT(a)    (sizeof(a) / sizeof((a)[0]))
#define AT(member)  offsetof(struct sh_source_config, member)

/* --- one source ----------------------------------------------------------------------------- */

static const struct sh_cfg_setting spec_keys[] = {
    {"field", SH_CFG_STRING, offsetof(struct sh_field_spec, field), 0, 0, NULL},
    {"value", SH_CFG_STRING, offsetof(struct sh_field_spec, value), 0, 0, NULL},
};

static void clear_spec(struct sh_field_spec *spec)
{
    free(spec->field);
    free(spec->value);
    *spec = (struct sh_field_spec){0};
}

static void read_spec(struct sh_cfg *cfg, const cJSON *node, const char *path,
                      struct sh_field_spec *spec)
{
    if (!cJSON_IsObject(node)) {
        sh_cfg_expected(cfg, path, "{ field = \"name\" } or { value = \"fixed\" }", node);
        return;
    }
    int before = cJSON_GetArraySize(cfg->faults);
    sh_cfg_table(cfg, node, path, spec_keys, COUNT(spec_keys), spec);
    if (cJSON_GetArraySize(cfg->faults) == before && !spec->field == !spec->value)
        sh_cfg_fault(cfg, path, "needs %s of field and value", spec->field ? "only one" : "one");
}

static void read_type(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_source_config *s = base;
    read_spec(cfg, node, path, &s->source.type);
    if (s->source.type.value && strlen(s->source.type.value) > SH_MAX_TYPE_BYTES)
        sh_cfg_fault(cfg, path, "the type is longer than %d bytes", SH_MAX_TYPE_BYTES);
}

static void read_key(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_source_config *s = base;
    read_spec(cfg, node, path, &s->source.key);
    if (s->source.key.value && strlen(s->source.key.value) > SH_MAX_KEY_BYTES)
        sh_cfg_fault(cfg, path, "the key is longer than %d bytes", SH_MAX_KEY_BYTES);
}

static void read_dedupe_fields(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_source_config *s = base;
    char **fields = NULL;
    if (!sh_cfg_strings(cfg, node, path, "a list of fields such as { \"id\" }", &fields))
        return;
    s->source.dedupe_fields = fields;
    if (!fields[0])
        sh_cfg_fault(cfg, path,
                     "the list is empty; leave dedupe out to recognise repeats by the "
                     "whole body");
}

static const struct sh_cfg_setting dedupe_keys[] = {
    {"fields", SH_CFG_CUSTOM, 0, 0, 0, read_dedupe_fields}};

static void read_dedupe(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    int before = cJSON_GetArraySize(cfg->faults);
    sh_cfg_table(cfg, node, path, dedupe_keys, COUNT(dedupe_keys), base);
    if (cJSON_GetArraySize(cfg->faults) == before && !sh_json_member(node, "fields"))
        sh_cfg_fault(cfg, path, "needs fields = { \"...\" }");
}

static bool is_origin(const char *s)
{
    const char *host = strstr(s, "://");
    if (strcmp(s, "*") == 0)
        return true;
    if (!host || host == s)
        return false;
    host += 3;
    return *host && host[strcspn(host, "/?#@ \t\r\n\"'*,")] == '\0';
}

static void read_cors(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_source_config *s = base;
    char **list = NULL;
    if (!sh_cfg_strings(cfg, node, path,
                        "a list of origins such as { \"https://phone.example.org\" }", &list))
        return;
    s->cors = list;
    for (size_t i = 0; list[i]; i++)
        if (!is_origin(list[i]))
            sh_cfg_fault(cfg, path,
                         "\"%s\" is not an origin; expected scheme://host[:port] without a path, "
                         "such as \"https://phone.example.org\", or \"*\"",
                         list[i]);
}

static const struct sh_cfg_setting source_keys[] = {
    {"path", SH_CFG_STRING, AT(path), 0, 0, NULL}, {"type", SH_CFG_CUSTOM, 0, 0, 0, read_type},
    {"key", SH_CFG_CUSTOM, 0, 0, 0, read_key},     {"dedupe", SH_CFG_CUSTOM, 0, 0, 0, read_dedupe},
    {"auth", SH_CFG_CUSTOM, 0, 0, 0, sh_cfg_auth}, {"from", SH_CFG_CUSTOM, 0, 0, 0, sh_cfg_from},
    {"echo", SH_CFG_CUSTOM, 0, 0, 0, sh_cfg_echo}, {"cors", SH_CFG_CUSTOM, 0, 0, 0, read_cors},
};

static bool is_source_name(const char *s)
{
    return *s >= 'a' && *s <= 'z' &&
           s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-")] == '\0' &&
           strlen(s) <= SH_MAX_NAME_BYTES;
}

static void check_name(struct sh_cfg *cfg, const char *path, const char *name)
{
    static const char *const kept[][2] = {
        {SH_SOURCE_EMITTED, "that rules emit"},
        {SH_SOURCE_CLOCK, "of clock rules"},
        {SH_SOURCE_ENGINE, "of the engine's own"},
    };
    for (size_t i = 0; i < COUNT(kept); i++)
        if (strcmp(name, kept[i][0]) == 0)
            sh_cfg_fault(cfg, path, "the name \"%s\" is kept for events %s", name, kept[i][1]);
    if (!is_source_name(name))
        sh_cfg_fault(
            cfg, path,
            "\"%s\" is not a source name; expected a-z, then a-z 0-9 _ -, at most %d bytes", name,
            SH_MAX_NAME_BYTES);
}

static void check_path(struct sh_cfg *cfg, const char *at, const char *path)
{
    static const char *const kept[] = {"/healthz", "/metrics", "/api", "/console", "/calendar"};
    for (size_t i = 0; i < COUNT(kept); i++) {
        size_t n = strlen(kept[i]);
        if (strncmp(path, kept[i], n) == 0 && (path[n] == '\0' || path[n] == '/'))
            sh_cfg_fault(cfg, at, "%s is kept for the engine itself", kept[i]);
    }
    if (path[0] != '/')
        sh_cfg_fault(cfg, at, "\"%s\" does not begin with /", path);
    for (const char *p = path; *p; p++) {
        if (*p > ' ' && *p <= '~' && !strchr("?#%\"<>\\", *p))
            continue;
        sh_cfg_fault(cfg, at, "\"%s\" has a byte in it (0x%02x) that a path cannot have", path,
                     (unsigned)(unsigned char)*p);
        return;
    }
}

static void read_source(struct sh_cfg *cfg, const cJSON *node, const char *path,
                        struct sh_source_config *s)
{
    char at[SH_CFG_PATH];
    s->source.name = sh_strdup(node->string);
    check_name(cfg, path, node->string);
    if (!cJSON_IsObject(node)) {
        sh_cfg_expected(cfg, path, "a table with path, type, ...", node);
        return;
    }
    sh_cfg_table(cfg, node, path, source_keys, COUNT(source_keys), s);
    if (s->path)
        check_path(cfg, sh_cfg_join(at, path, "path"), s->path);
    else if (!sh_json_member(node, "path"))
        sh_cfg_fault(cfg, path, "needs path = \"/hooks/%s\"", node->string);
    if (!sh_json_member(node, "type"))
        sh_cfg_fault(cfg, path, "needs type = { field = \"...\" } or { value = \"...\" }");
}

static int by_name(const void *a, const void *b)
{
    const struct sh_source_config *x = a, *y = b;
    return strcmp(x->source.name, y->source.name);
}

void sh_cfg_sources(struct sh_cfg *cfg, const cJSON *node, const char *path, void *config)
{
    struct sh_config *c = config;
    int n = cJSON_GetArraySize(node);
    if (!cJSON_IsObject(node) || n == 0 || n > MAX_SOURCES) {
        if (cJSON_IsObject(node) && n > 0)
            sh_cfg_fault(cfg, path, "%d sources; at most %d", n, MAX_SOURCES);
        else
            sh_cfg_expected(cfg, path, "a table of sources by name", node);
        return;
    }
    c->sources = sh_alloc((size_t)n, sizeof(*c->sources));
    const cJSON *child;
    cJSON_ArrayForEach(child, node)
    {
        char at[SH_CFG_PATH];
        read_source(cfg, child, sh_cfg_join(at, path, child->string), &c->sources[c->n_sources++]);
    }
    qsort(c->sources, c->n_sources, sizeof(*c->sources), by_name); /* Lua's tables have no order */
}

void sh_source_config_clear(struct sh_source_config *s)
{
    free(s->source.name);
    clear_spec(&s->source.type);
    clear_spec(&s->source.key);
    char **lists[] = {s->source.dedupe_fields, s->cors};
    for (size_t i = 0; i < COUNT(lists); i++) {
        for (size_t k = 0; lists[i] && lists[i][k]; k++)
            free(lists[i][k]);
        free(lists[i]);
    }
    free(s->path);
    sh_cfg_auth_clear(s);
}

/* --- what goes together --------------------------------------------------------------------- */

void sh_cfg_check_sources(struct sh_cfg *cfg, const struct sh_config *c)
{
    for (size_t i = 0; i < c->n_sources; i++) {
        sh_cfg_check_auth(cfg, &c->sources[i]);
        for (size_t k = 0; k < i; k++) {
            const struct sh_source_config *a = &c->sources[k], *b = &c->sources[i];
            if (!a->path || !b->path || strcmp(a->path, b->path) != 0)
                continue;
            char source[SH_CFG_PATH], at[SH_CFG_PATH];
            sh_cfg_join(source, "sources", b->source.name);
            sh_cfg_fault(cfg, sh_cfg_join(at, source, "path"),
                         "source \"%s\" has the path %s already", a->source.name, b->path);
        }
    }
}
