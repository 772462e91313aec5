/* SPDX-License-Identifier: MIT
 * cmd_playground.c: `switchhook playground`, a process that tries one thing and ends.
 *
 * Started by the engine as a worker is (worker.c): it gets the rules and what is to be tried over
 * its socket, locks itself up, loads the rules, tries, answers. The engine ends it when it takes
 * too long. */
#include "app/app.h"

#include "app/locked_child.h"
#include "app/playground_work.h"
#include "base/log.h"
#include "svc/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_IN     (3U * SH_MAX_FRAME_BYTES)
#define PLAY_NICE  10 /* after the workers: a person waits, but senders' events are worth more */
#define MAX_BODIES 10000
#define READ_BYTES (256U * 1024)

static _Noreturn void die(const char *why)
{
    sh_log(SH_LOG_ERROR, "playground ends", "reason", why, NULL);
    _exit(1);
}

/* --- the socket ------------------------------------------------------------------------------ */

static void read_more(struct sh_buf *in)
{
    char *room = sh_buf_room(in, READ_BYTES);
    if (!room)
        die("too much to try");
    ssize_t n = recv(SH_CHILD_SOCKET, room, READ_BYTES, 0);
    if (n == 0 || (n < 0 && errno != EINTR))
        _exit(0);
    if (n > 0)
        in->len += (size_t)n;
}

/* The frame of that type that begins at *at; it is moved behind it. The payload borrows from in,
 * which must not grow meanwhile. */
static bool next_frame(const struct sh_buf *in, size_t *at, enum sh_frame_type type,
                       struct sh_slice *payload)
{
    uint8_t got;
    size_t used;
    const char *from = in->data ? in->data + *at : NULL;
    int rc =
        sh_frame_split(sh_slice(from, in->len - *at), SH_MAX_FRAME_BYTES, &got, payload, &used);
    if (rc < 0 || (rc > 0 && got != type))
        die("malformed frame");
    if (rc > 0)
        *at += used;
    return rc > 0;
}

static void send_all(const struct sh_buf *out)
{
    for (size_t at = 0; at < out->len;) {
        ssize_t n = send(SH_CHILD_SOCKET, out->data + at, out->len - at, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            _exit(0);
        if (n > 0)
            at += (size_t)n;
    }
}

/* --- what is said ---------------------------------------------------------------------------- */

static void on_loaded(void *arg, const cJSON *report)
{
    struct sh_buf out;
    (void)arg;
    sh_buf_init(&out, SH_PLAY_ANSWER_BYTES);
    size_t place = sh_frame_begin(&out, SH_FRAME_LOADED);
    if (sh_json_print(report, &out)) {
        sh_frame_end(&out, place);
        send_all(&out);
    }
    sh_buf_free(&out);
}

static bool lock(void *arg, struct sh_error *err)
{
    (void)arg;
    cJSON *sandbox = sh_locked_child_lock(PLAY_NICE, err);
    cJSON_Delete(sandbox);
    if (!sandbox) {
        struct sh_error why = *err;
        sh_error_set(err, SH_ESYS, "the sandbox does not hold, so no rule is run: %s", why.msg);
    }
    return sandbox != NULL;
}

/* In the frame: the status, the JSON. */
static void write_answer(struct sh_buf *out, int status, const cJSON *answer)
{
    struct sh_buf text;
    sh_buf_init(&text, SH_PLAY_ANSWER_BYTES);
    const bool ok = sh_json_print(answer, &text);
    const char large[] = "{\"error\":{\"code\":\"answer_too_large\",\"message\":\"what came of it "
                         "takes more than 4 MiB\"}}";
    size_t place = sh_frame_begin(out, SH_FRAME_TRIED);
    sh_buf_uint(out, ok ? (uint64_t)status : 413);
    sh_buf_bytes(out, ok ? sh_slice(text.data, text.len) : sh_slice_str(large));
    sh_frame_end(out, place);
    sh_buf_free(&text);
}

static void answer(struct sh_play_in *in)
{
    struct sh_buf out;
    int status;
    cJSON *tree = sh_play_work(in, &status);
    sh_buf_init(&out, SH_PLAY_ANSWER_BYTES + 1024);
    write_answer(&out, status, tree);
    send_all(&out);
    _exit(0); /* the author's code has run in here: nothing more is done */
}

/* --- what is asked --------------------------------------------------------------------------- */

static cJSON *read_try(struct sh_slice payload, struct sh_slice **bodies, size_t *n)
{
    struct sh_reader r = sh_reader_of(payload);
    struct sh_slice what = sh_read_bytes(&r);
    const uint64_t count = sh_read_uint(&r);
    if (r.bad || count > MAX_BODIES)
        die("malformed TRY frame");
    *bodies = sh_alloc((size_t)count + 1, sizeof(**bodies));
    for (*n = 0; *n < count; (*n)++)
        (*bodies)[*n] = sh_read_bytes(&r);
    cJSON *tree = r.bad ? NULL : sh_json_parse(what.p, what.n, NULL);
    if (!tree)
        die("malformed TRY frame");
    return tree;
}

static void serve(struct sh_pulse *pulse)
{
    struct sh_buf in;
    struct sh_slice load, try, *bodies;
    struct sh_budgets budgets;
    struct sh_settings settings;
    struct sh_generation *g;
    size_t at = 0, n_bodies;
    sh_buf_init(&in, MAX_IN);
    for (;; at = 0, read_more(&in))
        if (next_frame(&in, &at, SH_FRAME_LOAD, &load) && next_frame(&in, &at, SH_FRAME_TRY, &try))
            break;
    if (!sh_frame_read_load(load, &budgets, &settings, &g))
        die("malformed LOAD frame");
    cJSON *what = read_try(try, &bodies, &n_bodies);
    struct sh_play_in play = {.generation = g,
                              .budgets = &budgets,
                              .settings = &settings,
                              .what = what,
                              .bodies = bodies,
                              .n_bodies = n_bodies,
                              .pulse = pulse,
                              .lock = lock,
                              .loaded = on_loaded};
    answer(&play);
}

int sh_cmd_playground(int argc, char **argv)
{
    enum sh_log_format format = SH_LOG_LOGFMT;
    if (argc > 2 || (argc == 2 && !sh_log_format_of(argv[1], &format))) {
        bool help = strcmp(argv[1], "--help") == 0;
        fputs("usage: switchhook playground\n\nTries an event for the engine, which starts it; not "
              "to be started by hand.\n",
              help ? stdout : stderr);
        return help ? 0 : 2;
    }
    sh_log_set_format(format);
    struct sh_pulse *pulse = sh_locked_child_start("playground");
    if (!pulse)
        return 2;
    serve(pulse);
    return 0;
}
