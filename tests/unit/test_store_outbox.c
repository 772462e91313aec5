/* SPDX-License-Identifier: MIT
 * test_store_outbox.c: what leaves the machine, as the store keeps it: lanes and their order,
 * verdicts, pauses, the events that tell of an end, redrive, pruning. */
#include "store_kit.h"

#include "core/store_impl.h"

#include <signal.h>
#include <sys/wait.h>

static struct kit k;

static int setup(void **state)
{
    (void)state;
    kit_init(&k);
    kit_open(&k);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_end(&k);
    return 0;
}

#define FUTURE (INT64_C(1) << 50) /* everything is due by then */

/* --- by hand ----------------------------------------------------------------- */

static void queue(enum sh_effect_kind kind, const char *doc)
{
    char error[300];
    if (kit_apply(&k, kit_leave(kind, "", doc), error, sizeof(error)) != SH_RUN_DONE)
        fail_msg("%s: %s", doc, error);
}

static void queue_mail(const char *subject)
{
    char doc[200];
    snprintf(doc, sizeof(doc), "{\"to\":[\"a@example.org\"],\"subject\":\"%s\"}", subject);
    queue(SH_FX_EMAIL, doc);
}

static void queue_call(const char *host, const char *path)
{
    char doc[300];
    snprintf(doc, sizeof(doc), "{\"method\":\"POST\",\"url\":\"https://%s/%s\"}", host, path);
    queue(SH_FX_HTTP, doc);
}

/* The id of the n-th item ever queued, from 1. Borrowed until the 8th call after. */
static const char *item(int n)
{
    static char ids[8][64];
    static unsigned at;
    char sql[100];
    snprintf(sql, sizeof(sql), "SELECT id FROM sh_outbox ORDER BY seq LIMIT 1 OFFSET %d", n - 1);
    char *id = ids[at++ % 8];
    snprintf(id, 64, "%s", kit_sql(&k, sql));
    return id;
}

/* One column of an item's row. */
static const char *column(const char *id, const char *name)
{
    char sql[200];
    snprintf(sql, sizeof(sql), "SELECT %s FROM sh_outbox WHERE id = '%s'", name, id);
    return kit_sql(&k, sql);
}

static struct sh_op_delivery verdict(const char *id, enum sh_delivery_state state)
{
    return (struct sh_op_delivery){.op.kind = SH_OP_DELIVERY, .item_id = id, .state = state};
}

static void run(struct sh_op_delivery *op)
{
    if (!kit_run(&k, &op->op))
        fail_msg("delivery: %s", op->op.err.msg);
}

static void put_back(const char *id)
{
    struct sh_op_delivery op = verdict(id, SH_DELIVERY_RETRY);
    op.uncharged = true;
    op.next_ms = 12345; /* of no account */
    op.error = "connection refused";
    run(&op);
}

/* The order numbers of what an operation gave, as "1 2 5". */
static const char *seqs(const struct sh_op_outbox *op)
{
    static char out[400];
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < op->n_items && at < sizeof(out) - 24; i++)
        at += (size_t)snprintf(out + at, sizeof(out) - at, i ? " %lld" : "%lld",
                               (long long)op->items[i].seq);
    return out;
}

/* What is due at before_ms, as order numbers. */
static const char *due(int64_t before_ms, const struct sh_lane_want *wants, size_t n_wants,
                       size_t limit)
{
    struct sh_op_outbox op = {.op.kind = SH_OP_OUTBOX,
                              .before_ms = before_ms,
                              .wants = wants,
                              .n_wants = n_wants,
                              .limit = limit};
    assert_true(kit_run(&k, &op.op));
    const char *text = seqs(&op);
    sh_outbox_items_free(op.items, op.n_items);
    return text;
}

static const char *member(const cJSON *row, const char *name)
{
    const char *s = sh_json_string(row, name);
    return s ? s : "(none)";
}

/* --- into the line ----------------------------------------------------------- */

static void test_mail_row(void **state)
{
    (void)state;
    queue(SH_FX_EMAIL, "{\"to\":[\"a@example.org\",\"B <b@example.org>\"],\"cc\":\"c@example.org\","
                       "\"bcc\":[\"d@example.org\"],\"subject\":\"s\"}");
    const char *id = item(1);
    assert_string_equal(column(id, "lane"), "email");
    assert_string_equal(column(id, "next_ms"), "0");
    assert_string_equal(column(id, "notify IS NULL"), "1");
    assert_string_equal(column(id, "recipient"),
                        "a@example.org, B <b@example.org>, c@example.org, d@example.org");
    struct sh_op_outbox op = kit_outbox(&k, sh_now_ms());
    assert_int_equal(op.n_items, 1);
    assert_string_equal(op.items[0].id, id);
    assert_string_equal(op.items[0].kind, "email");
    assert_string_equal(op.items[0].lane, "email");
    assert_null(op.items[0].recipients);
    assert_int_equal(op.items[0].attempts, 0);
    assert_int_equal(op.items[0].seq, 1);
    assert_int_equal(op.items[0].lane_until_ms, 0);
    assert_int_equal(strlen(op.items[0].key), 32);
    assert_non_null(strstr(op.items[0].payload, "subject"));
    sh_outbox_items_free(op.items, op.n_items);
}

static void test_call_row(void **state)
{
    (void)state;
    queue(SH_FX_HTTP, "{\"method\":\"PUT\",\"url\":[\"https://CRM.example.org/c/1?t=\","
                      "{\"secret\":\"TOKEN\",\"as\":\"url\"}],\"notify\":\"crm\"}");
    const char *id = item(1);
    assert_memory_equal(id, "http-", 5);
    assert_string_equal(column(id, "lane"), "http:crm.example.org:443");
    assert_string_equal(column(id, "recipient"),
                        "PUT https://CRM.example.org/c/1?t=(secret TOKEN)");
    assert_string_equal(column(id, "notify"), "crm");
    /* cut to 300 bytes */
    char doc[2000] = "{\"method\":\"POST\",\"url\":\"https://example.org:8443/";
    for (int i = 0; i < 300; i++)
        strcat(doc, "x");
    strcat(doc, "\"}");
    queue(SH_FX_HTTP, doc);
    id = item(2);
    assert_string_equal(column(id, "length(recipient)"), "300");
    char error[300] = "";
    assert_int_equal(
        kit_apply(&k, kit_leave(SH_FX_HTTP, "", "{\"method\":\"POST\"}"), error, sizeof(error)),
        SH_RUN_DEAD);
    assert_non_null(strstr(error, "url"));
}

/* --- order ------------------------------------------------------------------- */

static void test_order(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        queue_mail("s");
    assert_string_equal(due(FUTURE, NULL, 0, 10), "1 2 3 4 5");
    assert_string_equal(due(FUTURE, NULL, 0, 2), "1 2");
    const struct sh_lane_want behind = {"email", 2, 2, false};
    assert_string_equal(due(FUTURE, &behind, 1, 10), "3 4");
    const struct sh_lane_want all_taken = {"email", 9, 5, false};
    assert_string_equal(due(FUTURE, &all_taken, 1, 10), "");
    /* an item that is sent leaves; new ones come behind */
    assert_true(kit_deliver(&k, item(1), SH_DELIVERY_SENT, 0, NULL));
    queue_mail("s");
    assert_string_equal(due(FUTURE, NULL, 0, 10), "2 3 4 5 6");
}

static void test_put_back_keeps_place(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        queue_mail("s");
    put_back(item(1));
    put_back(item(1));
    assert_string_equal(due(1, NULL, 0, 10), "1 2 3"); /* due at once: there is no time to it */
    assert_string_equal(column(item(1), "attempts || ' ' || next_ms || ' ' || error"),
                        "0 0 connection refused");
    const struct sh_lane_want behind = {"email", 9, 1, false};
    assert_string_equal(due(1, &behind, 1, 10), "2 3");
}

static void test_retries_come_first(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        queue_mail("s");
    assert_true(kit_deliver(&k, item(1), SH_DELIVERY_RETRY, 3000, "greylisted"));
    assert_true(kit_deliver(&k, item(2), SH_DELIVERY_RETRY, 2000, "greylisted"));
    assert_true(kit_deliver(&k, item(4), SH_DELIVERY_RETRY, 2000, "greylisted"));
    assert_string_equal(column(item(1), "attempts || ' ' || next_ms"), "1 3000");
    assert_string_equal(due(1999, NULL, 0, 10), "3");
    assert_string_equal(due(2000, NULL, 0, 10), "2 4 3");
    assert_string_equal(due(3000, NULL, 0, 10), "2 4 1 3");
    assert_string_equal(due(3000, NULL, 0, 3), "2 4 1");
    /* after_seq is of items never tried */
    const struct sh_lane_want behind = {"email", 9, 4, false};
    assert_string_equal(due(3000, &behind, 1, 10), "2 4 1");
    struct sh_op_outbox op = kit_outbox(&k, 1999);
    assert_int_equal(op.next_due_ms, 2000);
    sh_outbox_items_free(op.items, op.n_items);
    op = kit_outbox(&k, 2000);
    assert_int_equal(op.next_due_ms, 3000);
    sh_outbox_items_free(op.items, op.n_items);
    op = kit_outbox(&k, 3000);
    assert_int_equal(op.next_due_ms, 0);
    sh_outbox_items_free(op.items, op.n_items);
    /* a retry without its time would never come back */
    struct sh_op_delivery bad = verdict(item(3), SH_DELIVERY_RETRY);
    assert_false(kit_run(&k, &bad.op));
    assert_int_equal(bad.op.err.code, SH_EINVAL);
    assert_string_equal(column(item(3), "state || attempts"), "queued0");
}

/* --- lanes ------------------------------------------------------------------- */

static void test_lanes(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        queue_call("a.example.org", "x"); /* 1 to 4 */
    queue_mail("s");                      /* 5 */
    queue_call("b.example.org", "x");     /* 6 */
    queue_call("b.example.org:8443", "x");
    assert_string_equal(due(FUTURE, NULL, 0, 2), "5 1 2 6 7");
    /* full or paused lanes give nothing, the others do as ever; wants in any order */
    const struct sh_lane_want wants[] = {{"http:b.example.org:8443", 0, 0, false},
                                         {"http:no.example.org:80", 5, 0, false},
                                         {"email", 0, 0, false},
                                         {"http:a.example.org:443", 3, 1, false}};
    assert_string_equal(due(FUTURE, wants, 4, 9), "2 3 4 6");
    assert_string_equal(due(FUTURE, wants, 4, 0), "2 3 4");
    struct sh_op_outbox op = kit_outbox(&k, FUTURE);
    assert_string_equal(op.items[1].lane, "http:a.example.org:443");
    sh_outbox_items_free(op.items, op.n_items);
}

static void test_max_bytes(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        queue_mail("s");
    size_t one = (size_t)strtol(column(item(1), "length(payload)"), NULL, 10);
    const struct {
        size_t max;
        const char *seqs;
    } cases[] = {{1, "1"}, {one, "1"}, {2 * one - 1, "1"}, {2 * one, "1 2"}, {0, "1 2 3"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct sh_op_outbox op = {
            .op.kind = SH_OP_OUTBOX, .before_ms = FUTURE, .limit = 10, .max_bytes = cases[i].max};
        assert_true(kit_run(&k, &op.op));
        assert_string_equal(seqs(&op), cases[i].seqs);
        sh_outbox_items_free(op.items, op.n_items);
    }
}

static void plan_is(enum sh_stmt which, const char *part)
{
    char sql[1024], path[128];
    sqlite3 *db;
    sqlite3_stmt *st;
    snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", sh_store_sql[which]);
    snprintf(path, sizeof(path), "%s/switchhook.db", k.dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    bool found = false;
    while (sqlite3_step(st) == SQLITE_ROW) {
        const char *line = (const char *)sqlite3_column_text(st, 3);
        if (strstr(line, "SCAN") || strstr(line, "TEMP B-TREE"))
            fail_msg("%s: %s", sh_store_sql[which], line);
        found = found || strstr(line, part);
    }
    if (!found)
        fail_msg("%s: no \"%s\" in its plan", sh_store_sql[which], part);
    sqlite3_finalize(st);
    sqlite3_close(db);
}

static void test_query_plans(void **state)
{
    (void)state;
    plan_is(SH_ST_OUTBOX_LANE, "USING INDEX sh_outbox_due (lane>?)");
    plan_is(SH_ST_OUTBOX_RETRIES, "sh_outbox_due (lane=? AND next_ms>? AND next_ms<?)");
    plan_is(SH_ST_OUTBOX_FRESH, "sh_outbox_due (lane=? AND next_ms=? AND seq>?)");
    plan_is(SH_ST_OUTBOX_NEXT, "sh_outbox_later (next_ms>?)");
    plan_is(SH_ST_DELIVERY, "USING INDEX sqlite_autoindex_sh_outbox_1 (id=?)");
    plan_is(SH_ST_DELIVERY_NOTIFY, "USING INDEX sqlite_autoindex_sh_outbox_1 (id=?)");
    plan_is(SH_ST_PRUNE_OUTBOX, "sh_outbox_ended (sent_ms<?)");
}

static int count_ops(void *n)
{
    ++*(int *)n;
    return 0;
}

/* How many hundreds of SQLite's steps a fetch takes. */
static int fetch_steps(const struct sh_lane_want *wants, size_t n_wants, const char *expected)
{
    int n = 0;
    sqlite3_progress_handler(k.s->w.db, 100, count_ops, &n);
    assert_string_equal(due(FUTURE, wants, n_wants, 5), expected);
    sqlite3_progress_handler(k.s->w.db, 0, NULL, NULL);
    return n;
}

/* A lane with a great backlog costs the others nothing. */
static void test_backlog_is_skipped(void **state)
{
    (void)state;
    kit_sql(&k, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
                " INSERT INTO sh_outbox(id, kind, lane, recipient, key, event_id, event_key, depth,"
                " rule, payload, state, attempts, next_ms, created_ms) SELECT 'http-' || i, 'http',"
                " 'http:a.example.org:443', '', i, '', '', 0, '', '{}', 'queued', 0,"
                " CASE WHEN i % 2 THEN 0 ELSE i END, 0 FROM n");
    queue_call("b.example.org", "x");
    queue_mail("s");
    const struct sh_lane_want full = {"http:a.example.org:443", 0, 0, false};
    assert_true(fetch_steps(&full, 1, "100002 100001") < 10);
    const struct sh_lane_want part = {"http:a.example.org:443", 2, 0, false};
    assert_true(fetch_steps(&part, 1, "100002 2 4 100001") < 10);
    /* also when the lane has nothing for now */
    const struct sh_lane_want behind = {"http:a.example.org:443", 9, 100000, false};
    kit_sql(&k, "UPDATE sh_outbox SET next_ms = (1 << 50) + seq WHERE next_ms > 0");
    assert_true(fetch_steps(&behind, 1, "100002 100001") < 10);
}

/* --- verdicts ---------------------------------------------------------------- */

static void test_verdicts(void **state)
{
    (void)state;
    queue_mail("s");
    const char *id = item(1);
    struct sh_op_delivery op = verdict(id, SH_DELIVERY_RETRY);
    op.next_ms = sh_now_ms() + 5000;
    op.error = "451 greylisted";
    op.status = 451;
    op.answer = "try later";
    op.recipients = "{\"a@example.org\":{\"state\":\"later\",\"answer\":\"451\"}}";
    run(&op);
    assert_null(op.emitted);
    cJSON *rows = kit_list(&k, (struct sh_list_query){.what = SH_LIST_OUTBOX, .id = id});
    const cJSON *row = cJSON_GetArrayItem(rows, 0);
    char when[SH_TIME_TEXT];
    assert_string_equal(member(row, "state"), "queued");
    assert_string_equal(member(row, "error"), "451 greylisted");
    assert_string_equal(member(row, "answer"), "try later");
    assert_string_equal(member(row, "lane"), "email");
    assert_string_equal(member(row, "next_at"), sh_time_text(op.next_ms, when));
    assert_int_equal(sh_json_member(row, "status")->valueint, 451);
    assert_int_equal(sh_json_member(row, "attempts")->valueint, 1);
    assert_string_equal(
        member(sh_json_member(sh_json_member(row, "recipients"), "a@example.org"), "state"),
        "later");
    cJSON_Delete(rows);
    /* the next attempt, and what is not said stays as it is */
    struct sh_op_outbox o = kit_outbox(&k, op.next_ms);
    assert_non_null(strstr(o.items[0].recipients, "later"));
    assert_int_equal(o.items[0].attempts, 1);
    sh_outbox_items_free(o.items, o.n_items);
    op = verdict(id, SH_DELIVERY_SENT);
    op.error = "var/mail/x.eml";
    run(&op);
    rows = kit_list(&k, (struct sh_list_query){.what = SH_LIST_OUTBOX, .id = id});
    char *text = cJSON_PrintUnformatted(cJSON_GetArrayItem(rows, 0)), expected[700];
    snprintf(expected, sizeof(expected),
             "{\"id\":\"%s\",\"kind\":\"email\",\"to\":\"a@example.org\",\"state\":\"sent\","
             "\"attempts\":2,\"error\":null,\"event_id\":\"%s\",\"key\":\"%s\",\"next_at\":null,"
             "\"lane\":\"email\",\"status\":null,\"answer\":null,\"recipients\":"
             "{\"a@example.org\":{\"state\":\"later\",\"answer\":\"451\"}},\"payload\":"
             "{\"to\":[\"a@example.org\"],\"subject\":\"s\"},\"sent_to\":\"var/mail/x.eml\"}",
             id, kit_sql(&k, "SELECT id FROM sh_events"), id + strlen("email-"));
    assert_string_equal(text, expected);
    cJSON_free(text);
    cJSON_Delete(rows);
    /* the short row has no more than the promised members */
    rows = kit_list(&k, (struct sh_list_query){.what = SH_LIST_OUTBOX, .state = "sent"});
    assert_int_equal(cJSON_GetArraySize(cJSON_GetArrayItem(rows, 0)), 9);
    cJSON_Delete(rows);
}

static void test_list_filters(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        queue_mail("s");
    char event[SH_ID_TEXT];
    snprintf(event, sizeof(event), "%s", column(item(2), "event_id"));
    assert_true(kit_deliver(&k, item(1), SH_DELIVERY_SENT, 0, NULL));
    assert_true(kit_deliver(&k, item(2), SH_DELIVERY_DEAD, 0, "no"));
    const struct {
        struct sh_list_query q;
        size_t n;
    } cases[] = {{{.what = SH_LIST_OUTBOX}, 3},
                 {{.what = SH_LIST_OUTBOX, .state = "queued"}, 1},
                 {{.what = SH_LIST_OUTBOX, .state = "dead"}, 1},
                 {{.what = SH_LIST_OUTBOX, .event_id = event}, 1},
                 {{.what = SH_LIST_OUTBOX, .event_id = event, .state = "sent"}, 0},
                 {{.what = SH_LIST_OUTBOX, .since_ms = sh_now_ms() + 60000}, 0},
                 {{.what = SH_LIST_OUTBOX, .limit = 2}, 2}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(kit_list_size(&k, cases[i].q), cases[i].n);
}

static void test_counted_once(void **state)
{
    (void)state;
    queue_mail("s");
    const char *id = item(1);
    assert_true(kit_deliver(&k, id, SH_DELIVERY_SENT, 0, "there"));
    /* the same news again, as after a crash before its report arrived */
    struct sh_op_delivery op = verdict(id, SH_DELIVERY_SENT);
    assert_false(kit_run(&k, &op.op));
    assert_int_equal(op.op.err.code, SH_ENOTFOUND);
    assert_false(kit_deliver(&k, id, SH_DELIVERY_DEAD, 0, "late"));
    assert_false(kit_deliver(&k, "email-nothing", SH_DELIVERY_SENT, 0, NULL));
    assert_string_equal(column(id, "state || attempts || sent_to"), "sent1there");
}

static void test_unknown_spares_companions(void **state)
{
    (void)state;
    struct sh_op_delivery d = verdict("email-x", SH_DELIVERY_SENT);
    struct sh_op_accept a = {.op.kind = SH_OP_ACCEPT, .event = kit_event("k", "a", "{}")};
    d.op.next = &a.op;
    sh_store_batch(k.s, &d.op);
    assert_false(d.op.ok);
    assert_int_equal(d.op.err.code, SH_ENOTFOUND);
    assert_true(a.op.ok);
    sh_event_free(a.event);
}

/* What a peer says is kept as text, whatever it was. */
static void test_what_peers_say(void **state)
{
    (void)state;
    static char endless[10000];
    memset(endless, 'x', sizeof(endless) - 1);
    queue_mail("s");
    struct sh_op_delivery op = verdict(item(1), SH_DELIVERY_DEAD);
    op.error = "550 caf\xe9 \xf0\x9f\x98\x80 \xe2\x82"; /* Latin-1, whole, and cut */
    op.answer = endless;
    run(&op);
    assert_string_equal(column(item(1), "error"),
                        "550 caf\xef\xbf\xbd \xf0\x9f\x98\x80 \xef\xbf\xbd");
    long n = strtol(column(item(1), "length(answer)"), NULL, 10);
    assert_true(n > SH_STORE_SAID_BYTES - 8 && n <= SH_STORE_SAID_BYTES);
}

/* --- pauses ------------------------------------------------------------------ */

static int64_t until(const char *lane)
{
    struct sh_op_outbox op = kit_outbox(&k, FUTURE);
    int64_t ms = -1;
    for (size_t i = 0; i < op.n_items; i++)
        if (strcmp(op.items[i].lane, lane) == 0)
            ms = op.items[i].lane_until_ms;
    sh_outbox_items_free(op.items, op.n_items);
    return ms;
}

static void pause_lane(const char *id, const char *lane, int64_t until_ms)
{
    struct sh_op_delivery op = verdict(id, SH_DELIVERY_RETRY);
    op.uncharged = true;
    op.error = "503";
    op.lane = lane;
    op.lane_until_ms = until_ms;
    run(&op);
}

static void test_pause(void **state)
{
    (void)state;
    queue_call("a.example.org", "1");
    queue_call("b.example.org", "1");
    const char *a = "http:a.example.org:443";
    pause_lane(item(1), a, 5000);
    assert_int_equal(until(a), 5000);
    assert_int_equal(until("http:b.example.org:443"), 0);
    assert_string_equal(kit_sql(&k, "SELECT why FROM sh_lanes"), "503");
    pause_lane(item(1), a, 9000); /* longer */
    assert_int_equal(until(a), 9000);
    kit_close(&k);
    kit_open(&k);
    assert_int_equal(until(a), 9000); /* a restart does not forget it */
    queue_call("a.example.org", "2");
    struct sh_op_delivery op = verdict(item(1), SH_DELIVERY_SENT);
    op.lane = a; /* over */
    run(&op);
    assert_int_equal(until(a), 0);
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_lanes"), "0");
}

/* --- telling of the end ------------------------------------------------------ */

#define TOLD "{\"method\":\"POST\",\"url\":\"https://crm.example.org/c\",\"notify\":\"crm\"}"

static const char *events_told(void)
{
    return kit_sql(&k, "SELECT count(*) FROM sh_events WHERE source = 'engine'");
}

static void test_succeeded(void **state)
{
    (void)state;
    queue(SH_FX_HTTP, TOLD);
    const char *id = item(1);
    char cause[SH_ID_TEXT];
    snprintf(cause, sizeof(cause), "%s", column(id, "event_id"));
    struct sh_op_delivery op = verdict(id, SH_DELIVERY_RETRY);
    op.next_ms = 1000;
    op.status = 500;
    run(&op);
    assert_null(op.emitted); /* that is no end */
    op = verdict(id, SH_DELIVERY_SENT);
    op.error = "HTTP 201";
    op.status = 201;
    op.answer = "{\"id\":7}";
    run(&op);
    struct sh_event *e = op.emitted;
    assert_non_null(e);
    assert_string_equal(e->source, SH_SOURCE_ENGINE);
    assert_string_equal(e->type, "delivery_succeeded");
    assert_string_equal(e->key, "k");
    assert_string_equal(e->cause, cause);
    assert_int_equal(e->depth, 1);
    char expected[600];
    snprintf(expected, sizeof(expected),
             "{\"notify\":\"crm\",\"kind\":\"http\",\"to\":\"POST https://crm.example.org/c\","
             "\"status\":201,\"attempts\":2,\"error\":null,\"answer\":\"{\\\"id\\\":7}\","
             "\"idempotency_key\":\"%s\",\"event_id\":\"%s\",\"rule\":\"rule\"}",
             id + strlen("http-"), cause);
    assert_string_equal(e->body, expected);
    assert_int_equal(e->body_len, strlen(expected));
    assert_true(sh_json_check(e->body, e->body_len, NULL));
    /* stored, and unfinished until rules have run on it */
    char sql[200], text[SH_ID_TEXT];
    snprintf(sql, sizeof(sql),
             "SELECT e.body FROM sh_events e JOIN sh_unfinished u ON u.seq = e.seq"
             " WHERE e.id = '%s'",
             sh_id_text(e->id, text));
    assert_string_equal(kit_sql(&k, sql), expected);
    sh_event_free(e);
}

static void test_failed(void **state)
{
    (void)state;
    queue(SH_FX_EMAIL, "{\"to\":[\"a@example.org\"],\"notify\":\"mail\"}");
    struct sh_op_delivery op = verdict(item(1), SH_DELIVERY_DEAD);
    op.error = "550 no such \"user\" caf\xe9";
    run(&op);
    assert_non_null(op.emitted);
    assert_string_equal(op.emitted->type, "delivery_failed");
    assert_true(sh_json_check(op.emitted->body, op.emitted->body_len, NULL));
    cJSON *body = sh_json_parse(op.emitted->body, op.emitted->body_len, NULL);
    assert_string_equal(member(body, "error"), "550 no such \"user\" caf\xef\xbf\xbd");
    assert_string_equal(member(body, "to"), "a@example.org");
    assert_true(cJSON_IsNull(sh_json_member(body, "status")));
    assert_true(cJSON_IsNull(sh_json_member(body, "answer")));
    cJSON_Delete(body);
    sh_event_free(op.emitted);
    /* who did not ask hears nothing */
    queue_mail("s");
    op = verdict(item(2), SH_DELIVERY_DEAD);
    run(&op);
    assert_null(op.emitted);
    assert_string_equal(events_told(), "1");
}

static void test_each_end_is_told_once(void **state)
{
    (void)state;
    queue(SH_FX_HTTP, TOLD);
    const char *id = item(1);
    struct sh_op_delivery op = verdict(id, SH_DELIVERY_DEAD);
    run(&op);
    sh_event_free(op.emitted);
    op = verdict(id, SH_DELIVERY_DEAD);
    assert_false(kit_run(&k, &op.op));
    assert_null(op.emitted);
    assert_string_equal(events_told(), "1");
    for (int i = 0; i < 2; i++) { /* brought back, it ends anew, in the same way */
        struct sh_op_redrive r = {.op.kind = SH_OP_REDRIVE, .id = id};
        assert_true(kit_run(&k, &r.op));
        op = verdict(id, SH_DELIVERY_DEAD);
        run(&op);
        assert_non_null(op.emitted);
        sh_event_free(op.emitted);
    }
    assert_string_equal(events_told(), "3");
}

static int refuse(void *arg)
{
    (void)arg;
    return 1;
}

/* The event and the mark are in one transaction: both or none. */
static void test_told_with_the_mark(void **state)
{
    (void)state;
    queue(SH_FX_HTTP, TOLD);
    const char *id = item(1);
    struct sh_op_delivery op = verdict(id, SH_DELIVERY_SENT);
    op.lane = "http:crm.example.org:443";
    op.lane_until_ms = 5000;
    sqlite3_commit_hook(k.s->w.db, refuse, NULL);
    assert_false(kit_run(&k, &op.op));
    sqlite3_commit_hook(k.s->w.db, NULL, NULL);
    assert_null(op.emitted);
    assert_string_equal(events_told(), "0");
    assert_string_equal(column(id, "state || attempts"), "queued0");
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_lanes"), "0");
    /* beside an operation that is refused everything is done twice: still one event */
    op = verdict(id, SH_DELIVERY_SENT);
    struct sh_op_delivery bad = verdict(id, (enum sh_delivery_state)9);
    op.op.next = &bad.op;
    sh_store_batch(k.s, &op.op);
    assert_true(op.op.ok);
    assert_false(bad.op.ok);
    assert_non_null(op.emitted);
    assert_string_equal(events_told(), "1");
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_unfinished"), "1");
    sh_event_free(op.emitted);
}

static uint32_t depth_told(uint32_t event_depth, int n_calls)
{
    static int n;
    struct kit_settle s;
    char dedupe[32], key[16];
    snprintf(dedupe, sizeof(dedupe), "deep-%d", n++);
    kit_settle_init(&s, kit_accept(&k, dedupe));
    s.op.event_depth = event_depth;
    kit_add_run(&s, "r", SH_RUN_DONE);
    for (int i = 0; i < n_calls; i++) {
        struct sh_effect fx = kit_leave(SH_FX_HTTP, "", TOLD);
        snprintf(key, sizeof(key), "k%d", i);
        fx.id = sh_slice_str(key);
        kit_fx(&s, fx);
    }
    assert_true(kit_run(&k, &s.op.op));
    assert_int_equal(s.runs[0].outcome, SH_RUN_DONE);
    assert_int_equal(s.op.n_queued, n_calls);
    kit_settle_free(&s);
    char last[64];
    snprintf(last, sizeof(last), "%s",
             kit_sql(&k, "SELECT id FROM sh_outbox ORDER BY seq DESC LIMIT 1"));
    struct sh_op_delivery op = verdict(last, SH_DELIVERY_SENT);
    run(&op);
    uint32_t depth = op.emitted ? op.emitted->depth : 0;
    sh_event_free(op.emitted);
    return depth;
}

/* Rules that answer each end with more calls come to an end themselves: each step of a chain
 * counts, and each doubling. */
static void test_told_in_a_circle(void **state)
{
    (void)state;
    assert_int_equal(depth_told(0, 1), 1);
    assert_int_equal(depth_told(1, 2), 3);
    assert_int_equal(depth_told(0, 8), 4);
    assert_int_equal(depth_told(SH_MAX_EMIT_DEPTH - 1, 1), SH_MAX_EMIT_DEPTH);
    assert_int_equal(depth_told(SH_MAX_EMIT_DEPTH, 1), 0); /* sent, but nothing is told of it */
    assert_int_equal(depth_told(SH_MAX_EMIT_DEPTH - 2, 4), 0);
}

/* --- kill -9 ----------------------------------------------------------------- */

enum { ROUNDS = 4, EACH = 20000 };

/* Delivers, and says of each item what the store said: 1 byte an item. */
static void deliver_until_killed(int out)
{
    struct kit c = k;
    kit_open_as(&c, true, NULL);
    for (;;) {
        struct sh_op_outbox o = kit_outbox(&c, 1);
        for (size_t i = 0; i < o.n_items; i++) {
            struct sh_op_delivery op = verdict(o.items[i].id, SH_DELIVERY_SENT);
            if (!kit_run(&c, &op.op) || !op.emitted || write(out, "", 1) != 1)
                _exit(1);
            sh_event_free(op.emitted);
        }
        sh_outbox_items_free(o.items, o.n_items);
    }
}

/* What the store said it knows it knows after a kill, with the event that tells of it; what it did
 * not say is still in line, or known with its event. */
static void test_kill(void **state)
{
    (void)state;
    char sql[700];
    snprintf(sql, sizeof(sql),
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO sh_outbox(id, kind, lane, recipient, key, event_id, event_key, depth,"
             " rule, notify, payload, state, attempts, next_ms, created_ms) SELECT 'email-' || i,"
             " 'email', 'email', '', i, 'e', 'k', 0, 'r', 'n', '{}', 'queued', 0, 0, 0 FROM n",
             EACH);
    kit_sql(&k, sql);
    kit_close(&k);
    int known = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int p[2];
        char byte;
        assert_int_equal(pipe(p), 0);
        pid_t pid = fork();
        if (pid == 0) {
            close(p[0]);
            deliver_until_killed(p[1]);
        }
        close(p[1]);
        int64_t until = sh_mono_us() + 30000 + round * 11000;
        for (int n = 0; (n < 20 || sh_mono_us() < until) && read(p[0], &byte, 1) == 1; n++)
            known++;
        kill(pid, SIGKILL);
        while (read(p[0], &byte, 1) == 1)
            known++;
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        close(p[0]);
    }
    kit_open(&k);
    int sent = atoi(kit_sql(&k, "SELECT count(*) FROM sh_outbox WHERE state = 'sent'"));
    assert_true(known >= 20 * ROUNDS);
    assert_in_range(sent, known, known + ROUNDS); /* one was under way at each kill */
    assert_int_equal(atoi(kit_sql(&k, "SELECT count(*) FROM sh_outbox WHERE state = 'queued'"
                                      " AND attempts = 0")),
                     EACH - sent);
    assert_int_equal(atoi(events_told()), sent);
}

/* --- back in line, and away -------------------------------------------------- */

static void test_redrive(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        queue_mail("s");
    struct sh_op_delivery op = verdict(item(1), SH_DELIVERY_DEAD);
    op.error = "550 one of two";
    op.recipients = "{\"a@example.org\":{\"state\":\"sent\",\"answer\":\"250\"}}";
    run(&op);
    assert_true(kit_deliver(&k, item(3), SH_DELIVERY_DEAD, 0, "no"));
    assert_int_equal(kit_count(&k).dead_items, 2);
    kit_sql(&k, "UPDATE sh_outbox SET created_ms = 1");
    const int64_t began_ms = sh_now_ms();
    struct sh_op_redrive r = {.op.kind = SH_OP_REDRIVE, .id = item(1)};
    assert_true(kit_run(&k, &r.op));
    assert_int_equal(r.n_items, 1);
    assert_int_equal(r.n_runs, 0);
    struct sh_op_outbox o = kit_outbox(&k, 1); /* due now, by its place */
    assert_string_equal(seqs(&o), "1 2");
    assert_int_equal(o.items[0].attempts, 0);
    assert_non_null(strstr(o.items[0].recipients, "\"state\":\"sent\""));
    assert_int_equal(o.items[0].created_ms, 1);
    assert_true(o.items[0].since_ms >= began_ms); /* it has its whole time again */
    assert_int_equal(o.items[1].since_ms, 1);
    sh_outbox_items_free(o.items, o.n_items);
    r = (struct sh_op_redrive){.op.kind = SH_OP_REDRIVE}; /* all */
    assert_true(kit_run(&k, &r.op));
    assert_int_equal(r.n_items, 1);
    assert_string_equal(due(1, NULL, 0, 10), "1 2 3");
    r = (struct sh_op_redrive){.op.kind = SH_OP_REDRIVE, .id = item(1)};
    assert_true(kit_run(&k, &r.op)); /* only what is dead */
    assert_int_equal(r.n_items, 0);
}

static size_t prune(int64_t before_ms)
{
    struct sh_op_prune op = {.op.kind = SH_OP_PRUNE, .before_ms = before_ms, .limit = 100};
    assert_true(kit_run(&k, &op.op));
    return op.removed;
}

static void test_prune(void **state)
{
    (void)state;
    int64_t now = sh_now_ms();
    for (int i = 0; i < 4; i++)
        queue_call("a.example.org", "x");
    assert_true(kit_deliver(&k, item(1), SH_DELIVERY_SENT, 0, NULL));
    assert_true(kit_deliver(&k, item(2), SH_DELIVERY_DEAD, 0, "no"));
    assert_true(kit_deliver(&k, item(3), SH_DELIVERY_RETRY, 5, "later"));
    pause_lane(item(4), "http:on.example.org:443", now + 3600000);
    pause_lane(item(4), "http:over.example.org:443", now - 1000);
    kit_accept(&k, "unfinished");
    assert_int_equal(prune(now - 60000), 0);
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_lanes"), "2");
    /* whatever the clock says, what is not finished stays */
    assert_int_equal(prune(INT64_MAX), 5); /* four finished events, one item that was sent */
    assert_int_equal(prune(INT64_MAX), 0);
    assert_string_equal(kit_sql(&k, "SELECT group_concat(state) FROM sh_outbox ORDER BY seq"),
                        "dead,queued,queued");
    assert_string_equal(kit_sql(&k, "SELECT group_concat(lane) FROM sh_lanes"),
                        "http:on.example.org:443");
    assert_int_equal(kit_count(&k).unfinished, 1);
    assert_string_equal(due(FUTURE, NULL, 0, 10), "3 4");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_mail_row),
        T(test_call_row),
        T(test_order),
        T(test_put_back_keeps_place),
        T(test_retries_come_first),
        T(test_lanes),
        T(test_max_bytes),
        T(test_query_plans),
        T(test_backlog_is_skipped),
        T(test_verdicts),
        T(test_list_filters),
        T(test_counted_once),
        T(test_unknown_spares_companions),
        T(test_what_peers_say),
        T(test_pause),
        T(test_succeeded),
        T(test_failed),
        T(test_each_end_is_told_once),
        T(test_told_with_the_mark),
        T(test_told_in_a_circle),
        T(test_kill),
        T(test_redrive),
        T(test_prune),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
