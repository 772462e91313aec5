/* SPDX-License-Identifier: MIT
 * sender_auth.h: does whoever sent a request know the secret of its source?
 *
 * Every check is on the bytes as they came, and takes a time that depends on their number alone:
 * not on where a proof is wrong, nor on which of several secrets is right. What is compared is
 * hashed or is itself a hash. docs/authentication.md has the schemes as senders see them. */
#ifndef SH_CORE_SENDER_AUTH_H
#define SH_CORE_SENDER_AUTH_H

#include "core/event.h"
#include "core/path_pattern.h"
#include "svc/crypto.h"

#define SH_MAX_AUTH_SECRETS 4 /* two while one replaces the other */
/* A text of that many characters is not found by trying; sh_auth_is_guessable(). */
#define SH_AUTH_STRONG_BYTES 24

enum sh_auth_kind {
    SH_AUTH_UNSET, /* nobody said; refused off loopback at start */
    SH_AUTH_NONE,
    SH_AUTH_BEARER,      /* RFC 6750, section 2.1 */
    SH_AUTH_BASIC,       /* RFC 7617 */
    SH_AUTH_STANDARD,    /* Standard Webhooks 1.0.0 */
    SH_AUTH_HMAC,        /* of the body, in a header */
    SH_AUTH_TIMESTAMPED, /* t=...,v1=... in a header */
    SH_AUTH_JWT,         /* RFC 7519 with HS256 alone */
    SH_AUTH_TOKEN,       /* the secret itself, in a field of the body or a header */
    SH_AUTH_PATH,        /* the secret itself, in a segment of the path */
    SH_N_AUTH_KINDS
};

enum sh_auth_encoding { SH_AUTH_TEXT, SH_AUTH_BASE64, SH_AUTH_HEX };

/* "unset", "none", "bearer", "standard_webhooks", ...: as the configuration names them. */
const char *sh_auth_kind_name(enum sh_auth_kind kind);

/* As configured. Strings owned by the holder, sh_auth_config_clear(). */
struct sh_auth_config {
    enum sh_auth_kind kind;
    char **secrets;                  /* NULL-terminated, 1..SH_MAX_AUTH_SECRETS */
    char *user;                      /* BASIC */
    char *header;                    /* HMAC, TIMESTAMPED, TOKEN (or NULL: field) */
    char *prefix;                    /* HMAC: before the signature, or NULL */
    char *field;                     /* TOKEN: path in the body, or NULL: header */
    char *segment;                   /* PATH: name of the segment */
    enum sh_hash hash;               /* HMAC */
    enum sh_auth_encoding signature; /* HMAC: HEX or BASE64 */
    enum sh_auth_encoding key;       /* HMAC, TIMESTAMPED, JWT: what the secret's text stands for */
    bool jwt_bearer;                 /* JWT: in Authorization; else it is the body */
    int64_t tolerance_ms;            /* STANDARD, TIMESTAMPED, JWT: clocks may differ by this */
};
/* Wipes the secrets. */
void sh_auth_config_clear(struct sh_auth_config *c);

/* Is the text a secret of c's scheme (base64 where it must be, what a header can carry)? False:
 * *err says what was expected, and never what is there. */
bool sh_auth_secret_ok(const struct sh_auth_config *c, const char *text,
                       struct sh_error *err) SH_WARN_UNUSED;

/* Why a sender is not let in. */
enum sh_auth_reason {
    SH_AUTH_OK,
    SH_AUTH_ADDRESS,         /* not in the source's `from` */
    SH_AUTH_TOO_MANY,        /* wrong too often: sender_gate.h */
    SH_AUTH_NO_SIGNATURE,    /* no header, or an empty one */
    SH_AUTH_MALFORMED,       /* not of the scheme's form, or there twice */
    SH_AUTH_BAD_SIGNATURE,   /* of another secret or of other bytes */
    SH_AUTH_TOO_OLD,         /* the signature is right, its time is not */
    SH_AUTH_IN_FUTURE,       /* the same */
    SH_AUTH_NO_TOKEN,        /* no Authorization of the scheme, no field */
    SH_AUTH_MALFORMED_TOKEN, /* a JWT that is none, or what cannot be read */
    SH_AUTH_BAD_TOKEN,       /* another secret */
    SH_AUTH_BAD_ALGORITHM,   /* a JWT of another algorithm than HS256, "none" too */
    SH_AUTH_TOKEN_EXPIRED,   /* exp */
    SH_AUTH_TOKEN_NOT_YET,   /* nbf */
    SH_N_AUTH_REASONS
};
/* "missing_signature", ...: for logs and metrics. */
const char *sh_auth_reason_name(enum sh_auth_reason why);
/* Was a secret tried and found wrong? Only such failures are counted against an address: one who
 * sends nothing, or a right proof too late, tries no secret. */
bool sh_auth_is_guess(enum sh_auth_reason why);

/* What a check looks at; all borrowed. */
struct sh_auth_request {
    /* The n-th header of that name (from 0, any case), or NULL. */
    const char *(*header)(void *arg, const char *name, size_t n);
    void *arg;
    struct sh_slice body;
    enum sh_body_format format;      /* TOKEN: how its field is found in the body */
    const struct sh_path_args *path; /* of the source's path; NULL: none */
    int64_t now_ms;
};

struct sh_auth; /* a scheme with its keys made ready; used by one thread at a time */

/* Every secret of c has passed sh_auth_secret_ok(). c is borrowed and must outlive the result. */
struct sh_auth *sh_auth_new(const struct sh_auth_config *c) SH_WARN_UNUSED;
void sh_auth_free(struct sh_auth *a);
enum sh_auth_reason sh_auth_check(struct sh_auth *a, const struct sh_auth_request *r);
/* Was what the last check found right a proof of an older secret, not of the first? */
bool sh_auth_was_older(const struct sh_auth *a);
/* May the secret be found by trying: is it short, and sent as it is? */
bool sh_auth_is_guessable(const struct sh_auth_config *c);
/* Is the `webhook-id` header of this scheme's requests bound to its secret, or would anybody who
 * got hold of a proof be free to write another? (HMAC and the like sign the body alone.) */
bool sh_auth_trusts_id(enum sh_auth_kind kind);
/* Does the check look at the body? */
bool sh_auth_reads_body(const struct sh_auth_config *c);
/* For WWW-Authenticate (RFC 9110, section 11.6.1). */
const char *sh_auth_challenge(const struct sh_auth_config *c);

/* --- for senders ---------------------------------------------------------------------------- */

#define SH_MAX_PROOF_HEADERS 3
/* What makes a request a right one. */
struct sh_auth_proof {
    char *header[SH_MAX_PROOF_HEADERS]; /* "Name: value", owned */
    size_t n;
    char *body; /* NULL: as it was; else the body to send instead, owned */
    size_t body_len;
};
/* Prove with the first secret of c. JWT in the body: the body to be sent is the token, of the JSON
 * given. TOKEN: the field is written in front of the others when it is not there (top level only).
 * PATH: nothing here, the caller puts sh_auth_config.secrets[0] into the path. */
void sh_auth_prove(const struct sh_auth_config *c, struct sh_slice body, int64_t now_ms,
                   struct sh_auth_proof *out);
void sh_auth_proof_clear(struct sh_auth_proof *p);

#endif
