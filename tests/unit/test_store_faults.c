/* SPDX-License-Identifier: MIT
 * test_store_faults.c: a disk that fails. A VFS between SQLite and the files fails the Nth write
 * or fsync, for every N until a whole run passes, and the promise is checked each time: nothing
 * that was reported ok is missing after the next start. */
#include "store_kit.h"

#include "core/store_impl.h"
#include "fault_disk.h"

/* --- a stream of batches ----------------------------------------------------- */

enum { BATCHES = 6, IN_BATCH = 3 };

struct told { /* what was said of each event */
    struct sh_id id;
    bool stored, settled;
    enum sh_code refused; /* of its accept */
};

static void accept_batch(struct kit *k, struct told *told, int batch)
{
    struct sh_op_accept a[IN_BATCH];
    for (int i = 0; i < IN_BATCH; i++) {
        char dedupe[32];
        snprintf(dedupe, sizeof(dedupe), "%d-%d", batch, i);
        a[i] =
            (struct sh_op_accept){.op.kind = SH_OP_ACCEPT, .event = kit_event("k", dedupe, "{}")};
        a[i].op.next = i + 1 < IN_BATCH ? &a[i + 1].op : NULL;
    }
    sh_store_batch(k->s, &a[0].op);
    for (int i = 0; i < IN_BATCH; i++) {
        told[i] =
            (struct told){.id = a[i].event->id, .stored = a[i].op.ok, .refused = a[i].op.err.code};
        assert_int_equal(a[i].op.ok, a[i].op.err.code == SH_OK);
        sh_event_free(a[i].event);
    }
}

static void settle_batch(struct kit *k, struct told *told)
{
    struct kit_settle s[IN_BATCH];
    struct sh_op *first = NULL;
    for (int i = IN_BATCH - 1; i >= 0; i--) {
        if (!told[i].stored)
            continue;
        kit_settle_init(&s[i], told[i].id);
        kit_add_run(&s[i], "counts", SH_RUN_DONE);
        kit_fx(&s[i], kit_incr("stats", "n", "n", 1));
        kit_fx(&s[i],
               kit_leave(SH_FX_EMAIL, "", "{\"to\":[\"a@example.org\"],\"notify\":\"mail\"}"));
        s[i].op.op.next = first;
        first = &s[i].op.op;
    }
    if (first)
        sh_store_batch(k->s, first);
    for (int i = 0; i < IN_BATCH; i++)
        if (told[i].stored) {
            told[i].settled = s[i].op.op.ok;
            kit_settle_free(&s[i]);
        }
}

/* All that waits is delivered; what of it the store said that it knows. */
static int deliver_batch(struct kit *k)
{
    struct sh_op_outbox o = {.op.kind = SH_OP_OUTBOX, .before_ms = 1, .limit = 100};
    struct sh_op_delivery d[100];
    int known = 0;
    if (!kit_run(k, &o.op))
        return 0;
    for (size_t i = 0; i < o.n_items; i++) {
        d[i] = (struct sh_op_delivery){
            .op.kind = SH_OP_DELIVERY, .item_id = o.items[i].id, .state = SH_DELIVERY_SENT};
        d[i].op.next = i + 1 < o.n_items ? &d[i + 1].op : NULL;
    }
    if (o.n_items)
        sh_store_batch(k->s, &d[0].op);
    for (size_t i = 0; i < o.n_items; i++) {
        known += d[i].op.ok;
        assert_int_equal(d[i].op.ok, d[i].emitted != NULL);
        sh_event_free(d[i].emitted);
    }
    sh_outbox_items_free(o.items, o.n_items);
    return known;
}

/* An item's mark and the event that tells of it are together. */
static void check_deliveries(struct kit *k, int known, bool certain)
{
    char sent[32];
    snprintf(sent, sizeof(sent), "%s",
             kit_sql(k, "SELECT count(*) FROM sh_outbox WHERE state = 'sent'"));
    assert_string_equal(
        kit_sql(k, "SELECT count(*) FROM sh_events WHERE type = 'delivery_succeeded'"), sent);
    assert_true(atoi(sent) >= known);
    if (certain)
        assert_int_equal(atoi(sent), known);
}

/* Everything that was said must be so; what was refused with a certain code must not be there. */
static void check_told(struct kit *k, const struct told *told, bool certain)
{
    int settled = 0, done = atoi(kit_sql(k, "SELECT count(*) FROM sh_runs"));
    for (int i = 0; i < BATCHES * IN_BATCH; i++) {
        char id[SH_ID_TEXT];
        settled += told[i].settled;
        if (!told[i].stored)
            continue;
        struct sh_list_query q = {.what = SH_LIST_EVENTS, .id = sh_id_text(told[i].id, id)};
        cJSON *rows = kit_list(k, q);
        assert_int_equal(cJSON_GetArraySize(rows), 1);
        const char *now = sh_json_string(cJSON_GetArrayItem(rows, 0), "state");
        if (told[i].settled)
            assert_string_equal(now, "done");
        cJSON_Delete(rows);
    }
    assert_true(done >= settled);
    if (certain)
        assert_int_equal(done, settled);
    /* whatever happened: an event's effects and the mark that it is done are together */
    char sum[32];
    snprintf(sum, sizeof(sum), "%d", done);
    assert_string_equal(
        kit_sql(k, "SELECT coalesce((SELECT json_extract(doc, '$.n') FROM sh_records), 0)"), sum);
    assert_string_equal(kit_sql(k, "SELECT count(*) FROM sh_outbox"), sum);
    assert_string_equal(kit_sql(k, "PRAGMA integrity_check"), "ok");
}

/* One run with the fault at n; false when it never struck. */
static bool run_with(enum fault kind, int n, bool for_ever)
{
    struct kit k;
    struct told told[BATCHES * IN_BATCH];
    struct sh_error fatal = {0};
    int known = 0;
    kit_init(&k);
    kit_open_as(&k, false, "shim");
    k.s->dedupe_move_at = 4; /* dedupe ids are on the move meanwhile */
    arm(kind, n, for_ever, 0);
    for (int b = 0; b < BATCHES; b++) {
        accept_batch(&k, told + b * IN_BATCH, b);
        settle_batch(&k, told + b * IN_BATCH);
        known += deliver_batch(&k);
        if (kind == SYNC_EIO && plan.hits) /* nothing after a failed fsync may be believed */
            assert_true(sh_store_get_fatal(k.s, &fatal));
        for (int i = 0; i < IN_BATCH; i++)
            if (fatal.code && !told[b * IN_BATCH + i].stored)
                assert_int_equal(told[b * IN_BATCH + i].refused, SH_EFATAL);
    }
    bool struck = plan.hits > 0;
    bool unknown = sh_store_get_fatal(k.s, &fatal);
    if (kind == WRITE_FULL)
        assert_false(unknown);
    kit_close(&k);
    arm(NONE, 0, false, 0);
    kit_open(&k);
    kit_accept(&k, "after");
    for (int i = 0; i < BATCHES * IN_BATCH; i++) { /* each event stored is known by its dedupe id */
        char dedupe[32];
        snprintf(dedupe, sizeof(dedupe), "%d-%d", i / IN_BATCH, i % IN_BATCH);
        assert_true(!told[i].stored || sh_id_eq(kit_accept(&k, dedupe), told[i].id));
    }
    check_told(&k, told, !unknown);
    check_deliveries(&k, known, !unknown);
    kit_end(&k);
    return struck;
}

static void every(enum fault kind, bool for_ever)
{
    int n = 1;
    while (run_with(kind, n, for_ever))
        assert_true(++n < 5000);
    assert_true(n > BATCHES); /* it did strike, in many places */
}

static void test_every_write_fails(void **state)
{
    (void)state;
    every(WRITE_EIO, false);
}

static void test_every_write_finds_no_room(void **state)
{
    (void)state;
    every(WRITE_FULL, false);
}

static void test_no_room_from_some_write_on(void **state)
{
    (void)state;
    every(WRITE_FULL, true);
}

static void test_every_sync_fails(void **state)
{
    (void)state;
    every(SYNC_EIO, false);
}

/* The start itself: it fails with a message or it works; a second start always works. */
static void test_start_with_faults(void **state)
{
    (void)state;
    static const enum fault kinds[] = {WRITE_EIO, WRITE_FULL, SYNC_EIO, READ_EIO};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        bool struck = true;
        for (int n = 1; struck; n++) {
            struct kit k;
            struct sh_error err = {0};
            kit_init(&k);
            struct sh_store_config c = kit_config(&k, false, "shim");
            arm(kinds[i], n, false, 0);
            struct sh_store *s = sh_store_open(&c, &err);
            struck = plan.hits > 0;
            if (!s)
                assert_true(err.code != SH_OK && err.msg[0]);
            sh_store_close(s);
            arm(NONE, 0, false, 0);
            kit_open(&k);
            kit_accept(&k, "x");
            kit_end(&k);
        }
    }
}

/* --- full, then room again --------------------------------------------------- */

static void test_full_then_room(void **state)
{
    (void)state;
    struct kit k;
    struct told told[IN_BATCH], before[IN_BATCH];
    kit_init(&k);
    kit_open_as(&k, false, "shim");
    accept_batch(&k, before, 0);
    kit_apply(&k, kit_put("calls", "x", "{\"a\":1}"), NULL, 0);
    arm(WRITE_FULL, 1, true, 0);
    for (int i = 0; i < 3; i++) {
        accept_batch(&k, told, 1 + i);
        for (int j = 0; j < IN_BATCH; j++) {
            assert_false(told[j].stored);
            assert_int_equal(told[j].refused, SH_EFULL);
        }
        assert_string_equal(kit_doc(&k, "calls", "x"), "{\"a\":1}"); /* reading goes on */
    }
    arm(NONE, 0, false, 0);
    accept_batch(&k, told, 1); /* the same dedupe ids: nothing of them was kept */
    for (int j = 0; j < IN_BATCH; j++)
        assert_true(told[j].stored && !sh_id_eq(told[j].id, before[j].id));
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_events"), "7");
    kit_end(&k);
}

/* --- checkpoints ------------------------------------------------------------- */

/* Accept 80 MB of new events, which is more than the log may hold, or until the store is fatal. */
static enum sh_code write_much(struct kit *k)
{
    static int call;
    call++;
    char *body = sh_alloc(1, 40001);
    memset(body, ' ', 40000);
    memcpy(body, "{}", 2);
    enum sh_code code = SH_OK;
    for (int i = 0; i < 60 && code == SH_OK; i++) {
        struct sh_op_accept a[32];
        struct sh_op *ops[32];
        for (int j = 0; j < 32; j++) {
            char dedupe[48];
            snprintf(dedupe, sizeof(dedupe), "%d-%d-%d", call, i, j);
            a[j] = (struct sh_op_accept){.op.kind = SH_OP_ACCEPT,
                                         .event = kit_event("k", dedupe, body)};
            ops[j] = &a[j].op;
        }
        kit_run_all(k, ops, 32);
        for (int j = 0; j < 32; j++) {
            if (!a[j].op.ok)
                code = a[j].op.err.code;
            sh_event_free(a[j].event);
        }
    }
    free(body);
    return code;
}

static void test_checkpoint_sync_fails(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_open_as(&k, true, "shim");
    arm(SYNC_EIO, 1, false, SQLITE_OPEN_MAIN_DB);
    assert_int_equal(write_much(&k), SH_EFATAL);
    assert_int_equal(plan.hits, 1);
    arm(NONE, 0, false, 0);
    kit_close(&k);
    kit_open(&k);
    assert_string_equal(kit_sql(&k, "PRAGMA integrity_check"), "ok");
    kit_end(&k);
}

/* No room for the database to grow: the log takes it all, and is folded in when there is room. */
static void test_checkpoint_finds_no_room(void **state)
{
    (void)state;
    struct kit k;
    kit_init(&k);
    kit_open_as(&k, true, "shim");
    arm(WRITE_FULL, 1, true, SQLITE_OPEN_MAIN_DB);
    assert_int_equal(write_much(&k), SH_OK);
    assert_true(plan.hits > 0);
    arm(NONE, 0, false, 0);
    kit_close(&k);
    kit_open(&k);
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_events"), "1920");
    assert_string_equal(kit_sql(&k, "PRAGMA integrity_check"), "ok");
    kit_end(&k);
}

/* The log starts afresh while events keep coming: it is soon less than half of what was written.
 * How soon is the disk's affair: one that is slow at copying gets a few more rounds. */
static void test_log_stays_bounded(void **state)
{
    (void)state;
    struct kit k;
    struct stat st;
    char wal[128];
    kit_init(&k);
    kit_open_as(&k, true, NULL);
    snprintf(wal, sizeof(wal), "%s/switchhook.db-wal", k.dir);
    bool bounded = false;
    for (int round = 1; round <= 5 && !bounded; round++) {
        assert_int_equal(write_much(&k), SH_OK);
        assert_int_equal(stat(wal, &st), 0);
        bounded = st.st_size < (off_t)round * (40 << 20);
    }
    assert_true(bounded);
    kit_end(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_write_fails),
        cmocka_unit_test(test_every_write_finds_no_room),
        cmocka_unit_test(test_no_room_from_some_write_on),
        cmocka_unit_test(test_every_sync_fails),
        cmocka_unit_test(test_start_with_faults),
        cmocka_unit_test(test_full_then_room),
        cmocka_unit_test(test_checkpoint_sync_fails),
        cmocka_unit_test(test_checkpoint_finds_no_room),
        cmocka_unit_test(test_log_stays_bounded),
    };
    return cmocka_run_group_tests(tests, register_shim, NULL);
}
