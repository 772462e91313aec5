/* SPDX-License-Identifier: MIT
 * playground.c: processes that try things, a few at once. */
#include "app/playground.h"

#include "app/playground_work.h"
#include "base/log.h"
#include "base/zone.h"
#include "core/fault.h"
#include "svc/channel.h"
#include "svc/json.h"
#include "svc/loop.h"
#include "svc/process.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define REAP_MS 20 /* how long the loop waits to learn how a process ended */

/* A question that waits: the frames for its process. */
struct question {
    struct sh_buf frames;
    sh_play_fn *fn;
    void *arg;
    uint8_t token[SH_TOKEN_BYTES];
    STAILQ_ENTRY(question) link;
};

/* A place for a process. */
struct play {
    struct sh_playground *of;
    uint8_t token[SH_TOKEN_BYTES]; /* whose question it works at */
    struct sh_child child;
    struct sh_channel *channel; /* NULL: nobody is in this place */
    struct sh_timer *limit, *reaper;
    struct question *question;  /* NULL: answered; the process is being ended */
    cJSON *rules, *normalisers; /* of its load report */
};

struct sh_playground {
    struct event_base *base;
    const struct sh_config *config;
    struct play plays[SH_PLAY_AT_ONCE];
    STAILQ_HEAD(, question) waiting;
    size_t n_waiting;
    struct sh_timer *next; /* places are filled from the loop */
    bool stopped;
};

static void question_free(struct question *q)
{
    sh_buf_free(&q->frames);
    free(q);
}

/* --- answers --------------------------------------------------------------------------------- */

static void tell(struct question *q, int status, struct sh_slice json)
{
    q->fn(q->arg, status, json);
    question_free(q);
}

static void tell_error(struct question *q, int status, const char *code, const char *rule,
                       const char *message)
{
    struct sh_buf out;
    cJSON *o = sh_play_error(code, message);
    if (rule)
        cJSON_AddStringToObject(cJSON_GetObjectItemCaseSensitive(o, "error"), "rule", rule);
    sh_buf_init(&out, SH_PLAY_ANSWER_BYTES);
    const bool ok = sh_json_print(o, &out);
    cJSON_Delete(o);
    tell(q, status, ok ? sh_slice(out.data, out.len) : SH_SLICE("{}"));
    sh_buf_free(&out);
}

/* --- the end of a process -------------------------------------------------------------------- */

static void fill_places(void *arg);

/* The place is free as soon as the process is gone. */
static void on_reap(void *arg)
{
    struct play *p = arg;
    if (p->child.pid > 0 && !sh_child_reap(&p->child)) {
        sh_timer_set(p->reaper, 1);
        return;
    }
    sh_channel_free(p->channel);
    p->channel = NULL;
    sh_child_release(&p->child);
    cJSON_Delete(p->rules);
    cJSON_Delete(p->normalisers);
    p->rules = p->normalisers = NULL;
    if (!p->of->stopped)
        fill_places(p->of);
}

/* Nothing more is expected of it. */
static void end_process(struct play *p)
{
    sh_timer_cancel(p->limit);
    sh_child_kill(&p->child);
    sh_timer_set(p->reaper, 0);
}

static struct question *take_question(struct play *p)
{
    struct question *q = p->question;
    p->question = NULL;
    return q;
}

/* "rules/a.lua:3: " of the rule that the process was running, by its own word, and its name; or of
 * the file it loaded, which is no rule's. Caller frees both. */
static char *place_of(const struct play *p, char **rule)
{
    const struct sh_pulse *pulse = p->child.page;
    const int n_rules = cJSON_GetArraySize(p->rules);
    const uint32_t number = atomic_load(&pulse->rule);
    const bool is_rule = number < (uint32_t)n_rules;
    int64_t line = 0;
    *rule = NULL;
    if (atomic_load(&pulse->token) == 0 || number > 100000)
        return NULL;
    const cJSON *at = is_rule ? cJSON_GetArrayItem(p->rules, (int)number)
                              : cJSON_GetArrayItem(p->normalisers, (int)number - n_rules);
    const char *file = sh_json_string(at, "file"), *name = sh_json_string(at, "name");
    if (!file)
        return NULL;
    (void)!sh_json_get_int(sh_json_member(at, "line"), &line);
    *rule = is_rule ? sh_strdup(name) : NULL;
    return sh_strf("%s:%d", file, (int)line);
}

/* It did not answer: how, and in which rule. */
static void fail(struct play *p, const char *how)
{
    char *rule, *place = place_of(p, &rule);
    char *why = sh_strf("%s%s%s", place ? place : "", place ? ": " : "", how);
    char *text = sh_fault_text(sh_slice_str(rule ? rule : ""), sh_slice_str(why));
    sh_warn("a try did not come to its end", "why", how, "rule", rule ? rule : "");
    tell_error(take_question(p), 422, "try_failed", rule, text);
    free(text);
    free(why);
    free(place);
    free(rule);
}

static void on_limit(void *arg)
{
    struct play *p = arg;
    char how[200];
    snprintf(
        how, sizeof(how),
        "no answer within %d ms, and ended: inside a function that cannot be interrupted, such "
        "as a pattern match, or with too much to do",
        SH_PLAY_MS);
    if (p->question)
        fail(p, how);
    end_process(p);
}

/* One that died of itself is as good as reaped; one that only shut its socket is ended. */
static void on_closed(void *arg, const char *why)
{
    struct play *p = arg;
    char ended[SH_CHILD_HOW], how[SH_CHILD_HOW + 60];
    (void)why;
    if (!p->question)
        return;
    sh_child_finish(&p->child, REAP_MS, ended);
    snprintf(how, sizeof(how), "the process that tried it %s", ended);
    fail(p, how);
    p->child.pid = -1;
    end_process(p);
}

/* --- frames in ------------------------------------------------------------------------------- */

static bool take_loaded(struct play *p, struct sh_slice payload)
{
    struct sh_json_fault fault;
    if (p->rules || !sh_json_check(payload.p, payload.n, &fault))
        return false;
    cJSON *report = sh_json_parse(payload.p, payload.n, NULL);
    p->rules = cJSON_DetachItemFromObjectCaseSensitive(report, "rules");
    p->normalisers = cJSON_DetachItemFromObjectCaseSensitive(report, "normalisers");
    cJSON_Delete(report);
    return true;
}

/* It has run an author's code: what it says is looked at. */
static bool take_answer(struct play *p, struct sh_slice payload)
{
    struct sh_json_fault fault;
    struct sh_reader r = sh_reader_of(payload);
    const uint64_t status = sh_read_uint(&r);
    struct sh_slice json = sh_read_bytes(&r);
    if (r.bad || (status != 200 && status != 400 && status != 413 && status != 422) ||
        !sh_json_check(json.p, json.n, &fault))
        return false;
    tell(take_question(p), (int)status, json);
    end_process(p);
    return true;
}

static ssize_t on_data(void *arg, struct sh_slice in)
{
    struct play *p = arg;
    size_t done = 0, used;
    uint8_t type;
    struct sh_slice payload;
    int rc = 0;
    while (p->question &&
           (rc = sh_frame_split(sh_slice(in.p + done, in.n - done), 2 * SH_PLAY_ANSWER_BYTES, &type,
                                &payload, &used)) > 0) {
        const bool ok = type == SH_FRAME_LOADED  ? take_loaded(p, payload)
                        : type == SH_FRAME_TRIED ? take_answer(p, payload)
                                                 : false;
        if (!ok)
            return -1;
        done += used;
    }
    return rc < 0 ? -1 : p->question ? (ssize_t)done : (ssize_t)in.n;
}

/* --- the start of a process ------------------------------------------------------------------ */

static void start(struct play *p, struct question *q)
{
    struct sh_playground *of = p->of;
    const bool json = sh_log_format() == SH_LOG_JSON;
    char *argv[] = {"switchhook", "playground", json ? "json" : NULL, NULL};
    const struct sh_channel_calls calls = {.arg = p, .data = on_data, .closed = on_closed};
    struct sh_error err;
    if (!sh_child_start(argv, sizeof(struct sh_pulse), sh_zones_image(), &p->child, &err)) {
        sh_err("cannot start a process to try something in", "error", err.msg);
        tell_error(q, 503, "overloaded", NULL, "no process is to be had to try it in");
        return;
    }
    p->question = q;
    memcpy(p->token, q->token, sizeof(p->token));
    p->channel = sh_channel_new(of->base, p->child.socket, 2 * SH_PLAY_ANSWER_BYTES,
                                2 * SH_MAX_FRAME_BYTES, &calls);
    sh_timer_set(p->limit, SH_PLAY_MS);
    sh_buf_add(sh_channel_out(p->channel), q->frames.data, q->frames.len);
    sh_channel_flush(p->channel);
}

static bool is_same(const uint8_t a[SH_TOKEN_BYTES], const uint8_t b[SH_TOKEN_BYTES])
{
    return memcmp(a, b, SH_TOKEN_BYTES) == 0;
}

static size_t at_work(const struct sh_playground *of, const uint8_t token[SH_TOKEN_BYTES])
{
    size_t n = 0;
    for (size_t i = 0; i < SH_PLAY_AT_ONCE; i++)
        n += of->plays[i].channel && is_same(of->plays[i].token, token);
    return n;
}

/* The one that has waited longest, of those whose token has the fewest at work: whoever asks much
 * waits behind their own questions. There is one. */
static struct question *next_question(struct sh_playground *of)
{
    struct question *q, *next = NULL;
    size_t fewest = SIZE_MAX;
    STAILQ_FOREACH(q, &of->waiting, link)
    {
        const size_t n = at_work(of, q->token);
        if (n >= fewest)
            continue;
        fewest = n;
        next = q;
    }
    return next;
}

static void take_out(struct sh_playground *of, struct question *q)
{
    STAILQ_REMOVE(&of->waiting, q, question, link);
    of->n_waiting--;
}

static void fill_places(void *arg)
{
    struct sh_playground *of = arg;
    for (size_t i = 0; i < SH_PLAY_AT_ONCE; i++) {
        while (!of->plays[i].channel && of->n_waiting) {
            struct question *q = next_question(of);
            take_out(of, q);
            start(&of->plays[i], q);
        }
    }
}

/* --- questions ------------------------------------------------------------------------------- */

static void add_config(cJSON *what, const struct sh_config *c)
{
    cJSON *delays = cJSON_AddArrayToObject(what, "retry_ms");
    for (size_t i = 0; i < c->n_retry; i++)
        cJSON_AddItemToArray(delays, sh_json_int(c->retry_ms[i]));
    cJSON_AddBoolToObject(what, "callback_email", c->callback_email);
    cJSON_AddItemToObject(what, "callback_missed_ms", sh_json_int(c->callback_missed_ms));
    cJSON_AddItemToObject(what, "max_bytes", sh_json_int(c->body_bytes));
}

static void write_frames(struct sh_buf *out, const struct sh_config *c, const struct sh_play *play)
{
    struct sh_buf text;
    sh_buf_init(&text, SH_MAX_FRAME_BYTES / 2);
    sh_frame_load(out, &c->budgets, &c->settings, play->generation);
    size_t place = sh_frame_begin(out, SH_FRAME_TRY);
    if (!sh_json_print(play->what, &text))
        out->failed = true;
    sh_buf_bytes(out, sh_slice(text.data, text.len));
    sh_buf_uint(out, play->n_bodies);
    for (size_t i = 0; i < play->n_bodies; i++)
        sh_buf_bytes(out, play->bodies[i]);
    sh_frame_end(out, place);
    sh_buf_free(&text);
}

static bool is_full(const struct sh_playground *p)
{
    size_t room = SH_PLAY_WAITING;
    for (size_t i = 0; i < SH_PLAY_AT_ONCE; i++)
        room += p->plays[i].question == NULL; /* free, or about to be */
    return p->n_waiting >= room;
}

static size_t waiting_of(const struct sh_playground *p, const uint8_t token[SH_TOKEN_BYTES])
{
    const struct question *q;
    size_t n = 0;
    STAILQ_FOREACH(q, &p->waiting, link)
    n += is_same(q->token, token);
    return n;
}

/* Room for one more of this token: there is, or the newest of whoever has most goes, if they then
 * still have as many. */
static bool make_room(struct sh_playground *p, const uint8_t token[SH_TOKEN_BYTES])
{
    struct question *q, *of_most = NULL;
    size_t most = waiting_of(p, token) + 2;
    if (!is_full(p))
        return true;
    STAILQ_FOREACH(q, &p->waiting, link)
    {
        const size_t n = waiting_of(p, q->token);
        if (n < most)
            continue;
        most = n;
        of_most = q;
    }
    if (!of_most)
        return false;
    take_out(p, of_most);
    tell_error(of_most, 503, "overloaded", NULL, "too much is being tried; try again later");
    return true;
}

bool sh_playground_try(struct sh_playground *p, const struct sh_play *play, sh_play_fn *fn,
                       void *arg)
{
    if (p->stopped || !make_room(p, play->token))
        return false;
    struct question *q = sh_alloc(1, sizeof(*q));
    *q = (struct question){.fn = fn, .arg = arg};
    memcpy(q->token, play->token, sizeof(q->token));
    sh_buf_init(&q->frames, 2 * SH_MAX_FRAME_BYTES);
    add_config(play->what, p->config);
    write_frames(&q->frames, p->config, play);
    if (!sh_buf_ok(&q->frames)) {
        question_free(q);
        return false;
    }
    STAILQ_INSERT_TAIL(&p->waiting, q, link);
    p->n_waiting++;
    sh_timer_set(p->next, 0);
    return true;
}

/* --- life ------------------------------------------------------------------------------------ */

struct sh_playground *sh_playground_new(struct event_base *base, const struct sh_config *config)
{
    struct sh_playground *p = sh_alloc(1, sizeof(*p));
    *p = (struct sh_playground){.base = base, .config = config};
    STAILQ_INIT(&p->waiting);
    p->next = sh_timer_new(base, fill_places, p);
    for (size_t i = 0; i < SH_PLAY_AT_ONCE; i++) {
        struct play *one = &p->plays[i];
        *one = (struct play){.of = p, .child = {.pid = -1, .socket = -1}};
        one->limit = sh_timer_new(base, on_limit, one);
        one->reaper = sh_timer_new(base, on_reap, one);
    }
    return p;
}

static void stop_play(struct play *p)
{
    if (!p->channel)
        return;
    struct question *q = take_question(p);
    if (q)
        tell_error(q, 503, "stopping", NULL, "the engine is stopping");
    sh_timer_cancel(p->limit);
    sh_timer_cancel(p->reaper);
    if (p->child.pid > 0)
        sh_child_finish(&p->child, 0, NULL);
    p->child.pid = -1;
    on_reap(p);
}

void sh_playground_stop(struct sh_playground *p)
{
    struct question *q;
    p->stopped = true;
    sh_timer_cancel(p->next);
    for (size_t i = 0; i < SH_PLAY_AT_ONCE; i++)
        stop_play(&p->plays[i]);
    while ((q = STAILQ_FIRST(&p->waiting)) != NULL) {
        STAILQ_REMOVE_HEAD(&p->waiting, link);
        p->n_waiting--;
        tell_error(q, 503, "stopping", NULL, "the engine is stopping");
    }
}

bool sh_playground_stopped(const struct sh_playground *p)
{
    return p->stopped;
}

void sh_playground_free(struct sh_playground *p)
{
    if (!p)
        return;
    sh_playground_stop(p);
    for (size_t i = 0; i < SH_PLAY_AT_ONCE; i++) {
        sh_timer_free(p->plays[i].limit);
        sh_timer_free(p->plays[i].reaper);
    }
    sh_timer_free(p->next);
    free(p);
}
