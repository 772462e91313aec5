/* SPDX-License-Identifier: MIT
 * outbox.c: due items out of the store, through carriers, verdicts back into it.
 *
 * An item that was handed to its carrier is "in flight" until the store has committed what became
 * of it, however long that takes: it is never sent again meanwhile, and it keeps its slot, so that
 * a store that cannot write stops deliveries instead of repeating them. */
#include "core/outbox.h"

#include "base/clock.h"
#include "core/outbox_impl.h"
#include "svc/crypto.h"

#include <stdlib.h>
#include <string.h>

int64_t sh_ob_mono_ms(void)
{
    return sh_mono_us() / 1000;
}

/* xorshift64: spreads retries, nothing depends on its quality. */
static uint64_t next_random(struct sh_outbox *o)
{
    o->random ^= o->random << 13;
    o->random ^= o->random >> 7;
    o->random ^= o->random << 17;
    return o->random;
}

int64_t sh_ob_jitter(struct sh_outbox *o, int64_t ms, int64_t part)
{
    int64_t share = ms / part;
    return ms - share + (int64_t)(next_random(o) % (uint64_t)(2 * share + 1));
}

void sh_ob_free_parcel(struct sh_parcel *p)
{
    HASH_DEL(p->outbox->parcels, p);
    if (p->item)
        sh_outbox_items_free(p->item, 1);
    if (p->phase == SH_PARCEL_STORING)
        p->verdict->op.op.arg = NULL; /* freed when the store reports it */
    else
        sh_ob_free_verdict(p->verdict);
    free(p);
}

/* --- Sending --------------------------------------------------------------------------------- */

static void start_one(struct sh_outbox *o, struct sh_lane *l)
{
    struct sh_way *w = l->way;
    bool fresh = l->fresh && (!l->again || sh_lane_fresh_first(l));
    struct sh_parcel *p = fresh ? l->fresh : l->again;
    sh_lane_unqueue(o, l, p);
    p->phase = SH_PARCEL_SENDING;
    p->class = (enum sh_lane_class)l->ready;
    p->epoch = l->epoch;
    w->in_flight++;
    w->by_class[p->class]++;
    l->in_flight++;
    l->sending++;
    p->in_window = true;
    o->in_flight++;
    o->flight_bytes += p->bytes;
    o->more = o->more || (l->more && l->n_queued <= SH_OB_READ_AHEAD / 2);
    sh_lane_update(l);
    if (w->carrier.start) {
        w->carrier.start(w->carrier.self, p->item, sh_ob_on_attempt, p);
        return;
    }
    const struct sh_attempt none = {.verdict = SH_ATTEMPT_PERMANENT,
                                    .detail = "this engine delivers nothing of this kind"};
    sh_ob_on_attempt(p, &none);
}

void sh_ob_go(struct sh_outbox *o)
{
    for (size_t i = 0; i <= o->config.n_carriers; i++) {
        struct sh_lane *l;
        while (!o->stopped && !o->holding && (l = sh_way_pick(&o->ways[i])))
            start_one(o, l);
    }
    sh_ob_fetch(o);
}

void sh_ob_go_soon(struct sh_outbox *o)
{
    if (o->stopped || o->turn_set)
        return;
    o->turn_set = true;
    sh_timer_set(o->turn, 0);
}

static void on_turn(void *arg)
{
    struct sh_outbox *o = arg;
    o->turn_set = false;
    sh_ob_go(o);
}

/* --- Time ------------------------------------------------------------------------------------ */

/* Never later than promised before, or a stream of retries would put it off for ever. */
void sh_ob_poll_within(struct sh_outbox *o, int64_t ms)
{
    int64_t now = sh_ob_mono_ms();
    ms = ms < SH_OB_POLL_MS ? ms : SH_OB_POLL_MS;
    if (o->stopped || (o->poll_at && o->poll_at <= now + ms))
        return;
    o->poll_at = now + ms;
    sh_timer_set(o->poll, ms);
}

static void on_poll(void *arg)
{
    struct sh_outbox *o = arg;
    int64_t now = sh_ob_mono_ms();
    o->poll_at = 0;
    o->more = true;
    if (now >= o->rescan_at) {
        o->rescan = true;
        o->rescan_at = now + SH_OB_POLL_MS;
        o->look_far = o->look_far || o->reach_ms > sh_now_ms();
        if (!o->fetch)
            sh_lane_sweep(o);
    }
    sh_ob_poll_within(o, SH_OB_POLL_MS);
    sh_ob_go(o);
}

void sh_ob_arm_tick(struct sh_outbox *o)
{
    const struct sh_due *due = sh_dues_first(&o->dues);
    if (!due || o->stopped || (o->tick_at && o->tick_at <= due->at_ms))
        return;
    o->tick_at = due->at_ms;
    sh_timer_set(o->tick, due->at_ms - sh_ob_mono_ms());
}

/* Its delay is over. Where the wall clock was set back meanwhile, the store is asked as if it had
 * not been. */
static void end_wait(struct sh_outbox *o, struct sh_parcel *p)
{
    if (p->next_ms > sh_now_ms() && p->next_ms > o->reach_ms)
        o->reach_ms = p->next_ms;
    p->lane->n_waiting--;
    o->n_waiting--;
    o->more = true;
    sh_ob_free_parcel(p);
}

static void on_tick(void *arg)
{
    struct sh_outbox *o = arg;
    struct sh_due *due;
    int64_t now = sh_ob_mono_ms();
    o->tick_at = 0;
    while ((due = sh_dues_first(&o->dues)) && due->at_ms <= now) {
        sh_dues_remove(&o->dues, due);
        if (due->lane)
            sh_lane_resume(o, due->lane);
        else
            end_wait(o, (struct sh_parcel *)((char *)due - offsetof(struct sh_parcel, due)));
    }
    sh_ob_arm_tick(o);
    sh_ob_go(o);
}

static void on_pace(void *arg)
{
    sh_ob_fetch(arg);
}

/* --- The outbox ------------------------------------------------------------------------------ */

static void init_way(struct sh_way *w, const struct sh_carrier *c)
{
    sh_require(c->in_flight > 0 && c->per_lane > 0);
    w->carrier = *c;
    w->retry_ms = sh_alloc(c->n_retry + 1, sizeof(*w->retry_ms));
    for (size_t i = 0; i < c->n_retry; i++)
        w->total_ms += w->retry_ms[i] = c->retry_ms[i];
}

struct sh_outbox *sh_outbox_new(struct event_base *base, struct sh_store *store,
                                const struct sh_outbox_config *config)
{
    static const struct sh_carrier none = {.kind = "", .per_lane = 64, .in_flight = 64};
    struct sh_outbox *o = sh_alloc(1, sizeof(*o));
    o->store = store;
    o->config = *config;
    o->ways = sh_alloc(config->n_carriers + 1, sizeof(*o->ways));
    for (size_t i = 0; i < config->n_carriers; i++)
        init_way(&o->ways[i], &config->carriers[i]);
    init_way(&o->ways[config->n_carriers], &none);
    o->poll = sh_timer_new(base, on_poll, o);
    o->tick = sh_timer_new(base, on_tick, o);
    o->offer = sh_timer_new(base, sh_ob_offer_kept, o);
    o->pace = sh_timer_new(base, on_pace, o);
    o->turn = sh_timer_new(base, on_turn, o);
    o->start_ms = sh_now_ms();
    o->start_us = sh_mono_us();
    o->look_far = true;
    sh_random((uint8_t *)&o->random, sizeof(o->random));
    o->random |= 1;
    sh_ob_poll_within(o, SH_OB_POLL_MS);
    return o;
}

void sh_outbox_poke(struct sh_outbox *o)
{
    o->more = true;
    sh_ob_fetch(o);
}

size_t sh_outbox_in_flight(const struct sh_outbox *o)
{
    return o->in_flight + (o->stopped && o->fetch);
}

void sh_outbox_stats(const struct sh_outbox *o, struct sh_outbox_stats *out)
{
    struct sh_lane *l, *next;
    *out = o->stats;
    HASH_ITER(hh, o->lanes, l, next)
    {
        out->lanes++;
        out->paused += sh_lane_paused(l);
    }
}

void sh_outbox_stop(struct sh_outbox *o)
{
    struct sh_lane *l, *next;
    o->stopped = true;
    HASH_ITER(hh, o->lanes, l, next)
    {
        sh_lane_drop_queue(o, l);
    }
    sh_timer_cancel(o->poll);
    sh_timer_cancel(o->tick);
    sh_timer_cancel(o->pace);
    sh_timer_cancel(o->turn);
}

static void free_lanes(struct sh_outbox *o)
{
    struct sh_lane *l, *next;
    HASH_ITER(hh, o->lanes, l, next)
    {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
        HASH_DEL(o->lanes, l);
        free(l->name);
        free(l);
    }
}

void sh_outbox_free(struct sh_outbox *o)
{
    struct sh_parcel *p, *next;
    if (!o)
        return;
    if (o->fetch)
        sh_ob_fetch_orphan(o->fetch);
    HASH_ITER(hh, o->parcels, p, next)
    {
        sh_ob_free_parcel(p);
    }
    free_lanes(o);
    for (size_t i = 0; i <= o->config.n_carriers; i++)
        free(o->ways[i].retry_ms);
    sh_timer_free(o->poll);
    sh_timer_free(o->tick);
    sh_timer_free(o->offer);
    sh_timer_free(o->pace);
    sh_timer_free(o->turn);
    free(o->ways);
    free(o->dues.heap);
    free(o);
}
