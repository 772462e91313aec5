/* SPDX-License-Identifier: MIT
 * sender_auth_impl.h: what the files of sender_auth.h share. Private to core/sender_*.c. */
#ifndef SH_CORE_SENDER_AUTH_IMPL_H
#define SH_CORE_SENDER_AUTH_IMPL_H

#include "core/sender_auth.h"

struct sh_auth_secret {
    uint8_t digest[SH_SHA256_BYTES]; /* of what is sent as it is: BEARER, BASIC, TOKEN, PATH */
    struct sh_hmac *hmac;            /* STANDARD, HMAC, TIMESTAMPED, JWT; else NULL */
};

struct sh_auth {
    const struct sh_auth_config *config; /* borrowed */
    struct sh_auth_secret secret[SH_MAX_AUTH_SECRETS];
    size_t n;
    bool first; /* the proof in hand is one of the first secret */
};

/* The one header of that name. False: *why is missing (none, or an empty one) or malformed (two:
 * which of them a proxy on the way has looked at is not known). */
bool sh_auth_one_header(const struct sh_auth_request *r, const char *name, const char **value,
                        enum sh_auth_reason missing, enum sh_auth_reason *why);
/* What stands behind "Bearer " and the like, in any case; NULL: another scheme. */
const char *sh_auth_behind(const char *value, const char *scheme);

/* Key bytes of a secret, appended to out. False: the text does not stand for any. */
bool sh_auth_key(const struct sh_auth_config *c, const char *text, struct sh_buf *out);
enum sh_hash sh_auth_hash(const struct sh_auth_config *c);

/* sender_sign.c */
enum sh_auth_reason sh_auth_check_standard(struct sh_auth *a, const struct sh_auth_request *r);
enum sh_auth_reason sh_auth_check_hmac(struct sh_auth *a, const struct sh_auth_request *r);
enum sh_auth_reason sh_auth_check_timestamped(struct sh_auth *a, const struct sh_auth_request *r);
/* The MAC of parts under each secret. */
void sh_auth_macs(struct sh_auth *a, const struct sh_slice *parts, size_t n,
                  uint8_t macs[SH_MAX_AUTH_SECRETS][SH_MAX_HASH_BYTES]);
/* Is given (of the hash's length) one of them? */
bool sh_auth_is_one(struct sh_auth *a, const void *given,
                    uint8_t macs[SH_MAX_AUTH_SECRETS][SH_MAX_HASH_BYTES]);

/* sender_jwt.c */
enum sh_auth_reason sh_auth_check_jwt(struct sh_auth *a, const struct sh_auth_request *r);

#endif
