/* SPDX-License-Identifier: MIT
 * test_crew_load.c: workers that load, or do not; generations that have other rules than a job
 * names; who gets a job. */
#include "crew_kit.h"

/* --- the worker -------------------------------------------------------------- */

/* Says that it loads the first file, and never comes to its end. */
static _Noreturn void hang(void)
{
    struct sh_pulse *pulse = mmap(NULL, sizeof(*pulse), PROT_READ | PROT_WRITE, MAP_SHARED, 4, 0);
    atomic_store(&pulse->since_us, sh_mono_us());
    atomic_store(&pulse->file, 1);
    for (;;)
        pause();
}

/* Answers as a worker must whose generation has none of the rules that a job names. */
static _Noreturn void all_gone(void)
{
    for (;;) {
        struct sh_slice payload, *names;
        struct sh_job job;
        if (take(&payload) != SH_FRAME_JOB || !sh_frame_read_job(payload, &job, &names))
            _exit(2);
        struct sh_run *runs = sh_alloc(job.n_only, sizeof(*runs));
        for (size_t i = 0; i < job.n_only; i++)
            runs[i] = (struct sh_run){
                .rule = job.only[i], .outcome = SH_RUN_GONE, .attempt = 1, .error = SH_SLICE("x")};
        sh_frame_result(&out, &(struct sh_result){job.token, runs, job.n_only});
        free(runs);
        free(names);
        put();
    }
}

static _Noreturn void one_question(void)
{
    sh_frame_ask(&out, 1,
                 &(struct sh_read_request){
                     .kind = SH_READ_GET, .collection = SH_SLICE("calls"), .id = SH_SLICE("x")});
    put();
    for (;;)
        pause();
}

static _Noreturn void wait_for_ever(bool ask)
{
    for (;;) {
        struct sh_slice payload, *names;
        struct sh_job job;
        if (take(&payload) != SH_FRAME_JOB || !sh_frame_read_job(payload, &job, &names))
            _exit(2);
        free(names);
        if (!ask)
            continue;
        sh_frame_ask(&out, job.token,
                     &(struct sh_read_request){
                         .kind = SH_READ_HTTP,
                         .token = job.token,
                         .query = SH_SLICE("{\"method\":\"GET\",\"url\":\"http://a.org/\"}")});
        put();
    }
}

static int worker(void)
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
    if (strcmp(how, "hang") == 0)
        hang();
    size_t place = sh_frame_begin(&out, SH_FRAME_LOADED);
    sh_buf_adds(&out, "{\"ok\":true,\"rules\":[{\"name\":\"R\",\"file\":\"rules/r.lua\"}]}");
    sh_frame_end(&out, place);
    put();
    if (strcmp(how, "gone") == 0)
        all_gone();
    if (strcmp(how, "question") == 0)
        one_question();
    wait_for_ever(strcmp(how, "look up") == 0);
}

/* --- loading ----------------------------------------------------------------- */

static bool is_reported(struct side *s)
{
    return s->n_loaded > 0;
}

/* One file that hangs is reported at once, by its name, and only once. */
static void test_a_file_that_hangs(void **state)
{
    (void)state;
    struct side *s = sh_alloc(1, sizeof(*s));
    const int64_t began_us = sh_mono_us();
    begin(s, "hang", 300);
    run(s, is_reported);
    assert_true(sh_mono_us() - began_us < 3000000);
    assert_non_null(s->report);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(s->report, "ok")));
    const cJSON *e = cJSON_GetArrayItem(cJSON_GetObjectItem(s->report, "errors"), 0);
    assert_string_equal(cJSON_GetObjectItem(e, "file")->valuestring, "rules/r.lua");
    assert_int_equal(cJSON_GetObjectItem(e, "line")->valueint, 1);
    const char *msg = cJSON_GetObjectItem(e, "msg")->valuestring,
               *why =
                   "wall budget of 300 ms exceeded inside a function that cannot be interrupted, "
                   "such as a pattern match, while the file was loaded\n  hint: ";
    assert_int_equal(strncmp(msg, why, strlen(why)), 0);
    end(s);
    free(s);
}

/* --- jobs -------------------------------------------------------------------- */

static bool no_job_left(struct side *s)
{
    cJSON *list = sh_crew_json(s->crew);
    const int n = cJSON_GetObjectItem(cJSON_GetArrayItem(list, 0), "jobs")->valueint;
    cJSON_Delete(list);
    return n == 0 || was_ended(s);
}

static bool is_ready(struct side *s)
{
    return sh_crew_ready(s->crew) == 1;
}

/* A retry may name more rules than this generation has, none of which it knows. */
static void test_a_run_for_each_rule_that_is_gone(void **state)
{
    (void)state;
    struct side *s = sh_alloc(1, sizeof(*s));
    const struct sh_slice only[] = {SH_SLICE("a"), SH_SLICE("b"), SH_SLICE("c")};
    begin(s, "gone", 5000);
    run(s, is_ready);
    assert_true(sh_crew_give(
        s->crew, &(struct sh_job){.token = 99, .attempt = 1, .only = only, .n_only = 3}));
    run(s, no_job_left);
    assert_int_equal(sh_crew_restarts(s->crew), 0);
    end(s);
    free(s);
}

/* What a worker asks before jobs are given would outlive a crew that is not kept. */
static void test_a_crew_without_jobs_asks_nothing(void **state)
{
    (void)state;
    struct side *s = sh_alloc(1, sizeof(*s));
    begin(s, "question", 5000);
    sh_crew_set_dispatch(s->crew, NULL);
    run(s, was_ended);
    end(s);
    free(s);
}

static bool both_ready(struct side *s)
{
    return sh_crew_ready(s->crew) == 2;
}

static int jobs_of(const struct side *s, int worker, const char *what)
{
    cJSON *list = sh_crew_json(s->crew);
    const int n = cJSON_GetObjectItem(cJSON_GetArrayItem(list, worker), what)->valueint;
    cJSON_Delete(list);
    return n;
}

static bool one_parked(struct side *s)
{
    return sh_crew_parked(s->crew) == 1;
}

/* A run that waits holds memory of its worker: who has none of those is asked first. */
static void test_idle_before_parked(void **state)
{
    (void)state;
    struct side *s = sh_alloc(1, sizeof(*s));
    begin_with(s, "look up", 5000, 2);
    run(s, both_ready);
    assert_true(sh_crew_give(s->crew, &(struct sh_job){.token = 1, .attempt = 1}));
    run(s, one_parked);
    assert_int_equal(jobs_of(s, 0, "parked"), 1);
    assert_true(sh_crew_give(s->crew, &(struct sh_job){.token = 2, .attempt = 1}));
    assert_int_equal(jobs_of(s, 0, "jobs"), 1);
    assert_int_equal(jobs_of(s, 1, "jobs"), 1);
    end(s);
    free(s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_that_hangs),
        cmocka_unit_test(test_a_run_for_each_rule_that_is_gone),
        cmocka_unit_test(test_a_crew_without_jobs_asks_nothing),
        cmocka_unit_test(test_idle_before_parked),
    };
    if (argc > 1 && strcmp(argv[1], "worker") == 0)
        return worker();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
