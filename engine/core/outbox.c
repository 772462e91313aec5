/* SPDX-License-Identifier: MIT
 * outbox.c: due items out of the store, through carriers, verdicts back into it.
 *
 * An item that was fetched is "in flight" until the store has committed what became of it, however
 * long that takes: it is never sent again meanwhile, and it keeps its slot, so that a store that
 * cannot write stops deliveries instead of repeating them. */
#include "core/outbox.h"

#include "base/clock.h"
#include "base/log.h"
#include "svc/crypto.h"
#include "svc/loop.h"

#include <stdlib.h>
#include <string.h>

#define POLL_MS          1000 /* another process may have redriven items */
#define VERDICT_RETRY_MS 1000

enum phase {
    FLIGHT_SENDING, /* the carrier has it */
    FLIGHT_STORING, /* the store has the verdict */
    FLIGHT_KEPT,    /* the store refused the verdict; it is offered again */
    FLIGHT_LANDED   /* committed, but a fetch that began earlier may still show it as due */
};

/* A verdict on its way to the store: one allocation, so that the store may free it. */
struct verdict {
    struct sh_op_delivery op; /* first */
    char error[sizeof(((struct sh_attempt *)0)->detail)];
    char id[];
};

struct flight {
    struct flight *next;
    struct sh_outbox *outbox;
    struct sh_outbox_item item; /* owned */
    enum phase phase;
    struct verdict *verdict;
};

struct fetch {              /* likewise one allocation */
    struct sh_op_outbox op; /* first */
};

struct sh_outbox {
    struct sh_store *store;
    struct sh_outbox_config config;
    int64_t *retry_ms;
    struct sh_timer *poll, *again;
    struct flight *flights;
    size_t in_flight; /* flights that have not landed */
    int64_t poll_at;  /* monotonic milliseconds; 0 = not armed */
    struct fetch *fetch;
    bool more; /* the store may have due items that were not taken */
    bool stopped;
    uint64_t random;
};

/* --- Random delays ------------------------------------------------------------------------- */

/* xorshift64: spreads retries, nothing depends on its quality. */
static uint64_t next_random(struct sh_outbox *o)
{
    o->random ^= o->random << 13;
    o->random ^= o->random >> 7;
    o->random ^= o->random << 17;
    return o->random;
}

/* ms less or more up to a tenth. */
static int64_t jitter(struct sh_outbox *o, int64_t ms)
{
    int64_t tenth = ms / 10;
    return ms - tenth + (int64_t)(next_random(o) % (uint64_t)(2 * tenth + 1));
}

/* --- Fetching ------------------------------------------------------------------------------ */

static void fetch_more(struct sh_outbox *o);

/* Look again when something is due, and within POLL_MS; never later than promised before, or a
 * stream of retries would put it off for ever. */
static void arm_poll(struct sh_outbox *o, int64_t due_ms)
{
    int64_t now = sh_mono_us() / 1000, wait = due_ms ? due_ms - sh_now_ms() : POLL_MS;
    wait = wait < 0 ? 0 : wait < POLL_MS ? wait : POLL_MS;
    if (o->poll_at && o->poll_at <= now + wait)
        return;
    o->poll_at = now + wait;
    sh_timer_set(o->poll, wait);
}

static bool is_known(const struct sh_outbox *o, const char *id)
{
    for (const struct flight *f = o->flights; f; f = f->next) {
        if (strcmp(f->item.id, id) == 0)
            return true;
    }
    return false;
}

static void free_flight(struct flight *f)
{
    struct sh_outbox_item *item = sh_alloc(1, sizeof(*item)); /* as the store made them */
    *item = f->item;
    sh_outbox_items_free(item, 1);
    free(f->verdict);
    free(f);
}

static void forget_landed(struct sh_outbox *o)
{
    for (struct flight **at = &o->flights; *at;) {
        struct flight *f = *at;
        if (f->phase != FLIGHT_LANDED) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        free_flight(f);
    }
}

static void on_attempt(void *arg, const struct sh_attempt *a);

static const struct sh_carrier *carrier_of(const struct sh_outbox *o, const char *kind)
{
    for (size_t i = 0; i < o->config.n_carriers; i++) {
        if (strcmp(o->config.carriers[i].kind, kind) == 0)
            return &o->config.carriers[i];
    }
    return NULL;
}

/* Takes the item's strings. */
static void take_off(struct sh_outbox *o, struct sh_outbox_item *item)
{
    struct flight *f = sh_alloc(1, sizeof(*f));
    *f = (struct flight){.next = o->flights, .outbox = o, .item = *item};
    memset(item, 0, sizeof(*item));
    o->flights = f;
    o->in_flight++;
    const struct sh_carrier *carrier = carrier_of(o, f->item.kind);
    if (carrier) {
        carrier->start(carrier->self, &f->item, on_attempt, f);
        return;
    }
    struct sh_attempt none = {.verdict = SH_ATTEMPT_PERMANENT,
                              .detail = "this engine delivers nothing of this kind"};
    on_attempt(f, &none);
}

static void on_fetched(struct sh_op *head)
{
    struct fetch *fetch = (struct fetch *)head;
    struct sh_outbox *o = head->arg;
    if (o) {
        o->fetch = NULL;
        bool full = head->ok && fetch->op.n_items == fetch->op.limit;
        o->more = o->more || full;
        if (!head->ok)
            sh_warn("outbox cannot be read", "error", head->err.msg);
        for (size_t i = 0; head->ok && i < fetch->op.n_items && !o->stopped; i++) {
            if (o->in_flight < o->config.in_flight && !is_known(o, fetch->op.items[i].id))
                take_off(o, &fetch->op.items[i]);
        }
        forget_landed(o);
        arm_poll(o, head->ok && !full ? fetch->op.next_due_ms : 0);
        fetch_more(o);
    }
    sh_outbox_items_free(fetch->op.items, fetch->op.n_items);
    free(fetch);
}

/* Items in flight are still due in the store: with as many rows as there are slots, each free slot
 * finds an item if there is one. */
static void fetch_more(struct sh_outbox *o)
{
    if (o->stopped || o->fetch || !o->more || o->in_flight >= o->config.in_flight)
        return;
    o->more = false;
    o->fetch = sh_alloc(1, sizeof(*o->fetch));
    o->fetch->op = (struct sh_op_outbox){
        .op = {.kind = SH_OP_OUTBOX, .done = on_fetched, .arg = o},
        .before_ms = sh_now_ms(),
        .limit = o->config.in_flight,
    };
    sh_store_submit(o->store, &o->fetch->op.op);
}

static void on_poll(void *arg)
{
    struct sh_outbox *o = arg;
    o->poll_at = 0;
    if (o->stopped)
        return;
    arm_poll(o, 0);
    sh_outbox_poke(o);
}

/* --- Verdicts ------------------------------------------------------------------------------ */

static void store_verdict(struct flight *f)
{
    f->phase = FLIGHT_STORING;
    f->verdict->op.op.ok = false;
    sh_store_submit(f->outbox->store, &f->verdict->op.op);
}

static void land(struct flight *f)
{
    struct sh_outbox *o = f->outbox;
    const struct sh_op_delivery *op = &f->verdict->op;
    f->phase = FLIGHT_LANDED;
    o->in_flight--;
    if (op->state == SH_DELIVERY_RETRY)
        arm_poll(o, op->next_ms);
    if (!o->fetch)
        forget_landed(o);
    fetch_more(o);
}

static void on_stored(struct sh_op *head)
{
    struct flight *f = head->arg;
    if (!f) { /* the outbox is gone */
        free(head);
        return;
    }
    if (head->ok || head->err.code == SH_ENOTFOUND) {
        land(f);
        return;
    }
    sh_warn("what became of a delivery cannot be stored yet", "item", f->item.id, "error",
            head->err.msg);
    f->phase = FLIGHT_KEPT;
    if (head->err.code != SH_EFATAL) /* else the process is about to end */
        sh_timer_set(f->outbox->again, VERDICT_RETRY_MS);
}

static void store_kept(void *arg)
{
    struct sh_outbox *o = arg;
    for (struct flight *f = o->flights; f; f = f->next) {
        if (f->phase == FLIGHT_KEPT)
            store_verdict(f);
    }
}

static void decide(struct flight *f, const struct sh_attempt *a, struct sh_op_delivery *op)
{
    struct sh_outbox *o = f->outbox;
    if (a->verdict == SH_ATTEMPT_SENT) {
        op->state = SH_DELIVERY_SENT;
    } else if (a->verdict == SH_ATTEMPT_TEMPORARY && f->item.attempts < o->config.n_retry) {
        op->state = SH_DELIVERY_RETRY;
        op->next_ms = sh_now_ms() + jitter(o, o->retry_ms[f->item.attempts]);
    } else {
        op->state = SH_DELIVERY_DEAD;
    }
}

static void log_verdict(const struct flight *f)
{
    static const char *const text[] = {"", "delivered", "delivery failed, will be tried again",
                                       "delivery failed for good"};
    const struct sh_op_delivery *op = &f->verdict->op;
    sh_log(op->state == SH_DELIVERY_SENT ? SH_LOG_DEBUG : SH_LOG_WARN, text[op->state], "item",
           f->item.id, "kind", f->item.kind, "event", f->item.event_id, "attempt",
           SH_NUM(f->item.attempts + 1), op->state == SH_DELIVERY_SENT ? "to" : "error", op->error,
           NULL);
}

static void on_attempt(void *arg, const struct sh_attempt *a)
{
    struct flight *f = arg;
    sh_require(f->phase == FLIGHT_SENDING && !f->verdict);
    size_t n = strlen(f->item.id) + 1;
    struct verdict *v = f->verdict = sh_alloc(1, sizeof(*v) + n);
    memcpy(v->id, f->item.id, n);
    memcpy(v->error, a->detail, sizeof(v->error));
    v->error[sizeof(v->error) - 1] = '\0';
    v->op = (struct sh_op_delivery){
        .op = {.kind = SH_OP_DELIVERY, .done = on_stored, .arg = f},
        .item_id = v->id,
        .error = v->error,
    };
    decide(f, a, &v->op);
    log_verdict(f);
    store_verdict(f);
}

/* --- The outbox ---------------------------------------------------------------------------- */

struct sh_outbox *sh_outbox_new(struct event_base *base, struct sh_store *store,
                                const struct sh_outbox_config *config)
{
    sh_require(config->in_flight > 0);
    struct sh_outbox *o = sh_alloc(1, sizeof(*o));
    o->store = store;
    o->config = *config;
    o->retry_ms = sh_alloc(config->n_retry, sizeof(*o->retry_ms));
    if (config->n_retry)
        memcpy(o->retry_ms, config->retry_ms, config->n_retry * sizeof(*o->retry_ms));
    o->poll = sh_timer_new(base, on_poll, o);
    o->again = sh_timer_new(base, store_kept, o);
    sh_random((uint8_t *)&o->random, sizeof(o->random));
    o->random |= 1;
    arm_poll(o, 0);
    return o;
}

void sh_outbox_poke(struct sh_outbox *o)
{
    o->more = true;
    fetch_more(o);
}

size_t sh_outbox_in_flight(const struct sh_outbox *o)
{
    return o->in_flight + (o->stopped && o->fetch);
}

void sh_outbox_stop(struct sh_outbox *o)
{
    o->stopped = true;
    sh_timer_cancel(o->poll);
}

void sh_outbox_free(struct sh_outbox *o)
{
    if (!o)
        return;
    if (o->fetch)
        o->fetch->op.op.arg = NULL; /* freed when the store reports it */
    while (o->flights) {
        struct flight *f = o->flights;
        o->flights = f->next;
        if (f->phase == FLIGHT_STORING) {
            f->verdict->op.op.arg = NULL;
            f->verdict = NULL;
        }
        free_flight(f);
    }
    sh_timer_free(o->poll);
    sh_timer_free(o->again);
    free(o->retry_ms);
    free(o);
}
