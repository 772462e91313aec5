/* SPDX-License-Identifier: MIT
 * cmd_reload.c: ask a running engine, here or elsewhere, to take up its rules anew. */
#include "app/app.h"

#include "app/options.h"
#include "app/print.h"
#include "app/rules.h"
#include "app/steer.h"
#include "svc/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS (70 * 60 * 1000) /* specs may take an hour (reload.specs_timeout) */

static const struct sh_option options[] = {
    SH_STEER_OPTIONS,
    {"json", NULL, "the outcome as one JSON object on one line"},
};
static const struct sh_command command = {
    .name = "reload",
    .summary = "Ask the running engine to read its rules again, and say what came of it.",
    .details =
        "The engine does so by itself when a file changes (reload.watch), and on SIGHUP; this\n"
        "command waits for the outcome. Exit code 0 if what is in the folders is live now, 1 if\n"
        "it does not load: then each error is printed as file:line: message, and the rules that\n"
        "were live stay live.",
    .example = "  switchhook reload && switchhook generations --limit 2",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
};

static void print_changes(const cJSON *outcome)
{
    const cJSON *c;
    cJSON_ArrayForEach(c, sh_json_member(outcome, "changes"))
    {
        const char *file = sh_json_string(c, "file"), *change = sh_json_string(c, "change");
        printf("  %-8s ", change ? change : "?");
        sh_print_text(stdout, file ? file : "?", "");
        printf("\n");
    }
}

static void print_text(const cJSON *outcome, const struct sh_config *c)
{
    const char *now = sh_json_string(outcome, "generation"),
               *before = sh_json_string(outcome, "before");
    int64_t ms = 0, rules = 0;
    (void)!sh_json_get_int(sh_json_member(outcome, "took_ms"), &ms);
    (void)!sh_json_get_int(sh_json_member(outcome, "rules"), &rules);
    sh_rules_print_faults(stderr, outcome, c->rules ? c->rules : "rules",
                          c->scripts ? c->scripts : "scripts");
    if (!cJSON_IsTrue(sh_json_member(outcome, "ok"))) {
        printf("Not reloaded: generation %s stays live.\n", before ? before : "?");
    } else if (!cJSON_IsTrue(sh_json_member(outcome, "changed"))) {
        printf("Nothing to reload: generation %s is live.\n", before ? before : "?");
    } else {
        printf("Reloaded in %" PRId64 " ms: generation %s with %" PRId64 " rules is live, in place "
               "of %s.\n",
               ms, now ? now : "?", rules, before ? before : "?");
        print_changes(outcome);
    }
}

/* The configuration only says what the folders are called where faults are printed. */
static int go(const struct sh_options *o, struct sh_steer *s)
{
    struct sh_error err;
    cJSON *outcome, *none = cJSON_CreateObject();
    bool answered = sh_steer_ask(s, "POST", "/api/v1/reload", none, PATIENCE_MS, &outcome, &err);
    cJSON_Delete(none);
    if (!answered) {
        fprintf(stderr, "switchhook reload: %s\n", err.msg);
        return SH_EXIT_BAD;
    }
    if (sh_options_get(o, "json"))
        sh_print_json(outcome);
    else
        print_text(outcome, &s->config);
    bool ok = cJSON_IsTrue(sh_json_member(outcome, "ok"));
    cJSON_Delete(outcome);
    return ok ? 0 : SH_EXIT_BAD;
}

int sh_cmd_reload(int argc, char **argv)
{
    struct sh_options o;
    struct sh_steer s = {0};
    int code = sh_options_parse(&command, argc, argv, &o);
    if (code < 0 && sh_steer_open(&s, &o, &code))
        code = go(&o, &s);
    sh_steer_close(&s);
    sh_options_clear(&o);
    return code;
}
