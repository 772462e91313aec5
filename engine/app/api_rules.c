/* SPDX-License-Identifier: MIT
 * api_rules.c: the live rules, with what the store says of them. */
#include "app/api_impl.h"

#include "base/utf8.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

#define RECENT_RUNS 5000 /* that are counted */

struct question {
    cJSON *rules; /* of the live generation, as its report lists them; owned */
    char generation[SH_GENERATION_TEXT];
    cJSON *source; /* of the one that is asked for, from memory: the files may have changed since */
};

static void question_free(void *data)
{
    struct question *q = data;
    cJSON_Delete(q->rules);
    cJSON_Delete(q->source);
    free(q);
}

/* --- rows ------------------------------------------------------------------------------------ */

static void add_same(cJSON *row, const cJSON *rule, const char *name)
{
    const cJSON *value = sh_json_member(rule, name);
    cJSON_AddItemToObject(row, name, value ? cJSON_Duplicate(value, true) : cJSON_CreateNull());
}

/* rule NULL: one that is not live. */
static cJSON *row_new(const char *name, const cJSON *rule)
{
    static const char *const nothing[] = {"since", "by", "error", "event_id"};
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "rule", name);
    cJSON_AddBoolToObject(row, "live", rule != NULL);
    add_same(row, rule, "file");
    add_same(row, rule, "line");
    add_same(row, rule, "on");
    add_same(row, rule, "every");
    cJSON_AddStringToObject(row, "state", "on");
    cJSON_AddNumberToObject(row, "failures", 0);
    cJSON_AddNumberToObject(row, "kept", 0);
    for (size_t i = 0; i < sizeof(nothing) / sizeof(*nothing); i++)
        cJSON_AddNullToObject(row, nothing[i]);
    return row;
}

static cJSON *find_named(const cJSON *rows, const char *member, const char *name)
{
    cJSON *row;
    cJSON_ArrayForEach(row, rows)
    {
        const char *is = sh_json_string(row, member);
        if (is && strcmp(is, name) == 0)
            return row;
    }
    return NULL;
}

static cJSON *find(const cJSON *rows, const char *name)
{
    return find_named(rows, "rule", name);
}

/* One that is not live any more matters only while it is not on. */
static bool add_stored(void *arg, const cJSON *stored)
{
    cJSON *rows = arg;
    const cJSON *member;
    const char *name = sh_json_string(stored, "rule"), *state = sh_json_string(stored, "state");
    cJSON *row = find(rows, name);
    if (!row && strcmp(state, "on") == 0)
        return true;
    if (!row) {
        row = row_new(name, NULL);
        cJSON_AddItemToArray(rows, row);
    }
    cJSON_ArrayForEach(member, stored)
        cJSON_ReplaceItemInObjectCaseSensitive(row, member->string, cJSON_Duplicate(member, true));
    return true;
}

static const char *const outcomes[] = {"done", "retry", "paused", "dead", "dropped"};

/* The share of those that did not end well among those that have run, also of a rule that was
 * paused for it; null: none has. */
static void add_error_rate(cJSON *row, const cJSON *recent, const cJSON *time)
{
    const double ran = sh_json_member(time, "runs")->valuedouble;
    const double failed = ran - sh_json_member(recent, "done")->valuedouble;
    cJSON_AddItemToObject(row, "error_rate",
                          ran > 0 ? cJSON_CreateNumber(failed > 0 ? failed / ran : 0)
                                  : cJSON_CreateNull());
}

static void add_no_time(cJSON *row)
{
    static const char *const times[] = {"mean_us", "p95_us", "max_us"};
    cJSON *none = cJSON_AddObjectToObject(row, "time");
    cJSON_AddNumberToObject(none, "runs", 0);
    for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++)
        cJSON_AddNullToObject(none, times[i]);
}

static void add_sums(cJSON *row, const cJSON *sums)
{
    const cJSON *of = sh_json_member(sums, sh_json_string(row, "rule"));
    const cJSON *counts = sh_json_member(of, "outcomes"), *time = sh_json_member(of, "time");
    cJSON *recent = cJSON_AddObjectToObject(row, "recent");
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++) {
        const cJSON *n = sh_json_member(counts, outcomes[i]);
        cJSON_AddNumberToObject(recent, outcomes[i], n ? n->valuedouble : 0);
    }
    if (time)
        cJSON_AddItemToObject(row, "time", cJSON_Duplicate(time, true));
    else
        add_no_time(row);
    add_error_rate(row, recent, sh_json_member(row, "time"));
}

/* All of them; NULL and *err. */
static cJSON *read_rows(const struct question *q, struct sh_store_view *v, struct sh_error *err)
{
    const struct sh_list_query query = {.what = SH_LIST_RULES};
    cJSON *rows = cJSON_CreateArray(), *row;
    const cJSON *rule;
    cJSON_ArrayForEach(rule, q->rules)
    {
        const char *name = sh_json_string(rule, "name");
        cJSON_AddItemToArray(rows, row_new(name ? name : "", rule));
    }
    cJSON *sums = sh_store_view_run_sums(v, RECENT_RUNS, err);
    if (sums && sh_store_view_list(v, &query, add_stored, rows, err)) {
        cJSON_ArrayForEach(row, rows) add_sums(row, sums);
    } else {
        cJSON_Delete(rows);
        rows = NULL;
    }
    cJSON_Delete(sums);
    return rows;
}

/* --- answers -----------------------------------------------------------------------------------
 */

static void answer_rules(const struct sh_api_call *c, struct sh_store_view *v,
                         struct sh_api_answer *a)
{
    const struct question *q = c->data;
    cJSON *rows = read_rows(q, v, &a->err);
    cJSON *tree = rows ? sh_api_list_tree(c, rows, NULL) : NULL;
    if (tree)
        cJSON_AddStringToObject(tree, "generation", q->generation);
    sh_api_answer_tree(a, tree);
}

static void answer_rule(const struct sh_api_call *c, struct sh_store_view *v,
                        struct sh_api_answer *a)
{
    const struct question *q = c->data;
    cJSON *rows = read_rows(q, v, &a->err);
    cJSON *row = rows ? find(rows, c->segment[0]) : NULL;
    if (row)
        cJSON_DetachItemViaPointer(rows, row);
    else if (rows)
        sh_error_set(&a->err, SH_ENOTFOUND, "there is no rule \"%.100s\"", c->segment[0]);
    cJSON_Delete(rows);
    if (row && a->mask)
        sh_mask_json(a->mask, row);
    a->mask = NULL; /* a rule is nobody's data; /generations/{id} shows its file as it is, too */
    if (row)
        cJSON_AddItemToObject(row, "source",
                              q->source ? cJSON_Duplicate(q->source, true) : cJSON_CreateNull());
    sh_api_answer_tree(a, row);
}

/* {"file","line","text"}; text null: it is not UTF-8. NULL: no such rule is live. */
static cJSON *source_of(const struct sh_generation *g, const cJSON *rule)
{
    const char *file = sh_json_string(rule, "file");
    for (size_t i = 0; file && i < g->n_files; i++) {
        if (strcmp(g->files[i].name, file) != 0)
            continue;
        cJSON *source = cJSON_CreateObject();
        add_same(source, rule, "file");
        add_same(source, rule, "line");
        const struct sh_slice text = sh_slice(g->files[i].text, g->files[i].len);
        char *copy = sh_utf8_ok(text) ? sh_slice_dup(text) : NULL;
        cJSON_AddItemToObject(source, "text", copy ? cJSON_CreateString(copy) : cJSON_CreateNull());
        free(copy);
        return source;
    }
    return NULL;
}

static void ask(struct sh_api_call *c, sh_api_read_fn *fn)
{
    struct sh_live *live = c->api->config.live;
    struct question *q = sh_alloc(1, sizeof(*q));
    const cJSON *rules = sh_live_rules(live);
    q->rules = rules ? cJSON_Duplicate(rules, true) : cJSON_CreateArray();
    memcpy(q->generation, sh_live_generation(live)->id, sizeof(q->generation));
    const cJSON *rule = c->segment[0] ? find_named(q->rules, "name", c->segment[0]) : NULL;
    q->source = rule ? source_of(sh_live_generation(live), rule) : NULL;
    c->data = q;
    c->drop = question_free;
    sh_api_read(c, fn);
}

static void get_rules(struct sh_api_call *c)
{
    ask(c, answer_rules);
}

static void get_rule(struct sh_api_call *c)
{
    ask(c, answer_rule);
}

static const struct sh_api_route list[] = {
    {.method = SH_HTTP_GET,
     .pattern = "/api/v1/rules",
     .role = SH_ROLE_VIEWER,
     .fn = get_rules,
     .summary = "The live rules, and others that are paused"},
    {.method = SH_HTTP_GET,
     .pattern = "/api/v1/rules/{name}",
     .role = SH_ROLE_VIEWER,
     .fn = get_rule,
     .summary = "A rule"},
};

const struct sh_api_routes sh_api_rule_routes = {list, sizeof(list) / sizeof(*list)};
