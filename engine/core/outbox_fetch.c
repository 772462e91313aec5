/* SPDX-License-Identifier: MIT
 * outbox_fetch.c: reading ahead: what is due out of the store, into the lanes.
 *
 * One question at a time, about all lanes: of each what is behind the last item that was read. Once
 * a second all is looked at from the start: an item that was redriven, perhaps by another process,
 * or put back in its place, stands before what was read. What is known comes along, so as much more
 * is asked for. */
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "core/outbox_impl.h"

#include <stdlib.h>
#include <string.h>

struct sh_fetch {
    struct sh_op_outbox op; /* first */
    struct sh_lane_want *wants;
    char *names; /* the lanes' names: the question may outlive the outbox */
    int64_t began_us;
    bool far; /* only asks whether anything is due later than any delay */
};

static void free_fetch(struct sh_fetch *f)
{
    sh_outbox_items_free(f->op.items, f->op.n_items);
    free(f->wants);
    free(f->names);
    free(f);
}

void sh_ob_fetch_orphan(struct sh_fetch *f)
{
    f->op.op.arg = NULL; /* freed when the store reports it */
}

/* --- Clocks ---------------------------------------------------------------------------------- */

/* How far the wall clock has been set forward since the start. */
static int64_t stepped_ms(const struct sh_outbox *o)
{
    return sh_now_ms() - o->start_ms - (sh_mono_us() - o->start_us) / 1000;
}

/* An item's age, whatever the wall clock was set to since the start. */
int64_t sh_ob_age_ms(const struct sh_outbox *o, int64_t since_ms)
{
    int64_t age = sh_now_ms() - since_ms, step = stepped_ms(o);
    return step > 0 ? age - step : age;
}

/* No delay reaches further than this. */
static int64_t horizon_ms(const struct sh_outbox *o)
{
    int64_t most = 0;
    for (size_t i = 0; i <= o->config.n_carriers; i++)
        for (size_t k = 0; k < o->ways[i].carrier.n_retry; k++)
            if (o->ways[i].retry_ms[k] > most)
                most = o->ways[i].retry_ms[k];
    return most + most / 2 + SH_OB_MAX_PAUSE_MS;
}

/* --- Asking ---------------------------------------------------------------------------------- */

static struct sh_lane_want want_of(const struct sh_outbox *o, const struct sh_lane *l)
{
    struct sh_lane_want want = {.lane = l->name, .limit = sh_lane_room(o, l)};
    size_t known = l->in_flight + l->n_again;
    if (stepped_ms(o) > 1000)
        known += l->n_waiting; /* due by the wall clock alone */
    if (sh_lane_paused(l))
        return want;
    if (o->rescan)
        want.limit = known + SH_OB_RESCAN;
    else if (want.limit)
        want.limit += known;
    want.after_seq = o->rescan ? 0 : l->last_seq;
    want.fresh_first = sh_lane_fresh_first(l);
    return want;
}

/* Of a lane that is not in memory. */
static size_t new_lane_limit(const struct sh_outbox *o)
{
    size_t share = SH_OB_MAX_QUEUED / (HASH_COUNT(o->lanes) + 1);
    if (!share || o->bytes > SH_OB_MAX_BYTES / 2)
        return 1;
    return share < SH_OB_NEW_LANE ? share : SH_OB_NEW_LANE;
}

static void add_wants(struct sh_outbox *o, struct sh_fetch *f)
{
    struct sh_lane *l, *next;
    size_t n = HASH_COUNT(o->lanes), bytes = 1;
    HASH_ITER(hh, o->lanes, l, next)
    {
        bytes += strlen(l->name) + 1;
    }
    f->wants = sh_alloc(n + 1, sizeof(*f->wants));
    char *name = f->names = sh_alloc(bytes, 1);
    HASH_ITER(hh, o->lanes, l, next)
    {
        struct sh_lane_want *want = &f->wants[f->op.n_wants++];
        *want = want_of(o, l);
        l->asked = want->limit;
        l->got = 0;
        want->lane = name;
        name = stpcpy(name, l->name) + 1;
    }
    f->op.wants = f->wants;
}

static void on_fetched(struct sh_op *head);

static void ask(struct sh_outbox *o)
{
    struct sh_fetch *f = o->fetch = sh_alloc(1, sizeof(*f));
    int64_t now = sh_now_ms();
    f->op.op = (struct sh_op){.kind = SH_OP_OUTBOX, .done = on_fetched, .arg = o};
    f->began_us = sh_mono_us();
    f->far = o->look_far;
    if (f->far) {
        f->op.before_ms = now + horizon_ms(o);
        if (o->reach_ms > f->op.before_ms)
            f->op.before_ms = o->reach_ms;
    } else {
        f->op.before_ms = o->reach_ms > now ? o->reach_ms : now;
        f->op.limit = o->asked = new_lane_limit(o);
        f->op.max_bytes = SH_OB_FETCH_BYTES + o->flight_bytes;
        add_wants(o, f);
        o->more = o->more && o->rescan; /* a look from the start reads nothing behind the last */
        o->rescan = false;
    }
    sh_store_submit(o->store, &f->op.op);
}

/* Memory is full of what cannot start: of lanes that are busy, the queues are read again later. */
static void make_room(struct sh_outbox *o)
{
    struct sh_lane *l, *next;
    HASH_ITER(hh, o->lanes, l, next)
    {
        if (l->in_flight)
            sh_lane_drop_queue(o, l);
    }
}

void sh_ob_fetch(struct sh_outbox *o)
{
    if (o->stopped || o->fetch || !(o->more || o->rescan || o->look_far))
        return;
    int64_t wait_us = o->fetch_after_us - sh_mono_us();
    if (wait_us > 0) {
        sh_timer_set(o->pace, wait_us / 1000 + 1);
        return;
    }
    bool full = o->n_queued >= SH_OB_MAX_QUEUED || o->bytes >= SH_OB_MAX_BYTES;
    if (full && o->rescan)
        make_room(o);
    if (o->n_queued < SH_OB_MAX_QUEUED && o->bytes < SH_OB_MAX_BYTES)
        ask(o);
}

/* --- Taking ---------------------------------------------------------------------------------- */

void sh_ob_forget_landed(struct sh_outbox *o)
{
    while (o->landed) {
        struct sh_parcel *p = o->landed;
        DL_DELETE(o->landed, p);
        sh_ob_free_parcel(p);
    }
}

/* Takes the item's texts. True: it was not known. */
static bool take(struct sh_outbox *o, struct sh_outbox_item *item)
{
    struct sh_parcel *p;
    struct sh_lane *l = sh_lane_of(o, item);
    l->got++;
    HASH_FIND(hh, o->parcels, &item->seq, sizeof(item->seq), p);
    if (p)
        return false;
    if (sh_lane_paused(l) || l->n_queued >= 2 * (size_t)SH_OB_READ_AHEAD) {
        l->asked = 1; /* got: there is more */
        return false;
    }
    if (l->fresh && item->attempts == 0 && item->seq < l->fresh->seq)
        o->rescan = true; /* redriven; there may be others */
    p = sh_alloc(1, sizeof(*p));
    *p = (struct sh_parcel){.seq = item->seq,
                            .outbox = o,
                            .lane = l,
                            .item = sh_alloc(1, sizeof(*item)),
                            .bytes = strlen(item->payload),
                            .again = item->attempts > 0};
    *p->item = *item;
    *item = (struct sh_outbox_item){0};
    HASH_ADD(hh, o->parcels, seq, sizeof(p->seq), p);
    sh_lane_queue(o, l, p);
    sh_lane_update(l);
    return true;
}

static void take_all(struct sh_outbox *o, struct sh_fetch *f)
{
    struct sh_lane *l, *next;
    size_t bytes = 0, fresh = 0;
    bool tight = o->bytes > SH_OB_MAX_BYTES / 2;
    for (size_t i = 0; i < f->op.n_items; i++) {
        bytes += strlen(f->op.items[i].payload);
        fresh += take(o, &f->op.items[i]);
    }
    bool cut = bytes + SH_MAX_DOC_BYTES >= f->op.max_bytes;
    HASH_ITER(hh, o->lanes, l, next)
    {
        if (l->asked)
            l->more = cut || l->got >= l->asked;
    }
    if (tight && !fresh)
        o->round++; /* each lane has had its turn */
    o->more = o->more || cut;
}

static void see_far(struct sh_outbox *o, const struct sh_fetch *f)
{
    o->look_far = false;
    if (!f->op.next_due_ms)
        return;
    char text[SH_TIME_TEXT];
    sh_warn("deliveries wait for a time that no delay reaches: the clock was ahead when they "
            "failed; they are tried now",
            "until", sh_time_text(f->op.next_due_ms, text));
    o->reach_ms = f->op.next_due_ms + horizon_ms(o);
    o->more = true;
}

static void take_answer(struct sh_outbox *o, struct sh_fetch *f)
{
    int64_t took_us = sh_mono_us() - f->began_us, now = sh_now_ms();
    o->fetch_after_us = sh_mono_us() + 2 * took_us;
    if (!f->op.op.ok) {
        sh_warn("outbox cannot be read", "error", f->op.op.err.msg);
        o->more = true;
        o->fetch_after_us = sh_mono_us() + SH_OB_POLL_MS * 1000;
    } else if (f->far) {
        see_far(o, f);
    } else if (!o->stopped) {
        take_all(o, f);
        if (f->op.next_due_ms)
            sh_ob_poll_within(o, f->op.next_due_ms > now ? f->op.next_due_ms - now : 0);
    }
}

static void on_fetched(struct sh_op *head)
{
    struct sh_fetch *f = (struct sh_fetch *)head;
    struct sh_outbox *o = head->arg;
    if (o) {
        take_answer(o, f);
        o->fetch = NULL;
        sh_ob_forget_landed(o);
        sh_ob_poll_within(o, SH_OB_POLL_MS);
        sh_ob_go(o);
    }
    free_fetch(f);
}
