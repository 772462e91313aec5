/* SPDX-License-Identifier: MIT
 * cmd_callbacks.c: `switchhook callbacks done|cancel|snooze|reassign|feed`: what a person does to
 * phone calls that are to be made. Listing them is cmd_list.c's. Works beside a running engine. */
#include "app/app.h"

#include "app/config.h"
#include "app/options.h"
#include "app/print.h"
#include "app/units.h"
#include "base/clock.h"
#include "base/zone.h"
#include "core/callback.h"
#include "core/store.h"
#include "svc/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCAL_TEXT 64 /* "2026-10-25T09:00:00" */

#define DATA_OPTION                                                                                \
    {                                                                                              \
        "data", "DIR", "data folder (default: as configured, var/)"                                \
    }
#define CONFIG_OPTION                                                                              \
    {                                                                                              \
        "config", "FILE", "configuration (default: switchhook.lua, if it is there)"                \
    }
#define JSON_OPTION                                                                                \
    {                                                                                              \
        "json", NULL, "the callback as it is now, as one JSON object on one line"                  \
    }
#define NOTE_OPTION                                                                                \
    {                                                                                              \
        "note", "TEXT", "kept with the callback"                                                   \
    }
#define BY_OPTION                                                                                  \
    {                                                                                              \
        "by", "NAME", "who does it, for the history (default: the user's login)"                   \
    }

static const struct sh_option plain_options[] = {DATA_OPTION, CONFIG_OPTION, JSON_OPTION,
                                                 NOTE_OPTION, BY_OPTION};
static const struct sh_option snooze_options[] = {
    {"due", "TIME", "new time: 2h from now, or 2026-06-12T14:00:00+02:00, or 2026-06-12T14:00"},
    DATA_OPTION,
    CONFIG_OPTION,
    JSON_OPTION,
    NOTE_OPTION,
    BY_OPTION};
static const struct sh_option reassign_options[] = {{"to", "ADDRESS", "the new assignee"},
                                                    DATA_OPTION,
                                                    CONFIG_OPTION,
                                                    JSON_OPTION,
                                                    NOTE_OPTION,
                                                    BY_OPTION};
static const struct sh_option feed_options[] = {
    {"new", NULL, "make a new address; the old one ends"},
    DATA_OPTION,
    CONFIG_OPTION,
    {"json", NULL, "one JSON object on one line"}};

#define SET(array) array, sizeof(array) / sizeof((array)[0])
#define ID_NOTE    "ID is as the list shows it; its first 6 characters are enough if they are unique."

static const struct act {
    const char *word;
    enum sh_callback_action action; /* 0: the feed */
    struct sh_command command;
} acts[] = {
    {"done",
     SH_CALLBACK_DONE,
     {"callbacks done", "ID", "The call was made.", ID_NOTE,
      "  switchhook callbacks done 3fa2b1 --note \"will order in May\"", SET(plain_options), 1, 1}},
    {"cancel",
     SH_CALLBACK_CANCEL,
     {"callbacks cancel", "ID", "The call need not be made.", ID_NOTE,
      "  switchhook callbacks cancel 3fa2b1", SET(plain_options), 1, 1}},
    {"snooze",
     SH_CALLBACK_SNOOZE,
     {"callbacks snooze", "ID", "The call is to be made later.", ID_NOTE,
      "  switchhook callbacks snooze 3fa2b1 --due 2h", SET(snooze_options), 1, 1}},
    {"reassign",
     SH_CALLBACK_REASSIGN,
     {"callbacks reassign", "ID", "Somebody else makes the call.", ID_NOTE,
      "  switchhook callbacks reassign 3fa2b1 --to desk@example.org", SET(reassign_options), 1, 1}},
    {"feed",
     0,
     {"callbacks feed", "ASSIGNEE", "The address of an assignee's calendar feed.",
      "Calendar programs subscribe to it and show the open callbacks. Whoever knows the address\n"
      "can read them: hand it to the assignee alone. --new makes another, and ends this one.",
      "  switchhook callbacks feed desk@example.org", SET(feed_options), 1, 1}},
};

/* --- the store ------------------------------------------------------------------------------- */

static void note_done(struct sh_op *op)
{
    *(bool *)op->arg = true;
}

/* One operation on the store of a folder, beside the engine if there is one. */
static bool carry_out(const char *dir, const struct sh_config *c, struct sh_op *op,
                      struct sh_error *err)
{
    const struct sh_store_config config = {.dir = dir,
                                           .shared = true,
                                           .callback_email = c->callback_email,
                                           .callback_missed_ms = c->callback_missed_ms,
                                           .zone = c->settings.zone};
    bool done = false;
    struct sh_store_view *there = sh_store_view_open(dir, err); /* do not create a folder */
    if (!there)
        return false;
    sh_store_view_close(there);
    struct sh_store *s = sh_store_open(&config, err);
    if (!s)
        return false;
    op->done = note_done;
    op->arg = &done;
    sh_store_submit(s, op);
    sh_store_reap(s);
    sh_require(done);
    sh_store_close(s);
    if (!op->ok)
        *err = op->err;
    return op->ok;
}

/* --- a change -------------------------------------------------------------------------------- */

/* local: where the text of a time of day goes, "" when it is none. */
static bool read_due(const struct sh_command *command, const char *text, const char *zone,
                     int64_t *due_ms, char local[LOCAL_TEXT])
{
    int64_t ms;
    struct sh_civil c;
    const struct sh_zone *z = sh_zone_find(zone);
    local[0] = '\0';
    if (!text) {
        sh_usage_error(command, "say until when: --due 2h, or --due 2026-06-12T14:00");
        return false;
    }
    if (sh_time_parse(text, strlen(text), due_ms))
        return true;
    if (sh_parse_duration(text, &ms)) {
        *due_ms = sh_now_ms() + ms;
        return true;
    }
    if (z && sh_civil_parse(text, &c)) {
        *due_ms = sh_zone_moment(z, sh_civil_seconds(&c), NULL) * 1000;
        snprintf(local, LOCAL_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d", (int)c.year, c.month, c.day,
                 c.hour, c.minute, c.second);
        return true;
    }
    sh_usage_error(command,
                   "--due \"%s\": expected a duration such as 2h, or a time such as "
                   "2026-06-12T14:00 or 2026-06-12T14:00:00+02:00",
                   text);
    return false;
}

struct shown {
    const char *word, *id; /* id: whole, or its beginning */
    bool json;
};

static bool print_row(void *arg, const cJSON *row)
{
    const struct shown *s = arg;
    const char *id = sh_json_string(row, "id"), *name = sh_json_string(row, "name");
    if (strncmp(id, s->id, strlen(s->id)) != 0)
        return true;
    if (s->json) {
        sh_print_json(row);
        return true;
    }
    printf("%s: ", s->word);
    sh_print_text(stdout, sh_json_string(row, "number"), NULL);
    if (name) {
        printf(" (");
        sh_print_text(stdout, name, NULL);
        printf(")");
    }
    printf(", %s, due %s\n", sh_json_string(row, "status"), sh_json_string(row, "due_at"));
    return true;
}

/* The callback as it is now. */
static void show(const char *dir, const struct act *act, const char *id, bool json)
{
    struct sh_error err;
    struct shown shown = {act->word, id, json};
    const struct sh_list_query q = {.what = SH_LIST_CALLBACKS};
    struct sh_store_view *v = sh_store_view_open(dir, &err);
    if (!v)
        return;
    (void)!sh_store_view_list(v, &q, print_row, &shown, &err);
    sh_store_view_close(v);
}

static int change(const struct act *act, const struct sh_options *o, const struct sh_config *c,
                  const char *dir)
{
    struct sh_error err;
    const char *by = sh_options_get(o, "by");
    struct sh_op_callback op = {
        .op.kind = SH_OP_CALLBACK,
        .id = o->args[0],
        .action = (int)act->action,
        .by = by ? by : getenv("LOGNAME"),
        .note = sh_options_get(o, "note"),
    };
    char local[LOCAL_TEXT];
    const char *zone = c->settings.zone ? c->settings.zone : "UTC";
    if (act->action == SH_CALLBACK_SNOOZE) {
        if (!read_due(&act->command, sh_options_get(o, "due"), zone, &op.due_ms, local))
            return SH_EXIT_USAGE;
        op.due_local = local[0] ? local : NULL;
        op.zone = zone;
    }
    if (act->action == SH_CALLBACK_REASSIGN && !(op.assignee = sh_options_get(o, "to")))
        return sh_usage_error(&act->command, "say to whom: --to desk@example.org");
    if (!carry_out(dir, c, &op.op, &err)) {
        fprintf(stderr, "switchhook callbacks: %s\n", err.msg);
        return SH_EXIT_BAD;
    }
    show(dir, act, o->args[0], sh_options_get(o, "json") != NULL);
    return 0;
}

static int feed(const struct act *act, const struct sh_options *o, const struct sh_config *c,
                const char *dir)
{
    struct sh_error err;
    struct sh_op_feed_new op = {.op.kind = SH_OP_FEED_NEW,
                                .assignee = o->args[0],
                                .renew = sh_options_get(o, "new") != NULL};
    (void)act;
    if (!carry_out(dir, c, &op.op, &err)) {
        fprintf(stderr, "switchhook callbacks: %s\n", err.msg);
        return SH_EXIT_BAD;
    }
    bool v6 = strchr(c->listen_host, ':') != NULL;
    char *base = c->public_url ? sh_strdup(c->public_url)
                               : sh_strf("%s://%s%s%s:%d", sh_config_scheme(c), v6 ? "[" : "",
                                         c->listen_host, v6 ? "]" : "", c->listen_port);
    char *url = sh_strf("%s/calendar/%s.ics", base, op.token);
    if (sh_options_get(o, "json")) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "assignee", o->args[0]);
        cJSON_AddStringToObject(row, "url", url);
        sh_print_json(row);
        cJSON_Delete(row);
    } else {
        printf("%s\n", url);
    }
    free(url);
    free(base);
    return 0;
}

static int go(const struct act *act, const struct sh_options *o)
{
    struct sh_config c;
    cJSON *faults;
    sh_zones_load(NULL);
    bool ok = sh_config_load(sh_options_get(o, "config"), &c, &faults);
    sh_config_print_faults(faults);
    cJSON_Delete(faults);
    int code = SH_EXIT_BAD;
    if (ok) {
        const char *data = sh_options_get(o, "data");
        code = (act->action ? change : feed)(act, o, &c, data ? data : c.data);
    }
    sh_config_clear(&c);
    return code;
}

int sh_cmd_callbacks(int argc, char **argv)
{
    const struct act *act = NULL;
    for (size_t i = 0; argc > 1 && i < sizeof(acts) / sizeof(acts[0]); i++)
        if (strcmp(acts[i].word, argv[1]) == 0)
            act = &acts[i];
    if (!act)
        return sh_cmd_list(argc, argv);
    struct sh_options o;
    int code = sh_options_parse(&act->command, argc - 1, argv + 1, &o);
    if (code < 0)
        code = go(act, &o);
    sh_options_clear(&o);
    return code;
}
