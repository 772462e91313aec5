/* SPDX-License-Identifier: MIT
 * test_store_callback.c: the whole life of callbacks, their emails and feeds, on a store of a
 * folder. */
#include "store_kit.h"

#include "base/zone.h"
#include "core/callback.h"
#include "core/mime.h"

#define T0     1781259861903LL /* 2026-06-12T10:24:21.903Z */
#define HOUR   3600000LL
#define MISSED (24 * HOUR)

static struct kit k;
static struct sh_store_config config;

static void open_store(void)
{
    struct sh_error err = {0};
    k.s = sh_store_open(&config, &err);
    if (!k.s)
        fail_msg("open: %s", err.msg);
}

static int setup(void **state)
{
    (void)state;
    sh_zones_load(NULL);
    kit_init(&k);
    config = kit_config(&k, false, NULL);
    config.callback_email = true;
    config.callback_missed_ms = MISSED;
    config.zone = "Europe/Amsterdam";
    open_store();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_end(&k);
    return 0;
}

/* --- tools --------------------------------------------------------------------------- */

struct outcome {
    enum sh_outcome outcome;
    char error[600];
    size_t n_timed, n_queued;
};

static struct outcome settle_at(int64_t now_ms, uint32_t depth, const struct sh_effect *fx,
                                size_t n)
{
    static int count;
    char dedupe[32];
    struct kit_settle s;
    struct outcome o = {0};
    snprintf(dedupe, sizeof(dedupe), "settle-%d", count++);
    kit_settle_init(&s, kit_accept(&k, dedupe));
    s.op.event_key = SH_SLICE("call-7");
    s.op.event_depth = depth;
    struct sh_run *r = kit_add_run(&s, "the rule", SH_RUN_DONE);
    r->now_ms = now_ms;
    for (size_t i = 0; i < n; i++)
        kit_fx(&s, fx[i]);
    if (!kit_run(&k, &s.op.op))
        fail_msg("settle: %s", s.op.op.err.msg);
    o.outcome = r->outcome;
    o.n_timed = s.op.n_timed;
    o.n_queued = s.op.n_queued;
    if (s.op.run_errors && s.op.run_errors[0])
        snprintf(o.error, sizeof(o.error), "%s", s.op.run_errors[0]);
    kit_settle_free(&s);
    return o;
}

/* callback{}: the document with '' for "". */
static struct outcome ask(int64_t now_ms, enum sh_effect_kind kind, const char *key,
                          const char *quoted)
{
    char *doc = sh_strdup(quoted);
    for (char *p = doc; *p; p++)
        if (*p == '\'')
            *p = '"';
    struct sh_effect fx = kit_leave(kind, "", doc);
    fx.id = sh_slice_str(key);
    struct outcome o = settle_at(now_ms, 0, &fx, 1);
    free(doc);
    return o;
}

static void add_at(int64_t now_ms, const char *key, int64_t due_ms, const char *more)
{
    char doc[600];
    snprintf(doc, sizeof(doc), "{'number':'030 123 45 67','due_at':%lld%s}", (long long)due_ms,
             more);
    struct outcome o = ask(now_ms, SH_FX_CALLBACK, key, doc);
    if (o.outcome != SH_RUN_DONE)
        fail_msg("callback: %s", o.error);
}

#define LAURA ",'name':'Laura','assignee':'laura@example.org','reason':'sad'"

static struct outcome change(int64_t now_ms, const char *doc)
{
    struct outcome o = ask(now_ms, SH_FX_CALLBACK_DO, "", doc);
    if (o.outcome != SH_RUN_DONE)
        fail_msg("%s: %s", doc, o.error);
    return o;
}

/* What fires, as "type type"; the last event's body is kept in `body`. */
static char body[2000];
static size_t n_mails;
static const char *fired(int64_t now_ms)
{
    static char out[512];
    struct sh_op_fire op = {.op.kind = SH_OP_FIRE, .now_ms = now_ms, .limit = 100};
    if (!kit_run(&k, &op.op))
        fail_msg("fire: %s", op.op.err.msg);
    out[0] = '\0';
    n_mails = op.n_queued;
    for (size_t i = 0; i < op.n_emitted; i++) {
        struct sh_event *e = op.emitted[i];
        snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s%s", i ? " " : "", e->type);
        snprintf(body, sizeof(body), "%s", e->body);
        assert_string_equal(e->source, "engine");
        assert_string_equal(e->key, "call-7");
        assert_non_null(e->cause);
    }
    sh_op_fire_clear(&op);
    return out;
}

/* A column of the only callback. */
static const char *col(const char *name)
{
    char sql[200];
    snprintf(sql, sizeof(sql), "SELECT %s FROM sh_callbacks", name);
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_callbacks"), "1");
    return kit_sql(&k, sql);
}

static const char *history(void)
{
    return kit_sql(&k, "SELECT group_concat(what, ' ') FROM"
                       " (SELECT what FROM sh_callback_changes ORDER BY id, place)");
}

/* All mails so far: "method sequence to;" */
static const char *mails(void)
{
    return kit_sql(&k, "SELECT group_concat(json_extract(payload, '$.invitation.method') || ' ' ||"
                       " json_extract(payload, '$.invitation.sequence') || ' ' ||"
                       " json_extract(payload, '$.to[0]'), '; ')"
                       " FROM (SELECT payload FROM sh_outbox ORDER BY seq)");
}

static bool in_body(const char *member, const char *value)
{
    cJSON *tree = sh_json_parse(body, strlen(body), NULL);
    const char *s = sh_json_string(tree, member);
    bool ok = value ? s && strcmp(s, value) == 0 : !sh_json_member(tree, member);
    cJSON_Delete(tree);
    return ok;
}

static struct sh_op_callback person(const char *id, int action)
{
    return (struct sh_op_callback){.op.kind = SH_OP_CALLBACK, .id = id, .action = action};
}

/* Every mail so far would be taken by the carrier; texts[i] is part of the i-th one's. */
static void check_mails(const char *const *texts, int n)
{
    cJSON *rows = kit_list(&k, (struct sh_list_query){.what = SH_LIST_OUTBOX});
    assert_int_equal(cJSON_GetArraySize(rows), n);
    for (int i = 0; i < n; i++) {
        struct sh_error err = {0};
        struct sh_buf message;
        const char *id = sh_json_string(cJSON_GetArrayItem(rows, i), "id");
        cJSON *whole = kit_list(&k, (struct sh_list_query){.what = SH_LIST_OUTBOX, .id = id});
        const cJSON *doc = sh_json_member(cJSON_GetArrayItem(whole, 0), "payload");
        if (!sh_email_check(doc, &err))
            fail_msg("mail %d: %s", i, err.msg);
        assert_non_null(strstr(sh_json_string(doc, "text"), texts[i]));
        sh_buf_init(&message, 1 << 20);
        if (!sh_email_build(doc, "hook@example.org", "key", T0, &message, &err))
            fail_msg("mail %d: %s", i, err.msg);
        assert_non_null(strstr(message.data, "text/calendar"));
        sh_buf_free(&message);
        cJSON_Delete(whole);
    }
    cJSON_Delete(rows);
}

/* --- numbers ---------------------------------------------------------------------------- */

static void test_numbers(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"030 123-45.67", "0301234567"},
                                           {"+31 30 1234567", "+31301234567"},
                                           {"0031301234567", "+31301234567"},
                                           {"tel:+31(30)1", "+31301"},
                                           {"+31 (0)30 1234567", "+31301234567"},
                                           {"0031(0)30(0)1", "+31301"},
                                           {"(0)30 1", "0301"},
                                           {"3001", "3001"},
                                           {"anonymous", ""},
                                           {"", ""},
                                           {"00", "+"}};
    char out[64];
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        sh_callback_number(cases[i][0], out);
        assert_string_equal(out, cases[i][1]);
    }
}

/* --- scheduled, due, missed ---------------------------------------------------------------- */

static void test_due(void **state)
{
    (void)state;
    char id[64];
    add_at(T0, "", T0 + HOUR, LAURA ",'minutes':20");
    snprintf(id, sizeof(id), "%s", col("id"));
    assert_string_equal(col("status"), "scheduled");
    assert_string_equal(fired(T0 + HOUR - 1), "");
    assert_string_equal(fired(T0 + HOUR), "callback_due");
    assert_int_equal(n_mails, 1);
    assert_true(in_body("id", id));
    assert_true(in_body("number", "030 123 45 67"));
    assert_true(in_body("name", "Laura"));
    assert_true(in_body("assignee", "laura@example.org"));
    assert_true(in_body("reason", "sad"));
    assert_true(in_body("status", "due"));
    assert_true(in_body("due_at", "2026-06-12T11:24:21.903Z"));
    assert_true(in_body("rule", "the rule"));
    assert_true(in_body("key", NULL));
    assert_true(in_body("note", NULL));
    assert_non_null(strstr(body, "\"minutes\":20"));
    assert_string_equal(col("status"), "due");
    assert_string_equal(mails(), "REQUEST 0 laura@example.org");
    char uid[100];
    snprintf(uid, sizeof(uid), "%s@switchhook", id);
    assert_string_equal(kit_sql(&k, "SELECT json_extract(payload, '$.invitation.uid')"
                                    " FROM sh_outbox"),
                        uid);
    assert_string_equal(kit_sql(&k, "SELECT json_extract(payload, '$.invitation.end_at') -"
                                    " json_extract(payload, '$.invitation.start_at')"
                                    " FROM sh_outbox"),
                        "1200000");
    assert_non_null(strstr(kit_sql(&k, "SELECT json_extract(payload, '$.text') FROM sh_outbox"),
                           "Due: Friday 2026-06-12 13:24 (Europe/Amsterdam)"));
    assert_string_equal(fired(T0 + HOUR), "");
    assert_string_equal(history(), "scheduled due");
}

static void test_email_only_where_wanted(void **state)
{
    (void)state;
    add_at(T0, "a", T0 + HOUR, ",'assignee':'a@example.org','email':false");
    add_at(T0, "b", T0 + HOUR, ",'assignee':'Laura, first floor','reason':'b'");
    add_at(T0, "c", T0 + HOUR, ",'reason':'c'");
    assert_string_equal(fired(T0 + HOUR), "callback_due callback_due callback_due");
    assert_int_equal(n_mails, 0);
    kit_close(&k);
    config.callback_email = false;
    open_store();
    add_at(T0, "d", T0 + HOUR, ",'assignee':'a@example.org'");
    assert_string_equal(fired(T0 + HOUR), "callback_due");
    assert_int_equal(n_mails, 0);
}

/* A stranger chooses the name. */
static void test_texts_from_outside(void **state)
{
    (void)state;
    char doc[1500], name[700] = "";
    while (strlen(name) < 600)
        strcat(name, "é\\r\\nBcc: x@example.org ");
    snprintf(doc, sizeof(doc), ",'assignee':'laura@example.org','name':'%s','reason':'a\\nb'",
             name);
    char *whole = sh_strf("{\"number\":\"1\\r\\nX: y\",\"due_at\":%lld%s}", T0 + HOUR, doc);
    assert_int_equal(ask(T0, SH_FX_CALLBACK, "", whole).outcome, SH_RUN_DONE);
    free(whole);
    assert_string_equal(fired(T0 + HOUR), "callback_due");
    static const char *const texts[] = {"Reason: a b\n"};
    check_mails(texts, 1);
}

/* Timers and callbacks that are due together come by their times. */
static void test_oldest_first(void **state)
{
    (void)state;
    const struct sh_effect fx[] = {{.kind = SH_FX_TIMER,
                                    .collection = SH_SLICE("timer"),
                                    .doc = SH_SLICE("{}"),
                                    .is_int = true,
                                    .n_int = T0 + 3 * HOUR},
                                   {.kind = SH_FX_TIMER,
                                    .collection = SH_SLICE("timer"),
                                    .doc = SH_SLICE("{}"),
                                    .is_int = true,
                                    .n_int = T0 + HOUR}};
    settle_at(T0, 0, fx, 2);
    add_at(T0, "", T0 + 2 * HOUR, LAURA);
    struct sh_op_fire op = {.op.kind = SH_OP_FIRE, .now_ms = T0, .limit = 10};
    assert_true(kit_run(&k, &op.op));
    assert_int_equal(op.next_due_ms, T0 + HOUR);
    op.now_ms = T0 + 3 * HOUR;
    op.limit = 2;
    assert_true(kit_run(&k, &op.op));
    assert_int_equal(op.n_fired, 2);
    assert_string_equal(op.emitted[0]->type, "timer");
    assert_string_equal(op.emitted[1]->type, "callback_due");
    assert_true(kit_run(&k, &op.op));
    assert_int_equal(op.n_emitted, 1);
    assert_string_equal(op.emitted[0]->type, "timer");
    sh_op_fire_clear(&op);
}

static void test_missed(void **state)
{
    (void)state;
    add_at(T0, "", T0 + HOUR, LAURA);
    const int64_t late = T0 + 30 * HOUR; /* the engine was away: it is due from now on */
    assert_string_equal(fired(late), "callback_due");
    assert_string_equal(fired(late + MISSED - 1), "");
    struct sh_op_fire op = {.op.kind = SH_OP_FIRE, .now_ms = late, .limit = 10};
    assert_true(kit_run(&k, &op.op));
    assert_int_equal(op.next_due_ms, late + MISSED);
    assert_string_equal(fired(late + MISSED), "callback_missed");
    assert_true(in_body("status", "missed"));
    assert_int_equal(n_mails, 0);
    assert_string_equal(fired(late + 9 * MISSED), "");
    assert_string_equal(history(), "scheduled due missed");
}

static void test_never_missed_without_the_setting(void **state)
{
    (void)state;
    kit_close(&k);
    config.callback_missed_ms = 0;
    open_store();
    add_at(T0, "", T0 + HOUR, LAURA);
    assert_string_equal(fired(T0 + HOUR), "callback_due");
    assert_string_equal(fired(T0 + 1000 * MISSED), "");
}

static void test_bad_documents(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"{'due_at':1}", "number"},
        {"{'number':'','due_at':1}", "number"},
        {"{'number':'1'}", "due"},
        {"{'number':'1','due_at':'tomorrow'}", "due"},
        {"{'number':'1','due_at':1,'minutes':0}", "minutes"},
        {"{'number':'1','due_at':1,'completes':'rung'}", "completes"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct outcome o = ask(T0, SH_FX_CALLBACK, "", bad[i][0]);
        assert_int_equal(o.outcome, SH_RUN_DEAD);
        assert_non_null(strstr(o.error, bad[i][1]));
    }
    struct outcome o = ask(T0, SH_FX_CALLBACK_DO, "", "{'do':'forget','id':'x'}");
    assert_non_null(strstr(o.error, "expected done, cancel, snooze, reassign or answered"));
    o = ask(T0, SH_FX_CALLBACK_DO, "", "{'do':'done'}");
    assert_non_null(strstr(o.error, "'id', 'key' or 'number'"));
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_callbacks"), "0");
}

/* --- not doubled ------------------------------------------------------------------------------ */

static void test_same_number_and_reason(void **state)
{
    (void)state;
    add_at(T0, "", T0 + 2 * HOUR, ",'reason':'sad'");
    add_at(T0, "", T0 + 3 * HOUR, LAURA); /* never put off */
    assert_string_equal(col("due_ms"), "1781267061903");
    assert_string_equal(col("name || ' ' || assignee"), "Laura laura@example.org");
    assert_int_equal(
        ask(T0, SH_FX_CALLBACK, "", "{'number':'0301234567','due_at':1781263461903,'reason':'sad'}")
            .outcome,
        SH_RUN_DONE); /* the same number, written otherwise; sooner */
    assert_string_equal(col("due_ms"), "1781263461903");
    assert_string_equal(fired(T0 + HOUR), "callback_due");
    add_at(T0 + HOUR, "", T0 + 5 * HOUR, LAURA);
    assert_string_equal(col("status || due_ms"), "due1781263461903");
    add_at(T0 + HOUR, "", T0, LAURA); /* nor does one that is due move back */
    assert_string_equal(col("status || due_ms"), "due1781263461903");
    assert_string_equal(history(), "scheduled updated updated due updated");
    fired(T0 + HOUR + MISSED);
    assert_string_equal(col("status"), "missed");
    add_at(T0 + 2 * MISSED, "", T0 + 3 * MISSED, LAURA); /* one that was missed is over */
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_callbacks"), "2");
    add_at(T0, "", T0 + 2 * HOUR, ",'reason':'other'");
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_callbacks"), "3");
}

static void test_what_is_not_the_same(void **state)
{
    (void)state;
    static const char *const docs[] = {"{'number':'anonymous','due_at':1781263461903}",
                                       "{'number':'anonymous','due_at':1781263461903}",
                                       "{'number':'1','due_at':1781263461903}"};
    for (int i = 0; i < 3; i++)
        ask(T0, SH_FX_CALLBACK, "", docs[i]);
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_callbacks"), "3");
    change(T0, "{'do':'done','number':'1'}");
    ask(T0, SH_FX_CALLBACK, "", docs[2]); /* the first is closed */
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_callbacks"), "4");
}

static void test_by_key(void **state)
{
    (void)state;
    add_at(T0, "ticket 5", T0 + HOUR, LAURA);
    char id[64];
    snprintf(id, sizeof(id), "%s", col("id"));
    add_at(T0, "ticket 5", T0 + 4 * HOUR, ",'reason':'very sad'"); /* as it says, also later */
    assert_string_equal(col("id"), id);
    assert_string_equal(col("due_ms"), "1781274261903");
    assert_string_equal(col("reason || own_key || sequence"), "very sadticket 51");
    assert_string_equal(fired(T0 + 4 * HOUR), "callback_due");
    assert_true(in_body("key", "ticket 5"));
    add_at(T0 + 4 * HOUR, "ticket 5", T0 + 6 * HOUR, ""); /* due, and to be later after all */
    assert_string_equal(col("status"), "scheduled");
    assert_string_equal(mails(), "REQUEST 1 laura@example.org; REQUEST 2 laura@example.org");
    add_at(T0 + 4 * HOUR, "ticket 5", T0 + 6 * HOUR, "");
    assert_string_equal(col("sequence"), "2"); /* nothing new */
    change(T0 + 5 * HOUR, "{'do':'done','key':'ticket 5'}");
    assert_string_equal(col("status"), "done");
    add_at(T0 + 5 * HOUR, "ticket 5", T0 + 9 * HOUR, LAURA); /* starts again */
    assert_string_equal(col("status || id"), (strcpy(body, "scheduled"), strcat(body, id)));
    assert_string_equal(col("closed_ms IS NULL AND sequence > 3"), "1");
}

/* --- closed, put off, handed over ------------------------------------------------------------- */

static void test_done(void **state)
{
    (void)state;
    char doc[200];
    add_at(T0, "", T0 + HOUR, LAURA);
    fired(T0 + HOUR);
    snprintf(doc, sizeof(doc), "{'do':'done','id':'%s','note':'spoke to \\'her\\''}", col("id"));
    for (char *p = doc; *p; p++) /* keep the note free of quotes */
        if (*p == '\\')
            p[0] = p[1] = ' ';
    struct outcome o = change(T0 + 2 * HOUR, doc);
    assert_int_equal(o.n_timed, 1);
    assert_int_equal(o.n_queued, 0); /* it took place: nothing to cancel */
    assert_string_equal(col("status || closed_ms"), "done1781267061903");
    assert_string_equal(fired(T0 + 2 * HOUR), "callback_done");
    assert_true(in_body("by", "the rule"));
    assert_true(in_body("status", "done"));
    assert_false(in_body("note", NULL));
    change(T0 + 3 * HOUR, doc); /* closed: left alone */
    assert_string_equal(col("closed_ms"), "1781267061903");
    assert_string_equal(fired(T0 + 1000 * MISSED), "");
    assert_string_equal(history(), "scheduled due done");
}

static void test_snooze_and_done_before_its_time(void **state)
{
    (void)state;
    add_at(T0, "", T0 + HOUR, LAURA);
    fired(T0 + HOUR);
    change(T0 + HOUR, "{'do':'snooze','number':'0301234567','due_at':1781274261903}"); /* +4 h */
    assert_string_equal(col("status || due_ms"), "snoozed1781274261903");
    assert_string_equal(fired(T0 + HOUR), "callback_snoozed");
    assert_string_equal(fired(T0 + 2 * HOUR), "");
    assert_string_equal(mails(), "REQUEST 0 laura@example.org; REQUEST 1 laura@example.org");
    change(T0 + 2 * HOUR, "{'do':'done','number':'030-1234567'}");
    assert_string_equal(mails(), "REQUEST 0 laura@example.org; REQUEST 1 laura@example.org;"
                                 " CANCEL 2 laura@example.org");
    assert_string_equal(kit_sql(&k, "SELECT count(DISTINCT json_extract(payload,"
                                    " '$.invitation.uid')) FROM sh_outbox"),
                        "1");
    assert_string_equal(fired(T0 + 5 * HOUR), "callback_done");
}

static void test_due_again_after_a_snooze(void **state)
{
    (void)state;
    add_at(T0, "", T0 + HOUR, LAURA);
    fired(T0 + HOUR);
    fired(T0 + HOUR + MISSED);
    change(T0 + 30 * HOUR, "{'do':'snooze','number':'0301234567','due_at':1781374261903}");
    fired(T0 + 30 * HOUR);
    assert_string_equal(fired(1781374261903), "callback_due");
    assert_int_equal(n_mails, 1); /* a reminder under a key of its own */
    assert_string_equal(fired(1781374261903 + MISSED), "callback_missed");
    assert_string_equal(history(), "scheduled due missed snoozed due missed");
}

static void test_cancel(void **state)
{
    (void)state;
    add_at(T0, "a", T0 + HOUR, LAURA);
    change(T0, "{'do':'cancel','key':'a'}");
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_outbox"), "0"); /* none was invited */
    assert_string_equal(fired(T0 + 2 * HOUR), "callback_cancelled");
    add_at(T0 + 2 * HOUR, "a", T0 + 3 * HOUR, LAURA);
    assert_string_equal(fired(T0 + 3 * HOUR), "callback_due");
    change(T0 + 4 * HOUR, "{'do':'cancel','key':'a'}");
    assert_string_equal(mails(), "REQUEST 2 laura@example.org; CANCEL 3 laura@example.org");
    assert_string_equal(col("status || (invited_to IS NULL)"), "cancelled1");
}

static void test_reassign(void **state)
{
    (void)state;
    add_at(T0, "a", T0 + HOUR, LAURA);
    change(T0, "{'do':'reassign','key':'a','assignee':'joris@example.org'}");
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_outbox"), "0");
    assert_string_equal(fired(T0 + HOUR), "callback_reassigned callback_due");
    change(T0 + HOUR, "{'do':'reassign','key':'a','assignee':'anna@example.org'}");
    assert_string_equal(mails(), "REQUEST 1 joris@example.org; CANCEL 2 joris@example.org;"
                                 " REQUEST 2 anna@example.org");
    assert_string_equal(col("status"), "due");
    change(T0 + HOUR, "{'do':'reassign','key':'a','assignee':'desk 5'}");
    assert_string_equal(mails(), "REQUEST 1 joris@example.org; CANCEL 2 joris@example.org;"
                                 " REQUEST 2 anna@example.org; CANCEL 3 anna@example.org");
    change(T0 + HOUR, "{'do':'reassign','key':'a','assignee':'anna@example.org'}");
    assert_string_equal(col("invited_to || sequence"), "anna@example.org4");
    static const char *const texts[] = {"Please call Laura (030 123 45 67)",
                                        "Somebody else is now to call", "Please call",
                                        "Somebody else is now to call", "Please call"};
    check_mails(texts, 5);
}

static void test_answered(void **state)
{
    (void)state;
    add_at(T0, "a", T0 + HOUR, ",'completes':'answered'");
    add_at(T0, "b", T0 + HOUR, ",'reason':'another matter'");
    struct outcome o = change(T0, "{'do':'answered','number':'+9999'}");
    assert_int_equal(o.n_timed, 0);
    o = change(T0, "{'do':'answered','number':'0301234567'}");
    assert_int_equal(o.n_timed, 1);
    assert_string_equal(kit_sql(&k, "SELECT group_concat(status, ' ') FROM"
                                    " (SELECT status FROM sh_callbacks ORDER BY own_key)"),
                        "done scheduled");
    change(T0, "{'do':'answered','number':''}");
    change(T0, "{'do':'done','key':'no such key'}");
    assert_string_equal(fired(T0), "callback_done");
}

static void test_circles_end(void **state)
{
    (void)state;
    const struct sh_effect near_one =
        kit_leave(SH_FX_CALLBACK, "", "{\"number\":\"1\",\"due_at\":1781259861904}");
    assert_int_equal(settle_at(T0, SH_MAX_EMIT_DEPTH, &near_one, 1).outcome, SH_RUN_DEAD);
    const struct sh_effect far_one =
        kit_leave(SH_FX_CALLBACK, "", "{\"number\":\"1\",\"due_at\":1781263461903}");
    assert_int_equal(settle_at(T0, SH_MAX_EMIT_DEPTH, &far_one, 1).outcome, SH_RUN_DONE);
    const struct sh_effect snooze = kit_leave(
        SH_FX_CALLBACK_DO, "", "{\"do\":\"snooze\",\"number\":\"1\",\"due_at\":1781263461904}");
    assert_int_equal(settle_at(T0, SH_MAX_EMIT_DEPTH, &snooze, 1).outcome, SH_RUN_DEAD);
    assert_int_equal(settle_at(T0, 3, &snooze, 1).outcome, SH_RUN_DONE);
    struct sh_op_fire op = {.op.kind = SH_OP_FIRE, .now_ms = T0, .limit = 10};
    assert_true(kit_run(&k, &op.op));
    assert_int_equal(op.n_emitted, 1);
    assert_int_equal(op.emitted[0]->depth, 4);
    const struct sh_effect soon = kit_leave(
        SH_FX_CALLBACK_DO, "", "{\"do\":\"snooze\",\"number\":\"1\",\"due_at\":1781259861904}");
    assert_int_equal(settle_at(T0, 3, &soon, 1).outcome, SH_RUN_DONE);
    op.now_ms = T0 + 1; /* callback_snoozed, and callback_due after it */
    assert_true(kit_run(&k, &op.op));
    assert_int_equal(op.n_emitted, 2);
    assert_string_equal(op.emitted[1]->type, "callback_due");
    assert_int_equal(op.emitted[1]->depth, 4);
    sh_op_fire_clear(&op);
}

static void test_local_time_again(void **state)
{
    (void)state;
    add_at(T0, "", 1792911600000LL, /* 2026-10-25T07:00Z, an hour off */
           LAURA ",'due_local':'2026-10-25T09:00:00','zone':'Europe/Amsterdam'");
    struct sh_op_clocks op = {.op.kind = SH_OP_CLOCKS, .now_ms = T0};
    assert_true(kit_run(&k, &op.op));
    assert_string_equal(col("due_ms || ' ' || sequence"), "1792915200000 1");
    assert_true(kit_run(&k, &op.op));
    assert_string_equal(col("sequence"), "1");
}

/* A snooze to a time of day keeps it too, from a rule and from a person; one by hours has none. */
static void test_snooze_to_a_local_time(void **state)
{
    (void)state;
    add_at(T0, "", T0 + HOUR, LAURA);
    change(T0, "{'do':'snooze','number':'0301234567','due_at':1792911600000,"
               "'due_local':'2026-10-25T09:00:00','zone':'Europe/Amsterdam'}");
    struct sh_op_clocks op = {.op.kind = SH_OP_CLOCKS, .now_ms = T0};
    assert_true(kit_run(&k, &op.op));
    assert_string_equal(col("due_ms || ' ' || local"), "1792915200000 2026-10-25T09:00:00");
    struct sh_op_callback hand = person(col("id"), SH_CALLBACK_SNOOZE);
    hand.due_ms = 4102444800000LL; /* 2100-01-01T00:00Z */
    hand.due_local = "2100-01-01T09:00:00";
    hand.zone = "Asia/Kathmandu";
    assert_true(kit_run(&k, &hand.op));
    assert_true(kit_run(&k, &op.op));
    assert_string_equal(col("due_ms || ' ' || zone"), "4102456500000 Asia/Kathmandu");
    change(T0, "{'do':'snooze','number':'0301234567','due_at':1792911600000}");
    assert_true(kit_run(&k, &op.op));
    assert_string_equal(col("due_ms || coalesce(local, ' none')"), "1792911600000 none");
}

/* --- people ---------------------------------------------------------------------------------- */

static void test_a_person(void **state)
{
    (void)state;
    char prefix[7];
    const int64_t now = sh_now_ms();
    add_at(now, "", now + HOUR, LAURA);
    snprintf(prefix, sizeof(prefix), "%s", col("id"));
    struct sh_op_callback op = person(prefix, SH_CALLBACK_SNOOZE);
    op.due_ms = now - 1;
    assert_false(kit_run(&k, &op.op));
    assert_non_null(strstr(op.op.err.msg, "expected a time after now"));
    op.due_ms = now + 5 * HOUR;
    op.by = "joris";
    assert_true(kit_run(&k, &op.op));
    assert_string_equal(col("status"), "snoozed");
    assert_string_equal(fired(sh_now_ms()), "callback_snoozed");
    assert_true(in_body("by", "joris"));
    op = person(prefix, SH_CALLBACK_REASSIGN);
    assert_false(kit_run(&k, &op.op));
    op.assignee = "joris@example.org";
    assert_true(kit_run(&k, &op.op));
    op = person(prefix, SH_CALLBACK_DONE);
    op.note = "spoke";
    assert_true(kit_run(&k, &op.op));
    assert_string_equal(col("status || note"), "donespoke");
    assert_string_equal(fired(sh_now_ms()), "callback_reassigned callback_done");
    assert_true(in_body("by", "person"));
    op = person(prefix, SH_CALLBACK_SNOOZE);
    op.due_ms = now + HOUR;
    assert_false(kit_run(&k, &op.op));
    assert_int_equal(op.op.err.code, SH_ECONFLICT);
    assert_non_null(strstr(op.op.err.msg, col("id")));
    assert_non_null(strstr(op.op.err.msg, "is done"));
}

/* A terminal hands over any bytes. */
static void test_a_person_with_bytes_that_are_no_text(void **state)
{
    (void)state;
    const int64_t now = sh_now_ms();
    add_at(now, "", now + HOUR, LAURA);
    for (int i = 0; i < 3; i++) {
        struct sh_op_callback op = person(col("id"), SH_CALLBACK_REASSIGN);
        op.assignee = i == 0 ? "\xff@example.org" : "joris@example.org";
        op.note = i == 1 ? "caf\xe9" : "";
        op.by = i == 2 ? "\xc3" : "joris";
        assert_false(kit_run(&k, &op.op));
        assert_int_equal(op.op.err.code, SH_EINVAL);
        assert_non_null(strstr(op.op.err.msg, "UTF-8"));
    }
    assert_string_equal(col("assignee || sequence"), "laura@example.org0");
    struct sh_op_feed_new feed = {.op.kind = SH_OP_FEED_NEW, .assignee = "\xff@example.org"};
    assert_false(kit_run(&k, &feed.op));
}

static void test_which_one(void **state)
{
    (void)state;
    const int64_t now = sh_now_ms();
    add_at(now, "a", now + HOUR, "");
    add_at(now, "b", now + HOUR, "");
    kit_sql(&k, "UPDATE sh_callbacks SET id = 'abcdef' || substr(id, 7)");
    struct sh_op_callback op = person("abcdef", SH_CALLBACK_DONE);
    assert_false(kit_run(&k, &op.op));
    assert_int_equal(op.op.err.code, SH_EINVAL);
    assert_non_null(strstr(op.op.err.msg, "more than one"));
    op = person("abcde", SH_CALLBACK_DONE);
    assert_false(kit_run(&k, &op.op));
    assert_non_null(strstr(op.op.err.msg, "6 or more"));
    op = person("ffffff", SH_CALLBACK_DONE);
    assert_false(kit_run(&k, &op.op));
    assert_int_equal(op.op.err.code, SH_ENOTFOUND);
    char id[64];
    snprintf(id, sizeof(id), "%s", kit_sql(&k, "SELECT min(id) FROM sh_callbacks"));
    op = person(id, SH_CALLBACK_DONE);
    assert_true(kit_run(&k, &op.op));
}

/* Beside a running engine a person's change reaches the rules through the engine. */
static void test_beside_an_engine(void **state)
{
    (void)state;
    char id[64];
    const int64_t now = sh_now_ms();
    struct sh_error err = {0};
    add_at(now - 2 * HOUR, "", now - HOUR, LAURA);
    assert_string_equal(fired(now), "callback_due");
    snprintf(id, sizeof(id), "%s", col("id"));
    struct kit engine = k;
    struct sh_store_config shared = config;
    shared.shared = true;
    shared.callback_email = false; /* what was sent must be taken back all the same */
    k.s = sh_store_open(&shared, &err);
    if (!k.s)
        fail_msg("open: %s", err.msg);
    struct sh_op_callback op = person(id, SH_CALLBACK_CANCEL);
    assert_true(kit_run(&k, &op.op));
    assert_int_equal(op.n_queued, 1);
    struct sh_op_feed_new feed = {.op.kind = SH_OP_FEED_NEW, .assignee = "laura@example.org"};
    assert_true(kit_run(&k, &feed.op));
    struct sh_op_fire fire = {.op.kind = SH_OP_FIRE, .now_ms = now + HOUR, .limit = 10};
    assert_false(kit_run(&k, &fire.op));
    sh_store_close(k.s);
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_events WHERE type ="
                                    " 'callback_cancelled'"),
                        "0");
    k.s = engine.s;
    assert_string_equal(fired(sh_now_ms()), "callback_cancelled");
    assert_string_equal(mails(), "REQUEST 0 laura@example.org; CANCEL 1 laura@example.org");
}

/* --- feeds
 * ------------------------------------------------------------------------------------------ */

static const char *token_of(const char *assignee, bool renew)
{
    static char token[44];
    struct sh_op_feed_new op = {.op.kind = SH_OP_FEED_NEW, .assignee = assignee, .renew = renew};
    if (!kit_run(&k, &op.op))
        fail_msg("feed: %s", op.op.err.msg);
    assert_int_equal(strlen(op.token), 43);
    assert_int_equal(strspn(op.token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                      "0123456789-_"),
                     43);
    strcpy(token, op.token);
    return token;
}

static int count_of(const char *text, const char *what)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, what)); p++)
        n++;
    return n;
}

static void test_feed(void **state)
{
    (void)state;
    const int64_t now = sh_now_ms();
    add_at(now, "a", now + HOUR, LAURA);
    add_at(now, "b", now + HOUR, ",'reason':'r','assignee':'Laura@Example.org'");
    add_at(now, "c", now + HOUR, ",'reason':'c','assignee':'joris@example.org'");
    add_at(now, "d", now + HOUR, ",'reason':'d','assignee':'laura@example.org'");
    change(now, "{'do':'cancel','key':'b'}");
    change(now - 31 * MISSED, "{'do':'done','key':'d'}"); /* closed too long ago */
    struct sh_op_feed op = {.op.kind = SH_OP_FEED, .token = token_of("LAURA@example.org", false)};
    assert_true(kit_run(&k, &op.op));
    assert_string_equal(op.assignee, "LAURA@example.org");
    const char *text = op.calendar.data;
    assert_int_equal(count_of(text, "BEGIN:VEVENT"), 2);
    assert_int_equal(count_of(text, "STATUS:CANCELLED"), 1);
    assert_int_equal(count_of(text, "METHOD:PUBLISH"), 1);
    assert_int_equal(count_of(text, "@switchhook"), 2);
    free(op.assignee);
    sh_buf_free(&op.calendar);
}

/* One that no calendar can show, and more than fit: the feed shows the others. */
static void test_feed_shows_what_it_can(void **state)
{
    (void)state;
    const int64_t now = sh_now_ms();
    add_at(now, "a", now + HOUR, LAURA);
    add_at(now, "b", 253402300799000LL, LAURA); /* ends in the year 10000 */
    struct sh_op_feed op = {.op.kind = SH_OP_FEED, .token = token_of("laura@example.org", false)};
    assert_true(kit_run(&k, &op.op));
    assert_int_equal(count_of(op.calendar.data, "BEGIN:VEVENT"), 1);
    free(op.assignee);
    sh_buf_free(&op.calendar);
    kit_sql(&k, "UPDATE sh_callbacks SET reason = hex(zeroblob(7000)) WHERE own_key = 'a'");
    kit_sql(&k, "UPDATE sh_callbacks SET number = '0' WHERE own_key = 'b'");
    for (int i = 0; i < 9; i++) { /* 2^9 */
        static const char copy[] =
            "INSERT INTO sh_callbacks SELECT NULL, hex(randomblob(16)), NULL, number, digits, name,"
            " due_ms, local, zone, assignee, reason, status, note, completes, minutes, email,"
            " sequence, invited_to, event_id, event_key, rule, depth, created_ms, updated_ms,"
            " told_ms, closed_ms, trace FROM sh_callbacks WHERE number <> '0'";
        kit_sql(&k, copy);
    }
    assert_true(kit_run(&k, &op.op));
    assert_in_range(count_of(op.calendar.data, "BEGIN:VEVENT"), 150, 300);
    assert_int_equal(count_of(op.calendar.data, "END:VCALENDAR"), 1);
    free(op.assignee);
    sh_buf_free(&op.calendar);
}

static void test_feed_addresses(void **state)
{
    (void)state;
    char first[44];
    strcpy(first, token_of("a@example.org", false));
    assert_string_equal(token_of("A@example.org", false), first);
    assert_string_not_equal(token_of("b@example.org", false), first);
    struct sh_op_feed op = {.op.kind = SH_OP_FEED, .token = first};
    assert_true(kit_run(&k, &op.op)); /* nothing in it yet */
    assert_non_null(op.assignee);
    assert_int_equal(count_of(op.calendar.data, "BEGIN:VCALENDAR"), 1);
    free(op.assignee);
    sh_buf_free(&op.calendar);
    assert_string_not_equal(token_of("a@example.org", true), first);
    assert_true(kit_run(&k, &op.op)); /* the old address is none any more */
    assert_null(op.assignee);
    sh_buf_free(&op.calendar);
    assert_string_not_equal(token_of("new@example.org", true), first);
}

/* --- rows for people
 * ----------------------------------------------------------------------------------- */

static void test_list(void **state)
{
    (void)state;
    char id[64];
    add_at(T0, "", T0 + HOUR, LAURA ",'completes':'answered'");
    snprintf(id, sizeof(id), "%s", col("id"));
    struct sh_list_query q = {.what = SH_LIST_CALLBACKS, .state = "open"};
    assert_int_equal(kit_list_size(&k, q), 1);
    fired(T0 + HOUR);
    assert_int_equal(kit_list_size(&k, q), 1);
    fired(T0 + HOUR + MISSED);
    assert_int_equal(kit_list_size(&k, q), 1);
    q.state = "missed";
    assert_int_equal(kit_list_size(&k, q), 1);
    change(T0 + HOUR, "{'do':'done','number':'0301234567','note':'spoke'}");
    q.state = "open";
    assert_int_equal(kit_list_size(&k, q), 0);
    cJSON *rows = kit_list(&k, (struct sh_list_query){.what = SH_LIST_CALLBACKS});
    assert_null(sh_json_member(cJSON_GetArrayItem(rows, 0), "history"));
    assert_string_equal(sh_json_string(cJSON_GetArrayItem(rows, 0), "note"), "spoke");
    cJSON_Delete(rows);
    rows = kit_list(&k, (struct sh_list_query){.what = SH_LIST_CALLBACKS, .id = id});
    const cJSON *row = cJSON_GetArrayItem(rows, 0);
    assert_string_equal(sh_json_string(row, "rule"), "the rule");
    assert_string_equal(sh_json_string(row, "completes"), "answered");
    assert_string_equal(sh_json_string(row, "created_at"), "2026-06-12T10:24:21.903Z");
    const cJSON *h = sh_json_member(row, "history");
    assert_int_equal(cJSON_GetArraySize(h), 4);
    h = cJSON_GetArrayItem(h, 3);
    assert_string_equal(sh_json_string(h, "at"), "2026-06-12T11:24:21.903Z");
    assert_string_equal(sh_json_string(h, "what"), "done");
    assert_string_equal(sh_json_string(h, "by"), "the rule");
    assert_string_equal(sh_json_string(h, "detail"), "spoke");
    cJSON_Delete(rows);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_numbers),
        T(test_due),
        T(test_email_only_where_wanted),
        T(test_texts_from_outside),
        T(test_oldest_first),
        T(test_missed),
        T(test_never_missed_without_the_setting),
        T(test_bad_documents),
        T(test_same_number_and_reason),
        T(test_what_is_not_the_same),
        T(test_by_key),
        T(test_done),
        T(test_snooze_and_done_before_its_time),
        T(test_due_again_after_a_snooze),
        T(test_cancel),
        T(test_reassign),
        T(test_answered),
        T(test_circles_end),
        T(test_local_time_again),
        T(test_snooze_to_a_local_time),
        T(test_a_person),
        T(test_a_person_with_bytes_that_are_no_text),
        T(test_which_one),
        T(test_beside_an_engine),
        T(test_feed),
        T(test_feed_shows_what_it_can),
        T(test_feed_addresses),
        T(test_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
