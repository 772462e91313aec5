/* SPDX-License-Identifier: MIT
 * mailer.h: hand a finished message to an SMTP server (libcurl multi interface on the loop) or to
 * a folder (a thread of its own: write, fsync, rename). On the loop thread; callbacks too. */
#ifndef SH_SVC_MAILER_H
#define SH_SVC_MAILER_H

#include "base/buf.h"

struct event_base;
struct sh_mailer;

struct sh_mailer_config {
    const char *smtp;   /* URL, or NULL: files */
    const char *folder; /* for files; created */
    const char *username, *password, *ca_file;
    bool require_tls;
    long timeout_ms;
};

struct sh_mail_result {
    enum { SH_MAIL_SENT = 1, SH_MAIL_TEMPORARY, SH_MAIL_PERMANENT } verdict;
    char detail[512]; /* SMTP answer, error text, or the file's path */
};
typedef void sh_mail_fn(void *arg, const struct sh_mail_result *r);

struct sh_mailer *sh_mailer_new(struct event_base *base, const struct sh_mailer_config *config,
                                struct sh_error *err) SH_WARN_UNUSED;
/* Send message (copied; CR LF lines) from envelope sender `from` to the n recipients (bare
 * addresses, already checked). name: file name without .eml for folders. done(arg) once, later.
 * 4xx, connection and time-out: TEMPORARY; 5xx: PERMANENT. */
void sh_mailer_send(struct sh_mailer *m, const char *name, const char *from,
                    const char *const *recipients, size_t n, struct sh_slice message,
                    sh_mail_fn *done, void *arg);
void sh_mailer_free(struct sh_mailer *m); /* unfinished sends are dropped without done() */

#endif
