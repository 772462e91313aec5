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

struct sh_mail_result {
    enum { SH_MAIL_SENT = 1, SH_MAIL_TEMPORARY, SH_MAIL_PERMANENT } verdict;
    char detail[512]; /* SMTP answer, error text, or the file's path; one line, never a password */
};
typedef void sh_mail_fn(void *arg, const struct sh_mail_result *r);

/* NULL and *err: SH_EINVAL for a URL that is not SMTP, a login that would cross a network in clear
 * text, an unreadable ca_file; SH_ESYS when the folder cannot be made. config is copied. */
struct sh_mailer *sh_mailer_new(struct event_base *base, const struct sh_mailer_config *config,
                                struct sh_error *err) SH_WARN_UNUSED;
/* Send message (copied; CR LF lines) from envelope sender `from` to the n recipients (bare
 * addresses, already checked). name: file name without .eml for folders. done(arg) once, later,
 * never from within this call. It may send, but not free the mailer.
 * A 5xx answer to MAIL, RCPT, DATA or the message: PERMANENT. 4xx, connection and time-out, TLS
 * and login: TEMPORARY, since another attempt may find them mended; so is a connection lost after
 * the message went out, when the server may have taken it. */
void sh_mailer_send(struct sh_mailer *m, const char *name, const char *from,
                    const char *const *recipients, size_t n, struct sh_slice message,
                    sh_mail_fn *done, void *arg);
/* Unfinished sends are dropped without done(): connections are cut, files being written finish. */
void sh_mailer_free(struct sh_mailer *m);

#endif
