/* SPDX-License-Identifier: MIT
 * test_frame.c: frames, effects, reads and generations: what is written is what is read, and what
 * is cut short or out of range is refused. */
#include "base/limits.h"
#include "core/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct sh_slice str(const char *s)
{
    return sh_slice_str(s);
}

static void assert_slice(struct sh_slice s, const char *expected)
{
    assert_int_equal(s.n, strlen(expected));
    if (s.n)
        assert_memory_equal(s.p, expected, s.n);
}

/* The only frame in out, of the type expected. */
static struct sh_slice only_frame(const struct sh_buf *out, uint8_t expected)
{
    uint8_t type = 0;
    struct sh_slice payload = {0};
    size_t used = 0;
    assert_int_equal(
        sh_frame_split(sh_slice(out->data, out->len), SH_MAX_FRAME_BYTES, &type, &payload, &used),
        1);
    assert_int_equal(type, expected);
    assert_int_equal(used, out->len);
    return payload;
}

static void write_two_effects(struct sh_buf *b)
{
    const struct sh_effect patch = {.kind = SH_FX_PATCH,
                                    .collection = str("calls"),
                                    .id = str("c1"),
                                    .doc = str("{\"n\":9223372036854775807}")};
    const struct sh_effect incr = {.kind = SH_FX_INCR,
                                   .collection = str("counts"),
                                   .id = str("total"),
                                   .field = str("n"),
                                   .is_int = true,
                                   .n_int = -3,
                                   .at = str("rules/a.lua:12")};
    sh_effect_write(b, &patch);
    sh_effect_write(b, &incr);
}

static void write_sample_result(struct sh_buf *out)
{
    struct sh_buf fx, reads;
    sh_buf_init(&fx, 10000);
    sh_buf_init(&reads, 10000);
    write_two_effects(&fx);
    const struct sh_read_mark mark = {
        .request = {.kind = SH_READ_GET, .collection = str("calls"), .id = str("c1")}, .mark = 77};
    sh_read_mark_write(&reads, &mark);
    struct sh_run runs[2] = {
        {.rule = str("Call log"),
         .outcome = SH_RUN_DONE,
         .attempt = 1,
         .now_ms = 1781258661903,
         .duration_us = 12,
         .n_effects = 2,
         .effects = sh_slice(fx.data, fx.len),
         .n_reads = 1,
         .reads = sh_slice(reads.data, reads.len),
         .logs = str("[{\"level\":\"info\",\"text\":\"hi\"}]")},
        {.rule = str("Broken"),
         .outcome = SH_RUN_FAILED,
         .attempt = 1,
         .error = str("rules/b.lua:3: no")},
    };
    const struct sh_result r = {.token = 42, .runs = runs, .n_runs = 2};
    sh_frame_result(out, &r);
    sh_buf_free(&fx);
    sh_buf_free(&reads);
}

static void test_result_round_trip(void **state)
{
    (void)state;
    struct sh_buf out;
    struct sh_result r;
    sh_buf_init(&out, SH_MAX_FRAME_BYTES);
    write_sample_result(&out);
    assert_true(sh_frame_read_result(only_frame(&out, SH_FRAME_RESULT), &r));
    assert_int_equal(r.token, 42);
    assert_int_equal(r.n_runs, 2);
    assert_slice(r.runs[0].rule, "Call log");
    assert_int_equal(r.runs[0].now_ms, 1781258661903);
    assert_slice(r.runs[1].error, "rules/b.lua:3: no");
    struct sh_reader reader = sh_reader_of(r.runs[0].effects);
    struct sh_effect fx;
    assert_true(sh_effect_read(&reader, &fx));
    assert_slice(fx.doc, "{\"n\":9223372036854775807}");
    assert_true(sh_effect_read(&reader, &fx));
    assert_true(fx.is_int && fx.n_int == -3);
    assert_slice(fx.at, "rules/a.lua:12");
    struct sh_read_mark m;
    reader = sh_reader_of(r.runs[0].reads);
    assert_true(sh_read_mark_read(&reader, &m));
    assert_int_equal(m.mark, 77);
    free(r.runs);
    sh_buf_free(&out);
}

/* Each prefix of a result is refused: nothing is taken on trust from a cut frame. */
static void test_cut_result_is_refused(void **state)
{
    (void)state;
    struct sh_buf out;
    sh_buf_init(&out, SH_MAX_FRAME_BYTES);
    write_sample_result(&out);
    struct sh_slice payload = only_frame(&out, SH_FRAME_RESULT);
    for (size_t n = 0; n < payload.n; n++) {
        struct sh_result r;
        char *cut = sh_slice_dup(sh_slice(payload.p, n));
        assert_false(sh_frame_read_result(sh_slice(cut, n), &r));
        free(cut);
    }
    sh_buf_free(&out);
}

static long peak_kib(void)
{
    struct rusage u;
    assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
    return u.ru_maxrss;
}

/* A count that the frame has no room for costs no memory. */
static void test_count_of_runs_is_not_trusted(void **state)
{
    (void)state;
    enum { PAD = 4 << 20 };
    struct sh_buf out;
    struct sh_result r;
    sh_buf_init(&out, SH_MAX_FRAME_BYTES);
    sh_buf_u64(&out, 42);
    sh_buf_uint(&out, PAD);
    memset(sh_buf_room(&out, PAD), 0, PAD);
    out.len += PAD;
    long before = peak_kib();
    assert_false(sh_frame_read_result(sh_slice(out.data, out.len), &r));
    assert_true(peak_kib() - before < 100 * 1024);
    sh_buf_free(&out);
}

static bool effect_is_accepted(const struct sh_effect *fx)
{
    struct sh_buf b;
    struct sh_effect back;
    sh_buf_init(&b, 1 << 20);
    sh_effect_write(&b, fx);
    struct sh_reader r = sh_reader_of(sh_slice(b.data, b.len));
    bool ok = sh_effect_read(&r, &back);
    sh_buf_free(&b);
    return ok;
}

static void test_unsound_effects_are_refused(void **state)
{
    (void)state;
    struct sh_effect put = {
        .kind = SH_FX_PUT, .collection = str("calls"), .id = str("1"), .doc = str("{}")};
    assert_true(effect_is_accepted(&put));
    struct sh_effect bad = put;
    bad.doc = str("[1]"); /* a record is an object */
    assert_false(effect_is_accepted(&bad));
    bad.doc = str("{\"a\":1,\"a\":2}");
    assert_false(effect_is_accepted(&bad));
    bad = put;
    bad.id = str("");
    assert_false(effect_is_accepted(&bad));
    bad.id = str("\xff");
    assert_false(effect_is_accepted(&bad));
    bad = put;
    bad.at = str("rules/\xff.lua:1");
    assert_false(effect_is_accepted(&bad));
    bad.at = str("rules/a.lua:1\n");
    assert_false(effect_is_accepted(&bad));
    char *name = sh_strf("rules/%0300d.lua:1", 0);
    bad.at = sh_slice_str(name);
    assert_false(effect_is_accepted(&bad));
    free(name);
    bad = put;
    bad.kind = (enum sh_effect_kind)99;
    assert_false(effect_is_accepted(&bad));
}

static void test_new_kinds_of_effects(void **state)
{
    (void)state;
    struct sh_effect timer = {.kind = SH_FX_TIMER,
                              .collection = str("check"),
                              .doc = str("{}"),
                              .field = str("2026-10-25T09:00:00 Europe/Amsterdam"),
                              .is_int = true,
                              .n_int = 1781258661903};
    assert_true(effect_is_accepted(&timer)); /* a timer may be unnamed */
    struct sh_effect bad = timer;
    bad.is_int = false; /* a double is no time */
    bad.n_double = 5;
    assert_false(effect_is_accepted(&bad));
    bad = timer;
    bad.n_int = -1;
    assert_false(effect_is_accepted(&bad));
    bad.n_int = 253402300800000;
    assert_false(effect_is_accepted(&bad));
    bad = timer;
    bad.collection = str("");
    assert_false(effect_is_accepted(&bad));
    struct sh_effect cancel = {.kind = SH_FX_CANCEL, .id = str("n")};
    assert_true(effect_is_accepted(&cancel));
    cancel.doc = str("{}");
    assert_false(effect_is_accepted(&cancel));
    cancel = (struct sh_effect){.kind = SH_FX_CANCEL};
    assert_false(effect_is_accepted(&cancel));
    struct sh_effect call = {.kind = SH_FX_HTTP, .doc = str("{\"method\":\"POST\"}")};
    assert_true(effect_is_accepted(&call));
    call.doc = str("");
    assert_false(effect_is_accepted(&call));
    call = (struct sh_effect){.kind = SH_FX_CALLBACK_DO, .doc = str("{\"do\":\"done\"}")};
    assert_true(effect_is_accepted(&call));
    call.kind = SH_FX_LAST + 1;
    assert_false(effect_is_accepted(&call));
}

static void assert_json(const struct sh_effect *fx, bool brief, const char *expected)
{
    struct sh_buf b;
    sh_buf_init(&b, 1 << 20);
    sh_effect_json(&b, fx, brief);
    assert_string_equal(b.data, expected);
    sh_buf_free(&b);
}

static void test_effects_for_people(void **state)
{
    (void)state;
    struct sh_effect fx = {
        .kind = SH_FX_HTTP,
        .doc = str("{\"method\":\"POST\",\"url\":[\"http://x/\",{\"secret\":\"A\",\"as\":\"url\"}],"
                   "\"headers\":[[\"A\",\"1\"],[\"A\",[{\"secret\":\"B\"},\"2\"]],[\"C\",\"3\"]],"
                   "\"body\":\"{}\",\"notify\":\"n\"}")};
    assert_json(&fx, false,
                "{\"kind\":\"http\",\"method\":\"POST\",\"url\":\"http://x/(secret A)\","
                "\"headers\":{\"A\":[\"1\",\"(secret B)2\"],\"C\":\"3\"},\"body\":\"{}\","
                "\"notify\":\"n\"}");
    assert_json(&fx, true,
                "{\"kind\":\"http\",\"method\":\"POST\",\"url\":\"http://x/(secret A)\","
                "\"headers\":{\"A\":[\"1\",\"(secret B)2\"],\"C\":\"3\"},\"notify\":\"n\"}");
    fx.doc =
        str("{\"url\":5,\"headers\":[5,[],[\"A\"],{\"b\":1}],\"body\":[1,[],{}]}"); /* hostile */
    assert_json(
        &fx, false,
        "{\"kind\":\"http\",\"url\":\"\",\"headers\":{\"\":[\"\",\"\"],\"A\":\"\",\"\":\"\"},"
        "\"body\":\"\"}");
    fx = (struct sh_effect){.kind = SH_FX_EMAIL,
                            .doc = str("{\"attachments\":[1,[2],{\"name\":\"a\",\"text\":\"b\"}],"
                                       "\"invitation\":[3]}")};
    assert_json(&fx, true,
                "{\"kind\":\"email\",\"attachments\":[null,null,{\"name\":\"a\"}],"
                "\"invitation\":[3]}");
    fx = (struct sh_effect){.kind = SH_FX_TIMER,
                            .collection = str("t"),
                            .id = str("n"),
                            .doc = str("{\"a\":1}"),
                            .is_int = true,
                            .n_int = 1781258661903};
    assert_json(&fx, true,
                "{\"kind\":\"timer\",\"type\":\"t\",\"name\":\"n\",\"due_at\":"
                "\"2026-06-12T10:04:21.903Z\"}");
}

static void test_look_ups(void **state)
{
    (void)state;
    struct sh_buf out;
    struct sh_read_request back,
        q = {.kind = SH_READ_HTTP, .token = 42, .query = str("{\"method\":\"GET\"}")};
    uint64_t id;
    sh_buf_init(&out, 10000);
    sh_frame_ask(&out, 7, &q);
    assert_true(sh_frame_read_ask(only_frame(&out, SH_FRAME_READ), &id, &back));
    assert_int_equal(id, 7);
    assert_int_equal(back.token, 42);
    assert_slice(back.query, "{\"method\":\"GET\"}");
    q.collection = str("calls"); /* a look-up has none, the others must */
    sh_buf_reset(&out);
    sh_frame_ask(&out, 7, &q);
    assert_false(sh_frame_read_ask(only_frame(&out, SH_FRAME_READ), &id, &back));
    q = (struct sh_read_request){.kind = SH_READ_FIND, .query = str("{}")};
    sh_buf_reset(&out);
    sh_frame_ask(&out, 7, &q);
    assert_false(sh_frame_read_ask(only_frame(&out, SH_FRAME_READ), &id, &back));
    struct sh_read_mark m = {.request = {.kind = SH_READ_HTTP, .query = str("{}")},
                             .answer = str("{\"status\":200}")};
    struct sh_read_mark again;
    sh_buf_reset(&out);
    sh_read_mark_write(&out, &m);
    struct sh_reader r = sh_reader_of(sh_slice(out.data, out.len));
    assert_true(sh_read_mark_read(&r, &again) && r.p == r.end);
    assert_slice(again.answer, "{\"status\":200}");
    m.answer = str("{\"status\":"); /* what is stored must be JSON */
    sh_buf_reset(&out);
    sh_read_mark_write(&out, &m);
    r = sh_reader_of(sh_slice(out.data, out.len));
    assert_false(sh_read_mark_read(&r, &again));
    sh_buf_free(&out);
}

static void test_load_round_trip(void **state)
{
    (void)state;
    const struct sh_budgets budgets = {1, 2, 3, 4, 5};
    char zone[] = "Europe/Amsterdam", a[] = "A", b[] = "B", name[] = "rules/a.lua", text[] = "--";
    char *secrets[] = {a, b, NULL};
    struct sh_file file = {.name = name, .text = text, .len = 2, .is_rule = true};
    struct sh_generation *g = sh_generation_new(&file, 1), *back = NULL;
    char gh[] = "gh", module[] = "lib.github";
    struct sh_normaliser normaliser = {gh, module};
    const struct sh_settings settings = {
        .zone = zone, .secrets = secrets, .normalisers = &normaliser, .n_normalisers = 1};
    struct sh_settings got;
    struct sh_budgets bb;
    struct sh_buf out;
    sh_buf_init(&out, 10000);
    sh_frame_load(&out, &budgets, &settings, g);
    struct sh_slice payload = only_frame(&out, SH_FRAME_LOAD);
    assert_true(sh_frame_read_load(payload, &bb, &got, &back));
    assert_string_equal(got.zone, zone);
    assert_string_equal(got.secrets[0], "A");
    assert_string_equal(got.secrets[1], "B");
    assert_null(got.secrets[2]);
    assert_int_equal(got.n_normalisers, 1);
    assert_string_equal(got.normalisers[0].source, "gh");
    assert_string_equal(got.normalisers[0].module, "lib.github");
    assert_string_equal(back->id, g->id);
    assert_int_equal(bb.max_effect_bytes, 5);
    sh_settings_clear(&got);
    sh_generation_free(back);
    for (size_t n = 0; n < payload.n; n++) {
        char *cut = sh_slice_dup(sh_slice(payload.p, n));
        assert_false(sh_frame_read_load(sh_slice(cut, n), &bb, &got, &back));
        free(cut);
    }
    sh_buf_reset(&out);
    sh_frame_load(&out, &budgets, &(struct sh_settings){0}, g); /* nothing configured */
    assert_true(sh_frame_read_load(only_frame(&out, SH_FRAME_LOAD), &bb, &got, &back));
    assert_string_equal(got.zone, "UTC");
    assert_null(got.secrets[0]);
    sh_settings_clear(&got);
    sh_generation_free(back);
    sh_generation_free(g);
    sh_buf_free(&out);
}

static void test_frames_split_across_reads(void **state)
{
    (void)state;
    struct sh_buf out;
    uint8_t type;
    struct sh_slice payload;
    size_t used;
    sh_buf_init(&out, 1000);
    sh_frame_answer(&out, 7, str("abc"));
    for (size_t n = 0; n < out.len; n++)
        assert_int_equal(sh_frame_split(sh_slice(out.data, n), 1000, &type, &payload, &used), 0);
    assert_int_equal(sh_frame_split(sh_slice(out.data, out.len), 5, &type, &payload, &used), -1);
    uint64_t id;
    struct sh_slice answer;
    assert_true(sh_frame_read_answer(only_frame(&out, SH_FRAME_ANSWER), &id, &answer));
    assert_int_equal(id, 7);
    assert_slice(answer, "abc");
    sh_buf_free(&out);
}

static void test_job_round_trip(void **state)
{
    (void)state;
    struct sh_slice skip[2] = {str("A"), str("B")}, hold[3] = {str("C"), str("D"), str("E")};
    struct sh_slice *names, body = str("{\"event\":\"x\"}");
    const struct sh_job job = {.token = 9,
                               .id = {0x0123456789abcdef, 0x8fedcba987654321},
                               .source = str("webphone"),
                               .type = str("x"),
                               .key = str("k"),
                               .body = body,
                               .received_ms = 5,
                               .due_ms = 4,
                               .now_ms = 6,
                               .attempt = 3,
                               .skip = skip,
                               .n_skip = 2,
                               .hold = hold,
                               .n_hold = 3};
    struct sh_buf out;
    struct sh_job back;
    sh_buf_init(&out, 10000);
    sh_frame_job(&out, &job);
    assert_true(sh_frame_read_job(only_frame(&out, SH_FRAME_JOB), &back, &names));
    assert_true(sh_id_eq(back.id, job.id));
    assert_int_equal(back.n_only, 0);
    assert_int_equal(back.n_skip, 2);
    assert_slice(back.skip[1], "B");
    assert_int_equal(back.n_hold, 3);
    assert_slice(back.hold[0], "C");
    assert_slice(back.hold[2], "E");
    assert_slice(back.body, "{\"event\":\"x\"}");
    assert_int_equal(back.attempt, 3);
    assert_int_equal(back.due_ms, 4);
    free(names);
    sh_buf_free(&out);
}

/* Only rules to run, only held ones, none of either; never both kinds of choice. */
static void test_job_lists(void **state)
{
    (void)state;
    struct sh_slice a = str("A"), b = str("B"), *names;
    for (int i = 0; i < 8; i++) {
        const struct sh_job job = {.token = 1,
                                   .only = &a,
                                   .n_only = i & 1,
                                   .skip = &b,
                                   .n_skip = (size_t)(i >> 1 & 1),
                                   .hold = &b,
                                   .n_hold = (size_t)(i >> 2)};
        struct sh_buf out;
        struct sh_job back;
        sh_buf_init(&out, 1000);
        sh_frame_job(&out, &job);
        bool ok = sh_frame_read_job(only_frame(&out, SH_FRAME_JOB), &back, &names);
        assert_int_equal(ok, (i & 3) != 3);
        if (ok) {
            assert_int_equal(back.n_only, job.n_only);
            assert_int_equal(back.n_skip, job.n_skip);
            assert_int_equal(back.n_hold, job.n_hold);
            if (back.n_hold)
                assert_slice(back.hold[0], "B");
        }
        free(names);
        sh_buf_free(&out);
    }
}

/* A worker may say that it held a rule; what is the store's to say, it may not. */
static void test_outcomes(void **state)
{
    (void)state;
    for (int o = 0; o < 12; o++) {
        struct sh_run run = {.rule = str("R"), .outcome = (enum sh_outcome)o};
        const struct sh_result r = {.token = 1, .runs = &run, .n_runs = 1};
        struct sh_result back;
        struct sh_buf out;
        sh_buf_init(&out, 1000);
        sh_frame_result(&out, &r);
        bool ok = sh_frame_read_result(only_frame(&out, SH_FRAME_RESULT), &back);
        assert_int_equal(ok, (o >= SH_RUN_DONE && o <= SH_RUN_SKIPPED_WHEN) || o == SH_RUN_PAUSED);
        if (ok)
            free(back.runs);
        sh_buf_free(&out);
    }
}

static void test_effect_key_is_stable(void **state)
{
    (void)state;
    struct sh_effect fx = {.kind = SH_FX_EMAIL, .doc = str("{}")};
    const struct sh_id id = {1, 2};
    char a[SH_EFFECT_KEY_TEXT], b[SH_EFFECT_KEY_TEXT];
    sh_effect_key(id, str("rule"), &fx, 0, a);
    sh_effect_key(id, str("rule"), &fx, 0, b);
    assert_string_equal(a, b);
    sh_effect_key(id, str("rule"), &fx, 1, b);
    assert_string_not_equal(a, b);
    fx.id = str("#0"); /* an author's key that looks like an ordinal */
    sh_effect_key(id, str("rule"), &fx, 0, b);
    assert_string_not_equal(a, b);
    fx.id = str("mine");
    sh_effect_key(id, str("rule"), &fx, 0, a);
    sh_effect_key(id, str("rule"), &fx, 5, b);
    assert_string_equal(a, b); /* the author's key does not depend on the place */
}

static void put_file(const char *dir, const char *name, const char *text)
{
    char *path = sh_strf("%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    fclose(f);
    free(path);
}

static void test_generation_names_its_content(void **state)
{
    (void)state;
    char dir[] = "/tmp/sh_generation_XXXXXX";
    struct sh_error err;
    assert_non_null(mkdtemp(dir));
    assert_null(sh_generation_read(dir, NULL, &err));
    assert_non_null(strstr(err.msg, "at least one rule"));
    put_file(dir, "b.lua", "return 1");
    put_file(dir, "a.lua", "return 2");
    put_file(dir, "a_spec.lua", "not a rule");
    put_file(dir, ".hidden.lua", "not a rule");
    struct sh_generation *g = sh_generation_read(dir, "/nonexistent", &err);
    assert_non_null(g);
    assert_int_equal(g->n_files, 2);
    assert_string_equal(g->files[0].name, "rules/a.lua");
    struct sh_generation *copy = sh_generation_new(g->files, g->n_files);
    assert_string_equal(copy->id, g->id);
    put_file(dir, "b.lua", "return 3");
    struct sh_generation *changed = sh_generation_read(dir, NULL, &err);
    assert_string_not_equal(changed->id, g->id);
    sh_generation_free(g);
    sh_generation_free(copy);
    sh_generation_free(changed);
    char *cmd[] = {"a.lua", "b.lua", "a_spec.lua", ".hidden.lua"};
    for (size_t i = 0; i < 4; i++) {
        char *path = sh_strf("%s/%s", dir, cmd[i]);
        unlink(path);
        free(path);
    }
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_result_round_trip),
        cmocka_unit_test(test_cut_result_is_refused),
        cmocka_unit_test(test_count_of_runs_is_not_trusted),
        cmocka_unit_test(test_unsound_effects_are_refused),
        cmocka_unit_test(test_new_kinds_of_effects),
        cmocka_unit_test(test_effects_for_people),
        cmocka_unit_test(test_look_ups),
        cmocka_unit_test(test_load_round_trip),
        cmocka_unit_test(test_frames_split_across_reads),
        cmocka_unit_test(test_job_round_trip),
        cmocka_unit_test(test_job_lists),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_effect_key_is_stable),
        cmocka_unit_test(test_generation_names_its_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
