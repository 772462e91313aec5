/* SPDX-License-Identifier: MIT
 * cmd_try.c: a dry run of rules on events, in the simulator. */
#include "app/app.h"

#include "app/config.h"
#include "app/input.h"
#include "app/options.h"
#include "app/print.h"
#include "app/rules.h"
#include "app/sim_replies.h"
#include "app/simulator.h"
#include "app/units.h"
#include "base/clock.h"
#include "base/zone.h"
#include "svc/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct sh_option options[] = {
    {"scripts", "DIR", "scripts folder (default: scripts beside RULE_DIR, if it is there)"},
    {"config", "FILE", "configuration (default: switchhook.lua here, else the installed one)"},
    {"source", "NAME",
     "the source that the events come from (default: by a request's path, else the only one, or "
     "webphone)"},
    {"now", "TIME", "where the clock stands, as 2026-06-12T10:04:21Z (default: now)"},
    {"advance", "DURATION",
     "then let this much time pass, such as 2h: timers and callbacks fall due"},
    {"replies", "FILE",
     "what http.get finds: [{\"url\":\"https://*\",\"status\":200,\"json\":{}}]"},
    {"json", NULL, "one JSON object a line: each event, then what is stored at the end"},
};
static const struct sh_command command = {
    .name = "try",
    .args = "RULE_DIR EVENT.json...",
    .summary = "Dry run: what the rules would do with these events. Nothing leaves the machine.",
    .details =
        "Says for each event which rules matched, which did not and why, the effects as they\n"
        "would be committed, log lines and errors, then the records, callbacks and emails that\n"
        "would be there at the end. Events are handled in the order given, on an empty store.\n"
        "EVENT may be - for standard input (one value, or JSON lines) or a .jsonl file, where\n"
        "{\"@advance\":\"15m\"} lets time pass between two events, or a .http file: a request "
        "with\n"
        "its path and headers (`POST /hooks/github`, `X-GitHub-Event: push`, an empty line, the "
        "body).\n"
        "Exit code 1 if a rule does not load, an event is refused, or a run fails.",
    .example = "  switchhook try rules examples/webphone/call_stop.json\n"
               "  switchhook try rules day.jsonl --now 2026-06-12T17:55:00Z --json\n"
               "  switchhook try rules missed.json --advance 2h",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .min_args = 2,
    .max_args = -1,
};

struct attempt {
    struct sh_options o;
    struct sh_config config;
    const struct sh_source_config *source;
    struct sh_inputs inputs;
    struct sh_generation *generation;
    struct sh_simulator *sim;
    cJSON *replies;
    int64_t now_ms, advance_ms;
    bool json, bad;
};

/* --- for people ------------------------------------------------------------------------------ */

static const char *text_of(const cJSON *o, const char *name)
{
    const char *s = sh_json_string(o, name);
    return s ? s : "";
}

static void print_value(const cJSON *value, const char *indent)
{
    struct sh_buf text;
    sh_buf_init(&text, SH_MAX_INPUT_BYTES);
    if (cJSON_IsString(value))
        sh_buf_adds(&text, value->valuestring);
    else if (!sh_json_print(value, &text))
        sh_buf_adds(&text, "(not shown: too large)");
    sh_buf_addc(&text, '\0');
    sh_print_text(stdout, text.data, indent);
    sh_buf_free(&text);
}

/* {"kind":"callback","number":..}: the kind, then a member a line. */
static void print_effect(const cJSON *fx)
{
    printf("    %s%s%s\n", sh_style(stdout, SH_BOLD), text_of(fx, "kind"),
           sh_style(stdout, SH_PLAIN));
    const cJSON *m;
    cJSON_ArrayForEach(m, fx)
    {
        if (strcmp(m->string, "kind") == 0 || cJSON_IsNull(m))
            continue;
        printf("      %-10s ", m->string);
        print_value(m, "                 ");
        printf("\n");
    }
}

static void print_run(const cJSON *run)
{
    const char *outcome = text_of(run, "outcome");
    bool done = strcmp(outcome, "done") == 0, failed = strcmp(outcome, "failed") == 0;
    int64_t line = 0;
    (void)!sh_json_get_int(sh_json_member(run, "line"), &line);
    printf("  %s%-7s%s ",
           sh_style(stdout, done     ? SH_GREEN
                            : failed ? SH_RED
                                     : SH_DIM),
           done     ? "done"
           : failed ? "failed"
                    : "skipped",
           sh_style(stdout, SH_PLAIN));
    bool every = strcmp(text_of(run, "rule"), SH_RULE_ALL) == 0;
    sh_print_text(stdout, every ? "every rule" : text_of(run, "rule"), "");
    if (every)
        printf("\n");
    else if (done || failed)
        printf("  %s%s:%" PRId64 "%s\n", sh_style(stdout, SH_DIM), text_of(run, "file"), line,
               sh_style(stdout, SH_PLAIN));
    else
        printf(": ");
    const char *why = sh_json_string(run, failed ? "error" : "why");
    if (why) {
        printf("%s", failed ? "    " : "");
        sh_print_text(stdout, why, "    ");
        printf("\n");
    }
    const cJSON *item;
    cJSON_ArrayForEach(item, sh_json_member(run, "effects")) print_effect(item);
    cJSON_ArrayForEach(item, sh_json_member(run, "logs"))
    {
        printf("    log %s: ", text_of(item, "level"));
        sh_print_text(stdout, text_of(item, "text"), "      ");
        printf("\n");
    }
}

static void print_refused(const struct sh_input *in, const cJSON *refused)
{
    int64_t line = 0, column = 0;
    printf("%s%s", in ? in->name : "later", sh_style(stdout, SH_RED));
    if (in && sh_json_get_int(sh_json_member(refused, "line"), &line) &&
        sh_json_get_int(sh_json_member(refused, "column"), &column))
        in->is_line ? printf(":%" PRId64, column) : printf(":%" PRId64 ":%" PRId64, line, column);
    printf(": refused%s: %s: ", sh_style(stdout, SH_PLAIN), text_of(refused, "code"));
    sh_print_text(stdout, text_of(refused, "message"), "  ");
    printf("\n\n");
}

/* Where an event comes from, for people. in: NULL when it fell due as time passed. */
static const char *origin(const struct sh_input *in, const cJSON *event)
{
    if (!in)
        return sh_json_string(event, "at") ? sh_json_string(event, "at") : "later";
    return sh_json_string(event, "cause") ? "emitted" : in->name;
}

static void print_entry(const struct sh_input *in, const cJSON *entry)
{
    const cJSON *event = sh_json_member(entry, "event"), *refused, *run;
    if ((refused = sh_json_member(entry, "refused")) != NULL) {
        print_refused(in, refused);
        return;
    }
    const char *key = text_of(event, "key");
    printf("%s%s%s: ", sh_style(stdout, SH_BOLD), origin(in, event), sh_style(stdout, SH_PLAIN));
    sh_print_text(stdout, text_of(event, "type"), "");
    printf("%s", *key ? ", key " : "");
    sh_print_text(stdout, key, "");
    printf(", event %s\n", text_of(event, "id"));
    if (sh_json_member(entry, "duplicate"))
        printf("  a repeat of that event: nothing happens\n");
    else if (!sh_json_member(entry, "runs") || !sh_json_member(entry, "runs")->child)
        printf("  no rules\n");
    cJSON_ArrayForEach(run, sh_json_member(entry, "runs")) print_run(run);
    printf("\n");
}

static void print_rows(const char *title, const cJSON *rows)
{
    if (!rows || !rows->child)
        return;
    printf("%s%s%s\n", sh_style(stdout, SH_BOLD), title, sh_style(stdout, SH_PLAIN));
    const cJSON *row;
    cJSON_ArrayForEach(row, rows)
    {
        const cJSON *doc = sh_json_member(row, "doc");
        printf("  ");
        sh_print_text(stdout, doc ? text_of(row, "id") : "", "");
        printf("%s", doc ? " " : "");
        print_value(doc ? doc : row, "  ");
        printf("\n");
    }
    printf("\n");
}

static void print_world(const cJSON *world)
{
    const cJSON *c;
    cJSON_ArrayForEach(c, sh_json_member(world, "records"))
    {
        char *title = sh_strf("Records in %s", c->string);
        print_rows(title, c);
        free(title);
    }
    print_rows("Callbacks", sh_json_member(world, "callbacks"));
    print_rows("Outbox", sh_json_member(world, "outbox"));
    print_rows("Timers", sh_json_member(world, "timers"));
}

/* --- the run --------------------------------------------------------------------------------- */

static bool entry_is_bad(const cJSON *entry)
{
    const cJSON *run;
    cJSON_ArrayForEach(run, sh_json_member(entry, "runs"))
    {
        if (strcmp(text_of(run, "outcome"), "failed") == 0)
            return true;
    }
    return sh_json_member(entry, "refused") != NULL;
}

/* in: NULL when it fell due as time passed. */
static void report(struct attempt *a, const struct sh_input *in, cJSON *entry)
{
    cJSON *event = cJSON_GetObjectItemCaseSensitive(entry, "event");
    a->bad |= entry_is_bad(entry);
    if (!a->json) {
        print_entry(in, entry);
        return;
    }
    if (in && (!event || !sh_json_member(event, "cause")))
        cJSON_AddStringToObject(event ? event : entry, "file", in->name);
    sh_print_json(entry);
}

static void let_time_pass(struct attempt *a, int64_t ms)
{
    cJSON *entries = sh_simulator_advance_ms(a->sim, ms);
    cJSON *entry;
    cJSON_ArrayForEach(entry, entries) report(a, NULL, entry);
    cJSON_Delete(entries);
}

/* {"@advance":"15m"}: *ms. False: an event like any other. */
static bool is_advance(const struct sh_input *in, int64_t *ms)
{
    const struct sh_slice body = in->sent.body;
    if (body.n > 200 || !memmem(body.p, body.n, "\"@advance\"", 10))
        return false;
    cJSON *tree = sh_json_parse(body.p, body.n, NULL);
    const char *text = sh_json_string(tree, "@advance");
    bool ok = text && tree->child && !tree->child->next && sh_parse_duration(text, ms);
    cJSON_Delete(tree);
    return ok;
}

/* Of a request whose path says it; the one that is meant otherwise. */
static const struct sh_source_config *source_by_path(const struct attempt *a,
                                                     const struct sh_input *in)
{
    return sh_sent_source(&in->sent, &a->config);
}

static void run_input(struct attempt *a, const struct sh_input *in)
{
    int64_t ms;
    if (is_advance(in, &ms)) {
        let_time_pass(a, ms);
        return;
    }
    const struct sh_source_config *source = a->source ? a->source : source_by_path(a, in);
    cJSON *entries = sh_simulator_send(a->sim, source, &in->sent, a->config.body_bytes);
    cJSON *entry;
    cJSON_ArrayForEach(entry, entries) report(a, in, entry);
    cJSON_Delete(entries);
}

static void run_all(struct attempt *a)
{
    for (size_t i = 0; i < a->inputs.n; i++)
        run_input(a, &a->inputs.items[i]);
    if (a->advance_ms > 0)
        let_time_pass(a, a->advance_ms);
    cJSON *world = sh_simulator_world(a->sim);
    if (a->json)
        sh_print_json(world);
    else
        print_world(world);
    cJSON_Delete(world);
}

/* --- what is asked for ----------------------------------------------------------------------- */

/* Does each event say by its path whose it is? */
static bool paths_say(const struct attempt *a)
{
    int64_t ms;
    for (size_t i = 0; i < a->inputs.n; i++)
        if (!is_advance(&a->inputs.items[i], &ms) && !source_by_path(a, &a->inputs.items[i]))
            return false;
    return true;
}

static bool choose_source(struct attempt *a, struct sh_error *err)
{
    const char *name = sh_options_get(&a->o, "source");
    if (!name && a->config.n_sources > 1 && paths_say(a))
        return true;
    if (!name && a->config.n_sources == 1)
        a->source = &a->config.sources[0];
    else
        a->source = sh_config_source(&a->config, name ? name : "webphone");
    if (a->source)
        return true;
    char all[400] = "";
    for (size_t i = 0; a->config.sources && i < a->config.n_sources; i++) {
        size_t n = strlen(all);
        snprintf(all + n, sizeof(all) - n, "%s%s", i ? ", " : "", a->config.sources[i].source.name);
    }
    return name ? sh_error_set(err, SH_ENOTFOUND, "no source \"%s\"; configured: %s", name, all)
                : sh_error_set(err, SH_EINVAL, "say which source with --source: %s", all);
}

static bool read_replies(struct attempt *a, struct sh_error *err)
{
    const char *path = sh_options_get(&a->o, "replies");
    struct sh_inputs in = {0};
    if (!path)
        return true;
    bool ok = sh_inputs_add(&in, path, err) && in.n == 1 &&
              (a->replies = sh_json_parse(in.items[0].sent.body.p, in.items[0].sent.body.n, err)) !=
                  NULL &&
              sh_sim_replies_check(a->replies, err);
    if (!ok) {
        struct sh_error why = *err;
        sh_error_set(err, SH_EINVAL, "--replies %s: %s", path, why.msg);
    }
    sh_inputs_clear(&in);
    return ok;
}

static bool prepare(struct attempt *a, struct sh_error *err)
{
    cJSON *faults;
    bool ok = sh_config_load(sh_options_get(&a->o, "config"), &a->config, &faults);
    sh_config_print_faults(faults);
    cJSON_Delete(faults);
    if (!ok)
        return sh_error_set(err, SH_EINVAL, "the configuration has faults");
    for (int i = 1; i < a->o.n_args; i++)
        if (!sh_inputs_add(&a->inputs, a->o.args[i], err))
            return false;
    if (!choose_source(a, err) || !read_replies(a, err))
        return false;
    a->generation = sh_rules_read(a->o.args[0], sh_options_get(&a->o, "scripts"), err);
    return a->generation != NULL;
}

static bool load(struct attempt *a, struct sh_error *err)
{
    const struct sh_simulator_config config = {.generation = a->generation,
                                               .budgets = a->config.budgets,
                                               .start_ms = a->now_ms,
                                               .retry_ms = a->config.retry_ms,
                                               .n_retry = a->config.n_retry,
                                               .settings = &a->config.settings,
                                               .replies = a->replies,
                                               .callback_email = a->config.callback_email,
                                               .callback_missed_ms = a->config.callback_missed_ms};
    cJSON *loaded;
    a->sim = sh_simulator_new(&config, &loaded, err);
    if (!a->json)
        sh_rules_print_faults(stderr, loaded, a->o.args[0], sh_options_get(&a->o, "scripts"));
    else if (!a->sim)
        sh_print_json(loaded);
    cJSON_Delete(loaded);
    return a->sim != NULL;
}

static int go(struct attempt *a)
{
    struct sh_error err;
    const char *now = sh_options_get(&a->o, "now");
    a->json = sh_options_get(&a->o, "json") != NULL;
    a->now_ms = sh_now_ms();
    if (now && !sh_time_parse(now, strlen(now), &a->now_ms))
        return sh_usage_error(&command,
                              "--now \"%s\": expected a time such as "
                              "2026-06-12T10:04:21Z or 2026-06-12T12:04:21+02:00",
                              now);
    const char *advance = sh_options_get(&a->o, "advance");
    if (advance && (!sh_parse_duration(advance, &a->advance_ms) || a->advance_ms < 0))
        return sh_usage_error(&command, "--advance \"%s\": expected a duration such as 2h",
                              advance);
    sh_zones_load(NULL);
    if (!prepare(a, &err) || !load(a, &err)) {
        fprintf(stderr, "switchhook try: %s\n", err.msg);
        return SH_EXIT_BAD;
    }
    run_all(a);
    return a->bad ? SH_EXIT_BAD : 0;
}

int sh_cmd_try(int argc, char **argv)
{
    struct attempt a = {0};
    int code = sh_options_parse(&command, argc, argv, &a.o);
    if (code < 0)
        code = go(&a);
    sh_simulator_free(a.sim);
    sh_generation_free(a.generation);
    sh_inputs_clear(&a.inputs);
    cJSON_Delete(a.replies);
    sh_config_clear(&a.config);
    sh_options_clear(&a.o);
    return code;
}
