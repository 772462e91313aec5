/* SPDX-License-Identifier: MIT
 * cmd_rules.c: `switchhook rules`: which rules there are and how they stand; pause one, resume it.
 * Through the running engine, or on the store when none runs. */
#include "app/app.h"

#include "app/config.h"
#include "app/options.h"
#include "app/print.h"
#include "app/rules.h"
#include "app/steer.h"
#include "app/suggest.h"
#include "core/store.h"
#include "svc/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 30000

#define JSON_OPTION                                                                                \
    {                                                                                              \
        "json", NULL, "one JSON object a line"                                                     \
    }

static const struct sh_option list_options[] = {SH_STEER_OPTIONS, JSON_OPTION};
static const struct sh_option set_options[] = {
    SH_STEER_OPTIONS, JSON_OPTION, {"by", "NAME", "who does it (default: the user's login)"}};

#define SET(array) array, sizeof(array) / sizeof((array)[0])

static const struct sh_command commands[] = {
    {"rules", "[list | pause NAME | resume NAME]",
     "List the rules that are live, and those that are paused.",
     "STATE is on, paused (its events are kept for it) or resuming (what was kept goes again).\n"
     "FAILURES: in a row. KEPT: runs that wait for the rule to be resumed.",
     "  switchhook rules\n"
     "  switchhook rules pause \"Missed call\"\n"
     "  switchhook rules resume \"Missed call\"",
     SET(list_options), 0, 0},
    {"rules pause", "NAME", "Pause a rule: its events are kept for it until it is resumed.",
     "Other rules run on. A running engine holds to it at once.",
     "  switchhook rules pause \"Missed call\"", SET(set_options), 1, 1},
    {"rules resume", "NAME", "Resume a paused rule: what was kept for it goes again, oldest first.",
     "A running engine begins at once; without one, it happens when the engine starts. A rule that "
     "goes on failing is paused again, and the rest stays "
     "kept.",
     "  switchhook rules resume \"Missed call\"", SET(set_options), 1, 1},
};

static const struct sh_column columns[] = {
    {"RULE", "rule", false, true},         {"STATE", "state", false, false},
    {"FAILURES", "failures", true, false}, {"KEPT", "kept", true, false},
    {"SINCE", "since", false, false},      {"BY", "by", false, false},
    {"ON", "types", false, true},          {"WHERE", "where", false, false},
    {"ERROR", "error", false, true}};

/* --- what there is --------------------------------------------------------------------------- */

struct known {
    cJSON *rows;   /* of every rule: the live ones in the order of their files, then the others */
    bool complete; /* false: some files of the live rule set do not load here */
};

/* A live rule of which the store has nothing to say. */
static cJSON *live_row(const cJSON *rule)
{
    const char *name = sh_json_string(rule, "name");
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "rule", name ? name : "");
    cJSON_AddBoolToObject(row, "live", true);
    static const char *const same[] = {"file", "line", "on", "every"};
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        const cJSON *value = sh_json_member(rule, same[i]);
        cJSON_AddItemToObject(row, same[i],
                              value ? cJSON_Duplicate(value, true) : cJSON_CreateNull());
    }
    cJSON_AddStringToObject(row, "state", "on");
    cJSON_AddNumberToObject(row, "failures", 0);
    cJSON_AddNumberToObject(row, "kept", 0);
    cJSON_AddNullToObject(row, "since");
    cJSON_AddNullToObject(row, "by");
    cJSON_AddNullToObject(row, "error");
    cJSON_AddNullToObject(row, "event_id");
    return row;
}

static cJSON *find_row(const struct known *k, const char *name)
{
    cJSON *row;
    cJSON_ArrayForEach(row, k->rows)
    {
        if (strcmp(sh_json_string(row, "rule"), name) == 0)
            return row;
    }
    return NULL;
}

/* What the store says of a rule into its row. One that is not live any more matters only if it is
 * paused. */
static bool add_stored(void *arg, const cJSON *stored)
{
    struct known *k = arg;
    const char *name = sh_json_string(stored, "rule"), *state = sh_json_string(stored, "state");
    cJSON *row = find_row(k, name);
    if (!row && strcmp(state, "on") == 0)
        return true;
    if (!row) {
        row = live_row(NULL);
        cJSON_ReplaceItemInObjectCaseSensitive(row, "live", cJSON_CreateBool(false));
        cJSON_AddItemToArray(k->rows, row);
    }
    const cJSON *member;
    cJSON_ArrayForEach(member, stored)
        cJSON_ReplaceItemInObjectCaseSensitive(row, member->string, cJSON_Duplicate(member, true));
    return true;
}

/* The rules of the generation that went live last, as loaded here. */
static void add_live(struct known *k, struct sh_store_view *v, const struct sh_config *c)
{
    struct sh_error err;
    cJSON *report = NULL;
    const cJSON *rule;
    struct sh_generation *g = sh_store_view_generation(v, "live", &err);
    k->complete = g && sh_rules_load(g, &c->budgets, &c->settings, &report);
    cJSON_ArrayForEach(rule, sh_json_member(report, "rules"))
        cJSON_AddItemToArray(k->rows, live_row(rule));
    if (!g)
        fprintf(stderr, "switchhook rules: no rule set has gone live on this store yet\n");
    else if (!k->complete)
        fprintf(stderr, "switchhook rules: some files of the live rule set do not load here (is a "
                        "secret or the configuration missing?); their rules are not listed\n");
    cJSON_Delete(report);
    sh_generation_free(g);
}

static bool read_known(struct known *k, const char *dir, const struct sh_config *c,
                       struct sh_error *err)
{
    const struct sh_list_query query = {.what = SH_LIST_RULES};
    struct sh_store_view *v = sh_store_view_open(dir, err);
    *k = (struct known){.rows = cJSON_CreateArray()};
    if (!v)
        return false;
    add_live(k, v, c);
    bool ok = sh_store_view_list(v, &query, add_stored, k, err);
    sh_store_view_close(v);
    return ok;
}

/* --- the list -------------------------------------------------------------------------------- */

static void add_types(struct sh_buf *out, const cJSON *row)
{
    const cJSON *one;
    const char *every = sh_json_string(row, "every");
    cJSON_ArrayForEach(one, sh_json_member(row, "on"))
    {
        sh_buf_adds(out, out->len ? ", " : "");
        sh_buf_adds(out, cJSON_IsString(one) ? one->valuestring : "?");
    }
    if (every)
        sh_buf_addf(out, "%severy %s", out->len ? ", " : "", every);
}

/* The columns that are made for people. */
static void add_for_people(cJSON *row)
{
    struct sh_buf types;
    const char *file = sh_json_string(row, "file");
    int64_t line = 0;
    sh_buf_init(&types, 65536);
    add_types(&types, row);
    (void)!sh_json_get_int(sh_json_member(row, "line"), &line);
    char *where = file ? sh_strf("%s:%" PRId64, file, line) : sh_strdup("not live");
    cJSON_AddStringToObject(row, "types", types.data ? types.data : "");
    cJSON_AddStringToObject(row, "where", where);
    free(where);
    sh_buf_free(&types);
}

static void print_rows(const struct known *k, bool json)
{
    cJSON *row;
    struct sh_table *t = sh_table_new(SET(columns));
    cJSON_ArrayForEach(row, k->rows)
    {
        if (json) {
            sh_print_json(row);
            continue;
        }
        add_for_people(row);
        sh_table_add(t, row);
    }
    sh_table_print(t);
    if (!json && sh_table_rows(t) == 0)
        printf("No rules.\n");
    sh_table_free(t);
}

static int list(const struct sh_options *o, const struct sh_config *c, const char *dir)
{
    struct known k;
    struct sh_error err;
    bool ok = read_known(&k, dir, c, &err);
    if (ok)
        print_rows(&k, sh_options_get(o, "json") != NULL);
    else
        fprintf(stderr, "switchhook rules: %s\n", err.msg);
    cJSON_Delete(k.rows);
    return ok ? 0 : SH_EXIT_BAD;
}

/* Of an engine elsewhere: as it says. */
static int list_far(struct sh_steer *s, const struct sh_options *o)
{
    struct known k;
    struct sh_error err;
    cJSON *answer;
    if (!sh_steer_ask(s, "GET", "/api/v1/rules", NULL, PATIENCE_MS, &answer, &err)) {
        fprintf(stderr, "switchhook rules: %s\n", err.msg);
        return SH_EXIT_BAD;
    }
    k.rows = cJSON_DetachItemFromObject(answer, "items");
    print_rows(&k, sh_options_get(o, "json") != NULL);
    cJSON_Delete(k.rows);
    cJSON_Delete(answer);
    return 0;
}

/* --- pause and resume ------------------------------------------------------------------------ */

static bool check_name(const struct known *k, const char *name)
{
    if (find_row(k, name) || !k->complete)
        return true;
    size_t n = 0;
    const char **names = sh_alloc((size_t)cJSON_GetArraySize(k->rows) + 1, sizeof(*names));
    const cJSON *row;
    cJSON_ArrayForEach(row, k->rows) names[n++] = sh_json_string(row, "rule");
    const char *near = sh_suggest(name, names, n);
    fprintf(stderr, "switchhook rules: there is no rule \"");
    sh_print_text(stderr, name, NULL);
    fprintf(stderr, "\"");
    if (near) {
        fprintf(stderr, "; did you mean \"");
        sh_print_text(stderr, near, NULL);
        fprintf(stderr, "\"?");
    }
    fprintf(stderr, "\nTry: switchhook rules\n");
    free(names);
    return false;
}

static void print_change(const char *rule, const cJSON *answer)
{
    int64_t kept = 0;
    const char *was = sh_json_string(answer, "was"), *state = sh_json_string(answer, "state");
    (void)!sh_json_get_int(sh_json_member(answer, "kept"), &kept);
    if (!was || !state)
        return;
    sh_print_text(stdout, rule, NULL);
    if (strcmp(was, state) == 0)
        printf(": is %s already; %" PRId64 " %s kept.\n", state, kept, kept == 1 ? "run" : "runs");
    else if (strcmp(state, "paused") == 0)
        printf(": paused; %" PRId64 " %s kept so far.\n", kept, kept == 1 ? "run" : "runs");
    else
        printf(": resumed; %" PRId64 " %s, oldest first%s.\n", kept,
               kept == 1 ? "kept run goes again" : "kept runs go again",
               kept ? " (without a running engine: when it starts)" : "");
}

/* Before anything is asked: the engine knows, but the store alone does not. */
static bool is_known(struct sh_steer *s, const char *rule, struct sh_error *err, bool *known)
{
    struct known k;
    *known = true;
    if (s->url)
        return true;
    bool ok = read_known(&k, s->dir, &s->config, err);
    *known = ok && check_name(&k, rule);
    cJSON_Delete(k.rows);
    return ok;
}

static int set(struct sh_steer *s, const struct sh_options *o, bool pause)
{
    struct sh_error err;
    bool known;
    const char *by = sh_options_get(o, "by"), *rule = o->args[0];
    cJSON *answer = NULL, *body = cJSON_CreateObject();
    if (by)
        cJSON_AddStringToObject(body, "by", by);
    bool ok = is_known(s, rule, &err, &known) &&
              (!known ||
               sh_steer_change(s, pause ? "rule.pause" : "rule.resume", rule, body, &answer, &err));
    cJSON_Delete(body);
    if (!ok) {
        fprintf(stderr, "switchhook rules: ");
        sh_print_text(stderr, err.msg, NULL);
        fprintf(stderr, "\n");
    } else if (known && sh_options_get(o, "json")) {
        sh_print_json(answer);
    } else if (known) {
        print_change(rule, answer);
    }
    cJSON_Delete(answer);
    return ok && known ? 0 : SH_EXIT_BAD;
}

/* --- the command ----------------------------------------------------------------------------- */

static int go(const struct sh_options *o)
{
    struct sh_steer s;
    int code;
    if (sh_steer_open(&s, o, &code)) {
        if (o->command == &commands[0])
            code = s.url ? list_far(&s, o) : list(o, &s.config, s.dir);
        else
            code = set(&s, o, o->command == &commands[1]);
    }
    sh_steer_close(&s);
    return code;
}

int sh_cmd_rules(int argc, char **argv)
{
    static const char *const words[] = {"list", "pause", "resume"};
    size_t which = 0, skip = 0;
    for (size_t i = 0; argc > 1 && i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(argv[1], words[i]) == 0) {
            which = i;
            skip = 1;
        }
    struct sh_options o;
    int code = sh_options_parse(&commands[which], argc - (int)skip, argv + skip, &o);
    if (code < 0)
        code = go(&o);
    sh_options_clear(&o);
    return code;
}
