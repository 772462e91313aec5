/* SPDX-License-Identifier: MIT
 * test_store_time.c: timers, clock rules and what falls due, on a store of a folder. */
#include "store_kit.h"

#include "base/zone.h"
#include "core/store_impl.h"

#define T0 1781259861903LL /* 2026-06-12T10:24:21.903Z */

static struct kit k;

static int setup(void **state)
{
    (void)state;
    sh_zones_load(NULL);
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

/* --- tools --------------------------------------------------------------------------- */

static struct sh_effect timer(const char *name, const char *type, const char *body, int64_t due_ms)
{
    return (struct sh_effect){.kind = SH_FX_TIMER,
                              .collection = sh_slice_str(type),
                              .id = sh_slice_str(name),
                              .doc = sh_slice_str(body),
                              .is_int = true,
                              .n_int = due_ms};
}

static struct sh_effect cancel(const char *name)
{
    return (struct sh_effect){.kind = SH_FX_CANCEL, .id = sh_slice_str(name)};
}

struct outcome {
    enum sh_outcome outcome;
    char error[600];
    size_t n_timed;
    uint32_t depth; /* of the emitted event, if there was one */
    char event_id[SH_ID_TEXT];
};

/* A new event of depth `depth` whose rule, at T0, asks for n effects. */
static struct outcome settle(uint32_t depth, const struct sh_effect *fx, size_t n)
{
    static int count;
    char dedupe[32];
    struct kit_settle s;
    struct outcome o = {0};
    snprintf(dedupe, sizeof(dedupe), "settle-%d", count++);
    struct sh_id id = kit_accept(&k, dedupe);
    sh_id_text(id, o.event_id);
    kit_settle_init(&s, id);
    s.op.event_key = SH_SLICE("call-7");
    s.op.event_depth = depth;
    struct sh_run *r = kit_add_run(&s, "the rule", SH_RUN_DONE);
    r->now_ms = T0;
    for (size_t i = 0; i < n; i++)
        kit_fx(&s, fx[i]);
    if (!kit_run(&k, &s.op.op))
        fail_msg("settle: %s", s.op.op.err.msg);
    o.outcome = r->outcome;
    o.n_timed = s.op.n_timed;
    o.depth = s.op.n_emitted ? s.op.emitted[0]->depth : 0;
    if (s.op.run_errors && s.op.run_errors[0])
        snprintf(o.error, sizeof(o.error), "%s", s.op.run_errors[0]);
    kit_settle_free(&s);
    return o;
}

static struct outcome set(const char *name, const char *type, int64_t due_ms)
{
    const struct sh_effect fx = timer(name, type, "{\"n\":1}", due_ms);
    return settle(0, &fx, 1);
}

static struct sh_op_fire fire(int64_t now_ms, size_t limit)
{
    struct sh_op_fire op = {.op.kind = SH_OP_FIRE, .now_ms = now_ms, .limit = limit};
    if (!kit_run(&k, &op.op))
        fail_msg("fire: %s", op.op.err.msg);
    return op;
}

/* Types of what fires at that time, joined with commas. Borrowed until the next call. */
static const char *fired(int64_t now_ms)
{
    static char out[1024];
    struct sh_op_fire op = fire(now_ms, 100);
    out[0] = '\0';
    for (size_t i = 0; i < op.n_emitted; i++)
        snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s%s", i ? "," : "",
                 op.emitted[i]->type);
    assert_int_equal(op.n_fired, op.n_emitted);
    sh_op_fire_clear(&op);
    return out;
}

static int64_t sql_int(const char *sql)
{
    return strtoll(kit_sql(&k, sql), NULL, 10);
}

static int64_t ms_of(const char *text)
{
    int64_t ms = 0;
    assert_true(sh_time_parse(text, strlen(text), &ms));
    return ms;
}

static const char *text_of(int64_t ms)
{
    static char out[SH_TIME_TEXT];
    return sh_time_text(ms, out);
}

/* --- timers --------------------------------------------------------------------------- */

static void test_event_of_a_timer(void **state)
{
    (void)state;
    const struct sh_effect fx = timer("reminder", "remind", "{\"who\":\"Laura\"}", T0 + 7200000);
    struct outcome o = settle(3, &fx, 1);
    assert_int_equal(o.outcome, SH_RUN_DONE);
    assert_int_equal(o.n_timed, 1);
    struct sh_op_fire op = fire(T0 + 7200500, 10);
    assert_int_equal(op.n_emitted, 1);
    assert_int_equal(op.n_fired, 1);
    assert_int_equal(op.next_due_ms, 0);
    const struct sh_event *e = op.emitted[0];
    assert_string_equal(e->source, "rules");
    assert_string_equal(e->type, "remind");
    assert_string_equal(e->key, "call-7");
    assert_string_equal(e->cause, o.event_id);
    assert_string_equal(e->body, "{\"who\":\"Laura\"}");
    assert_int_equal(e->body_len, strlen(e->body));
    assert_int_equal(e->due_ms, T0 + 7200000);
    assert_int_equal(e->received_ms, T0 + 7200500);
    assert_int_equal(e->depth, 0); /* it was set for a time that is far enough */
    assert_memory_equal(e->dedupe_id, "timer:n:reminder:", 17);
    char sql[200], id[SH_ID_TEXT];
    snprintf(sql, sizeof(sql), "SELECT due_ms || ' ' || type FROM sh_events WHERE id = '%s'",
             sh_id_text(e->id, id));
    assert_string_equal(kit_sql(&k, sql), "1781267061903 remind");
    sh_op_fire_clear(&op);
    assert_int_equal(sql_int("SELECT count(*) FROM sh_timers"), 0);
    assert_int_equal(sql_int("SELECT count(*) FROM sh_unfinished"), 1);
}

static void test_never_early_and_in_order(void **state)
{
    (void)state;
    set("", "third", T0 + 300000);
    set("", "first", T0 + 100000);
    set("", "second", T0 + 200000);
    set("", "second-b", T0 + 200000);
    struct sh_op_fire op = fire(T0 + 99999, 10);
    assert_int_equal(op.n_fired, 0);
    assert_int_equal(op.next_due_ms, T0 + 100000);
    sh_op_fire_clear(&op);
    assert_string_equal(fired(T0 + 100000), "first");
    assert_string_equal(fired(T0 + 900000), "second,second-b,third");
    assert_string_equal(fired(T0 + 900000), "");
}

static void test_limit_takes_the_oldest(void **state)
{
    (void)state;
    set("", "b", T0 + 200);
    set("", "a", T0 + 100);
    set("", "c", T0 + 300);
    struct sh_op_fire op = fire(T0 + 1000, 2);
    assert_int_equal(op.n_fired, 2);
    assert_string_equal(op.emitted[0]->type, "a");
    assert_string_equal(op.emitted[1]->type, "b");
    sh_op_fire_clear(&op);
    assert_string_equal(fired(T0 + 1000), "c");
}

static void test_the_same_name_replaces(void **state)
{
    (void)state;
    set("x", "old", T0 + 100000);
    set("x", "new", T0 + 500000); /* another event's */
    set("y", "other", T0 + 100000);
    assert_string_equal(fired(T0 + 100000), "other");
    assert_string_equal(fired(T0 + 500000), "new");
    set("x", "again", T0 + 500000); /* due at the same time as the one that fired */
    assert_string_equal(fired(T0 + 500000), "again");
}

static void test_unnamed_ones_do_not_replace_each_other(void **state)
{
    (void)state;
    const struct sh_effect fx[] = {timer("", "t", "{}", T0 + 1), timer("", "t", "{}", T0 + 1)};
    assert_int_equal(settle(0, fx, 2).n_timed, 2);
    assert_string_equal(fired(T0 + 1), "t,t");
}

static void test_cancel(void **state)
{
    (void)state;
    set("x", "t", T0 + 100000);
    set("xy", "u", T0 + 100000);
    const struct sh_effect fx[] = {cancel("x"), cancel("no such timer")};
    assert_int_equal(settle(0, fx, 2).outcome, SH_RUN_DONE);
    assert_string_equal(fired(T0 + 100000), "u");
}

static void test_a_failed_run_sets_none(void **state)
{
    (void)state;
    const struct sh_effect fx[] = {timer("x", "t", "{}", T0 + 100000),
                                   kit_put("calls", "", "{}")}; /* refused: no id */
    assert_int_equal(settle(0, fx, 2).outcome, SH_RUN_DEAD);
    assert_int_equal(sql_int("SELECT count(*) FROM sh_timers"), 0);
}

static void test_bad_timers_are_refused(void **state)
{
    (void)state;
    struct outcome o = set("", "t", 253402300800000LL);
    assert_int_equal(o.outcome, SH_RUN_DEAD);
    assert_non_null(strstr(o.error, "between 1970 and 9999"));
    assert_int_equal(set("", "t", -1).outcome, SH_RUN_DEAD);
}

static void test_what_is_due_fires_after_a_restart(void **state)
{
    (void)state;
    set("x", "t", T0 + 100000);
    kit_close(&k);
    kit_open(&k);
    struct sh_op_fire op = fire(T0 + 90000000, 10);
    assert_int_equal(op.n_emitted, 1);
    assert_int_equal(op.emitted[0]->received_ms - op.emitted[0]->due_ms, 89900000);
    sh_op_fire_clear(&op);
    kit_close(&k);
    kit_open(&k);
    assert_string_equal(fired(T0 + 90000000), "");
}

/* --- circles ---------------------------------------------------------------------------- */

static void test_near_timers_count_as_emits(void **state)
{
    (void)state;
    const struct sh_effect near_one = timer("", "t", "{}", T0 + 59999);
    const struct sh_effect far_one = timer("", "t", "{}", T0 + 60000);
    settle(4, &near_one, 1);
    settle(4, &far_one, 1);
    struct sh_op_fire op = fire(T0 + 60000, 10);
    assert_int_equal(op.n_emitted, 2);
    assert_int_equal(op.emitted[0]->depth, 5);
    assert_int_equal(op.emitted[1]->depth, 0);
    sh_op_fire_clear(&op);
    struct outcome o = settle(SH_MAX_EMIT_DEPTH, &near_one, 1);
    assert_int_equal(o.outcome, SH_RUN_DEAD);
    assert_non_null(strstr(o.error, "circle"));
    assert_int_equal(settle(SH_MAX_EMIT_DEPTH, &far_one, 1).outcome, SH_RUN_DONE);
    struct sh_effect fx[] = {near_one, near_one, near_one, kit_leave(SH_FX_EMIT, "e", "{}")};
    assert_int_equal(settle(0, fx, 4).depth, 3); /* four: one step, and two doublings */
}

/* --- local times ------------------------------------------------------------------------- */

static void test_local_times_are_kept_and_computed_again(void **state)
{
    (void)state;
    struct sh_effect fx = timer("l", "t", "{}", ms_of("2026-10-25T07:00:00Z")); /* an hour off */
    fx.field = SH_SLICE("2026-10-25T09:00:00 Europe/Amsterdam");
    settle(0, &fx, 1);
    fx.id = SH_SLICE("past");
    fx.n_int = ms_of("2026-06-12T07:00:00Z");
    fx.field = SH_SLICE("2026-06-12T11:00:00 Europe/Amsterdam");
    settle(0, &fx, 1);
    assert_string_equal(kit_sql(&k, "SELECT local || '|' || zone FROM sh_timers"
                                    " WHERE name = 'n:l'"),
                        "2026-10-25T09:00:00|Europe/Amsterdam");
    struct sh_op_clocks op = {.op.kind = SH_OP_CLOCKS, .now_ms = T0};
    assert_true(kit_run(&k, &op.op));
    assert_string_equal(text_of(sql_int("SELECT due_ms FROM sh_timers WHERE name = 'n:l'")),
                        "2026-10-25T08:00:00.000Z");
    /* what is due already stays due */
    assert_string_equal(text_of(sql_int("SELECT due_ms FROM sh_timers WHERE name = 'n:past'")),
                        "2026-06-12T07:00:00.000Z");
}

/* --- clock rules --------------------------------------------------------------------------- */

static void clocks(int64_t now_ms, const struct sh_clock *list, size_t n)
{
    struct sh_op_clocks op = {
        .op.kind = SH_OP_CLOCKS, .clocks = list, .n_clocks = n, .now_ms = now_ms};
    if (!kit_run(&k, &op.op))
        fail_msg("clocks: %s", op.op.err.msg);
}

static int64_t next_due(int64_t now_ms)
{
    struct sh_op_fire op = fire(now_ms, 0);
    sh_op_fire_clear(&op);
    return op.next_due_ms;
}

static void test_event_of_a_clock_rule(void **state)
{
    (void)state;
    const struct sh_clock c = {"Daily \"digest\"", "18:00 mon-fri", "Europe/Amsterdam"};
    clocks(ms_of("2026-06-12T10:00:00Z"), &c, 1); /* a Friday */
    const int64_t due = ms_of("2026-06-12T16:00:00Z");
    assert_int_equal(next_due(due - 1), due);
    struct sh_op_fire op = fire(due + 250, 10);
    assert_int_equal(op.n_emitted, 1);
    const struct sh_event *e = op.emitted[0];
    assert_string_equal(e->source, "clock");
    assert_string_equal(e->type, "clock");
    assert_string_equal(e->key, "Daily \"digest\"");
    assert_string_equal(e->body, "{\"rule\":\"Daily \\\"digest\\\"\",\"due_at\":"
                                 "\"2026-06-12T16:00:00.000Z\",\"every\":\"18:00 mon-fri\"}");
    assert_int_equal(e->due_ms, due);
    assert_int_equal(e->received_ms, due + 250);
    assert_int_equal(e->depth, 0);
    assert_null(e->cause);
    assert_string_equal(text_of(op.next_due_ms), "2026-06-15T16:00:00.000Z");
    sh_op_fire_clear(&op);
}

static void test_however_many_were_missed_it_fires_once(void **state)
{
    (void)state;
    const struct sh_clock c = {"tick", "10 minutes", "UTC"};
    clocks(T0, &c, 1);
    assert_int_equal(next_due(T0), T0 + 600000);
    struct sh_op_fire op = fire(T0 + 600000 * 7 + 5000, 10);
    assert_int_equal(op.n_emitted, 1);
    assert_int_equal(op.emitted[0]->due_ms, T0 + 600000);
    assert_int_equal(op.next_due_ms, T0 + 600000 * 8); /* the beat is kept */
    sh_op_fire_clear(&op);
}

static void test_clock_rules_across_reloads(void **state)
{
    (void)state;
    struct sh_clock two[] = {{"tick", "10 minutes", "UTC"}, {"noon", "12:00", "UTC"}};
    clocks(T0, two, 2);
    set("", "an ordinary timer", T0 + 1000000);
    clocks(T0 + 300000, two, 2); /* the same: no fresh start */
    assert_int_equal(next_due(T0 + 300000), T0 + 600000);
    clocks(T0 + 700000, two, 2); /* one passed meanwhile: it fires, late */
    assert_string_equal(fired(T0 + 700000), "clock");
    two[0].every = "20 minutes"; /* changed: from now on */
    clocks(T0 + 800000, two, 2);
    assert_int_equal(sql_int("SELECT due_ms FROM sh_timers WHERE name = 'c:tick'"),
                     T0 + 800000 + 1200000);
    two[1].zone = "Asia/Kathmandu";
    clocks(T0 + 800000, two, 2);
    assert_string_equal(text_of(sql_int("SELECT due_ms FROM sh_timers WHERE name = 'c:noon'")),
                        "2026-06-13T06:15:00.000Z");
    clocks(T0 + 800000, two, 1); /* forgotten */
    assert_int_equal(sql_int("SELECT count(*) FROM sh_timers WHERE every IS NOT NULL"), 1);
    clocks(T0 + 800000, NULL, 0);
    assert_int_equal(sql_int("SELECT count(*) FROM sh_timers"), 1);
    assert_string_equal(fired(T0 + 1000000), "an ordinary timer");
}

static void test_a_bad_clock_rule_is_left_out(void **state)
{
    (void)state;
    struct sh_clock list[] = {{"a", "18:00", "Europe/Amsterdamn"},
                              {"b", "sometimes", "UTC"},
                              {"c", "0 0 30 2 *", "UTC"},
                              {"d", "12:00", "UTC"}};
    clocks(T0, list, 4);
    assert_int_equal(sql_int("SELECT count(*) FROM sh_timers"), 1);
    list[3].zone = "Nowhere"; /* one that was good */
    clocks(T0, list, 4);
    assert_int_equal(sql_int("SELECT count(*) FROM sh_timers"), 0);
}

/* A clock that was ten years ahead for a while: nothing twice, and no rule that waits for years. */
static void test_a_clock_set_back(void **state)
{
    (void)state;
    const struct sh_clock list[] = {{"daily", "18:00", "UTC"}, {"tick", "1 hour", "UTC"}};
    const int64_t six = ms_of("2026-06-12T18:00:00Z"), hour = 3600000;
    clocks(six - 60000, list, 2);
    assert_string_equal(fired(six + 1000), "clock");
    assert_string_equal(fired(six + 3650 * 24 * hour), "clock,clock");
    clocks(six - 2 * hour, list, 2); /* back, before what has fired */
    assert_true(next_due(six - 2 * hour) <= six - hour);
    assert_string_equal(kit_sql(&k, "SELECT due_ms FROM sh_timers WHERE name = 'c:daily'"),
                        "1781287200000");
    struct sh_op_fire op = fire(six, 10); /* the same 18:00 is no second event */
    for (size_t i = 0; i < op.n_emitted; i++)
        assert_string_equal(op.emitted[i]->key, "tick");
    sh_op_fire_clear(&op);
    assert_string_equal(text_of(sql_int("SELECT due_ms FROM sh_timers WHERE name = 'c:daily'")),
                        "2026-06-13T18:00:00.000Z");
}

static void test_change_over_days(void **state)
{
    (void)state;
    const struct sh_clock c = {"night", "02:30", "Europe/Amsterdam"};
    clocks(ms_of("2026-03-28T12:00:00Z"), &c, 1);
    assert_string_equal(text_of(next_due(ms_of("2026-03-28T12:00:00Z"))),
                        "2026-03-29T01:00:00.000Z"); /* missing: at the end of the gap */
    assert_string_equal(fired(ms_of("2026-03-29T01:00:00Z")), "clock");
    assert_string_equal(text_of(next_due(ms_of("2026-03-29T01:00:00Z"))),
                        "2026-03-30T00:30:00.000Z");
    assert_string_equal(fired(ms_of("2026-10-24T12:00:00Z")), "clock");
    assert_string_equal(text_of(next_due(ms_of("2026-10-24T12:00:00Z"))),
                        "2026-10-25T00:30:00.000Z"); /* repeated: at its first */
    assert_string_equal(fired(ms_of("2026-10-25T00:30:00Z")), "clock");
    assert_string_equal(text_of(next_due(ms_of("2026-10-25T00:30:00Z"))),
                        "2026-10-26T01:30:00.000Z");
}

/* --- rows for people -------------------------------------------------------------------------- */

static void test_list(void **state)
{
    (void)state;
    struct sh_effect fx = timer("l", "remind", "{}", ms_of("2026-10-25T08:00:00Z"));
    fx.field = SH_SLICE("2026-10-25T09:00:00 Europe/Amsterdam");
    struct outcome o = settle(0, &fx, 1);
    const struct sh_clock c = {"digest", "18:00", "Europe/Amsterdam"};
    clocks(T0, &c, 1);
    cJSON *rows = kit_list(&k, (struct sh_list_query){.what = SH_LIST_TIMERS});
    assert_int_equal(cJSON_GetArraySize(rows), 2);
    const cJSON *row = cJSON_GetArrayItem(rows, 0);
    assert_string_equal(sh_json_string(row, "name"), "l");
    assert_string_equal(sh_json_string(row, "kind"), "timer");
    assert_string_equal(sh_json_string(row, "due_at"), "2026-10-25T08:00:00.000Z");
    assert_string_equal(sh_json_string(row, "type"), "remind");
    assert_string_equal(sh_json_string(row, "key"), "call-7");
    assert_string_equal(sh_json_string(row, "event_id"), o.event_id);
    assert_string_equal(sh_json_string(row, "zone"), "Europe/Amsterdam");
    assert_string_equal(sh_json_string(row, "local"), "2026-10-25T09:00:00");
    assert_true(cJSON_IsNull(sh_json_member(row, "every")));
    row = cJSON_GetArrayItem(rows, 1);
    assert_string_equal(sh_json_string(row, "name"), "digest");
    assert_string_equal(sh_json_string(row, "kind"), "clock");
    assert_string_equal(sh_json_string(row, "every"), "18:00");
    cJSON_Delete(rows);
}

/* --- many --------------------------------------------------------------------------------------
 */

/* No step of what runs all the time may look at every row. */
static void test_no_scans(void **state)
{
    (void)state;
    static const enum sh_stmt all[] = {
        SH_ST_DUE,           SH_ST_DUE_NEXT,           SH_ST_TIMER_PUT,
        SH_ST_TIMER_DEL,     SH_ST_TIMER_GET,          SH_ST_TIMER_GONE,
        SH_ST_CLOCK_ROWS,    SH_ST_TIMER_LOCALS,       SH_ST_TIMER_MOVE,
        SH_ST_CLOCK_NEXT,    SH_ST_CALLBACK_SAME,      SH_ST_CALLBACK_OF_NUMBER,
        SH_ST_CALLBACK_GET,  SH_ST_CALLBACK_BY_PREFIX, SH_ST_CALLBACK_BY_ID,
        SH_ST_CALLBACK_PUT,  SH_ST_CALLBACK_LOCALS,    SH_ST_CALLBACK_CHANGE,
        SH_ST_FEED_ASSIGNEE, SH_ST_FEED_ROWS,          SH_ST_FEED_TOKEN};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        struct sh_error err;
        char *sql = sh_strf("EXPLAIN QUERY PLAN %s", sh_store_sql[all[i]]);
        sqlite3_stmt *st = sh_sqlite_prepare(k.s->w.db, sql, &err);
        if (!st)
            fail_msg("%s: %s", sql, err.msg);
        while (sh_sqlite_step(st, &err) == 1) {
            const char *step = (const char *)sqlite3_column_text(st, 3);
            const bool scan = strncmp(step, "SCAN", 4) == 0;
            const bool covered = strstr(step, "USING INDEX sh_timers_due") ||
                                 strstr(step, "USING COVERING INDEX sh_timers_due") ||
                                 strstr(step, "sh_timers_local") ||
                                 strstr(step, "sh_callbacks_local");
            if (scan && !covered && (strstr(step, "sh_timers") || strstr(step, "sh_callbacks")))
                fail_msg("%s: %s", sh_store_sql[all[i]], step);
        }
        sqlite3_finalize(st);
        free(sql);
    }
}

static void put_many(int n, int64_t due_ms, int64_t step_ms)
{
    char sql[600];
    snprintf(sql, sizeof(sql),
             "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d)"
             " INSERT INTO sh_timers(name, due_ms, source, type, key, body, depth, event_id, rule,"
             " created_ms) SELECT 'k:' || %lld || '-' || i, %lld + i * %lld, 'rules', 'many',"
             " 'key' || i, CAST('{\"i\":' || i || '}' AS BLOB), 0,"
             " '0197f1d0-0000-7000-8000-000000000000', 'r', 0 FROM c",
             n, (long long)due_ms, (long long)due_ms, (long long)step_ms);
    kit_sql(&k, sql);
}

static void test_all_of_many_once(void **state)
{
    (void)state;
    size_t n = 0, ops = 0;
    int64_t last = 0;
    put_many(5000, T0, 0);
    put_many(5000, T0 + 1000, 0);
    for (;; ops++) {
        struct sh_op_fire op = fire(T0 + 999, 200);
        for (size_t i = 0; i < op.n_emitted; i++) {
            assert_true(op.emitted[i]->due_ms >= last);
            last = op.emitted[i]->due_ms;
        }
        n += op.n_emitted;
        bool more = op.n_fired == 200;
        if (!more)
            assert_int_equal(op.next_due_ms, T0 + 1000);
        sh_op_fire_clear(&op);
        if (!more)
            break;
    }
    assert_int_equal(n, 5000);
    assert_int_equal(ops, 25);
    assert_int_equal(sql_int("SELECT count(DISTINCT dedupe_id) FROM sh_events"), 5000);
    assert_int_equal(sql_int("SELECT count(*) FROM sh_timers"), 5000);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_event_of_a_timer),
        T(test_never_early_and_in_order),
        T(test_limit_takes_the_oldest),
        T(test_the_same_name_replaces),
        T(test_unnamed_ones_do_not_replace_each_other),
        T(test_cancel),
        T(test_a_failed_run_sets_none),
        T(test_bad_timers_are_refused),
        T(test_what_is_due_fires_after_a_restart),
        T(test_near_timers_count_as_emits),
        T(test_local_times_are_kept_and_computed_again),
        T(test_event_of_a_clock_rule),
        T(test_however_many_were_missed_it_fires_once),
        T(test_clock_rules_across_reloads),
        T(test_a_bad_clock_rule_is_left_out),
        T(test_a_clock_set_back),
        T(test_change_over_days),
        T(test_list),
        T(test_no_scans),
        T(test_all_of_many_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
