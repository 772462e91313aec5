/* SPDX-License-Identifier: MIT
 * store_run_sums.c: how the newest runs of each rule ended, and how long they took. */
#include "core/store_impl.h"

#include "svc/json.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define GROW 64

struct sums {
    char *rule;
    cJSON *outcomes; /* {outcome: n} */
    int64_t *us;     /* of those that have run */
    size_t n_us, room;
    UT_hash_handle hh;
};

static struct sums *sums_of(struct sums **all, const char *rule)
{
    struct sums *s;
    HASH_FIND_STR(*all, rule, s);
    if (s)
        return s;
    s = sh_alloc(1, sizeof(*s));
    s->rule = sh_strdup(rule);
    s->outcomes = cJSON_CreateObject();
    HASH_ADD_KEYPTR(hh, *all, s->rule, strlen(s->rule), s);
    return s;
}

static void add(struct sums *s, const char *outcome, bool ran, int64_t us)
{
    cJSON *n = cJSON_GetObjectItemCaseSensitive(s->outcomes, outcome);
    if (n)
        cJSON_SetNumberValue(n, n->valuedouble + 1);
    else
        cJSON_AddNumberToObject(s->outcomes, outcome, 1);
    if (!ran)
        return;
    if (s->n_us == s->room) {
        s->room += s->room ? s->room : GROW;
        s->us = sh_realloc(s->us, s->room * sizeof(*s->us));
    }
    s->us[s->n_us++] = us;
}

static int by_size(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The 95th percentile is the smallest that 95 of 100 do not exceed. */
static cJSON *times(struct sums *s)
{
    cJSON *o = cJSON_CreateObject();
    int64_t all = 0;
    if (s->n_us)
        qsort(s->us, s->n_us, sizeof(*s->us), by_size);
    for (size_t i = 0; i < s->n_us; i++)
        all += s->us[i];
    const int64_t n = (int64_t)s->n_us;
    cJSON_AddItemToObject(o, "runs", sh_json_int(n));
    cJSON_AddItemToObject(o, "mean_us", n ? sh_json_int(all / n) : cJSON_CreateNull());
    cJSON_AddItemToObject(o, "p95_us",
                          n ? sh_json_int(s->us[(n * 95 + 99) / 100 - 1]) : cJSON_CreateNull());
    cJSON_AddItemToObject(o, "max_us", n ? sh_json_int(s->us[n - 1]) : cJSON_CreateNull());
    return o;
}

/* Empties all. */
static cJSON *tree_of(struct sums **all)
{
    cJSON *tree = cJSON_CreateObject();
    struct sums *s, *next;
    HASH_ITER(hh, *all, s, next)
    {
        cJSON *of = cJSON_AddObjectToObject(tree, s->rule);
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the macros
        HASH_DEL(*all, s);
        cJSON_AddItemToObject(of, "outcomes", s->outcomes);
        cJSON_AddItemToObject(of, "time", times(s));
        free(s->rule);
        free(s->us);
        free(s);
    }
    return tree;
}

cJSON *sh_store_view_run_sums(struct sh_store_view *v, size_t last, struct sh_error *err)
{
    struct sums *all = NULL;
    int got;
    /* What is kept for a paused rule has not run yet, nor has it when it goes again: it is neither
     * done nor has it failed. Its time says nothing: a short run takes less than a microsecond. */
    sqlite3_stmt *st = sh_sqlite_prepare(v->db,
                                         "SELECT rule, outcome, duration_us,"
                                         " outcome IN ('done', 'dead') OR error IS NOT NULL"
                                         " FROM sh_runs ORDER BY seq DESC, rule DESC LIMIT ?1",
                                         err);
    if (!st)
        return NULL;
    sh_sqlite_bind_int(st, 1, (int64_t)last);
    while ((got = sh_sqlite_step(st, err)) == 1)
        add(sums_of(&all, (const char *)sqlite3_column_text(st, 0)),
            (const char *)sqlite3_column_text(st, 1), sqlite3_column_int(st, 3) != 0,
            sqlite3_column_int64(st, 2));
    sqlite3_finalize(st);
    cJSON *tree = tree_of(&all);
    if (got == 0)
        return tree;
    cJSON_Delete(tree);
    return NULL;
}
