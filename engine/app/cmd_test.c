/* SPDX-License-Identifier: MIT
 * cmd_test.c: specs of rules, in busted, on the simulator. */
#include "app/app.h"

#include "app/config.h"
#include "app/options.h"
#include "app/print.h"
#include "app/rules.h"
#include "app/spec_files.h"
#include "app/workbench.h"
#include "base/clock.h"
#include "lua/workbench.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOON_MS 1781265600000 /* 2026-06-12T12:00:00Z, a Friday */

static const struct sh_option options[] = {
    {"config", "FILE", "configuration (default: switchhook.lua of the project, if it is there)"},
    {"rules", "DIR", "rules folder (default: as configured, rules/)"},
    {"scripts", "DIR", "scripts folder (default: as configured, scripts/)"},
    {"filter", "PATTERN", "only specs whose name fits the Lua pattern"},
    {"filter-out", "PATTERN", "not those"},
    {"tags", "TAGS", "only specs with one of these #tags, separated by commas"},
    {"exclude-tags", "TAGS", "not those"},
    {"now", "TIME", "where each spec's clock begins (default: 2026-06-12T12:00:00Z, a Friday)"},
    {"coverage", NULL, "say which lines of the rules ran"},
    {"coverage-out", "FILE", "write that as lcov, for other tools"},
    {"output", "NAME", "one of busted's outputs instead: TAP, json, junit, gtest, .."},
    {"shuffle", NULL, "in a random order"},
    {"seed", "N", "in the random order of this number: to have one again"},
    {"json", NULL, "a JSON object a line: each spec, then a summary"},
};
static const struct sh_command command = {
    .name = "test",
    .args = "[DIR|FILE...]",
    .summary =
        "Run the specs of rules: real runtime, a store in memory, a clock that stands still.",
    .details =
        "DIR is a project: a folder with switchhook.lua or rules/. Its rules are loaded, and "
        "every\n"
        "*_spec.lua below it is run in busted (Debian: lua-busted) with the kit `hook`. Other\n"
        "folders and files are specs of the project in the current folder. Default: this folder.\n"
        "Exit code 1 if a spec fails or a rule does not load. docs/testing.md is the kit's "
        "reference.",
    .example = "  switchhook test\n"
               "  switchhook test specs/missed_call_spec.lua --filter 'opening hours'\n"
               "  switchhook test --coverage --coverage-out coverage.info",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .max_args = -1,
};

struct trial {
    struct sh_options o;
    char *root; /* the project's folder */
    struct sh_config config;
    struct sh_generation *generation;
    struct sh_workbench *bench;
    cJSON *asked;         /* options of lua/workbench.h */
    int64_t now_ms, seed; /* seed: -1 none */
    bool scripts_asked;   /* others than the configured ones */
};

static const char *get(const struct trial *t, const char *name)
{
    return sh_options_get(&t->o, name);
}

/* --- the project ----------------------------------------------------------------------------- */

/* The folder of a path, "." if it names none. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? sh_strf("%.*s", (int)(slash == path ? 1 : slash - path), path) : sh_strdup(".");
}

/* Is a path below a folder, as both are written? */
static bool is_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    if (strcmp(dir, ".") == 0)
        return path[0] != '/' && strncmp(path, "../", 3) != 0;
    return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* The folder that a rules folder is in. */
static char *above(const char *rules)
{
    char *path = sh_strdup(rules);
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
        path[n - 1] = '\0';
    char *dir = folder_of(path);
    free(path);
    return dir;
}

/* The project is beside the configuration that is named, unless the rules that are named lie
 * elsewhere: then around these; else it is the one folder given, or the current one. */
static char *find_root(const struct trial *t)
{
    const char *rules = get(t, "rules");
    char *root = get(t, "config") ? folder_of(get(t, "config")) : NULL;
    if (rules && (!root || !is_below(rules, root))) {
        free(root);
        return above(rules);
    }
    if (root)
        return root;
    bool one = t->o.n_args == 1 && sh_is_project(t->o.args[0]);
    return sh_strdup(one ? t->o.args[0] : ".");
}

static void put_in_root(const struct trial *t, char **setting, const char *name)
{
    free(*setting);
    *setting = sh_strf("%s/%s", t->root, name);
}

static bool read_config(struct trial *t, struct sh_error *err)
{
    char *there = sh_strf("%s/switchhook.lua", t->root);
    const char *path = get(t, "config");
    if (!path && access(there, F_OK) == 0)
        path = strcmp(t->root, ".") == 0 ? "switchhook.lua" : there;
    cJSON *faults; /* specs are of a project: the service's configuration has no say */
    bool ok = sh_config_load(path ? path : "", &t->config, &faults);
    sh_config_print_faults(faults);
    cJSON_Delete(faults);
    if (!path && strcmp(t->root, ".") != 0) { /* defaults stand in the current folder */
        put_in_root(t, &t->config.rules, "rules");
        put_in_root(t, &t->config.scripts, "scripts");
    }
    const char *scripts = get(t, "scripts");
    t->scripts_asked = scripts && (!t->config.scripts || strcmp(scripts, t->config.scripts) != 0);
    sh_config_override(&t->config.rules, get(t, "rules"));
    sh_config_override(&t->config.scripts, get(t, "scripts"));
    free(there);
    return ok || sh_error_set(err, SH_EINVAL, "the configuration has faults");
}

/* Scripts that are configured need not be there; named on the command line they must. */
static bool read_rules(struct trial *t, struct sh_error *err)
{
    struct stat st;
    bool there = stat(t->config.scripts, &st) == 0 && S_ISDIR(st.st_mode);
    if (!there && t->scripts_asked)
        return sh_error_set(err, SH_ENOTFOUND, "%s: no such folder (scripts)", t->config.scripts);
    t->generation = sh_generation_read(t->config.rules, there ? t->config.scripts : NULL, err);
    return t->generation != NULL;
}

static bool load_rules(struct trial *t, struct sh_error *err)
{
    const struct sh_workbench_config config = {
        .config = &t->config,
        .generation = t->generation,
        .root = t->root,
        .now_ms = t->now_ms,
        .coverage = get(t, "coverage") || get(t, "coverage-out"),
    };
    cJSON *report;
    t->bench = sh_workbench_new(&config, &report, err);
    if (!t->bench)
        sh_rules_print_faults(stderr, report, t->config.rules, t->config.scripts);
    cJSON_Delete(report);
    return t->bench != NULL;
}

/* --- what is asked for ----------------------------------------------------------------------- */

static void add_list(cJSON *asked, const char *name, const char *text)
{
    cJSON *list = cJSON_AddArrayToObject(asked, name);
    if (text)
        cJSON_AddItemToArray(list, cJSON_CreateString(text));
}

static void add_words(cJSON *asked, const char *name, const char *text)
{
    cJSON *list = cJSON_AddArrayToObject(asked, name);
    char *copy = sh_strdup(text ? text : ""), *rest = copy, *word;
    while ((word = strsep(&rest, ",")) != NULL)
        if (*word)
            cJSON_AddItemToArray(list, cJSON_CreateString(word));
    free(copy);
}

static bool find_specs(struct trial *t, struct sh_error *err)
{
    cJSON *files = cJSON_AddArrayToObject(t->asked, "files");
    for (int i = 0; i < t->o.n_args; i++)
        if (!sh_spec_files_add(files, t->o.args[i], err))
            return false;
    if (t->o.n_args == 0 && !sh_spec_files_add(files, t->root, err))
        return false;
    if (files->child)
        return true;
    return sh_error_set(err, SH_ENOTFOUND, "no *_spec.lua below %s%s",
                        t->o.n_args ? t->o.args[0] : t->root,
                        t->o.n_args > 1 ? " and the others" : "");
}

static bool say_what_is_asked(struct trial *t, struct sh_error *err)
{
    t->asked = cJSON_CreateObject();
    if (!find_specs(t, err))
        return false;
    add_list(t->asked, "filter", get(t, "filter"));
    add_list(t->asked, "filter_out", get(t, "filter-out"));
    add_words(t->asked, "tags", get(t, "tags"));
    add_words(t->asked, "exclude_tags", get(t, "exclude-tags"));
    cJSON_AddBoolToObject(t->asked, "json", get(t, "json") != NULL);
    cJSON_AddBoolToObject(t->asked, "shuffle", get(t, "shuffle") != NULL);
    cJSON_AddBoolToObject(t->asked, "coverage", get(t, "coverage") || get(t, "coverage-out"));
    if (get(t, "output"))
        cJSON_AddStringToObject(t->asked, "output", get(t, "output"));
    if (get(t, "coverage-out"))
        cJSON_AddStringToObject(t->asked, "coverage_out", get(t, "coverage-out"));
    if (t->seed >= 0)
        cJSON_AddItemToObject(t->asked, "seed", sh_json_int(t->seed));
    char *path = sh_strf("%s/?.lua;%s/specs/?.lua", t->root, t->root);
    cJSON_AddStringToObject(t->asked, "path", path);
    free(path);
    return true;
}

static int go(struct trial *t)
{
    struct sh_error err;
    const char *now = get(t, "now");
    t->now_ms = NOON_MS;
    if (now && !sh_time_parse(now, strlen(now), &t->now_ms))
        return sh_usage_error(&command,
                              "--now \"%s\": expected a time such as 2026-06-12T10:04:21Z", now);
    t->seed = -1;
    if (!sh_options_int(&t->o, "seed", 0, INT32_MAX, &t->seed))
        return SH_EXIT_USAGE;
    t->root = find_root(t);
    int code = -1;
    if (read_config(t, &err) && read_rules(t, &err) && say_what_is_asked(t, &err) &&
        load_rules(t, &err)) {
        const struct sh_workbench_ops ops = {.arg = t->bench, .ask = sh_workbench_ask};
        code = sh_workbench_run(&ops, t->asked, &err);
    }
    fflush(stdout);
    if (code < 0)
        fprintf(stderr, "switchhook test: %s\n", err.msg);
    return code == 0 ? 0 : code == -2 ? SH_EXIT_USAGE : SH_EXIT_BAD;
}

int sh_cmd_test(int argc, char **argv)
{
    struct trial t = {0};
    int code = sh_options_parse(&command, argc, argv, &t.o);
    if (code < 0)
        code = go(&t);
    sh_workbench_free(t.bench);
    sh_generation_free(t.generation);
    sh_config_clear(&t.config);
    cJSON_Delete(t.asked);
    free(t.root);
    sh_options_clear(&t.o);
    return code;
}
