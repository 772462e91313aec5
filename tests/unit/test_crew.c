/* SPDX-License-Identifier: MIT
 * test_crew.c: what a hostile worker can do to the engine. The crew starts this very program as its
 * worker, which then writes what the environment variable HOSTILE names. */
#include "app/crew.h"

#include "base/clock.h"
#include "base/limits.h"
#include "svc/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SOCKET = 3, TOO_MANY = 1000, GIVE_UP_MS = 20000 };

/* --- the worker -------------------------------------------------------------- */

static void put(const struct sh_buf *b)
{
    for (size_t at = 0; at < b->len;) {
        ssize_t n = write(SOCKET, b->data + at, b->len - at);
        if (n <= 0)
            _exit(0);
        at += (size_t)n;
    }
}

static void too_many_runs(struct sh_buf *out)
{
    struct sh_run *runs = sh_alloc(TOO_MANY, sizeof(*runs));
    for (size_t i = 0; i < TOO_MANY; i++)
        runs[i] = (struct sh_run){.rule = SH_SLICE("R"), .outcome = SH_RUN_DONE};
    sh_frame_result(out, &(struct sh_result){.token = 1, .runs = runs, .n_runs = TOO_MANY});
    free(runs);
    put(out);
}

static _Noreturn void endless_questions(struct sh_buf *out)
{
    char id[SH_MAX_RECORD_ID_BYTES];
    memset(id, 'x', sizeof(id));
    for (uint64_t n = 1;; n++) {
        sh_buf_reset(out);
        sh_frame_ask(out, n,
                     &(struct sh_read_request){.kind = SH_READ_GET,
                                               .collection = SH_SLICE("calls"),
                                               .id = sh_slice(id, sizeof(id))});
        put(out);
    }
}

static int hostile_worker(void)
{
    struct sh_buf out;
    sh_buf_init(&out, SH_MAX_FRAME_BYTES);
    size_t place = sh_frame_begin(&out, SH_FRAME_LOADED);
    sh_buf_adds(&out, "{\"ok\":true,\"rules\":[{\"name\":\"R\",\"file\":\"rules/r.lua\"}]}");
    sh_frame_end(&out, place);
    put(&out);
    sh_buf_reset(&out);
    if (strcmp(getenv("HOSTILE"), "questions") == 0)
        endless_questions(&out);
    too_many_runs(&out);
    sh_buf_free(&out);
    pause();
    return 0;
}

/* --- the engine's side ------------------------------------------------------- */

struct side {
    struct event_base *base;
    struct sh_crew *crew;
    struct sh_timer *look;
    int64_t until_us;
};

static void on_loaded(void *arg, const cJSON *report)
{
    (void)arg;
    assert_non_null(report);
}

static void on_look(void *arg)
{
    struct side *s = arg;
    if (sh_crew_restarts(s->crew) > 0 || sh_mono_us() > s->until_us)
        sh_loop_stop(s->base);
    else
        sh_timer_set(s->look, 10);
}

/* The worker is ended for what it does, while the store is slow to answer. */
static void worker_is_ended(const char *how)
{
    struct sh_error err;
    const struct sh_file file = {.name = "rules/r.lua", .text = "", .is_rule = true};
    struct side s = {.base = sh_loop_new(), .until_us = sh_mono_us() + GIVE_UP_MS * 1000};
    struct sh_generation *generation = sh_generation_new(&file, 1);
    struct sh_store *store = sh_store_open(&(struct sh_store_config){0}, &err);
    assert_non_null(store);
    setenv("HOSTILE", how, 1);
    s.look = sh_timer_new(s.base, on_look, &s);
    sh_timer_set(s.look, 10);
    s.crew = sh_crew_new(&(struct sh_crew_config){.base = s.base,
                                                  .store = store,
                                                  .generation = generation,
                                                  .budgets = {.wall_ms = 5000},
                                                  .workers = 1,
                                                  .loaded = on_loaded});
    sh_loop_run(s.base);
    assert_int_equal(sh_crew_restarts(s.crew), 1);
    sh_store_reap(store);
    sh_crew_free(s.crew, 0);
    sh_timer_free(s.look);
    sh_store_close(store);
    sh_generation_free(generation);
    sh_loop_free(s.base);
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_more_runs_than_rules),
        cmocka_unit_test(test_endless_questions),
    };
    if (argc > 1 && strcmp(argv[1], "worker") == 0)
        return hostile_worker();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
