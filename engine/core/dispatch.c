/* SPDX-License-Identifier: MIT
 * dispatch.c: lanes, and who goes next. */
#include "core/dispatch_impl.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct item *sh_item_new(struct sh_event *event)
{
    struct item *it = sh_alloc(1, sizeof(*it));
    it->event = event;
    it->order = sh_id_order(event->id);
    it->attempt = 1;
    return it;
}

void sh_item_set_rules(struct item *it, char **rules, size_t n, bool only)
{
    for (size_t i = 0; i < it->n_rules; i++)
        free(it->rules[i]);
    free(it->rules);
    it->rules = rules;
    it->n_rules = n;
    it->only = only;
}

void sh_item_free(struct item *it)
{
    sh_item_set_rules(it, NULL, 0, false);
    sh_event_free(it->event);
    free(it->held);
    free(it);
}

/* The lane of a (source, key), made if need be. "" as key: a lane for this event alone. */
static struct lane *lane_of(struct sh_dispatch *d, const struct sh_event *e)
{
    struct lane *lane = NULL;
    size_t source_len = strlen(e->source), key_len = strlen(e->key);
    if (key_len == 0)
        return sh_alloc(1, sizeof(*lane));
    char name[source_len + 1 + key_len + 1];
    memcpy(name, e->source, source_len + 1);
    memcpy(name + source_len + 1, e->key, key_len + 1);
    HASH_FIND(hh, d->lanes, name, sizeof(name) - 1, lane);
    if (lane)
        return lane;
    lane = sh_alloc(1, sizeof(*lane));
    lane->name = sh_memdup(name, sizeof(name) - 1);
    lane->name_len = sizeof(name) - 1;
    HASH_ADD_KEYPTR(hh, d->lanes, lane->name, lane->name_len, lane);
    return lane;
}

static void lane_free(struct sh_dispatch *d, struct lane *lane)
{
    if (lane->name)
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
        HASH_DEL(d->lanes, lane);
    free(lane->name);
    free(lane);
}

static void make_ready(struct sh_dispatch *d, struct lane *lane, bool front)
{
    if (lane->ready || lane->busy || !lane->head)
        return;
    lane->ready = true;
    if (front)
        DL_PREPEND(d->ready, lane);
    else
        DL_APPEND(d->ready, lane);
}

/* Behind everything; what is resumed: before what came later and is not under way. */
static void put_into(const struct sh_dispatch *d, struct lane *lane, struct item *it)
{
    struct item **at = &lane->head;
    if (!it->resumed && lane->tail)
        at = &lane->tail->next;
    else if (lane->head && (lane->busy || d->alone == lane->head))
        at = &lane->head->next;
    while (*at && (*at)->order < it->order)
        at = &(*at)->next;
    it->lane = lane;
    it->next = *at;
    *at = it;
    if (!it->next)
        lane->tail = it;
}

void sh_dispatch_enqueue(struct sh_dispatch *d, struct item *it, bool front)
{
    struct lane *lane = lane_of(d, it->event);
    put_into(d, lane, it);
    if (it->first)
        HASH_ADD(hh_order, d->by_order, order, sizeof(it->order), it);
    d->stats.in_memory++;
    d->stats.bytes_in_memory += (int64_t)sh_event_bytes(it->event);
    make_ready(d, lane, front);
}

void sh_dispatch_finish(struct sh_dispatch *d, struct item *it)
{
    struct lane *lane = it->lane;
    sh_require(lane->head == it && lane->busy);
    lane->head = it->next;
    lane->busy = false;
    d->stats.active--;
    if (!lane->head) {
        lane->tail = NULL;
        lane_free(d, lane);
    } else {
        make_ready(d, lane, false);
    }
    if (it->first)
        HASH_DELETE(hh_order, d->by_order, it);
    if (d->alone == it)
        d->alone = NULL;
    d->stats.in_memory--;
    d->stats.bytes_in_memory -= (int64_t)sh_event_bytes(it->event);
    sh_item_free(it);
}

void sh_dispatch_again(struct sh_dispatch *d, struct item *it)
{
    it->lane->busy = false;
    d->stats.active--;
    make_ready(d, it->lane, true);
}

void sh_dispatch_again_in_order(struct sh_dispatch *d, struct item *it)
{
    struct lane *lane = it->lane;
    struct item *last = NULL;
    for (struct item *other = it->next; other; other = other->next)
        if (other->resumed && other->order < it->order)
            last = other;
    if (last) {
        lane->head = it->next;
        it->next = last->next;
        last->next = it;
        if (!it->next)
            lane->tail = it;
        if (d->alone == it) /* it will be again, when it is at the head */
            d->alone = NULL;
    }
    sh_dispatch_again(d, it);
}

/* names: those of its rules, then those that are held. */
static struct sh_job job_of(const struct item *it, const struct sh_slice *names)
{
    const struct sh_event *e = it->event;
    struct sh_job job = {
        .token = it->token,
        .id = e->id,
        .source = sh_slice_str(e->source),
        .type = sh_slice_str(e->type),
        .key = sh_slice_str(e->key),
        .body = sh_slice(e->body, e->body_len),
        .received_ms = e->received_ms,
        .due_ms = e->due_ms,
        .now_ms = sh_now_ms(),
        .occurred_ms = e->occurred_ms,
        .format = e->format,
        .trace = sh_slice_str(e->trace),
        .attempt = it->attempt,
        .hold = names + it->n_rules,
        .n_hold = it->n_held,
    };
    if (it->whole) /* "everything": what has its row as done is not applied twice by the store */
        return job;
    *(it->only ? &job.only : &job.skip) = names;
    *(it->only ? &job.n_only : &job.n_skip) = it->n_rules;
    return job;
}

static bool give_out(struct sh_dispatch *d, struct item *it)
{
    sh_hold_for(d, it);
    struct sh_slice names[it->n_rules + it->n_held + 1];
    for (size_t i = 0; i < it->n_rules; i++)
        names[i] = sh_slice_str(it->rules[i]);
    for (size_t i = 0; i < it->n_held; i++)
        names[it->n_rules + i] = sh_slice_str(it->held[i]);
    it->token = ++d->last_token;
    memcpy(it->generation, d->generation, sizeof(it->generation));
    const struct sh_job job = job_of(it, names);
    if (!d->config.give(d->config.arg, &job)) {
        it->token = 0;
        return false;
    }
    HASH_ADD(hh_token, d->by_token, token, sizeof(it->token), it);
    if (it->first && !it->started)
        sh_meter_started(d->config.meter, (job.now_ms - it->event->received_ms) * 1000);
    it->started = true;
    it->lane->busy = true;
    d->stats.active++;
    return true;
}

static bool give_lane(struct sh_dispatch *d, struct lane *lane)
{
    if (!give_out(d, lane->head))
        return false;
    lane->ready = false;
    DL_DELETE(d->ready, lane);
    return true;
}

static bool needs_alone(const struct item *it)
{
    return it->conflicts >= SH_DISPATCH_CONFLICTS || it->losses >= SH_DISPATCH_DOUBTS;
}

void sh_dispatch_pump(struct sh_dispatch *d)
{
    if (d->stopped || d->rules_wanted)
        return;
    while (!d->alone && d->ready) {
        if (needs_alone(d->ready->head))
            d->alone = d->ready->head;
        else if (!give_lane(d, d->ready))
            return;
    }
    /* first let everything else settle, then this one by itself */
    if (d->alone && d->stats.active == 0 && d->alone->lane->ready)
        (void)give_lane(d, d->alone->lane);
}

void sh_dispatch_add(struct sh_dispatch *d, struct sh_event *event)
{
    struct item *known = NULL;
    int64_t order = sh_id_order(event->id);
    d->stats.unfinished++;
    sh_meter_event(d->config.meter, event->source, event->type, false);
    HASH_FIND(hh_order, d->by_order, &order, sizeof(order), known);
    bool full = d->stats.in_memory >= d->config.memory_events ||
                d->stats.bytes_in_memory >= d->config.memory_bytes;
    if (known) { /* read back from the journal before its commit was reported */
        sh_event_free(event);
        return;
    }
    if (order > d->cursor && (d->spilled || full)) {
        d->spilled = true;
        if (order > d->spilled_to)
            d->spilled_to = order;
        sh_event_free(event);
        return;
    }
    if (order > d->cursor)
        d->cursor = order;
    struct item *it = sh_item_new(event);
    it->first = true;
    sh_dispatch_enqueue(d, it, false);
}

struct sh_dispatch *sh_dispatch_new(const struct sh_dispatch_config *config)
{
    struct sh_dispatch *d = sh_alloc(1, sizeof(*d));
    d->config = *config;
    sh_dispatch_set_generation(d, config->generation);
    return d;
}

void sh_dispatch_set_generation(struct sh_dispatch *d, const char *id)
{
    snprintf(d->generation, sizeof(d->generation), "%s", id ? id : "");
}

void sh_dispatch_start(struct sh_dispatch *d, int64_t unfinished)
{
    d->stats.unfinished = unfinished;
    d->spilled = true;
    d->rules_wanted = true;
    sh_dispatch_tick(d, sh_now_ms());
}

void sh_dispatch_tick(struct sh_dispatch *d, int64_t now_ms)
{
    sh_dispatch_resubmit(d);
    if (d->stopped)
        return;
    sh_dispatch_look(d);
    sh_dispatch_resume(d);
    /* retries first: after a crash, a run that was to go again at once is before its lane's next */
    sh_dispatch_load_retries(d, now_ms);
    sh_dispatch_load(d);
    sh_dispatch_pump(d);
}

const char *sh_dispatch_trace(const struct sh_dispatch *d, uint64_t token)
{
    const struct item *it = NULL;
    HASH_FIND(hh_token, d->by_token, &token, sizeof(token), it);
    return it ? it->event->trace : NULL;
}

void sh_dispatch_stats(const struct sh_dispatch *d, struct sh_dispatch_stats *out)
{
    *out = d->stats;
}

void sh_dispatch_stop(struct sh_dispatch *d)
{
    d->stopped = true;
}

static void free_lane_items(struct sh_dispatch *d, struct lane *lane)
{
    for (struct item *it = lane->head, *next; it; it = next) {
        next = it->next;
        sh_item_free(it);
    }
    lane_free(d, lane);
}

void sh_dispatch_free(struct sh_dispatch *d)
{
    if (!d)
        return;
    HASH_CLEAR(hh_order, d->by_order);
    struct lane *lane, *next_lane;
    struct item *it, *next;
    /* Lanes without a name are found through the ready list or their active item. */
    DL_FOREACH_SAFE(d->ready, lane, next_lane)
    {
        if (!lane->name)
            free_lane_items(d, lane);
    }
    HASH_ITER(hh_token, d->by_token, it, next)
    {
        HASH_DELETE(hh_token, d->by_token, it);
        if (!it->lane->name)
            free_lane_items(d, it->lane);
    }
    HASH_ITER(hh, d->lanes, lane, next_lane) free_lane_items(d, lane);
    struct retry_mark *m, *next_mark;
    HASH_ITER(hh, d->marks, m, next_mark)
    {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
        HASH_DEL(d->marks, m);
        free(m->name);
        free(m);
    }
    for (struct settle *s = d->stalled, *following; s; s = following) {
        following = s->next;
        sh_settle_free(s);
    }
    sh_hold_free(d);
    free(d);
}
