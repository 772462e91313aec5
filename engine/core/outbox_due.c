/* SPDX-License-Identifier: MIT
 * outbox_due.c: a binary heap of times. */
#include "core/outbox_impl.h"

#include <stdlib.h>

static void set(struct sh_dues *d, size_t place, struct sh_due *due)
{
    d->heap[place] = due;
    due->place = place;
}

static void rise(struct sh_dues *d, struct sh_due *due)
{
    size_t at = due->place;
    for (; at > 1 && d->heap[at / 2]->at_ms > due->at_ms; at /= 2)
        set(d, at, d->heap[at / 2]);
    set(d, at, due);
}

static void sink(struct sh_dues *d, struct sh_due *due)
{
    size_t at = due->place, child;
    for (; (child = 2 * at) <= d->n; at = child) {
        if (child < d->n && d->heap[child + 1]->at_ms < d->heap[child]->at_ms)
            child++;
        if (d->heap[child]->at_ms >= due->at_ms)
            break;
        set(d, at, d->heap[child]);
    }
    set(d, at, due);
}

void sh_dues_put(struct sh_dues *d, struct sh_due *due)
{
    sh_dues_remove(d, due);
    if (d->n + 2 > d->room) {
        d->room = d->room ? 2 * d->room : 64;
        d->heap = sh_realloc(d->heap, d->room * sizeof(*d->heap));
    }
    set(d, ++d->n, due);
    rise(d, due);
}

void sh_dues_remove(struct sh_dues *d, struct sh_due *due)
{
    size_t place = due->place;
    if (!place)
        return;
    struct sh_due *last = d->heap[d->n--];
    due->place = 0;
    if (last == due)
        return;
    set(d, place, last);
    rise(d, last);
    sink(d, last);
}

struct sh_due *sh_dues_first(const struct sh_dues *d)
{
    return d->n ? d->heap[1] : NULL;
}
