/* SPDX-License-Identifier: MIT
 * test_process.c: what a child process is given, and how it ends. */
#include "svc/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SOCKET = 3, PAGE = 4 };

/* --- the child ------------------------------------------------------------------------------ */

/* "1": say that it is there, and wait for the end of the stream. "2": leave with 7. */
static int child(const char *what)
{
    char c;
    if (strcmp(what, "2") == 0)
        return 7;
    if (write(SOCKET, "x", 1) != 1)
        return 1;
    while (read(SOCKET, &c, 1) > 0)
        ;
    return 0;
}

static struct sh_child start(char *what)
{
    struct sh_child c;
    struct sh_error err;
    char *argv[] = {"switchhook", "child", what, NULL};
    if (!sh_child_start(argv, 4096, -1, &c, &err))
        fail_msg("%s", err.msg);
    return c;
}

static void stop(struct sh_child *c, char how[SH_CHILD_HOW])
{
    if (c->socket >= 0)
        close(c->socket);
    sh_child_finish(c, 5000, how);
    sh_child_release(c);
}

/* --- the environment ------------------------------------------------------------------------ */

static char *environ_of(pid_t pid, size_t *len)
{
    char path[64], *text = sh_alloc(1 << 20, 1);
    snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    *len = 0;
    for (ssize_t n; (n = read(fd, text + *len, (1 << 20) - *len - 1)) > 0;)
        *len += (size_t)n;
    close(fd);
    return text;
}

static bool has(const char *text, size_t len, const char *entry)
{
    return memmem(text, len, entry, strlen(entry)) != NULL;
}

static void test_no_secret_reaches_the_child(void **state)
{
    (void)state;
    static const char *const hidden[] = {"SWITCHHOOK_SECRET_CRM", "CRM_TOKEN", "AWS_KEY",
                                         "XSAN_OPTIONS_NOT",      "MY_PATH",   "PATHS"};
    char ready;
    size_t len;
    for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++)
        setenv(hidden[i], "hunter2-hunter2", 1);
    setenv("TZ", "Europe/Amsterdam", 1);
    setenv("TZDIR", "/usr/share/zoneinfo", 1);
    setenv("MSAN_OPTIONS", "halt_on_error=1", 1);
    struct sh_child c = start("1");
    assert_int_equal(read(c.socket, &ready, 1), 1); /* exec is done */
    char *text = environ_of(c.pid, &len);
    assert_false(has(text, len, "hunter2"));
    for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++)
        assert_false(has(text, len, hidden[i]));
    assert_true(has(text, len, "TZ=Europe/Amsterdam"));
    assert_true(has(text, len, "TZDIR=/usr/share/zoneinfo"));
    assert_true(has(text, len, "MSAN_OPTIONS=halt_on_error=1"));
    assert_true(has(text, len, "PATH="));
    free(text);
    stop(&c, NULL);
    for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++)
        unsetenv(hidden[i]);
    unsetenv("TZ");
    unsetenv("TZDIR");
    unsetenv("MSAN_OPTIONS");
}

static void test_nothing_is_preloaded(void **state)
{
    (void)state;
    char ready;
    size_t len;
    setenv("LD_LIBRARY_PATH", "/nonexistent", 1);
    setenv("LD_PRELOAD", "", 1);
    struct sh_child c = start("1");
    assert_int_equal(read(c.socket, &ready, 1), 1);
    char *text = environ_of(c.pid, &len);
    assert_false(has(text, len, "LD_"));
    free(text);
    stop(&c, NULL);
    unsetenv("LD_LIBRARY_PATH");
    unsetenv("LD_PRELOAD");
}

/* --- the end -------------------------------------------------------------------------------- */

static void test_how_it_ended(void **state)
{
    (void)state;
    char how[SH_CHILD_HOW], ready;
    struct sh_child c = start("2");
    stop(&c, how);
    assert_string_equal(how, "exited with 7");
    c = start("1");
    assert_int_equal(read(c.socket, &ready, 1), 1);
    memset(c.page, 0x55, 4096); /* shared and writable */
    sh_child_kill(&c);
    stop(&c, how);
    assert_string_equal(how, "was killed by signal 9 (Killed)");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_secret_reaches_the_child),
        cmocka_unit_test(test_nothing_is_preloaded),
        cmocka_unit_test(test_how_it_ended),
    };
    if (argc > 2 && strcmp(argv[1], "child") == 0)
        return child(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
