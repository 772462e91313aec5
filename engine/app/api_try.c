/* SPDX-License-Identifier: MIT
 * api_try.c: an event tried against the live rules, and why rules did what they did with one that
 * is stored. Both in a playground: here a question is put together, and its answer handed on. */
#include "app/api_impl.h"
#include "app/playground.h"
#include "app/playground_work.h"
#include "app/sent.h"
#include "app/sim_replies.h"
#include "app/suggest.h"
#include "app/units.h"
#include "base/clock.h"
#include "core/dispatch.h"
#include "svc/json.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_EVENTS 1000               /* in one attempt */
#define MOST_RUNS   1000               /* of one event */
#define MOST_SETS   200                /* rule sets that are looked through, newest first */
#define MOST_BYTES  ((size_t)64 << 20) /* of an event, which the HTTP server limits before */
#define RETRY_AFTER "5"

/* A question that is put together: the call's data. */
struct ask {
    cJSON *what;
    struct sh_slice *bodies; /* owned, and so is each */
    size_t n_bodies;
    struct sh_generation *generation; /* of the event's runs; NULL: the live one */
    struct sh_error err;
};

static void ask_free(void *data)
{
    struct ask *a = data;
    for (size_t i = 0; i < a->n_bodies; i++)
        free((char *)(uintptr_t)a->bodies[i].p);
    free(a->bodies);
    cJSON_Delete(a->what);
    sh_generation_free(a->generation);
    free(a);
}

static struct ask *ask_new(struct sh_api_call *c)
{
    struct ask *a = sh_alloc(1, sizeof(*a));
    a->what = cJSON_CreateObject();
    c->data = a;
    c->drop = ask_free;
    return a;
}

static void add_body(struct ask *a, struct sh_buf *text)
{
    size_t n;
    char *bytes = sh_buf_take(text, &n);
    a->bodies = sh_realloc(a->bodies, (a->n_bodies + 1) * sizeof(*a->bodies));
    a->bodies[a->n_bodies++] = sh_slice(bytes, n);
}

/* --- to the playground and back -------------------------------------------------------------- */

static void on_tried(void *arg, int status, struct sh_slice json)
{
    struct sh_api_call *c = arg;
    if (status == 503)
        sh_api_header(c, "Retry-After", RETRY_AFTER);
    sh_api_reply_text(c, status, NULL, json);
}

static void add_held(void *arg, const char *rule, enum sh_rule_state state)
{
    (void)state;
    cJSON_AddItemToArray(arg, cJSON_CreateString(rule));
}

static void play(struct sh_api_call *c)
{
    struct ask *a = c->data;
    const struct sh_api_config *config = &c->api->config;
    sh_dispatch_held(config->dispatch, add_held, cJSON_AddArrayToObject(a->what, "held"));
    const struct sh_play question = {.generation = a->generation ? a->generation
                                                                 : sh_live_generation(config->live),
                                     .what = a->what,
                                     .bodies = a->bodies,
                                     .n_bodies = a->n_bodies,
                                     .token = c->caller.token};
    if (sh_playground_try(c->api->playground, &question, on_tried, c))
        return;
    if (sh_playground_stopped(c->api->playground))
        sh_api_fail(c, 503, "stopping", "the engine is stopping");
    else
        sh_api_fail(c, 503, "overloaded", "too much is being tried; try again later");
}

/* --- an attempt: the request, read strictly. False: the call is answered and gone ------------- */

#define BAD(c, field, ...)                                                                         \
    (sh_api_fail_at(c, 400, "invalid_field", "field", field, __VA_ARGS__), false)

static bool read_time(struct sh_api_call *c, cJSON *what)
{
    int64_t now_ms = sh_now_ms();
    const cJSON *now = sh_json_member(c->body, "now");
    if (now && (!cJSON_IsString(now) ||
                !sh_time_parse(now->valuestring, strlen(now->valuestring), &now_ms)))
        return BAD(c, "now", "now: expected a time such as \"2026-06-12T10:04:21Z\"");
    cJSON_AddItemToObject(what, "now_ms", sh_json_int(now_ms));
    return true;
}

static bool read_rule(struct sh_api_call *c, cJSON *what)
{
    const cJSON *rule = sh_json_member(c->body, "rule"), *one;
    const cJSON *rules = sh_live_rules(c->api->config.live);
    const char *name = sh_json_string(c->body, "rule");
    const char **names = sh_alloc((size_t)cJSON_GetArraySize(rules) + 1, sizeof(*names));
    size_t n = 0;
    bool found = !rule;
    cJSON_ArrayForEach(one, rules)
    {
        names[n] = sh_json_string(one, "name");
        found = found || (name && strcmp(names[n], name) == 0);
        n++;
    }
    const char *near = name && !found ? sh_suggest(name, names, n) : NULL;
    if (name && found)
        cJSON_AddStringToObject(what, "rule", name);
    else if (!found && near)
        (void)BAD(c, "rule", "there is no rule \"%.200s\"; did you mean \"%.200s\"?", name, near);
    else if (!found)
        (void)BAD(c, "rule", "there is no rule \"%.200s\"", name ? name : "");
    free(names);
    return found;
}

/* The path and the headers of the request that is tried. */
static bool read_sent(struct sh_api_call *c, cJSON *what, struct sh_sent *sent)
{
    const cJSON *path = sh_json_member(c->body, "path"),
                *headers = sh_json_member(c->body, "headers"), *header;
    if (path && (!cJSON_IsString(path) || *path->valuestring != '/'))
        return BAD(c, "path", "path: expected the path of a request, such as \"/hooks/pbx/acme\"");
    if (headers && !cJSON_IsObject(headers))
        return BAD(c, "headers", "headers: expected {\"X-Name\":\"value\"}");
    cJSON_ArrayForEach(header, headers)
    {
        if (!cJSON_IsString(header) ||
            !sh_sent_add(sent, sh_slice_str(header->string), sh_slice_str(header->valuestring)))
            return BAD(c, "headers", "headers: expected {\"X-Name\":\"value\"}, %d at most",
                       SH_SENT_HEADERS);
    }
    sent->path = path ? sh_strdup(path->valuestring) : NULL;
    if (path)
        cJSON_AddStringToObject(what, "path", path->valuestring);
    if (headers)
        cJSON_AddItemToObject(what, "headers", cJSON_Duplicate(headers, true));
    return true;
}

/* By its name, by the request's path, the only one, or webphone. */
static const struct sh_source_config *find_source(const struct sh_config *config, const char *name,
                                                  const struct sh_sent *sent)
{
    const struct sh_source_config *by_path = sh_sent_source(sent, config);
    return name                     ? sh_config_source(config, name)
           : by_path                ? by_path
           : config->n_sources == 1 ? &config->sources[0]
                                    : sh_config_source(config, "webphone");
}

static bool read_source(struct sh_api_call *c, cJSON *what, const struct sh_sent *sent)
{
    const struct sh_config *config = c->api->config.config;
    const cJSON *source = sh_json_member(c->body, "source");
    const char *name = sh_json_string(c->body, "source");
    const struct sh_source_config *found = source && !name ? NULL : find_source(config, name, sent);
    if (found) {
        cJSON_AddItemToObject(what, "source", sh_play_source(found));
        return true;
    }
    char all[400] = "";
    for (size_t i = 0; config->sources && i < config->n_sources; i++) {
        const size_t n = strlen(all);
        snprintf(all + n, sizeof(all) - n, "%s%s", i ? ", " : "", config->sources[i].source.name);
    }
    return name ? BAD(c, "source", "there is no source \"%.100s\"; configured: %s", name, all)
                : BAD(c, "source", "source: expected the name of one: %s", all);
}

/* {"@advance":"15m"} and nothing else: *ms. */
static bool is_advance(const cJSON *event, int64_t *ms)
{
    const char *text = sh_json_string(event, "@advance");
    return text && !event->child->next && sh_parse_duration(text, ms) && *ms >= 0;
}

static void add_advance(cJSON *steps, int64_t ms)
{
    cJSON *step = cJSON_CreateObject();
    cJSON_AddItemToObject(step, "advance_ms", sh_json_int(ms));
    cJSON_AddItemToArray(steps, step);
}

static void add_event(struct ask *a, cJSON *steps, const cJSON *event, bool is_text)
{
    struct sh_buf text;
    cJSON *step = cJSON_CreateObject();
    sh_buf_init(&text, MOST_BYTES);
    if (is_text)
        sh_buf_adds(&text, event->valuestring);
    else
        sh_require(sh_json_print(event, &text));
    cJSON_AddItemToObject(step, "body", sh_json_int((int64_t)a->n_bodies));
    cJSON_AddBoolToObject(step, "is_text", is_text);
    cJSON_AddItemToArray(steps, step);
    add_body(a, &text);
}

static bool read_events(struct sh_api_call *c, struct ask *a, cJSON *steps, const cJSON *events)
{
    const cJSON *event;
    int64_t ms;
    const int n = cJSON_GetArraySize(events);
    if (!cJSON_IsArray(events) || n < 1 || n > MOST_EVENTS)
        return BAD(c, "events", "events: expected a list of 1 to %d events", MOST_EVENTS);
    cJSON_ArrayForEach(event, events)
    {
        if (is_advance(event, &ms))
            add_advance(steps, ms);
        else
            add_event(a, steps, event, false);
    }
    return true;
}

static bool read_steps(struct sh_api_call *c, struct ask *a)
{
    const cJSON *event = sh_json_member(c->body, "event"), *body = sh_json_member(c->body, "body"),
                *events = sh_json_member(c->body, "events"),
                *advance = sh_json_member(c->body, "advance");
    cJSON *steps = cJSON_AddArrayToObject(a->what, "steps");
    int64_t ms = 0;
    if ((event != NULL) + (body != NULL) + (events != NULL) != 1)
        return BAD(c, "event",
                   "expected one of event (its JSON), events (a list of them) and body (a text as "
                   "it is sent)");
    if (body && !cJSON_IsString(body))
        return BAD(c, "body", "body: expected a text, as it is sent");
    if (events && !read_events(c, a, steps, events))
        return false;
    if (!events)
        add_event(a, steps, event ? event : body, body != NULL);
    cJSON_AddBoolToObject(a->what, "single", !events);
    if (advance &&
        (!cJSON_IsString(advance) || !sh_parse_duration(advance->valuestring, &ms) || ms < 0))
        return BAD(c, "advance", "advance: expected a duration such as \"2h\"");
    if (ms > 0)
        add_advance(steps, ms);
    return true;
}

static bool read_replies(struct sh_api_call *c, cJSON *what)
{
    const cJSON *replies = sh_json_member(c->body, "replies");
    struct sh_error err;
    if (!replies)
        return true;
    if (!sh_sim_replies_check(replies, &err))
        return BAD(c, "replies", "replies: %.400s", err.msg);
    cJSON_AddItemToObject(what, "replies", cJSON_Duplicate(replies, true));
    return true;
}

static void post_try(struct sh_api_call *c)
{
    struct ask *a = ask_new(c);
    struct sh_sent sent = {0};
    const bool ok = read_sent(c, a->what, &sent) && read_source(c, a->what, &sent) &&
                    read_time(c, a->what) && read_rule(c, a->what) && read_replies(c, a->what) &&
                    read_steps(c, a);
    sh_sent_clear(&sent);
    if (ok)
        play(c);
}

/* --- why ------------------------------------------------------------------------------------- */

static struct sh_api_call *call_of(struct sh_api_job *job)
{
    return (struct sh_api_call *)((char *)job - offsetof(struct sh_api_call, job));
}

static void add_time(cJSON *event, const char *name, const cJSON *row, const char *member)
{
    int64_t ms = 0;
    const char *text = sh_json_string(row, member);
    if (text && sh_time_parse(text, strlen(text), &ms))
        cJSON_AddItemToObject(event, name, sh_json_int(ms));
}

static void add_text(cJSON *event, const char *name, const cJSON *row, const char *member)
{
    const char *text = sh_json_string(row, member);
    if (text)
        cJSON_AddStringToObject(event, name, text);
}

static int64_t format_of(const cJSON *row)
{
    const char *format = sh_json_string(row, "format");
    return format && strcmp(format, "form") == 0  ? SH_BODY_FORM
           : format && strcmp(format, "jwt") == 0 ? SH_BODY_JWT
                                                  : SH_BODY_JSON;
}

/* The event as the rules saw it; its clock then is the clock now. */
static void add_stored(cJSON *what, const cJSON *row)
{
    cJSON *event = cJSON_AddObjectToObject(what, "event");
    add_text(event, "id", row, "id");
    add_text(event, "source", row, "source");
    add_text(event, "type", row, "type");
    add_text(event, "key", row, "key");
    add_text(event, "trace", row, "trace_id");
    add_time(event, "received_ms", row, "received_at");
    add_time(event, "due_ms", row, "due_at");
    add_time(event, "occurred_ms", row, "occurred_at");
    add_time(what, "now_ms", row, "received_at");
    cJSON_AddItemToObject(event, "format", sh_json_int(format_of(row)));
}

static bool read_stored(struct ask *a, struct sh_store_view *v, const char *id)
{
    struct sh_buf body;
    cJSON *row = sh_store_view_get(v, SH_LIST_EVENTS, NULL, id, &a->err);
    if (!row)
        return false;
    add_stored(a->what, row);
    cJSON_Delete(row);
    sh_buf_init(&body, MOST_BYTES);
    if (!sh_store_view_body(v, id, &body, &a->err)) {
        sh_buf_free(&body);
        return false;
    }
    add_body(a, &body);
    return true;
}

/* The rule set that was live when the event came, if it is kept: none of its rules had anything to
 * do with it, or their runs are gone. Owned, or NULL. */
static struct sh_generation *live_then(struct sh_store_view *v, int64_t at_ms)
{
    const struct sh_list_query q = {.what = SH_LIST_GENERATIONS};
    struct sh_page page = {.limit = MOST_SETS, .max_bytes = SH_API_ANSWER_BYTES};
    struct sh_generation *g = NULL;
    struct sh_error unkept;
    const cJSON *row;
    if (!sh_store_view_page(v, &q, &page, &unkept))
        return NULL;
    cJSON_ArrayForEach(row, page.rows) /* newest first */
    {
        int64_t live_ms = 0;
        const char *at = sh_json_string(row, "live_at"), *id = sh_json_string(row, "generation");
        if (!at || !id || !sh_time_parse(at, strlen(at), &live_ms) || live_ms > at_ms)
            continue;
        g = sh_store_view_generation(v, id, &unkept);
        break;
    }
    cJSON_Delete(page.rows);
    free(page.next);
    return g;
}

/* The rule set that ran on it, where a run says so and it is still kept. */
static bool read_runs(struct ask *a, struct sh_store_view *v, const char *id)
{
    const struct sh_list_query q = {.what = SH_LIST_RUNS, .event_id = id};
    struct sh_page page = {.ascending = true, .limit = MOST_RUNS, .max_bytes = SH_API_ANSWER_BYTES};
    struct sh_error unkept;
    if (!sh_store_view_page(v, &q, &page, &a->err))
        return false;
    free(page.next);
    const char *ran = sh_json_string(page.rows->child, "generation");
    if (ran && *ran)
        a->generation = sh_store_view_generation(v, ran, &unkept);
    cJSON_AddBoolToObject(a->what, "ran", a->generation != NULL);
    int64_t at_ms = 0;
    if (!a->generation && sh_json_get_int(sh_json_member(a->what, "now_ms"), &at_ms))
        a->generation = live_then(v, at_ms);
    cJSON_AddBoolToObject(a->what, "then", a->generation != NULL);
    cJSON_AddItemToObject(a->what, "runs", page.rows);
    return true;
}

/* On the reader's thread. */
static void read_why(struct sh_api_job *job, struct sh_store_view *v, const struct sh_error *err)
{
    struct sh_api_call *c = call_of(job);
    struct ask *a = c->data;
    if (!v)
        sh_error_set(&a->err, SH_ESYS, "%s", err->msg);
    else if (read_stored(a, v, c->segment[0]))
        (void)!read_runs(a, v, c->segment[0]);
}

static void add_mask(cJSON *what, const struct sh_masking *mask)
{
    if (!mask)
        return;
    cJSON *o = cJSON_AddObjectToObject(what, "mask");
    cJSON_AddBoolToObject(o, "numbers", mask->numbers);
    cJSON *fields = cJSON_AddArrayToObject(o, "fields");
    for (char **f = mask->fields; f && *f; f++)
        cJSON_AddItemToArray(fields, cJSON_CreateString(*f));
}

static void on_read(struct sh_api_job *job, bool begun)
{
    struct sh_api_call *c = call_of(job);
    const struct ask *a = c->data;
    if (!begun) {
        sh_api_fail(c, 503, "stopping", "the engine is stopping");
    } else if (a->err.code != SH_OK) {
        sh_api_fail_store(c, &a->err);
    } else {
        add_mask(a->what, sh_api_mask(c));
        play(c);
    }
}

static void get_why(struct sh_api_call *c)
{
    (void)ask_new(c);
    c->job = (struct sh_api_job){.work = read_why, .done = on_read, .whose = sh_api_whose(c)};
    if (!sh_api_reader_add(c->api->reader, &c->job))
        sh_api_fail(c, 503, "overloaded", "too many questions are being answered; ask again later");
}

static const char *const fields[] = {"source", "event",   "events", "body",    "path", "headers",
                                     "now",    "advance", "rule",   "replies", NULL};

static const struct sh_api_route list[] = {
    {.method = SH_HTTP_POST,
     .pattern = "/api/v1/try",
     .role = SH_ROLE_OPERATOR,
     .fields = fields,
     .body_bytes = MOST_BYTES,
     .fn = post_try,
     .summary = "What the live rules would do with an event; nothing is kept"},
    {.method = SH_HTTP_GET,
     .pattern = "/api/v1/events/{id}/why",
     .role = SH_ROLE_VIEWER,
     .fn = get_why,
     .summary = "Why each rule ran on an event, or did not"},
};

const struct sh_api_routes sh_api_try_routes = {list, sizeof(list) / sizeof(*list)};
