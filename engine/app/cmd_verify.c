/* SPDX-License-Identifier: MIT
 * cmd_verify.c: is the store, or a backup, what the engine relies on? */
#include "app/app.h"

#include "app/bar.h"
#include "app/data_dir.h"
#include "app/options.h"
#include "app/print.h"
#include "app/verify_print.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>

static const struct sh_option options[] = {
    {"data", "DIR", "data folder (default: as configured, var/)"},
    {"config", "FILE", "configuration (default: switchhook.lua here, else the installed one)"},
    {"json", NULL, "the checks as one JSON object on one line"},
};
static const struct sh_command command = {
    .name = "verify",
    .args = "[FILE]",
    .summary = "Check the store of the data folder, or a backup.",
    .details =
        "SQLite's own check of every page and index, and what the engine itself relies on,\n"
        "each by name: docs/store.md lists them. Works beside a running engine, in one read\n"
        "transaction, and changes nothing. Exit code 1: something is bad.",
    .example = "  switchhook verify\n"
               "  switchhook verify /var/backups/switchhook-2026-06-12.db",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .min_args = 0,
    .max_args = 1,
};

static int finish(const struct sh_options *o, const cJSON *report)
{
    int bad;
    const int n = sh_verify_count(report, &bad);
    if (sh_options_get(o, "json")) {
        sh_print_json(report);
        return bad ? SH_EXIT_BAD : 0;
    }
    sh_verify_print_all(report);
    sh_verify_print_bad(report);
    printf("\n%s: ", sh_json_string(report, "file"));
    sh_verify_print_facts(report);
    if (bad)
        printf("%d of %d checks are bad\n", bad, n);
    else
        printf("all %d checks are good\n", n);
    return bad ? SH_EXIT_BAD : 0;
}

static int go(const struct sh_options *o)
{
    struct sh_store_watch watch;
    struct sh_error err = {0};
    cJSON *report = NULL;
    char *dir = o->n_args ? NULL : sh_data_dir(o);
    if (!dir && !o->n_args)
        return SH_EXIT_BAD;
    sh_bar_begin(&watch);
    const bool ok = dir ? sh_store_verify_dir(dir, &watch, &report, &err)
                        : sh_store_verify(o->args[0], &watch, &report, &err);
    sh_bar_end();
    if (!ok)
        fprintf(stderr, "switchhook verify: %s\n", err.msg);
    const int code = ok ? finish(o, report) : SH_EXIT_BAD;
    cJSON_Delete(report);
    free(dir);
    return code;
}

int sh_cmd_verify(int argc, char **argv)
{
    struct sh_options o;
    int code = sh_options_parse(&command, argc, argv, &o);
    if (code < 0 && o.n_args && (sh_options_get(&o, "data") || sh_options_get(&o, "config")))
        code = sh_usage_error(&command, "FILE, or a data folder: not both");
    if (code < 0)
        code = go(&o);
    sh_options_clear(&o);
    return code;
}
