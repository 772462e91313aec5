/* SPDX-License-Identifier: MIT
 * api_live.c: who listens, and what they are told. */
#include "app/api_live.h"

#include "app/api_impl.h"
#include "base/clock.h"
#include "svc/json.h"
#include "svc/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS      64
#define TICK_MS      250
#define TICKS_ASK    4  /* between two looks at who may still listen */
#define TICKS_STATUS 8  /* between two of the status */
#define TICKS_ALIVE  60 /* between two heartbeats */
#define UNSENT_BYTES                                                                               \
    ((size_t)16384) /* past it nothing is added: changes merge, figures are left out */
#define MESSAGE_BYTES ((size_t)8 << 10)
#define REST          20 /* times as long as the store took to say how it is: until it is asked again */

struct listener {
    struct sh_api_live *live;
    struct sh_http_stream *stream;
    struct sh_api_caller caller; /* texts owned */
    unsigned topics;             /* changed, and not said yet */
    TAILQ_ENTRY(listener) link;
};

struct sh_api_live {
    struct sh_api *api;
    struct sh_timer *tick;
    TAILQ_HEAD(, listener) listeners;
    size_t n;
    unsigned ticks;
    char generation[SH_GENERATION_TEXT]; /* the live one, as was said last */
    int64_t reloads_failed;
    bool asked; /* for the status */
    int64_t asked_us, rest_until_us;
};

/* --- listeners ------------------------------------------------------------------------------- */

static void listener_free(struct listener *one)
{
    struct sh_api_live *l = one->live;
    TAILQ_REMOVE(&l->listeners, one, link);
    l->n--;
    sh_meter_set_live(l->api->config.meter, l->n);
    if (l->n == 0)
        sh_timer_cancel(l->tick);
    free((char *)one->caller.who);
    free((char *)one->caller.peer);
    free(one);
}

static void on_gone(void *arg)
{
    listener_free(arg);
}

static void end(struct listener *one)
{
    sh_http_stream_end(one->stream);
    listener_free(one);
}

static struct listener *listener_new(struct sh_api_live *l, const struct sh_api_caller *caller)
{
    struct listener *one = sh_alloc(1, sizeof(*one));
    one->live = l;
    one->caller = *caller;
    one->caller.who = sh_strdup(caller->who);
    one->caller.peer = sh_strdup(caller->peer);
    TAILQ_INSERT_TAIL(&l->listeners, one, link);
    l->n++;
    sh_meter_set_live(l->api->config.meter, l->n);
    return one;
}

/* Of one token, or of nobody's: whoever holds one has it in every tab and at every desk. */
static bool is_same(const struct listener *one, const struct sh_api_caller *caller)
{
    return memcmp(one->caller.token, caller->token, sizeof(caller->token)) == 0;
}

static size_t streams_of(const struct sh_api_live *l, const struct sh_api_caller *caller)
{
    const struct listener *one;
    size_t n = 0;
    TAILQ_FOREACH(one, &l->listeners, link)
    n += is_same(one, caller);
    return n;
}

/* A place for one more of this caller: free, or that of the oldest of whoever has most, if they
 * then still have as many as this caller. So nobody keeps the others out. */
static bool make_room(struct sh_api_live *l, const struct sh_api_caller *caller)
{
    struct listener *one, *of_most = NULL;
    size_t most = streams_of(l, caller) + 1;
    if (l->n < STREAMS)
        return true;
    TAILQ_FOREACH(one, &l->listeners, link)
    {
        const size_t n = streams_of(l, &one->caller);
        if (n <= most)
            continue;
        most = n;
        of_most = one;
    }
    if (of_most)
        end(of_most);
    return of_most != NULL;
}

/* --- what is said ---------------------------------------------------------------------------- */

/* "event: NAME", its data: a tree, which is deleted. In JSON there is no line end. */
static void add_message(struct sh_buf *b, const char *name, cJSON *data)
{
    sh_buf_addf(b, "event: %s\ndata: ", name);
    sh_require(sh_json_print(data, b));
    sh_buf_adds(b, "\n\n");
    sh_require(sh_buf_ok(b));
    cJSON_Delete(data);
}

static void say(const struct listener *one, const struct sh_buf *b)
{
    sh_http_stream_send(one->stream, sh_slice(b->data, b->len));
}

static bool is_behind(const struct listener *one)
{
    return sh_http_stream_unsent(one->stream) > UNSENT_BYTES;
}

static void say_hello(const struct listener *one)
{
    struct sh_buf b;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "version", SH_VERSION);
    cJSON_AddStringToObject(o, "generation", sh_live_generation(one->live->api->config.live)->id);
    sh_buf_init(&b, MESSAGE_BYTES);
    sh_buf_adds(&b, "retry: 2000\n");
    add_message(&b, "hello", o);
    say(one, &b);
    sh_buf_free(&b);
}

static void say_topics(struct listener *one)
{
    static const char *const names[SH_N_TOPICS] = {"events",  "runs",   "callbacks", "outbox",
                                                   "records", "timers", "rules",     "generations"};
    struct sh_buf b;
    cJSON *o = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(o, "topics");
    for (size_t i = 0; i < SH_N_TOPICS; i++)
        if (one->topics & 1U << i)
            cJSON_AddItemToArray(list, cJSON_CreateString(names[i]));
    sh_buf_init(&b, MESSAGE_BYTES);
    add_message(&b, "change", o);
    say(one, &b);
    sh_buf_free(&b);
    one->topics = 0;
}

static void say_alive(const struct sh_api_live *l)
{
    const struct listener *one;
    TAILQ_FOREACH(one, &l->listeners, link)
    if (!is_behind(one))
        sh_http_stream_send(one->stream, SH_SLICE(":\n\n"));
}

/* --- figures ---------------------------------------------------------------------------------- */

static const cJSON *member_at(const cJSON *tree, const char *a, const char *b)
{
    return sh_json_member(sh_json_member(tree, a), b);
}

static void copy_to(cJSON *o, const char *name, const cJSON *value)
{
    cJSON_AddItemToObject(o, name, value ? cJSON_Duplicate(value, true) : cJSON_CreateNull());
}

/* Callbacks that are not closed, of the four states that the status tells. */
static void add_callbacks(cJSON *o, const cJSON *callbacks)
{
    const cJSON *one;
    double open = 0;
    cJSON *mine = cJSON_AddObjectToObject(o, "callbacks");
    cJSON_ArrayForEach(one, callbacks) open += one->valuedouble;
    copy_to(mine, "due", sh_json_member(callbacks, "due"));
    copy_to(mine, "missed", sh_json_member(callbacks, "missed"));
    cJSON_AddItemToObject(mine, "open", sh_json_int((int64_t)open));
}

static cJSON *figures(const cJSON *status)
{
    cJSON *o = cJSON_CreateObject();
    copy_to(o, "backlog", member_at(status, "backlog", "events"));
    copy_to(o, "running", member_at(status, "backlog", "running"));
    copy_to(o, "retries", member_at(status, "backlog", "retries"));
    copy_to(o, "outbox", member_at(status, "backlog", "outbox"));
    copy_to(o, "dead", sh_json_member(status, "dead"));
    add_callbacks(o, sh_json_member(status, "callbacks"));
    copy_to(o, "paused", member_at(status, "paused", "rules"));
    copy_to(o, "refusing", sh_json_member(status, "refusing"));
    copy_to(o, "rates", sh_json_member(status, "rates"));
    return o;
}

static void on_status(void *arg, const cJSON *status)
{
    struct sh_api_live *l = arg;
    struct listener *one;
    struct sh_buf b;
    const int64_t now_us = sh_mono_us();
    l->asked = false;
    l->rest_until_us = now_us + REST * (now_us - l->asked_us);
    sh_buf_init(&b, MESSAGE_BYTES);
    add_message(&b, "status", figures(status));
    TAILQ_FOREACH(one, &l->listeners, link)
    if (!is_behind(one))
        say(one, &b);
    sh_buf_free(&b);
}

/* Nobody waits for the answer: where the store is slow, it is asked less often. */
static void ask_status(struct sh_api_live *l)
{
    const int64_t now_us = sh_mono_us();
    if (l->asked || now_us < l->rest_until_us)
        return;
    l->asked = true;
    l->asked_us = now_us;
    sh_status_ask(l->api->config.status, on_status, l);
}

/* --- ticking ---------------------------------------------------------------------------------- */

/* What the store does not know of: which rules are live, and that others did not load. */
static unsigned changes_of_rules(struct sh_api_live *l)
{
    const struct sh_generation *live = sh_live_generation(l->api->config.live);
    struct sh_reload *reload = sh_live_reload(l->api->config.live);
    struct sh_reload_stats stats = {0};
    if (reload)
        sh_reload_stats(reload, &stats);
    if (strcmp(live->id, l->generation) == 0 && stats.failed == l->reloads_failed)
        return 0;
    snprintf(l->generation, sizeof(l->generation), "%s", live->id);
    l->reloads_failed = stats.failed;
    return SH_TOPIC_RULES | SH_TOPIC_GENERATIONS;
}

static unsigned changes(struct sh_api_live *l)
{
    return sh_store_changes(l->api->config.store) | changes_of_rules(l);
}

static void let_go(struct sh_api_live *l)
{
    struct listener *one, *next;
    for (one = TAILQ_FIRST(&l->listeners); one; one = next) {
        next = TAILQ_NEXT(one, link);
        if (!sh_api_is_still_in(l->api, &one->caller))
            end(one);
    }
}

static void on_tick(void *arg)
{
    struct sh_api_live *l = arg;
    struct listener *one;
    const unsigned topics = changes(l), n = ++l->ticks;
    if (n % TICKS_ASK == 0)
        let_go(l);
    TAILQ_FOREACH(one, &l->listeners, link)
    {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
        one->topics |= topics;
        if (one->topics && !is_behind(one))
            say_topics(one);
    }
    if (n % TICKS_STATUS == 0)
        ask_status(l);
    if (n % TICKS_ALIVE == 0)
        say_alive(l);
    if (l->n)
        sh_timer_set(l->tick, TICK_MS);
}

/* --- the endpoint ------------------------------------------------------------------------------
 */

/* What was written before is no news to the first one. */
static void begin(struct sh_api_live *l)
{
    (void)changes(l);
    l->ticks = 0;
    sh_timer_set(l->tick, TICK_MS);
}

static void get_live(struct sh_api_call *c)
{
    struct sh_api_live *l = c->api->live;
    static const char type[] = "text/event-stream";
    const bool head = sh_http_method(c->req) == SH_HTTP_HEAD;
    if (!head && !make_room(l, &c->caller)) {
        sh_api_fail(c, 503, "overloaded", "%d live streams are open already; try again later",
                    STREAMS);
        return;
    }
    sh_api_header(c, "X-Accel-Buffering", "no"); /* nginx would keep what comes until it is much */
    if (head) {
        sh_api_reply_text(c, 200, type, sh_slice("", 0));
        return;
    }
    struct listener *one = listener_new(l, &c->caller);
    one->stream = sh_api_stream(c, type, on_gone, one);
    if (!one->stream) {
        listener_free(one);
        return;
    }
    if (l->n == 1)
        begin(l);
    say_hello(one);
    ask_status(l);
}

/* --- life ------------------------------------------------------------------------------------- */

struct sh_api_live *sh_api_live_new(struct sh_api *api)
{
    struct sh_api_live *l = sh_alloc(1, sizeof(*l));
    l->api = api;
    TAILQ_INIT(&l->listeners);
    l->tick = sh_timer_new(api->config.base, on_tick, l);
    return l;
}

void sh_api_live_stop(struct sh_api_live *l)
{
    struct listener *one;
    while ((one = TAILQ_FIRST(&l->listeners)) != NULL)
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
        end(one);
}

void sh_api_live_free(struct sh_api_live *l)
{
    if (!l)
        return;
    sh_api_live_stop(l);
    sh_timer_free(l->tick);
    free(l);
}

static const struct sh_api_route list[] = {
    {.method = SH_HTTP_GET,
     .pattern = "/api/v1/live",
     .role = SH_ROLE_VIEWER,
     .fn = get_live,
     .summary = "What changes, as it changes"},
};

const struct sh_api_routes sh_api_live_routes = {list, sizeof(list) / sizeof(*list)};
