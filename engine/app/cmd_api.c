/* SPDX-License-Identifier: MIT
 * cmd_api.c: the rule API for editors, for luacheck, for people and for programs. */
#include "app/api_docs.h"
#include "app/app.h"
#include "app/options.h"
#include "app/suggest.h"
#include "lua/api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct sh_option options[] = {
    {"format", "luals|markdown|luacheck|json", "for what (default: luals)"},
    {"out", "DIR", "write the format's files into this folder instead of printing them"},
};
static const struct sh_command command = {
    .name = "api",
    .summary = "Print the rule API: every name a rule file sees, with its arguments and fields.",
    .details =
        "luals:    annotations for the Lua language server: completion and hints in editors\n"
        "markdown: the reference, one page a topic (docs/api/ of the sources)\n"
        "luacheck: a standard for .luacheckrc: stds.switchhook = dofile \"luacheck.lua\"\n"
        "json:     everything, one object\n\n"
        "It is that of this binary: what it prints fits the engine that it runs.",
    .example = "  switchhook api --format luals --out types\n"
               "  switchhook api --format luacheck > luacheck.lua",
    .options = options,
    .n_options = 2,
};

static bool print_file(void *arg, const char *name, const char *text)
{
    (void)arg;
    (void)name;
    fputs(text, stdout);
    return true;
}

static bool write_file(void *arg, const char *name, const char *text)
{
    char *path = sh_strf("%s/%s", (const char *)arg, name);
    FILE *f = fopen(path, "w");
    bool ok = f && fputs(text, f) >= 0;
    if (f && fclose(f) != 0)
        ok = false;
    if (ok)
        printf("%s\n", path);
    else
        fprintf(stderr, "switchhook: cannot write %s: %s\n", path, strerror(errno));
    free(path);
    return ok;
}

static int unknown_format(const char *format)
{
    size_t n = 0;
    while (sh_api_formats[n])
        n++;
    const char *near = sh_suggest(format, sh_api_formats, n);
    if (near)
        return sh_usage_error(&command, "--format: there is no \"%s\"; did you mean %s?", format,
                              near);
    return sh_usage_error(
        &command, "--format: there is no \"%s\"; expected luals, markdown, luacheck or json",
        format);
}

static bool is_known(const char *format)
{
    for (size_t i = 0; sh_api_formats[i]; i++)
        if (strcmp(sh_api_formats[i], format) == 0)
            return true;
    return false;
}

static int print_api(const struct sh_options *o)
{
    const char *format = sh_options_get(o, "format"), *out = sh_options_get(o, "out");
    if (!format)
        format = "luals";
    if (!is_known(format))
        return unknown_format(format);
    if (!out)
        return sh_api_print(format, print_file, NULL) ? 0 : SH_EXIT_BAD;
    if (mkdir(out, 0777) != 0 && errno != EEXIST) {
        fprintf(stderr, "switchhook: cannot make the folder %s: %s\n", out, strerror(errno));
        return SH_EXIT_BAD;
    }
    return sh_api_print(format, write_file, (void *)(uintptr_t)out) ? 0 : SH_EXIT_BAD;
}

int sh_cmd_api(int argc, char **argv)
{
    struct sh_options o;
    int code = sh_options_parse(&command, argc, argv, &o);
    if (code < 0)
        code = print_api(&o);
    sh_options_clear(&o);
    return code;
}

/* --- for others ------------------------------------------------------------------------------ */

static bool keep_text(void *arg, const char *name, const char *text)
{
    (void)name;
    *(char **)arg = sh_strdup(text);
    return true;
}

static char *only_file(const char *format)
{
    char *text = NULL;
    sh_require(sh_api_print(format, keep_text, &text) && text);
    return text;
}

char *sh_api_luals(void)
{
    return only_file("luals");
}

char *sh_api_luacheck(void)
{
    return only_file("luacheck");
}
