/* SPDX-License-Identifier: MIT
 * dispatch_hold.c: rules that are paused: their events are held, and what was kept goes again.
 *
 * The store decides which rule is paused; what is known here follows it in the order of its
 * commits: every settled run says how its rule stands, and twice a second the store is asked, since
 * a person may pause and resume beside the engine. What was given out before the news came is set
 * right when it settles: the store keeps it after all, or sends it back to go again at once.
 *
 * Order per key while a rule is resumed: first what is still in memory of before the pause
 * (retries, earlier slices) goes to be kept with the rest; then what was kept is put into its lane
 * by arrival, before newer events that wait there; newer ones are still held until the last slice,
 * and one that was sent back lets the older ones that are there now go first. */
#include "core/dispatch_impl.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define SLICE       160         /* kept runs fetched at once */
#define SLICE_AGAIN (SLICE / 2) /* so few left in memory: the next slice */
#define SLICE_BYTES (4LL << 20) /* of their bodies */

/* --- which rules ----------------------------------------------------------------- */

static struct hold *find(const struct sh_dispatch *d, struct sh_slice rule)
{
    struct hold *h = NULL;
    if (d->holds)
        HASH_FIND(hh, d->holds, rule.p, rule.n, h);
    return h;
}

static struct hold *find_or_add(struct sh_dispatch *d, struct sh_slice rule)
{
    struct hold *h = find(d, rule);
    if (h)
        return h;
    h = sh_alloc(1, sizeof(*h));
    h->rule = sh_slice_dup(rule);
    for (const struct retry_mark *m = d->marks; m; m = m->hh.next)
        h->in_memory += strcmp(strchr(m->name, ':') + 1, h->rule) == 0;
    HASH_ADD_KEYPTR(hh, d->holds, h->rule, rule.n, h);
    return h;
}

void sh_hold_count(struct sh_dispatch *d, const char *rule, int change)
{
    struct hold *h = find(d, sh_slice_str(rule));
    if (h)
        h->in_memory += (size_t)change;
}

static void set_state(struct sh_dispatch *d, struct hold *h, enum sh_rule_state state)
{
    if (h->state == state)
        return;
    d->stats.rules_held += (state != SH_RULE_ON) - (h->state != SH_RULE_ON);
    h->state = state;
    h->drained = false;
    if (state == SH_RULE_PAUSED)
        sh_warn("rule paused: its events are kept until it is resumed", "rule", h->rule, "hint",
                "switchhook rules resume");
    else
        sh_info(state == SH_RULE_ON ? "rule is on" : "rule is resumed: what was kept goes again",
                "rule", h->rule);
}

/* It was paused again since, seen or not: what is in memory of it is kept on disk by now. */
static void set_pauses(struct hold *h, int64_t pauses)
{
    if (h->pauses != pauses)
        h->drained = false;
    h->pauses = pauses;
}

void sh_hold_note(struct sh_dispatch *d, struct sh_slice rule, enum sh_rule_state state)
{
    struct hold *h = state == SH_RULE_ON ? find(d, rule) : find_or_add(d, rule);
    if (h)
        set_state(d, h, state);
}

/* A retry of a rule that is resumed is what is wanted, once none of before is left. A redriven
 * "all" is no retry of it. */
static bool is_held(const struct hold *h, const struct item *it)
{
    bool own = it->only && !it->whole;
    return h->state == SH_RULE_PAUSED || (h->state == SH_RULE_RESUMING && !(own && h->drained));
}

void sh_hold_for(struct sh_dispatch *d, struct item *it)
{
    free(it->held);
    it->held = NULL;
    it->n_held = 0;
    if (d->stats.rules_held == 0)
        return;
    it->held = sh_alloc((size_t)d->stats.rules_held, sizeof(*it->held));
    for (const struct hold *h = d->holds; h; h = h->hh.next)
        if (is_held(h, it))
            it->held[it->n_held++] = h->rule;
}

bool sh_hold_brings(struct sh_dispatch *d, const char *rule, uint32_t attempt)
{
    const struct hold *h = find(d, sh_slice_str(rule));
    return h && h->state == SH_RULE_RESUMING && attempt == 0;
}

void sh_dispatch_held(const struct sh_dispatch *d,
                      void (*fn)(void *arg, const char *rule, enum sh_rule_state state), void *arg)
{
    for (const struct hold *h = d->holds; h; h = h->hh.next)
        if (h->state != SH_RULE_ON)
            fn(arg, h->rule, h->state);
}

bool sh_hold_was(const struct item *it, struct sh_slice rule)
{
    for (size_t i = 0; i < it->n_held; i++)
        if (sh_slice_eq(rule, sh_slice_str(it->held[i])))
            return true;
    return false;
}

void sh_hold_free(struct sh_dispatch *d)
{
    struct hold *h, *next;
    HASH_ITER(hh, d->holds, h, next)
    {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the macros
        HASH_DEL(d->holds, h);
        free(h->rule);
        free(h);
    }
}

/* --- asking the store -------------------------------------------------------------- */

struct look {
    struct sh_op_rules op;
    struct sh_dispatch *d;
};

static void on_rules(struct sh_op *op)
{
    struct look *l = op->arg;
    struct sh_dispatch *d = l->d;
    d->rules_out = false;
    if (op->ok) {
        d->rules_wanted = false;
        for (struct hold *h = d->holds; h; h = h->hh.next) {
            size_t i = 0;
            while (i < l->op.n_items && strcmp(l->op.items[i].rule, h->rule) != 0)
                i++;
            if (i == l->op.n_items)
                set_state(d, h, SH_RULE_ON);
        }
        for (size_t i = 0; i < l->op.n_items; i++) {
            struct hold *h = find_or_add(d, sh_slice_str(l->op.items[i].rule));
            set_state(d, h, l->op.items[i].state);
            set_pauses(h, l->op.items[i].pauses);
        }
    } else if (op->err.code == SH_EFATAL) {
        d->config.fatal(d->config.arg, &op->err);
    } else {
        sh_warn("cannot read which rules are paused, will be tried again", "error", op->err.msg);
    }
    sh_rules_held_free(l->op.items, l->op.n_items);
    free(l);
    sh_dispatch_resume(d);
    sh_dispatch_pump(d);
}

void sh_dispatch_look(struct sh_dispatch *d)
{
    if (d->rules_out || d->stopped)
        return;
    struct look *l = sh_alloc(1, sizeof(*l));
    l->d = d;
    l->op.op = (struct sh_op){.kind = SH_OP_RULES, .done = on_rules, .arg = l};
    d->rules_out = true;
    sh_store_submit(d->config.store, &l->op.op);
}

/* --- resuming ---------------------------------------------------------------------- */

struct slice {
    struct sh_op_resume op;
    struct sh_dispatch *d;
    struct hold *h;
};

static void take_kept(struct sh_dispatch *d, struct sh_pending *p)
{
    if (!sh_retry_mark(d, sh_id_order(p->event->id), p->rules[0]))
        return; /* in memory already: that one runs it */
    struct item *it = sh_item_new(p->event);
    p->event = NULL;
    it->resumed = true;
    sh_item_set_rules(it, p->rules, p->n_rules, true);
    p->rules = NULL;
    p->n_rules = 0;
    sh_dispatch_enqueue(d, it, false);
}

static void on_slice(struct sh_op *op)
{
    struct slice *s = op->arg;
    struct sh_dispatch *d = s->d;
    s->h->slice_out = false;
    for (size_t i = 0; op->ok && i < s->op.n_items; i++)
        take_kept(d, &s->op.items[i]);
    if (op->ok) { /* after they have taken their places */
        set_state(d, s->h, s->op.state);
        set_pauses(s->h, s->op.now_pauses);
    } else if (op->err.code == SH_EFATAL) {
        d->config.fatal(d->config.arg, &op->err);
    } else {
        sh_warn("cannot fetch what was kept, will be tried again", "error", op->err.msg);
    }
    bool ok = op->ok;
    sh_pending_free(s->op.items, s->op.n_items);
    free(s);
    if (ok)
        sh_dispatch_resume(d);
    sh_dispatch_pump(d);
}

static void fetch(struct sh_dispatch *d, struct hold *h)
{
    struct slice *s = sh_alloc(1, sizeof(*s));
    s->d = d;
    s->h = h;
    s->op = (struct sh_op_resume){.op = {.kind = SH_OP_RESUME, .done = on_slice, .arg = s},
                                  .rule = h->rule,
                                  .pauses = h->pauses,
                                  .limit = SLICE,
                                  .max_bytes = (size_t)SLICE_BYTES};
    h->slice_out = true;
    sh_store_submit(d->config.store, &s->op.op);
}

void sh_dispatch_resume(struct sh_dispatch *d)
{
    if (d->stats.rules_held == 0 || d->stopped)
        return;
    for (struct hold *h = d->holds; h; h = h->hh.next) {
        if (h->state != SH_RULE_RESUMING || h->slice_out)
            continue;
        h->drained = h->drained || h->in_memory == 0;
        if (h->drained && h->in_memory <= SLICE_AGAIN &&
            d->stats.in_memory < d->config.memory_events)
            fetch(d, h);
    }
}
