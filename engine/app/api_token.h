/* SPDX-License-Identifier: MIT
 * api_token.h: the tokens of the API in memory, as the store has them: looked up for each request
 * without asking it. On the loop.
 *
 * What is made or revoked through this engine counts at once; what another process does in the
 * store (`switchhook token` without an engine that answers) within a second. A token that has
 * expired stays one until it is revoked: the API does not fall back to "no tokens". */
#ifndef SH_APP_API_TOKEN_H
#define SH_APP_API_TOKEN_H

#include "core/store_token.h"

#include <cjson/cJSON.h>

struct event_base;
struct sh_api_tokens;

/* Reads them at once; known(arg), if it is not NULL, is called when they have been read first. */
struct sh_api_tokens *sh_api_tokens_new(struct event_base *base, struct sh_store *store,
                                        void (*known)(void *arg), void *arg) SH_WARN_UNUSED;
bool sh_api_tokens_known(const struct sh_api_tokens *t); /* read once at least */
size_t sh_api_tokens_count(const struct sh_api_tokens *t);
/* The one of this text (without "Bearer"), or NULL: there is none. Time does not depend on how
 * much of it is right: hashes are compared. Borrowed until the loop goes on. */
const struct sh_stored_token *sh_api_tokens_find(const struct sh_api_tokens *t,
                                                 struct sh_slice text);
/* The one of this hash, or NULL. Borrowed likewise. */
const struct sh_stored_token *sh_api_tokens_of(const struct sh_api_tokens *t,
                                               const uint8_t hash[SH_TOKEN_BYTES]);
/* [{"name","role","created_at","created_by","expires_at","expired"}]; caller deletes. */
cJSON *sh_api_tokens_list(const struct sh_stored_token *items, size_t n) SH_WARN_UNUSED;
cJSON *sh_api_tokens_rows(const struct sh_api_tokens *t) SH_WARN_UNUSED; /* of all */
/* An operation of the store on tokens was carried out. */
void sh_api_tokens_changed(struct sh_api_tokens *t, const struct sh_op *op);
void sh_api_tokens_stop(struct sh_api_tokens *t); /* ask the store no more */
void sh_api_tokens_free(struct sh_api_tokens *t); /* after the store is closed; NULL: no-op */

#endif
