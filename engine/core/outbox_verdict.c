/* SPDX-License-Identifier: MIT
 * outbox_verdict.c: what an attempt means for the item and for its lane, and its way into the
 * store. */
#include "base/clock.h"
#include "base/log.h"
#include "core/outbox_impl.h"
#include "core/trace.h"

#include <stdlib.h>
#include <string.h>

#define OFFER_MS             1000 /* to a store that refused a verdict */
#define DEFAULT_PAUSE_MAX_MS 60000

void sh_ob_free_verdict(struct sh_verdict *v)
{
    if (!v)
        return;
    sh_event_free(v->op.emitted);
    free(v->id);
    free(v->error);
    free(v->answer);
    free(v->recipients);
    free(v->lane);
    free(v);
}

/* --- The lane -------------------------------------------------------------------------------- */

/* 1 s, doubling, a fifth less or more. */
static int64_t pause_ms(struct sh_outbox *o, const struct sh_lane *l)
{
    int64_t most = l->way->carrier.pause_max_ms, ms = SH_OB_FIRST_PAUSE_MS;
    if (most <= 0)
        most = DEFAULT_PAUSE_MAX_MS;
    for (int i = 1; i < l->failures && ms < most; i++)
        ms *= 2;
    return sh_ob_jitter(o, ms < most ? ms : most, 5);
}

static void store_pause(const struct sh_lane *l, struct sh_verdict *v)
{
    v->lane = sh_strdup(l->name);
    v->op.lane_until_ms = sh_now_ms() + l->pause.at_ms - sh_ob_mono_ms();
}

static void log_pause(const struct sh_lane *l, int64_t ms, const struct sh_attempt *a)
{
    if (l->failures > 1) /* it was said when it began */
        return;
    sh_warn("deliveries to this target pause", "lane", l->name, "pause_ms", SH_NUM(ms), "error",
            a->detail);
}

/* The target is at fault. A parcel that left before the last pause tells nothing new, unless it
 * brings a time to wait for. */
static void pause_lane(struct sh_outbox *o, const struct sh_parcel *p, const struct sh_attempt *a,
                       struct sh_verdict *v)
{
    struct sh_lane *l = p->lane;
    bool news = p->epoch == l->epoch;
    int64_t ask = a->retry_after_ms < SH_OB_MAX_PAUSE_MS ? a->retry_after_ms : SH_OB_MAX_PAUSE_MS;
    if (!news && ask <= 0)
        return;
    l->failures += news || !l->failures;
    int64_t ms = ask > 0 ? ask : pause_ms(o, l), until = sh_ob_mono_ms() + ms;
    if (sh_lane_paused(l) && until <= l->pause.at_ms)
        return;
    l->down = true;
    l->window = 1;
    l->epoch++;
    l->pause.at_ms = until;
    sh_dues_put(&o->dues, &l->pause);
    sh_ob_arm_tick(o);
    sh_lane_drop_queue(o, l);
    store_pause(l, v);
    log_pause(l, ms, a);
}

/* The target has answered, whatever it thinks of the item. (What was refused before it left, which
 * has no status, tells nothing of it.) */
static void open_lane(const struct sh_parcel *p, struct sh_verdict *v)
{
    struct sh_lane *l = p->lane;
    if (p->epoch != l->epoch)
        return;
    l->n_temporary = 0;
    l->proven = true;
    if (l->down) {
        sh_info("deliveries to this target go on", "lane", l->name, "failed_probes",
                SH_NUM(l->failures));
        l->down = false;
        l->failures = 0;
        v->lane = sh_strdup(l->name);
        v->op.lane_until_ms = 0;
    }
    if (l->window < l->way->carrier.per_lane)
        l->window++; /* twice as many each round */
}

/* Is it one too many in a row? From then on each one is, until something gets through. */
static bool too_many_temporary(const struct sh_parcel *p)
{
    struct sh_lane *l = p->lane;
    for (size_t i = 0; i < l->n_temporary && l->n_temporary < SH_OB_TEMPORARY; i++) {
        if (l->temporary[i] == p->seq)
            return false;
    }
    if (l->n_temporary < SH_OB_TEMPORARY)
        l->temporary[l->n_temporary++] = p->seq;
    return l->n_temporary == SH_OB_TEMPORARY;
}

/* --- The item -------------------------------------------------------------------------------- */

static void retry_later(struct sh_outbox *o, struct sh_parcel *p, const struct sh_attempt *a,
                        struct sh_verdict *v)
{
    const struct sh_way *w = p->lane->way;
    if (p->item->attempts >= w->carrier.n_retry) {
        v->op.state = SH_DELIVERY_DEAD;
        return;
    }
    int64_t ms = sh_ob_jitter(o, w->retry_ms[p->item->attempts], 10);
    if (a->retry_after_ms > ms)
        ms = a->retry_after_ms < SH_OB_MAX_PAUSE_MS ? a->retry_after_ms : SH_OB_MAX_PAUSE_MS;
    v->op.state = SH_DELIVERY_RETRY;
    v->op.next_ms = p->next_ms = sh_now_ms() + ms;
    p->due.at_ms = sh_ob_mono_ms() + ms;
}

/* Back in its place, unless its time is over and the target had its chances since the engine
 * started: a target that is down when an engine comes back after days costs nothing yet. */
static void put_back(struct sh_outbox *o, const struct sh_parcel *p, struct sh_verdict *v)
{
    const struct sh_way *w = p->lane->way;
    bool over = sh_ob_age_ms(o, p->item->since_ms) >= w->total_ms &&
                (size_t)p->lane->failures > w->carrier.n_retry;
    v->op.state = over ? SH_DELIVERY_DEAD : SH_DELIVERY_RETRY;
    v->op.uncharged = !over;
}

static void judge(struct sh_parcel *p, const struct sh_attempt *a, struct sh_verdict *v)
{
    struct sh_outbox *o = p->outbox;
    switch (a->verdict) {
    case SH_ATTEMPT_SENT:
    case SH_ATTEMPT_PERMANENT:
        v->op.state = a->verdict == SH_ATTEMPT_SENT ? SH_DELIVERY_SENT : SH_DELIVERY_DEAD;
        if (a->verdict == SH_ATTEMPT_SENT || a->status)
            open_lane(p, v);
        break;
    case SH_ATTEMPT_TARGET_DOWN:
        pause_lane(o, p, a, v);
        put_back(o, p, v);
        break;
    case SH_ATTEMPT_TEMPORARY:
    default:
        if (too_many_temporary(p))
            pause_lane(o, p, a, v);
        retry_later(o, p, a, v);
    }
}

static void count_and_log(struct sh_parcel *p, const struct sh_attempt *a,
                          const struct sh_verdict *v)
{
    struct sh_outbox_stats *stats = &p->outbox->stats;
    bool sent = v->op.state == SH_DELIVERY_SENT, dead = v->op.state == SH_DELIVERY_DEAD;
    stats->sent += sent;
    stats->dead += dead;
    stats->failed += !sent && !dead;
    sh_meter_delivered(p->outbox->config.meter, p->item->kind,
                       sent              ? SH_METER_SENT
                       : dead            ? SH_METER_DEAD
                       : v->op.uncharged ? SH_METER_WAIT
                                         : SH_METER_RETRY,
                       (sh_now_ms() - p->item->since_ms) * 1000);
    char *trace = sh_slice_dup(sh_trace_id(p->item->trace));
    sh_log(sent || v->op.uncharged ? SH_LOG_DEBUG : SH_LOG_WARN,
           sent              ? "delivered"
           : dead            ? "delivery failed for good"
           : v->op.uncharged ? "delivery waits for its target"
                             : "delivery failed, will be tried again",
           "item", p->item->id, "kind", p->item->kind, "lane", p->lane->name, "event",
           p->item->event_id, "attempt", SH_NUM(p->item->attempts + 1), sent ? "to" : "error",
           a->detail, *trace ? "trace" : NULL, trace, NULL);
    free(trace);
}

/* --- Storing --------------------------------------------------------------------------------- */

static void store_verdict(struct sh_parcel *p)
{
    p->phase = SH_PARCEL_STORING;
    p->verdict->op.op.ok = false;
    sh_store_submit(p->outbox->store, &p->verdict->op.op);
}

static void leave_window(struct sh_parcel *p)
{
    p->lane->sending -= p->in_window;
    p->in_window = false;
    sh_lane_update(p->lane);
}

static void free_slot(struct sh_outbox *o, const struct sh_parcel *p)
{
    struct sh_way *w = p->lane->way;
    w->in_flight--;
    w->by_class[p->class]--;
    p->lane->in_flight--;
    o->in_flight--;
    o->flight_bytes -= p->bytes;
}

/* The verdict is committed. What stays of the parcel is what keeps it from being sent again by a
 * fetch that began earlier, or before its time. */
static void land(struct sh_parcel *p)
{
    struct sh_outbox *o = p->outbox;
    struct sh_lane *l = p->lane;
    const struct sh_op_delivery *op = &p->verdict->op;
    bool waits = op->state == SH_DELIVERY_RETRY && !op->uncharged;
    leave_window(p);
    free_slot(o, p);
    if (op->state == SH_DELIVERY_RETRY && op->uncharged) {
        l->last_seq = 0;
        l->more = o->rescan = true;
    }
    if (waits && o->n_waiting < SH_OB_MAX_WAITING) {
        p->phase = SH_PARCEL_WAITING;
        l->n_waiting++;
        o->n_waiting++;
        sh_dues_put(&o->dues, &p->due);
        sh_ob_arm_tick(o);
    } else {
        p->phase = SH_PARCEL_LANDED;
        DL_APPEND(o->landed, p);
    }
    sh_ob_free_verdict(p->verdict);
    p->verdict = NULL;
    sh_outbox_items_free(p->item, 1);
    p->item = NULL;
    o->more = o->more || (l->more && l->n_queued <= SH_OB_READ_AHEAD / 2);
    if (!o->fetch)
        sh_ob_forget_landed(o);
    sh_lane_update(l);
}

static void pass_on(struct sh_outbox *o, struct sh_verdict *v)
{
    struct sh_event *event = v->op.emitted;
    v->op.emitted = NULL;
    if (event && o->config.emitted)
        o->config.emitted(o->config.arg, event);
    else
        sh_event_free(event);
}

static void keep(struct sh_outbox *o, struct sh_parcel *p, const struct sh_error *err)
{
    if (!o->holding)
        sh_warn("what became of a delivery cannot be stored yet; no other is sent until it is",
                "item", p->item->id, "error", err->msg);
    p->phase = SH_PARCEL_KEPT;
    o->holding = true;
    if (err->code != SH_EFATAL) /* else the process is about to end */
        sh_timer_set(o->offer, OFFER_MS);
}

static void on_stored(struct sh_op *head)
{
    struct sh_verdict *v = (struct sh_verdict *)head;
    struct sh_parcel *p = head->arg;
    if (!p) { /* the outbox is gone; what was emitted is found in the store */
        sh_ob_free_verdict(v);
        return;
    }
    struct sh_outbox *o = p->outbox;
    if (head->ok || head->err.code == SH_ENOTFOUND) {
        o->holding = false;
        pass_on(o, v);
        land(p);
        sh_ob_go(o);
    } else {
        keep(o, p, &head->err);
    }
}

void sh_ob_offer_kept(void *arg)
{
    struct sh_outbox *o = arg;
    struct sh_parcel *p, *next;
    HASH_ITER(hh, o->parcels, p, next)
    {
        if (p->phase == SH_PARCEL_KEPT)
            store_verdict(p);
    }
}

void sh_ob_on_attempt(void *arg, const struct sh_attempt *a)
{
    struct sh_parcel *p = arg;
    sh_require(p->phase == SH_PARCEL_SENDING && !p->verdict);
    struct sh_verdict *v = p->verdict = sh_alloc(1, sizeof(*v));
    v->op = (struct sh_op_delivery){.op = {.kind = SH_OP_DELIVERY, .done = on_stored, .arg = p},
                                    .status = a->status};
    v->op.item_id = v->id = sh_strdup(p->item->id);
    v->op.error = v->error = sh_memdup(a->detail, strnlen(a->detail, sizeof(a->detail)));
    v->op.answer = v->answer = sh_strdup(a->answer);
    v->op.recipients = v->recipients = sh_strdup(a->recipients);
    judge(p, a, v);
    v->op.lane = v->lane;
    count_and_log(p, a, v);
    store_verdict(p);
    if (!v->op.uncharged)
        leave_window(p);
    sh_ob_go_soon(p->outbox);
}
