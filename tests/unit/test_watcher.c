/* SPDX-License-Identifier: MIT
 * test_watcher.c: folders watched, work on a thread, programs run to their end, rates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "app/rates.h"
#include "base/clock.h"
#include "core/generation.h"
#include "svc/capture.h"
#include "svc/json.h"
#include "svc/task.h"
#include "svc/watcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    char dir[64];
    struct event_base *base;
    struct sh_watcher *w;
    struct sh_timer *end;
    int told, wanted;
    int64_t told_us;
} k;

static void write_file(const char *name, const char *text)
{
    char *path = sh_strf("%s/%s", k.dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    free(path);
}

static void make_dir(const char *name)
{
    char *path = sh_strf("%s/%s", k.dir, name);
    assert_int_equal(mkdir(path, 0700), 0);
    free(path);
}

static void rename_to(const char *from, const char *to)
{
    char *a = sh_strf("%s/%s", k.dir, from), *b = sh_strf("%s/%s", k.dir, to);
    assert_int_equal(rename(a, b), 0);
    free(a);
    free(b);
}

static void on_told(void *arg)
{
    (void)arg;
    k.told++;
    k.told_us = sh_mono_us();
    if (k.told >= k.wanted)
        sh_loop_stop(k.base);
}

static void on_end(void *arg)
{
    (void)arg;
    sh_loop_stop(k.base);
}

/* Let the loop run until it was told n times more, at most ms; how often it was. */
static int told_within(int n, int ms)
{
    k.told = 0;
    k.wanted = n;
    sh_timer_set(k.end, ms);
    sh_loop_run(k.base);
    return k.told;
}

static int setup(void **state)
{
    (void)state;
    struct sh_error err;
    snprintf(k.dir, sizeof(k.dir), "/tmp/sh-watch-XXXXXX");
    assert_non_null(mkdtemp(k.dir));
    make_dir("rules");
    k.base = sh_loop_new();
    k.end = sh_timer_new(k.base, on_end, NULL);
    char *rules = sh_strf("%s/rules/", k.dir), *scripts = sh_strf("%s/scripts", k.dir);
    const char *const dirs[] = {rules, scripts, NULL};
    k.w = sh_watcher_new(k.base, dirs, ".lua", 60, 400, on_told, NULL, &err);
    assert_non_null(k.w);
    assert_true(sh_watcher_scan(k.w, &err));
    free(rules);
    free(scripts);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sh_watcher_free(k.w);
    sh_timer_free(k.end);
    sh_loop_free(k.base);
    char *cmd[] = {"rm", "-rf", k.dir, NULL};
    struct sh_buf out;
    struct sh_error err;
    int code;
    sh_buf_init(&out, 1000);
    assert_true(sh_capture("/bin/rm", cmd, 10000, NULL, &out, &code, &err));
    sh_buf_free(&out);
    return code;
}

/* --- watching ----------------------------------------------------------------------------------
 */

static void test_a_burst_is_told_once(void **state)
{
    (void)state;
    assert_int_equal(told_within(1, 200), 0); /* nothing happened */
    write_file("rules/a.lua", "1");
    write_file("rules/b.lua", "2");
    rename_to("rules/b.lua", "rules/c.lua");
    assert_int_equal(told_within(2, 400), 1);
    write_file("rules/.a.lua.swp", "x"); /* no rule file */
    write_file("rules/notes.txt", "x");
    assert_int_equal(told_within(1, 300), 0);
}

static void test_folders_that_come_and_go(void **state)
{
    (void)state;
    struct sh_error err;
    make_dir("scripts"); /* seen through its parent */
    assert_int_equal(told_within(1, 1000), 1);
    assert_true(sh_watcher_scan(k.w, &err));
    make_dir("scripts/deep");
    assert_int_equal(told_within(1, 1000), 1);
    assert_true(sh_watcher_scan(k.w, &err));
    write_file("scripts/deep/x.lua", "1");
    assert_int_equal(told_within(1, 1000), 1);
    rename_to("rules", "away");
    assert_int_equal(told_within(1, 1000), 1);
    assert_true(sh_watcher_scan(k.w, &err)); /* one that is not there is no fault */
    rename_to("away", "rules");
    assert_int_equal(told_within(1, 1000), 1);
}

static void make_link(const char *to, const char *name)
{
    char *path = sh_strf("%s/%s", k.dir, name);
    assert_int_equal(symlink(to, path), 0);
    free(path);
}

/* Links to the folder that they are in: walked in every combination they would take for ever. */
static void test_links_in_circles(void **state)
{
    (void)state;
    struct sh_error err;
    char name[32];
    for (int i = 1; i <= 9; i++) {
        snprintf(name, sizeof(name), "rules/l%d", i);
        make_link(".", name);
    }
    make_dir("away");
    make_dir("away/deep");
    make_link("../away", "rules/z");
    (void)told_within(1, 1000);
    const int64_t began_us = sh_mono_us();
    assert_true(sh_watcher_scan(k.w, &err));
    assert_true(sh_mono_us() - began_us < 2000000);
    write_file("away/deep/x.lua", "1"); /* beside the circles all is watched */
    assert_int_equal(told_within(1, 1000), 1);
}

/* A folder met far down first, at the end of what is walked, and then further up. */
static void test_a_folder_by_two_paths(void **state)
{
    (void)state;
    struct sh_error err;
    char *path = sh_strf("rules/1"), *cmd;
    make_dir("away");
    make_dir("away/in");
    for (int i = 0; i < 7; i++) {
        make_dir(path);
        cmd = sh_strf("%s/1", path);
        free(path);
        path = cmd;
    }
    cmd = sh_strf("%s/away", k.dir);
    make_link(cmd, path); /* 8 deep */
    make_dir("scripts");
    make_link(cmd, "scripts/away");
    (void)told_within(1, 1000);
    assert_true(sh_watcher_scan(k.w, &err));
    write_file("away/in/x.lua", "1");
    assert_int_equal(told_within(1, 1000), 1);
    free(path);
    free(cmd);
}

static void test_too_many_folders(void **state)
{
    (void)state;
    struct sh_error err;
    char name[32];
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "rules/d%d", i);
        make_dir(name);
    }
    assert_false(sh_watcher_scan(k.w, &err));
    assert_int_equal(err.code, SH_ELIMIT);
    assert_non_null(strstr(err.msg, "more than 2000 folders"));
}

static void on_again(void *arg)
{
    struct sh_timer **t = arg;
    write_file("rules/a.lua", "x");
    sh_timer_set(*t, 20);
}

/* Signs that do not cease are told all the same. */
static void test_no_rest(void **state)
{
    (void)state;
    struct sh_timer *t;
    t = sh_timer_new(k.base, on_again, &t);
    sh_timer_set(t, 0);
    const int64_t began_us = sh_mono_us();
    assert_int_equal(told_within(1, 5000), 1);
    assert_true(k.told_us - began_us >= 380000);
    sh_timer_free(t);
}

static void test_stamp(void **state)
{
    (void)state;
    char *rules = sh_strf("%s/rules", k.dir), *scripts = sh_strf("%s/scripts", k.dir);
    const uint64_t none = sh_generation_stamp(rules, scripts);
    write_file("rules/a.lua", "one");
    const uint64_t one = sh_generation_stamp(rules, scripts);
    assert_true(none != one);
    assert_true(one == sh_generation_stamp(rules, scripts));
    make_dir("scripts");
    assert_true(one != sh_generation_stamp(rules, scripts));
    write_file("rules/notes.txt", "x");
    const uint64_t two = sh_generation_stamp(rules, scripts);
    write_file("rules/b_spec.lua", "x");
    assert_true(two != sh_generation_stamp(rules, scripts));
    free(rules);
    free(scripts);
}

/* --- changes ------------------------------------------------------------------------------------
 */

static void test_changes(void **state)
{
    (void)state;
    const struct sh_file before[] = {{(char *)"rules/a.lua", (char *)"1", 1, true},
                                     {(char *)"rules/b.lua", (char *)"2", 1, true},
                                     {(char *)"rules/d.lua", (char *)"4", 1, true}},
                         after[] = {{(char *)"rules/b.lua", (char *)"2x", 2, true},
                                    {(char *)"rules/c.lua", (char *)"3", 1, true},
                                    {(char *)"rules/d.lua", (char *)"4", 1, true}};
    struct sh_generation *a = sh_generation_new(before, 3), *b = sh_generation_new(after, 3);
    cJSON *changes = sh_generation_changes(a, b);
    char *text = cJSON_PrintUnformatted(changes);
    assert_string_equal(text, "[{\"file\":\"rules/a.lua\",\"change\":\"removed\"},"
                              "{\"file\":\"rules/b.lua\",\"change\":\"changed\"},"
                              "{\"file\":\"rules/c.lua\",\"change\":\"added\"}]");
    free(text);
    cJSON_Delete(changes);
    sh_generation_free(a);
    sh_generation_free(b);
}

/* --- a thread -----------------------------------------------------------------------------------
 */

static void work(void *arg)
{
    usleep(20000);
    *(int *)arg += 1;
}

static void done(void *arg)
{
    *(int *)arg += 10;
    sh_loop_stop(k.base);
}

static void work_until_cancelled(void *arg)
{
    while (!sh_task_cancelled())
        usleep(1000);
    *(int *)arg = 7;
}

static void test_task(void **state)
{
    (void)state;
    int n = 0;
    struct sh_error err;
    struct sh_task *t = sh_task_start(k.base, work, done, &n, &err);
    sh_timer_set(k.end, 5000);
    sh_loop_run(k.base);
    assert_int_equal(n, 11);
    sh_task_free(t);
    t = sh_task_start(k.base, work_until_cancelled, done, &n, &err);
    sh_task_free(t); /* before it was done: no word of it */
    assert_int_equal(n, 7);
    assert_false(sh_task_cancelled());
}

/* Without a descriptor left there is no task, and nothing else is the worse for it. */
static void test_task_without_descriptors(void **state)
{
    (void)state;
    struct sh_error err;
    struct rlimit was, none;
    int n = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct sh_task *t = sh_task_start(k.base, work, done, &n, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_null(t);
    assert_int_equal(err.code, SH_ESYS);
    assert_non_null(strstr(err.msg, "Too many open files"));
}

/* --- a program -----------------------------------------------------------------------------------
 */

static bool run(const char *script, int64_t timeout_ms, size_t max, struct sh_buf *out, int *code,
                struct sh_error *err)
{
    char *argv[] = {"sh", "-c", (char *)(uintptr_t)script, NULL};
    sh_buf_init(out, max);
    return sh_capture("/bin/sh", argv, timeout_ms, NULL, out, code, err);
}

static void test_capture(void **state)
{
    (void)state;
    struct sh_buf out;
    struct sh_error err;
    int code;
    assert_true(run("echo a; echo b >&2; cat; exit 3", 5000, 100, &out, &code, &err));
    assert_string_equal(out.data, "a\nb\n");
    assert_int_equal(code, 3);
    sh_buf_free(&out);
    assert_true(
        run("for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done", 5000, 14, &out, &code, &err));
    assert_string_equal(out.data, "line 8\nline 9\n");
    sh_buf_free(&out);
    const int64_t began_us = sh_mono_us();
    assert_false(run("echo on; sleep 30 & sleep 30", 300, 100, &out, &code, &err));
    assert_int_equal(err.code, SH_ELIMIT);
    assert_string_equal(out.data, "on\n");
    assert_true(sh_mono_us() - began_us < 10000000);
    sh_buf_free(&out);
    assert_true(run("echo x; (sleep 20 >&1) & exit 4", 5000, 100, &out, &code, &err));
    assert_int_equal(code, 4); /* it has ended, whatever it left behind */
    sh_buf_free(&out);
    assert_true(run("exec >&- 2>&-; sleep 0.3; exit 5", 5000, 100, &out, &code, &err));
    assert_int_equal(code, 5);
    sh_buf_free(&out);
    assert_false(run("exec >&- 2>&-; sleep 20", 300, 100, &out, &code, &err));
    sh_buf_free(&out);
    assert_true(run("kill -9 $$", 5000, 100, &out, &code, &err));
    assert_int_equal(code, 128 + 9);
    sh_buf_free(&out);
}

/* --- rates
 * ---------------------------------------------------------------------------------------- */

static void test_rates(void **state)
{
    (void)state;
    static struct sh_rates r;
    int64_t counts[SH_N_RATES] = {0};
    assert_true(sh_rates_of(&r, SH_RATE_ACCEPTED, 60) == 0);
    for (int s = 0; s < 1000; s++) { /* 10 a second, then 100 for the last two minutes */
        sh_rates_note(&r, s * INT64_C(1000000), counts);
        sh_rates_note(&r, s * INT64_C(1000000) + 500000, counts); /* too soon: left */
        counts[SH_RATE_ACCEPTED] += s < 880 ? 10 : 100;
    }
    assert_true(sh_rates_of(&r, SH_RATE_ACCEPTED, 60) > 99.9);
    double five = sh_rates_of(&r, SH_RATE_ACCEPTED, 300);
    assert_true(five > 45 && five < 47); /* (180 * 10 + 120 * 100) / 300 */
    assert_true(sh_rates_of(&r, SH_RATE_RUNS, 300) == 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_a_burst_is_told_once),
        T(test_folders_that_come_and_go),
        T(test_links_in_circles),
        T(test_a_folder_by_two_paths),
        T(test_too_many_folders),
        T(test_no_rest),
        T(test_stamp),
        T(test_task),
        T(test_task_without_descriptors),
        T(test_capture),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
