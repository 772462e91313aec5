/* SPDX-License-Identifier: MIT
 * api_calls.c: the newest events, those of one source and key together: a call is one thing to
 * those who look at it, and several events to its sender.
 *
 * No index finds the events of a key (each event that comes in would pay for it), so a page is a
 * bounded walk back from the newest. What of a call lies further back comes on a later page, and is
 * put to the rest by whoever shows it. */
#include "app/api_impl.h"

#include "app/api_show.h"
#include "base/clock.h"
#include "core/recent.h"
#include "svc/crypto.h"
#include "svc/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define LIMIT       50
#define LIMIT_MAX   200 /* calls in a page */
#define LOOKS       SH_STORE_LOOKS
#define CLOCK_EVERY 16
#define BODIES_EACH 3  /* of one call, without q */
#define EVENTS_EACH 50 /* of one call in a page */
#define ID_BYTES    8
#define Q_CHARS     100

struct question {
    char *after; /* cursor, or NULL */
    const char *q;
    bool senders; /* not what rules, the clock and the engine tell, but for dead letters */
    int64_t limit;
};

struct call {
    char *name; /* source, NUL, key (or, without one, NUL and the event's id) */
    size_t name_len;
    int64_t first_ms, last_ms;
    cJSON *show, *events;   /* events: oldest first; of each "id", "type", "received_at", its seq */
    size_t n_events, bytes; /* bytes: of the bodies that are shown of */
    bool found, cut;
    UT_hash_handle hh;
};

struct page {
    const struct sh_api *api;
    const struct sh_config *config;
    const struct sh_masking *mask;
    const struct question *question;
    struct sh_recent *walk;
    struct call *calls; /* hash, in the order of their newest events */
    int64_t found;      /* calls that are shown */
    size_t looks, bytes;
    int64_t end_us, last_seq;
    bool more;
};

/* --- calls --------------------------------------------------------------------------------------
 */

static struct call *find_call(const struct page *p, const struct sh_recent_event *e, char **name,
                              size_t *len)
{
    struct call *call;
    const bool own = !e->key[0]; /* an event without a key is a call of its own */
    const char *key = own ? e->id : e->key;
    const size_t head = strlen(e->source) + 1 + own, n = strlen(key);
    *len = head + n;
    *name = sh_alloc(*len + 1, 1);
    memcpy(*name, e->source, head - 1 - own);
    memcpy(*name + head, key, n);
    HASH_FIND(hh, p->calls, *name, *len, call);
    return call;
}

/* Takes name. */
static struct call *add_call(struct page *p, char *name, size_t len, int64_t ms)
{
    struct call *call = sh_alloc(1, sizeof(*call));
    *call = (struct call){.name = name,
                          .name_len = len,
                          .first_ms = ms,
                          .last_ms = ms,
                          .show = cJSON_CreateObject(),
                          .events = cJSON_CreateArray(),
                          .found = !p->question->q};
    HASH_ADD_KEYPTR(hh, p->calls, call->name, call->name_len, call);
    p->found += call->found;
    return call;
}

static void free_calls(struct page *p)
{
    struct call *call, *next;
    HASH_ITER(hh, p->calls, call, next)
    {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the macros
        HASH_DEL(p->calls, call);
        cJSON_Delete(call->show);
        cJSON_Delete(call->events);
        free(call->name);
        free(call);
    }
}

/* --- an event -----------------------------------------------------------------------------------
 */

/* What the newest event says counts; older ones add what it does not say. Takes show. */
static void merge(cJSON *into, cJSON *show)
{
    for (cJSON *value; (value = show->child) != NULL;) {
        value = cJSON_DetachItemViaPointer(show, value);
        if (sh_json_member(into, value->string))
            cJSON_Delete(value);
        else
            cJSON_AddItemToObject(into, value->string, value);
    }
    cJSON_Delete(show);
}

/* Is q in what would be shown of it? */
static bool is_found(struct page *p, const struct sh_recent_event *e)
{
    const char *q = p->question->q;
    if (sh_show_names(p->config, p->mask, q, e->id, e->type, e->key))
        return true;
    const struct sh_slice raw = sh_recent_text(p->walk, e->seq, SH_SHOW_BODY_BYTES);
    if (e->bytes > (int64_t)SH_SHOW_BODY_BYTES ||
        (raw.n && !sh_show_may_have(p->config, p->mask, q, raw)))
        return false;
    cJSON *body = sh_recent_json(p->walk, e->seq, SH_SHOW_BODY_BYTES);
    cJSON *show = sh_show(p->config, p->mask, e->source, body);
    const bool found = sh_show_has(p->config, q, show);
    p->bytes += (size_t)e->bytes;
    cJSON_Delete(body);
    cJSON_Delete(show);
    return found;
}

/* What is to be read of it once the page is known. */
static void note_body(struct page *p, struct call *call, const struct sh_recent_event *e)
{
    const bool too_long = e->bytes > (int64_t)SH_SHOW_BODY_BYTES;
    const bool was_found = call->found;
    if (call->n_events < BODIES_EACH && !too_long)
        call->bytes += (size_t)e->bytes;
    call->cut = call->cut || (too_long && call->n_events < BODIES_EACH);
    call->found = call->found || is_found(p, e);
    p->found += call->found && !was_found;
    if (call->found && !was_found)
        p->bytes += call->bytes;
    else if (call->found && call->n_events < BODIES_EACH && !too_long)
        p->bytes += (size_t)e->bytes;
}

static void add_event(struct page *p, struct call *call, const struct sh_recent_event *e)
{
    char text[SH_TIME_TEXT];
    note_body(p, call, e);
    call->first_ms = e->received_ms;
    if (call->n_events++ >= EVENTS_EACH) {
        call->cut = true;
        return;
    }
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "id", e->id);
    cJSON_AddStringToObject(row, "type", e->type);
    cJSON_AddItemToObject(row, "seq", sh_json_int(e->seq));
    cJSON_AddStringToObject(row, "received_at", sh_time_text(e->received_ms, text));
    cJSON_InsertItemInArray(call->events, 0, row);
}

/* --- the walk -----------------------------------------------------------------------------------
 */

static bool is_full(const struct page *p)
{
    return p->looks >= LOOKS || p->bytes >= SH_SHOW_PAGE_BYTES ||
           (p->looks % CLOCK_EVERY == CLOCK_EVERY - 1 && sh_mono_us() > p->end_us);
}

/* Is it of the engine's own, and nobody's business? */
static bool is_passed_over(const struct page *p, const struct sh_recent_event *e)
{
    static const char *const own[] = {SH_SOURCE_EMITTED, SH_SOURCE_CLOCK, SH_SOURCE_ENGINE};
    for (size_t i = 0; p->question->senders && i < sizeof(own) / sizeof(*own); i++)
        if (strcmp(e->source, own[i]) == 0)
            return strcmp(sh_recent_state(p->walk, e->seq), "dead") != 0;
    return false;
}

/* False: the page is full, and the event is for the next one. */
static bool take(struct page *p, const struct sh_recent_event *e)
{
    char *name;
    size_t len;
    if (is_full(p))
        return false;
    if (is_passed_over(p, e)) {
        p->looks++;
        p->last_seq = e->seq;
        return true;
    }
    struct call *call = find_call(p, e, &name, &len);
    const bool enough = p->found >= p->question->limit;
    if (enough && (!call || !call->found)) {
        free(name);
        return false;
    }
    if (call)
        free(name);
    else
        call = add_call(p, name, len, e->received_ms);
    add_event(p, call, e);
    p->looks++;
    p->last_seq = e->seq;
    return true;
}

static bool read_calls(struct page *p, struct sh_store_view *v, int64_t before,
                       struct sh_error *err)
{
    struct sh_recent_event e;
    int got = 0;
    p->end_us = sh_mono_us() + SH_STORE_LOOK_MS * 1000;
    p->walk = sh_recent_open(v, before, err);
    if (!p->walk)
        return false;
    while ((got = sh_recent_next(p->walk, &e, err)) == 1 && take(p, &e))
        ;
    p->more = got == 1;
    return got >= 0;
}

/* --- the answer ---------------------------------------------------------------------------------
 */

static int rank(const char *state)
{
    return strcmp(state, "dead") == 0 ? 2 : strcmp(state, "stored") == 0;
}

static void add_show(const struct page *p, struct call *call)
{
    const cJSON *row = call->events->child ? call->events->child->prev : NULL; /* the newest */
    for (int i = 0; row && i < BODIES_EACH; i++, row = row->prev) {
        int64_t seq = 0;
        cJSON *body = sh_json_get_int(sh_json_member(row, "seq"), &seq)
                          ? sh_recent_json(p->walk, seq, SH_SHOW_BODY_BYTES)
                          : NULL;
        merge(call->show, sh_show(p->config, p->mask, call->name, body));
        cJSON_Delete(body);
        if (row == call->events->child)
            break;
    }
}

/* Each event's, in place of its seq; returns the worst. */
static const char *add_states(const struct page *p, cJSON *events)
{
    const char *worst = "done";
    cJSON *row;
    cJSON_ArrayForEach(row, events)
    {
        int64_t seq = 0;
        const char *state = sh_json_get_int(sh_json_member(row, "seq"), &seq)
                                ? sh_recent_state(p->walk, seq)
                                : worst;
        cJSON_DeleteItemFromObjectCaseSensitive(row, "seq");
        cJSON_AddStringToObject(row, "state", state);
        if (rank(state) > rank(worst))
            worst = state;
    }
    return worst;
}

static void add_time(cJSON *row, const char *name, int64_t ms)
{
    char text[SH_TIME_TEXT];
    cJSON_AddStringToObject(row, name, sh_time_text(ms, text));
}

/* What tells calls apart whose keys look alike, masked. No way back to a number: all there are
 * could be tried, so that for who may not see them it is a hash with a key, of this process. */
static void add_id(const struct page *p, cJSON *row, const struct call *call)
{
    uint8_t hash[SH_MAX_HASH_BYTES];
    char text[1 + 2 * ID_BYTES + 1] = "c";
    const struct sh_slice parts[] = {SH_SLICE("call"), sh_slice(call->name, call->name_len)};
    struct sh_hmac *h = sh_hmac_new(
        SH_HASH_SHA256, p->mask ? sh_slice(p->api->cursor_key, sizeof(p->api->cursor_key))
                                : SH_SLICE("switchhook"));
    sh_hmac_sign(h, parts, 2, hash);
    sh_hmac_free(h);
    sh_hex(hash, ID_BYTES, text + 1);
    cJSON_AddStringToObject(row, "id", text);
}

/* Its show and events go into the row. */
static cJSON *row_of(const struct page *p, struct call *call)
{
    cJSON *row = cJSON_CreateObject();
    add_show(p, call);
    add_id(p, row, call);
    cJSON_AddStringToObject(row, "source", call->name);
    cJSON_AddStringToObject(row, "key", call->name + strlen(call->name) + 1);
    cJSON_AddStringToObject(row, "state", add_states(p, call->events));
    add_time(row, "first_at", call->first_ms);
    add_time(row, "last_at", call->last_ms);
    cJSON_AddItemToObject(row, "show", call->show);
    cJSON_AddItemToObject(row, "events", call->events);
    if (call->cut)
        cJSON_AddTrueToObject(row, "cut");
    call->show = call->events = NULL;
    return row;
}

static void answer_calls(const struct sh_api_call *c, struct sh_store_view *v,
                         struct sh_api_answer *a)
{
    const struct question *q = c->data;
    struct page p = {
        .api = c->api, .config = c->api->config.config, .mask = a->mask, .question = q};
    char *end = NULL;
    const int64_t before = q->after ? strtoll(q->after, &end, 10) : 0;
    if (q->after && (*end || before <= 0)) {
        sh_error_set(&a->err, SH_EINVAL, "this is no place to go on from");
        return;
    }
    if (read_calls(&p, v, before, &a->err)) {
        cJSON *rows = cJSON_CreateArray();
        for (struct call *call = p.calls; call; call = call->hh.next)
            if (call->found)
                cJSON_AddItemToArray(rows, row_of(&p, call));
        char *next = p.more ? sh_strf("%" PRId64, p.last_seq) : NULL;
        sh_api_answer_tree(a, sh_api_list_tree(c, rows, next));
    }
    sh_recent_close(p.walk);
    free_calls(&p);
}

/* --- the question -------------------------------------------------------------------------------
 */

static void question_free(void *data)
{
    struct question *q = data;
    free(q->after);
    free(q);
}

bool sh_api_read_q(struct sh_api_call *c, const char **q)
{
    *q = sh_api_param(c, "q");
    if (!*q || (**q && strlen(*q) <= Q_CHARS))
        return true;
    sh_api_fail_at(c, 400, "bad_parameter", "parameter", "q",
                   "q: expected a text of 1 to %d bytes to look for", Q_CHARS);
    return false;
}

static void get_calls(struct sh_api_call *c)
{
    static const char *const yes_no[] = {"true", "false", NULL};
    const char *senders = sh_api_param(c, "senders");
    struct question *q = sh_alloc(1, sizeof(*q));
    q->limit = LIMIT;
    c->data = q;
    c->drop = question_free;
    q->senders = senders && strcmp(senders, "true") == 0;
    if (sh_api_param_int(c, "limit", 1, LIMIT_MAX, &q->limit) &&
        sh_api_param_word(c, "senders", yes_no) && sh_api_read_q(c, &q->q) &&
        sh_api_read_cursor(c, &q->after))
        sh_api_read(c, answer_calls);
}

static const char *const call_params[] = {"q", "senders", "limit", "cursor", NULL};
static const struct sh_api_route list[] = {
    {.method = SH_HTTP_GET,
     .pattern = "/api/v1/calls",
     .role = SH_ROLE_VIEWER,
     .params = call_params,
     .fn = get_calls,
     .summary = "The newest events, those of one source and key together"},
};

const struct sh_api_routes sh_api_call_routes = {list, sizeof(list) / sizeof(*list)};
