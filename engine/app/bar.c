/* SPDX-License-Identifier: MIT
 * bar.c: a line on standard error that is written over. */
#include "app/bar.h"

#include "base/clock.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROGRESS_US 2000000 /* what takes longer shows how far it is */
#define AGAIN_US    100000
#define BAR         30
#define LINE        70

static volatile sig_atomic_t stopped;
static int64_t began_us, last_us;
static bool shown;

static void on_signal(int signal)
{
    (void)signal;
    stopped = 1;
}

static bool show(void *arg, const char *what, double part)
{
    const int64_t now_us = sh_mono_us();
    (void)arg;
    if (stopped)
        return false;
    if (now_us - began_us < PROGRESS_US || now_us - last_us < AGAIN_US || !isatty(STDERR_FILENO))
        return true;
    last_us = now_us;
    const int full = (int)(part * BAR);
    fprintf(stderr, "\r[%.*s%*s] %3d %% %-20.20s", full, "##############################",
            BAR - full, "", (int)(part * 100), what);
    shown = true;
    return true;
}

void sh_bar_begin(struct sh_store_watch *watch)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    *watch = (struct sh_store_watch){.fn = show};
    began_us = sh_mono_us();
    last_us = 0;
    shown = false;
}

void sh_bar_end(void)
{
    if (shown)
        fprintf(stderr, "\r%*s\r", LINE, "");
    shown = false;
}
