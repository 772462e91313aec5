/* SPDX-License-Identifier: MIT
 * cmd_redrive.c: `switchhook redrive` and `switchhook drop`: bring dead letters back, or be done
 * with them. */
#include "app/app.h"

#include "app/options.h"
#include "app/print.h"
#include "app/steer.h"
#include "base/id.h"
#include "svc/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct sh_option options[] = {
    {"all", NULL, "every dead letter"},
    {"rule", "NAME", "only those of this rule; redrive --all: only its runs, unless --kind says"},
    {"kind", "run|email|http", "with --all: only these"},
    SH_STEER_OPTIONS,
    {"json", NULL, "one JSON object on one line"},
};
#define OPTIONS .options = options, .n_options = sizeof(options) / sizeof(options[0]), .max_args = 1

static const struct sh_command redrive_command = {
    .name = "redrive",
    .args = "[ID]",
    .summary = "Bring dead letters back: the runs of an event, one outbox item, or all of them.",
    .details =
        "Their attempts start from 0 again, due now, with the same keys, so that receivers\n"
        "recognise what they had already. A running engine takes them up at once. Exit code 1 if\n"
        "there was nothing to bring back. What is kept for a paused rule is no dead letter:\n"
        "switchhook rules resume NAME.",
    .example = "  switchhook redrive 019756a2-3c1e-7000-8000-0123456789ab --data var\n"
               "  switchhook redrive --all --rule \"Missed call\"",
    OPTIONS,
};
static const struct sh_command drop_command = {
    .name = "drop",
    .args = "[ID]",
    .summary = "Be done with dead letters: the runs of an event, one outbox item, or all of them.",
    .details =
        "They stay to be seen, as dropped, are counted no more, and go with the others when\n"
        "they are old (retain). They cannot be brought back. Also for a rule that no file\n"
        "has any more. Exit code 1 if there was nothing to drop.",
    .example = "  switchhook drop 019756a2-3c1e-7000-8000-0123456789ab\n"
               "  switchhook drop --all --rule \"Gone since May\"",
    OPTIONS,
};

static int print_result(const cJSON *answer, const char *what, bool json)
{
    int64_t runs = 0, items = 0;
    (void)!sh_json_get_int(sh_json_member(answer, "runs"), &runs);
    (void)!sh_json_get_int(sh_json_member(answer, "items"), &items);
    if (json)
        sh_print_json(answer);
    else
        printf("%" PRId64 " %s and %" PRId64 " outbox %s %s.\n", runs, runs == 1 ? "run" : "runs",
               items, items == 1 ? "item" : "items", what);
    return runs + items > 0 ? 0 : SH_EXIT_BAD;
}

static cJSON *body_of(const struct sh_options *o, bool drop)
{
    const char *rule = sh_options_get(o, "rule"), *kind = sh_options_get(o, "kind");
    cJSON *body = cJSON_CreateObject();
    if (rule)
        cJSON_AddStringToObject(body, "rule", rule);
    if (o->n_args)
        return body;
    if (!kind && rule && !drop)
        kind = "run"; /* nobody is sent a mail because a rule was mended */
    if (kind)
        cJSON_AddStringToObject(body, "kind", kind);
    if (!kind && !rule)
        cJSON_AddBoolToObject(body, "all", true);
    return body;
}

static int change(struct sh_steer *s, const struct sh_options *o, bool drop)
{
    struct sh_error err;
    struct sh_id id;
    cJSON *answer, *body = body_of(o, drop);
    const char *what = drop ? "drop" : "redrive", *target = o->args[0];
    const char *of = !target                                    ? "dead"
                     : sh_id_parse(target, strlen(target), &id) ? "event"
                                                                : "outbox";
    char action[32];
    snprintf(action, sizeof(action), "%s.%s", of, what);
    if (strcmp(of, "outbox") == 0)
        cJSON_DeleteItemFromObject(body, "rule");
    const bool ok = sh_steer_change(s, action, target, body, &answer, &err);
    cJSON_Delete(body);
    int code = SH_EXIT_BAD;
    if (ok)
        code = print_result(answer, drop ? "dropped" : "brought back",
                            sh_options_get(o, "json") != NULL);
    else
        fprintf(stderr, "switchhook %s: %s\n", what, err.msg);
    cJSON_Delete(answer);
    return code;
}

static int go(const struct sh_options *o, bool drop)
{
    struct sh_steer s;
    int code;
    const bool all = sh_options_get(o, "all") != NULL;
    if (all == (o->n_args == 1))
        return sh_usage_error(o->command, all ? "either an ID or --all, not both"
                                              : "say which: an event or outbox ID, or --all");
    if (!all && sh_options_get(o, "kind"))
        return sh_usage_error(o->command, "--kind goes with --all");
    if (sh_steer_open(&s, o, &code))
        code = change(&s, o, drop);
    sh_steer_close(&s);
    return code;
}

static int run(const struct sh_command *command, int argc, char **argv)
{
    struct sh_options o;
    int code = sh_options_parse(command, argc, argv, &o);
    if (code < 0)
        code = go(&o, command == &drop_command);
    sh_options_clear(&o);
    return code;
}

int sh_cmd_redrive(int argc, char **argv)
{
    return run(&redrive_command, argc, argv);
}

int sh_cmd_drop(int argc, char **argv)
{
    return run(&drop_command, argc, argv);
}
