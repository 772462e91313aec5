/* SPDX-License-Identifier: MIT
 * mail_carrier.c: from an outbox item to a message on its way. */
#include "app/mail_carrier.h"

#include "core/mime.h"
#include "svc/json.h"
#include "svc/loop.h"
#include "svc/mailer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_MESSAGE_BYTES ((size_t)64 << 20)
#define MAX_RECIPIENTS    200 /* to and cc */

/* One item between start() and done(). */
struct errand {
    struct errand *next, **link;
    struct errand *next_refused; /* attempt says why; answered from the timer */
    struct sh_mail_carrier *carrier;
    sh_attempt_fn *done;
    void *done_arg;
    struct sh_attempt attempt;
};

struct sh_mail_carrier {
    struct sh_mailer *mailer;
    struct sh_timer *timer;
    char *from;
    struct sh_address sender;
    struct errand *errands; /* all */
    struct errand *refused; /* of those, the ones that are no message */
};

static void drop(struct errand *e)
{
    *e->link = e->next;
    if (e->next)
        e->next->link = e->link;
    free(e);
}

static void finish(struct errand *e)
{
    struct sh_attempt attempt = e->attempt;
    sh_attempt_fn *done = e->done;
    void *done_arg = e->done_arg;
    drop(e);
    done(done_arg, &attempt);
}

static void on_sent(void *arg, const struct sh_mail_result *r)
{
    struct errand *e = arg;
    e->attempt.verdict = r->verdict == SH_MAIL_SENT        ? SH_ATTEMPT_SENT
                         : r->verdict == SH_MAIL_TEMPORARY ? SH_ATTEMPT_TEMPORARY
                                                           : SH_ATTEMPT_PERMANENT;
    snprintf(e->attempt.detail, sizeof(e->attempt.detail), "%s", r->detail);
    finish(e);
}

static void answer_refused(void *arg)
{
    struct sh_mail_carrier *c = arg;
    while (c->refused) {
        struct errand *e = c->refused;
        c->refused = e->next_refused;
        finish(e);
    }
}

/* The list's addresses that are not among the n before. */
static size_t add_recipients(const cJSON *list, char **to, size_t n)
{
    const cJSON *node;
    cJSON_ArrayForEach(node, list)
    {
        struct sh_address a;
        if (n >= MAX_RECIPIENTS || !sh_address_parse(sh_slice_str(node->valuestring), &a, NULL))
            continue; /* neither happens after sh_email_build() */
        size_t i = 0;
        while (i < n && strcmp(to[i], a.addr) != 0)
            i++;
        if (i == n)
            to[n++] = sh_strdup(a.addr);
    }
    return n;
}

/* "20260612T100421Z-<key>": the same for every attempt, so that a repeat replaces the file. */
static void file_name(const struct sh_outbox_item *item, char *out, size_t size)
{
    time_t t = (time_t)(item->created_ms / 1000);
    struct tm tm;
    char stamp[32] = "0";
    if (gmtime_r(&t, &tm))
        strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
    snprintf(out, size, "%s-%s", stamp, item->key);
}

static void hand_over(struct errand *e, const struct sh_outbox_item *item, const cJSON *doc,
                      const struct sh_buf *message)
{
    char *to[MAX_RECIPIENTS], name[160];
    size_t n = add_recipients(cJSON_GetObjectItemCaseSensitive(doc, "to"), to, 0);
    n = add_recipients(cJSON_GetObjectItemCaseSensitive(doc, "cc"), to, n);
    file_name(item, name, sizeof(name));
    sh_mailer_send(e->carrier->mailer, name, e->carrier->sender.addr, (const char *const *)to, n,
                   sh_slice(message->data, message->len), on_sent, e);
    while (n)
        free(to[--n]);
}

static void start(void *self, const struct sh_outbox_item *item, sh_attempt_fn *done,
                  void *done_arg)
{
    struct sh_mail_carrier *c = self;
    struct errand *e = sh_alloc(1, sizeof(*e));
    *e = (struct errand){
        .next = c->errands, .link = &c->errands, .carrier = c, .done = done, .done_arg = done_arg};
    if (e->next)
        e->next->link = &e->next;
    c->errands = e;
    struct sh_buf message;
    struct sh_error err;
    sh_buf_init(&message, MAX_MESSAGE_BYTES);
    cJSON *doc = sh_json_parse(item->payload, strlen(item->payload), &err);
    if (doc && sh_email_build(doc, c->from, item->key, item->created_ms, &message, &err)) {
        hand_over(e, item, doc, &message);
    } else {
        e->next_refused = c->refused;
        c->refused = e;
        e->attempt.verdict = SH_ATTEMPT_PERMANENT;
        snprintf(e->attempt.detail, sizeof(e->attempt.detail), "not a message: %.480s", err.msg);
        sh_timer_set(c->timer, 0);
    }
    cJSON_Delete(doc);
    sh_buf_free(&message);
}

struct sh_mail_carrier *sh_mail_carrier_new(struct event_base *base,
                                            const struct sh_mail_config *config, const char *data,
                                            struct sh_error *err)
{
    struct sh_mail_carrier *c = sh_alloc(1, sizeof(*c));
    char *folder = sh_strf("%s/mail", data);
    const struct sh_mailer_config mailer = {
        .smtp = config->smtp,
        .folder = folder,
        .username = config->username,
        .password = config->password,
        .ca_file = config->ca_file,
        .require_tls = config->require_tls,
        .timeout_ms = config->timeout_ms,
        .connections = config->connections,
    };
    c->from = sh_strdup(config->from ? config->from : "");
    if (sh_address_parse(sh_slice_str(c->from), &c->sender, err))
        c->mailer = sh_mailer_new(base, &mailer, err);
    free(folder);
    if (!c->mailer) {
        free(c->from);
        free(c);
        return NULL;
    }
    c->timer = sh_timer_new(base, answer_refused, c);
    return c;
}

struct sh_carrier sh_mail_carrier_as_carrier(struct sh_mail_carrier *c)
{
    return (struct sh_carrier){.kind = "email", .self = c, .start = start};
}

void sh_mail_carrier_free(struct sh_mail_carrier *c)
{
    if (!c)
        return;
    sh_mailer_free(c->mailer);
    while (c->errands) {
        struct errand *e = c->errands;
        c->errands = e->next;
        free(e);
    }
    sh_timer_free(c->timer);
    free(c->from);
    free(c);
}
