/* SPDX-License-Identifier: MIT
 * test_store.c: every operation of the store on real files, without threads. */
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

static const char *member(const cJSON *rows, int i, const char *name)
{
    const char *s = sh_json_string(cJSON_GetArrayItem(rows, i), name);
    return s ? s : "(none)";
}

/* --- accept ------------------------------------------------------------------ */

static void test_accept(void **state)
{
    (void)state;
    struct sh_id a = kit_accept(&k, "one"), b = kit_accept(&k, "two");
    assert_true(sh_id_order(a) < sh_id_order(b));
    struct sh_op_accept again = {.op.kind = SH_OP_ACCEPT, .event = kit_event("k", "one", "{}")};
    assert_true(kit_run(&k, &again.op));
    assert_true(again.duplicate);
    assert_true(sh_id_eq(again.first_id, a));
    sh_event_free(again.event);
    assert_int_equal(kit_count(&k).unfinished, 2);
    struct stat st;
    assert_int_equal(stat(k.dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void test_accept_same_id_other_source(void **state)
{
    (void)state;
    kit_accept(&k, "one");
    struct sh_op_accept op = {.op.kind = SH_OP_ACCEPT, .event = kit_event("k", "one", "{}")};
    free(op.event->source);
    op.event->source = sh_strdup("other");
    assert_true(kit_run(&k, &op.op));
    assert_false(op.duplicate);
    sh_event_free(op.event);
}

static void list_of(struct sh_op **ops, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ops[i]->next = i + 1 < n ? ops[i + 1] : NULL;
}

static void test_duplicate_within_batch(void **state)
{
    (void)state;
    struct sh_op_accept a[3];
    struct sh_op *ops[3];
    for (int i = 0; i < 3; i++) {
        a[i] = (struct sh_op_accept){.op.kind = SH_OP_ACCEPT,
                                     .event = kit_event("k", i == 1 ? "y" : "x", "{}")};
        ops[i] = &a[i].op;
    }
    list_of(ops, 3);
    sh_store_batch(k.s, ops[0]);
    assert_true(a[0].op.ok && a[1].op.ok && a[2].op.ok);
    assert_false(a[0].duplicate || a[1].duplicate);
    assert_true(a[2].duplicate);
    assert_true(sh_id_eq(a[2].first_id, a[0].event->id));
    for (int i = 0; i < 3; i++)
        sh_event_free(a[i].event);
}

/* A refused run takes the block of record versions back with it that it was the first to reserve.
 */
static void test_refused_run_keeps_versions_reserved(void **state)
{
    (void)state;
    struct kit_settle s;
    kit_settle_init(&s, kit_accept(&k, "v"));
    kit_add_run(&s, "bad", SH_RUN_DONE);
    kit_fx(&s, kit_put("stats", "t", "{\"n\":\"text\"}"));
    kit_fx(&s, kit_incr("stats", "t", "n", 1));
    assert_true(kit_run(&k, &s.op.op));
    assert_int_equal(s.runs[0].outcome, SH_RUN_DEAD);
    kit_settle_free(&s);
    assert_int_equal(kit_apply(&k, kit_put("stats", "t", "{}"), NULL, 0), SH_RUN_DONE);
    struct sh_error err;
    int64_t reserved = 0;
    sqlite3_stmt *st = sh_sqlite_prepare(
        k.s->w.db, "SELECT value FROM sh_meta WHERE name = 'record_versions'", &err);
    assert_non_null(st);
    assert_true(sh_sqlite_int(st, &reserved, &err));
    sqlite3_finalize(st);
    assert_true(reserved >= (int64_t)k.s->version);
}

static void test_refused_op_spares_companions(void **state)
{
    (void)state;
    struct sh_op_accept a[3];
    struct sh_op *ops[3];
    for (int i = 0; i < 3; i++) {
        char dedupe[32];
        snprintf(dedupe, sizeof(dedupe), "d%d", i);
        a[i] =
            (struct sh_op_accept){.op.kind = SH_OP_ACCEPT, .event = kit_event("k", dedupe, "{}")};
        ops[i] = &a[i].op;
    }
    free(a[1].event->type);
    a[1].event->type = NULL;
    list_of(ops, 3);
    sh_store_batch(k.s, ops[0]);
    assert_true(a[0].op.ok && a[2].op.ok);
    assert_false(a[1].op.ok);
    assert_int_equal(a[1].op.err.code, SH_EINVAL);
    assert_int_equal(kit_count(&k).unfinished, 2);
    for (int i = 0; i < 3; i++)
        sh_event_free(a[i].event);
}

/* --- dedupe ids on their way to the large index --- */

enum { IDS = 1500 };

static bool is_duplicate(int i, struct sh_id *id)
{
    char dedupe[32];
    snprintf(dedupe, sizeof(dedupe), "id-%d", i);
    struct sh_op_accept op = {.op.kind = SH_OP_ACCEPT, .event = kit_event("k", dedupe, "{}")};
    op.event->received_ms = 1000 + i;
    assert_true(kit_run(&k, &op.op));
    *id = op.duplicate ? op.first_id : op.event->id;
    sh_event_free(op.event);
    return op.duplicate;
}

static void reopen_small(void)
{
    kit_close(&k);
    kit_open(&k);
    k.s->dedupe_move_at = 100;
}

/* An accept that joins a batch which must be done again. */
static void accept_beside_refused(int i)
{
    char dedupe[32];
    snprintf(dedupe, sizeof(dedupe), "id-%d", i);
    struct sh_op_accept good = {.op.kind = SH_OP_ACCEPT, .event = kit_event("k", dedupe, "{}")};
    struct sh_op_accept bad = {.op.kind = SH_OP_ACCEPT, .event = kit_event("k", "bad", "{}")};
    free(bad.event->key);
    bad.event->key = NULL;
    good.op.next = &bad.op;
    good.event->received_ms = 1000 + i;
    bad.op.next = NULL;
    sh_store_batch(k.s, &good.op);
    assert_true(good.op.ok && !good.duplicate && !bad.op.ok);
    sh_event_free(good.event);
    sh_event_free(bad.event);
}

static void check_dedupe_tables(void)
{
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_events WHERE seq NOT IN (SELECT seq"
                                    " FROM sh_dedupe UNION SELECT seq FROM sh_dedupe_new)"),
                        "0");
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM (SELECT seq FROM sh_dedupe UNION SELECT"
                                    " seq FROM sh_dedupe_new) WHERE seq NOT IN"
                                    " (SELECT seq FROM sh_events)"),
                        "0");
}

static void test_dedupe_moves(void **state)
{
    (void)state;
    static struct sh_id ids[IDS];
    struct sh_id id;
    k.s->dedupe_move_at = 100;
    for (int i = 0; i < IDS; i++) {
        if (i % 7 == 3) {
            accept_beside_refused(i);
            assert_true(is_duplicate(i, &ids[i]));
        } else {
            assert_false(is_duplicate(i, &ids[i]));
        }
        int old = (int)((unsigned)i * 7919u % (unsigned)(i + 1));
        assert_true(is_duplicate(old, &id));
        assert_true(sh_id_eq(id, ids[old]));
        if (i % 137 == 0)
            reopen_small();
    }
    assert_true(atoi(kit_sql(&k, "SELECT count(*) FROM sh_dedupe")) > IDS / 2);
    assert_true(atoi(kit_sql(&k, "SELECT count(*) FROM sh_dedupe_new")) < 500);
    check_dedupe_tables();
    for (int i = 0; i < IDS; i++) {
        assert_true(is_duplicate(i, &id));
        assert_true(sh_id_eq(id, ids[i]));
    }
}

/* Pruned ones are new again wherever their dedupe ids were, and leave nothing behind. */
static void test_dedupe_moves_and_prune(void **state)
{
    (void)state;
    static struct sh_id ids[IDS];
    struct sh_id id;
    k.s->dedupe_move_at = 100;
    for (int i = 0; i < IDS; i++) {
        assert_false(is_duplicate(i, &ids[i]));
        if (i % 3 == 0) { /* finished, so that it may go */
            struct kit_settle s;
            kit_settle_init(&s, ids[i]);
            assert_true(kit_run(&k, &s.op.op));
            kit_settle_free(&s);
        }
        if (i % 50 == 49) {
            struct sh_op_prune op = {
                .op.kind = SH_OP_PRUNE, .before_ms = sh_now_ms() + 1000, .limit = 100};
            assert_true(kit_run(&k, &op.op));
            assert_true(op.removed == 16 || op.removed == 17);
        }
    }
    check_dedupe_tables();
    for (int i = 0; i < IDS; i++) {
        bool gone = i % 3 == 0;
        assert_int_equal(is_duplicate(i, &id), !gone);
        assert_int_equal(sh_id_eq(id, ids[i]), !gone);
        assert_true(is_duplicate(i, &id));
    }
    check_dedupe_tables();
}

/* --- effects ----------------------------------------------------------------- */

static void test_put_patch_delete(void **state)
{
    (void)state;
    assert_int_equal(kit_apply(&k, kit_put("calls", "x", "{\"a\":1,\"b\":{\"c\":2}}"), NULL, 0),
                     SH_RUN_DONE);
    assert_string_equal(kit_doc(&k, "calls", "x"), "{\"a\":1,\"b\":{\"c\":2}}");
    kit_apply(&k, kit_patch("calls", "x", "{\"a\":null,\"b\":{\"d\":3},\"e\":[null]}"), NULL, 0);
    assert_string_equal(kit_doc(&k, "calls", "x"), "{\"b\":{\"c\":2,\"d\":3},\"e\":[null]}");
    kit_apply(&k, kit_delete("calls", "x"), NULL, 0);
    assert_string_equal(kit_doc(&k, "calls", "x"), "");
    kit_apply(&k, kit_patch("calls", "y", "{\"n\":null,\"o\":{\"p\":null,\"q\":1}}"), NULL, 0);
    assert_string_equal(kit_doc(&k, "calls", "y"), "{\"o\":{\"q\":1}}");
}

static void merged(const char *target, const char *patch, const char *expected)
{
    struct sh_buf b;
    sh_buf_init(&b, 1 << 20);
    sh_doc_merge(&b, sh_slice_str(target), sh_slice_str(patch));
    assert_string_equal(b.data, expected);
    sh_buf_free(&b);
}

/* The examples of RFC 7396, appendix A, whose patch is an object, and texts that must survive. */
static void test_merge(void **state)
{
    (void)state;
    merged("{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}");
    merged("{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}");
    merged("{\"a\":\"b\"}", "{\"a\":null}", "{}");
    merged("{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}");
    merged("{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}");
    merged("{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}");
    merged("{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}");
    merged("{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}");
    merged("[\"a\",\"b\"]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}");
    merged("{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}");
    merged("[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}");
    merged("{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}");
    merged("{\"n\":9223372036854775807}", "{\"m\":-9223372036854775808}",
           "{\"n\":9223372036854775807,\"m\":-9223372036854775808}");
    merged(" { \"a\" : 0.10 , \"b\\\"}\" : [ \"x,]\" ] } ", "{\"c\" : 1e400}",
           "{\"a\":0.10,\"b\\\"}\":[ \"x,]\" ],\"c\":1e400}");
    merged("{\"caf\\u00e9\":1}", "{\"café\":2}", "{\"caf\\u00e9\":2}");
    merged("{\"café\":1}", "{\"caf\\u00e9\":null}", "{}");
    merged("{\"a\":5}", "{\"a\":{\"x\":null}}", "{\"a\":{}}");
}

/* Against SQLite's own json_patch, with names enough for the hash table. */
static void test_merge_many(void **state)
{
    (void)state;
    struct sh_buf t, p, out;
    sh_buf_init(&t, 1 << 20);
    sh_buf_init(&p, 1 << 20);
    sh_buf_init(&out, 1 << 20);
    for (int i = 0; i < 500; i++) {
        sh_buf_addf(&t, "%c\"f%d\":{\"v\":%d,\"w\":\"\\\"\\\\\"}", i ? ',' : '{', i * 2, i);
        sh_buf_addf(&p, "%c\"f%d\":%s", i ? ',' : '{', i * 3,
                    i % 3 == 0   ? "null"
                    : i % 3 == 1 ? "{\"v\":null,\"z\":{\"y\":null}}"
                                 : "[1,{\"q\":null}]");
    }
    sh_buf_adds(&t, "}");
    sh_buf_adds(&p, "}");
    sh_doc_merge(&out, sh_slice(t.data, t.len), sh_slice(p.data, p.len));
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_prepare_v2(k.s->w.db, "SELECT json_patch(?1, ?2)", -1, &st, NULL), 0);
    sqlite3_bind_text(st, 1, t.data, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, p.data, -1, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_string_equal(out.data, (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    sh_buf_free(&t);
    sh_buf_free(&p);
    sh_buf_free(&out);
}

static void test_incr(void **state)
{
    (void)state;
    kit_apply(&k, kit_incr("stats", "s", "n", 5), NULL, 0);
    kit_apply(&k, kit_incr("stats", "s", "n", -7), NULL, 0);
    assert_string_equal(kit_doc(&k, "stats", "s"), "{\"n\":-2}");
    kit_apply(&k, kit_put("stats", "s", "{\"big\":9223372036854775800, \"x\":1.5}"), NULL, 0);
    kit_apply(&k, kit_incr("stats", "s", "big", 7), NULL, 0);
    assert_string_equal(kit_doc(&k, "stats", "s"), "{\"big\":9223372036854775807, \"x\":1.5}");
    struct sh_effect fx = kit_incr("stats", "s", "x", 0);
    fx.is_int = false;
    fx.n_double = 0.1;
    kit_apply(&k, fx, NULL, 0);
    fx.n_double = 0.4;
    kit_apply(&k, fx, NULL, 0);
    assert_string_equal(kit_doc(&k, "stats", "s"), "{\"big\":9223372036854775807, \"x\":2.0}");
    fx.field = SH_SLICE("a\"b");
    kit_apply(&k, fx, NULL, 0);
    kit_apply(&k, fx, NULL, 0);
    assert_string_equal(kit_doc(&k, "stats", "s"),
                        "{\"big\":9223372036854775807, \"x\":2.0,\"a\\\"b\":0.8}");
}

static void refused(struct sh_effect fx, const char *part)
{
    char error[2048];
    assert_int_equal(kit_apply(&k, fx, error, sizeof(error)), SH_RUN_DEAD);
    if (!strstr(error, part))
        fail_msg("\"%s\" does not say \"%s\"", error, part);
}

static void test_refused_effects(void **state)
{
    (void)state;
    kit_apply(&k, kit_put("stats", "s", "{\"t\":\"many\",\"big\":9223372036854775807}"), NULL, 0);
    refused(kit_incr("stats", "s", "t", 1), "records.incr(\"stats\", \"s\"): field \"t\" holds a "
                                            "string, expected a number: \"many\"");
    refused(kit_incr("stats", "s", "big", 1), "9223372036854775807 + 1 does not fit 64 bits");
    struct sh_effect placed = kit_incr("stats", "s", "big", 1);
    placed.at = SH_SLICE("rules/a.lua:12");
    refused(placed, "rules/a.lua:12: rule \"");
    refused(placed, "\n  hint: a whole number goes up to");
    refused(kit_put("sh_runs", "s", "{}"), "taken");
    refused(kit_put("sqlite_x", "s", "{}"), "taken");
    refused(kit_put("Calls", "s", "{}"), "expected 1 to 64 of a-z");
    refused(kit_delete("a b", "s"), "collection \"a b\"");
    assert_string_equal(kit_doc(&k, "stats", "s"), "{\"t\":\"many\",\"big\":9223372036854775807}");
    assert_int_equal(kit_count(&k).dead_runs, 8);
}

static void test_document_size(void **state)
{
    (void)state;
    struct sh_buf doc;
    sh_buf_init(&doc, 2 << 20);
    sh_buf_adds(&doc, "{\"a\":\"");
    for (int i = 0; i < 600 * 1024; i++)
        sh_buf_addc(&doc, 'x');
    sh_buf_adds(&doc, "\"}");
    assert_int_equal(kit_apply(&k, kit_put("c", "x", doc.data), NULL, 0), SH_RUN_DONE);
    doc.data[2] = 'b';
    refused(kit_patch("c", "x", doc.data), "larger than 1048576 bytes");
    sh_buf_free(&doc);
}

/* --- settle ------------------------------------------------------------------ */

static void test_settle_rows(void **state)
{
    (void)state;
    struct kit_settle s;
    struct sh_id e = kit_accept(&k, "e");
    char id[SH_ID_TEXT];
    kit_settle_init(&s, e);
    kit_add_run(&s, "good", SH_RUN_DONE)->logs = SH_SLICE("[{\"level\":\"info\",\"text\":\"hi\"}]");
    kit_fx(&s, kit_put("calls", "x", "{\"secret\":1}"));
    struct sh_run *retry = kit_add_run(&s, "flaky", SH_RUN_FAILED);
    retry->error = SH_SLICE("rules/a.lua:1: no");
    retry->retry_at_ms = sh_now_ms() + 60000;
    kit_add_run(&s, "hopeless", SH_RUN_FAILED)->attempt = 7;
    kit_add_run(&s, "gone", SH_RUN_GONE);
    assert_true(kit_run(&k, &s.op.op));
    assert_int_equal(s.runs[0].outcome, SH_RUN_DONE);
    assert_int_equal(s.runs[1].outcome, SH_RUN_RETRY);
    assert_int_equal(s.runs[2].outcome, SH_RUN_DEAD);
    assert_int_equal(s.runs[3].outcome, SH_RUN_DEAD);
    cJSON *rows =
        kit_list(&k, (struct sh_list_query){.what = SH_LIST_RUNS, .event_id = sh_id_text(e, id)});
    assert_int_equal(cJSON_GetArraySize(rows), 4);
    char *first = cJSON_PrintUnformatted(cJSON_GetArrayItem(rows, 2));
    char expected[400];
    snprintf(expected, sizeof(expected),
             "{\"event_id\":\"%s\",\"rule\":\"good\",\"generation\":\"0123456789abcdef\","
             "\"outcome\":\"done\",\"attempts\":1,\"effects\":[{\"kind\":\"records.put\","
             "\"collection\":\"calls\",\"id\":\"x\"}],\"error\":null,\"duration_ms\":1.5,"
             "\"logs\":[{\"level\":\"info\",\"text\":\"hi\"}],\"lookups\":[]}",
             id);
    assert_string_equal(first, expected);
    cJSON_free(first);
    cJSON_Delete(rows);
    struct sh_op_count c = kit_count(&k);
    assert_int_equal(c.unfinished, 0);
    assert_int_equal(c.retries, 1);
    assert_int_equal(c.dead_runs, 2);
    rows = kit_list(&k, (struct sh_list_query){.what = SH_LIST_EVENTS});
    assert_string_equal(member(rows, 0, "state"), "stored"); /* something is still to come */
    cJSON_Delete(rows);
    kit_settle_free(&s);
}

static void test_settle_is_atomic(void **state)
{
    (void)state;
    struct kit_settle s;
    kit_apply(&k, kit_put("stats", "t", "{\"n\":\"text\"}"), NULL, 0);
    kit_settle_init(&s, kit_accept(&k, "e"));
    kit_add_run(&s, "before", SH_RUN_DONE);
    kit_fx(&s, kit_put("calls", "before", "{}"));
    kit_add_run(&s, "bad", SH_RUN_DONE);
    kit_fx(&s, kit_put("calls", "undone", "{}"));
    kit_fx(&s, kit_leave(SH_FX_EMIT, "t", "{}"));
    kit_fx(&s, kit_leave(SH_FX_EMAIL, "", "{\"to\":[\"a@example.org\"]}"));
    kit_fx(&s, kit_leave(SH_FX_CALLBACK, "", "{\"number\":\"1\",\"due_at\":1}"));
    kit_fx(&s, kit_incr("stats", "t", "n", 1));
    kit_add_run(&s, "after", SH_RUN_DONE);
    kit_fx(&s, kit_leave(SH_FX_EMIT, "t2", "{\"x\":1}"));
    struct sh_op_accept companion = {.op.kind = SH_OP_ACCEPT, .event = kit_event("k", "c", "{}")};
    struct sh_op *ops[] = {&s.op.op, &companion.op};
    list_of(ops, 2);
    sh_store_batch(k.s, ops[0]);
    assert_true(s.op.op.ok && companion.op.ok);
    assert_int_equal(s.runs[0].outcome, SH_RUN_DONE);
    assert_int_equal(s.runs[1].outcome, SH_RUN_DEAD);
    assert_int_equal(s.runs[2].outcome, SH_RUN_DONE);
    assert_non_null(strstr(s.op.run_errors[1], "expected a number"));
    assert_null(s.op.run_errors[0]);
    assert_string_equal(kit_doc(&k, "calls", "before"), "{}");
    assert_string_equal(kit_doc(&k, "calls", "undone"), "");
    assert_int_equal(s.op.n_emitted, 1);
    assert_string_equal(s.op.emitted[0]->type, "t2");
    assert_int_equal(s.op.n_queued, 0);
    assert_int_equal(kit_list_size(&k, (struct sh_list_query){.what = SH_LIST_CALLBACKS}), 0);
    assert_int_equal(kit_list_size(&k, (struct sh_list_query){.what = SH_LIST_OUTBOX}), 0);
    assert_int_equal(kit_count(&k).unfinished, 2); /* the companion and the emitted one */
    sh_event_free(companion.event);
    kit_settle_free(&s);
}

static void test_late_second_result(void **state)
{
    (void)state;
    struct sh_id e = kit_accept(&k, "e");
    for (int i = 0; i < 2; i++) {
        struct kit_settle s;
        kit_settle_init(&s, e);
        kit_add_run(&s, "adds", SH_RUN_DONE);
        kit_fx(&s, kit_incr("stats", "s", "n", 1));
        kit_saw(&s, kit_get_of("stats", "s"), 0); /* stale the second time: no conflict either */
        assert_true(kit_run(&k, &s.op.op));
        assert_false(s.runs[0].conflict);
        assert_int_equal(s.runs[0].outcome, SH_RUN_DONE);
        kit_settle_free(&s);
    }
    assert_string_equal(kit_doc(&k, "stats", "s"), "{\"n\":1}");
}

/* A failed run that is tried again and succeeds: one row, effects once. */
static void test_retry_then_done(void **state)
{
    (void)state;
    struct sh_id e = kit_accept(&k, "e");
    struct kit_settle s;
    kit_settle_init(&s, e);
    struct sh_run *r = kit_add_run(&s, "flaky", SH_RUN_FAILED);
    r->retry_at_ms = 1000;
    assert_true(kit_run(&k, &s.op.op));
    kit_settle_free(&s);
    struct sh_op_pending due = {.op.kind = SH_OP_RETRIES, .before_ms = 1000, .limit = 10};
    assert_true(kit_run(&k, &due.op));
    assert_int_equal(due.n_items, 1);
    assert_int_equal(due.items[0].attempt, 1);
    assert_string_equal(due.items[0].rules[0], "flaky");
    assert_true(sh_id_eq(due.items[0].event->id, e));
    sh_pending_free(due.items, due.n_items);
    due.before_ms = 999;
    assert_true(kit_run(&k, &due.op));
    assert_int_equal(due.n_items, 0);
    assert_int_equal(due.next_due_ms, 1000);
    kit_settle_init(&s, e);
    r = kit_add_run(&s, "flaky", SH_RUN_DONE);
    r->attempt = 2;
    kit_fx(&s, kit_incr("stats", "s", "n", 1));
    assert_true(kit_run(&k, &s.op.op));
    kit_settle_free(&s);
    assert_int_equal(kit_count(&k).retries, 0);
    assert_string_equal(kit_doc(&k, "stats", "s"), "{\"n\":1}");
    cJSON *rows = kit_list(&k, (struct sh_list_query){.what = SH_LIST_EVENTS});
    assert_string_equal(member(rows, 0, "state"), "done");
    cJSON_Delete(rows);
}

static void test_malformed_runs(void **state)
{
    (void)state;
    struct kit_settle s;
    kit_settle_init(&s, kit_accept(&k, "e"));
    struct sh_run *r = kit_add_run(&s, "liar", SH_RUN_DONE);
    r->n_effects = 2;
    r->effects = SH_SLICE("\x01\xff\xff");
    r = kit_add_run(&s, "liar2", SH_RUN_DONE);
    r->n_reads = 1;
    r->reads = SH_SLICE("\x09");
    r = kit_add_run(&s, "liar3", SH_RUN_DONE);
    r->n_effects = 4000000000u;
    assert_true(kit_run(&k, &s.op.op));
    for (int i = 0; i < 3; i++)
        assert_int_equal(s.runs[i].outcome, SH_RUN_DEAD);
    kit_settle_free(&s);
}

/* --- what leaves the run ----------------------------------------------------- */

static void test_callback(void **state)
{
    (void)state;
    kit_apply(&k,
              kit_leave(SH_FX_CALLBACK, "",
                        "{\"number\":\"030\",\"name\":null,\"due_at\":1781259861903,"
                        "\"assignee\":\"laura@example.org\",\"reason\":\"sad\"}"),
              NULL, 0);
    cJSON *rows = kit_list(&k, (struct sh_list_query){.what = SH_LIST_CALLBACKS});
    assert_int_equal(cJSON_GetArraySize(rows), 1);
    assert_string_equal(member(rows, 0, "number"), "030");
    assert_string_equal(member(rows, 0, "due_at"), "2026-06-12T10:24:21.903Z");
    assert_string_equal(member(rows, 0, "assignee"), "laura@example.org");
    assert_string_equal(member(rows, 0, "status"), "scheduled");
    assert_true(cJSON_IsNull(sh_json_member(cJSON_GetArrayItem(rows, 0), "name")));
    assert_int_equal(strlen(member(rows, 0, "id")), 32);
    cJSON_Delete(rows);
}

static void test_emit(void **state)
{
    (void)state;
    struct sh_id e = kit_accept(&k, "e");
    char cause[SH_ID_TEXT];
    struct kit_settle s;
    kit_settle_init(&s, e);
    s.op.event_depth = 3;
    kit_add_run(&s, "emits", SH_RUN_DONE);
    kit_fx(&s, kit_leave(SH_FX_EMIT, "late_call", "{\"n\":9007199254740993}"));
    struct sh_effect keyed = kit_leave(SH_FX_EMIT, "keyed", "{}");
    keyed.id = SH_SLICE("mine");
    kit_fx(&s, keyed);
    kit_fx(&s, keyed); /* the same key: the same event */
    assert_true(kit_run(&k, &s.op.op));
    assert_int_equal(s.op.n_emitted, 2);
    struct sh_event *out = s.op.emitted[0];
    assert_string_equal(out->source, SH_SOURCE_EMITTED);
    assert_string_equal(out->type, "late_call");
    assert_string_equal(out->key, "k");
    assert_int_equal(out->depth, 5); /* a step for the emit, one for there being two or three */
    assert_string_equal(out->cause, sh_id_text(e, cause));
    assert_string_equal(out->body, "{\"n\":9007199254740993}");
    assert_true(sh_id_order(out->id) > sh_id_order(e));
    struct sh_op_pending p = {.op.kind = SH_OP_PENDING, .limit = 10};
    assert_true(kit_run(&k, &p.op));
    assert_int_equal(p.n_items, 2);
    assert_true(sh_id_eq(p.items[0].event->id, out->id));
    assert_string_equal(p.items[0].event->cause, cause);
    sh_pending_free(p.items, p.n_items);
    kit_settle_free(&s);
}

static void test_emit_too_deep(void **state)
{
    (void)state;
    struct kit_settle s;
    kit_settle_init(&s, kit_accept(&k, "e"));
    s.op.event_depth = SH_MAX_EMIT_DEPTH;
    kit_add_run(&s, "circle", SH_RUN_DONE);
    kit_fx(&s, kit_leave(SH_FX_EMIT, "again", "{}"));
    assert_true(kit_run(&k, &s.op.op));
    assert_int_equal(s.runs[0].outcome, SH_RUN_DEAD);
    assert_non_null(strstr(s.op.run_errors[0], "emit \"again\""));
    assert_int_equal(s.op.n_emitted, 0);
    kit_settle_free(&s);
}

/* One event may not become millions: breadth uses up the steps too. */
static void test_emit_too_broad(void **state)
{
    (void)state;
    for (uint32_t depth = 6; depth <= 7; depth++) {
        struct kit_settle s;
        kit_settle_init(&s, kit_accept(&k, depth == 6 ? "broad" : "broader"));
        s.op.event_depth = depth;
        kit_add_run(&s, "storm", SH_RUN_DONE);
        for (int i = 0; i < 600; i++) /* 2^9 <= 600: ten steps */
            kit_fx(&s, kit_leave(SH_FX_EMIT, "storm", "{}"));
        assert_true(kit_run(&k, &s.op.op));
        assert_int_equal(s.op.n_emitted, depth == 6 ? 600 : 0);
        assert_int_equal(s.runs[0].outcome, depth == 6 ? SH_RUN_DONE : SH_RUN_DEAD);
        kit_settle_free(&s);
    }
}

/* --- conflicts --------------------------------------------------------------- */

/* A run that saw `mark` settles; did it meet a conflict? */
static bool conflicts(struct sh_read_request q, uint64_t mark)
{
    static int n;
    char dedupe[32];
    struct kit_settle s;
    snprintf(dedupe, sizeof(dedupe), "conflict-%d", n++);
    kit_settle_init(&s, kit_accept(&k, dedupe));
    kit_add_run(&s, "careful", SH_RUN_DONE);
    kit_saw(&s, q, mark);
    kit_fx(&s, kit_put("conflicts", dedupe, "{}"));
    assert_true(kit_run(&k, &s.op.op));
    bool conflict = s.runs[0].conflict;
    assert_int_equal(s.runs[0].outcome, conflict ? SH_RUN_RETRY : SH_RUN_DONE);
    assert_string_equal(kit_doc(&k, "conflicts", dedupe), conflict ? "" : "{}");
    kit_settle_free(&s);
    return conflict;
}

static void test_conflict_on_get(void **state)
{
    (void)state;
    struct sh_read_request q = kit_get_of("calls", "x");
    uint64_t absent = kit_ask(&k, q).mark;
    assert_int_equal(absent, 0);
    assert_false(conflicts(q, absent));
    kit_apply(&k, kit_put("calls", "x", "{\"a\":1}"), NULL, 0);
    assert_true(conflicts(q, absent));
    uint64_t first = kit_ask(&k, q).mark;
    assert_false(conflicts(q, first));
    kit_apply(&k, kit_put("calls", "x", "{\"a\":1}"), NULL, 0); /* the same text, another write */
    assert_true(conflicts(q, first));
    kit_apply(&k, kit_delete("calls", "x"), NULL, 0);
    assert_true(conflicts(q, first));
    assert_false(conflicts(q, absent));
    struct sh_op_pending due = {.op.kind = SH_OP_RETRIES, .before_ms = sh_now_ms(), .limit = 10};
    assert_true(kit_run(&k, &due.op));
    assert_int_equal(due.n_items, 3);          /* due at once */
    assert_int_equal(due.items[0].attempt, 0); /* and no attempt used up */
    sh_pending_free(due.items, due.n_items);
}

static void test_conflict_on_find(void **state)
{
    (void)state;
    struct sh_read_request q =
        kit_find_of("calls", "{\"filter\":{\"open\":true},\"order\":\"-n\",\"limit\":2}");
    kit_apply(&k, kit_put("calls", "a", "{\"open\":true,\"n\":1}"), NULL, 0);
    kit_apply(&k, kit_put("calls", "b", "{\"open\":true,\"n\":2}"), NULL, 0);
    struct kit_answer a = kit_ask(&k, q);
    assert_string_equal(a.text, "b={\"open\":true,\"n\":2};a={\"open\":true,\"n\":1};");
    assert_false(conflicts(q, a.mark));
    kit_apply(&k, kit_put("calls", "z", "{\"open\":false,\"n\":9}"), NULL, 0);
    assert_false(conflicts(q, a.mark)); /* not in the answer */
    kit_apply(&k, kit_put("calls", "c", "{\"open\":true,\"n\":0}"), NULL, 0);
    assert_false(conflicts(q, a.mark)); /* beyond the limit */
    kit_apply(&k, kit_put("calls", "d", "{\"open\":true,\"n\":1.5}"), NULL, 0);
    assert_true(conflicts(q, a.mark)); /* a phantom between them */
    a = kit_ask(&k, q);
    kit_apply(&k, kit_delete("calls", "b"), NULL, 0);
    assert_true(conflicts(q, a.mark));
    a = kit_ask(&k, q);
    assert_string_equal(a.text, "d={\"open\":true,\"n\":1.5};a={\"open\":true,\"n\":1};");
    kit_apply(&k, kit_patch("calls", "a", "{\"n\":7}"), NULL, 0); /* changes the order */
    assert_true(conflicts(q, a.mark));
}

/* Two runs of one batch that read and write the same record: no update is lost. */
static void test_conflict_within_batch(void **state)
{
    (void)state;
    struct kit_settle s[2];
    struct sh_op *ops[2];
    for (int i = 0; i < 2; i++) {
        kit_settle_init(&s[i], kit_accept(&k, i ? "b" : "a"));
        kit_add_run(&s[i], "adds", SH_RUN_DONE);
        kit_saw(&s[i], kit_get_of("stats", "s"), 0);
        kit_fx(&s[i], kit_put("stats", "s", i ? "{\"by\":\"b\"}" : "{\"by\":\"a\"}"));
        ops[i] = &s[i].op.op;
    }
    list_of(ops, 2);
    sh_store_batch(k.s, ops[0]);
    assert_false(s[0].runs[0].conflict);
    assert_true(s[1].runs[0].conflict);
    assert_string_equal(kit_doc(&k, "stats", "s"), "{\"by\":\"a\"}");
    kit_settle_free(&s[0]);
    kit_settle_free(&s[1]);
}

/* --- look-ups ---------------------------------------------------------------- */

#define CALL "{\"method\":\"GET\",\"url\":\"https://crm.example.org/c/1\"}"

/* The look-ups of an event's only run, as text. Freed with cJSON_free(). */
static char *lookups_of(struct sh_id event)
{
    char id[SH_ID_TEXT];
    sh_id_text(event, id);
    cJSON *rows = kit_list(&k, (struct sh_list_query){.what = SH_LIST_RUNS, .event_id = id});
    assert_int_equal(cJSON_GetArraySize(rows), 1);
    const cJSON *all = sh_json_member(cJSON_GetArrayItem(rows, 0), "lookups");
    char *text = cJSON_PrintUnformatted(all);
    assert_non_null(text);
    cJSON_Delete(rows);
    return text;
}

static void lookups_are(struct sh_id event, const char *expected)
{
    char *text = lookups_of(event);
    assert_string_equal(text, expected);
    cJSON_free(text);
}

static void test_lookups(void **state)
{
    (void)state;
    struct sh_id e = kit_accept(&k, "e");
    struct kit_settle s;
    kit_settle_init(&s, e);
    kit_add_run(&s, "asks", SH_RUN_DONE);
    kit_saw(&s, kit_get_of("calls", "x"), 0);
    kit_looked_up(&s, CALL, "{\"status\":200,\"headers\":{},\"body\":\"{}\"}");
    kit_looked_up(&s, CALL, "{\"status\":0,\"error\":\"no answer\"}");
    kit_fx(&s, kit_put("calls", "x", "{}"));
    assert_true(kit_run(&k, &s.op.op));
    assert_int_equal(s.runs[0].outcome, SH_RUN_DONE); /* the world is not asked again */
    kit_settle_free(&s);
    lookups_are(e, "[{\"request\":" CALL
                   ",\"answer\":{\"status\":200,\"headers\":{},\"body\":\"{}\"}},"
                   "{\"request\":" CALL ",\"answer\":{\"status\":0,\"error\":\"no answer\"}}]");
    assert_string_equal(kit_doc(&k, "calls", "x"), "{}");
    /* without an event in the question they are left out */
    cJSON *rows = kit_list(&k, (struct sh_list_query){.what = SH_LIST_RUNS});
    assert_null(sh_json_member(cJSON_GetArrayItem(rows, 0), "lookups"));
    cJSON_Delete(rows);
}

/* The row tells of the last attempt alone. */
static void test_lookups_of_attempts(void **state)
{
    (void)state;
    static const char *const answers[] = {"{\"status\":500}", "{\"status\":200}", NULL};
    struct sh_id e = kit_accept(&k, "e");
    for (int i = 0; i < 3; i++) {
        struct kit_settle s;
        char expected[200] = "[]";
        kit_settle_init(&s, e);
        kit_add_run(&s, "asks", SH_RUN_FAILED)->retry_at_ms = 5;
        if (answers[i]) {
            kit_looked_up(&s, CALL, answers[i]);
            snprintf(expected, sizeof(expected), "[{\"request\":" CALL ",\"answer\":%s}]",
                     answers[i]);
        }
        assert_true(kit_run(&k, &s.op.op));
        kit_settle_free(&s);
        lookups_are(e, expected);
    }
}

/* Also of a run that failed, met a conflict, or was refused; and not of one that asked nothing. */
static void test_lookups_of_others(void **state)
{
    (void)state;
    static const char *const expected = "[{\"request\":" CALL ",\"answer\":{\"status\":204}}]";
    kit_apply(&k, kit_put("stats", "t", "{\"n\":\"text\"}"), NULL, 0);
    for (int i = 0; i < 4; i++) {
        char dedupe[8] = {(char)('a' + i), 0};
        struct sh_id e = kit_accept(&k, dedupe);
        struct kit_settle s;
        kit_settle_init(&s, e);
        kit_add_run(&s, "r", i == 0 ? SH_RUN_FAILED : SH_RUN_DONE)->retry_at_ms = 5;
        if (i < 3)
            kit_looked_up(&s, CALL, "{\"status\":204}");
        if (i == 1)
            kit_saw(&s, kit_get_of("stats", "t"), 12345);
        if (i == 2)
            kit_fx(&s, kit_incr("stats", "t", "n", 1));
        if (i == 3)
            kit_saw(&s, kit_get_of("stats", "none"), 0);
        assert_true(kit_run(&k, &s.op.op));
        static const enum sh_outcome outcomes[] = {SH_RUN_RETRY, SH_RUN_RETRY, SH_RUN_DEAD,
                                                   SH_RUN_DONE};
        assert_int_equal(s.runs[0].outcome, outcomes[i]);
        kit_settle_free(&s);
        lookups_are(e, i < 3 ? expected : "[]");
    }
}

/* Long answers are dropped past the bound, and the row stays readable. */
static void test_lookups_bounded(void **state)
{
    (void)state;
    enum { LONG = 1 << 20 };
    char *answer = sh_alloc(1, LONG + 100);
    size_t at = (size_t)sprintf(answer, "{\"body\":\"");
    memset(answer + at, 'x', LONG);
    strcpy(answer + at + LONG, "\",\"status\":203}");
    struct sh_id e = kit_accept(&k, "e");
    struct kit_settle s;
    kit_settle_init(&s, e);
    kit_add_run(&s, "asks", SH_RUN_DONE);
    for (int i = 0; i < 10; i++)
        kit_looked_up(&s, CALL, answer);
    kit_looked_up(&s, CALL, "{\"status\":1}");
    assert_true(kit_run(&k, &s.op.op));
    kit_settle_free(&s);
    free(answer);
    char *text = lookups_of(e);
    assert_true(strlen(text) < SH_STORE_BRIEF_BYTES + 10000);
    assert_true(strlen(text) > SH_STORE_BRIEF_BYTES - LONG - 10000);
    const char *tail = ",{\"request\":" CALL ",\"answer\":{\"status\":203,\"dropped\":true}},"
                       "{\"request\":" CALL ",\"answer\":{\"status\":1}}]";
    assert_string_equal(text + strlen(text) - strlen(tail), tail);
    cJSON_free(text);
}

/* So many that not even the questions find room. */
static void test_lookups_cut(void **state)
{
    (void)state;
    char *call = sh_alloc(1, 900000);
    sprintf(call, "{\"method\":\"GET\",\"x\":\"");
    memset(call + strlen(call), 'x', 800000);
    strcat(call, "\"}");
    struct sh_id e = kit_accept(&k, "e");
    struct kit_settle s;
    kit_settle_init(&s, e);
    kit_add_run(&s, "asks", SH_RUN_DONE);
    for (int i = 0; i < 20; i++)
        kit_looked_up(&s, call, "{\"status\":200}");
    assert_true(kit_run(&k, &s.op.op));
    kit_settle_free(&s);
    free(call);
    char *text = lookups_of(e);
    assert_true(strlen(text) < SH_STORE_BRIEF_BYTES / 8 * 9);
    const char *tail = "\"dropped\":true}},{\"dropped\":true}]";
    assert_string_equal(text + strlen(text) - strlen(tail), tail);
    cJSON_free(text);
}

/* --- find -------------------------------------------------------------------- */

static void finds(const char *query, const char *ids)
{
    char got[256] = "";
    struct kit_answer a = kit_ask(&k, kit_find_of("t", query));
    if (!a.ok)
        fail_msg("%s: %s", query, a.text);
    for (char *p = a.text; *p; p = strchr(p, ';') + 1)
        strncat(got, p, (size_t)(strchr(p, '=') - p));
    if (strcmp(got, ids) != 0)
        fail_msg("%s: found \"%s\", expected \"%s\"", query, got, ids);
}

static void find_refuses(const char *query, const char *part)
{
    struct kit_answer a = kit_ask(&k, kit_find_of("t", query));
    assert_false(a.ok);
    if (!strstr(a.text, part))
        fail_msg("%s: \"%s\" does not say \"%s\"", query, a.text, part);
}

static void test_find(void **state)
{
    (void)state;
    kit_apply(&k, kit_put("t", "a", "{\"s\":\"x\",\"n\":1,\"b\":true,\"o\":{\"p\":\"q\"}}"), NULL,
              0);
    kit_apply(&k, kit_put("t", "b", "{\"s\":\"1\",\"n\":2.5,\"b\":false,\"o\":{\"p\":\"r\"}}"),
              NULL, 0);
    kit_apply(&k, kit_put("t", "c", "{\"s\":\"y\",\"n\":9223372036854775807,\"b\":1}"), NULL, 0);
    kit_apply(&k, kit_put("t", "d", "{\"s\":[\"x\"],\"n\":null,\"b\":null}"), NULL, 0);
    kit_apply(&k, kit_put("other", "e", "{\"s\":\"x\"}"), NULL, 0);
    finds("{}", "abcd");
    finds("{\"filter\":{}}", "abcd");
    finds("{\"filter\":[]}", "abcd");
    finds("{\"order\":\"-id\",\"limit\":2}", "dc");
    finds("{\"filter\":{\"s\":\"x\"}}", "a");
    finds("{\"filter\":{\"s\":\"[\\\"x\\\"]\"}}", "");
    finds("{\"filter\":{\"s\":{\"ne\":\"x\"}}}", "bcd");
    finds("{\"filter\":{\"s\":1}}", "");
    finds("{\"filter\":{\"s\":{\"gt\":\"1\",\"lte\":\"y\"}}}", "ac");
    finds("{\"filter\":{\"n\":{\"gte\":1,\"lt\":2.6}}}", "ab");
    finds("{\"filter\":{\"n\":9223372036854775807}}", "c");
    finds("{\"filter\":{\"n\":9223372036854775806}}", "");
    finds("{\"filter\":{\"n\":{\"ne\":1}}}", "bcd");
    finds("{\"filter\":{\"b\":true}}", "a");
    finds("{\"filter\":{\"b\":1}}", "c");
    finds("{\"filter\":{\"b\":{\"ne\":false}}}", "acd");
    finds("{\"filter\":{\"b\":null}}", "d");
    finds("{\"filter\":{\"o\":null}}", "cd");
    finds("{\"filter\":{\"o\":{\"ne\":null}}}", "ab");
    finds("{\"filter\":{\"o.p\":\"r\"}}", "b");
    finds("{\"filter\":{\"o.p\":{\"ne\":\"r\"}}}", "acd");
    finds("{\"filter\":{\"n\":{\"ne\":null},\"s\":{\"ne\":\"y\"}},\"order\":\"-n\"}", "ba");
    finds("{\"order\":\"b\"}", "dbac"); /* null, false, true and 1: ties by id */
    find_refuses("{\"filter\":{\"a\\\"b\":1}}", "quotation mark");
    find_refuses("{\"filter\":{\"a..b\":1}}", "must be there");
    find_refuses("{\"filter\":{\"a\":{\"like\":1}}}", "is no comparison");
    find_refuses("{\"filter\":{\"a\":{\"lt\":true}}}", "needs a number or a string");
    find_refuses("{\"filter\":{\"a\":[1]}}", "an array");
    find_refuses("{\"limit\":0}", "1 to 1000");
    find_refuses("{\"limit\":1001}", "1 to 1000");
    find_refuses("{\"order\":3}", "order");
    find_refuses("{\"sort\":\"a\"}", "unknown option \"sort\"");
    find_refuses("{", "records.find");
    struct kit_answer a = kit_ask(&k, kit_find_of("No", "{}"));
    assert_false(a.ok);
}

/* More shapes than statements are kept. */
static void test_find_many_shapes(void **state)
{
    (void)state;
    kit_apply(&k, kit_put("t", "a", "{\"f\":1}"), NULL, 0);
    for (int round = 0; round < 2; round++)
        for (int n = 1; n <= SH_STORE_CONDITIONS; n++) {
            struct sh_buf q;
            sh_buf_init(&q, 65536);
            sh_buf_adds(&q, "{\"filter\":{");
            for (int i = 0; i < n; i++)
                sh_buf_addf(&q, "%s\"f%d\":%s", i ? "," : "", i, i % 2 ? "null" : "{\"ne\":3}");
            sh_buf_adds(&q, "}}");
            finds(q.data, "a");
            sh_buf_free(&q);
        }
}

/* --- pending ----------------------------------------------------------------- */

static void test_pending(void **state)
{
    (void)state;
    struct sh_id e[3];
    for (int i = 0; i < 3; i++) {
        char dedupe[32];
        snprintf(dedupe, sizeof(dedupe), "%d", i);
        e[i] = kit_accept(&k, dedupe);
    }
    struct kit_settle s;
    kit_settle_init(&s, e[1]);
    kit_add_run(&s, "suspect", SH_RUN_FAILED)->retry_at_ms = 5;
    s.op.closes = false;
    assert_true(kit_run(&k, &s.op.op));
    kit_settle_free(&s);
    struct sh_op_pending p = {.op.kind = SH_OP_PENDING, .limit = 10};
    assert_true(kit_run(&k, &p.op));
    assert_int_equal(p.n_items, 3);
    assert_int_equal(p.items[0].n_rules, 0);
    assert_int_equal(p.items[1].n_rules, 1);
    assert_string_equal(p.items[1].rules[0], "suspect");
    assert_string_equal(p.items[2].event->body, "{\"a\":1}");
    sh_pending_free(p.items, p.n_items);
    p.after_order = sh_id_order(e[0]);
    p.limit = 1;
    assert_true(kit_run(&k, &p.op));
    assert_int_equal(p.n_items, 1);
    assert_true(sh_id_eq(p.items[0].event->id, e[1]));
    sh_pending_free(p.items, p.n_items);
    p.after_order = 0;
    p.limit = 10;
    p.max_bytes = 14; /* two bodies of seven bytes */
    assert_true(kit_run(&k, &p.op));
    assert_int_equal(p.n_items, 2);
    sh_pending_free(p.items, p.n_items);
    p.max_bytes = 1;
    assert_true(kit_run(&k, &p.op));
    assert_int_equal(p.n_items, 1);
    sh_pending_free(p.items, p.n_items);
}

/* When a timer's event was due comes back wherever the event does. */
static void test_due_time(void **state)
{
    (void)state;
    struct sh_op_accept op = {.op.kind = SH_OP_ACCEPT, .event = kit_event("k", "late", "{}")};
    op.event->due_ms = 1781259861903;
    assert_true(kit_run(&k, &op.op));
    struct sh_id id = op.event->id;
    sh_event_free(op.event);
    kit_accept(&k, "plain");
    struct sh_op_pending p = {.op.kind = SH_OP_PENDING, .limit = 10};
    assert_true(kit_run(&k, &p.op));
    assert_int_equal(p.items[0].event->due_ms, 1781259861903);
    assert_int_equal(p.items[1].event->due_ms, 0);
    sh_pending_free(p.items, p.n_items);
    struct kit_settle s;
    kit_settle_init(&s, id);
    kit_add_run(&s, "r", SH_RUN_FAILED)->retry_at_ms = 5;
    assert_true(kit_run(&k, &s.op.op));
    kit_settle_free(&s);
    p = (struct sh_op_pending){.op.kind = SH_OP_RETRIES, .before_ms = 5, .limit = 10};
    assert_true(kit_run(&k, &p.op));
    assert_int_equal(p.n_items, 1);
    assert_int_equal(p.items[0].event->due_ms, 1781259861903);
    assert_string_equal(p.items[0].rules[0], "r");
    sh_pending_free(p.items, p.n_items);
    char text[SH_ID_TEXT];
    struct sh_list_query q = {.what = SH_LIST_EVENTS};
    for (int i = 0; i < 2; i++) {
        cJSON *rows = kit_list(&k, q);
        assert_string_equal(member(rows, 0, "due_at"), "2026-06-12T10:24:21.903Z");
        if (i == 0)
            assert_null(sh_json_member(cJSON_GetArrayItem(rows, 1), "due_at"));
        else
            assert_true(cJSON_IsObject(sh_json_member(cJSON_GetArrayItem(rows, 0), "body")));
        cJSON_Delete(rows);
        q.id = sh_id_text(id, text);
    }
}

/* Timers are counted without the clock rules. */
static void test_count_timers(void **state)
{
    (void)state;
    assert_int_equal(kit_count(&k).timers, 0);
    kit_sql(&k, "INSERT INTO sh_timers(name, due_ms, source, type, key, body, depth, created_ms)"
                " VALUES('n:a', 1, '', '', '', x'', 0, 0), ('k:b', 1, '', '', '', x'', 0, 0),"
                " ('c:digest', 1, '', '', '', x'', 0, 0), ('n:c', 1, '', '', '', x'', 0, 0)");
    assert_int_equal(kit_count(&k).timers, 3);
}

/* --- redrive, prune ---------------------------------------------------------- */

static void dead_run(const char *dedupe, const char *rule, char id[SH_ID_TEXT])
{
    struct kit_settle s;
    struct sh_id e = kit_accept(&k, dedupe);
    kit_settle_init(&s, e);
    kit_add_run(&s, rule, SH_RUN_FAILED)->attempt = 7;
    assert_true(kit_run(&k, &s.op.op));
    kit_settle_free(&s);
    sh_id_text(e, id);
}

static size_t redrive(const char *id, const char *rule)
{
    struct sh_op_redrive op = {.op.kind = SH_OP_REDRIVE, .id = id, .rule = rule};
    assert_true(kit_run(&k, &op.op));
    return op.n_runs;
}

static void test_redrive(void **state)
{
    (void)state;
    char a[SH_ID_TEXT], b[SH_ID_TEXT], c[SH_ID_TEXT];
    dead_run("a", "one", a);
    dead_run("b", "two", b);
    dead_run("c", "two", c);
    assert_int_equal(
        kit_list_size(&k, (struct sh_list_query){.what = SH_LIST_EVENTS, .state = "dead"}), 3);
    assert_int_equal(redrive(a, "two"), 0);
    assert_int_equal(redrive("0190b2a0-0000-7000-8000-000000000000", NULL), 0);
    assert_int_equal(redrive(a, NULL), 1);
    assert_int_equal(redrive(a, NULL), 0);
    assert_int_equal(redrive(NULL, "one"), 0);
    assert_int_equal(redrive(NULL, "two"), 2);
    struct sh_op_pending p = {.op.kind = SH_OP_RETRIES, .before_ms = sh_now_ms(), .limit = 10};
    assert_true(kit_run(&k, &p.op));
    assert_int_equal(p.n_items, 3);
    assert_int_equal(p.items[0].attempt, 0);
    sh_pending_free(p.items, p.n_items);
}

/* The command line redrives beside a running engine. */
static void test_redrive_shared(void **state)
{
    (void)state;
    char a[SH_ID_TEXT];
    dead_run("a", "one", a);
    struct sh_error err = {0};
    struct sh_store_config c = kit_config(&k, false, NULL);
    assert_null(sh_store_open(&c, &err));
    assert_int_equal(err.code, SH_EBUSY);
    assert_non_null(strstr(err.msg, k.dir));
    c.shared = true;
    struct kit side = {.s = sh_store_open(&c, &err)};
    assert_non_null(side.s);
    struct sh_op_redrive op = {.op.kind = SH_OP_REDRIVE};
    assert_true(kit_run(&side, &op.op));
    assert_int_equal(op.n_runs, 1);
    struct sh_op_accept other = {.op.kind = SH_OP_ACCEPT, .event = kit_event("k", "z", "{}")};
    assert_false(kit_run(&side, &other.op)); /* it does not know what the engine knows */
    sh_event_free(other.event);
    sh_store_close(side.s);
    assert_int_equal(kit_count(&k).retries, 1);
    kit_accept(&k, "goes on");
    c.dir = "/tmp/sh-store-none";
    assert_null(sh_store_open(&c, &err));
    assert_int_equal(err.code, SH_ENOTFOUND);
}

static void old_event(const char *dedupe, bool settle)
{
    struct sh_op_accept op = {.op.kind = SH_OP_ACCEPT, .event = kit_event("k", dedupe, "{}")};
    op.event->received_ms = 1000;
    assert_true(kit_run(&k, &op.op));
    if (settle) {
        struct kit_settle s;
        kit_settle_init(&s, op.event->id);
        kit_add_run(&s, "r", SH_RUN_DONE);
        assert_true(kit_run(&k, &s.op.op));
        kit_settle_free(&s);
    }
    sh_event_free(op.event);
}

static size_t prune(size_t limit)
{
    struct sh_op_prune op = {
        .op.kind = SH_OP_PRUNE, .before_ms = sh_now_ms() + 1000, .limit = limit};
    assert_true(kit_run(&k, &op.op));
    return op.removed;
}

static void test_prune(void **state)
{
    (void)state;
    char dead[SH_ID_TEXT];
    struct kit_settle s;
    for (int i = 0; i < 5; i++) {
        char dedupe[32];
        snprintf(dedupe, sizeof(dedupe), "old%d", i);
        old_event(dedupe, true);
    }
    old_event("unfinished", false);
    dead_run("dead", "r", dead);
    kit_settle_init(&s, kit_accept(&k, "retry"));
    kit_add_run(&s, "r", SH_RUN_FAILED)->retry_at_ms = 5;
    assert_true(kit_run(&k, &s.op.op));
    kit_settle_free(&s);
    kit_apply(&k, kit_leave(SH_FX_EMAIL, "", "{\"to\":[\"a@example.org\"]}"), NULL, 0);
    assert_int_equal(prune(3), 3);
    assert_int_equal(prune(100), 3); /* two old ones, and the one that mailed; not its mail */
    assert_int_equal(prune(100), 0);
    cJSON *rows = kit_list(&k, (struct sh_list_query){.what = SH_LIST_EVENTS});
    assert_int_equal(cJSON_GetArraySize(rows), 3);
    cJSON_Delete(rows);
    assert_int_equal(kit_list_size(&k, (struct sh_list_query){.what = SH_LIST_RUNS}), 2);
    assert_int_equal(kit_count(&k).queued, 1);
    struct sh_op_outbox o = kit_outbox(&k, sh_now_ms() + 1000);
    assert_true(kit_deliver(&k, o.items[0].id, SH_DELIVERY_SENT, 0, NULL));
    sh_outbox_items_free(o.items, o.n_items);
    assert_int_equal(prune(100), 1);
    /* the dedupe ids of what was pruned are free, the others are not */
    struct sh_op_accept op = {.op.kind = SH_OP_ACCEPT, .event = kit_event("k", "old1", "{}")};
    assert_true(kit_run(&k, &op.op));
    assert_false(op.duplicate);
    sh_event_free(op.event);
    op.event = kit_event("k", "unfinished", "{}");
    assert_true(kit_run(&k, &op.op));
    assert_true(op.duplicate);
    sh_event_free(op.event);
}

/* --- generations, views, lists ----------------------------------------------- */

static void test_generation(void **state)
{
    (void)state;
    struct sh_file f[] = {
        {.name = (char *)"rules/a.lua", .text = (char *)"x", .len = 1, .is_rule = true},
        {.name = (char *)"scripts/b.lua", .text = (char *)"yy", .len = 2}};
    struct sh_generation *g = sh_generation_new(f, 2);
    for (int i = 0; i < 2; i++) {
        struct sh_op_generation op = {.op.kind = SH_OP_GENERATION, .generation = g};
        assert_true(kit_run(&k, &op.op));
    }
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_generations"), "1");
    assert_string_equal(
        kit_sql(&k, "SELECT group_concat(p.name || p.is_rule || CAST(t.text AS TEXT)) FROM"
                    " sh_generation_parts p JOIN sh_generation_texts t ON t.id = p.text"),
        "rules/a.lua1x,scripts/b.lua0yy");
    sh_generation_free(g);
}

static void test_typed_views(void **state)
{
    (void)state;
    kit_apply(&k,
              kit_put("calls", "x1",
                      "{\"number\":\"030\",\"secs\":51,\"it's\":\"q\",\"Number\":1,\"id\":9,"
                      "\"tags\":[1,2],\"ok\":true,\"big\":9223372036854775807}"),
              NULL, 0);
    assert_string_equal(
        kit_sql(&k, "SELECT number || secs || \"it's\" || tags || ok || big FROM calls"),
        "03051q[1,2]19223372036854775807");
    assert_string_equal(kit_sql(&k, "SELECT id FROM calls"), "x1");
    assert_string_equal(kit_sql(&k, "SELECT group_concat(name) FROM pragma_table_info('calls')"),
                        "id,number,secs,it's,tags,ok,big,updated_at");
    assert_int_equal(strlen(kit_sql(&k, "SELECT updated_at FROM calls")), 24);
    kit_apply(&k, kit_patch("calls", "x2", "{\"follow_up\":\"yes\"}"), NULL, 0);
    kit_apply(&k, kit_incr("calls", "x2", "times", 1), NULL, 0);
    assert_string_equal(kit_sql(&k, "SELECT follow_up || times FROM calls WHERE id = 'x2'"),
                        "yes1");
    kit_close(&k);
    kit_open(&k); /* the fields are remembered */
    kit_apply(&k, kit_patch("calls", "x3", "{\"more\":1}"), NULL, 0);
    assert_string_equal(kit_sql(&k, "SELECT group_concat(name) FROM pragma_table_info('calls')"),
                        "id,number,secs,it's,tags,ok,big,follow_up,times,more,updated_at");
}

static void test_view_limits(void **state)
{
    (void)state;
    struct sh_buf doc;
    sh_buf_init(&doc, 1 << 20);
    for (int i = 0; i < 400; i++)
        sh_buf_addf(&doc, "%c\"f%03d\":%d", i ? ',' : '{', i, i);
    sh_buf_adds(&doc, "}");
    kit_apply(&k, kit_put("wide", "x", doc.data), NULL, 0);
    sh_buf_free(&doc);
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM pragma_table_info('wide')"), "256");
    assert_string_equal(kit_sql(&k, "SELECT f253 FROM wide"), "253");
}

static void test_view_name_taken(void **state)
{
    (void)state;
    kit_sql(&k, "CREATE TABLE tasks(mine)");
    assert_int_equal(kit_apply(&k, kit_put("tasks", "x", "{\"a\":1}"), NULL, 0), SH_RUN_DONE);
    assert_string_equal(kit_doc(&k, "tasks", "x"), "{\"a\":1}");
    assert_string_equal(kit_sql(&k, "SELECT type FROM sqlite_schema WHERE name = 'tasks'"),
                        "table");
}

/* A run that is undone takes its view and its fields along. */
static void test_view_undone(void **state)
{
    (void)state;
    struct kit_settle s;
    kit_settle_init(&s, kit_accept(&k, "e"));
    kit_add_run(&s, "ok", SH_RUN_DONE);
    kit_fx(&s, kit_put("good", "x", "{\"a\":1}"));
    kit_add_run(&s, "bad", SH_RUN_DONE);
    kit_fx(&s, kit_put("good", "y", "{\"t\":\"text\"}"));
    kit_fx(&s, kit_incr("good", "y", "t", 1));
    assert_true(kit_run(&k, &s.op.op));
    kit_settle_free(&s);
    assert_string_equal(kit_sql(&k, "SELECT a FROM good"), "1");
    kit_apply(&k, kit_put("good", "z", "{\"b\":2}"), NULL, 0);
    assert_string_equal(kit_sql(&k, "SELECT sum(b) FROM good"), "2");
}

static void test_lists(void **state)
{
    (void)state;
    char id[SH_ID_TEXT];
    for (int i = 0; i < 1203; i++) { /* more than two pages */
        char dedupe[32];
        snprintf(dedupe, sizeof(dedupe), "%d", i);
        sh_id_text(kit_accept(&k, dedupe), id);
    }
    assert_int_equal(kit_list_size(&k, (struct sh_list_query){.what = SH_LIST_EVENTS}), 1203);
    cJSON *rows = kit_list(&k, (struct sh_list_query){.what = SH_LIST_EVENTS, .limit = 501});
    assert_int_equal(cJSON_GetArraySize(rows), 501);
    assert_string_equal(member(rows, 500, "id"), id);
    for (int i = 1; i < 501; i++)
        assert_true(strcmp(member(rows, i - 1, "id"), member(rows, i, "id")) < 0);
    cJSON_Delete(rows);
    rows = kit_list(&k, (struct sh_list_query){.what = SH_LIST_EVENTS, .id = id});
    assert_int_equal(cJSON_GetArraySize(rows), 1);
    char *text = cJSON_PrintUnformatted(sh_json_member(cJSON_GetArrayItem(rows, 0), "body"));
    assert_string_equal(text, "{\"a\":1}");
    cJSON_free(text);
    cJSON_Delete(rows);
    struct sh_list_query q = {.what = SH_LIST_EVENTS, .type = "call_start", .limit = 5};
    assert_int_equal(kit_list_size(&k, q), 5);
    q.type = "other";
    assert_int_equal(kit_list_size(&k, q), 0);
    q = (struct sh_list_query){.what = SH_LIST_EVENTS, .since_ms = sh_now_ms() + 60000};
    assert_int_equal(kit_list_size(&k, q), 0);
    q = (struct sh_list_query){.what = SH_LIST_EVENTS, .state = "done"};
    assert_int_equal(kit_list_size(&k, q), 0);
    q.state = "stored";
    assert_int_equal(kit_list_size(&k, q), 1203);
    struct sh_error err = {0};
    struct sh_store_view *v = sh_store_view_open(k.dir, &err);
    q.state = "open";
    assert_false(sh_store_view_list(v, &q, kit_keep_row, NULL, &err));
    assert_non_null(strstr(err.msg, "stored, done or dead"));
    sh_store_view_close(v);
    assert_null(sh_store_view_open("/tmp/sh-store-none", &err));
    assert_int_equal(err.code, SH_ENOTFOUND);
}

static void test_list_records(void **state)
{
    (void)state;
    kit_apply(&k, kit_put("calls", "b", "{\"n\":9007199254740993}"), NULL, 0);
    kit_apply(&k, kit_put("calls", "a", "{}"), NULL, 0);
    kit_apply(&k, kit_put("tasks", "t", "{}"), NULL, 0);
    struct sh_list_query q = {.what = SH_LIST_RECORDS, .collection = "calls"};
    cJSON *rows = kit_list(&k, q);
    assert_int_equal(cJSON_GetArraySize(rows), 2);
    assert_string_equal(member(rows, 0, "id"), "b"); /* written first */
    struct sh_buf b;
    sh_buf_init(&b, 1000);
    assert_true(sh_json_print(sh_json_member(cJSON_GetArrayItem(rows, 0), "doc"), &b));
    assert_string_equal(b.data, "{\"n\":9007199254740993}");
    sh_buf_free(&b);
    cJSON_Delete(rows);
    q.limit = 1;
    rows = kit_list(&k, q);
    assert_string_equal(member(rows, 0, "id"), "a");
    cJSON_Delete(rows);
    struct sh_error err;
    struct sh_store_view *v = sh_store_view_open(k.dir, &err);
    cJSON *names = sh_store_view_collections(v);
    char *text = cJSON_PrintUnformatted(names);
    assert_string_equal(text, "[\"calls\",\"tasks\"]");
    cJSON_free(text);
    cJSON_Delete(names);
    sh_store_view_close(v);
}

static bool write_between(void *arg, const cJSON *row)
{
    (void)row;
    char dedupe[32];
    snprintf(dedupe, sizeof(dedupe), "between-%d", ++*(int *)arg);
    kit_accept(&k, dedupe);
    return *(int *)arg < 700;
}

/* The engine writes, and folds in its log, while somebody looks at a listing. */
static void test_list_while_writing(void **state)
{
    (void)state;
    int n = 0;
    struct sh_error err = {0};
    for (int i = 0; i < 600; i++) {
        char dedupe[32];
        snprintf(dedupe, sizeof(dedupe), "first-%d", i);
        kit_accept(&k, dedupe);
    }
    struct sh_store_view *v = sh_store_view_open(k.dir, &err);
    struct sh_list_query q = {.what = SH_LIST_EVENTS};
    assert_true(sh_store_view_list(v, &q, write_between, &n, &err));
    assert_int_equal(n, 700);
    int left = 0, done = 0;
    assert_int_equal(
        sqlite3_wal_checkpoint_v2(k.s->w.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, &left, &done), 0);
    sh_store_view_close(v);
}

/* --- life -------------------------------------------------------------------- */

static void test_reopen(void **state)
{
    (void)state;
    struct sh_id a = kit_accept(&k, "a");
    kit_apply(&k, kit_put("calls", "x", "{\"a\":1}"), NULL, 0);
    uint64_t before = kit_ask(&k, kit_get_of("calls", "x")).mark;
    kit_close(&k);
    kit_open(&k);
    assert_true(sh_id_eq(kit_accept(&k, "a"), a));
    assert_true(sh_id_order(kit_accept(&k, "b")) > sh_id_order(a));
    assert_int_equal(kit_ask(&k, kit_get_of("calls", "x")).mark, before);
    kit_apply(&k, kit_put("calls", "x", "{\"a\":1}"), NULL, 0);
    assert_true(kit_ask(&k, kit_get_of("calls", "x")).mark > before);
    assert_int_equal(kit_count(&k).unfinished, 2);
}

static void test_newer_schema(void **state)
{
    (void)state;
    kit_sql(&k, "INSERT INTO sh_migrations VALUES(99, 0)");
    kit_close(&k);
    struct sh_error err = {0};
    struct sh_store_config c = kit_config(&k, false, NULL);
    assert_null(sh_store_open(&c, &err));
    assert_int_equal(err.code, SH_EINVAL);
    assert_non_null(strstr(err.msg, "newer"));
}

static void test_damage_is_found(void **state)
{
    (void)state;
    char path[128];
    for (int i = 0; i < 200; i++) {
        char dedupe[32];
        snprintf(dedupe, sizeof(dedupe), "%d", i);
        kit_accept(&k, dedupe);
    }
    kit_close(&k);
    snprintf(path, sizeof(path), "%s/switchhook.db", k.dir);
    FILE *f = fopen(path, "r+");
    char junk[4096];
    memset(junk, 0x5a, sizeof(junk));
    long size;
    fseek(f, 0, SEEK_END);
    size = ftell(f);
    for (long at = 24 * 4096L; at + 4096 <= size; at += 4096) { /* leaves the schema alone */
        fseek(f, at, SEEK_SET);
        fwrite(junk, 1, sizeof(junk), f);
    }
    fclose(f);
    assert_true(size > 25 * 4096L);
    snprintf(path, sizeof(path), "%s/switchhook.db-wal", k.dir);
    f = fopen(path, "w"); /* a log left behind: the end was not clean */
    fputs("x", f);
    fclose(f);
    struct sh_error err = {0};
    struct sh_store_config c = kit_config(&k, false, NULL);
    assert_null(sh_store_open(&c, &err));
    assert_int_equal(err.code, SH_EFATAL);
}

static void test_memory(void **state)
{
    (void)state;
    struct sh_error err = {0};
    struct sh_store_config c = {0};
    struct kit mem = {.s = sh_store_open(&c, &err)};
    assert_non_null(mem.s);
    kit_apply(&mem, kit_put("calls", "x", "{\"a\":1}"), NULL, 0);
    assert_string_equal(kit_doc(&mem, "calls", "x"), "{\"a\":1}");
    cJSON *rows = cJSON_CreateArray();
    struct sh_list_query q = {.what = SH_LIST_RECORDS, .collection = "calls"};
    assert_true(sh_store_list(mem.s, &q, kit_keep_row, rows, &err));
    assert_int_equal(cJSON_GetArraySize(rows), 1);
    cJSON_Delete(rows);
    sh_store_close(mem.s);
    c.threads = true;
    assert_null(sh_store_open(&c, &err));
}

/* A child accepts and reports each id; it is killed; every id it reported is there. */
static void child(int out)
{
    struct kit c = k;
    kit_open_as(&c, true, NULL);
    for (int i = 0;; i++) {
        char dedupe[32];
        snprintf(dedupe, sizeof(dedupe), "child-%d-%d", (int)getpid(), i);
        struct sh_id id = kit_accept(&c, dedupe);
        struct kit_settle s;
        kit_settle_init(&s, id);
        kit_add_run(&s, "adds", SH_RUN_DONE);
        kit_fx(&s, kit_incr("stats", "n", "n", 1));
        if (!kit_run(&c, &s.op.op) || write(out, &id, sizeof(id)) != (ssize_t)sizeof(id))
            _exit(1);
        kit_settle_free(&s);
    }
}

static void test_kill(void **state)
{
    (void)state;
    kit_close(&k);
    for (int round = 0; round < 5; round++) {
        int p[2];
        assert_int_equal(pipe(p), 0);
        pid_t pid = fork();
        if (pid == 0) {
            close(p[0]);
            child(p[1]);
        }
        close(p[1]);
        struct sh_id ids[4096];
        size_t n = 0;
        int64_t until = sh_mono_us() + 60000 + round * 17000;
        while (n < 4096 && (n < 20 || sh_mono_us() < until) &&
               read(p[0], &ids[n], sizeof(*ids)) == (ssize_t)sizeof(*ids))
            n++;
        kill(pid, SIGKILL);
        while (n < 4096 && read(p[0], &ids[n], sizeof(*ids)) == (ssize_t)sizeof(*ids))
            n++;
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        close(p[0]);
        kit_open(&k);
        for (size_t i = 0; i < n; i++) {
            char id[SH_ID_TEXT];
            struct sh_list_query q = {.what = SH_LIST_EVENTS, .id = sh_id_text(ids[i], id)};
            assert_int_equal(kit_list_size(&k, q), 1);
        }
        kit_close(&k);
        assert_true(n >= 20);
    }
    kit_open(&k);
    /* effects once: the counter is the number of settled runs */
    char settled[32];
    snprintf(settled, sizeof(settled), "%s",
             kit_sql(&k, "SELECT count(*) FROM sh_runs WHERE outcome = 'done'"));
    assert_string_equal(
        kit_sql(&k, "SELECT json_extract(doc, '$.n') FROM sh_records WHERE collection = 'stats'"),
        settled);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_accept),
        T(test_accept_same_id_other_source),
        T(test_duplicate_within_batch),
        T(test_refused_run_keeps_versions_reserved),
        T(test_refused_op_spares_companions),
        T(test_dedupe_moves),
        T(test_dedupe_moves_and_prune),
        T(test_put_patch_delete),
        T(test_merge),
        T(test_merge_many),
        T(test_incr),
        T(test_refused_effects),
        T(test_document_size),
        T(test_settle_rows),
        T(test_settle_is_atomic),
        T(test_late_second_result),
        T(test_retry_then_done),
        T(test_malformed_runs),
        T(test_callback),
        T(test_emit),
        T(test_emit_too_deep),
        T(test_emit_too_broad),
        T(test_conflict_on_get),
        T(test_conflict_on_find),
        T(test_conflict_within_batch),
        T(test_lookups),
        T(test_lookups_of_attempts),
        T(test_lookups_of_others),
        T(test_lookups_bounded),
        T(test_lookups_cut),
        T(test_find),
        T(test_find_many_shapes),
        T(test_pending),
        T(test_due_time),
        T(test_count_timers),
        T(test_redrive),
        T(test_redrive_shared),
        T(test_prune),
        T(test_generation),
        T(test_typed_views),
        T(test_view_limits),
        T(test_view_name_taken),
        T(test_view_undone),
        T(test_lists),
        T(test_list_records),
        T(test_list_while_writing),
        T(test_reopen),
        T(test_newer_schema),
        T(test_damage_is_found),
        T(test_memory),
        T(test_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
