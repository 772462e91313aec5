/* SPDX-License-Identifier: MIT
 * lookup_impl.h: what the files of look-ups share. Not for others.
 *
 * lookup.c: asking, waiting in turn, sharing. lookup_cache.c: answers kept for a while.
 * lookup_doc.c: the document of an answer. */
#ifndef SH_APP_LOOKUP_IMPL_H
#define SH_APP_LOOKUP_IMPL_H

#include "app/lookup.h"

#include "svc/crypto.h"

/* What two look-ups for the same thing have in common: a hash of method, URL and headers with the
 * secrets in them, so that their texts are kept nowhere. */
struct sh_lookup_key {
    uint8_t hash[SH_SHA256_BYTES];
};
struct sh_lookup_key sh_lookup_key_of(const struct sh_http_ready *call);

/* --- lookup_cache.c ------------------------------------------------------------------------- */

struct sh_lookup_cache;
struct sh_lookup_cache *sh_lookup_cache_new(size_t entries, size_t bytes) SH_WARN_UNUSED;
void sh_lookup_cache_free(struct sh_lookup_cache *c);
/* The document kept under key if it is not older than max_age_ms, else an empty slice. Borrowed
 * until the next call. now_ms: any clock that does not step. */
struct sh_slice sh_lookup_cache_get(struct sh_lookup_cache *c, const struct sh_lookup_key *key,
                                    int64_t max_age_ms, int64_t now_ms);
/* Keep doc for keep_ms, in place of an older one; the least used go when there is no room. */
void sh_lookup_cache_put(struct sh_lookup_cache *c, const struct sh_lookup_key *key,
                         struct sh_slice doc, int64_t keep_ms, int64_t now_ms);

/* --- lookup_doc.c --------------------------------------------------------------------------- */

/* The document of run.h for what came back, secrets blanked. Caller frees out. */
void sh_lookup_doc_answer(const struct sh_hidden *hidden, const struct sh_http_answer *a,
                          struct sh_buf *out);
/* {"status":0,"error":"..."}; call NULL: there is nothing to blank. */
void sh_lookup_doc_error(const struct sh_hidden *hidden, const char *error, struct sh_buf *out);
/* doc with "cached":true */
void sh_lookup_doc_cached(struct sh_slice doc, struct sh_buf *out);

#endif
