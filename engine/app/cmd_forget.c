/* SPDX-License-Identifier: MIT
 * cmd_forget.c: forget a caller: within the engine that runs on the data folder, or, when there is
 * none, on its files. */
#include "app/app.h"

#include "app/config.h"
#include "app/control.h"
#include "app/data_dir.h"
#include "app/eraser.h"
#include "app/options.h"
#include "app/print.h"
#include "base/clock.h"
#include "svc/json.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ASK_MS      10000
#define LOOK_MS     100
#define PROGRESS_US 2000000 /* what takes longer shows how far it is */
#define BAR         30
#define LAST_STEP   ", now what came meanwhile, and the file anew"

static const struct sh_option options[] = {
    {"dry-run", NULL, "change nothing, only say what would be"},
    {"yes", NULL, "also what is still unfinished: calls to make, deliveries, events"},
    {"data", "DIR", "data folder (default: as configured, var/)"},
    {"config", "FILE", "configuration (default: switchhook.lua here, else the installed one)"},
    {"json", NULL, "what was done as one JSON object on one line"},
};
static const struct sh_command command = {
    .name = "forget",
    .args = "NUMBER",
    .summary = "Remove or make blank everything about a caller, and say what was done.",
    .details =
        "Events that name the number, however it is written, and all others of the same calls;\n"
        "what rules made of them: records, callbacks, timers, emails, HTTP calls, log lines. Then\n"
        "the database file is written anew, so that nothing is left between its pages. The number\n"
        "needs its country code (+31612345678), or country in the configuration.\n"
        "What is still unfinished is dropped too, but not without --yes. Works within a running\n"
        "engine, or without one. Logs elsewhere and backups are out of its reach: docs/privacy.md.",
    .example = "  switchhook forget +31612345678 --dry-run\n"
               "  switchhook forget 06-12345678 --yes",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .min_args = 1,
    .max_args = 1,
};

struct erasure {
    const struct sh_config *config;
    const char *number;
    char who[64];
    bool within; /* an engine runs */
};

/* --- how far ---------------------------------------------------------------------------------- */

static int64_t began_us;
static bool bar_shown;

static void show_progress(double part)
{
    if (sh_mono_us() - began_us < PROGRESS_US || !isatty(STDERR_FILENO))
        return;
    int full = (int)(part * BAR);
    fprintf(stderr, "\r[%.*s%*s] %3d %%%s", full, "##############################", BAR - full, "",
            (int)(part * 100), part < 1 ? "" : LAST_STEP);
    bar_shown = true;
}

static void end_progress(void)
{
    if (bar_shown)
        fprintf(stderr, "\r%*s\r", BAR + 10 + (int)strlen(LAST_STEP), "");
    bar_shown = false;
}

/* --- within an engine ---------------------------------------------------------------------------
 */

/* *answer: the state, or NULL. False: *err says what the engine says. */
static bool ask(const struct erasure *e, const char *method, const cJSON *body, cJSON **answer,
                struct sh_error *err)
{
    int status = 0;
    if (!sh_control_ask(e->config->data, method, "/api/v1/forget", body, ASK_MS, &status, answer,
                        err))
        return false;
    if (status < 300)
        return true;
    const char *msg = sh_json_string(sh_json_member(*answer, "error"), "message");
    sh_error_set(err, SH_EINVAL, "%s", msg ? msg : "the engine refuses");
    cJSON_Delete(*answer);
    *answer = NULL;
    return false;
}

static bool is_running(const cJSON *state)
{
    const cJSON *part = sh_json_member(state, "progress");
    double progress = 0;
    if (part)
        (void)!sh_json_get_double(part, &progress);
    show_progress(progress);
    return cJSON_IsTrue(sh_json_member(state, "running"));
}

static bool erase_within(const struct erasure *e, bool dry, cJSON **report, struct sh_error *err)
{
    const struct timespec nap = {.tv_nsec = LOOK_MS * 1000000L};
    cJSON *body = cJSON_CreateObject(), *state = NULL;
    cJSON_AddStringToObject(body, "number", e->number);
    cJSON_AddBoolToObject(body, "dry_run", dry);
    bool ok = ask(e, "POST", body, &state, err);
    cJSON_Delete(body);
    while (ok && is_running(state)) {
        nanosleep(&nap, NULL);
        cJSON_Delete(state);
        ok = ask(e, "GET", NULL, &state, err);
    }
    if (!ok)
        return false;
    ok = cJSON_IsTrue(sh_json_member(state, "ok"));
    *report = cJSON_DetachItemFromObjectCaseSensitive(state, "report");
    const char *why = sh_json_string(state, "error");
    if (!ok)
        sh_error_set(err, SH_ESYS, "%s", why ? why : "it was broken off");
    cJSON_Delete(state);
    return ok;
}

/* --- without one ----------------------------------------------------------------------------- */

static bool erase_files(const struct erasure *e, bool dry, cJSON **report, struct sh_error *err)
{
    const struct sh_store_config config = {.dir = e->config->data};
    const struct sh_eraser_order order = {
        .number = e->number, .dry = dry, .who = e->who, .role = "local"};
    struct sh_store_view *there = sh_store_view_open(e->config->data, err); /* make no folder */
    if (!there)
        return false;
    sh_store_view_close(there);
    struct sh_store *s = sh_store_open(&config, err);
    bool ok = s && sh_erase_now(s, e->config->data, e->config->country, &order, show_progress,
                                report, err);
    sh_store_close(s);
    return ok;
}

static bool erase(const struct erasure *e, bool dry, cJSON **report, struct sh_error *err)
{
    *report = NULL;
    began_us = sh_mono_us();
    bool ok = e->within ? erase_within(e, dry, report, err) : erase_files(e, dry, report, err);
    end_progress();
    return ok;
}

/* --- what was done --------------------------------------------------------------------------- */

static int64_t count_of(const cJSON *o, const char *name)
{
    int64_t n = 0;
    const cJSON *m = sh_json_member(o, name);
    if (m)
        (void)!sh_json_get_int(m, &n);
    return n;
}

static const struct {
    const char *name, *what;
} lines[] = {
    {"events", "events made blank"},
    {"runs", "runs of rules"},
    {"records", "records removed"},
    {"record_parts", "records of which a part was removed"},
    {"callbacks", "callbacks made blank"},
    {"timers", "timers removed"},
    {"deliveries", "emails and HTTP calls"},
    {"mail_files", "email files removed"},
    {"rules", "last errors of rules"},
    {"audit", "lines of the audit table"},
    {"others", "others (columns of views, calendar feeds, reasons of pauses)"},
};
static const struct {
    const char *name, *what;
} open_lines[] = {
    {"events", "events that rules have still to run on"},
    {"runs", "runs to be tried again, kept for a paused rule, or dead letters"},
    {"callbacks", "open callbacks"},
    {"timers", "timers"},
    {"deliveries", "deliveries that wait, or dead letters"},
};

static int64_t print_open(const cJSON *report, const char *heading)
{
    const cJSON *open = sh_json_member(report, "unfinished");
    int64_t all = 0;
    for (size_t i = 0; i < sizeof(open_lines) / sizeof(*open_lines); i++) {
        int64_t n = count_of(open, open_lines[i].name);
        if (n && !all)
            printf("%s\n", heading);
        if (n)
            printf("%8" PRId64 "  %s\n", n, open_lines[i].what);
        all += n;
    }
    return all;
}

static int64_t unfinished(const cJSON *report)
{
    const cJSON *m;
    int64_t all = 0, n;
    cJSON_ArrayForEach(m, sh_json_member(report, "unfinished"))
    {
        if (sh_json_get_int(m, &n))
            all += n;
    }
    return all;
}

static void print_report(const cJSON *report, bool dry)
{
    int64_t all = 0;
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        int64_t n = count_of(report, lines[i].name);
        if (n && !all)
            printf("%s\n", dry ? "Would be forgotten:" : "Forgotten:");
        if (n)
            printf("%8" PRId64 "  %s\n", n, lines[i].what);
        all += n;
    }
    if (!all)
        printf("Nothing of that number was found.\n");
    print_open(report, dry ? "Of these, still unfinished:" : "Of these, dropped unfinished:");
    const cJSON *left = sh_json_member(report, "left");
    int64_t events = count_of(left, "events"), files = count_of(left, "rule_files");
    if (events || files)
        printf("Left as it is:\n");
    if (events)
        printf("%8" PRId64 "  events under a key of the number's that is of other numbers too\n",
               events);
    if (files)
        printf("%8" PRId64 "  files of rules that name the number: theirs to change who write "
               "them\n",
               files);
}

static int finish(const struct sh_options *o, const cJSON *report, bool dry, bool ok,
                  const struct sh_error *err)
{
    if (report && sh_options_get(o, "json"))
        sh_print_json(report);
    else if (report)
        print_report(report, dry);
    if (!ok)
        fprintf(stderr, "switchhook forget: %s\n", err->msg);
    return ok ? 0 : SH_EXIT_BAD;
}

/* Not without --yes: somebody may be waiting for that call. */
static bool may_go(const struct sh_options *o, const struct erasure *e, int *code)
{
    struct sh_error err;
    cJSON *report;
    bool ok = erase(e, true, &report, &err);
    bool go = ok && unfinished(report) == 0;
    if (!go) {
        *code = finish(o, report, true, ok, &err);
        if (ok) {
            fprintf(stderr, "switchhook forget: nothing was changed: some of it is still "
                            "unfinished; --yes drops that too\n");
            *code = SH_EXIT_BAD;
        }
    }
    cJSON_Delete(report);
    return go;
}

static void find_who(struct erasure *e)
{
    const struct passwd *p = getpwuid(getuid());
    if (p)
        snprintf(e->who, sizeof(e->who), "%s", p->pw_name);
    else
        snprintf(e->who, sizeof(e->who), "uid %u", (unsigned)getuid());
}

static bool find_engine(struct erasure *e, struct sh_error *err)
{
    cJSON *state = NULL;
    if (ask(e, "GET", NULL, &state, err)) {
        cJSON_Delete(state);
        e->within = true;
        return true;
    }
    return err->code == SH_ENOTFOUND;
}

static int go(const struct sh_options *o, const struct sh_config *config)
{
    struct erasure e = {.config = config, .number = o->args[0]};
    struct sh_error err = {0};
    cJSON *report;
    const bool dry = sh_options_get(o, "dry-run") != NULL;
    int code = 0;
    find_who(&e);
    if (!find_engine(&e, &err)) {
        fprintf(stderr, "switchhook forget: %s\n", err.msg);
        return SH_EXIT_BAD;
    }
    if (!dry && !sh_options_get(o, "yes") && !may_go(o, &e, &code))
        return code;
    bool ok = erase(&e, dry, &report, &err);
    code = finish(o, report, dry, ok, &err);
    cJSON_Delete(report);
    return code;
}

int sh_cmd_forget(int argc, char **argv)
{
    struct sh_options o;
    struct sh_config config = {0};
    cJSON *faults = NULL;
    int code = sh_options_parse(&command, argc, argv, &o);
    if (code < 0) {
        bool ok = sh_config_load(sh_options_get(&o, "config"), &config, &faults);
        sh_config_print_faults(faults);
        sh_config_override(&config.data, sh_options_get(&o, "data"));
        code = ok && sh_data_dir_check(config.data, &command) ? go(&o, &config) : SH_EXIT_BAD;
    }
    cJSON_Delete(faults);
    sh_config_clear(&config);
    sh_options_clear(&o);
    return code;
}
