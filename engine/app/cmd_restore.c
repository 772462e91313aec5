/* SPDX-License-Identifier: MIT
 * cmd_restore.c: a backup in the place of the store. */
#include "app/app.h"

#include "app/bar.h"
#include "app/change.h"
#include "app/data_dir.h"
#include "app/options.h"
#include "app/print.h"
#include "app/verify_print.h"
#include "svc/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct sh_option options[] = {
    {"replace", NULL, "a store that is there is kept under another name, and replaced"},
    {"dry-run", NULL, "check the backup and say what a restore would bring; change nothing"},
    {"anyway", NULL, "also with faults that verify finds, but never with damage"},
    {"drop-tokens", NULL, "without the API tokens and calendar addresses of the backup"},
    {"data", "DIR", "data folder (default: as configured, var/)"},
    {"config", "FILE", "configuration (default: switchhook.lua here, else the installed one)"},
    {"json", NULL, "what was done as one JSON object on one line"},
};
static const struct sh_command command = {
    .name = "restore",
    .args = "FILE",
    .summary = "Put a backup in the place of the store. The engine must be stopped.",
    .details =
        "The backup is copied into the data folder, checked there, and put in place in one step:\n"
        "killed at any moment, there is the old store or the new one. Files belong to the "
        "folder's\n"
        "owner, also when root does it. Sessions of the console end. A token that was revoked "
        "after\n"
        "the backup is valid again, unless the store that is replaced tells of it. What was still "
        "to\n"
        "be delivered at the time of the backup goes out again, with the same keys.",
    .example = "  switchhook restore --dry-run /var/backups/switchhook-2026-06-12.db\n"
               "  switchhook restore --replace /var/backups/switchhook-2026-06-12.db",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .min_args = 1,
    .max_args = 1,
};

static const struct {
    const char *name, *what;
} next_lines[] = {
    {"events", "events that rules have still to run on"},
    {"retries", "runs that are tried again"},
    {"paused_runs", "runs that are kept for paused rules"},
    {"deliveries", "emails and HTTP calls: also those that went out after the backup, with the same"
                   " keys"},
    {"timers", "timers"},
    {"timers_due", "of all timers, clock rules too, are due and fire at once"},
    {"callbacks", "calls to be made"},
    {"callbacks_due", "of them fall due at once"},
};

static void print_next(const cJSON *next)
{
    int64_t all = 0;
    for (size_t i = 0; i < sizeof(next_lines) / sizeof(*next_lines); i++) {
        const int64_t n = sh_verify_int(next, next_lines[i].name);
        if (n && !all)
            printf("At the next start go on:\n");
        if (n)
            printf("%8" PRId64 "  %s\n", n, next_lines[i].what);
        all += n;
    }
    if (!all)
        printf("At the next start nothing waits.\n");
}

static void print_keys(const cJSON *report)
{
    const cJSON *dropped = sh_json_member(report, "dropped"), *name;
    const int64_t tokens = sh_verify_int(dropped, "tokens"),
                  feeds = sh_verify_int(dropped, "feeds");
    printf("Dropped: %" PRId64 " sessions of the console", sh_verify_int(dropped, "sessions"));
    if (tokens || feeds)
        printf(", %" PRId64 " tokens, %" PRId64 " calendar addresses", tokens, feeds);
    putchar('\n');
    if (cJSON_GetArraySize(sh_json_member(report, "tokens")) == 0)
        return;
    printf("Tokens that open the API again:");
    cJSON_ArrayForEach(name, sh_json_member(report, "tokens"))
    {
        putchar(' ');
        sh_print_text(stdout, name->valuestring, NULL); /* a backup may come from anybody */
    }
    printf("\n  Revoke those that were revoked after the backup: switchhook token revoke NAME\n");
}

static void print_done(const cJSON *report, bool dry)
{
    const char *kept = sh_json_string(report, "kept_as"),
               *log = sh_json_string(report, "kept_with_log");
    printf("%s: ", sh_json_string(report, "file"));
    sh_verify_print_facts(report);
    if (dry)
        printf("Nothing was changed (--dry-run).%s\n",
               cJSON_IsTrue(sh_json_member(report, "store_there"))
                   ? " There is a store: --replace is needed, and keeps it aside."
                   : "");
    else
        printf("It is the store of %s now.\n", sh_json_string(report, "data"));
    if (kept)
        printf("The old store is kept: %s\n", kept);
    if (log)
        printf("  with its log beside it, which could not be folded in: %s\n", log);
    if (!dry)
        print_keys(report);
    print_next(sh_json_member(report, "next_start"));
    printf("Callers who were forgotten after the backup are in it again: docs/privacy.md\n");
}

static int finish(const struct sh_options *o, const cJSON *report)
{
    const cJSON *verify = sh_json_member(report, "verify");
    const bool dry = sh_options_get(o, "dry-run") != NULL, json = sh_options_get(o, "json") != NULL;
    const bool done = cJSON_IsTrue(sh_json_member(report, "restored"));
    const bool damaged = cJSON_IsTrue(sh_json_member(verify, "damaged"));
    int bad;
    const int n = sh_verify_count(verify, &bad);
    if (json)
        sh_print_json(report);
    else if (done || (dry && !bad))
        print_done(report, dry);
    if (bad && !json)
        sh_verify_print_bad(verify);
    if (bad)
        fprintf(stderr, "switchhook restore: %d of %d checks are bad%s\n", bad, n,
                done      ? "; it was restored anyway"
                : damaged ? ": the backup is damaged, nothing was changed"
                          : ": nothing was changed (--anyway restores it as it is)");
    return done || (dry && !bad) ? 0 : SH_EXIT_BAD;
}

static int go(const struct sh_options *o, const char *dir)
{
    struct sh_restore r = {.file = o->args[0],
                           .dir = dir,
                           .replace = sh_options_get(o, "replace") != NULL,
                           .dry = sh_options_get(o, "dry-run") != NULL,
                           .anyway = sh_options_get(o, "anyway") != NULL,
                           .drop_tokens = sh_options_get(o, "drop-tokens") != NULL,
                           .who = sh_change_login()};
    struct sh_error err = {0};
    cJSON *report = NULL;
    sh_bar_begin(&r.watch);
    const bool ok = sh_store_restore(&r, &report, &err);
    sh_bar_end();
    if (!ok)
        fprintf(stderr, "switchhook restore: %s\n", err.msg);
    const int code = ok ? finish(o, report) : SH_EXIT_BAD;
    cJSON_Delete(report);
    return code;
}

int sh_cmd_restore(int argc, char **argv)
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
