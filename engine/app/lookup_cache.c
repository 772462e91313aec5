/* SPDX-License-Identifier: MIT
 * lookup_cache.c: answers of look-ups kept for a while, the least used gone first. */
#include "app/lookup_impl.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

struct entry {
    struct sh_lookup_key key;
    UT_hash_handle hh;
    struct entry *prev, *next; /* by use, the latest first */
    int64_t stored_ms, until_ms;
    char *doc;
    size_t len;
};

struct sh_lookup_cache {
    struct entry *by_key, *by_use;
    size_t n, max_entries, bytes, max_bytes;
};

struct sh_lookup_cache *sh_lookup_cache_new(size_t entries, size_t bytes)
{
    struct sh_lookup_cache *c = sh_alloc(1, sizeof(*c));
    c->max_entries = entries;
    c->max_bytes = bytes;
    return c;
}

static size_t weight(const struct entry *e)
{
    return sizeof(*e) + e->len;
}

static void drop(struct sh_lookup_cache *c, struct entry *e)
{
    HASH_DEL(c->by_key, e); // NOLINT(clang-analyzer-core.NullDereference): e is in there
    DL_DELETE(c->by_use, e);
    c->n--;
    c->bytes -= weight(e);
    free(e->doc);
    free(e);
}

void sh_lookup_cache_free(struct sh_lookup_cache *c)
{
    if (!c)
        return;
    while (c->by_use)
        drop(c, c->by_use);
    free(c);
}

static struct entry *find(struct sh_lookup_cache *c, const struct sh_lookup_key *key)
{
    struct entry *e;
    HASH_FIND(hh, c->by_key, key, sizeof(*key), e);
    return e;
}

struct sh_slice sh_lookup_cache_get(struct sh_lookup_cache *c, const struct sh_lookup_key *key,
                                    int64_t max_age_ms, int64_t now_ms)
{
    struct entry *e = find(c, key);
    if (e && e->until_ms <= now_ms) {
        drop(c, e);
        e = NULL;
    }
    if (!e || now_ms - e->stored_ms >= max_age_ms)
        return sh_slice(NULL, 0);
    DL_DELETE(c->by_use, e);
    DL_PREPEND(c->by_use, e);
    return sh_slice(e->doc, e->len);
}

/* What is over goes first, then what was not used for longest; utlist keeps the tail in the
 * head's prev. */
static void make_room(struct sh_lookup_cache *c, size_t bytes, int64_t now_ms)
{
    struct entry *e, *next;
    if (c->n < c->max_entries && c->bytes + bytes <= c->max_bytes)
        return;
    DL_FOREACH_SAFE(c->by_use, e, next)
    {
        if (e->until_ms <= now_ms)
            drop(c, e);
    }
    while (c->by_use && (c->n >= c->max_entries || c->bytes + bytes > c->max_bytes))
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
        drop(c, c->by_use->prev);
}

void sh_lookup_cache_put(struct sh_lookup_cache *c, const struct sh_lookup_key *key,
                         struct sh_slice doc, int64_t keep_ms, int64_t now_ms)
{
    struct entry *e = find(c, key);
    if (e)
        drop(c, e);
    if (!c->max_entries || sizeof(*e) + doc.n > c->max_bytes)
        return;
    make_room(c, sizeof(*e) + doc.n, now_ms);
    e = sh_alloc(1, sizeof(*e));
    e->key = *key;
    e->stored_ms = now_ms;
    e->until_ms = now_ms + keep_ms;
    e->doc = sh_slice_dup(doc);
    e->len = doc.n;
    HASH_ADD(hh, c->by_key, key, sizeof(e->key), e);
    DL_PREPEND(c->by_use, e);
    c->n++;
    c->bytes += weight(e);
}
