/* SPDX-License-Identifier: MIT
 * cmd_callbacks.c: `switchhook callbacks done|cancel|snooze|reassign|feed`: what a person does to
 * phone calls that are to be made. Listing them is cmd_list.c's. */
#include "app/app.h"

#include "app/change.h"
#include "app/options.h"
#include "app/print.h"
#include "app/steer.h"
#include "core/callback.h"
#include "core/store.h"
#include "svc/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 30000

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

static const struct sh_option plain_options[] = {SH_STEER_OPTIONS, JSON_OPTION, NOTE_OPTION,
                                                 BY_OPTION};
static const struct sh_option snooze_options[] = {
    {"due", "TIME", "new time: 2h from now, or 2026-06-12T14:00:00+02:00, or 2026-06-12T14:00"},
    SH_STEER_OPTIONS,
    JSON_OPTION,
    NOTE_OPTION,
    BY_OPTION};
static const struct sh_option reassign_options[] = {
    {"to", "ADDRESS", "the new assignee"}, SH_STEER_OPTIONS, JSON_OPTION, NOTE_OPTION, BY_OPTION};
static const struct sh_option feed_options[] = {
    {"new", NULL, "make a new address; the old one ends"},
    SH_STEER_OPTIONS,
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

/* --- a change -------------------------------------------------------------------------------- */

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

static void show_far(struct sh_steer *steer, struct shown *shown)
{
    struct sh_error err;
    cJSON *row = NULL;
    char *path = sh_strf("/api/v1/callbacks/%s", shown->id);
    if (sh_steer_ask(steer, "GET", path, NULL, PATIENCE_MS, &row, &err))
        print_row(shown, row);
    else
        printf("%s: %s\n", shown->word, shown->id);
    cJSON_Delete(row);
    free(path);
}

/* The callback as it is now. */
static void show(struct sh_steer *steer, const struct act *act, const char *id, bool json)
{
    struct sh_error err;
    struct shown shown = {act->word, id, json};
    if (steer->url) {
        show_far(steer, &shown);
        return;
    }
    const struct sh_list_query q = {.what = SH_LIST_CALLBACKS};
    struct sh_store_view *v = sh_store_view_open(steer->dir, &err);
    if (!v)
        return;
    (void)!sh_store_view_list(v, &q, print_row, &shown, &err);
    sh_store_view_close(v);
}

static void add_given(cJSON *body, const char *name, const char *text)
{
    if (text)
        cJSON_AddStringToObject(body, name, text);
}

static cJSON *body_of(const struct act *act, const struct sh_options *o)
{
    cJSON *body = cJSON_CreateObject();
    add_given(body, "note", sh_options_get(o, "note"));
    add_given(body, "by", sh_options_get(o, "by"));
    if (act->action == SH_CALLBACK_SNOOZE)
        add_given(body, "due", sh_options_get(o, "due"));
    if (act->action == SH_CALLBACK_REASSIGN)
        add_given(body, "to", sh_options_get(o, "to"));
    return body;
}

/* Bad before anybody is asked. */
static int check(const struct act *act, const struct sh_options *o)
{
    char local[SH_LOCAL_TEXT];
    int64_t ms;
    const char *due = act->action == SH_CALLBACK_SNOOZE ? sh_options_get(o, "due") : NULL;
    if (act->action == SH_CALLBACK_SNOOZE && !due)
        return sh_usage_error(&act->command, "say until when: --due 2h, or --due 2026-06-12T14:00");
    if (due && !sh_change_time(due, NULL, &ms, local))
        return sh_usage_error(&act->command,
                              "--due \"%s\": expected a duration such as 2h, or a time such as "
                              "2026-06-12T14:00 or 2026-06-12T14:00:00+02:00",
                              due);
    if (act->action == SH_CALLBACK_REASSIGN && !sh_options_get(o, "to"))
        return sh_usage_error(&act->command, "say to whom: --to desk@example.org");
    return -1;
}

static int change(const struct act *act, const struct sh_options *o, struct sh_steer *steer)
{
    struct sh_error err;
    cJSON *answer;
    char action[40];
    int code = check(act, o);
    if (code >= 0)
        return code;
    cJSON *body = body_of(act, o);
    snprintf(action, sizeof(action), "callback.%s", act->word);
    bool ok = sh_steer_change(steer, action, o->args[0], body, &answer, &err);
    cJSON_Delete(body);
    if (!ok) {
        fprintf(stderr, "switchhook callbacks: %s\n", err.msg);
        return SH_EXIT_BAD;
    }
    const char *id = sh_json_string(answer, "id");
    show(steer, act, id ? id : o->args[0], sh_options_get(o, "json") != NULL);
    cJSON_Delete(answer);
    return 0;
}

/* In the store, beside an engine or without: which needs not hear of it. */
static int feed(const struct act *act, const struct sh_options *o, struct sh_steer *steer)
{
    struct sh_error err;
    const struct sh_config *c = &steer->config;
    const struct sh_audit audit = {.who = sh_change_login(), .role = "local"};
    struct sh_op_feed_new op = {.op = {.kind = SH_OP_FEED_NEW, .audit = &audit},
                                .assignee = o->args[0],
                                .renew = sh_options_get(o, "new") != NULL};
    if (steer->url)
        return sh_usage_error(&act->command, "the address of a feed is found where the data is");
    if (!sh_change_carry_out(steer->dir, c, &op.op, &err)) {
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
    struct sh_steer steer;
    int code;
    if (sh_steer_open(&steer, o, &code))
        code = (act->action ? change : feed)(act, o, &steer);
    sh_steer_close(&steer);
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
