/* SPDX-License-Identifier: MIT
 * dispatch_hold.c: rules that are paused: their events are held, and what was kept goes again.
 *
 * The store decides which rule is paused; what is known here follows it in the order of its
 * commits: every settled run says how its rule stands, and twice a second the store is asked, since
 * a person may pause and resume beside the engine. What was given out before the news came is set
 * right when it settles: the store keeps it after all, or sends it back to go again at once.
 *
 * Order per key while a rule is resumed: what was kept is put into its lane by arrival, before
 * newer events that wait there; newer ones are still held until the last slice, and one that was
 * sent back lets the older ones that are there now go first. */
#include "core/dispatch_impl.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define SLICE       200         /* kept runs fetched at once */
#define SLICE_AGAIN (SLICE / 2) /* so few left in memory: the next slice */
#define SLICE_BYTES (4LL << 20) /* of their bodies */

/* --- which rules ----------------------------------------------------------------- */

static struct hold *hold_of(struct sh_dispatch *d, struct sh_slice rule, bool add)
{
    struct hold *h = NULL;
    if (d->holds)
        HASH_FIND(hh, d->holds, rule.p, rule.n, h);
    if (h || !add)
        return h;
    h = sh_alloc(1, sizeof(*h));
    h->rule = sh_slice_dup(rule);
    HASH_ADD_KEYPTR(hh, d->holds, h->rule, rule.n, h);
    return h;
}

static void set_state(struct sh_dispatch *d, struct hold *h, enum sh_rule_state state)
{
    if (h->state == state)
        return;
    d->stats.rules_held += (state != SH_RULE_ON) - (h->state != SH_RULE_ON);
    h->state = state;
    if (state == SH_RULE_PAUSED)
        sh_warn("rule paused: its events are kept until it is resumed", "rule", h->rule, "hint",
                "switchhook rules resume");
    else
        sh_info(state == SH_RULE_ON ? "rule is on" : "rule is resumed: what was kept goes again",
                "rule", h->rule);
}

void sh_hold_note(struct sh_dispatch *d, struct sh_slice rule, enum sh_rule_state state)
{
    struct hold *h = hold_of(d, rule, state != SH_RULE_ON);
    if (h)
        set_state(d, h, state);
}

void sh_hold_for(struct sh_dispatch *d, struct item *it)
{
    const struct hold *h;
    free(it->held);
    it->held = NULL;
    it->n_held = 0;
    if (d->stats.rules_held == 0)
        return;
    it->held = sh_alloc((size_t)d->stats.rules_held, sizeof(*it->held));
    for (h = d->holds; h; h = h->hh.next) {
        /* a retry of a rule that is resumed is what is wanted; a redriven "all" is no retry of it
         */
        bool own = it->only && !it->whole;
        if (h->state == SH_RULE_PAUSED || (h->state == SH_RULE_RESUMING && !own))
            it->held[it->n_held++] = h->rule;
    }
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
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the hash macros
    HASH_ITER(hh, d->holds, h, next)
    {
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
        for (size_t i = 0; i < l->op.n_items; i++)
            sh_hold_note(d, sh_slice_str(l->op.items[i].rule), l->op.items[i].state);
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

static void take_kept(struct sh_dispatch *d, struct hold *h, struct sh_pending *p)
{
    if (!sh_retry_mark(d, sh_id_order(p->event->id), p->rules[0]))
        return; /* in memory already, as a retry of before: that one runs it */
    struct item *it = sh_item_new(p->event);
    p->event = NULL;
    it->hold = h;
    h->waiting++;
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
        take_kept(d, s->h, &s->op.items[i]);
    if (op->ok)
        set_state(d, s->h, s->op.state); /* after they have taken their places */
    else if (op->err.code == SH_EFATAL)
        d->config.fatal(d->config.arg, &op->err);
    else
        sh_warn("cannot fetch what was kept, will be tried again", "error", op->err.msg);
    bool more = op->ok && s->op.n_items > 0;
    sh_pending_free(s->op.items, s->op.n_items);
    free(s);
    if (more)
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
                                  .limit = SLICE,
                                  .max_bytes = (size_t)SLICE_BYTES};
    h->slice_out = true;
    sh_store_submit(d->config.store, &s->op.op);
}

void sh_dispatch_resume(struct sh_dispatch *d)
{
    if (d->stats.rules_held == 0 || d->stopped)
        return;
    for (struct hold *h = d->holds; h; h = h->hh.next)
        if (h->state == SH_RULE_RESUMING && !h->slice_out && h->waiting <= SLICE_AGAIN &&
            d->stats.in_memory < d->config.memory_events)
            fetch(d, h);
}
