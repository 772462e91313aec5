/* SPDX-License-Identifier: MIT
 * test_feed.c: calendar feeds over HTTP: what a calendar program gets, and what one who guesses. */
#include "app/feed.h"

#include "app/ingress.h"
#include "base/zone.h"
#include "store_kit.h"
#include "svc/loop.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#define ANSWER  65536
#define GIVE_UP INT64_C(10000000)

struct world {
    struct kit kit;
    struct event_base *base;
    struct sh_waker *waker;
    struct sh_timer *look;
    struct sh_config config;
    struct sh_ingress *ingress;
    struct sh_feed *feed;
    char token[44];
    bool hold; /* the store's answers are not fetched */
};

static const struct sh_audit audit = {.who = "kit", .role = "local"};

static void on_wake(void *arg)
{
    struct world *w = arg;
    if (!w->hold)
        sh_store_reap(w->kit.s);
}

static void on_event(void *arg, struct sh_event *event)
{
    (void)arg;
    sh_event_free(event);
}

static void on_other(void *arg, struct sh_http_request *req)
{
    sh_ingress_not_found(((struct world *)arg)->ingress, req);
}

static void on_look(void *arg)
{
    sh_loop_stop(((struct world *)arg)->base);
}

static void spin(struct world *w, int ms)
{
    sh_timer_set(w->look, ms);
    sh_loop_run(w->base);
}

struct done {
    bool yes;
};

static void on_done(struct sh_op *op)
{
    ((struct done *)op->arg)->yes = true;
}

static void wait_for(struct world *w, struct sh_op *op)
{
    struct done done = {false};
    op->done = on_done;
    op->arg = &done;
    sh_store_submit(w->kit.s, op);
    for (int64_t until = sh_mono_us() + GIVE_UP; !done.yes && sh_mono_us() < until;)
        spin(w, 2);
    if (!op->ok)
        fail_msg("%s", op->err.msg);
}

/* An open callback for ann@example.org, and the address of her feed. */
static void add_callback(struct world *w)
{
    struct kit_settle s;
    struct sh_op_accept accept = {.op.kind = SH_OP_ACCEPT, .event = kit_event("k", "d", "{}")};
    wait_for(w, &accept.op);
    kit_settle_init(&s, accept.event->id);
    kit_add_run(&s, "rule", SH_RUN_DONE);
    kit_fx(&s, kit_leave(SH_FX_CALLBACK, "",
                         "{\"number\":\"+31612345678\",\"name\":\"Bob\",\"due_at\":4102444800000,"
                         "\"assignee\":\"ann@example.org\",\"reason\":\"asked for it\"}"));
    wait_for(w, &s.op.op);
    kit_settle_free(&s);
    sh_event_free(accept.event);
    struct sh_op_feed_new feed = {.op = {.kind = SH_OP_FEED_NEW, .audit = &audit},
                                  .assignee = "ann@example.org"};
    wait_for(w, &feed.op);
    memcpy(w->token, feed.token, sizeof(w->token));
    assert_true(strlen(w->token) >= 32);
}

static void begin(struct world *w)
{
    struct sh_error err;
    cJSON *faults;
    memset(w, 0, sizeof(*w));
    kit_init(&w->kit);
    assert_int_equal(chdir("/tmp"), 0); /* where no configuration file is */
    assert_true(sh_config_load(NULL, &w->config, &faults));
    cJSON_Delete(faults);
    w->config.listen_port = 0;
    w->base = sh_loop_new();
    w->waker = sh_waker_new(w->base, on_wake, w);
    w->look = sh_timer_new(w->base, on_look, w);
    struct sh_store_config c = kit_config(&w->kit, true, NULL);
    c.wake = sh_waker_ring;
    c.wake_arg = w->waker;
    w->kit.s = sh_store_open(&c, &err);
    assert_non_null(w->kit.s);
    w->feed = sh_feed_new(w->kit.s, on_other, w);
    w->ingress = sh_ingress_new(w->base, &w->config, NULL, w->kit.s, on_event, w, &err);
    if (!w->ingress)
        fail_msg("%s", err.msg);
    sh_ingress_set_other(w->ingress, sh_feed_request, w->feed);
    add_callback(w);
}

static void end(struct world *w)
{
    kit_close(&w->kit);
    sh_ingress_free(w->ingress);
    sh_feed_free(w->feed);
    sh_timer_free(w->look);
    sh_waker_free(w->waker);
    sh_loop_free(w->base);
    sh_config_clear(&w->config);
    kit_end(&w->kit);
}

/* --- a client on the same thread -------------------------------------------------------------- */

static int send_request(struct world *w, const char *method, const char *path, const char *more)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)sh_ingress_port(w->ingress)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char text[1024];
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    int n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: t\r\nConnection: close\r\n%s\r\n",
                     method, path, more);
    assert_int_equal(write(fd, text, (size_t)n), n);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* The whole answer, until the connection is closed. */
static char *read_answer(struct world *w, int fd)
{
    char *text = sh_alloc(ANSWER, 1);
    size_t len = 0;
    for (int64_t until = sh_mono_us() + GIVE_UP; sh_mono_us() < until;) {
        ssize_t n = read(fd, text + len, ANSWER - len - 1);
        if (n == 0)
            break;
        if (n > 0)
            len += (size_t)n;
        else
            spin(w, 2);
    }
    close(fd);
    return text;
}

static char *ask(struct world *w, const char *method, const char *token, const char *more)
{
    char path[256];
    snprintf(path, sizeof(path), "/calendar/%s", token);
    return read_answer(w, send_request(w, method, path, more));
}

static bool has(const char *answer, const char *part)
{
    return strstr(answer, part) != NULL;
}

/* Headers and body without the date, to compare answers. */
static char *without_date(char *answer)
{
    char *date = strstr(answer, "Date: ");
    if (date) {
        char *end = strstr(date, "\r\n");
        memmove(date, end, strlen(end) + 1);
    }
    return answer;
}

static char *file_of(struct world *w)
{
    return sh_strf("%s.ics", w->token);
}

/* --- tests -------------------------------------------------------------------------------------
 */

static void test_feed(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    char *file = file_of(&w), *got = ask(&w, "GET", file, "");
    assert_true(has(got, "HTTP/1.1 200"));
    assert_true(has(got, "Content-Type: text/calendar; charset=utf-8\r\n"));
    assert_true(has(got, "Cache-Control: private, max-age=300\r\n"));
    assert_true(has(got, "X-Content-Type-Options: nosniff\r\n"));
    assert_true(has(got, "BEGIN:VCALENDAR\r\n"));
    assert_true(has(got, "Bob"));
    assert_true(has(got, "END:VCALENDAR\r\n"));
    free(got);
    got = ask(&w, "HEAD", file, "");
    assert_true(has(got, "HTTP/1.1 200"));
    assert_true(has(got, "ETag: \""));
    assert_false(has(got, "VCALENDAR"));
    free(got);
    free(file);
    end(&w);
}

static void test_etag(void **state)
{
    (void)state;
    static const char *const forms[] = {"%s", "W/%s", "\"x\", %s", "\"x\",%s,", " %s , \"y\"", "*"};
    static const char *const others[] = {"\"x\"", "%.10s\"", "x%s", "\"x\", W/\"y\""};
    struct world w;
    begin(&w);
    char *file = file_of(&w), *got = ask(&w, "GET", file, ""), tag[64] = "", more[256], list[200];
    assert_int_equal(sscanf(strstr(got, "ETag: "), "ETag: %63s", tag), 1);
    free(got);
    for (size_t i = 0; i < 10; i++) {
        const bool known = i < 6;
        const char *form = known ? forms[i] : others[i - 6], *at = strchr(form, '%');
        size_t before = at ? (size_t)(at - form) : strlen(form);
        const bool cut = at && at[1] == '.';
        snprintf(list, sizeof(list), "%.*s%.*s%s", (int)before, form,
                 !at   ? 0
                 : cut ? 10
                       : 63,
                 tag, !at ? "" : strchr(at, 's') + 1);
        snprintf(more, sizeof(more), "If-None-Match: %s\r\n", list);
        got = ask(&w, "GET", file, more);
        if (!has(got, known ? "HTTP/1.1 304" : "HTTP/1.1 200"))
            fail_msg("%s: %.40s", list, got);
        assert_int_equal(has(got, "VCALENDAR"), !known);
        assert_true(has(got, tag));
        free(got);
    }
    free(file);
    end(&w);
}

/* A guess learns nothing: an unknown token, one of the wrong form and a renewed one are the same.
 */
static void test_unknown_tokens(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    char *old = file_of(&w), *first = without_date(ask(&w, "GET", "x.ics", ""));
    assert_true(has(first, "HTTP/1.1 404"));
    struct sh_op_feed_new renew = {.op = {.kind = SH_OP_FEED_NEW, .audit = &audit},
                                   .assignee = "ann@example.org",
                                   .renew = true};
    wait_for(&w, &renew.op);
    char *wrong[] = {sh_strf("%.*s.ics", 43, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
                     sh_strf("%s", ""),
                     sh_strf(".ics"),
                     sh_strf("%s", w.token),
                     sh_strf("%s.icsx", w.token),
                     sh_strf("a%%20b.ics"),
                     sh_strf("%0100d.ics", 1),
                     old};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        char *got = without_date(ask(&w, "GET", wrong[i], ""));
        assert_string_equal(got, first);
        free(got);
        free(wrong[i]);
    }
    char *file = sh_strf("%s.ics", renew.token), *got = ask(&w, "GET", file, "");
    assert_true(has(got, "HTTP/1.1 200"));
    free(got);
    free(file);
    free(first);
    end(&w);
}

static void test_methods_and_paths(void **state)
{
    (void)state;
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS"};
    struct world w;
    begin(&w);
    char *file = file_of(&w);
    for (size_t i = 0; i < 4; i++) {
        char *got = ask(&w, methods[i], file, "Content-Length: 0\r\n"),
             *none = ask(&w, methods[i], "no.ics", "Content-Length: 0\r\n");
        assert_true(has(got, "HTTP/1.1 405"));
        assert_true(has(got, "Allow: GET, HEAD\r\n"));
        assert_string_equal(without_date(got), without_date(none));
        free(got);
        free(none);
    }
    char *got = read_answer(&w, send_request(&w, "GET", "/calendars", ""));
    assert_true(has(got, "no source has this path"));
    struct sh_ingress_stats stats;
    sh_ingress_stats(w.ingress, &stats);
    assert_int_equal(stats.refused[SH_REFUSED_NOT_FOUND], 1);
    free(got);
    free(file);
    end(&w);
}

/* While events are refused, calendars are still shown. */
static void test_while_refusing(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    sh_ingress_set_refusing(w.ingress, "the disk is nearly full");
    char *file = file_of(&w), *got = ask(&w, "GET", file, "");
    assert_true(has(got, "HTTP/1.1 200"));
    free(got);
    free(file);
    end(&w);
}

static void test_at_most_eight_at_once(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    char *file = file_of(&w), path[256];
    int fds[SH_FEED_AT_ONCE];
    snprintf(path, sizeof(path), "/calendar/%s", file);
    w.hold = true;
    for (size_t i = 0; i < SH_FEED_AT_ONCE; i++)
        fds[i] = send_request(&w, "GET", path, "");
    spin(&w, 100);
    char *got = ask(&w, "GET", file, "");
    assert_true(has(got, "HTTP/1.1 503"));
    assert_true(has(got, "Retry-After: "));
    free(got);
    w.hold = false;
    sh_store_reap(w.kit.s);
    for (size_t i = 0; i < SH_FEED_AT_ONCE; i++) {
        got = read_answer(&w, fds[i]);
        assert_true(has(got, "HTTP/1.1 200"));
        free(got);
    }
    w.hold = true; /* questions that are open at the end are forgotten */
    fds[0] = send_request(&w, "GET", path, "");
    spin(&w, 50);
    close(fds[0]);
    free(file);
    end(&w);
}

/* Log lines go to standard error: whatever goes wrong, the token is in none. */
static void test_token_in_no_log_line(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    char *file = file_of(&w), log[] = "/tmp/switchhook-feed-XXXXXX", text[8192] = "", big[600];
    int was = dup(2), fd = mkstemp(log);
    assert_int_equal(dup2(fd, 2), 2);
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    free(ask(&w, "GET", file, ""));
    free(ask(&w, "POST", file, "Content-Length: 0\r\n"));
    free(ask(&w, "GET", file, "Bad Header\r\n"));
    free(ask(&w, "GET", file, "Transfer-Encoding: gzip\r\n"));
    free(ask(&w, "POST", file, "Content-Length: 99999999\r\n"));
    assert_int_equal(dup2(was, 2), 2);
    close(was);
    assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
    assert_true(has(text, "/calendar/...")); /* something was logged */
    assert_false(has(text, w.token));
    close(fd);
    unlink(log);
    free(file);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_feed),
        cmocka_unit_test(test_etag),
        cmocka_unit_test(test_unknown_tokens),
        cmocka_unit_test(test_methods_and_paths),
        cmocka_unit_test(test_while_refusing),
        cmocka_unit_test(test_at_most_eight_at_once),
        cmocka_unit_test(test_token_in_no_log_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
