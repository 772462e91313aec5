/* SPDX-License-Identifier: MIT
 * meter.c: rows by label in hash tables, histograms with fixed bounds. */
#include "core/meter.h"

#include "base/clock.h"
#include "base/mask.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define MAX_COUNTS  5
#define MAX_ROWS    10000 /* of one table: never reached, whatever comes */
#define MAX_KEY     1024  /* two labels and what parts them */
#define MAX_SOURCES 256

_Static_assert(SH_METER_RUNS <= MAX_COUNTS && SH_METER_SENTS <= MAX_COUNTS, "rows are too small");

const struct sh_bounds sh_bounds_wait = {
    .n = 21,
    .le = {100,     250,      500,      1000,     2500,      5000,       10000,
           25000,   50000,    100000,   250000,   500000,    1000000,    2500000,
           5000000, 10000000, 30000000, 60000000, 300000000, 1800000000, 3600000000},
    .per_unit = 1000000,
};
const struct sh_bounds sh_bounds_cpu = {
    .n = 13,
    .le = {10, 50, 100, 250, 500, 1000, 5000, 10000, 50000, 100000, 500000, 1000000, 10000000},
    .per_unit = 1000000,
};
const struct sh_bounds sh_bounds_size = {
    .n = 13,
    .le = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096},
    .per_unit = 1,
};

void sh_histogram_note(struct sh_histogram *h, const struct sh_bounds *bounds, int64_t value)
{
    size_t i = 0;
    value = value > 0 ? value : 0; /* a clock was set back */
    while (i < bounds->n && value > bounds->le[i])
        i++;
    h->in[i]++;
    h->sum += value;
}

struct row {
    UT_hash_handle hh;
    char *key; /* the labels, parted by NUL */
    size_t key_len;
    const char *a, *b; /* within key */
    int status;
    int64_t last_ms;
    uint64_t counts[MAX_COUNTS];
    struct sh_histogram *times; /* owned, or NULL */
    bool live;                  /* a rule: of the live generation */
};

struct source { /* how many of its types are shown */
    UT_hash_handle hh;
    char *name;
    size_t first_come, all;
};

struct sh_meter {
    struct row *events, *refusals, *rules, *kinds, *routes;
    struct row *types; /* that the live rules name */
    struct source *sources;
    struct sh_meter_waits waits;
    struct sh_meter_totals totals;
    size_t live;
};

/* --- Rows --------------------------------------------------------------------------------------
 */

static size_t key_of(char key[MAX_KEY], struct sh_slice a, struct sh_slice b)
{
    const size_t half = MAX_KEY / 2 - 1;
    a.n = a.n < half ? a.n : half;
    b.n = b.n < half ? b.n : half;
    if (a.n)
        memcpy(key, a.p, a.n);
    key[a.n] = '\0';
    if (b.n)
        memcpy(key + a.n + 1, b.p, b.n);
    return a.n + 1 + b.n;
}

static struct row *find(struct row *table, struct sh_slice a, struct sh_slice b)
{
    char key[MAX_KEY];
    struct row *row = NULL;
    const size_t n = key_of(key, a, b);
    HASH_FIND(hh, table, key, n, row);
    return row;
}

static struct row *add(struct row **table, struct sh_slice a, struct sh_slice b)
{
    char key[MAX_KEY];
    if (HASH_COUNT(*table) >= MAX_ROWS)
        return NULL;
    struct row *row = sh_alloc(1, sizeof(*row));
    row->key_len = key_of(key, a, b);
    row->key = sh_memdup(key, row->key_len);
    row->a = row->key;
    row->b = row->key + strlen(row->key) + 1;
    HASH_ADD_KEYPTR(hh, *table, row->key, row->key_len, row);
    return row;
}

static struct row *row_of(struct row **table, struct sh_slice a, struct sh_slice b)
{
    struct row *row = find(*table, a, b);
    return row ? row : add(table, a, b);
}

static void drop(struct row **table, struct row *row)
{
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
    HASH_DEL(*table, row);
    free(row->times);
    free(row->key);
    free(row);
}

static void drop_all(struct row **table)
{
    struct row *row, *next;
    HASH_ITER(hh, *table, row, next) drop(table, row);
}

static void count(struct row *row, size_t which)
{
    if (row)
        row->counts[which]++;
}

static void note_time(struct row *row, const struct sh_bounds *bounds, int64_t us)
{
    if (!row)
        return;
    if (!row->times)
        row->times = sh_alloc(1, sizeof(*row->times));
    sh_histogram_note(row->times, bounds, us);
}

/* --- Types -------------------------------------------------------------------------------------
 */

static struct source *source_of(struct sh_meter *m, const char *name)
{
    struct source *s = NULL;
    HASH_FIND_STR(m->sources, name, s);
    if (s || HASH_COUNT(m->sources) >= MAX_SOURCES)
        return s;
    s = sh_alloc(1, sizeof(*s));
    s->name = sh_strdup(name);
    HASH_ADD_KEYPTR(hh, m->sources, s->name, strlen(s->name), s);
    return s;
}

/* What is a caller's is no label. */
static bool is_number(const char *type)
{
    struct sh_buf out;
    sh_buf_init(&out, MAX_KEY);
    sh_mask_numbers(&out, sh_slice_str(type));
    const bool changed = out.len != strlen(type) || (out.len && strcmp(out.data, type) != 0);
    sh_buf_free(&out);
    return changed;
}

/* May a type of that source have a row of its own, which it has not yet? */
static bool is_shown(struct sh_meter *m, struct source *s, const char *type)
{
    const bool named = find(m->types, sh_slice_str(type), SH_SLICE("")) != NULL;
    if (!s || s->all >= SH_METER_MAX_TYPES || (!named && s->first_come >= SH_METER_TYPES) ||
        is_number(type))
        return false;
    s->all++;
    s->first_come += !named;
    return true;
}

static struct row *event_row(struct sh_meter *m, const char *source, const char *type)
{
    const struct sh_slice a = sh_slice_str(source);
    struct row *row = find(m->events, a, sh_slice_str(type));
    if (row)
        return row;
    return row_of(&m->events, a,
                  is_shown(m, source_of(m, source), type) ? sh_slice_str(type)
                                                          : SH_SLICE(SH_METER_OTHER));
}

/* --- Rules -------------------------------------------------------------------------------------
 */

static void name_types(struct sh_meter *m, const cJSON *rule)
{
    const cJSON *on;
    cJSON_ArrayForEach(on, sh_json_member(rule, "on"))
    {
        if (cJSON_IsString(on) && !strpbrk(on->valuestring, "*?"))
            (void)row_of(&m->types, sh_slice_str(on->valuestring), SH_SLICE(""));
    }
}

void sh_meter_set_rules(struct sh_meter *m, const cJSON *rules)
{
    const cJSON *rule;
    struct row *row, *next;
    if (!m)
        return;
    drop_all(&m->types);
    HASH_ITER(hh, m->rules, row, next) row->live = strcmp(row->a, SH_METER_OTHER) == 0;
    cJSON_ArrayForEach(rule, rules)
    {
        const char *name = sh_json_string(rule, "name");
        row = name ? row_of(&m->rules, sh_slice_str(name), SH_SLICE("")) : NULL;
        if (row)
            row->live = true;
        name_types(m, rule);
    }
    HASH_ITER(hh, m->rules, row, next)
    {
        if (!row->live)
            drop(&m->rules, row);
    }
}

/* --- Counting ----------------------------------------------------------------------------------
 */

void sh_meter_event(struct sh_meter *m, const char *source, const char *type, bool duplicate)
{
    if (!m)
        return;
    count(event_row(m, source, type), duplicate);
    if (duplicate)
        m->totals.duplicates++;
    else
        m->totals.events++;
}

int64_t sh_meter_refused(struct sh_meter *m, const char *source, const char *reason)
{
    struct row *row =
        m ? row_of(&m->refusals, sh_slice_str(source ? source : ""), sh_slice_str(reason)) : NULL;
    if (m)
        m->totals.refused++;
    if (!row)
        return 0;
    const int64_t before = row->last_ms;
    row->last_ms = sh_now_ms();
    count(row, 0);
    return before ? row->last_ms - before : INT64_MAX;
}

void sh_meter_acknowledged(struct sh_meter *m, int64_t us)
{
    if (m)
        sh_histogram_note(&m->waits.acknowledged, &sh_bounds_wait, us);
}

void sh_meter_started(struct sh_meter *m, int64_t us)
{
    if (m)
        sh_histogram_note(&m->waits.started, &sh_bounds_wait, us);
}

void sh_meter_settled(struct sh_meter *m, int64_t us)
{
    if (m)
        sh_histogram_note(&m->waits.settled, &sh_bounds_wait, us);
}

void sh_meter_ran(struct sh_meter *m, struct sh_slice rule, enum sh_meter_run outcome,
                  uint64_t cpu_us)
{
    if (!m)
        return;
    struct row *row = find(m->rules, rule, SH_SLICE(""));
    if (!row)
        row = row_of(&m->rules, SH_SLICE(SH_METER_OTHER), SH_SLICE(""));
    count(row, outcome);
    m->totals.runs[outcome]++;
    if (outcome == SH_METER_RUN_KEPT)
        return;
    note_time(row, &sh_bounds_cpu, (int64_t)cpu_us);
    m->totals.cpu_us += cpu_us;
}

void sh_meter_delivered(struct sh_meter *m, const char *kind, enum sh_meter_sent outcome,
                        int64_t us)
{
    if (!m)
        return;
    struct row *row = row_of(&m->kinds, sh_slice_str(kind), SH_SLICE(""));
    count(row, outcome);
    m->totals.sent[outcome]++;
    if (outcome == SH_METER_SENT)
        note_time(row, &sh_bounds_wait, us);
}

void sh_meter_api(struct sh_meter *m, const char *route, int status)
{
    if (!m)
        return;
    const struct sh_slice code = sh_slice((const char *)&status, sizeof(status));
    struct row *row = row_of(&m->routes, sh_slice_str(route ? route : "none"), code);
    if (row)
        row->status = status;
    count(row, 0);
}

void sh_meter_set_live(struct sh_meter *m, size_t n)
{
    if (m)
        m->live = n;
}

size_t sh_meter_live(const struct sh_meter *m)
{
    return m ? m->live : 0;
}

/* --- Reading -----------------------------------------------------------------------------------
 */

static void each(const struct row *table, sh_meter_fn *fn, void *arg)
{
    for (const struct row *row = table; row; row = row->hh.next) {
        const struct sh_meter_row shown = {
            .a = row->a,
            .b = row->b,
            .status = row->status,
            .last_ms = row->last_ms,
            .counts = row->counts,
            .times = row->times,
        };
        fn(arg, &shown);
    }
}

void sh_meter_events(const struct sh_meter *m, sh_meter_fn *fn, void *arg)
{
    each(m->events, fn, arg);
}

void sh_meter_refusals(const struct sh_meter *m, sh_meter_fn *fn, void *arg)
{
    each(m->refusals, fn, arg);
}

void sh_meter_runs(const struct sh_meter *m, sh_meter_fn *fn, void *arg)
{
    each(m->rules, fn, arg);
}

void sh_meter_deliveries(const struct sh_meter *m, sh_meter_fn *fn, void *arg)
{
    each(m->kinds, fn, arg);
}

void sh_meter_answers(const struct sh_meter *m, sh_meter_fn *fn, void *arg)
{
    each(m->routes, fn, arg);
}

const struct sh_meter_waits *sh_meter_waits(const struct sh_meter *m)
{
    return &m->waits;
}

const struct sh_meter_totals *sh_meter_totals(const struct sh_meter *m)
{
    return &m->totals;
}

/* --- Life --------------------------------------------------------------------------------------
 */

const char *sh_meter_run_name(enum sh_meter_run outcome)
{
    static const char *const names[SH_METER_RUNS] = {"done", "failed", "dead", "conflict", "kept"};
    return names[outcome];
}

const char *sh_meter_sent_name(enum sh_meter_sent outcome)
{
    static const char *const names[SH_METER_SENTS] = {"sent", "retry", "waiting", "dead"};
    return names[outcome];
}

struct sh_meter *sh_meter_new(void)
{
    return sh_alloc(1, sizeof(struct sh_meter));
}

void sh_meter_free(struct sh_meter *m)
{
    struct source *s, *next;
    if (!m)
        return;
    struct row **tables[] = {&m->events, &m->refusals, &m->rules, &m->kinds, &m->routes, &m->types};
    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
        drop_all(tables[i]);
    HASH_ITER(hh, m->sources, s, next)
    {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
        HASH_DEL(m->sources, s);
        free(s->name);
        free(s);
    }
    free(m);
}
