/* SPDX-License-Identifier: MIT
 * dispatch_kit.h: what the dispatcher's tests share: it runs on a real store (in memory), with the
 * test as its workers. */
#ifndef DISPATCH_KIT_H
#define DISPATCH_KIT_H

#include "core/dispatch.h"

#include "base/clock.h"
#include "base/limits.h"
#include "core/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIT     __attribute__((unused)) static
#define MAX_OUT 64

struct given { /* a job as the test's worker holds it */
    uint64_t token;
    char key[40], body[200], only[80], skip[80], hold[80];
    uint32_t attempt;
};

struct bench {
    struct sh_store *store;
    struct sh_dispatch *d;
    struct given out[MAX_OUT];
    size_t n_out, room;
    int queued, serial;
};

static const int64_t delays[] = {1000, 2000};

KIT void join(char *to, size_t size, const struct sh_slice *names, size_t n)
{
    to[0] = '\0';
    for (size_t i = 0; i < n; i++)
        snprintf(to + strlen(to), size - strlen(to), "%s%.*s", i ? "," : "", (int)names[i].n,
                 names[i].p);
}

KIT bool give(void *arg, const struct sh_job *job)
{
    struct bench *b = arg;
    if (b->n_out >= b->room)
        return false;
    struct given *g = &b->out[b->n_out++];
    *g = (struct given){.token = job->token, .attempt = job->attempt};
    snprintf(g->key, sizeof(g->key), "%.*s", (int)job->key.n, job->key.p);
    snprintf(g->body, sizeof(g->body), "%.*s", (int)job->body.n, job->body.p);
    join(g->only, sizeof(g->only), job->only, job->n_only);
    join(g->skip, sizeof(g->skip), job->skip, job->n_skip);
    join(g->hold, sizeof(g->hold), job->hold, job->n_hold);
    return true;
}

KIT void queued(void *arg)
{
    ((struct bench *)arg)->queued++;
}

KIT void fatal(void *arg, const struct sh_error *err)
{
    (void)arg;
    fail_msg("store failed: %s", err->msg);
}

KIT void start(struct bench *b, int64_t memory_events)
{
    const struct sh_dispatch_config config = {.store = b->store,
                                              .generation = "0123456789abcdef",
                                              .retry_ms = delays,
                                              .n_retry = 2,
                                              .memory_events = memory_events,
                                              .memory_bytes = 1 << 20,
                                              .give = give,
                                              .queued = queued,
                                              .fatal = fatal,
                                              .arg = b};
    b->n_out = 0;
    b->d = sh_dispatch_new(&config);
}

KIT int setup(void **state)
{
    struct bench *b = sh_alloc(1, sizeof(*b));
    const struct sh_store_config config = {0};
    struct sh_error err;
    b->store = sh_store_open(&config, &err);
    assert_non_null(b->store);
    b->room = MAX_OUT;
    start(b, 1000);
    *state = b;
    return 0;
}

KIT int teardown(void **state)
{
    struct bench *b = *state;
    sh_store_close(b->store);
    sh_dispatch_free(b->d);
    free(b);
    return 0;
}

KIT void accept_done(struct sh_op *op)
{
    *(bool *)op->arg = op->ok;
}

/* Store an event, and tell the dispatcher unless it should find it by itself. */
KIT void add(struct bench *b, const char *key, bool tell)
{
    struct sh_event *e = sh_event_new();
    char *body = sh_strf("{\"n\":%d}", ++b->serial);
    e->source = sh_strdup("phone");
    e->type = sh_strdup("call");
    e->key = sh_strdup(key);
    e->dedupe_id = sh_strf("%d", b->serial);
    e->received_ms = sh_now_ms();
    e->body_len = strlen(body);
    e->body = body;
    bool stored = false;
    struct sh_op_accept op = {.op = {.kind = SH_OP_ACCEPT, .done = accept_done, .arg = &stored},
                              .event = e};
    sh_store_submit(b->store, &op.op);
    sh_store_reap(b->store);
    assert_true(stored);
    if (tell)
        sh_dispatch_add(b->d, e);
    else
        sh_event_free(e);
    sh_dispatch_pump(b->d);
    sh_store_reap(b->store);
}

KIT void drop(struct bench *b, size_t i)
{
    memmove(&b->out[i], &b->out[i + 1], (b->n_out - i - 1) * sizeof(*b->out));
    b->n_out--;
}

/* Answer the i-th job that is out. */
KIT void answer(struct bench *b, size_t i, struct sh_run *runs, size_t n)
{
    const struct sh_result in = {.token = b->out[i].token, .runs = runs, .n_runs = n};
    struct sh_buf out;
    struct sh_result back;
    assert_true(i < b->n_out);
    sh_buf_init(&out, SH_MAX_FRAME_BYTES);
    sh_frame_result(&out, &in);
    char *payload = sh_memdup(out.data + 5, out.len - 5);
    assert_true(sh_frame_read_result(sh_slice(payload, out.len - 5), &back));
    sh_buf_free(&out);
    drop(b, i);
    assert_true(sh_dispatch_result(b->d, payload, &back));
    sh_store_reap(b->store);
    sh_dispatch_pump(b->d);
    sh_store_reap(b->store);
}

KIT void tick(struct bench *b, int64_t now_ms)
{
    for (int i = 0; i < 4; i++) {
        sh_dispatch_tick(b->d, now_ms);
        sh_store_reap(b->store);
    }
}

KIT struct sh_run run_of(const char *rule, enum sh_outcome outcome)
{
    return (struct sh_run){.rule = sh_slice_str(rule),
                           .outcome = outcome,
                           .error =
                               sh_slice_str(outcome == SH_RUN_FAILED ? "rules/x.lua:1: no" : ""),
                           .now_ms = 1};
}

KIT void answer_one(struct bench *b, size_t i, const char *rule, enum sh_outcome outcome)
{
    struct sh_run run = run_of(rule, outcome);
    answer(b, i, &run, 1);
}

struct sought {
    const char *rule, *outcome, *error;
    int found, attempts;
};

KIT bool match(void *arg, const cJSON *row)
{
    struct sought *s = arg;
    const char *error = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "error"));
    if (strcmp(cJSON_GetObjectItemCaseSensitive(row, "rule")->valuestring, s->rule) == 0 &&
        strcmp(cJSON_GetObjectItemCaseSensitive(row, "outcome")->valuestring, s->outcome) == 0 &&
        (!s->error || (error && strstr(error, s->error)))) {
        s->found++;
        s->attempts = cJSON_GetObjectItemCaseSensitive(row, "attempts")->valueint;
    }
    return true;
}

KIT struct sought find(struct bench *b, const char *rule, const char *outcome, const char *error)
{
    struct sought s = {.rule = rule, .outcome = outcome, .error = error};
    const struct sh_list_query q = {.what = SH_LIST_RUNS};
    struct sh_error err;
    assert_true(sh_store_list(b->store, &q, match, &s, &err));
    return s;
}

#endif
