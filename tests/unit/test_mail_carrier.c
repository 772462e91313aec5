/* SPDX-License-Identifier: MIT
 * test_mail_carrier.c: outbox items to message files and to an SMTP server, what each attempt
 * leaves of the recipients, and items that are no message. */
#include "app/mail_carrier.h"

#include "svc/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smtp_kit.h"

struct world {
    struct event_base *base;
    struct sh_mail_carrier *carrier;
    char data[64];
    struct sh_attempt last; /* its recipients are in the text below */
    char recipients[2000];
    int answers, wanted;
    char folder[72], url[SMTP_URL_BYTES];
    pid_t server;
};

static void on_done(void *arg, const struct sh_attempt *a)
{
    struct world *w = arg;
    w->last = *a;
    if (a->recipients) /* else what is stored stays */
        snprintf(w->recipients, sizeof(w->recipients), "%s", a->recipients);
    if (++w->answers == w->wanted)
        sh_loop_stop(w->base);
}

/* options NULL: files. */
static void open_world_with(struct world *w, const char *options)
{
    struct sh_error err;
    char from[] = "Hook <hook@example.org>";
    struct sh_mail_config config = {.from = from, .connections = 2, .timeout_ms = 10000};
    *w = (struct world){.base = sh_loop_new(), .data = "/tmp/switchhook-carrier-XXXXXX"};
    assert_non_null(mkdtemp(w->data));
    snprintf(w->folder, sizeof(w->folder), "%s/smtp", w->data);
    if (options) {
        w->server = smtp_start(w->folder, options, w->url);
        config.smtp = w->url;
    }
    w->carrier = sh_mail_carrier_new(w->base, &config, w->data, &err);
    assert_non_null(w->carrier);
}

static void open_world(struct world *w)
{
    open_world_with(w, NULL);
}

static void close_world(struct world *w)
{
    char cmd[128];
    sh_mail_carrier_free(w->carrier);
    smtp_stop(w->server);
    sh_loop_free(w->base);
    snprintf(cmd, sizeof(cmd), "rm -r '%s'", w->data);
    assert_int_equal(system(cmd), 0);
}

static void start_again(struct world *w, char *payload, char *recipients, uint32_t attempts)
{
    static char id[] = "email-1", kind[] = "email", key[] = "0123abcd", event[] = "e", rule[] = "r";
    const struct sh_outbox_item item = {.id = id,
                                        .kind = kind,
                                        .key = key,
                                        .event_id = event,
                                        .rule = rule,
                                        .payload = payload,
                                        .recipients = recipients,
                                        .attempts = attempts,
                                        .created_ms = 1781258661903};
    struct sh_carrier c = sh_mail_carrier_as_carrier(w->carrier);
    assert_string_equal(c.kind, "email");
    int before = w->answers;
    c.start(c.self, &item, on_done, w);
    assert_int_equal(w->answers, before); /* later, never from within */
}

static void start(struct world *w, char *payload)
{
    start_again(w, payload, NULL, 0);
}

/* The next attempt, with what the last one left. */
static void attempt(struct world *w, char *payload, uint32_t attempts)
{
    char before[sizeof(w->recipients)];
    memcpy(before, w->recipients, sizeof(before));
    w->wanted = w->answers + 1;
    start_again(w, payload, before[0] ? before : NULL, attempts);
    sh_loop_run(w->base);
}

static void expect(const struct world *w, int verdict, int status, const char *detail)
{
    if ((int)w->last.verdict != verdict || w->last.status != status ||
        !strstr(w->last.detail, detail))
        fail_msg("verdict %d, status %d, \"%s\"; expected %d, %d, \"%s\"", (int)w->last.verdict,
                 w->last.status, w->last.detail, verdict, status, detail);
}

/* The envelope of message n at the server, and the message. */
static const char *kept(const struct world *w, int n, const char *ext)
{
    static char text[20000];
    char path[160];
    snprintf(path, sizeof(path), "%s/%04d.%s", w->folder, n, ext);
    FILE *f = fopen(path, "rb");
    size_t len = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
    text[len] = '\0';
    if (f)
        fclose(f);
    return text;
}

static void an_item_becomes_one_file_however_often_it_is_sent(void **state)
{
    (void)state;
    struct world w;
    char path[160],
        payload[] = "{\"to\":[\"a@b.c\",\"A <a@b.c>\"],\"subject\":\"s\",\"text\":\"t\"}";
    open_world(&w);
    w.wanted = 3;
    for (int i = 0; i < 3; i++)
        start(&w, payload);
    sh_loop_run(w.base);
    snprintf(path, sizeof(path), "%s/mail/20260612T100421Z-0123abcd.eml", w.data);
    assert_int_equal(w.last.verdict, SH_ATTEMPT_SENT);
    assert_string_equal(w.last.detail, path);
    snprintf(path, sizeof(path), "test $(ls -A '%s/mail' | wc -l) = 1", w.data);
    assert_int_equal(system(path), 0);
    close_world(&w);
}

#define THREE                                                                                      \
    "{\"to\":[\"A <a@b.c>\"],\"cc\":[\"d@e.f\"],\"bcc\":[\"g@h.i\",\"a@b.c\"],\"subject\":\"s\","  \
    "\"text\":\"t\"}"

static void one_of_three_is_refused_and_two_get_it(void **state)
{
    (void)state;
    struct world w;
    char payload[] = THREE;
    open_world_with(&w, "--rcpt|g@h.i=550 5.1.1 no such user");
    attempt(&w, payload, 0);
    expect(&w, SH_ATTEMPT_PERMANENT, 550,
           "1 of 3 recipients refused: g@h.i: 550 5.1.1 no such user");
    assert_string_equal(w.recipients,
                        "{\"a@b.c\":{\"state\":\"sent\",\"answer\":\"250 OK: kept as 0001\"},"
                        "\"d@e.f\":{\"state\":\"sent\",\"answer\":\"250 OK: kept as 0001\"},"
                        "\"g@h.i\":{\"state\":\"refused\",\"answer\":\"550 5.1.1 no such user\"}}");
    assert_non_null(strstr(kept(&w, 1, "json"), "\"to\": [\"a@b.c\", \"d@e.f\"]"));
    assert_null(strstr(kept(&w, 1, "eml"), "g@h.i"));
    close_world(&w);
}

static void those_that_wait_are_tried_again_alone(void **state)
{
    (void)state;
    struct world w;
    char payload[] = THREE, first[20000];
    open_world_with(&w, "--rcpt|a@b.c=450 greylisted*1|--rcpt|d@e.f=550 never*2|"
                        "--rcpt|g@h.i=451 busy*2");
    attempt(&w, payload, 0);
    expect(&w, SH_ATTEMPT_TEMPORARY, 450,
           "2 of 3 recipients not yet: a@b.c: 450 greylisted, g@h.i: 451 busy; "
           "1 of 3 recipients refused: d@e.f: 550 never");
    assert_string_equal(kept(&w, 1, "json"), ""); /* nobody, so no message */
    attempt(&w, payload, 1);
    expect(&w, SH_ATTEMPT_TEMPORARY, 451, "1 of 3 recipients not yet: g@h.i: 451 busy; 1 of 3");
    assert_non_null(strstr(kept(&w, 1, "json"), "\"to\": [\"a@b.c\"]"));
    snprintf(first, sizeof(first), "%s", kept(&w, 1, "eml"));
    attempt(&w, payload, 2);
    expect(&w, SH_ATTEMPT_PERMANENT, 550, "1 of 3 recipients refused: d@e.f: 550 never");
    assert_non_null(strstr(kept(&w, 2, "json"), "\"to\": [\"g@h.i\"]"));
    assert_string_equal(kept(&w, 2, "eml"), first); /* to the byte */
    attempt(&w, payload, 3); /* the verdict was lost: nobody is asked again */
    expect(&w, SH_ATTEMPT_PERMANENT, 550, "1 of 3 recipients refused: d@e.f: 550 never");
    attempt(&w, payload, 0); /* redriven: the refusal is tried again, which still stands */
    expect(&w, SH_ATTEMPT_PERMANENT, 550, "1 of 3 recipients refused: d@e.f: 550 never");
    attempt(&w, payload, 0); /* and no more */
    expect(&w, SH_ATTEMPT_SENT, 250, "250 OK");
    assert_non_null(strstr(kept(&w, 3, "json"), "\"to\": [\"d@e.f\"]"));
    attempt(&w, payload, 1);
    expect(&w, SH_ATTEMPT_SENT, 0, "nobody left");
    assert_string_equal(kept(&w, 4, "json"), "");
    close_world(&w);
}

static void what_hits_all_is_said_once(void **state)
{
    (void)state;
    struct world w;
    char payload[] = THREE;
    open_world_with(&w, "--refuse|data:554 5.6.0 spam");
    attempt(&w, payload, 0);
    expect(&w, SH_ATTEMPT_PERMANENT, 554, "message: 554 5.6.0 spam");
    assert_null(strstr(w.last.detail, "recipients"));
    assert_non_null(strstr(w.recipients, "\"g@h.i\":{\"state\":\"refused\""));
    close_world(&w);
}

static void a_server_that_is_down_costs_no_recipient(void **state)
{
    (void)state;
    struct world w;
    char payload[] = THREE;
    open_world_with(&w, "--rcpt|a@b.c=450 greylisted");
    attempt(&w, payload, 0);
    expect(&w, SH_ATTEMPT_TEMPORARY, 450, "1 of 3 recipients not yet");
    smtp_stop(w.server);
    w.server = 0;
    attempt(&w, payload, 1);
    expect(&w, SH_ATTEMPT_TARGET_DOWN, 0, "onnect");
    assert_null(w.last.recipients); /* what is stored stays */
    close_world(&w);
}

static void what_is_no_message_is_refused_for_good(void **state)
{
    (void)state;
    char payloads[][80] = {"", "[", "{}", "{\"to\":[\"x\"],\"subject\":\"s\",\"text\":\"t\"}",
                           "{\"to\":[\"a@b.c\"],\"subject\":\"a\\nb\",\"text\":\"t\"}"};
    struct world w;
    open_world(&w);
    for (size_t i = 0; i < sizeof(payloads) / sizeof(*payloads); i++) {
        w.wanted = w.answers + 2;
        start(&w, payloads[i]);
        start(&w, payloads[i]);
        sh_loop_run(w.base);
        assert_int_equal(w.last.verdict, SH_ATTEMPT_PERMANENT);
        assert_non_null(strstr(w.last.detail, "not a message: "));
    }
    start(&w, payloads[0]); /* freed unanswered */
    close_world(&w);
}

static void a_sender_that_is_no_address_is_refused_at_the_start(void **state)
{
    (void)state;
    struct sh_error err = {0};
    char from[] = "hook@example.org\r\nBcc: x@y.z";
    const struct sh_mail_config config = {.from = from};
    struct event_base *base = sh_loop_new();
    assert_null(sh_mail_carrier_new(base, &config, "/tmp", &err));
    assert_non_null(strstr(err.msg, "not a mail address"));
    sh_loop_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_becomes_one_file_however_often_it_is_sent),
        cmocka_unit_test(one_of_three_is_refused_and_two_get_it),
        cmocka_unit_test(those_that_wait_are_tried_again_alone),
        cmocka_unit_test(what_hits_all_is_said_once),
        cmocka_unit_test(a_server_that_is_down_costs_no_recipient),
        cmocka_unit_test(what_is_no_message_is_refused_for_good),
        cmocka_unit_test(a_sender_that_is_no_address_is_refused_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
