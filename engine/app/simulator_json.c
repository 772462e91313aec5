/* SPDX-License-Identifier: MIT
 * simulator_json.c: events, runs and refusals as trees. */
#include "app/simulator_json.h"

#include "app/why.h"
#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TREE_BYTES ((size_t)64 * 1024 * 1024)

static void add_slice(cJSON *object, const char *name, struct sh_slice s)
{
    char *text = sh_slice_dup(s);
    cJSON_AddStringToObject(object, name, text);
    free(text);
}

static void add_count(cJSON *object, const char *name, size_t n)
{
    cJSON_AddItemToObject(object, name, sh_json_int((int64_t)n));
}

cJSON *sh_sim_event(const struct sh_event *e)
{
    char id[SH_ID_TEXT];
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "id", sh_id_text(e->id, id));
    cJSON_AddStringToObject(o, "source", e->source);
    cJSON_AddStringToObject(o, "type", e->type);
    cJSON_AddStringToObject(o, "key", e->key ? e->key : "");
    if (e->cause)
        cJSON_AddStringToObject(o, "cause", e->cause);
    char at[SH_TIME_TEXT];
    cJSON_AddStringToObject(o, "at", sh_time_text(e->received_ms, at));
    if (e->occurred_ms)
        cJSON_AddStringToObject(o, "occurred_at", sh_time_text(e->occurred_ms, at));
    return o;
}

cJSON *sh_sim_refused(const char *code, const char *message)
{
    cJSON *entry = cJSON_CreateObject(), *o = cJSON_AddObjectToObject(entry, "refused");
    cJSON_AddStringToObject(o, "code", code);
    cJSON_AddStringToObject(o, "message", message);
    return entry;
}

cJSON *sh_sim_bad_body(enum sh_body_format format, const struct sh_json_fault *fault)
{
    const char *code = format == SH_BODY_FORM  ? "invalid_form"
                       : format == SH_BODY_JWT ? "invalid_jwt"
                                               : "invalid_json";
    cJSON *entry = sh_sim_refused(code, fault->msg);
    cJSON *o = cJSON_GetObjectItemCaseSensitive(entry, "refused");
    add_count(o, "byte", fault->byte);
    add_count(o, "line", fault->line);
    add_count(o, "column", fault->col);
    return entry;
}

cJSON *sh_sim_bad_envelope(const struct sh_envelope_fault *fault)
{
    cJSON *entry = sh_sim_refused("invalid_envelope", fault->msg);
    cJSON_AddStringToObject(cJSON_GetObjectItemCaseSensitive(entry, "refused"), "field",
                            fault->field);
    return entry;
}

static const cJSON *rule_of(const cJSON *report, struct sh_slice name)
{
    const cJSON *rule;
    cJSON_ArrayForEach(rule, sh_json_member(report, "rules"))
    {
        const char *known = sh_json_string(rule, "name");
        if (known && sh_slice_eq(sh_slice_str(known), name))
            return rule;
    }
    return NULL;
}

cJSON *sh_sim_entry(cJSON *runs, const cJSON *report, struct sh_slice rule)
{
    cJSON *entry;
    cJSON_ArrayForEach(entry, runs)
    {
        const char *name = sh_json_string(entry, "rule");
        if (name && sh_slice_eq(sh_slice_str(name), rule))
            return entry;
    }
    entry = cJSON_CreateObject();
    const cJSON *known = rule_of(report, rule);
    const char *file = sh_json_string(known, "file");
    const cJSON *line = sh_json_member(known, "line");
    add_slice(entry, "rule", rule);
    if (file)
        cJSON_AddStringToObject(entry, "file", file);
    if (line)
        cJSON_AddItemToObject(entry, "line", cJSON_Duplicate(line, true));
    cJSON_AddItemToArray(runs, entry);
    return entry;
}

/* Parse text that the core made; what does not parse is shown as text. */
static cJSON *tree_of(const char *text, size_t n)
{
    struct sh_error err;
    cJSON *tree = sh_json_parse(text, n, &err);
    if (tree)
        return tree;
    char *copy = sh_memdup(text, n);
    tree = cJSON_CreateString(copy);
    free(copy);
    return tree;
}

static cJSON *effects_of(const struct sh_run *run)
{
    cJSON *list = cJSON_CreateArray();
    struct sh_reader r = sh_reader_of(run->effects);
    struct sh_effect fx;
    struct sh_buf text;
    sh_buf_init(&text, MAX_TREE_BYTES);
    for (uint32_t i = 0; i < run->n_effects && sh_effect_read(&r, &fx); i++) {
        sh_buf_reset(&text);
        sh_effect_json(&text, &fx, false);
        cJSON_AddItemToArray(list, tree_of(text.data, text.len));
    }
    sh_buf_free(&text);
    return list;
}

/* A member, in place of one that is there from an earlier turn. */
static void set(cJSON *entry, const char *name, cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(entry, name);
    cJSON_AddItemToObject(entry, name, value);
}

static void set_text(cJSON *entry, const char *name, struct sh_slice s)
{
    char *text = sh_slice_dup(s);
    set(entry, name, cJSON_CreateString(text));
    free(text);
}

void sh_sim_fill(cJSON *entry, const struct sh_run *run, const char *refused)
{
    bool skipped = run->outcome == SH_RUN_SKIPPED_ON || run->outcome == SH_RUN_SKIPPED_WHEN;
    bool done = run->outcome == SH_RUN_DONE && !refused;
    set(entry, "outcome",
        cJSON_CreateString(skipped || done ? sh_outcome_name(run->outcome) : "failed"));
    if (run->seen.n)
        set(entry, "when", tree_of(run->seen.p, run->seen.n));
    if (skipped) {
        char *base = sh_slice_dup(run->error);
        char *why = sh_why_text(base, sh_json_member(entry, "when"));
        set(entry, "why", cJSON_CreateString(why));
        free(why);
        free(base);
        return;
    }
    set(entry, "attempt", sh_json_int(run->attempt));
    if (!done)
        set_text(entry, "error", refused ? sh_slice_str(refused) : run->error);
    if (!done && !refused && run->retry_at_ms > 0) {
        char at[SH_TIME_TEXT];
        set(entry, "retry_at", cJSON_CreateString(sh_time_text(run->retry_at_ms, at)));
    }
    set(entry, "effects", done ? effects_of(run) : cJSON_CreateArray());
    set(entry, "logs", run->logs.n ? tree_of(run->logs.p, run->logs.n) : cJSON_CreateArray());
}

void sh_sim_collections(cJSON *names, const struct sh_run *run)
{
    struct sh_reader r = sh_reader_of(run->effects);
    struct sh_effect fx;
    for (uint32_t i = 0; i < run->n_effects && sh_effect_read(&r, &fx); i++) {
        if (fx.kind < SH_FX_PUT || fx.kind > SH_FX_INCR)
            continue;
        char *name = sh_slice_dup(fx.collection);
        if (!sh_json_member(names, name))
            cJSON_AddNullToObject(names, name);
        free(name);
    }
}

bool sh_sim_keep_row(void *rows, const cJSON *row)
{
    cJSON_AddItemToArray(rows, cJSON_Duplicate(row, true));
    return true;
}
