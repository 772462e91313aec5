/* SPDX-License-Identifier: MIT
 * crypto.c: thin layer over libcrypto. */
#include "svc/crypto.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 << 10)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t context_key;

static void free_context(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

static void make_key(void)
{
    sh_require(pthread_key_create(&context_key, free_context) == 0);
}

/* This thread's context, kept: making one costs more than a small hash. */
static EVP_MD_CTX *context(void)
{
    static _Thread_local EVP_MD_CTX *ctx;
    if (!ctx) {
        pthread_once(&once, make_key);
        ctx = EVP_MD_CTX_new();
        sh_require(pthread_setspecific(context_key, ctx) == 0); /* freed when the thread ends */
    }
    return ctx;
}

void sh_sha256(const struct sh_slice *parts, size_t n, uint8_t out[SH_SHA256_BYTES])
{
    EVP_MD_CTX *ctx = context();
    sh_require(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1);
    for (size_t i = 0; i < n; i++)
        sh_require(EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) == 1);
    sh_require(EVP_DigestFinal_ex(ctx, out, NULL) == 1);
}

bool sh_sha256_fd(int fd, uint8_t out[SH_SHA256_BYTES])
{
    EVP_MD_CTX *ctx = context();
    uint8_t *block = sh_alloc(1, READ_BYTES);
    off_t at = 0;
    ssize_t n;
    sh_require(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1);
    while ((n = pread(fd, block, READ_BYTES, at)) > 0 || (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        sh_require(EVP_DigestUpdate(ctx, block, (size_t)n) == 1);
        at += n;
    }
    free(block);
    sh_require(EVP_DigestFinal_ex(ctx, out, NULL) == 1);
    return n == 0;
}

void sh_hex(const uint8_t *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}

bool sh_secret_eq(struct sh_slice a, struct sh_slice b)
{
    uint8_t ha[SH_SHA256_BYTES], hb[SH_SHA256_BYTES];
    sh_sha256(&a, 1, ha);
    sh_sha256(&b, 1, hb);
    return CRYPTO_memcmp(ha, hb, sizeof(ha)) == 0;
}

bool sh_bytes_eq(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

void sh_wipe(void *p, size_t n)
{
    OPENSSL_cleanse(p, n);
}

/* --- HMAC ----------------------------------------------------------------------------------- */

struct sh_hmac {
    EVP_MAC_CTX *ctx; /* has the key; each message begins with it again */
};

static const struct {
    const char *name;
    size_t bytes;
} hashes[] = {
    [SH_HASH_SHA256] = {"SHA256", 32},
    [SH_HASH_SHA1] = {"SHA1", 20},
    [SH_HASH_SHA512] = {"SHA512", 64},
};

size_t sh_hash_bytes(enum sh_hash hash)
{
    return hashes[hash].bytes;
}

struct sh_hmac *sh_hmac_new(enum sh_hash hash, struct sh_slice key)
{
    char name[16];
    snprintf(name, sizeof(name), "%s", hashes[hash].name);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
        OSSL_PARAM_construct_end(),
    };
    struct sh_hmac *h = sh_alloc(1, sizeof(*h));
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    h->ctx = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);                      /* the context holds on to it */
    const void *bytes = key.n ? key.p : ""; /* NULL would mean: the key of before */
    sh_require(h->ctx && EVP_MAC_init(h->ctx, bytes, key.n, params) == 1);
    return h;
}

void sh_hmac_free(struct sh_hmac *h)
{
    if (!h)
        return;
    EVP_MAC_CTX_free(h->ctx);
    free(h);
}

void sh_hmac_sign(struct sh_hmac *h, const struct sh_slice *parts, size_t n,
                  uint8_t out[SH_MAX_HASH_BYTES])
{
    size_t len = 0;
    sh_require(EVP_MAC_init(h->ctx, NULL, 0, NULL) == 1);
    for (size_t i = 0; i < n; i++)
        sh_require(EVP_MAC_update(h->ctx, (const unsigned char *)parts[i].p, parts[i].n) == 1);
    sh_require(EVP_MAC_final(h->ctx, out, &len, SH_MAX_HASH_BYTES) == 1);
}

/* --- randomness ----------------------------------------------------------------------------- */

void sh_random(uint8_t *out, size_t n)
{
    sh_require(RAND_bytes(out, (int)n) == 1);
}
