/* SPDX-License-Identifier: MIT
 * store_dedupe.c: which dedupe ids are stored.
 *
 * The index by hash (sh_dedupe) is large and its keys are random: to put each new one straight into
 * it would write a page of it for every event, twice with the checkpoint. So new ones go to the end
 * of a small table (sh_dedupe_new) and to memory, and move over later in the order of their hashes,
 * many to a page, a slice with each transaction. Three places are asked, newest first: `fresh`
 * (hash table), `moving` (sorted), and sh_dedupe.
 *
 * Memory may say too much, never too little: an entry counts only if its event is still there.
 * After a crash sh_dedupe_new is read again; what had moved already moves once more, to no effect.
 */
#include "core/store_impl.h"

#include <stdlib.h>
#include <string.h>

#define HASH_BYTES SH_STORE_HASH_BYTES
#define RADIX_BITS 16

struct entry {
    uint8_t hash[HASH_BYTES];
    int64_t seq;
};

struct sh_store_dedupe {
    struct entry *fresh; /* by age */
    size_t n_fresh, cap_fresh;
    uint32_t *slot; /* of fresh: index + 1, linear probing, at most half full */
    size_t n_slots; /* a power of two */

    struct entry *moving; /* by hash */
    size_t n_moving;
    size_t moved, moved_kept;   /* how many are in sh_dedupe; as of the last commit */
    bool cleared, cleared_kept; /* and gone from sh_dedupe_new; as of the last commit */
    int64_t last_moving;        /* largest seq of them */
    int64_t pruned_to;          /* largest seq that was pruned */
    size_t added;               /* by this transaction */
};

struct sh_store_dedupe *sh_store_dedupe_new(void)
{
    return sh_alloc(1, sizeof(struct sh_store_dedupe));
}

void sh_store_dedupe_free(struct sh_store_dedupe *d)
{
    if (!d)
        return;
    free(d->fresh);
    free(d->slot);
    free(d->moving);
    free(d);
}

static size_t place_of(const struct sh_store_dedupe *d, const uint8_t *hash)
{
    uint64_t h;
    memcpy(&h, hash, sizeof(h)); /* SHA-256: any part of it is as good as another */
    return h & (d->n_slots - 1);
}

static void put_slot(struct sh_store_dedupe *d, size_t i)
{
    size_t at = place_of(d, d->fresh[i].hash);
    while (d->slot[at])
        at = (at + 1) & (d->n_slots - 1);
    d->slot[at] = (uint32_t)i + 1;
}

static void rebuild_slots(struct sh_store_dedupe *d, size_t n)
{
    free(d->slot);
    d->n_slots = n;
    d->slot = sh_alloc(n, sizeof(*d->slot));
    for (size_t i = 0; i < d->n_fresh; i++)
        put_slot(d, i);
}

static void add_fresh(struct sh_store_dedupe *d, const uint8_t *hash, int64_t seq)
{
    if (d->n_fresh == d->cap_fresh) {
        d->cap_fresh = d->cap_fresh ? d->cap_fresh * 2 : 256;
        d->fresh = sh_realloc(d->fresh, d->cap_fresh * sizeof(*d->fresh));
    }
    struct entry *e = &d->fresh[d->n_fresh++];
    memcpy(e->hash, hash, HASH_BYTES);
    e->seq = seq;
    if (d->n_fresh * 2 > d->n_slots)
        rebuild_slots(d, d->n_slots ? d->n_slots * 2 : 1024);
    else
        put_slot(d, d->n_fresh - 1);
}

/* The newest fresh entry of a hash, 0: none. */
static int64_t find_fresh(const struct sh_store_dedupe *d, const uint8_t *hash)
{
    int64_t seq = 0;
    if (d->n_slots == 0)
        return 0;
    for (size_t at = place_of(d, hash); d->slot[at]; at = (at + 1) & (d->n_slots - 1)) {
        const struct entry *e = &d->fresh[d->slot[at] - 1];
        if (e->seq > seq && memcmp(e->hash, hash, HASH_BYTES) == 0)
            seq = e->seq;
    }
    return seq;
}

static int64_t find_moving(const struct sh_store_dedupe *d, const uint8_t *hash)
{
    size_t low = 0, high = d->n_moving; /* the first one greater than hash */
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (memcmp(d->moving[mid].hash, hash, HASH_BYTES) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    bool found = low > 0 && memcmp(d->moving[low - 1].hash, hash, HASH_BYTES) == 0;
    return found ? d->moving[low - 1].seq : 0;
}

/* The id of the event in st's first row. 1: found. */
static int take_id(sqlite3_stmt *st, struct sh_id *id, struct sh_error *err)
{
    int got = sh_sqlite_step(st, err);
    if (got != 1)
        return got;
    struct sh_slice text = sh_sqlite_text(st, 0);
    if (!sh_id_parse(text.p, text.n, id)) {
        sh_error_set(err, SH_EFATAL, "an event id in the store is not a UUIDv7: \"%.*s\"",
                     text.n > 64 ? 64 : (int)text.n, text.p);
        got = -1;
    }
    sqlite3_reset(st);
    return got;
}

static int event_at(struct sh_store *s, int64_t seq, struct sh_id *id, struct sh_error *err)
{
    if (seq == 0)
        return 0;
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_EVENT_ID, err);
    if (!st)
        return -1;
    sh_sqlite_bind_int(st, 1, seq);
    return take_id(st, id, err);
}

int sh_store_dedupe_find(struct sh_store *s, const uint8_t *hash, struct sh_id *first,
                         struct sh_error *err)
{
    int got = event_at(s, find_fresh(s->dedupe, hash), first, err);
    if (got == 0)
        got = event_at(s, find_moving(s->dedupe, hash), first, err);
    if (got != 0)
        return got;
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_DEDUPE_FIRST, err);
    if (!st)
        return -1;
    sh_sqlite_bind_blob(st, 1, hash, HASH_BYTES);
    return take_id(st, first, err);
}

bool sh_store_dedupe_add(struct sh_store *s, const uint8_t *hash, int64_t seq, struct sh_error *err)
{
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_DEDUPE_ADD, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, seq);
    sh_sqlite_bind_blob(st, 2, hash, HASH_BYTES);
    if (!sh_sqlite_run(st, err))
        return false;
    add_fresh(s->dedupe, hash, seq);
    s->dedupe->added++;
    return true;
}

bool sh_store_dedupe_remove(struct sh_store *s, const uint8_t *hash, int64_t seq,
                            struct sh_error *err)
{
    if (seq > s->dedupe->pruned_to)
        s->dedupe->pruned_to = seq;
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_PRUNE_DEDUPE, err);
    if (!st)
        return false;
    sh_sqlite_bind_blob(st, 1, hash, HASH_BYTES);
    sh_sqlite_bind_int(st, 2, seq);
    if (!sh_sqlite_run(st, err) || !(st = sh_store_stmt(&s->w, SH_ST_PRUNE_DEDUPE_NEW, err)))
        return false;
    sh_sqlite_bind_int(st, 1, seq);
    return sh_sqlite_run(st, err);
}

size_t sh_store_dedupe_mark(const struct sh_store *s)
{
    return s->dedupe->n_fresh;
}

/* The last ones in are the first ones out, so that linear probing needs no tombstones. */
void sh_store_dedupe_back_to(struct sh_store *s, size_t mark)
{
    struct sh_store_dedupe *d = s->dedupe;
    while (d->n_fresh > mark) {
        size_t at = place_of(d, d->fresh[d->n_fresh - 1].hash);
        while (d->slot[at] != d->n_fresh)
            at = (at + 1) & (d->n_slots - 1);
        d->slot[at] = 0;
        d->n_fresh--;
    }
}

/* --- moving ------------------------------------------------------------------ */

static bool move_one(struct sh_store *s, const struct entry *e, struct sh_error *err)
{
    struct sh_id id;
    if (e->seq <= s->dedupe->pruned_to) { /* it may have been pruned since */
        int got = event_at(s, e->seq, &id, err);
        if (got <= 0)
            return got == 0;
    }
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_DEDUPE_MOVE, err);
    if (!st)
        return false;
    sh_sqlite_bind_blob(st, 1, e->hash, HASH_BYTES);
    sh_sqlite_bind_int(st, 2, e->seq);
    return sh_sqlite_run(st, err);
}

static bool clear_new(struct sh_store *s, size_t limit, struct sh_error *err)
{
    struct sh_store_dedupe *d = s->dedupe;
    sqlite3_stmt *st = sh_store_stmt(&s->w, SH_ST_DEDUPE_CLEAR, err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, d->last_moving);
    sh_sqlite_bind_int(st, 2, (int64_t)limit);
    if (!sh_sqlite_run(st, err))
        return false;
    d->cleared = (size_t)sqlite3_changes(s->w.db) < limit;
    return true;
}

/* Twice as much as came in: the move is over before the next one is due. */
bool sh_store_dedupe_step(struct sh_store *s, struct sh_error *err)
{
    struct sh_store_dedupe *d = s->dedupe;
    size_t budget = d->added * 2 + (d->added ? 64 : 0);
    if (d->n_moving == 0 || budget == 0)
        return true;
    if (d->moved == d->n_moving)
        return clear_new(s, budget * 2, err);
    for (; budget > 0 && d->moved < d->n_moving; budget--, d->moved++)
        if (!move_one(s, &d->moving[d->moved], err))
            return false;
    return true;
}

static int by_hash(const struct entry *a, const struct entry *b)
{
    int c = memcmp(a->hash, b->hash, HASH_BYTES);
    return c ? c : a->seq < b->seq ? -1 : a->seq > b->seq;
}

static size_t radix_of(const struct entry *e)
{
    return (size_t)e->hash[0] << 8 | e->hash[1];
}

/* Into buckets by the first two bytes, which are even by nature, then straight insertion: a few
 * milliseconds where qsort() takes tens. */
static struct entry *sorted(const struct entry *from, size_t n)
{
    struct entry *to = sh_alloc(n, sizeof(*to));
    uint32_t *start = sh_alloc((1u << RADIX_BITS) + 1, sizeof(*start));
    for (size_t i = 0; i < n; i++)
        start[radix_of(&from[i]) + 1]++;
    for (size_t i = 0; i < 1u << RADIX_BITS; i++)
        start[i + 1] += start[i];
    for (size_t i = 0; i < n; i++)
        to[start[radix_of(&from[i])]++] = from[i];
    free(start);
    for (size_t i = 1; i < n; i++) {
        struct entry e = to[i];
        size_t j = i;
        for (; j > 0 && by_hash(&to[j - 1], &e) > 0; j--)
            to[j] = to[j - 1];
        to[j] = e;
    }
    return to;
}

static void start_move(struct sh_store_dedupe *d)
{
    d->moving = sorted(d->fresh, d->n_fresh);
    d->n_moving = d->n_fresh;
    d->last_moving = d->fresh[d->n_fresh - 1].seq;
    d->moved = d->moved_kept = 0;
    d->cleared = d->cleared_kept = false;
    d->n_fresh = 0;
    rebuild_slots(d, d->n_slots);
}

void sh_store_dedupe_committed(struct sh_store *s)
{
    struct sh_store_dedupe *d = s->dedupe;
    d->added = 0;
    d->moved_kept = d->moved;
    d->cleared_kept = d->cleared;
    if (d->cleared) {
        free(d->moving);
        d->moving = NULL;
        d->n_moving = 0;
        d->cleared = d->cleared_kept = false;
    }
    if (d->n_moving == 0 && d->n_fresh >= s->dedupe_move_at)
        start_move(d);
}

void sh_store_dedupe_rolled_back(struct sh_store *s)
{
    s->dedupe->added = 0;
    s->dedupe->moved = s->dedupe->moved_kept;
    s->dedupe->cleared = s->dedupe->cleared_kept;
}

bool sh_store_dedupe_load(struct sh_store *s, struct sh_error *err)
{
    sqlite3_stmt *st =
        sh_sqlite_prepare(s->w.db, "SELECT seq, hash FROM sh_dedupe_new ORDER BY seq", err);
    if (!st)
        return false;
    int got;
    while ((got = sh_sqlite_step(st, err)) == 1) {
        struct sh_slice hash = sh_sqlite_text(st, 1);
        if (hash.n == HASH_BYTES)
            add_fresh(s->dedupe, (const uint8_t *)hash.p, sqlite3_column_int64(st, 0));
    }
    sqlite3_finalize(st);
    return got == 0;
}
