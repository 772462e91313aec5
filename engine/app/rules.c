/* SPDX-License-Identifier: MIT
 * rules.c: rules for the command line. */
#include "app/rules.h"

#include "app/guard.h"
#include "app/print.h"
#include "lua/host.h"
#include "svc/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The folder "scripts" beside a folder: its parent's, also of "." and "a/b/". */
static char *scripts_beside(const char *rules_dir)
{
    size_t n = strlen(rules_dir);
    while (n > 1 && rules_dir[n - 1] == '/')
        n--;
    size_t base = n;
    while (base > 0 && rules_dir[base - 1] != '/')
        base--;
    bool dots = strncmp(rules_dir + base, ".", n - base) == 0 ||
                strncmp(rules_dir + base, "..", n - base) == 0;
    return dots ? sh_strf("%.*s/../scripts", (int)n, rules_dir)
                : sh_strf("%.*sscripts", (int)base, rules_dir);
}

struct sh_generation *sh_rules_read(const char *rules_dir, const char *scripts_dir,
                                    struct sh_error *err)
{
    char *beside = scripts_dir ? NULL : scripts_beside(rules_dir);
    const char *scripts = scripts_dir ? scripts_dir : is_dir(beside) ? beside : NULL;
    struct sh_generation *g = NULL;
    if (scripts_dir && !is_dir(scripts_dir))
        sh_error_set(err, SH_ENOTFOUND, "%s: no such folder (scripts)", scripts_dir);
    else
        g = sh_generation_read(rules_dir, scripts, err);
    free(beside);
    return g;
}

static void no_read(void *arg, uint64_t read_id, const struct sh_read_request *q)
{
    (void)arg;
    (void)read_id;
    (void)q;
}

static void no_result(void *arg, const struct sh_result *r)
{
    (void)arg;
    (void)r;
}

bool sh_rules_load(const struct sh_generation *g, const struct sh_budgets *budgets,
                   const struct sh_settings *settings, cJSON **report)
{
    struct sh_guard *guard = sh_guard_new(budgets->wall_ms, g);
    const struct sh_host_calls calls = {.settings = settings,
                                        .read = no_read,
                                        .finished = no_result,
                                        .pulse = sh_guard_pulse(guard)};
    struct sh_host *host = sh_host_new(budgets, &calls);
    sh_guard_enter(guard);
    bool ok = sh_host_load(host, g, report);
    sh_guard_leave(guard);
    sh_host_free(host);
    sh_guard_free(guard);
    return ok;
}

/* "rules/a.lua" of a generation as the path that a person can open. */
static void print_path(FILE *f, const char *file, const char *dir)
{
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    fprintf(f, "%.*s%s:", (int)n, dir, strchr(file, '/'));
}

static void print_fault(FILE *f, const cJSON *fault, const char *kind, const char *rules_dir,
                        const char *scripts_dir)
{
    const char *file = sh_json_string(fault, "file"), *msg = sh_json_string(fault, "msg");
    int64_t line = 0;
    (void)!sh_json_get_int(sh_json_member(fault, "line"), &line);
    if (file && strncmp(file, "rules/", 6) == 0)
        print_path(f, file, rules_dir);
    else if (file && scripts_dir && strncmp(file, "scripts/", 8) == 0)
        print_path(f, file, scripts_dir);
    else if (file && *file)
        fprintf(f, "%s:", file);
    if (file && *file && line > 0)
        fprintf(f, "%" PRId64 ":", line);
    fprintf(f, "%s%s", file && *file ? " " : "", kind);
    sh_print_text(f, msg ? msg : "", "    ");
    fputc('\n', f);
}

void sh_rules_print_faults(FILE *f, const cJSON *report, const char *rules_dir,
                           const char *scripts_dir)
{
    const cJSON *fault;
    cJSON_ArrayForEach(fault, sh_json_member(report, "errors"))
        print_fault(f, fault, "", rules_dir, scripts_dir);
    cJSON_ArrayForEach(fault, sh_json_member(report, "warnings"))
        print_fault(f, fault, "warning: ", rules_dir, scripts_dir);
}
