/* SPDX-License-Identifier: MIT
 * store_recent.c: events from the newest back, each read as far as it is asked for.
 *
 * The body is not a column of the walk: SQLite would read all of it for each event that is looked
 * at. Its length stands in the row's head. */
#include "core/recent.h"

#include "core/event_body.h"
#include "core/store_rows.h"
#include "svc/json.h"

#include <stdlib.h>

struct sh_recent {
    sqlite3_stmt *walk, *body, *state; /* owned */
};

static const char walk_sql[] = "SELECT seq, id, source, type, key, received_ms, length(body)"
                               " FROM sh_events WHERE seq < ?1 ORDER BY seq DESC";
static const char body_sql[] =
    "SELECT body, format FROM sh_events WHERE seq = ?1 AND length(body) <= ?2";
static const char state_sql[] = "SELECT CASE WHEN " SH_EVENT_STORED " THEN 1 WHEN " SH_EVENT_DEAD
                                " THEN 2 ELSE 0 END FROM sh_events e WHERE e.seq = ?1";

struct sh_recent *sh_recent_open(struct sh_store_view *v, int64_t before_seq, struct sh_error *err)
{
    struct sh_recent *r = sh_alloc(1, sizeof(*r));
    if ((r->walk = sh_sqlite_prepare(v->db, walk_sql, err)) == NULL ||
        (r->body = sh_sqlite_prepare(v->db, body_sql, err)) == NULL ||
        (r->state = sh_sqlite_prepare(v->db, state_sql, err)) == NULL) {
        sh_recent_close(r);
        return NULL;
    }
    sh_sqlite_bind_int(r->walk, 1, before_seq > 0 ? before_seq : INT64_MAX);
    return r;
}

static const char *text_of(sqlite3_stmt *st, int i)
{
    const char *text = (const char *)sqlite3_column_text(st, i);
    return text ? text : "";
}

int sh_recent_next(struct sh_recent *r, struct sh_recent_event *e, struct sh_error *err)
{
    const int got = sh_sqlite_step(r->walk, err);
    if (got != 1)
        return got;
    *e = (struct sh_recent_event){.seq = sqlite3_column_int64(r->walk, 0),
                                  .id = text_of(r->walk, 1),
                                  .source = text_of(r->walk, 2),
                                  .type = text_of(r->walk, 3),
                                  .key = text_of(r->walk, 4),
                                  .received_ms = sqlite3_column_int64(r->walk, 5),
                                  .bytes = sqlite3_column_int64(r->walk, 6)};
    return 1;
}

/* The row with the body; it stays until the next one is asked for. */
static bool find_body(struct sh_recent *r, int64_t seq, size_t most)
{
    struct sh_error err;
    sqlite3_reset(r->body);
    sh_sqlite_bind_int(r->body, 1, seq);
    sh_sqlite_bind_int(r->body, 2, (int64_t)most);
    return sh_sqlite_step(r->body, &err) == 1;
}

struct sh_slice sh_recent_text(struct sh_recent *r, int64_t seq, size_t most)
{
    if (!find_body(r, seq, most) || sqlite3_column_int(r->body, 1) != SH_BODY_JSON)
        return sh_slice("", 0);
    return sh_sqlite_text(r->body, 0);
}

cJSON *sh_recent_json(struct sh_recent *r, int64_t seq, size_t most)
{
    struct sh_error err;
    struct sh_slice json;
    struct sh_buf made;
    cJSON *tree = NULL;
    if (!find_body(r, seq, most))
        return NULL;
    const enum sh_body_format format = (enum sh_body_format)sqlite3_column_int(r->body, 1);
    if (sh_event_json(format, sh_sqlite_text(r->body, 0), &made, &json, NULL) && json.n)
        tree = sh_json_parse(json.p, json.n, &err);
    sh_buf_free(&made);
    sqlite3_reset(r->body);
    return tree;
}

const char *sh_recent_state(struct sh_recent *r, int64_t seq)
{
    static const char *const names[] = {"done", "stored", "dead"};
    struct sh_error err;
    int64_t state = 0;
    sh_sqlite_bind_int(r->state, 1, seq);
    if (!sh_sqlite_int(r->state, &state, &err) || state < 0 || state > 2)
        state = 0;
    return names[state];
}

void sh_recent_close(struct sh_recent *r)
{
    if (!r)
        return;
    sqlite3_finalize(r->walk);
    sqlite3_finalize(r->body);
    sqlite3_finalize(r->state);
    free(r);
}
