/* SPDX-License-Identifier: MIT
 * last_end.c: the last words are put together beforehand: a signal handler may hardly do anything.
 */
#include "svc/last_end.h"

#include "base/clock.h"
#include "base/log.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

#define LINE_BYTES 512

/* One of each in a process: so are its signals. Written before the signal can come. */
static volatile sig_atomic_t code_on_signal, code_on_time;
static char line[LINE_BYTES];
static size_t line_bytes;

static void end_by_signal(int signo)
{
    (void)signo;
    _exit(code_on_signal);
}

static void end_by_time(int signo)
{
    struct pollfd log = {.fd = STDERR_FILENO, .events = POLLOUT};
    (void)signo;
    if (line_bytes && poll(&log, 1, 0) == 1 && log.revents & POLLOUT) /* never wait for a reader */
        (void)!write(STDERR_FILENO, line, line_bytes);
    _exit(code_on_time);
}

/* As log.c has it, with the time at which it will have happened. */
static void put_line(const char *msg, int64_t at_ms)
{
    char time[SH_TIME_TEXT];
    const char *form = sh_log_format() == SH_LOG_JSON
                           ? "{\"time\":\"%s\",\"level\":\"warn\",\"msg\":\"%s\"}\n"
                           : "time=%s level=warn msg=\"%s\"\n";
    const int n = snprintf(line, sizeof(line), form, sh_time_text(at_ms, time), msg);
    line_bytes = sh_log_level() > SH_LOG_WARN || n < 0 || (size_t)n >= sizeof(line) ? 0 : (size_t)n;
}

static void handle(int signo, void (*fn)(int))
{
    struct sigaction a = {.sa_handler = fn, .sa_flags = SA_RESTART};
    sigfillset(&a.sa_mask);
    (void)sigaction(signo, &a, NULL);
}

void sh_last_end_on_signals(int exit_code)
{
    code_on_signal = exit_code;
    handle(SIGTERM, end_by_signal);
    handle(SIGINT, end_by_signal);
}

void sh_last_end_within(int64_t ms, const char *msg, int exit_code)
{
    const struct itimerval at = {.it_value = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}};
    sh_last_end_cancel();
    put_line(msg, sh_now_ms() + ms);
    code_on_time = exit_code;
    handle(SIGALRM, end_by_time);
    (void)setitimer(ITIMER_REAL, &at, NULL);
}

void sh_last_end_cancel(void)
{
    const struct itimerval none = {0};
    (void)setitimer(ITIMER_REAL, &none, NULL);
}
