/* SPDX-License-Identifier: MIT
 * frame.c: frames between engine and worker, written and read. */
#include "core/frame.h"

#include "base/limits.h"
#include "base/utf8.h"
#include "svc/json.h"

#include <stdlib.h>

#define HEAD_BYTES 5 /* length and type */

size_t sh_frame_begin(struct sh_buf *out, enum sh_frame_type type)
{
    size_t place = out->len;
    sh_buf_add(out, (const char[4]){0}, 4);
    sh_buf_u8(out, (uint8_t)type);
    return place;
}

void sh_frame_end(struct sh_buf *out, size_t place)
{
    if (!sh_buf_ok(out))
        return;
    size_t n = out->len - place - 4;
    for (size_t i = 0; i < 4; i++)
        out->data[place + i] = (char)(uint8_t)(n >> (8 * i));
}

int sh_frame_split(struct sh_slice in, size_t max_bytes, uint8_t *type, struct sh_slice *payload,
                   size_t *used)
{
    if (in.n < 4)
        return 0;
    const uint8_t *p = (const uint8_t *)in.p;
    size_t n = (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
    if (n < 1 || n > max_bytes)
        return -1;
    if (in.n < n + 4)
        return 0;
    *type = p[4];
    *payload = sh_slice(p + HEAD_BYTES, n - 1);
    *used = n + 4;
    return 1;
}

#define MAX_SECRETS     1000
#define MAX_NORMALISERS 1000

void sh_settings_clear(struct sh_settings *s)
{
    for (size_t i = 0; s->secrets && s->secrets[i]; i++)
        free(s->secrets[i]);
    free(s->secrets);
    for (size_t i = 0; i < s->n_normalisers; i++) {
        free(s->normalisers[i].source);
        free(s->normalisers[i].module);
    }
    free(s->normalisers);
    free(s->zone);
    *s = (struct sh_settings){0};
}

static void write_settings(struct sh_buf *out, const struct sh_settings *s)
{
    size_t n = 0;
    while (s->secrets && s->secrets[n])
        n++;
    sh_buf_bytes(out, sh_slice_str(s->zone ? s->zone : "UTC"));
    sh_buf_uint(out, n);
    for (size_t i = 0; i < n; i++)
        sh_buf_bytes(out, sh_slice_str(s->secrets[i]));
    sh_buf_uint(out, s->n_normalisers);
    for (size_t i = 0; i < s->n_normalisers; i++) {
        sh_buf_bytes(out, sh_slice_str(s->normalisers[i].source));
        sh_buf_bytes(out, sh_slice_str(s->normalisers[i].module));
    }
}

static bool read_settings(struct sh_reader *r, struct sh_settings *s)
{
    s->zone = sh_slice_dup(sh_read_bytes(r));
    uint64_t n = sh_read_uint(r);
    if (r->bad || n > MAX_SECRETS)
        return false;
    s->secrets = sh_alloc((size_t)n + 1, sizeof(*s->secrets));
    for (size_t i = 0; i < n; i++)
        s->secrets[i] = sh_slice_dup(sh_read_bytes(r));
    n = sh_read_uint(r);
    if (r->bad || n > MAX_NORMALISERS)
        return false;
    s->normalisers = sh_alloc((size_t)n, sizeof(*s->normalisers));
    for (; s->n_normalisers < n; s->n_normalisers++) {
        s->normalisers[s->n_normalisers].source = sh_slice_dup(sh_read_bytes(r));
        s->normalisers[s->n_normalisers].module = sh_slice_dup(sh_read_bytes(r));
    }
    return !r->bad;
}

void sh_frame_load(struct sh_buf *out, const struct sh_budgets *b, const struct sh_settings *s,
                   const struct sh_generation *g)
{
    size_t place = sh_frame_begin(out, SH_FRAME_LOAD);
    sh_buf_uint(out, (uint64_t)b->cpu_ms);
    sh_buf_uint(out, (uint64_t)b->wall_ms);
    sh_buf_uint(out, (uint64_t)b->memory_bytes);
    sh_buf_uint(out, (uint64_t)b->max_effects);
    sh_buf_uint(out, (uint64_t)b->max_effect_bytes);
    write_settings(out, s);
    sh_buf_uint(out, g->n_files);
    for (size_t i = 0; i < g->n_files; i++) {
        sh_buf_u8(out, g->files[i].is_rule);
        sh_buf_bytes(out, sh_slice_str(g->files[i].name));
        sh_buf_bytes(out, sh_slice(g->files[i].text, g->files[i].len));
    }
    sh_frame_end(out, place);
}

bool sh_frame_read_load(struct sh_slice payload, struct sh_budgets *b, struct sh_settings *s,
                        struct sh_generation **g)
{
    struct sh_reader r = sh_reader_of(payload);
    *s = (struct sh_settings){0};
    b->cpu_ms = (int64_t)sh_read_uint(&r);
    b->wall_ms = (int64_t)sh_read_uint(&r);
    b->memory_bytes = (int64_t)sh_read_uint(&r);
    b->max_effects = (int64_t)sh_read_uint(&r);
    b->max_effect_bytes = (int64_t)sh_read_uint(&r);
    bool ok = read_settings(&r, s);
    uint64_t n = sh_read_uint(&r);
    if (!ok || r.bad || n > payload.n) {
        sh_settings_clear(s);
        return false;
    }
    struct sh_file *files = sh_alloc((size_t)n, sizeof(*files));
    for (size_t i = 0; i < n; i++) {
        files[i].is_rule = sh_read_u8(&r) != 0;
        files[i].name = sh_slice_dup(sh_read_bytes(&r));
        struct sh_slice text = sh_read_bytes(&r);
        files[i].text = sh_slice_dup(text);
        files[i].len = text.n;
    }
    *g = r.bad ? NULL : sh_generation_new(files, (size_t)n);
    for (size_t i = 0; i < n; i++) {
        free(files[i].name);
        free(files[i].text);
    }
    free(files);
    if (!*g)
        sh_settings_clear(s);
    return *g != NULL;
}

static void write_names(struct sh_buf *out, const struct sh_slice *names, size_t n)
{
    sh_buf_uint(out, n);
    for (size_t i = 0; i < n; i++)
        sh_buf_bytes(out, names[i]);
}

void sh_frame_job(struct sh_buf *out, const struct sh_job *job)
{
    size_t place = sh_frame_begin(out, SH_FRAME_JOB);
    sh_buf_u64(out, job->token);
    sh_buf_u64(out, job->id.hi);
    sh_buf_u64(out, job->id.lo);
    sh_buf_bytes(out, job->source);
    sh_buf_bytes(out, job->type);
    sh_buf_bytes(out, job->key);
    sh_buf_u64(out, (uint64_t)job->received_ms);
    sh_buf_u64(out, (uint64_t)job->due_ms);
    sh_buf_u64(out, (uint64_t)job->now_ms);
    sh_buf_u64(out, (uint64_t)job->occurred_ms);
    sh_buf_u8(out, (uint8_t)job->format);
    sh_buf_bytes(out, job->trace);
    sh_buf_uint(out, job->attempt);
    sh_buf_u8(out, job->explain);
    sh_buf_bytes(out, job->body);
    write_names(out, job->only, job->n_only);
    write_names(out, job->skip, job->n_skip);
    write_names(out, job->hold, job->n_hold);
    sh_frame_end(out, place);
}

/* The next list into names behind the *n that are there; *at: where it begins. */
static bool read_names(struct sh_reader *r, size_t most, struct sh_slice **names, size_t *n,
                       size_t *at)
{
    uint64_t more = sh_read_uint(r);
    *at = *n;
    if (r->bad || more > most)
        return false;
    if (!more)
        return true;
    *names = sh_realloc(*names, (*n + (size_t)more) * sizeof(**names));
    for (uint64_t i = 0; i < more; i++)
        (*names)[(*n)++] = sh_read_bytes(r);
    return !r->bad;
}

bool sh_frame_read_job(struct sh_slice payload, struct sh_job *job, struct sh_slice **names)
{
    struct sh_reader r = sh_reader_of(payload);
    *job = (struct sh_job){.token = sh_read_u64(&r)};
    job->id.hi = sh_read_u64(&r);
    job->id.lo = sh_read_u64(&r);
    job->source = sh_read_bytes(&r);
    job->type = sh_read_bytes(&r);
    job->key = sh_read_bytes(&r);
    job->received_ms = (int64_t)sh_read_u64(&r);
    job->due_ms = (int64_t)sh_read_u64(&r);
    job->now_ms = (int64_t)sh_read_u64(&r);
    job->occurred_ms = (int64_t)sh_read_u64(&r);
    job->format = (enum sh_body_format)sh_read_u8(&r);
    job->trace = sh_read_bytes(&r);
    job->attempt = (uint32_t)sh_read_uint(&r);
    job->explain = sh_read_u8(&r) != 0;
    job->body = sh_read_bytes(&r);
    *names = NULL;
    size_t n = 0, only, skip, hold; /* where each begins; a job has only or skip, not both */
    bool ok = read_names(&r, payload.n, names, &n, &only) &&
              read_names(&r, payload.n, names, &n, &skip) &&
              read_names(&r, payload.n, names, &n, &hold);
    if (ok && (skip == 0 || hold == skip) && job->token != 0 && r.p == r.end) {
        job->n_only = skip;
        job->n_skip = hold - skip;
        job->n_hold = n - hold;
        job->only = job->n_only ? *names : NULL;
        job->skip = job->n_skip ? *names + skip : NULL;
        job->hold = job->n_hold ? *names + hold : NULL;
        return true;
    }
    free(*names);
    *names = NULL;
    return false;
}

void sh_frame_answer(struct sh_buf *out, uint64_t read_id, struct sh_slice answer)
{
    size_t place = sh_frame_begin(out, SH_FRAME_ANSWER);
    sh_buf_u64(out, read_id);
    sh_buf_bytes(out, answer);
    sh_frame_end(out, place);
}

bool sh_frame_read_answer(struct sh_slice payload, uint64_t *read_id, struct sh_slice *answer)
{
    struct sh_reader r = sh_reader_of(payload);
    *read_id = sh_read_u64(&r);
    *answer = sh_read_bytes(&r);
    return !r.bad && r.p == r.end;
}

void sh_frame_ask(struct sh_buf *out, uint64_t read_id, const struct sh_read_request *q)
{
    size_t place = sh_frame_begin(out, SH_FRAME_READ);
    sh_buf_u64(out, read_id);
    sh_buf_u64(out, q->token);
    sh_read_request_write(out, q);
    sh_frame_end(out, place);
}

bool sh_frame_read_ask(struct sh_slice payload, uint64_t *read_id, struct sh_read_request *q)
{
    struct sh_reader r = sh_reader_of(payload);
    *read_id = sh_read_u64(&r);
    uint64_t token = sh_read_u64(&r);
    if (!sh_read_request_read(&r, q) || r.p != r.end)
        return false;
    q->token = token;
    return true;
}

static void write_run(struct sh_buf *out, const struct sh_run *run)
{
    sh_buf_bytes(out, run->rule);
    sh_buf_u8(out, (uint8_t)run->outcome);
    sh_buf_uint(out, run->attempt);
    sh_buf_bytes(out, run->error);
    sh_buf_u64(out, (uint64_t)run->now_ms);
    sh_buf_uint(out, run->duration_us);
    sh_buf_uint(out, run->n_effects);
    sh_buf_bytes(out, run->effects);
    sh_buf_uint(out, run->n_reads);
    sh_buf_bytes(out, run->reads);
    sh_buf_bytes(out, run->logs);
}

void sh_frame_result(struct sh_buf *out, const struct sh_result *result)
{
    size_t place = sh_frame_begin(out, SH_FRAME_RESULT);
    sh_buf_u64(out, result->token);
    sh_buf_uint(out, result->n_runs);
    for (size_t i = 0; i < result->n_runs; i++)
        write_run(out, &result->runs[i]);
    sh_frame_end(out, place);
}

static bool effects_sound(struct sh_slice bytes, uint32_t n)
{
    struct sh_reader r = sh_reader_of(bytes);
    struct sh_effect fx;
    for (uint32_t i = 0; i < n; i++)
        if (!sh_effect_read(&r, &fx))
            return false;
    return r.p == r.end;
}

static bool reads_sound(struct sh_slice bytes, uint32_t n)
{
    struct sh_reader r = sh_reader_of(bytes);
    struct sh_read_mark m;
    for (uint32_t i = 0; i < n; i++)
        if (!sh_read_mark_read(&r, &m))
            return false;
    return r.p == r.end;
}

static bool logs_sound(struct sh_slice logs)
{
    struct sh_json_fault fault;
    return logs.n == 0 || (logs.p[0] == '[' && sh_json_check(logs.p, logs.n, &fault));
}

/* RETRY and DEAD are for the store to say. */
static bool outcome_sound(enum sh_outcome o)
{
    return (o >= SH_RUN_DONE && o <= SH_RUN_SKIPPED_WHEN) || o == SH_RUN_PAUSED;
}

/* A run of one letter's name, all else 0 or empty: what n runs need at least. */
#define MIN_RUN_BYTES 19

static bool read_run(struct sh_reader *r, struct sh_run *run)
{
    run->rule = sh_read_bytes(r);
    run->outcome = (enum sh_outcome)sh_read_u8(r);
    run->attempt = (uint32_t)sh_read_uint(r);
    run->error = sh_read_bytes(r);
    run->now_ms = (int64_t)sh_read_u64(r);
    run->duration_us = sh_read_uint(r);
    run->n_effects = (uint32_t)sh_read_uint(r);
    run->effects = sh_read_bytes(r);
    run->n_reads = (uint32_t)sh_read_uint(r);
    run->reads = sh_read_bytes(r);
    run->logs = sh_read_bytes(r);
    return !r->bad && outcome_sound(run->outcome) && run->rule.n > 0 &&
           run->rule.n <= SH_MAX_NAME_BYTES && sh_utf8_ok(run->rule) && sh_utf8_ok(run->error) &&
           logs_sound(run->logs) && effects_sound(run->effects, run->n_effects) &&
           reads_sound(run->reads, run->n_reads);
}

bool sh_frame_read_result(struct sh_slice payload, struct sh_result *result)
{
    struct sh_reader r = sh_reader_of(payload);
    *result = (struct sh_result){.token = sh_read_u64(&r)};
    uint64_t n = sh_read_uint(&r);
    if (r.bad || n > payload.n / MIN_RUN_BYTES)
        return false;
    result->runs = sh_alloc((size_t)n, sizeof(*result->runs));
    result->n_runs = (size_t)n;
    for (size_t i = 0; i < n && !r.bad; i++)
        if (!read_run(&r, &result->runs[i]))
            r.bad = true;
    if (!r.bad && r.p == r.end)
        return true;
    free(result->runs);
    *result = (struct sh_result){0};
    return false;
}
