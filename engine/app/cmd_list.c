/* SPDX-License-Identifier: MIT
 * cmd_list.c: events, runs, records, callbacks, timers, outbox: rows of a data folder, also beside
 * a running engine. */
#include "app/app.h"

#include "app/list_far.h"
#include "app/list_near.h"
#include "app/options.h"
#include "app/print.h"
#include "app/suggest.h"
#include "app/units.h"
#include "base/clock.h"
#include "core/store.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SHORT_ID   8  /* characters of a callback's id */
#define FOR_PEOPLE 50 /* rows, unless --limit says otherwise */
#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))

#define JSON_OPTION                                                                                \
    {"json", NULL, "one JSON object a line, all rows unless --limit"},                             \
    {                                                                                              \
        "mask", NULL, "blank phone numbers and the fields of mask.fields"                          \
    }
#define LIMIT_OPTION                                                                               \
    {                                                                                              \
        "limit", "N", "the newest N, 0 = all (default: 50, with --json all)"                       \
    }
#define SINCE_OPTION                                                                               \
    {                                                                                              \
        "since", "TIME", "from this time on: 2026-06-12T10:00:00Z, or 2h for two hours ago"        \
    }

static const struct sh_option event_options[] = {
    SH_STEER_OPTIONS,
    JSON_OPTION,
    LIMIT_OPTION,
    SINCE_OPTION,
    {"id", "ID", "this event alone, with its body"},
    {"state", "stored|done|dead", "in this state"},
    {"type", "TYPE", "of this type"},
};
static const struct sh_option run_options[] = {
    SH_STEER_OPTIONS,
    JSON_OPTION,
    LIMIT_OPTION,
    SINCE_OPTION,
    {"event", "ID", "of this event"},
    {"state", "done|retry|paused|dead|dropped", "that ended so"},
};
static const struct sh_option record_options[] = {
    SH_STEER_OPTIONS, JSON_OPTION, LIMIT_OPTION, SINCE_OPTION, {"id", "ID", "this record alone"},
};
static const struct sh_option callback_options[] = {
    SH_STEER_OPTIONS,
    JSON_OPTION,
    LIMIT_OPTION,
    SINCE_OPTION,
    {"id", "ID", "this callback alone"},
    {"event", "ID", "asked for by this event"},
    {"state", "open|scheduled|snoozed|due|missed|done|cancelled", "in this state"},
    {"assignee", "ADDRESS", "to be made by them"},
};
static const struct sh_option outbox_options[] = {
    SH_STEER_OPTIONS,
    JSON_OPTION,
    LIMIT_OPTION,
    SINCE_OPTION,
    {"id", "ID", "this item alone, with its payload"},
    {"event", "ID", "asked for by this event"},
    {"state", "queued|sent|dead|dropped", "in this state"},
};

static const struct sh_option timer_options[] = {
    SH_STEER_OPTIONS,
    JSON_OPTION,
    LIMIT_OPTION,
    {"event", "ID", "set by this event"},
};

static const struct sh_option audit_options[] = {
    SH_STEER_OPTIONS,
    JSON_OPTION,
    LIMIT_OPTION,
    SINCE_OPTION,
};

static const struct sh_column event_columns[] = {{"RECEIVED", "received_at", false, false},
                                                 {"ID", "id", false, false},
                                                 {"STATE", "state", false, false},
                                                 {"SOURCE", "source", false, true},
                                                 {"TYPE", "type", false, true},
                                                 {"KEY", "key", false, true}};
static const struct sh_column run_columns[] = {
    {"EVENT", "event_id", false, false}, {"OUTCOME", "outcome", false, false},
    {"RULE", "rule", false, true},       {"ATTEMPTS", "attempts", true, false},
    {"MS", "duration_ms", true, false},  {"EFFECTS", "effect_kinds", false, true},
    {"ERROR", "error", false, true}};
static const struct sh_column record_columns[] = {{"UPDATED", "updated_at", false, false},
                                                  {"ID", "id", false, true},
                                                  {"DOC", "doc", false, true}};
static const struct sh_column collection_columns[] = {{"COLLECTION", "collection", false, true}};
static const struct sh_column callback_columns[] = {
    {"ID", "short_id", false, false},   {"DUE", "due_at", false, false},
    {"STATUS", "status", false, false}, {"NUMBER", "number", false, true},
    {"NAME", "name", false, true},      {"ASSIGNEE", "assignee", false, true},
    {"REASON", "reason", false, true}};
static const struct sh_column timer_columns[] = {
    {"DUE", "due_at", false, false}, {"KIND", "kind", false, false},
    {"NAME", "name", false, true},   {"TYPE", "type", false, true},
    {"KEY", "key", false, true},     {"EVERY", "every", false, true}};
static const struct sh_column outbox_columns[] = {
    {"KIND", "kind", false, false},    {"STATE", "state", false, false},
    {"TO", "to", false, true},         {"ATTEMPTS", "attempts", true, false},
    {"NEXT", "next_at", false, false}, {"ERROR", "error", false, true},
    {"ID", "id", false, false}};

static const struct sh_column audit_columns[] = {
    {"AT", "at", false, false},         {"WHO", "who", false, true},
    {"ROLE", "role", false, false},     {"PEER", "peer", false, false},
    {"ACTION", "action", false, false}, {"TARGET", "target", false, true},
    {"DETAIL", "detail", false, true}};

#define SET(array) array, COUNT(array)

struct listing {
    struct sh_command command;
    enum sh_list_what what;
    const struct sh_column *columns;
    size_t n_columns;
    const char *nothing;
};

static const struct listing listings[] = {
    {{"events", NULL, "List stored events, oldest first.",
      "States: stored (rules have still to run, or it is kept for one that is paused), done, dead "
      "(a\n"
      "rule used up its attempts).",
      "  switchhook events --data var --state dead\n"
      "  switchhook events --id 019756a2-3c1e-7000-8000-0123456789ab",
      SET(event_options), 0, 0},
     SH_LIST_EVENTS,
     SET(event_columns),
     "No events."},
    {{"runs", NULL, "List what rules did with events, oldest first.", NULL,
      "  switchhook runs --data var --state dead", SET(run_options), 0, 0},
     SH_LIST_RUNS,
     SET(run_columns),
     "No runs."},
    {{"records", "[COLLECTION]", "List the records of a collection, or the collections.", NULL,
      "  switchhook records --data var\n  switchhook records calls --data var --json",
      SET(record_options), 0, 1},
     SH_LIST_RECORDS,
     SET(record_columns),
     "No records."},
    {{"callbacks", "[done|cancel|snooze|reassign|feed]",
      "List phone calls that a person should make.",
      "States: scheduled, snoozed, due, missed, done, cancelled; open is all but the last two.\n"
      "callbacks done ID, cancel ID, snooze ID --due 2h, reassign ID --to ADDRESS change one;\n"
      "callbacks feed ADDRESS says where an assignee's calendar is. Each has --help.",
      "  switchhook callbacks --state open\n  switchhook callbacks done 3fa2b1",
      SET(callback_options), 0, 0},
     SH_LIST_CALLBACKS,
     SET(callback_columns),
     "No callbacks."},
    {{"timers", "[cancel NAME]", "List events that will be emitted, and when clock rules run next.",
      "KIND is timer (a rule's after) or clock (a rule's every).", "  switchhook timers --json",
      SET(timer_options), 0, 0},
     SH_LIST_TIMERS,
     SET(timer_columns),
     "No timers."},
    {{"outbox", NULL, "List what leaves the machine: emails and HTTP calls, with their delivery.",
      NULL, "  switchhook outbox --data var --state dead", SET(outbox_options), 0, 0},
     SH_LIST_OUTBOX,
     SET(outbox_columns),
     "Nothing in the outbox."},
    {{"audit", NULL, "List who changed what, and when.",
      "WHO is a token's name, or the login of this machine (ROLE local).",
      "  switchhook audit --since 2h\n  switchhook audit --json --limit 0", SET(audit_options), 0,
      0},
     SH_LIST_AUDIT,
     SET(audit_columns),
     "Nobody has changed anything."},
};

/* --- rows ------------------------------------------------------------------------------------ */

struct output {
    struct sh_table *table;        /* NULL: JSON lines */
    const char *assignee;          /* NULL: any */
    const struct sh_masking *mask; /* NULL: everything is shown */
    size_t n;
};

/* "2 callback, email" is easier to read than the effects' JSON. */
static cJSON *effect_kinds(const cJSON *effects)
{
    struct sh_buf text;
    sh_buf_init(&text, 2000);
    const cJSON *fx;
    cJSON_ArrayForEach(fx, effects)
    {
        const char *kind = sh_json_string(fx, "kind");
        sh_buf_addf(&text, "%s%s", text.len ? ", " : "", kind ? kind : "?");
    }
    cJSON *out = cJSON_CreateString(text.data ? text.data : "");
    sh_buf_free(&text);
    return out;
}

static bool show_row(struct output *out, const cJSON *row)
{
    const char *assignee = sh_json_string(row, "assignee");
    if (out->assignee && (!assignee || strcasecmp(assignee, out->assignee) != 0))
        return true;
    out->n++;
    if (!out->table) {
        sh_print_json(row);
        return !ferror(stdout);
    }
    const cJSON *effects = sh_json_member(row, "effects");
    const char *id = sh_json_string(row, "id");
    cJSON *more = effects || id ? cJSON_Duplicate(row, true) : NULL;
    if (effects)
        cJSON_AddItemToObject(more, "effect_kinds", effect_kinds(effects));
    if (id) { /* enough to name a callback */
        char brief[SHORT_ID + 1];
        snprintf(brief, sizeof(brief), "%s", id);
        cJSON_AddStringToObject(more, "short_id", brief);
    }
    sh_table_add(out->table, more ? more : row);
    cJSON_Delete(more);
    return true;
}

/* A value over several lines; to be freed with cJSON_free(). Tabs, with which cJSON indents, are
 * control bytes to sh_print_text(). */
static char *spread(const cJSON *value)
{
    char *text = cJSON_Print(value);
    for (char *c = text; c && *c; c++)
        if (*c == '\t')
            *c = ' ';
    return text;
}

/* One thing asked for by id: every member on a line of its own. */
static bool show_members(struct output *out, const cJSON *row)
{
    out->n++;
    const cJSON *m;
    cJSON_ArrayForEach(m, row)
    {
        printf("%s%-12s%s ", sh_style(stdout, SH_BOLD), m->string, sh_style(stdout, SH_PLAIN));
        char *text = cJSON_IsString(m) ? NULL : spread(m);
        sh_print_text(stdout,
                      text                ? text
                      : cJSON_IsString(m) ? m->valuestring
                                          : "",
                      "             ");
        cJSON_free(text);
        printf("\n");
    }
    return true;
}

/* Blanked where that is asked for; an assignee is compared before. */
static bool masked(struct output *out, const cJSON *row,
                   bool (*fn)(struct output *out, const cJSON *row))
{
    cJSON *copy = out->mask ? cJSON_Duplicate(row, true) : NULL;
    if (copy)
        sh_mask_json(out->mask, copy);
    bool more = fn(out, copy ? copy : row);
    cJSON_Delete(copy);
    return more;
}

static bool show(void *arg, const cJSON *row)
{
    return masked(arg, row, show_row);
}

static bool show_whole(void *arg, const cJSON *row)
{
    return masked(arg, row, show_members);
}

static bool show_collections(struct sh_store_view *v, struct output *out)
{
    cJSON *names = sh_store_view_collections(v);
    const cJSON *name;
    cJSON_ArrayForEach(name, names)
    {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "collection", name->valuestring);
        (void)!show(out, row);
        cJSON_Delete(row);
    }
    cJSON_Delete(names);
    return true;
}

/* --- what is asked for ----------------------------------------------------------------------- */

static bool has_option(const struct sh_options *o, const char *name)
{
    for (size_t i = 0; i < o->command->n_options; i++)
        if (strcmp(o->command->options[i].name, name) == 0)
            return true;
    return false;
}

static const char *given(const struct sh_options *o, const char *name)
{
    return has_option(o, name) ? sh_options_get(o, name) : NULL;
}

static bool read_since(const struct sh_options *o, int64_t *since_ms)
{
    const char *text = sh_options_get(o, "since");
    int64_t ago_ms;
    if (!text || sh_time_parse(text, strlen(text), since_ms))
        return true;
    if (sh_parse_duration(text, &ago_ms)) {
        *since_ms = sh_now_ms() - ago_ms;
        return true;
    }
    sh_usage_error(o->command,
                   "--since \"%s\": expected a time such as 2026-06-12T10:00:00Z, or a duration "
                   "such as 2h",
                   text);
    return false;
}

/* A state that no row can have is a mistake, not an empty list. */
static bool check_state(const struct listing *l, const char *state)
{
    static const char *const events[] = {"stored", "done", "dead", NULL};
    static const char *const runs[] = {"done", "retry", "paused", "dead", "dropped", NULL};
    static const char *const outbox[] = {"queued", "sent", "dead", "dropped", NULL};
    static const char *const callbacks[] = {"open",   "scheduled", "snoozed",   "due",
                                            "missed", "done",      "cancelled", NULL};
    static const char *const *const known[] = {[SH_LIST_EVENTS] = events,
                                               [SH_LIST_RUNS] = runs,
                                               [SH_LIST_CALLBACKS] = callbacks,
                                               [SH_LIST_OUTBOX] = outbox};
    const char *const *one = state && l->what < COUNT(known) ? known[l->what] : NULL;
    char all[200] = "";
    for (; one && *one; one++) {
        if (strcmp(*one, state) == 0)
            return true;
        size_t n = strlen(all);
        snprintf(all + n, sizeof(all) - n, "%s%s", n ? ", " : "", *one);
    }
    if (!all[0])
        return true;
    sh_usage_error(&l->command, "--state \"%s\": expected one of %s", state, all);
    return false;
}

static bool read_query(const struct listing *l, const struct sh_options *o, bool json,
                       struct sh_list_query *q)
{
    int64_t limit = json ? 0 : FOR_PEOPLE;
    *q = (struct sh_list_query){.what = l->what,
                                .collection = l->what == SH_LIST_RECORDS ? o->args[0] : NULL,
                                .id = given(o, "id"),
                                .event_id = given(o, "event"),
                                .state = given(o, "state"),
                                .type = given(o, "type")};
    if (!sh_options_int(o, "limit", 0, 1000000000, &limit) ||
        (has_option(o, "since") && !read_since(o, &q->since_ms)) || !check_state(l, q->state))
        return false;
    q->limit = given(o, "assignee") ? 0 : (size_t)limit; /* those of others do not count */
    return true;
}

/* Where the rows come from: an engine elsewhere, the one that runs here, or, where none runs or it
 * does not answer, the data folder itself. */
static bool read_rows(struct sh_steer *s, const struct sh_list_query *q, sh_list_fn *fn,
                      struct output *out, struct sh_error *err)
{
    if (s->url)
        return sh_list_far(s, q, out->assignee, fn, out, err);
    bool answered;
    const bool told = sh_list_near(s, q, out->assignee, fn, out, &answered, err);
    if (answered)
        return told;
    struct sh_store_view *v = sh_store_view_open(s->dir, err);
    if (!v)
        return false;
    const bool collections = q->what == SH_LIST_RECORDS && !q->collection;
    const bool ok = collections ? show_collections(v, out) : sh_store_view_list(v, q, fn, out, err);
    sh_store_view_close(v);
    return ok;
}

static int print_list(const struct listing *l, struct sh_steer *s, const struct sh_list_query *q,
                      const struct sh_options *o, bool json)
{
    struct sh_error err;
    const bool mask = sh_options_get(o, "mask") || s->config.mask_exports;
    bool collections = l->what == SH_LIST_RECORDS && !q->collection;
    bool whole = q->id && !json;
    struct output out = {.assignee = given(o, "assignee"), .mask = mask ? &s->config.mask : NULL};
    if (!json && !whole)
        out.table = collections ? sh_table_new(SET(collection_columns))
                                : sh_table_new(l->columns, l->n_columns);
    bool ok = read_rows(s, q, whole ? show_whole : show, &out, &err);
    if (out.table)
        sh_table_print(out.table);
    sh_table_free(out.table);
    if (!ok)
        fprintf(stderr, "switchhook %s: %s\n", l->command.name, err.msg);
    else if (out.n == 0 && !json)
        printf("%s\n", q->id ? "Not found." : l->nothing);
    else if (!json && !whole && q->limit > 0 && out.n == q->limit)
        printf("\nThe newest %zu; --limit 0 shows all.\n", q->limit);
    return ok && !(q->id && out.n == 0) ? 0 : SH_EXIT_BAD;
}

static int list(const struct listing *l, const struct sh_options *o)
{
    struct sh_list_query q;
    struct sh_steer s;
    int code;
    bool json = sh_options_get(o, "json") != NULL;
    if (!read_query(l, o, json, &q))
        return SH_EXIT_USAGE;
    if (sh_steer_open(&s, o, &code))
        code = print_list(l, &s, &q, o, json);
    sh_steer_close(&s);
    return code;
}

int sh_cmd_list(int argc, char **argv)
{
    const struct listing *l = NULL;
    for (size_t i = 0; i < COUNT(listings); i++)
        if (strcmp(listings[i].command.name, argv[0]) == 0)
            l = &listings[i];
    sh_require(l);
    struct sh_options o;
    int code = sh_options_parse(&l->command, argc, argv, &o);
    if (code < 0)
        code = list(l, &o);
    sh_options_clear(&o);
    return code;
}
