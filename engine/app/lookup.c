/* SPDX-License-Identifier: MIT
 * lookup.c: look-ups of runs: each waits its turn at its host, within its time, or shares the call
 * that another one has under way.
 *
 * An ask is one question of a run; a flight is one call for one or more of them. Each ask has its
 * own time; a flight is given up when nobody waits for it any more. */
#include "app/lookup_impl.h"

#include "base/clock.h"
#include "svc/json.h"
#include "svc/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#define DEF_TIMEOUT_MS 5000
#define MAX_TIMEOUT_MS 60000
#define DEF_IN_FLIGHT  64
#define DEF_PER_HOST   8
#define MAX_ASKS       100000
#define GRACE_MS       50

struct ask {
    struct sh_lookups *all;
    struct flight *flight; /* NULL: doc is ready */
    struct ask *prev, *next;
    void (*answer)(void *arg, struct sh_slice doc);
    void *arg;
    int64_t deadline_us;
    struct sh_timer *timer; /* of the deadline */
    struct sh_buf doc;
    uint64_t seq; /* ready: when it became so */
};

struct flight {
    struct sh_lookups *all;
    struct host *host;
    struct flight *prev, *next; /* in host->queue or all->flying */
    struct sh_http_call *call;  /* NULL: waits in host->queue */
    struct sh_http_ready ready;
    bool shared; /* in all->shared, under key */
    struct sh_lookup_key key;
    UT_hash_handle hh;
    struct ask *asks;
};

struct host {
    char lane[SH_HTTP_LANE_BYTES];
    UT_hash_handle hh;
    struct host *prev, *next; /* in all->hungry, while its queue is not empty */
    size_t flying;
    struct flight *queue;
};

struct sh_lookups {
    struct sh_lookups_config config;
    struct sh_lookup_cache *cache;
    struct host *hosts, *hungry;
    struct flight *shared, *flying;
    size_t n_flying, n_asks;
    struct ask *ready;
    uint64_t seq;
    struct sh_timer *soon;
};

/* --- Asks ----------------------------------------------------------------------------------- */

/* With its document, on the next turn of the loop. */
static void ready_later(struct ask *a)
{
    struct sh_lookups *l = a->all;
    a->seq = ++l->seq;
    DL_APPEND(l->ready, a);
    sh_timer_set(l->soon, 0);
}

static void fail_later(struct ask *a, const char *error)
{
    sh_lookup_doc_error(a->all->config.hidden, error, &a->doc);
    ready_later(a);
}

static void free_ask(struct ask *a)
{
    a->all->n_asks--;
    sh_timer_free(a->timer);
    sh_buf_free(&a->doc);
    free(a);
}

/* The ask is in no list any more. */
static void tell(struct ask *a, struct sh_slice doc)
{
    a->answer(a->arg, doc);
    free_ask(a);
}

static void on_soon(void *arg)
{
    struct sh_lookups *l = arg;
    const uint64_t last = l->seq; /* what becomes ready meanwhile has its own turn */
    struct ask *a;
    while ((a = l->ready) && a->seq <= last) {
        DL_DELETE(l->ready, a);
        tell(a, sh_slice(a->doc.data, a->doc.len));
    }
}

/* --- Hosts and turns ------------------------------------------------------------------------ */

static struct host *host_of(struct sh_lookups *l, const char *lane)
{
    struct host *h;
    HASH_FIND_STR(l->hosts, lane, h);
    if (h)
        return h;
    h = sh_alloc(1, sizeof(*h));
    snprintf(h->lane, sizeof(h->lane), "%s", lane);
    HASH_ADD_STR(l->hosts, lane, h);
    return h;
}

static void drop_idle_host(struct sh_lookups *l, struct host *h)
{
    if (h->flying || h->queue)
        return;
    HASH_DEL(l->hosts, h);
    free(h);
}

static void enqueue(struct flight *f)
{
    struct sh_lookups *l = f->all;
    if (!f->host->queue)
        DL_APPEND(l->hungry, f->host);
    DL_APPEND(f->host->queue, f);
}

static void dequeue(struct flight *f)
{
    DL_DELETE(f->host->queue, f);
    if (!f->host->queue)
        DL_DELETE(f->all->hungry, f->host);
}

static void on_done(void *arg, const struct sh_http_answer *a);

/* The time of the one who waits longest. */
static int64_t left_ms(const struct flight *f)
{
    int64_t last = 0;
    const struct ask *a;
    DL_FOREACH(f->asks, a)
    {
        last = a->deadline_us > last ? a->deadline_us : last;
    }
    return (last - sh_mono_us()) / 1000;
}

/* While a call is under way the client tells of its end first: it knows better why it is late. */
static void set_timer(struct ask *a)
{
    int64_t grace = a->flight->call ? GRACE_MS : 0;
    sh_timer_set(a->timer, (a->deadline_us - sh_mono_us()) / 1000 + grace);
}

static void launch(struct flight *f)
{
    struct sh_lookups *l = f->all;
    const int64_t left = left_ms(f);
    const struct sh_http_request_out r = {.method = f->ready.method,
                                          .url = f->ready.url,
                                          .headers = (const char *const *)f->ready.headers,
                                          .body = f->ready.body,
                                          .body_len = f->ready.body_len,
                                          .timeout_ms = left > 0 ? left : 1,
                                          .max_answer_bytes = l->config.answer_bytes,
                                          .redirects = f->ready.redirects};
    dequeue(f);
    DL_APPEND(l->flying, f);
    f->host->flying++;
    l->n_flying++;
    f->call = sh_http_client_start(l->config.client, &r, on_done, f);
    struct ask *a;
    DL_FOREACH(f->asks, a)
    {
        set_timer(a);
    }
}

/* Who is too late is told by its timer, and not called for. */
static struct flight *first_in_time(struct host *h)
{
    struct flight *f;
    DL_FOREACH(h->queue, f)
    {
        if (left_ms(f) > 0)
            return f;
    }
    return NULL;
}

/* Whoever's turn it is, host by host. */
static void start_next(struct sh_lookups *l)
{
    struct host *h = l->hungry, *next;
    for (; h && l->n_flying < l->config.in_flight; h = next) {
        next = h->next;
        struct flight *f = h->flying < l->config.per_host ? first_in_time(h) : NULL;
        if (!f)
            continue;
        launch(f);
        if (h->queue) { /* the others first */
            DL_DELETE(l->hungry, h);
            DL_APPEND(l->hungry, h);
            next = next ? next : h;
        }
    }
}

/* --- Flights -------------------------------------------------------------------------------- */

/* Out of every list; its asks stay with it. */
static void land(struct flight *f)
{
    struct sh_lookups *l = f->all;
    if (f->shared)
        HASH_DEL(l->shared, f);
    f->shared = false;
    if (f->call) {
        DL_DELETE(l->flying, f);
        f->host->flying--;
        l->n_flying--;
    } else {
        dequeue(f);
    }
    drop_idle_host(l, f->host);
    f->host = NULL;
}

static void free_flight(struct flight *f)
{
    sh_http_ready_clear(&f->ready);
    free(f);
}

static void on_done(void *arg, const struct sh_http_answer *answer)
{
    struct flight *f = arg;
    struct sh_lookups *l = f->all;
    struct sh_buf doc;
    struct ask *a;
    land(f);
    f->call = NULL;
    sh_lookup_doc_answer(l->config.hidden, answer, &doc);
    if (f->ready.cache_ms > 0 && answer->end == SH_HTTP_ANSWERED && answer->status / 100 == 2)
        sh_lookup_cache_put(l->cache, &f->key, sh_slice(doc.data, doc.len), f->ready.cache_ms,
                            sh_mono_us() / 1000);
    while ((a = f->asks)) {
        DL_DELETE(f->asks, a);
        tell(a, sh_slice(doc.data, doc.len));
    }
    sh_buf_free(&doc);
    free_flight(f);
    start_next(l);
}

/* Nobody waits for it any more. */
static void abandon(struct flight *f)
{
    struct sh_lookups *l = f->all;
    if (f->call)
        sh_http_call_cancel(f->call);
    land(f);
    free_flight(f);
    start_next(l);
}

static void on_deadline(void *arg)
{
    struct ask *a = arg;
    struct flight *f = a->flight;
    char error[SH_HTTP_LANE_BYTES + 100];
    snprintf(error, sizeof(error), "%s: %s", f->host->lane + strlen("http:"),
             f->call ? "no answer in time"
                     : "not called in time: other look-ups were before this one");
    sh_lookup_doc_error(a->all->config.hidden, error, &a->doc);
    DL_DELETE(f->asks, a);
    if (!f->asks)
        abandon(f);
    tell(a, sh_slice(a->doc.data, a->doc.len));
}

static void join(struct ask *a, struct flight *f)
{
    a->flight = f;
    DL_APPEND(f->asks, a);
    a->timer = sh_timer_new(a->all->config.base, on_deadline, a);
    set_timer(a);
}

/* --- Asking --------------------------------------------------------------------------------- */

struct sh_lookup_key sh_lookup_key_of(const struct sh_http_ready *call)
{
    struct sh_lookup_key key;
    struct sh_buf text;
    sh_buf_init(&text, 4 * 1024 * 1024);
    sh_buf_addf(&text, "%d", call->redirects);
    sh_buf_bytes(&text, sh_slice_str(call->method));
    sh_buf_bytes(&text, sh_slice_str(call->url));
    for (char **h = call->headers; h && *h; h++)
        sh_buf_bytes(&text, sh_slice_str(*h));
    sh_buf_bytes(&text, sh_slice(call->body, call->body_len));
    const struct sh_slice whole = sh_slice(text.data, text.len);
    sh_sha256(&whole, 1, key.hash);
    if (text.len)
        explicit_bzero(text.data, text.len);
    sh_buf_free(&text);
    return key;
}

static bool answer_from_cache(struct ask *a, const struct sh_http_ready *call,
                              const struct sh_lookup_key *key)
{
    struct sh_slice doc =
        sh_lookup_cache_get(a->all->cache, key, call->cache_ms, sh_mono_us() / 1000);
    if (!doc.n)
        return false;
    sh_lookup_doc_cached(doc, &a->doc);
    ready_later(a);
    return true;
}

/* Is there a call for the same under way? */
static bool share(struct ask *a, const struct sh_lookup_key *key)
{
    struct flight *f;
    HASH_FIND(hh, a->all->shared, key, sizeof(*key), f);
    if (f)
        join(a, f);
    return f != NULL;
}

static void fly(struct ask *a, struct sh_http_ready *call, const struct sh_lookup_key *key,
                const char *lane)
{
    struct sh_lookups *l = a->all;
    struct flight *f = sh_alloc(1, sizeof(*f));
    f->all = l;
    f->ready = *call; /* its memory is the flight's now */
    f->key = *key;
    f->host = host_of(l, lane);
    f->shared = call->cache_ms > 0;
    if (f->shared)
        HASH_ADD(hh, l->shared, key, sizeof(f->key), f);
    join(a, f);
    enqueue(f);
    start_next(l);
}

/* lane: "http:host:port", an IPv6 host in brackets. */
static bool check_reach(const struct sh_lookups *l, const char *lane, struct sh_error *err)
{
    char host[SH_HTTP_LANE_BYTES];
    snprintf(host, sizeof(host), "%s", lane + strlen("http:"));
    char *colon = strrchr(host, ':'), *name = host;
    sh_require(colon);
    *colon = '\0';
    size_t n = strlen(host);
    if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = '\0';
        name++;
    }
    return sh_reach_host(l->config.reach, name, (int)strtol(colon + 1, NULL, 10), err);
}

static int64_t time_of(const struct sh_lookups *l, int64_t asked_ms)
{
    int64_t ms = asked_ms > 0 ? asked_ms : l->config.timeout_ms;
    return ms < 1 ? DEF_TIMEOUT_MS : ms > MAX_TIMEOUT_MS ? MAX_TIMEOUT_MS : ms;
}

/* Each call is a step of its own in its trace, also one of many for the same. */
static void add_trace(struct sh_http_ready *call, const char *trace)
{
    uint8_t seed[16];
    if (!trace)
        return;
    sh_random(seed, sizeof(seed));
    sh_http_ready_trace(call, trace, sh_slice(seed, sizeof(seed)));
}

static void ask_ready(struct ask *a, struct sh_http_ready *call, const char *lane,
                      const char *trace)
{
    struct sh_lookup_key key = {{0}};
    a->deadline_us = sh_mono_us() + time_of(a->all, call->timeout_ms) * 1000;
    if (call->cache_ms > 0) {
        key = sh_lookup_key_of(call);
        if (answer_from_cache(a, call, &key) || share(a, &key)) {
            sh_http_ready_clear(call);
            return;
        }
    }
    add_trace(call, trace); /* no part of what is asked for */
    fly(a, call, &key, lane);
}

static void ask_doc(struct ask *a, const cJSON *doc, const char *trace)
{
    const struct sh_lookups *l = a->all;
    char lane[SH_HTTP_LANE_BYTES];
    struct sh_http_ready call = {0};
    struct sh_error err;
    if (!sh_http_call_check(doc, true, &err) || !sh_http_call_lane(doc, lane, &err) ||
        !check_reach(l, lane, &err)) {
        fail_later(a, err.msg);
    } else if (!sh_http_call_ready(doc, NULL, l->config.secret, l->config.secret_arg, &call,
                                   &err)) {
        fail_later(a, err.msg);
        sh_http_ready_clear(&call);
    } else {
        ask_ready(a, &call, lane, trace);
    }
}

void sh_lookups_ask(struct sh_lookups *l, struct sh_slice call, const char *trace,
                    void (*answer)(void *arg, struct sh_slice doc), void *arg)
{
    struct ask *a = sh_alloc(1, sizeof(*a));
    struct sh_error err;
    a->all = l;
    a->answer = answer;
    a->arg = arg;
    if (++l->n_asks > MAX_ASKS) {
        fail_later(a, "too many look-ups wait for their turn: try again later");
        return;
    }
    cJSON *doc = sh_json_parse(call.p, call.n, &err);
    if (doc)
        ask_doc(a, doc, trace);
    else
        fail_later(a, err.msg);
    cJSON_Delete(doc);
}

/* --- Life ----------------------------------------------------------------------------------- */

struct sh_lookups *sh_lookups_new(const struct sh_lookups_config *config)
{
    struct sh_lookups *l = sh_alloc(1, sizeof(*l));
    l->config = *config;
    l->config.in_flight = config->in_flight ? config->in_flight : DEF_IN_FLIGHT;
    l->config.per_host = config->per_host ? config->per_host : DEF_PER_HOST;
    l->cache = sh_lookup_cache_new(config->cache_entries, config->cache_bytes);
    l->soon = sh_timer_new(config->base, on_soon, l);
    return l;
}

static void drop_asks(struct ask **list)
{
    struct ask *a;
    while ((a = *list)) {
        DL_DELETE(*list, a);
        free_ask(a);
    }
}

static void drop_flight(struct flight *f)
{
    drop_asks(&f->asks);
    if (f->call)
        sh_http_call_cancel(f->call);
    land(f);
    free_flight(f);
}

void sh_lookups_free(struct sh_lookups *l)
{
    if (!l)
        return;
    while (l->flying)
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
        drop_flight(l->flying);
    while (l->hungry)
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
        drop_flight(l->hungry->queue);
    drop_asks(&l->ready);
    sh_lookup_cache_free(l->cache);
    sh_timer_free(l->soon);
    free(l);
}
