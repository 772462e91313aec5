/* SPDX-License-Identifier: MIT
 * test_generation.c: what folders may hold to be read as a rule set, and what is said of the rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "core/generation.h"
#include "svc/capture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUICK_US 3000000

static struct {
    char dir[64], *rules, *scripts;
    struct sh_error err;
} k;

/* Run a shell in the temporary folder. */
static void sh(const char *script)
{
    char *text = sh_strf("cd %s && %s", k.dir, script);
    char *argv[] = {"sh", "-ec", text, NULL};
    struct sh_buf out;
    int code;
    sh_buf_init(&out, 1000);
    assert_true(sh_capture("/bin/sh", argv, 60000, NULL, &out, &code, &k.err));
    assert_int_equal(code, 0);
    sh_buf_free(&out);
    free(text);
}

static int setup(void **state)
{
    (void)state;
    snprintf(k.dir, sizeof(k.dir), "/tmp/sh-generation-XXXXXX");
    assert_non_null(mkdtemp(k.dir));
    k.rules = sh_strf("%s/rules", k.dir);
    k.scripts = sh_strf("%s/scripts", k.dir);
    sh("mkdir rules scripts && echo 'return 1' >rules/a.lua");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char *cmd[] = {"rm", "-rf", k.dir, NULL};
    struct sh_buf out;
    int code;
    sh_buf_init(&out, 1000);
    assert_true(sh_capture("/bin/rm", cmd, 60000, NULL, &out, &code, &k.err));
    sh_buf_free(&out);
    free(k.rules);
    free(k.scripts);
    return code;
}

static size_t files_read(void)
{
    struct sh_generation *g = sh_generation_read(k.rules, k.scripts, &k.err);
    size_t n = g ? g->n_files : 0;
    sh_generation_free(g);
    return n;
}

/* The folders are refused at once, with a message that ends so and is fit to be shown. */
static void refused(const char *path, const char *what)
{
    const int64_t began_us = sh_mono_us();
    char *want = sh_strf("%s/%s: %s", k.dir, path, what);
    k.err.msg[0] = '\0';
    assert_null(sh_generation_read(k.rules, k.scripts, &k.err));
    assert_true(sh_mono_us() - began_us < QUICK_US);
    if (strncmp(k.err.msg, want, strlen(want)) != 0)
        assert_string_equal(k.err.msg, want);
    assert_true(sh_utf8_ok(sh_slice_str(k.err.msg)));
    free(want);
}

static void test_what_is_no_file(void **state)
{
    (void)state;
    sh("mkfifo rules/p.lua");
    refused("rules/p.lua", "is no plain file");
    sh("rm rules/p.lua && ln -s /dev/zero rules/z.lua");
    refused("rules/z.lua", "is no plain file");
    sh("rm rules/z.lua && mkfifo rules/p scripts/p_spec.lua && mkdir rules/x.lua && "
       "echo 'return 2' >rules/x.lua/y.lua");
    assert_int_equal(files_read(), 2);
}

static void *swap_work(void *arg)
{
    char *pipe = sh_strf("%s/p", k.dir), *file = sh_strf("%s/f", k.dir),
         *name = sh_strf("%s/a.lua", k.rules);
    for (int i = 0; i < 3000; i++) {
        FILE *f = fopen(file, "w");
        if (!f || mkfifo(pipe, 0600) != 0 || rename(pipe, name) != 0 || rename(file, name) != 0)
            break;
        fclose(f);
    }
    free(pipe);
    free(file);
    free(name);
    *(_Atomic bool *)arg = true;
    return NULL;
}

/* A pipe put in the place of a file, again and again: whatever the reader meets, it comes back. */
static void test_a_pipe_in_place_of_a_file(void **state)
{
    (void)state;
    static _Atomic bool ended;
    pthread_t swap;
    int pipes = 0;
    ended = false;
    assert_int_equal(pthread_create(&swap, NULL, swap_work, (void *)&ended), 0);
    while (!ended) {
        k.err.msg[0] = '\0';
        pipes += files_read() == 0 && strstr(k.err.msg, "is no plain file") != NULL;
    }
    pthread_join(swap, NULL);
    assert_true(pipes > 0);
    assert_int_equal(files_read(), 1);
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *octal, *shown;
    } bad[] = {{"\\377", "\\xff"},
               {"\\012", "\\x0a"},
               {"\\033[2J", "\\x1b[2J"},
               {"\\177", "\\x7f"},
               {"\\302\\205", "\\xc2\\x85"},
               {"\\342\\200\\256", "\\xe2\\x80\\xae"},
               {"\\342\\201\\246", "\\xe2\\x81\\xa6"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char *make = sh_strf("touch \"rules/b$(printf '%sx').lua\"", bad[i].octal),
             *path = sh_strf("rules/b%sx.lua", bad[i].shown);
        sh(make);
        refused(path, "the name must be UTF-8 without control characters");
        sh("rm rules/b*");
        free(make);
        free(path);
    }
    sh("d=\"rules/$(printf '\\001')\" && mkdir $d && touch $d/x.lua");
    refused("rules/\\x01", "the name must be UTF-8 without control characters");
    sh("rm -r rules/*; touch rules/Anr\xc3\xbc"
       "fe.lua rules/\xe2\x82\xac\xf0\x9f\x93\x9e.lua "
       "\"rules/$(printf '\\377').txt\"");
    assert_int_equal(files_read(), 2);
}

/* The reason is still there behind a path of any length, and no character is cut in two. */
static void test_long_paths(void **state)
{
    (void)state;
    sh("n=$(printf '\xc3\xbc%.0s' $(seq 120)); cd rules; for i in 1 2 3 4 5 6; do mkdir $n; cd $n; "
       "done; mkfifo x.lua");
    assert_int_equal(files_read(), 0);
    assert_memory_equal(k.err.msg, "...", 3);
    assert_non_null(strstr(k.err.msg, "/x.lua: is no plain file"));
    assert_true(sh_utf8_ok(sh_slice_str(k.err.msg)));
    sh("rm -r rules/* && touch \"rules/$(printf '\\001%.0s' $(seq 240)).lua\"");
    assert_int_equal(files_read(), 0);
    assert_non_null(strstr(k.err.msg, "\\x01: the name must be UTF-8"));
}

static void test_links_to_nothing(void **state)
{
    (void)state;
    sh("ln -s nowhere rules/b_spec.lua && ln -s nowhere rules/notes && ln -s nowhere "
       "rules/.#a.lua");
    assert_int_equal(files_read(), 1);
    sh("ln -s nowhere scripts/b.lua");
    const uint64_t before = sh_generation_stamp(k.rules, k.scripts);
    refused("scripts/b.lua", "links to a file that is not there");
    sh("rm scripts/b.lua");
    assert_true(before != sh_generation_stamp(k.rules, k.scripts));
    sh("ln -s b.lua rules/b.lua");
    refused("rules/b.lua", "links to a file that is not there");
}

static void test_links_inside(void **state)
{
    (void)state;
    sh("mkdir real && mv rules real/r && ln -s real/r rules && "
       "mkdir real/r/..2026 && echo 'return 3' >real/r/..2026/c.lua && "
       "ln -s ..2026 rules/..data && ln -s ..data/c.lua rules/c.lua && "
       "mkdir scripts/lib && echo 'return 4' >scripts/lib/d.lua && "
       "ln -s ../../scripts/lib real/r/shared && ln -s lib scripts/again");
    assert_int_equal(files_read(), 5); /* a, c, shared/d; lib/d, again/d */
}

static void test_links_outside(void **state)
{
    (void)state;
    sh("echo 'return {}' >switchhook.lua && mkdir rules-old other && touch rules-old/x.lua && "
       "ln -s ../switchhook.lua scripts/conf.lua");
    refused("scripts/conf.lua", "links to a place outside of the folder: /");
    assert_non_null(strstr(k.err.msg, "/switchhook.lua (copy it there)"));
    sh("rm scripts/conf.lua && ln -s ../rules-old scripts/old"); /* not inside "rules" */
    refused("scripts/old", "links to a place outside of the folder: /");
    sh("rm scripts/old && ln -s .. rules/up");
    refused("rules/up", "links to a place outside of the folder: /");
    sh("rm rules/up && ln -s / rules/root");
    refused("rules/root", "links to a place outside of the folder: / (copy it there)");
    const int64_t began_us = sh_mono_us();
    (void)sh_generation_stamp(k.rules, k.scripts);
    assert_true(sh_mono_us() - began_us < QUICK_US);
}

static void test_links_in_circles(void **state)
{
    (void)state;
    sh("for i in 1 2 3 4 5 6 7 8 9; do ln -s . rules/l$i; done");
    assert_int_equal(files_read(), 0);
    assert_non_null(strstr(k.err.msg, ": links to a folder that it is in itself"));
    int64_t began_us = sh_mono_us();
    (void)sh_generation_stamp(k.rules, k.scripts);
    assert_true(sh_mono_us() - began_us < QUICK_US);
    /* no circle, and still more ways than anybody can go */
    sh("rm rules/l*; for i in 1 2 3 4 5 6 7 8; do mkdir scripts/d$i; done; "
       "for i in 1 2 3 4 5 6 7; do for n in 1 2 3 4 5 6 7 8 9; do "
       "ln -s ../d$((i + 1)) scripts/d$i/l$n; done; done");
    assert_int_equal(files_read(), 0);
    assert_non_null(strstr(k.err.msg, ": more than 20000 files and folders"));
    began_us = sh_mono_us();
    (void)sh_generation_stamp(k.rules, k.scripts);
    assert_true(sh_mono_us() - began_us < QUICK_US);
}

static void test_depth(void **state)
{
    (void)state;
    sh("mkdir -p rules/1/2/3/4/5/6/7/8 && touch rules/1/2/3/4/5/6/7/8/x.lua");
    assert_int_equal(files_read(), 2);
    sh("mkdir rules/1/2/3/4/5/6/7/8/9");
    refused("rules/1/2/3/4/5/6/7/8/9", "folders nest deeper than 8");
}

static void test_sizes(void **state)
{
    (void)state;
    sh("head -c 1048577 /dev/zero >rules/b.lua");
    refused("rules/b.lua", "larger than 1 MiB");
    sh("rm rules/*; for i in $(seq 8); do head -c 1048576 /dev/zero >rules/$i.lua; "
       "cp rules/$i.lua scripts/$i.lua; done");
    assert_int_equal(files_read(), 16);
    sh("echo >scripts/9.lua");
    assert_int_equal(files_read(), 0);
    assert_non_null(strstr(k.err.msg, ".lua: the rule set has more than 16 MiB of text"));
}

/* Scripts need not be there, but a fault in them is no absence. */
static void test_scripts(void **state)
{
    (void)state;
    sh("mkdir scripts/x && ln -s nowhere scripts/x/y.lua");
    refused("scripts/x/y.lua", "links to a file that is not there");
    sh("rm -r scripts");
    assert_int_equal(files_read(), 1);
    sh("touch scripts");
    refused("scripts", "Not a directory");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_what_is_no_file),
        T(test_a_pipe_in_place_of_a_file),
        T(test_names),
        T(test_long_paths),
        T(test_links_to_nothing),
        T(test_links_inside),
        T(test_links_outside),
        T(test_links_in_circles),
        T(test_depth),
        T(test_sizes),
        T(test_scripts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
