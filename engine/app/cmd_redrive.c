/* SPDX-License-Identifier: MIT
 * cmd_redrive.c: bring dead letters back. */
#include "app/app.h"

#include "app/data_dir.h"
#include "app/options.h"
#include "app/print.h"
#include "core/store.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>

static const struct sh_option options[] = {
    {"all", NULL, "every dead letter"},
    {"rule", "NAME", "only runs of this rule"},
    {"data", "DIR", "data folder (default: as configured, var/)"},
    {"config", "FILE", "configuration (default: switchhook.lua, if it is there)"},
    {"json", NULL, "one JSON object on one line"},
};
static const struct sh_command command = {
    .name = "redrive",
    .args = "[ID]",
    .summary = "Bring dead letters back: the runs of an event, one outbox item, or all of them.",
    .details =
        "Their attempts start from 0 again, due now, with the same keys, so that receivers\n"
        "recognise what they had already. Works beside a running engine, which takes them\n"
        "up within a second. Exit code 1 if there was nothing to bring back. What is kept for\n"
        "a paused rule is no dead letter: switchhook rules resume NAME.",
    .example = "  switchhook redrive 019756a2-3c1e-7000-8000-0123456789ab --data var\n"
               "  switchhook redrive --all --rule \"Missed call\"",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .max_args = 1,
};

static void note_done(struct sh_op *op)
{
    *(bool *)op->arg = true;
}

static bool redrive(const char *dir, const char *id, const char *rule, struct sh_op_redrive *op,
                    struct sh_error *err)
{
    const struct sh_store_config config = {.dir = dir, .threads = false, .shared = true};
    bool done = false;
    struct sh_store_view *there = sh_store_view_open(dir, err); /* do not create a folder */
    if (!there)
        return false;
    sh_store_view_close(there);
    struct sh_store *s = sh_store_open(&config, err);
    if (!s)
        return false;
    *op = (struct sh_op_redrive){
        .op = {.kind = SH_OP_REDRIVE, .done = note_done, .arg = &done}, .id = id, .rule = rule};
    sh_store_submit(s, &op->op);
    sh_store_reap(s);
    sh_require(done);
    sh_store_close(s);
    if (!op->op.ok)
        *err = op->op.err;
    return op->op.ok;
}

static void print_result(const struct sh_op_redrive *op, bool json)
{
    if (!json) {
        printf("%zu %s and %zu outbox %s brought back.\n", op->n_runs,
               op->n_runs == 1 ? "run" : "runs", op->n_items, op->n_items == 1 ? "item" : "items");
        return;
    }
    cJSON *o = cJSON_CreateObject();
    cJSON_AddItemToObject(o, "runs", sh_json_int((int64_t)op->n_runs));
    cJSON_AddItemToObject(o, "items", sh_json_int((int64_t)op->n_items));
    sh_print_json(o);
    cJSON_Delete(o);
}

static int go(const struct sh_options *o)
{
    struct sh_op_redrive op;
    struct sh_error err;
    bool all = sh_options_get(o, "all") != NULL;
    if (all == (o->n_args == 1))
        return sh_usage_error(&command, all ? "either an ID or --all, not both"
                                            : "say which: an event or outbox ID, or --all");
    char *dir = sh_data_dir(o);
    if (!dir)
        return SH_EXIT_BAD;
    bool ok = redrive(dir, o->args[0], sh_options_get(o, "rule"), &op, &err);
    free(dir);
    if (!ok) {
        fprintf(stderr, "switchhook redrive: %s\n", err.msg);
        return SH_EXIT_BAD;
    }
    print_result(&op, sh_options_get(o, "json") != NULL);
    return op.n_runs + op.n_items > 0 ? 0 : SH_EXIT_BAD;
}

int sh_cmd_redrive(int argc, char **argv)
{
    struct sh_options o;
    int code = sh_options_parse(&command, argc, argv, &o);
    if (code < 0)
        code = go(&o);
    sh_options_clear(&o);
    return code;
}
