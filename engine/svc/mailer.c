/* SPDX-License-Identifier: MIT
 * mailer.c: checks what is sent and chooses the way it leaves. */
#include "svc/mailer_way.h"

#include "base/utf8.h"
#include "svc/loop.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

struct sh_mailer {
    struct sh_mail_way way;
    struct sh_mail_queue refused; /* answered from the timer: never from within the call */
    struct sh_timer *timer;
};

void sh_mail_free(struct sh_mail *mail)
{
    if (!mail)
        return;
    for (size_t i = 0; i < mail->n_to; i++)
        free(mail->to[i]);
    free(mail->to);
    free(mail->fates);
    free(mail->name);
    free(mail->from);
    free(mail->text);
    free(mail);
}

void sh_mail_push(struct sh_mail_queue *q, struct sh_mail *mail)
{
    mail->next = NULL;
    if (q->first)
        q->last->next = mail;
    else
        q->first = mail;
    q->last = mail;
}

struct sh_mail *sh_mail_pop(struct sh_mail_queue *q)
{
    struct sh_mail *mail = q->first;
    if (mail)
        q->first = mail->next;
    return mail;
}

void sh_mail_drop(struct sh_mail_queue *q)
{
    struct sh_mail *mail;
    while ((mail = sh_mail_pop(q)))
        sh_mail_free(mail);
}

/* Cut to fit, and still a text: a path may be anything. */
static void copy_answer(struct sh_mail_fate *f, const char *answer)
{
    snprintf(f->answer, sizeof(f->answer), "%s", answer);
    if (sh_utf8_ok(sh_slice_str(f->answer)))
        return;
    for (char *p = f->answer; *p; p++)
        *p = (unsigned char)*p > 0x7e ? '?' : *p;
}

void sh_mail_settle(struct sh_mail *mail, enum sh_mail_to state, int code, const char *answer)
{
    struct sh_mail_result *r = &mail->result;
    r->verdict = SH_MAIL_SENT;
    for (size_t i = 0; i < mail->n_to; i++) {
        struct sh_mail_fate *f = &mail->fates[i];
        if (!f->state) {
            f->state = state;
            f->code = code;
            copy_answer(f, answer);
        }
        if (f->state == SH_MAIL_TO_LATER && r->verdict != SH_MAIL_TEMPORARY)
            r->verdict = SH_MAIL_TEMPORARY, r->code = f->code;
        else if (f->state == SH_MAIL_TO_REFUSED && r->verdict == SH_MAIL_SENT)
            r->verdict = SH_MAIL_PERMANENT, r->code = f->code;
    }
    if (r->verdict == SH_MAIL_SENT)
        r->code = code;
    r->fates = mail->fates;
    r->n = mail->n_to;
}

static void finished(void *arg, struct sh_mail *mail)
{
    (void)arg;
    mail->done(mail->arg, &mail->result);
    sh_mail_free(mail);
}

static void answer_refused(void *arg)
{
    struct sh_mailer *m = arg;
    struct sh_mail_queue now = m->refused;
    m->refused = (struct sh_mail_queue){0}; /* done() may send, and be refused, again */
    struct sh_mail *mail;
    while ((mail = sh_mail_pop(&now)))
        finished(m, mail);
}

struct sh_mailer *sh_mailer_new(struct event_base *base, const struct sh_mailer_config *config,
                                struct sh_error *err)
{
    struct sh_mailer *m = sh_alloc(1, sizeof(*m));
    bool ok = config->smtp ? sh_mail_way_smtp(&m->way, base, config, finished, m, err)
                           : sh_mail_way_file(&m->way, base, config, finished, m, err);
    if (!ok) {
        free(m);
        return NULL;
    }
    m->timer = sh_timer_new(base, answer_refused, m);
    return m;
}

/* The last check before the wire: libcurl 7.88 sends an address as it is, so that CR LF in it
 * would be a command of its own, and bare line ends in a message can end it early for a lax server
 * (SMTP smuggling, CVE-2023-51764). */
static bool address_safe(const char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)s[i] < 0x21 || (unsigned char)s[i] > 0x7e || s[i] == '<' || s[i] == '>')
            return false;
    }
    return n > 0 && n <= 254;
}

static bool lines_safe(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\r' && i + 1 < n && p[i + 1] == '\n')
            i++;
        else if (p[i] == '\r' || p[i] == '\n')
            return false;
    }
    return true;
}

static bool name_safe(const char *s)
{
    if (!*s || *s == '.' || strlen(s) > 200)
        return false;
    return s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")] == 0;
}

static const char *fault_of(const struct sh_mail *mail)
{
    if (!name_safe(mail->name))
        return "the message's name is not a plain file name";
    if (!mail->n_to)
        return "there is no recipient";
    if (!address_safe(mail->from))
        return "the sender's address is not safe to send";
    for (size_t i = 0; i < mail->n_to; i++) {
        if (!address_safe(mail->to[i]))
            return "a recipient's address is not safe to send";
    }
    return lines_safe(mail->text, mail->len) ? NULL : "the message has a bare CR or LF";
}

void sh_mailer_send(struct sh_mailer *m, const char *name, const char *from,
                    const char *const *recipients, size_t n, struct sh_slice message,
                    sh_mail_fn *done, void *arg)
{
    struct sh_mail *mail = sh_alloc(1, sizeof(*mail));
    mail->name = sh_strdup(name);
    mail->from = sh_strdup(from);
    mail->to = sh_alloc(n, sizeof(*mail->to));
    for (; mail->n_to < n; mail->n_to++)
        mail->to[mail->n_to] = sh_strdup(recipients[mail->n_to]);
    mail->fates = sh_alloc(n, sizeof(*mail->fates));
    mail->text = sh_slice_dup(message);
    mail->len = message.n;
    mail->done = done;
    mail->arg = arg;
    const char *fault = fault_of(mail);
    if (!fault) {
        m->way.take(m->way.self, mail);
        return;
    }
    snprintf(mail->result.detail, sizeof(mail->result.detail), "not sent: %s", fault);
    sh_mail_settle(mail, SH_MAIL_TO_REFUSED, 0, mail->result.detail);
    mail->result.verdict = SH_MAIL_PERMANENT; /* also without a recipient */
    sh_mail_push(&m->refused, mail);
    sh_timer_set(m->timer, 0);
}

void sh_mailer_free(struct sh_mailer *m)
{
    if (!m)
        return;
    m->way.free(m->way.self);
    sh_timer_free(m->timer);
    sh_mail_drop(&m->refused);
    free(m);
}
