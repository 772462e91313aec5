/* SPDX-License-Identifier: MIT
 * cmd_backup.c: the store into one file. */
#include "app/app.h"

#include "app/bar.h"
#include "app/data_dir.h"
#include "app/options.h"
#include "app/print.h"
#include "app/verify_print.h"
#include "svc/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct sh_option options[] = {
    {"force", NULL, "replace FILE if it is there"},
    {"no-verify", NULL, "do not check the copy"},
    {"data", "DIR", "data folder (default: as configured, var/)"},
    {"config", "FILE", "configuration (default: switchhook.lua here, else the installed one)"},
    {"json", NULL, "what was done as one JSON object on one line"},
};
static const struct sh_command command = {
    .name = "backup",
    .args = "FILE",
    .summary = "Copy the store to one file, of one moment, also while an engine writes to it.",
    .details =
        "Everything that was answered with 200 before the command began is in the copy. It is "
        "made\n"
        "as FILE.part, synced and checked (switchhook verify), and then put in place; what is "
        "there\n"
        "under the name stays until then. Damage that is found leaves no FILE; faults that the\n"
        "engine's own checks find leave FILE, and exit code 1. Copy the configuration, rules and\n"
        "scripts beside it: they are not in the store. docs/store.md says more.",
    .example = "  switchhook backup /var/backups/switchhook-$(date +%F).db\n"
               "  switchhook backup --config /etc/switchhook/switchhook.lua --force latest.db",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .min_args = 1,
    .max_args = 1,
};

static void print_made(const cJSON *report)
{
    const cJSON *verify = sh_json_member(report, "verify");
    int bad, n = sh_verify_count(verify, &bad);
    if (!cJSON_IsTrue(sh_json_member(report, "kept")))
        return;
    printf("%s: ", sh_json_string(report, "file"));
    sh_verify_print_facts(report);
    printf("sha256 %s\n", sh_json_string(report, "sha256"));
    if (!verify)
        printf("not checked, ");
    else if (bad == 0)
        printf("all %d checks are good, ", n);
    printf("in %.1f s\n", (double)sh_verify_int(report, "took_ms") / 1000);
}

static int finish(const struct sh_options *o, const cJSON *report)
{
    const cJSON *verify = sh_json_member(report, "verify");
    const bool kept = cJSON_IsTrue(sh_json_member(report, "kept"));
    int bad;
    const int n = sh_verify_count(verify, &bad);
    if (sh_options_get(o, "json"))
        sh_print_json(report);
    else
        print_made(report);
    if (bad == 0)
        return 0;
    if (!sh_options_get(o, "json"))
        sh_verify_print_bad(verify);
    fprintf(stderr, "switchhook backup: %d of %d checks are bad: %s\n", bad, n,
            kept ? "the backup is made, with the faults that the store has"
                 : "the store is damaged, no backup is made (--no-verify makes one anyway)");
    return SH_EXIT_BAD;
}

static int go(const struct sh_options *o, const char *dir)
{
    struct sh_backup b = {.dir = dir,
                          .file = o->args[0],
                          .force = sh_options_get(o, "force") != NULL,
                          .no_verify = sh_options_get(o, "no-verify") != NULL};
    struct sh_error err = {0};
    cJSON *report = NULL;
    sh_bar_begin(&b.watch);
    const bool ok = sh_store_backup(&b, &report, &err);
    sh_bar_end();
    if (!ok)
        fprintf(stderr, "switchhook backup: %s\n", err.msg);
    const int code = ok ? finish(o, report) : SH_EXIT_BAD;
    cJSON_Delete(report);
    return code;
}

int sh_cmd_backup(int argc, char **argv)
{
    struct sh_options o;
    int code = sh_options_parse(&command, argc, argv, &o);
    if (code < 0) {
        char *dir = sh_data_dir(&o);
        code = dir ? go(&o, dir) : SH_EXIT_BAD;
        free(dir);
    }
    sh_options_clear(&o);
    return code;
}
