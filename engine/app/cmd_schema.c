/* SPDX-License-Identifier: MIT
 * cmd_schema.c: `switchhook schema`: which schema a store has; back to an older one, or forward. */
#include "app/app.h"

#include "app/data_dir.h"
#include "app/options.h"
#include "app/print.h"
#include "base/clock.h"
#include "core/store_move.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_SCHEMA  1000000
#define PROGRESS_US 2000000 /* what takes longer shows that it goes on */
#define REDRAW_US   200000

static const struct sh_option options[] = {
    {"to", "N", "take the store to schema N, while no engine runs"},
    {"dry-run", NULL, "change nothing, only say what would be"},
    {"no-backup", NULL, "no copy of the store first"},
    {"data", "DIR", "data folder (default: as configured, var/)"},
    {"config", "FILE", "configuration (default: switchhook.lua here, else the installed one)"},
    {"json", NULL, "one JSON object on one line"},
};
static const struct sh_command command = {
    .name = "schema",
    .summary = "Say which schema a store has; take it back for an older switchhook.",
    .details =
        "An engine upgrades the store at its start, by itself. An older one refuses it then: stop\n"
        "the engine, take the store back with the newer switchhook, and start the older one. What\n"
        "the older schema has no place for is given up, and said first; events, unfinished work,\n"
        "records, callbacks, timers and what waits to be delivered never are. A copy of the store\n"
        "is made first, beside it. All of it is one transaction.\n"
        "With N greater than the store's schema it is upgraded here, before an engine starts.\n"
        "Exit code 1: the store is newer than this switchhook, or it cannot go to N.",
    .example = "  switchhook schema\n"
               "  switchhook schema --to 3 --dry-run\n"
               "  switchhook schema --to 3",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
};

static int complain(const struct sh_error *err)
{
    fprintf(stderr, "switchhook schema: %s\n", err->msg);
    return SH_EXIT_BAD;
}

static int64_t number_of(const cJSON *o, const char *name)
{
    int64_t n = 0;
    (void)!sh_json_get_int(sh_json_member(o, name), &n);
    return n;
}

/* --- how far ---------------------------------------------------------------------------------- */

struct progress {
    int64_t began_us, drawn_us;
};

static void on_tick(void *arg)
{
    struct progress *p = arg;
    int64_t now = sh_mono_us();
    if (now - p->began_us < PROGRESS_US || now - p->drawn_us < REDRAW_US || !isatty(STDERR_FILENO))
        return;
    p->drawn_us = now;
    fprintf(stderr, "\rat work for %lld s", (long long)((now - p->began_us) / 1000000));
}

/* The line is gone before anything else is said. */
static void end_progress(struct progress *p)
{
    if (p->drawn_us)
        fprintf(stderr, "\r%*s\r", 30, "");
    p->drawn_us = 0;
}

/* --- what it is ------------------------------------------------------------------------------- */

static const struct sh_column columns[] = {{"SCHEMA", "schema", true, false},
                                           {"SINCE", "applied_at", false, false},
                                           {"BROUGHT", "brings", false, true}};

static void print_state(const cJSON *state)
{
    const int64_t schema = number_of(state, "schema"), known = number_of(state, "known");
    const cJSON *step;
    struct sh_table *t = sh_table_new(columns, sizeof(columns) / sizeof(columns[0]));
    printf("%s: schema %lld; this switchhook works with %lld.\n", sh_json_string(state, "file"),
           (long long)schema, (long long)known);
    cJSON_ArrayForEach(step, sh_json_member(state, "steps")) sh_table_add(t, step);
    sh_table_print(t);
    sh_table_free(t);
    if (schema < known)
        printf("The next start of the engine upgrades it, or: switchhook schema --to %lld\n",
               (long long)known);
    if (schema > known)
        printf("It was made by a newer switchhook. Start that one, or have it take the store"
               " back: switchhook schema --to %lld\n",
               (long long)known);
}

static int show(const struct sh_options *o, const char *dir)
{
    struct sh_error err;
    cJSON *state = sh_store_schema_read(dir, &err);
    if (!state)
        return complain(&err);
    if (sh_options_get(o, "json"))
        sh_print_json(state);
    else
        print_state(state);
    const bool newer = number_of(state, "schema") > number_of(state, "known");
    cJSON_Delete(state);
    return newer ? SH_EXIT_BAD : 0;
}

/* --- back, or forward ------------------------------------------------------------------------- */

static void print_rows(const cJSON *rows, const char *heading)
{
    const cJSON *row;
    if (cJSON_GetArraySize(rows))
        printf("%s\n", heading);
    cJSON_ArrayForEach(row, rows)
    {
        const char *to_do = sh_json_string(row, "to_do");
        printf("%8lld  %s\n", (long long)number_of(row, "rows"), sh_json_string(row, "what"));
        if (to_do)
            printf("%8s  To do: %s.\n", "", to_do);
    }
}

static void print_plan(const cJSON *plan, bool dry)
{
    const int64_t from = number_of(plan, "from"), to = number_of(plan, "to");
    if (from == to) {
        printf("The store has schema %lld already.\n", (long long)to);
        return;
    }
    print_rows(sh_json_member(plan, "in_the_way"), "In the way:");
    print_rows(sh_json_member(plan, "gives_up"),
               dry ? "Would be given up:" : "Given up, with schemas that are newer:");
    fflush(stdout); /* before it is done */
}

/* Where the copy goes: beside the store, named after its schema and the time; a name that is free.
 */
static char *copy_name(const char *dir, int64_t from)
{
    char when[32], more[16] = "";
    const time_t now = (time_t)(sh_now_ms() / 1000);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
    for (int i = 2;; i++) {
        char *name = sh_strf("%s/switchhook-schema-%lld-%s%s.db", dir, (long long)from, when, more);
        struct stat st;
        if (lstat(name, &st) != 0)
            return name;
        free(name);
        snprintf(more, sizeof(more), ".%d", i);
    }
}

static bool copy_first(struct sh_store_move *m, const char *dir, cJSON *plan, struct sh_error *err)
{
    char *file = copy_name(dir, number_of(plan, "from"));
    bool ok = sh_store_move_copy(m, file, err);
    if (ok)
        cJSON_AddStringToObject(plan, "backup", file);
    free(file);
    return ok;
}

static bool carry_out(const struct sh_options *o, struct sh_store_move *m, const char *dir,
                      cJSON *plan, struct sh_error *err)
{
    const bool down = number_of(plan, "from") > number_of(plan, "to");
    if (down && !sh_options_get(o, "no-backup") && !copy_first(m, dir, plan, err))
        return false;
    return sh_store_move_go(m, err);
}

static void report(const struct sh_options *o, const cJSON *plan, bool dry, bool done)
{
    if (sh_options_get(o, "json")) {
        sh_print_json(plan);
        return;
    }
    const int64_t from = number_of(plan, "from"), to = number_of(plan, "to");
    const char *backup = sh_json_string(plan, "backup");
    if (backup)
        printf("A copy of the store as it was: %s\n", backup);
    if (dry && from != to)
        printf("Nothing was changed: the store has schema %lld.\n", (long long)from);
    if (done && from != to)
        printf("The store has schema %lld now, it had %lld.\n", (long long)to, (long long)from);
}

static int move(const struct sh_options *o, struct sh_store_move *m, const char *dir,
                struct progress *p)
{
    struct sh_error err = {0};
    const bool dry = sh_options_get(o, "dry-run") != NULL;
    cJSON *plan = sh_store_move_plan(m, &err);
    end_progress(p);
    if (!plan)
        return complain(&err);
    const bool barred = cJSON_GetArraySize(sh_json_member(plan, "in_the_way")) > 0;
    if (!sh_options_get(o, "json"))
        print_plan(plan, dry || barred);
    bool done = !barred && !dry && carry_out(o, m, dir, plan, &err);
    cJSON_AddBoolToObject(plan, "done", done);
    end_progress(p);
    report(o, plan, dry || barred, done);
    cJSON_Delete(plan);
    if (barred)
        fprintf(stderr, "switchhook schema: nothing was changed: something has no place in the"
                        " older schema\n");
    else if (!dry && !done)
        return complain(&err);
    return barred ? SH_EXIT_BAD : 0;
}

static int go(const struct sh_options *o, const char *dir)
{
    int64_t to = 0;
    struct sh_error err;
    struct progress p = {.began_us = sh_mono_us()};
    if (!sh_options_int(o, "to", 1, MAX_SCHEMA, &to))
        return SH_EXIT_USAGE;
    if (!to)
        return sh_options_get(o, "dry-run") || sh_options_get(o, "no-backup")
                   ? sh_usage_error(&command, "--dry-run and --no-backup go with --to N")
                   : show(o, dir);
    struct sh_store_move *m = sh_store_move_open(dir, (int)to, &err);
    if (!m)
        return complain(&err);
    sh_store_move_watch(m, on_tick, &p);
    int code = move(o, m, dir, &p);
    sh_store_move_close(m);
    return code;
}

int sh_cmd_schema(int argc, char **argv)
{
    struct sh_options o;
    int code = sh_options_parse(&command, argc, argv, &o);
    char *dir = code < 0 ? sh_data_dir(&o) : NULL;
    if (code < 0)
        code = dir ? go(&o, dir) : SH_EXIT_BAD;
    free(dir);
    sh_options_clear(&o);
    return code;
}
