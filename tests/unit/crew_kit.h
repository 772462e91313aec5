/* SPDX-License-Identifier: MIT
 * crew_kit.h: a crew for tests, which starts the test's own program as its worker: that one does
 * what the text of the one rule file names. */
#ifndef SH_TEST_CREW_KIT_H
#define SH_TEST_CREW_KIT_H

#include "app/crew.h"

#include "base/clock.h"
#include "base/limits.h"
#include "svc/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define UNUSED __attribute__((unused)) /* not by every test */

enum { SOCKET = 3, GIVE_UP_MS = 20000 };

/* --- the worker's stream ------------------------------------------------------ */

static struct sh_buf in, out; /* of the worker's process */

UNUSED static void put(void)
{
    for (size_t at = 0; at < out.len;) {
        ssize_t n = write(SOCKET, out.data + at, out.len - at);
        if (n <= 0)
            _exit(0);
        at += (size_t)n;
    }
    sh_buf_reset(&out);
}

/* The next frame; its payload is borrowed until the next call. */
UNUSED static uint8_t take(struct sh_slice *payload)
{
    static size_t used;
    uint8_t type;
    if (used) {
        memmove(in.data, in.data + used, in.len - used);
        in.len -= used;
    }
    while (sh_frame_split(sh_slice(in.data, in.len), SH_MAX_FRAME_BYTES, &type, payload, &used) !=
           1) {
        char *room = sh_buf_room(&in, 65536);
        ssize_t n = read(SOCKET, room, 65536);
        if (n <= 0)
            _exit(0);
        in.len += (size_t)n;
    }
    return type;
}

/* --- the engine's side ------------------------------------------------------- */

struct asked {
    void (*answer)(void *arg, struct sh_slice doc);
    void *arg;
};

struct side {
    struct event_base *base;
    struct sh_store *store;
    struct sh_crew *crew;
    struct sh_dispatch *dispatch;
    struct sh_generation *generation;
    struct sh_timer *look;
    bool (*over)(struct side *s);
    int64_t until_us;
    struct asked asked[2000];
    size_t n_asked, answered;
    size_t n_loaded;
    cJSON *report;   /* of the load */
    bool slow_store; /* answers nothing before the end */
};

static const struct sh_settings settings_of_nobody = {0};

static void on_loaded(void *arg, const cJSON *report)
{
    struct side *s = arg;
    s->n_loaded++;
    s->report = report ? cJSON_Duplicate(report, true) : NULL;
}

static void on_lookup(void *arg, uint64_t token, struct sh_slice call,
                      void (*answer)(void *answer_arg, struct sh_slice doc), void *answer_arg)
{
    struct side *s = arg;
    assert_true(token != 0);
    assert_true(sh_slice_eq(call, SH_SLICE("{\"method\":\"GET\",\"url\":\"http://a.org/\"}")));
    assert_true(s->n_asked < 2000);
    s->asked[s->n_asked++] = (struct asked){answer, answer_arg};
}

UNUSED static void answer_all(struct side *s)
{
    for (; s->answered < s->n_asked; s->answered++)
        s->asked[s->answered].answer(s->asked[s->answered].arg,
                                     SH_SLICE("{\"status\":200,\"body\":\"x\"}"));
}

static bool on_give(void *arg, const struct sh_job *job)
{
    return sh_crew_give(((struct side *)arg)->crew, job);
}

static void on_queued(void *arg)
{
    (void)arg;
}

static void on_fatal(void *arg, const struct sh_error *err)
{
    (void)arg;
    fail_msg("%s", err->msg);
}

static void on_look(void *arg)
{
    struct side *s = arg;
    if (!s->slow_store)
        sh_store_reap(s->store);
    sh_dispatch_pump(s->dispatch);
    sh_crew_flush(s->crew);
    if (s->over(s) || sh_mono_us() > s->until_us)
        sh_loop_stop(s->base);
    else
        sh_timer_set(s->look, 5);
}

UNUSED static void run(struct side *s, bool (*over)(struct side *s))
{
    s->over = over;
    s->until_us = sh_mono_us() + GIVE_UP_MS * 1000;
    sh_timer_set(s->look, 5);
    sh_loop_run(s->base);
    if (!over(s))
        fail_msg("given up; asked %zu, parked %zu, restarts %lld", s->n_asked,
                 sh_crew_parked(s->crew), (long long)sh_crew_restarts(s->crew));
}

static void begin_with(struct side *s, const char *how, int64_t wall_ms, size_t workers)
{
    static const int64_t soon = 1;
    struct sh_error err;
    const struct sh_file file = {
        .name = "rules/r.lua", .text = (char *)(uintptr_t)how, .len = strlen(how), .is_rule = true};
    memset(s, 0, sizeof(*s));
    s->base = sh_loop_new();
    s->generation = sh_generation_new(&file, 1);
    s->store = sh_store_open(&(struct sh_store_config){0}, &err);
    assert_non_null(s->store);
    s->look = sh_timer_new(s->base, on_look, s);
    s->crew = sh_crew_new(&(struct sh_crew_config){.base = s->base,
                                                   .store = s->store,
                                                   .generation = s->generation,
                                                   .budgets = {.wall_ms = wall_ms, .cpu_ms = 1},
                                                   .settings = &settings_of_nobody,
                                                   .lookup = on_lookup,
                                                   .workers = workers,
                                                   .loaded = on_loaded,
                                                   .arg = s});
    s->dispatch = sh_dispatch_new(&(struct sh_dispatch_config){.store = s->store,
                                                               .generation = s->generation->id,
                                                               .retry_ms = &soon,
                                                               .n_retry = 1,
                                                               .memory_events = 10000,
                                                               .memory_bytes = 1 << 20,
                                                               .give = on_give,
                                                               .queued = on_queued,
                                                               .fatal = on_fatal,
                                                               .arg = s});
    sh_crew_set_dispatch(s->crew, s->dispatch);
}

UNUSED static void begin(struct side *s, const char *how, int64_t wall_ms)
{
    begin_with(s, how, wall_ms, 1);
}

static void on_accepted(struct sh_op *op)
{
    (void)op;
}

UNUSED static void add_events(struct side *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char dedupe[32];
        snprintf(dedupe, sizeof(dedupe), "d%zu", i);
        struct sh_event *e = sh_event_new();
        e->source = sh_strdup("s");
        e->type = sh_strdup("t");
        e->key = sh_strdup("");
        e->dedupe_id = sh_strdup(dedupe);
        e->received_ms = sh_now_ms();
        e->body = sh_strdup("{}");
        e->body_len = 2;
        struct sh_op_accept op = {.op = {.kind = SH_OP_ACCEPT, .done = on_accepted}, .event = e};
        sh_store_submit(s->store, &op.op);
        sh_store_reap(s->store);
        assert_true(op.op.ok);
        sh_dispatch_add(s->dispatch, e);
    }
}

UNUSED static void end(struct side *s)
{
    sh_store_reap(s->store);
    sh_crew_free(s->crew, 0);
    sh_timer_free(s->look);
    sh_store_close(s->store);
    sh_dispatch_free(s->dispatch);
    sh_generation_free(s->generation);
    sh_loop_free(s->base);
    cJSON_Delete(s->report);
}

UNUSED static int64_t settled(const struct side *s)
{
    struct sh_dispatch_stats stats;
    sh_dispatch_stats(s->dispatch, &stats);
    return stats.settled;
}

UNUSED static bool was_ended(struct side *s)
{
    return sh_crew_restarts(s->crew) > 0;
}

#endif
