/* SPDX-License-Identifier: MIT
 * test_mailer.c: messages to a real SMTP server (tests/e2e/smtp_server.py) and to files. */
#include "svc/mailer.h"

#include "base/clock.h"
#include "svc/loop.h"

#include <dirent.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "smtp_kit.h"

#define MESSAGE "From: a@b.c\r\nSubject: s\r\n\r\nhello\r\n.dot\r\n..\r\n.\r\nend\r\n"

/* --- A loop, a folder, a server ------------------------------------------------------------ */

struct world {
    struct event_base *base;
    struct sh_mailer *mailer;
    struct sh_timer *alarm, *tick;
    char folder[64], url[SMTP_URL_BYTES];
    pid_t server; /* 0 = none */
    size_t left, max_gap_ms;
    int64_t last_tick_us;
    struct sh_mail_result results[64];
    struct sh_mail_fate fates[64][3]; /* of the first three recipients */
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
    w->server = smtp_start(w->folder, options, w->url);
}

static void stop_server(struct world *w)
{
    smtp_stop(w->server);
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
    assert_true(w->n_results < 64);
    for (size_t i = 0; i < r->n; i++) { /* the verdict follows from them, unless DOWN */
        assert_in_range(r->fates[i].state, SH_MAIL_TO_SENT, SH_MAIL_TO_REFUSED);
        if (i < 3)
            w->fates[w->n_results][i] = r->fates[i];
    }
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
    for (int i = 0; i < 50; i++)
        send_to(&w, "name", "hook@example.org", "a@example.org", MESSAGE);
    wait_for(&w, 50);
    for (int i = 0; i < 50; i++)
        expect(w.results[i], SH_MAIL_SENT, "250");
    assert_int_equal(count_files(w.folder, ".eml"), 50);
    assert_string_equal(file(&w, "connections"), "2"); /* in all, with those that sent nothing */
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

/* One message to a@, second@ and third@example.org. */
static struct sh_mail_result send_three(struct world *w)
{
    static const char *const to[] = {"a@example.org", "second@example.org", "third@example.org"};
    w->n_results = 0;
    sh_mailer_send(w->mailer, "name", "hook@example.org", to, 3, sh_slice_str(MESSAGE), on_done, w);
    wait_for(w, 1);
    return w->results[0];
}

static void temporary_answers_are_told_from_final_ones(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        int verdict, code;
        const char *text, *fates; /* of the two: s, l, r */
    } cases[] = {
        {"--refuse|rcpt:450 4.2.0 greylisted, come back later", SH_MAIL_TEMPORARY, 450,
         "RCPT TO:<second@example.org>: 450 4.2.0 greylisted, come back later", "ll"},
        {"--refuse|rcpt:550 5.1.1 no such user", SH_MAIL_PERMANENT, 550,
         "RCPT TO:<second@example.org>: 550 5.1.1 no such user", "rr"},
        {"--refuse|rcpt:530 5.7.0 authentication required", SH_MAIL_TEMPORARY, 530, "530", "ll"},
        {"--refuse|mail:553 not you", SH_MAIL_PERMANENT, 553, "MAIL FROM:<hook@example.org>", "rr"},
        {"--refuse|mail:451 not now", SH_MAIL_TEMPORARY, 451, "451 not now", "ll"},
        {"--refuse|mail:421 closing", SH_MAIL_DOWN, 421, "421 closing", "ll"},
        {"--refuse|mail:530 5.7.0 authentication required", SH_MAIL_DOWN, 530, "530 5.7.0", "ll"},
        {"--refuse|data:554 5.6.0 spam", SH_MAIL_PERMANENT, 554, "message: 554 5.6.0 spam", "rr"},
        {"--refuse|data:452 4.3.1 disk full", SH_MAIL_TEMPORARY, 452,
         "message: 452 4.3.1 disk full", "ll"},
        {"--refuse|data:421 4.3.0 later", SH_MAIL_TEMPORARY, 421, "message: 421 4.3.0 later", "ll"},
        {"--greeting|421 too busy", SH_MAIL_DOWN, 421, "421", "ll"},
        {"--greeting|554 not you", SH_MAIL_DOWN, 554, "554", "ll"},
        {"--drop|connect", SH_MAIL_DOWN, 0, "", "ll"},
        {"--drop|ehlo", SH_MAIL_DOWN, 0, "", "ll"},
        {"--drop|mail", SH_MAIL_DOWN, 0, "", "ll"},
        {"--drop|rcpt", SH_MAIL_TEMPORARY, 0, "", "ll"},
        {"--drop|data", SH_MAIL_TEMPORARY, 0, "", "ll"},
        {"--drop|body", SH_MAIL_TEMPORARY, 0, "the server may have taken it", "ll"},
        {"--drop-after-data|1", SH_MAIL_TEMPORARY, 0, "the server may have taken it", "ll"},
        {"--slow|5", SH_MAIL_TEMPORARY, 0, "the server may have taken it", "ll"},
        {"--slow-greeting|5", SH_MAIL_DOWN, 0, "imed out", "ll"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct world w;
        open_world(&w);
        bool slow = strstr(cases[i].options, "--slow") != NULL;
        start_server(&w, cases[i].options);
        make_mailer(&w,
                    &(struct sh_mailer_config){.smtp = w.url, .timeout_ms = slow ? 700 : 10000});
        int64_t began = sh_mono_us();
        struct sh_mail_result r = send_one(&w, MESSAGE);
        expect(r, cases[i].verdict, cases[i].text);
        if (r.code != cases[i].code)
            fail_msg("%s: code %d", cases[i].options, r.code);
        for (size_t k = 0; k < 2; k++)
            assert_int_equal("?slr"[w.fates[0][k].state], cases[i].fates[k]);
        assert_true(!slow || sh_mono_us() - began < 3000000);
        close_world(&w);
    }
}

static void each_recipient_has_a_fate_of_its_own(void **state)
{
    (void)state;
    static const struct {
        const char *options, *fates;
        int verdict, code;
        const char *answers[3];
    } cases[] = {
        {"--rcpt|second@example.org=550 5.1.1 no such user",
         "srs",
         SH_MAIL_PERMANENT,
         550,
         {"250 OK: kept as 0001", "550 5.1.1 no such user", "250 OK: kept as 0001"}},
        {"--rcpt|a@example.org=450 4.2.0 greylisted",
         "lss",
         SH_MAIL_TEMPORARY,
         450,
         {"450 4.2.0 greylisted", "250 OK", "250 OK"}},
        {"--rcpt|third@example.org=450 later|--rcpt|a@example.org=550 never",
         "rsl",
         SH_MAIL_TEMPORARY,
         450,
         {"550 never", "250 OK", "450 later"}},
        {"--rcpt|third@example.org=552 too many recipients",
         "ssl",
         SH_MAIL_TEMPORARY,
         552,
         {"250", "250", "552 too many"}},
        {"--rcpt|a@example.org=552 5.2.2 over quota",
         "rss",
         SH_MAIL_PERMANENT,
         552,
         {"552 5.2.2", "250", "250"}},
        {"--rcpt|a@example.org=550 never|--refuse|data:554 spam",
         "rrr",
         SH_MAIL_PERMANENT,
         550,
         {"550 never", "message: 554 spam", "message: 554 spam"}},
        {"--rcpt|a@example.org=550 never|--refuse|data:451 busy",
         "rll",
         SH_MAIL_TEMPORARY,
         451,
         {"550 never", "message: 451 busy", "message: 451 busy"}},
        {"--rcpt|a@example.org=550 never|--drop|body",
         "rll",
         SH_MAIL_TEMPORARY,
         0,
         {"550 never", "no answer after", "no answer after"}},
        {"--rcpt|a@example.org=550 never|--drop|data",
         "rll",
         SH_MAIL_TEMPORARY,
         0,
         {"550 never", "", ""}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct world w;
        open_world(&w);
        start_server(&w, cases[i].options);
        smtp_mailer(&w);
        struct sh_mail_result r = send_three(&w);
        expect(r, cases[i].verdict, "");
        assert_int_equal(r.code, cases[i].code);
        assert_int_equal(r.n, 3);
        for (size_t k = 0; k < 3; k++) {
            const struct sh_mail_fate *f = &w.fates[0][k];
            if ("?slr"[f->state] != cases[i].fates[k] || !strstr(f->answer, cases[i].answers[k]))
                fail_msg("%s: recipient %zu: %d \"%s\"", cases[i].options, k, (int)f->state,
                         f->answer);
        }
        bool taken = strchr(cases[i].fates, 's') != NULL;
        assert_int_equal(count_files(w.folder, ".eml"), taken);
        for (size_t k = 0; taken && k < 3; k++) {
            static const char *const names[] = {"\"a@", "\"second@", "\"third@"};
            assert_int_equal(strstr(file(&w, "0001.json"), names[k]) != NULL,
                             cases[i].fates[k] == 's');
        }
        close_world(&w);
    }
}

static void a_refused_recipient_does_not_spoil_the_next_message(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    start_server(&w, "--rcpt|second@example.org=550 no*1");
    smtp_mailer(&w);
    expect(send_three(&w), SH_MAIL_PERMANENT, "250");
    expect(send_three(&w), SH_MAIL_SENT, "250");
    assert_string_equal(file(&w, "connections"), "1");
    close_world(&w);
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

static void a_server_that_is_away_is_down(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    start_server(&w, "");
    smtp_mailer(&w);
    stop_server(&w);
    expect(send_one(&w, MESSAGE), SH_MAIL_DOWN, "onnect");
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
    expect(r, SH_MAIL_DOWN, "535");
    assert_null(strstr(r.detail, "wr0ng-word"));
    assert_null(strstr(r.detail, "AHdyMG5n")); /* how it starts in base64 */

    config.password = "s3cret-word";
    config.ca_file = NULL; /* the system does not know this certificate */
    make_mailer(&w, &config);
    expect(send_one(&w, MESSAGE), SH_MAIL_DOWN, "certificate");
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
    expect(send_one(&w, MESSAGE), SH_MAIL_DOWN, "STARTTLS");
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
    expect(send_one(&w, MESSAGE), SH_MAIL_DOWN, "cannot write");
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
        cmocka_unit_test(each_recipient_has_a_fate_of_its_own),
        cmocka_unit_test(a_refused_recipient_does_not_spoil_the_next_message),
        cmocka_unit_test(the_loop_goes_on_meanwhile),
        cmocka_unit_test(a_server_that_is_away_is_down),
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
