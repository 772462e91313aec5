/* SPDX-License-Identifier: MIT
 * cmd_timers.c: `switchhook timers cancel`; the list is cmd_list.c's. */
#include "app/app.h"

#include "app/options.h"
#include "app/print.h"
#include "app/steer.h"
#include "svc/json.h"

#include <stdio.h>
#include <string.h>

static const struct sh_option options[] = {SH_STEER_OPTIONS,
                                           {"json", NULL, "one JSON object on one line"}};
static const struct sh_command command = {
    .name = "timers cancel",
    .args = "NAME",
    .summary = "Forget a timer, by the name that its rule gave it.",
    .details = "A timer without a name, and a clock rule, cannot be cancelled: pause the rule.",
    .example = "  switchhook timers cancel \"missed +31201234567\"",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .min_args = 1,
    .max_args = 1,
};

static int cancel(const struct sh_options *o)
{
    struct sh_steer s;
    struct sh_error err;
    cJSON *answer = NULL;
    int code;
    if (sh_steer_open(&s, o, &code)) {
        const bool ok = sh_steer_change(&s, "timer.cancel", o->args[0], NULL, &answer, &err);
        const char *due = ok ? sh_json_string(answer, "due_at") : NULL;
        code = ok ? 0 : SH_EXIT_BAD;
        if (!ok) {
            fprintf(stderr, "switchhook timers: ");
            sh_print_text(stderr, err.msg, NULL);
            fprintf(stderr, "\n");
        } else if (sh_options_get(o, "json")) {
            sh_print_json(answer);
        } else {
            sh_print_text(stdout, o->args[0], NULL);
            printf(": cancelled; it was due %s.\n", due ? due : "?");
        }
    }
    cJSON_Delete(answer);
    sh_steer_close(&s);
    return code;
}

int sh_cmd_timers(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "cancel") != 0)
        return sh_cmd_list(argc, argv);
    struct sh_options o;
    int code = sh_options_parse(&command, argc - 1, argv + 1, &o);
    if (code < 0)
        code = cancel(&o);
    sh_options_clear(&o);
    return code;
}
