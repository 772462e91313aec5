/* SPDX-License-Identifier: MIT
 * playground_work.c: an attempt, or why rules did what they did, in the simulator. */
#include "app/playground_work.h"

#include "app/simulator.h"
#include "app/why.h"
#include "base/clock.h"
#include "core/trace.h"
#include "svc/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RETRIES 100

static int64_t int_of(const cJSON *o, const char *name)
{
    int64_t n = 0;
    return sh_json_get_int(sh_json_member(o, name), &n) ? n : 0;
}

static bool is_true(const cJSON *o, const char *name)
{
    return cJSON_IsTrue(sh_json_member(o, name));
}

static void set_text(cJSON *o, const char *name, const char *text)
{
    cJSON_DeleteItemFromObjectCaseSensitive(o, name);
    cJSON_AddStringToObject(o, name, text);
}

cJSON *sh_play_error(const char *code, const char *message)
{
    cJSON *o = cJSON_CreateObject(), *error = cJSON_AddObjectToObject(o, "error");
    cJSON_AddStringToObject(error, "code", code);
    cJSON_AddStringToObject(error, "message", message);
    return o;
}

static bool is_held(const struct sh_play_in *in, const char *rule)
{
    const cJSON *name;
    cJSON_ArrayForEach(name, sh_json_member(in->what, "held"))
    {
        if (cJSON_IsString(name) && rule && strcmp(name->valuestring, rule) == 0)
            return true;
    }
    return false;
}

static struct sh_simulator *start(const struct sh_play_in *in, cJSON **report, struct sh_error *err)
{
    const cJSON *list = sh_json_member(in->what, "retry_ms"), *delay;
    int64_t retry_ms[MAX_RETRIES];
    size_t n = 0;
    cJSON_ArrayForEach(delay, list)
    {
        if (n < MAX_RETRIES && sh_json_get_int(delay, &retry_ms[n]))
            n++;
    }
    const struct sh_simulator_config config = {
        .generation = in->generation,
        .budgets = *in->budgets,
        .start_ms = int_of(in->what, "now_ms"),
        .retry_ms = retry_ms,
        .n_retry = n,
        .settings = in->settings,
        .replies = sh_json_member(in->what, "replies"),
        .callback_email = is_true(in->what, "callback_email"),
        .callback_missed_ms = int_of(in->what, "callback_missed_ms"),
        .rule = sh_json_string(in->what, "rule"),
        .pulse = in->pulse,
        .lock = in->lock,
        .lock_arg = in->lock_arg,
    };
    return sh_simulator_new(&config, report, err);
}

/* --- an attempt ------------------------------------------------------------------------------ */

static cJSON *send(const struct sh_play_in *in, struct sh_simulator *s,
                   const struct sh_source_config *source, const cJSON *step)
{
    const size_t n = (size_t)int_of(step, "body");
    const char *path = sh_json_string(in->what, "path");
    struct sh_sent sent = {.body = n < in->n_bodies ? in->bodies[n] : (struct sh_slice){0},
                           .path = sh_strdup(path)};
    struct sh_source_config as = *source;
    const cJSON *header;
    if (!is_true(step, "is_text")) /* an event's JSON, whatever the source's bodies are */
        as.source.format = SH_BODY_JSON;
    cJSON_ArrayForEach(header, sh_json_member(in->what, "headers"))
    {
        if (!sh_sent_add(&sent, sh_slice_str(header->string), sh_slice_str(header->valuestring)))
            break; /* the engine has looked at them */
    }
    cJSON *entries = sh_simulator_send(s, &as, &sent, int_of(in->what, "max_bytes"));
    sh_sent_clear(&sent);
    return entries;
}

/* What the simulator says of each run, with the lines of its condition. */
static void explain(const struct sh_play_in *in, cJSON *entry)
{
    cJSON *run;
    cJSON_ArrayForEach(run, cJSON_GetObjectItemCaseSensitive(entry, "runs"))
    {
        sh_why_source(cJSON_GetObjectItemCaseSensitive(run, "when"), in->generation);
        if (is_held(in, sh_json_string(run, "rule")))
            cJSON_AddTrueToObject(run, "paused");
    }
}

static void add_all(const struct sh_play_in *in, cJSON *to, cJSON *entries)
{
    cJSON *entry;
    while ((entry = cJSON_DetachItemFromArray(entries, 0)) != NULL) {
        explain(in, entry);
        cJSON_AddItemToArray(to, entry);
    }
    cJSON_Delete(entries);
}

/* The one event that there is was refused: that is the answer. */
static cJSON *refusal(const struct sh_play_in *in, cJSON *answer)
{
    const cJSON *entries = sh_json_member(answer, "entries");
    cJSON *refused = entries && entries->child
                         ? cJSON_GetObjectItemCaseSensitive(entries->child, "refused")
                         : NULL;
    if (!refused || !is_true(in->what, "single"))
        return NULL;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddItemToObject(o, "error", cJSON_Duplicate(refused, true));
    return o;
}

static cJSON *try(const struct sh_play_in *in, struct sh_simulator *s, int *status)
{
    struct sh_source_config source;
    cJSON *answer = cJSON_CreateObject(), *refused;
    const cJSON *step;
    cJSON_AddStringToObject(answer, "generation", in->generation->id);
    cJSON *entries = cJSON_AddArrayToObject(answer, "entries");
    sh_play_read_source(sh_json_member(in->what, "source"), &source);
    cJSON_ArrayForEach(step, sh_json_member(in->what, "steps"))
    {
        if (sh_json_member(step, "body"))
            add_all(in, entries, send(in, s, &source, step));
        else
            add_all(in, entries, sh_simulator_advance_ms(s, int_of(step, "advance_ms")));
    }
    sh_play_source_clear(&source);
    refused = refusal(in, answer);
    if (!refused) {
        cJSON_AddItemToObject(answer, "world", sh_simulator_world(s));
        return answer;
    }
    *status = 400;
    cJSON_Delete(answer);
    return refused;
}

/* --- why ------------------------------------------------------------------------------------- */

static void read_event(const struct sh_play_in *in, struct sh_event *e)
{
    const cJSON *o = sh_json_member(in->what, "event");
    const char *id = sh_json_string(o, "id"), *trace = sh_json_string(o, "trace");
    if (!id || !sh_id_parse(id, strlen(id), &e->id))
        e->id = (struct sh_id){0};
    e->source = sh_strdup(sh_json_string(o, "source"));
    e->type = sh_strdup(sh_json_string(o, "type"));
    e->key = sh_strdup(sh_json_string(o, "key"));
    e->received_ms = int_of(o, "received_ms");
    e->due_ms = int_of(o, "due_ms");
    e->occurred_ms = int_of(o, "occurred_ms");
    e->format = (enum sh_body_format)int_of(o, "format");
    if (trace && strlen(trace) == SH_TRACE_ID_BYTES) /* rules see the id alone */
        e->trace = sh_strf("00-%s-0000000000000001-00", trace);
    if (in->n_bodies) {
        e->body = sh_slice_dup(in->bodies[0]);
        e->body_len = in->bodies[0].n;
    }
}

static const cJSON *run_of(const struct sh_play_in *in, const char *rule)
{
    const cJSON *run;
    cJSON_ArrayForEach(run, sh_json_member(in->what, "runs"))
    {
        const char *name = sh_json_string(run, "rule");
        if (name && rule && strcmp(name, rule) == 0)
            return run;
    }
    return NULL;
}

static void add_run(cJSON *item, const cJSON *run)
{
    static const char *const names[] = {"event_id",    "rule",       "generation",
                                        "outcome",     "attempts",   "error",
                                        "duration_ms", "started_at", "next_at"};
    cJSON *o = cJSON_AddObjectToObject(item, "run");
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const cJSON *member = sh_json_member(run, names[i]);
        if (member)
            cJSON_AddItemToObject(o, names[i], cJSON_Duplicate(member, true));
    }
}

/* The sentence, once the values are masked; NULL: the one that is there stays. */
static char *sentence(const cJSON *item, const char *outcome)
{
    const cJSON *when = sh_json_member(item, "when");
    const char *returned = sh_json_string(when, "returned");
    if (strcmp(outcome, "paused") == 0)
        return sh_strdup("the rule is paused: the event is kept for it until it is resumed");
    if (!when && !sh_json_string(item, "why"))
        return sh_strdup("the rule has no condition (when): it runs on every event of its types");
    if (!when)
        return NULL;
    char *base =
        sh_strf("when %s%s (%s:%d)", returned ? "returned " : "raised an error",
                returned ? returned : "", sh_json_string(when, "file"), (int)int_of(when, "line"));
    char *text = sh_why_text(base, when);
    free(base);
    return text;
}

#define NOTE_READS                                                                                 \
    "the condition was asked now, without the records of that time: what it reads of them is "     \
    "absent here"

static void add_note(cJSON *item, const char *looked, const cJSON *run)
{
    const bool no = strcmp(looked, "skipped_when") == 0 || strcmp(looked, "skipped_on") == 0;
    if (sh_why_has_read(sh_json_member(item, "when")))
        cJSON_AddStringToObject(item, "note", NOTE_READS);
    else if (run && no)
        cJSON_AddStringToObject(item, "note",
                                "the rule has a run on this event, yet this rule set, asked now, "
                                "says no");
}

static void complete(const struct sh_play_in *in, cJSON *item, const struct sh_masking *mask)
{
    const char *rule = sh_json_string(item, "rule");
    const cJSON *run = run_of(in, rule);
    cJSON *when = cJSON_GetObjectItemCaseSensitive(item, "when");
    char *looked = sh_strdup(sh_json_string(item, "outcome"));
    const bool yes = strcmp(looked, "done") == 0;
    const char *outcome = run                        ? sh_json_string(run, "outcome")
                          : yes && is_held(in, rule) ? "paused"
                          : yes                      ? "would_run"
                                                     : looked;
    set_text(item, "outcome", outcome ? outcome : looked);
    sh_why_source(when, in->generation);
    if (mask)
        sh_why_mask(mask, when);
    char *why = sentence(item, sh_json_string(item, "outcome"));
    if (why)
        set_text(item, "why", why);
    free(why);
    if (run)
        add_run(item, run);
    add_note(item, looked, run);
    free(looked);
}

/* Runs of rules that this rule set does not have, or of all together. */
static void add_others(const struct sh_play_in *in, cJSON *items)
{
    const cJSON *run, *item;
    cJSON_ArrayForEach(run, sh_json_member(in->what, "runs"))
    {
        const char *rule = sh_json_string(run, "rule");
        bool known = rule == NULL;
        cJSON_ArrayForEach(item, items)
        {
            const char *name = sh_json_string(item, "rule");
            known = known || (name && strcmp(name, rule) == 0);
        }
        if (known)
            continue;
        cJSON *other = cJSON_CreateObject();
        const char *outcome = sh_json_string(run, "outcome");
        cJSON_AddStringToObject(other, "rule", rule);
        cJSON_AddStringToObject(other, "outcome", outcome ? outcome : "?");
        cJSON_AddStringToObject(other, "why",
                                strcmp(rule, SH_RULE_ALL) == 0
                                    ? "what happened before any one rule could run"
                                    : "the rule is not in this rule set");
        add_run(other, run);
        cJSON_AddItemToArray(items, other);
    }
}

static bool read_mask(const cJSON *what, struct sh_masking *mask)
{
    const cJSON *o = sh_json_member(what, "mask"), *fields = sh_json_member(o, "fields"), *field;
    size_t n = 0;
    *mask = (struct sh_masking){
        .numbers = is_true(o, "numbers"),
        .fields = sh_alloc((size_t)cJSON_GetArraySize(fields) + 1, sizeof(char *))};
    cJSON_ArrayForEach(field, fields)
    {
        if (cJSON_IsString(field))
            mask->fields[n++] = field->valuestring;
    }
    return o != NULL;
}

#define NOTE_THEN                                                                                  \
    "no rule has a run on this event: this is the rule set that was live when the event came"
#define NOTE_LIVE                                                                                  \
    "which rule set ran on this event is not known, or it is not kept: these are the live rules"

static cJSON *why(const struct sh_play_in *in, struct sh_simulator *s)
{
    struct sh_masking mask;
    const bool masked = read_mask(in->what, &mask), ran = is_true(in->what, "ran");
    struct sh_event *e = sh_event_new();
    cJSON *answer = cJSON_CreateObject(), *item;
    read_event(in, e);
    char id[SH_ID_TEXT];
    cJSON *items = sh_simulator_look(s, e);
    cJSON_AddStringToObject(answer, "event_id", sh_id_text(e->id, id));
    cJSON_AddStringToObject(answer, "generation", in->generation->id);
    cJSON_AddBoolToObject(answer, "ran", ran);
    if (!ran)
        cJSON_AddStringToObject(answer, "note", is_true(in->what, "then") ? NOTE_THEN : NOTE_LIVE);
    cJSON_ArrayForEach(item, items) complete(in, item, masked ? &mask : NULL);
    add_others(in, items);
    cJSON_AddItemToObject(answer, "items", items);
    if (masked)
        sh_mask_json(&mask, answer);
    sh_event_free(e);
    free(mask.fields);
    return answer;
}

/* --- both ------------------------------------------------------------------------------------ */

/* The rules do not load: in this version of the program, or with this configuration. */
static cJSON *not_loaded(const cJSON *report, const struct sh_error *err)
{
    const cJSON *errors = sh_json_member(report, "errors");
    const cJSON *fault = errors ? errors->child : NULL;
    const char *file = sh_json_string(fault, "file"), *msg = sh_json_string(fault, "msg");
    char *text = file && msg ? sh_strf("the rules do not load: %s:%d: %.700s", file,
                                       (int)int_of(fault, "line"), msg)
                             : sh_strdup(err->msg);
    cJSON *o = sh_play_error("try_failed", text);
    free(text);
    return o;
}

cJSON *sh_play_work(const struct sh_play_in *in, int *status)
{
    cJSON *report = NULL, *answer;
    struct sh_error err = {0};
    struct sh_simulator *s = start(in, &report, &err);
    *status = 200;
    if (in->loaded)
        in->loaded(in->loaded_arg, report);
    if (!s) {
        *status = 422;
        answer = not_loaded(report, &err);
    } else {
        answer = sh_json_member(in->what, "event") ? why(in, s) : try(in, s, status);
    }
    if (!in->lock) /* a locked process may not even take its timer down, and ends soon */
        sh_simulator_free(s);
    cJSON_Delete(report);
    return answer;
}
