/* SPDX-License-Identifier: MIT
 * test_store_threads.c: the store with its threads, many hands at once; meant for the thread
 * sanitizer (-DSANITIZE=thread) as well. */
#include "store_kit.h"

#include "core/store_impl.h"

#include <stdatomic.h>

enum { HANDS = 4, EACH = 150 };

static struct kit k;

static int setup(void **state)
{
    (void)state;
    kit_init(&k);
    kit_open_as(&k, true, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_end(&k);
    return 0;
}

/* An event's way: accepted, read for, settled. Steps are taken on the reaping thread. */
struct way {
    struct sh_op_accept accept;
    struct sh_op_read read;
    struct kit_settle settle;
    struct sh_op_pending pending;
    uint64_t mark;
    int tries;
};

static _Atomic size_t finished, conflicts;

static void step_read(struct way *w);

static void on_settled(struct sh_op *op)
{
    struct way *w = op->arg;
    assert_true(op->ok);
    bool again = w->settle.runs[0].conflict;
    kit_settle_free(&w->settle);
    if (again) {
        conflicts++;
        step_read(w);
        return;
    }
    sh_event_free(w->accept.event);
    finished++;
}

/* A counter by read and put, as a careless rule would have it: only conflicts keep it right. */
static void on_read(struct sh_op *op)
{
    struct way *w = op->arg;
    char doc[64];
    int n = 0;
    assert_true(op->ok);
    struct sh_reader r = sh_reader_of(sh_slice(w->read.answer.data, w->read.answer.len));
    assert_true(sh_read_u8(&r));
    w->mark = sh_read_u64(&r);
    if (sh_read_uint(&r)) {
        sh_read_bytes(&r);
        assert_int_equal(sscanf(sh_read_bytes(&r).p, "{\"n\":%d}", &n), 1);
    }
    sh_buf_free(&w->read.answer);
    snprintf(doc, sizeof(doc), "{\"n\":%d}", n + 1);
    kit_settle_init(&w->settle, w->accept.event->id);
    kit_add_run(&w->settle, "counts", SH_RUN_DONE);
    kit_saw(&w->settle, w->read.request, w->mark);
    kit_fx(&w->settle, kit_put("stats", "s", doc));
    w->settle.op.op.done = on_settled;
    w->settle.op.op.arg = w;
    sh_store_submit(k.s, &w->settle.op.op);
}

static void step_read(struct way *w)
{
    w->read = (struct sh_op_read){.op = {.kind = SH_OP_READ, .done = on_read, .arg = w},
                                  .request = kit_get_of("stats", "s")};
    sh_store_submit(k.s, &w->read.op);
}

static void on_accepted(struct sh_op *op)
{
    assert_true(op->ok);
    step_read(op->arg);
}

struct hand {
    pthread_t thread;
    int number;
    struct way ways[EACH];
};

static void *submit_all(void *arg)
{
    struct hand *h = arg;
    for (int i = 0; i < EACH; i++) {
        struct way *w = &h->ways[i];
        char dedupe[32];
        snprintf(dedupe, sizeof(dedupe), "%d-%d", h->number, i);
        w->accept =
            (struct sh_op_accept){.op = {.kind = SH_OP_ACCEPT, .done = on_accepted, .arg = w},
                                  .event = kit_event("k", dedupe, "{\"a\":1}")};
        sh_store_submit(k.s, &w->accept.op);
        if (i % 16 == 0)
            sh_store_waiting(k.s);
    }
    return NULL;
}

static void reap_until(size_t want)
{
    for (;;) {
        sh_store_reap(k.s);
        if (finished >= want)
            return;
        pthread_mutex_lock(&k.mu);
        while (!k.wakes)
            pthread_cond_wait(&k.woken, &k.mu);
        k.wakes = 0;
        pthread_mutex_unlock(&k.mu);
    }
}

static void test_many_hands(void **state)
{
    (void)state;
    struct hand *hands = sh_alloc(HANDS, sizeof(*hands));
    finished = conflicts = 0;
    for (int i = 0; i < HANDS; i++) {
        hands[i].number = i;
        assert_int_equal(pthread_create(&hands[i].thread, NULL, submit_all, &hands[i]), 0);
    }
    reap_until((size_t)HANDS * EACH);
    for (int i = 0; i < HANDS; i++)
        pthread_join(hands[i].thread, NULL);
    free(hands);
    char expected[32];
    snprintf(expected, sizeof(expected), "{\"n\":%d}", HANDS * EACH);
    assert_string_equal(kit_doc(&k, "stats", "s"), expected);
    assert_true(conflicts > 0); /* there was something to keep apart */
}

/* Operations of one kind are reported in the order submitted. */
static size_t reported;

static void on_ordered(struct sh_op *op)
{
    assert_int_equal((size_t)(uintptr_t)op->arg, reported);
    reported++;
    finished++;
}

static void test_order(void **state)
{
    (void)state;
    enum { N = 3000 };
    struct sh_op_accept *a = sh_alloc(N, sizeof(*a));
    reported = 0;
    finished = 0;
    for (size_t i = 0; i < N; i++) {
        char dedupe[32];
        snprintf(dedupe, sizeof(dedupe), "%zu", i);
        a[i] = (struct sh_op_accept){
            .op = {.kind = SH_OP_ACCEPT, .done = on_ordered, .arg = (void *)(uintptr_t)i},
            .event = kit_event("k", dedupe, "{}")};
        sh_store_submit(k.s, &a[i].op);
    }
    reap_until(N);
    for (size_t i = 0; i < N; i++) {
        assert_true(a[i].op.ok);
        if (i)
            assert_true(sh_id_order(a[i].event->id) > sh_id_order(a[i - 1].event->id));
    }
    for (size_t i = 0; i < N; i++)
        sh_event_free(a[i].event);
    free(a);
}

/* A listing, and a redrive from another connection, while the engine writes and folds its log. */
static void *look_on(void *arg)
{
    _Atomic bool *stop = arg;
    while (!*stop) {
        struct sh_error err = {0};
        struct sh_store_view *v = sh_store_view_open(k.dir, &err);
        cJSON *rows = cJSON_CreateArray();
        struct sh_list_query q = {.what = SH_LIST_EVENTS, .limit = 50};
        if (!v || !sh_store_view_list(v, &q, kit_keep_row, rows, &err))
            sh_die("list: %s", err.msg);
        cJSON_Delete(rows);
        sh_store_view_close(v);
        struct sh_store_config c = {.dir = k.dir, .shared = true};
        struct kit side = {.s = sh_store_open(&c, &err)};
        struct sh_op_redrive op = {.op.kind = SH_OP_REDRIVE};
        if (!side.s || !kit_run(&side, &op.op))
            sh_die("redrive: %s %s", err.msg, op.op.err.msg);
        sh_store_close(side.s);
    }
    return NULL;
}

static void test_others_beside(void **state)
{
    (void)state;
    enum { BIG = 60000, ROUNDS = 20, N = 32 };
    _Atomic bool stop = false;
    pthread_t t;
    char *body = sh_alloc(1, BIG + 1);
    memset(body, ' ', BIG);
    memcpy(body, "{}", 2);
    assert_int_equal(pthread_create(&t, NULL, look_on, &stop), 0);
    for (int i = 0; i < ROUNDS; i++) { /* 38 MB: over the checkpoint's mark */
        struct sh_op_accept a[N];
        struct sh_op *ops[N];
        for (int j = 0; j < N; j++) {
            char dedupe[32];
            snprintf(dedupe, sizeof(dedupe), "%d-%d", i, j);
            a[j] = (struct sh_op_accept){.op.kind = SH_OP_ACCEPT,
                                         .event = kit_event("k", dedupe, body)};
            ops[j] = &a[j].op;
        }
        kit_run_all(&k, ops, N);
        for (int j = 0; j < N; j++) {
            if (!a[j].op.ok)
                fail_msg("accept: %s", a[j].op.err.msg);
            sh_event_free(a[j].event);
        }
    }
    stop = true;
    pthread_join(t, NULL);
    free(body);
    assert_int_equal(kit_list_size(&k, (struct sh_list_query){.what = SH_LIST_EVENTS}), ROUNDS * N);
}

/* Verdicts on what one fetch gave: every third item is put back once, the others are sent. */
struct round {
    struct sh_op_outbox fetch;
    struct sh_op_delivery d[64];
    struct sh_op *ops[64];
};

static size_t deliver_round(struct round *r, uint8_t *times)
{
    size_t sent = 0, told = 0;
    r->fetch = (struct sh_op_outbox){.op.kind = SH_OP_OUTBOX, .before_ms = 1, .limit = 64};
    assert_true(kit_run(&k, &r->fetch.op));
    for (size_t i = 0; i < r->fetch.n_items; i++) {
        const struct sh_outbox_item *item = &r->fetch.items[i];
        bool back = item->seq % 3 == 0 && times[item->seq] == 0;
        assert_true(i == 0 || item[0].seq > item[-1].seq);
        assert_int_equal(item->attempts, 0);
        assert_true(times[item->seq]++ < (item->seq % 3 == 0 ? 2 : 1)); /* none that is sent */
        r->d[i] = (struct sh_op_delivery){.op.kind = SH_OP_DELIVERY,
                                          .item_id = item->id,
                                          .state = back ? SH_DELIVERY_RETRY : SH_DELIVERY_SENT,
                                          .uncharged = back,
                                          .lane = back ? "email" : NULL,
                                          .lane_until_ms = 5};
        r->ops[i] = &r->d[i].op;
        sent += !back;
    }
    if (r->fetch.n_items)
        kit_run_all(&k, r->ops, r->fetch.n_items);
    for (size_t i = 0; i < r->fetch.n_items; i++) {
        assert_true(r->d[i].op.ok);
        told += r->d[i].emitted != NULL;
        sh_event_free(r->d[i].emitted);
    }
    sh_outbox_items_free(r->fetch.items, r->fetch.n_items);
    assert_int_equal(told, sent);
    return sent;
}

static void on_queued(struct sh_op *op)
{
    assert_true(op->ok);
    assert_int_equal(((struct sh_op_settle *)op)->n_queued, 1);
    finished++;
}

/* Items are fetched and delivered while others are queued: each once, in order. */
static void test_outbox_beside(void **state)
{
    (void)state;
    enum { N = 200 };
    struct kit_settle *s = sh_alloc(N, sizeof(*s));
    struct round *r = sh_alloc(1, sizeof(*r));
    uint8_t times[N + 1] = {0};
    size_t sent = 0;
    finished = 0;
    for (int i = 0; i < N; i++) {
        char dedupe[16];
        snprintf(dedupe, sizeof(dedupe), "%d", i);
        kit_settle_init(&s[i], kit_accept(&k, dedupe));
        kit_add_run(&s[i], "r", SH_RUN_DONE);
        kit_fx(&s[i], kit_leave(SH_FX_EMAIL, "", "{\"to\":\"a@example.org\",\"notify\":\"n\"}"));
        s[i].op.op.done = on_queued;
    }
    for (int i = 0; i < N; i++)
        sh_store_submit(k.s, &s[i].op.op);
    while (sent < N)
        sent += deliver_round(r, times);
    reap_until(N);
    for (int i = 0; i < N; i++)
        kit_settle_free(&s[i]);
    free(s);
    free(r);
    char expected[16];
    snprintf(expected, sizeof(expected), "%d", N);
    assert_string_equal(kit_sql(&k, "SELECT count(*) FROM sh_outbox WHERE attempts = 1"), expected);
    assert_string_equal(
        kit_sql(&k, "SELECT count(*) FROM sh_events WHERE type = 'delivery_succeeded'"), expected);
}

/* Somebody's database browser that keeps a transaction open makes the log grow, and no more: the
 * writer does not wait for it. */
static void test_open_reader_does_not_stop_the_writer(void **state)
{
    (void)state;
    enum { BIG = 900000, N = 90 }; /* 81 MB: over the mark of the checkpoint */
    char *path = sh_strf("%s/switchhook.db", k.dir), *body = sh_alloc(1, BIG + 1);
    struct sh_error err = {0};
    const struct sh_sqlite_config c = {.path = path, .read_only = true, .cache_kib = 256};
    memset(body, ' ', BIG);
    memcpy(body, "{}", 2);
    kit_accept(&k, "first");
    sqlite3 *browser = sh_sqlite_open(&c, &err);
    assert_non_null(browser);
    assert_true(sh_sqlite_exec(browser, "BEGIN; SELECT count(*) FROM sh_events", &err));
    int64_t longest_us = 0;
    for (int i = 0; i < N; i++) {
        char dedupe[32];
        snprintf(dedupe, sizeof(dedupe), "%d", i);
        struct sh_op_accept a = {.op.kind = SH_OP_ACCEPT, .event = kit_event("k", dedupe, body)};
        int64_t began_us = sh_mono_us();
        assert_true(kit_run(&k, &a.op));
        int64_t took_us = sh_mono_us() - began_us;
        longest_us = took_us > longest_us ? took_us : longest_us;
        sh_event_free(a.event);
    }
    assert_in_range(longest_us, 0, 2000000);
    sh_sqlite_close(browser);
    free(path);
    free(body);
}

/* Closing finishes what is queued, reported or not. */
static void test_close_finishes(void **state)
{
    (void)state;
    enum { N = 500 };
    struct sh_op_accept *a = sh_alloc(N, sizeof(*a));
    for (size_t i = 0; i < N; i++) {
        char dedupe[32];
        snprintf(dedupe, sizeof(dedupe), "%zu", i);
        a[i] = (struct sh_op_accept){.op = {.kind = SH_OP_ACCEPT},
                                     .event = kit_event("k", dedupe, "{}")};
        sh_store_submit(k.s, &a[i].op);
    }
    kit_close(&k);
    for (size_t i = 0; i < N; i++)
        sh_event_free(a[i].event);
    free(a);
    assert_int_equal(kit_list_size(&k, (struct sh_list_query){.what = SH_LIST_EVENTS}), N);
    char wal[128];
    snprintf(wal, sizeof(wal), "%s/switchhook.db-wal", k.dir);
    struct stat st;
    assert_true(stat(wal, &st) != 0 || st.st_size == 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_many_hands),    T(test_order),
        T(test_others_beside), T(test_open_reader_does_not_stop_the_writer),
        T(test_outbox_beside), T(test_close_finishes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
