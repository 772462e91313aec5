/* SPDX-License-Identifier: MIT
 * smtp_kit.h: the SMTP server of the tests (tests/e2e/smtp_server.py), started from C. */
#ifndef SH_TEST_SMTP_KIT_H
#define SH_TEST_SMTP_KIT_H

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SMTP_URL_BYTES 64

/* With these options, separated by '|'. Its messages and their envelopes come into the folder. */
static inline pid_t smtp_start(char *folder, const char *options, char url[SMTP_URL_BYTES])
{
    int out[2];
    char script[PATH_MAX], text[300], *argv[24] = {"python3", "-B", script, folder};
    const char *slash = strrchr(__FILE__, '/');
    snprintf(script, sizeof(script), "%.*s/../e2e/smtp_server.py", (int)(slash - __FILE__),
             __FILE__);
    snprintf(text, sizeof(text), "%s", options);
    int argc = 4;
    for (char *rest = text, *word; (word = strsep(&rest, "|"));) {
        if (*word)
            argv[argc++] = word;
    }
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], 1);
        execv("/usr/bin/python3", argv);
        _exit(127);
    }
    close(out[1]);
    FILE *f = fdopen(out[0], "r");
    int port = 0;
    assert_int_equal(fscanf(f, "port %d", &port), 1);
    fclose(f);
    snprintf(url, SMTP_URL_BYTES, "smtp://127.0.0.1:%d", port);
    return pid;
}

/* 0 is a no-op. */
static inline void smtp_stop(pid_t pid)
{
    if (!pid)
        return;
    kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

#endif
