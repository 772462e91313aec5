/* SPDX-License-Identifier: MIT
 * test_outbox.c: the outbox on a real store with its threads, and carriers that do as told. */
#include "store_kit.h"

#include "base/log.h"
#include "core/outbox.h"
#include "svc/loop.h"

#include <sqlite3.h>

#define MAX_STARTS 400

struct start {
    char id[80], key[64];
    uint32_t attempts;
    int64_t at_ms;
};

struct world {
    struct kit kit;
    struct event_base *base;
    struct sh_waker *waker;
    struct sh_timer *alarm, *answer;
    struct sh_outbox *outbox;
    struct sh_carrier carrier;
    struct sh_attempt verdict; /* of every attempt */
    int fail_first;            /* so many attempts are temporary failures before that */
    int64_t answer_ms;         /* how long an attempt takes */
    struct start starts[MAX_STARTS];
    size_t n_starts, n_waiting, max_in_flight;
    struct {
        sh_attempt_fn *done;
        void *arg;
    } waiting[MAX_STARTS];
    bool (*until)(struct world *w);
};

static bool same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* --- The carrier ----------------------------------------------------------------------------- */

static void carrier_start(void *self, const struct sh_outbox_item *item, sh_attempt_fn *done,
                          void *arg)
{
    struct world *w = self;
    assert_true(w->n_starts < MAX_STARTS);
    struct start *s = &w->starts[w->n_starts++];
    snprintf(s->id, sizeof(s->id), "%s", item->id);
    snprintf(s->key, sizeof(s->key), "%s", item->key);
    s->attempts = item->attempts;
    s->at_ms = sh_now_ms();
    w->waiting[w->n_waiting].done = done;
    w->waiting[w->n_waiting++].arg = arg;
    size_t n = w->outbox ? sh_outbox_in_flight(w->outbox) : 0;
    w->max_in_flight = n > w->max_in_flight ? n : w->max_in_flight;
    if (w->answer_ms >= 0)
        sh_timer_set(w->answer, w->answer_ms);
}

static void carrier_answer(void *arg)
{
    static const struct sh_attempt temporary = {SH_ATTEMPT_TEMPORARY, "451 try again"};
    struct world *w = arg;
    size_t n = w->n_waiting;
    w->n_waiting = 0; /* no answer starts another item at once: the store comes in between */
    for (size_t i = 0; i < n; i++) {
        bool fails = w->fail_first > 0;
        w->fail_first -= fails;
        w->waiting[i].done(w->waiting[i].arg, fails ? &temporary : &w->verdict);
    }
}

/* --- The world ------------------------------------------------------------------------------- */

static void on_wake(void *arg)
{
    struct world *w = arg;
    sh_store_reap(w->kit.s);
    if (w->until && w->until(w)) {
        w->until = NULL;
        sh_loop_stop(w->base);
    }
}

static void ring(void *arg)
{
    sh_waker_ring(((struct world *)arg)->waker);
}

static void on_alarm(void *arg)
{
    struct world *w = arg;
    fail_msg("not within 20 s; %zu starts", w->n_starts);
}

/* Take the loop until the condition holds after some reap. */
static void run_until(struct world *w, bool (*until)(struct world *w))
{
    w->until = until;
    sh_timer_set(w->alarm, 20000);
    sh_waker_ring(w->waker);
    sh_loop_run(w->base);
    sh_timer_cancel(w->alarm);
}

static void pause_done(void *arg)
{
    sh_loop_stop(((struct world *)arg)->base);
}

static void run_for(struct world *w, int64_t ms)
{
    struct sh_timer *t = sh_timer_new(w->base, pause_done, w);
    sh_timer_set(t, ms);
    sh_loop_run(w->base);
    sh_timer_free(t);
}

static void open_world(struct world *w, const char *vfs)
{
    struct sh_error err = {0};
    memset(w, 0, sizeof(*w));
    kit_init(&w->kit);
    w->base = sh_loop_new();
    w->waker = sh_waker_new(w->base, on_wake, w);
    w->alarm = sh_timer_new(w->base, on_alarm, w);
    w->answer = sh_timer_new(w->base, carrier_answer, w);
    w->verdict = (struct sh_attempt){SH_ATTEMPT_SENT, "250 OK"};
    w->carrier = (struct sh_carrier){"email", w, carrier_start};
    const struct sh_store_config c = {
        .dir = w->kit.dir, .threads = true, .wake = ring, .wake_arg = w, .vfs = vfs};
    w->kit.s = sh_store_open(&c, &err);
    if (!w->kit.s)
        fail_msg("%s", err.msg);
}

static void start_outbox(struct world *w, size_t in_flight, const int64_t *retry_ms, size_t n)
{
    const struct sh_outbox_config c = {.carriers = &w->carrier,
                                       .n_carriers = 1,
                                       .in_flight = in_flight,
                                       .retry_ms = retry_ms,
                                       .n_retry = n};
    w->outbox = sh_outbox_new(w->base, w->kit.s, &c);
    sh_outbox_poke(w->outbox);
}

static bool idle(struct world *w)
{
    return sh_outbox_in_flight(w->outbox) == 0;
}

static void close_world(struct world *w)
{
    sh_outbox_stop(w->outbox);
    w->answer_ms = 0;
    sh_timer_set(w->answer, 0);
    run_until(w, idle);
    sh_outbox_free(w->outbox);
    kit_end(&w->kit);
    sh_timer_free(w->alarm);
    sh_timer_free(w->answer);
    sh_waker_free(w->waker);
    sh_loop_free(w->base);
}

static void op_done(struct sh_op *op)
{
    op->arg = NULL;
}

static void run_op(struct world *w, struct sh_op *op)
{
    op->done = op_done;
    op->arg = w;
    sh_store_submit(w->kit.s, op);
    while (op->arg) {
        usleep(1000);
        sh_store_reap(w->kit.s);
    }
    if (!op->ok)
        fail_msg("%s", op->err.msg);
}

/* One event whose one run asks for n emails. */
static void queue_emails(struct world *w, size_t n)
{
    struct kit_settle s;
    char dedupe[40];
    static int serial;
    snprintf(dedupe, sizeof(dedupe), "event-%d", serial++);
    struct sh_op_accept op = {.op.kind = SH_OP_ACCEPT};
    op.event = kit_event("k", dedupe, "{\"a\":1}");
    run_op(w, &op.op);
    kit_settle_init(&s, op.event->id);
    kit_add_run(&s, "rule", SH_RUN_DONE);
    for (size_t i = 0; i < n; i++)
        kit_fx(&s,
               kit_leave(SH_FX_EMAIL, "", "{\"to\":[\"a@b.c\"],\"subject\":\"s\",\"text\":\"t\"}"));
    run_op(w, &s.op.op);
    assert_int_equal(s.op.n_queued, n);
    kit_settle_free(&s);
    sh_event_free(op.event);
}

static size_t in_state(struct world *w, const char *state)
{
    return kit_list_size(&w->kit, (struct sh_list_query){.what = SH_LIST_OUTBOX, .state = state});
}

static size_t starts_of(const struct world *w, const char *id)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_starts; i++)
        n += same(w->starts[i].id, id);
    return n;
}

/* --- Tests ----------------------------------------------------------------------------------- */

static bool all_fifty(struct world *w)
{
    return w->n_starts >= 50 && idle(w);
}

static void each_item_is_sent_once_and_few_at_a_time(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    queue_emails(&w, 50);
    w.answer_ms = 2;
    start_outbox(&w, 3, NULL, 0);
    run_until(&w, all_fifty);
    assert_int_equal(w.n_starts, 50);
    for (size_t i = 0; i < w.n_starts; i++)
        assert_int_equal(starts_of(&w, w.starts[i].id), 1);
    assert_true(w.max_in_flight > 1 && w.max_in_flight <= 3);
    assert_int_equal(in_state(&w, "sent"), 50);
    run_for(&w, 1200); /* the safety net finds nothing left */
    assert_int_equal(w.n_starts, 50);
    close_world(&w);
}

static void an_item_in_flight_is_not_fetched_again(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    queue_emails(&w, 2);
    w.answer_ms = -1;
    start_outbox(&w, 5, NULL, 0);
    for (int i = 0; i < 20; i++) {
        sh_outbox_poke(w.outbox);
        run_for(&w, 100);
    }
    assert_int_equal(w.n_starts, 2);
    assert_int_equal(sh_outbox_in_flight(w.outbox), 2);
    close_world(&w);
}

static bool three_attempts(struct world *w)
{
    return w->n_starts >= 3 && idle(w);
}

static void failures_are_tried_again_later_and_later(void **state)
{
    (void)state;
    static const int64_t retry[] = {200, 1500};
    struct world w;
    open_world(&w, NULL);
    queue_emails(&w, 1);
    w.fail_first = 2;
    start_outbox(&w, 2, retry, 2);
    run_until(&w, three_attempts);
    assert_int_equal(w.n_starts, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(w.starts[i].attempts, i);
        assert_string_equal(w.starts[i].id, w.starts[0].id);
        assert_string_equal(w.starts[i].key, w.starts[0].key); /* the same on every attempt */
    }
    int64_t first = w.starts[1].at_ms - w.starts[0].at_ms;
    int64_t second = w.starts[2].at_ms - w.starts[1].at_ms;
    if (first < 180 || first > 900 || second < 1350 || second > 2400)
        fail_msg("delays %lld and %lld ms", (long long)first, (long long)second);
    assert_int_equal(in_state(&w, "sent"), 1);
    close_world(&w);
}

static void delays_are_spread(void **state)
{
    (void)state;
    static const int64_t retry[] = {100000};
    struct world w;
    open_world(&w, NULL);
    queue_emails(&w, 50);
    w.verdict = (struct sh_attempt){SH_ATTEMPT_TEMPORARY, "451 later"};
    int64_t from = sh_now_ms();
    start_outbox(&w, 10, retry, 1);
    run_until(&w, all_fifty);
    int64_t to = sh_now_ms();
    char sql[200];
    snprintf(sql, sizeof(sql),
             "SELECT count(*) FROM sh_outbox WHERE state = 'queued' AND next_ms BETWEEN %lld AND "
             "%lld",
             (long long)from + 90000, (long long)to + 110000);
    assert_string_equal(kit_sql(&w.kit, sql), "50");
    int64_t spread = atoll(kit_sql(&w.kit, "SELECT max(next_ms) - min(next_ms) FROM sh_outbox"));
    assert_true(spread > 8000);
    assert_string_equal(kit_sql(&w.kit, "SELECT error FROM sh_outbox LIMIT 1"), "451 later");
    close_world(&w);
}

static void after_the_last_attempt_it_is_dead(void **state)
{
    (void)state;
    static const int64_t retry[] = {10, 10};
    struct world w;
    open_world(&w, NULL);
    queue_emails(&w, 1);
    w.verdict = (struct sh_attempt){SH_ATTEMPT_TEMPORARY, "451 never"};
    start_outbox(&w, 2, retry, 2);
    run_until(&w, three_attempts);
    run_for(&w, 300);
    assert_int_equal(w.n_starts, 3);
    assert_int_equal(in_state(&w, "dead"), 1);
    assert_string_equal(kit_sql(&w.kit, "SELECT error FROM sh_outbox"), "451 never");
    close_world(&w);
}

static bool one_attempt(struct world *w)
{
    return w->n_starts >= 1 && idle(w);
}

static void a_final_refusal_is_not_repeated_until_redriven_elsewhere(void **state)
{
    (void)state;
    static const int64_t retry[] = {10, 10, 10};
    struct world w;
    open_world(&w, NULL);
    queue_emails(&w, 1);
    w.verdict = (struct sh_attempt){SH_ATTEMPT_PERMANENT, "550 no such user"};
    start_outbox(&w, 2, retry, 3);
    run_until(&w, one_attempt);
    run_for(&w, 200);
    assert_int_equal(w.n_starts, 1);
    assert_int_equal(in_state(&w, "dead"), 1);
    /* Another process brings it back: nobody pokes, the poll finds it. */
    kit_sql(&w.kit, "UPDATE sh_outbox SET state = 'queued', attempts = 0, next_ms = 1");
    w.verdict = (struct sh_attempt){SH_ATTEMPT_SENT, "250 OK"};
    run_for(&w, 1500);
    assert_int_equal(w.n_starts, 2);
    assert_string_equal(w.starts[1].key, w.starts[0].key);
    assert_int_equal(in_state(&w, "sent"), 1);
    close_world(&w);
}

static bool nothing_queued(struct world *w)
{
    return idle(w) && in_state(w, "queued") == 0;
}

static void a_kind_without_carrier_is_dead_with_the_reason(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    queue_emails(&w, 1);
    w.carrier.kind = "pigeon";
    start_outbox(&w, 2, NULL, 0);
    run_until(&w, nothing_queued);
    assert_int_equal(w.n_starts, 0);
    assert_int_equal(in_state(&w, "dead"), 1);
    assert_non_null(strstr(kit_sql(&w.kit, "SELECT error FROM sh_outbox"), "this kind"));
    close_world(&w);
}

static void stop_lets_what_is_in_flight_finish(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    queue_emails(&w, 10);
    w.answer_ms = 100;
    start_outbox(&w, 3, NULL, 0);
    while (w.n_starts == 0)
        run_for(&w, 5);
    sh_outbox_stop(w.outbox);
    sh_outbox_poke(w.outbox);
    run_until(&w, idle);
    assert_int_equal(w.n_starts, 3);
    assert_int_equal(in_state(&w, "sent"), 3);
    assert_int_equal(in_state(&w, "queued"), 7);
    run_for(&w, 1200);
    assert_int_equal(w.n_starts, 3);
    close_world(&w);
}

static void what_was_in_flight_at_the_end_is_sent_after_the_next_start(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    queue_emails(&w, 2);
    w.answer_ms = -1;
    start_outbox(&w, 2, NULL, 0);
    while (w.n_starts < 2)
        run_for(&w, 5);
    w.n_waiting = 0; /* the carrier is gone: no answer ever comes */
    sh_outbox_free(w.outbox);
    w.outbox = NULL;
    w.answer_ms = 0;
    start_outbox(&w, 2, NULL, 0);
    run_until(&w, nothing_queued);
    assert_int_equal(w.n_starts, 4);
    assert_int_equal(starts_of(&w, w.starts[0].id), 2);
    assert_int_equal(in_state(&w, "sent"), 2);
    close_world(&w);
}

/* --- A store that cannot write --------------------------------------------------------------- */

/* SQLite's own VFS, whose writes fail with SQLITE_FULL while `disk_full` is set. */
static volatile int disk_full;
static sqlite3_vfs full_vfs;
static struct patched {
    const sqlite3_io_methods *from;
    sqlite3_io_methods methods;
} patched[8];

static struct patched *patch_of(const sqlite3_io_methods *m)
{
    for (size_t i = 0; i < sizeof(patched) / sizeof(*patched); i++) {
        if (&patched[i].methods == m || patched[i].from == m)
            return &patched[i];
    }
    return NULL;
}

static int full_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    if (__atomic_load_n(&disk_full, __ATOMIC_SEQ_CST))
        return SQLITE_FULL;
    return patch_of(f->pMethods)->from->xWrite(f, p, n, at);
}

static int full_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    sqlite3_vfs *real = vfs->pAppData;
    int rc = real->xOpen(real, name, f, flags, out);
    if (rc != SQLITE_OK || !f->pMethods)
        return rc;
    pthread_mutex_lock(&lock);
    struct patched *p = patch_of(f->pMethods);
    if (!p) {
        p = patch_of(NULL); /* a free place */
        p->methods = *f->pMethods;
        p->methods.xWrite = full_write;
        p->from = f->pMethods;
    }
    f->pMethods = &p->methods;
    pthread_mutex_unlock(&lock);
    return rc;
}

static bool one_start(struct world *w)
{
    return w->n_starts >= 1;
}

static void a_verdict_outlives_a_full_disk(void **state)
{
    (void)state;
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    full_vfs = *real;
    full_vfs.zName = "full";
    full_vfs.pNext = NULL;
    full_vfs.pAppData = real;
    full_vfs.xOpen = full_open;
    assert_int_equal(sqlite3_vfs_register(&full_vfs, 0), SQLITE_OK);
    struct world w;
    open_world(&w, "full");
    queue_emails(&w, 5);
    w.answer_ms = 50;
    start_outbox(&w, 2, NULL, 0);
    run_until(&w, one_start);
    __atomic_store_n(&disk_full, 1, __ATOMIC_SEQ_CST);
    run_for(&w, 3500);               /* several polls, several offers of the verdicts */
    assert_int_equal(w.n_starts, 2); /* nothing again, and nothing new: the slots are kept */
    assert_int_equal(sh_outbox_in_flight(w.outbox), 2);
    assert_int_equal(in_state(&w, "queued"), 5);
    __atomic_store_n(&disk_full, 0, __ATOMIC_SEQ_CST);
    run_until(&w, nothing_queued);
    assert_int_equal(w.n_starts, 5); /* each once */
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(starts_of(&w, w.starts[i].id), 1);
    assert_int_equal(in_state(&w, "sent"), 5);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_item_is_sent_once_and_few_at_a_time),
        cmocka_unit_test(an_item_in_flight_is_not_fetched_again),
        cmocka_unit_test(failures_are_tried_again_later_and_later),
        cmocka_unit_test(delays_are_spread),
        cmocka_unit_test(after_the_last_attempt_it_is_dead),
        cmocka_unit_test(a_final_refusal_is_not_repeated_until_redriven_elsewhere),
        cmocka_unit_test(a_kind_without_carrier_is_dead_with_the_reason),
        cmocka_unit_test(stop_lets_what_is_in_flight_finish),
        cmocka_unit_test(what_was_in_flight_at_the_end_is_sent_after_the_next_start),
        cmocka_unit_test(a_verdict_outlives_a_full_disk),
    };
    sh_log_set_level(SH_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
