/* SPDX-License-Identifier: MIT
 * cmd_generations.c: which rule sets went live, their files, and how two of them differ. */
#include "app/app.h"

#include "app/config.h"
#include "app/data_dir.h"
#include "app/diff.h"
#include "app/options.h"
#include "app/print.h"
#include "app/write_file.h"
#include "core/store.h"
#include "svc/json.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))
#define FOR_PEOPLE 50
#define NAMED      3 /* files named in a row */

static const struct sh_option list_options[] = {
    {"data", "DIR", "data folder (default: as configured, var/)"},
    {"config", "FILE", "configuration (default: switchhook.lua here, else the installed one)"},
    {"limit", "N", "the newest N, 0 = all (default: 50, with --json all)"},
    {"export", "ID",
     "instead: write the files of this one (or live) into the new or empty folder DIR"},
    {"json", NULL, "one JSON object a line"},
};
static const struct sh_command list_command = {
    .name = "generations",
    .args = "[DIR]",
    .summary = "List the rule sets that went live: when, by what, and what changed.",
    .details =
        "A generation is every .lua file of the rules and scripts folders, named by the hash\n"
        "of their names and texts. Each one that went live is kept in the store, with its\n"
        "text (see switchhook diff). The last row is the live one. --export ID DIR writes the\n"
        "files of one out again, as DIR/rules and DIR/scripts; ID is at least its first 4\n"
        "characters, or live. Specs are no part of a generation.",
    .example = "  switchhook generations --limit 5\n"
               "  switchhook generations --export live /tmp/rules-as-they-run",
    .options = list_options,
    .n_options = COUNT(list_options),
    .max_args = 1,
};
static const struct sh_column columns[] = {{"LIVE FROM", "live_at", false, false},
                                           {"GENERATION", "generation", false, false},
                                           {"BY", "cause", false, false},
                                           {"CHANGED", "summary", false, true}};

/* --- generations -------------------------------------------------------------------------------
 */

/* "changed rules/a.lua, added rules/b.lua and 3 more" */
static char *summary(const cJSON *changes)
{
    struct sh_buf out;
    const cJSON *c;
    int n = 0, all = cJSON_GetArraySize(changes);
    sh_buf_init(&out, 4096);
    cJSON_ArrayForEach(c, changes)
    {
        const char *file = sh_json_string(c, "file"), *change = sh_json_string(c, "change");
        if (n++ == NAMED && all > NAMED + 1) {
            sh_buf_addf(&out, " and %d more", all - NAMED);
            break;
        }
        sh_buf_addf(&out, "%s%s %s", n > 1 ? ", " : "", change ? change : "?", file ? file : "?");
    }
    char *text = sh_memdup(out.data ? out.data : "", out.len);
    sh_buf_free(&out);
    return text;
}

struct listing {
    struct sh_table *table; /* NULL: JSON */
};

static bool take_row(void *arg, const cJSON *row)
{
    const struct listing *l = arg;
    if (!l->table) {
        sh_print_json(row);
        return true;
    }
    cJSON *copy = cJSON_Duplicate(row, true);
    char *text = summary(sh_json_member(row, "changes"));
    cJSON_AddStringToObject(copy, "summary", text);
    sh_table_add(l->table, copy);
    free(text);
    cJSON_Delete(copy);
    return true;
}

static int list(const struct sh_options *o)
{
    struct listing l = {0};
    struct sh_error err;
    bool json = sh_options_get(o, "json") != NULL;
    int64_t limit = json ? 0 : FOR_PEOPLE;
    if (!sh_options_int(o, "limit", 0, 1000000, &limit))
        return SH_EXIT_USAGE;
    const struct sh_list_query q = {.what = SH_LIST_GENERATIONS, .limit = (size_t)limit};
    char *dir = sh_data_dir(o);
    struct sh_store_view *view = dir ? sh_store_view_open(dir, &err) : NULL;
    if (dir && !json)
        l.table = sh_table_new(columns, COUNT(columns));
    bool ok = view && sh_store_view_list(view, &q, take_row, &l, &err);
    if (dir && !ok)
        fprintf(stderr, "switchhook generations: %s\n", err.msg);
    else if (l.table)
        sh_table_print(l.table);
    if (l.table)
        sh_table_free(l.table);
    sh_store_view_close(view);
    free(dir);
    return ok ? 0 : SH_EXIT_BAD;
}

/* --- the files of one --------------------------------------------------------------------------
 */

/* Nothing is there, or a folder without entries. */
static bool is_free(const char *path, struct sh_error *err)
{
    DIR *dir = opendir(path);
    if (!dir && errno == ENOENT)
        return true;
    if (!dir)
        return sh_error_set(err, SH_ESYS, "%s: %s", path, strerror(errno));
    bool empty = true;
    for (const struct dirent *e; empty && (e = readdir(dir)) != NULL;)
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    closedir(dir);
    if (!empty)
        return sh_error_set(err, SH_EBUSY, "%s is not empty; expected a new or an empty folder",
                            path);
    return true;
}

/* A store that somebody has tampered with must not name files elsewhere. */
static bool is_within(const char *name)
{
    return (strncmp(name, "rules/", 6) == 0 || strncmp(name, "scripts/", 8) == 0) &&
           !strstr(name, "/../") && !strstr(name, "//") && !strchr(name, '\\');
}

static bool write_files(const struct sh_generation *g, const char *dir, struct sh_error *err)
{
    for (size_t i = 0; i < g->n_files; i++) {
        const struct sh_file *f = &g->files[i];
        if (!is_within(f->name))
            return sh_error_set(err, SH_EINVAL,
                                "the generation names a file \"%.100s\", expected one under rules/ "
                                "or scripts/",
                                f->name);
        char *path = sh_strf("%s/%s", dir, f->name);
        const bool ok = sh_write_new_file(path, sh_slice(f->text, f->len), 0644, err);
        free(path);
        if (!ok)
            return false;
    }
    return true;
}

static void say_written(const struct sh_generation *g, const char *dir, bool json)
{
    if (!json) {
        printf("generation %s: %zu files written below %s\n", g->id, g->n_files, dir);
        return;
    }
    cJSON *o = cJSON_CreateObject(), *files = cJSON_CreateArray();
    cJSON_AddStringToObject(o, "generation", g->id);
    cJSON_AddStringToObject(o, "dir", dir);
    for (size_t i = 0; i < g->n_files; i++)
        cJSON_AddItemToArray(files, cJSON_CreateString(g->files[i].name));
    cJSON_AddItemToObject(o, "files", files);
    sh_print_json(o);
    cJSON_Delete(o);
}

static int export_files(const struct sh_options *o, const char *id)
{
    struct sh_error err;
    char *data = sh_data_dir(o);
    if (!data)
        return SH_EXIT_BAD;
    struct sh_store_view *view = sh_store_view_open(data, &err);
    struct sh_generation *g = view ? sh_store_view_generation(view, id, &err) : NULL;
    const bool ok = g && is_free(o->args[0], &err) && write_files(g, o->args[0], &err);
    if (ok)
        say_written(g, o->args[0], sh_options_get(o, "json") != NULL);
    else
        fprintf(stderr, "switchhook generations: %s\n", err.msg);
    sh_generation_free(g);
    sh_store_view_close(view);
    free(data);
    return ok ? 0 : SH_EXIT_BAD;
}

int sh_cmd_generations(int argc, char **argv)
{
    struct sh_options o;
    int code = sh_options_parse(&list_command, argc, argv, &o);
    const char *id = code < 0 ? sh_options_get(&o, "export") : NULL;
    if (code < 0 && (id != NULL) != (o.n_args == 1)) {
        fprintf(stderr, "switchhook generations: --export ID and a folder DIR go together\n");
        code = SH_EXIT_USAGE;
    }
    if (code < 0)
        code = id ? export_files(&o, id) : list(&o);
    sh_options_clear(&o);
    return code;
}

/* --- diff --------------------------------------------------------------------------------------
 */

static const struct sh_option diff_options[] = {
    {"data", "DIR", "data folder (default: as configured, var/)"},
    {"config", "FILE", "configuration (default: switchhook.lua here, else the installed one)"},
    {"json", NULL, "one JSON object a line: each file, with its change and its diff"},
};
static const struct sh_command diff_command = {
    .name = "diff",
    .args = "[A [B]]",
    .summary = "Show how two generations differ, as a unified diff.",
    .details =
        "A and B are generations (at least the first 4 characters), live for the one that is live\n"
        "now, or files for what is in the folders. Without B: files. Without both: what is in the\n"
        "folders against what is live. Exit code 0 if they are the same, 1 if they differ (as\n"
        "diff(1)) or one is not there.",
    .example = "  switchhook diff                  # what would a reload bring?\n"
               "  switchhook diff 5eb3128f live    # what has changed since?",
    .options = diff_options,
    .n_options = COUNT(diff_options),
    .max_args = 2,
};

static struct sh_generation *find(const char *name, const struct sh_config *c, struct sh_error *err)
{
    if (strcmp(name, "files") == 0) {
        struct stat st;
        return sh_generation_read(c->rules, stat(c->scripts, &st) == 0 ? c->scripts : NULL, err);
    }
    struct sh_store_view *view = sh_store_view_open(c->data, err);
    struct sh_generation *g = view ? sh_store_view_generation(view, name, err) : NULL;
    sh_store_view_close(view);
    return g;
}

/* a, b: what is compared, as find takes it. */
static int compare(const struct sh_options *o, struct sh_config *c, const char *a, const char *b)
{
    struct sh_error err;
    struct sh_generation *from = find(a, c, &err), *to = from ? find(b, c, &err) : NULL;
    bool same = false;
    if (!to || !sh_diff_print(from, to, sh_options_get(o, "json") != NULL, &same, &err))
        fprintf(stderr, "switchhook diff: %s\n", err.msg);
    sh_generation_free(from);
    sh_generation_free(to);
    return same ? 0 : SH_EXIT_BAD;
}

int sh_cmd_diff(int argc, char **argv)
{
    struct sh_options o;
    struct sh_config config = {0};
    int code = sh_options_parse(&diff_command, argc, argv, &o);
    if (code < 0) {
        const char *a = o.n_args > 0 ? o.args[0] : "live", *b = o.n_args > 1 ? o.args[1] : "files";
        const char *data = sh_options_get(&o, "data");
        cJSON *faults;
        bool ok = sh_config_load(sh_options_get(&o, "config"), &config, &faults);
        /* Two generations of a store that is named need no configuration. */
        ok = ok || (data && strcmp(a, "files") != 0 && strcmp(b, "files") != 0);
        if (!ok)
            sh_config_print_faults(faults);
        cJSON_Delete(faults);
        sh_config_override(&config.data, data);
        ok = ok && sh_data_dir_check(config.data, &diff_command);
        code = ok ? compare(&o, &config, a, b) : SH_EXIT_BAD;
    }
    sh_config_clear(&config);
    sh_options_clear(&o);
    return code;
}
