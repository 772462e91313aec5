/* SPDX-License-Identifier: MIT
 * mailer_way.h: between mailer.c and its two ways out, SMTP and files. Not for others. */
#ifndef SH_SVC_MAILER_WAY_H
#define SH_SVC_MAILER_WAY_H

#include "svc/mailer.h"

/* One message on its way. */
struct sh_mail {
    struct sh_mail *next;
    char *name, *from; /* owned, as are the recipients */
    char **to;         /* n_to */
    size_t n_to;
    char *text;
    size_t len;
    sh_mail_fn *done;
    void *arg;
    struct sh_mail_fate *fates; /* n_to; state 0 = not known yet */
    struct sh_mail_result result;
};
/* Everyone whose fate is open shares this one, and the result's verdict follows from all fates. */
void sh_mail_settle(struct sh_mail *mail, enum sh_mail_to state, int code, const char *answer);
void sh_mail_free(struct sh_mail *mail); /* this one, not what follows it */

struct sh_mail_queue {
    struct sh_mail *first, *last; /* last is valid only while first is set */
};
void sh_mail_push(struct sh_mail_queue *q, struct sh_mail *mail);
struct sh_mail *sh_mail_pop(struct sh_mail_queue *q); /* NULL when empty */
void sh_mail_drop(struct sh_mail_queue *q);           /* frees all */

/* A way out takes mails from the loop thread and calls finished(arg, mail) there, later; the mail
 * goes back with it. free() drops what it holds. */
typedef void sh_mail_finished_fn(void *arg, struct sh_mail *mail);
struct sh_mail_way {
    void *self;
    void (*take)(void *self, struct sh_mail *mail);
    void (*free)(void *self);
};
bool sh_mail_way_smtp(struct sh_mail_way *way, struct event_base *base,
                      const struct sh_mailer_config *config, sh_mail_finished_fn *finished,
                      void *arg, struct sh_error *err) SH_WARN_UNUSED;
bool sh_mail_way_file(struct sh_mail_way *way, struct event_base *base,
                      const struct sh_mailer_config *config, sh_mail_finished_fn *finished,
                      void *arg, struct sh_error *err) SH_WARN_UNUSED;

#endif
