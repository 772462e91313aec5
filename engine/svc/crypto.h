/* SPDX-License-Identifier: MIT
 * crypto.h: hashes, constant-time comparison, randomness (OpenSSL libcrypto). */
#ifndef SH_SVC_CRYPTO_H
#define SH_SVC_CRYPTO_H

#include "base/buf.h"

#define SH_SHA256_BYTES 32
#define SH_SHA256_HEX   65 /* 64 digits and a NUL */

/* SHA-256 of all parts, one after the other. */
void sh_sha256(const struct sh_slice *parts, size_t n, uint8_t out[SH_SHA256_BYTES]);
/* Of an open file, from its beginning. False and errno: it cannot be read. */
bool sh_sha256_fd(int fd, uint8_t out[SH_SHA256_BYTES]) SH_WARN_UNUSED;
/* n bytes as lower-case hex, NUL-terminated: out has 2n + 1 bytes. */
void sh_hex(const uint8_t *bytes, size_t n, char *out);
/* Equal? Time depends on the lengths alone (both sides are hashed first). */
bool sh_secret_eq(struct sh_slice a, struct sh_slice b);
/* The same n bytes? Takes the same time whatever they are. */
bool sh_bytes_eq(const void *a, const void *b, size_t n);
/* Overwrite what must not be left in freed memory. */
void sh_wipe(void *p, size_t n);

enum sh_hash { SH_HASH_SHA256, SH_HASH_SHA1, SH_HASH_SHA512 };
#define SH_MAX_HASH_BYTES 64
size_t sh_hash_bytes(enum sh_hash hash);

/* HMAC (RFC 2104) with one key, which is hashed once, here, and not for each message. Used by one
 * thread at a time. Freeing wipes the key. */
struct sh_hmac;
struct sh_hmac *sh_hmac_new(enum sh_hash hash, struct sh_slice key) SH_WARN_UNUSED;
void sh_hmac_free(struct sh_hmac *h);
/* Of all parts, one after the other: the first sh_hash_bytes() of out. */
void sh_hmac_sign(struct sh_hmac *h, const struct sh_slice *parts, size_t n,
                  uint8_t out[SH_MAX_HASH_BYTES]);

/* n random bytes from the system's generator; the process ends if there are none. */
void sh_random(uint8_t *out, size_t n);

#endif
