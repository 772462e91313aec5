/* SPDX-License-Identifier: MIT
 * test_host.h: a rule host for tests: files in memory, reads answered from a small table, results
 * kept as text. */
#ifndef SH_TEST_HOST_H
#define SH_TEST_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/zone.h"
#include "core/fault.h"
#include "lua/host.h"
#include "lua/internal.h"
#include "svc/json.h"

#define KIT_NOW 1781258661903 /* 2026-06-12T10:04:21.903Z */

struct kit_run {
    char rule[200], whole[2 * SH_MAX_ERROR_BYTES + 1]; /* the error as people see it */
    char error[2 * SH_MAX_ERROR_BYTES + 1]; /* the same without the rule's name and the hint */
    char *logs, *effects;                   /* effects: one JSON a line */
    char *seen;                             /* what `when` looked at; "" = nothing is said */
    enum sh_outcome outcome;
    uint32_t n_effects, n_reads;
    uint64_t duration_us;
};

static struct kit {
    struct sh_host *host;
    struct sh_budgets budgets;
    cJSON *report;
    bool loaded;
    struct kit_run runs[40];
    size_t n_runs, n_finished;
    struct kit_record {
        const char *collection, *id, *doc;
    } records[20];
    bool later; /* keep reads open; kit_answer() answers the last */
    uint64_t open[100];
    size_t n_open;
    char asked[4000];
    struct sh_pulse pulse;
    uint64_t pulse_seen;
    uint64_t last_id;
    struct sh_buf raw, reads, brief_text; /* effects and reads of the last run as they travel */
    const char *brief;                    /* its effects in brief, one JSON a line */
    const char *reply;                    /* to http.get: run.h's document; NULL = a plain 200 */
    struct sh_settings settings;
} kit;

__attribute__((unused)) static void kit_put_answer(struct sh_buf *b,
                                                   const struct sh_read_request *q)
{
    uint64_t n = 0;
    struct sh_buf rows;
    sh_buf_init(&rows, 16 << 20);
    if (q->kind == SH_READ_HTTP) {
        sh_buf_bytes(&rows, SH_SLICE(""));
        sh_buf_bytes(&rows, sh_slice_str(kit.reply ? kit.reply
                                                   : "{\"status\":200,\"headers\":{},"
                                                     "\"body\":\"\"}"));
        n++;
    }
    for (size_t i = 0; i < 20 && kit.records[i].id; i++) {
        const struct kit_record *r = &kit.records[i];
        if (!sh_slice_eq(q->collection, sh_slice_str(r->collection)) ||
            (q->kind == SH_READ_GET && !sh_slice_eq(q->id, sh_slice_str(r->id))))
            continue;
        sh_buf_bytes(&rows, sh_slice_str(r->id));
        sh_buf_bytes(&rows, sh_slice_str(r->doc));
        n++;
    }
    sh_buf_u8(b, 1);
    sh_buf_u64(b, q->kind == SH_READ_HTTP ? 0 : 7);
    sh_buf_uint(b, n);
    sh_buf_add(b, rows.data, rows.len);
    sh_buf_free(&rows);
}

__attribute__((unused)) static void kit_read(void *arg, uint64_t id,
                                             const struct sh_read_request *q)
{
    (void)arg;
    assert_int_equal(kit.pulse.token, 0);
    assert_true(q->token > 0 && q->token <= kit.last_id);
    snprintf(kit.asked + strlen(kit.asked), sizeof(kit.asked) - strlen(kit.asked),
             "%.*s:%.*s%.*s\n", (int)q->collection.n, q->collection.p, (int)q->id.n, q->id.p,
             (int)q->query.n, q->query.p);
    if (kit.later) {
        assert_true(kit.n_open < 100);
        kit.open[kit.n_open++] = id;
        return;
    }
    struct sh_buf b;
    sh_buf_init(&b, 16 << 20);
    kit_put_answer(&b, q);
    assert_true(sh_host_answer(kit.host, id, sh_slice(b.data, b.len)));
    sh_buf_free(&b);
}

static void kit_copy(struct sh_buf *to, struct sh_slice from)
{
    if (!to->max)
        sh_buf_init(to, 32 << 20);
    sh_buf_reset(to);
    sh_buf_add(to, from.p, from.n);
}

/* Every failed run's error names its rule behind the position; a hint is the second line. */
__attribute__((unused)) static void kit_plain(struct kit_run *to)
{
    char name[300];
    size_t at = sh_fault_position(sh_slice_str(to->whole));
    int n = snprintf(name, sizeof(name), "rule \"%s\": ", to->rule);
    if (strncmp(to->whole + at, name, (size_t)n) != 0)
        fail_msg("\"%s\" does not name its rule: %s", to->whole, name);
    const char *head = to->whole + at + n, *hint = strstr(head, SH_FAULT_HINT);
    size_t head_n = hint ? (size_t)(hint - head) : strlen(head);
    const char *rest = hint ? hint + 1 + strcspn(hint + 1, "\n") : "";
    snprintf(to->error, sizeof(to->error), "%.*s%.*s%s", (int)at, to->whole, (int)head_n, head,
             rest);
}

__attribute__((unused)) static void kit_keep(struct kit_run *to, const struct sh_run *r)
{
    struct sh_buf text;
    struct sh_effect fx;
    struct sh_reader reader = sh_reader_of(r->effects);
    kit_copy(&kit.raw, r->effects);
    kit_copy(&kit.reads, r->reads);
    kit_copy(&kit.brief_text, (struct sh_slice){0});
    snprintf(to->rule, sizeof(to->rule), "%.*s", (int)r->rule.n, r->rule.p);
    snprintf(to->whole, sizeof(to->whole), "%.*s", (int)r->error.n, r->error.p ? r->error.p : "");
    snprintf(to->error, sizeof(to->error), "%s", to->whole);
    if (r->outcome == SH_RUN_FAILED)
        kit_plain(to);
    to->logs = sh_slice_dup(r->logs);
    to->seen = sh_slice_dup(r->seen);
    to->outcome = r->outcome;
    to->n_effects = r->n_effects;
    to->n_reads = r->n_reads;
    to->duration_us = r->duration_us;
    sh_buf_init(&text, 16 << 20);
    for (uint32_t i = 0; i < r->n_effects; i++) {
        assert_true(sh_effect_read(&reader, &fx));
        sh_effect_json(&text, &fx, false);
        sh_buf_addc(&text, '\n');
        sh_effect_json(&kit.brief_text, &fx, true);
        sh_buf_addc(&kit.brief_text, '\n');
    }
    assert_ptr_equal(reader.p, reader.end);
    struct sh_read_mark mark;
    reader = sh_reader_of(r->reads);
    for (uint32_t i = 0; i < r->n_reads; i++)
        assert_true(sh_read_mark_read(&reader, &mark));
    assert_ptr_equal(reader.p, reader.end);
    kit.brief = kit.brief_text.data;
    to->effects = sh_buf_take(&text, NULL);
    if (r->logs.n) {
        struct sh_json_fault fault;
        assert_true(sh_json_check(r->logs.p, r->logs.n, &fault));
    }
}

__attribute__((unused)) static void kit_clear(void)
{
    for (size_t i = 0; i < kit.n_runs; i++) {
        free(kit.runs[i].logs);
        free(kit.runs[i].seen);
        free(kit.runs[i].effects);
    }
    kit.n_runs = 0;
}

__attribute__((unused)) static void kit_finished(void *arg, const struct sh_result *r)
{
    (void)arg;
    kit_clear();
    for (size_t i = 0; i < r->n_runs && i < 40; i++)
        kit_keep(&kit.runs[kit.n_runs++], &r->runs[i]);
    kit.n_finished++;
}

static const struct sh_budgets kit_budgets = {.cpu_ms = 50,
                                              .wall_ms = 5000,
                                              .memory_bytes = 16 << 20,
                                              .max_effects = 1000,
                                              .max_effect_bytes = 1 << 20};

__attribute__((unused)) static void kit_close(void)
{
    sh_host_free(kit.host);
    cJSON_Delete(kit.report);
    kit_clear();
    sh_buf_free(&kit.raw);
    sh_buf_free(&kit.reads);
    sh_buf_free(&kit.brief_text);
    kit = (struct kit){0};
}

/* Pairs of name and text, ended by NULL. */
__attribute__((unused)) static bool kit_load(const char *name, ...)
{
    struct sh_file files[20];
    size_t n = 0;
    va_list ap;
    va_start(ap, name);
    for (; name; name = va_arg(ap, const char *)) {
        char *text = va_arg(ap, char *);
        files[n++] = (struct sh_file){.name = (char *)(uintptr_t)name,
                                      .text = text,
                                      .len = strlen(text),
                                      .is_rule = strncmp(name, "rules/", 6) == 0};
    }
    va_end(ap);
    if (kit.host)
        sh_host_free(kit.host);
    cJSON_Delete(kit.report);
    static char zone[] = "Europe/Amsterdam", crm[] = "CRM_TOKEN", sms[] = "SMS_KEY";
    static char *secrets[] = {crm, sms, NULL};
    kit.settings = (struct sh_settings){.zone = zone, .secrets = secrets};
    (void)sh_zones_load(NULL);
    const struct sh_host_calls calls = {
        .read = kit_read, .finished = kit_finished, .settings = &kit.settings, .pulse = &kit.pulse};
    if (!kit.budgets.cpu_ms)
        kit.budgets = kit_budgets;
    if (getenv("KIT_GC") && kit.budgets.cpu_ms < 5000)
        kit.budgets.cpu_ms = 5000;
    kit.host = sh_host_new(&kit.budgets, &calls);
    if (getenv("KIT_GC")) /* the collector works at every step: what nobody holds goes at once */
        lua_gc(kit.host->L, LUA_GCINC, 1, 1000, 1);
    struct sh_generation *g = sh_generation_new(files, n);
    kit.loaded = sh_host_load(kit.host, g, &kit.report);
    sh_generation_free(g);
    return kit.loaded;
}

__attribute__((unused)) static void kit_must_load(const char *rules)
{
    if (!kit_load("rules/x.lua", rules, NULL)) {
        char *text = cJSON_PrintUnformatted(kit.report);
        print_message("%s\n", text);
        free(text);
        fail();
    }
}

__attribute__((unused)) static struct sh_job kit_a_job(const char *type, const char *body)
{
    kit.last_id++;
    return (struct sh_job){.token = kit.last_id,
                           .id = {0x0190000000007000 + kit.last_id, 0x8000000000000001},
                           .source = SH_SLICE("webphone"),
                           .type = sh_slice_str(type),
                           .key = SH_SLICE("k1"),
                           .body = sh_slice_str(body),
                           .received_ms = KIT_NOW - 1000,
                           .now_ms = KIT_NOW,
                           .attempt = 1};
}

__attribute__((unused)) static struct kit_run *kit_job(const char *type, const char *body)
{
    struct sh_job job = kit_a_job(type, body);
    sh_host_job(kit.host, &job);
    assert_int_equal(kit.pulse.token, 0);
    return &kit.runs[0];
}

/* One rule whose run is body (its first line is line 2 of rules/x.lua), on an event. */
__attribute__((unused)) static struct kit_run *kit_run_with(const char *body, const char *event)
{
    char *text = sh_strf("rule \"r\" { on = \"*\", run = function(ev, env)\n%s\nend }\n", body);
    kit_must_load(text);
    free(text);
    struct kit_run *r = kit_job("t", event);
    assert_int_equal(kit.n_runs, 1);
    return r;
}

__attribute__((unused)) static struct kit_run *kit_run(const char *body)
{
    return kit_run_with(body, "{\"a\":{\"b\":1},\"list\":[1,2,3],\"name\":\"Ann\"}");
}

__attribute__((unused)) static void kit_done(const char *body, const char *effects)
{
    struct kit_run *r = kit_run(body);
    if (r->outcome != SH_RUN_DONE)
        print_message("%s\n -> %s\n", body, r->error);
    assert_int_equal(r->outcome, SH_RUN_DONE);
    assert_string_equal(r->effects, effects);
}

/* The file with this body in its rule's run does not load; the only error is this, hint aside. */
__attribute__((unused)) static void kit_refused(const char *body, const char *error)
{
    char got[SH_MAX_ERROR_BYTES + 300];
    char *text = sh_strf("rule \"r\" { on = \"*\", run = function(ev, env)\n%s\nend }\n", body);
    if (kit_load("rules/x.lua", text, NULL))
        fail_msg("loads, and should not: %s", body);
    free(text);
    const cJSON *errors = sh_json_member(kit.report, "errors"), *e = errors->child;
    const char *msg = sh_json_string(e, "msg");
    if (strncmp(msg, "rule \"r\": ", 10) != 0)
        fail_msg("no rule: %s", msg);
    snprintf(got, sizeof(got), "%s:%d: %s", sh_json_string(e, "file"),
             sh_json_member(e, "line")->valueint, msg + 10);
    char *hint = strstr(got, SH_FAULT_HINT); /* each has one, which docs/errors.md shows */
    if (!hint)
        fail_msg("no hint: %s", got);
    *hint = '\0';
    assert_string_equal(got, error);
    assert_int_equal(cJSON_GetArraySize(errors), 1);
}

/* The error's first line must be this. */
__attribute__((unused)) static void kit_fails(const char *body, const char *error)
{
    struct kit_run *r = kit_run(body);
    char first[2 * SH_MAX_ERROR_BYTES + 1];
    snprintf(first, sizeof(first), "%s", r->error);
    first[strcspn(first, "\n")] = '\0';
    if (r->outcome != SH_RUN_FAILED)
        print_message("did not fail: %s\n", body);
    assert_int_equal(r->outcome, SH_RUN_FAILED);
    if (strcmp(first, error) != 0)
        print_message("%s\n", body);
    assert_string_equal(first, error);
    assert_int_equal(r->n_effects, 0);
}

__attribute__((unused)) static void kit_starts(const char *text, const char *want)
{
    if (strncmp(text, want, strlen(want)) != 0)
        assert_string_equal(text, want);
}

/* Wrong: the file is refused for it where that is certain, else the run fails. */
__attribute__((unused)) static void kit_wrong(const char *body, const char *error)
{
    char *text = sh_strf("rule \"r\" { on = \"*\", run = function(ev, env)\n%s\nend }\n", body);
    bool loads = kit_load("rules/x.lua", text, NULL);
    free(text);
    if (loads)
        kit_fails(body, error);
    else
        kit_refused(body, error);
}

/* The text that `return` of the expression logs. */
__attribute__((unused)) static void kit_says(const char *expression, const char *want)
{
    char *body = sh_strf("log.info(%s)", expression);
    struct kit_run *r = kit_run(body);
    if (r->outcome != SH_RUN_DONE)
        print_message("%s\n -> %s\n", body, r->error);
    assert_int_equal(r->outcome, SH_RUN_DONE);
    cJSON *logs = cJSON_Parse(r->logs);
    assert_string_equal(sh_json_string(logs->child, "text"), want);
    cJSON_Delete(logs);
    free(body);
}

__attribute__((unused)) static int kit_teardown(void **state)
{
    (void)state;
    kit_close();
    return 0;
}

/* A message without the name of its rule, unless it is asked for with it. */
__attribute__((unused)) static const char *kit_without_rule(const char *text, const char *asked)
{
    const char *end = strncmp(text, "rule \"", 6) == 0 ? strstr(text, "\": ") : NULL;
    return end && strncmp(asked, "rule \"", 6) != 0 ? end + 3 : text;
}

/* Is there an error (or warning) of that file and line, whose text is this, hint aside? */
__attribute__((unused)) static void kit_reported(const char *list, const char *file, int line,
                                                 const char *msg)
{
    const cJSON *e;
    cJSON_ArrayForEach(e, sh_json_member(kit.report, list))
    {
        const char *text = kit_without_rule(sh_json_string(e, "msg"), msg);
        const char *hint = strstr(text, SH_FAULT_HINT);
        size_t n = hint ? (size_t)(hint - text) : strlen(text);
        if (strcmp(sh_json_string(e, "file"), file) == 0 &&
            sh_json_member(e, "line")->valueint == line && strlen(msg) == n &&
            strncmp(text, msg, n) == 0)
            return;
    }
    char *text = cJSON_Print(kit.report);
    print_message("missing: %s:%d: %s\nin %s\n", file, line, msg, text);
    free(text);
    fail();
}

#endif
