/* SPDX-License-Identifier: MIT
 * tls_kit.h: keys and certificates for tests. */
#ifndef TLS_KIT_H
#define TLS_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

static inline EVP_PKEY *new_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    assert_non_null(key);
    return key;
}

static inline void write_key(const char *name, EVP_PKEY *key, const char *passphrase)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_PKCS8PrivateKey(f, key, passphrase ? EVP_aes_256_cbc() : NULL,
                                               passphrase, passphrase ? (int)strlen(passphrase) : 0,
                                               NULL, NULL),
                     1);
    fclose(f);
}

/* n certificates for name, of key, that end after so many seconds. */
static inline void write_cert(const char *file, EVP_PKEY *key, const char *name, long seconds,
                              int n)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    while (n-- > 0) {
        X509 *cert = X509_new();
        X509_NAME *subject = X509_get_subject_name(cert);
        ASN1_INTEGER_set(X509_get_serialNumber(cert), n + 1);
        X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
        X509_gmtime_adj(X509_getm_notAfter(cert), seconds);
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
                                   -1, 0);
        X509_set_issuer_name(cert, subject);
        X509_set_pubkey(cert, key);
        assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
        assert_int_equal(PEM_write_X509(f, cert), 1);
        X509_free(cert);
    }
    fclose(f);
}

#endif
