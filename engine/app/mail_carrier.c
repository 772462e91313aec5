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
#define MAX_NAMED         3 /* recipients of an error text */

/* One item between start() and done(). */
struct errand {
    struct errand *next, **link;
    struct errand *next_refused; /* attempt says why; answered from the timer */
    struct sh_mail_carrier *carrier;
    sh_attempt_fn *done;
    void *done_arg;
    struct sh_attempt attempt;
    char **to; /* all recipients, n_to */
    size_t n_to;
    size_t *asked; /* places in to of those this attempt is for, n_asked */
    size_t n_asked;
    cJSON *fates;     /* attempt.recipients, as far as it is known */
    char *fates_text; /* the same as text */
};

struct sh_mail_carrier {
    struct sh_mailer *mailer;
    struct sh_timer *timer;
    char *from;
    struct sh_address sender;
    struct errand *errands; /* all */
    struct errand *refused; /* of those, the ones that are no message */
};

static void free_errand(struct errand *e)
{
    for (size_t i = 0; i < e->n_to; i++)
        free(e->to[i]);
    free(e->to);
    free(e->asked);
    cJSON_Delete(e->fates);
    free(e->fates_text);
    free(e);
}

static void finish(struct errand *e)
{
    *e->link = e->next;
    if (e->next)
        e->next->link = e->link;
    e->done(e->done_arg, &e->attempt);
    free_errand(e);
}

/* --- What became of whom ------------------------------------------------------------------- */

static const char *state_of(const struct errand *e, size_t i)
{
    const char *state = sh_json_string(sh_json_member(e->fates, e->to[i]), "state");
    return state ? state : "";
}

static size_t count(const struct errand *e, const char *state)
{
    size_t n = 0;
    for (size_t i = 0; i < e->n_to; i++)
        n += strcmp(state_of(e, i), state) == 0;
    return n;
}

static void note_fate(struct errand *e, const char *addr, const struct sh_mail_fate *f)
{
    cJSON *fate = cJSON_CreateObject();
    cJSON_AddStringToObject(fate, "state",
                            f->state == SH_MAIL_TO_SENT    ? "sent"
                            : f->state == SH_MAIL_TO_LATER ? "later"
                                                           : "refused");
    cJSON_AddStringToObject(fate, "answer", f->answer);
    cJSON_DeleteItemFromObjectCaseSensitive(e->fates, addr);
    cJSON_AddItemToObject(e->fates, addr, fate);
}

/* "2 of 3 recipients refused: a@b: 550 .., c@d: 550 ..", as far as it fits. */
static void list_state(const struct errand *e, const char *state, const char *what,
                       struct sh_buf *out)
{
    size_t n = count(e, state), named = 0;
    sh_buf_addf(out, "%s%zu of %zu recipients %s:", out->len ? "; " : "", n, e->n_to, what);
    for (size_t i = 0; i < e->n_to; i++) {
        if (strcmp(state_of(e, i), state) != 0)
            continue;
        if (named == MAX_NAMED) {
            sh_buf_adds(out, ", ..");
            break;
        }
        const char *answer = sh_json_string(sh_json_member(e->fates, e->to[i]), "answer");
        sh_buf_addf(out, "%s %.100s: %.100s", named++ ? "," : "", e->to[i], answer ? answer : "");
    }
}

/* The reply code of the first that an earlier attempt left refused, 0 if it was not an answer. */
static int old_status(const struct errand *e)
{
    for (size_t i = 0; i < e->n_to; i++) {
        const char *answer = sh_json_string(sh_json_member(e->fates, e->to[i]), "answer");
        if (answer && strcmp(state_of(e, i), "refused") == 0)
            return (int)strtol(answer, NULL, 10);
    }
    return 0;
}

/* Those of this attempt, and those of the ones before. */
static void sum_up(struct errand *e, const struct sh_mail_result *r)
{
    struct sh_attempt *a = &e->attempt;
    size_t later = count(e, "later"), refused = count(e, "refused");
    a->verdict = later ? SH_ATTEMPT_TEMPORARY : refused ? SH_ATTEMPT_PERMANENT : SH_ATTEMPT_SENT;
    if (e->n_to <= 1 || (!later && !refused))
        return; /* the detail of the message says it all */
    if (a->verdict == SH_ATTEMPT_PERMANENT && r->verdict != SH_MAIL_PERMANENT)
        a->status = old_status(e);
    bool same = later + refused == r->n && r->n == e->n_to; /* nobody's own answer */
    for (size_t i = 0; i < r->n; i++)
        same = same && strcmp(r->fates[i].answer, r->fates[0].answer) == 0 &&
               strncmp(r->fates[i].answer, r->detail, sizeof(r->fates[i].answer) - 1) == 0;
    if (same)
        return;
    struct sh_buf text;
    sh_buf_init(&text, 4096);
    if (later)
        list_state(e, "later", "not yet", &text);
    if (refused)
        list_state(e, "refused", "refused", &text);
    snprintf(a->detail, sizeof(a->detail), "%s", text.data);
    sh_buf_free(&text);
}

static void on_sent(void *arg, const struct sh_mail_result *r)
{
    struct errand *e = arg;
    struct sh_attempt *a = &e->attempt;
    snprintf(a->detail, sizeof(a->detail), "%s", r->detail);
    a->status = r->code;
    if (r->verdict == SH_MAIL_DOWN) {
        a->verdict = SH_ATTEMPT_TARGET_DOWN; /* nobody was asked: recipients as they were */
        finish(e);
        return;
    }
    for (size_t i = 0; i < r->n && i < e->n_asked; i++)
        note_fate(e, e->to[e->asked[i]], &r->fates[i]);
    sum_up(e, r);
    e->fates_text = cJSON_PrintUnformatted(e->fates);
    a->recipients = e->fates_text;
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

/* The list's addresses that are not among those before. */
static void add_recipients(struct errand *e, const cJSON *list)
{
    const cJSON *node;
    cJSON_ArrayForEach(node, list)
    {
        struct sh_address a;
        if (e->n_to >= SH_EMAIL_MAX_RECIPIENTS ||
            !sh_address_parse(sh_slice_str(node->valuestring), &a, NULL))
            continue; /* neither happens after sh_email_build() */
        size_t i = 0;
        while (i < e->n_to && strcmp(e->to[i], a.addr) != 0)
            i++;
        if (i == e->n_to)
            e->to[e->n_to++] = sh_strdup(a.addr);
    }
}

/* Who is still to be asked. What earlier attempts left counts: nobody gets the message twice, and
 * a refusal is final, until a redrive starts the attempts from 0. */
static void choose_recipients(struct errand *e, const struct sh_outbox_item *item, const cJSON *doc)
{
    e->to = sh_alloc(SH_EMAIL_MAX_RECIPIENTS, sizeof(*e->to));
    add_recipients(e, sh_json_member(doc, "to"));
    add_recipients(e, sh_json_member(doc, "cc"));
    add_recipients(e, sh_json_member(doc, "bcc"));
    e->asked = sh_alloc(e->n_to, sizeof(*e->asked));
    const char *before = item->recipients;
    e->fates = before ? sh_json_parse(before, strlen(before), NULL) : NULL;
    if (!cJSON_IsObject(e->fates)) {
        cJSON_Delete(e->fates);
        e->fates = cJSON_CreateObject();
    }
    for (size_t i = 0; i < e->n_to; i++) {
        const char *state = state_of(e, i);
        if (strcmp(state, "sent") != 0 && (strcmp(state, "refused") != 0 || !item->attempts))
            e->asked[e->n_asked++] = i;
    }
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

static void answer_later(struct errand *e)
{
    e->next_refused = e->carrier->refused;
    e->carrier->refused = e;
    sh_timer_set(e->carrier->timer, 0);
}

static void hand_over(struct errand *e, const struct sh_outbox_item *item, const cJSON *doc,
                      const struct sh_buf *message)
{
    const char *to[SH_EMAIL_MAX_RECIPIENTS];
    char name[160];
    choose_recipients(e, item, doc);
    if (!e->n_asked) { /* all was said before, and the last verdict was lost */
        snprintf(e->attempt.detail, sizeof(e->attempt.detail), "nobody left to send to");
        sum_up(e, &(struct sh_mail_result){0});
        answer_later(e);
        return;
    }
    for (size_t i = 0; i < e->n_asked; i++)
        to[i] = e->to[e->asked[i]];
    file_name(item, name, sizeof(name));
    sh_mailer_send(e->carrier->mailer, name, e->carrier->sender.addr, to, e->n_asked,
                   sh_slice(message->data, message->len), on_sent, e);
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
        e->attempt.verdict = SH_ATTEMPT_PERMANENT;
        snprintf(e->attempt.detail, sizeof(e->attempt.detail), "not a message: %.480s", err.msg);
        answer_later(e);
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
        free_errand(e);
    }
    sh_timer_free(c->timer);
    free(c->from);
    free(c);
}
