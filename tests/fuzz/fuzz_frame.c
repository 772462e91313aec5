/* SPDX-License-Identifier: MIT
 * fuzz_frame.c: whatever a hostile worker writes, the frame decoder neither crashes nor reads past
 * the end, and what it accepts survives being written again. */
#include "base/limits.h"
#include "core/frame.h"
#include "svc/json.h"

#include <stdlib.h>
#include <string.h>

static void same(struct sh_slice a, struct sh_slice b)
{
    sh_require(sh_slice_eq(a, b));
}

static void check_effects(const struct sh_run *run)
{
    struct sh_reader r = sh_reader_of(run->effects);
    struct sh_effect fx;
    for (uint32_t i = 0; i < run->n_effects; i++) {
        struct sh_buf json;
        sh_buf_init(&json, SH_MAX_FRAME_BYTES);
        sh_require(sh_effect_read(&r, &fx));
        sh_effect_json(&json, &fx, i % 2);
        cJSON *tree = sh_json_parse(json.data, json.len, NULL); /* also of a made-up document */
        sh_require(tree != NULL);
        cJSON_Delete(tree);
        sh_buf_free(&json);
    }
}

static void check_reads(const struct sh_run *run)
{
    struct sh_reader r = sh_reader_of(run->reads);
    struct sh_read_mark m;
    for (uint32_t i = 0; i < run->n_reads; i++) {
        sh_require(sh_read_mark_read(&r, &m));
        sh_require(m.answer.n == 0 || m.request.kind == SH_READ_HTTP);
    }
}

/* Write it again: the only frame in out must have this type. */
static struct sh_slice again_of(const struct sh_buf *out, uint8_t expected)
{
    uint8_t type;
    struct sh_slice back;
    size_t used;
    sh_require(sh_frame_split(sh_slice(out->data, out->len), SH_MAX_FRAME_BYTES, &type, &back,
                              &used) == 1);
    sh_require(type == expected && used == out->len);
    return back;
}

static void check_result(struct sh_slice payload)
{
    struct sh_result r, again;
    struct sh_buf out;
    if (!sh_frame_read_result(payload, &r))
        return;
    sh_buf_init(&out, SH_MAX_FRAME_BYTES);
    sh_frame_result(&out, &r);
    sh_require(sh_frame_read_result(again_of(&out, SH_FRAME_RESULT), &again) &&
               again.n_runs == r.n_runs);
    for (size_t i = 0; i < r.n_runs; i++) {
        check_effects(&r.runs[i]);
        check_reads(&r.runs[i]);
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
    struct sh_job job, again;
    struct sh_slice *names, *names2;
    struct sh_buf out;
    if (!sh_frame_read_job(payload, &job, &names))
        return;
    sh_buf_init(&out, SH_MAX_FRAME_BYTES);
    sh_frame_job(&out, &job);
    sh_require(sh_frame_read_job(again_of(&out, SH_FRAME_JOB), &again, &names2));
    sh_require(again.n_only == job.n_only && again.n_skip == job.n_skip &&
               again.n_hold == job.n_hold);
    for (size_t i = 0; i < job.n_hold; i++)
        same(job.hold[i], again.hold[i]);
    free(names);
    free(names2);
    sh_buf_free(&out);
}

static void check_load(struct sh_slice payload)
{
    struct sh_budgets budgets;
    struct sh_settings settings;
    struct sh_generation *g = NULL;
    struct sh_settings s2;
    struct sh_generation *g2 = NULL;
    struct sh_buf out;
    if (!sh_frame_read_load(payload, &budgets, &settings, &g))
        return;
    sh_buf_init(&out, SH_MAX_FRAME_BYTES);
    sh_frame_load(&out, &budgets, &settings, g);
    sh_require(sh_frame_read_load(again_of(&out, SH_FRAME_LOAD), &budgets, &s2, &g2));
    sh_require(strcmp(settings.zone, s2.zone) == 0 && strcmp(g->id, g2->id) == 0);
    for (size_t i = 0; settings.secrets[i] || s2.secrets[i]; i++)
        sh_require(strcmp(settings.secrets[i], s2.secrets[i]) == 0);
    sh_settings_clear(&settings);
    sh_settings_clear(&s2);
    sh_generation_free(g);
    sh_generation_free(g2);
    sh_buf_free(&out);
}

static void check_ask(struct sh_slice payload)
{
    struct sh_read_request q, again;
    struct sh_buf out;
    uint64_t id, id2;
    if (!sh_frame_read_ask(payload, &id, &q))
        return;
    sh_require((q.collection.n > 0) == (q.kind != SH_READ_HTTP));
    sh_buf_init(&out, SH_MAX_FRAME_BYTES);
    sh_frame_ask(&out, id, &q);
    sh_require(sh_frame_read_ask(again_of(&out, SH_FRAME_READ), &id2, &again));
    sh_require(id == id2 && q.token == again.token && q.kind == again.kind);
    same(q.id, again.id);
    same(q.query, again.query);
    sh_buf_free(&out);
}

static void check_payload(uint8_t type, struct sh_slice payload)
{
    uint64_t id;
    struct sh_slice answer;
    if (type == SH_FRAME_RESULT)
        check_result(payload);
    else if (type == SH_FRAME_JOB)
        check_job(payload);
    else if (type == SH_FRAME_LOAD)
        check_load(payload);
    else if (type == SH_FRAME_READ)
        check_ask(payload);
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
