/* SPDX-License-Identifier: MIT
 * mailer.h: hand a finished message to an SMTP server (libcurl, in threads of its own: it waits in
 * place for some answers) or to a folder (a thread: write, fsync, rename). Called on the loop
 * thread, and calls back there. */
#ifndef SH_SVC_MAILER_H
#define SH_SVC_MAILER_H

#include "base/buf.h"

struct event_base;
struct sh_mailer;

struct sh_mailer_config {
    const char *smtp;   /* URL, smtp://host[:port] or smtps://..., or NULL: files */
    const char *folder; /* for files; created */
    const char *username, *password, *ca_file; /* NULL: no login; the system's certificates */
    bool require_tls; /* with smtp://: STARTTLS or nothing. Certificates are always verified */
    long timeout_ms;  /* of one message, from its start; 0 = 60000 */
    long connections; /* messages on their way at once, the others wait; 0 = 4, at most 64 */
};

/* What became of one recipient. */
enum sh_mail_to {
    SH_MAIL_TO_SENT = 1, /* the server took the message for this one */
    SH_MAIL_TO_LATER,    /* not, but it may another time */
    SH_MAIL_TO_REFUSED   /* not, and never will */
};
struct sh_mail_fate {
    enum sh_mail_to state;
    int code;         /* SMTP reply code, 0 = none */
    char answer[200]; /* the server's answer to this recipient or to the message; or the error */
};

struct sh_mail_result {
    enum {
        SH_MAIL_SENT = 1,  /* to all */
        SH_MAIL_TEMPORARY, /* at least one later */
        SH_MAIL_PERMANENT, /* none later, at least one refused */
        SH_MAIL_DOWN       /* the server itself does not answer, or takes nothing from us */
    } verdict;
    int code;         /* SMTP reply code that decided, 0 = none */
    char detail[512]; /* of the message as a whole: SMTP answer, error text, or the file's path; one
                         line, never a password */
    const struct sh_mail_fate *fates; /* of each recipient as given; borrowed until done returns */
    size_t n;
};
typedef void sh_mail_fn(void *arg, const struct sh_mail_result *r);

/* NULL and *err: SH_EINVAL for a URL that is not SMTP, a login that would cross a network in clear
 * text, an unreadable ca_file; SH_ESYS when the folder cannot be made. config is copied. */
struct sh_mailer *sh_mailer_new(struct event_base *base, const struct sh_mailer_config *config,
                                struct sh_error *err) SH_WARN_UNUSED;
/* Send message (copied; CR LF lines) from envelope sender `from` to the n recipients (bare
 * addresses, already checked). name: file name without .eml for folders. done(arg) once, later,
 * never from within this call. It may send, but not free the mailer.
 * The message goes to those whose address the server accepts, whatever it says to the others. A 5xx
 * answer to RCPT refuses that recipient (552 behind an accepted one is "too many", later), one to
 * MAIL, DATA or the message all that were left. 4xx, a time-out or a lost connection: later; that
 * is so too when it was lost after the message went out, and the server may have taken it. Before
 * MAIL was answered (no connection, TLS, login, 421, 530), or when a file cannot be written: DOWN.
 */
void sh_mailer_send(struct sh_mailer *m, const char *name, const char *from,
                    const char *const *recipients, size_t n, struct sh_slice message,
                    sh_mail_fn *done, void *arg);
/* Unfinished sends are dropped without done(): connections are cut, files being written finish. */
void sh_mailer_free(struct sh_mailer *m);

#endif
