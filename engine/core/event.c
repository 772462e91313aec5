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
    free(e->trace);
    free(e->body);
    free(e);
}

size_t sh_event_bytes(const struct sh_event *e)
{
    return sizeof(*e) + 256 + e->body_len; /* 256: the short strings and the allocator's share */
}

bool sh_event_glob(struct sh_slice pattern, struct sh_slice text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;
    while (t < text.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.n && (pattern.p[p] == '?' || pattern.p[p] == text.p[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}
