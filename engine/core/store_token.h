/* SPDX-License-Identifier: MIT
 * store_token.h: operations of the store on who may come in: tokens of the API, and sessions of the
 * console that were opened with them. Submitted like all others (store.h). */
#ifndef SH_CORE_STORE_TOKEN_H
#define SH_CORE_STORE_TOKEN_H

#include "core/store.h"

#define SH_TOKEN_BYTES    32 /* of a token's hash */
#define SH_MAX_TOKEN_NAME 64
#define SH_MAX_TOKENS     1000

#define SH_MAX_SESSIONS    1000 /* of the console; the oldest make room */
#define SH_MAX_SESSIONS_OF 50   /* that one token has opened: a team may share one */

/* What may come in through the API, by whom (docs/http-api.md). Only a token's hash is stored. */
struct sh_op_token_new {
    struct sh_op op;              /* SH_ECONFLICT: the name is taken; SH_EINVAL; SH_ELIMIT */
    const char *name, *role;      /* sh_token_name_ok(); "viewer", "operator", "admin" */
    uint8_t hash[SH_TOKEN_BYTES]; /* SHA-256 of its text */
    int64_t expires_ms;           /* 0 = never */
};
/* Its sessions end in the same transaction. */
struct sh_op_token_revoke {
    struct sh_op op; /* SH_ENOTFOUND */
    const char *name;
    size_t sessions; /* out: how many ended */
};
struct sh_stored_token {
    char *name, *role, *created_by; /* owned */
    uint8_t hash[SH_TOKEN_BYTES];
    int64_t created_ms, expires_ms; /* expires: 0 = never */
};
struct sh_op_tokens { /* all of them, also those that have expired */
    struct sh_op op;
    struct sh_stored_token *items; /* out: sh_tokens_free() */
    size_t n_items;
};
void sh_tokens_free(struct sh_stored_token *items, size_t n);
/* 1 to SH_MAX_TOKEN_NAME letters, digits and . _ - @, the first no dot. */
bool sh_token_name_ok(const char *name);

/* Somebody has logged in to the console with a token. Those that have expired go; past
 * SH_MAX_SESSIONS_OF of this token, or SH_MAX_SESSIONS of all, those that were opened first. */
struct sh_op_session_new {
    struct sh_op op;               /* SH_ENOTFOUND: no such token, or it has expired */
    uint8_t hash[SH_TOKEN_BYTES];  /* SHA-256 of what the browser holds */
    uint8_t token[SH_TOKEN_BYTES]; /* the token's hash */
    int64_t expires_ms;
};
/* One that is not there any more: no change. */
struct sh_op_session_end {
    struct sh_op op;
    uint8_t hash[SH_TOKEN_BYTES];
    bool ended; /* out: it was there */
};
struct sh_stored_session {
    uint8_t hash[SH_TOKEN_BYTES], token[SH_TOKEN_BYTES];
    int64_t expires_ms;
};
struct sh_op_sessions { /* all of them, those opened first in front */
    struct sh_op op;
    struct sh_stored_session *items; /* out: free() */
    size_t n_items;
};

#endif
