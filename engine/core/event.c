/* SPDX-License-Identifier: MIT
 * event.c: life of an event in memory. */
#include "core/event.h"

#include <stdlib.h>
#include <string.h>

struct sh_event *sh_event_new(void)
{
    return sh_alloc(1, sizeof(struct sh_event));
}

void sh_event_free(struct sh_event *e)
{
    if (!e)
        return;
    free(e->source);
    free(e->type);
    free(e->key);
    free(e->dedupe_id);
    free(e->cause);
    free(e->body);
    free(e);
}

size_t sh_event_bytes(const struct sh_event *e)
{
    return sizeof(*e) + 256 + e->body_len; /* 256: the short strings and the allocator's share */
}
