/* SPDX-License-Identifier: MIT
 * test_mailer.c: messages to a real SMTP server (tests/e2e/smtp_server.py) and to files. */
#include "svc/mailer.h"

#include "base/clock.h"
#include "svc/loop.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MESSAGE "From: a@b.c\r\nSubject: s\r\n\r\nhello\r\n.dot\r\n..\r\n.\r\nend\r\n"

/* --- A loop, a folder, a server ------------------------------------------------------------ */

struct world {
    struct event_base *base;
    struct sh_mailer *mailer;
    struct sh_timer *alarm, *tick;
    char folder[64], url[64];
    pid_t server; /* 0 = none */
    size_t left, max_gap_ms;
    int64_t last_tick_us;
    struct sh_mail_result results[64];
    size_t n_results;
};

static void on_alarm(void *arg)
{
    (void)arg;
    fail_msg("nothing happened for 20 s");
}

static void on_tick(void *arg)
{
    struct world *w = arg;
    int64_t now = sh_mono_us();
    size_t gap = (size_t)((now - w->last_tick_us) / 1000);
    w->max_gap_ms = gap > w->max_gap_ms ? gap : w->max_gap_ms;
    w->last_tick_us = now;
    sh_timer_set(w->tick, 5);
}

static void open_world(struct world *w)
{
    *w = (struct world){.base = sh_loop_new(), .folder = "/tmp/switchhook-mail-XXXXXX"};
    assert_non_null(mkdtemp(w->folder));
    w->alarm = sh_timer_new(w->base, on_alarm, w);
    w->tick = sh_timer_new(w->base, on_tick, w);
}

/* Start the server with these options, separated by '|'. */
static void start_server(struct world *w, const char *options)
{
    int out[2];
    char script[PATH_MAX], text[300], *argv[24] = {"python3", "-B", script, w->folder};
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
    w->server = fork();
    if (w->server == 0) {
        dup2(out[1], 1);
        execv("/usr/bin/python3", argv);
        _exit(127);
    }
    close(out[1]);
    FILE *f = fdopen(out[0], "r");
    int port = 0;
    assert_int_equal(fscanf(f, "port %d", &port), 1);
    fclose(f);
    snprintf(w->url, sizeof(w->url), "smtp://127.0.0.1:%d", port);
}

static void stop_server(struct world *w)
{
    if (w->server) {
        kill(w->server, SIGTERM);
        assert_int_equal(waitpid(w->server, NULL, 0), w->server);
    }
    w->server = 0;
}

static void close_world(struct world *w)
{
    char cmd[128];
    sh_mailer_free(w->mailer);
    stop_server(w);
    sh_timer_free(w->alarm);
    sh_timer_free(w->tick);
    sh_loop_free(w->base);
    snprintf(cmd, sizeof(cmd), "rm -rf '%s'", w->folder);
    assert_int_equal(system(cmd), 0);
}

static void make_mailer(struct world *w, const struct sh_mailer_config *config)
{
    struct sh_error err;
    sh_mailer_free(w->mailer);
    w->mailer = sh_mailer_new(w->base, config, &err);
    if (!w->mailer)
        fail_msg("%s", err.msg);
}

static void smtp_mailer(struct world *w)
{
    make_mailer(w, &(struct sh_mailer_config){.smtp = w->url, .timeout_ms = 10000});
}

static void on_done(void *arg, const struct sh_mail_result *r)
{
    struct world *w = arg;
    assert_true(w->left > 0); /* never from within sh_mailer_send() */
    w->results[w->n_results++] = *r;
    if (--w->left == 0)
        sh_loop_stop(w->base);
}

static void send_to(struct world *w, const char *name, const char *from, const char *to,
                    const char *message)
{
    const char *const list[] = {to, "second@example.org"};
    sh_mailer_send(w->mailer, name, from, list, 2, sh_slice_str(message), on_done, w);
}

/* Wait for n answers, while the loop keeps ticking. */
static void wait_for(struct world *w, size_t n)
{
    w->left = n;
    w->last_tick_us = sh_mono_us();
    w->max_gap_ms = 0;
    sh_timer_set(w->tick, 5);
    sh_timer_set(w->alarm, 20000);
    sh_loop_run(w->base);
    on_tick(w); /* the last stretch counts too */
    sh_timer_cancel(w->alarm);
    sh_timer_cancel(w->tick);
}

static struct sh_mail_result send_one(struct world *w, const char *message)
{
    w->n_results = 0;
    send_to(w, "name", "hook@example.org", "a@example.org", message);
    wait_for(w, 1);
    return w->results[0];
}

static void expect(struct sh_mail_result r, int verdict, const char *text)
{
    if ((int)r.verdict != verdict || !strstr(r.detail, text))
        fail_msg("verdict %d, \"%s\"; expected %d, \"%s\"", (int)r.verdict, r.detail, verdict,
                 text);
}

/* A file of the folder, "" if absent. Static memory, two at a time. */
static const char *file(const struct world *w, const char *name)
{
    static char texts[2][100000];
    static unsigned turn;
    char path[PATH_MAX], *text = texts[turn++ % 2];
    snprintf(path, sizeof(path), "%s/%s", w->folder, name);
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(text, 1, sizeof(texts[0]) - 1, f) : 0;
    text[n] = '\0';
    if (f)
        fclose(f);
    return text;
}

static size_t count_files(const char *folder, const char *ext)
{
    size_t n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        n += strlen(e->d_name) > strlen(ext) &&
             strcmp(e->d_name + strlen(e->d_name) - strlen(ext), ext) == 0;
    closedir(d);
    return n;
}

/* --- SMTP: what arrives -------------------------------------------------------------------- */

static void a_message_arrives_as_it_is(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    start_server(&w, "");
    smtp_mailer(&w);
    expect(send_one(&w, MESSAGE), SH_MAIL_SENT, "250 OK: kept as 0001");
    assert_string_equal(file(&w, "0001.eml"), MESSAGE);
    assert_string_equal(file(&w, "0001.json"),
                        "{\"from\": \"hook@example.org\", \"to\": [\"a@example.org\", "
                        "\"second@example.org\"], \"tls\": false, \"login\": null, "
                        "\"connection\": 1}");
    close_world(&w);
}

static void connections_are_shared_and_few(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    start_server(&w, "--slow|0.02");
    make_mailer(&w, &(struct sh_mailer_config){.smtp = w.url, .connections = 2});
    for (int i = 0; i < 20; i++)
        send_to(&w, "name", "hook@example.org", "a@example.org", MESSAGE);
    wait_for(&w, 20);
    for (int i = 0; i < 20; i++)
        expect(w.results[i], SH_MAIL_SENT, "250");
    assert_int_equal(count_files(w.folder, ".eml"), 20);
    assert_null(strstr(file(&w, "0020.json"), "\"connection\": 3"));
    assert_true(strstr(file(&w, "0019.json"), "\"connection\": 2") ||
                strstr(file(&w, "0020.json"), "\"connection\": 2"));
    close_world(&w);
}

static void a_connection_that_the_server_closed_costs_nothing(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    start_server(&w, "--hang-up");
    smtp_mailer(&w);
    for (int i = 0; i < 5; i++) {
        expect(send_one(&w, MESSAGE), SH_MAIL_SENT, "250");
        usleep(150000); /* by now it is closed */
    }
    assert_int_equal(count_files(w.folder, ".eml"), 5);
    close_world(&w);
}

/* --- SMTP: what is refused here ------------------------------------------------------------ */

static void nothing_can_be_injected(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    start_server(&w, "");
    smtp_mailer(&w);
    send_to(&w, "n", "a@b.c>\r\nRCPT TO:<evil@b.c", "d@e.f", MESSAGE);
    send_to(&w, "n", "a@b.c", "d@e.f\r\nDATA", MESSAGE);
    send_to(&w, "n", "a@b.c", "d@e.f> NOTIFY=NEVER", MESSAGE);
    send_to(&w, "n", "a@b.c", "", MESSAGE);
    send_to(&w, "n", "a@b.c", "d@e.f", "Subject: s\r\n\r\nx\n.\nMAIL FROM:<x@y.z>\r\n");
    send_to(&w, "n", "a@b.c", "d@e.f", "Subject: s\r\n\r\nx\r.\r\r\n");
    send_to(&w, "../n", "a@b.c", "d@e.f", MESSAGE);
    assert_int_equal(w.n_results, 0);
    wait_for(&w, 7);
    for (int i = 0; i < 7; i++)
        expect(w.results[i], SH_MAIL_PERMANENT, "not sent: ");
    expect(send_one(&w, MESSAGE), SH_MAIL_SENT, "250");
    assert_int_equal(count_files(w.folder, ".eml"), 1);
    close_world(&w);
}

/* --- SMTP: what the server says ------------------------------------------------------------ */

static void temporary_answers_are_told_from_final_ones(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        int verdict;
        const char *text;
    } cases[] = {
        {"--greylist|1", SH_MAIL_TEMPORARY,
         "RCPT TO:<a@example.org>: 450 4.2.0 greylisted, come back later"},
        {"--refuse|rcpt:550 5.1.1 no such user", SH_MAIL_PERMANENT,
         "RCPT TO:<a@example.org>: 550 5.1.1 no such user"},
        {"--refuse|rcpt:550 no|--refuse-address|second@example.org", SH_MAIL_PERMANENT,
         "RCPT TO:<second@example.org>: 550 no"},
        {"--refuse|mail:553 not you", SH_MAIL_PERMANENT, "MAIL FROM:<hook@example.org>"},
        {"--refuse|mail:421 closing", SH_MAIL_TEMPORARY, "421 closing"},
        {"--refuse|mail:530 5.7.0 authentication required", SH_MAIL_TEMPORARY, "530 5.7.0"},
        {"--refuse|data:554 5.6.0 spam", SH_MAIL_PERMANENT, "message: 554 5.6.0 spam"},
        {"--refuse|data:452 4.3.1 disk full", SH_MAIL_TEMPORARY, "message: 452 4.3.1 disk full"},
        {"--drop-after-data|1", SH_MAIL_TEMPORARY, "the server may have taken it"},
        {"--slow|5", SH_MAIL_TEMPORARY, "the server may have taken it"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct world w;
        open_world(&w);
        bool slow = strstr(cases[i].options, "--slow") != NULL;
        start_server(&w, cases[i].options);
        make_mailer(&w,
                    &(struct sh_mailer_config){.smtp = w.url, .timeout_ms = slow ? 700 : 10000});
        int64_t began = sh_mono_us();
        expect(send_one(&w, MESSAGE), cases[i].verdict, cases[i].text);
        assert_true(!slow || sh_mono_us() - began < 3000000);
        close_world(&w);
    }
}

static void the_loop_goes_on_meanwhile(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    start_server(&w, "--slow|1.5");
    snprintf(w.url, sizeof(w.url), "smtp://localhost:%d", atoi(strrchr(w.url, ':') + 1));
    smtp_mailer(&w);
    expect(send_one(&w, MESSAGE), SH_MAIL_SENT, "250");
    assert_true(w.max_gap_ms < 1000);
    close_world(&w);
}

static void a_server_that_is_away_is_a_temporary_matter(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    start_server(&w, "");
    smtp_mailer(&w);
    stop_server(&w);
    expect(send_one(&w, MESSAGE), SH_MAIL_TEMPORARY, "onnect");
    close_world(&w);
}

/* --- SMTP: TLS and login ------------------------------------------------------------------- */

static void tls_and_login(void **state)
{
    (void)state;
    struct world w;
    char ca[128];
    open_world(&w);
    start_server(&w, "--tls|starttls|--login|hook:s3cret-word");
    snprintf(ca, sizeof(ca), "%s/cert.pem", w.folder);
    struct sh_mailer_config config = {.smtp = w.url,
                                      .username = "hook",
                                      .password = "s3cret-word",
                                      .ca_file = ca,
                                      .require_tls = true,
                                      .timeout_ms = 10000};
    make_mailer(&w, &config);
    expect(send_one(&w, MESSAGE), SH_MAIL_SENT, "250");
    assert_non_null(strstr(file(&w, "0001.json"), "\"tls\": true, \"login\": \"hook\""));
    assert_string_equal(file(&w, "0001.eml"), MESSAGE);

    config.password = "wr0ng-word";
    make_mailer(&w, &config);
    struct sh_mail_result r = send_one(&w, MESSAGE);
    expect(r, SH_MAIL_TEMPORARY, "535");
    assert_null(strstr(r.detail, "wr0ng-word"));
    assert_null(strstr(r.detail, "AHdyMG5n")); /* how it starts in base64 */

    config.password = "s3cret-word";
    config.ca_file = NULL; /* the system does not know this certificate */
    make_mailer(&w, &config);
    expect(send_one(&w, MESSAGE), SH_MAIL_TEMPORARY, "certificate");
    assert_int_equal(count_files(w.folder, ".eml"), 1);
    close_world(&w);
}

static void smtps(void **state)
{
    (void)state;
    struct world w;
    char ca[128], url[80];
    open_world(&w);
    start_server(&w, "--tls|smtps|--login|hook:s3cret-word");
    snprintf(ca, sizeof(ca), "%s/cert.pem", w.folder);
    snprintf(url, sizeof(url), "smtps%.60s", w.url + 4);
    make_mailer(&w, &(struct sh_mailer_config){.smtp = url,
                                               .username = "hook",
                                               .password = "s3cret-word",
                                               .ca_file = ca,
                                               .timeout_ms = 10000});
    expect(send_one(&w, MESSAGE), SH_MAIL_SENT, "250");
    assert_non_null(strstr(file(&w, "0001.json"), "\"tls\": true, \"login\": \"hook\""));
    close_world(&w);
}

static void no_tls_means_no_mail_when_it_is_required(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    start_server(&w, "");
    make_mailer(&w, &(struct sh_mailer_config){.smtp = w.url, .require_tls = true});
    expect(send_one(&w, MESSAGE), SH_MAIL_TEMPORARY, "STARTTLS");
    assert_int_equal(count_files(w.folder, ".eml"), 0);
    close_world(&w);
}

static void bad_configurations_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct sh_mailer_config config;
        const char *text;
    } cases[] = {
        {{.smtp = "http://127.0.0.1:25"}, "expected smtp:// or smtps://"},
        {{.smtp = "127.0.0.1:25"}, "smtp"},
        {{.smtp = "smtp://127.0.0.1:99999"}, "port"},
        {{.smtp = "smtp://u:secret@127.0.0.1:25"}, "must not hold a login"},
        {{.smtp = "smtp://mail.example.org", .username = "u", .password = "secret"}, "clear text"},
        {{.smtp = "smtp://127.0.0.1", .ca_file = "/nonexistent/ca.pem"}, "cannot be read"},
        {{.folder = ""}, "no folder"},
        {{.folder = "/dev/null/mail"}, "/dev/null/mail"},
    };
    struct event_base *base = sh_loop_new();
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct sh_error err = {0};
        assert_null(sh_mailer_new(base, &cases[i].config, &err));
        if (!strstr(err.msg, cases[i].text) || strstr(err.msg, "secret"))
            fail_msg("\"%s\" does not say \"%s\"", err.msg, cases[i].text);
    }
    sh_loop_free(base);
}

/* --- Ends ---------------------------------------------------------------------------------- */

static void a_mailer_is_freed_in_mid_flight(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    start_server(&w, "--slow|30");
    make_mailer(&w, &(struct sh_mailer_config){.smtp = w.url, .connections = 2});
    for (int i = 0; i < 6; i++)
        send_to(&w, "name", "a@b.c", "d@e.f", MESSAGE);
    send_to(&w, "name", "a@b.c", "d@e.f\r\n", MESSAGE); /* the one answer that ends the wait */
    wait_for(&w, 1);
    for (int i = 0; i < 6; i++) /* some steps into the dialogue */
        send_to(&w, "name", "a@b.c", "d@e.f\r\n", MESSAGE);
    wait_for(&w, 6);
    close_world(&w);
    open_world(&w);
    make_mailer(&w, &(struct sh_mailer_config){.folder = w.folder});
    for (int i = 0; i < 6; i++)
        send_to(&w, "name", "a@b.c", "d@e.f", MESSAGE);
    close_world(&w);
}

/* --- Files --------------------------------------------------------------------------------- */

static void files_are_written_whole(void **state)
{
    (void)state;
    struct world w;
    char folder[128], path[160];
    struct stat st;
    open_world(&w);
    snprintf(folder, sizeof(folder), "%s/deep/er/mail", w.folder);
    make_mailer(&w, &(struct sh_mailer_config){.folder = folder});
    struct sh_mail_result r = send_one(&w, MESSAGE);
    snprintf(path, sizeof(path), "%s/name.eml", folder);
    assert_int_equal(r.verdict, SH_MAIL_SENT);
    assert_string_equal(r.detail, path);
    assert_string_equal(file(&w, "deep/er/mail/name.eml"), MESSAGE);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(send_one(&w, "again\r\n").verdict, SH_MAIL_SENT);
    assert_string_equal(file(&w, "deep/er/mail/name.eml"), "again\r\n");

    char cmd[300];
    snprintf(cmd, sizeof(cmd), "rm -r '%s'", folder);
    assert_int_equal(system(cmd), 0);
    assert_int_equal(send_one(&w, MESSAGE).verdict, SH_MAIL_SENT); /* made again */
    snprintf(cmd, sizeof(cmd), "rm -r '%s' && echo x >'%s'", folder, folder);
    assert_int_equal(system(cmd), 0);
    expect(send_one(&w, MESSAGE), SH_MAIL_TEMPORARY, "cannot write");
    snprintf(cmd, sizeof(cmd), "rm '%s'", folder);
    assert_int_equal(system(cmd), 0);
    expect(send_one(&w, MESSAGE), SH_MAIL_SENT, "name.eml");
    close_world(&w);
}

static void many_files(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    make_mailer(&w, &(struct sh_mailer_config){.folder = w.folder});
    for (int i = 0; i < 60; i++) {
        char name[32];
        snprintf(name, sizeof(name), "name-%d", i);
        send_to(&w, name, "a@b.c", "d@e.f", MESSAGE);
    }
    wait_for(&w, 60);
    for (int i = 0; i < 60; i++)
        expect(w.results[i], SH_MAIL_SENT, ".eml");
    assert_int_equal(count_files(w.folder, ".eml"), 60);
    assert_int_equal(count_files(w.folder, ".tmp"), 0);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_arrives_as_it_is),
        cmocka_unit_test(connections_are_shared_and_few),
        cmocka_unit_test(a_connection_that_the_server_closed_costs_nothing),
        cmocka_unit_test(nothing_can_be_injected),
        cmocka_unit_test(temporary_answers_are_told_from_final_ones),
        cmocka_unit_test(the_loop_goes_on_meanwhile),
        cmocka_unit_test(a_server_that_is_away_is_a_temporary_matter),
        cmocka_unit_test(tls_and_login),
        cmocka_unit_test(smtps),
        cmocka_unit_test(no_tls_means_no_mail_when_it_is_required),
        cmocka_unit_test(bad_configurations_are_refused),
        cmocka_unit_test(a_mailer_is_freed_in_mid_flight),
        cmocka_unit_test(files_are_written_whole),
        cmocka_unit_test(many_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
