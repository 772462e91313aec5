/* SPDX-License-Identifier: MIT
 * tls.h: the server's certificate and key, and what is spoken with them (OpenSSL). On the loop
 * thread only.
 *
 * TLS 1.2 with forward secrecy and AEAD ciphers, and TLS 1.3; no renegotiation, no compression, no
 * resumption (libevent 2.1 cannot hand out session tickets on a socket that it gets late, its issue
 * 1897). The files are read on the loop: they are small, and looked at with stat(2) every two
 * seconds; a file system that hangs would hold the loop up, so keep them on a local one. */
#ifndef SH_SVC_TLS_H
#define SH_SVC_TLS_H

#include "base/error.h"

#include <stdint.h>

struct sh_tls;
struct ssl_st; /* OpenSSL's SSL */

#define SH_TLS_MAX_FILE_BYTES (1024 * 1024)
#define SH_TLS_EXPIRY_DAYS    14 /* so long before the certificate's end the log warns, daily */

enum sh_tls_file { SH_TLS_CERT, SH_TLS_KEY };

/* Do these two files load, and belong together? cert: PEM, the server's certificate first, then
 * those between it and the authority. key: PEM, without passphrase. False: *at says which of them
 * is at fault, and err why (SH_EINVAL, or SH_ESYS when it cannot be read), with the file's name. */
bool sh_tls_check(const char *cert, const char *key, enum sh_tls_file *at,
                  struct sh_error *err) SH_WARN_UNUSED;

/* As sh_tls_check(), for use. The names are copied. Free after every connection is gone. */
struct sh_tls *sh_tls_new(const char *cert, const char *key, struct sh_error *err) SH_WARN_UNUSED;
void sh_tls_free(struct sh_tls *t); /* NULL is a no-op */

/* The server's end of a connection about to be accepted, with the certificate of this moment, which
 * it keeps to its end. The caller's (SSL_free()); NULL when there is no memory. */
struct ssl_st *sh_tls_accept(const struct sh_tls *t) SH_WARN_UNUSED;
/* A handshake that was begun came to nothing. */
void sh_tls_note_failure(struct sh_tls *t);

/* Call about twice a second: every other second the files are looked at, and when both have been
 * the same new ones twice they are loaded. Those that do not load are logged, once, and what was in
 * use stays. Warns when the end of the certificate is near. now_ms: Unix time. NULL is a
 * no-op. */
void sh_tls_tick(struct sh_tls *t, int64_t now_ms);
/* The same at once. False and err: what is in the files is not in use. */
bool sh_tls_reload(struct sh_tls *t, struct sh_error *err) SH_WARN_UNUSED;

struct sh_tls_info {
    const char *cert;     /* the file's name */
    char subject[256];    /* common name, or the whole subject without one */
    int64_t not_after_ms; /* the end of the certificate in use, Unix time */
    int64_t loaded_ms;    /* in use since */
    bool failed;          /* what is in the files now does not load, and why */
    struct sh_error error;
    int64_t handshakes_failed; /* since the start */
};
const struct sh_tls_info *sh_tls_info(const struct sh_tls *t); /* borrowed */

#endif
