/* SPDX-License-Identifier: MIT
 * series.c: slots in a ring, one minute in the making, sparse rings of rules. */
#include "core/series.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define SLOT_MS   (SH_SERIES_SLOT_S * 1000LL)
#define MINUTE_MS (SH_SERIES_MINUTE_S * 1000LL)

struct part { /* what one rule did in one slot */
    int64_t slot;
    uint32_t runs, failed, dead;
    int64_t cpu_us;
};
enum { RULE_RUNS, RULE_FAILED, RULE_DEAD, RULE_CPU, RULE_COUNTS };

struct rule {
    UT_hash_handle hh;
    char *name;
    int64_t last[RULE_COUNTS]; /* as the meter had them */
    struct part *parts;        /* a ring once there are SH_SERIES_SLOTS of them */
    size_t n, cap, first;
    bool seen;
};

struct sh_series {
    struct sh_series_span *kept; /* at_ms: a multiple of SLOT_MS; ascending */
    size_t n, first;
    bool full; /* slots have been dropped */
    int64_t ring, since_ms;
    int64_t now_ms; /* never goes back, but by a new beginning */
    struct sh_series_counts last;
    struct sh_series_span minute;
    struct rule *rules;
};

/* --- counts ----------------------------------------------------------------------------------- */

static void copy_buckets(struct sh_histogram *to, const struct sh_histogram *from)
{
    *to = *from;
    to->sum = 0;
}

void sh_series_counts_of(const struct sh_meter *m, int64_t backlog, struct sh_series_counts *out)
{
    const struct sh_meter_totals *t = sh_meter_totals(m);
    const struct sh_meter_waits *w = sh_meter_waits(m);
    const uint64_t failed = t->runs[SH_METER_RUN_FAILED], dead = t->runs[SH_METER_RUN_DEAD];
    const uint64_t n[SH_SERIES_COUNTS] = {
        [SH_SERIES_EVENTS] = t->events,
        [SH_SERIES_DUPLICATES] = t->duplicates,
        [SH_SERIES_REFUSED] = t->refused,
        [SH_SERIES_RUNS] = t->runs[SH_METER_RUN_DONE] + failed + dead,
        [SH_SERIES_FAILED] = failed,
        [SH_SERIES_DEAD] = dead,
        [SH_SERIES_SENT] = t->sent[SH_METER_SENT],
        [SH_SERIES_SEND_FAILED] =
            t->sent[SH_METER_RETRY] + t->sent[SH_METER_WAIT] + t->sent[SH_METER_DEAD],
        [SH_SERIES_CPU_US] = t->cpu_us,
    };
    for (int i = 0; i < SH_SERIES_COUNTS; i++)
        out->n[i] = (int64_t)n[i];
    out->backlog = backlog;
    copy_buckets(&out->ack, &w->acknowledged);
    copy_buckets(&out->settle, &w->settled);
}

static void add_buckets(struct sh_histogram *to, const struct sh_histogram *more, bool take_away)
{
    for (size_t i = 0; i <= SH_HISTOGRAM_BUCKETS; i++)
        to->in[i] = take_away ? to->in[i] - more->in[i] : to->in[i] + more->in[i];
}

void sh_series_add(struct sh_series_counts *to, const struct sh_series_counts *more)
{
    for (int i = 0; i < SH_SERIES_COUNTS; i++)
        to->n[i] += more->n[i];
    to->backlog = to->backlog > more->backlog ? to->backlog : more->backlog;
    add_buckets(&to->ack, &more->ack, false);
    add_buckets(&to->settle, &more->settle, false);
}

static void take_away(struct sh_series_counts *from, const struct sh_series_counts *before)
{
    for (int i = 0; i < SH_SERIES_COUNTS; i++)
        from->n[i] -= before->n[i];
    add_buckets(&from->ack, &before->ack, true);
    add_buckets(&from->settle, &before->settle, true);
}

double sh_series_quantile_ms(const struct sh_histogram *h, double q)
{
    const struct sh_bounds *b = &sh_bounds_wait;
    uint64_t all = 0, below = 0;
    size_t i = 0;
    for (size_t k = 0; k <= b->n; k++)
        all += h->in[k];
    if (all == 0)
        return -1;
    const double rank = q * (double)all;
    while (i < b->n && (double)(below + h->in[i]) < rank)
        below += h->in[i++];
    while (i < b->n && h->in[i] == 0) /* rank 0: the lowest value that there is */
        i++;
    if (i == b->n)
        return (double)b->le[b->n - 1] / 1000;
    const double from = i ? (double)b->le[i - 1] : 0;
    const double part = (rank - (double)below) / (double)h->in[i];
    return (from + ((double)b->le[i] - from) * part) / 1000;
}

/* --- rules ------------------------------------------------------------------------------------ */

static void drop_rule(struct sh_series *s, struct rule *r)
{
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
    HASH_DEL(s->rules, r);
    free(r->parts);
    free(r->name);
    free(r);
}

static struct rule *rule_of(struct sh_series *s, const char *name)
{
    struct rule *r = NULL;
    HASH_FIND_STR(s->rules, name, r);
    if (r || HASH_COUNT(s->rules) >= SH_SERIES_RULES)
        return r;
    r = sh_alloc(1, sizeof(*r));
    r->name = sh_strdup(name);
    HASH_ADD_KEYPTR(hh, s->rules, r->name, strlen(r->name), r);
    return r;
}

static struct part *part_at(const struct rule *r, size_t i)
{
    return &r->parts[(r->first + i) % SH_SERIES_SLOTS];
}

static struct part *part_of(struct rule *r, int64_t slot)
{
    if (r->n && part_at(r, r->n - 1)->slot == slot)
        return part_at(r, r->n - 1);
    if (r->n == SH_SERIES_SLOTS) {
        r->first = (r->first + 1) % SH_SERIES_SLOTS;
    } else if (r->n++ == r->cap) { /* not a ring yet: first is 0 */
        r->cap = r->cap ? r->cap * 2 : 8;
        r->cap = r->cap < SH_SERIES_SLOTS ? r->cap : SH_SERIES_SLOTS;
        r->parts = sh_realloc(r->parts, r->cap * sizeof(*r->parts));
    }
    struct part *p = part_at(r, r->n - 1);
    *p = (struct part){.slot = slot};
    return p;
}

static void note_rule(void *arg, const struct sh_meter_row *row)
{
    struct sh_series *s = arg;
    struct rule *r = rule_of(s, row->a);
    if (!r)
        return;
    const int64_t failed = (int64_t)row->counts[SH_METER_RUN_FAILED];
    const int64_t dead = (int64_t)row->counts[SH_METER_RUN_DEAD];
    const int64_t now[RULE_COUNTS] = {[RULE_RUNS] =
                                          (int64_t)row->counts[SH_METER_RUN_DONE] + failed + dead,
                                      [RULE_FAILED] = failed,
                                      [RULE_DEAD] = dead,
                                      [RULE_CPU] = row->times ? row->times->sum : 0};
    r->seen = true;
    if (memcmp(now, r->last, sizeof(now)) == 0)
        return;
    if (now[RULE_RUNS] < r->last[RULE_RUNS]) /* forgotten meanwhile, and counted anew */
        memset(r->last, 0, sizeof(r->last));
    struct part *p = part_of(r, s->now_ms / SLOT_MS);
    p->runs += (uint32_t)(now[RULE_RUNS] - r->last[RULE_RUNS]);
    p->failed += (uint32_t)(now[RULE_FAILED] - r->last[RULE_FAILED]);
    p->dead += (uint32_t)(now[RULE_DEAD] - r->last[RULE_DEAD]);
    p->cpu_us += now[RULE_CPU] - r->last[RULE_CPU];
    memcpy(r->last, now, sizeof(now));
}

static void note_rules(struct sh_series *s, const struct sh_meter *m)
{
    struct rule *r, *next;
    HASH_ITER(hh, s->rules, r, next) r->seen = false;
    sh_meter_runs(m, note_rule, s);
    HASH_ITER(hh, s->rules, r, next)
    {
        if (!r->seen)
            drop_rule(s, r);
    }
}

/* --- slots ------------------------------------------------------------------------------------ */

static struct sh_series_span *slot_at(const struct sh_series *s, size_t i)
{
    return &s->kept[(s->first + i) % SH_SERIES_SLOTS];
}

static struct sh_series_span *slot_now(struct sh_series *s)
{
    const int64_t at_ms = s->now_ms / SLOT_MS * SLOT_MS;
    if (s->n && slot_at(s, s->n - 1)->at_ms == at_ms)
        return slot_at(s, s->n - 1);
    if (s->n == SH_SERIES_SLOTS) {
        s->first = (s->first + 1) % SH_SERIES_SLOTS;
        s->full = true;
    } else {
        s->n++;
    }
    struct sh_series_span *slot = slot_at(s, s->n - 1);
    *slot = (struct sh_series_span){.at_ms = at_ms};
    return slot;
}

static void begin_anew(struct sh_series *s, int64_t now_ms)
{
    struct rule *r, *next;
    s->n = s->first = 0;
    s->full = false;
    s->since_ms = now_ms;
    s->ring++;
    HASH_ITER(hh, s->rules, r, next) r->n = r->first = 0;
}

void sh_series_cut(struct sh_series *s, struct sh_series_span *minute)
{
    *minute = s->minute;
    s->minute = (struct sh_series_span){.at_ms = s->now_ms, .ring = s->ring};
}

bool sh_series_note(struct sh_series *s, const struct sh_meter *m, int64_t backlog, int64_t now_ms,
                    struct sh_series_span *minute)
{
    struct sh_series_counts total, more;
    const bool back = now_ms <= s->now_ms - MINUTE_MS;
    if (back)
        begin_anew(s, now_ms);
    if (back || now_ms > s->now_ms)
        s->now_ms = now_ms;
    const bool over = back || s->now_ms / MINUTE_MS != s->minute.at_ms / MINUTE_MS;
    if (over)
        sh_series_cut(s, minute);
    sh_series_counts_of(m, backlog, &total);
    more = total;
    take_away(&more, &s->last);
    s->last = total;
    sh_series_add(&slot_now(s)->c, &more);
    sh_series_add(&s->minute.c, &more);
    note_rules(s, m);
    return over;
}

struct sh_series *sh_series_new(int64_t now_ms, int64_t ring)
{
    struct sh_series *s = sh_alloc(1, sizeof(*s));
    s->kept = sh_alloc(SH_SERIES_SLOTS, sizeof(*s->kept));
    s->since_ms = s->now_ms = s->minute.at_ms = now_ms;
    s->ring = s->minute.ring = ring;
    return s;
}

void sh_series_free(struct sh_series *s)
{
    struct rule *r, *next;
    if (!s)
        return;
    HASH_ITER(hh, s->rules, r, next) drop_rule(s, r);
    free(s->kept);
    free(s);
}

/* --- copies ----------------------------------------------------------------------------------- */

/* Once slots were dropped, the first minute that is whole in those that are left. */
static int64_t since(const struct sh_series *s)
{
    return s->full ? (slot_at(s, 0)->at_ms + MINUTE_MS - 1) / MINUTE_MS * MINUTE_MS : s->since_ms;
}

void sh_series_copy(const struct sh_series *s, int64_t from_ms, int64_t to_ms,
                    struct sh_series_copy *out)
{
    *out = (struct sh_series_copy){
        .ring = s->ring, .since_ms = since(s), .slots = sh_alloc(s->n + 1, sizeof(*out->slots))};
    for (size_t i = 0; i < s->n; i++) {
        const struct sh_series_span *slot = slot_at(s, i);
        const bool is_whole = !s->full || slot->at_ms >= out->since_ms;
        if (is_whole && slot->at_ms >= from_ms && slot->at_ms < to_ms)
            out->slots[out->n++] = *slot;
    }
}

bool sh_series_copy_rule(const struct sh_series *s, const char *rule, int64_t from_ms,
                         int64_t to_ms, struct sh_series_copy *out)
{
    const struct rule *r = NULL;
    HASH_FIND_STR(s->rules, rule, r);
    if (!r)
        return false;
    sh_series_copy(s, from_ms, to_ms, out);
    for (size_t i = 0, k = 0; i < out->n; i++) {
        struct sh_series_span *slot = &out->slots[i];
        slot->c = (struct sh_series_counts){0};
        while (k < r->n && part_at(r, k)->slot < slot->at_ms / SLOT_MS)
            k++;
        if (k == r->n || part_at(r, k)->slot != slot->at_ms / SLOT_MS)
            continue;
        const struct part *p = part_at(r, k);
        slot->c.n[SH_SERIES_RUNS] = p->runs;
        slot->c.n[SH_SERIES_FAILED] = p->failed;
        slot->c.n[SH_SERIES_DEAD] = p->dead;
        slot->c.n[SH_SERIES_CPU_US] = p->cpu_us;
    }
    return true;
}

void sh_series_copy_free(struct sh_series_copy *c)
{
    free(c->slots);
    *c = (struct sh_series_copy){0};
}
