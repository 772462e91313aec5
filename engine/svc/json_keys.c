/* SPDX-License-Identifier: MIT
 * json_keys.c: duplicate keys. */
#include "svc/json_keys.h"

#include "svc/json_scan.h"

#include <stdlib.h>

void sh_json_keys_init(struct sh_json_keys *k)
{
    k->key = k->key_inline;
    k->hash = k->hash_inline;
    k->count = 0;
    k->cap = SH_JSON_KEYS_INLINE;
    k->unescaped = NULL;
    k->unescaped_n = 0;
}

void sh_json_keys_free(struct sh_json_keys *k)
{
    if (k->key != k->key_inline)
        free(k->key);
    if (k->hash != k->hash_inline)
        free(k->hash);
    free(k->unescaped);
    sh_json_keys_init(k);
}

static void grow(struct sh_json_keys *k)
{
    size_t cap = k->cap * 2;
    bool first = k->key == k->key_inline;
    k->key = sh_realloc(first ? NULL : k->key, cap * sizeof(*k->key));
    k->hash = sh_realloc(first ? NULL : k->hash, cap * sizeof(*k->hash));
    if (first) {
        memcpy(k->key, k->key_inline, sizeof(k->key_inline));
        memcpy(k->hash, k->hash_inline, sizeof(k->hash_inline));
    }
    k->cap = cap;
}

/* Quality matters little: a collision costs a comparison, never more than the sort. */
static uint32_t hash_of(struct sh_slice s)
{
    const uint64_t prime = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t h = s.n * prime, w;
    const char *p = s.p;
    size_t n = s.n;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&w, p, 8);
        h = (h ^ w) * prime;
        h ^= h >> 32;
    }
    for (w = 0; n > 0; n--)
        w = w << 8 | (unsigned char)p[n - 1];
    h = (h ^ w) * prime;
    return (uint32_t)(h >> 32);
}

/* The memory holds every escaped key of the text: unescaped content is never longer. */
static struct sh_slice unescape(struct sh_json_keys *k, struct sh_slice text, size_t at, size_t n)
{
    if (!k->unescaped)
        k->unescaped = sh_alloc(text.n, 1);
    const uint8_t *p = (const uint8_t *)text.p + at, *end = p + n;
    char *start = k->unescaped + k->unescaped_n;
    uint8_t one[4];
    while (p < end) {
        size_t bytes = sh_json_unescape_one(&p, end, one);
        memcpy(k->unescaped + k->unescaped_n, one, bytes);
        k->unescaped_n += bytes;
    }
    return sh_slice(start, (size_t)(k->unescaped + k->unescaped_n - start));
}

static bool is_new(const struct sh_json_keys *k, const struct sh_json_key_set *set,
                   struct sh_slice name, uint32_t hash)
{
    for (size_t i = set->base; i < k->count; i++)
        if (k->hash[i] == hash && sh_slice_eq(k->key[i].name, name))
            return false;
    return true;
}

bool sh_json_keys_add(struct sh_json_keys *k, struct sh_json_key_set *set, struct sh_slice text,
                      size_t at, size_t raw_n, bool escaped)
{
    struct sh_slice name = escaped ? unescape(k, text, at, raw_n) : sh_slice(text.p + at, raw_n);
    uint32_t hash = hash_of(name);
    uint64_t bit = UINT64_C(1) << (hash & 63);
    bool few = k->count - set->base < SH_JSON_KEYS_LINEAR;
    if (few && (set->filter & bit) && !is_new(k, set, name, hash))
        return false;
    set->filter |= bit;
    if (k->count == k->cap)
        grow(k);
    k->key[k->count] = (struct sh_json_key){.name = name, .at = at, .raw_n = raw_n};
    k->hash[k->count++] = hash;
    return true;
}

/* Order numbers by their high 32 bits, the hash; equal ones stay in order. Four passes of eight
 * bits, `from` and `to` change places, so the result is in `from`. */
static void sort_by_hash(uint64_t *from, uint64_t *to, size_t n)
{
    for (unsigned shift = 32; shift < 64; shift += 8) {
        size_t start[257] = {0};
        for (size_t i = 0; i < n; i++)
            start[(from[i] >> shift & 255) + 1]++;
        for (size_t i = 0; i < 256; i++)
            start[i + 1] += start[i];
        for (size_t i = 0; i < n; i++)
            to[start[from[i] >> shift & 255]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
}

/* Of two entries (hash << 32 | index): by name, then by place in the text. */
static int by_name(const void *a, const void *b, void *keys)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    const struct sh_json_key *key = keys;
    struct sh_slice p = key[(uint32_t)x].name, q = key[(uint32_t)y].name;
    if (p.n != q.n)
        return p.n < q.n ? -1 : 1;
    int order = p.n ? memcmp(p.p, q.p, p.n) : 0;
    return order ? order : x < y ? -1 : x > y;
}

/* Smallest index of a key that repeats one before it among entries of one hash; n if none. */
static size_t first_repeat(struct sh_json_key *key, uint64_t *entry, size_t entries, size_t n)
{
    size_t first = n;
    qsort_r(entry, entries, sizeof(*entry), by_name, key);
    for (size_t i = 1; i < entries; i++) {
        size_t index = (uint32_t)entry[i];
        if (index < first && sh_slice_eq(key[(uint32_t)entry[i - 1]].name, key[index].name))
            first = index;
    }
    return first;
}

static const struct sh_json_key *search(struct sh_json_key *key, const uint32_t *hash, size_t n)
{
    uint64_t *entry = sh_alloc(2 * n, sizeof(*entry));
    for (size_t i = 0; i < n; i++)
        entry[i] = (uint64_t)hash[i] << 32 | i;
    sort_by_hash(entry, entry + n, n);
    size_t first = n;
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && entry[j] >> 32 == entry[i] >> 32; j++)
            ;
        size_t found = j - i > 1 ? first_repeat(key, entry + i, j - i, n) : n;
        if (found < first)
            first = found;
    }
    free(entry);
    return first < n ? &key[first] : NULL;
}

const struct sh_json_key *sh_json_keys_close(struct sh_json_keys *k,
                                             const struct sh_json_key_set *set)
{
    size_t n = k->count - set->base;
    k->count = set->base;
    return n > SH_JSON_KEYS_LINEAR ? search(k->key + set->base, k->hash + set->base, n) : NULL;
}
