/* SPDX-License-Identifier: MIT
 * options.c: command lines. */
#include "app/options.h"

#include "app/suggest.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sh_usage_error(const struct sh_command *command, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "switchhook %s: ", command->name);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nTry: switchhook %s --help\n", command->name);
    return SH_EXIT_USAGE;
}

static void print_help(const struct sh_command *c)
{
    printf("Usage: switchhook %s%s%s%s\n\n%s\n", c->name, c->n_options ? " [options]" : "",
           c->args ? " " : "", c->args ? c->args : "", c->summary);
    if (c->details)
        printf("\n%s\n", c->details);
    printf("\nOptions:\n");
    for (size_t i = 0; i < c->n_options; i++) {
        char left[96];
        snprintf(left, sizeof(left), "--%s%s%s", c->options[i].name, c->options[i].value ? " " : "",
                 c->options[i].value ? c->options[i].value : "");
        if (strlen(left) > 30) /* many words to choose from: the help goes below */
            printf("  %s\n  %-22s %s\n", left, "", c->options[i].help);
        else
            printf("  %-22s %s\n", left, c->options[i].help);
    }
    printf("  %-22s %s\n", "--help", "this text");
    if (c->example)
        printf("\nExample:\n%s\n", c->example);
}

static int index_of(const struct sh_command *c, const char *name, size_t len)
{
    for (size_t i = 0; i < c->n_options; i++)
        if (strlen(c->options[i].name) == len && memcmp(c->options[i].name, name, len) == 0)
            return (int)i;
    return -1;
}

static int unknown(const struct sh_command *c, const char *arg)
{
    const char *known[SH_MAX_OPTIONS + 1];
    size_t n = 0, dashes = strspn(arg, "-");
    for (; n < c->n_options; n++)
        known[n] = c->options[n].name;
    known[n++] = "help";
    char word[64];
    snprintf(word, sizeof(word), "%.*s", (int)strcspn(arg + dashes, "="), arg + dashes);
    const char *near = sh_suggest(word, known, n);
    if (near)
        return sh_usage_error(c, "unknown option \"%s\"; did you mean --%s?", arg, near);
    return sh_usage_error(c, "unknown option \"%s\"", arg);
}

/* One "--option" at argv[*i]; -1: go on. */
static int take_option(struct sh_options *o, int argc, char **argv, int *i)
{
    const struct sh_command *c = o->command;
    const char *arg = argv[*i], *name = arg + 2;
    size_t len = strcspn(name, "=");
    if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
        print_help(c);
        return 0;
    }
    int k = strncmp(arg, "--", 2) == 0 ? index_of(c, name, len) : -1;
    if (k < 0)
        return unknown(c, arg);
    if (!c->options[k].value) {
        if (name[len] == '=')
            return sh_usage_error(c, "--%s takes no value", c->options[k].name);
        o->values[k] = "";
        return -1;
    }
    if (name[len] == '=') {
        o->values[k] = name + len + 1;
        return -1;
    }
    if (*i + 1 >= argc)
        return sh_usage_error(c, "--%s needs a value: --%s %s", c->options[k].name,
                              c->options[k].name, c->options[k].value);
    o->values[k] = argv[++*i];
    return -1;
}

static int check_count(const struct sh_options *o)
{
    const struct sh_command *c = o->command;
    if (o->n_args < c->min_args)
        return sh_usage_error(c, "something is missing: switchhook %s %s", c->name,
                              c->args ? c->args : "");
    if (c->max_args >= 0 && o->n_args > c->max_args)
        return sh_usage_error(c, "\"%s\" is one argument too many", o->args[c->max_args]);
    return -1;
}

static sh_options_fn *watcher;
static void *watcher_arg;

void sh_options_watch(sh_options_fn *fn, void *arg)
{
    watcher = fn;
    watcher_arg = arg;
}

int sh_options_parse(const struct sh_command *command, int argc, char **argv,
                     struct sh_options *out)
{
    sh_require(command->n_options <= SH_MAX_OPTIONS);
    *out = (struct sh_options){.command = command};
    if (watcher) {
        watcher(watcher_arg, command);
        return 0;
    }
    out->args = sh_alloc((size_t)argc + 1, sizeof(*out->args));
    bool only_args = false;
    for (int i = 1; i < argc; i++) {
        if (!only_args && strcmp(argv[i], "--") == 0) {
            only_args = true;
        } else if (only_args || argv[i][0] != '-' || argv[i][1] == '\0') {
            out->args[out->n_args++] = argv[i];
        } else {
            int code = take_option(out, argc, argv, &i);
            if (code >= 0)
                return code;
        }
    }
    return check_count(out);
}

void sh_options_clear(struct sh_options *o)
{
    free(o->args);
    *o = (struct sh_options){0};
}

const char *sh_options_get(const struct sh_options *o, const char *name)
{
    int k = index_of(o->command, name, strlen(name));
    sh_require(k >= 0);
    return o->values[k];
}

bool sh_options_int(const struct sh_options *o, const char *name, int64_t min, int64_t max,
                    int64_t *out)
{
    const char *text = sh_options_get(o, name);
    if (!text)
        return true;
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (*text && !*end && errno == 0 && n >= min && n <= max) {
        *out = n;
        return true;
    }
    sh_usage_error(o->command, "--%s \"%s\": expected a whole number %lld..%lld", name, text,
                   (long long)min, (long long)max);
    return false;
}
