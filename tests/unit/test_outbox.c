/* SPDX-License-Identifier: MIT
 * test_outbox.c: the outbox on a real store with its threads, and carriers that do as told. */
#include "store_kit.h"

#include "base/log.h"
#include "core/outbox.h"
#include "svc/loop.h"

#include <sqlite3.h>
#include <sys/syscall.h>
#include <time.h>

#define MAX_STARTS 100000 /* targets that are down are probed the more the longer a run takes */
#define MAX_EVENTS 16

/* The wall clock of this process can be set: this takes the place of libc's. */
static int64_t wall_offset_ms;

int clock_gettime(clockid_t clock, struct timespec *ts)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, ts);
    if (clock == CLOCK_REALTIME)
        ts->tv_sec += __atomic_load_n(&wall_offset_ms, __ATOMIC_RELAXED) / 1000;
    return rc;
}

static int64_t mono_ms(void)
{
    return sh_mono_us() / 1000;
}

struct start {
    char id[80], key[64], lane[48];
    uint32_t attempts;
    int n;         /* the item's number, from its payload */
    int64_t at_ms; /* monotonic */
    size_t beside; /* others of its lane under way at the time */
    bool answered;
};

struct world {
    struct kit kit;
    struct event_base *base;
    struct sh_waker *waker;
    struct sh_timer *alarm, *answer;
    struct sh_outbox *outbox;
    struct sh_carrier carriers[2];
    struct sh_attempt verdict; /* of every attempt, if no script says otherwise */
    int fail_first;            /* so many attempts are temporary failures before that */
    /* NULL: no answer */
    const struct sh_attempt *(*script)(struct world *w, const struct start *s);
    int64_t answer_ms; /* how long an attempt takes */
    struct start *starts;
    size_t n_starts, n_waiting, max_in_flight;
    struct waiting {
        sh_attempt_fn *done;
        void *arg;
        size_t start;
    } * waiting;
    struct sh_event *events[MAX_EVENTS];
    size_t n_events;
    size_t goal;
    bool (*until)(struct world *w);
};

static const struct sh_attempt down = {SH_ATTEMPT_TARGET_DOWN, "could not connect", .status = 0};
static const struct sh_attempt temporary = {SH_ATTEMPT_TEMPORARY, "451 try again", .status = 451};
static const struct sh_attempt sent = {SH_ATTEMPT_SENT, "200 OK", .status = 200};

static bool same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* --- The carrier ----------------------------------------------------------------------------- */

static int number_of(const char *payload)
{
    const char *at = strstr(payload, "#");
    return at ? atoi(at + 1) : 0;
}

static void carrier_start(void *self, const struct sh_outbox_item *item, sh_attempt_fn *done,
                          void *arg)
{
    struct world *w = self;
    assert_true(w->n_starts < MAX_STARTS);
    struct start *s = &w->starts[w->n_starts++];
    *s = (struct start){.attempts = item->attempts, .at_ms = mono_ms()};
    snprintf(s->id, sizeof(s->id), "%s", item->id);
    snprintf(s->key, sizeof(s->key), "%s", item->key);
    snprintf(s->lane, sizeof(s->lane), "%s", item->lane);
    s->n = number_of(item->payload);
    for (size_t i = 0; i < w->n_waiting; i++)
        s->beside += same(w->starts[w->waiting[i].start].lane, s->lane);
    w->waiting[w->n_waiting++] = (struct waiting){done, arg, w->n_starts - 1};
    size_t n = w->outbox ? sh_outbox_in_flight(w->outbox) : 0;
    w->max_in_flight = n > w->max_in_flight ? n : w->max_in_flight;
    if (w->answer_ms >= 0)
        sh_timer_set(w->answer, w->answer_ms);
}

static const struct sh_attempt *answer_to(struct world *w, const struct start *s)
{
    if (w->script)
        return w->script(w, s);
    bool fails = w->fail_first > 0;
    w->fail_first -= fails;
    return fails ? &temporary : &w->verdict;
}

static void carrier_answer(void *arg)
{
    struct world *w = arg;
    size_t n = w->n_waiting, kept = 0;
    for (size_t i = 0; i < n; i++) { /* no answer starts another: the store comes in between */
        struct waiting it = w->waiting[i];
        const struct sh_attempt *a = answer_to(w, &w->starts[it.start]);
        w->starts[it.start].answered = a != NULL;
        if (a)
            it.done(it.arg, a);
        else
            w->waiting[kept++] = it;
    }
    assert_int_equal(n, w->n_waiting);
    w->n_waiting = kept;
}

static void on_emitted(void *arg, struct sh_event *event)
{
    struct world *w = arg;
    if (w->n_events < MAX_EVENTS)
        w->events[w->n_events++] = event;
    else
        sh_event_free(event);
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
    fail_msg("not within 60 s; %zu starts", w->n_starts);
}

/* Take the loop until the condition holds after some reap. */
static void run_until(struct world *w, bool (*until)(struct world *w))
{
    w->until = until;
    sh_timer_set(w->alarm, 60000);
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
    w->starts = sh_alloc(MAX_STARTS, sizeof(*w->starts));
    w->waiting = sh_alloc(MAX_STARTS, sizeof(*w->waiting));
    w->verdict = sent;
    const struct sh_store_config c = {
        .dir = w->kit.dir, .threads = true, .wake = ring, .wake_arg = w, .vfs = vfs};
    w->kit.s = sh_store_open(&c, &err);
    if (!w->kit.s)
        fail_msg("%s", err.msg);
}

static void start_lanes(struct world *w, size_t in_flight, size_t per_lane, const int64_t *retry_ms,
                        size_t n)
{
    const char *kind = w->carriers[0].kind ? w->carriers[0].kind : "email";
    for (int i = 0; i < 2; i++)
        w->carriers[i] = (struct sh_carrier){.kind = i ? "http" : kind,
                                             .self = w,
                                             .start = carrier_start,
                                             .per_lane = per_lane,
                                             .in_flight = in_flight,
                                             .retry_ms = retry_ms,
                                             .n_retry = n,
                                             .pause_max_ms = w->carriers[i].pause_max_ms};
    const struct sh_outbox_config c = {
        .carriers = w->carriers, .n_carriers = 2, .emitted = on_emitted, .arg = w};
    w->outbox = sh_outbox_new(w->base, w->kit.s, &c);
    sh_outbox_poke(w->outbox);
}

static void start_outbox(struct world *w, size_t in_flight, const int64_t *retry_ms, size_t n)
{
    start_lanes(w, in_flight, in_flight, retry_ms, n);
}

static bool idle(struct world *w)
{
    return sh_outbox_in_flight(w->outbox) == 0;
}

static void close_world(struct world *w)
{
    wall_offset_ms = 0;
    w->script = NULL;
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
    while (w->n_events)
        sh_event_free(w->events[--w->n_events]);
    free(w->starts);
    free(w->waiting);
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

/* One event whose one run asks for calls numbered from..to to http://<host>/. */
static void queue_calls(struct world *w, const char *host, int from, int to, const char *more)
{
    struct kit_settle s;
    char text[400];
    static int serial;
    snprintf(text, sizeof(text), "calls-%d", serial++);
    struct sh_op_accept op = {.op.kind = SH_OP_ACCEPT};
    op.event = kit_event("k", text, "{\"a\":1}");
    run_op(w, &op.op);
    kit_settle_init(&s, op.event->id);
    kit_add_run(&s, "rule", SH_RUN_DONE);
    for (int i = from; i <= to; i++) {
        snprintf(text, sizeof(text),
                 "{\"method\":\"POST\",\"url\":\"http://%s/\",\"body\":\"#%d\"%s}", host, i, more);
        kit_fx(&s, kit_leave(SH_FX_HTTP, "", text));
    }
    run_op(w, &s.op.op);
    assert_int_equal(s.op.n_queued, to - from + 1);
    kit_settle_free(&s);
    sh_event_free(op.event);
}

/* n calls straight into the table, spread over so many hosts. */
static void fill_table(struct world *w, int n, int hosts)
{
    char sql[900];
    snprintf(sql, sizeof(sql),
             "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d)"
             " INSERT INTO sh_outbox(id, kind, lane, recipient, key, event_id, event_key, depth,"
             " rule, payload, state, attempts, next_ms, created_ms)"
             " SELECT 'fill-' || i, 'http', printf('http:h%%05d:80', i %% %d), '', 'key' || i, 'e',"
             " '', 0, 'r', '{\"method\":\"POST\",\"url\":\"http://h/\",\"body\":\"#' || i || '\"}',"
             " 'queued', 0, 0, %lld FROM c",
             n, hosts, (long long)sh_now_ms());
    kit_sql(&w->kit, sql);
}

static size_t in_state(struct world *w, const char *state)
{
    return kit_list_size(&w->kit, (struct sh_list_query){.what = SH_LIST_OUTBOX, .state = state});
}

static size_t starts_in(const struct world *w, const char *host)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_starts; i++)
        n += strstr(w->starts[i].lane, host) != NULL;
    return n;
}

static struct sh_outbox_stats stats_of(const struct world *w)
{
    struct sh_outbox_stats stats;
    sh_outbox_stats(w->outbox, &stats);
    return stats;
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
    fill_table(&w, 50, 50); /* five in one lane would count as the target's fault */
    w.verdict = temporary;
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
    assert_string_equal(kit_sql(&w.kit, "SELECT error FROM sh_outbox LIMIT 1"), "451 try again");
    close_world(&w);
}

static void after_the_last_attempt_it_is_dead(void **state)
{
    (void)state;
    static const int64_t retry[] = {10, 10};
    struct world w;
    open_world(&w, NULL);
    queue_emails(&w, 1);
    w.verdict = (struct sh_attempt){SH_ATTEMPT_TEMPORARY, "451 never", .status = 451};
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
    w.verdict = (struct sh_attempt){SH_ATTEMPT_PERMANENT, "550 no such user", .status = 550};
    start_outbox(&w, 2, retry, 3);
    run_until(&w, one_attempt);
    run_for(&w, 200);
    assert_int_equal(w.n_starts, 1);
    assert_int_equal(in_state(&w, "dead"), 1);
    /* Another process brings it back: nobody pokes, the poll finds it. */
    kit_sql(&w.kit, "UPDATE sh_outbox SET state = 'queued', attempts = 0, next_ms = 1");
    w.verdict = sent;
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
    w.carriers[0].kind = "pigeon";
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

/* --- Lanes ----------------------------------------------------------------------------------- */

static const int64_t two_long[] = {60000, 60000};

static bool goal_reached(struct world *w)
{
    return w->n_starts >= w->goal && idle(w);
}

static void assert_in_order(const struct world *w, const char *host, size_t from, int first)
{
    for (size_t i = from; i < w->n_starts; i++) {
        if (strstr(w->starts[i].lane, host))
            assert_int_equal(w->starts[i].n, first++);
    }
}

static void a_lane_keeps_its_order(void **state)
{
    (void)state;
    for (size_t per_lane = 1; per_lane <= 4; per_lane += 3) {
        struct world w;
        open_world(&w, NULL);
        queue_calls(&w, "a.test", 1, 300, "");
        queue_calls(&w, "b.test", 1, 300, "");
        start_lanes(&w, 16, per_lane, NULL, 0);
        w.goal = 600;
        run_until(&w, goal_reached);
        assert_in_order(&w, "a.test", 0, 1);
        assert_in_order(&w, "b.test", 0, 1);
        size_t most = 0;
        for (size_t i = 0; i < w.n_starts; i++)
            most = w.starts[i].beside > most ? w.starts[i].beside : most;
        assert_int_equal(most, per_lane - 1);
        assert_int_equal(stats_of(&w).sent, 600);
        close_world(&w);
    }
}

static bool a_is_up;

static const struct sh_attempt *a_down(struct world *w, const struct start *s)
{
    (void)w;
    return strstr(s->lane, "a.test") && !a_is_up ? &down : &sent;
}

static void a_target_that_is_down_delays_no_other(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    w.carriers[1].pause_max_ms = 1500;
    queue_calls(&w, "a.test", 1, 100, "");
    queue_calls(&w, "b.test", 1, 200, "");
    w.script = a_down;
    a_is_up = false;
    int64_t from = mono_ms();
    start_lanes(&w, 8, 4, two_long, 2);
    while (starts_in(&w, "b.test") < 200 && mono_ms() < from + 10000)
        run_for(&w, 5);
    assert_true(mono_ms() - from < 900); /* a's pause is not even over */
    assert_int_equal(starts_in(&w, "b.test"), 200);
    assert_true(starts_in(&w, "a.test") <= 4);
    assert_int_equal(stats_of(&w).paused, 1);
    run_for(&w, 5000); /* after 1, 1.5, 1.5, .. seconds, each a fifth less or more */
    size_t probes = starts_in(&w, "a.test");
    if (probes < 4 + 2 || probes > 4 + 4)
        fail_msg("%zu starts in a lane that is down", probes);
    for (size_t i = 0, seen = 0; i < w.n_starts; i++) {
        if (strstr(w.starts[i].lane, "a.test") && seen++ >= 4)
            assert_true(w.starts[i].n == 1 && w.starts[i].beside == 0 && w.starts[i].attempts == 0);
    }
    size_t before = w.n_starts;
    a_is_up = true;
    w.answer_ms = 5;
    w.goal = before + 100;
    run_until(&w, goal_reached);
    assert_in_order(&w, "a.test", before, 1);
    for (size_t i = 0; i < 3; i++) /* the probe alone, then few at once */
        assert_true(w.starts[before + i].beside <= i);
    assert_int_equal(in_state(&w, "sent"), 300);
    assert_string_equal(kit_sql(&w.kit, "SELECT max(attempts) FROM sh_outbox"), "1");
    assert_string_equal(kit_sql(&w.kit, "SELECT count(*) FROM sh_lanes"), "0");
    close_world(&w);
}

static const struct sh_attempt *third_later(struct world *w, const struct start *s)
{
    (void)w;
    return s->n == 3 && s->attempts == 0 ? &temporary : &sent;
}

static void a_temporary_failure_steps_out_of_the_line(void **state)
{
    (void)state;
    static const int64_t retry[] = {700};
    static const int expected[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 3};
    struct world w;
    open_world(&w, NULL);
    queue_calls(&w, "a.test", 1, 10, "");
    w.script = third_later;
    start_lanes(&w, 8, 1, retry, 1);
    w.goal = 11;
    run_until(&w, goal_reached);
    for (size_t i = 0; i < 11; i++)
        assert_int_equal(w.starts[i].n, expected[i]);
    assert_int_equal(w.starts[10].attempts, 1);
    int64_t waited = w.starts[10].at_ms - w.starts[2].at_ms;
    assert_true(waited >= 630 && waited < 1500);
    assert_int_equal(in_state(&w, "sent"), 10);
    close_world(&w);
}

static void five_temporary_failures_in_a_row_pause_the_lane(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    queue_calls(&w, "a.test", 1, 20, "");
    w.verdict = temporary;
    start_lanes(&w, 8, 1, two_long, 2);
    run_for(&w, 700);
    assert_int_equal(w.n_starts, 5);
    assert_int_equal(stats_of(&w).paused, 1);
    assert_string_equal(kit_sql(&w.kit, "SELECT lane FROM sh_lanes"), "http:a.test:80");
    run_for(&w, 1000); /* one probe; it fails, and that is enough now */
    assert_int_equal(w.n_starts, 6);
    assert_int_equal(w.starts[5].n, 6);
    assert_int_equal(stats_of(&w).paused, 1);
    w.verdict = sent;
    w.goal = 20;
    run_until(&w, goal_reached);
    assert_in_order(&w, "a.test", 0, 1);
    assert_int_equal(in_state(&w, "sent"), 14);
    assert_string_equal(kit_sql(&w.kit, "SELECT max(attempts) FROM sh_outbox"), "1");
    close_world(&w);
}

/* The receiver fails at the first five calls whatever happens, and takes all others. */
static const struct sh_attempt *five_fail(struct world *w, const struct start *s)
{
    (void)w;
    return s->n <= 5 ? &temporary : &sent;
}

static bool one_sent(struct world *w)
{
    return in_state(w, "sent") == 1;
}

static void calls_that_always_fail_do_not_hold_up_a_good_one(void **state)
{
    (void)state;
    static const int64_t retry[] = {200, 200, 200, 200, 200, 200, 200, 200, 200, 200,
                                    200, 200, 200, 200, 200, 200, 200, 200, 200, 200};
    struct world w;
    open_world(&w, NULL);
    w.carriers[1].pause_max_ms = 1000;
    queue_calls(&w, "a.test", 1, 5, "");
    w.script = five_fail;
    start_lanes(&w, 8, 1, retry, 20);
    run_for(&w, 2500); /* the lane pauses, and at each end of a pause all five are due */
    assert_true(w.n_starts >= 6);
    queue_calls(&w, "a.test", 100, 100, "");
    size_t before = w.n_starts;
    run_until(&w, one_sent);
    size_t at = before;
    while (w.starts[at].n != 100)
        at++;
    if (at - before > 2)
        fail_msg("%zu tries of others came before it", at - before);
    close_world(&w);
}

static const struct sh_attempt *first_refused(struct world *w, const struct start *s)
{
    static const struct sh_attempt refused = {SH_ATTEMPT_PERMANENT, "not configured", .status = 0};
    (void)w;
    return s->n == 1 ? &refused : &down;
}

static void what_never_left_tells_nothing_of_its_target(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    kit_sql(&w.kit, "INSERT INTO sh_lanes(lane, until_ms, why) VALUES('http:a.test:80', 1, 'x')");
    queue_calls(&w, "a.test", 1, 4, "");
    w.script = first_refused;
    w.answer_ms = 50;
    start_lanes(&w, 8, 4, two_long, 2);
    run_for(&w, 500);
    assert_int_equal(w.n_starts, 2); /* the one that was refused, and the probe */
    assert_string_equal(kit_sql(&w.kit, "SELECT count(*) FROM sh_lanes"), "1");
    close_world(&w);
}

static const struct sh_attempt *busy_once(struct world *w, const struct start *s)
{
    static const struct sh_attempt busy = {SH_ATTEMPT_TARGET_DOWN, "HTTP 429", .status = 429,
                                           .retry_after_ms = 3000};
    (void)s;
    return w->n_starts == 1 ? &busy : &sent;
}

static void retry_after_pauses_the_lane_and_survives_a_restart(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    queue_calls(&w, "a.test", 1, 6, "");
    w.script = busy_once;
    start_lanes(&w, 8, 1, two_long, 2);
    run_for(&w, 400);
    assert_int_equal(w.n_starts, 1);
    sh_outbox_free(w.outbox);
    w.outbox = NULL;
    queue_calls(&w, "b.test", 1, 1, "");
    start_lanes(&w, 8, 4, two_long, 2);
    w.goal = 8;
    run_until(&w, goal_reached);
    assert_non_null(strstr(w.starts[1].lane, "b.test")); /* it waits for nobody */
    int64_t waited = w.starts[2].at_ms - w.starts[0].at_ms;
    if (waited < 2990 || waited > 3600)
        fail_msg("paused for %lld ms", (long long)waited);
    assert_in_order(&w, "a.test", 2, 1);
    assert_int_equal(w.starts[2].beside, 0);
    assert_int_equal(w.starts[2].attempts, 0);
    assert_int_equal(in_state(&w, "sent"), 7);
    close_world(&w);
}

static bool one_dead(struct world *w)
{
    return idle(w) && in_state(w, "dead") == 1;
}

static void a_target_that_never_comes_back_is_given_up(void **state)
{
    (void)state;
    static const int64_t retry[] = {300, 300};
    struct world w;
    open_world(&w, NULL);
    w.carriers[1].pause_max_ms = 50;
    queue_calls(&w, "a.test", 1, 1, "");
    w.verdict = down;
    start_lanes(&w, 8, 1, retry, 2);
    run_until(&w, one_dead);
    int64_t took = w.starts[w.n_starts - 1].at_ms - w.starts[0].at_ms;
    if (took < 500 || w.n_starts < 8) /* neither before its time nor after two attempts */
        fail_msg("given up after %lld ms and %zu attempts", (long long)took, w.n_starts);
    assert_string_equal(kit_sql(&w.kit, "SELECT error FROM sh_outbox"), "could not connect");
    close_world(&w);
    /* Old when the engine comes back: it has its chances all the same. */
    open_world(&w, NULL);
    w.carriers[1].pause_max_ms = 50;
    queue_calls(&w, "a.test", 1, 1, "");
    kit_sql(&w.kit, "UPDATE sh_outbox SET created_ms = 1");
    w.verdict = down;
    start_lanes(&w, 8, 1, retry, 2);
    run_until(&w, one_dead);
    assert_int_equal(w.n_starts, 3);
    close_world(&w);
}

static bool eight_starts(struct world *w)
{
    return w->n_starts >= 8;
}

/* However old it is: who brings it back while its target is still down means it to be tried for as
 * long as a new one. */
static void what_was_redriven_has_its_time_again(void **state)
{
    (void)state;
    const int64_t retry[] = {5, 5, 3600000};
    struct world w;
    char *redriven =
        sh_strf("UPDATE sh_outbox SET created_ms = 1, redriven_ms = %lld", (long long)sh_now_ms());
    open_world(&w, NULL);
    w.carriers[1].pause_max_ms = 20;
    queue_calls(&w, "a.test", 1, 1, "");
    kit_sql(&w.kit, redriven);
    w.verdict = down;
    start_lanes(&w, 8, 1, retry, 3);
    run_until(&w, eight_starts);
    assert_string_equal(kit_sql(&w.kit, "SELECT state FROM sh_outbox"), "queued");
    close_world(&w);
    free(redriven);
}

static const struct sh_attempt *by_host(struct world *w, const struct start *s)
{
    static const struct sh_attempt gone = {SH_ATTEMPT_PERMANENT, "HTTP 410", .status = 410,
                                           .answer = "gone for good"};
    (void)w;
    return strstr(s->lane, "bad") ? &gone : &sent;
}

static bool two_events(struct world *w)
{
    return w->n_events == 2 && idle(w);
}

static void who_asked_is_told_of_the_end(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    queue_calls(&w, "good.test", 1, 1, ",\"notify\":\"crm\"");
    queue_calls(&w, "bad.test", 2, 2, ",\"notify\":\"crm\"");
    queue_calls(&w, "good.test", 3, 3, "");
    w.script = by_host;
    start_lanes(&w, 8, 1, two_long, 2);
    run_until(&w, two_events);
    run_for(&w, 100);
    assert_int_equal(w.n_events, 2);
    for (size_t i = 0; i < 2; i++) {
        bool ok = same(w.events[i]->type, "delivery_succeeded");
        assert_true(ok || same(w.events[i]->type, "delivery_failed"));
        assert_string_equal(w.events[i]->key, "k");
        assert_non_null(strstr(w.events[i]->body, ok ? "\"status\":200" : "gone for good"));
    }
    assert_string_not_equal(w.events[0]->type, w.events[1]->type);
    close_world(&w);
}

/* --- Many ------------------------------------------------------------------------------------ */

static long resident_kib(void)
{
    char line[200];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "VmRSS: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static const struct sh_attempt *h0_hangs(struct world *w, const struct start *s)
{
    (void)w;
    return strstr(s->lane, "h00000") ? NULL : &sent;
}

static void a_long_line_neither_fills_memory_nor_delays_another(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    fill_table(&w, 100000, 1);
    queue_calls(&w, "z.test", 1, 50, ""); /* last by name and by order */
    w.script = h0_hangs;
    long before = resident_kib();
    int64_t from = mono_ms();
    start_lanes(&w, 8, 4, two_long, 2);
    while (starts_in(&w, "z.test") < 50 && mono_ms() < from + 10000)
        run_for(&w, 2);
    assert_true(mono_ms() - from < (SANITIZED ? 5000 : 1000));
    w.script = NULL;
    sh_timer_set(w.answer, 0);
    while (w.n_starts < 10000)
        run_for(&w, 5);
    if (!SANITIZED && resident_kib() - before > 16 * 1024)
        fail_msg("%ld KiB more", resident_kib() - before);
    for (size_t i = 0, n = 1; i < w.n_starts; i++)
        if (strstr(w.starts[i].lane, "h00000"))
            assert_int_equal(w.starts[i].n, n++);
    close_world(&w);
}

static void five_thousand_lanes_are_served_and_forgotten(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    fill_table(&w, 15000, 5000);
    int64_t from = mono_ms();
    start_lanes(&w, 64, 4, two_long, 2);
    w.goal = 15000;
    run_until(&w, goal_reached);
    int64_t took = mono_ms() - from;
    if (took > (SANITIZED ? 50000 : 15000))
        fail_msg("%lld ms", (long long)took);
    assert_int_equal(in_state(&w, "sent"), 15000);
    int last[5000] = {0};
    for (size_t i = 0; i < w.n_starts; i++) { /* in order in each */
        int *l = &last[atoi(w.starts[i].lane + 6)];
        assert_true(w.starts[i].n > *l);
        *l = w.starts[i].n;
    }
    run_for(&w, 7500);
    assert_int_equal(stats_of(&w).lanes, 0);
    close_world(&w);
}

static const struct sh_attempt *h_down(struct world *w, const struct start *s)
{
    (void)w;
    return s->lane[5] == 'h' ? &down : &sent;
}

static void five_thousand_targets_that_are_down_delay_no_other(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    fill_table(&w, 10000, 5000);
    w.script = h_down;
    start_lanes(&w, 64, 4, two_long, 2);
    run_for(&w, 3000);
    queue_calls(&w, "z.test", 1, 200, "");
    sh_outbox_poke(w.outbox);
    int64_t from = mono_ms();
    while (starts_in(&w, "z.test") < 200 && mono_ms() < from + 20000)
        run_for(&w, 5);
    if (mono_ms() - from > (SANITIZED ? 10000 : 3000))
        fail_msg("%lld ms", (long long)(mono_ms() - from));
    assert_in_order(&w, "z.test", 0, 1);
    close_world(&w);
}

/* --- Clocks that are set --------------------------------------------------------------------- */

static void set_clock(int64_t ms)
{
    __atomic_store_n(&wall_offset_ms, ms, __ATOMIC_RELAXED);
}

static const struct sh_attempt *first_fails(struct world *w, const struct start *s)
{
    static const struct sh_attempt busy = {SH_ATTEMPT_TARGET_DOWN, "HTTP 503",
                                           .retry_after_ms = 2000};
    (void)w;
    if (s->attempts == 0 && s->n == 1)
        return &temporary;
    return s->n == 2 && mono_ms() < s->at_ms + 1500 && w->n_starts <= 2 ? &busy : &sent;
}

static bool both_sent(struct world *w)
{
    return idle(w) && w->n_starts >= 4;
}

static void a_clock_that_is_set_neither_hurries_nor_holds_up(void **state)
{
    (void)state;
    static const int64_t retry[] = {2000, 2000};
    static const int64_t steps[] = {2 * 3600 * 1000LL, -2 * 3600 * 1000LL,
                                    10 * 365 * 86400 * 1000LL};
    for (size_t i = 0; i < 3; i++) {
        struct world w;
        open_world(&w, NULL);
        queue_calls(&w, "a.test", 1, 1, "");
        queue_calls(&w, "b.test", 2, 2, "");
        w.script = first_fails;
        start_lanes(&w, 8, 4, retry, 2);
        while (w.n_starts < 2)
            run_for(&w, 5);
        run_for(&w, 300);
        set_clock(steps[i]);
        run_until(&w, both_sent);
        run_for(&w, 1200); /* nothing twice */
        assert_int_equal(w.n_starts, 4);
        for (size_t k = 2; k < 4; k++) {
            const struct start *s = &w.starts[k];
            int64_t waited = s->at_ms - w.starts[s->n - 1].at_ms;
            if (waited < 1790 || waited > 2700)
                fail_msg("step %zu: item %d waited %lld ms", i, s->n, (long long)waited);
        }
        assert_int_equal(in_state(&w, "sent"), 2);
        close_world(&w);
    }
}

static void a_clock_that_was_ahead_before_a_restart_does_not_hold_up(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, NULL);
    queue_calls(&w, "a.test", 1, 3, "");
    char sql[200];
    snprintf(sql, sizeof(sql), "UPDATE sh_outbox SET attempts = 1, next_ms = %lld + seq * 1000000",
             (long long)sh_now_ms() + 10 * 365 * 86400 * 1000LL);
    kit_sql(&w.kit, sql);
    start_lanes(&w, 8, 4, two_long, 2);
    w.goal = 3;
    run_until(&w, goal_reached);
    run_for(&w, 1500);
    assert_int_equal(w.n_starts, 3);
    assert_int_equal(in_state(&w, "sent"), 3);
    close_world(&w);
}

/* --- The end, at any time -------------------------------------------------------------------- */

static const struct sh_attempt *a_bit_of_all(struct world *w, const struct start *s)
{
    static const struct sh_attempt busy = {SH_ATTEMPT_TARGET_DOWN, "HTTP 503", .retry_after_ms = 7};
    (void)w;
    return s->n % 5 == 0 ? &temporary : s->n % 7 == 0 ? &busy : s->n % 11 == 0 ? &down : &sent;
}

static void it_may_be_stopped_and_freed_at_any_time(void **state)
{
    (void)state;
    static const int64_t retry[] = {3, 3, 3};
    struct world w;
    open_world(&w, NULL);
    w.carriers[1].pause_max_ms = 5;
    w.script = a_bit_of_all;
    for (int i = 0; i < 60; i++) {
        queue_calls(&w, i % 2 ? "a.test" : "b.test", 1, 20, ",\"notify\":\"x\"");
        start_lanes(&w, 4, 2, retry, 3);
        if (i)
            run_for(&w, i % 12);
        if (i % 3 == 0)
            sh_outbox_stop(w.outbox);
        if (i % 6 == 0)
            run_for(&w, 2);
        sh_outbox_free(w.outbox);
        w.n_waiting = 0;
        while (w.n_events)
            sh_event_free(w.events[--w.n_events]);
    }
    w.carriers[1].pause_max_ms = 5;
    w.script = NULL;
    start_lanes(&w, 4, 2, retry, 3);
    while (!nothing_queued(&w)) {
        run_for(&w, 50);
    }
    assert_int_equal(in_state(&w, "sent") + in_state(&w, "dead"), 60 * 20);
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
        cmocka_unit_test(a_lane_keeps_its_order),
        cmocka_unit_test(a_target_that_is_down_delays_no_other),
        cmocka_unit_test(a_temporary_failure_steps_out_of_the_line),
        cmocka_unit_test(five_temporary_failures_in_a_row_pause_the_lane),
        cmocka_unit_test(calls_that_always_fail_do_not_hold_up_a_good_one),
        cmocka_unit_test(what_never_left_tells_nothing_of_its_target),
        cmocka_unit_test(retry_after_pauses_the_lane_and_survives_a_restart),
        cmocka_unit_test(a_target_that_never_comes_back_is_given_up),
        cmocka_unit_test(what_was_redriven_has_its_time_again),
        cmocka_unit_test(who_asked_is_told_of_the_end),
        cmocka_unit_test(a_long_line_neither_fills_memory_nor_delays_another),
        cmocka_unit_test(five_thousand_lanes_are_served_and_forgotten),
        cmocka_unit_test(five_thousand_targets_that_are_down_delay_no_other),
        cmocka_unit_test(a_clock_that_is_set_neither_hurries_nor_holds_up),
        cmocka_unit_test(a_clock_that_was_ahead_before_a_restart_does_not_hold_up),
        cmocka_unit_test(it_may_be_stopped_and_freed_at_any_time),
        cmocka_unit_test(a_verdict_outlives_a_full_disk),
    };
    sh_log_set_level(getenv("OUTBOX_LOG") ? SH_LOG_INFO : SH_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
