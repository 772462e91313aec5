/* SPDX-License-Identifier: MIT
 * crew_ask.c: what runs ask while they are on: the store's records, and look-ups over HTTP, for
 * which a job is parked. */
#include "app/crew_impl.h"

#include "base/clock.h"
#include "base/limits.h"

#include <stdlib.h>

#define MAX_ASK_BYTES (64 * 1024 * 1024) /* of one worker's questions, not yet answered */

struct read_op {
    struct sh_op_read op;
    struct worker *worker;
    uint64_t incarnation, read_id;
    char *bytes; /* owned: what the request borrows from */
    size_t cost; /* its part of ask_bytes */
};

/* --- the store ----------------------------------------------------------------------------- */

static void on_answer(struct sh_op *op)
{
    struct read_op *r = op->arg;
    struct worker *w = r->worker;
    w->crew->asking--;
    if (w->incarnation == r->incarnation)
        w->ask_bytes -= r->cost;
    if (op->ok && w->channel && w->incarnation == r->incarnation) {
        sh_frame_answer(sh_channel_out(w->channel), r->read_id,
                        sh_slice(r->op.answer.data, r->op.answer.len));
        sh_channel_flush(w->channel);
    }
    sh_buf_free(&r->op.answer);
    free(r->bytes);
    free(r);
}

static void ask_store(struct worker *w, char *bytes, size_t n, uint64_t read_id,
                      struct sh_read_request request)
{
    struct read_op *r = sh_alloc(1, sizeof(*r));
    *r = (struct read_op){.worker = w,
                          .incarnation = w->incarnation,
                          .read_id = read_id,
                          .bytes = bytes,
                          .cost = sizeof(*r) + n};
    w->ask_bytes += r->cost;
    w->crew->asking++;
    r->op.op = (struct sh_op){.kind = SH_OP_READ, .done = on_answer, .arg = r};
    r->op.request = request;
    sh_store_submit(w->crew->config.store, &r->op.op);
}

/* --- jobs and look-ups ------------------------------------------------------------------- */

struct job_out *sh_crew_find(struct worker *w, uint64_t token)
{
    for (size_t i = 0; i < w->n_jobs; i++)
        if (w->jobs[i].token == token)
            return &w->jobs[i];
    return NULL;
}

/* The job waits for one look-up more: out of the window, if there is room outside. */
static void wait_more(struct worker *w, struct job_out *job)
{
    w->n_waiting += job->lookups++ == 0;
    if (job->parked || w->n_parked >= SH_CREW_PARKED)
        return;
    job->parked = true;
    w->n_parked++;
    w->bytes -= job->bytes;
}

/* It has all its answers, or is over: back into the window. */
static void go_on(struct worker *w, struct job_out *job)
{
    if (job->lookups > 0) {
        if (w->n_waiting == w->n_jobs)
            w->sign_us = sh_mono_us(); /* it had nothing to do: silence counts from here */
        w->n_waiting--;
    }
    if (job->parked) {
        w->n_parked--;
        w->bytes += job->bytes;
    }
    job->lookups = 0;
    job->parked = false;
}

bool sh_crew_strike(struct worker *w, uint64_t token)
{
    struct job_out *job = sh_crew_find(w, token);
    if (!job)
        return false;
    go_on(w, job);
    w->bytes -= job->bytes;
    *job = w->jobs[--w->n_jobs];
    return true;
}

/* As run.h says: ok, no mark, one row without an id. */
static void send_lookup(struct worker *w, uint64_t read_id, struct sh_slice doc)
{
    struct sh_buf answer;
    sh_buf_init(&answer, SH_MAX_FRAME_BYTES);
    sh_buf_u8(&answer, 1);
    sh_buf_u64(&answer, 0);
    sh_buf_uint(&answer, 1);
    sh_buf_bytes(&answer, SH_SLICE(""));
    sh_buf_bytes(&answer, doc);
    sh_require(sh_buf_ok(&answer));
    sh_frame_answer(sh_channel_out(w->channel), read_id, sh_slice(answer.data, answer.len));
    sh_buf_free(&answer);
    sh_channel_flush(w->channel);
}

static void lookup_free(struct sh_crew *c, struct lookup *l)
{
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the analyzer does not follow the list macros
    DL_DELETE(c->lookups, l);
    free(l);
}

static void on_lookup(void *arg, struct sh_slice doc)
{
    struct lookup *l = arg;
    struct worker *w = l->worker;
    if (w->incarnation == l->incarnation && w->channel) {
        struct job_out *job = sh_crew_find(w, l->token);
        w->ask_bytes -= l->cost;
        if (job && job->lookups > 1)
            job->lookups--;
        else if (job)
            go_on(w, job);
        send_lookup(w, l->read_id, doc);
    }
    lookup_free(w->crew, l);
}

/* NOT_HERE: the job was taken back, so that nobody cares what its runs learn here. */
#define NOT_HERE   SH_SLICE("{\"status\":0,\"error\":\"this run goes again on another worker\"}")
#define NO_LOOKUPS SH_SLICE("{\"status\":0,\"error\":\"this engine makes no look-ups\"}")

/* False: more questions at once than the rules of its job can ask. */
static bool ask_lookup(struct worker *w, uint64_t read_id, const struct sh_read_request *q)
{
    struct sh_crew *c = w->crew;
    struct job_out *job = sh_crew_find(w, q->token);
    if (!job || !c->config.lookup) {
        send_lookup(w, read_id, job ? NO_LOOKUPS : NOT_HERE);
        return true;
    }
    if (job->lookups >= c->n_rules)
        return false;
    struct lookup *l = sh_alloc(1, sizeof(*l));
    *l = (struct lookup){.worker = w,
                         .incarnation = w->incarnation,
                         .token = q->token,
                         .read_id = read_id,
                         .cost = sizeof(*l) + q->query.n};
    DL_APPEND(c->lookups, l);
    w->ask_bytes += l->cost;
    wait_more(w, job);
    c->config.lookup(c->config.arg, q->token, q->query, on_lookup, l);
    return true;
}

/* --- both ----------------------------------------------------------------------------------- */

bool sh_crew_ask(struct worker *w, struct sh_slice payload)
{
    struct sh_read_request q;
    uint64_t read_id;
    if (w->ask_bytes > MAX_ASK_BYTES)
        return false;
    char *bytes = sh_slice_dup(payload);
    bool ok = sh_frame_read_ask(sh_slice(bytes, payload.n), &read_id, &q);
    if (ok && q.kind != SH_READ_HTTP) {
        ask_store(w, bytes, payload.n, read_id, q);
        return true;
    }
    ok = ok && ask_lookup(w, read_id, &q);
    free(bytes);
    return ok;
}

void sh_crew_drop_lookups(struct sh_crew *c)
{
    while (c->lookups)
        lookup_free(c, c->lookups);
}
