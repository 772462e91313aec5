/* SPDX-License-Identifier: MIT
 * config_reader.c: typed values out of the configuration's tree. */
#include "app/config_reader.h"

#include "app/suggest.h"
#include "app/units.h"
#include "lua/config_file.h"
#include "svc/json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_KNOWN 48

static int64_t line_of(const cJSON *fault)
{
    int64_t line = 0;
    (void)!sh_json_get_int(sh_json_member(fault, "line"), &line);
    return line;
}

/* By line, then by key: Lua's tables come in no order. */
static bool after(const cJSON *a, const cJSON *b)
{
    if (line_of(a) != line_of(b))
        return line_of(a) > line_of(b);
    return strcmp(sh_json_string(a, "key"), sh_json_string(b, "key")) > 0;
}

void sh_cfg_sort_faults(struct sh_cfg *cfg)
{
    size_t n = (size_t)cJSON_GetArraySize(cfg->faults);
    cJSON **sorted = sh_alloc(n + 1, sizeof(*sorted));
    for (size_t i = 0; i < n; i++) {
        cJSON *fault = cJSON_DetachItemFromArray(cfg->faults, 0);
        size_t at = i;
        for (; at > 0 && after(sorted[at - 1], fault); at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = fault;
    }
    for (size_t i = 0; i < n; i++)
        cJSON_AddItemToArray(cfg->faults, sorted[i]);
    free(sorted);
}

int sh_cfg_line(const struct sh_cfg *cfg, const char *path)
{
    const int line = cfg->text ? sh_config_line(cfg->text, path) : 0;
    return cfg->text && line == 0 ? 1 : line;
}

void sh_cfg_fault(struct sh_cfg *cfg, const char *path, const char *fmt, ...)
{
    char msg[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    const int line = sh_cfg_line(cfg, path);
    cJSON *fault = cJSON_CreateObject();
    cJSON_AddStringToObject(fault, "file", cfg->file ? cfg->file : "");
    cJSON_AddItemToObject(fault, "line", sh_json_int(line));
    cJSON_AddStringToObject(fault, "key", path);
    cJSON_AddStringToObject(fault, "msg", msg);
    cJSON_AddItemToArray(cfg->faults, fault);
}

static void describe(const cJSON *node, char *out, size_t room)
{
    double number;
    if (cJSON_IsString(node))
        snprintf(out, room, "the string \"%.100s\"", node->valuestring);
    else if (cJSON_IsBool(node))
        snprintf(out, room, "%s", cJSON_IsTrue(node) ? "true" : "false");
    else if (sh_json_is_number(node) && sh_json_get_double(node, &number))
        snprintf(out, room, "the number %.15g", number);
    else if (cJSON_IsArray(node))
        snprintf(out, room, "a list");
    else
        snprintf(out, room, "%s", node && node->child ? "a table with keys" : "an empty table");
}

void sh_cfg_expected(struct sh_cfg *cfg, const char *path, const char *what, const cJSON *node)
{
    char got[160];
    describe(node, got, sizeof(got));
    sh_cfg_fault(cfg, path, "expected %s, got %s", what, got);
}

const char *sh_cfg_join(char out[SH_CFG_PATH], const char *path, const char *name)
{
    snprintf(out, SH_CFG_PATH, "%.380s%s%.128s", path, *path ? "." : "", name);
    return out;
}

const char *sh_cfg_string(struct sh_cfg *cfg, const cJSON *node, const char *path, const char *what)
{
    if (!cJSON_IsString(node)) {
        sh_cfg_expected(cfg, path, what, node);
        return NULL;
    }
    if (!*node->valuestring) {
        sh_cfg_fault(cfg, path, "is empty; expected %s", what);
        return NULL;
    }
    return node->valuestring;
}

static bool list_ok(struct sh_cfg *cfg, const cJSON *node, const char *path, const char *what)
{
    bool empty = cJSON_IsObject(node) && !node->child; /* {} may be either */
    if (!cJSON_IsArray(node) && !empty) {
        sh_cfg_expected(cfg, path, what, node);
        return false;
    }
    if (cJSON_GetArraySize(node) <= SH_CFG_MAX_LIST)
        return true;
    sh_cfg_fault(cfg, path, "has %d items; at most %d", cJSON_GetArraySize(node), SH_CFG_MAX_LIST);
    return false;
}

bool sh_cfg_strings(struct sh_cfg *cfg, const cJSON *node, const char *path, const char *what,
                    char ***out)
{
    if (!list_ok(cfg, node, path, what))
        return false;
    char **list = sh_alloc((size_t)cJSON_GetArraySize(node) + 1, sizeof(*list));
    size_t n = 0;
    bool ok = true;
    const cJSON *item;
    cJSON_ArrayForEach(item, node)
    {
        char place[24], at[SH_CFG_PATH];
        snprintf(place, sizeof(place), "%zu", n + 1);
        const char *s = sh_cfg_string(cfg, item, sh_cfg_join(at, path, place), "a string");
        ok &= s != NULL;
        list[n++] = sh_strdup(s ? s : "");
    }
    if (ok) {
        *out = list;
        return true;
    }
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
    return false;
}

static bool to_duration(const cJSON *node, int64_t *ms)
{
    double seconds;
    if (cJSON_IsString(node))
        return sh_parse_duration(node->valuestring, ms);
    if (!sh_json_is_number(node) || !sh_json_get_double(node, &seconds) || seconds < 0 ||
        seconds > 10000 * 86400.0)
        return false;
    *ms = (int64_t)llround(seconds * 1000);
    return true;
}

static bool to_size(const cJSON *node, int64_t *bytes)
{
    if (cJSON_IsString(node))
        return sh_parse_size(node->valuestring, bytes);
    return sh_json_is_number(node) && sh_json_get_int(node, bytes) && *bytes >= 0;
}

#define DURATION_HELP                                                                              \
    "a duration (seconds, or text such as \"200ms\", \"30s\", \"5m\", \"6h\", \"90d\")"
#define SIZE_HELP "a size (bytes, or text such as \"64 KiB\", \"1MiB\")"

bool sh_cfg_durations(struct sh_cfg *cfg, const cJSON *node, const char *path, int64_t **out,
                      size_t *n)
{
    if (!list_ok(cfg, node, path, "a list of durations such as { \"5s\", \"2m\", \"1h\" }"))
        return false;
    int64_t *list = sh_alloc((size_t)cJSON_GetArraySize(node) + 1, sizeof(*list));
    size_t count = 0;
    bool ok = true;
    const cJSON *item;
    cJSON_ArrayForEach(item, node)
    {
        char place[24], at[SH_CFG_PATH];
        snprintf(place, sizeof(place), "%zu", count + 1);
        if (!to_duration(item, &list[count++])) {
            sh_cfg_expected(cfg, sh_cfg_join(at, path, place), DURATION_HELP, item);
            ok = false;
        }
    }
    if (!ok) {
        free(list);
        return false;
    }
    free(*out);
    *out = list;
    *n = count;
    return true;
}

static void say_range(struct sh_cfg *cfg, const struct sh_cfg_setting *s, const char *path,
                      int64_t got)
{
    char a[SH_UNIT_TEXT], b[SH_UNIT_TEXT], c[SH_UNIT_TEXT];
    if (s->kind == SH_CFG_DURATION)
        sh_cfg_fault(cfg, path, "%s is out of range; expected %s to %s", sh_duration_text(got, a),
                     sh_duration_text(s->min, b), sh_duration_text(s->max, c));
    else if (s->kind == SH_CFG_SIZE)
        sh_cfg_fault(cfg, path, "%s is out of range; expected %s to %s", sh_size_text(got, a),
                     sh_size_text(s->min, b), sh_size_text(s->max, c));
    else
        sh_cfg_fault(cfg, path, "%lld is out of range; expected %lld to %lld", (long long)got,
                     (long long)s->min, (long long)s->max);
}

static void read_number(struct sh_cfg *cfg, const struct sh_cfg_setting *s, const cJSON *node,
                        const char *path, int64_t *out)
{
    int64_t n = 0;
    bool ok = s->kind == SH_CFG_DURATION ? to_duration(node, &n)
              : s->kind == SH_CFG_SIZE   ? to_size(node, &n)
                                         : sh_json_is_number(node) && sh_json_get_int(node, &n);
    if (!ok)
        sh_cfg_expected(cfg, path,
                        s->kind == SH_CFG_DURATION ? DURATION_HELP
                        : s->kind == SH_CFG_SIZE   ? SIZE_HELP
                                                   : "a whole number",
                        node);
    else if (n < s->min || n > s->max)
        say_range(cfg, s, path, n);
    else
        *out = n;
}

static void read_text(struct sh_cfg *cfg, const struct sh_cfg_setting *s, const cJSON *node,
                      const char *path, char **out)
{
    bool is_path = s->kind == SH_CFG_PATHNAME;
    const char *text = sh_cfg_string(cfg, node, path, is_path ? "a path" : "a string");
    if (!text)
        return;
    free(*out);
    *out = is_path && text[0] != '/' ? sh_strf("%s%s", cfg->folder, text) : sh_strdup(text);
}

void sh_cfg_value(struct sh_cfg *cfg, const struct sh_cfg_setting *s, const cJSON *node,
                  const char *path, void *base)
{
    void *target = (char *)base + s->offset;
    switch (s->kind) {
    case SH_CFG_STRING:
    case SH_CFG_PATHNAME:
        read_text(cfg, s, node, path, target);
        break;
    case SH_CFG_INT:
    case SH_CFG_SIZE:
    case SH_CFG_DURATION:
        read_number(cfg, s, node, path, target);
        break;
    case SH_CFG_BOOL:
        if (cJSON_IsBool(node))
            *(bool *)target = cJSON_IsTrue(node);
        else
            sh_cfg_expected(cfg, path, "true or false", node);
        break;
    case SH_CFG_CUSTOM:
        s->read(cfg, node, path, base);
        break;
    }
}

static void unknown_key(struct sh_cfg *cfg, const char *path, const char *name,
                        const struct sh_cfg_setting *settings, size_t n)
{
    const char *known[MAX_KNOWN];
    char all[512] = "";
    sh_require(n <= MAX_KNOWN);
    for (size_t i = 0; i < n; i++) {
        known[i] = settings[i].name;
        size_t len = strlen(all);
        snprintf(all + len, sizeof(all) - len, "%s%s", i ? ", " : "", known[i]);
    }
    const char *near = sh_suggest(name, known, n);
    if (near)
        sh_cfg_fault(cfg, path, "unknown key \"%s\"; did you mean \"%s\"?", name, near);
    else
        sh_cfg_fault(cfg, path, "unknown key \"%s\"; known here: %s", name, all);
}

void sh_cfg_table(struct sh_cfg *cfg, const cJSON *node, const char *path,
                  const struct sh_cfg_setting *settings, size_t n, void *base)
{
    if (!cJSON_IsObject(node)) {
        sh_cfg_expected(cfg, path, "a table with keys", node);
        return;
    }
    const cJSON *child;
    cJSON_ArrayForEach(child, node)
    {
        char at[SH_CFG_PATH];
        sh_cfg_join(at, path, child->string);
        size_t i = 0;
        while (i < n && strcmp(settings[i].name, child->string) != 0)
            i++;
        if (i < n)
            sh_cfg_value(cfg, &settings[i], child, at, base);
        else
            unknown_key(cfg, at, child->string, settings, n);
    }
}
