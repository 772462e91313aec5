/* SPDX-License-Identifier: MIT
 * test_store_rules.c: rules that fail or are paused: counting, what is kept, what goes again; also
 * with the store's threads, for the thread sanitizer. */
#include "store_kit.h"

#include "core/store_impl.h"

enum { N = 3 };

static struct kit k;
static int serial;

static void open_with(bool threads, int64_t quarantine)
{
    struct sh_error err = {0};
    struct sh_store_config c = kit_config(&k, threads, NULL);
    c.quarantine = quarantine;
    k.s = sh_store_open(&c, &err);
    if (!k.s)
        fail_msg("open: %s", err.msg);
}

static int setup(void **state)
{
    (void)state;
    kit_init(&k);
    open_with(false, N);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_end(&k);
    return 0;
}

static void reopen(void)
{
    kit_close(&k);
    open_with(false, N);
}

/* A new event settled with one run; what the store made of it, with the events it emitted counted
 * and the last one's body copied. */
struct said {
    enum sh_outcome outcome;
    enum sh_rule_state state;
    bool conflict, kept;
    size_t n_emitted;
    struct sh_id id;
    char type[40], source[20], key[40], body[2000];
};

static struct said settle_for(struct sh_id id, const char *rule, enum sh_outcome outcome,
                              uint32_t attempt)
{
    struct kit_settle s;
    kit_settle_init(&s, id);
    struct sh_run *r = kit_add_run(&s, rule, outcome);
    r->attempt = attempt;
    if (outcome == SH_RUN_FAILED) {
        r->error = SH_SLICE("rules/a.lua:7: it said \"no\"");
        r->retry_at_ms = sh_now_ms() + 60000;
    }
    if (!kit_run(&k, &s.op.op))
        fail_msg("settle: %s", s.op.op.err.msg);
    struct said said = {.outcome = r->outcome,
                        .state = r->rule_state,
                        .conflict = r->conflict,
                        .kept = r->kept,
                        .n_emitted = s.op.n_emitted,
                        .id = id};
    if (s.op.n_emitted) {
        const struct sh_event *e = s.op.emitted[s.op.n_emitted - 1];
        snprintf(said.type, sizeof(said.type), "%s", e->type);
        snprintf(said.source, sizeof(said.source), "%s", e->source);
        snprintf(said.key, sizeof(said.key), "%s", e->key);
        snprintf(said.body, sizeof(said.body), "%s", e->body);
    }
    kit_settle_free(&s);
    return said;
}

static struct sh_id new_event(void)
{
    char dedupe[32];
    snprintf(dedupe, sizeof(dedupe), "event-%d", serial++);
    return kit_accept(&k, dedupe);
}

static struct said ran(const char *rule, enum sh_outcome outcome)
{
    return settle_for(new_event(), rule, outcome, 1);
}

static void fail_times(const char *rule, int n)
{
    for (int i = 0; i < n; i++)
        (void)ran(rule, SH_RUN_FAILED);
}

static bool set_rule(const char *rule, bool pause, struct sh_op_rule_set *op)
{
    *op = (struct sh_op_rule_set){
        .op.kind = SH_OP_RULE_SET, .rule = rule, .pause = pause, .by = "ann"};
    return kit_run(&k, &op->op);
}

static enum sh_rule_state resume(const char *rule)
{
    struct sh_op_rule_set op;
    if (!set_rule(rule, false, &op))
        fail_msg("resume: %s", op.op.err.msg);
    return op.state;
}

/* The next slice; its order numbers. */
static struct sh_op_resume slice(const char *rule, size_t limit, size_t max_bytes)
{
    struct sh_op_resume op = {
        .op.kind = SH_OP_RESUME, .rule = rule, .limit = limit, .max_bytes = max_bytes};
    struct sh_op_rules rules = {.op.kind = SH_OP_RULES};
    if (!kit_run(&k, &rules.op))
        fail_msg("rules: %s", rules.op.err.msg);
    for (size_t i = 0; i < rules.n_items; i++)
        if (strcmp(rules.items[i].rule, rule) == 0)
            op.pauses = rules.items[i].pauses;
    sh_rules_held_free(rules.items, rules.n_items);
    if (!kit_run(&k, &op.op))
        fail_msg("slice: %s", op.op.err.msg);
    for (size_t i = 0; i < op.n_items; i++) {
        assert_int_equal(op.items[i].n_rules, 1);
        assert_string_equal(op.items[i].rules[0], rule);
        assert_int_equal(op.items[i].attempt, 0);
    }
    return op;
}

static const char *row_of(const char *rule)
{
    static char sql[300];
    snprintf(sql, sizeof(sql),
             "SELECT failures || ' ' || state || ' ' || coalesce(by, '-') || ' ' ||"
             " coalesce(error, '-') FROM sh_rules WHERE rule = '%s'",
             rule);
    return kit_sql(&k, sql);
}

static const char *runs_of(const char *rule)
{
    static char sql[300];
    snprintf(sql, sizeof(sql),
             "SELECT group_concat(outcome || ':' || attempts, ' ') FROM (SELECT * FROM sh_runs"
             " WHERE rule = '%s' ORDER BY seq)",
             rule);
    return kit_sql(&k, sql);
}

#define NO "rules/a.lua:7: it said \"no\""

/* --- counting ------------------------------------------------------------------ */

static void test_good_rules_cost_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(ran("good", SH_RUN_DONE).state, SH_RULE_ON);
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_rules"), "0");
}

static void test_success_starts_again(void **state)
{
    (void)state;
    fail_times("R", N - 1);
    assert_string_equal(row_of("R"), "2 on - " NO);
    (void)ran("R", SH_RUN_DONE);
    assert_string_equal(row_of("R"), "0 on - -");
    fail_times("R", N - 1);
    assert_int_equal(ran("other", SH_RUN_DONE).n_emitted, 0); /* says nothing about R */
    assert_string_equal(row_of("R"), "2 on - " NO);
    assert_int_equal(ran("R", SH_RUN_FAILED).n_emitted, 1);
}

static void test_counts_survive_a_restart(void **state)
{
    (void)state;
    fail_times("R", N - 1);
    reopen();
    struct said last = ran("R", SH_RUN_FAILED);
    assert_int_equal(last.n_emitted, 1);
    assert_int_equal(last.state, SH_RULE_PAUSED);
}

static void test_attempts_count_each(void **state)
{
    (void)state;
    struct sh_id id = new_event();
    for (uint32_t i = 1; i < N; i++)
        assert_int_equal(settle_for(id, "R", SH_RUN_FAILED, i).outcome, SH_RUN_RETRY);
    assert_int_equal(settle_for(id, "R", SH_RUN_FAILED, N).outcome, SH_RUN_PAUSED);
}

static void test_what_does_not_count(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * N; i++) {
        (void)ran("R", SH_RUN_GONE);
        (void)ran("*", SH_RUN_FAILED);
        struct kit_settle s; /* a conflict */
        kit_settle_init(&s, new_event());
        kit_add_run(&s, "R", SH_RUN_DONE);
        kit_saw(&s, kit_get_of("stats", "x"), 99);
        assert_true(kit_run(&k, &s.op.op));
        assert_true(s.runs[0].conflict);
        kit_settle_free(&s);
        kit_settle_init(&s, new_event()); /* the rule as it was before a reload */
        kit_add_run(&s, "R", SH_RUN_FAILED)->retry_at_ms = sh_now_ms() + 60000;
        s.op.outdated = true;
        assert_true(kit_run(&k, &s.op.op));
        assert_int_equal(s.runs[0].outcome, SH_RUN_RETRY);
        kit_settle_free(&s);
    }
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_rules"), "0");
}

static void test_never_when_switched_off(void **state)
{
    (void)state;
    kit_close(&k);
    open_with(false, 0);
    fail_times("R", 50);
    assert_int_equal(ran("R", SH_RUN_FAILED).state, SH_RULE_ON);
    struct sh_op_rule_set op;
    assert_true(set_rule("R", true, &op)); /* a person still may */
    assert_int_equal(op.kept, 51);
}

static void refused(struct kit_settle *s, const char *rule)
{
    kit_settle_init(s, new_event());
    kit_add_run(s, rule, SH_RUN_DONE);
    kit_fx(s, kit_leave(SH_FX_EMIT, "said", "{}")); /* taken back with the run */
    kit_fx(s, kit_put("stats", "t", "{\"n\":\"text\"}"));
    kit_fx(s, kit_incr("stats", "t", "n", 1));
}

/* A run that the store refuses is a failure of its rule; the alert is not taken back with it. */
static void test_refused_runs_count(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++) {
        struct kit_settle s;
        refused(&s, "bad");
        assert_true(kit_run(&k, &s.op.op));
        assert_int_equal(s.runs[0].outcome, SH_RUN_DEAD);
        assert_int_equal(s.op.n_emitted, i == N - 1);
        assert_int_equal(s.runs[0].rule_state, i == N - 1 ? SH_RULE_PAUSED : SH_RULE_ON);
        if (s.op.n_emitted)
            assert_string_equal(s.op.emitted[0]->type, "rule_paused");
        kit_settle_free(&s);
    }
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_events WHERE type = 'said'"), "0");
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_events WHERE type = 'rule_paused'"),
                        "1");
}

/* The batch is done again with savepoints: nothing is counted twice. */
static void test_batch_done_again(void **state)
{
    (void)state;
    struct kit_settle s[4];
    fail_times("mixed", 1);
    for (int i = 0; i < 4; i++) {
        if (i == 2) {
            refused(&s[i], "bad");
        } else {
            kit_settle_init(&s[i], new_event());
            kit_add_run(&s[i], "R", SH_RUN_FAILED)->retry_at_ms = sh_now_ms() + 60000;
            kit_add_run(&s[i], "mixed", i == 1 ? SH_RUN_DONE : SH_RUN_FAILED)->retry_at_ms = 9;
        }
        s[i].op.op.next = i < 3 ? &s[i + 1].op.op : NULL;
    }
    sh_store_batch(k.s, &s[0].op.op);
    for (int i = 0; i < 4; i++)
        assert_true(s[i].op.op.ok);
    assert_int_equal(s[3].op.n_emitted, 1); /* R's third */
    assert_int_equal(s[0].op.n_emitted + s[1].op.n_emitted + s[2].op.n_emitted, 0);
    for (int i = 0; i < 4; i++)
        kit_settle_free(&s[i]);
    assert_string_equal(kit_sql(&k, "SELECT failures || state FROM sh_rules WHERE rule = 'R'"),
                        "3paused");
    assert_string_equal(kit_sql(&k, "SELECT failures || state FROM sh_rules WHERE rule = 'bad'"),
                        "1on");
    assert_string_equal(kit_sql(&k, "SELECT failures || state FROM sh_rules WHERE rule = 'mixed'"),
                        "1on");
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_events WHERE type = 'rule_paused'"),
                        "1");
}

/* An operation that is taken back as a whole takes its counting back. */
static void test_op_taken_back(void **state)
{
    (void)state;
    fail_times("R", N - 1);
    struct sh_op_rule_set bad = {.op.kind = SH_OP_RULE_SET, .rule = "", .pause = true};
    struct kit_settle s;
    kit_settle_init(&s, new_event());
    kit_add_run(&s, "R", SH_RUN_DONE);
    s.op.op.next = &bad.op;
    sh_store_batch(k.s, &s.op.op);
    assert_true(s.op.op.ok && !bad.op.ok);
    kit_settle_free(&s);
    assert_string_equal(row_of("R"), "0 on - -");
    assert_int_equal(ran("R", SH_RUN_FAILED).state, SH_RULE_ON);
    assert_string_equal(row_of("R"), "1 on - " NO);
}

/* No room: nothing is kept, the count neither; the same settle again counts once. */
static void test_no_room(void **state)
{
    (void)state;
    static char error[200000];
    struct kit_settle s;
    memset(error, 'x', sizeof(error) - 1);
    fail_times("R", N - 1);
    kit_settle_init(&s, new_event());
    struct sh_run *r = kit_add_run(&s, "R", SH_RUN_FAILED);
    r->error = sh_slice_str(error);
    r->retry_at_ms = sh_now_ms() + 60000;
    assert_int_equal(sqlite3_exec(k.s->w.db, "PRAGMA max_page_count=1", NULL, NULL, NULL),
                     SQLITE_OK); /* as many as there are */
    for (int i = 0; i < 3; i++) {
        assert_false(kit_run(&k, &s.op.op));
        assert_int_equal(s.op.op.err.code, SH_EFULL);
        assert_int_equal(s.op.n_emitted, 0);
    }
    assert_int_equal(sqlite3_exec(k.s->w.db, "PRAGMA max_page_count=1000000", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_string_equal(row_of("R"), "2 on - " NO);
    assert_true(kit_run(&k, &s.op.op));
    assert_int_equal(s.op.n_emitted, 1);
    assert_int_equal(r->outcome, SH_RUN_PAUSED);
    kit_settle_free(&s);
    assert_string_equal(kit_sql(&k, "SELECT failures || ' ' || length(error) FROM sh_rules"),
                        "3 4093"); /* said in short */
}

/* --- pausing ------------------------------------------------------------------- */

static void test_alert(void **state)
{
    (void)state;
    char id[SH_ID_TEXT], wanted[400];
    fail_times("Say \"hi\"", N - 1);
    struct said said = ran("Say \"hi\"", SH_RUN_FAILED);
    assert_int_equal(said.n_emitted, 1);
    assert_string_equal(said.type, "rule_paused");
    assert_string_equal(said.source, "engine");
    assert_string_equal(said.key, "Say \"hi\"");
    snprintf(wanted, sizeof(wanted),
             "{\"rule\":\"Say \\\"hi\\\"\",\"failures\":3,\"error\":\"rules/a.lua:7: it said "
             "\\\"no\\\"\",\"event_id\":\"%s\",\"event_type\":\"call_start\",\"generation\":"
             "\"0123456789abcdef\",\"paused_at\":\"20",
             sh_id_text(said.id, id));
    if (strncmp(said.body, wanted, strlen(wanted)) != 0)
        fail_msg("body: %s\nwanted: %s", said.body, wanted);
    struct sh_json_fault fault;
    assert_true(sh_json_check(said.body, strlen(said.body), &fault));
    fail_times("Say \"hi\"", 3 * N); /* what was under way: no second alert */
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_events WHERE type = 'rule_paused'"),
                        "1");
}

static void test_pausing_keeps_retries(void **state)
{
    (void)state;
    assert_int_equal(ran("other", SH_RUN_FAILED).outcome, SH_RUN_RETRY);
    fail_times("R", N - 1);
    assert_string_equal(runs_of("R"), "retry:1 retry:1");
    struct said said = ran("R", SH_RUN_FAILED);
    assert_int_equal(said.outcome, SH_RUN_PAUSED);
    assert_true(said.kept);
    assert_string_equal(runs_of("R"), "paused:1 paused:1 paused:1");
    assert_string_equal(runs_of("other"), "retry:1");
    said = ran("R", SH_RUN_FAILED); /* was under way */
    assert_int_equal(said.outcome, SH_RUN_PAUSED);
    said = ran("R", SH_RUN_DONE); /* so was this: it has no effect, and will run again */
    assert_int_equal(said.outcome, SH_RUN_PAUSED);
    assert_string_equal(row_of("R"), "4 paused engine " NO);
    struct sh_op_count count = kit_count(&k);
    assert_int_equal(count.paused_rules, 1);
    assert_int_equal(count.kept_runs, 5);
    assert_int_equal(count.retries, 1);
    struct sh_op_pending p = {
        .op.kind = SH_OP_RETRIES, .before_ms = sh_now_ms() + 100000, .limit = 10};
    assert_true(kit_run(&k, &p.op));
    assert_int_equal(p.n_items, 1);
    assert_string_equal(p.items[0].rules[0], "other");
    sh_pending_free(p.items, p.n_items);
}

/* From the pause on the rule has no effects, not even of what was under way; while it is resumed,
 * only of what was given out for that. */
static void test_under_way_when_paused(void **state)
{
    (void)state;
    struct sh_op_rule_set op;
    struct kit_settle s;
    assert_true(set_rule("R", true, &op));
    struct sh_id id = new_event();
    for (int i = 0; i < 3; i++) { /* paused; resumed, not given out; given out */
        struct sh_op_resume next = {0};
        if (i == 1)
            assert_int_equal(resume("R"), SH_RULE_RESUMING);
        if (i == 2)
            next = slice("R", 10, 0);
        kit_settle_init(&s, id);
        kit_add_run(&s, "R", SH_RUN_DONE);
        kit_fx(&s, kit_put("calls", "x", "{}"));
        assert_true(kit_run(&k, &s.op.op));
        assert_int_equal(s.runs[0].outcome, i == 2 ? SH_RUN_DONE : SH_RUN_PAUSED);
        kit_settle_free(&s);
        assert_string_equal(kit_doc(&k, "calls", "x"), i == 2 ? "{}" : "");
        assert_string_equal(runs_of("R"), i == 2 ? "done:1" : "paused:0");
        sh_pending_free(next.items, next.n_items);
    }
}

static void test_held_runs(void **state)
{
    (void)state;
    struct sh_op_rule_set op;
    assert_true(set_rule("R", true, &op));
    assert_int_equal(op.was, SH_RULE_ON);
    assert_int_equal(op.state, SH_RULE_PAUSED);
    assert_string_equal(row_of("R"), "0 paused ann -");
    struct said said = ran("R", SH_RUN_PAUSED);
    assert_int_equal(said.outcome, SH_RUN_PAUSED);
    assert_true(said.kept && !said.conflict);
    assert_string_equal(runs_of("R"), "paused:0");
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_unfinished"), "0");
    assert_int_equal(
        kit_list_size(&k, (struct sh_list_query){.what = SH_LIST_EVENTS, .state = "stored"}), 1);
    assert_int_equal(
        kit_list_size(&k, (struct sh_list_query){.what = SH_LIST_EVENTS, .state = "done"}), 0);
    assert_int_equal(
        kit_list_size(&k, (struct sh_list_query){.what = SH_LIST_RUNS, .state = "paused"}), 1);
    cJSON *rows = kit_list(&k, (struct sh_list_query){.what = SH_LIST_RULES});
    assert_int_equal(cJSON_GetArraySize(rows), 1);
    const cJSON *row = rows->child;
    assert_string_equal(sh_json_string(row, "rule"), "R");
    assert_string_equal(sh_json_string(row, "state"), "paused");
    assert_string_equal(sh_json_string(row, "by"), "ann");
    assert_non_null(sh_json_string(row, "since"));
    assert_int_equal(sh_json_member(row, "kept")->valueint, 1);
    cJSON_Delete(rows);
}

/* What has its end already is not opened again by a run that was held too late. */
static void test_held_too_late(void **state)
{
    (void)state;
    struct sh_op_rule_set op;
    struct sh_id done = new_event(), dead = new_event();
    assert_int_equal(settle_for(done, "R", SH_RUN_DONE, 1).outcome, SH_RUN_DONE);
    assert_int_equal(settle_for(dead, "R", SH_RUN_GONE, 1).outcome, SH_RUN_DEAD);
    assert_true(set_rule("R", true, &op));
    assert_int_equal(op.kept, 0);
    (void)settle_for(done, "R", SH_RUN_PAUSED, 1);
    (void)settle_for(dead, "R", SH_RUN_PAUSED, 1);
    assert_string_equal(runs_of("R"), "done:1 dead:1");
}

static void test_prune_spares_what_is_kept(void **state)
{
    (void)state;
    struct sh_op_rule_set op;
    assert_true(set_rule("R", true, &op));
    (void)ran("R", SH_RUN_PAUSED);
    (void)ran("other", SH_RUN_DONE);
    struct sh_op_prune prune = {
        .op.kind = SH_OP_PRUNE, .before_ms = sh_now_ms() + 10000, .limit = 100};
    assert_true(kit_run(&k, &prune.op));
    assert_int_equal(prune.removed, 1);
    assert_string_equal(runs_of("R"), "paused:0");
    struct sh_op_redrive redrive = {.op.kind = SH_OP_REDRIVE};
    assert_true(kit_run(&k, &redrive.op));
    assert_int_equal(redrive.n_runs, 0);
}

/* --- resuming ------------------------------------------------------------------ */

static void keep(int n)
{
    struct sh_op_rule_set op;
    assert_true(set_rule("R", true, &op));
    for (int i = 0; i < n; i++)
        assert_true(ran("R", SH_RUN_PAUSED).kept);
}

static void test_slices(void **state)
{
    (void)state;
    keep(5);
    assert_int_equal(slice("R", 10, 0).n_items, 0); /* not before it is resumed */
    assert_int_equal(resume("R"), SH_RULE_RESUMING);
    int64_t last = 0;
    size_t sizes[] = {2, 2, 1};
    for (int i = 0; i < 3; i++) {
        struct sh_op_resume op = slice("R", 2, 0);
        assert_int_equal(op.n_items, sizes[i]);
        assert_int_equal(op.state, i == 2 ? SH_RULE_ON : SH_RULE_RESUMING);
        for (size_t j = 0; j < op.n_items; j++) {
            assert_true(sh_id_order(op.items[j].event->id) > last);
            last = sh_id_order(op.items[j].event->id);
            assert_string_equal(op.items[j].event->body, "{\"a\":1}");
        }
        sh_pending_free(op.items, op.n_items);
    }
    assert_string_equal(runs_of("R"), "retry:0 retry:0 retry:0 retry:0 retry:0");
    assert_string_equal(row_of("R"), "0 on - -");
    struct sh_op_pending p = {.op.kind = SH_OP_RETRIES, .before_ms = sh_now_ms(), .limit = 10};
    assert_true(kit_run(&k, &p.op));
    assert_int_equal(p.n_items, 5); /* as any retry, should the process end now */
    sh_pending_free(p.items, p.n_items);
}

static void test_slice_of_bytes(void **state)
{
    (void)state;
    keep(3);
    (void)resume("R");
    for (int i = 0; i < 3; i++) {
        struct sh_op_resume op = slice("R", 10, 1); /* at least one */
        assert_int_equal(op.n_items, 1);
        assert_int_equal(op.state, i == 2 ? SH_RULE_ON : SH_RULE_RESUMING);
        sh_pending_free(op.items, op.n_items);
    }
}

/* New events are kept while older ones still wait. */
static void test_new_ones_while_resuming(void **state)
{
    (void)state;
    keep(2);
    (void)resume("R");
    struct sh_op_resume op = slice("R", 2, 0);
    sh_pending_free(op.items, op.n_items);
    assert_int_equal(op.state, SH_RULE_RESUMING); /* full: there may be more */
    struct said said = ran("R", SH_RUN_PAUSED);
    assert_true(said.kept);
    op = slice("R", 2, 0);
    assert_int_equal(op.n_items, 1);
    assert_int_equal(op.state, SH_RULE_ON);
    sh_pending_free(op.items, op.n_items);
    said = ran("R", SH_RUN_PAUSED); /* was given out before the news */
    assert_true(said.conflict && !said.kept);
    assert_int_equal(said.outcome, SH_RUN_RETRY);
    assert_string_equal(runs_of("R"), "retry:0 retry:0 retry:0 retry:0");
    assert_true(atoll(kit_sql(&k, "SELECT max(next_ms) FROM sh_runs")) <= sh_now_ms());
}

static void test_nothing_kept(void **state)
{
    (void)state;
    struct sh_op_rule_set op;
    keep(0);
    assert_int_equal(resume("R"), SH_RULE_ON);
    assert_false(set_rule("R", false, &op));
    assert_int_equal(op.op.err.code, SH_ECONFLICT);
    assert_non_null(strstr(op.op.err.msg, "\"R\" is not paused"));
}

static void test_same_again(void **state)
{
    (void)state;
    struct sh_op_rule_set op;
    keep(1);
    assert_true(set_rule("R", true, &op));
    assert_int_equal(op.was, SH_RULE_PAUSED);
    assert_int_equal(op.kept, 1);
    (void)resume("R");
    assert_true(set_rule("R", false, &op));
    assert_int_equal(op.was, SH_RULE_RESUMING);
    assert_int_equal(op.state, SH_RULE_RESUMING);
    assert_true(set_rule("R", true, &op)); /* stopped on the way */
    assert_int_equal(op.was, SH_RULE_RESUMING);
    struct sh_op_resume r = slice("R", 10, 0);
    assert_int_equal(r.state, SH_RULE_PAUSED);
    assert_int_equal(r.n_items, 0);
    sh_pending_free(r.items, r.n_items);
    (void)resume("R");
    r = (struct sh_op_resume){.op.kind = SH_OP_RESUME, .rule = "R", .pauses = 1, .limit = 10};
    assert_true(kit_run(&k, &r.op)); /* by one who has missed the second pause */
    assert_int_equal(r.state, SH_RULE_RESUMING);
    assert_int_equal(r.now_pauses, 2);
    assert_int_equal(r.n_items, 0);
    assert_string_equal(runs_of("R"), "paused:0");
    sh_pending_free(r.items, r.n_items);
}

static void test_fails_again_while_resuming(void **state)
{
    (void)state;
    keep(6);
    (void)resume("R");
    struct sh_op_resume op = slice("R", 4, 0);
    for (int i = 0; i < N; i++) {
        struct said said = settle_for(op.items[i].event->id, "R", SH_RUN_FAILED, 1);
        assert_int_equal(said.outcome, i < N - 1 ? SH_RUN_RETRY : SH_RUN_PAUSED);
        assert_int_equal(said.n_emitted, i == N - 1);
    }
    sh_pending_free(op.items, op.n_items);
    assert_string_equal(runs_of("R"), "paused:1 paused:1 paused:1 paused:0 paused:0 paused:0");
    assert_int_equal(slice("R", 4, 0).state, SH_RULE_PAUSED);
    assert_string_equal(row_of("R"), "3 paused engine " NO);
}

/* The process ends with a slice in memory: what had not run yet is kept again, and comes in order
 * before what was not fetched. What had failed on its own stays a retry. */
static void test_crash_while_resuming(void **state)
{
    (void)state;
    keep(5);
    (void)resume("R");
    struct sh_op_resume op = slice("R", 3, 0);
    struct sh_id first = op.items[0].event->id;
    (void)settle_for(first, "R", SH_RUN_DONE, 1);
    (void)settle_for(op.items[1].event->id, "R", SH_RUN_FAILED, 1);
    (void)ran("other", SH_RUN_FAILED);
    sh_pending_free(op.items, op.n_items);
    reopen();
    assert_string_equal(runs_of("R"), "done:1 retry:1 paused:0 paused:0 paused:0");
    assert_string_equal(runs_of("other"), "retry:1");
    struct sh_op_rules rules = {.op.kind = SH_OP_RULES};
    assert_true(kit_run(&k, &rules.op));
    assert_int_equal(rules.n_items, 1);
    assert_string_equal(rules.items[0].rule, "R");
    assert_int_equal(rules.items[0].state, SH_RULE_RESUMING);
    sh_rules_held_free(rules.items, rules.n_items);
    op = slice("R", 10, 0);
    assert_int_equal(op.n_items, 3);
    assert_int_equal(op.state, SH_RULE_ON);
    sh_pending_free(op.items, op.n_items);
    reopen();
    assert_string_equal(runs_of("R"), "done:1 retry:1 retry:0 retry:0 retry:0");
    rules = (struct sh_op_rules){.op.kind = SH_OP_RULES};
    assert_true(kit_run(&k, &rules.op));
    assert_int_equal(rules.n_items, 0);
}

/* --- beside the engine ------------------------------------------------------------ */

/* The command line pauses through a connection of its own; the engine's next transaction knows. */
static void test_shared(void **state)
{
    (void)state;
    struct sh_error err = {0};
    struct sh_store_config c = kit_config(&k, false, NULL);
    c.shared = true;
    fail_times("R", N - 1);
    struct kit side = {.s = sh_store_open(&c, &err)};
    assert_non_null(side.s);
    struct sh_op_rule_set op = {.op.kind = SH_OP_RULE_SET, .rule = "R", .pause = true};
    assert_true(kit_run(&side, &op.op));
    assert_int_equal(op.kept, N - 1);
    struct said said = ran("R", SH_RUN_FAILED);
    assert_int_equal(said.outcome, SH_RUN_PAUSED);
    assert_int_equal(said.n_emitted, 0); /* paused already */
    op.pause = false;
    assert_true(kit_run(&side, &op.op));
    assert_int_equal(op.state, SH_RULE_RESUMING);
    struct sh_op_rules rules = {.op.kind = SH_OP_RULES};
    assert_true(kit_run(&k, &rules.op));
    assert_int_equal(rules.n_items, 1);
    assert_int_equal(rules.items[0].state, SH_RULE_RESUMING);
    sh_rules_held_free(rules.items, rules.n_items);
    struct sh_op_resume r = slice("R", 10, 0);
    assert_int_equal(r.n_items, N);
    sh_pending_free(r.items, r.n_items);
    struct sh_op_resume not_here = {.op.kind = SH_OP_RESUME, .rule = "R", .limit = 10};
    assert_false(kit_run(&side, &not_here.op));
    sh_store_close(side.s);
    assert_string_equal(row_of("R"), "0 on - -");
}

/* Engine and command line at once: nothing lost, whatever meets what. */
enum { TOGGLES = 60 };

struct hand {
    pthread_t thread;
    int toggles;
};

static void *toggle(void *arg)
{
    struct hand *h = arg;
    struct sh_error err = {0};
    struct sh_store_config c = {.dir = k.dir, .shared = true};
    struct kit side = {.s = sh_store_open(&c, &err)};
    for (int i = 0; side.s && i < TOGGLES; i++) {
        struct sh_op_rule_set op = {
            .op.kind = SH_OP_RULE_SET, .rule = "R", .pause = i % 2 == 0, .by = "toggle"};
        h->toggles += kit_run(&side, &op.op);
        usleep(10000);
    }
    sh_store_close(side.s);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    kit_close(&k);
    open_with(true, N);
    struct hand h = {0};
    assert_int_equal(pthread_create(&h.thread, NULL, toggle, &h), 0);
    int done = 0, kept = 0, again = 0, fetched = 0; /* nothing is both, nothing is lost */
    for (int i = 0; i < 300; i++) {
        struct said said = ran("R", i % 3 == 0   ? SH_RUN_PAUSED
                                    : i % 3 == 1 ? SH_RUN_FAILED
                                                 : SH_RUN_DONE);
        done += said.outcome == SH_RUN_DONE;
        kept += said.outcome == SH_RUN_PAUSED;
        again += said.outcome == SH_RUN_RETRY;
        struct sh_op_resume op = slice("R", 20, 0);
        fetched += (int)op.n_items;
        sh_pending_free(op.items, op.n_items);
    }
    assert_int_equal(pthread_join(h.thread, NULL), 0);
    assert_true(h.toggles > 0);
    assert_int_equal(done + kept + again, 300);
    print_message("done %d, kept %d, again %d, fetched %d, toggled %d\n", done, kept, again,
                  fetched, h.toggles);
    char wanted[80];
    snprintf(wanted, sizeof(wanted), "%d %d", done, 300 - done);
    kit_close(&k);
    open_with(false, N);
    assert_string_equal(kit_sql(&k,
                                "SELECT sum(outcome = 'done') || ' ' || sum(outcome IN ('retry',"
                                " 'paused')) FROM sh_runs WHERE rule = 'R'"),
                        wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_good_rules_cost_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_success_starts_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counts_survive_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_attempts_count_each, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_does_not_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_never_when_switched_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_runs_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_batch_done_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_op_taken_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
        cmocka_unit_test_setup_teardown(test_alert, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pausing_keeps_retries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_under_way_when_paused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_held_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_held_too_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prune_spares_what_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slices, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slice_of_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_ones_while_resuming, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_same_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fails_again_while_resuming, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_while_resuming, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
    };
    return cmocka_run_group_tests_name("store_rules", tests, NULL, NULL);
}
