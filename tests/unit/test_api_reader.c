/* SPDX-License-Identifier: MIT
 * test_api_reader.c: the API's thread: every question is done once, whatever happens. */
#include "app/api_reader.h"
#include "core/store.h"
#include "svc/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

struct kit {
    char dir[64];
    struct event_base *base;
    struct sh_api_reader *reader;
    size_t done, begun, wanted;
};

struct question {
    struct sh_api_job job;
    struct kit *kit;
    int times, priority;
    bool has_store;
    atomic_bool *gate; /* wait for it on the thread */
    size_t place;      /* as which it was done */
    long rows;
};

static void on_work(struct sh_api_job *job, struct sh_store_view *v, const struct sh_error *err)
{
    struct question *q = (struct question *)job;
    const struct sh_list_query query = {.what = SH_LIST_EVENTS};
    struct sh_page page = {.limit = 10, .max_bytes = 1000};
    struct sh_error why;
    (void)err;
    while (q->gate && !atomic_load(q->gate))
        usleep(1000);
    q->priority = getpriority(PRIO_PROCESS, (id_t)gettid());
    q->has_store = v != NULL;
    if (!v || !sh_store_view_page(v, &query, &page, &why))
        return;
    q->rows = cJSON_GetArraySize(page.rows);
    cJSON_Delete(page.rows);
    free(page.next);
}

static void on_done(struct sh_api_job *job, bool begun)
{
    struct question *q = (struct question *)job;
    q->times++;
    q->place = q->kit->done++;
    q->kit->begun += begun;
    if (q->kit->done == q->kit->wanted)
        sh_loop_stop(q->kit->base);
}

static int setup(void **state)
{
    struct kit *k = sh_alloc(1, sizeof(*k));
    struct sh_error err;
    snprintf(k->dir, sizeof(k->dir), "/tmp/switchhook-reader-XXXXXX");
    assert_non_null(mkdtemp(k->dir));
    k->base = sh_loop_new();
    const struct sh_api_reader_config config = {.base = k->base, .dir = k->dir};
    k->reader = sh_api_reader_new(&config, &err);
    assert_non_null(k->reader);
    *state = k;
    return 0;
}

static int teardown(void **state)
{
    struct kit *k = *state;
    sh_api_reader_free(k->reader);
    sh_loop_free(k->base);
    char *command = sh_strf("rm -r %s", k->dir);
    assert_int_equal(system(command), 0); /* the tests' own folder */
    free(command);
    free(k);
    return 0;
}

static void make_store(const struct kit *k)
{
    const struct sh_store_config config = {.dir = k->dir};
    struct sh_error err;
    struct sh_store *s = sh_store_open(&config, &err);
    assert_non_null(s);
    sh_store_close(s);
}

static struct question *ask_as(struct kit *k, uint64_t whose, size_t n, atomic_bool *gate)
{
    struct question *q = sh_alloc(n, sizeof(*q));
    for (size_t i = 0; i < n; i++) {
        q[i] = (struct question){
            .job = {.work = on_work, .done = on_done, .whose = whose}, .kit = k, .gate = gate};
        assert_true(sh_api_reader_add(k->reader, &q[i].job));
    }
    return q;
}

static struct question *ask(struct kit *k, size_t n, atomic_bool *gate)
{
    return ask_as(k, 0, n, gate);
}

static void test_answers_on_a_slow_thread(void **state)
{
    struct kit *k = *state;
    make_store(k);
    k->wanted = 150;
    struct question *q = ask(k, k->wanted, NULL);
    sh_loop_run(k->base);
    for (size_t i = 0; i < k->wanted; i++) {
        assert_int_equal(q[i].times, 1);
        assert_true(q[i].has_store);
        assert_int_equal(q[i].priority, getpriority(PRIO_PROCESS, 0) + 10);
    }
    assert_int_equal(k->begun, k->wanted);
    free(q);
}

static void test_takes_only_so_many(void **state)
{
    struct kit *k = *state;
    atomic_bool gate = false;
    struct question extra = {.job = {.work = on_work, .done = on_done}, .kit = k};
    make_store(k);
    k->wanted = SH_API_READS;
    struct question *q = ask(k, SH_API_READS_OF, &gate);
    assert_false(sh_api_reader_add(k->reader, &extra.job)); /* for this asker */
    struct question *others = ask_as(k, 1, SH_API_READS - SH_API_READS_OF, &gate);
    extra.job.whose = 2;
    assert_false(sh_api_reader_add(k->reader, &extra.job)); /* for anybody */
    atomic_store(&gate, true);
    sh_loop_run(k->base);
    assert_int_equal(extra.times, 0);
    assert_true(sh_api_reader_add(k->reader, &extra.job)); /* there is room again */
    k->wanted++;
    sh_loop_run(k->base);
    assert_int_equal(extra.times, 1);
    free(others);
    free(q);
}

static void test_takes_askers_in_turn(void **state)
{
    struct kit *k = *state;
    atomic_bool gate = false;
    make_store(k);
    k->wanted = 106;
    struct question *much = ask_as(k, 7, 100, &gate), *little = ask_as(k, 8, 3, &gate),
                    *other = ask_as(k, 9, 3, &gate);
    atomic_store(&gate, true);
    sh_loop_run(k->base);
    for (size_t i = 0; i < 3; i++) { /* with the one that may have been begun before they asked */
        assert_in_range(little[i].place, 3 * i, 3 * i + 3);
        assert_in_range(other[i].place, 3 * i, 3 * i + 3);
    }
    for (size_t i = 1; i < 100; i++)
        assert_true(much[i].place > much[i - 1].place);
    free(much);
    free(little);
    free(other);
}

static void test_stops_with_questions_open(void **state)
{
    struct kit *k = *state;
    make_store(k);
    struct question *q = ask(k, 100, NULL);
    sh_api_reader_stop(k->reader); /* the loop has not run */
    assert_int_equal(k->done, 100);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(q[i].times, 1);
        assert_int_equal(q[i].has_store, q[i].job.begun);
    }
    struct question late = {.job = {.work = on_work, .done = on_done}, .kit = k};
    assert_false(sh_api_reader_add(k->reader, &late.job));
    free(q);
}

static void test_comes_back_when_the_store_is_there(void **state)
{
    struct kit *k = *state;
    k->wanted = 1;
    struct question *q = ask(k, 1, NULL);
    sh_loop_run(k->base);
    assert_false(q->has_store);
    free(q);
    make_store(k);
    k->wanted = 2;
    q = ask(k, 1, NULL);
    sh_loop_run(k->base);
    assert_true(q->has_store);
    free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers_on_a_slow_thread, setup, teardown),
        cmocka_unit_test_setup_teardown(test_takes_only_so_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_takes_askers_in_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stops_with_questions_open, setup, teardown),
        cmocka_unit_test_setup_teardown(test_comes_back_when_the_store_is_there, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
