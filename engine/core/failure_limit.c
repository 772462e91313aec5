/* SPDX-License-Identifier: MIT
 * failure_limit.c: a set-associative table, so that a look-up costs the same however full it is. */
#include "core/failure_limit.h"

#include "svc/crypto.h"

#include <stdlib.h>
#include <string.h>

#define WAYS 4
#define SETS (SH_FAILURE_ENTRIES / WAYS) /* a power of two */

struct entry {
    struct sh_ip ip;
    uint64_t scope;
    int64_t since_ms;
    int64_t n; /* 0 = free */
};

struct sh_failures {
    int64_t limit, window_ms;
    uint64_t seed; /* so that nobody can choose addresses that share a set */
    struct entry entry[SETS][WAYS];
};

struct sh_failures *sh_failures_new(int64_t limit, int64_t window_ms)
{
    struct sh_failures *f = sh_alloc(1, sizeof(*f));
    f->limit = limit;
    f->window_ms = window_ms;
    sh_random((uint8_t *)&f->seed, sizeof(f->seed));
    return f;
}

void sh_failures_free(struct sh_failures *f)
{
    free(f);
}

/* Every bit of v reaches every bit of the result (the finalizer of MurmurHash3). */
static uint64_t mix(uint64_t h, uint64_t v)
{
    h ^= v;
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdU;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53U;
    return h ^ h >> 33;
}

static uint64_t scope_of(const struct sh_failures *f, const char *scope)
{
    uint64_t h = f->seed;
    for (; *scope; scope++)
        h = mix(h, (unsigned char)*scope);
    return h;
}

static struct sh_ip counted(const struct sh_ip *ip)
{
    return sh_ip_is_v4(ip) ? *ip : sh_ip_masked(*ip, 64);
}

static size_t set_of(const struct sh_ip *ip, uint64_t scope)
{
    uint64_t halves[2];
    memcpy(halves, ip->b, sizeof(halves));
    return mix(mix(scope, halves[0]), halves[1]) % SETS;
}

static bool is_over(const struct sh_failures *f, const struct entry *e, int64_t now_ms)
{
    return now_ms - e->since_ms >= f->window_ms;
}

static bool is_of(const struct entry *e, const struct sh_ip *ip, uint64_t scope)
{
    return e->n && e->scope == scope && memcmp(&e->ip, ip, sizeof(*ip)) == 0;
}

/* The entry of ip and scope, else a free one, else the oldest of the set. */
static struct entry *place_for(struct entry set[WAYS], const struct sh_ip *ip, uint64_t scope)
{
    struct entry *oldest = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (is_of(&set[i], ip, scope))
            return &set[i];
        if (oldest->n && (!set[i].n || set[i].since_ms < oldest->since_ms))
            oldest = &set[i];
    }
    return oldest;
}

void sh_failures_note(struct sh_failures *f, const char *scope, const struct sh_ip *ip,
                      int64_t now_ms)
{
    if (!f->limit)
        return;
    const struct sh_ip key = counted(ip);
    const uint64_t what = scope_of(f, scope);
    struct entry *e = place_for(f->entry[set_of(&key, what)], &key, what);
    if (!is_of(e, &key, what) || is_over(f, e, now_ms))
        *e = (struct entry){.ip = key, .scope = what, .since_ms = now_ms};
    e->n++;
}

bool sh_failures_is_blocked(const struct sh_failures *f, const char *scope, const struct sh_ip *ip,
                            int64_t now_ms)
{
    if (!f->limit)
        return false;
    const struct sh_ip key = counted(ip);
    const uint64_t what = scope_of(f, scope);
    const struct entry *set = f->entry[set_of(&key, what)];
    for (size_t i = 0; i < WAYS; i++)
        if (is_of(&set[i], &key, what))
            return set[i].n >= f->limit && !is_over(f, &set[i], now_ms);
    return false;
}
