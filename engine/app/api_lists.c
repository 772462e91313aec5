/* SPDX-License-Identifier: MIT
 * api_lists.c: what there is, a page at a time. */
#include "app/api_impl.h"

#include "app/api_show.h"
#include "base/clock.h"
#include "core/recent.h"
#include "svc/json.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT     50
#define LIMIT_MAX 500
#define CHUNK     200 /* rows that are looked into at a time, with q */

/* --- what a list can be asked ------------------------------------------------------------------
 */

struct filter {
    const char *param;
    size_t member; /* of struct sh_list_query */
    bool is_time;
    const char *const *words; /* NULL: any text */
};
#define TEXT(param, member)                                                                        \
    {                                                                                              \
        param, offsetof(struct sh_list_query, member), false, NULL                                 \
    }
#define TIME(param, member)                                                                        \
    {                                                                                              \
        param, offsetof(struct sh_list_query, member), true, NULL                                  \
    }
#define WORD(param, member, words)                                                                 \
    {                                                                                              \
        param, offsetof(struct sh_list_query, member), false, words                                \
    }

struct list {
    enum sh_list_what what;
    bool ascending; /* unless order says otherwise */
    const struct filter *filters;
};

struct question {
    struct sh_list_query q;
    struct sh_page page;
    char *after;
    bool show;        /* EVENTS: with what each is recognised by */
    const char *text; /* EVENTS: those alone in which this is found; NULL: all */
};

static void question_free(void *data)
{
    struct question *q = data;
    free(q->after);
    free(q);
}

static bool read_filter(struct sh_api_call *c, const struct filter *f, struct question *q)
{
    unsigned char *member = (unsigned char *)q + offsetof(struct question, q) + f->member;
    const char *text = sh_api_param(c, f->param);
    if (f->is_time)
        return sh_api_param_time(c, f->param, (int64_t *)(void *)member);
    memcpy(member, &text, sizeof(text));
    return !f->words || sh_api_param_word(c, f->param, f->words);
}

static const char *const orders[] = {"asc", "desc", NULL};

/* The call's question; NULL: answered and gone. */
static struct question *ask(struct sh_api_call *c, const struct list *l)
{
    struct question *q = sh_alloc(1, sizeof(*q));
    int64_t limit = LIMIT;
    c->data = q;
    c->drop = question_free;
    q->q.what = l->what;
    for (const struct filter *f = l->filters; f->param; f++)
        if (!read_filter(c, f, q))
            return NULL;
    if (!sh_api_param_int(c, "limit", 1, LIMIT_MAX, &limit) ||
        !sh_api_param_word(c, "order", orders) || !sh_api_read_cursor(c, &q->after))
        return NULL;
    const char *order = sh_api_param(c, "order");
    q->page = (struct sh_page){.ascending = order ? strcmp(order, "asc") == 0 : l->ascending,
                               .limit = (size_t)limit,
                               .max_bytes = SH_API_PAGE_BYTES,
                               .after = q->after};
    return q;
}

/* A page, on the reader's thread: *page is a copy, to leave the call as it is. */
static bool read_page(const struct question *q, struct sh_store_view *v, struct sh_page *page,
                      struct sh_error *err)
{
    *page = q->page;
    return sh_store_view_page(v, &q->q, page, err);
}

static void answer_page(const struct sh_api_call *c, struct sh_store_view *v,
                        struct sh_api_answer *a)
{
    struct sh_page page;
    if (read_page(c->data, v, &page, &a->err))
        sh_api_answer_tree(a, sh_api_list_tree(c, page.rows, page.next));
}

static void get_list(struct sh_api_call *c, const struct list *l)
{
    if (ask(c, l))
        sh_api_read(c, answer_page);
}

/* --- the lists ----------------------------------------------------------------------------------
 */

#define PAGING "limit", "cursor", "order", NULL

static const char *const event_states[] = {"stored", "done", "dead", NULL};
static const struct filter event_filters[] = {TEXT("type", type),
                                              TEXT("source", source),
                                              TEXT("key", key),
                                              TEXT("cause", cause),
                                              WORD("state", state, event_states),
                                              TIME("since", since_ms),
                                              TIME("until", until_ms),
                                              {0}};
static const char *const event_params[] = {"type",  "source", "key",  "cause", "state",
                                           "since", "until",  "show", "q",     PAGING};

/* What is made of pages of events, one after the other, until there are enough. */
struct shown {
    const struct sh_api_call *c;
    const struct question *q;
    const struct sh_masking *mask;
    struct sh_recent *bodies;
    cJSON *rows;
    size_t n, bytes;
    int64_t end_us;
    char *last; /* owned: id of the last one looked at */
};

/* Its show, if the row is wanted: else NULL. Bodies in which nothing can be found are not parsed.
 */
static cJSON *show_of(struct shown *s, const cJSON *row)
{
    const struct sh_config *config = s->c->api->config.config;
    const char *id = sh_json_string(row, "id"), *text = s->q->text;
    int64_t bytes = 0;
    struct sh_id order;
    cJSON *body = NULL;
    bool found = !text || sh_show_names(config, s->mask, text, id, sh_json_string(row, "type"),
                                        sh_json_string(row, "key"));
    if (sh_json_get_int(sh_json_member(row, "bytes"), &bytes) &&
        bytes <= (int64_t)SH_SHOW_BODY_BYTES && sh_id_parse(id, strlen(id), &order)) {
        const int64_t seq = sh_id_order(order);
        const struct sh_slice raw =
            found ? sh_slice("", 0) : sh_recent_text(s->bodies, seq, SH_SHOW_BODY_BYTES);
        if (raw.n && !sh_show_may_have(config, s->mask, text, raw))
            return NULL;
        s->bytes += (size_t)bytes;
        body = sh_recent_json(s->bodies, seq, SH_SHOW_BODY_BYTES);
    }
    cJSON *show = sh_show(config, s->mask, sh_json_string(row, "source"), body);
    cJSON_Delete(body);
    found = found || sh_show_has(config, text, show);
    if (found)
        return show;
    cJSON_Delete(show);
    return NULL;
}

/* Takes row. */
static void add_shown(struct shown *s, cJSON *row)
{
    cJSON *show = show_of(s, row);
    free(s->last);
    s->last = sh_strdup(sh_json_string(row, "id"));
    if (!show) {
        cJSON_Delete(row);
        return;
    }
    if (s->q->show)
        cJSON_AddItemToObject(row, "show", show);
    else
        cJSON_Delete(show);
    cJSON_AddItemToArray(s->rows, row);
    s->n++;
}

static bool has_enough(const struct shown *s)
{
    return s->n == s->q->page.limit || s->bytes >= SH_SHOW_PAGE_BYTES || sh_mono_us() > s->end_us;
}

/* Pages of the store from *after on, which becomes the place to go on from; NULL: none. */
static bool read_shown(struct shown *s, struct sh_store_view *v, char **after, struct sh_error *err)
{
    struct sh_page page = s->q->page;
    page.limit = s->q->text ? CHUNK : page.limit;
    page.after = *after;
    struct sh_id id;
    if (!sh_store_view_page(v, &s->q->q, &page, err))
        return false;
    for (cJSON *row;
         (!s->last || !has_enough(s)) && (row = cJSON_DetachItemFromArray(page.rows, 0)) != NULL;)
        add_shown(s, row);
    const bool left = cJSON_GetArraySize(page.rows) > 0;
    cJSON_Delete(page.rows);
    free(*after);
    *after = page.next;
    if (left && s->last && sh_id_parse(s->last, strlen(s->last), &id)) {
        free(page.next);
        *after = sh_strf("%lld:", (long long)sh_id_order(id));
    }
    return true;
}

static void answer_shown(const struct sh_api_call *c, struct sh_store_view *v,
                         struct sh_api_answer *a)
{
    const struct question *q = c->data;
    struct shown s = {.c = c,
                      .q = q,
                      .mask = a->mask,
                      .bodies = sh_recent_open(v, 0, &a->err),
                      .rows = cJSON_CreateArray(),
                      .end_us = sh_mono_us() + SH_STORE_LOOK_MS * 1000};
    char *next = q->after ? sh_strdup(q->after) : NULL;
    bool ok = s.bodies != NULL;
    do {
        ok = ok && read_shown(&s, v, &next, &a->err);
    } while (ok && next && q->text && !has_enough(&s));
    if (ok) {
        sh_api_answer_tree(a, sh_api_list_tree(c, s.rows, next));
    } else {
        cJSON_Delete(s.rows);
        free(next);
    }
    free(s.last);
    sh_recent_close(s.bodies);
}

static void get_events(struct sh_api_call *c)
{
    static const struct list l = {SH_LIST_EVENTS, false, event_filters};
    static const char *const yes_no[] = {"true", "false", NULL};
    struct question *q = ask(c, &l);
    if (!q || !sh_api_param_word(c, "show", yes_no) || !sh_api_read_q(c, &q->text))
        return;
    const char *show = sh_api_param(c, "show");
    q->show = show && strcmp(show, "true") == 0;
    sh_api_read(c, q->show || q->text ? answer_shown : answer_page);
}

static const char *const outcomes[] = {"done", "retry", "paused", "dead", "dropped", NULL};
static const struct filter run_filters[] = {TEXT("event", event_id),
                                            TEXT("rule", rule),
                                            TEXT("generation", generation),
                                            WORD("outcome", state, outcomes),
                                            TIME("since", since_ms),
                                            TIME("until", until_ms),
                                            {0}};
static const char *const run_params[] = {"event", "rule",  "generation", "outcome",
                                         "since", "until", PAGING};
static void get_runs(struct sh_api_call *c)
{
    static const struct list l = {SH_LIST_RUNS, false, run_filters};
    get_list(c, &l);
}

static const char *const call_states[] = {"open",   "scheduled", "snoozed",   "due",
                                          "missed", "done",      "cancelled", NULL};
static const struct filter callback_filters[] = {TEXT("event", event_id),
                                                 TEXT("assignee", assignee),
                                                 WORD("status", state, call_states),
                                                 TIME("due_after", due_after_ms),
                                                 TIME("due_before", due_before_ms),
                                                 TIME("since", since_ms),
                                                 {0}};
static const char *const callback_params[] = {"event",      "assignee", "status", "due_after",
                                              "due_before", "since",    PAGING};
static void get_callbacks(struct sh_api_call *c)
{
    static const struct list l = {SH_LIST_CALLBACKS, false, callback_filters};
    get_list(c, &l);
}

static const char *const item_states[] = {"queued", "sent", "dead", "dropped", NULL};
static const char *const item_kinds[] = {"email", "http", NULL};
static const struct filter outbox_filters[] = {TEXT("event", event_id),
                                               TEXT("rule", rule),
                                               TEXT("lane", lane),
                                               WORD("kind", kind, item_kinds),
                                               WORD("state", state, item_states),
                                               TIME("since", since_ms),
                                               {0}};
static const char *const outbox_params[] = {"event", "rule",  "lane", "kind",
                                            "state", "since", PAGING};
static void get_outbox(struct sh_api_call *c)
{
    static const struct list l = {SH_LIST_OUTBOX, false, outbox_filters};
    get_list(c, &l);
}

static const char *const timer_kinds[] = {"timer", "clock", NULL};
static const struct filter timer_filters[] = {TEXT("event", event_id),
                                              TEXT("type", type),
                                              TEXT("key", key),
                                              TEXT("rule", rule),
                                              WORD("kind", kind, timer_kinds),
                                              TIME("due_after", due_after_ms),
                                              TIME("due_before", due_before_ms),
                                              {0}};
static const char *const timer_params[] = {"event", "type",      "key",        "rule",
                                           "kind",  "due_after", "due_before", PAGING};
static void get_timers(struct sh_api_call *c)
{
    static const struct list l = {SH_LIST_TIMERS, false, timer_filters};
    get_list(c, &l);
}

static const struct filter generation_filters[] = {TIME("since", since_ms), {0}};
static const char *const generation_params[] = {"since", PAGING};
static void get_generations(struct sh_api_call *c)
{
    static const struct list l = {SH_LIST_GENERATIONS, false, generation_filters};
    get_list(c, &l);
}

static const struct filter audit_filters[] = {TEXT("who", who),        TEXT("action", action),
                                              TEXT("target", target),  TIME("since", since_ms),
                                              TIME("until", until_ms), {0}};
static const char *const audit_params[] = {"who", "action", "target", "since", "until", PAGING};
static void get_audit(struct sh_api_call *c)
{
    static const struct list l = {SH_LIST_AUDIT, false, audit_filters};
    get_list(c, &l);
}

/* --- records ------------------------------------------------------------------------------------
 */

static const struct filter record_filters[] = {TIME("since", since_ms), {0}};
static const char *const record_params[] = {"since", PAGING};

static void answer_records(const struct sh_api_call *c, struct sh_store_view *v,
                           struct sh_api_answer *a)
{
    const struct question *q = c->data;
    struct sh_page page;
    if (!read_page(q, v, &page, &a->err))
        return;
    cJSON *tree = sh_api_list_tree(c, page.rows, page.next);
    const bool empty = cJSON_GetArraySize(page.rows) == 0;
    if (empty && !q->after && !q->q.since_ms) {
        sh_error_set(&a->err, SH_ENOTFOUND, "there is no collection \"%.100s\"", q->q.collection);
        cJSON_Delete(tree);
        tree = NULL;
    }
    sh_api_answer_tree(a, tree);
}

static void get_records(struct sh_api_call *c)
{
    static const struct list l = {SH_LIST_RECORDS, true, record_filters};
    struct question *q = ask(c, &l);
    if (!q)
        return;
    q->q.collection = c->segment[0];
    sh_api_read(c, answer_records);
}

static void answer_collections(const struct sh_api_call *c, struct sh_store_view *v,
                               struct sh_api_answer *a)
{
    cJSON *rows = sh_store_view_counts(v, &a->err);
    sh_api_answer_tree(a, rows ? sh_api_list_tree(c, rows, NULL) : NULL);
}

static void get_collections(struct sh_api_call *c)
{
    sh_api_read(c, answer_collections);
}

/* --- dead letters: runs, then deliveries
 * ---------------------------------------------------------- */

static const struct filter dead_filters[] = {TIME("since", since_ms), {0}};
static const char *const dead_params[] = {"since", "limit", "cursor", NULL};

/* The rows of one kind behind `after`, each wrapped as {"what", ...}. Places in the second kind
 * begin with an 'o', in the first with an 'r'. */
static bool add_dead(const struct question *q, struct sh_store_view *v, bool runs,
                     const char *after, struct sh_page *page, cJSON *all, struct sh_error *err)
{
    const struct sh_list_query query = {
        .what = runs ? SH_LIST_RUNS : SH_LIST_OUTBOX, .state = "dead", .since_ms = q->q.since_ms};
    const size_t had = (size_t)cJSON_GetArraySize(all);
    *page = q->page;
    page->after = after;
    page->limit -= had;
    if (page->limit == 0) {
        page->rows = NULL;
        page->next = sh_strdup("");
        return true;
    }
    if (!sh_store_view_page(v, &query, page, err))
        return false;
    for (cJSON *row; (row = cJSON_DetachItemFromArray(page->rows, 0)) != NULL;) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "what", runs ? "run" : "delivery");
        cJSON_AddItemToObject(item, runs ? "run" : "item", row);
        cJSON_AddItemToArray(all, item);
    }
    cJSON_Delete(page->rows);
    return true;
}

static void answer_dead(const struct sh_api_call *c, struct sh_store_view *v,
                        struct sh_api_answer *a)
{
    const struct question *q = c->data;
    const char *after = q->after;
    bool runs = !after || *after == 'r';
    cJSON *all = cJSON_CreateArray();
    struct sh_page page = {0};
    bool ok = !after || *after == 'r' || *after == 'o' ||
              sh_error_set(&a->err, SH_EINVAL, "this is no place to go on from");
    if (after && *after)
        after = after[1] ? after + 1 : NULL;
    if (ok && runs) {
        ok = add_dead(q, v, true, after, &page, all, &a->err);
        runs = ok && page.next; /* there are more of them */
        after = NULL;
    }
    if (ok && !runs)
        ok = add_dead(q, v, false, after, &page, all, &a->err);
    char *next = ok && page.next ? sh_strf("%c%s", runs ? 'r' : 'o', page.next) : NULL;
    free(page.next);
    if (ok)
        sh_api_answer_tree(a, sh_api_list_tree(c, all, next));
    else
        cJSON_Delete(all);
}

static void get_dead(struct sh_api_call *c)
{
    static const struct list l = {SH_LIST_RUNS, false, dead_filters};
    if (ask(c, &l))
        sh_api_read(c, answer_dead);
}

/* --- routes
 * --------------------------------------------------------------------------------------- */

#define LIST(path, least, known, handler, text)                                                    \
    {                                                                                              \
        .method = SH_HTTP_GET, .pattern = "/api/v1/" path, .role = (least), .params = (known),     \
        .fn = (handler), .summary = (text)                                                         \
    }

static const struct sh_api_route list[] = {
    LIST("events", SH_ROLE_VIEWER, event_params, get_events, "Events"),
    LIST("runs", SH_ROLE_VIEWER, run_params, get_runs, "Runs of rules"),
    LIST("records", SH_ROLE_VIEWER, NULL, get_collections, "Collections of records"),
    LIST("records/{collection}", SH_ROLE_VIEWER, record_params, get_records,
         "Records of a collection"),
    LIST("callbacks", SH_ROLE_VIEWER, callback_params, get_callbacks, "Callbacks"),
    LIST("outbox", SH_ROLE_VIEWER, outbox_params, get_outbox, "Deliveries"),
    LIST("dead", SH_ROLE_VIEWER, dead_params, get_dead, "Dead letters: runs, then deliveries"),
    LIST("timers", SH_ROLE_VIEWER, timer_params, get_timers, "Timers and clock rules"),
    LIST("generations", SH_ROLE_VIEWER, generation_params, get_generations,
         "Rule sets that went live"),
    LIST("audit", SH_ROLE_ADMIN, audit_params, get_audit, "Who changed what"),
};

const struct sh_api_routes sh_api_list_routes = {list, sizeof(list) / sizeof(*list)};
