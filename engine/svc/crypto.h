/* SPDX-License-Identifier: MIT
 * crypto.h: hashes, constant-time comparison, randomness (OpenSSL libcrypto). */
#ifndef SH_SVC_CRYPTO_H
#define SH_SVC_CRYPTO_H

#include "base/buf.h"

#define SH_SHA256_BYTES 32
#define SH_SHA256_HEX   65 /* 64 digits and a NUL */

/* SHA-256 of all parts, one after the other. */
void sh_sha256(const struct sh_slice *parts, size_t n, uint8_t out[SH_SHA256_BYTES]);
/* n bytes as lower-case hex, NUL-terminated: out has 2n + 1 bytes. */
void sh_hex(const uint8_t *bytes, size_t n, char *out);
/* Equal? Time depends on the lengths alone (both sides are hashed first). */
bool sh_secret_eq(struct sh_slice a, struct sh_slice b);
/* n random bytes from the system's generator; the process ends if there are none. */
void sh_random(uint8_t *out, size_t n);

#endif
