/* SPDX-License-Identifier: MIT
 * api_seal.c: a cursor's place, for those who may not see it.
 *
 * The tag is a MAC of the place, and the place is covered by a key stream that begins with the tag
 * (the construction of SIV, RFC 5297): the same place is sealed to the same bytes, and nothing is
 * learnt from them but that. */
#include "app/api_impl.h"

#include "svc/crypto.h"

#define TAG_BYTES 16

static void mac(const struct sh_api *api, const struct sh_slice *parts, size_t n,
                uint8_t out[SH_MAX_HASH_BYTES])
{
    struct sh_hmac *h =
        sh_hmac_new(SH_HASH_SHA256, sh_slice(api->cursor_key, sizeof(api->cursor_key)));
    sh_hmac_sign(h, parts, n, out);
    sh_hmac_free(h);
}

static void tag_of(const struct sh_api *api, struct sh_slice head, struct sh_slice place,
                   uint8_t tag[SH_MAX_HASH_BYTES])
{
    const struct sh_slice parts[] = {SH_SLICE("tag"), head, place};
    mac(api, parts, 3, tag);
}

static void cover(const struct sh_api *api, const uint8_t *tag, struct sh_slice text,
                  struct sh_buf *out)
{
    uint8_t stream[SH_MAX_HASH_BYTES];
    for (size_t i = 0; i < text.n; i++) {
        const uint8_t block = (uint8_t)(i / SH_SHA256_BYTES);
        const struct sh_slice parts[] = {SH_SLICE("stream"), sh_slice(tag, TAG_BYTES),
                                         sh_slice(&block, 1)};
        if (i % SH_SHA256_BYTES == 0)
            mac(api, parts, 3, stream);
        sh_buf_u8(out, (uint8_t)((uint8_t)text.p[i] ^ stream[i % SH_SHA256_BYTES]));
    }
}

void sh_api_seal(const struct sh_api *api, struct sh_slice head, struct sh_slice place,
                 struct sh_buf *out)
{
    uint8_t tag[SH_MAX_HASH_BYTES];
    tag_of(api, head, place, tag);
    sh_buf_add(out, tag, TAG_BYTES);
    cover(api, tag, place, out);
}

bool sh_api_unseal(const struct sh_api *api, struct sh_slice head, struct sh_slice sealed,
                   struct sh_buf *place)
{
    uint8_t tag[SH_MAX_HASH_BYTES];
    if (sealed.n <= TAG_BYTES || sealed.n - TAG_BYTES > SH_API_SEALED_BYTES)
        return false;
    cover(api, (const uint8_t *)sealed.p, sh_slice(sealed.p + TAG_BYTES, sealed.n - TAG_BYTES),
          place);
    tag_of(api, head, sh_slice(place->data, place->len), tag);
    return sh_bytes_eq(tag, sealed.p, TAG_BYTES);
}
