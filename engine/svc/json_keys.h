/* SPDX-License-Identifier: MIT
 * json_keys.h: finds a key that an object has twice; not for others than json_check.c.
 *
 * The keys of all open objects lie on one stack, those of one object side by side. An object of up
 * to SH_JSON_KEYS_LINEAR keys compares each new key at once (a 64-bit filter and 32-bit hashes
 * first); one of more keys is sorted when it closes, so that no choice of keys, nor of colliding
 * hashes, costs more than n log n. */
#ifndef SH_SVC_JSON_KEYS_H
#define SH_SVC_JSON_KEYS_H

#include "base/buf.h"

#define SH_JSON_KEYS_LINEAR 32
#define SH_JSON_KEYS_INLINE 64 /* kept without memory of their own */

struct sh_json_key {
    struct sh_slice name; /* unescaped; in the text or in `unescaped` */
    size_t at;            /* where its content starts in the text */
    size_t raw_n;         /* bytes of it there */
};

struct sh_json_keys {
    struct sh_json_key *key; /* stack: key[i] with hash[i] */
    uint32_t *hash;
    size_t count, cap;
    char *unescaped; /* room for the text's length, made when the first escaped key comes */
    size_t unescaped_n;
    struct sh_json_key key_inline[SH_JSON_KEYS_INLINE];
    uint32_t hash_inline[SH_JSON_KEYS_INLINE];
};

/* An open object's part of the stack. */
struct sh_json_key_set {
    size_t base;     /* index of its first key */
    uint64_t filter; /* bit (hash & 63) of each of its keys */
};

void sh_json_keys_init(struct sh_json_keys *k);
void sh_json_keys_free(struct sh_json_keys *k);
/* Open an object. */
static inline struct sh_json_key_set sh_json_keys_open(const struct sh_json_keys *k)
{
    return (struct sh_json_key_set){.base = k->count};
}
/* Add the key whose raw content is text[at .. at + raw_n). False: the set has it already. */
bool sh_json_keys_add(struct sh_json_keys *k, struct sh_json_key_set *set, struct sh_slice text,
                      size_t at, size_t raw_n, bool escaped) SH_WARN_UNUSED;
/* Close the innermost open object. Gives the first key that repeats an earlier one, or NULL;
 * borrowed until the next add. */
const struct sh_json_key *sh_json_keys_close(struct sh_json_keys *k,
                                             const struct sh_json_key_set *set) SH_WARN_UNUSED;

#endif
