/* SPDX-License-Identifier: MIT
 * store_rows.c: what a row of each kind is made of. */
#include "core/store_rows.h"
#include "core/event_body.h"
#include "core/trace.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

static void add_text(cJSON *row, const char *name, sqlite3_stmt *st, int i)
{
    char *text = sh_sqlite_dup(st, i);
    cJSON_AddItemToObject(row, name, text ? cJSON_CreateString(text) : cJSON_CreateNull());
    free(text);
}

static void add_time(cJSON *row, const char *name, sqlite3_stmt *st, int i)
{
    char text[SH_TIME_TEXT];
    bool none = sqlite3_column_type(st, i) == SQLITE_NULL;
    cJSON_AddItemToObject(
        row, name,
        none ? cJSON_CreateNull()
             : cJSON_CreateString(sh_time_text(sqlite3_column_int64(st, i), text)));
}

static void add_number(cJSON *row, const char *name, sqlite3_stmt *st, int i)
{
    cJSON_AddItemToObject(row, name, cJSON_CreateNumber((double)sqlite3_column_int64(st, i)));
}

static void add_number_or_null(cJSON *row, const char *name, sqlite3_stmt *st, int i)
{
    if (sqlite3_column_type(st, i) == SQLITE_NULL)
        cJSON_AddNullToObject(row, name);
    else
        add_number(row, name, st, i);
}

static cJSON *raw_node(struct sh_slice text)
{
    char *copy = sh_slice_dup(text);
    cJSON *node = cJSON_CreateRaw(copy);
    sh_require(node);
    free(copy);
    return node;
}

static void add_json_text(cJSON *row, const char *name, const struct sh_store_row *r,
                          struct sh_slice text)
{
    cJSON *tree = NULL;
    if (!r->raw)
        tree = sh_json_parse(text.p, text.n, NULL);
    else if (text.n <= SH_STORE_RAW_BYTES)
        tree = raw_node(text);
    else if (!sh_json_member(row, "cut"))
        cJSON_AddTrueToObject(row, "cut");
    cJSON_AddItemToObject(row, name, tree ? tree : cJSON_CreateNull());
}

static void add_json(cJSON *row, const char *name, const struct sh_store_row *r, int i,
                     const char *empty)
{
    struct sh_slice text = sh_sqlite_text(r->st, i);
    add_json_text(row, name, r, text.n ? text : sh_slice_str(empty));
}

/* An event's body as JSON; for people, of a form or a token also the bytes as they came. */
static void add_body(cJSON *row, const struct sh_store_row *r, int body, int format)
{
    const enum sh_body_format is = (enum sh_body_format)sqlite3_column_int(r->st, format);
    struct sh_slice json;
    struct sh_buf made;
    bool ok = sh_event_json(is, sh_sqlite_text(r->st, body), &made, &json, NULL);
    add_json_text(row, "body", r, ok && json.n ? json : SH_SLICE("null"));
    sh_buf_free(&made);
    if (is != SH_BODY_JSON && !r->raw)
        add_text(row, "raw", r->st, body);
}

/* A time that most rows do not have. */
static void add_time_if(cJSON *row, const char *name, sqlite3_stmt *st, int i)
{
    if (sqlite3_column_type(st, i) != SQLITE_NULL)
        add_time(row, name, st, i);
}

static void add_trace(cJSON *row, struct sh_slice trace)
{
    char id[SH_TRACE_ID_BYTES + 1] = "";
    if (trace.n == SH_TRACE_TEXT - 1)
        memcpy(id, sh_trace_id(trace.p).p, SH_TRACE_ID_BYTES);
    cJSON_AddStringToObject(row, "trace_id", id);
}

static cJSON *event_row(const struct sh_store_row *r)
{
    sqlite3_stmt *st = r->st;
    cJSON *row = cJSON_CreateObject();
    add_text(row, "id", st, 2);
    add_text(row, "source", st, 3);
    add_text(row, "type", st, 4);
    add_text(row, "key", st, 5);
    add_time(row, "received_at", st, 6);
    add_text(row, "state", st, 7);
    add_time_if(row, "due_at", st, 8);
    if (!r->raw) /* the API's rows all have it: more_of_event() */
        add_time_if(row, "occurred_at", st, 9);
    if (r->whole)
        add_body(row, r, 10, 11);
    if (r->whole && sqlite3_column_type(st, 12) != SQLITE_NULL)
        add_trace(row, sh_sqlite_text(st, 12));
    return row;
}

static cJSON *run_row(const struct sh_store_row *r)
{
    sqlite3_stmt *st = r->st;
    cJSON *row = cJSON_CreateObject();
    add_text(row, "event_id", st, 2);
    add_text(row, "rule", st, 1);
    add_text(row, "generation", st, 3);
    add_text(row, "outcome", st, 4);
    add_number(row, "attempts", st, 5);
    add_json(row, "effects", r, 6, "[]");
    add_text(row, "error", st, 7);
    cJSON_AddItemToObject(row, "duration_ms",
                          cJSON_CreateNumber((double)sqlite3_column_int64(st, 8) / 1000.0));
    add_json(row, "logs", r, 9, "[]");
    if (r->whole)
        add_json(row, "lookups", r, 10, "[]");
    return row;
}

/* [{"at","what","by","detail"}], times as text. */
static void add_history(cJSON *row, sqlite3_stmt *st, int i)
{
    const struct sh_store_row parsed = {.st = st};
    char text[SH_TIME_TEXT];
    int64_t ms;
    add_json(row, "history", &parsed, i, "[]");
    cJSON *change;
    cJSON_ArrayForEach(change, cJSON_GetObjectItemCaseSensitive(row, "history"))
    {
        cJSON *at = sh_json_get_int(sh_json_member(change, "at"), &ms)
                        ? cJSON_CreateString(sh_time_text(ms, text))
                        : cJSON_CreateNull();
        cJSON_ReplaceItemInObjectCaseSensitive(change, "at", at);
    }
}

static cJSON *callback_row(const struct sh_store_row *r)
{
    sqlite3_stmt *st = r->st;
    cJSON *row = cJSON_CreateObject();
    add_text(row, "id", st, 2);
    add_text(row, "number", st, 3);
    add_text(row, "name", st, 4);
    add_time(row, "due_at", st, 5);
    add_text(row, "assignee", st, 6);
    add_text(row, "reason", st, 7);
    add_text(row, "status", st, 8);
    add_text(row, "note", st, 9);
    add_text(row, "event_id", st, 10);
    if (r->whole) {
        add_text(row, "rule", st, 11);
        add_text(row, "completes", st, 12);
        add_time(row, "created_at", st, 13);
        add_history(row, st, 14);
    }
    return row;
}

static cJSON *timer_row(const struct sh_store_row *r)
{
    sqlite3_stmt *st = r->st;
    cJSON *row = cJSON_CreateObject();
    add_text(row, "name", st, 2);
    add_text(row, "kind", st, 3);
    add_time(row, "due_at", st, 4);
    add_text(row, "type", st, 5);
    add_text(row, "key", st, 6);
    add_text(row, "event_id", st, 7);
    add_text(row, "every", st, 8);
    add_text(row, "zone", st, 9);
    add_text(row, "local", st, 10);
    return row;
}

static cJSON *outbox_row(const struct sh_store_row *r)
{
    sqlite3_stmt *st = r->st;
    cJSON *row = cJSON_CreateObject();
    add_text(row, "id", st, 2);
    add_text(row, "kind", st, 3);
    add_text(row, "to", st, 4);
    add_text(row, "state", st, 5);
    add_number(row, "attempts", st, 6);
    add_text(row, "error", st, 7);
    add_text(row, "event_id", st, 8);
    add_text(row, "key", st, 9);
    add_time(row, "next_at", st, 10);
    if (r->whole) {
        add_text(row, "lane", st, 11);
        add_number_or_null(row, "status", st, 12);
        add_text(row, "answer", st, 13);
        add_json(row, "recipients", r, 14, "null");
        add_json(row, "payload", r, 15, "null");
        add_text(row, "sent_to", st, 16);
    }
    return row;
}

static cJSON *generation_row(const struct sh_store_row *r)
{
    sqlite3_stmt *st = r->st;
    cJSON *row = cJSON_CreateObject();
    add_text(row, "generation", st, 2);
    add_time(row, "live_at", st, 3);
    add_text(row, "cause", st, 4);
    add_json(row, "changes", r, 5, "[]");
    cJSON_AddBoolToObject(row, "live", sqlite3_column_int(st, 6));
    return row;
}

static cJSON *rule_row(const struct sh_store_row *r)
{
    sqlite3_stmt *st = r->st;
    cJSON *row = cJSON_CreateObject();
    add_text(row, "rule", st, 1);
    add_text(row, "state", st, 2);
    add_number(row, "failures", st, 3);
    add_number(row, "kept", st, 4);
    add_time(row, "since", st, 5);
    add_text(row, "by", st, 6);
    add_text(row, "error", st, 7);
    add_text(row, "event_id", st, 8);
    return row;
}

cJSON *sh_store_record_row(const struct sh_store_row *r, int i)
{
    sqlite3_stmt *st = r->st;
    cJSON *row = cJSON_CreateObject();
    add_text(row, "id", st, i);
    add_json(row, "doc", r, i + 1, "null");
    add_time(row, "updated_at", st, i + 2);
    return row;
}

static cJSON *audit_row(const struct sh_store_row *r)
{
    sqlite3_stmt *st = r->st;
    cJSON *row = cJSON_CreateObject();
    add_number(row, "id", st, 0);
    add_time(row, "at", st, 2);
    add_text(row, "who", st, 3);
    add_text(row, "role", st, 4);
    add_text(row, "peer", st, 5);
    add_text(row, "action", st, 6);
    add_text(row, "target", st, 7);
    add_json(row, "detail", r, 8, "null");
    return row;
}

/* --- what the API shows beside them ------------------------------------------- */

static void more_of_event(cJSON *row, sqlite3_stmt *st, int i)
{
    static const char *const formats[] = {"json", "form", "jwt"};
    const int64_t format = sqlite3_column_int64(st, i + 3);
    add_time(row, "occurred_at", st, i);
    add_text(row, "cause", st, i + 1);
    add_number(row, "depth", st, i + 2);
    cJSON_AddStringToObject(row, "format", format >= 0 && format < 3 ? formats[format] : "other");
    add_number(row, "bytes", st, i + 4);
}

static void more_of_run(cJSON *row, sqlite3_stmt *st, int i)
{
    add_text(row, "source", st, i);
    add_text(row, "type", st, i + 1);
    add_text(row, "key", st, i + 2);
    add_time(row, "started_at", st, i + 3);
    add_time(row, "next_at", st, i + 4);
}

static void more_of_callback(cJSON *row, sqlite3_stmt *st, int i)
{
    add_time(row, "updated_at", st, i);
    add_time(row, "closed_at", st, i + 1);
    if (!cJSON_HasObjectItem(row, "rule")) /* a row that is whole has it */
        add_text(row, "rule", st, i + 2);
}

static void more_of_timer(cJSON *row, sqlite3_stmt *st, int i)
{
    add_text(row, "rule", st, i);
    add_time(row, "created_at", st, i + 1);
}

static void more_of_item(cJSON *row, sqlite3_stmt *st, int i)
{
    more_of_timer(row, st, i);
    add_time(row, "sent_at", st, i + 2);
    add_text(row, "subject", st, i + 3);
}

/* --- the kinds ----------------------------------------------------------------- */

#define CALLBACK_HISTORY                                                                           \
    " (SELECT json_group_array(json_object('at', at_ms, 'what', what, 'by', by, 'detail', "        \
    "detail))"                                                                                     \
    " FROM (SELECT * FROM sh_callback_changes h WHERE h.id = c.id ORDER BY place))"

#define LANE_PAUSE " FROM sh_lanes l WHERE l.lane = o.lane"

static const struct sh_store_kind kinds[] = {
    [SH_LIST_EVENTS] = {.columns =
                            "e.seq, '', e.id, e.source, e.type, e.key, e.received_ms,"
                            " CASE WHEN " SH_EVENT_STORED " THEN 'stored' WHEN " SH_EVENT_DEAD
                            " THEN 'dead' ELSE 'done' END, e.due_ms, e.occurred_ms",
                        .whole = ", e.body, e.format, e.trace",
                        .more = ", e.occurred_ms, e.cause, e.depth, e.format,"
                                " length(e.body)",
                        .from = "sh_events e",
                        .key = "e.seq, ''",
                        .key_down = "e.seq DESC",
                        .by_id = " AND e.seq = ?4 AND e.id = ?3",
                        .by_event = " AND e.seq = ?4 AND e.id = ?9",
                        .by_since = " AND e.received_ms >= ?7",
                        .row = event_row,
                        .add_more = more_of_event,
                        .n_more = 5},
    [SH_LIST_RUNS] = {.columns = "r.seq, r.rule, e.id, r.generation, r.outcome, r.attempts,"
                                 " r.effects, r.error, r.duration_us, r.logs",
                      .whole = ", r.lookups",
                      .more = ", e.source, e.type, e.key, r.started_ms, r.next_ms",
                      .from = "sh_runs r JOIN sh_events e ON e.seq = r.seq",
                      .key = "r.seq, r.rule",
                      .key_down = "r.seq DESC, r.rule DESC",
                      .by_id = " AND r.seq = ?4 AND e.id = ?3",
                      .by_event = " AND r.seq = ?4 AND e.id = ?9",
                      .by_since = " AND r.started_ms >= ?7",
                      .row = run_row,
                      .add_more = more_of_run,
                      .n_more = 5},
    [SH_LIST_CALLBACKS] = {.columns = "seq, '', id, number, name, due_ms, assignee, reason,"
                                      " status, note, event_id",
                           .whole = ", rule, completes, created_ms," CALLBACK_HISTORY,
                           .more = ", updated_ms, closed_ms, rule",
                           .from = "sh_callbacks c",
                           .key = "seq, ''",
                           .key_down = "seq DESC",
                           .by_id = " AND id = ?3",
                           .by_event = " AND event_id = ?9",
                           .by_since = " AND created_ms >= ?7",
                           .row = callback_row,
                           .add_more = more_of_callback,
                           .n_more = 3},
    /* what waits for a target that is down says so, and when it is tried again */
    [SH_LIST_OUTBOX] = {.columns =
                            "seq, '', id, kind, recipient, state, attempts,"
                            " CASE WHEN state = 'queued' THEN"
                            " coalesce(error, (SELECT 'waits for its target: ' ||"
                            " coalesce(why, 'it is down')" LANE_PAUSE ")) ELSE error END,"
                            " event_id, key, CASE WHEN state = 'queued' THEN"
                            " coalesce(nullif(next_ms, 0), (SELECT until_ms" LANE_PAUSE ")) END",
                        .whole = ", lane, status, answer, recipients, payload, sent_to",
                        .more = ", rule, created_ms, sent_ms, CASE WHEN kind = 'email' THEN"
                                " substr(json_extract(payload, '$.subject'), 1, 300) END",
                        .from = "sh_outbox o",
                        .key = "seq, ''",
                        .key_down = "seq DESC",
                        .by_id = " AND id = ?3",
                        .by_event = " AND event_id = ?9",
                        .by_since = " AND created_ms >= ?7",
                        .row = outbox_row,
                        .add_more = more_of_item,
                        .n_more = 4},
    /* in the order they were set; unnamed ones have a name of the store's own */
    [SH_LIST_TIMERS] = {.columns = "seq, '', CASE WHEN substr(name, 1, 2) IN ('n:', 'c:') THEN"
                                   " substr(name, 3) END, CASE WHEN every IS NULL THEN 'timer'"
                                   " ELSE 'clock' END, due_ms, type, key, event_id, every, zone,"
                                   " local",
                        .whole = "",
                        .more = ", rule, created_ms",
                        .from = "sh_timers",
                        .key = "seq, ''",
                        .key_down = "seq DESC",
                        .by_id = " AND name IN ('n:' || ?3, 'c:' || ?3)",
                        .by_event = " AND event_id = ?9",
                        .by_since = " AND created_ms >= ?7",
                        .row = timer_row,
                        .add_more = more_of_timer,
                        .n_more = 2},
    [SH_LIST_GENERATIONS] = {.columns = "seq, '', generation, live_ms, cause, changes,"
                                        " seq = (SELECT max(seq) FROM sh_generation_lives)",
                             .whole = "",
                             .more = "",
                             .from = "sh_generation_lives",
                             .key = "seq, ''",
                             .key_down = "seq DESC",
                             .by_id = " AND generation = ?3",
                             .by_event = "",
                             .by_since = " AND live_ms >= ?7",
                             .row = generation_row},
    [SH_LIST_RULES] = {.columns = "0, rule, state, failures, (SELECT count(*) FROM sh_runs r"
                                  " WHERE r.outcome = 'paused' AND r.rule = sh_rules.rule),"
                                  " CASE WHEN state <> 'on' THEN since_ms END,"
                                  " CASE WHEN state <> 'on' THEN by END, error, event_id",
                       .whole = "",
                       .more = "",
                       .from = "sh_rules",
                       .key = "rule IS NULL, rule", /* 0: a bare one would name a column */
                       .key_down = "rule DESC",
                       .by_id = " AND rule = ?3",
                       .by_event = " AND event_id = ?9",
                       .by_since = " AND since_ms >= ?7",
                       .row = rule_row},
    [SH_LIST_AUDIT] = {.columns = "seq, '', at_ms, who, role, peer, action, target, detail",
                       .whole = "",
                       .more = "",
                       .from = "sh_audit",
                       .key = "seq, ''",
                       .key_down = "seq DESC",
                       .by_id = " AND seq = CAST(?3 AS INTEGER)",
                       .by_event = "",
                       .by_since = " AND at_ms >= ?7",
                       .row = audit_row},
};

const struct sh_store_kind *sh_store_kind(enum sh_list_what what)
{
    const bool known = (size_t)what < sizeof(kinds) / sizeof(*kinds);
    return known && kinds[what].columns ? &kinds[what] : NULL;
}
