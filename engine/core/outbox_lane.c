/* SPDX-License-Identifier: MIT
 * outbox_lane.c: lanes: their queues, their turn, their pauses' end. */
#include "base/clock.h"
#include "core/outbox_impl.h"

#include <stdlib.h>
#include <string.h>

/* --- Life ------------------------------------------------------------------------------------ */

static struct sh_way *way_of(struct sh_outbox *o, const char *kind)
{
    size_t i = 0;
    while (i < o->config.n_carriers && strcmp(o->ways[i].carrier.kind, kind) != 0)
        i++;
    return &o->ways[i]; /* the last one is for kinds without a carrier */
}

/* A pause that an earlier process stored; the wall clock says what is left of it, within reason. */
static void restore_pause(struct sh_outbox *o, struct sh_lane *l, int64_t until_ms)
{
    int64_t left = until_ms - sh_now_ms();
    l->down = true;
    l->failures = 1;
    l->window = 1;
    if (left <= 0)
        return;
    l->pause.at_ms = sh_ob_mono_ms() + (left < SH_OB_MAX_PAUSE_MS ? left : SH_OB_MAX_PAUSE_MS);
    sh_dues_put(&o->dues, &l->pause);
    sh_ob_arm_tick(o);
}

struct sh_lane *sh_lane_of(struct sh_outbox *o, const struct sh_outbox_item *item)
{
    struct sh_lane *l;
    HASH_FIND_STR(o->lanes, item->lane, l);
    if (l)
        return l;
    l = sh_alloc(1, sizeof(*l));
    *l = (struct sh_lane){.name = sh_strdup(item->lane),
                          .way = way_of(o, item->kind),
                          .ready = -1,
                          .round = o->round - 1,
                          .asked = o->asked};
    l->pause.lane = l;
    l->window = l->way->carrier.per_lane;
    HASH_ADD_KEYPTR(hh, o->lanes, l->name, strlen(l->name), l);
    if (item->lane_until_ms)
        restore_pause(o, l, item->lane_until_ms);
    return l;
}

void sh_lane_free(struct sh_outbox *o, struct sh_lane *l)
{
    sh_require(!l->n_queued && !l->in_flight && !l->n_waiting);
    sh_lane_update(l);
    sh_dues_remove(&o->dues, &l->pause);
    HASH_DEL(o->lanes, l);
    free(l->name);
    free(l);
}

/* Not during a fetch, which may be about this lane. */
void sh_lane_sweep(struct sh_outbox *o)
{
    struct sh_lane *l, *next;
    int64_t now = sh_ob_mono_ms();
    HASH_ITER(hh, o->lanes, l, next)
    {
        bool busy = l->n_queued || l->in_flight || l->n_waiting || sh_lane_paused(l);
        if (busy)
            l->idle_ms = 0;
        else if (!l->idle_ms)
            l->idle_ms = now;
        else if (now - l->idle_ms >= SH_OB_IDLE_MS)
            sh_lane_free(o, l);
    }
}

void sh_lane_resume(struct sh_outbox *o, struct sh_lane *l)
{
    l->more = o->more = true;
    sh_lane_update(l);
}

/* --- Queue ----------------------------------------------------------------------------------- */

/* How many more may be read ahead. A share of the whole, so that many lanes do not fill the memory;
 * when that is tight all the same, one at a time, and each lane in its turn. */
size_t sh_lane_room(const struct sh_outbox *o, const struct sh_lane *l)
{
    size_t share = SH_OB_MAX_QUEUED / (HASH_COUNT(o->lanes) + 1);
    if (share > SH_OB_READ_AHEAD)
        share = SH_OB_READ_AHEAD;
    if (sh_lane_paused(l))
        return 0;
    if (o->bytes > SH_OB_MAX_BYTES / 2)
        return !l->n_queued && l->round != o->round;
    if (l->down || !share)
        share = 1;
    return share > l->n_queued ? share - l->n_queued : 0;
}

static int by_seq(const struct sh_parcel *a, const struct sh_parcel *b)
{
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

void sh_lane_queue(struct sh_outbox *o, struct sh_lane *l, struct sh_parcel *p)
{
    p->phase = SH_PARCEL_QUEUED;
    if (p->again)
        DL_APPEND(l->again, p);
    else if (!l->fresh || l->fresh->prev->seq < p->seq)
        DL_APPEND(l->fresh, p);
    else
        DL_INSERT_INORDER(l->fresh, p, by_seq);
    if (!p->again && p->seq > l->last_seq)
        l->last_seq = p->seq;
    l->n_again += p->again;
    l->n_queued++;
    l->idle_ms = 0;
    l->round = o->round;
    o->n_queued++;
    o->bytes += p->bytes;
}

void sh_lane_unqueue(struct sh_outbox *o, struct sh_lane *l, struct sh_parcel *p)
{
    if (p->again) {
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): p is in this list
        DL_DELETE(l->again, p);
    } else {
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): p is in this list
        DL_DELETE(l->fresh, p);
    }
    l->n_again -= p->again;
    l->n_queued--;
    o->n_queued--;
    o->bytes -= p->bytes;
}

void sh_lane_drop_queue(struct sh_outbox *o, struct sh_lane *l)
{
    struct sh_parcel *p;
    while ((p = l->again ? l->again : l->fresh)) {
        sh_lane_unqueue(o, l, p);
        sh_ob_free_parcel(p);
        l->more = true;
        l->last_seq = 0;
    }
    sh_lane_update(l);
}

size_t sh_outbox_drop(struct sh_outbox *o, bool (*gone)(void *arg, const char *item_id), void *arg)
{
    struct sh_parcel *p, *next;
    size_t busy = 0;
    HASH_ITER(hh, o->parcels, p, next)
    {
        if (!p->item || !gone(arg, p->item->id))
            continue;
        if (p->phase == SH_PARCEL_QUEUED) {
            struct sh_lane *l = p->lane;
            sh_lane_unqueue(o, l, p);
            sh_ob_free_parcel(p);
            sh_lane_update(l);
        } else {
            busy++;
        }
    }
    return busy;
}

/* --- Turn ------------------------------------------------------------------------------------ */

static enum sh_lane_class class_of(const struct sh_lane *l)
{
    return l->down ? SH_LANE_DOWN : l->proven ? SH_LANE_PROVEN : SH_LANE_NEW;
}

void sh_lane_update(struct sh_lane *l)
{
    bool can = l->n_queued && l->sending < l->window && !sh_lane_paused(l);
    int want = can ? (int)class_of(l) : -1;
    if (want == l->ready)
        return;
    if (l->ready >= 0)
        DL_DELETE(l->way->ready[l->ready], l);
    if (want >= 0)
        DL_APPEND(l->way->ready[want], l);
    l->ready = want;
}

/* Targets that are down may hold half of the slots, those and unknown ones three quarters: what a
 * black hole swallows for the length of a time-out is not missed by those that answer. */
static bool has_slot(const struct sh_way *w, enum sh_lane_class class)
{
    size_t all = w->carrier.in_flight, down = w->by_class[SH_LANE_DOWN];
    if (w->in_flight >= all)
        return false;
    if (class == SH_LANE_DOWN)
        return down < (all > 1 ? all / 2 : 1);
    return class == SH_LANE_PROVEN || down + w->by_class[SH_LANE_NEW] < all - all / 4;
}

/* The lane whose turn it is; it goes to the end of its line. */
struct sh_lane *sh_way_pick(struct sh_way *w)
{
    for (unsigned i = 0; i < SH_LANE_CLASSES; i++) {
        enum sh_lane_class class = (enum sh_lane_class)((w->turn + i) % SH_LANE_CLASSES);
        struct sh_lane *l = w->ready[class];
        if (!l || !has_slot(w, class))
            continue;
        w->turn = (unsigned)class + 1;
        DL_DELETE(w->ready[class], l);
        DL_APPEND(w->ready[class], l);
        return l;
    }
    return NULL;
}
