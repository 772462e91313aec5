/* SPDX-License-Identifier: MIT
 * list_near.c: rows of the API in the form that the store's own have (docs/cli.md). */
#include "app/list_near.h"

#include "app/list_far.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 2000 /* an engine that is stuck must not keep its rows from being seen */
#define MEMBERS     16

/* Members of a row; those behind "|" are of one that is shown whole. */
static const char *const members[][MEMBERS + 1] = {
    [SH_LIST_EVENTS] = {"id", "source", "type", "key", "received_at", "state", "due_at",
                        "occurred_at", "|", "body", "trace_id"},
    [SH_LIST_RUNS] = {"event_id", "rule", "generation", "outcome", "attempts", "effects", "error",
                      "duration_ms", "logs", "|", "lookups"},
    [SH_LIST_CALLBACKS] = {"id", "number", "name", "due_at", "assignee", "reason", "status", "note",
                           "event_id", "|", "rule", "completes", "created_at", "history"},
    [SH_LIST_OUTBOX] = {"id", "kind", "to", "state", "attempts", "error", "event_id", "key",
                        "next_at", "|", "lane", "status", "answer", "recipients", "payload",
                        "sent_to"},
    [SH_LIST_TIMERS] = {"name", "kind", "due_at", "type", "key", "event_id", "every", "zone",
                        "local"},
    [SH_LIST_RECORDS] = {"id", "doc", "updated_at"},
    [SH_LIST_AUDIT] = {"id", "at", "who", "role", "peer", "action", "target", "detail"},
};
static const char *const collection[MEMBERS + 1] = {"collection"};

struct near {
    struct sh_steer *s;
    const struct sh_list_query *q;
    const char *const *members;
    bool whole;
    sh_list_fn *fn;
    void *arg;
    cJSON *kept; /* RECORDS: all of the collection, to be put in order; else NULL */
    struct sh_error *err;
    bool ok;
};

/* A row with the members that the store's own have, in their order. */
static cJSON *as_store(const struct near *n, const cJSON *row)
{
    cJSON *out = cJSON_CreateObject();
    for (const char *const *m = n->members; *m && (n->whole || **m != '|'); m++) {
        const cJSON *item = sh_json_member(row, *m);
        const bool optional = n->q->what == SH_LIST_EVENTS && !strcmp(*m, "occurred_at");
        if (item && !(optional && cJSON_IsNull(item)))
            cJSON_AddItemToObject(out, *m, cJSON_Duplicate(item, true));
    }
    return out;
}

/* --- what the API does not give whole -----------------------------------------------------------
 */

static bool is_cut(const struct near *n, const cJSON *row)
{
    const char *format = sh_json_string(row, "format");
    return cJSON_IsTrue(sh_json_member(row, "cut")) ||
           (n->whole && n->q->what == SH_LIST_RUNS) || /* the API has no look-ups in lists */
           (n->whole && n->q->what == SH_LIST_EVENTS && format && strcmp(format, "json") != 0);
}

struct same {
    struct near *near;
    const char *rule; /* RUNS: the one that is meant */
    bool more;
};

static bool take_same(void *arg, const cJSON *row)
{
    struct same *same = arg;
    const char *rule = sh_json_string(row, "rule");
    if (same->rule && (!rule || strcmp(rule, same->rule) != 0))
        return true;
    same->more = same->near->fn(same->near->arg, row);
    return false;
}

/* The same row from the store. */
static bool from_store(struct near *n, const cJSON *row)
{
    const bool run = n->q->what == SH_LIST_RUNS;
    struct same same = {.near = n, .rule = run ? sh_json_string(row, "rule") : NULL, .more = true};
    const struct sh_list_query q = {.what = n->q->what,
                                    .collection = n->q->collection,
                                    .id = run ? NULL : sh_json_string(row, "id"),
                                    .event_id = run ? sh_json_string(row, "event_id") : NULL};
    struct sh_store_view *v = sh_store_view_open(n->s->dir, n->err);
    n->ok = v && sh_store_view_list(v, &q, take_same, &same, n->err);
    sh_store_view_close(v);
    return n->ok && same.more;
}

/* --- rows ----------------------------------------------------------------------------------------
 */

static bool pass_on(struct near *n, const cJSON *row)
{
    if (is_cut(n, row))
        return from_store(n, row);
    cJSON *out = as_store(n, row);
    const bool more = n->fn(n->arg, out);
    cJSON_Delete(out);
    return more;
}

static bool on_row(void *arg, const cJSON *row)
{
    struct near *n = arg;
    if (!n->kept)
        return pass_on(n, row);
    cJSON_AddItemToArray(n->kept, cJSON_Duplicate(row, true));
    return true;
}

static int by_version(const void *a, const void *b)
{
    int64_t x = 0, y = 0;
    (void)!sh_json_get_int(sh_json_member(*(cJSON *const *)a, "version"), &x);
    (void)!sh_json_get_int(sh_json_member(*(cJSON *const *)b, "version"), &y);
    return (x > y) - (x < y);
}

/* The API has a collection's records by id; here those written last come last. */
static void tell_kept(struct near *n)
{
    const size_t count = (size_t)cJSON_GetArraySize(n->kept), limit = n->q->limit;
    cJSON **rows = sh_alloc(count + 1, sizeof(cJSON *)), *row;
    size_t i = 0;
    cJSON_ArrayForEach(row, n->kept) rows[i++] = row;
    qsort(rows, count, sizeof(cJSON *), by_version);
    bool more = true;
    for (i = limit && count > limit ? count - limit : 0; i < count && more && n->ok; i++)
        more = pass_on(n, rows[i]);
    free(rows);
}

/* Does the engine answer, its thread that reads included? */
static bool answers(struct sh_steer *s)
{
    struct sh_error why;
    cJSON *answer = NULL;
    const bool ok =
        sh_steer_ask(s, "GET", "/api/v1/audit?limit=1", NULL, PATIENCE_MS, &answer, &why);
    cJSON_Delete(answer);
    return ok;
}

bool sh_list_near(struct sh_steer *s, const struct sh_list_query *q, const char *assignee,
                  sh_list_fn *fn, void *arg, bool *answered, struct sh_error *err)
{
    const bool of_collection = q->what == SH_LIST_RECORDS && q->collection && !q->id;
    struct sh_list_query asked = *q;
    struct near n = {.s = s, .q = q, .fn = fn, .arg = arg, .err = err, .ok = true};
    n.whole = q->id || (q->event_id && q->what == SH_LIST_RUNS);
    n.members = q->what == SH_LIST_RECORDS && !q->collection ? collection : members[q->what];
    *answered = answers(s);
    if (!*answered)
        return true;
    if (of_collection) {
        n.kept = cJSON_CreateArray();
        asked.limit = 0;
    }
    bool ok = sh_list_far(s, &asked, assignee, on_row, &n, err);
    if (!ok && of_collection && err->code == SH_ENOTFOUND)
        ok = true; /* no such collection: nothing in it */
    if (ok && n.kept)
        tell_kept(&n);
    cJSON_Delete(n.kept);
    return ok && n.ok;
}
