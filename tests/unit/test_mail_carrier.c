/* SPDX-License-Identifier: MIT
 * test_mail_carrier.c: outbox items to message files, and items that are no message. */
#include "app/mail_carrier.h"

#include "svc/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct world {
    struct event_base *base;
    struct sh_mail_carrier *carrier;
    char data[64];
    struct sh_attempt last;
    int answers, wanted;
};

static void on_done(void *arg, const struct sh_attempt *a)
{
    struct world *w = arg;
    w->last = *a;
    if (++w->answers == w->wanted)
        sh_loop_stop(w->base);
}

static void open_world(struct world *w)
{
    struct sh_error err;
    char from[] = "Hook <hook@example.org>";
    const struct sh_mail_config config = {.from = from, .connections = 2, .timeout_ms = 1000};
    *w = (struct world){.base = sh_loop_new(), .data = "/tmp/switchhook-carrier-XXXXXX"};
    assert_non_null(mkdtemp(w->data));
    w->carrier = sh_mail_carrier_new(w->base, &config, w->data, &err);
    assert_non_null(w->carrier);
}

static void close_world(struct world *w)
{
    char cmd[128];
    sh_mail_carrier_free(w->carrier);
    sh_loop_free(w->base);
    snprintf(cmd, sizeof(cmd), "rm -r '%s'", w->data);
    assert_int_equal(system(cmd), 0);
}

static void start(struct world *w, char *payload)
{
    static char id[] = "email-1", kind[] = "email", key[] = "0123abcd", event[] = "e", rule[] = "r";
    const struct sh_outbox_item item = {.id = id,
                                        .kind = kind,
                                        .key = key,
                                        .event_id = event,
                                        .rule = rule,
                                        .payload = payload,
                                        .created_ms = 1781258661903};
    struct sh_carrier c = sh_mail_carrier_as_carrier(w->carrier);
    assert_string_equal(c.kind, "email");
    int before = w->answers;
    c.start(c.self, &item, on_done, w);
    assert_int_equal(w->answers, before); /* later, never from within */
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
        cmocka_unit_test(what_is_no_message_is_refused_for_good),
        cmocka_unit_test(a_sender_that_is_no_address_is_refused_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
