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
    {"config", "FILE", "configuration (default: switchhook.lua here, else the installed one)"},
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
    char *one, *two;   /* the members that source's events must have, with key "1" and "2"; owned */
    char *source;      /* what hook.send needs to know of it, mostly nothing; owned */
    char *rule, *spec; /* paths; owned */
    char *config;      /* what `test` has to be told to find the project; owned, "" nothing */
};

/* Letters with marks, as code points of two bytes each, and the plain ones for them. */
static const struct letters {
    unsigned from, to;
    const char *plain;
} letters[] = {
    {0xc0, 0xc5, "a"},   {0xc6, 0xc6, "ae"},   {0xc7, 0xc7, "c"},   {0xc8, 0xcb, "e"},
    {0xcc, 0xcf, "i"},   {0xd0, 0xd0, "d"},    {0xd1, 0xd1, "n"},   {0xd2, 0xd6, "o"},
    {0xd8, 0xd8, "o"},   {0xd9, 0xdc, "u"},    {0xdd, 0xdd, "y"},   {0xde, 0xde, "th"},
    {0xdf, 0xdf, "ss"},  {0xe0, 0xe5, "a"},    {0xe6, 0xe6, "ae"},  {0xe7, 0xe7, "c"},
    {0xe8, 0xeb, "e"},   {0xec, 0xef, "i"},    {0xf0, 0xf0, "d"},   {0xf1, 0xf1, "n"},
    {0xf2, 0xf6, "o"},   {0xf8, 0xf8, "o"},    {0xf9, 0xfc, "u"},   {0xfd, 0xfd, "y"},
    {0xfe, 0xfe, "th"},  {0xff, 0xff, "y"},    {0x100, 0x105, "a"}, {0x106, 0x10d, "c"},
    {0x10e, 0x111, "d"}, {0x112, 0x11b, "e"},  {0x11c, 0x123, "g"}, {0x124, 0x127, "h"},
    {0x128, 0x131, "i"}, {0x132, 0x133, "ij"}, {0x134, 0x135, "j"}, {0x136, 0x138, "k"},
    {0x139, 0x142, "l"}, {0x143, 0x14b, "n"},  {0x14c, 0x151, "o"}, {0x152, 0x153, "oe"},
    {0x154, 0x159, "r"}, {0x15a, 0x161, "s"},  {0x162, 0x167, "t"}, {0x168, 0x173, "u"},
    {0x174, 0x175, "w"}, {0x176, 0x178, "y"},  {0x179, 0x17e, "z"}, {0x17f, 0x17f, "s"},
    {0x218, 0x219, "s"}, {0x21a, 0x21b, "t"},  {0x300, 0x36f, ""}, /* marks on their own */
};

/* What stands for the two bytes at p in plain letters; NULL: nothing does. */
static const char *plain_letters(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] < 0xc2 || u[0] > 0xdf || (u[1] & 0xc0) != 0x80)
        return NULL;
    unsigned cp = (u[0] & 0x1fU) << 6 | (u[1] & 0x3fU);
    for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
        if (cp >= letters[i].from && cp <= letters[i].to)
            return letters[i].plain;
    return NULL;
}

/* "Call VIPs à Łódź back!" as "call_vips_a_lodz_back". */
static void make_slug(const char *name, char out[MAX_NAME + 1])
{
    size_t n = 0;
    for (; *name && n < MAX_NAME; name++) {
        const char *plain = plain_letters(name);
        if (plain) {
            for (; *plain && n < MAX_NAME; plain++)
                out[n++] = *plain;
            name++;
        } else if (isalnum((unsigned char)*name) && (unsigned char)*name < 0x80)
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
                 {"ONE", n->one},   {"TWO", n->two},   {", SOURCE", n->source}};
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

/* --- the event of the spec ------------------------------------------------------------------ */

/* The number that a part of a path is, if it can be the place in a list. */
static bool is_place(const char *part, size_t n, int *place)
{
    *place = 0;
    for (size_t i = 0; i < n; i++) {
        if (part[i] < '0' || part[i] > '9')
            return false;
        *place = *place * 10 + part[i] - '0';
    }
    return n > 0 && n <= 2;
}

/* The member of tree for the part, made if it is not there. NULL: something else is. */
static cJSON *enter(cJSON *tree, const char *part, size_t n, cJSON *(*make)(void))
{
    int place;
    char *name = sh_strf("%.*s", (int)n, part);
    cJSON *next = NULL;
    if (cJSON_IsArray(tree) && is_place(part, n, &place)) {
        while (cJSON_GetArraySize(tree) <= place)
            cJSON_AddItemToArray(tree, cJSON_CreateNull());
        next = cJSON_GetArrayItem(tree, place);
        if (cJSON_IsNull(next))
            cJSON_ReplaceItemInArray(tree, place, next = make());
    } else if (cJSON_IsObject(tree)) {
        next = cJSON_GetObjectItemCaseSensitive(tree, name);
        if (!next)
            cJSON_AddItemToObject(tree, name, next = make());
    }
    free(name);
    return next;
}

static cJSON *make_text(void)
{
    return cJSON_CreateString("");
}

/* Put a text where a dotted path looks for it: "items.0.id" in a list in a table. */
static void put_field(cJSON *tree, const char *path, const char *text)
{
    while (tree) {
        int place;
        size_t n = strcspn(path, ".");
        const char *rest = path[n] ? path + n + 1 : NULL;
        bool list = rest && is_place(rest, strcspn(rest, "."), &place);
        tree = enter(tree, path, n,
                     !rest  ? make_text
                     : list ? cJSON_CreateArray
                            : cJSON_CreateObject);
        if (tree && !rest && cJSON_IsString(tree))
            cJSON_SetValuestring(tree, text);
        if (!rest)
            break;
        path = rest;
    }
}

static void add_quoted(struct sh_buf *out, const char *text)
{
    sh_buf_addc(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            sh_buf_addc(out, '\\');
        if (iscntrl((unsigned char)*text))
            sh_buf_addf(out, "\\%03d", (unsigned char)*text);
        else
            sh_buf_addc(out, *text);
    }
    sh_buf_addc(out, '"');
}

/* A name as a table's field: as it is where it is a plain word. */
static void add_name(struct sh_buf *out, const char *name)
{
    static const char *const words[] = {"and",   "break", "do",       "else", "elseif", "end",
                                        "false", "for",   "function", "goto", "if",     "in",
                                        "local", "nil",   "not",      "or",   "repeat", "return",
                                        "then",  "true",  "until",    "while"};
    bool plain = *name && !isdigit((unsigned char)*name);
    for (const char *p = name; plain && *p; p++)
        plain = (isalnum((unsigned char)*p) && (unsigned char)*p < 0x80) || *p == '_';
    for (size_t i = 0; plain && i < sizeof(words) / sizeof(words[0]); i++)
        plain = strcmp(name, words[i]) != 0;
    if (plain) {
        sh_buf_adds(out, name);
        return;
    }
    sh_buf_addc(out, '[');
    add_quoted(out, name);
    sh_buf_addc(out, ']');
}

/* What stands between the braces of a table in Lua. */
static void add_members(struct sh_buf *out, const cJSON *tree) /* NOLINT(misc-no-recursion) */
{
    const cJSON *item;
    cJSON_ArrayForEach(item, tree)
    {
        if (item != tree->child)
            sh_buf_adds(out, ", ");
        if (cJSON_IsObject(tree)) {
            add_name(out, item->string);
            sh_buf_adds(out, " = ");
        }
        if (cJSON_IsString(item)) {
            add_quoted(out, item->valuestring);
        } else if (cJSON_IsNull(item)) {
            sh_buf_adds(out, "hook.null");
        } else {
            sh_buf_adds(out, "{ ");
            add_members(out, item);
            sh_buf_adds(out, " }");
        }
    }
}

/* The members that an event of this source has by its type and key. */
static char *members(const struct sh_source *s, const char *type, const char *key)
{
    struct sh_buf out;
    cJSON *tree = cJSON_CreateObject();
    put_field(tree, s->type.field ? s->type.field : "event", type);
    put_field(tree, s->key.field ? s->key.field : "call_id", key);
    sh_buf_init(&out, MAX_TEXT);
    add_members(&out, tree);
    char *text = sh_memdup(out.data ? out.data : "", out.len);
    sh_buf_free(&out);
    cJSON_Delete(tree);
    return text;
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
    n->one = members(source, n->type, "1");
    n->two = members(source, n->type, "2");
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
    n->config = c.file && strchr(c.file, '/') ? sh_strf(" --config %s", c.file) : sh_strdup("");
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
        return sh_usage_error(
            &command,
            "\"%s\": expected a name of 1 to %d bytes with a Latin letter or digit, "
            "without quotes and backslashes",
            n.name, MAX_NAME);
    if (!is_plain(n.type, SH_MAX_TYPE_BYTES) || strpbrk(n.type, "*?"))
        return sh_usage_error(&command, "--on \"%s\": expected the type of an event", n.type);
    bool ok = find_places(o, &n, &err) && write_both(&n, &err);
    if (ok)
        printf("%s\n%s\n\nNext: switchhook test%s %s\n", n.rule, n.spec, n.config, n.spec);
    else
        fprintf(stderr, "switchhook new: %s\n", err.msg);
    char *owned[] = {n.rule, n.spec, n.config, n.one, n.two, n.source};
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
