/* SPDX-License-Identifier: MIT
 * worker.c: `switchhook worker`, the process that runs rules.
 *
 * Started by the engine with two descriptors: 3, a stream socket, and 4, a page of memory shared
 * with the watchdog. When the generation has come it locks itself up (svc/lockup.h), loads it, and
 * from then on knows nothing but frames in and frames out. */
#include "app/app.h"

#include "app/locked_child.h"
#include "base/limits.h"
#include "base/clock.h"
#include "base/log.h"
#include "lua/host.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKET SH_CHILD_SOCKET

#define READ_BYTES  (256U * 1024)
#define FLUSH_BYTES (64U * 1024)
#define MAX_IN      (SH_MAX_FRAME_BYTES + READ_BYTES + 16)
#define MAX_OUT     (3U * SH_MAX_FRAME_BYTES)
#define KEEP_BYTES  (1024U * 1024) /* a buffer that grew past it is given back when empty */
#define WORKER_NICE 5
#define EXPIRE_MS   100

struct worker {
    struct sh_host *host;
    struct sh_buf in, out;
    size_t in_at, out_at; /* bytes done with */
    struct sh_pulse *pulse;
    struct sh_settings settings;
    int64_t expired_us; /* when waiting runs were last looked at */
};

static _Noreturn void die(const char *why)
{
    sh_log(SH_LOG_ERROR, "worker ends", "reason", why, NULL);
    _exit(1);
}

/* --- the stream ------------------------------------------------------------------------------ */

/* Take what is there without waiting. False: nothing now. Ends the process at the end of input. */
static bool read_some(struct worker *w)
{
    if (w->in_at && w->in_at == w->in.len) {
        if (w->in.cap > KEEP_BYTES)
            sh_buf_free(&w->in);
        sh_buf_reset(&w->in);
        w->in_at = 0;
    } else if (w->in_at > READ_BYTES) {
        memmove(w->in.data, w->in.data + w->in_at, w->in.len - w->in_at);
        w->in.len -= w->in_at;
        w->in_at = 0;
    }
    char *to = sh_buf_room(&w->in, READ_BYTES);
    if (!to) {
        w->in.failed = false; /* full: the rest waits in the socket */
        return false;
    }
    ssize_t n = recv(SOCKET, to, READ_BYTES, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        _exit(0);
    if (n < 0)
        return false;
    w->in.len += (size_t)n;
    return true;
}

/* Wait for room to write, reading meanwhile so that two full sockets never face each other. */
static void wait_for_room(struct worker *w)
{
    bool room = w->in.len - w->in_at < SH_MAX_FRAME_BYTES;
    struct pollfd p = {.fd = SOCKET, .events = (short)(POLLOUT | (room ? POLLIN : 0))};
    if (poll(&p, 1, -1) < 0 && errno != EINTR)
        _exit(1);
    if (room && (p.revents & POLLIN))
        read_some(w);
    if (p.revents & (POLLERR | POLLNVAL))
        _exit(0);
}

static void flush(struct worker *w)
{
    while (w->out_at < w->out.len) {
        ssize_t n = send(SOCKET, w->out.data + w->out_at, w->out.len - w->out_at,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0)
            w->out_at += (size_t)n;
        else if (n < 0 && errno == EAGAIN)
            wait_for_room(w);
        else if (n < 0 && errno != EINTR)
            _exit(0);
    }
    if (w->out.cap > KEEP_BYTES)
        sh_buf_free(&w->out);
    sh_buf_reset(&w->out);
    w->out_at = 0;
}

/* --- the host's calls ------------------------------------------------------------------------ */

static void on_read(void *arg, uint64_t read_id, const struct sh_read_request *q)
{
    struct worker *w = arg;
    sh_frame_ask(&w->out, read_id, q);
}

/* A result that no frame can hold becomes failures that say so. */
static void send_short(struct worker *w, const struct sh_result *r)
{
    struct sh_result brief = {r->token, sh_alloc(r->n_runs, sizeof(struct sh_run)), r->n_runs};
    for (size_t i = 0; i < r->n_runs; i++)
        brief.runs[i] = (struct sh_run){
            .rule = r->runs[i].rule,
            .outcome = SH_RUN_FAILED,
            .attempt = r->runs[i].attempt,
            .now_ms = r->runs[i].now_ms,
            .duration_us = r->runs[i].duration_us,
            .error = SH_SLICE("the effects of all rules on this event are over 64 MiB together")};
    sh_frame_result(&w->out, &brief);
    free(brief.runs);
}

static void on_finished(void *arg, const struct sh_result *r)
{
    struct worker *w = arg; /* not flushed here: that may read, and the job borrows from w->in */
    size_t place = w->out.len;
    sh_frame_result(&w->out, r);
    if (sh_buf_ok(&w->out) && w->out.len - place <= SH_MAX_FRAME_BYTES)
        return;
    w->out.failed = false;
    w->out.len = place;
    send_short(w, r);
}

/* --- frames ---------------------------------------------------------------------------------- */

static void add(cJSON *object, const char *name, cJSON *value)
{
    sh_require(value != NULL && cJSON_AddItemToObject(object, name, value));
}

/* The report of a worker that may not run rules because it could do harm. */
static cJSON *refuse(const struct sh_generation *g, const struct sh_error *err)
{
    cJSON *report = cJSON_CreateObject(), *errors = cJSON_CreateArray(),
          *fault = cJSON_CreateObject(), *sandbox = cJSON_CreateObject();
    char *msg =
        sh_strf("the sandbox of the rule worker does not hold, so no rule is run: %s", err->msg);
    sh_require(report && fault && cJSON_AddItemToArray(errors, fault));
    add(report, "ok", cJSON_CreateFalse());
    add(report, "generation", cJSON_CreateString(g->id));
    add(report, "rules", cJSON_CreateArray());
    add(report, "errors", errors);
    add(report, "warnings", cJSON_CreateArray());
    add(fault, "file", cJSON_CreateString("sandbox"));
    add(fault, "line", cJSON_CreateNumber(0));
    add(fault, "msg", cJSON_CreateString(msg));
    add(sandbox, "error", cJSON_CreateString(err->msg));
    add(report, "sandbox", sandbox);
    free(msg);
    return report;
}

/* First the locks, then the generation's files: what stands outside of a rule's functions runs
 * while they load, and is the author's code as well. */
static cJSON *load(struct worker *w, const struct sh_generation *g)
{
    struct sh_error err;
    cJSON *report, *sandbox = sh_locked_child_lock(WORKER_NICE, &err);
    if (!sandbox)
        return refuse(g, &err);
    if (!sh_host_load(w->host, g, &report))
        sh_debug("worker: the rules did not load");
    add(report, "sandbox", sandbox);
    return report;
}

static void send_report(struct worker *w, const cJSON *report)
{
    char *text = cJSON_PrintUnformatted(report);
    sh_require(text != NULL);
    size_t place = sh_frame_begin(&w->out, SH_FRAME_LOADED);
    sh_buf_adds(&w->out, text);
    sh_frame_end(&w->out, place);
    free(text);
    flush(w);
}

static void on_load(struct worker *w, struct sh_slice payload)
{
    struct sh_budgets budgets;
    struct sh_generation *g;
    const struct sh_host_calls calls = {.arg = w,
                                        .settings = &w->settings,
                                        .read = on_read,
                                        .finished = on_finished,
                                        .pulse = w->pulse};
    if (w->host || !sh_frame_read_load(payload, &budgets, &w->settings, &g))
        die("malformed LOAD frame");
    w->host = sh_host_new(&budgets, &calls);
    cJSON *report = load(w, g);
    bool ok = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(report, "ok"));
    send_report(w, report);
    cJSON_Delete(report);
    sh_generation_free(g);
    if (!ok)
        _exit(1);
}

static void on_job(struct worker *w, struct sh_slice payload)
{
    struct sh_job job;
    struct sh_slice *names;
    if (!sh_frame_read_job(payload, &job, &names))
        die("malformed JOB frame");
    sh_host_job(w->host, &job);
    free(names);
}

static void on_answer(struct worker *w, struct sh_slice payload)
{
    uint64_t read_id;
    struct sh_slice answer;
    if (!sh_frame_read_answer(payload, &read_id, &answer))
        die("malformed ANSWER frame");
    if (!sh_host_answer(w->host, read_id, answer))
        return; /* its run has expired meanwhile */
}

static void on_frame(struct worker *w, uint8_t type, struct sh_slice payload)
{
    if (type == SH_FRAME_LOAD)
        on_load(w, payload);
    else if (!w->host)
        die("the first frame was not LOAD");
    else if (type == SH_FRAME_JOB)
        on_job(w, payload);
    else if (type == SH_FRAME_ANSWER)
        on_answer(w, payload);
    else
        die("unknown frame");
}

static void expire(struct worker *w)
{
    int64_t now_us = sh_mono_us();
    if (!w->host || now_us - w->expired_us < EXPIRE_MS * 1000)
        return;
    w->expired_us = now_us;
    sh_host_expire(w->host);
}

/* Handle every whole frame that was read. */
static void drain(struct worker *w)
{
    for (;;) {
        uint8_t type;
        size_t used;
        struct sh_slice payload;
        const char *from = w->in.data ? w->in.data + w->in_at : NULL;
        int got = sh_frame_split(sh_slice(from, w->in.len - w->in_at), SH_MAX_FRAME_BYTES, &type,
                                 &payload, &used);
        if (got < 0)
            die("a frame is too long");
        if (got == 0)
            return;
        struct sh_slice whole = sh_slice(payload.p, payload.n);
        on_frame(w, type, whole);
        w->in_at += used;
        expire(w);
        if (w->out.len > FLUSH_BYTES)
            flush(w);
    }
}

static void serve(struct worker *w)
{
    for (;;) {
        drain(w);
        flush(w);
        if (w->in_at < w->in.len && read_some(w))
            continue;
        bool waiting = w->host && sh_host_open_jobs(w->host) > 0;
        struct pollfd p = {.fd = SOCKET, .events = POLLIN};
        int n = poll(&p, 1, waiting ? EXPIRE_MS : -1);
        if (n < 0 && errno != EINTR)
            _exit(1);
        if (n > 0)
            read_some(w);
        expire(w);
    }
}

int sh_cmd_worker(int argc, char **argv)
{
    struct worker w = {0};
    enum sh_log_format format = SH_LOG_LOGFMT;
    if (argc > 2 || (argc == 2 && !sh_log_format_of(argv[1], &format))) {
        bool help = strcmp(argv[1], "--help") == 0;
        fputs("usage: switchhook worker\n\nRuns rules for the engine, which starts it; not to be "
              "started by hand.\n",
              help ? stdout : stderr);
        return help ? 0 : 2;
    }
    sh_log_set_format(format);
    w.pulse = sh_locked_child_start("worker");
    if (!w.pulse)
        return 2;
    sh_buf_init(&w.in, MAX_IN);
    sh_buf_init(&w.out, MAX_OUT);
    serve(&w);
    return 0;
}
