/* SPDX-License-Identifier: MIT
 * test_crew.c: what a hostile worker can do to the engine, and jobs that wait for look-ups. */
#include "crew_kit.h"

enum { TOO_MANY = 1000, WINDOW = 48, MOST_PARKED = 1000 };

/* --- the worker -------------------------------------------------------------- */

static void too_many_runs(void)
{
    struct sh_run *runs = sh_alloc(TOO_MANY, sizeof(*runs));
    for (size_t i = 0; i < TOO_MANY; i++)
        runs[i] = (struct sh_run){.rule = SH_SLICE("R"), .outcome = SH_RUN_DONE};
    sh_frame_result(&out, &(struct sh_result){.token = 1, .runs = runs, .n_runs = TOO_MANY});
    free(runs);
    put();
    pause();
}

static _Noreturn void endless_questions(void)
{
    char id[SH_MAX_RECORD_ID_BYTES];
    memset(id, 'x', sizeof(id));
    for (uint64_t n = 1;; n++) {
        sh_frame_ask(&out, n,
                     &(struct sh_read_request){.kind = SH_READ_GET,
                                               .collection = SH_SLICE("calls"),
                                               .id = sh_slice(id, sizeof(id))});
        put();
    }
}

static void ask_lookup(uint64_t read_id, uint64_t token)
{
    sh_frame_ask(&out, read_id,
                 &(struct sh_read_request){
                     .kind = SH_READ_HTTP,
                     .token = token,
                     .query = SH_SLICE("{\"method\":\"GET\",\"url\":\"http://a.org/\"}")});
}

/* The answer of the read, as run.h says: its one document. */
static struct sh_slice doc_of(struct sh_slice payload, uint64_t *read_id)
{
    struct sh_slice answer;
    if (!sh_frame_read_answer(payload, read_id, &answer))
        _exit(3);
    struct sh_reader r = sh_reader_of(answer);
    if (sh_read_u8(&r) != 1 || sh_read_u64(&r) != 0 || sh_read_uint(&r) != 1 ||
        sh_read_bytes(&r).n != 0)
        _exit(4);
    struct sh_slice doc = sh_read_bytes(&r);
    if (r.bad || r.p != r.end)
        _exit(5);
    return doc;
}

/* Each job asks for one look-up; done when it has come as it should. The read's id is the job's
 * token, so that nothing else is to be remembered. */
static void look_up(const char *how)
{
    const bool stranger = strcmp(how, "stranger") == 0, greedy = strcmp(how, "greedy") == 0;
    const struct sh_slice good = SH_SLICE("{\"status\":200,\"body\":\"x\"}"),
                          none = SH_SLICE("{\"status\":0,\"error\":\"this run goes again on "
                                          "another worker\"}");
    for (;;) {
        struct sh_slice payload;
        uint8_t type = take(&payload);
        if (type == SH_FRAME_JOB) {
            struct sh_job job;
            struct sh_slice *names;
            if (!sh_frame_read_job(payload, &job, &names))
                _exit(2);
            free(names);
            ask_lookup(job.token, stranger ? job.token + 1000000 : job.token);
            if (greedy)
                ask_lookup(job.token + 1, job.token);
            put();
            if (strcmp(how, "die") == 0)
                _exit(1);
        } else if (type == SH_FRAME_ANSWER) {
            struct sh_run run = {.rule = SH_SLICE("R"), .outcome = SH_RUN_DONE, .attempt = 1};
            struct sh_result result = {.runs = &run, .n_runs = 1};
            if (!sh_slice_eq(doc_of(payload, &result.token), stranger ? none : good))
                _exit(6);
            sh_frame_result(&out, &result);
            put();
        }
    }
}

/* Runs its first job for half a second, and the one behind it, which was taken back by then, for
 * ever. */
static void run_for_ever(void)
{
    struct sh_pulse *pulse = mmap(NULL, sizeof(*pulse), PROT_READ | PROT_WRITE, MAP_SHARED, 4, 0);
    for (int n = 1;; n++) {
        struct sh_run run = {.rule = SH_SLICE("R"), .outcome = SH_RUN_DONE, .attempt = 1};
        struct sh_result result = {.runs = &run, .n_runs = 1};
        struct sh_slice payload, *names;
        struct sh_job job;
        if (take(&payload) != SH_FRAME_JOB || !sh_frame_read_job(payload, &job, &names))
            _exit(2);
        free(names);
        result.token = job.token;
        atomic_store(&pulse->since_us, sh_mono_us());
        atomic_store(&pulse->token, job.token);
        usleep(500000);
        while (n > 1)
            pause();
        atomic_store(&pulse->token, 0);
        sh_frame_result(&out, &result);
        put();
    }
}

static int hostile_worker(void)
{
    struct sh_budgets budgets;
    struct sh_settings settings;
    struct sh_generation *g;
    struct sh_slice payload;
    sh_buf_init(&in, SH_MAX_FRAME_BYTES);
    sh_buf_init(&out, SH_MAX_FRAME_BYTES);
    if (take(&payload) != SH_FRAME_LOAD || !sh_frame_read_load(payload, &budgets, &settings, &g))
        return 2;
    const char *how = g->files[0].text;
    size_t place = sh_frame_begin(&out, SH_FRAME_LOADED);
    sh_buf_adds(&out, "{\"ok\":true,\"rules\":[{\"name\":\"R\",\"file\":\"rules/r.lua\"}],"
                      "\"sandbox\":{\"landlock\":5,\"missing\":[\"a part\"]}}");
    sh_frame_end(&out, place);
    put();
    if (strcmp(how, "questions") == 0)
        endless_questions();
    if (strcmp(how, "runs") == 0)
        too_many_runs();
    if (strcmp(how, "for ever") == 0)
        run_for_ever();
    look_up(how);
    return 0;
}

/* --- hostile ----------------------------------------------------------------- */

/* The worker is ended for what it does, while the store is slow to answer. */
static void worker_is_ended(const char *how)
{
    struct side *s = sh_alloc(1, sizeof(*s));
    begin(s, how, 5000);
    s->slow_store = true;
    run(s, was_ended);
    assert_int_equal(sh_crew_restarts(s->crew), 1);
    end(s);
    free(s);
}

static void test_more_runs_than_rules(void **state)
{
    (void)state;
    worker_is_ended("runs");
}

static void test_endless_questions(void **state)
{
    (void)state;
    worker_is_ended("questions");
}

/* A worker that is caught in a job which was taken back from it has no job by the engine's books,
 * and is ended all the same. */
static void test_caught_in_a_job_taken_back(void **state)
{
    (void)state;
    struct side *s = sh_alloc(1, sizeof(*s));
    begin(s, "for ever", 1000);
    add_events(s, 2);
    run(s, was_ended);
    assert_int_equal(settled(s), 1);
    end(s);
    free(s);
}

/* One rule, and two look-ups at once for one job: no run can do that. */
static void test_more_lookups_than_rules(void **state)
{
    (void)state;
    struct side *s = sh_alloc(1, sizeof(*s));
    begin(s, "greedy", 5000);
    add_events(s, 1);
    run(s, was_ended);
    assert_int_equal(s->n_asked, 1);
    answer_all(s);
    end(s);
    free(s);
}

/* A look-up for a job that the worker does not have asks nobody outside. */
static bool one_settled(struct side *s)
{
    return settled(s) == 1;
}

static void test_lookup_of_another_job(void **state)
{
    (void)state;
    struct side *s = sh_alloc(1, sizeof(*s));
    begin(s, "stranger", 5000);
    add_events(s, 1);
    run(s, one_settled);
    assert_int_equal(s->n_asked, 0);
    assert_int_equal(sh_crew_restarts(s->crew), 0);
    end(s);
    free(s);
}

/* What the first worker says of its locks is kept; before that, nothing is known. */
static void test_the_sandbox_is_known(void **state)
{
    (void)state;
    struct side *s = sh_alloc(1, sizeof(*s));
    begin(s, "stranger", 5000);
    assert_null(sh_crew_sandbox(s->crew));
    add_events(s, 1);
    run(s, one_settled);
    const cJSON *landlock = cJSON_GetObjectItem(sh_crew_sandbox(s->crew), "landlock");
    assert_non_null(landlock);
    assert_int_equal(landlock->valueint, 5);
    end(s);
    free(s);
}

/* --- jobs that wait ---------------------------------------------------------- */

static bool asked_200(struct side *s)
{
    return s->n_asked == 200;
}

static bool settled_200(struct side *s)
{
    return settled(s) == 200;
}

/* Waiting takes no place in the window: one worker waits for far more look-ups at once than it may
 * have jobs in hand, and goes on with all of them. */
static void test_waiting_jobs_are_parked(void **state)
{
    (void)state;
    struct side *s = sh_alloc(1, sizeof(*s));
    begin(s, "lookups", 5000);
    add_events(s, 200);
    run(s, asked_200);
    assert_int_equal(sh_crew_parked(s->crew), 200);
    answer_all(s);
    assert_int_equal(sh_crew_parked(s->crew), 0);
    run(s, settled_200);
    assert_int_equal(sh_crew_restarts(s->crew), 0);
    end(s);
    free(s);
}

static bool asked_most(struct side *s)
{
    return s->n_asked >= WINDOW + MOST_PARKED;
}

static bool waited_long(struct side *s)
{
    static int64_t since_us;
    if (since_us == 0)
        since_us = sh_mono_us();
    return sh_mono_us() - since_us > 2500000 || sh_crew_restarts(s->crew) > 0;
}

static bool settled_most(struct side *s)
{
    answer_all(s);
    return settled(s) == 1200;
}

/* There is an end to it; and a worker that only waits is not taken for one that hangs, although
 * its runs' wall budget is long over. */
static void test_most_parked_and_not_silent(void **state)
{
    (void)state;
    struct side *s = sh_alloc(1, sizeof(*s));
    begin(s, "lookups", 50);
    add_events(s, 1200);
    run(s, asked_most);
    run(s, waited_long);
    assert_int_equal(s->n_asked, WINDOW + MOST_PARKED);
    assert_int_equal(sh_crew_parked(s->crew), MOST_PARKED);
    assert_int_equal(sh_crew_restarts(s->crew), 0);
    run(s, settled_most);
    end(s);
    free(s);
}

static bool died_thrice(struct side *s)
{
    return sh_crew_restarts(s->crew) >= 3 && s->n_asked >= 3;
}

/* Answers for a worker that is gone, and for one that came after it, reach nobody and hurt none. */
static void test_answers_into_the_void(void **state)
{
    (void)state;
    struct side *s = sh_alloc(1, sizeof(*s));
    begin(s, "die", 5000);
    add_events(s, 3);
    run(s, died_thrice);
    answer_all(s);
    assert_int_equal(settled(s), 0);
    end(s);
    free(s);
}

/* Look-ups that are still open when the crew goes are forgotten with it. */
static void test_open_lookups_at_the_end(void **state)
{
    (void)state;
    struct side *s = sh_alloc(1, sizeof(*s));
    begin(s, "lookups", 5000);
    add_events(s, 200);
    run(s, asked_200);
    end(s);
    free(s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_more_runs_than_rules),
        cmocka_unit_test(test_endless_questions),
        cmocka_unit_test(test_caught_in_a_job_taken_back),
        cmocka_unit_test(test_more_lookups_than_rules),
        cmocka_unit_test(test_lookup_of_another_job),
        cmocka_unit_test(test_the_sandbox_is_known),
        cmocka_unit_test(test_waiting_jobs_are_parked),
        cmocka_unit_test(test_most_parked_and_not_silent),
        cmocka_unit_test(test_answers_into_the_void),
        cmocka_unit_test(test_open_lookups_at_the_end),
    };
    if (argc > 1 && strcmp(argv[1], "worker") == 0)
        return hostile_worker();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
