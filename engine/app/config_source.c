/* SPDX-License-Identifier: MIT
 * config_source.c: sources: what they must hold, and what goes together. */
#include "app/config_reader.h"

#include "core/event.h"
#include "core/path_pattern.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SOURCES 200
#define MAX_SHOW    16
#define SHOW_BYTES  200 /* of one path */
#define COUNT(a)    (sizeof(a) / sizeof((a)[0]))
#define AT(member)  offsetof(struct sh_source_config, member)

/* --- one source ----------------------------------------------------------------------------- */

static const struct sh_cfg_setting spec_keys[] = {
    {"field", SH_CFG_STRING, offsetof(struct sh_field_spec, field), 0, 0, NULL},
    {"header", SH_CFG_STRING, offsetof(struct sh_field_spec, header), 0, 0, NULL},
    {"path", SH_CFG_STRING, offsetof(struct sh_field_spec, segment), 0, 0, NULL},
    {"value", SH_CFG_STRING, offsetof(struct sh_field_spec, value), 0, 0, NULL},
};

static void clear_spec(struct sh_field_spec *spec)
{
    free(spec->field);
    free(spec->header);
    free(spec->segment);
    free(spec->value);
    *spec = (struct sh_field_spec){0};
}

/* A name that a request may have (RFC 9110 section 5.1). */
static void check_header(struct sh_cfg *cfg, const char *path, const char *name)
{
    for (const char *p = name; *p; p++)
        if (*p <= ' ' || *p > '~' || strchr("\"(),/:;<=>?@[\\]{}", *p)) {
            sh_cfg_fault(cfg, path, "\"%s\" is not a header's name", name);
            return;
        }
}

static void read_spec(struct sh_cfg *cfg, const cJSON *node, const char *path,
                      struct sh_field_spec *spec)
{
    if (!cJSON_IsObject(node)) {
        sh_cfg_expected(cfg, path,
                        "{ field = \"name\" }, { header = \"X-Name\" }, { path = \"segment\" } or "
                        "{ value = \"fixed\" }",
                        node);
        return;
    }
    int before = cJSON_GetArraySize(cfg->faults);
    sh_cfg_table(cfg, node, path, spec_keys, COUNT(spec_keys), spec);
    int given = !!spec->field + !!spec->header + !!spec->segment + !!spec->value;
    if (cJSON_GetArraySize(cfg->faults) == before && given != 1)
        sh_cfg_fault(cfg, path, "needs %s of field, header, path and value",
                     given ? "only one" : "one");
    if (spec->header)
        check_header(cfg, path, spec->header);
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

static void read_time(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_source_config *s = base;
    read_spec(cfg, node, path, &s->source.time);
    if (s->source.time.value)
        sh_cfg_fault(cfg, path, "a fixed time is nobody's: expected field, header or path");
}

/* --- repeats -------------------------------------------------------------------------------- */

#define DEDUPE(member) offsetof(struct sh_dedupe_spec, member)

static void read_dedupe_fields(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_dedupe_spec *d = base;
    char **fields = NULL;
    if (!sh_cfg_strings(cfg, node, path, "a list of fields such as { \"id\" }", &fields))
        return;
    d->fields = fields;
    if (!fields[0])
        sh_cfg_fault(cfg, path,
                     "the list is empty; leave dedupe out to recognise repeats by the "
                     "whole body");
}

/* field = "id" is fields = { "id" }. */
static void read_dedupe_field(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_dedupe_spec *d = base;
    const char *field = sh_cfg_string(cfg, node, path, "a string");
    if (!field || d->fields)
        return;
    d->fields = sh_alloc(2, sizeof(*d->fields));
    d->fields[0] = sh_strdup(field);
}

static const struct sh_cfg_setting dedupe_keys[] = {
    {"fields", SH_CFG_CUSTOM, 0, 0, 0, read_dedupe_fields},
    {"field", SH_CFG_CUSTOM, 0, 0, 0, read_dedupe_field},
    {"header", SH_CFG_STRING, DEDUPE(header), 0, 0, NULL},
    {"path", SH_CFG_STRING, DEDUPE(segment), 0, 0, NULL},
};

static void clear_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

static void read_dedupe(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_dedupe_spec *d = &((struct sh_source_config *)base)->source.dedupe;
    int before = cJSON_GetArraySize(cfg->faults);
    if (cJSON_IsObject(node) && sh_json_member(node, "value")) {
        sh_cfg_fault(cfg, path, "with a fixed value every event would be a repeat of the first");
        return;
    }
    if (sh_json_member(node, "fields") && sh_json_member(node, "field")) {
        sh_cfg_fault(cfg, path, "needs only one of field and fields");
        return;
    }
    sh_cfg_table(cfg, node, path, dedupe_keys, COUNT(dedupe_keys), d);
    if (cJSON_GetArraySize(cfg->faults) == before && !d->fields && !d->header && !d->segment)
        sh_cfg_fault(cfg, path, "needs fields = { \"...\" }, header = \"...\" or path = \"...\"");
    if (d->header)
        check_header(cfg, path, d->header);
}

/* --- bodies --------------------------------------------------------------------------------- */

static void read_body(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    static const struct {
        const char *name;
        enum sh_body_format format;
    } known[] = {{"json", SH_BODY_JSON}, {"form", SH_BODY_FORM}, {"jwt", SH_BODY_JWT}};
    struct sh_source_config *s = base;
    for (size_t i = 0; cJSON_IsString(node) && i < COUNT(known); i++)
        if (strcmp(node->valuestring, known[i].name) == 0) {
            s->source.format = known[i].format;
            return;
        }
    sh_cfg_expected(cfg, path, "\"json\", \"form\" or \"jwt\"", node);
}

/* A module as in require: "github", "lib.github". */
static void read_normalise(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_source_config *s = base;
    const char *name = sh_cfg_string(cfg, node, path, "a script's name, a string");
    if (!name)
        return;
    size_t n = strlen(name);
    if (n > SH_MAX_NAME_BYTES || strpbrk(name, "/\\") || strstr(name, "..") || name[0] == '.' ||
        (n > 4 && strcmp(name + n - 4, ".lua") == 0)) {
        sh_cfg_fault(cfg, path,
                     "\"%s\" is not a script's name; expected one as for require, such as "
                     "\"github\" for scripts/github.lua",
                     name);
        return;
    }
    free(s->normalise);
    s->normalise = sh_strdup(name);
}

static bool is_listed(char **list, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], text) == 0)
            return true;
    return false;
}

static void check_show(struct sh_cfg *cfg, const char *path, char **list, size_t i)
{
    char place[24], at[SH_CFG_PATH];
    snprintf(place, sizeof(place), "%zu", i + 1);
    sh_cfg_join(at, path, place);
    if (!sh_mask_field_ok(list[i]) || strchr(list[i], '*') || strlen(list[i]) > SHOW_BYTES)
        sh_cfg_fault(cfg, at,
                     "\"%.60s\" is not a field of a body; expected a path such as "
                     "\"caller.name\", of at most %d bytes",
                     list[i], SHOW_BYTES);
    else if (is_listed(list, i, list[i]))
        sh_cfg_fault(cfg, at, "\"%.60s\" is there twice", list[i]);
}

static void read_show(struct sh_cfg *cfg, const cJSON *node, const char *path, void *base)
{
    struct sh_source_config *s = base;
    size_t n = 0;
    if (!sh_cfg_strings(cfg, node, path,
                        "a list of fields such as { \"remote_name\", \"remote_number\" }",
                        &s->show))
        return;
    for (; s->show[n]; n++)
        check_show(cfg, path, s->show, n);
    if (n > MAX_SHOW)
        sh_cfg_fault(cfg, path, "%zu fields; at most %d", n, MAX_SHOW);
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
    {"path", SH_CFG_STRING, AT(path), 0, 0, NULL},
    {"type", SH_CFG_CUSTOM, 0, 0, 0, read_type},
    {"key", SH_CFG_CUSTOM, 0, 0, 0, read_key},
    {"time", SH_CFG_CUSTOM, 0, 0, 0, read_time},
    {"dedupe", SH_CFG_CUSTOM, 0, 0, 0, read_dedupe},
    {"body", SH_CFG_CUSTOM, 0, 0, 0, read_body},
    {"normalise", SH_CFG_CUSTOM, 0, 0, 0, read_normalise},
    {"show", SH_CFG_CUSTOM, 0, 0, 0, read_show},
    {"auth", SH_CFG_CUSTOM, 0, 0, 0, sh_cfg_auth},
    {"from", SH_CFG_CUSTOM, 0, 0, 0, sh_cfg_from},
    {"echo", SH_CFG_CUSTOM, 0, 0, 0, sh_cfg_echo},
    {"cors", SH_CFG_CUSTOM, 0, 0, 0, read_cors},
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
    static const char *const kept[] = {"/healthz", "/readyz",  "/metrics",
                                       "/api",     "/console", "/calendar"};
    for (size_t i = 0; i < COUNT(kept); i++) {
        size_t n = strlen(kept[i]);
        if (strncmp(path, kept[i], n) == 0 && (path[n] == '\0' || path[n] == '/'))
            sh_cfg_fault(cfg, at, "%s is kept for the engine itself", kept[i]);
    }
    if (path[0] != '/')
        sh_cfg_fault(cfg, at, "\"%s\" does not begin with /", path);
    struct sh_error err;
    if (!sh_path_pattern_check(path, &err))
        sh_cfg_fault(cfg, at, "%s", err.msg);
    else if (strncmp(path, "/{", 2) == 0)
        sh_cfg_fault(cfg, at, "%s would take the engine's own paths; expected one such as /hooks%s",
                     path, path);
    for (const char *p = path; *p; p++) {
        if (*p > ' ' && *p <= '~' && !strchr("?#%\"<>\\", *p))
            continue;
        sh_cfg_fault(cfg, at, "\"%s\" has a byte in it (0x%02x) that a path cannot have", path,
                     (unsigned)(unsigned char)*p);
        return;
    }
}

/* A segment that is asked for must be in the path. */
static void check_segment(struct sh_cfg *cfg, const char *path, const char *key,
                          const struct sh_source_config *s, const char *name)
{
    char at[SH_CFG_PATH];
    if (name && s->path && !sh_path_pattern_has(s->path, name))
        sh_cfg_fault(cfg, sh_cfg_join(at, path, key), "the path %s has no segment {%s}", s->path,
                     name);
}

static void check_segments(struct sh_cfg *cfg, const char *path, const struct sh_source_config *s)
{
    check_segment(cfg, path, "type", s, s->source.type.segment);
    check_segment(cfg, path, "key", s, s->source.key.segment);
    check_segment(cfg, path, "time", s, s->source.time.segment);
    check_segment(cfg, path, "dedupe", s, s->source.dedupe.segment);
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
    check_segments(cfg, path, s);
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
    clear_spec(&s->source.time);
    clear_list(s->source.dedupe.fields);
    free(s->source.dedupe.header);
    free(s->source.dedupe.segment);
    clear_list(s->cors);
    clear_list(s->show);
    free(s->normalise);
    free(s->path);
    sh_cfg_auth_clear(s);
}

/* --- what goes together --------------------------------------------------------------------- */

/* A token in the body is the body. */
static void set_format(struct sh_cfg *cfg, struct sh_source_config *s)
{
    char source[SH_CFG_PATH], at[SH_CFG_PATH];
    if (s->auth.kind != SH_AUTH_JWT || s->auth.jwt_bearer)
        return;
    if (s->source.format == SH_BODY_FORM)
        sh_cfg_fault(cfg, sh_cfg_join(at, sh_cfg_join(source, "sources", s->source.name), "body"),
                     "a form cannot be the token that auth.jwt expects in the body");
    s->source.format = SH_BODY_JWT;
}

void sh_cfg_check_sources(struct sh_cfg *cfg, struct sh_config *c)
{
    for (size_t i = 0; i < c->n_sources; i++) {
        sh_cfg_check_auth(cfg, &c->sources[i]);
        set_format(cfg, &c->sources[i]);
        for (size_t k = 0; k < i; k++) {
            const struct sh_source_config *a = &c->sources[k], *b = &c->sources[i];
            if (!a->path || !b->path || !sh_path_pattern_overlap(a->path, b->path))
                continue;
            char source[SH_CFG_PATH], at[SH_CFG_PATH];
            sh_cfg_join(source, "sources", b->source.name);
            sh_cfg_join(at, source, "path");
            if (strcmp(a->path, b->path) == 0)
                sh_cfg_fault(cfg, at, "source \"%s\" has the path %s already", a->source.name,
                             b->path);
            else
                sh_cfg_fault(cfg, at, "a request may fit %s and %s of source \"%s\" as well",
                             b->path, a->path, a->source.name);
        }
    }
}

void sh_cfg_set_normalisers(struct sh_config *c)
{
    struct sh_settings *to = &c->settings;
    to->normalisers = sh_alloc(c->n_sources, sizeof(*to->normalisers));
    for (size_t i = 0; i < c->n_sources; i++)
        if (c->sources[i].normalise)
            to->normalisers[to->n_normalisers++] =
                (struct sh_normaliser){.source = sh_strdup(c->sources[i].source.name),
                                       .module = sh_strdup(c->sources[i].normalise)};
}
