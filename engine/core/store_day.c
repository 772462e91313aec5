/* SPDX-License-Identifier: MIT
 * store_day.c: open callbacks in groups by when they are due, and what was done today.
 *
 * The few columns that say where one belongs are read of all that are open, by the index that holds
 * those alone; whole rows of those that are shown. One read transaction for both. */
#include "core/callback_day.h"

#include "core/store_rows.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>

#define SQL_BYTES 4096

enum group { OVERDUE, TODAY, TOMORROW, DONE, LATER, N_GROUPS };
#define N_SHOWN (DONE + 1) /* groups whose rows are shown */
static const char *const names[N_SHOWN] = {"overdue", "today", "tomorrow", "done_today"};

struct call {
    int64_t seq, at_ms;
};

struct list {
    struct call *calls;
    size_t n, room;
};

struct assignee {
    char *key, *name; /* key: as it is compared; name "" = nobody */
    int64_t overdue, today, open;
    UT_hash_handle hh;
};

struct day {
    sqlite3 *db;
    const struct sh_day_query *q;
    struct list lists[N_GROUPS];
    struct assignee *assignees;
    bool incomplete;
};

/* --- where one belongs --------------------------------------------------------------- */

static enum group group_of(const struct sh_day_query *q, int64_t due_ms, struct sh_slice status)
{
    if (due_ms <= q->now_ms || sh_slice_eq(status, SH_SLICE("due")) ||
        sh_slice_eq(status, SH_SLICE("missed")))
        return OVERDUE;
    return due_ms < q->tomorrow_ms ? TODAY : due_ms < q->after_ms ? TOMORROW : LATER;
}

static void put(struct list *l, int64_t seq, int64_t at_ms)
{
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 64;
        l->calls = sh_realloc(l->calls, l->room * sizeof(*l->calls));
    }
    l->calls[l->n++] = (struct call){seq, at_ms};
}

/* As SQLite's NOCASE: letters of ASCII alone. */
static char *folded(const char *name)
{
    char *key = sh_strdup(name);
    for (char *p = key; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    return key;
}

static void count(struct day *d, const char *name, enum group group)
{
    char *key = folded(name);
    struct assignee *a;
    HASH_FIND_STR(d->assignees, key, a);
    if (!a) {
        a = sh_alloc(1, sizeof(*a));
        a->key = key;
        a->name = sh_strdup(name);
        HASH_ADD_KEYPTR(hh, d->assignees, a->key, strlen(a->key), a);
    } else {
        free(key);
    }
    a->open++;
    a->overdue += group == OVERDUE;
    a->today += group == TODAY;
}

static bool is_wanted(const struct sh_day_query *q, const char *assignee)
{
    return !q->assignee || strcasecmp(q->assignee, assignee) == 0;
}

static const char *text_of(sqlite3_stmt *st, int i)
{
    const char *text = (const char *)sqlite3_column_text(st, i);
    return text ? text : "";
}

/* --- the walks ------------------------------------------------------------------------- */

static bool read_open(struct day *d, struct sh_error *err)
{
    size_t looks = 0;
    int got;
    sqlite3_stmt *st = sh_sqlite_prepare(
        d->db,
        "SELECT seq, due_ms, status, assignee FROM sh_callbacks INDEXED BY sh_callbacks_open"
        " WHERE " SH_CALLBACK_OPEN,
        err);
    if (!st)
        return false;
    while ((got = sh_sqlite_step(st, err)) == 1 && looks++ < SH_DAY_LOOKS) {
        const int64_t due_ms = sqlite3_column_int64(st, 1);
        const enum group group = group_of(d->q, due_ms, sh_sqlite_text(st, 2));
        const char *assignee = text_of(st, 3);
        count(d, assignee, group);
        if (is_wanted(d->q, assignee))
            put(&d->lists[group], sqlite3_column_int64(st, 0), due_ms);
    }
    d->incomplete = d->incomplete || got == 1;
    sqlite3_finalize(st);
    return got >= 0;
}

static bool read_done(struct day *d, struct sh_error *err)
{
    size_t looks = 0;
    int got;
    sqlite3_stmt *st = sh_sqlite_prepare(
        d->db,
        "SELECT seq, closed_ms, status, assignee FROM sh_callbacks INDEXED BY sh_callbacks_closed"
        " WHERE closed_ms >= ?1 AND closed_ms < ?2 ORDER BY closed_ms DESC",
        err);
    if (!st)
        return false;
    sh_sqlite_bind_int(st, 1, d->q->today_ms);
    sh_sqlite_bind_int(st, 2, d->q->tomorrow_ms);
    while ((got = sh_sqlite_step(st, err)) == 1 && looks++ < SH_DAY_LOOKS) {
        if (sh_slice_eq(sh_sqlite_text(st, 2), SH_SLICE("done")) && is_wanted(d->q, text_of(st, 3)))
            put(&d->lists[DONE], sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1));
    }
    d->incomplete = d->incomplete || got == 1;
    sqlite3_finalize(st);
    return got >= 0;
}

/* --- the rows -------------------------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
    const struct call *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static bool add_rows(const struct list *l, sqlite3_stmt *st, cJSON *rows, struct sh_error *err)
{
    const struct sh_store_kind *kind = sh_store_kind(SH_LIST_CALLBACKS);
    const struct sh_store_row r = {.st = st, .raw = true};
    for (size_t i = 0; i < l->n && i < SH_DAY_ROWS; i++) {
        sh_sqlite_bind_int(st, 1, l->calls[i].seq);
        const int got = sh_sqlite_step(st, err);
        if (got < 0)
            return false;
        if (got == 0)
            continue;
        cJSON *row = kind->row(&r);
        kind->add_more(row, st, sqlite3_data_count(st) - kind->n_more);
        cJSON_AddItemToArray(rows, row);
        sqlite3_reset(st);
    }
    return true;
}

static sqlite3_stmt *prepare_row(sqlite3 *db, struct sh_error *err)
{
    const struct sh_store_kind *kind = sh_store_kind(SH_LIST_CALLBACKS);
    struct sh_buf sql;
    sh_buf_init(&sql, SQL_BYTES);
    sh_buf_addf(&sql, "SELECT %s%s FROM %s WHERE seq = ?1", kind->columns, kind->more, kind->from);
    sqlite3_stmt *st = sh_sqlite_prepare(db, sql.data, err);
    sh_buf_free(&sql);
    return st;
}

static bool add_groups(struct day *d, cJSON *tree, struct sh_error *err)
{
    sqlite3_stmt *st = prepare_row(d->db, err);
    cJSON *counts = cJSON_AddObjectToObject(tree, "counts");
    cJSON *more = cJSON_AddArrayToObject(tree, "more");
    bool ok = st != NULL;
    for (int g = 0; ok && g < N_SHOWN; g++) {
        struct list *l = &d->lists[g];
        if (g != DONE && l->n) /* those come by their time */
            qsort(l->calls, l->n, sizeof(*l->calls), by_time);
        cJSON_AddNumberToObject(counts, names[g], (double)l->n);
        if (l->n > SH_DAY_ROWS)
            cJSON_AddItemToArray(more, cJSON_CreateString(names[g]));
        ok = add_rows(l, st, cJSON_AddArrayToObject(tree, names[g]), err);
    }
    cJSON_AddNumberToObject(tree, "later", (double)d->lists[LATER].n);
    sqlite3_finalize(st);
    return ok;
}

/* The most overdue first, then the most to do, then by name. */
static int by_work(const struct assignee *a, const struct assignee *b)
{
    if (a->overdue != b->overdue)
        return a->overdue > b->overdue ? -1 : 1;
    if (a->open != b->open)
        return a->open > b->open ? -1 : 1;
    return strcmp(a->key, b->key);
}

static void add_assignees(struct day *d, cJSON *tree)
{
    cJSON *list = cJSON_AddArrayToObject(tree, "assignees");
    size_t n = 0;
    HASH_SORT(d->assignees, by_work);
    for (struct assignee *a = d->assignees; a && n < SH_DAY_ASSIGNEES; a = a->hh.next, n++) {
        cJSON *one = cJSON_CreateObject();
        cJSON_AddItemToObject(one, "assignee",
                              *a->name ? cJSON_CreateString(a->name) : cJSON_CreateNull());
        cJSON_AddNumberToObject(one, "overdue", (double)a->overdue);
        cJSON_AddNumberToObject(one, "today", (double)a->today);
        cJSON_AddNumberToObject(one, "open", (double)a->open);
        cJSON_AddItemToArray(list, one);
    }
    if (HASH_COUNT(d->assignees) > SH_DAY_ASSIGNEES)
        cJSON_AddItemToArray(cJSON_GetObjectItem(tree, "more"), cJSON_CreateString("assignees"));
}

static void clear(struct day *d)
{
    struct assignee *a, *next;
    HASH_ITER(hh, d->assignees, a, next)
    {
        HASH_DEL(d->assignees, a);
        free(a->key);
        free(a->name);
        free(a);
    }
    for (int g = 0; g < N_GROUPS; g++)
        free(d->lists[g].calls);
}

cJSON *sh_store_view_day(struct sh_store_view *v, const struct sh_day_query *q,
                         struct sh_error *err)
{
    struct day d = {.db = v->db, .q = q};
    cJSON *tree = cJSON_CreateObject();
    bool ok = sh_sqlite_exec(d.db, "BEGIN", err) && read_open(&d, err) && read_done(&d, err) &&
              add_groups(&d, tree, err);
    if (!sqlite3_get_autocommit(d.db))
        ok = sh_sqlite_exec(d.db, "COMMIT", ok ? err : NULL) && ok;
    add_assignees(&d, tree);
    cJSON_AddBoolToObject(tree, "incomplete", d.incomplete);
    clear(&d);
    if (ok)
        return tree;
    cJSON_Delete(tree);
    return NULL;
}
