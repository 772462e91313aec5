/* SPDX-License-Identifier: MIT
 * list_far.c: pages of the API put together. */
#include "app/list_far.h"

#include "base/clock.h"
#include "svc/json.h"

#include <ctype.h>
#include <stdlib.h>

#define PATIENCE_MS 30000
#define PAGE        500
#define URL_BYTES   ((size_t)64 << 10)

static void add_encoded(struct sh_buf *out, const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x80 && isalnum((unsigned char)*text))
            sh_buf_addc(out, *text);
        else
            sh_buf_addf(out, "%%%02X", (unsigned)(unsigned char)*text);
    }
}

static void add_param(struct sh_buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    sh_buf_addf(out, "&%s=", name);
    add_encoded(out, value);
}

static void add_path(struct sh_buf *out, const struct sh_list_query *q)
{
    static const char *const names[] = {[SH_LIST_EVENTS] = "events",
                                        [SH_LIST_RUNS] = "runs",
                                        [SH_LIST_RECORDS] = "records",
                                        [SH_LIST_CALLBACKS] = "callbacks",
                                        [SH_LIST_OUTBOX] = "outbox",
                                        [SH_LIST_TIMERS] = "timers",
                                        [SH_LIST_GENERATIONS] = "generations",
                                        [SH_LIST_RULES] = "rules",
                                        [SH_LIST_AUDIT] = "audit"};
    sh_buf_addf(out, "/api/v1/%s", names[q->what]);
    if (q->collection) {
        sh_buf_addc(out, '/');
        add_encoded(out, q->collection);
    }
    if (q->id) {
        sh_buf_addc(out, '/');
        add_encoded(out, q->id);
    }
}

static void add_filters(struct sh_buf *out, const struct sh_list_query *q, const char *assignee)
{
    char since[SH_TIME_TEXT];
    const char *state = q->what == SH_LIST_RUNS        ? "outcome"
                        : q->what == SH_LIST_CALLBACKS ? "status"
                                                       : "state";
    add_param(out, "event", q->event_id);
    add_param(out, state, q->state);
    add_param(out, "type", q->type);
    add_param(out, "assignee", assignee);
    add_param(out, "since", q->since_ms ? sh_time_text(q->since_ms, since) : NULL);
}

static bool get(struct sh_steer *s, const struct sh_buf *url, cJSON **answer, struct sh_error *err)
{
    if (!sh_buf_ok(url))
        return sh_error_set(err, SH_ELIMIT, "what is asked for is too long");
    return sh_steer_ask(s, "GET", url->data, NULL, PATIENCE_MS, answer, err);
}

static bool one(struct sh_steer *s, const struct sh_list_query *q, sh_list_fn *fn, void *arg,
                struct sh_error *err)
{
    struct sh_buf url;
    cJSON *row = NULL;
    sh_buf_init(&url, URL_BYTES);
    add_path(&url, q);
    bool ok = get(s, &url, &row, err);
    if (ok)
        (void)fn(arg, row);
    else if (err->code == SH_ENOTFOUND) /* an empty list, as a store's view has it */
        ok = true;
    cJSON_Delete(row);
    sh_buf_free(&url);
    return ok;
}

/* Pages in this order, until there are `limit` rows (0 = all). Each page's rows go to take. */
static bool pages(struct sh_steer *s, const struct sh_list_query *q, const char *assignee,
                  bool newest, bool (*take)(void *arg, cJSON *rows), void *arg,
                  struct sh_error *err)
{
    char *cursor = NULL;
    size_t left = q->limit;
    bool ok = true, more = true;
    while (ok && more) {
        struct sh_buf url;
        cJSON *page = NULL;
        sh_buf_init(&url, URL_BYTES);
        add_path(&url, q);
        if (q->what != SH_LIST_RECORDS || q->collection) {
            sh_buf_addf(&url, "?limit=%zu&order=%s", q->limit && left < PAGE ? left : PAGE,
                        newest ? "desc" : "asc");
            add_filters(&url, q, assignee);
            add_param(&url, "cursor", cursor);
        }
        ok = get(s, &url, &page, err);
        free(cursor);
        cursor = ok ? sh_strdup(sh_json_string(page, "next_cursor")) : NULL;
        cJSON *rows = cJSON_DetachItemFromObject(page, "items");
        const size_t n = rows ? (size_t)cJSON_GetArraySize(rows) : 0;
        more = ok && rows && take(arg, rows) && cursor && (!q->limit || n < left);
        left -= n < left ? n : left;
        cJSON_Delete(page);
        sh_buf_free(&url);
    }
    free(cursor);
    return ok;
}

struct sink {
    sh_list_fn *fn;
    void *arg;
    cJSON *kept; /* newest first */
};

static bool pass_on(void *arg, cJSON *rows)
{
    const struct sink *sink = arg;
    const cJSON *row;
    bool more = true;
    cJSON_ArrayForEach(row, rows) more = more && sink->fn(sink->arg, row);
    cJSON_Delete(rows);
    return more;
}

static bool keep(void *arg, cJSON *rows)
{
    const struct sink *sink = arg;
    for (cJSON *row; (row = cJSON_DetachItemFromArray(rows, 0)) != NULL;)
        cJSON_InsertItemInArray(sink->kept, 0, row);
    cJSON_Delete(rows);
    return true;
}

bool sh_list_far(struct sh_steer *s, const struct sh_list_query *q, const char *assignee,
                 sh_list_fn *fn, void *arg, struct sh_error *err)
{
    if (q->id)
        return one(s, q, fn, arg, err);
    struct sink sink = {.fn = fn, .arg = arg};
    const bool collections = q->what == SH_LIST_RECORDS && !q->collection; /* by name, all */
    if (!q->limit || collections)
        return pages(s, q, assignee, false, pass_on, &sink, err);
    sink.kept = cJSON_CreateArray();
    const bool ok = pages(s, q, assignee, true, keep, &sink, err);
    if (ok)
        (void)pass_on(&sink, sink.kept);
    else
        cJSON_Delete(sink.kept);
    return ok;
}
