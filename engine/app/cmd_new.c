/* SPDX-License-Identifier: MIT
 * cmd_new.c: a rule and its spec to start from. */
#include "app/app.h"

#include "app/config.h"
#include "app/options.h"
#include "app/skeleton.h"
#include "app/write_file.h"
#include "base/limits.h"
#include "base/utf8.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_NAME 100
#define N_WORDS  6
#define MAX_TEXT ((size_t)64 * 1024)

static const struct sh_option options[] = {
    {"on", "TYPE", "the event it is for (default: call_stop)"},
    {"config", "FILE", "configuration (default: switchhook.lua, if it is there)"},
    {"rules", "DIR", "rules folder (default: as configured, rules/)"},
    {"specs", "DIR", "specs folder (default: specs beside the rules folder)"},
};
static const struct sh_command command = {
    .name = "new",
    .args = "rule NAME",
    .summary = "Write a rule and its spec to start from.",
    .details =
        "NAME is what the rule is called in lists and logs; the files are named after it:\n"
        "rules/<name>.lua and specs/<name>_spec.lua. Nothing is overwritten. The spec passes\n"
        "at once: change it first, then the rule.",
    .example = "  switchhook new rule \"Call VIPs back at once\" --on call_stop",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .min_args = 2,
    .max_args = 2,
};

struct names {
    const char *name, *type;
    char slug[MAX_NAME + 1];
    char *what, *whom; /* fields of the source's events: type and key; owned */
    char *source;      /* what hook.send needs to know of it, mostly nothing; owned */
    char *rule, *spec; /* paths; owned */
};

/* "Call VIPs back!" as "call_vips_back". */
static void make_slug(const char *name, char out[MAX_NAME + 1])
{
    size_t n = 0;
    for (; *name && n < MAX_NAME; name++) {
        if (isalnum((unsigned char)*name) && (unsigned char)*name < 0x80)
            out[n++] = (char)tolower((unsigned char)*name);
        else if (n > 0 && out[n - 1] != '_')
            out[n++] = '_';
    }
    while (n > 0 && out[n - 1] == '_')
        n--;
    out[n] = '\0';
}

/* A text that stands between quotes in Lua as it is. */
static bool is_plain(const char *text, size_t max)
{
    for (const char *p = text; *p; p++)
        if (iscntrl((unsigned char)*p) || *p == '"' || *p == '\\')
            return false;
    return *text && strlen(text) <= max && sh_utf8_ok(sh_slice_str(text));
}

/* The template with its words in capitals filled in. */
static void fill(struct sh_buf *out, const struct sh_skeleton_file *f, const struct names *n)
{
    const struct {
        const char *word, *text;
    } words[] = {{"NAME", n->name}, {"SLUG", n->slug}, {"TYPE", n->type},
                 {"WHAT", n->what}, {"WHOM", n->whom}, {", SOURCE", n->source}};
    const char *p = (const char *)f->data, *end = p + f->size;
    while (p < end) {
        size_t i = 0;
        while (i < N_WORDS && strncmp(p, words[i].word, strlen(words[i].word)) != 0)
            i++;
        if (i < N_WORDS)
            sh_buf_adds(out, words[i].text);
        else
            sh_buf_addc(out, *p);
        p += i < N_WORDS ? strlen(words[i].word) : 1;
    }
}

static bool write_one(const char *template, const char *path, const struct names *n,
                      struct sh_error *err)
{
    const struct sh_skeleton_file *f = sh_skeleton_find(template);
    struct sh_buf text;
    sh_require(f != NULL);
    sh_buf_init(&text, MAX_TEXT);
    fill(&text, f, n);
    bool ok = sh_write_new_file(path, sh_slice(text.data, text.len), 0666, err);
    sh_buf_free(&text);
    return ok;
}

/* Both or none. */
static bool write_both(const struct names *n, struct sh_error *err)
{
    if (access(n->spec, F_OK) == 0)
        return sh_error_set(err, SH_EBUSY, "%s: is there already", n->spec);
    if (!write_one("new/rule.lua", n->rule, n, err))
        return false;
    if (write_one("new/rule_spec.lua", n->spec, n, err))
        return true;
    unlink(n->rule);
    return false;
}

/* A name that Lua takes as a field without quotes, or otherwise. */
static char *field_of(const struct sh_field_spec *spec, const char *otherwise)
{
    const char *f = spec->field;
    bool plain = f && *f && !isdigit((unsigned char)*f);
    for (const char *p = f; plain && *p; p++)
        plain = isalnum((unsigned char)*p) || *p == '_';
    return sh_strdup(plain ? f : otherwise);
}

/* The spec sends its events from the source that `hook.send` takes by itself, or the first one
 * whose events can have that type. */
static void find_source(const struct sh_config *c, struct names *n)
{
    const struct sh_source_config *s = sh_config_source(c, "webphone");
    bool named = !s && c->n_sources > 1;
    for (size_t i = 0; !s && i < c->n_sources; i++) {
        const char *fixed = c->sources[i].source.type.value;
        if (!fixed || strcmp(fixed, n->type) == 0)
            s = &c->sources[i];
    }
    const struct sh_source none = {0}, *source = s ? &s->source : &none;
    n->what = field_of(&source->type, "event");
    n->whom = field_of(&source->key, "call_id");
    n->source = named && s ? sh_strf(", { source = \"%s\" }", source->name) : sh_strdup("");
}

static bool find_places(const struct sh_options *o, struct names *n, struct sh_error *err)
{
    struct sh_config c = {0};
    cJSON *faults;
    bool ok = sh_config_load(sh_options_get(o, "config"), &c, &faults);
    sh_config_print_faults(faults);
    cJSON_Delete(faults);
    sh_config_override(&c.rules, sh_options_get(o, "rules"));
    const char *specs = sh_options_get(o, "specs");
    size_t len = c.rules ? strlen(c.rules) : 0;
    while (len > 1 && c.rules[len - 1] == '/')
        len--;
    size_t base = len;
    while (base > 0 && c.rules[base - 1] != '/')
        base--;
    n->rule = sh_strf("%.*s/%s.lua", (int)len, c.rules, n->slug);
    n->spec = specs ? sh_strf("%s/%s_spec.lua", specs, n->slug)
                    : sh_strf("%.*sspecs/%s_spec.lua", (int)base, c.rules, n->slug);
    find_source(&c, n);
    sh_config_clear(&c);
    return ok || sh_error_set(err, SH_EINVAL, "the configuration has faults");
}

static int make_rule(const struct sh_options *o)
{
    const char *on = sh_options_get(o, "on");
    struct names n = {.name = o->args[1], .type = on ? on : "call_stop"};
    struct sh_error err;
    if (strcmp(o->args[0], "rule") != 0)
        return sh_usage_error(&command, "\"%s\": a rule is what can be made: new rule NAME",
                              o->args[0]);
    make_slug(n.name, n.slug);
    if (!is_plain(n.name, MAX_NAME) || !n.slug[0])
        return sh_usage_error(&command,
                              "\"%s\": expected a name of 1 to %d bytes with a letter or digit, "
                              "without quotes and backslashes",
                              n.name, MAX_NAME);
    if (!is_plain(n.type, SH_MAX_TYPE_BYTES) || strpbrk(n.type, "*?"))
        return sh_usage_error(&command, "--on \"%s\": expected the type of an event", n.type);
    bool ok = find_places(o, &n, &err) && write_both(&n, &err);
    if (ok)
        printf("%s\n%s\n\nNext: switchhook test %s\n", n.rule, n.spec, n.spec);
    else
        fprintf(stderr, "switchhook new: %s\n", err.msg);
    char *owned[] = {n.rule, n.spec, n.what, n.whom, n.source};
    for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++)
        free(owned[i]);
    return ok ? 0 : SH_EXIT_BAD;
}

int sh_cmd_new(int argc, char **argv)
{
    struct sh_options o;
    int code = sh_options_parse(&command, argc, argv, &o);
    if (code < 0)
        code = make_rule(&o);
    sh_options_clear(&o);
    return code;
}
