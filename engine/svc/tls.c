/* SPDX-License-Identifier: MIT
 * tls.c: certificate and key out of their files, and others in their place. */
#include "svc/tls.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOOK_US         2000000
#define DAY_MS          (24LL * 3600 * 1000)
#define MAX_CHAIN       16
#define CIPHERS_TLS_1_2 "ECDHE+AESGCM:ECDHE+CHACHA20"

/* How a file looks: another stamp, another content. */
struct stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec changed, written;
};

struct pair {
    struct stamp cert, key;
};

struct sh_tls {
    char *cert, *key;
    SSL_CTX *context;  /* in use */
    struct pair tried; /* as the files looked when they were loaded last, with or without success */
    struct pair seen;  /* at the last look */
    int64_t look_us, warned_ms;
    struct sh_tls_info info;
};

/* --- files ----------------------------------------------------------------------------------- */

/* The whole of a regular file; a pipe would hold the loop up. NULL and *err. */
static BIO *read_file(const char *name, struct sh_error *err)
{
    struct stat st;
    BIO *out = NULL;
    const int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        sh_error_set(err, SH_ESYS, "\"%.300s\" cannot be read: %s", name, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        sh_error_set(err, SH_EINVAL, "\"%.300s\" is not a file", name);
    } else if (st.st_size > SH_TLS_MAX_FILE_BYTES) {
        sh_error_set(err, SH_EINVAL, "\"%.300s\" is larger than 1 MiB", name);
    } else {
        char *text = sh_alloc((size_t)st.st_size + 1, 1);
        const ssize_t n = read(fd, text, (size_t)st.st_size);
        out = BIO_new(BIO_s_secmem());
        sh_require(out);
        if (n > 0)
            sh_require(BIO_write(out, text, (int)n) == (int)n);
        explicit_bzero(text, (size_t)st.st_size);
        free(text);
    }
    if (fd >= 0)
        close(fd);
    return out;
}

static struct stamp stamp_of(const char *name)
{
    struct stat st;
    if (stat(name, &st) != 0)
        return (struct stamp){0};
    return (struct stamp){st.st_dev, st.st_ino, st.st_size, st.st_ctim, st.st_mtim};
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
           a->written.tv_sec == b->written.tv_sec && a->written.tv_nsec == b->written.tv_nsec;
}

static struct pair pair_of(const struct sh_tls *t)
{
    return (struct pair){stamp_of(t->cert), stamp_of(t->key)};
}

static bool same_pair(const struct pair *a, const struct pair *b)
{
    return same_stamp(&a->cert, &b->cert) && same_stamp(&a->key, &b->key);
}

/* --- loading --------------------------------------------------------------------------------- */

/* OpenSSL's own words for what it holds against the last call; its list is emptied. */
static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return text ? text : "unknown reason";
}

static bool at_end(void)
{
    const unsigned long e = ERR_peek_last_error();
    const bool end = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
    if (end)
        ERR_clear_error();
    return end;
}

static bool use_chain(SSL_CTX *context, BIO *in, const char *name, struct sh_error *err)
{
    X509 *cert;
    int n = 0;
    while ((cert = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL) {
        const bool ok = n < MAX_CHAIN && (n ? SSL_CTX_add0_chain_cert(context, cert)
                                            : SSL_CTX_use_certificate(context, cert)) == 1;
        if (!ok || n == 0)
            X509_free(cert); /* the first is counted by its own reference, the others are moved */
        if (n >= MAX_CHAIN)
            return sh_error_set(err, SH_EINVAL, "\"%.300s\" holds more than %d certificates", name,
                                MAX_CHAIN);
        if (!ok)
            return sh_error_set(err, SH_EINVAL, "certificate %d in \"%.300s\" cannot be used: %s",
                                n + 1, name, reason());
        n++;
    }
    if (!at_end())
        return sh_error_set(err, SH_EINVAL, "certificate %d in \"%.300s\" cannot be read: %s",
                            n + 1, name, reason());
    return n ? true : sh_error_set(err, SH_EINVAL, "\"%.300s\" holds no certificate (PEM)", name);
}

/* Nobody is there to type it: and a process that asks on its terminal would hang. */
static int no_passphrase(char *out, int size, int writing, void *asked)
{
    (void)out, (void)size, (void)writing;
    *(bool *)asked = true;
    return -1;
}

static bool use_key(SSL_CTX *context, BIO *in, const char *name, const char *cert,
                    struct sh_error *err)
{
    bool asked = false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, &asked);
    if (!key) {
        ERR_clear_error();
        if (asked)
            sh_error_set(err, SH_EINVAL,
                         "the key in \"%.300s\" has a passphrase; expected one "
                         "without, in a file that only the engine may read",
                         name);
        else
            sh_error_set(err, SH_EINVAL, "\"%.300s\" holds no private key that can be read (PEM)",
                         name);
        return false;
    }
    const bool fits = X509_check_private_key(SSL_CTX_get0_certificate(context), key) == 1;
    const bool ok = fits && SSL_CTX_use_PrivateKey(context, key) == 1;
    EVP_PKEY_free(key);
    if (ok)
        return true;
    if (fits)
        return sh_error_set(err, SH_EINVAL, "the key in \"%.300s\" cannot be used: %s", name,
                            reason());
    ERR_clear_error();
    return sh_error_set(err, SH_EINVAL,
                        "the key in \"%.300s\" does not belong to the certificate in \"%.300s\"",
                        name, cert);
}

/* Answer a client that offers protocols (RFC 7301) with the one that is spoken here. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *found;
    (void)ssl, (void)arg;
    if (SSL_select_next_proto(&found, out_len, ours, sizeof(ours) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = found;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *new_context(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    sh_require(context);
    sh_require(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1);
    sh_require(SSL_CTX_set_cipher_list(context, CIPHERS_TLS_1_2) == 1);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    sh_require(SSL_CTX_set_num_tickets(context, 0) == 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS); /* idle connections keep none */
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    return context;
}

static SSL_CTX *load(const char *cert, const char *key, enum sh_tls_file *at, struct sh_error *err)
{
    SSL_CTX *context = new_context();
    BIO *cert_text = NULL, *key_text = NULL;
    bool ok;
    ERR_clear_error();
    *at = SH_TLS_CERT;
    cert_text = read_file(cert, err);
    ok = cert_text && use_chain(context, cert_text, cert, err);
    if (ok) {
        *at = SH_TLS_KEY;
        key_text = read_file(key, err);
        ok = key_text && use_key(context, key_text, key, cert, err);
    }
    BIO_free(cert_text);
    BIO_free(key_text);
    if (ok)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

bool sh_tls_check(const char *cert, const char *key, enum sh_tls_file *at, struct sh_error *err)
{
    SSL_CTX *context = load(cert, key, at, err);
    SSL_CTX_free(context);
    return context != NULL;
}

/* --- in use ---------------------------------------------------------------------------------- */

static int64_t not_after_ms(const X509 *cert)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
        return 0;
    return (int64_t)timegm(&tm) * 1000;
}

static void describe(struct sh_tls_info *info, const X509 *cert)
{
    X509_NAME *name = X509_get_subject_name(cert);
    info->not_after_ms = not_after_ms(cert);
    if (X509_NAME_get_text_by_NID(name, NID_commonName, info->subject, sizeof(info->subject)) <= 0)
        X509_NAME_oneline(name, info->subject, sizeof(info->subject));
}

static void warn_of_expiry(struct sh_tls *t, int64_t now_ms)
{
    char end[SH_TIME_TEXT];
    const int64_t end_ms = t->info.not_after_ms, left = end_ms - now_ms;
    const bool ended_since = left <= 0 && t->warned_ms < end_ms;
    if (left > SH_TLS_EXPIRY_DAYS * DAY_MS ||
        (t->warned_ms && now_ms - t->warned_ms < DAY_MS && !ended_since))
        return;
    t->warned_ms = now_ms;
    sh_time_text(t->info.not_after_ms, end);
    if (left <= 0)
        sh_err("the certificate has expired: senders refuse it", "file", t->cert, "subject",
               t->info.subject, "ended", end);
    else
        sh_warn("the certificate expires soon", "file", t->cert, "subject", t->info.subject, "ends",
                end, "days", SH_NUM(left / DAY_MS));
}

static void warn_of_readers(const struct sh_tls *t)
{
    struct stat st;
    if (stat(t->key, &st) == 0 && (st.st_mode & S_IROTH))
        sh_warn("everyone on this machine may read the key of the certificate: chmod o-r", "file",
                t->key);
}

/* Load what is in the files now. False: what was in use stays. */
static bool take(struct sh_tls *t, enum sh_tls_file *at)
{
    char end[SH_TIME_TEXT];
    t->tried = pair_of(t); /* before they are read: a change meanwhile is seen at the next look */
    SSL_CTX *context = load(t->cert, t->key, at, &t->info.error);
    t->info.failed = !context;
    if (!context)
        return false;
    SSL_CTX_free(t->context); /* connections hold their own reference */
    t->context = context;
    t->warned_ms = 0;
    t->info.loaded_ms = sh_now_ms();
    describe(&t->info, SSL_CTX_get0_certificate(context));
    sh_info("certificate in use", "file", t->cert, "subject", t->info.subject, "ends",
            sh_time_text(t->info.not_after_ms, end));
    warn_of_readers(t);
    warn_of_expiry(t, t->info.loaded_ms);
    return true;
}

static void retake(struct sh_tls *t)
{
    enum sh_tls_file at;
    if (!take(t, &at))
        sh_warn("the new certificate does not load: the one in use stays", "what",
                t->info.error.msg);
}

struct sh_tls *sh_tls_new(const char *cert, const char *key, struct sh_error *err)
{
    enum sh_tls_file at;
    struct sh_tls *t = sh_alloc(1, sizeof(*t));
    t->cert = sh_strdup(cert);
    t->key = sh_strdup(key);
    t->info.cert = t->cert;
    if (take(t, &at)) {
        t->seen = t->tried;
        return t;
    }
    sh_error_set(err, t->info.error.code, "tls.%s: %s", at == SH_TLS_CERT ? "cert" : "key",
                 t->info.error.msg);
    sh_tls_free(t);
    return NULL;
}

void sh_tls_free(struct sh_tls *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->context);
    free(t->cert);
    free(t->key);
    free(t);
}

SSL *sh_tls_accept(const struct sh_tls *t)
{
    SSL *ssl = SSL_new(t->context);
    ERR_clear_error();
    return ssl;
}

void sh_tls_note_failure(struct sh_tls *t)
{
    t->info.handshakes_failed++;
}

/* Certificate and key are seldom replaced in one instant: what is seen once may be half of it. */
void sh_tls_tick(struct sh_tls *t, int64_t now_ms)
{
    const int64_t now_us = sh_mono_us();
    if (!t || now_us < t->look_us)
        return;
    t->look_us = now_us + LOOK_US;
    const struct pair now = pair_of(t);
    if (!same_pair(&now, &t->tried) && same_pair(&now, &t->seen))
        retake(t);
    t->seen = now;
    warn_of_expiry(t, now_ms);
}

bool sh_tls_reload(struct sh_tls *t, struct sh_error *err)
{
    const struct pair now = pair_of(t);
    if (!same_pair(&now, &t->tried))
        retake(t);
    if (t->info.failed)
        *err = t->info.error;
    return !t->info.failed;
}

const struct sh_tls_info *sh_tls_info(const struct sh_tls *t)
{
    return &t->info;
}
