/* SPDX-License-Identifier: MIT
 * http_ask.h: one HTTP request and its answer, waited for: for commands, never on the loop (curl).
 */
#ifndef SH_SVC_HTTP_ASK_H
#define SH_SVC_HTTP_ASK_H

#include "base/buf.h"

struct sh_http_ask {    /* texts borrowed; NULL = none */
    const char *socket; /* path of a Unix socket; NULL: the host of the url */
    const char *method, *url;
    const char *body;    /* sent as application/json */
    const char *bearer;  /* Authorization: Bearer; the url's host alone gets it */
    const char *ca_file; /* certificates to trust, PEM, and no others; NULL: the system's */
    int64_t timeout_ms;
};

/* answer must be initialised; it gets the body. No redirect is followed, no proxy asked;
 * certificates are verified. False and *err: SH_ENOTFOUND nobody listens there, SH_ELIMIT no whole
 * answer within timeout_ms, SH_ESYS. */
bool sh_http_ask(const struct sh_http_ask *ask, int *status, struct sh_buf *answer,
                 struct sh_error *err) SH_WARN_UNUSED;

#endif
