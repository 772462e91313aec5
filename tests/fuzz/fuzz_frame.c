/* SPDX-License-Identifier: MIT
 * fuzz_frame.c: whatever a hostile worker writes, the frame decoder neither crashes nor reads past
 * the end, and what it accepts survives being written again. */
#include "base/limits.h"
#include "core/frame.h"

#include <stdlib.h>
#include <string.h>

static void same(struct sh_slice a, struct sh_slice b)
{
    sh_require(sh_slice_eq(a, b));
}

static void check_result(struct sh_slice payload)
{
    struct sh_result r, again;
    struct sh_buf out;
    uint8_t type;
    struct sh_slice back;
    size_t used;
    if (!sh_frame_read_result(payload, &r))
        return;
    sh_buf_init(&out, SH_MAX_FRAME_BYTES);
    sh_frame_result(&out, &r);
    sh_require(
        sh_frame_split(sh_slice(out.data, out.len), SH_MAX_FRAME_BYTES, &type, &back, &used) == 1);
    sh_require(type == SH_FRAME_RESULT && used == out.len);
    sh_require(sh_frame_read_result(back, &again) && again.n_runs == r.n_runs);
    for (size_t i = 0; i < r.n_runs; i++) {
        same(r.runs[i].rule, again.runs[i].rule);
        same(r.runs[i].effects, again.runs[i].effects);
        same(r.runs[i].reads, again.runs[i].reads);
        same(r.runs[i].logs, again.runs[i].logs);
    }
    free(r.runs);
    free(again.runs);
    sh_buf_free(&out);
}

static void check_job(struct sh_slice payload)
{
    struct sh_job job;
    struct sh_slice *names;
    if (sh_frame_read_job(payload, &job, &names))
        free(names);
}

static void check_load(struct sh_slice payload)
{
    struct sh_budgets budgets;
    struct sh_generation *g = NULL;
    if (sh_frame_read_load(payload, &budgets, &g))
        sh_generation_free(g);
}

static void check_payload(uint8_t type, struct sh_slice payload)
{
    uint64_t id;
    struct sh_slice answer;
    struct sh_read_request q;
    if (type == SH_FRAME_RESULT)
        check_result(payload);
    else if (type == SH_FRAME_JOB)
        check_job(payload);
    else if (type == SH_FRAME_LOAD)
        check_load(payload);
    else if (type == SH_FRAME_READ && sh_frame_read_ask(payload, &id, &q))
        sh_require(q.collection.n > 0);
    else if (type == SH_FRAME_ANSWER && sh_frame_read_answer(payload, &id, &answer))
        sh_require(answer.n <= payload.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sh_slice in = sh_slice(data, size), payload;
    uint8_t type;
    size_t used;
    /* Once as a stream of frames, once as a bare payload behind a type byte. */
    while (sh_frame_split(in, 1 << 20, &type, &payload, &used) == 1) {
        check_payload(type, payload);
        in = sh_slice(in.p + used, in.n - used);
    }
    if (size > 1)
        check_payload(data[0], sh_slice(data + 1, size - 1));
    return 0;
}
