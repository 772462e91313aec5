/* SPDX-License-Identifier: MIT
 * dispatch_load.c: bring work back from the store: the unfinished, in order, and due retries. */
#include "core/dispatch_impl.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RETRIES_AT_ONCE 256
#define RETRIES_MARKED  4096 /* in memory at most */

struct load {
    struct sh_op_pending op;
    struct sh_dispatch *d;
    int64_t spilled_to; /* as it was when the page was asked for */
};

bool sh_retry_mark(struct sh_dispatch *d, int64_t order, const char *rule)
{
    char *name = sh_strf("%" PRIx64 ":%s", (uint64_t)order, rule);
    struct retry_mark *m = NULL;
    HASH_FIND_STR(d->marks, name, m);
    if (m) {
        free(name);
        return false;
    }
    m = sh_alloc(1, sizeof(*m));
    m->name = name;
    HASH_ADD_KEYPTR(hh, d->marks, m->name, strlen(m->name), m);
    sh_hold_count(d, rule, 1);
    return true;
}

void sh_retry_unmark(struct sh_dispatch *d, int64_t order, const char *rule)
{
    char *name = sh_strf("%" PRIx64 ":%s", (uint64_t)order, rule);
    struct retry_mark *m = NULL;
    HASH_FIND_STR(d->marks, name, m);
    if (m) {
        HASH_DEL(d->marks, m);
        free(m->name);
        free(m);
        sh_hold_count(d, rule, -1);
    }
    free(name);
}

static void take_pending(struct sh_dispatch *d, struct sh_pending *p)
{
    struct item *known = NULL;
    int64_t order = sh_id_order(p->event->id);
    if (order > d->cursor)
        d->cursor = order;
    HASH_FIND(hh_order, d->by_order, &order, sizeof(order), known);
    if (known)
        return;
    struct item *it = sh_item_new(p->event);
    p->event = NULL;
    it->first = true;
    sh_item_set_rules(it, p->rules, p->n_rules, false);
    p->rules = NULL;
    p->n_rules = 0;
    sh_dispatch_enqueue(d, it, false);
}

/* Nothing is left behind the cursor up to what was known when the page was asked for (what was
 * there has been settled). Reading back is over unless something was stored meanwhile. */
static void page_was_empty(struct sh_dispatch *d, int64_t spilled_to)
{
    if (spilled_to > d->cursor)
        d->cursor = spilled_to;
    if (d->spilled_to <= d->cursor)
        d->spilled = false;
}

static void on_page(struct sh_op *op)
{
    struct load *l = op->arg;
    struct sh_dispatch *d = l->d;
    d->page_out = false;
    if (!op->ok)
        sh_err("cannot read the journal back", "error", op->err.msg);
    else if (l->op.n_items == 0)
        page_was_empty(d, l->spilled_to);
    for (size_t i = 0; op->ok && i < l->op.n_items; i++)
        take_pending(d, &l->op.items[i]);
    bool more = op->ok && d->spilled;
    sh_pending_free(l->op.items, l->op.n_items);
    free(l);
    if (more)
        sh_dispatch_load(d);
    sh_dispatch_pump(d);
}

void sh_dispatch_load(struct sh_dispatch *d)
{
    if (!d->spilled || d->page_out || d->stopped ||
        d->stats.in_memory > d->config.memory_events / 2 ||
        d->stats.bytes_in_memory > d->config.memory_bytes / 2)
        return;
    struct load *l = sh_alloc(1, sizeof(*l));
    l->d = d;
    l->spilled_to = d->spilled_to;
    l->op = (struct sh_op_pending){
        .op = {.kind = SH_OP_PENDING, .done = on_page, .arg = l},
        .after_order = d->cursor,
        .limit = (size_t)(d->config.memory_events / 2 + d->config.memory_events % 2),
        .max_bytes = (size_t)(d->config.memory_bytes / 2),
    };
    d->page_out = true;
    sh_store_submit(d->config.store, &l->op.op);
}

static void take_retry(struct sh_dispatch *d, struct sh_pending *p)
{
    if (p->n_rules != 1 || sh_hold_brings(d, p->rules[0], p->attempt) ||
        !sh_retry_mark(d, sh_id_order(p->event->id), p->rules[0]))
        return;
    struct item *it = sh_item_new(p->event);
    p->event = NULL;
    it->attempt = p->attempt + 1;
    it->whole = strcmp(p->rules[0], SH_RULE_ALL) == 0;
    sh_item_set_rules(it, p->rules, 1, true);
    p->rules = NULL;
    p->n_rules = 0;
    sh_dispatch_enqueue(d, it, false);
}

static void on_retries(struct sh_op *op)
{
    struct load *l = op->arg;
    struct sh_dispatch *d = l->d;
    d->retries_out = false;
    if (!op->ok)
        sh_err("cannot read due retries", "error", op->err.msg);
    for (size_t i = 0; op->ok && i < l->op.n_items; i++)
        take_retry(d, &l->op.items[i]);
    sh_pending_free(l->op.items, l->op.n_items);
    free(l);
    sh_dispatch_pump(d);
}

void sh_dispatch_load_retries(struct sh_dispatch *d, int64_t now_ms)
{
    size_t marked = HASH_COUNT(d->marks);
    if (d->retries_out || d->stats.in_memory >= d->config.memory_events || marked > RETRIES_MARKED)
        return;
    struct load *l = sh_alloc(1, sizeof(*l));
    l->d = d;
    l->op = (struct sh_op_pending){
        .op = {.kind = SH_OP_RETRIES, .done = on_retries, .arg = l},
        .before_ms = now_ms,
        .limit = RETRIES_AT_ONCE + marked, /* those are due too, and must not hide the others */
        .max_bytes = (size_t)d->config.memory_bytes,
    };
    d->retries_out = true;
    sh_store_submit(d->config.store, &l->op.op);
}
